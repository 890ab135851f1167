/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To which data stream the events of a stream's fragments go: operations of our own under
 * /kinema/v1/, and a tag, so that AWS's tools can set it too. docs/events/fragment-event.md.
 *
 * Either way the caller needs kinema:PutFragmentEvents on the video stream and kinesis:PutRecord on
 * the data stream: a camera's key often may tag its stream, and must not write where it could not
 * write itself.
 */
#include "resource.h"

static const char action_put[] = "kinema:PutFragmentEvents";
static const char action_delete[] = "kinema:DeleteFragmentEvents";
static const char action_write[] = "kinesis:PutRecord";

/* AWS's operations have their own short lists of faults: through a tag all is an invalid one. */
static const char not_permitted[] = "NotAuthorizedException",
                  not_found[] = "ResourceNotFoundException", invalid[] = "InvalidArgumentException";

static int permit(struct kn_api_call *call, const char *fault, const char *action,
                  struct kn_str name)
{
    if (!call->key || kn_key_allows(call->key, kn_str_from(action), name))
        return 0;
    return kn_api_fault(call, fault,
                        "User: " KN_STR_FMT " is not authorized to perform: %s on resource: "
                        "" KN_STR_FMT,
                        KN_STR_ARG(call->key->id), action, KN_STR_ARG(name));
}

static int no_data_stream(struct kn_api_call *call, const char *fault, struct kn_str name)
{
    return kn_api_fault(call, fault, "The data stream " KN_STR_FMT " is not found or not active.",
                        KN_STR_ARG(name));
}

static int no_tag(struct kn_api_call *call)
{
    return kn_api_fault(call, invalid,
                        "Fragment events take one of the stream's %d tags, and none is free.",
                        STORAGE_STREAM_TAGS_MAX);
}

static int change(struct ingest *ingest, struct kn_api_call *call,
                  const struct storage_stream *stream, struct kn_str data_stream)
{
    int r = storage_events_set(ingest->storage, ingest->events, stream, data_stream);
    return r == -ENODATA  ? no_data_stream(call, not_found, data_stream)
           : r == -EDQUOT ? no_tag(call)
                          : ingest_stream_change_fault(call, r);
}

int ingest_op_PutFragmentEvents(struct ingest *ingest, const struct ingest_PutFragmentEvents_in *in,
                                struct ingest_PutFragmentEvents_out *out, struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r == 0)
        r = permit(call, not_permitted, action_write, in->DataStreamName);
    return r < 0 ? r : change(ingest, call, stream, in->DataStreamName);
}

int ingest_op_DeleteFragmentEvents(struct ingest *ingest,
                                   const struct ingest_DeleteFragmentEvents_in *in,
                                   struct ingest_DeleteFragmentEvents_out *out,
                                   struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    return r < 0 ? r : change(ingest, call, stream, KN_STR(""));
}

int ingest_op_DescribeFragmentEvents(struct ingest *ingest,
                                     const struct ingest_DescribeFragmentEvents_in *in,
                                     struct ingest_DescribeFragmentEvents_out *out,
                                     struct kn_api_call *call)
{
    static const enum ingest_FragmentEventStatus shown[] = {
        [STORAGE_EVENTS_OFF] = INGEST_FragmentEventStatus_ACTIVE, /* set a moment ago */
        [STORAGE_EVENTS_ACTIVE] = INGEST_FragmentEventStatus_ACTIVE,
        [STORAGE_EVENTS_NO_DATA_STREAM] = INGEST_FragmentEventStatus_NO_DATA_STREAM,
        [STORAGE_EVENTS_NOT_WRITABLE] = INGEST_FragmentEventStatus_NOT_WRITABLE,
    };
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct storage_event_sink sink;
    struct storage_event_state state;
    struct storage_id id;
    storage_event_sink_of(stream, &sink);
    out->Status = INGEST_FragmentEventStatus_OFF;
    if (sink.name.len == 0)
        return 0;
    ingest->events->state(ingest->events, &stream->id, &state);
    if (ingest->events->find(ingest->events, sink.name, &id) < 0)
        state.status = STORAGE_EVENTS_NO_DATA_STREAM; /* before a fragment has met it */
    out->Status = shown[state.status];
    out->DataStreamName = kn_arena_str(call->arena, sink.name);
    out->SentCount = (struct kn_api_i64){true, (int64_t) state.sent};
    out->LostCount = (struct kn_api_i64){true, (int64_t) state.lost};
    out->MillisBehind = (struct kn_api_i64){true, state.behind_ms};
    return out->DataStreamName.ptr ? 0 : -ENOMEM;
}

/* --- as a tag --------------------------------------------------------------------------------- */
static bool is_event_tag(struct kn_str key)
{
    return kn_str_eq(key, KN_STR(STORAGE_EVENT_STREAM_TAG));
}

static int change_by_tag(struct ingest *ingest, struct kn_api_call *call,
                         const struct storage_stream *stream, struct kn_str value)
{
    int r = storage_events_set(ingest->storage, ingest->events, stream, value);
    return r == -ENODATA                 ? no_data_stream(call, invalid, value)
           : r == -EDQUOT                ? no_tag(call)
           : r == -ENOENT || r == -EBUSY ? ingest_stream_not_found(call)
                                         : r;
}

static int put_by_tag(struct ingest *ingest, struct kn_api_call *call,
                      const struct storage_stream *stream, struct kn_str value)
{
    int r = permit(call, invalid, action_put, stream->name);
    if (r == 0 && value.len == 0)
        r = no_data_stream(call, invalid, value);
    if (r == 0)
        r = permit(call, invalid, action_write, value);
    return r < 0 ? r : change_by_tag(ingest, call, stream, value);
}

int ingest_events_by_tags(struct ingest *ingest, struct kn_api_call *call,
                          const struct storage_stream *stream, const struct storage_tag *put,
                          size_t put_count, const struct kn_api_str_list *removed)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < put_count; i++) {
        if (is_event_tag(put[i].key))
            r = put_by_tag(ingest, call, stream, put[i].value);
    }
    for (size_t i = 0; r == 0 && removed && i < removed->count; i++) {
        if (!is_event_tag(removed->items[i]))
            continue;
        r = permit(call, invalid, action_delete, stream->name);
        if (r == 0)
            r = change_by_tag(ingest, call, stream, KN_STR(""));
    }
    return r;
}

int ingest_events_of_new(struct ingest *ingest, struct kn_api_call *call,
                         struct storage_stream_new *settings,
                         uint8_t room[STORAGE_EVENT_SINK_BYTES])
{
    for (size_t i = 0; i < settings->tag_count; i++) {
        if (!is_event_tag(settings->tags[i].key))
            continue;
        struct storage_event_sink sink = {.name = settings->tags[i].value};
        int r = permit(call, invalid, action_put, settings->name);
        if (r == 0)
            r = permit(call, invalid, action_write, sink.name);
        if (r < 0)
            return r;
        if (sink.name.len == 0 || ingest->events->find(ingest->events, sink.name, &sink.id) < 0)
            return no_data_stream(call, invalid, sink.name);
        settings->extra = storage_event_sink_encode(&sink, room);
    }
    return 0;
}
