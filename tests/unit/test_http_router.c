/* SPDX-License-Identifier: Apache-2.0 */
/* The router over a backend that only notes what was answered. */
#include "http_req.h"
#include "test.h"

#include <errno.h>

static int answered;
static char allow[64];
static const char *reached;

static void note_reply(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                       size_t header_count, struct kn_bytes body)
{
    (void) req;
    (void) body;
    answered = status;
    allow[0] = 0;
    if (header_count > 0)
        assert_ok(kn_str_copy(allow, sizeof(allow), headers[0].value));
}

static void ignore_touch(struct kn_http_req *req)
{
    (void) req;
}

static const struct kn_http_backend backend = {.reply = note_reply, .touch = ignore_touch};

static int note_head(struct kn_http_req *req, void **ctx)
{
    (void) req;
    reached = *ctx;
    return 0;
}

static const struct kn_http_ops note_ops = {.head = note_head};

static void ask(struct kn_http_router *router, const char *method, const char *path)
{
    struct kn_http_req req;
    kn_http_req_init(&req, &backend, &kn_http_router_ops, router);
    req.method = kn_str_from(method);
    req.path = kn_str_from(path);
    answered = 0;
    reached = "";
    assert_ok(kn_http_req_head(&req));
}

static void add(struct kn_http_router *router, const char *method, const char *path)
{
    static char names[8][32];
    static size_t count;
    char *name = names[count++ % 8];
    (void) snprintf(name, 32, "%s %s", method, path);
    assert_ok(kn_http_router_add(router, method, path, &note_ops, name));
}

TEST(exact_routes_go_before_prefixes_and_long_prefixes_before_short_ones)
{
    struct kn_http_router *router;
    assert_ok(kn_http_router_new(&router));
    add(router, "GET", "/*");
    add(router, "GET", "/hls/*");
    add(router, "GET", "/hls/v1/*");
    add(router, "GET", "/hls/v1/exact");

    ask(router, "GET", "/hls/v1/exact");
    assert_string_equal(reached, "GET /hls/v1/exact");
    ask(router, "GET", "/hls/v1/exactly");
    assert_string_equal(reached, "GET /hls/v1/*");
    ask(router, "HEAD", "/hls/v2");
    assert_string_equal(reached, "GET /hls/*");
    ask(router, "GET", "/");
    assert_string_equal(reached, "GET /*");
    kn_http_router_free(router);
}

TEST(another_method_is_405_with_allow_and_another_path_404_or_the_fallback)
{
    struct kn_http_router *router;
    char fallback[] = "fallback";
    assert_ok(kn_http_router_new(&router));
    add(router, "POST", "/a");
    add(router, "PUT", "/a");

    ask(router, "GET", "/a");
    assert_int_equal(answered, 405);
    assert_true(strstr(allow, "POST") && strstr(allow, "PUT"));
    ask(router, "POST", "/A");
    assert_int_equal(answered, 404);
    kn_http_router_fallback(router, &note_ops, fallback);
    ask(router, "POST", "/A");
    assert_string_equal(reached, "fallback");
    ask(router, "GET", "/a");
    assert_int_equal(answered, 405);
    kn_http_router_free(router);
}

TEST(nonsense_routes_are_refused)
{
    struct kn_http_router *router;
    assert_ok(kn_http_router_new(&router));
    assert_int_equal(kn_http_router_add(router, "GET", "a", &note_ops, NULL), -EINVAL);
    assert_int_equal(kn_http_router_add(router, "", "/a", &note_ops, NULL), -EINVAL);
    assert_int_equal(kn_http_router_add(router, "GET", "", &note_ops, NULL), -EINVAL);
    kn_http_router_free(router);
}

TESTS_MAIN(TEST_OF(exact_routes_go_before_prefixes_and_long_prefixes_before_short_ones),
           TEST_OF(another_method_is_405_with_allow_and_another_path_404_or_the_fallback),
           TEST_OF(nonsense_routes_are_refused))
