/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: a streaming writer that escapes and closes for you, and a strict pull reader over a whole
 * body that allocates nothing and never recurses (RFC 8259; UTF-8 checked; lone surrogates refused;
 * depth at most KN_JSON_DEPTH_MAX). Portable C11.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/arena.h"
#include "core/buf.h"

enum {
    KN_JSON_DEPTH_MAX = 64
};

/* Writes into a buf; errors stick in the buf. Misuse (a value where a key is due) asserts. */
struct kn_json_writer {
    struct kn_buf *out;
    unsigned depth;
    uint8_t state[KN_JSON_DEPTH_MAX + 1]; /* of each open container; [0] is the document */
};

void kn_json_writer_init(struct kn_json_writer *w, struct kn_buf *out);
void kn_json_object_begin(struct kn_json_writer *w);
void kn_json_object_end(struct kn_json_writer *w);
void kn_json_array_begin(struct kn_json_writer *w);
void kn_json_array_end(struct kn_json_writer *w);
void kn_json_key(struct kn_json_writer *w, const char *key);
void kn_json_key_str(struct kn_json_writer *w, struct kn_str key);
void kn_json_str(struct kn_json_writer *w, struct kn_str value);
void kn_json_base64(struct kn_json_writer *w, struct kn_bytes value);
void kn_json_text(struct kn_json_writer *w, const char *value); /* NULL writes null */
void kn_json_i64(struct kn_json_writer *w, int64_t value);
void kn_json_u64(struct kn_json_writer *w, uint64_t value);
void kn_json_double(struct kn_json_writer *w, double value);
void kn_json_bool(struct kn_json_writer *w, bool value);
void kn_json_null(struct kn_json_writer *w);
/* Milliseconds as epoch seconds with three decimals, the form both AWS SDKs read. */
void kn_json_epoch_ms(struct kn_json_writer *w, int64_t ms);

enum kn_json_token {
    KN_JSON_OBJECT, /* { */
    KN_JSON_OBJECT_END,
    KN_JSON_ARRAY,
    KN_JSON_ARRAY_END,
    KN_JSON_KEY,
    KN_JSON_STRING,
    KN_JSON_NUMBER,
    KN_JSON_TRUE,
    KN_JSON_FALSE,
    KN_JSON_NULL,
    KN_JSON_DONE, /* the document is complete */
};

struct kn_json_reader {
    struct kn_reader in;
    const uint8_t *start;
    struct kn_str raw; /* of KEY, STRING (between the quotes) and NUMBER: as written */
    bool escaped;      /* raw of KEY or STRING holds escapes: use kn_json_unescape */
    unsigned depth;
    uint8_t state[KN_JSON_DEPTH_MAX];
    uint8_t expect;
};

void kn_json_reader_init(struct kn_json_reader *r, struct kn_bytes in);
/* 0, or -EBADMSG; kn_json_offset then says where. */
int kn_json_next(struct kn_json_reader *r, enum kn_json_token *ret) KN_MUSTUSE;
size_t kn_json_offset(const struct kn_json_reader *r);
/* Skips the value whose first token has just been read. */
int kn_json_skip(struct kn_json_reader *r, enum kn_json_token first) KN_MUSTUSE;
/* raw when nothing is escaped, else an unescaped copy in the arena. */
int kn_json_unescape(const struct kn_json_reader *r, struct kn_arena *arena, struct kn_str *ret)
    KN_MUSTUSE;
/* The NUMBER just read. i64: whole numbers (also 1e3, 2.0) in range; -EINVAL otherwise.
 * epoch_ms: seconds, fraction and exponent allowed, to milliseconds exactly (no double). */
int kn_json_number_i64(const struct kn_json_reader *r, int64_t *ret) KN_MUSTUSE;
int kn_json_number_epoch_ms(const struct kn_json_reader *r, int64_t *ret) KN_MUSTUSE;
int kn_json_number_double(const struct kn_json_reader *r, double *ret) KN_MUSTUSE;

/* A value that is no scalar: read is called with its first token, which has just been read, and
 * reads to its last. */
struct kn_json_nested {
    int (*read)(struct kn_json_reader *r, enum kn_json_token first, struct kn_arena *arena,
                void *ctx);
    void *ctx;
};

/* A member of an object and where its value goes: one of the destinations is set. */
struct kn_json_member {
    const char *name;
    struct kn_str *str; /* in the arena, or in the document where nothing is escaped */
    char *text;         /* KN_JSON_TEXT: a copy with a NUL; empty if it is too long for it */
    size_t text_cap;
    int64_t *i64;
    uint64_t *u64;
    bool *flag;
    const struct kn_json_nested *nested;
};
#define KN_JSON_TEXT(array) .text = (array), .text_cap = sizeof(array)

/* Reads a document that is one object. Members that are not named, or null, leave everything as it
 * is; of two with one name the last counts. -EBADMSG: no such document, or a value of another type
 * or range than its member's; -ENOMEM from the arena. */
int kn_json_object_read(struct kn_bytes json, struct kn_arena *arena,
                        const struct kn_json_member *members, size_t count) KN_MUSTUSE;
/* The same for an object within a document, whose KN_JSON_OBJECT has just been read. */
int kn_json_members_read(struct kn_json_reader *r, struct kn_arena *arena,
                         const struct kn_json_member *members, size_t count) KN_MUSTUSE;

#endif
