/* SPDX-License-Identifier: Apache-2.0 */
#include "rtsp_access.h"

#include <string.h>

#include "core/crypto.h"
#include "core/json.h"

enum {
    BODY_BYTES_MAX = 4096,
    ANSWER_BYTES_MAX = 1024,
    HA1_TEXT_BYTES_MAX = 1024,
};

struct question {
    const struct server_rtsp_access *access;
    struct kn_bytes body;
    struct kn_arena *arena;
    struct kn_str key_id, realm, action, stream;
    int status;
    struct kn_buf out;
};

static int read_question(struct question *q)
{
    const struct kn_json_member members[] = {
        {"KeyId",      .str = &q->key_id},
        {"Realm",      .str = &q->realm },
        {"Action",     .str = &q->action},
        {"StreamName", .str = &q->stream},
    };
    int r = kn_json_object_read(q->body, q->arena, members, KN_ARRAY_LEN(members));
    return r == 0 && q->stream.len == 0 ? -EBADMSG : r;
}

/* Keys that need a session token are none here: RTSP has no place for one. */
static struct kn_key *find_key(const struct question *q)
{
    struct kn_keyring *ring = q->access->keyring;
    struct kn_key *key = NULL;
    if (!ring || q->key_id.len == 0 || ring->find_blocking(ring, q->key_id, &key) < 0)
        return NULL;
    bool over = key->expires_ms > 0 && key->expires_ms <= kn_wall_ms(q->access->clock);
    if (!over && key->session_token.len == 0)
        return key;
    ring->unref(ring, key);
    return NULL;
}

static int ha1_of(const struct question *q, const struct kn_key *key,
                  char dst[2 * KN_MD5_BYTES + 1])
{
    struct kn_buf text;
    uint8_t sum[KN_MD5_BYTES];
    kn_buf_init(&text, HA1_TEXT_BYTES_MAX);
    kn_buf_append_str(&text, key->id);
    kn_buf_append_byte(&text, ':');
    kn_buf_append_str(&text, q->realm);
    kn_buf_append_byte(&text, ':');
    kn_buf_append_str(&text, key->secret);
    int r = text.error;
    if (r == 0)
        kn_md5(kn_buf_bytes(&text), sum);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    kn_buf_done(&text);
    if (r == 0)
        kn_hex_encode((struct kn_bytes){sum, sizeof sum}, dst);
    return r;
}

/* On a worker. */
static void answer(void *arg)
{
    struct question *q = arg;
    struct kn_json_writer w;
    char ha1[2 * KN_MD5_BYTES + 1] = "";
    q->status = 400;
    if (read_question(q) < 0)
        return;
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find(q->access->storage, q->stream);
    struct kn_key *key = find_key(q);
    bool open = !q->access->keyring;
    kn_json_writer_init(&w, &q->out);
    kn_json_object_begin(&w);
    kn_json_key(&w, "Exists");
    kn_json_bool(&w, stream && stream->status == STORAGE_STREAM_ACTIVE);
    kn_json_key(&w, "Allowed");
    kn_json_bool(&w, open || (key && kn_key_allows(key, q->action, q->stream)));
    if (key && ha1_of(q, key, ha1) == 0) {
        kn_json_key(&w, "Ha1");
        kn_json_text(&w, ha1);
    }
    kn_json_object_end(&w);
    q->status = q->out.error == 0 ? 200 : 500;
    if (key)
        q->access->keyring->unref(q->access->keyring, key);
}

static int on_head(struct kn_http_req *req, void **ctx)
{
    struct question *q = kn_arena_alloc(kn_http_arena(req), sizeof *q);
    const struct server_rtsp_access *access = *ctx;
    *ctx = q;
    if (!q)
        return -ENOMEM;
    *q = (struct question){.access = access, .arena = kn_http_arena(req)};
    kn_buf_init(&q->out, ANSWER_BYTES_MAX);
    kn_http_collect(req, BODY_BYTES_MAX);
    return 0;
}

static void reply(struct kn_http_req *req, int status, struct kn_bytes body)
{
    const struct kn_http_header type = {KN_STR_INIT("content-type"),
                                        KN_STR_INIT("application/json")};
    kn_http_reply(req, status, &type, 1, body);
}

static void on_end(struct kn_http_req *req, void *ctx)
{
    struct question *q = ctx;
    q->body = kn_http_body(req);
    if (kn_http_offload(req, KN_HTTP_READS, answer, q) < 0)
        reply(req, 503, (struct kn_bytes){NULL, 0});
}

static void on_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct question *q = ctx;
    if (bits & KN_HTTP_WAKE_JOB)
        reply(req, q->status, kn_buf_bytes(&q->out));
}

static void on_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    struct question *q = ctx;
    (void) req;
    (void) why;
    if (!q)
        return;
    if (q->out.ptr)
        explicit_bzero(q->out.ptr, q->out.len);
    kn_buf_done(&q->out);
}

const struct kn_http_ops server_rtsp_access_ops = {
    .head = on_head,
    .end = on_end,
    .wake = on_wake,
    .gone = on_gone,
};
