/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning: which fragments (kvs-api.md §4.1), and one walk over them that makes every table and
 * keeps only its length. By default the rules are AWS's: at most 200 fragments or 100 MB, one set
 * of tracks and codec parameters.
 */
#include "clip/plan.h"

enum {
    PAGE = 64,
    AUDIO_SLACK_MS = 2,
    TABLE_BYTES_MAX = 64 << 20, /* of one fragment */
};

/* --- which fragments -------------------------------------------------------------------------- */

struct pick {
    int64_t start_ms;
    uint64_t seq;
};

struct picks {
    struct pick *items;
    size_t count, cap;
};

static int compare_picks(const void *left, const void *right)
{
    const struct pick *a = left, *b = right;
    if (a->start_ms != b->start_ms)
        return a->start_ms < b->start_ms ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* In the order of time; of equal starts the larger number wins. */
static void order_picks(struct picks *picks)
{
    size_t kept = 0;
    qsort(picks->items, picks->count, sizeof *picks->items, compare_picks);
    for (size_t i = 1; i < picks->count; i++) {
        kept += picks->items[i].start_ms != picks->items[kept].start_ms;
        picks->items[kept] = picks->items[i];
    }
    picks->count = kept + 1;
}

static int take_page(struct picks *picks, const struct storage_fragment *page, size_t count,
                     enum storage_order order)
{
    if (picks->cap - picks->count < count) {
        size_t cap = picks->cap ? 2 * picks->cap : 4 * (size_t) PAGE;
        struct pick *items = reallocarray(picks->items, cap, sizeof *items);
        if (!items)
            return -ENOMEM;
        picks->items = items;
        picks->cap = cap;
    }
    for (size_t i = 0; i < count; i++)
        picks->items[picks->count++] = (struct pick){
            playback_start_ms(&page[i], order == STORAGE_BY_PRODUCER_TS ? PLAYBACK_PRODUCER_CLOCK
                                                                        : PLAYBACK_SERVER_CLOCK),
            page[i].number.seq};
    return 0;
}

static int gather(struct playback_clip *clip, int64_t from_ms, int64_t to_ms, struct picks *picks)
{
    struct storage *storage = clip->playback->storage;
    struct storage_query query = {.order = clip->in.clock == PLAYBACK_PRODUCER_CLOCK
                                               ? STORAGE_BY_PRODUCER_TS
                                               : STORAGE_BY_SERVER_TS,
                                  .from_ms = from_ms,
                                  .to_ms = to_ms};
    bool some = !clip->in.unlimited && query.order == STORAGE_BY_SERVER_TS;
    storage_find_ahead(storage, &clip->in.stream, &query,
                       some ? PLAYBACK_CLIP_FRAGMENTS_MAX : UINT64_MAX);
    for (;;) {
        struct storage_fragment page[PAGE];
        size_t count = 0;
        int r = storage_find(storage, &clip->in.stream, &query, page, PAGE, &count, false);
        if (r == 0 && count)
            r = take_page(picks, page, count, query.order);
        if (r < 0 || !count || (some && picks->count > PLAYBACK_CLIP_FRAGMENTS_MAX))
            return r;
        query.after_seq = page[count - 1].number.seq;
    }
}

/* Exact: the fragment that reaches into the range from before it belongs to it too. */
static int reach_back(struct playback_clip *clip, int64_t *from_ms)
{
    struct storage_fragment fragment;
    enum storage_order order =
        clip->in.clock == PLAYBACK_PRODUCER_CLOCK ? STORAGE_BY_PRODUCER_TS : STORAGE_BY_SERVER_TS;
    int r = storage_find_at(clip->playback->storage, &clip->in.stream, order, clip->in.from_ms,
                            &fragment, false);
    if (r == 0 && !(fragment.flags & STORAGE_FRAGMENT_IN_FLIGHT))
        *from_ms = kn_min_i64(*from_ms, playback_start_ms(&fragment, clip->in.clock));
    return r == -ENOENT ? 0 : r;
}

static int choose(struct playback_clip *clip, struct kn_err *err)
{
    struct picks picks = {0};
    int64_t from_ms = clip->in.from_ms, to_ms = clip->in.to_ms;
    int r = 0;
    if (clip->in.exact) {
        to_ms--; /* what begins at the end shows nothing */
        r = reach_back(clip, &from_ms);
    }
    if (r == 0)
        r = gather(clip, from_ms, to_ms, &picks);
    if (r == 0 && picks.count)
        order_picks(&picks);
    else if (r == 0)
        r = kn_fail(err, -ENOENT, "No fragments found in the stream for the request.");
    clip->count = picks.count;
    if (!clip->in.unlimited && clip->count > PLAYBACK_CLIP_FRAGMENTS_MAX)
        clip->count = PLAYBACK_CLIP_FRAGMENTS_MAX;
    clip->seqs = r < 0 ? NULL : reallocarray(NULL, clip->count, sizeof *clip->seqs);
    for (size_t i = 0; clip->seqs && i < clip->count; i++)
        clip->seqs[i] = picks.items[i].seq;
    free(picks.items);
    return r < 0 ? r : clip->seqs ? 0 : -ENOMEM;
}

/* --- what is in them -------------------------------------------------------------------------- */

struct clip_table clip_table_of(const struct playback_clip *clip, unsigned slot,
                                enum clip_table_kind kind)
{
    int64_t slack = slot == PLAYBACK_CLIP_AUDIO
                        ? (int64_t) clip->slots[slot].timescale * AUDIO_SLACK_MS / 1000
                        : 0;
    return (struct clip_table){.kind = kind, .slack = slack, .wide = clip->wide};
}

static uint64_t hash_of(const struct playback_track *track)
{
    struct playback_tracks one = {.count = 1, .items = {*track}};
    return playback_tracks_hash(&one);
}

uint32_t clip_entry_of(const struct clip_slot *slot, const struct playback_track *track)
{
    uint64_t hash = hash_of(track);
    for (uint32_t i = 0; i < slot->entry_count; i++)
        if (slot->hashes[i] == hash)
            return i + 1;
    return 0;
}

static int add_entry(struct clip_slot *slot, const struct playback_track *track, struct kn_err *err)
{
    if (slot->entry_count == CLIP_ENTRIES_MAX)
        return kn_fail(err, -EBADMSG, "it changes more than %d times", (int) CLIP_ENTRIES_MAX);
    uint64_t *hashes = reallocarray(slot->hashes, slot->entry_count + 1, sizeof *hashes);
    if (!hashes)
        return -ENOMEM;
    slot->hashes = hashes;
    hashes[slot->entry_count++] = hash_of(track);
    playback_mp4_sample_entry(&slot->entries, &track->info);
    return slot->entries.error;
}

/* AWS: tracks and codec private data must not change. */
static int take_tracks(struct playback_clip *clip, const struct clip_walk *walk, struct kn_err *err)
{
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++) {
        struct clip_slot *slot = &clip->slots[i];
        const struct playback_track *track = clip_walk_track(walk, i);
        if (!clip->in.unlimited && walk->index && slot->present != (track != NULL))
            return kn_fail(err, -EINVAL,
                           "The tracks of the fragments in the range are not the same.");
        if (!track || clip_entry_of(slot, track))
            continue;
        if (!clip->in.unlimited && slot->entry_count)
            return kn_fail(err, -EBADMSG, "it changes within the range");
        if (!slot->present) {
            slot->track = *track;
            slot->track.info.config = (struct kn_bytes){0};
            slot->timescale = playback_timescale(&track->info, walk->tracks.scale_ns);
        }
        slot->present = true;
        int r = add_entry(slot, track, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A picture of less than one NAL unit's length field cannot be one. */
static int check_frames(const struct clip_walk *walk, struct kn_err *err)
{
    const struct playback_track *video = clip_walk_track(walk, PLAYBACK_CLIP_VIDEO);
    for (size_t i = 0; video && i < walk->frames->count; i++)
        if (walk->frames->items[i].track == video->mkv_number &&
            walk->frames->items[i].bytes <= video->info.nal_length_bytes)
            return kn_fail(err, -EILSEQ,
                           "A frame of the fragments in the range is not one of the codec.");
    return 0;
}

struct planner {
    struct clip_table tables[PLAYBACK_CLIP_SLOTS][CLIP_TABLES];
    struct kn_buf made;
};

static int add_line(struct planner *p, struct playback_clip *clip, const struct clip_walk *walk,
                    unsigned slot)
{
    struct playback_timeline *line;
    const struct playback_track *track = clip_walk_track(walk, slot);
    int r = clip_walk_line(walk, slot, clip->slots[slot].timescale, &line);
    if (r < 0)
        return r;
    clip->slots[slot].reordered |= line->reordered;
    for (unsigned kind = 0; kind < CLIP_TABLES; kind++) {
        struct clip_table *table = &p->tables[slot][kind];
        if (walk->index == 0 || !table->samples)
            *table = clip_table_of(clip, slot, (enum clip_table_kind) kind);
        kn_buf_clear(&p->made);
        clip_table_add(table, line, clip_entry_of(&clip->slots[slot], track), 0, &p->made);
        clip->slots[slot].table_bytes[kind] += p->made.len;
    }
    free(line);
    return p->made.error;
}

static int plan_fragment(struct planner *p, struct playback_clip *clip, struct clip_walk *walk,
                         struct kn_err *err)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++)
        bytes += clip_walk_bytes(walk, i);
    if (!clip->in.unlimited && walk->index && clip->payload_bytes + bytes > PLAYBACK_CLIP_BYTES_MAX)
        return 1;
    int r = take_tracks(clip, walk, err);
    if (r == 0)
        r = check_frames(walk, err);
    for (unsigned i = 0; r == 0 && i < PLAYBACK_CLIP_SLOTS; i++)
        if (clip_walk_track(walk, i))
            r = add_line(p, clip, walk, i);
    clip->payload_bytes += bytes;
    if (walk->index == 0)
        clip->cut_from_ms =
            walk->at_ms +
            kn_max_i64(clip->in.from_ms - playback_start_ms(&walk->fragment, clip->in.clock), 0);
    clip->cut_to_ms =
        walk->at_ms + clip->in.to_ms - playback_start_ms(&walk->fragment, clip->in.clock);
    return r;
}

static void plan_ends(struct planner *p, struct playback_clip *clip)
{
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++) {
        struct clip_slot *slot = &clip->slots[i];
        for (unsigned kind = 0; kind < CLIP_TABLES; kind++) {
            struct clip_table *table = &p->tables[i][kind];
            kn_buf_clear(&p->made);
            clip_table_end(table, &p->made);
            slot->table_bytes[kind] += p->made.len;
            slot->table_entries[kind] = table->entries;
            slot->samples = table->samples;
            slot->chunks = table->chunks;
        }
        slot->first = p->tables[i][CLIP_STTS].first;
        slot->end = p->tables[i][CLIP_STTS].end;
        slot->present &= slot->samples > 0;
    }
}

int clip_plan(struct playback_clip *clip, struct kn_err *err)
{
    struct planner planner = {0};
    struct clip_walk walk;
    int r = choose(clip, err);
    if (r < 0)
        return r;
    kn_buf_init(&planner.made, TABLE_BYTES_MAX);
    clip_walk_init(&walk, clip->playback->storage, &clip->in.stream, clip->seqs, clip->count);
    while ((r = clip_walk_load(&walk, err, false)) == 1 &&
           (r = plan_fragment(&planner, clip, &walk, err)) == 0)
        clip_walk_next(&walk);
    if (r == 1) /* the rest is left out */
        clip->count = walk.index;
    if (r >= 0) {
        plan_ends(&planner, clip);
        r = planner.made.error;
    }
    clip_walk_done(&walk);
    kn_buf_done(&planner.made);
    return r;
}
