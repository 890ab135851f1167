/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the console's JSON. It is answered by a job on the worker pool, which may block;
 * what the job needs of the request is read before, on the request's own thread. */
#ifndef SERVER_CONSOLE_CALL_H
#define SERVER_CONSOLE_CALL_H

#include "console.h"
#include "console_failures.h"

enum {
    CONSOLE_BODY_BYTES_MAX = 64 << 10,
    CONSOLE_ANSWER_BYTES_MAX = 32 << 20,
    CONSOLE_COOKIE_BYTES_MAX = 1024,
    CONSOLE_LOGOUTS_MAX = 1024,
    CONSOLE_SESSION_ID_BYTES = 16,
};

struct server_console {
    struct server_console_conf conf;
    uint8_t session_key[KN_AEAD_KEY_BYTES];
    struct kn_lock lock;
    struct { /* guarded by lock: sessions ended before their time, oldest overwritten */
        uint8_t ids[CONSOLE_LOGOUTS_MAX][CONSOLE_SESSION_ID_BYTES];
        size_t count;
    } logouts;
    struct console_failures failures; /* guarded by lock */
};

struct console_call;

enum console_access {
    CONSOLE_LOGIN,    /* wants a session */
    CONSOLE_OPEN,     /* anybody who may reach the listener */
    CONSOLE_LOOPBACK, /* this machine, metrics_anywhere, or a session */
};

struct console_route {
    const char *method;
    const char *path; /* may hold one '*': a whole segment, handed over as call->name */
    enum console_access access;
    void (*run)(struct console_call *call);
    unsigned lane; /* enum kn_http_lane */
};

struct console_call {
    struct server_console *console;
    struct kn_http_req *req; /* a job may read its head */
    const struct console_route *route;
    struct kn_str name;  /* what '*' stands for */
    struct kn_str query; /* raw */
    struct kn_str host;  /* the Host header */
    struct kn_str cookie;
    struct kn_str peer; /* "127.0.0.1:4711" */
    struct kn_bytes body;
    bool loopback, tls, queued;
    struct kn_arena *arena;
    /* who asks, set before run */
    struct kn_key *key; /* NULL under --no-auth, and when nobody is logged in */
    bool authenticated;
    int64_t session_expires_ms;
    uint8_t session_id[CONSOLE_SESSION_ID_BYTES];
    /* the answer */
    int status;
    const char *content_type;
    struct kn_buf out;
    struct kn_json_writer json;
    char set_cookie[CONSOLE_COOKIE_BYTES_MAX];
};

/* Answers with {"error": word, "message": …}; what was written before is dropped. */
void console_fail(struct console_call *call, int status, const char *word, const char *fmt, ...)
    KN_PRINTF(4, 5);

/* A query parameter as it was sent; ptr NULL: there is none. */
struct kn_str console_query_find(const struct console_call *call, const char *name);
/* A query parameter that is a whole number. fallback when absent; -EINVAL, and the answer is set.
 */
int console_query_i64(struct console_call *call, const char *name, int64_t fallback, int64_t *ret)
    KN_MUSTUSE;

/* May the caller do this on this stream? Always under --no-auth. */
bool console_allows(const struct console_call *call, const char *action, struct kn_str stream);
/* May the caller do this on a stream of some name? */
bool console_allows_some(const struct console_call *call, const char *action);

/* console_auth.c */
void console_auth_identify(struct console_call *call);
void console_run_login(struct console_call *call);
void console_run_logout(struct console_call *call);
void console_run_session(struct console_call *call);

/* console_guard.c: 0, or the status to refuse with and why. The part of Host before the port. */
int console_guard(const struct server_console *console, struct kn_http_req *req,
                  const char **ret_why);
struct kn_str console_host_name(struct kn_str host);
/* http://host:port of a listener as this client reaches it; empty when there is none. */
struct kn_str console_api_url(const struct console_call *call);
struct kn_str console_ingest_url(const struct console_call *call);

/* console_cameras.c */
/* May the caller connect a camera to a stream of some name? */
bool console_may_add_camera(const struct console_call *call);
void console_run_camera(struct console_call *call);
void console_run_camera_set(struct console_call *call);
void console_run_camera_remove(struct console_call *call);
void console_run_probe_start(struct console_call *call);
void console_run_probe(struct console_call *call);
void console_run_probe_cancel(struct console_call *call);

/* console_data.c */
void console_run_data_streams(struct console_call *call);
void console_run_data_stream(struct console_call *call);
void console_run_data_records(struct console_call *call);

/* console_metrics.c */
void console_run_data_metrics(struct console_call *call);

/* console_operations.c: "may": the operations that the page has for such a stream, and the caller
 * may call on this one. */
void console_write_may_video(struct console_call *call, struct kn_str stream);
void console_write_may_data(struct console_call *call, struct kn_str stream);
void console_run_operation(struct console_call *call);

/* console_health.c */
void console_run_health(struct console_call *call);

/* console_holds.c */
void console_run_holds(struct console_call *call);
void console_run_hold_set(struct console_call *call);
void console_run_hold_lift(struct console_call *call);

/* console_events.c */
void console_run_events(struct console_call *call);
void console_run_events_set(struct console_call *call);

/* console_streams.c */
/* The stream of the path, if the caller may do this; otherwise NULL, and the answer is set. */
struct storage_stream *console_stream_find(struct console_call *call, const char *action);
void console_run_streams(struct console_call *call);
void console_run_stream(struct console_call *call);
void console_run_coverage(struct console_call *call);
void console_run_play(struct console_call *call);
void console_run_clip(struct console_call *call);

/* console_assets.c: answers a path of the page, or returns false. */
bool console_asset_reply(const struct server_console *console, struct kn_http_req *req);

#endif
