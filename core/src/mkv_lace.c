/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lacing: several frames in one block, their sizes in front (RFC 9559, 10.3). mkvmerge packs audio
 * this way by default. The last frame's size is never written: it is what remains.
 */
#include "mkv_internal.h"

enum {
    LACE_XIPH = 2,
    LACE_FIXED = 4,
    LACE_EBML = 6
};

void mkv_lace_start(struct mkv_lace *lace, unsigned kind)
{
    lace->kind = kind;
    lace->count = 0;
    lace->known = 0;
    lace->vint_bytes = 0;
    lace->vint_have = 0;
    lace->value = 0;
}

static int lace_store(struct mkv_lace *lace, uint64_t bytes)
{
    if (!bytes || bytes > UINT32_MAX)
        return -EBADMSG;
    lace->bytes[lace->known++] = (uint32_t) bytes;
    return lace->known == lace->count - 1;
}

/* The first size is absolute; those after it are differences, stored with a bias. */
static int ebml_byte(struct mkv_lace *lace, uint8_t byte)
{
    if (!lace->vint_bytes) {
        unsigned n = 1;
        while (n <= 8 && !(byte & (0x80u >> (n - 1))))
            n++;
        if (n > 8)
            return -EBADMSG;
        lace->vint_bytes = n;
        lace->vint_have = 1;
        lace->value = byte & (0xFFu >> n);
    } else {
        lace->value = lace->value << 8 | byte;
        lace->vint_have++;
    }
    if (lace->vint_have < lace->vint_bytes)
        return 0;
    uint64_t value = lace->value;
    if (lace->known) {
        int64_t bias = (int64_t) (((uint64_t) 1 << (7 * lace->vint_bytes - 1)) - 1);
        int64_t size = (int64_t) lace->bytes[lace->known - 1] + ((int64_t) value - bias);
        if (size <= 0)
            return -EBADMSG;
        value = (uint64_t) size;
    }
    lace->vint_bytes = 0;
    return lace_store(lace, value);
}

int mkv_lace_byte(struct mkv_lace *lace, uint8_t byte)
{
    if (!lace->count) {
        lace->count = (unsigned) byte + 1;
        return lace->count == 1 || lace->kind == LACE_FIXED;
    }
    if (lace->kind == LACE_EBML)
        return ebml_byte(lace, byte);
    lace->value += byte;
    if (byte == 255)
        return 0;
    uint64_t bytes = lace->value;
    lace->value = 0;
    return lace_store(lace, bytes);
}

int mkv_lace_finish(struct mkv_lace *lace, uint64_t frame_bytes)
{
    if (frame_bytes > UINT32_MAX)
        return -EBADMSG;
    if (lace->kind == LACE_FIXED) {
        if (!frame_bytes || frame_bytes % lace->count)
            return -EBADMSG;
        for (unsigned i = 0; i < lace->count; i++)
            lace->bytes[i] = (uint32_t) (frame_bytes / lace->count);
        return 0;
    }
    uint64_t sum = 0;
    for (unsigned i = 0; i + 1 < lace->count; i++)
        sum += lace->bytes[i];
    if (sum >= frame_bytes)
        return -EBADMSG;
    lace->bytes[lace->count - 1] = (uint32_t) (frame_bytes - sum);
    return 0;
}
