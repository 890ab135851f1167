/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole, and what its operations share. Texts of faults are those that recordings
 * of the AWS service show. */
#include "datastream_internal.h"
#include "fan.h"
#include "lease.h"
#include "sequence.h"
#include "shard_id.h"
#include "state.h"
#include "tend.h"

#include <errno.h>
#include <stdlib.h>

#include "core/arn.h"

/* Made once: "dk/token" in the catalogue. */
static int load_token_key(struct datastream *ds, struct kn_err *err)
{
    struct storage_meta *meta = storage_meta_of(ds->storage);
    struct kn_bytes name = kn_bytes_of(KN_STR("dk/token"));
    uint64_t version = 0;
    struct kn_buf value;
    kn_buf_init(&value, KN_AEAD_KEY_BYTES);
    int r = storage_meta_get(meta, name, &value, &version);
    if (r == 0 && value.len != KN_AEAD_KEY_BYTES)
        r = -EBADMSG;
    if (r == 0)
        memcpy(ds->token_key, value.ptr, KN_AEAD_KEY_BYTES);
    kn_buf_done(&value);
    if (r == -ENOENT) {
        kn_random(ds->token_key, KN_AEAD_KEY_BYTES);
        r = storage_meta_put(meta, name, (struct kn_bytes){ds->token_key, KN_AEAD_KEY_BYTES}, 0,
                             &version);
    }
    return r < 0 ? kn_fail(err, r, "data streams: the key of tokens") : 0;
}

int datastream_new(struct storage *storage, const struct datastream_conf *conf,
                   const struct kn_api_identity *identity, struct kn_clock *clock,
                   struct datastream **ret, struct kn_err *err)
{
    struct datastream *ds = calloc(1, sizeof(*ds));
    if (!ds)
        return kn_fail(err, -ENOMEM, "data streams");
    ds->storage = storage;
    ds->conf = conf;
    ds->identity = identity;
    ds->clock = clock;
    ds->measuring.budget.max_bytes = conf->metric_history_bytes;
    kn_lock_init(&ds->lock);
    kn_cond_init(&ds->idle);
    kn_cond_init(&ds->tend_wake);
    int r = load_token_key(ds, err);
    if (r == 0)
        r = datastream_streams_open(storage_meta_of(storage), &ds->streams, err);
    if (r == 0)
        r = datastream_consumers_open(storage_meta_of(storage), ds->streams, &ds->consumers, err);
    if (r == 0) {
        r = datastream_lease_tidy(storage_meta_of(storage), ds->streams);
        if (r < 0)
            (void) kn_fail(err, r, "data streams: leases");
    }
    if (r == 0)
        r = datastream_account_init(&ds->account, storage_meta_of(storage), err);
    ds->has_account = r == 0;
    if (r == 0)
        r = datastream_fans_new(&ds->fans);
    if (r == 0) {
        r = datastream_bury_all(ds); /* what a crash left, or a setting that was longer */
        if (r < 0)
            (void) kn_fail(err, r, "data streams: what was to be deleted");
    }
    if (r < 0)
        datastream_free(ds);
    else
        *ret = ds;
    return r;
}

void datastream_pending_begin(struct datastream *ds)
{
    KN_LOCKED(&ds->lock);
    ds->pending++;
}

void datastream_pending_end(struct datastream *ds)
{
    KN_LOCKED(&ds->lock);
    if (--ds->pending == 0)
        kn_cond_broadcast(&ds->idle);
}

int datastream_start(struct datastream *ds, struct kn_err *err)
{
    int r = datastream_tend_start(ds);
    if (r == 0)
        kn_metrics_collector(datastream_measures_write, ds);
    return r < 0 ? kn_fail(err, r, "data streams: %s", kn_errname(r)) : 0;
}

void datastream_stop(struct datastream *ds)
{
    kn_metrics_collector_remove(datastream_measures_write, ds);
    datastream_tend_stop(ds);
    KN_LOCKED(&ds->lock);
    while (ds->pending > 0)
        kn_cond_wait(&ds->idle, &ds->lock);
}

void datastream_free(struct datastream *ds)
{
    if (!ds)
        return;
    if (ds->has_account)
        datastream_account_done(&ds->account);
    datastream_fans_free(ds->fans);
    datastream_consumers_close(ds->consumers);
    datastream_streams_close(ds->streams);
    kn_cond_done(&ds->tend_wake);
    kn_cond_done(&ds->idle);
    kn_lock_done(&ds->lock);
    free(ds);
}

/* --- the stream of a call --------------------------------------------------------------------- */
int datastream_not_found(struct kn_api_call *call, struct kn_str name)
{
    return kn_api_fault(call, "ResourceNotFoundException",
                        "Stream " KN_STR_FMT " under account %s not found.", KN_STR_ARG(name),
                        call->identity->account);
}

static bool is_ours(const struct kn_api_arn *arn, const struct kn_api_identity *identity)
{
    return kn_str_eq(arn->service, KN_STR("kinesis")) &&
           kn_str_eq(arn->region, kn_str_from(identity->region)) &&
           kn_str_eq(arn->account, kn_str_from(identity->account));
}

static int lookup(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
                  struct kn_str arn, struct kn_str *ret_name, struct datastream_stream **ret)
{
    struct kn_api_arn parsed;
    int r = kn_api_resource_name(call, name, arn, ret_name, NULL);
    if (r < 0)
        return r;
    if (arn.ptr && (kn_api_arn_parse(arn, &parsed) < 0 || !is_ours(&parsed, call->identity)))
        return -ENOENT;
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *stream = datastream_stream_find(ds->streams, *ret_name);
    if (!stream ||
        (ds->conf->stream_state_ms && datastream_stream_state(ds, stream) == DATASTREAM_GONE))
        return -ENOENT;
    *ret = KN_MOVE(stream);
    return 0;
}

int datastream_lookup(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
                      struct kn_str arn, struct datastream_stream **ret)
{
    struct kn_str wanted;
    return lookup(ds, call, name, arn, &wanted, ret);
}

int datastream_find(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
                    struct kn_str arn, struct datastream_stream **ret)
{
    struct kn_str wanted;
    struct kn_api_arn parsed;
    int r = lookup(ds, call, name, arn, &wanted, ret);
    if (r != -ENOENT)
        return r;
    if (!arn.ptr || kn_api_arn_parse(arn, &parsed) < 0 || is_ours(&parsed, call->identity))
        return datastream_not_found(call, wanted);
    struct kn_str text = kn_arena_printf(
        call->arena, "Stream " KN_STR_FMT " under account " KN_STR_FMT " not found.",
        KN_STR_ARG(wanted), KN_STR_ARG(parsed.account));
    return text.ptr ? kn_arn_not_found(call, &parsed, text) : -ENOMEM;
}

int datastream_dry_run(struct kn_api_call *call)
{
    return kn_api_fault(call, "DryRunOperationException",
                        "Request would have succeeded, but DryRun flag is set.");
}

struct kn_str datastream_arn(struct kn_api_call *call, struct kn_str name)
{
    return kn_arena_printf(call->arena, "arn:%s:kinesis:%s:%s:stream/" KN_STR_FMT,
                           call->identity->partition, call->identity->region,
                           call->identity->account, KN_STR_ARG(name));
}

int datastream_changed(struct kn_api_call *call, int r)
{
    if (r != -EMSGSIZE)
        return r;
    return kn_api_fault(call, "LimitExceededException", "The settings are larger than %d bytes.",
                        DATASTREAM_SETTINGS_BYTES_MAX);
}

int datastream_stream_delete(struct datastream *ds, struct datastream_stream *stream)
{
    int r = datastream_stream_remove(ds->streams, stream); /* from now on it takes no consumers */
    if (r < 0)
        return r;
    datastream_tend_soon(ds);
    r = datastream_consumer_remove_all(ds->consumers, &stream->id);
    return r < 0 ? r : datastream_lease_remove_all(storage_meta_of(ds->storage), &stream->id);
}

int datastream_tags_check(struct kn_api_call *call, const struct kn_api_map *added, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && added && i < added->count; i++)
        r = kn_api_tag_key_check(call, added->items[i].key);
    if (r < 0 || count <= DATASTREAM_TAGS_MAX)
        return r;
    return kn_api_fault(call, "InvalidArgumentException",
                        "Failed to add tags to stream: a resource can have at most %d tags.",
                        DATASTREAM_TAGS_MAX);
}

/* --- shards ----------------------------------------------------------------------------------- */
struct kn_str datastream_shard_id_text(struct kn_api_call *call, uint32_t index)
{
    char text[DATASTREAM_SHARD_ID_BYTES];
    size_t len = datastream_shard_id_format((int32_t) index, text);
    return kn_arena_str(call->arena, (struct kn_str){text, len});
}

int datastream_no_such_shard(struct kn_api_call *call, struct kn_str text, struct kn_str stream)
{
    return kn_api_fault(call, "ResourceNotFoundException",
                        "Could not find shard " KN_STR_FMT " in stream " KN_STR_FMT
                        " under account %s.",
                        KN_STR_ARG(text), KN_STR_ARG(stream), call->identity->account);
}

int datastream_shard_id_read(struct kn_api_call *call, const struct datastream_stream *stream,
                             struct kn_str text, uint32_t *ret)
{
    if (datastream_shard_id_parse(text, ret) == 0)
        return 0;
    return datastream_no_such_shard(call, text, stream->name);
}

static struct kn_str hash_text(struct kn_api_call *call, struct datastream_hash hash)
{
    char text[DATASTREAM_HASH_TEXT_BYTES];
    size_t len = datastream_hash_format(hash, text);
    return kn_arena_str(call->arena, (struct kn_str){text, len});
}

static struct kn_str sequence_text(struct kn_api_call *call, const struct datastream_shard *shard,
                                   uint64_t index, int64_t arrival_s)
{
    struct datastream_sequence sequence = {.layout = 2,
                                           .created_s = shard->created_s,
                                           .shard = (int32_t) shard->index,
                                           .index = index,
                                           .arrival_s = arrival_s};
    char text[DATASTREAM_SEQUENCE_TEXT_BYTES];
    size_t len = datastream_sequence_format(&sequence, text);
    return kn_arena_str(call->arena, (struct kn_str){text, len});
}

static bool show_ranges(struct kn_api_call *call, const struct datastream_shard *shard,
                        struct datastream_HashKeyRange *keys,
                        struct datastream_SequenceNumberRange *sequences)
{
    keys->StartingHashKey = hash_text(call, shard->range.start);
    keys->EndingHashKey = hash_text(call, shard->range.end);
    sequences->StartingSequenceNumber = sequence_text(call, shard, 0, shard->created_s);
    if (shard->closed_ms)
        sequences->EndingSequenceNumber =
            sequence_text(call, shard, DATASTREAM_SEQUENCE_INDEX_MAX, shard->closed_ms / 1000);
    return keys->StartingHashKey.ptr && keys->EndingHashKey.ptr &&
           sequences->StartingSequenceNumber.ptr &&
           (!shard->closed_ms || sequences->EndingSequenceNumber.ptr);
}

int datastream_shard_show(struct kn_api_call *call, const struct datastream_shard *shard,
                          struct datastream_Shard *ret)
{
    struct datastream_HashKeyRange *keys = kn_arena_alloc(call->arena, sizeof(*keys));
    struct datastream_SequenceNumberRange *sequences =
        kn_arena_alloc(call->arena, sizeof(*sequences));
    if (!keys || !sequences || !show_ranges(call, shard, keys, sequences))
        return -ENOMEM;
    *ret = (struct datastream_Shard){.ShardId = datastream_shard_id_text(call, shard->index),
                                     .HashKeyRange = keys,
                                     .SequenceNumberRange = sequences};
    if (shard->parent >= 0)
        ret->ParentShardId = datastream_shard_id_text(call, (uint32_t) shard->parent);
    if (shard->adjacent >= 0)
        ret->AdjacentParentShardId = datastream_shard_id_text(call, (uint32_t) shard->adjacent);
    bool whole = ret->ShardId.ptr && (shard->parent < 0 || ret->ParentShardId.ptr) &&
                 (shard->adjacent < 0 || ret->AdjacentParentShardId.ptr);
    return whole ? 0 : -ENOMEM;
}
