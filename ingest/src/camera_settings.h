/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of a camera: where its video comes from, when it is recorded, and what AWS's edge
 * configuration adds. URL, user and password are secrets: never logged and never answered; what is
 * shown of a URL ends before its query.
 */
#ifndef INGEST_SRC_CAMERA_SETTINGS_H
#define INGEST_SRC_CAMERA_SETTINGS_H

#include "schedule.h"

enum {
    INGEST_CAMERA_URL_BYTES_MAX = 2048,
    INGEST_CAMERA_USER_BYTES_MAX = 256,
    INGEST_CAMERA_SECRET_BYTES_MAX = 256, /* a secret's name */
    INGEST_CAMERA_HUB_BYTES_MAX = 1024,
    INGEST_CAMERA_SECRET_ARN_BYTES_MAX = 2048,
};

enum ingest_camera_transport {
    INGEST_CAMERA_AUTO,
    INGEST_CAMERA_UDP,
    INGEST_CAMERA_TCP,
    INGEST_CAMERA_HTTP
};
const char *ingest_camera_transport_name(enum ingest_camera_transport transport);

enum ingest_camera_tls { /* of rtsps:// */
    INGEST_CAMERA_TLS_INSECURE,
    INGEST_CAMERA_TLS_VERIFY
};

/* A secret is one of these under a name of its own, and a camera without a secret has one. */
struct ingest_camera_source {
    char url[INGEST_CAMERA_URL_BYTES_MAX + 1]; /* without credentials */
    char user[INGEST_CAMERA_USER_BYTES_MAX + 1], password[INGEST_CAMERA_USER_BYTES_MAX + 1];
    enum ingest_camera_transport transport;
    enum ingest_camera_tls tls;
};

/* A schedule as it was given; expression empty: none. */
struct ingest_camera_times {
    char expression[INGEST_SCHEDULE_BYTES_MAX + 1];
    uint32_t duration_s;
};

enum ingest_camera_edge_flag {
    INGEST_CAMERA_EDGE_DELETION = 1, /* members that were given, though perhaps with nothing in */
    INGEST_CAMERA_EDGE_LOCAL_SIZE = 2,
    INGEST_CAMERA_EDGE_DELETE_OLDEST = 4,
    INGEST_CAMERA_EDGE_DELETE_AFTER_UPLOAD = 8,
    INGEST_CAMERA_EDGE_KEEP_AFTER_UPLOAD = 16,
    INGEST_CAMERA_EDGE_DENY_NEW = 32,
};

/* What only StartEdgeConfigurationUpdate says, kept as it was said. hub empty: nothing was. */
struct ingest_camera_edge {
    char hub[INGEST_CAMERA_HUB_BYTES_MAX + 1];
    char secret_arn[INGEST_CAMERA_SECRET_ARN_BYTES_MAX + 1]; /* empty: the source is its own */
    struct ingest_camera_times uploader;
    uint32_t retention_hours, size_mb; /* 0: not given */
    uint8_t flags;                     /* of enum ingest_camera_edge_flag */
};

struct ingest_camera_settings {
    struct ingest_camera_source source; /* also of one with a secret: what that says */
    struct ingest_camera_times times;
    struct ingest_camera_edge edge;
    int64_t created_ms, updated_ms;
};

/* Takes a URL apart: rtsp:// or rtsps://, with or without user:password@; or file:// and a whole
 * path, which has to lie below files (NULL: there are none). -EINVAL: err says why. */
int ingest_camera_url(struct kn_str url, const char *files, struct ingest_camera_source *dst,
                      struct kn_err *err) KN_MUSTUSE;
bool ingest_camera_is_file(const struct ingest_camera_source *source);
/* The URL as it may be shown. */
struct kn_str ingest_camera_url_shown(const struct ingest_camera_source *source);

/* What stands last in a secret's ARN: its name. Empty for an empty ARN. */
struct kn_str ingest_camera_secret_name(struct kn_str arn);

/* Checks a schedule that is to be kept, at now_s: -EINVAL, err says why, also when it is over. */
int ingest_camera_times_set(struct ingest_camera_times *times, struct kn_str expression,
                            uint32_t duration_s, int64_t now_s, struct kn_err *err) KN_MUSTUSE;

#endif
