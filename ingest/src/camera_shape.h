/* SPDX-License-Identifier: Apache-2.0 */
/* What requests say of cameras, and how it is shown: what several operations share. Texts that are
 * shown are copied into the call's arena. */
#ifndef INGEST_SRC_CAMERA_SHAPE_H
#define INGEST_SRC_CAMERA_SHAPE_H

#include "cameras.h"
#include "resource.h"

/* The secret a camera has that has none: its own URL. The stream's name follows. */
#define INGEST_CAMERA_OWN_SECRET "kinema-camera."

/* What PutCamera and PutCameraSecret take alike. */
struct ingest_source_said {
    struct kn_str url, user, password;
    enum ingest_CameraTransport transport;
    enum ingest_CameraTls tls;
};
/* 0, or the fault has been raised. */
int ingest_source_of(const struct ingest *ingest, struct kn_api_call *call,
                     const struct ingest_source_said *said, struct ingest_camera_source *ret)
    KN_MUSTUSE;
/* member names it in the fault; config NULL: no schedule. */
int ingest_times_of(struct kn_api_call *call, const struct ingest_ScheduleConfig *config,
                    const char *member, struct ingest_camera_times *ret) KN_MUSTUSE;
/* What ingest_cameras_edit refuses. */
int ingest_camera_fault(struct ingest *ingest, struct kn_api_call *call, int r) KN_MUSTUSE;

enum ingest_CameraTransport ingest_transport_shown(enum ingest_camera_transport transport);
enum ingest_CameraTls ingest_tls_shown(enum ingest_camera_tls tls);
struct kn_api_i64 ingest_time_shown(int64_t ms); /* 0: absent */
/* All: -ENOMEM. An empty text, and times that are not set, are absent. */
int ingest_text_shown(struct kn_api_call *call, struct kn_str text, struct kn_str *ret) KN_MUSTUSE;
int ingest_times_shown(struct kn_api_call *call, const struct ingest_camera_times *times,
                       const struct ingest_ScheduleConfig **ret) KN_MUSTUSE;
/* ptr NULL: the arena is spent. */
struct kn_str ingest_secret_arn(struct kn_api_call *call, struct kn_str name);

#endif
