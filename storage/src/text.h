/* SPDX-License-Identifier: Apache-2.0 */
/* Text in the catalogue's records: a LEB128 length and bytes (docs/format-catalogue.md). */
#ifndef STORAGE_SRC_TEXT_H
#define STORAGE_SRC_TEXT_H

#include "core/buf.h"

/* An error of dst sticks to it. */
static inline void storage_text_append(struct kn_buf *dst, struct kn_str text)
{
    kn_buf_append_varint(dst, text.len);
    kn_buf_append(dst, text.ptr, text.len);
}

/* *ret is a view of what is read. -EBADMSG: it ends early, or is longer than max. */
static inline int storage_text_read(struct kn_reader *in, size_t max, struct kn_str *ret)
{
    uint64_t len;
    struct kn_bytes bytes;
    if (kn_read_varint(in, &len) < 0 || len > max || kn_read_bytes(in, len, &bytes) < 0)
        return -EBADMSG;
    *ret = kn_str_of(bytes);
    return 0;
}

#endif
