/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's listener: the web page, its JSON under /kinema/v1/, /metrics and /healthz.
 *
 * Who may come in: a login cookie, made from a one-time link or an access key (console_auth.c). Any
 * request under a foreign Host, or from a page of a foreign Origin, is refused (console_guard.c),
 * so that no web page can reach a console on localhost.
 */
#ifndef SERVER_CONSOLE_H
#define SERVER_CONSOLE_H

#include "config.h"

#include "core/crypto.h"
#include "core/json.h"
#include "storage/meta.h"

struct server_ports { /* 0: no such listener */
    uint16_t api, api_tls, ingest, ingest_tls, console, iot, rtsp, rtsps;
};

struct server_console_conf {
    const struct server_config *config;
    const struct server_ports *ports; /* filled before the console is started */
    struct storage *storage;
    struct ingest *ingest;
    struct playback *playback;
    struct datastream *datastream;
    struct kn_api *api;
    struct storage_event_sender *events;
    struct kn_keyring *keyring; /* NULL under --no-auth */
    struct kn_clock *clock;
};

struct server_console;
/* Reads or makes DATA/console.key. Blocks. */
int server_console_new(const struct server_console_conf *conf, struct server_console **ret,
                       struct kn_err *err) KN_MUSTUSE;
void server_console_free(struct server_console *console);
extern const struct kn_http_ops server_console_ops; /* ctx: struct server_console * */

#endif
