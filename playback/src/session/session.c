/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session tokens: a version byte and the session's members as varints, sealed by AES-256-GCM and
 * written in URL-safe base64 with `~` for padding (the alphabet seen in tokens of the service). A
 * token is useless for another data folder, another stream of the same name, and once its access
 * key has been revoked.
 */
#include "session/session.h"

#include "core/fs.h"

enum {
    TOKEN_VERSION = 1,
    TOKEN_VERSION_DASH = 2, /* the same, and what follows it */
    TOKEN_VERSION_CLIP = 3, /* as 1 */
    TOKEN_VERSION_SOME = 4, /* as 1, with some of the tracks */
    PLAIN_BYTES_MAX = 320,
    KEY_PATH_BYTES = 4096
};

static struct kn_bytes purpose(void)
{
    return kn_bytes_of(KN_STR("kinema playback session"));
}

int playback_session_key_load(const char *dir, struct playback_session_key *ret, struct kn_err *err)
{
    char path[KEY_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/session.key", dir);
    if (n < 0 || (size_t) n >= sizeof path)
        return kn_fail(err, -EMSGSIZE, "the data folder's name is too long");
    struct kn_buf file;
    kn_buf_init(&file, KN_AEAD_KEY_BYTES);
    int r = kn_fs_read_file(kn_fs_system(), path, &file);
    if (r == 0 && file.len != KN_AEAD_KEY_BYTES)
        r = -EBADMSG;
    if (r == 0)
        memcpy(ret->bytes, file.ptr, KN_AEAD_KEY_BYTES);
    kn_buf_done(&file);
    if (r == -ENOENT) {
        kn_random(ret->bytes, sizeof ret->bytes);
        r = kn_fs_write_file(kn_fs_system(), path,
                             (struct kn_bytes){ret->bytes, sizeof ret->bytes});
    }
    if (r < 0)
        return kn_fail(err, r, "%.200s: %s", path,
                       r == -EBADMSG || r == -EMSGSIZE ? "not a key of 32 bytes" : kn_errname(r));
    return 0;
}

static void append_i64(struct kn_buf *b, int64_t v)
{
    kn_buf_append_varint(b, kn_zigzag(v));
}

int playback_session_seal(const struct playback_session_key *key,
                          const struct playback_session *session, struct kn_buf *dst)
{
    struct kn_buf plain, sealed;
    kn_buf_init(&plain, PLAIN_BYTES_MAX);
    kn_buf_init(&sealed, PLAIN_BYTES_MAX + KN_AEAD_OVERHEAD);
    size_t key_len = strlen(session->key_id);
    bool dash = session->container == PLAYBACK_DASH, ts = session->container == PLAYBACK_TS;
    unsigned choices = (unsigned) session->mode | (unsigned) session->clock << 2 |
                       (unsigned) ts << 3 | (unsigned) session->discontinuity << 4 |
                       (unsigned) session->display_time << 6 |
                       (unsigned) session->display_number << 7;
    kn_buf_append_byte(&plain, dash                                  ? TOKEN_VERSION_DASH
                               : session->container == PLAYBACK_CLIP ? TOKEN_VERSION_CLIP
                               : session->some                       ? TOKEN_VERSION_SOME
                                                                     : TOKEN_VERSION);
    kn_buf_append(&plain, session->stream.bytes, sizeof session->stream.bytes);
    append_i64(&plain, session->stream_created_ms);
    kn_buf_append_byte(&plain, (uint8_t) choices);
    append_i64(&plain, session->from_ms);
    append_i64(&plain, session->to_ms);
    kn_buf_append_varint(&plain, session->from_seq);
    kn_buf_append_varint(&plain, session->results_max);
    kn_buf_append_varint(&plain, session->target_s);
    append_i64(&plain, session->opened_ms);
    append_i64(&plain, session->expires_ms);
    kn_buf_append_byte(&plain, (uint8_t) key_len);
    kn_buf_append(&plain, session->key_id, key_len);
    if (dash) {
        kn_buf_append_varint(&plain, session->base_seq);
        kn_buf_append_varint(&plain, session->base_ordinal);
        append_i64(&plain, session->base_ms);
    }
    if (session->kinds || session->whole_seq)
        kn_buf_append_byte(&plain, (uint8_t) session->kinds);
    if (session->whole_seq)
        kn_buf_append_varint(&plain, session->whole_seq);
    int r = plain.error;
    if (r == 0)
        r = kn_aead_seal(key->bytes, kn_buf_bytes(&plain), purpose(), &sealed);
    if (r == 0)
        r = kn_base64_encode(kn_buf_bytes(&sealed), true, dst);
    kn_buf_done(&plain);
    kn_buf_done(&sealed);
    return r;
}

static int read_i64(struct kn_reader *r, int64_t *ret)
{
    uint64_t v;
    if (kn_read_varint(r, &v) < 0)
        return -EBADMSG;
    *ret = kn_unzigzag(v);
    return 0;
}

static int read_u32(struct kn_reader *r, uint32_t *ret)
{
    uint64_t v;
    if (kn_read_varint(r, &v) < 0 || v > UINT32_MAX)
        return -EBADMSG;
    *ret = (uint32_t) v;
    return 0;
}

static int read_base(struct kn_reader *r, struct playback_session *s)
{
    if (kn_read_varint(r, &s->base_seq) < 0 || kn_read_varint(r, &s->base_ordinal) < 0)
        return -EBADMSG;
    return read_i64(r, &s->base_ms);
}

static int decode(struct kn_bytes plain, struct playback_session *ret)
{
    struct playback_session s = {.from_ms = 0};
    struct kn_reader r = kn_reader_of(plain);
    struct kn_bytes id, key;
    uint8_t version, choices, key_len, kinds = 0;
    if (kn_read_u8(&r, &version) < 0 || version < TOKEN_VERSION || version > TOKEN_VERSION_SOME ||
        kn_read_bytes(&r, sizeof s.stream.bytes, &id) < 0 ||
        read_i64(&r, &s.stream_created_ms) < 0 || kn_read_u8(&r, &choices) < 0 ||
        read_i64(&r, &s.from_ms) < 0 || read_i64(&r, &s.to_ms) < 0 ||
        kn_read_varint(&r, &s.from_seq) < 0 || kn_read_varint(&r, &s.results_max) < 0 ||
        read_u32(&r, &s.target_s) < 0 || read_i64(&r, &s.opened_ms) < 0 ||
        read_i64(&r, &s.expires_ms) < 0 || kn_read_u8(&r, &key_len) < 0 ||
        key_len > KN_KEY_ID_BYTES_MAX || kn_read_bytes(&r, key_len, &key) < 0 ||
        (version == TOKEN_VERSION_DASH && read_base(&r, &s) < 0) ||
        (kn_reader_left(&r) && kn_read_u8(&r, &kinds) < 0) ||
        (kn_reader_left(&r) && kn_read_varint(&r, &s.whole_seq) < 0) || kn_reader_left(&r) ||
        kinds > (PLAYBACK_PICTURES | PLAYBACK_SOUND) || (choices & 3) > PLAYBACK_ON_DEMAND ||
        (choices >> 4 & 3) > PLAYBACK_DISCONTINUITY_WHERE_BROKEN)
        return -EBADMSG;
    memcpy(s.stream.bytes, id.ptr, id.len);
    memcpy(s.key_id, key.ptr, key.len);
    s.mode = choices & 3;
    s.clock = choices >> 2 & 1;
    s.container = version == TOKEN_VERSION_DASH   ? PLAYBACK_DASH
                  : version == TOKEN_VERSION_CLIP ? PLAYBACK_CLIP
                  : choices >> 3 & 1              ? PLAYBACK_TS
                                                  : PLAYBACK_FMP4;
    s.some = version == TOKEN_VERSION_SOME;
    s.kinds = kinds;
    s.discontinuity = choices >> 4 & 3;
    s.display_time = choices >> 6 & 1;
    s.display_number = choices >> 7 & 1;
    *ret = s;
    return 0;
}

int playback_session_open(const struct playback_session_key *key, struct kn_str token,
                          struct playback_session *ret)
{
    if (!token.len || token.len > PLAYBACK_TOKEN_BYTES_MAX)
        return -EBADMSG;
    struct kn_buf sealed, plain;
    kn_buf_init(&sealed, PLAYBACK_TOKEN_BYTES_MAX);
    kn_buf_init(&plain, PLAYBACK_TOKEN_BYTES_MAX);
    int r = kn_base64_decode(token, true, &sealed);
    if (r == 0)
        r = kn_aead_open(key->bytes, kn_buf_bytes(&sealed), purpose(), &plain);
    if (r == 0)
        r = decode(kn_buf_bytes(&plain), ret);
    kn_buf_done(&sealed);
    kn_buf_done(&plain);
    return r == -ENOMEM ? r : r < 0 ? -EBADMSG : 0;
}
