/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One seat a stream: the upload that writes, and one that waits (rules of the log, 1). A newcomer's
 * body is not read until the holder leaves, or has been silent while the newcomer has bytes; a
 * third one replaces the one that waits. Producers need this: at credential roll-over AWS's C
 * producer opens a second connection seconds before the first one ends.
 *
 * Seats have one lock; nothing else is locked inside it. Any thread.
 */
#ifndef INGEST_SRC_SEAT_H
#define INGEST_SRC_SEAT_H

#include "assembler.h"

#include "core/http.h"
#include "core/thread.h"

/* One upload as its seat knows it. Embedded; must have left before its memory goes. */
struct ingest_sitter {
    struct storage_id stream;
    struct kn_http_ref ref;
    _Atomic int64_t last_byte_ns; /* monotonic, of the client's last byte */
    _Atomic bool stalled;         /* we, not the client, are the slow one */
    _Atomic bool asked;           /* to look for bytes that it has left unread; it clears this */
    bool suspects;                /* the holder of being silent; the seats' lock */
};

/* What a sitter is woken with. */
enum {
    INGEST_WAKE_SEATED = 1,   /* the seat is yours */
    INGEST_WAKE_REPLACED = 2, /* somebody else has your place */
    INGEST_WAKE_ASKED = 32,   /* somebody waits for your place: read what your client has sent */
};

struct ingest_seats;
int ingest_seats_new(struct ingest_seats **ret) KN_MUSTUSE;
void ingest_seats_free(struct ingest_seats *seats); /* waits until all uploads have left */

/* true: seated, and *ret_seam is where the stream's last upload ended. false: waits. -ENOMEM. */
int ingest_seat_enter(struct ingest_seats *seats, struct ingest_sitter *sitter, bool *ret_seated,
                      struct ingest_seam *ret_seam) KN_MUSTUSE;
/* After INGEST_WAKE_SEATED. false: the seat was lost again meanwhile. */
bool ingest_seat_is_mine(struct ingest_seats *seats, const struct ingest_sitter *sitter,
                         struct ingest_seam *ret_seam);
/* For one that waits: takes the seat if its holder has been silent for silence_ns, which counts
 * once it has looked: an upload that nobody watches is not read at each byte. 1: taken;
 * 0: *ret_left_ns is how long it may take still; -ENOENT: does not wait any more. */
int ingest_seat_take_over(struct ingest_seats *seats, struct ingest_sitter *sitter, int64_t now_ns,
                          int64_t silence_ns, int64_t *ret_left_ns) KN_MUSTUSE;
/* Leaves wherever it is; the one that waits is seated. seam: what to remember, NULL nothing. */
void ingest_seat_leave(struct ingest_seats *seats, struct ingest_sitter *sitter,
                       const struct ingest_seam *seam);
/* Uploads as a whole, seated or not: what ingest_seats_free waits for. */
void ingest_seats_ref(struct ingest_seats *seats);
void ingest_seats_unref(struct ingest_seats *seats);

#endif
