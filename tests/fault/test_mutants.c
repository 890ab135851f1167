/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who watches the watchmen: engines with a fault built in (mutant.h) go through the same rounds as
 * the real one in test_power_cut.c, and each must be caught; those about the flush of a volume
 * where every group is flushed so, and two of them where it fails. The list is printed.
 */
#include "round.h"

#include <time.h>

enum {
    TRIES_MAX = 2000
};

static unsigned killed;

/* On the terminal, and where ctest shows it in the end: it shows no output of a test that passes.
 */
static void report(const char *fmt, ...) KN_PRINTF(1, 2);
static void report(const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    print_message("%s", line);
    const char *path = getenv("KINEMA_MUTANTS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    (void) fputs(line, file);
    (void) fclose(file);
}

static void expect_killed(enum mutant mutant)
{
    struct world w = world_new();
    struct round_result result = {0};
    uint64_t tries = 0, first = round_first_seed(1);
    bool of_volume = mutant >= MUTANT_NO_VOLUME_FLUSH;
    w.mutant = mutant;
    w.flush = of_volume ? WORLD_FLUSH_VOLUME : WORLD_FLUSH_FILES;
    if (mutant == MUTANT_VOLUME_FLUSH_DENIED || mutant == MUTANT_VOLUME_FLUSHED_AGAIN)
        w.fails = SIM_SYNC_VOLUME;
    while (tries < TRIES_MAX && round_run(&w, first + tries, &result))
        tries++;
    bool caught = tries < TRIES_MAX;
    report("mutant \"%s\" %s after %" PRIu64 " rounds: %.140s\n", mutant_name(mutant),
           caught ? "killed" : "ALIVE", tries + 1, result.why);
    w.mutant = MUTANT_NONE; /* the real one passes there, so the fault is what was seen */
    struct round_result real;
    assert_true(round_run(&w, first + tries, &real));
    world_done(&w);
    assert_true(caught);
    killed++;
}

TEST(each_mutant_is_killed)
{
    for (int mutant = MUTANT_NONE + 1; mutant < MUTANT_COUNT; mutant++)
        expect_killed((enum mutant) mutant);
    report("mutants killed: %u of %u\n", killed, MUTANT_COUNT - 1);
}

TESTS_MAIN(TEST_OF(each_mutant_is_killed))
