/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's requests: guard → asset, or route → collect → (on a worker) identify → run →
 * answer. The routes are one table; what each does lies in console_auth.c and console_streams.c.
 */
#include "console_call.h"
#include "folder.h"

#include "core/log.h"
#include "core/metrics.h"
#include "storage/credential.h"

/* 200 in either case: a server that is started again has no more room than before, and plays what
 * it has meanwhile. */
static void run_health(struct console_call *call)
{
    static const struct {
        unsigned ailment;
        const char *line;
    } lines[] = {
        {STORAGE_VOLUME_FULL,         "volume_full: uploads and records are refused until there is room\n"},
        {STORAGE_CATALOGUE_FAILED,    "catalogue_failed: the last change could not be written\n"          },
        {STORAGE_RETENTION_EXHAUSTED,
         "retention_exhausted: space is short, and nothing may be removed\n"                              },
    };
    unsigned ailments = storage_ailments(call->console->conf.storage);
    call->content_type = "text/plain; charset=utf-8";
    (void) kn_buf_append_text(&call->out, ailments ? "degraded\n" : "ok\n");
    for (size_t i = 0; i < KN_ARRAY_LEN(lines); i++)
        if (ailments & lines[i].ailment)
            (void) kn_buf_append_text(&call->out, lines[i].line);
}

static void run_metrics(struct console_call *call)
{
    call->content_type = "text/plain; version=0.0.4; charset=utf-8";
    if (kn_metrics_write(&call->out) < 0)
        console_fail(call, 500, "internal", "the metrics cannot be written");
}

enum { /* the lane of each */
    READS = KN_HTTP_READS,
    CHANGES = KN_HTTP_CHANGES,
    GLANCES = KN_HTTP_GLANCES,
};
static const struct console_route routes[] = {
    {"GET",  "/healthz",                           CONSOLE_OPEN,     run_health,                GLANCES},
    {"GET",  "/metrics",                           CONSOLE_LOOPBACK, run_metrics,               GLANCES},
    {"GET",  "/kinema/v1/session",                 CONSOLE_OPEN,     console_run_session,       READS  },
    {"POST", "/kinema/v1/login",                   CONSOLE_OPEN,     console_run_login,         CHANGES},
    {"POST", "/kinema/v1/logout",                  CONSOLE_LOGIN,    console_run_logout,        READS  },
    {"GET",  "/kinema/v1/streams",                 CONSOLE_LOGIN,    console_run_streams,       READS  },
    {"GET",  "/kinema/v1/streams/*",               CONSOLE_LOGIN,    console_run_stream,        READS  },
    {"GET",  "/kinema/v1/streams/*/coverage",      CONSOLE_LOGIN,    console_run_coverage,      READS  },
    {"GET",  "/kinema/v1/streams/*/health",        CONSOLE_LOGIN,    console_run_health,        READS  },
    {"POST", "/kinema/v1/streams/*/play",          CONSOLE_LOGIN,    console_run_play,          READS  },
    {"POST", "/kinema/v1/streams/*/clip",          CONSOLE_LOGIN,    console_run_clip,          READS  },
    {"GET",  "/kinema/v1/streams/*/holds",         CONSOLE_LOGIN,    console_run_holds,         READS  },
    {"POST", "/kinema/v1/streams/*/holds",         CONSOLE_LOGIN,    console_run_hold_set,      CHANGES},
    {"POST", "/kinema/v1/streams/*/holds/lift",    CONSOLE_LOGIN,    console_run_hold_lift,     CHANGES},
    {"GET",  "/kinema/v1/streams/*/events",        CONSOLE_LOGIN,    console_run_events,        READS  },
    {"POST", "/kinema/v1/streams/*/events",        CONSOLE_LOGIN,    console_run_events_set,    CHANGES},
    {"GET",  "/kinema/v1/streams/*/camera",        CONSOLE_LOGIN,    console_run_camera,        READS  },
    {"POST", "/kinema/v1/streams/*/camera",        CONSOLE_LOGIN,    console_run_camera_set,    CHANGES},
    {"POST", "/kinema/v1/streams/*/camera/remove", CONSOLE_LOGIN,    console_run_camera_remove,
     CHANGES                                                                                           },
    {"POST", "/kinema/v1/probes",                  CONSOLE_LOGIN,    console_run_probe_start,   READS  },
    {"GET",  "/kinema/v1/probes/*",                CONSOLE_LOGIN,    console_run_probe,         READS  },
    {"POST", "/kinema/v1/probes/*/cancel",         CONSOLE_LOGIN,    console_run_probe_cancel,  READS  },
    {"POST", "/kinema/v1/operations/*",            CONSOLE_LOGIN,    console_run_operation,     CHANGES},
    {"GET",  "/kinema/v1/data-streams",            CONSOLE_LOGIN,    console_run_data_streams,  READS  },
    {"GET",  "/kinema/v1/data-streams/*",          CONSOLE_LOGIN,    console_run_data_stream,   READS  },
    {"GET",  "/kinema/v1/data-streams/*/records",  CONSOLE_LOGIN,    console_run_data_records,  READS  },
    {"GET",  "/kinema/v1/data-streams/*/metrics",  CONSOLE_LOGIN,    console_run_data_metrics,  READS  },
};

void console_fail(struct console_call *call, int status, const char *word, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    kn_buf_clear(&call->out);
    kn_json_writer_init(&call->json, &call->out);
    call->status = status;
    call->content_type = "application/json";
    kn_json_object_begin(&call->json);
    kn_json_key(&call->json, "error");
    kn_json_text(&call->json, word);
    kn_json_key(&call->json, "message");
    kn_json_text(&call->json, text);
    kn_json_object_end(&call->json);
}

struct kn_str console_query_find(const struct console_call *call, const char *name)
{
    struct kn_str rest = call->query;
    while (rest.len > 0) {
        struct kn_str pair, key;
        rest = kn_str_cut(rest, '&', &pair);
        struct kn_str value = kn_str_cut(pair, '=', &key);
        if (kn_str_eq(key, kn_str_from(name)))
            return value.ptr ? value : KN_STR("");
    }
    return (struct kn_str){0};
}

int console_query_i64(struct console_call *call, const char *name, int64_t fallback, int64_t *ret)
{
    struct kn_str value = console_query_find(call, name);
    *ret = fallback;
    if (!value.ptr || kn_str_to_i64(value, ret) == 0)
        return 0;
    console_fail(call, 400, "bad_request", "%s wants a whole number", name);
    return -EINVAL;
}

bool console_allows(const struct console_call *call, const char *action, struct kn_str stream)
{
    if (!call->console->conf.keyring)
        return true;
    return call->key && kn_key_allows(call->key, kn_str_from(action), stream);
}

bool console_allows_some(const struct console_call *call, const char *action)
{
    if (!call->console->conf.keyring)
        return true;
    for (size_t i = 0; call->key && i < call->key->grant_count; i++)
        if (console_allows(call, action, call->key->grants[i].stream))
            return true; /* to a name of that pattern */
    return false;
}

/* Matches with at most one '*', which stands for one non-empty segment. */
static bool path_matches(const char *pattern, struct kn_str path, struct kn_str *ret_name)
{
    struct kn_str before, after = kn_str_cut(kn_str_from(pattern), '*', &before);
    if (!after.ptr)
        return kn_str_eq(path, before);
    if (!kn_str_starts_with(path, before))
        return false;
    struct kn_str rest = {path.ptr + before.len, path.len - before.len}, name = {rest.ptr, 0};
    while (name.len < rest.len && rest.ptr[name.len] != '/')
        name.len++;
    if (name.len == 0 ||
        !kn_str_eq((struct kn_str){rest.ptr + name.len, rest.len - name.len}, after))
        return false;
    *ret_name = name;
    return true;
}

static const struct console_route *route_find(struct kn_str method, struct kn_str path,
                                              struct kn_str *ret_name, bool *ret_path_known)
{
    *ret_path_known = false;
    for (size_t i = 0; i < KN_ARRAY_LEN(routes); i++) {
        if (!path_matches(routes[i].path, path, ret_name))
            continue;
        *ret_path_known = true;
        if (kn_str_eq(method, kn_str_from(routes[i].method)))
            return &routes[i];
    }
    return NULL;
}

static void reply_refusal(struct kn_http_req *req, int status, const char *why)
{
    const struct kn_http_header headers[] = {
        {KN_STR_INIT("content-type"),           KN_STR_INIT("text/plain; charset=utf-8")},
        {KN_STR_INIT("x-content-type-options"), KN_STR_INIT("nosniff")                  },
    };
    struct kn_str text = kn_arena_printf(kn_http_arena(req), "%s\n", why);
    kn_http_reply(req, status, headers, KN_ARRAY_LEN(headers), kn_bytes_of(text));
}

static struct console_call *call_new(struct server_console *console, struct kn_http_req *req,
                                     const struct console_route *route, struct kn_str name)
{
    struct console_call *call = kn_arena_alloc(kn_http_arena(req), sizeof *call);
    if (!call)
        return NULL;
    call->console = console;
    call->req = req;
    call->route = route;
    call->name = name;
    call->query = kn_http_query(req);
    call->host = kn_http_header(req, "host");
    call->cookie = kn_http_header(req, "cookie");
    call->peer = kn_http_peer(req);
    call->loopback = kn_http_is_loopback(req);
    call->tls = kn_http_is_tls(req);
    call->arena = kn_http_arena(req);
    call->status = 200;
    call->content_type = "application/json";
    kn_buf_init(&call->out, CONSOLE_ANSWER_BYTES_MAX);
    kn_json_writer_init(&call->json, &call->out);
    return call;
}

/* A form of a foreign page can send no JSON content type without asking first (CORS preflight), so
 * this shuts out cross-site posts once more, besides the cookie's SameSite and the Origin check. */
static bool body_type_ok(struct kn_http_req *req)
{
    struct kn_str type;
    (void) kn_str_cut(kn_http_header(req, "content-type"), ';', &type);
    return kn_str_eq_nocase(kn_str_trim(type), KN_STR("application/json"));
}

static int console_head(struct kn_http_req *req, void **ctx)
{
    struct server_console *console = *ctx;
    struct kn_str method = kn_http_method(req), path = kn_http_path(req), name = {0};
    const char *why = "";
    bool path_known;
    *ctx = NULL;
    int refused = console_guard(console, req, &why);
    if (refused) {
        kn_log_info("console_refused", "peer=" KN_STR_FMT " host=" KN_LOG_QUOTED " why=%s",
                    KN_STR_ARG(kn_http_peer(req)), kn_log_quote(kn_http_header(req, "host")), why);
        reply_refusal(req, refused, why);
        return 0;
    }
    const struct console_route *route = route_find(method, path, &name, &path_known);
    if (!route) {
        if (path_known)
            reply_refusal(req, 405, "not with this method");
        else if (!console_asset_reply(console, req))
            reply_refusal(req, 404, "there is nothing here");
        return 0;
    }
    if (kn_str_eq(method, KN_STR("POST")) && !body_type_ok(req)) {
        reply_refusal(req, 415, "the body must be application/json");
        return 0;
    }
    *ctx = call_new(console, req, route, name);
    if (!*ctx)
        reply_refusal(req, 503, "out of memory");
    else
        kn_http_collect(req, CONSOLE_BODY_BYTES_MAX);
    return 0;
}

/* On a worker. */
static void console_job(void *arg)
{
    struct console_call *call = arg;
    enum console_access access = call->route->access;
    console_auth_identify(call);
    bool local = call->loopback || call->console->conf.config->server.metrics_anywhere;
    bool in =
        call->authenticated || access == CONSOLE_OPEN || (access == CONSOLE_LOOPBACK && local);
    if (!in)
        console_fail(call, 401, "login_required", "log in first");
    else
        call->route->run(call);
    if (call->out.error < 0) {
        int error = call->out.error;
        console_fail(call, 500, "internal", "the answer cannot be written: %s", kn_errname(error));
    }
}

static void console_end(struct kn_http_req *req, void *ctx)
{
    struct console_call *call = ctx;
    if (!call)
        return;
    call->body = kn_http_body(req);
    if (kn_http_offload(req, (enum kn_http_lane) call->route->lane, console_job, call) < 0)
        reply_refusal(req, 503, "busy; try again");
}

static void console_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct console_call *call = ctx;
    if (!call || !(bits & KN_HTTP_WAKE_JOB))
        return;
    const struct kn_http_header headers[] = {
        {KN_STR_INIT("content-type"),           kn_str_from(call->content_type)},
        {KN_STR_INIT("cache-control"),          KN_STR_INIT("no-store")        },
        {KN_STR_INIT("x-content-type-options"), KN_STR_INIT("nosniff")         },
        {KN_STR_INIT("set-cookie"),             kn_str_from(call->set_cookie)  },
    };
    size_t count = KN_ARRAY_LEN(headers) - (*call->set_cookie ? 0 : 1);
    kn_http_reply(req, call->status, headers, count, kn_buf_bytes(&call->out));
}

static void console_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    struct console_call *call = ctx;
    (void) req;
    (void) why;
    if (!call)
        return;
    if (call->key)
        call->console->conf.keyring->unref(call->console->conf.keyring, call->key);
    kn_buf_done(&call->out);
}

const struct kn_http_ops server_console_ops = {
    .head = console_head,
    .end = console_end,
    .wake = console_wake,
    .gone = console_gone,
};

/* --- life ------------------------------------------------------------------------------------- */
int server_console_new(const struct server_console_conf *conf, struct server_console **ret,
                       struct kn_err *err)
{
    struct server_console *console = calloc(1, sizeof *console);
    if (!console)
        return kn_fail(err, -ENOMEM, "out of memory");
    console->conf = *conf;
    kn_lock_init(&console->lock);
    /* It seals login cookies, and lies in the data folder, so that logins survive a restart. */
    int code = server_folder_key(conf->config->server.data, "console.key",
                                 "remove it, and log in again", console->session_key, err);
    if (code < 0) {
        server_console_free(console);
        return code;
    }
    *ret = console;
    return 0;
}

void server_console_free(struct server_console *console)
{
    if (!console)
        return;
    kn_lock_done(&console->lock);
    free(console);
}
