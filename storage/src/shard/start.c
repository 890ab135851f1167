/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping the logs of shards: journals are read, then the threads begin. */
#include "segment.h"

#define AT(member) offsetof(struct storage_shard_conf, member)

const struct kn_conf_key storage_shard_conf_keys[] = {
    {"shard_journal_bytes",     KN_CONF_U64, AT(journal_bytes),          KIB(64),  GIB(1),               MIB(32),     NULL, NULL,
     "bytes",                                                                                                                              "Size of a journal file; a put to one shard must fit into it."                       },
    {"shard_journal_count",     KN_CONF_U64, AT(journal_count),          2,        STORAGE_JOURNALS_MAX, 6,           NULL, NULL,
     "count",                                                                                                                              "Journal files, made when they are first needed."                                    },
    {"shard_memory_bytes_max",  KN_CONF_U64, AT(shard_memory_bytes_max), KIB(256), GIB(64),              MIB(256),
     NULL,                                                                                                                  NULL, "bytes",
     "Memory of records that are on their way or not yet written out of the journals; beyond, "
     "puts are throttled. Shards that cannot be written may have an eighth of it."                                                                                                                                              },
    {"shard_segment_bytes_max", KN_CONF_U64, AT(segment_bytes_max),      KIB(4),   GIB(1),               MIB(64),     NULL,
     NULL,                                                                                                                        "bytes", "A shard's segment file is sealed before it grows past this."                        },
    {"shard_segment_ms_max",    KN_CONF_U64, AT(segment_ms_max),         1000,     24 * 3600 * 1000,     3600 * 1000,
     NULL,                                                                                                                  NULL, "ms",    "A shard's segment file is sealed once its first record is this old."                },
    {"shard_pack_bytes_max",    KN_CONF_U64, AT(pack_bytes_max),         1,        MIB(1),               KIB(64),     NULL, NULL,
     "bytes",                                                                                                                              "Shards of which a checkpoint has no more than this go to one file together, a pack."},
    {"shard_pack_shards_min",   KN_CONF_U64, AT(pack_shards_min),        1,        1000000,              64,          NULL, NULL, "count",
     "Only if a checkpoint has so many of them; else each has its segment file."                                                                                                                                                },
    {"shard_direct_bytes_min",  KN_CONF_U64, AT(direct_bytes_min),       1,        GIB(1),               KIB(256),    NULL, NULL,
     "bytes",                                                                                                                              "What a checkpoint has for one segment goes past the page cache from "
     "so much on, where the file system can."                                                                                                                                                                      },
    {"shard_open_segments_max", KN_CONF_U64, AT(open_segments_max),      1,        65536,                256,         NULL, NULL,
     "count",                                                                                                                              "Segment files kept open for reading."                                               },
};
const size_t storage_shard_conf_key_count = KN_ARRAY_LEN(storage_shard_conf_keys);

/* --- what the journals hold ------------------------------------------------------------------- */
static int adopt_locked(struct storage_shard *shard, struct storage_batch *batch)
{
    int r = storage_shard_learn_locked(shard, batch, false);
    if (r < 0)
        return r;
    bool is_close = batch->kind == STORAGE_BATCH_CLOSE;
    bool written = batch->first_index < shard->flushed; /* by a checkpoint that did not end */
    if (is_close ? shard->closed : written && batch->first_index < shard->told) {
        storage_batch_free(batch);
        return 0;
    }
    r = storage_shard_tail_reserve_locked(shard, 1);
    if (r < 0)
        return r;
    shard->next = kn_max_u64(shard->next, batch->first_index + batch->count);
    shard->assigned = shard->next;
    shard->closed = shard->closing = is_close;
    if (batch->count > 0 && !written) {
        shard->newest_ms = batch->arrival_ms;
        shard->assigned_ms = kn_max_i64(shard->assigned_ms, batch->arrival_ms);
        shard->records += batch->count;
        shard->bytes += batch->data_bytes;
    }
    storage_shard_tail_push_locked(shard, batch); /* if written: for the shard's own row */
    return 0;
}

static int adopt(struct storage_shards *shards, const struct storage_shard_frame *frame,
                 struct kn_bytes payload, uint64_t generation)
{
    struct storage_batch *batch = NULL;
    struct storage_shard *shard = NULL;
    int r = storage_shard_load(shards, &frame->shard, &shard);
    if (r < 0) /* dropped; -EBADMSG would be the catalogue's, not the journal's */
        return r == -ENOENT ? 0 : r == -EBADMSG ? -EIO : r;
    r = storage_batch_adopt(shards, frame, payload, &batch);
    if (r == 0) {
        batch->generation = generation;
        KN_LOCKED(&shard->lock);
        r = adopt_locked(shard, batch);
        if (r < 0)
            storage_batch_free(batch);
    }
    storage_shard_unref(shard);
    return r;
}

/* --- start and stop --------------------------------------------------------------------------- */
static int start_threads(struct storage_shards *shards)
{
    int r = storage_flush_team_start(&shards->team, (unsigned) shards->storage->conf.flush_threads);
    if (r < 0)
        return r;
    shards->has_team = true;
    r = kn_thread_start(&shards->check_thread, "shard-check", storage_checkpoint_main, shards);
    shards->checking = r == 0;
    if (r == 0)
        r = kn_thread_start(&shards->commit_thread, "shard-commit", storage_commit_main, shards);
    shards->committing = r == 0;
    return r;
}

static struct storage_shards *shards_new(struct storage *storage,
                                         const struct storage_shard_conf *conf)
{
    struct storage_shards *shards = calloc(1, sizeof(*shards));
    if (!shards)
        return NULL;
    shards->storage = storage;
    shards->conf = *conf;
    kn_lock_init(&shards->lock);
    kn_lock_init(&shards->round);
    kn_lock_init(&shards->segments_lock);
    kn_lock_init(&shards->sick.lock);
    storage_rooms_init(&shards->rooms);
    kn_cond_init(&shards->wake);
    kn_cond_init(&shards->check);
    kn_cond_init(&shards->retry);
    kn_cond_init(&shards->idle);
    return shards;
}

int storage_shards_start(struct storage *storage, const struct storage_shard_conf *conf,
                         struct storage_shards_report *ret_report, struct kn_err *err)
{
    kn_assert(!storage->shards);
    struct storage_shards *shards = shards_new(storage, conf);
    if (!shards)
        return kn_fail(err, -ENOMEM, "out of memory");
    uint64_t checkpointed = 0;
    *ret_report = (struct storage_shards_report){0};
    shards->round_memory = storage_commit_memory();
    int r = shards->round_memory ? storage_checkpoint_generation(shards, &checkpointed) : -ENOMEM;
    if (r == 0)
        r = storage_held_open(shards, shards->held_slot, adopt, ret_report);
    if (r == 0)
        r = storage_journals_open(shards, checkpointed, adopt, ret_report);
    if (r == 0 && ret_report->bad_frames > 0)
        r = storage_shards_leap(shards,
                                ret_report->bad_frames +
                                    ret_report->bad_bytes / STORAGE_SHARD_RECORD_HEAD_BYTES);
    if (r == 0)
        r = start_threads(shards);
    if (r < 0) {
        storage_shards_stop(shards);
        return kn_fail(err, r, "journals of %s: %s", storage->dir, kn_errname(r));
    }
    storage->shards = shards;
    return 0;
}

static void stop_threads(struct storage_shards *shards)
{
    kn_lock_take(&shards->lock);
    shards->stopping = true;
    kn_cond_broadcast(&shards->wake);
    kn_lock_give(&shards->lock);
    if (shards->committing) /* it answers what waits; that may need a checkpoint */
        pthread_join(shards->commit_thread, NULL);
    kn_lock_take(&shards->lock);
    shards->check_stopping = true;
    kn_cond_broadcast(&shards->check);
    kn_cond_broadcast(&shards->retry);
    kn_lock_give(&shards->lock);
    if (shards->checking)
        pthread_join(shards->check_thread, NULL);
    if (shards->has_team)
        storage_flush_team_stop(&shards->team);
}

/* What the journals hold is read again at the next start. */
static void free_tails(struct storage_shards *shards)
{
    for (size_t i = 0; i < STORAGE_SHARD_BUCKETS; i++) {
        struct storage_shard *next;
        for (struct storage_shard *s = shards->buckets[i]; s; s = next) {
            next = s->bucket_next;
            bool any = s->tail_count > 0;
            for (; s->tail_count > 0; s->tail_count--)
                storage_batch_free(s->tail[s->tail_at++]);
            if (any)
                storage_shard_unref(s);
        }
        kn_assert(!shards->buckets[i]); /* somebody holds a shard still */
    }
}

void storage_shards_stop(struct storage_shards *shards)
{
    if (!shards)
        return;
    stop_threads(shards);
    storage_segments_forget(shards, NULL);
    free_tails(shards);
    storage_journals_close(shards);
    storage_direct_done(&shards->direct);
    free(shards->packs);
    storage_rooms_done(shards);
    kn_assert(shards->memory_bytes == 0); /* a batch or a page has not been freed */
    free(shards->round_memory);
    kn_cond_done(&shards->idle);
    kn_cond_done(&shards->retry);
    kn_cond_done(&shards->check);
    kn_cond_done(&shards->wake);
    kn_lock_done(&shards->sick.lock);
    kn_lock_done(&shards->segments_lock);
    kn_lock_done(&shards->round);
    kn_lock_done(&shards->lock);
    free(shards);
}
