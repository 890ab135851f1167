/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of samples. Where a fragment's first sample is due earlier or later than the one before
 * has ended, that one's duration gives way, so that tracks stay together over any length. */
#include "clip/table.h"

#include "core/buf.h"

static void flush_run(struct clip_table *t, struct kn_buf *out)
{
    if (!t->run)
        return;
    kn_buf_append_u32be(out, t->run);
    kn_buf_append_u32be(out, t->value);
    t->entries++;
    t->run = 0;
}

static void push_run(struct clip_table *t, uint32_t value, struct kn_buf *out)
{
    if (t->run && t->value != value)
        flush_run(t, out);
    t->value = value;
    t->run++;
}

static void add_durations(struct clip_table *t, const struct playback_timeline *line,
                          struct kn_buf *out)
{
    if (t->any) {
        int64_t late = line->decode_time - t->end;
        if (late > t->slack || late < -t->slack) {
            int64_t pending = kn_max_i64(kn_min_i64(t->pending + late, UINT32_MAX), 1);
            t->end += pending - t->pending;
            t->pending = (uint32_t) pending;
        }
        push_run(t, t->pending, out);
    } else {
        t->any = true;
        t->first = t->end = line->decode_time;
    }
    for (size_t i = 0; i < line->count; i++) {
        t->end += line->samples[i].duration;
        if (i + 1 < line->count)
            push_run(t, line->samples[i].duration, out);
    }
    t->pending = line->samples[line->count - 1].duration;
}

static void add_chunk(struct clip_table *t, uint32_t samples, uint32_t entry, struct kn_buf *out)
{
    if (t->value == samples && t->entry == entry)
        return;
    t->value = samples;
    t->entry = entry;
    kn_buf_append_u32be(out, (uint32_t) t->chunks + 1);
    kn_buf_append_u32be(out, samples);
    kn_buf_append_u32be(out, entry);
    t->entries++;
}

static void add_samples(struct clip_table *t, const struct playback_timeline *line,
                        struct kn_buf *out)
{
    for (size_t i = 0; i < line->count; i++) {
        const struct playback_sample *sample = &line->samples[i];
        if (t->kind == CLIP_CTTS) {
            push_run(t, (uint32_t) sample->composition, out);
        } else if (t->kind == CLIP_STSZ || sample->key) {
            kn_buf_append_u32be(out, t->kind == CLIP_STSZ ? sample->bytes
                                                          : (uint32_t) (t->samples + i + 1));
            t->entries++;
        }
    }
}

void clip_table_add(struct clip_table *table, const struct playback_timeline *line, uint32_t entry,
                    uint64_t offset, struct kn_buf *out)
{
    if (!line->count)
        return;
    switch (table->kind) {
    case CLIP_STTS:
        add_durations(table, line, out);
        break;
    case CLIP_STSC:
        add_chunk(table, (uint32_t) line->count, entry, out);
        break;
    case CLIP_CHUNK_OFFSETS:
        if (table->wide)
            kn_buf_append_u64be(out, offset);
        else
            kn_buf_append_u32be(out, (uint32_t) offset);
        table->entries++;
        break;
    case CLIP_CTTS:
    case CLIP_STSS:
    case CLIP_STSZ:
    case CLIP_TABLES:
        add_samples(table, line, out);
        break;
    }
    table->samples += line->count;
    table->chunks++;
}

void clip_table_end(struct clip_table *table, struct kn_buf *out)
{
    if (table->kind == CLIP_STTS && table->any)
        push_run(table, table->pending, out);
    if (table->kind == CLIP_STTS || table->kind == CLIP_CTTS)
        flush_run(table, out);
}
