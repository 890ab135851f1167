/* SPDX-License-Identifier: Apache-2.0 */
#include "console_health.h"

#include "ingest/camera.h"
#include "ingest/health.h"

enum {
    GAP_MS_MIN = 1000,              /* less is a slow camera's last frame */
    LAG_MS_MAX = 10 * 1000,         /* more is late … */
    LATE_MS_MAX = 24 * 3600 * 1000, /* … and more than this was never meant to be live */
    AHEAD_MS_MAX = 5 * 1000,        /* a camera's clock before ours */
    ERROR_MS = 2 * 60 * 1000,       /* an error is news for so long, and a missing key frame */
    STARTS_MS = 10 * 60 * 1000,
    STARTS_MAX = 4, /* in that time; one more is a connection that breaks */
    SLOT_MS = 10 * 1000,
    SLOTS = 60,
    PAGE = 256,
    FRAGMENTS_MAX = 20000, /* looked at for one answer */
};

static const char action_describe[] = "kinesisvideo:DescribeStream";

uint32_t console_health_add(struct console_health *health, const struct storage_fragment *next)
{
    int64_t lag_ms = next->number.server_ts_ms - next->producer_ts_ms;
    int64_t gap_ms = health->fragments > 0 ? next->producer_ts_ms - health->end_ms : 0;
    bool gap = gap_ms >= GAP_MS_MIN && gap_ms <= LATE_MS_MAX;
    health->lag_ms_max = health->fragments > 0 ? kn_max_i64(health->lag_ms_max, lag_ms) : lag_ms;
    health->lag_ms = lag_ms;
    health->fragments++;
    health->bytes += next->bytes;
    health->media_ms += next->full_duration_ms;
    health->fragment_ms_max =
        (uint32_t) kn_max_u64(health->fragment_ms_max, next->full_duration_ms);
    health->gaps += gap ? 1 : 0;
    health->gap_ms += gap ? (uint64_t) gap_ms : 0;
    health->end_ms = next->producer_ts_ms + next->full_duration_ms;
    health->newest_ms = next->number.server_ts_ms;
    return gap ? (uint32_t) gap_ms : 0;
}

/* --- judged ----------------------------------------------------------------------------------- */
enum level {
    OFF, /* nothing comes, and nobody is connected */
    GOOD,
    WARN,
    BAD
};

struct verdict {
    enum level level;
    const char *why[8];
    size_t count;
};

static void blame(struct verdict *verdict, bool holds, enum level level, const char *why)
{
    if (!holds)
        return;
    kn_assert(verdict->count < KN_ARRAY_LEN(verdict->why));
    verdict->why[verdict->count++] = why;
    verdict->level = level > verdict->level ? level : verdict->level;
}

static struct verdict judge(struct console_call *call, const struct storage_stream *stream,
                            const struct console_health *latest)
{
    struct ingest *ingest = call->console->conf.ingest;
    struct verdict verdict = {.level = OFF};
    struct ingest_health uploads = {0};
    int64_t now_ms = kn_wall_ms(call->console->conf.clock);
    bool live = latest->fragments > 0 && latest->newest_ms > now_ms - CONSOLE_LIVE_MS;
    const char *camera = ingest ? ingest_camera_state(ingest, stream) : NULL;
    if (ingest)
        (void) ingest_health_get(ingest, &stream->id, &uploads);
    bool connected = uploads.open > 0;
    verdict.level = live || connected ? GOOD : OFF;
    blame(&verdict, camera && kn_str_eq(kn_str_from(camera), KN_STR("WAITING")), BAD, "camera");
    blame(&verdict, connected && !live && uploads.since_ms < now_ms - CONSOLE_LIVE_MS, BAD,
          "silent");
    blame(&verdict, uploads.error_ms > now_ms - ERROR_MS, WARN, "error");
    blame(&verdict, uploads.keyless_ms > now_ms - ERROR_MS, WARN, "keyless");
    if (!live)
        return verdict;
    blame(&verdict, latest->gaps > 0, WARN, "gaps");
    blame(&verdict, latest->lag_ms > LAG_MS_MAX && latest->lag_ms < LATE_MS_MAX, WARN, "lag");
    blame(&verdict, latest->lag_ms < -AHEAD_MS_MAX, WARN, "clock");
    blame(&verdict, ingest_health_starts_after(&uploads, now_ms - STARTS_MS) > STARTS_MAX, WARN,
          "reconnects");
    return verdict;
}

void console_health_judge(struct console_call *call, const struct storage_stream *stream,
                          const struct console_health *latest)
{
    static const char *const levels[] = {
        [OFF] = "off", [GOOD] = "good", [WARN] = "warn", [BAD] = "bad"};
    struct verdict verdict = judge(call, stream, latest);
    struct kn_json_writer *w = &call->json;
    kn_json_key(w, "level");
    kn_json_text(w, levels[verdict.level]);
    kn_json_key(w, "why");
    kn_json_array_begin(w);
    for (size_t i = 0; i < verdict.count; i++)
        kn_json_text(w, verdict.why[i]);
    kn_json_array_end(w);
}

/* --- the last ten minutes --------------------------------------------------------------------- */
struct slot {
    uint64_t bytes, media_ms, fragments, gap_ms;
    uint32_t fragment_ms_max;
    int64_t lag_ms; /* the most */
};

struct span {
    int64_t from_ms;
    struct console_health all, latest; /* latest: the last minute */
    struct slot slots[SLOTS];
};

static void span_add(struct span *span, const struct storage_fragment *fragment)
{
    int64_t at = (fragment->number.server_ts_ms - span->from_ms) / SLOT_MS;
    struct slot *slot = &span->slots[kn_min_i64(kn_max_i64(at, 0), SLOTS - 1)];
    int64_t lag_ms = fragment->number.server_ts_ms - fragment->producer_ts_ms;
    slot->lag_ms = slot->fragments > 0 ? kn_max_i64(slot->lag_ms, lag_ms) : lag_ms;
    slot->gap_ms += console_health_add(&span->all, fragment);
    slot->fragments++;
    slot->bytes += fragment->bytes;
    slot->media_ms += fragment->full_duration_ms;
    slot->fragment_ms_max =
        (uint32_t) kn_max_u64(slot->fragment_ms_max, fragment->full_duration_ms);
    if (fragment->number.server_ts_ms >= span->from_ms + (SLOTS - 6) * SLOT_MS)
        (void) console_health_add(&span->latest, fragment);
}

static int span_read(struct storage *storage, const struct storage_id *stream, int64_t now_ms,
                     struct span *span)
{
    struct storage_fragment *items = malloc(PAGE * sizeof *items);
    struct storage_query query = {.order = STORAGE_BY_SERVER_TS, .to_ms = INT64_MAX};
    size_t count = PAGE, all = 0;
    int r = items ? 0 : -ENOMEM;
    /* Slots begin at whole ten seconds, so that a bar stays what it is. */
    span->from_ms = (now_ms / SLOT_MS - SLOTS + 1) * SLOT_MS;
    query.from_ms = span->from_ms;
    while (r == 0 && count == PAGE && all < FRAGMENTS_MAX) {
        r = storage_find(storage, stream, &query, items, PAGE, &count, false);
        for (size_t i = 0; r == 0 && i < count; i++)
            span_add(span, &items[i]);
        if (r == 0 && count > 0)
            query.after_seq = items[count - 1].number.seq;
        all += count;
    }
    free(items);
    return r;
}

static void write_u64(struct kn_json_writer *w, const char *key, uint64_t value)
{
    kn_json_key(w, key);
    kn_json_u64(w, value);
}

static void write_ms(struct kn_json_writer *w, const char *key, int64_t ms)
{
    if (ms == 0)
        return; /* never */
    kn_json_key(w, key);
    kn_json_i64(w, ms);
}

static void write_slots(struct kn_json_writer *w, const struct span *span)
{
    kn_json_key(w, "slots"); /* [bytes, media ms, fragments, longest ms, most lag ms, gap ms] */
    kn_json_array_begin(w);
    for (size_t i = 0; i < SLOTS; i++) {
        const struct slot *slot = &span->slots[i];
        kn_json_array_begin(w);
        kn_json_u64(w, slot->bytes);
        kn_json_u64(w, slot->media_ms);
        kn_json_u64(w, slot->fragments);
        kn_json_u64(w, slot->fragment_ms_max);
        kn_json_i64(w, slot->lag_ms);
        kn_json_u64(w, slot->gap_ms);
        kn_json_array_end(w);
    }
    kn_json_array_end(w);
}

static void write_totals(struct kn_json_writer *w, const struct console_health *all)
{
    write_u64(w, "fragments", all->fragments);
    write_u64(w, "bitsPerSecond", all->media_ms > 0 ? all->bytes * 8000 / all->media_ms : 0);
    write_u64(w, "fragmentMs", all->fragments > 0 ? all->media_ms / all->fragments : 0);
    write_u64(w, "gaps", all->gaps);
    write_u64(w, "gapMs", all->gap_ms);
    if (all->fragments == 0)
        return;
    kn_json_key(w, "lagMs");
    kn_json_i64(w, all->lag_ms);
    kn_json_key(w, "lagMsMax");
    kn_json_i64(w, all->lag_ms_max);
}

static void write_uploads(struct console_call *call, const struct storage_stream *stream,
                          int64_t from_ms)
{
    struct kn_json_writer *w = &call->json;
    struct ingest *ingest = call->console->conf.ingest;
    struct ingest_health uploads = {0};
    if (!ingest || !ingest_health_get(ingest, &stream->id, &uploads))
        return; /* none since the server's start */
    kn_json_key(w, "uploads");
    kn_json_object_begin(w);
    write_u64(w, "open", uploads.open);
    write_ms(w, "sinceMs", uploads.since_ms);
    write_ms(w, "endedMs", uploads.ended_ms);
    write_u64(w, "begun", ingest_health_starts_after(&uploads, from_ms));
    write_u64(w, "errors", uploads.errors);
    if (uploads.error_ms > 0) {
        write_ms(w, "errorMs", uploads.error_ms);
        write_u64(w, "errorId", (uint64_t) uploads.error_id);
        kn_json_key(w, "errorCode");
        kn_json_text(w, uploads.error_code);
        kn_json_key(w, "errorText");
        kn_json_text(w, uploads.error_text);
    }
    kn_json_object_end(w);
}

void console_run_health(struct console_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_describe);
    struct kn_json_writer *w = &call->json;
    struct span span = {0};
    int64_t now_ms = kn_wall_ms(call->console->conf.clock);
    if (!stream)
        return;
    int code = span_read(call->console->conf.storage, &stream->id, now_ms, &span);
    if (code < 0) {
        console_fail(call, 500, "internal", "the index cannot be read: %s", kn_errname(code));
        return;
    }
    kn_json_object_begin(w);
    write_ms(w, "nowMs", now_ms);
    write_ms(w, "fromMs", span.from_ms);
    write_u64(w, "slotMs", SLOT_MS);
    console_health_judge(call, stream, &span.latest);
    write_totals(w, &span.all);
    write_uploads(call, stream, span.from_ms);
    write_slots(w, &span);
    kn_json_object_end(w);
}
