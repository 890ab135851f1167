/* SPDX-License-Identifier: Apache-2.0 */
/* Flat views of the JSON that the service answers with, and its acknowledgements. */
#ifndef SDK_TEXT_H
#define SDK_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum {
    ACK_BYTES_MAX = 1024,       /* of one acknowledgement; AWS's own parser takes as many */
    ACK_NUMBER_BYTES_MAX = 128, /* of FragmentNumber, by AWS's pattern */
    ACK_CODE_BYTES_MAX = 128,
    JSON_DEPTH_MAX = 16,
    JSON_TEXT_BYTES_MAX = 1024
};

/* The first member of that name, at whatever depth: a string's text, unescaped, or a number's
 * digits. -ENOENT: there is none; -EMSGSIZE: longer than dst; -EBADMSG: no JSON up to there. */
int json_find(const char *ptr, size_t len, const char *name, char *dst, size_t cap);

/* Every scalar member, at whatever depth, in order; both NULL at the end of each object. A value
 * other than 0 ends it and is returned. -EMSGSIZE: a text is longer than JSON_TEXT_BYTES_MAX. */
typedef int json_fn(void *ctx, const char *name, const char *text);
int json_each(const char *ptr, size_t len, json_fn *each, void *ctx);

struct ack {
    char event[16];
    int has_time;
    uint64_t time;
    char number[ACK_NUMBER_BYTES_MAX + 1];
    uint64_t error_id;
    char error_code[ACK_CODE_BYTES_MAX + 1];
};
/* Objects one after the other, cut anywhere; between them anything blank. */
struct ack_parser {
    char bytes[ACK_BYTES_MAX];
    size_t len;
    unsigned depth;
    int in_string, escaped;
};
/* Takes bytes up to the end of one acknowledgement; *ret_used says how many. 1: ret holds one; 0:
 * more bytes are needed; -EBADMSG: this is none; -EMSGSIZE: longer than ACK_BYTES_MAX. */
int ack_feed(struct ack_parser *parser, const char *ptr, size_t len, size_t *ret_used,
             struct ack *ret);

/* The chunks of an answer taken off. libcurl could do it, but does not tell that the answer is over
 * while the body still goes up. */
struct chunks {
    uint64_t left; /* of a chunk's data, or what its size is so far */
    int state;
};
/* Calls data for what lies in chunks. 1: the last chunk has come; 0: it goes on; -EBADMSG. */
typedef void chunk_fn(void *ctx, const char *ptr, size_t len);
int chunks_feed(struct chunks *chunks, const char *ptr, size_t len, chunk_fn *data, void *ctx);

#endif
