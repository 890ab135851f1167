/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetMedia on the server's local socket: a stream's frames, from now or from a time on, through the
 * archive and on into what arrives. GetMedia ends when nothing has come for a while; this goes on
 * where it was.
 */
#ifndef INGEST_CAMERA_READER_H
#define INGEST_CAMERA_READER_H

#include "source.h"

struct camera_reader;
struct camera_reader_ops { /* on the thread that runs it; not 0 ends it */
    /* What the frames that follow belong to; for each fragment. */
    int (*header)(void *ctx, const struct kn_mkv_header *header);
    /* track: its number in the header. fragment_begins: the first one of a fragment. */
    int (*frame)(void *ctx, const struct camera_frame *frame, bool fragment_begins);
};

/* from_ms: a producer's time, or -1: now. idle_ms: when so long nothing has come it is over. */
struct camera_reader *camera_reader_new(const char *socket_path, const char *stream,
                                        int64_t from_ms, unsigned idle_ms);
/* Blocks. 0: nothing more came, or it was stopped; else -errno, or what a callback has returned. */
int camera_reader_run(struct camera_reader *reader, const struct camera_reader_ops *ops, void *ctx);
void camera_reader_stop(struct camera_reader *reader); /* any thread */
void camera_reader_free(struct camera_reader *reader);

#endif
