/* SPDX-License-Identifier: Apache-2.0 */
/* A thread of its own, so that the time a frame takes does not hold the time of sending others. */
#include "watch.h"

#include "load.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    VIEWERS_MAX = 64,
    ROOM_BYTES = 256 << 10,
    POLL_MS = 20, /* how soon a new viewer, and the end, are seen */
};

static const char mark[] = "kNfRaMe";

struct viewer {
    int fd;
    uint8_t room[ROOM_BYTES];
    size_t len;
    uint64_t frames;
};

static struct viewer *viewers[VIEWERS_MAX];
static _Atomic unsigned viewer_count;
static _Atomic bool over;
static pthread_t thread;
static struct tool_samples through_ms;

/* The marks in what has come. HTTP's own framing (a chunk's size) may fall into one: such a frame
 * is not counted. */
static void take_marks(struct viewer *v, int64_t now)
{
    size_t at = 0;
    for (;;) {
        uint8_t *found = memmem(v->room + at, v->len - at, mark, sizeof mark);
        if (!found || (size_t) (found - v->room) + WATCH_STAMP_BYTES > v->len)
            break;
        int64_t sent;
        memcpy(&sent, found + sizeof mark, sizeof sent);
        at = (size_t) (found - v->room) + WATCH_STAMP_BYTES;
        if (sent <= now && now - sent < INT64_C(60000000000)) {
            v->frames++;
            tool_sample(&through_ms, (double) (now - sent) / 1e6);
        }
    }
    size_t keep = kn_min_u64(v->len - at, WATCH_STAMP_BYTES - 1);
    memmove(v->room, v->room + v->len - keep, keep);
    v->len = keep;
}

static void *watch(void *arg)
{
    struct pollfd fds[VIEWERS_MAX];
    while (!atomic_load(&over)) {
        unsigned count = atomic_load(&viewer_count);
        for (unsigned i = 0; i < count; i++)
            fds[i] = (struct pollfd){.fd = viewers[i]->fd, .events = POLLIN};
        if (poll(fds, count, POLL_MS) <= 0)
            continue;
        for (unsigned i = 0; i < count; i++) {
            struct viewer *v = viewers[i];
            if (!fds[i].revents)
                continue;
            ssize_t n = recv(v->fd, v->room + v->len, sizeof v->room - v->len, 0);
            int64_t now = tool_now_ns();
            if (n <= 0 && errno != EAGAIN) {
                (void) close(v->fd);
                v->fd = -1;
            }
            if (n > 0) {
                v->len += (size_t) n;
                take_marks(v, now);
            }
        }
    }
    return arg;
}

void watch_open(unsigned stream)
{
    if (stream >= load_options.watch || stream >= VIEWERS_MAX)
        return;
    char body[256], head[512];
    struct viewer *v = calloc(1, sizeof *v);
    if (!v)
        tool_die("memory");
    int len =
        snprintf(body, sizeof body,
                 "{\"StreamName\":\"%s%u\",\"StartSelector\":{\"StartSelectorType\":\"NOW\"}}",
                 load_options.prefix, stream);
    int head_len = snprintf(head, sizeof head,
                            "POST /getMedia HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                            "content-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                            len, body);
    v->fd = load_connect(load_options.api_port);
    if (send(v->fd, head, (size_t) head_len, MSG_NOSIGNAL) != head_len)
        tool_die("send");
    viewers[stream] = v;
    if (atomic_fetch_add(&viewer_count, 1) == 0 && pthread_create(&thread, NULL, watch, NULL) != 0)
        tool_die("thread");
}

bool watch_stamp(unsigned stream, uint8_t dst[WATCH_STAMP_BYTES])
{
    if (stream >= load_options.watch)
        return false;
    int64_t now = tool_now_ns();
    memcpy(dst, mark, sizeof mark);
    memcpy(dst + sizeof mark, &now, sizeof now);
    return true;
}

void watch_report(void)
{
    if (!load_options.watch)
        return;
    uint64_t least = UINT64_MAX;
    atomic_store(&over, true);
    (void) pthread_join(thread, NULL);
    for (unsigned i = 0; i < atomic_load(&viewer_count); i++)
        least = kn_min_u64(least, viewers[i]->frames);
    printf("\"watched_frames\":%zu,\"watched_least\":%llu,\"through_p50_ms\":%.2f,"
           "\"through_p99_ms\":%.2f,\"through_max_ms\":%.2f,",
           through_ms.count, (unsigned long long) least, tool_percentile(&through_ms, 0.5),
           tool_percentile(&through_ms, 0.99), tool_percentile(&through_ms, 1));
}
