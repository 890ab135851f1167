/* SPDX-License-Identifier: Apache-2.0 */
/* A keep-alive HTTP/1.1 client connection of the load generator, plain or TLS, on one epoll. */
#ifndef BENCH_HTTP_CLIENT_H
#define BENCH_HTTP_CLIENT_H

#include <openssl/ssl.h>

#include "core/buf.h"

enum {
    HTTP_CLIENT_HEAD_BYTES_MAX = 16 << 10,
    HTTP_CLIENT_BODY_BYTES_MAX = 64 << 20,
};

struct http_client {
    int fd;
    SSL *ssl;
    void (*answered)(struct http_client *conn); /* status, body and bytes are set */
    int64_t sent_ns;
    bool keep_body;
    int status;
    uint64_t bytes; /* of this answer's body */
    struct kn_buf body;
    /* the answer being read */
    enum {
        HTTP_CLIENT_IDLE,
        HTTP_CLIENT_HEAD,
        HTTP_CLIENT_LENGTH,
        HTTP_CLIENT_CHUNK_HEAD,
        HTTP_CLIENT_CHUNK,
        HTTP_CLIENT_CHUNK_TAIL,
        HTTP_CLIENT_LAST_TAIL
    } state;
    char head[HTTP_CLIENT_HEAD_BYTES_MAX];
    size_t head_len;
    uint64_t left;
};

struct http_client_where {
    uint16_t port;
    SSL_CTX *tls; /* NULL: plain */
    int epoll;
};

/* Connects, handshake included; prints and exits when it cannot. */
void http_client_open(struct http_client *conn, const struct http_client_where *where,
                      void (*answered)(struct http_client *conn));
/* One at a time; path is not kept. */
void http_client_get(struct http_client *conn, struct kn_str path, bool keep_body);
/* The socket is readable: takes what is there, calls answered(). */
void http_client_run(struct http_client *conn);

/* For one who has the socket himself: an answer is awaited; these bytes of it came. */
void http_client_await(struct http_client *conn, bool keep_body);
void http_client_feed(struct http_client *conn, struct kn_bytes bytes);

SSL_CTX *http_client_tls_new(void); /* TLS 1.3, AES-128-GCM */

#endif
