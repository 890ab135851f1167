/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One life of a world: seeded work against the storage, as ingest and control do it, with every
 * result noted at the moment it is told. Errors are part of the game: a call may fail, and then
 * nothing was promised.
 */
#include "log.h"
#include "sim_thread.h"
#include "world.h"

#include "core/thread.h"

static const int64_t hour_ms = 3600 * 1000;

struct upload { /* the writer of one stream, if any */
    struct work *work;
    struct storage_writer *w;
    unsigned stream;
    struct kn_lock lock;
    struct kn_cond moved;
    uint64_t writable; /* guarded by lock, like the rest */
    uint64_t submitted, told;
    bool closed;
    unsigned media;
    struct capture capture;
    unsigned next; /* fragment of the medium */
};

struct work {
    struct world *world;
    const struct world_work *what;
    struct storage *storage;
    struct kn_fake_clock clock;
    uint64_t random;
    struct upload *uploads[WORLD_NAMES];
    int stream_of[WORLD_NAMES]; /* index into notes.streams, or -1 */
};

/* The engine's calls, during which its allocations may fail. */
#define CALL(expr)                                                                                 \
    ({                                                                                             \
        sim_thread_enter();                                                                        \
        __typeof__(expr) result_ = (expr);                                                         \
        sim_thread_leave();                                                                        \
        result_;                                                                                   \
    })
#define CALL_VOID(expr)                                                                            \
    do {                                                                                           \
        sim_thread_enter();                                                                        \
        expr;                                                                                      \
        sim_thread_leave();                                                                        \
    } while (0)

static uint64_t draw(struct work *work, uint64_t below)
{
    return test_random(&work->random) % below;
}

/* The notes know the time before the keeper can act on it. */
static void advance(struct work *work, int64_t by_ms)
{
    work->world->notes->wall_ms = work->clock.wall_ms + by_ms;
    kn_fake_clock_advance(&work->clock, by_ms);
}

/* --- what the storage tells ------------------------------------------------------------------- */
static void on_committed(void *ctx, const struct storage_fragment *fragment, bool duplicate,
                         int result)
{
    struct upload *up = ctx;
    struct world *w = up->work->world;
    if (result == 0) {
        struct world_note *note = world_note_of(w, up->stream, &fragment->number);
        struct world_stream *stream = &w->notes->streams[up->stream];
        if (!note)
            world_broken(w, "seq %" PRIu64 " was acknowledged and never sent",
                         fragment->number.seq);
        if (duplicate && !note->acked && !note->memory)
            note->ordinal = fragment->ordinal;
        if (!duplicate) {
            if (fragment->ordinal < stream->ordinal_max)
                world_broken(w, "ordinal %" PRIu64 " was given twice", fragment->ordinal);
            if (!note->memory) { /* those in memory only are forgotten with the process */
                stream->ordinal_max = fragment->ordinal + 1;
                stream->server_ts_ms_max = fragment->number.server_ts_ms;
            }
            note->ordinal = fragment->ordinal;
        }
        w->notes->acked += !note->acked;
        note->acked = true;
    }
    KN_LOCKED(&up->lock);
    up->told++;
    kn_cond_broadcast(&up->moved);
}

static void on_writable(void *ctx)
{
    struct upload *up = ctx;
    KN_LOCKED(&up->lock);
    up->writable++;
    kn_cond_broadcast(&up->moved);
}

static void on_closed(void *ctx)
{
    struct upload *up = ctx;
    KN_LOCKED(&up->lock);
    up->closed = true;
    kn_cond_broadcast(&up->moved);
}

static uint64_t writable_seen(struct upload *up)
{
    KN_LOCKED(&up->lock);
    return up->writable;
}

static void wait_writable(struct upload *up, uint64_t seen)
{
    KN_LOCKED(&up->lock);
    while (up->writable == seen)
        kn_cond_wait(&up->moved, &up->lock);
}

static void settle(struct upload *up)
{
    KN_LOCKED(&up->lock);
    while (up->told < up->submitted)
        kn_cond_wait(&up->moved, &up->lock);
}

/* --- uploads ---------------------------------------------------------------------------------- */
static void upload_close(struct upload *up)
{
    if (!up)
        return;
    CALL_VOID(storage_writer_close(up->w, on_closed));
    kn_lock_take(&up->lock);
    while (!up->closed)
        kn_cond_wait(&up->moved, &up->lock);
    kn_lock_give(&up->lock);
    if (up->told != up->submitted)
        world_broken(up->work->world, "closed before every commit was told");
    capture_done(&up->capture);
    kn_cond_done(&up->moved);
    kn_lock_done(&up->lock);
    free(up);
}

static int take_media(struct upload *up, unsigned media)
{
    struct kn_mkv_header parsed;
    struct kn_err err;
    capture_done(&up->capture);
    up->media = media;
    up->capture = world_media(media);
    up->next = 0;
    struct kn_bytes bytes = {up->capture.bytes, up->capture.header_bytes};
    kn_assert(kn_mkv_header_parse(bytes, &parsed, &err) == 0);
    return CALL(storage_writer_header(up->w, bytes, &parsed));
}

static unsigned new_media(struct work *work)
{
    kn_assert(work->world->notes->media_count < WORLD_MEDIA_MAX);
    return work->world->notes->media_count++;
}

static struct upload *upload_open(struct work *work, unsigned name, bool fence, unsigned media)
{
    static const struct storage_writer_events events = {.committed = on_committed,
                                                        .writable = on_writable};
    int at = work->stream_of[name];
    if (at < 0)
        return NULL;
    struct upload *up = calloc(1, sizeof(*up));
    kn_assert(up != NULL);
    up->work = work;
    up->stream = (unsigned) at;
    kn_lock_init(&up->lock);
    kn_cond_init(&up->moved);
    const struct storage_id *id = &work->world->notes->streams[at].id;
    if (CALL(storage_writer_open(work->storage, id, fence, &events, up, &up->w)) < 0) {
        kn_cond_done(&up->moved);
        kn_lock_done(&up->lock);
        free(up);
        return NULL;
    }
    if (take_media(up, media) < 0) {
        upload_close(up);
        return NULL;
    }
    return up;
}

static int put(struct upload *up, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        uint64_t seen = writable_seen(up);
        ssize_t r = CALL(storage_writer_part(up->w, bytes, len));
        if (r < 0)
            return (int) r;
        bytes += r;
        len -= (size_t) r;
        if (len > 0)
            wait_writable(up, seen);
    }
    return 0;
}

static int put_parts(struct upload *up, const struct capture_fragment *f, size_t marks)
{
    size_t at = f->start, frame = 0;
    for (size_t m = 0; m < marks; m++) {
        int r = put(up, up->capture.bytes + at, f->marks[m] - at);
        if (r < 0)
            return r;
        at = f->marks[m];
        const struct storage_frame *ends = NULL;
        if (frame < f->frame_count &&
            f->start + f->frames[frame].offset + f->frames[frame].bytes <= at)
            ends = &f->frames[frame++];
        r = CALL(storage_writer_mark(up->w, ends));
        if (r < 0)
            return r;
    }
    return 0;
}

static int begin(struct upload *up, const struct capture_fragment *f, int64_t producer_ts_ms,
                 struct storage_fragment *ret)
{
    struct storage_begin begin = {.producer_ts_ms = producer_ts_ms,
                                  .timecode = f->timecode,
                                  .flags = up->next == 0 ? STORAGE_FRAGMENT_DISCONTINUITY : 0};
    for (;;) {
        uint64_t seen = writable_seen(up);
        int r = CALL(storage_writer_begin(up->w, &begin, ret));
        if (r != -EAGAIN)
            return r;
        wait_writable(up, seen);
    }
}

/* BUFFERING has told the number: it must be new, and so must its time. */
static void note_begun(struct upload *up, const struct storage_fragment *begun)
{
    struct world *w = up->work->world;
    struct world_stream *stream = &w->notes->streams[up->stream];
    if (begun->number.seq <= stream->seq_max)
        world_broken(w, "seq %" PRIu64 " was used before", begun->number.seq);
    if (begun->number.server_ts_ms <= stream->server_ts_ms_max)
        world_broken(w, "server time of seq %" PRIu64 " does not rise", begun->number.seq);
    stream->seq_max = begun->number.seq;
    kn_assert(w->notes->note_count < WORLD_NOTES_MAX);
    w->notes->notes[w->notes->note_count] = (struct world_note){
        .number = begun->number,
        .stream = (uint16_t) up->stream,
        .media = (uint16_t) up->media,
        .fragment = (uint16_t) up->next,
        .memory = begun->flags & STORAGE_FRAGMENT_MEMORY,
    };
    w->notes->note_count++;
}

static int commit(struct upload *up, const struct capture_fragment *f)
{
    struct storage_commit commit = {
        .cluster_offset = (uint32_t) (f->cluster - f->start),
        .cluster_bytes = f->cluster_end - f->cluster,
        .flush_soon = draw(up->work, 2) && !up->work->what->burst,
    };
    if (f->frame_count > 0) {
        commit.duration_ms = (uint32_t) f->frames[f->frame_count - 1].time;
        commit.full_duration_ms = commit.duration_ms + 40;
    }
    int r = CALL(storage_writer_commit(up->w, &commit));
    if (r == 0) {
        KN_LOCKED(&up->lock);
        up->submitted++;
    }
    return r;
}

/* The next fragment of the medium; before it perhaps a half one that is given up. */
static int send_one(struct upload *up, bool repeat, bool plain)
{
    struct work *work = up->work;
    if (up->next == WORLD_MEDIA_FRAGMENTS && take_media(up, new_media(work)) < 0)
        return -ENOMEM;
    if (repeat && up->next > 0)
        up->next--;
    const struct capture_fragment *f = &up->capture.fragments[up->next];
    struct storage_fragment begun;
    int64_t producer_ts_ms = (int64_t) f->timecode;
    if (!plain && draw(work, 4) == 0) {
        int r = begin(up, f, producer_ts_ms + 7, &begun);
        if (r < 0)
            return r;
        (void) put_parts(up, f, 1 + draw(work, f->mark_count));
        CALL_VOID(storage_writer_abort(up->w));
    }
    int r = begin(up, f, producer_ts_ms, &begun);
    if (r < 0)
        return r;
    note_begun(up, &begun);
    r = put_parts(up, f, f->mark_count);
    if (r == 0)
        r = commit(up, f);
    if (r < 0)
        CALL_VOID(storage_writer_abort(up->w));
    up->next++;
    return r;
}

static void step_upload(struct work *work, unsigned name, bool repeat)
{
    advance(work, 1 + (int64_t) draw(work, 900));
    if (!work->uploads[name])
        work->uploads[name] = upload_open(work, name, false, new_media(work));
    struct upload *up = work->uploads[name];
    if (!up)
        return;
    (void) send_one(up, repeat, false);
    if (draw(work, work->what->burst ? 20 : 3) == 0)
        settle(up);
}

/* A producer comes back and sends again what it was not told of. */
static void resend_all(struct work *work)
{
    struct world_notes *notes = work->world->notes;
    uint32_t count = notes->note_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct world_note note = notes->notes[i];
        unsigned name = notes->streams[note.stream].name;
        if (note.acked || work->stream_of[name] != note.stream)
            continue;
        struct upload *up = upload_open(work, name, false, note.media);
        if (!up)
            continue;
        up->next = note.fragment;
        (void) send_one(up, false, true);
        settle(up);
        upload_close(up);
    }
}

/* A second connection takes the stream while a fragment of the first is open. */
static void step_fence(struct work *work, unsigned name)
{
    struct upload *up = work->uploads[name];
    struct storage_fragment begun;
    if (!up || up->next >= WORLD_MEDIA_FRAGMENTS)
        return;
    const struct capture_fragment *f = &up->capture.fragments[up->next];
    if (begin(up, f, 1, &begun) == 0)
        (void) put_parts(up, f, f->mark_count);
    work->uploads[name] = upload_open(work, name, true, new_media(work));
    upload_close(up);
}

/* --- streams ---------------------------------------------------------------------------------- */
static int64_t kept_ms(uint32_t hours)
{
    return hours ? (int64_t) hours * hour_ms : (int64_t) world_conf().memory_stream_ms_max;
}

static void note_stream(struct work *work, unsigned name, const struct storage_stream *stream)
{
    struct world_notes *notes = work->world->notes;
    for (uint32_t i = 0; i < notes->stream_count; i++) {
        if (memcmp(&notes->streams[i].id, &stream->id, sizeof(stream->id)) == 0) {
            if (notes->streams[i].deleted && stream->status == STORAGE_STREAM_ACTIVE)
                world_broken(work->world, "stream s%u came back", name);
            work->stream_of[name] = stream->status == STORAGE_STREAM_ACTIVE ? (int) i : -1;
            return;
        }
    }
    kn_assert(notes->stream_count < WORLD_STREAMS_MAX);
    notes->streams[notes->stream_count] = (struct world_stream){
        .id = stream->id, .name = (uint8_t) name, .kept_ms_min = kept_ms(stream->retention_hours)};
    work->stream_of[name] = (int) notes->stream_count++;
}

static void find_or_create(struct work *work, unsigned name)
{
    char text[8];
    snprintf(text, sizeof(text), "s%u", name);
    struct storage_stream_new settings = {.name = kn_str_from(text), .retention_hours = 24};
    struct storage_stream *stream = NULL;
    work->stream_of[name] = -1;
    int r = CALL(storage_stream_create(work->storage, &settings, &stream));
    if (r == -EEXIST)
        stream = storage_stream_find(work->storage, kn_str_from(text));
    if (stream)
        note_stream(work, name, stream);
    storage_stream_unref(stream);
}

static int edit_retention(void *ctx, const struct storage_stream *now,
                          struct storage_stream_draft *draft)
{
    (void) now;
    draft->retention_hours = *(uint32_t *) ctx;
    return 0;
}

static void step_retention(struct work *work, unsigned name)
{
    static const uint32_t choices[] = {0, 1, 24, 48};
    uint32_t hours = choices[draw(work, KN_ARRAY_LEN(choices))];
    char text[8];
    snprintf(text, sizeof(text), "s%u", name);
    if (work->stream_of[name] < 0)
        return;
    struct world_stream *stream = &work->world->notes->streams[work->stream_of[name]];
    stream->kept_ms_min = kn_min_i64(stream->kept_ms_min, kept_ms(hours));
    (void) CALL(storage_stream_update(work->storage, kn_str_from(text), KN_STR(""), edit_retention,
                                      &hours));
}

static void step_delete(struct work *work, unsigned name)
{
    char text[8];
    snprintf(text, sizeof(text), "s%u", name);
    if (work->stream_of[name] < 0)
        return;
    struct world_stream *stream = &work->world->notes->streams[work->stream_of[name]];
    if (world_has_hold(stream)) {
        if (CALL(storage_stream_delete(work->storage, kn_str_from(text), KN_STR(""))) == 0)
            world_broken(work->world, "s%u was deleted under a legal hold", name);
        return;
    }
    stream->delete_asked = true;
    if (CALL(storage_stream_delete(work->storage, kn_str_from(text), KN_STR(""))) == 0)
        stream->deleted = true;
    upload_close(work->uploads[name]);
    work->uploads[name] = NULL;
    find_or_create(work, name); /* -EEXIST while chunks are on their way out */
}

/* --- retention
 * ---------------------------------------------------------------------------------------
 */
/* The stored horizon: what it covers was deleted, not only hidden by its age. */
static uint64_t horizon_of(struct work *work, const struct storage_id *id)
{
    struct storage_log *log = storage_log_peek(work->storage, id);
    if (!log)
        return 0;
    KN_LOCKED(&log->slow);
    return log->stored.trim_seq;
}

/* What was trimmed, and readers do not see any more, may never come back. */
static void note_gone(struct work *work, unsigned name)
{
    static struct storage_fragment found[WORLD_NOTES_MAX];
    struct world_notes *notes = work->world->notes;
    if (work->stream_of[name] < 0)
        return;
    unsigned stream = (unsigned) work->stream_of[name];
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count;
    uint64_t horizon = horizon_of(work, &notes->streams[stream].id);
    if (CALL(storage_find(work->storage, &notes->streams[stream].id, &query, found, WORLD_NOTES_MAX,
                          &count, false)) < 0)
        return;
    size_t at = 0;
    for (uint32_t i = 0; i < notes->note_count; i++) {
        struct world_note *note = &notes->notes[i];
        if (note->stream != stream || !note->acked)
            continue;
        while (at < count && found[at].number.seq < note->number.seq)
            at++;
        bool there = at < count && found[at].number.seq == note->number.seq;
        if (there && note->gone)
            world_broken(work->world, "seq %" PRIu64 " came back", note->number.seq);
        if (!there && !note->memory && world_is_held(work->world, note))
            world_broken(work->world, "seq %" PRIu64 " is held and went", note->number.seq);
        note->gone |= !there && note->number.seq <= horizon;
    }
}

static void hold_set(struct work *work, struct world_stream *stream, unsigned at)
{
    struct world_hold *hold = &stream->holds[at];
    int64_t now_ms = work->clock.wall_ms;
    char text[8];
    hold->from_ms = now_ms - (int64_t) draw(work, 30 * (uint64_t) hour_ms);
    hold->to_ms = draw(work, 2) ? INT64_MAX : now_ms + (int64_t) draw(work, (uint64_t) hour_ms);
    struct storage_hold asked = {.name = world_hold_name(at, text),
                                 .reason = KN_STR("a reason"),
                                 .by = KN_STR("somebody"),
                                 .from_ms = hold->from_ms,
                                 .to_ms = hold->to_ms};
    hold->state = WORLD_HOLD_MAYBE;
    int r = CALL(storage_hold_put(work->storage, &stream->id, &asked));
    if (r == -EEXIST)
        world_broken(work->world, "a hold that was lifted is there");
    hold->promised_ms = work->clock.wall_ms - stream->kept_ms_min;
    if (r == 0)
        hold->state = WORLD_HOLD_SET;
}

static void step_hold(struct work *work, unsigned name)
{
    if (work->stream_of[name] < 0)
        return;
    struct world_stream *stream = &work->world->notes->streams[work->stream_of[name]];
    unsigned at = (unsigned) draw(work, WORLD_HOLDS);
    struct world_hold *hold = &stream->holds[at];
    if (hold->state == WORLD_HOLD_NONE) {
        hold_set(work, stream, at);
        return;
    }
    char text[8];
    bool was_set = hold->state == WORLD_HOLD_SET;
    hold->state = WORLD_HOLD_MAYBE;
    int r = CALL(storage_hold_remove(work->storage, &stream->id, world_hold_name(at, text)));
    if (r == -ENOENT && was_set)
        world_broken(work->world, "a hold that was set is lost");
    if (r == 0 || r == -ENOENT)
        hold->state = WORLD_HOLD_NONE;
}

/* The keeper's own thread trims while readers look. */
static void step_trim(struct work *work, unsigned name)
{
    static const int64_t steps_ms[] = {60 * 1000, 3600 * 1000, 23 * 3600 * 1000, 30 * 3600 * 1000};
    advance(work, steps_ms[draw(work, KN_ARRAY_LEN(steps_ms))]);
    if (draw(work, 2)) {
        CALL_VOID(storage_keeper_round(work->storage));
        note_gone(work, name);
        return;
    }
    storage_keeper_wake(work->storage);
    for (int i = 0; i < 4; i++)
        note_gone(work, name);
}

/* --- a life ----------------------------------------------------------------------------------- */
static void close_uploads(struct work *work)
{
    for (unsigned name = 0; name < WORLD_NAMES; name++) {
        upload_close(work->uploads[name]);
        work->uploads[name] = NULL;
    }
}

static int open_again(struct work *work)
{
    int r = world_open(work->world, &work->clock, &work->storage, NULL);
    for (unsigned name = 0; r == 0 && name < (work->what->small ? 1 : WORLD_NAMES); name++)
        find_or_create(work, name);
    return r;
}

static int step(struct work *work)
{
    unsigned name = work->what->small ? 0 : (unsigned) draw(work, WORLD_NAMES);
    uint64_t what = draw(work, 100);
    if (what < 62 || work->what->small) {
        step_upload(work, name, what < 8);
    } else if (what < 70) {
        upload_close(work->uploads[name]);
        work->uploads[name] = NULL;
    } else if (what < 76) {
        if (work->uploads[name])
            settle(work->uploads[name]);
    } else if (what < 86) {
        step_trim(work, name);
    } else if (what < 90) {
        step_fence(work, name);
    } else if (what < 92) {
        step_retention(work, name);
    } else if (what < 96) {
        step_hold(work, name);
    } else if (what < 98) {
        step_delete(work, name);
    } else {
        close_uploads(work);
        CALL_VOID(storage_close(work->storage));
        return open_again(work);
    }
    work->world->notes->wall_ms = work->clock.wall_ms;
    return 0;
}

int workload_run(struct world *w, const struct world_work *what)
{
    struct work *work = calloc(1, sizeof(*work));
    kn_assert(work != NULL);
    work->world = w;
    work->what = what;
    work->random = what->seed * 0x9E3779B97F4A7C15u + 7;
    int r = open_again(work);
    if (r == 0 && what->resend)
        resend_all(work);
    for (unsigned i = 0; i < what->steps && r == 0; i++)
        r = step(work);
    if (r < 0)
        return SIM_EXIT_CLOSED;
    if (!what->close)
        return 0; /* as if killed */
    close_uploads(work);
    CALL_VOID(storage_close(work->storage));
    return 0;
}
