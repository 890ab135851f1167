/* SPDX-License-Identifier: Apache-2.0 */
/* An upload to a server that reads late: nothing that was taken is lost, also after the close. */
#include "test.h"
#include "upload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FRAME_BYTES = 10000,
    PATIENCE_S = 60,
};

struct rig {
    char dir[32], path[64];
    int listener, peer;
    struct camera_upload upload;
    uint64_t sent;       /* frames */
    struct kn_buf heard; /* by the server */
};

static void setup(struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *rig = (struct rig){.dir = "/tmp/kinema-test-XXXXXX"};
    assert_non_null(mkdtemp(rig->dir));
    snprintf(rig->path, sizeof rig->path, "%s/sock", rig->dir);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", rig->path);
    rig->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_ok(bind(rig->listener, (struct sockaddr *) &address, sizeof address));
    assert_ok(listen(rig->listener, 1));
    assert_ok(camera_upload_open(&rig->upload, rig->path, "yard"));
    rig->peer = accept4(rig->listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(rig->peer >= 0);
    kn_buf_init(&rig->heard, MIB(64));
}

static void teardown(struct rig *rig)
{
    if (rig->peer >= 0)
        close(rig->peer);
    close(rig->listener);
    unlink(rig->path);
    rmdir(rig->dir);
    kn_buf_done(&rig->heard);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
}

static int send_frame(struct rig *rig)
{
    static uint8_t bytes[FRAME_BYTES];
    memset(bytes, (int) ('a' + rig->sent % 26), sizeof bytes);
    int r = camera_upload_send(&rig->upload, (struct kn_bytes){NULL, 0},
                               (struct kn_bytes){bytes, sizeof bytes});
    rig->sent += r == 0;
    return r;
}

static void hear(struct rig *rig)
{
    static uint8_t bytes[1 << 16];
    ssize_t n;
    while ((n = recv(rig->peer, bytes, sizeof bytes, 0)) > 0)
        assert_ok(kn_buf_append(&rig->heard, bytes, (size_t) n));
}

/* Sends on until nothing waits: each frame that comes takes some of it along. */
static void send_until_all_is_taken(struct rig *rig)
{
    while (rig->upload.out.len > 0) {
        hear(rig);
        assert_ok(send_frame(rig));
    }
    hear(rig);
}

/* How many whole frames are there, in order and nothing else between them; *ret_over: the end too.
 */
static uint64_t frames_heard(const struct rig *rig, bool *ret_over)
{
    const char *at = memmem(rig->heard.ptr, rig->heard.len, "\r\n\r\n", 4);
    const char *end = (const char *) rig->heard.ptr + rig->heard.len;
    uint64_t count = 0;
    char head[16];
    assert_non_null(at);
    at += 4;
    size_t head_len = (size_t) snprintf(head, sizeof head, "%x\r\n", FRAME_BYTES);
    for (; (size_t) (end - at) >= head_len + FRAME_BYTES + 2; count++) {
        assert_memory_equal(at, head, head_len);
        for (size_t i = 0; i < FRAME_BYTES; i++)
            assert_int_equal(at[head_len + i], 'a' + count % 26);
        at += head_len + FRAME_BYTES + 2;
    }
    *ret_over = end - at == 5 && !memcmp(at, "0\r\n\r\n", 5);
    return count;
}

TEST(a_server_that_reads_again_gets_what_waited_and_what_follows)
{
    struct rig rig;
    bool over;
    setup(&rig);
    while (rig.upload.out.len < MIB(1))
        assert_ok(send_frame(&rig));
    send_until_all_is_taken(&rig);
    assert_int_equal(frames_heard(&rig, &over), rig.sent);
    camera_upload_close(&rig.upload);
    teardown(&rig);
}

TEST(more_than_may_wait_is_refused_and_costs_nothing_else)
{
    struct rig rig;
    bool over;
    setup(&rig);
    while (send_frame(&rig) == 0)
        assert_true(rig.sent < 10000);
    assert_int_equal(send_frame(&rig), -ENOBUFS);
    assert_true(rig.upload.out.len > CAMERA_UPLOAD_WAITING_MAX - 2 * FRAME_BYTES);
    hear(&rig);
    assert_ok(send_frame(&rig));
    send_until_all_is_taken(&rig);
    assert_int_equal(frames_heard(&rig, &over), rig.sent);
    camera_upload_close(&rig.upload);
    teardown(&rig);
}

TEST(what_waits_at_the_close_is_sent_and_the_body_ended)
{
    struct rig rig;
    bool over = false;
    gint64 until_us = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
    setup(&rig);
    while (rig.upload.out.len < MIB(2))
        assert_ok(send_frame(&rig));
    camera_upload_close(&rig.upload);
    assert_int_equal(rig.upload.fd, -1);
    while (!over) {
        assert_true(g_get_monotonic_time() < until_us);
        (void) g_main_context_iteration(NULL, FALSE);
        hear(&rig);
        (void) frames_heard(&rig, &over);
    }
    assert_int_equal(frames_heard(&rig, &over), rig.sent);
    /* It listens until the server is done, and is gone then. */
    assert_int_equal(send(rig.peer, "{}", 2, MSG_NOSIGNAL), 2);
    (void) g_main_context_iteration(NULL, FALSE);
    assert_int_equal(send(rig.peer, "{}", 2, MSG_NOSIGNAL), 2);
    assert_ok(shutdown(rig.peer, SHUT_WR));
    do {
        assert_true(g_get_monotonic_time() < until_us);
        (void) g_main_context_iteration(NULL, FALSE);
        errno = 0;
    } while (send(rig.peer, "{}", 2, MSG_NOSIGNAL) >= 0 || errno == EAGAIN);
    assert_int_equal(errno, EPIPE);
    teardown(&rig);
}

TESTS_MAIN(TEST_OF(a_server_that_reads_again_gets_what_waited_and_what_follows),
           TEST_OF(more_than_may_wait_is_refused_and_costs_nothing_else),
           TEST_OF(what_waits_at_the_close_is_sent_and_the_body_ended))
