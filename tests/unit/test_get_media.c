/* SPDX-License-Identifier: Apache-2.0 */
/* GetMedia: layout, selectors, the live tail, its end. Contract: kvs-api.md §3. */
#include "documents.h"
#include "fake_call.h"
#include "fake_storage.h"
#include "playback_api.h"
#include "playback_internal.h"
#include "test.h"

#include <string.h>

#define T_MS           ((int64_t) 1700000000 * 1000)
#define SELECTOR(name) PLAYBACK_GetMedia_StartSelector_StartSelectorType_##name

struct fixture {
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id stream;
    struct capture capture;
    size_t count;
    struct playback playback; /* what these operations use of it */
    struct fake_call fake;
    bool called;
};

static struct fixture *fixture_new(const char *capture, uint32_t retention_hours)
{
    static const struct playback_conf conf = {.get_media_idle_ms = 3000,
                                              .get_media_ms_max = 45 * 60000};
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->capture = capture_read(capture);
    kn_fake_clock_init(&f->clock, T_MS);
    f->storage = fake_storage_new(&f->clock.clock);
    f->stream = fake_storage_stream(f->storage, "cam", retention_hours);
    f->playback = (struct playback){.storage = f->storage, .clock = &f->clock.clock, .conf = conf};
    fake_call_init(&f->fake, &f->clock.clock);
    return f;
}

/* A stream with a whole capture in it, the clock 10 s after its last fragment began. */
static struct fixture *recorded(const char *capture)
{
    struct fixture *f = fixture_new(capture, 24);

    f->count = fake_storage_load(f->storage, &f->stream, &f->capture,
                                 &(struct fake_load){.server_ts_ms = T_MS, .server_step_ms = 1000});
    assert_true(f->count >= 3);
    kn_fake_clock_advance(&f->clock, (int64_t) (f->count - 1) * 1000 + 10000);
    return f;
}

static void done(struct fixture *f)
{
    fake_call_done(&f->fake);
    fake_storage_free(f->storage);
    capture_done(&f->capture);
    free(f);
}

static int ask(struct fixture *f, const struct playback_GetMedia_StartSelector *selector)
{
    struct playback_GetMedia_in in = {.StreamName = KN_STR("cam"), .StartSelector = selector};
    struct playback_GetMedia_out out = {0};

    return playback_op_GetMedia(&f->playback, &in, &out, &f->fake.call);
}

static void start(struct fixture *f, const struct playback_GetMedia_StartSelector *selector)
{
    assert_ok(ask(f, selector));
    fake_call_start(&f->fake);
    assert_int_equal(f->fake.req.status, 200);
}

static void start_simple(struct fixture *f,
                         enum playback_GetMedia_StartSelector_StartSelectorType type)
{
    start(f, &(struct playback_GetMedia_StartSelector){.StartSelectorType = type});
}

/* Pulls until the answer waits for media, then lets the idle time pass. */
static void run_to_end(struct fixture *f, size_t cap)
{
    assert_int_equal(fake_call_run(&f->fake, cap), KN_HTTP_WAIT);
    assert_true(f->fake.req.deadline_ms > 0);
    kn_fake_clock_advance(&f->clock, f->fake.req.deadline_ms);
    fake_call_wake(&f->fake, KN_HTTP_WAKE_DEADLINE);
    assert_int_equal(fake_call_run(&f->fake, cap), KN_HTTP_EOF);
}

/* The document carries fragment `index` of the capture byte for byte, tags in their places. */
static void assert_document(struct fixture *f, const struct document *doc, size_t index)
{
    const struct capture_fragment *from = &f->capture.fragments[index];
    const uint8_t *header = f->capture.bytes;
    size_t segment = 0, lead = from->cluster - from->start;
    size_t after_cluster = from->end - from->cluster;
    uint32_t id = 0;
    uint64_t size = 0;
    size_t head = capture_element(header, f->capture.len, &id, &size);

    segment = head + (size_t) size; /* EBML, then the Segment, whose size field is one byte */
    assert_memory_equal(doc->start, header, segment);
    assert_int_equal(doc->segment, segment);
    assert_memory_equal(doc->start + segment, "\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
                        12);
    head = capture_element(header + segment, 12, &id, &size);
    assert_memory_equal(doc->start + segment + 12, header + segment + head,
                        f->capture.header_bytes - segment - head);
    assert_memory_equal(doc->start + doc->first_tags - lead, f->capture.bytes + from->start, lead);
    assert_int_equal(doc->first_tags - lead - (segment + 12),
                     f->capture.header_bytes - segment - head);
    assert_memory_equal(doc->start + doc->cluster, f->capture.bytes + from->cluster, after_cluster);
    if (doc->last_tags &&
        document_has_tag(doc, doc->last_tags, "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"))
        assert_int_equal(doc->last_tags, doc->cluster + after_cluster);
    else
        assert_int_equal(doc->len, doc->cluster + after_cluster);
}

static struct document *answered(struct fixture *f, size_t *ret_count)
{
    return documents_of(f->fake.req.body.ptr, f->fake.req.body.len, ret_count);
}

/* Asserts that the answer consists of whole fragments first … of the capture. */
static void assert_fragments(struct fixture *f, size_t first, size_t count)
{
    size_t got = 0;
    struct document *docs = answered(f, &got);

    assert_int_equal(got, count);
    for (size_t i = 0; i < count; i++) {
        assert_document(f, &docs[i], first + i);
        assert_true(
            document_has_tag(&docs[i], docs[i].last_tags, "AWS_KINESISVIDEO_CONTINUATION_TOKEN"));
    }
    free(docs);
}

TEST(a_document_is_laid_out_as_the_real_service_lays_it_out)
{
    struct fixture *f = recorded("media/captures/c164_h264_abs_eofr_meta.mkv");
    struct capture real = capture_read("media/getmedia/kvs_output_get_media.mkv");
    size_t got = 0, real_count = 0;
    char ours[2048], theirs[2048];

    start_simple(f, SELECTOR(EARLIEST));
    run_to_end(f, 64 << 10);

    struct document *docs = answered(f, &got);
    struct document *aws = documents_of(real.bytes, real.len, &real_count);
    assert_int_equal(got, f->count);
    assert_int_equal(real_count, 5);
    for (size_t i = 0; i < got; i++) {
        document_tags_shape(&docs[i], docs[i].first_tags, ours, sizeof ours);
        document_tags_shape(&aws[0], aws[0].first_tags, theirs, sizeof theirs);
        assert_string_equal(ours, theirs);
        document_tags_shape(&docs[i], docs[i].last_tags, ours, sizeof ours);
        document_tags_shape(&aws[0], aws[0].last_tags, theirs, sizeof theirs);
        assert_string_equal(ours, theirs);
        assert_document(f, &docs[i], i);
    }
    assert_int_equal(docs[0].frame_count, f->capture.fragments[0].frame_count);
    free(docs);
    free(aws);
    capture_done(&real);
    done(f);
}

TEST(tags_say_number_times_and_how_far_behind)
{
    struct fixture *f = recorded("media/captures/sink360_h264_rel.mkv");
    size_t got = 0;
    char number[STORAGE_NUMBER_TEXT_BYTES];

    start_simple(f, SELECTOR(EARLIEST));
    run_to_end(f, 4096);

    struct document *docs = answered(f, &got);
    struct kn_str token =
        document_tag(&docs[0], docs[0].last_tags, "AWS_KINESISVIDEO_CONTINUATION_TOKEN");
    assert_int_equal(token.len, 47);
    assert_str_is(document_tag(&docs[0], docs[0].first_tags, "AWS_KINESISVIDEO_SERVER_TIMESTAMP"),
                  "1700000000.000");
    assert_str_is(document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_SERVER_TIMESTAMP"),
                  "1700000001.000");
    assert_str_is(document_tag(&docs[0], docs[0].first_tags, "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"),
                  "0.000"); /* relative to 0: as in AWS's second capture */
    (void) snprintf(number, sizeof number, "%.*s", (int) token.len, token.ptr);
    assert_str_is(document_tag(&docs[0], docs[0].first_tags, "AWS_KINESISVIDEO_FRAGMENT_NUMBER"),
                  number);
    /* sent 10 s after the last fragment began */
    assert_str_is(
        document_tag(&docs[got - 1], docs[got - 1].last_tags, "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"),
        "10000");
    free(docs);
    done(f);
}

TEST(any_size_of_pull_gives_the_same_bytes)
{
    struct fixture *f = recorded("media/captures/c164_persistmeta_2_tags_before_cluster.mkv");
    static const size_t caps[] = {64, 65, 127, 1000, 16384, 1 << 20};

    for (size_t i = 0; i < KN_ARRAY_LEN(caps); i++) {
        start_simple(f, SELECTOR(EARLIEST));
        run_to_end(f, caps[i]);
        assert_fragments(f, 0, f->count);
        fake_call_done(&f->fake);
        fake_call_init(&f->fake, &f->clock.clock);
    }
    done(f);
}

TEST(every_capture_comes_back_byte_for_byte)
{
    static const char *const names[] = {
        "c164_h264_aac_abs_tc0.mkv",  "c164_h265_abs_eofr_meta.mkv",   "sink360_h264_aac_abs.mkv",
        "sink360_h264_scale10ms.mkv", "sink360_rollover_session1.mkv",
    };

    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++) {
        char path[128];
        struct fixture *f;

        (void) snprintf(path, sizeof path, "media/captures/%s", names[i]);
        f = recorded(path);
        start_simple(f, SELECTOR(EARLIEST));
        run_to_end(f, 32 << 10);
        assert_fragments(f, 0, f->count);
        done(f);
    }
}

TEST(after_a_number_begins_with_the_next_fragment_even_if_the_number_is_gone)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
    char number[STORAGE_NUMBER_TEXT_BYTES];

    storage_number_format(&(struct storage_number){.seq = 1, .server_ts_ms = 5, .random = 7},
                          number);
    start(f,
          &(struct playback_GetMedia_StartSelector){.StartSelectorType = SELECTOR(FRAGMENT_NUMBER),
                                                    .AfterFragmentNumber = kn_str_from(number)});
    run_to_end(f, 4096);

    assert_fragments(f, 1, f->count - 1);
    done(f);
}

TEST(a_continuation_token_goes_on_where_the_answer_ended)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
    size_t got = 0;
    char token[STORAGE_NUMBER_TEXT_BYTES];

    start_simple(f, SELECTOR(EARLIEST));
    run_to_end(f, 4096);
    struct document *docs = answered(f, &got);
    struct kn_str sent =
        document_tag(&docs[1], docs[1].last_tags, "AWS_KINESISVIDEO_CONTINUATION_TOKEN");
    assert_ok(kn_str_copy(token, sizeof token, sent));
    free(docs);
    fake_call_done(&f->fake);
    fake_call_init(&f->fake, &f->clock.clock);

    start(f, &(struct playback_GetMedia_StartSelector){.StartSelectorType =
                                                           SELECTOR(CONTINUATION_TOKEN),
                                                       .ContinuationToken = kn_str_from(token)});
    run_to_end(f, 4096);

    assert_fragments(f, 2, f->count - 2);
    done(f);
}

TEST(a_time_selects_the_fragment_that_contains_it_else_the_next)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    start(f, &(struct playback_GetMedia_StartSelector){
                 .StartSelectorType = SELECTOR(SERVER_TIMESTAMP),
                 .StartTimestamp = {true, T_MS + 1000 + 5}
    });
    run_to_end(f, 4096);
    assert_fragments(f, 1, f->count - 1);
    fake_call_done(&f->fake);
    fake_call_init(&f->fake, &f->clock.clock);

    /* before everything: the oldest */
    start(f, &(struct playback_GetMedia_StartSelector){
                 .StartSelectorType = SELECTOR(PRODUCER_TIMESTAMP), .StartTimestamp = {true, 1}
    });
    run_to_end(f, 4096);
    assert_fragments(f, 0, f->count);
    done(f);
}

TEST(a_time_to_come_waits_for_its_fragment)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
    int64_t now = kn_wall_ms(&f->clock.clock);

    start(f, &(struct playback_GetMedia_StartSelector){
                 .StartSelectorType = SELECTOR(SERVER_TIMESTAMP),
                 .StartTimestamp = {true, now + 500}
    });
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_int_equal(f->fake.req.body.len, 0);

    kn_fake_clock_advance(&f->clock, 600);
    (void) fake_storage_send(f->storage, &f->stream, &f->capture, 0);
    assert_true(fake_call_gate(&f->fake));
    run_to_end(f, 4096);

    assert_fragments(f, 0, 1);
    done(f);
}

TEST(now_on_an_idle_stream_begins_with_the_next_fragment)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_int_equal(f->fake.req.body.len, 0);
    (void) fake_storage_send(f->storage, &f->stream, &f->capture, 1);
    assert_true(fake_call_gate(&f->fake));
    run_to_end(f, 4096);

    assert_fragments(f, 1, 1);
    done(f);
}

TEST(now_gives_the_fragment_in_flight_from_its_beginning_and_its_frames_as_they_come)
{
    struct fixture *f = fixture_new("media/captures/c164_h264_abs_eofr_meta.mkv", 24);
    const struct capture_fragment *one = &f->capture.fragments[0];
    size_t at = one->start, frames_seen = 0;

    (void) fake_storage_begin(f->storage, &f->stream, &f->capture, one->timecode, T_MS);
    start_simple(f, SELECTOR(NOW));
    for (size_t i = 0; i < one->mark_count; i++) {
        size_t before = f->fake.req.body.len;

        fake_storage_part(f->storage, &f->stream, f->capture.bytes + at, one->marks[i] - at);
        (void) fake_call_gate(&f->fake);
        assert_int_equal(fake_call_run(&f->fake, 16384), KN_HTTP_WAIT);
        /* exactly these bytes came out, before the next ones went in */
        assert_memory_equal(f->fake.req.body.ptr + f->fake.req.body.len - (one->marks[i] - at),
                            f->capture.bytes + at, one->marks[i] - at);
        assert_true(i == 0 || f->fake.req.body.len - before == one->marks[i] - at);
        at = one->marks[i];
        frames_seen++;
    }
    assert_true(frames_seen > one->frame_count);
    fake_storage_commit(f->storage, &f->stream, one);
    assert_true(fake_call_gate(&f->fake));
    run_to_end(f, 16384);

    assert_fragments(f, 0, 1);
    done(f);
}

TEST(a_complete_fragment_is_closed_without_waiting_for_its_flush)
{
    struct fixture *f = fixture_new("media/captures/sink360_h264_abs.mkv", 24);
    const struct capture_fragment *one = &f->capture.fragments[0];
    const struct capture_fragment *two = &f->capture.fragments[1];

    (void) fake_storage_begin(f->storage, &f->stream, &f->capture, one->timecode, T_MS);
    start_simple(f, SELECTOR(NOW));
    fake_storage_part(f->storage, &f->stream, f->capture.bytes + one->start, one->end - one->start);
    assert_int_equal(fake_call_run(&f->fake, 16384), KN_HTTP_WAIT);
    fake_storage_complete(f->storage, &f->stream);
    assert_true(fake_call_gate(&f->fake));
    assert_int_equal(fake_call_run(&f->fake, 16384), KN_HTTP_WAIT);
    assert_fragments(f, 0, 1);

    (void) fake_storage_begin(f->storage, &f->stream, &f->capture, two->timecode, T_MS + 1);
    fake_storage_part(f->storage, &f->stream, f->capture.bytes + two->start, two->end - two->start);
    fake_storage_complete(f->storage, &f->stream);
    assert_true(fake_call_gate(&f->fake));
    assert_int_equal(fake_call_run(&f->fake, 16384), KN_HTTP_WAIT);
    assert_fragments(f, 0, 2);
    fake_storage_commit(f->storage, &f->stream, one);
    fake_storage_commit(f->storage, &f->stream, two);
    (void) fake_call_gate(&f->fake);
    run_to_end(f, 16384);
    assert_fragments(f, 0, 2);
    done(f);
}

TEST(leading_tags_of_a_fragment_in_flight_stay_before_ours)
{
    struct fixture *f =
        fixture_new("media/captures/c164_persistmeta_2_tags_before_cluster.mkv", 24);
    const struct capture_fragment *one = &f->capture.fragments[0];
    size_t at = one->start;

    assert_true(one->cluster > one->start);
    (void) fake_storage_begin(f->storage, &f->stream, &f->capture, one->timecode, T_MS);
    start_simple(f, SELECTOR(NOW));
    for (size_t i = 0; i < one->mark_count; i++) {
        fake_storage_part(f->storage, &f->stream, f->capture.bytes + at, one->marks[i] - at);
        (void) fake_call_gate(&f->fake);
        assert_int_equal(fake_call_run(&f->fake, 16384), KN_HTTP_WAIT);
        if (one->marks[i] <= one->cluster)
            assert_int_equal(f->fake.req.body.len, 0); /* where the Cluster begins is not known */
        at = one->marks[i];
    }
    fake_storage_commit(f->storage, &f->stream, one);
    (void) fake_call_gate(&f->fake);
    run_to_end(f, 16384);

    assert_fragments(f, 0, 1);
    done(f);
}

TEST(a_fragment_given_up_ends_its_document_without_closing_tags_and_the_next_follows)
{
    struct fixture *f = fixture_new("media/captures/sink360_h264_abs.mkv", 24);
    const struct capture_fragment *one = &f->capture.fragments[0];
    size_t got = 0;

    (void) fake_storage_begin(f->storage, &f->stream, &f->capture, one->timecode, T_MS);
    fake_storage_part(f->storage, &f->stream, f->capture.bytes + one->start,
                      one->marks[10] - one->start);
    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    fake_storage_abort(f->storage, &f->stream);
    assert_true(fake_call_gate(&f->fake));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    (void) fake_storage_send(f->storage, &f->stream, &f->capture, 0);
    assert_true(fake_call_gate(&f->fake));
    run_to_end(f, 4096);

    struct document *docs = answered(f, &got);
    assert_int_equal(got, 2);
    assert_int_equal(docs[0].last_tags, 0);
    assert_int_equal(docs[0].len - docs[0].cluster, one->marks[10] - one->cluster);
    assert_document(f, &docs[1], 0);
    free(docs);
    done(f);
}

/* The first fragment of a capture with its Cluster given a size, as ffmpeg would write it. */
static struct capture sized_capture(const struct capture *from)
{
    const struct capture_fragment *one = &from->fragments[0];
    size_t payload = one->cluster_end - one->cluster - 5;
    uint8_t *bytes = malloc(from->header_bytes + 12 + payload);
    struct capture sized;

    assert_non_null(bytes);
    memcpy(bytes, from->bytes, from->header_bytes);
    memcpy(bytes + from->header_bytes, "\x1F\x43\xB6\x75\x01", 5);
    for (size_t i = 0; i < 7; i++)
        bytes[from->header_bytes + 5 + i] = (uint8_t) ((uint64_t) payload >> (8 * (6 - i)));
    memcpy(bytes + from->header_bytes + 12, from->bytes + one->cluster + 5, payload);
    sized = capture_parse(bytes, from->header_bytes + 12 + payload);
    free(bytes);
    return sized;
}

TEST(a_given_up_cluster_of_known_size_is_filled_up_so_that_the_next_document_is_found)
{
    struct fixture *f = fixture_new("media/captures/sink360_h264_abs.mkv", 24);
    struct capture sized = sized_capture(&f->capture);
    const struct capture_fragment *one = &sized.fragments[0];
    size_t got = 0;

    assert_true(one->whole);
    (void) fake_storage_begin(f->storage, &f->stream, &sized, one->timecode, T_MS);
    fake_storage_part(f->storage, &f->stream, sized.bytes + one->start,
                      one->marks[10] - one->start);
    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 1000), KN_HTTP_WAIT);
    fake_storage_abort(f->storage, &f->stream);
    (void) fake_storage_send(f->storage, &f->stream, &sized, 0);
    assert_true(fake_call_gate(&f->fake));
    run_to_end(f, 1000);

    struct document *docs = answered(f, &got);
    assert_int_equal(got, 2);
    assert_int_equal(docs[0].void_count, 1);
    assert_int_equal(docs[0].len - docs[0].cluster, one->end - one->cluster);
    assert_int_equal(docs[1].void_count, 0);
    assert_int_equal(docs[1].frame_count, one->frame_count);
    free(docs);
    capture_done(&sized);
    done(f);
}

/* One upload given up at a random place while a reader pulls at random sizes, then sent whole. */
static void give_up_once(const struct capture *capture, uint64_t *random)
{
    struct fixture *f = fixture_new("media/captures/sink360_h264_abs.mkv", 24);
    const struct capture_fragment *one = &capture->fragments[0];
    size_t cut = 2 + test_random(random) % (one->mark_count - 2), at = one->start, got = 0;

    (void) fake_storage_begin(f->storage, &f->stream, capture, one->timecode, T_MS);
    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT); /* "now" is here */
    for (size_t i = 0; i <= cut; i++) {
        fake_storage_part(f->storage, &f->stream, capture->bytes + at, one->marks[i] - at);
        at = one->marks[i];
        if (test_random(random) % 3)
            continue;
        (void) fake_call_gate(&f->fake);
        (void) fake_call_pull(&f->fake, 64 + test_random(random) % 3000);
    }
    fake_storage_abort(f->storage, &f->stream);
    (void) fake_storage_send(f->storage, &f->stream, capture, 0);
    (void) fake_call_gate(&f->fake);
    run_to_end(f, 64 + test_random(random) % 3000);

    struct document *docs = answered(f, &got); /* fails when it is not parsable throughout */
    assert_true(got == 1 || got == 2);
    assert_int_equal(docs[got - 1].frame_count, one->frame_count);
    assert_true(docs[got - 1].last_tags > 0);
    assert_true(got == 1 || docs[0].last_tags == 0);
    free(docs);
    done(f);
}

TEST(whenever_a_fragment_is_given_up_what_was_sent_can_be_parsed)
{
    struct capture plain = capture_read("media/captures/sink360_h264_abs.mkv");
    struct capture sized = sized_capture(&plain);
    uint64_t random = test_seed();

    for (int i = 0; i < 100; i++) {
        give_up_once(&plain, &random);
        give_up_once(&sized, &random);
    }
    capture_done(&plain);
    capture_done(&sized);
}

TEST(whenever_a_fragment_is_trimmed_what_was_sent_can_be_parsed)
{
    uint64_t random = test_seed();

    for (int i = 0; i < 60; i++) {
        struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
        size_t got = 0;

        start_simple(f, SELECTOR(EARLIEST));
        for (uint64_t pulls = 1 + test_random(&random) % 40; pulls > 0; pulls--)
            assert_true(fake_call_pull(&f->fake, 64 + test_random(&random) % 2000) > 0);
        fake_storage_trim(f->storage, &f->stream, 1);
        if (fake_call_run(&f->fake, 4096) == KN_HTTP_WAIT) /* the first one was through already */
            run_to_end(f, 4096);

        struct document *docs = answered(f, &got);
        assert_true(got == 2 || got == f->count);
        free(docs);
        done(f);
    }
}

TEST(a_fragment_trimmed_while_it_is_read_ends_with_an_error_document)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
    size_t got = 0;

    start_simple(f, SELECTOR(EARLIEST));
    for (int i = 0; i < 3; i++)
        assert_true(fake_call_pull(&f->fake, 2000) > 0);
    fake_storage_trim(f->storage, &f->stream, 1);
    assert_int_equal(fake_call_run(&f->fake, 2000), KN_HTTP_EOF);

    struct document *docs = answered(f, &got);
    assert_int_equal(got, 2);
    assert_int_equal(docs[0].last_tags, 0);
    assert_int_equal(docs[1].cluster, 0);
    assert_str_is(document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_ERROR_ID"), "4000");
    assert_str_is(document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_ERROR_CODE"),
                  "FRAGMENT_NOT_FOUND");
    struct kn_str number =
        document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_FRAGMENT_NUMBER");
    assert_memory_equal(
        number.ptr,
        document_tag(&docs[0], docs[0].first_tags, "AWS_KINESISVIDEO_FRAGMENT_NUMBER").ptr, 47);
    assert_false(
        document_has_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_SERVER_TIMESTAMP"));
    free(docs);
    done(f);
}

TEST(a_disk_error_in_the_middle_ends_with_an_internal_error)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
    size_t got = 0;

    start_simple(f, SELECTOR(EARLIEST));
    fake_storage_fail_read(f->storage, -EIO, 3000);
    assert_int_equal(fake_call_run(&f->fake, 2000), KN_HTTP_EOF);

    struct document *docs = answered(f, &got);
    assert_int_equal(got, 2);
    assert_str_is(document_tag(&docs[1], docs[1].first_tags, "AWS_KINESISVIDEO_ERROR_ID"), "5000");
    free(docs);
    done(f);
}

TEST(a_cold_disk_is_read_by_a_worker_and_gives_the_same_bytes)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    fake_storage_set_cold(f->storage, true);
    start_simple(f, SELECTOR(EARLIEST));
    run_to_end(f, 16384);

    assert_fragments(f, 0, f->count);
    assert_true(f->fake.req.jobs >= f->fake.req.body.len / (256 << 10));
    done(f);
}

TEST(a_cold_index_at_the_tail_waits_for_the_gate_and_not_in_a_circle)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    fake_storage_set_cold(f->storage, true);
    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 16384), KN_HTTP_WAIT);
    assert_true(f->fake.req.jobs <= 3);
    assert_non_null(f->fake.req.gate);
    (void) fake_storage_send(f->storage, &f->stream, &f->capture, 0);
    assert_true(fake_call_gate(&f->fake));
    run_to_end(f, 16384);

    assert_fragments(f, 0, 1);
    done(f);
}

TEST(a_full_worker_pool_is_asked_again)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    fake_storage_set_cold(f->storage, true);
    f->fake.req.pool_full = true;
    start_simple(f, SELECTOR(EARLIEST));
    assert_int_equal(fake_call_run(&f->fake, 16384), KN_HTTP_WAIT);
    assert_true(f->fake.req.deadline_ms > 0);
    assert_int_equal(f->fake.req.jobs, 0);
    f->fake.req.pool_full = false;
    fake_call_wake(&f->fake, KN_HTTP_WAKE_DEADLINE);
    run_to_end(f, 16384);

    assert_fragments(f, 0, f->count);
    done(f);
}

TEST(nothing_is_pulled_while_a_worker_has_the_source)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    fake_storage_set_cold(f->storage, true);
    start_simple(f, SELECTOR(EARLIEST));
    assert_int_equal(fake_call_pull(&f->fake, 4096), KN_HTTP_WAIT);
    assert_true(fake_call_has_job(&f->fake));
    fake_call_wake(&f->fake, KN_HTTP_WAKE_DEADLINE);
    assert_int_equal(fake_call_pull(&f->fake, 4096), KN_HTTP_WAIT);
    fake_call_job(&f->fake);
    run_to_end(f, 4096);

    assert_fragments(f, 0, f->count);
    done(f);
}

TEST(the_body_ends_after_three_seconds_without_media)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_int_equal(f->fake.req.deadline_ms, 3000);
    kn_fake_clock_advance(&f->clock, 2000);
    (void) fake_storage_send(f->storage, &f->stream, &f->capture, 0);
    assert_true(fake_call_gate(&f->fake));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_int_equal(f->fake.req.deadline_ms, 3000); /* media came: it counts anew */

    kn_fake_clock_advance(&f->clock, 2999);
    fake_call_wake(&f->fake, KN_HTTP_WAKE_DEADLINE);
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_int_equal(f->fake.req.deadline_ms, 1);
    kn_fake_clock_advance(&f->clock, 1);
    fake_call_wake(&f->fake, KN_HTTP_WAKE_DEADLINE);
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_EOF);
    assert_null(f->fake.req.gate);
    done(f);
}

TEST(a_header_sets_the_idle_time_and_zero_waits_without_end)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    fake_call_header(&f->fake, "x-kinema-idle-timeout-ms", "20000");
    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_int_equal(f->fake.req.deadline_ms, 20000);
    fake_call_done(&f->fake);
    fake_call_init(&f->fake, &f->clock.clock);

    fake_call_header(&f->fake, "x-kinema-idle-timeout-ms", "0");
    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_int_equal(f->fake.req.deadline_ms, 45 * 60000); /* the time limit is another header's */
    fake_call_done(&f->fake);
    fake_call_init(&f->fake, &f->clock.clock);

    fake_call_header(&f->fake, "x-kinema-idle-timeout-ms", "0");
    fake_call_header(&f->fake, "x-kinema-max-duration-ms", "0");
    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    assert_true(f->fake.req.deadline_ms < 0);
    done(f);
}

TEST(the_time_limit_lets_the_fragment_under_way_end)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    start_simple(f, SELECTOR(EARLIEST));
    assert_true(fake_call_pull(&f->fake, 4096) > 0);
    kn_fake_clock_advance(&f->clock, 46 * 60000);
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_EOF);

    assert_fragments(f, 0, 1);
    done(f);
}

TEST(a_server_that_stops_ends_the_body_at_a_fragments_end)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    start_simple(f, SELECTOR(EARLIEST));
    assert_true(fake_call_pull(&f->fake, 4096) > 0);
    fake_call_wake(&f->fake, KN_HTTP_WAKE_SHUTDOWN);
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_EOF);

    assert_fragments(f, 0, 1);
    done(f);
}

TEST(a_deleted_stream_ends_the_body)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");

    start_simple(f, SELECTOR(NOW));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_WAIT);
    fake_storage_set_deleting(f->storage, &f->stream);
    assert_true(fake_call_gate(&f->fake));
    assert_int_equal(fake_call_run(&f->fake, 4096), KN_HTTP_EOF);
    done(f);
}

TEST(a_stream_without_retention_is_read_from_memory)
{
    struct fixture *f = fixture_new("media/captures/sink360_h264_abs.mkv", 0);

    (void) fake_storage_send(f->storage, &f->stream, &f->capture, 0);
    (void) fake_storage_send(f->storage, &f->stream, &f->capture, 1);
    start_simple(f, SELECTOR(EARLIEST));
    run_to_end(f, 4096);

    assert_fragments(f, 0, 2);
    done(f);
}

TEST(an_arn_names_the_stream_of_its_creation_time_only)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
    struct playback_GetMedia_StartSelector now = {.StartSelectorType = SELECTOR(NOW)};
    struct playback_GetMedia_out out = {0};
    struct playback_GetMedia_in in = {
        .StreamARN = KN_STR("arn:aws:kinesisvideo:us-east-1:000000000000:stream/cam/1600000000000"),
        .StartSelector = &now};

    assert_true(playback_op_GetMedia(&f->playback, &in, &out, &f->fake.call) < 0);
    assert_string_equal(f->fake.state.fault, "ResourceNotFoundException");
    in.StreamARN = KN_STR("arn:aws:kinesisvideo:us-east-1:000000000000:stream/cam/1700000000000");
    assert_ok(playback_op_GetMedia(&f->playback, &in, &out, &f->fake.call));
    fake_call_start(&f->fake);
    done(f);
}

TEST(what_is_wrong_with_a_request_is_said)
{
    struct fixture *f = recorded("media/captures/sink360_h264_abs.mkv");
    struct playback_GetMedia_out out = {0};
    struct playback_GetMedia_StartSelector now = {.StartSelectorType = SELECTOR(NOW)};
    struct playback_GetMedia_in unknown = {.StreamName = KN_STR("nobody"), .StartSelector = &now};
    struct playback_GetMedia_in none = {.StartSelector = &now};

    assert_true(ask(f, &(struct playback_GetMedia_StartSelector){
                           .StartSelectorType = SELECTOR(FRAGMENT_NUMBER)}) < 0);
    assert_string_equal(f->fake.state.fault, "InvalidArgumentException");
    assert_true(ask(f, &(struct playback_GetMedia_StartSelector){
                           .StartSelectorType = SELECTOR(CONTINUATION_TOKEN),
                           .ContinuationToken = KN_STR("not-a-number")}) < 0);
    assert_string_equal(f->fake.state.fault, "InvalidArgumentException");
    assert_true(ask(f, &(struct playback_GetMedia_StartSelector){
                           .StartSelectorType = SELECTOR(SERVER_TIMESTAMP)}) < 0);
    assert_string_equal(f->fake.state.fault, "InvalidArgumentException");
    assert_true(playback_op_GetMedia(&f->playback, &unknown, &out, &f->fake.call) < 0);
    assert_string_equal(f->fake.state.fault, "ResourceNotFoundException");
    assert_true(playback_op_GetMedia(&f->playback, &none, &out, &f->fake.call) < 0);
    assert_string_equal(f->fake.state.fault, "InvalidArgumentException");
    fake_storage_set_deleting(f->storage, &f->stream);
    assert_true(ask(f, &now) < 0);
    assert_string_equal(f->fake.state.fault, "ResourceNotFoundException");

    fake_call_header(&f->fake, "x-kinema-idle-timeout-ms", "soon");
    assert_true(ask(f, &now) < 0);
    assert_null(f->fake.state.taken);
    done(f);
}

TESTS_MAIN(
    TEST_OF(a_document_is_laid_out_as_the_real_service_lays_it_out),
    TEST_OF(tags_say_number_times_and_how_far_behind),
    TEST_OF(any_size_of_pull_gives_the_same_bytes), TEST_OF(every_capture_comes_back_byte_for_byte),
    TEST_OF(after_a_number_begins_with_the_next_fragment_even_if_the_number_is_gone),
    TEST_OF(a_continuation_token_goes_on_where_the_answer_ended),
    TEST_OF(a_time_selects_the_fragment_that_contains_it_else_the_next),
    TEST_OF(a_time_to_come_waits_for_its_fragment),
    TEST_OF(now_on_an_idle_stream_begins_with_the_next_fragment),
    TEST_OF(now_gives_the_fragment_in_flight_from_its_beginning_and_its_frames_as_they_come),
    TEST_OF(a_complete_fragment_is_closed_without_waiting_for_its_flush),
    TEST_OF(leading_tags_of_a_fragment_in_flight_stay_before_ours),
    TEST_OF(a_fragment_given_up_ends_its_document_without_closing_tags_and_the_next_follows),
    TEST_OF(a_given_up_cluster_of_known_size_is_filled_up_so_that_the_next_document_is_found),
    TEST_OF(whenever_a_fragment_is_given_up_what_was_sent_can_be_parsed),
    TEST_OF(whenever_a_fragment_is_trimmed_what_was_sent_can_be_parsed),
    TEST_OF(a_fragment_trimmed_while_it_is_read_ends_with_an_error_document),
    TEST_OF(a_disk_error_in_the_middle_ends_with_an_internal_error),
    TEST_OF(a_cold_disk_is_read_by_a_worker_and_gives_the_same_bytes),
    TEST_OF(a_cold_index_at_the_tail_waits_for_the_gate_and_not_in_a_circle),
    TEST_OF(a_full_worker_pool_is_asked_again),
    TEST_OF(nothing_is_pulled_while_a_worker_has_the_source),
    TEST_OF(the_body_ends_after_three_seconds_without_media),
    TEST_OF(a_header_sets_the_idle_time_and_zero_waits_without_end),
    TEST_OF(the_time_limit_lets_the_fragment_under_way_end),
    TEST_OF(a_server_that_stops_ends_the_body_at_a_fragments_end),
    TEST_OF(a_deleted_stream_ends_the_body),
    TEST_OF(a_stream_without_retention_is_read_from_memory),
    TEST_OF(an_arn_names_the_stream_of_its_creation_time_only),
    TEST_OF(what_is_wrong_with_a_request_is_said))
