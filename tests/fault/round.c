/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds from a seed; see round.h. */
#include "round.h"

#include <errno.h>

enum {
    CUT_CALLS_MAX = 400, /* about as many as a life makes */
    LIVES_MAX = 3,
    STEPS_MIN = 10,
    STEPS_SPREAD = 50,
    FAILS_EARLY = 8,
};

static const struct {
    unsigned kinds;
    int error;
    unsigned calls; /* about as many as a life makes */
} failures[] = {
    {SIM_SYNC,             -EIO,    40  },
    {SIM_SYNC,             -EIO,    40  },
    {SIM_SYNC,             -EIO,    10  },
    {SIM_SYNC_VOLUME,      -EIO,    40  },
    {SIM_SYNC_VOLUME,      -EIO,    10  },
    {SIM_WRITE,            -EIO,    70  },
    {SIM_WRITE,            -ENOSPC, 70  },
    {SIM_ALLOCATE,         -ENOSPC, 20  },
    {SIM_SYNC_DIR,         -EIO,    40  },
    {SIM_OPEN | SIM_MKDIR, -EIO,    30  },
    {SIM_UNLINK,           -EIO,    8   },
    {SIM_RMDIR | SIM_LIST, -EIO,    10  },
    {SIM_TRUNCATE,         -EIO,    15  },
    {SIM_READ | SIM_SIZE,  -EIO,    60  },
    {SIM_LMDB_WRITE,       -EIO,    100 },
    {SIM_LMDB_SYNC,        -EIO,    60  },
    {SIM_LMDB_WRITE,       -ENOSPC, 100 },
    {SIM_MEMORY,           -ENOMEM, 2000},
};

static void tell(struct round_result *ret, const char *fmt, ...) KN_PRINTF(2, 3);
static void tell(struct round_result *ret, const char *fmt, ...)
{
    size_t len = strlen(ret->story);
    va_list args;
    va_start(args, fmt);
    vsnprintf(ret->story + len, sizeof(ret->story) - len, fmt, args);
    va_end(args);
}

/* What is to happen in the process that comes next; true: something fails. */
static bool arrange(struct world *w, uint64_t *state, uint64_t calls_max, struct round_result *ret)
{
    struct sim_plan *plan = sim_disk_plan(w->disk);
    if (w->fails) {
        w->notes->may_leak = true;
        sim_plan_fail(plan, (int64_t) (test_random(state) % FAILS_EARLY), w->fails, -EIO, false);
        return true;
    }
    uint64_t what = test_random(state) % 8;
    uint64_t at = test_random(state), kinds = test_random(state);
    if (what < 4 || what == 5) {
        sim_plan_cut(plan, (int64_t) (at % calls_max));
        tell(ret, " cut at %" PRIu64, at % calls_max);
    }
    if (what < 4 || what >= 6)
        return false;
    at = test_random(state);
    size_t kind = kinds % KN_ARRAY_LEN(failures);
    uint64_t limit =
        calls_max < CUT_CALLS_MAX ? failures[kind].calls / 8 + 2 : failures[kind].calls;
    bool for_good = test_random(state) % 3 == 0;
    sim_plan_fail(plan, (int64_t) (at % limit), failures[kind].kinds, failures[kind].error,
                  for_good);
    tell(ret, " %s %" PRIu64 " fails%s", sim_call_name(failures[kind].kinds), at % limit,
         for_good ? " for good" : "");
    w->notes->may_leak = true;
    return true;
}

static void end_life(struct world *w, uint64_t *state, struct round_result *ret)
{
    uint64_t seed = test_random(state), what = test_random(state) % 4;
    tell(ret, what == 0 ? ", kill;" : ", power;");
    if (what == 0)
        sim_disk_process_ended(w->disk); /* killed: the machine goes on */
    else
        sim_disk_power_cut(w->disk, w->dir.path, seed, SIM_FATE_RANDOM);
}

static bool said(struct round_result *ret, struct world *w, unsigned life, const char *who,
                 int status)
{
    ret->broken = true;
    snprintf(ret->why, sizeof(ret->why), "life %u, %s ended with %d: %s", life, who, status,
             w->notes->failure);
    return false;
}

static bool live(struct world *w, uint64_t seed, uint64_t *state, unsigned life,
                 struct round_result *ret)
{
    struct world_work work = {
        .seed = seed * 8 + life,
        .steps = STEPS_MIN + (unsigned) (test_random(state) % STEPS_SPREAD),
        .close = test_random(state) % 3 != 0,
        .burst = test_random(state) % 2,
        .resend = life > 0 && test_random(state) % 2,
    };
    bool fails = arrange(w, state, CUT_CALLS_MAX, ret);
    int status = world_live(w, &work);
    if (status != 0 && status != SIM_EXIT_CUT && !(status == SIM_EXIT_CLOSED && fails))
        return said(ret, w, life, "the workload", status);
    end_life(w, state, ret);
    if (test_random(state) % 2) { /* again, while it recovers */
        fails = arrange(w, state, 30, ret);
        status = world_reopen(w, seed);
        if (status != 0 && status != SIM_EXIT_CUT && !(status == SIM_EXIT_CLOSED && fails))
            return said(ret, w, life, "recovery", status);
        end_life(w, state, ret);
    }
    status = world_judge(w);
    if (status != 0)
        return said(ret, w, life, "the judge", status);
    end_life(w, state, ret);
    return true;
}

bool round_run(struct world *w, uint64_t seed, struct round_result *ret)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    *ret = (struct round_result){0};
    world_fresh(w);
    unsigned lives = 1 + (unsigned) (test_random(&state) % LIVES_MAX);
    for (unsigned life = 0; life < lives; life++) {
        if (!live(w, seed, &state, life, ret))
            return false;
    }
    return true;
}

bool round_is_long(void)
{
    const char *text = getenv("KINEMA_LONG");
    return text && text[0];
}

static uint64_t number_from(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

uint64_t round_count(uint64_t few, uint64_t many)
{
    uint64_t rounds = number_from("KINEMA_ROUNDS");
    return rounds ? rounds : round_is_long() ? many : few;
}

uint64_t round_first_seed(uint64_t otherwise)
{
    return getenv("KINEMA_SEED") ? number_from("KINEMA_SEED") : otherwise;
}
