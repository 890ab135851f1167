/* SPDX-License-Identifier: Apache-2.0 */
/* What consumers ask with: one signed POST at a time, over connections that are kept. libcurl
 * signs (CURLOPT_AWS_SIGV4). */
#ifndef SDK_POST_H
#define SDK_POST_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

#include "kinema/credentials.h"

enum {
    POST_URL_BYTES_MAX = 1024,
    POST_ERROR_BYTES_MAX = 512
};

/* Takes bytes of an answer of 200: 1; 0: not now, post_go_on() brings them again. */
typedef int post_data_fn(void *ctx, const char *ptr, size_t len);

struct post_request {
    const char *service; /* that is signed for */
    const char *base;    /* scheme://host:port */
    const char *path;    /* from "/" */
    const char *target;  /* X-Amz-Target; NULL: none */
    const char *content_type;
    const void *body;
    size_t body_len;
    unsigned timeout_ms;   /* of the whole call; 0: none */
    post_data_fn *on_data; /* NULL: the answer is gathered */
    void *ctx;
};

struct post {
    const char *region, *ca_file; /* borrowed; ca_file NULL: the system's */
    struct kinema_credential_provider *credentials;
    size_t answer_max;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    int running, paused;
    post_data_fn *on_data;
    void *ctx;
    char *answer; /* with a NUL behind it; of all but 200 also where on_data is given */
    size_t answer_len, answer_cap;
    long status;    /* of HTTP; 0: it did not come through */
    char fault[64]; /* x-amzn-ErrorType, without what follows its name */
    char error[CURL_ERROR_SIZE];
};

/* -ENOMEM. */
int post_init(struct post *post, const char *region, const char *ca_file,
              struct kinema_credential_provider *credentials, size_t answer_max);
void post_done(struct post *post);
/* Begins; what runs is given up. -EACCES: there is no key now; -EMSGSIZE, -ENOMEM. */
int post_start(struct post *post, const struct post_request *request);
/* Waits at most wait_ms for something to do and does it. 1: it is over, status and error say how;
 * 0: it goes on. */
int post_step(struct post *post, unsigned wait_ms);
void post_go_on(struct post *post); /* after on_data said 0 */
void post_stop(struct post *post);
/* Start and all steps: 0, and post->status; or what post_start says. */
int post_run(struct post *post, const struct post_request *request);

int64_t post_clock_ms(void); /* monotonic */
/* Whether a text may stand in a URL's path, a header or JSON as it is: [a-zA-Z0-9_.-]+ */
int post_is_name(const char *text, size_t max);
/* "https://<service>.<region>.amazonaws.com"; -EMSGSIZE. */
int post_aws_url(char dst[POST_URL_BYTES_MAX], const char *service, const char *region);

#endif
