/* SPDX-License-Identifier: Apache-2.0 */
#include "mkv_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ID_EBML = 0x1A45DFA3,
    ID_SEGMENT = 0x18538067,
    ID_INFO = 0x1549A966,
    ID_SCALE = 0x2AD7B1,
    ID_TRACKS = 0x1654AE6B,
    ID_TRACK_ENTRY = 0xAE,
    ID_CLUSTER = 0x1F43B675,
    ID_TIMECODE = 0xE7,
    ID_SIMPLE_BLOCK = 0xA3,
    ID_BLOCK_GROUP = 0xA0,
    ID_BLOCK = 0xA1,
    ID_REFERENCE = 0xFB,
    ID_TAGS = 0x1254C367,
    ID_TAG = 0x7373,
    ID_SIMPLE_TAG = 0x67C8,
    ID_TAG_NAME = 0x45A3,
    ID_TAG_STRING = 0x4487,
    LACING = 0x06,
    LACING_XIPH = 0x02,
    LACING_FIXED = 0x04,
    BODY_FIRST = 4096
};
#define UNKNOWN_SIZE UINT64_MAX
#define SCALE_NS     UINT64_C(1000000)

void mkv_reader_init(struct mkv_reader *r, size_t frame_max)
{
    *r = (struct mkv_reader){.frame_max = frame_max, .scale_ns = SCALE_NS};
}

void mkv_reader_done(struct mkv_reader *r)
{
    free(r->track_bytes);
    free(r->body);
    *r = (struct mkv_reader){.frame_max = 0};
}

static void forget_tracks(struct mkv_reader *r)
{
    r->track_count = 0;
    r->has_cluster = 0;
    r->scale_ns = SCALE_NS;
}

void mkv_reader_restart(struct mkv_reader *r)
{
    forget_tracks(r);
    r->begun = 0;
    r->state = MKV_AT_HEAD;
    r->head_len = r->lace_count = r->lace = 0;
    r->at = r->end = NULL;
}

/* --- elements in memory ----------------------------------------------------------------------- */
/* An id or a size at the beginning of len bytes; how many it has, 0: not whole, -EBADMSG. */
static int take_vint(const uint8_t *ptr, size_t len, unsigned most, int keeps_marker, uint64_t *ret)
{
    unsigned width = 1;
    uint64_t value;
    if (len == 0)
        return 0;
    while (width <= most && !(ptr[0] & (0x80 >> (width - 1))))
        width++;
    if (width > most)
        return -EBADMSG;
    if (len < width)
        return 0;
    value = keeps_marker ? ptr[0] : ptr[0] & (0xffU >> width);
    for (unsigned i = 1; i < width; i++)
        value = value << 8 | ptr[i];
    if (!keeps_marker && value == (UINT64_C(1) << (7 * width)) - 1)
        value = UNKNOWN_SIZE;
    *ret = value;
    return (int) width;
}

struct element {
    uint32_t id;
    const uint8_t *ptr;
    size_t len;
};

/* The next child of what is in memory: 1, 0 at its end, -EBADMSG. */
static int next_element(const uint8_t **at, const uint8_t *end, struct element *ret)
{
    uint64_t id, size;
    int used;
    if (*at == end)
        return 0;
    used = take_vint(*at, (size_t) (end - *at), 4, 1, &id);
    if (used <= 0)
        return -EBADMSG;
    *at += used;
    used = take_vint(*at, (size_t) (end - *at), 8, 0, &size);
    if (used <= 0 || size > (uint64_t) (end - *at - used))
        return -EBADMSG;
    *at += used;
    *ret = (struct element){(uint32_t) id, *at, (size_t) size};
    *at += size;
    return 1;
}

static uint64_t number_of(const uint8_t *ptr, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len && i < 8; i++)
        value = value << 8 | ptr[i];
    return value;
}

static double real_of(const struct element *e)
{
    uint64_t bits = number_of(e->ptr, e->len);
    uint32_t narrow = (uint32_t) bits;
    float single;
    double wide = 0;
    if (e->len == 4) {
        memcpy(&single, &narrow, sizeof(single));
        return (double) single;
    }
    if (e->len == 8)
        memcpy(&wide, &bits, sizeof(wide));
    return wide;
}

/* --- tracks ----------------------------------------------------------------------------------- */
/* Texts of Matroska have no NUL of their own: each is moved one byte back, over its element's size,
 * which nobody needs any more, and ended. */
static const char *text_in_place(struct mkv_reader *r, const struct element *e)
{
    uint8_t *dst = r->track_bytes + (e->ptr - r->track_bytes) - 1;
    memmove(dst, e->ptr, e->len);
    dst[e->len] = '\0';
    return (const char *) dst;
}

static int take_shape(const struct element *shape, struct kinema_track *format)
{
    const uint8_t *at = shape->ptr, *end = shape->ptr + shape->len;
    struct element e;
    int code;
    while ((code = next_element(&at, end, &e)) == 1) {
        if (e.id == 0xB0)
            format->width = (unsigned) number_of(e.ptr, e.len);
        else if (e.id == 0xBA)
            format->height = (unsigned) number_of(e.ptr, e.len);
        else if (e.id == 0xB5)
            format->sampling_hz = real_of(&e);
        else if (e.id == 0x9F)
            format->channels = (unsigned) number_of(e.ptr, e.len);
    }
    return code;
}

static int take_track(struct mkv_reader *r, const struct element *entry)
{
    struct kinema_media_track *track = &r->tracks[r->track_count];
    struct kinema_track *format = &track->format;
    const uint8_t *at = entry->ptr, *end = entry->ptr + entry->len;
    struct element e;
    uint64_t frame_ns = 0;
    int code;
    *track = (struct kinema_media_track){
        .format = {.codec_id = "", .name = ""}
    };
    while ((code = next_element(&at, end, &e)) == 1) {
        if (e.id == 0xD7) {
            track->number = (unsigned) number_of(e.ptr, e.len);
        } else if (e.id == 0x83) {
            format->type = (enum kinema_track_type) number_of(e.ptr, e.len);
        } else if (e.id == 0x86) {
            format->codec_id = text_in_place(r, &e);
        } else if (e.id == 0x536E) {
            format->name = text_in_place(r, &e);
        } else if (e.id == 0x63A2) {
            format->codec_private = e.ptr;
            format->codec_private_len = e.len;
        } else if (e.id == 0x23E383) {
            frame_ns = number_of(e.ptr, e.len);
        } else if ((e.id == 0xE0 || e.id == 0xE1) && take_shape(&e, format) < 0) {
            return -EBADMSG;
        }
    }
    r->frame_ns[r->track_count] = frame_ns <= UINT32_MAX ? frame_ns : 0;
    r->track_count++;
    return code;
}

/* The body becomes track_bytes, which the tracks point into. */
static int take_tracks(struct mkv_reader *r, struct mkv_item *ret)
{
    const uint8_t *at, *end;
    struct element e;
    int code;
    uint8_t *former = r->track_bytes;
    r->track_bytes = r->body;
    at = r->track_bytes;
    end = at + r->body_len;
    r->body = NULL;
    r->body_cap = r->body_len = 0;
    free(former);
    r->track_count = 0;
    while ((code = next_element(&at, end, &e)) == 1) {
        if (e.id != ID_TRACK_ENTRY)
            continue;
        if (r->track_count == KINEMA_MEDIA_TRACKS_MAX)
            return -EMSGSIZE;
        if (take_track(r, &e) < 0)
            return -EBADMSG;
    }
    ret->type = MKV_TRACKS;
    return code < 0 ? code : 1;
}

/* --- blocks ----------------------------------------------------------------------------------- */
/* Sizes of all laces but the last, which has the rest. */
static int take_laces(struct mkv_reader *r, unsigned lacing)
{
    uint64_t size = 0, sum = 0;
    size_t left;
    if (r->at == r->end)
        return -EBADMSG;
    r->lace_count = (size_t) *r->at++ + 1;
    for (size_t i = 0; lacing != LACING_FIXED && i + 1 < r->lace_count; i++) {
        uint64_t value = 0;
        if (lacing == LACING_XIPH) {
            uint8_t byte;
            size = 0;
            do {
                if (r->at == r->end)
                    return -EBADMSG;
                byte = *r->at++;
                size += byte;
            } while (byte == 255);
        } else { /* EBML: the first size, then signed differences */
            int width = take_vint(r->at, (size_t) (r->end - r->at), 8, 0, &value);
            if (width <= 0 || value >= UINT64_C(1) << 56)
                return -EBADMSG;
            r->at += width;
            size = i == 0 ? value : size + value - ((UINT64_C(1) << (7 * width - 1)) - 1);
            if (size >> 63) /* less than nothing */
                return -EBADMSG;
        }
        if (size > r->frame_max)
            return -EMSGSIZE;
        r->sizes[i] = (size_t) size;
        sum += size;
    }
    left = (size_t) (r->end - r->at);
    if (lacing == LACING_FIXED) {
        for (size_t i = 0; i < r->lace_count; i++)
            r->sizes[i] = left / r->lace_count;
        return left % r->lace_count == 0 ? 0 : -EBADMSG;
    }
    if (sum > left)
        return -EBADMSG;
    r->sizes[r->lace_count - 1] = left - (size_t) sum;
    return 0;
}

/* A block in memory; its frames follow. Those of a track that is not declared are passed over. */
static int take_block(struct mkv_reader *r, const uint8_t *ptr, size_t len, int is_key)
{
    uint64_t number, base_ns;
    int16_t offset;
    unsigned flags;
    int width = take_vint(ptr, len, 8, 0, &number), code;
    r->lace = r->lace_count = 0;
    if (width <= 0 || len - (size_t) width < 3 || !r->has_cluster)
        return -EBADMSG;
    ptr += width;
    offset = (int16_t) (uint16_t) (ptr[0] << 8 | ptr[1]);
    flags = ptr[2];
    r->at = ptr + 3;
    r->end = ptr - width + len;
    r->track = NULL;
    for (size_t i = 0; i < r->track_count; i++)
        if (r->tracks[i].number == number)
            r->track = &r->tracks[i];
    if (!r->track)
        return 0;
    if (r->cluster > INT64_MAX / 2 / r->scale_ns)
        return -EBADMSG;
    base_ns = r->cluster * r->scale_ns;
    r->block_ns = (int64_t) base_ns + offset * (int64_t) r->scale_ns;
    r->key = is_key < 0 ? (flags & 0x80) != 0 : is_key;
    r->lace_count = 1;
    r->sizes[0] = (size_t) (r->end - r->at);
    code = flags & LACING ? take_laces(r, flags & LACING) : 0;
    for (size_t i = 0; code == 0 && i < r->lace_count; i++)
        if (r->sizes[i] > r->frame_max)
            code = -EMSGSIZE;
    if (code < 0)
        r->lace_count = 0;
    return code;
}

static int take_group(struct mkv_reader *r)
{
    const uint8_t *at = r->body, *end = r->body + r->body_len;
    struct element e, block = {.ptr = NULL};
    int code, refers = 0;
    while ((code = next_element(&at, end, &e)) == 1) {
        refers |= e.id == ID_REFERENCE;
        if (e.id == ID_BLOCK)
            block = e;
    }
    return code < 0 || !block.ptr ? code : take_block(r, block.ptr, block.len, !refers);
}

static void give_lace(struct mkv_reader *r, struct mkv_item *ret)
{
    size_t i = r->lace++;
    uint64_t step = r->frame_ns[r->track - r->tracks];
    ret->type = MKV_FRAME;
    ret->track = r->track;
    ret->time_ms = (r->block_ns + (int64_t) (step * i)) / 1000000;
    ret->key = r->key;
    ret->data = r->at;
    ret->len = r->sizes[i];
    r->at += r->sizes[i];
    if (r->lace == r->lace_count)
        r->lace = r->lace_count = 0;
}

/* --- tags ------------------------------------------------------------------------------------- */
/* The next tag of the Tags in memory, which Tag and SimpleTag are entered for: 1; 0: no more. */
static int give_tag(struct mkv_reader *r, struct mkv_item *ret)
{
    struct element e, part;
    int code;
    while ((code = next_element(&r->at, r->end, &e)) == 1) {
        const uint8_t *in = e.ptr;
        if (e.id == ID_TAG)
            r->at = e.ptr;
        if (e.id != ID_SIMPLE_TAG)
            continue;
        struct mkv_item tag = {.type = MKV_TAG};
        while ((code = next_element(&in, e.ptr + e.len, &part)) == 1) {
            if (part.id == ID_TAG_NAME) {
                tag.name = (const char *) part.ptr;
                tag.name_len = part.len;
            } else if (part.id == ID_TAG_STRING) {
                tag.value = (const char *) part.ptr;
                tag.value_len = part.len;
            }
        }
        if (code < 0)
            return code;
        if (tag.name) { /* one without a name is none */
            *ret = tag;
            return 1;
        }
    }
    return code;
}

/* --- the stream of elements ------------------------------------------------------------------- */
/* Most bytes of an element that is gathered; 0: it is passed over. */
static size_t bound_of(const struct mkv_reader *r, uint32_t id)
{
    switch (id) {
    case ID_TRACKS:
        return MKV_TRACKS_BYTES_MAX;
    case ID_TAGS:
        return MKV_TAGS_BYTES_MAX;
    case ID_INFO:
    case ID_TIMECODE:
        return MKV_SMALL_BYTES_MAX;
    case ID_SIMPLE_BLOCK:
    case ID_BLOCK_GROUP:
        return r->frame_max + MKV_BLOCK_EXTRA;
    default:
        return 0;
    }
}

/* What to do with the element whose head is whole. 1: it is an item of its own. */
static int begin_element(struct mkv_reader *r, struct mkv_item *ret)
{
    size_t bound = bound_of(r, r->id);
    r->at = r->end = NULL; /* what lay in the body goes now */
    if (!r->begun && r->id != ID_EBML)
        return -EBADMSG;
    if (r->id == ID_SEGMENT || r->id == ID_CLUSTER) {
        r->has_cluster = 0; /* until its timecode */
        return 0;
    }
    if (r->left == UNKNOWN_SIZE)
        return -EBADMSG;
    if (bound > 0 && r->left > bound)
        return -EMSGSIZE;
    r->state = bound > 0 ? MKV_GATHERS : MKV_SKIPS;
    r->body_len = 0;
    if (r->id != ID_EBML)
        return 0;
    forget_tracks(r);
    r->begun = 1;
    ret->type = MKV_DOCUMENT;
    return 1;
}

static int take_info(struct mkv_reader *r)
{
    const uint8_t *at = r->body, *end = r->body + r->body_len;
    struct element e;
    int code;
    while ((code = next_element(&at, end, &e)) == 1)
        if (e.id == ID_SCALE)
            r->scale_ns = number_of(e.ptr, e.len);
    return code < 0 || r->scale_ns == 0 || r->scale_ns > UINT32_MAX ? -EBADMSG : 0;
}

/* A gathered element is whole. 1: it is an item. */
static int end_element(struct mkv_reader *r, struct mkv_item *ret)
{
    r->state = MKV_AT_HEAD;
    switch (r->id) {
    case ID_INFO:
        return take_info(r);
    case ID_TRACKS:
        return take_tracks(r, ret);
    case ID_TAGS:
        r->at = r->body;
        r->end = r->body + r->body_len;
        return 0;
    case ID_SIMPLE_BLOCK:
        return take_block(r, r->body, r->body_len, -1);
    case ID_BLOCK_GROUP:
        return take_group(r);
    case ID_TIMECODE:
        r->cluster = number_of(r->body, r->body_len);
        if (r->body_len > 8 || r->cluster > INT64_MAX / 2 / r->scale_ns)
            return -EBADMSG;
        r->has_cluster = 1;
        ret->type = MKV_CLUSTER;
        ret->time_ms = (int64_t) (r->cluster * r->scale_ns / 1000000);
        return 1;
    default:
        return 0;
    }
}

/* One byte of a head at a time; 1: it is whole. */
static int take_head(struct mkv_reader *r, uint8_t byte)
{
    uint64_t id, size;
    int id_len, size_len;
    r->head[r->head_len++] = byte;
    id_len = take_vint(r->head, r->head_len, 4, 1, &id);
    if (id_len <= 0)
        return id_len;
    size_len = take_vint(r->head + id_len, r->head_len - (size_t) id_len, 8, 0, &size);
    if (size_len <= 0)
        return size_len;
    r->id = (uint32_t) id;
    r->left = size;
    r->head_len = 0;
    return 1;
}

/* The buffer grows with what has come, not with what is announced; it is there also of nothing. */
static int gather(struct mkv_reader *r, const uint8_t *ptr, size_t len)
{
    if (r->body_len + len + 1 > r->body_cap) {
        size_t cap = 2 * (r->body_len + len + 1);
        uint8_t *grown;
        cap = cap < BODY_FIRST ? BODY_FIRST : cap;
        grown = realloc(r->body, cap);
        if (!grown)
            return -ENOMEM;
        r->body = grown;
        r->body_cap = cap;
    }
    if (len > 0)
        memcpy(r->body + r->body_len, ptr, len);
    r->body_len += len;
    return 0;
}

/* Bytes of the element under way: how many were used, negative: an error. */
static int64_t take_body(struct mkv_reader *r, const uint8_t *ptr, size_t len)
{
    size_t piece = r->left < len ? (size_t) r->left : len;
    int code = r->state == MKV_GATHERS ? gather(r, ptr, piece) : 0;
    r->left -= piece;
    return code < 0 ? code : (int64_t) piece;
}

/* Items that are left of an element in memory. */
static int give_rest(struct mkv_reader *r, struct mkv_item *ret)
{
    if (r->lace_count > 0) {
        give_lace(r, ret);
        return 1;
    }
    return r->id == ID_TAGS && r->at != r->end ? give_tag(r, ret) : 0;
}

int mkv_read(struct mkv_reader *r, const uint8_t *ptr, size_t len, size_t *ret_used,
             struct mkv_item *ret)
{
    size_t at = 0;
    int code = give_rest(r, ret);
    *ret = code ? *ret : (struct mkv_item){.type = MKV_MORE};
    while (code == 0) {
        if (r->state != MKV_AT_HEAD) {
            int64_t used = take_body(r, ptr + at, len - at);
            if (used < 0) {
                code = (int) used;
                break;
            }
            at += (size_t) used;
            if (r->left > 0)
                break;
            code = r->state == MKV_GATHERS ? end_element(r, ret) : 0;
            r->state = MKV_AT_HEAD;
            if (code == 0)
                code = give_rest(r, ret);
            continue;
        }
        if (at == len)
            break;
        code = take_head(r, ptr[at++]);
        if (code == 1)
            code = begin_element(r, ret);
    }
    *ret_used = at;
    return code < 0 ? code : 0;
}
