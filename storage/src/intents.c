/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that stores intents; see intents.h. */
#include "intents.h"

#include "log.h"

enum {
    BATCH_MAX = 256
};

struct storage_intents_round {
    struct storage_log *logs[BATCH_MAX];
    struct storage_op *ops[BATCH_MAX];
    struct storage_meta_change changes[BATCH_MAX];
    char keys[BATCH_MAX][STORAGE_CHUNK_KEY_BYTES];
    uint8_t values[BATCH_MAX][STORAGE_INTENT_BYTES];
};

/* Real time also in tests that own the clock: it groups, it decides nothing. */
static int64_t now_ns(void)
{
    return kn_mono_ns(kn_clock_system());
}

static struct kn_bytes key_of(const struct storage_chunk *chunk, char dst[STORAGE_CHUNK_KEY_BYTES])
{
    return storage_chunk_key('o', &chunk->stream, chunk->index.head.name.seq, dst);
}

static void encode(const struct storage_chunk *chunk, bool fenced, uint64_t trusted_upto,
                   uint8_t dst[STORAGE_INTENT_BYTES])
{
    struct storage_intent intent = {.head = chunk->index.head,
                                    .segment = chunk->segment,
                                    .fenced = fenced,
                                    .trusted_upto = trusted_upto};
    storage_intent_encode(&intent, dst);
}

int storage_intent_fence(const struct storage_chunk *chunk, uint64_t trusted_upto)
{
    struct storage_meta *meta = chunk->storage->meta;
    char key[STORAGE_CHUNK_KEY_BYTES];
    uint8_t value[STORAGE_INTENT_BYTES];
    struct kn_bytes name = key_of(chunk, key);
    struct kn_buf old;
    uint64_t version = 0;
    kn_buf_init(&old, STORAGE_INTENT_BYTES);
    int r = storage_meta_get(meta, name, &old, &version);
    kn_buf_done(&old);
    if (r < 0)
        return r;
    encode(chunk, true, trusted_upto, value);
    return storage_meta_put(meta, name, (struct kn_bytes){value, sizeof(value)}, version, &version);
}

/* --- rounds ----------------------------------------------------------------------------------- */
static size_t take_locked(struct storage_intents *in, struct storage_intents_round *round)
{
    kn_lock_assert_held(&in->lock);
    size_t count = 0;
    while (in->first && count < BATCH_MAX) {
        round->logs[count++] = in->first;
        in->first = in->first->io_next;
    }
    if (!in->first)
        in->last = NULL;
    return count;
}

static void store(struct storage_intents *in, struct storage_intents_round *round, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct storage_log *log = round->logs[i];
        kn_lock_take(&log->lock);
        struct storage_op *op = round->ops[i] = log->op_first; /* nobody else runs the log now */
        kn_lock_give(&log->lock);
        encode(op->chunk, false, 0, round->values[i]);
        round->changes[i] = (struct storage_meta_change){
            .key = key_of(op->chunk, round->keys[i]),
            .value = {round->values[i], STORAGE_INTENT_BYTES},
        };
    }
    storage_meta_change_all(in->storage->meta, round->changes, count);
    for (size_t i = 0; i < count; i++) {
        round->ops[i]->result = round->changes[i].result;
        round->ops[i]->intended = true;
        storage_io_add(&in->storage->io, round->logs[i], true);
    }
}

static void *intents_main(void *arg)
{
    struct storage_intents *in = arg;
    kn_lock_take(&in->lock);
    while (in->first || !in->stopping) {
        int64_t wait_ns = in->due_ns - now_ns();
        if (!in->first) {
            kn_cond_wait(&in->wake, &in->lock);
        } else if (wait_ns > 0) {
            (void) kn_cond_wait_for(&in->wake, &in->lock, wait_ns); /* the loop looks again */
        } else {
            size_t count = take_locked(in, in->round);
            kn_lock_give(&in->lock);
            store(in, in->round, count);
            kn_lock_take(&in->lock);
        }
    }
    kn_lock_give(&in->lock);
    return NULL;
}

int storage_intents_start(struct storage_intents *in, struct storage *storage)
{
    *in = (struct storage_intents){.storage = storage, .newest_ns = INT64_MIN / 2};
    kn_lock_init(&in->lock);
    kn_cond_init(&in->wake);
    in->round = malloc(sizeof(*in->round));
    int r = in->round ? kn_thread_start(&in->thread, "storage-intend", intents_main, in) : -ENOMEM;
    in->started = r == 0;
    return r;
}

void storage_intents_stop(struct storage_intents *in)
{
    if (in->started) {
        kn_lock_take(&in->lock);
        in->stopping = true;
        kn_cond_signal(&in->wake);
        kn_lock_give(&in->lock);
        pthread_join(in->thread, NULL);
    }
    free(in->round);
    kn_cond_done(&in->wake);
    kn_lock_done(&in->lock);
}

void storage_intents_add(struct storage_intents *in, struct storage_log *log)
{
    KN_LOCKED(&in->lock);
    int64_t at_ns = now_ns(), linger_ns = (int64_t) in->storage->conf.linger_ms * 1000000;
    bool many = in->newest != log && at_ns - in->newest_ns < linger_ns;
    in->newest = log;
    in->newest_ns = at_ns;
    log->io_next = NULL;
    if (in->first) {
        in->last->io_next = log;
    } else {
        in->first = log;
        in->due_ns = many ? at_ns + linger_ns : at_ns;
        kn_cond_signal(&in->wake);
    }
    in->last = log;
}
