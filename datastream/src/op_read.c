/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetShardIterator and GetRecords. What is in memory is read on the request's loop; the disk, and
 * large answers, are left to a worker.
 */
#include "iterator.h"
#include "position.h"
#include "read.h"
#include "shard_id.h"
#include "state.h"

#include <errno.h>
#include <time.h>

#include "core/crypto.h"

enum {
    LOOP_BYTES_MAX = 256 << 10, /* an answer of more takes a millisecond to write */
    RECORD_TEXT_BYTES = 200,    /* around key and data, in JSON */
};

static int no_shard(struct kn_api_call *call, uint32_t shard, struct kn_str stream)
{
    char id[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) shard, id);
    return kn_api_fault(call, "ResourceNotFoundException",
                        "Shard %s in stream " KN_STR_FMT " under account %s does not exist", id,
                        KN_STR_ARG(stream), call->identity->account);
}

static int again_on_worker(struct kn_api_call *call, int r)
{
    return r == -EAGAIN && !call->on_worker ? kn_api_defer(call, KN_HTTP_READS) : r;
}

static int dry_run(struct kn_api_call *call, struct kn_api_bool wanted)
{
    return wanted.v ? datastream_dry_run(call) : 0;
}

/* A shard of a stream: references and its row of the map. */
struct place {
    struct datastream_stream *stream;
    struct datastream_shards *shards;
    const struct datastream_shard *shard;
    struct storage_shard *log;
};

static int too_fast(struct kn_api_call *call, const struct place *place)
{
    char id[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) place->shard->index, id);
    return kn_api_fault(call, "ProvisionedThroughputExceededException",
                        "Rate exceeded for shard %s in stream " KN_STR_FMT " under account %s.", id,
                        KN_STR_ARG(place->stream->name), call->identity->account);
}

static void place_done(struct place *place)
{
    storage_shard_unref(place->log);
    datastream_shards_unref(place->shards);
    datastream_stream_unref(place->stream);
}

/* What came of a call, for the stream's metrics. page NULL: it came too fast, or failed. */
static void measure(struct datastream *ds, struct kn_api_call *call, const struct place *place,
                    const struct storage_page *page, int64_t behind_ms, bool exceeded)
{
    int64_t took_ns = kn_mono_ns(call->clock) - kn_api_started_ns(call);
    const struct datastream_sample of_stream[] = {
        {DATASTREAM_GET_RECORDS_LATENCY, (double) took_ns / 1e6         },
        {DATASTREAM_GET_RECORDS_SUCCESS, page != NULL                   },
        {DATASTREAM_READ_EXCEEDED,       exceeded                       },
        {DATASTREAM_GET_RECORDS_BYTES,   page ? (double) page->bytes : 0},
        {DATASTREAM_GET_RECORDS_RECORDS, page ? (double) page->count : 0},
        {DATASTREAM_GET_RECORDS_AGE,     (double) behind_ms             },
    };
    const struct datastream_sample of_shard[] = {
        {DATASTREAM_SHARD_READ_EXCEEDED,    exceeded                       },
        {DATASTREAM_SHARD_OUTGOING_BYTES,   page ? (double) page->bytes : 0},
        {DATASTREAM_SHARD_OUTGOING_RECORDS, page ? (double) page->count : 0},
        {DATASTREAM_SHARD_AGE,              (double) behind_ms             },
    };
    datastream_measure_stream(ds, place->stream, of_stream, page ? 6 : 3);
    datastream_measure_shard(ds, place->stream, place->shard->index, of_shard, page ? 4 : 1);
}

typedef bool rate_fn(struct datastream *ds, struct datastream_stream *stream, uint32_t shard);

/* place->stream has been found. -EAGAIN: on a worker, where the call is not counted again. */
static int open_place(struct datastream *ds, struct kn_api_call *call, uint32_t shard,
                      rate_fn *rate, struct place *place)
{
    place->shards = datastream_stream_shards(place->stream);
    place->shard = datastream_shard_map_find(&place->shards->map, shard);
    bool has_shards = datastream_stream_state(ds, place->stream) != DATASTREAM_CREATING;
    if (!place->shard || !has_shards)
        return no_shard(call, shard, place->stream->name);
    if (!call->on_worker && !rate(ds, place->stream, shard)) {
        if (rate == datastream_rate_get)
            measure(ds, call, place, NULL, 0, true);
        return too_fast(call, place);
    }
    int r = datastream_log_get(ds, place->stream, shard, !call->on_worker, &place->log);
    return r == -ENOENT ? no_shard(call, shard, place->stream->name) : r;
}

static int give_iterator(struct datastream *ds, struct kn_api_call *call, const struct place *place,
                         uint64_t position, struct kn_str *ret)
{
    struct datastream_iterator iterator = {.issued_ms = kn_wall_ms(ds->clock),
                                           .stream = place->stream->id,
                                           .name = place->stream->name,
                                           .shard = place->shard->index,
                                           .position = position};
    char text[DATASTREAM_ITERATOR_TEXT_BYTES];
    ssize_t len = datastream_iterator_format(ds->token_key, &iterator, text);
    if (len < 0)
        return (int) len;
    *ret = kn_arena_str(call->arena, (struct kn_str){text, (size_t) len});
    return ret->ptr ? 0 : -ENOMEM;
}

/* --- GetShardIterator ------------------------------------------------------------------------- */
static int begin(struct datastream *ds, const struct datastream_GetShardIterator_in *in,
                 struct kn_api_call *call, struct place *place)
{
    struct kn_str name;
    uint32_t shard;
    int r = kn_api_resource_name(call, in->StreamName, in->StreamARN, &name, NULL);
    if (r < 0)
        return r;
    if (datastream_shard_id_parse(in->ShardId, &shard) < 0)
        return datastream_no_such_shard(call, in->ShardId, name);
    r = datastream_lookup(ds, call, in->StreamName, in->StreamARN, &place->stream);
    if (r == -ENOENT)
        return no_shard(call, shard, name);
    return r < 0 ? r : open_place(ds, call, shard, datastream_rate_iterator, place);
}

int datastream_op_GetShardIterator(struct datastream *ds,
                                   const struct datastream_GetShardIterator_in *in,
                                   struct datastream_GetShardIterator_out *out,
                                   struct kn_api_call *call)
{
    const struct datastream_position start = {"GetShardIterator", in->ShardIteratorType,
                                              in->StartingSequenceNumber, in->Timestamp};
    struct place place = {.stream = NULL};
    uint64_t position = 0;
    int r = begin(ds, in, call, &place);
    if (r == 0)
        r = datastream_position_find(call, place.stream, place.shard, place.log, &start,
                                     !call->on_worker, &position);
    if (r == 0)
        r = dry_run(call, in->DryRun);
    if (r == 0)
        r = give_iterator(ds, call, &place, position, &out->ShardIterator);
    place_done(&place);
    return again_on_worker(call, r);
}

/* --- GetRecords ------------------------------------------------------------------------------- */
/* "Thu Jan 22 01:22:02 UTC 2015" */
static void utc_text(int64_t ms, char *dst, size_t cap)
{
    time_t seconds = (time_t) (ms / 1000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || strftime(dst, cap, "%a %b %d %H:%M:%S UTC %Y", &tm) == 0)
        (void) snprintf(dst, cap, "%lld", (long long) ms);
}

static int check_age(struct kn_api_call *call, const struct datastream_iterator *iterator)
{
    int64_t now_ms = kn_wall_ms(call->clock);
    char then[64], now[64];
    if (now_ms - iterator->issued_ms <= DATASTREAM_ITERATOR_LIFE_MS)
        return 0;
    utc_text(iterator->issued_ms, then, sizeof(then));
    utc_text(now_ms, now, sizeof(now));
    return kn_api_fault(call, "ExpiredIteratorException",
                        "Iterator expired. The iterator was created at time %s while right now it "
                        "is %s which is further in the future than the tolerated delay of %d "
                        "milliseconds.",
                        then, now, DATASTREAM_ITERATOR_LIFE_MS);
}

/* The iterator's stream: what it is called, and whether the caller may read it. */
static int read_iterator(struct datastream *ds, const struct datastream_GetRecords_in *in,
                         struct kn_api_call *call, char name[DATASTREAM_NAME_BYTES_MAX],
                         struct datastream_iterator *ret)
{
    struct kn_str of_arn;
    int r = datastream_iterator_parse(ds->token_key, in->ShardIterator, name, ret);
    if (r == -EINVAL)
        return kn_api_fault(call, "InvalidArgumentException", "Invalid ShardIterator.");
    if (r == 0)
        r = kn_api_permit(call, ret->name);
    if (r == 0)
        r = check_age(call, ret);
    if (r < 0 || !in->StreamARN.ptr)
        return r;
    r = kn_api_resource_name(call, (struct kn_str){NULL, 0}, in->StreamARN, &of_arn, NULL);
    if (r < 0 || kn_str_eq(of_arn, ret->name))
        return r;
    return kn_api_fault(call, "InvalidArgumentException",
                        "The ShardIterator is of another stream than StreamARN says.");
}

static void free_page(void *page)
{
    storage_page_free(page);
}

/* What the answer holds of the page stays until it is written. */
static int answer(struct datastream *ds, struct kn_api_call *call, const struct place *place,
                  const struct storage_shard_ends *ends, struct storage_page *page,
                  struct datastream_GetRecords_out *out)
{
    int64_t now_ms = kn_wall_ms(ds->clock),
            behind_ms = datastream_millis_behind(page, ends, now_ms);
    kn_api_keep(call, free_page, page);
    kn_api_expect(call, kn_base64_text_len(page->bytes) + page->count * RECORD_TEXT_BYTES);
    datastream_log_was_read(place->stream, place->shard->index, behind_ms, now_ms);
    datastream_rate_got(ds, place->stream, place->shard->index, page->bytes);
    out->MillisBehindLatest = (struct kn_api_i64){true, behind_ms};
    int r = datastream_records_show(call->arena, place->shard, page, &out->Records);
    if (r < 0)
        return r;
    if (page->at_end && ends->closed)
        return datastream_children_show(call, &place->shards->map, place->shard->index,
                                        &out->ChildShards);
    return give_iterator(ds, call, place, page->next, &out->NextShardIterator);
}

/* What a page would hold, by the shard's average: it is read once, where it can be written. */
static size_t expected_bytes(const struct storage_shard_ends *ends, uint64_t position, size_t max)
{
    uint64_t from = kn_max_u64(position, ends->oldest);
    uint64_t count = from < ends->next ? kn_min_u64(max, ends->next - from) : 0;
    uint64_t each = ends->records > 0 ? ends->bytes / ends->records : 0;
    return kn_min_u64(count * each, DATASTREAM_READ_BYTES_MAX);
}

static int read_page(struct datastream *ds, const struct datastream_GetRecords_in *in,
                     struct datastream_GetRecords_out *out, struct kn_api_call *call,
                     const struct place *place, uint64_t position)
{
    struct storage_shard_ends ends; /* before the page: when it is closed, that is its last */
    const struct storage_shard_read read = {
        .from = position,
        .count_max = (size_t) (in->Limit.set ? in->Limit.v : DATASTREAM_READ_RECORDS_MAX),
        .bytes_max = DATASTREAM_READ_BYTES_MAX,
        .nowait = !call->on_worker};
    struct storage_page *page = kn_arena_alloc(call->arena, sizeof(*page));
    if (!page)
        return -ENOMEM;
    storage_shard_ends(place->log, &ends);
    if (expected_bytes(&ends, position, read.count_max) > LOOP_BYTES_MAX && !call->on_worker)
        return -EAGAIN;
    int r = storage_shard_read(place->log, &read, page);
    if (r < 0)
        return r;
    if (page->bytes > LOOP_BYTES_MAX && !call->on_worker) {
        storage_page_free(page);
        return -EAGAIN;
    }
    r = answer(ds, call, place, &ends, page, out);
    if (r == 0)
        measure(ds, call, place, page, out->MillisBehindLatest.v, false);
    return r;
}

int datastream_op_GetRecords(struct datastream *ds, const struct datastream_GetRecords_in *in,
                             struct datastream_GetRecords_out *out, struct kn_api_call *call)
{
    char name[DATASTREAM_NAME_BYTES_MAX];
    struct datastream_iterator iterator;
    struct place place = {.stream = NULL};
    int r = read_iterator(ds, in, call, name, &iterator);
    if (r < 0)
        return r;
    place.stream = datastream_stream_find(ds->streams, iterator.name);
    if (!place.stream)
        return no_shard(call, iterator.shard, iterator.name);
    r = open_place(ds, call, iterator.shard, datastream_rate_get, &place);
    if (r == 0)
        r = dry_run(call, in->DryRun);
    if (r ==
        0) { /* to a stream of the same name made later, the place is before its first record */
        bool is_same = storage_id_cmp(&place.stream->id, &iterator.stream) == 0;
        r = read_page(ds, in, out, call, &place, is_same ? iterator.position : 0);
    }
    if (r == -ENOENT)
        r = no_shard(call, iterator.shard, iterator.name); /* dropped meanwhile */
    else if (r < 0 && r != -EAGAIN && r != -ECANCELED)
        measure(ds, call, &place, NULL, 0, false); /* neither to come again nor the caller's */
    place_done(&place);
    return again_on_worker(call, r);
}
