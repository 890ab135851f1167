/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MIKEY messages (RFC 3830) as RTSP carries them for SRTP (RFC 4567): a key in clear, which the
 * connection is to protect. Pure.
 */
#ifndef INGEST_CAMERA_MIKEY_H
#define INGEST_CAMERA_MIKEY_H

#include "srtp_key.h"

enum {
    CAMERA_MIKEY_BYTES_MAX = 4096,
};

/* What follows "a=key-mgmt:". -EBADMSG: it cannot be read; -ENOTSUP: it is of a kind that we do not
 * know, such as one whose keys are derived or encrypted. */
int camera_mikey_read(struct kn_str key_mgmt, struct camera_srtp_key *ret) KN_MUSTUSE;
/* Appends the value of a KeyMgmt header (RFC 4567, 4.3) that tells the key under which ssrc seals
 * what it sends; what fails is out->error. uri: of the SETUP. now_ms: wall time. */
void camera_mikey_write(const struct camera_srtp_key *key, uint32_t ssrc, const char *uri,
                        int64_t now_ms, struct kn_buf *out);

#endif
