/* SPDX-License-Identifier: Apache-2.0 */
#include "iterator.h"

#include <errno.h>

enum {
    PREFIX_BYTES = 8,
    BYTES_MIN = 152, /* of the whole */
    BYTES_MAX = BYTES_MIN + (DATASTREAM_NAME_BYTES_MAX + 2) / 16 * 16,
    FIXED_BYTES = 8 + sizeof(struct storage_id) + 4 + 8 + 1, /* all but the name */
};
static_assert(BYTES_MIN >= PREFIX_BYTES + KN_AEAD_OVERHEAD + FIXED_BYTES + 13, "short names fit");
static_assert(DATASTREAM_ITERATOR_TEXT_BYTES > (BYTES_MAX + 2) / 3 * 4, "text has room");

static const uint8_t prefix[PREFIX_BYTES] = {0, 0, 0, 0, 0, 0, 0, 1};

static size_t bytes_for(size_t name_bytes)
{
    return BYTES_MIN + (name_bytes + 2) / 16 * 16;
}

ssize_t datastream_iterator_format(const uint8_t key[KN_AEAD_KEY_BYTES],
                                   const struct datastream_iterator *it,
                                   char dst[DATASTREAM_ITERATOR_TEXT_BYTES])
{
    kn_assert(it->name.len <= DATASTREAM_NAME_BYTES_MAX);
    size_t len = bytes_for(it->name.len) - PREFIX_BYTES - KN_AEAD_OVERHEAD;
    uint8_t plain[BYTES_MAX] = {0};
    uint8_t *at = plain;
    kn_put_u64be(at, (uint64_t) it->issued_ms);
    memcpy(at + 8, &it->stream, sizeof(it->stream));
    at += 8 + sizeof(it->stream);
    kn_put_u32be(at, it->shard);
    kn_put_u64be(at + 4, it->position);
    at[12] = (uint8_t) it->name.len;
    memcpy(at + 13, it->name.ptr, it->name.len);

    struct kn_buf sealed, text;
    kn_buf_init(&sealed, BYTES_MAX);
    kn_buf_init(&text, DATASTREAM_ITERATOR_TEXT_BYTES - 1);
    kn_buf_append(&sealed, prefix, sizeof(prefix));
    int r = kn_aead_seal(key, (struct kn_bytes){plain, len},
                         (struct kn_bytes){prefix, sizeof(prefix)}, &sealed);
    if (r == 0)
        r = kn_base64_encode(kn_buf_bytes(&sealed), false, &text);
    if (r == 0) {
        memcpy(dst, text.ptr, text.len);
        dst[text.len] = '\0';
    }
    ssize_t done = r < 0 ? r : (ssize_t) text.len;
    kn_buf_done(&sealed);
    kn_buf_done(&text);
    return done;
}

static int read_plain(struct kn_bytes plain, char *name_dst, struct datastream_iterator *ret)
{
    struct kn_reader r = kn_reader_of(plain);
    uint64_t issued = 0;
    struct kn_bytes id, name;
    uint8_t name_len = 0;
    if (kn_read_u64be(&r, &issued) < 0 || kn_read_bytes(&r, sizeof(ret->stream), &id) < 0 ||
        kn_read_u32be(&r, &ret->shard) < 0 || kn_read_u64be(&r, &ret->position) < 0 ||
        kn_read_u8(&r, &name_len) < 0 || name_len > DATASTREAM_NAME_BYTES_MAX ||
        kn_read_bytes(&r, name_len, &name) < 0)
        return -EINVAL;
    ret->issued_ms = (int64_t) issued;
    memcpy(&ret->stream, id.ptr, id.len);
    memcpy(name_dst, name.ptr, name.len);
    ret->name = (struct kn_str){name_dst, name.len};
    return 0;
}

int datastream_iterator_parse(const uint8_t key[KN_AEAD_KEY_BYTES], struct kn_str text,
                              char name_dst[DATASTREAM_NAME_BYTES_MAX],
                              struct datastream_iterator *ret)
{
    struct kn_buf sealed, plain;
    kn_buf_init(&sealed, BYTES_MAX);
    kn_buf_init(&plain, BYTES_MAX);
    int r = kn_base64_decode(text, false, &sealed);
    struct kn_bytes bytes = kn_buf_bytes(&sealed);
    if (r == 0 && (bytes.len < BYTES_MIN || memcmp(bytes.ptr, prefix, sizeof(prefix)) != 0))
        r = -EINVAL;
    if (r == 0)
        r = kn_aead_open(key, kn_bytes_skip(bytes, sizeof(prefix)),
                         (struct kn_bytes){prefix, sizeof(prefix)}, &plain);
    if (r == 0)
        r = read_plain(kn_buf_bytes(&plain), name_dst, ret);
    kn_buf_done(&sealed);
    kn_buf_done(&plain);
    return r == 0 || r == -ENOMEM ? r : -EINVAL;
}
