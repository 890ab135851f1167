/* SPDX-License-Identifier: Apache-2.0 */
/* What the consumer SDK reads without a network: Matroska, CBOR, checkpoints. */
#include "cbor.h"
#include "consumer_private.h"
#include "mkv.h"
#include "mkv_reader.h"
#include "test.h"

#include <errno.h>

enum {
    FRAME_MAX = 4096,
    SEEN_MAX = 64
};

/* --- Matroska --------------------------------------------------------------------------------- */
struct bytes {
    uint8_t ptr[8192];
    size_t len;
};

static void add(struct bytes *dst, const void *ptr, size_t len)
{
    assert_true(len <= sizeof(dst->ptr) - dst->len);
    memcpy(dst->ptr + dst->len, ptr, len);
    dst->len += len;
}

static void add_block(struct bytes *dst, unsigned track, unsigned offset_ms, int key,
                      const char *payload)
{
    uint8_t head[MKV_BLOCK_BYTES];
    mkv_block(head, track, offset_ms, key, strlen(payload));
    add(dst, head, sizeof(head));
    add(dst, payload, strlen(payload));
}

static void add_tag(struct bytes *dst, const char *name, const char *value)
{
    uint8_t tag[MKV_TAG_BYTES_MAX];
    add(dst, tag, mkv_tag(tag, name, value));
}

/* A header and the head of a cluster at time_ms, by the producer's own muxer. */
static void add_start(struct bytes *dst, uint64_t time_ms)
{
    static const struct kinema_track tracks[] = {
        {.type = KINEMA_VIDEO,
         .codec_id = "V_MPEG4/ISO/AVC",
         .name = "door",
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
    struct mkv_header header;
    uint8_t cluster[MKV_CLUSTER_BYTES];
    assert_ok(mkv_header_init(&header, tracks, 2));
    add(dst, header.bytes, header.len);
    mkv_header_done(&header);
    add_tag(dst, "first", "tag");
    mkv_cluster(cluster, time_ms);
    add(dst, cluster, sizeof(cluster));
}

struct seen {
    char lines[SEEN_MAX][96];
    size_t count;
    int code;
};

static void note(struct seen *seen, const struct mkv_item *item)
{
    char *line = seen->lines[seen->count++];
    assert_true(seen->count < SEEN_MAX);
    switch (item->type) {
    case MKV_DOCUMENT:
        (void) snprintf(line, 96, "document");
        break;
    case MKV_TRACKS:
        (void) snprintf(line, 96, "tracks");
        break;
    case MKV_CLUSTER:
        (void) snprintf(line, 96, "cluster %lld", (long long) item->time_ms);
        break;
    case MKV_TAG:
        (void) snprintf(line, 96, "tag %.*s=%.*s", (int) item->name_len, item->name,
                        (int) item->value_len, item->value ? item->value : "");
        break;
    case MKV_FRAME:
        (void) snprintf(line, 96, "frame %u %lld %s%.*s", item->track->number,
                        (long long) item->time_ms, item->key ? "key " : "", (int) item->len,
                        (const char *) item->data);
        break;
    case MKV_MORE:
        break;
    }
}

/* All items, with the bytes in pieces. */
static struct seen read_in(struct mkv_reader *reader, const struct bytes *from, size_t piece)
{
    struct seen seen = {.count = 0};
    for (size_t at = 0; at < from->len && seen.code == 0;) {
        size_t len = from->len - at < piece ? from->len - at : piece, used = 0;
        struct mkv_item item;
        seen.code = mkv_read(reader, from->ptr + at, len, &used, &item);
        assert_true(used <= len);
        at += used;
        while (seen.code == 0 && item.type != MKV_MORE) {
            note(&seen, &item);
            len -= used;
            seen.code = mkv_read(reader, from->ptr + at, len, &used, &item);
            at += used;
        }
    }
    return seen;
}

static struct seen read_all(const struct bytes *from)
{
    struct mkv_reader reader;
    mkv_reader_init(&reader, FRAME_MAX);
    struct seen seen = read_in(&reader, from, SIZE_MAX);
    mkv_reader_done(&reader);
    return seen;
}

static int code_of(const struct bytes *from)
{
    return read_all(from).code;
}

TEST(what_the_producer_muxes_is_read_back_however_it_is_cut)
{
    static const char *const expected[] = {"document",
                                           "tracks",
                                           "tag first=tag",
                                           "cluster 1700000000123",
                                           "frame 1 1700000000123 key AAAA",
                                           "frame 2 1700000000143 bb",
                                           "frame 1 1700000032890 ",
                                           "tag END=",
                                           "document",
                                           "tracks",
                                           "tag first=tag",
                                           "cluster 5",
                                           "frame 1 6 key z"};
    struct bytes bytes = {.len = 0};
    add_start(&bytes, 1700000000123);
    add_block(&bytes, 1, 0, 1, "AAAA");
    add_block(&bytes, 2, 20, 0, "bb");
    add_block(&bytes, 3, 20, 0, "of a track that is not declared");
    add_block(&bytes, 1, 32767, 0, "");
    add_block(&bytes, 3, 20, 0, "and once more, before tags");
    add_tag(&bytes, "END", "");
    add_start(&bytes, 5);
    add_block(&bytes, 1, 1, 1, "z");
    for (size_t piece = 1; piece < 40; piece++) {
        struct mkv_reader reader;
        mkv_reader_init(&reader, FRAME_MAX);
        struct seen seen = read_in(&reader, &bytes, piece);
        assert_ok(seen.code);
        assert_int_equal(seen.count, KN_ARRAY_LEN(expected));
        for (size_t i = 0; i < seen.count; i++)
            assert_string_equal(seen.lines[i], expected[i]);
        assert_int_equal(reader.track_count, 2);
        const struct kinema_track *video = &reader.tracks[0].format;
        const struct kinema_track *audio = &reader.tracks[1].format;
        assert_string_equal(video->codec_id, "V_MPEG4/ISO/AVC");
        assert_string_equal(video->name, "door");
        assert_int_equal(video->width * 10000 + video->height, 6400360);
        assert_memory_equal(video->codec_private, "\1\2\3\4", 4);
        assert_int_equal(video->codec_private_len, 4);
        assert_string_equal(audio->codec_id, "A_AAC");
        assert_true(audio->sampling_hz > 44099 && audio->sampling_hz < 44101);
        assert_int_equal(audio->channels, 2);
        mkv_reader_done(&reader);
    }
}

/* A SimpleBlock of track 1 with lacing flags and what follows them. */
static void add_laced(struct bytes *dst, uint8_t flags, const char *body, size_t len)
{
    const uint8_t head[] = {0xA3, (uint8_t) (0x80 | (4 + len)), 0x81, 0, 7, flags};
    add(dst, head, sizeof(head));
    add(dst, body, len);
}

TEST(frames_that_share_a_block_come_one_by_one)
{
    struct bytes bytes = {.len = 0};
    add_start(&bytes, 100);
    add_laced(&bytes, 0x82, "\2\1\2abbccc", 9);        /* Xiph: 1, 2, the rest */
    add_laced(&bytes, 0x04, "\1xxyy", 5);              /* fixed */
    add_laced(&bytes, 0x06, "\3\x81\xC0\xBEpqqrs", 9); /* EBML: 1, +1, -1, the rest */
    struct seen seen = read_all(&bytes);
    static const char *const expected[] = {"key a", "key bb", "key ccc", "xx", "yy",
                                           "p",     "qq",     "r",       "s"};
    assert_ok(seen.code);
    assert_int_equal(seen.count, 4 + KN_ARRAY_LEN(expected));
    for (size_t i = 0; i < KN_ARRAY_LEN(expected); i++) {
        char line[96];
        (void) snprintf(line, sizeof(line), "frame 1 107 %s", expected[i]);
        assert_string_equal(seen.lines[4 + i], line);
    }
    for (size_t i = 0; i < 3; i++) {
        static const uint8_t flags[] = {0x02, 0x04, 0x06};
        struct bytes broken = {.len = 0};
        add_start(&broken, 100);
        add_laced(&broken, flags[i], "\2\x90\x90xyzz", 7); /* sizes beyond the block */
        assert_true(code_of(&broken) == -EBADMSG || i == 1);
        broken.len = 0;
        add_start(&broken, 100);
        add_laced(&broken, flags[i], "", 0);
        assert_int_equal(code_of(&broken), -EBADMSG);
    }
    struct bytes odd = {.len = 0};
    add_start(&odd, 100);
    add_laced(&odd, 0x04, "\1xyz", 4);
    assert_int_equal(code_of(&odd), -EBADMSG);
}

TEST(a_group_s_block_is_a_key_frame_when_it_refers_to_none)
{
    struct bytes bytes = {.len = 0};
    add_start(&bytes, 0);
    add(&bytes, "\xA0\x87\xA1\x85\x81\0\1\0A", 9);
    add(&bytes, "\xA0\x8A\xA1\x85\x81\0\2\0B\xFB\x81\1", 12);
    struct seen seen = read_all(&bytes);
    assert_ok(seen.code);
    assert_string_equal(seen.lines[4], "frame 1 1 key A");
    assert_string_equal(seen.lines[5], "frame 1 2 B");
}

TEST(what_is_too_large_or_makes_no_sense_is_refused)
{
    struct bytes bytes = {.len = 0};
    uint8_t head[MKV_BLOCK_BYTES];
    add_start(&bytes, 0);
    mkv_block(head, 1, 0, 1, FRAME_MAX + MKV_BLOCK_EXTRA + 1);
    add(&bytes, head, sizeof(head));
    assert_int_equal(code_of(&bytes), -EMSGSIZE); /* before anything of it came */

    bytes.len = 0;
    add(&bytes, "GIF89a", 6);
    assert_int_equal(code_of(&bytes), -EBADMSG);

    bytes.len = 0;
    add_start(&bytes, 0);
    add(&bytes, "\x12\x54\xC3\x67\xFF", 5); /* Tags of unknown size */
    assert_int_equal(code_of(&bytes), -EBADMSG);

    bytes.len = 0;
    add_start(&bytes, 0);
    add(&bytes, "\x1F\x43\xB6\x75\xFF", 5); /* a cluster without its time */
    add_block(&bytes, 1, 0, 1, "x");
    assert_int_equal(code_of(&bytes), -EBADMSG);

    bytes.len = 0;
    add_start(&bytes, UINT64_MAX / 2);
    assert_int_equal(code_of(&bytes), -EBADMSG);

    bytes.len = 0;
    add_start(&bytes, 0);
    add(&bytes, "\0", 1); /* no id */
    assert_int_equal(code_of(&bytes), -EBADMSG);
}

TEST(a_tag_without_a_name_is_none)
{
    struct bytes bytes = {.len = 0};
    add_start(&bytes, 0);
    size_t before = read_all(&bytes).count;
    add(&bytes, "\x12\x54\xC3\x67\x8B\x73\x73\x88\x67\xC8\x85\x44\x87\x82xy", 16);
    struct seen seen = read_all(&bytes);
    assert_ok(seen.code);
    assert_int_equal(seen.count, before);
}

TEST(a_new_answer_begins_anew)
{
    struct mkv_reader reader;
    struct bytes half = {.len = 0}, whole = {.len = 0};
    mkv_reader_init(&reader, FRAME_MAX);
    add_start(&half, 1);
    add_block(&half, 1, 0, 1, "cut off here");
    add_start(&whole, 2);
    add_block(&whole, 1, 0, 1, "w");
    for (size_t cut = 1; cut < half.len; cut += 7) {
        struct bytes part = half;
        part.len = cut;
        assert_ok(read_in(&reader, &part, SIZE_MAX).code);
        mkv_reader_restart(&reader);
        struct seen seen = read_in(&reader, &whole, SIZE_MAX);
        assert_ok(seen.code);
        assert_string_equal(seen.lines[seen.count - 1], "frame 1 2 key w");
        mkv_reader_restart(&reader);
    }
    mkv_reader_done(&reader);
}

/* --- CBOR ------------------------------------------------------------------------------------- */
static struct cbor cbor_of(const char *text, size_t len)
{
    const uint8_t *ptr = (const uint8_t *) text;
    return (struct cbor){ptr, ptr + len};
}
#define CBOR(text) cbor_of("" text, sizeof(text) - 1)

TEST(cbor_is_read_with_and_without_lengths)
{
    struct cbor both[] = {CBOR("\xA3\x61"
                               "a\x18\x2A\x61"
                               "b\x83\x01\xA1\x61x\x80\xC1\x19\x03\xE8\x61"
                               "c\x62"
                               "hi"),
                          CBOR("\xBF\x61"
                               "a\x18\x2A\x61"
                               "b\x9F\x01\xBF\x61x\x9F\xFF\xFF\xC1\x19\x03\xE8\xFF\x61"
                               "c\x62"
                               "hi\xFF")};
    for (size_t i = 0; i < 2; i++) {
        struct cbor *in = &both[i];
        struct cbor_item item;
        struct cbor_group map;
        int64_t number;
        char text[8];
        assert_ok(cbor_next(in, &item));
        assert_ok(cbor_open(&item, CBOR_MAP, &map));
        assert_int_equal(cbor_member(in, &map, &item), 1);
        assert_true(cbor_is(&item, "a"));
        assert_ok(cbor_int(in, &number));
        assert_int_equal(number, 42);
        assert_int_equal(cbor_member(in, &map, &item), 1);
        assert_ok(cbor_skip(in));
        assert_int_equal(cbor_member(in, &map, &item), 1);
        assert_true(cbor_is(&item, "c"));
        assert_ok(cbor_text(in, text, sizeof(text)));
        assert_string_equal(text, "hi");
        assert_int_equal(cbor_member(in, &map, &item), 0);
        assert_true(in->at == in->end);
    }
}

TEST(times_come_as_milliseconds_or_as_seconds)
{
    struct cbor whole = CBOR("\xC1\x1B\0\0\1\x8B\xCF\xE5\x68\x7B"); /* 1700000000123 */
    struct cbor real = CBOR("\xC1\xFB\x41\xD9\x54\xFC\x40\x07\xDF\x3B");
    int64_t ms;
    assert_ok(cbor_time(&whole, &ms));
    assert_int_equal(ms, 1700000000123);
    assert_ok(cbor_time(&real, &ms));
    assert_int_equal(ms, 1700000000123);
}

TEST(cbor_that_is_cut_or_too_deep_is_refused)
{
    static const char *const cut[] = {"\x19\x01",      "\x62h", "\xA1\x61", "\x9F",
                                      "\x5F\x41x\xFF", "\x1C",  "\xBB",     "\x7F"};
    for (size_t i = 0; i < KN_ARRAY_LEN(cut); i++) {
        struct cbor in = cbor_of(cut[i], strlen(cut[i]));
        assert_int_equal(cbor_skip(&in), -EBADMSG);
    }
    char deep[CBOR_DEPTH_MAX + 2];
    memset(deep, 0x81, sizeof(deep));
    deep[sizeof(deep) - 1] = 1;
    struct cbor in = cbor_of(deep, sizeof(deep));
    assert_int_equal(cbor_skip(&in), -EBADMSG);
    in = cbor_of(deep + 1, sizeof(deep) - 1);
    assert_ok(cbor_skip(&in));
}

TEST(what_is_written_is_read)
{
    uint8_t bytes[32];
    struct cbor_out out = {bytes, 0, sizeof(bytes)};
    static const uint64_t numbers[] = {0, 23, 24, 255, 256, 65535, 65536, UINT64_C(1) << 32};
    for (size_t i = 0; i < KN_ARRAY_LEN(numbers); i++) {
        int64_t got;
        out.len = 0;
        cbor_put_head(&out, CBOR_UINT, numbers[i]);
        struct cbor in = {bytes, bytes + out.len};
        assert_ok(cbor_int(&in, &got));
        assert_true((uint64_t) got == numbers[i] && in.at == in.end);
    }
    out.len = 0;
    cbor_put_text(&out, "longer than what there is room for");
    assert_true(out.len > out.cap);
}

/* --- checkpoints ------------------------------------------------------------------------------ */
TEST(places_are_ordered_as_their_records_are)
{
    static const char *const rising[] = {"", "7", "12/0", "12/9", "12/10", "12", "13", "100/0"};
    for (size_t i = 0; i < KN_ARRAY_LEN(rising); i++) {
        struct place a, b;
        char text[CHECKPOINT_BYTES_MAX + 1];
        assert_ok(place_parse(rising[i], &a));
        place_text(&a, text);
        assert_string_equal(text, rising[i]);
        for (size_t j = 0; j < KN_ARRAY_LEN(rising); j++) {
            assert_ok(place_parse(rising[j], &b));
            assert_int_equal(place_compare(&a, &b), i < j ? -1 : i > j);
        }
    }
    struct place place;
    static const char *const wrong[] = {
        "SHARD_END", "12/", "12/-1", "12/x", "12/99999999999999999999", "12 "};
    for (size_t i = 0; i < KN_ARRAY_LEN(wrong); i++)
        assert_int_equal(place_parse(wrong[i], &place), -EINVAL);
}

TESTS_MAIN(TEST_OF(what_the_producer_muxes_is_read_back_however_it_is_cut),
           TEST_OF(frames_that_share_a_block_come_one_by_one),
           TEST_OF(a_group_s_block_is_a_key_frame_when_it_refers_to_none),
           TEST_OF(what_is_too_large_or_makes_no_sense_is_refused),
           TEST_OF(a_tag_without_a_name_is_none), TEST_OF(a_new_answer_begins_anew),
           TEST_OF(cbor_is_read_with_and_without_lengths),
           TEST_OF(times_come_as_milliseconds_or_as_seconds),
           TEST_OF(cbor_that_is_cut_or_too_deep_is_refused), TEST_OF(what_is_written_is_read),
           TEST_OF(places_are_ordered_as_their_records_are))
