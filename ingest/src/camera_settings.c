/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See camera_settings.h. Record, version 1, sealed whole with the key as what is authenticated
 * beside it: u8 1 · u64 created ms · u64 updated ms · u8 transport · url · user · password, texts
 * behind a LEB128 length. docs/format-catalogue.md.
 */
#include "camera_settings.h"

enum {
    RECORD_FORMAT = 1,
    KEY_BYTES = 2 + STORAGE_ID_TEXT_BYTES,
    RECORD_BYTES_MAX = 64 + INGEST_CAMERA_URL_BYTES_MAX + 2 * INGEST_CAMERA_USER_BYTES_MAX,
};

const char *ingest_camera_transport_name(enum ingest_camera_transport transport)
{
    static const char *const names[] = {[INGEST_CAMERA_AUTO] = "auto",
                                        [INGEST_CAMERA_UDP] = "udp",
                                        [INGEST_CAMERA_TCP] = "tcp",
                                        [INGEST_CAMERA_HTTP] = "http"};
    return names[transport];
}

/* --- URLs --------------------------------------------------------------------------------------
 */
static int unescape(struct kn_str text, char *dst, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t) text.ptr[i];
        if (byte == '%' && (i + 2 >= text.len ||
                            kn_hex_decode((struct kn_str){text.ptr + i + 1, 2}, &byte, 1) < 0))
            return -EINVAL;
        i += text.ptr[i] == '%' ? 2 : 0;
        if (len + 1 >= cap || byte == 0)
            return -EINVAL;
        dst[len++] = (char) byte;
    }
    dst[len] = '\0';
    return 0;
}

static bool is_plain(struct kn_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    }
    return true;
}

/* The last @ before the path: passwords with an @ in them are common, and seldom escaped. */
static struct kn_str cut_credentials(struct kn_str rest, struct kn_str *ret_credentials)
{
    struct kn_str authority;
    (void) kn_str_cut(rest, '/', &authority);
    size_t at = authority.len;
    while (at > 0 && authority.ptr[at - 1] != '@')
        at--;
    *ret_credentials = (struct kn_str){rest.ptr, at > 0 ? at - 1 : 0};
    return at > 0 ? kn_str_skip(rest, at) : rest;
}

int ingest_camera_url(struct kn_str url, struct ingest_camera_settings *dst, struct kn_err *err)
{
    static const char *const schemes[] = {"rtsp://", "rtsps://"};
    const char *scheme = NULL;
    for (size_t i = 0; i < KN_ARRAY_LEN(schemes); i++) {
        if (kn_str_starts_with(url, kn_str_from(schemes[i])))
            scheme = schemes[i];
    }
    if (!scheme)
        return kn_fail(err, -EINVAL, "a camera's URL begins with rtsp:// or rtsps://");
    struct kn_str credentials, user;
    struct kn_str rest = cut_credentials(kn_str_skip(url, strlen(scheme)), &credentials);
    struct kn_str password = kn_str_cut(credentials, ':', &user);
    if (rest.len == 0 || memchr("/:?#", rest.ptr[0], 4) || !is_plain(rest))
        return kn_fail(err, -EINVAL, "a camera's URL has a host, and no blanks");
    int n = snprintf(dst->url, sizeof dst->url, "%s" KN_STR_FMT, scheme, KN_STR_ARG(rest));
    if (n < 0 || (size_t) n >= sizeof dst->url)
        return kn_fail(err, -EINVAL, "a camera's URL has at most %d characters",
                       INGEST_CAMERA_URL_BYTES_MAX);
    if (unescape(user, dst->user, sizeof dst->user) < 0 ||
        unescape(password, dst->password, sizeof dst->password) < 0)
        return kn_fail(err, -EINVAL, "user or password in the URL is too long, or wrongly escaped");
    return 0;
}

struct kn_str ingest_camera_url_shown(const struct ingest_camera_settings *settings)
{
    struct kn_str shown;
    (void) kn_str_cut(kn_str_from(settings->url), '?', &shown); /* often ?user=…&password=… */
    return shown;
}

/* --- records -----------------------------------------------------------------------------------
 */
static struct kn_bytes record_key(const struct storage_id *stream, char dst[KEY_BYTES])
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    int n = snprintf(dst, KEY_BYTES, "v/%s", id);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

static void append_text(struct kn_buf *dst, const char *text)
{
    kn_buf_append_varint(dst, strlen(text));
    kn_buf_append_text(dst, text);
}

static int encode(const struct ingest_camera_settings *s, struct kn_buf *dst)
{
    kn_buf_append_byte(dst, RECORD_FORMAT);
    kn_buf_append_u64be(dst, (uint64_t) s->created_ms);
    kn_buf_append_u64be(dst, (uint64_t) s->updated_ms);
    kn_buf_append_byte(dst, (uint8_t) s->transport);
    append_text(dst, s->url);
    append_text(dst, s->user);
    append_text(dst, s->password);
    return dst->error;
}

static int read_text(struct kn_reader *in, char *dst, size_t cap)
{
    uint64_t len;
    struct kn_bytes text;
    if (kn_read_varint(in, &len) < 0 || len >= cap || kn_read_bytes(in, (size_t) len, &text) < 0)
        return -EBADMSG;
    return kn_str_copy(dst, cap, kn_str_of(text));
}

static int decode(struct kn_bytes record, struct ingest_camera_settings *ret)
{
    struct kn_reader in = kn_reader_of(record);
    uint8_t format, transport;
    uint64_t created, updated;
    if (kn_read_u8(&in, &format) < 0 || format != RECORD_FORMAT ||
        kn_read_u64be(&in, &created) < 0 || kn_read_u64be(&in, &updated) < 0 ||
        kn_read_u8(&in, &transport) < 0 || transport > INGEST_CAMERA_HTTP ||
        read_text(&in, ret->url, sizeof ret->url) < 0 ||
        read_text(&in, ret->user, sizeof ret->user) < 0 ||
        read_text(&in, ret->password, sizeof ret->password) < 0 || kn_reader_left(&in) > 0)
        return -EBADMSG;
    ret->created_ms = (int64_t) created;
    ret->updated_ms = (int64_t) updated;
    ret->transport = (enum ingest_camera_transport) transport;
    return 0;
}

int ingest_camera_put(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                      const struct storage_id *stream,
                      const struct ingest_camera_settings *settings)
{
    char name[KEY_BYTES];
    struct kn_bytes at = record_key(stream, name);
    struct kn_buf plain, sealed;
    kn_buf_init(&plain, RECORD_BYTES_MAX);
    kn_buf_init(&sealed, RECORD_BYTES_MAX + KN_AEAD_OVERHEAD);
    int r = encode(settings, &plain);
    if (r == 0)
        r = kn_aead_seal(key, kn_buf_bytes(&plain), at, &sealed);
    uint64_t version = 0;
    struct kn_buf before;
    kn_buf_init(&before, RECORD_BYTES_MAX + KN_AEAD_OVERHEAD);
    if (r == 0)
        r = storage_meta_get(meta, at, &before, &version);
    if (r == 0 || r == -ENOENT)
        r = storage_meta_put(meta, at, kn_buf_bytes(&sealed), r == 0 ? version : 0, NULL);
    kn_buf_done(&before);
    if (plain.ptr)
        explicit_bzero(plain.ptr, plain.len);
    kn_buf_done(&plain);
    kn_buf_done(&sealed);
    return r;
}

int ingest_camera_remove(struct storage_meta *meta, const struct storage_id *stream)
{
    char name[KEY_BYTES];
    return storage_meta_remove(meta, record_key(stream, name), 0);
}

struct listing {
    const uint8_t *key;
    ingest_camera_fn *each;
    void *ctx;
};

static int list_one(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct listing *listing = ctx;
    struct storage_id id;
    struct kn_str hex = kn_str_skip(kn_str_of(key), 2);
    if (kn_hex_decode(hex, id.bytes, sizeof id.bytes) < 0)
        return 0; /* none of ours */
    struct ingest_camera_settings settings;
    struct kn_buf plain;
    kn_buf_init(&plain, RECORD_BYTES_MAX);
    int r = kn_aead_open(listing->key, value, key, &plain);
    if (r == 0)
        r = decode(kn_buf_bytes(&plain), &settings);
    int result = listing->each(listing->ctx, &id, r == 0 ? &settings : NULL, r);
    if (plain.ptr)
        explicit_bzero(plain.ptr, plain.len);
    kn_buf_done(&plain);
    explicit_bzero(&settings, sizeof settings);
    return result;
}

int ingest_camera_list(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                       ingest_camera_fn *each, void *ctx)
{
    struct listing listing = {key, each, ctx};
    return storage_meta_list(meta, kn_bytes_of(KN_STR("v/")), (struct kn_bytes){NULL, 0}, SIZE_MAX,
                             list_one, &listing);
}
