/* SPDX-License-Identifier: Apache-2.0 */
#include "nal.h"

#include "core/bits.h"
#include "core/sps.h"

enum {
    /* ITU-T H.264, table 7-1 */
    AVC_SLICE = 1,
    AVC_IDR = 5,
    AVC_SEI = 6,
    AVC_SPS = 7,
    AVC_PPS = 8,
    SEI_RECOVERY_POINT = 6,
    /* ITU-T H.265, table 7-1 */
    HEVC_IRAP_FIRST = 16,
    HEVC_IRAP_LAST = 23,
    HEVC_PICTURE_LAST = 31,
    HEVC_VPS = 32,
    HEVC_SPS = 33,
    HEVC_PPS = 34,
};

/* --- kinds ------------------------------------------------------------------------------------ */
static struct nal_facts look_avc(struct kn_bytes nal)
{
    unsigned kind = nal.ptr[0] & 31;
    struct nal_facts facts = {.set = kind == AVC_SPS || kind == AVC_PPS,
                              .picture = kind >= AVC_SLICE && kind <= AVC_IDR,
                              .key = kind == AVC_IDR};
    if (kind == AVC_SEI && nal.len > 1)
        facts.recovery = nal.ptr[1] == SEI_RECOVERY_POINT;
    if (kind == AVC_SLICE || kind == AVC_IDR) {
        struct kn_bits b;
        kn_bits_init(&b, kn_bytes_skip(nal, 1), true);
        facts.first = kn_bits_ue(&b) == 0;
        facts.intra = kn_bits_ue(&b) % 5 == 2;
    }
    return facts;
}

struct nal_facts nal_look(bool h265, struct kn_bytes nal)
{
    if (nal.len < (h265 ? 2u : 1u))
        return (struct nal_facts){0};
    if (!h265)
        return look_avc(nal);
    unsigned kind = nal.ptr[0] >> 1 & 63;
    return (struct nal_facts){.set = kind >= HEVC_VPS && kind <= HEVC_PPS,
                              .picture = kind <= HEVC_PICTURE_LAST,
                              .first = nal.len > 2 && nal.ptr[2] & 0x80,
                              .key = kind >= HEVC_IRAP_FIRST && kind <= HEVC_IRAP_LAST};
}

/* --- parameter sets --------------------------------------------------------------------------- */
void nal_sets_init(struct nal_sets *sets, bool h265)
{
    *sets = (struct nal_sets){.h265 = h265};
}

void nal_sets_done(struct nal_sets *sets)
{
    for (unsigned i = 0; i < sets->count; i++)
        kn_buf_done(&sets->items[i].bytes);
    sets->count = 0;
}

/* Sets of one kind are told apart by their id. Of H.265 the SPS has it behind much else: there is
 * one SPS. */
static bool read_id(bool h265, unsigned kind, struct kn_bytes nal, uint8_t *ret)
{
    struct kn_bits b;
    uint32_t id = 0;
    kn_bits_init(&b, nal, true);
    kn_bits_skip(&b, h265 ? 16 : 8);
    if (h265 && kind == HEVC_VPS)
        id = kn_bits_read(&b, 4);
    else if (h265 && kind == HEVC_PPS)
        id = kn_bits_ue(&b);
    else if (!h265) {
        kn_bits_skip(&b, kind == AVC_SPS ? 24 : 0);
        id = kn_bits_ue(&b);
    }
    *ret = (uint8_t) id;
    return !b.overrun && id < 256;
}

static struct nal_set *find_or_add(struct nal_sets *sets, uint8_t kind, uint8_t id)
{
    for (unsigned i = 0; i < sets->count; i++) {
        if (sets->items[i].kind == kind && sets->items[i].id == id)
            return &sets->items[i];
    }
    if (sets->count == NAL_SETS_MAX)
        return NULL;
    struct nal_set *set = &sets->items[sets->count++];
    *set = (struct nal_set){.kind = kind, .id = id};
    kn_buf_init(&set->bytes, NAL_SET_BYTES_MAX);
    return set;
}

void nal_sets_put(struct nal_sets *sets, struct kn_bytes nal)
{
    if (nal.len < 3 || nal.len > NAL_SET_BYTES_MAX)
        return;
    uint8_t kind = sets->h265 ? nal.ptr[0] >> 1 & 63 : nal.ptr[0] & 31, id;
    struct nal_set *set = read_id(sets->h265, kind, nal, &id) ? find_or_add(sets, kind, id) : NULL;
    if (!set || (set->bytes.len == nal.len && !memcmp(set->bytes.ptr, nal.ptr, nal.len)))
        return;
    kn_buf_clear(&set->bytes);
    (void) kn_buf_append(&set->bytes, nal.ptr, nal.len);
    sets->changed = true;
}

static const struct nal_set *first_of(const struct nal_sets *sets, unsigned kind)
{
    for (unsigned i = 0; i < sets->count; i++) {
        if (sets->items[i].kind == kind && sets->items[i].bytes.len > 0)
            return &sets->items[i];
    }
    return NULL;
}

static unsigned count_of(const struct nal_sets *sets, unsigned kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < sets->count; i++)
        count += sets->items[i].kind == kind && sets->items[i].bytes.len > 0;
    return count;
}

static void write_sets(const struct nal_sets *sets, unsigned kind, struct kn_buf *out)
{
    uint8_t len[2];
    for (unsigned i = 0; i < sets->count; i++) {
        const struct kn_buf *bytes = &sets->items[i].bytes;
        if (sets->items[i].kind != kind || bytes->len == 0)
            continue;
        kn_put_u16be(len, (uint16_t) bytes->len);
        (void) kn_buf_append(out, len, sizeof len);
        (void) kn_buf_append(out, bytes->ptr, bytes->len);
    }
}

static int write_avcc(const struct nal_sets *sets, const struct kn_buf *sps,
                      const struct kn_sps *facts, struct kn_buf *out)
{
    uint8_t profile = sps->ptr[1];
    const uint8_t head[] = {1,
                            profile,
                            sps->ptr[2],
                            sps->ptr[3],
                            0xff, /* lengths of four bytes */
                            (uint8_t) (0xe0 | count_of(sets, AVC_SPS))};
    (void) kn_buf_append(out, head, sizeof head);
    write_sets(sets, AVC_SPS, out);
    (void) kn_buf_append_byte(out, (uint8_t) count_of(sets, AVC_PPS));
    write_sets(sets, AVC_PPS, out);
    if (profile == 100 || profile == 110 || profile == 122 || profile == 144) {
        const uint8_t tail[] = {(uint8_t) (0xfc | facts->chroma_format),
                                (uint8_t) (0xf8 | (facts->luma_bits - 8)),
                                (uint8_t) (0xf8 | (facts->chroma_bits - 8)), 0};
        (void) kn_buf_append(out, tail, sizeof tail);
    }
    return out->error;
}

static int write_hvcc(const struct nal_sets *sets, const struct kn_sps *facts, struct kn_buf *out)
{
    static const uint8_t kinds[] = {HEVC_VPS, HEVC_SPS, HEVC_PPS};
    const uint8_t rest[] = {0xf0,
                            0,    /* no least segmentation */
                            0xfc, /* no kind of parallelism */
                            (uint8_t) (0xfc | facts->chroma_format),
                            (uint8_t) (0xf8 | (facts->luma_bits - 8)),
                            (uint8_t) (0xf8 | (facts->chroma_bits - 8)),
                            0,
                            0, /* no average frame rate */
                            (uint8_t) (facts->sub_layers << 3 | (facts->nested ? 4 : 0) | 3),
                            sizeof kinds};
    (void) kn_buf_append_byte(out, 1);
    (void) kn_buf_append(out, facts->profile_level, sizeof facts->profile_level);
    (void) kn_buf_append(out, rest, sizeof rest);
    for (size_t i = 0; i < sizeof kinds; i++) {
        const uint8_t head[] = {(uint8_t) (0x80 | kinds[i]), 0, (uint8_t) count_of(sets, kinds[i])};
        (void) kn_buf_append(out, head, sizeof head);
        write_sets(sets, kinds[i], out);
    }
    return out->error;
}

int nal_sets_describe(struct nal_sets *sets, struct kn_mkv_track *ret, struct kn_buf *private)
{
    const struct nal_set *sps = first_of(sets, sets->h265 ? HEVC_SPS : AVC_SPS);
    struct kn_sps facts;
    sets->changed = false;
    if (!sps || !first_of(sets, sets->h265 ? HEVC_PPS : AVC_PPS) ||
        (sets->h265 && !first_of(sets, HEVC_VPS)))
        return -EAGAIN;
    struct kn_bytes bytes = kn_buf_bytes(&sps->bytes);
    if ((sets->h265 ? kn_sps_h265(bytes, &facts, NULL) : kn_sps_h264(bytes, &facts, NULL)) < 0)
        return -EAGAIN;
    kn_buf_clear(private);
    int r = sets->h265 ? write_hvcc(sets, &facts, private)
                       : write_avcc(sets, &sps->bytes, &facts, private);
    if (r < 0)
        return r;
    const char *id = sets->h265 ? "V_MPEGH/ISO/HEVC" : "V_MPEG4/ISO/AVC";
    *ret = (struct kn_mkv_track){.type = KN_MKV_VIDEO,
                                 .pixel_width = facts.width,
                                 .pixel_height = facts.height,
                                 .codec_private = kn_buf_bytes(private)};
    if (facts.frames_per_s >= 1 && facts.frames_per_s <= 1000)
        ret->default_duration_ns = (uint64_t) (1e9 / facts.frames_per_s);
    return kn_str_copy(ret->codec_id, sizeof ret->codec_id, kn_str_from(id));
}
