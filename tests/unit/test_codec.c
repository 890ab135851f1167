/* SPDX-License-Identifier: Apache-2.0 */
/* Codec private data of real encoders (x264, x265, AWS's producers) against what ffprobe says of
 * the same files, and everything that must be refused. */
#include "test.h"

#include "codec/codec.h"
#include "core/crypto.h"

#define AVCC_1080P                                                                                 \
    "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800"
#define AVCC_576I                                                                                  \
    "0164001effe100186764001eacd940b424d8088000000300800000190f8a14cb01000668fba3cb22c0fdf8f800"
/* with an HRD before it; without B-frames; with B-frames that nothing refers to */
#define AVCC_REORDERS_2                                                                            \
    "0164000dffe100236764000dacd941419f9f011000000300100000030326480030d40061aa4c30078a14cb010005" \
    "68eaecb22cfdf8f800"
#define AVCC_REORDERS_0                                                                            \
    "01640014ffe1001867640014acb60a0cfcf808800000030080000019078a157001000568eaccb22cfdf8f800"
#define AVCC_REORDERS_1                                                                            \
    "01640014ffe1001867640014acd305067e7c0440000003004000000c83c50a4e01000568eaecb22cfdf8f800"
#define HVCC_MAIN10                                                                                \
    "0102200000009000000000005df000fcfdfafa00000f03200001001840010c01ffff0220000003009000000300"   \
    "0003005d959809210001002b42010102200000030090000003000003005da00280802d1365959a4932bc05a020"   \
    "0000030020000003032122000100074401c172b46240"
#define HVCC_PRODUCER_C                                                                            \
    "01010101600000000000000000f000fcfdf8f800000f03200001002340010c01ffff0160000003000003000003"   \
    "0000030096ac0c0000030004000003006540210001002b42010101600000030000030000030000030096a00502"   \
    "0169636b924c9ae59c02000003000200000300321022000100074401e076b02640"

struct sample {
    uint8_t bytes[512];
    struct kn_bytes view;
};

static struct sample from_hex(const char *hex)
{
    struct sample s = {0};
    size_t len = strlen(hex) / 2;
    assert_true(len <= sizeof s.bytes);
    assert_ok(kn_hex_decode(kn_str_from(hex), s.bytes, len));
    s.view.len = len;
    return s;
}

static struct kn_mkv_track track_of(struct sample *s, enum kn_mkv_track_type type, const char *id)
{
    struct kn_mkv_track track = {.number = 1, .type = type};
    assert_ok(kn_str_copy(track.codec_id, sizeof track.codec_id, kn_str_from(id)));
    s->view.ptr = s->bytes;
    track.codec_private = s->view;
    return track;
}

static int parse(const char *hex, enum kn_mkv_track_type type, const char *id,
                 struct playback_codec_info *ret)
{
    struct sample s = from_hex(hex);
    struct kn_mkv_track track = track_of(&s, type, id);
    return playback_codec_parse(&track, ret, NULL);
}

TEST(h264_says_profile_size_and_frame_rate)
{
    struct playback_codec_info info;
    assert_ok(parse(AVCC_1080P, KN_MKV_VIDEO, "V_MPEG4/ISO/AVC", &info));
    assert_string_equal(info.text, "avc1.640028");
    assert_int_equal(info.width, 1920);
    assert_int_equal(info.height, 1080); /* 1088 without the cropping */
    assert_int_equal(info.nal_length_bytes, 4);
    assert_true(info.frames_per_s > 29.96 && info.frames_per_s < 29.98);
}

TEST(h264_interlaced_counts_rows_in_field_pairs)
{
    struct playback_codec_info info;
    assert_ok(parse(AVCC_576I, KN_MKV_VIDEO, "V_MPEG4/ISO/AVC", &info));
    assert_int_equal(info.width, 720);
    assert_int_equal(info.height, 576);
    assert_true(info.frames_per_s == 25);
}

TEST(h264_says_how_far_it_reorders)
{
    static const struct {
        const char *hex;
        uint8_t frames;
    } samples[] = {
        {AVCC_REORDERS_0, 0},
        {AVCC_REORDERS_1, 1},
        {AVCC_REORDERS_2, 2},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        struct playback_codec_info info;
        assert_ok(parse(samples[i].hex, KN_MKV_VIDEO, "V_MPEG4/ISO/AVC", &info));
        assert_int_equal(info.reorder_frames, samples[i].frames);
        assert_true(info.frames_per_s == 25);
    }
}

TEST(h265_says_profile_and_size)
{
    struct playback_codec_info info;
    assert_ok(parse(HVCC_MAIN10, KN_MKV_VIDEO, "V_MPEGH/ISO/HEVC", &info));
    assert_string_equal(info.text, "hvc1.2.4.L93.90");
    assert_int_equal(info.width, 1280);
    assert_int_equal(info.height, 720);
}

TEST(h265_of_producer_c_is_read_from_its_sps)
{
    struct playback_codec_info info;
    assert_ok(parse(HVCC_PRODUCER_C, KN_MKV_VIDEO, "V_MPEGH/ISO/HEVC", &info));
    assert_string_equal(info.text, "hvc1.1.6.L150");
    assert_int_equal(info.width, 640);
    assert_int_equal(info.height, 360);
}

TEST(aac_says_rate_channels_and_object_type)
{
    static const struct {
        const char *hex, *text;
        uint32_t hz, channels, samples;
    } cases[] = {
        {"1190",       "mp4a.40.2", 48000, 2, 1024},
        {"1210",       "mp4a.40.2", 44100, 2, 1024},
        {"121056e500", "mp4a.40.2", 44100, 2, 1024}, /* implicit SBR extension: stays LC */
        {"1588",       "mp4a.40.2", 8000,  1, 1024},
        {"1194",       "mp4a.40.2", 48000, 2, 960 },
        {"2b920800",   "mp4a.40.5", 22050, 2, 1024}, /* SBR said outright */
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct playback_codec_info info;
        assert_ok(parse(cases[i].hex, KN_MKV_AUDIO, "A_AAC", &info));
        assert_string_equal(info.text, cases[i].text);
        assert_int_equal(info.sample_hz, cases[i].hz);
        assert_int_equal(info.channels, cases[i].channels);
        assert_int_equal(info.frame_samples, cases[i].samples);
    }
}

TEST(adts_repeats_what_the_config_says)
{
    struct playback_codec_info info;
    uint8_t head[PLAYBACK_ADTS_BYTES];
    static const uint8_t expected[] = {0xff, 0xf1, 0x50, 0x80, 0x0e, 0x7f, 0xfc};
    assert_ok(parse("1210", KN_MKV_AUDIO, "A_AAC", &info));
    assert_ok(playback_aac_adts(&info, 0x73 - 7, head));
    assert_memory_equal(head, expected, sizeof head);
    assert_int_equal(playback_aac_adts(&info, 8192, head), -EINVAL);
}

/* ffmpeg decodes each of them to so many channels of nothing, without a word. */
TEST(a_silent_frame_has_an_element_for_each_channel_of_the_layout)
{
    static const struct {
        uint32_t channels;
        const char *hex;
    } cases[] = {
        {1, "00000007"                                                },
        {2, "2000000000000e"                                          },
        {3, "0000000100000000000070"                                  },
        {4, "000000010000000000000100000380"                          },
        {5, "0000000100000000000011000000000007"                      },
        {6, "000000010000000000001100000000000300000038"              },
        {8, "00000001000000000000110000000000012000000000003000000380"},
    };
    struct playback_codec_info info = {.codec = PLAYBACK_AAC};
    struct playback_silence silence;
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        char hex[2 * PLAYBACK_SILENCE_BYTES_MAX + 1];
        info.channels = cases[i].channels;
        assert_ok(playback_aac_silence(&info, &silence));
        for (size_t k = 0; k < silence.len; k++)
            (void) snprintf(hex + 2 * k, 3, "%02x", silence.bytes[k]);
        assert_string_equal(hex, cases[i].hex);
    }
    info.channels = 7; /* no layout of its own */
    assert_int_equal(playback_aac_silence(&info, &silence), -EINVAL);
    info = (struct playback_codec_info){.codec = PLAYBACK_ULAW, .channels = 1};
    assert_int_equal(playback_aac_silence(&info, &silence), -EINVAL);
}

TEST(a_missing_or_wrong_private_is_told_apart_from_an_unknown_codec)
{
    struct playback_codec_info info;
    assert_int_equal(parse("", KN_MKV_VIDEO, "V_MPEG4/ISO/AVC", &info), -ENODATA);
    assert_int_equal(parse("", KN_MKV_AUDIO, "A_AAC", &info), -ENODATA);
    assert_int_equal(parse("0000000167640028", KN_MKV_VIDEO, "V_MPEG4/ISO/AVC", &info), -EBADMSG);
    assert_int_equal(parse("01640028ffe0", KN_MKV_VIDEO, "V_MPEG4/ISO/AVC", &info), -EBADMSG);
    assert_int_equal(parse("11", KN_MKV_AUDIO, "A_AAC", &info), -EBADMSG);
    assert_int_equal(parse("fffe", KN_MKV_AUDIO, "A_AAC", &info), -EBADMSG);
    assert_int_equal(parse(AVCC_1080P, KN_MKV_VIDEO, "V_MPEGH/ISO/HEVC", &info), -EBADMSG);
    assert_int_equal(parse("11", KN_MKV_VIDEO, "V_VP9", &info), -EINVAL);
    assert_int_equal(parse("1190", KN_MKV_VIDEO, "A_AAC", &info), -EINVAL);
}

TEST(every_cut_of_a_private_is_refused_or_read_without_overrun)
{
    static const char *const hex[] = {AVCC_1080P, HVCC_MAIN10, "1190"};
    static const char *const ids[] = {"V_MPEG4/ISO/AVC", "V_MPEGH/ISO/HEVC", "A_AAC"};
    for (size_t i = 0; i < KN_ARRAY_LEN(hex); i++) {
        struct sample s = from_hex(hex[i]);
        for (size_t len = 1; len < s.view.len; len++) {
            uint8_t *exact = malloc(len); /* so that the sanitizer sees one byte too far */
            assert_non_null(exact);
            memcpy(exact, s.bytes, len);
            struct kn_mkv_track track = track_of(&s, i == 2 ? KN_MKV_AUDIO : KN_MKV_VIDEO, ids[i]);
            track.codec_private = (struct kn_bytes){exact, len};
            struct playback_codec_info info;
            int r = playback_codec_parse(&track, &info, NULL);
            assert_true(r == 0 || r == -EBADMSG);
            free(exact);
        }
    }
}

static struct kn_mkv_header header_of(struct sample samples[2], const char *first,
                                      const char *second)
{
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000};
    const char *ids[] = {first, second};
    for (size_t i = 0; i < 2 && ids[i]; i++) {
        enum kn_mkv_track_type type = ids[i][0] == 'V' ? KN_MKV_VIDEO : KN_MKV_AUDIO;
        samples[i] = from_hex(!strcmp(ids[i], "V_MPEG4/ISO/AVC")    ? AVCC_1080P
                              : !strcmp(ids[i], "V_MPEGH/ISO/HEVC") ? HVCC_MAIN10
                                                                    : "1190");
        header.tracks[i] = track_of(&samples[i], type, ids[i]);
        header.tracks[i].number = i + 1;
        header.track_count++;
    }
    return header;
}

TEST(tracks_are_chosen_by_the_table_of_the_guide)
{
    static const struct {
        const char *first, *second;
        int fmp4, ts;
        const char *number_1;
    } cases[] = {
        {"V_MPEG4/ISO/AVC",  NULL,              0,       0,       "avc1.640028"    },
        {"V_MPEG4/ISO/AVC",  "A_AAC",           0,       0,       "avc1.640028"    },
        {"A_AAC",            "V_MPEG4/ISO/AVC", 0,       0,       "avc1.640028"    },
        {"V_MPEGH/ISO/HEVC", "A_AAC",           0,       -EINVAL, "hvc1.2.4.L93.90"},
        {"A_AAC",            NULL,              0,       0,       "mp4a.40.2"      },
        {"V_MPEG4/ISO/AVC",  "A_MS/ACM",        -EINVAL, -EINVAL, NULL             },
        {"V_MPEG4/ISO/AVC",  "V_MPEG4/ISO/AVC", -EINVAL, -EINVAL, NULL             },
        {"V_VP9",            NULL,              -EINVAL, -EINVAL, NULL             },
        {NULL,               NULL,              -EINVAL, -EINVAL, NULL             },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct sample samples[2];
        struct kn_mkv_header header = header_of(samples, cases[i].first, cases[i].second);
        struct playback_tracks tracks;
        int r = playback_tracks_choose(&header, PLAYBACK_FMP4, &tracks, NULL);
        assert_int_equal(r, cases[i].fmp4);
        if (r == 0) {
            assert_string_equal(tracks.items[0].info.text, cases[i].number_1);
            assert_int_equal(tracks.items[0].number, 1);
            assert_ptr_equal(playback_tracks_find(&tracks, 1), &tracks.items[0]);
            assert_null(playback_tracks_find(&tracks, 0));
            assert_null(playback_tracks_find(&tracks, tracks.count + 1));
        }
        assert_int_equal(playback_tracks_choose(&header, PLAYBACK_TS, &tracks, NULL), cases[i].ts);
    }
}

TEST(a_track_keeps_its_number_where_the_other_is_missing)
{
    struct sample samples[2];
    struct kn_mkv_header header = header_of(samples, "V_MPEG4/ISO/AVC", "A_AAC");
    struct playback_tracks tracks, sound;
    assert_ok(playback_tracks_choose(&header, PLAYBACK_FMP4, &tracks, NULL));
    assert_int_equal(playback_tracks_kinds(&tracks), PLAYBACK_PICTURES | PLAYBACK_SOUND);
    playback_tracks_keep(&tracks, PLAYBACK_PICTURES | PLAYBACK_SOUND);
    assert_int_equal(playback_tracks_find(&tracks, 2)->info.codec, PLAYBACK_AAC);
    header = header_of(samples, "A_AAC", NULL);
    assert_ok(playback_tracks_choose(&header, PLAYBACK_FMP4, &sound, NULL));
    assert_int_equal(playback_tracks_find(&sound, 1)->info.codec, PLAYBACK_AAC);
    playback_tracks_keep(&sound, PLAYBACK_PICTURES | PLAYBACK_SOUND);
    assert_null(playback_tracks_find(&sound, 1));
    assert_int_equal(playback_tracks_find(&sound, 2)->info.codec, PLAYBACK_AAC);
    struct playback_tracks pictures = tracks;
    playback_tracks_keep(&pictures, PLAYBACK_PICTURES);
    assert_true(playback_tracks_lend(&pictures, &tracks));
    assert_int_equal(playback_tracks_find(&pictures, 2)->info.codec, PLAYBACK_AAC);
    assert_int_equal(playback_tracks_find(&pictures, 2)->mkv_number, 0); /* of no frame */
    assert_false(playback_tracks_lend(&pictures, &tracks));
    playback_tracks_keep(&tracks, PLAYBACK_SOUND);
    assert_int_equal(playback_tracks_find(&tracks, 1)->info.codec, PLAYBACK_AAC);
    playback_tracks_keep(&sound, PLAYBACK_PICTURES);
    assert_int_equal(sound.count, 0);
}

TEST(a_cameras_metadata_is_passed_over_by_every_player_and_other_tracks_are_not)
{
    static const enum playback_container containers[] = {PLAYBACK_FMP4, PLAYBACK_TS, PLAYBACK_DASH,
                                                         PLAYBACK_CLIP};
    for (size_t i = 0; i < KN_ARRAY_LEN(containers); i++) {
        struct sample samples[2];
        struct kn_mkv_header header = header_of(samples, "V_MPEG4/ISO/AVC", "A_AAC");
        struct playback_tracks tracks;
        header.tracks[header.track_count++] = (struct kn_mkv_track){
            .number = 3, .type = KN_MKV_OTHER, .codec_id = "D_ONVIF/METADATA"};
        assert_ok(playback_tracks_choose(&header, containers[i], &tracks, NULL));
        assert_int_equal(tracks.count, 2);
        memcpy(header.tracks[2].codec_id, "S_TEXT/UTF8", sizeof "S_TEXT/UTF8");
        assert_int_equal(playback_tracks_choose(&header, containers[i], &tracks, NULL), -EINVAL);
    }
}

/* A WAVEFORMATEX of G.711: A-law 6, µ-law 7; mono, 8 kHz. */
static const uint8_t wave[18] = {6, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0, 0, 0};

TEST(g711_goes_where_the_guide_lets_it_go)
{
    static const struct {
        const char *video;
        uint8_t law;
        int dash, clip;
    } cases[] = {
        {"V_MPEG4/ISO/AVC",  6, 0,       0      },
        {"V_MPEG4/ISO/AVC",  7, 0,       -EINVAL},
        {"V_MPEGH/ISO/HEVC", 6, -EINVAL, -EINVAL},
        {"V_MPEG4/ISO/AVC",  1, -EINVAL, -EINVAL}, /* PCM */
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct sample samples[2];
        struct kn_mkv_header header = header_of(samples, cases[i].video, "A_MS/ACM");
        uint8_t bytes[sizeof wave];
        memcpy(bytes, wave, sizeof wave);
        bytes[0] = cases[i].law;
        header.tracks[1].codec_private = (struct kn_bytes){bytes, sizeof bytes};
        header.tracks[1].type = KN_MKV_AUDIO;
        struct playback_tracks tracks;
        assert_int_equal(playback_tracks_choose(&header, PLAYBACK_CLIP, &tracks, NULL),
                         cases[i].clip);
        assert_int_equal(playback_tracks_choose(&header, PLAYBACK_FMP4, &tracks, NULL), -EINVAL);
        int r = playback_tracks_choose(&header, PLAYBACK_DASH, &tracks, NULL);
        assert_int_equal(r, cases[i].dash);
        if (r < 0)
            continue;
        assert_string_equal(tracks.items[1].info.text, cases[i].law == 6 ? "alaw" : "ulaw");
        assert_int_equal(tracks.items[1].info.sample_hz, 8000);
        assert_int_equal(tracks.items[1].info.channels, 1);
        header.tracks[1].codec_private.len = 15;
        assert_int_equal(playback_tracks_choose(&header, PLAYBACK_DASH, &tracks, NULL), -EBADMSG);
    }
    struct sample samples[2];
    struct kn_mkv_header header = header_of(samples, "A_AAC", NULL);
    struct playback_tracks tracks;
    assert_ok(playback_tracks_choose(&header, PLAYBACK_DASH, &tracks, NULL));
    assert_int_equal(playback_tracks_choose(&header, PLAYBACK_CLIP, &tracks, NULL), -EINVAL);
}

TEST(the_refusal_lists_the_codec_ids_as_the_service_does)
{
    struct sample samples[2];
    struct kn_mkv_header header = header_of(samples, "V_MPEG4/ISO/AVC", "A_MS/ACM");
    struct playback_tracks tracks;
    struct kn_err err;
    assert_int_equal(playback_tracks_choose(&header, PLAYBACK_FMP4, &tracks, &err), -EINVAL);
    assert_string_equal(
        err.text, "The type of the media is not supported or could not be determined from the "
                  "media codec ids: (track 1: V_MPEG4/ISO/AVC), (track 2: A_MS/ACM).");
}

TEST(the_console_leaves_out_what_does_not_go_beside_the_picture)
{
    struct sample samples[2];
    struct playback_tracks tracks;
    struct kn_err err = {0};
    struct kn_mkv_header header = header_of(samples, "V_MPEG4/ISO/AVC", "A_MS/ACM");
    assert_ok(playback_tracks_choose_some(&header, PLAYBACK_FMP4, &tracks, &err));
    assert_int_equal(tracks.count, 1);
    assert_int_equal(tracks.items[0].info.codec, PLAYBACK_H264);
    assert_int_equal(tracks.items[0].mkv_number, header.tracks[0].number);

    header = header_of(samples, "V_MPEG4/ISO/AVC", "A_AAC");
    assert_ok(playback_tracks_choose_some(&header, PLAYBACK_FMP4, &tracks, &err));
    assert_int_equal(tracks.count, 2);

    header = header_of(samples, "A_MS/ACM", NULL); /* nothing is left */
    assert_int_equal(playback_tracks_choose_some(&header, PLAYBACK_FMP4, &tracks, &err), -EINVAL);
    assert_true(*err.text);
}

TEST(the_hash_changes_with_the_private_data_only)
{
    struct sample a[2], b[2];
    struct kn_mkv_header one = header_of(a, "V_MPEG4/ISO/AVC", "A_AAC");
    struct kn_mkv_header two = header_of(b, "V_MPEG4/ISO/AVC", "A_AAC");
    struct playback_tracks x, y;
    assert_ok(playback_tracks_choose(&one, PLAYBACK_FMP4, &x, NULL));
    assert_ok(playback_tracks_choose(&two, PLAYBACK_FMP4, &y, NULL));
    assert_true(playback_tracks_hash(&x) == playback_tracks_hash(&y));
    b[1].bytes[1] ^= 0x08;
    assert_ok(playback_tracks_choose(&two, PLAYBACK_FMP4, &y, NULL));
    assert_true(playback_tracks_hash(&x) != playback_tracks_hash(&y));
}

TESTS_MAIN(TEST_OF(h264_says_profile_size_and_frame_rate), TEST_OF(h264_says_how_far_it_reorders),
           TEST_OF(h264_interlaced_counts_rows_in_field_pairs), TEST_OF(h265_says_profile_and_size),
           TEST_OF(h265_of_producer_c_is_read_from_its_sps),
           TEST_OF(aac_says_rate_channels_and_object_type),
           TEST_OF(adts_repeats_what_the_config_says),
           TEST_OF(a_silent_frame_has_an_element_for_each_channel_of_the_layout),
           TEST_OF(a_missing_or_wrong_private_is_told_apart_from_an_unknown_codec),
           TEST_OF(every_cut_of_a_private_is_refused_or_read_without_overrun),
           TEST_OF(tracks_are_chosen_by_the_table_of_the_guide),
           TEST_OF(a_track_keeps_its_number_where_the_other_is_missing),
           TEST_OF(a_cameras_metadata_is_passed_over_by_every_player_and_other_tracks_are_not),
           TEST_OF(g711_goes_where_the_guide_lets_it_go),
           TEST_OF(the_refusal_lists_the_codec_ids_as_the_service_does),
           TEST_OF(the_console_leaves_out_what_does_not_go_beside_the_picture),
           TEST_OF(the_hash_changes_with_the_private_data_only))
