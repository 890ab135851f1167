/* SPDX-License-Identifier: Apache-2.0 */
/* Each error id for its own cause, with the fragment it names and a text that can be searched. */
#include "assemble.h"
#include "test.h"

/* Feeds what the rig holds and expects the fault and a text that names element and byte. */
static void assert_fault(struct rig *rig, const char *want, const char *text)
{
    int r = rig_feed(rig, 11);
    if (r == 0)
        r = rig_finish(rig);
    assert_int_equal(r, -ECANCELED);
    assert_string_equal(rig_fault(rig), want);
    if (!strstr(ingest_assembler_fault(rig->a)->text, text))
        print_message("text: %s\n", ingest_assembler_fault(rig->a)->text);
    assert_non_null(strstr(ingest_assembler_fault(rig->a)->text, text));
    assert_int_equal(fake_writer_count(FAKE_OPEN), 0); /* an open fragment was given up */
    /* nothing is taken any more */
    assert_int_equal(ingest_assembler_feed(rig->a, (struct kn_bytes){(const uint8_t *) "x", 1}),
                     -ECANCELED);
    rig_stop(rig);
}

static void start(struct rig *rig)
{
    rig_start(rig);
    make_header(&rig->in, 1, 0, 1000000);
}

TEST(e4000_the_body_ends_inside_an_element)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    rig.in.len -= 7;
    assert_fault(&rig, "4000@100#1", "SimpleBlock (0xA3) at byte ");
}

/* 4006 would make kvssink discard the rest of the fragment it was in when its server went away. */
TEST(e4000_the_rest_of_an_upload_that_broke)
{
    struct rig rig;
    rig_start(&rig);
    MAKE_RAW(&rig.in, "\xA3\x85\x81\x00\x00\x00x");
    assert_fault(&rig, "4000@-#-", "SimpleBlock (0xA3) at byte 0");
    rig_start(&rig);
    make_cluster(&rig.in, 100);
    assert_fault(&rig, "4000@-#-", "Cluster (0x1F43B675) at byte 0");
}

TEST(e4000_a_newer_upload_has_the_stream)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    fake.fail_part = -ESTALE;
    assert_fault(&rig, "4000@100#1", "storage: part: ESTALE");
}

TEST(e4001_a_fragment_of_too_many_bytes)
{
    struct rig rig;
    start(&rig);
    rig.limits.fragment_bytes_max = 1000;
    make_cluster(&rig.in, 100);
    make_block(&rig.in, 1, 0, true, 600, 'k');
    make_block(&rig.in, 1, 40, false, 600, 'p');
    assert_fault(&rig, "4001@100#1", "SimpleBlock (0xA3) at byte ");
    assert_true(fake.taken < 1000); /* judged by the block's head, before its bytes */
}

TEST(e4001_a_fragment_of_too_many_frames)
{
    struct rig rig;
    start(&rig);
    rig.limits.frames_max = 2;
    make_fragment(&rig.in, 100);
    assert_fault(&rig, "4001@100#1", "passes 2 frames");
}

TEST(e4001_elements_that_are_not_frames_count_too)
{
    struct rig rig;
    start(&rig);
    rig.limits.fragment_bytes_max = 1000;
    make_fragment(&rig.in, 100);
    kn_mkv_write_id(&rig.in, KN_MKV_VOID);
    kn_mkv_write_size(&rig.in, 2000, 0);
    for (int i = 0; i < 2000; i++)
        kn_buf_append_byte(&rig.in, 0);
    assert_fault(&rig, "4001@100#1", "Void (0xEC)");
}

TEST(e4002_a_fragment_that_lasts_too_long)
{
    struct rig rig;
    start(&rig);
    make_cluster(&rig.in, 100);
    make_block(&rig.in, 1, 0, true, 10, 'k');
    make_block(&rig.in, 1, 20000, false, 10, 'p'); /* just allowed */
    make_block(&rig.in, 1, 20001, false, 10, 'p');
    assert_fault(&rig, "4002@100#1", "passes 20000 ms");
}

TEST(e4003_is_raised_where_the_next_fragment_begins)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    assert_ok(rig_feed(&rig, 0));
    ingest_assembler_stop_at_next(rig.a, INGEST_MAX_CONNECTION_DURATION_REACHED);
    make_fragment(&rig.in, 300);
    assert_int_equal(rig_feed(&rig, 0), -ECANCELED);
    assert_string_equal(rig_acks(&rig), "B100#1 R100#1 P100#1 "); /* the open one is whole */
    assert_string_equal(rig_fault(&rig), "4003@300#-");
    rig_stop(&rig);
}

TEST(e4004_a_cluster_that_does_not_rise)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    make_fragment(&rig.in, 100);
    assert_fault(&rig, "4004@100#-", "Timestamp (0xE7) at byte ");
}

TEST(e4004_does_not_reach_over_sessions)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));
    ingest_assembler_free(rig.a);
    rig_open(&rig, false, 0);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 50); /* resent after a reconnect */
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));
    rig_stop(&rig);
}

TEST(e4004_strictly_a_frame_must_follow_the_last_fragment)
{
    struct rig rig;
    start(&rig);
    rig.limits.strict_frame_times = true;
    make_fragment(&rig.in, 100); /* last frame at 180 */
    make_fragment(&rig.in, 180);
    assert_fault(&rig, "4004@180#2", "not later");

    start(&rig); /* by default only Clusters are compared */
    make_fragment(&rig.in, 100);
    make_fragment(&rig.in, 180);
    assert_ok(rig_feed(&rig, 0));
    rig_stop(&rig);
}

TEST(e4006_bytes_that_are_no_matroska)
{
    struct rig rig;
    rig_start(&rig);
    MAKE_RAW(&rig.in, "hello, world");
    assert_fault(&rig, "4006@-#-", "byte 0");
}

TEST(e4006_a_second_header_names_no_fragment_but_the_open_one)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    make_header(&rig.in, 1, 0, 1000000);
    assert_fault(&rig, "4006@100#1", "EBML (0x1A45DFA3) at byte ");
}

TEST(e4006_tracks_after_the_first_cluster)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    MAKE_RAW(&rig.in, "\x16\x54\xae\x6b\x80");
    assert_fault(&rig, "4006@100#1", "Tracks (0x1654AE6B)");
}

TEST(e4006_a_header_without_tracks)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 0, 0, 1000000);
    make_cluster(&rig.in, 1);
    assert_fault(&rig, "4006@-#-", "no track");
}

TEST(e4007_a_timestamp_that_overflows)
{
    struct rig rig;
    start(&rig);
    make_cluster(&rig.in, UINT64_MAX / 2);
    assert_fault(&rig, "4007@9223372036854775807#-", "Timestamp (0xE7) at byte ");

    rig_start(&rig);
    ingest_assembler_free(rig.a);
    rig_open(&rig, true, INT64_C(253402300799999));
    make_header(&rig.in, 1, 0, 1000000);
    make_cluster(&rig.in, 1);
    assert_fault(&rig, "4007@1#-", "beyond");
}

TEST(e4008_the_stream_is_gone)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    fake.fail_begin = -ENOENT;
    assert_fault(&rig, "4008@100#-", "storage: begin: ENOENT");
}

static void tags_fault(const char *name, const char *value)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    make_tags(&rig.in, name, value, false);
    assert_fault(&rig, "4009@100#1", "Tags (0x1254C367) at byte ");
}

TEST(e4009_metadata_beyond_its_limits)
{
    char text[258];
    memset(text, 'x', sizeof text);
    text[129] = 0;
    tags_fault(text, "v");
    text[129] = 'x';
    text[257] = 0;
    tags_fault("n", text);
    tags_fault("AWS_MINE", "v");

    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    for (int i = 0; i < 10; i++)
        make_tags(&rig.in, "n", "v", false);
    assert_ok(rig_feed(&rig, 0)); /* ten are allowed, and the reserved END does not count */
    make_end_tag(&rig.in);
    assert_ok(rig_feed(&rig, 0));
    make_fragment(&rig.in, 300);
    for (int i = 0; i < 11; i++)
        make_tags(&rig.in, "n", "v", false);
    assert_fault(&rig, "4009@300#2", "11 tags");
}

TEST(e4009_of_leading_tags_names_the_fragment_they_lead)
{
    struct rig rig;
    start(&rig);
    for (int i = 0; i < 11; i++)
        make_tags(&rig.in, "n", "v", false);
    make_fragment(&rig.in, 100);
    assert_fault(&rig, "4009@100#-", "Tags (0x1254C367)");
}

TEST(e4009_a_tags_element_of_more_than_64_kib)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    kn_mkv_write_id(&rig.in, KN_MKV_TAGS);
    kn_mkv_write_size(&rig.in, 70000, 8);
    assert_fault(&rig, "4009@100#1", "larger than 64 KiB");
}

TEST(reserved_triggers_are_allowed_and_counted)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    make_tags(&rig.in, "AWS_KINESISVIDEO_NOTIFICATION", "", false);
    make_tags(&rig.in, "AWS_KINESISVIDEO_IMAGE_GENERATION", "", false);
    make_tags(&rig.in, "AWS_KINESISVIDEO_IMAGE_PREFIX", "p", false);
    assert_ok(rig_feed(&rig, 0));
    for (int i = 0; i < 8; i++)
        make_tags(&rig.in, "n", "v", false);
    assert_fault(&rig, "4009@100#1", "11 tags");
}

TEST(e4010_a_block_of_an_unknown_track)
{
    struct rig rig;
    start(&rig);
    make_cluster(&rig.in, 100);
    make_block(&rig.in, 2, 0, true, 10, 'k');
    assert_fault(&rig, "4010@100#1", "SimpleBlock (0xA3) at byte ");
}

TEST(e4011_a_declared_track_without_a_frame)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 1, 1000000);
    make_fragment(&rig.in, 100); /* video only */
    assert_fault(&rig, "4011@100#1", "no frame of track 2 (A_AAC)");
}

TEST(e4012_more_tracks_than_allowed)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 3, 1, 1000000);
    make_cluster(&rig.in, 100);
    assert_fault(&rig, "4012@-#-", "Tracks (0x1654AE6B) at byte ");

    rig_start(&rig); /* also beyond what we describe */
    make_header(&rig.in, 8, 0, 1000000);
    struct kn_buf more;
    kn_buf_init(&more, 4096);
    static const uint8_t entry[] = "\xae\x83\xd7\x81\x09";
    uint8_t *tracks = memmem(rig.in.ptr, rig.in.len, "\x16\x54\xae\x6b", 4);
    assert_non_null(tracks);
    kn_buf_append(&rig.in, entry, sizeof entry - 1);
    size_t at = (size_t) (tracks - rig.in.ptr) + 8;
    kn_put_u32be(rig.in.ptr + at - 4, (uint32_t) (0x10000000u | (rig.in.len - at)));
    make_cluster(&rig.in, 100);
    assert_fault(&rig, "4012@-#-", "TrackEntry (0xAE) at byte ");
    kn_buf_done(&more);
}

TEST(e5000_what_storage_cannot_explain)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    fake.fail_header = -ENOMEM;
    assert_fault(&rig, "5000@-#-", "EBML (0x1A45DFA3) at byte 0: storage: header: ENOMEM");
}

TEST(e5001_no_space_or_a_failing_disk)
{
    static const int codes[] = {-ENOSPC, -EIO, -ETIMEDOUT};
    for (size_t i = 0; i < KN_ARRAY_LEN(codes); i++) {
        struct rig rig;
        start(&rig);
        char text[96];
        snprintf(text, sizeof text, "Timestamp (0xE7) at byte %zu: storage: part: %s",
                 rig.in.len + 4 + KN_MKV_SIZE_UNKNOWN_BYTES, kn_errname(codes[i]));
        make_fragment(&rig.in, 100);
        fake.fail_part = codes[i];
        assert_fault(&rig, "5001@100#1", text);
    }
}

TEST(e5001_a_commit_that_fails_later_names_its_own_fragment)
{
    struct rig rig;
    start(&rig);
    char text[96];
    snprintf(text, sizeof text, "Cluster (0x1F43B675) at byte %zu: storage: commit: EIO",
             rig.in.len);
    make_fragment(&rig.in, 100);
    make_fragment(&rig.in, 300);
    ssize_t n = ingest_assembler_feed(rig.a, kn_buf_bytes(&rig.in));
    assert_int_equal(n, rig.in.len);
    rig_complete(&rig, -EIO);

    assert_string_equal(rig_fault(&rig), "5001@100#1");
    assert_string_equal(ingest_assembler_fault(rig.a)->text, text);
    assert_string_equal(rig_acks(&rig), "B100#1 R100#1 B300#2 "); /* never PERSISTED */
    assert_int_equal(fake_writer_count(FAKE_ABORTED), 1);
    rig_stop(&rig);
}

TEST(a_commit_that_fails_beats_a_later_fault)
{
    struct rig rig;
    start(&rig);
    make_fragment(&rig.in, 100);
    make_fragment(&rig.in, 100); /* 4004 */
    ssize_t n = ingest_assembler_feed(rig.a, kn_buf_bytes(&rig.in));
    assert_int_equal(n, -ECANCELED);
    assert_string_equal(rig_fault(&rig), "4004@100#-");
    rig_complete(&rig, -EIO);

    assert_string_equal(rig_fault(&rig), "5001@100#1");
    rig_stop(&rig);
}

TEST(every_error_has_its_name)
{
    static const struct {
        enum ingest_error id;
        const char *code;
    } all[] = {
        {4000, "STREAM_READ_ERROR"                     },
        {4001, "MAX_FRAGMENT_SIZE_REACHED"             },
        {4002, "MAX_FRAGMENT_DURATION_REACHED"         },
        {4003, "MAX_CONNECTION_DURATION_REACHED"       },
        {4004, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"},
        {4006, "INVALID_MKV_DATA"                      },
        {4007, "INVALID_PRODUCER_TIMESTAMP"            },
        {4008, "STREAM_NOT_ACTIVE"                     },
        {4009, "FRAGMENT_METADATA_LIMIT_REACHED"       },
        {4010, "TRACK_NUMBER_MISMATCH"                 },
        {4011, "FRAMES_MISSING_FOR_TRACK"              },
        {4012, "MORE_THAN_ALLOWED_TRACKS_FOUND"        },
        {5000, "INTERNAL_ERROR"                        },
        {5001, "ARCHIVAL_ERROR"                        },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(all); i++)
        assert_string_equal(ingest_error_code(all[i].id), all[i].code);
}

TESTS_MAIN(TEST_OF(e4000_the_body_ends_inside_an_element),
           TEST_OF(e4000_the_rest_of_an_upload_that_broke),
           TEST_OF(e4000_a_newer_upload_has_the_stream),
           TEST_OF(e4001_a_fragment_of_too_many_bytes),
           TEST_OF(e4001_a_fragment_of_too_many_frames),
           TEST_OF(e4001_elements_that_are_not_frames_count_too),
           TEST_OF(e4002_a_fragment_that_lasts_too_long),
           TEST_OF(e4003_is_raised_where_the_next_fragment_begins),
           TEST_OF(e4004_a_cluster_that_does_not_rise), TEST_OF(e4004_does_not_reach_over_sessions),
           TEST_OF(e4004_strictly_a_frame_must_follow_the_last_fragment),
           TEST_OF(e4006_bytes_that_are_no_matroska),
           TEST_OF(e4006_a_second_header_names_no_fragment_but_the_open_one),
           TEST_OF(e4006_tracks_after_the_first_cluster), TEST_OF(e4006_a_header_without_tracks),
           TEST_OF(e4007_a_timestamp_that_overflows), TEST_OF(e4008_the_stream_is_gone),
           TEST_OF(e4009_metadata_beyond_its_limits),
           TEST_OF(e4009_of_leading_tags_names_the_fragment_they_lead),
           TEST_OF(e4009_a_tags_element_of_more_than_64_kib),
           TEST_OF(reserved_triggers_are_allowed_and_counted),
           TEST_OF(e4010_a_block_of_an_unknown_track),
           TEST_OF(e4011_a_declared_track_without_a_frame), TEST_OF(e4012_more_tracks_than_allowed),
           TEST_OF(e5000_what_storage_cannot_explain), TEST_OF(e5001_no_space_or_a_failing_disk),
           TEST_OF(e5001_a_commit_that_fails_later_names_its_own_fragment),
           TEST_OF(a_commit_that_fails_beats_a_later_fault), TEST_OF(every_error_has_its_name))
