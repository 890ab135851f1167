/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many cameras in one process: N PutMedia uploads of synthetic H.264 + AAC at a bitrate, over plain
 * HTTP/1.1 to a server started with --no-auth, sent a frame a chunk as AWS's producers do. Prints
 * one JSON object: fragments, bytes, acknowledgements, and how long after a fragment's last byte
 * its PERSISTED came. One thread, one epoll; streams must exist.
 *
 *   put_load --port 4567 --streams 50 --kbps 2000 --seconds 30 [--gop-ms 2000] [--fast]
 *
 * --fast: not in real time; everything is made in memory first and then sent as fast as it goes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mkv.h"

enum {
    FPS = 30,
    AUDIO_EVERY_MS = 21, /* 1024 samples at 48 kHz */
    AUDIO_BYTES = 340,   /* 128 kbit/s */
    PENDING_MAX = 4096,  /* fragments sent and not yet persisted, one stream */
    OUT_BYTES_MAX = 8 << 20,
    FAST_BYTES_MAX = 2000 << 20,
};

struct camera {
    int fd;
    unsigned index;
    struct kn_buf out;
    size_t sent;
    bool done;
    char in[4096];
    size_t in_len;
    int64_t start_ms;      /* producer time of frame 0 */
    uint64_t frame, audio; /* next to send */
    uint64_t cluster;      /* timecode of the open one; 0: none */
    struct {
        uint64_t timecode;
        int64_t sent_ns; /* when its last byte had left */
    } pending[PENDING_MAX];
    unsigned pending_head, pending_count;
};

static struct {
    uint16_t port;
    unsigned streams, kbps, seconds, gop_ms;
    bool fast;
    const char *prefix;
} options = {.streams = 1, .kbps = 2000, .seconds = 10, .gop_ms = 2000, .prefix = "load-"};

static struct {
    uint64_t fragments, persisted, errors, bytes, closed, late_frames;
    double *latency_ms;
    size_t latency_count, latency_cap;
} total;

static uint8_t noise[1 << 20];

static int64_t now_ns(void)
{
    return kn_mono_ns(kn_clock_system());
}

static void die(const char *what)
{
    fprintf(stderr, "put_load: %s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

static void chunk(struct camera *c, struct kn_bytes body)
{
    (void) kn_buf_printf(&c->out, "%zx\r\n", body.len);
    (void) kn_buf_append(&c->out, body.ptr, body.len);
    if (kn_buf_append(&c->out, "\r\n", 2) < 0) {
        fprintf(stderr, "put_load: stream %u is %zu bytes behind\n", c->index, c->out.len);
        exit(1);
    }
    total.bytes += body.len;
}

static void write_track(struct kn_buf *tracks, unsigned number, const char *codec)
{
    static const uint8_t avcc[] = {1,    0x42, 0xc0, 0x1e, 0xff, 0xe1, 0,    4,    0x67, 0x42,
                                   0xc0, 0x1e, 1,    0,    4,    0x68, 0xce, 0x3c, 0x80};
    static const uint8_t aac[] = {0x11, 0x90};
    struct kn_buf entry, inner;
    bool video = number == 1;

    kn_buf_init(&entry, 4096);
    kn_buf_init(&inner, 4096);
    (void) kn_mkv_write_uint(&entry, 0xD7, number);
    (void) kn_mkv_write_uint(&entry, 0x73C5, number);
    (void) kn_mkv_write_uint(&entry, 0x83, video ? 1 : 2);
    (void) kn_mkv_write_string(&entry, 0x86, kn_str_from(codec));
    (void) kn_mkv_write_bytes(&entry, 0x63A2,
                              video ? (struct kn_bytes){avcc, sizeof avcc}
                                    : (struct kn_bytes){aac, sizeof aac});
    if (video) {
        (void) kn_mkv_write_uint(&inner, 0xB0, 1920);
        (void) kn_mkv_write_uint(&inner, 0xBA, 1080);
    } else {
        static const uint8_t hz48000[] = {0x40, 0xe7, 0x70, 0, 0, 0, 0, 0};

        (void) kn_mkv_write_bytes(&inner, 0xB5, (struct kn_bytes){hz48000, sizeof hz48000});
        (void) kn_mkv_write_uint(&inner, 0x9F, 2);
    }
    (void) kn_mkv_write_bytes(&entry, video ? 0xE0 : 0xE1, kn_buf_bytes(&inner));
    (void) kn_mkv_write_bytes(tracks, 0xAE, kn_buf_bytes(&entry));
    kn_buf_done(&inner);
    kn_buf_done(&entry);
}

static void send_head(struct camera *c)
{
    struct kn_buf mkv, part;

    kn_buf_init(&mkv, 16384);
    kn_buf_init(&part, 16384);
    (void) kn_buf_printf(
        &c->out,
        "POST /putMedia HTTP/1.1\r\nHost: 127.0.0.1\r\nconnection: keep-alive\r\n"
        "transfer-encoding: chunked\r\nx-amzn-fragment-acknowledgment-required: 1\r\n"
        "x-amzn-fragment-timecode-type: ABSOLUTE\r\n"
        "x-amzn-producer-start-timestamp: %lld.%03lld\r\n"
        "x-amzn-stream-name: %s%u\r\n\r\n",
        (long long) (c->start_ms / 1000), (long long) (c->start_ms % 1000), options.prefix,
        c->index);
    (void) kn_mkv_write_uint(&part, 0x4286, 1);
    (void) kn_mkv_write_string(&part, 0x4282, KN_STR("matroska"));
    (void) kn_mkv_write_bytes(&mkv, KN_MKV_EBML, kn_buf_bytes(&part));
    (void) kn_mkv_write_id(&mkv, KN_MKV_SEGMENT);
    (void) kn_mkv_write_size_unknown(&mkv, 1);
    kn_buf_clear(&part);
    (void) kn_mkv_write_uint(&part, KN_MKV_TIMESTAMP_SCALE, 1000000);
    (void) kn_mkv_write_bytes(&mkv, KN_MKV_INFO, kn_buf_bytes(&part));
    kn_buf_clear(&part);
    write_track(&part, 1, "V_MPEG4/ISO/AVC");
    write_track(&part, 2, "A_AAC");
    (void) kn_mkv_write_bytes(&mkv, KN_MKV_TRACKS, kn_buf_bytes(&part));
    chunk(c, kn_buf_bytes(&mkv));
    kn_buf_done(&part);
    kn_buf_done(&mkv);
}

static void send_block(struct camera *c, unsigned track, uint64_t at, size_t len, bool key)
{
    struct kn_buf mkv;
    uint8_t head[4];

    kn_buf_init(&mkv, 2 << 20);
    if (key) {
        (void) kn_mkv_write_id(&mkv, KN_MKV_CLUSTER);
        (void) kn_mkv_write_size_unknown(&mkv, 1);
        (void) kn_mkv_write_uint(&mkv, KN_MKV_TIMESTAMP, at);
        c->cluster = at;
    }
    (void) kn_mkv_write_id(&mkv, KN_MKV_SIMPLE_BLOCK);
    (void) kn_mkv_write_size(&mkv, len + 4, 8);
    head[0] = (uint8_t) (0x80 | track);
    kn_put_u16be(head + 1, (uint16_t) (at - c->cluster));
    head[3] = key ? 0x80 : 0;
    (void) kn_buf_append(&mkv, head, sizeof head);
    (void) kn_buf_append(&mkv, noise + (at * 7919) % (sizeof noise / 2), len);
    chunk(c, kn_buf_bytes(&mkv));
    kn_buf_done(&mkv);
}

static void fragment_ended(struct camera *c)
{
    unsigned at;

    if (c->pending_count == PENDING_MAX) {
        fprintf(stderr, "put_load: stream %u waits for %d fragments\n", c->index, PENDING_MAX);
        exit(1);
    }
    at = (c->pending_head + c->pending_count++) % PENDING_MAX;
    c->pending[at].timecode = c->cluster;
    c->pending[at].sent_ns = now_ns();
    total.fragments++;
}

/* Sends frames whose time has come; returns false when all have been sent. */
static bool feed(struct camera *c, int64_t elapsed_ms)
{
    uint64_t frames = (uint64_t) options.seconds * FPS;
    uint64_t gop = (uint64_t) options.gop_ms * FPS / 1000;
    size_t mean = options.kbps * 125ul / FPS;

    while (c->frame < frames && (options.fast || (int64_t) (c->frame * 1000 / FPS) <= elapsed_ms)) {
        uint64_t at = (uint64_t) c->start_ms + c->frame * 1000 / FPS;
        bool key = c->frame % gop == 0;
        /* a key frame is six times the others; the mean stays */
        size_t bytes = mean * gop / (gop + 5) * (key ? 6 : 1);

        if (key && c->cluster)
            fragment_ended(c);
        send_block(c, 1, at, bytes < sizeof noise / 2 ? bytes : sizeof noise / 2, key);
        c->frame++;
        while (c->audio * AUDIO_EVERY_MS < c->frame * 1000 / FPS) {
            uint64_t when = (uint64_t) c->start_ms + c->audio * AUDIO_EVERY_MS;

            if (when >= c->cluster)
                send_block(c, 2, when, AUDIO_BYTES, false);
            c->audio++;
        }
    }
    if (c->frame < frames)
        return true;
    if (!c->done) {
        fragment_ended(c);
        (void) kn_buf_append_text(&c->out, "0\r\n\r\n");
        c->done = true;
    }
    return c->sent < c->out.len;
}

static void flush_out(struct camera *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.ptr + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            die("send");
        c->sent += (size_t) n;
    }
    if (c->sent == c->out.len || (!options.fast && c->sent > 1 << 20)) {
        kn_buf_consume(&c->out, c->sent);
        c->sent = 0;
    }
}

static void note_latency(double ms)
{
    if (total.latency_count == total.latency_cap) {
        total.latency_cap = total.latency_cap ? 2 * total.latency_cap : 4096;
        total.latency_ms = realloc(total.latency_ms, total.latency_cap * sizeof(double));
        if (!total.latency_ms)
            die("memory");
    }
    total.latency_ms[total.latency_count++] = ms;
}

static void take_ack(struct camera *c, struct kn_str line)
{
    char text[512];
    const char *code;
    uint64_t timecode;

    if (kn_str_copy(text, sizeof text, line) < 0)
        return;
    if (strstr(text, "\"ERROR\"")) {
        total.errors++;
        fprintf(stderr, "put_load: stream %u: %s\n", c->index, text);
        return;
    }
    code = strstr(text, "\"FragmentTimecode\":");
    if (!strstr(text, "\"PERSISTED\"") || !code)
        return;
    timecode = strtoull(code + 19, NULL, 10);
    if (c->pending_count && c->pending[c->pending_head].timecode == timecode) {
        note_latency((double) (now_ns() - c->pending[c->pending_head].sent_ns) / 1e6);
        c->pending_head = (c->pending_head + 1) % PENDING_MAX;
        c->pending_count--;
    }
    total.persisted++;
}

/* false: the server has closed */
static bool take_in(struct camera *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
        char *start = c->in, *end;

        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        c->in_len += (size_t) n;
        while ((end = memchr(start, '}', c->in_len - (size_t) (start - c->in)))) {
            take_ack(c, (struct kn_str){start, (size_t) (end - start)});
            start = end + 1;
        }
        c->in_len -= (size_t) (start - c->in);
        memmove(c->in, start, c->in_len);
        if (c->in_len == sizeof c->in)
            c->in_len = 0;
    }
}

static void open_camera(struct camera *c, unsigned index, int epoll)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(options.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
    int yes = 1;

    *c = (struct camera){.index = index, .start_ms = kn_wall_ms(kn_clock_system())};
    kn_buf_init(&c->out, options.fast ? FAST_BYTES_MAX : OUT_BYTES_MAX);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *) &to, sizeof to) < 0)
        die("connect");
    (void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void) fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll");
    send_head(c);
    if (options.fast) /* all of it is made before the clock starts */
        (void) feed(c, 0);
}

static void run(struct camera *cameras, int epoll)
{
    int64_t start = now_ns(), limit = start + ((int64_t) options.seconds + 60) * 1000000000;
    unsigned open = options.streams;

    while (open && now_ns() < limit) {
        struct epoll_event events[256];
        int n;

        for (unsigned i = 0; i < options.streams; i++) {
            /* staggered, so that key frames of all do not fall together */
            int64_t offset_ms = (int64_t) (i * options.gop_ms / options.streams);

            if (cameras[i].fd < 0)
                continue;
            (void) feed(&cameras[i], (now_ns() - start) / 1000000 - offset_ms);
            flush_out(&cameras[i]);
        }
        n = epoll_wait(epoll, events, 256, options.fast ? 1 : 5);
        for (int i = 0; i < n; i++) {
            struct camera *c = events[i].data.ptr;

            bool alive = take_in(c);

            if (alive && !(c->done && c->pending_count == 0))
                continue;
            total.closed += !alive && !c->done;
            (void) close(c->fd);
            c->fd = -1;
            open--;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static double percentile(double p)
{
    if (!total.latency_count)
        return -1;
    return total.latency_ms[(size_t) ((double) (total.latency_count - 1) * p)];
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--fast") == 0) {
            options.fast = true;
            continue;
        }
        if (strcmp(argv[i], "--port") == 0)
            options.port = (uint16_t) strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--streams") == 0)
            options.streams = (unsigned) strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--kbps") == 0)
            options.kbps = (unsigned) strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = (unsigned) strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--gop-ms") == 0)
            options.gop_ms = (unsigned) strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--prefix") == 0)
            options.prefix = value;
        else {
            fprintf(stderr, "put_load: what is %s?\n", argv[i]);
            exit(2);
        }
        i++;
    }
}

int main(int argc, char **argv)
{
    struct camera *cameras;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int64_t start;

    read_options(argc, argv);
    if (epoll < 0)
        die("epoll");
    cameras = calloc(options.streams, sizeof *cameras);
    if (!cameras)
        die("memory");
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t) (i * 2654435761u >> 13);
    for (unsigned i = 0; i < options.streams; i++)
        open_camera(&cameras[i], i, epoll);
    start = now_ns();
    run(cameras, epoll);
    qsort(total.latency_ms, total.latency_count, sizeof(double), by_value);
    printf("{\"streams\":%u,\"seconds\":%.2f,\"bytes\":%llu,\"fragments\":%llu,\"persisted\":%llu,"
           "\"errors\":%llu,\"closed_early\":%llu,\"persisted_p50_ms\":%.1f,"
           "\"persisted_p99_ms\":%.1f,\"persisted_max_ms\":%.1f}\n",
           options.streams, (double) (now_ns() - start) / 1e9, (unsigned long long) total.bytes,
           (unsigned long long) total.fragments, (unsigned long long) total.persisted,
           (unsigned long long) total.errors, (unsigned long long) total.closed, percentile(0.5),
           percentile(0.99), percentile(1));
    return total.persisted == total.fragments && !total.errors ? 0 : 1;
}
