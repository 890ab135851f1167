/* SPDX-License-Identifier: Apache-2.0 */
/* ListFragments and GetMediaForFragmentList. Contract: kvs-api.md §3.6, §4.1, §4.2. */
#include "documents.h"
#include "fake_call.h"
#include "fake_storage.h"
#include "playback_api.h"
#include "playback_internal.h"
#include "test.h"

#include <string.h>

#define T_MS ((int64_t) 1700000000 * 1000)

struct fixture {
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id stream;
    struct capture capture;
    size_t count;
    struct playback playback; /* what these operations use of it */
    struct fake_call fake;
};

/* One fragment a second from T_MS on, producer times 1000 s earlier. */
static struct fixture *recorded(uint32_t retention_hours)
{
    static const struct playback_conf conf = {.get_media_idle_ms = 3000};
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->capture = capture_read("media/captures/c164_h264_aac_abs_tc0.mkv");
    kn_fake_clock_init(&f->clock, T_MS);
    f->storage = fake_storage_new(&f->clock.clock);
    f->stream = fake_storage_stream(f->storage, "cam", retention_hours);
    f->count = fake_storage_load(f->storage, &f->stream, &f->capture,
                                 &(struct fake_load){.server_ts_ms = T_MS,
                                                     .server_step_ms = 1000,
                                                     .producer_start_ms = T_MS - 1000000});
    assert_true(f->count >= 4);
    f->playback = (struct playback){.storage = f->storage, .clock = &f->clock.clock, .conf = conf};
    fake_call_init(&f->fake, &f->clock.clock);
    return f;
}

static void done(struct fixture *f)
{
    fake_call_done(&f->fake);
    fake_storage_free(f->storage);
    capture_done(&f->capture);
    free(f);
}

/* Selector and range in static memory, so that a test reads as one line. */
static struct playback_ListFragments_in range(enum playback_FragmentSelectorType type,
                                              int64_t from_ms, int64_t to_ms)
{
    static struct playback_TimestampRange times;
    static struct playback_ListFragments_FragmentSelector selector;

    times = (struct playback_TimestampRange){
        {true, from_ms},
        {true, to_ms  }
    };
    selector = (struct playback_ListFragments_FragmentSelector){type, &times};
    return (struct playback_ListFragments_in){.StreamName = KN_STR("cam"),
                                              .FragmentSelector = &selector};
}

static struct playback_ListFragments_out listed(struct fixture *f,
                                                struct playback_ListFragments_in in)
{
    struct playback_ListFragments_out out = {0};

    assert_ok(playback_op_ListFragments(&f->playback, &in, &out, &f->fake.call));
    assert_true(out.Fragments.set);
    return out;
}

static const char *refused(struct fixture *f, struct playback_ListFragments_in in)
{
    struct playback_ListFragments_out out = {0};

    f->fake.state.fault[0] = '\0';
    assert_true(playback_op_ListFragments(&f->playback, &in, &out, &f->fake.call) < 0);
    return f->fake.state.fault;
}

TEST(a_range_of_server_times_includes_both_ends)
{
    struct fixture *f = recorded(24);

    struct playback_ListFragments_out out =
        listed(f, range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, T_MS + 1000, T_MS + 2000));

    assert_int_equal(out.Fragments.count, 2);
    assert_int_equal(out.Fragments.items[0].ServerTimestamp.v, T_MS + 1000);
    assert_int_equal(out.Fragments.items[1].ServerTimestamp.v, T_MS + 2000);
    assert_int_equal(out.Fragments.items[0].FragmentNumber.len, 47);
    assert_null(out.NextToken.ptr);
    done(f);
}

TEST(a_fragment_is_listed_with_its_size_and_without_its_last_frames_duration)
{
    struct fixture *f = recorded(24);
    const struct capture_fragment *one = &f->capture.fragments[0];
    int32_t last = 0;

    struct playback_ListFragments_out out = listed(
        f, range(PLAYBACK_FragmentSelectorType_PRODUCER_TIMESTAMP, T_MS - 1000000, T_MS - 1000000));

    assert_int_equal(out.Fragments.count, 1);
    for (size_t i = 0; i < one->frame_count; i++)
        last = one->frames[i].time > last ? one->frames[i].time : last;
    assert_int_equal(out.Fragments.items[0].FragmentSizeInBytes.v, one->end - one->start);
    assert_int_equal(out.Fragments.items[0].FragmentLengthInMilliseconds.v, last);
    assert_int_equal(out.Fragments.items[0].ProducerTimestamp.v, T_MS - 1000000);
    done(f);
}

TEST(pages_join_without_gap_or_repeat_and_a_token_alone_is_a_request)
{
    struct fixture *f = recorded(24);

    for (size_t size = 1; size <= f->count + 1; size++) {
        struct playback_ListFragments_in in =
            range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, 0, T_MS * 2);
        size_t seen = 0;

        in.MaxResults = (struct kn_api_i64){true, (int64_t) size};
        for (;;) {
            struct playback_ListFragments_out out = listed(f, in);

            for (size_t i = 0; i < out.Fragments.count; i++)
                assert_int_equal(out.Fragments.items[i].ServerTimestamp.v,
                                 T_MS + (int64_t) (seen++) * 1000);
            if (!out.NextToken.ptr)
                break;
            assert_true(out.NextToken.len <= 4096);
            assert_int_equal(out.Fragments.count, size);
            in = (struct playback_ListFragments_in){.StreamName = KN_STR("cam"),
                                                    .MaxResults = in.MaxResults,
                                                    .NextToken = out.NextToken};
        }
        assert_int_equal(seen, f->count);
    }
    done(f);
}

TEST(without_a_size_a_page_holds_a_hundred)
{
    struct fixture *f = recorded(24);

    while (f->count <= 250)
        f->count += fake_storage_load(f->storage, &f->stream, &f->capture,
                                      &(struct fake_load){.server_ts_ms = T_MS + 900000});
    struct playback_ListFragments_out out =
        listed(f, range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, 0, T_MS * 2));
    assert_int_equal(out.Fragments.count, 100);
    assert_non_null(out.NextToken.ptr);
    done(f);
}

TEST(ranges_outside_of_what_is_stored_are_clamped_not_refused)
{
    struct fixture *f = recorded(24);
    int64_t later = T_MS + 1000000;

    assert_int_equal(
        listed(f, range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, 0, later)).Fragments.count,
        f->count);
    assert_int_equal(
        listed(f, range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, later, later + 1))
            .Fragments.count,
        0);
    assert_string_equal(
        refused(f, range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, later, later - 1)),
        "InvalidArgumentException");
    done(f);
}

TEST(a_token_is_bound_to_its_stream_and_a_forged_one_is_refused)
{
    struct fixture *f = recorded(24);
    struct playback_ListFragments_in in =
        range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, 0, T_MS * 2);

    in.MaxResults = (struct kn_api_i64){true, 1};
    struct kn_str token = listed(f, in).NextToken;
    (void) fake_storage_stream(f->storage, "other", 24);
    assert_string_equal(refused(f, (struct playback_ListFragments_in){.StreamName = KN_STR("other"),
                                                                      .NextToken = token}),
                        "InvalidArgumentException");
    assert_string_equal(
        refused(f, (struct playback_ListFragments_in){.StreamName = KN_STR("cam"),
                                                      .NextToken = KN_STR("Zm9yZ2VkIQ==")}),
        "InvalidArgumentException");
    assert_string_equal(refused(f, (struct playback_ListFragments_in){.StreamName = KN_STR("cam"),
                                                                      .NextToken = KN_STR("!")}),
                        "InvalidArgumentException");
    assert_string_equal(refused(f, (struct playback_ListFragments_in){.StreamName = KN_STR("cam")}),
                        "InvalidArgumentException");
    done(f);
}

TEST(a_stream_without_retention_lists_nothing)
{
    struct fixture *f = recorded(0);

    assert_int_equal(listed(f, range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, 0, T_MS * 2))
                         .Fragments.count,
                     0);
    done(f);
}

/* --- GetMediaForFragmentList ------------------------------------------------------------------ */

static int ask(struct fixture *f, const struct kn_str *numbers, size_t count)
{
    struct playback_GetMediaForFragmentList_in in = {
        .StreamName = KN_STR("cam"), .Fragments = {true, count, numbers}
    };
    struct playback_GetMediaForFragmentList_out out = {0};

    return playback_op_GetMediaForFragmentList(&f->playback, &in, &out, &f->fake.call);
}

static struct document *fetched(struct fixture *f, const struct kn_str *numbers, size_t count,
                                size_t cap, size_t *ret_count)
{
    assert_ok(ask(f, numbers, count));
    fake_call_start(&f->fake);
    assert_int_equal(f->fake.req.status, 200);
    assert_int_equal(fake_call_run(&f->fake, cap), KN_HTTP_EOF);
    return documents_of(f->fake.req.body.ptr, f->fake.req.body.len, ret_count);
}

static struct kn_str number_of(struct fixture *f, size_t index)
{
    return listed(f, range(PLAYBACK_FragmentSelectorType_SERVER_TIMESTAMP, 0, T_MS * 2))
        .Fragments.items[index]
        .FragmentNumber;
}

static void assert_media(struct fixture *f, const struct document *doc, size_t index)
{
    const struct capture_fragment *from = &f->capture.fragments[index];

    assert_int_equal(doc->len - doc->cluster, from->end - from->cluster);
    assert_memory_equal(doc->start + doc->cluster, f->capture.bytes + from->cluster,
                        from->end - from->cluster);
    assert_false(document_has_tag(doc, doc->last_tags, "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"));
    assert_false(document_has_tag(doc, doc->last_tags, "AWS_KINESISVIDEO_CONTINUATION_TOKEN"));
    assert_true(document_has_tag(doc, doc->first_tags, "AWS_KINESISVIDEO_SERVER_TIMESTAMP"));
}

TEST(fragments_come_in_the_order_given_duplicates_too)
{
    struct fixture *f = recorded(24);
    struct kn_str numbers[] = {number_of(f, 2), number_of(f, 0), number_of(f, 2)};
    size_t got = 0;

    struct document *docs = fetched(f, numbers, 3, 5000, &got);

    assert_int_equal(got, 3);
    assert_media(f, &docs[0], 2);
    assert_media(f, &docs[1], 0);
    assert_media(f, &docs[2], 2);
    free(docs);
    done(f);
}

TEST(a_missing_fragment_is_said_in_its_place_and_the_list_goes_on)
{
    struct fixture *f = recorded(24);
    struct kn_str numbers[] = {number_of(f, 1),
                               KN_STR("91343852333181432392682062607743920146159169392"),
                               KN_STR("12"), number_of(f, 0)};
    size_t got = 0;
    char shape[512];

    struct document *docs = fetched(f, numbers, 4, 1 << 20, &got);

    assert_int_equal(got, 4);
    assert_media(f, &docs[0], 1);
    assert_media(f, &docs[3], 0);
    assert_int_equal(docs[1].cluster, 0);
    assert_str_is(document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_ERROR_ID"), "3000");
    assert_str_is(document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_FRAGMENT_NUMBER"),
                  "91343852333181432392682062607743920146159169392");
    document_tags_shape(&docs[1], docs[1].first_tags, shape, sizeof shape);
    assert_string_equal(shape, "1254C367/8 7373/6 67C8/6 45A3/6=AWS_KINESISVIDEO_ERROR_CODE 4487/6 "
                               "67C8/6 45A3/6=AWS_KINESISVIDEO_ERROR_ID 4487/6 67C8/6 "
                               "45A3/6=AWS_KINESISVIDEO_FRAGMENT_NUMBER 4487/6 ");
    assert_str_is(document_tag(&docs[2], docs[2].first_tags, "AWS_KINESISVIDEO_ERROR_CODE"),
                  "FRAGMENT_NOT_FOUND");
    free(docs);
    done(f);
}

TEST(a_fragment_still_arriving_is_not_there)
{
    struct fixture *f = recorded(24);
    struct storage_fragment begun =
        fake_storage_begin(f->storage, &f->stream, &f->capture, 99999, T_MS);
    char text[STORAGE_NUMBER_TEXT_BYTES];
    struct kn_str number;
    size_t got = 0;

    storage_number_format(&begun.number, text);
    number = kn_str_from(text);
    struct document *docs = fetched(f, &number, 1, 4096, &got);
    assert_int_equal(got, 1);
    assert_str_is(document_tag(&docs[0], docs[0].first_tags, "AWS_KINESISVIDEO_ERROR_CODE"),
                  "FRAGMENT_NOT_FOUND");
    free(docs);
    done(f);
}

TEST(a_fragment_that_cannot_be_read_to_its_end_is_said_and_the_list_goes_on)
{
    struct fixture *f = recorded(24);
    struct kn_str numbers[] = {number_of(f, 0), number_of(f, 1)};
    size_t got = 0;

    fake_storage_fail_read(f->storage, -EIO, 20000);
    struct document *docs = fetched(f, numbers, 2, 3000, &got);
    assert_int_equal(got, 4);
    assert_str_is(document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_ERROR_ID"), "5000");
    assert_str_is(document_tag(&docs[3], docs[3].first_tags, "AWS_KINESISVIDEO_ERROR_ID"), "5000");
    free(docs);
    done(f);
}

TEST(a_cold_disk_gives_the_same_list)
{
    struct fixture *f = recorded(24);
    struct kn_str numbers[] = {number_of(f, 0), number_of(f, 3)};
    size_t got = 0;

    fake_storage_set_cold(f->storage, true);
    struct document *docs = fetched(f, numbers, 2, 16384, &got);
    assert_int_equal(got, 2);
    assert_media(f, &docs[0], 0);
    assert_media(f, &docs[1], 3);
    free(docs);
    done(f);
}

TEST(a_stream_without_retention_has_no_fragments_to_list)
{
    struct fixture *f = recorded(0);
    struct kn_str number = KN_STR("12");

    assert_true(ask(f, &number, 1) < 0);
    assert_string_equal(f->fake.state.fault, "InvalidArgumentException");
    done(f);
}

TESTS_MAIN(TEST_OF(a_range_of_server_times_includes_both_ends),
           TEST_OF(a_fragment_is_listed_with_its_size_and_without_its_last_frames_duration),
           TEST_OF(pages_join_without_gap_or_repeat_and_a_token_alone_is_a_request),
           TEST_OF(without_a_size_a_page_holds_a_hundred),
           TEST_OF(ranges_outside_of_what_is_stored_are_clamped_not_refused),
           TEST_OF(a_token_is_bound_to_its_stream_and_a_forged_one_is_refused),
           TEST_OF(a_stream_without_retention_lists_nothing),
           TEST_OF(fragments_come_in_the_order_given_duplicates_too),
           TEST_OF(a_missing_fragment_is_said_in_its_place_and_the_list_goes_on),
           TEST_OF(a_fragment_still_arriving_is_not_there),
           TEST_OF(a_fragment_that_cannot_be_read_to_its_end_is_said_and_the_list_goes_on),
           TEST_OF(a_cold_disk_gives_the_same_list),
           TEST_OF(a_stream_without_retention_has_no_fragments_to_list))
