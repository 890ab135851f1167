/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a chunk that are ours: head, header records, fragment records, footer.
 * docs/format-chunk.md is the specification; this header and format.c are its only code.
 */
#ifndef STORAGE_SRC_FORMAT_H
#define STORAGE_SRC_FORMAT_H

#include "core/buf.h"
#include "core/err.h"
#include "storage/fragment.h"

enum {
    STORAGE_CHUNK_VERSION = 1,
    STORAGE_CHUNK_ID_BYTES = 16,
    STORAGE_CHUNK_FRAGMENTS_MAX = 16384, /* so that an ordinal fits 16 bits with room to spare */
    STORAGE_CHUNK_HEADERS_MAX = 250,     /* an index fits one byte */

    STORAGE_ENTRY_BYTES = 64,
    STORAGE_RECORD_HEAD_BYTES = 29, /* Void head 5, magic, crc, offset, previous, durable, epoch */
    STORAGE_HEAD_BODY_BYTES = 80,
    STORAGE_HEAD_BYTES = STORAGE_RECORD_HEAD_BYTES + STORAGE_HEAD_BODY_BYTES,
    STORAGE_SEEK_BYTES = 64, /* a Void that becomes a SeekHead when the chunk is sealed */
    STORAGE_HEADER_BODY_BYTES = 16,
    STORAGE_FOOTER_BODY_BYTES = 16 + STORAGE_HEAD_BODY_BYTES,
    STORAGE_FOOTER_HEADER_BYTES = 16,
    STORAGE_TRAILER_BYTES = 8,
    STORAGE_VOID_BYTES_MAX = 9, /* id and an 8-byte size: what an abandoned fragment needs */
    STORAGE_RECORD_BYTES_MAX = (1 << 24) - 1,
    STORAGE_TAGS_BYTES_MAX = (1 << 24) - 1,
};

enum storage_record_kind {
    STORAGE_RECORD_HEAD = 0x434D4E4B,     /* "KNMC": the chunk itself, first in the Segment */
    STORAGE_RECORD_HEADER = 0x484D4E4B,   /* "KNMH": a sender's header, as sent */
    STORAGE_RECORD_FRAGMENT = 0x464D4E4B, /* "KNMF": after each fragment */
    STORAGE_RECORD_FOOTER = 0x454D4E4B,   /* "KNME": the index, last */
    STORAGE_TRAILER_MAGIC = 0x5A4D4E4B,   /* "KNMZ": the last four bytes of a sealed file */
};

/* What a chunk's head record says; entries are relative to it. */
struct storage_chunk_head {
    uint8_t id[STORAGE_CHUNK_ID_BYTES];
    struct storage_id stream;
    struct storage_number name; /* smaller than every number in it; names the file */
    uint64_t ordinal;           /* not larger than that of the first fragment */
    uint64_t discontinuity;
    uint32_t epoch;
};

struct storage_record {
    enum storage_record_kind kind;
    uint32_t offset;       /* its own, of the Void's first byte */
    uint32_t previous;     /* offset of the record before it; 0 before the head */
    uint32_t durable_upto; /* all bytes before this were flushed when it was written */
    uint32_t epoch;
    uint32_t bytes; /* whole Void */
    struct kn_bytes body;
};

struct storage_chunk_header { /* one sender's header within a chunk */
    uint32_t offset;          /* of its bytes */
    uint32_t bytes;
    uint64_t hash; /* names the bytes: equal in all chunks and sessions */
};

uint32_t storage_format_seed(const uint8_t id[STORAGE_CHUNK_ID_BYTES]);

/* Starts a record: reserves its head at the end of out and returns where it begins there. */
size_t storage_record_start(struct kn_buf *out, enum storage_record_kind kind);
/* Ends it: fills size and head, and the checksum over all of it. */
void storage_record_end(struct kn_buf *out, size_t start, const struct storage_record *record,
                        uint32_t seed);
/* The head of a record in bytes, which may hold less than the whole of it.
 * -ENODATA too short, -EBADMSG not a record. Checks no checksum. */
int storage_record_peek(struct kn_bytes bytes, struct storage_record *ret) KN_MUSTUSE;
/* The whole record at a known offset; -EBADMSG when size, checksum or own offset do not hold. */
int storage_record_read(struct kn_bytes bytes, uint64_t offset, uint32_t seed,
                        struct storage_record *ret) KN_MUSTUSE;

void storage_head_encode(uint8_t dst[STORAGE_HEAD_BODY_BYTES],
                         const struct storage_chunk_head *head);
void storage_head_append(struct kn_buf *out, const struct storage_chunk_head *head);
int storage_head_parse(struct kn_bytes body, struct storage_chunk_head *ret) KN_MUSTUSE;

/* A fragment's entry. header: index within the chunk. -EMSGSIZE: a field is out of range. */
int storage_entry_encode(uint8_t dst[STORAGE_ENTRY_BYTES], const struct storage_chunk_head *head,
                         const struct storage_fragment *fragment, uint8_t header, uint32_t crc)
    KN_MUSTUSE;
/* Fills all of *ret but header, which the caller looks up with *ret_header. */
void storage_entry_decode(const uint8_t src[STORAGE_ENTRY_BYTES],
                          const struct storage_chunk_head *head, struct storage_fragment *ret,
                          uint8_t *ret_header, uint32_t *ret_crc);
/* Single fields, for searching. */
uint64_t storage_entry_seq(const uint8_t *entry, const struct storage_chunk_head *head);
int64_t storage_entry_server_ts(const uint8_t *entry, const struct storage_chunk_head *head);
int64_t storage_entry_producer_ts(const uint8_t *entry);

/* The index of a chunk: in memory while it is open, its footer once it is sealed. */
struct storage_index {
    struct storage_chunk_head head;
    uint32_t header_count;
    uint32_t count;
    bool producer_ascends; /* producer times never fall: they can be bisected */
    struct storage_chunk_header headers[STORAGE_CHUNK_HEADERS_MAX];
    uint8_t *entries; /* count × STORAGE_ENTRY_BYTES */
    uint32_t cap;
};
void storage_index_done(struct storage_index *index);
/* Room for that many more, so that adding cannot fail. */
int storage_index_reserve(struct storage_index *index, uint32_t more) KN_MUSTUSE;
int storage_index_add(struct storage_index *index, const uint8_t entry[STORAGE_ENTRY_BYTES])
    KN_MUSTUSE;
void storage_index_get(const struct storage_index *index, uint32_t at, struct storage_fragment *ret,
                       uint32_t *ret_crc);
static inline const uint8_t *storage_index_entry(const struct storage_index *index, uint32_t at)
{
    return index->entries + (size_t) at * STORAGE_ENTRY_BYTES;
}

/* Footer: record, head, headers, entries, and the trailer that names its size. */
int storage_footer_append(struct kn_buf *out, const struct storage_index *index,
                          const struct storage_record *record);
/* bytes: the whole footer, from its Void's first byte, which lies at offset. What ret held goes. */
int storage_footer_parse(struct kn_bytes bytes, uint64_t offset, struct storage_index *ret,
                         struct storage_record *ret_record) KN_MUSTUSE;
/* The trailer: *ret_bytes is the size of the footer, trailer included. -EBADMSG: not sealed. */
int storage_trailer_parse(const uint8_t trailer[STORAGE_TRAILER_BYTES], uint32_t *ret_bytes)
    KN_MUSTUSE;
/* Most bytes the footer of a chunk with that many fragments and headers can take. */
uint64_t storage_footer_bytes(uint32_t fragments, uint32_t headers);

/* Loads and stores that -Wconversion accepts; the caller has checked the room. */
static inline uint32_t storage_get_u32(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static inline uint64_t storage_get_u64(const uint8_t *p)
{
    return (uint64_t) storage_get_u32(p) | (uint64_t) storage_get_u32(p + 4) << 32;
}

#endif
