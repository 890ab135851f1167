/* SPDX-License-Identifier: Apache-2.0 */
#include "page_token.h"

#include <errno.h>

enum {
    FIXED_BYTES = 1 + 8 + sizeof(struct storage_id) + 1 + 1, /* all but the two texts */
    PLAIN_BYTES_MAX = FIXED_BYTES + 2 * DATASTREAM_NAME_BYTES_MAX,
    SEALED_BYTES_MAX = PLAIN_BYTES_MAX + KN_AEAD_OVERHEAD,
    TEXT_BYTES_MAX = (SEALED_BYTES_MAX + 2) / 3 * 4,
};

static struct kn_bytes purpose(void)
{
    return kn_bytes_of(KN_STR("kinema data stream list"));
}

static void append_text(struct kn_buf *dst, struct kn_str text)
{
    kn_assert(text.len <= DATASTREAM_NAME_BYTES_MAX);
    kn_buf_append_byte(dst, (uint8_t) text.len);
    kn_buf_append_str(dst, text);
}

int datastream_page_token_write(struct datastream *ds, struct kn_api_call *call,
                                const struct datastream_page_token *token, struct kn_str *ret)
{
    struct kn_buf plain, sealed, text;
    kn_buf_init(&plain, PLAIN_BYTES_MAX);
    kn_buf_init(&sealed, SEALED_BYTES_MAX);
    kn_buf_init(&text, TEXT_BYTES_MAX);
    uint8_t issued[8];
    kn_put_u64be(issued, (uint64_t) kn_wall_ms(ds->clock));
    kn_buf_append_byte(&plain, (uint8_t) token->list);
    kn_buf_append(&plain, issued, sizeof(issued));
    kn_buf_append(&plain, token->stream.bytes, sizeof(token->stream.bytes));
    append_text(&plain, token->name);
    append_text(&plain, token->after);
    int r = plain.error;
    if (r == 0)
        r = kn_aead_seal(ds->token_key, kn_buf_bytes(&plain), purpose(), &sealed);
    if (r == 0)
        r = kn_base64_encode(kn_buf_bytes(&sealed), false, &text);
    if (r == 0) {
        *ret = kn_arena_str(call->arena, kn_buf_str(&text));
        r = ret->ptr ? 0 : -ENOMEM;
    }
    kn_buf_done(&plain);
    kn_buf_done(&sealed);
    kn_buf_done(&text);
    return r;
}

static int read_text(struct kn_reader *r, struct kn_arena *arena, struct kn_str *ret)
{
    uint8_t len = 0;
    struct kn_bytes bytes;
    if (kn_read_u8(r, &len) < 0 || len > DATASTREAM_NAME_BYTES_MAX ||
        kn_read_bytes(r, len, &bytes) < 0)
        return -EINVAL;
    *ret = kn_arena_str(arena, (struct kn_str){(const char *) bytes.ptr, bytes.len});
    return ret->ptr ? 0 : -ENOMEM;
}

static int read_plain(struct kn_bytes plain, struct kn_arena *arena, char list, int64_t *issued_ms,
                      struct datastream_page_token *ret)
{
    struct kn_reader r = kn_reader_of(plain);
    uint8_t letter = 0;
    uint64_t issued = 0;
    struct kn_bytes id;
    if (kn_read_u8(&r, &letter) < 0 || letter != (uint8_t) list || kn_read_u64be(&r, &issued) < 0 ||
        kn_read_bytes(&r, sizeof(ret->stream.bytes), &id) < 0)
        return -EINVAL;
    *issued_ms = (int64_t) issued;
    ret->list = list;
    memcpy(ret->stream.bytes, id.ptr, id.len);
    int result = read_text(&r, arena, &ret->name);
    return result < 0 ? result : read_text(&r, arena, &ret->after);
}

static int open_token(struct datastream *ds, struct kn_api_call *call, char list,
                      struct kn_str text, int64_t *issued_ms, struct datastream_page_token *ret)
{
    struct kn_buf sealed, plain;
    kn_buf_init(&sealed, SEALED_BYTES_MAX);
    kn_buf_init(&plain, PLAIN_BYTES_MAX);
    int r = kn_base64_decode(text, false, &sealed);
    if (r == 0)
        r = kn_aead_open(ds->token_key, kn_buf_bytes(&sealed), purpose(), &plain);
    if (r == 0)
        r = read_plain(kn_buf_bytes(&plain), call->arena, list, issued_ms, ret);
    kn_buf_done(&sealed);
    kn_buf_done(&plain);
    return r;
}

int datastream_page_token_read(struct datastream *ds, struct kn_api_call *call, char list,
                               struct kn_str text, struct datastream_page_token *ret)
{
    int64_t issued_ms = 0;
    int r = open_token(ds, call, list, text, &issued_ms, ret);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return kn_api_fault(call, "InvalidArgumentException", "The NextToken is invalid.");
    int64_t age_ms = kn_wall_ms(ds->clock) - issued_ms;
    if (age_ms > DATASTREAM_PAGE_TOKEN_LIFE_MS)
        return kn_api_fault(call, "ExpiredNextTokenException",
                            "The NextToken has expired: it was issued %lld s ago, and is good for "
                            "%d s.",
                            (long long) (age_ms / 1000), DATASTREAM_PAGE_TOKEN_LIFE_MS / 1000);
    return 0;
}
