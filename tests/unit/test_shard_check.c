/* SPDX-License-Identifier: Apache-2.0 */
/* `kinema check` and `kinema dump` over the logs of shards. */
#include "shard_rig.h"

#include <unistd.h>

static struct said {
    char text[1 << 20];
    size_t len;
} said;

static void on_line(void *ctx, const char *line)
{
    (void) ctx;
    said.len += (size_t) snprintf(said.text + said.len, sizeof(said.text) - said.len, "%s\n", line);
    assert_true(said.len < sizeof(said.text));
}

static struct storage_look looking(void)
{
    return (struct storage_look){&shard_disk.fs, &shard_clock.clock, on_line, NULL};
}

static struct storage_check_result check(struct shard_rig *f)
{
    const struct storage_look look = looking();
    struct storage_check_result result;
    struct kn_err err = {0};
    said.len = 0;
    said.text[0] = 0;
    assert_ok(storage_check(f->dir.path, &look, &result, &err));
    return result;
}

static int dump(const char *path, bool records)
{
    const struct storage_look look = looking();
    struct kn_err err = {0};
    said.len = 0;
    said.text[0] = 0;
    return storage_dump(path, &look, records, &err);
}

static bool is_said(const char *words)
{
    return strstr(said.text, words) != NULL;
}

/* Closed: 2000 records in segments, some of them in journals too. */
static struct shard_rig filled(void)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    f.conf.segment_bytes_max = KIB(64);
    shard_rig_reopen(&f);
    for (uint64_t n = 0; n < 2000; n += 20)
        shard_rig_append(&f, n, 20);
    shard_rig_close(&f);
    return f;
}

static void first_file(struct shard_rig *f, char dst[300])
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&f->id, id);
    snprintf(dst, 300, "%s/shards/%s/%020d.seg", f->dir.path, id, 0);
}

static void flip(const char *path, off_t at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 0x10, file), byte ^ 0x10);
    assert_int_equal(fclose(file), 0);
}

TEST(shards_that_are_sound_have_no_problem)
{
    struct shard_rig f = filled();
    struct storage_check_result result = check(&f);
    if (result.problems > 0)
        print_error("%s", said.text);
    assert_int_equal(result.problems, 0);
    assert_int_equal(result.shards, 1);
    assert_true(result.segments > 2);
    assert_true(result.records >= 2000);
    assert_true(is_said("journal file="));
    temp_dir_remove(&f.dir);
}

TEST(a_byte_that_has_changed_in_a_segment_is_a_problem)
{
    struct shard_rig f = filled();
    char path[300];
    first_file(&f, path);
    for (unsigned i = 0; i < 40; i++) {
        flip(path, 64 + 13 * (off_t) i);
        assert_true(check(&f).problems > 0);
        assert_true(is_said("problem frame"));
        flip(path, 64 + 13 * (off_t) i);
    }
    flip(path, 25); /* the file's identity */
    assert_true(check(&f).problems > 0);
    flip(path, 25);
    assert_int_equal(check(&f).problems, 0);
    temp_dir_remove(&f.dir);
}

TEST(a_segment_that_is_short_or_gone_or_unknown_is_a_problem)
{
    struct shard_rig f = filled();
    char path[300], other[320];
    first_file(&f, path);
    snprintf(other, sizeof(other), "%s.bak", path);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(check(&f).problems, 2); /* gone, and a file that nobody knows */
    assert_true(is_said("problem segment") && is_said("problem unknown"));
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(truncate(path, 1000), 0);
    assert_true(check(&f).problems > 0);
    temp_dir_remove(&f.dir);
}

TEST(damage_of_a_journal_is_a_problem)
{
    struct shard_rig f = filled();
    char path[300];
    uint64_t problems = 0;
    for (int slot = 0; slot < 4; slot++) { /* one of them at least is needed */
        snprintf(path, sizeof(path), "%s/journal/%d", f.dir.path, slot);
        if (access(path, F_OK) != 0)
            continue;
        flip(path, 4096 + 100);
        problems += check(&f).problems;
        flip(path, 4096 + 100);
    }
    assert_true(problems > 0);
    temp_dir_remove(&f.dir);
}

/* Writes a frame's header anew, as a server gone wrong would have: with checksums that are right.
 */
static void rewrite(struct shard_rig *f, unsigned nth, int64_t index_by, int64_t arrival_by)
{
    struct storage_shard_frame frame = {0};
    uint8_t bytes[STORAGE_SHARD_FRAME_BYTES], head[48];
    char path[300];
    snprintf(path, sizeof(path), "%s/journal/0", f->dir.path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fread(head, sizeof(head), 1, file), 1);
    uint64_t generation;
    memcpy(&generation, head + 24, sizeof(generation));
    uint32_t seed = storage_shard_frame_seed(head + 8, generation);
    uint64_t at = STORAGE_JOURNAL_HEAD_BYTES;
    for (unsigned i = 0; i <= nth; i++) {
        at += i > 0 ? STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes : 0;
        assert_int_equal(fseek(file, (long) at, SEEK_SET), 0);
        assert_int_equal(fread(bytes, sizeof(bytes), 1, file), 1);
        assert_ok(storage_shard_frame_decode(bytes, seed, at, &frame));
    }
    assert_int_equal(frame.kind, STORAGE_BATCH_RECORDS);
    frame.first_index = (uint64_t) ((int64_t) frame.first_index + index_by);
    frame.arrival_ms += arrival_by;
    storage_shard_frame_encode(&frame, seed, bytes);
    assert_int_equal(fseek(file, (long) at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, sizeof(bytes), 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void check_rewritten(struct shard_rig *f, unsigned nth, int64_t index_by, int64_t arrival_by)
{
    rewrite(f, nth, index_by, arrival_by);
    assert_int_equal(check(f).problems, 1);
    assert_true(is_said("problem order file="));
    rewrite(f, nth, -index_by, -arrival_by);
    assert_int_equal(check(f).problems, 0);
}

TEST(records_of_a_journal_out_of_order_are_a_problem)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    shard_disk.no_checkpoints = true;
    for (uint64_t n = 0; n < 100; n += 20)
        shard_rig_append(&f, n, 20);
    shard_rig_close(&f);
    shard_disk.no_checkpoints = false;
    assert_int_equal(check(&f).problems, 0);
    check_rewritten(&f, 2, -1, 0);     /* an index is there twice */
    check_rewritten(&f, 2, 1, 0);      /* the next frame's are */
    check_rewritten(&f, 4, -80, 0);    /* the last as if it were the first */
    check_rewritten(&f, 3, 0, -60000); /* it arrived before the one before */
    rewrite(&f, 4, 5, 0);              /* what failed may leave a gap */
    assert_int_equal(check(&f).problems, 0);
    temp_dir_remove(&f.dir);
}

TEST(journals_and_segments_are_put_into_words)
{
    struct shard_rig f = filled();
    char path[300];
    first_file(&f, path);
    assert_ok(dump(path, true));
    assert_true(is_said("segment shard=010203") && is_said("first=0 "));
    assert_true(is_said("frame at=64 kind=records") && is_said("records=20 "));
    assert_true(is_said("record index=19 key_bytes=6"));
    assert_true(is_said("end at="));
    assert_false(is_said("damage"));
    flip(path, 200);
    assert_ok(dump(path, false));
    assert_true(is_said("damage at=64 what=payload") && !is_said("record index"));
    flip(path, 70);
    assert_ok(dump(path, false));
    assert_true(is_said("damage at=64 bytes="));
    snprintf(path, sizeof(path), "%s/journal/0", f.dir.path);
    assert_ok(dump(path, false));
    assert_true(is_said("journal id=") && is_said("frame at=4096 kind=records shard=010203"));
    temp_dir_remove(&f.dir);
}

/* --- what the disk refuses to read -------------------------------------------------------------
 */
static void refuse(const char *folder, uint64_t sector, int refusals)
{
    shard_disk_set_folder("%s", folder);
    shard_disk.refusal_ms = 1000;
    shard_disk.refusals_left = refusals;
    shard_disk.sick_from = sector;
    shard_disk.sick_to = sector + 4096;
}

/* Closed: all records in segments, or all in the first journal. */
static struct shard_rig filled_one(bool journal)
{
    if (!journal)
        return filled();
    struct shard_rig f = shard_rig_setup(MIB(4));
    for (uint64_t n = 0; n < 1000; n += 20)
        shard_rig_append(&f, n, 20);
    shard_rig_close(&f);
    return f;
}

static const char *const sick_files[] = {"/00000000000000000000.seg", "/journal/0"};

TEST(what_the_disk_refuses_for_a_moment_is_waited_for)
{
    for (int journal = 0; journal < 2; journal++) {
        struct shard_rig f = filled_one(journal);
        struct storage_check_result sound = check(&f);
        refuse(sick_files[journal], 8192, 3);

        struct storage_check_result result = check(&f);

        assert_int_equal(shard_disk.sick_to, 0);
        assert_int_equal(result.problems, 0);
        assert_int_equal(result.records, sound.records);
        assert_false(is_said("problem"));
        temp_dir_remove(&f.dir);
    }
}

TEST(a_sector_that_cannot_be_read_is_a_problem_and_the_rest_is_checked)
{
    for (int journal = 0; journal < 2; journal++) {
        struct shard_rig f = filled_one(journal);
        struct storage_check_result sound = check(&f);
        char words[100];
        refuse(sick_files[journal], 8192, 0);

        struct storage_check_result result = check(&f);

        snprintf(words, sizeof(words), "%s offset=8192 bytes=4096 error=EIO", sick_files[journal]);
        assert_true(is_said("problem sector file=") && is_said(words));
        assert_in_range(result.problems, 2, 3); /* it, and the frames that it cuts */
        assert_true(result.records < sound.records && result.records + 100 > sound.records);
        assert_int_equal(result.segments, sound.segments);
        temp_dir_remove(&f.dir);
    }
}

TEST(a_journal_that_cannot_be_read_at_all_keeps_nobody_from_the_rest)
{
    struct shard_rig f = filled();
    struct storage_check_result sound = check(&f);
    refuse("/journal/0", 0, 0);
    shard_disk.sick_to = UINT64_MAX;

    struct storage_check_result result = check(&f);

    assert_true(is_said("problem journal file=") && is_said("/journal/0 error=EIO"));
    assert_true(result.problems > 0);
    assert_int_equal(result.segments, sound.segments);
    temp_dir_remove(&f.dir);
}

TEST(a_dump_says_the_sector_and_goes_on)
{
    struct shard_rig f = filled();
    char path[300];
    first_file(&f, path);
    assert_ok(dump(path, false));
    size_t whole = said.len;
    refuse(strrchr(path, '/'), 8192, 3);
    assert_ok(dump(path, false));
    assert_int_equal(said.len, whole);
    refuse(strrchr(path, '/'), 8192, 0);
    assert_int_equal(dump(path, false), -EIO);
    assert_true(is_said("damage sector_at=8192 bytes=4096 error=EIO"));
    assert_true(is_said("end at=") && said.len > whole / 2);
    temp_dir_remove(&f.dir);
}

TESTS_MAIN(TEST_OF(shards_that_are_sound_have_no_problem),
           TEST_OF(a_byte_that_has_changed_in_a_segment_is_a_problem),
           TEST_OF(a_segment_that_is_short_or_gone_or_unknown_is_a_problem),
           TEST_OF(damage_of_a_journal_is_a_problem),
           TEST_OF(records_of_a_journal_out_of_order_are_a_problem),
           TEST_OF(journals_and_segments_are_put_into_words),
           TEST_OF(what_the_disk_refuses_for_a_moment_is_waited_for),
           TEST_OF(a_sector_that_cannot_be_read_is_a_problem_and_the_rest_is_checked),
           TEST_OF(a_journal_that_cannot_be_read_at_all_keeps_nobody_from_the_rest),
           TEST_OF(a_dump_says_the_sector_and_goes_on))
