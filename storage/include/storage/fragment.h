/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments as readers see them: numbers, index queries, bytes, frames, and the live tail.
 *
 * Order of a stream: number order = commit order = visibility order. Server times strictly
 * increase. Functions with a `nowait` argument may be called on an event loop with true: they then
 * return -EAGAIN instead of touching the disk, and the caller repeats the call with false on a
 * worker.
 */
#ifndef STORAGE_FRAGMENT_H
#define STORAGE_FRAGMENT_H

#include <sys/uio.h>

#include "core/gate.h"
#include "core/mkv.h"
#include "storage/storage.h"

/* --- numbers: N = 2^156 + seq·2^92 + server_ts_ms·2^28 + random28, 47 digits ------------------ */
struct storage_number {
    uint64_t seq;
    int64_t server_ts_ms;
    uint32_t random;
};
enum {
    STORAGE_NUMBER_DIGITS = 47, /* each of them: none begins with 0 */
    STORAGE_NUMBER_TEXT_BYTES = STORAGE_NUMBER_DIGITS + 1
};
void storage_number_format(const struct storage_number *n, char dst[STORAGE_NUMBER_TEXT_BYTES]);
/* Up to 128 digits. -EINVAL: not digits. -ERANGE never: a number of another layout is mapped to the
 * nearest one of ours, so that "after it" still means something; ret_exact says whether it is ours.
 */
int storage_number_parse(struct kn_str text, struct storage_number *ret, bool *ret_exact)
    KN_MUSTUSE;

/* --- one fragment ---------------------------------------------------------------------------- */
enum storage_fragment_flags {
    STORAGE_FRAGMENT_IN_FLIGHT = 1,     /* still arriving: bytes is what may be read now */
    STORAGE_FRAGMENT_DISCONTINUITY = 2, /* a new session or header, or a gap, before it */
    STORAGE_FRAGMENT_END_TAG = 4,       /* ended by AWS_KINESISVIDEO_END_OF_FRAGMENT */
    STORAGE_FRAGMENT_RELATIVE = 8,      /* sent with relative timecodes */
    STORAGE_FRAGMENT_MEMORY = 16,       /* retention 0 */
    STORAGE_FRAGMENT_COMPLETE = 32,     /* with IN_FLIGHT: all its bytes are here, the flush is due;
                                           the next fragment may have begun */
};

struct storage_fragment { /* a value: copy freely */
    struct storage_number number;
    int64_t producer_ts_ms;
    uint64_t timecode;      /* of the Cluster, as sent, in the header's TimestampScale */
    uint64_t ordinal;       /* 0, 1, 2 … over the stream's life: a playlist's media sequence */
    uint64_t discontinuity; /* DISCONTINUITY flags up to and with its own, over the life */
    uint32_t duration_ms;   /* last picture's time − first one's (as AWS lists it), or of sound */
    uint32_t full_duration_ms; /* the same plus the last one's own duration */
    uint64_t bytes;            /* leading Tags + Cluster + trailing Tags */
    uint32_t cluster_offset;   /* leading Tags before it */
    uint64_t cluster_bytes;
    uint32_t frame_count;
    uint32_t flags;
    uint64_t header; /* names the header within the stream; equal = same header bytes */
    uint64_t chunk;  /* private to storage: where it lies */
    uint64_t offset;
    uint32_t record_bytes;
};

struct storage_frame {
    uint32_t offset; /* of the frame's payload, from the fragment's start */
    uint32_t bytes;
    int32_t time;  /* presentation, relative to the Cluster's timecode, in TimestampScale */
    uint8_t track; /* number as in the header (1 … 255) */
    bool key;
};

/* --- finding ---------------------------------------------------------------------------------- */
enum storage_order {
    STORAGE_BY_NUMBER,
    STORAGE_BY_SERVER_TS,
    STORAGE_BY_PRODUCER_TS
};

struct storage_query {
    enum storage_order order;
    uint64_t after_seq;     /* BY_NUMBER: greater than this (a floor also when newest_first); the
                               others: page on after this seq, 0 = from the start (BY_SERVER_TS
                               newest_first: on to smaller ones) */
    int64_t from_ms, to_ms; /* by time: fragments whose START lies in [from, to]; INT64_MIN/MAX */
    bool newest_first;      /* BY_NUMBER and BY_SERVER_TS */
    bool in_flight;         /* also the fragment now arriving, if it matches */
    bool aged;              /* also what is older than the retention and not removed yet */
};

/* Fills out (ascending, or descending when newest_first), at most cap; *ret_count of them. Trimmed
 * and deleted fragments never appear. BY_PRODUCER_TS pages in number order and returns all whose
 * producer time is in range; callers sort and dedupe. 0 with count 0 when nothing matches. */
int storage_find(struct storage *storage, const struct storage_id *stream,
                 const struct storage_query *query, struct storage_fragment *out, size_t cap,
                 size_t *ret_count, bool nowait) KN_MUSTUSE;

/* Opens together what a walk over so many fragments of an ascending query opens one after the
 * other, as far as open_chunks_max allows: a cold disk then has many requests at once. Only saves
 * time. Blocks. */
void storage_find_ahead(struct storage *storage, const struct storage_id *stream,
                        const struct storage_query *query, uint64_t fragments);

/* The fragment that covers the time (start ≤ t < start of next unless a discontinuity lies between,
 * or t ≤ its end), else the next later one; -ENOENT. order: by server or producer time. */
int storage_find_at(struct storage *storage, const struct storage_id *stream,
                    enum storage_order order, int64_t at_ms, struct storage_fragment *ret,
                    bool nowait) KN_MUSTUSE;
/* Exactly this number (seq, time and random all equal); -ENOENT. */
int storage_find_number(struct storage *storage, const struct storage_id *stream,
                        const struct storage_number *number, struct storage_fragment *ret,
                        bool nowait) KN_MUSTUSE;

/* What is recorded, as spans of server time joined over gaps of at most gap_ms; for a timeline. */
struct storage_span {
    int64_t from_ms, to_ms;
    uint64_t fragments, bytes;
};
int storage_coverage(struct storage *storage, const struct storage_id *stream, int64_t from_ms,
                     int64_t to_ms, int64_t gap_ms, struct storage_span *out, size_t cap,
                     size_t *ret_count) KN_MUSTUSE; /* blocks */

struct storage_stream_stats {
    uint64_t fragments, bytes, chunks;
    uint64_t kept_bytes; /* of those, what holds keep behind the trim horizon */
    int64_t oldest_server_ts_ms, newest_server_ts_ms; /* 0: none */
    bool uploading;
};
int storage_stream_stats(struct storage *storage, const struct storage_id *stream,
                         struct storage_stream_stats *ret, bool nowait) KN_MUSTUSE;

/* --- reading ---------------------------------------------------------------------------------- */
/* Bytes [off, off + Σ iov) of the fragment as the producer sent them. Returns what was read: for a
 * fragment in flight, up to its visible end (0 = nothing new yet). -EAGAIN with nowait. -ECANCELED:
 * it was given up. -ENOENT: trimmed meanwhile. -EIO. Any thread. */
ssize_t storage_read(struct storage *storage, const struct storage_id *stream,
                     const struct storage_fragment *fragment, uint64_t off, const struct iovec *iov,
                     int iov_count, bool nowait);

/* The sender's header, as sent: what GetMedia replays. Counted, cached by (stream, header). */
struct storage_header {
    _Atomic unsigned refs;
    struct kn_bytes bytes; /* EBML … up to the first Tags without Targets or Cluster */
    struct kn_mkv_header parsed;
};
int storage_header_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_header **ret,
                       bool nowait) KN_MUSTUSE;
void storage_header_unref(struct storage_header *header);

/* The frame table, in the order of the file. For a fragment in flight: the whole frames so far.
 * free with storage_frames_free. */
struct storage_frames {
    size_t count;
    struct storage_frame items[];
};
int storage_frames_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_frames **ret,
                       bool nowait) KN_MUSTUSE;
void storage_frames_free(struct storage_frames *frames);

/* --- following the tail ----------------------------------------------------------------------- */
/* Bumped at each begin, visible part, commit, abort and trim of the stream; lives as long as the
 * storage. NULL only when memory is out. */
struct kn_gate *storage_tail_gate(struct storage *storage, const struct storage_id *stream);

#endif
