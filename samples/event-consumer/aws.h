/* SPDX-License-Identifier: Apache-2.0 */
/* Signed calls: a POST of bytes by libcurl, which signs it (CURLOPT_AWS_SIGV4). One connection is
 * kept; one thread. */
#ifndef EVENT_CONSUMER_AWS_H
#define EVENT_CONSUMER_AWS_H

#include <curl/curl.h>
#include <stddef.h>

struct aws {
    CURL *curl;
    const char *region, *key_id, *secret, *token; /* token: NULL, none */
    const char *ca_file;                          /* NULL: the system's */
};

struct aws_answer {
    char *ptr; /* free it */
    size_t len, cap;
    long status; /* of HTTP; 0: it did not come through */
    char error[CURL_ERROR_SIZE];
};

/* service: what is signed for, "kinesis" or "kinesisvideo". target: X-Amz-Target, or NULL. Returns
 * whether the status is 2xx. Blocks. */
int aws_post(struct aws *aws, const char *service, const char *url, const char *target,
             const char *content_type, const char *body, struct aws_answer *ret);

#endif
