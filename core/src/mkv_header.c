/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a Matroska file in words: DocType, TimestampScale, tracks (RFC 9559, 5.1). Nothing
 * here is trusted: sizes are held against their parents, numbers against ranges.
 */
#include "mkv_internal.h"

static int child_uint(const struct mkv_child *c, uint64_t max, uint64_t *ret, struct kn_err *err)
{
    uint64_t v = 0;
    if (mkv_uint_value(c->payload, &v) < 0)
        return mkv_fail(err, -EBADMSG, c->id, c->offset, "an integer of %zu bytes", c->payload.len);
    if (v > max)
        return mkv_fail(err, -EBADMSG, c->id, c->offset, "value %" PRIu64 " is above %" PRIu64, v,
                        max);
    *ret = v;
    return 0;
}

static int ebml_read(const struct mkv_child *ebml, struct kn_mkv_header *h, struct kn_err *err)
{
    struct mkv_iter iter = mkv_iter_of(ebml);
    struct mkv_child c;
    uint64_t v = 0;
    int r;
    while ((r = mkv_iter_next(&iter, &c, err)) > 0) {
        if (c.id == MKV_DOC_TYPE)
            h->doc_type = mkv_string_value(c.payload);
        else if (c.id == MKV_EBML_READ_VERSION)
            r = child_uint(&c, 1, &v, err);
        else if (c.id == MKV_EBML_MAX_ID_LENGTH)
            r = child_uint(&c, 4, &v, err);
        else if (c.id == MKV_EBML_MAX_SIZE_LENGTH)
            r = child_uint(&c, 8, &v, err);
        if (r < 0)
            return r;
    }
    if (r == 0 && !kn_str_eq(h->doc_type, KN_STR("matroska")) &&
        !kn_str_eq(h->doc_type, KN_STR("webm")))
        return mkv_fail(err, -EBADMSG, ebml->id, ebml->offset,
                        "DocType is neither matroska nor webm");
    return r;
}

static int info_read(const struct mkv_child *info, struct kn_mkv_header *h, struct kn_err *err)
{
    struct mkv_iter iter = mkv_iter_of(info);
    struct mkv_child c;
    int r;
    while ((r = mkv_iter_next(&iter, &c, err)) > 0) {
        if (c.id != KN_MKV_TIMESTAMP_SCALE)
            continue;
        r = child_uint(&c, 1000000000, &h->timestamp_scale_ns, err); /* up to a second */
        if (r < 0)
            return r;
        if (!h->timestamp_scale_ns)
            return mkv_fail(err, -EBADMSG, c.id, c.offset, "is zero");
    }
    return r;
}

static int video_read(const struct mkv_child *video, struct kn_mkv_track *t, struct kn_err *err)
{
    struct mkv_iter iter = mkv_iter_of(video);
    struct mkv_child c;
    uint64_t v = 0;
    int r;
    while ((r = mkv_iter_next(&iter, &c, err)) > 0) {
        if (c.id != MKV_PIXEL_WIDTH && c.id != MKV_PIXEL_HEIGHT)
            continue;
        r = child_uint(&c, UINT32_MAX, &v, err);
        if (r < 0)
            return r;
        *(c.id == MKV_PIXEL_WIDTH ? &t->pixel_width : &t->pixel_height) = (uint32_t) v;
    }
    return r;
}

static int audio_read(const struct mkv_child *audio, struct kn_mkv_track *t, struct kn_err *err)
{
    t->channels = 1; /* the format's defaults */
    t->sampling_hz = 8000;
    struct mkv_iter iter = mkv_iter_of(audio);
    struct mkv_child c;
    int r;
    while ((r = mkv_iter_next(&iter, &c, err)) > 0) {
        if (c.id == MKV_SAMPLING_FREQUENCY) {
            if (mkv_float_value(c.payload, &t->sampling_hz) < 0 ||
                !(t->sampling_hz >= 0 && t->sampling_hz <= 1e9))
                return mkv_fail(err, -EBADMSG, c.id, c.offset, "no usable frequency");
        } else if (c.id == MKV_CHANNELS) {
            uint64_t v = 0;
            r = child_uint(&c, 255, &v, err);
            if (r < 0)
                return r;
            t->channels = (uint32_t) v;
        }
    }
    return r;
}

static int codec_read(const struct mkv_child *c, struct kn_mkv_track *t, struct kn_err *err)
{
    if (c->id == MKV_CODEC_PRIVATE) {
        if (c->payload.len > KN_MKV_CODEC_PRIVATE_BYTES_MAX)
            return mkv_fail(err, -EMSGSIZE, c->id, c->offset, "%zu bytes are above %d",
                            c->payload.len, (int) KN_MKV_CODEC_PRIVATE_BYTES_MAX);
        t->codec_private = c->payload;
        return 0;
    }
    /* Java's and the embedded producer pad it with NULs */
    if (kn_str_copy(t->codec_id, sizeof t->codec_id, mkv_string_value(c->payload)) < 0)
        return mkv_fail(err, -EBADMSG, c->id, c->offset, "longer than %zu bytes",
                        sizeof t->codec_id - 1);
    return 0;
}

static int track_child_read(const struct mkv_child *c, struct kn_mkv_track *t, struct kn_err *err)
{
    uint64_t v = 0;
    int r = 0;
    switch (c->id) {
    case MKV_TRACK_NUMBER:
        return child_uint(c, UINT64_MAX, &t->number, err);
    case MKV_TRACK_TYPE:
        r = child_uint(c, 254, &v, err);
        if (r == 0)
            t->type = v == 1 ? KN_MKV_VIDEO : v == 2 ? KN_MKV_AUDIO : KN_MKV_OTHER;
        return r;
    case MKV_CODEC_ID:
    case MKV_CODEC_PRIVATE:
        return codec_read(c, t, err);
    case MKV_DEFAULT_DURATION:
        return child_uint(c, UINT64_MAX, &t->default_duration_ns, err);
    case MKV_VIDEO:
        return video_read(c, t, err);
    case MKV_AUDIO:
        return audio_read(c, t, err);
    default:
        return 0;
    }
}

static int track_read(const struct mkv_child *entry, struct kn_mkv_header *h, struct kn_err *err)
{
    if (h->track_count == KN_MKV_TRACKS_MAX)
        return mkv_fail(err, -EDQUOT, entry->id, entry->offset, "more than %d tracks",
                        (int) KN_MKV_TRACKS_MAX);
    struct kn_mkv_track *t = &h->tracks[h->track_count];
    *t = (struct kn_mkv_track){.type = KN_MKV_OTHER};
    struct mkv_iter iter = mkv_iter_of(entry);
    struct mkv_child c;
    int r;
    while ((r = mkv_iter_next(&iter, &c, err)) > 0) {
        r = track_child_read(&c, t, err);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    if (!t->number)
        return mkv_fail(err, -EBADMSG, entry->id, entry->offset, "TrackNumber is missing or 0");
    for (unsigned i = 0; i < h->track_count; i++)
        if (h->tracks[i].number == t->number)
            return mkv_fail(err, -EBADMSG, entry->id, entry->offset,
                            "TrackNumber %" PRIu64 " is used twice", t->number);
    h->track_count++;
    return 0;
}

static int tracks_read(const struct mkv_child *tracks, struct kn_mkv_header *h, struct kn_err *err)
{
    struct mkv_iter iter = mkv_iter_of(tracks);
    struct mkv_child c;
    int r;
    while ((r = mkv_iter_next(&iter, &c, err)) > 0) {
        if (c.id != KN_MKV_TRACK_ENTRY)
            continue;
        r = track_read(&c, h, err);
        if (r < 0)
            return r;
    }
    return r;
}

static int segment_read(struct mkv_iter iter, struct kn_mkv_header *h, struct kn_err *err)
{
    struct mkv_child c;
    bool info = false, tracks = false;
    int r;
    while ((r = mkv_iter_next(&iter, &c, err)) > 0) {
        bool *seen = c.id == KN_MKV_INFO ? &info : c.id == KN_MKV_TRACKS ? &tracks : NULL;
        if (!seen)
            continue;
        if (*seen)
            return mkv_fail(err, -EBADMSG, c.id, c.offset, "appears twice");
        *seen = true;
        if (c.id == KN_MKV_TRACKS)
            h->tracks_offset = c.offset;
        r = c.id == KN_MKV_INFO ? info_read(&c, h, err) : tracks_read(&c, h, err);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    if (!h->track_count)
        return kn_fail(err, -EBADMSG, "Segment: no track is declared before the first Cluster");
    return 0;
}

int kn_mkv_header_parse(struct kn_bytes bytes, struct kn_mkv_header *ret, struct kn_err *err)
{
    if (bytes.len > KN_MKV_HEADER_BYTES_MAX)
        return kn_fail(err, -EMSGSIZE, "a header of %zu bytes is above %d", bytes.len,
                       (int) KN_MKV_HEADER_BYTES_MAX);
    struct kn_mkv_header h = {.timestamp_scale_ns = 1000000};
    struct mkv_iter iter = {bytes, 0};
    struct mkv_child child;
    int r = mkv_iter_next(&iter, &child, err);
    if (r < 0)
        return r;
    if (!r || child.id != KN_MKV_EBML)
        return kn_fail(err, -EBADMSG, "byte 0: no EBML header");
    r = ebml_read(&child, &h, err);
    if (r < 0)
        return r;

    /* The Segment's size says nothing here: its Clusters are not in these bytes. */
    struct kn_mkv_element el = {.id = 0};
    while ((r = kn_mkv_element_read(iter.left, &el)) == 0 && el.id == KN_MKV_VOID) {
        r = mkv_iter_next(&iter, &child, err);
        if (r < 0)
            return r;
    }
    if (r < 0 || el.id != KN_MKV_SEGMENT)
        return mkv_fail(err, -EBADMSG, el.id, iter.offset, "Segment expected");
    iter.left.ptr += el.head_bytes;
    iter.left.len -= el.head_bytes;
    iter.offset += el.head_bytes;
    r = segment_read(iter, &h, err);
    if (r == 0)
        *ret = h;
    return r;
}
