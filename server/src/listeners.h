/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire's listeners (api, ingest, each plain and over TLS, and one in the data folder): their
 * addresses, certificate and the door in front of the routers. The console has its own (console.h).
 */
#ifndef SERVER_LISTENERS_H
#define SERVER_LISTENERS_H

#include "console.h"
#include "iot.h"

#include <stdatomic.h>

/* Stands in front of a router and refuses what must not come in by this listener. */
struct server_door {
    const struct server_settings *settings;
    struct kn_http_router *router;
};
extern const struct kn_http_ops server_door_ops; /* ctx: struct server_door * */

/* DIR/kinema.sock, for the server's own helpers and for its owner: whoever may open it may do all.
 */
#define SERVER_LOCAL_SOCKET "kinema.sock"

struct server_listeners {
    struct server_door api_door, ingest_door, local_door;
    struct server_iot iot;
    struct kn_tls *api_tls, *ingest_tls, *iot_tls;
    atomic_bool reload_refused;           /* the last one */
    char cert_path[4096], key_path[4096]; /* empty: no TLS listener */
    /* Listen, for the process that speaks RTSP; -1: none, or handed over. */
    int rtsp_fd, rtsp_tls_fd;
};

/* Loads or makes the certificate and binds; ports gets what was bound. err says which address. */
int server_listeners_open(struct server_listeners *listeners,
                          const struct server_settings *settings, struct kn_http_server *http,
                          struct server_ports *ports, struct kn_err *err) KN_MUSTUSE;
/* Says in the log which certificate the TLS listeners have, if there are any, and until when. */
void server_listeners_say_certificate(const struct server_listeners *listeners);
/* Reads certificate, key, authorities and their revocation lists again, for connections that come
 * from now on, and says so. If one of them cannot be read, all stay as they were: false. */
bool server_listeners_reload(struct server_listeners *listeners);
void server_listeners_collect(const struct server_listeners *listeners, struct kn_buf *out);
void server_listeners_done(struct server_listeners *listeners); /* after the server has stopped */

/* The host part of "host:port". */
struct kn_str server_address_host(const char *address);

#endif
