/* SPDX-License-Identifier: Apache-2.0 */
/* The judge: opens what is left of a world and holds it against the notes; see world.h. */
#include "sim_thread.h"
#include "storage_rig.h"
#include "world.h"

static struct capture media_of[WORLD_MEDIA_MAX];

static const struct capture *media(unsigned at)
{
    if (!media_of[at].bytes)
        media_of[at] = world_media(at);
    return &media_of[at];
}

static void judge_fragment(struct world *w, struct storage *storage, unsigned at,
                           const struct storage_fragment *f, const struct storage_fragment *before)
{
    struct world_stream *stream = &w->notes->streams[at];
    uint64_t seq = f->number.seq;
    struct world_note *note = world_note_of(w, at, &f->number);
    if (!note)
        world_broken(w, "seq %" PRIu64 " was never sent", seq);
    if (note->gone)
        world_broken(w, "seq %" PRIu64 " came back", seq);
    int r = rig_compare(storage, &stream->id, f, media(note->media), note->fragment);
    if (r < 0)
        world_broken(w, "seq %" PRIu64 " differs: %s", seq, kn_errname(r));
    if (before &&
        (seq <= before->number.seq || f->number.server_ts_ms <= before->number.server_ts_ms ||
         f->ordinal <= before->ordinal || f->discontinuity < before->discontinuity))
        world_broken(w, "order is broken at seq %" PRIu64, seq);
    if (note->acked && f->ordinal != note->ordinal)
        world_broken(w, "ordinal of seq %" PRIu64 " was %" PRIu64 " and is %" PRIu64, seq,
                     note->ordinal, f->ordinal);
    if (note->memory)
        world_broken(w, "seq %" PRIu64 " was to be in memory only", seq);
    /* Once a reader has seen it, it is as good as acknowledged. */
    note->acked = true;
    note->ordinal = f->ordinal;
    stream->ordinal_max = kn_max_u64(stream->ordinal_max, f->ordinal + 1);
    stream->server_ts_ms_max = kn_max_i64(stream->server_ts_ms_max, f->number.server_ts_ms);
}

static bool may_be_trimmed(const struct world *w, const struct world_note *note)
{
    const struct world_stream *stream = &w->notes->streams[note->stream];
    return note->number.server_ts_ms < w->notes->wall_ms - stream->kept_ms_min;
}

struct holds_seen {
    struct world *w;
    const struct world_stream *stream;
    bool seen[WORLD_HOLDS];
};

static int judge_hold(void *ctx, const struct storage_hold *hold)
{
    struct holds_seen *s = ctx;
    char text[8];
    for (unsigned i = 0; i < WORLD_HOLDS; i++) {
        const struct world_hold *want = &s->stream->holds[i];
        if (!kn_str_eq(hold->name, world_hold_name(i, text)))
            continue;
        if (want->state == WORLD_HOLD_NONE)
            world_broken(s->w, "hold %u of s%u came back", i, s->stream->name);
        if (hold->from_ms != want->from_ms || hold->to_ms != want->to_ms)
            world_broken(s->w, "hold %u of s%u is another", i, s->stream->name);
        s->seen[i] = true;
        return 0;
    }
    world_broken(s->w, "a hold that nobody set");
}

static void judge_holds(struct world *w, struct storage *storage, const struct world_stream *stream)
{
    struct holds_seen s = {.w = w, .stream = stream};
    kn_assert(storage_hold_list(storage, &stream->id, KN_STR(""), judge_hold, &s) == 0);
    for (unsigned i = 0; i < WORLD_HOLDS; i++) {
        if (stream->holds[i].state == WORLD_HOLD_SET && !s.seen[i])
            world_broken(w, "hold %u of s%u is lost", i, stream->name);
    }
}

static void judge_stream(struct world *w, struct storage *storage, unsigned at)
{
    static struct storage_fragment found[WORLD_NOTES_MAX];
    struct world_stream *stream = &w->notes->streams[at];
    struct storage_stream *settings = storage_stream_find_id(storage, &stream->id);
    bool active = settings && settings->status == STORAGE_STREAM_ACTIVE;
    storage_stream_unref(settings);
    if (active && stream->deleted)
        world_broken(w, "stream s%u came back", stream->name);
    if (!active && !stream->delete_asked)
        world_broken(w, "stream s%u is lost", stream->name);
    if (!active) {
        stream->deleted = true;
        return;
    }
    judge_holds(w, storage, stream);
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count, next = 0;
    int r = storage_find(storage, &stream->id, &query, found, WORLD_NOTES_MAX, &count, false);
    if (r < 0)
        world_broken(w, "find: %s", kn_errname(r));
    for (size_t i = 0; i < count; i++)
        judge_fragment(w, storage, at, &found[i], i ? &found[i - 1] : NULL);
    w->notes->found += (uint32_t) count;
    for (uint32_t i = 0; i < w->notes->note_count; i++) {
        struct world_note *note = &w->notes->notes[i];
        if (note->stream != at || !note->acked)
            continue;
        while (next < count && found[next].number.seq < note->number.seq)
            next++;
        if (next < count && found[next].number.seq == note->number.seq)
            continue;
        bool may_go = may_be_trimmed(w, note) && !world_is_held(w, note);
        if (!note->gone && !note->memory && !may_go)
            world_broken(w, "seq %" PRIu64 " of s%u was acknowledged and is lost", note->number.seq,
                         stream->name);
    }
}

static void keep_problem(void *ctx, const char *line)
{
    struct world *w = ctx;
    bool leak = strncmp(line, "problem unknown", 15) == 0 && w->notes->may_leak;
    if (strncmp(line, "problem", 7) == 0 && !leak)
        world_broken(w, "check: %.300s", line);
}

int judge_run(struct world *w)
{
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_report report;
    w->notes->found = 0;
    if (world_open(w, &clock, &storage, &report) < 0)
        return SIM_EXIT_BROKEN;
    if (report.bad_records > 0)
        world_broken(w, "recovery speaks of damage where there was none");
    if (report.unknown_files > 0 && !w->notes->may_leak)
        world_broken(w, "recovery found %" PRIu64 " folders that nobody knows",
                     report.unknown_files);
    for (unsigned i = 0; i < w->notes->stream_count; i++)
        judge_stream(w, storage, i);
    storage_close(storage);
    struct storage_check_result result = {0};
    struct kn_err err = {0};
    const struct storage_look look = {sim_disk_fs(w->disk), kn_clock_system(), keep_problem, w};
    int r = storage_check(w->dir.path, &look, &result, &err);
    if (r < 0)
        world_broken(w, "check: %s", err.text);
    if (result.fragments < w->notes->found)
        world_broken(w, "check sees %" PRIu64 " fragments of %u", result.fragments,
                     w->notes->found);
    return 0;
}
