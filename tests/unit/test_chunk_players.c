/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ffprobe and mkvinfo accept chunk files as they lie on disk: open, sealed, with an abandoned
 * fragment inside, and torn; and they count exactly the frames that were stored.
 */
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

struct fixture {
    struct temp_dir dir;
    struct storage_conf conf;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id stream;
    struct capture capture;
    struct rig_upload up;
    size_t frames; /* stored so far */
};

static void open_storage(struct fixture *f)
{
    struct kn_err err = {0};
    assert_ok(storage_open(f->dir.path, &f->conf, kn_fs_system(), &f->clock.clock, &f->storage,
                           NULL, &err));
}

static void setup(struct fixture *f, const char *capture)
{
    *f = (struct fixture){.dir = temp_dir_new(), .conf = rig_conf()};
    f->conf.part_bytes = KIB(8);
    kn_fake_clock_init(&f->clock, 1763851000000);
    open_storage(f);
    f->stream = rig_stream(f->storage, "cam", 24);
    f->capture = capture_read(capture);
    assert_ok(rig_upload_open(&f->up, f->storage, &f->stream, false));
    rig_upload_header(&f->up, &f->capture);
}

static void store(struct fixture *f, size_t at)
{
    assert_ok(rig_upload_fragment(&f->up, &f->capture, at, 0));
    rig_upload_settle(&f->up);
    assert_ok(f->up.commits[f->up.commit_count - 1].result);
    f->frames += f->capture.fragments[at].frame_count;
}

/* Sends half of a fragment and gives it up. */
static void abandon(struct fixture *f, size_t at)
{
    const struct capture_fragment *want = &f->capture.fragments[at];
    struct storage_fragment begun;
    assert_ok(rig_upload_begin(&f->up, want->timecode, 1, 0, &begun));
    assert_ok(rig_upload_parts(&f->up, &f->capture, want, 0, want->mark_count / 2 + 1));
    storage_writer_abort(f->up.w);
}

static long count_of(const struct fixture *f, const char *command)
{
    char line[1024], text[64] = "";
    int n = snprintf(line, sizeof(line),
                     "F=$(find %s/chunks -name '*.mkv'); test $(echo \"$F\" | wc -l) = 1 && %s",
                     f->dir.path, command);
    assert_true(n > 0 && (size_t) n < sizeof(line));
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    if (!fgets(text, sizeof(text), pipe))
        text[0] = '\0';
    assert_int_equal(pclose(pipe), 0);
    uint64_t value;
    if (kn_str_to_u64(kn_str_trim((struct kn_str){text, strcspn(text, "\n")}), INT64_MAX, &value) <
        0)
        return -1;
    return (long) value;
}

static void expect_players_agree(const struct fixture *f)
{
    assert_int_equal(count_of(f, "ffprobe -v error -show_packets -of compact \"$F\" 2>&1 |"
                                 " grep -c ^packet"),
                     f->frames);
    assert_int_equal(count_of(f, "ffprobe -v warning -show_packets -of compact \"$F\" 2>&1 |"
                                 " grep -vc ^packet; true"),
                     0);
    assert_int_equal(
        count_of(f, "mkvinfo -v -v -v \"$F\" | grep -c -E '(Simple block|Block): '; true"),
        f->frames);
}

static void finish(struct fixture *f)
{
    storage_close(f->storage);
    capture_done(&f->capture);
    rig_upload_done(&f->up);
    temp_dir_remove(&f->dir);
}

static const char *const captures[] = {
    "media/captures/c164_h264_aac_abs_tc0.mkv",
    "media/captures/c164_h264_abs_eofr_meta.mkv",
    "media/captures/sink360_h264_aac_abs.mkv",
};

TEST(an_open_chunk_plays)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(captures); i++) {
        struct fixture f;
        setup(&f, captures[i]);
        store(&f, 0);
        store(&f, 1);
        expect_players_agree(&f);
        rig_upload_close(&f.up);
        finish(&f);
    }
}

TEST(a_sealed_chunk_plays_and_its_cues_are_found)
{
    struct fixture f;
    setup(&f, captures[1]);
    store(&f, 0);
    store(&f, 1);
    store(&f, 2);
    rig_upload_close(&f.up);
    storage_close(f.storage);

    expect_players_agree(&f);
    assert_int_equal(count_of(&f, "mkvinfo -v -v -v \"$F\" | grep -c 'Cue point'"), 3);

    open_storage(&f);
    finish(&f);
}

TEST(an_abandoned_fragment_leaves_no_frames)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(captures); i++) {
        struct fixture f;
        setup(&f, captures[i]);
        store(&f, 0);
        abandon(&f, 1);
        store(&f, 1);
        store(&f, 2);
        expect_players_agree(&f);
        rig_upload_close(&f.up);
        finish(&f);
    }
}

TEST(two_sessions_in_one_chunk_play)
{
    struct fixture f;
    setup(&f, captures[1]);
    store(&f, 0);
    rig_upload_close(&f.up);
    rig_upload_done(&f.up);
    /* The same header but for SegmentUID: its first payload byte follows id 73A4 and size 90. */
    uint8_t *uid = memmem(f.capture.bytes, f.capture.header_bytes, "\x73\xA4\x90", 3);
    assert_non_null(uid);
    uid[3] ^= 1;
    assert_ok(rig_upload_open(&f.up, f.storage, &f.stream, false));
    rig_upload_header(&f.up, &f.capture);
    store(&f, 1);

    expect_players_agree(&f);

    assert_ok(rig_compare(f.storage, &f.stream, &f.up.commits[0].fragment, &f.capture, 1));
    rig_upload_close(&f.up);
    finish(&f);
}

TESTS_MAIN(TEST_OF(an_open_chunk_plays), TEST_OF(a_sealed_chunk_plays_and_its_cues_are_found),
           TEST_OF(an_abandoned_fragment_leaves_no_frames), TEST_OF(two_sessions_in_one_chunk_play))
