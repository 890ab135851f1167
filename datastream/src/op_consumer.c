/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers of enhanced fan-out: registering, describing, listing and deregistering them. */
#include "page_token.h"
#include "state.h"

#include <errno.h>

enum {
    LIST_DEFAULT = 100,
    SECOND_MS = 1000,
};

/* --- whom a call means ------------------------------------------------------------------------ */
int datastream_no_consumer(struct kn_api_call *call, const struct datastream_stream *stream,
                           struct kn_str name)
{
    return kn_api_fault(call, "ResourceNotFoundException",
                        "Consumer " KN_STR_FMT " under stream " KN_STR_FMT
                        " and account %s not found.",
                        KN_STR_ARG(name), KN_STR_ARG(stream->name), call->identity->account);
}

/* NULL: there is none, or no more. */
static struct datastream_consumer *
find_there(struct datastream *ds, const struct datastream_stream *stream, struct kn_str name)
{
    struct datastream_consumer *consumer =
        datastream_consumer_find(ds->consumers, &stream->id, name);
    if (!consumer || datastream_consumer_state(ds, consumer) != DATASTREAM_GONE)
        return consumer;
    datastream_consumer_unref(consumer);
    return NULL;
}

int datastream_consumer_of(struct datastream *ds, struct kn_api_call *call, struct kn_str arn,
                           struct datastream_stream **ret_stream, struct datastream_consumer **ret)
{
    struct kn_api_arn parsed = {0};
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, (struct kn_str){NULL, 0}, arn, &stream);
    if (r < 0)
        return r;
    if (kn_api_arn_parse(arn, &parsed) < 0 || !parsed.consumer.ptr)
        return kn_api_fault(call, "InvalidArgumentException", "The ARN is not of a consumer.");
    struct datastream_consumer *consumer = find_there(ds, stream, parsed.consumer);
    if (!consumer || consumer->created_ms / SECOND_MS != parsed.created_ms / SECOND_MS) {
        datastream_consumer_unref(consumer); /* of this name, but made at another time */
        return datastream_no_consumer(call, stream, parsed.consumer);
    }
    *ret = consumer;
    *ret_stream = KN_MOVE(stream);
    return 0;
}

/* By ARN, or by stream and name; whatever is given must agree. */
static int find(struct datastream *ds, struct kn_api_call *call, struct kn_str stream_arn,
                struct kn_str name, struct kn_str arn, struct datastream_stream **ret_stream,
                struct datastream_consumer **ret)
{
    if (!arn.ptr && !(stream_arn.ptr && name.ptr))
        return kn_api_fault(call, "InvalidArgumentException",
                            "Either ConsumerARN, or StreamARN and ConsumerName must be given.");
    struct datastream_stream *stream = NULL;
    int r = stream_arn.ptr
                ? datastream_find(ds, call, (struct kn_str){NULL, 0}, stream_arn, &stream)
                : 0;
    if (r < 0)
        return r;
    if (!arn.ptr) {
        *ret = find_there(ds, stream, name);
        r = *ret ? 0 : datastream_no_consumer(call, stream, name);
        if (r == 0)
            *ret_stream = KN_MOVE(stream);
        datastream_stream_unref(stream);
        return r;
    }
    r = datastream_consumer_of(ds, call, arn, ret_stream, ret);
    bool agree = r < 0 || ((!stream || stream == *ret_stream) &&
                           (!name.ptr || kn_str_eq(name, (*ret)->name)));
    datastream_stream_unref(stream);
    return agree ? r
                 : kn_api_fault(call, "InvalidArgumentException",
                                "StreamARN or ConsumerName is of another consumer than "
                                "ConsumerARN.");
}

/* --- showing ---------------------------------------------------------------------------------- */
static struct kn_str arn_of(struct kn_api_call *call, const struct datastream_stream *stream,
                            const struct datastream_consumer *consumer)
{
    return kn_arena_printf(
        call->arena, "arn:%s:kinesis:%s:%s:stream/" KN_STR_FMT "/consumer/" KN_STR_FMT ":%lld",
        call->identity->partition, call->identity->region, call->identity->account,
        KN_STR_ARG(stream->name), KN_STR_ARG(consumer->name),
        (long long) (consumer->created_ms / SECOND_MS));
}

static enum datastream_ConsumerStatus status_of(enum datastream_state state)
{
    return state == DATASTREAM_CREATING   ? DATASTREAM_ConsumerStatus_CREATING
           : state >= DATASTREAM_DELETING ? DATASTREAM_ConsumerStatus_DELETING
                                          : DATASTREAM_ConsumerStatus_ACTIVE;
}

static int show(struct datastream *ds, struct kn_api_call *call,
                const struct datastream_stream *stream, struct datastream_consumer *consumer,
                struct datastream_Consumer *ret)
{
    *ret = (struct datastream_Consumer){
        .ConsumerName = kn_arena_str(call->arena, consumer->name),
        .ConsumerARN = arn_of(call, stream, consumer),
        .ConsumerStatus = status_of(datastream_consumer_state(ds, consumer)),
        .ConsumerCreationTimestamp = {true, consumer->created_ms},
    };
    return ret->ConsumerName.ptr && ret->ConsumerARN.ptr ? 0 : -ENOMEM;
}

/* --- the operations --------------------------------------------------------------------------- */
int datastream_op_RegisterStreamConsumer(struct datastream *ds,
                                         const struct datastream_RegisterStreamConsumer_in *in,
                                         struct datastream_RegisterStreamConsumer_out *out,
                                         struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, (struct kn_str){NULL, 0}, in->StreamARN, &stream);
    if (r == 0)
        r = datastream_tags_check(call, &in->Tags, in->Tags.count);
    if (r == 0)
        r = datastream_bury_consumers(ds, stream); /* so that their names are free again */
    if (r < 0)
        return r;
    enum datastream_state state = datastream_stream_state(ds, stream);
    if (state != DATASTREAM_ACTIVE && state != DATASTREAM_UPDATING)
        return datastream_not_active(call, stream, state);
    struct datastream_tag tags[DATASTREAM_TAGS_MAX];
    for (size_t i = 0; i < in->Tags.count; i++)
        tags[i] = (struct datastream_tag){in->Tags.items[i].key, in->Tags.items[i].value};
    struct datastream_settings settings = {
        .name = in->ConsumerName,
        .created_ms = kn_wall_ms(ds->clock) / SECOND_MS * SECOND_MS, /* as its ARN says */
        .tags = tags,
        .tag_count = in->Tags.count,
    };
    datastream_state_begin(ds, DATASTREAM_CREATING, &settings);
    KN_CLEANUP(datastream_consumer_unrefp) struct datastream_consumer *consumer = NULL;
    r = datastream_consumer_create(ds->consumers, stream, &settings, ds->conf->consumers_max,
                                   &consumer);
    switch (r) {
    case 0:
        break;
    case -EEXIST:
        return kn_api_fault(
            call, "ResourceInUseException",
            "Consumer " KN_STR_FMT " under stream " KN_STR_FMT " and account %s already exists.",
            KN_STR_ARG(in->ConsumerName), KN_STR_ARG(stream->name), call->identity->account);
    case -EDQUOT:
        return kn_api_fault(call, "LimitExceededException",
                            "Stream " KN_STR_FMT
                            " under account %s has %zu registered consumers, the most it can have.",
                            KN_STR_ARG(stream->name), call->identity->account,
                            (size_t) ds->conf->consumers_max);
    case -ENOENT:
        return datastream_not_found(call, stream->name);
    default:
        return datastream_changed(call, r);
    }
    struct datastream_Consumer *shown = kn_arena_alloc(call->arena, sizeof(*shown));
    out->Consumer = shown;
    return shown ? show(ds, call, stream, consumer, shown) : -ENOMEM;
}

static int set_deleting(void *ctx, struct datastream_settings *draft)
{
    const struct datastream *ds = ctx;
    if (!draft->deleting) /* else the time runs already */
        datastream_state_begin(ds, DATASTREAM_DELETING, draft);
    return 0;
}

int datastream_op_DeregisterStreamConsumer(
    struct datastream *ds, const struct datastream_DeregisterStreamConsumer_in *in,
    struct datastream_DeregisterStreamConsumer_out *out KN_UNUSED, struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    KN_CLEANUP(datastream_consumer_unrefp) struct datastream_consumer *consumer = NULL;
    int r = find(ds, call, in->StreamARN, in->ConsumerName, in->ConsumerARN, &stream, &consumer);
    if (r < 0 || !ds->conf->stream_state_ms)
        return r < 0 ? r : datastream_consumer_remove(ds->consumers, consumer);
    r = datastream_consumer_change(ds->consumers, consumer, set_deleting, ds);
    return r == -ENOENT ? 0 : r; /* somebody else was faster */
}

int datastream_op_DescribeStreamConsumer(struct datastream *ds,
                                         const struct datastream_DescribeStreamConsumer_in *in,
                                         struct datastream_DescribeStreamConsumer_out *out,
                                         struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    KN_CLEANUP(datastream_consumer_unrefp) struct datastream_consumer *consumer = NULL;
    int r = find(ds, call, in->StreamARN, in->ConsumerName, in->ConsumerARN, &stream, &consumer);
    if (r < 0)
        return r;
    struct datastream_Consumer shown;
    struct datastream_ConsumerDescription *description =
        kn_arena_alloc(call->arena, sizeof(*description));
    if (!description || show(ds, call, stream, consumer, &shown) < 0)
        return -ENOMEM;
    *description = (struct datastream_ConsumerDescription){
        .ConsumerName = shown.ConsumerName,
        .ConsumerARN = shown.ConsumerARN,
        .ConsumerStatus = shown.ConsumerStatus,
        .ConsumerCreationTimestamp = shown.ConsumerCreationTimestamp,
        .StreamARN = datastream_arn(call, stream->name),
    };
    out->ConsumerDescription = description;
    return description->StreamARN.ptr ? 0 : -ENOMEM;
}

/* Where the page begins, and that it is of the stream that is there now. */
static int page_start(struct datastream *ds, const struct datastream_ListStreamConsumers_in *in,
                      struct kn_api_call *call, struct datastream_stream *stream,
                      struct kn_str *ret_after)
{
    struct datastream_page_token token = {.after = KN_STR("")};
    if (in->NextToken.ptr && in->StreamCreationTimestamp.set)
        return kn_api_fault(call, "InvalidArgumentException",
                            "NextToken and StreamCreationTimestamp cannot be provided together.");
    if (in->NextToken.ptr) {
        int r = datastream_page_token_read(ds, call, 'c', in->NextToken, &token);
        if (r < 0)
            return r;
        if (storage_id_cmp(&token.stream, &stream->id) != 0)
            return kn_api_fault(call, "InvalidArgumentException",
                                "The NextToken is of another stream than StreamARN.");
    }
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    if (in->StreamCreationTimestamp.set &&
        in->StreamCreationTimestamp.v / SECOND_MS != settings->created_ms / SECOND_MS)
        return datastream_not_found(call, stream->name);
    *ret_after = token.after;
    return 0;
}

int datastream_op_ListStreamConsumers(struct datastream *ds,
                                      const struct datastream_ListStreamConsumers_in *in,
                                      struct datastream_ListStreamConsumers_out *out,
                                      struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    struct kn_str after;
    int r = datastream_find(ds, call, (struct kn_str){NULL, 0}, in->StreamARN, &stream);
    if (r == 0)
        r = page_start(ds, in, call, stream, &after);
    if (r < 0)
        return r;
    size_t max = kn_min_u64((uint64_t) (in->MaxResults.set ? in->MaxResults.v : LIST_DEFAULT),
                            DATASTREAM_CONSUMERS_MAX);
    struct datastream_consumer **consumers =
        kn_arena_alloc(call->arena, (max + 1) * sizeof(struct datastream_consumer *));
    struct datastream_Consumer *shown = kn_arena_alloc(call->arena, (max + 1) * sizeof(*shown));
    if (!consumers || !shown)
        return -ENOMEM;
    size_t count = datastream_consumer_list(ds->consumers, &stream->id, after, consumers, max + 1);
    size_t there = 0;
    for (size_t i = 0; i < count && i < max && r == 0; i++) {
        if (datastream_consumer_state(ds, consumers[i]) != DATASTREAM_GONE)
            r = show(ds, call, stream, consumers[i], &shown[there++]);
    }
    out->Consumers = (struct datastream_Consumer_list){true, there, shown};
    if (r == 0 && count > max) {
        const struct datastream_page_token token = {'c', stream->id, stream->name,
                                                    consumers[max - 1]->name};
        r = datastream_page_token_write(ds, call, &token, &out->NextToken);
    }
    for (size_t i = 0; i < count; i++)
        datastream_consumer_unref(consumers[i]);
    return r;
}
