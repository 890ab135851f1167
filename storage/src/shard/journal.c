/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals: a few files full of zeros that are written over and over, so that a flush pays for the
 * bytes and never for a file that grows. Each use has a random identity and a generation in its
 * header; frames are checked against both. The header also says how much of the journal before it
 * is to be believed: what lies behind that was never acknowledged. docs/format-shard.md.
 */
#include "damage.h"
#include "metrics.h"
#include "shards.h"

#include <stdio.h>

#include "../patient.h"
#include "core/crypto.h"
#include "core/log.h"

enum {
    HEAD_BYTES = 64,
    HEAD_COPY_AT = 2048, /* in another sector */
    HEADS_BYTES = HEAD_COPY_AT + HEAD_BYTES,
    ZERO_BYTES = 1 << 20,
};
static const uint8_t magic[8] = {'K', 'N', 'J', 'R', 'N', 'L', '1', '\n'};

static void head_encode(const struct storage_journal_head *head, uint8_t dst[HEAD_BYTES])
{
    memset(dst, 0, HEAD_BYTES);
    memcpy(dst, magic, sizeof(magic));
    memcpy(dst + 8, head->id, 16);
    kn_put_u64le(dst + 24, head->generation);
    kn_put_u64le(dst + 32, head->before_generation);
    kn_put_u64le(dst + 40, head->before_bytes);
    kn_put_u32le(dst + 48, kn_crc32c(0, (struct kn_bytes){dst, 48}));
}

static int head_decode(const uint8_t src[HEAD_BYTES], struct storage_journal_head *ret)
{
    struct kn_reader in = kn_reader_of((struct kn_bytes){src, HEAD_BYTES});
    struct storage_journal_head head;
    struct kn_bytes got_magic, id;
    uint32_t crc;
    int r = kn_read_bytes(&in, sizeof(magic), &got_magic);
    r = r < 0 ? r : kn_read_bytes(&in, sizeof(head.id), &id);
    r = r < 0 ? r : kn_read_u64le(&in, &head.generation);
    r = r < 0 ? r : kn_read_u64le(&in, &head.before_generation);
    r = r < 0 ? r : kn_read_u64le(&in, &head.before_bytes);
    r = r < 0 ? r : kn_read_u32le(&in, &crc);
    if (r < 0 || memcmp(got_magic.ptr, magic, sizeof(magic)) != 0 ||
        crc != kn_crc32c(0, (struct kn_bytes){src, 48}) || head.generation == 0)
        return -ENODATA;
    memcpy(head.id, id.ptr, sizeof(head.id));
    *ret = head;
    return 0;
}

/* Of the two copies the newer that can be read. */
static int heads_decode(const uint8_t src[HEADS_BYTES], struct storage_journal_head *ret)
{
    struct storage_journal_head first, copy;
    int r = head_decode(src, &first), copied = head_decode(src + HEAD_COPY_AT, &copy);
    if (r < 0 && copied < 0)
        return r;
    *ret = copied == 0 && (r < 0 || copy.generation > first.generation) ? copy : first;
    return 0;
}

int storage_journal_head_read(struct kn_file *file, uint64_t copy_at,
                              struct storage_journal_head *ret)
{
    uint8_t bytes[HEADS_BYTES];
    int r = kn_file_read_all(file, bytes, sizeof(bytes), 0);
    if (r == 0)
        r = heads_decode(bytes, ret);
    if (r != -ENODATA || copy_at == 0)
        return r;
    r = kn_file_read_all(file, bytes, HEAD_BYTES, copy_at);
    return r < 0 ? r : head_decode(bytes, ret);
}

bool storage_journal_lacks(const struct storage_journal_head *head, uint64_t done)
{
    return head->before_generation > done && head->before_bytes > STORAGE_JOURNAL_HEAD_BYTES;
}

static int folder_path(const struct storage_shards *shards, char dst[STORAGE_SHARD_PATH_BYTES])
{
    int n = snprintf(dst, STORAGE_SHARD_PATH_BYTES, "%s/journal", shards->storage->dir);
    return n < 0 || n >= STORAGE_SHARD_PATH_BYTES ? -EMSGSIZE : 0;
}

static int file_path(const struct storage_shards *shards, unsigned slot,
                     char dst[STORAGE_SHARD_PATH_BYTES])
{
    int n = snprintf(dst, STORAGE_SHARD_PATH_BYTES, "%s/journal/%u", shards->storage->dir, slot);
    return n < 0 || n >= STORAGE_SHARD_PATH_BYTES ? -EMSGSIZE : 0;
}

/* --- making and beginning --------------------------------------------------------------------- */
static int write_zeros(struct kn_file *file, uint64_t bytes)
{
    uint8_t *zeros = calloc(1, ZERO_BYTES);
    if (!zeros)
        return -ENOMEM;
    int r = 0;
    for (uint64_t at = 0; r == 0 && at < bytes; at += ZERO_BYTES) {
        struct iovec iov = {zeros, kn_min_u64(ZERO_BYTES, bytes - at)};
        r = kn_file_write_all(file, &iov, 1, at);
    }
    free(zeros);
    return r < 0 ? r : file->fs->ops->sync(file);
}

int storage_journal_make(struct storage_shards *shards, struct storage_journal *journal)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES], folder[STORAGE_SHARD_PATH_BYTES];
    int r = folder_path(shards, folder);
    if (r == 0)
        r = file_path(shards, journal->slot, path);
    if (r < 0)
        return r;
    if (journal->file)
        fs->ops->close(KN_MOVE(journal->file));
    r = fs->ops->unlink(fs, path);
    if (r < 0 && r != -ENOENT)
        return r;
    struct kn_file *file;
    r = fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_CREATE | KN_FS_EXCLUSIVE, &file);
    if (r < 0)
        return r;
    r = write_zeros(file, shards->conf.journal_bytes + STORAGE_JOURNAL_COPY_BYTES);
    if (r == 0)
        r = fs->ops->sync_dir(fs, folder);
    if (r < 0) {
        fs->ops->close(file);
        (void) fs->ops->unlink(fs, path);
        return r;
    }
    journal->file = file;
    journal->capacity = shards->conf.journal_bytes;
    journal->copied = true;
    journal->broken = journal->sick = false;
    return 0;
}

int storage_journal_set_aside(struct storage_shards *shards, struct storage_journal *journal)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES], aside[STORAGE_SHARD_PATH_BYTES];
    char folder[STORAGE_SHARD_PATH_BYTES];
    int r = folder_path(shards, folder);
    if (r == 0)
        r = file_path(shards, journal->slot, path);
    if (r < 0)
        return r;
    int n = snprintf(aside, sizeof(aside), "%s/journal/sick.%" PRId64 ".%u", shards->storage->dir,
                     kn_wall_ms(shards->storage->clock), journal->slot);
    if (n < 0 || (size_t) n >= sizeof(aside))
        return -EMSGSIZE;
    if (journal->file)
        fs->ops->close(KN_MOVE(journal->file));
    r = fs->ops->rename(fs, path, aside);
    if (r < 0)
        return r;
    journal->sick = false;
    kn_log_error("journal_set_aside",
                 "file=" KN_LOG_QUOTED
                 " said=\"the disk refuses to read some of it; what could be read has been taken\"",
                 kn_log_quote(kn_str_from(aside)));
    return fs->ops->sync_dir(fs, folder);
}

static int write_front(struct kn_file *file, const struct storage_journal_head *head)
{
    uint8_t bytes[HEADS_BYTES] = {0};
    struct iovec iov = {bytes, sizeof(bytes)};
    head_encode(head, bytes);
    head_encode(head, bytes + HEAD_COPY_AT);
    return kn_file_write_all(file, &iov, 1, 0);
}

static int write_copy(struct kn_file *file, uint64_t at, const struct storage_journal_head *head)
{
    uint8_t bytes[HEAD_BYTES];
    struct iovec iov = {bytes, sizeof(bytes)};
    head_encode(head, bytes);
    return kn_file_write_all(file, &iov, 1, at);
}

int storage_journal_head_write(struct kn_file *file, uint64_t copy_at,
                               const struct storage_journal_head *head)
{
    int r = write_front(file, head);
    return r < 0 || copy_at == 0 ? r : write_copy(file, copy_at, head);
}

static uint64_t place_of_copy(const struct storage_shards *shards,
                              const struct storage_journal *journal)
{
    return journal->copied ? shards->conf.journal_bytes : 0;
}

int storage_journal_begin(struct storage_shards *shards, struct storage_journal *journal,
                          uint64_t generation)
{
    struct storage_journal_head head = {.generation = generation,
                                        .before_generation = shards->before_generation,
                                        .before_bytes = shards->before_bytes};
    journal->generation = generation;
    journal->tail = STORAGE_JOURNAL_HEAD_BYTES;
    kn_random(journal->id, sizeof(journal->id));
    memcpy(head.id, journal->id, sizeof(head.id));
    journal->seed = storage_shard_frame_seed(journal->id, generation);
    if (journal->copied)
        journal->capacity = shards->conf.journal_bytes; /* until then all that is there is read */
    return storage_journal_head_write(journal->file, place_of_copy(shards, journal), &head);
}

/* --- opening --------------------------------------------------------------------------------- */
/* Without its header nothing in it can be told from what an earlier use has left. It goes before a
 * generation that may be its own is given again. */
static int headless(struct storage_shards *shards, struct storage_journal *journal,
                    struct storage_shards_report *report)
{
    report->bad_frames++;
    report->bad_bytes += journal->capacity;
    storage_shard_damaged(STORAGE_SHARD_IN_JOURNAL, NULL, 0, 0, journal->capacity);
    return storage_journal_set_aside(shards, journal);
}

/* Those of before the copy have frames up to the end of the file, where a record's bytes might look
 * like one. They are read, and made anew before they are used again. */
static int measure(struct storage_shards *shards, struct storage_journal *journal)
{
    int r = journal->file->fs->ops->size(journal->file, &journal->capacity);
    journal->copied =
        r == 0 && journal->capacity == shards->conf.journal_bytes + STORAGE_JOURNAL_COPY_BYTES;
    return r;
}

/* A damaged header is that of a journal that has not been flushed yet: nothing in it counts. */
static int look(struct storage_shards *shards, struct storage_journal *journal,
                struct storage_journal_head *ret, struct storage_shards_report *report)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    *ret = (struct storage_journal_head){.generation = 0};
    int r = file_path(shards, journal->slot, path);
    if (r == 0)
        r = fs->ops->open(fs, path, KN_FS_WRITE, &journal->file);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = fs->ops->settle(journal->file);
    if (r == 0)
        r = measure(shards, journal);
    if (r < 0)
        return r;
    struct storage_patient patient;
    storage_patient_init(&patient, shards->storage, journal->file, path);
    r = storage_journal_head_read(&patient.file, place_of_copy(shards, journal), ret);
    if (r == -ENODATA && storage_patient_gave_up(&patient, 0, HEADS_BYTES))
        return headless(shards, journal, report);
    journal->sick = patient.refused > 0;
    journal->broken = journal->sick || (r == -ENODATA && !journal->copied);
    if (r == 0) {
        journal->generation = ret->generation;
        memcpy(journal->id, ret->id, sizeof(ret->id));
        journal->seed = storage_shard_frame_seed(ret->id, ret->generation);
    }
    return r == -ENODATA ? 0 : r;
}

static bool is_same(const struct storage_journal_head *a, const struct storage_journal_head *b)
{
    return a->generation == b->generation && memcmp(a->id, b->id, sizeof(a->id)) == 0;
}

/* A header that is bad at one place is written there again, before the other goes bad too. The good
 * one is not touched: a power cut may spoil what is being written. What the disk refuses to read is
 * left to who reads the rest, and set aside. */
static int mend_head(struct kn_file *file, const char *name, uint64_t copy_at,
                     const struct storage_journal_head *head)
{
    struct storage_journal_head found;
    uint8_t front[HEADS_BYTES], copy[HEAD_BYTES];
    if (kn_file_read_all(file, front, sizeof(front), 0) < 0 ||
        kn_file_read_all(file, copy, sizeof(copy), copy_at) < 0)
        return 0;
    bool in_front = heads_decode(front, &found) == 0 && is_same(&found, head);
    if (in_front && head_decode(copy, &found) == 0 && is_same(&found, head))
        return 0;
    int r = in_front ? write_copy(file, copy_at, head) : write_front(file, head);
    if (r == 0)
        r = file->fs->ops->sync(file);
    const char *place = in_front ? "end" : "beginning";
    if (r < 0)
        kn_log_warn("journal_header_not_mended", "file=%s place=%s error=%s", name, place,
                    kn_errname(r));
    else
        kn_log_info("journal_header_mended", "file=%s place=%s", name, place);
    return r;
}

static void mend(struct storage_shards *shards, struct storage_journal *journal,
                 const struct storage_journal_head *head)
{
    char name[16];
    snprintf(name, sizeof(name), "%u", journal->slot);
    journal->broken = mend_head(journal->file, name, place_of_copy(shards, journal), head) < 0;
}

static int make_folder(struct storage_shards *shards)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    int r = folder_path(shards, path);
    if (r == 0)
        r = fs->ops->mkdir(fs, path);
    if (r < 0 && r != -EEXIST)
        return r;
    return fs->ops->sync_dir(fs, shards->storage->dir);
}

/* What the journal after this one says of it. */
static uint64_t trusted(const struct storage_journal_head heads[STORAGE_JOURNALS_MAX],
                        uint64_t generation)
{
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        if (heads[i].generation > 0 && heads[i].before_generation == generation)
            return heads[i].before_bytes;
    }
    return UINT64_MAX;
}

/* The oldest that is newer than this; NULL: none. */
static struct storage_journal *next_journal(struct storage_shards *shards,
                                            const struct storage_journal_head *heads, uint64_t done)
{
    struct storage_journal *next = NULL;
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        struct storage_journal *journal = &shards->journals[i];
        if (heads[i].generation > done && (!next || next->generation > journal->generation))
            next = journal;
    }
    return next;
}

static int replay_patiently(struct storage_shards *shards, struct storage_journal *journal,
                            uint64_t until, storage_journal_fn *each,
                            struct storage_shards_report *report)
{
    char path[STORAGE_SHARD_PATH_BYTES];
    struct kn_file *file = journal->file;
    struct storage_patient patient;
    int r = file_path(shards, journal->slot, path);
    if (r < 0)
        return r;
    storage_patient_init(&patient, shards->storage, file, path);
    journal->patient = &patient;
    journal->file = &patient.file;
    r = storage_journal_replay(shards, journal, until, each, report);
    journal->file = file;
    journal->patient = NULL;
    journal->sick |= patient.refused > 0;
    journal->broken |= journal->sick;
    return r;
}

static int replay_all(struct storage_shards *shards, const struct storage_journal_head *heads,
                      uint64_t checkpointed, storage_journal_fn *each,
                      struct storage_shards_report *report)
{
    uint64_t done = checkpointed;
    struct storage_journal *next;
    while ((next = next_journal(shards, heads, done))) {
        const struct storage_journal_head *head = &heads[next->slot];
        if (storage_journal_lacks(head, done)) { /* its file or both its headers are gone */
            report->bad_frames++;
            report->bad_bytes += head->before_bytes;
            storage_shard_damaged(STORAGE_SHARD_IN_JOURNAL, NULL, head->before_generation, 0, 0);
        }
        done = next->generation;
        int r = replay_patiently(shards, next, trusted(heads, done), each, report);
        if (r < 0)
            return r;
        next->state = STORAGE_JOURNAL_FULL;
        shards->before_generation = done;
        shards->before_bytes = next->tail;
    }
    return 0;
}

int storage_journals_open(struct storage_shards *shards, uint64_t checkpointed,
                          storage_journal_fn *each, struct storage_shards_report *report)
{
    struct storage_journal_head *heads = calloc(STORAGE_JOURNALS_MAX, sizeof(*heads));
    int r = heads ? make_folder(shards) : -ENOMEM;
    shards->generation = checkpointed;
    for (unsigned i = 0; r == 0 && i < STORAGE_JOURNALS_MAX; i++) {
        struct storage_journal *journal = &shards->journals[i];
        *journal = (struct storage_journal){.slot = i};
        r = look(shards, journal, &heads[i], report);
        if (r == 0 && journal->sick && heads[i].generation <= checkpointed)
            r = storage_journal_set_aside(shards, journal); /* there is nothing to take from it */
        else if (r == 0 && !journal->sick && journal->copied && heads[i].generation > checkpointed)
            mend(shards, journal, &heads[i]);
        journal->state = journal->file && journal->copied && !journal->broken
                             ? STORAGE_JOURNAL_FREE
                             : STORAGE_JOURNAL_ABSENT;
        shards->generation = kn_max_u64(shards->generation, heads[i].generation);
    }
    if (r == 0)
        r = replay_all(shards, heads, checkpointed, each, report);
    free(heads);
    return r;
}

/* --- what is held ----------------------------------------------------------------------------- */
int storage_held_path(const struct storage_shards *shards, unsigned slot,
                      char dst[STORAGE_SHARD_PATH_BYTES])
{
    int n =
        snprintf(dst, STORAGE_SHARD_PATH_BYTES, "%s/journal/held.%u", shards->storage->dir, slot);
    return n < 0 || n >= STORAGE_SHARD_PATH_BYTES ? -EMSGSIZE : 0;
}

uint64_t storage_held_copy_at(uint64_t bytes)
{
    uint64_t at = (bytes + STORAGE_JOURNAL_HEAD_BYTES - 1) / STORAGE_JOURNAL_HEAD_BYTES *
                  STORAGE_JOURNAL_HEAD_BYTES;
    return kn_max_u64(at, STORAGE_JOURNAL_COPY_BYTES);
}

/* A copy that does not lie where it belongs is a record's bytes, in a file of before the copy. */
static bool held_has_copy(uint64_t size, const struct storage_journal_head *head)
{
    return size >= 2 * STORAGE_JOURNAL_COPY_BYTES &&
           size - STORAGE_JOURNAL_COPY_BYTES == storage_held_copy_at(head->before_bytes);
}

static int held_head(struct kn_file *file, uint64_t size, struct storage_journal_head *ret)
{
    int r = storage_journal_head_read(file, 0, ret);
    if (r != -ENODATA || size < 2 * STORAGE_JOURNAL_COPY_BYTES)
        return r;
    r = storage_journal_head_read(file, size - STORAGE_JOURNAL_COPY_BYTES, ret);
    return r == 0 && !held_has_copy(size, ret) ? -ENODATA : r;
}

/* Its header says how long it is, so what is missing is damage. Its batches are older than every
 * journal: 0. */
int storage_held_open(struct storage_shards *shards, unsigned slot, storage_journal_fn *each,
                      struct storage_shards_report *report)
{
    struct kn_fs *fs = shards->storage->fs;
    struct storage_journal held = {.slot = slot};
    char path[STORAGE_SHARD_PATH_BYTES];
    struct storage_journal_head head;
    struct kn_file *file = NULL;
    struct storage_patient patient;
    int r = slot == 0 ? -ENOENT : storage_held_path(shards, slot, path);
    if (r < 0)
        return slot == 0 ? 0 : r;
    r = fs->ops->open(fs, path, KN_FS_WRITE, &file);
    if (r == 0)
        r = fs->ops->size(file, &held.capacity);
    storage_patient_init(&patient, shards->storage, file, path);
    held.patient = &patient;
    held.file = &patient.file;
    if (r == 0)
        r = held_head(held.file, held.capacity, &head);
    if (r == 0) {
        held.seed = storage_shard_frame_seed(head.id, head.generation);
        r = storage_journal_replay(shards, &held, head.before_bytes, each, report);
    }
    if (r == 0 && patient.refused == 0 && held_has_copy(held.capacity, &head))
        (void) mend_head(file, "held", storage_held_copy_at(head.before_bytes), &head);
    if (file)
        fs->ops->close(file);
    if (r == -ENOENT || r == -ENODATA) {
        report->bad_frames++;
        report->bad_bytes += storage_held_bytes_max(shards);
        storage_shard_damaged(STORAGE_SHARD_IN_JOURNAL, NULL, 0, 0, held.capacity);
        r = 0;
    }
    return r;
}

void storage_journals_show_locked(struct storage_shards *shards)
{
    unsigned count = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        if (shards->journals[i].state != STORAGE_JOURNAL_FULL)
            continue;
        count++;
        bytes += shards->journals[i].tail;
    }
    storage_shard_metrics_waiting(count, bytes);
    storage_shard_metrics_memory(shards->memory_bytes);
}

void storage_journals_close(struct storage_shards *shards)
{
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        struct storage_journal *journal = &shards->journals[i];
        if (journal->file)
            journal->file->fs->ops->close(KN_MOVE(journal->file));
    }
}
