/* SPDX-License-Identifier: Apache-2.0 */
#include "http_client.h"

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 << 10
};

static uint8_t read_buf[READ_BYTES];

SSL_CTX *http_client_tls_new(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1)
        tool_die("TLS");
    return ctx;
}

void http_client_open(struct http_client *conn, const struct http_client_where *where,
                      void (*answered)(struct http_client *conn))
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(where->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    int yes = 1;

    conn->answered = answered;
    conn->state = HTTP_CLIENT_IDLE;
    kn_buf_init(&conn->body, HTTP_CLIENT_BODY_BYTES_MAX);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *) &to, sizeof to) < 0)
        tool_die("connect");
    (void) setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (where->tls) {
        conn->ssl = SSL_new(where->tls);
        if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1 || SSL_connect(conn->ssl) != 1)
            tool_die("TLS handshake");
    }
    (void) fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(where->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0)
        tool_die("epoll");
}

void http_client_await(struct http_client *conn, bool keep_body)
{
    kn_assert(conn->state == HTTP_CLIENT_IDLE);
    conn->state = HTTP_CLIENT_HEAD;
    conn->head_len = 0;
    conn->bytes = 0;
    conn->keep_body = keep_body;
    kn_buf_clear(&conn->body);
    conn->sent_ns = tool_now_ns();
}

void http_client_get(struct http_client *conn, struct kn_str path, bool keep_body)
{
    char request[4096];
    int n = snprintf(request, sizeof request,
                     "GET " KN_STR_FMT " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", KN_STR_ARG(path));
    kn_assert(n > 0 && (size_t) n < sizeof request);
    http_client_await(conn, keep_body);
    ssize_t sent = conn->ssl ? SSL_write(conn->ssl, request, n)
                             : send(conn->fd, request, (size_t) n, MSG_NOSIGNAL);
    if (sent != n)
        tool_die("send");
}

static void done(struct http_client *conn)
{
    conn->state = HTTP_CLIENT_IDLE;
    conn->answered(conn);
}

static void take_head(struct http_client *conn)
{
    conn->head[conn->head_len] = 0;
    conn->status = (int) strtoul(conn->head + 9, NULL, 10);
    const char *length = strcasestr(conn->head, "\r\ncontent-length:");
    if (length)
        conn->left = strtoull(length + 17, NULL, 10);
    else if (!strcasestr(conn->head, "\r\ntransfer-encoding: chunked"))
        tool_die("an answer without a length");
    conn->state = length ? HTTP_CLIENT_LENGTH : HTTP_CLIENT_CHUNK_HEAD;
    conn->head_len = 0;
}

static size_t feed_head(struct http_client *conn, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (conn->head_len + 1 == sizeof conn->head)
            tool_die("a head that is too long");
        conn->head[conn->head_len++] = (char) at[i];
        if (at[i] == '\n' && conn->head_len >= 4 &&
            memcmp(conn->head + conn->head_len - 4, "\r\n\r\n", 4) == 0) {
            take_head(conn);
            return i + 1;
        }
    }
    return len;
}

/* A line of the chunked coding: the size, or the end of a chunk. */
static size_t feed_line(struct http_client *conn, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (conn->head_len + 1 == sizeof conn->head)
            tool_die("a chunk head that is too long");
        conn->head[conn->head_len++] = (char) at[i];
        if (at[i] != '\n')
            continue;
        conn->head[conn->head_len] = 0;
        conn->head_len = 0;
        if (conn->state == HTTP_CLIENT_CHUNK_HEAD) {
            conn->left = strtoull(conn->head, NULL, 16);
            conn->state = conn->left ? HTTP_CLIENT_CHUNK : HTTP_CLIENT_LAST_TAIL;
        } else if (conn->state == HTTP_CLIENT_CHUNK_TAIL) {
            conn->state = HTTP_CLIENT_CHUNK_HEAD;
        } else {
            done(conn);
        }
        return i + 1;
    }
    return len;
}

static size_t feed_body(struct http_client *conn, const uint8_t *at, size_t len)
{
    size_t n = (size_t) kn_min_u64(len, conn->left);
    if (conn->keep_body && kn_buf_append(&conn->body, at, n) < 0)
        tool_die("a body that is too long");
    conn->bytes += n;
    conn->left -= n;
    if (conn->left == 0 && conn->state == HTTP_CLIENT_CHUNK)
        conn->state = HTTP_CLIENT_CHUNK_TAIL;
    return n;
}

void http_client_feed(struct http_client *conn, struct kn_bytes bytes)
{
    const uint8_t *at = bytes.ptr;
    size_t len = bytes.len;
    for (;;) {
        if (conn->state == HTTP_CLIENT_LENGTH && conn->left == 0)
            done(conn);
        if (len == 0)
            return;
        size_t used;
        if (conn->state == HTTP_CLIENT_IDLE)
            tool_die("bytes that were not asked for");
        else if (conn->state == HTTP_CLIENT_HEAD)
            used = feed_head(conn, at, len);
        else if (conn->state == HTTP_CLIENT_LENGTH || conn->state == HTTP_CLIENT_CHUNK)
            used = feed_body(conn, at, len);
        else
            used = feed_line(conn, at, len);
        at += used;
        len -= used;
    }
}

void http_client_run(struct http_client *conn)
{
    for (;;) {
        errno = 0;
        ssize_t n = conn->ssl ? SSL_read(conn->ssl, read_buf, READ_BYTES)
                              : recv(conn->fd, read_buf, READ_BYTES, 0);
        if (n <= 0 && conn->ssl && SSL_get_error(conn->ssl, (int) n) == SSL_ERROR_WANT_READ)
            return;
        if (n < 0 && !conn->ssl && errno == EAGAIN)
            return;
        if (n <= 0)
            tool_die("the server closed");
        http_client_feed(conn, (struct kn_bytes){read_buf, (size_t) n});
    }
}
