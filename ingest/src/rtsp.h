/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process behind the RTSP listener (ingest/camera/listener.h): started, watched, started again
 * when it ends, and what it tells brought to the log and the metrics. The listening socket stays
 * here. docs/rtsp.md.
 */
#ifndef INGEST_SRC_RTSP_H
#define INGEST_SRC_RTSP_H

#include "ingest/ingest.h"

struct ingest_rtsp;
int ingest_rtsp_new(const struct ingest_conf *conf, const struct ingest_rtsp_conf *rtsp,
                    struct kn_clock *clock, struct ingest_rtsp **ret) KN_MUSTUSE;
/* What it tells the process, and the next one, from now on; copied. NULL is fine. */
int ingest_rtsp_take(struct ingest_rtsp *rtsp, struct kn_str pem) KN_MUSTUSE;
void ingest_rtsp_free(
    struct ingest_rtsp *rtsp); /* its uploads end in order; blocks; NULL is fine */

#endif
