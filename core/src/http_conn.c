/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's life: handshake, the protocol its first bytes name, serving, lingering, closed.
 * Whatever happens to it (an event, a wake-up, a deadline) only queues it; kn_http_conn_run then
 * does all there is to do in one fixed order: read, let the protocol work, write, set the timer.
 */
#include "http_guard.h"
#include "http_h2.h"
#include "http_io.h"
#include "http_server_impl.h"
#include "http_unsent.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"

/* --- beginning and end ------------------------------------------------------------------- */
static void conn_event(struct kn_http_watch *watch, uint32_t events)
{
    struct kn_http_conn *conn = KN_CONTAINER_OF(watch, struct kn_http_conn, watch);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn->readable = true;
    if (events & EPOLLOUT)
        conn->writable = true;
    if (events & EPOLLRDHUP)
        conn->peer_closed = true;
    if (events & (EPOLLHUP | EPOLLERR))
        conn->hung_up = true;
    kn_http_conn_queue(conn);
}

static void timer_fired(struct kn_http_timer *timer)
{
    kn_http_conn_queue(KN_CONTAINER_OF(timer, struct kn_http_conn, timer));
}

static void link_conn(struct kn_http_conn *conn)
{
    struct kn_http_loop *loop = conn->loop;
    conn->next = loop->conns;
    conn->at = &loop->conns;
    if (conn->next)
        conn->next->at = &conn->next;
    loop->conns = conn;
}

/* When there are too many connections, one that is idle makes room. */
static int join_peers(struct kn_http_conn *conn, const struct sockaddr *address)
{
    struct kn_http_peers *peers = &conn->loop->server->peers;
    int r = kn_http_peers_add(peers, address, &conn->peer_slot);
    if (r == -ENOSPC && kn_http_guard_make_room(conn->loop))
        r = kn_http_peers_add(peers, address, &conn->peer_slot);
    return r;
}

int kn_http_conn_new(struct kn_http_acceptor *acceptor, int fd, const struct sockaddr *address)
{
    struct kn_http_loop *loop = acceptor->loop;
    struct kn_http_conn *conn = calloc(1, sizeof(*conn));
    if (!conn || kn_http_timers_reserve(&loop->timers, 1) < 0) {
        free(conn);
        close(fd);
        return -ENOMEM;
    }
    conn->watch.event = conn_event;
    conn->timer.fire = timer_fired;
    conn->loop = loop;
    conn->listener = acceptor->listener;
    conn->fd = fd;
    conn->phase = conn->listener->tls ? KN_HTTP_HANDSHAKE : KN_HTTP_SERVING;
    conn->phase_ns = conn->read_mark_ns = conn->write_mark_ns = loop->now_ns;
    conn->read_due_ns = conn->write_due_ns = INT64_MAX;
    conn->writable = true; /* a new socket is; readable is said by the first event */
    conn->peer_slot = KN_HTTP_PEER_NONE;
    conn->peer_len = kn_http_peer_name(address, conn->peer, sizeof(conn->peer), &conn->is_loopback);
    link_conn(conn);
    kn_metric_add(conn->listener->connections, 1);
    int on = 1;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = KN_HTTP_CONN_EVENTS, .data.ptr = &conn->watch};
    int r = join_peers(conn, address);
    if (r == 0 && conn->listener->tls)
        r = kn_http_tls_attach(conn);
    if (r == 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        r = -EIO;
    if (r < 0) {
        kn_metric_add(conn->listener->refused, 1);
        kn_http_conn_close(conn, KN_HTTP_ERROR);
    }
    kn_http_conn_queue(conn); /* its first bytes may be there; if closed, it is freed there */
    return r;
}

void kn_http_conn_free(struct kn_http_conn *conn)
{
    kn_http_timers_give_back(&conn->loop->timers, 1);
    free(conn->client_name);
    free(conn);
}

void kn_http_conn_queue(struct kn_http_conn *conn)
{
    if (conn->queued || conn->phase == KN_HTTP_CLOSED)
        return;
    conn->queued = true;
    conn->run_next = NULL;
    *conn->loop->run_end = conn;
    conn->loop->run_end = &conn->run_next;
}

void kn_http_conn_close(struct kn_http_conn *conn, enum kn_http_why why)
{
    if (conn->phase == KN_HTTP_CLOSED)
        return;
    conn->phase = KN_HTTP_CLOSED;
    if (conn->proto)
        conn->proto->gone(conn, why);
    kn_http_timer_clear(&conn->loop->timers, &conn->timer);
    kn_http_guard_leave(conn);
    kn_http_unsent_leave(conn);
    if (conn->ssl)
        kn_http_tls_free(conn);
    /* By hand: closing takes it out of the set only if no other descriptor is left, and a process
     * that is being started has one of each until it runs its own program. */
    struct kn_http_loop *loop = conn->loop;
    (void) epoll_ctl(conn->pace.on ? loop->pacer.epoll_fd : loop->epoll_fd, EPOLL_CTL_DEL, conn->fd,
                     NULL);
    close(conn->fd);
    kn_http_pace_closed(conn);
    conn->fd = -1;
    kn_http_peers_remove(&conn->loop->server->peers, conn->peer_slot);
    kn_metric_add(conn->listener->connections, -1);
    kn_http_loop_give_buf(conn->loop, &conn->in);
    kn_http_loop_give_buf(conn->loop, &conn->out);

    *conn->at = conn->next;
    if (conn->next)
        conn->next->at = conn->at;
    conn->next = conn->loop->dead;
    conn->loop->dead = conn;
}

void kn_http_conn_abandon(struct kn_http_conn *conn)
{
    const struct linger now = {.l_onoff = 1};
    (void) setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    kn_http_conn_close(conn, KN_HTTP_TIMEOUT);
}

void kn_http_conn_drain(struct kn_http_conn *conn)
{
    if (conn->phase == KN_HTTP_HANDSHAKE || (conn->phase == KN_HTTP_SERVING && !conn->proto))
        kn_http_conn_close(conn, KN_HTTP_SHUTDOWN);
    else if (conn->phase == KN_HTTP_SERVING)
        conn->proto->drain(conn);
    kn_http_conn_queue(conn);
}

/* --- output ------------------------------------------------------------------------------ */
bool kn_http_conn_room(struct kn_http_conn *conn, size_t more)
{
    if (kn_http_conn_out_left(conn) == 0)
        conn->write_mark_ns = conn->loop->now_ns;
    if (!conn->out.ptr)
        conn->out = kn_http_loop_take_buf(conn->loop);
    if (conn->out_at > 0 && conn->out.cap - conn->out.len < more) {
        kn_buf_consume(&conn->out, conn->out_at);
        conn->out_at = 0;
    }
    if (kn_buf_reserve(&conn->out, more) < 0)
        conn->failed = true;
    return !conn->failed;
}

void kn_http_conn_append(struct kn_http_conn *conn, const void *ptr, size_t len)
{
    if (len > 0 && kn_http_conn_room(conn, len) && kn_buf_append(&conn->out, ptr, len) < 0)
        conn->failed = true;
}

static void wrote_some(struct kn_http_conn *conn, size_t n)
{
    conn->write_mark_ns = conn->loop->now_ns;
    kn_metric_add(conn->listener->bytes_out, (int64_t) n);
}

static void give_out_back(struct kn_http_conn *conn)
{
    conn->out_at = 0;
    kn_http_loop_give_buf(conn->loop, &conn->out);
}

void kn_http_conn_take_out(struct kn_http_conn *conn, uint8_t *dst)
{
    size_t len = kn_http_conn_out_left(conn);
    if (len > 0)
        memcpy(dst, conn->out.ptr + conn->out_at, len);
    give_out_back(conn);
}

void kn_http_conn_write_through(struct kn_http_conn *conn, const void *ptr, size_t len)
{
    const uint8_t *at = ptr;
    while (len > 0 && conn->writable && !conn->failed) {
        struct kn_bytes first = kn_bytes_skip(kn_buf_bytes(&conn->out), conn->out_at);
        ssize_t n = kn_http_io_write2(conn, first, (struct kn_bytes){at, len});
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            conn->failed = true;
            return;
        }
        wrote_some(conn, (size_t) n);
        size_t of_first = kn_min_u64((size_t) n, first.len);
        conn->out_at += of_first;
        at += (size_t) n - of_first;
        len -= (size_t) n - of_first;
    }
    if (kn_http_conn_out_left(conn) == 0 && conn->out.ptr)
        give_out_back(conn);
    kn_http_conn_append(conn, at, len);
}

bool kn_http_conn_flush(struct kn_http_conn *conn)
{
    while (kn_http_conn_out_left(conn) > 0 && conn->writable && !conn->failed) {
        ssize_t n =
            kn_http_io_write(conn, conn->out.ptr + conn->out_at, kn_http_conn_out_left(conn));
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            conn->failed = true;
            break;
        }
        conn->out_at += (size_t) n;
        wrote_some(conn, (size_t) n);
    }
    if (kn_http_conn_out_left(conn) > 0)
        return false;
    if (conn->out.ptr)
        give_out_back(conn);
    return !conn->ssl || kn_http_tls_flush(conn);
}

ssize_t kn_http_conn_send_file(struct kn_http_conn *conn, int fd, uint64_t off, uint64_t len)
{
    size_t want = (size_t) kn_min_u64(len, 1 << 20);
    ssize_t n;
    if (!conn->ssl) {
        n = kn_http_io_send_file(conn, fd, off, want);
    } else {
        want = (size_t) kn_min_u64(len, 64 << 10);
        if (!kn_http_conn_room(conn, want))
            return -EIO;
        n = pread(fd, conn->out.ptr + conn->out.len, want, (off_t) off);
        if (n <= 0)
            return -EIO;
        conn->out.len += (size_t) n;
        (void) kn_http_conn_flush(conn);
        return conn->failed ? -EIO : n;
    }
    if (n > 0)
        wrote_some(conn, (size_t) n);
    return n;
}

/* --- input ------------------------------------------------------------------------------- */
static void choose(struct kn_http_conn *conn, const struct kn_http_proto *proto)
{
    if (proto == &kn_h2_proto && kn_h2_open(conn) < 0) {
        conn->failed = true;
        return;
    }
    conn->proto = proto;
}

/* HTTP/2 with prior knowledge shows itself by its preface, plain or behind TLS without ALPN (AWS
 * SDK for Java: PROTOCOL_NEGOTIATION=ASSUME_PROTOCOL). Returns false when more bytes are needed. */
static bool classify(struct kn_http_conn *conn, const uint8_t *buf, size_t len)
{
    size_t n = kn_min_u64(len, NGHTTP2_CLIENT_MAGIC_LEN);
    if (!conn->listener->h2 || memcmp(buf, NGHTTP2_CLIENT_MAGIC, n) != 0) {
        choose(conn, &kn_h1_proto);
        return true;
    }
    if (n < NGHTTP2_CLIENT_MAGIC_LEN)
        return false;
    choose(conn, &kn_h2_proto);
    return true;
}

static size_t feed(struct kn_http_conn *conn, uint8_t *buf, size_t len)
{
    if (conn->phase == KN_HTTP_LINGERING) {
        conn->lingered_bytes += len;
        if (conn->lingered_bytes > KN_HTTP_DRAIN_BYTES_MAX)
            conn->failed = true;
        return len;
    }
    if (!conn->proto && !classify(conn, buf, len))
        return 0;
    return conn->failed ? 0 : conn->proto->feed(conn, buf, len);
}

static bool wants_input(struct kn_http_conn *conn)
{
    if (conn->failed || conn->phase == KN_HTTP_CLOSED)
        return false;
    if (conn->phase == KN_HTTP_LINGERING)
        return true;
    return !conn->finish && (!conn->proto || conn->proto->wants_input(conn));
}

static void keep_rest(struct kn_http_conn *conn, const uint8_t *ptr, size_t len)
{
    if (len == 0 || conn->failed)
        return;
    if (!conn->in.ptr)
        kn_buf_init(&conn->in, KN_HTTP_READ_BUF_BYTES);
    if (kn_buf_append(&conn->in, ptr, len) < 0)
        conn->failed = true;
}

/* What was left over goes first; used bytes never stay anywhere. */
static void feed_kept(struct kn_http_conn *conn)
{
    if (conn->in.len == 0 || conn->in_short || !wants_input(conn))
        return;
    size_t used = feed(conn, conn->in.ptr, conn->in.len);
    if (conn->phase == KN_HTTP_CLOSED)
        return;
    kn_buf_consume(&conn->in, used);
    conn->in_short = wants_input(conn);
    if (conn->in.len == 0)
        kn_buf_done(&conn->in);
}

static void read_once(struct kn_http_conn *conn)
{
    uint8_t *buf = conn->loop->read_buf;
    size_t kept = conn->in.len;
    kn_assert(kept + KN_HTTP_READ_BYTES <= KN_HTTP_READ_BUF_BYTES);
    ssize_t n = kn_http_io_read(conn, buf + kept, KN_HTTP_READ_BYTES);
    if (n == -EAGAIN)
        return;
    if (n < 0) {
        conn->failed = true;
        return;
    }
    if (n == 0) {
        conn->eof = true;
        conn->readable = false;
        return;
    }
    conn->read_mark_ns = conn->loop->now_ns;
    conn->pace.bytes += (uint64_t) n;
    kn_metric_add(conn->listener->bytes_in, n);
    if (kept > 0) {
        memcpy(buf, conn->in.ptr, kept);
        kn_buf_done(&conn->in);
    }
    size_t len = kept + (size_t) n, used = feed(conn, buf, len);
    if (conn->phase == KN_HTTP_CLOSED)
        return;
    keep_rest(conn, buf + used, len - used);
    conn->in_short = wants_input(conn);
}

static void input(struct kn_http_conn *conn)
{
    feed_kept(conn);
    for (int i = 0; i < KN_HTTP_READ_ROUNDS && conn->readable && wants_input(conn); i++)
        read_once(conn);
    if (conn->phase == KN_HTTP_CLOSED)
        return;
    bool serving = conn->phase == KN_HTTP_SERVING;
    if (conn->eof && (!serving || !conn->proto))
        conn->failed = true;
    else if (conn->eof || (serving && conn->proto && conn->peer_closed && !wants_input(conn)))
        conn->proto->eof(conn);
    if (conn->hung_up && !(conn->readable && wants_input(conn)))
        conn->failed = true;
}

/* --- running ----------------------------------------------------------------------------- */
/* Everything is answered and written: say so to the peer, and wait a little for it to have read
 * the answer when it may still be sending, since a reset would take the answer from it. */
static void finish(struct kn_http_conn *conn)
{
    if (conn->ssl)
        kn_http_tls_close_notify(conn);
    bool may_send = conn->in.len > 0 || conn->readable || !conn->clean_end;
    if (conn->eof || !may_send || shutdown(conn->fd, SHUT_WR) < 0) {
        kn_http_conn_close(conn, KN_HTTP_DONE);
        return;
    }
    conn->phase = KN_HTTP_LINGERING;
    conn->phase_ns = conn->loop->now_ns;
    kn_buf_done(&conn->in);
    kn_http_conn_queue(conn);
}

/* Who speaks HTTP to a port of TLS has an http:// where https:// is meant, and is told so. */
static void refuse_plain(struct kn_http_conn *conn)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "content-type: text/plain; charset=utf-8\r\n"
                                 "content-length: 57\r\nconnection: close\r\n\r\n"
                                 "This port speaks TLS: its address begins with https://.\r\n";
    kn_http_tls_free(conn);
    kn_http_conn_append(conn, answer, sizeof answer - 1);
    if (kn_http_conn_flush(conn))
        finish(conn);
    else
        conn->failed = true;
}

static void handshake(struct kn_http_conn *conn)
{
    int r = kn_http_tls_handshake(conn);
    if (r == -EAGAIN)
        return;
    if (r == -EBADMSG) {
        refuse_plain(conn);
        return;
    }
    if (r < 0) {
        conn->failed = true;
        return;
    }
    conn->phase = KN_HTTP_SERVING;
    conn->phase_ns = conn->loop->now_ns;
    /* The first request may have come with the end of the handshake. OpenSSL then holds it, and
     * when the handshake ran ahead of the event for these bytes, no event ever comes. */
    conn->readable = true;
    if (kn_http_tls_chose_h2(conn))
        choose(conn, &kn_h2_proto);
}

static int64_t read_due_ns(struct kn_http_conn *conn)
{
    const struct kn_http_conf *conf = conn->loop->conf;
    uint64_t ms = conf->head_timeout_ms;
    if (conn->phase == KN_HTTP_HANDSHAKE)
        ms = conf->tls_handshake_timeout_ms;
    else if (conn->phase == KN_HTTP_LINGERING)
        ms = KN_HTTP_DRAIN_MS;
    else if (conn->proto)
        return conn->proto->read_due_ns(conn);
    return conn->phase_ns + (int64_t) ms * 1000000;
}

static void set_due(struct kn_http_conn *conn)
{
    bool writing = kn_http_conn_out_left(conn) > 0 || !conn->writable;
    int64_t write_ns = (int64_t) conn->loop->conf->write_timeout_ms * 1000000;
    conn->read_due_ns = read_due_ns(conn);
    conn->write_due_ns = writing ? conn->write_mark_ns + write_ns : INT64_MAX;
}

static bool is_due(const struct kn_http_conn *conn)
{
    return kn_min_i64(conn->read_due_ns, conn->write_due_ns) <= conn->loop->now_ns;
}

static void set_timer(struct kn_http_conn *conn)
{
    set_due(conn);
    int64_t due_ns = kn_min_i64(conn->read_due_ns, conn->write_due_ns);
    due_ns = kn_min_i64(due_ns, kn_http_pace_due_ns(conn));
    if (due_ns == INT64_MAX)
        kn_http_timer_clear(&conn->loop->timers, &conn->timer);
    else
        kn_http_timer_set(&conn->loop->timers, &conn->timer, due_ns);
}

static void check_timeouts(struct kn_http_conn *conn)
{
    int64_t now_ns = conn->loop->now_ns;
    bool reading = conn->read_due_ns <= now_ns, writing = conn->write_due_ns <= now_ns;
    conn->read_due_ns = conn->write_due_ns = INT64_MAX;
    if (writing)
        kn_http_conn_abandon(conn);
    else if (reading && (conn->phase != KN_HTTP_SERVING || !conn->proto))
        kn_http_conn_close(conn, KN_HTTP_TIMEOUT);
    else if (reading)
        conn->proto->timed_out(conn);
}

static void work(struct kn_http_conn *conn)
{
    input(conn);
    if (conn->phase == KN_HTTP_SERVING && conn->proto && !conn->failed)
        conn->proto->produce(conn);
    if (conn->phase == KN_HTTP_CLOSED || conn->failed || !kn_http_conn_flush(conn))
        return;
    if (conn->finish && conn->phase == KN_HTTP_SERVING)
        finish(conn);
}

static bool is_open(const struct kn_http_conn *conn)
{
    return conn->phase == KN_HTTP_SERVING || conn->phase == KN_HTTP_LINGERING;
}

/* What the socket holds is read before anybody is said to have been silent: it may be we who were
 * (the process was stopped, or a loop kept from running). */
static void judge_time(struct kn_http_conn *conn)
{
    if (conn->phase == KN_HTTP_CLOSED || conn->failed)
        return;
    set_due(conn);
    if (!is_due(conn))
        return;
    check_timeouts(conn);
    if (is_open(conn))
        work(conn); /* its last words */
}

void kn_http_conn_run(struct kn_http_conn *conn)
{
    if (conn->phase == KN_HTTP_CLOSED)
        return;
    bool due = is_due(conn);
    kn_http_pace_begin(conn);
    if (conn->phase == KN_HTTP_HANDSHAKE && kn_http_tls_flush(conn))
        handshake(conn);
    if (is_open(conn))
        work(conn);
    if (due)
        judge_time(conn);
    if (conn->phase == KN_HTTP_CLOSED)
        return;
    if (conn->failed) {
        kn_http_conn_close(conn, KN_HTTP_PEER_GONE);
        return;
    }
    kn_http_guard_update(conn);
    kn_http_unsent_update(conn);
    if (conn->phase == KN_HTTP_CLOSED)
        return;
    if (wants_input(conn) && (conn->readable || (conn->in.len > 0 && !conn->in_short)))
        kn_http_conn_queue(conn);
    kn_http_pace_settle(conn);
    set_timer(conn);
}
