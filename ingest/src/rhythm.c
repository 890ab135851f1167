/* SPDX-License-Identifier: Apache-2.0 */
#include "rhythm.h"

enum {
    NS_PER_MS = 1000000,
    JITTER_MS = 40,     /* fragments that differ by less are of one length */
    EARLY_MS = 2,       /* a look is never later by this than the one that was foreseen from */
    STEADY_MIN = 1,     /* so many that are as long as the one before make a rhythm */
    DRIFT_PER_MS = 1000 /* ns: clocks differ by less than a thousandth */
};

/* The second fragment is believed to be as long as the first: a wrong guess, which no later one
 * follows, is late once. */
static bool foresees(const struct ingest_rhythm *r)
{
    return r->steady >= STEADY_MIN || r->begun == 1;
}

static void begin(struct ingest_rhythm *r, const struct ingest_times *times, uint64_t bytes)
{
    int64_t period_ms = times->start_ms - r->start_ms, differs_ms = period_ms - r->period_ms;
    bool same = differs_ms <= JITTER_MS && differs_ms >= -JITTER_MS;
    r->steady = same ? r->steady + 1 : 0;
    r->begun++;
    r->period_ms = period_ms;
    r->period_bytes = bytes - r->start_bytes;
    r->start_ms = times->start_ms;
    r->gap_ms = times->gap_ms;
    r->start_bytes = bytes;
    r->offset_ns += period_ms * DRIFT_PER_MS;
}

void ingest_rhythm_saw(struct ingest_rhythm *r, int64_t now_ns, const struct ingest_times *times,
                       uint64_t bytes)
{
    int64_t offset_ns = now_ns - times->newest_ms * NS_PER_MS;
    if (!r->known)
        *r = (struct ingest_rhythm){.known = true,
                                    .start_ms = times->start_ms,
                                    .start_bytes = bytes,
                                    .offset_ns = offset_ns};
    if (times->start_ms != r->start_ms)
        begin(r, times, bytes);
    if (offset_ns < r->offset_ns || !foresees(r))
        r->offset_ns = offset_ns;
}

uint32_t ingest_rhythm_calm_ms(const struct ingest_rhythm *r, int64_t now_ns)
{
    if (!foresees(r) ||
        r->period_bytes * 1000 > (uint64_t) INGEST_CALM_BYTES_MAX * (uint64_t) r->period_ms)
        return 1;
    int64_t next_ns = (r->start_ms + r->period_ms) * NS_PER_MS + r->offset_ns;
    int64_t left_ms = (next_ns - now_ns) / NS_PER_MS - EARLY_MS;
    if (left_ms > r->gap_ms + JITTER_MS && r->gap_ms > JITTER_MS)
        left_ms -= r->gap_ms;
    return (uint32_t) kn_min_i64(kn_max_i64(left_ms, 1),
                                 r->steady ? INGEST_CALM_MS_MAX : INGEST_CALM_UNSURE_MS_MAX);
}
