/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners: the wire engine's event loops, TLS, and the console's libmicrohttpd. */
#ifndef CORE_HTTP_SERVER_H
#define CORE_HTTP_SERVER_H

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/http.h"

struct kn_http_conf {          /* every member is a row of kn_http_conf_keys */
    uint64_t loops;            /* 0: one a core */
    uint64_t workers;          /* threads of the lane KN_HTTP_READS … */
    uint64_t change_workers;   /* … and of KN_HTTP_CHANGES */
    uint64_t worker_queue_max; /* of each lane */
    uint64_t connections_max;
    uint64_t connections_per_peer_max; /* 0: no limit */
    uint64_t head_bytes_max;
    uint64_t headers_max;
    uint64_t head_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t body_timeout_ms;  /* no body byte for so long, unless the handler paused it */
    uint64_t pace_ms;          /* kn_http_pace_body; 0: never */
    uint64_t write_timeout_ms; /* peer takes nothing for so long */
    uint64_t tls_handshake_timeout_ms;
    uint64_t gather_timeout_ms; /* of a body that is gathered whole */
    uint64_t held_bytes_max;    /* of unfinished requests, over all connections */
    uint64_t unsent_bytes_max;  /* of answers their peers have not taken, likewise */
    uint64_t unsent_stall_ms;   /* who took bytes since is not closed for others */
    uint64_t h2_streams_max;
};
extern const struct kn_conf_key kn_http_conf_keys[];
extern const size_t kn_http_conf_key_count;

struct kn_tls; /* certificate, key and context */
/* PEM files. h2: offer HTTP/2 by ALPN; an ingest listener must not. err names the file. */
int kn_tls_new(const char *cert_path, const char *key_path, bool h2, struct kn_tls **ret,
               struct kn_err *err) KN_MUSTUSE;
void kn_tls_free(struct kn_tls *tls);
enum {
    KN_TLS_RELOAD_MAX = 8
};
/* Reads the files of each again: for connections that come from now on. On an error, which names
 * the file, all keep what was read before. One thread at a time, beside a server that runs. */
int kn_tls_reload(struct kn_tls *const *all, size_t count, struct kn_err *err) KN_MUSTUSE;
/* Appends key, certificate and its chain as they were read last, in PEM. -ENOMEM. Any thread. */
int kn_tls_pem(struct kn_tls *tls, struct kn_buf *dst) KN_MUSTUSE;
/* When the certificate stops being valid, ms since 1970; 0: it does not say. Any thread. */
int64_t kn_tls_expires_ms(struct kn_tls *tls);
/* From now on a handshake succeeds only with a client's certificate that one of the authorities in
 * the PEM file has signed, and that is not in the revocation lists there, if there are any. Once.
 */
int kn_tls_demand_clients(struct kn_tls *tls, const char *ca_path, struct kn_err *err) KN_MUSTUSE;
/* Makes a self-signed ECDSA certificate for localhost, 127.0.0.1, ::1 (10 years), unless both files
 * exist. Key mode 0600. */
int kn_tls_self_signed(const char *cert_path, const char *key_path, struct kn_err *err) KN_MUSTUSE;

struct kn_http_server;
int kn_http_server_new(const struct kn_http_conf *conf, struct kn_clock *clock,
                       struct kn_http_server **ret, struct kn_err *err) KN_MUSTUSE;

/* 0, or -EINVAL: not ADDRESS:PORT with an IPv4 address, an [IPv6] one or localhost. */
int kn_http_address_check(const char *address, struct kn_err *err) KN_MUSTUSE;
/* A socket that listens there, for whoever accepts by himself; *port 0: any, and what it became.
 * reuse: others of this server share the port. -EBUSY: it is in use. */
int kn_http_listen_bind(const char *address, bool reuse, uint16_t *port, struct kn_err *err)
    KN_MUSTUSE;

struct kn_http_listen {
    const char *name;    /* label in metrics and logs: "api", "ingest" */
    const char *address; /* "127.0.0.1:4566", "[::1]:0", or "unix:PATH": mode 0600, port 0 */
    struct kn_tls *tls;  /* NULL: plain */
    bool h2;             /* accept HTTP/2 (prior knowledge or ALPN) */
    const struct kn_http_ops *ops;
    void *ctx;
};
/* Binds; ret_port is the port in use. Before kn_http_server_start. err names the address. */
int kn_http_server_listen(struct kn_http_server *server, const struct kn_http_listen *listen,
                          uint16_t *ret_port, struct kn_err *err) KN_MUSTUSE;
int kn_http_server_start(struct kn_http_server *server, struct kn_err *err) KN_MUSTUSE;
/* Stops accepting, wakes all requests with KN_HTTP_WAKE_SHUTDOWN, waits up to drain_ms for them to
 * end, closes the rest, joins the loops. Blocks; not from a loop. */
void kn_http_server_stop(struct kn_http_server *server, int64_t drain_ms);
void kn_http_server_free(struct kn_http_server *server); /* after stop */
struct kn_http_workers;
const struct kn_http_workers *kn_http_server_workers(struct kn_http_server *server);

/* The console's listener, on libmicrohttpd with threads of its own; same handler interface, minus
 * duplex (an answer starts only after the body has been read). Refuses ambiguous requests before a
 * handler sees them. */
struct kn_http_mhd;
struct kn_http_mhd_conf {
    unsigned threads;
    uint64_t connections_max;
    uint64_t connections_per_peer_max; /* 0: no limit */
    const struct kn_http_workers *workers;
    struct kn_clock *clock;
};
int kn_http_mhd_start(const struct kn_http_listen *listen, const struct kn_http_mhd_conf *conf,
                      struct kn_http_mhd **ret, uint16_t *ret_port, struct kn_err *err) KN_MUSTUSE;
void kn_http_mhd_stop(struct kn_http_mhd *mhd, int64_t drain_ms); /* and frees it */

#endif
