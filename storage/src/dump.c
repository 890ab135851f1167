/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk file in words, for `kinema dump`. It reads what is there, sealed or not, torn or not, and
 * changes nothing. Lines are `word key=value …`. */
#include "frames.h"
#include "patient.h"
#include "scan.h"

#include <stdio.h>

#include "shard/inspect.h"

enum {
    LINE_BYTES_MAX = 512
};

struct dump {
    struct kn_file *file;
    struct storage_chunk *chunk;
    bool frames;
    storage_say_fn *say;
    void *ctx;
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

static void say_head(const struct dump *d, uint64_t size)
{
    const struct storage_chunk_head *head = &d->chunk->index.head;
    char number[STORAGE_NUMBER_TEXT_BYTES], stream[STORAGE_ID_TEXT_BYTES], when[KN_TIME_TEXT_BYTES];
    storage_number_format(&head->name, number);
    storage_id_text(&head->stream, stream);
    kn_time_iso8601(head->name.server_ts_ms, when);
    say(d,
        "chunk stream=%s number=%s created=%s epoch=%" PRIu32 " ordinal=%" PRIu64
        " discontinuity=%" PRIu64 " bytes=%" PRIu64 " segment_at=%" PRIu32,
        stream, number, when, head->epoch, head->ordinal, head->discontinuity, size,
        d->chunk->segment);
}

static void say_headers(const struct dump *d)
{
    for (uint32_t i = 0; i < d->chunk->index.header_count; i++) {
        const struct storage_chunk_header *h = &d->chunk->index.headers[i];
        say(d, "header index=%" PRIu32 " offset=%" PRIu32 " bytes=%" PRIu32 " hash=%016" PRIx64, i,
            h->offset, h->bytes, h->hash);
    }
}

static void say_frames(const struct dump *d, const struct storage_fragment *f)
{
    struct kn_buf buf;
    struct storage_record record;
    struct storage_frames *frames = NULL;
    kn_buf_init(&buf, STORAGE_RECORD_BYTES_MAX);
    int r = storage_scan_record(d->file, f->offset + f->bytes, d->chunk->seed, &buf, &record);
    if (r == 0 && record.body.len >= STORAGE_ENTRY_BYTES)
        r = storage_frames_decode((struct kn_bytes){record.body.ptr + STORAGE_ENTRY_BYTES,
                                                    record.body.len - STORAGE_ENTRY_BYTES},
                                  f->frame_count, f->bytes, &frames);
    if (r < 0)
        say(d, "damage record_at=%" PRIu64 " error=%s", f->offset + f->bytes, kn_errname(r));
    for (size_t i = 0; frames && i < frames->count; i++) {
        const struct storage_frame *frame = &frames->items[i];
        say(d, "frame track=%u time=%" PRId32 " offset=%" PRIu32 " bytes=%" PRIu32 "%s",
            frame->track, frame->time, frame->offset, frame->bytes, frame->key ? " key" : "");
    }
    storage_frames_free(frames);
    kn_buf_done(&buf);
}

static void say_fragments(const struct dump *d)
{
    for (uint32_t i = 0; i < d->chunk->index.count; i++) {
        struct storage_fragment f;
        uint32_t crc;
        char number[STORAGE_NUMBER_TEXT_BYTES];
        storage_index_get(&d->chunk->index, i, &f, &crc);
        storage_number_format(&f.number, number);
        say(d,
            "fragment number=%s ordinal=%" PRIu64 " server_ts_ms=%" PRId64
            " producer_ts_ms=%" PRId64 " timecode=%" PRIu64 " offset=%" PRIu64 " bytes=%" PRIu64
            " frames=%" PRIu32 " duration_ms=%" PRIu32 "%s%s%s crc32c=%08" PRIx32,
            number, f.ordinal, f.number.server_ts_ms, f.producer_ts_ms, f.timecode, f.offset,
            f.bytes, f.frame_count, f.duration_ms,
            f.flags & STORAGE_FRAGMENT_DISCONTINUITY ? " discontinuity" : "",
            f.flags & STORAGE_FRAGMENT_END_TAG ? " end_tag" : "",
            f.flags & STORAGE_FRAGMENT_RELATIVE ? " relative" : "", crc);
        if (d->frames)
            say_frames(d, &f);
    }
}

static void on_refused(void *ctx, const char *path, uint64_t sector)
{
    (void) path;
    say(ctx, "damage sector_at=%" PRIu64 " bytes=%d error=EIO", sector, STORAGE_SICK_SECTOR_BYTES);
}

static int dump_chunk(struct dump *d, struct storage *nowhere, const char *path, struct kn_err *err)
{
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    uint64_t size;
    int r = storage_scan_open(nowhere, path, false, &chunk);
    if (r == 0)
        r = chunk->file->fs->ops->size(chunk->file, &size);
    if (r < 0)
        return kn_fail(err, r, "%s: %s", path,
                       r == -EBADMSG ? "not a chunk, a journal or a segment" : kn_errname(r));
    d->file = chunk->file;
    d->chunk = chunk;
    say_head(d, size);
    struct storage_scan scan = {0};
    int sealed = storage_scan_footer(chunk);
    if (sealed < 0) {
        r = storage_scan_tail(chunk, UINT64_MAX, &scan);
        if (r < 0 && r != -ENODATA)
            return kn_fail(err, r, "%s: %s", path, kn_errsay(r));
    }
    say_headers(d);
    say_fragments(d);
    if (sealed == 0)
        say(d, "footer offset=%" PRIu64 " bytes=%" PRIu64, chunk->footer_offset,
            size - chunk->footer_offset);
    else
        say(d, "open tail=%" PRIu64 " unfinished_bytes=%" PRIu64 " damaged_records=%" PRIu64,
            chunk->tail, scan.cut_bytes, scan.bad_records);
    return 0;
}

int storage_dump(const char *path, const struct storage_look *look, bool frames, struct kn_err *err)
{
    struct dump d = {.frames = frames, .say = look->say, .ctx = look->ctx};
    /* a chunk asks it for files only */
    struct storage nowhere = {.fs = look->fs, .clock = look->clock};
    struct storage_patient_fs patience;
    storage_patient_fs_init(&patience, &nowhere, on_refused, &d);
    int r = storage_shard_dump(path, nowhere.fs, frames, look->say, look->ctx);
    if (r == -EBADMSG || r == -ENODATA)
        r = dump_chunk(&d, &nowhere, path, err);
    else if (r < 0)
        (void) kn_fail(err, r, "%s: %s", path, kn_errsay(r));
    if (patience.refused == 0)
        return r;
    return kn_fail(err, -EIO, "%s: the disk refuses to read %" PRIu64 " bytes of it%s", path,
                   patience.refused * STORAGE_SICK_SECTOR_BYTES,
                   r < 0 ? ", and without them it does not show what it is" : "");
}
