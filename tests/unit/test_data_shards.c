/* SPDX-License-Identifier: Apache-2.0 */
/* What names and places records of a data stream: hash keys, shard ids, sequence numbers,
 * iterators, the shard map. Texts of numbers are those that recordings of the AWS service show. */
#include "hash_key.h"
#include "iterator.h"
#include "sequence.h"
#include "shard_id.h"
#include "shard_map.h"
#include "test.h"

#include <errno.h>

#include "core/wide.h"

static void hash_is(struct datastream_hash hash, const char *text)
{
    char got[DATASTREAM_HASH_TEXT_BYTES];
    datastream_hash_format(hash, got);
    assert_string_equal(got, text);
}

static struct datastream_hash hash(const char *text)
{
    struct datastream_hash h;
    assert_ok(datastream_hash_parse(kn_str_from(text), &h));
    return h;
}

/* --- hash keys -------------------------------------------------------------------------------- */
TEST(ranges_are_those_of_the_service)
{
    struct datastream_hash_range r = datastream_hash_share(0, 1);
    hash_is(r.start, "0");
    hash_is(r.end, "340282366920938463463374607431768211455");
    r = datastream_hash_share(0, 2);
    hash_is(r.end, "170141183460469231731687303715884105727");
    r = datastream_hash_share(1, 2);
    hash_is(r.start, "170141183460469231731687303715884105728");
    r = datastream_hash_share(0, 3);
    hash_is(r.end, "113427455640312821154458202477256070484");
    r = datastream_hash_share(2, 3);
    hash_is(r.start, "226854911280625642308916404954512140970");
    hash_is(r.end, "340282366920938463463374607431768211455");
}

TEST(a_partition_key_hashes_by_md5)
{
    hash_is(datastream_hash_of(KN_STR("")), "281949768489412648962353822266799178366");
    hash_is(datastream_hash_of(KN_STR("a")), "16955237001963240173058271559858726497");
}

TEST(a_hash_key_has_128_bits)
{
    struct datastream_hash h;
    assert_int_equal(datastream_hash_parse(KN_STR("340282366920938463463374607431768211456"), &h),
                     -ERANGE);
    assert_int_equal(datastream_hash_parse(KN_STR("x"), &h), -EINVAL);
}

/* --- shard ids -------------------------------------------------------------------------------- */
static void shard_id_reads(const char *text, int64_t index)
{
    uint32_t got = 0;
    int r = datastream_shard_id_parse(kn_str_from(text), &got);
    if (index < 0)
        assert_int_equal(r, -EINVAL);
    else {
        assert_ok(r);
        assert_int_equal(got, index);
    }
}

TEST(shard_ids_are_read_as_the_service_reads_them)
{
    shard_id_reads("shardId-000000000003", 3);
    shard_id_reads("a-00002147483647", INT32_MAX);
    shard_id_reads("-00002147483647", INT32_MAX);
    shard_id_reads("17", 17);
    shard_id_reads("2147483648", -1);
    shard_id_reads("shardId-002147483648", -1);
    shard_id_reads("ABKLFD8", -1);
    shard_id_reads("2.14E4", -1);
    shard_id_reads("x-", -1);
    char text[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format(5, text);
    assert_string_equal(text, "shardId-000000000005");
    datastream_shard_id_format(INT32_MIN, text);
    assert_string_equal(text, "shardId--02147483648");
}

/* --- sequence numbers ------------------------------------------------------------------------- */
TEST(a_sequence_number_goes_both_ways_and_has_56_digits)
{
    struct datastream_sequence in = {.layout = 2,
                                     .created_s = 1795849862,
                                     .shard = 0x12345,
                                     .index = 77,
                                     .arrival_s = 1795849999};
    char text[DATASTREAM_SEQUENCE_TEXT_BYTES];
    assert_int_equal(datastream_sequence_format(&in, text), 56);
    struct datastream_sequence out;
    assert_ok(datastream_sequence_parse(kn_str_from(text), &out));
    assert_int_equal(out.layout, 2);
    assert_int_equal(out.created_s, in.created_s);
    assert_int_equal(out.shard, in.shard);
    assert_int_equal(out.index, 77);
    assert_int_equal(out.arrival_s, in.arrival_s);
}

/* From the Kinesis API reference: the answer of PutRecord and the range of a shard in examples. */
TEST(numbers_of_the_service_are_understood)
{
    struct datastream_sequence s;
    assert_ok(datastream_sequence_parse(
        KN_STR("49543463076548007577105092703039560359975228518395019266"), &s));
    assert_int_equal(s.layout, 2);
    assert_int_equal(s.shard, 0);
    char text[DATASTREAM_SEQUENCE_TEXT_BYTES];
    datastream_sequence_format(&s, text);
    assert_string_equal(text, "49543463076548007577105092703039560359975228518395019266");
}

TEST(a_run_of_numbers_is_what_each_of_them_would_be)
{
    struct datastream_sequence s = {.layout = 2,
                                    .created_s = 1795849862,
                                    .shard = 0x12345,
                                    .index = UINT64_C(0xfffffffff0),
                                    .arrival_s = 1795849999};
    struct datastream_sequence_run run;
    datastream_sequence_run_init(&run, &s);
    for (int i = 0; i < 100000; i++) {
        char text[DATASTREAM_SEQUENCE_TEXT_BYTES], of_run[DATASTREAM_SEQUENCE_DIGITS];
        datastream_sequence_run_text(&run, of_run);
        assert_int_equal(datastream_sequence_format(&s, text), sizeof(of_run));
        assert_memory_equal(text, of_run, sizeof(of_run));
        datastream_sequence_run_next(&run);
        s.index++;
    }
}

/* Of shards of one age and of others, in turn; fields as large as they may be among them. */
TEST(runs_begin_with_their_number_whatever_came_before)
{
    const int64_t seconds[] = {0, 1795849862, 1795849863, (INT64_C(1) << 36) - 1};
    const uint64_t indexes[] = {0, 1, UINT32_MAX, UINT64_C(1) << 32, DATASTREAM_SEQUENCE_INDEX_MAX};
    const int32_t shards[] = {0, 15, 16, 9999, INT32_MAX};
    enum {
        AGES = KN_ARRAY_LEN(seconds),
        INDEXES = KN_ARRAY_LEN(indexes),
        ALL = AGES * AGES * INDEXES * KN_ARRAY_LEN(shards) * 2,
    };
    for (size_t n = 0; n < (size_t) 3 * ALL; n++) {
        size_t i = n < ALL ? n : n * 7 % ALL; /* side by side, then mixed */
        struct datastream_sequence s = {.layout = 2,
                                        .past = i % 2,
                                        .index = indexes[i / 2 % INDEXES],
                                        .shard = shards[i / 2 / INDEXES % KN_ARRAY_LEN(shards)],
                                        .created_s = seconds[i / (ALL / AGES)],
                                        .arrival_s = seconds[i / (ALL / AGES / AGES) % AGES]};
        struct datastream_sequence_run run;
        char text[DATASTREAM_SEQUENCE_TEXT_BYTES], of_run[DATASTREAM_SEQUENCE_DIGITS];
        datastream_sequence_run_init(&run, &s);
        datastream_sequence_run_text(&run, of_run);
        assert_int_equal(datastream_sequence_format(&s, text), sizeof(of_run));
        assert_memory_equal(text, of_run, sizeof(of_run));
    }
}

/* Hexadecimal, since that is how the layout is seen. */
static int parse_hex(const char *hex, struct datastream_sequence *ret)
{
    uint32_t limb[6] = {0};
    size_t len = strlen(hex);
    for (size_t i = 0; i < len; i++) {
        char c = hex[len - 1 - i];
        uint32_t v = (uint32_t) (c <= '9' ? c - '0' : c - 'a' + 10);
        limb[i / 8] |= v << (i % 8 * 4);
    }
    char text[KN_WIDE_DIGITS_MAX + 1];
    kn_wide_format(limb, 6, text, sizeof(text));
    return datastream_sequence_parse(kn_str_from(text), ret);
}

TEST(numbers_that_the_service_refuses_are_refused)
{
    struct datastream_sequence s;
    const char *bad[] = {
        "20000000000000000000000000000000000000000000000", /* layout 0 with the top of 2 */
        "20000000000000000000000000000000000000000000003",
        "20000000000000000000000000000000000000000000004",
        "30000000000000000000000000000000000000000000001",
        "1ffffffffff7fffffffffffffff000000000007fffffff2",
        "20000000000800000000000000000000000000000000002", /* top bit of the index */
        "2ffffffffff7fffffffffffffff000000000007fffffff2", /* date */
        "13bb2cc3d80000000000000000000000",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(parse_hex(bad[i], &s), -EINVAL);
    assert_int_equal(datastream_sequence_parse(KN_STR(""), &s), -EINVAL);
    assert_ok(parse_hex("20000000000000000000000000000000000000800000002", &s));
    assert_int_equal(s.shard, INT32_MIN);
    assert_ok(datastream_sequence_parse(KN_STR("5"), &s));
    assert_int_equal(s.layout, 0);
    assert_int_equal(s.shard, 5);
    assert_ok(parse_hex("20000000000000000000000000000000000000000000051", &s));
    assert_int_equal(s.layout, 1);
    assert_int_equal(s.shard, 5);
}

/* --- iterators -------------------------------------------------------------------------------- */
static const uint8_t key[KN_AEAD_KEY_BYTES] = {1, 2, 3};

static void iterator_goes_both_ways(size_t name_bytes)
{
    char name[DATASTREAM_NAME_BYTES_MAX];
    memset(name, 'n', sizeof(name));
    struct datastream_iterator in = {
        .issued_ms = 1795849862123,
        .stream = {{9, 8, 7}  },
        .name = { name, name_bytes},
        .shard = 12,
        .position = UINT64_C(1) << 40
    };
    char text[DATASTREAM_ITERATOR_TEXT_BYTES], got_name[DATASTREAM_NAME_BYTES_MAX];
    ssize_t len = datastream_iterator_format(key, &in, text);
    assert_true(len > 0 && len <= 512);
    struct kn_buf bytes;
    kn_buf_init(&bytes, 512);
    assert_ok(kn_base64_decode((struct kn_str){text, (size_t) len}, false, &bytes));
    assert_memory_equal(bytes.ptr, "\0\0\0\0\0\0\0\1", 8);
    assert_int_equal(bytes.len, 152 + (name_bytes + 2) / 16 * 16);
    kn_buf_done(&bytes);
    struct datastream_iterator out;
    assert_ok(datastream_iterator_parse(key, (struct kn_str){text, (size_t) len}, got_name, &out));
    assert_true(out.issued_ms == in.issued_ms && out.shard == 12 && out.position == in.position);
    assert_memory_equal(&out.stream, &in.stream, sizeof(in.stream));
    assert_true(kn_str_eq(out.name, in.name));
}

TEST(an_iterator_goes_both_ways_and_is_as_long_as_the_service_makes_it)
{
    iterator_goes_both_ways(1);
    iterator_goes_both_ways(13);
    iterator_goes_both_ways(14);
    iterator_goes_both_ways(DATASTREAM_NAME_BYTES_MAX);
}

TEST(a_changed_iterator_is_refused)
{
    struct datastream_iterator it = {.name = KN_STR("a")};
    char text[DATASTREAM_ITERATOR_TEXT_BYTES], name[DATASTREAM_NAME_BYTES_MAX];
    ssize_t len = datastream_iterator_format(key, &it, text);
    assert_true(len > 0);
    for (ssize_t i = 0; i < len; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(
            datastream_iterator_parse(key, (struct kn_str){text, (size_t) len}, name, &it),
            -EINVAL);
        text[i] = was;
    }
    for (size_t cut = 0; cut < (size_t) len; cut++)
        assert_int_equal(datastream_iterator_parse(key, (struct kn_str){text, cut}, name, &it),
                         -EINVAL);
    const uint8_t other[KN_AEAD_KEY_BYTES] = {4};
    assert_int_equal(
        datastream_iterator_parse(other, (struct kn_str){text, (size_t) len}, name, &it), -EINVAL);
}

/* --- the map ---------------------------------------------------------------------------------- */
/* What must hold of every map; that it survives its record. */
static void check_map(const struct datastream_shard_map *map)
{
    struct datastream_hash next = {0};
    for (size_t i = 0; i < map->open_count; i++) {
        const struct datastream_shard *row = &map->rows[map->open[i]];
        assert_int_equal(row->closed_ms, 0);
        assert_int_equal(datastream_hash_cmp(row->range.start, next), 0);
        assert_ptr_equal(datastream_shard_map_route(map, row->range.start), row);
        assert_ptr_equal(datastream_shard_map_route(map, row->range.end), row);
        next = datastream_hash_add(row->range.end, 1);
    }
    hash_is(next, "0");
    for (size_t i = 0; i < map->count; i++) {
        const struct datastream_shard *row = &map->rows[i], *parent;
        assert_true(row->index < map->next_index);
        assert_true(i == 0 || row->index > map->rows[i - 1].index);
        assert_ptr_equal(datastream_shard_map_find(map, row->index), row);
        if (row->parent >= 0 && (parent = datastream_shard_map_find(map, (uint32_t) row->parent))) {
            assert_true(parent->closed_ms > 0);
            assert_true(row->created_s > parent->created_s);
        }
    }
    struct kn_buf bytes;
    kn_buf_init(&bytes, DATASTREAM_SHARD_MAP_BYTES_MAX);
    datastream_shard_map_encode(map, &bytes);
    assert_ok(bytes.error);
    struct datastream_shard_map again;
    assert_ok(datastream_shard_map_decode(kn_buf_bytes(&bytes), &again));
    struct kn_buf same;
    kn_buf_init(&same, DATASTREAM_SHARD_MAP_BYTES_MAX);
    datastream_shard_map_encode(&again, &same);
    assert_int_equal(same.len, bytes.len);
    assert_memory_equal(same.ptr, bytes.ptr, bytes.len);
    kn_buf_done(&same);
    assert_int_equal(again.open_count, map->open_count);
    assert_memory_equal(again.open, map->open, map->open_count * sizeof(*map->open));
    datastream_shard_map_done(&again);
    kn_buf_done(&bytes);
}

static void become(struct datastream_shard_map *map, struct datastream_shard_map *other)
{
    datastream_shard_map_done(map);
    *map = *other;
    check_map(map);
}

TEST(a_split_and_a_merge_name_their_parents)
{
    struct datastream_shard_map map, other;
    assert_ok(datastream_shard_map_even(1, 5000, &map));
    check_map(&map);
    assert_ok(datastream_shard_map_split(&map, 0, hash("1000"), 5001, &other));
    become(&map, &other);
    assert_int_equal(map.open_count, 2);
    const struct datastream_shard *low = datastream_shard_map_find(&map, 1);
    const struct datastream_shard *high = datastream_shard_map_find(&map, 2);
    hash_is(low->range.end, "999");
    hash_is(high->range.start, "1000");
    assert_int_equal(low->parent, 0);
    assert_int_equal(high->parent, 0);
    assert_int_equal(low->adjacent, -1);
    assert_int_equal(low->created_s, 6);

    assert_ok(datastream_shard_map_merge(&map, 2, 1, 9000, &other));
    become(&map, &other);
    const struct datastream_shard *child = datastream_shard_map_find(&map, 3);
    assert_int_equal(child->parent, 2);
    assert_int_equal(child->adjacent, 1);
    assert_int_equal(map.open_count, 1);
    datastream_shard_map_done(&map);
}

TEST(what_cannot_be_split_or_merged_is_refused)
{
    struct datastream_shard_map map, other;
    assert_ok(datastream_shard_map_even(3, 5000, &map));
    struct datastream_hash_range first = map.rows[0].range;
    assert_int_equal(datastream_shard_map_split(&map, 7, first.end, 0, &other), -ENOENT);
    assert_int_equal(datastream_shard_map_split(&map, 0, first.start, 0, &other), -ERANGE);
    assert_int_equal(
        datastream_shard_map_split(&map, 0, datastream_hash_add(first.end, 1), 0, &other), -ERANGE);
    assert_int_equal(datastream_shard_map_merge(&map, 0, 2, 0, &other), -EDOM);
    assert_int_equal(datastream_shard_map_merge(&map, 0, 0, 0, &other), -EDOM);
    assert_ok(datastream_shard_map_split(&map, 0, first.end, 0, &other));
    become(&map, &other);
    assert_int_equal(datastream_shard_map_split(&map, 0, hash("5"), 0, &other), -ESTALE);
    assert_int_equal(datastream_shard_map_merge(&map, 0, 1, 0, &other), -ESTALE);
    datastream_shard_map_done(&map);
}

TEST(scaling_ends_in_equal_ranges)
{
    const uint32_t steps[] = {1, 2, 3, 5, 3, 4, 4, 8, 5, 1000, 500, 333, 10};
    struct datastream_shard_map map, other;
    assert_ok(datastream_shard_map_even(1, 1000, &map));
    for (size_t s = 0; s < sizeof(steps) / sizeof(*steps); s++) {
        assert_ok(datastream_shard_map_scale(&map, steps[s], 1000 + (int64_t) s * 1000, &other));
        become(&map, &other);
        assert_int_equal(map.open_count, steps[s]);
        for (uint32_t i = 0; i < steps[s]; i++) {
            struct datastream_hash_range share = datastream_hash_share(i, steps[s]);
            struct datastream_hash_range got = map.rows[map.open[i]].range;
            assert_true(datastream_hash_cmp(share.start, got.start) == 0 &&
                        datastream_hash_cmp(share.end, got.end) == 0);
        }
    }
    datastream_shard_map_done(&map);
}

TEST(the_largest_streams_fit_in_their_record)
{
    struct datastream_shard_map map, other;
    assert_ok(datastream_shard_map_even(5000, 1795849862000, &map));
    assert_ok(datastream_shard_map_scale(&map, DATASTREAM_SHARDS_MAX, 1795849999000, &other));
    become(&map, &other);
    assert_int_equal(datastream_shard_map_scale(&map, 9999, 1795849999000, &other), -E2BIG);
    assert_int_equal(datastream_shard_map_split(
                         &map, 14999, hash("340282366920938463463374607431768211455"), 0, &other),
                     -E2BIG);
    assert_ok(datastream_shard_map_forget(&map, INT64_MAX, &other));
    become(&map, &other);
    assert_int_equal(map.count, DATASTREAM_SHARDS_MAX);
    datastream_shard_map_done(&map);
}

TEST(any_sequence_of_changes_leaves_a_whole_map)
{
    uint64_t chance = test_seed();
    struct datastream_shard_map map, other;
    assert_ok(datastream_shard_map_even(1 + (uint32_t) (test_random(&chance) % 5), 1000, &map));
    for (int64_t now = 2000; now < 302000; now += 500) {
        size_t at = (size_t) (test_random(&chance) % map.open_count);
        struct datastream_shard *one = &map.rows[map.open[at]];
        int r;
        if (test_random(&chance) % 2 || map.open_count == 1) {
            struct datastream_hash start = {test_random(&chance), test_random(&chance)};
            const struct datastream_shard *owner = datastream_shard_map_route(&map, start);
            r = datastream_shard_map_split(&map, owner->index, start, now, &other);
        } else if (at + 1 < map.open_count) {
            r = datastream_shard_map_merge(&map, one->index, map.rows[map.open[at + 1]].index, now,
                                           &other);
        } else {
            r = datastream_shard_map_forget(&map, now - 20000, &other);
        }
        assert_ok(r);
        become(&map, &other);
    }
    datastream_shard_map_done(&map);
}

TEST(a_damaged_record_is_refused)
{
    struct datastream_shard_map map, other;
    assert_ok(datastream_shard_map_even(3, 1795849862000, &map));
    struct kn_buf bytes;
    kn_buf_init(&bytes, DATASTREAM_SHARD_MAP_BYTES_MAX);
    datastream_shard_map_encode(&map, &bytes);
    for (size_t cut = 0; cut < bytes.len; cut++)
        assert_int_equal(datastream_shard_map_decode((struct kn_bytes){bytes.ptr, cut}, &other),
                         -EBADMSG);
    bytes.ptr[bytes.len - 1] ^= 1; /* the last range ends before the last key */
    assert_int_equal(datastream_shard_map_decode(kn_buf_bytes(&bytes), &other), -EBADMSG);
    kn_buf_done(&bytes);
    datastream_shard_map_done(&map);
}

TESTS_MAIN(TEST_OF(ranges_are_those_of_the_service), TEST_OF(a_partition_key_hashes_by_md5),
           TEST_OF(a_hash_key_has_128_bits), TEST_OF(shard_ids_are_read_as_the_service_reads_them),
           TEST_OF(a_sequence_number_goes_both_ways_and_has_56_digits),
           TEST_OF(a_run_of_numbers_is_what_each_of_them_would_be),
           TEST_OF(runs_begin_with_their_number_whatever_came_before),
           TEST_OF(numbers_of_the_service_are_understood),
           TEST_OF(numbers_that_the_service_refuses_are_refused),
           TEST_OF(an_iterator_goes_both_ways_and_is_as_long_as_the_service_makes_it),
           TEST_OF(a_changed_iterator_is_refused), TEST_OF(a_split_and_a_merge_name_their_parents),
           TEST_OF(what_cannot_be_split_or_merged_is_refused),
           TEST_OF(scaling_ends_in_equal_ranges), TEST_OF(the_largest_streams_fit_in_their_record),
           TEST_OF(any_sequence_of_changes_leaves_a_whole_map),
           TEST_OF(a_damaged_record_is_refused))
