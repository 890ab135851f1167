/* SPDX-License-Identifier: Apache-2.0 */
#include "event_follower.h"

#include "fragment_event.h"

#include <stdlib.h>

void datastream_event_follower_set(struct datastream_event_follower *f,
                                   struct storage_stream *stream)
{
    struct storage_event_sink sink;
    storage_event_sink_of(stream, &sink);
    bool same = f->stream && kn_str_eq(sink.name, f->sink.name) &&
                sink.after_seq == f->sink.after_seq && sink.bound == f->sink.bound &&
                storage_id_cmp(&sink.id, &f->sink.id) == 0;
    storage_stream_unref(f->stream);
    f->stream = stream;
    f->sink = sink;
    if (same)
        return;
    f->placed = false;
    datastream_event_place_done(&f->place);
}

void datastream_event_follower_free(struct datastream_event_follower *f)
{
    datastream_event_place_done(&f->place);
    storage_stream_unref(f->stream);
    free(f);
}

/* --- where it stands -------------------------------------------------------------------------- */
/* The fragment before the first one of the data stream's life. */
static int seq_before(struct datastream_event_follower *f, int64_t since_ms, uint64_t *ret)
{
    struct storage *storage = f->sender->conf.storage;
    struct storage_query query = {
        .order = STORAGE_BY_SERVER_TS, .from_ms = since_ms, .to_ms = INT64_MAX};
    struct storage_fragment fragment;
    size_t count = 0;
    int r = storage_find(storage, &f->id, &query, &fragment, 1, &count, false);
    if (r == 0 && count > 0) {
        *ret = fragment.number.seq - 1;
        return 0;
    }
    query = (struct storage_query){.order = STORAGE_BY_NUMBER, .newest_first = true};
    if (r == 0)
        r = storage_find(storage, &f->id, &query, &fragment, 1, &count, false);
    if (r == 0)
        *ret = count > 0 ? fragment.number.seq : 0;
    return r;
}

int datastream_event_follower_place(struct datastream_event_follower *f)
{
    if (f->placed && datastream_event_place_exists(f->sender->conf.datastream, &f->place))
        return 0;
    f->placed = false;
    datastream_event_place_done(&f->place);
    int r = datastream_event_place_find(f->sender->conf.datastream, f->sink.name, f->stream->name,
                                        &f->id, &f->place);
    if (r == -ENOENT) /* nothing can be sent, so nothing waits */
        storage_events_hold(f->sender->conf.storage, &f->id, UINT64_MAX);
    if (r < 0)
        return r;
    uint64_t seq = kn_max_u64(f->sink.after_seq, f->place.sent_seq), before = 0;
    /* Another one has the name by now: it has the fragments since it was made. */
    if (f->sink.bound && storage_id_cmp(&f->sink.id, &f->place.target->id) != 0) {
        r = seq_before(f, f->place.created_ms, &before);
        if (r < 0)
            return r;
        seq = kn_max_u64(seq, before);
    }
    f->placed = true;
    f->next_ordinal = 0;
    storage_events_hold(f->sender->conf.storage, &f->id, seq);
    KN_LOCKED(&f->sender->lock);
    f->sent_seq = seq;
    return 0;
}

/* --- sending ---------------------------------------------------------------------------------- */
/* As records that are put: how the data stream says that its records are encrypted. */
static uint8_t encryption_of(struct datastream_event_follower *f)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(f->place.target);
    return settings->kms_key.ptr ? DATASTREAM_EncryptionType_KMS : DATASTREAM_EncryptionType_ABSENT;
}

static int add_event(struct datastream_event_follower *f, struct storage_batch *batch,
                     const struct storage_fragment *fragment)
{
    struct datastream_event_sender *sender = f->sender;
    const struct storage_shard_source source = {f->id, fragment->number.seq};
    uint8_t *dst;
    kn_buf_clear(&sender->event);
    int r = datastream_event_render(&sender->source, f->stream, fragment, &sender->event);
    if (r == 0)
        r = storage_batch_add(batch, f->stream->name, encryption_of(f), &source, sender->event.len,
                              &dst);
    if (r == 0)
        memcpy(dst, sender->event.ptr, sender->event.len);
    return r;
}

/* Gaps in the ordinals are fragments that went before they had an event. */
static void note_fragment(struct datastream_event_follower *f,
                          const struct storage_fragment *fragment)
{
    if (f->next_ordinal > 0 && fragment->ordinal > f->next_ordinal) {
        KN_LOCKED(&f->sender->lock);
        f->lost += fragment->ordinal - f->next_ordinal;
    }
    f->next_ordinal = fragment->ordinal + 1;
}

/* As many as fit, in order; one that is gone by now is passed over. */
static int fill(struct datastream_event_follower *f, struct storage_batch *batch,
                const struct storage_fragment *fragments, size_t count, size_t *ret_taken)
{
    size_t i = 0;
    for (; i < count && storage_batch_bytes(batch) < DATASTREAM_EVENT_BATCH_BYTES; i++) {
        int r = add_event(f, batch, &fragments[i]);
        if (r < 0 && r != -ENOENT && i > 0)
            break; /* what there is goes; the rest is tried again */
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == 0)
            note_fragment(f, &fragments[i]);
    }
    *ret_taken = i;
    return 0;
}

static void appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct datastream_event_follower *f = ctx;
    (void) first_index;
    (void) arrival_ms;
    if (result == 0)
        datastream_measure_incoming(f->sender->conf.datastream, f->place.target, f->place.index,
                                    f->count, f->bytes);
    datastream_event_sender_sent(f, result);
}

static void hand_over(struct datastream_event_follower *f, struct storage_appends *others)
{
    struct datastream_event_sender *sender = f->sender;
    kn_lock_take(&sender->lock);
    f->count = storage_batch_count(f->batch);
    f->bytes = storage_batch_bytes(f->batch);
    f->sending = true;
    sender->sending_count++;
    kn_lock_give(&sender->lock);
    storage_shard_ref(f->place.shard);
    storage_shard_append_with(f->place.shard, KN_MOVE(f->batch), appended, f, others);
}

int datastream_event_follower_append(struct datastream_event_follower *f,
                                     struct storage_appends *others)
{
    f->shards = datastream_stream_write_begin(f->place.target);
    if (datastream_event_place_holds(&f->place, &f->shards->map, f->stream->name)) {
        hand_over(f, others);
        return 0;
    }
    storage_batch_free(KN_MOVE(f->batch));
    f->placed = false;
    return -ESHUTDOWN;
}

void datastream_event_follower_appended(struct datastream_event_follower *f)
{
    datastream_stream_write_end(f->place.target, KN_MOVE(f->shards));
}

int datastream_event_follower_look(struct datastream_event_follower *f, int r)
{
    struct datastream_event_sender *sender = f->sender;
    kn_lock_take(&sender->lock);
    const struct storage_query query = {.order = STORAGE_BY_NUMBER,
                                        .after_seq = kn_max_u64(f->sent_seq, f->sink.after_seq),
                                        .aged = true};
    kn_lock_give(&sender->lock);
    struct storage_fragment fragment;
    size_t count = 0;
    if (storage_find(sender->conf.storage, &f->id, &query, &fragment, 1, &count, false) < 0)
        return r;
    KN_LOCKED(&sender->lock);
    f->oldest_ms = count > 0 ? fragment.number.server_ts_ms : 0;
    return r;
}

/* All of them are gone. */
static int pass_over(struct datastream_event_follower *f)
{
    storage_events_hold(f->sender->conf.storage, &f->id, f->last_seq);
    KN_LOCKED(&f->sender->lock);
    f->sent_seq = f->last_seq;
    f->again |= f->more;
    return 0;
}

int datastream_event_follower_prepare(struct datastream_event_follower *f)
{
    struct datastream_event_sender *sender = f->sender;
    struct storage_fragment fragments[DATASTREAM_EVENT_BATCH];
    size_t count = 0, taken = 0;
    kn_lock_take(&sender->lock);
    const struct storage_query query = {
        .order = STORAGE_BY_NUMBER, .after_seq = f->sent_seq, .aged = true};
    f->again = false;
    kn_lock_give(&sender->lock);
    int r = storage_find(sender->conf.storage, &f->id, &query, fragments, KN_ARRAY_LEN(fragments),
                         &count, false);
    if (r < 0)
        return r;
    kn_lock_take(&sender->lock);
    f->oldest_ms = count > 0 ? fragments[0].number.server_ts_ms : 0;
    kn_lock_give(&sender->lock);
    struct storage_batch *batch;
    if (count == 0 || (r = storage_batch_new(sender->conf.storage, &batch)) < 0)
        return r;
    r = fill(f, batch, fragments, count, &taken);
    if (r < 0) {
        storage_batch_free(batch);
        return r;
    }
    f->last_seq = fragments[taken - 1].number.seq;
    f->more = taken < count || count == KN_ARRAY_LEN(fragments);
    if (storage_batch_count(batch) > 0) {
        f->batch = batch;
        return 0;
    }
    storage_batch_free(batch);
    return pass_over(f);
}
