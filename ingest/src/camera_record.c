/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See camera_record.h. A record is sealed whole, with its key as what is authenticated beside it;
 * numbers are big-endian, texts stand behind a LEB128 length. docs/format-catalogue.md.
 *
 * source: u8 transport · u8 tls · url · user · password
 * times:  expression · u32 seconds
 * secret: u8 1 · u64 created ms · u64 updated ms · source
 * camera: u8 2 · u64 created ms · u64 updated ms · source · times · hub · secret ARN ·
 *         times of the uploader · u32 hours · u32 MB · u8 flags
 * before: u8 1 · u64 created ms · u64 updated ms · u8 transport · url · user · password
 */
#include "camera_record.h"

enum {
    SECRET_FORMAT = 1,
    CAMERA_FORMAT = 2,
    CAMERA_FORMAT_FIRST = 1,
    CAMERA_KEY_BYTES = 2 + STORAGE_ID_TEXT_BYTES,
    SECRET_KEY_BYTES = 3 + INGEST_CAMERA_SECRET_BYTES_MAX + 1,
    RECORD_BYTES_MAX = 8 << 10,
};

static_assert(RECORD_BYTES_MAX > sizeof(struct ingest_camera_settings) + 64, "any record fits");

static struct kn_bytes camera_key(const struct storage_id *stream, char dst[CAMERA_KEY_BYTES])
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    int n = snprintf(dst, CAMERA_KEY_BYTES, "v/%s", id);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

static struct kn_bytes secret_key(struct kn_str name, char dst[SECRET_KEY_BYTES])
{
    kn_assert(name.len <= INGEST_CAMERA_SECRET_BYTES_MAX);
    int n = snprintf(dst, SECRET_KEY_BYTES, "vs/" KN_STR_FMT, KN_STR_ARG(name));
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

static void done(struct kn_buf *plain)
{
    if (plain->ptr)
        explicit_bzero(plain->ptr, plain->len);
    kn_buf_done(plain);
}

/* --- what is in them -------------------------------------------------------------------------- */
static void append_text(struct kn_buf *dst, const char *text)
{
    kn_buf_append_varint(dst, strlen(text));
    kn_buf_append_text(dst, text);
}

static void append_head(struct kn_buf *dst, uint8_t format, int64_t created_ms, int64_t updated_ms)
{
    kn_buf_append_byte(dst, format);
    kn_buf_append_u64be(dst, (uint64_t) created_ms);
    kn_buf_append_u64be(dst, (uint64_t) updated_ms);
}

static void append_source(struct kn_buf *dst, const struct ingest_camera_source *s)
{
    kn_buf_append_byte(dst, (uint8_t) s->transport);
    kn_buf_append_byte(dst, (uint8_t) s->tls);
    append_text(dst, s->url);
    append_text(dst, s->user);
    append_text(dst, s->password);
}

static void append_times(struct kn_buf *dst, const struct ingest_camera_times *times)
{
    append_text(dst, times->expression);
    kn_buf_append_u32be(dst, times->duration_s);
}

static void append_camera(struct kn_buf *dst, const struct ingest_camera_settings *s)
{
    static const struct ingest_camera_source none;
    append_head(dst, CAMERA_FORMAT, s->created_ms, s->updated_ms);
    append_source(dst, *s->edge.secret_arn ? &none : &s->source);
    append_times(dst, &s->times);
    append_text(dst, s->edge.hub);
    append_text(dst, s->edge.secret_arn);
    append_times(dst, &s->edge.uploader);
    kn_buf_append_u32be(dst, s->edge.retention_hours);
    kn_buf_append_u32be(dst, s->edge.size_mb);
    kn_buf_append_byte(dst, s->edge.flags);
}

static int read_text(struct kn_reader *in, char *dst, size_t cap)
{
    uint64_t len;
    struct kn_bytes text;
    if (kn_read_varint(in, &len) < 0 || len >= cap || kn_read_bytes(in, (size_t) len, &text) < 0)
        return -EBADMSG;
    return kn_str_copy(dst, cap, kn_str_of(text));
}

static int read_head(struct kn_reader *in, uint8_t *ret_format, int64_t *ret_created_ms,
                     int64_t *ret_updated_ms)
{
    uint64_t created, updated;
    if (kn_read_u8(in, ret_format) < 0 || kn_read_u64be(in, &created) < 0 ||
        kn_read_u64be(in, &updated) < 0)
        return -EBADMSG;
    *ret_created_ms = (int64_t) created;
    *ret_updated_ms = (int64_t) updated;
    return 0;
}

static int read_source(struct kn_reader *in, bool has_tls, struct ingest_camera_source *ret)
{
    uint8_t transport, tls = INGEST_CAMERA_TLS_INSECURE;
    if (kn_read_u8(in, &transport) < 0 || transport > INGEST_CAMERA_HTTP ||
        (has_tls && kn_read_u8(in, &tls) < 0) || tls > INGEST_CAMERA_TLS_VERIFY ||
        read_text(in, ret->url, sizeof ret->url) < 0 ||
        read_text(in, ret->user, sizeof ret->user) < 0 ||
        read_text(in, ret->password, sizeof ret->password) < 0)
        return -EBADMSG;
    ret->transport = (enum ingest_camera_transport) transport;
    ret->tls = (enum ingest_camera_tls) tls;
    return 0;
}

static int read_times(struct kn_reader *in, struct ingest_camera_times *ret)
{
    return read_text(in, ret->expression, sizeof ret->expression) < 0 ||
                   kn_read_u32be(in, &ret->duration_s) < 0
               ? -EBADMSG
               : 0;
}

static int read_camera(struct kn_bytes record, struct ingest_camera_settings *ret)
{
    struct kn_reader in = kn_reader_of(record);
    struct ingest_camera_edge *edge = &ret->edge;
    uint8_t format;
    *ret = (struct ingest_camera_settings){0};
    if (read_head(&in, &format, &ret->created_ms, &ret->updated_ms) < 0 ||
        format < CAMERA_FORMAT_FIRST || format > CAMERA_FORMAT ||
        read_source(&in, format > CAMERA_FORMAT_FIRST, &ret->source) < 0)
        return -EBADMSG;
    if (format > CAMERA_FORMAT_FIRST &&
        (read_times(&in, &ret->times) < 0 || read_text(&in, edge->hub, sizeof edge->hub) < 0 ||
         read_text(&in, edge->secret_arn, sizeof edge->secret_arn) < 0 ||
         read_times(&in, &edge->uploader) < 0 || kn_read_u32be(&in, &edge->retention_hours) < 0 ||
         kn_read_u32be(&in, &edge->size_mb) < 0 || kn_read_u8(&in, &edge->flags) < 0))
        return -EBADMSG;
    return kn_reader_left(&in) > 0 ? -EBADMSG : 0;
}

static int read_secret(struct kn_bytes record, struct ingest_camera_secret *ret)
{
    struct kn_reader in = kn_reader_of(record);
    uint8_t format;
    *ret = (struct ingest_camera_secret){0};
    return read_head(&in, &format, &ret->created_ms, &ret->updated_ms) < 0 ||
                   format != SECRET_FORMAT || read_source(&in, true, &ret->source) < 0 ||
                   kn_reader_left(&in) > 0
               ? -EBADMSG
               : 0;
}

/* --- in the catalogue ------------------------------------------------------------------------- */
static int put_sealed(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                      struct kn_bytes at, struct kn_buf *plain)
{
    struct kn_buf sealed, before;
    uint64_t version = 0;
    kn_buf_init(&sealed, RECORD_BYTES_MAX + KN_AEAD_OVERHEAD);
    kn_buf_init(&before, RECORD_BYTES_MAX + KN_AEAD_OVERHEAD);
    int r = plain->error;
    if (r == 0)
        r = kn_aead_seal(key, kn_buf_bytes(plain), at, &sealed);
    if (r == 0)
        r = storage_meta_get(meta, at, &before, &version);
    if (r == 0 || r == -ENOENT)
        r = storage_meta_put(meta, at, kn_buf_bytes(&sealed), r == 0 ? version : 0, NULL);
    kn_buf_done(&before);
    kn_buf_done(&sealed);
    done(plain);
    return r;
}

int ingest_camera_put(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                      const struct storage_id *stream,
                      const struct ingest_camera_settings *settings)
{
    char name[CAMERA_KEY_BYTES];
    struct kn_buf plain;
    kn_buf_init(&plain, RECORD_BYTES_MAX);
    append_camera(&plain, settings);
    return put_sealed(meta, key, camera_key(stream, name), &plain);
}

int ingest_camera_remove(struct storage_meta *meta, const struct storage_id *stream)
{
    char name[CAMERA_KEY_BYTES];
    return storage_meta_remove(meta, camera_key(stream, name), 0);
}

int ingest_camera_secret_put(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                             struct kn_str name, const struct ingest_camera_secret *secret)
{
    char text[SECRET_KEY_BYTES];
    struct kn_buf plain;
    kn_buf_init(&plain, RECORD_BYTES_MAX);
    append_head(&plain, SECRET_FORMAT, secret->created_ms, secret->updated_ms);
    append_source(&plain, &secret->source);
    return put_sealed(meta, key, secret_key(name, text), &plain);
}

int ingest_camera_secret_remove(struct storage_meta *meta, struct kn_str name)
{
    char text[SECRET_KEY_BYTES];
    return storage_meta_remove(meta, secret_key(name, text), 0);
}

static int open_secret(const uint8_t key[KN_AEAD_KEY_BYTES], struct kn_bytes at,
                       struct kn_bytes sealed, struct ingest_camera_secret *ret)
{
    struct kn_buf plain;
    kn_buf_init(&plain, RECORD_BYTES_MAX);
    int r = kn_aead_open(key, sealed, at, &plain);
    if (r == 0)
        r = read_secret(kn_buf_bytes(&plain), ret);
    done(&plain);
    return r;
}

int ingest_camera_secret_get(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                             struct kn_str name, struct ingest_camera_secret *ret)
{
    char text[SECRET_KEY_BYTES];
    struct kn_bytes at = secret_key(name, text);
    struct kn_buf sealed;
    uint64_t version;
    kn_buf_init(&sealed, RECORD_BYTES_MAX + KN_AEAD_OVERHEAD);
    int r = storage_meta_get(meta, at, &sealed, &version);
    if (r == 0)
        r = open_secret(key, at, kn_buf_bytes(&sealed), ret);
    kn_buf_done(&sealed);
    return r;
}

struct listing {
    const uint8_t *key;
    ingest_camera_fn *camera;
    ingest_camera_secret_fn *secret;
    void *ctx;
};

static int list_camera(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
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
        r = read_camera(kn_buf_bytes(&plain), &settings);
    int result = listing->camera(listing->ctx, &id, r == 0 ? &settings : NULL, r);
    done(&plain);
    explicit_bzero(&settings, sizeof settings);
    return result;
}

int ingest_camera_list(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                       ingest_camera_fn *each, void *ctx)
{
    struct listing listing = {.key = key, .camera = each, .ctx = ctx};
    return storage_meta_list(meta, kn_bytes_of(KN_STR("v/")), (struct kn_bytes){NULL, 0}, SIZE_MAX,
                             list_camera, &listing);
}

static int list_secret(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct listing *listing = ctx;
    struct ingest_camera_secret secret;
    int r = open_secret(listing->key, key, value, &secret);
    int result =
        listing->secret(listing->ctx, kn_str_skip(kn_str_of(key), 3), r == 0 ? &secret : NULL, r);
    explicit_bzero(&secret, sizeof secret);
    return result;
}

int ingest_camera_secret_list(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                              struct kn_str after, size_t most, ingest_camera_secret_fn *each,
                              void *ctx)
{
    char text[SECRET_KEY_BYTES];
    struct listing listing = {.key = key, .secret = each, .ctx = ctx};
    struct kn_bytes from = after.len > 0 ? secret_key(after, text) : (struct kn_bytes){NULL, 0};
    return storage_meta_list(meta, kn_bytes_of(KN_STR("vs/")), from, most, list_secret, &listing);
}
