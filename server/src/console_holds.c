/* SPDX-License-Identifier: Apache-2.0 */
/* Legal holds of a stream: listed, set and lifted. The rights are those of the API's operations. */
#include "console_call.h"

#include "core/api_row.h"
#include "core/log.h"
#include "storage/stream.h"

static const char action_list[] = "kinema:ListHolds";
static const char action_put[] = "kinema:PutHold";
static const char action_delete[] = "kinema:DeleteHold";

enum {
    REASON_BYTES_MAX = 1024 /* the API's */
};

static int write_hold(void *ctx, const struct storage_hold *hold)
{
    struct kn_json_writer *w = ctx;
    kn_json_object_begin(w);
    kn_json_key(w, "name");
    kn_json_str(w, hold->name);
    kn_json_key(w, "reason");
    kn_json_str(w, hold->reason);
    kn_json_key(w, "by");
    kn_json_str(w, hold->by);
    kn_json_key(w, "fromMs");
    kn_json_i64(w, hold->from_ms);
    if (hold->to_ms != INT64_MAX) { /* otherwise until it is lifted */
        kn_json_key(w, "toMs");
        kn_json_i64(w, hold->to_ms);
    }
    kn_json_key(w, "createdMs");
    kn_json_i64(w, hold->created_ms);
    kn_json_object_end(w);
    return 0;
}

void console_run_holds(struct console_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_list);
    if (!stream)
        return;
    struct kn_json_writer *w = &call->json;
    kn_json_object_begin(w);
    kn_json_key(w, "holds");
    kn_json_array_begin(w);
    int r = storage_hold_list(call->console->conf.storage, &stream->id, KN_STR(""), write_hold, w);
    kn_assert(r == 0);
    kn_json_array_end(w);
    kn_json_key(w, "canPut");
    kn_json_bool(w, stream->retention_hours > 0 && console_allows(call, action_put, stream->name));
    kn_json_key(w, "canLift");
    kn_json_bool(w, console_allows(call, action_delete, stream->name));
    kn_json_object_end(w);
}

/* --- setting ---------------------------------------------------------------------------------- */
static int hold_read(struct console_call *call, struct storage_hold *ret)
{
    *ret = (struct storage_hold){.from_ms = -1, .to_ms = INT64_MAX};
    const struct kn_json_member members[] = {
        {"name",   .str = &ret->name   },
        {"reason", .str = &ret->reason },
        {"fromMs", .i64 = &ret->from_ms},
        {"toMs",   .i64 = &ret->to_ms  },
    };
    return kn_json_object_read(call->body, call->arena, members, KN_ARRAY_LEN(members));
}

static bool is_name(struct kn_str name) /* as the API's HoldName */
{
    return name.len <= STORAGE_HOLD_NAME_BYTES_MAX && kn_api_pattern_name(name);
}

/* NULL: it can be set. */
static const char *what_is_wrong(const struct storage_stream *stream,
                                 const struct storage_hold *hold)
{
    if (!is_name(hold->name))
        return "a name of at most 128 letters, digits, _, . or - is wanted";
    if (hold->from_ms < 0)
        return "a hold needs a beginning";
    if (hold->to_ms < hold->from_ms)
        return "the end lies before the beginning";
    if (hold->reason.len > REASON_BYTES_MAX)
        return "the reason is longer than 1,024 bytes";
    if (stream->retention_hours == 0)
        return "nothing of this stream is stored, so there is nothing to hold";
    return NULL;
}

static void answer_put(struct console_call *call, int r, const struct storage_hold *hold)
{
    switch (r) {
    case 0:
        kn_log_info("console_hold_set",
                    "stream=" KN_STR_FMT " hold=" KN_STR_FMT " by=" KN_LOG_QUOTED,
                    KN_STR_ARG(call->name), KN_STR_ARG(hold->name), kn_log_quote(hold->by));
        (void) write_hold(&call->json, hold);
        return;
    case -EEXIST:
        console_fail(call, 409, "hold_exists", "there is a hold of that name already");
        return;
    case -EDQUOT:
        console_fail(call, 409, "too_many_holds",
                     "a stream can have at most %d holds, and all "
                     "streams %d",
                     STORAGE_STREAM_HOLDS_MAX, STORAGE_HOLDS_MAX);
        return;
    case -ENOENT:
    case -EBUSY:
        console_fail(call, 409, "stream_goes", "the stream is being deleted");
        return;
    default:
        console_fail(call, 500, "internal", "the hold cannot be stored: %s", kn_errname(r));
    }
}

/* {"name", "fromMs", "toMs" (absent: until it is lifted), "reason"} */
void console_run_hold_set(struct console_call *call)
{
    struct storage_hold hold;
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_put);
    if (!stream)
        return;
    if (hold_read(call, &hold) < 0) {
        console_fail(call, 400, "bad_request",
                     "a JSON object with name, fromMs, toMs, reason is wanted");
        return;
    }
    const char *wrong = what_is_wrong(stream, &hold);
    if (wrong) {
        console_fail(call, 400, "bad_request", "%s", wrong);
        return;
    }
    hold.by = call->key ? call->key->id : KN_STR("");
    answer_put(call, storage_hold_put(call->console->conf.storage, &stream->id, &hold), &hold);
}

/* --- lifting ---------------------------------------------------------------------------------- */
/* {"name"} */
void console_run_hold_lift(struct console_call *call)
{
    struct storage_hold hold;
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_delete);
    if (!stream)
        return;
    if (hold_read(call, &hold) < 0 || !is_name(hold.name)) {
        console_fail(call, 400, "bad_request", "a JSON object with the hold's name is wanted");
        return;
    }
    int r = storage_hold_remove(call->console->conf.storage, &stream->id, hold.name);
    if (r == -ENOENT) {
        console_fail(call, 404, "no_such_hold", "there is no hold of that name");
    } else if (r < 0) {
        console_fail(call, 500, "internal", "the hold cannot be lifted: %s", kn_errname(r));
    } else {
        kn_log_info("console_hold_lifted", "stream=" KN_STR_FMT " hold=" KN_STR_FMT,
                    KN_STR_ARG(call->name), KN_STR_ARG(hold.name));
        kn_json_object_begin(&call->json);
        kn_json_object_end(&call->json);
    }
}
