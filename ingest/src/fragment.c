/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a fragment (KVS developer guide, PutMedia limits; error ids of its API reference)
 * and its arithmetic. Times inside a Cluster are kept in TimestampScale units, as sent; only sums
 * are turned into ns and ms.
 */
#include "fragment.h"

#include <stdarg.h>

#include "core/crypto.h"

enum {
    NS_PER_MS = 1000000,
    TAG_NAME_BYTES_MAX = 128,
    TAG_VALUE_BYTES_MAX = 256,
    TAGS_SEEN_MAX = 128
};
#define PRODUCER_MS_MAX INT64_C(253402300799999)           /* the last ms of the year 9999 */
#define OWN_NS_MAX      (INT64_C(3600) * 1000 * NS_PER_MS) /* no frame lasts longer than an hour */
#define TIMECODE_NS_MAX (INT64_MAX - (INT64_C(1) << 47))   /* room for the frames' own offsets */

void ingest_fragment_init(struct ingest_fragment *f, const struct ingest_conf *limits,
                          struct ingest_seam *seam)
{
    *f = (struct ingest_fragment){.limits = limits, .seam = seam};
}

static int fault(struct ingest_fragment *f, enum ingest_error error, struct kn_err *err,
                 const struct kn_mkv_event *ev, const char *fmt, ...) KN_PRINTF(5, 6);

static int fault(struct ingest_fragment *f, enum ingest_error error, struct kn_err *err,
                 const struct kn_mkv_event *ev, const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    f->error = error;
    if (ev)
        return kn_fail(err, -EBADMSG, "%s (0x%X) at byte %" PRIu64 ": %s", kn_mkv_name(ev->id),
                       (unsigned) ev->id, ev->offset, text);
    return kn_fail(err, -EBADMSG, "Cluster with Timestamp %" PRIu64 ": %s", f->begin.timecode,
                   text);
}

/* --- the header ------------------------------------------------------------------------------- */

static uint32_t crc_add(uint32_t crc, const void *ptr, size_t len)
{
    return kn_crc32c(crc, (struct kn_bytes){ptr, len});
}

/* What a player must know before the first frame; SegmentUID, titles and paddings do not count. */
static uint32_t header_sum(const struct kn_mkv_header *h)
{
    uint32_t crc = crc_add(0, &h->timestamp_scale_ns, sizeof h->timestamp_scale_ns);
    for (unsigned i = 0; i < h->track_count; i++) {
        const struct kn_mkv_track *t = &h->tracks[i];
        crc = crc_add(crc, &t->number, sizeof t->number);
        crc = crc_add(crc, &t->type, sizeof t->type);
        crc = crc_add(crc, t->codec_id, strlen(t->codec_id) + 1);
        crc = crc_add(crc, &t->pixel_width, sizeof t->pixel_width);
        crc = crc_add(crc, &t->pixel_height, sizeof t->pixel_height);
        crc = crc_add(crc, &t->sampling_hz, sizeof t->sampling_hz);
        crc = crc_add(crc, &t->channels, sizeof t->channels);
        crc = kn_crc32c(crc, t->codec_private);
    }
    return crc;
}

static void track_init(struct ingest_track *to, const struct kn_mkv_track *from)
{
    enum {
        AAC_SAMPLES = 1024
    }; /* of one frame of A_AAC; ISO/IEC 14496-3 */
    *to = (struct ingest_track){.number = from->number, .type = from->type};
    snprintf(to->codec_id, sizeof to->codec_id, "%.20s", from->codec_id);
    if (from->default_duration_ns <= (uint64_t) OWN_NS_MAX)
        to->default_ns = (int64_t) from->default_duration_ns;
    to->lace_ns = (double) to->default_ns;
    if (!to->default_ns && from->sampling_hz >= 1 &&
        kn_str_starts_with(kn_str_from(from->codec_id), KN_STR("A_AAC")))
        to->lace_ns = AAC_SAMPLES * 1e9 / from->sampling_hz;
}

int ingest_fragment_header(struct ingest_fragment *f, const struct kn_mkv_header *header,
                           struct kn_err *err)
{
    enum {
        TRACK_NUMBER_MAX = 255
    };
    const struct kn_mkv_event at = {.id = KN_MKV_TRACKS, .offset = header->tracks_offset};
    if (header->track_count > f->limits->tracks_max)
        return fault(f, INGEST_MORE_THAN_ALLOWED_TRACKS_FOUND, err, &at,
                     "%u tracks, allowed are %" PRIu64, header->track_count, f->limits->tracks_max);
    f->scale_ns = header->timestamp_scale_ns;
    f->header = header_sum(header);
    f->track_count = header->track_count;
    for (unsigned i = 0; i < header->track_count; i++) {
        if (header->tracks[i].number > TRACK_NUMBER_MAX)
            return fault(f, INGEST_INVALID_MKV_DATA, err, &at,
                         "TrackNumber %" PRIu64 " is above %d", header->tracks[i].number,
                         (int) TRACK_NUMBER_MAX);
        track_init(&f->tracks[i], &header->tracks[i]);
    }
    return 0;
}

/* --- its start -------------------------------------------------------------------------------- */

void ingest_fragment_reset(struct ingest_fragment *f)
{
    f->named = f->open = f->closed = false;
    f->bytes = f->cluster_end = f->frame_count = 0;
    f->cluster_offset = 0;
    f->tag_count = f->lead_tag_count;
    f->first = 0;
    f->in_group = false;
    for (unsigned i = 0; i < f->track_count; i++)
        f->tracks[i].frames = 0;
}

/* A gap or overlap larger than players forgive, or another header. */
static bool is_discontinuity(const struct ingest_fragment *f, int64_t start_ms)
{
    const struct ingest_seam *seam = f->seam;
    return !seam->known || seam->header != f->header ||
           start_ms > seam->to_ms + seam->tolerance_ms ||
           start_ms < seam->from_ms - seam->tolerance_ms;
}

int ingest_fragment_begin(struct ingest_fragment *f, const struct kn_mkv_event *ev, int64_t base_ms,
                          bool relative, struct kn_err *err)
{
    f->begin = (struct storage_begin){.timecode = ev->value,
                                      .flags = relative ? STORAGE_FRAGMENT_RELATIVE : 0};
    f->named = true;
    if (f->lead_fault[0]) {
        f->error = INGEST_FRAGMENT_METADATA_LIMIT_REACHED;
        return kn_fail(err, -EBADMSG, "%s", f->lead_fault);
    }
    if (f->has_previous && ev->value <= f->previous_timecode)
        return fault(f, INGEST_FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS, err, ev,
                     "%" PRIu64 " does not follow %" PRIu64, ev->value, f->previous_timecode);
    uint64_t ms = 0;
    if (ev->value > (uint64_t) TIMECODE_NS_MAX / f->scale_ns ||
        (ms = ev->value * f->scale_ns / NS_PER_MS) > (uint64_t) PRODUCER_MS_MAX ||
        (int64_t) ms > PRODUCER_MS_MAX - base_ms)
        return fault(f, INGEST_INVALID_PRODUCER_TIMESTAMP, err, ev,
                     "%" PRIu64 " units of %" PRIu64 " ns are beyond what a time can hold",
                     ev->value, f->scale_ns);
    f->begin.producer_ts_ms = base_ms + (int64_t) ms;
    if (is_discontinuity(f, f->begin.producer_ts_ms))
        f->begin.flags |= STORAGE_FRAGMENT_DISCONTINUITY;
    return 0;
}

void ingest_fragment_opened(struct ingest_fragment *f, uint32_t cluster_offset)
{
    f->open = true;
    f->cluster_offset = cluster_offset;
    f->lead_tag_count = 0;
}

/* --- metadata --------------------------------------------------------------------------------- */

static bool is_end(struct kn_str name)
{
    return kn_str_eq(name, KN_STR("AWS_KINESISVIDEO_END_OF_FRAGMENT"));
}

/* The other names AWS lets producers send. */
static bool is_reserved(struct kn_str name)
{
    return kn_str_starts_with(name, KN_STR("AWS")) &&
           !kn_str_eq(name, KN_STR("AWS_KINESISVIDEO_NOTIFICATION")) &&
           !kn_str_eq(name, KN_STR("AWS_KINESISVIDEO_IMAGE_GENERATION")) &&
           !kn_str_eq(name, KN_STR("AWS_KINESISVIDEO_IMAGE_PREFIX"));
}

static int tag_judge(struct ingest_fragment *f, const struct kn_mkv_event *ev,
                     const struct kn_mkv_tag *tag, struct kn_err *err)
{
    enum ingest_error limit = INGEST_FRAGMENT_METADATA_LIMIT_REACHED;
    if (tag->name.len > TAG_NAME_BYTES_MAX)
        return fault(f, limit, err, ev, "a name of %zu bytes, allowed are %d", tag->name.len,
                     (int) TAG_NAME_BYTES_MAX);
    if (tag->value.len > TAG_VALUE_BYTES_MAX)
        return fault(f, limit, err, ev, "a value of %zu bytes, allowed are %d", tag->value.len,
                     (int) TAG_VALUE_BYTES_MAX);
    if (is_reserved(tag->name))
        return fault(f, limit, err, ev, "a name that starts with AWS is reserved");
    return 0;
}

/* Counts user metadata into *count. */
static int tags_judge(struct ingest_fragment *f, const struct kn_mkv_event *ev, uint64_t *count,
                      struct kn_err *err)
{
    struct kn_mkv_tag items[TAGS_SEEN_MAX];
    struct kn_mkv_tags tags = {.items = items, .cap = KN_ARRAY_LEN(items)};
    f->end_tag = f->tags_only_end = false;
    if (kn_mkv_tags_parse(ev->raw, &tags, err) < 0) {
        f->error = INGEST_INVALID_MKV_DATA;
        return -EBADMSG;
    }
    if (tags.targeted) /* describes the file (ffmpeg, mkvmerge), not the fragment */
        return 0;
    uint64_t users = tags.count > tags.cap ? tags.count - tags.cap : 0;
    int r = 0;
    for (size_t i = 0; i < kn_min_u64(tags.count, tags.cap); i++) {
        if (is_end(items[i].name)) {
            f->end_tag = true;
            continue;
        }
        users++;
        if (r == 0)
            r = tag_judge(f, ev, &items[i], err);
    }
    f->tags_only_end = f->end_tag && !users;
    *count += users;
    if (r == 0 && *count > f->limits->tags_max)
        r = fault(f, INGEST_FRAGMENT_METADATA_LIMIT_REACHED, err, ev,
                  "%" PRIu64 " tags in one fragment, allowed are %" PRIu64, *count,
                  f->limits->tags_max);
    return r;
}

int ingest_fragment_tags(struct ingest_fragment *f, const struct kn_mkv_event *ev,
                         struct kn_err *err)
{
    if (f->open)
        return tags_judge(f, ev, &f->tag_count, err);
    struct kn_err lead;
    int r = tags_judge(f, ev, &f->lead_tag_count, &lead);
    if (r < 0 && f->error != INGEST_FRAGMENT_METADATA_LIMIT_REACHED)
        return kn_fail(err, r, "%s", lead.text);
    /* told with the timecode of the fragment it belongs to, which is still to come */
    if (r < 0 && !f->lead_fault[0])
        snprintf(f->lead_fault, sizeof f->lead_fault, "%s", lead.text);
    return 0;
}

/* --- frames ----------------------------------------------------------------------------------- */

static struct ingest_track *track_find(struct ingest_fragment *f, uint64_t number)
{
    for (unsigned i = 0; i < f->track_count; i++)
        if (f->tracks[i].number == number)
            return &f->tracks[i];
    return NULL;
}

static int64_t ns_of(const struct ingest_fragment *f, int64_t units)
{
    return units * (int64_t) f->scale_ns; /* callers keep the product below 2^63 */
}

int ingest_fragment_block(struct ingest_fragment *f, const struct kn_mkv_event *ev,
                          struct kn_err *err)
{
    const struct kn_mkv_block *b = &ev->block;
    if (!track_find(f, b->track))
        return fault(f, INGEST_TRACK_NUMBER_MISMATCH, err, ev, "track %" PRIu64 " is not in Tracks",
                     b->track);
    if (f->bytes + ev->raw.len + b->frame_bytes > f->limits->fragment_bytes_max)
        return fault(f, INGEST_MAX_FRAGMENT_SIZE_REACHED, err, ev,
                     "the fragment passes %" PRIu64 " bytes", f->limits->fragment_bytes_max);
    if (f->frame_count + b->lace_count > f->limits->frames_max)
        return fault(f, INGEST_MAX_FRAGMENT_SIZE_REACHED, err, ev,
                     "the fragment passes %" PRIu64 " frames", f->limits->frames_max);
    int64_t first = f->frame_count ? kn_min_i64(f->first, b->time) : b->time;
    if (ns_of(f, b->time - first) / NS_PER_MS > (int64_t) f->limits->fragment_ms_max)
        return fault(f, INGEST_MAX_FRAGMENT_DURATION_REACHED, err, ev,
                     "the fragment passes %" PRIu64 " ms", f->limits->fragment_ms_max);
    int64_t at_ns = (int64_t) (f->begin.timecode * f->scale_ns) + ns_of(f, b->time);
    if (f->limits->strict_frame_times && f->has_previous && at_ns <= f->previous_last_ns)
        return fault(f, INGEST_FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS, err, ev,
                     "the frame is not later than the previous fragment's last");
    f->first = first;
    f->block = *b;
    memcpy(f->laces, b->lace_bytes, b->lace_count * sizeof f->laces[0]);
    f->block.lace_bytes = f->laces;
    f->block_duration = 0;
    f->lace_offset = 0;
    return 0;
}

static void track_time(struct ingest_fragment *f, struct ingest_track *t, int64_t time,
                       int64_t own_ns)
{
    if (!t->frames || time > t->last) {
        t->second = t->frames ? t->last : time;
        t->last = time;
        t->last_own_ns = own_ns;
    } else if (time < t->last && (time > t->second || t->second == t->last)) {
        t->second = time;
    }
    t->first = t->frames ? kn_min_i64(t->first, time) : time;
    t->frames++;
    if (t->second < t->last)
        t->delta_ns = ns_of(f, t->last - t->second);
}

bool ingest_fragment_frame(struct ingest_fragment *f, unsigned i, struct storage_frame *ret)
{
    if (i >= f->block.lace_count)
        return false;
    struct ingest_track *t = track_find(f, f->block.track);
    kn_assert(t);
    int64_t own_ns = 0;
    if (f->block_duration && f->block_duration <= (uint64_t) OWN_NS_MAX / f->scale_ns)
        own_ns = ns_of(f, (int64_t) f->block_duration) / f->block.lace_count;
    double step_ns = own_ns ? (double) own_ns : t->lace_ns;
    int64_t time = f->block.time + (int64_t) ((double) i * step_ns / (double) f->scale_ns + 0.5);
    time = kn_min_i64(time, f->block.time + INT16_MAX);
    if (t->frames == 0)
        t->starts_key = f->block.key;
    track_time(f, t, time, own_ns);
    f->frame_count++;
    *ret = (struct storage_frame){
        .offset = (uint32_t) (f->block_offset + f->lace_offset),
        .bytes = f->laces[i],
        .time = (int32_t) time,
        .track = (uint8_t) f->block.track,
        .key = f->block.key,
    };
    f->lace_offset += f->laces[i];
    return true;
}

/* --- its end ---------------------------------------------------------------------------------- */

/* The latest frame's own length: as said, else as the last two were apart. */
static int64_t own_ns_of(const struct ingest_track *t)
{
    return t->last_own_ns ? t->last_own_ns : t->default_ns ? t->default_ns : t->delta_ns;
}

static int64_t seen_ns_of(const struct ingest_fragment *f, const struct ingest_track *t)
{
    return ns_of(f, t->last - t->first);
}

bool ingest_fragment_is_keyless(const struct ingest_fragment *f)
{
    for (unsigned i = 0; i < f->track_count; i++) {
        const struct ingest_track *t = &f->tracks[i];
        if (t->type == KN_MKV_VIDEO && t->frames > 0 && !t->starts_key)
            return true;
    }
    return false;
}

/* The one that reaches furthest from its own first frame; NULL: no frame of this type. */
static const struct ingest_track *longest(const struct ingest_fragment *f,
                                          enum kn_mkv_track_type type)
{
    const struct ingest_track *found = NULL;
    for (unsigned i = 0; i < f->track_count; i++) {
        const struct ingest_track *t = &f->tracks[i];
        if (t->frames && t->type == type && (!found || seen_ns_of(f, t) > seen_ns_of(f, found)))
            found = t;
    }
    return found;
}

/* The track that says how long the fragment is: its pictures, unless its sound goes on without
 * them. What is said beside them may be seldom, and of no length. Not the span of all: sound is
 * sent in packets of its own, ahead of the pictures it is heard with, and what it is ahead would
 * count in every fragment. */
static const struct ingest_track *measure_of(const struct ingest_fragment *f)
{
    enum {
        SOUND_ALONE_MS = 500 /* less is how the two are interleaved */
    };
    const struct ingest_track *picture = longest(f, KN_MKV_VIDEO);
    const struct ingest_track *sound = longest(f, KN_MKV_AUDIO);
    if (picture && (!sound || seen_ns_of(f, sound) - seen_ns_of(f, picture) - own_ns_of(picture) <=
                                  SOUND_ALONE_MS * NS_PER_MS))
        return picture;
    return sound ? sound : longest(f, KN_MKV_OTHER);
}

/* How far the frames of pictures and sound reach, if there are any, else those of the others. */
struct reach {
    int64_t first_end_ns, last_end_ns, last_ns, own_ns;
};

static struct reach reach_of(const struct ingest_fragment *f)
{
    struct reach reach = {INT64_MAX, INT64_MIN, INT64_MIN, 0};
    const struct ingest_track *measure = measure_of(f);
    for (unsigned i = 0; i < f->track_count; i++) {
        const struct ingest_track *t = &f->tracks[i];
        if (!t->frames || (t->type == KN_MKV_OTHER && measure->type != KN_MKV_OTHER))
            continue;
        int64_t end_ns = ns_of(f, t->last) + own_ns_of(t);
        reach.first_end_ns = kn_min_i64(reach.first_end_ns, end_ns);
        reach.last_end_ns = kn_max_i64(reach.last_end_ns, end_ns);
        reach.last_ns = kn_max_i64(reach.last_ns, ns_of(f, t->last));
        reach.own_ns = kn_max_i64(reach.own_ns, own_ns_of(t));
    }
    return measure ? reach : (struct reach){0, 0, 0, 0};
}

static uint32_t ms_of(int64_t ns)
{
    return (uint32_t) ((kn_max_i64(ns, 0) + NS_PER_MS / 2) / NS_PER_MS);
}

int ingest_fragment_end(struct ingest_fragment *f, struct storage_commit *ret, struct kn_err *err)
{
    for (unsigned i = 0; i < f->track_count; i++) {
        const struct ingest_track *t = &f->tracks[i];
        bool may_pause = t->type == KN_MKV_OTHER || (f->tracks_may_pause && f->frame_count);
        if (!t->frames && !may_pause)
            return fault(f, INGEST_FRAMES_MISSING_FOR_TRACK, err, NULL,
                         "no frame of track %" PRIu64 " (%s)", t->number, t->codec_id);
    }
    const struct ingest_track *t = measure_of(f);
    *ret = (struct storage_commit){
        .cluster_offset = f->cluster_offset,
        .cluster_bytes = (f->cluster_end ? f->cluster_end : f->bytes) - f->cluster_offset,
        .duration_ms = t ? ms_of(seen_ns_of(f, t)) : 0,
        .full_duration_ms = t ? ms_of(seen_ns_of(f, t) + own_ns_of(t)) : 0,
    };
    return 0;
}

void ingest_fragment_closed(struct ingest_fragment *f)
{
    struct reach reach = reach_of(f);
    int64_t start_ms = f->begin.producer_ts_ms;
    *f->seam = (struct ingest_seam){
        .known = true,
        .from_ms = start_ms + kn_max_i64(reach.first_end_ns, 0) / NS_PER_MS,
        .to_ms = start_ms + kn_max_i64(reach.last_end_ns, 0) / NS_PER_MS,
        .tolerance_ms = kn_max_i64(INGEST_SEAM_MS_MIN, reach.own_ns / NS_PER_MS),
        .header = f->header,
    };
    f->has_previous = true;
    f->previous_timecode = f->begin.timecode;
    f->previous_last_ns =
        (int64_t) (f->begin.timecode * f->scale_ns) + kn_max_i64(reach.last_ns, 0);
    f->open = f->named = false;
    f->closed = true;
}

void ingest_fragment_times(const struct ingest_fragment *f, struct ingest_times *ret)
{
    int64_t last_ns = 0, start_ns = (int64_t) (f->begin.timecode * f->scale_ns);
    for (unsigned i = 0; i < f->track_count; i++)
        if (f->tracks[i].frames)
            last_ns = kn_max_i64(last_ns, ns_of(f, f->tracks[i].last));
    *ret = (struct ingest_times){
        .start_ms = f->begin.producer_ts_ms,
        .newest_ms = f->begin.producer_ts_ms + last_ns / NS_PER_MS,
        .gap_ms = f->has_previous ? (start_ns - f->previous_last_ns) / NS_PER_MS : 0,
    };
}
