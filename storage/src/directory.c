/* SPDX-License-Identifier: Apache-2.0 */
/* The chunk directory of a stream and its rows in the catalogue; see directory.h. Byte tables of
 * the values: docs/format-chunk.md, "Catalogue". */
#include "directory.h"

#include <stdio.h>

#include "core/crypto.h"

enum {
    ROW_VERSION = 1,
    INTENT_VERSION = 1,
    NUMBERS_VERSION = 1,
    ROW_KEPT = 1,
    SEQ_DIGITS = 16
};

int storage_directory_reserve(struct storage_directory *dir)
{
    size_t gap = dir->base ? (size_t) (dir->rows - dir->base) : 0;
    if (gap + dir->count < dir->cap)
        return 0;
    if (gap > dir->cap / 2) {
        memmove(dir->base, dir->rows, dir->count * sizeof(*dir->rows));
        dir->rows = dir->base;
        return 0;
    }
    size_t cap = dir->cap ? dir->cap * 2 : 8;
    struct storage_chunk_row *base = realloc(dir->base, cap * sizeof(*base));
    if (!base)
        return -ENOMEM;
    dir->base = base;
    dir->rows = base + gap;
    dir->cap = cap;
    return 0;
}

/* The sums of the directory with the row, or without it again. */
static void add_sums(struct storage_directory *dir, const struct storage_chunk_row *row)
{
    dir->fragments += row->count;
    dir->bytes += row->bytes;
    dir->memory_count += row->live && row->live->memory;
    dir->kept_count += row->kept;
    dir->kept_bytes += row->kept ? row->bytes : 0;
}

static void drop_sums(struct storage_directory *dir, const struct storage_chunk_row *row)
{
    dir->fragments -= row->count;
    dir->bytes -= row->bytes;
    dir->memory_count -= row->live && row->live->memory;
    dir->kept_count -= row->kept;
    dir->kept_bytes -= row->kept ? row->bytes : 0;
}

/* First row whose chunk is not older than seq. */
static size_t lower_bound(const struct storage_directory *dir, uint64_t seq)
{
    return KN_BISECT(i, 0, dir->count, dir->rows[i].name.seq < seq);
}

static bool ascends(const struct storage_directory *dir, size_t at)
{
    return at == 0 || dir->rows[at - 1].count == 0 || dir->rows[at].count == 0 ||
           dir->rows[at - 1].producer_ts_ms_max <= dir->rows[at].producer_ts_ms_min;
}

void storage_directory_insert(struct storage_directory *dir, const struct storage_chunk_row *row)
{
    /* Rows come in order when a directory is read. */
    bool last = dir->count > 0 && dir->rows[dir->count - 1].name.seq < row->name.seq;
    size_t at = last ? dir->count : lower_bound(dir, row->name.seq);
    if (at < dir->count && dir->rows[at].name.seq == row->name.seq) {
        drop_sums(dir, &dir->rows[at]);
        storage_chunk_unref(dir->rows[at].live);
    } else {
        kn_assert(dir->base && (size_t) (dir->rows - dir->base) + dir->count < dir->cap);
        memmove(&dir->rows[at + 1], &dir->rows[at], (dir->count - at) * sizeof(*row));
        if (dir->count == 0)
            dir->producer_ascends = true;
        dir->count++;
    }
    dir->rows[at] = *row;
    add_sums(dir, row);
    if (!ascends(dir, at) || (at + 1 < dir->count && !ascends(dir, at + 1)))
        dir->producer_ascends = false;
}

void storage_directory_remove(struct storage_directory *dir, size_t at, size_t count)
{
    kn_assert(at <= dir->count && count <= dir->count - at);
    if (!count) /* an empty directory has no rows to move */
        return;
    for (size_t i = at; i < at + count; i++) {
        drop_sums(dir, &dir->rows[i]);
        storage_chunk_unref(dir->rows[i].live);
    }
    size_t after = dir->count - at - count;
    if (at <= after) { /* the usual case, and half a million rows need not move for it */
        memmove(&dir->rows[count], &dir->rows[0], at * sizeof(dir->rows[0]));
        dir->rows += count;
    } else {
        memmove(&dir->rows[at], &dir->rows[at + count], after * sizeof(dir->rows[0]));
    }
    dir->count -= count;
}

void storage_directory_fit(struct storage_directory *dir)
{
    size_t cap = dir->count + dir->count / 2 + 8;
    if (cap >= dir->cap)
        return;
    memmove(dir->base, dir->rows, dir->count * sizeof(*dir->rows));
    dir->rows = dir->base;
    struct storage_chunk_row *base = realloc(dir->base, cap * sizeof(*base));
    if (!base)
        return;
    dir->base = dir->rows = base;
    dir->cap = cap;
}

void storage_directory_keep(struct storage_directory *dir, struct storage_chunk_row *row)
{
    drop_sums(dir, row);
    row->kept = true;
    add_sums(dir, row);
}

void storage_directory_done(struct storage_directory *dir)
{
    storage_directory_remove(dir, 0, dir->count);
    free(dir->base);
    *dir = (struct storage_directory){0};
}

struct storage_chunk_row *storage_directory_find(struct storage_directory *dir, uint64_t chunk_seq)
{
    size_t at = lower_bound(dir, chunk_seq);
    if (at == dir->count || dir->rows[at].name.seq != chunk_seq)
        return NULL;
    return &dir->rows[at];
}

uint64_t storage_row_last_seq(const struct storage_chunk_row *row)
{
    return row->count ? row->last_seq : row->name.seq;
}

size_t storage_directory_after(const struct storage_directory *dir, uint64_t seq)
{
    return KN_BISECT(i, 0, dir->count, storage_row_last_seq(&dir->rows[i]) <= seq);
}

static int64_t last_server_ts(const struct storage_chunk_row *row)
{
    return row->count ? row->last_server_ts_ms : row->name.server_ts_ms;
}

size_t storage_directory_at_server(const struct storage_directory *dir, int64_t ts_ms)
{
    return KN_BISECT(i, 0, dir->count, last_server_ts(&dir->rows[i]) < ts_ms);
}

static void row_count(struct storage_chunk_row *row, const struct storage_fragment *f)
{
    if (row->count == 0) {
        row->first_seq = f->number.seq;
        row->first_server_ts_ms = f->number.server_ts_ms;
        row->producer_ts_ms_min = row->producer_ts_ms_max = f->producer_ts_ms;
    } else {
        int64_t gap_ms = f->number.server_ts_ms - row->last_end_ms;
        if (gap_ms > row->gap_ms_max)
            row->gap_ms_max = (uint32_t) kn_min_i64(gap_ms, UINT32_MAX);
    }
    row->count++;
    row->bytes += f->bytes;
    row->last_seq = f->number.seq;
    row->last_server_ts_ms = f->number.server_ts_ms;
    row->last_end_ms = f->number.server_ts_ms + f->full_duration_ms;
    row->producer_ts_ms_min = kn_min_i64(row->producer_ts_ms_min, f->producer_ts_ms);
    row->producer_ts_ms_max = kn_max_i64(row->producer_ts_ms_max, f->producer_ts_ms);
    if (f->full_duration_ms > row->full_duration_ms_max)
        row->full_duration_ms_max = f->full_duration_ms;
    row->next_ordinal = f->ordinal + 1;
    row->next_discontinuity = f->discontinuity;
}

void storage_directory_count(struct storage_directory *dir, struct storage_chunk_row *row,
                             const struct storage_fragment *fragment)
{
    row_count(row, fragment);
    dir->fragments++;
    dir->bytes += fragment->bytes;
    size_t at = (size_t) (row - dir->rows);
    if (!ascends(dir, at) || (at + 1 < dir->count && !ascends(dir, at + 1)))
        dir->producer_ascends = false;
}

void storage_chunk_row_of(const struct storage_chunk *chunk, struct storage_chunk_row *ret)
{
    const struct storage_chunk_head *head = &chunk->index.head;
    struct storage_chunk_row row = {
        .name = head->name,
        .footer_offset = (uint32_t) chunk->footer_offset,
        .file_bytes = (uint32_t) chunk->sealed_bytes,
        .next_ordinal = head->ordinal,
        .next_discontinuity = head->discontinuity,
    };
    for (uint32_t i = 0; i < chunk->index.count; i++) {
        struct storage_fragment f;
        storage_index_get(&chunk->index, i, &f, NULL);
        row_count(&row, &f);
    }
    *ret = row;
}

/* --- in the catalogue ------------------------------------------------------------------------- */
struct kn_bytes storage_chunk_prefix(char family, const struct storage_id *stream,
                                     char dst[STORAGE_CHUNK_KEY_BYTES])
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    int n = snprintf(dst, STORAGE_CHUNK_KEY_BYTES, "%c/%s", family, id);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

struct kn_bytes storage_chunk_key(char family, const struct storage_id *stream, uint64_t seq,
                                  char dst[STORAGE_CHUNK_KEY_BYTES])
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    int n = snprintf(dst, STORAGE_CHUNK_KEY_BYTES, "%c/%s%016" PRIx64, family, id, seq);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

struct kn_bytes storage_numbers_key(const struct storage_id *stream,
                                    char dst[STORAGE_CHUNK_KEY_BYTES])
{
    return storage_chunk_prefix('q', stream, dst);
}

int storage_chunk_key_parse(struct kn_bytes key, struct storage_id *ret_stream, uint64_t *ret_seq)
{
    uint8_t raw[sizeof(ret_stream->bytes) + 8];
    if (key.len != 2 + 2 * sizeof(raw) || key.ptr[1] != '/')
        return -EBADMSG;
    struct kn_str hex = {(const char *) key.ptr + 2, key.len - 2};
    if (kn_hex_decode(hex, raw, sizeof(raw)) < 0)
        return -EBADMSG;
    memcpy(ret_stream->bytes, raw, sizeof(ret_stream->bytes));
    uint64_t seq = 0;
    for (size_t i = 0; i < 8; i++)
        seq = seq << 8 | raw[sizeof(ret_stream->bytes) + i];
    *ret_seq = seq;
    return 0;
}

void storage_chunk_row_encode(const struct storage_chunk_row *row,
                              uint8_t dst[STORAGE_CHUNK_ROW_BYTES])
{
    memset(dst, 0, STORAGE_CHUNK_ROW_BYTES);
    kn_put_u32le(dst, ROW_VERSION);
    kn_put_u32le(dst + 4, row->count);
    kn_put_u32le(dst + 8, row->footer_offset);
    kn_put_u32le(dst + 12, row->file_bytes);
    kn_put_u32le(dst + 16, row->full_duration_ms_max);
    kn_put_u32le(dst + 20, row->name.random);
    kn_put_u64le(dst + 24, row->name.seq);
    kn_put_u64le(dst + 32, (uint64_t) row->name.server_ts_ms);
    kn_put_u64le(dst + 40, row->first_seq);
    kn_put_u64le(dst + 48, row->last_seq);
    kn_put_u64le(dst + 56, (uint64_t) row->first_server_ts_ms);
    kn_put_u64le(dst + 64, (uint64_t) row->last_server_ts_ms);
    kn_put_u64le(dst + 72, (uint64_t) row->last_end_ms);
    kn_put_u64le(dst + 80, (uint64_t) row->producer_ts_ms_min);
    kn_put_u64le(dst + 88, (uint64_t) row->producer_ts_ms_max);
    kn_put_u64le(dst + 96, row->bytes);
    kn_put_u64le(dst + 104, row->next_ordinal);
    kn_put_u64le(dst + 112, row->next_discontinuity);
    kn_put_u32le(dst + 120, row->gap_ms_max);
    kn_put_u32le(dst + 124, row->kept ? ROW_KEPT : 0);
}

int storage_chunk_row_decode(struct kn_bytes value, struct storage_chunk_row *ret)
{
    if (value.len != STORAGE_CHUNK_ROW_BYTES || storage_get_u32(value.ptr) != ROW_VERSION)
        return -EBADMSG;
    const uint8_t *p = value.ptr;
    struct storage_chunk_row row = {
        .count = storage_get_u32(p + 4),
        .footer_offset = storage_get_u32(p + 8),
        .file_bytes = storage_get_u32(p + 12),
        .full_duration_ms_max = storage_get_u32(p + 16),
        .name = {storage_get_u64(p + 24), (int64_t) storage_get_u64(p + 32),
                 storage_get_u32(p + 20)},
        .first_seq = storage_get_u64(p + 40),
        .last_seq = storage_get_u64(p + 48),
        .first_server_ts_ms = (int64_t) storage_get_u64(p + 56),
        .last_server_ts_ms = (int64_t) storage_get_u64(p + 64),
        .last_end_ms = (int64_t) storage_get_u64(p + 72),
        .producer_ts_ms_min = (int64_t) storage_get_u64(p + 80),
        .producer_ts_ms_max = (int64_t) storage_get_u64(p + 88),
        .bytes = storage_get_u64(p + 96),
        .next_ordinal = storage_get_u64(p + 104),
        .next_discontinuity = storage_get_u64(p + 112),
        .gap_ms_max = storage_get_u32(p + 120),
        .kept = storage_get_u32(p + 124) & ROW_KEPT,
    };
    if (row.name.server_ts_ms < 0 || row.name.seq >> 60)
        return -EBADMSG;
    *ret = row;
    return 0;
}

void storage_intent_encode(const struct storage_intent *intent, uint8_t dst[STORAGE_INTENT_BYTES])
{
    kn_put_u32le(dst, INTENT_VERSION | (intent->fenced ? 1u << 16 : 0));
    kn_put_u32le(dst + 4, intent->segment);
    kn_put_u64le(dst + 8, intent->trusted_upto);
    storage_head_encode(dst + 16, &intent->head);
}

int storage_intent_decode(struct kn_bytes value, struct storage_intent *ret)
{
    if (value.len != STORAGE_INTENT_BYTES ||
        (storage_get_u32(value.ptr) & UINT16_MAX) != INTENT_VERSION)
        return -EBADMSG;
    struct storage_intent intent = {
        .segment = storage_get_u32(value.ptr + 4),
        .fenced = storage_get_u32(value.ptr) >> 16 & 1,
        .trusted_upto = storage_get_u64(value.ptr + 8),
    };
    struct kn_bytes head = {value.ptr + 16, STORAGE_HEAD_BODY_BYTES};
    int r = storage_head_parse(head, &intent.head);
    if (r < 0)
        return r;
    *ret = intent;
    return 0;
}

void storage_numbers_encode(const struct storage_numbers *n, uint8_t dst[STORAGE_NUMBERS_BYTES])
{
    kn_put_u32le(dst, NUMBERS_VERSION);
    kn_put_u32le(dst + 4, n->epoch);
    kn_put_u64le(dst + 8, n->reserved_seq);
    kn_put_u64le(dst + 16, n->trim_seq);
    kn_put_u64le(dst + 24, (uint64_t) n->trim_server_ts_ms);
    kn_put_u64le(dst + 32, n->ordinal);
    kn_put_u64le(dst + 40, n->discontinuity);
}

int storage_numbers_decode(struct kn_bytes value, struct storage_numbers *ret)
{
    if (value.len != STORAGE_NUMBERS_BYTES || storage_get_u32(value.ptr) != NUMBERS_VERSION)
        return -EBADMSG;
    *ret = (struct storage_numbers){
        .epoch = storage_get_u32(value.ptr + 4),
        .reserved_seq = storage_get_u64(value.ptr + 8),
        .trim_seq = storage_get_u64(value.ptr + 16),
        .trim_server_ts_ms = (int64_t) storage_get_u64(value.ptr + 24),
        .ordinal = storage_get_u64(value.ptr + 32),
        .discontinuity = storage_get_u64(value.ptr + 40),
    };
    return 0;
}
