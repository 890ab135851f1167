/* SPDX-License-Identifier: Apache-2.0 */
/* Writer of the service's own Tags. Sizes are known before anything is written, so nothing is
 * patched afterwards. Layout: kvs-api.md §3.2, taken from AWS's captures. */
#include "media_tags.h"

#include <stdio.h>

enum {
    SIZE_BYTES = 4,
    TAGS_HEAD_BYTES = 4 + SIZE_BYTES,       /* 1254C367 and its size */
    TAG_HEAD_BYTES = 2 + SIZE_BYTES,        /* 7373 */
    SIMPLE_TAG_HEAD_BYTES = 2 + SIZE_BYTES, /* 67C8 */
    TEXT_HEAD_BYTES = 2 + SIZE_BYTES,       /* 45A3, 4487 */
    TIMESTAMP_TEXT_BYTES = 32,
};

const uint8_t playback_segment_head[12] = {0x18, 0x53, 0x80, 0x67, 0x01, 0xFF,
                                           0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

/* EBML 1/1, ids of 4 and sizes of 8 bytes, DocType matroska 2/2: as AWS's producers begin. */
static const uint8_t plain_ebml[] = {
    0x1A, 0x45, 0xDF, 0xA3, 0xA3, 0x42, 0x86, 0x81, 0x01, 0x42, 0xF7, 0x81, 0x01, 0x42,
    0xF2, 0x81, 0x04, 0x42, 0xF3, 0x81, 0x08, 0x42, 0x82, 0x88, 'm',  'a',  't',  'r',
    'o',  's',  'k',  'a',  0x42, 0x87, 0x81, 0x02, 0x42, 0x85, 0x81, 0x02,
};
static_assert(sizeof plain_ebml == 5 + 0x23, "the EBML element holds what its size says");

static size_t simple_tag_bytes(const struct playback_tag *tag)
{
    return SIMPLE_TAG_HEAD_BYTES + TEXT_HEAD_BYTES + strlen(tag->name) + TEXT_HEAD_BYTES +
           tag->value.len;
}

void playback_tags_write(struct kn_buf *out, const struct playback_tag *tags, size_t count)
{
    size_t tag_bytes = 0;

    for (size_t i = 0; i < count; i++)
        tag_bytes += simple_tag_bytes(&tags[i]);
    (void) kn_mkv_write_id(out, KN_MKV_TAGS); /* errors stick in out */
    (void) kn_mkv_write_size(out, TAG_HEAD_BYTES + tag_bytes, SIZE_BYTES);
    (void) kn_mkv_write_id(out, KN_MKV_TAG);
    (void) kn_mkv_write_size(out, tag_bytes, SIZE_BYTES);
    for (size_t i = 0; i < count; i++)
        (void) kn_mkv_write_simple_tag(out, kn_str_from(tags[i].name), tags[i].value);
}

/* Seconds with always three decimals: "1511852109.126", "0.000". */
static struct kn_str seconds_text(int64_t ms, char dst[TIMESTAMP_TEXT_BYTES])
{
    uint64_t size = ms < 0 ? 0 - (uint64_t) ms : (uint64_t) ms;
    int len = snprintf(dst, TIMESTAMP_TEXT_BYTES, "%s%" PRIu64 ".%03u", ms < 0 ? "-" : "",
                       size / 1000, (unsigned) (size % 1000));

    return (struct kn_str){dst, (size_t) len};
}

void playback_tags_write_head(struct kn_buf *out, const struct storage_fragment *fragment)
{
    char number[STORAGE_NUMBER_TEXT_BYTES];
    char server[TIMESTAMP_TEXT_BYTES];
    char producer[TIMESTAMP_TEXT_BYTES];

    storage_number_format(&fragment->number, number);
    playback_tags_write(out,
                        (const struct playback_tag[]){
                            {"AWS_KINESISVIDEO_FRAGMENT_NUMBER",         kn_str_from(number)},
                            { "AWS_KINESISVIDEO_SERVER_TIMESTAMP",
                             seconds_text(fragment->number.server_ts_ms,             server)},
                            { "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP",
                             seconds_text(fragment->producer_ts_ms,                producer)},
    },
                        3);
}

void playback_tags_write_tail(struct kn_buf *out, const struct storage_fragment *fragment,
                              int64_t now_ms)
{
    char number[STORAGE_NUMBER_TEXT_BYTES];
    char behind[TIMESTAMP_TEXT_BYTES];
    /* In both captures value + server time is the moment of sending, not the newest chunk's time.
     */
    int64_t behind_ms = kn_max_i64(0, now_ms - fragment->number.server_ts_ms);

    storage_number_format(&fragment->number, number);
    (void) snprintf(behind, sizeof behind, "%" PRId64, behind_ms); /* 20 digits fit */
    playback_tags_write(
        out,
        (const struct playback_tag[]){
            {"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW",  kn_str_from(behind)},
 /* consumers feed it back as AfterFragmentNumber, so it is the number itself */
            {"AWS_KINESISVIDEO_CONTINUATION_TOKEN", kn_str_from(number)},
    },
        2);
}

static void write_error_document(struct kn_buf *out, const struct playback_media_error *error,
                                 bool number_first)
{
    char id[TIMESTAMP_TEXT_BYTES];
    struct playback_tag number = {"AWS_KINESISVIDEO_FRAGMENT_NUMBER", error->fragment_number.len
                                                                          ? error->fragment_number
                                                                          : KN_STR("0")};
    struct playback_tag error_id = {
        "AWS_KINESISVIDEO_ERROR_ID", {id, 0}
    };
    struct playback_tag code = {"AWS_KINESISVIDEO_ERROR_CODE", kn_str_from(error->code)};

    error_id.value.len = (size_t) snprintf(id, sizeof id, "%d", error->id);
    (void) kn_buf_append(out, plain_ebml, sizeof plain_ebml); /* errors stick in out */
    (void) kn_buf_append(out, playback_segment_head, sizeof playback_segment_head);
    if (number_first)
        playback_tags_write(out, (const struct playback_tag[]){number, error_id, code}, 3);
    else
        playback_tags_write(out, (const struct playback_tag[]){code, error_id, number}, 3);
}

void playback_tags_write_error(struct kn_buf *out, const struct playback_media_error *error)
{
    write_error_document(out, error, true);
}

void playback_tags_write_missing(struct kn_buf *out, const struct playback_media_error *error)
{
    write_error_document(out, error, false);
}
