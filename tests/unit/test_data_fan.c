/* SPDX-License-Identifier: Apache-2.0 */
/* What subscriptions share and what they must not: events by place, seats by consumer and shard,
 * and the numbers that lie between two records. */
#include "fan.h"
#include "seat.h"
#include "sequence.h"
#include "test.h"

#include <errno.h>
#include <stdatomic.h>

static const struct datastream_shard shard = {.index = 3, .created_s = 1795849862};

static struct datastream_fan_event *event_at(uint64_t from, size_t data_bytes)
{
    static const uint8_t data[1 << 20];
    assert_true(data_bytes <= sizeof(data));
    const struct storage_shard_record record = {
        .index = from, .arrival_ms = 1795849899000, .key = KN_STR("k"), .data = {data, data_bytes}
    };
    const struct storage_page page = {
        .count = 1, .records = &record, .bytes = data_bytes + 1, .next = from + 1, .at_end = true};
    struct datastream_fan_event *event;
    assert_ok(datastream_fan_event_records(&shard, from, &page, 1795849899500, &event));
    assert_int_equal(event->next, from + 1);
    return event;
}

/* --- sharing ---------------------------------------------------------------------------------- */
struct rig {
    struct datastream_fans *fans;
    struct datastream_fan *fan;
    struct storage_shard *log; /* never looked into */
    int log_there;
};

static void start(struct rig *rig, int subscribers)
{
    rig->log = (struct storage_shard *) &rig->log_there;
    assert_ok(datastream_fans_new(&rig->fans));
    for (int i = 0; i < subscribers; i++)
        assert_ok(datastream_fan_join(rig->fans, rig->log, &rig->fan));
}

static void stop(struct rig *rig)
{
    while (datastream_fan_count(rig->fan) > 1)
        datastream_fan_leave(rig->fans, rig->fan);
    datastream_fan_leave(rig->fans, rig->fan);
    datastream_fans_free(rig->fans);
}

static bool has(struct rig *rig, uint64_t from)
{
    struct datastream_fan_event *event = datastream_fan_find(rig->fan, from);
    bool found = event != NULL;
    assert_true(!found || event->from == from);
    datastream_fan_event_unref(event);
    return found;
}

static void keep(struct rig *rig, uint64_t from, size_t bytes)
{
    struct datastream_fan_event *event = event_at(from, bytes);
    datastream_fan_keep(rig->fan, event);
    datastream_fan_event_unref(event);
}

TEST(subscribers_at_one_place_take_the_same_bytes)
{
    struct rig rig;
    start(&rig, 2);
    struct datastream_fan_event *first = event_at(7, 10), *second = event_at(7, 10);
    datastream_fan_keep(rig.fan, first);
    datastream_fan_keep(rig.fan, second); /* made at the same time by another loop */
    struct datastream_fan_event *found = datastream_fan_find(rig.fan, 7);
    assert_ptr_equal(found, first);
    assert_false(has(&rig, 6));
    assert_false(has(&rig, 8));
    datastream_fan_event_unref(found);
    datastream_fan_event_unref(first);
    datastream_fan_event_unref(second);
    stop(&rig);
}

TEST(the_last_events_are_kept_and_none_when_nothing_comes)
{
    struct rig rig;
    start(&rig, 2);
    for (uint64_t i = 0; i < DATASTREAM_FAN_EVENTS + 3; i++)
        keep(&rig, i, 10);
    assert_false(has(&rig, 2));
    assert_true(has(&rig, 3));
    assert_true(has(&rig, DATASTREAM_FAN_EVENTS + 2));
    datastream_fan_forget(rig.fan);
    assert_false(has(&rig, DATASTREAM_FAN_EVENTS + 2));
    stop(&rig);
}

TEST(large_events_and_those_of_a_single_subscriber_are_not_kept)
{
    struct rig rig;
    start(&rig, 2);
    keep(&rig, 1, DATASTREAM_FAN_EVENT_BYTES_MAX);
    assert_false(has(&rig, 1));
    datastream_fan_leave(rig.fans, rig.fan);
    keep(&rig, 2, 10);
    assert_false(has(&rig, 2));
    stop(&rig);
}

TEST(an_event_that_is_being_sent_outlives_those_who_shared_it)
{
    struct rig rig;
    start(&rig, 2);
    keep(&rig, 1, 10);
    struct datastream_fan_event *sending = datastream_fan_find(rig.fan, 1);
    stop(&rig);
    assert_non_null(memmem(sending->message.ptr, sending->message.len, "\"Records\":[{", 12));
    datastream_fan_event_unref(sending);
}

/* --- numbers ---------------------------------------------------------------------------------- */
static struct datastream_sequence continuation_of(const struct datastream_fan_event *event)
{
    static const char name[] = "\"ContinuationSequenceNumber\":\"";
    const char *at = memmem(event->message.ptr, event->message.len, name, sizeof(name) - 1);
    assert_non_null(at);
    struct datastream_sequence sequence;
    assert_ok(datastream_sequence_parse(
        (struct kn_str){at + sizeof(name) - 1, DATASTREAM_SEQUENCE_DIGITS}, &sequence));
    return sequence;
}

static void number(char dst[DATASTREAM_SEQUENCE_TEXT_BYTES], const struct datastream_sequence *s)
{
    datastream_sequence_format(s, dst);
}

TEST(a_continuation_lies_behind_the_last_record_and_before_the_next)
{
    struct datastream_fan_event *event = event_at(41, 10);
    struct datastream_sequence got = continuation_of(event), last = got, next = got;
    assert_int_equal(got.index, datastream_sequence_index(41));
    assert_int_equal(got.past, 1);
    last.past = next.past = 0;
    last.arrival_s = (int64_t) 1 << 35; /* whenever it came */
    next.index++;
    next.arrival_s = 0;
    char texts[3][DATASTREAM_SEQUENCE_TEXT_BYTES];
    number(texts[0], &last);
    number(texts[1], &got);
    number(texts[2], &next);
    assert_true(strcmp(texts[0], texts[1]) < 0 && strcmp(texts[1], texts[2]) < 0);
    datastream_fan_event_unref(event);
}

TEST(a_continuation_of_an_empty_shard_lies_before_its_first_record)
{
    struct datastream_fan_event *event;
    assert_ok(datastream_fan_event_records(&shard, 0, NULL, 1795849899500, &event));
    struct datastream_sequence got = continuation_of(event);
    assert_int_equal(got.index, 0);
    assert_int_equal(got.past, 0);
    datastream_fan_event_unref(event);
}

/* --- seats ------------------------------------------------------------------------------------ */
static struct datastream_seat seat_at(uint32_t index, int64_t since_ms)
{
    return (struct datastream_seat){.shard = index, .since_ns = since_ms * 1000000};
}

static int state_of(struct datastream_seat *seat)
{
    return atomic_load(&seat->state);
}

TEST(a_newcomer_takes_the_seat_of_one_shard_once_its_holder_has_had_it_for_a_while)
{
    struct datastream_consumer consumer = {.gone = false};
    struct datastream_seat first = seat_at(1, 0), other = seat_at(2, 0), soon = seat_at(1, 4999),
                           later = seat_at(1, 5000);
    kn_lock_init(&consumer.lock);
    assert_ok(datastream_seat_take(&consumer, &first, 5000));
    assert_ok(datastream_seat_take(&consumer, &other, 5000));
    assert_int_equal(datastream_seat_take(&consumer, &soon, 5000), -EBUSY);
    assert_int_equal(state_of(&first), DATASTREAM_SEAT_KEPT);
    assert_ok(datastream_seat_take(&consumer, &later, 5000));
    assert_int_equal(state_of(&first), DATASTREAM_SEAT_TAKEN);
    assert_int_equal(state_of(&other), DATASTREAM_SEAT_KEPT);
    datastream_seat_leave(&consumer, &first); /* it has none any more */
    datastream_seat_leave(&consumer, &later);
    assert_ok(datastream_seat_take(&consumer, &soon, 5000)); /* free at once */
    kn_lock_done(&consumer.lock);
}

TEST(where_it_is_remembered_a_seat_that_was_left_is_free_only_after_a_while)
{
    struct datastream_consumer consumer = {.gone = false};
    struct datastream_seat first = seat_at(1, 0), soon = seat_at(1, 4999), other = seat_at(2, 4999),
                           later = seat_at(1, 5000);
    first.is_remembered = later.is_remembered = other.is_remembered = true;
    kn_lock_init(&consumer.lock);
    assert_ok(datastream_seat_take(&consumer, &first, 5000));
    datastream_seat_leave(&consumer, &first);
    assert_int_equal(datastream_seat_take(&consumer, &soon, 5000), -EBUSY);
    assert_ok(datastream_seat_take(&consumer, &other, 5000)); /* of another shard */
    assert_ok(datastream_seat_take(&consumer, &later, 5000));
    datastream_seat_leave(&consumer, &later);
    datastream_seat_leave(&consumer, &other);
    assert_int_equal(consumer.left->count, 2); /* the first is forgotten */
    datastream_seats_left_free(consumer.left);
    kn_lock_done(&consumer.lock);
}

TEST(all_are_told_when_the_consumer_goes_and_nobody_sits_down_any_more)
{
    struct datastream_consumer consumer = {.gone = false};
    struct datastream_seat one = seat_at(1, 0), two = seat_at(2, 0), late = seat_at(3, 0);
    kn_lock_init(&consumer.lock);
    assert_ok(datastream_seat_take(&consumer, &one, 5000));
    assert_ok(datastream_seat_take(&consumer, &two, 5000));
    kn_lock_take(&consumer.lock);
    consumer.gone = true;
    datastream_seats_end_locked(&consumer);
    kn_lock_give(&consumer.lock);
    assert_int_equal(state_of(&one), DATASTREAM_SEAT_GONE);
    assert_int_equal(state_of(&two), DATASTREAM_SEAT_GONE);
    assert_int_equal(datastream_seat_take(&consumer, &late, 5000), -ENOENT);
    kn_lock_done(&consumer.lock);
}

TESTS_MAIN(TEST_OF(subscribers_at_one_place_take_the_same_bytes),
           TEST_OF(the_last_events_are_kept_and_none_when_nothing_comes),
           TEST_OF(large_events_and_those_of_a_single_subscriber_are_not_kept),
           TEST_OF(an_event_that_is_being_sent_outlives_those_who_shared_it),
           TEST_OF(a_continuation_lies_behind_the_last_record_and_before_the_next),
           TEST_OF(a_continuation_of_an_empty_shard_lies_before_its_first_record),
           TEST_OF(a_newcomer_takes_the_seat_of_one_shard_once_its_holder_has_had_it_for_a_while),
           TEST_OF(where_it_is_remembered_a_seat_that_was_left_is_free_only_after_a_while),
           TEST_OF(all_are_told_when_the_consumer_goes_and_nobody_sits_down_any_more))
