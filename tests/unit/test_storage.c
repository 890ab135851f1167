/* SPDX-License-Identifier: Apache-2.0 */
/* The storage over a real folder: writing, finding, reading, the tail, restart. */
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include "core/mkv.h"
#include "storage/meta.h"

enum {
    VOID_HEAD_BYTES = 9 /* docs/format-chunk.md */
};

static const char capture_name[] = "media/captures/c164_h264_abs_eofr_meta.mkv";

/* The real disk, whose flushes can be made to wait, and whose reads to come from no cache. */
static struct slow_disk {
    struct kn_fs fs;
    struct kn_fs_ops ops;
    struct kn_lock lock;
    struct kn_cond moved;
    bool held, fails; /* guarded by lock, as the next two */
    struct rig_upload *fails_before_void;
    unsigned voids;
    /* of one thread at a time */
    bool cold, broken;
    unsigned refused, refused_at_first_wait, waits; /* reads: that were not to wait; that did */
} slow;

static int slow_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    (void) fs;
    int r = kn_fs_system()->ops->open(kn_fs_system(), path, flags, ret);
    if (r == 0)
        (*ret)->fs = &slow.fs;
    return r;
}

static int slow_sync(struct kn_file *file)
{
    kn_lock_take(&slow.lock);
    while (slow.held)
        kn_cond_wait(&slow.moved, &slow.lock);
    bool fails = slow.fails;
    kn_lock_give(&slow.lock);
    return fails ? -EIO : kn_fs_system()->ops->sync(file);
}

static ssize_t slow_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                           bool nowait)
{
    if (slow.broken)
        return -EIO;
    if (slow.cold && nowait) {
        slow.refused++;
        return -EAGAIN;
    }
    if (slow.cold && slow.waits++ == 0)
        slow.refused_at_first_wait = slow.refused;
    return kn_fs_system()->ops->preadv(file, iov, n, off, nowait);
}

static void slow_hold(bool held)
{
    KN_LOCKED(&slow.lock);
    slow.held = held;
    kn_cond_broadcast(&slow.moved);
}

static void slow_fail(bool fails)
{
    KN_LOCKED(&slow.lock);
    slow.fails = fails;
}

/* The Void in the place of what is sent again waits until what it waits for has failed. */
static ssize_t slow_pwritev(struct kn_file *file, const struct iovec *iov, int n, uint64_t off)
{
    bool is_void =
        iov[0].iov_len == VOID_HEAD_BYTES && *(const uint8_t *) iov[0].iov_base == KN_MKV_VOID;
    kn_lock_take(&slow.lock);
    struct rig_upload *fails_first = is_void ? slow.fails_before_void : NULL;
    slow.fails |= fails_first != NULL;
    slow.voids += fails_first != NULL;
    kn_lock_give(&slow.lock);
    if (fails_first) {
        slow_hold(false);
        rig_upload_settle(fails_first);
    }
    return kn_fs_system()->ops->pwritev(file, iov, n, off);
}

static void slow_start(void)
{
    slow = (struct slow_disk){.ops = *kn_fs_system()->ops};
    slow.ops.open = slow_open;
    slow.ops.sync = slow_sync;
    slow.ops.preadv = slow_preadv;
    slow.ops.pwritev = slow_pwritev;
    slow.fs.ops = &slow.ops;
    kn_lock_init(&slow.lock);
    kn_cond_init(&slow.moved);
}

static void slow_stop(void)
{
    kn_cond_done(&slow.moved);
    kn_lock_done(&slow.lock);
    slow.fs.ops = NULL;
}

struct fixture {
    struct temp_dir dir;
    struct storage_conf conf;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_report report;
    struct capture capture;
    struct storage_id stream;
};

static void open_storage(struct fixture *f)
{
    struct kn_err err = {0};
    struct kn_fs *fs = slow.fs.ops ? &slow.fs : kn_fs_system();
    int r = storage_open(f->dir.path, &f->conf, fs, &f->clock.clock, &f->storage, &f->report, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
}

static void setup_with(struct fixture *f, uint32_t retention_hours, const char *name)
{
    *f = (struct fixture){.dir = temp_dir_new(), .conf = rig_conf()};
    kn_fake_clock_init(&f->clock, 1763851000000);
    open_storage(f);
    f->stream = rig_stream(f->storage, "cam", retention_hours);
    f->capture = capture_read(name);
}

static void setup(struct fixture *f)
{
    setup_with(f, 24, capture_name);
}

static void teardown(struct fixture *f)
{
    storage_close(f->storage);
    capture_done(&f->capture);
    temp_dir_remove(&f->dir);
}

static size_t whole(const struct capture *c)
{
    size_t count = 0;
    while (count < c->fragment_count && c->fragments[count].whole)
        count++;
    return count;
}

static void upload_all(struct fixture *f, int64_t shift_ms)
{
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f->storage, &f->stream, false));
    rig_upload_header(&up, &f->capture);
    for (size_t i = 0; i < whole(&f->capture); i++) {
        kn_fake_clock_advance(&f->clock, 1000);
        assert_ok(rig_upload_fragment(&up, &f->capture, i, shift_ms));
    }
    rig_upload_settle(&up);
    rig_upload_close(&up);
    for (size_t i = 0; i < up.commit_count; i++)
        assert_ok(up.commits[i].result);
    assert_int_equal(up.commit_count, whole(&f->capture));
    rig_upload_done(&up);
}

static size_t list(struct fixture *f, struct storage_fragment *out, size_t cap)
{
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count;
    assert_ok(storage_find(f->storage, &f->stream, &query, out, cap, &count, false));
    return count;
}

static void expect_all(struct fixture *f, size_t times)
{
    static struct storage_fragment out[1000];
    size_t n = whole(&f->capture), count = list(f, out, 1000);
    assert_int_equal(count, times * n);
    for (size_t i = 0; i < count; i++) {
        assert_ok(rig_compare(f->storage, &f->stream, &out[i], &f->capture, i % n));
        assert_int_equal(out[i].ordinal, i);
        assert_int_equal(out[i].discontinuity, i / n + 1);
        if (i > 0) {
            assert_true(out[i].number.seq > out[i - 1].number.seq);
            assert_true(out[i].number.server_ts_ms > out[i - 1].number.server_ts_ms);
        }
    }
}

TEST(what_was_committed_is_found_and_read_back)
{
    struct fixture f;
    setup(&f);

    upload_all(&f, 0);

    expect_all(&f, 1);
    teardown(&f);
}

TEST(it_is_all_there_after_a_restart)
{
    struct fixture f;
    setup(&f);
    upload_all(&f, 0);

    storage_close(f.storage);
    open_storage(&f);

    assert_true(f.report.clean);
    expect_all(&f, 1);
    upload_all(&f, 1000000000);
    expect_all(&f, 2);
    teardown(&f);
}

TEST(numbers_and_times_go_on_rising_after_a_restart_with_the_clock_set_back)
{
    struct fixture f;
    setup(&f);
    upload_all(&f, 0);
    storage_close(f.storage);
    f.clock.wall_ms -= 86400000 / 2;
    open_storage(&f);

    upload_all(&f, 1000000000);

    expect_all(&f, 2);
    teardown(&f);
}

TEST(a_fragment_in_flight_is_read_from_memory_and_from_the_file)
{
    struct fixture f;
    setup(&f);
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    const struct capture_fragment *want = &f.capture.fragments[0];
    struct storage_fragment begun;
    assert_ok(rig_upload_begin(&up, want->timecode, 5, 0, &begun));
    uint64_t seen = kn_gate_value(storage_tail_gate(f.storage, &f.stream));
    size_t half = want->mark_count / 2;
    assert_ok(rig_upload_parts(&up, &f.capture, want, 0, half));

    struct storage_query query = {.order = STORAGE_BY_NUMBER, .in_flight = true};
    struct storage_fragment got;
    size_t count;
    assert_ok(storage_find(f.storage, &f.stream, &query, &got, 1, &count, false));
    assert_int_equal(count, 1);
    assert_true(got.flags & STORAGE_FRAGMENT_IN_FLIGHT);
    size_t visible = want->marks[half - 1] - want->start;
    assert_int_equal(got.bytes, visible);
    assert_true(kn_gate_value(storage_tail_gate(f.storage, &f.stream)) > seen);
    uint8_t *bytes = malloc(visible + 100);
    for (size_t done = 0; done < visible;) {
        struct iovec iov = {bytes + done, visible + 100 - done};
        ssize_t n = storage_read(f.storage, &f.stream, &got, done, &iov, 1, false);
        assert_true(n > 0);
        done += (size_t) n;
        assert_true(done <= visible);
    }
    assert_memory_equal(bytes, f.capture.bytes + want->start, visible);
    struct iovec more = {bytes, 1};
    assert_int_equal(storage_read(f.storage, &f.stream, &got, visible, &more, 1, true), 0);

    assert_ok(rig_upload_parts(&up, &f.capture, want, half, want->mark_count));
    assert_ok(rig_upload_commit(&up, want));
    rig_upload_settle(&up);
    assert_ok(rig_compare(f.storage, &f.stream, &up.commits[0].fragment, &f.capture, 0));
    struct iovec rest = {bytes, 1}; /* the old value still leads to the bytes */
    assert_int_equal(storage_read(f.storage, &f.stream, &got, visible, &rest, 1, false), 1);
    free(bytes);
    rig_upload_close(&up);
    rig_upload_done(&up);
    teardown(&f);
}

TEST(an_aborted_fragment_is_gone_and_its_reader_is_told)
{
    struct fixture f;
    setup(&f);
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    struct storage_fragment begun;
    const struct capture_fragment *first = &f.capture.fragments[0];
    assert_ok(rig_upload_begin(&up, first->timecode, 5, 0, &begun));
    assert_ok(rig_upload_parts(&up, &f.capture, first, 0, first->mark_count - 1));

    storage_writer_abort(up.w);

    uint8_t byte;
    struct iovec iov = {&byte, 1};
    assert_int_equal(storage_read(f.storage, &f.stream, &begun, 0, &iov, 1, false), -ECANCELED);
    assert_ok(rig_upload_fragment(&up, &f.capture, 0, 0));
    rig_upload_settle(&up);
    rig_upload_close(&up);
    rig_upload_done(&up);
    struct storage_fragment out[4];
    assert_int_equal(list(&f, out, 4), 1);
    assert_int_equal(out[0].ordinal, 0);
    assert_ok(rig_compare(f.storage, &f.stream, &out[0], &f.capture, 0));
    teardown(&f);
}

TEST(a_fragment_sent_again_is_acknowledged_under_its_old_number)
{
    struct fixture f;
    setup(&f);
    upload_all(&f, 0);
    struct storage_fragment before[100];
    size_t count = list(&f, before, 100);

    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    for (size_t i = count - 2; i < count; i++)
        assert_ok(rig_upload_fragment(&up, &f.capture, i, 0));
    assert_ok(rig_upload_fragment(&up, &f.capture, 1, 7777)); /* not the same producer time */
    rig_upload_settle(&up);
    rig_upload_close(&up);

    assert_true(up.commits[0].duplicate && up.commits[1].duplicate);
    assert_int_equal(up.commits[1].fragment.number.seq, before[count - 1].number.seq);
    assert_false(up.commits[2].duplicate);
    struct storage_fragment after[100];
    assert_int_equal(list(&f, after, 100), count + 1);
    assert_int_equal(after[count].ordinal, count);
    rig_upload_done(&up);
    teardown(&f);
}

/* A camera whose connection broke is back before the flush of what it had sent has ended. */
static void send_again_in_mid_flush(bool fails)
{
    struct fixture f;
    slow_start();
    setup(&f);
    storage_close(f.storage);
    open_storage(&f);
    struct rig_upload up, again;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    assert_ok(rig_upload_fragment(&up, &f.capture, 0, 0)); /* its chunk is made */
    rig_upload_settle(&up);
    slow_hold(true);
    assert_ok(rig_upload_fragment(&up, &f.capture, 1, 0));
    assert_ok(rig_upload_open(&again, f.storage, &f.stream, true));
    rig_upload_header(&again, &f.capture);
    assert_ok(rig_upload_fragment(&again, &f.capture, 1, 0));
    assert_ok(rig_upload_fragment(&again, &f.capture, 1, 0));
    slow_fail(fails);
    slow_hold(false);
    rig_upload_settle(&again);
    rig_upload_settle(&up);
    struct storage_fragment out[4];
    size_t count = list(&f, out, 4);
    assert_int_equal(count, fails ? 1 : 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(again.commits[i].duplicate, !fails);
        assert_int_equal(again.commits[i].result, fails ? -EIO : 0);
        if (!fails)
            assert_int_equal(again.commits[i].fragment.number.seq, out[1].number.seq);
    }
    if (!fails)
        assert_ok(rig_compare(f.storage, &f.stream, &out[1], &f.capture, 1));
    slow_fail(false);
    rig_upload_close(&again);
    rig_upload_close(&up);
    rig_upload_done(&again);
    rig_upload_done(&up);
    teardown(&f);
    slow_stop();
}

TEST(a_fragment_sent_again_while_its_flush_is_under_way_is_there_once)
{
    send_again_in_mid_flush(false);
}

TEST(a_fragment_sent_again_fails_with_the_flush_of_the_one_before)
{
    send_again_in_mid_flush(true);
}

/* Its outcome is known when the second copy has been found to be one, and before that is told. */
TEST(a_fragment_sent_again_fails_with_a_flush_that_failed_while_its_place_was_voided)
{
    struct fixture f;
    slow_start();
    setup(&f);
    storage_close(f.storage);
    open_storage(&f);
    struct rig_upload up, again;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    assert_ok(rig_upload_fragment(&up, &f.capture, 0, 0)); /* its chunk is made */
    rig_upload_settle(&up);
    slow_hold(true);
    assert_ok(rig_upload_fragment(&up, &f.capture, 1, 0));
    kn_lock_take(&slow.lock);
    slow.fails_before_void = &up;
    kn_lock_give(&slow.lock);
    assert_ok(rig_upload_open(&again, f.storage, &f.stream, true));
    rig_upload_header(&again, &f.capture);
    assert_ok(rig_upload_fragment(&again, &f.capture, 1, 0));
    rig_upload_settle(&again);

    kn_lock_take(&slow.lock);
    assert_int_equal(slow.voids, 1);
    kn_lock_give(&slow.lock);
    assert_true(up.commits[1].result < 0);
    assert_int_equal(again.commits[0].result, -EIO);
    assert_false(again.commits[0].duplicate);
    struct storage_fragment out[4];
    assert_int_equal(list(&f, out, 4), 1);

    kn_lock_take(&slow.lock);
    slow.fails = false;
    slow.fails_before_void = NULL;
    kn_lock_give(&slow.lock);
    assert_ok(rig_upload_fragment(&again, &f.capture, 1, 0)); /* as a camera does then */
    rig_upload_settle(&again);
    assert_ok(again.commits[1].result);
    assert_false(again.commits[1].duplicate);
    assert_int_equal(list(&f, out, 4), 2);
    assert_ok(rig_compare(f.storage, &f.stream, &out[1], &f.capture, 1));
    rig_upload_close(&again);
    rig_upload_close(&up);
    rig_upload_done(&again);
    rig_upload_done(&up);
    teardown(&f);
    slow_stop();
}

/* Its place in the file becomes a Void while it waits for the flush of what came before it. */
TEST(a_reader_of_a_fragment_that_turns_out_to_be_sent_again_reads_its_bytes_or_is_told)
{
    struct fixture f;
    slow_start();
    setup(&f);
    storage_close(f.storage);
    f.conf.part_bytes = KIB(4); /* most of it is written before it is complete */
    open_storage(&f);
    upload_all(&f, 0);
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    assert_ok(rig_upload_fragment(&up, &f.capture, 0, 7777)); /* its chunk is made */
    rig_upload_settle(&up);
    slow_hold(true);
    assert_ok(rig_upload_fragment(&up, &f.capture, 1, 7777));
    const struct capture_fragment *again = &f.capture.fragments[2];
    assert_true(again->end - again->start > KIB(16));
    int64_t ms = (int64_t) (again->timecode * (f.capture.timestamp_scale_ns / 1000) / 1000);
    struct storage_fragment begun;
    assert_ok(rig_upload_begin(&up, again->timecode, ms, 0, &begun));
    assert_ok(rig_upload_parts(&up, &f.capture, again, 0, again->mark_count));
    assert_ok(rig_upload_commit(&up, again));

    uint8_t bytes[KIB(4)];
    struct iovec iov = {bytes, sizeof bytes};
    ssize_t n;
    do { /* until it is known to be a duplicate */
        n = storage_read(f.storage, &f.stream, &begun, 0, &iov, 1, false);
        if (n > 0)
            assert_memory_equal(bytes, f.capture.bytes + again->start, (size_t) n);
    } while (n >= 0);
    assert_int_equal(n, -ECANCELED);
    assert_int_equal(up.commit_count, 1); /* nobody was told yet */

    slow_hold(false);
    rig_upload_settle(&up);
    rig_upload_close(&up);
    assert_true(up.commits[2].duplicate);
    assert_ok(up.commits[2].result);
    assert_ok(rig_compare(f.storage, &f.stream, &up.commits[2].fragment, &f.capture, 2));
    rig_upload_done(&up);
    teardown(&f);
    slow_stop();
}

static void no_wake(struct kn_gate_waiter *waiter)
{
    (void) waiter;
}

TEST(a_writer_that_asks_is_told_once_of_the_next_reader_that_waits)
{
    struct fixture f;
    setup(&f);
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    struct kn_gate *gate = storage_tail_gate(f.storage, &f.stream);
    struct kn_gate_waiter waiter = {.wake = no_wake};
    for (unsigned round = 0; round < 3; round++) {
        if (round < 2)
            assert_false(storage_writer_ask_followed(up.w));
        assert_true(kn_gate_join(gate, &waiter, kn_gate_value(gate)));
        assert_true(storage_writer_is_followed(up.w));
        assert_true(storage_writer_ask_followed(up.w));
        kn_gate_leave(gate, &waiter);
    }
    assert_int_equal(up.followed, 2);
    rig_upload_close(&up);
    assert_true(kn_gate_join(gate, &waiter, kn_gate_value(gate))); /* nobody is there to be told */
    kn_gate_leave(gate, &waiter);
    rig_upload_done(&up);
    teardown(&f);
}

TEST(a_newcomer_fences_the_writer_before_it)
{
    struct fixture f;
    setup(&f);
    struct rig_upload old, new;
    assert_ok(rig_upload_open(&old, f.storage, &f.stream, false));
    rig_upload_header(&old, &f.capture);
    struct storage_fragment begun;
    const struct capture_fragment *first = &f.capture.fragments[0];
    assert_ok(rig_upload_begin(&old, first->timecode, 5, 0, &begun));
    assert_ok(rig_upload_parts(&old, &f.capture, first, 0, first->mark_count));

    assert_int_equal(rig_upload_open(&new, f.storage, &f.stream, false), -EBUSY);
    assert_ok(rig_upload_open(&new, f.storage, &f.stream, true));

    assert_int_equal(storage_writer_mark(old.w, NULL), -ESTALE);
    assert_int_equal(rig_upload_commit(&old, first), -ESTALE);
    rig_upload_header(&new, &f.capture);
    assert_ok(rig_upload_fragment(&new, &f.capture, 1, 0));
    rig_upload_settle(&new);
    rig_upload_close(&old);
    assert_ok(rig_upload_fragment(&new, &f.capture, 2, 0));
    rig_upload_settle(&new);
    rig_upload_close(&new);
    struct storage_fragment out[8];
    assert_int_equal(list(&f, out, 8), 2);
    assert_ok(rig_compare(f.storage, &f.stream, &out[0], &f.capture, 1));
    assert_ok(rig_compare(f.storage, &f.stream, &out[1], &f.capture, 2));
    rig_upload_done(&old);
    rig_upload_done(&new);
    teardown(&f);
}

TEST(small_chunks_roll_and_every_order_finds_its_way)
{
    struct fixture f;
    setup(&f);
    storage_close(f.storage);
    f.conf.chunk_bytes_max = 600000;
    f.conf.open_chunks_max = 2;
    open_storage(&f);
    upload_all(&f, 0);

    expect_all(&f, 1);
    struct storage_fragment all[200], got[200];
    size_t n = list(&f, all, 200), count;
    struct storage_stream_stats stats;
    assert_ok(storage_stream_stats(f.storage, &f.stream, &stats, false));
    assert_true(stats.chunks > 3);
    assert_int_equal(stats.fragments, n);
    for (size_t i = 0; i < n; i++) {
        struct storage_query down = {.order = STORAGE_BY_SERVER_TS,
                                     .from_ms = INT64_MIN,
                                     .to_ms = all[i].number.server_ts_ms,
                                     .newest_first = true};
        assert_ok(storage_find(f.storage, &f.stream, &down, got, 200, &count, false));
        assert_int_equal(count, i + 1);
        assert_int_equal(got[0].number.seq, all[i].number.seq);
        assert_int_equal(got[i].number.seq, all[0].number.seq);
        struct storage_query producer = {
            .order = STORAGE_BY_PRODUCER_TS, .from_ms = all[i].producer_ts_ms, .to_ms = INT64_MAX};
        assert_ok(storage_find(f.storage, &f.stream, &producer, got, 200, &count, false));
        assert_int_equal(count, n - i);
        struct storage_fragment one;
        assert_ok(storage_find_number(f.storage, &f.stream, &all[i].number, &one, false));
        assert_int_equal(one.producer_ts_ms, all[i].producer_ts_ms);
        assert_ok(storage_find_at(f.storage, &f.stream, STORAGE_BY_SERVER_TS,
                                  all[i].number.server_ts_ms + 1, &one, false));
        assert_int_equal(one.number.seq, all[i].number.seq);
        assert_ok(storage_find_at(f.storage, &f.stream, STORAGE_BY_PRODUCER_TS,
                                  all[i].producer_ts_ms, &one, false));
        assert_int_equal(one.number.seq, all[i].number.seq);
    }
    struct storage_query page = {.order = STORAGE_BY_NUMBER, .after_seq = all[1].number.seq};
    assert_true(n >= 5);
    assert_ok(storage_find(f.storage, &f.stream, &page, got, 3, &count, false));
    assert_int_equal(count, 3);
    assert_int_equal(got[0].number.seq, all[2].number.seq);
    assert_int_equal(storage_find_at(f.storage, &f.stream, STORAGE_BY_PRODUCER_TS,
                                     all[n - 1].producer_ts_ms + 100000, &got[0], false),
                     -ENOENT);
    teardown(&f);
}

TEST(chunks_that_a_walk_comes_to_are_asked_for_together)
{
    struct fixture f;
    struct storage_fragment all[200], got[200];
    const struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count;
    slow_start();
    setup(&f);
    storage_close(f.storage);
    f.conf.chunk_bytes_max = 600000;
    open_storage(&f);
    upload_all(&f, 0);
    size_t n = list(&f, all, 200);
    storage_close(f.storage);

    for (int cold = 0; cold < 2; cold++) {
        open_storage(&f);
        slow.refused = slow.waits = 0;
        slow.cold = cold;
        storage_find_ahead(f.storage, &f.stream, &query, 1); /* the first chunk, and no more */
        assert_ok(storage_find(f.storage, &f.stream, &query, got, 1, &count, true));
        assert_int_equal(count, 1);
        assert_int_equal(storage_find(f.storage, &f.stream, &query, got, 200, &count, true),
                         -EAGAIN);
        assert_int_equal(slow.refused, cold);
        slow.waits = 0;
        storage_find_ahead(f.storage, &f.stream, &query, UINT64_MAX);
        assert_true(!cold || slow.waits > 2);
        assert_int_equal(slow.refused_at_first_wait, cold ? 1 + slow.waits : 0); /* all of them */
        assert_ok(storage_find(f.storage, &f.stream, &query, got, 200, &count, true));
        assert_int_equal(count, n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(got[i].number.seq, all[i].number.seq);
        slow.cold = false;
        storage_close(f.storage);
    }
    open_storage(&f);
    slow.broken = true;
    storage_find_ahead(f.storage, &f.stream, &query, UINT64_MAX);
    assert_int_equal(storage_find(f.storage, &f.stream, &query, got, 200, &count, false), -EIO);
    slow.broken = false;
    assert_int_equal(list(&f, got, 200), n);
    teardown(&f);
    slow_stop();
}

/* What storage_find_at promises, by looking at every fragment. NULL: nothing there. */
static const struct storage_fragment *at_producer(const struct storage_fragment *all, size_t n,
                                                  int64_t at_ms)
{
    const struct storage_fragment *covering = NULL, *later = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct storage_fragment *f = &all[i];
        if (f->producer_ts_ms > at_ms) {
            if (!later || f->producer_ts_ms <= later->producer_ts_ms)
                later = f;
            continue;
        }
        bool followed = i + 1 < n && all[i + 1].chunk == f->chunk &&
                        at_ms < all[i + 1].producer_ts_ms &&
                        !(all[i + 1].flags & STORAGE_FRAGMENT_DISCONTINUITY);
        if (at_ms - f->producer_ts_ms <= f->full_duration_ms || followed)
            covering = f;
    }
    return covering ? covering : later;
}

TEST(sessions_whose_times_overlap_are_found_by_producer_time)
{
    struct fixture f;
    uint64_t seed = test_seed();
    setup(&f);
    storage_close(f.storage);
    f.conf.chunk_bytes_max = 400000;
    f.conf.open_chunks_max = 2;
    open_storage(&f);
    static struct storage_fragment all[400];
    for (unsigned session = 0; session < 8; session++) {
        /* rising at first; then anywhere, some of them over another */
        int64_t shift_ms = session < 3 ? session * 100000 : (int64_t) (test_random(&seed) % 400000);
        upload_all(&f, shift_ms);
        size_t n = list(&f, all, 400);
        int64_t first_ms = INT64_MAX, last_ms = INT64_MIN;
        for (size_t i = 0; i < n; i++) {
            first_ms = kn_min_i64(first_ms, all[i].producer_ts_ms);
            last_ms = kn_max_i64(last_ms, all[i].producer_ts_ms);
        }
        for (unsigned i = 0; i < 200; i++) {
            int64_t at_ms = first_ms - 1000 +
                            (int64_t) (test_random(&seed) % (uint64_t) (last_ms - first_ms + 4000));
            const struct storage_fragment *wanted = at_producer(all, n, at_ms);
            struct storage_fragment got;
            int r =
                storage_find_at(f.storage, &f.stream, STORAGE_BY_PRODUCER_TS, at_ms, &got, false);
            assert_int_equal(r, wanted ? 0 : -ENOENT);
            if (wanted)
                assert_int_equal(got.number.seq, wanted->number.seq);
        }
    }
    teardown(&f);
}

TEST(retention_zero_keeps_fragments_in_memory_only)
{
    struct fixture f;
    setup_with(&f, 0, capture_name);
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    for (size_t i = 0; i < 3; i++)
        assert_ok(rig_upload_fragment(&up, &f.capture, i, 0));
    rig_upload_settle(&up);
    rig_upload_close(&up);
    struct storage_fragment out[8];
    assert_int_equal(list(&f, out, 8), 3);
    assert_true(out[0].flags & STORAGE_FRAGMENT_MEMORY);
    for (size_t i = 0; i < 3; i++)
        assert_ok(rig_compare(f.storage, &f.stream, &out[i], &f.capture, i));
    rig_upload_done(&up);

    storage_close(f.storage);
    open_storage(&f);

    assert_int_equal(list(&f, out, 8), 0);
    teardown(&f);
}

TEST(retention_zero_keeps_its_bytes_between_the_rounds_of_the_keeper)
{
    struct fixture f;
    setup_with(&f, 0, capture_name);
    storage_close(f.storage);
    f.conf.memory_stream_bytes_max = MIB(1);
    f.conf.retention_interval_ms = 3600 * 1000;
    open_storage(&f);
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    uint64_t sent = 0;
    for (int round = 0; sent < MIB(5); round++) {
        for (size_t i = 0; i < whole(&f.capture); i++) {
            assert_ok(rig_upload_fragment(&up, &f.capture, i, round * 1000000));
            sent += f.capture.fragments[i].end - f.capture.fragments[i].start;
            rig_upload_settle(&up);
            struct storage_stream_stats stats;
            assert_ok(storage_stream_stats(f.storage, &f.stream, &stats, false));
            uint64_t bound = MIB(1) + f.capture.fragments[i].end - f.capture.fragments[i].start;
            assert_true(stats.bytes <= bound);
        }
    }
    rig_upload_close(&up);
    rig_upload_done(&up);
    teardown(&f);
}

TEST(many_streams_at_once_keep_apart)
{
    struct fixture f;
    setup(&f);
    enum {
        STREAMS = 20
    };
    static struct rig_upload up[STREAMS];
    for (size_t s = 0; s < STREAMS; s++) {
        char name[16];
        snprintf(name, sizeof(name), "s%zu", s);
        struct storage_id id = rig_stream(f.storage, name, 1);
        assert_ok(rig_upload_open(&up[s], f.storage, &id, false));
        rig_upload_header(&up[s], &f.capture);
    }
    for (size_t i = 0; i < 4; i++) {
        for (size_t s = 0; s < STREAMS; s++)
            assert_ok(rig_upload_fragment(&up[s], &f.capture, i, (int64_t) s));
    }
    for (size_t s = 0; s < STREAMS; s++) {
        rig_upload_settle(&up[s]);
        assert_int_equal(up[s].commit_count, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_ok(up[s].commits[i].result);
            assert_ok(
                rig_compare(f.storage, &up[s].stream, &up[s].commits[i].fragment, &f.capture, i));
        }
        rig_upload_close(&up[s]);
        rig_upload_done(&up[s]);
    }
    teardown(&f);
}

TEST(uploads_that_begin_together_share_a_transaction_of_the_catalogue)
{
    enum {
        STREAMS = 24
    };
    struct fixture f;
    setup(&f);
    struct rig_upload *up = calloc(STREAMS, sizeof(*up));
    for (size_t s = 0; s < STREAMS; s++) {
        char name[16];
        snprintf(name, sizeof(name), "cam-%zu", s);
        struct storage_id id = rig_stream(f.storage, name, 1);
        assert_ok(rig_upload_open(&up[s], f.storage, &id, false));
        rig_upload_header(&up[s], &f.capture);
    }
    uint64_t before = storage_meta_generation(storage_meta_of(f.storage));
    struct storage_fragment begun;
    for (size_t s = 0; s < STREAMS; s++)
        assert_ok(rig_upload_begin(&up[s], 1000, 1000, 0, &begun));
    const struct capture_fragment *first = &f.capture.fragments[0];
    for (size_t s = 0; s < STREAMS; s++) {
        assert_ok(rig_upload_parts(&up[s], &f.capture, first, 0, first->mark_count));
        assert_ok(rig_upload_commit(&up[s], first));
        rig_upload_settle(&up[s]);
        assert_ok(up[s].commits[0].result);
    }
    uint64_t took = storage_meta_generation(storage_meta_of(f.storage)) - before;
    assert_in_range(took, 1, STREAMS - 1);
    for (size_t s = 0; s < STREAMS; s++) {
        rig_upload_close(&up[s]);
        rig_upload_done(&up[s]);
    }
    free(up);
    teardown(&f);
}

TEST(a_folder_is_held_by_one_server)
{
    struct fixture f;
    setup(&f);
    struct storage *second;
    struct kn_err err = {0};

    int r = storage_open(f.dir.path, &f.conf, kn_fs_system(), &f.clock.clock, &second, NULL, &err);

    assert_int_equal(r, -EBUSY);
    assert_non_null(strstr(err.text, "another server"));
    struct storage_check_result result;
    const struct storage_look look = {kn_fs_system(), &f.clock.clock, NULL, NULL};
    r = storage_check(f.dir.path, &look, &result, &err);
    assert_int_equal(r, -EBUSY); /* a folder in use changes while it is read */
    upload_all(&f, 0);
    expect_all(&f, 1);
    teardown(&f);
}

TESTS_MAIN(
    TEST_OF(a_folder_is_held_by_one_server), TEST_OF(what_was_committed_is_found_and_read_back),
    TEST_OF(it_is_all_there_after_a_restart),
    TEST_OF(numbers_and_times_go_on_rising_after_a_restart_with_the_clock_set_back),
    TEST_OF(a_fragment_in_flight_is_read_from_memory_and_from_the_file),
    TEST_OF(an_aborted_fragment_is_gone_and_its_reader_is_told),
    TEST_OF(a_fragment_sent_again_is_acknowledged_under_its_old_number),
    TEST_OF(a_fragment_sent_again_while_its_flush_is_under_way_is_there_once),
    TEST_OF(a_fragment_sent_again_fails_with_the_flush_of_the_one_before),
    TEST_OF(a_fragment_sent_again_fails_with_a_flush_that_failed_while_its_place_was_voided),
    TEST_OF(a_reader_of_a_fragment_that_turns_out_to_be_sent_again_reads_its_bytes_or_is_told),
    TEST_OF(a_writer_that_asks_is_told_once_of_the_next_reader_that_waits),
    TEST_OF(a_newcomer_fences_the_writer_before_it),
    TEST_OF(small_chunks_roll_and_every_order_finds_its_way),
    TEST_OF(chunks_that_a_walk_comes_to_are_asked_for_together),
    TEST_OF(sessions_whose_times_overlap_are_found_by_producer_time),
    TEST_OF(retention_zero_keeps_fragments_in_memory_only),
    TEST_OF(retention_zero_keeps_its_bytes_between_the_rounds_of_the_keeper),
    TEST_OF(many_streams_at_once_keep_apart),
    TEST_OF(uploads_that_begin_together_share_a_transaction_of_the_catalogue))
