/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's helper thread: deadlines of parked requests, and an epoll that notices when the
 * peer of a suspended connection has left (libmicrohttpd would keep its socket for ever).
 */
#include "http_mhd.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 64
};

static void run_timers(struct kn_mhd_watch *watch, int *ret_wait_ms, bool *ret_stop)
{
    KN_LOCKED(&watch->lock);
    int64_t now_ns = kn_mono_ns(watch->clock);
    kn_http_timers_run(&watch->timers, now_ns);
    int64_t next_ns = kn_http_timers_next(&watch->timers);
    *ret_wait_ms =
        next_ns == INT64_MAX ? -1 : (int) kn_min_i64((next_ns - now_ns) / 1000000 + 1, 60000);
    *ret_stop = watch->stopping;
}

static void *watch_main(void *arg)
{
    struct kn_mhd_watch *watch = arg;
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int wait_ms;
        bool stop;
        run_timers(watch, &wait_ms, &stop);
        if (stop)
            return NULL;
        int n = epoll_wait(watch->epoll_fd, events, EVENTS_MAX, wait_ms);
        for (int i = 0; i < n; i++) {
            eventfd_t count;
            if (events[i].data.u64 == 0)
                (void) eventfd_read(watch->event_fd, &count);
            else
                kn_http_wake((struct kn_http_ref){events[i].data.u64}, KN_HTTP_WAKE_LEFT);
        }
    }
}

int kn_mhd_watch_start(struct kn_mhd_watch *watch, struct kn_clock *clock)
{
    kn_lock_init(&watch->lock);
    watch->clock = clock;
    watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    if (watch->epoll_fd < 0 || watch->event_fd < 0 ||
        epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->event_fd, &event) < 0)
        return -EIO;
    int r = kn_thread_start(&watch->thread, "console-watch", watch_main, watch);
    watch->started = r == 0;
    return r;
}

void kn_mhd_watch_stop(struct kn_mhd_watch *watch)
{
    if (watch->started) {
        kn_lock_take(&watch->lock);
        watch->stopping = true;
        kn_lock_give(&watch->lock);
        (void) eventfd_write(watch->event_fd, 1);
        pthread_join(watch->thread, NULL);
    }
    if (watch->event_fd >= 0)
        close(watch->event_fd);
    if (watch->epoll_fd >= 0)
        close(watch->epoll_fd);
    kn_http_timers_done(&watch->timers);
    kn_lock_done(&watch->lock);
}

void kn_mhd_watch_socket(struct kn_mhd_req *req, bool on)
{
    if (req->watched == on || req->fd < 0)
        return;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = req->base.ref.v};
    int op = on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
    if (epoll_ctl(req->mhd->watch.epoll_fd, op, req->fd, &event) == 0 || !on)
        req->watched = on;
}

void kn_mhd_watch_deadline(struct kn_mhd_req *req, int64_t in_ms)
{
    struct kn_mhd_watch *watch = &req->mhd->watch;
    KN_LOCKED(&watch->lock);
    if (in_ms < 0 || req->base.gone) {
        kn_http_timer_clear(&watch->timers, &req->base.timer);
        return;
    }
    int64_t due_ns = kn_mono_ns(watch->clock) + kn_min_i64(in_ms, INT64_C(1) << 40) * 1000000;
    bool sooner = due_ns < kn_http_timers_next(&watch->timers);
    kn_http_timer_set(&watch->timers, &req->base.timer, due_ns);
    if (sooner)
        (void) eventfd_write(watch->event_fd, 1);
}
