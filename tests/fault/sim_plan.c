/* SPDX-License-Identifier: Apache-2.0 */
/* Counting, failing and stopping; see sim_plan.h. */
#include "sim_plan.h"

#include <unistd.h>

#include "core/crypto.h"

const char *sim_call_name(enum sim_call call)
{
    static const char *const names[SIM_KINDS] = {
        "open",  "mkdir",    "rename",     "unlink",    "rmdir",      "sync_dir",
        "write", "allocate", "truncate",   "sync",      "sync_start", "read",
        "list",  "size",     "LMDB write", "LMDB sync", "memory",     "sync_volume",
    };
    for (unsigned i = 0; i < SIM_KINDS; i++) {
        if (call == 1u << i)
            return names[i];
    }
    return "several";
}

void sim_plan_clear(struct sim_plan *plan)
{
    plan->changes = plan->counted = 0;
    plan->cut_at = plan->fail_at = plan->cut_after = -1;
    plan->fail_kinds = 0;
    plan->for_good = plan->struck = false;
}

void sim_plan_cut(struct sim_plan *plan, int64_t at)
{
    plan->cut_at = at;
}

void sim_plan_cut_after_failure(struct sim_plan *plan, int64_t changes)
{
    plan->cut_after = changes;
}

void sim_plan_fail(struct sim_plan *plan, int64_t at, unsigned kinds, int error, bool for_good)
{
    plan->fail_at = at;
    plan->fail_kinds = kinds;
    plan->fail_error = error;
    plan->for_good = for_good;
}

static void note(struct sim_plan *plan, enum sim_call call, uint32_t hash)
{
    struct sim_trace_entry entry = {call, hash};
    if (plan->trace_count < SIM_TRACE_MAX)
        plan->trace[plan->trace_count] = entry;
    plan->trace_count++;
    plan->trace_hash = (plan->trace_hash ^ call) * 0x100000001B3u;
    plan->trace_hash = (plan->trace_hash ^ hash) * 0x100000001B3u;
}

int sim_plan_step(struct sim_plan *plan, enum sim_call call, uint32_t hash)
{
    plan->seen |= call;
    if (call != SIM_MEMORY) /* too many, and they tell nothing new */
        note(plan, call, hash);
    if (!(call & SIM_LOOKS) && plan->changes++ == plan->cut_at)
        _exit(SIM_EXIT_CUT);
    if (!(call & SIM_LOOKS) && plan->struck && plan->cut_after >= 0 && plan->cut_after-- == 0)
        _exit(SIM_EXIT_CUT);
    if (!(plan->fail_kinds & call))
        return 0;
    int64_t number = plan->counted++;
    if (number != plan->fail_at && !(plan->for_good && plan->struck))
        return 0;
    if (!plan->struck)
        plan->struck_call = call;
    plan->struck = true;
    return plan->fail_error;
}

uint32_t sim_hash(uint32_t hash, const void *bytes, size_t len)
{
    return kn_crc32c(hash, (struct kn_bytes){bytes, len});
}

uint32_t sim_hash_text(const char *text)
{
    return sim_hash(0, text, strlen(text));
}
