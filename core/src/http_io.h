/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to and from a connection's socket, plain or TLS. The loop's thread. */
#ifndef CORE_SRC_HTTP_IO_H
#define CORE_SRC_HTTP_IO_H

#include "http_conn.h"

#include <sys/types.h>
#include <sys/uio.h>

/* Bytes read; 0 at the peer's end; -EAGAIN; -EIO. Clears conn->readable when drained. */
ssize_t kn_http_io_read(struct kn_http_conn *conn, void *dst, size_t cap);
/* Bytes written, at least 1; -EAGAIN (clears conn->writable); -EIO. */
ssize_t kn_http_io_write(struct kn_http_conn *conn, const void *ptr, size_t len);
/* The same over two pieces; over TLS the second goes only when the first has gone whole. */
ssize_t kn_http_io_write2(struct kn_http_conn *conn, struct kn_bytes first, struct kn_bytes second);
/* The same, past TLS. */
ssize_t kn_http_io_send2(struct kn_http_conn *conn, struct kn_bytes first, struct kn_bytes second);
/* About how many bytes the socket's send buffer takes now. */
size_t kn_http_io_room(const struct kn_http_conn *conn);
ssize_t kn_http_io_send_file(struct kn_http_conn *conn, int fd, uint64_t off, size_t len);

/* http_tls.c */
int kn_http_tls_attach(struct kn_http_conn *conn) KN_MUSTUSE; /* makes conn->ssl */
/* 0 done, -EAGAIN, -EPROTO; -EBADMSG: HTTP without TLS has come, and nothing was sent. */
int kn_http_tls_handshake(struct kn_http_conn *conn) KN_MUSTUSE;
bool kn_http_tls_chose_h2(struct kn_http_conn *conn);
/* Writes the records that wait; true when none does. A failure sets conn->failed. */
bool kn_http_tls_flush(struct kn_http_conn *conn);
void kn_http_tls_close_notify(struct kn_http_conn *conn);
void kn_http_tls_free(struct kn_http_conn *conn);
ssize_t kn_http_tls_read(struct kn_http_conn *conn, void *dst, size_t cap);
ssize_t kn_http_tls_write(struct kn_http_conn *conn, const void *ptr, size_t len);

#endif
