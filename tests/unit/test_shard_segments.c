/* SPDX-License-Identifier: Apache-2.0 */
/* How checkpoints write segments: past the page cache or through it, from any place on. */
#include "shard_rig.h"

/* Batches of odd sizes, through journals that are soon full. */
static uint64_t append_some(struct shard_rig *f, uint64_t next, unsigned batches)
{
    for (unsigned i = 0; i < batches; i++) {
        size_t count = 1 + (next * 7 + i) % 40;
        assert_int_equal(shard_rig_append(f, next, count), next);
        next += count;
    }
    return next;
}

TEST(a_segment_grows_past_the_cache_and_through_it_by_turns)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    uint64_t next = 0;
    for (unsigned turn = 0; turn < 6; turn++) {
        next = append_some(&f, next, 60);
        shard_rig_assert_reads(f.shard, 0, next, 100);
        f.conf.direct_bytes_min = turn % 2 ? GIB(1) : 1;
        shard_rig_reopen(&f);
        assert_int_equal(f.report.bad_frames, 0);
        shard_rig_assert_reads(f.shard, 0, next, 1000);
    }
    shard_rig_teardown(&f);
}

/* Larger than the buffer it goes through. */
TEST(a_large_part_of_a_segment_is_written_past_the_cache)
{
    struct shard_rig f = shard_rig_setup(MIB(8));
    f.conf.direct_bytes_min = 1;
    shard_rig_reopen(&f);
    uint64_t next = 0;
    while (next < 80000) {
        assert_int_equal(shard_rig_append(&f, next, 400), next);
        next += 400;
    }
    shard_rig_assert_reads(f.shard, 0, next, 10000);
    shard_rig_reopen(&f);
    shard_rig_assert_reads(f.shard, 0, next, 10000);
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(a_segment_grows_past_the_cache_and_through_it_by_turns),
           TEST_OF(a_large_part_of_a_segment_is_written_past_the_cache))
