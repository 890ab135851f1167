/* SPDX-License-Identifier: Apache-2.0 */
/* How a camera's frames become fragments: where one begins, and what happens when none may. */
#include "muxer.h"
#include "test.h"

struct rig {
    struct camera_muxer muxer;
    struct kn_buf out;
    size_t clusters;
};

static void setup(struct rig *rig, bool video)
{
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000, .track_count = 1};
    *rig = (struct rig){.clusters = 0};
    header.tracks[0] = (struct kn_mkv_track){
        .number = 1, .type = video ? KN_MKV_VIDEO : KN_MKV_AUDIO, .codec_id = "V_MPEG4/ISO/AVC"};
    kn_buf_init(&rig->out, MIB(1));
    assert_ok(camera_muxer_header(&rig->muxer, &header, &rig->out));
}

/* What the frame is preceded by: true, a new cluster. */
static bool begins(struct rig *rig, bool video, bool key, int64_t time_ms, size_t bytes)
{
    const struct camera_frame frame = {
        .track = 1, .video = video, .key = key, .time_ms = time_ms, .bytes = {NULL, bytes}
    };
    struct kn_mkv_element element;
    kn_buf_clear(&rig->out);
    assert_ok(camera_muxer_frame(&rig->muxer, &frame, &rig->out));
    assert_ok(kn_mkv_element_read(kn_buf_bytes(&rig->out), &element));
    return element.id == KN_MKV_CLUSTER;
}

static int left_out(struct rig *rig, int64_t time_ms)
{
    const struct camera_frame frame = {.track = 1, .video = true, .time_ms = time_ms};
    return camera_muxer_frame(&rig->muxer, &frame, &rig->out);
}

TEST(a_fragment_begins_at_a_key_frame_that_is_not_too_soon)
{
    struct rig rig;
    setup(&rig, true);
    assert_int_equal(left_out(&rig, 1000), -EAGAIN); /* none is open yet */
    assert_true(begins(&rig, true, true, 2000, 10));
    assert_false(begins(&rig, true, false, 2100, 10));
    assert_false(begins(&rig, true, true, 2000 + CAMERA_FRAGMENT_MS_LEAST - 1, 10));
    assert_true(begins(&rig, true, true, 2000 + CAMERA_FRAGMENT_MS_LEAST, 10));
    kn_buf_done(&rig.out);
}

TEST(one_that_grows_too_long_is_cut_and_counted)
{
    enum {
        START_MS = 1000,
        CUT_MS = START_MS + CAMERA_FRAGMENT_MS_MOST
    };
    struct rig rig;
    setup(&rig, true);
    assert_true(begins(&rig, true, true, START_MS, 10));
    assert_false(begins(&rig, true, false, CUT_MS - 1, 10));
    assert_int_equal(rig.muxer.cuts, 0);
    assert_true(begins(&rig, true, false, CUT_MS, 10));
    assert_int_equal(rig.muxer.cuts, 1);
    assert_false(begins(&rig, true, false, CUT_MS + 1, CAMERA_FRAGMENT_BYTES_MOST - 10));
    assert_true(begins(&rig, true, false, CUT_MS + 2, 1));
    assert_int_equal(rig.muxer.cuts, 2);
    kn_buf_done(&rig.out);
}

TEST(after_a_loss_and_under_a_new_header_a_key_frame_comes_first)
{
    struct rig rig;
    setup(&rig, true);
    assert_true(begins(&rig, true, true, 5000, 10));
    camera_muxer_lost(&rig.muxer);
    assert_int_equal(left_out(&rig, 5100), -EAGAIN);
    assert_true(begins(&rig, true, true, 5200, 10));
    kn_buf_done(&rig.out);
}

TEST(a_clock_that_is_set_back_never_sets_a_fragment_back)
{
    struct rig rig;
    setup(&rig, true);
    assert_true(begins(&rig, true, true, 90000, 10));
    assert_false(begins(&rig, true, false, 90500, 10));
    assert_true(begins(&rig, true, true, 1000, 10));
    assert_int_equal(rig.muxer.start_ms, 90501);
    kn_buf_done(&rig.out);
}

TEST(sound_alone_is_cut_by_time_and_never_goes_back)
{
    struct rig rig;
    setup(&rig, false);
    assert_true(begins(&rig, false, true, 1000, 10));
    assert_false(begins(&rig, false, true, 2500, 10));
    assert_false(begins(&rig, false, true, 2400, 10));
    assert_int_equal(rig.muxer.sound_ms[1], 2500);
    assert_true(begins(&rig, false, true, 1000 + CAMERA_FRAGMENT_MS_SOUND, 10));
    kn_buf_done(&rig.out);
}

TEST(sound_without_its_pictures_is_cut_before_the_fragment_would_be_refused)
{
    enum {
        START_MS = 1000,
        CUT_MS = START_MS + CAMERA_FRAGMENT_MS_UNSEEN
    };
    struct rig rig;
    setup(&rig, true);
    assert_true(begins(&rig, true, true, START_MS, 10));
    assert_false(begins(&rig, false, true, START_MS + CAMERA_FRAGMENT_MS_MOST, 10));
    assert_false(begins(&rig, false, true, CUT_MS - 1, 10)); /* a key picture may be on its way */
    assert_true(begins(&rig, false, true, CUT_MS, 10));
    assert_int_equal(rig.muxer.cuts, 1);
    kn_buf_done(&rig.out);
}

static int document(struct rig *rig, int64_t time_ms, size_t bytes, int *ret_ms)
{
    const struct camera_frame frame = {
        .track = 2, .key = true, .time_ms = time_ms, .bytes = {NULL, bytes}
    };
    kn_buf_clear(&rig->out);
    int r = camera_muxer_frame(&rig->muxer, &frame, &rig->out);
    if (r == 0) /* SimpleBlock, its size, the track's number, and its time */
        *ret_ms = (int16_t) (rig->out.ptr[rig->out.len - 3] << 8 | rig->out.ptr[rig->out.len - 2]);
    return r;
}

TEST(metadata_goes_where_the_pictures_are_and_moves_none_of_them)
{
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000, .track_count = 2};
    struct rig rig;
    int ms = -1;
    setup(&rig, true);
    header.tracks[0] =
        (struct kn_mkv_track){.number = 1, .type = KN_MKV_VIDEO, .codec_id = "V_MPEG4/ISO/AVC"};
    header.tracks[1] =
        (struct kn_mkv_track){.number = 2, .type = KN_MKV_OTHER, .codec_id = "D_ONVIF/METADATA"};
    kn_buf_clear(&rig.out);
    assert_ok(camera_muxer_header(&rig.muxer, &header, &rig.out));
    assert_int_equal(document(&rig, 1000, 10, &ms), -EAGAIN); /* begins no fragment */
    assert_true(begins(&rig, true, true, 1000, 10));
    assert_ok(document(&rig, 1080, 10, &ms));
    assert_int_equal(ms, 80);
    assert_ok(document(&rig, 10, 10, &ms)); /* late: not before its fragment */
    assert_int_equal(ms, 0);
    assert_ok(document(&rig, 900000, 10, &ms));
    assert_int_equal(ms, CAMERA_METADATA_AHEAD_MS);
    assert_true(begins(&rig, true, true, 2000, 10));
    assert_int_equal(rig.muxer.start_ms, 2000);
    kn_buf_done(&rig.out);
}

TEST(metadata_has_its_share_of_a_fragment_and_no_more)
{
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000, .track_count = 2};
    struct rig rig;
    int ms;
    setup(&rig, true);
    header.tracks[0] =
        (struct kn_mkv_track){.number = 1, .type = KN_MKV_VIDEO, .codec_id = "V_MPEG4/ISO/AVC"};
    header.tracks[1] =
        (struct kn_mkv_track){.number = 2, .type = KN_MKV_OTHER, .codec_id = "D_ONVIF/METADATA"};
    kn_buf_clear(&rig.out);
    assert_ok(camera_muxer_header(&rig.muxer, &header, &rig.out));
    assert_true(begins(&rig, true, true, 1000, 10));
    assert_ok(document(&rig, 1000, CAMERA_METADATA_BYTES_MOST, &ms));
    assert_int_equal(document(&rig, 1001, 1, &ms), -EMSGSIZE);
    assert_false(begins(&rig, true, false, 1100, 10)); /* pictures go on */
    assert_true(begins(&rig, true, true, 2000, 10));
    for (unsigned i = 0; i < CAMERA_METADATA_FRAMES_MOST; i++)
        assert_ok(document(&rig, 2000, 1, &ms));
    assert_int_equal(document(&rig, 2000, 1, &ms), -EMSGSIZE);
    kn_buf_done(&rig.out);
}

TESTS_MAIN(TEST_OF(a_fragment_begins_at_a_key_frame_that_is_not_too_soon),
           TEST_OF(one_that_grows_too_long_is_cut_and_counted),
           TEST_OF(after_a_loss_and_under_a_new_header_a_key_frame_comes_first),
           TEST_OF(a_clock_that_is_set_back_never_sets_a_fragment_back),
           TEST_OF(sound_alone_is_cut_by_time_and_never_goes_back),
           TEST_OF(sound_without_its_pictures_is_cut_before_the_fragment_would_be_refused),
           TEST_OF(metadata_goes_where_the_pictures_are_and_moves_none_of_them),
           TEST_OF(metadata_has_its_share_of_a_fragment_and_no_more))
