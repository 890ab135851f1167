/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PutRecord and PutRecords: what they refuse, and what they answer.
 * Source: recordings of the real service in the public tests of kinesalite and moto.
 */
#include "put.h"
#include "shard_id.h"
#include "state.h"

#include <errno.h>

typedef struct datastream_PutRecordsRequestEntry entry;

/* --- what is refused -------------------------------------------------------------------------- */
static int check_key(struct kn_api_call *call, const struct datastream_settings *settings,
                     const entry *e, const char *where)
{
    if (e->PartitionKey.ptr || settings->spread)
        return 0;
    return kn_api_fault(call, "ValidationException",
                        "1 validation error detected: Value null at '%spartitionKey' failed to "
                        "satisfy constraint: Member must not be null",
                        where);
}

static int check_size(struct kn_api_call *call, const struct datastream_settings *settings,
                      const entry *e, const char *where)
{
    size_t max = (size_t) settings->record_kib_max << 10;
    if (e->Data.len <= max)
        return 0;
    return kn_api_fault(call, "ValidationException",
                        "1 validation error detected: Value "
                        "'java.nio.HeapByteBuffer[pos=0 lim=%zu cap=%zu]' at '%sdata' failed to "
                        "satisfy constraint: Member must have length less than or equal to %zu",
                        e->Data.len, e->Data.len, where, max);
}

static int check(struct kn_api_call *call, const struct datastream_settings *settings,
                 const entry *e, const char *where)
{
    int r = check_key(call, settings, e, where);
    return r < 0 ? r : check_size(call, settings, e, where);
}

static int check_all(struct kn_api_call *call, const struct datastream_settings *settings,
                     const struct datastream_PutRecordsRequestEntry_list *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) {
        const entry *e = &list->items[i];
        bytes += e->PartitionKey.len + e->Data.len;
        if ((e->PartitionKey.ptr || settings->spread) &&
            e->Data.len <= (size_t) settings->record_kib_max << 10)
            continue; /* the usual case needs no text */
        char where[sizeof("records..member.") + 20];
        (void) snprintf(where, sizeof(where), "records.%zu.member.", i + 1);
        int r = check(call, settings, e, where);
        if (r < 0)
            return r;
    }
    if (bytes <= DATASTREAM_PUT_BYTES_MAX)
        return 0;
    return kn_api_fault(call, "InvalidArgumentException", "Records size exceeds %d MB limit",
                        DATASTREAM_PUT_BYTES_MAX >> 20);
}

/* It may be any number that is well formed and not of the future: numbers of a shard only grow. */
static int check_order(struct datastream *ds, struct kn_api_call *call,
                       const struct datastream_stream *stream, struct kn_str text)
{
    struct datastream_sequence sequence;
    if (!text.ptr || (datastream_sequence_parse(text, &sequence) == 0 &&
                      sequence.arrival_s <= kn_wall_ms(ds->clock) / 1000))
        return 0;
    return kn_api_fault(call, "InvalidArgumentException",
                        "ExclusiveMinimumSequenceNumber " KN_STR_FMT
                        " used in PutRecord on stream " KN_STR_FMT " under account %s is invalid.",
                        KN_STR_ARG(text), KN_STR_ARG(stream->name), call->identity->account);
}

static int dry_run(struct kn_api_call *call, struct kn_api_bool wanted)
{
    return wanted.v ? datastream_dry_run(call) : 0;
}

static int find(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
                struct kn_str arn, struct datastream_stream **ret,
                struct datastream_settings **ret_settings)
{
    int r = datastream_find(ds, call, name, arn, ret);
    if (r < 0)
        return r;
    *ret_settings = datastream_stream_settings(*ret);
    enum datastream_state state = datastream_state_of(ds, *ret_settings);
    bool takes_records = state == DATASTREAM_ACTIVE || state == DATASTREAM_UPDATING;
    return takes_records ? 0 : datastream_not_found(call, (*ret)->name);
}

/* --- what is answered ------------------------------------------------------------------------- */
static struct datastream_sequence sequence_of(const struct datastream_put_group *group)
{
    return (struct datastream_sequence){.layout = 2,
                                        .created_s = group->created_s,
                                        .shard = (int32_t) group->shard,
                                        .index = datastream_sequence_index(group->first_index),
                                        .arrival_s = group->arrival_ms / 1000};
}

static const char rate_exceeded[] =
    "Rate exceeded for shard %s in stream " KN_STR_FMT " under account %s.";

static int put_record_done(struct kn_api_call *call, struct datastream_put *put)
{
    struct datastream_PutRecord_out *out = put->out;
    const struct datastream_put_group *group = &put->groups[0];
    char text[DATASTREAM_SEQUENCE_TEXT_BYTES];
    if (group->result == -ENOBUFS) {
        (void) datastream_shard_id_format((int32_t) group->shard, text);
        return kn_api_fault(call, "ProvisionedThroughputExceededException", rate_exceeded, text,
                            KN_STR_ARG(put->stream), call->identity->account);
    }
    if (group->result == -ENOENT)
        return datastream_not_found(call, put->stream);
    if (group->result < 0)
        return group->result;
    struct datastream_sequence sequence = sequence_of(group);
    size_t len = datastream_sequence_format(&sequence, text);
    *out = (struct datastream_PutRecord_out){
        .ShardId = datastream_shard_id_text(call, group->shard),
        .SequenceNumber = kn_arena_str(call->arena, (struct kn_str){text, len}),
        .EncryptionType = put->encryption};
    return out->ShardId.ptr && out->SequenceNumber.ptr ? 0 : -ENOMEM;
}

struct shown { /* of a group */
    struct kn_str id;
    struct datastream_PutRecordsResultEntry failure;
    struct datastream_sequence_run run;
};

static int show_throttled(struct kn_api_call *call, const struct datastream_put *put,
                          struct kn_str shard, struct datastream_PutRecordsResultEntry *ret)
{
    *ret = (struct datastream_PutRecordsResultEntry){
        .ErrorCode = KN_STR("ProvisionedThroughputExceededException"),
        .ErrorMessage = kn_arena_printf(call->arena, rate_exceeded, shard.ptr,
                                        KN_STR_ARG(put->stream), call->identity->account)};
    return ret->ErrorMessage.ptr ? 0 : -ENOMEM;
}

static int show_group(struct kn_api_call *call, const struct datastream_put *put,
                      const struct datastream_put_group *group, struct shown *ret)
{
    ret->id = datastream_shard_id_text(call, group->shard);
    if (!ret->id.ptr)
        return -ENOMEM;
    if (group->result == 0) {
        struct datastream_sequence first = sequence_of(group);
        datastream_sequence_run_init(&ret->run, &first);
        return 0;
    }
    ret->failure = (struct datastream_PutRecordsResultEntry){
        .ErrorCode = KN_STR("InternalFailure"), .ErrorMessage = KN_STR("Internal Service Failure")};
    return group->result == -ENOBUFS ? show_throttled(call, put, ret->id, &ret->failure) : 0;
}

static int put_records_done(struct kn_api_call *call, struct datastream_put *put)
{
    struct datastream_PutRecords_out *out = put->out;
    struct datastream_PutRecordsResultEntry *entries =
        kn_arena_alloc(call->arena, put->count * sizeof(*entries));
    struct shown *groups = kn_arena_alloc(call->arena, put->group_count * sizeof(*groups));
    char *text = kn_arena_alloc(call->arena, put->count * DATASTREAM_SEQUENCE_DIGITS);
    int64_t failed = 0;
    int r = entries && groups && text ? 0 : -ENOMEM;
    for (size_t i = 0; i < put->group_count && r == 0; i++)
        r = put->groups[i].result == -ENOENT ? datastream_not_found(call, put->stream)
                                             : show_group(call, put, &put->groups[i], &groups[i]);
    for (size_t i = 0; i < put->count && r == 0; i++) {
        struct shown *group = &groups[put->group_of[i]];
        if (group->failure.ErrorCode.ptr) {
            entries[i] = group->failure;
            failed++;
            continue;
        }
        if (put->throttled && put->throttled[i]) { /* others of its shard are in */
            r = show_throttled(call, put, group->id, &entries[i]);
            failed++;
            continue;
        }
        datastream_sequence_run_text(&group->run, text);
        datastream_sequence_run_next(&group->run);
        entries[i].SequenceNumber = (struct kn_str){text, DATASTREAM_SEQUENCE_DIGITS};
        entries[i].ShardId = group->id;
        text += DATASTREAM_SEQUENCE_DIGITS;
    }
    *out = (struct datastream_PutRecords_out){
        .FailedRecordCount = {true,        failed },
        .Records = { true, put->count, entries},
        .EncryptionType = put->encryption
    };
    return r;
}

/* --- the operations --------------------------------------------------------------------------- */
int datastream_op_PutRecord(struct datastream *ds, const struct datastream_PutRecord_in *in,
                            struct datastream_PutRecord_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    KN_CLEANUP(datastream_settings_unrefp) struct datastream_settings *settings = NULL;
    const entry e = {in->PartitionKey, in->ExplicitHashKey, in->Data};
    int r = find(ds, call, in->StreamName, in->StreamARN, &stream, &settings);
    if (r == 0)
        r = check(call, settings, &e, "");
    if (r == 0)
        r = check_order(ds, call, stream, in->SequenceNumberForOrdering);
    if (r == 0)
        r = dry_run(call, in->DryRun);
    return r < 0 ? r : datastream_put(ds, call, stream, &e, 1, put_record_done, out);
}

int datastream_op_PutRecords(struct datastream *ds, const struct datastream_PutRecords_in *in,
                             struct datastream_PutRecords_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    KN_CLEANUP(datastream_settings_unrefp) struct datastream_settings *settings = NULL;
    int r = find(ds, call, in->StreamName, in->StreamARN, &stream, &settings);
    if (r == 0)
        r = check_all(call, settings, &in->Records);
    if (r == 0)
        r = dry_run(call, in->DryRun);
    return r < 0 ? r
                 : datastream_put(ds, call, stream, in->Records.items, in->Records.count,
                                  put_records_done, out);
}
