/* SPDX-License-Identifier: Apache-2.0 */
/* The socket calls. Plain sockets use sendmsg and sendfile; TLS goes through http_tls.c. */
#include "http_io.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t kn_http_io_read(struct kn_http_conn *conn, void *dst, size_t cap)
{
    if (conn->ssl)
        return kn_http_tls_read(conn, dst, cap);
    ssize_t n;
    do {
        n = recv(conn->fd, dst, cap, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        conn->readable = false;
        return errno == EAGAIN ? -EAGAIN : -EIO;
    }
    /* A short read means the kernel has no more (epoll(7), edge-triggered stream sockets); whatever
     * comes later is a new event. Unless the peer has closed: that event may have been already. */
    if (n > 0 && (size_t) n < cap && !conn->peer_closed)
        conn->readable = false;
    return n;
}

static ssize_t wrote(struct kn_http_conn *conn, ssize_t n)
{
    if (n > 0)
        return n;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -EIO;
    conn->writable = false;
    return -EAGAIN;
}

ssize_t kn_http_io_write(struct kn_http_conn *conn, const void *ptr, size_t len)
{
    if (conn->ssl)
        return kn_http_tls_write(conn, ptr, len);
    return wrote(conn, send(conn->fd, ptr, len, MSG_NOSIGNAL | (conn->more ? MSG_MORE : 0)));
}

static void *unconst(const void *ptr) /* iov_base is not const, sendmsg does not write there */
{
    union {
        const void *in;
        void *out;
    } u = {.in = ptr};
    return u.out;
}

ssize_t kn_http_io_send2(struct kn_http_conn *conn, struct kn_bytes first, struct kn_bytes second)
{
    struct iovec iov[2] = {
        {unconst(first.ptr),  first.len },
        {unconst(second.ptr), second.len}
    };
    size_t skip = first.len == 0;
    struct msghdr msg = {.msg_iov = iov + skip, .msg_iovlen = 2 - skip};
    return wrote(conn, sendmsg(conn->fd, &msg, MSG_NOSIGNAL));
}

ssize_t kn_http_io_write2(struct kn_http_conn *conn, struct kn_bytes first, struct kn_bytes second)
{
    if (conn->ssl || first.len == 0) {
        struct kn_bytes piece = first.len > 0 ? first : second;
        return kn_http_io_write(conn, piece.ptr, piece.len);
    }
    return kn_http_io_send2(conn, first, second);
}

size_t kn_http_io_room(const struct kn_http_conn *conn)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 ||
        info[SK_MEMINFO_WMEM_QUEUED] >= info[SK_MEMINFO_SNDBUF])
        return 0;
    return info[SK_MEMINFO_SNDBUF] - info[SK_MEMINFO_WMEM_QUEUED];
}

ssize_t kn_http_io_send_file(struct kn_http_conn *conn, int fd, uint64_t off, size_t len)
{
    off_t at = (off_t) off;
    ssize_t n = sendfile(conn->fd, fd, &at, len);
    if (n == 0)
        return -EIO; /* the file is shorter than was promised */
    return wrote(conn, n);
}
