/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cameras whose video is fetched: operations of our own, under /kinema/v1/. Their actions begin
 * with kinema:, so that a key with kinesisvideo:* has none of them: who sets a camera's URL makes
 * the server connect to it. docs/cameras.md.
 */
#include "camera_shape.h"
#include "page_token.h"

enum {
    LIST_RESULTS_DEFAULT = 100
};

/* --- as it is shown --------------------------------------------------------------------------- */
static struct kn_api_i64 number_of(uint64_t value)
{
    return (struct kn_api_i64){true, (int64_t) value};
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
        if (ingest_text_shown(call, kn_str_from(track->codec), &items[i].CodecId) < 0)
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
    ret->StateTime =
        ingest_time_shown(status->state == INGEST_CAMERA_RECORDING ? status->since_ms : 0);
    ret->FaultTime = ingest_time_shown(status->fault_ms);
    ret->LastFrameTime = ingest_time_shown(status->last_frame_ms);
    ret->LastPersistedTime = ingest_time_shown(status->persisted_ms);
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
        [INGEST_CAMERA_WAITING] = INGEST_CameraState_WAITING,
        [INGEST_CAMERA_RESTING] = INGEST_CameraState_RESTING};
    *ret =
        (struct ingest_Camera){.Transport = ingest_transport_shown(view->settings.source.transport),
                               .Tls = ingest_tls_shown(view->settings.source.tls),
                               .NextStartTime = ingest_time_shown(view->next_ms),
                               .State = states[view->status.state],
                               .CreationTime = ingest_time_shown(view->settings.created_ms),
                               .LastUpdatedTime = ingest_time_shown(view->settings.updated_ms)};
    show_numbers(view, ret);
    if (ingest_text_shown(call, kn_str_from(view->name), &ret->StreamName) < 0 ||
        ingest_text_shown(call, ingest_camera_url_shown(&view->settings.source), &ret->Url) < 0 ||
        ingest_text_shown(call, kn_str_from(view->settings.source.user), &ret->UserName) < 0 ||
        ingest_text_shown(call,
                          ingest_camera_secret_name(kn_str_from(view->settings.edge.secret_arn)),
                          &ret->SecretName) < 0 ||
        ingest_times_shown(call, &view->settings.times, &ret->Schedule) < 0 ||
        ingest_text_shown(call, kn_str_from(view->status.fault), &ret->Fault) < 0 ||
        ingest_text_shown(call, kn_str_from(view->status.said), &ret->FaultMessage) < 0 ||
        ingest_text_shown(call, kn_str_from(view->status.left_out), &ret->LeftOut) < 0 ||
        ingest_text_shown(call, kn_str_from(view->status.silent), &ret->Silent) < 0 ||
        ingest_text_shown(call, kn_str_from(view->status.clock), &ret->Clock) < 0)
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

/* --- operations ------------------------------------------------------------------------------- */
struct put {
    struct ingest_camera_source source;
    struct ingest_camera_times times;
};

/* What only an edge configuration says stays. */
static int put(void *ctx, struct ingest_camera_settings *draft)
{
    const struct put *said = ctx;
    draft->source = said->source;
    draft->times = said->times;
    draft->edge.secret_arn[0] = '\0';
    return 0;
}

int ingest_op_PutCamera(struct ingest *ingest, const struct ingest_PutCamera_in *in,
                        struct ingest_PutCamera_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    const struct ingest_source_said said = {in->Url, in->UserName, in->Password, in->Transport,
                                            in->Tls};
    struct put draft;
    int r = ingest_source_of(ingest, call, &said, &draft.source);
    if (r == 0)
        r = ingest_times_of(call, in->Schedule, "Schedule", &draft.times);
    if (r == 0)
        r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    r = ingest_cameras_edit(ingest->cameras, stream, put, &draft);
    explicit_bzero(&draft, sizeof draft);
    return r < 0 ? ingest_camera_fault(ingest, call, r)
                 : show_new(ingest, call, stream, &out->Camera);
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
