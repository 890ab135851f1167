/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encryption of one stream's packets (SRTP and SRTCP, RFC 3711 and 7714), by libsrtp. One
 * thread at a time.
 */
#ifndef INGEST_CAMERA_SRTP_H
#define INGEST_CAMERA_SRTP_H

#include "srtp_key.h"

struct camera_srtp;
/* theirs opens what comes, ours seals what is sent under ssrc. NULL: libsrtp refuses them. The keys
 * are copied. */
struct camera_srtp *camera_srtp_new(const struct camera_srtp_key *theirs,
                                    const struct camera_srtp_key *ours, uint32_t ssrc);
void camera_srtp_free(struct camera_srtp *srtp);
/* A packet of RTP or RTCP as it was before; ret is valid until the next call. -EBADMSG: it is not
 * by who has the key, came before, or is none. */
int camera_srtp_open(struct camera_srtp *srtp, bool rtcp, struct kn_bytes packet,
                     struct kn_bytes *ret) KN_MUSTUSE;
/* A packet of RTCP as it is sent; ret likewise. */
int camera_srtp_seal(struct camera_srtp *srtp, struct kn_bytes packet, struct kn_bytes *ret)
    KN_MUSTUSE;
/* Packets have come, and not one was by who has the key. */
bool camera_srtp_is_strange(const struct camera_srtp *srtp);

#endif
