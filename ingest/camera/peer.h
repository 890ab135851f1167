/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the RTSP listener: who it is, and what it was let in for. Counted, since a
 * session of UDP may outlive it. */
#ifndef INGEST_CAMERA_PEER_H
#define INGEST_CAMERA_PEER_H

#include <gst/rtsp-server/rtsp-server.h>

#include "core/keyring.h"

enum {
    CAMERA_PEER_NONCE_BYTES = 16
};

struct camera_peer {
    char *address;
    bool tls;
    int fd;                                      /* one more descriptor of the connection */
    char nonce[2 * CAMERA_PEER_NONCE_BYTES + 1]; /* of Digest */
    gint64 heard_us; /* monotonic, of the last request; atomic. INT64_MAX: one is being obeyed */
    /* The thread of the connection: */
    char *stream;       /* NULL: it was not let in yet */
    const char *action; /* "kinesisvideo:PutMedia", of that stream */
    char key[KN_KEY_ID_BYTES_MAX + 1];
    GstRTSPMountPoints *mounts; /* holds that stream only */
    bool refused;               /* once was said */
};

struct camera_peer *camera_peer_new(const char *address, int fd); /* duplicates fd */
struct camera_peer *camera_peer_ref(struct camera_peer *peer);
void camera_peer_unref(struct camera_peer *peer);
/* The connection ends soon, by itself, as if the peer had closed it. Any thread. */
void camera_peer_hang_up(struct camera_peer *peer);
void camera_peer_attach(struct camera_peer *peer, GstRTSPClient *client); /* takes the reference */
struct camera_peer *camera_peer_of(GstRTSPClient *client);                /* borrowed */

#endif
