/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media segments (ISO/IEC 14496-12: styp 8.16.2, moof 8.8, mdat 8.1.1). The head is written from
 * the frame table alone. Reading gathers frames by one preadv: what lies between two frames of the
 * track (block headers, frames of other tracks) goes into a sink when it is short, else ends the
 * read. Silence, which no chunk has, comes from the segment itself.
 */
#include <limits.h>

#include "mp4/box.h"
#include "mp4/mp4.h"

enum {
    TFHD_DEFAULT_BASE_IS_MOOF = 0x020000,
    TFHD_DEFAULT_FLAGS = 0x20,
    TRUN_DATA_OFFSET = 0x1,
    TRUN_DURATION = 0x100,
    TRUN_SIZE = 0x200,
    TRUN_FLAGS = 0x400,
    TRUN_COMPOSITION = 0x800,
    SAMPLE_KEY = 0x02000000,     /* depends on no other */
    SAMPLE_NOT_KEY = 0x01010000, /* depends on others, no sync sample */
    HEAD_FIXED_BYTES = 256,      /* more than all boxes without the samples take */
    SAMPLE_BYTES = 16,
    GAP_BYTES_MAX = 8192, /* rather read through than ask the kernel again */
    VECTORS_MAX = 512,
};
static_assert(VECTORS_MAX <= IOV_MAX, "one preadv takes them");

static void write_trun(struct kn_buf *out, const struct playback_timeline *line, size_t moof)
{
    bool all_key = true;
    for (size_t i = 0; i < line->count; i++)
        all_key &= line->samples[i].key;
    uint32_t flags = TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | (all_key ? 0 : TRUN_FLAGS) |
                     (line->reordered ? TRUN_COMPOSITION : 0);
    size_t trun = playback_box_begin_full(out, "trun", 1, flags);
    kn_buf_append_u32be(out, (uint32_t) line->count);
    size_t data_offset = out->len;
    kn_buf_append_u32be(out, 0);
    for (size_t i = 0; i < line->count; i++) {
        const struct playback_sample *sample = &line->samples[i];
        uint8_t bytes[SAMPLE_BYTES], *at = bytes;
        kn_put_u32be(at, sample->duration);
        kn_put_u32be(at + 4, sample->bytes);
        at += 8;
        if (flags & TRUN_FLAGS) {
            kn_put_u32be(at, sample->key ? SAMPLE_KEY : SAMPLE_NOT_KEY);
            at += 4;
        }
        if (flags & TRUN_COMPOSITION) {
            kn_put_u32be(at, (uint32_t) sample->composition);
            at += 4;
        }
        kn_buf_append(out, bytes, (size_t) (at - bytes));
    }
    playback_box_end(out, trun);
    if (!out->error) /* from the moof's start to the first byte of the mdat's payload */
        kn_put_u32be(out->ptr + data_offset, (uint32_t) (out->len - moof) + 8);
}

static void write_head(struct kn_buf *out, const struct playback_timeline *line,
                       unsigned track_number, uint32_t sequence, uint64_t payload_bytes)
{
    size_t styp = playback_box_begin(out, "styp");
    kn_buf_append_text(out, "msdh");
    kn_buf_append_u32be(out, 0);
    kn_buf_append_text(out, "msdhmsix");
    playback_box_end(out, styp);

    size_t moof = playback_box_begin(out, "moof");
    size_t box = playback_box_begin_full(out, "mfhd", 0, 0);
    kn_buf_append_u32be(out, sequence);
    playback_box_end(out, box);
    size_t traf = playback_box_begin(out, "traf");
    box = playback_box_begin_full(out, "tfhd", 0, TFHD_DEFAULT_BASE_IS_MOOF | TFHD_DEFAULT_FLAGS);
    kn_buf_append_u32be(out, track_number);
    kn_buf_append_u32be(out, SAMPLE_KEY);
    playback_box_end(out, box);
    box = playback_box_begin_full(out, "tfdt", 1, 0);
    kn_buf_append_u64be(out, (uint64_t) line->decode_time);
    playback_box_end(out, box);
    write_trun(out, line, moof);
    playback_box_end(out, traf);
    playback_box_end(out, moof);

    kn_buf_append_u32be(out, (uint32_t) (payload_bytes + 8));
    kn_buf_append_text(out, "mdat");
}

int playback_mp4_segment_make(const struct playback_timeline *line, unsigned track_number,
                              uint32_t sequence, struct playback_mp4_segment **ret)
{
    uint64_t payload = 0;
    for (size_t i = 0; i < line->count; i++)
        payload += line->samples[i].bytes;
    if (payload > UINT32_MAX - 8 || line->count > (UINT32_MAX - HEAD_FIXED_BYTES) / 64)
        return -EMSGSIZE;
    size_t head_max = HEAD_FIXED_BYTES + SAMPLE_BYTES * line->count;
    struct kn_buf head;
    kn_buf_init(&head, head_max);
    (void) kn_buf_reserve(&head, head_max); /* the error sticks */
    write_head(&head, line, track_number, sequence, payload);
    size_t places_bytes = (line->count + 1) * sizeof(struct playback_mp4_place);
    size_t memory = sizeof(struct playback_mp4_segment) + places_bytes + head.len;
    struct playback_mp4_segment *segment = head.error ? NULL : malloc(memory);
    if (!segment) {
        int r = head.error ? head.error : -ENOMEM;
        kn_buf_done(&head);
        return r;
    }
    *segment = (struct playback_mp4_segment){.refs = 1,
                                             .bytes = head.len + payload,
                                             .head_bytes = (uint32_t) head.len,
                                             .memory_bytes = (uint32_t) memory,
                                             .silence = line->silence,
                                             .place_count = line->count};
    uint32_t at = 0;
    for (size_t i = 0; i < line->count; i++) {
        segment->places[i] = (struct playback_mp4_place){line->samples[i].offset, at};
        at += line->samples[i].bytes;
    }
    segment->places[line->count] = (struct playback_mp4_place){0, at};
    uint8_t *to = (uint8_t *) segment->places + places_bytes;
    memcpy(to, head.ptr, head.len);
    segment->head = to;
    kn_buf_done(&head);
    *ret = segment;
    return 0;
}

struct playback_mp4_segment *playback_mp4_segment_ref(struct playback_mp4_segment *segment)
{
    segment->refs++;
    return segment;
}

void playback_mp4_segment_unref(struct playback_mp4_segment *segment)
{
    if (segment && --segment->refs == 0)
        free(segment);
}

/* The place that holds byte `at` of the payload. */
static size_t place_of(const struct playback_mp4_segment *segment, uint32_t at)
{
    size_t low = 0, high = segment->place_count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (segment->places[mid].at <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* One scatter read being gathered. */
struct gather {
    struct iovec vectors[VECTORS_MAX];
    int count;
    uint64_t from, to; /* in the fragment */
    size_t wanted;     /* bytes that land in dst */
    uint8_t sink[GAP_BYTES_MAX];
};

/* Adds bytes [offset, offset + len) of the fragment, to land at dst. False: it begins another read.
 */
static bool gather_add(struct gather *g, uint64_t offset, size_t len, uint8_t *dst)
{
    if (g->count) {
        if (offset < g->to || offset - g->to > GAP_BYTES_MAX || g->count > VECTORS_MAX - 2)
            return false;
        if (offset > g->to)
            g->vectors[g->count++] = (struct iovec){g->sink, (size_t) (offset - g->to)};
    } else {
        g->from = offset;
    }
    g->vectors[g->count++] = (struct iovec){dst, len};
    g->to = offset + len;
    g->wanted += len;
    return true;
}

/* How much of `got` bytes, counted from g->from, landed in dst rather than in the sink. */
static size_t gather_landed(const struct gather *g, size_t got)
{
    size_t landed = 0;
    for (int i = 0; i < g->count && got; i++) {
        size_t part = got < g->vectors[i].iov_len ? got : g->vectors[i].iov_len;
        if (g->vectors[i].iov_base != g->sink)
            landed += part;
        got -= part;
    }
    return landed;
}

static ssize_t read_payload(const struct playback_mp4_segment *segment,
                            const struct playback_mp4_source *source, uint32_t at, uint8_t *dst,
                            size_t cap, bool nowait)
{
    struct gather g;
    g.count = 0;
    g.wanted = 0;
    size_t filled = 0, silent = 0; /* one read gathers frames, or silence */
    for (size_t i = place_of(segment, at); i < segment->place_count && filled < cap; i++) {
        uint32_t skip = at + (uint32_t) filled - segment->places[i].at;
        size_t len = segment->places[i + 1].at - segment->places[i].at - skip;
        len = len < cap - filled ? len : cap - filled;
        if (!len)
            continue;
        if (segment->places[i].offset == playback_silent) {
            if (g.count)
                break;
            memcpy(dst + filled, segment->silence.bytes + skip, len);
            filled += len;
            silent = filled;
            continue;
        }
        if (silent)
            break;
        if (!gather_add(&g, (uint64_t) segment->places[i].offset + skip, len, dst + filled))
            break;
        filled += len;
    }
    if (!g.count)
        return (ssize_t) silent;
    ssize_t got = storage_read(source->storage, &source->stream, &source->fragment, g.from,
                               g.vectors, g.count, nowait);
    if (got < 0)
        return got;
    size_t landed = gather_landed(&g, (size_t) got);
    return landed ? (ssize_t) landed : -EIO; /* the record promised these bytes */
}

ssize_t playback_mp4_segment_read(const struct playback_mp4_segment *segment,
                                  const struct playback_mp4_source *source, uint64_t pos, void *dst,
                                  size_t cap, bool nowait)
{
    if (pos >= segment->bytes || !cap)
        return 0;
    if (pos >= segment->head_bytes)
        return read_payload(segment, source, (uint32_t) (pos - segment->head_bytes), dst, cap,
                            nowait);
    size_t part = segment->head_bytes - (size_t) pos;
    part = part < cap ? part : cap;
    memcpy(dst, segment->head + pos, part);
    if (part == cap || part + pos == segment->bytes)
        return (ssize_t) part;
    /* one call, one send: the payload follows if it is at hand */
    ssize_t more = read_payload(segment, source, 0, (uint8_t *) dst + part, cap - part, nowait);
    return more > 0 ? (ssize_t) part + more : (ssize_t) part;
}
