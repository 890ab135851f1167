/* SPDX-License-Identifier: Apache-2.0 */
/* Kinesis over HTTP/1.1 with its connection kept, and over HTTP/2 with a connection a request. */
#include "http_client.h"
#include "kds.h"

#include "core/json.h"

enum {
    ITERATOR_BYTES_MAX = 600,
    EDGE_BYTES = 1024, /* at either end of a page: where other members than Records are */
    H2_HEADERS = 1,
    H2_SETTINGS = 4,
    H2_DATA = 0,
    H2_RST_STREAM = 3,
    H2_GOAWAY = 7,
    H2_END_STREAM = 1,
    H2_HEAD_BYTES = 9,
};

/* --- HTTP/1.1 --------------------------------------------------------------------------------- */
struct http {
    struct http_client client;
    bool whole, counted;
    char iterator[ITERATOR_BYTES_MAX], first[ITERATOR_BYTES_MAX];
};

static void answered(struct http_client *client)
{
    KN_CONTAINER_OF(client, struct http, client)->whole = true;
}

static void http_opened(struct kds_conn *c)
{
    struct http *h = c->own;
    if (h->client.answered) /* a connection before */
        return;
    h->client.answered = answered;
    kn_buf_init(&h->client.body, HTTP_CLIENT_BODY_BYTES_MAX);
}

static void http_put(const struct kds_conn *c, unsigned n, struct kn_buf *dst)
{
    struct kn_buf body;
    kn_buf_init(&body, KDS_REQUEST_BYTES_MAX);
    kds_put_body(c, n, &body);
    kds_request(kds_options.batch == 1 ? "PutRecord" : "PutRecords", kn_buf_bytes(&body), false,
                dst);
    kn_buf_done(&body);
}

static void http_get(struct kds_conn *c, struct kn_buf *dst)
{
    const struct http *h = c->own;
    char body[2 * ITERATOR_BYTES_MAX];
    if (h->iterator[0])
        (void) snprintf(body, sizeof body, "{\"ShardIterator\":\"%s\",\"Limit\":%u}", h->iterator,
                        kds_options.batch);
    else
        (void) snprintf(body, sizeof body,
                        "{\"StreamName\":\"%s\",\"ShardId\":\"shardId-%012u\","
                        "\"ShardIteratorType\":\"TRIM_HORIZON\"}",
                        kds_options.stream, c->index % kds_options.shards);
    kds_request(h->iterator[0] ? "GetRecords" : "GetShardIterator", kn_bytes_of(kn_str_from(body)),
                false, dst);
}

static void http_sending(struct kds_conn *c)
{
    struct http *h = c->own;
    h->whole = false;
    http_client_await(&h->client, true);
}

static const char *find(struct kn_bytes in, const char *text)
{
    return in.len ? memmem(in.ptr, in.len, text, strlen(text)) : NULL;
}

/* The value of a string member near one of the ends. */
static bool member(struct kn_bytes body, const char *name, char ret[ITERATOR_BYTES_MAX])
{
    size_t edge = (size_t) kn_min_u64(EDGE_BYTES, body.len);
    const char *at = find((struct kn_bytes){body.ptr, edge}, name);
    if (!at)
        at = find(kn_bytes_skip(body, body.len - edge), name);
    if (!at)
        return false;
    at += strlen(name);
    const char *end = memchr(at, '"', (size_t) ((const char *) kn_bytes_end(body) - at));
    if (!end || end - at >= ITERATOR_BYTES_MAX)
        tool_die("an iterator that is too long");
    memcpy(ret, at, (size_t) (end - at));
    ret[end - at] = 0;
    return true;
}

static uint64_t count_records(struct kn_bytes body)
{
    uint64_t found = 0;
    for (const char *at; (at = find(body, "\"SequenceNumber\"")); found++)
        body = kn_bytes_skip(body, (size_t) ((const uint8_t *) at - body.ptr) + 16);
    return found;
}

/* A page has as many records as were asked for, or none; the first is counted, for all must have
 * the length of one. */
static void take_page(struct kds_conn *c, struct http *h, struct kn_bytes body)
{
    if (!h->iterator[0]) {
        if (!member(body, "\"ShardIterator\":\"", h->iterator))
            kds_refused(body);
        memcpy(h->first, h->iterator, sizeof h->first);
        c->records = 0;
        return;
    }
    bool full = body.len > (size_t) kds_options.batch * kds_options.bytes * 4 / 3;
    if (full && !h->counted && count_records(body) != kds_options.batch)
        tool_die("a page of other than so many records");
    h->counted |= full;
    c->records = full ? kds_options.batch : 0;
    if (!full)
        memcpy(h->iterator, h->first, sizeof h->iterator);
    else if (!member(body, "\"NextShardIterator\":\"", h->iterator))
        kds_refused(body);
}

static bool http_received(struct kds_conn *c, struct kn_bytes bytes)
{
    struct http *h = c->own;
    http_client_feed(&h->client, bytes);
    if (!h->whole)
        return false;
    struct kn_bytes body = kn_buf_bytes(&h->client.body);
    if (h->client.status != 200)
        kds_refused(body);
    if (kds_options.get) {
        take_page(c, h, body);
        return true;
    }
    if (kds_options.batch > 1 && !find(body, "\"FailedRecordCount\":0"))
        kds_refused(body);
    c->records = kds_options.batch;
    return true;
}

const struct kds_protocol kds_http = {
    .name = "http",
    .own_bytes = sizeof(struct http),
    .opened = http_opened,
    .put = http_put,
    .get = http_get,
    .sending = http_sending,
    .received = http_received,
};

/* --- HTTP/2 ----------------------------------------------------------------------------------- */
struct h2 {
    uint8_t bytes[64 << 10];
    size_t len;
    bool status_seen;
};

static void h2_put(const struct kds_conn *c, unsigned n, struct kn_buf *dst)
{
    struct kn_buf body;
    kn_buf_init(&body, KDS_REQUEST_BYTES_MAX);
    kds_put_body(c, n, &body);
    kds_request(kds_options.batch == 1 ? "PutRecord" : "PutRecords", kn_buf_bytes(&body), true,
                dst);
    kn_buf_done(&body);
}

static void h2_sending(struct kds_conn *c)
{
    struct h2 *h = c->own;
    h->len = 0;
    h->status_seen = false;
}

/* :status 200 is the static table's entry 8 (RFC 7541); before it the table's size may change. */
static bool says_200(struct kn_bytes block)
{
    while (block.len && (block.ptr[0] & 0xe0) == 0x20) {
        bool more = (block.ptr[0] & 0x1f) == 0x1f;
        block = kn_bytes_skip(block, 1);
        while (more && block.len) {
            more = block.ptr[0] & 0x80;
            block = kn_bytes_skip(block, 1);
        }
    }
    return block.len && block.ptr[0] == 0x88;
}

/* What the SDK sends before it closes, as recorded: one packet. */
static void say_goodbye(const struct kds_conn *c)
{
    static const uint8_t goodbye[] = {
        0, 0, 0, H2_SETTINGS, 1, 0, 0, 0, 0, /* acknowledged */
        0, 0, 8, H2_GOAWAY,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 8, H2_GOAWAY,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    };
    kds_send(c->fd, (struct kn_bytes){goodbye, sizeof goodbye});
}

static bool h2_received(struct kds_conn *c, struct kn_bytes bytes)
{
    struct h2 *h = c->own;
    if (bytes.len > sizeof h->bytes - h->len)
        tool_die("an answer over HTTP/2 that is too long");
    memcpy(h->bytes + h->len, bytes.ptr, bytes.len);
    h->len += bytes.len;
    struct kn_bytes rest = {h->bytes, h->len};
    while (rest.len >= H2_HEAD_BYTES) {
        size_t len = (size_t) (rest.ptr[0] << 16 | rest.ptr[1] << 8 | rest.ptr[2]);
        unsigned type = rest.ptr[3], flags = rest.ptr[4];
        if (rest.len < H2_HEAD_BYTES + len)
            break;
        struct kn_bytes payload = {rest.ptr + H2_HEAD_BYTES, len};
        rest = kn_bytes_skip(rest, H2_HEAD_BYTES + len);
        if (type == H2_RST_STREAM || type == H2_GOAWAY)
            tool_die("the server gave the stream up");
        if (type == H2_HEADERS)
            h->status_seen = says_200(payload);
        if ((type == H2_DATA || type == H2_HEADERS) && (flags & H2_END_STREAM)) {
            if (!h->status_seen)
                kds_refused(payload);
            say_goodbye(c);
            c->records = kds_options.batch;
            return true;
        }
    }
    memmove(h->bytes, rest.ptr, rest.len);
    h->len = rest.len;
    return false;
}

const struct kds_protocol kds_h2 = {
    .name = "h2",
    .own_bytes = sizeof(struct h2),
    .connection_a_request = true,
    .put = h2_put,
    .sending = h2_sending,
    .received = h2_received,
};
