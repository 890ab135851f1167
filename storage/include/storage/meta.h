/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue: small ordered metadata with compare-and-set on one key at a time (so that a
 * distributed engine can stand behind it: no transaction spans keys; steps that touch several go
 * intent first and are idempotent). LMDB behind; other processes may read and write beside the
 * server. Durable when a function returns. All block: never on an event loop. Any thread.
 *
 * Key families: "s/<id>" stream, "n/<name>" name → id, "k/<access key id>" key,
 * "c/<stream id><first seq>" chunk, "cs/<stream id>" sums of its chunks, "q/<id>" reserved numbers
 * and trim horizon, "h/<stream id><hold name>" legal hold, "v/<stream id>" camera, "vs/<name>" a
 * camera's secret, "ki/token" key of issued tokens.
 */
#ifndef STORAGE_META_H
#define STORAGE_META_H

#include "storage/storage.h"

struct storage_meta;

enum {
    STORAGE_META_KEY_BYTES_MAX = 400,
    STORAGE_META_VALUE_BYTES_MAX = 1 << 20,
    STORAGE_META_LAST_MAX = 256
};

int storage_meta_open(const char *dir, uint64_t bytes_max, struct storage_meta **ret,
                      struct kn_err *err) KN_MUSTUSE;
void storage_meta_close(struct storage_meta *meta);
struct storage_meta *storage_meta_of(struct storage *storage); /* borrowed */

/* -ENOENT. *ret_version: pass it back to put. */
int storage_meta_get(struct storage_meta *meta, struct kn_bytes key, struct kn_buf *value,
                     uint64_t *ret_version) KN_MUSTUSE;
/* expect 0: must not exist (-EEXIST); otherwise must still be that version (-ESTALE). */
int storage_meta_put(struct storage_meta *meta, struct kn_bytes key, struct kn_bytes value,
                     uint64_t expect, uint64_t *ret_version) KN_MUSTUSE;
int storage_meta_remove(struct storage_meta *meta, struct kn_bytes key, uint64_t expect)
    KN_MUSTUSE; /* expect 0: any; -ENOENT, -ESTALE */
/* Many changes at once: each is judged alone, as by put and remove, and all are paid for with one
 * flush. No more than that: after a crash some may have been made and others not. */
struct storage_meta_change {
    struct kn_bytes key, value; /* borrowed for the call */
    bool remove;
    uint64_t expect;
    int result;
    uint64_t version; /* of the value put; when the result is 0 */
};
void storage_meta_change_all(struct storage_meta *meta, struct storage_meta_change *changes,
                             size_t count);
typedef int storage_meta_fn(void *ctx, struct kn_bytes key, struct kn_bytes value,
                            uint64_t version);
/* In key order, keys that start with prefix and are greater than after. each < 0 stops. */
int storage_meta_list(struct storage_meta *meta, struct kn_bytes prefix, struct kn_bytes after,
                      size_t limit, storage_meta_fn *each, void *ctx) KN_MUSTUSE;
/* The last keys that start with prefix, the last first; at most STORAGE_META_LAST_MAX. */
int storage_meta_list_last(struct storage_meta *meta, struct kn_bytes prefix, size_t limit,
                           storage_meta_fn *each, void *ctx) KN_MUSTUSE;
/* Grows with every change by any process; cheap, from mapped memory. */
uint64_t storage_meta_generation(struct storage_meta *meta);
/* Could the last change of this process not be written? From memory. */
bool storage_meta_failing(const struct storage_meta *meta);

#endif
