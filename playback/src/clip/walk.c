/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media times are the producer's, as in DASH: fragments meet by them. Where two do not, the second
 * begins when the first has ended: a clip shows neither holes nor overlaps.
 */
#include "clip/walk.h"

void clip_walk_init(struct clip_walk *walk, struct storage *storage,
                    const struct storage_id *stream, const uint64_t *seqs, size_t count)
{
    *walk = (struct clip_walk){.storage = storage, .stream = *stream, .seqs = seqs, .count = count};
}

void clip_walk_done(struct clip_walk *walk)
{
    storage_frames_free(walk->frames);
    storage_header_unref(walk->header);
    walk->frames = NULL;
    walk->header = NULL;
}

static int64_t length_ms(const struct storage_fragment *fragment)
{
    uint64_t ms = kn_max_u64(fragment->full_duration_ms, fragment->duration_ms);
    return ms ? (int64_t) ms : 1;
}

/* Fragments mostly follow each other by number, so they come in pages. */
static int find(struct clip_walk *walk, struct storage_fragment *ret, bool nowait)
{
    uint64_t seq = walk->seqs[walk->index];
    if (walk->page_at == walk->page_count || walk->page[walk->page_at].number.seq != seq) {
        struct storage_query query = {.order = STORAGE_BY_NUMBER, .after_seq = seq - 1};
        walk->page_at = walk->page_count = 0;
        int r = storage_find(walk->storage, &walk->stream, &query, walk->page,
                             KN_ARRAY_LEN(walk->page), &walk->page_count, nowait);
        if (r < 0)
            return r;
        if (!walk->page_count || walk->page[0].number.seq != seq)
            return -ENOENT; /* trimmed since the clip was opened */
    }
    *ret = walk->page[walk->page_at];
    return 0;
}

static int take_header(struct clip_walk *walk, const struct storage_fragment *fragment,
                       struct kn_err *err, bool nowait)
{
    if (walk->header && walk->header_name == fragment->header)
        return 0;
    struct storage_header *header;
    struct playback_tracks tracks;
    int r = storage_header_get(walk->storage, &walk->stream, fragment, &header, nowait);
    if (r < 0)
        return r;
    r = playback_tracks_choose(&header->parsed, PLAYBACK_CLIP, &tracks, err);
    if (r < 0) {
        storage_header_unref(header);
        return r;
    }
    storage_header_unref(walk->header);
    walk->header = header;
    walk->header_name = fragment->header;
    walk->tracks = tracks;
    return 0;
}

int clip_walk_load(struct clip_walk *walk, struct kn_err *err, bool nowait)
{
    struct storage_fragment fragment;
    struct storage_frames *frames;
    if (walk->loaded)
        return 1;
    if (walk->index == walk->count)
        return 0;
    int r = find(walk, &fragment, nowait);
    if (r == 0)
        r = take_header(walk, &fragment, err, nowait);
    if (r == 0)
        r = storage_frames_get(walk->storage, &walk->stream, &fragment, &frames, nowait);
    if (r < 0)
        return r;
    walk->at_ms = PLAYBACK_CLIP_BASE_MS;
    if (walk->index) {
        int64_t distance_ms = fragment.producer_ts_ms - walk->last_start_ms;
        int64_t hole_ms = distance_ms - walk->last_ms;
        bool meets = hole_ms <= PLAYBACK_CONTIGUOUS_MS && hole_ms >= -PLAYBACK_CONTIGUOUS_MS;
        bool joined =
            fragment.ordinal == walk->last_ordinal + 1 && distance_ms > 0 &&
            !(fragment.flags & STORAGE_FRAGMENT_DISCONTINUITY); /* the index has seen it */
        walk->at_ms = walk->last_at_ms + (meets || joined ? distance_ms : walk->last_ms);
    }
    walk->fragment = fragment;
    walk->frames = frames;
    walk->page_at++;
    walk->loaded = true;
    return 1;
}

void clip_walk_next(struct clip_walk *walk)
{
    walk->last_at_ms = walk->at_ms;
    walk->last_start_ms = walk->fragment.producer_ts_ms;
    walk->last_ms = length_ms(&walk->fragment);
    walk->last_ordinal = walk->fragment.ordinal;
    storage_frames_free(walk->frames);
    walk->frames = NULL;
    walk->loaded = false;
    walk->index++;
}

const struct playback_track *clip_walk_track(const struct clip_walk *walk, unsigned slot)
{
    for (unsigned i = 0; i < walk->tracks.count; i++)
        if (playback_codec_is_audio(walk->tracks.items[i].info.codec) ==
            (slot == PLAYBACK_CLIP_AUDIO))
            return &walk->tracks.items[i];
    return NULL;
}

uint64_t clip_walk_bytes(const struct clip_walk *walk, unsigned slot)
{
    const struct playback_track *track = clip_walk_track(walk, slot);
    uint64_t bytes = 0;
    for (size_t i = 0; track && i < walk->frames->count; i++)
        bytes +=
            walk->frames->items[i].track == track->mkv_number ? walk->frames->items[i].bytes : 0;
    return bytes;
}

static int64_t scaled(int64_t ticks, uint32_t from, uint32_t to)
{
    return (int64_t) ((__int128) ticks * to / from);
}

int clip_walk_line(const struct clip_walk *walk, unsigned slot, uint32_t timescale,
                   struct playback_timeline **ret)
{
    const struct playback_track *track = clip_walk_track(walk, slot);
    struct playback_timeline *line;
    if (!track)
        return -ENOENT;
    int r = playback_timeline_make(&(struct playback_timeline_in){.track = track,
                                                                  .frames = walk->frames,
                                                                  .scale_ns = walk->tracks.scale_ns,
                                                                  .start_ms = walk->at_ms,
                                                                  .next_start_ms = INT64_MIN},
                                   &line);
    if (r < 0)
        return r;
    if (line->timescale != timescale) {
        line->decode_time = scaled(line->decode_time, line->timescale, timescale);
        for (size_t i = 0; i < line->count; i++) {
            struct playback_sample *sample = &line->samples[i];
            sample->duration =
                (uint32_t) kn_max_i64(scaled(sample->duration, line->timescale, timescale), 1);
            sample->composition = (int32_t) scaled(sample->composition, line->timescale, timescale);
        }
        line->timescale = timescale;
    }
    *ret = line;
    return 0;
}
