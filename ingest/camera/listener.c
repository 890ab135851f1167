/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include "access.h"
#include "describe.h"
#include "player.h"
#include "push.h"
#include "say.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/json.h"

enum {
    LISTEN_FD = 3,
    LISTEN_TLS_FD = 4,
    PACKET_BYTES_MAX = 64 << 10,       /* with a chain of certificates */
    REQUEST_BODY_BYTES_MAX = 64 << 10, /* an announcement */
    ACCEPTS_A_TURN = 32,
    TURNED_AWAY_S = 10,         /* between two lines of the log about it */
    NUMBER_MAX = (1 << 30) - 1, /* all ones */
};

/* --- connections ------------------------------------------------------------------------------ */
static bool count_in(struct camera_listener *l, const char *address)
{
    g_mutex_lock(&l->lock);
    guint of_peer = GPOINTER_TO_UINT(g_hash_table_lookup(l->addresses, address));
    bool room = l->connections < l->settings.connections_max &&
                (l->settings.per_peer_max == 0 || of_peer < l->settings.per_peer_max);
    if (room) {
        l->connections++;
        g_hash_table_insert(l->addresses, g_strdup(address), GUINT_TO_POINTER(of_peer + 1));
    }
    g_mutex_unlock(&l->lock);
    return room;
}

static void count_out(struct camera_listener *l, const char *address)
{
    g_mutex_lock(&l->lock);
    guint of_peer = GPOINTER_TO_UINT(g_hash_table_lookup(l->addresses, address));
    l->connections--;
    if (of_peer > 1)
        g_hash_table_insert(l->addresses, g_strdup(address), GUINT_TO_POINTER(of_peer - 1));
    else
        g_hash_table_remove(l->addresses, address);
    g_mutex_unlock(&l->lock);
}

static void unmount(struct camera_peer *peer)
{
    char *path = peer->stream ? g_strconcat("/", peer->stream, NULL) : NULL;
    if (path)
        gst_rtsp_mount_points_remove_factory(peer->mounts, path);
    g_free(path);
}

static void on_closed(GstRTSPClient *client, gpointer arg)
{
    struct camera_peer *peer = camera_peer_of(client);
    unmount(peer); /* the factory holds the peer */
    count_out(arg, peer->address);
}

static void on_new_session(GstRTSPClient *client, GstRTSPSession *session, gpointer arg)
{
    const struct camera_listener *l = arg;
    (void) client;
    gst_rtsp_session_set_timeout(session, MAX(l->settings.idle_ms / 1000, 1));
}

static GstRTSPStatusCode on_teardown(GstRTSPClient *client, GstRTSPContext *ctx, gpointer arg)
{
    (void) client;
    (void) arg;
    camera_push_let_arrive(ctx->sessmedia ? gst_rtsp_session_media_get_media(ctx->sessmedia)
                                          : NULL);
    return GST_RTSP_STS_OK;
}

/* Before a byte was read: the handshake is of the connection's own thread. */
static bool encrypt(const struct camera_listener *l, GstRTSPClient *client)
{
    GstRTSPConnection *connection = gst_rtsp_client_get_connection(client); /* borrowed */
    GTlsConnection *tls = connection ? gst_rtsp_connection_get_tls(connection, NULL) : NULL;
    if (tls)
        g_tls_connection_set_certificate(tls, l->certificate);
    return tls != NULL;
}

static void on_connected(GstRTSPServer *server, GstRTSPClient *client, gpointer arg)
{
    struct camera_listener *l = arg;
    (void) server;
    if (l->coming->tls && !encrypt(l, client))
        camera_peer_hang_up(l->coming);
    gst_rtsp_client_set_mount_points(client, l->coming->mounts);
    camera_peer_attach(camera_peer_ref(l->coming), client);
    g_signal_connect(client, "closed", G_CALLBACK(on_closed), l);
    g_signal_connect(client, "new-session", G_CALLBACK(on_new_session), l);
    g_signal_connect(client, "pre-teardown-request", G_CALLBACK(on_teardown), NULL);
}

static void turn_away(struct camera_listener *l, const char *address)
{
    gint64 now_us = g_get_monotonic_time();
    if (l->turned_away_us == 0 || now_us - l->turned_away_us > TURNED_AWAY_S * G_USEC_PER_SEC) {
        l->turned_away_us = now_us;
        camera_say("turned_away", NULL, address, NULL, "too many connections");
    }
}

/* A peer that is gone without a word does not keep its place for hours. */
static void watch_over(int fd, unsigned idle_ms)
{
    const int on = 1, idle_s = (int) MAX(idle_ms / 1000, 1), times = 3;
    (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof idle_s);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &idle_ms, sizeof idle_ms);
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void take(struct camera_listener *l, int fd, bool tls)
{
    GSocket *socket = g_socket_new_from_fd(fd, NULL);
    GSocketAddress *at = socket ? g_socket_get_remote_address(socket, NULL) : NULL;
    if (!socket || !at) {
        g_clear_object(&socket);
        if (!socket)
            close(fd);
        return;
    }
    GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS(at);
    char *address = g_inet_address_to_string(g_inet_socket_address_get_address(inet));
    guint16 port = g_inet_socket_address_get_port(inet);
    g_object_unref(at);
    if (!count_in(l, address)) {
        turn_away(l, address);
        g_object_unref(socket); /* closes it */
    } else {
        watch_over(fd, l->settings.idle_ms);
        l->coming = camera_peer_new(address, fd);
        l->coming->tls = tls;
        if (!gst_rtsp_server_transfer_connection(l->server, socket, address, port, NULL))
            count_out(l, address);
        camera_peer_unref(l->coming);
        l->coming = NULL;
    }
    g_free(address);
}

static gboolean somebody_comes(gint fd, GIOCondition condition, gpointer arg)
{
    (void) condition;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int one = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (one < 0)
            break;
        take(arg, one, fd == LISTEN_TLS_FD);
    }
    return G_SOURCE_CONTINUE;
}

/* --- requests --------------------------------------------------------------------------------- */
static GstRTSPStatusCode admit(void *ctx, GstRTSPContext *rtsp, struct camera_peer *peer)
{
    GstRTSPMediaFactory *factory = NULL;
    GstRTSPStatusCode code;
    if (rtsp->method == GST_RTSP_ANNOUNCE)
        code = camera_push_prepare(ctx, rtsp, peer, &factory);
    else
        code = camera_player_prepare(ctx, rtsp, peer, &factory);
    if (code != GST_RTSP_STS_OK)
        return code;
    /* Datagrams would go beside TLS, for everybody to read. */
    gst_rtsp_media_factory_set_protocols(factory, GST_RTSP_LOWER_TRANS_TCP |
                                                      (peer->tls ? 0 : GST_RTSP_LOWER_TRANS_UDP));
    char *path = g_strconcat("/", peer->stream, NULL);
    gst_rtsp_mount_points_add_factory(peer->mounts, path, factory);
    g_free(path);
    return GST_RTSP_STS_OK;
}

/* --- each second ------------------------------------------------------------------------------ */
static GstRTSPFilterResult look_at_client(GstRTSPServer *server, GstRTSPClient *client,
                                          gpointer arg)
{
    const struct camera_listener *l = arg;
    struct camera_peer *peer = camera_peer_of(client);
    (void) server;
    gint64 heard_us = __atomic_load_n(&peer->heard_us, __ATOMIC_RELAXED);
    if (heard_us == INT64_MAX ||
        g_get_monotonic_time() - heard_us < (gint64) l->settings.idle_ms * 1000)
        return GST_RTSP_FILTER_KEEP;
    GList *sessions = gst_rtsp_client_session_filter(client, NULL, NULL);
    if (!sessions)
        camera_peer_hang_up(peer);
    g_list_free_full(sessions, g_object_unref);
    return GST_RTSP_FILTER_KEEP;
}

static gboolean tick(gpointer arg)
{
    struct camera_listener *l = arg;
    GstRTSPSessionPool *pool = gst_rtsp_server_get_session_pool(l->server);
    (void) gst_rtsp_session_pool_cleanup(pool);
    g_object_unref(pool);
    g_list_free_full(gst_rtsp_server_client_filter(l->server, look_at_client, l), g_object_unref);
    camera_push_check_all(l);
    g_mutex_lock(&l->lock);
    const struct camera_counts counts = {l->connections, l->pushes->len, l->viewers};
    g_mutex_unlock(&l->lock);
    camera_say_counts(&counts);
    return G_SOURCE_CONTINUE;
}

/* --- life ------------------------------------------------------------------------------------- */
/* pem: borrowed from the arena. */
static int read_settings(struct kn_bytes packet, struct kn_arena *arena,
                         struct camera_listener_settings *ret, struct kn_str *ret_pem)
{
    uint64_t connections_max = 0, per_peer_max = 0, idle_ms = 0, latency_ms = 0;
    const struct kn_json_member members[] = {
        {"open",           .flag = &ret->open     },
        {"plain",          .flag = &ret->plain    },
        {"tls",            .flag = &ret->tls      },
        {"pem",            .str = ret_pem         },
        {"connectionsMax", .u64 = &connections_max},
        {"perPeerMax",     .u64 = &per_peer_max   },
        {"idleMs",         .u64 = &idle_ms        },
        {"latencyMs",      .u64 = &latency_ms     },
    };
    int r = kn_json_object_read(packet, arena, members, G_N_ELEMENTS(members));
    if (r < 0 || (connections_max | per_peer_max | idle_ms | latency_ms) > NUMBER_MAX)
        return -EBADMSG;
    ret->connections_max = (unsigned) connections_max;
    ret->per_peer_max = (unsigned) per_peer_max;
    ret->idle_ms = (unsigned) idle_ms;
    ret->latency_ms = (unsigned) latency_ms;
    return 0;
}

/* The server has read it; here a plugin of GIO's does (Debian: glib-networking). What cannot be
 * read leaves the former in place. */
static void serve_tls(struct camera_listener *l, struct kn_str pem)
{
    GError *error = NULL;
    GTlsCertificate *read = g_tls_certificate_new_from_pem(pem.ptr, (gssize) pem.len, &error);
    if (!read)
        camera_say("tls_unready", NULL, NULL, NULL, error ? error->message : "?");
    else if (!l->certificate)
        g_unix_fd_add(LISTEN_TLS_FD, G_IO_IN, somebody_comes, l);
    if (read) {
        g_clear_object(&l->certificate);
        l->certificate = read;
    }
    g_clear_error(&error);
}

static void start(struct camera_listener *l)
{
    l->server = camera_server_new();
    gst_rtsp_server_set_content_length_limit(l->server, REQUEST_BODY_BYTES_MAX);
    GstRTSPAuth *auth = camera_access_new(l->socket_path, l->settings.open, admit, l);
    gst_rtsp_server_set_auth(l->server, auth);
    g_object_unref(auth);
    GstRTSPThreadPool *threads = gst_rtsp_server_get_thread_pool(l->server);
    gst_rtsp_thread_pool_set_max_threads(threads,
                                         -1); /* one a connection: nobody waits for another */
    g_object_unref(threads);
    GstRTSPSessionPool *sessions = gst_rtsp_server_get_session_pool(l->server);
    gst_rtsp_session_pool_set_max_sessions(sessions, l->settings.connections_max);
    g_object_unref(sessions);
    g_signal_connect(l->server, "client-connected", G_CALLBACK(on_connected), l);
    if (l->settings.plain)
        g_unix_fd_add(LISTEN_FD, G_IO_IN, somebody_comes, l);
    g_timeout_add(1000, tick, l);
}

/* The server speaks once, and again when its certificate is renewed; then by its end. */
static void take_order(struct camera_listener *l, struct kn_bytes packet)
{
    struct kn_arena arena;
    struct camera_listener_settings settings = {0};
    struct kn_str pem = {"", 0};
    kn_arena_init(&arena, PACKET_BYTES_MAX);
    if (read_settings(packet, &arena, &settings, &pem) < 0) {
        g_printerr("kinema-camera: a packet that is no order\n");
    } else {
        if (!l->server) {
            l->settings = settings;
            start(l);
        }
        if (l->settings.tls)
            serve_tls(l, pem);
    }
    kn_arena_done(&arena);
}

static gboolean packet_came(gint fd, GIOCondition condition, gpointer arg)
{
    static uint8_t bytes[PACKET_BYTES_MAX];
    struct camera_listener *l = arg;
    (void) condition;
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0) {
        camera_push_end_all(l);
        _exit(0);
    }
    take_order(l, (struct kn_bytes){bytes, (size_t) n});
    return G_SOURCE_CONTINUE;
}

int camera_listen(const char *socket_path)
{
    struct camera_listener listener = {.socket_path = socket_path};
    g_mutex_init(&listener.lock);
    listener.addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    listener.pushes = g_ptr_array_new();
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, packet_came, &listener);
    g_main_loop_run(loop);
    return 0;
}
