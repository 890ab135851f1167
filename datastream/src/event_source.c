/* SPDX-License-Identifier: Apache-2.0 */
#include "event_source.h"

#include "fragment_event.h"

#include "core/arn.h"

enum {
    ARN_BYTES_MAX = 4096,
    TAG_BYTES_MAX = 256 << 10, /* read on either side of the Cluster; what is longer is left out */
};

struct parts { /* what an event is made from */
    struct storage_header *header;
    struct storage_frames *frames;
    struct kn_mkv_tag tags[DATASTREAM_EVENT_TAGS_MAX];
    size_t tag_count;
};

static void parts_done(struct parts *parts)
{
    if (parts->header)
        storage_header_unref(parts->header);
    if (parts->frames)
        storage_frames_free(parts->frames);
}

/* Damage is no reason to stop; a fragment that is gone, or memory that is out, is. */
static int tolerate(int r)
{
    return r == -ENOENT || r == -ECANCELED ? -ENOENT : r == -ENOMEM ? r : 0;
}

static int read_range(struct datastream_event_source *source, const struct storage_id *stream,
                      const struct storage_fragment *fragment, uint64_t from, uint64_t len)
{
    if (len == 0 || len > TAG_BYTES_MAX)
        return 0;
    int r = kn_buf_reserve(&source->tags, (size_t) len);
    if (r < 0)
        return r;
    struct iovec iov = {source->tags.ptr + source->tags.len, (size_t) len};
    ssize_t n = storage_read(source->storage, stream, fragment, from, &iov, 1, false);
    if (n < 0)
        return tolerate((int) n);
    source->tags.len += (size_t) n;
    return 0;
}

/* Both ranges lie in one buffer, and are parsed once nothing moves it any more. */
static int read_tags(struct datastream_event_source *source, const struct storage_id *stream,
                     const struct storage_fragment *fragment, struct parts *parts)
{
    uint64_t end = fragment->cluster_offset + fragment->cluster_bytes;
    kn_buf_clear(&source->tags);
    int r = read_range(source, stream, fragment, 0, fragment->cluster_offset);
    size_t leading = source->tags.len;
    if (r == 0 && end < fragment->bytes)
        r = read_range(source, stream, fragment, end, fragment->bytes - end);
    if (r < 0)
        return r;
    struct kn_bytes all = kn_buf_bytes(&source->tags);
    const struct kn_bytes sides[] = {
        {all.ptr, leading},
        kn_bytes_skip(all, leading)
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(sides); i++) {
        if (sides[i].len > 0)
            datastream_fragment_tags(sides[i], parts->tags, KN_ARRAY_LEN(parts->tags),
                                     &parts->tag_count);
    }
    return 0;
}

static int read_parts(struct datastream_event_source *source, const struct storage_id *stream,
                      const struct storage_fragment *fragment, struct parts *parts)
{
    int r = tolerate(storage_header_get(source->storage, stream, fragment, &parts->header, false));
    if (r == 0)
        r = tolerate(storage_frames_get(source->storage, stream, fragment, &parts->frames, false));
    return r < 0 ? r : read_tags(source, stream, fragment, parts);
}

int datastream_event_render(struct datastream_event_source *source,
                            const struct storage_stream *stream,
                            const struct storage_fragment *fragment, struct kn_buf *out)
{
    struct parts parts = {.tag_count = 0};
    struct kn_arena arena;
    kn_arena_init(&arena, ARN_BYTES_MAX);
    struct datastream_fragment_event event = {
        .stream_name = stream->name,
        .stream_arn =
            kn_arn_format(&arena, source->identity, "stream", stream->name, stream->created_ms),
        .endpoint = source->endpoint,
        .fragment = fragment,
        .tags = parts.tags,
    };
    int r = event.stream_arn.ptr ? read_parts(source, &stream->id, fragment, &parts) : -ENOMEM;
    if (r == 0) {
        event.header = parts.header ? &parts.header->parsed : NULL;
        event.frames = parts.frames;
        event.tag_count = parts.tag_count;
        datastream_fragment_event_write(&event, out);
        r = out->error;
    }
    parts_done(&parts);
    kn_arena_done(&arena);
    return r;
}
