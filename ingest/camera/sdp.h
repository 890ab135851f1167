/* SPDX-License-Identifier: Apache-2.0 */
/* What a camera offers: session descriptions as RTSP servers send them (RFC 8866; RFC 2326,
 * appendix C). Pure; views point into the text. */
#ifndef INGEST_CAMERA_SDP_H
#define INGEST_CAMERA_SDP_H

#include "core/buf.h"

enum {
    CAMERA_MEDIA_MAX = 16, /* that are looked at; more are passed over */
    CAMERA_CRYPTO_MAX = 4, /* likewise */
};

struct camera_media {
    struct kn_str media, encoding; /* "video", "H264" */
    struct kn_str fmtp, control;
    unsigned payload_type, hz, channels;               /* channels: 0, not said */
    struct kn_str profile;                             /* "RTP/AVP" */
    bool secure;                                       /* RTP/SAVP and the like */
    struct kn_str key_mgmt, crypto[CAMERA_CRYPTO_MAX]; /* values of a=key-mgmt and a=crypto */
    unsigned crypto_count;
};

struct camera_sdp {
    struct kn_str control; /* of the session */
    unsigned count;
    struct camera_media media[CAMERA_MEDIA_MAX];
};

void camera_sdp_read(struct kn_str text, struct camera_sdp *ret);
/* Appends what a text of base64 says, with its padding or without, as cameras write both. -EINVAL:
 * it is none. */
int camera_base64(struct kn_str text, struct kn_buf *dst) KN_MUSTUSE;
/* A parameter of a=fmtp; an empty view if there is none. */
struct kn_str camera_fmtp(struct kn_str fmtp, struct kn_str name);

#endif
