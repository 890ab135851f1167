/* SPDX-License-Identifier: Apache-2.0 */
#include "put.h"

#include <errno.h>

#include "core/crypto.h"

enum {
    SLOTS = 1024,             /* twice the records of a call */
    LOOP_BYTES_MAX = 1 << 20, /* more of them take a millisecond to decode */
};
static_assert((SLOTS & (SLOTS - 1)) == 0, "a mask");

/* --- which shard ------------------------------------------------------------------------------ */
struct grouping {
    const struct datastream_shard_map *map;
    struct datastream_hash spread; /* AUTO: where the next record goes */
    bool is_spread;
    uint16_t slots[SLOTS]; /* group + 1, by index of the shard */
};

/* Under AUTO keys have no say: steps of the golden ratio fill any count of shards evenly. */
static struct datastream_hash spread_next(struct grouping *g)
{
    g->spread.high += UINT64_C(0x9E3779B97F4A7C15);
    return g->spread;
}

static int hash_of(struct grouping *g, struct kn_api_call *call,
                   const struct datastream_PutRecordsRequestEntry *entry,
                   struct datastream_hash *ret)
{
    if (g->is_spread) {
        *ret = spread_next(g);
        return 0;
    }
    if (!entry->ExplicitHashKey.ptr) {
        *ret = datastream_hash_of(entry->PartitionKey);
        return 0;
    }
    if (datastream_hash_parse(entry->ExplicitHashKey, ret) == 0)
        return 0;
    return kn_api_fault(call, "InvalidArgumentException",
                        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, "
                        "2^128-1]. Specified value was " KN_STR_FMT,
                        KN_STR_ARG(entry->ExplicitHashKey));
}

static uint32_t group_for(struct datastream_put *put, struct grouping *g,
                          const struct datastream_shard *shard)
{
    size_t at = shard->index & (SLOTS - 1);
    for (; g->slots[at]; at = (at + 1) & (SLOTS - 1)) {
        if (put->groups[g->slots[at] - 1].shard == shard->index)
            return g->slots[at] - 1u;
    }
    size_t group = put->group_count++;
    put->groups[group] = (struct datastream_put_group){
        .put = put, .shard = shard->index, .created_s = shard->created_s};
    g->slots[at] = (uint16_t) (group + 1);
    return (uint32_t) group;
}

static int group_all(struct datastream_put *put, struct datastream_settings *settings,
                     const struct datastream_shard_map *map,
                     const struct datastream_PutRecordsRequestEntry *entries)
{
    struct grouping g = {.map = map, .is_spread = settings->spread};
    struct datastream_hash *hashes = kn_arena_alloc(put->call->arena, put->count * sizeof(*hashes));
    if (!hashes)
        return -ENOMEM;
    if (g.is_spread)
        kn_random_name(&g.spread, sizeof(g.spread));
    for (size_t i = 0; i < put->count; i++) {
        int r = hash_of(&g, put->call, &entries[i], &hashes[i]);
        if (r < 0)
            return r;
        datastream_shard_map_fetch(map, hashes[i]);
    }
    for (size_t i = 0; i < put->count; i++) {
        put->group_of[i] = group_for(put, &g, datastream_shard_map_route(map, hashes[i]));
        struct datastream_put_group *group = &put->groups[put->group_of[i]];
        group->count++;
        group->bytes += entries[i].PartitionKey.len + entries[i].Data.len;
    }
    return 0;
}

/* --- batches ---------------------------------------------------------------------------------- */
/* Those that are open, which is the rule. */
static void find_logs(struct datastream_put *put, struct datastream_stream *stream)
{
    KN_LOCKED(&stream->logs.lock);
    for (size_t i = 0; i < put->group_count; i++)
        put->groups[i].log = datastream_log_peek_locked(&stream->logs, put->groups[i].shard);
    for (size_t i = 0; i < put->group_count; i++) {
        if (put->groups[i].log)
            storage_shard_ref(put->groups[i].log);
    }
}

static int open_logs(struct datastream_put *put, struct datastream_stream *stream)
{
    find_logs(put, stream);
    for (size_t i = 0; i < put->group_count; i++) {
        struct datastream_put_group *group = &put->groups[i];
        if (group->log)
            continue;
        int r =
            datastream_log_get(put->ds, stream, group->shard, !put->call->on_worker, &group->log);
        if (r < 0)
            return r;
    }
    return 0;
}

static void refuse(struct datastream_put_group *group, int result)
{
    storage_batch_free(KN_MOVE(group->batch));
    group->result = result;
}

static int begin(struct datastream_put *put, struct datastream_put_group *group)
{
    return storage_batch_new_for(put->ds->storage, &put->room, group->count, group->bytes,
                                 &group->batch);
}

static int add(struct datastream_put *put, struct datastream_put_group *group,
               const struct datastream_PutRecordsRequestEntry *entry)
{
    uint8_t *dst;
    if (group->result < 0)
        return 0;
    int r = group->batch ? 0 : begin(put, group);
    if (r == 0)
        r = storage_batch_add(group->batch, entry->PartitionKey, (uint8_t) put->encryption, NULL,
                              entry->Data.len, &dst);
    if (r == 0)
        return kn_api_blob_read(put->call, &entry->Data, dst);
    refuse(group, r);
    return 0;
}

static void let_go(struct datastream_put *put)
{
    for (size_t i = 0; i < put->group_count; i++) {
        storage_batch_free(KN_MOVE(put->groups[i].batch));
        storage_shard_unref(KN_MOVE(put->groups[i].log));
    }
}

/* Once a record is too much for its shard, so are those that follow it in the call. */
static int throttle(struct datastream_put *put, struct datastream_stream *stream,
                    const struct datastream_PutRecordsRequestEntry *entries)
{
    if (!put->ds->conf->aws_limits)
        return 0;
    bool *full = kn_arena_alloc(put->call->arena, put->group_count * sizeof(*full));
    put->throttled = kn_arena_alloc(put->call->arena, put->count * sizeof(*put->throttled));
    if (!full || !put->throttled)
        return -ENOMEM;
    for (size_t i = 0; i < put->count; i++) {
        uint32_t group = put->group_of[i];
        size_t bytes = entries[i].PartitionKey.len + entries[i].Data.len;
        if (full[group])
            datastream_rate_refused_too(put->ds);
        else
            full[group] = !datastream_rate_put(put->ds, stream, put->groups[group].shard, bytes);
        put->throttled[i] = full[group];
        put->groups[group].throttled_count += full[group];
        put->groups[group].throttled_bytes += full[group] ? bytes : 0;
    }
    return 0;
}

static int add_all(struct datastream_put *put,
                   const struct datastream_PutRecordsRequestEntry *entries)
{
    int r = 0;
    for (size_t i = 0; i < put->count && r == 0; i++) {
        if (!put->throttled || !put->throttled[i])
            r = add(put, &put->groups[put->group_of[i]], &entries[i]);
    }
    for (size_t i = 0; i < put->group_count && put->throttled; i++) {
        if (!put->groups[i].batch && put->groups[i].result == 0)
            put->groups[i].result = -ENOBUFS; /* none of its records may come in */
    }
    storage_room_leave(put->ds->storage, KN_MOVE(put->room));
    return r;
}

static int prepare(struct datastream_put *put, struct datastream_stream *stream,
                   const struct datastream_shard_map *map,
                   const struct datastream_PutRecordsRequestEntry *entries)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    if (settings->kms_key.ptr)
        put->encryption = DATASTREAM_EncryptionType_KMS;
    int r = group_all(put, settings, map, entries);
    if (r == 0)
        r = open_logs(put, stream);
    if (r == 0)
        r = throttle(put, stream, entries);
    if (r == 0)
        r = add_all(put, entries);
    if (r < 0)
        let_go(put);
    return r;
}

/* --- metrics ---------------------------------------------------------------------------------- */
struct outcome { /* of the records of a call, or of one of its shards */
    size_t count, bytes, in_count, in_bytes, throttled;
};

static struct outcome outcome_of(const struct datastream_put_group *group)
{
    struct outcome o = {.count = group->count, .bytes = group->bytes};
    if (group->result >= 0) {
        o.in_count = group->count - group->throttled_count;
        o.in_bytes = group->bytes - group->throttled_bytes;
    }
    o.throttled = group->result == -ENOBUFS ? group->count : group->throttled_count;
    return o;
}

static void measure_group(struct datastream_put *put, const struct datastream_put_group *group,
                          struct outcome *sum)
{
    struct outcome o = outcome_of(group);
    const struct datastream_sample samples[] = {
        {DATASTREAM_SHARD_WRITE_EXCEEDED,   (double) o.throttled},
        {DATASTREAM_SHARD_INCOMING_BYTES,   (double) o.in_bytes },
        {DATASTREAM_SHARD_INCOMING_RECORDS, (double) o.in_count },
    };
    datastream_measure_shard(put->ds, put->measured, group->shard, samples, o.in_count ? 3 : 1);
    sum->count += o.count;
    sum->bytes += o.bytes;
    sum->in_count += o.in_count;
    sum->in_bytes += o.in_bytes;
    sum->throttled += o.throttled;
}

static void measure_put_record(struct datastream_put *put, const struct outcome *o, double took_ms)
{
    const struct datastream_sample samples[] = {
        {DATASTREAM_PUT_RECORD_LATENCY, took_ms              },
        {DATASTREAM_PUT_RECORD_SUCCESS, (double) o->in_count },
        {DATASTREAM_WRITE_EXCEEDED,     (double) o->throttled},
        {DATASTREAM_INCOMING_BYTES,     (double) o->in_bytes },
        {DATASTREAM_INCOMING_RECORDS,   (double) o->in_count },
        {DATASTREAM_PUT_RECORD_BYTES,   (double) o->in_bytes },
    };
    datastream_measure_stream(put->ds, put->measured, samples, o->in_count ? 6 : 3);
}

static void measure_put_records(struct datastream_put *put, const struct outcome *o, double took_ms)
{
    size_t failed = o->count - o->in_count - o->throttled;
    const struct datastream_sample samples[] = {
        {DATASTREAM_PUT_RECORDS_LATENCY,    took_ms              },
        {DATASTREAM_PUT_RECORDS_SUCCESS,    o->in_count > 0      },
        {DATASTREAM_PUT_RECORDS_TOTAL,      (double) o->count    },
        {DATASTREAM_PUT_RECORDS_SUCCESSFUL, (double) o->in_count },
        {DATASTREAM_PUT_RECORDS_FAILED,     (double) failed      },
        {DATASTREAM_PUT_RECORDS_THROTTLED,  (double) o->throttled},
        {DATASTREAM_WRITE_EXCEEDED,         (double) o->throttled},
        {DATASTREAM_INCOMING_BYTES,         (double) o->in_bytes },
        {DATASTREAM_INCOMING_RECORDS,       (double) o->in_count },
        {DATASTREAM_PUT_RECORDS_BYTES,      (double) o->in_bytes },
    };
    datastream_measure_stream(put->ds, put->measured, samples, o->in_count ? 10 : 7);
}

/* Once all has come of it that will, before it is answered; also when nobody waits any more. */
static void measure(void *arg)
{
    struct datastream_put *put = arg;
    struct outcome sum = {0};
    for (size_t i = 0; i < put->group_count; i++)
        measure_group(put, &put->groups[i], &sum);
    int64_t took_ns = kn_mono_ns(put->call->clock) - kn_api_started_ns(put->call);
    if (strcmp(put->call->operation->name, "PutRecord") == 0)
        measure_put_record(put, &sum, (double) took_ns / 1e6);
    else
        measure_put_records(put, &sum, (double) took_ns / 1e6);
    datastream_stream_unref(KN_MOVE(put->measured));
}

/* --- the log ---------------------------------------------------------------------------------- */
static void end_one(struct datastream_put *put)
{
    struct datastream *ds = put->ds; /* the put may be gone once the call is resumed */
    if (atomic_fetch_sub_explicit(&put->left, 1, memory_order_acq_rel) > 1)
        return;
    kn_api_resume(put->call, 0);
    datastream_pending_end(ds);
}

static void on_appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct datastream_put_group *group = ctx;
    group->first_index = first_index;
    group->arrival_ms = arrival_ms;
    group->result = result;
    end_one(group->put);
}

/* All at once: one flush for them, not one for the first and one for those that came meanwhile. */
static void append(struct datastream_put *put)
{
    struct storage_appends all = {.first = NULL};
    atomic_init(&put->left, (unsigned) put->group_count + 1);
    datastream_pending_begin(put->ds);
    for (size_t i = 0; i < put->group_count; i++) {
        struct datastream_put_group *group = &put->groups[i];
        struct storage_batch *batch = KN_MOVE(group->batch);
        struct storage_shard *log = KN_MOVE(group->log);
        if (batch) {
            storage_shard_append_with(log, batch, on_appended, group, &all);
            continue;
        }
        end_one(put);
        storage_shard_unref(log);
    }
    storage_shard_append_all(&all);
}

struct put_and_fn {
    struct datastream_put put;
    datastream_put_done_fn *done;
};

static int on_resumed(struct kn_api_call *call, void *ctx)
{
    struct put_and_fn *both = ctx;
    return both->done(call, &both->put);
}

static size_t bytes_of(const struct datastream_PutRecordsRequestEntry *entries, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += entries[i].Data.len;
    return bytes;
}

int datastream_put(struct datastream *ds, struct kn_api_call *call,
                   struct datastream_stream *stream,
                   const struct datastream_PutRecordsRequestEntry *entries, size_t count,
                   datastream_put_done_fn *done, void *out)
{
    if (!call->on_worker && bytes_of(entries, count) > LOOP_BYTES_MAX)
        return kn_api_defer(call, KN_HTTP_CHANGES);
    struct put_and_fn *both = kn_arena_alloc(call->arena, sizeof(*both));
    if (!both)
        return -ENOMEM;
    struct datastream_put *put = &both->put;
    *both = (struct put_and_fn){
        .put = {.ds = ds, .call = call, .count = count, .out = out},
          .done = done
    };
    struct datastream_shards *shards = datastream_stream_write_begin(stream);
    size_t groups = kn_min_u64(count, shards->map.open_count);
    put->stream = kn_arena_str(call->arena, stream->name);
    put->group_of = kn_arena_alloc(call->arena, count * sizeof(*put->group_of));
    put->groups = kn_arena_alloc(call->arena, groups * sizeof(*put->groups));
    int r = put->stream.ptr && put->group_of && put->groups
                ? prepare(put, stream, &shards->map, entries)
                : -ENOMEM;
    if (r == 0) {
        put->measured = datastream_stream_ref(stream);
        kn_api_keep(call, measure, put);
        r = kn_api_suspend(call);
        kn_api_on_resume(call, on_resumed, both);
        append(put);
    }
    datastream_stream_write_end(stream, shards);
    if (r == -EINPROGRESS)
        end_one(put);
    return r == -EAGAIN && !call->on_worker ? kn_api_defer(call, KN_HTTP_CHANGES) : r;
}
