/* SPDX-License-Identifier: Apache-2.0 */
/* A keep-alive HTTP/1.1 client connection of the load generator, plain or TLS, on one epoll. */
#ifndef BENCH_LOAD_CONN_H
#define BENCH_LOAD_CONN_H

#include <openssl/ssl.h>

#include "core/buf.h"

enum {
    LOAD_HEAD_BYTES_MAX = 16 << 10,
    LOAD_BODY_BYTES_MAX = 64 << 20,
};

struct load_conn {
    int fd;
    SSL *ssl;
    void (*answered)(struct load_conn *conn); /* status, body and bytes are set */
    int64_t sent_ns;
    bool keep_body;
    int status;
    uint64_t bytes; /* of this answer's body */
    struct kn_buf body;
    /* the answer being read */
    enum {
        LOAD_IDLE,
        LOAD_HEAD,
        LOAD_LENGTH,
        LOAD_CHUNK_HEAD,
        LOAD_CHUNK,
        LOAD_CHUNK_TAIL,
        LOAD_LAST_TAIL
    } state;
    char head[LOAD_HEAD_BYTES_MAX];
    size_t head_len;
    uint64_t left;
};

struct load_where {
    uint16_t port;
    SSL_CTX *tls; /* NULL: plain */
    int epoll;
};

/* Connects, handshake included; prints and exits when it cannot. */
void load_conn_open(struct load_conn *conn, const struct load_where *where,
                    void (*answered)(struct load_conn *conn));
/* One at a time; path is not kept. */
void load_conn_get(struct load_conn *conn, struct kn_str path, bool keep_body);
/* The socket is readable: takes what is there, calls answered(). */
void load_conn_run(struct load_conn *conn);

SSL_CTX *load_tls_new(void); /* TLS 1.3, AES-128-GCM */
int64_t load_now_ns(void);
/* CPU time of all threads of a process, by the scheduler's own count. */
int64_t load_cpu_ns(int pid);
_Noreturn void load_die(const char *what);

#endif
