/* SPDX-License-Identifier: Apache-2.0 */
/* Ten thousand open shards in one process. */
#include "shard_rig.h"

enum {
    MANY = 10000,
    SHARD_BYTES_MAX = 20 << 10, /* of memory, each */
};

static uint64_t anonymous_bytes(void)
{
    char line[128];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoull(line + 8, NULL, 10);
    }
    fclose(file);
    return kib * 1024;
}

static struct storage_id many_id(unsigned number)
{
    return (struct storage_id){
        {(uint8_t) number, (uint8_t) (number >> 8), 3}
    };
}

struct answers {
    struct kn_lock lock;
    struct kn_cond moved;
    unsigned done, failed; /* guarded by lock */
};

static void on_answer(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct answers *answers = ctx;
    (void) arrival_ms;
    KN_LOCKED(&answers->lock);
    answers->done++;
    answers->failed += result != 0 || first_index != 0;
    kn_cond_signal(&answers->moved);
}

static void open_many(struct shard_rig *f, struct storage_shard **shards)
{
    for (unsigned i = 0; i < MANY; i++) {
        struct storage_id id = many_id(i);
        assert_ok(storage_shard_open(f->storage, &id, INT64_MAX, &shards[i]));
    }
}

static void close_many(struct storage_shard **shards)
{
    for (unsigned i = 0; i < MANY; i++)
        storage_shard_unref(shards[i]);
}

TEST(ten_thousand_shards_are_open_and_take_records_in_little_memory)
{
    struct shard_rig f = shard_rig_setup(MIB(32));
    struct storage_shard **shards = calloc(MANY, sizeof(struct storage_shard *));
    struct answers answers = {.done = 0};
    assert_non_null(shards);
    kn_lock_init(&answers.lock);
    kn_cond_init(&answers.moved);
    uint64_t before = anonymous_bytes();
    open_many(&f, shards);
    uint64_t opened = anonymous_bytes();

    for (unsigned i = 0; i < MANY; i++) {
        struct storage_batch *batch;
        assert_ok(storage_batch_new(f.storage, &batch));
        shard_rig_add(&f, batch, i, NULL);
        storage_shard_append(shards[i], batch, on_answer, &answers);
    }
    kn_lock_take(&answers.lock);
    while (answers.done < MANY)
        kn_cond_wait(&answers.moved, &answers.lock);
    kn_lock_give(&answers.lock);
    assert_int_equal(answers.failed, 0);
    uint64_t written = anonymous_bytes();

    print_message("%u bytes a shard when opened, %u with a record in the journal\n",
                  (unsigned) ((opened - before) / MANY), (unsigned) ((written - before) / MANY));
    assert_true((written - before) / MANY <= SHARD_BYTES_MAX);
    close_many(shards);
    shard_rig_reopen(&f);
    assert_int_equal(f.report.records, MANY);
    open_many(&f, shards);
    for (unsigned i = 0; i < MANY; i += 97) {
        struct storage_shard_read read = {.from = 0, .count_max = 10, .bytes_max = KIB(8)};
        struct storage_page page;
        assert_ok(storage_shard_read(shards[i], &read, &page));
        assert_int_equal(page.count, 1);
        shard_rig_assert_record(&page.records[0], i);
        storage_page_free(&page);
    }
    close_many(shards);
    free(shards);
    kn_cond_done(&answers.moved);
    kn_lock_done(&answers.lock);
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(ten_thousand_shards_are_open_and_take_records_in_little_memory))
