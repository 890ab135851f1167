/* SPDX-License-Identifier: Apache-2.0 */
#include "muxer.h"

#include <errno.h>

int camera_muxer_header(struct camera_muxer *m, const struct kn_mkv_header *header,
                        struct kn_buf *out)
{
    *m = (struct camera_muxer){.starving = true, .last_ms = m->last_ms, .cuts = m->cuts};
    kn_assert(header->track_count <= KN_MKV_TRACKS_MAX);
    for (unsigned i = 0; i < header->track_count; i++) {
        m->video |= header->tracks[i].type == KN_MKV_VIDEO;
        if (header->tracks[i].type == KN_MKV_OTHER)
            m->metadata |= 1U << header->tracks[i].number;
    }
    return kn_mkv_write_header(out, header, KN_STR("Kinema " KINEMA_VERSION));
}

void camera_muxer_lost(struct camera_muxer *m)
{
    m->open = false;
    m->starving = true;
}

static bool too_long(const struct camera_muxer *m, const struct camera_frame *frame)
{
    int64_t most_ms =
        frame->video == m->video ? CAMERA_FRAGMENT_MS_MOST : CAMERA_FRAGMENT_MS_UNSEEN;
    return frame->time_ms - m->start_ms >= most_ms ||
           m->bytes + frame->bytes.len > CAMERA_FRAGMENT_BYTES_MOST;
}

static bool begins_fragment(struct camera_muxer *m, const struct camera_frame *frame)
{
    bool may = frame->key && frame->video == m->video;
    if (!m->open)
        return may || !m->starving;
    if (may && frame->time_ms - m->start_ms >=
                   (m->video ? CAMERA_FRAGMENT_MS_LEAST : CAMERA_FRAGMENT_MS_SOUND))
        return true;
    return may && frame->time_ms < m->start_ms; /* the clock was set back */
}

static int begin(struct camera_muxer *m, const struct camera_frame *frame, struct kn_buf *out)
{
    /* A fragment begins after the one before, whatever the clock does. */
    m->start_ms = kn_max_i64(frame->time_ms, m->last_ms + 1);
    m->last_ms = m->start_ms;
    m->open = true;
    m->starving = false;
    m->bytes = 0;
    m->metadata_bytes = 0;
    m->metadata_frames = 0;
    return kn_mkv_write_cluster(out, (uint64_t) m->start_ms);
}

bool camera_muxer_is_metadata(const struct camera_muxer *m, unsigned track)
{
    return m->metadata >> track & 1;
}

static int metadata(struct camera_muxer *m, const struct camera_frame *frame, struct kn_buf *out)
{
    if (!m->open)
        return -EAGAIN;
    if (m->metadata_bytes + frame->bytes.len > CAMERA_METADATA_BYTES_MOST ||
        m->metadata_frames >= CAMERA_METADATA_FRAMES_MOST)
        return -EMSGSIZE;
    int64_t most_ms = kn_min_i64(m->last_ms + CAMERA_METADATA_AHEAD_MS, m->start_ms + INT16_MAX);
    int64_t time_ms = kn_max_i64(kn_min_i64(frame->time_ms, most_ms), m->start_ms);
    m->bytes += frame->bytes.len;
    m->metadata_bytes += frame->bytes.len;
    m->metadata_frames++;
    return kn_mkv_write_block_head(out, frame->track, (int16_t) (time_ms - m->start_ms), true,
                                   frame->bytes.len);
}

int camera_muxer_frame(struct camera_muxer *m, const struct camera_frame *frame, struct kn_buf *out)
{
    if (camera_muxer_is_metadata(m, frame->track))
        return metadata(m, frame, out);
    int r = 0;
    bool cut = m->open && too_long(m, frame);
    if (cut && !(frame->key && frame->video == m->video))
        m->cuts++;
    if (cut || begins_fragment(m, frame))
        r = begin(m, frame, out);
    if (r < 0 || !m->open)
        return r < 0 ? r : -EAGAIN;
    int64_t time_ms = frame->time_ms;
    if (!frame->video) { /* is never sent in another order than it is heard */
        time_ms = kn_max_i64(time_ms, m->sound_ms[frame->track]);
        m->sound_ms[frame->track] = time_ms;
    }
    int64_t time = time_ms - m->start_ms;
    if (time > INT16_MAX || time < INT16_MIN)
        time = m->last_ms - m->start_ms; /* sound beside pictures whose clock has stepped */
    m->last_ms = kn_max_i64(m->last_ms, m->start_ms + time);
    m->bytes += frame->bytes.len;
    return kn_mkv_write_block_head(out, frame->track, (int16_t) time, frame->key, frame->bytes.len);
}
