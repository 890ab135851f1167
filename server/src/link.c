/* SPDX-License-Identifier: Apache-2.0 */
/* One-time links; see link.h. Taking one is a compare-and-remove, so two racing browsers cannot
 * both come in. Old ones are swept whenever a new one is made. */
#include "link.h"

#include "core/crypto.h"

enum {
    TOKEN_RANDOM_BYTES = 32,
    KEY_BYTES = 2 + 64,
    VALUE_BYTES_MAX = 8 + KN_KEY_ID_BYTES_MAX
};

static struct kn_bytes key_of(struct kn_str token, char dst[KEY_BYTES + 1])
{
    uint8_t digest[KN_SHA256_BYTES];
    kn_sha256(kn_bytes_of(token), digest);
    dst[0] = 'l';
    dst[1] = '/';
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, dst + 2);
    return (struct kn_bytes){(const uint8_t *) dst, KEY_BYTES};
}

struct sweep {
    int64_t now_ms;
    size_t count;
    uint8_t keys[64][KEY_BYTES];
};

static int sweep_one(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct sweep *sweep = ctx;
    struct kn_reader in = kn_reader_of(value);
    uint64_t expires_ms = 0;
    (void) version;
    if (key.len != KEY_BYTES || sweep->count == KN_ARRAY_LEN(sweep->keys))
        return 0;
    if (kn_read_u64be(&in, &expires_ms) < 0 || (int64_t) expires_ms < sweep->now_ms)
        memcpy(sweep->keys[sweep->count++], key.ptr, KEY_BYTES);
    return 0;
}

static void sweep_old(struct storage_meta *meta, int64_t now_ms)
{
    struct sweep sweep = {.now_ms = now_ms};
    if (storage_meta_list(meta, kn_bytes_of(KN_STR("l/")), (struct kn_bytes){0}, 1024, sweep_one,
                          &sweep) < 0)
        return;
    for (size_t i = 0; i < sweep.count; i++) /* somebody else may have swept it */
        (void) !storage_meta_remove(meta, (struct kn_bytes){sweep.keys[i], KEY_BYTES}, 0);
}

int server_link_create(struct storage_meta *meta, struct kn_str key_id, int64_t now_ms,
                       int64_t expires_ms, char token[SERVER_LINK_TOKEN_BYTES])
{
    uint8_t random[TOKEN_RANDOM_BYTES], value[VALUE_BYTES_MAX];
    char made[SERVER_LINK_TOKEN_BYTES], key[KEY_BYTES + 1];
    uint64_t version;
    if (key_id.len > KN_KEY_ID_BYTES_MAX)
        return -EINVAL;
    sweep_old(meta, now_ms);
    kn_random(random, sizeof random);
    kn_hex_encode((struct kn_bytes){random, sizeof random}, made);
    kn_put_u64be(value, (uint64_t) expires_ms);
    if (key_id.len > 0)
        memcpy(value + 8, key_id.ptr, key_id.len);
    int code = storage_meta_put(meta, key_of(kn_str_from(made), key),
                                (struct kn_bytes){value, 8 + key_id.len}, 0, &version);
    if (code == 0)
        memcpy(token, made, sizeof made);
    return code;
}

int server_link_take(struct storage_meta *meta, struct kn_str token, int64_t now_ms,
                     char key_id[KN_KEY_ID_BYTES_MAX + 1])
{
    char key_text[KEY_BYTES + 1];
    struct kn_bytes key = key_of(token, key_text);
    struct kn_buf value;
    uint64_t version = 0, expires_ms = 0;
    if (token.len != SERVER_LINK_TOKEN_BYTES - 1)
        return -ENOENT;
    kn_buf_init(&value, VALUE_BYTES_MAX);
    int code = storage_meta_get(meta, key, &value, &version);
    if (code == 0)
        code = storage_meta_remove(meta, key, version);
    if (code == -ESTALE)
        code = -ENOENT;
    if (code == 0) {
        struct kn_reader in = kn_reader_of(kn_buf_bytes(&value));
        if (kn_read_u64be(&in, &expires_ms) < 0)
            code = -EBADMSG;
        else if ((int64_t) expires_ms < now_ms)
            code = -ENOENT;
        else
            code = kn_str_copy(key_id, KN_KEY_ID_BYTES_MAX + 1,
                               kn_str_of((struct kn_bytes){in.at, kn_reader_left(&in)}));
    }
    kn_buf_done(&value);
    return code;
}
