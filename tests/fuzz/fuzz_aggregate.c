/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aggregated records of anything: behind the magic number and before the right digest lies what
 * came in. What can be taken apart and made again must come apart the same.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "core/err.h"
#include "kinema/aggregate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 64 << 10,
};

struct walk {
    struct kinema_aggregate *again;
    uint64_t count, digest;
    bool whole; /* all of it could be made again */
};

static uint64_t mix(uint64_t digest, const void *ptr, size_t len)
{
    const uint8_t *at = ptr;
    for (size_t i = 0; i < len; i++)
        digest = (digest ^ at[i]) * UINT64_C(1099511628211);
    return digest ^ len;
}

static int take(void *ctx, const struct kinema_user_record *record)
{
    struct walk *walk = ctx;
    char key[KINEMA_AGGREGATE_KEY_BYTES_MAX + 1], hash_key[64];
    kn_assert(record->index == walk->count);
    walk->count++;
    walk->digest = mix(walk->digest, record->data, record->len);
    walk->digest = mix(walk->digest, record->partition_key, record->partition_key_len);
    if (record->explicit_hash_key)
        walk->digest = mix(walk->digest, record->explicit_hash_key, record->explicit_hash_key_len);
    if (!walk->again || !walk->whole)
        return 0;
    walk->whole = record->partition_key_len < sizeof(key) &&
                  record->explicit_hash_key_len < sizeof(hash_key) &&
                  !memchr(record->partition_key, 0, record->partition_key_len);
    if (!walk->whole)
        return 0;
    memcpy(key, record->partition_key, record->partition_key_len);
    key[record->partition_key_len] = '\0';
    if (record->explicit_hash_key) {
        memcpy(hash_key, record->explicit_hash_key, record->explicit_hash_key_len);
        hash_key[record->explicit_hash_key_len] = '\0';
        walk->whole = strlen(hash_key) == record->explicit_hash_key_len &&
                      (hash_key[0] != '0' || !hash_key[1]);
    }
    if (walk->whole)
        walk->whole =
            kinema_aggregate_add(walk->again, key, record->explicit_hash_key ? hash_key : NULL,
                                 record->data, record->len) == 0;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t magic[4] = {0xf3, 0x89, 0x9a, 0xc2};
    if (size > INPUT_BYTES_MAX)
        return 0;
    uint8_t *record = malloc(sizeof(magic) + size + 16);
    unsigned out;
    struct walk walk = {.whole = true}, second = {.again = NULL};
    struct kinema_aggregate_record made;
    kn_assert(record && kinema_aggregate_new(KINEMA_AGGREGATE_BYTES_MAX, &walk.again) == 0);
    memcpy(record, magic, sizeof(magic));
    if (size > 0)
        memcpy(record + sizeof(magic), data, size);
    kn_assert(EVP_Digest(record + sizeof(magic), size, record + sizeof(magic) + size, &out,
                         EVP_md5(), NULL) == 1);
    size_t len = sizeof(magic) + size + 16;
    int whole = kinema_is_aggregated(record, len);
    kn_assert(kinema_deaggregate(record, len, "outer", take, &walk) == 0 && walk.count > 0);
    kn_assert(whole || walk.count == 1);
    if (whole && walk.whole) {
        kn_assert(kinema_aggregate_finish(walk.again, &made) == 0);
        kn_assert(kinema_deaggregate(made.data, made.len, NULL, take, &second) == 0);
        kn_assert(second.count == walk.count && second.digest == walk.digest);
    }
    kinema_aggregate_free(walk.again);
    free(record);
    return 0;
}
