/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragment events end to end below HTTP: uploads into a real storage, records in real shards.
 * Each test asks at the end that what the data streams hold is, in order and once each, an event
 * for every fragment that was persisted.
 */
#include "datastream_internal.h"
#include "event_place.h"
#include "fragment_event.h"
#include "storage_internal.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "tend.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

#include "core/json.h"
#include "datastream/events.h"

enum {
    PATIENCE_MS = 60000,
    SEEN_MAX = 4096
};

static const struct datastream_conf conf_of_streams; /* not needed here */
static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};

struct rig {
    struct temp_dir dir;
    struct storage *storage;
    struct datastream *ds;
    struct storage_event_sender *events;
    struct capture capture;
    struct storage_id cam;
    int64_t shift_ms; /* so that no fragment looks like one sent again */
};

static void start_events(struct rig *rig)
{
    struct kn_err err = {0};
    const struct datastream_events_conf conf = {.storage = rig->storage,
                                                .datastream = rig->ds,
                                                .identity = &identity,
                                                .clock = kn_clock_system(),
                                                .endpoint = "http://127.0.0.1:4566"};
    assert_ok(datastream_events_start(&conf, &rig->events, &err));
}

static void stop_events(struct rig *rig)
{
    datastream_events_stop(KN_MOVE(rig->events));
}

/* The real disk, on which the log of shards can be made to fail: no flush of records succeeds. */
static struct {
    struct kn_fs fs;
    struct kn_fs_ops ops;
    _Atomic bool fails;
} disk;

static int disk_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    int r = kn_fs_system()->ops->open(kn_fs_system(), path, flags, ret);
    if (r == 0)
        (*ret)->fs = fs;
    return r;
}

static int disk_sync(struct kn_file *file)
{
    char name[16] = "";
    (void) pthread_getname_np(pthread_self(), name, sizeof(name));
    return disk.fails && strcmp(name, "shard-commit") == 0 ? -EIO : kn_fs_system()->ops->sync(file);
}

static struct kn_fs *failing_disk(void)
{
    disk.ops = *kn_fs_system()->ops;
    disk.ops.open = disk_open;
    disk.ops.sync = disk_sync;
    disk.fs.ops = &disk.ops;
    return &disk.fs;
}

static void open_all(struct rig *rig)
{
    struct kn_err err = {0};
    rig->storage = rig_open_with_shards(rig->dir.path, failing_disk());
    assert_ok(datastream_new(rig->storage, &conf_of_streams, &identity, kn_clock_system(), &rig->ds,
                             &err));
    start_events(rig);
}

static void close_all(struct rig *rig)
{
    stop_events(rig);
    datastream_free(rig->ds);
    storage_close(rig->storage);
}

static struct datastream_stream *make_data_stream(struct rig *rig, const char *name)
{
    int64_t now_ms = kn_wall_ms(kn_clock_system());
    struct datastream_settings settings = {.name = kn_str_from(name),
                                           .created_ms = now_ms,
                                           .retention_hours = 24,
                                           .record_kib_max = 1024};
    struct datastream_shard_map map;
    struct datastream_stream *stream;
    assert_ok(datastream_shard_map_even(2, now_ms, &map));
    assert_ok(datastream_stream_create(rig->ds->streams, &settings, &map, &stream));
    datastream_stream_unref(stream);
    return stream; /* the module holds it */
}

static int set(struct rig *rig, const char *data_stream)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find_id(rig->storage, &rig->cam);
    return storage_events_set(rig->storage, rig->events, stream, kn_str_from(data_stream));
}

static void setup_with(struct rig *rig, const char *capture)
{
    *rig = (struct rig){.dir = temp_dir_new(), .capture = capture_read(capture)};
    open_all(rig);
    rig->cam = rig_stream(rig->storage, "yard", 24);
}

static void setup(struct rig *rig)
{
    setup_with(rig, "media/captures/c164_h264_abs_eofr_meta.mkv");
}

static void teardown(struct rig *rig)
{
    close_all(rig);
    capture_done(&rig->capture);
    temp_dir_remove(&rig->dir);
}

/* So many fragments, persisted. */
static void upload(struct rig *rig, size_t count)
{
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, rig->storage, &rig->cam, false));
    rig_upload_header(&up, &rig->capture);
    for (size_t i = 0; i < count; i++) {
        size_t at = i % (rig->capture.fragment_count - 1);
        if (at == 0)
            rig->shift_ms += 60000;
        assert_ok(rig_upload_fragment(&up, &rig->capture, at, rig->shift_ms));
    }
    rig_upload_settle(&up);
    rig_upload_close(&up);
    rig_upload_done(&up);
}

/* --- what the data streams hold --------------------------------------------------------------- */
struct seen {
    char numbers[SEEN_MAX][STORAGE_NUMBER_TEXT_BYTES];
    size_t count;
    struct kn_buf first; /* the first event whole */
};

static void see(struct seen *seen, const struct storage_shard_record *record)
{
    struct kn_json_reader r;
    struct kn_str number = {NULL, 0};
    enum kn_json_token token;
    assert_str_is(record->key, "yard");
    if (seen->count == 0)
        assert_ok(kn_buf_append(&seen->first, record->data.ptr, record->data.len));
    kn_json_reader_init(&r, record->data);
    assert_ok(kn_json_next(&r, &token));
    while (kn_json_next(&r, &token) == 0 && token == KN_JSON_KEY) {
        bool wanted = kn_str_eq(r.raw, KN_STR("fragmentNumber"));
        assert_ok(kn_json_next(&r, &token));
        if (wanted)
            number = r.raw;
        assert_ok(kn_json_skip(&r, token));
    }
    assert_int_equal(token, KN_JSON_OBJECT_END);
    assert_in_range(seen->count, 0, SEEN_MAX - 1);
    assert_ok(kn_str_copy(seen->numbers[seen->count++], STORAGE_NUMBER_TEXT_BYTES, number));
}

static void read_shard(struct rig *rig, struct datastream_stream *stream, uint32_t shard,
                       struct seen *seen)
{
    struct storage_shard *log;
    assert_ok(datastream_log_get(rig->ds, stream, shard, false, &log));
    struct storage_shard_read read = {.count_max = 100, .bytes_max = MIB(1)};
    for (bool at_end = false; !at_end;) {
        struct storage_page page;
        assert_ok(storage_shard_read(log, &read, &page));
        for (size_t i = 0; i < page.count; i++)
            see(seen, &page.records[i]);
        read.from = page.next;
        at_end = page.at_end;
        storage_page_free(&page);
    }
    storage_shard_unref(log);
}

/* Shards by rising index: parents come before children. */
static void read_stream(struct rig *rig, const char *name, struct seen *seen)
{
    struct datastream_stream *stream = datastream_stream_find(rig->ds->streams, kn_str_from(name));
    assert_non_null(stream);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    for (size_t i = 0; i < shards->map.count; i++)
        read_shard(rig, stream, shards->map.rows[i].index, seen);
    datastream_stream_unref(stream);
}

static struct seen *seen_new(void)
{
    struct seen *seen = calloc(1, sizeof(*seen));
    assert_non_null(seen);
    kn_buf_init(&seen->first, MIB(1));
    return seen;
}

static void seen_free(struct seen *seen)
{
    kn_buf_done(&seen->first);
    free(seen);
}

/* The events are those of the fragments after the first `skip`, and no others. */
static void assert_complete(struct rig *rig, const struct seen *seen, size_t skip)
{
    const struct storage_query all = {.order = STORAGE_BY_NUMBER};
    struct storage_fragment *fragments = calloc(SEEN_MAX, sizeof(*fragments));
    size_t count = 0;
    assert_ok(storage_find(rig->storage, &rig->cam, &all, fragments, SEEN_MAX, &count, false));
    assert_int_equal(seen->count, count - skip);
    for (size_t i = 0; i < seen->count; i++) {
        char number[STORAGE_NUMBER_TEXT_BYTES];
        storage_number_format(&fragments[skip + i].number, number);
        assert_string_equal(seen->numbers[i], number);
    }
    free(fragments);
}

/* --- waiting ---------------------------------------------------------------------------------- */
struct waiting {
    struct kn_gate_waiter waiter;
    struct kn_lock lock;
    struct kn_cond moved;
    bool woken;
};

static void wake(struct kn_gate_waiter *waiter)
{
    struct waiting *waiting = KN_CONTAINER_OF(waiter, struct waiting, waiter);
    KN_LOCKED(&waiting->lock);
    waiting->woken = true;
    kn_cond_signal(&waiting->moved);
}

/* Until the shards that own the key, now and before, say that they have this fragment's event. */
static uint64_t await_seq_of(struct rig *rig, const char *name, struct kn_str key, uint64_t seq)
{
    struct waiting waiting = {.waiter = {.wake = wake}};
    kn_lock_init(&waiting.lock);
    kn_cond_init(&waiting.moved);
    uint64_t sent = 0;
    int64_t end_ns = kn_mono_ns(kn_clock_system()) + (int64_t) PATIENCE_MS * 1000000;
    while (sent < seq && kn_mono_ns(kn_clock_system()) < end_ns) {
        struct datastream_event_place place;
        assert_ok(datastream_event_place_find(rig->ds, kn_str_from(name), key, &rig->cam, &place));
        sent = place.sent_seq;
        struct kn_gate *gate = storage_shard_gate(place.shard);
        uint64_t value = kn_gate_value(gate);
        if (sent < seq && storage_shard_source_seq(place.shard, &rig->cam) < seq &&
            kn_gate_join(gate, &waiting.waiter, value)) {
            kn_lock_take(&waiting.lock);
            if (!waiting.woken)
                (void) kn_cond_wait_for(&waiting.moved, &waiting.lock, 200000000);
            waiting.woken = false;
            kn_lock_give(&waiting.lock);
            kn_gate_leave(gate, &waiting.waiter);
        }
        datastream_event_place_done(&place);
    }
    kn_cond_done(&waiting.moved);
    kn_lock_done(&waiting.lock);
    return sent;
}

static uint64_t await_seq(struct rig *rig, const char *name, uint64_t seq)
{
    return await_seq_of(rig, name, KN_STR("yard"), seq);
}

static uint64_t newest(struct rig *rig)
{
    const struct storage_query query = {.order = STORAGE_BY_NUMBER, .newest_first = true};
    struct storage_fragment fragment;
    size_t count = 0;
    assert_ok(storage_find(rig->storage, &rig->cam, &query, &fragment, 1, &count, false));
    return count > 0 ? fragment.number.seq : 0;
}

static void await_all(struct rig *rig, const char *name)
{
    assert_int_equal(await_seq(rig, name, newest(rig)), newest(rig));
}

/* --- what holds ------------------------------------------------------------------------------- */
TEST(every_fragment_after_the_setting_has_one_event_in_order)
{
    struct rig rig;
    struct seen *seen = seen_new();
    setup(&rig);
    make_data_stream(&rig, "detections");
    upload(&rig, 5); /* before anybody asked */

    assert_ok(set(&rig, "detections"));
    assert_ok(set(&rig, "detections")); /* nothing changes */
    upload(&rig, 100);
    await_all(&rig, "detections");

    read_stream(&rig, "detections", seen);
    assert_complete(&rig, seen, 5);
    seen_free(seen);
    teardown(&rig);
}

static uint64_t newest_of(struct rig *rig, size_t i, const struct storage_id *cams)
{
    rig->cam = cams[i];
    return newest(rig);
}

TEST(many_streams_share_a_round_and_each_has_its_events_once)
{
    enum {
        CAMS = 100
    }; /* more than are appended at once */
    struct rig rig;
    struct storage_id cams[CAMS];
    setup(&rig);
    struct datastream_stream *target = make_data_stream(&rig, "detections");
    for (size_t i = 0; i < CAMS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "cam-%zu", i);
        rig.cam = cams[i] = rig_stream(rig.storage, name, 24);
        assert_ok(set(&rig, "detections"));
    }
    stop_events(&rig);
    for (size_t i = 0; i < CAMS; i++) {
        rig.cam = cams[i];
        upload(&rig, 1);
    }
    start_events(&rig);
    for (size_t i = 0; i < CAMS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "cam-%zu", i);
        uint64_t seq = newest_of(&rig, i, cams);
        assert_int_equal(await_seq_of(&rig, "detections", kn_str_from(name), seq), seq);
    }
    uint64_t records = 0;
    for (uint32_t shard = 0; shard < 2; shard++) {
        struct storage_shard *log;
        struct storage_shard_ends ends;
        assert_ok(datastream_log_get(rig.ds, target, shard, false, &log));
        storage_shard_ends(log, &ends);
        records += ends.records_in;
        storage_shard_unref(log);
    }
    assert_int_equal(records, CAMS);
    teardown(&rig);
}

static bool has(const struct seen *seen, const char *text)
{
    return memmem(seen->first.ptr, seen->first.len, text, strlen(text)) != NULL;
}

TEST(an_event_says_what_the_fragment_holds)
{
    struct rig rig;
    struct seen *seen = seen_new();
    setup(&rig);
    make_data_stream(&rig, "detections");
    assert_ok(set(&rig, "detections"));
    upload(&rig, 1);
    await_all(&rig, "detections");
    read_stream(&rig, "detections", seen);

    size_t frames = rig.capture.fragments[0].frame_count;
    char text[128];
    snprintf(text, sizeof(text), "\"frameCount\":%zu", frames);
    assert_true(has(seen, text));
    snprintf(text, sizeof(text), "\"bytes\":%zu",
             rig.capture.fragments[0].end - rig.capture.fragments[0].start);
    assert_true(has(seen, text));
    snprintf(text, sizeof(text),
             "\"keyFrames\":[{\"track\":1,\"frame\":0,\"timeMs\":0,\"offset\":%u",
             (unsigned) rig.capture.fragments[0].frames[0].offset);
    assert_true(has(seen, text));
    assert_true(has(seen, "\"codec\":\"h264\""));
    assert_true(has(seen, "\"width\":"));
    assert_true(has(seen, "\"tags\":[{\"name\":"));
    assert_false(has(seen, "\"name\":\"AWS_KINESISVIDEO"));
    assert_true(has(seen, "\"endpoint\":\"http://127.0.0.1:4566\""));
    if (getenv("KINEMA_SHOW"))
        printf("%.*s\n", (int) seen->first.len, (const char *) seen->first.ptr);
    seen_free(seen);
    teardown(&rig);
}

TEST(a_fragment_without_tags_has_an_event_too)
{
    struct rig rig;
    struct seen *seen = seen_new();
    setup_with(&rig, "media/captures/c164_h264_aac_abs_tc0.mkv");
    make_data_stream(&rig, "detections");
    assert_ok(set(&rig, "detections"));
    upload(&rig, 2);
    await_all(&rig, "detections");
    read_stream(&rig, "detections", seen);
    assert_complete(&rig, seen, 0);
    assert_true(has(seen, "\"tags\":[]"));
    seen_free(seen);
    teardown(&rig);
}

TEST(what_was_persisted_while_nobody_sent_is_sent_at_the_next_start)
{
    struct rig rig;
    setup(&rig);
    make_data_stream(&rig, "detections");
    assert_ok(set(&rig, "detections"));
    for (int round = 0; round < 4; round++) {
        upload(&rig, 20);
        if (round % 2 == 0) /* stopped somewhere on the way */
            stop_events(&rig);
        upload(&rig, 20);
        if (round % 2 == 1)
            stop_events(&rig);
        if (round == 3) {
            datastream_free(rig.ds);
            storage_close(rig.storage);
            open_all(&rig);
        } else {
            start_events(&rig);
        }
    }
    await_all(&rig, "detections");

    struct seen *seen = seen_new();
    read_stream(&rig, "detections", seen);
    assert_complete(&rig, seen, 0);
    seen_free(seen);
    teardown(&rig);
}

TEST(each_event_goes_to_the_old_or_the_new_data_stream_when_they_are_exchanged)
{
    struct rig rig;
    setup(&rig);
    make_data_stream(&rig, "first");
    make_data_stream(&rig, "second");
    assert_ok(set(&rig, "first"));
    upload(&rig, 40);
    assert_ok(set(&rig, "second")); /* not all have been sent yet */
    upload(&rig, 40);
    await_all(&rig, "second");

    struct seen *seen = seen_new();
    read_stream(&rig, "first", seen);
    read_stream(&rig, "second", seen);
    assert_complete(&rig, seen, 0);
    seen_free(seen);
    teardown(&rig);
}

/* What cannot be known yet: the disk has refused the events, and the header that would say so. */
TEST(the_data_stream_is_not_exchanged_while_the_former_may_have_events_or_not)
{
    struct rig rig;
    setup(&rig);
    make_data_stream(&rig, "first");
    make_data_stream(&rig, "second");
    assert_ok(set(&rig, "first"));
    upload(&rig, 10);
    await_all(&rig, "first");
    disk.fails = true;
    upload(&rig, 5);
    int64_t end_ns = kn_mono_ns(kn_clock_system()) + (int64_t) PATIENCE_MS * 1000000;
    while (!storage_shards_in_doubt(rig.storage) && kn_mono_ns(kn_clock_system()) < end_ns)
        sched_yield();

    assert_int_equal(set(&rig, "second"), -EAGAIN);
    assert_ok(set(&rig, "first")); /* nothing changes by that */
    disk.fails = false;
    int r;
    while ((r = set(&rig, "second")) == -EAGAIN && kn_mono_ns(kn_clock_system()) < end_ns)
        sched_yield(); /* the sender tries again, and decides it */
    assert_ok(r);
    assert_false(storage_shards_in_doubt(rig.storage));
    upload(&rig, 5);
    await_all(&rig, "second");

    struct seen *seen = seen_new();
    read_stream(&rig, "first", seen);
    read_stream(&rig, "second", seen);
    assert_complete(&rig, seen, 0);
    seen_free(seen);
    teardown(&rig);
}

TEST(nothing_is_sent_once_the_setting_is_gone)
{
    struct rig rig;
    struct seen *seen = seen_new();
    setup(&rig);
    make_data_stream(&rig, "detections");
    assert_ok(set(&rig, "detections"));
    upload(&rig, 3);
    await_all(&rig, "detections");
    assert_ok(set(&rig, ""));
    upload(&rig, 7);
    assert_ok(set(&rig, "detections"));
    upload(&rig, 2);
    await_all(&rig, "detections");

    read_stream(&rig, "detections", seen);
    assert_int_equal(seen->count, 5);
    seen_free(seen);
    teardown(&rig);
}

/* A sender that has not seen yet that the setting was gone. */
static int find_any(struct storage_event_sender *sender, struct kn_str name,
                    struct storage_id *ret_id)
{
    (void) sender;
    (void) name;
    *ret_id = (struct storage_id){{1}};
    return 0;
}

static int pause_at_2(struct storage_event_sender *sender, const struct storage_id *stream,
                      uint64_t *ret_seq)
{
    (void) sender;
    (void) stream;
    *ret_seq = 2;
    return 0;
}

static void resume_nothing(struct storage_event_sender *sender, const struct storage_id *stream)
{
    (void) sender;
    (void) stream;
}

static uint64_t first_seq_when_set(struct rig *rig, const char *data_stream)
{
    struct storage_event_sender late = {
        .find = find_any, .pause = pause_at_2, .resume = resume_nothing};
    struct storage_event_sink sink;
    struct storage_stream *stream = storage_stream_find_id(rig->storage, &rig->cam);
    assert_ok(storage_events_set(rig->storage, &late, stream, kn_str_from(data_stream)));
    storage_stream_unref(stream);
    stream = storage_stream_find_id(rig->storage, &rig->cam);
    storage_event_sink_of(stream, &sink);
    storage_stream_unref(stream);
    return sink.after_seq;
}

TEST(what_came_while_the_setting_was_gone_has_no_event_however_short_that_was)
{
    struct rig rig;
    setup(&rig);
    stop_events(&rig);
    upload(&rig, 7);
    assert_int_equal(first_seq_when_set(&rig, "first"), newest(&rig));
    assert_int_equal(first_seq_when_set(&rig, "second"), 2); /* what waits goes to the new one */
    start_events(&rig);
    teardown(&rig);
}

static int split(void *ctx, const struct datastream_shard_map *map,
                 struct datastream_shard_map *ret)
{
    (void) ctx;
    const struct datastream_shard *row =
        datastream_shard_map_route(map, datastream_hash_of(KN_STR("yard")));
    struct datastream_hash at = datastream_hash_add(row->range.start, 1000);
    return datastream_shard_map_split(map, row->index, at, kn_wall_ms(kn_clock_system()), ret);
}

static void split_shard(struct rig *rig, const char *name)
{
    struct datastream_stream *stream = datastream_stream_find(rig->ds->streams, kn_str_from(name));
    assert_ok(datastream_reshard(rig->ds, stream, split, NULL));
    datastream_stream_unref(stream);
}

/* As the thread that tends the logs does it once retention has passed over the parents. */
static int forget(void *ctx, const struct datastream_shard_map *map,
                  struct datastream_shard_map *ret)
{
    struct rig *rig = ctx;
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *stream =
        datastream_stream_find(rig->ds->streams, KN_STR("detections"));
    int r = datastream_shard_map_forget(map, INT64_MAX, ret);
    if (r == 0)
        r = datastream_event_pass_on(rig->storage, stream, map, ret);
    for (size_t i = 0; r == 0 && i < map->count; i++) {
        if (!datastream_shard_map_find(ret, map->rows[i].index))
            r = datastream_log_drop(rig->ds, stream, map->rows[i].index);
    }
    return r;
}

TEST(events_stay_in_order_and_once_over_splits_and_when_the_parents_are_gone)
{
    struct rig rig;
    struct seen *seen = seen_new();
    setup(&rig);
    make_data_stream(&rig, "detections");
    assert_ok(set(&rig, "detections"));
    for (int i = 0; i < 4; i++) {
        upload(&rig, 30);
        split_shard(&rig, "detections"); /* while some are on their way */
        upload(&rig, 10);
        if (i % 2 == 0) {
            stop_events(&rig);
            split_shard(&rig, "detections");
            start_events(&rig);
        }
    }
    await_all(&rig, "detections");
    read_stream(&rig, "detections", seen);
    assert_complete(&rig, seen, 0);

    /* The last child has had no record yet when all its parents go. */
    stop_events(&rig);
    split_shard(&rig, "detections");
    struct datastream_stream *stream =
        datastream_stream_find(rig.ds->streams, KN_STR("detections"));
    assert_ok(datastream_stream_reshard(rig.ds->streams, stream, forget, &rig));
    datastream_stream_unref(stream);
    close_all(&rig);
    open_all(&rig);
    upload(&rig, 3);
    await_all(&rig, "detections");
    struct seen *later = seen_new();
    read_stream(&rig, "detections", later);
    assert_int_equal(later->count, 3);
    seen_free(later);
    seen_free(seen);
    teardown(&rig);
}

TEST(a_data_stream_that_is_not_there_is_refused_and_one_made_anew_is_used)
{
    struct rig rig;
    struct seen *seen = seen_new();
    setup(&rig);
    assert_int_equal(set(&rig, "detections"), -ENODATA);
    struct datastream_stream *stream = make_data_stream(&rig, "detections");
    assert_ok(set(&rig, "detections"));
    upload(&rig, 5);
    await_all(&rig, "detections");

    datastream_stream_ref(stream);
    assert_ok(datastream_stream_remove(rig.ds->streams, stream));
    datastream_stream_unref(stream);
    upload(&rig, 5);
    stop_events(&rig);
    start_events(&rig); /* at once, not at its next try */
    make_data_stream(&rig, "detections");
    upload(&rig, 5);
    await_all(&rig, "detections");
    read_stream(&rig, "detections", seen);
    assert_complete(&rig, seen, 10);
    seen_free(seen);
    teardown(&rig);
}

static int limit_bytes(void *ctx, const struct storage_stream *now,
                       struct storage_stream_draft *draft)
{
    (void) ctx;
    (void) now;
    draft->tags[draft->tag_count++] =
        (struct storage_tag){KN_STR(STORAGE_RETENTION_BYTES_TAG), KN_STR("1")};
    return 0;
}

static size_t fragments_of(struct rig *rig)
{
    struct storage_stream_stats stats;
    assert_ok(storage_stream_stats(rig->storage, &rig->cam, &stats, false));
    return stats.fragments;
}

TEST(retention_waits_for_events_that_are_not_sent_yet)
{
    struct rig rig;
    struct seen *seen = seen_new();
    struct kn_str any = {NULL, 0};
    setup(&rig);
    make_data_stream(&rig, "detections");
    assert_ok(set(&rig, "detections"));
    rig.storage->conf.chunk_bytes_max = 1; /* a chunk a fragment */
    upload(&rig, 5);
    await_all(&rig, "detections");
    stop_events(&rig);
    upload(&rig, 15);
    assert_ok(storage_stream_update(rig.storage, KN_STR("yard"), any, limit_bytes, NULL));

    storage_keeper_round(rig.storage);
    assert_int_equal(fragments_of(&rig), 15); /* those that had their event are gone */
    start_events(&rig);
    await_all(&rig, "detections");
    stop_events(&rig); /* by then it has also said how far it has come */
    storage_keeper_round(rig.storage);
    assert_in_range(fragments_of(&rig), 0, 1); /* of the open chunk */

    read_stream(&rig, "detections", seen);
    assert_int_equal(seen->count, 20);
    seen_free(seen);
    teardown(&rig);
}

TESTS_MAIN(TEST_OF(every_fragment_after_the_setting_has_one_event_in_order),
           TEST_OF(many_streams_share_a_round_and_each_has_its_events_once),
           TEST_OF(an_event_says_what_the_fragment_holds),
           TEST_OF(a_fragment_without_tags_has_an_event_too),
           TEST_OF(what_was_persisted_while_nobody_sent_is_sent_at_the_next_start),
           TEST_OF(each_event_goes_to_the_old_or_the_new_data_stream_when_they_are_exchanged),
           TEST_OF(the_data_stream_is_not_exchanged_while_the_former_may_have_events_or_not),
           TEST_OF(nothing_is_sent_once_the_setting_is_gone),
           TEST_OF(what_came_while_the_setting_was_gone_has_no_event_however_short_that_was),
           TEST_OF(events_stay_in_order_and_once_over_splits_and_when_the_parents_are_gone),
           TEST_OF(a_data_stream_that_is_not_there_is_refused_and_one_made_anew_is_used),
           TEST_OF(retention_waits_for_events_that_are_not_sent_yet))
