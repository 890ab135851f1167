/* SPDX-License-Identifier: Apache-2.0 */
/* See muxer.h. Elements and their order: RFC 9559, and AWS's page "PutMedia" on what it accepts. */
#include "muxer.h"

#include "core/mkv.h"

enum {
    ID_EBML_VERSION = 0x4286,
    ID_EBML_READ_VERSION = 0x42F7,
    ID_EBML_MAX_ID = 0x42F2,
    ID_EBML_MAX_SIZE = 0x42F3,
    ID_DOC_TYPE = 0x4282,
    ID_DOC_VERSION = 0x4287,
    ID_DOC_READ_VERSION = 0x4285,
    ID_MUXING_APP = 0x4D80,
    ID_WRITING_APP = 0x5741,
    ID_TRACK_ENTRY = 0xAE,
    ID_TRACK_NUMBER = 0xD7,
    ID_TRACK_UID = 0x73C5,
    ID_TRACK_TYPE = 0x83,
    ID_TRACK_NAME = 0x536E,
    ID_CODEC_ID = 0x86,
    ID_CODEC_PRIVATE = 0x63A2,
    ID_VIDEO = 0xE0,
    ID_PIXEL_WIDTH = 0xB0,
    ID_PIXEL_HEIGHT = 0xBA,
    ID_AUDIO = 0xE1,
    ID_SAMPLING = 0xB5,
    ID_CHANNELS = 0x9F,
};

void muxer_init(struct muxer *m)
{
    *m = (struct muxer){0};
    kn_buf_init(&m->header, KN_MKV_HEADER_BYTES_MAX);
    for (size_t i = 0; i < MUXER_FRAGMENTS_MAX; i++)
        kn_buf_init(&m->fragments[i].bytes, MUXER_FRAGMENT_BYTES_MAX);
}

void muxer_done(struct muxer *m)
{
    kn_buf_done(&m->header);
    for (size_t i = 0; i < MUXER_FRAGMENTS_MAX; i++)
        kn_buf_done(&m->fragments[i].bytes);
}

struct muxer_fragment *muxer_at(struct muxer *m, size_t index)
{
    return &m->fragments[(m->first + index) % MUXER_FRAGMENTS_MAX];
}

/* An element around what child holds; empties child. */
static void wrap(struct kn_buf *out, uint32_t id, struct kn_buf *child)
{
    kn_mkv_write_bytes(out, id, kn_buf_bytes(child));
    if (child->error && !out->error)
        out->error = child->error;
    kn_buf_clear(child);
}

static void write_double(struct kn_buf *out, uint32_t id, double value)
{
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, &value, sizeof bits);
    kn_put_u64be(bytes, bits);
    kn_mkv_write_bytes(out, id, (struct kn_bytes){bytes, sizeof bytes});
}

static void write_track(struct kn_buf *out, unsigned number, const struct muxer_track *track)
{
    struct kn_buf entry, shape;
    kn_buf_init(&entry, KN_MKV_HEADER_BYTES_MAX);
    kn_buf_init(&shape, 4096);
    kn_mkv_write_uint(&entry, ID_TRACK_NUMBER, number);
    kn_mkv_write_uint(&entry, ID_TRACK_UID, number);
    kn_mkv_write_uint(&entry, ID_TRACK_TYPE, track->audio ? 2 : 1);
    kn_mkv_write_string(&entry, ID_TRACK_NAME, kn_str_from(track->audio ? "sound" : "picture"));
    kn_mkv_write_string(&entry, ID_CODEC_ID, kn_str_from(track->codec_id));
    kn_mkv_write_bytes(&entry, ID_CODEC_PRIVATE, track->codec_private);
    if (track->audio) {
        write_double(&shape, ID_SAMPLING, track->sampling_hz);
        kn_mkv_write_uint(&shape, ID_CHANNELS, track->channels);
    } else {
        kn_mkv_write_uint(&shape, ID_PIXEL_WIDTH, track->width);
        kn_mkv_write_uint(&shape, ID_PIXEL_HEIGHT, track->height);
    }
    wrap(&entry, track->audio ? ID_AUDIO : ID_VIDEO, &shape);
    wrap(out, ID_TRACK_ENTRY, &entry);
    kn_buf_done(&entry);
    kn_buf_done(&shape);
}

int muxer_header(struct muxer *m, const struct muxer_track *tracks, size_t count)
{
    struct kn_buf child;
    struct kn_buf *out = &m->header;
    kn_buf_init(&child, KN_MKV_HEADER_BYTES_MAX);
    kn_buf_clear(out);
    kn_mkv_write_uint(&child, ID_EBML_VERSION, 1);
    kn_mkv_write_uint(&child, ID_EBML_READ_VERSION, 1);
    kn_mkv_write_uint(&child, ID_EBML_MAX_ID, 4);
    kn_mkv_write_uint(&child, ID_EBML_MAX_SIZE, 8);
    kn_mkv_write_string(&child, ID_DOC_TYPE, KN_STR("matroska"));
    kn_mkv_write_uint(&child, ID_DOC_VERSION, 2);
    kn_mkv_write_uint(&child, ID_DOC_READ_VERSION, 2);
    wrap(out, KN_MKV_EBML, &child);
    kn_mkv_write_id(out, KN_MKV_SEGMENT);
    kn_mkv_write_size_unknown(out, 1);
    kn_mkv_write_uint(&child, KN_MKV_TIMESTAMP_SCALE, 1000000);
    kn_mkv_write_string(&child, ID_MUXING_APP, KN_STR("Kinema demo camera"));
    kn_mkv_write_string(&child, ID_WRITING_APP, KN_STR("Kinema demo camera"));
    wrap(out, KN_MKV_INFO, &child);
    for (size_t i = 0; i < count; i++)
        write_track(&child, (unsigned) i + 1, &tracks[i]);
    wrap(out, KN_MKV_TRACKS, &child);
    kn_buf_done(&child);
    return out->error;
}

static struct muxer_fragment *open_fragment(struct muxer *m, uint64_t time_ms)
{
    if (m->count > 0)
        muxer_at(m, m->count - 1)->complete = true;
    if (m->count == MUXER_FRAGMENTS_MAX) { /* four minutes without a server: the oldest goes */
        m->first = (m->first + 1) % MUXER_FRAGMENTS_MAX;
        m->count--;
        m->dropped++;
    }
    struct muxer_fragment *fragment = muxer_at(m, m->count++);
    m->made++;
    m->seen = 0;
    kn_buf_clear(&fragment->bytes);
    fragment->timecode = time_ms;
    fragment->complete = false;
    kn_mkv_write_id(&fragment->bytes, KN_MKV_CLUSTER);
    kn_mkv_write_size_unknown(&fragment->bytes, 1);
    kn_mkv_write_uint(&fragment->bytes, KN_MKV_TIMESTAMP, time_ms);
    return fragment;
}

int muxer_frame(struct muxer *m, unsigned track, bool opens_fragment, uint64_t time_ms,
                struct kn_bytes frame)
{
    struct muxer_fragment *fragment = m->count > 0 ? muxer_at(m, m->count - 1) : NULL;
    if (opens_fragment) {
        /* A fragment must start after the last frame of the one before. */
        if (time_ms <= m->last_time_ms)
            time_ms = m->last_time_ms + 1;
        fragment = open_fragment(m, time_ms);
    }
    if (!fragment || fragment->complete)
        return 0;
    if (time_ms < fragment->timecode)
        time_ms = fragment->timecode;
    uint64_t offset_ms = time_ms - fragment->timecode;
    if (offset_ms > INT16_MAX)
        return -EMSGSIZE;
    if (time_ms > m->last_time_ms)
        m->last_time_ms = time_ms;
    struct kn_buf *out = &fragment->bytes;
    const uint8_t head[4] = {(uint8_t) (0x80 | track), (uint8_t) (offset_ms >> 8),
                             (uint8_t) offset_ms, opens_fragment || track > 1 ? 0x80 : 0};
    kn_mkv_write_id(out, KN_MKV_SIMPLE_BLOCK);
    kn_mkv_write_size(out, frame.len + sizeof head, 8);
    (void) kn_buf_append(out, head, sizeof head);
    (void) kn_buf_append(out, frame.ptr, frame.len);
    m->seen |= 1u << track;
    return out->error;
}

int muxer_end(struct muxer *m)
{
    struct muxer_fragment *fragment = m->count > 0 ? muxer_at(m, m->count - 1) : NULL;
    struct kn_buf simple, tag;
    if (!fragment || fragment->complete)
        return 0;
    kn_buf_init(&simple, 4096);
    kn_buf_init(&tag, 4096);
    kn_mkv_write_simple_tag(&simple, KN_STR("AWS_KINESISVIDEO_END_OF_FRAGMENT"), KN_STR(""));
    wrap(&tag, KN_MKV_TAG, &simple);
    wrap(&fragment->bytes, KN_MKV_TAGS, &tag);
    kn_buf_done(&simple);
    kn_buf_done(&tag);
    fragment->complete = true;
    return fragment->bytes.error;
}

void muxer_persisted(struct muxer *m, uint64_t timecode)
{
    while (m->count > 0 && muxer_at(m, 0)->complete && muxer_at(m, 0)->timecode <= timecode) {
        m->first = (m->first + 1) % MUXER_FRAGMENTS_MAX;
        m->count--;
    }
}
