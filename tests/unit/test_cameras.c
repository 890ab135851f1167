/* SPDX-License-Identifier: Apache-2.0 */
/* The cameras by themselves: a clock that is told the time, and a program that ends at once, or is
 * a few lines of shell. */
#include "cameras.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATIENCE_S = 30
};

static const int64_t now_ms = INT64_C(1795824000000); /* 2026-11-28 00:00:00 UTC */

struct rig {
    struct temp_dir dir;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct ingest_cameras *cameras;
    struct storage_stream *stream;
};

static void run_with(struct rig *rig, const char *program)
{
    struct ingest_conf conf = {.cameras_max = 2, .camera_workers = 1, .camera_timeout_ms = 1000};
    struct ingest_cameras_conf cameras = {.program = program, .dir = rig->dir.path};
    struct kn_err err = {0};
    assert_ok(ingest_cameras_new(rig->storage, &conf, &rig->clock.clock, &rig->cameras));
    assert_ok(ingest_cameras_run(rig->cameras, &cameras, &err));
}

static void run(struct rig *rig)
{
    run_with(rig, "/bin/false");
}

static struct rig *begin(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct storage_conf conf = rig_conf();
    struct kn_err err = {0};
    assert_non_null(rig);
    rig->dir = temp_dir_new();
    kn_fake_clock_init(&rig->clock, now_ms);
    assert_ok(storage_open(rig->dir.path, &conf, kn_fs_system(), kn_clock_system(), &rig->storage,
                           NULL, &err));
    (void) rig_stream(rig->storage, "yard", 24);
    rig->stream = storage_stream_find(rig->storage, KN_STR("yard"));
    run(rig);
    return rig;
}

static void end(struct rig *rig)
{
    ingest_cameras_free(rig->cameras);
    storage_stream_unref(rig->stream);
    storage_close(rig->storage);
    temp_dir_remove(&rig->dir);
    free(rig);
}

static int become(void *ctx, struct ingest_camera_settings *draft)
{
    const struct ingest_camera_settings *wanted = ctx;
    draft->source = wanted->source;
    draft->times = wanted->times;
    draft->edge = wanted->edge;
    return 0;
}

static struct ingest_camera_view view_of(struct rig *rig)
{
    struct ingest_camera_view view;
    assert_ok(ingest_cameras_get(rig->cameras, rig->stream, &view));
    return view;
}

/* Until its state is as wanted, or is not. */
static struct ingest_camera_view until(struct rig *rig, enum ingest_camera_state state, bool is)
{
    struct ingest_camera_view view = view_of(rig);
    for (int i = 0; i < PATIENCE_S * 100 && (view.status.state == state) != is; i++) {
        usleep(10 * 1000);
        view = view_of(rig);
    }
    assert_int_equal(view.status.state == state, is);
    return view;
}

TEST(a_camera_rests_until_its_window_opens_and_again_after_it)
{
    struct rig *rig = begin();
    struct ingest_camera_settings wanted = {
        .source = {.url = "rtsp://h/"},
          .times = { "0 0 8 * * ?",                60}
    };
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &wanted));
    struct ingest_camera_view view = view_of(rig);
    assert_int_equal(view.status.state, INGEST_CAMERA_RESTING);
    assert_int_equal(view.next_ms, now_ms + INT64_C(8) * 3600 * 1000);
    assert_true(view.in_sync);
    kn_fake_clock_advance(&rig->clock, INT64_C(8) * 3600 * 1000);
    view = until(rig, INGEST_CAMERA_RESTING, false);
    assert_int_equal(view.next_ms, 0);
    kn_fake_clock_advance(&rig->clock, 60 * 1000);
    view = until(rig, INGEST_CAMERA_RESTING, true);
    assert_int_equal(view.next_ms, now_ms + INT64_C(32) * 3600 * 1000);

    wanted.times.expression[0] = '\0';
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &wanted));
    assert_int_not_equal(view_of(rig).status.state, INGEST_CAMERA_RESTING);
    end(rig);
}

struct wish {
    struct rig *rig;
    struct ingest_camera_settings *wanted;
};

static int become_by_secret(void *ctx, struct ingest_camera_settings *draft)
{
    const struct wish *wish = ctx;
    int r = become(wish->wanted, draft);
    return r < 0 ? r : ingest_cameras_resolve(wish->rig->cameras, draft);
}

TEST(a_secret_that_changes_changes_its_cameras_also_after_a_start)
{
    struct rig *rig = begin();
    struct ingest_camera_source source = {.url = "rtsp://first/"};
    struct ingest_camera_settings wanted = {
        .edge = {.hub = "h", .secret_arn = "arn:aws:secretsmanager:r:0:secret:door"}
    };
    struct wish wish = {rig, &wanted};
    assert_int_equal(ingest_cameras_edit(rig->cameras, rig->stream, become_by_secret, &wish),
                     -ENOENT);
    assert_ok(ingest_cameras_secret_put(rig->cameras, KN_STR("door"), &source));
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become_by_secret, &wish));
    assert_string_equal(view_of(rig).settings.source.url, "rtsp://first/");
    snprintf(source.url, sizeof source.url, "rtsp://second/");
    assert_ok(ingest_cameras_secret_put(rig->cameras, KN_STR("door"), &source));
    assert_string_equal(view_of(rig).settings.source.url, "rtsp://second/");
    assert_int_equal(ingest_cameras_secret_remove(rig->cameras, KN_STR("door")), -EBUSY);

    ingest_cameras_free(rig->cameras);
    run(rig);
    assert_string_equal(view_of(rig).settings.source.url, "rtsp://second/");
    assert_ok(ingest_cameras_remove(rig->cameras, rig->stream));
    assert_ok(ingest_cameras_secret_remove(rig->cameras, KN_STR("door")));
    assert_int_equal(ingest_cameras_secret_remove(rig->cameras, KN_STR("door")), -ENOENT);
    end(rig);
}

static int count_one(void *ctx, const struct storage_id *stream,
                     const struct ingest_camera_settings *settings, int result)
{
    size_t *count = ctx;
    (void) stream;
    (void) settings;
    (void) result;
    ++*count;
    return 0;
}

TEST(the_record_of_a_camera_whose_stream_is_gone_goes_at_the_next_start)
{
    struct rig *rig = begin();
    struct storage_meta *meta = storage_meta_of(rig->storage);
    static const uint8_t key[KN_AEAD_KEY_BYTES];
    struct ingest_camera_settings settings = {.source = {.url = "rtsp://h/"}};
    const struct storage_id gone = {{9}};
    size_t count = 0;
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &settings));
    ingest_cameras_free(rig->cameras);
    assert_ok(ingest_camera_put(meta, key, &gone, &settings));
    run(rig);
    assert_ok(ingest_camera_list(meta, key, count_one, &count));
    assert_int_equal(count, 1);
    assert_string_equal(view_of(rig).settings.source.url, "rtsp://h/");
    end(rig);
}

TEST(a_program_that_is_not_there_is_said)
{
    struct rig *rig = begin();
    struct ingest_camera_settings settings = {.source = {.url = "rtsp://h/"}};
    struct ingest_conf conf = {.cameras_max = 2, .camera_workers = 1};
    struct ingest_cameras_conf missing = {.program = "/no/such/program", .dir = rig->dir.path};
    struct kn_err err = {0};
    ingest_cameras_free(rig->cameras);
    assert_ok(ingest_cameras_new(rig->storage, &conf, &rig->clock.clock, &rig->cameras));
    assert_ok(ingest_cameras_run(rig->cameras, &missing, &err));
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &settings));
    struct ingest_camera_view view = view_of(rig);
    for (int i = 0; i < PATIENCE_S * 100 && view.error == 0; i++) {
        usleep(10 * 1000);
        view = view_of(rig);
    }
    assert_int_equal(view.error, -ENOENT);
    assert_false(view.in_sync);
    end(rig);
}

/* --- processes that hang ---------------------------------------------------------------------- */
/* Says once how the camera does; the first then hangs, those that follow only wait for their end.
 */
static const char speaks_once[] = "#!/bin/sh\n"
                                  "[ -e first ] && again=1 || echo $$ >first\n"
                                  "printf '{\"camera\": \"yard\", \"state\": \"recording\"}' >&0\n"
                                  "[ \"$again\" ] && exec cat >/dev/null\n"
                                  "exec sleep 600\n";

static pid_t first_pid(const struct rig *rig)
{
    char path[sizeof rig->dir.path + 16];
    int pid = 0;
    snprintf(path, sizeof path, "%s/first", rig->dir.path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    return pid;
}

static struct rig *begin_with_script(const char *script)
{
    struct rig *rig = begin();
    char path[sizeof rig->dir.path + 16];
    snprintf(path, sizeof path, "%s/program", rig->dir.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(script, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
    ingest_cameras_free(rig->cameras);
    run_with(rig, path);
    return rig;
}

/* The thread goes round once at least, since it has to say a change. */
static void round_passes(struct rig *rig, struct ingest_camera_settings *wanted)
{
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, wanted));
    for (int i = 0; i < PATIENCE_S * 1000 && !view_of(rig).in_sync; i++)
        usleep(1000);
    assert_true(view_of(rig).in_sync);
}

TEST(a_process_that_says_nothing_for_long_is_begun_anew)
{
    struct rig *rig = begin_with_script(speaks_once);
    struct ingest_camera_settings wanted = {.source = {.url = "rtsp://h/"}};
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &wanted));
    (void) until(rig, INGEST_CAMERA_RECORDING, true);
    for (int i = 0; i < 15; i++) {
        kn_fake_clock_advance(&rig->clock, 1000);
        round_passes(rig, &wanted);
    }
    assert_int_equal(view_of(rig).status.state, INGEST_CAMERA_RECORDING);
    for (int i = 0; i < 100 && view_of(rig).status.state == INGEST_CAMERA_RECORDING; i++) {
        kn_fake_clock_advance(&rig->clock, 1000);
        assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &wanted));
        usleep(2000);
    }
    struct ingest_camera_view view = until(rig, INGEST_CAMERA_RECORDING, false);
    assert_string_equal(view.status.fault, "broken");
    assert_string_equal(view.status.said, "its process did not answer any more");
    kn_fake_clock_advance(&rig->clock, 1000);
    (void) until(rig, INGEST_CAMERA_RECORDING, true);
    end(rig);
}

TEST(time_in_which_the_server_was_stopped_is_not_counted_as_silence)
{
    struct rig *rig = begin_with_script(speaks_once);
    struct ingest_camera_settings wanted = {.source = {.url = "rtsp://h/"}};
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &wanted));
    (void) until(rig, INGEST_CAMERA_RECORDING, true);
    for (int i = 0; i < 5; i++) {
        kn_fake_clock_advance(&rig->clock, INT64_C(3600) * 1000);
        round_passes(rig, &wanted);
    }
    assert_int_equal(view_of(rig).status.state, INGEST_CAMERA_RECORDING);
    end(rig);
}

TEST(a_process_that_has_no_camera_to_speak_of_may_be_silent)
{
    struct rig *rig = begin_with_script(speaks_once);
    struct ingest_camera_settings wanted = {.source = {.url = "rtsp://h/"}};
    assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &wanted));
    (void) until(rig, INGEST_CAMERA_RECORDING, true);
    snprintf(wanted.times.expression, sizeof wanted.times.expression, "0 0 8 * * ?");
    wanted.times.duration_s = 60;
    for (int i = 0; i < 30; i++) {
        kn_fake_clock_advance(&rig->clock, 1000);
        assert_ok(ingest_cameras_edit(rig->cameras, rig->stream, become, &wanted));
        usleep(2000);
    }
    assert_int_equal(kill(first_pid(rig), 0), 0);
    end(rig);
}

TESTS_MAIN(TEST_OF(a_camera_rests_until_its_window_opens_and_again_after_it),
           TEST_OF(a_secret_that_changes_changes_its_cameras_also_after_a_start),
           TEST_OF(the_record_of_a_camera_whose_stream_is_gone_goes_at_the_next_start),
           TEST_OF(a_program_that_is_not_there_is_said),
           TEST_OF(a_process_that_says_nothing_for_long_is_begun_anew),
           TEST_OF(time_in_which_the_server_was_stopped_is_not_counted_as_silence),
           TEST_OF(a_process_that_has_no_camera_to_speak_of_may_be_silent))
