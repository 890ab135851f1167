/* SPDX-License-Identifier: Apache-2.0 */
/* The streams in memory, shared by catalogue.c (opening, deleting) and stream.c (changing). */
#ifndef STORAGE_SRC_CATALOGUE_STATE_H
#define STORAGE_SRC_CATALOGUE_STATE_H

#include "catalogue.h"
#include "hold.h"
#include "stream_snapshot.h"

#include "core/thread.h"

enum {
    STORAGE_STREAM_KEY_BYTES = 2 + STORAGE_ID_TEXT_BYTES,
    STORAGE_NAME_KEY_BYTES = 2 + STORAGE_STREAM_NAME_BYTES_MAX,
};

/* A name that is being taken: on the creator's stack. */
struct storage_creation {
    struct kn_str name;
    struct storage_creation *next;
};

struct storage_catalogue {
    struct storage_meta *meta;
    struct kn_clock *clock;
    struct storage_holds holds;

    struct kn_lock lock; /* a leaf: held for memory only, never over a call into LMDB */
    /* Guarded by lock. The same snapshots in two orders; each holds one reference, by by_name. */
    struct storage_stream **by_name, **by_id;
    size_t count, cap;
    _Atomic uint64_t changes; /* of streams that were there; grows after the change shows */
    struct storage_creation *creations;
    bool stopping;
    bool deletions; /* there may be streams that are DELETING */
    struct kn_cond work;

    bool started;
    pthread_t thread;
    struct storage_catalogue_events events;
};

struct kn_bytes storage_stream_key(const struct storage_id *id, char dst[STORAGE_STREAM_KEY_BYTES]);
struct kn_bytes storage_name_key(struct kn_str name, char dst[STORAGE_NAME_KEY_BYTES]);

/* Index of the name or id, or where it belongs; *ret_found says which. */
size_t storage_catalogue_at_name_locked(struct storage_catalogue *cat, struct kn_str name,
                                        bool *ret_found);
size_t storage_catalogue_at_id_locked(struct storage_catalogue *cat, const struct storage_id *id,
                                      bool *ret_found);
/* Room for so many streams; -ENOMEM. */
int storage_catalogue_reserve_locked(struct storage_catalogue *cat, size_t count);
/* Makes the snapshot the one that lookups find, unless a newer one is there already. Takes the
 * reference when it returns 0. made: the stream is new, may fail with -ENOMEM; otherwise a stream
 * that is gone meanwhile stays gone. */
int storage_catalogue_publish(struct storage_catalogue *cat, struct storage_stream *stream,
                              bool made);
void storage_catalogue_forget(struct storage_catalogue *cat, const struct storage_id *id);
/* Calls events.changed. */
void storage_catalogue_say_changed(struct storage_catalogue *cat,
                                   const struct storage_stream *stream);
void storage_catalogue_wake(struct storage_catalogue *cat); /* a stream is DELETING now */

#endif
