/* SPDX-License-Identifier: Apache-2.0 */
/* Small Matroska streams for tests, made the way AWS's producers make them, or wrong on purpose. */
#ifndef TESTS_UNIT_MKV_MAKE_H
#define TESTS_UNIT_MKV_MAKE_H

#include "core/mkv.h"

static inline void KN_UNUSED make_raw(struct kn_buf *b, const char *bytes, size_t len)
{
    (void) kn_buf_append(b, bytes, len);
}
#define MAKE_RAW(b, literal) make_raw(b, literal, sizeof(literal) - 1)

/* video_tracks numbered from 1, then audio_tracks. */
static inline void KN_UNUSED make_header(struct kn_buf *b, unsigned video_tracks,
                                         unsigned audio_tracks, uint64_t scale_ns)
{
    struct kn_mkv_header h = {.timestamp_scale_ns = scale_ns,
                              .track_count = video_tracks + audio_tracks};
    static const uint8_t private_data[] = {1, 0x4d, 0x40, 0x1e, 0xff, 0xe1};
    kn_assert(h.track_count <= KN_MKV_TRACKS_MAX);
    for (unsigned i = 0; i < h.track_count && i < KN_MKV_TRACKS_MAX; i++) {
        struct kn_mkv_track *t = &h.tracks[i];
        t->number = i + 1;
        t->type = i < video_tracks ? KN_MKV_VIDEO : KN_MKV_AUDIO;
        snprintf(t->codec_id, sizeof t->codec_id, "%s",
                 i < video_tracks ? "V_MPEG4/ISO/AVC" : "A_AAC");
        t->codec_private = (struct kn_bytes){private_data, sizeof private_data};
        t->pixel_width = 640;
        t->pixel_height = 360;
        t->sampling_hz = 48000;
        t->channels = 2;
    }
    (void) kn_mkv_write_header(b, &h, KN_STR("test"));
}

static inline void KN_UNUSED make_cluster(struct kn_buf *b, uint64_t timecode)
{
    (void) kn_mkv_write_cluster(b, timecode);
}

/* A frame of len bytes, all of them `fill`. */
static inline void KN_UNUSED make_block(struct kn_buf *b, unsigned track, int16_t time, bool key,
                                        size_t len, uint8_t fill)
{
    (void) kn_mkv_write_block_head(b, track, time, key, len);
    for (size_t i = 0; i < len; i++)
        (void) kn_buf_append_byte(b, fill);
}

static inline void KN_UNUSED make_element(struct kn_buf *b, uint32_t id, const struct kn_buf *inner)
{
    (void) kn_mkv_write_bytes(b, id, kn_buf_bytes(inner));
}

/* Tags{Tag{SimpleTag}}; targets: with an empty Targets child, as ffmpeg writes. */
static inline void KN_UNUSED make_tags(struct kn_buf *b, const char *name, const char *value,
                                       bool targets)
{
    struct kn_buf tag, tags;
    kn_buf_init(&tag, MIB(1));
    kn_buf_init(&tags, MIB(1));
    if (targets)
        (void) kn_mkv_write_bytes(&tag, KN_MKV_TARGETS, (struct kn_bytes){NULL, 0});
    (void) kn_mkv_write_simple_tag(&tag, kn_str_from(name), kn_str_from(value));
    make_element(&tags, KN_MKV_TAG, &tag);
    make_element(b, KN_MKV_TAGS, &tags);
    kn_buf_done(&tag);
    kn_buf_done(&tags);
}

static inline void KN_UNUSED make_end_tag(struct kn_buf *b)
{
    make_tags(b, "AWS_KINESISVIDEO_END_OF_FRAGMENT", "", false);
}

/* BlockGroup{Block[, BlockDuration][, ReferenceBlock]} */
static inline void KN_UNUSED make_group(struct kn_buf *b, unsigned track, int16_t time,
                                        uint64_t duration, bool reference, size_t len, uint8_t fill)
{
    struct kn_buf group, block;
    kn_buf_init(&group, MIB(1));
    kn_buf_init(&block, MIB(1));
    uint8_t head[4] = {(uint8_t) (0x80 | track), (uint8_t) ((uint16_t) time >> 8), (uint8_t) time,
                       0};
    (void) kn_buf_append(&block, head, sizeof head);
    for (size_t i = 0; i < len; i++)
        (void) kn_buf_append_byte(&block, fill);
    make_element(&group, KN_MKV_BLOCK, &block);
    if (duration)
        (void) kn_mkv_write_uint(&group, KN_MKV_BLOCK_DURATION, duration);
    if (reference)
        (void) kn_mkv_write_uint(&group, KN_MKV_REFERENCE_BLOCK, 1);
    make_element(b, KN_MKV_BLOCK_GROUP, &group);
    kn_buf_done(&group);
    kn_buf_done(&block);
}

/* A file into b; false when it cannot be read. */
static inline bool KN_UNUSED make_from_capture(struct kn_buf *b, const char *name)
{
    const char *shared = getenv("KINEMA_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/media/captures/%s", shared ? shared : "../shared", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        (void) kn_buf_append(b, chunk, n);
    fclose(f);
    return true;
}

#endif
