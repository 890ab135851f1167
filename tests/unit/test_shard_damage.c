/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged bytes in the logs of shards: what is not damaged is read, what is returned is right, and
 * it is said. */
#include "shard_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/crypto.h"
#include "core/log.h"
#include "core/metrics.h"

enum {
    FILES_MAX = 64,
    FRAMES_MAX = 4000,
    RECORDS = 1500,
    RECORDS_A_FRAME = 10,
    PLACES_MAX = 6,
    SEGMENT_HEAD_BYTES = 64,
    JOURNAL_HEAD_BYTES = 4096,
    JOURNAL_COPY_AT = 2048,
    HELD_COPY_BYTES = 64 << 10, /* its block, the last */
    FRAME_HEAD_BYTES = 72,
};

struct frame { /* as docs/format-shard.md says */
    size_t file;
    uint64_t at, end, index;
    uint32_t count;
    uint8_t kind;
};

struct files { /* the segments of the shard, by first index */
    char names[FILES_MAX][300];
    size_t count;
    struct frame frames[FRAMES_MAX];
    size_t frame_count;
};

static uint64_t number(const uint8_t *bytes, size_t len)
{
    uint64_t v = 0;
    for (size_t i = len; i > 0; i--)
        v = v << 8 | bytes[i - 1];
    return v;
}

static int add_name(void *ctx, const char *name, bool is_dir)
{
    struct files *files = ctx;
    assert_false(is_dir);
    assert_true(files->count < FILES_MAX);
    snprintf(files->names[files->count++], sizeof(files->names[0]), "%.200s", name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void read_frames(struct files *files, size_t file, uint64_t at)
{
    static uint8_t bytes[2 << 20];
    int fd = open(files->names[file], O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    close(fd);
    while (at + FRAME_HEAD_BYTES <= (uint64_t) len) {
        if (number(bytes + at + 48, 8) != at) /* no frame: what lies behind the last one */
            return;
        struct frame *frame = &files->frames[files->frame_count++];
        assert_true(files->frame_count <= FRAMES_MAX);
        *frame = (struct frame){.file = file,
                                .at = at,
                                .end = at + FRAME_HEAD_BYTES + number(bytes + at + 4, 4),
                                .index = number(bytes + at + 32, 8),
                                .count = (uint32_t) number(bytes + at + 12, 4),
                                .kind = bytes[at + 64]};
        at = frame->end;
    }
}

static void look_in(const char *path, uint64_t first_at, struct files *ret)
{
    char name[300];
    *ret = (struct files){.count = 0};
    assert_ok(kn_fs_system()->ops->list(kn_fs_system(), path, add_name, ret));
    qsort(ret->names, ret->count, sizeof(ret->names[0]), by_name);
    for (size_t i = 0; i < ret->count; i++) {
        snprintf(name, sizeof(name), "%s/%.100s", path, ret->names[i]);
        memcpy(ret->names[i], name, sizeof(name));
        read_frames(ret, i, first_at);
    }
}

static void look(struct shard_rig *f, struct files *ret)
{
    char id[STORAGE_ID_TEXT_BYTES], path[150];
    storage_id_text(&f->id, id);
    snprintf(path, sizeof(path), "%s/shards/%s", f->dir.path, id);
    look_in(path, SEGMENT_HEAD_BYTES, ret);
}

static void look_at_journals(struct shard_rig *f, struct files *ret)
{
    char path[150];
    snprintf(path, sizeof(path), "%s/journal", f->dir.path);
    look_in(path, JOURNAL_HEAD_BYTES, ret);
}

/* Exchanges the bytes there: done twice, all is as before. */
static void spoil(const char *name, uint64_t at, size_t len)
{
    uint8_t bytes[512];
    int fd = open(name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && len <= sizeof(bytes));
    ssize_t n = pread(fd, bytes, len, (off_t) at);
    assert_true(n > 0);
    for (ssize_t i = 0; i < n; i++)
        bytes[i] ^= 0xa5;
    assert_int_equal(pwrite(fd, bytes, (size_t) n, (off_t) at), n);
    close(fd);
}

static double metric(const char *what)
{
    struct kn_buf text;
    char name[120];
    kn_buf_init(&text, MIB(1));
    assert_ok(kn_metrics_write(&text));
    assert_ok(kn_buf_append(&text, "", 1));
    snprintf(name, sizeof(name), "\n%s ", what);
    const char *at = strstr((const char *) kn_buf_bytes(&text).ptr, name);
    double value = at ? atof(at + strlen(name)) : 0;
    kn_buf_done(&text);
    return value;
}

static double damage(const char *where)
{
    char name[100];
    snprintf(name, sizeof(name), "kinema_shard_damage_total{where=\"%s\"}", where);
    return metric(name);
}

/* Reads all; what comes is right. */
static size_t read_all(struct shard_rig *f, size_t count_max, bool seen[RECORDS])
{
    uint64_t from = 0;
    size_t found = 0;
    memset(seen, 0, RECORDS);
    for (bool end = false; !end;) {
        struct storage_shard_read read = {
            .from = from, .count_max = count_max, .bytes_max = KIB(40)};
        struct storage_page page;
        assert_ok(storage_shard_read(f->shard, &read, &page));
        for (size_t i = 0; i < page.count; i++) {
            uint64_t index = page.records[i].index;
            assert_true(index >= from && index < RECORDS && !seen[index]);
            shard_rig_assert_record(&page.records[i], index);
            seen[index] = true;
            found++;
        }
        assert_true(page.next > from || page.at_end);
        from = page.next;
        end = page.at_end;
        storage_page_free(&page);
    }
    assert_true(from >= RECORDS); /* what was damaged in a journal leaves a gap behind all */
    return found;
}

static struct shard_rig segments(struct files *files)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    f.conf.segment_bytes_max = KIB(100);
    f.conf.journal_count = 2;
    shard_rig_reopen(&f);
    for (uint64_t n = 0; n < RECORDS; n += RECORDS_A_FRAME) {
        shard_clock.wall_ms = 1700000000000 + (int64_t) n;
        shard_rig_append(&f, n, RECORDS_A_FRAME);
    }
    shard_rig_reopen(&f); /* nothing is cached */
    look(&f, files);
    assert_true(files->count > 2 && files->frame_count > 50);
    return f;
}

static struct files files; /* too large for the stack */

TEST(a_damaged_frame_of_a_segment_is_passed_over_and_said_once)
{
    struct shard_rig f = segments(&files);
    bool seen[RECORDS];
    for (size_t at = 0; at < files.frame_count; at += 13) {
        const struct frame *frame = &files.frames[at];
        for (unsigned place = 0; place < 3; place++) {
            uint64_t where = place == 0   ? frame->at + 5  /* its length */
                             : place == 1 ? frame->at + 33 /* its index */
                                          : frame->end - 1;
            double said = damage("segment");
            spoil(files.names[frame->file], where, 1);

            assert_int_equal(read_all(&f, place == 1 ? 7 : 1000, seen), RECORDS - RECORDS_A_FRAME);
            assert_int_equal(read_all(&f, 1000, seen), RECORDS - RECORDS_A_FRAME);
            for (uint64_t i = 0; i < RECORDS_A_FRAME; i++)
                assert_false(seen[frame->index + i]);
            assert_true(damage("segment") == said + 1);

            spoil(files.names[frame->file], where, 1);
            storage_segments_forget(f.storage->shards, NULL);
            assert_int_equal(read_all(&f, 1000, seen), RECORDS);
        }
    }
    shard_rig_teardown(&f);
}

static int read_some(struct shard_rig *f, uint64_t from)
{
    struct storage_shard_read read = {.from = from, .count_max = 1, .bytes_max = 1};
    struct storage_page page;
    int r = storage_shard_read(f->shard, &read, &page);
    if (r == 0)
        storage_page_free(&page);
    return r;
}

/* One sector of a disk of 4 KiB sectors. What it refuses for a while may come back. */
TEST(a_sector_that_cannot_be_read_for_good_is_passed_over_and_said)
{
    struct shard_rig f = segments(&files);
    bool seen[RECORDS];
    const struct frame *first = &files.frames[0];
    while (first->at < 8192 - FRAME_HEAD_BYTES)
        first++;
    shard_disk_set_folder("%s", strrchr(files.names[0], '/'));
    shard_disk.sick_from = 8192;
    shard_disk.sick_to = 12288;
    double said = metric("kinema_shard_unreadable_total{}");

    assert_int_equal(read_some(&f, first->index), -EIO);
    kn_fake_clock_advance(&shard_clock, 9000);
    assert_int_equal(read_some(&f, first->index), -EIO);
    shard_disk.sick_to = 0; /* well again: nothing is lost, nothing said */
    assert_int_equal(read_all(&f, 1000, seen), RECORDS);
    storage_segments_forget(f.storage->shards, NULL);

    shard_disk.sick_to = 12288;
    kn_fake_clock_advance(&shard_clock, 5000); /* its time begins anew */
    assert_int_equal(read_some(&f, first->index), -EIO);
    kn_fake_clock_advance(&shard_clock, 10000);
    size_t found = read_all(&f, 7, seen);
    assert_int_equal(read_all(&f, 1000, seen), found);
    assert_true(found < RECORDS);
    for (size_t i = 0; i < files.frame_count; i++) {
        const struct frame *frame = &files.frames[i];
        bool sick = frame->file == 0 && frame->at < 12288 && frame->end > 8192;
        for (uint64_t k = 0; k < frame->count; k++)
            assert_int_equal(seen[frame->index + k], !sick);
    }
    assert_true(metric("kinema_shard_unreadable_total{}") == said + 1);

    shard_disk.sick_from = shard_disk.sick_to = 0;
    shard_disk_set_folder("%s", "");
    storage_segments_forget(f.storage->shards, NULL);
    assert_int_equal(read_all(&f, 1000, seen), RECORDS);
    shard_rig_teardown(&f);
}

TEST(a_disk_that_refuses_all_is_not_taken_for_damage)
{
    struct shard_rig f = segments(&files);
    bool seen[RECORDS];
    storage_segments_forget(f.storage->shards, NULL);
    shard_disk_set_folder(".seg");
    shard_disk.sick_to = UINT64_MAX;
    double said = damage("segment");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(read_some(&f, RECORDS / 2), -EIO);
        kn_fake_clock_advance(&shard_clock, 60000);
    }
    shard_disk.sick_to = 0;
    shard_disk_set_folder("%s", "");
    assert_int_equal(read_all(&f, 1000, seen), RECORDS);
    assert_true(damage("segment") == said);
    shard_rig_teardown(&f);
}

TEST(a_time_is_found_behind_damage)
{
    struct shard_rig f = segments(&files);
    uint64_t index = 0;
    spoil(files.names[files.frames[20].file], files.frames[20].at, 1);

    assert_ok(storage_shard_find(f.shard, 1700000000200, false, &index));

    assert_int_equal(index, 210);
    shard_rig_teardown(&f);
}

TEST(a_segment_that_is_cut_short_or_gone_loses_its_own_records_only)
{
    struct shard_rig f = segments(&files);
    bool seen[RECORDS];
    const struct frame *frame = &files.frames[0];
    size_t lost = 0;
    while (frame->file == 0)
        frame++;
    uint64_t first = frame->index;
    for (frame++; frame->file == 1; frame++)
        lost++;
    double said = damage("segment");

    assert_ok(truncate(files.names[1], (off_t) frame[-1].at + 80)); /* within its last frame */
    assert_int_equal(read_all(&f, 1000, seen), RECORDS - RECORDS_A_FRAME);
    storage_segments_forget(f.storage->shards, NULL);
    assert_ok(truncate(files.names[1], SEGMENT_HEAD_BYTES + 10));
    assert_int_equal(read_all(&f, 1000, seen), RECORDS - (lost + 1) * RECORDS_A_FRAME);
    storage_segments_forget(f.storage->shards, NULL);
    assert_ok(unlink(files.names[1]));
    assert_int_equal(read_all(&f, 1000, seen), RECORDS - (lost + 1) * RECORDS_A_FRAME);

    assert_true(seen[first - 1] && !seen[first] && seen[frame->index]);
    assert_true(damage("segment") == said + 3);
    shard_rig_teardown(&f);
}

struct spoilt {
    size_t file;
    uint64_t at;
    size_t len;
};

/* Random bytes in a few random frames, and which records they may have cost. */
static size_t spoil_some(uint64_t *state, struct spoilt spoilt[PLACES_MAX], bool may_miss[RECORDS])
{
    size_t places = 1 + test_random(state) % PLACES_MAX;
    memset(may_miss, 0, RECORDS);
    for (size_t i = 0; i < places; i++) {
        const struct frame *hit = &files.frames[test_random(state) % files.frame_count];
        uint64_t at = hit->at + test_random(state) % (hit->end - hit->at);
        size_t len = 1 + test_random(state) % 300;
        spoilt[i] = (struct spoilt){hit->file, at, len};
        spoil(files.names[hit->file], at, len);
        for (size_t k = 0; k < files.frame_count; k++) {
            const struct frame *frame = &files.frames[k];
            if (frame->file == hit->file && frame->at < at + len && frame->end > at)
                memset(may_miss + frame->index, 1, frame->count);
        }
    }
    return places;
}

static void assert_none_missing(uint64_t seed, const bool seen[RECORDS],
                                const bool may_miss[RECORDS])
{
    for (size_t i = 0; i < RECORDS; i++) {
        if (!seen[i] && !may_miss[i])
            print_error("seed %" PRIu64 ": record %zu is missing\n", seed, i);
        assert_true(seen[i] || may_miss[i]);
    }
}

/* All that was not touched is read, nothing that comes is wrong. */
TEST(whatever_of_segments_is_damaged_all_else_is_read)
{
    struct shard_rig f = segments(&files);
    bool seen[RECORDS], may_miss[RECORDS];
    struct spoilt spoilt[PLACES_MAX];
    uint64_t first = test_seed() % 1000000;
    for (uint64_t seed = first; seed < first + 60; seed++) {
        uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
        size_t places = spoil_some(&state, spoilt, may_miss);

        (void) read_all(&f, 1 + test_random(&state) % 50, seen);

        assert_none_missing(seed, seen, may_miss);
        for (size_t i = places; i > 0; i--)
            spoil(files.names[spoilt[i - 1].file], spoilt[i - 1].at, spoilt[i - 1].len);
        storage_segments_forget(f.storage->shards, NULL);
    }
    assert_int_equal(read_all(&f, 1000, seen), RECORDS);
    shard_rig_teardown(&f);
}

/* --- journals --------------------------------------------------------------------------------- */
/* A journal with all the records, closed in order. */
static struct shard_rig closed_journal(void)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    for (uint64_t n = 0; n < RECORDS; n += RECORDS_A_FRAME)
        shard_rig_append(&f, n, RECORDS_A_FRAME);
    shard_rig_close(&f);
    look_at_journals(&f, &files);
    assert_int_equal(files.frame_count, RECORDS / RECORDS_A_FRAME + 1); /* one says that it ends */
    return f;
}

/* As after a power cut: nothing says that the last flush was acknowledged. */
static void spoil_end(void)
{
    spoil(files.names[0], files.frames[files.frame_count - 1].at, 8);
}

TEST(a_damaged_frame_of_a_journal_is_passed_over_and_said)
{
    bool seen[RECORDS];
    for (unsigned place = 0; place < 3; place++) {
        for (size_t at = 0; at < 150; at += 149) { /* the last too */
            struct shard_rig f = closed_journal();
            const struct frame *frame = &files.frames[at];
            double said = damage("journal");
            spoil(files.names[0],
                  place == 0   ? frame->at + 5
                  : place == 1 ? frame->at + 33
                               : frame->end - 1,
                  1);

            shard_rig_open(&f);

            assert_int_equal(f.report.bad_frames, 1);
            assert_true(damage("journal") == said + 1);
            assert_int_equal(read_all(&f, 100, seen), RECORDS - RECORDS_A_FRAME);
            assert_false(seen[frame->index]);
            shard_rig_teardown(&f);
        }
    }
}

TEST(an_index_that_damage_has_taken_is_not_given_again)
{
    struct shard_rig f = closed_journal();
    spoil(files.names[0], files.frames[149].at, 1); /* nobody knows any more how far it went */

    shard_rig_open(&f);
    shard_rig_reopen(&f); /* another start, before or after the checkpoint */
    uint64_t index = shard_rig_append(&f, RECORDS, 1);
    assert_true(index >= RECORDS);
    for (int i = 0; i < 2; i++) {
        struct storage_shard_read read = {.from = RECORDS, .count_max = 1, .bytes_max = MIB(1)};
        struct storage_page page;
        assert_ok(storage_shard_read(f.shard, &read, &page));
        assert_int_equal(page.count, 1);
        assert_int_equal(page.records[0].index, index);
        shard_rig_assert_record(&page.records[0], RECORDS);
        storage_page_free(&page);
        assert_int_equal(shard_rig_append(&f, 0, 1), index + 1 + (uint64_t) i);
        shard_rig_reopen(&f);
    }
    shard_rig_teardown(&f);
}

TEST(the_torn_end_of_the_newest_journal_is_no_damage)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    spoil_end();
    spoil(files.names[0], files.frames[149].at + 100, 50);

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 0);
    assert_int_equal(f.report.records, RECORDS - RECORDS_A_FRAME);
    shard_rig_append(&f, RECORDS - RECORDS_A_FRAME, RECORDS_A_FRAME); /* they go in its place */
    assert_int_equal(read_all(&f, 100, seen), RECORDS);
    shard_rig_teardown(&f);
}

TEST(damage_in_front_of_what_was_flushed_later_is_said_also_without_an_end)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    spoil_end();
    spoil(files.names[0], files.frames[148].at + 100, 50); /* 149 was written after its flush */

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 1);
    assert_int_equal(read_all(&f, 100, seen), RECORDS - RECORDS_A_FRAME);
    assert_true(seen[RECORDS - 1]);
    shard_rig_teardown(&f);
}

/* Frames of one write: the first is torn, the second is whole. */
TEST(a_torn_write_is_not_believed_behind_its_tear)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    uint8_t head[FRAME_HEAD_BYTES], journal[64];
    const struct frame *last = &files.frames[149];
    struct storage_shard_frame frame;
    int fd = open(files.names[0], O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, journal, sizeof(journal), 0), sizeof(journal));
    assert_int_equal(pread(fd, head, sizeof(head), (off_t) last->at), sizeof(head));
    uint32_t seed = storage_shard_frame_seed(journal + 8, number(journal + 24, 8));
    assert_ok(storage_shard_frame_decode(head, seed, last->at, &frame));
    assert_int_equal(frame.flushed, last->at);
    frame.flushed = (uint32_t) files.frames[148].at; /* as if both had been written at once */
    storage_shard_frame_encode(&frame, seed, head);
    assert_int_equal(pwrite(fd, head, sizeof(head), (off_t) last->at), sizeof(head));
    close(fd);
    spoil_end();
    spoil(files.names[0], files.frames[148].at + 100, 50);

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 0);
    shard_rig_append(&f, RECORDS - 2 * RECORDS_A_FRAME, 2 * RECORDS_A_FRAME);
    assert_int_equal(read_all(&f, 100, seen), RECORDS);
    shard_rig_teardown(&f);
}

TEST(a_journal_is_read_by_the_copy_of_its_header)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    spoil(files.names[0], 30, 1);

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 0);
    assert_int_equal(read_all(&f, 100, seen), RECORDS);
    shard_rig_teardown(&f);
}

/* Each start mends what the one before it could do without. */
TEST(a_header_may_go_bad_at_both_places_one_after_the_other)
{
    for (unsigned first = 0; first < 2; first++) {
        struct shard_rig f = closed_journal();
        bool seen[RECORDS];
        for (unsigned i = 0; i < 2; i++) {
            uint64_t at = (first + i) % 2 * MIB(1);
            spoil(files.names[0], at + 30, 1);
            if (at == 0)
                spoil(files.names[0], 2048 + 30, 1);
            if (i > 0)
                break;
            shard_disk.no_checkpoints = true; /* what is in the journal stays there */
            shard_rig_open(&f);
            shard_rig_close(&f);
            shard_disk.no_checkpoints = false;
        }

        shard_rig_open(&f);

        assert_int_equal(f.report.bad_frames, 0);
        assert_int_equal(read_all(&f, 100, seen), RECORDS);
        shard_rig_teardown(&f);
    }
}

static void read_log(FILE *file, char *dst, size_t cap)
{
    rewind(file);
    dst[fread(dst, 1, cap - 1, file)] = 0;
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    rewind(file);
}

TEST(a_header_that_cannot_be_mended_is_said_and_nothing_is_lost)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    char said[8192];
    FILE *log = tmpfile();
    kn_log_setup(fileno(log), KN_LOG_INFO, KN_LOG_TEXT);
    spoil(files.names[0], MIB(1) + 30, 1);
    shard_disk.no_checkpoints = true; /* what is in the journal stays there */
    shard_disk_set_folder("/journal/0");
    shard_disk.folder_flush_error = -EIO;

    shard_rig_open(&f);

    read_log(log, said, sizeof(said));
    assert_non_null(strstr(said, "journal_header_not_mended file=0 place=end error=EIO"));
    assert_int_equal(read_all(&f, 100, seen), RECORDS);
    assert_int_equal(shard_rig_append(&f, RECORDS, 1), RECORDS);
    shard_rig_close(&f);
    spoil(files.names[0], MIB(1) + 30, 1); /* the write itself had come through */
    shard_disk.folder_flush_error = 0;
    shard_rig_open(&f);
    read_log(log, said, sizeof(said));
    assert_non_null(strstr(said, "journal_header_mended file=0 place=end"));
    assert_int_equal(f.report.records, RECORDS + 1);
    kn_log_setup(STDERR_FILENO, KN_LOG_INFO, KN_LOG_TEXT);
    fclose(log);
    shard_disk.no_checkpoints = false;
    shard_rig_teardown(&f);
}

static int add_held(void *ctx, const char *name, bool is_dir)
{
    (void) is_dir;
    if (strncmp(name, "held.", 5) == 0)
        snprintf(ctx, 16, "%.10s", name);
    return 0;
}

/* The whole file in which records are held, and its path. */
static size_t read_held(const struct shard_rig *f, char path[200], uint8_t *dst, size_t cap)
{
    char name[16] = "";
    snprintf(path, 200, "%s/journal", f->dir.path);
    assert_ok(kn_fs_system()->ops->list(kn_fs_system(), path, add_held, name));
    assert_true(name[0]);
    snprintf(path, 200, "%s/journal/%s", f->dir.path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, dst, cap);
    close(fd);
    assert_true(len >= 2 * HELD_COPY_BYTES && (size_t) len < cap);
    return (size_t) len;
}

/* Ten records of a shard that cannot be written, while others fill the journals. */
static struct shard_rig held_records(void)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_shard *other;
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&f.id, id);
    shard_disk_set_folder("/shards/%s", id);
    shard_disk.folder_error = -EIO;
    assert_ok(storage_shard_open(f.storage, &(struct storage_id){{9}}, INT64_MAX, &other));
    shard_rig_append(&f, 0, 10);
    for (uint64_t n = 0; n < 4000; n += 40)
        assert_int_equal(shard_rig_append_to(&f, other, n, 40), n);
    storage_shard_unref(other);
    for (int i = 0; i < 2; i++) /* until nothing else is left to be written out */
        shard_rig_reopen(&f);
    shard_rig_close(&f);
    return f;
}

TEST(the_header_of_what_is_held_may_go_bad_at_both_places_one_after_the_other)
{
    static uint8_t before[KIB(256)], after[KIB(256)];
    struct shard_rig f = held_records();
    char path[200];
    size_t len = read_held(&f, path, before, sizeof(before));
    for (unsigned place = 0; place < 2; place++) {
        spoil(path, place == 0 ? 30 : len - HELD_COPY_BYTES + 30, 1);
        if (place == 0)
            spoil(path, JOURNAL_COPY_AT + 30, 1);

        shard_rig_open(&f);

        assert_int_equal(f.report.bad_frames, 0);
        shard_rig_assert_reads(f.shard, 0, 10, 100);
        shard_rig_close(&f);
        assert_int_equal(read_held(&f, path, after, sizeof(after)), len);
        assert_memory_equal(after, before, len);
    }
    shard_disk.folder_error = 0;
    shard_rig_open(&f);
    shard_rig_teardown(&f);
}

TEST(a_journal_that_is_lost_is_said_and_the_next_is_read)
{
    struct shard_rig f = shard_rig_setup(KIB(256));
    bool seen[RECORDS];
    shard_disk.no_checkpoints = true; /* journals stay */
    for (uint64_t n = 0; n < RECORDS; n += RECORDS_A_FRAME)
        shard_rig_append(&f, n, RECORDS_A_FRAME);
    shard_rig_close(&f);
    look_at_journals(&f, &files);
    size_t in_first = 0;
    while (files.frames[in_first].file == 0)
        in_first++;
    assert_true(in_first < files.frame_count);
    shard_disk.no_checkpoints = false;
    spoil(files.names[0], 30, 1);
    spoil(files.names[0], JOURNAL_COPY_AT + 30, 1);
    spoil(files.names[0], KIB(256) + 30, 1);
    double said = damage("journal");

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 1);
    assert_true(damage("journal") == said + 1);
    assert_int_equal(read_all(&f, 100, seen), RECORDS - in_first * RECORDS_A_FRAME);
    shard_rig_teardown(&f);
}

static void no_line(void *ctx, const char *line)
{
    (void) ctx;
    (void) line;
}

/* What its header says of the journal before it: one that is not there, of which so much counts. */
static void say_before(const char *name, uint64_t bytes)
{
    uint8_t head[64];
    int fd = open(name, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
    kn_put_u64le(head + 32, 77);
    kn_put_u64le(head + 40, bytes);
    kn_put_u32le(head + 48, kn_crc32c(0, (struct kn_bytes){head, 48}));
    assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
    assert_int_equal(pwrite(fd, head, sizeof(head), JOURNAL_COPY_AT), sizeof(head));
    close(fd);
}

/* Its first flush failed; so a power cut may take its header, or not. */
TEST(a_journal_in_which_nothing_counts_may_be_gone)
{
    for (uint64_t more = 0; more < 2; more++) {
        struct shard_rig f = closed_journal();
        struct storage_check_result result;
        const struct storage_look look = {kn_fs_system(), &shard_clock.clock, no_line, NULL};
        struct kn_err err = {0};
        say_before(files.names[0], JOURNAL_HEAD_BYTES + more);

        assert_ok(storage_check(f.dir.path, &look, &result, &err));
        assert_int_equal(result.problems, more);
        shard_rig_open(&f);

        assert_int_equal(f.report.bad_frames, more);
        shard_rig_teardown(&f);
    }
}

TEST(whatever_of_a_journal_is_damaged_all_else_is_read_and_what_is_lost_is_said)
{
    bool seen[RECORDS], may_miss[RECORDS];
    struct spoilt spoilt[PLACES_MAX];
    uint64_t first = test_seed() % 1000000;
    for (uint64_t seed = first; seed < first + 6; seed++) {
        uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
        struct shard_rig f = closed_journal();
        files.frame_count--; /* the end is left alone */
        (void) spoil_some(&state, spoilt, may_miss);

        shard_rig_open(&f);
        size_t found = read_all(&f, 1 + test_random(&state) % 50, seen);

        assert_none_missing(seed, seen, may_miss);
        assert_int_equal(f.report.bad_frames > 0, found < RECORDS);
        shard_rig_teardown(&f);
    }
}

/* --- journals that the disk refuses to read --------------------------------------------------- */
static void refuse(uint64_t from, uint64_t to)
{
    shard_disk_set_folder("/journal/0");
    shard_disk.refusal_ms = 1000;
    shard_disk.sick_from = from;
    shard_disk.sick_to = to;
}

static void get_well(void)
{
    shard_disk.sick_to = 0;
}

static int is_set_aside(void *ctx, const char *name, bool is_dir)
{
    (void) is_dir;
    *(bool *) ctx |= strncmp(name, "sick.", 5) == 0;
    return 0;
}

/* Once all else of it is in segments. */
static void wait_set_aside(struct shard_rig *f)
{
    char path[150];
    snprintf(path, sizeof(path), "%s/journal", f->dir.path);
    for (bool found = false; !found; usleep(1000))
        assert_ok(kn_fs_system()->ops->list(kn_fs_system(), path, is_set_aside, &found));
}

static size_t lost_in(uint64_t from, uint64_t to)
{
    size_t lost = 0;
    for (size_t i = 0; i < files.frame_count; i++) {
        if (files.frames[i].at < to && files.frames[i].end > from)
            lost += files.frames[i].count;
    }
    return lost;
}

TEST(a_start_passes_over_a_sector_of_a_journal_that_the_disk_refuses_and_says_so)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    const uint64_t from = 10 * 4096, to = 11 * 4096;
    size_t lost = lost_in(from, to);
    double said = damage("journal"), sectors = metric("kinema_storage_unreadable_sectors_total{}");
    assert_true(lost > 0);
    refuse(from, to);

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 1);
    assert_true(damage("journal") == said + 1);
    assert_true(metric("kinema_storage_unreadable_sectors_total{}") == sectors + 1);
    assert_int_equal(read_all(&f, 100, seen), RECORDS - lost);
    wait_set_aside(&f);
    get_well();
    shard_rig_reopen(&f);
    assert_int_equal(f.report.bad_frames, 0);
    assert_int_equal(read_all(&f, 100, seen), RECORDS - lost);
    shard_rig_teardown(&f);
}

TEST(records_at_the_very_end_of_a_journal_that_the_disk_refuses_are_no_torn_write)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    spoil_end();
    uint64_t from = files.frames[149].at / 4096 * 4096;
    files.frame_count--;
    size_t lost = lost_in(from, UINT64_MAX);
    refuse(from, from + 8192);

    shard_rig_open(&f);

    assert_true(f.report.bad_frames > 0);
    assert_int_equal(read_all(&f, 100, seen), RECORDS - lost);
    assert_true(shard_rig_append(&f, RECORDS, 1) >= RECORDS); /* no index is given twice */
    wait_set_aside(&f);
    get_well();
    shard_rig_teardown(&f);
}

TEST(a_sick_sector_at_either_copy_of_a_header_costs_nothing)
{
    for (unsigned copy = 0; copy < 2; copy++) {
        struct shard_rig f = closed_journal();
        bool seen[RECORDS];
        double said = damage("journal");
        refuse(copy * MIB(1), copy * MIB(1) + 4096);

        shard_rig_open(&f);

        assert_int_equal(f.report.bad_frames, 0);
        assert_true(damage("journal") == said);
        assert_int_equal(read_all(&f, 100, seen), RECORDS);
        wait_set_aside(&f);
        get_well();
        assert_int_equal(shard_rig_append(&f, RECORDS, 1), RECORDS);
        shard_rig_reopen(&f);
        assert_int_equal(f.report.bad_frames, 0);
        shard_rig_teardown(&f);
    }
}

/* Its size tells: a record's bytes may lie where a copy would. */
TEST(a_journal_of_before_the_copy_is_read)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    assert_ok(truncate(files.names[0], MIB(1)));

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 0);
    assert_int_equal(read_all(&f, 100, seen), RECORDS);
    assert_int_equal(shard_rig_append(&f, RECORDS, 1), RECORDS);
    shard_rig_reopen(&f);
    assert_int_equal(f.report.bad_frames, 0);
    shard_rig_teardown(&f);
}

TEST(a_journal_whose_headers_are_both_gone_is_said_and_set_aside)
{
    struct shard_rig f = closed_journal();
    double said = damage("journal");
    spoil(files.names[0], MIB(1) + 30, 1);
    refuse(0, 4096);

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 1);
    assert_true(damage("journal") == said + 1);
    wait_set_aside(&f);
    get_well();
    assert_true(shard_rig_append(&f, RECORDS, 1) >= RECORDS);
    shard_rig_reopen(&f);
    assert_int_equal(f.report.bad_frames, 0);
    shard_rig_teardown(&f);
}

TEST(what_the_disk_refuses_for_a_moment_costs_nothing)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    double said = damage("journal"), sectors = metric("kinema_storage_unreadable_sectors_total{}");
    refuse(10 * 4096, 11 * 4096);
    shard_disk.refusals_left = 5;

    shard_rig_open(&f);

    assert_int_equal(f.report.bad_frames, 0);
    assert_true(damage("journal") == said);
    assert_true(metric("kinema_storage_unreadable_sectors_total{}") == sectors);
    assert_int_equal(read_all(&f, 100, seen), RECORDS);
    get_well();
    shard_rig_teardown(&f);
}

TEST(a_start_on_a_disk_that_refuses_all_of_a_journal_ends_and_changes_nothing)
{
    struct shard_rig f = closed_journal();
    bool seen[RECORDS];
    struct storage_conf conf = rig_conf();
    struct kn_err err = {0};
    refuse(0, UINT64_MAX);

    assert_ok(storage_open(f.dir.path, &conf, &shard_disk.fs, &shard_clock.clock, &f.storage, NULL,
                           &err));
    assert_int_equal(storage_shards_start(f.storage, &f.conf, &f.report, &err), -EIO);
    storage_close(f.storage);

    get_well();
    shard_rig_open(&f);
    assert_int_equal(f.report.bad_frames, 0);
    assert_int_equal(read_all(&f, 100, seen), RECORDS);
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(a_damaged_frame_of_a_segment_is_passed_over_and_said_once),
           TEST_OF(a_sector_that_cannot_be_read_for_good_is_passed_over_and_said),
           TEST_OF(a_disk_that_refuses_all_is_not_taken_for_damage),
           TEST_OF(a_time_is_found_behind_damage),
           TEST_OF(a_segment_that_is_cut_short_or_gone_loses_its_own_records_only),
           TEST_OF(whatever_of_segments_is_damaged_all_else_is_read),
           TEST_OF(a_damaged_frame_of_a_journal_is_passed_over_and_said),
           TEST_OF(an_index_that_damage_has_taken_is_not_given_again),
           TEST_OF(the_torn_end_of_the_newest_journal_is_no_damage),
           TEST_OF(damage_in_front_of_what_was_flushed_later_is_said_also_without_an_end),
           TEST_OF(a_torn_write_is_not_believed_behind_its_tear),
           TEST_OF(a_journal_is_read_by_the_copy_of_its_header),
           TEST_OF(a_header_may_go_bad_at_both_places_one_after_the_other),
           TEST_OF(a_header_that_cannot_be_mended_is_said_and_nothing_is_lost),
           TEST_OF(the_header_of_what_is_held_may_go_bad_at_both_places_one_after_the_other),
           TEST_OF(a_journal_that_is_lost_is_said_and_the_next_is_read),
           TEST_OF(a_journal_in_which_nothing_counts_may_be_gone),
           TEST_OF(whatever_of_a_journal_is_damaged_all_else_is_read_and_what_is_lost_is_said),
           TEST_OF(a_start_passes_over_a_sector_of_a_journal_that_the_disk_refuses_and_says_so),
           TEST_OF(records_at_the_very_end_of_a_journal_that_the_disk_refuses_are_no_torn_write),
           TEST_OF(a_sick_sector_at_either_copy_of_a_header_costs_nothing),
           TEST_OF(a_journal_of_before_the_copy_is_read),
           TEST_OF(a_journal_whose_headers_are_both_gone_is_said_and_set_aside),
           TEST_OF(what_the_disk_refuses_for_a_moment_costs_nothing),
           TEST_OF(a_start_on_a_disk_that_refuses_all_of_a_journal_ends_and_changes_nothing))
