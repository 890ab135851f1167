/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fragment becomes a Matroska document while it is read. Only heads and Tags are made here; the
 * media keeps the producer's bytes, so frames out are frames in. The sender's Segment may have a
 * size; what is sent has none (01 FF…), as the service does it (kvs-api.md §3.2).
 */
#include "document.h"

enum {
    ELEMENT_HEAD_BYTES_MAX = 12,
    LEADING_ELEMENTS_MAX = 4096, /* ten Tags are allowed; a bound against a broken index */
};

void playback_document_init(struct playback_document *doc, struct storage *storage,
                            const struct storage_id *stream)
{
    *doc = (struct playback_document){.storage = storage, .stream = *stream};
    kn_buf_init(&doc->text, PLAYBACK_TAGS_BYTES_MAX);
}

static void close_fragment(struct playback_document *doc)
{
    storage_header_unref(doc->header);
    doc->header = NULL;
}

void playback_document_done(struct playback_document *doc)
{
    close_fragment(doc);
    kn_buf_done(&doc->text);
}

/* Reads exactly len bytes, or as many as the fragment shows. */
static ssize_t read_at(struct playback_document *doc, const struct storage_fragment *fragment,
                       uint64_t at, void *dst, size_t len, bool nowait)
{
    struct iovec iov = {dst, len};

    return storage_read(doc->storage, &doc->stream, fragment, at, &iov, 1, nowait);
}

/* A fragment in flight has no index entry yet that says where its Cluster begins: walk its leading
 * elements, normally none or a few Tags. */
static int find_cluster(struct playback_document *doc, const struct storage_fragment *fragment,
                        uint64_t *ret_at, bool nowait)
{
    uint64_t at = 0;

    if (!(fragment->flags & STORAGE_FRAGMENT_IN_FLIGHT)) {
        *ret_at = fragment->cluster_offset;
        return 0;
    }
    for (unsigned i = 0; i < LEADING_ELEMENTS_MAX; i++) {
        uint8_t head[ELEMENT_HEAD_BYTES_MAX];
        struct kn_mkv_element element;
        ssize_t n = read_at(doc, fragment, at, head, sizeof head, nowait);
        int r;

        if (n < 0)
            return (int) n;
        r = kn_mkv_element_read((struct kn_bytes){head, (size_t) n}, &element);
        if (r < 0)
            return r;
        if (element.id == KN_MKV_CLUSTER) {
            *ret_at = at;
            return 0;
        }
        if (element.size > UINT32_MAX)
            return -EBADMSG;
        at += element.head_bytes + element.size;
        if (at >= fragment->bytes)
            return -ENODATA;
    }
    return -EBADMSG;
}

/* Points the spans at the sender's header, with the Segment's size replaced. */
static int span_header(struct playback_document *doc)
{
    struct kn_bytes bytes = doc->header->bytes;
    size_t at = 0;

    while (at < bytes.len) {
        struct kn_bytes rest = {bytes.ptr + at, bytes.len - at};
        struct kn_mkv_element element;
        int r = kn_mkv_element_read(rest, &element);

        if (r < 0)
            return -EBADMSG;
        if (element.id == KN_MKV_SEGMENT) {
            size_t after = at + element.head_bytes;

            doc->spans[0] = (struct kn_bytes){bytes.ptr, at};
            doc->spans[1] = (struct kn_bytes){playback_segment_head, sizeof playback_segment_head};
            doc->spans[2] = (struct kn_bytes){bytes.ptr + after, bytes.len - after};
            doc->span_count = 3;
            return 0;
        }
        if (element.size > rest.len - element.head_bytes)
            return -EBADMSG;
        at += element.head_bytes + (size_t) element.size;
    }
    return -EBADMSG;
}

/* Puts the first Tags at the end of the spans. */
static int span_tags(struct playback_document *doc)
{
    kn_buf_clear(&doc->text);
    playback_tags_write_head(&doc->text, &doc->fragment);
    if (doc->text.error)
        return doc->text.error;
    doc->spans[doc->span_count++] = kn_buf_bytes(&doc->text);
    return 0;
}

int playback_document_open(struct playback_document *doc, const struct storage_fragment *fragment,
                           bool nowait)
{
    struct storage_header *header = NULL;
    uint64_t lead_bytes = 0;
    int r = find_cluster(doc, fragment, &lead_bytes, nowait);

    if (r < 0)
        return r;
    r = storage_header_get(doc->storage, &doc->stream, fragment, &header, nowait);
    if (r < 0)
        return r;
    close_fragment(doc);
    doc->header = header;
    doc->fragment = *fragment;
    doc->lead_bytes = lead_bytes;
    doc->at = 0;
    doc->cluster_end = UINT64_MAX;
    doc->element_left = 0;
    doc->lost = false;
    doc->span_at = 0;
    doc->state = PLAYBACK_DOCUMENT_EMPTY;
    r = span_header(doc);
    if (!r && !lead_bytes)
        r = span_tags(doc);
    if (r < 0) {
        close_fragment(doc);
        return r;
    }
    doc->next = lead_bytes ? PLAYBACK_DOCUMENT_LEAD : PLAYBACK_DOCUMENT_MEDIA;
    doc->state = PLAYBACK_DOCUMENT_TEXT;
    return 0;
}

void playback_document_text(struct playback_document *doc, struct kn_bytes bytes)
{
    close_fragment(doc);
    doc->spans[0] = bytes;
    doc->span_count = 1;
    doc->span_at = 0;
    doc->state = PLAYBACK_DOCUMENT_TEXT;
    doc->next = PLAYBACK_DOCUMENT_DONE;
}

static size_t copy_spans(struct playback_document *doc, uint8_t *dst, size_t cap)
{
    size_t len = 0;

    while (doc->span_at < doc->span_count) {
        struct kn_bytes *span = &doc->spans[doc->span_at];
        size_t n = (size_t) kn_min_u64(span->len, cap - len);

        if (n)
            memcpy(dst + len, span->ptr, n);
        len += n;
        *span = kn_bytes_skip(*span, n);
        if (span->len)
            return len;
        doc->span_at++;
    }
    doc->state = doc->next;
    return len;
}

/* Follows the elements that pass, so that a cut can leave a parsable end. Returns how many bytes
 * may go out: a head that came only in part is held back until it is whole. */
static size_t walk(struct playback_document *doc, const uint8_t *bytes, size_t len)
{
    size_t pos = 0;

    while (pos < len && !doc->lost) {
        size_t step = (size_t) kn_min_u64(doc->element_left, len - pos);
        struct kn_mkv_element element;
        int r;

        pos += step;
        doc->element_left -= step;
        if (step)
            continue;
        r = kn_mkv_element_read((struct kn_bytes){bytes + pos, len - pos}, &element);
        if (r == -ENODATA && pos)
            return pos;
        /* no upload is that large: a cut must not have to fill it */
        bool absurd = !r && element.size > UINT32_MAX &&
                      (element.id != KN_MKV_CLUSTER || element.size != UINT64_MAX);
        doc->lost = r < 0 || absurd;
        if (doc->lost)
            break;
        if (element.id == KN_MKV_CLUSTER && element.size != UINT64_MAX)
            doc->cluster_end = doc->at + pos + element.head_bytes + element.size;
        else if (element.id != KN_MKV_CLUSTER)
            doc->element_left = element.size;
        pos += element.head_bytes;
    }
    return len;
}

static ssize_t read_media(struct playback_document *doc, uint8_t *dst, size_t cap, bool nowait)
{
    uint64_t end = doc->state == PLAYBACK_DOCUMENT_LEAD ? doc->lead_bytes : doc->fragment.bytes;
    size_t len = (size_t) kn_min_u64(cap, end - kn_min_u64(end, doc->at));
    ssize_t n;

    if (!len)
        return 0;
    n = read_at(doc, &doc->fragment, doc->at, dst, len, nowait);
    if (n < 0)
        return n;
    if (!n) /* the index promised these bytes */
        return -EIO;
    n = (ssize_t) walk(doc, dst, (size_t) n);
    doc->at += (uint64_t) n;
    return n;
}

static size_t fill(struct playback_document *doc, uint8_t *dst, size_t cap)
{
    size_t n = (size_t) kn_min_u64(doc->fill_bytes, cap);

    memset(dst, 0, n);
    doc->fill_bytes -= n;
    if (doc->fill_bytes)
        return n;
    doc->state = PLAYBACK_DOCUMENT_DONE;
    kn_buf_clear(&doc->text);
    /* a single missing byte cannot be an element; only a broken Cluster lacks just one */
    if (doc->void_bytes < 2 || kn_mkv_write_void_header(&doc->text, doc->void_bytes) < 0)
        return n;
    doc->spans[0] = kn_buf_bytes(&doc->text);
    doc->span_count = 1;
    doc->span_at = 0;
    doc->fill_bytes = doc->void_bytes - doc->text.len;
    doc->void_bytes = 0;
    doc->state = PLAYBACK_DOCUMENT_TEXT;
    doc->next = PLAYBACK_DOCUMENT_FILL;
    return n;
}

/* All leading Tags are out: ours follow, then the Cluster. */
static int end_lead(struct playback_document *doc)
{
    int r;

    doc->span_count = doc->span_at = 0;
    r = span_tags(doc);
    if (r < 0)
        return r;
    doc->state = PLAYBACK_DOCUMENT_TEXT;
    doc->next = PLAYBACK_DOCUMENT_MEDIA;
    return 0;
}

ssize_t playback_document_read(struct playback_document *doc, uint8_t *dst, size_t cap, bool nowait)
{
    size_t len = 0;

    /* heads of elements are looked at as they pass, and never split over two reads */
    while (cap - len >= PLAYBACK_DOCUMENT_READ_BYTES_MIN) {
        ssize_t n = 0;

        switch (doc->state) {
        case PLAYBACK_DOCUMENT_TEXT:
            len += copy_spans(doc, dst + len, cap - len);
            continue;
        case PLAYBACK_DOCUMENT_FILL:
            len += fill(doc, dst + len, cap - len);
            continue;
        case PLAYBACK_DOCUMENT_LEAD:
        case PLAYBACK_DOCUMENT_MEDIA:
            n = read_media(doc, dst + len, cap - len, nowait);
            if (!n && doc->state == PLAYBACK_DOCUMENT_LEAD && !(n = end_lead(doc)))
                continue;
            break;
        case PLAYBACK_DOCUMENT_EMPTY:
        case PLAYBACK_DOCUMENT_DONE:
            break;
        }
        if (n < 0)
            return len ? (ssize_t) len : n; /* the error is met again by the next call */
        if (!n)
            break;
        len += (size_t) n;
    }
    return (ssize_t) len;
}

bool playback_document_is_drained(const struct playback_document *doc)
{
    return doc->state == PLAYBACK_DOCUMENT_MEDIA && doc->at >= doc->fragment.bytes;
}

int playback_document_refresh(struct playback_document *doc, bool nowait)
{
    struct storage_query query = {
        .order = STORAGE_BY_NUMBER,
        .after_seq = doc->fragment.number.seq - 1,
        .in_flight = true,
    };
    struct storage_fragment now;
    size_t count = 0;
    int r = storage_find(doc->storage, &doc->stream, &query, &now, 1, &count, nowait);

    if (r < 0)
        return r;
    if (!count || now.number.seq != doc->fragment.number.seq)
        return -ECANCELED;
    doc->fragment = now;
    return 0;
}

int playback_document_finish(struct playback_document *doc, bool with_tail, int64_t now_ms)
{
    kn_buf_clear(&doc->text);
    if (with_tail)
        playback_tags_write_tail(&doc->text, &doc->fragment, now_ms);
    if (doc->text.error)
        return doc->text.error;
    playback_document_text(doc, kn_buf_bytes(&doc->text));
    return 0;
}

void playback_document_cut(struct playback_document *doc)
{
    bool inside = doc->state == PLAYBACK_DOCUMENT_LEAD || doc->state == PLAYBACK_DOCUMENT_MEDIA;
    uint64_t element_end = doc->at + doc->element_left;

    close_fragment(doc);
    doc->state = inside && !doc->lost ? PLAYBACK_DOCUMENT_FILL : PLAYBACK_DOCUMENT_DONE;
    doc->fill_bytes = doc->element_left;
    doc->void_bytes = 0;
    if (doc->cluster_end != UINT64_MAX && doc->cluster_end > element_end)
        doc->void_bytes = doc->cluster_end - element_end;
}
