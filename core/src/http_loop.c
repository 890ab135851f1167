/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop. Sockets are registered once, edge-triggered for both directions; a connection
 * remembers what it may still read or write, so back-pressure costs no system call. Callbacks only
 * ever run from here, one connection after the other.
 */
#include "http_loop.h"

#include "http_conn.h"
#include "http_h1.h"
#include "http_h2.h"
#include "http_req.h"
#include "http_unsent.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/log.h"

enum {
    EVENTS_MAX = 256
};

static void box_event(struct kn_http_watch *watch, uint32_t events)
{
    (void) watch;
    (void) events; /* the mailbox is emptied at the start of each turn */
}

static void drain_over(struct kn_http_timer *timer)
{
    struct kn_http_loop *loop = KN_CONTAINER_OF(timer, struct kn_http_loop, drain_timer);
    loop->closing = true;
    for (struct kn_http_conn *conn = loop->conns, *next; conn; conn = next) {
        next = conn->next;
        kn_http_conn_close(conn, KN_HTTP_SHUTDOWN);
    }
}

static void stop_deliver(struct kn_http_mail *mail)
{
    struct kn_http_loop *loop = KN_CONTAINER_OF(mail, struct kn_http_loop, stop_mail);
    if (loop->draining)
        return;
    loop->draining = true;
    for (unsigned i = 0; i < loop->acceptor_count; i++)
        kn_http_acceptor_stop(&loop->acceptors[i]);
    kn_http_timer_set(&loop->timers, &loop->drain_timer,
                      loop->now_ns + atomic_load(&loop->drain_ms) * 1000000);
    for (struct kn_http_conn *conn = loop->conns, *next; conn; conn = next) {
        next = conn->next;
        kn_http_conn_drain(conn);
    }
}

static int open_buffers(struct kn_http_loop *loop)
{
    loop->read_buf = malloc(KN_HTTP_READ_BUF_BYTES);
    loop->headers = calloc(loop->conf->headers_max, sizeof(*loop->headers));
    if (!loop->read_buf || !loop->headers)
        return -ENOMEM;
    memset(loop->read_buf, 0,
           KN_HTTP_READ_BUF_BYTES); /* its pages are there before the first byte */
    for (unsigned i = 0; i < KN_HTTP_SPARES_FIRST; i++) {
        uint8_t *ptr = malloc(KN_HTTP_OUT_BUF_BYTES);
        if (!ptr)
            return -ENOMEM;
        memset(ptr, 0, KN_HTTP_OUT_BUF_BYTES);
        loop->spares[loop->spare_count++] = (struct kn_http_spare){ptr, KN_HTTP_OUT_BUF_BYTES};
    }
    return 0;
}

int kn_http_loop_open(struct kn_http_loop *loop)
{
    loop->epoll_fd = loop->pacer.epoll_fd = -1;
    loop->run_end = &loop->run;
    loop->date_s = -1;
    loop->box_watch.event = box_event;
    loop->stop_mail.deliver = stop_deliver;
    loop->room_mail.deliver = kn_http_unsent_room_wanted;
    atomic_init(&loop->still_since_ns, INT64_MAX);
    loop->drain_timer.fire = drain_over;
    loop->now_ns = kn_mono_ns(loop->clock);
    int r = open_buffers(loop);
    if (r == 0)
        r = kn_http_mailbox_open(&loop->box);
    if (r == 0) /* the drain and one retry a listener */
        r = kn_http_timers_reserve(&loop->timers, 1 + KN_HTTP_LISTENERS_MAX);
    if (r < 0)
        return r;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->box_watch};
    if (loop->epoll_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->box->event_fd, &event) < 0)
        return -EIO;
    return kn_http_pacer_open(loop);
}

void kn_http_loop_close(struct kn_http_loop *loop)
{
    kn_assert(!loop->conns && loop->request_count == 0);
    kn_http_loop_gates_done(loop);
    kn_http_h1_spares_done(loop);
    kn_h2_spares_done(loop);
    while (loop->spare_count > 0)
        free(loop->spares[--loop->spare_count].ptr);
    free(loop->read_buf);
    free(loop->stage);
    kn_buf_done(&loop->records);
    free(loop->headers);
    kn_http_timers_done(&loop->timers);
    kn_http_pacer_close(loop);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->box)
        kn_http_mailbox_close(loop->box);
}

const char *kn_http_loop_date(struct kn_http_loop *loop)
{
    int64_t wall_ms = kn_wall_ms(loop->clock);
    if (wall_ms / 1000 != loop->date_s) {
        loop->date_s = wall_ms / 1000;
        kn_time_http(wall_ms, loop->date);
    }
    return loop->date;
}

struct kn_buf kn_http_loop_take_buf(struct kn_http_loop *loop)
{
    struct kn_buf buf;
    kn_buf_init(&buf, KN_HTTP_OUT_BYTES_MAX);
    if (loop->spare_count > 0) {
        struct kn_http_spare *spare = &loop->spares[--loop->spare_count];
        buf.ptr = spare->ptr;
        buf.cap = spare->cap;
    } else {
        (void) kn_buf_reserve(&buf, KN_HTTP_OUT_BUF_BYTES); /* a failure shows at the append */
    }
    return buf;
}

void kn_http_loop_give_buf(struct kn_http_loop *loop, struct kn_buf *buf)
{
    bool pooled = buf->cap >= KN_HTTP_OUT_BUF_BYTES && buf->cap <= 2 * KN_HTTP_OUT_BUF_BYTES;
    if (buf->ptr && pooled && loop->spare_count < KN_HTTP_SPARES) {
        loop->spares[loop->spare_count++] = (struct kn_http_spare){buf->ptr, buf->cap};
        *buf = (struct kn_buf){0};
        return;
    }
    kn_buf_done(buf);
}

uint8_t *kn_http_loop_stage(struct kn_http_loop *loop)
{
    const size_t bytes = KN_HTTP_STAGE_HEAD_BYTES + KN_HTTP_STAGE_BYTES;
    if (!loop->stage && (loop->stage = malloc(bytes)))
        memset(loop->stage, 0, bytes); /* all page faults now, not one by one under answers */
    return loop->stage;
}

/* --- one turn ---------------------------------------------------------------------------- */
static void deliver_mail(struct kn_http_loop *loop)
{
    struct kn_http_mail *mail;
    kn_http_mailbox_begin(loop->box);
    while ((mail = kn_http_mailbox_next_mail(loop->box))) /* first: gates wake requests */
        mail->deliver(mail);
    struct kn_http_slot *slot = kn_http_mailbox_take(loop->box), *next;
    for (; slot; slot = next) {
        next = slot->next_taken;
        uint32_t bits = slot->taken_bits;
        slot->taken_bits = 0;
        if (!slot->req || !bits) /* gone since it was woken */
            continue;
        struct kn_http_req *req = slot->req;
        kn_http_req_wake(req, bits);
        req->backend->touch(req);
    }
}

static void run_conns(struct kn_http_loop *loop)
{
    struct kn_http_conn *conn = loop->run;
    loop->run = NULL; /* who asks again while running is run in the next turn */
    loop->run_end = &loop->run;
    while (conn) {
        struct kn_http_conn *next = conn->run_next;
        conn->queued = false;
        kn_http_conn_run(conn);
        conn = next;
    }
    for (struct kn_http_conn **at = &loop->dead, *dead; (dead = *at);) {
        if (dead->queued) { /* for the next turn: still in that list */
            at = &dead->next;
            continue;
        }
        *at = dead->next;
        kn_http_conn_free(dead);
    }
}

static int wait_ms(struct kn_http_loop *loop)
{
    if (loop->run)
        return 0;
    int64_t next_ns = kn_http_timers_next(&loop->timers);
    if (next_ns == INT64_MAX)
        return -1;
    int64_t in_ns = next_ns - kn_mono_ns(loop->clock);
    return in_ns <= 0 ? 0 : (int) kn_min_i64(in_ns / 1000000 + 1, 60000);
}

static void turn(struct kn_http_loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    int n;
    do { /* a process that was stopped comes back with EINTR: bytes first, then timers */
        n = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, wait_ms(loop));
        kn_assert(n >= 0 || errno == EINTR);
    } while (n < 0);
    loop->now_ns = kn_mono_ns(loop->clock);
    deliver_mail(loop);
    for (int i = 0; i < n; i++) {
        struct kn_http_watch *watch = events[i].data.ptr;
        watch->event(watch, events[i].events);
    }
    kn_http_timers_run(&loop->timers, loop->now_ns);
    run_conns(loop);
}

static void *loop_main(void *arg)
{
    struct kn_http_loop *loop = arg;
    for (unsigned i = 0; i < loop->acceptor_count; i++)
        kn_http_acceptor_start(&loop->acceptors[i]);
    while (!loop->draining || loop->conns || loop->dead || loop->request_count > 0)
        turn(loop);
    kn_http_timer_clear(&loop->timers, &loop->drain_timer);
    kn_http_timer_clear(&loop->timers, &loop->pacer.timer);
    return NULL;
}

int kn_http_loop_start(struct kn_http_loop *loop)
{
    char name[16];
    (void) snprintf(name, sizeof(name), "http-%u", loop->index);
    int r = kn_thread_start(&loop->thread, name, loop_main, loop);
    loop->started = r == 0;
    return r;
}

void kn_http_loop_stop(struct kn_http_loop *loop, int64_t drain_ms)
{
    atomic_store(&loop->drain_ms, drain_ms);
    kn_http_mailbox_post(loop->box, &loop->stop_mail);
}
