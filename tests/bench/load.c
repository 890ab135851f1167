/* SPDX-License-Identifier: Apache-2.0 */
/* Cameras in a heap by the time of their next frame: the thread sleeps until one is due. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    AUDIO_HZ = 48000,
    AUDIO_SAMPLES = 1024, /* a frame of AAC */
    AUDIO_BYTES = 340,    /* 128 kbit/s */
    KEY_TIMES = 6,        /* a key frame is so many times the others; the mean stays */
    OUT_BYTES_MAX = 8 << 20,
    FAST_BYTES_MAX = 2000 << 20,
    GRACE_S = 60, /* after the last frame, for what is waited for */
    FRAMES_A_TURN = 64,
};
#define NS_PER_S INT64_C(1000000000)

struct load_options load_options = {
    .streams = 1, .kbps = 2000, .fps = 30, .seconds = 10, .gop_ms = 2000, .prefix = "load-"};

static const struct load_protocol *protocol;
static struct load_camera *cameras, **heap;
static unsigned heap_count, open_count;
static uint64_t total_bytes, closed_early;
static struct tool_samples late_ms; /* a frame's last byte after its time */
static uint8_t noise[1 << 20];

int load_connect(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof to) < 0)
        tool_die("connect");
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void) fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* --- the schedule ----------------------------------------------------------------------------- */
static uint64_t video_ms(const struct load_camera *c)
{
    return c->video * 1000 / load_options.fps;
}

static uint64_t audio_ms(const struct load_camera *c)
{
    return c->audio * AUDIO_SAMPLES * 1000 / AUDIO_HZ;
}

static bool audio_is_next(const struct load_camera *c)
{
    return !load_options.no_audio && audio_ms(c) < video_ms(c);
}

static void set_due(struct load_camera *c)
{
    c->due_ns = c->start_ns + (int64_t) (audio_is_next(c) ? audio_ms(c) : video_ms(c)) * 1000000;
}

static void sift_down(unsigned i)
{
    for (;;) {
        unsigned least = i;
        for (unsigned child = 2 * i + 1; child <= 2 * i + 2 && child < heap_count; child++)
            if (heap[child]->due_ns < heap[least]->due_ns)
                least = child;
        if (least == i)
            return;
        struct load_camera *other = heap[i];
        heap[i] = heap[least];
        heap[least] = other;
        i = least;
    }
}

static void make_frame(struct load_camera *c)
{
    const struct load_options *o = &load_options;
    struct load_frame frame = {.video = !audio_is_next(c)};
    size_t bytes = AUDIO_BYTES;
    if (frame.video) {
        uint64_t gop = kn_max_u64((uint64_t) o->gop_ms * o->fps / 1000, 1);
        size_t mean = (size_t) o->kbps * 125 / o->fps;
        frame.key = c->video % gop == 0;
        frame.at_ms = video_ms(c);
        bytes = mean * gop / (gop + KEY_TIMES - 1) * (frame.key ? KEY_TIMES : 1);
        bytes = kn_min_u64(bytes, sizeof noise / 2);
        c->video++;
    } else {
        frame.at_ms = audio_ms(c);
        c->audio++;
    }
    frame.bytes = (struct kn_bytes){noise + frame.at_ms * 7919 % (sizeof noise / 2), bytes};
    protocol->frame(c, &frame);
    if (c->video >= (uint64_t) o->seconds * o->fps) {
        protocol->end(c);
        c->made = true;
    }
    if (c->out.error) {
        fprintf(stderr, "%s: camera %u is %zu bytes behind\n", protocol->name, c->index,
                c->out.len);
        exit(1);
    }
}

static void flush_out(struct load_camera *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.ptr + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            return; /* the end shows when reading */
        c->sent += (size_t) n;
        total_bytes += (uint64_t) n;
    }
    kn_buf_clear(&c->out);
    c->sent = 0;
    if (c->made && protocol->half_close)
        (void) shutdown(c->fd, SHUT_WR);
}

/* --- the loop --------------------------------------------------------------------------------- */
static void take_in(struct load_camera *c)
{
    static uint8_t in[64 << 10];
    for (;;) {
        ssize_t n = recv(c->fd, in, sizeof in, 0);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            closed_early += !c->made || c->sent < c->out.len;
            c->ended = true;
            break;
        }
        protocol->received(c, (struct kn_bytes){in, (size_t) n});
    }
}

static void over(struct load_camera *c)
{
    (void) close(c->fd);
    c->fd = -1;
    open_count--;
}

static void handle(const struct epoll_event *event)
{
    struct load_camera *c = event->data.ptr;
    if (c->fd < 0)
        return;
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        take_in(c);
    if (!c->ended && c->sent < c->out.len)
        flush_out(c);
    if (c->ended)
        over(c);
}

/* Frames that are due; when the next one is. */
static int64_t send_due(int64_t now)
{
    for (unsigned i = 0; i < FRAMES_A_TURN && heap_count && heap[0]->due_ns <= now; i++) {
        struct load_camera *c = heap[0];
        if (c->fd >= 0 && !c->made) {
            bool was_clear = c->sent == c->out.len;
            make_frame(c);
            flush_out(c);
            if (was_clear)
                tool_sample(&late_ms, (double) (tool_now_ns() - c->due_ns) / 1e6);
            set_due(c);
        }
        if (c->fd < 0 || c->made)
            heap[0] = heap[--heap_count];
        sift_down(0);
    }
    return heap_count ? heap[0]->due_ns : INT64_MAX;
}

static void run(int epoll, int64_t start)
{
    int64_t limit = start + ((int64_t) load_options.seconds + GRACE_S) * NS_PER_S;
    int64_t half = start + (int64_t) load_options.seconds * NS_PER_S / 2;
    for (int64_t now; open_count && (now = tool_now_ns()) < limit;) {
        struct epoll_event events[256];
        int64_t due = kn_min_i64(send_due(now), limit), wait = kn_max_i64(due - tool_now_ns(), 0);
        if (half && now >= half) {
            printf("half\n"); /* for who measures memory under load */
            fflush(stdout);
            half = 0;
        }
        struct timespec timeout = {wait / NS_PER_S, wait % NS_PER_S};
        int n = epoll_pwait2(epoll, events, 256, &timeout, NULL);
        for (int i = 0; i < n; i++)
            handle(&events[i]);
    }
}

static void open_cameras(int epoll, int64_t start)
{
    const struct load_options *o = &load_options;
    for (unsigned i = 0; i < o->streams; i++) {
        struct load_camera *c = &cameras[i];
        c->index = i;
        c->own = calloc(1, protocol->own_bytes + 1);
        if (!c->own)
            tool_die("memory");
        kn_buf_init(&c->out, o->fast ? FAST_BYTES_MAX : OUT_BYTES_MAX);
        /* spread over a fragment, so that key frames of all do not fall together */
        c->start_ns = start + (int64_t) o->gop_ms * 1000000 * i / o->streams;
        c->fd = load_connect(o->port);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
            tool_die("epoll");
        open_count++;
        protocol->open(c);
        while (o->fast && !c->made) /* all of it is made before the clock starts */
            make_frame(c);
        set_due(c);
        if (!c->made)
            heap[heap_count++] = c; /* ascending: a heap already */
    }
}

/* --- options ---------------------------------------------------------------------------------- */
static void read_options(int argc, char **argv)
{
    struct load_options *o = &load_options;
    struct {
        const char *name;
        unsigned *value;
    } numbers[] = {
        {"--streams", &o->streams},
        {"--kbps",    &o->kbps   },
        {"--seconds", &o->seconds},
        {"--gop-ms",  &o->gop_ms },
        {"--fps",     &o->fps    },
        {"--watch",   &o->watch  }
    };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool found = false;
        if (strcmp(argv[i], "--fast") == 0 || strcmp(argv[i], "--no-audio") == 0) {
            *(argv[i][2] == 'f' ? &o->fast : &o->no_audio) = true;
            continue;
        }
        for (size_t k = 0; k < KN_ARRAY_LEN(numbers) && !found; k++) {
            found = strcmp(argv[i], numbers[k].name) == 0;
            if (found)
                *numbers[k].value = (unsigned) strtoul(value, NULL, 10);
        }
        if (strcmp(argv[i], "--port") == 0)
            o->port = (uint16_t) strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--api-port") == 0)
            o->api_port = (uint16_t) strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--prefix") == 0)
            o->prefix = value;
        else if (!found) {
            fprintf(stderr, "%s: what is %s?\n", protocol->name, argv[i]);
            exit(2);
        }
        i++;
    }
}

int load_main(int argc, char **argv, const struct load_protocol *of)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    protocol = of;
    read_options(argc, argv);
    cameras = calloc(load_options.streams, sizeof *cameras);
    heap = calloc(load_options.streams, sizeof(struct load_camera *));
    if (epoll < 0 || !cameras || !heap)
        tool_die("beginning");
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t) (i * 2654435761u >> 13);
    open_cameras(epoll, tool_now_ns());
    int64_t start = tool_now_ns();
    for (unsigned i = 0; i < load_options.streams; i++)
        flush_out(&cameras[i]);
    run(epoll, start);
    printf("{");
    protocol->report();
    printf("\"streams\":%u,\"seconds\":%.3f,\"bytes\":%llu,\"closed_early\":%llu,\"unfinished\":%u,"
           "\"late_p99_ms\":%.1f,\"late_max_ms\":%.1f}\n",
           load_options.streams, (double) (tool_now_ns() - start) / 1e9,
           (unsigned long long) total_bytes, (unsigned long long) closed_early, open_count,
           tool_percentile(&late_ms, 0.99), tool_percentile(&late_ms, 1));
    return open_count || closed_early ? 1 : 0;
}
