/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request without a network, for tests of handlers: it stands in for core/http's engine and for
 * the answering half of core/api. A test links this file before the core module, so these symbols
 * win. Everything runs on the test's thread; an offloaded job runs when the test says so.
 *
 *   struct fake_call fake;                     fake_call_init(&fake);
 *   fake_call_header(&fake, "host", "h");      what the handler will read
 *   playback_op_GetMedia(p, &in, &out, &fake.call);
 *   fake_call_start(&fake);                    hands over to the ops given to kn_api_take
 *   fake_call_run(&fake, 4096);                pulls until the answer waits or ends
 */
#ifndef TESTS_UNIT_FAKE_CALL_H
#define TESTS_UNIT_FAKE_CALL_H

#include "core/api.h"
#include "core/buf.h"

enum {
    FAKE_CALL_HEADERS_MAX = 16
};

struct kn_http_req {
    const struct kn_http_ops *ops; /* NULL: nobody has it */
    void *ctx;
    struct kn_arena arena;
    struct kn_http_header headers[FAKE_CALL_HEADERS_MAX];
    size_t header_count;
    struct kn_str method, path, query;
    struct kn_bytes request_body;

    int status; /* 0: not answered */
    struct kn_http_header answer_headers[FAKE_CALL_HEADERS_MAX];
    size_t answer_header_count;
    bool streaming;
    uint64_t length;
    struct kn_buf body; /* all that was answered */

    int64_t deadline_ms; /* < 0: none */
    struct kn_gate *gate;
    uint64_t seen;
    void (*job)(void *arg);
    void *job_arg;
    enum kn_http_lane job_lane;
    bool pool_full; /* kn_http_offload answers -EAGAIN */
    size_t pulls, jobs;
};

struct kn_api_call_state {
    char fault[64], message[512]; /* of kn_api_fault; empty: none */
    const struct kn_http_ops *taken;
    void *taken_ctx;
};

struct fake_call {
    struct kn_http_req req;
    struct kn_api_call_state state;
    struct kn_api_call call;
};

void fake_call_init(struct fake_call *fake, struct kn_clock *clock);
void fake_call_done(struct fake_call *fake); /* calls gone() when somebody has the request */
void fake_call_header(struct fake_call *fake, const char *lowercase, const char *value);
void fake_call_start(struct fake_call *fake);

/* Pulls with this much room until KN_HTTP_WAIT, _EOF or _FAIL, which it returns. Jobs are run and
 * reported as they are asked for. */
ssize_t fake_call_run(struct fake_call *fake, size_t cap);
ssize_t fake_call_pull(struct fake_call *fake, size_t cap); /* once; runs no job */
bool fake_call_has_job(const struct fake_call *fake);
void fake_call_job(struct fake_call *fake); /* runs it and wakes */
/* True when the gate waited for has moved: wakes the request. */
bool fake_call_gate(struct fake_call *fake);
void fake_call_wake(struct fake_call *fake, uint32_t bits);

#endif
