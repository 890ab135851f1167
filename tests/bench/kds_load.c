/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts and reads records as fast as a server answers, over connections that each have one request
 * under way. Prints one JSON object. Requests are prepared (bodies, digests, signatures), so that
 * what is measured is the server.
 *
 *   kds_load put http --port P --stream NAME --shards 4 --connections 16 --batch 1 --bytes 1024
 *            --seconds 5 --warm 1 [--pid N] [--key ID --secret TEXT]
 *   kds_load put h2 …            a connection a request, with the frames of the SDK for JavaScript
 *   kds_load put redis …         XADD; --multi: in a transaction
 *   kds_load put nats …          JetStream with a file store
 *   kds_load get http …          reader i follows shard i: --batch records a page, from the oldest,
 *                                again from there at the end
 *   --requests N                 ends after N requests: to fill; --even: to each shard in turn
 */
#include "kds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/crypto.h"

enum {
    CONNECTIONS_MAX = 4096,
    PREPARED_BYTES = 64 << 20, /* of all connections */
    PREPARED_MAX = 256,        /* of a connection */
    READ_BYTES = 256 << 10,
    NOISE_BYTES = 1 << 20,
};

struct kds_options kds_options = {.connections = 16,
                                  .batch = 1,
                                  .bytes = 1024,
                                  .shards = 4,
                                  .seconds = 5,
                                  .stream = "load",
                                  .key_id = "AKIDEXAMPLE",
                                  .secret = "secret"};

static const struct kds_protocol *protocol;
static int epoll_fd;
static struct {
    uint64_t requests, records;
    struct tool_samples latency_ms;
} total;
static uint64_t sent_count;
static bool ending;

/* --- what protocols need ---------------------------------------------------------------------- */
int kds_connect(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(kds_options.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof to) < 0)
        tool_die("connect");
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

void kds_send(int fd, struct kn_bytes bytes)
{
    if (send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL) != (ssize_t) bytes.len)
        tool_die("send");
}

void kds_expect(int fd, const char *text)
{
    char got[8192];
    size_t len = 0;
    while (len < sizeof got) {
        ssize_t n = recv(fd, got + len, sizeof got - len, 0);
        if (n <= 0)
            tool_die(text);
        len += (size_t) n;
        if (memmem(got, len, text, strlen(text)))
            return;
    }
    kds_refused((struct kn_bytes){(const uint8_t *) got, len});
}

void kds_refused(struct kn_bytes answer)
{
    fprintf(stderr, "kds_load: the server refused: %.*s\n", (int) kn_min_u64(answer.len, 2000),
            (const char *) answer.ptr);
    exit(1);
}

struct kn_bytes kds_noise(void)
{
    static uint8_t noise[NOISE_BYTES];
    static size_t at;
    if (kds_options.bytes > sizeof noise)
        tool_die("records are too long");
    if (at == 0 || at + kds_options.bytes > sizeof noise) {
        kn_random(noise, sizeof noise);
        at = 0;
    }
    struct kn_bytes out = {noise + at, kds_options.bytes};
    at += kds_options.bytes;
    return out;
}

unsigned kds_shard(const struct kds_conn *c, unsigned put, unsigned record)
{
    if (!kds_options.even)
        return (unsigned) (kn_random_u64() % kds_options.shards);
    return (c->index + put * kds_options.batch + record) % kds_options.shards;
}

/* --- connections ------------------------------------------------------------------------------ */
static void open_conn(struct kds_conn *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->fd = kds_connect();
    if (protocol->opened)
        protocol->opened(c);
    (void) fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        tool_die("epoll");
}

static void write_out(struct kds_conn *c)
{
    while (c->out.len) {
        ssize_t n = send(c->fd, c->out.ptr, c->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            tool_die("send");
        c->out = kn_bytes_skip(c->out, (size_t) n);
    }
}

static void ask(struct kds_conn *c)
{
    if (kds_options.requests && sent_count >= kds_options.requests) {
        ending |= total.requests >= kds_options.requests;
        return;
    }
    sent_count++;
    struct kn_buf *request = &c->prepared[c->next++ % c->prepared_count];
    if (kds_options.get) {
        kn_buf_clear(request);
        protocol->get(c, request);
    }
    c->out = kn_buf_bytes(request);
    c->sent_ns = tool_now_ns();
    protocol->sending(c);
    write_out(c);
}

static void answered(struct kds_conn *c)
{
    total.requests++;
    total.records += c->records;
    tool_sample(&total.latency_ms, (double) (tool_now_ns() - c->sent_ns) / 1e6);
    if (protocol->connection_a_request) {
        (void) close(c->fd);
        open_conn(c);
    }
    ask(c);
}

static void run_conn(struct kds_conn *c)
{
    static uint8_t buf[READ_BYTES];
    write_out(c);
    for (;;) {
        ssize_t n = recv(c->fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            tool_die("the server closed");
        if (protocol->received(c, (struct kn_bytes){buf, (size_t) n}))
            answered(c);
    }
}

static struct kds_conn *prepare(void)
{
    size_t request = (size_t) kds_options.batch * kds_options.bytes * 3 / 2 + 1024;
    size_t each = PREPARED_BYTES / request / kds_options.connections + 1;
    struct kds_conn *conns = calloc(kds_options.connections, sizeof *conns);
    if (!conns)
        tool_die("memory");
    for (unsigned i = 0; i < kds_options.connections; i++) {
        struct kds_conn *c = &conns[i];
        c->index = i;
        c->prepared_count = kds_options.get ? 1 : (unsigned) kn_min_u64(each, PREPARED_MAX);
        c->prepared = calloc(c->prepared_count, sizeof *c->prepared);
        c->own = calloc(1, protocol->own_bytes);
        if (!c->prepared || !c->own)
            tool_die("memory");
        for (unsigned n = 0; n < c->prepared_count; n++) {
            kn_buf_init(&c->prepared[n], KDS_REQUEST_BYTES_MAX);
            if (!kds_options.get)
                protocol->put(c, n, &c->prepared[n]);
        }
    }
    return conns;
}

static void run_until(int64_t end_ns)
{
    struct epoll_event events[256];
    while (!ending) {
        int64_t now_ns = tool_now_ns();
        if (now_ns >= end_ns)
            return;
        int n = epoll_wait(epoll_fd, events, KN_ARRAY_LEN(events),
                           (int) ((end_ns - now_ns) / 1000000) + 1);
        for (int i = 0; i < n; i++)
            run_conn(events[i].data.ptr);
    }
}

/* --- options ---------------------------------------------------------------------------------- */
static bool read_number(const char *name, const char *value)
{
    struct {
        const char *name;
        unsigned *to;
    } numbers[] = {
        {"--connections", &kds_options.connections},
        {"--batch",       &kds_options.batch      },
        {"--bytes",       &kds_options.bytes      },
        {"--shards",      &kds_options.shards     },
        {"--requests",    &kds_options.requests   }
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].to = (unsigned) tool_number(value);
            return true;
        }
    }
    return false;
}

static bool read_option(const char *name, const char *value)
{
    if (read_number(name, value))
        return true;
    if (strcmp(name, "--port") == 0)
        kds_options.port = (uint16_t) tool_number(value);
    else if (strcmp(name, "--seconds") == 0)
        kds_options.seconds = strtod(value, NULL);
    else if (strcmp(name, "--warm") == 0)
        kds_options.warm = strtod(value, NULL);
    else if (strcmp(name, "--pid") == 0)
        kds_options.pid = (int) tool_number(value);
    else if (strcmp(name, "--stream") == 0)
        kds_options.stream = value;
    else if (strcmp(name, "--key") == 0)
        kds_options.key_id = value;
    else if (strcmp(name, "--secret") == 0)
        kds_options.secret = value;
    else
        return false;
    return true;
}

static void read_options(int argc, char **argv)
{
    static const struct kds_protocol *const all[] = {&kds_http, &kds_h2, &kds_redis, &kds_nats};
    for (size_t i = 0; argc > 2 && i < KN_ARRAY_LEN(all); i++)
        if (strcmp(argv[2], all[i]->name) == 0)
            protocol = all[i];
    kds_options.get = protocol && strcmp(argv[1], "get") == 0;
    bool known = protocol && (kds_options.get ? !!protocol->get : strcmp(argv[1], "put") == 0);
    for (int i = 3; known && i < argc; i++) {
        kds_options.even |= strcmp(argv[i], "--even") == 0;
        kds_options.multi |= strcmp(argv[i], "--multi") == 0;
        if (strcmp(argv[i], "--even") != 0 && strcmp(argv[i], "--multi") != 0) {
            known = i + 1 < argc && read_option(argv[i], argv[i + 1]);
            i++;
        }
    }
    if (!known || !kds_options.connections || kds_options.connections > CONNECTIONS_MAX ||
        !kds_options.batch || !kds_options.shards) {
        fprintf(stderr, "kds_load: see the top of kds_load.c\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (protocol->setup)
        protocol->setup();
    struct kds_conn *conns = prepare();
    for (unsigned i = 0; i < kds_options.connections; i++)
        open_conn(&conns[i]);
    int64_t start_ns = tool_now_ns();
    for (unsigned i = 0; i < kds_options.connections; i++)
        ask(&conns[i]);
    if (kds_options.warm > 0) {
        run_until(start_ns + (int64_t) (kds_options.warm * 1e9));
        memset(&total, 0, sizeof total);
        start_ns = tool_now_ns();
    }
    int64_t cpu_ns = kds_options.pid ? tool_cpu_ns(kds_options.pid) : 0, own_ns = tool_cpu_ns(0);
    run_until(start_ns + (int64_t) (kds_options.seconds * 1e9));
    double took_s = (double) (tool_now_ns() - start_ns) / 1e9;
    double own_s = (double) (tool_cpu_ns(0) - own_ns) / 1e9;
    double cpu_s = kds_options.pid ? (double) (tool_cpu_ns(kds_options.pid) - cpu_ns) / 1e9 : 0;
    printf("{\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"records\":%" PRIu64
           ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"server_cpu_s\":%.4f,\"own_cpu_s\":%.4f}\n",
           took_s, total.requests, total.records, tool_percentile(&total.latency_ms, 0.5),
           tool_percentile(&total.latency_ms, 0.99), cpu_s, own_s);
    return !total.requests;
}
