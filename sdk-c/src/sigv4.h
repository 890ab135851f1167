/* SPDX-License-Identifier: Apache-2.0 */
/* Signature Version 4 of one request. @source AWS General Reference, "Signature Version 4". */
#ifndef SDK_SIGV4_H
#define SDK_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "kinema/credentials.h"

enum {
    SIGV4_HEADERS_MAX = 16,
    SIGV4_AUTHORIZATION_BYTES_MAX = 1024,
    SIGV4_DATE_BYTES = 17 /* 20260101T000000Z and NUL */
};

struct sigv4_header {
    const char *name, *value; /* the name in lower case */
};
struct sigv4_request {
    const char *path; /* as it is sent, from "/" */
    const char *region;
    char date[SIGV4_DATE_BYTES];
    struct sigv4_header headers[SIGV4_HEADERS_MAX]; /* sorted by name; all are signed */
    size_t header_count;
    const void *body; /* its digest is signed; PutMedia signs an empty one */
    size_t body_len;
};

void sigv4_date(int64_t time_s, char dst[SIGV4_DATE_BYTES]);
/* The value of Authorization. -ENOMEM: OpenSSL refuses; -EMSGSIZE. */
int sigv4_sign(const struct sigv4_request *request, const struct kinema_credentials *key,
               char dst[SIGV4_AUTHORIZATION_BYTES_MAX]);

#endif
