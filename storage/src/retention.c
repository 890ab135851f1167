/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: a thread that removes what retention no longer covers, seals chunks that have grown
 * old, trims streams kept in memory and has the volume looked at (volume.c).
 *
 * Three rules, each taking the oldest first and none taking an open chunk: a stream's age, a
 * stream's bytes, and the volume's free space over all streams and the segments of shards. What a
 * hold covers stays under all of them (sweep.c). Work is cut into slices of retention_slice_chunks,
 * and after each the keeper rests as long as it worked, so that uploads are not kept waiting; only
 * a volume that is short of space allows it no rest.
 */
#include "sweep.h"

#include "core/log.h"

enum {
    STREAMS_PAGE = 64,
    REST_MS_MAX = 1000,
    WATCH_MS = 1000, /* between two looks at the free space */
};

/* One round's sums, told in the log at its end. */
struct round {
    struct storage *storage;
    int64_t now_ms;
    uint64_t kept_bytes;
    struct storage_swept total[STORAGE_RULES];
    uint64_t segments, segment_bytes; /* of shards, by the rule of space */
};

/* --- one stream's chunks in memory ------------------------------------------------------------ */
void storage_log_trim_memory(struct storage_log *log, int64_t now_ms, struct storage_swept *total)
{
    const struct storage_conf *conf = &log->storage->conf;
    bool any = false;
    kn_lock_take(&log->lock);
    struct storage_directory *dir = &log->directory;
    uint64_t bytes = 0;
    for (size_t i = 0; dir->memory_count > 0 && i < dir->count; i++)
        bytes += dir->rows[i].live && dir->rows[i].live->memory ? dir->rows[i].bytes : 0;
    for (size_t i = 0; dir->memory_count > 0 && i < dir->count;) {
        struct storage_chunk_row *row = &dir->rows[i];
        bool memory = row->live && row->live->memory;
        bool old =
            row->count > 0 && now_ms - row->last_end_ms > (int64_t) conf->memory_stream_ms_max;
        if (!memory || row->live == log->open || row->live->arrivals > 0 ||
            (!old && bytes <= conf->memory_stream_bytes_max)) {
            i++;
            continue;
        }
        bytes -= row->bytes;
        storage_metrics_trimmed(STORAGE_RULE_MEMORY, 1, row->count, row->bytes);
        total->chunks++;
        total->fragments += row->count;
        total->bytes += row->bytes;
        storage_directory_remove(dir, i, 1);
        any = true;
    }
    kn_lock_give(&log->lock);
    if (any)
        kn_gate_bump(&log->gate);
}

/* A chunk that nobody adds to any more is sealed when it is old: its span stays short. */
static void seal_aged(struct storage_log *log, int64_t now_ms)
{
    KN_LOCKED(&log->lock);
    struct storage_chunk *chunk = log->open;
    if (!chunk || chunk->arrivals > 0 || chunk->plan_count == 0)
        return;
    uint64_t ms_max = chunk->memory ? log->storage->conf.memory_stream_ms_max / 16
                                    : log->storage->conf.chunk_ms_max;
    if (now_ms - chunk->first_server_ts_ms >= (int64_t) ms_max)
        storage_chunk_close_locked(log, chunk);
}

/* --- the rules -------------------------------------------------------------------------------- */
/* As long as the slice took: uploads have the disk half of the time. */
static void rest(struct storage *storage, int64_t since_ns)
{
    int64_t worked_ns = kn_mono_ns(storage->clock) - since_ns;
    KN_LOCKED(&storage->keeper_lock);
    if (!storage->keeper_stopping && storage->keeper_started && worked_ns > 0)
        (void) kn_cond_wait_for(&storage->keeper_wake, &storage->keeper_lock,
                                kn_min_i64(worked_ns, (int64_t) REST_MS_MAX * 1000000));
}

/* Slice after slice until the rule has nothing left. */
static void sweep(struct round *round, struct storage_log *log, struct storage_sweep what)
{
    struct storage_swept swept = {.more = true};
    while (swept.more && what.bytes > 0 && !round->storage->stopping) {
        int64_t since_ns = kn_mono_ns(round->storage->clock);
        if (storage_sweep_slice(log, &what, &swept, round->total) < 0)
            return; /* the next round tries again */
        what.bytes -= kn_min_u64(what.bytes, swept.taken_bytes);
        if (swept.more)
            rest(round->storage, since_ns);
    }
}

/* Bytes of fragments that count against a stream's limit: what holds keep does not. */
static int counted_bytes(struct storage_log *log, uint64_t *ret)
{
    kn_lock_take(&log->lock);
    bool known = log->loaded || log->cold.known;
    kn_lock_give(&log->lock);
    int r = known ? 0 : storage_log_load(log);
    if (r < 0)
        return r;
    KN_LOCKED(&log->lock);
    *ret =
        log->directory.bytes - log->directory.kept_bytes + log->cold.bytes - log->cold.kept_bytes;
    return 0;
}

/* The metric of the oldest fragment in a sealed chunk that no hold keeps. Readers see nothing older
 * than before_ms, though its chunk may begin there. */
static void show_age(const struct round *round, const struct storage_stream *stream,
                     struct storage_log *log, int64_t before_ms)
{
    KN_LOCKED(&log->slow);
    bool shown = log->age_shown;
    kn_lock_take(&log->lock);
    log->age_shown = log->front_known && !log->dropped;
    kn_lock_give(&log->lock);
    if (log->age_shown)
        storage_metrics_oldest(stream->name,
                               round->now_ms - kn_max_i64(log->front_start_ms, before_ms));
    else if (shown)
        storage_metrics_oldest_drop(stream->name);
}

static void apply_rules(struct round *round, const struct storage_stream *stream,
                        struct storage_log *log)
{
    const struct storage_conf *conf = &round->storage->conf;
    /* Retention 0 after there were chunks: those keep no longer than memory would. */
    int64_t kept_ms = stream->retention_hours ? (int64_t) stream->retention_hours * 3600 * 1000
                                              : (int64_t) conf->memory_stream_ms_max;
    int64_t before_ms = round->now_ms - kept_ms;
    if (storage_sweep_begin(log, before_ms))
        sweep(round, log, (struct storage_sweep){STORAGE_RULE_AGE, before_ms, UINT64_MAX});
    uint64_t limit = stream->retention_bytes ? stream->retention_bytes : conf->stream_bytes_max;
    uint64_t bytes;
    if (limit > 0 && stream->retention_hours > 0 && counted_bytes(log, &bytes) == 0 &&
        bytes > limit)
        sweep(round, log, (struct storage_sweep){STORAGE_RULE_BYTES, INT64_MAX, bytes - limit});
    show_age(round, stream, log, before_ms);
}

static void keep_stream(struct round *round, const struct storage_stream *stream)
{
    struct storage *storage = round->storage;
    struct storage_log *log = storage_log_peek(storage, &stream->id);
    if (log) {
        seal_aged(log, round->now_ms);
        storage_log_trim_memory(log, round->now_ms, &round->total[STORAGE_RULE_MEMORY]);
    }
    if (stream->status != STORAGE_STREAM_ACTIVE)
        return;
    if (!log)
        log = storage_log_of(storage, &stream->id);
    if (!log)
        return;
    apply_rules(round, stream, log);
    KN_LOCKED(&log->lock);
    round->kept_bytes += log->directory.kept_bytes + log->cold.kept_bytes;
}

typedef void stream_fn(struct round *round, const struct storage_stream *stream, void *ctx);

static void each_stream(struct round *round, stream_fn *each, void *ctx)
{
    struct storage *storage = round->storage;
    struct storage_stream *page[STREAMS_PAGE];
    char name[STORAGE_STREAM_NAME_BYTES_MAX];
    struct kn_str after = {name, 0};
    for (size_t count = STREAMS_PAGE; count == STREAMS_PAGE && !storage->stopping;) {
        count = storage_stream_list(storage, KN_STR(""), after, page, STREAMS_PAGE);
        for (size_t i = 0; i < count && !storage->stopping; i++)
            each(round, page[i], ctx);
        if (count > 0) {
            after.len = page[count - 1]->name.len;
            memcpy(name, page[count - 1]->name.ptr, after.len);
        }
        for (size_t i = 0; i < count; i++)
            storage_stream_unref(page[i]);
    }
}

static void say(const struct round *round)
{
    for (size_t rule = 0; rule < STORAGE_RULES; rule++) {
        const struct storage_swept *total = &round->total[rule];
        if (total->chunks > 0)
            kn_log_info("retention_deleted",
                        "rule=%s chunks=%" PRIu64 " fragments=%" PRIu64 " bytes=%" PRIu64,
                        storage_rule_text[rule], total->chunks, total->fragments, total->bytes);
        if (total->failed > 0)
            kn_log_warn("retention_failed", "rule=%s files=%" PRIu64, storage_rule_text[rule],
                        total->failed);
    }
    if (round->segments > 0)
        kn_log_info("retention_deleted", "rule=%s segments=%" PRIu64 " bytes=%" PRIu64,
                    storage_rule_text[STORAGE_RULE_SPACE], round->segments, round->segment_bytes);
}

/* --- the oldest of all streams ---------------------------------------------------------------- */
struct front {
    int64_t end_ms;
    struct storage_log *log; /* NULL: a shard's */
    struct storage_id shard;
};

struct oldest { /* a heap, by the time the oldest chunk or segment of a stream or shard ended */
    struct front *items;
    size_t count, cap;
};

static void swap_items(struct oldest *heap, size_t a, size_t b)
{
    struct front front = heap->items[a];
    heap->items[a] = heap->items[b];
    heap->items[b] = front;
}

static void sink(struct oldest *heap, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++) {
            if (heap->items[child].end_ms < heap->items[least].end_ms)
                least = child;
        }
        if (least == at)
            return;
        swap_items(heap, at, least);
        at = least;
    }
}

static void add(struct oldest *heap, struct front front)
{
    if (heap->count == heap->cap) {
        size_t cap = heap->cap ? heap->cap * 2 : 64;
        void *items = realloc(heap->items, cap * sizeof(*heap->items));
        if (!items)
            return;
        heap->items = items;
        heap->cap = cap;
    }
    heap->items[heap->count++] = front;
}

static void add_front(struct round *round, const struct storage_stream *stream, void *ctx)
{
    struct front front = {.log = storage_log_of(round->storage, &stream->id)};
    if (stream->status == STORAGE_STREAM_ACTIVE && front.log &&
        storage_sweep_front(front.log, &front.end_ms) == 0)
        add(ctx, front);
}

static void add_shard(void *ctx, const struct storage_id *shard, int64_t end_ms)
{
    add(ctx, (struct front){.end_ms = end_ms, .shard = *shard});
}

/* What the second oldest stream's oldest chunk allows the first to lose in one go. */
static int64_t next_end_ms(const struct oldest *heap)
{
    int64_t end_ms = INT64_MAX - 1;
    for (size_t child = 1; child <= 2 && child < heap->count; child++)
        end_ms = kn_min_i64(end_ms, heap->items[child].end_ms);
    return end_ms;
}

/* What is still missing up to `aim`: files that have gone count at once, also where a file system
 * gives their blocks back later. */
static uint64_t missing(struct storage *storage, uint64_t aim, uint64_t before, uint64_t removed)
{
    uint64_t free_bytes = before;
    (void) storage_space_look(storage, &free_bytes);
    free_bytes = kn_max_u64(free_bytes, before + removed);
    return aim > free_bytes ? aim - free_bytes : 0;
}

/* A slice of the oldest. Adds what it removed; false: nothing more of it may go. */
static bool take_from(struct round *round, struct front *front, int64_t before_ms, uint64_t wanted,
                      uint64_t *removed)
{
    struct storage *storage = round->storage;
    if (!front->log) {
        uint64_t segments = 0, bytes = 0;
        int r = storage_shard_relieve(storage, &front->shard, before_ms, wanted, &segments, &bytes);
        *removed += bytes;
        round->segments += segments;
        round->segment_bytes += bytes;
        return r == 0 && segments > 0 &&
               storage_shard_front(storage, &front->shard, &front->end_ms) == 0;
    }
    struct storage_sweep what = {STORAGE_RULE_SPACE, before_ms, wanted};
    struct storage_swept swept;
    int64_t end_ms = front->end_ms;
    int r = storage_sweep_slice(front->log, &what, &swept, round->total);
    *removed += swept.file_bytes;
    return r == 0 && storage_sweep_front(front->log, &front->end_ms) == 0 &&
           (front->end_ms != end_ms || swept.chunks > 0 || swept.more);
}

/* Removes the oldest of all streams and shards until `aim` is free; true: it is. */
static bool relieve(struct round *round, uint64_t free_bytes, uint64_t aim)
{
    struct storage *storage = round->storage;
    struct oldest heap = {0};
    each_stream(round, add_front, &heap);
    if (storage_shard_fronts(storage, add_shard, &heap) < 0)
        kn_log_warn("retention_failed", "rule=%s what=shards",
                    storage_rule_text[STORAGE_RULE_SPACE]);
    for (size_t i = heap.count; i-- > 0;)
        sink(&heap, i);
    uint64_t removed = 0, wanted = missing(storage, aim, free_bytes, removed);
    while (heap.count > 0 && wanted > 0 && !storage->stopping) {
        bool more = take_from(round, &heap.items[0], next_end_ms(&heap) + 1, wanted, &removed);
        wanted = missing(storage, aim, free_bytes, removed);
        if (!more)
            heap.items[0] = heap.items[--heap.count];
        sink(&heap, 0);
    }
    free(heap.items);
    return wanted == 0;
}

static void say_exhausted(struct storage *storage, bool exhausted, uint64_t free_bytes)
{
    if (exhausted && !storage->exhausted)
        kn_log_warn("retention_exhausted",
                    "free_bytes=%" PRIu64 " what=\"held or open chunks only are left to remove\"",
                    free_bytes);
    storage->exhausted = exhausted;
    storage_metrics_exhausted(exhausted);
}

/* The rule of space: before uploads are refused, the oldest chunks go. */
static void watch_space(struct storage *storage)
{
    const struct storage_conf *conf = &storage->conf;
    uint64_t floor = conf->volume_free_bytes_min, margin = conf->volume_margin_bytes, free_bytes;
    if (!storage_space_look(storage, &free_bytes) || floor == 0 || margin == 0)
        return;
    if (free_bytes >= floor + margin) {
        say_exhausted(storage, false, free_bytes);
        return;
    }
    struct round round = {.storage = storage, .now_ms = kn_wall_ms(storage->clock)};
    uint64_t aim = floor + kn_max_u64(margin + margin / 4, floor / 8);
    bool exhausted = !relieve(&round, free_bytes, aim) && !storage->stopping;
    say(&round);
    say_exhausted(storage, exhausted, free_bytes);
    (void) storage_space_look(storage, &free_bytes);
}

/* --- the thread ------------------------------------------------------------------------------- */
static void keep_one(struct round *round, const struct storage_stream *stream, void *ctx)
{
    (void) ctx;
    keep_stream(round, stream);
}

void storage_keeper_round(struct storage *storage)
{
    int64_t since_ns = kn_mono_ns(storage->clock);
    watch_space(storage);
    struct round round = {.storage = storage, .now_ms = kn_wall_ms(storage->clock)};
    each_stream(&round, keep_one, NULL);
    say(&round);
    storage_metrics_round(kn_mono_ns(storage->clock) - since_ns, round.kept_bytes);
}

/* Between two rounds the volume is looked at each second, if it is watched. */
static void wait_for_work(struct storage *storage, int64_t *next_ns)
{
    int64_t left_ns = *next_ns - kn_mono_ns(storage->clock);
    int64_t watch_ns = storage->watches ? (int64_t) WATCH_MS * 1000000 : INT64_MAX;
    if (left_ns > 0 && !storage->keeper_due && !storage->keeper_stopping)
        (void) kn_cond_wait_for(&storage->keeper_wake, &storage->keeper_lock,
                                kn_min_i64(left_ns, watch_ns));
}

static void *keeper_main(void *arg)
{
    struct storage *storage = arg;
    int64_t interval_ns = (int64_t) storage->conf.retention_interval_ms * 1000000;
    int64_t next_ns = kn_mono_ns(storage->clock) + interval_ns;
    kn_lock_take(&storage->keeper_lock);
    while (!storage->keeper_stopping) {
        wait_for_work(storage, &next_ns);
        if (storage->keeper_stopping)
            break;
        bool due = storage->keeper_due || kn_mono_ns(storage->clock) >= next_ns;
        storage->keeper_due = false;
        kn_lock_give(&storage->keeper_lock);
        if (due) {
            storage_keeper_round(storage);
            next_ns = kn_mono_ns(storage->clock) + interval_ns;
        } else if (storage->watches) {
            watch_space(storage);
        }
        kn_lock_take(&storage->keeper_lock);
    }
    kn_lock_give(&storage->keeper_lock);
    return NULL;
}

int storage_keeper_start(struct storage *storage)
{
    storage_space_start(storage);
    storage->watches =
        storage->conf.volume_free_bytes_min > 0 && storage->conf.volume_margin_bytes > 0;
    int r = kn_thread_start(&storage->keeper, "storage-keep", keeper_main, storage);
    storage->keeper_started = r == 0;
    return r;
}

void storage_keeper_stop(struct storage *storage)
{
    if (!storage->keeper_started)
        return;
    kn_lock_take(&storage->keeper_lock);
    storage->keeper_stopping = true;
    kn_cond_signal(&storage->keeper_wake);
    kn_lock_give(&storage->keeper_lock);
    pthread_join(storage->keeper, NULL);
    storage->keeper_started = false;
}

void storage_keeper_wake(struct storage *storage)
{
    KN_LOCKED(&storage->keeper_lock);
    storage->keeper_due = true;
    kn_cond_signal(&storage->keeper_wake);
}
