/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include "hub.h"
#include "url.h"

#include <errno.h>
#include <gio/gio.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    OUT_BYTES_MAX = 64 << 10,
};

/* What a connection that is under way comes back to. */
struct arrival {
    struct camera_link *link; /* NULL: closed meanwhile */
};

struct camera_link {
    const struct camera_link_ops *ops;
    void *ctx;
    char *host; /* of a certificate; NULL: without TLS */
    struct arrival *arrival;
    GCancellable *cancellable;
    GSocketConnection *connection;
    int fd;
    SSL *ssl;
    struct hub_watch *watch;
    bool closed, shaking; /* shaking: hands, before it is open */
    struct kn_buf rest;   /* a packet or a message that has not come whole */
    struct kn_buf out;
};

/* --- ends ------------------------------------------------------------------------------------- */
void camera_link_close(struct camera_link *link)
{
    link->closed = true;
    hub_remove(link->watch);
    link->watch = NULL;
    if (link->ssl)
        SSL_free(link->ssl);
    link->ssl = NULL;
    g_clear_object(&link->connection);
    link->fd = -1;
    if (link->arrival)
        link->arrival->link = NULL;
    link->arrival = NULL;
    g_cancellable_cancel(link->cancellable);
}

void camera_link_free(struct camera_link *link)
{
    camera_link_close(link);
    g_object_unref(link->cancellable);
    kn_buf_done(&link->rest);
    kn_buf_done(&link->out);
    g_free(link->host);
    g_free(link);
}

static void lose(struct camera_link *link, enum camera_fault fault, const char *said)
{
    if (link->closed)
        return;
    camera_link_close(link);
    link->ops->lost(link->ctx, fault, said);
}

static void lose_connection(struct camera_link *link)
{
    lose(link, CAMERA_UNREACHABLE, "the camera does not answer, or has closed the connection");
}

/* --- out -------------------------------------------------------------------------------------- */
struct kn_buf *camera_link_out(struct camera_link *link)
{
    return &link->out;
}

static void wait_for(struct camera_link *link)
{
    if (link->watch)
        hub_change(link->watch, EPOLLIN | (link->out.len > 0 ? (unsigned) EPOLLOUT : 0));
}

static ssize_t write_some(struct camera_link *link)
{
    if (!link->ssl)
        return send(link->fd, link->out.ptr, link->out.len, MSG_NOSIGNAL);
    int sent = SSL_write(link->ssl, link->out.ptr, (int) link->out.len);
    int why = sent > 0 ? 0 : SSL_get_error(link->ssl, sent);
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    return sent > 0 ? sent : -1;
}

void camera_link_flush(struct camera_link *link)
{
    bool waited = link->out.len > 0;
    if (link->out.error) { /* it has not read for long */
        lose_connection(link);
        return;
    }
    while (link->out.len > 0 && link->fd >= 0) {
        ssize_t n = write_some(link);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            lose_connection(link);
            return;
        }
        kn_buf_consume(&link->out, (size_t) n);
    }
    if (waited)
        wait_for(link);
}

/* --- in --------------------------------------------------------------------------------------- */
/* As much as there is; 0: the connection is over. */
static ssize_t receive(struct camera_link *link, uint8_t *dst, size_t cap)
{
    if (!link->ssl)
        return recv(link->fd, dst, cap, 0);
    size_t len = 0;
    while (len < cap) {
        int n = SSL_read(link->ssl, dst + len, (int) (cap - len));
        int why = n > 0 ? 0 : SSL_get_error(link->ssl, n);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
            errno = EAGAIN;
            return len > 0 ? (ssize_t) len : -1;
        }
        if (n <= 0)
            return (ssize_t) len;
        len += (size_t) n;
    }
    return (ssize_t) len;
}

/* What is not whole waits in rest, so that a camera that is quiet has no buffer. */
static void take_in(struct camera_link *link, size_t most)
{
    static uint8_t scratch[CAMERA_LINK_REST_BYTES_MAX + CAMERA_LINK_TURN_BYTES]; /* the thread's */
    size_t before = link->rest.len;
    if (before > 0)
        memcpy(scratch, link->rest.ptr, before);
    ssize_t n = receive(link, scratch + before, most);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lose_connection(link);
        return;
    }
    size_t len = before + (size_t) n;
    size_t taken = link->ops->bytes(link->ctx, (struct kn_bytes){scratch, len});
    if (link->closed)
        return;
    kn_buf_clear(&link->rest);
    if (kn_buf_append(&link->rest, scratch + taken, len - taken) < 0)
        lose(link, CAMERA_BROKEN, "what the camera sends is no RTSP");
}

/* One turn. What the socket holds beyond it makes the hub come back when others have had theirs;
 * of what OpenSSL holds of a record nobody would say so. */
static void take_turn(struct camera_link *link)
{
    take_in(link, CAMERA_LINK_TURN_BYTES);
    if (link->ssl && SSL_pending(link->ssl) > 0)
        take_in(link, (size_t) SSL_pending(link->ssl));
}

/* --- the connection --------------------------------------------------------------------------- */
static void shake_hands(struct camera_link *link)
{
    int r = SSL_connect(link->ssl), why = r == 1 ? 0 : SSL_get_error(link->ssl, r);
    if (r == 1) {
        link->shaking = false;
        link->ops->open(link->ctx);
    } else if (why == SSL_ERROR_WANT_WRITE) {
        hub_change(link->watch, EPOLLIN | EPOLLOUT);
    } else if (why == SSL_ERROR_WANT_READ) {
        hub_change(link->watch, EPOLLIN);
    } else {
        lose(link, CAMERA_UNREACHABLE, "the camera does not answer in TLS");
    }
}

static void on_ready(void *ctx, unsigned events)
{
    struct camera_link *link = ctx;
    (void) events;
    if (link->shaking) {
        shake_hands(link);
        return;
    }
    if (link->out.len > 0)
        camera_link_flush(link);
    if (!link->closed)
        take_turn(link);
}

/* Cameras sign their certificates themselves, and some know old TLS only. */
static SSL_CTX *tls_of_all(void)
{
    static SSL_CTX *tls;
    if (!tls && (tls = SSL_CTX_new(TLS_client_method()))) {
        SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_security_level(tls, 0);
        (void) SSL_CTX_set_min_proto_version(tls, TLS1_VERSION);
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    }
    return tls;
}

static void begin_tls(struct camera_link *link)
{
    SSL_CTX *tls = tls_of_all();
    link->ssl = tls ? SSL_new(tls) : NULL;
    if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1) {
        lose(link, CAMERA_BROKEN, "out of memory");
        return;
    }
    if (!g_hostname_is_ip_address(link->host))
        (void) SSL_set_tlsext_host_name(link->ssl, link->host);
    link->shaking = true;
    shake_hands(link);
}

static void on_connected(GObject *client, GAsyncResult *result, gpointer arg)
{
    struct arrival *arrival = arg;
    struct camera_link *link = arrival->link;
    GSocketConnection *connection =
        g_socket_client_connect_to_host_finish(G_SOCKET_CLIENT(client), result, NULL);
    g_free(arrival);
    if (!link) {
        g_clear_object(&connection);
        return;
    }
    link->arrival = NULL;
    if (!connection) {
        lose_connection(link);
        return;
    }
    link->connection = connection;
    GSocket *socket = g_socket_connection_get_socket(connection);
    g_socket_set_blocking(socket, FALSE);
    link->fd = g_socket_get_fd(socket);
    link->watch = hub_add(link->fd, EPOLLIN, on_ready, link);
    if (link->host)
        begin_tls(link);
    else
        link->ops->open(link->ctx);
}

struct camera_link *camera_link_open(const char *authority, unsigned port, bool tls,
                                     const struct camera_link_ops *ops, void *ctx)
{
    struct camera_link *link = g_new0(struct camera_link, 1);
    link->ops = ops;
    link->ctx = ctx;
    link->host = tls ? camera_url_host(authority) : NULL;
    link->fd = -1;
    kn_buf_init(&link->rest, CAMERA_LINK_REST_BYTES_MAX);
    kn_buf_init(&link->out, OUT_BYTES_MAX);
    link->arrival = g_new(struct arrival, 1);
    link->arrival->link = link;
    link->cancellable = g_cancellable_new();
    GSocketClient *client = g_socket_client_new();
    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_connect_to_host_async(client, authority, (guint16) port, link->cancellable,
                                          on_connected, link->arrival);
    g_object_unref(client);
    return link;
}
