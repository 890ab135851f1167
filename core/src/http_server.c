/* SPDX-License-Identifier: Apache-2.0 */
/* The wire engine as a whole: settings, loops, listeners, start and stop. */
#include "core/http_server.h"

#include "http_server_impl.h"

#include <errno.h>
#include <unistd.h>

static int start_workers(struct kn_http_server *server)
{
    const struct kn_http_conf *conf = &server->conf;
    const struct {
        const char *name;
        uint64_t threads;
    } rows[] = {
        [KN_HTTP_READS] = {"worker",  conf->workers       },
        [KN_HTTP_CHANGES] = {"changer", conf->change_workers},
        [KN_HTTP_GLANCES] = {"glance",  1                   },
    };
    int r = 0;
    for (unsigned i = 0; i < KN_HTTP_LANES && r == 0; i++)
        r = kn_pool_new(rows[i].name, (unsigned) rows[i].threads, conf->worker_queue_max,
                        &server->workers.lanes[i]);
    return r;
}

int kn_http_server_new(const struct kn_http_conf *conf, struct kn_clock *clock,
                       struct kn_http_server **ret, struct kn_err *err)
{
    struct kn_http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return kn_fail(err, -ENOMEM, "no memory for the server");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t loop_count = conf->loops ? conf->loops : cores > 0 ? (uint64_t) cores : 1;
    server->conf = *conf;
    server->clock = clock;
    server->loop_count = (unsigned) kn_min_u64(loop_count, 64);
    int r =
        kn_http_peers_init(&server->peers, conf->connections_max, conf->connections_per_peer_max);
    if (r < 0) {
        free(server);
        return kn_fail(err, r, "no memory for the connection table");
    }
    r = start_workers(server);
    server->loops = calloc(server->loop_count, sizeof(*server->loops));
    kn_http_unsent_init(&server->unsent, conf, clock);
    server->unsent.loops = server->loops;
    server->unsent.loop_count = server->loops ? server->loop_count : 0;
    server->workers.unsent = &server->unsent;
    if (r == 0 && !server->loops)
        r = -ENOMEM;
    for (unsigned i = 0; i < server->loop_count && r == 0; i++) {
        struct kn_http_loop *loop = &server->loops[i];
        loop->index = i;
        loop->server = server;
        loop->conf = &server->conf;
        loop->clock = clock;
        loop->workers = &server->workers;
        r = kn_http_loop_open(loop);
    }
    if (r < 0) {
        kn_http_server_free(server);
        return kn_fail(err, r, "cannot make the event loops: %s", kn_errname(r));
    }
    *ret = server;
    return 0;
}

void kn_http_server_free(struct kn_http_server *server)
{
    if (!server)
        return;
    for (unsigned i = 0; i < KN_HTTP_LANES; i++)
        kn_pool_free(server->workers.lanes[i]);
    for (unsigned i = 0; server->loops && i < server->loop_count; i++)
        kn_http_loop_close(&server->loops[i]);
    for (unsigned i = 0; i < server->listener_count; i++)
        kn_http_listener_free(server->listeners[i], server->loop_count);
    kn_http_peers_done(&server->peers);
    free(server->loops);
    free(server);
}

int kn_http_server_listen(struct kn_http_server *server, const struct kn_http_listen *listen,
                          uint16_t *ret_port, struct kn_err *err)
{
    if (server->listener_count == KN_HTTP_LISTENERS_MAX)
        return kn_fail(err, -EDQUOT, "%s: too many listeners", listen->address);
    struct kn_http_listener *listener;
    int r = kn_http_listener_new(listen, server->loop_count, &listener, ret_port, err);
    if (r < 0)
        return r;
    server->listeners[server->listener_count++] = listener;
    for (unsigned i = 0; i < server->loop_count; i++) {
        struct kn_http_loop *loop = &server->loops[i];
        loop->acceptors[loop->acceptor_count++] =
            (struct kn_http_acceptor){.listener = listener, .loop = loop, .fd = listener->fds[i]};
    }
    return 0;
}

int kn_http_server_start(struct kn_http_server *server, struct kn_err *err)
{
    for (unsigned i = 0; i < server->loop_count; i++) {
        int r = kn_http_loop_start(&server->loops[i]);
        if (r < 0) {
            kn_http_server_stop(server, 0);
            return kn_fail(err, r, "cannot start the event loops: %s", kn_errname(r));
        }
    }
    return 0;
}

void kn_http_server_stop(struct kn_http_server *server, int64_t drain_ms)
{
    for (unsigned i = 0; i < server->loop_count; i++)
        if (server->loops[i].started)
            kn_http_loop_stop(&server->loops[i], drain_ms);
    for (unsigned i = 0; i < server->loop_count; i++) {
        if (server->loops[i].started)
            pthread_join(server->loops[i].thread, NULL);
        server->loops[i].started = false;
    }
}

const struct kn_http_workers *kn_http_server_workers(struct kn_http_server *server)
{
    return &server->workers;
}
