/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a record takes from its PutRecord(s) to subscribers: one connection puts at a steady
 * pace, others are subscribed to the shard over HTTP/1.1. A record's data begins with the time at
 * which its request was sent. Prints one JSON object.
 *
 *   fan_load --port P --stream NAME --batch 1 --bytes 1024 --interval-us 5000 --seconds 5 --warm 1
 *            [--pid N] [--key ID --secret TEXT] [--poll 1] CONSUMER_ARN…
 *   --poll 1   one more connection reads the shard by GetRecords, again and again
 */
#include "kds.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/crypto.h"
#include "core/json.h"

enum {
    SUBSCRIBERS_MAX = 1000,
    TAG_TIMER = SUBSCRIBERS_MAX, /* beside the subscribers' own numbers */
    TAG_PUTTER,
    TAG_POLLER,
    READ_BYTES = 256 << 10,
    MESSAGE_BYTES_MAX = 32 << 20,
    STAMP_BYTES = 24,      /* of data: "%020lld;" and padding, whole groups of base64 */
    STAMP_TEXT_BYTES = 32, /* the same in base64 */
    NS_PER_MS = 1000000,
};

struct kds_options kds_options = {.batch = 1,
                                  .bytes = 1024,
                                  .shards = 1,
                                  .seconds = 5,
                                  .warm = 1,
                                  .stream = "load",
                                  .key_id = "AKIDEXAMPLE",
                                  .secret = "secret"};

struct subscriber {
    int fd;
    enum {
        HEAD,
        CHUNK_HEAD,
        CHUNK,
        CHUNK_TAIL
    } state;
    char line[64];
    size_t line_len, left;
    struct kn_buf message;
};

static struct subscriber subscribers[SUBSCRIBERS_MAX];
static size_t subscriber_count;
struct talker { /* one request after the other */
    int fd;
    bool waits; /* for an answer */
    struct kn_buf answer;
    int64_t sent_ns;
};
static struct talker putter, poller;
static bool polls; /* GetRecords in place of a subscription, again and again */
static unsigned interval_us = 5000;
static uint64_t owed; /* puts that are due */
static bool measuring;
static struct {
    struct tool_samples delivered_ms, put_ms;
    uint64_t bytes, events, puts, late;
} total;

void kds_refused(struct kn_bytes answer)
{
    fprintf(stderr, "fan_load: the server refused: %.*s\n", (int) kn_min_u64(answer.len, 2000),
            (const char *) answer.ptr);
    exit(1);
}

/* --- subscribers ------------------------------------------------------------------------------ */
static void take_record(const char *text)
{
    uint8_t plain[STAMP_BYTES];
    struct kn_str stamp = {text, STAMP_TEXT_BYTES};
    if (kn_base64_read(stamp, plain) < 0)
        kds_refused((struct kn_bytes){(const uint8_t *) text, STAMP_TEXT_BYTES});
    char number[STAMP_BYTES + 1] = {0};
    memcpy(number, plain, STAMP_BYTES);
    int64_t sent_ns = (int64_t) strtoull(number, NULL, 10);
    if (measuring)
        tool_sample(&total.delivered_ms, (double) (tool_now_ns() - sent_ns) / NS_PER_MS);
}

static void take_records(struct kn_str text)
{
    static const char mark[] = "\"Data\":\"";
    const char *at = text.ptr, *end = text.ptr + text.len;
    while ((at = memmem(at, (size_t) (end - at), mark, sizeof mark - 1))) {
        at += sizeof mark - 1;
        if (end - at < STAMP_TEXT_BYTES)
            kds_refused(kn_bytes_of(text));
        take_record(at);
    }
}

static void take_message(struct kn_bytes message)
{
    if (memmem(message.ptr, message.len, ":exception-type", 15))
        kds_refused(message);
    total.events += measuring;
    take_records((struct kn_str){(const char *) message.ptr, message.len});
}

static void take_body(struct subscriber *s, struct kn_bytes bytes)
{
    tool_must(kn_buf_append(&s->message, bytes.ptr, bytes.len), "an event");
    size_t done = 0;
    for (;;) {
        struct kn_bytes rest = kn_bytes_skip(kn_buf_bytes(&s->message), done);
        size_t len = rest.len >= 4 ? (size_t) rest.ptr[0] << 24 | (size_t) rest.ptr[1] << 16 |
                                         (size_t) rest.ptr[2] << 8 | rest.ptr[3]
                                   : SIZE_MAX;
        if (rest.len < len)
            break;
        take_message((struct kn_bytes){rest.ptr, len});
        done += len;
    }
    kn_buf_consume(&s->message, done);
}

static void end_line(struct subscriber *s)
{
    s->line[s->line_len] = 0;
    if (s->state == HEAD && s->line_len == 0) {
        s->state = CHUNK_HEAD;
    } else if (s->state == CHUNK_HEAD) {
        s->left = strtoull(s->line, NULL, 16);
        s->state = CHUNK;
        if (s->left == 0)
            tool_die("a subscription ended");
    } else if (s->state == CHUNK_TAIL) {
        s->state = CHUNK_HEAD;
    } else if (kn_str_starts_with(kn_str_from(s->line), KN_STR("HTTP/1.1 ")) &&
               !kn_str_starts_with(kn_str_from(s->line), KN_STR("HTTP/1.1 200"))) {
        kds_refused(kn_bytes_of(kn_str_from(s->line)));
    }
    s->line_len = 0;
}

static void feed(struct subscriber *s, struct kn_bytes bytes)
{
    while (bytes.len > 0) {
        if (s->state != CHUNK) {
            uint8_t byte = bytes.ptr[0];
            bytes = kn_bytes_skip(bytes, 1);
            if (byte == '\n')
                end_line(s);
            else if (byte != '\r' && s->line_len + 1 < sizeof s->line)
                s->line[s->line_len++] = (char) byte;
            continue;
        }
        size_t len = kn_min_u64(s->left, bytes.len);
        take_body(s, (struct kn_bytes){bytes.ptr, len});
        bytes = kn_bytes_skip(bytes, len);
        s->left -= len;
        if (s->left == 0)
            s->state = CHUNK_TAIL;
    }
}

static void subscriber_read(struct subscriber *s)
{
    static uint8_t buffer[READ_BYTES];
    ssize_t n = recv(s->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        tool_die("a subscription broke");
    total.bytes += measuring ? (uint64_t) n : 0;
    feed(s, (struct kn_bytes){buffer, (size_t) n});
}

static int dial(void)
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

static void send_all(int fd, struct kn_bytes bytes)
{
    if (send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL) != (ssize_t) bytes.len)
        tool_die("send");
}

static void subscribe(struct subscriber *s, const char *arn)
{
    struct kn_buf body, request;
    struct kn_json_writer w;
    kn_buf_init(&body, 8192);
    kn_buf_init(&request, 16384);
    kn_buf_init(&s->message, MESSAGE_BYTES_MAX);
    kn_json_writer_init(&w, &body);
    kn_json_object_begin(&w);
    kn_json_key(&w, "ConsumerARN");
    kn_json_text(&w, arn);
    kn_json_key(&w, "ShardId");
    kn_json_text(&w, "shardId-000000000000");
    kn_json_key(&w, "StartingPosition");
    kn_json_object_begin(&w);
    kn_json_key(&w, "Type");
    kn_json_text(&w, "LATEST");
    kn_json_object_end(&w);
    kn_json_object_end(&w);
    kds_request("SubscribeToShard", kn_buf_bytes(&body), false, &request);
    s->fd = dial();
    send_all(s->fd, kn_buf_bytes(&request));
    kn_buf_done(&body);
    kn_buf_done(&request);
}

/* --- requests one after the other ------------------------------------------------------------- */
static void talk(struct talker *t, const char *operation, struct kn_buf *body)
{
    struct kn_buf request;
    kn_buf_init(&request, KDS_REQUEST_BYTES_MAX);
    kds_request(operation, kn_buf_bytes(body), false, &request);
    kn_buf_clear(&t->answer);
    t->waits = true;
    send_all(t->fd, kn_buf_bytes(&request));
    kn_buf_done(&request);
    kn_buf_done(body);
}

static size_t length_of(struct kn_str head)
{
    const char *at = memmem(head.ptr, head.len, "ontent-Length: ", 15);
    at = at ? at : memmem(head.ptr, head.len, "ontent-length: ", 15);
    return at ? strtoull(at + 15, NULL, 10) : SIZE_MAX;
}

/* True once the answer is whole. */
static bool answered(struct talker *t, struct kn_str *ret_body)
{
    static char buffer[READ_BYTES];
    ssize_t n = recv(t->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        tool_die("a connection broke");
    tool_must(kn_buf_append(&t->answer, buffer, (size_t) n), "an answer");
    struct kn_str all = kn_buf_str(&t->answer);
    const char *body = memmem(all.ptr, all.len, "\r\n\r\n", 4);
    if (!body)
        return false;
    body += 4;
    struct kn_str head = {all.ptr, (size_t) (body - all.ptr)};
    if (all.len - head.len < length_of(head))
        return false;
    if (!kn_str_starts_with(all, KN_STR("HTTP/1.1 200")))
        kds_refused(kn_bytes_of(all));
    *ret_body = (struct kn_str){body, all.len - head.len};
    t->waits = false;
    return true;
}

/* --- the one who puts ------------------------------------------------------------------------- */
/* Data of the records that are put: the time, and zeros. */
struct kn_bytes kds_noise(void)
{
    static uint8_t data[1 << 20];
    (void) snprintf((char *) data, STAMP_BYTES, "%020lld;", (long long) putter.sent_ns);
    return (struct kn_bytes){data, kds_options.bytes};
}

unsigned kds_shard(const struct kds_conn *c KN_UNUSED, unsigned put KN_UNUSED,
                   unsigned record KN_UNUSED)
{
    return 0;
}

static void put(void)
{
    static const struct kds_conn nobody;
    struct kn_buf body;
    kn_buf_init(&body, KDS_REQUEST_BYTES_MAX);
    putter.sent_ns = tool_now_ns();
    kds_put_body(&nobody, 0, &body);
    talk(&putter, kds_options.batch > 1 ? "PutRecords" : "PutRecord", &body);
}

/* After a slow answer the next ones follow one another until the pace is kept again. */
static void put_owed(void)
{
    if (putter.waits || owed == 0)
        return;
    owed--;
    put();
}

static void putter_read(void)
{
    struct kn_str body;
    if (!answered(&putter, &body))
        return;
    if (measuring) {
        total.puts++;
        tool_sample(&total.put_ms, (double) (tool_now_ns() - putter.sent_ns) / NS_PER_MS);
    }
    put_owed();
}

/* --- who polls -------------------------------------------------------------------------------- */
static void ask(const char *operation, const char *const *members, size_t count)
{
    struct kn_buf body;
    struct kn_json_writer w;
    kn_buf_init(&body, 8192);
    kn_json_writer_init(&w, &body);
    kn_json_object_begin(&w);
    for (size_t i = 0; i < count; i += 2) {
        kn_json_key(&w, members[i]);
        kn_json_text(&w, members[i + 1]);
    }
    kn_json_object_end(&w);
    talk(&poller, operation, &body);
}

static void poll_begin(void)
{
    const char *members[] = {"StreamName",           kds_options.stream,  "ShardId",
                             "shardId-000000000000", "ShardIteratorType", "LATEST"};
    ask("GetShardIterator", members, KN_ARRAY_LEN(members));
}

static void poller_read(void)
{
    static char iterator[1024];
    struct kn_str body, rest;
    if (!answered(&poller, &body))
        return;
    take_records(body);
    const char *at = memmem(body.ptr, body.len, "ShardIterator\":\"", 16);
    if (!at)
        kds_refused(kn_bytes_of(body));
    rest = (struct kn_str){at + 16, (size_t) (body.ptr + body.len - (at + 16))};
    (void) kn_str_cut(rest, '"', &rest);
    tool_must(kn_str_copy(iterator, sizeof iterator, rest), "an iterator");
    const char *members[] = {"ShardIterator", iterator};
    ask("GetRecords", members, KN_ARRAY_LEN(members));
}

/* --- the run ---------------------------------------------------------------------------------- */
static void watch(int epoll, int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        tool_die("epoll_ctl");
}

static void talker_open(struct talker *t, int epoll, uint64_t tag)
{
    kn_buf_init(&t->answer, MESSAGE_BYTES_MAX);
    t->fd = dial();
    watch(epoll, t->fd, tag);
}

static int timer_new(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct timespec step = {interval_us / 1000000, (long) (interval_us % 1000000) * 1000};
    struct itimerspec spec = {step, step};
    if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL) < 0)
        tool_die("a timer");
    return fd;
}

static void tick(int timer)
{
    uint64_t ticks = 0;
    if (read(timer, &ticks, sizeof ticks) != sizeof ticks)
        return;
    total.late += measuring && putter.waits;
    owed += ticks;
    put_owed();
}

static void run_until(int epoll, int timer, int64_t end_ns)
{
    struct epoll_event events[256];
    while (tool_now_ns() < end_ns) {
        int n = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < n; i++) {
            uint64_t tag = events[i].data.u64;
            if (tag == TAG_TIMER)
                tick(timer);
            else if (tag == TAG_PUTTER)
                putter_read();
            else if (tag == TAG_POLLER)
                poller_read();
            else
                subscriber_read(&subscribers[tag]);
        }
    }
}

static void report(double seconds, double server_cpu_s, double own_cpu_s)
{
    uint64_t records = total.delivered_ms.count;
    double latency[] = {tool_percentile(&total.delivered_ms, 0.5),
                        tool_percentile(&total.delivered_ms, 0.99),
                        tool_percentile(&total.delivered_ms, 0.999),
                        tool_percentile(&total.put_ms, 0.5), tool_percentile(&total.put_ms, 0.99)};
    printf("{\"seconds\": %.3f, \"subscribers\": %zu, \"records\": %" PRIu64
           ", \"events\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"puts\": %" PRIu64
           ", \"late\": %" PRIu64
           ", \"server_cpu_s\": %.3f, \"own_cpu_s\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"p999_ms\": %.3f, \"put_p50_ms\": %.3f, \"put_p99_ms\": %.3f}\n",
           seconds, subscriber_count, records, total.events, total.bytes, total.puts, total.late,
           server_cpu_s, own_cpu_s, latency[0], latency[1], latency[2], latency[3], latency[4]);
}

static void option(const char *name, const char *value, int *pid)
{
    struct kn_str key = kn_str_from(name + 2);
    if (kn_str_eq(key, KN_STR("port")))
        kds_options.port = (uint16_t) tool_number(value);
    else if (kn_str_eq(key, KN_STR("stream")))
        kds_options.stream = value;
    else if (kn_str_eq(key, KN_STR("batch")))
        kds_options.batch = (unsigned) tool_number(value);
    else if (kn_str_eq(key, KN_STR("bytes")))
        kds_options.bytes = (unsigned) tool_number(value);
    else if (kn_str_eq(key, KN_STR("interval-us")))
        interval_us = (unsigned) tool_number(value);
    else if (kn_str_eq(key, KN_STR("seconds")))
        kds_options.seconds = (double) tool_number(value);
    else if (kn_str_eq(key, KN_STR("warm")))
        kds_options.warm = (double) tool_number(value);
    else if (kn_str_eq(key, KN_STR("poll")))
        polls = tool_number(value) > 0;
    else if (kn_str_eq(key, KN_STR("pid")))
        *pid = (int) tool_number(value);
    else if (kn_str_eq(key, KN_STR("key")))
        kds_options.key_id = value;
    else if (kn_str_eq(key, KN_STR("secret")))
        kds_options.secret = value;
    else
        tool_die(name);
}

int main(int argc, char **argv)
{
    int pid = 0, at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2)
        option(argv[at], argv[at + 1], &pid);
    if (argc - at > SUBSCRIBERS_MAX || kds_options.bytes < STAMP_BYTES)
        tool_die("arguments");
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timer_new();
    for (; at < argc; at++) {
        struct subscriber *s = &subscribers[subscriber_count];
        subscribe(s, argv[at]);
        watch(epoll, s->fd, subscriber_count++);
    }
    watch(epoll, timer, TAG_TIMER);
    talker_open(&putter, epoll, TAG_PUTTER);
    if (polls) {
        talker_open(&poller, epoll, TAG_POLLER);
        poll_begin();
    }
    int64_t begun_ns = tool_now_ns();
    run_until(epoll, timer, begun_ns + (int64_t) (kds_options.warm * 1e9));
    measuring = true;
    begun_ns = tool_now_ns();
    int64_t server = pid ? tool_cpu_ns(pid) : 0, own = tool_cpu_ns(0);
    run_until(epoll, timer, begun_ns + (int64_t) (kds_options.seconds * 1e9));
    double seconds = (double) (tool_now_ns() - begun_ns) / 1e9;
    report(seconds, pid ? (double) (tool_cpu_ns(pid) - server) / 1e9 : 0,
           (double) (tool_cpu_ns(0) - own) / 1e9);
    return 0;
}
