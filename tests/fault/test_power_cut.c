/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts, kills and failing calls at random places of random lives; see round.h.
 *
 * KINEMA_ROUNDS sets how many seeds are tried, KINEMA_SEED the first one: KINEMA_ROUNDS=1 with a
 * seed that failed replays it, call by call.
 */
#include "round.h"

#include <errno.h>
#include <time.h>

TEST(nothing_acknowledged_is_lost_and_nothing_deleted_comes_back)
{
    struct world w = world_new();
    uint64_t first = round_first_seed((uint64_t) time(NULL) * 1000);
    uint64_t rounds = round_count(150, 4000), bad = 0, found = 0, lives = 0;
    for (uint64_t seed = first; seed < first + rounds; seed++) {
        struct round_result result;
        if (!round_run(&w, seed, &result)) {
            print_error("KINEMA_SEED=%" PRIu64 " KINEMA_ROUNDS=1: %s\n  story:%s\n", seed,
                        result.why, result.story);
            bad++;
        }
        found += w.notes->found;
        lives += w.notes->lives;
    }
    print_message("%" PRIu64 " rounds from seed %" PRIu64 ": %" PRIu64 " lives, %" PRIu64
                  " fragments found at the end\n",
                  rounds, first, lives, found);
    world_done(&w);
    assert_int_equal(bad, 0);
    assert_true(found > 0);
}

/* Killed, so that the page cache keeps all; the producer comes back; then power is cut right after
 * the acknowledgements. What recovery read may be acknowledged only once it is flushed. */
static uint32_t resend_round(struct world *w, int64_t cut_at, bool fail_flush)
{
    struct world_work work = {.seed = 4, .steps = 30, .small = true};
    world_fresh(w);
    sim_plan_cut(sim_disk_plan(w->disk), cut_at);
    int status = world_live(w, &work);
    assert_true(status == 0 || status == SIM_EXIT_CUT);
    sim_disk_process_ended(w->disk);
    uint32_t before = w->notes->acked;
    if (fail_flush) /* the one that seals what recovery found */
        sim_plan_fail(sim_disk_plan(w->disk), 0, SIM_SYNC, -EIO, false);
    work = (struct world_work){.seed = 5, .small = true, .resend = true};
    status = world_live(w, &work);
    if (status != 0)
        print_error("cut at %" PRId64 ": resender: %d: %s\n", cut_at, status, w->notes->failure);
    assert_int_equal(status, 0);
    sim_disk_power_cut(w->disk, w->dir.path, (uint64_t) cut_at, SIM_FATE_RANDOM);
    uint32_t acked = w->notes->acked - before;
    status = world_judge(w);
    if (status != 0)
        print_error("cut at %" PRId64 ": %s\n", cut_at, w->notes->failure);
    assert_int_equal(status, 0);
    return acked;
}

TEST(what_recovery_found_is_acknowledged_to_a_resender_only_once_it_is_flushed)
{
    struct world w = world_new();
    uint32_t acked = 0;
    for (int64_t cut_at = 20; cut_at < 200; cut_at += 9)
        acked += resend_round(&w, cut_at, false) + resend_round(&w, cut_at, true);
    assert_true(acked > 0);
    world_done(&w);
}

TESTS_MAIN(TEST_OF(nothing_acknowledged_is_lost_and_nothing_deleted_comes_back),
           TEST_OF(what_recovery_found_is_acknowledged_to_a_resender_only_once_it_is_flushed))
