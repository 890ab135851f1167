/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"
#include "test.h"

#include <errno.h>

static struct datastream_tag two_tags[] = {
    {KN_STR_INIT("z"), KN_STR_INIT("last \"quoted\"")},
    {KN_STR_INIT("a"), KN_STR_INIT("")               }
};
static const struct datastream_settings whole = {
    .name = KN_STR_INIT("orders"),
    .created_ms = 1795849862123,
    .retention_hours = 48,
    .record_kib_max = 10240,
    .warm_mibps = 7,
    .metrics = DATASTREAM_METRICS_ALL,
    .on_demand = true,
    .spread = true,
    .kms_key = KN_STR_INIT("alias/aws/kinesis"),
    .policy = KN_STR_INIT("{\"Version\": \"2012-10-17\"}"),
    .tags = two_tags,
    .tag_count = 2,
};

static void check(const struct datastream_settings *s)
{
    assert_str_is(s->name, "orders");
    assert_true(s->created_ms == 1795849862123 && s->retention_hours == 48);
    assert_true(s->record_kib_max == 10240 && s->warm_mibps == 7 && s->metrics == 127);
    assert_true(s->on_demand && s->spread && !s->deleting);
    assert_str_is(s->kms_key, "alias/aws/kinesis");
    assert_str_is(s->policy, "{\"Version\": \"2012-10-17\"}");
    assert_int_equal(s->tag_count, 2);
    assert_str_is(s->tags[0].key, "a");
    assert_str_is(s->tags[0].value, "");
    assert_str_is(s->tags[1].value, "last \"quoted\"");
}

TEST(settings_survive_their_record)
{
    struct datastream_settings *copy, *again;
    assert_ok(datastream_settings_copy(&whole, &copy));
    check(copy);
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SETTINGS_BYTES_MAX);
    datastream_settings_encode(copy, &record);
    assert_ok(record.error);
    assert_ok(datastream_settings_decode(kn_buf_bytes(&record), &again));
    check(again);
    assert_ptr_equal(datastream_settings_ref(again), again);
    datastream_settings_unref(again);
    for (size_t cut = 0; cut < record.len; cut++) {
        struct datastream_settings *none;
        assert_int_equal(datastream_settings_decode((struct kn_bytes){record.ptr, cut}, &none),
                         -EBADMSG);
    }
    kn_buf_done(&record);
    datastream_settings_unref(again);
    datastream_settings_unref(copy);
}

TEST(what_is_absent_stays_absent_and_what_is_new_is_passed_over)
{
    struct datastream_settings *s;
    assert_ok(datastream_settings_decode(
        kn_bytes_of(KN_STR("{\"name\":\"a\",\"later\":{\"x\":[1,2]},\"created_ms\":1,"
                           "\"retention_hours\":24,\"record_kib_max\":1024}")),
        &s));
    assert_null(s->kms_key.ptr);
    assert_null(s->policy.ptr);
    assert_int_equal(s->tag_count, 0);
    datastream_settings_unref(s);
}

TEST(a_record_that_makes_no_sense_is_refused)
{
#define SOUND "{\"name\":\"a\",\"retention_hours\":24,\"record_kib_max\":1024"
    static const char *bad[] = {
        "",
        "[]",
        "{}",
        "{\"name\":\"\",\"retention_hours\":24,\"record_kib_max\":1024}",
        "{\"name\":\"a\",\"retention_hours\":0,\"record_kib_max\":1024}",
        "{\"name\":\"a\",\"retention_hours\":\"24\",\"record_kib_max\":1024}",
        SOUND ",\"metrics\":128}",
        SOUND ",\"on_demand\":1}",
        SOUND ",\"tags\":{\"b\":\"\",\"a\":\"\"}}",
        SOUND "} x",
    };
#undef SOUND
    struct datastream_settings *s;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(datastream_settings_decode(kn_bytes_of(kn_str_from(bad[i])), &s),
                         -EBADMSG);
}

TEST(a_tag_is_there_once_and_there_are_at_most_fifty)
{
    struct datastream_tag tags[DATASTREAM_TAGS_MAX + 1];
    char keys[DATASTREAM_TAGS_MAX + 1][8];
    for (size_t i = 0; i <= DATASTREAM_TAGS_MAX; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        tags[i] = (struct datastream_tag){kn_str_from(keys[i]), KN_STR("v")};
    }
    struct datastream_settings some = whole, *copy;
    some.tags = tags;
    some.tag_count = DATASTREAM_TAGS_MAX + 1;
    assert_int_equal(datastream_settings_copy(&some, &copy), -EINVAL);
    some.tag_count = DATASTREAM_TAGS_MAX;
    assert_ok(datastream_settings_copy(&some, &copy));
    datastream_settings_unref(copy);
    tags[7].key = tags[8].key;
    assert_int_equal(datastream_settings_copy(&some, &copy), -EINVAL);
}

TESTS_MAIN(TEST_OF(settings_survive_their_record),
           TEST_OF(what_is_absent_stays_absent_and_what_is_new_is_passed_over),
           TEST_OF(a_record_that_makes_no_sense_is_refused),
           TEST_OF(a_tag_is_there_once_and_there_are_at_most_fifty))
