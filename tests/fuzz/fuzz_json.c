/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON reader on anything. What it accepts is written again token by token; reading that must
 * give the same tokens.
 */
#include "core/err.h"
#include "core/json.h"

enum {
    DOCUMENT_BYTES_MAX = 1 << 20
};
static const int64_t exact_max = INT64_C(1) << 53;

static void write_token(struct kn_json_writer *w, struct kn_json_reader *r,
                        enum kn_json_token token, struct kn_arena *arena)
{
    struct kn_str text = {0};
    if (token == KN_JSON_KEY || token == KN_JSON_STRING)
        kn_assert(kn_json_unescape(r, arena, &text) == 0);
    switch (token) {
    case KN_JSON_OBJECT:
        kn_json_object_begin(w);
        break;
    case KN_JSON_OBJECT_END:
        kn_json_object_end(w);
        break;
    case KN_JSON_ARRAY:
        kn_json_array_begin(w);
        break;
    case KN_JSON_ARRAY_END:
        kn_json_array_end(w);
        break;
    case KN_JSON_KEY:
        kn_json_key_str(w, text);
        break;
    case KN_JSON_STRING:
        kn_json_str(w, text);
        break;
    case KN_JSON_NUMBER: {
        int64_t whole, ms;
        double real;
        int error = kn_json_number_epoch_ms(r, &ms);
        kn_assert(error == 0 || error == -EINVAL);
        /* beyond 2^53 a double and its decimal text are two numbers */
        if (kn_json_number_i64(r, &whole) == 0 && whole < exact_max && whole > -exact_max)
            kn_json_i64(w, whole);
        else if (kn_json_number_double(r, &real) == 0)
            kn_json_double(w, real);
        else
            kn_json_null(w);
        break;
    }
    case KN_JSON_TRUE:
    case KN_JSON_FALSE:
        kn_json_bool(w, token == KN_JSON_TRUE);
        break;
    case KN_JSON_NULL:
        kn_json_null(w);
        break;
    case KN_JSON_DONE:
        break;
    }
}

/* 0 and the document written again, or -EBADMSG. */
static int rewrite(struct kn_bytes in, struct kn_buf *out)
{
    struct kn_json_reader r;
    struct kn_json_writer w;
    struct kn_arena arena;
    enum kn_json_token token = KN_JSON_NULL;
    int error = 0;
    kn_arena_init(&arena, 64 << 20);
    kn_json_reader_init(&r, in);
    kn_json_writer_init(&w, out);
    while (!error && token != KN_JSON_DONE) {
        error = kn_json_next(&r, &token);
        kn_assert(error == 0 || error == -EBADMSG);
        kn_assert(kn_json_offset(&r) <= in.len);
        if (!error)
            write_token(&w, &r, token, &arena);
    }
    kn_arena_done(&arena);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_buf once, twice, again;
    kn_buf_init(&once, DOCUMENT_BYTES_MAX);
    kn_buf_init(&twice, DOCUMENT_BYTES_MAX);
    kn_buf_init(&again, DOCUMENT_BYTES_MAX);
    if (rewrite((struct kn_bytes){data, size}, &once) == 0 && !once.error) {
        /* a real that turns out whole (-0, 8e15) is spelt as an integer the second time; then it
         * stays */
        kn_assert(rewrite(kn_buf_bytes(&once), &twice) == 0);
        if (!twice.error) {
            kn_assert(rewrite(kn_buf_bytes(&twice), &again) == 0);
            kn_assert(kn_str_eq(kn_buf_str(&twice), kn_buf_str(&again)));
        }
    }
    kn_buf_done(&once);
    kn_buf_done(&twice);
    kn_buf_done(&again);
    return 0;
}
