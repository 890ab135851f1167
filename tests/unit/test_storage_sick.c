/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk was open when the server was killed, and the disk refuses to read some of it (EIO): the
 * start shows all else, keeps what it cannot show, and says so. */
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FRAGMENTS_MAX = 100,
    SECTOR = 4096,
};

/* The real disk, but for some bytes of chunks. */
static struct {
    struct kn_fs fs;
    struct kn_fs_ops ops;
    struct kn_file *_Atomic chunk;
    _Atomic uint64_t from, to;
    _Atomic int refusals; /* then it is well again; 0: never */
} disk;
static struct kn_fake_clock now;

static int sick_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    (void) fs;
    int r = kn_fs_system()->ops->open(kn_fs_system(), path, flags, ret);
    if (r < 0)
        return r;
    (*ret)->fs = &disk.fs;
    if (strstr(path, ".mkv"))
        disk.chunk = *ret;
    return 0;
}

static ssize_t sick_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                           bool nowait)
{
    uint64_t end = off;
    for (int i = 0; i < n; i++)
        end += iov[i].iov_len;
    if (file == disk.chunk && off < disk.to && end > disk.from) {
        kn_fake_clock_advance(&now, 1000); /* so long the disk has tried */
        if (disk.refusals > 0 && --disk.refusals == 0)
            disk.to = 0;
        return -EIO;
    }
    return kn_fs_system()->ops->preadv(file, iov, n, off, nowait);
}

struct fixture {
    struct temp_dir dir;
    struct storage_conf conf;
    struct storage *storage;
    struct storage_report report;
    struct capture capture;
    struct storage_id stream;
    struct storage_fragment sent[FRAGMENTS_MAX]; /* as the killed server had them */
    size_t sent_count;
    struct storage_fragment found[FRAGMENTS_MAX];
    size_t found_count;
};

static void open_storage(struct fixture *f)
{
    struct kn_err err = {0};
    f->report = (struct storage_report){0};
    int r =
        storage_open(f->dir.path, &f->conf, &disk.fs, &now.clock, &f->storage, &f->report, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
}

static size_t list(struct fixture *f, struct storage_fragment *out)
{
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count;
    assert_ok(storage_find(f->storage, &f->stream, &query, out, FRAGMENTS_MAX, &count, false));
    return count;
}

/* A server that is killed once all it was sent is acknowledged. */
static void live_and_die(struct fixture *f, int to)
{
    struct rig_upload up;
    open_storage(f);
    f->stream = rig_stream(f->storage, "cam", 24);
    assert_ok(rig_upload_open(&up, f->storage, &f->stream, false));
    rig_upload_header(&up, &f->capture);
    for (size_t i = 0; i < f->capture.fragment_count && f->capture.fragments[i].whole; i++) {
        kn_fake_clock_advance(&now, 1000);
        assert_ok(rig_upload_fragment(&up, &f->capture, i, 0));
        rig_upload_settle(&up);
    }
    f->sent_count = list(f, f->sent);
    assert_int_equal(write(to, &f->stream, sizeof(f->stream)), sizeof(f->stream));
    assert_int_equal(write(to, f->sent, sizeof(f->sent[0]) * f->sent_count),
                     sizeof(f->sent[0]) * f->sent_count);
    _exit(0);
}

static void setup(struct fixture *f)
{
    int ends[2], status;
    disk.ops = *kn_fs_system()->ops;
    disk.ops.open = sick_open;
    disk.ops.preadv = sick_preadv;
    disk.fs.ops = &disk.ops;
    disk.to = 0;
    disk.refusals = 0;
    *f = (struct fixture){.dir = temp_dir_new(), .conf = rig_conf()};
    kn_fake_clock_init(&now, 1763851000000);
    f->capture = capture_read("media/captures/c164_h264_abs_eofr_meta.mkv");
    assert_ok(pipe(ends));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        live_and_die(f, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &f->stream, sizeof(f->stream)), sizeof(f->stream));
    ssize_t got = read(ends[0], f->sent, sizeof(f->sent));
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    f->sent_count = (size_t) got / sizeof(f->sent[0]);
    assert_true(f->sent_count > 3);
}

/* The sector that this byte of the chunk lies in. */
static void refuse(uint64_t at)
{
    disk.from = at / SECTOR * SECTOR;
    disk.to = disk.from + SECTOR;
}

/* --- those who only look ---------------------------------------------------------------------- */
static struct {
    char text[1 << 16];
    size_t len;
} said;

static void on_line(void *ctx, const char *line)
{
    (void) ctx;
    said.len += (size_t) snprintf(said.text + said.len, sizeof(said.text) - said.len, "%s\n", line);
    assert_true(said.len < sizeof(said.text));
}

static unsigned times(const char *words)
{
    unsigned n = 0;
    for (const char *at = said.text; (at = strstr(at, words)) != NULL; at++)
        n++;
    return n;
}

static struct storage_look looking(void)
{
    said.len = 0;
    said.text[0] = 0;
    return (struct storage_look){&disk.fs, &now.clock, on_line, NULL};
}

static struct storage_check_result check(struct fixture *f)
{
    const struct storage_look look = looking();
    struct storage_check_result result;
    struct kn_err err = {0};
    assert_ok(storage_check(f->dir.path, &look, &result, &err));
    return result;
}

static void start(struct fixture *f)
{
    open_storage(f);
    f->found_count = list(f, f->found);
}

static void teardown(struct fixture *f)
{
    storage_close(f->storage);
    capture_done(&f->capture);
    temp_dir_remove(&f->dir);
}

/* Each that was found is one that was sent, in order; those that are missing touch the sector. */
static void assert_only_the_sector_is_missing(struct fixture *f)
{
    size_t at = 0;
    for (size_t i = 0; i < f->sent_count; i++) {
        const struct storage_fragment *sent = &f->sent[i];
        if (at < f->found_count && f->found[at].number.seq == sent->number.seq) {
            assert_int_equal(f->found[at].offset, sent->offset);
            if (sent->offset >= disk.to || sent->offset + sent->bytes <= disk.from)
                assert_ok(rig_compare(f->storage, &f->stream, &f->found[at], &f->capture, i));
            at++;
            continue;
        }
        assert_true(sent->offset < disk.to);
        assert_true(sent->offset + sent->bytes + sent->record_bytes > disk.from);
    }
    assert_int_equal(at, f->found_count);
}

TEST(a_fragment_whose_record_the_disk_refuses_is_said_and_all_others_are_kept)
{
    struct fixture f;
    setup(&f);
    const struct storage_fragment *hit = &f.sent[f.sent_count / 2];
    refuse(hit->offset + hit->bytes);

    start(&f);

    assert_true(f.report.bad_records > 0);
    assert_true(f.found_count > 0 && f.found_count < f.sent_count);
    assert_only_the_sector_is_missing(&f);
    teardown(&f);
}

TEST(media_that_had_been_flushed_stay_in_the_list_while_the_disk_refuses_them)
{
    struct fixture f;
    setup(&f);
    const struct storage_fragment *hit = NULL;
    for (size_t i = 0; i + 2 < f.sent_count && !hit; i++)
        hit = f.sent[i].bytes > 3 * SECTOR ? &f.sent[i] : NULL;
    assert_non_null(hit);
    refuse(hit->offset + SECTOR);

    start(&f);

    assert_int_equal(f.report.bad_records, 0);
    assert_int_equal(f.found_count, f.sent_count);
    assert_only_the_sector_is_missing(&f);
    disk.to = 0; /* the disk is well again: nothing was lost */
    assert_only_the_sector_is_missing(&f);
    teardown(&f);
}

TEST(the_newest_fragment_is_said_when_the_disk_refuses_its_media_or_its_record)
{
    for (int record = 0; record < 2; record++) {
        struct fixture f;
        setup(&f);
        const struct storage_fragment *hit = &f.sent[f.sent_count - 1];
        refuse(record ? hit->offset + hit->bytes + hit->record_bytes - 1
                      : hit->offset + hit->bytes / 2);

        start(&f);

        assert_true(f.report.bad_records > 0);
        assert_true(f.found_count < f.sent_count && f.found_count + 2 >= f.sent_count);
        assert_only_the_sector_is_missing(&f);
        teardown(&f);
    }
}

TEST(a_chunk_whose_head_the_disk_refuses_is_kept_and_left_alone)
{
    struct fixture f;
    setup(&f);
    refuse(0); /* with the only header of its fragments */

    start(&f);

    assert_true(f.report.bad_records > 0);
    assert_int_equal(f.found_count, 0);
    storage_close(f.storage);
    disk.to = 0;
    char command[400];
    const struct storage_fragment *last = &f.sent[f.sent_count - 1];
    uint64_t least = last->offset + last->bytes + last->record_bytes;
    snprintf(command, sizeof(command),
             "test $(find %s/chunks -name '*.mkv' -size +%" PRIu64 "c | wc -l) = 1", f.dir.path,
             least - 1);
    assert_int_equal(system(command), 0);
    start(&f); /* it is not in the way */
    assert_int_equal(f.found_count, 0);
    teardown(&f);
}

TEST(a_check_waits_for_what_the_disk_refuses_for_a_moment)
{
    struct fixture f;
    setup(&f);
    struct storage_check_result sound = check(&f);
    assert_int_equal(sound.problems, 0);
    refuse(f.sent[f.sent_count / 2].offset);
    disk.refusals = 4;

    struct storage_check_result result = check(&f);

    assert_int_equal(disk.refusals, 0);
    assert_int_equal(result.problems, 0);
    assert_int_equal(result.fragments, sound.fragments);
    capture_done(&f.capture);
    temp_dir_remove(&f.dir);
}

TEST(a_check_says_file_and_offset_of_what_cannot_be_read_and_checks_the_rest)
{
    struct fixture f;
    setup(&f);
    struct storage_check_result sound = check(&f);
    char words[100];
    const struct storage_fragment *hit = NULL;
    for (size_t i = 0; i + 2 < f.sent_count && !hit; i++)
        hit = f.sent[i].bytes > 3 * SECTOR ? &f.sent[i] : NULL;
    assert_non_null(hit);
    refuse(hit->offset + SECTOR);

    struct storage_check_result result = check(&f);

    snprintf(words, sizeof(words), ".mkv offset=%" PRIu64 " bytes=4096 error=EIO", disk.from);
    assert_int_equal(times(words), 1);
    assert_int_equal(times("problem payload file="), 1);
    assert_int_equal(result.problems, 2);
    assert_int_equal(result.fragments, sound.fragments);
    capture_done(&f.capture);
    temp_dir_remove(&f.dir);
}

/* Its footer lies at its end. */
TEST(a_sealed_chunk_whose_footer_cannot_be_read_is_checked_by_its_records)
{
    struct fixture f;
    setup(&f);
    start(&f); /* seals it */
    storage_close(f.storage);
    struct storage_check_result sound = check(&f);
    assert_int_equal(sound.problems, 0);
    assert_true(sound.fragments > 3);
    const struct storage_fragment *last = &f.sent[f.sent_count - 1];
    disk.from = last->offset + last->bytes + last->record_bytes;
    disk.to = UINT64_MAX;

    struct storage_check_result result = check(&f);

    assert_int_equal(times("problem footer file="), 1);
    assert_true(result.problems >= 2); /* the footer and its sector */
    assert_true(result.fragments + 2 >= sound.fragments);
    capture_done(&f.capture);
    temp_dir_remove(&f.dir);
}

TEST(a_dump_says_the_rest_of_a_chunk_and_that_it_is_not_whole)
{
    struct fixture f;
    setup(&f);
    char path[500], words[100];
    const struct storage_fragment *hit = &f.sent[f.sent_count / 2];
    struct kn_err err = {0};
    FILE *found = NULL;
    snprintf(path, sizeof(path), "find %s/chunks -name '*.mkv'", f.dir.path);
    found = popen(path, "r");
    assert_non_null(found);
    assert_non_null(fgets(path, sizeof(path), found));
    assert_ok(pclose(found));
    path[strcspn(path, "\n")] = 0;
    refuse(hit->offset + hit->bytes);

    const struct storage_look look = looking();
    int r = storage_dump(path, &look, true, &err);

    assert_int_equal(r, -EIO);
    assert_non_null(strstr(err.text, "4096 bytes of it"));
    snprintf(words, sizeof(words), "damage sector_at=%" PRIu64 " bytes=4096 error=EIO", disk.from);
    assert_int_equal(times(words), 1);
    assert_true(times("fragment number=") + 2 >= f.sent_count);
    capture_done(&f.capture);
    temp_dir_remove(&f.dir);
}

TESTS_MAIN(TEST_OF(a_fragment_whose_record_the_disk_refuses_is_said_and_all_others_are_kept),
           TEST_OF(media_that_had_been_flushed_stay_in_the_list_while_the_disk_refuses_them),
           TEST_OF(the_newest_fragment_is_said_when_the_disk_refuses_its_media_or_its_record),
           TEST_OF(a_chunk_whose_head_the_disk_refuses_is_kept_and_left_alone),
           TEST_OF(a_check_waits_for_what_the_disk_refuses_for_a_moment),
           TEST_OF(a_check_says_file_and_offset_of_what_cannot_be_read_and_checks_the_rest),
           TEST_OF(a_sealed_chunk_whose_footer_cannot_be_read_is_checked_by_its_records),
           TEST_OF(a_dump_says_the_rest_of_a_chunk_and_that_it_is_not_whole))
