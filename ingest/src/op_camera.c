/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cameras whose video is fetched: operations of our own, under /kinema/v1/. Their actions begin
 * with kinema:, so that a key with kinesisvideo:* has none of them: who sets a camera's URL makes
 * the server connect to it. docs/cameras.md.
 */
#include "cameras.h"
#include "page_token.h"
#include "resource.h"

enum {
    LIST_RESULTS_DEFAULT = 100
};

/* --- as it is shown ----------------------------------------------------------------------------
 */
static struct kn_api_i64 number_of(uint64_t value)
{
    return (struct kn_api_i64){true, (int64_t) value};
}

static struct kn_api_i64 time_of(int64_t ms)
{
    return (struct kn_api_i64){ms > 0, ms};
}

static int text_of(struct kn_api_call *call, struct kn_str text, struct kn_str *ret)
{
    if (text.len == 0)
        return 0;
    *ret = kn_arena_str(call->arena, text);
    return ret->ptr ? 0 : -ENOMEM;
}

static int show_tracks(struct kn_api_call *call, const struct ingest_camera_status *status,
                       struct ingest_Camera *ret)
{
    struct ingest_CameraTrack *items =
        kn_arena_alloc(call->arena, INGEST_CAMERA_TRACKS_MAX * sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < status->track_count; i++) {
        const struct ingest_camera_track *track = &status->tracks[i];
        if (text_of(call, kn_str_from(track->codec), &items[i].CodecId) < 0)
            return -ENOMEM;
        if (track->width > 0) {
            items[i].Width = number_of(track->width);
            items[i].Height = number_of(track->height);
        } else {
            items[i].SamplingHz = number_of(track->hz);
            items[i].Channels = number_of(track->channels);
        }
    }
    ret->Tracks = (struct ingest_CameraTrack_list){true, status->track_count, items};
    return 0;
}

static void show_numbers(const struct ingest_camera_view *view, struct ingest_Camera *ret)
{
    const struct ingest_camera_status *status = &view->status;
    ret->StateTime = time_of(status->state == INGEST_CAMERA_RECORDING ? status->since_ms : 0);
    ret->FaultTime = time_of(status->fault_ms);
    ret->LastFrameTime = time_of(status->last_frame_ms);
    ret->LastPersistedTime = time_of(status->persisted_ms);
    ret->KilobitsPerSecond = (struct kn_api_double){true, view->kbit_per_s};
    ret->FrameCount = number_of(status->frames);
    ret->ByteCount = number_of(status->bytes);
    ret->FragmentCount = number_of(status->persisted);
    ret->LostFrameCount = number_of(status->lost);
    ret->CutCount = number_of(status->cuts);
    ret->DamagedFrameCount = number_of(status->damaged);
    ret->ClockAheadMilliseconds =
        (struct kn_api_i64){status->clock_known > 0, status->clock_ahead_ms};
    ret->ClockStepCount = number_of(status->clock_steps);
    ret->ReconnectCount = number_of(status->reconnects);
}

static int show(struct kn_api_call *call, const struct ingest_camera_view *view,
                struct ingest_Camera *ret)
{
    static const enum ingest_CameraState states[] = {
        [INGEST_CAMERA_CONNECTING] = INGEST_CameraState_CONNECTING,
        [INGEST_CAMERA_RECORDING] = INGEST_CameraState_RECORDING,
        [INGEST_CAMERA_WAITING] = INGEST_CameraState_WAITING};
    static const enum ingest_CameraTransport transports[] = {
        [INGEST_CAMERA_AUTO] = INGEST_CameraTransport_AUTO,
        [INGEST_CAMERA_UDP] = INGEST_CameraTransport_UDP,
        [INGEST_CAMERA_TCP] = INGEST_CameraTransport_TCP,
        [INGEST_CAMERA_HTTP] = INGEST_CameraTransport_HTTP};
    *ret = (struct ingest_Camera){.Transport = transports[view->settings.transport],
                                  .State = states[view->status.state],
                                  .CreationTime = time_of(view->settings.created_ms),
                                  .LastUpdatedTime = time_of(view->settings.updated_ms)};
    show_numbers(view, ret);
    if (text_of(call, kn_str_from(view->name), &ret->StreamName) < 0 ||
        text_of(call, ingest_camera_url_shown(&view->settings), &ret->Url) < 0 ||
        text_of(call, kn_str_from(view->settings.user), &ret->UserName) < 0 ||
        text_of(call, kn_str_from(view->status.fault), &ret->Fault) < 0 ||
        text_of(call, kn_str_from(view->status.said), &ret->FaultMessage) < 0 ||
        text_of(call, kn_str_from(view->status.left_out), &ret->LeftOut) < 0 ||
        text_of(call, kn_str_from(view->status.clock), &ret->Clock) < 0)
        return -ENOMEM;
    return show_tracks(call, &view->status, ret);
}

static int show_new(struct ingest *ingest, struct kn_api_call *call,
                    const struct storage_stream *stream, const struct ingest_Camera **ret)
{
    struct ingest_camera_view *view = kn_arena_alloc(call->arena, sizeof *view);
    struct ingest_Camera *shown = kn_arena_alloc(call->arena, sizeof *shown);
    if (!view || !shown)
        return -ENOMEM;
    int r = ingest_cameras_get(ingest->cameras, stream, view);
    if (r == 0)
        r = show(call, view, shown);
    explicit_bzero(view, sizeof *view);
    *ret = shown;
    return r;
}

static int no_camera(struct kn_api_call *call, const struct storage_stream *stream)
{
    return kn_api_fault(call, "ResourceNotFoundException",
                        "The stream " KN_STR_FMT " has no camera.", KN_STR_ARG(stream->name));
}

/* --- operations --------------------------------------------------------------------------------
 */
static int settings_of(struct kn_api_call *call, const struct ingest_PutCamera_in *in,
                       struct ingest_camera_settings *settings)
{
    static const enum ingest_camera_transport transports[] = {
        [INGEST_CameraTransport_ABSENT] = INGEST_CAMERA_AUTO,
        [INGEST_CameraTransport_AUTO] = INGEST_CAMERA_AUTO,
        [INGEST_CameraTransport_UDP] = INGEST_CAMERA_UDP,
        [INGEST_CameraTransport_TCP] = INGEST_CAMERA_TCP,
        [INGEST_CameraTransport_HTTP] = INGEST_CAMERA_HTTP};
    struct kn_err err = {0};
    if (ingest_camera_url(in->Url, settings, &err) < 0)
        return kn_api_fault(call, "InvalidArgumentException", "Url: %s.", err.text);
    settings->transport = transports[in->Transport];
    int r = in->UserName.ptr ? kn_str_copy(settings->user, sizeof settings->user, in->UserName) : 0;
    if (r == 0 && in->Password.ptr)
        r = kn_str_copy(settings->password, sizeof settings->password, in->Password);
    return r;
}

int ingest_op_PutCamera(struct ingest *ingest, const struct ingest_PutCamera_in *in,
                        struct ingest_PutCamera_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    struct ingest_camera_settings *settings = kn_arena_alloc(call->arena, sizeof *settings);
    int r = settings ? settings_of(call, in, settings) : -ENOMEM;
    if (r == 0)
        r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    r = ingest_cameras_put(ingest->cameras, stream, settings);
    explicit_bzero(settings, sizeof *settings);
    if (r == -EDQUOT)
        return kn_api_fault(call, "ClientLimitExceededException",
                            "The number of cameras has reached its limit of %" PRIu64 ".",
                            ingest->conf.cameras_max);
    return r < 0 ? r : show_new(ingest, call, stream, &out->Camera);
}

int ingest_op_DeleteCamera(struct ingest *ingest, const struct ingest_DeleteCamera_in *in,
                           struct ingest_DeleteCamera_out *out, struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    r = ingest_cameras_remove(ingest->cameras, stream);
    return r == -ENOENT ? no_camera(call, stream) : r;
}

int ingest_op_DescribeCamera(struct ingest *ingest, const struct ingest_DescribeCamera_in *in,
                             struct ingest_DescribeCamera_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    r = show_new(ingest, call, stream, &out->Camera);
    return r == -ENOENT ? no_camera(call, stream) : r;
}

int ingest_op_ListCameras(struct ingest *ingest, const struct ingest_ListCameras_in *in,
                          struct ingest_ListCameras_out *out, struct kn_api_call *call)
{
    struct kn_str after = {NULL, 0};
    if (in->NextToken.len > 0) {
        int r = ingest_page_token_read(call->arena, 'C', in->NextToken, &after);
        if (r == -EINVAL)
            return kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.");
        if (r < 0)
            return r;
    }
    size_t most = in->MaxResults.set ? (size_t) in->MaxResults.v : LIST_RESULTS_DEFAULT;
    char *token = kn_arena_alloc(call->arena, INGEST_PAGE_TOKEN_BYTES_MAX);
    struct ingest_Camera *items = kn_arena_alloc(call->arena, most * sizeof *items);
    struct ingest_camera_view *view = kn_arena_alloc(call->arena, sizeof *view);
    if (!token || !items || !view)
        return -ENOMEM;
    size_t count = 0;
    while (ingest_cameras_next(ingest->cameras, after, view) == 0) {
        if (count == most) {
            out->NextToken = ingest_page_token(token, 'C', after);
            if (!out->NextToken.ptr)
                return -ENOMEM;
            break;
        }
        if (show(call, view, &items[count]) < 0)
            return -ENOMEM;
        after = items[count++].StreamName;
    }
    explicit_bzero(view, sizeof *view);
    out->Cameras = (struct ingest_Camera_list){true, count, items};
    return 0;
}
