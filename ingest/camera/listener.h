/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinema-camera listen: the RTSP listener, in a process of its own (docs/rtsp.md). Descriptor 3 is
 * the listening socket, and 4 that of RTSPS, which the server has bound and keeps, so that who
 * connects while the process is started anew waits a moment and is served. Standard input is a
 * socket of whole packets: the server writes one with settings and certificate, and reads what
 * happens (say.h). When it closes, the process ends.
 */
#ifndef INGEST_CAMERA_LISTENER_H
#define INGEST_CAMERA_LISTENER_H

#include "peer.h"

struct camera_listener_settings {
    bool open;       /* nobody is asked for a key */
    bool plain, tls; /* the descriptors there are */
    unsigned connections_max, per_peer_max, idle_ms, latency_ms;
};

/* What pushes and viewers share. */
struct camera_listener {
    const char *socket_path; /* kinema.sock */
    struct camera_listener_settings settings;
    GstRTSPServer *server;
    GTlsCertificate *certificate; /* of RTSPS; NULL: it is not served */
    struct camera_peer *coming;   /* whose client is being made; main thread */
    gint64 turned_away_us;        /* when that was last said */
    GMutex lock;                  /* what follows */
    GHashTable *addresses;        /* text → connections */
    unsigned connections;
    GPtrArray *pushes; /* struct camera_push */
    unsigned viewers;
};

/* The exit code. */
int camera_listen(const char *socket_path);

#endif
