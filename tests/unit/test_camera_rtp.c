/* SPDX-License-Identifier: Apache-2.0 */
/* What cameras offer and send becomes frames: each whole one, and none that misses a packet. */
#include "rtp.h"
#include "test.h"

#include "core/crypto.h"
#include "core/sps.h"

/* x264's and x265's, as a camera sends them. */
#define SPS  "67640028acd940780227e5c04400000fa40003a9803c60c65801"
#define PPS  "68ebe3cb22c0"
#define SPS2 "6764001eacd940b424d8088000000300800000190f8a14cb"
enum {
    FRAMES_MAX = 32,
    FRAME_BYTES = 8192
};

struct rig {
    struct camera_rtp rtp;
    uint16_t sequence;
    uint32_t time;
    unsigned described, count;
    struct frame {
        uint32_t time;
        bool key;
        size_t len;
        uint8_t bytes[FRAME_BYTES];
    } frames[FRAMES_MAX];
    bool lose; /* packets, from now on */
};

static void on_described(void *ctx)
{
    struct rig *rig = ctx;
    rig->described++;
}

static void on_frame(void *ctx, uint32_t time, bool key, struct kn_bytes bytes)
{
    struct rig *rig = ctx;
    assert_true(rig->count < FRAMES_MAX && bytes.len <= FRAME_BYTES);
    struct frame *frame = &rig->frames[rig->count++];
    *frame = (struct frame){.time = time, .key = key, .len = bytes.len};
    memcpy(frame->bytes, bytes.ptr, bytes.len);
}

static int setup(struct rig *rig, const char *lines)
{
    static const struct camera_rtp_ops ops = {on_described, on_frame};
    struct camera_sdp sdp;
    *rig = (struct rig){.sequence = 65530};
    camera_sdp_read(kn_str_from(lines), &sdp);
    assert_int_equal(sdp.count, 1);
    return camera_rtp_init(&rig->rtp, &sdp.media[0], &ops, rig);
}

static void packet(struct rig *rig, struct kn_bytes payload, bool marker)
{
    uint8_t bytes[2048] = {0x80, (uint8_t) (96 | (marker ? 0x80 : 0))};
    assert_true(12 + payload.len <= sizeof bytes);
    kn_put_u16be(bytes + 2, rig->sequence++);
    kn_put_u32be(bytes + 4, rig->time);
    memcpy(bytes + 12, payload.ptr, payload.len);
    if (!rig->lose)
        camera_rtp_packet(&rig->rtp, (struct kn_bytes){bytes, 12 + payload.len});
}

static void packet_hex(struct rig *rig, const char *hex, bool marker)
{
    uint8_t bytes[512];
    size_t len = strlen(hex) / 2;
    assert_ok(kn_hex_decode(kn_str_from(hex), bytes, len));
    packet(rig, (struct kn_bytes){bytes, len}, marker);
}

static void assert_frame(const struct rig *rig, unsigned at, uint32_t time, bool key,
                         const char *hex)
{
    char found[2 * FRAME_BYTES + 1];
    assert_true(at < rig->count);
    kn_hex_encode((struct kn_bytes){rig->frames[at].bytes, rig->frames[at].len}, found);
    assert_string_equal(found, hex);
    assert_int_equal(rig->frames[at].time, time);
    assert_int_equal(rig->frames[at].key, key);
}

static const char h264[] = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                           "a=fmtp:96 packetization-mode=1\r\n";

static void sets(struct rig *rig)
{
    packet_hex(rig, SPS, false);
    packet_hex(rig, PPS, false);
}

TEST(parameter_sets_move_to_the_description_and_units_get_lengths)
{
    struct rig rig;
    struct kn_sps facts;
    assert_ok(setup(&rig, h264));
    sets(&rig);
    assert_int_equal(rig.described, 0);
    packet_hex(&rig, "658811", true); /* IDR, first_mb 0, I */
    assert_int_equal(rig.described, 1);
    assert_string_equal(rig.rtp.track.codec_id, "V_MPEG4/ISO/AVC");
    assert_int_equal(rig.rtp.track.pixel_width, 1920);
    assert_int_equal(rig.rtp.track.pixel_height, 1080);
    assert_memory_equal(rig.rtp.track.codec_private.ptr, "\x01\x64\x00\x28\xff\xe1\x00\x1a", 8);
    assert_frame(&rig, 0, 0, true, "00000003658811");
    sets(&rig); /* again, the same */
    rig.time = 3000;
    packet_hex(&rig, "419a22", true);
    assert_int_equal(rig.described, 1);
    assert_frame(&rig, 1, 3000, false, "00000003419a22");
    packet_hex(&rig, SPS2, false); /* other ones in mid-stream */
    rig.time = 6000;
    packet_hex(&rig, "658811", true);
    assert_int_equal(rig.described, 2);
    assert_int_equal(rig.rtp.track.pixel_width, 720);
    assert_ok(kn_sps_h264(kn_buf_bytes(&rig.rtp.sets.items[0].bytes), &facts, NULL));
    camera_rtp_done(&rig.rtp);
}

TEST(units_come_alone_together_and_in_parts)
{
    struct rig rig;
    assert_ok(setup(&rig, h264));
    sets(&rig);
    packet_hex(&rig, "18000306b0800003658811", false); /* STAP-A: SEI, IDR */
    packet_hex(&rig, "7c8588aa", false);               /* FU-A: start, … */
    packet_hex(&rig, "7c05bb", false);
    packet_hex(&rig, "7c45cc", true);
    assert_int_equal(rig.count, 1);
    assert_frame(&rig, 0, 0, true, "0000000306b08000000003658811000000056588aabbcc");
    camera_rtp_done(&rig.rtp);
}

TEST(an_empty_unit_is_none_and_one_within_another_spoils_the_frame)
{
    struct rig rig;
    assert_ok(setup(&rig, h264));
    sets(&rig);
    packet_hex(&rig, "7800000003658811", true); /* STAP-A */
    assert_frame(&rig, 0, 0, true, "00000003658811");
    rig.time += 3600;
    packet_hex(&rig, "7c858811", false); /* FU-A: its beginning, */
    packet_hex(&rig, "418822", false);
    packet_hex(&rig, "7c4522", true); /* and its end */
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.rtp.damaged, 1);
    rig.time += 3600;
    packet_hex(&rig, "658811", true);
    assert_frame(&rig, 1, rig.time, true, "00000003658811");
    camera_rtp_done(&rig.rtp);
}

TEST(a_frame_that_misses_a_packet_is_left_out_and_no_other)
{
    for (unsigned missing = 0; missing < 9; missing++) { /* each of the packets of three frames */
        struct rig rig;
        assert_ok(setup(&rig, h264));
        sets(&rig);
        rig.time = 1;
        packet_hex(&rig, "658811", true);
        for (unsigned i = 0; i < 9; i++) {
            static const char *const parts[] = {"7c8188aa", "7c01bb", "7c41cc"};
            rig.time = 100 + i / 3;
            rig.lose = i == missing;
            packet_hex(&rig, parts[i % 3], i % 3 == 2);
        }
        rig.lose = false;
        rig.time = 200;
        packet_hex(&rig, "419a22", true);
        assert_int_equal(rig.count, 4);
        assert_int_equal(rig.rtp.lost, 1);
        assert_int_equal(rig.rtp.damaged, 1);
        for (unsigned i = 0, at = 1; i < 3; i++) {
            if (i != missing / 3)
                assert_frame(&rig, at++, 100 + i, false, "000000056188aabbcc");
        }
        assert_frame(&rig, 3, 200, false, "00000003419a22");
        camera_rtp_done(&rig.rtp);
    }
}

TEST(what_comes_twice_or_from_before_passes_by_and_one_that_began_anew_is_heard)
{
    struct rig rig;
    assert_ok(setup(&rig, h264));
    sets(&rig);
    packet_hex(&rig, "658811", true);
    rig.sequence -= 2;
    rig.time = 5;
    packet_hex(&rig, "419a22", true);
    rig.sequence++;
    assert_int_equal(rig.count, 1);
    rig.sequence -= 1000;
    for (unsigned i = 0; i < 3; i++, rig.time += 3000)
        packet_hex(&rig, "419a22", true);
    assert_int_equal(rig.count, 3);
    camera_rtp_done(&rig.rtp);
}

TEST(pictures_without_marks_and_with_a_mark_on_each_slice_are_told_apart_by_time)
{
    struct rig rig;
    assert_ok(setup(&rig, h264));
    sets(&rig);
    for (unsigned i = 0; i < 3; i++, rig.time += 3000)
        packet_hex(&rig, "419a22", false);
    assert_int_equal(rig.count, 2);
    for (unsigned i = 0; i < 4; i++, rig.time += 3000) {
        packet_hex(&rig, "419a22", true);
        packet_hex(&rig, "414a22", true); /* not the first macroblock */
    }
    assert_frame(&rig, rig.count - 1, rig.time - 6000, false, "00000003419a2200000003414a22");
    camera_rtp_done(&rig.rtp);
}

TEST(a_recovery_point_with_an_intra_picture_is_a_key_frame)
{
    struct rig rig;
    assert_ok(setup(&rig, h264));
    sets(&rig);
    packet_hex(&rig, "0606018480", false);
    packet_hex(&rig, "41b822", true); /* first_mb 0, slice_type 7 is I: 1 0001000 … */
    assert_int_equal(rig.count, 1);
    camera_rtp_done(&rig.rtp);
}

TEST(h265_in_units_of_two_bytes_head)
{
    struct rig rig;
    assert_ok(setup(&rig, "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"));
    packet_hex(&rig,
               "40010c01ffff0160000003000003000003000003"
               "0096ac0c0000030004000003006540",
               false);
    packet_hex(&rig,
               "4201010160000003000003000003000003009"
               "6a005020169636b924c9ae59c0200000300020000030032",
               false);
    packet_hex(&rig, "440101e076b02640", false);
    packet_hex(&rig, "6201938811", false); /* FU of IDR_W_RADL: start */
    packet_hex(&rig, "62015322", true);    /* … end */
    assert_int_equal(rig.described, 1);
    assert_string_equal(rig.rtp.track.codec_id, "V_MPEGH/ISO/HEVC");
    assert_int_equal(rig.rtp.track.pixel_width, 640);
    assert_frame(&rig, 0, 0, true, "000000052601881122");
    camera_rtp_done(&rig.rtp);
}

TEST(aac_in_several_units_and_in_several_packets)
{
    struct rig rig;
    assert_ok(setup(&rig, "m=audio 0 RTP/AVP 96\r\na=rtpmap:96 mpeg4-generic/16000/1\r\n"
                          "a=fmtp:96 streamtype=5; mode=AAC-hbr; config=1408; SizeLength=13; "
                          "IndexLength=3; IndexDeltaLength=3\r\n"));
    assert_int_equal(rig.described, 1);
    assert_int_equal(rig.rtp.track.channels, 1);
    assert_int_equal((int) rig.rtp.track.sampling_hz, 16000);
    packet_hex(&rig, "002000100018aabbccddee", true); /* units of 2 and 3 bytes */
    assert_frame(&rig, 0, 0, true, "aabb");
    assert_frame(&rig, 1, 1024, true, "ccddee");
    rig.time = 2048;
    packet_hex(&rig, "00100020aabb", false); /* a unit of 4 bytes in two packets */
    packet_hex(&rig, "00100020ccdd", true);
    assert_frame(&rig, 2, 2048, true, "aabbccdd");
    rig.time = 3072;
    packet_hex(&rig, "00100020aabb", false);
    rig.sequence++;
    packet_hex(&rig, "00100020ccdd", true);
    assert_int_equal(rig.count, 3);
    camera_rtp_done(&rig.rtp);
}

TEST(g711_by_its_number_alone_and_opus)
{
    struct rig rig;
    assert_ok(setup(&rig, "m=audio 0 RTP/AVP 8\r\n"));
    assert_string_equal(rig.rtp.track.codec_id, "A_MS/ACM");
    assert_int_equal(rig.rtp.track.codec_private.ptr[0], 6);
    camera_rtp_done(&rig.rtp);
    assert_ok(setup(&rig, "m=audio 0 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n"));
    packet_hex(&rig, "fc0102", true);
    assert_int_equal(rig.rtp.track.channels, 2);
    assert_frame(&rig, 0, 0, true, "fc0102");
    camera_rtp_done(&rig.rtp);
}

TEST(onvif_metadata_are_documents_that_end_with_a_mark)
{
    struct rig rig;
    assert_ok(setup(&rig, "m=application 0 RTP/AVP 96\na=rtpmap:96 vnd.onvif.metadata/90000\n"));
    assert_true(rig.described == 1 && rig.rtp.track.type == KN_MKV_OTHER);
    assert_string_equal(rig.rtp.track.codec_id, CAMERA_METADATA_CODEC_ID);
    rig.time = 900;
    packet_hex(&rig, "3c61", false);
    rig.time = 901; /* cameras do not agree whether a document has one time */
    packet_hex(&rig, "2f3e", true);
    assert_frame(&rig, 0, 900, true, "3c612f3e");
    packet_hex(&rig, "3c622f3e", true);
    assert_frame(&rig, 1, 901, true, "3c622f3e");
    rig.lose = true;
    packet_hex(&rig, "3c63", false);
    rig.lose = false;
    packet_hex(&rig, "2f3e", true); /* the end of one whose start is lost */
    packet_hex(&rig, "3c642f3e", true);
    assert_int_equal(rig.count, 3);
    assert_frame(&rig, 2, 901, true, "3c642f3e");
    assert_int_equal(rig.rtp.damaged, 1);
    uint8_t bytes[1400] = {'<'};
    for (size_t sent = 0; sent <= CAMERA_RTP_DOCUMENT_BYTES_MAX; sent += sizeof bytes)
        packet(&rig, (struct kn_bytes){bytes, sizeof bytes}, false);
    packet_hex(&rig, "2f3e", true); /* of one that is too large */
    packet_hex(&rig, "3c652f3e", true);
    assert_int_equal(rig.count, 4);
    assert_frame(&rig, 3, 901, true, "3c652f3e");
    assert_int_equal(rig.rtp.damaged, 2);
    camera_rtp_done(&rig.rtp);
}

TEST(what_is_not_known_is_refused)
{
    struct rig rig;
    assert_int_equal(setup(&rig, "m=audio 0 RTP/AVP 96\r\na=rtpmap:96 G726-32/8000\r\n"), -ENOTSUP);
    assert_int_equal(setup(&rig, "m=audio 0 RTP/AVP 96\r\na=rtpmap:96 MPEG4-GENERIC/16000\r\n"),
                     -ENOTSUP);
    assert_int_equal(setup(&rig, "m=audio 0 RTP/AVP 96\r\n"), -ENOTSUP);
}

TEST(a_session_description_of_a_camera_is_read)
{
    struct camera_sdp sdp;
    camera_sdp_read(KN_STR("v=0\r\na=control:rtsp://c/s/\r\nm=video 0 RTP/SAVP 97 98\na=rtpmap:97 "
                           "H264/90000\r\na=fmtp:97 a=1; sprop-parameter-sets=Zg==,aA==;b\r\n"
                           "a=control:trackID=1\r\nm=application 0 TCP/X 1\r\na=control:no\r\n"
                           "m=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n"),
                    &sdp);
    assert_int_equal(sdp.count, 2);
    assert_str_is(sdp.control, "rtsp://c/s/");
    assert_true(sdp.media[0].secure);
    assert_str_is(sdp.media[0].control, "trackID=1");
    assert_str_is(camera_fmtp(sdp.media[0].fmtp, KN_STR("Sprop-Parameter-Sets")), "Zg==,aA==");
    assert_str_is(sdp.media[1].encoding, "PCMU");
    assert_str_is(sdp.media[1].control, "trackID=2");
}

TESTS_MAIN(TEST_OF(parameter_sets_move_to_the_description_and_units_get_lengths),
           TEST_OF(units_come_alone_together_and_in_parts),
           TEST_OF(an_empty_unit_is_none_and_one_within_another_spoils_the_frame),
           TEST_OF(a_frame_that_misses_a_packet_is_left_out_and_no_other),
           TEST_OF(what_comes_twice_or_from_before_passes_by_and_one_that_began_anew_is_heard),
           TEST_OF(pictures_without_marks_and_with_a_mark_on_each_slice_are_told_apart_by_time),
           TEST_OF(a_recovery_point_with_an_intra_picture_is_a_key_frame),
           TEST_OF(h265_in_units_of_two_bytes_head),
           TEST_OF(aac_in_several_units_and_in_several_packets),
           TEST_OF(g711_by_its_number_alone_and_opus),
           TEST_OF(onvif_metadata_are_documents_that_end_with_a_mark),
           TEST_OF(what_is_not_known_is_refused),
           TEST_OF(a_session_description_of_a_camera_is_read))
