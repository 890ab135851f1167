/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a clip (ISO/IEC 14496-12): ftyp, moov, mdat's header. Tables are not in it, only
 * their lengths: a box that holds some counts them, and parts say where they go.
 */
#include "clip/plan.h"
#include "mp4/box.h"

struct writer {
    struct playback_clip *clip;
    struct kn_buf *out;
    uint64_t away; /* bytes of the tables so far */
    size_t part_from;
};

struct mark {
    size_t at;
    uint64_t away;
};

static struct mark begin(const struct writer *w, const char *type)
{
    return (struct mark){playback_box_begin(w->out, type), w->away};
}

static struct mark begin_full(const struct writer *w, const char *type, uint32_t version)
{
    return (struct mark){playback_box_begin_full(w->out, type, version, 0), w->away};
}

/* -EMSGSIZE sticks to out: no box of a moov may have 4 GiB. */
static void end(const struct writer *w, struct mark mark)
{
    uint64_t bytes = w->out->len - mark.at + (w->away - mark.away);
    if (bytes > UINT32_MAX && !w->out->error)
        w->out->error = -EMSGSIZE;
    if (!w->out->error)
        kn_put_u32be(w->out->ptr + mark.at, (uint32_t) bytes);
}

static uint64_t table_bytes(const struct playback_clip *clip, unsigned slot,
                            enum clip_table_kind kind)
{
    const struct clip_slot *s = &clip->slots[slot];
    if (kind == CLIP_CHUNK_OFFSETS)
        return s->chunks * (clip->wide ? 8 : 4);
    return s->table_bytes[kind];
}

static void add_part(struct writer *w, unsigned slot, enum clip_table_kind kind)
{
    struct playback_clip *clip = w->clip;
    kn_assert(clip->part_count < CLIP_PARTS_MAX);
    clip->parts[clip->part_count++] = (struct clip_part){w->part_from, w->out->len, slot, kind};
    w->part_from = w->out->len;
    w->away += kind == CLIP_TABLES ? 0 : table_bytes(clip, slot, kind);
}

static void write_table(struct writer *w, unsigned slot, enum clip_table_kind kind,
                        const char *type)
{
    const struct clip_slot *s = &w->clip->slots[slot];
    struct mark box = begin_full(w, type, kind == CLIP_CTTS ? 1 : 0);
    if (kind == CLIP_STSZ)
        kn_buf_append_u32be(w->out, 0); /* each has its own */
    kn_buf_append_u32be(w->out, (uint32_t) s->table_entries[kind]);
    add_part(w, slot, kind);
    end(w, box);
}

static void write_stbl(struct writer *w, unsigned slot)
{
    const struct clip_slot *s = &w->clip->slots[slot];
    struct mark stbl = begin(w, "stbl");
    struct mark stsd = begin_full(w, "stsd", 0);
    kn_buf_append_u32be(w->out, s->entry_count);
    kn_buf_append(w->out, s->entries.ptr, s->entries.len);
    end(w, stsd);
    write_table(w, slot, CLIP_STTS, "stts");
    if (s->reordered)
        write_table(w, slot, CLIP_CTTS, "ctts");
    if (s->table_entries[CLIP_STSS] < s->samples)
        write_table(w, slot, CLIP_STSS, "stss");
    write_table(w, slot, CLIP_STSC, "stsc");
    write_table(w, slot, CLIP_STSZ, "stsz");
    write_table(w, slot, CLIP_CHUNK_OFFSETS, w->clip->wide ? "co64" : "stco");
    end(w, stbl);
}

/* --- edit lists: what of a track is shown when ------------------------------------------------ */

struct edit {
    uint64_t empty_ms, media_time, shown_ms;
};

static int64_t rounded_ms(int64_t ticks, uint32_t timescale)
{
    return (ticks * CLIP_MOVIE_HZ + timescale / 2) / timescale;
}

/* Where the clip begins, in its clock: at the cut, or with the track that begins first. */
static int64_t zero_ms(const struct playback_clip *clip)
{
    int64_t zero = INT64_MAX;
    if (clip->in.exact)
        return clip->cut_from_ms;
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++) {
        const struct clip_slot *s = &clip->slots[i];
        if (s->present)
            zero = kn_min_i64(zero, s->first * CLIP_MOVIE_HZ / s->timescale);
    }
    return zero;
}

static struct edit edit_of(const struct playback_clip *clip, const struct clip_slot *s)
{
    int64_t from = zero_ms(clip) * s->timescale / CLIP_MOVIE_HZ, to = s->end;
    struct edit edit = {0};
    if (clip->in.exact)
        to = kn_min_i64(to, clip->cut_to_ms * s->timescale / CLIP_MOVIE_HZ);
    if (from < s->first) {
        edit.empty_ms = (uint64_t) rounded_ms(s->first - from, s->timescale);
        from = s->first;
    } else if (clip->in.exact) {
        edit.media_time = (uint64_t) (from - s->first);
    }
    edit.shown_ms = (uint64_t) kn_max_i64(rounded_ms(to - from, s->timescale), 0);
    return edit;
}

static void write_edit(struct writer *w, const struct edit *edit)
{
    if (!edit->empty_ms && !w->clip->in.exact)
        return;
    struct mark edts = begin(w, "edts");
    struct mark elst = begin_full(w, "elst", 1);
    kn_buf_append_u32be(w->out, edit->empty_ms ? 2 : 1);
    if (edit->empty_ms) {
        kn_buf_append_u64be(w->out, edit->empty_ms);
        kn_buf_append_u64be(w->out, UINT64_MAX); /* nothing */
        kn_buf_append_u32be(w->out, 0x10000);
    }
    kn_buf_append_u64be(w->out, edit->shown_ms);
    kn_buf_append_u64be(w->out, edit->media_time);
    kn_buf_append_u32be(w->out, 0x10000); /* at the rate of 1 */
    end(w, elst);
    end(w, edts);
}

/* --- the whole -------------------------------------------------------------------------------- */

static uint32_t shown_ms(const struct edit *edit)
{
    return (uint32_t) kn_min_u64(edit->empty_ms + edit->shown_ms, UINT32_MAX);
}

static void write_trak(struct writer *w, unsigned slot)
{
    const struct clip_slot *s = &w->clip->slots[slot];
    struct edit edit = edit_of(w->clip, s);
    struct mark trak = begin(w, "trak");
    playback_mp4_tkhd(w->out, &s->track, shown_ms(&edit));
    write_edit(w, &edit);
    struct mark mdia = begin(w, "mdia");
    playback_mp4_mdhd_hdlr(w->out, &s->track, s->timescale, (uint64_t) (s->end - s->first));
    struct mark minf = begin(w, "minf");
    playback_mp4_media_head(w->out, &s->track.info);
    write_stbl(w, slot);
    end(w, minf);
    end(w, mdia);
    end(w, trak);
}

static void write_moov(struct writer *w)
{
    uint32_t longest_ms = 0;
    struct mark moov = begin(w, "moov");
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++) {
        if (!w->clip->slots[i].present)
            continue;
        struct edit edit = edit_of(w->clip, &w->clip->slots[i]);
        longest_ms = (uint32_t) kn_max_u64(longest_ms, shown_ms(&edit));
    }
    playback_mp4_mvhd(w->out, CLIP_MOVIE_HZ, longest_ms);
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++)
        if (w->clip->slots[i].present)
            write_trak(w, i);
    end(w, moov);
}

int clip_head(struct playback_clip *clip)
{
    enum {
        HEAD_ABOUT_BYTES = 64 << 10
    };
    struct writer w = {.clip = clip, .out = &clip->head};
    unsigned number = 0;
    uint64_t tables = HEAD_ABOUT_BYTES;
    for (unsigned i = 0; i < PLAYBACK_CLIP_SLOTS; i++) {
        struct clip_slot *s = &clip->slots[i];
        if (s->present)
            s->track.number = ++number;
        tables += s->entries.len + s->chunks * 8;
        for (unsigned kind = 0; kind < CLIP_TABLES; kind++)
            tables += s->table_bytes[kind];
    }
    if (!number)
        return -ENOENT;
    clip->wide = clip->payload_bytes + tables > UINT32_MAX;
    size_t ftyp = playback_box_begin(w.out, "ftyp");
    kn_buf_append_text(w.out, "isom");
    kn_buf_append_u32be(w.out, 0x200);
    kn_buf_append_text(w.out, "isomiso2mp41");
    playback_box_end(w.out, ftyp);
    write_moov(&w);
    kn_buf_append_u32be(w.out, clip->wide ? 1 : (uint32_t) clip->payload_bytes + 8);
    kn_buf_append_text(w.out, "mdat");
    if (clip->wide)
        kn_buf_append_u64be(w.out, clip->payload_bytes + 16);
    add_part(&w, 0, CLIP_TABLES);
    clip->head_bytes = clip->head.len + w.away;
    return clip->head.error;
}
