/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See mkv.h. Widths of sizes and values are those that the Producer SDK's bodies have (observed
 * with Producer C 1.6.4 and kvssink 3.6.0); elements and their ids: RFC 9559.
 */
#include "mkv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ID_EBML = 0x1A45DFA3,
    ID_SEGMENT = 0x18538067,
    ID_INFO = 0x1549A966,
    ID_TRACKS = 0x1654AE6B,
    ID_CLUSTER = 0x1F43B675,
    ID_TAGS = 0x1254C367,
    ID_TAG = 0x7373,
    ID_SIMPLE_TAG = 0x67C8,
    ID_TAG_NAME = 0x45A3,
    ID_TAG_STRING = 0x4487,
    HEAD_BYTES_MAX = 12, /* of an element: 4 of its id, 8 of its size */
    HEADER_BYTES = 512,  /* room for what does not depend on the tracks */
    TRACK_BYTES = 256,   /* and for each track's small elements */
    TRACKS_WIDTH = 4     /* of the size of Tracks */
};

/* Where the next byte goes; the room was reckoned by the caller. */
struct at {
    uint8_t *ptr;
};

static void put_be(struct at *at, uint64_t value, unsigned width)
{
    while (width-- > 0)
        *at->ptr++ = (uint8_t) (value >> (8 * width));
}

static void put_bytes(struct at *at, const void *ptr, size_t len)
{
    if (len > 0)
        memcpy(at->ptr, ptr, len);
    at->ptr += len;
}

static void put_id(struct at *at, uint32_t id)
{
    put_be(at, id, id > 0xFFFFFF ? 4 : id > 0xFFFF ? 3 : id > 0xFF ? 2 : 1);
}

static void put_head(struct at *at, uint32_t id, uint64_t len, unsigned width)
{
    put_id(at, id);
    put_be(at, len | UINT64_C(1) << (7 * width), width);
}

static void put_element(struct at *at, uint32_t id, const void *ptr, size_t len)
{
    put_head(at, id, len, len < 127 ? 1 : len < 16383 ? 2 : 4);
    put_bytes(at, ptr, len);
}

static void put_text(struct at *at, uint32_t id, const char *text)
{
    put_element(at, id, text, strlen(text));
}

static void put_uint(struct at *at, uint32_t id, uint64_t value, unsigned width)
{
    put_head(at, id, width, 1);
    put_be(at, value, width);
}

/* Begins an element whose length is not known yet, with a size of that width. */
static uint8_t *open_element(struct at *at, uint32_t id, unsigned width)
{
    put_id(at, id);
    at->ptr += width;
    return at->ptr;
}

static void close_element(struct at *at, uint8_t *start, unsigned width)
{
    struct at size = {start - width};
    put_be(&size, (uint64_t) (at->ptr - start) | UINT64_C(1) << (7 * width), width);
}

static void put_ebml(struct at *at)
{
    uint8_t *start = open_element(at, ID_EBML, 1);
    put_uint(at, 0x4286, 1, 1); /* EBMLVersion */
    put_uint(at, 0x42F7, 1, 1); /* EBMLReadVersion */
    put_uint(at, 0x42F2, 4, 1); /* EBMLMaxIDLength */
    put_uint(at, 0x42F3, 8, 1); /* EBMLMaxSizeLength */
    put_text(at, 0x4282, "matroska");
    put_uint(at, 0x4287, 2, 1); /* DocTypeVersion */
    put_uint(at, 0x4285, 2, 1); /* DocTypeReadVersion */
    close_element(at, start, 1);
}

static uint8_t *put_info(struct at *at)
{
    static const uint8_t zeros[MKV_UID_BYTES];
    uint8_t *start = open_element(at, ID_INFO, 1), *uid;
    put_element(at, 0x73A4, zeros, sizeof(zeros)); /* SegmentUID */
    uid = at->ptr - sizeof(zeros);
    put_uint(at, 0x2AD7B1, 1000000, 8); /* TimestampScale: times are milliseconds */
    put_text(at, 0x4D80, "Kinema producer 0.1");
    put_text(at, 0x5741, "Kinema producer 0.1");
    close_element(at, start, 1);
    return uid;
}

static void put_track(struct at *at, unsigned number, const struct kinema_track *track)
{
    int audio = track->type == KINEMA_AUDIO;
    uint64_t bits;
    uint8_t *shape, *start = open_element(at, 0xAE, 4);
    put_uint(at, 0xD7, number, 1);
    put_uint(at, 0x73C5, number, 8); /* TrackUID */
    put_uint(at, 0x83, track->type, 1);
    put_text(at, 0x536E, track->name ? track->name : audio ? "audio" : "video");
    put_text(at, 0x86, track->codec_id);
    if (audio) {
        shape = open_element(at, 0xE1, 4);
        memcpy(&bits, &track->sampling_hz, sizeof(bits));
        put_uint(at, 0xB5, bits, 8);
        put_uint(at, 0x9F, track->channels, 1);
        close_element(at, shape, 4);
    } else if (track->width && track->height) {
        shape = open_element(at, 0xE0, 4);
        put_uint(at, 0xB0, track->width, 2);
        put_uint(at, 0xBA, track->height, 2);
        close_element(at, shape, 4);
    }
    if (track->codec_private_len > 0)
        put_element(at, 0x63A2, track->codec_private, track->codec_private_len);
    close_element(at, start, 4);
}

int mkv_header_init(struct mkv_header *header, const struct kinema_track *tracks, size_t count)
{
    size_t cap = HEADER_BYTES;
    uint8_t *bytes, *start;
    struct at at;
    for (size_t i = 0; i < count; i++)
        cap += TRACK_BYTES + tracks[i].codec_private_len + strlen(tracks[i].codec_id) +
               (tracks[i].name ? strlen(tracks[i].name) : 0);
    bytes = malloc(cap);
    if (!bytes)
        return -ENOMEM;
    at.ptr = bytes;
    put_ebml(&at);
    put_id(&at, ID_SEGMENT);
    put_be(&at, 0xFF, 1); /* of unknown size */
    header->bytes = bytes;
    header->uid = (size_t) (put_info(&at) - bytes);
    header->count = count;
    start = open_element(&at, ID_TRACKS, TRACKS_WIDTH);
    for (size_t i = 0; i < count; i++) {
        header->track_at[i] = (size_t) (at.ptr - bytes);
        put_track(&at, (unsigned) i + 1, &tracks[i]);
    }
    close_element(&at, start, TRACKS_WIDTH);
    header->len = header->track_at[count] = (size_t) (at.ptr - bytes);
    return 0;
}

void mkv_header_done(struct mkv_header *header)
{
    free(header->bytes);
    header->bytes = NULL;
}

size_t mkv_header_of(const struct mkv_header *header, unsigned tracks, uint8_t *dst)
{
    struct at at = {dst};
    uint8_t *start;
    put_bytes(&at, header->bytes, header->track_at[0]);
    start = at.ptr;
    for (size_t i = 0; i < header->count; i++)
        if (tracks & 1U << i)
            put_bytes(&at, header->bytes + header->track_at[i],
                      header->track_at[i + 1] - header->track_at[i]);
    close_element(&at, start, TRACKS_WIDTH);
    return (size_t) (at.ptr - dst);
}

void mkv_cluster(uint8_t dst[MKV_CLUSTER_BYTES], uint64_t time_ms)
{
    struct at at = {dst};
    put_id(&at, ID_CLUSTER);
    put_be(&at, 0xFF, 1); /* of unknown size */
    put_uint(&at, 0xE7, time_ms, 8);
    put_uint(&at, 0xA7, 0, 1); /* Position */
}

void mkv_block(uint8_t dst[MKV_BLOCK_BYTES], unsigned track, unsigned offset_ms, int key,
               size_t len)
{
    struct at at = {dst};
    put_head(&at, 0xA3, len + 4, 8);
    put_be(&at, 0x80 | track, 1);
    put_be(&at, offset_ms, 2);
    put_be(&at, key ? 0x80 : 0, 1);
}

size_t mkv_tag(uint8_t dst[MKV_TAG_BYTES_MAX], const char *name, const char *value)
{
    struct at at = {dst};
    uint8_t *tags = open_element(&at, ID_TAGS, 8);
    uint8_t *tag = open_element(&at, ID_TAG, 8);
    uint8_t *simple = open_element(&at, ID_SIMPLE_TAG, 8);
    put_head(&at, ID_TAG_NAME, strlen(name), 8);
    put_bytes(&at, name, strlen(name));
    put_head(&at, ID_TAG_STRING, strlen(value), 8);
    put_bytes(&at, value, strlen(value));
    close_element(&at, simple, 8);
    close_element(&at, tag, 8);
    close_element(&at, tags, 8);
    return (size_t) (at.ptr - dst);
}
