/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinema-camera: the process in which cameras are talked to. `kinema serve` starts a few of them,
 * so that whatever a camera or a plugin does, the server is not in reach. Standard input is a
 * socket of whole packets (SOCK_SEQPACKET): the server writes JSON that says which cameras there
 * are, and reads JSON that says how they do. When it closes, the process ends.
 *
 *   {"camera": "yard", "url": "rtsp://…", "user": …, "password": …, "transport": "tcp",
 *    "tls": "verify", "caFile": "/…", "files": "/…", "latencyMs": 200, "timeoutMs": 5000}
 *                                               there is this camera, or it has changed
 *   {"drop": "yard"}                            it is gone, or not to be recorded for now
 */
#include "camera.h"
#include "listener.h"
#include "probe.h"

#include <errno.h>
#include <glib-unix.h>
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PACKET_BYTES_MAX = 32 << 10,
    MS_MAX = 60000,
    LATENCY_MS_DEFAULT = 200,
    TIMEOUT_MS_DEFAULT = 5000,
};

struct worker {
    const char *socket_path;
    GHashTable *cameras; /* stream name → struct camera */
    struct kn_buf out;
};

/* --- what is said to the server --------------------------------------------------------------- */
/* A packet that does not fit now is left out: the next one says it all again. */
static void say(void *ctx, struct camera *camera)
{
    struct worker *worker = ctx;
    struct kn_json_writer w;
    kn_buf_clear(&worker->out);
    kn_json_writer_init(&w, &worker->out);
    camera_status_write(camera, &w);
    if (worker->out.error == 0)
        (void) !send(STDIN_FILENO, worker->out.ptr, worker->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* --- what the server says --------------------------------------------------------------------- */
struct order {
    struct camera_settings settings;
    struct kn_str drop;
};

static int order_read(struct kn_bytes packet, struct kn_arena *arena, struct order *ret)
{
    struct camera_settings *s = &ret->settings;
    struct kn_str transport = {NULL, 0}, tls = {NULL, 0};
    uint64_t latency_ms = LATENCY_MS_DEFAULT, timeout_ms = TIMEOUT_MS_DEFAULT;
    const struct kn_json_member members[] = {
        {"camera",    .str = &s->stream  },
        {"url",       .str = &s->url     },
        {"user",      .str = &s->user    },
        {"password",  .str = &s->password},
        {"caFile",    .str = &s->ca_file },
        {"files",     .str = &s->files   },
        {"drop",      .str = &ret->drop  },
        {"transport", .str = &transport  },
        {"tls",       .str = &tls        },
        {"latencyMs", .u64 = &latency_ms },
        {"timeoutMs", .u64 = &timeout_ms },
    };
    *ret = (struct order){0};
    int r = kn_json_object_read(packet, arena, members, G_N_ELEMENTS(members));
    if (r < 0 || latency_ms > MS_MAX || timeout_ms > MS_MAX)
        return -EBADMSG;
    if (transport.ptr)
        s->transport = camera_transport_of(transport);
    s->tls_verify = kn_str_eq(tls, KN_STR("verify"));
    s->latency_ms = (unsigned) latency_ms;
    s->timeout_ms = (unsigned) timeout_ms;
    return 0;
}

static void drop(struct worker *worker, const char *name)
{
    gpointer key = NULL, camera = NULL;
    if (!g_hash_table_steal_extended(worker->cameras, name, &key, &camera))
        return;
    g_free(key);
    camera_stop(camera);
}

static void obey(struct worker *worker, const struct order *order)
{
    struct kn_str name = order->drop.len ? order->drop : order->settings.stream;
    char *text = g_strndup(name.ptr ? name.ptr : "", name.len);
    struct camera *camera = g_hash_table_lookup(worker->cameras, text);
    bool same = camera && !order->drop.len && camera_has(camera, &order->settings);
    if (camera && !same)
        drop(worker, text);
    if (!order->drop.len && order->settings.url.len && !same)
        g_hash_table_insert(worker->cameras, g_strdup(text),
                            camera_start(&order->settings, worker->socket_path, say, worker));
    g_free(text);
}

/* The server stops, or is gone: uploads end in order, and nothing else is waited for. */
static void end(struct worker *worker)
{
    GHashTableIter iter;
    gpointer camera;
    g_hash_table_iter_init(&iter, worker->cameras);
    while (g_hash_table_iter_next(&iter, NULL, &camera))
        camera_stop(camera);
    _exit(0);
}

static gboolean packet_came(gint fd, GIOCondition condition, gpointer arg)
{
    static uint8_t bytes[PACKET_BYTES_MAX];
    struct worker *worker = arg;
    (void) condition;
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0)
        end(worker);
    struct kn_arena arena;
    struct order order;
    kn_arena_init(&arena, PACKET_BYTES_MAX);
    if (order_read((struct kn_bytes){bytes, (size_t) n}, &arena, &order) == 0)
        obey(worker, &order);
    else
        g_printerr("kinema-camera: a packet that is no order\n");
    kn_arena_done(&arena);
    explicit_bzero(bytes, sizeof bytes);
    return G_SOURCE_CONTINUE;
}

static gboolean tick(gpointer arg)
{
    struct worker *worker = arg;
    GHashTableIter iter;
    gpointer camera;
    g_hash_table_iter_init(&iter, worker->cameras);
    while (g_hash_table_iter_next(&iter, NULL, &camera))
        camera_tick(camera);
    return G_SOURCE_CONTINUE;
}

static int work(const char *socket_path)
{
    struct worker worker = {.socket_path = socket_path};
    worker.cameras = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    kn_buf_init(&worker.out, PACKET_BYTES_MAX);
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, packet_came, &worker);
    g_timeout_add(1000, tick, &worker);
    g_main_loop_run(loop);
    return 0;
}

static int usage(FILE *to, int code)
{
    fputs(
        "usage: kinema-camera probe URL [--transport auto|tcp|udp|http] [--seconds N] [--files "
        "DIR]\n"
        "           what a camera offers, and what it sends in some seconds; the password may "
        "also\n"
        "           stand in KINEMA_CAMERA_PASSWORD, the user in KINEMA_CAMERA_USER, and for - "
        "the\n"
        "           URL in KINEMA_CAMERA_URL; files, by file:///…, are looked at below DIR alone\n"
        "       kinema-camera work --socket PATH\n"
        "           kinema serve starts it; standard input is its socket of orders\n"
        "       kinema-camera listen --socket PATH\n"
        "           likewise; the RTSP listener, on descriptors 3 and 4 (TLS)\n",
        to);
    return code;
}

#ifdef __SANITIZE_THREAD__
/* GLib's locks are futexes of a library that the sanitizer does not see into: what they guard would
 * be races to it. The server, at the other end of the socket, is what it looks at. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_bugs=0";
}
#endif

int main(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return usage(stdout, 0);
    if (argc == 4 && !strcmp(argv[1], "work") && !strcmp(argv[2], "--socket")) {
        gst_init(NULL, NULL);
        return work(argv[3]);
    }
    if (argc == 4 && !strcmp(argv[1], "listen") && !strcmp(argv[2], "--socket")) {
        gst_init(NULL, NULL);
        return camera_listen(argv[3]);
    }
    if (argc >= 3 && !strcmp(argv[1], "probe")) {
        gst_init(NULL, NULL);
        _exit(camera_probe(argc - 2, argv + 2)); /* what plugins keep is the system's to take */
    }
    return usage(stderr, 2);
}
