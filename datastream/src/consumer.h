/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registered consumers of data streams: in memory for lookups, which never block, and in the
 * catalogue, which is changed first.
 *
 * Keys: "dc/<stream id><name>" → what settings.h writes, of which a consumer has name, created_ms,
 * tags and policy. They go after their stream's; opening removes what a crash left of a stream that
 * is no more.
 */
#ifndef DATASTREAM_SRC_CONSUMER_H
#define DATASTREAM_SRC_CONSUMER_H

#include "stream.h"

enum {
    DATASTREAM_CONSUMERS_MAX = 1000 /* of a stream: what consumers_max may be set to */
};

struct datastream_seat;
struct datastream_seats_left;
struct datastream_consumer { /* counted */
    _Atomic unsigned refs;
    struct storage_id stream;
    int64_t created_ms; /* in whole seconds it is part of the ARN */
    uint32_t names_crc; /* of the ARN's names; 0: it is older than this process */
    struct kn_str name; /* never changes */
    char name_text[DATASTREAM_NAME_BYTES_MAX + 1];

    struct kn_lock change; /* held over a change, which blocks */
    uint64_t version;      /* guarded by change: in the catalogue */

    struct kn_lock lock;                  /* a leaf: what follows */
    struct datastream_settings *settings; /* counted */
    bool gone;                            /* deregistered: who reads as it is to end */
    struct datastream_seat *seats;        /* of its subscriptions (seat.h) */
    struct datastream_seats_left *left;   /* NULL: none that is remembered */

    struct datastream_measures measures;
};

struct datastream_consumer *datastream_consumer_ref(struct datastream_consumer *consumer);
void datastream_consumer_unref(struct datastream_consumer *consumer); /* accepts NULL */
/* A reference to what holds now. Any thread, never blocks. */
struct datastream_settings *datastream_consumer_settings(struct datastream_consumer *consumer);

struct datastream_consumers;
/* Reads them all; streams have been read. meta and streams outlive it. Blocks. -EBADMSG: a record
 * is damaged, err names it. */
int datastream_consumers_open(struct storage_meta *meta, struct datastream_streams *streams,
                              struct datastream_consumers **ret, struct kn_err *err) KN_MUSTUSE;
void datastream_consumers_close(struct datastream_consumers *consumers); /* accepts NULL */

/* A reference; NULL: there is none. Any thread, never blocks. */
struct datastream_consumer *datastream_consumer_find(struct datastream_consumers *consumers,
                                                     const struct storage_id *stream,
                                                     struct kn_str name);
/* Names in byte order greater than after: references in out; returns how many. Never blocks. */
size_t datastream_consumer_list(struct datastream_consumers *consumers,
                                const struct storage_id *stream, struct kn_str after,
                                struct datastream_consumer **out, size_t cap);
size_t datastream_consumer_count(struct datastream_consumers *consumers,
                                 const struct storage_id *stream);

/* Of settings name, created_ms, state and tags count; created_ms becomes later where one of that
 * name was removed that is as young. -EEXIST: the name is taken; -EDQUOT: there are max; -ENOENT:
 * the stream is gone or goes. Blocks. */
int datastream_consumer_create(struct datastream_consumers *consumers,
                               struct datastream_stream *stream,
                               const struct datastream_settings *settings, size_t max,
                               struct datastream_consumer **ret) KN_MUSTUSE;
/* As datastream_stream_change. -ENOENT: deregistered. Blocks. */
int datastream_consumer_change(struct datastream_consumers *consumers,
                               struct datastream_consumer *consumer, datastream_edit_fn *edit,
                               void *ctx) KN_MUSTUSE;
/* Idempotent. Blocks. */
int datastream_consumer_remove(struct datastream_consumers *consumers,
                               struct datastream_consumer *consumer) KN_MUSTUSE;
/* All of a stream, once that takes no new ones. Blocks. */
int datastream_consumer_remove_all(struct datastream_consumers *consumers,
                                   const struct storage_id *stream) KN_MUSTUSE;

#endif
