/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to cameras: one that sends faster than it can be read has turns, as others have. */
#include "link.h"
#include "test.h"

#include <arpa/inet.h>
#include <glib.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TURNS = 12,
    FLOOD_BYTES = TURNS * CAMERA_LINK_TURN_BYTES,
};

struct camera {
    int listener, fd;
    char authority[32];
    struct camera_link *link;
    bool open, close_at_once;
    unsigned calls, lost;
    size_t seen, leave, kept; /* leave: so many bytes as if they were not whole */
    enum camera_fault fault;
};

static void on_open(void *ctx)
{
    struct camera *camera = ctx;
    camera->open = true;
}

static size_t on_bytes(void *ctx, struct kn_bytes bytes)
{
    struct camera *camera = ctx;
    size_t taken = bytes.len - kn_min_u64(camera->leave, bytes.len);
    camera->calls++;
    camera->seen += bytes.len - camera->kept;
    camera->kept = bytes.len - taken;
    if (camera->close_at_once)
        camera_link_close(camera->link);
    return taken;
}

static void on_lost(void *ctx, enum camera_fault fault, const char *said)
{
    struct camera *camera = ctx;
    assert_true(strlen(said) > 0);
    camera->lost++;
    camera->fault = fault;
}

static void turn(void)
{
    (void) g_main_context_iteration(NULL, TRUE);
}

static void start(struct camera *camera)
{
    static const struct camera_link_ops ops = {on_open, on_bytes, on_lost};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    *camera = (struct camera){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_ok(bind(camera->listener, (struct sockaddr *) &at, len));
    assert_ok(listen(camera->listener, 1));
    assert_ok(getsockname(camera->listener, (struct sockaddr *) &at, &len));
    (void) snprintf(camera->authority, sizeof camera->authority, "127.0.0.1:%u",
                    ntohs(at.sin_port));
    camera->link = camera_link_open(camera->authority, 1, false, &ops, camera);
    while (!camera->open) /* the kernel answers before anybody accepts */
        turn();
    camera->fd = accept(camera->listener, NULL, NULL);
    assert_true(camera->fd >= 0);
}

static void stop(struct camera *camera)
{
    camera_link_free(camera->link);
    (void) close(camera->fd);
    (void) close(camera->listener);
}

static void *flood(void *arg)
{
    const struct camera *camera = arg;
    static uint8_t bytes[CAMERA_LINK_TURN_BYTES];
    for (unsigned i = 0; i < TURNS; i++) {
        for (size_t at = 0; at < sizeof bytes;) {
            ssize_t n = send(camera->fd, bytes + at, sizeof bytes - at, MSG_NOSIGNAL);
            if (n <= 0)
                return NULL;
            at += (size_t) n;
        }
    }
    return NULL;
}

TEST(a_camera_that_floods_us_has_one_turn_before_others_have_theirs)
{
    struct camera loud, quiet;
    pthread_t thread;
    start(&loud);
    start(&quiet);
    loud.leave = 5000;
    assert_ok(pthread_create(&thread, NULL, flood, &loud));
    assert_int_equal(send(quiet.fd, "x", 1, 0), 1);
    while (loud.seen < FLOOD_BYTES || quiet.seen == 0) {
        size_t seen = loud.seen;
        unsigned calls = loud.calls;
        turn();
        assert_true(loud.seen - seen <= CAMERA_LINK_TURN_BYTES && loud.calls - calls <= 1);
    }
    assert_ok(pthread_join(thread, NULL));
    assert_true(loud.calls >= TURNS && loud.seen == FLOOD_BYTES && quiet.calls == 1);
    stop(&quiet);
    stop(&loud);
}

TEST(what_is_never_whole_ends_the_connection)
{
    struct camera camera;
    pthread_t thread;
    start(&camera);
    camera.leave = SIZE_MAX;
    assert_ok(pthread_create(&thread, NULL, flood, &camera));
    while (!camera.lost)
        turn();
    assert_ok(pthread_join(thread, NULL));
    assert_true(camera.lost == 1 && camera.fault == CAMERA_BROKEN);
    stop(&camera);
}

TEST(what_is_written_arrives_and_an_end_is_told_once)
{
    struct camera camera;
    char got[8] = "";
    start(&camera);
    assert_ok(kn_buf_append(camera_link_out(camera.link), "hello", 5));
    camera_link_flush(camera.link);
    assert_int_equal(recv(camera.fd, got, 5, MSG_WAITALL), 5);
    assert_string_equal(got, "hello");
    (void) shutdown(camera.fd, SHUT_WR);
    while (!camera.lost)
        turn();
    camera_link_flush(camera.link);
    assert_true(camera.lost == 1 && camera.fault == CAMERA_UNREACHABLE);
    stop(&camera);
}

TEST(it_may_be_closed_while_its_bytes_are_looked_at)
{
    struct camera camera;
    char got;
    start(&camera);
    camera.close_at_once = true;
    assert_int_equal(send(camera.fd, "x", 1, 0), 1);
    while (!camera.calls)
        turn();
    assert_int_equal(recv(camera.fd, &got, 1, 0), 0);
    assert_int_equal(camera.lost, 0);
    stop(&camera);
}

TESTS_MAIN(TEST_OF(a_camera_that_floods_us_has_one_turn_before_others_have_theirs),
           TEST_OF(what_is_never_whole_ends_the_connection),
           TEST_OF(what_is_written_arrives_and_an_end_is_told_once),
           TEST_OF(it_may_be_closed_while_its_bytes_are_looked_at))
