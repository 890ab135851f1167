/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_storage.h. Everything is an array in order of sequence; nothing is fast. */
#include "fake_storage.h"

#include "test.h"

#include <stdatomic.h>
#include <string.h>

struct item {
    struct storage_fragment f;
    uint8_t *bytes;
    struct storage_frame *frames;
    bool aborted;
};

struct fake_stream {
    struct storage_stream *stream;
    char *name;
    struct kn_gate gate;
    struct item *items;
    size_t count;
    struct storage_header **headers;
    size_t header_count;
    uint64_t next_seq, ordinal;
    _Atomic uint64_t trimmed_seq;
    _Atomic bool deleting;
    int64_t last_server_ts_ms;
};

struct storage {
    struct kn_clock *clock;
    struct fake_stream *streams[16];
    size_t stream_count;
    _Atomic bool cold; /* switches are thrown while a server's threads read */
    _Atomic int fail_error;
    _Atomic uint64_t fail_at;
    _Atomic size_t blocking_calls;
    const char *dir;
};

struct storage *fake_storage_new(struct kn_clock *clock)
{
    struct storage *storage = calloc(1, sizeof *storage);

    assert_non_null(storage);
    storage->clock = clock;
    storage->dir = "/nonexistent"; /* most tests write nothing there */
    return storage;
}

void fake_storage_free(struct storage *storage)
{
    for (size_t i = 0; i < storage->stream_count; i++) {
        struct fake_stream *s = storage->streams[i];

        for (size_t k = 0; k < s->count; k++) {
            free(s->items[k].bytes);
            free(s->items[k].frames);
        }
        for (size_t k = 0; k < s->header_count; k++) {
            assert_int_equal(atomic_load(&s->headers[k]->refs), 1);
            storage_header_unref(s->headers[k]);
        }
        assert_int_equal(atomic_load(&s->stream->refs), 1);
        free(s->stream);
        kn_gate_done(&s->gate);
        free(s->headers);
        free(s->items);
        free(s->name);
        free(s);
    }
    free(storage);
}

struct storage_id fake_storage_stream(struct storage *storage, const char *name,
                                      uint32_t retention_hours)
{
    struct fake_stream *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_true(storage->stream_count < KN_ARRAY_LEN(storage->streams));
    s->stream = calloc(1, sizeof *s->stream);
    s->name = strdup(name);
    assert_true(s->stream && s->name);
    atomic_store(&s->stream->refs, 1);
    s->stream->id.bytes[0] = (uint8_t) (storage->stream_count + 1);
    s->stream->name = kn_str_from(s->name);
    s->stream->created_ms = kn_wall_ms(storage->clock);
    s->stream->retention_hours = retention_hours;
    s->next_seq = 1;
    kn_gate_init(&s->gate);
    storage->streams[storage->stream_count++] = s;
    return s->stream->id;
}

static struct fake_stream *stream_of(struct storage *storage, const struct storage_id *id)
{
    for (size_t i = 0; i < storage->stream_count; i++)
        if (!memcmp(&storage->streams[i]->stream->id, id, sizeof *id))
            return storage->streams[i];
    return NULL;
}

static struct item *last_item(struct fake_stream *s)
{
    assert_true(s && s->count > 0);
    return &s->items[s->count - 1];
}

static uint64_t header_of(struct fake_stream *s, const struct capture *capture)
{
    struct storage_header *header;
    struct kn_err err = {0};
    uint8_t *copy;

    for (size_t i = 0; i < s->header_count; i++)
        if (s->headers[i]->bytes.len == capture->header_bytes &&
            !memcmp(s->headers[i]->bytes.ptr, capture->bytes, capture->header_bytes))
            return i + 1;
    header = calloc(1, sizeof *header + capture->header_bytes);
    assert_non_null(header);
    copy = (uint8_t *) (header + 1);
    memcpy(copy, capture->bytes, capture->header_bytes);
    header->bytes = (struct kn_bytes){copy, capture->header_bytes};
    if (kn_mkv_header_parse(header->bytes, &header->parsed, &err) < 0)
        fail_msg("header: %s", err.text);
    atomic_store(&header->refs, 1);
    s->headers = realloc(s->headers, (s->header_count + 1) * sizeof *s->headers);
    assert_non_null(s->headers);
    s->headers[s->header_count++] = header;
    return s->header_count;
}

static struct item *add_item(struct fake_stream *s, uint64_t header, int64_t server_ts_ms)
{
    struct item *item;
    const struct storage_fragment *before = s->count ? &s->items[s->count - 1].f : NULL;
    bool broken = !before || before->header != header;

    s->items = realloc(s->items, (s->count + 1) * sizeof *s->items);
    assert_non_null(s->items);
    before = s->count ? &s->items[s->count - 1].f : NULL;
    item = &s->items[s->count++];
    s->last_server_ts_ms = kn_max_i64(server_ts_ms, s->last_server_ts_ms + 1);
    *item = (struct item){
        .f =
            {
                .number = {.seq = s->next_seq,
                           .server_ts_ms = s->last_server_ts_ms,
                           .random = (uint32_t) (s->next_seq * 2654435761u) & 0xFFFFFFF},
                .ordinal = s->ordinal++,
                .discontinuity = (before ? before->discontinuity : 0) + broken,
                .flags = broken ? STORAGE_FRAGMENT_DISCONTINUITY : 0,
                .header = header,
                },
    };
    if (!s->stream->retention_hours)
        item->f.flags |= STORAGE_FRAGMENT_MEMORY;
    s->next_seq++;
    return item;
}

static void append_bytes(struct item *item, const void *bytes, size_t len)
{
    item->bytes = realloc(item->bytes, (size_t) item->f.bytes + len + 1);
    assert_non_null(item->bytes);
    memcpy(item->bytes + item->f.bytes, bytes, len);
    item->f.bytes += len;
}

static void set_shape(struct item *item, const struct capture_fragment *shape, uint64_t scale_ns)
{
    int32_t first = INT32_MAX, last = INT32_MIN;
    size_t n = shape->frame_count;
    uint64_t span_ns;

    item->f.timecode = shape->timecode;
    item->f.cluster_offset = (uint32_t) (shape->cluster - shape->start);
    item->f.cluster_bytes = shape->cluster_end - shape->cluster;
    item->f.frame_count = (uint32_t) n;
    item->f.flags |= shape->end_tag ? STORAGE_FRAGMENT_END_TAG : 0;
    item->frames = calloc(n + 1, sizeof *item->frames);
    assert_non_null(item->frames);
    for (size_t i = 0; i < n; i++) {
        item->frames[i] = shape->frames[i];
        first = shape->frames[i].time < first ? shape->frames[i].time : first;
        last = shape->frames[i].time > last ? shape->frames[i].time : last;
    }
    span_ns = n ? (uint64_t) (last - first) * scale_ns : 0;
    item->f.duration_ms = (uint32_t) (span_ns / 1000000);
    item->f.full_duration_ms = n > 1 ? (uint32_t) (span_ns * n / (n - 1) / 1000000) : 0;
}

size_t fake_storage_load(struct storage *storage, const struct storage_id *stream,
                         const struct capture *capture, const struct fake_load *how)
{
    struct fake_stream *s = stream_of(storage, stream);
    uint64_t header = header_of(s, capture);
    int64_t base_ms = how->server_ts_ms ? how->server_ts_ms : kn_wall_ms(storage->clock);
    size_t stored = 0, end = how->count ? how->first + how->count : capture->fragment_count;

    for (size_t i = how->first; i < end && i < capture->fragment_count; i++) {
        const struct capture_fragment *from = &capture->fragments[i];
        uint64_t since = from->timecode - capture->fragments[how->first].timecode;
        int64_t since_ms = (int64_t) (since * capture->timestamp_scale_ns / 1000000);
        struct item *item;

        if (!from->whole)
            continue;
        if (how->server_step_ms)
            since_ms = how->server_step_ms * (int64_t) stored;
        item = add_item(s, header, base_ms + since_ms);
        append_bytes(item, capture->bytes + from->start, from->end - from->start);
        set_shape(item, from, capture->timestamp_scale_ns);
        item->f.producer_ts_ms = how->producer_start_ms +
                                 (int64_t) (from->timecode * capture->timestamp_scale_ns / 1000000);
        item->f.flags |= how->producer_start_ms ? STORAGE_FRAGMENT_RELATIVE : 0;
        stored++;
    }
    kn_gate_bump(&s->gate);
    return stored;
}

struct storage_fragment fake_storage_begin(struct storage *storage, const struct storage_id *stream,
                                           const struct capture *capture, uint64_t timecode,
                                           int64_t producer_ts_ms)
{
    struct fake_stream *s = stream_of(storage, stream);
    struct item *item = add_item(s, header_of(s, capture), kn_wall_ms(storage->clock));

    item->f.timecode = timecode;
    item->f.producer_ts_ms = producer_ts_ms;
    item->f.flags |= STORAGE_FRAGMENT_IN_FLIGHT;
    kn_gate_bump(&s->gate);
    return item->f;
}

void fake_storage_part(struct storage *storage, const struct storage_id *stream, const void *bytes,
                       size_t len)
{
    struct fake_stream *s = stream_of(storage, stream);

    assert_true(last_item(s)->f.flags & STORAGE_FRAGMENT_IN_FLIGHT);
    append_bytes(last_item(s), bytes, len);
    kn_gate_bump(&s->gate);
}

void fake_storage_complete(struct storage *storage, const struct storage_id *stream)
{
    struct fake_stream *s = stream_of(storage, stream);

    assert_true(last_item(s)->f.flags & STORAGE_FRAGMENT_IN_FLIGHT);
    last_item(s)->f.flags |= STORAGE_FRAGMENT_COMPLETE;
    kn_gate_bump(&s->gate);
}

void fake_storage_commit(struct storage *storage, const struct storage_id *stream,
                         const struct capture_fragment *shape)
{
    struct fake_stream *s = stream_of(storage, stream);
    struct item *item = last_item(s);

    while (item > s->items && (item[-1].f.flags & STORAGE_FRAGMENT_IN_FLIGHT) && !item[-1].aborted)
        item--;
    assert_true(item->f.flags & STORAGE_FRAGMENT_IN_FLIGHT);
    assert_int_equal(item->f.bytes, shape->end - shape->start);
    set_shape(item, shape, s->headers[item->f.header - 1]->parsed.timestamp_scale_ns);
    item->f.flags &= ~(uint32_t) (STORAGE_FRAGMENT_IN_FLIGHT | STORAGE_FRAGMENT_COMPLETE);
    kn_gate_bump(&s->gate);
}

void fake_storage_abort(struct storage *storage, const struct storage_id *stream)
{
    struct fake_stream *s = stream_of(storage, stream);

    assert_true(last_item(s)->f.flags & STORAGE_FRAGMENT_IN_FLIGHT);
    last_item(s)->aborted = true;
    s->ordinal--;
    kn_gate_bump(&s->gate);
}

struct storage_number fake_storage_send(struct storage *storage, const struct storage_id *stream,
                                        const struct capture *capture, size_t index)
{
    const struct capture_fragment *f = &capture->fragments[index];
    uint64_t ms = f->timecode * capture->timestamp_scale_ns / 1000000;
    size_t at = f->start;
    struct storage_fragment begun =
        fake_storage_begin(storage, stream, capture, f->timecode, (int64_t) ms);

    for (size_t i = 0; i < f->mark_count; i++) {
        fake_storage_part(storage, stream, capture->bytes + at, f->marks[i] - at);
        at = f->marks[i];
    }
    fake_storage_commit(storage, stream, f);
    return begun.number;
}

void fake_storage_trim(struct storage *storage, const struct storage_id *stream, uint64_t upto_seq)
{
    struct fake_stream *s = stream_of(storage, stream);

    s->trimmed_seq = kn_max_u64(s->trimmed_seq, upto_seq);
    kn_gate_bump(&s->gate);
}

void fake_storage_jump(struct storage *storage, const struct storage_id *stream, uint64_t next_seq)
{
    struct fake_stream *s = stream_of(storage, stream);

    assert_true(next_seq >= s->next_seq);
    s->next_seq = next_seq;
}

void fake_storage_set_deleting(struct storage *storage, const struct storage_id *stream)
{
    struct fake_stream *fake = stream_of(storage, stream);
    struct storage_stream *s = fake->stream;

    fake->deleting = true;
    storage_stream_unref(storage_stream_ref(s)); /* after what readers did before their unref … */
    s->status = STORAGE_STREAM_DELETING;
    storage_stream_unref(storage_stream_ref(s)); /* … and before what they do after their ref */
    kn_gate_bump(&fake->gate);
}

void fake_storage_set_cold(struct storage *storage, bool cold)
{
    storage->cold = cold;
}

void fake_storage_fail_read(struct storage *storage, int error, uint64_t at_least)
{
    storage->fail_error = error;
    storage->fail_at = at_least;
}

void fake_storage_set_dir(struct storage *storage, const char *dir)
{
    storage->dir = dir;
}

size_t fake_storage_blocking_calls(struct storage *storage)
{
    return storage->blocking_calls;
}

static int enter(struct storage *storage, bool nowait)
{
    if (nowait)
        return storage->cold ? -EAGAIN : 0;
    storage->blocking_calls++;
    return 0;
}

static bool is_visible(const struct fake_stream *s, const struct item *item, bool in_flight)
{
    return !item->aborted && !s->deleting && item->f.number.seq > s->trimmed_seq &&
           (in_flight || !(item->f.flags & STORAGE_FRAGMENT_IN_FLIGHT));
}

static bool matches(const struct item *item, const struct storage_query *q)
{
    int64_t ts =
        q->order == STORAGE_BY_PRODUCER_TS ? item->f.producer_ts_ms : item->f.number.server_ts_ms;

    if (q->order == STORAGE_BY_NUMBER)
        return item->f.number.seq > q->after_seq;
    return item->f.number.seq > q->after_seq && ts >= q->from_ms && ts <= q->to_ms;
}

int storage_find(struct storage *storage, const struct storage_id *stream,
                 const struct storage_query *query, struct storage_fragment *out, size_t cap,
                 size_t *ret_count, bool nowait)
{
    struct fake_stream *s = stream_of(storage, stream);
    size_t found = 0;
    int r = enter(storage, nowait);

    if (r < 0)
        return r;
    for (size_t k = 0; s && k < s->count && found < cap; k++) {
        const struct item *item = &s->items[query->newest_first ? s->count - 1 - k : k];

        if (is_visible(s, item, query->in_flight) && matches(item, query))
            out[found++] = item->f;
    }
    *ret_count = found;
    return 0;
}

void storage_find_ahead(struct storage *storage, const struct storage_id *stream,
                        const struct storage_query *query, uint64_t fragments)
{
    (void) storage;
    (void) stream;
    (void) query;
    (void) fragments;
}

int storage_find_at(struct storage *storage, const struct storage_id *stream,
                    enum storage_order order, int64_t at_ms, struct storage_fragment *ret,
                    bool nowait)
{
    struct fake_stream *s = stream_of(storage, stream);
    const struct storage_fragment *covers = NULL, *later = NULL;
    int r = enter(storage, nowait);

    if (r < 0)
        return r;
    for (size_t i = 0; s && i < s->count; i++) {
        const struct storage_fragment *f = &s->items[i].f;
        int64_t start =
            order == STORAGE_BY_PRODUCER_TS ? f->producer_ts_ms : f->number.server_ts_ms;
        int64_t later_start = !later                            ? 0
                              : order == STORAGE_BY_PRODUCER_TS ? later->producer_ts_ms
                                                                : later->number.server_ts_ms;

        if (!is_visible(s, &s->items[i], false))
            continue;
        if (start <= at_ms && at_ms <= start + f->full_duration_ms)
            covers = f;
        if (start > at_ms && (!later || start < later_start))
            later = f;
    }
    if (!covers && !later)
        return -ENOENT;
    *ret = covers ? *covers : *later;
    return 0;
}

static struct item *item_of(struct fake_stream *s, const struct storage_number *number)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (s->items[i].f.number.seq == number->seq &&
            s->items[i].f.number.server_ts_ms == number->server_ts_ms &&
            s->items[i].f.number.random == number->random)
            return &s->items[i];
    return NULL;
}

int storage_find_number(struct storage *storage, const struct storage_id *stream,
                        const struct storage_number *number, struct storage_fragment *ret,
                        bool nowait)
{
    struct fake_stream *s = stream_of(storage, stream);
    struct item *item = item_of(s, number);
    int r = enter(storage, nowait);

    if (r < 0)
        return r;
    if (!item || !is_visible(s, item, true))
        return -ENOENT;
    *ret = item->f;
    return 0;
}

ssize_t storage_read(struct storage *storage, const struct storage_id *stream,
                     const struct storage_fragment *fragment, uint64_t off, const struct iovec *iov,
                     int iov_count, bool nowait)
{
    struct fake_stream *s = stream_of(storage, stream);
    struct item *item = item_of(s, &fragment->number);
    size_t got = 0;
    int r = enter(storage, nowait);

    if (r < 0)
        return r;
    if (!item || item->f.number.seq <= s->trimmed_seq)
        return -ENOENT;
    if (item->aborted)
        return -ECANCELED;
    if (storage->fail_error && off >= storage->fail_at)
        return storage->fail_error;
    for (int i = 0; i < iov_count && off < item->f.bytes; i++) {
        size_t len = (size_t) kn_min_u64(iov[i].iov_len, item->f.bytes - off);

        memcpy(iov[i].iov_base, item->bytes + off, len);
        got += len;
        off += len;
    }
    return (ssize_t) got;
}

int storage_header_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_header **ret,
                       bool nowait)
{
    struct fake_stream *s = stream_of(storage, stream);
    int r = enter(storage, nowait);

    if (r < 0)
        return r;
    if (!s || !fragment->header || fragment->header > s->header_count ||
        fragment->number.seq <= s->trimmed_seq)
        return -ENOENT;
    *ret = s->headers[fragment->header - 1];
    atomic_fetch_add(&(*ret)->refs, 1);
    return 0;
}

void storage_header_unref(struct storage_header *header)
{
    if (header && atomic_fetch_sub(&header->refs, 1) == 1)
        free(header);
}

int storage_frames_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_frames **ret,
                       bool nowait)
{
    struct fake_stream *s = stream_of(storage, stream);
    struct item *item = item_of(s, &fragment->number);
    struct storage_frames *frames;
    int r = enter(storage, nowait);

    if (r < 0)
        return r;
    if (!item || !is_visible(s, item, false))
        return -ENOENT;
    frames = calloc(1, sizeof *frames + item->f.frame_count * sizeof frames->items[0]);
    assert_non_null(frames);
    frames->count = item->f.frame_count;
    memcpy(frames->items, item->frames, frames->count * sizeof frames->items[0]);
    *ret = frames;
    return 0;
}

void storage_frames_free(struct storage_frames *frames)
{
    free(frames);
}

struct kn_gate *storage_tail_gate(struct storage *storage, const struct storage_id *stream)
{
    struct fake_stream *s = stream_of(storage, stream);

    return s ? &s->gate : NULL;
}

int storage_stream_stats(struct storage *storage, const struct storage_id *stream,
                         struct storage_stream_stats *ret, bool nowait)
{
    struct fake_stream *s = stream_of(storage, stream);
    int r = enter(storage, nowait);

    if (r < 0)
        return r;
    if (!s)
        return -ENOENT;
    *ret = (struct storage_stream_stats){.chunks = 1};
    for (size_t i = 0; i < s->count; i++) {
        const struct storage_fragment *f = &s->items[i].f;

        ret->uploading |= (f->flags & STORAGE_FRAGMENT_IN_FLIGHT) && !s->items[i].aborted;
        if (!is_visible(s, &s->items[i], false))
            continue;
        ret->fragments++;
        ret->bytes += f->bytes;
        ret->newest_server_ts_ms = f->number.server_ts_ms;
        if (!ret->oldest_server_ts_ms)
            ret->oldest_server_ts_ms = f->number.server_ts_ms;
    }
    return 0;
}

struct storage_stream *storage_stream_find(struct storage *storage, struct kn_str name)
{
    for (size_t i = 0; i < storage->stream_count; i++)
        if (kn_str_eq(storage->streams[i]->stream->name, name))
            return storage_stream_ref(storage->streams[i]->stream);
    return NULL;
}

uint64_t storage_stream_changes(struct storage *storage)
{
    static _Atomic uint64_t changes;
    (void) storage;
    return ++changes;
}

struct storage_stream *storage_stream_find_id(struct storage *storage, const struct storage_id *id)
{
    struct fake_stream *s = stream_of(storage, id);

    return s ? storage_stream_ref(s->stream) : NULL;
}

struct storage_stream *storage_stream_ref(struct storage_stream *stream)
{
    atomic_fetch_add(&stream->refs, 1);
    return stream;
}

void storage_stream_unref(struct storage_stream *stream)
{
    if (stream)
        atomic_fetch_sub(&stream->refs, 1);
}

struct kn_clock *storage_clock(struct storage *storage)
{
    return storage->clock;
}

const char *storage_dir(struct storage *storage)
{
    return storage->dir;
}
