/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the records of a chunk from its end; see recover.c for the rules. Everything read here
 * may be torn or damaged: no size is trusted before its checksum holds, and offsets only fall.
 */
#include "scan.h"

#include "patient.h"

#include "core/crypto.h"
#include "core/mkv.h"

enum {
    WINDOW_BYTES = 256 << 10,
    HEAD_READ_BYTES = 4096,
    RECORD_READ_BYTES = 512,
    PAYLOAD_READ_BYTES = 256 << 10,
    KIND_AT = 5, /* of the magic within a record */
};

int storage_scan_segment(struct kn_bytes start, uint32_t *ret)
{
    struct kn_mkv_element element;
    int r = kn_mkv_element_read(start, &element);
    if (r < 0 || element.id != KN_MKV_EBML || element.size > start.len)
        return -EBADMSG;
    size_t at = element.head_bytes + (size_t) element.size;
    while (at < start.len) {
        struct kn_bytes rest = {start.ptr + at, start.len - at};
        if (kn_mkv_element_read(rest, &element) < 0)
            return -EBADMSG;
        if (element.id == KN_MKV_SEGMENT) {
            *ret = (uint32_t) (at + element.head_bytes);
            return 0;
        }
        if (element.size > rest.len)
            return -EBADMSG;
        at += element.head_bytes + (size_t) element.size;
    }
    return -EBADMSG;
}

/* Up to len bytes; fewer at the end of the file. */
static ssize_t read_upto(struct kn_file *file, uint8_t *dst, size_t len, uint64_t off)
{
    size_t done = 0;
    while (done < len) {
        struct iovec iov = {dst + done, len - done};
        ssize_t r = file->fs->ops->preadv(file, &iov, 1, off + done, false);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        done += (size_t) r;
    }
    return (ssize_t) done;
}

int storage_scan_record(struct kn_file *file, uint64_t offset, uint32_t seed, struct kn_buf *buf,
                        struct storage_record *ret)
{
    kn_buf_clear(buf);
    int r = kn_buf_reserve(buf, RECORD_READ_BYTES);
    if (r < 0)
        return r;
    ssize_t got = read_upto(file, buf->ptr, RECORD_READ_BYTES, offset); /* most are shorter */
    if (got < 0)
        return (int) got;
    r = storage_record_peek((struct kn_bytes){buf->ptr, (size_t) got}, ret);
    if (r < 0)
        return -EBADMSG;
    if (ret->offset != offset || ret->bytes > STORAGE_RECORD_BYTES_MAX)
        return -EBADMSG;
    if (ret->bytes > (size_t) got) {
        if (got < RECORD_READ_BYTES)
            return -EBADMSG;
        r = kn_buf_reserve(buf, ret->bytes);
        if (r == 0)
            r = kn_file_read_all(file, buf->ptr, ret->bytes, offset);
        if (r < 0)
            return r == -ENODATA ? -EBADMSG : r;
    }
    buf->len = ret->bytes;
    r = storage_record_read(kn_buf_bytes(buf), offset, seed, ret);
    return r == -ENODATA ? -EBADMSG : r;
}

int storage_scan_payload(struct kn_file *file, const struct storage_fragment *f, uint32_t crc)
{
    uint8_t *bytes = malloc(PAYLOAD_READ_BYTES);
    if (!bytes)
        return -ENOMEM;
    uint32_t got = 0;
    int r = 0;
    for (uint64_t at = 0; at < f->bytes && r == 0;) {
        size_t step = kn_min_u64(PAYLOAD_READ_BYTES, f->bytes - at);
        r = kn_file_read_all(file, bytes, step, f->offset + at);
        got = kn_crc32c(got, (struct kn_bytes){bytes, step});
        at += step;
    }
    free(bytes);
    if (r == -ENODATA || (r == 0 && got != crc))
        return -EBADMSG;
    return r;
}

/* --- the head --------------------------------------------------------------------------------- */
static int read_head(struct storage_chunk *chunk)
{
    uint8_t start[HEAD_READ_BYTES];
    uint64_t size;
    int r = chunk->file->fs->ops->size(chunk->file, &size);
    if (r < 0)
        return r;
    size_t len = kn_min_u64(size, sizeof(start));
    r = kn_file_read_all(chunk->file, start, len, 0);
    if (r < 0)
        return r == -ENODATA ? -EIO : r;
    uint32_t segment;
    r = storage_scan_segment((struct kn_bytes){start, len}, &segment);
    if (r < 0)
        return r;
    struct kn_bytes rest = {start + segment, len - segment};
    struct storage_record record;
    struct storage_chunk_head head;
    if (storage_record_peek(rest, &record) < 0 || record.kind != STORAGE_RECORD_HEAD ||
        rest.len < STORAGE_HEAD_BYTES)
        return -EBADMSG;
    struct kn_bytes body = {rest.ptr + STORAGE_RECORD_HEAD_BYTES, STORAGE_HEAD_BODY_BYTES};
    if (storage_head_parse(body, &head) < 0 ||
        storage_record_read(rest, segment, storage_format_seed(head.id), &record) < 0)
        return -EBADMSG;
    chunk->seed = storage_format_seed(head.id);
    chunk->segment = segment;
    chunk->index.head = head;
    chunk->stream = head.stream;
    return 0;
}

static int open_file(struct storage *storage, const char *path, bool writable,
                     const struct storage_chunk_head *head, struct storage_chunk **ret)
{
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = storage_chunk_new(storage, head, false, &chunk);
    if (r == 0)
        r = storage->fs->ops->open(storage->fs, path, writable ? KN_FS_WRITE : KN_FS_READ,
                                   &chunk->file);
    if (r < 0)
        return r;
    *ret = KN_MOVE(chunk);
    return 0;
}

int storage_scan_open(struct storage *storage, const char *path, bool writable,
                      struct storage_chunk **ret)
{
    struct storage_chunk_head none = {.id = {0}};
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = open_file(storage, path, writable, &none, &chunk);
    if (r == 0)
        r = read_head(chunk);
    if (r < 0)
        return r;
    *ret = KN_MOVE(chunk);
    return 0;
}

int storage_scan_footer(struct storage_chunk *chunk)
{
    uint8_t id[STORAGE_CHUNK_ID_BYTES];
    memcpy(id, chunk->index.head.id, sizeof(id));
    int r = storage_chunk_read_footer(chunk, 0);
    if (r == 0 && memcmp(id, chunk->index.head.id, sizeof(id)) != 0)
        r = -EBADMSG;
    return r;
}

/* --- finding a record backwards --------------------------------------------------------------- */
struct search {
    struct kn_file *file;
    const struct storage_patient *patient; /* NULL: the disk refuses nothing, or it is an error */
    uint32_t seed;
    uint64_t floor;  /* nothing before this */
    uint8_t *window; /* bytes [window_at, window_at + window_len) of the file */
    uint64_t window_at;
    size_t window_len;
    struct kn_buf buf;
};

static int load_window(struct search *s, uint64_t end)
{
    uint64_t at = end > s->floor + WINDOW_BYTES ? end - WINDOW_BYTES : s->floor;
    s->window_at = at;
    s->window_len = (size_t) (end - at);
    return kn_file_read_all(s->file, s->window, s->window_len, at);
}

static bool is_refused(const struct search *s, uint64_t from, uint64_t to)
{
    return s->patient && storage_patient_gave_up(s->patient, from, to);
}

static bool is_kind(const uint8_t *p)
{
    uint32_t kind = storage_get_u32(p);
    return kind == STORAGE_RECORD_FRAGMENT || kind == STORAGE_RECORD_HEADER;
}

/* The newest sound record that begins before `before`; -ENOENT. */
static int find_before(struct search *s, uint64_t before, uint64_t size, struct storage_record *ret)
{
    for (uint64_t at = before; at > s->floor;) {
        at--;
        /* The magic and the fields before it must lie in the window. */
        if (at < s->window_at || at + KIND_AT + 4 > s->window_at + s->window_len) {
            uint64_t end = at + KIND_AT + 4;
            if (end > size)
                continue;
            int r = load_window(s, end);
            if (r < 0)
                return r == -ENODATA ? -EIO : r;
        }
        const uint8_t *p = s->window + (at - s->window_at);
        if (p[0] != KN_MKV_VOID || !is_kind(p + KIND_AT))
            continue;
        int r = storage_scan_record(s->file, at, s->seed, &s->buf, ret);
        if (r == 0)
            return 0;
        if (r != -EBADMSG)
            return r;
    }
    return -ENOENT;
}

/* --- the chain -------------------------------------------------------------------------------- */
struct link { /* what is needed of a sound record, so that it is read once */
    enum storage_record_kind kind;
    uint32_t offset, bytes, body_bytes;
    uint8_t body[STORAGE_ENTRY_BYTES]; /* its beginning */
};

struct chain {
    struct link *links; /* newest first */
    size_t count, cap;
    uint64_t bad_records;
};

static int chain_add(struct chain *chain, const struct storage_record *record)
{
    if (chain->count == chain->cap) {
        size_t cap = chain->cap ? chain->cap * 2 : 256;
        struct link *links = realloc(chain->links, cap * sizeof(*links));
        if (!links)
            return -ENOMEM;
        chain->links = links;
        chain->cap = cap;
    }
    struct link *link = &chain->links[chain->count++];
    *link = (struct link){.kind = record->kind,
                          .offset = record->offset,
                          .bytes = record->bytes,
                          .body_bytes = (uint32_t) record->body.len};
    memcpy(link->body, record->body.ptr, kn_min_u64(record->body.len, sizeof(link->body)));
    return 0;
}

/* Follows the links from a sound record to the head. -EBADMSG: a link above what was durable is
 * broken, so the record is not to be believed. */
static int follow(struct search *s, const struct storage_chunk *chunk,
                  const struct storage_record *from, uint64_t size, struct chain *chain)
{
    struct storage_record record = *from; /* its body lies in s->buf until the next is read */
    uint64_t durable_upto = from->durable_upto;
    chain->count = 0;
    chain->bad_records = 0;
    int r = chain_add(chain, &record);
    while (r == 0 && record.previous != chunk->segment) {
        uint32_t before = record.previous, here = record.offset;
        if (before > here || before < chunk->segment)
            return -EBADMSG;
        r = storage_scan_record(s->file, before, s->seed, &s->buf, &record);
        if (r == -EBADMSG || (r == 0 && record.offset >= here)) {
            if (before >= durable_upto && !is_refused(s, before, here))
                return -EBADMSG;
            chain->bad_records++; /* it was flushed once: damage. Go on with what lies before it. */
            r = find_before(s, before, size, &record);
            if (r == -ENOENT)
                return 0;
        }
        if (r == 0)
            r = chain_add(chain, &record);
    }
    return r;
}

static int add_link(struct storage_chunk *chunk, const struct link *link)
{
    struct storage_index *index = &chunk->index;
    if (link->kind == STORAGE_RECORD_HEADER) {
        if (link->body_bytes < STORAGE_HEADER_BODY_BYTES ||
            index->header_count == STORAGE_CHUNK_HEADERS_MAX)
            return -EBADMSG;
        uint32_t bytes = storage_get_u32(link->body + 8);
        if (bytes != link->body_bytes - STORAGE_HEADER_BODY_BYTES)
            return -EBADMSG;
        index->headers[index->header_count++] = (struct storage_chunk_header){
            .offset = link->offset + STORAGE_RECORD_HEAD_BYTES + STORAGE_HEADER_BODY_BYTES,
            .bytes = bytes,
            .hash = storage_get_u64(link->body),
        };
        return 0;
    }
    if (index->count == STORAGE_CHUNK_FRAGMENTS_MAX)
        return -EBADMSG;
    return storage_index_add(index, link->body);
}

/* Whether the entry fits its place; a record that passed its checksum was written by us. */
static bool entry_fits(const struct storage_chunk *chunk, const struct link *link,
                       struct storage_fragment *ret, uint32_t *ret_crc)
{
    uint8_t header;
    if (link->body_bytes < STORAGE_ENTRY_BYTES)
        return false;
    storage_entry_decode(link->body, &chunk->index.head, ret, &header, ret_crc);
    return ret->offset + ret->bytes == link->offset && ret->record_bytes == link->bytes &&
           ret->cluster_offset + ret->cluster_bytes <= ret->bytes &&
           header < chunk->index.header_count;
}

/* From the oldest to the newest: index, tail; payload is read only where it was not durable. */
static int take_chain(struct search *s, struct storage_chunk *chunk, const struct chain *chain,
                      uint64_t durable_upto, uint64_t limit, uint64_t *ret_bad)
{
    for (size_t i = chain->count; i > 0; i--) {
        const struct link *link = &chain->links[i - 1];
        struct storage_fragment f;
        uint32_t crc;
        uint64_t end = (uint64_t) link->offset + link->bytes;
        if (end > limit)
            break;
        bool fragment = link->kind == STORAGE_RECORD_FRAGMENT;
        if (!fragment && link->kind != STORAGE_RECORD_HEADER) {
            (*ret_bad)++;
            continue;
        }
        if (fragment && !entry_fits(chunk, link, &f, &crc)) {
            (*ret_bad)++;
            continue;
        }
        int r = fragment && end > durable_upto ? storage_scan_payload(s->file, &f, crc) : 0;
        if (r == -EBADMSG && is_refused(s, f.offset, f.offset + f.bytes)) {
            (*ret_bad)++;
            continue;
        }
        if (r == -EBADMSG)
            break; /* torn: it and all after it were never acknowledged */
        if (r < 0)
            return r;
        r = add_link(chunk, link);
        if (r == -EBADMSG) {
            (*ret_bad)++;
            continue;
        }
        if (r < 0)
            return r;
        chunk->previous = link->offset;
        chunk->tail = end;
    }
    return 0;
}

static int scan_tail(struct search *s, struct storage_chunk *chunk, uint64_t limit,
                     struct chain *chain, struct storage_scan *ret)
{
    uint64_t size;
    int r = chunk->file->fs->ops->size(chunk->file, &size);
    if (r < 0)
        return r;
    uint64_t before = size;
    struct storage_record newest;
    for (;;) {
        r = find_before(s, before, size, &newest);
        if (r < 0)
            break;
        r = follow(s, chunk, &newest, size, chain);
        if (r != -EBADMSG)
            break;
        before = newest.offset;
    }
    if (r < 0)
        return r == -ENOENT ? -ENODATA : r;
    chunk->tail = chunk->segment;
    ret->bad_records = chain->bad_records;
    r = take_chain(s, chunk, chain, newest.durable_upto, limit, &ret->bad_records);
    if (r < 0)
        return r;
    ret->cut_bytes = size > chunk->tail ? size - chunk->tail : 0;
    ret->bad_records += is_refused(s, chunk->tail, size);
    return 0;
}

static void read_first_header(struct storage_chunk *chunk, uint64_t *ret_image_end)
{
    const struct storage_chunk_header *h = &chunk->index.headers[0];
    struct kn_buf bytes, image;
    struct kn_mkv_header parsed;
    struct storage_chunk_header ignored;
    *ret_image_end = 0;
    kn_buf_init(&bytes, KN_MKV_HEADER_BYTES_MAX);
    kn_buf_init(&image, 3 * (size_t) KN_MKV_HEADER_BYTES_MAX);
    if (chunk->index.header_count > 0 && kn_buf_reserve(&bytes, h->bytes) == 0 &&
        kn_file_read_all(chunk->file, bytes.ptr, h->bytes, h->offset) == 0) {
        bytes.len = h->bytes;
        if (kn_mkv_header_parse(kn_buf_bytes(&bytes), &parsed, NULL) == 0) {
            for (unsigned i = parsed.track_count; i > 0; i--) {
                if (parsed.tracks[i - 1].type == KN_MKV_VIDEO || i == 1)
                    chunk->cue_track = (uint32_t) parsed.tracks[i - 1].number;
                if (parsed.tracks[i - 1].type == KN_MKV_VIDEO)
                    break;
            }
        }
        uint64_t previous = chunk->previous;
        uint32_t segment = chunk->segment;
        if (storage_chunk_image(chunk, kn_buf_bytes(&bytes), &image, &ignored) == 0)
            *ret_image_end = image.len;
        chunk->previous = previous;
        chunk->segment = segment;
    }
    kn_buf_done(&image);
    kn_buf_done(&bytes);
}

static int scan_by(struct storage_chunk *chunk, const struct storage_patient *patient,
                   uint64_t limit, struct storage_scan *ret)
{
    struct search s = {
        .file = chunk->file,
        .patient = patient,
        .seed = chunk->seed,
        .floor = chunk->segment + STORAGE_HEAD_BYTES,
        .window = malloc(WINDOW_BYTES),
    };
    if (!s.window)
        return -ENOMEM;
    kn_buf_init(&s.buf, STORAGE_RECORD_BYTES_MAX);
    struct chain chain = {0};
    struct storage_scan scan = {0};
    int r = scan_tail(&s, chunk, limit, &chain, &scan);
    free(chain.links);
    kn_buf_done(&s.buf);
    free(s.window);
    if (r < 0)
        return r;
    chunk->durable_upto = chunk->plan_end = chunk->tail;
    *ret = scan;
    return 0;
}

int storage_scan_tail(struct storage_chunk *chunk, uint64_t limit, struct storage_scan *ret)
{
    return scan_by(chunk, NULL, limit, ret);
}

static int scan_by_intent(struct storage_chunk *chunk, const struct storage_patient *patient,
                          const struct storage_intent *intent, struct storage_scan *ret)
{
    int r = read_head(chunk);
    bool damaged = r == -EBADMSG || (r == 0 && memcmp(chunk->index.head.id, intent->head.id,
                                                      sizeof(intent->head.id)) != 0);
    if (r < 0 && !damaged)
        return r;
    if (damaged) {
        chunk->index.head = intent->head;
        chunk->stream = intent->head.stream;
        chunk->seed = storage_format_seed(intent->head.id);
        chunk->segment = intent->segment;
    }
    r = scan_by(chunk, patient, intent->fenced ? intent->trusted_upto : UINT64_MAX, ret);
    ret->bad_records += r == 0 && damaged;
    return r;
}

int storage_scan_open_intent(struct storage *storage, const char *path, bool writable,
                             const struct storage_intent *intent, struct storage_scan *ret_scan,
                             struct storage_chunk **ret)
{
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    *ret_scan = (struct storage_scan){0};
    int r = open_file(storage, path, writable, &intent->head, &chunk);
    if (r < 0)
        return r;
    struct kn_file *file = chunk->file;
    struct storage_patient patient;
    if (writable) { /* also when it says that a flush failed: what is left is the disk's */
        (void) file->fs->ops->settle(file);
        storage_patient_init(&patient, storage, file, path);
        chunk->file = &patient.file;
    }
    r = scan_by_intent(chunk, writable ? &patient : NULL, intent, ret_scan);
    chunk->file = file;
    ret_scan->unreadable = writable ? patient.refused : 0;
    if (r == 0)
        *ret = KN_MOVE(chunk);
    return r;
}

/* --- gaps ------------------------------------------------------------------------------------- */
static int void_gap(struct storage_chunk *chunk, uint64_t from, uint64_t to)
{
    if (to < from + STORAGE_VOID_BYTES_MAX)
        return 0;
    uint8_t head[STORAGE_VOID_BYTES_MAX];
    int r = kn_file_read_all(chunk->file, head, sizeof(head), from);
    if (r < 0)
        return r == -ENODATA ? -EIO : r;
    struct kn_mkv_element element;
    if (head[0] == KN_MKV_VOID &&
        kn_mkv_element_read((struct kn_bytes){head, sizeof(head)}, &element) == 0 &&
        element.id == KN_MKV_VOID && element.size <= to - from - element.head_bytes)
        return 0; /* a Void of ours, or a header record: it spans what it should */
    return storage_chunk_void(chunk, from, to - from);
}

int storage_scan_void_gaps(struct storage_chunk *chunk)
{
    uint64_t end;
    read_first_header(chunk, &end);
    for (uint32_t i = 0; i < chunk->index.count && end > 0; i++) {
        struct storage_fragment f;
        storage_index_get(&chunk->index, i, &f, NULL);
        /* Header records stand between fragments too, right behind a record. */
        for (uint32_t h = 0; h < chunk->index.header_count; h++) {
            const struct storage_chunk_header *header = &chunk->index.headers[h];
            uint64_t start = header->offset - STORAGE_RECORD_HEAD_BYTES - STORAGE_HEADER_BODY_BYTES;
            if (start >= end && start < f.offset) {
                int r = void_gap(chunk, end, start);
                if (r < 0)
                    return r;
                end = header->offset + header->bytes;
            }
        }
        int r = void_gap(chunk, end, f.offset);
        if (r < 0)
            return r;
        end = f.offset + f.bytes + f.record_bytes;
    }
    return 0;
}
