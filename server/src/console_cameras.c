/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cameras that the server fetches: shown, set, removed, and looked at before. The rights are those
 * of the API's operations; to look at one is to make the server connect to an address, as PutCamera
 * does, and wants the same right.
 */
#include "console_call.h"

#include "core/api_row.h"
#include "core/log.h"
#include "ingest/camera.h"

static const char action_describe[] = "kinema:DescribeCamera";
static const char action_put[] = "kinema:PutCamera";
static const char action_delete[] = "kinema:DeleteCamera";
static const char action_create[] = "kinesisvideo:CreateStream";

enum {
    RETENTION_HOURS_DEFAULT = 168 /* as kinema camera add */
};

static bool is_name(struct kn_str name) /* as the API's StreamName */
{
    return name.len <= STORAGE_STREAM_NAME_BYTES_MAX && kn_api_pattern_name(name);
}

bool console_may_add_camera(const struct console_call *call)
{
    return call->console->conf.ingest && console_allows_some(call, action_put);
}

/* --- shown ------------------------------------------------------------------------------------ */
static void answer_camera(struct console_call *call, const struct storage_stream *stream)
{
    struct ingest *ingest = call->console->conf.ingest;
    struct kn_json_writer *w = &call->json;
    bool there = ingest && ingest_camera_state(ingest, stream) != NULL;
    kn_json_object_begin(w);
    if (there) {
        kn_json_key(w, "camera");
        kn_json_object_begin(w);
        int r = ingest_camera_write(ingest, stream, w);
        kn_json_object_end(w); /* empty: it went a moment ago */
        if (r < 0 && r != -ENOENT) {
            console_fail(call, 500, "internal", "the camera cannot be told: %s", kn_errname(r));
            return;
        }
    }
    kn_json_key(w, "canPut");
    kn_json_bool(w, ingest && console_allows(call, action_put, stream->name));
    kn_json_key(w, "canRemove");
    kn_json_bool(w, ingest && console_allows(call, action_delete, stream->name));
    kn_json_object_end(w);
}

void console_run_camera(struct console_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_describe);
    if (stream)
        answer_camera(call, stream);
}

/* --- set -------------------------------------------------------------------------------------- */
struct wish {
    struct kn_str stream;
    struct ingest_camera_wish camera;
    int64_t retention_hours;
};

static int wish_read(struct console_call *call, struct wish *ret)
{
    *ret = (struct wish){.retention_hours = RETENTION_HOURS_DEFAULT};
    const struct kn_json_member members[] = {
        {"stream",         .str = &ret->stream          },
        {"url",            .str = &ret->camera.url      },
        {"user",           .str = &ret->camera.user     },
        {"password",       .str = &ret->camera.password },
        {"transport",      .str = &ret->camera.transport},
        {"retentionHours", .i64 = &ret->retention_hours },
    };
    return kn_json_object_read(call->body, call->arena, members, KN_ARRAY_LEN(members));
}

static void refuse(struct console_call *call, int r, const struct kn_err *err)
{
    switch (r) {
    case -EINVAL:
        console_fail(call, 400, "bad_request", "%s", err->text);
        return;
    case -EDQUOT:
        console_fail(call, 409, "too_many", "there are as many streams or cameras as may be");
        return;
    case -EBUSY:
        console_fail(call, 409, "stream_goes", "the stream is being deleted");
        return;
    case -ENOTSUP:
        console_fail(call, 503, "no_cameras", "this server connects to no cameras");
        return;
    default:
        console_fail(call, 500, "internal", "that did not work: %s", kn_errname(r));
    }
}

/* May the caller connect a camera to the stream of the path, and make that if it is not there? */
static bool may_connect(struct console_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find(call->console->conf.storage, call->name);
    if (console_allows(call, action_put, call->name) &&
        (stream || console_allows(call, action_create, call->name)))
        return true;
    console_fail(call, 403, "not_allowed",
                 "your access key may not connect a camera to the stream " KN_STR_FMT,
                 KN_STR_ARG(call->name));
    return false;
}

/* {"url", "user", "password", "transport", "retentionHours" of a stream that is made} */
void console_run_camera_set(struct console_call *call)
{
    struct ingest *ingest = call->console->conf.ingest;
    struct wish wish;
    struct kn_err err = {0};
    if (!is_name(call->name)) {
        console_fail(call, 400, "bad_request",
                     "a stream's name is of at most 256 letters, digits, _, . or -");
        return;
    }
    if (wish_read(call, &wish) < 0 || wish.retention_hours < 1 ||
        wish.retention_hours > STORAGE_RETENTION_HOURS_MAX) {
        console_fail(call, 400, "bad_request",
                     "a JSON object with url, user, password, transport, retentionHours is wanted");
        return;
    }
    if (!may_connect(call))
        return;
    int r = ingest ? ingest_camera_connect(ingest, call->name, &wish.camera,
                                           (uint32_t) wish.retention_hours, &err)
                   : -ENOTSUP;
    if (r < 0) {
        refuse(call, r, &err);
        return;
    }
    kn_log_info("console_camera_set", "stream=" KN_STR_FMT, KN_STR_ARG(call->name));
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find(call->console->conf.storage, call->name);
    if (stream)
        answer_camera(call, stream);
    else
        refuse(call, -EBUSY, &err);
}

void console_run_camera_remove(struct console_call *call)
{
    struct ingest *ingest = call->console->conf.ingest;
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_delete);
    if (!stream)
        return;
    int r = ingest ? ingest_camera_disconnect(ingest, stream) : -ENOENT;
    if (r == -ENOENT) {
        console_fail(call, 404, "no_such_camera", "the stream has no camera");
    } else if (r < 0) {
        console_fail(call, 500, "internal", "the camera cannot be removed: %s", kn_errname(r));
    } else {
        kn_log_info("console_camera_removed", "stream=" KN_STR_FMT, KN_STR_ARG(call->name));
        answer_camera(call, stream);
    }
}

/* --- looked at -------------------------------------------------------------------------------- */
static struct kn_str caller_of(const struct console_call *call)
{
    return call->key ? call->key->id : KN_STR("");
}

/* {"stream", "url", "user", "password", "transport"}: {"probe": ID, "seconds"} */
void console_run_probe_start(struct console_call *call)
{
    struct ingest *ingest = call->console->conf.ingest;
    char id[INGEST_PROBE_ID_BYTES];
    struct wish wish;
    struct kn_err err = {0};
    if (wish_read(call, &wish) < 0) {
        console_fail(call, 400, "bad_request",
                     "a JSON object with stream, url, user, password, transport is wanted");
        return;
    }
    if (wish.stream.len > 0 ? !console_allows(call, action_put, wish.stream)
                            : !console_may_add_camera(call)) {
        console_fail(call, 403, "not_allowed", "your access key may not connect cameras");
        return;
    }
    int r = ingest
                ? ingest_probe_start(ingest, wish.stream, &wish.camera, caller_of(call), id, &err)
                : -ENOTSUP;
    if (r == -EBUSY) {
        console_fail(call, 429, "slow_down", "%d cameras are being looked at; try again",
                     INGEST_PROBES_AT_ONCE);
    } else if (r < 0) {
        refuse(call, r, &err);
    } else {
        kn_log_info("console_camera_probe", "by=" KN_LOG_QUOTED, kn_log_quote(caller_of(call)));
        kn_json_object_begin(&call->json);
        kn_json_key(&call->json, "probe");
        kn_json_text(&call->json, id);
        kn_json_key(&call->json, "seconds");
        kn_json_u64(&call->json, INGEST_PROBE_SECONDS);
        kn_json_object_end(&call->json);
    }
}

/* {"looking": true}, or what was found, as kinema-camera says it */
void console_run_probe(struct console_call *call)
{
    struct ingest *ingest = call->console->conf.ingest;
    int r = ingest ? ingest_probe_read(ingest, call->name, caller_of(call), &call->out) : -ENOENT;
    if (r == -EAGAIN) {
        kn_json_object_begin(&call->json);
        kn_json_key(&call->json, "looking");
        kn_json_bool(&call->json, true);
        kn_json_object_end(&call->json);
    } else if (r < 0) {
        console_fail(call, 404, "no_such_probe", "what was found is kept for a minute");
    }
}

void console_run_probe_cancel(struct console_call *call)
{
    struct ingest *ingest = call->console->conf.ingest;
    if (!ingest || ingest_probe_cancel(ingest, call->name, caller_of(call)) < 0) {
        console_fail(call, 404, "no_such_probe", "it is not there any more");
        return;
    }
    kn_json_object_begin(&call->json);
    kn_json_object_end(&call->json);
}
