/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fragment as a complete Matroska document, the unit of GetMedia and GetMediaForFragmentList
 * (kvs-api.md §3.2):
 *
 *   EBML, Segment of unknown size, the sender's other header elements    as sent
 *   the fragment's leading Tags                                          as sent
 *   Tags: number, server time, producer time                             ours, right before
 *   Cluster and trailing Tags                                            as sent
 *   [Tags: behind, token]                                                ours, GetMedia only
 *
 * A reader that holds a position, never a buffer of media: bytes go from the storage straight into
 * the caller's memory. The fragment may still be arriving; then it gives what has come so far.
 * One thread at a time. Functions with nowait return -EAGAIN when they would have to wait for a
 * disk, and change nothing then.
 */
#ifndef PLAYBACK_DOCUMENT_H
#define PLAYBACK_DOCUMENT_H

#include "media_tags.h"

#include "storage/fragment.h"

enum {
    PLAYBACK_DOCUMENT_SPANS_MAX = 4
};

enum playback_document_state {
    PLAYBACK_DOCUMENT_EMPTY,
    PLAYBACK_DOCUMENT_TEXT,  /* spans are going out, `next` follows */
    PLAYBACK_DOCUMENT_LEAD,  /* the fragment's bytes before its Cluster */
    PLAYBACK_DOCUMENT_MEDIA, /* its Cluster and what follows */
    PLAYBACK_DOCUMENT_FILL,  /* the fragment was given up: zeros for what had been promised */
    PLAYBACK_DOCUMENT_DONE,
};

struct playback_document {
    struct storage *storage;
    struct storage_id stream;
    struct storage_fragment fragment;
    struct storage_header *header; /* one reference, while open */
    struct kn_buf text;            /* what we write ourselves: first Tags, later the tail */
    struct kn_bytes spans[PLAYBACK_DOCUMENT_SPANS_MAX];
    unsigned span_count, span_at;
    enum playback_document_state state, next;
    uint64_t lead_bytes;   /* where in the fragment the Cluster begins */
    uint64_t at;           /* next byte of the fragment */
    uint64_t cluster_end;  /* UINT64_MAX: its size is unknown */
    uint64_t element_left; /* bytes still to come of the element that is going out */
    bool lost;             /* the bytes are not Matroska: they pass without being looked at */
    uint64_t fill_bytes, void_bytes; /* after a cut: zeros, then a Void of so many bytes */
};

void playback_document_init(struct playback_document *doc, struct storage *storage,
                            const struct storage_id *stream);
void playback_document_done(struct playback_document *doc);

/* Begins with a fragment as a query has returned it. -ENODATA: it is in flight and its Cluster has
 * not come yet; -ECANCELED given up, -ENOENT trimmed, -EAGAIN, -EBADMSG, -EIO: nothing was begun.
 */
int playback_document_open(struct playback_document *doc, const struct storage_fragment *fragment,
                           bool nowait) KN_MUSTUSE;

/* The next bytes: how many were put into dst. 0: nothing further at this time; is_drained tells
 * whether all known bytes of the fragment have gone out. < 0: an error, after which the position
 * is as it was. cap at least PLAYBACK_DOCUMENT_READ_BYTES_MIN. */
enum {
    PLAYBACK_DOCUMENT_READ_BYTES_MIN = 64
};
ssize_t playback_document_read(struct playback_document *doc, uint8_t *dst, size_t cap, bool nowait)
    KN_MUSTUSE;
bool playback_document_is_drained(const struct playback_document *doc);

/* More of it may come. One that is complete and only waits for its flush goes to viewers as whole:
 * they are not made to wait for the disk. */
static inline bool playback_fragment_is_arriving(const struct storage_fragment *f)
{
    return (f->flags & STORAGE_FRAGMENT_IN_FLIGHT) && !(f->flags & STORAGE_FRAGMENT_COMPLETE);
}

/* Asks again how far a fragment in flight has come. -ECANCELED: it was given up. */
int playback_document_refresh(struct playback_document *doc, bool nowait) KN_MUSTUSE;

/* All media is out: the closing Tags follow, if any, then the document is done. */
int playback_document_finish(struct playback_document *doc, bool with_tail, int64_t now_ms)
    KN_MUSTUSE;

/* The rest of the fragment will not come. An element that is half out is filled up with zeros, and
 * a Cluster that had promised more gets a Void for what is missing, so that the next document is
 * found where a parser looks for it. */
void playback_document_cut(struct playback_document *doc);

/* Instead of a fragment: a document made of these bytes, borrowed until it is done. */
void playback_document_text(struct playback_document *doc, struct kn_bytes bytes);

#endif
