/* SPDX-License-Identifier: Apache-2.0 */
/* The fragment assembler: which bytes, times, frames and acknowledgements come of a stream. */
#include "assemble.h"
#include "test.h"

TEST(each_cluster_becomes_a_fragment_with_its_acks_in_order)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    size_t header_len = rig.in.len;
    uint8_t header[512];
    memcpy(header, rig.in.ptr, header_len);
    make_fragment(&rig.in, 1000);
    make_fragment(&rig.in, 1120);

    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_string_equal(rig_acks(&rig), "B1000#1 R1000#1 B1120#2 P1000#1 R1120#2 P1120#2 ");
    assert_int_equal(fake.header.len, header_len);
    assert_memory_equal(fake.header.ptr, header, header_len);
    struct kn_buf want;
    kn_buf_init(&want, MIB(1));
    make_fragment(&want, 1000);
    assert_int_equal(fake.fragments[0].bytes.len, want.len);
    assert_memory_equal(fake.fragments[0].bytes.ptr, want.ptr, want.len);
    kn_buf_done(&want);
    rig_stop(&rig);
}

TEST(frames_are_tabled_with_offset_size_time_and_key)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 5);

    assert_ok(rig_feed(&rig, 1));
    assert_ok(rig_finish(&rig));

    const struct fake_fragment *f = &fake.fragments[0];
    assert_int_equal(f->frame_count, 3);
    assert_true(f->frames[0].key);
    assert_false(f->frames[1].key);
    assert_int_equal(f->frames[1].time, 40);
    assert_int_equal(f->frames[2].bytes, 30);
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < f->frames[i].bytes; j++)
            assert_int_equal(f->bytes.ptr[f->frames[i].offset + j], i ? 'p' : 'k');
    rig_stop(&rig);
}

/* 80 ms between first and last; the last lasts as long as the one before it. */
TEST(durations_are_last_minus_first_and_full)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 5);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_int_equal(fake.fragments[0].commit.duration_ms, 80);
    assert_int_equal(fake.fragments[0].commit.full_duration_ms, 120);
    rig_stop(&rig);
}

TEST(metadata_beside_pictures_does_not_lengthen_a_fragment)
{
    static const struct kn_mkv_header header = {
        .timestamp_scale_ns = 1000000,
        .track_count = 2,
        .tracks = {{.number = 1,
                    .type = KN_MKV_VIDEO,
                    .codec_id = "V_MPEG4/ISO/AVC",
                    .pixel_width = 640,
                    .pixel_height = 360},
                   {.number = 2, .type = KN_MKV_OTHER, .codec_id = "D_ONVIF/METADATA"}}
    };
    struct rig rig;
    rig_start(&rig);
    assert_ok(kn_mkv_write_header(&rig.in, &header, KN_STR("test")));
    make_fragment(&rig.in, 5);
    make_block(&rig.in, 2, 10, true, 10, '<');
    make_block(&rig.in, 2, 70, true, 10, '<'); /* the next one may be hours away */
    make_cluster(&rig.in, 125);
    make_block(&rig.in, 1, 0, true, 10, 'k');
    make_block(&rig.in, 1, 40, false, 10, 'p');
    make_block(&rig.in, 2, 900, true, 10, '<');
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_int_equal(fake.fragments[0].frame_count, 5);
    assert_int_equal(fake.fragments[0].commit.duration_ms, 80);
    assert_int_equal(fake.fragments[0].commit.full_duration_ms, 120);
    assert_int_equal(fake.fragments[1].commit.duration_ms, 40);
    assert_int_equal(fake.fragments[1].commit.full_duration_ms, 80);
    rig_stop(&rig);
}

TEST(b_frames_do_not_shorten_a_fragment)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_cluster(&rig.in, 0);
    static const int16_t times[] = {0, 120, 40, 80, 240, 160, 200}; /* decode order */
    for (size_t i = 0; i < KN_ARRAY_LEN(times); i++)
        make_block(&rig.in, 1, times[i], i == 0, 10, 'b');
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_int_equal(fake.fragments[0].commit.duration_ms, 240);
    assert_int_equal(fake.fragments[0].commit.full_duration_ms, 280);
    rig_stop(&rig);
}

/* A Cluster as ffmpeg makes them: a picture that waits for B-frames comes 80 ms after the sound
 * that is sent before it, and so does its end. */
static void make_sound_ahead(struct kn_buf *b, uint64_t timecode)
{
    make_cluster(b, timecode);
    for (int16_t at = 0; at < 400; at = (int16_t) (at + 20))
        make_block(b, 2, at, true, 10, 'a');
    for (int16_t at = 80; at < 480; at = (int16_t) (at + 40))
        make_block(b, 1, at, at == 80, 10, 'v');
}

TEST(sound_ahead_of_pictures_neither_lengthens_a_fragment_nor_breaks_a_seam)
{
    static const struct kn_mkv_header header = {
        .timestamp_scale_ns = 1000000,
        .track_count = 2,
        .tracks = {{.number = 1,
                    .type = KN_MKV_VIDEO,
                    .codec_id = "V_MPEG4/ISO/AVC",
                    .pixel_width = 640,
                    .pixel_height = 360},
                   {.number = 2, .type = KN_MKV_AUDIO, .codec_id = "A_AAC", .sampling_hz = 48000}}
    };
    static const struct {
        bool broken;
        uint32_t ms, full_ms;
    } want[] = {
        {true,  360, 400 }, /* begins with a picture, and its sound ends early */
        {false, 360, 400 },
        {false, 360, 400 }, /* its sound is 100 ms longer */
        {false, 980, 1000}, /* sound goes on without pictures */
        {true,  360, 400 }, /* 100 ms too late */
        {true,  360, 400 }, /* 100 ms too early */
    };
    struct rig rig;
    rig_start(&rig);
    assert_ok(kn_mkv_write_header(&rig.in, &header, KN_STR("test")));
    make_cluster(&rig.in, 0);
    for (int16_t at = 0; at < 400; at = (int16_t) (at + 40))
        make_block(&rig.in, 1, at, at == 0, 10, 'v');
    for (int16_t at = 0; at < 320; at = (int16_t) (at + 20))
        make_block(&rig.in, 2, at, true, 10, 'a');
    make_sound_ahead(&rig.in, 320);
    make_cluster(&rig.in, 720);
    for (int16_t at = 80; at < 480; at = (int16_t) (at + 40))
        make_block(&rig.in, 1, at, at == 80, 10, 'v');
    for (int16_t at = 0; at < 500; at = (int16_t) (at + 20))
        make_block(&rig.in, 2, at, true, 10, 'a');
    make_cluster(&rig.in, 1200);
    make_block(&rig.in, 1, 80, true, 10, 'v');
    for (int16_t at = 0; at < 1000; at = (int16_t) (at + 20))
        make_block(&rig.in, 2, at, true, 10, 'a');
    make_sound_ahead(&rig.in, 2300);
    make_sound_ahead(&rig.in, 2600);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    for (unsigned i = 0; i < KN_ARRAY_LEN(want); i++) {
        const struct fake_fragment *f = &fake.fragments[i];
        assert_int_equal((f->begin.flags & STORAGE_FRAGMENT_DISCONTINUITY) != 0, want[i].broken);
        assert_int_equal(f->commit.duration_ms, want[i].ms);
        assert_int_equal(f->commit.full_duration_ms, want[i].full_ms);
    }
    rig_stop(&rig);
}

TEST(block_groups_give_keys_and_durations)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_cluster(&rig.in, 0);
    make_group(&rig.in, 1, 0, 0, false, 10, 'k');
    make_group(&rig.in, 1, 40, 500, true, 10, 'p');
    assert_ok(rig_feed(&rig, 1));
    assert_ok(rig_finish(&rig));

    const struct fake_fragment *f = &fake.fragments[0];
    assert_int_equal(f->frame_count, 2);
    assert_true(f->frames[0].key);
    assert_false(f->frames[1].key);
    assert_int_equal(f->bytes.ptr[f->frames[1].offset], 'p');
    assert_int_equal(f->commit.full_duration_ms, 540); /* BlockDuration counts */
    rig_stop(&rig);
}

TEST(each_lace_is_a_frame_with_a_time_of_its_own)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 0, 1, 1000000); /* AAC, 48 kHz: 21.33 ms a frame */
    make_cluster(&rig.in, 0);
    static const uint8_t laced[] = "\x81\0\0\x82\x02\x01\x02"
                                   "abbccc";
    kn_mkv_write_bytes(&rig.in, KN_MKV_SIMPLE_BLOCK, (struct kn_bytes){laced, sizeof laced - 1});
    assert_ok(rig_feed(&rig, 1));
    assert_ok(rig_finish(&rig));

    const struct fake_fragment *f = &fake.fragments[0];
    assert_int_equal(f->frame_count, 3);
    assert_int_equal(f->frames[1].time, 21);
    assert_int_equal(f->frames[2].time, 43);
    assert_memory_equal(f->bytes.ptr + f->frames[1].offset, "bb", 2);
    assert_memory_equal(f->bytes.ptr + f->frames[2].offset, "ccc", 3);
    rig_stop(&rig);
}

/* rules of the log, 5: leading Tags, Cluster, trailing Tags */
TEST(tags_between_clusters_belong_to_the_one_before)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_tags(&rig.in, "first", "leads", false);
    make_fragment(&rig.in, 1);
    make_tags(&rig.in, "second", "trails", false);
    make_fragment(&rig.in, 200);
    assert_ok(rig_feed(&rig, 7));
    assert_ok(rig_finish(&rig));

    const struct fake_fragment *f = &fake.fragments[0];
    assert_true(f->commit.cluster_offset > 0);
    assert_non_null(memmem(f->bytes.ptr, f->commit.cluster_offset, "first", 5));
    uint64_t end = f->commit.cluster_offset + f->commit.cluster_bytes;
    assert_non_null(memmem(f->bytes.ptr + end, f->bytes.len - end, "second", 6));
    assert_null(memmem(fake.header.ptr, fake.header.len, "first", 5));
    assert_int_equal(fake.fragments[1].commit.cluster_offset, 0);
    rig_stop(&rig);
}

/* producer rule 2 */
TEST(the_end_tag_commits_at_once)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 10);
    make_tags(&rig.in, "meta", "x", false);
    make_end_tag(&rig.in);

    assert_ok(rig_feed(&rig, 0));

    assert_string_equal(rig_acks(&rig), "B10#1 R10#1 P10#1 ");
    assert_int_equal(fake.fragments[0].commit.flags, STORAGE_FRAGMENT_END_TAG);
    assert_true(fake.fragments[0].commit.flush_soon);
    assert_non_null(
        memmem(fake.fragments[0].bytes.ptr, fake.fragments[0].bytes.len, "END_OF_FRAGMENT", 15));

    make_tags(&rig.in, "persistent", "again", false); /* leads the next one */
    make_fragment(&rig.in, 500);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));
    assert_true(fake.fragments[1].commit.cluster_offset > 0);
    rig_stop(&rig);
}

TEST(a_second_end_tag_ends_nothing)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_end_tag(&rig.in);
    make_fragment(&rig.in, 10);
    make_end_tag(&rig.in);
    make_end_tag(&rig.in);
    make_fragment(&rig.in, 500);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_int_equal(fake_writer_count(FAKE_COMMITTED), 2);
    assert_int_equal(fake.fragments[1].commit.cluster_offset, 0);
    rig_stop(&rig);
}

TEST(a_block_after_the_end_tag_is_4006_and_the_commit_stands)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 10);
    make_end_tag(&rig.in);
    make_block(&rig.in, 1, 120, false, 10, 'x');

    assert_int_equal(rig_feed(&rig, 0), -ECANCELED);

    assert_string_equal(rig_fault(&rig), "4006@-#-");
    assert_non_null(strstr(ingest_assembler_fault(rig.a)->text, "SimpleBlock (0xA3) at byte "));
    assert_int_equal(fake_writer_count(FAKE_COMMITTED), 1);
    rig_stop(&rig);
}

/* producer rule 3 */
TEST(acks_carry_the_timecode_as_sent_whatever_the_scale)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 10000000); /* 10 ms */
    make_fragment(&rig.in, 179537899589);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_string_equal(rig_acks(&rig), "B179537899589#1 R179537899589#1 P179537899589#1 ");
    assert_true(fake.fragments[0].begin.producer_ts_ms == 1795378995890);
    assert_int_equal(fake.fragments[0].commit.duration_ms, 800);
    rig_stop(&rig);
}

TEST(relative_timecodes_count_from_the_start_header)
{
    struct rig rig;
    rig_start(&rig);
    ingest_assembler_free(rig.a);
    rig_open(&rig, true, 1795378995092);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 0);
    make_fragment(&rig.in, 120);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_true(fake.fragments[0].begin.producer_ts_ms == 1795378995092);
    assert_true(fake.fragments[1].begin.producer_ts_ms == 1795378995212);
    assert_int_equal(fake.fragments[0].begin.flags,
                     STORAGE_FRAGMENT_RELATIVE | STORAGE_FRAGMENT_DISCONTINUITY);
    assert_int_equal(fake.fragments[1].begin.flags, STORAGE_FRAGMENT_RELATIVE);
    rig_stop(&rig);
}

/* rules of the log, 34 */
TEST(clusters_at_zero_are_legal_under_absolute)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 0);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_true(fake.fragments[0].begin.producer_ts_ms == 0);
    assert_string_equal(rig_acks(&rig), "B0#1 R0#1 P0#1 ");
    rig_stop(&rig);
}

TEST(gaps_new_headers_and_first_sessions_are_discontinuities)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 1000); /* ends at 1120 */
    make_fragment(&rig.in, 1120);
    make_fragment(&rig.in, 1300); /* 60 ms late */
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));
    ingest_assembler_free(rig.a);
    rig_open(&rig, false, 0); /* roll-over: same header, goes on where the other ended */
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 1420);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));
    ingest_assembler_free(rig.a);
    rig_open(&rig, false, 0); /* the same, with other tracks */
    make_header(&rig.in, 2, 0, 1000000);
    make_fragment(&rig.in, 1540);
    make_block(&rig.in, 2, 0, true, 10, 'x');
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    static const bool want[] = {true, false, true, false, true};
    for (size_t i = 0; i < KN_ARRAY_LEN(want); i++)
        assert_int_equal(!!(fake.fragments[i].begin.flags & STORAGE_FRAGMENT_DISCONTINUITY),
                         want[i]);
    rig_stop(&rig);
}

TEST(retention_zero_is_received_but_never_persisted)
{
    struct rig rig;
    rig_start(&rig);
    fake.memory = true;
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 10);
    assert_ok(rig_feed(&rig, 0));
    assert_ok(rig_finish(&rig));

    assert_string_equal(rig_acks(&rig), "B10#1 R10#1 ");
    rig_stop(&rig);
}

TEST(a_duplicate_is_persisted_under_the_stored_number)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 10);
    make_end_tag(&rig.in);
    ssize_t n = ingest_assembler_feed(rig.a, kn_buf_bytes(&rig.in));
    assert_int_equal(n, rig.in.len);
    struct storage_fragment stored;
    assert_true(fake_writer_complete(&stored));
    stored.number.seq = 77;
    stored.timecode = 999; /* sent with another start the first time */

    ingest_assembler_committed(rig.a, &stored, 0);

    rig_collect(&rig);
    assert_string_equal(rig_acks(&rig), "B10#1 R10#1 P10#77 ");
    rig_stop(&rig);
}

TEST(back_pressure_at_any_byte_loses_and_doubles_nothing)
{
    struct kn_buf file;
    kn_buf_init(&file, MIB(16));
    assert_true(make_from_capture(&file, "c164_persistmeta_2_tags_before_cluster.mkv"));
    struct rig free_run, slow;
    rig_start(&free_run);
    kn_buf_append(&free_run.in, file.ptr, file.len);
    assert_ok(rig_feed(&free_run, 0));
    assert_ok(rig_finish(&free_run));
    assert_int_equal(fake.count, 3);
    struct kn_buf want;
    kn_buf_init(&want, MIB(16));
    for (size_t i = 0; i < fake.count; i++)
        kn_buf_append(&want, fake.fragments[i].bytes.ptr, fake.fragments[i].bytes.len);
    char acks[512];
    snprintf(acks, sizeof acks, "%s", rig_acks(&free_run));
    rig_stop(&free_run);

    uint64_t seed = test_seed();
    for (int round = 0; round < 8; round++) {
        rig_start(&slow);
        fake.room = 1 + test_random(&seed) % 50;
        kn_buf_append(&slow.in, file.ptr, file.len);
        struct kn_bytes left = kn_buf_bytes(&slow.in);
        while (left.len) {
            size_t piece = (size_t) kn_min_u64(left.len, 1 + test_random(&seed) % 3000);
            ssize_t n = ingest_assembler_feed(slow.a, (struct kn_bytes){left.ptr, piece});
            assert_true(n >= 0);
            left.ptr += n;
            left.len -= (size_t) n;
            rig_complete(&slow, 0);
            if ((size_t) n < piece)
                fake.room = 1 + test_random(&seed) % (round ? 700 : 3);
        }
        assert_ok(rig_finish(&slow));
        assert_true(fake.shorts > 10);
        size_t at = 0;
        for (size_t i = 0; i < fake.count; i++) {
            assert_memory_equal(fake.fragments[i].bytes.ptr, want.ptr + at,
                                fake.fragments[i].bytes.len);
            at += fake.fragments[i].bytes.len;
        }
        assert_int_equal(at, want.len);
        rig_stop(&slow);
    }
    kn_buf_done(&want);
    kn_buf_done(&file);
}

TEST(every_capture_is_taken_without_a_fault)
{
    static const struct {
        const char *name;
        size_t fragments;
    } captures[] = {
        {"c164_err5000_session2_resend.mkv",           6 },
        {"c164_h264_aac_abs_tc0.mkv",                  5 },
        {"c164_h264_abs_eofr_meta.mkv",                5 },
        {"c164_h265_abs_eofr_meta.mkv",                5 },
        {"c164_persistmeta_1_cut.mkv",                 3 },
        {"c164_persistmeta_2_tags_before_cluster.mkv", 3 },
        {"sink360_h264_aac_abs.mkv",                   4 },
        {"sink360_h264_abs.mkv",                       4 },
        {"sink360_h264_rel.mkv",                       4 },
        {"sink360_h264_scale10ms.mkv",                 3 },
        {"sink360_rollover_session1.mkv",              37},
        {"sink360_rollover_session2.mkv",              13},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(captures); i++) {
        struct rig rig;
        rig_start(&rig);
        assert_true(make_from_capture(&rig.in, captures[i].name));
        int r = rig_feed(&rig, 1000);
        if (r == 0)
            r = rig_finish(&rig);
        if (r < 0)
            print_message("%s: %s %s\n", captures[i].name, rig_fault(&rig),
                          ingest_assembler_fault(rig.a)->text);
        assert_ok(r);
        assert_int_equal(fake_writer_count(FAKE_COMMITTED), captures[i].fragments);
        for (size_t j = 1; j < fake.count; j++)
            assert_false(fake.fragments[j].begin.flags & STORAGE_FRAGMENT_DISCONTINUITY);
        rig_stop(&rig);
    }
}

TEST(an_unread_client_stops_the_upload_before_the_queue_overflows)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    for (unsigned i = 0; i < 500; i++)
        make_fragment(&rig.in, 1 + i * 120);
    struct kn_bytes left = kn_buf_bytes(&rig.in);
    unsigned stalls = 0;
    while (left.len) {
        ssize_t n = ingest_assembler_feed(rig.a, left);
        assert_true(n >= 0);
        stalls += n == 0;
        left.ptr += n;
        left.len -= (size_t) n;
        struct storage_fragment done;
        if (fake_writer_complete(&done))
            ingest_assembler_committed(rig.a, &done, 0);
        else
            rig_collect(&rig); /* only now does the client read */
    }
    assert_ok(rig_finish(&rig));

    assert_true(stalls > 0);
    assert_int_equal(fake_writer_count(FAKE_COMMITTED), 500);
    rig_stop(&rig);
}

TEST(silence_commits_a_fragment_only_at_a_whole_element)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_fragment(&rig.in, 10);
    rig.in.len -= 5;
    assert_ok(rig_feed(&rig, 0));

    assert_int_equal(ingest_assembler_close_fragment(rig.a), -EAGAIN);
    MAKE_RAW(&rig.in, "ppppp");
    assert_ok(rig_feed(&rig, 0));
    assert_ok(ingest_assembler_close_fragment(rig.a));
    assert_int_equal(ingest_assembler_close_fragment(rig.a), -ENOENT);
    rig_complete(&rig, 0);
    assert_string_equal(rig_acks(&rig), "B10#1 R10#1 P10#1 ");

    make_block(&rig.in, 1, 120, false, 5, 'x');
    assert_int_equal(rig_feed(&rig, 0), -ECANCELED);
    assert_string_equal(rig_fault(&rig), "4000@-#-");
    rig_stop(&rig);
}

TEST(files_of_ffmpeg_and_mkvmerge_are_taken_without_their_furniture)
{
    struct rig rig;
    rig_start(&rig);
    make_header(&rig.in, 1, 0, 1000000);
    make_tags(&rig.in, "ENCODER", "Lavf", true); /* stays in the header */
    make_fragment(&rig.in, 0);
    MAKE_RAW(&rig.in, "\x1c\x53\xbb\x6b\x83zzz"); /* Cues */
    for (int i = 0; i < 14; i++)                  /* mkvmerge's statistics: no limit on these */
        make_tags(&rig.in, "BPS", "1", true);
    assert_ok(rig_feed(&rig, 3));
    assert_ok(rig_finish(&rig));

    assert_int_equal(fake_writer_count(FAKE_COMMITTED), 1);
    assert_non_null(memmem(fake.header.ptr, fake.header.len, "Lavf", 4));
    assert_null(memmem(fake.fragments[0].bytes.ptr, fake.fragments[0].bytes.len, "zzz", 3));
    rig_stop(&rig);
}

TESTS_MAIN(TEST_OF(each_cluster_becomes_a_fragment_with_its_acks_in_order),
           TEST_OF(frames_are_tabled_with_offset_size_time_and_key),
           TEST_OF(durations_are_last_minus_first_and_full),
           TEST_OF(metadata_beside_pictures_does_not_lengthen_a_fragment),
           TEST_OF(b_frames_do_not_shorten_a_fragment),
           TEST_OF(sound_ahead_of_pictures_neither_lengthens_a_fragment_nor_breaks_a_seam),
           TEST_OF(block_groups_give_keys_and_durations),
           TEST_OF(each_lace_is_a_frame_with_a_time_of_its_own),
           TEST_OF(tags_between_clusters_belong_to_the_one_before),
           TEST_OF(the_end_tag_commits_at_once), TEST_OF(a_second_end_tag_ends_nothing),
           TEST_OF(a_block_after_the_end_tag_is_4006_and_the_commit_stands),
           TEST_OF(acks_carry_the_timecode_as_sent_whatever_the_scale),
           TEST_OF(relative_timecodes_count_from_the_start_header),
           TEST_OF(clusters_at_zero_are_legal_under_absolute),
           TEST_OF(gaps_new_headers_and_first_sessions_are_discontinuities),
           TEST_OF(retention_zero_is_received_but_never_persisted),
           TEST_OF(a_duplicate_is_persisted_under_the_stored_number),
           TEST_OF(back_pressure_at_any_byte_loses_and_doubles_nothing),
           TEST_OF(every_capture_is_taken_without_a_fault),
           TEST_OF(an_unread_client_stops_the_upload_before_the_queue_overflows),
           TEST_OF(silence_commits_a_fragment_only_at_a_whole_element),
           TEST_OF(files_of_ffmpeg_and_mkvmerge_are_taken_without_their_furniture))
