/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys for a while that lie in their own session tokens. A token is "kt1." and, in the alphabet of
 * URLs, AES-256-GCM of
 *
 *   u8 1 · u64 expires ms · role · thing     (numbers big-endian, text behind a LEB128 length)
 *
 * under "ki/token" of the catalogue, with the access key's id authenticated beside it. The secret
 * is HMAC-SHA-256 of the token under the same key, so neither is kept anywhere: whoever shows the
 * token and signs with the secret was given both. The grants are those of the role as it is now.
 */
#include "credential_record.h"
#include "text.h"

#include "core/arena.h"

static const struct kn_str prefix = KN_STR_INIT("kt1.");
static const struct kn_str secret_purpose = KN_STR_INIT("kinema issued secret ");

enum {
    TOKEN_FORMAT = 1,
    TOKEN_BYTES_MAX = 2048,
    ISSUED_RECORD_BYTES_MAX = 64 << 10,
    SECRET_CHARS = 40, /* as AWS's */
};

static int load_key(struct storage_meta *meta, uint8_t ret[KN_AEAD_KEY_BYTES])
{
    KN_CLEANUP(kn_buf_done) struct kn_buf value;
    uint64_t version;
    kn_buf_init(&value, KN_AEAD_KEY_BYTES);
    int r = storage_meta_get(meta, kn_bytes_of(KN_STR("ki/token")), &value, &version);
    if (r < 0)
        return r;
    if (value.len != KN_AEAD_KEY_BYTES)
        return -EBADMSG;
    memcpy(ret, value.ptr, KN_AEAD_KEY_BYTES);
    explicit_bzero(value.ptr, value.len);
    return 0;
}

int storage_issuer_init(struct storage_issuer *issuer, struct storage_meta *meta)
{
    kn_lock_init(&issuer->lock);
    int r = load_key(meta, issuer->key);
    issuer->is_loaded = r == 0;
    return r == -ENOENT ? 0 : r;
}

void storage_issuer_done(struct storage_issuer *issuer)
{
    explicit_bzero(issuer->key, sizeof issuer->key);
    kn_lock_done(&issuer->lock);
}

static bool get_key(struct storage_issuer *issuer, uint8_t ret[KN_AEAD_KEY_BYTES])
{
    KN_LOCKED(&issuer->lock);
    memcpy(ret, issuer->key, KN_AEAD_KEY_BYTES);
    return issuer->is_loaded;
}

/* Made when the first key is issued. */
static int make_key(struct storage_issuer *issuer, struct storage_meta *meta)
{
    uint8_t key[KN_AEAD_KEY_BYTES];
    uint64_t version;
    if (get_key(issuer, key))
        return 0;
    kn_random(key, sizeof key);
    int r = storage_meta_put(meta, kn_bytes_of(KN_STR("ki/token")),
                             (struct kn_bytes){key, sizeof key}, 0, &version);
    if (r == -EEXIST) /* by somebody else meanwhile */
        r = load_key(meta, key);
    if (r < 0)
        return r;
    KN_LOCKED(&issuer->lock);
    memcpy(issuer->key, key, sizeof key);
    issuer->is_loaded = true;
    return 0;
}

static bool is_thing(struct kn_str name)
{
    bool good = name.len > 0 && name.len <= STORAGE_THING_BYTES_MAX;
    for (size_t i = 0; good && i < name.len; i++) {
        char c = name.ptr[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == ':' || c == '_' || c == '-';
    }
    return good;
}

/* Ids of access keys are no secret: only keys that say they are meant for devices may be had by
 * certificate. */
static bool is_role(const struct kn_key *key)
{
    static const struct kn_str variable = KN_STR_INIT(STORAGE_THING_VARIABLE);
    for (size_t i = 0; i < key->grant_count; i++) {
        struct kn_str stream = key->grants[i].stream;
        if (stream.len > 0 && memmem(stream.ptr, stream.len, variable.ptr, variable.len))
            return true;
    }
    return false;
}

/* --- the token -------------------------------------------------------------------------------- */
static int seal(struct storage_issuer *issuer, struct kn_str id,
                const struct storage_issued *issued, struct kn_buf *dst)
{
    uint8_t key[KN_AEAD_KEY_BYTES];
    struct kn_buf plain, sealed;
    kn_buf_init(&plain, TOKEN_BYTES_MAX);
    kn_buf_init(&sealed, TOKEN_BYTES_MAX);
    kn_buf_append_byte(&plain, TOKEN_FORMAT);
    kn_buf_append_u64be(&plain, (uint64_t) issued->expires_ms);
    storage_text_append(&plain, issued->role);
    storage_text_append(&plain, issued->thing);
    (void) get_key(issuer, key);
    int r = plain.error;
    if (r == 0)
        r = kn_aead_seal(key, kn_buf_bytes(&plain), kn_bytes_of(id), &sealed);
    if (r == 0)
        r = kn_buf_append_str(dst, prefix);
    if (r == 0)
        r = kn_base64_encode(kn_buf_bytes(&sealed), true, dst);
    explicit_bzero(key, sizeof key);
    kn_buf_done(&plain);
    kn_buf_done(&sealed);
    return r;
}

int storage_issuer_open(struct storage_issuer *issuer, struct kn_str id, struct kn_str token,
                        struct kn_buf *plain, struct storage_issued *ret)
{
    uint8_t key[KN_AEAD_KEY_BYTES], format;
    uint64_t expires;
    KN_CLEANUP(kn_buf_done) struct kn_buf sealed;
    kn_buf_init(&sealed, TOKEN_BYTES_MAX);
    if (token.len > TOKEN_BYTES_MAX || !kn_str_starts_with(token, prefix) || !get_key(issuer, key))
        return -ENOENT;
    int r = kn_base64_decode(kn_str_skip(token, prefix.len), true, &sealed);
    if (r == 0)
        r = kn_aead_open(key, kn_buf_bytes(&sealed), kn_bytes_of(id), plain);
    explicit_bzero(key, sizeof key);
    if (r < 0)
        return r == -ENOMEM ? r : -ENOENT;
    struct kn_reader in = kn_reader_of(kn_buf_bytes(plain));
    if (kn_read_u8(&in, &format) < 0 || format != TOKEN_FORMAT ||
        kn_read_u64be(&in, &expires) < 0 || storage_text_read(&in, SIZE_MAX, &ret->role) < 0 ||
        storage_text_read(&in, SIZE_MAX, &ret->thing) < 0 || kn_reader_left(&in) > 0)
        return -ENOENT;
    ret->expires_ms = (int64_t) expires;
    return 0;
}

/* --- the key ---------------------------------------------------------------------------------- */
static int derive_secret(struct storage_issuer *issuer, struct kn_str token, struct kn_buf *dst)
{
    uint8_t key[KN_AEAD_KEY_BYTES], digest[KN_SHA256_BYTES];
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, 2 * TOKEN_BYTES_MAX);
    kn_buf_append_str(&text, secret_purpose);
    kn_buf_append_str(&text, token);
    if (text.error)
        return text.error;
    (void) get_key(issuer, key);
    kn_hmac_sha256((struct kn_bytes){key, sizeof key}, kn_buf_bytes(&text), digest);
    int r = kn_base64_encode((struct kn_bytes){digest, sizeof digest}, false, dst);
    explicit_bzero(key, sizeof key);
    explicit_bzero(digest, sizeof digest);
    dst->len = kn_min_u64(dst->len, SECRET_CHARS);
    return r;
}

/* The pattern with the variable's value, which holds no sign of a pattern. */
static int fill_in(struct kn_arena *arena, struct kn_str pattern, struct kn_str thing,
                   struct kn_str *ret)
{
    static const struct kn_str variable = KN_STR_INIT(STORAGE_THING_VARIABLE);
    struct kn_buf text;
    kn_buf_init(&text, ISSUED_RECORD_BYTES_MAX);
    while (pattern.len) {
        if (kn_str_starts_with(pattern, variable)) {
            kn_buf_append_str(&text, thing);
            pattern = kn_str_skip(pattern, variable.len);
        } else {
            kn_buf_append_byte(&text, (uint8_t) *pattern.ptr);
            pattern = kn_str_skip(pattern, 1);
        }
    }
    *ret = kn_arena_str(arena, kn_buf_str(&text));
    int r = text.error ? text.error : text.len && !ret->ptr ? -ENOMEM : 0;
    kn_buf_done(&text);
    return r;
}

static int fill_grants(struct kn_arena *arena, const struct kn_key *role, struct kn_str thing,
                       struct kn_key_grant *dst)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < role->grant_count; i++) {
        dst[i].action = role->grants[i].action;
        r = fill_in(arena, role->grants[i].stream, thing, &dst[i].stream);
    }
    return r;
}

int storage_issuer_key(struct storage_issuer *issuer, struct kn_str id, struct kn_str token,
                       const struct storage_issued *issued, const struct kn_key *role,
                       struct kn_key **ret)
{
    struct kn_key_grant grants[KN_KEY_GRANTS_MAX];
    struct kn_arena arena;
    struct kn_buf record, secret;
    if (!is_role(role)) /* any more */
        return -ENOENT;
    kn_arena_init(&arena, ISSUED_RECORD_BYTES_MAX);
    kn_buf_init(&record, ISSUED_RECORD_BYTES_MAX);
    kn_buf_init(&secret, 64);
    int r = fill_grants(&arena, role, issued->thing, grants);
    if (r == 0)
        r = derive_secret(issuer, token, &secret);
    const struct storage_credential_record of = {.expires_ms = issued->expires_ms,
                                                 .secret = kn_buf_str(&secret),
                                                 .session_token = token,
                                                 .grants = grants,
                                                 .grant_count = role->grant_count};
    if (r == 0)
        storage_credential_encode(&of, &record);
    if (r == 0)
        r = record.error;
    if (r == 0)
        r = storage_credential_decode(id, role->id, kn_buf_bytes(&record), ret);
    kn_buf_done(&secret);
    kn_buf_done(&record);
    kn_arena_done(&arena);
    return r;
}

int storage_issuer_issue(struct storage_issuer *issuer, struct storage_meta *meta,
                         const struct storage_issue *what, const struct kn_key *role,
                         struct kn_key **ret)
{
    char id[STORAGE_KEY_ID_MADE + 1];
    struct storage_issued issued = {role->id, what->thing, what->now_ms + what->lasts_ms};
    KN_CLEANUP(kn_buf_done) struct kn_buf token;
    kn_buf_init(&token, TOKEN_BYTES_MAX);
    if (!is_role(role))
        return -ENOENT;
    if (!is_thing(what->thing))
        return -EINVAL;
    if (role->expires_ms && role->expires_ms <= what->now_ms)
        return -EACCES;
    if (role->expires_ms && role->expires_ms < issued.expires_ms)
        issued.expires_ms = role->expires_ms;
    storage_credential_id(true, id);
    int r = make_key(issuer, meta);
    if (r == 0)
        r = seal(issuer, kn_str_from(id), &issued, &token);
    if (r == 0)
        r = storage_issuer_key(issuer, kn_str_from(id), kn_buf_str(&token), &issued, role, ret);
    return r;
}
