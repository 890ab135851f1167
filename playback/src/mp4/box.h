/* SPDX-License-Identifier: Apache-2.0 */
/* ISO base media boxes into a buffer: a box is begun, filled, and its size patched at its end. */
#ifndef PLAYBACK_MP4_BOX_H
#define PLAYBACK_MP4_BOX_H

#include "core/buf.h"

/* Returns where the box starts, for the end call. type: four characters. */
static inline size_t playback_box_begin(struct kn_buf *out, const char *type)
{
    size_t at = out->len;
    kn_buf_append_u32be(out, 0);
    kn_buf_append(out, type, 4);
    return at;
}

static inline size_t playback_box_begin_full(struct kn_buf *out, const char *type, uint32_t version,
                                             uint32_t flags)
{
    size_t at = playback_box_begin(out, type);
    kn_buf_append_u32be(out, version << 24 | flags);
    return at;
}

static inline void playback_box_end(struct kn_buf *out, size_t at)
{
    if (!out->error)
        kn_put_u32be(out->ptr + at, (uint32_t) (out->len - at));
}

static inline void playback_box_u16(struct kn_buf *out, unsigned v)
{
    uint8_t bytes[2];
    kn_put_u16be(bytes, (uint16_t) v);
    kn_buf_append(out, bytes, sizeof bytes);
}

static inline void playback_box_zeros(struct kn_buf *out, size_t count)
{
    static const uint8_t zeros[64];
    kn_assert(count <= sizeof zeros);
    kn_buf_append(out, zeros, count);
}

#endif
