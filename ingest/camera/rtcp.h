/* SPDX-License-Identifier: Apache-2.0 */
/* What cameras say in RTCP that we look at (RFC 3550, 6). Pure. */
#ifndef INGEST_CAMERA_RTCP_H
#define INGEST_CAMERA_RTCP_H

#include "core/bytes.h"

enum {
    CAMERA_RTCP_SENDER_REPORT = 200,
    CAMERA_RTCP_BYE = 203,
};

struct camera_sender_report {
    uint32_t time;  /* of its packets, in units of the stream's hz … */
    int64_t own_ms; /* … and the same by its own clock */
    uint32_t ntp;   /* the middle of that, which receivers repeat */
};

/* The first packet of several, each with its length in words (6.1), and what follows it; false:
 * there is none, or it is none. */
bool camera_rtcp_next(struct kn_bytes *packets, struct kn_bytes *ret);
/* false: it is no sender report, or says no time (6.4.1). */
bool camera_rtcp_sender_report(struct kn_bytes packet, struct camera_sender_report *ret);

#endif
