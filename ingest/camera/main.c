/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinema-camera: the process in which cameras are talked to. `kinema serve` starts a few of them,
 * so that whatever a camera or a plugin does, the server is not in reach. Standard input is a
 * socket of whole packets (SOCK_SEQPACKET): the server writes JSON that says which cameras there
 * are, and reads JSON that says how they do. When it closes, the process ends.
 *
 *   {"camera": "yard", "url": "rtsp://…", "user": …, "password": …, "transport": "tcp",
 *    "tls": "verify", "caFile": "/…", "latencyMs": 200, "timeoutMs": 5000}
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
    MS_MAX = 60000
};

struct worker {
    const char *socket_path;
    GHashTable *cameras; /* stream name → struct camera */
    struct kn_buf out;
};

/* --- what is said to the server ----------------------------------------------------------------
 */
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

/* --- what the server says ----------------------------------------------------------------------
 */
struct order {
    struct camera_settings settings;
    struct kn_str drop;
};

static int order_member(struct order *order, struct kn_str key, struct kn_json_reader *r,
                        enum kn_json_token token, struct kn_arena *arena)
{
    const struct {
        const char *key;
        struct kn_str *dst;
    } texts[] = {
        {"camera",   &order->settings.stream  },
        {"url",      &order->settings.url     },
        {"user",     &order->settings.user    },
        {"password", &order->settings.password},
        {"caFile",   &order->settings.ca_file },
        {"drop",     &order->drop             },
    };
    struct kn_str text = {NULL, 0};
    int64_t number = 0;
    if (token == KN_JSON_NUMBER && kn_json_number_i64(r, &number) == 0 && number >= 0 &&
        number <= MS_MAX) {
        if (kn_str_eq(key, KN_STR("latencyMs")))
            order->settings.latency_ms = (unsigned) number;
        else if (kn_str_eq(key, KN_STR("timeoutMs")))
            order->settings.timeout_ms = (unsigned) number;
        return 0;
    }
    if (token != KN_JSON_STRING || kn_json_unescape(r, arena, &text) < 0)
        return -EBADMSG;
    if (kn_str_eq(key, KN_STR("transport")))
        order->settings.transport = camera_transport_of(text);
    if (kn_str_eq(key, KN_STR("tls")))
        order->settings.tls_verify = kn_str_eq(text, KN_STR("verify"));
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (kn_str_eq(key, kn_str_from(texts[i].key)))
            *texts[i].dst = text;
    }
    return 0;
}

static int order_read(struct kn_bytes packet, struct kn_arena *arena, struct order *ret)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    *ret = (struct order){
        .settings = {.latency_ms = 200, .timeout_ms = 5000}
    };
    kn_json_reader_init(&r, packet);
    if (kn_json_next(&r, &token) < 0 || token != KN_JSON_OBJECT)
        return -EBADMSG;
    while (kn_json_next(&r, &token) == 0 && token == KN_JSON_KEY) {
        struct kn_str key = r.raw;
        if (kn_json_next(&r, &token) < 0 || order_member(ret, key, &r, token, arena) < 0)
            return -EBADMSG;
    }
    return token == KN_JSON_OBJECT_END ? 0 : -EBADMSG;
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
    fputs("usage: kinema-camera probe URL [--transport auto|tcp|udp|http] [--seconds N]\n"
          "           what a camera offers, and what it sends in some seconds; the password may "
          "also\n"
          "           stand in KINEMA_CAMERA_PASSWORD, the user in KINEMA_CAMERA_USER, and for - "
          "the\n"
          "           URL in KINEMA_CAMERA_URL\n"
          "       kinema-camera work --socket PATH\n"
          "           kinema serve starts it; standard input is its socket of orders\n"
          "       kinema-camera listen --socket PATH\n"
          "           likewise; the RTSP listener, on descriptor 3\n",
          to);
    return code;
}

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
