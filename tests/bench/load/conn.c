/* SPDX-License-Identifier: Apache-2.0 */
#include "load/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"

enum {
    READ_BYTES = 256 << 10
};

static uint8_t read_buf[READ_BYTES];

int64_t load_now_ns(void)
{
    return kn_mono_ns(kn_clock_system());
}

_Noreturn void load_die(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, errno ? strerrorname_np(errno) : "no reason");
    exit(1);
}

int64_t load_cpu_ns(int pid)
{
    clockid_t id;
    struct timespec t;
    errno = clock_getcpuclockid(pid, &id);
    if (errno || clock_gettime(id, &t) < 0)
        load_die("the process to watch");
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

SSL_CTX *load_tls_new(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1)
        load_die("TLS");
    return ctx;
}

void load_conn_open(struct load_conn *conn, const struct load_where *where,
                    void (*answered)(struct load_conn *conn))
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(where->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    int yes = 1;

    conn->answered = answered;
    conn->state = LOAD_IDLE;
    kn_buf_init(&conn->body, LOAD_BODY_BYTES_MAX);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *) &to, sizeof to) < 0)
        load_die("connect");
    (void) setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (where->tls) {
        conn->ssl = SSL_new(where->tls);
        if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1 || SSL_connect(conn->ssl) != 1)
            load_die("TLS handshake");
    }
    (void) fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(where->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0)
        load_die("epoll");
}

void load_conn_get(struct load_conn *conn, struct kn_str path, bool keep_body)
{
    char request[4096];
    int n = snprintf(request, sizeof request,
                     "GET " KN_STR_FMT " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", KN_STR_ARG(path));
    kn_assert(conn->state == LOAD_IDLE && n > 0 && (size_t) n < sizeof request);
    conn->state = LOAD_HEAD;
    conn->head_len = 0;
    conn->bytes = 0;
    conn->keep_body = keep_body;
    kn_buf_clear(&conn->body);
    conn->sent_ns = load_now_ns();
    ssize_t sent = conn->ssl ? SSL_write(conn->ssl, request, n)
                             : send(conn->fd, request, (size_t) n, MSG_NOSIGNAL);
    if (sent != n)
        load_die("send");
}

static void done(struct load_conn *conn)
{
    conn->state = LOAD_IDLE;
    conn->answered(conn);
}

static void take_head(struct load_conn *conn)
{
    conn->head[conn->head_len] = 0;
    conn->status = (int) strtoul(conn->head + 9, NULL, 10);
    const char *length = strcasestr(conn->head, "\r\ncontent-length:");
    if (length)
        conn->left = strtoull(length + 17, NULL, 10);
    else if (!strcasestr(conn->head, "\r\ntransfer-encoding: chunked"))
        load_die("an answer without a length");
    conn->state = length ? LOAD_LENGTH : LOAD_CHUNK_HEAD;
    conn->head_len = 0;
}

static size_t feed_head(struct load_conn *conn, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (conn->head_len + 1 == sizeof conn->head)
            load_die("a head that is too long");
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
static size_t feed_line(struct load_conn *conn, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (conn->head_len + 1 == sizeof conn->head)
            load_die("a chunk head that is too long");
        conn->head[conn->head_len++] = (char) at[i];
        if (at[i] != '\n')
            continue;
        conn->head[conn->head_len] = 0;
        conn->head_len = 0;
        if (conn->state == LOAD_CHUNK_HEAD) {
            conn->left = strtoull(conn->head, NULL, 16);
            conn->state = conn->left ? LOAD_CHUNK : LOAD_LAST_TAIL;
        } else if (conn->state == LOAD_CHUNK_TAIL) {
            conn->state = LOAD_CHUNK_HEAD;
        } else {
            done(conn);
        }
        return i + 1;
    }
    return len;
}

static size_t feed_body(struct load_conn *conn, const uint8_t *at, size_t len)
{
    size_t n = (size_t) kn_min_u64(len, conn->left);
    if (conn->keep_body && kn_buf_append(&conn->body, at, n) < 0)
        load_die("a body that is too long");
    conn->bytes += n;
    conn->left -= n;
    if (conn->left == 0 && conn->state == LOAD_CHUNK)
        conn->state = LOAD_CHUNK_TAIL;
    return n;
}

static void feed(struct load_conn *conn, const uint8_t *at, size_t len)
{
    for (;;) {
        if (conn->state == LOAD_LENGTH && conn->left == 0)
            done(conn);
        if (len == 0)
            return;
        size_t used;
        if (conn->state == LOAD_IDLE)
            load_die("bytes that were not asked for");
        else if (conn->state == LOAD_HEAD)
            used = feed_head(conn, at, len);
        else if (conn->state == LOAD_LENGTH || conn->state == LOAD_CHUNK)
            used = feed_body(conn, at, len);
        else
            used = feed_line(conn, at, len);
        at += used;
        len -= used;
    }
}

void load_conn_run(struct load_conn *conn)
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
            load_die("the server closed");
        feed(conn, read_buf, (size_t) n);
    }
}
