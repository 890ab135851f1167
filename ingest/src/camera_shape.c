/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_shape.h"

int ingest_source_of(const struct ingest *ingest, struct kn_api_call *call,
                     const struct ingest_source_said *said, struct ingest_camera_source *ret)
{
    static const enum ingest_camera_transport transports[] = {
        [INGEST_CameraTransport_ABSENT] = INGEST_CAMERA_AUTO,
        [INGEST_CameraTransport_AUTO] = INGEST_CAMERA_AUTO,
        [INGEST_CameraTransport_UDP] = INGEST_CAMERA_UDP,
        [INGEST_CameraTransport_TCP] = INGEST_CAMERA_TCP,
        [INGEST_CameraTransport_HTTP] = INGEST_CAMERA_HTTP};
    struct kn_err err = {0};
    *ret = (struct ingest_camera_source){.transport = transports[said->transport]};
    if (ingest_camera_url(said->url, ingest_cameras_files(ingest->cameras), ret, &err) < 0)
        return kn_api_fault(call, "InvalidArgumentException", "Url: %s.", err.text);
    ret->tls = said->tls == INGEST_CameraTls_VERIFY ? INGEST_CAMERA_TLS_VERIFY
                                                    : INGEST_CAMERA_TLS_INSECURE;
    int r = said->user.ptr ? kn_str_copy(ret->user, sizeof ret->user, said->user) : 0;
    if (r == 0 && said->password.ptr)
        r = kn_str_copy(ret->password, sizeof ret->password, said->password);
    return r;
}

int ingest_times_of(struct kn_api_call *call, const struct ingest_ScheduleConfig *config,
                    const char *member, struct ingest_camera_times *ret)
{
    struct kn_err err = {0};
    *ret = (struct ingest_camera_times){0};
    if (!config)
        return 0;
    if (ingest_camera_times_set(ret, config->ScheduleExpression,
                                (uint32_t) config->DurationInSeconds.v,
                                kn_wall_ms(call->clock) / 1000, &err) < 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "%s is no cron expression of Quartz that can be kept: %s.", member,
                            err.text);
    return 0;
}

int ingest_camera_fault(struct ingest *ingest, struct kn_api_call *call, int r)
{
    if (r == -EDQUOT)
        return kn_api_fault(call, "ClientLimitExceededException",
                            "The number of cameras has reached its limit of %" PRIu64 ".",
                            ingest->conf.cameras_max);
    return r;
}

/* --- as it is shown --------------------------------------------------------------------------- */
enum ingest_CameraTransport ingest_transport_shown(enum ingest_camera_transport transport)
{
    static const enum ingest_CameraTransport transports[] = {
        [INGEST_CAMERA_AUTO] = INGEST_CameraTransport_AUTO,
        [INGEST_CAMERA_UDP] = INGEST_CameraTransport_UDP,
        [INGEST_CAMERA_TCP] = INGEST_CameraTransport_TCP,
        [INGEST_CAMERA_HTTP] = INGEST_CameraTransport_HTTP};
    return transports[transport];
}

enum ingest_CameraTls ingest_tls_shown(enum ingest_camera_tls tls)
{
    return tls == INGEST_CAMERA_TLS_VERIFY ? INGEST_CameraTls_VERIFY : INGEST_CameraTls_INSECURE;
}

struct kn_api_i64 ingest_time_shown(int64_t ms)
{
    return (struct kn_api_i64){ms > 0, ms};
}

int ingest_text_shown(struct kn_api_call *call, struct kn_str text, struct kn_str *ret)
{
    if (text.len == 0)
        return 0;
    *ret = kn_arena_str(call->arena, text);
    return ret->ptr ? 0 : -ENOMEM;
}

int ingest_times_shown(struct kn_api_call *call, const struct ingest_camera_times *times,
                       const struct ingest_ScheduleConfig **ret)
{
    if (!*times->expression)
        return 0;
    struct ingest_ScheduleConfig *shown = kn_arena_alloc(call->arena, sizeof *shown);
    if (!shown)
        return -ENOMEM;
    *shown = (struct ingest_ScheduleConfig){
        .DurationInSeconds = {true, times->duration_s}
    };
    *ret = shown;
    return ingest_text_shown(call, kn_str_from(times->expression), &shown->ScheduleExpression);
}

struct kn_str ingest_secret_arn(struct kn_api_call *call, struct kn_str name)
{
    return kn_arena_printf(call->arena, "arn:%s:secretsmanager:%s:%s:secret:" KN_STR_FMT,
                           call->identity->partition, call->identity->region,
                           call->identity->account, KN_STR_ARG(name));
}
