/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of an RTSP URL. What is answered is the caller's to g_free. */
#ifndef INGEST_CAMERA_URL_H
#define INGEST_CAMERA_URL_H

#include "core/bytes.h"

/* RFC 2326, C.1.1: a control is a URL, or one relative to the base; "*" is the base itself. */
char *camera_url_control(const char *base, struct kn_str control);
char *camera_url_authority(const char *url); /* HOST or HOST:PORT */
char *camera_url_host(const char *authority);

#endif
