/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes in words. */
#ifndef CORE_SRC_HTTP_STATUS_H
#define CORE_SRC_HTTP_STATUS_H

#include "core/base.h"

const char *kn_http_status_text(int status); /* never NULL */
/* 1xx, 204 and 304 have no body and no length (RFC 9110 6.4.1). */
static inline bool kn_http_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

#endif
