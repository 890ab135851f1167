/* SPDX-License-Identifier: Apache-2.0 */
/* A seed replays exactly: the same calls to the disk and to LMDB's file, with the same bytes, in
 * the same order, whatever the threads of the machine do. */
#include "round.h"

#include "core/buf.h"

static struct sim_trace_entry first_trace[SIM_TRACE_MAX];

static void expect_same(struct world *w, uint64_t seed)
{
    struct round_result result;
    struct sim_plan *plan = sim_disk_plan(w->disk);
    assert_true(round_run(w, seed, &result));
    uint64_t count = plan->trace_count, hash = plan->trace_hash;
    uint32_t found = w->notes->found;
    size_t kept = kn_min_u64(count, SIM_TRACE_MAX);
    memcpy(first_trace, plan->trace, kept * sizeof(first_trace[0]));
    assert_true(round_run(w, seed, &result));
    for (size_t i = 0; i < kept; i++) {
        if (memcmp(&first_trace[i], &plan->trace[i], sizeof(first_trace[0])) == 0)
            continue;
        print_error("seed %" PRIu64 ": call %zu was %s and is %s\n", seed, i,
                    sim_call_name(first_trace[i].call), sim_call_name(plan->trace[i].call));
        fail();
    }
    assert_int_equal(plan->trace_count, count);
    assert_int_equal(plan->trace_hash, hash);
    assert_int_equal(w->notes->found, found);
}

TEST(a_seed_replays_exactly)
{
    struct world w = world_new();
    uint64_t first = round_first_seed(1), rounds = round_count(15, 300), calls = 0;
    for (uint64_t seed = first; seed < first + rounds; seed++) {
        expect_same(&w, seed);
        calls += sim_disk_plan(w.disk)->trace_count;
    }
    print_message("%" PRIu64 " rounds, %" PRIu64 " calls, each twice the same\n", rounds, calls);
    world_done(&w);
}

TESTS_MAIN(TEST_OF(a_seed_replays_exactly))
