/* SPDX-License-Identifier: Apache-2.0 */
/* Two epoll sets a loop, and when a socket moves between them. See http_pace.h for why. */
#include "http_pace.h"

#include "http_conn.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256
};

static int64_t pace_ns(const struct kn_http_loop *loop)
{
    return (int64_t) loop->conf->pace_ms * 1000000;
}

static void look(struct kn_http_timer *timer)
{
    struct kn_http_loop *loop = KN_CONTAINER_OF(timer, struct kn_http_loop, pacer.timer);
    struct epoll_event events[EVENTS_MAX];
    int n;
    do {
        n = epoll_wait(loop->pacer.epoll_fd, events, EVENTS_MAX, 0);
        for (int i = 0; i < n; i++) {
            struct kn_http_watch *watch = events[i].data.ptr;
            watch->event(watch, events[i].events);
        }
    } while (n == EVENTS_MAX);
    int64_t next_ns = timer->due_ns + pace_ns(loop); /* in step with who is left alone */
    if (loop->pacer.count > 0)
        kn_http_timer_set(&loop->timers, timer,
                          next_ns > loop->now_ns ? next_ns : loop->now_ns + pace_ns(loop));
}

int kn_http_pacer_open(struct kn_http_loop *loop)
{
    loop->pacer.timer.fire = look;
    loop->pacer.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->pacer.epoll_fd < 0)
        return -EIO;
    return kn_http_timers_reserve(&loop->timers, 1);
}

void kn_http_pacer_close(struct kn_http_loop *loop)
{
    if (loop->pacer.epoll_fd >= 0)
        close(loop->pacer.epoll_fd);
}

/* While any are paced, the loop looks by itself. */
static void count(struct kn_http_loop *loop, bool on)
{
    loop->pacer.count += on ? 1u : -1u;
    if (loop->pacer.count == (on ? 1 : 0))
        kn_http_mailbox_ticks(loop->box, on);
    if (on && loop->pacer.count == 1)
        kn_http_timer_set(&loop->timers, &loop->pacer.timer, loop->now_ns + pace_ns(loop));
}

/* What is readable by then shows as an event of the set that it comes into: nothing is missed. */
static void move(struct kn_http_conn *conn, bool on)
{
    struct kn_http_loop *loop = conn->loop;
    int from = on ? loop->epoll_fd : loop->pacer.epoll_fd;
    int to = on ? loop->pacer.epoll_fd : loop->epoll_fd;
    struct epoll_event event = {.events = KN_HTTP_CONN_EVENTS, .data.ptr = &conn->watch};
    if (epoll_ctl(to, EPOLL_CTL_ADD, conn->fd, &event) < 0) {
        conn->failed |= !on; /* it can stay prompt, but not stay where nobody may wait for it */
        return;
    }
    (void) epoll_ctl(from, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->pace.on = on;
    count(loop, on);
}

/* A look of the pacer, the first that is not before at_ns: all who wait for it wake the loop once.
 */
static int64_t look_at_ns(const struct kn_http_loop *loop, int64_t at_ns)
{
    int64_t step_ns = pace_ns(loop), next_ns = loop->pacer.timer.due_ns;
    kn_assert(step_ns > 0); /* else nobody is paced */
    int64_t steps = at_ns > next_ns ? (at_ns - next_ns + step_ns - 1) / step_ns : 0;
    return next_ns + steps * step_ns;
}

/* The kernel looks at what is there already: nothing is missed. */
static void set_calm(struct kn_http_conn *conn, bool calm)
{
    int bytes = calm ? KN_HTTP_PACE_CALM_BYTES : 1;
    if (conn->pace.calm != calm &&
        setsockopt(conn->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)) == 0)
        conn->pace.calm = calm;
}

/* What has not come by the time that was said is looked for at each look, and so is the rest of
 * many bytes of which some had come when the event was raised: it may be too few for another. */
static void settle_calm(struct kn_http_conn *conn, bool many)
{
    struct kn_http_pace *pace = &conn->pace;
    int64_t now_ns = conn->loop->now_ns;
    if (pace->on && pace->said) {
        set_calm(conn, !many && pace->due_ns > now_ns + pace_ns(conn->loop));
        if (pace->calm)
            pace->due_ns = look_at_ns(conn->loop, pace->due_ns);
    } else if (!pace->on || pace->due_ns <= now_ns) {
        set_calm(conn, false);
    }
    pace->said = false;
}

void kn_http_pace_begin(struct kn_http_conn *conn)
{
    if (conn->pace.calm && conn->pace.due_ns <= conn->loop->now_ns)
        conn->readable = true;
}

int64_t kn_http_pace_due_ns(const struct kn_http_conn *conn)
{
    return conn->pace.calm ? conn->pace.due_ns : INT64_MAX;
}

void kn_http_pace_allow(struct kn_http_conn *conn, uint32_t calm_ms)
{
    bool allowed = calm_ms > 0;
    conn->pace.due_ns = conn->loop->now_ns + (int64_t) calm_ms * 1000000;
    conn->pace.said = true;
    if (conn->pace.allowed == allowed)
        return;
    conn->pace.allowed = allowed;
    conn->pace.bytes = 0;
    conn->pace.since_ns = conn->loop->now_ns;
    kn_http_conn_queue(conn);
}

/* Whether what came while it was watched is little enough. */
static bool is_slow(const struct kn_http_conn *conn)
{
    int64_t took_ns = conn->loop->now_ns - conn->pace.since_ns;
    int64_t looks = took_ns / pace_ns(conn->loop) + 1;
    return conn->pace.bytes / (uint64_t) looks < KN_HTTP_PACE_BYTES_MAX / 2;
}

void kn_http_pace_settle(struct kn_http_conn *conn)
{
    struct kn_http_pace *pace = &conn->pace;
    int64_t now_ns = conn->loop->now_ns;
    bool allowed = pace->allowed && conn->phase == KN_HTTP_SERVING && conn->loop->conf->pace_ms > 0;
    if (pace->on && (!allowed || pace->bytes > KN_HTTP_PACE_BYTES_MAX)) {
        move(conn, false);
    } else if (allowed && !pace->on) {
        if (now_ns - pace->since_ns < KN_HTTP_PACE_WATCH_MS * INT64_C(1000000))
            return; /* still watched */
        if (is_slow(conn))
            move(conn, true);
    }
    bool many = pace->bytes >= KN_HTTP_PACE_CALM_BYTES;
    pace->bytes = 0;
    pace->since_ns = now_ns;
    settle_calm(conn, many);
}

void kn_http_pace_closed(struct kn_http_conn *conn)
{
    if (conn->pace.on)
        count(conn->loop, false);
    conn->pace.on = false;
}
