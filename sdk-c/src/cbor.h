/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR as Kinesis data streams speak it (application/x-amz-cbor-1.1). @source RFC 8949 */
#ifndef SDK_CBOR_H
#define SDK_CBOR_H

#include <stddef.h>
#include <stdint.h>

enum {
    CBOR_DEPTH_MAX = 16
};

enum cbor_type {
    CBOR_UINT,
    CBOR_NINT,
    CBOR_BYTES,
    CBOR_TEXT,
    CBOR_ARRAY,
    CBOR_MAP,
    CBOR_TAG,
    CBOR_SIMPLE, /* booleans, null, and real numbers as .real */
    CBOR_BREAK   /* ends what is of no length said */
};

struct cbor {
    const uint8_t *at, *end;
};
struct cbor_item {
    enum cbor_type type;
    uint64_t value; /* number; length of an array or map; tag */
    int no_length;  /* an array or map that a break ends */
    double real;
    const uint8_t *ptr; /* of bytes and text; a view */
    size_t len;
};

/* The next head, with its bytes or text. -EBADMSG: not whole, or what AWS does not send: bytes or
 * text in pieces. */
int cbor_next(struct cbor *in, struct cbor_item *ret);
/* Passes over one whole value. */
int cbor_skip(struct cbor *in);

/* Walks an array's values or a map's keys: after cbor_open() of the item, cbor_more() says 1 while
 * there is one more, which is to be read or skipped whole. */
struct cbor_group {
    uint64_t left;
    int no_length;
};
int cbor_open(const struct cbor_item *item, enum cbor_type type, struct cbor_group *ret);
int cbor_more(struct cbor *in, struct cbor_group *group);

/* A map's next member: 1 with its key, whose value is then to be read; 0: no more. */
int cbor_member(struct cbor *in, struct cbor_group *map, struct cbor_item *ret_key);
int cbor_is(const struct cbor_item *item, const char *text);
/* Copies a text; -EMSGSIZE: longer; null is "". */
int cbor_text(struct cbor *in, char *dst, size_t cap);
int cbor_int(struct cbor *in, int64_t *ret);     /* a whole number */
int cbor_time(struct cbor *in, int64_t *ret_ms); /* see docs/protocols/aws-json.md */

/* Writing, into memory that is large enough; sticks at its end, and then is not whole. */
struct cbor_out {
    uint8_t *ptr;
    size_t len, cap; /* len > cap: it did not fit */
};
void cbor_put_head(struct cbor_out *out, enum cbor_type type, uint64_t value);
void cbor_put_text(struct cbor_out *out, const char *text);

#endif
