/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest parts of EBML: ids, sizes and plain values (RFC 8794, 4 to 7). An id has one to four
 * bytes and must be in its shortest form, a size one to eight; all ones means "unknown". A
 * size field that starts with a zero byte would be nine bytes or more, which Matroska forbids.
 */
#include "mkv_internal.h"

#include <stdarg.h>

static const struct {
    uint32_t id;
    const char *name;
} names[] = {
    {KN_MKV_EBML,              "EBML"             },
    {KN_MKV_VOID,              "Void"             },
    {KN_MKV_CRC32,             "CRC-32"           },
    {KN_MKV_SEGMENT,           "Segment"          },
    {KN_MKV_SEEK_HEAD,         "SeekHead"         },
    {KN_MKV_INFO,              "Info"             },
    {KN_MKV_TIMESTAMP_SCALE,   "TimestampScale"   },
    {KN_MKV_TRACKS,            "Tracks"           },
    {KN_MKV_TRACK_ENTRY,       "TrackEntry"       },
    {KN_MKV_TAGS,              "Tags"             },
    {KN_MKV_TAG,               "Tag"              },
    {KN_MKV_TARGETS,           "Targets"          },
    {KN_MKV_SIMPLE_TAG,        "SimpleTag"        },
    {KN_MKV_TAG_NAME,          "TagName"          },
    {KN_MKV_TAG_STRING,        "TagString"        },
    {KN_MKV_CUES,              "Cues"             },
    {KN_MKV_CHAPTERS,          "Chapters"         },
    {KN_MKV_ATTACHMENTS,       "Attachments"      },
    {KN_MKV_CLUSTER,           "Cluster"          },
    {KN_MKV_TIMESTAMP,         "Timestamp"        },
    {KN_MKV_SIMPLE_BLOCK,      "SimpleBlock"      },
    {KN_MKV_BLOCK_GROUP,       "BlockGroup"       },
    {KN_MKV_BLOCK,             "Block"            },
    {KN_MKV_BLOCK_DURATION,    "BlockDuration"    },
    {KN_MKV_REFERENCE_BLOCK,   "ReferenceBlock"   },
    {MKV_DOC_TYPE,             "DocType"          },
    {MKV_EBML_READ_VERSION,    "EBMLReadVersion"  },
    {MKV_EBML_MAX_ID_LENGTH,   "EBMLMaxIDLength"  },
    {MKV_EBML_MAX_SIZE_LENGTH, "EBMLMaxSizeLength"},
    {MKV_TRACK_NUMBER,         "TrackNumber"      },
    {MKV_TRACK_TYPE,           "TrackType"        },
    {MKV_CODEC_ID,             "CodecID"          },
    {MKV_CODEC_PRIVATE,        "CodecPrivate"     },
    {MKV_DEFAULT_DURATION,     "DefaultDuration"  },
    {MKV_VIDEO,                "Video"            },
    {MKV_PIXEL_WIDTH,          "PixelWidth"       },
    {MKV_PIXEL_HEIGHT,         "PixelHeight"      },
    {MKV_AUDIO,                "Audio"            },
    {MKV_SAMPLING_FREQUENCY,   "SamplingFrequency"},
    {MKV_CHANNELS,             "Channels"         },
};

const char *kn_mkv_name(uint32_t id)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++)
        if (names[i].id == id)
            return names[i].name;
    return "element";
}

int mkv_fail(struct kn_err *err, int code, uint32_t id, uint64_t offset, const char *fmt, ...)
{
    char text[KN_ERR_TEXT_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!id)
        return kn_fail(err, code, "byte %" PRIu64 ": %.180s", offset, text);
    return kn_fail(err, code, "%s (0x%X) at byte %" PRIu64 ": %.180s", kn_mkv_name(id),
                   (unsigned) id, offset, text);
}

/* Bytes of a variable-size integer by its first byte; 0 when the marker is missing. */
static unsigned vint_bytes(uint8_t first)
{
    for (unsigned n = 1; n <= 8; n++)
        if (first & (0x80u >> (n - 1)))
            return n;
    return 0;
}

int mkv_vint_read(struct kn_bytes in, uint64_t *ret, unsigned *ret_bytes)
{
    if (!in.len)
        return -ENODATA;
    unsigned n = vint_bytes(in.ptr[0]);
    if (!n)
        return -EBADMSG;
    if (in.len < n)
        return -ENODATA;
    uint64_t v = in.ptr[0] & (0xFFu >> n);
    for (unsigned i = 1; i < n; i++)
        v = v << 8 | in.ptr[i];
    *ret = v;
    *ret_bytes = n;
    return 0;
}

static uint64_t vint_ones(unsigned bytes)
{
    return ((uint64_t) 1 << (7 * bytes)) - 1;
}

int kn_mkv_element_read(struct kn_bytes bytes, struct kn_mkv_element *ret)
{
    if (!bytes.len)
        return -ENODATA;
    unsigned id_bytes = vint_bytes(bytes.ptr[0]);
    if (!id_bytes || id_bytes > 4)
        return -EBADMSG;
    if (bytes.len < id_bytes)
        return -ENODATA;
    uint32_t id = 0;
    for (unsigned i = 0; i < id_bytes; i++)
        id = id << 8 | bytes.ptr[i];
    uint64_t data = id & vint_ones(id_bytes);
    /* reserved: all zeros, all ones; and a longer form of what a shorter one could say */
    if (!data || data == vint_ones(id_bytes) || (id_bytes > 1 && data < vint_ones(id_bytes - 1)))
        return -EBADMSG;

    uint64_t size = 0;
    unsigned size_bytes = 0;
    int r = mkv_vint_read((struct kn_bytes){bytes.ptr + id_bytes, bytes.len - id_bytes}, &size,
                          &size_bytes);
    if (r < 0)
        return r;
    if (size == vint_ones(size_bytes))
        size = UINT64_MAX;
    *ret = (struct kn_mkv_element){.id = id, .size = size, .head_bytes = id_bytes + size_bytes};
    return 0;
}

int mkv_uint_value(struct kn_bytes payload, uint64_t *ret)
{
    if (payload.len > 8)
        return -EBADMSG;
    uint64_t v = 0;
    for (size_t i = 0; i < payload.len; i++)
        v = v << 8 | payload.ptr[i];
    *ret = v;
    return 0;
}

int mkv_float_value(struct kn_bytes payload, double *ret)
{
    uint64_t bits = 0;
    if (payload.len != 0 && payload.len != 4 && payload.len != 8)
        return -EBADMSG;
    int r = mkv_uint_value(payload, &bits);
    if (r < 0)
        return r;
    if (payload.len == 4) {
        uint32_t bits32 = (uint32_t) bits;
        float f = 0;
        memcpy(&f, &bits32, sizeof f);
        *ret = (double) f;
        return 0;
    }
    double d = 0;
    memcpy(&d, &bits, sizeof d);
    *ret = d;
    return 0;
}

struct kn_str mkv_string_value(struct kn_bytes payload)
{
    struct kn_str s = kn_str_of(payload);
    while (s.len && s.ptr[s.len - 1] == '\0')
        s.len--;
    return s;
}

struct mkv_iter mkv_iter_of(const struct mkv_child *parent)
{
    return (struct mkv_iter){parent->payload, parent->offset + parent->head_bytes};
}

int mkv_iter_next(struct mkv_iter *iter, struct mkv_child *ret, struct kn_err *err)
{
    if (!iter->left.len)
        return 0;
    struct kn_mkv_element el;
    if (kn_mkv_element_read(iter->left, &el) < 0)
        return mkv_fail(err, -EBADMSG, 0, iter->offset, "no EBML element starts here");
    if (el.size > iter->left.len - el.head_bytes)
        return mkv_fail(err, -EBADMSG, el.id, iter->offset,
                        "its size %" PRIu64 " passes the end of its parent", el.size);
    *ret = (struct mkv_child){
        .id = el.id,
        .offset = iter->offset,
        .head_bytes = el.head_bytes,
        .payload = {iter->left.ptr + el.head_bytes, (size_t) el.size},
    };
    size_t total = el.head_bytes + (size_t) el.size;
    iter->left.ptr += total;
    iter->left.len -= total;
    iter->offset += total;
    return 1;
}
