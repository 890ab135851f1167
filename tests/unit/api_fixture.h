/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API engine over a module of the tests' own (tests/unit/api_demo), six keys and one request
 * without sockets. open_engine, make_request, perhaps sign_as, run; then look at req.
 */
#ifndef TESTS_UNIT_API_FIXTURE_H
#define TESTS_UNIT_API_FIXTURE_H

#include "fake_http.h"
#include "test.h"

#include "core/api.h"
#include "core/clock.h"

struct demo {
    int taken, gone;
    char seen_name[64];
};
extern struct demo demo;
extern const struct kn_api_service demo_api_service;
extern struct kn_api *api;
extern struct kn_http_req req;
extern int key_refs;                    /* keys handed out and not given back */
extern struct kn_fake_clock fake_clock; /* stands at 20150830T123600Z */

/* with_keys: ADMIN/s1, CAMERA/s2 (kinesisvideo:e* on cam-*), TEMP/s3 (a session token, "token"),
 * OLD/s4 (expired), SLOW/s5 (must be looked up on a worker), DATA/s6 (kinesis:* on ord-*).
 * Without: --no-auth. */
void open_engine(bool with_keys);
void make_request(const char *path, const char *body);
void sign_as(const char *id, const char *secret); /* what is there so far */
void sign_as_service(const char *id, const char *secret, const char *service);
void run(void);                                /* to the end, jobs included */
void finish(void);                             /* gone(); every key was given back */
void call(const char *path, const char *body); /* all at once, without authentication */
int api_fixture_done(void **state);            /* the group's teardown */

void assert_error(int status, const char *name);
#define assert_answer(wanted_status, wanted_body)                                                  \
    do {                                                                                           \
        assert_int_equal(req.status, (wanted_status));                                             \
        assert_str_is(kn_buf_str(&req.answer), (wanted_body));                                     \
    } while (0)

#endif
