/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/2 front: bytes of a peer into a connection of the engine, without a socket's other end.
 * Each input is a connection (what follows the preface); its requests meet a handler that echoes.
 */
#include "http_h2.h"
#include "http_server_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int echo_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    if (kn_str_eq(kn_http_path(req), KN_STR("/stream")))
        kn_http_reply_stream(req, 200, NULL, 0, KN_HTTP_LENGTH_UNKNOWN);
    else if (kn_str_eq(kn_http_path(req), KN_STR("/abort")))
        kn_http_abort(req);
    else
        kn_http_collect(req, 4096);
    return 0;
}

static void echo_end(struct kn_http_req *req, void *ctx)
{
    (void) ctx;
    kn_http_reply(req, 200, NULL, 0, kn_http_body(req));
}

static ssize_t take_data(struct kn_http_req *req, void *ctx, const void *ptr, size_t len)
{
    (void) req;
    (void) ctx;
    (void) ptr;
    return (ssize_t) (len - len / 2);
}

static ssize_t one_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    (void) req;
    (void) ctx;
    memset(dst, 'x', cap);
    return cap > 100 ? 100 : KN_HTTP_EOF;
}

static const struct kn_http_ops echo_ops = {
    .head = echo_head, .data = take_data, .end = echo_end, .pull = one_pull};

static struct kn_http_server *server_once(void)
{
    static struct kn_http_server *server;
    if (server)
        return server;
    struct kn_http_conf conf;
    struct kn_conf_table table = {"http", kn_http_conf_keys, kn_http_conf_key_count, &conf};
    struct kn_err err;
    const struct kn_http_listen listen = {"fuzz", "127.0.0.1:0", NULL, true, &echo_ops, NULL};
    uint16_t port;
    if (kn_conf_defaults(&table, 1) < 0)
        abort();
    conf.loops = 1;
    conf.workers = conf.change_workers = 1;
    if (kn_http_server_new(&conf, kn_clock_system(), &server, &err) < 0 ||
        kn_http_server_listen(server, &listen, &port, &err) < 0)
        abort();
    return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_http_server *server = server_once();
    struct kn_http_loop *loop = &server->loops[0];
    const struct sockaddr_storage peer = {.ss_family = AF_INET};
    int pair[2];
    if (size > 60000 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return 0;
    if (kn_http_conn_new(&loop->acceptors[0], pair[0], (const struct sockaddr *) &peer) < 0)
        abort();
    struct kn_http_conn *conn = loop->conns;
    size_t cut = size > 0 ? data[0] * size / 256 : 0; /* two pieces, to cut frames anywhere */
    bool sent = send(pair[1], NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN, MSG_NOSIGNAL) > 0 &&
                (cut == 0 || send(pair[1], data, cut, MSG_NOSIGNAL) > 0);
    conn->readable = true;
    kn_http_conn_run(conn);
    sent = sent && (cut == size || send(pair[1], data + cut, size - cut, MSG_NOSIGNAL) > 0);
    (void) sent; /* it may have been closed by the first piece */
    for (int i = 0; i < 4; i++) {
        conn->readable = true;
        kn_http_conn_run(conn);
    }
    if (conn->phase != KN_HTTP_CLOSED)
        kn_http_conn_close(conn, KN_HTTP_SHUTDOWN);
    kn_assert(loop->request_count == 0 && !loop->conns);
    conn->queued = false; /* forget what was queued; the loop is not running */
    loop->run = NULL;
    loop->run_end = &loop->run;
    while (loop->dead) {
        struct kn_http_conn *dead = loop->dead;
        loop->dead = dead->next;
        kn_http_conn_free(dead);
    }
    close(pair[1]);
    return 0;
}
