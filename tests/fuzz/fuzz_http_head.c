/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 heads and chunked bodies. The first byte says how the rest is cut in pieces; whatever
 * the pieces, the outcome must be the same as of the whole, and no view may leave the input.
 */
#include "http_h1_parse.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

enum {
    HEADERS_MAX = 32
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int result; /* -1 refused, 0 unfinished, 1 ended */
    size_t used;
    struct kn_buf body;
};

static void dechunk(struct kn_bytes input, size_t step, struct outcome *ret)
{
    struct kn_h1_chunked c = {0};
    ret->result = 0;
    ret->used = 0;
    while (ret->used < input.len && c.state != KN_H1_END) {
        struct kn_bytes in = {input.ptr + ret->used, input.len - ret->used}, data;
        if (in.len > step)
            in.len = step;
        size_t before = in.len;
        do {
            if (kn_h1_chunked_next(&c, &in, &data) < 0) {
                ret->result = -1;
                return;
            }
            if (data.len > 0) {
                kn_assert(data.ptr >= input.ptr && data.ptr + data.len <= input.ptr + input.len);
                (void) kn_buf_append(&ret->body, data.ptr, data.len);
                kn_h1_chunked_took(&c, &in, data.len);
            }
        } while (data.len > 0);
        ret->used += before - in.len;
    }
    if (c.state == KN_H1_END)
        ret->result = 1;
}

static void fuzz_chunks(struct kn_bytes input, size_t step)
{
    struct outcome whole = {0}, pieces = {0};
    kn_buf_init(&whole.body, 1 << 20);
    kn_buf_init(&pieces.body, 1 << 20);
    dechunk(input, SIZE_MAX, &whole);
    dechunk(input, step, &pieces);
    kn_assert(whole.result == pieces.result);
    kn_assert(whole.result != 1 || whole.used == pieces.used);
    kn_assert(whole.body.len == pieces.body.len);
    kn_assert(whole.body.len == 0 || memcmp(whole.body.ptr, pieces.body.ptr, whole.body.len) == 0);
    kn_buf_done(&whole.body);
    kn_buf_done(&pieces.body);
}

static void check_view(struct kn_str view, const char *buf, size_t len)
{
    kn_assert(view.len == 0 || (view.ptr >= buf && view.ptr + view.len <= buf + len));
}

static size_t fuzz_head(const char *text, size_t size, size_t step)
{
    size_t scan = 0;
    ssize_t found = 0;
    for (size_t len = step < size ? step : size; found == 0;
         len = size - len > step ? len + step : size) {
        found = kn_h1_head_find(text, len, &scan);
        if (len == size)
            break;
    }
    if (found <= 0)
        return 0;
    size_t len = (size_t) found;
    char *buf = malloc(len);
    memcpy(buf, text, len);
    struct kn_http_header headers[HEADERS_MAX];
    struct kn_h1_head head;
    int status = kn_h1_head_parse(buf, len, headers, HEADERS_MAX, &head);
    if (status == 0) {
        check_view(head.method, buf, len);
        check_view(head.path, buf, len);
        check_view(head.query, buf, len);
        kn_assert(head.path.len > 0 && !(head.chunked && head.has_length));
        for (size_t i = 0; i < head.header_count; i++) {
            check_view(headers[i].name, buf, len);
            check_view(headers[i].value, buf, len);
            kn_assert(headers[i].name.len > 0 &&
                      !memchr(headers[i].name.ptr, ' ', headers[i].name.len));
            kn_assert(headers[i].value.len == 0 ||
                      (!memchr(headers[i].value.ptr, '\n', headers[i].value.len) &&
                       !memchr(headers[i].value.ptr, '\r', headers[i].value.len)));
        }
    } else {
        kn_assert(status == 400 || status == 417 || status == 431 || status == 505);
    }
    free(buf);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t step = data[0] % 64u + 1;
    const char *text = (const char *) data + 1;
    size_t head_len = fuzz_head(text, size - 1, step);
    fuzz_chunks((struct kn_bytes){data + 1 + head_len, size - 1 - head_len}, step);
    return 0;
}
