/* SPDX-License-Identifier: Apache-2.0 */
/* Length-prefixed NAL units (ISO/IEC 14496-15, 5.3.4.2) to start codes. A frame that carries its
 * own parameter sets keeps them and gets none of ours. */
#include "ts/annexb.h"

enum {
    NAL_SPS = 7,
    NAL_DELIMITER = 9
};

static const uint8_t start_code[] = {0, 0, 0, 1};

/* The next NAL unit of a frame. 1, 0 at the end, -EBADMSG. */
static int next_nal(struct kn_reader *r, unsigned length_bytes, struct kn_bytes *ret)
{
    struct kn_bytes prefix;
    if (!kn_reader_left(r))
        return 0;
    if (kn_read_bytes(r, length_bytes, &prefix) < 0)
        return -EBADMSG;
    size_t len = 0;
    for (unsigned i = 0; i < length_bytes; i++)
        len = len << 8 | prefix.ptr[i];
    return kn_read_bytes(r, len, ret) < 0 ? -EBADMSG : 1;
}

static bool has_sets(struct kn_bytes frame, unsigned length_bytes)
{
    struct kn_reader r = kn_reader_of(frame);
    struct kn_bytes nal;
    while (next_nal(&r, length_bytes, &nal) == 1)
        if (nal.len && (nal.ptr[0] & 0x1f) == NAL_SPS)
            return true;
    return false;
}

static void append_nal(struct kn_buf *out, struct kn_bytes nal)
{
    kn_buf_append(out, start_code, sizeof start_code);
    kn_buf_append(out, nal.ptr, nal.len);
}

int playback_annexb_append(struct kn_buf *out, struct kn_bytes frame, unsigned nal_length_bytes,
                           const struct playback_parameter_sets *sets, bool key)
{
    static const uint8_t delimiter[] = {NAL_DELIMITER, 0xf0}; /* any slice type */
    append_nal(out, (struct kn_bytes){delimiter, sizeof delimiter});
    if (key && !has_sets(frame, nal_length_bytes))
        for (unsigned i = 0; i < sets->count; i++)
            append_nal(out, sets->items[i]);
    struct kn_reader r = kn_reader_of(frame);
    struct kn_bytes nal;
    int more;
    while ((more = next_nal(&r, nal_length_bytes, &nal)) == 1)
        if (nal.len && (nal.ptr[0] & 0x1f) != NAL_DELIMITER)
            append_nal(out, nal);
    return more < 0 ? more : out->error;
}
