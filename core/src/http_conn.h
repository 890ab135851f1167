/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: socket, TLS, what was read and not yet used, what is still to be written, and
 * how it ends. The protocol above is a small table. All functions: the loop's thread.
 */
#ifndef CORE_SRC_HTTP_CONN_H
#define CORE_SRC_HTTP_CONN_H

#include "http_h1.h"
#include "http_loop.h"
#include "http_pace.h"

#include "core/buf.h"

enum {
    KN_HTTP_READ_ROUNDS = 4,            /* reads of one connection a turn */
    KN_HTTP_OUT_STALL_BYTES = 64 << 10, /* no new request is read while so much waits to go out */
    KN_HTTP_DRAIN_BYTES_MAX = 1 << 20,  /* after an early answer: read and dropped, so that a */
    KN_HTTP_DRAIN_MS = 2000,            /* reset does not eat the answer */
    KN_HTTP_LEFT_MS = 2000,
    KN_HTTP_PEER_BYTES = 56,
};

/* Registered once; edge-triggered in both directions. */
#define KN_HTTP_CONN_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

struct kn_http_proto {
    bool (*wants_input)(struct kn_http_conn *conn);
    /* Uses bytes of buf, which it may change: how many; what is left is offered again later. */
    size_t (*feed)(struct kn_http_conn *conn, uint8_t *buf, size_t len);
    void (*eof)(struct kn_http_conn *conn); /* the peer has closed its half */
    void (*produce)(
        struct kn_http_conn *conn); /* moves answers on as far as the socket takes them */
    int64_t (*read_due_ns)(struct kn_http_conn *conn); /* INT64_MAX: nothing is waited for */
    void (*timed_out)(struct kn_http_conn *conn);      /* that time has come */
    void (*gone)(struct kn_http_conn *conn, enum kn_http_why why); /* ends all requests */
    void (*drain)(struct kn_http_conn *conn);                      /* the server stops */
};

enum kn_http_phase {
    KN_HTTP_HANDSHAKE, /* of TLS */
    KN_HTTP_SERVING,
    KN_HTTP_LINGERING, /* answered; drops what still comes, until the peer closes */
    KN_HTTP_CLOSED,
};

struct kn_http_conn {
    struct kn_http_watch watch;
    struct kn_http_loop *loop;
    struct kn_http_listener *listener;
    struct kn_http_conn *next, **at; /* in loop->conns, then loop->dead */
    struct kn_http_conn *run_next;
    bool queued;

    int fd;
    struct ssl_st *ssl;
    bool tls_broken, tls_closed; /* no close_notify may be sent; it was sent */
    struct kn_buf tls_out;       /* records that the socket did not take yet */
    size_t tls_out_at;
    enum kn_http_phase phase;
    bool readable, writable; /* until the kernel says EAGAIN */
    bool peer_closed;        /* EPOLLRDHUP was seen */
    bool eof;                /* read() said 0 */
    bool hung_up;            /* EPOLLHUP or EPOLLERR: only what was received is left */
    bool failed;             /* the socket is of no use any more */
    bool more;               /* what is written now has its continuation right behind it */
    bool finish;             /* close once out is empty */

    const struct kn_http_proto *proto; /* NULL until the first bytes have shown it */
    struct kn_h1 h1;
    struct kn_h2 *h2;

    struct kn_buf in; /* read and not used */
    bool in_short;    /* of no use before more bytes have come */
    bool clean_end;   /* with finish: the peer owes no more bytes */
    struct kn_buf out;
    size_t out_at; /* bytes of out already written */
    size_t lingered_bytes;

    struct kn_http_pace pace;
    struct kn_http_timer timer;
    int64_t phase_ns;                    /* when this phase began */
    int64_t read_mark_ns, write_mark_ns; /* when bytes last passed, or waiting began */
    int64_t read_due_ns, write_due_ns;

    bool is_idle; /* no request is in progress: in the loop's list, longest idle first */
    int64_t idle_since_ns;
    struct kn_http_conn *idle_next, *idle_prev;
    size_t held_bytes; /* of its unfinished requests, as counted */

    bool is_still; /* its peer is waited for: in the loop's list, longest first */
    int64_t still_since_ns;
    struct kn_http_conn *still_next, *still_prev;
    size_t unsent_bytes; /* of its answers, as counted */

    char *client_name; /* in the client's certificate; NULL: it showed none */
    bool is_loopback;
    uint32_t peer_slot; /* in the server's table of peers */
    char peer[KN_HTTP_PEER_BYTES];
    size_t peer_len;
};

struct sockaddr;
/* Owns fd from here on, also when it fails. */
int kn_http_conn_new(struct kn_http_acceptor *acceptor, int fd, const struct sockaddr *address);
void kn_http_conn_free(struct kn_http_conn *conn);
void kn_http_conn_queue(struct kn_http_conn *conn); /* run it this turn, or at once in the next */
void kn_http_conn_run(struct kn_http_conn *conn);
/* Ends all requests and closes the socket now; freed at the end of the turn. */
void kn_http_conn_close(struct kn_http_conn *conn, enum kn_http_why why);
/* The same for a peer that takes nothing: what the kernel has for it goes too, by a reset, since it
 * would wait there for as long as the peer likes. */
void kn_http_conn_abandon(struct kn_http_conn *conn);
void kn_http_conn_drain(struct kn_http_conn *conn);

static inline size_t kn_http_conn_out_left(const struct kn_http_conn *conn)
{
    return conn->out.len - conn->out_at;
}

/* Adds to what goes out; nothing is written yet. A failure sets conn->failed. */
void kn_http_conn_append(struct kn_http_conn *conn, const void *ptr, size_t len);
/* Makes out a buffer with room for `more`; false: conn->failed. */
bool kn_http_conn_room(struct kn_http_conn *conn, size_t more);
/* Adds a large piece: writes what the socket takes at once and keeps a copy of the rest only. */
void kn_http_conn_write_through(struct kn_http_conn *conn, const void *ptr, size_t len);
/* Copies out's bytes to dst and empties it. */
void kn_http_conn_take_out(struct kn_http_conn *conn, uint8_t *dst);
/* Writes out; true when it is empty. */
bool kn_http_conn_flush(struct kn_http_conn *conn);
/* Sends part of a file: bytes sent; -EAGAIN; -EIO the socket or the file failed. */
ssize_t kn_http_conn_send_file(struct kn_http_conn *conn, int fd, uint64_t off, uint64_t len);

#endif
