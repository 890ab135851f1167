/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame table: one flag byte a frame, its size, and only what differs from the track's last
 * frame. Cameras send frames at even steps with block heads of one length, so 2 to 4 bytes are the
 * rule. Byte table: docs/format-chunk.md, "Frame table".
 */
#include "frames.h"

enum {
    FLAG_KEY = 1,
    FLAG_GAP = 2,        /* the bytes before the payload differ from the track's last gap */
    FLAG_STEP_SHIFT = 2, /* two bits: the time step is the last one, +1, −1, or written out */
    FLAG_STEP_MASK = 3 << FLAG_STEP_SHIFT,
    FLAG_SLOT_SHIFT = 4, /* two bits */
    FLAG_SLOT_MASK = 3 << FLAG_SLOT_SHIFT,
    FLAG_TRACK = 64, /* the slot is taken by a new track: its number follows */
    STEP_SAME = 0,
    STEP_MORE = 1,
    STEP_LESS = 2,
    STEP_WRITTEN = 3,
};

/* The slot of the track; a new track takes a free one, or the oldest. */
static unsigned slot_of(struct storage_frame_coder *coder, uint8_t track, bool *ret_new)
{
    for (unsigned i = 0; i < coder->slot_count; i++) {
        if (coder->slots[i].track == track) {
            *ret_new = false;
            return i;
        }
    }
    unsigned at = coder->slot_count;
    if (at < STORAGE_FRAME_SLOTS) {
        coder->slot_count++;
    } else {
        at = coder->next_slot;
        coder->next_slot = (uint8_t) ((at + 1) % STORAGE_FRAME_SLOTS);
    }
    coder->slots[at] = (struct storage_frame_slot){.track = track};
    *ret_new = true;
    return at;
}

int storage_frame_encode(struct storage_frame_coder *coder, const struct storage_frame *frame,
                         struct kn_buf *out)
{
    if (frame->offset < coder->end || frame->bytes > UINT32_MAX - frame->offset)
        return -EINVAL;
    bool new_track;
    unsigned at = slot_of(coder, frame->track, &new_track);
    struct storage_frame_slot *slot = &coder->slots[at];
    uint32_t gap = frame->offset - coder->end;
    int32_t step = (int32_t) ((uint32_t) frame->time - (uint32_t) slot->time);
    int64_t change = (int64_t) step - slot->step;
    unsigned code = change == 0    ? STEP_SAME
                    : change == 1  ? STEP_MORE
                    : change == -1 ? STEP_LESS
                                   : STEP_WRITTEN;
    kn_buf_append_byte(out, (uint8_t) ((frame->key ? FLAG_KEY : 0) |
                                       (gap != slot->gap ? FLAG_GAP : 0) | code << FLAG_STEP_SHIFT |
                                       at << FLAG_SLOT_SHIFT | (new_track ? FLAG_TRACK : 0)));
    if (new_track)
        kn_buf_append_byte(out, frame->track);
    kn_buf_append_varint(out, frame->bytes);
    if (gap != slot->gap)
        kn_buf_append_varint(out, gap);
    if (code == STEP_WRITTEN)
        kn_buf_append_varint(out, kn_zigzag(step));
    slot->gap = gap;
    slot->time = frame->time;
    slot->step = step;
    coder->end = frame->offset + frame->bytes;
    coder->count++;
    return out->error;
}

static int decode_one(struct storage_frame_coder *coder, struct kn_reader *in, uint64_t limit,
                      struct storage_frame *ret)
{
    uint8_t flags, track;
    if (kn_read_u8(in, &flags) < 0)
        return -EBADMSG;
    unsigned at = (unsigned) (flags & FLAG_SLOT_MASK) >> FLAG_SLOT_SHIFT;
    struct storage_frame_slot *slot = &coder->slots[at];
    if (flags & FLAG_TRACK) {
        if (kn_read_u8(in, &track) < 0)
            return -EBADMSG;
        *slot = (struct storage_frame_slot){.track = track};
        coder->slot_count |= (uint8_t) (1u << at);
    } else if (!(coder->slot_count & 1u << at)) {
        return -EBADMSG;
    }
    uint64_t bytes, gap = slot->gap, written;
    if (kn_read_varint(in, &bytes) < 0 || (flags & FLAG_GAP && kn_read_varint(in, &gap) < 0))
        return -EBADMSG;
    if (gap > limit - coder->end || bytes > limit - coder->end - gap)
        return -EBADMSG;
    uint32_t step = (uint32_t) slot->step;
    switch ((flags & FLAG_STEP_MASK) >> FLAG_STEP_SHIFT) {
    case STEP_MORE:
        step++;
        break;
    case STEP_LESS:
        step--;
        break;
    case STEP_WRITTEN:
        if (kn_read_varint(in, &written) < 0)
            return -EBADMSG;
        step = (uint32_t) kn_unzigzag(written);
        break;
    default:
        break;
    }
    slot->gap = (uint32_t) gap;
    slot->step = (int32_t) step;
    slot->time = (int32_t) ((uint32_t) slot->time + step);
    *ret = (struct storage_frame){
        .offset = coder->end + (uint32_t) gap,
        .bytes = (uint32_t) bytes,
        .time = slot->time,
        .track = slot->track,
        .key = flags & FLAG_KEY,
    };
    coder->end = ret->offset + ret->bytes;
    return 0;
}

int storage_frames_decode(struct kn_bytes table, uint32_t count, uint64_t fragment_bytes,
                          struct storage_frames **ret)
{
    /* A frame takes at least two bytes, so a lying count cannot make us allocate much. */
    if (count > table.len / 2 || fragment_bytes > UINT32_MAX)
        return -EBADMSG;
    struct storage_frames *frames =
        malloc(sizeof(*frames) + (size_t) count * sizeof(frames->items[0]));
    if (!frames)
        return -ENOMEM;
    frames->count = count;
    /* Here slot_count is the set of slots in use. */
    struct storage_frame_coder coder = {0};
    struct kn_reader in = kn_reader_of(table);
    for (uint32_t i = 0; i < count; i++) {
        int r = decode_one(&coder, &in, fragment_bytes, &frames->items[i]);
        if (r < 0) {
            free(frames);
            return r;
        }
    }
    *ret = frames;
    return 0;
}

void storage_frames_free(struct storage_frames *frames)
{
    free(frames);
}
