/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregated records: made and taken apart, their limits, and what is no whole one. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "kinema/aggregate.h"

enum {
    USERS_MAX = 2000
};

struct user {
    char key[64], hash_key[48], data[64];
};

struct seen {
    size_t count;
    struct user users[USERS_MAX];
    size_t lens[USERS_MAX];
    bool has_hash_key[USERS_MAX];
    int answer; /* what each answers with, from the second on */
};

static int note(void *ctx, const struct kinema_user_record *record)
{
    struct seen *seen = ctx;
    struct user *user = &seen->users[seen->count];
    assert_true(seen->count < USERS_MAX);
    assert_int_equal(record->index, seen->count);
    *user = (struct user){.key = ""};
    snprintf(user->key, sizeof(user->key), "%.*s", (int) record->partition_key_len,
             record->partition_key ? record->partition_key : "");
    snprintf(user->hash_key, sizeof(user->hash_key), "%.*s", (int) record->explicit_hash_key_len,
             record->explicit_hash_key ? record->explicit_hash_key : "");
    memcpy(user->data, record->data, record->len < 63 ? record->len : 63);
    seen->has_hash_key[seen->count] = record->explicit_hash_key != NULL;
    seen->lens[seen->count] = record->len;
    return ++seen->count > 1 ? seen->answer : 0;
}

static struct kinema_aggregate *builder(size_t bytes_max)
{
    struct kinema_aggregate *a = NULL;
    assert_int_equal(kinema_aggregate_new(bytes_max, &a), 0);
    return a;
}

static int add(struct kinema_aggregate *a, const char *key, const char *hash_key, const char *data)
{
    return kinema_aggregate_add(a, key, hash_key, data, strlen(data));
}

static struct kinema_aggregate_record finish(struct kinema_aggregate *a)
{
    struct kinema_aggregate_record record;
    assert_int_equal(kinema_aggregate_finish(a, &record), 0);
    assert_int_equal(record.len + strlen(record.partition_key), kinema_aggregate_bytes(a));
    return record;
}

TEST(what_was_added_comes_out_in_order)
{
    struct kinema_aggregate *a = builder(0);
    static struct seen seen;
    seen = (struct seen){0};
    for (int i = 0; i < 1000; i++) { /* 100 keys, of which each third record has a hash key */
        char key[32], hash_key[32], data[32];
        snprintf(key, sizeof(key), "key-%d", i % 100);
        snprintf(hash_key, sizeof(hash_key), "%d", i % 7 * 1000);
        snprintf(data, sizeof(data), "data %d", i);
        assert_int_equal(add(a, key, i % 3 ? NULL : hash_key, i % 10 ? data : ""), 0);
    }
    struct kinema_aggregate_record record = finish(a);
    assert_int_equal(kinema_aggregate_count(a), 1000);
    assert_string_equal(record.partition_key, "key-0");
    assert_string_equal(record.explicit_hash_key, "0");
    assert_true(record.len < 1000 * 20); /* a key is there once */

    assert_int_equal(kinema_deaggregate(record.data, record.len, "outer", note, &seen), 0);

    assert_int_equal(seen.count, 1000);
    for (int i = 0; i < 1000; i++) {
        char key[32], hash_key[32], data[32];
        snprintf(key, sizeof(key), "key-%d", i % 100);
        snprintf(hash_key, sizeof(hash_key), "%d", i % 7 * 1000);
        snprintf(data, sizeof(data), "data %d", i);
        assert_string_equal(seen.users[i].key, key);
        assert_int_equal(seen.has_hash_key[i], i % 3 == 0);
        assert_string_equal(seen.users[i].hash_key, i % 3 ? "" : hash_key);
        assert_string_equal(seen.users[i].data, i % 10 ? data : "");
    }
    kinema_aggregate_free(a);
}

TEST(a_builder_is_used_again)
{
    struct kinema_aggregate *a = builder(0);
    struct kinema_aggregate_record record;
    static struct seen seen;
    assert_int_equal(kinema_aggregate_finish(a, &record), -ENODATA);
    assert_int_equal(add(a, "first", "5", "1"), 0);
    (void) finish(a);
    assert_int_equal(add(a, "second", NULL, "2"), 0); /* finishing ends nothing */
    record = finish(a);
    seen = (struct seen){0};
    assert_int_equal(kinema_deaggregate(record.data, record.len, NULL, note, &seen), 0);
    assert_int_equal(seen.count, 2);
    kinema_aggregate_clear(a);
    assert_int_equal(kinema_aggregate_bytes(a), 0);
    assert_int_equal(kinema_aggregate_finish(a, &record), -ENODATA);
    assert_int_equal(add(a, "third", NULL, "3"), 0);
    record = finish(a);
    assert_string_equal(record.partition_key, "third");
    assert_null(record.explicit_hash_key);
    seen = (struct seen){0};
    assert_int_equal(kinema_deaggregate(record.data, record.len, NULL, note, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.users[0].key, "third");
    kinema_aggregate_free(a);
}

TEST(it_fills_up_to_its_ceiling_and_no_byte_further)
{
    enum {
        MOST = 4096
    };
    static char data[MOST + 1];
    memset(data, 'x', MOST);
    struct kinema_aggregate *a = builder(MOST);
    size_t largest = 0;
    for (size_t len = MOST - 100; len <= MOST; len++) { /* alone */
        int r = kinema_aggregate_add(a, "key", "17", data, len);
        assert_true(r == 0 || r == -EMSGSIZE);
        if (r == 0) {
            assert_true(kinema_aggregate_bytes(a) <= MOST);
            largest = kinema_aggregate_bytes(a);
        }
        kinema_aggregate_clear(a);
    }
    assert_int_equal(largest, MOST);
    int r;
    while ((r = add(a, "another key", NULL, "some data of a sensor")) == 0)
        assert_true(kinema_aggregate_bytes(a) <= MOST);
    assert_int_equal(r, -ENOSPC);
    size_t count = kinema_aggregate_count(a);
    assert_int_equal(kinema_aggregate_add(a, "key", NULL, data, MOST - 10), -EMSGSIZE);
    assert_int_equal(kinema_aggregate_add(a, "key", NULL, data, MOST / 2), -ENOSPC);
    assert_int_equal(kinema_aggregate_add(a, "key", NULL, data, SIZE_MAX), -EMSGSIZE);
    assert_int_equal(kinema_aggregate_count(a), count);
    struct kinema_aggregate_record record = finish(a);
    static struct seen seen;
    seen = (struct seen){0};
    assert_int_equal(kinema_deaggregate(record.data, record.len, NULL, note, &seen), 0);
    assert_int_equal(seen.count, count);
    kinema_aggregate_free(a);
}

TEST(keys_are_checked)
{
    static char long_key[KINEMA_AGGREGATE_KEY_BYTES_MAX + 2];
    struct kinema_aggregate *a = builder(0);
    memset(long_key, 'k', KINEMA_AGGREGATE_KEY_BYTES_MAX + 1);
    assert_int_equal(add(a, long_key, NULL, "x"), -EINVAL);
    assert_int_equal(add(a, "", NULL, "x"), -EINVAL);
    static const char *const wrong[] = {"",
                                        "x",
                                        "1x",
                                        "-1",
                                        " 1",
                                        "340282366920938463463374607431768211456",
                                        "1000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(add(a, "key", wrong[i], "x"), -EINVAL);
    assert_int_equal(kinema_aggregate_count(a), 0);
    assert_int_equal(add(a, "key", "340282366920938463463374607431768211455", "x"), 0);
    assert_int_equal(add(a, "key", "0000000000000000000000000000000000000000000007", "x"), 0);
    assert_int_equal(add(a, long_key + 1, "0", "x"), 0);
    struct kinema_aggregate_record record = finish(a);
    static struct seen seen;
    seen = (struct seen){0};
    assert_int_equal(kinema_deaggregate(record.data, record.len, NULL, note, &seen), 0);
    assert_string_equal(seen.users[1].hash_key, "7");
    assert_string_equal(seen.users[2].hash_key, "0");
    kinema_aggregate_free(a);
    assert_int_equal(kinema_aggregate_new(1023, &a), -EINVAL);
    assert_int_equal(kinema_aggregate_new(KINEMA_AGGREGATE_BYTES_MAX + 1, &a), -EINVAL);
    kinema_aggregate_free(NULL);
}

TEST(a_damaged_record_is_one_user_record_by_itself)
{
    struct kinema_aggregate *a = builder(0);
    assert_int_equal(add(a, "key", "1", "one"), 0);
    assert_int_equal(add(a, "key", NULL, "two"), 0);
    struct kinema_aggregate_record record = finish(a);
    uint8_t *copy = malloc(record.len);
    assert_non_null(copy);
    for (size_t bit = 0; bit < record.len * 8; bit++) {
        static struct seen seen;
        seen = (struct seen){0};
        memcpy(copy, record.data, record.len);
        copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
        assert_int_equal(kinema_is_aggregated(copy, record.len), 0);
        assert_int_equal(kinema_deaggregate(copy, record.len, "outer", note, &seen), 0);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.lens[0], record.len);
        assert_string_equal(seen.users[0].key, "outer");
    }
    for (size_t len = 0; len < record.len; len++)
        assert_int_equal(kinema_is_aggregated(record.data, len), 0);
    assert_int_equal(kinema_is_aggregated(record.data, record.len), 1);
    free(copy);
    kinema_aggregate_free(a);
}

TEST(who_takes_one_apart_may_stop)
{
    static struct seen seen;
    struct kinema_aggregate *a = builder(0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(add(a, "key", NULL, "x"), 0);
    struct kinema_aggregate_record record = finish(a);
    seen = (struct seen){.answer = 42};
    assert_int_equal(kinema_deaggregate(record.data, record.len, NULL, note, &seen), 42);
    assert_int_equal(seen.count, 2);
    kinema_aggregate_free(a);
}

TESTS_MAIN(TEST_OF(what_was_added_comes_out_in_order), TEST_OF(a_builder_is_used_again),
           TEST_OF(it_fills_up_to_its_ceiling_and_no_byte_further), TEST_OF(keys_are_checked),
           TEST_OF(a_damaged_record_is_one_user_record_by_itself),
           TEST_OF(who_takes_one_apart_may_stop))
