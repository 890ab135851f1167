/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts and failing calls. Each round runs an uploader in a child process over the simulated
 * disk, which ends at a chosen call or is made to fail there; then a second child opens what is
 * left, which may be cut too, and a third compares it with what the uploader noted in shared
 * memory: acknowledged ⊆ found ⊆ sent, bytes identical, order kept.
 *
 * KINEMA_ROUNDS sets how many seeds are tried (default 60); KINEMA_SEED replays one.
 */
#include "sim_disk.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    NOTES_MAX = 4096,
    STREAMS = 2,
    SESSIONS = 2,
    FRAGMENTS = 6,
    FRAME_BYTES_MAX = 30000
};

struct note {
    struct storage_number number;
    uint8_t stream, salt; /* salt and count make the fragment again */
    uint16_t session;
    _Atomic bool acked;
};

struct notes { /* shared between the processes of a round */
    _Atomic uint32_t count;
    struct note notes[NOTES_MAX];
    char failure[400];
    uint32_t found;
    uint32_t duplicates; /* acknowledged as stored before */
};

struct bench {
    struct temp_dir dir;
    struct sim_disk *disk;
    struct notes *notes;
};

static bool same_number(const struct storage_number *a, const struct storage_number *b)
{
    return a->seq == b->seq && a->server_ts_ms == b->server_ts_ms && a->random == b->random;
}

/* --- made media
 * ------------------------------------------------------------------------------------- */
/* A header and fragments whose bytes follow from the salt alone. */
static struct capture made(unsigned salt)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(4));
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000, .track_count = 1};
    header.tracks[0] =
        (struct kn_mkv_track){.number = 1, .type = KN_MKV_VIDEO, .codec_id = "V_MPEG4/ISO/AVC"};
    (void) kn_mkv_write_header(&b, &header, KN_STR("made"));
    uint64_t state = salt * 7919 + 13;
    for (unsigned i = 0; i < FRAGMENTS; i++) {
        (void) kn_mkv_write_cluster(&b, salt * 100000 + i * 2000 + 1);
        unsigned frames = 1 + (unsigned) (test_random(&state) % 4);
        for (unsigned n = 0; n < frames; n++) {
            size_t len = 1 + test_random(&state) % FRAME_BYTES_MAX;
            (void) kn_mkv_write_block_head(&b, 1, (int16_t) (n * 40), n == 0, len);
            for (size_t at = 0; at < len; at++)
                (void) kn_buf_append_byte(&b, (uint8_t) test_random(&state));
        }
    }
    struct capture capture = capture_parse(b.ptr, b.len);
    kn_buf_done(&b);
    return capture;
}

static struct storage_conf fault_conf(void)
{
    struct storage_conf conf = rig_conf();
    conf.chunk_bytes_max = 200000;
    conf.part_bytes = KIB(8);
    conf.window_bytes_max = KIB(128);
    conf.io_threads = 2;
    return conf;
}

static int open_storage(struct bench *b, struct kn_fake_clock *clock, struct storage **ret)
{
    static struct storage_conf conf;
    struct kn_err err = {0};
    struct storage_report report;
    conf = fault_conf();
    kn_fake_clock_init(clock, 1763851000000);
    int r =
        storage_open(b->dir.path, &conf, sim_disk_fs(b->disk), &clock->clock, ret, &report, &err);
    if (r < 0)
        snprintf(b->notes->failure, sizeof(b->notes->failure), "open: %s", err.text);
    return r;
}

/* --- the uploader
 * ------------------------------------------------------------------------------------- */
static void note_acks(struct notes *notes, struct rig_upload *up)
{
    rig_upload_settle(up);
    for (size_t i = 0; i < up->commit_count; i++) {
        const struct rig_commit *c = &up->commits[i];
        for (uint32_t n = 0; n < notes->count && c->result == 0; n++) {
            if (memcmp(&notes->notes[n].number, &c->fragment.number, sizeof(c->fragment.number)) ==
                0)
                notes->notes[n].acked = true;
        }
    }
}

/* One fragment, and sometimes a half one that is given up before it. Errors are part of the game.
 */
static int upload_one(struct bench *b, struct rig_upload *up, const struct capture *media,
                      unsigned salt, size_t at, uint8_t stream)
{
    const struct capture_fragment *want = &media->fragments[at];
    struct storage_fragment begun;
    if ((salt + at) % 3 == 0) {
        int r = rig_upload_begin(up, want->timecode, 7, 0, &begun);
        if (r < 0)
            return r;
        (void) rig_upload_parts(up, media, want, 0, want->mark_count / 2 + 1);
        storage_writer_abort(up->w);
    }
    int r = rig_upload_begin(up, want->timecode, (int64_t) want->timecode, 0, &begun);
    if (r < 0)
        return r;
    uint32_t n = b->notes->count;
    kn_assert(n < NOTES_MAX);
    b->notes->notes[n] = (struct note){
        .number = begun.number, .stream = stream, .salt = (uint8_t) salt, .session = (uint16_t) at};
    b->notes->count = n + 1;
    r = rig_upload_parts(up, media, want, 0, want->mark_count);
    if (r == 0)
        r = rig_upload_commit(up, want);
    if (r < 0)
        storage_writer_abort(up->w);
    return r;
}

static void upload_session(struct bench *b, struct storage *storage, struct kn_fake_clock *clock,
                           unsigned salt)
{
    struct rig_upload up[STREAMS];
    struct capture media[STREAMS];
    bool open[STREAMS];
    for (uint8_t s = 0; s < STREAMS; s++) {
        char name[8];
        snprintf(name, sizeof(name), "s%u", s);
        struct storage_id id = rig_stream(storage, name, 24);
        media[s] = made(salt * STREAMS + s);
        open[s] = rig_upload_open(&up[s], storage, &id, false) == 0;
        if (open[s])
            rig_upload_header(&up[s], &media[s]);
    }
    for (size_t i = 0; i < FRAGMENTS; i++) {
        for (uint8_t s = 0; s < STREAMS; s++) {
            kn_fake_clock_advance(clock, 500);
            if (open[s])
                (void) upload_one(b, &up[s], &media[s], salt * STREAMS + s, i, s);
        }
        for (uint8_t s = 0; s < STREAMS && i % 2; s++) {
            if (open[s])
                note_acks(b->notes, &up[s]);
        }
    }
    for (uint8_t s = 0; s < STREAMS; s++) {
        if (open[s]) {
            note_acks(b->notes, &up[s]);
            rig_upload_close(&up[s]);
            rig_upload_done(&up[s]);
        }
        capture_done(&media[s]);
    }
}

static int run_uploader(struct bench *b, unsigned salt)
{
    struct kn_fake_clock clock;
    struct storage *storage;
    if (open_storage(b, &clock, &storage) < 0)
        return sim_disk_failed(b->disk) ? 0 : 3;
    for (unsigned session = 0; session < SESSIONS; session++)
        upload_session(b, storage, &clock, salt + session);
    storage_close(storage);
    return 0;
}

/* --- the judge
 * -------------------------------------------------------------------------------------------- */
static struct note *note_of(struct notes *notes, const struct storage_number *number)
{
    for (uint32_t i = 0; i < notes->count; i++) {
        if (same_number(&notes->notes[i].number, number))
            return &notes->notes[i];
    }
    return NULL;
}

static int judge_stream(struct bench *b, struct storage *storage, uint8_t stream)
{
    static struct storage_fragment found[NOTES_MAX];
    char name[8];
    snprintf(name, sizeof(name), "s%u", stream);
    struct storage_stream *settings = storage_stream_find(storage, kn_str_from(name));
    if (!settings)
        return 0; /* it never came into being; then nothing was acknowledged either: see below */
    struct storage_id id = settings->id;
    storage_stream_unref(settings);
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count;
    int r = storage_find(storage, &id, &query, found, NOTES_MAX, &count, false);
    char *why = b->notes->failure;
    size_t cap = sizeof(b->notes->failure);
    if (r < 0)
        return snprintf(why, cap, "find: %d", r);
    b->notes->found += (uint32_t) count;
    for (size_t i = 0; i < count; i++) {
        struct note *note = note_of(b->notes, &found[i].number);
        if (!note || note->stream != stream)
            return snprintf(why, cap, "seq %" PRIu64 " was never sent", found[i].number.seq);
        struct capture media = made(note->salt);
        r = rig_compare(storage, &id, &found[i], &media, note->session);
        capture_done(&media);
        if (r < 0)
            return snprintf(why, cap, "seq %" PRIu64 " differs: %d", found[i].number.seq, r);
        if (i > 0 && (found[i].number.seq <= found[i - 1].number.seq ||
                      found[i].number.server_ts_ms <= found[i - 1].number.server_ts_ms ||
                      found[i].ordinal <= found[i - 1].ordinal))
            return snprintf(why, cap, "order is broken at seq %" PRIu64, found[i].number.seq);
        note->session |= 0x8000; /* seen */
    }
    return 0;
}

static void keep_line(void *ctx, const char *line)
{
    struct notes *notes = ctx;
    if (strncmp(line, "problem", 7) == 0)
        snprintf(notes->failure, sizeof(notes->failure), "%.390s", line);
}

static int run_judge(struct bench *b)
{
    struct kn_fake_clock clock;
    struct storage *storage;
    b->notes->found = 0;
    if (open_storage(b, &clock, &storage) < 0)
        return 1;
    for (uint8_t s = 0; s < STREAMS; s++) {
        if (judge_stream(b, storage, s) != 0)
            return 1; /* the process ends: no need to close */
    }
    for (uint32_t i = 0; i < b->notes->count; i++) {
        if (b->notes->notes[i].acked && !(b->notes->notes[i].session & 0x8000)) {
            snprintf(b->notes->failure, sizeof(b->notes->failure),
                     "seq %" PRIu64 " was acknowledged and is lost", b->notes->notes[i].number.seq);
            return 1;
        }
    }
    storage_close(storage);
    struct storage_check_result result;
    struct kn_err err;
    int r = storage_check(b->dir.path, sim_disk_fs(b->disk), keep_line, b->notes, &result, &err);
    if (r < 0 || result.fragments != b->notes->found)
        snprintf(b->notes->failure, sizeof(b->notes->failure), "check: %d, %" PRIu64 " fragments",
                 r, result.fragments);
    return r < 0 || result.problems > 0 || result.fragments != b->notes->found;
}

/* --- after a crash
 * ------------------------------------------------------------------------------------------- */
/* A producer comes back and sends again what it was not told of; the process ends right after. */
static int run_resender(struct bench *b, unsigned fail_flush)
{
    struct kn_fake_clock clock;
    struct storage *storage;
    uint32_t count = b->notes->count;
    if (fail_flush) /* the one that seals what recovery found */
        sim_disk_fail_at(b->disk, 0, SIM_SYNC, -EIO, false);
    if (open_storage(b, &clock, &storage) < 0)
        return 3;
    for (uint32_t i = 0; i < count; i++) {
        const struct note note = b->notes->notes[i];
        char name[8];
        snprintf(name, sizeof(name), "s%u", note.stream);
        struct storage_id id = rig_stream(storage, name, 24);
        struct rig_upload up;
        if (note.acked || rig_upload_open(&up, storage, &id, false) < 0)
            continue;
        struct capture media = made(note.salt);
        rig_upload_header(&up, &media);
        (void) upload_one(b, &up, &media, note.salt, note.session, note.stream);
        note_acks(b->notes, &up);
        for (size_t k = 0; k < up.commit_count; k++)
            b->notes->duplicates += up.commits[k].result == 0 && up.commits[k].duplicate;
        rig_upload_close(&up);
        rig_upload_done(&up);
        capture_done(&media);
    }
    return 0;
}

/* --- rounds
 * -------------------------------------------------------------------------------------------------
 */
static struct bench bench_new(void)
{
    struct bench b = {.dir = temp_dir_new(), .disk = sim_disk_new()};
    b.notes =
        mmap(NULL, sizeof(*b.notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(b.notes != MAP_FAILED);
    return b;
}

static void bench_done(struct bench *b)
{
    munmap(b->notes, sizeof(*b->notes));
    sim_disk_free(b->disk);
    temp_dir_remove(&b->dir);
}

static void bench_fresh(struct bench *b)
{
    temp_dir_remove(&b->dir);
    b->dir = temp_dir_new();
    sim_disk_wipe(b->disk);
    b->notes->count = 0;
    b->notes->failure[0] = '\0';
}

/* The status of run(b, arg) in a child. */
static int in_child(struct bench *b, int (*run)(struct bench *b, unsigned arg), unsigned arg)
{
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run(b, arg));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int judge_child(struct bench *b, unsigned arg)
{
    (void) arg;
    return run_judge(b);
}

/* Only opens and closes: recovery, which the next cut strikes. */
static int open_child(struct bench *b, unsigned arg)
{
    (void) arg;
    struct kn_fake_clock clock;
    struct storage *storage;
    if (open_storage(b, &clock, &storage) < 0)
        return 3;
    storage_close(storage);
    return 0;
}

/* One power cut; false when the promise was broken. */
static bool power_cut_round(struct bench *b, uint64_t seed, enum sim_lie lie)
{
    uint64_t state = seed + 1;
    bench_fresh(b);
    sim_disk_lie(b->disk, lie);
    sim_disk_cut_at(b->disk, (int64_t) (test_random(&state) % 420));
    int status = in_child(b, run_uploader, (unsigned) (seed % 50));
    assert_true(status == 0 || status == SIM_CUT_EXIT);
    sim_disk_power_cut(b->disk, test_random(&state));
    if (test_random(&state) % 2) { /* again, while it recovers */
        sim_disk_cut_at(b->disk, (int64_t) (test_random(&state) % 20));
        status = in_child(b, open_child, 0);
        assert_true(status == 0 || status == SIM_CUT_EXIT || lie != SIM_HONEST);
        sim_disk_power_cut(b->disk, test_random(&state));
    }
    status = in_child(b, judge_child, 0);
    if (status != 0 && lie == SIM_HONEST)
        print_error("seed %" PRIu64 ": status %d: %s\n", seed, status, b->notes->failure);
    return status == 0;
}

static uint64_t rounds(uint64_t least)
{
    const char *text = getenv("KINEMA_ROUNDS");
    uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    return n ? n : least;
}

TEST(nothing_acknowledged_is_lost_at_a_power_cut)
{
    struct bench b = bench_new();
    const char *one = getenv("KINEMA_SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : (uint64_t) getpid() * 1000;
    uint64_t n = one ? 1 : rounds(60), bad = 0;
    for (uint64_t seed = first; seed < first + n; seed++)
        bad += !power_cut_round(&b, seed, SIM_HONEST);
    assert_int_equal(bad, 0);
    bench_done(&b);
}

/* Killed, so the page cache keeps all; then power is cut right after the acknowledgements. */
static uint32_t resend_round(struct bench *b, int64_t cut_at, bool fail_flush)
{
    bench_fresh(b);
    b->notes->duplicates = 0;
    sim_disk_cut_at(b->disk, cut_at);
    int status = in_child(b, run_uploader, 4);
    assert_true(status == 0 || status == SIM_CUT_EXIT);
    sim_disk_heal(b->disk);
    status = in_child(b, run_resender, fail_flush);
    if (status != 0)
        print_error("cut at %" PRId64 ": resender: %d: %s\n", cut_at, status, b->notes->failure);
    assert_int_equal(status, 0);
    sim_disk_power_cut(b->disk, (uint64_t) cut_at);
    status = in_child(b, judge_child, 0);
    if (status != 0)
        print_error("cut at %" PRId64 ": %s\n", cut_at, b->notes->failure);
    assert_int_equal(status, 0);
    return b->notes->duplicates;
}

TEST(what_recovery_found_is_acknowledged_to_a_resender_only_once_it_is_flushed)
{
    struct bench b = bench_new();
    uint32_t flushed = 0, failed = 0;
    for (int64_t cut_at = 20; cut_at < 260; cut_at += 24) {
        flushed += resend_round(&b, cut_at, false);
        failed += resend_round(&b, cut_at, true);
    }
    assert_true(failed < flushed); /* of the chunk that could not be flushed, none */
    bench_done(&b);
}

static void expect_killed(const char *mutant, enum sim_lie lie)
{
    struct bench b = bench_new();
    uint64_t tries = 0;
    while (tries < 60 && power_cut_round(&b, tries, lie))
        tries++;
    print_message("mutant \"%s\" %s after %" PRIu64 " cuts\n", mutant,
                  tries < 60 ? "killed" : "ALIVE", tries + 1);
    assert_true(tries < 60);
    bench_done(&b);
}

TEST(a_missing_flush_of_data_is_noticed)
{
    expect_killed("no flush of data", SIM_NO_DATA_SYNC);
}

TEST(a_missing_flush_of_folders_is_noticed)
{
    expect_killed("no flush of folders", SIM_NO_DIR_SYNC);
}

static void sweep(unsigned calls, int error, bool for_good, int64_t step)
{
    struct bench b = bench_new();
    for (int64_t n = 0;; n += step) {
        bench_fresh(&b);
        sim_disk_fail_at(b.disk, n, calls, error, for_good);
        int status = in_child(&b, run_uploader, 3);
        bool struck = sim_disk_failed(b.disk);
        if (status != 0)
            print_error("call %" PRId64 " of kinds %u: uploader status %d: %s\n", n, calls, status,
                        b.notes->failure);
        assert_int_equal(status, 0);
        sim_disk_power_cut(b.disk, (uint64_t) n);
        status = in_child(&b, judge_child, 0);
        if (status != 0)
            print_error("call %" PRId64 " of kinds %u: %s\n", n, calls, b.notes->failure);
        assert_int_equal(status, 0);
        if (!struck) {
            print_message("kinds %u: %" PRId64 " places\n", calls, n);
            assert_true(b.notes->found > 0);
            break;
        }
    }
    bench_done(&b);
}

TEST(a_failing_flush_is_never_acknowledged)
{
    sweep(SIM_SYNC, -EIO, false, 3);
    sweep(SIM_SYNC, -EIO, true, 7);
}

TEST(a_failing_write_or_a_full_disk_loses_nothing_acknowledged)
{
    sweep(SIM_WRITE | SIM_ALLOCATE, -ENOSPC, false, 9);
    sweep(SIM_WRITE | SIM_TRUNCATE, -EIO, false, 9);
    sweep(SIM_WRITE, -EIO, true, 23);
}

TEST(failing_names_and_folders_lose_nothing_acknowledged)
{
    sweep(SIM_OPEN | SIM_MKDIR | SIM_SYNC_DIR | SIM_UNLINK, -EIO, false, 3);
}

TESTS_MAIN(TEST_OF(nothing_acknowledged_is_lost_at_a_power_cut),
           TEST_OF(what_recovery_found_is_acknowledged_to_a_resender_only_once_it_is_flushed),
           TEST_OF(a_missing_flush_of_data_is_noticed),
           TEST_OF(a_missing_flush_of_folders_is_noticed),
           TEST_OF(a_failing_flush_is_never_acknowledged),
           TEST_OF(a_failing_write_or_a_full_disk_loses_nothing_acknowledged),
           TEST_OF(failing_names_and_folders_lose_nothing_acknowledged))
