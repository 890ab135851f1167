/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The incremental parser: pull events out of any split of a Matroska stream. It is one flat state
 * machine over at most four open elements (Segment, Cluster, BlockGroup, Block), each with its end
 * as an absolute offset; nothing recurses and no size is believed before it was held against its
 * parent's end. Only a Segment or a Cluster may have an unknown size; such a Cluster ends where an
 * element starts that cannot lie in one (RFC 8794, 6.2; RFC 9559, 5.1.3).
 *
 * Bytes it must judge as a whole are gathered: heads in `head`, a laced block's sizes in `gather`,
 * Tags in `gather`, all before the first Cluster in `header`. Everything else passes by as DATA.
 */
#include "mkv_internal.h"

#include <stdlib.h>

enum parser_state {
    STATE_HEAD,     /* between elements, or inside one's head */
    STATE_DISPATCH, /* the head is complete: what is it here? */
    STATE_GATHER,   /* payload into header or gather */
    STATE_VALUE,    /* payload of an integer into head */
    STATE_BLOCK,    /* track, time and flags into head */
    STATE_LACES,
    STATE_STREAM, /* payload passes by */
    STATE_CLOSED, /* the Segment is over */
    STATE_FAILED,
};

enum {
    PARSER_HEAD_BYTES_MAX = MKV_HEAD_BYTES_MAX + 8 + 3
};
#define OFFSET_MAX ((uint64_t) 1 << 62) /* no stream is that long; keeps sums from wrapping */

struct kn_mkv_parser {
    enum parser_state state;
    uint64_t pos; /* of the next byte to come */
    struct kn_mkv_element el;
    uint64_t el_offset;
    uint64_t left; /* payload still to come: GATHER, VALUE, BLOCK, LACES, STREAM */
    uint64_t segment_end, cluster_end, group_end; /* UINT64_MAX unknown */
    bool ebml_seen, segment_open, header_done;
    bool cluster_open, cluster_unknown, timestamp_seen;
    bool group_open, group_block, group_referenced;
    bool stream_is_block;
    bool drop_header, drop_gather; /* given out by the last event */
    int failed;
    unsigned head_len;
    uint8_t head[PARSER_HEAD_BYTES_MAX];
    struct kn_buf header, gather;
    struct mkv_lace lace;
    struct kn_err err;
};

int kn_mkv_parser_new(struct kn_mkv_parser **ret)
{
    struct kn_mkv_parser *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->state = STATE_HEAD;
    p->segment_end = p->cluster_end = p->group_end = UINT64_MAX;
    kn_buf_init(&p->header, KN_MKV_HEADER_BYTES_MAX);
    kn_buf_init(&p->gather, KN_MKV_HEADER_BYTES_MAX);
    *ret = p;
    return 0;
}

void kn_mkv_parser_free(struct kn_mkv_parser *p)
{
    if (!p)
        return;
    kn_buf_done(&p->header);
    kn_buf_done(&p->gather);
    free(p);
}

uint32_t kn_mkv_parser_at(const struct kn_mkv_parser *p, uint64_t *ret_offset)
{
    *ret_offset = p->el_offset;
    return p->el.id;
}

/* --- helpers --------------------------------------------------------------------------------- */

static int fail(struct kn_mkv_parser *p, int code, struct kn_err *err, const char *what)
{
    p->state = STATE_FAILED;
    p->failed = code;
    (void) mkv_fail(&p->err, code, p->el.id, p->el_offset, "%s", what);
    if (err)
        *err = p->err;
    return code;
}

static void say(struct kn_mkv_parser *p, struct kn_mkv_event *ret, enum kn_mkv_event_kind kind,
                struct kn_bytes raw)
{
    *ret = (struct kn_mkv_event){
        .kind = kind,
        .id = p->el.id,
        .offset = p->el_offset,
        .raw = raw,
        .size = p->el.size,
        .in_cluster = p->cluster_open,
    };
}

static void say_head(struct kn_mkv_parser *p, struct kn_mkv_event *ret, enum kn_mkv_event_kind kind)
{
    say(p, ret, kind, (struct kn_bytes){p->head, p->head_len});
    p->head_len = 0;
    p->state = STATE_HEAD;
}

static void say_end(struct kn_mkv_parser *p, struct kn_mkv_event *ret, uint32_t id,
                    enum kn_mkv_event_kind kind)
{
    *ret = (struct kn_mkv_event){
        .kind = kind, .id = id, .offset = p->pos, .in_cluster = p->cluster_open};
}

static uint64_t parent_end(const struct kn_mkv_parser *p)
{
    return p->group_open ? p->group_end : p->cluster_open ? p->cluster_end : p->segment_end;
}

/* Is the size known, and does the element end before its parent does? */
static int check_size(struct kn_mkv_parser *p, struct kn_err *err)
{
    uint64_t end = parent_end(p);
    if (p->el.size == UINT64_MAX)
        return fail(p, -EBADMSG, err, "only a Segment or a Cluster may have an unknown size");
    if (p->el.size > OFFSET_MAX || (end != UINT64_MAX && p->el.size > end - p->pos))
        return fail(p, -EBADMSG, err, "its size passes the end of its parent");
    return 0;
}

/* Elements of a Segment's own level: they end a Cluster of unknown size. */
static bool is_top(uint32_t id)
{
    switch (id) {
    case KN_MKV_EBML:
    case KN_MKV_SEGMENT:
    case KN_MKV_CLUSTER:
    case KN_MKV_TAGS:
    case KN_MKV_CUES:
    case KN_MKV_SEEK_HEAD:
    case KN_MKV_INFO:
    case KN_MKV_TRACKS:
    case KN_MKV_CHAPTERS:
    case KN_MKV_ATTACHMENTS:
        return true;
    default:
        return false;
    }
}

static bool is_cluster_child(uint32_t id)
{
    switch (id) {
    case KN_MKV_TIMESTAMP:
    case KN_MKV_SIMPLE_BLOCK:
    case KN_MKV_BLOCK_GROUP:
    case KN_MKV_BLOCK:
    case KN_MKV_BLOCK_DURATION:
    case KN_MKV_REFERENCE_BLOCK:
        return true;
    default:
        return false;
    }
}

/* --- what a complete head means, by level. 1: *ret holds an event; 0: go on ------------------- */

static int start_gather(struct kn_mkv_parser *p, struct kn_buf *into, struct kn_err *err)
{
    int r = check_size(p, err);
    if (r < 0)
        return r;
    uint64_t total = (uint64_t) p->head_len + p->el.size;
    if (p->el.size > KN_MKV_HEADER_BYTES_MAX ||
        p->header.len + (into == &p->gather ? p->gather.len : 0) + total > KN_MKV_HEADER_BYTES_MAX)
        return fail(p, -EMSGSIZE, err, "what comes before the first Cluster is above 4 MiB");
    if (kn_buf_append(into, p->head, p->head_len) < 0)
        return fail(p, -ENOMEM, err, "no memory");
    p->head_len = 0;
    p->left = p->el.size;
    p->state = STATE_GATHER;
    return 0;
}

static int dispatch_top(struct kn_mkv_parser *p, struct kn_err *err)
{
    if (!p->ebml_seen) {
        if (p->el.id != KN_MKV_EBML)
            return fail(p, -EBADMSG, err, "the stream does not start with an EBML header");
        p->ebml_seen = true;
        return start_gather(p, &p->header, err);
    }
    if (p->el.id == KN_MKV_VOID)
        return start_gather(p, &p->header, err);
    if (p->el.id != KN_MKV_SEGMENT)
        return fail(p, -EBADMSG, err, "Segment expected");
    if (p->el.size != UINT64_MAX) {
        if (p->el.size > OFFSET_MAX)
            return fail(p, -EBADMSG, err, "its size is absurd");
        p->segment_end = p->pos + p->el.size;
    }
    p->segment_open = true;
    if (kn_buf_append(&p->header, p->head, p->head_len) < 0)
        return fail(p, -ENOMEM, err, "no memory");
    p->head_len = 0;
    p->state = STATE_HEAD;
    return 0;
}

static int open_cluster(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    if (!p->header_done) {
        p->header_done = p->drop_header = true;
        say(p, ret, KN_MKV_EVENT_HEADER, kn_buf_bytes(&p->header));
        ret->offset = 0;
        return 1;
    }
    p->cluster_unknown = p->el.size == UINT64_MAX;
    p->cluster_end = p->segment_end;
    if (!p->cluster_unknown) {
        int r = check_size(p, err);
        if (r < 0)
            return r;
        p->cluster_end = p->pos + p->el.size;
    }
    p->cluster_open = true;
    p->timestamp_seen = false;
    say_head(p, ret, KN_MKV_EVENT_CLUSTER);
    return 1;
}

static int start_stream(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    int r = check_size(p, err);
    if (r < 0)
        return r;
    if (p->el.size > KN_MKV_SKIP_BYTES_MAX)
        return fail(p, -EMSGSIZE, err, "larger than what is skipped");
    p->left = p->el.size;
    p->stream_is_block = false;
    say_head(p, ret, KN_MKV_EVENT_OTHER);
    p->state = STATE_STREAM;
    return 1;
}

static int dispatch_segment(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    if (p->el.id == KN_MKV_CLUSTER)
        return open_cluster(p, ret, err);
    if (p->el.id == KN_MKV_EBML || p->el.id == KN_MKV_SEGMENT)
        return fail(p, -EBADMSG, err, "a second one in one stream");
    if (is_cluster_child(p->el.id))
        return fail(p, -EBADMSG, err, "outside a Cluster");
    if (p->el.id == KN_MKV_TAGS) {
        if (p->header_done && p->el.size > KN_MKV_TAGS_BYTES_MAX && p->el.size != UINT64_MAX)
            return fail(p, -EMSGSIZE, err, "larger than 64 KiB");
        return start_gather(p, &p->gather, err);
    }
    if (!p->header_done)
        return start_gather(p, &p->header, err);
    if (p->el.id == KN_MKV_INFO || p->el.id == KN_MKV_TRACKS)
        return fail(p, -EBADMSG, err, "after the first Cluster");
    return start_stream(p, ret, err);
}

static int start_value(struct kn_mkv_parser *p, struct kn_err *err)
{
    int r = check_size(p, err);
    if (r < 0)
        return r;
    if (p->el.size > 8)
        return fail(p, -EBADMSG, err, "an integer of more than 8 bytes");
    p->left = p->el.size;
    p->state = STATE_VALUE;
    return 0;
}

static int start_block(struct kn_mkv_parser *p, struct kn_err *err)
{
    int r = check_size(p, err);
    if (r < 0)
        return r;
    if (!p->timestamp_seen)
        return fail(p, -EBADMSG, err, "comes before its Cluster's Timestamp");
    if (p->el.size < 4 || p->el.size > UINT32_MAX)
        return fail(p, -EBADMSG, err, "too short or too long for a block");
    p->left = p->el.size;
    p->state = STATE_BLOCK;
    return 0;
}

static int dispatch_group(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    switch (p->el.id) {
    case KN_MKV_BLOCK:
        if (p->group_block)
            return fail(p, -EBADMSG, err, "a second one in one BlockGroup");
        p->group_block = true;
        return start_block(p, err);
    case KN_MKV_BLOCK_DURATION:
        return start_value(p, err);
    case KN_MKV_REFERENCE_BLOCK:
        p->group_referenced = true;
        return start_stream(p, ret, err);
    default:
        if (is_top(p->el.id) || is_cluster_child(p->el.id))
            return fail(p, -EBADMSG, err, "inside a BlockGroup");
        return start_stream(p, ret, err);
    }
}

static int dispatch_cluster(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    switch (p->el.id) {
    case KN_MKV_TIMESTAMP:
        if (p->timestamp_seen)
            return fail(p, -EBADMSG, err, "a second one in one Cluster");
        p->timestamp_seen = true;
        return start_value(p, err);
    case KN_MKV_SIMPLE_BLOCK:
        return start_block(p, err);
    case KN_MKV_BLOCK_GROUP:
        if (check_size(p, err) < 0)
            return p->failed;
        if (!p->timestamp_seen)
            return fail(p, -EBADMSG, err, "comes before its Cluster's Timestamp");
        p->group_open = true;
        p->group_block = p->group_referenced = false;
        p->group_end = p->pos + p->el.size;
        say_head(p, ret, KN_MKV_EVENT_GROUP);
        return 1;
    case KN_MKV_BLOCK:
    case KN_MKV_BLOCK_DURATION:
    case KN_MKV_REFERENCE_BLOCK:
        return fail(p, -EBADMSG, err, "outside a BlockGroup");
    default:
        break;
    }
    if (!is_top(p->el.id))
        return start_stream(p, ret, err);
    if (!p->cluster_unknown)
        return fail(p, -EBADMSG, err, "inside a Cluster of known size");
    p->cluster_open =
        false; /* it ended before this element, whose head is kept for the next call */
    say_end(p, ret, KN_MKV_CLUSTER, KN_MKV_EVENT_CLUSTER_END);
    ret->offset = p->el_offset;
    return 1;
}

static int dispatch(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    if (p->pos > parent_end(p))
        return fail(p, -EBADMSG, err, "its head passes the end of its parent");
    if (p->group_open)
        return dispatch_group(p, ret, err);
    if (p->cluster_open)
        return dispatch_cluster(p, ret, err);
    if (p->segment_open)
        return dispatch_segment(p, ret, err);
    return dispatch_top(p, err);
}

/* --- the states. 1: *ret holds an event; 0: look again; input is taken from *in -------------- */

static int end_of_parent(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    if (p->group_open && p->pos == p->group_end) {
        if (!p->group_block) {
            p->el = (struct kn_mkv_element){.id = KN_MKV_BLOCK_GROUP};
            return fail(p, -EBADMSG, err, "holds no Block");
        }
        p->group_open = false;
        say_end(p, ret, KN_MKV_BLOCK_GROUP, KN_MKV_EVENT_GROUP_END);
        ret->block.key = !p->group_referenced;
        ret->block.in_group = true;
        return 1;
    }
    if (p->cluster_open && p->pos == p->cluster_end) {
        p->cluster_open = false;
        say_end(p, ret, KN_MKV_CLUSTER, KN_MKV_EVENT_CLUSTER_END);
        return 1;
    }
    if (!p->cluster_open && p->segment_open && p->pos == p->segment_end) {
        p->segment_open = false;
        p->state = STATE_CLOSED;
    }
    return 0;
}

static void take(struct kn_mkv_parser *p, struct kn_bytes *in, size_t len)
{
    *in = kn_bytes_skip(*in, len);
    p->pos += len;
}

/* Moves input into head, a byte a time: heads are short. */
static void take_head_byte(struct kn_mkv_parser *p, struct kn_bytes *in)
{
    p->head[p->head_len++] = in->ptr[0];
    take(p, in, 1);
}

static int read_head(struct kn_mkv_parser *p, struct kn_bytes *in, struct kn_err *err)
{
    if (!p->head_len)
        p->el_offset = p->pos;
    take_head_byte(p, in);
    int r = kn_mkv_element_read((struct kn_bytes){p->head, p->head_len}, &p->el);
    if (r == -ENODATA)
        return 0;
    if (r < 0) {
        p->el.id = 0;
        return fail(p, -EBADMSG, err, "no EBML element starts here");
    }
    if (p->el_offset > OFFSET_MAX)
        return fail(p, -EMSGSIZE, err, "the stream is too long");
    p->state = STATE_DISPATCH;
    return 0;
}

static int gathered(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    p->state = STATE_HEAD;
    if (p->el.id != KN_MKV_TAGS)
        return 0; /* it lies in header */
    struct kn_mkv_tags tags = {.items = NULL};
    struct kn_err inner = {.code = 0};
    if (kn_mkv_tags_parse(kn_buf_bytes(&p->gather), &tags, &inner) < 0)
        return fail(p, -EBADMSG, err, inner.text);
    if (!p->header_done && tags.targeted) {
        if (kn_buf_append(&p->header, p->gather.ptr, p->gather.len) < 0)
            return fail(p, -ENOMEM, err, "no memory");
        kn_buf_clear(&p->gather);
        return 0;
    }
    if (p->gather.len > KN_MKV_TAGS_BYTES_MAX)
        return fail(p, -EMSGSIZE, err, "larger than 64 KiB");
    p->drop_gather = true;
    say(p, ret, KN_MKV_EVENT_TAGS, kn_buf_bytes(&p->gather));
    return 1;
}

static int read_gather(struct kn_mkv_parser *p, struct kn_bytes *in, struct kn_mkv_event *ret,
                       struct kn_err *err)
{
    struct kn_buf *into = p->el.id == KN_MKV_TAGS ? &p->gather : &p->header;
    size_t n = (size_t) kn_min_u64(p->left, in->len);
    if (n && kn_buf_append(into, in->ptr, n) < 0)
        return fail(p, -ENOMEM, err, "no memory");
    take(p, in, n);
    p->left -= n;
    return p->left ? 0 : gathered(p, ret, err);
}

static int read_value(struct kn_mkv_parser *p, struct kn_bytes *in, struct kn_mkv_event *ret,
                      struct kn_err *err)
{
    if (p->left) {
        take_head_byte(p, in);
        p->left--;
    }
    if (p->left)
        return 0;
    struct kn_bytes payload = {p->head + p->el.head_bytes, (size_t) p->el.size};
    uint64_t value = 0;
    if (mkv_uint_value(payload, &value) < 0)
        return fail(p, -EBADMSG, err, "no integer");
    say_head(p, ret, p->el.id == KN_MKV_TIMESTAMP ? KN_MKV_EVENT_TIMESTAMP : KN_MKV_EVENT_DURATION);
    ret->value = value;
    return 1;
}

/* Track, time and flags are complete in head. */
static void say_block(struct kn_mkv_parser *p, struct kn_bytes raw, unsigned track_bytes,
                      struct kn_mkv_event *ret)
{
    const uint8_t *at = p->head + p->el.head_bytes;
    uint64_t track = at[0] & (0xFFu >> track_bytes);
    for (unsigned i = 1; i < track_bytes; i++)
        track = track << 8 | at[i];
    at += track_bytes;
    say(p, ret, KN_MKV_EVENT_BLOCK, raw);
    ret->block = (struct kn_mkv_block){
        .track = track,
        .time = (int16_t) (uint16_t) (at[0] << 8 | at[1]),
        .key = !p->group_open && (at[2] & 0x80),
        .in_group = p->group_open,
        .lace_count = p->lace.count,
        .lace_bytes = p->lace.bytes,
        .frame_bytes = p->left,
    };
    p->head_len = 0;
    p->stream_is_block = true;
    p->state = STATE_STREAM;
}

static unsigned track_bytes_of(uint8_t first)
{
    unsigned n = 1;
    while (n < 8 && !(first & (0x80u >> (n - 1))))
        n++;
    return n;
}

static int read_block(struct kn_mkv_parser *p, struct kn_bytes *in, struct kn_mkv_event *ret,
                      struct kn_err *err)
{
    take_head_byte(p, in);
    p->left--;
    unsigned have = p->head_len - p->el.head_bytes;
    uint8_t first = p->head[p->el.head_bytes];
    if (!first)
        return fail(p, -EBADMSG, err, "no track number");
    unsigned track_bytes = track_bytes_of(first);
    if (have < track_bytes + 3)
        return p->left ? 0 : fail(p, -EBADMSG, err, "too short for a block");
    unsigned lacing = p->head[p->head_len - 1] & 0x06;
    mkv_lace_start(&p->lace, lacing);
    if (lacing) {
        if (!p->left)
            return fail(p, -EBADMSG, err, "its lacing passes its end");
        if (kn_buf_append(&p->gather, p->head, p->head_len) < 0)
            return fail(p, -ENOMEM, err, "no memory");
        p->state = STATE_LACES;
        return 0;
    }
    p->lace.count = 1;
    p->lace.bytes[0] = (uint32_t) p->left;
    say_block(p, (struct kn_bytes){p->head, p->head_len}, track_bytes, ret);
    return 1;
}

static int read_laces(struct kn_mkv_parser *p, struct kn_bytes *in, struct kn_mkv_event *ret,
                      struct kn_err *err)
{
    uint8_t byte = in->ptr[0];
    if (p->gather.len >= KN_MKV_LACE_HEAD_BYTES_MAX)
        return fail(p, -EMSGSIZE, err, "lacing sizes of more than 4 KiB");
    if (kn_buf_append_byte(&p->gather, byte) < 0)
        return fail(p, -ENOMEM, err, "no memory");
    take(p, in, 1);
    p->left--;
    int r = mkv_lace_byte(&p->lace, byte);
    if (r == 0 && p->left)
        return 0;
    if (r <= 0 || mkv_lace_finish(&p->lace, p->left) < 0)
        return fail(p, -EBADMSG, err, "its lacing makes no sense");
    p->drop_gather = true;
    say_block(p, kn_buf_bytes(&p->gather), track_bytes_of(p->head[p->el.head_bytes]), ret);
    return 1;
}

static int read_stream(struct kn_mkv_parser *p, struct kn_bytes *in, struct kn_mkv_event *ret)
{
    if (!p->left) {
        p->state = STATE_HEAD;
        say_end(p, ret, p->el.id,
                p->stream_is_block ? KN_MKV_EVENT_BLOCK_END : KN_MKV_EVENT_OTHER_END);
        return 1;
    }
    if (!in->len)
        return 0;
    size_t n = (size_t) kn_min_u64(p->left, in->len);
    say(p, ret, KN_MKV_EVENT_DATA, (struct kn_bytes){in->ptr, n});
    ret->offset = p->pos;
    take(p, in, n);
    p->left -= n;
    return 1;
}

/* One step. *ret_idle: without input there is nothing to do. */
static int step(struct kn_mkv_parser *p, struct kn_bytes *in, bool *ret_idle,
                struct kn_mkv_event *ret, struct kn_err *err)
{
    int r = 0;
    switch (p->state) {
    case STATE_HEAD:
        if (!p->head_len) {
            r = end_of_parent(p, ret, err);
            if (r != 0 || p->state != STATE_HEAD)
                return r;
        }
        break;
    case STATE_DISPATCH:
        return dispatch(p, ret, err);
    case STATE_STREAM:
        *ret_idle = p->left && !in->len;
        return read_stream(p, in, ret);
    case STATE_GATHER:
        *ret_idle = p->left && !in->len;
        return read_gather(p, in, ret, err);
    case STATE_VALUE:
        *ret_idle = p->left && !in->len;
        return *ret_idle ? 0 : read_value(p, in, ret, err);
    case STATE_BLOCK:
    case STATE_LACES:
    case STATE_CLOSED:
    case STATE_FAILED:
        break;
    }
    if (!in->len) {
        *ret_idle = true;
        return 0;
    }
    if (p->state == STATE_BLOCK)
        return read_block(p, in, ret, err);
    if (p->state == STATE_LACES)
        return read_laces(p, in, ret, err);
    if (p->state == STATE_CLOSED) {
        p->el = (struct kn_mkv_element){.id = 0};
        p->el_offset = p->pos;
        return fail(p, -EBADMSG, err, "bytes after the end of the Segment");
    }
    return read_head(p, in, err);
}

/* Memory that was worth gathering into is not worth keeping. */
static void drop(struct kn_mkv_parser *p)
{
    if (p->drop_header)
        kn_buf_done(&p->header);
    if (p->drop_gather && p->gather.cap > KN_MKV_LACE_HEAD_BYTES_MAX) {
        kn_buf_done(&p->gather);
        kn_buf_init(&p->gather, KN_MKV_HEADER_BYTES_MAX);
    } else if (p->drop_gather) {
        kn_buf_clear(&p->gather);
    }
    p->drop_header = p->drop_gather = false;
}

int kn_mkv_parser_next(struct kn_mkv_parser *p, struct kn_bytes in, size_t *ret_taken,
                       struct kn_mkv_event *ret, struct kn_err *err)
{
    size_t given = in.len;
    drop(p);
    if (p->state == STATE_FAILED) {
        if (err)
            *err = p->err;
        return p->failed;
    }
    for (;;) {
        bool idle = false;
        int r = step(p, &in, &idle, ret, err);
        if (r < 0)
            return r;
        *ret_taken = given - in.len;
        if (r > 0)
            return 0;
        if (idle) {
            *ret = (struct kn_mkv_event){.kind = KN_MKV_EVENT_MORE, .offset = p->pos};
            return 0;
        }
    }
}

void kn_mkv_parser_put_back(struct kn_mkv_parser *p, size_t len)
{
    kn_assert(p->state == STATE_STREAM && len <= p->el.size - p->left);
    p->left += len;
    p->pos -= len;
}

bool kn_mkv_parser_is_whole(const struct kn_mkv_parser *p)
{
    if (p->state == STATE_CLOSED)
        return true;
    return p->state == STATE_HEAD && !p->head_len && !p->group_open &&
           !(p->cluster_open && !p->cluster_unknown && p->pos != p->cluster_end);
}

int kn_mkv_parser_finish(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
{
    drop(p);
    if (p->state == STATE_FAILED) {
        if (err)
            *err = p->err;
        return p->failed;
    }
    if (!kn_mkv_parser_is_whole(p))
        return fail(p, -ENODATA, err, "the stream ends inside it");
    if (p->cluster_open) {
        p->cluster_open = false;
        say_end(p, ret, KN_MKV_CLUSTER, KN_MKV_EVENT_CLUSTER_END);
        return 0;
    }
    *ret = (struct kn_mkv_event){.kind = KN_MKV_EVENT_END, .offset = p->pos};
    return 0;
}
