/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 of: list letter, name, CRC-32C of both. Standard alphabet, as the models' pattern asks. */
#include "page_token.h"

#include "core/crypto.h"

enum {
    CRC_BYTES = 4
};

struct kn_str ingest_page_token(char dst[INGEST_PAGE_TOKEN_BYTES_MAX], char list,
                                struct kn_str after)
{
    struct kn_buf plain, text;
    kn_buf_init(&plain, INGEST_PAGE_TOKEN_BYTES_MAX);
    kn_buf_init(&text, INGEST_PAGE_TOKEN_BYTES_MAX);
    kn_buf_append_byte(&plain, (uint8_t) list);
    kn_buf_append_str(&plain, after);
    kn_buf_append_u32be(&plain, kn_crc32c(0, kn_buf_bytes(&plain)));
    struct kn_str token = {NULL, 0};
    if (!plain.error && kn_base64_encode(kn_buf_bytes(&plain), false, &text) == 0) {
        memcpy(dst, text.ptr, text.len);
        token = (struct kn_str){dst, text.len};
    }
    kn_buf_done(&plain);
    kn_buf_done(&text);
    return token;
}

static int check(char list, struct kn_bytes plain, struct kn_str *ret)
{
    if (plain.len < 1 + CRC_BYTES || plain.ptr[0] != (uint8_t) list)
        return -EINVAL;
    struct kn_bytes signed_part = {plain.ptr, plain.len - CRC_BYTES};
    uint8_t crc[CRC_BYTES];
    kn_put_u32be(crc, kn_crc32c(0, signed_part));
    if (memcmp(crc, plain.ptr + signed_part.len, CRC_BYTES) != 0)
        return -EINVAL;
    *ret = (struct kn_str){(const char *) plain.ptr + 1, signed_part.len - 1};
    return 0;
}

int ingest_page_token_read(struct kn_arena *arena, char list, struct kn_str token,
                           struct kn_str *ret)
{
    struct kn_buf plain;
    kn_buf_init(&plain, INGEST_PAGE_TOKEN_BYTES_MAX);
    struct kn_str after;
    int r = kn_base64_decode(token, false, &plain);
    if (r == 0)
        r = check(list, kn_buf_bytes(&plain), &after);
    else if (r != -ENOMEM)
        r = -EINVAL;
    if (r == 0) {
        after = kn_arena_str(arena, after);
        if (after.ptr)
            *ret = after;
        else
            r = -ENOMEM;
    }
    kn_buf_done(&plain);
    return r;
}
