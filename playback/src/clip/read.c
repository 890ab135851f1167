/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a clip: the head's bytes, each table anew from the frame tables, then the frames,
 * gathered by the fMP4 writer's own reads. Whoever begins in the middle passes over tables, and
 * over payload by its sizes.
 */
#include "clip/plan.h"

enum {
    TABLE_BYTES_MAX = 64 << 20, /* of one fragment */
    ENTRIES_BYTES_MAX = 16 << 20,
    HEAD_BYTES_MAX = 32 << 20,
};

int playback_clip_open(struct playback *playback, const struct playback_clip_in *in,
                       struct playback_clip **ret, struct kn_err *err)
{
    struct playback_clip *clip = calloc(1, sizeof *clip);
    if (!clip)
        return -ENOMEM;
    clip->playback = playback;
    clip->in = *in;
    clip->in.unlimited |= in->exact;
    kn_buf_init(&clip->head, HEAD_BYTES_MAX);
    kn_buf_init(&clip->made, TABLE_BYTES_MAX);
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++)
        kn_buf_init(&clip->slots[i].entries, ENTRIES_BYTES_MAX);
    int r = clip_plan(clip, err);
    if (r == 0)
        r = clip_head(clip);
    if (r < 0) {
        playback_clip_free(clip);
        return r;
    }
    clip_walk_init(&clip->walk, playback->storage, &in->stream, clip->seqs, clip->count);
    *ret = clip;
    return 0;
}

void playback_clip_free(struct playback_clip *clip)
{
    if (!clip)
        return;
    clip_walk_done(&clip->walk);
    playback_mp4_segment_unref(clip->segment);
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++) {
        kn_buf_done(&clip->slots[i].entries);
        free(clip->slots[i].hashes);
    }
    kn_buf_done(&clip->head);
    kn_buf_done(&clip->made);
    free(clip->seqs);
    free(clip);
}

uint64_t playback_clip_bytes(const struct playback_clip *clip)
{
    return clip->head_bytes + clip->payload_bytes;
}

void playback_clip_seek(struct playback_clip *clip, uint64_t pos)
{
    clip->skip = pos;
}

static void rewind_walk(struct playback_clip *clip)
{
    clip_walk_done(&clip->walk);
    clip_walk_init(&clip->walk, clip->playback->storage, &clip->in.stream, clip->seqs, clip->count);
    clip->offset = clip->head_bytes;
}

/* Of the len bytes at from, drops what is to be passed over, and copies what fits; says in *taken
 * how many of them are done with. */
static size_t take(struct playback_clip *clip, const uint8_t *from, size_t len, uint8_t *dst,
                   size_t cap, size_t *taken)
{
    size_t skip = (size_t) kn_min_u64(clip->skip, len);
    clip->skip -= skip;
    size_t n = len - skip < cap ? len - skip : cap;
    if (n)
        memcpy(dst, from + skip, n);
    *taken = skip + n;
    return n;
}

/* The next fragment's piece of the table into made: 1, or 0 when the table is complete. */
static int make_piece(struct playback_clip *clip, const struct clip_part *part, bool nowait)
{
    struct playback_timeline *line = NULL;
    const struct clip_slot *slot = &clip->slots[part->slot];
    if (clip->table_ended)
        return 0;
    int r = clip_walk_load(&clip->walk, NULL, nowait);
    if (r < 0)
        return r;
    kn_buf_clear(&clip->made);
    clip->made_at = 0;
    if (r == 0) {
        clip_table_end(&clip->table, &clip->made);
        clip->table_ended = true;
        return clip->made.error ? clip->made.error : 1;
    }
    const struct playback_track *track = clip_walk_track(&clip->walk, part->slot);
    r = track ? clip_walk_line(&clip->walk, part->slot, slot->timescale, &line) : 0;
    if (r < 0)
        return r;
    uint64_t bytes[PLAYBACK_CLIP_SLOTS];
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++)
        bytes[i] = clip_walk_bytes(&clip->walk, i);
    if (line)
        clip_table_add(&clip->table, line, clip_entry_of(slot, track),
                       clip->offset + (part->slot == PLAYBACK_CLIP_AUDIO ? bytes[0] : 0),
                       &clip->made);
    clip->offset += bytes[0] + bytes[1];
    free(line);
    clip_walk_next(&clip->walk);
    return clip->made.error ? clip->made.error : 1;
}

static ssize_t read_table(struct playback_clip *clip, const struct clip_part *part, uint8_t *dst,
                          size_t cap, bool nowait)
{
    if (!clip->table_begun) {
        rewind_walk(clip);
        clip->table = clip_table_of(clip, part->slot, part->kind);
        clip->table_begun = true;
        clip->table_ended = false;
        kn_buf_clear(&clip->made);
        clip->made_at = 0;
    }
    for (size_t filled = 0;;) {
        size_t taken;
        struct kn_bytes piece = kn_bytes_skip(kn_buf_bytes(&clip->made), clip->made_at);
        filled += take(clip, piece.ptr, piece.len, dst + filled, cap - filled, &taken);
        clip->made_at += taken;
        if (filled == cap)
            return (ssize_t) filled;
        int r = make_piece(clip, part, nowait);
        if (r < 0 && filled)
            return (ssize_t) filled;
        if (r <= 0)
            return r < 0 ? r : (ssize_t) filled;
    }
}

/* Bytes of the head; 0 when it is done with. */
static ssize_t read_head(struct playback_clip *clip, uint8_t *dst, size_t cap, bool nowait)
{
    while (clip->part_at < clip->part_count) {
        const struct clip_part *part = &clip->parts[clip->part_at];
        size_t taken;
        size_t n = take(clip, clip->head.ptr + part->from + clip->part_done,
                        part->to - part->from - clip->part_done, dst, cap, &taken);
        clip->part_done += taken;
        if (n)
            return (ssize_t) n;
        ssize_t got = part->kind == CLIP_TABLES ? 0 : read_table(clip, part, dst, cap, nowait);
        if (got)
            return got;
        clip->table_begun = false;
        clip->part_at++;
        clip->part_done = 0;
        if (clip->part_at == clip->part_count)
            rewind_walk(clip); /* for the payload */
    }
    return 0;
}

/* The next track's frames of a fragment as a segment, whose head is not read: 1, or 0 at the end.
 */
static int open_segment(struct playback_clip *clip, bool nowait)
{
    for (;;) {
        int r = clip_walk_load(&clip->walk, NULL, nowait);
        if (r <= 0)
            return r;
        if (clip->slot == PLAYBACK_CLIP_SLOTS) {
            clip_walk_next(&clip->walk);
            clip->slot = 0;
            continue;
        }
        uint64_t bytes = clip_walk_bytes(&clip->walk, clip->slot);
        if (!bytes || bytes <= clip->skip) {
            clip->skip -= bytes;
            clip->slot++;
            continue;
        }
        struct playback_timeline *line;
        r = clip_walk_line(&clip->walk, clip->slot, clip->slots[clip->slot].timescale, &line);
        if (r == 0) {
            r = playback_mp4_segment_make(line, 1, 1, &clip->segment);
            free(line);
        }
        if (r < 0)
            return r;
        clip->segment_at = clip->segment->head_bytes + clip->skip;
        clip->skip = 0;
        return 1;
    }
}

static ssize_t read_payload(struct playback_clip *clip, uint8_t *dst, size_t cap, bool nowait)
{
    if (!clip->segment) {
        int r = open_segment(clip, nowait);
        if (r <= 0)
            return r;
    }
    const struct playback_mp4_source source = {.storage = clip->playback->storage,
                                               .stream = clip->in.stream,
                                               .fragment = clip->walk.fragment};
    ssize_t n =
        playback_mp4_segment_read(clip->segment, &source, clip->segment_at, dst, cap, nowait);
    if (n <= 0)
        return n < 0 ? n : -EIO;
    clip->segment_at += (uint64_t) n;
    if (clip->segment_at == clip->segment->bytes) {
        playback_mp4_segment_unref(clip->segment);
        clip->segment = NULL;
        clip->slot++;
    }
    return n;
}

ssize_t playback_clip_read(struct playback_clip *clip, void *dst, size_t cap, bool nowait)
{
    ssize_t n = read_head(clip, dst, cap, nowait);
    return n ? n : read_payload(clip, dst, cap, nowait);
}
