/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loops never touch the disk: what is in memory is read and encoded on the loop, if it is not
 * much; the rest by a worker, one event at a time.
 */
#include "subscription.h"

#include "shard_id.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/eventstream.h"

enum {
    EVENT_RECORDS_MAX = 1000,
    EVENT_BYTES_MAX = 256 << 10, /* of keys and data; one larger record is an event of its own */
    LOOP_BYTES_MAX = 256 << 10,  /* more than that is encoded by a worker */
    CHILDREN_RETRY_MS = 10,      /* a split has closed the log and not yet made the children */
    WORKERS_BUSY_RETRY_MS = 10,
    CROWDED_RETRY_MS = 100, /* too many events wait for their readers */
    RATE_BURST_MS = 1000,
    NS_PER_MS = 1000000,
};

/* What making an event came to, beside 0 and errors. */
enum {
    IDLE = 1,  /* nothing there */
    RETRY = 2, /* the end of the shard is not complete yet */
};

/* --- making events ---------------------------------------------------------------------------- */
static int make_end(struct datastream_subscription *s, struct datastream_fan_event **ret,
                    bool *ret_last)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(s->stream);
    const struct datastream_shard *row = datastream_shard_map_find(&shards->map, s->shard.index);
    if (row && !row->closed_ms)
        return RETRY;
    *ret_last = true;
    return datastream_fan_event_end(s->call, &shards->map, s->shard.index, ret);
}

static int make_empty_page(struct datastream_subscription *s, struct datastream_fan_event **ret,
                           bool *ret_last)
{
    struct storage_shard_ends ends;
    storage_shard_ends(s->log, &ends);
    return ends.closed && s->position >= ends.next ? make_end(s, ret, ret_last) : IDLE;
}

/* The event at the position. nowait: -EAGAIN when a worker must make it. */
static int make(struct datastream_subscription *s, bool nowait, struct datastream_fan_event **ret,
                bool *ret_last)
{
    const struct storage_shard_read read = {
        .from = s->position,
        .count_max = EVENT_RECORDS_MAX,
        .bytes_max = EVENT_BYTES_MAX,
        .nowait = nowait,
    };
    struct storage_page page;
    s->seen = kn_gate_value(storage_shard_gate(s->log)); /* before looking */
    int r = storage_shard_read(s->log, &read, &page);
    if (r < 0)
        return r;
    if (page.count == 0) {
        s->position = kn_max_u64(s->position, page.next);
        r = make_empty_page(s, ret, ret_last);
    } else if (nowait && page.bytes > LOOP_BYTES_MAX) {
        r = -EAGAIN;
    } else {
        r = datastream_fan_event_records(&s->shard, s->position, &page, kn_wall_ms(s->ds->clock),
                                         ret);
    }
    storage_page_free(&page);
    return r;
}

static void work(void *arg)
{
    struct datastream_subscription *s = arg;
    s->work_result = make(s, false, &s->work_event, &s->work_last);
}

static int end_with(struct datastream_subscription *s, const char *type, struct kn_str message)
{
    s->last = true;
    return datastream_fan_event_exception(type, message, &s->event);
}

static int end_taken(struct datastream_subscription *s)
{
    char id[DATASTREAM_SHARD_ID_BYTES], text[512];
    datastream_shard_id_format((int32_t) s->shard.index, id);
    int len = snprintf(
        text, sizeof(text),
        "Another active subscription exists for this consumer: %s:" KN_STR_FMT ":%s:" KN_STR_FMT,
        s->call->identity->account, KN_STR_ARG(s->stream->name), id, KN_STR_ARG(s->consumer->name));
    return end_with(s, "ResourceInUseException", (struct kn_str){text, (size_t) len});
}

/* What the log answered instead of records. */
static int end_failed(struct datastream_subscription *s, int r)
{
    if (r == -ENOENT)
        return end_with(s, "ResourceNotFoundException",
                        KN_STR("The stream of this subscription has been deleted."));
    return end_with(s, "InternalFailureException",
                    KN_STR("The records could not be read. Subscribe again."));
}

/* --- when ------------------------------------------------------------------------------------- */
static int64_t ms_since(const struct datastream_subscription *s, int64_t since_ns)
{
    return (kn_mono_ns(s->ds->clock) - since_ns) / NS_PER_MS;
}

static int64_t life_left_ms(const struct datastream_subscription *s)
{
    return (int64_t) s->ds->conf->subscription_ms_max - ms_since(s, s->started_ns);
}

static ssize_t wait_ms(struct datastream_subscription *s, struct kn_http_req *req, int64_t ms)
{
    kn_http_deadline(req, kn_max_i64(kn_min_i64(ms, life_left_ms(s)), 1));
    return KN_HTTP_WAIT;
}

static void pay(struct datastream_subscription *s, size_t bytes)
{
    uint64_t rate = datastream_rate_subscription(s->ds);
    if (rate == 0)
        return;
    s->paid_ns = kn_max_i64(s->paid_ns, kn_mono_ns(s->ds->clock)) +
                 (int64_t) (bytes * UINT64_C(1000) / rate) * NS_PER_MS;
}

static int64_t unpaid_ms(const struct datastream_subscription *s)
{
    return s->paid_ns ? -ms_since(s, s->paid_ns) - RATE_BURST_MS : 0;
}

/* An event, or 0 with *ret_ms: none for so long. */
static ssize_t idle(struct datastream_subscription *s, struct kn_http_req *req)
{
    int64_t left_ms =
        (int64_t) s->ds->conf->subscription_idle_ms - (s->sent_ns ? ms_since(s, s->sent_ns) : 0);
    if (left_ms <= 0 || !s->sent_ns) {
        datastream_fan_forget(s->fan);
        return datastream_fan_event_records(&s->shard, s->position, NULL, kn_wall_ms(s->ds->clock),
                                            &s->event);
    }
    kn_http_gate_wait(req, storage_shard_gate(s->log), s->seen);
    return wait_ms(s, req, left_ms);
}

static ssize_t offload(struct datastream_subscription *s, struct kn_http_req *req)
{
    s->working = true;
    int r = kn_http_offload(req, KN_HTTP_READS, work, s);
    if (r == 0) {
        kn_metric_add(s->metrics.cold, 1);
        s->worked = true;
        return KN_HTTP_WAIT;
    }
    s->working = false;
    return r == -EAGAIN ? wait_ms(s, req, WORKERS_BUSY_RETRY_MS) : end_failed(s, r);
}

static int take_work(struct datastream_subscription *s)
{
    s->worked = false;
    s->event = KN_MOVE(s->work_event);
    s->last = s->work_last;
    return s->work_result;
}

/* The next event into s->event: 0, or what pull is to return. */
static ssize_t next(struct datastream_subscription *s, struct kn_http_req *req)
{
    int state = atomic_load(&s->seat.state);
    if (state == DATASTREAM_SEAT_TAKEN)
        return end_taken(s);
    if (state == DATASTREAM_SEAT_GONE)
        return end_with(s, "ResourceNotFoundException",
                        KN_STR("The consumer of this subscription has been deregistered."));
    if (s->draining || life_left_ms(s) <= 0)
        return KN_HTTP_EOF;
    if (unpaid_ms(s) > 0)
        return wait_ms(s, req, unpaid_ms(s));
    int r = 0;
    if (s->worked) {
        r = take_work(s);
    } else {
        s->event = datastream_fan_find(s->fan, s->position);
        if (s->event) {
            kn_metric_add(s->metrics.shared, 1);
            return 0;
        }
        r = make(s, true, &s->event, &s->last);
    }
    switch (r) {
    case 0:
        if (!s->last)
            datastream_fan_keep(s->fan, s->event);
        return 0;
    case IDLE:
        return idle(s, req);
    case RETRY:
        return wait_ms(s, req, CHILDREN_RETRY_MS);
    case -EAGAIN:
        return offload(s, req);
    default:
        return end_failed(s, r);
    }
}

/* --- the answer ------------------------------------------------------------------------------- */
static int on_head(struct kn_http_req *req, void **ctx)
{
    struct datastream_subscription *s = *ctx;
    struct kn_http_header headers[KN_API_STREAM_HEADERS];
    size_t count = kn_api_stream_headers(s->call, KN_EVENTSTREAM_CONTENT_TYPE, headers);
    kn_http_reply_stream(req, 200, headers, count, KN_HTTP_LENGTH_UNKNOWN);
    return 0;
}

static void measure(const struct datastream_subscription *s)
{
    const struct datastream_sample samples[] = {
        {DATASTREAM_EVENT_BYTES,   (double) s->event->record_bytes},
        {DATASTREAM_EVENT_RECORDS, (double) s->event->record_count},
        {DATASTREAM_EVENT_SUCCESS, 1                              },
        {DATASTREAM_EVENT_BEHIND,  (double) s->event->behind_ms   },
    };
    datastream_measure_consumer(s->ds, s->consumer, samples, KN_ARRAY_LEN(samples));
}

static void begun(struct datastream_subscription *s)
{
    s->sent_ns = kn_mono_ns(s->ds->clock);
    s->position = kn_max_u64(s->position, s->event->next);
    s->event_at = 0;
    pay(s, s->event->record_bytes);
    if (!s->last)
        datastream_log_was_read(s->stream, s->shard.index, s->event->behind_ms,
                                kn_wall_ms(s->ds->clock));
    if (!s->last || s->event->record_count > 0)
        measure(s);
    kn_metric_add(s->metrics.events, 1);
    kn_metric_add(s->metrics.records, (int64_t) s->event->record_count);
    kn_metric_add(s->metrics.bytes, (int64_t) s->event->message.len);
}

static size_t send(struct datastream_subscription *s, struct kn_http_req *req, uint8_t *dst,
                   size_t cap)
{
    struct kn_bytes rest = kn_bytes_skip(kn_buf_bytes(&s->event->message), s->event_at);
    size_t len = kn_min_u64(rest.len, cap);
    memcpy(dst, rest.ptr, len);
    s->event_at += len;
    if (len == rest.len) {
        datastream_fan_event_unref(KN_MOVE(s->event));
        kn_http_unhold(req);
    }
    return len;
}

static ssize_t on_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct datastream_subscription *s = ctx;
    size_t len = 0;
    if (s->working)
        return KN_HTTP_WAIT;
    while (len < cap) {
        if (!s->event) {
            ssize_t r = s->last ? KN_HTTP_EOF : next(s, req);
            if (r == 0 && kn_http_hold(req, s->event->message.len) < 0) {
                datastream_fan_event_unref(KN_MOVE(s->event)); /* of records, or it were small */
                r = wait_ms(s, req, CROWDED_RETRY_MS);
            }
            if (r < 0)
                return len > 0 ? (ssize_t) len : r == -ENOMEM ? KN_HTTP_FAIL : r;
            begun(s);
        }
        len += send(s, req, (uint8_t *) dst + len, cap - len);
    }
    return (ssize_t) len;
}

static void on_wake(struct kn_http_req *req KN_UNUSED, void *ctx, uint32_t bits)
{
    struct datastream_subscription *s = ctx;
    if (bits & KN_HTTP_WAKE_JOB)
        s->working = false;
    if (bits & KN_HTTP_WAKE_SHUTDOWN)
        s->draining = true;
}

void datastream_subscription_free(struct datastream_subscription *s)
{
    if (s->metrics.open)
        kn_metric_add(s->metrics.open, -1);
    datastream_fan_event_unref(s->event);
    datastream_fan_event_unref(s->work_event);
    if (s->consumer)
        datastream_seat_leave(s->consumer, &s->seat);
    if (s->fan)
        datastream_fan_leave(s->ds->fans, s->fan);
    storage_shard_unref(s->log);
    datastream_consumer_unref(s->consumer);
    datastream_stream_unref(s->stream);
    free(s);
}

static void on_gone(struct kn_http_req *req KN_UNUSED, void *ctx, enum kn_http_why why KN_UNUSED)
{
    datastream_subscription_free(ctx);
}

static const struct kn_http_ops subscription_ops = {
    .head = on_head,
    .pull = on_pull,
    .wake = on_wake,
    .gone = on_gone,
};

void datastream_subscription_start(struct datastream_subscription *s)
{
    s->started_ns = kn_mono_ns(s->ds->clock);
    s->metrics = datastream_subscription_metrics_get();
    kn_metric_add(s->metrics.open, 1);
    kn_api_take(s->call, &subscription_ops, s);
}
