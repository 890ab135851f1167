/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/crypto.h"

static const char data_name[] = "kinema-peer";

struct camera_peer *camera_peer_new(const char *address, int fd)
{
    struct camera_peer *peer = g_atomic_rc_box_new0(struct camera_peer);
    uint8_t nonce[CAMERA_PEER_NONCE_BYTES];
    kn_random(nonce, sizeof nonce);
    kn_hex_encode((struct kn_bytes){nonce, sizeof nonce}, peer->nonce);
    peer->address = g_strdup(address);
    peer->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    peer->heard_us = g_get_monotonic_time();
    peer->mounts = gst_rtsp_mount_points_new();
    return peer;
}

struct camera_peer *camera_peer_ref(struct camera_peer *peer)
{
    return g_atomic_rc_box_acquire(peer);
}

static void peer_free(gpointer box)
{
    struct camera_peer *peer = box;
    if (peer->fd >= 0)
        close(peer->fd);
    g_object_unref(peer->mounts);
    g_free(peer->stream);
    g_free(peer->address);
}

void camera_peer_unref(struct camera_peer *peer)
{
    g_atomic_rc_box_release_full(peer, peer_free);
}

void camera_peer_hang_up(struct camera_peer *peer)
{
    (void) shutdown(peer->fd, SHUT_RDWR);
}

static void unref_peer(gpointer peer)
{
    camera_peer_unref(peer);
}

void camera_peer_attach(struct camera_peer *peer, GstRTSPClient *client)
{
    g_object_set_data_full(G_OBJECT(client), data_name, peer, unref_peer);
}

struct camera_peer *camera_peer_of(GstRTSPClient *client)
{
    return g_object_get_data(G_OBJECT(client), data_name);
}
