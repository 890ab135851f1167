/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR (RFC 8949), as much of it as AWS's protocols speak: a pull reader over a whole body that
 * allocates nothing and never recurses, and a writer of definite lengths. Maps have text keys; tag
 * 1 marks a time, other tags are passed over; strings of any length are checked against what is
 * there before they are believed. Portable C11.
 */
#ifndef CORE_CBOR_H
#define CORE_CBOR_H

#include "core/arena.h"
#include "core/buf.h"

enum {
    KN_CBOR_DEPTH_MAX = 64,
    KN_CBOR_TAGS_MAX = 4 /* around one another */
};

enum kn_cbor_token {
    KN_CBOR_MAP,
    KN_CBOR_MAP_END,
    KN_CBOR_ARRAY,
    KN_CBOR_ARRAY_END,
    KN_CBOR_KEY,
    KN_CBOR_TEXT,
    KN_CBOR_NUMBER,
    KN_CBOR_TRUE,
    KN_CBOR_FALSE,
    KN_CBOR_NULL, /* undefined too */
    KN_CBOR_DONE, /* the document is complete */
    KN_CBOR_BYTES,
};

struct kn_cbor_reader {
    struct kn_reader in;
    const uint8_t *start;
    struct kn_bytes raw; /* of KEY, TEXT, BYTES: what they hold; chunked: the chunks, with heads */
    bool chunked;        /* of indefinite length: use kn_cbor_join */
    bool is_real;        /* NUMBER: `real`; else magnitude, or -1 - magnitude when negative */
    bool negative, is_time;
    uint64_t magnitude;
    double real;
    bool broken, done;
    unsigned depth;
    struct kn_cbor_open {
        uint64_t left; /* items to come; UINT64_MAX: until a break */
        bool is_map, value_due;
    } open[KN_CBOR_DEPTH_MAX];
};

void kn_cbor_reader_init(struct kn_cbor_reader *r, struct kn_bytes in);
int kn_cbor_next(struct kn_cbor_reader *r, enum kn_cbor_token *ret) KN_MUSTUSE; /* -EBADMSG */
size_t kn_cbor_offset(const struct kn_cbor_reader *r);
/* Skips the value whose first token has just been read. */
int kn_cbor_skip(struct kn_cbor_reader *r, enum kn_cbor_token first) KN_MUSTUSE;
/* raw when it lies in one piece, else a copy in the arena. */
int kn_cbor_join(const struct kn_cbor_reader *r, struct kn_arena *arena, struct kn_bytes *ret)
    KN_MUSTUSE;
/* The NUMBER just read. i64: whole numbers in range, -EINVAL otherwise. */
int kn_cbor_number_i64(const struct kn_cbor_reader *r, int64_t *ret) KN_MUSTUSE;
double kn_cbor_number_double(const struct kn_cbor_reader *r);

/* Writing: errors stick in the buf. Counts of maps are of pairs; the caller keeps its word. */
void kn_cbor_map(struct kn_buf *out, uint64_t pairs);
void kn_cbor_array(struct kn_buf *out, uint64_t items);
void kn_cbor_text(struct kn_buf *out, struct kn_str value); /* what is no UTF-8 becomes U+FFFD */
void kn_cbor_bytes(struct kn_buf *out, struct kn_bytes value);
void kn_cbor_i64(struct kn_buf *out, int64_t value);
void kn_cbor_double(struct kn_buf *out, double value);
void kn_cbor_bool(struct kn_buf *out, bool value);
void kn_cbor_null(struct kn_buf *out);
/* Tag 1 and a whole number of milliseconds: AWS's own reading of that tag, not the RFC's. */
void kn_cbor_time_ms(struct kn_buf *out, int64_t ms);

#endif
