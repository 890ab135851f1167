/* SPDX-License-Identifier: Apache-2.0 */
/* Where a stream's fragment events go: a tag with the name, and beside it, in one record, which
 * data stream was meant and after which fragment they begin. */
#include "storage/events.h"

#include "log.h"

enum {
    SINK_FORMAT = 1
};

struct kn_bytes storage_event_sink_encode(const struct storage_event_sink *sink,
                                          uint8_t dst[STORAGE_EVENT_SINK_BYTES])
{
    dst[0] = SINK_FORMAT;
    memcpy(dst + 1, sink->id.bytes, sizeof(sink->id.bytes));
    kn_put_u64be(dst + 1 + sizeof(sink->id.bytes), sink->after_seq);
    return (struct kn_bytes){dst, STORAGE_EVENT_SINK_BYTES};
}

void storage_event_sink_of(const struct storage_stream *stream, struct storage_event_sink *ret)
{
    *ret = (struct storage_event_sink){.name = KN_STR("")};
    for (size_t i = 0; i < stream->tag_count; i++) {
        if (kn_str_eq(stream->tags[i].key, KN_STR(STORAGE_EVENT_STREAM_TAG)))
            ret->name = stream->tags[i].value;
    }
    struct kn_reader in = kn_reader_of(stream->extra);
    uint8_t format;
    struct kn_bytes id;
    uint64_t after_seq;
    if (kn_read_u8(&in, &format) < 0 || format != SINK_FORMAT ||
        kn_read_bytes(&in, sizeof(ret->id.bytes), &id) < 0 || kn_read_u64be(&in, &after_seq) < 0)
        return;
    memcpy(ret->id.bytes, id.ptr, id.len);
    ret->after_seq = after_seq;
    ret->bound = true;
}

/* --- setting ---------------------------------------------------------------------------------- */
struct edit {
    const struct storage_id *stream;
    struct storage_event_sink sink;
    uint8_t extra[STORAGE_EVENT_SINK_BYTES];
};

static int edit_sink(void *ctx, const struct storage_stream *now,
                     struct storage_stream_draft *draft)
{
    struct edit *edit = ctx;
    if (storage_id_cmp(&now->id, edit->stream) != 0)
        return -ENOENT; /* another stream of that name by now */
    size_t at = 0;
    while (at < draft->tag_count &&
           !kn_str_eq(draft->tags[at].key, KN_STR(STORAGE_EVENT_STREAM_TAG)))
        at++;
    bool there = at < draft->tag_count;
    draft->keep_version = true; /* as tags do */
    if (edit->sink.name.len == 0) {
        if (there)
            draft->tags[at] = draft->tags[--draft->tag_count];
        draft->extra = (struct kn_bytes){NULL, 0};
        return 0;
    }
    if (!there && draft->tag_count == STORAGE_STREAM_TAGS_MAX)
        return -EDQUOT;
    draft->tags[at] = (struct storage_tag){KN_STR(STORAGE_EVENT_STREAM_TAG), edit->sink.name};
    draft->tag_count += there ? 0 : 1;
    draft->extra = storage_event_sink_encode(&edit->sink, edit->extra);
    return 0;
}

static int newest_seq(struct storage *storage, const struct storage_id *stream, uint64_t *ret)
{
    const struct storage_query query = {.order = STORAGE_BY_NUMBER, .newest_first = true};
    struct storage_fragment newest;
    size_t count = 0;
    int r = storage_find(storage, stream, &query, &newest, 1, &count, false);
    if (r == 0)
        *ret = count > 0 ? newest.number.seq : 0;
    return r;
}

static bool is_set(const struct storage_event_sink *now, const struct storage_event_sink *wanted)
{
    if (now->name.len == 0 || wanted->name.len == 0)
        return now->name.len == wanted->name.len;
    return kn_str_eq(now->name, wanted->name) && now->bound &&
           storage_id_cmp(&now->id, &wanted->id) == 0;
}

int storage_events_set(struct storage *storage, struct storage_event_sender *sender,
                       const struct storage_stream *stream, struct kn_str name)
{
    struct edit edit = {
        .stream = &stream->id, .sink = {.name = name, .bound = true}
    };
    struct storage_event_sink now;
    struct kn_str any = {NULL, 0};
    if (name.len > 0 && sender->find(sender, name, &edit.sink.id) < 0)
        return -ENODATA;
    storage_event_sink_of(stream, &now);
    if (is_set(&now, &edit.sink))
        return 0;
    int paused = sender->pause(sender, &stream->id, &edit.sink.after_seq);
    if (paused == -EAGAIN && name.len > 0)
        return -EAGAIN;
    /* The sender may not know yet that there were no events for a while. */
    bool goes_on = paused == 0 && now.name.len > 0;
    int r = goes_on ? 0 : newest_seq(storage, &stream->id, &edit.sink.after_seq);
    if (r == 0)
        r = storage_stream_update(storage, stream->name, any, edit_sink, &edit);
    if (paused == 0)
        sender->resume(sender, &stream->id);
    return r;
}

void storage_events_hold(struct storage *storage, const struct storage_id *stream, uint64_t seq)
{
    struct storage_log *log = storage_log_peek(storage, stream);
    if (log)
        log->events_seq = seq;
}

/* --- gates ------------------------------------------------------------------------------------ */
struct kn_gate *storage_streams_gate(struct storage *storage)
{
    return &storage->streams_gate;
}

struct kn_gate *storage_persisted_gate(struct storage *storage, const struct storage_id *stream)
{
    struct storage_log *log = storage_log_of(storage, stream);
    return log ? &log->persisted : NULL;
}
