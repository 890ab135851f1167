/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A camera whose status is asked while frames come, and one that is stopped while they do. The
 * connection is this test's: as GStreamer's threads do, it gives frames with a lock of its own
 * held, which its facts need too.
 */
#include "camera.h"
#include "pull.h"
#include "temp_dir.h"
#include "test.h"

#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE_S = 10, /* for a frame that nothing delays */
};

/* --- the connection --------------------------------------------------------------------------- */
struct camera_pull {
    struct camera_source_ops ops;
    void *ctx;
    pthread_t thread;
    bool stuck;
};

static struct camera_pull *the_pull;

struct camera_pull *camera_pull_start(const struct camera_source_conf *conf,
                                      const struct camera_source_ops *ops, void *ctx)
{
    (void) conf;
    the_pull = calloc(1, sizeof *the_pull);
    assert_non_null(the_pull);
    the_pull->ops = *ops;
    the_pull->ctx = ctx;
    return the_pull;
}

static void *give_a_frame(void *arg)
{
    struct camera_pull *pull = arg;
    const struct camera_frame frame = {.track = 1, .key = true, .bytes = kn_bytes_of(KN_STR("x"))};
    pull->ops.frame(pull->ctx, &frame);
    return NULL;
}

/* Has the lock once the frame is given that another thread was about to give. */
void camera_pull_facts(struct camera_pull *pull, struct camera_facts *ret)
{
    struct timespec until;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += PATIENCE_S;
    assert_int_equal(pthread_create(&pull->thread, NULL, give_a_frame, pull), 0);
    pull->stuck = pthread_timedjoin_np(pull->thread, NULL, &until) != 0;
    *ret = (struct camera_facts){.clock = "camera", .clock_steps = 7};
}

void camera_pull_check(struct camera_pull *pull)
{
    (void) pull;
}

bool camera_pull_stop_blocks(const struct camera_pull *pull)
{
    return pull == NULL;
}

/* What comes before it returns may still come. */
void camera_pull_stop(struct camera_pull *pull)
{
    const struct kn_mkv_header header = {.timestamp_scale_ns = 1000000};
    pull->ops.header(pull->ctx, &header);
    free(pull);
}

void camera_left_out_add(char *list, size_t cap, const char *media, const char *encoding)
{
    (void) g_snprintf(list, cap, "%s %s", media, encoding);
}

const char *camera_fault_name(enum camera_fault fault)
{
    return fault == CAMERA_BROKEN ? "broken" : "another";
}

/* --- tests ------------------------------------------------------------------------------------ */
static void ignore(void *ctx, struct camera *camera)
{
    (void) ctx;
    (void) camera;
}

TEST(a_frame_that_comes_while_the_status_is_asked_holds_nobody_up)
{
    const struct camera_settings settings = {.stream = KN_STR("yard"),
                                             .url = KN_STR("rtsp://192.0.2.1/")};
    struct kn_buf out;
    struct kn_json_writer w;
    kn_buf_init(&out, 4096);
    kn_json_writer_init(&w, &out);
    struct camera *camera = camera_start(&settings, "/no/such/socket", ignore, NULL);
    camera_status_write(camera, &w);
    bool stuck = the_pull->stuck;
    if (stuck) /* it has the lock now */
        assert_int_equal(pthread_join(the_pull->thread, NULL), 0);
    assert_int_equal(kn_buf_append(&out, "", 1), 0);
    assert_non_null(strstr((const char *) out.ptr, "\"state\":\"recording\""));
    assert_non_null(strstr((const char *) out.ptr, "\"clockSteps\":7"));
    camera_stop(camera);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    kn_buf_done(&out);
    assert_false(stuck);
}

TEST(a_header_that_comes_while_the_camera_is_stopped_begins_no_upload)
{
    struct temp_dir dir = temp_dir_new();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/door", dir.path);
    int door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(door, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(door, 1), 0);
    const struct camera_settings settings = {.stream = KN_STR("yard"),
                                             .url = KN_STR("rtsp://192.0.2.1/")};
    camera_stop(camera_start(&settings, address.sun_path, ignore, NULL));
    int upload = accept(door, NULL, NULL);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    close(door);
    temp_dir_remove(&dir);
    assert_int_equal(upload, -1);
}

TESTS_MAIN(TEST_OF(a_frame_that_comes_while_the_status_is_asked_holds_nobody_up),
           TEST_OF(a_header_that_comes_while_the_camera_is_stopped_begins_no_upload))
