/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call to the disk, to LMDB's file and to the allocator fails, one after the other: the n-th
 * for every n until a run passes untouched, once and for good, while the storage works and while
 * it recovers. After each the process is killed or the power cut, in turn with a recovery between
 * that sees what the kernel's cache still shows; then the judge looks.
 *
 * Under ./check only every few allocations are tried; --long tries all.
 */
#include "round.h"

#include <errno.h>

enum {
    STEPS = 40,
    SEEDS_MAX = 500,
};
static enum world_flush flush = WORLD_FLUSH_FILES;
static uint64_t seed; /* its work makes every kind of call but rename: no file is renamed */

struct sweep {
    unsigned kinds;
    int error;
    bool for_good;
    int64_t stride;
};

static void must(struct world *w, const struct sweep *sweep, int64_t n, const char *who, int status,
                 bool may_close)
{
    if (status == 0 || (may_close && status == SIM_EXIT_CLOSED))
        return;
    print_error("%s %" PRId64 " %s: %s ended with %d: %s\n", sim_call_name(sweep->kinds), n,
                sweep->for_good ? "for good" : "once", who, status, w->notes->failure);
    fail();
}

static void arrange(struct world *w, const struct sweep *sweep, int64_t n)
{
    w->notes->may_leak = true;
    sim_plan_fail(sim_disk_plan(w->disk), n, sweep->kinds, sweep->error, sweep->for_good);
}

/* What follows a process that saw failures. */
static void aftermath(struct world *w, const struct sweep *sweep, int64_t n)
{
    static const enum sim_fate fates[] = {SIM_FATE_LOSE, SIM_FATE_RANDOM, SIM_FATE_SCRAMBLE};
    enum sim_fate fate = fates[n / 2 % 3];
    if (n % 2 == 0) { /* the machine goes on: recovery reads what the disk may not hold */
        sim_disk_process_ended(w->disk);
        must(w, sweep, n, "recovery", world_reopen(w, (uint64_t) n), false);
    }
    sim_disk_power_cut(w->disk, w->dir.path, (uint64_t) n, fate);
    must(w, sweep, n, "the judge", world_judge(w), false);
}

/* While it works. */
static int64_t sweep_work(struct world *w, const struct sweep *sweep)
{
    struct world_work work = {.seed = seed, .steps = STEPS, .close = true};
    for (int64_t n = 0;; n += sweep->stride) {
        world_fresh(w);
        arrange(w, sweep, n);
        must(w, sweep, n, "the workload", world_live(w, &work), true);
        bool struck = sim_disk_plan(w->disk)->struck;
        aftermath(w, sweep, n);
        if (!struck)
            return n;
    }
}

/* While it recovers from a power cut in the midst of work. */
static int64_t sweep_recovery(struct world *w, const struct sweep *sweep)
{
    struct world_work work = {.seed = seed, .steps = STEPS};
    for (int64_t n = 0;; n += sweep->stride) {
        world_fresh(w);
        must(w, sweep, n, "the workload", world_live(w, &work), false);
        sim_disk_power_cut(w->disk, w->dir.path, seed, SIM_FATE_RANDOM);
        arrange(w, sweep, n);
        must(w, sweep, n, "recovery", world_reopen(w, seed), true);
        bool struck = sim_disk_plan(w->disk)->struck;
        aftermath(w, sweep, n);
        if (!struck)
            return n;
    }
}

static void sweep_all(unsigned kinds, int error, int64_t stride)
{
    struct world w = world_new();
    w.flush = flush;
    int64_t places[4];
    for (int i = 0; i < 4; i++) {
        struct sweep sweep = {.kinds = kinds,
                              .error = error,
                              .for_good = i % 2,
                              .stride = round_is_long() ? 1 : stride};
        places[i] = i < 2 ? sweep_work(&w, &sweep) : sweep_recovery(&w, &sweep);
    }
    print_message("%s: %" PRId64 " places while working, %" PRId64 " while recovering%s\n",
                  sim_call_name(kinds), places[0], places[2],
                  stride > 1 && !round_is_long() ? ", not every one" : "");
    world_done(&w);
}

TEST(a_failing_flush_is_never_acknowledged)
{
    sweep_all(SIM_SYNC, -EIO, 1);
    sweep_all(SIM_SYNC_START, -EIO, 1);
}

TEST(a_failing_flush_of_the_volume_is_never_acknowledged)
{
    flush = WORLD_FLUSH_VOLUME;
    sweep_all(SIM_SYNC_VOLUME, -EIO, 1);
    sweep_all(SIM_SYNC, -EIO, 1);
    sweep_all(SIM_WRITE, -EIO, 1);
    flush = WORLD_FLUSH_FILES;
}

/* The kernel shows bytes in its cache that the disk does not hold, and the process ends before it
 * could store how far the chunk may be believed. Recovery must not believe what it reads. */
static void kill_after(enum sim_call call, enum world_flush how)
{
    struct world w = world_new();
    w.flush = how;
    struct sweep sweep = {.kinds = call, .error = -EIO, .stride = 1};
    struct world_work work = {.seed = seed, .steps = STEPS, .close = true};
    bool struck = true;
    int64_t n = 0;
    for (; struck; n++) {
        for (int64_t changes = 0; changes < 4; changes++) {
            world_fresh(&w);
            arrange(&w, &sweep, n);
            sim_plan_cut_after_failure(sim_disk_plan(w.disk), changes);
            int status = world_live(&w, &work);
            struck = sim_disk_plan(w.disk)->struck;
            if (status != SIM_EXIT_CUT)
                must(&w, &sweep, n, "the workload", status, true);
            sim_disk_process_ended(w.disk);
            must(&w, &sweep, n, "recovery", world_reopen(&w, (uint64_t) n), false);
            sim_disk_power_cut(w.disk, w.dir.path, (uint64_t) n, SIM_FATE_LOSE);
            must(&w, &sweep, n, "the judge", world_judge(&w), false);
        }
    }
    print_message("%" PRId64 " places\n", n);
    world_done(&w);
}

TEST(a_failed_flush_followed_by_a_kill_leaves_nothing_to_be_believed)
{
    kill_after(SIM_SYNC, WORLD_FLUSH_FILES);
}

TEST(a_failed_flush_of_the_volume_followed_by_a_kill_leaves_nothing_to_be_believed)
{
    kill_after(SIM_SYNC_VOLUME, WORLD_FLUSH_VOLUME);
}

TEST(a_failing_flush_of_a_folder_loses_nothing_acknowledged)
{
    sweep_all(SIM_SYNC_DIR, -EIO, 1);
}

TEST(a_failing_write_loses_nothing_acknowledged)
{
    sweep_all(SIM_WRITE, -EIO, 1);
    sweep_all(SIM_TRUNCATE, -EIO, 1);
}

TEST(a_full_disk_loses_nothing_acknowledged)
{
    sweep_all(SIM_WRITE, -ENOSPC, 1);
    sweep_all(SIM_ALLOCATE, -ENOSPC, 1);
    sweep_all(SIM_OPEN, -ENOSPC, 1);
    sweep_all(SIM_MKDIR, -ENOSPC, 1);
}

TEST(failing_names_lose_nothing_acknowledged)
{
    sweep_all(SIM_OPEN, -EIO, 1);
    sweep_all(SIM_UNLINK, -EIO, 1);
    sweep_all(SIM_RMDIR, -EIO, 1);
    sweep_all(SIM_LIST, -EIO, 1);
}

TEST(a_failing_read_loses_nothing_and_is_not_taken_for_damage)
{
    sweep_all(SIM_READ, -EIO, 3);
    sweep_all(SIM_SIZE, -EIO, 1);
}

TEST(a_failing_catalogue_loses_nothing_acknowledged)
{
    sweep_all(SIM_LMDB_SYNC, -EIO, 2);
    sweep_all(SIM_LMDB_WRITE, -EIO, 4);
    sweep_all(SIM_LMDB_WRITE, -ENOSPC, 4);
}

TEST(memory_that_is_out_loses_nothing_and_stops_nothing)
{
    sweep_all(SIM_MEMORY, -ENOMEM, 37);
}

TEST(there_is_work_that_makes_every_kind_of_call)
{
    struct world w = world_new();
    unsigned all = ((1u << SIM_KINDS) - 1) & ~(unsigned) SIM_RENAME;
    for (seed = 1; seed < SEEDS_MAX; seed++) {
        struct world_work work = {.seed = seed, .steps = STEPS, .close = true};
        unsigned seen = 0;
        for (w.flush = WORLD_FLUSH_FILES; w.flush <= WORLD_FLUSH_VOLUME; w.flush++) {
            world_fresh(&w);
            assert_int_equal(world_live(&w, &work), 0);
            seen |= sim_disk_plan(w.disk)->seen;
        }
        if ((seen & all) == all)
            break;
    }
    print_message("seed %" PRIu64 "\n", seed);
    assert_true(seed < SEEDS_MAX);
    world_done(&w);
}

TESTS_MAIN(TEST_OF(there_is_work_that_makes_every_kind_of_call),
           TEST_OF(a_failing_flush_is_never_acknowledged),
           TEST_OF(a_failing_flush_of_the_volume_is_never_acknowledged),
           TEST_OF(a_failed_flush_followed_by_a_kill_leaves_nothing_to_be_believed),
           TEST_OF(a_failed_flush_of_the_volume_followed_by_a_kill_leaves_nothing_to_be_believed),
           TEST_OF(a_failing_flush_of_a_folder_loses_nothing_acknowledged),
           TEST_OF(a_failing_write_loses_nothing_acknowledged),
           TEST_OF(a_full_disk_loses_nothing_acknowledged),
           TEST_OF(failing_names_lose_nothing_acknowledged),
           TEST_OF(a_failing_read_loses_nothing_and_is_not_taken_for_damage),
           TEST_OF(a_failing_catalogue_loses_nothing_acknowledged),
           TEST_OF(memory_that_is_out_loses_nothing_and_stops_nothing))
