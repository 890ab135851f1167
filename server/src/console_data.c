/* SPDX-License-Identifier: Apache-2.0 */
/* Data streams for the page: what there is, the shards of one, and records of a shard as they come.
 * A login sees the streams its access key may describe, and the records it may get. */
#include "console_call.h"

#include <errno.h>

#include "datastream/view.h"

enum {
    STREAMS_PAGE = 256,
    SHARDS_PAGE = 1000,
    RECORDS_MAX = 200,           /* of one answer */
    RECORDS_BYTES_MAX = 4 << 20, /* read for it */
    SHOWN_BYTES_MAX = 32 << 10,  /* of one record's data; the rest is not sent */
};

static const char action_list[] = "kinesis:DescribeStreamSummary";
static const char action_shards[] = "kinesis:ListShards";
static const char action_records[] = "kinesis:GetRecords";

static int refuse(struct console_call *call, int code)
{
    if (code == -ENOENT)
        console_fail(call, 404, "no_such_stream",
                     "there is no data stream " KN_STR_FMT ", or no such shard in it, that you "
                     "may see",
                     KN_STR_ARG(call->name));
    else
        console_fail(call, 500, "internal", "the log cannot be read: %s", kn_errname(code));
    return code;
}

static void write_now(struct console_call *call)
{
    kn_json_key(&call->json, "nowMs");
    kn_json_i64(&call->json, kn_wall_ms(call->console->conf.clock));
}

static void write_u64(struct kn_json_writer *w, const char *key, uint64_t value)
{
    kn_json_key(w, key);
    kn_json_u64(w, value);
}

static void write_ms(struct kn_json_writer *w, const char *key, int64_t ms)
{
    if (ms == 0)
        return; /* there is none */
    kn_json_key(w, key);
    kn_json_i64(w, ms);
}

/* --- streams ---------------------------------------------------------------------------------- */
static void write_view(struct kn_json_writer *w, const struct datastream_view *view)
{
    kn_json_key(w, "name");
    kn_json_text(w, view->name);
    kn_json_key(w, "status");
    kn_json_text(w, view->deleting ? "DELETING" : "ACTIVE");
    kn_json_key(w, "mode");
    kn_json_text(w, view->on_demand ? "ON_DEMAND" : "PROVISIONED");
    kn_json_key(w, "encrypted");
    kn_json_bool(w, view->encrypted);
    kn_json_key(w, "createdMs");
    kn_json_i64(w, view->created_ms);
    kn_json_key(w, "retentionHours");
    kn_json_i64(w, view->retention_hours);
    write_u64(w, "shards", view->shards);
    write_u64(w, "openShards", view->open_shards);
    write_u64(w, "records", view->records);
    write_u64(w, "bytes", view->bytes);
    write_u64(w, "recordsIn", view->records_in);
    write_u64(w, "bytesIn", view->bytes_in);
    write_ms(w, "newestMs", view->newest_ms);
}

static void write_views(struct console_call *call, const struct datastream_view *views,
                        size_t count)
{
    struct kn_json_writer *w = &call->json;
    kn_json_object_begin(w);
    write_now(call);
    kn_json_key(w, "streams");
    kn_json_array_begin(w);
    for (size_t i = 0; i < count; i++) {
        if (!console_allows(call, action_list, kn_str_from(views[i].name)))
            continue;
        kn_json_object_begin(w);
        write_view(w, &views[i]);
        kn_json_object_end(w);
    }
    kn_json_array_end(w);
    kn_json_key(w, "canCreate");
    kn_json_bool(w, console_allows_some(call, "kinesis:CreateStream"));
    if (count == STREAMS_PAGE) {
        kn_json_key(w, "next");
        kn_json_text(w, views[count - 1].name);
    }
    kn_json_object_end(w);
}

/* ?after=<name>: in order of names; "next" is there when more may follow. */
void console_run_data_streams(struct console_call *call)
{
    struct datastream_view *views = calloc(STREAMS_PAGE, sizeof(*views));
    if (!views) {
        (void) refuse(call, -ENOMEM);
        return;
    }
    struct kn_str after = console_query_find(call, "after"); /* names need no escapes in a query */
    size_t count = datastream_view_list(call->console->conf.datastream, after, views, STREAMS_PAGE);
    write_views(call, views, count);
    free(views);
}

/* --- one stream ------------------------------------------------------------------------------- */
static void write_ends(struct kn_json_writer *w, const struct storage_shard_ends *ends)
{
    write_u64(w, "oldest", ends->oldest);
    write_u64(w, "next", ends->next);
    write_u64(w, "records", ends->records);
    write_u64(w, "bytes", ends->bytes);
    write_u64(w, "recordsIn", ends->records_in);
    write_u64(w, "bytesIn", ends->bytes_in);
    write_ms(w, "oldestMs", ends->oldest_ms);
    write_ms(w, "newestMs", ends->newest_ms);
}

static void write_shard(struct kn_json_writer *w, const struct datastream_shard_view *shard)
{
    kn_json_object_begin(w);
    write_u64(w, "index", shard->index);
    kn_json_key(w, "id");
    kn_json_text(w, shard->id);
    kn_json_key(w, "parents");
    kn_json_array_begin(w);
    if (shard->parent >= 0)
        kn_json_i64(w, shard->parent);
    if (shard->adjacent >= 0)
        kn_json_i64(w, shard->adjacent);
    kn_json_array_end(w);
    write_ms(w, "createdMs", shard->created_ms);
    write_ms(w, "closedMs", shard->closed_ms);
    kn_json_key(w, "firstKey");
    kn_json_text(w, shard->first_key);
    kn_json_key(w, "lastKey");
    kn_json_text(w, shard->last_key);
    kn_json_key(w, "from");
    kn_json_double(w, shard->from);
    kn_json_key(w, "to");
    kn_json_double(w, shard->to);
    write_ends(w, &shard->ends);
    if (shard->read_ms) {
        kn_json_key(w, "readMs");
        kn_json_i64(w, shard->read_ms);
        kn_json_key(w, "behindMs"); /* the age of the iterator, as the last reader left it */
        kn_json_i64(w, shard->behind_ms);
    }
    kn_json_object_end(w);
}

static void write_shards(struct console_call *call, const struct datastream_view *view,
                         const struct datastream_shard_view *shards, size_t count)
{
    struct kn_json_writer *w = &call->json;
    kn_json_object_begin(w);
    write_now(call);
    write_view(w, view);
    kn_json_key(w, "canRead");
    kn_json_bool(w, console_allows(call, action_records, call->name));
    console_write_may_data(call, call->name);
    kn_json_key(w, "list");
    kn_json_array_begin(w);
    for (size_t i = 0; i < count; i++)
        write_shard(w, &shards[i]);
    kn_json_array_end(w);
    if (count == SHARDS_PAGE)
        write_u64(w, "next", (uint64_t) shards[count - 1].index + 1);
    kn_json_object_end(w);
}

/* ?from=<index>: the stream, and its shards by index; "next" is there when more may follow. */
void console_run_data_stream(struct console_call *call)
{
    struct datastream *ds = call->console->conf.datastream;
    struct datastream_view view;
    int64_t from = 0;
    size_t count = 0;
    if (console_query_i64(call, "from", 0, &from) < 0)
        return;
    struct datastream_shard_view *shards = calloc(SHARDS_PAGE, sizeof(*shards));
    int code = !shards ? -ENOMEM : 0;
    if (code == 0 && (!console_allows(call, action_list, call->name) ||
                      !console_allows(call, action_shards, call->name)))
        code = -ENOENT;
    if (code == 0)
        code = datastream_view_get(ds, call->name, &view);
    if (code == 0)
        code = datastream_view_shards(ds, call->name,
                                      (uint32_t) kn_max_i64(0, kn_min_i64(from, UINT32_MAX)),
                                      shards, SHARDS_PAGE, &count);
    if (code < 0)
        (void) refuse(call, code);
    else
        write_shards(call, &view, shards, count);
    free(shards);
}

/* --- records ---------------------------------------------------------------------------------- */
static void write_record(struct kn_json_writer *w, const struct datastream_shard_view *shard,
                         const struct storage_shard_record *record)
{
    char number[DATASTREAM_VIEW_NUMBER_BYTES];
    (void) datastream_view_number(shard, record, number);
    kn_json_object_begin(w);
    write_u64(w, "index", record->index);
    kn_json_key(w, "number");
    kn_json_text(w, number);
    kn_json_key(w, "arrivalMs");
    kn_json_i64(w, record->arrival_ms);
    if (record->key.ptr) {
        kn_json_key(w, "key");
        kn_json_str(w, record->key);
    }
    write_u64(w, "bytes", record->data.len);
    kn_json_key(w, "data"); /* base64, cut where it is long */
    kn_json_base64(
        w, (struct kn_bytes){record->data.ptr, kn_min_u64(record->data.len, SHOWN_BYTES_MAX)});
    kn_json_object_end(w);
}

static void write_page(struct console_call *call, const struct datastream_shard_view *shard,
                       const struct storage_page *page)
{
    struct kn_json_writer *w = &call->json;
    kn_json_object_begin(w);
    write_now(call);
    write_u64(w, "from", page->next); /* of the next question */
    kn_json_key(w, "atEnd");
    kn_json_bool(w, page->at_end);
    kn_json_key(w, "closed");
    kn_json_bool(w, shard->ends.closed);
    kn_json_key(w, "records");
    kn_json_array_begin(w);
    for (size_t i = 0; i < page->count; i++)
        write_record(w, shard, &page->records[i]);
    kn_json_array_end(w);
    kn_json_object_end(w);
}

/* ?shard=<index>&from=<index of a record>&limit=: the records from there on; without from, the
 * newest. */
void console_run_data_records(struct console_call *call)
{
    int64_t shard, from, limit;
    struct datastream_shard_view view;
    struct storage_page page;
    if (console_query_i64(call, "shard", -1, &shard) < 0 ||
        console_query_i64(call, "from", -1, &from) < 0 ||
        console_query_i64(call, "limit", 50, &limit) < 0)
        return;
    if (shard < 0 || shard > UINT32_MAX) {
        console_fail(call, 400, "bad_request", "shard wants the index of a shard");
        return;
    }
    struct storage_shard_read read = {.from = from < 0 ? UINT64_MAX : (uint64_t) from,
                                      .count_max =
                                          (size_t) kn_max_i64(1, kn_min_i64(limit, RECORDS_MAX)),
                                      .bytes_max = RECORDS_BYTES_MAX};
    int code = console_allows(call, action_records, call->name)
                   ? datastream_view_records(call->console->conf.datastream, call->name,
                                             (uint32_t) shard, &read, &view, &page)
                   : -ENOENT;
    if (code < 0) {
        (void) refuse(call, code);
        return;
    }
    write_page(call, &view, &page);
    storage_page_free(&page);
}
