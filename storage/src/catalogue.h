/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams and their metadata behind storage_stream_* (stream.c, stream_store.c): opened by
 * storage_open before the log core, started after it, closed last.
 */
#ifndef STORAGE_SRC_CATALOGUE_H
#define STORAGE_SRC_CATALOGUE_H

#include "storage/meta.h"
#include "storage/stream.h"

struct storage_catalogue;

/* Opens DIR/catalogue, loads every stream, heals what a crash left between two keys. dir is the
 * data folder. Blocks. */
int storage_catalogue_open(const char *dir, const struct storage_conf *conf, struct kn_clock *clock,
                           struct storage_catalogue **ret, struct kn_err *err) KN_MUSTUSE;
void storage_catalogue_close(struct storage_catalogue *cat); /* after stop; no lookups any more */
struct storage_meta *storage_catalogue_meta(struct storage_catalogue *cat);

struct storage_catalogue_events {
    /* Removes all chunks of a stream that is DELETING, and its "c/" and "q/" keys. Blocks, runs on
     * the catalogue's own thread; called again (also after a restart) until it returns 0, so it
     * must be idempotent. -ESHUTDOWN: stopping, try at the next start. */
    int (*drop)(void *ctx, const struct storage_id *id);
    /* A stream is on disk and nobody finds it yet: what it needs can be made ready. Blocks. May be
     * NULL. */
    void (*made)(void *ctx, const struct storage_stream *stream);
    /* A stream was made or changed (retention, DELETING): now is the new snapshot. After it is
     * visible to lookups; on the changer's thread; may not call storage_stream_update. May be NULL.
     */
    void (*changed)(void *ctx, const struct storage_stream *now);
    void *ctx;
};
/* Starts the thread that finishes deletions, those of an earlier run first. events is copied. */
int storage_catalogue_start(struct storage_catalogue *cat,
                            const struct storage_catalogue_events *events) KN_MUSTUSE;
void storage_catalogue_stop(struct storage_catalogue *cat); /* waits for a drop under way */

#endif
