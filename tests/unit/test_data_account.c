/* SPDX-License-Identifier: Apache-2.0 */
/* The account's commitment in the catalogue, by a clock that the test owns. */
#include "account.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>

enum {
    HOUR_MS = 60 * 60 * 1000
};
#define BEGAN INT64_C(1795849862123)

struct rig {
    struct temp_dir dir;
    struct storage_meta *meta;
    struct datastream_account account;
};

static void start(struct rig *rig)
{
    rig->dir = temp_dir_new();
    char path[128];
    snprintf(path, sizeof(path), "%s/catalogue", rig->dir.path);
    struct kn_err err = {0};
    assert_ok(storage_meta_open(path, MIB(64), &rig->meta, &err));
    assert_ok(datastream_account_init(&rig->account, rig->meta, &err));
}

static void stop(struct rig *rig)
{
    datastream_account_done(&rig->account);
    storage_meta_close(rig->meta);
    temp_dir_remove(&rig->dir);
}

static struct datastream_commitment commit(struct rig *rig, bool enabled, int64_t now_ms)
{
    struct datastream_commitment commitment;
    assert_ok(datastream_account_commit(&rig->account, enabled, now_ms, &commitment));
    return commitment;
}

TEST(a_commitment_that_is_ended_early_holds_for_a_day)
{
    struct rig rig;
    start(&rig);

    commit(&rig, true, BEGAN);
    struct datastream_commitment c = commit(&rig, false, BEGAN + HOUR_MS);

    assert_int_equal(c.end_ms, BEGAN + 24 * HOUR_MS);
    assert_true(datastream_commitment_holds(&c, c.end_ms - 1));
    assert_false(datastream_commitment_holds(&c, c.end_ms));
    /* asked again later, it ends no later */
    assert_int_equal(commit(&rig, false, BEGAN + 2 * HOUR_MS).end_ms, c.end_ms);
    stop(&rig);
}

TEST(a_commitment_that_is_old_enough_ends_at_once_and_another_may_follow)
{
    struct rig rig;
    start(&rig);

    commit(&rig, true, BEGAN);
    struct datastream_commitment c = commit(&rig, false, BEGAN + 25 * HOUR_MS);
    assert_int_equal(c.end_ms, BEGAN + 25 * HOUR_MS);
    assert_false(datastream_commitment_holds(&c, BEGAN + 25 * HOUR_MS));

    c = commit(&rig, true, BEGAN + 26 * HOUR_MS);
    assert_int_equal(c.started_ms, BEGAN + 26 * HOUR_MS);
    assert_int_equal(c.end_ms, 0);
    stop(&rig);
}

TEST(a_damaged_record_stops_the_start)
{
    struct rig rig;
    start(&rig);
    commit(&rig, true, BEGAN);
    datastream_account_done(&rig.account);

    struct kn_bytes key = kn_bytes_of(KN_STR("da/commitment"));
    struct kn_err err = {0};
    assert_ok(storage_meta_remove(rig.meta, key, 0));
    uint64_t version;
    assert_ok(storage_meta_put(rig.meta, key, kn_bytes_of(KN_STR("\1short")), 0, &version));
    assert_int_equal(datastream_account_init(&rig.account, rig.meta, &err), -EBADMSG);

    assert_ok(storage_meta_remove(rig.meta, key, 0));
    assert_ok(datastream_account_init(&rig.account, rig.meta, &err));
    stop(&rig);
}

TESTS_MAIN(TEST_OF(a_commitment_that_is_ended_early_holds_for_a_day),
           TEST_OF(a_commitment_that_is_old_enough_ends_at_once_and_another_may_follow),
           TEST_OF(a_damaged_record_stops_the_start))
