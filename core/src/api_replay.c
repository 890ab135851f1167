/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures that cover no body, seen on plain HTTP from afar: whoever overheard one could send
 * another body under it, so each may be used once and is remembered until it expires by itself.
 * Only verified signatures come here, so only key holders can fill it; when it is full, new ones
 * are refused rather than old ones forgotten. Any thread.
 */
#include "api_private.h"

#include <stdlib.h>

#include "core/crypto.h"
#include "core/thread.h"

enum {
    SLOTS = 1 << 14,
    PROBES = 64
};

struct slot {
    uint8_t signature[KN_SHA256_BYTES];
    int64_t until_ms; /* free when this has passed */
};

struct kn_api_replay {
    struct kn_lock lock;
    struct slot slots[SLOTS]; /* guarded by lock; open addressing within PROBES of the home */
};

int kn_api_replay_new(struct kn_api_replay **ret)
{
    struct kn_api_replay *replay = calloc(1, sizeof *replay);
    if (!replay)
        return -ENOMEM;
    kn_lock_init(&replay->lock);
    *ret = replay;
    return 0;
}

void kn_api_replay_free(struct kn_api_replay *replay)
{
    if (!replay)
        return;
    kn_lock_done(&replay->lock);
    free(replay);
}

int kn_api_replay_add(struct kn_api_replay *replay, struct kn_str signature, int64_t now_ms,
                      int64_t until_ms)
{
    uint8_t bytes[KN_SHA256_BYTES];
    struct slot *free_slot = NULL;
    if (kn_hex_decode(signature, bytes, sizeof bytes) < 0)
        return -EINVAL;
    size_t home = (size_t) (bytes[0] | bytes[1] << 8); /* a MAC is as random as a hash */
    KN_LOCKED(&replay->lock);
    for (size_t i = 0; i < PROBES; i++) {
        struct slot *slot = &replay->slots[(home + i) % SLOTS];
        if (slot->until_ms < now_ms) {
            free_slot = free_slot ? free_slot : slot;
            continue;
        }
        if (memcmp(slot->signature, bytes, sizeof bytes) == 0)
            return -EEXIST;
    }
    if (!free_slot)
        return -EDQUOT;
    memcpy(free_slot->signature, bytes, sizeof bytes);
    free_slot->until_ms = until_ms;
    return 0;
}
