/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars that arrive as bare text: headers, and what JSON keeps in strings (blobs, enums). */
#include "api_private.h"

#include "core/crypto.h"
#include "core/json.h"

int kn_api_decode_enum(struct kn_api_decode *ctx, const struct kn_api_shape *shape,
                       struct kn_str text, void *dst)
{
    int *value = dst;
    static_assert(sizeof(enum kn_api_type) == sizeof(int), "enums are stored as int");
    for (size_t i = 1; i <= shape->value_count; i++) {
        if (kn_str_eq(shape->values[i], text)) {
            *value = (int) i;
            return 0;
        }
    }
    struct kn_api_unknown_enum *unknown = kn_arena_alloc(ctx->arena, sizeof *unknown);
    if (!unknown)
        return -ENOMEM;
    *unknown = (struct kn_api_unknown_enum){.at = dst, .text = text, .next = ctx->unknown};
    ctx->unknown = unknown;
    *value = KN_API_ENUM_UNKNOWN;
    return 0;
}

static int decode_blob(struct kn_api_decode *ctx, struct kn_str text, struct kn_bytes *dst)
{
    size_t len;
    if (kn_base64_plain_len(text, &len) < 0)
        return -EBADMSG;
    uint8_t *plain = kn_arena_alloc(ctx->arena, len ? len : 1);
    if (!plain)
        return -ENOMEM;
    *dst = (struct kn_bytes){plain, len};
    return kn_base64_read(text, plain) < 0 ? -EBADMSG : 0;
}

/* Numbers have JSON's grammar here too. */
static int decode_number(const struct kn_api_shape *shape, struct kn_str text, void *dst)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    int64_t v = 0;
    kn_json_reader_init(&r, kn_bytes_of(text));
    if (kn_json_next(&r, &token) < 0 || token != KN_JSON_NUMBER || r.raw.len != text.len)
        return -EBADMSG;
    if (shape->type == KN_API_DOUBLE) {
        struct kn_api_double *number = dst;
        number->set = true;
        return kn_json_number_double(&r, &number->v) < 0 ? -EBADMSG : 0;
    }
    int error = shape->type == KN_API_TIMESTAMP ? kn_json_number_epoch_ms(&r, &v)
                                                : kn_json_number_i64(&r, &v);
    if (error || (shape->type == KN_API_INTEGER && (v < INT32_MIN || v > INT32_MAX)))
        return -EBADMSG;
    *(struct kn_api_i64 *) dst = (struct kn_api_i64){true, v};
    return 0;
}

int kn_api_decode_text(struct kn_api_decode *ctx, const struct kn_api_shape *shape,
                       struct kn_str text, void *dst)
{
    switch (shape->type) {
    case KN_API_STRING:
        *(struct kn_str *) dst = text;
        return 0;
    case KN_API_ENUM:
        return kn_api_decode_enum(ctx, shape, text, dst);
    case KN_API_BLOB:
        return decode_blob(ctx, text, dst);
    case KN_API_INTEGER:
    case KN_API_LONG:
    case KN_API_TIMESTAMP:
    case KN_API_DOUBLE:
        return decode_number(shape, text, dst);
    case KN_API_BOOLEAN:
        if (!kn_str_eq(text, KN_STR("true")) && !kn_str_eq(text, KN_STR("false")))
            return -EBADMSG;
        *(struct kn_api_bool *) dst = (struct kn_api_bool){true, text.len == 4};
        return 0;
    case KN_API_BLOB_VIEW:
    case KN_API_STRUCTURE:
    case KN_API_LIST:
    case KN_API_MAP:
        break;
    }
    return -EBADMSG;
}

int kn_api_decode_headers(struct kn_api_decode *ctx, struct kn_http_req *req,
                          const struct kn_api_structure *structure, void *dst)
{
    for (size_t i = 0; i < structure->row_count; i++) {
        const struct kn_api_row *row = &structure->rows[i];
        const struct kn_http_header *headers;
        bool seen = false;
        if (!row->header)
            continue;
        struct kn_str name = kn_str_from(row->header);
        for (size_t left = kn_http_headers(req, &headers); left; left--, headers++) {
            if (!kn_str_eq(headers->name, name))
                continue;
            if (seen)
                return -EBADMSG;
            seen = true;
            int error = kn_api_decode_text(ctx, row->shape, kn_str_trim(headers->value),
                                           kn_api_member(dst, row));
            if (error)
                return error;
        }
    }
    return 0;
}
