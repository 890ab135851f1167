/* SPDX-License-Identifier: Apache-2.0 */
#include "hub.h"

#include <glib-unix.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum {
    EVENTS_MAX = 64
};

struct hub_watch {
    int fd; /* -1: removed while calls are under way */
    hub_fn *fn;
    void *ctx;
    struct hub_watch *next; /* of those to free */
};

static int epoll = -1; /* the main thread's, for as long as the process lives */
static bool calling;
static struct hub_watch *removed;

static gboolean on_ready(gint fd, GIOCondition condition, gpointer arg)
{
    struct epoll_event events[EVENTS_MAX];
    (void) condition;
    (void) arg;
    int count = epoll_wait(fd, events, EVENTS_MAX, 0);
    calling = true;
    for (int i = 0; i < count; i++) {
        struct hub_watch *watch = events[i].data.ptr;
        if (watch->fd >= 0)
            watch->fn(watch->ctx, events[i].events);
    }
    calling = false;
    while (removed) {
        struct hub_watch *next = removed->next;
        g_free(removed);
        removed = next;
    }
    return G_SOURCE_CONTINUE;
}

struct hub_watch *hub_add(int fd, unsigned events, hub_fn *fn, void *ctx)
{
    if (epoll < 0) {
        epoll = epoll_create1(EPOLL_CLOEXEC);
        g_assert(epoll >= 0);
        g_unix_fd_add(epoll, G_IO_IN, on_ready, NULL);
    }
    struct hub_watch *watch = g_new0(struct hub_watch, 1);
    *watch = (struct hub_watch){.fd = fd, .fn = fn, .ctx = ctx};
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int r = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    g_assert(r == 0);
    return watch;
}

void hub_change(struct hub_watch *watch, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    (void) epoll_ctl(epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void hub_remove(struct hub_watch *watch)
{
    if (!watch)
        return;
    (void) epoll_ctl(epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    if (!calling) {
        g_free(watch);
        return;
    }
    watch->next = removed;
    removed = watch;
}
