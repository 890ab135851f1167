/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_writer.h. It also asserts what a caller owes a writer: order, whole marks, no overruns.
 */
#include "fake_writer.h"

struct storage_writer {
    int unused;
};

struct fake_writer fake;
static struct storage_writer the_writer;
enum {
    FAKE_BYTES_MAX = 1 << 28
};

void fake_writer_start(void)
{
    fake_writer_stop();
    fake = (struct fake_writer){.room = UINT64_MAX};
    kn_buf_init(&fake.header, FAKE_BYTES_MAX);
}

void fake_writer_stop(void)
{
    for (size_t i = 0; i < fake.count; i++) {
        kn_buf_done(&fake.fragments[i].bytes);
        free(fake.fragments[i].frames);
    }
    kn_buf_done(&fake.header);
    fake.count = 0;
}

struct storage_writer *fake_writer_get(void)
{
    return &the_writer;
}

static struct fake_fragment *open_fragment(void)
{
    struct fake_fragment *f = fake.count ? &fake.fragments[fake.count - 1] : NULL;
    return f && f->state == FAKE_OPEN ? f : NULL;
}

int storage_writer_header(struct storage_writer *w, struct kn_bytes bytes,
                          const struct kn_mkv_header *parsed)
{
    kn_assert(w == &the_writer && parsed->track_count > 0 && !open_fragment());
    if (fake.fail_header)
        return fake.fail_header;
    kn_buf_clear(&fake.header);
    fake.headers++;
    return kn_buf_append(&fake.header, bytes.ptr, bytes.len);
}

int storage_writer_begin(struct storage_writer *w, const struct storage_begin *begin,
                         struct storage_fragment *ret)
{
    kn_assert(w == &the_writer && !open_fragment() && fake.headers);
    kn_assert(fake.count < FAKE_FRAGMENTS_MAX);
    if (fake.fail_begin)
        return fake.fail_begin;
    struct fake_fragment *f = &fake.fragments[fake.count++];
    *f = (struct fake_fragment){.begin = *begin};
    kn_buf_init(&f->bytes, FAKE_BYTES_MAX);
    f->info = (struct storage_fragment){
        .number = {.seq = fake.count, .server_ts_ms = 1700000000000 + (int64_t) fake.count},
        .timecode = begin->timecode,
        .producer_ts_ms = begin->producer_ts_ms,
        .flags = begin->flags | (fake.memory ? STORAGE_FRAGMENT_MEMORY : 0),
    };
    *ret = f->info;
    ret->flags |= STORAGE_FRAGMENT_IN_FLIGHT;
    return 0;
}

ssize_t storage_writer_part(struct storage_writer *w, const void *ptr, size_t len)
{
    struct fake_fragment *f = open_fragment();
    kn_assert(w == &the_writer && f && len);
    if (fake.fail_part)
        return fake.fail_part;
    size_t n = (size_t) kn_min_u64(len, fake.room);
    if (fake.room != UINT64_MAX)
        fake.room -= n;
    fake.shorts += n < len;
    fake.taken += n;
    kn_assert(kn_buf_append(&f->bytes, ptr, n) == 0);
    return (ssize_t) n;
}

bool storage_writer_is_followed(struct storage_writer *w)
{
    kn_assert(w == &the_writer);
    return fake.followed;
}

bool storage_writer_ask_followed(struct storage_writer *w)
{
    fake.asked = true;
    return storage_writer_is_followed(w);
}

int storage_writer_mark(struct storage_writer *w, const struct storage_frame *frame)
{
    struct fake_fragment *f = open_fragment();
    kn_assert(w == &the_writer && f);
    if (fake.fail_mark)
        return fake.fail_mark;
    f->marks++;
    f->visible = f->bytes.len;
    if (!frame)
        return 0;
    kn_assert((uint64_t) frame->offset + frame->bytes <= f->bytes.len);
    f->frames = realloc(f->frames, (f->frame_count + 1) * sizeof *f->frames);
    kn_assert(f->frames);
    f->frames[f->frame_count++] = *frame;
    return 0;
}

int storage_writer_commit(struct storage_writer *w, const struct storage_commit *commit)
{
    struct fake_fragment *f = open_fragment();
    kn_assert(w == &the_writer && f);
    if (fake.fail_commit)
        return fake.fail_commit;
    kn_assert(f->visible == f->bytes.len); /* nothing after the last whole element */
    kn_assert(commit->cluster_offset + commit->cluster_bytes <= f->bytes.len);
    f->state = FAKE_COMMITTED;
    f->commit = *commit;
    f->info.bytes = f->bytes.len;
    f->info.frame_count = (uint32_t) f->frame_count;
    f->info.duration_ms = commit->duration_ms;
    f->info.full_duration_ms = commit->full_duration_ms;
    f->info.cluster_offset = commit->cluster_offset;
    f->info.cluster_bytes = commit->cluster_bytes;
    return 0;
}

void storage_writer_abort(struct storage_writer *w)
{
    struct fake_fragment *f = open_fragment();
    kn_assert(w == &the_writer);
    if (f)
        f->state = FAKE_ABORTED;
}

bool fake_writer_complete(struct storage_fragment *ret)
{
    for (; fake.completed < fake.count; fake.completed++) {
        struct fake_fragment *f = &fake.fragments[fake.completed];
        if (f->state == FAKE_OPEN)
            return false;
        if (f->state == FAKE_COMMITTED) {
            *ret = f->info;
            fake.completed++;
            return true;
        }
    }
    return false;
}

size_t fake_writer_count(enum fake_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < fake.count; i++)
        n += fake.fragments[i].state == state;
    return n;
}

/* Plain digits of the sequence: tests then read acknowledgements easily. */
void storage_number_format(const struct storage_number *n, char dst[STORAGE_NUMBER_TEXT_BYTES])
{
    snprintf(dst, STORAGE_NUMBER_TEXT_BYTES, "%llu", (unsigned long long) n->seq);
}
