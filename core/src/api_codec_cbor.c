/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS's CBOR of the awsJson 1.1 operations (application/x-amz-cbor-1.1): the same objects, blobs as
 * byte strings, timestamps as tag 1 with whole milliseconds. Definite lengths go out, either kind
 * comes in.
 * Source: what the AWS SDK for Java sends and expects (aws-sdk-java-v2 #4661; contract of the data
 * streams API, section 3.1); RFC 8949.
 */
#include "api_private.h"

/* --- decode ----------------------------------------------------------------------------------- */
static_assert((int) KN_API_OBJECT == (int) KN_CBOR_MAP && (int) KN_API_KEY == (int) KN_CBOR_KEY &&
                  (int) KN_API_NULL == (int) KN_CBOR_NULL &&
                  (int) KN_API_END == (int) KN_CBOR_DONE &&
                  (int) KN_API_BYTES == (int) KN_CBOR_BYTES,
              "one order of tokens");

/* Up to here a real number of a timestamp is seconds (until the year 5138), from here on
 * milliseconds (since 1973): clients whose numbers are all doubles write either. */
static const double seconds_max = 1e11;

static int next(struct kn_api_source *in, enum kn_api_token *ret)
{
    enum kn_cbor_token token;
    int error = kn_cbor_next(&in->cbor, &token);
    if (!error)
        *ret = (enum kn_api_token) token;
    return error;
}

static int skip(struct kn_api_source *in, enum kn_api_token first)
{
    return kn_cbor_skip(&in->cbor, (enum kn_cbor_token) first);
}

static int text(struct kn_api_source *in, struct kn_arena *arena, struct kn_str *ret)
{
    struct kn_bytes bytes;
    int error = kn_cbor_join(&in->cbor, arena, &bytes);
    if (!error)
        *ret = kn_str_of(bytes);
    return error;
}

static int i64(struct kn_api_source *in, int64_t *ret)
{
    return kn_cbor_number_i64(&in->cbor, ret);
}

static int epoch_ms(struct kn_api_source *in, int64_t *ret)
{
    if (!in->cbor.is_real)
        return kn_cbor_number_i64(&in->cbor, ret);
    double v = in->cbor.real;
    bool seconds = v < seconds_max && v > -seconds_max;
    v = seconds ? v * 1000 : v;
    if (!(v > -0x1p62 && v < 0x1p62))
        return -EINVAL;
    *ret = (int64_t) (v < 0 ? v - 0.5 : v + 0.5);
    return 0;
}

static int real(struct kn_api_source *in, double *ret)
{
    *ret = kn_cbor_number_double(&in->cbor);
    return *ret - *ret == 0 ? 0 : -EINVAL; /* neither infinite nor not a number, as in JSON */
}

static const struct kn_api_source_ops source_ops = {next, skip, text, i64, epoch_ms, real};

static int decode(struct kn_api_decode *ctx, struct kn_bytes body,
                  const struct kn_api_structure *structure, void *dst)
{
    struct kn_api_source in;
    in.ops = &source_ops;
    kn_cbor_reader_init(&in.cbor, body);
    return kn_api_decode_tokens(ctx, &in, structure, dst);
}

static int check(struct kn_bytes body)
{
    struct kn_api_source in;
    in.ops = &source_ops;
    kn_cbor_reader_init(&in.cbor, body);
    return kn_api_check_tokens(&in);
}

/* --- encode ----------------------------------------------------------------------------------- */
static void encode_map(struct kn_buf *dst, const struct kn_api_map *map)
{
    kn_cbor_map(dst, map->count);
    for (size_t i = 0; i < map->count; i++) {
        kn_cbor_text(dst, map->items[i].key);
        kn_cbor_text(dst, map->items[i].value);
    }
}

static void encode_value(struct kn_buf *dst, const struct kn_api_event *e)
{
    const struct kn_api_i64 *number = e->ptr;
    switch (e->shape->type) {
    case KN_API_STRING:
        kn_cbor_text(dst, *(const struct kn_str *) e->ptr);
        break;
    case KN_API_BLOB:
        kn_cbor_bytes(dst, *(const struct kn_bytes *) e->ptr);
        break;
    case KN_API_INTEGER:
    case KN_API_LONG:
        kn_cbor_i64(dst, e->row ? number->v : *(const int64_t *) e->ptr);
        break;
    case KN_API_TIMESTAMP:
        kn_cbor_time_ms(dst, number->v);
        break;
    case KN_API_DOUBLE:
        kn_cbor_double(dst, ((const struct kn_api_double *) e->ptr)->v);
        break;
    case KN_API_BOOLEAN:
        kn_cbor_bool(dst, ((const struct kn_api_bool *) e->ptr)->v);
        break;
    case KN_API_ENUM:
        kn_assert((size_t) * (const int *) e->ptr <= e->shape->value_count);
        kn_cbor_text(dst, e->shape->values[*(const int *) e->ptr]);
        break;
    case KN_API_MAP:
        encode_map(dst, e->ptr);
        break;
    case KN_API_BLOB_VIEW:
        kn_assert(false); /* of inputs only */
        break;
    case KN_API_STRUCTURE:
    case KN_API_LIST:
        break; /* have events of their own */
    }
}

/* The container that the walk has just entered says how long it is. */
static void encode_open(struct kn_buf *dst, const struct kn_api_walk *walk)
{
    const struct kn_api_frame *top = &walk->stack[walk->depth - 1];
    if (top->structure)
        kn_cbor_map(dst, kn_api_present(top->structure, top->base));
    else
        kn_cbor_array(dst, top->count);
}

static int encode(const struct kn_api_structure *structure, const void *src, struct kn_buf *dst)
{
    struct kn_api_walk walk;
    struct kn_api_event e;
    kn_api_walk_init(&walk, structure, src);
    encode_open(dst, &walk);
    while (kn_api_walk_next(&walk, &e)) {
        if (e.kind == KN_API_ABSENT || e.kind == KN_API_STRUCTURE_END || e.kind == KN_API_LIST_END)
            continue;
        if (e.row)
            kn_cbor_text(dst, e.row->name);
        if (e.kind == KN_API_VALUE)
            encode_value(dst, &e);
        else
            encode_open(dst, &walk);
    }
    return dst->error;
}

static void fault(const char *type, const char *member, struct kn_str message, struct kn_buf *dst)
{
    kn_cbor_map(dst, member ? 2 : 1);
    kn_cbor_text(dst, KN_STR("__type"));
    kn_cbor_text(dst, kn_str_from(type));
    if (member) {
        kn_cbor_text(dst, kn_str_from(member));
        kn_cbor_text(dst, message);
    }
}

const struct kn_api_codec kn_api_aws_cbor = {
    .content_type = "application/x-amz-cbor-1.1",
    .coral = true,
    .decode = decode,
    .check = check,
    .encode = encode,
    .fault = fault,
};
