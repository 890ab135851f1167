/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments out of answers. What comes waits in a buffer of fixed size; while that is full, no more
 * is received. What was told is remembered by fragment and count of frames, so that a fragment that
 * broke off with its connection goes on where it was when it comes again, and is given up when
 * another one comes in its place.
 */
#include "mkv_reader.h"
#include "post.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    IN_BYTES = 256 << 10,
    ANSWER_BYTES_MAX = 64 << 10, /* of what is not media */
    STREAM_BYTES_MAX = 1024,     /* an ARN */
    TAG_BYTES_MAX = 32 << 10,    /* of one fragment's tags; the rest is left out */
    CALL_TIMEOUT_MS = 10000,
    SILENCE_MS = 60000,
    ENDPOINT_MS = 40 * 60 * 1000, /* how long AWS's clients keep one */
    ANSWER_MS = 1000,             /* a shorter answer is not asked for again at once, */
    AGAIN_MS = 100,               /* but after as long */
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MAX_MS = 16000
};
#define AWS_TAG "AWS_KINESISVIDEO_"

enum media_call {
    CALL_NONE,
    CALL_ENDPOINT,
    CALL_MEDIA
};

struct kinema_media {
    struct kinema_media_config config; /* texts are the copies that follow */
    char stream[STREAM_BYTES_MAX], region[64], base[POST_URL_BYTES_MAX];
    char endpoint[POST_URL_BYTES_MAX]; /* of the data; "": to be asked for */
    char start_text[KINEMA_TOKEN_TEXT_BYTES_MAX + 1];
    char *ca_file;
    char (*list)[KINEMA_TOKEN_TEXT_BYTES_MAX + 1];
    size_t list_count, list_at; /* list_at: told so far */
    /* the connection */
    struct post post;
    enum media_call call;
    int64_t retry_at, endpoint_at, heard_at, started_at;
    unsigned backoff_ms;
    int connected, over, answer_over; /* answer_over: what is left of it lies in the buffer */
    uint8_t in[IN_BYTES];
    size_t in_at, in_len;
    struct mkv_reader reader;
    /* the fragment that is being told */
    struct kinema_media_fragment fragment;
    char number[KINEMA_TOKEN_TEXT_BYTES_MAX + 1], token[KINEMA_TOKEN_TEXT_BYTES_MAX + 1];
    struct kinema_media_tag tags[KINEMA_MEDIA_TAGS_MAX];
    char tag_bytes[TAG_BYTES_MAX];
    size_t tag_used;
    int begun, ended; /* told its beginning; its end, or that it is none */
    int64_t cluster_ms;
    uint64_t to_skip;    /* frames that were told on an earlier connection */
    int64_t error_id;    /* -1: not said yet */
    char error_code[64]; /* "": none */
    int makes_no_sense;  /* what came */
    /* across connections */
    char last_token[KINEMA_TOKEN_TEXT_BYTES_MAX + 1];
    char part_number[KINEMA_TOKEN_TEXT_BYTES_MAX + 1]; /* "": no fragment was told in part */
    uint64_t part_frames;
    int64_t part_server_ms, part_producer_ms;
};

static int tell(struct kinema_media *m, struct kinema_media_event event)
{
    if (!event.text)
        event.text = "";
    return m->config.on_event(m->config.ctx, &event);
}

static int no_sense(struct kinema_media *m)
{
    m->makes_no_sense = 1;
    return -EBADMSG;
}

/* --- fragments -------------------------------------------------------------------------------- */
static void blank(struct kinema_media *m)
{
    m->number[0] = m->token[0] = '\0';
    m->tag_used = 0;
    m->begun = m->ended = 0;
    m->to_skip = 0;
    m->error_id = -1;
    m->error_code[0] = '\0';
    m->fragment = (struct kinema_media_fragment){.number = m->number,
                                                 .producer_ms = -1,
                                                 .server_ms = -1,
                                                 .behind_ms = -1,
                                                 .token = m->token,
                                                 .tags = m->tags};
}

static int end_whole(struct kinema_media *m)
{
    m->ended = 1;
    m->part_number[0] = '\0';
    memcpy(m->last_token, m->token, sizeof(m->last_token));
    m->list_at++;
    return tell(
        m, (struct kinema_media_event){.type = KINEMA_FRAGMENT_ENDS, .fragment = &m->fragment});
}

/* It will not come again. */
static int end_broken(struct kinema_media *m)
{
    const struct kinema_media_fragment fragment = {.number = m->part_number,
                                                   .producer_ms = m->part_producer_ms,
                                                   .server_ms = m->part_server_ms,
                                                   .behind_ms = -1,
                                                   .token = "",
                                                   .frames = m->part_frames};
    char number[sizeof(m->part_number)];
    struct kinema_media_fragment told = fragment;
    memcpy(number, m->part_number, sizeof(number));
    m->part_number[0] = '\0';
    told.number = number;
    return tell(m, (struct kinema_media_event){.type = KINEMA_FRAGMENT_BROKEN, .fragment = &told});
}

static int tell_error(struct kinema_media *m);

/* The document is over: a list has no closing tags; without them GetMedia's is broken. */
static int end_document(struct kinema_media *m, int orderly)
{
    if (m->error_code[0] && !m->ended)
        return tell_error(m);
    if (!m->begun || m->ended)
        return 0;
    if (m->list && orderly)
        return end_whole(m);
    m->ended = 1;
    return m->list || !orderly ? 0 : end_broken(m);
}

static int begin_fragment(struct kinema_media *m)
{
    int code = 0;
    if (m->begun || m->ended)
        return 0;
    if (!m->number[0])
        return no_sense(m);
    m->begun = 1;
    m->fragment.tracks = m->reader.tracks;
    m->fragment.track_count = m->reader.track_count;
    if (m->part_number[0] && strcmp(m->part_number, m->number) == 0) {
        m->to_skip = m->part_frames;
        return 0;
    }
    if (m->part_number[0])
        code = end_broken(m);
    memcpy(m->part_number, m->number, sizeof(m->part_number));
    m->part_frames = 0;
    m->part_server_ms = m->fragment.server_ms;
    m->part_producer_ms = m->fragment.producer_ms;
    return code < 0 ? code
                    : tell(m, (struct kinema_media_event){.type = KINEMA_FRAGMENT_BEGINS,
                                                          .fragment = &m->fragment});
}

static int take_frame(struct kinema_media *m, const struct mkv_item *item)
{
    const struct kinema_media_frame frame = {
        .track = item->track,
        .time_ms = m->fragment.producer_ms < 0
                       ? item->time_ms
                       : m->fragment.producer_ms + (item->time_ms - m->cluster_ms),
        .key = item->key,
        .data = item->data,
        .len = item->len,
    };
    if (!m->begun || m->ended)
        return no_sense(m);
    m->fragment.frames++;
    if (m->to_skip > 0) {
        m->to_skip--;
        return 0;
    }
    m->part_frames = m->fragment.frames;
    return tell(m, (struct kinema_media_event){
                       .type = KINEMA_FRAME, .fragment = &m->fragment, .frame = &frame});
}

/* --- tags ------------------------------------------------------------------------------------- */
static int is_tag(const struct mkv_item *item, const char *name)
{
    size_t prefix = sizeof(AWS_TAG) - 1, len = strlen(name);
    return item->name_len == prefix + len && memcmp(item->name, AWS_TAG, prefix) == 0 &&
           memcmp(item->name + prefix, name, len) == 0;
}

static int copy_value(const struct mkv_item *item, char *dst, size_t cap)
{
    dst[0] = '\0';
    if (item->value_len >= cap)
        return -EBADMSG;
    if (item->value_len > 0)
        memcpy(dst, item->value, item->value_len);
    dst[item->value_len] = '\0';
    return 0;
}

/* "1511852124.984", or a plain number: in ms. */
static int64_t ms_of(const struct mkv_item *item, int of_seconds)
{
    char text[32], *end;
    int64_t whole, ms = 0;
    if (copy_value(item, text, sizeof(text)) < 0 || text[0] < '0' || text[0] > '9')
        return -1;
    whole = strtoll(text, &end, 10);
    if (!of_seconds)
        return whole;
    for (int64_t step = 100; *end && step > 0 && end[1] >= '0' && end[1] <= '9'; step /= 10)
        ms += (*++end - '0') * step;
    return whole > INT64_MAX / 2000 ? -1 : whole * 1000 + ms;
}

static char *keep(struct kinema_media *m, const char *ptr, size_t len)
{
    char *dst = m->tag_bytes + m->tag_used;
    if (len > 0)
        memcpy(dst, ptr, len);
    dst[len] = '\0';
    m->tag_used += len + 1;
    return dst;
}

static void keep_tag(struct kinema_media *m, const struct mkv_item *item)
{
    struct kinema_media_tag *tag = &m->tags[m->fragment.tag_count];
    if (m->fragment.tag_count == KINEMA_MEDIA_TAGS_MAX ||
        item->name_len + item->value_len + 2 > TAG_BYTES_MAX - m->tag_used)
        return;
    tag->name = keep(m, item->name, item->name_len);
    tag->value = keep(m, item->value, item->value_len);
    m->fragment.tag_count++;
}

/* Once, when both of its tags have come or the document is over. */
static int tell_error(struct kinema_media *m)
{
    m->ended = 1;
    m->list_at += m->list != NULL;
    return tell(
        m, (struct kinema_media_event){.type = KINEMA_MEDIA_ERROR,
                                       .fragment = m->number[0] ? &m->fragment : NULL,
                                       .error_id = m->error_id < 0 ? 0 : (uint32_t) m->error_id,
                                       .text = m->error_code});
}

static int take_error(struct kinema_media *m, const struct mkv_item *item)
{
    if (is_tag(item, "ERROR_ID"))
        m->error_id = ms_of(item, 0);
    else if (copy_value(item, m->error_code, sizeof(m->error_code)) < 0)
        return no_sense(m);
    return !m->ended && m->error_code[0] && m->error_id >= 0 ? tell_error(m) : 0;
}

static int take_tag(struct kinema_media *m, const struct mkv_item *item)
{
    if (is_tag(item, "FRAGMENT_NUMBER"))
        return copy_value(item, m->number, sizeof(m->number)) < 0 ? no_sense(m) : 0;
    if (is_tag(item, "ERROR_CODE") || is_tag(item, "ERROR_ID"))
        return take_error(m, item);
    if (is_tag(item, "SERVER_TIMESTAMP"))
        m->fragment.server_ms = ms_of(item, 1);
    else if (is_tag(item, "PRODUCER_TIMESTAMP"))
        m->fragment.producer_ms = ms_of(item, 1);
    else if (is_tag(item, "MILLIS_BEHIND_NOW"))
        m->fragment.behind_ms = ms_of(item, 0);
    else if (!is_tag(item, "CONTINUATION_TOKEN"))
        keep_tag(m, item);
    else if (copy_value(item, m->token, sizeof(m->token)) < 0 ||
             !post_is_name(m->token, KINEMA_TOKEN_TEXT_BYTES_MAX))
        return no_sense(m);
    return m->begun && !m->ended && m->token[0] && m->fragment.behind_ms >= 0 ? end_whole(m) : 0;
}

/* --- what came -------------------------------------------------------------------------------- */
static int take_item(struct kinema_media *m, const struct mkv_item *item)
{
    int code;
    switch (item->type) {
    case MKV_DOCUMENT:
        code = end_document(m, 1);
        blank(m);
        return code;
    case MKV_CLUSTER:
        m->cluster_ms = item->time_ms;
        return begin_fragment(m);
    case MKV_FRAME:
        return take_frame(m, item);
    case MKV_TAG:
        return take_tag(m, item);
    case MKV_TRACKS:
    case MKV_MORE:
        return 0;
    }
    return 0;
}

/* All that lies in the buffer; or what on_event or the reader said. After the former it goes on
 * behind it. */
static int take_input(struct kinema_media *m)
{
    for (;;) {
        struct mkv_item item;
        size_t used = 0;
        int code = mkv_read(&m->reader, m->in + m->in_at, m->in_len - m->in_at, &used, &item);
        m->in_at += used;
        m->makes_no_sense = code < 0;
        if (code == 0 && item.type == MKV_MORE)
            break;
        if (code == 0)
            code = take_item(m, &item);
        if (code < 0)
            return code;
    }
    m->in_at = m->in_len = 0;
    return 0;
}

static int on_data(void *ctx, const char *ptr, size_t len)
{
    struct kinema_media *m = ctx;
    m->heard_at = post_clock_ms();
    if (len > IN_BYTES - m->in_len)
        return 0;
    memcpy(m->in + m->in_len, ptr, len);
    m->in_len += len;
    return 1;
}

/* --- calls ------------------------------------------------------------------------------------ */
static const char *api_of(const struct kinema_media *m)
{
    return m->list ? "GET_MEDIA_FOR_FRAGMENT_LIST" : "GET_MEDIA";
}

static const char *stream_member(const struct kinema_media *m)
{
    return strncmp(m->stream, "arn:", 4) == 0 ? "StreamARN" : "StreamName";
}

/* What was told says where to go on; the configuration only where to begin. */
static void write_selector(const struct kinema_media *m, char *dst, size_t cap)
{
    static const char *const types[] = {"NOW",
                                        "EARLIEST",
                                        "FRAGMENT_NUMBER",
                                        "CONTINUATION_TOKEN",
                                        "SERVER_TIMESTAMP",
                                        "PRODUCER_TIMESTAMP"};
    enum kinema_media_start start = m->config.start;
    const char *text = m->start_text;
    int64_t ms = m->config.start_ms;
    if (m->last_token[0]) {
        start = KINEMA_MEDIA_AFTER_TOKEN;
        text = m->last_token;
    } else if (m->part_number[0] && m->part_server_ms >= 0) {
        start = KINEMA_MEDIA_SERVER_TIME;
        ms = m->part_server_ms;
    }
    if (start == KINEMA_MEDIA_AFTER_FRAGMENT || start == KINEMA_MEDIA_AFTER_TOKEN)
        (void) snprintf(
            dst, cap, "\"StartSelectorType\":\"%s\",\"%s\":\"%s\"", types[start],
            start == KINEMA_MEDIA_AFTER_TOKEN ? "ContinuationToken" : "AfterFragmentNumber", text);
    else if (start == KINEMA_MEDIA_SERVER_TIME || start == KINEMA_MEDIA_PRODUCER_TIME)
        (void) snprintf(dst, cap, "\"StartSelectorType\":\"%s\",\"StartTimestamp\":%lld.%03d",
                        types[start], (long long) (ms / 1000), (int) (ms % 1000));
    else
        (void) snprintf(dst, cap, "\"StartSelectorType\":\"%s\"", types[start]);
}

/* Names, numbers and tokens were checked to hold nothing that JSON escapes. */
static char *write_media_body(const struct kinema_media *m)
{
    size_t left = m->list_count - (m->list ? m->list_at : 0);
    size_t cap = 2 * STREAM_BYTES_MAX + left * (KINEMA_TOKEN_TEXT_BYTES_MAX + 4), len;
    char *body = malloc(cap), selector[KINEMA_TOKEN_TEXT_BYTES_MAX + 128];
    if (!body)
        return NULL;
    len = (size_t) snprintf(body, cap, "{\"%s\":\"%s\",", stream_member(m), m->stream);
    if (!m->list) {
        write_selector(m, selector, sizeof(selector));
        (void) snprintf(body + len, cap - len, "\"StartSelector\":{%s}}", selector);
        return body;
    }
    len += (size_t) snprintf(body + len, cap - len, "\"Fragments\":[");
    for (size_t i = m->list_at; i < m->list_count; i++)
        len += (size_t) snprintf(body + len, cap - len, "%s\"%s\"", i > m->list_at ? "," : "",
                                 m->list[i]);
    (void) snprintf(body + len, cap - len, "]}");
    return body;
}

static int start_media(struct kinema_media *m)
{
    char *body = write_media_body(m);
    int code;
    if (!body)
        return -ENOMEM;
    mkv_reader_restart(&m->reader);
    blank(m);
    m->in_at = m->in_len = 0;
    m->connected = m->answer_over = 0;
    code = post_start(
        &m->post, &(struct post_request){.service = "kinesisvideo",
                                         .base = m->endpoint,
                                         .path = m->list ? "/getMediaForFragmentList" : "/getMedia",
                                         .content_type = "application/json",
                                         .body = body,
                                         .body_len = strlen(body),
                                         .on_data = on_data,
                                         .ctx = m});
    free(body);
    return code;
}

static int start_endpoint(struct kinema_media *m)
{
    char body[STREAM_BYTES_MAX + 128];
    int len = snprintf(body, sizeof(body), "{\"%s\":\"%s\",\"APIName\":\"%s\"}", stream_member(m),
                       m->stream, api_of(m));
    return post_start(&m->post, &(struct post_request){.service = "kinesisvideo",
                                                       .base = m->base,
                                                       .path = "/getDataEndpoint",
                                                       .content_type = "application/json",
                                                       .body = body,
                                                       .body_len = (size_t) len,
                                                       .timeout_ms = CALL_TIMEOUT_MS});
}

static void back_off(struct kinema_media *m)
{
    m->backoff_ms = m->backoff_ms ? 2 * m->backoff_ms : BACKOFF_FIRST_MS;
    if (m->backoff_ms > BACKOFF_MAX_MS)
        m->backoff_ms = BACKOFF_MAX_MS;
    m->retry_at = post_clock_ms() + m->backoff_ms; /* the call itself took a while */
}

/* What the service will say again, if it is asked the same. */
static int refusal_of(const struct post *post)
{
    if (post->status == 401 || post->status == 403)
        return -EACCES;
    if (post->status == 404)
        return -ENOENT;
    return post->status == 400 && !strstr(post->fault, "LimitExceeded") &&
                   !strstr(post->fault, "Throttling")
               ? -EINVAL
               : 0;
}

static int call_failed(struct kinema_media *m, const char *reason)
{
    char text[POST_ERROR_BYTES_MAX], message[160] = "";
    const struct post *post = &m->post;
    int code, refusal = refusal_of(post);
    if (post->answer_len > 0 &&
        json_find(post->answer, post->answer_len, "Message", message, sizeof(message)) < 0)
        (void) json_find(post->answer, post->answer_len, "message", message, sizeof(message));
    (void) snprintf(text, sizeof(text), "%s: %s",
                    m->call == CALL_ENDPOINT ? "GetDataEndpoint"
                    : m->list                ? "GetMediaForFragmentList"
                                             : "GetMedia",
                    reason           ? reason
                    : message[0]     ? message
                    : post->error[0] ? post->error
                                     : "refused");
    if (m->call == CALL_ENDPOINT || post->status == 0 || post->status == 403 || post->status == 404)
        m->endpoint[0] = '\0'; /* it may be wrong by now; of one that is too busy it is not */
    m->call = CALL_NONE;
    post_stop(&m->post);
    back_off(m);
    code =
        tell(m, (struct kinema_media_event){
                    .type = KINEMA_MEDIA_CALL_FAILED, .text = text, .http_status = post->status});
    return code < 0 ? code : refusal;
}

static int start_next(struct kinema_media *m, int64_t now)
{
    int code;
    m->call = !m->endpoint[0] || now - m->endpoint_at > ENDPOINT_MS ? CALL_ENDPOINT : CALL_MEDIA;
    m->heard_at = m->started_at = now;
    code = m->call == CALL_ENDPOINT ? start_endpoint(m) : start_media(m);
    return code == 0 ? 0
                     : call_failed(m, code == -EACCES ? "there is no access key" : strerror(-code));
}

/* --- the connection --------------------------------------------------------------------------- */
static int disconnected(struct kinema_media *m, int64_t now, const char *reason, int orderly)
{
    int code;
    post_stop(&m->post);
    m->call = CALL_NONE;
    m->in_at = m->in_len = 0;
    m->answer_over = m->connected = 0;
    code = end_document(m, orderly && m->list != NULL);
    if (m->list)
        m->over |= m->list_at >= m->list_count;
    else if (orderly && m->config.once)
        m->over = 1;
    if (m->over && m->part_number[0] && code == 0)
        code = end_broken(m);
    if (orderly) {
        m->backoff_ms = 0;
        m->retry_at = now - m->started_at < ANSWER_MS ? now + AGAIN_MS : now;
    } else {
        back_off(m);
    }
    return code < 0 ? code
                    : tell(m, (struct kinema_media_event){.type = KINEMA_MEDIA_DISCONNECTED,
                                                          .text = reason});
}

static int endpoint_came(struct kinema_media *m, int64_t now)
{
    if (m->post.status != 200 || json_find(m->post.answer, m->post.answer_len, "DataEndpoint",
                                           m->endpoint, sizeof(m->endpoint)) < 0)
        return call_failed(m, m->post.status == 200 ? "no DataEndpoint in the answer" : NULL);
    m->endpoint_at = now;
    m->call = CALL_NONE;
    return 0;
}

/* One turn of the connection. */
static int step(struct kinema_media *m, int64_t now, unsigned wait_ms)
{
    int over = post_step(&m->post, m->in_len > 0 || m->answer_over ? 0 : wait_ms), code;
    if (over && m->call == CALL_ENDPOINT)
        return endpoint_came(m, now);
    if (over && m->post.status != 200)
        return call_failed(m, NULL);
    if (m->call != CALL_MEDIA)
        return 0;
    m->answer_over |= over;
    if (m->post.status == 200 && !m->connected) {
        m->connected = 1;
        code = tell(
            m, (struct kinema_media_event){.type = KINEMA_MEDIA_CONNECTED, .http_status = 200});
        if (code < 0)
            return code;
    }
    code = take_input(m);
    if (code < 0 && m->makes_no_sense) {
        int told =
            disconnected(m, now, code == -EBADMSG ? "this is no Matroska" : strerror(-code), 0);
        return code == -EBADMSG ? told : code;
    }
    if (code < 0)
        return code;
    m->backoff_ms = m->fragment.frames > 0 ? 0 : m->backoff_ms;
    if (m->answer_over)
        return disconnected(m, now, m->post.error[0] ? m->post.error : "the answer is over",
                            !m->post.error[0]);
    post_go_on(&m->post);
    if (now - m->heard_at > m->config.silence_ms)
        return disconnected(m, now, "nothing came for too long", 0);
    return 0;
}

int kinema_media_poll(struct kinema_media *m, unsigned timeout_ms)
{
    int64_t end = post_clock_ms() + timeout_ms;
    for (;;) {
        int64_t now = post_clock_ms(), left = end - now;
        int code = 0;
        if (m->over)
            return 1;
        if (m->call == CALL_NONE && now >= m->retry_at)
            code = start_next(m, now);
        if (code == 0 && m->call != CALL_NONE) {
            code = step(m, now, left > 0 ? (unsigned) left : 0);
        } else if (code == 0 && left > 0) {
            int64_t wait = m->retry_at - now < left ? m->retry_at - now : left;
            (void) nanosleep(
                &(struct timespec){.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000L}, NULL);
        }
        if (code < 0)
            return code;
        if (m->over)
            return 1;
        if (left <= 0)
            return 0;
    }
}

const char *kinema_media_token(const struct kinema_media *m)
{
    return m->last_token;
}

/* --- opening ---------------------------------------------------------------------------------- */
static int is_stream(const char *text)
{
    size_t len = text ? strlen(text) : 0;
    return len > 0 && len < STREAM_BYTES_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:/") ==
               len;
}

static int take_list(struct kinema_media *m, const struct kinema_media_config *config)
{
    if (config->fragment_count == 0)
        return 0;
    if (!config->fragments || config->fragment_count > KINEMA_FRAGMENT_LIST_MAX)
        return -EINVAL;
    m->list = calloc(config->fragment_count, sizeof(*m->list));
    if (!m->list)
        return -ENOMEM;
    m->list_count = config->fragment_count;
    for (size_t i = 0; i < m->list_count; i++) {
        const char *number = config->fragments[i];
        if (!post_is_name(number, KINEMA_TOKEN_TEXT_BYTES_MAX))
            return -EINVAL;
        memcpy(m->list[i], number, strlen(number) + 1);
    }
    return 0;
}

static int take_config(struct kinema_media *m, const struct kinema_media_config *config)
{
    int needs_text =
        config->start == KINEMA_MEDIA_AFTER_FRAGMENT || config->start == KINEMA_MEDIA_AFTER_TOKEN;
    if (!is_stream(config->stream) || !post_is_name(config->region, sizeof(m->region) - 1) ||
        !config->credentials || !config->on_event || config->start_ms < 0 ||
        (unsigned) config->start > KINEMA_MEDIA_PRODUCER_TIME ||
        (needs_text && !post_is_name(config->start_text, KINEMA_TOKEN_TEXT_BYTES_MAX)) ||
        (config->endpoint && strlen(config->endpoint) >= sizeof(m->base)) ||
        config->frame_bytes_max > SIZE_MAX / 4)
        return -EINVAL;
    m->config = *config;
    memcpy(m->stream, config->stream, strlen(config->stream) + 1);
    memcpy(m->region, config->region, strlen(config->region) + 1);
    if (needs_text)
        memcpy(m->start_text, config->start_text, strlen(config->start_text) + 1);
    if (config->endpoint)
        memcpy(m->base, config->endpoint, strlen(config->endpoint) + 1);
    else if (post_aws_url(m->base, "kinesisvideo", config->region) < 0)
        return -EINVAL;
    if (!m->config.frame_bytes_max)
        m->config.frame_bytes_max = KINEMA_FRAME_BYTES_DEFAULT;
    if (!m->config.silence_ms)
        m->config.silence_ms = SILENCE_MS;
    if (config->ca_file) {
        m->ca_file = malloc(strlen(config->ca_file) + 1);
        if (!m->ca_file)
            return -ENOMEM;
        memcpy(m->ca_file, config->ca_file, strlen(config->ca_file) + 1);
    }
    return take_list(m, config);
}

int kinema_media_open(const struct kinema_media_config *config, struct kinema_media **ret)
{
    struct kinema_media *m = calloc(1, sizeof(*m));
    int code;
    if (!m)
        return -ENOMEM;
    code = take_config(m, config);
    if (code == 0)
        code = post_init(&m->post, m->region, m->ca_file, config->credentials, ANSWER_BYTES_MAX);
    mkv_reader_init(&m->reader, m->config.frame_bytes_max);
    blank(m);
    if (code < 0)
        kinema_media_close(m);
    else
        *ret = m;
    return code;
}

void kinema_media_close(struct kinema_media *m)
{
    if (!m)
        return;
    post_done(&m->post);
    mkv_reader_done(&m->reader);
    free(m->list);
    free(m->ca_file);
    free(m);
}
