/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "upload_health.h"

static struct storage_id id_of(uint64_t n, uint64_t bucket)
{
    struct storage_id id = {{0}};
    memcpy(id.bytes, &bucket, sizeof bucket);
    memcpy(id.bytes + sizeof bucket, &n, sizeof n);
    return id;
}

TEST(an_upload_is_told_from_its_beginning_to_its_end)
{
    struct ingest_healths *healths;
    struct ingest_health health;
    struct storage_id a = id_of(1, 7), b = id_of(2, 7);
    assert_ok(ingest_healths_new(&healths));
    assert_false(ingest_healths_get(healths, &a, &health));
    ingest_health_began(healths, &a, 1000);
    ingest_health_began(healths, &a, 2000); /* waits for the other's end */
    ingest_health_ended(healths, &a, 2500);
    assert_true(ingest_healths_get(healths, &a, &health));
    assert_int_equal(health.open, 1);
    assert_int_equal(health.since_ms, 2000);
    assert_int_equal(health.ended_ms, 2500);
    assert_int_equal(ingest_health_starts_after(&health, 0), 2);
    assert_int_equal(ingest_health_starts_after(&health, 1000), 1);
    assert_false(ingest_healths_get(healths, &b, &health));
    ingest_healths_free(healths);
}

TEST(the_last_error_is_told_whole_or_cut)
{
    struct ingest_healths *healths;
    struct ingest_health health;
    struct storage_id a = id_of(1, 7);
    char text[4 * INGEST_HEALTH_TEXT_BYTES];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_ok(ingest_healths_new(&healths));
    ingest_health_failed(healths, &a, 1, INGEST_INVALID_MKV_DATA, "of nobody");
    ingest_health_began(healths, &a, 1000);
    ingest_health_failed(healths, &a, 3000, INGEST_STREAM_READ_ERROR, "silence");
    ingest_health_failed(healths, &a, 4000, INGEST_INVALID_MKV_DATA, text);
    assert_true(ingest_healths_get(healths, &a, &health));
    assert_int_equal(health.errors, 2);
    assert_int_equal(health.error_ms, 4000);
    assert_int_equal(health.error_id, 4006);
    assert_string_equal(health.error_code, "INVALID_MKV_DATA");
    assert_int_equal(strlen(health.error_text), INGEST_HEALTH_TEXT_BYTES - 1);
    ingest_healths_free(healths);
}

TEST(of_many_streams_those_that_upload_are_kept)
{
    struct ingest_healths *healths;
    struct ingest_health health;
    struct storage_id busy = id_of(0, 7);
    assert_ok(ingest_healths_new(&healths));
    ingest_health_began(healths, &busy, 1);
    for (uint64_t i = 1; i <= 100; i++) { /* all fall into its bucket */
        struct storage_id id = id_of(i, 7);
        ingest_health_began(healths, &id, (int64_t) i);
        ingest_health_ended(healths, &id, (int64_t) i);
    }
    size_t known = 0;
    for (uint64_t i = 0; i <= 100; i++) {
        struct storage_id id = id_of(i, 7);
        known += ingest_healths_get(healths, &id, &health) ? 1 : 0;
    }
    assert_true(ingest_healths_get(healths, &busy, &health));
    assert_int_equal(known, 8);
    struct storage_id newest = id_of(100, 7);
    assert_true(ingest_healths_get(healths, &newest, &health));
    ingest_healths_free(healths);
}

TEST(only_the_latest_beginnings_are_counted)
{
    struct ingest_healths *healths;
    struct ingest_health health;
    struct storage_id a = id_of(1, 7);
    assert_ok(ingest_healths_new(&healths));
    for (int64_t i = 1; i <= 100; i++) {
        ingest_health_began(healths, &a, i);
        ingest_health_ended(healths, &a, i);
    }
    assert_true(ingest_healths_get(healths, &a, &health));
    assert_int_equal(health.uploads, 100);
    assert_int_equal(ingest_health_starts_after(&health, 0), INGEST_HEALTH_STARTS_MAX);
    assert_int_equal(ingest_health_starts_after(&health, 97), 3);
    ingest_healths_free(healths);
}

TESTS_MAIN(TEST_OF(an_upload_is_told_from_its_beginning_to_its_end),
           TEST_OF(the_last_error_is_told_whole_or_cut),
           TEST_OF(of_many_streams_those_that_upload_are_kept),
           TEST_OF(only_the_latest_beginnings_are_counted))
