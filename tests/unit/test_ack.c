/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgements as the service spells them. */
#include "ack.h"
#include "test.h"

static struct kn_str text_of(const struct ingest_ack *ack)
{
    static char dst[INGEST_ACK_BYTES_MAX];
    return (struct kn_str){dst, ingest_ack_format(ack, dst)};
}

TEST(keys_stand_in_the_order_of_the_service)
{
    struct ingest_ack ack = {.type = INGEST_ACK_BUFFERING,
                             .has_timecode = true,
                             .timecode = 1795378995890,
                             .has_number = true,
                             .number = {.seq = 12}};
    assert_str_is(text_of(&ack), "{\"EventType\":\"BUFFERING\",\"FragmentTimecode\":1795378995890,"
                                 "\"FragmentNumber\":\"12\"}\n");
    ack.type = INGEST_ACK_ERROR;
    ack.error = INGEST_FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS;
    assert_str_is(text_of(&ack), "{\"EventType\":\"ERROR\",\"FragmentTimecode\":1795378995890,"
                                 "\"FragmentNumber\":\"12\","
                                 "\"ErrorCode\":\"FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS\","
                                 "\"ErrorId\":4004}\n");
}

TEST(an_error_without_a_fragment_names_none)
{
    struct ingest_ack ack = {.type = INGEST_ACK_ERROR, .error = INGEST_INVALID_MKV_DATA};
    assert_str_is(text_of(&ack), "{\"EventType\":\"ERROR\",\"ErrorCode\":\"INVALID_MKV_DATA\","
                                 "\"ErrorId\":4006}\n");
}

TEST(idle_is_padded_to_keep_libcurl_alive)
{
    struct ingest_ack ack = {.type = INGEST_ACK_IDLE};
    struct kn_str text = text_of(&ack);
    assert_true(text.len >= INGEST_IDLE_BYTES);
    assert_true(text.len < 1024);
    assert_true(kn_str_starts_with(text, KN_STR("{\"EventType\":\"IDLE\"} ")));
}

TEST(the_queue_keeps_order)
{
    static struct ingest_ack_queue queue;
    struct ingest_ack ack = {.type = INGEST_ACK_RECEIVED};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < INGEST_ACKS_MAX; i++) {
            ack.timecode = i;
            ingest_ack_push(&queue, &ack);
        }
        for (unsigned i = 0; i < INGEST_ACKS_MAX; i++) {
            assert_true(ingest_ack_pop(&queue, &ack));
            assert_int_equal(ack.timecode, i);
        }
        assert_false(ingest_ack_pop(&queue, &ack));
        ingest_ack_push(&queue, &ack); /* shift the ring */
        assert_true(ingest_ack_pop(&queue, &ack));
    }
}

TESTS_MAIN(TEST_OF(keys_stand_in_the_order_of_the_service),
           TEST_OF(an_error_without_a_fragment_names_none),
           TEST_OF(idle_is_padded_to_keep_libcurl_alive), TEST_OF(the_queue_keeps_order))
