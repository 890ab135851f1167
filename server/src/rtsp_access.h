/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process behind the RTSP listener asks by kinema.sock before it lets anybody in: may this
 * key do that to this stream, and how is it known that a peer has the key's secret? The secret
 * itself is not told: what is answered is HA1 of HTTP Digest (RFC 7616, 3.4.2), which also shows
 * whether a password of Basic is right. docs/rtsp.md.
 */
#ifndef SERVER_RTSP_ACCESS_H
#define SERVER_RTSP_ACCESS_H

#include "core/clock.h"
#include "core/http.h"
#include "core/keyring.h"
#include "storage/stream.h"

/* POST; on the local listener only. */
#define SERVER_RTSP_ACCESS_PATH "/kinema/v1/local/rtspAccess"

struct server_rtsp_access {
    struct storage *storage;
    struct kn_keyring *keyring; /* NULL: --no-auth */
    struct kn_clock *clock;
};

/* {"KeyId", "Realm", "Action", "StreamName"} → {"Exists", "Allowed", "Ha1"}: Ha1 is absent when
 * there is no such key. ctx: struct server_rtsp_access * */
extern const struct kn_http_ops server_rtsp_access_ops;

#endif
