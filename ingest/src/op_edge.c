/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS's edge configurations: another door to the cameras of op_camera.c. Here the server itself is
 * the edge agent, so what AWS says of the device's disk is said of the stream. docs/cameras.md.
 * @source KVS API reference, StartEdgeConfigurationUpdate and its neighbours
 */
#include "camera_shape.h"
#include "page_token.h"

#define RTSP  INGEST_EdgeConfig_RecorderConfig_MediaSourceConfig_MediaUriType_RTSP_URI
#define FILE_ INGEST_EdgeConfig_RecorderConfig_MediaSourceConfig_MediaUriType_FILE_URI
#define OLDEST                                                                                     \
    INGEST_EdgeConfig_DeletionConfig_LocalSizeConfig_StrategyOnFullSize_DELETE_OLDEST_MEDIA
#define DENY INGEST_EdgeConfig_DeletionConfig_LocalSizeConfig_StrategyOnFullSize_DENY_NEW_MEDIA

enum {
    LIST_RESULTS_DEFAULT = 5, /* KVS, ListEdgeAgentConfigurations */
    BYTES_PER_MB = 1 << 20,
};

/* --- as it is shown --------------------------------------------------------------------------- */
/* One that no edge configuration was given for belongs to a hub of ours. */
static struct kn_str hub_of(struct kn_api_call *call, const struct ingest_camera_view *view)
{
    if (*view->settings.edge.hub)
        return kn_arena_str(call->arena, kn_str_from(view->settings.edge.hub));
    return kn_arena_printf(call->arena, "arn:%s:iot:%s:%s:thing/kinema", call->identity->partition,
                           call->identity->region, call->identity->account);
}

static struct kn_str secret_arn_of(struct kn_api_call *call, const struct ingest_camera_view *view)
{
    char own[sizeof INGEST_CAMERA_OWN_SECRET + STORAGE_STREAM_NAME_BYTES_MAX];
    if (*view->settings.edge.secret_arn)
        return kn_arena_str(call->arena, kn_str_from(view->settings.edge.secret_arn));
    snprintf(own, sizeof own, "%s%s", INGEST_CAMERA_OWN_SECRET, view->name);
    return ingest_secret_arn(call, kn_str_from(own));
}

static int show_recorder(struct kn_api_call *call, const struct ingest_camera_view *view,
                         const struct ingest_EdgeConfig_RecorderConfig **ret)
{
    struct ingest_EdgeConfig_RecorderConfig *recorder =
        kn_arena_alloc(call->arena, sizeof *recorder);
    struct ingest_EdgeConfig_RecorderConfig_MediaSourceConfig *source =
        kn_arena_alloc(call->arena, sizeof *source);
    if (!recorder || !source)
        return -ENOMEM;
    source->MediaUriSecretArn = secret_arn_of(call, view);
    source->MediaUriType = ingest_camera_is_file(&view->settings.source) ? FILE_ : RTSP;
    recorder->MediaSourceConfig = source;
    *ret = recorder;
    return source->MediaUriSecretArn.ptr
               ? ingest_times_shown(call, &view->settings.times, &recorder->ScheduleConfig)
               : -ENOMEM;
}

static struct kn_api_i64 given(uint32_t number)
{
    return (struct kn_api_i64){number > 0, number};
}

static int show_deletion(struct kn_api_call *call, const struct ingest_camera_edge *edge,
                         const struct ingest_EdgeConfig_DeletionConfig **ret)
{
    struct ingest_EdgeConfig_DeletionConfig *deletion =
        kn_arena_alloc(call->arena, sizeof *deletion);
    struct ingest_EdgeConfig_DeletionConfig_LocalSizeConfig *size =
        kn_arena_alloc(call->arena, sizeof *size);
    if (!deletion || !size)
        return -ENOMEM;
    deletion->EdgeRetentionInHours = given(edge->retention_hours);
    deletion->DeleteAfterUpload =
        (struct kn_api_bool){(edge->flags & (INGEST_CAMERA_EDGE_DELETE_AFTER_UPLOAD |
                                             INGEST_CAMERA_EDGE_KEEP_AFTER_UPLOAD)) != 0,
                             (edge->flags & INGEST_CAMERA_EDGE_DELETE_AFTER_UPLOAD) != 0};
    size->MaxLocalMediaSizeInMB = given(edge->size_mb);
    if (edge->flags & INGEST_CAMERA_EDGE_DELETE_OLDEST)
        size->StrategyOnFullSize = OLDEST;
    if (edge->flags & INGEST_CAMERA_EDGE_DENY_NEW)
        size->StrategyOnFullSize = DENY;
    if (edge->flags & INGEST_CAMERA_EDGE_LOCAL_SIZE)
        deletion->LocalSizeConfig = size;
    *ret = deletion;
    return 0;
}

static int show_config(struct kn_api_call *call, const struct ingest_camera_view *view,
                       const struct ingest_EdgeConfig **ret)
{
    const struct ingest_camera_edge *edge = &view->settings.edge;
    struct ingest_EdgeConfig *config = kn_arena_alloc(call->arena, sizeof *config);
    if (!config)
        return -ENOMEM;
    *ret = config;
    config->HubDeviceArn = hub_of(call, view);
    int r = config->HubDeviceArn.ptr ? show_recorder(call, view, &config->RecorderConfig) : -ENOMEM;
    if (r == 0 && *edge->uploader.expression) {
        struct ingest_EdgeConfig_UploaderConfig *uploader =
            kn_arena_alloc(call->arena, sizeof *uploader);
        config->UploaderConfig = uploader;
        r = uploader ? ingest_times_shown(call, &edge->uploader, &uploader->ScheduleConfig)
                     : -ENOMEM;
    }
    if (r == 0 && edge->flags & INGEST_CAMERA_EDGE_DELETION)
        r = show_deletion(call, edge, &config->DeletionConfig);
    return r;
}

/* All that three answers have in common. */
static int show(struct ingest *ingest, struct kn_api_call *call,
                const struct ingest_camera_view *view,
                struct ingest_ListEdgeAgentConfigurations_EdgeConfigs_item *ret)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find_id(ingest->storage, &view->stream);
    *ret = (struct ingest_ListEdgeAgentConfigurations_EdgeConfigs_item){
        .CreationTime = ingest_time_shown(view->settings.created_ms),
        .LastUpdatedTime = ingest_time_shown(view->settings.updated_ms),
        .SyncStatus = view->in_sync     ? INGEST_SyncStatus_IN_SYNC
                      : view->error < 0 ? INGEST_SyncStatus_SYNC_FAILED
                                        : INGEST_SyncStatus_SYNCING};
    if (ret->SyncStatus == INGEST_SyncStatus_SYNC_FAILED)
        ret->FailedStatusDetails =
            kn_arena_printf(call->arena, "The program that talks to cameras cannot be started: %s",
                            kn_errname(view->error));
    if (stream)
        ret->StreamARN = ingest_stream_arn(call, stream);
    if (ingest_text_shown(call, kn_str_from(view->name), &ret->StreamName) < 0 ||
        (stream && !ret->StreamARN.ptr))
        return -ENOMEM;
    return show_config(call, view, &ret->EdgeConfig);
}

static enum ingest_JobStatus job_status(const struct ingest_camera_status *status)
{
    static const char *const by_user[] = {"unauthorized", "untrusted", "not_found", "unsupported",
                                          "full"};
    if (status->state == INGEST_CAMERA_RECORDING || status->last_frame_ms > status->fault_ms ||
        !*status->fault)
        return INGEST_JobStatus_SUCCESS;
    for (size_t i = 0; i < KN_ARRAY_LEN(by_user); i++) {
        if (kn_str_eq(kn_str_from(status->fault), kn_str_from(by_user[i])))
            return INGEST_JobStatus_USER_ERROR;
    }
    return INGEST_JobStatus_SYSTEM_ERROR;
}

static int show_jobs(struct kn_api_call *call, const struct ingest_camera_view *view,
                     const struct ingest_DescribeEdgeConfiguration_EdgeAgentStatus **ret)
{
    const struct ingest_camera_status *status = &view->status;
    struct ingest_DescribeEdgeConfiguration_EdgeAgentStatus *jobs =
        kn_arena_alloc(call->arena, sizeof *jobs);
    struct ingest_DescribeEdgeConfiguration_EdgeAgentStatus_LastRecorderStatus *recorder =
        kn_arena_alloc(call->arena, sizeof *recorder);
    struct ingest_DescribeEdgeConfiguration_EdgeAgentStatus_LastUploaderStatus *uploader =
        kn_arena_alloc(call->arena, sizeof *uploader);
    if (!jobs || !recorder || !uploader)
        return -ENOMEM;
    *ret = jobs;
    if (view->heard_ms > 0 && (status->last_frame_ms > 0 || *status->fault))
        jobs->LastRecorderStatus = recorder;
    if (status->persisted_ms > 0)
        jobs->LastUploaderStatus = uploader;
    uploader->LastCollectedTime = ingest_time_shown(status->persisted_ms);
    uploader->LastUpdatedTime = ingest_time_shown(view->heard_ms);
    uploader->UploaderStatus = INGEST_JobStatus_SUCCESS;
    recorder->LastCollectedTime = ingest_time_shown(status->last_frame_ms);
    recorder->LastUpdatedTime = ingest_time_shown(view->heard_ms);
    recorder->RecorderStatus = job_status(status);
    return recorder->RecorderStatus == INGEST_JobStatus_SUCCESS
               ? 0
               : ingest_text_shown(call, kn_str_from(status->said), &recorder->JobStatusDetails);
}

/* --- StartEdgeConfigurationUpdate ------------------------------------------------------------- */
struct start {
    struct ingest *ingest;
    struct kn_api_call *call;
    const struct storage_stream *stream;
    struct ingest_camera_times times;
    struct ingest_camera_edge edge;
    bool file; /* MediaUriType is FILE_URI */
};

static int edge_of(struct kn_api_call *call, const struct ingest_EdgeConfig *config,
                   struct start *ret)
{
    const struct ingest_EdgeConfig_DeletionConfig *deletion = config->DeletionConfig;
    const struct ingest_EdgeConfig_DeletionConfig_LocalSizeConfig *size =
        deletion ? deletion->LocalSizeConfig : NULL;
    struct ingest_camera_edge *edge = &ret->edge;
    if (size && size->StrategyOnFullSize == DENY && size->MaxLocalMediaSizeInMB.v <= 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "DENY_NEW_MEDIA needs a MaxLocalMediaSizeInMB.");
    int r = ingest_times_of(call, config->RecorderConfig->ScheduleConfig,
                            "The ScheduleExpression of RecorderConfig", &ret->times);
    if (r == 0 && config->UploaderConfig)
        r = ingest_times_of(call, config->UploaderConfig->ScheduleConfig,
                            "The ScheduleExpression of UploaderConfig", &edge->uploader);
    if (r < 0)
        return r;
    edge->retention_hours = deletion ? (uint32_t) deletion->EdgeRetentionInHours.v : 0;
    edge->size_mb = size ? (uint32_t) size->MaxLocalMediaSizeInMB.v : 0;
    edge->flags =
        (uint8_t) ((deletion ? INGEST_CAMERA_EDGE_DELETION : 0) |
                   (size ? INGEST_CAMERA_EDGE_LOCAL_SIZE : 0) |
                   (size && size->StrategyOnFullSize == OLDEST ? INGEST_CAMERA_EDGE_DELETE_OLDEST
                                                               : 0) |
                   (size && size->StrategyOnFullSize == DENY ? INGEST_CAMERA_EDGE_DENY_NEW : 0));
    if (deletion && deletion->DeleteAfterUpload.set)
        edge->flags |= deletion->DeleteAfterUpload.v ? INGEST_CAMERA_EDGE_DELETE_AFTER_UPLOAD
                                                     : INGEST_CAMERA_EDGE_KEEP_AFTER_UPLOAD;
    return kn_str_copy(edge->hub, sizeof edge->hub, config->HubDeviceArn);
}

static int no_secret(struct kn_api_call *call)
{
    return kn_api_fault(call, "InvalidArgumentException",
                        "MediaUriSecretArn names no secret of this server. One is put by: kinema "
                        "camera secret put NAME URL");
}

/* Takes the secret's ARN as it was given, or keeps the URL that the camera has of its own. */
static int edit(void *ctx, struct ingest_camera_settings *draft)
{
    struct start *start = ctx;
    struct kn_str name = ingest_camera_secret_name(kn_str_from(start->edge.secret_arn));
    if (kn_str_starts_with(name, KN_STR(INGEST_CAMERA_OWN_SECRET))) {
        struct kn_str stream = kn_str_skip(name, strlen(INGEST_CAMERA_OWN_SECRET));
        if (!kn_str_eq(stream, start->stream->name) || !*draft->source.url ||
            *draft->edge.secret_arn)
            return no_secret(start->call);
        start->edge.secret_arn[0] = '\0';
    } else if (name.len > INGEST_CAMERA_SECRET_BYTES_MAX) {
        return no_secret(start->call);
    }
    draft->times = start->times;
    draft->edge = start->edge;
    int r = ingest_cameras_resolve(start->ingest->cameras, draft);
    if (r == -ENOENT)
        return no_secret(start->call);
    if (r == 0 && ingest_camera_is_file(&draft->source) != start->file)
        return kn_api_fault(start->call, "InvalidArgumentException",
                            "MediaUriType must be %s: that is what the secret's URL is.",
                            start->file ? "RTSP_URI" : "FILE_URI");
    return r;
}

struct retention {
    uint32_t hours;      /* 0: as it is */
    struct kn_str bytes; /* empty: as it is … */
    bool keeps;          /* … or none, since nothing is to make room */
};

static int edit_retention(void *ctx, const struct storage_stream *now,
                          struct storage_stream_draft *draft)
{
    const struct retention *retention = ctx;
    if (retention->hours > 0)
        draft->retention_hours = retention->hours;
    draft->keep_version = draft->retention_hours == now->retention_hours; /* as tags do */
    return retention->bytes.len > 0 || retention->keeps
               ? ingest_retention_bytes_set(draft, retention->bytes)
               : 0;
}

/* The device's disk is the stream's: its rules of age and bytes. What is not given stays. */
static int set_retention(struct ingest *ingest, const struct start *start)
{
    char digits[24] = "";
    const struct ingest_camera_edge *edge = &start->edge;
    bool keeps = edge->flags & INGEST_CAMERA_EDGE_DENY_NEW;
    if (edge->size_mb > 0 && !keeps)
        snprintf(digits, sizeof digits, "%" PRIu64, (uint64_t) edge->size_mb * BYTES_PER_MB);
    struct retention retention = {edge->retention_hours, kn_str_from(digits), keeps};
    if (!edge->retention_hours && !edge->size_mb)
        return 0;
    int r = storage_stream_update(ingest->storage, start->stream->name, (struct kn_str){NULL, 0},
                                  edit_retention, &retention);
    if (r == -EDQUOT)
        return kn_api_fault(start->call, "InvalidArgumentException",
                            "MaxLocalMediaSizeInMB takes one of the stream's %d tags, and none is "
                            "free.",
                            STORAGE_STREAM_TAGS_MAX);
    if (r == -EBUSY)
        return kn_api_fault(start->call, "ResourceInUseException", "The stream is being deleted.");
    return r == -ENOENT ? ingest_stream_not_found(start->call) : r;
}

int ingest_op_StartEdgeConfigurationUpdate(struct ingest *ingest,
                                           const struct ingest_StartEdgeConfigurationUpdate_in *in,
                                           struct ingest_StartEdgeConfigurationUpdate_out *out,
                                           struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    struct start *start = kn_arena_alloc(call->arena, sizeof *start);
    struct ingest_camera_view *view = kn_arena_alloc(call->arena, sizeof *view);
    struct ingest_ListEdgeAgentConfigurations_EdgeConfigs_item shown;
    int r = start && view ? 0 : -ENOMEM;
    if (r == 0)
        r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    if (stream->retention_hours == 0)
        return kn_api_fault(call, "NoDataRetentionException",
                            "The stream's retention is 0: nothing of it is stored.");
    start->ingest = ingest;
    start->call = call;
    start->stream = stream;
    start->file = in->EdgeConfig->RecorderConfig->MediaSourceConfig->MediaUriType == FILE_;
    r = edge_of(call, in->EdgeConfig, start);
    if (r == 0)
        r = kn_str_copy(start->edge.secret_arn, sizeof start->edge.secret_arn,
                        in->EdgeConfig->RecorderConfig->MediaSourceConfig->MediaUriSecretArn);
    if (r < 0)
        return r;
    r = ingest_cameras_edit(ingest->cameras, stream, edit, start);
    r = r < 0 ? ingest_camera_fault(ingest, call, r) : set_retention(ingest, start);
    if (r == 0)
        r = ingest_cameras_get(ingest->cameras, stream, view);
    if (r == 0)
        r = show(ingest, call, view, &shown);
    explicit_bzero(view, sizeof *view);
    if (r < 0)
        return r == -ENOENT ? ingest_stream_not_found(call) : r;
    out->StreamName = shown.StreamName;
    out->StreamARN = shown.StreamARN;
    out->CreationTime = shown.CreationTime;
    out->LastUpdatedTime = shown.LastUpdatedTime;
    out->SyncStatus = INGEST_SyncStatus_SYNCING; /* whatever it is by now: what AWS documents */
    out->EdgeConfig = shown.EdgeConfig;
    return 0;
}

/* --- the others ------------------------------------------------------------------------------- */
static int no_config(struct kn_api_call *call, const struct storage_stream *stream)
{
    return kn_api_fault(call, "StreamEdgeConfigurationNotFoundException",
                        "The stream " KN_STR_FMT " has no edge configuration.",
                        KN_STR_ARG(stream->name));
}

int ingest_op_DescribeEdgeConfiguration(struct ingest *ingest,
                                        const struct ingest_DescribeEdgeConfiguration_in *in,
                                        struct ingest_DescribeEdgeConfiguration_out *out,
                                        struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    struct ingest_camera_view *view = kn_arena_alloc(call->arena, sizeof *view);
    struct ingest_ListEdgeAgentConfigurations_EdgeConfigs_item shown;
    int r = view ? ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream)
                 : -ENOMEM;
    if (r < 0)
        return r;
    r = ingest_cameras_get(ingest->cameras, stream, view);
    if (r == -ENOENT)
        return no_config(call, stream);
    if (r == 0)
        r = show(ingest, call, view, &shown);
    if (r == 0)
        r = show_jobs(call, view, &out->EdgeAgentStatus);
    explicit_bzero(view, sizeof *view);
    if (r < 0)
        return r;
    out->StreamName = shown.StreamName;
    out->StreamARN = shown.StreamARN;
    out->CreationTime = shown.CreationTime;
    out->LastUpdatedTime = shown.LastUpdatedTime;
    out->SyncStatus = shown.SyncStatus;
    out->FailedStatusDetails = shown.FailedStatusDetails;
    out->EdgeConfig = shown.EdgeConfig;
    return 0;
}

int ingest_op_DeleteEdgeConfiguration(struct ingest *ingest,
                                      const struct ingest_DeleteEdgeConfiguration_in *in,
                                      struct ingest_DeleteEdgeConfiguration_out *out,
                                      struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    r = ingest_cameras_remove(ingest->cameras, stream);
    return r == -ENOENT ? no_config(call, stream) : r;
}

int ingest_op_ListEdgeAgentConfigurations(struct ingest *ingest,
                                          const struct ingest_ListEdgeAgentConfigurations_in *in,
                                          struct ingest_ListEdgeAgentConfigurations_out *out,
                                          struct kn_api_call *call)
{
    struct kn_str after = {NULL, 0}, last = {NULL, 0};
    if (in->NextToken.len > 0 &&
        ingest_page_token_read(call->arena, 'E', in->NextToken, &after) < 0)
        return kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.");
    size_t most = in->MaxResults.set ? (size_t) in->MaxResults.v : LIST_RESULTS_DEFAULT, count = 0;
    struct ingest_ListEdgeAgentConfigurations_EdgeConfigs_item *items =
        kn_arena_alloc(call->arena, most * sizeof *items);
    char *token = kn_arena_alloc(call->arena, INGEST_PAGE_TOKEN_BYTES_MAX);
    struct ingest_camera_view *view = kn_arena_alloc(call->arena, sizeof *view);
    char *name = kn_arena_alloc(call->arena, sizeof view->name);
    if (!items || !token || !view || !name)
        return -ENOMEM;
    struct kn_str ours = hub_of(call, view); /* of those that have none: view is still empty */
    if (!ours.ptr)
        return -ENOMEM;
    while (ingest_cameras_next(ingest->cameras, after, view) == 0) {
        memcpy(name, view->name, sizeof view->name);
        after = kn_str_from(name);
        struct kn_str hub = kn_str_from(view->settings.edge.hub);
        if (!kn_str_eq(in->HubDeviceArn, hub.len > 0 ? hub : ours))
            continue;
        if (count == most) {
            out->NextToken = ingest_page_token(token, 'E', last);
            break;
        }
        if (show(ingest, call, view, &items[count]) < 0)
            return -ENOMEM;
        last = items[count++].StreamName;
    }
    explicit_bzero(view, sizeof *view);
    out->EdgeConfigs =
        (struct ingest_ListEdgeAgentConfigurations_EdgeConfigs_item_list){true, count, items};
    return 0;
}
