/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CBOR reader on anything. What it accepts is written again token by token (lists and maps as
 * long as they turned out); reading that gives the same tokens, and the same bytes once more.
 */
#include "core/cbor.h"
#include "core/err.h"

enum {
    DOCUMENT_BYTES_MAX = 1 << 20
};

/* Items of the container whose token has just been read. */
static uint64_t count_items(struct kn_cbor_reader r, enum kn_cbor_token first)
{
    uint64_t items = 0;
    unsigned inside = r.depth;
    enum kn_cbor_token token = first;
    for (;;) {
        if (kn_cbor_next(&r, &token) < 0)
            return items; /* the reader itself comes to it too */
        if (r.depth < inside)
            return items;
        items += r.depth == inside + (token == KN_CBOR_MAP || token == KN_CBOR_ARRAY) &&
                 token != KN_CBOR_KEY && token != KN_CBOR_MAP_END && token != KN_CBOR_ARRAY_END;
    }
}

static void write_number(const struct kn_cbor_reader *r, struct kn_buf *out)
{
    int64_t whole;
    int error = kn_cbor_number_i64(r, &whole);
    kn_assert(error == 0 || error == -EINVAL);
    if (error || r->is_real)
        kn_cbor_double(out, kn_cbor_number_double(r));
    else if (r->is_time)
        kn_cbor_time_ms(out, whole);
    else
        kn_cbor_i64(out, whole);
}

static void write_token(struct kn_buf *out, struct kn_cbor_reader *r, enum kn_cbor_token token,
                        struct kn_arena *arena)
{
    struct kn_bytes bytes = {0};
    if (token == KN_CBOR_KEY || token == KN_CBOR_TEXT || token == KN_CBOR_BYTES)
        kn_assert(kn_cbor_join(r, arena, &bytes) == 0);
    switch (token) {
    case KN_CBOR_MAP:
        kn_cbor_map(out, count_items(*r, token));
        break;
    case KN_CBOR_ARRAY:
        kn_cbor_array(out, count_items(*r, token));
        break;
    case KN_CBOR_KEY:
    case KN_CBOR_TEXT:
        kn_cbor_text(out, kn_str_of(bytes));
        break;
    case KN_CBOR_BYTES:
        kn_cbor_bytes(out, bytes);
        break;
    case KN_CBOR_NUMBER:
        write_number(r, out);
        break;
    case KN_CBOR_TRUE:
    case KN_CBOR_FALSE:
        kn_cbor_bool(out, token == KN_CBOR_TRUE);
        break;
    case KN_CBOR_NULL:
        kn_cbor_null(out);
        break;
    case KN_CBOR_MAP_END:
    case KN_CBOR_ARRAY_END:
    case KN_CBOR_DONE:
        break;
    }
}

/* 0 and the document written again, or -EBADMSG. */
static int rewrite(struct kn_bytes in, struct kn_buf *out)
{
    struct kn_cbor_reader r;
    struct kn_arena arena;
    enum kn_cbor_token token = KN_CBOR_NULL;
    int error = 0;
    kn_arena_init(&arena, 64 << 20);
    kn_cbor_reader_init(&r, in);
    while (!error && token != KN_CBOR_DONE) {
        error = kn_cbor_next(&r, &token);
        kn_assert(error == 0 || error == -EBADMSG);
        kn_assert(kn_cbor_offset(&r) <= in.len);
        if (!error)
            write_token(out, &r, token, &arena);
    }
    kn_arena_done(&arena);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_buf once, twice;
    if (size > 4096)
        return 0; /* counting is quadratic in the nesting */
    kn_buf_init(&once, DOCUMENT_BYTES_MAX);
    kn_buf_init(&twice, DOCUMENT_BYTES_MAX);
    if (rewrite((struct kn_bytes){data, size}, &once) == 0 && !once.error) {
        kn_assert(rewrite(kn_buf_bytes(&once), &twice) == 0);
        kn_assert(kn_str_eq(kn_buf_str(&once), kn_buf_str(&twice)));
    }
    kn_buf_done(&once);
    kn_buf_done(&twice);
    return 0;
}
