/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetMedia's document of a stored fragment whose bytes are anything, as after damage: whole, or
 * arriving in parts and given up at any point, with a disk that is cold at times. Six bytes choose
 * how; the rest is the header and the fragment. What goes out holds the fragment's bytes unchanged,
 * and every document comes to an end.
 */
#include "document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 1 << 14,
    CHOICE_BYTES = 6,
    READ_BYTES_MAX = 512,
    FILL_BYTES_LOOKED_AT = 1 << 16, /* after a cut: zeros up to what an element had promised */
    OUT_BYTES_MAX = 4 * INPUT_BYTES_MAX + FILL_BYTES_LOOKED_AT,
    STEPS_MAX = 1 << 16
};

enum {
    IN_FLIGHT = 1,
    WITH_TAIL = 2,
    COLD = 4,
    CUT = 8
};

static struct {
    struct storage_header header;
    struct kn_bytes fragment;
    struct storage_fragment shown;
    bool cold; /* turns with each call */
    bool nowait_fails;
    int headers_out;
} fake;

static bool is_cold(bool nowait)
{
    fake.cold = !fake.cold;
    return nowait && fake.nowait_fails && fake.cold;
}

ssize_t storage_read(struct storage *storage, const struct storage_id *stream,
                     const struct storage_fragment *fragment, uint64_t off, const struct iovec *iov,
                     int iov_count, bool nowait)
{
    (void) storage;
    (void) stream;
    kn_assert(iov_count == 1 && off <= fragment->bytes);
    if (is_cold(nowait))
        return -EAGAIN;
    size_t n = (size_t) kn_min_u64(iov[0].iov_len, fragment->bytes - off);
    if (n > 0)
        memcpy(iov[0].iov_base, fake.fragment.ptr + off, n);
    return (ssize_t) n;
}

int storage_header_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_header **ret,
                       bool nowait)
{
    (void) storage;
    (void) stream;
    (void) fragment;
    if (is_cold(nowait))
        return -EAGAIN;
    fake.headers_out++;
    *ret = &fake.header;
    return 0;
}

void storage_header_unref(struct storage_header *header)
{
    fake.headers_out -= header ? 1 : 0;
}

int storage_find(struct storage *storage, const struct storage_id *stream,
                 const struct storage_query *query, struct storage_fragment *out, size_t cap,
                 size_t *ret_count, bool nowait)
{
    (void) storage;
    (void) stream;
    kn_assert(query->in_flight && cap == 1);
    if (is_cold(nowait))
        return -EAGAIN;
    *out = fake.shown;
    *ret_count = 1;
    return 0;
}

struct run {
    struct playback_document doc;
    struct kn_buf out;
    size_t cap, part;
    unsigned flags, steps;
};

static void count_step(struct run *run)
{
    kn_assert(++run->steps < STEPS_MAX);
}

/* Reads what there is; nowait first, as the loop does. */
static int drain(struct run *run, size_t bytes_max)
{
    uint8_t bytes[READ_BYTES_MAX];
    ssize_t n = 1;
    while (n != 0 && run->out.len < bytes_max) {
        count_step(run);
        n = playback_document_read(&run->doc, bytes, run->cap, true);
        if (n == -EAGAIN)
            n = playback_document_read(&run->doc, bytes, run->cap, false);
        if (n < 0)
            return (int) n;
        kn_assert((size_t) n <= run->cap && kn_buf_append(&run->out, bytes, (size_t) n) == 0);
    }
    return 0;
}

/* false: there is no document, as its bytes are none. */
static bool open_document(struct run *run)
{
    for (;;) {
        count_step(run);
        int r = playback_document_open(&run->doc, &fake.shown, true);
        if (r == -EAGAIN)
            r = playback_document_open(&run->doc, &fake.shown, false);
        if (r == 0)
            return true;
        if (r != -ENODATA || fake.shown.bytes == fake.fragment.len)
            return false;
        fake.shown.bytes += kn_min_u64(run->part, fake.fragment.len - fake.shown.bytes);
    }
}

/* To the end, or to the point where it is given up. */
static int follow(struct run *run, size_t give_up_at)
{
    for (;;) {
        int r = drain(run, OUT_BYTES_MAX);
        if (r < 0)
            return r;
        if ((run->flags & CUT) && fake.shown.bytes >= give_up_at) {
            playback_document_cut(&run->doc);
            kn_assert(run->doc.fill_bytes <= UINT32_MAX && run->doc.void_bytes <= UINT32_MAX);
            return drain(run, run->out.len + FILL_BYTES_LOOKED_AT);
        }
        if (fake.shown.bytes == fake.fragment.len)
            return 0;
        fake.shown.bytes += kn_min_u64(run->part, fake.fragment.len - fake.shown.bytes);
        r = playback_document_refresh(&run->doc, true);
        if (r == -EAGAIN)
            r = playback_document_refresh(&run->doc, false);
        kn_assert(r == 0);
    }
}

/* The fragment's bytes stand in what went out, the leading ones before our Tags. */
static void check_whole(const struct run *run)
{
    size_t lead = run->doc.lead_bytes, rest = fake.fragment.len - lead;
    kn_assert(playback_document_is_drained(&run->doc) && run->out.len >= lead + rest);
    if (rest > 0)
        kn_assert(memcmp(run->out.ptr + run->out.len - rest, fake.fragment.ptr + lead, rest) == 0);
    if (lead > 0) {
        const uint8_t *at = run->out.ptr + run->out.len - rest - run->doc.text.len - lead;
        kn_assert(memcmp(at, fake.fragment.ptr, lead) == 0);
    }
}

static void run_document(struct run *run, size_t give_up_at)
{
    static const struct storage_id id = {{1}};
    playback_document_init(&run->doc, NULL, &id);
    if (open_document(run) && follow(run, give_up_at) == 0 && !(run->flags & CUT)) {
        check_whole(run);
        size_t before = run->out.len;
        kn_assert(playback_document_finish(&run->doc, run->flags & WITH_TAIL, 1) == 0);
        kn_assert(drain(run, OUT_BYTES_MAX) == 0);
        kn_assert((run->out.len > before) == ((run->flags & WITH_TAIL) != 0));
    }
    playback_document_done(&run->doc);
    kn_assert(fake.headers_out == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CHOICE_BYTES || size > INPUT_BYTES_MAX)
        return 0;
    size_t left = size - CHOICE_BYTES, header = (size_t) kn_min_u64(left, data[1]);
    struct run run = {
        .flags = data[0],
        .cap = PLAYBACK_DOCUMENT_READ_BYTES_MIN + data[2],
        .part = 1 + data[3],
    };
    memset(&fake, 0, sizeof fake);
    fake.header.bytes = (struct kn_bytes){data + CHOICE_BYTES, header};
    fake.fragment = (struct kn_bytes){data + CHOICE_BYTES + header, left - header};
    fake.nowait_fails = run.flags & COLD;
    fake.shown = (struct storage_fragment){
        .number = {.seq = 1},
        .bytes = run.flags & IN_FLIGHT ? 0 : fake.fragment.len,
        .cluster_offset = (uint32_t) kn_min_u64(data[4], fake.fragment.len),
        .flags = run.flags & IN_FLIGHT ? STORAGE_FRAGMENT_IN_FLIGHT : 0,
    };
    kn_buf_init(&run.out, OUT_BYTES_MAX + FILL_BYTES_LOOKED_AT);
    run_document(&run, fake.fragment.len * data[5] / UINT8_MAX);
    kn_buf_done(&run.out);
    return 0;
}
