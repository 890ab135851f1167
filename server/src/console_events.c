/* SPDX-License-Identifier: Apache-2.0 */
/* Where a stream's fragment events go: shown and set. The rights are those of the API's operations.
 */
#include "console_call.h"

#include "core/log.h"
#include "storage/events.h"

static const char action_describe[] = "kinema:DescribeFragmentEvents";
static const char action_put[] = "kinema:PutFragmentEvents";
static const char action_delete[] = "kinema:DeleteFragmentEvents";
static const char action_write[] = "kinesis:PutRecord";

static const char *const status_text[] = {
    [STORAGE_EVENTS_OFF] = "ACTIVE", /* set a moment ago */
    [STORAGE_EVENTS_ACTIVE] = "ACTIVE",
    [STORAGE_EVENTS_NO_DATA_STREAM] = "NO_DATA_STREAM",
    [STORAGE_EVENTS_NOT_WRITABLE] = "NOT_WRITABLE",
};

static void write_state(struct console_call *call, const struct storage_stream *stream,
                        const struct storage_event_sink *sink)
{
    struct storage_event_sender *events = call->console->conf.events;
    struct kn_json_writer *w = &call->json;
    struct storage_event_state state;
    struct storage_id id;
    events->state(events, &stream->id, &state);
    if (events->find(events, sink->name, &id) < 0)
        state.status = STORAGE_EVENTS_NO_DATA_STREAM;
    kn_json_key(w, "status");
    kn_json_text(w, status_text[state.status]);
    kn_json_key(w, "dataStream");
    kn_json_str(w, sink->name);
    kn_json_key(w, "sent");
    kn_json_u64(w, state.sent);
    kn_json_key(w, "lost");
    kn_json_u64(w, state.lost);
    kn_json_key(w, "behindMs");
    kn_json_i64(w, state.behind_ms);
}

/* {status, dataStream, sent, lost, behindMs, canPut, canRemove}; status OFF alone: there are none
 */
static void write_events(struct console_call *call, const struct storage_stream *stream)
{
    struct kn_json_writer *w = &call->json;
    struct storage_event_sink sink;
    storage_event_sink_of(stream, &sink);
    kn_json_object_begin(w);
    if (sink.name.len > 0) {
        write_state(call, stream, &sink);
    } else {
        kn_json_key(w, "status");
        kn_json_text(w, "OFF");
    }
    kn_json_key(w, "canPut");
    kn_json_bool(w, console_allows(call, action_put, stream->name));
    kn_json_key(w, "canRemove");
    kn_json_bool(w, console_allows(call, action_delete, stream->name));
    kn_json_object_end(w);
}

void console_run_events(struct console_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_describe);
    if (stream)
        write_events(call, stream);
}

/* --- setting ---------------------------------------------------------------------------------- */
static int read_name(struct console_call *call, struct kn_str *ret)
{
    const struct kn_json_member member = {"dataStream", .str = ret};
    *ret = (struct kn_str){NULL, 0};
    int r = kn_json_object_read(call->body, call->arena, &member, 1);
    return r == 0 && !ret->ptr ? -EBADMSG : r;
}

static void answer(struct console_call *call, int r, struct kn_str name)
{
    switch (r) {
    case -ENODATA:
        console_fail(call, 404, "no_such_data_stream",
                     "there is no data stream " KN_STR_FMT " that you may write to",
                     KN_STR_ARG(name));
        return;
    case -EDQUOT:
        console_fail(call, 409, "too_many_tags",
                     "the setting takes one of the stream's %d tags, and none is free",
                     STORAGE_STREAM_TAGS_MAX);
        return;
    case -EAGAIN:
        console_fail(call, 503, "try_again",
                     "what the former data stream has cannot be said at present");
        return;
    case -ENOENT:
    case -EBUSY:
        console_fail(call, 409, "stream_goes", "the stream is being deleted");
        return;
    default:
        console_fail(call, 500, "internal", "the setting cannot be stored: %s", kn_errname(r));
    }
}

/* {"dataStream": NAME, or "" for none}; answers with what holds then. */
void console_run_events_set(struct console_call *call)
{
    struct storage_event_sender *events = call->console->conf.events;
    struct storage *storage = call->console->conf.storage;
    struct kn_str name = {NULL, 0};
    if (read_name(call, &name) < 0) {
        console_fail(call, 400, "bad_request", "a JSON object with dataStream is wanted");
        return;
    }
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream =
        console_stream_find(call, name.len > 0 ? action_put : action_delete);
    if (!stream)
        return;
    int r = -ENODATA;
    if (name.len == 0 || console_allows(call, action_write, name))
        r = storage_events_set(storage, events, stream, name);
    if (r < 0) {
        answer(call, r, name);
        return;
    }
    kn_log_info("console_events_set", "stream=" KN_STR_FMT " data_stream=" KN_LOG_QUOTED,
                KN_STR_ARG(call->name), kn_log_quote(name));
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *now = storage_stream_find_id(storage, &stream->id);
    write_events(call, now ? now : stream);
}
