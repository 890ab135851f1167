/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process dies, on a real file system: an uploader in a child is killed at random moments; and
 * files are torn or damaged by hand. What was acknowledged is found again, what was damaged is
 * reported, and players read the result.
 */
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ACKS_MAX = 1000
};

struct acks { /* shared with the child */
    _Atomic uint32_t count;
    uint64_t seq[ACKS_MAX];
    uint32_t at[ACKS_MAX];
    _Atomic bool ready; /* what the test waits for has happened */
};

struct fixture {
    struct temp_dir dir;
    struct kn_fake_clock clock;
    struct storage_report report;
    struct storage *storage;
    struct storage_id stream;
    struct capture capture;
    struct acks *acks;
};

static void open_storage(struct fixture *f)
{
    static struct storage_conf conf;
    struct kn_err err = {0};
    conf = rig_conf();
    conf.part_bytes = KIB(16);
    int r = storage_open(f->dir.path, &conf, kn_fs_system(), &f->clock.clock, &f->storage,
                         &f->report, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
    f->stream = rig_stream(f->storage, "cam", 24);
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.dir = temp_dir_new()};
    kn_fake_clock_init(&f->clock, 1763851000000);
    f->capture = capture_read("media/captures/c164_h264_abs_eofr_meta.mkv");
    f->acks =
        mmap(NULL, sizeof(*f->acks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f->acks != MAP_FAILED);
}

static void teardown(struct fixture *f)
{
    if (f->storage)
        storage_close(f->storage);
    capture_done(&f->capture);
    munmap(f->acks, sizeof(*f->acks));
    temp_dir_remove(&f->dir);
}

/* Uploads fragments [0, count), notes each acknowledgement, then half of the next one. */
static void child_upload(struct fixture *f, size_t count, int64_t shift_ms)
{
    struct rig_upload up;
    open_storage(f);
    if (rig_upload_open(&up, f->storage, &f->stream, false) < 0)
        _exit(2);
    rig_upload_header(&up, &f->capture);
    for (size_t i = 0; i < count; i++) {
        kn_fake_clock_advance(&f->clock, 100);
        if (rig_upload_fragment(&up, &f->capture, i, shift_ms) < 0)
            _exit(3);
        rig_upload_settle(&up);
        uint32_t n = f->acks->count;
        f->acks->seq[n] = up.commits[i].fragment.number.seq;
        f->acks->at[n] = (uint32_t) i;
        f->acks->count = n + 1;
    }
    const struct capture_fragment *next = &f->capture.fragments[count];
    struct storage_fragment begun;
    if (rig_upload_begin(&up, next->timecode, 1, 0, &begun) < 0)
        _exit(4);
    (void) rig_upload_parts(&up, &f->capture, next, 0, next->mark_count - 1);
    f->acks->ready = true;
}

/* The child ends without a word, like a process that was killed. */
static void crash_after(struct fixture *f, size_t count, int64_t shift_ms)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child_upload(f, count, shift_ms);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static size_t list(struct fixture *f, struct storage_fragment *out, size_t cap)
{
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count;
    assert_ok(storage_find(f->storage, &f->stream, &query, out, cap, &count, false));
    return count;
}

static void find_file(const struct fixture *f, char dst[512])
{
    char line[600];
    snprintf(line, sizeof(line), "find %s/chunks -name '*.mkv' | sort | tail -1", f->dir.path);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(dst, 512, pipe));
    pclose(pipe);
    dst[strcspn(dst, "\n")] = '\0';
}

static void damage(const char *path, uint64_t at, size_t len)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_ok(fseek(file, (long) at, SEEK_SET));
    for (size_t i = 0; i < len; i++)
        fputc(0x5A ^ (int) i, file);
    fclose(file);
}

static void expect_players_count(const char *path, size_t frames)
{
    char line[1400], text[64];
    snprintf(line, sizeof(line),
             "ffprobe -v error -show_packets -of compact %s 2>&1 | grep -c ^packet;"
             " mkvinfo -v -v -v %s | grep -c -E '(Simple block|Block): '",
             path, path);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    for (int i = 0; i < 2; i++) {
        assert_non_null(fgets(text, sizeof(text), pipe));
        assert_int_equal(strtoull(text, NULL, 10), frames);
    }
    pclose(pipe);
}

static size_t frames_of(const struct fixture *f, size_t fragments)
{
    size_t frames = 0;
    for (size_t i = 0; i < fragments; i++)
        frames += f->capture.fragments[i].frame_count;
    return frames;
}

TEST(a_torn_tail_is_cut_and_the_rest_kept)
{
    struct fixture f;
    setup(&f);
    crash_after(&f, 3, 0);
    char path[512];
    find_file(&f, path);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("what a torn write leaves behind", file);
    fclose(file);

    open_storage(&f);

    assert_false(f.report.clean);
    assert_int_equal(f.report.chunks_recovered, 1);
    assert_int_equal(f.report.fragments_recovered, 3);
    assert_true(f.report.tail_bytes_cut > 31);
    assert_int_equal(f.report.bad_records, 0);
    struct storage_fragment out[10];
    assert_int_equal(list(&f, out, 10), 3);
    for (size_t i = 0; i < 3; i++)
        assert_ok(rig_compare(f.storage, &f.stream, &out[i], &f.capture, i));
    storage_close(f.storage);
    f.storage = NULL;
    expect_players_count(path, frames_of(&f, 3));
    teardown(&f);
}

static struct storage_fragment fragment_at(struct fixture *f, size_t at)
{
    struct storage_fragment out[10];
    assert_true(list(f, out, 10) > at);
    return out[at];
}

TEST(a_damaged_record_in_the_middle_is_reported_and_the_others_kept)
{
    struct fixture f;
    setup(&f);
    crash_after(&f, 4, 0);
    char path[512];
    find_file(&f, path);
    /* Where the second record lies: from a storage over a copy. */
    char line[1200], copy[64];
    snprintf(copy, sizeof(copy), "%.50s-copy", f.dir.path);
    snprintf(line, sizeof(line), "cp -a %s %s", f.dir.path, copy);
    assert_ok(system(line));
    struct fixture other = f;
    snprintf(other.dir.path, sizeof(other.dir.path), "%s", copy);
    open_storage(&other);
    struct storage_fragment second = fragment_at(&other, 1);
    storage_close(other.storage);
    temp_dir_remove(&other.dir);

    damage(path, second.offset + second.bytes + 40, 8);
    open_storage(&f);

    assert_int_equal(f.report.bad_records, 1);
    assert_int_equal(f.report.fragments_recovered, 3);
    struct storage_fragment out[10];
    assert_int_equal(list(&f, out, 10), 3);
    assert_ok(rig_compare(f.storage, &f.stream, &out[0], &f.capture, 0));
    assert_ok(rig_compare(f.storage, &f.stream, &out[1], &f.capture, 2));
    assert_ok(rig_compare(f.storage, &f.stream, &out[2], &f.capture, 3));
    teardown(&f);
}

TEST(a_damaged_head_loses_nothing)
{
    struct fixture f;
    setup(&f);
    crash_after(&f, 3, 0);
    char path[512];
    find_file(&f, path);
    damage(path, 0, 100);

    open_storage(&f);

    assert_true(f.report.bad_records > 0);
    struct storage_fragment out[10];
    assert_int_equal(list(&f, out, 10), 3);
    for (size_t i = 0; i < 3; i++)
        assert_ok(rig_compare(f.storage, &f.stream, &out[i], &f.capture, i));
    teardown(&f);
}

static void say(void *ctx, const char *line)
{
    if (strncmp(line, "problem", 7) == 0 || !ctx)
        print_message("%s\n", line);
}

TEST(check_finds_a_flipped_byte_and_nothing_in_a_sound_folder)
{
    struct fixture f;
    setup(&f);
    open_storage(&f);
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.stream, false));
    rig_upload_header(&up, &f.capture);
    for (size_t i = 0; i < 3; i++)
        assert_ok(rig_upload_fragment(&up, &f.capture, i, 0));
    rig_upload_close(&up);
    rig_upload_done(&up);
    struct storage_fragment second = fragment_at(&f, 1);
    storage_close(f.storage);
    f.storage = NULL;
    struct storage_check_result result;
    struct kn_err err;
    int ctx = 0;
    const struct storage_look look = {kn_fs_system(), kn_clock_system(), say, &ctx};
    assert_ok(storage_check(f.dir.path, &look, &result, &err));
    assert_int_equal(result.problems, 0);
    assert_int_equal(result.fragments, 3);
    assert_int_equal(result.chunks, 1);

    char path[512], stray[700];
    find_file(&f, path);
    damage(path, second.offset + second.bytes / 2, 1);
    assert_ok(storage_check(f.dir.path, &look, &result, &err));
    assert_int_equal(result.problems, 1);
    damage(path, second.offset + second.bytes + 30, 1);
    assert_ok(storage_check(f.dir.path, &look, &result, &err));
    assert_int_equal(result.problems, 2);
    snprintf(stray, sizeof(stray), "%s.copy", path);
    FILE *file = fopen(stray, "w");
    assert_non_null(file);
    fclose(file);
    assert_ok(storage_check(f.dir.path, &look, &result, &err));
    assert_int_equal(result.problems, 3);
    assert_ok(storage_dump(path, &look, true, &err));
    teardown(&f);
}

TEST(what_was_acknowledged_survives_kill_9)
{
    struct fixture f;
    setup(&f);
    uint64_t state = test_seed();
    const char *text = getenv("KINEMA_ROUNDS");
    uint64_t rounds = text ? strtoull(text, NULL, 10) : 15;
    for (uint64_t round = 0; round < rounds; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            child_upload(&f, 4, (int64_t) round * 100000000);
            for (;;)
                pause();
        }
        uint64_t wait_us = test_random(&state) % 120000;
        for (uint64_t waited = 0; waited < wait_us && !f.acks->ready; waited += 500)
            usleep(500);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        f.acks->ready = false;
        f.clock.wall_ms = f.clock.wall_ms + 10000;
    }

    open_storage(&f);

    static struct storage_fragment out[RIG_COMMITS_MAX];
    size_t count = list(&f, out, RIG_COMMITS_MAX);
    size_t next = 0;
    for (uint32_t i = 0; i < f.acks->count; i++) {
        while (next < count && out[next].number.seq < f.acks->seq[i])
            next++;
        assert_true(next < count && out[next].number.seq == f.acks->seq[i]);
        assert_ok(rig_compare(f.storage, &f.stream, &out[next], &f.capture, f.acks->at[i]));
    }
    print_message("%u acknowledged, %zu found\n", f.acks->count, count);
    teardown(&f);
}

TESTS_MAIN(TEST_OF(a_torn_tail_is_cut_and_the_rest_kept),
           TEST_OF(a_damaged_record_in_the_middle_is_reported_and_the_others_kept),
           TEST_OF(a_damaged_head_loses_nothing),
           TEST_OF(check_finds_a_flipped_byte_and_nothing_in_a_sound_folder),
           TEST_OF(what_was_acknowledged_survives_kill_9))
