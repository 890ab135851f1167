/* SPDX-License-Identifier: Apache-2.0 */
/* Records, entries, footers and frame tables: what is encoded is decoded, what is damaged is not.
 */
#include "capture.h"
#include "format.h"
#include "frames.h"
#include "test.h"

#include "core/crypto.h"

static const struct storage_chunk_head head = {
    .id = {1, 2,          3,                             4},
    .name = {.seq = 1000, .server_ts_ms = 1763851000000, .random = 77},
    .ordinal = 5,
    .discontinuity = 2,
    .epoch = 9,
};

static struct storage_fragment fragment(void)
{
    return (struct storage_fragment){
        .number = {1001, 1763851000123, 0xABCDEF1},
        .producer_ts_ms = -7,
        .timecode = UINT64_MAX,
        .ordinal = 6,
        .discontinuity = 3,
        .duration_ms = 1960,
        .full_duration_ms = 2000,
        .bytes = 500000,
        .cluster_offset = 300,
        .cluster_bytes = 499600,
        .frame_count = 60,
        .flags = STORAGE_FRAGMENT_DISCONTINUITY | STORAGE_FRAGMENT_RELATIVE,
        .chunk = 1000,
        .offset = 4096,
        .record_bytes = 321,
    };
}

TEST(an_entry_comes_back_as_it_was)
{
    struct storage_fragment f = fragment(), got;
    uint8_t entry[STORAGE_ENTRY_BYTES], header;
    uint32_t crc;

    assert_ok(storage_entry_encode(entry, &head, &f, 3, 0xDEADBEEF));
    storage_entry_decode(entry, &head, &got, &header, &crc);

    assert_int_equal(header, 3);
    assert_int_equal(crc, 0xDEADBEEF);
    assert_int_equal(got.number.seq, f.number.seq);
    assert_int_equal(got.number.server_ts_ms, f.number.server_ts_ms);
    assert_int_equal(got.number.random, f.number.random);
    assert_int_equal(got.producer_ts_ms, f.producer_ts_ms);
    assert_int_equal(got.timecode, f.timecode);
    assert_int_equal(got.ordinal, f.ordinal);
    assert_int_equal(got.discontinuity, f.discontinuity);
    assert_int_equal(got.duration_ms, f.duration_ms);
    assert_int_equal(got.full_duration_ms, f.full_duration_ms);
    assert_int_equal(got.bytes, f.bytes);
    assert_int_equal(got.cluster_offset, f.cluster_offset);
    assert_int_equal(got.cluster_bytes, f.cluster_bytes);
    assert_int_equal(got.frame_count, f.frame_count);
    assert_int_equal(got.flags, f.flags);
    assert_int_equal(got.chunk, f.chunk);
    assert_int_equal(got.offset, f.offset);
    assert_int_equal(got.record_bytes, f.record_bytes);
}

TEST(an_entry_out_of_range_is_refused)
{
    uint8_t entry[STORAGE_ENTRY_BYTES];
    struct storage_fragment f = fragment();
    f.number.seq = head.name.seq + (1ull << 32);
    assert_int_equal(storage_entry_encode(entry, &head, &f, 0, 0), -EMSGSIZE);
    f = fragment();
    f.number.server_ts_ms = head.name.server_ts_ms - 1;
    assert_int_equal(storage_entry_encode(entry, &head, &f, 0, 0), -EMSGSIZE);
    f = fragment();
    f.ordinal = head.ordinal + 65536;
    assert_int_equal(storage_entry_encode(entry, &head, &f, 0, 0), -EMSGSIZE);
    f = fragment();
    f.record_bytes = 1 << 24;
    assert_int_equal(storage_entry_encode(entry, &head, &f, 0, 0), -EMSGSIZE);
}

static size_t make_record(struct kn_buf *b, uint32_t seed)
{
    size_t start = storage_record_start(b, STORAGE_RECORD_FRAGMENT);
    (void) kn_buf_append(b, "the body of a record", 20);
    struct storage_record record = {
        .offset = 4242, .previous = 100, .durable_upto = 3000, .epoch = 8};
    storage_record_end(b, start, &record, seed);
    return start;
}

TEST(a_record_with_any_bit_flipped_is_refused)
{
    struct kn_buf b;
    kn_buf_init(&b, 1000);
    uint32_t seed = storage_format_seed(head.id);
    make_record(&b, seed);
    struct storage_record got;
    assert_ok(storage_record_read(kn_buf_bytes(&b), 4242, seed, &got));
    assert_int_equal(got.previous, 100);
    assert_int_equal(got.durable_upto, 3000);
    assert_int_equal(got.epoch, 8);
    assert_int_equal(got.body.len, 20);

    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.ptr[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_true(storage_record_read(kn_buf_bytes(&b), 4242, seed, &got) < 0);
        b.ptr[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    assert_int_equal(storage_record_read(kn_buf_bytes(&b), 4243, seed, &got), -EBADMSG);
    assert_int_equal(storage_record_read(kn_buf_bytes(&b), 4242, seed + 1, &got), -EBADMSG);
    for (size_t len = 0; len < b.len; len++)
        assert_true(storage_record_read((struct kn_bytes){b.ptr, len}, 4242, seed, &got) < 0);
    kn_buf_done(&b);
}

TEST(a_footer_comes_back_as_it_was)
{
    struct storage_index index = {.head = head, .header_count = 2}, got = {.count = 0};
    index.headers[0] = (struct storage_chunk_header){10, 20, 30};
    index.headers[1] = (struct storage_chunk_header){40, 50, 60};
    struct storage_fragment f = fragment();
    for (unsigned i = 0; i < 100; i++) {
        uint8_t entry[STORAGE_ENTRY_BYTES];
        f.number.seq = 1001 + i;
        f.producer_ts_ms = 1000 - (int64_t) i;
        f.ordinal = 6 + i;
        assert_ok(storage_entry_encode(entry, &head, &f, 1, i));
        assert_ok(storage_index_add(&index, entry));
    }
    assert_false(index.producer_ascends);
    struct kn_buf b;
    kn_buf_init(&b, 1 << 20);
    struct storage_record record = {.offset = 777};

    assert_ok(storage_footer_append(&b, &index, &record));

    uint32_t bytes;
    assert_ok(storage_trailer_parse(b.ptr + b.len - STORAGE_TRAILER_BYTES, &bytes));
    assert_int_equal(bytes, b.len);
    assert_int_equal(storage_footer_bytes(100, 2), b.len);
    assert_ok(storage_footer_parse(kn_buf_bytes(&b), 777, &got, &record));
    assert_int_equal(got.count, 100);
    assert_int_equal(got.header_count, 2);
    assert_false(got.producer_ascends);
    struct storage_fragment last;
    storage_index_get(&got, 99, &last, NULL);
    assert_int_equal(last.number.seq, 1100);
    assert_int_equal(last.header, 60);
    storage_index_done(&got);
    b.ptr[b.len / 2] ^= 1;
    assert_int_equal(storage_footer_parse(kn_buf_bytes(&b), 777, &got, &record), -EBADMSG);
    storage_index_done(&index);
    kn_buf_done(&b);
}

TEST(captured_frames_come_back_in_less_than_four_bytes_each)
{
    static const char *const names[] = {
        "media/captures/c164_h264_aac_abs_tc0.mkv",
        "media/captures/c164_h264_abs_eofr_meta.mkv",
        "media/captures/c164_h265_abs_eofr_meta.mkv",
        "media/captures/sink360_h264_aac_abs.mkv",
    };
    for (size_t n = 0; n < KN_ARRAY_LEN(names); n++) {
        struct capture c = capture_read(names[n]);
        size_t bytes = 0, frames = 0;
        for (size_t i = 0; i < c.fragment_count; i++) {
            const struct capture_fragment *f = &c.fragments[i];
            struct storage_frame_coder coder = {0};
            struct kn_buf table;
            kn_buf_init(&table, 1 << 20);
            for (size_t k = 0; k < f->frame_count; k++)
                assert_ok(storage_frame_encode(&coder, &f->frames[k], &table));
            struct storage_frames *got;
            assert_ok(storage_frames_decode(kn_buf_bytes(&table), (uint32_t) f->frame_count,
                                            f->end - f->start, &got));
            for (size_t k = 0; k < f->frame_count; k++) {
                assert_int_equal(got->items[k].offset, f->frames[k].offset);
                assert_int_equal(got->items[k].bytes, f->frames[k].bytes);
                assert_int_equal(got->items[k].time, f->frames[k].time);
                assert_int_equal(got->items[k].track, f->frames[k].track);
                assert_int_equal(got->items[k].key, f->frames[k].key);
            }
            storage_frames_free(got);
            bytes += table.len;
            frames += f->frame_count;
            kn_buf_done(&table);
        }
        print_message("%s: %.2f bytes a frame\n", names[n], (double) bytes / (double) frames);
        assert_true(bytes <= 4 * frames);
        capture_done(&c);
    }
}

TEST(any_frames_come_back_whatever_their_tracks_and_times)
{
    uint64_t state = test_seed();
    for (unsigned round = 0; round < 200; round++) {
        struct storage_frame frames[64];
        struct storage_frame_coder coder = {0};
        struct kn_buf table;
        kn_buf_init(&table, 1 << 20);
        uint32_t at = 0;
        for (size_t i = 0; i < 64; i++) {
            at += (uint32_t) (test_random(&state) % 3000);
            frames[i] = (struct storage_frame){
                .offset = at,
                .bytes = (uint32_t) (test_random(&state) % 200000),
                .time = (int32_t) test_random(&state),
                .track = (uint8_t) (1 + test_random(&state) % 7),
                .key = test_random(&state) % 2,
            };
            at += frames[i].bytes;
            assert_ok(storage_frame_encode(&coder, &frames[i], &table));
        }
        struct storage_frames *got;
        assert_ok(storage_frames_decode(kn_buf_bytes(&table), 64, at, &got));
        for (size_t i = 0; i < 64; i++) {
            assert_int_equal(got->items[i].offset, frames[i].offset);
            assert_int_equal(got->items[i].bytes, frames[i].bytes);
            assert_int_equal(got->items[i].time, frames[i].time);
            assert_int_equal(got->items[i].track, frames[i].track);
            assert_int_equal(got->items[i].key, frames[i].key);
        }
        storage_frames_free(got);
        assert_int_equal(storage_frames_decode(kn_buf_bytes(&table), 64, at - 1, &got), -EBADMSG);
        kn_buf_done(&table);
    }
}

TEST(numbers_keep_the_service_s_layout)
{
    struct storage_number n;
    bool exact;
    char text[STORAGE_NUMBER_TEXT_BYTES];
    /* captured from the service; contracts: seq 1, 1511852109126 ms */
    assert_ok(storage_number_parse(KN_STR("91343852333181432392682062607743920146159169392"), &n,
                                   &exact));
    assert_true(exact);
    assert_int_equal(n.seq, 1);
    assert_int_equal(n.server_ts_ms, 1511852109126);
    storage_number_format(&n, text);
    assert_string_equal(text, "91343852333181432392682062607743920146159169392");
}

TEST(a_number_reads_as_the_fields_it_was_written_from)
{
    uint64_t state = 92;
    for (unsigned i = 0; i < 20000; i++) {
        struct storage_number n = {.seq = test_random(&state) >> (4 + i % 60),
                                   .server_ts_ms = (int64_t) (test_random(&state) >> (1 + i % 63)),
                                   .random = (uint32_t) test_random(&state) & 0xfffffff},
                              got;
        char text[STORAGE_NUMBER_TEXT_BYTES];
        bool exact;
        storage_number_format(&n, text);
        assert_int_equal(strlen(text), STORAGE_NUMBER_DIGITS);
        assert_ok(storage_number_parse(kn_str_from(text), &got, &exact));
        assert_true(exact && got.seq == n.seq && got.server_ts_ms == n.server_ts_ms &&
                    got.random == n.random);
    }
}

TEST(foreign_numbers_stand_before_or_after_all_of_ours)
{
    struct storage_number n;
    bool exact;
    assert_ok(storage_number_parse(KN_STR("0"), &n, &exact));
    assert_false(exact);
    assert_int_equal(n.seq, 0);
    assert_ok(storage_number_parse(KN_STR("99999999999999999999999999999999999999999999999999"), &n,
                                   &exact));
    assert_false(exact);
    assert_true(n.seq == UINT64_MAX);
    /* a seq of more than 2^60 in our layout: 48 digits, which nothing has room for */
    assert_ok(storage_number_parse(KN_STR("139438523331814323926820622622220590765191907586"), &n,
                                   &exact));
    assert_false(exact);
    assert_int_equal(storage_number_parse(KN_STR(""), &n, &exact), -EINVAL);
    assert_int_equal(storage_number_parse(KN_STR("12a"), &n, &exact), -EINVAL);
    assert_int_equal(storage_number_parse(KN_STR("-1"), &n, &exact), -EINVAL);
}

TESTS_MAIN(TEST_OF(an_entry_comes_back_as_it_was), TEST_OF(an_entry_out_of_range_is_refused),
           TEST_OF(a_record_with_any_bit_flipped_is_refused),
           TEST_OF(a_footer_comes_back_as_it_was),
           TEST_OF(captured_frames_come_back_in_less_than_four_bytes_each),
           TEST_OF(any_frames_come_back_whatever_their_tracks_and_times),
           TEST_OF(numbers_keep_the_service_s_layout),
           TEST_OF(a_number_reads_as_the_fields_it_was_written_from),
           TEST_OF(foreign_numbers_stand_before_or_after_all_of_ours))
