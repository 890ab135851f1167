/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on the console's listener, and the strictness libmicrohttpd 0.9.75 lacks: what it would
 * let through (design/http-layer.md 5.6: both lengths, two lengths, a blank before the colon, an
 * unknown transfer coding, no Host) is refused before a handler sees it. Chunked bodies are refused
 * altogether: browsers do not send them, and its chunk parser is as lenient as its head parser.
 */
#include "http_mhd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static void name_peer(struct kn_mhd_req *req)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info && info->client_addr)
        kn_http_peer_name(info->client_addr, req->peer, sizeof(req->peer), &req->base.is_loopback);
    req->base.peer = kn_str_from(req->peer);
    info = MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    req->fd = info ? info->connect_fd : -1;
}

static void told(struct kn_http_req *base) /* under the mailbox's lock */
{
    struct kn_mhd_req *req = KN_CONTAINER_OF(base, struct kn_mhd_req, base);
    if (req->suspended) {
        req->suspended = false;
        MHD_resume_connection(req->connection);
    }
    kn_cond_broadcast(&req->mhd->told);
}

static void gate_wake(struct kn_gate_waiter *waiter)
{
    struct kn_mhd_req *req = KN_CONTAINER_OF(waiter, struct kn_mhd_req, gate_waiter);
    kn_http_wake(req->base.ref, KN_HTTP_WAKE_GATE);
}

struct kn_mhd_req *kn_mhd_req_new(struct kn_http_mhd *mhd, struct MHD_Connection *connection,
                                  const char *uri)
{
    struct kn_mhd_req *req = calloc(1, sizeof(*req));
    if (!req)
        return NULL;
    kn_http_req_init(&req->base, &kn_mhd_backend, mhd->listener->ops, mhd->listener->ctx);
    req->mhd = mhd;
    req->connection = connection;
    req->base.box = mhd->box;
    req->base.workers = mhd->workers;
    req->base.file.fd = -1;
    req->base.timer.fire = kn_http_loop_deadline_fired;
    req->gate_waiter.wake = gate_wake;
    req->uri = kn_arena_str(kn_http_arena(&req->base), kn_str_from(uri));
    kn_lock_take(&mhd->watch.lock);
    int r = kn_http_timers_reserve(&mhd->watch.timers, 1);
    kn_lock_give(&mhd->watch.lock);
    if (r == 0 && kn_http_mailbox_add(mhd->box, &req->base, told, &req->base.ref) < 0) {
        kn_lock_take(&mhd->watch.lock);
        kn_http_timers_give_back(&mhd->watch.timers, 1);
        kn_lock_give(&mhd->watch.lock);
        r = -ENOMEM;
    }
    if (r < 0 || !req->uri.ptr) {
        kn_arena_done(&req->base.arena);
        free(req);
        return NULL;
    }
    name_peer(req);
    KN_LOCKED(&mhd->lock);
    req->next = mhd->requests;
    req->at = &mhd->requests;
    if (req->next)
        req->next->at = &req->next;
    mhd->requests = req;
    return req;
}

void kn_mhd_req_free(struct kn_mhd_req *req)
{
    struct kn_http_mhd *mhd = req->mhd;
    if (req->response)
        MHD_destroy_response(req->response);
    kn_buf_done(&req->base.body);
    kn_lock_take(&mhd->watch.lock);
    kn_http_timers_give_back(&mhd->watch.timers, 1);
    kn_lock_give(&mhd->watch.lock);

    KN_LOCKED(&mhd->lock);
    *req->at = req->next;
    if (req->next)
        req->next->at = req->at;
    free(req);
    if (!mhd->requests)
        kn_cond_broadcast(&mhd->none_left);
}

/* --- the head ---------------------------------------------------------------------------- */
struct head {
    struct kn_arena *arena;
    struct kn_http_header *headers;
    size_t count, max;
    unsigned hosts, lengths;
    bool coded, bad;
};

static bool is_name(const char *key, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((uint8_t) key[i] <= 0x20 || (uint8_t) key[i] >= 0x7f || key[i] == ':')
            return false;
    return len > 0;
}

static enum MHD_Result read_header(void *ctx, enum MHD_ValueKind kind, const char *key,
                                   size_t key_len, const char *value, size_t value_len)
{
    struct head *head = ctx;
    (void) kind;
    struct kn_str name = kn_arena_str(head->arena, (struct kn_str){key, key_len});
    char *text = kn_arena_copy(head->arena, key, key_len + 1);
    if (!is_name(key, key_len) || (value_len && memchr(value, 0, value_len)) || !name.ptr ||
        !text || head->count == head->max) {
        head->bad = true;
        return MHD_NO;
    }
    for (size_t i = 0; i < key_len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char) (text[i] | 0x20);
    struct kn_http_header *h = &head->headers[head->count++];
    h->name = (struct kn_str){text, key_len};
    h->value = value ? kn_arena_str(head->arena, (struct kn_str){value, value_len}) : KN_STR("");
    h->value = kn_str_trim(h->value);
    head->hosts += kn_str_eq(h->name, KN_STR("host"));
    head->coded = head->coded || kn_str_eq(h->name, KN_STR("transfer-encoding"));
    if (kn_str_eq(h->name, KN_STR("content-length"))) {
        uint64_t length;
        head->lengths++;
        head->bad = head->bad || kn_str_to_u64(h->value, INT64_MAX, &length) < 0;
    }
    return MHD_YES;
}

int kn_mhd_req_read_head(struct kn_mhd_req *req, const char *method, const char *version)
{
    struct kn_http_req *base = &req->base;
    int count = MHD_get_connection_values_n(req->connection, MHD_HEADER_KIND, NULL, NULL);
    struct head head = {.arena = kn_http_arena(base), .max = (size_t) count};
    head.headers = kn_arena_alloc(head.arena, ((size_t) count + 1) * sizeof(*head.headers));
    if (!head.headers)
        return 503;
    (void) MHD_get_connection_values_n(req->connection, MHD_HEADER_KIND, read_header, &head);
    bool is_1_1 = strcmp(version, "HTTP/1.1") == 0;
    if (!is_1_1 && strcmp(version, "HTTP/1.0") != 0)
        return 505;
    if (head.bad || head.lengths > 1 || head.hosts > 1 || (is_1_1 && head.hosts == 0))
        return 400;
    if (head.coded)
        return head.lengths ? 400 : 411;
    base->method = kn_arena_str(head.arena, kn_str_from(method));
    base->is_head = kn_str_eq(base->method, KN_STR("HEAD"));
    base->headers = head.headers;
    base->header_count = head.count;
    base->query = kn_str_cut(req->uri, '?', &base->path);
    if (!base->query.ptr)
        base->query = KN_STR("");
    return base->path.len > 0 && base->path.ptr[0] == '/' && base->method.ptr ? 0 : 400;
}
