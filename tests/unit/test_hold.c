/* SPDX-License-Identifier: Apache-2.0 */
/* What stays and what goes: legal holds against each rule of retention, and over restarts. */
#include "storage_internal.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

enum {
    FRAGMENTS = 3, /* whole ones in the capture that are used */
    LIST_MAX = 32
};
static const int64_t start_ms = 1763851000000;
static const int64_t hour_ms = 3600 * 1000;

/* A disk whose volume has room for so many chunk files, and whose unlink can fail. */
struct small_volume {
    struct kn_fs fs;
    struct kn_fs_ops ops;
    uint64_t free_bytes;
    bool unlink_fails;
    char oldest_first[8][4096]; /* what was unlinked, in order */
    size_t unlinked;
    uint64_t file_bytes;
};
static struct small_volume volume;

static int volume_space(struct kn_fs *fs, const char *path, struct kn_fs_space *ret)
{
    (void) fs;
    (void) path;
    *ret = (struct kn_fs_space){
        .total_bytes = GIB(1), .free_bytes = volume.free_bytes, .free_inodes = 1000};
    return 0;
}

static int volume_unlink(struct kn_fs *fs, const char *path)
{
    (void) fs;
    struct kn_fs *real = kn_fs_system();
    if (volume.unlink_fails)
        return -EIO;
    if (volume.unlinked < KN_ARRAY_LEN(volume.oldest_first))
        snprintf(volume.oldest_first[volume.unlinked], sizeof(volume.oldest_first[0]), "%s", path);
    volume.unlinked++;
    volume.free_bytes += volume.file_bytes;
    return real->ops->unlink(real, path);
}

struct fixture {
    struct temp_dir dir;
    struct storage_conf conf;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct capture capture;
    struct storage_id stream;
};

static void open_storage(struct fixture *f)
{
    struct kn_err err = {0};
    assert_ok(
        storage_open(f->dir.path, &f->conf, &volume.fs, &f->clock.clock, &f->storage, NULL, &err));
    storage_keeper_stop(
        f->storage); /* lifting a hold would wake it: tests call rounds themselves */
}

static void reopen(struct fixture *f)
{
    storage_close(f->storage);
    open_storage(f);
}

static void setup(struct fixture *f, uint32_t retention_hours)
{
    volume = (struct small_volume){.ops = *kn_fs_system()->ops, .free_bytes = MIB(512)};
    volume.ops.space = volume_space;
    volume.ops.unlink = volume_unlink;
    volume.fs.ops = &volume.ops;
    *f = (struct fixture){.dir = temp_dir_new(), .conf = rig_conf()};
    f->conf.chunk_bytes_max = KIB(4); /* a chunk a fragment */
    f->conf.retention_slice_chunks = 2;
    kn_fake_clock_init(&f->clock, start_ms);
    open_storage(f);
    f->stream = rig_stream(f->storage, "cam", retention_hours);
    f->capture = capture_read("media/captures/sink360_h264_abs.mkv");
}

static void teardown(struct fixture *f)
{
    storage_close(f->storage);
    capture_done(&f->capture);
    temp_dir_remove(&f->dir);
}

/* A fragment every half hour, each in a chunk of its own, all sealed but the last. */
static void upload_to(struct fixture *f, const struct storage_id *stream, size_t count)
{
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f->storage, stream, false));
    rig_upload_header(&up, &f->capture);
    for (size_t i = 0; i < count; i++) {
        assert_ok(
            rig_upload_fragment(&up, &f->capture, i % FRAGMENTS, kn_wall_ms(&f->clock.clock)));
        rig_upload_settle(&up);
        kn_fake_clock_advance(&f->clock, hour_ms / 2);
    }
    rig_upload_close(&up);
    rig_upload_done(&up);
    storage_work_wait(f->storage);
}

static void upload(struct fixture *f, size_t count)
{
    upload_to(f, &f->stream, count);
}

/* A hold from hour to hour after the start. */
static int hold(struct fixture *f, const char *name, double from_hour, double to_hour)
{
    struct storage_hold what = {
        .name = kn_str_from(name),
        .reason = KN_STR("case 7"),
        .by = KN_STR("AKIDTEST"),
        .from_ms = start_ms + (int64_t) (from_hour * (double) hour_ms),
        .to_ms = start_ms + (int64_t) (to_hour * (double) hour_ms),
    };
    return storage_hold_put(f->storage, &f->stream, &what);
}

static int lift(struct fixture *f, const char *name)
{
    return storage_hold_remove(f->storage, &f->stream, kn_str_from(name));
}

/* The ordinals a reader lists, as text, by number and, which must agree, by server time and
 * backwards. */
static const char *listed(struct fixture *f, char dst[128])
{
    const struct storage_query queries[] = {
        {.order = STORAGE_BY_NUMBER     },
        {                     .order = STORAGE_BY_SERVER_TS,           .from_ms = INT64_MIN, .to_ms = INT64_MAX},
        {   .order = STORAGE_BY_PRODUCER_TS, .from_ms = INT64_MIN, .to_ms = INT64_MAX},
        {.order = STORAGE_BY_NUMBER,                               .newest_first = true},
    };
    for (size_t q = 0; q < KN_ARRAY_LEN(queries); q++) {
        struct storage_fragment out[LIST_MAX];
        size_t count, at = 0;
        char text[128] = "";
        assert_ok(storage_find(f->storage, &f->stream, &queries[q], out, LIST_MAX, &count, false));
        for (size_t i = 0; i < count; i++) {
            const struct storage_fragment *one = &out[queries[q].newest_first ? count - 1 - i : i];
            at += (size_t) snprintf(text + at, sizeof(text) - at, "%s%d", i ? " " : "",
                                    (int) one->ordinal);
        }
        if (q == 0)
            memcpy(dst, text, sizeof(text));
        else
            assert_string_equal(text, dst);
    }
    return dst;
}

#define assert_listed(f, text)                                                                     \
    do {                                                                                           \
        char got_[128];                                                                            \
        assert_string_equal(listed(f, got_), text);                                                \
    } while (0)

TEST(age_takes_what_lies_around_a_hold_and_not_what_it_covers)
{
    struct fixture f;
    setup(&f, 2);
    upload(&f, 8); /* 0, 0.5 … 3.5 h; it is 4 h now, so 0 to 3 are too old */
    assert_ok(hold(&f, "case", 0.9, 1.1)); /* the third */

    assert_listed(&f, "2 4 5 6 7"); /* at once … */
    storage_keeper_round(f.storage);
    assert_listed(&f, "2 4 5 6 7"); /* … and when the files have gone */
    assert_int_equal(rig_chunk_files(f.dir.path), 5);
    reopen(&f);
    assert_listed(&f, "2 4 5 6 7");

    kn_fake_clock_advance(&f.clock, 100 * hour_ms);
    storage_keeper_round(f.storage); /* seals the last chunk, which was open when it closed */
    storage_work_wait(f.storage);
    storage_keeper_round(f.storage);
    assert_listed(&f, "2");
    reopen(&f);
    storage_keeper_round(f.storage);
    assert_listed(&f, "2");
    assert_int_equal(rig_chunk_files(f.dir.path), 1);
    teardown(&f);
}

TEST(a_held_fragment_is_read_whole_and_covers_its_time)
{
    struct fixture f;
    setup(&f, 1);
    upload(&f, 6);
    assert_ok(hold(&f, "case", 0.9, 1.1));
    kn_fake_clock_advance(&f.clock, 100 * hour_ms);
    storage_keeper_round(f.storage);
    reopen(&f);

    struct storage_fragment found;
    assert_ok(storage_find_at(f.storage, &f.stream, STORAGE_BY_SERVER_TS, start_ms + hour_ms + 10,
                              &found, false));
    assert_int_equal(found.ordinal, 2);
    assert_ok(rig_compare(f.storage, &f.stream, &found, &f.capture, 2));
    struct storage_span spans[4];
    size_t count;
    assert_ok(storage_coverage(f.storage, &f.stream, 0, INT64_MAX, 5000, spans, 4, &count));
    assert_int_equal(count, 1);
    assert_int_equal(spans[0].fragments, 1);
    struct storage_stream_stats stats;
    assert_ok(storage_stream_stats(f.storage, &f.stream, &stats, false));
    assert_int_equal(stats.oldest_server_ts_ms, found.number.server_ts_ms);
    teardown(&f);
}

TEST(lifting_a_hold_lets_the_next_round_delete)
{
    struct fixture f;
    setup(&f, 1);
    upload(&f, 6);
    assert_ok(hold(&f, "a", 0, 0.6));
    assert_ok(hold(&f, "b", 0.4, 1.1)); /* the second is covered twice */
    kn_fake_clock_advance(&f.clock, 100 * hour_ms);
    storage_keeper_round(f.storage);
    storage_work_wait(f.storage);
    assert_listed(&f, "0 1 2");

    assert_ok(lift(&f, "a"));
    storage_keeper_round(f.storage);
    assert_listed(&f, "1 2");
    reopen(&f);
    assert_ok(lift(&f, "b"));
    assert_int_equal(lift(&f, "b"), -ENOENT);
    storage_keeper_round(f.storage);
    assert_listed(&f, "");
    assert_int_equal(rig_chunk_files(f.dir.path), 0);
    teardown(&f);
}

TEST(what_was_deleted_does_not_come_back_for_a_hold)
{
    struct fixture f;
    setup(&f, 1);
    upload(&f, 6);
    kn_fake_clock_advance(&f.clock, 100 * hour_ms);
    volume.unlink_fails = true;      /* as if the machine stopped behind the horizon */
    storage_keeper_round(f.storage); /* seals the last one */
    storage_work_wait(f.storage);
    storage_keeper_round(f.storage);
    assert_listed(&f, "");
    assert_int_equal(rig_chunk_files(f.dir.path), 6);

    assert_ok(hold(&f, "late", 0, 10));
    assert_listed(&f, "");
    reopen(&f);
    assert_listed(&f, "");
    volume.unlink_fails = false;
    storage_keeper_round(f.storage);
    assert_int_equal(rig_chunk_files(f.dir.path), 0);
    teardown(&f);
}

TEST(a_kept_chunk_whose_removal_was_cut_short_does_not_come_back_for_a_new_hold)
{
    struct fixture f;
    setup(&f, 1);
    upload(&f, 3);
    assert_ok(hold(&f, "first", 0, 10));
    kn_fake_clock_advance(&f.clock, 100 * hour_ms);
    storage_keeper_round(f.storage);
    storage_work_wait(f.storage);
    storage_keeper_round(f.storage);
    assert_listed(&f, "0 1 2");
    volume.unlink_fails = true; /* before the lift, which wakes the keeper */
    assert_ok(lift(&f, "first"));
    storage_keeper_round(f.storage);
    assert_listed(&f, "");

    assert_ok(hold(&f, "second", 0, 10));
    reopen(&f);
    assert_listed(&f, "");
    volume.unlink_fails = false;
    storage_keeper_round(f.storage);
    assert_int_equal(rig_chunk_files(f.dir.path), 0);
    teardown(&f);
}

static int limit_bytes(void *ctx, const struct storage_stream *now,
                       struct storage_stream_draft *draft)
{
    (void) now;
    draft->tags[draft->tag_count++] =
        (struct storage_tag){KN_STR(STORAGE_RETENTION_BYTES_TAG), kn_str_from(ctx)};
    return 0;
}

TEST(a_stream_keeps_no_more_bytes_than_its_limit_beside_what_is_held)
{
    struct fixture f;
    setup(&f, 1000);
    upload(&f, 8);
    assert_ok(hold(&f, "case", 0.9, 1.1));
    struct storage_fragment out[LIST_MAX];
    struct storage_query all = {.order = STORAGE_BY_NUMBER};
    size_t count;
    assert_ok(storage_find(f.storage, &f.stream, &all, out, LIST_MAX, &count, false));
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, out[5].bytes + out[6].bytes + out[7].bytes);
    assert_ok(storage_stream_update(f.storage, KN_STR("cam"), KN_STR(""), limit_bytes, text));

    storage_keeper_round(f.storage);

    assert_listed(&f, "2 5 6 7");
    assert_int_equal(rig_chunk_files(f.dir.path), 4);
    reopen(&f);
    storage_keeper_round(f.storage);
    assert_listed(&f, "2 5 6 7");
    teardown(&f);
}

TEST(the_setting_limits_streams_without_a_limit_of_their_own)
{
    struct fixture f;
    setup(&f, 1000);
    upload(&f, 6);
    f.storage->conf.stream_bytes_max = 1; /* an open chunk is all that it leaves */

    storage_keeper_round(f.storage); /* and seals that one, which is old */
    storage_work_wait(f.storage);
    storage_keeper_round(f.storage);

    assert_listed(&f, "");
    teardown(&f);
}

static void run_short_of_space(struct fixture *f, unsigned chunks)
{
    f->storage->conf.volume_free_bytes_min = MIB(64);
    f->storage->conf.volume_margin_bytes = MIB(64);
    volume.file_bytes = MIB(160 - 100) / chunks; /* so many make up for what is missing */
    volume.free_bytes = MIB(100);
}

TEST(short_of_space_the_oldest_of_all_streams_go_first)
{
    struct fixture f;
    setup(&f, 1000);
    struct storage_id other = rig_stream(f.storage, "door", 1000);
    upload(&f, 2);            /* 0 1 */
    upload_to(&f, &other, 2); /* the next */
    upload(&f, 2);            /* and 2 3 after that */
    run_short_of_space(&f, 3);

    storage_keeper_round(f.storage);

    char id[STORAGE_ID_TEXT_BYTES], id_other[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&f.stream, id);
    storage_id_text(&other, id_other);
    assert_int_equal(volume.unlinked, 3);
    assert_non_null(strstr(volume.oldest_first[0], id));
    assert_non_null(strstr(volume.oldest_first[1], id));
    assert_non_null(strstr(volume.oldest_first[2], id_other));
    teardown(&f);
}

TEST(short_of_space_a_hold_stays_and_uploads_are_refused_when_nothing_else_may_go)
{
    struct fixture f;
    setup(&f, 1000);
    upload(&f, 4);
    assert_ok(hold(&f, "case", 0, 0.6));
    run_short_of_space(&f, 100);
    volume.free_bytes = MIB(10); /* below the floor */

    storage_keeper_round(f.storage);

    assert_listed(&f, "0 1 3"); /* 3 was in an open chunk */
    struct rig_upload up;
    assert_int_equal(rig_upload_open(&up, f.storage, &f.stream, false), -ENOSPC);
    reopen(&f);
    assert_listed(&f, "0 1 3");
    teardown(&f);
}

TEST(a_held_stream_cannot_be_deleted)
{
    struct fixture f;
    setup(&f, 24);
    upload(&f, 2);
    assert_ok(hold(&f, "case", 0, 10));

    assert_int_equal(storage_stream_delete(f.storage, KN_STR("cam"), KN_STR("")), -EACCES);
    reopen(&f);
    assert_int_equal(storage_stream_delete(f.storage, KN_STR("cam"), KN_STR("")), -EACCES);
    assert_ok(lift(&f, "case"));
    assert_ok(storage_stream_delete(f.storage, KN_STR("cam"), KN_STR("")));
    assert_int_equal(hold(&f, "late", 0, 10), -EBUSY);
    teardown(&f);
}

static int count_hold(void *ctx, const struct storage_hold *one)
{
    assert_true(kn_str_eq(one->reason, KN_STR("case 7")));
    assert_true(kn_str_eq(one->by, KN_STR("AKIDTEST")));
    (*(size_t *) ctx)++;
    return 0;
}

TEST(holds_are_listed_limited_and_survive)
{
    struct fixture f;
    setup(&f, 24);
    char name[16];
    for (int i = 0; i < STORAGE_STREAM_HOLDS_MAX; i++) {
        snprintf(name, sizeof(name), "hold-%03d", i);
        assert_ok(hold(&f, name, i, i + 1));
    }
    assert_int_equal(hold(&f, "one-more", 0, 1), -EDQUOT);
    assert_int_equal(hold(&f, "hold-007", 0, 1), -EEXIST);
    assert_int_equal(hold(&f, "backwards", 1, 0), -EINVAL);
    reopen(&f);

    size_t count = 0;
    assert_ok(storage_hold_list(f.storage, &f.stream, KN_STR(""), count_hold, &count));
    assert_int_equal(count, STORAGE_STREAM_HOLDS_MAX);
    count = 0;
    assert_ok(storage_hold_list(f.storage, &f.stream, KN_STR("hold-097"), count_hold, &count));
    assert_int_equal(count, 2);
    teardown(&f);
}

TESTS_MAIN(TEST_OF(age_takes_what_lies_around_a_hold_and_not_what_it_covers),
           TEST_OF(a_held_fragment_is_read_whole_and_covers_its_time),
           TEST_OF(lifting_a_hold_lets_the_next_round_delete),
           TEST_OF(what_was_deleted_does_not_come_back_for_a_hold),
           TEST_OF(a_kept_chunk_whose_removal_was_cut_short_does_not_come_back_for_a_new_hold),
           TEST_OF(a_stream_keeps_no_more_bytes_than_its_limit_beside_what_is_held),
           TEST_OF(the_setting_limits_streams_without_a_limit_of_their_own),
           TEST_OF(short_of_space_the_oldest_of_all_streams_go_first),
           TEST_OF(short_of_space_a_hold_stays_and_uploads_are_refused_when_nothing_else_may_go),
           TEST_OF(a_held_stream_cannot_be_deleted), TEST_OF(holds_are_listed_limited_and_survive))
