/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request without sockets, for tests of handlers. A test links fake_http.c before core, so
 * these symbols win over the engine's. Jobs run when the test says so; nothing runs by itself.
 */
#ifndef TESTS_UNIT_FAKE_HTTP_H
#define TESTS_UNIT_FAKE_HTTP_H

#include "core/buf.h"
#include "core/http.h"

enum {
    FAKE_HTTP_HEADERS_MAX = 24,
    FAKE_HTTP_OWNERS_MAX = 4
};

struct kn_http_req {
    struct kn_str method, path, query;
    struct kn_http_header headers[FAKE_HTTP_HEADERS_MAX];
    size_t header_count;
    struct kn_bytes body;
    bool is_tls, is_h2, is_remote, pool_full;

    const struct kn_http_ops *owners[FAKE_HTTP_OWNERS_MAX];
    void *ctxs[FAKE_HTTP_OWNERS_MAX];
    unsigned owner_count;
    bool collecting, close_after, answered, body_complete;
    uint32_t woken; /* bits of kn_http_wake, until fake_http_run_wake */
    void (*job)(void *arg);
    void *job_arg;
    enum kn_http_lane job_lane;
    struct kn_arena arena;
    bool arena_used;

    int status;                           /* of the answer */
    struct kn_buf answer, answer_headers; /* headers as "name: value\n" */
};

void fake_http_init(struct kn_http_req *req, const char *method, const char *path);
void fake_http_done(struct kn_http_req *req);
void fake_http_header(struct kn_http_req *req, const char *name, struct kn_str value);
/* head(), and end() when the body is collected. */
void fake_http_start(struct kn_http_req *req, const struct kn_http_ops *ops, void *ctx);
bool fake_http_run_job(struct kn_http_req *req);  /* false: there is none */
bool fake_http_run_wake(struct kn_http_req *req); /* false: nobody has woken it */
void fake_http_gone(struct kn_http_req *req, enum kn_http_why why);
bool fake_http_answer_has(const struct kn_http_req *req, const char *header);

#endif
