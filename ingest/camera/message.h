/* SPDX-License-Identifier: Apache-2.0 */
/* RTSP messages (RFC 2326, 4), and what answers a challenge (RFC 7617, 7616). Pure; views point
 * into what was read. */
#ifndef INGEST_CAMERA_MESSAGE_H
#define INGEST_CAMERA_MESSAGE_H

#include "core/buf.h"

enum {
    RTSP_HEAD_BYTES_MAX = 16 << 10,
    RTSP_BODY_BYTES_MAX = 64 << 10,
    RTSP_AUTH_TEXT_BYTES = 256, /* of a realm, nonce and opaque */
};

struct rtsp_message {
    unsigned status;           /* of a response; 0: a request */
    struct kn_str start, head; /* the first line; the header lines */
    struct kn_bytes body;
};

/* -ENODATA: it is not all there; -EBADMSG: it is no RTSP; -EMSGSIZE: a ceiling would be passed. */
int rtsp_message_read(struct kn_bytes in, size_t *ret_taken, struct rtsp_message *ret) KN_MUSTUSE;
/* The next header of that name in *head, which is cut; an empty view: none. */
struct kn_str rtsp_header_next(struct kn_str *head, struct kn_str name);
struct kn_str rtsp_header(const struct rtsp_message *message, struct kn_str name);
/* "interleaved" of "RTP/AVP/TCP;unicast;interleaved=0-1" */
struct kn_str rtsp_parameter(struct kn_str value, char separator, struct kn_str name);

struct rtsp_auth {
    enum {
        RTSP_AUTH_NONE,
        RTSP_AUTH_BASIC,
        RTSP_AUTH_MD5,
        RTSP_AUTH_SHA256
    } scheme;
    bool qop;
    unsigned count; /* answers with this nonce */
    char realm[RTSP_AUTH_TEXT_BYTES], nonce[RTSP_AUTH_TEXT_BYTES], opaque[RTSP_AUTH_TEXT_BYTES];
};

/* The strongest challenge of a 401 that we can answer. */
void rtsp_auth_read(const struct rtsp_message *message, struct rtsp_auth *ret);
/* Appends an Authorization header, if there is a challenge. */
void rtsp_auth_write(struct rtsp_auth *auth, const char *user, const char *password,
                     const char *method, const char *uri, struct kn_buf *out);

#endif
