/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that sends fragment events. A stream whose fragments were persisted becomes due; the
 * thread waits a moment, and of many streams for half a second, so that they share a flush, and
 * then makes one step for each: read the index from where the data stream says it stands, make a
 * batch. All batches are appended at once. A stream has one append on its way at a time, and no
 * memory between two.
 *
 * What fails is tried again from the same place. Uploads know nothing of all this.
 */
#include "event_follower.h"
#include "fragment_event.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/metrics.h"

enum {
    LINGER_MS = 20,
    ROUND_MS = 500, /* from one round to the next, while there is always something to send */
    BUSY_STEPS = 4, /* in a round: the next one is waited for without being told what comes */
    STREAMS_PAGE = 64,
};

static struct kn_metric_family events_total = {.kind = KN_COUNTER,
                                               .name = "kinema_fragment_events_total",
                                               .help = "Fragment events written to data streams."};
static struct kn_metric_family lost_total = {
    .kind = KN_COUNTER,
    .name = "kinema_fragment_events_lost_total",
    .help = "Fragments that retention removed before their events were written."};
static struct kn_metric_family behind = {
    .kind = KN_GAUGE,
    .name = "kinema_fragment_events_behind_seconds",
    .help = "Age of the oldest fragment whose event is not written yet; 0: none waits.",
    .labels = {"stream"}};

static struct datastream_event_sender *sender_of(struct storage_event_sender *base)
{
    return KN_CONTAINER_OF(base, struct datastream_event_sender, base);
}

/* --- due -------------------------------------------------------------------------------------- */
static void push_locked(struct datastream_event_follower *f)
{
    struct datastream_event_sender *sender = f->sender;
    kn_lock_assert_held(&sender->lock);
    if (f->due)
        return;
    f->due = true;
    f->due_next = NULL;
    if (sender->due_last)
        sender->due_last->due_next = f;
    else
        sender->due_first = f;
    sender->due_last = f;
    if (sender->idle)
        kn_cond_signal(&sender->wake);
}

/* Fragments of the stream were persisted. What waits for a retry waits on. */
static void persisted(struct kn_gate_waiter *waiter)
{
    struct datastream_event_follower *f =
        KN_CONTAINER_OF(waiter, struct datastream_event_follower, waiter);
    KN_LOCKED(&f->sender->lock);
    f->again = true;
    if (f->oldest_ms == 0)
        f->oldest_ms = kn_wall_ms(f->sender->conf.clock); /* its step says it exactly */
    if (!f->sending && !f->stepping && f->retry_ns == 0)
        push_locked(f);
}

static void streams_changed(struct kn_gate_waiter *waiter)
{
    struct datastream_event_sender *sender =
        KN_CONTAINER_OF(waiter, struct datastream_event_sender, streams_waiter);
    KN_LOCKED(&sender->lock);
    sender->changed = true;
    kn_cond_signal(&sender->wake);
}

static void say_state(const struct datastream_event_follower *f, enum storage_event_status status,
                      int error)
{
    if (status == STORAGE_EVENTS_ACTIVE)
        kn_log_info("fragment_events_go_on", "stream=" KN_STR_FMT " data_stream=" KN_STR_FMT,
                    KN_STR_ARG(f->stream->name), KN_STR_ARG(f->sink.name));
    else
        kn_log_warn("fragment_events_wait",
                    "stream=" KN_STR_FMT " data_stream=" KN_STR_FMT " err=%s said=\"%s\"",
                    KN_STR_ARG(f->stream->name), KN_STR_ARG(f->sink.name), kn_errname(error),
                    status == STORAGE_EVENTS_NO_DATA_STREAM
                        ? "there is no such data stream, or it is being deleted"
                        : "it cannot be written; it is tried again");
}

static void set_status_locked(struct datastream_event_follower *f, enum storage_event_status status,
                              int error)
{
    if (f->status != status)
        say_state(f, status, error);
    f->status = status;
}

/* It is to be tried again after a while. A closed shard is no trouble, nor is a full budget. */
static void hold_up_locked(struct datastream_event_follower *f, int r)
{
    bool soon = r == -ESHUTDOWN || r == -ENOBUFS;
    int64_t wait_ms = soon ? DATASTREAM_EVENT_RETRY_SOON_MS : DATASTREAM_EVENT_RETRY_MS;
    if (f->retry_ns == 0)
        f->sender->held_up_count++;
    f->retry_ns = kn_mono_ns(f->sender->conf.clock) + wait_ms * 1000000;
    if (!soon)
        set_status_locked(
            f, r == -ENOENT ? STORAGE_EVENTS_NO_DATA_STREAM : STORAGE_EVENTS_NOT_WRITABLE, r);
    kn_cond_signal(&f->sender->wake);
}

static void settle_locked(struct datastream_event_follower *f)
{
    if (f->retry_ns > 0)
        f->sender->held_up_count--;
    f->retry_ns = 0;
}

static void show_behind(struct datastream_event_follower *f)
{
    int64_t now_ms = kn_wall_ms(f->sender->conf.clock);
    kn_lock_take(&f->sender->lock);
    int64_t oldest_ms = f->oldest_ms;
    kn_lock_give(&f->sender->lock);
    double behind_s = oldest_ms ? (double) kn_max_i64(0, now_ms - oldest_ms) / 1000 : 0;
    kn_metric_set(kn_metric_series(&behind, &f->stream->name), behind_s);
}

void datastream_event_sender_sent(struct datastream_event_follower *f, int result)
{
    struct datastream_event_sender *sender = f->sender;
    if (result == 0)
        storage_events_hold(sender->conf.storage, &f->id, f->last_seq);
    KN_LOCKED(&sender->lock);
    f->sending = false;
    sender->sending_count--;
    if (result == 0) {
        kn_metric_add(kn_metric_series(&events_total, NULL), (int64_t) f->count);
        f->sent += f->count;
        f->sent_seq = f->last_seq;
        f->oldest_ms = f->again || f->more ? kn_wall_ms(sender->conf.clock) : 0;
        kn_metric_set(kn_metric_series(&behind, &f->stream->name), 0); /* or the next step says */
        set_status_locked(f, STORAGE_EVENTS_ACTIVE, 0);
        if (f->more) {
            sender->hurries = true;
            kn_cond_signal(&sender->wake);
        }
        if (f->again || f->more || f->removed)
            push_locked(f);
    } else {
        f->placed = false; /* the next step asks the data stream where it stands */
        hold_up_locked(f, result == -ENOENT ? -ESHUTDOWN : result);
    }
    kn_cond_broadcast(&sender->moved);
}

/* --- a step ----------------------------------------------------------------------------------- */
static bool step_begin(struct datastream_event_follower *f)
{
    struct datastream_event_sender *sender = f->sender;
    KN_LOCKED(&sender->lock);
    if (f->sending || f->stepping || f->paused > 0 || f->removed)
        return false; /* whoever ends that makes it due again */
    if (sender->changed) {
        push_locked(f); /* where it sends to may have changed: first that */
        return false;
    }
    settle_locked(f);
    f->stepping = true;
    return true;
}

static void step_end(struct datastream_event_follower *f, int r)
{
    struct datastream_event_sender *sender = f->sender;
    KN_LOCKED(&sender->lock);
    f->stepping = false;
    if (r < 0)
        hold_up_locked(f, r);
    else if (!f->sending && f->status != STORAGE_EVENTS_ACTIVE)
        set_status_locked(f, STORAGE_EVENTS_ACTIVE, 0);
    if (r == 0 && !f->sending && f->again)
        push_locked(f);
    kn_cond_broadcast(&sender->moved);
}

/* Appends what was made, and ends those steps. */
static void append_ready(struct datastream_event_sender *sender)
{
    struct storage_appends appends = {.first = NULL};
    int results[DATASTREAM_EVENT_READY];
    for (size_t i = 0; i < sender->ready_count; i++)
        results[i] = datastream_event_follower_append(sender->ready[i], &appends);
    storage_shard_append_all(&appends);
    for (size_t i = 0; i < sender->ready_count; i++) {
        datastream_event_follower_appended(sender->ready[i]);
        step_end(sender->ready[i], results[i]);
    }
    sender->ready_count = sender->ready_bytes = 0;
}

/* True: it goes on, with the others. */
static bool make_ready(struct datastream_event_follower *f)
{
    struct datastream_event_sender *sender = f->sender;
    if (!f->batch)
        return false;
    sender->ready[sender->ready_count++] = f;
    sender->ready_bytes += storage_batch_bytes(f->batch);
    if (sender->ready_count == KN_ARRAY_LEN(sender->ready) ||
        sender->ready_bytes >= DATASTREAM_EVENT_READY_BYTES)
        append_ready(sender);
    return true;
}

static void step(struct datastream_event_follower *f)
{
    if (!step_begin(f))
        return;
    uint64_t lost = f->lost;
    int r = datastream_event_follower_place(f);
    r = r < 0 ? datastream_event_follower_look(f, r) : datastream_event_follower_prepare(f);
    if (f->lost > lost)
        kn_metric_add(kn_metric_series(&lost_total, NULL), (int64_t) (f->lost - lost));
    show_behind(f);
    if (!make_ready(f))
        step_end(f, r);
}

/* --- which streams there are ------------------------------------------------------------------ */
static struct datastream_event_follower **bucket_of(struct datastream_event_sender *sender,
                                                    const struct storage_id *id)
{
    size_t at = ((size_t) id->bytes[0] << 8 | id->bytes[1]) % KN_ARRAY_LEN(sender->buckets);
    return &sender->buckets[at];
}

static struct datastream_event_follower *find_locked(struct datastream_event_sender *sender,
                                                     const struct storage_id *id)
{
    struct datastream_event_follower *f = *bucket_of(sender, id);
    while (f && (f->removed || storage_id_cmp(&f->id, id) != 0))
        f = f->bucket_next;
    return f;
}

/* It makes its first step when it has joined the gate, so that nothing is missed. */
static int add(struct datastream_event_sender *sender, struct storage_stream *stream)
{
    struct datastream_event_follower *f = calloc(1, sizeof(*f));
    struct kn_gate *gate = storage_persisted_gate(sender->conf.storage, &stream->id);
    if (!f || !gate) {
        free(f);
        return -ENOMEM;
    }
    f->sender = sender;
    f->id = stream->id;
    f->status = STORAGE_EVENTS_ACTIVE;
    f->scanned = sender->scans;
    f->gate = gate;
    f->waiter.wake = persisted;
    datastream_event_follower_set(f, storage_stream_ref(stream));
    while (!kn_gate_join(gate, &f->waiter, kn_gate_value(gate)))
        ;
    KN_LOCKED(&sender->lock);
    struct datastream_event_follower **bucket = bucket_of(sender, &stream->id);
    f->bucket_next = *bucket;
    *bucket = f;
    push_locked(f);
    return 0;
}

static void follow(struct datastream_event_sender *sender, struct storage_stream *stream)
{
    kn_lock_take(&sender->lock);
    struct datastream_event_follower *f = find_locked(sender, &stream->id);
    kn_lock_give(&sender->lock);
    if (!f) {
        if (add(sender, stream) < 0)
            streams_changed(&sender->streams_waiter); /* the next scan tries again */
        return;
    }
    f->scanned = sender->scans;
    if (f->stream == stream)
        return;
    KN_LOCKED(&sender->lock);
    while (f->sending || f->stepping)
        kn_cond_wait(&sender->moved, &sender->lock);
    datastream_event_follower_set(f, storage_stream_ref(stream));
    push_locked(f);
}

static bool is_followed(const struct storage_stream *stream)
{
    struct storage_event_sink sink;
    storage_event_sink_of(stream, &sink);
    return stream->status == STORAGE_STREAM_ACTIVE && sink.name.len > 0;
}

/* A stream that was deleted never has events again: shards need not remember it. */
static void forget_source(struct datastream_event_follower *f)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *now = storage_stream_find_id(f->sender->conf.storage, &f->id);
    if (f->placed && (!now || now->status != STORAGE_STREAM_ACTIVE))
        storage_shard_source_gone(f->place.shard, &f->id);
}

/* Takes those out that the scan has not found. */
static void drop_unseen(struct datastream_event_sender *sender)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(sender->buckets); i++) {
        for (struct datastream_event_follower *f = sender->buckets[i]; f; f = f->bucket_next) {
            if (f->scanned == sender->scans || f->removed)
                continue;
            kn_gate_leave(f->gate, &f->waiter);
            kn_metric_drop(&behind, &f->stream->name);
            storage_events_hold(sender->conf.storage, &f->id, UINT64_MAX);
            KN_LOCKED(&sender->lock);
            settle_locked(f);
            f->removed = true;
        }
    }
}

static bool is_free_locked(const struct datastream_event_follower *f)
{
    return f->removed && !f->sending && !f->stepping && f->paused == 0 && !f->due;
}

static void free_removed(struct datastream_event_sender *sender)
{
    KN_LOCKED(&sender->lock);
    for (size_t i = 0; i < KN_ARRAY_LEN(sender->buckets); i++) {
        for (struct datastream_event_follower **at = &sender->buckets[i]; *at;) {
            struct datastream_event_follower *f = *at;
            if (!is_free_locked(f)) {
                at = &f->bucket_next;
                continue;
            }
            *at = f->bucket_next;
            forget_source(f);
            datastream_event_follower_free(f);
        }
    }
}

static void scan(struct datastream_event_sender *sender)
{
    struct storage_stream *page[STREAMS_PAGE];
    char name[STORAGE_STREAM_NAME_BYTES_MAX];
    struct kn_str after = {name, 0};
    sender->scans++;
    for (size_t count = STREAMS_PAGE; count == STREAMS_PAGE;) {
        count = storage_stream_list(sender->conf.storage, KN_STR(""), after, page, STREAMS_PAGE);
        if (count > 0) {
            after.len = page[count - 1]->name.len;
            memcpy(name, page[count - 1]->name.ptr, after.len);
        }
        for (size_t i = 0; i < count; i++) {
            if (is_followed(page[i]))
                follow(sender, page[i]);
            storage_stream_unref(page[i]);
        }
    }
    drop_unseen(sender);
    free_removed(sender);
}

/* --- the thread ------------------------------------------------------------------------------- */
/* Those whose time has come again; returns how long the next one has, in ns, at least 1. */
static int64_t retry_locked(struct datastream_event_sender *sender)
{
    int64_t now_ns = kn_mono_ns(sender->conf.clock), next_ns = INT64_MAX;
    for (size_t i = 0; i < KN_ARRAY_LEN(sender->buckets); i++) {
        for (struct datastream_event_follower *f = sender->buckets[i]; f; f = f->bucket_next) {
            if (f->retry_ns > 0 && f->retry_ns <= now_ns)
                push_locked(f);
            else if (f->retry_ns > 0)
                next_ns = kn_min_i64(next_ns, f->retry_ns - now_ns);
        }
    }
    return kn_max_i64(next_ns, 1);
}

static int64_t round_left_locked(const struct datastream_event_sender *sender)
{
    return sender->round_ns + (int64_t) ROUND_MS * 1000000 - kn_mono_ns(sender->conf.clock);
}

/* Where many streams have events, something will be due when the round's time is over. */
static void rest_locked(struct datastream_event_sender *sender)
{
    while (sender->busy && !sender->stopping && !sender->changed && !sender->hurries &&
           sender->held_up_count == 0) {
        int64_t left_ns = round_left_locked(sender);
        if (left_ns <= 0)
            return;
        (void) kn_cond_wait_for(&sender->wake, &sender->lock, left_ns);
    }
}

static void wait_for_work_locked(struct datastream_event_sender *sender)
{
    rest_locked(sender);
    while (!sender->stopping && !sender->changed && !sender->due_first) {
        int64_t wait_ns = sender->held_up_count > 0 ? retry_locked(sender) : INT64_MAX;
        if (sender->due_first)
            break;
        sender->idle = true;
        sender->busy = false;
        if (wait_ns == INT64_MAX)
            kn_cond_wait(&sender->wake, &sender->lock);
        else
            (void) kn_cond_wait_for(&sender->wake, &sender->lock, wait_ns);
        sender->idle = false;
    }
}

/* Streams that become due in this time share what follows with the first. Nothing lingers that has
 * fallen behind, and a change of settings only for a moment. */
static void linger_locked(struct datastream_event_sender *sender)
{
    int64_t soon_ns = kn_mono_ns(sender->conf.clock) + (int64_t) LINGER_MS * 1000000;
    int64_t late_ns = kn_max_i64(soon_ns, sender->round_ns + (int64_t) ROUND_MS * 1000000);
    bool rested = sender->busy && !sender->changed && round_left_locked(sender) <= 0;
    while (!sender->stopping && !sender->hurries && !rested) {
        int64_t until_ns = sender->changed ? soon_ns : late_ns;
        int64_t left_ns = until_ns - kn_mono_ns(sender->conf.clock);
        if (left_ns <= 0)
            break;
        (void) kn_cond_wait_for(&sender->wake, &sender->lock, left_ns);
    }
    sender->hurries = false;
    sender->round_ns = kn_mono_ns(sender->conf.clock);
}

static struct datastream_event_follower *take_locked(struct datastream_event_sender *sender)
{
    struct datastream_event_follower *f = sender->due_first;
    if (!f)
        return NULL;
    sender->due_first = f->due_next;
    if (!sender->due_first)
        sender->due_last = NULL;
    f->due = false;
    return f;
}

/* Each that is due now makes one step; who becomes due meanwhile waits for the next round. */
static void run_round(struct datastream_event_sender *sender)
{
    kn_lock_take(&sender->lock);
    struct datastream_event_follower *last = sender->due_last, *f = NULL;
    size_t steps = 0;
    while (f != last && !sender->stopping && !sender->changed && (f = take_locked(sender))) {
        kn_lock_give(&sender->lock);
        step(f);
        steps++;
        kn_lock_take(&sender->lock);
    }
    sender->busy = steps >= BUSY_STEPS;
    kn_lock_give(&sender->lock);
    append_ready(sender);
}

static void *sender_main(void *arg)
{
    struct datastream_event_sender *sender = arg;
    kn_lock_take(&sender->lock);
    for (;;) {
        wait_for_work_locked(sender);
        if (sender->stopping)
            break;
        linger_locked(sender);
        bool changed = sender->changed;
        sender->changed = false;
        kn_lock_give(&sender->lock);
        if (changed)
            scan(sender);
        run_round(sender);
        kn_lock_take(&sender->lock);
    }
    while (sender->sending_count > 0)
        kn_cond_wait(&sender->moved, &sender->lock);
    kn_lock_give(&sender->lock);
    return NULL;
}

/* --- as those see it who set where events go -------------------------------------------------- */
static int op_find(struct storage_event_sender *base, struct kn_str name, struct storage_id *ret_id)
{
    struct datastream *ds = sender_of(base)->conf.datastream;
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *stream = datastream_stream_find(ds->streams, name);
    if (!stream)
        return -ENOENT;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    if (settings->deleting)
        return -ENOENT;
    *ret_id = stream->id;
    return 0;
}

static void unpause_locked(struct datastream_event_follower *f)
{
    f->paused--;
    push_locked(f);
}

static int op_pause(struct storage_event_sender *base, const struct storage_id *stream,
                    uint64_t *ret_seq)
{
    struct datastream_event_sender *sender = sender_of(base);
    kn_lock_take(&sender->lock);
    struct datastream_event_follower *f = find_locked(sender, stream);
    if (!f) {
        kn_lock_give(&sender->lock);
        return -ENOENT;
    }
    f->paused++;
    while (f->sending || f->stepping)
        kn_cond_wait(&sender->moved, &sender->lock);
    f->stepping = true; /* finds its place, if it has none yet */
    kn_lock_give(&sender->lock);
    int r = datastream_event_follower_place(f);
    bool in_doubt = storage_shards_in_doubt(sender->conf.storage);
    r = r < 0 ? -ENOENT : in_doubt ? -EAGAIN : 0;
    kn_lock_take(&sender->lock);
    f->stepping = false;
    *ret_seq = f->sent_seq;
    if (r < 0)
        unpause_locked(f);
    kn_cond_broadcast(&sender->moved);
    kn_lock_give(&sender->lock);
    return r;
}

static void op_resume(struct storage_event_sender *base, const struct storage_id *stream)
{
    struct datastream_event_sender *sender = sender_of(base);
    KN_LOCKED(&sender->lock);
    struct datastream_event_follower *f = *bucket_of(sender, stream);
    while (f && (f->paused == 0 || storage_id_cmp(&f->id, stream) != 0))
        f = f->bucket_next;
    kn_assert(f); /* one that is paused stays */
    unpause_locked(f);
}

static void op_state(struct storage_event_sender *base, const struct storage_id *stream,
                     struct storage_event_state *ret)
{
    struct datastream_event_sender *sender = sender_of(base);
    int64_t now_ms = kn_wall_ms(sender->conf.clock);
    *ret = (struct storage_event_state){.status = STORAGE_EVENTS_OFF};
    KN_LOCKED(&sender->lock);
    struct datastream_event_follower *f = find_locked(sender, stream);
    if (f)
        *ret = (struct storage_event_state){
            .status = f->status,
            .sent = f->sent,
            .lost = f->lost,
            .behind_ms = f->oldest_ms ? kn_max_i64(0, now_ms - f->oldest_ms) : 0};
}

/* --- start and stop --------------------------------------------------------------------------- */
static void sender_free(struct datastream_event_sender *sender)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(sender->buckets); i++) {
        while (sender->buckets[i]) {
            struct datastream_event_follower *f = sender->buckets[i];
            sender->buckets[i] = f->bucket_next;
            if (!f->removed)
                kn_gate_leave(f->gate, &f->waiter);
            datastream_event_follower_free(f);
        }
    }
    kn_buf_done(&sender->event);
    kn_buf_done(&sender->source.tags);
    kn_cond_done(&sender->moved);
    kn_cond_done(&sender->wake);
    kn_lock_done(&sender->lock);
    free(sender->endpoint);
    free(sender);
}

int datastream_events_start(const struct datastream_events_conf *conf,
                            struct storage_event_sender **ret, struct kn_err *err)
{
    struct datastream_event_sender *sender = calloc(1, sizeof(*sender));
    char *endpoint = strdup(conf->endpoint);
    if (!sender || !endpoint) {
        free(sender);
        free(endpoint);
        return kn_fail(err, -ENOMEM, "fragment events");
    }
    sender->base = (struct storage_event_sender){op_find, op_pause, op_resume, op_state};
    sender->conf = *conf;
    sender->endpoint = endpoint;
    sender->source = (struct datastream_event_source){
        .storage = conf->storage, .identity = conf->identity, .endpoint = endpoint};
    kn_buf_init(&sender->source.tags, MIB(1));
    kn_buf_init(&sender->event, DATASTREAM_EVENT_BYTES_MAX);
    kn_lock_init(&sender->lock);
    kn_cond_init(&sender->wake);
    kn_cond_init(&sender->moved);
    sender->changed = true;
    struct kn_gate *streams = storage_streams_gate(conf->storage);
    sender->streams_waiter.wake = streams_changed;
    while (!kn_gate_join(streams, &sender->streams_waiter, kn_gate_value(streams)))
        ;
    int r = kn_thread_start(&sender->thread, "events", sender_main, sender);
    if (r < 0) {
        kn_gate_leave(streams, &sender->streams_waiter);
        sender_free(sender);
        return kn_fail(err, r, "the thread of fragment events: %s", kn_errname(r));
    }
    *ret = &sender->base;
    return 0;
}

void datastream_events_stop(struct storage_event_sender *base)
{
    if (!base)
        return;
    struct datastream_event_sender *sender = sender_of(base);
    kn_lock_take(&sender->lock);
    sender->stopping = true;
    kn_cond_broadcast(&sender->wake);
    kn_lock_give(&sender->lock);
    pthread_join(sender->thread, NULL);
    kn_gate_leave(storage_streams_gate(sender->conf.storage), &sender->streams_waiter);
    sender_free(sender);
}
