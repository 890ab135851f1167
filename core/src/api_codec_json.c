/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest-json and awsJson 1.1: JSON objects in and out, blobs in base64, timestamps as epoch seconds
 * with milliseconds behind the point.
 * Source: Smithy, AWS restJson1 and awsJson1_1 protocols.
 */
#include "api_private.h"

/* --- decode ----------------------------------------------------------------------------------- */
static_assert((int) KN_API_OBJECT == (int) KN_JSON_OBJECT &&
                  (int) KN_API_KEY == (int) KN_JSON_KEY &&
                  (int) KN_API_NULL == (int) KN_JSON_NULL && (int) KN_API_END == (int) KN_JSON_DONE,
              "one order of tokens");

static int next(struct kn_api_source *in, enum kn_api_token *ret)
{
    enum kn_json_token token;
    int error = kn_json_next(&in->json, &token);
    if (!error)
        *ret = (enum kn_api_token) token;
    return error;
}

static int skip(struct kn_api_source *in, enum kn_api_token first)
{
    return kn_json_skip(&in->json, (enum kn_json_token) first);
}

static int text(struct kn_api_source *in, struct kn_arena *arena, struct kn_str *ret)
{
    return kn_json_unescape(&in->json, arena, ret);
}

static int i64(struct kn_api_source *in, int64_t *ret)
{
    return kn_json_number_i64(&in->json, ret);
}

static int epoch_ms(struct kn_api_source *in, int64_t *ret)
{
    return kn_json_number_epoch_ms(&in->json, ret);
}

static int real(struct kn_api_source *in, double *ret)
{
    return kn_json_number_double(&in->json, ret);
}

static const struct kn_api_source_ops source_ops = {next, skip, text, i64, epoch_ms, real};

static int decode(struct kn_api_decode *ctx, struct kn_bytes body,
                  const struct kn_api_structure *structure, void *dst)
{
    struct kn_api_source in = {.ops = &source_ops};
    if (!body.len)
        return 0; /* clients send nothing where nothing is needed */
    kn_json_reader_init(&in.json, body);
    return kn_api_decode_tokens(ctx, &in, structure, dst);
}

static int check(struct kn_bytes body)
{
    struct kn_api_source in = {.ops = &source_ops};
    kn_json_reader_init(&in.json, body);
    return kn_api_check_tokens(&in);
}

/* --- encode ----------------------------------------------------------------------------------- */
static void encode_map(struct kn_json_writer *w, const struct kn_api_map *map)
{
    kn_json_object_begin(w);
    for (size_t i = 0; i < map->count; i++) {
        kn_json_key_str(w, map->items[i].key);
        kn_json_str(w, map->items[i].value);
    }
    kn_json_object_end(w);
}

static void encode_value(struct kn_json_writer *w, const struct kn_api_event *e)
{
    const struct kn_api_i64 *number = e->ptr;
    switch (e->shape->type) {
    case KN_API_STRING:
        kn_json_str(w, *(const struct kn_str *) e->ptr);
        break;
    case KN_API_BLOB:
        kn_json_base64(w, *(const struct kn_bytes *) e->ptr);
        break;
    case KN_API_INTEGER:
    case KN_API_LONG:
        kn_json_i64(w, e->row ? number->v : *(const int64_t *) e->ptr);
        break;
    case KN_API_TIMESTAMP:
        kn_json_epoch_ms(w, number->v);
        break;
    case KN_API_DOUBLE:
        kn_json_double(w, ((const struct kn_api_double *) e->ptr)->v);
        break;
    case KN_API_BOOLEAN:
        kn_json_bool(w, ((const struct kn_api_bool *) e->ptr)->v);
        break;
    case KN_API_ENUM:
        kn_assert((size_t) * (const int *) e->ptr <= e->shape->value_count);
        kn_json_str(w, e->shape->values[*(const int *) e->ptr]);
        break;
    case KN_API_MAP:
        encode_map(w, e->ptr);
        break;
    case KN_API_BLOB_VIEW:
        kn_assert(false); /* of inputs only */
        break;
    case KN_API_STRUCTURE:
    case KN_API_LIST:
        break; /* have events of their own */
    }
}

int kn_api_encode_json(const struct kn_api_structure *structure, const void *src,
                       struct kn_buf *dst)
{
    struct kn_json_writer w;
    struct kn_api_walk walk;
    struct kn_api_event e;
    kn_json_writer_init(&w, dst);
    kn_json_object_begin(&w);
    kn_api_walk_init(&walk, structure, src);
    while (kn_api_walk_next(&walk, &e)) {
        if (e.kind == KN_API_ABSENT || (e.row && e.row->header))
            continue;
        if (e.row && e.kind != KN_API_STRUCTURE_END && e.kind != KN_API_LIST_END)
            kn_json_key_str(&w, e.row->name);
        if (e.kind == KN_API_STRUCTURE_BEGIN)
            kn_json_object_begin(&w);
        else if (e.kind == KN_API_STRUCTURE_END)
            kn_json_object_end(&w);
        else if (e.kind == KN_API_LIST_BEGIN)
            kn_json_array_begin(&w);
        else if (e.kind == KN_API_LIST_END)
            kn_json_array_end(&w);
        else
            encode_value(&w, &e);
    }
    return dst->error;
}

/* --- an error --------------------------------------------------------------------------------- */
static void fault(const char *type, const char *member, struct kn_str message, struct kn_buf *dst)
{
    struct kn_json_writer w;
    kn_json_writer_init(&w, dst);
    kn_json_object_begin(&w);
    kn_json_key(&w, "__type");
    kn_json_text(&w, type);
    if (member) {
        kn_json_key(&w, member);
        kn_json_str(&w, message);
    }
    kn_json_object_end(&w);
}

const struct kn_api_codec kn_api_rest_json = {
    .content_type = "application/json",
    .decode = decode,
    .encode = kn_api_encode_json,
};
const struct kn_api_codec kn_api_aws_json = {
    .content_type = "application/x-amz-json-1.1",
    .coral = true,
    .decode = decode,
    .check = check,
    .encode = kn_api_encode_json,
    .fault = fault,
};
