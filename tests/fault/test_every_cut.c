/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small lives, every place: the power is cut, or the process killed, before each single call that
 * changes the disk or the catalogue, and what was not flushed is all lost, all kept, all scrambled
 * or mixed. So each step between segment and catalogue (intent, file, seal, row, horizon, unlink,
 * removal of the row) is interrupted on both sides. Then the same during the recovery from it.
 */
#include "round.h"

enum ending {
    KILLED,
    LOST,
    KEPT,
    SCRAMBLED,
    MIXED,
    ENDINGS
};

static void end(struct world *w, enum ending ending, uint64_t seed)
{
    static const enum sim_fate fates[ENDINGS] = {[LOST] = SIM_FATE_LOSE,
                                                 [KEPT] = SIM_FATE_KEEP,
                                                 [SCRAMBLED] = SIM_FATE_SCRAMBLE,
                                                 [MIXED] = SIM_FATE_RANDOM};
    if (ending == KILLED)
        sim_disk_process_ended(w->disk);
    else
        sim_disk_power_cut(w->disk, w->dir.path, seed, fates[ending]);
}

static void must(struct world *w, int64_t at, enum ending ending, const char *who, int status)
{
    if (status == 0)
        return;
    print_error("cut at %" PRId64 ", ending %d: %s ended with %d: %s\n", at, ending, who, status,
                w->notes->failure);
    fail();
}

/* Every place of a life; returns how many there are. */
static int64_t cut_everywhere(const struct world_work *work, int64_t stride, enum world_flush flush)
{
    struct world w = world_new();
    w.flush = flush;
    for (int64_t at = 0;; at += stride) {
        for (enum ending ending = KILLED; ending < ENDINGS; ending++) {
            world_fresh(&w);
            sim_plan_cut(sim_disk_plan(w.disk), at);
            int status = world_live(&w, work);
            if (status != SIM_EXIT_CUT)
                must(&w, at, ending, "the workload", status);
            end(&w, ending, (uint64_t) at);
            must(&w, at, ending, "the judge", world_judge(&w));
            if (status == SIM_EXIT_CUT)
                continue;
            world_done(&w);
            return at;
        }
    }
}

static int64_t cut_recovery_everywhere(const struct world_work *work)
{
    struct world w = world_new();
    w.flush = WORLD_FLUSH_FILES;
    for (int64_t at = 0;; at++) {
        int cuts = 0;
        for (enum ending ending = KILLED; ending < ENDINGS; ending++) {
            world_fresh(&w);
            must(&w, at, ending, "the workload", world_live(&w, work));
            end(&w, MIXED, work->seed);
            sim_plan_cut(sim_disk_plan(w.disk), at);
            int status = world_reopen(&w, work->seed);
            if (status != SIM_EXIT_CUT)
                must(&w, at, ending, "recovery", status);
            cuts += status == SIM_EXIT_CUT;
            end(&w, ending, (uint64_t) at);
            must(&w, at, ending, "the judge", world_judge(&w));
        }
        if (cuts == 0) {
            world_done(&w);
            return at;
        }
    }
}

TEST(a_small_life_may_be_cut_anywhere)
{
    struct world_work work = {.seed = 5, .steps = 5, .small = true, .close = true};
    for (enum world_flush flush = WORLD_FLUSH_FILES; flush <= WORLD_FLUSH_VOLUME; flush++)
        print_message("%" PRId64 " places\n", cut_everywhere(&work, 1, flush));
}

TEST(a_life_with_retention_and_deletion_may_be_cut_anywhere)
{
    struct world_work work = {.seed = 11, .steps = 26, .close = true};
    for (enum world_flush flush = WORLD_FLUSH_FILES; flush <= WORLD_FLUSH_VOLUME; flush++)
        print_message("%" PRId64 " places\n",
                      cut_everywhere(&work, round_is_long() ? 1 : 5 * (int64_t) flush, flush));
}

TEST(a_recovery_may_be_cut_anywhere)
{
    struct world_work work = {.seed = 12, .steps = 20};
    print_message("%" PRId64 " places\n", cut_recovery_everywhere(&work));
}

TESTS_MAIN(TEST_OF(a_small_life_may_be_cut_anywhere),
           TEST_OF(a_life_with_retention_and_deletion_may_be_cut_anywhere),
           TEST_OF(a_recovery_may_be_cut_anywhere))
