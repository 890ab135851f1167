/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access keys: records in the catalogue, and the cache a server answers from.
 *
 * Record "k/<id>", version 1, numbers big-endian, text behind a LEB128 length:
 *
 *   u8 1 · u64 created ms · u64 expires ms · secret · session token · count of grants, {action,
 * stream}…
 *
 * The cache trusts an entry while the catalogue's generation stands still. After any change, by
 * any process, the entry's record is looked at once more, on a thread that may block; so a revoked
 * key is refused from the next request on, and nothing is polled.
 */
#include "credential_record.h"
#include "text.h"

#include <stdatomic.h>

#include "core/crypto.h"
#include "core/thread.h"

enum {
    RECORD_FORMAT = 1,
    RECORD_BYTES_MAX = 64 << 10,
    GRANT_TEXT_BYTES_MAX = 256,
    ID_RANDOM_CHARS = STORAGE_KEY_ID_MADE - 4, /* after AKIA or ASIA, as AWS's */
    SECRET_RANDOM_BYTES = 30,                  /* 40 characters of base64 */
    TOKEN_RANDOM_BYTES = 96,
};

struct key_block { /* the key and a copy of id and record, which its views point into */
    struct kn_key key;
    int64_t created_ms;
    uint8_t bytes[];
};

struct kn_key_id {
    char bytes[2 + KN_KEY_ID_BYTES_MAX];
};

static struct kn_bytes record_key(struct kn_str id, struct kn_key_id *dst)
{
    kn_assert(id.len <= KN_KEY_ID_BYTES_MAX);
    memcpy(dst->bytes, "k/", 2);
    if (id.len)
        memcpy(dst->bytes + 2, id.ptr, id.len);
    return (struct kn_bytes){(const uint8_t *) dst->bytes, 2 + id.len};
}

/* --- the record ------------------------------------------------------------------------------- */
static int read_record(struct kn_reader *in, struct key_block *block)
{
    uint8_t format;
    uint64_t created, expires, grants;
    struct kn_key *key = &block->key;
    if (kn_read_u8(in, &format) < 0 || format != RECORD_FORMAT || kn_read_u64be(in, &created) < 0 ||
        kn_read_u64be(in, &expires) < 0 || storage_text_read(in, SIZE_MAX, &key->secret) < 0 ||
        storage_text_read(in, SIZE_MAX, &key->session_token) < 0 ||
        kn_read_varint(in, &grants) < 0 || grants > KN_KEY_GRANTS_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < grants; i++) {
        if (storage_text_read(in, SIZE_MAX, &key->grants[i].action) < 0 ||
            storage_text_read(in, SIZE_MAX, &key->grants[i].stream) < 0)
            return -EBADMSG;
    }
    if (kn_reader_left(in) > 0)
        return -EBADMSG;
    key->grant_count = grants;
    key->expires_ms = (int64_t) expires;
    block->created_ms = (int64_t) created;
    return 0;
}

static int decode(struct kn_str id, struct kn_str issuer, struct kn_bytes record,
                  struct key_block **ret)
{
    size_t names = id.len + issuer.len;
    struct key_block *block = calloc(1, sizeof *block + names + record.len);
    if (!block)
        return -ENOMEM;
    memcpy(block->bytes, id.ptr, id.len);
    if (issuer.len)
        memcpy(block->bytes + id.len, issuer.ptr, issuer.len);
    memcpy(block->bytes + names, record.ptr, record.len);
    block->key.id = (struct kn_str){(const char *) block->bytes, id.len};
    block->key.issuer = (struct kn_str){(const char *) block->bytes + id.len, issuer.len};
    struct kn_reader in = kn_reader_of((struct kn_bytes){block->bytes + names, record.len});
    int r = read_record(&in, block);
    if (r < 0) {
        free(block);
        return r;
    }
    atomic_init(&block->key.refs, 1);
    *ret = block;
    return 0;
}

int storage_credential_decode(struct kn_str id, struct kn_str issuer, struct kn_bytes record,
                              struct kn_key **ret)
{
    struct key_block *block;
    int r = decode(id, issuer, record, &block);
    if (r == 0)
        *ret = &block->key;
    return r;
}

void storage_credential_free(struct kn_key *key)
{
    if (!key)
        return;
    unsigned before = atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel);
    kn_assert(before > 0);
    if (before == 1)
        free(KN_CONTAINER_OF(key, struct key_block, key));
}

/* --- making, removing, listing ---------------------------------------------------------------- */
static bool is_id_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static int check_id(struct kn_str id, struct kn_err *err)
{
    bool good = id.len > 0 && id.len <= KN_KEY_ID_BYTES_MAX;
    for (size_t i = 0; good && i < id.len; i++)
        good = is_id_char(id.ptr[i]); /* it stands between slashes in the credential scope */
    if (!good)
        return kn_fail(err, -EINVAL, "an access key id has 1 to %d letters, digits and underscores",
                       KN_KEY_ID_BYTES_MAX);
    return 0;
}

static int check_secret(struct kn_str secret, struct kn_err *err)
{
    bool good = secret.len > 0 && secret.len <= KN_KEY_SECRET_BYTES_MAX;
    for (size_t i = 0; good && i < secret.len; i++)
        good = secret.ptr[i] > ' ' && secret.ptr[i] < 0x7f;
    if (!good)
        return kn_fail(err, -EINVAL, "a secret has 1 to %d visible ASCII characters",
                       KN_KEY_SECRET_BYTES_MAX);
    return 0;
}

static int check_grants(const struct storage_credential_new *what, struct kn_err *err)
{
    if (what->grant_count > KN_KEY_GRANTS_MAX)
        return kn_fail(err, -EMSGSIZE, "a key has at most %d grants", KN_KEY_GRANTS_MAX);
    for (size_t i = 0; i < what->grant_count; i++) {
        const struct kn_key_grant *grant = &what->grants[i];
        if (grant->action.len == 0 || grant->action.len > GRANT_TEXT_BYTES_MAX ||
            grant->stream.len == 0 || grant->stream.len > GRANT_TEXT_BYTES_MAX)
            return kn_fail(err, -EINVAL, "actions and stream patterns have 1 to %d characters",
                           GRANT_TEXT_BYTES_MAX);
    }
    return 0;
}

static int append_random_base64(struct kn_buf *dst, size_t bytes)
{
    uint8_t random[TOKEN_RANDOM_BYTES];
    kn_assert(bytes <= sizeof random);
    kn_random(random, bytes);
    return kn_base64_encode((struct kn_bytes){random, bytes}, false, dst);
}

void storage_credential_id(bool session, char dst[STORAGE_KEY_ID_MADE + 1])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* 32: no bias */
    uint8_t random[ID_RANDOM_CHARS];
    kn_random(random, sizeof random);
    memcpy(dst, session ? "ASIA" : "AKIA", 4);
    for (size_t i = 0; i < sizeof random; i++)
        dst[4 + i] = alphabet[random[i] % 32];
    dst[4 + sizeof random] = 0;
}

void storage_credential_encode(const struct storage_credential_record *record, struct kn_buf *dst)
{
    kn_buf_append_byte(dst, RECORD_FORMAT);
    kn_buf_append_u64be(dst, (uint64_t) record->created_ms);
    kn_buf_append_u64be(dst, (uint64_t) record->expires_ms);
    storage_text_append(dst, record->secret);
    storage_text_append(dst, record->session_token);
    kn_buf_append_varint(dst, record->grant_count);
    for (size_t i = 0; i < record->grant_count; i++) {
        storage_text_append(dst, record->grants[i].action);
        storage_text_append(dst, record->grants[i].stream);
    }
}

static int encode(const struct storage_credential_new *what, struct kn_buf *dst)
{
    static const struct kn_key_grant everything = {KN_STR_INIT("*"), KN_STR_INIT("*")};
    struct kn_buf secret, token;
    kn_buf_init(&secret, 1024);
    kn_buf_init(&token, 1024);
    int r = 0;
    if (what->secret.len == 0)
        r = append_random_base64(&secret, SECRET_RANDOM_BYTES);
    if (r == 0 && what->session)
        r = append_random_base64(&token, TOKEN_RANDOM_BYTES);
    const struct storage_credential_record record = {
        .created_ms = what->created_ms,
        .expires_ms = what->expires_ms,
        .secret = what->secret.len ? what->secret : kn_buf_str(&secret),
        .session_token = kn_buf_str(&token),
        .grants = what->grant_count ? what->grants : &everything,
        .grant_count = what->grant_count ? what->grant_count : 1};
    if (r == 0)
        storage_credential_encode(&record, dst);
    kn_buf_done(&secret);
    kn_buf_done(&token);
    return r < 0 ? r : dst->error;
}

int storage_credential_create(struct storage_meta *meta, const struct storage_credential_new *what,
                              struct kn_key **ret, struct kn_err *err)
{
    char made_id[STORAGE_KEY_ID_MADE + 1];
    struct kn_str id = what->id;
    if (id.len == 0) {
        storage_credential_id(what->session, made_id);
        id = kn_str_from(made_id);
    }
    int r = check_id(id, err);
    if (r == 0 && what->secret.len)
        r = check_secret(what->secret, err);
    if (r == 0)
        r = check_grants(what, err);
    if (r < 0)
        return r;

    struct kn_buf record;
    kn_buf_init(&record, RECORD_BYTES_MAX);
    struct key_block *block = NULL;
    struct kn_key_id key;
    r = encode(what, &record);
    if (r == 0)
        r = decode(id, KN_STR(""), kn_buf_bytes(&record), &block);
    if (r == 0)
        r = storage_meta_put(meta, record_key(id, &key), kn_buf_bytes(&record), 0, NULL);
    kn_buf_done(&record);
    if (r < 0) {
        storage_credential_free(block ? &block->key : NULL);
        if (r == -EEXIST)
            return kn_fail(err, r, "there is a key " KN_STR_FMT " already", KN_STR_ARG(id));
        return kn_fail(err, r, "key " KN_STR_FMT ": %s", KN_STR_ARG(id), kn_errname(r));
    }
    *ret = &block->key;
    return 0;
}

int storage_credential_revoke(struct storage_meta *meta, struct kn_str id)
{
    struct kn_key_id key;
    if (id.len == 0 || id.len > KN_KEY_ID_BYTES_MAX)
        return -ENOENT;
    return storage_meta_remove(meta, record_key(id, &key), 0);
}

struct listing {
    storage_credential_fn *each;
    void *ctx;
};

static int list_one(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct listing *listing = ctx;
    struct key_block *block;
    struct kn_str id = {(const char *) key.ptr + 2, key.len - 2};
    int r = decode(id, KN_STR(""), value, &block);
    if (r < 0)
        return r;
    r = listing->each(listing->ctx, &block->key, block->created_ms);
    storage_credential_free(&block->key);
    return r;
}

int storage_credential_list(struct storage_meta *meta, storage_credential_fn *each, void *ctx)
{
    struct listing listing = {each, ctx};
    struct kn_bytes none = {NULL, 0};
    return storage_meta_list(meta, kn_bytes_of(KN_STR("k/")), none, SIZE_MAX, list_one, &listing);
}

/* --- the cache -------------------------------------------------------------------------------- */
struct entry {
    struct kn_key *key;
    uint64_t version;    /* of the record it was made from */
    uint64_t generation; /* of the catalogue when it was last looked at */
};

struct storage_keyring {
    struct kn_keyring base;
    struct storage_meta *meta;
    struct kn_lock lock;
    struct entry *entries; /* guarded by lock; sorted by id; only keys that exist */
    size_t count, cap;
    struct storage_issuer issuer;
};

static size_t at_id_locked(struct storage_keyring *ring, struct kn_str id, bool *ret_found)
{
    size_t at = KN_BISECT(i, 0, ring->count, kn_str_cmp(ring->entries[i].key->id, id) < 0);
    *ret_found = at < ring->count && kn_str_eq(ring->entries[at].key->id, id);
    return at;
}

static struct kn_key *ref(struct kn_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

static int find(struct kn_keyring *base, struct kn_str id, struct kn_key **ret)
{
    struct storage_keyring *ring = KN_CONTAINER_OF(base, struct storage_keyring, base);
    uint64_t generation = storage_meta_generation(ring->meta);
    KN_LOCKED(&ring->lock);
    bool found;
    size_t at = at_id_locked(ring, id, &found);
    if (!found || ring->entries[at].generation != generation)
        return -EAGAIN;
    *ret = ref(ring->entries[at].key);
    return 0;
}

static void forget(struct storage_keyring *ring, struct kn_str id)
{
    KN_LOCKED(&ring->lock);
    bool found;
    size_t at = at_id_locked(ring, id, &found);
    if (!found)
        return;
    storage_credential_free(ring->entries[at].key);
    ring->count--;
    memmove(ring->entries + at, ring->entries + at + 1, (ring->count - at) * sizeof *ring->entries);
}

static int insert_locked(struct storage_keyring *ring, size_t at, struct entry entry)
{
    if (ring->count == ring->cap) {
        size_t cap = ring->cap ? ring->cap * 2 : 16;
        struct entry *entries = realloc(ring->entries, cap * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        ring->entries = entries;
        ring->cap = cap;
    }
    memmove(ring->entries + at + 1, ring->entries + at, (ring->count - at) * sizeof *ring->entries);
    ring->entries[at] = entry;
    ring->count++;
    return 0;
}

/* The cached key, if its record still has this version. */
static struct kn_key *confirm(struct storage_keyring *ring, struct kn_str id, uint64_t version,
                              uint64_t generation)
{
    KN_LOCKED(&ring->lock);
    bool found;
    size_t at = at_id_locked(ring, id, &found);
    if (!found || ring->entries[at].version != version)
        return NULL;
    struct entry *entry = &ring->entries[at];
    entry->generation = kn_max_u64(entry->generation, generation);
    return ref(entry->key);
}

static int remember(struct storage_keyring *ring, struct entry entry)
{
    KN_LOCKED(&ring->lock);
    bool found;
    size_t at = at_id_locked(ring, entry.key->id, &found);
    if (!found)
        return insert_locked(ring, at, entry);
    if (ring->entries[at].version <= entry.version) {
        storage_credential_free(ring->entries[at].key);
        ring->entries[at] = entry;
    } else {
        storage_credential_free(entry.key);
    }
    return 0;
}

static int find_blocking(struct kn_keyring *base, struct kn_str id, struct kn_key **ret)
{
    struct storage_keyring *ring = KN_CONTAINER_OF(base, struct storage_keyring, base);
    if (id.len == 0 || id.len > KN_KEY_ID_BYTES_MAX)
        return -ENOENT;
    uint64_t generation = storage_meta_generation(ring->meta); /* before the record is read */
    uint64_t version = 0;
    struct kn_key_id key;
    struct kn_buf record;
    kn_buf_init(&record, RECORD_BYTES_MAX);
    int r = storage_meta_get(ring->meta, record_key(id, &key), &record, &version);
    if (r == -ENOENT)
        forget(ring, id);
    struct key_block *block = NULL;
    struct kn_key *known = r == 0 ? confirm(ring, id, version, generation) : NULL;
    if (r == 0 && !known)
        r = decode(id, KN_STR(""), kn_buf_bytes(&record), &block);
    kn_buf_done(&record);
    if (block) {
        known = ref(&block->key);
        r = remember(ring, (struct entry){&block->key, version, generation});
        if (r < 0) { /* it serves this request, uncached */
            storage_credential_free(&block->key);
            r = 0;
        }
    }
    if (r == 0)
        *ret = known;
    return r;
}

/* A token of another kind belongs to a key of the catalogue, or to nobody's. */
static int find_issued(struct kn_keyring *base, struct kn_str id, struct kn_str token,
                       bool may_block, struct kn_key **ret)
{
    struct storage_keyring *ring = KN_CONTAINER_OF(base, struct storage_keyring, base);
    KN_CLEANUP(kn_buf_done) struct kn_buf plain;
    struct storage_issued issued;
    kn_buf_init(&plain, RECORD_BYTES_MAX);
    int r = storage_issuer_open(&ring->issuer, id, token, &plain, &issued);
    if (r < 0 && r != -ENOENT)
        return r;
    struct kn_str wanted = r == 0 ? issued.role : id;
    struct kn_key *key;
    int found = may_block ? find_blocking(base, wanted, &key) : find(base, wanted, &key);
    if (found < 0)
        return found;
    if (r < 0) {
        *ret = key;
        return 0;
    }
    r = storage_issuer_key(&ring->issuer, id, token, &issued, key, ret);
    storage_credential_free(key);
    return r;
}

int storage_keyring_issue(struct storage_keyring *ring, const struct storage_issue *what,
                          struct kn_key **ret)
{
    struct kn_key *role;
    int r = find_blocking(&ring->base, what->role, &role);
    if (r < 0)
        return r;
    r = storage_issuer_issue(&ring->issuer, ring->meta, what, role, ret);
    storage_credential_free(role);
    return r;
}

static void unref(struct kn_keyring *base, struct kn_key *key)
{
    (void) base;
    storage_credential_free(key);
}

int storage_keyring_new(struct storage_meta *meta, struct storage_keyring **ret)
{
    struct storage_keyring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    ring->base = (struct kn_keyring){find, find_blocking, unref, find_issued};
    ring->meta = meta;
    kn_lock_init(&ring->lock);
    int r = storage_issuer_init(&ring->issuer, meta);
    if (r < 0) {
        storage_keyring_free(ring);
        return r;
    }
    *ret = ring;
    return 0;
}

void storage_keyring_free(struct storage_keyring *ring)
{
    if (!ring)
        return;
    for (size_t i = 0; i < ring->count; i++)
        storage_credential_free(ring->entries[i].key);
    free(ring->entries);
    kn_lock_done(&ring->lock);
    storage_issuer_done(&ring->issuer);
    free(ring);
}

struct kn_keyring *storage_keyring_base(struct storage_keyring *ring)
{
    return &ring->base;
}
