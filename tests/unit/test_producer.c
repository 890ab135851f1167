/* SPDX-License-Identifier: Apache-2.0 */
/* The producer SDK without a network: what it muxes, keeps, drops and spills; its signature; what
 * it reads of the service's answers; where its keys come from. */
#include "capture.h"
#include "producer_private.h"
#include "sigv4.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static struct kinema_event told[256];
static size_t told_count;

static void note(void *ctx, const struct kinema_event *event)
{
    (void) ctx;
    if (told_count < 256)
        told[told_count++] = *event;
}

static size_t told_of(enum kinema_event_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < told_count; i++)
        count += told[i].type == type;
    return count;
}

static struct kinema_credential_provider *keys(void)
{
    struct kinema_credential_provider *provider = NULL;
    assert_ok(kinema_credentials_static("AKIDEXAMPLE", "testsecret", NULL, &provider));
    return provider;
}

static const struct kinema_track tracks[] = {
    {.type = KINEMA_VIDEO,
     .codec_id = "V_MPEG4/ISO/AVC",
     .name = "kinesis_video",
     .codec_private = "\1\2\3\4",
     .codec_private_len = 4,
     .width = 640,
     .height = 360},
    {.type = KINEMA_AUDIO,
     .codec_id = "A_AAC",
     .codec_private = "\x12\x10",
     .codec_private_len = 2,
     .sampling_hz = 44100,
     .channels = 2}
};

static struct kinema_config config_of(struct kinema_credential_provider *provider)
{
    told_count = 0;
    return (struct kinema_config){.stream = "yard",
                                  .region = "us-west-2",
                                  .endpoint = "http://127.0.0.1:9",
                                  .retention_hours = 24,
                                  .credentials = provider,
                                  .tracks = tracks,
                                  .track_count = 2,
                                  .buffer_bytes = 128 << 10,
                                  .on_event = note};
}

static struct kinema_producer *open_with(const struct kinema_config *config)
{
    struct kinema_producer *p = NULL;
    assert_ok(kinema_producer_open(config, &p));
    return p;
}

static int put(struct kinema_producer *p, unsigned track, bool key, int64_t time_ms, size_t len)
{
    static uint8_t bytes[256 << 10];
    memset(bytes, (int) (time_ms & 0xFF), len);
    return kinema_producer_put_frame(
        p, &(struct kinema_frame){
               .track = track, .key = key, .time_ms = time_ms, .data = bytes, .len = len});
}

/* The whole body that would be sent now. */
static struct capture body_of(struct kinema_producer *p)
{
    size_t len = p->header.len;
    for (size_t i = 0; i < p->ring.count; i++)
        len += ring_at(&p->ring, i)->len;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    memcpy(bytes, p->header.bytes, p->header.len);
    size_t at = p->header.len;
    for (size_t i = 0; i < p->ring.count; i++)
        for (uint64_t offset = 0; offset < ring_at(&p->ring, i)->len;) {
            int64_t got = ring_read(&p->ring, ring_at(&p->ring, i), offset, bytes + at, 1000);
            assert_true(got > 0);
            offset += (uint64_t) got;
            at += (size_t) got;
        }
    assert_int_equal(at, len);
    struct capture capture = capture_parse(bytes, len);
    free(bytes);
    return capture;
}

TEST(frames_become_fragments_as_awss_own_producers_send_them)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    struct kinema_producer *p = open_with(&config);

    assert_int_equal(put(p, 1, false, 900, 10), -ENODATA);
    assert_ok(put(p, 1, true, 1000, 300));
    assert_ok(put(p, 2, false, 1010, 20));
    assert_ok(put(p, 1, false, 1040, 100));
    assert_ok(kinema_producer_put_tag(p, "door", "open"));
    assert_ok(put(p, 1, true, 1040, 300)); /* not after the last frame: moved by 1 ms */
    assert_ok(put(p, 2, false, 1030, 20)); /* before its fragment: moved to its start */
    assert_ok(kinema_producer_end_fragment(p));

    struct capture capture = body_of(p);
    assert_int_equal(capture.fragment_count, 2);
    assert_int_equal(capture.fragments[0].timecode, 1000);
    assert_int_equal(capture.fragments[0].frame_count, 3);
    assert_false(capture.fragments[0].end_tag);
    assert_int_equal(capture.fragments[1].timecode, 1041);
    assert_int_equal(capture.fragments[1].frame_count, 2);
    assert_true(capture.fragments[1].end_tag);
    assert_int_equal(put(p, 1, false, 1100, 10), -ENODATA);
    capture_done(&capture);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

/* The header that kvssink 3.6.0 sent for these tracks, but for names, UID and private data. */
TEST(the_header_has_the_elements_of_kvssinks_in_their_order)
{
    struct capture theirs = capture_read("media/captures/sink360_h264_aac_abs.mkv");
    struct mkv_header header;
    size_t len, a = 0, b = 0;
    assert_ok(mkv_header_init(&header, tracks, 2));
    const uint8_t *ours = header.bytes;
    len = header.len;
    while (a < theirs.header_bytes || b < len) {
        uint32_t id_a = 0, id_b = 0;
        uint64_t size_a = 0, size_b = 0;
        size_t head_a = capture_element(theirs.bytes + a, theirs.len - a, &id_a, &size_a);
        size_t head_b = capture_element(ours + b, len - b, &id_b, &size_b);
        assert_int_equal(id_a, id_b);
        bool master = id_a == 0x18538067 || id_a == 0x1549A966 || id_a == 0x1654AE6B ||
                      id_a == 0xAE || id_a == 0xE0 || id_a == 0xE1 || id_a == 0x1A45DFA3;
        a += head_a + (master ? 0 : (size_t) size_a);
        b += head_b + (master ? 0 : (size_t) size_b);
        if (id_b == 0x2AD7B1) { /* their Title follows, which ours leaves out */
            head_a = capture_element(theirs.bytes + a, theirs.len - a, &id_a, &size_a);
            assert_int_equal(id_a, 0x7BA9);
            a += head_a + (size_t) size_a;
        }
    }
    assert_int_equal(a, theirs.header_bytes);
    assert_int_equal(b, len);
    mkv_header_done(&header);
    capture_done(&theirs);
}

TEST(clusters_blocks_and_tags_are_those_of_a_capture)
{
    struct capture theirs = capture_read("media/captures/c164_h264_abs_eofr_meta.mkv");
    const struct capture_fragment *fragment = &theirs.fragments[0];
    uint8_t head[MKV_CLUSTER_BYTES], block[MKV_BLOCK_BYTES], tag[MKV_TAG_BYTES_MAX];

    mkv_cluster(head, fragment->timecode);
    assert_memory_equal(head, theirs.bytes + fragment->cluster, sizeof(head));
    mkv_block(block, 1, 0, 1, fragment->frames[0].bytes);
    assert_memory_equal(block, theirs.bytes + fragment->cluster + sizeof(head), sizeof(block));
    size_t len = mkv_tag(tag, MKV_END_OF_FRAGMENT, "");
    assert_memory_equal(tag, theirs.bytes + fragment->end - len, len);
    capture_done(&theirs);
}

TEST(real_time_drops_whole_fragments_and_says_so)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    config.track_count = 1;
    struct kinema_producer *p = open_with(&config);
    struct kinema_stats stats;

    for (int i = 0; i < 20; i++) {
        assert_ok(put(p, 1, true, 1000 * i, 10000));
        assert_ok(put(p, 1, false, 1000 * i + 500, 10000));
    }
    kinema_producer_stats(p, &stats);
    assert_true(stats.fragments_lost > 0 && stats.frames_lost == 2 * stats.fragments_lost);
    assert_int_equal(stats.fragments_lost + stats.fragments_waiting, 20);
    assert_int_equal(told_of(KINEMA_FRAGMENT_LOST), stats.fragments_lost);
    assert_true(told_of(KINEMA_PRESSURE) > 0);
    struct capture capture = body_of(p);
    assert_int_equal(capture.fragments[0].timecode, 1000 * stats.fragments_lost);
    capture_done(&capture);

    /* A fragment that no buffer holds is lost; the next key frame goes on. */
    assert_ok(put(p, 1, true, 30000, 60000));
    assert_int_equal(put(p, 1, false, 30040, 100000), -ENOBUFS);
    assert_int_equal(put(p, 1, false, 30080, 10), -ENODATA);
    assert_ok(put(p, 1, true, 31000, 10));
    assert_int_equal(put(p, 1, true, 32000, 200000), -EMSGSIZE);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(offline_nothing_is_dropped)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    config.track_count = 1;
    config.mode = KINEMA_OFFLINE;
    struct kinema_producer *p = open_with(&config);
    int count = 0;

    while (put(p, 1, true, 1000 * count, 10000) == 0)
        count++;
    assert_int_equal(put(p, 1, true, 1000 * count, 10000), -EAGAIN);
    assert_true(count >= 10 && p->ring.count == (size_t) count &&
                told_of(KINEMA_FRAGMENT_LOST) == 0);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(offline_a_fragment_is_sent_when_it_is_whole_and_ended_by_its_tag)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    config.mode = KINEMA_OFFLINE;
    struct kinema_producer *p = open_with(&config);
    static const char kept[] = "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":1000}";

    assert_ok(put(p, 1, true, 1000, 60000));
    assert_ok(put(p, 1, false, 1040, 30000));
    assert_int_equal(producer_sendable(p), 0);
    /* The first makes room only when it is kept, so it is ended although the second must wait. */
    assert_int_equal(put(p, 1, true, 2000, 60000), -EAGAIN);
    assert_int_equal(producer_sendable(p), 1);
    p->send_index = 1;
    acks_take(p, kept, sizeof(kept) - 1);
    assert_int_equal(p->ring.count, 0);
    assert_ok(put(p, 1, true, 2000, 60000));
    assert_ok(put(p, 1, true, 3000, 300));
    assert_int_equal(producer_sendable(p), 1);
    struct capture body = body_of(p);
    assert_int_equal(body.fragment_count, 2);
    assert_true(body.fragments[0].end_tag && !body.fragments[1].end_tag);
    capture_done(&body);
    assert_ok(kinema_producer_end_fragment(p));
    assert_int_equal(producer_sendable(p), 2);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(what_the_buffer_cannot_hold_goes_to_the_file_and_comes_back_the_same)
{
    struct temp_dir dir = temp_dir_new();
    char path[512];
    snprintf(path, sizeof(path), "%s/spill", dir.path);
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    config.track_count = 1;
    config.spill_path = path;
    config.spill_bytes = 400 << 10;
    struct kinema_producer *p = open_with(&config);
    struct kinema_stats stats;

    for (int round = 0; round < 3; round++) { /* the file's ring wraps too */
        for (int i = 0; i < 30; i++)
            assert_ok(put(p, 1, true, 1000 * (30 * round + i), 10000 + (size_t) i));
        kinema_producer_stats(p, &stats);
        assert_true(stats.spill_used_bytes > 0 && stats.fragments_lost == 0);
        struct capture capture = body_of(p);
        assert_int_equal(capture.fragment_count, 30 + (round > 0));
        for (size_t i = 0; i < capture.fragment_count; i++) {
            const struct storage_frame *frame = capture.fragments[i].frames;
            const uint8_t *at = capture.bytes + capture.fragments[i].start + frame->offset;
            for (size_t k = 0; k < frame->bytes; k++)
                assert_int_equal(at[k], capture.fragments[i].timecode & 0xFF);
        }
        capture_done(&capture);
        while (p->ring.count > 1)
            producer_pop(p);
    }
    kinema_producer_close(p);

    /* A file that refuses is told; then whole fragments are dropped. */
    config.spill_path = "/dev/full";
    p = open_with(&config);
    for (int i = 0; i < 30; i++)
        assert_ok(put(p, 1, true, 1000 * i, 10000));
    assert_true(told_of(KINEMA_FRAGMENT_LOST) > 1 && told_of(KINEMA_SPILL_OVER) == 0);
    assert_int_equal(told_of(KINEMA_SPILL_FAILED), 1);
    int other = open(path, O_RDWR | O_CLOEXEC);
    assert_true(other >= 0 && dup2(other, p->ring.fd) >= 0);
    for (int i = 30; i < 60; i++)
        assert_ok(put(p, 1, true, 1000 * i, 10000));
    (void) close(other);
    assert_int_equal(told_of(KINEMA_SPILL_OVER), 1);
    kinema_producer_stats(p, &stats);
    assert_true(stats.frames_lost > 1);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
    temp_dir_remove(&dir);
}

/* Fragment number n has 4-byte words that count from n << 16. */
static void append_words(struct ring *ring, uint32_t n, size_t words)
{
    struct fragment *fragment;
    assert_ok(ring_open(ring, n, &fragment));
    for (uint32_t i = 0; i < words; i++)
        ring_append(ring, &(uint32_t){n << 16 | i}, 4);
}

static void pop_words(struct ring *ring)
{
    const struct fragment *fragment = ring_at(ring, 0);
    for (uint32_t i = 0; i < fragment->len / 4; i++) {
        uint32_t word = 0;
        assert_int_equal(ring_read(ring, fragment, (uint64_t) i * 4, &word, 4), 4);
        assert_int_equal(word, (uint32_t) fragment->time_ms << 16 | i);
    }
    ring_pop(ring);
}

TEST(a_ring_turns_in_a_small_part_until_that_is_too_little)
{
    struct ring ring;
    uint64_t seed = test_seed();
    uint32_t n = 0;
    assert_ok(ring_init(&ring, 5 << 20, NULL, 0));

    for (; n < 200; n++) { /* 8 MiB in all */
        append_words(&ring, n, 10000);
        if (ring.count == 5)
            pop_words(&ring);
    }
    assert_true(ring.cap >> ring.halvings < 2 * RING_FIRST_BYTES);

    for (; n < 2000 && ring.halvings > 0; n++) { /* it grows, wherever it stands */
        if (ring.count > 0 && test_random(&seed) % 3 == 0)
            pop_words(&ring);
        size_t words = 1 + test_random(&seed) % 10000;
        if (ring_free(&ring) >= 4 * words)
            append_words(&ring, n, words);
    }
    assert_int_equal(ring.halvings, 0);
    while (ring_free(&ring) >= 40000)
        append_words(&ring, n++, 10000);
    while (ring.count > 0)
        pop_words(&ring);
    ring_done(&ring);
}

static void acks(struct kinema_producer *p, const char *text)
{
    acks_take(p, text, strlen(text));
}

TEST(acknowledgements_free_what_was_sent_and_errors_give_up_or_send_again)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    config.track_count = 1;
    struct kinema_producer *p = open_with(&config);
    for (int i = 1; i <= 4; i++)
        assert_ok(put(p, 1, true, 1000 * i, 100));
    p->send_index = 2; /* 1000 and 2000 are sent, 3000 is begun */
    p->send_offset = 5;

    acks(p, "{\"EventType\":\"BUFFERING\",\"FragmentTimecode\":1000,\"FragmentNumber\":\"7\"}"
            "{\"EventType\":\"PERSI");
    acks(p, "STED\",\"FragmentTimecode\":\"1000\",\"FragmentNumber\":\"7\"}\r\n");
    assert_int_equal(p->ring.count, 3);
    assert_int_equal(p->send_index, 1);
    assert_int_equal(told_of(KINEMA_ACK_BUFFERING), 1);
    acks(p, "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":3000}"   /* not sent whole */
            "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":4000}"   /* not begun */
            "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":9999}"); /* nobody's */
    assert_int_equal(p->ring.count, 3);
    assert_int_equal(p->cut[0], '\0');

    acks(p, "{\"EventType\":\"ERROR\",\"FragmentTimecode\":2000,\"ErrorCode\":\"INTERNAL_ERROR\","
            "\"ErrorId\":5000}");
    assert_string_equal(p->cut, "error 5000 INTERNAL_ERROR");
    assert_int_equal(p->stats.fragments_skipped, 0);
    p->cut[0] = '\0';
    acks(p, "{\"EventType\":\"ERROR\",\"FragmentTimecode\":3000,\"ErrorId\":4006}");
    assert_string_equal(p->cut, "error 4006 INVALID_MKV_DATA");
    assert_int_equal(p->stats.fragments_skipped, 1);
    assert_true(ring_at(&p->ring, 1)->skipped);

    p->cut[0] = '\0';
    acks(p, "HTTP");
    assert_string_equal(p->cut, "what came is no acknowledgement");
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

static bool declares(const struct kinema_producer *p, unsigned which, const char *codec)
{
    uint8_t head[1024];
    assert_true(p->header.len <= sizeof(head));
    size_t len = mkv_header_of(&p->header, which, head);
    return memmem(head, len, codec, strlen(codec)) != NULL;
}

TEST(a_track_that_pauses_is_not_in_the_headers_meanwhile)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    struct kinema_producer *p = open_with(&config);
    enum {
        PICTURE = 1,
        SOUND = 2
    };

    /* Of what is not under way yet each fragment says itself what it has. */
    for (int i = 1; i <= 4; i++) {
        assert_ok(put(p, 1, true, 10000 * i, 100));
        assert_ok(put(p, 1, false, 10000 * i + 1000, 100));
        if (i != 2)
            assert_ok(put(p, 2, true, 10000 * i + 1000, 10));
    }
    assert_ok(kinema_producer_end_fragment(p));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ring_at(&p->ring, i)->tracks, i == 1 ? PICTURE : PICTURE | SOUND);
    assert_true(declares(p, PICTURE | SOUND, "A_AAC") && declares(p, PICTURE, "V_MPEG4/ISO/AVC"));
    assert_false(declares(p, PICTURE, "A_AAC") || declares(p, SOUND, "V_MPEG4/ISO/AVC"));

    /* Under way the header holds: the service refuses a fragment without the sound, it is sent
     * again, and the next one does not declare it. */
    assert_ok(put(p, 1, true, 50000, 100));
    p->call = CALL_PUT;
    p->send_index = 4;
    p->send_offset = 5;
    assert_ok(put(p, 1, false, 51500, 100));
    assert_ok(put(p, 1, true, 60000, 100));
    assert_int_equal(ring_at(&p->ring, 4)->tracks, PICTURE | SOUND);
    assert_int_equal(ring_at(&p->ring, 5)->tracks, PICTURE);
    acks(p, "{\"EventType\":\"ERROR\",\"FragmentTimecode\":50000,\"ErrorId\":4011}");
    assert_int_equal(ring_at(&p->ring, 4)->tracks, PICTURE);
    assert_int_equal(p->stats.fragments_skipped, 0);
    p->cut[0] = '\0';
    acks(p, "{\"EventType\":\"ERROR\",\"FragmentTimecode\":50000,\"ErrorId\":4011}");
    assert_int_equal(p->stats.fragments_skipped, 1);

    /* When it is back, it is left out until the next fragment. */
    p->send_index = 5;
    assert_int_equal(put(p, 2, true, 61000, 10), -ENODATA);
    assert_ok(put(p, 1, true, 64000, 100));
    assert_int_equal(ring_at(&p->ring, 6)->tracks, PICTURE | SOUND);
    p->call = CALL_NONE;
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

/* Pictures from 0 on, a key frame every 2 s, for some seconds; sound every sound_ms from its first
 * to its last. */
static void play(struct kinema_producer *p, int seconds, int first_ms, int last_ms, int sound_ms)
{
    for (int ms = 0; ms < seconds * 1000; ms += 500) {
        assert_ok(put(p, 1, ms % 2000 == 0, ms, 100));
        if (ms >= first_ms && ms <= last_ms && (ms - first_ms) % sound_ms == 0)
            assert_ok(put(p, 2, true, ms, 10));
    }
    assert_ok(kinema_producer_end_fragment(p));
}

TEST(a_fragment_waits_for_a_track_with_a_frame_every_few_seconds)
{
    struct kinema_credential_provider *provider = keys();
    static const struct {
        int first_ms, sound_ms;
    } sounds[] = {
        {0,    3000},
        {500,  3500},
        {1500, 5500},
        {5500, 500 }
    };
    for (size_t i = 0; i < 4; i++) {
        struct kinema_config config = config_of(provider);
        struct kinema_producer *p = open_with(&config);
        play(p, 60, sounds[i].first_ms, 60000, sounds[i].sound_ms);
        assert_true(p->ring.count >= 10);
        for (size_t k = 0; k + 1 < p->ring.count; k++) {
            assert_int_equal(ring_at(&p->ring, k)->seen, 3);
            assert_true(ring_at(&p->ring, k + 1)->time_ms - ring_at(&p->ring, k)->time_ms <= 8000);
        }
        kinema_producer_close(p);
    }
    kinema_credentials_free(provider);
}

TEST(a_track_that_ends_is_waited_for_once_and_one_that_never_comes_too)
{
    struct kinema_credential_provider *provider = keys();
    for (int last_ms = -500; last_ms < 20000; last_ms += 500) {
        struct kinema_config config = config_of(provider);
        struct kinema_producer *p = open_with(&config);
        play(p, 60, 0, last_ms, 500);
        size_t sound = 0, longer = 0;
        for (size_t k = 0; k + 1 < p->ring.count; k++) {
            int64_t ms = ring_at(&p->ring, k + 1)->time_ms - ring_at(&p->ring, k)->time_ms;
            assert_true(ms == 2000 || ms == 4000 || ms == 6000);
            longer += ms > 2000;
            sound += ring_at(&p->ring, k)->seen == 3;
        }
        assert_int_equal(longer, 1);
        assert_int_equal(sound, last_ms < 0 ? 0 : last_ms / 2000 + 1);
        kinema_producer_close(p);
    }
    kinema_credentials_free(provider);
}

TEST(a_track_whose_end_is_told_is_waited_for_no_longer)
{
    struct kinema_credential_provider *provider = keys();
    for (int last_ms = -500; last_ms < 8000; last_ms += 500) {
        struct kinema_config config = config_of(provider);
        struct kinema_producer *p = open_with(&config);
        for (int ms = 0; ms < 20000; ms += 500) {
            assert_ok(put(p, 1, ms % 2000 == 0, ms, 100));
            const struct fragment *open = ring_at(&p->ring, p->ring.count - 1);
            if (ms > last_ms + 500)
                assert_int_equal(open->tracks, open->seen);
            if (ms <= last_ms)
                assert_ok(put(p, 2, true, ms, 10));
            else
                assert_ok(kinema_producer_end_track(p, 2));
            assert_int_equal(open->tracks, open->seen);
        }
        assert_int_equal(p->ring.count, 10);
        kinema_producer_close(p);
    }
    kinema_credentials_free(provider);
}

TEST(a_track_that_was_ended_begins_again_with_its_next_frame)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    struct kinema_producer *p = open_with(&config);
    assert_ok(put(p, 1, true, 100000, 100));
    assert_ok(put(p, 2, true, 100000, 10));
    assert_ok(kinema_producer_end_track(p, 2));
    assert_ok(put(p, 1, true, 102000, 100));
    p->call = CALL_PUT;
    p->send_index = 1;
    p->send_offset = 5;

    /* By a clock of its own; the fragment under way does without it, the next one waits for it. */
    assert_int_equal(put(p, 2, true, 5000, 10), -ENODATA);
    assert_int_equal(put(p, 2, true, 104500, 10), -ENODATA);
    assert_ok(put(p, 1, true, 105000, 100));
    assert_int_equal(ring_at(&p->ring, 2)->tracks, 3);
    assert_ok(put(p, 1, true, 107000, 100));
    assert_int_equal(p->ring.count, 3);
    assert_ok(put(p, 2, true, 107000, 10));

    /* Under way its header holds, the next one is without it at once. */
    assert_ok(put(p, 1, true, 108000, 100));
    p->send_index = 3;
    assert_ok(kinema_producer_end_track(p, 2));
    assert_int_equal(ring_at(&p->ring, 3)->tracks, 3);
    assert_ok(put(p, 1, true, 110000, 100));
    assert_int_equal(ring_at(&p->ring, 4)->tracks, 1);
    p->call = CALL_NONE;
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(sound_goes_on_when_the_end_of_the_picture_is_told)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    struct kinema_producer *p = open_with(&config);
    assert_ok(put(p, 1, true, 1000, 300));
    assert_ok(kinema_producer_end_track(p, 1));
    for (int64_t ms = 1000; ms < 11000; ms += 20) {
        assert_ok(put(p, 2, true, ms, 10));
        if (ms % 100 == 0) /* no beginning: it lacks its key frame */
            assert_int_equal(put(p, 1, false, ms, 10), ms < 3000 ? 0 : -ENODATA);
    }
    assert_int_equal(p->ring.count, 5);
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(ring_at(&p->ring, i)->tracks, 2);
    assert_ok(put(p, 1, true, 11000, 300));
    assert_ok(put(p, 2, true, 13000, 10));
    assert_int_equal(p->ring.count, 6);
    assert_int_equal(ring_at(&p->ring, 5)->tracks, 3);

    /* The last one's end is the fragment's, and nothing opens by itself. */
    assert_ok(kinema_producer_end_track(p, 2));
    assert_ok(kinema_producer_end_track(p, 1));
    assert_int_equal(kinema_producer_end_fragment(p), -ENODATA);
    struct capture body = body_of(p);
    assert_true(body.fragments[5].end_tag);
    capture_done(&body);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(a_fragment_does_not_wait_where_it_has_grown_large_or_time_steps_back)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    struct kinema_producer *p = open_with(&config);
    assert_ok(put(p, 1, true, 100000, 40000)); /* of a buffer of 128 KiB */
    assert_ok(put(p, 1, true, 102000, 100));
    assert_int_equal(p->ring.count, 2);
    assert_ok(put(p, 2, true, 102000, 10));
    assert_ok(put(p, 1, true, 103000, 100));
    assert_int_equal(p->ring.count, 3);
    assert_ok(put(p, 1, true, 50000, 100)); /* waits for nothing of later */
    assert_int_equal(p->ring.count, 4);
    assert_ok(put(p, 1, true, 58000, 100));
    assert_int_equal(p->ring.count, 5);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(a_picture_that_pauses_pauses_on_when_time_steps_back)
{
    struct kinema_credential_provider *provider = keys();
    for (int64_t paused_ms = 0; paused_ms <= 8000; paused_ms += 4000) {
        struct kinema_config config = config_of(provider);
        struct kinema_producer *p = open_with(&config);
        assert_ok(put(p, 1, true, 5000000, 300));
        for (int64_t ms = 0; ms <= paused_ms; ms += 20)
            assert_ok(put(p, 2, true, 5000000 + ms, 10));
        size_t count = p->ring.count;
        for (int64_t ms = 20; ms <= 20000; ms += 20)
            assert_ok(put(p, 2, true, 1000000 + ms, 10));

        /* Sound opens fragments as soon as the picture has paused for 5 s, before and after. */
        int64_t rest_ms = paused_ms < 5000 ? 5020 - paused_ms : 20;
        struct fragment *first = ring_at(&p->ring, count);
        assert_int_equal(first->time_ms, 1000000 + rest_ms);
        assert_true(first->restart);
        assert_int_equal(first->tracks, 2);
        assert_int_equal(p->ring.count, count + (size_t) (20000 - rest_ms) / 2000 + 1);
        kinema_producer_close(p);
    }
    kinema_credentials_free(provider);
}

TEST(sound_alone_begins_anew_when_its_time_steps_back)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    config.tracks = tracks + 1;
    config.track_count = 1;
    struct kinema_producer *p = open_with(&config);
    assert_ok(put(p, 1, true, 5000000, 10));
    assert_ok(put(p, 1, true, 1000000, 10));
    assert_int_equal(p->ring.count, 2);
    assert_int_equal(ring_at(&p->ring, 1)->time_ms, 1000000);
    assert_true(ring_at(&p->ring, 1)->restart);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(sound_goes_on_when_the_picture_ends)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    struct kinema_producer *p = open_with(&config);

    assert_int_equal(put(p, 2, true, 900, 10), -ENODATA);
    assert_ok(put(p, 1, true, 1000, 300));
    for (int64_t ms = 1000; ms < 61000; ms += 20)
        assert_ok(put(p, 2, true, ms, 10));

    struct capture body = body_of(p);
    assert_int_equal(body.fragment_count, 1 + (60000 - 5000) / 2000 + 1);
    assert_int_equal(body.fragments[1].timecode, 6000);
    capture_done(&body);
    assert_int_equal(ring_at(&p->ring, 0)->tracks, 3);
    for (size_t i = 1; i < p->ring.count; i++)
        assert_int_equal(ring_at(&p->ring, i)->tracks, 2);

    size_t count = p->ring.count; /* and when it is back */
    assert_int_equal(put(p, 1, false, 61000, 10), -ENODATA);
    assert_ok(put(p, 1, true, 61040, 300));
    assert_ok(put(p, 2, true, 63100, 10));
    assert_int_equal(p->ring.count, count + 1);
    assert_int_equal(ring_at(&p->ring, count)->tracks, 3);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

TEST(an_acknowledgement_has_a_ceiling_and_may_come_byte_by_byte)
{
    struct ack_parser parser = {.len = 0};
    struct ack ack;
    size_t used;
    char text[2000] = "{\"EventType\":\"IDLE\",\"x\":\"";
    memset(text + strlen(text), 'y', 1500);
    assert_int_equal(ack_feed(&parser, text, sizeof(text), &used, &ack), -EMSGSIZE);

    const char *real =
        " \r\n{\"EventType\":\"ERROR\",\"FragmentNumber\":\"12\",\"more\":[{\"a\":null},"
        "true],\"ErrorCode\":\"A\\\"}\\u0042\",\"ErrorId\":4004}";
    parser = (struct ack_parser){.len = 0};
    for (size_t i = 0; i < strlen(real); i++)
        assert_int_equal(ack_feed(&parser, real + i, 1, &used, &ack), i + 1 == strlen(real));
    assert_string_equal(ack.number, "12");
    assert_string_equal(ack.error_code, "A\"}B");
    assert_int_equal(ack.error_id, 4004);
    assert_int_equal(ack.has_time, 0);
}

static void gather(void *ctx, const char *ptr, size_t len)
{
    strncat(ctx, ptr, len);
}

TEST(chunks_come_off_and_their_end_is_told)
{
    struct chunks chunks = {.left = 0};
    char got[32] = "";
    assert_int_equal(chunks_feed(&chunks, "5;x=y\r\nhel", 10, gather, got), 0);
    assert_int_equal(chunks_feed(&chunks, "lo\r\nA\r\n0123456789\r\n", 19, gather, got), 0);
    assert_string_equal(got, "hello0123456789");
    assert_int_equal(chunks_feed(&chunks, "0\r\n\r\n", 5, gather, got), 1);
    chunks = (struct chunks){.left = 0};
    assert_int_equal(chunks_feed(&chunks, "G\r\n", 3, gather, got), -EBADMSG);
    chunks = (struct chunks){.left = 0};
    assert_int_equal(chunks_feed(&chunks, "11111111111111111\r\n", 19, gather, got), -EBADMSG);
}

TEST(answers_are_searched_at_any_depth)
{
    const char *json =
        "{\"StreamInfo\":{\"Tags\":[1,{\"Status\":2}],\"Status\":\"ACTIVE\",\"N\":0},"
        "\"DataEndpoint\":\"https:\\/\\/x\"}";
    char value[16];
    assert_ok(json_find(json, strlen(json), "DataEndpoint", value, sizeof(value)));
    assert_string_equal(value, "https://x");
    assert_ok(json_find(json, strlen(json), "N", value, sizeof(value)));
    assert_string_equal(value, "0");
    assert_int_equal(json_find(json, strlen(json), "None", value, sizeof(value)), -ENOENT);
    assert_int_equal(json_find(json, strlen(json), "DataEndpoint", value, 4), -EMSGSIZE);
    for (size_t len = 0; len < strlen(json); len++)
        assert_int_equal(json_find(json, len, "None", value, sizeof(value)), -EBADMSG);
}

/* Captured from kvssink 3.6.0: key AKIDEXAMPLE, secret testsecret. */
TEST(the_signature_is_that_of_awss_own_producer)
{
    struct kinema_credentials key = {.key_id = "AKIDEXAMPLE", .secret = "testsecret"};
    const char *agent =
        "AWS-SDK-KVS-CPP-CLIENT/3.6.0/1.6.2 GCC/12.2.0 Linux/6.18.44-fc-v769 x86_64 CPPSDK";
    char line[SIGV4_AUTHORIZATION_BYTES_MAX];
    struct sigv4_request control = {
        .path = "/describeStream",
        .region = "us-west-2",
        .date = "20261122T204938Z",
        .headers = {{"host", "127.0.0.1"},
                    {"user-agent", agent},
                    {"x-amz-date", "20261122T204938Z"}},
        .header_count = 3,
        .body = "{\n\t\"StreamName\": \"s_abs\"\n}",
        .body_len = 26
    };
    assert_ok(sigv4_sign(&control, &key, line));
    assert_string_equal(
        line,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-west-2/kinesisvideo/aws4_request, "
        "SignedHeaders=host;user-agent;x-amz-date, "
        "Signature=b34c857a7c76a20c58d9c9860ca31554a06d54957180eb9a93e2013fa5cfcb77");
    struct sigv4_request put_media = {
        .path = "/putMedia",
        .region = "us-west-2",
        .date = "20261122T204938Z",
        .headers = {{"connection", "keep-alive"},
                    {"host", "127.0.0.1"},
                    {"transfer-encoding", "chunked"},
                    {"user-agent", agent},
                    {"x-amz-date", "20261122T204938Z"},
                    {"x-amzn-fragment-acknowledgment-required", "1"},
                    {"x-amzn-fragment-timecode-type", "ABSOLUTE"},
                    {"x-amzn-producer-start-timestamp", "1795380578.953"},
                    {"x-amzn-stream-name", "s_abs"}},
        .header_count = 9,
        .body = ""
    };
    assert_ok(sigv4_sign(&put_media, &key, line));
    assert_non_null(
        strstr(line, "Signature=8b13f39be4066583816dcc22888873c824ae5711eca9dd03500f11bf1e9ff5ca"));
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

TEST(keys_come_from_the_environment_and_from_a_file_that_is_replaced)
{
    struct temp_dir dir = temp_dir_new();
    char path[512];
    snprintf(path, sizeof(path), "%s/key", dir.path);
    struct kinema_credential_provider *provider = NULL;
    struct kinema_credentials key;
    assert_ok(kinema_credentials_file(path, &provider));
    assert_int_equal(kinema_credentials_get(provider, &key), -ENOENT);
    write_file(path, "CREDENTIALS ID secret\n");
    assert_ok(kinema_credentials_get(provider, &key));
    assert_string_equal(key.secret, "secret");
    assert_int_equal(key.expires_ms, 0);
    write_file(path, "CREDENTIALS ID2 2030-03-01T00:00:01Z secret2 token");
    assert_ok(kinema_credentials_get(provider, &key));
    assert_string_equal(key.key_id, "ID2");
    assert_string_equal(key.token, "token");
    assert_int_equal(key.expires_ms, INT64_C(1898553601000));
    static const char *const bad[] = {"",
                                      "CREDENTIALS ID",
                                      "KEYS ID secret",
                                      "CREDENTIALS ID 2030-13-01T00:00:00Z s t",
                                      "CREDENTIALS ID tomorrow s t",
                                      "CREDENTIALS a b c"};
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        write_file(path, bad[i]);
        assert_int_equal(kinema_credentials_get(provider, &key), -EBADMSG);
    }
    kinema_credentials_free(provider);

    assert_ok(kinema_credentials_environment(&provider));
    unsetenv("AWS_ACCESS_KEY_ID");
    assert_int_equal(kinema_credentials_get(provider, &key), -ENOENT);
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "S", 1);
    assert_ok(kinema_credentials_get(provider, &key));
    assert_string_equal(key.key_id, "E");
    kinema_credentials_free(provider);
    assert_int_equal(kinema_credentials_static("", "s", NULL, &provider), -EINVAL);
    assert_int_equal(kinema_credentials_file("", &provider), -EINVAL);
    temp_dir_remove(&dir);
}

/* Whoever waits meanwhile is reminded: while an upload is under way, of what was put first. */
TEST(frames_that_no_other_follows_are_sent_when_it_is_time)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    config.flush_ms = 50;
    struct kinema_producer *p = open_with(&config);
    p->look_at = INT64_MAX;
    p->call = CALL_PUT;
    p->paused = 1;
    assert_ok(put(p, 1, true, 1000, 300));
    assert_ok(put(p, 1, false, 1040, 300));
    producer_wake(p); /* for something else; that is over at once */
    p->look_at = INT64_MAX;
    assert_ok(put(p, 1, false, 1080, 300));
    assert_true(p->gathered_at > 0);
    assert_int_equal(p->alarm_at, p->gathered_at + 50);
    assert_int_equal(poll(&(struct pollfd){.fd = p->alarm, .events = POLLIN}, 1, 10000), 1);
    assert_true(producer_clock_ms() >= p->gathered_at + 50);
    kinema_producer_close(p);
    kinema_credentials_free(provider);
}

static void *drain(void *ctx)
{
    int code = kinema_producer_drain(ctx, 1000);
    assert_true(code == 0 || code == -EBUSY);
    return NULL;
}

TEST(two_that_drain_at_once_stop_the_helper_once)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_config config = config_of(provider);
    for (int round = 0; round < 4; round++) {
        struct kinema_producer *p = open_with(&config);
        pthread_t other;
        assert_ok(kinema_producer_start(p));
        assert_int_equal(pthread_create(&other, NULL, drain, p), 0);
        (void) drain(p);
        assert_int_equal(pthread_join(other, NULL), 0);
        assert_ok(kinema_producer_drain(p, 1000));
        kinema_producer_close(p);
    }
    kinema_credentials_free(provider);
}

TEST(what_makes_no_sense_is_refused)
{
    struct kinema_credential_provider *provider = keys();
    struct kinema_producer *p = NULL;
    struct kinema_config config = config_of(provider);
    const struct kinema_config good = config;
#define REFUSED(what)                                                                              \
    do {                                                                                           \
        config = good;                                                                             \
        config.what;                                                                               \
        assert_int_equal(kinema_producer_open(&config, &p), -EINVAL);                              \
    } while (0)
    REFUSED(stream = NULL);
    REFUSED(stream = "a\"b");
    REFUSED(region = "");
    REFUSED(credentials = NULL);
    REFUSED(buffer_bytes = 1000);
    REFUSED(tracks = NULL);
    REFUSED(track_count = 4);
    REFUSED(media_type = "video/\"");
    config = good;
    config.spill_path = "/nowhere/spill";
    config.spill_bytes = 1000;
    assert_int_equal(kinema_producer_open(&config, &p), -ENOENT);

    p = open_with(&good);
    assert_int_equal(put(p, 3, true, 0, 1), -EINVAL);
    assert_int_equal(put(p, 1, true, -1, 1), -EINVAL);
    assert_int_equal(kinema_producer_end_track(p, 0), -EINVAL);
    assert_int_equal(kinema_producer_end_track(p, 3), -EINVAL);
    assert_ok(put(p, 1, true, 0, 1));
    assert_int_equal(put(p, 1, false, 40000, 1), -ERANGE);
    assert_int_equal(kinema_producer_put_tag(p, "AWS_X", ""), -EINVAL);
    assert_int_equal(kinema_producer_put_tag(p, "", ""), -EINVAL);
    assert_ok(kinema_producer_put_tag(p, "AWS_KINESISVIDEO_NOTIFICATION", NULL));
    for (int i = 1; i < KINEMA_TAGS_MAX; i++)
        assert_ok(kinema_producer_put_tag(p, "a", "b"));
    assert_int_equal(kinema_producer_put_tag(p, "a", "b"), -ENOSPC);
    assert_ok(kinema_producer_start(p));
    assert_int_equal(kinema_producer_start(p), -EBUSY);
    kinema_producer_close(p);
    kinema_producer_close(NULL);
    kinema_credentials_free(provider);
    assert_string_equal(kinema_ack_error_name(4004), "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS");
    assert_string_equal(kinema_ack_error_name(1), "UNKNOWN");
}

TESTS_MAIN(TEST_OF(frames_become_fragments_as_awss_own_producers_send_them),
           TEST_OF(the_header_has_the_elements_of_kvssinks_in_their_order),
           TEST_OF(clusters_blocks_and_tags_are_those_of_a_capture),
           TEST_OF(real_time_drops_whole_fragments_and_says_so),
           TEST_OF(offline_nothing_is_dropped),
           TEST_OF(offline_a_fragment_is_sent_when_it_is_whole_and_ended_by_its_tag),
           TEST_OF(what_the_buffer_cannot_hold_goes_to_the_file_and_comes_back_the_same),
           TEST_OF(a_ring_turns_in_a_small_part_until_that_is_too_little),
           TEST_OF(acknowledgements_free_what_was_sent_and_errors_give_up_or_send_again),
           TEST_OF(a_track_that_pauses_is_not_in_the_headers_meanwhile),
           TEST_OF(a_fragment_waits_for_a_track_with_a_frame_every_few_seconds),
           TEST_OF(a_track_that_ends_is_waited_for_once_and_one_that_never_comes_too),
           TEST_OF(a_track_whose_end_is_told_is_waited_for_no_longer),
           TEST_OF(a_track_that_was_ended_begins_again_with_its_next_frame),
           TEST_OF(sound_goes_on_when_the_end_of_the_picture_is_told),
           TEST_OF(a_fragment_does_not_wait_where_it_has_grown_large_or_time_steps_back),
           TEST_OF(a_picture_that_pauses_pauses_on_when_time_steps_back),
           TEST_OF(sound_alone_begins_anew_when_its_time_steps_back),
           TEST_OF(sound_goes_on_when_the_picture_ends),
           TEST_OF(an_acknowledgement_has_a_ceiling_and_may_come_byte_by_byte),
           TEST_OF(chunks_come_off_and_their_end_is_told),
           TEST_OF(answers_are_searched_at_any_depth),
           TEST_OF(the_signature_is_that_of_awss_own_producer),
           TEST_OF(keys_come_from_the_environment_and_from_a_file_that_is_replaced),
           TEST_OF(frames_that_no_other_follows_are_sent_when_it_is_time),
           TEST_OF(two_that_drain_at_once_stop_the_helper_once),
           TEST_OF(what_makes_no_sense_is_refused))
