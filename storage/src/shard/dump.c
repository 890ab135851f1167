/* SPDX-License-Identifier: Apache-2.0 */
/* A journal, a segment or a pack in words, for `kinema dump`: every frame, and on demand every
 * record. What is damaged is said and passed over. Lines are `word key=value …`. */
#include "inspect.h"
#include "pack.h"

#include <stdio.h>

enum {
    LINE_BYTES_MAX = 512,
    HEX_BYTES = 33,
};

struct dump {
    storage_say_fn *say;
    void *ctx;
    bool records;
};

static void say(const struct dump *d, const char *fmt, ...) KN_PRINTF(2, 3);
static void say(const struct dump *d, const char *fmt, ...)
{
    char line[LINE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    d->say(d->ctx, line);
}

static void say_head(const struct dump *d, const struct storage_shard_file *f)
{
    struct storage_id id;
    char text[HEX_BYTES], shard[STORAGE_ID_TEXT_BYTES];
    memcpy(id.bytes, f->is_journal ? f->journal.id : f->id, sizeof(id.bytes));
    storage_id_text(&id, text);
    storage_id_text(&f->shard, shard);
    if (f->is_journal)
        say(d,
            "journal id=%s generation=%" PRIu64 " before_generation=%" PRIu64
            " before_bytes=%" PRIu64 " bytes=%" PRIu64,
            text, f->journal.generation, f->journal.before_generation, f->journal.before_bytes,
            f->end);
    else
        say(d, "segment shard=%s id=%s first=%" PRIu64 " bytes=%" PRIu64, shard, text, f->first,
            f->end);
}

static const char *kind_text(uint8_t kind)
{
    return kind == STORAGE_BATCH_RECORDS ? "records"
           : kind == STORAGE_BATCH_CLOSE ? "close"
           : kind == STORAGE_BATCH_END   ? "end"
                                         : "unknown";
}

static void say_records(const struct dump *d, const struct storage_shard_frame *frame,
                        struct kn_bytes payload)
{
    struct kn_reader in = kn_reader_of(payload);
    for (uint32_t i = 0; i < frame->count; i++) {
        struct storage_shard_record_view view;
        if (storage_shard_record_next(&in, &view) < 0) {
            say(d, "damage record=%" PRIu64, frame->first_index + i);
            return;
        }
        char source[STORAGE_ID_TEXT_BYTES] = "-", seq[32] = "";
        if (view.has_source) {
            storage_id_text(&view.source.id, source);
            snprintf(seq, sizeof(seq), " seq=%" PRIu64, view.source.seq);
        }
        say(d, "record index=%" PRIu64 " key_bytes=%zu data_bytes=%zu tag=%u source=%s%s",
            frame->first_index + i, view.key.len, view.data.len, view.tag, source, seq);
    }
}

static void say_frame(const struct dump *d, const struct storage_shard_frame *frame)
{
    char shard[STORAGE_ID_TEXT_BYTES], when[KN_TIME_TEXT_BYTES];
    storage_id_text(&frame->shard, shard);
    kn_time_iso8601(frame->arrival_ms, when);
    say(d,
        "frame at=%" PRIu64 " kind=%s shard=%s first=%" PRIu64 " records=%" PRIu32
        " arrival=%s bytes=%" PRIu32 " flushed=%" PRIu32 " crc32c=%08" PRIx32,
        frame->at, kind_text(frame->kind), shard, frame->first_index, frame->count, when,
        frame->payload_bytes, frame->flushed, frame->payload_crc);
}

static int dump_frames(const struct dump *d, struct storage_shard_file *f)
{
    int r = 0;
    while (r == 0) {
        struct storage_shard_frame frame;
        struct kn_bytes payload;
        uint64_t at = f->at;
        r = storage_shard_file_next(f, &frame, &payload);
        if (r == 0 || r == -EBADMSG)
            say_frame(d, &frame);
        if (r == 0 && d->records)
            say_records(d, &frame, payload);
        if (r == -EBADMSG) {
            say(d, "damage at=%" PRIu64 " what=payload", at);
            r = 0;
        }
        if (r != -ENODATA)
            continue;
        r = storage_shard_file_seek(f);
        say(d,
            r == 0 ? "damage at=%" PRIu64 " bytes=%" PRIu64
                   : "end at=%" PRIu64 " unused_bytes=%" PRIu64,
            at, (r == 0 ? f->at : f->end) - at);
    }
    return r == -ENODATA ? 0 : r;
}

static int dump_at(const struct dump *d, struct kn_fs *fs, const char *path, uint64_t place,
                   uint64_t bytes)
{
    struct storage_shard_file f;
    int r = storage_shard_file_open(fs, path, place, &f);
    if (r < 0)
        return r;
    f.end = kn_min_u64(f.end, bytes);
    say_head(d, &f);
    r = dump_frames(d, &f);
    storage_shard_file_close(&f);
    return r;
}

static int dump_pack(const struct dump *d, struct kn_fs *fs, const char *path)
{
    struct storage_pack_entry *entries = NULL;
    struct kn_file *file;
    uint64_t number;
    size_t count;
    int r = fs->ops->open(fs, path, KN_FS_READ, &file);
    if (r < 0)
        return r;
    r = storage_pack_head_read(file, &number, &entries, &count);
    file->fs->ops->close(file);
    if (r < 0)
        return r == -ENODATA ? -EBADMSG : r;
    say(d, "pack number=%" PRIu64 " segments=%zu", number, count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        say(d, "place at=%" PRIu64, entries[i].place);
        r = dump_at(d, fs, path, entries[i].place, entries[i].bytes);
        if (r == -EBADMSG || r == -ENODATA) {
            say(d, "damage at=%" PRIu64 " what=segment", entries[i].place);
            r = 0;
        }
    }
    free(entries);
    return r;
}

int storage_shard_dump(const char *path, struct kn_fs *fs, bool records, storage_say_fn *out,
                       void *ctx)
{
    struct dump d = {.say = out, .ctx = ctx, .records = records};
    int r = dump_at(&d, fs, path, 0, UINT64_MAX);
    return r == -EBADMSG ? dump_pack(&d, fs, path) : r;
}
