/* SPDX-License-Identifier: Apache-2.0 */
/* Reading HTTP/1.1: the head, and the chunked body. No I/O, no allocation, any thread. */
#ifndef CORE_SRC_HTTP_H1_PARSE_H
#define CORE_SRC_HTTP_H1_PARSE_H

#include "core/http.h"

enum {
    KN_H1_METHOD_BYTES_MAX = 32,
    KN_H1_CHUNK_DIGITS_MAX = 15,     /* hexadecimal: 60 bits */
    KN_H1_CHUNK_EXT_BYTES_MAX = 256, /* one chunk's extensions, all ignored */
    KN_H1_TRAILER_BYTES_MAX = 4096,  /* all ignored */
};

struct kn_h1_head {
    struct kn_str method, path, query;
    bool minor_0; /* HTTP/1.0 */
    struct kn_http_header *headers;
    size_t header_count;
    bool chunked;
    bool has_length;
    uint64_t length;
    bool expect_100;
    bool close;      /* Connection: close */
    bool keep_alive; /* Connection: keep-alive */
};

/* Looks for the end of a head in buf. *scan: where to go on at the next call, 0 at first.
 * Returns its length, 0 when there is more to come, -EBADMSG for a bare LF, CR or NUL. */
ssize_t kn_h1_head_find(const char *buf, size_t len, size_t *scan);

/* Reads a whole head of len bytes. Header names are put in lower case in place; views point into
 * buf. headers: room for header_max. Returns 0 or the HTTP status to refuse it with. */
int kn_h1_head_parse(char *buf, size_t len, struct kn_http_header *headers, size_t header_max,
                     struct kn_h1_head *ret);

/* The same rules for heads that come another way (HTTP/2, answers of handlers). */
bool kn_h1_method_is_valid(struct kn_str method);
bool kn_h1_target_is_valid(struct kn_str target); /* not empty, and only characters of a target */
bool kn_h1_host_is_valid(struct kn_str host);
bool kn_h1_value_is_valid(struct kn_str value);

enum kn_h1_chunk_state {
    KN_H1_SIZE_FIRST,
    KN_H1_SIZE,
    KN_H1_EXT,
    KN_H1_SIZE_LF,
    KN_H1_DATA,
    KN_H1_DATA_CR,
    KN_H1_DATA_LF,
    KN_H1_TRAILER_FIRST,
    KN_H1_TRAILER,
    KN_H1_TRAILER_LF,
    KN_H1_LAST_LF,
    KN_H1_END,
};

struct kn_h1_chunked {
    enum kn_h1_chunk_state state;
    uint64_t left; /* of the chunk's data */
    unsigned digits;
    unsigned extra_bytes; /* of extensions or trailers so far */
};

/* Takes framing bytes from in and stops at data: *ret_data is the run of it that is there, still
 * in `in`; say by kn_h1_chunked_took how much was used. Returns 0, with ret_data->len 0 when more
 * bytes are needed or the end was reached (state KN_H1_END), or -EBADMSG. */
int kn_h1_chunked_next(struct kn_h1_chunked *c, struct kn_bytes *in, struct kn_bytes *ret_data);
void kn_h1_chunked_took(struct kn_h1_chunked *c, struct kn_bytes *in, size_t len);

#endif
