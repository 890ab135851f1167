/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See reader.h. The answer is one Matroska document a fragment, one after the other; each has a
 * parser of its own. Where a document ends is told by the EBML header of the next, at which the
 * parser of the one before fails: its bytes are read again by the new one.
 */
#include "reader.h"

#include "door.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/json.h"

enum {
    PATIENCE_MS = 1000, /* how long one recv waits; GetMedia answers at once, or says nothing */
    READ_BYTES = 64 << 10,
    KEPT_BYTES = 16, /* behind what was parsed: an element's head has at most 12 */
    IN_BYTES_MAX = 1 << 20,
    FRAME_BYTES_MAX = 64 << 20,
    QUESTION_BYTES_MAX = 1024,
    TAGS_MAX = 64,
    NUMBER_BYTES = 128,
    AGAIN_MS = 500,
};

struct camera_reader {
    char *socket_path, *stream;
    int64_t from_ms;
    unsigned idle_ms;
    const struct camera_reader_ops *ops;
    void *ctx;
    GMutex lock; /* what follows */
    GCond stopped;
    bool stop;
    int fd; /* -1: none */

    char after[NUMBER_BYTES]; /* the last fragment that was begun */
    gint64 heard_us;
    /* the answer */
    struct kn_buf in;
    size_t at;     /* parsed up to here */
    uint64_t base; /* of in, from the start of the answer */
    /* the document */
    struct kn_mkv_parser *parser;
    uint64_t begun; /* where it begins in the answer */
    struct kn_mkv_header header;
    uint64_t cluster;
    bool fragment_begins, in_block;
    struct kn_mkv_block block;
    uint32_t laces[KN_MKV_LACES_MAX];
    struct kn_buf block_bytes;
};

struct camera_reader *camera_reader_new(const char *socket_path, const char *stream,
                                        int64_t from_ms, unsigned idle_ms)
{
    struct camera_reader *r = g_new0(struct camera_reader, 1);
    r->socket_path = g_strdup(socket_path);
    r->stream = g_strdup(stream);
    r->from_ms = from_ms;
    r->idle_ms = idle_ms;
    r->fd = -1;
    g_mutex_init(&r->lock);
    g_cond_init(&r->stopped);
    kn_buf_init(&r->in, IN_BYTES_MAX);
    kn_buf_init(&r->block_bytes, FRAME_BYTES_MAX);
    return r;
}

void camera_reader_free(struct camera_reader *r)
{
    kn_mkv_parser_free(r->parser);
    kn_buf_done(&r->in);
    kn_buf_done(&r->block_bytes);
    g_cond_clear(&r->stopped);
    g_mutex_clear(&r->lock);
    g_free(r->socket_path);
    g_free(r->stream);
    g_free(r);
}

void camera_reader_stop(struct camera_reader *r)
{
    g_mutex_lock(&r->lock);
    r->stop = true;
    if (r->fd >= 0)
        (void) shutdown(r->fd, SHUT_RDWR);
    g_cond_signal(&r->stopped);
    g_mutex_unlock(&r->lock);
}

/* --- a document ------------------------------------------------------------------------------- */
static int document_begin(struct camera_reader *r, uint64_t at)
{
    kn_mkv_parser_free(r->parser);
    r->parser = NULL;
    r->begun = at;
    r->in_block = false;
    r->header.track_count = 0;
    return kn_mkv_parser_new(&r->parser);
}

/* The fragment's number, where to go on when the answer ends. */
static void read_tags(struct camera_reader *r, struct kn_bytes raw)
{
    struct kn_mkv_tag items[TAGS_MAX];
    struct kn_mkv_tags tags = {.items = items, .cap = TAGS_MAX};
    if (kn_mkv_tags_parse(raw, &tags, NULL) < 0)
        return;
    for (size_t i = 0; i < MIN(tags.count, tags.cap); i++) {
        if (kn_str_eq(items[i].name, KN_STR("AWS_KINESISVIDEO_FRAGMENT_NUMBER")))
            (void) !kn_str_copy(r->after, sizeof r->after, items[i].value);
    }
}

static int give_frames(struct camera_reader *r)
{
    const struct kn_mkv_track *track = NULL;
    for (unsigned i = 0; i < r->header.track_count; i++) {
        if (r->header.tracks[i].number == r->block.track)
            track = &r->header.tracks[i];
    }
    size_t at = 0;
    uint64_t scale = r->header.timestamp_scale_ns;
    int64_t ticks = (int64_t) r->cluster + r->block.time;
    for (unsigned i = 0; track && i < r->block.lace_count && at < r->block_bytes.len; i++) {
        size_t len = r->block.lace_count > 1 ? r->laces[i] : r->block_bytes.len;
        const struct camera_frame frame = {
            .track = (unsigned) track->number,
            .key = r->block.key,
            .video = track->type == KN_MKV_VIDEO,
            .time_ms = (int64_t) ((double) ticks * (double) scale / 1e6),
            .bytes = {r->block_bytes.ptr + at, MIN(len, r->block_bytes.len - at)}
        };
        int code = r->ops->frame(r->ctx, &frame, r->fragment_begins);
        if (code)
            return code;
        r->fragment_begins = false;
        at += len;
    }
    return 0;
}

static int obey(struct camera_reader *r, const struct kn_mkv_event *event)
{
    struct kn_err err;
    int code = 0;
    switch (event->kind) {
    case KN_MKV_EVENT_HEADER:
        code = kn_mkv_header_parse(event->raw, &r->header, &err);
        if (code == 0)
            code = r->ops->header(r->ctx, &r->header);
        for (unsigned i = 0; i < r->header.track_count; i++) /* views of what is gone */
            r->header.tracks[i].codec_private = (struct kn_bytes){NULL, 0};
        return code;
    case KN_MKV_EVENT_TAGS:
        read_tags(r, event->raw);
        return 0;
    case KN_MKV_EVENT_CLUSTER:
        r->fragment_begins = true;
        return 0;
    case KN_MKV_EVENT_TIMESTAMP:
        r->cluster = event->value;
        return 0;
    case KN_MKV_EVENT_BLOCK:
        r->in_block = true;
        r->block = event->block;
        for (unsigned i = 0; i < event->block.lace_count && event->block.lace_count > 1; i++)
            r->laces[i] = event->block.lace_bytes[i];
        kn_buf_clear(&r->block_bytes);
        return 0;
    case KN_MKV_EVENT_DATA:
        return r->in_block ? kn_buf_append(&r->block_bytes, event->raw.ptr, event->raw.len) : 0;
    case KN_MKV_EVENT_BLOCK_END:
        r->in_block = false;
        return give_frames(r);
    default:
        return 0;
    }
}

/* All that has come. A fragment that was given up ends anywhere: what comes after is a document. */
static int parse(struct camera_reader *r)
{
    struct kn_mkv_event event;
    struct kn_err err;
    while (r->at < r->in.len) {
        size_t taken = 0;
        int code =
            kn_mkv_parser_next(r->parser, (struct kn_bytes){r->in.ptr + r->at, r->in.len - r->at},
                               &taken, &event, &err);
        uint64_t at = 0;
        if (code == -EBADMSG && kn_mkv_parser_at(r->parser, &at) == KN_MKV_EBML && at > 0) {
            r->at = (size_t) (r->begun + at - r->base);
            code = document_begin(r, r->begun + at);
        } else if (code == 0) {
            r->at += taken;
            code = obey(r, &event);
        }
        if (code)
            return code;
    }
    size_t past = r->at > KEPT_BYTES ? r->at - KEPT_BYTES : 0;
    kn_buf_consume(&r->in, past);
    r->base += past;
    r->at -= past;
    return 0;
}

/* --- an answer -------------------------------------------------------------------------------- */
static void write_question(const struct camera_reader *r, struct kn_buf *out)
{
    struct kn_json_writer w;
    kn_json_writer_init(&w, out);
    kn_json_object_begin(&w);
    kn_json_key(&w, "StreamName");
    kn_json_text(&w, r->stream);
    kn_json_key(&w, "StartSelector");
    kn_json_object_begin(&w);
    kn_json_key(&w, "StartSelectorType");
    if (*r->after) {
        kn_json_text(&w, "FRAGMENT_NUMBER");
        kn_json_key(&w, "AfterFragmentNumber");
        kn_json_text(&w, r->after);
    } else if (r->from_ms >= 0) {
        kn_json_text(&w, "PRODUCER_TIMESTAMP");
        kn_json_key(&w, "StartTimestamp");
        kn_json_epoch_ms(&w, r->from_ms);
    } else {
        kn_json_text(&w, "NOW");
    }
    kn_json_object_end(&w);
    kn_json_object_end(&w);
}

static int ask(struct camera_reader *r)
{
    struct kn_buf out;
    kn_buf_init(&out, QUESTION_BYTES_MAX);
    write_question(r, &out);
    int fd = out.error
                 ? out.error
                 : camera_door_post(r->socket_path, "/getMedia", kn_buf_bytes(&out), PATIENCE_MS);
    kn_buf_done(&out);
    if (fd < 0)
        return fd;
    g_mutex_lock(&r->lock);
    r->fd = fd;
    bool stop = r->stop;
    g_mutex_unlock(&r->lock);
    kn_buf_clear(&r->in);
    r->at = 0;
    r->base = 0;
    return stop ? -ECANCELED : 0;
}

static void hang_up(struct camera_reader *r)
{
    g_mutex_lock(&r->lock);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    g_mutex_unlock(&r->lock);
}

static bool is_over(struct camera_reader *r)
{
    g_mutex_lock(&r->lock);
    bool stop = r->stop;
    g_mutex_unlock(&r->lock);
    return stop || g_get_monotonic_time() - r->heard_us > (gint64) r->idle_ms * 1000;
}

static int read_on(struct camera_reader *r)
{
    int code = parse(r);
    while (code == 0) {
        if ((code = kn_buf_reserve(&r->in, READ_BYTES)) < 0)
            break;
        ssize_t n = recv(r->fd, r->in.ptr + r->in.len, READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (is_over(r))
                return -ECANCELED;
            continue;
        }
        if (n <= 0)
            return 0; /* GetMedia has said all it has, or the server is gone */
        r->heard_us = g_get_monotonic_time();
        r->in.len += (size_t) n;
        code = parse(r);
    }
    return code;
}

static int one_answer(struct camera_reader *r)
{
    int code = ask(r), status = 0;
    while (code == 0 && status == 0) {
        status = camera_door_head(r->fd, &r->in);
        if (status == -ETIMEDOUT && !is_over(r))
            status = 0;
    }
    if (code == 0 && status != 200)
        code = status == 404 ? -ENOENT : -EREMOTEIO;
    if (code == 0)
        code = document_begin(r, 0);
    if (code == 0)
        code = read_on(r);
    hang_up(r);
    return code;
}

int camera_reader_run(struct camera_reader *r, const struct camera_reader_ops *ops, void *ctx)
{
    int code = 0;
    r->ops = ops;
    r->ctx = ctx;
    r->heard_us = g_get_monotonic_time();
    while (code == 0 && !is_over(r)) {
        code = one_answer(r);
        g_mutex_lock(&r->lock);
        if (code == 0 && !r->stop)
            (void) g_cond_wait_until(&r->stopped, &r->lock,
                                     g_get_monotonic_time() + AGAIN_MS * 1000);
        g_mutex_unlock(&r->lock);
    }
    return code == -ECANCELED ? 0 : code;
}
