/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a journal at start. Where it ends is said by the next one's header. Nothing says it of
 * the newest: there a frame that does not count is the torn end of a write that was never
 * acknowledged, as after any power cut, unless a frame behind it says that this place had been
 * flushed before it was written. Then it is damage: it is said, and what lies behind is read.
 * docs/format-shard.md.
 */
#include "damage.h"
#include "shards.h"

#include "../patient.h"
#include "core/crypto.h"

enum {
    WINDOW_BYTES = 1 << 20,
};

struct window {
    struct kn_file *file;
    uint64_t size; /* of the file */
    uint8_t *bytes;
    size_t cap, len;
    uint64_t at;
};

/* The bytes from at on, in memory until the next call. */
static int window_read(struct window *w, uint64_t at, size_t len, const uint8_t **ret)
{
    if (at > w->size || len > w->size - at)
        return -ENODATA;
    if (at < w->at || at + len > w->at + w->len) {
        size_t want = kn_min_u64(kn_max_u64(len, WINDOW_BYTES), w->size - at);
        if (want > w->cap) {
            uint8_t *bytes = realloc(w->bytes, want);
            if (!bytes)
                return -ENOMEM;
            w->bytes = bytes;
            w->cap = want;
        }
        w->len = 0;
        int r = kn_file_read_all(w->file, w->bytes, want, at);
        if (r < 0)
            return r;
        w->at = at;
        w->len = want;
    }
    *ret = w->bytes + (at - w->at);
    return 0;
}

/* A frame whose bytes are what was written; -ENODATA: there is none here, and kind is 0 if not even
 * its header counts. */
static int read_frame(struct window *w, uint32_t seed, uint64_t at, struct storage_shard_frame *ret,
                      struct kn_bytes *ret_payload)
{
    const uint8_t *bytes;
    *ret = (struct storage_shard_frame){.kind = 0};
    int r = window_read(w, at, STORAGE_SHARD_FRAME_BYTES, &bytes);
    if (r == 0)
        r = storage_shard_frame_decode(bytes, seed, at, ret);
    if (r == 0)
        r = window_read(w, at + STORAGE_SHARD_FRAME_BYTES, ret->payload_bytes, &bytes);
    if (r < 0)
        return r;
    *ret_payload = (struct kn_bytes){bytes, ret->payload_bytes};
    return kn_crc32c(0, *ret_payload) == ret->payload_crc ? 0 : -ENODATA;
}

/* The first header from a place on that ends before another; -ENODATA: there is none. */
static int seek(struct window *w, uint32_t seed, uint64_t at, uint64_t end,
                struct storage_shard_frame *ret)
{
    while (at < end && end - at >= STORAGE_SHARD_FRAME_BYTES) {
        const uint8_t *bytes;
        size_t len = kn_min_u64(WINDOW_BYTES, end - at);
        int r = window_read(w, at, len, &bytes);
        if (r == 0)
            r = storage_shard_frame_seek((struct kn_bytes){bytes, len}, seed, at, ret);
        if (r != -ENODATA)
            return r;
        at += len - (STORAGE_SHARD_FRAME_BYTES - 1);
    }
    return -ENODATA;
}

/* How much had been acknowledged for certain, by what the frames behind a place say. */
static int prove(struct window *w, uint32_t seed, uint64_t at, uint64_t *ret)
{
    struct storage_shard_frame frame;
    *ret = 0;
    int r;
    while ((r = seek(w, seed, at, w->size, &frame)) == 0) {
        if (frame.flushed <= frame.at)
            *ret = kn_max_u64(*ret, frame.flushed);
        at = frame.at + STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
    }
    return r == -ENODATA ? 0 : r;
}

struct replay {
    struct storage_shards *shards;
    struct storage_journal *journal;
    struct window w;
    uint64_t proven; /* damage before it is damage; UINT64_MAX: not known yet */
    struct storage_shards_report *report;
};

static void say(struct replay *p, const struct storage_shard_frame *frame, uint64_t at,
                uint64_t bytes)
{
    p->report->bad_frames++;
    p->report->bad_bytes += bytes;
    storage_shard_damaged(STORAGE_SHARD_IN_JOURNAL, frame ? &frame->shard : NULL,
                          p->journal->generation, at, bytes);
}

/* The frame at *at does not count: goes to where the next one begins. -ENODATA: the journal ends
 * here; not where the disk refuses to say so. */
static int pass(struct replay *p, uint64_t *at, const struct storage_shard_frame *bad)
{
    int r = 0;
    if (p->proven == UINT64_MAX)
        r = prove(&p->w, p->journal->seed, *at, &p->proven);
    bool header = bad->kind != 0;
    uint64_t end = *at + STORAGE_SHARD_FRAME_BYTES + bad->payload_bytes;
    bool refused = p->journal->patient && storage_patient_gave_up(p->journal->patient, *at, end);
    uint64_t proven = refused ? p->w.size : p->proven;
    if (r < 0 || *at >= proven)
        return r < 0 ? r : -ENODATA;
    uint64_t from = header ? end : *at + 1;
    struct storage_shard_frame next;
    r = seek(&p->w, p->journal->seed, from, p->w.size, &next);
    if (r < 0 && r != -ENODATA)
        return r;
    uint64_t to = r == 0 ? kn_min_u64(next.at, proven) : proven;
    say(p, header ? bad : NULL, *at, to - *at);
    *at = to;
    return 0;
}

static int replay_one(struct replay *p, storage_journal_fn *each, uint64_t *at)
{
    struct storage_shard_frame frame;
    struct kn_bytes payload;
    int r = read_frame(&p->w, p->journal->seed, *at, &frame, &payload);
    if (r == -ENODATA)
        return pass(p, at, &frame);
    if (r == 0 && frame.kind != STORAGE_BATCH_END)
        r = each(p->shards, &frame, payload, p->journal->generation);
    uint64_t bytes = STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
    if (r == -EBADMSG) /* as it was written, and wrong */
        say(p, &frame, *at, bytes);
    else if (r < 0)
        return r;
    *at += bytes;
    p->report->batches += r == 0 && frame.kind != STORAGE_BATCH_END;
    p->report->records += r == 0 ? frame.count : 0;
    return 0;
}

int storage_journal_replay(struct storage_shards *shards, struct storage_journal *journal,
                           uint64_t until, storage_journal_fn *each,
                           struct storage_shards_report *report)
{
    uint64_t size = kn_min_u64(journal->capacity, until);
    struct replay p = {
        .shards = shards,
        .journal = journal,
        .w = {.file = journal->file, .size = size},
        .proven = until == UINT64_MAX ? UINT64_MAX : size,
        .report = report
    };
    int r = 0;
    uint64_t at = STORAGE_JOURNAL_HEAD_BYTES;
    while (r == 0)
        r = replay_one(&p, each, &at);
    free(p.w.bytes);
    journal->tail = at;
    report->journals++;
    return r == -ENODATA ? 0 : r;
}
