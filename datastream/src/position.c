/* SPDX-License-Identifier: Apache-2.0 */
#include "position.h"

#include "sequence.h"
#include "shard_id.h"

#include <errno.h>
#include <inttypes.h>

static const struct kn_str type_names[] = {
    [DATASTREAM_ShardIteratorType_ABSENT] = KN_STR_INIT(""),
    [DATASTREAM_ShardIteratorType_AFTER_SEQUENCE_NUMBER] = KN_STR_INIT("AFTER_SEQUENCE_NUMBER"),
    [DATASTREAM_ShardIteratorType_LATEST] = KN_STR_INIT("LATEST"),
    [DATASTREAM_ShardIteratorType_AT_TIMESTAMP] = KN_STR_INIT("AT_TIMESTAMP"),
    [DATASTREAM_ShardIteratorType_AT_SEQUENCE_NUMBER] = KN_STR_INIT("AT_SEQUENCE_NUMBER"),
    [DATASTREAM_ShardIteratorType_TRIM_HORIZON] = KN_STR_INIT("TRIM_HORIZON"),
};

int datastream_position_shard(struct kn_api_call *call, struct datastream_stream *stream,
                              struct kn_str shard_id, struct datastream_shard *ret)
{
    uint32_t index = 0;
    int r = datastream_shard_id_read(call, stream, shard_id, &index);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    const struct datastream_shard *row = datastream_shard_map_find(&shards->map, index);
    if (row) {
        *ret = *row;
        return 0;
    }
    char id[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) index, id);
    return kn_api_fault(call, "ResourceNotFoundException",
                        "Shard %s in stream " KN_STR_FMT " under account %s does not exist", id,
                        KN_STR_ARG(stream->name), call->identity->account);
}

/* --- by sequence number ----------------------------------------------------------------------- */
static int wrong_number(struct kn_api_call *call, const struct datastream_stream *stream,
                        const struct datastream_shard *shard,
                        const struct datastream_position *position, const char *why)
{
    char id[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) shard->index, id);
    return kn_api_fault(call, "InvalidArgumentException",
                        "StartingSequenceNumber " KN_STR_FMT
                        " used in %s on shard %s in stream " KN_STR_FMT
                        " under account %s is invalid%s.",
                        KN_STR_ARG(position->sequence), position->operation, id,
                        KN_STR_ARG(stream->name), call->identity->account, why);
}

static int wrong_shard(struct kn_api_call *call, const struct datastream_shard *shard,
                       int32_t encoded)
{
    char id[DATASTREAM_SHARD_ID_BYTES], other[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) shard->index, id);
    datastream_shard_id_format(encoded, other);
    return kn_api_fault(call, "InvalidArgumentException",
                        "Invalid StartingSequenceNumber. It encodes %s, while it was used in a "
                        "call to a shard with %s",
                        other, id);
}

/* A shard's starting number has index 0 and is of no record. */
static uint64_t index_of(const struct datastream_sequence *sequence, bool after)
{
    if (sequence->index == 0)
        return 0;
    return after || sequence->past ? sequence->index : sequence->index - 1;
}

static int find_number(struct kn_api_call *call, const struct datastream_stream *stream,
                       const struct datastream_shard *shard, struct storage_shard *log,
                       const struct datastream_position *position, uint64_t *ret)
{
    struct datastream_sequence sequence;
    if (datastream_sequence_parse(position->sequence, &sequence) < 0 || sequence.shard < 0)
        return wrong_number(call, stream, shard, position, "");
    if ((uint32_t) sequence.shard != shard->index)
        return wrong_shard(call, shard, sequence.shard);
    if (sequence.layout != 2 || sequence.created_s != shard->created_s)
        return wrong_number(call, stream, shard, position,
                            " because it did not come from this stream");
    struct storage_shard_ends ends;
    storage_shard_ends(log, &ends);
    bool after = position->type == DATASTREAM_ShardIteratorType_AFTER_SEQUENCE_NUMBER;
    *ret = kn_min_u64(index_of(&sequence, after), ends.next);
    return 0;
}

/* --- what was given --------------------------------------------------------------------------- */
static int check_number(struct kn_api_call *call, const struct datastream_position *position,
                        bool needed)
{
    if (needed == (position->sequence.ptr != NULL))
        return 0;
    return kn_api_fault(call, "InvalidArgumentException",
                        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
                        "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no "
                        "StartingSequenceNumber. Request specified " KN_STR_FMT
                        " and %s StartingSequenceNumber.",
                        KN_STR_ARG(type_names[position->type]), needed ? "no" : "also a");
}

static int check_time(struct kn_api_call *call, const struct datastream_position *position)
{
    int64_t now_ms = kn_wall_ms(call->clock);
    if (!position->timestamp.set)
        return kn_api_fault(call, "InvalidArgumentException",
                            "Must specify timestampInMillis parameter for iterator of type "
                            "AT_TIMESTAMP. Current request has no timestamp parameter.");
    if (position->timestamp.v > now_ms)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The timestampInMillis parameter cannot be greater than the "
                            "currentTimestampInMillis. timestampInMillis: %" PRId64
                            ", currentTimestampInMillis: %" PRId64,
                            position->timestamp.v, now_ms);
    return 0;
}

int datastream_position_find(struct kn_api_call *call, const struct datastream_stream *stream,
                             const struct datastream_shard *shard, struct storage_shard *log,
                             const struct datastream_position *position, bool nowait, uint64_t *ret)
{
    struct storage_shard_ends ends;
    int r;
    switch (position->type) {
    case DATASTREAM_ShardIteratorType_AT_SEQUENCE_NUMBER:
    case DATASTREAM_ShardIteratorType_AFTER_SEQUENCE_NUMBER:
        r = check_number(call, position, true);
        return r < 0 ? r : find_number(call, stream, shard, log, position, ret);
    case DATASTREAM_ShardIteratorType_AT_TIMESTAMP:
        r = check_number(call, position, false);
        if (r == 0)
            r = check_time(call, position);
        return r < 0 ? r : storage_shard_find(log, position->timestamp.v, nowait, ret);
    case DATASTREAM_ShardIteratorType_ABSENT:
    case DATASTREAM_ShardIteratorType_LATEST:
    case DATASTREAM_ShardIteratorType_TRIM_HORIZON:
        break;
    }
    r = check_number(call, position, false);
    if (r < 0)
        return r;
    storage_shard_ends(log, &ends);
    *ret = position->type == DATASTREAM_ShardIteratorType_TRIM_HORIZON ? ends.oldest : ends.next;
    return 0;
}
