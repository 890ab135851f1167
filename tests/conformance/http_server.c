/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server the HTTP conformance suite (tests/api/test_00_http_*.py) talks to: every way a handler
 * can use core/http.h, on plain, TLS, HTTP/2 and libmicrohttpd listeners of one process. It prints
 * one line, `ready plain=PORT tls=PORT …`, and stops at the end of its standard input.
 */
#include "core/http_server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "core/metrics.h"

static struct kn_gate gate;
static int file_fd = -1;
static uint64_t file_len;
static _Atomic int64_t files_open, requests_live;
static _Atomic uint64_t last_parked; /* a kn_http_ref's v */
static _Atomic uint64_t why_counts[8];

static void reply_text(struct kn_http_req *req, int status, const char *text)
{
    const struct kn_http_header type = {KN_STR("content-type"), KN_STR("text/plain")};
    kn_http_reply(req, status, &type, 1, kn_bytes_of(kn_str_from(text)));
}

static uint64_t number_param(struct kn_http_req *req, const char *name, uint64_t otherwise)
{
    struct kn_str text;
    uint64_t value;
    if (kn_http_query_param(req, name, &text) < 0 || kn_str_to_u64(text, UINT32_MAX, &value) < 0)
        return otherwise;
    return value;
}

static void count_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    (void) req;
    (void) ctx;
    atomic_fetch_add(&why_counts[why], 1);
    atomic_fetch_sub(&requests_live, 1);
}

/* --- /hello, /echo, /headers, /forbidden, /state ------------------------------------------ */
static int hello_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    uint64_t size = number_param(req, "size", 0);
    if (size == 0) {
        reply_text(req, 200, "hello\n");
        return 0;
    }
    char *body = malloc(size);
    memset(body, 'x', size);
    kn_http_reply(req, 200, NULL, 0, (struct kn_bytes){(uint8_t *) body, size});
    memset(body, 'y', size); /* the engine has its own copy by now */
    free(body);
    return 0;
}

static int echo_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    kn_http_collect(req, 1 << 20);
    return 0;
}

static void echo_end(struct kn_http_req *req, void *ctx)
{
    (void) ctx;
    const struct kn_http_header type = {KN_STR("content-type"), KN_STR("application/octet-stream")};
    kn_http_reply(req, 200, &type, 1, kn_http_body(req));
}

static int headers_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    struct kn_buf out;
    kn_buf_init(&out, 1 << 20);
    kn_buf_printf(&out, "%.*s|%.*s|%.*s|host=%.*s|tls=%d|h2=%d|loopback=%d\n",
                  KN_STR_ARG(kn_http_method(req)), KN_STR_ARG(kn_http_path(req)),
                  KN_STR_ARG(kn_http_query(req)), KN_STR_ARG(kn_http_header(req, "host")),
                  kn_http_is_tls(req), kn_http_is_h2(req), kn_http_is_loopback(req));
    const struct kn_http_header *headers;
    size_t count = kn_http_headers(req, &headers);
    for (size_t i = 0; i < count; i++)
        kn_buf_printf(&out, "%.*s: %.*s\n", KN_STR_ARG(headers[i].name),
                      KN_STR_ARG(headers[i].value));
    kn_http_reply(req, 200, NULL, 0, kn_buf_bytes(&out));
    kn_buf_done(&out);
    return 0;
}

static int forbidden_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    reply_text(req, 403, "no\n");
    return 0;
}

static int state_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    char text[256];
    snprintf(text, sizeof(text),
             "live=%lld files=%lld done=%llu peer_gone=%llu timeout=%llu reset=%llu shutdown=%llu "
             "error=%llu",
             (long long) atomic_load(&requests_live) - 1, (long long) atomic_load(&files_open),
             (unsigned long long) why_counts[0], (unsigned long long) why_counts[1],
             (unsigned long long) why_counts[2], (unsigned long long) why_counts[3],
             (unsigned long long) why_counts[4], (unsigned long long) why_counts[5]);
    reply_text(req, 200, text);
    return 0;
}

static int metrics_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    struct kn_buf out;
    kn_buf_init(&out, 1 << 20);
    (void) kn_metrics_write(&out);
    kn_http_reply(req, 200, NULL, 0, kn_buf_bytes(&out));
    kn_buf_done(&out);
    return 0;
}

/* --- /stream: count pieces of size bytes, known=1 with a length, wait=ms between them -------- */
struct stream {
    uint64_t count, size, wait_ms, at, in_piece, short_by;
    bool waited;
};

static int stream_head(struct kn_http_req *req, void **ctx)
{
    atomic_fetch_add(&requests_live, 1);
    struct stream *s = calloc(1, sizeof(*s));
    *ctx = s;
    s->count = number_param(req, "count", 3);
    s->size = number_param(req, "size", 4);
    s->wait_ms = number_param(req, "wait", 0);
    s->short_by = number_param(req, "short", 0);
    bool known = number_param(req, "known", 0);
    kn_http_reply_stream(req, 200, NULL, 0, known ? s->count * s->size : KN_HTTP_LENGTH_UNKNOWN);
    return 0;
}

static ssize_t stream_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct stream *s = ctx;
    if (s->at + s->short_by >= s->count)
        return KN_HTTP_EOF;
    if (s->wait_ms && !s->waited) {
        kn_http_deadline(req, (int64_t) s->wait_ms);
        return KN_HTTP_WAIT;
    }
    size_t n = kn_min_u64(s->size - s->in_piece, cap);
    memset(dst, 'a' + (int) (s->at % 26), n);
    s->in_piece += n;
    if (s->in_piece == s->size) {
        s->waited = false;
        s->in_piece = 0;
        s->at++;
    }
    return (ssize_t) n;
}

static void stream_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    (void) req;
    struct stream *s = ctx;
    if (bits & KN_HTTP_WAKE_DEADLINE)
        s->waited = true;
    if (bits & KN_HTTP_WAKE_SHUTDOWN)
        s->count = s->at;
}

static void stream_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    free(ctx);
    count_gone(req, NULL, why);
}

/* --- /duplex: one ack (a line, one chunk) for each `every` bytes, and one at the end --------- */
struct duplex {
    uint64_t every, got, acked, hold_ms, calls;
    uint32_t calm_ms;
    bool ended, final_sent, pause_once, paused, stop_after_ack;
};

static int duplex_head(struct kn_http_req *req, void **ctx)
{
    atomic_fetch_add(&requests_live, 1);
    struct duplex *d = calloc(1, sizeof(*d));
    *ctx = d;
    d->every = number_param(req, "every", 1000);
    d->pause_once = number_param(req, "pause", 0);
    d->hold_ms = number_param(req, "hold", 50);
    d->stop_after_ack = number_param(req, "stop", 0);
    d->calm_ms = (uint32_t) number_param(req, "paced", 0);
    kn_http_pace_body(req, d->calm_ms);
    kn_http_reply_stream(req, 200, NULL, 0, KN_HTTP_LENGTH_UNKNOWN);
    return 0;
}

static ssize_t duplex_data(struct kn_http_req *req, void *ctx, const void *ptr, size_t len)
{
    struct duplex *d = ctx;
    (void) ptr;
    d->calls++;
    kn_http_pace_body(req, d->calm_ms);
    if (d->pause_once && len > 1) { /* takes half, then the rest after a while */
        d->pause_once = false;
        d->paused = true;
        kn_http_deadline(req, (int64_t) d->hold_ms);
        len /= 2;
    }
    d->got += len;
    if (d->got / d->every > d->acked)
        kn_http_wake(kn_http_ref_of(req), 1);
    return (ssize_t) len;
}

static void duplex_end(struct kn_http_req *req, void *ctx)
{
    struct duplex *d = ctx;
    d->ended = true;
    kn_http_wake(kn_http_ref_of(req), 1);
}

static ssize_t duplex_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct duplex *d = ctx;
    (void) req;
    if (d->acked < d->got / d->every) {
        d->acked++;
        return snprintf(dst, cap, "ack %llu\n", (unsigned long long) (d->acked * d->every));
    }
    if (d->stop_after_ack && d->acked)
        return KN_HTTP_EOF;
    if (!d->ended)
        return KN_HTTP_WAIT;
    if (d->final_sent)
        return KN_HTTP_EOF;
    d->final_sent = true;
    if (d->calm_ms)
        return snprintf(dst, cap, "end %llu in %llu calls\n", (unsigned long long) d->got,
                        (unsigned long long) d->calls);
    return snprintf(dst, cap, "end %llu\n", (unsigned long long) d->got);
}

static void duplex_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct duplex *d = ctx;
    if ((bits & KN_HTTP_WAKE_DEADLINE) && d->paused)
        kn_http_resume_body(req);
}

/* --- /park: answers at wake (by /wake), at a deadline (?ms=), or at shutdown ------------------ */
static int park_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    kn_http_deadline(req, (int64_t) number_param(req, "ms", 30000));
    atomic_store(&last_parked, kn_http_ref_of(req).v);
    return 0;
}

static void park_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    (void) ctx;
    char text[64];
    snprintf(text, sizeof(text), "bits=%x\n", (unsigned) bits);
    reply_text(req, 200, text);
}

static int wake_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    kn_http_wake((struct kn_http_ref){atomic_load(&last_parked)}, 5);
    reply_text(req, 200, "woken\n");
    return 0;
}

/* --- /gate waits for /bump -------------------------------------------------------------------- */
static int gate_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    kn_http_gate_wait(req, &gate, number_param(req, "seen", (uint64_t) kn_gate_value(&gate)));
    return 0;
}

static int bump_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    kn_gate_bump(&gate);
    reply_text(req, 200, "bumped\n");
    return 0;
}

/* --- /offload: collects, works on a worker for ?ms=, answers ---------------------------------- */
struct offload {
    uint64_t ms;
    unsigned long worker;
};

static void offload_job(void *arg)
{
    struct offload *o = arg;
    if (o->ms)
        usleep((useconds_t) o->ms * 1000); /* stands for a slow disk */
    o->worker = (unsigned long) pthread_self();
}

static int offload_head(struct kn_http_req *req, void **ctx)
{
    atomic_fetch_add(&requests_live, 1);
    struct offload *o = calloc(1, sizeof(*o));
    *ctx = o;
    o->ms = number_param(req, "ms", 0);
    kn_http_collect(req, 1 << 16);
    return 0;
}

static void offload_end(struct kn_http_req *req, void *ctx)
{
    if (kn_http_offload(req, KN_HTTP_READS, offload_job, ctx) < 0)
        reply_text(req, 503, "busy\n");
}

static void offload_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct offload *o = ctx;
    if (bits & KN_HTTP_WAKE_JOB)
        reply_text(req, 200,
                   o->worker != (unsigned long) pthread_self() ? "worked\n" : "on the loop\n");
}

/* --- /file?off=&len= -------------------------------------------------------------------------- */
static void file_release(void *arg)
{
    (void) arg;
    atomic_fetch_sub(&files_open, 1);
}

static int file_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    atomic_fetch_add(&files_open, 1);
    uint64_t off = number_param(req, "off", 0);
    const struct kn_http_file file = {.fd = file_fd,
                                      .off = off,
                                      .len = number_param(req, "len", file_len - off),
                                      .release = file_release};
    kn_http_reply_file(req, 200, NULL, 0, &file);
    return 0;
}

/* --- /over: hands over in wake(), after a job, with the body still unread (as the API engine) --
 */
static const struct kn_http_ops duplex_ops = {.head = duplex_head,
                                              .data = duplex_data,
                                              .end = duplex_end,
                                              .pull = duplex_pull,
                                              .wake = duplex_wake,
                                              .gone = stream_gone};

static void over_job(void *arg)
{
    (void) arg;
}

static int over_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    return kn_http_offload(req, KN_HTTP_READS, over_job, NULL);
}

static void over_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    (void) ctx;
    if ((bits & KN_HTTP_WAKE_JOB) && kn_http_hand_over(req, &duplex_ops, NULL) < 0)
        kn_http_abort(req);
}

/* --- /abort ----------------------------------------------------------------------------------- */
static int abort_head(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    atomic_fetch_add(&requests_live, 1);
    kn_http_abort(req);
    return 0;
}

#define OPS(name)                                                                                  \
    static const struct kn_http_ops name##_ops = {.head = name##_head, .gone = count_gone}
OPS(hello);
OPS(headers);
OPS(forbidden);
OPS(state);
OPS(metrics);
OPS(wake);
OPS(bump);
OPS(file);
OPS(abort);
static const struct kn_http_ops echo_ops = {.head = echo_head, .end = echo_end, .gone = count_gone};
static const struct kn_http_ops stream_ops = {
    .head = stream_head, .pull = stream_pull, .wake = stream_wake, .gone = stream_gone};
static const struct kn_http_ops park_ops = {
    .head = park_head, .wake = park_wake, .gone = count_gone};
static const struct kn_http_ops gate_ops = {
    .head = gate_head, .wake = park_wake, .gone = count_gone};
static const struct kn_http_ops offload_ops = {
    .head = offload_head, .end = offload_end, .wake = offload_wake, .gone = stream_gone};
static const struct kn_http_ops over_ops = {
    .head = over_head, .wake = over_wake, .gone = count_gone};

static const struct {
    const char *method, *path;
    const struct kn_http_ops *ops;
} routes[] = {
    {"GET",  "/hello",     &hello_ops    },
    {"POST", "/echo",      &echo_ops     },
    {"GET",  "/headers",   &headers_ops  },
    {"POST", "/forbidden", &forbidden_ops},
    {"GET",  "/state",     &state_ops    },
    {"GET",  "/metrics",   &metrics_ops  },
    {"GET",  "/stream",    &stream_ops   },
    {"POST", "/duplex",    &duplex_ops   },
    {"GET",  "/park",      &park_ops     },
    {"GET",  "/wake",      &wake_ops     },
    {"GET",  "/gate",      &gate_ops     },
    {"GET",  "/bump",      &bump_ops     },
    {"POST", "/offload",   &offload_ops  },
    {"GET",  "/file",      &file_ops     },
    {"POST", "/over",      &over_ops     },
    {"GET",  "/abort",     &abort_ops    },
    {"GET",  "/prefix/*",  &headers_ops  },
};

static void must(int r, const struct kn_err *err)
{
    if (r >= 0)
        return;
    fprintf(stderr, "http_server: %s (%s)\n", err->text, kn_errname(r));
    exit(1);
}

static void read_settings(struct kn_http_conf *conf, int argc, char **argv)
{
    struct kn_conf_table table = {"http", kn_http_conf_keys, kn_http_conf_key_count, conf};
    struct kn_err err = {0};
    must(kn_conf_defaults(&table, 1), &err);
    for (int i = 2; i < argc; i++) {
        struct kn_str name, value = kn_str_cut(kn_str_from(argv[i]), '=', &name);
        must(kn_conf_set(&table, 1, name, value, &err), &err);
    }
}

static void make_file(const char *dir)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/file", dir);
    file_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    file_len = 3 << 20;
    uint8_t block[4096];
    for (uint64_t at = 0; at < file_len; at += sizeof(block)) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (uint8_t) ((at + i) * 2654435761u >> 13);
        if (write(file_fd, block, sizeof(block)) != sizeof(block))
            exit(1);
    }
}

int main(int argc, char **argv)
{
    struct kn_err err = {0};
    struct kn_http_conf conf = {0};
    if (argc < 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    kn_gate_init(&gate);
    make_file(argv[1]);
    read_settings(&conf, argc, argv);

    struct kn_http_router *router;
    must(kn_http_router_new(&router), &err);
    for (size_t i = 0; i < KN_ARRAY_LEN(routes); i++)
        must(kn_http_router_add(router, routes[i].method, routes[i].path, routes[i].ops, NULL),
             &err);

    char cert[512], key[512];
    snprintf(cert, sizeof(cert), "%s/cert.pem", argv[1]);
    snprintf(key, sizeof(key), "%s/key.pem", argv[1]);
    must(kn_tls_self_signed(cert, key, &err), &err);
    struct kn_tls *tls, *tls_h1;
    must(kn_tls_new(cert, key, true, &tls, &err), &err);
    must(kn_tls_new(cert, key, false, &tls_h1, &err), &err);

    struct kn_http_server *server;
    must(kn_http_server_new(&conf, kn_clock_system(), &server, &err), &err);
    const struct kn_http_listen listens[] = {
        {"plain",      "127.0.0.1:0", NULL,   true,  &kn_http_router_ops, router},
        {"tls",        "127.0.0.1:0", tls,    true,  &kn_http_router_ops, router},
        {"ingest",     "127.0.0.1:0", NULL,   false, &kn_http_router_ops, router},
        {"ingest_tls", "127.0.0.1:0", tls_h1, false, &kn_http_router_ops, router},
    };
    struct kn_buf ready;
    kn_buf_init(&ready, 4096);
    for (size_t i = 0; i < KN_ARRAY_LEN(listens); i++) {
        uint16_t port;
        must(kn_http_server_listen(server, &listens[i], &port, &err), &err);
        kn_buf_printf(&ready, " %s=%u", listens[i].name, port);
    }
    must(kn_http_server_start(server, &err), &err);
    const struct kn_http_listen console = {"console", "127.0.0.1:0",       NULL,
                                           false,     &kn_http_router_ops, router};
    struct kn_http_mhd *mhd;
    uint16_t console_port;
    const struct kn_http_mhd_conf console_conf = {.threads = 2,
                                                  .connections_max = 256,
                                                  .workers = kn_http_server_workers(server),
                                                  .clock = kn_clock_system()};
    must(kn_http_mhd_start(&console, &console_conf, &mhd, &console_port, &err), &err);
    kn_buf_printf(&ready, " console=%u", console_port);
    printf("ready%.*s\n", KN_STR_ARG(kn_buf_str(&ready)));
    fflush(stdout);
    kn_buf_done(&ready);

    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    kn_http_mhd_stop(mhd, 1000);
    kn_http_server_stop(server, 1000);
    kn_http_server_free(server);
    kn_http_router_free(router);
    kn_tls_free(tls);
    kn_tls_free(tls_h1);
    kn_gate_done(&gate);
    close(file_fd);
    long long live = (long long) atomic_load(&requests_live);
    printf("stopped live=%lld files=%lld\n", live, (long long) atomic_load(&files_open));
    return live == 0 && atomic_load(&files_open) == 0 ? 0 : 3;
}
