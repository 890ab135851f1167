/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' own reading of Matroska: plain recursion-free walking over whole files in memory.
 * Sources: RFC 8794 (ids and sizes), RFC 9559 (blocks). */
#include "capture.h"

#include "test.h"

#include <string.h>

static const char end_of_fragment[] = "AWS_KINESISVIDEO_END_OF_FRAGMENT";

size_t capture_element(const uint8_t *at, size_t len, uint32_t *ret_id, uint64_t *ret_size)
{
    size_t id_bytes = 1, size_bytes = 1;
    uint32_t id = 0;
    uint64_t size, ones;

    if (!len || !at[0])
        return 0;
    while (!(at[0] & (0x80 >> (id_bytes - 1))))
        id_bytes++;
    if (len <= id_bytes || id_bytes > 4 || !at[id_bytes])
        return 0;
    for (size_t i = 0; i < id_bytes; i++)
        id = id << 8 | at[i];
    while (!(at[id_bytes] & (0x80 >> (size_bytes - 1))))
        size_bytes++;
    if (len < id_bytes + size_bytes)
        return 0;
    size = at[id_bytes] & (0xFFu >> size_bytes);
    ones = 0xFFu >> size_bytes;
    for (size_t i = 1; i < size_bytes; i++) {
        size = size << 8 | at[id_bytes + i];
        ones = ones << 8 | 0xFF;
    }
    *ret_id = id;
    *ret_size = size == ones ? UINT64_MAX : size;
    return id_bytes + size_bytes;
}

static uint64_t read_uint(const uint8_t *at, uint64_t len)
{
    uint64_t value = 0;

    for (uint64_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

static bool has_bytes(const uint8_t *at, size_t len, const char *text)
{
    return memmem(at, len, text, strlen(text)) != NULL;
}

static void *grown(void *array, size_t count, size_t item_bytes)
{
    void *bigger = realloc(array, (count + 1) * item_bytes);

    assert_non_null(bigger);
    return bigger;
}

static void add_mark(struct capture_fragment *f, size_t at)
{
    f->marks = grown(f->marks, f->mark_count, sizeof *f->marks);
    f->marks[f->mark_count++] = at;
    f->end = at;
}

static void add_frame(struct capture_fragment *f, const uint8_t *base, size_t at, size_t size)
{
    struct storage_frame *frame;

    assert_true(size >= 4 && (base[at] & 0x80)); /* track numbers of one byte */
    f->frames = grown(f->frames, f->frame_count, sizeof *f->frames);
    frame = &f->frames[f->frame_count++];
    *frame = (struct storage_frame){
        .offset = (uint32_t) (at + 4 - f->start),
        .bytes = (uint32_t) (size - 4),
        .time = (int16_t) (uint16_t) read_uint(base + at + 1, 2),
        .track = base[at] & 0x7F,
        .key = (base[at + 3] & 0x80) != 0,
    };
}

/* Walks a Cluster's children from `at`; returns where the Cluster ends. */
static size_t read_cluster(const struct capture *c, struct capture_fragment *f, size_t at,
                           uint64_t cluster_size)
{
    size_t end = cluster_size == UINT64_MAX ? c->len : at + (size_t) cluster_size;
    uint32_t id = 0;
    uint64_t size = 0;

    f->whole = cluster_size == UINT64_MAX || end <= c->len;
    if (end > c->len)
        end = c->len;
    while (at < end) {
        size_t head = capture_element(c->bytes + at, end - at, &id, &size);

        if (head && (id == KN_MKV_CLUSTER || id == KN_MKV_TAGS || id == KN_MKV_EBML))
            break;
        if (!head || size > end - at - head) {
            f->whole = false;
            return end;
        }
        if (id == KN_MKV_TIMESTAMP)
            f->timecode = read_uint(c->bytes + at + head, size);
        if (id == KN_MKV_SIMPLE_BLOCK)
            add_frame(f, c->bytes, at + head, (size_t) size);
        at += head + (size_t) size;
        add_mark(f, at);
    }
    return at;
}

static size_t read_fragment(struct capture *c, size_t at)
{
    struct capture_fragment f = {.start = at, .whole = true};
    uint32_t id = 0;
    uint64_t size = 0;
    size_t head = 0;

    for (;; at += head + (size_t) size) { /* leading Tags */
        head = capture_element(c->bytes + at, c->len - at, &id, &size);
        if (!head || id == KN_MKV_CLUSTER)
            break;
        if (id != KN_MKV_TAGS || size > c->len - at - head)
            return c->len;
        if (f.start != at)
            add_mark(&f, at);
    }
    if (!head)
        return c->len;
    if (at != f.start)
        add_mark(&f, at);
    f.cluster = at;
    at = read_cluster(c, &f, at + head, size);
    f.cluster_end = at;
    while (f.whole && at < c->len && !f.end_tag) { /* trailing Tags */
        head = capture_element(c->bytes + at, c->len - at, &id, &size);
        if (!head || (id == KN_MKV_TAGS && size > c->len - at - head))
            f.whole = false;
        if (!f.whole || id != KN_MKV_TAGS)
            break;
        f.end_tag = has_bytes(c->bytes + at, head + (size_t) size, end_of_fragment);
        at += head + (size_t) size;
        add_mark(&f, at);
    }
    if (f.end < at)
        f.end = at;
    c->fragments = grown(c->fragments, c->fragment_count, sizeof *c->fragments);
    c->fragments[c->fragment_count++] = f;
    return f.whole ? at : c->len;
}

static bool has_targets(const uint8_t *tags, size_t len)
{
    return has_bytes(tags, len, "\x63\xC0");
}

static void read_header(struct capture *c)
{
    size_t at = 0;
    uint32_t id = 0;
    uint64_t size = 0;

    c->timestamp_scale_ns = 1000000;
    for (;;) {
        size_t head = capture_element(c->bytes + at, c->len - at, &id, &size);

        assert_true(head > 0);
        if (id == KN_MKV_CLUSTER ||
            (id == KN_MKV_TAGS && !has_targets(c->bytes + at + head, (size_t) size)))
            break;
        if (id == KN_MKV_INFO) {
            const uint8_t *scale = memmem(c->bytes + at + head, (size_t) size, "\x2A\xD7\xB1", 3);

            if (scale)
                c->timestamp_scale_ns = read_uint(scale + 4, scale[3] & 0x7Fu);
        }
        at += id == KN_MKV_SEGMENT ? head : head + (size_t) size;
    }
    c->header_bytes = at;
}

struct capture capture_parse(const void *bytes, size_t len)
{
    struct capture c = {.len = len, .bytes = malloc(len ? len : 1)};
    size_t at;

    assert_non_null(c.bytes);
    memcpy(c.bytes, bytes, len);
    read_header(&c);
    for (at = c.header_bytes; at < c.len;)
        at = read_fragment(&c, at);
    return c;
}

struct capture capture_read(const char *name)
{
    const char *shared = getenv("KINEMA_SHARED");
    char path[1024];
    FILE *file;
    struct capture c;
    uint8_t *bytes;
    long len;

    (void) snprintf(path, sizeof path, "%s/%s", shared ? shared : "../shared", name);
    file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s: set KINEMA_SHARED", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    len = ftell(file);
    assert_true(len > 0);
    rewind(file);
    bytes = malloc((size_t) len);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t) len, file), len);
    assert_int_equal(fclose(file), 0);
    c = capture_parse(bytes, (size_t) len);
    free(bytes);
    return c;
}

void capture_done(struct capture *capture)
{
    for (size_t i = 0; i < capture->fragment_count; i++) {
        free(capture->fragments[i].frames);
        free(capture->fragments[i].marks);
    }
    free(capture->fragments);
    free(capture->bytes);
    *capture = (struct capture){0};
}
