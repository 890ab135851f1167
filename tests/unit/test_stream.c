/* SPDX-License-Identifier: Apache-2.0 */
/* The streams: making, changing, listing, deleting, and what a restart finds after any crash. */
#include "storage_internal.h"
#include "stream_snapshot.h"
#include "temp_dir.h"
#include "test.h"

#include <stdatomic.h>

#include "core/thread.h"

/* A log core that drops at once, fails a few times first, or holds until it is let go. */
struct fake_log {
    struct kn_lock lock;
    struct kn_cond moved;
    int fail_times;
    bool hold;
    int dropped, asked;
    int changed;
    enum storage_stream_status last_status;
};

struct fixture {
    struct temp_dir dir;
    struct storage storage;
    struct kn_fake_clock clock;
    struct fake_log log;
};

static int fake_drop(void *ctx, const struct storage_id *id)
{
    (void) id;
    struct fake_log *log = ctx;
    KN_LOCKED(&log->lock);
    log->asked++;
    kn_cond_broadcast(&log->moved);
    while (log->hold)
        kn_cond_wait(&log->moved, &log->lock);
    if (log->fail_times > 0) {
        log->fail_times--;
        return -EIO;
    }
    log->dropped++;
    kn_cond_broadcast(&log->moved);
    return 0;
}

static void fake_changed(void *ctx, const struct storage_stream *now)
{
    struct fake_log *log = ctx;
    KN_LOCKED(&log->lock);
    log->changed++;
    log->last_status = now->status;
}

static const struct storage_conf conf = {.catalogue_bytes_max = 64 << 20};

static void open_catalogue(struct fixture *f)
{
    struct kn_err err = {0};
    int r =
        storage_catalogue_open(f->dir.path, &conf, &f->clock.clock, &f->storage.catalogue, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
}

static void start(struct fixture *f)
{
    struct storage_catalogue_events events = {
        .drop = fake_drop, .changed = fake_changed, .ctx = &f->log};
    assert_ok(storage_catalogue_start(f->storage.catalogue, &events));
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.dir = temp_dir_new()};
    kn_fake_clock_init(&f->clock, 1700000000123);
    kn_lock_init(&f->log.lock);
    kn_cond_init(&f->log.moved);
    open_catalogue(f);
}

static void close_catalogue(struct fixture *f)
{
    storage_catalogue_stop(f->storage.catalogue);
    storage_catalogue_close(f->storage.catalogue);
}

static void teardown(struct fixture *f)
{
    close_catalogue(f);
    kn_cond_done(&f->log.moved);
    kn_lock_done(&f->log.lock);
    temp_dir_remove(&f->dir);
}

static struct kn_str S(const char *s) {
    return kn_str_from(s);
}

static int
create(struct fixture *f, const char *name)
{
    struct storage_stream_new what = {.name = S(name), .retention_hours = 2};
    struct storage_stream *stream = NULL;
    int r = storage_stream_create(&f->storage, &what, &stream);
    if (r == 0)
        storage_stream_unref(stream);
    return r;
}

static void wait_gone(struct fixture *f, const char *name)
{
    kn_lock_take(&f->log.lock);
    while (f->log.dropped == 0)
        kn_cond_wait(&f->log.moved, &f->log.lock);
    kn_lock_give(&f->log.lock);
    for (;;) { /* the catalogue's own two keys follow the drop */
        struct storage_stream *stream = storage_stream_find(&f->storage, S(name));
        if (!stream)
            return;
        storage_stream_unref(stream);
        sched_yield();
    }
}

TEST(a_created_stream_is_found_by_name_and_id_with_all_its_settings)
{
    struct fixture f;
    setup(&f);
    struct storage_tag tags[] = {
        {S("zone"), S("north")},
        {S("a"),    S("")     }
    };
    struct storage_stream_new what = {
        .name = S("cam-1"),
        .device_name = S("device"),
        .media_type = S("video/h264"),
        .kms_key_id = S("aws/kinesisvideo"),
        .retention_hours = 24,
        .warm = true,
        .tags = tags,
        .tag_count = 2,
    };
    struct storage_stream *made = NULL;
    assert_ok(storage_stream_create(&f.storage, &what, &made));
    struct storage_id id = made->id;
    char version[21];
    memcpy(version, made->version, sizeof version);
    storage_stream_unref(made);

    for (int pass = 0; pass < 2; pass++) { /* the second time after a restart */
        struct storage_stream *found = storage_stream_find(&f.storage, S("cam-1"));
        struct storage_stream *by_id = storage_stream_find_id(&f.storage, &id);
        assert_non_null(found);
        assert_ptr_equal(found, by_id);
        assert_str_is(found->name, "cam-1");
        assert_str_is(found->device_name, "device");
        assert_str_is(found->media_type, "video/h264");
        assert_str_is(found->kms_key_id, "aws/kinesisvideo");
        assert_int_equal(found->retention_hours, 24);
        assert_int_equal(found->created_ms, 1700000000123);
        assert_true(found->warm);
        assert_int_equal(found->status, STORAGE_STREAM_ACTIVE);
        assert_string_equal(found->version, version);
        assert_int_equal(strlen(version), 20);
        assert_int_equal(found->tag_count, 2);
        assert_str_is(found->tags[0].key, "a");
        assert_str_is(found->tags[0].value, "");
        assert_str_is(found->tags[1].value, "north");
        storage_stream_unref(found);
        storage_stream_unref(by_id);
        close_catalogue(&f);
        open_catalogue(&f);
    }
    teardown(&f);
}

TEST(absent_settings_stay_absent)
{
    struct fixture f;
    setup(&f);
    assert_ok(create(&f, "cam"));
    struct storage_stream *stream = storage_stream_find(&f.storage, S("cam"));
    assert_null(stream->device_name.ptr);
    assert_null(stream->media_type.ptr);
    assert_null(stream->kms_key_id.ptr);
    assert_null(stream->extra.ptr);
    storage_stream_unref(stream);
    assert_null(storage_stream_find(&f.storage, S("camera")));
    teardown(&f);
}

TEST(a_name_is_taken_once)
{
    struct fixture f;
    setup(&f);
    assert_ok(create(&f, "cam"));
    assert_int_equal(create(&f, "cam"), -EEXIST);
    assert_int_equal(storage_stream_count(&f.storage), 1);
    teardown(&f);
}

struct racer {
    struct fixture *f;
    _Atomic int *made, *refused;
    pthread_t thread;
};

static void *race_main(void *arg)
{
    struct racer *racer = arg;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "cam-%d", i);
        int r = create(racer->f, name);
        assert_true(r == 0 || r == -EEXIST);
        atomic_fetch_add(r == 0 ? racer->made : racer->refused, 1);
    }
    return NULL;
}

TEST(of_many_creators_of_one_name_one_wins)
{
    struct fixture f;
    setup(&f);
    _Atomic int made = 0, refused = 0;
    struct racer racers[8];
    for (size_t i = 0; i < KN_ARRAY_LEN(racers); i++) {
        racers[i] = (struct racer){&f, &made, &refused, 0};
        assert_ok(kn_thread_start(&racers[i].thread, "racer", race_main, &racers[i]));
    }
    for (size_t i = 0; i < KN_ARRAY_LEN(racers); i++)
        pthread_join(racers[i].thread, NULL);

    assert_int_equal(made, 10);
    assert_int_equal(refused, 70);
    assert_int_equal(storage_stream_count(&f.storage), 10);
    teardown(&f);
}

/* --- changing --------------------------------------------------------------------------------- */
static int add_retention(void *ctx, const struct storage_stream *now,
                         struct storage_stream_draft *draft)
{
    assert_int_equal(now->retention_hours, draft->retention_hours);
    draft->retention_hours += *(uint32_t *) ctx;
    return 0;
}

static int tag_only(void *ctx, const struct storage_stream *now, struct storage_stream_draft *draft)
{
    (void) now;
    draft->tags[draft->tag_count++] = (struct storage_tag){S(ctx), S("value")};
    draft->keep_version = true;
    return 0;
}

static int refuse(void *ctx, const struct storage_stream *now, struct storage_stream_draft *draft)
{
    (void) ctx;
    (void) now;
    draft->retention_hours = 99;
    return -EDQUOT;
}

static struct storage_stream *must_find(struct fixture *f, const char *name)
{
    struct storage_stream *stream = storage_stream_find(&f->storage, S(name));
    assert_non_null(stream);
    return stream;
}

TEST(an_update_makes_a_new_version_and_old_versions_are_refused)
{
    struct fixture f;
    setup(&f);
    start(&f);
    assert_ok(create(&f, "cam"));
    struct storage_stream *before = must_find(&f, "cam");
    uint32_t by = 3;

    assert_ok(storage_stream_update(&f.storage, S("cam"), S(before->version), add_retention, &by));

    struct storage_stream *after = must_find(&f, "cam");
    assert_int_equal(before->retention_hours, 2); /* a snapshot never changes */
    assert_int_equal(after->retention_hours, 5);
    assert_string_not_equal(before->version, after->version);
    assert_int_equal(
        storage_stream_update(&f.storage, S("cam"), S(before->version), add_retention, &by),
        -ESTALE);
    assert_int_equal(storage_stream_delete(&f.storage, S("cam"), S(before->version)), -ESTALE);
    assert_int_equal(storage_stream_update(&f.storage, S("none"), S(""), add_retention, &by),
                     -ENOENT);
    assert_int_equal(f.log.changed, 2);
    storage_stream_unref(before);
    storage_stream_unref(after);
    teardown(&f);
}

TEST(tags_leave_the_version_alone_and_a_refused_edit_changes_nothing)
{
    struct fixture f;
    setup(&f);
    assert_ok(create(&f, "cam"));
    struct storage_stream *before = must_find(&f, "cam");
    char key[] = "key";

    assert_ok(storage_stream_update(&f.storage, S("cam"), S(""), tag_only, key));
    assert_int_equal(storage_stream_update(&f.storage, S("cam"), S(""), tag_only, key), -EINVAL);
    assert_int_equal(storage_stream_update(&f.storage, S("cam"), S(""), refuse, NULL), -EDQUOT);

    struct storage_stream *after = must_find(&f, "cam");
    assert_string_equal(before->version, after->version);
    assert_int_equal(after->retention_hours, 2);
    assert_int_equal(after->tag_count, 1);
    storage_stream_unref(before);
    storage_stream_unref(after);
    teardown(&f);
}

static void *update_main(void *arg)
{
    struct racer *racer = arg;
    uint32_t by = 1;
    for (int i = 0; i < 10; i++)
        assert_ok(storage_stream_update(&racer->f->storage, S("cam"), S(""), add_retention, &by));
    return NULL;
}

TEST(updates_from_many_threads_all_count)
{
    struct fixture f;
    setup(&f);
    assert_ok(create(&f, "cam"));
    struct racer racers[8];
    for (size_t i = 0; i < KN_ARRAY_LEN(racers); i++) {
        racers[i] = (struct racer){.f = &f};
        assert_ok(kn_thread_start(&racers[i].thread, "racer", update_main, &racers[i]));
    }
    for (size_t i = 0; i < KN_ARRAY_LEN(racers); i++)
        pthread_join(racers[i].thread, NULL);

    struct storage_stream *after = must_find(&f, "cam");
    assert_int_equal(after->retention_hours, 82);
    storage_stream_unref(after);
    teardown(&f);
}

/* --- listing ---------------------------------------------------------------------------------- */
static size_t list(struct fixture *f, const char *prefix, const char *after, size_t cap,
                   char first[32])
{
    struct storage_stream *out[16];
    assert_true(cap <= KN_ARRAY_LEN(out));
    size_t count = storage_stream_list(&f->storage, S(prefix), S(after), out, cap);
    first[0] = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0)
            assert_ok(kn_str_copy(first, 32, out[i]->name));
        storage_stream_unref(out[i]);
    }
    return count;
}

TEST(a_list_is_sorted_by_name_and_pages_by_prefix)
{
    struct fixture f;
    setup(&f);
    const char *names[] = {"door-2", "a", "door-1", "zoo", "door", "door-3", "doors"};
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++)
        assert_ok(create(&f, names[i]));
    char first[32];

    assert_int_equal(list(&f, "", "", 16, first), 7);
    assert_string_equal(first, "a");
    assert_int_equal(list(&f, "door", "", 16, first), 5);
    assert_string_equal(first, "door");
    assert_int_equal(list(&f, "door-", "door-1", 16, first), 2);
    assert_string_equal(first, "door-2");
    assert_int_equal(list(&f, "door", "door-15", 1, first), 1);
    assert_string_equal(first, "door-2");
    assert_int_equal(list(&f, "door", "doors", 16, first), 0);
    assert_int_equal(list(&f, "door", "a", 16, first), 5);
    assert_int_equal(list(&f, "x", "", 16, first), 0);
    teardown(&f);
}

/* --- deleting and crashes --------------------------------------------------------------------- */
TEST(a_deleted_stream_is_deleting_until_its_data_is_gone_then_its_name_is_free)
{
    struct fixture f;
    setup(&f);
    f.log.hold = true;
    start(&f);
    assert_ok(create(&f, "cam"));

    assert_ok(storage_stream_delete(&f.storage, S("cam"), S("")));

    struct storage_stream *stream = must_find(&f, "cam");
    assert_int_equal(stream->status, STORAGE_STREAM_DELETING);
    assert_int_equal(f.log.last_status, STORAGE_STREAM_DELETING);
    uint32_t by = 1;
    assert_int_equal(storage_stream_update(&f.storage, S("cam"), S(""), add_retention, &by),
                     -EBUSY);
    assert_int_equal(storage_stream_delete(&f.storage, S("cam"), S("")), -EBUSY);
    assert_int_equal(create(&f, "cam"), -EEXIST);
    storage_stream_unref(stream);

    kn_lock_take(&f.log.lock);
    f.log.hold = false;
    kn_cond_broadcast(&f.log.moved);
    kn_lock_give(&f.log.lock);
    wait_gone(&f, "cam");
    assert_int_equal(storage_stream_count(&f.storage), 0);
    assert_ok(create(&f, "cam"));
    teardown(&f);
}

TEST(a_drop_that_fails_is_tried_again)
{
    struct fixture f;
    setup(&f);
    f.log.fail_times = 1;
    start(&f);
    assert_ok(create(&f, "cam"));
    assert_ok(storage_stream_delete(&f.storage, S("cam"), S("")));
    wait_gone(&f, "cam");
    assert_int_equal(f.log.asked, 2);
    teardown(&f);
}

TEST(a_deletion_cut_short_goes_on_at_the_next_start)
{
    struct fixture f;
    setup(&f);
    assert_ok(create(&f, "cam"));
    assert_ok(storage_stream_delete(&f.storage, S("cam"), S(""))); /* nobody drops yet */
    close_catalogue(&f);

    open_catalogue(&f);
    struct storage_stream *stream = must_find(&f, "cam");
    assert_int_equal(stream->status, STORAGE_STREAM_DELETING);
    storage_stream_unref(stream);
    start(&f);
    wait_gone(&f, "cam");
    close_catalogue(&f);

    open_catalogue(&f);
    assert_int_equal(storage_stream_count(&f.storage), 0);
    teardown(&f);
}

static void put(struct fixture *f, const char *key, struct kn_bytes value)
{
    assert_ok(storage_meta_put(storage_meta_of(&f->storage), kn_bytes_of(S(key)), value, 0, NULL));
}

static bool has_key(struct fixture *f, const char *key)
{
    struct kn_buf value;
    kn_buf_init(&value, KIB(64));
    uint64_t version;
    int r = storage_meta_get(storage_meta_of(&f->storage), kn_bytes_of(S(key)), &value, &version);
    kn_buf_done(&value);
    assert_true(r == 0 || r == -ENOENT);
    return r == 0;
}

TEST(a_name_whose_stream_was_never_written_is_free_after_a_restart)
{
    struct fixture f;
    setup(&f);
    assert_ok(create(&f, "other"));
    put(&f, "n/cam", kn_bytes_of(S("0123456789abcdef"))); /* the intent, then the crash */
    close_catalogue(&f);

    open_catalogue(&f);
    assert_false(has_key(&f, "n/cam"));
    assert_true(has_key(&f, "n/other"));
    assert_ok(create(&f, "cam"));
    teardown(&f);
}

TEST(a_name_left_by_a_failed_creation_is_free_without_a_restart)
{
    struct fixture f;
    setup(&f);
    put(&f, "n/cam", kn_bytes_of(S("0123456789abcdef")));
    assert_ok(create(&f, "cam"));
    close_catalogue(&f);
    open_catalogue(&f);
    assert_int_equal(storage_stream_count(&f.storage), 1);
    teardown(&f);
}

TEST(a_stream_whose_name_is_missing_gets_it_back)
{
    struct fixture f;
    setup(&f);
    assert_ok(create(&f, "cam"));
    assert_ok(storage_meta_remove(storage_meta_of(&f.storage), kn_bytes_of(S("n/cam")), 0));
    close_catalogue(&f);

    open_catalogue(&f);
    assert_true(has_key(&f, "n/cam"));
    assert_int_equal(create(&f, "cam"), -EEXIST);
    teardown(&f);
}

TEST(a_damaged_record_stops_the_opening_and_is_named)
{
    struct fixture f;
    setup(&f);
    put(&f, "s/00112233445566778899aabbccddeeff", kn_bytes_of(S("\x01\x00")));
    close_catalogue(&f);

    struct kn_err err = {0};
    struct storage_catalogue *cat = NULL;
    int r = storage_catalogue_open(f.dir.path, &conf, &f.clock.clock, &cat, &err);
    assert_int_equal(r, -EBADMSG);
    assert_non_null(strstr(err.text, "00112233445566778899aabbccddeeff"));
    temp_dir_remove(&f.dir);
}

TEST(every_truncation_of_a_record_is_refused)
{
    struct storage_tag tag = {S("key"), S("value")};
    struct storage_stream_settings settings = {
        .retention_hours = 7,
        .created_ms = 1,
        .name = S("cam"),
        .device_name = S("dev"),
        .version = S("V1"),
        .tags = &tag,
        .tag_count = 1,
        .extra = kn_bytes_of(S("more")),
    };
    struct kn_buf record;
    kn_buf_init(&record, KIB(4));
    assert_ok(storage_stream_encode(&settings, &record));
    struct storage_id id = {{0}};
    struct storage_stream *stream = NULL;

    for (size_t len = 0; len < record.len; len++) {
        struct kn_bytes cut = {record.ptr, len};
        assert_int_equal(storage_stream_decode(&id, cut, 1, &stream), -EBADMSG);
    }
    assert_ok(storage_stream_decode(&id, kn_buf_bytes(&record), 1, &stream));
    assert_str_is(kn_str_of(stream->extra), "more");
    storage_stream_unref(stream);
    kn_buf_append_byte(&record, 0);
    assert_int_equal(storage_stream_decode(&id, kn_buf_bytes(&record), 1, &stream), -EBADMSG);
    kn_buf_done(&record);
}

TESTS_MAIN(TEST_OF(a_created_stream_is_found_by_name_and_id_with_all_its_settings),
           TEST_OF(absent_settings_stay_absent), TEST_OF(a_name_is_taken_once),
           TEST_OF(of_many_creators_of_one_name_one_wins),
           TEST_OF(an_update_makes_a_new_version_and_old_versions_are_refused),
           TEST_OF(tags_leave_the_version_alone_and_a_refused_edit_changes_nothing),
           TEST_OF(updates_from_many_threads_all_count),
           TEST_OF(a_list_is_sorted_by_name_and_pages_by_prefix),
           TEST_OF(a_deleted_stream_is_deleting_until_its_data_is_gone_then_its_name_is_free),
           TEST_OF(a_drop_that_fails_is_tried_again),
           TEST_OF(a_deletion_cut_short_goes_on_at_the_next_start),
           TEST_OF(a_name_whose_stream_was_never_written_is_free_after_a_restart),
           TEST_OF(a_name_left_by_a_failed_creation_is_free_without_a_restart),
           TEST_OF(a_stream_whose_name_is_missing_gets_it_back),
           TEST_OF(a_damaged_record_stops_the_opening_and_is_named),
           TEST_OF(every_truncation_of_a_record_is_refused))
