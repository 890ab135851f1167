/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the listeners. The door: PutMedia signs no body, so it comes unencrypted from this machine
 * only, unless a setting says otherwise; and without authentication any web page could post to
 * localhost, so a foreign Host or Origin is refused. HLS resources carry their own token in the
 * address and are meant for any page.
 */
#include "listeners.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>

#include "core/log.h"

struct kn_str server_address_host(const char *address)
{
    struct kn_str host = kn_str_from(address);
    while (host.len > 0 && host.ptr[host.len - 1] != ':')
        host.len--;
    if (host.len > 0)
        host.len--;
    return host;
}

/* --- the door --------------------------------------------------------------------------------- */
static struct kn_str host_name(struct kn_str host)
{
    struct kn_str name = host;
    if (host.len > 0 && host.ptr[0] == '[') {
        struct kn_str rest = kn_str_cut(host, ']', &name);
        return rest.ptr ? (struct kn_str){name.ptr, name.len + 1} : host;
    }
    (void) kn_str_cut(host, ':', &name);
    return name;
}

static bool is_this_machine(struct kn_str name)
{
    return kn_str_eq_nocase(name, KN_STR("localhost")) || kn_str_eq(name, KN_STR("[::1]")) ||
           kn_str_starts_with(name, KN_STR("127."));
}

static bool is_plain_address(struct kn_str name)
{
    char text[64];
    struct in_addr address;
    return name.len > 0 && (name.ptr[0] == '[' || (kn_str_copy(text, sizeof text, name) == 0 &&
                                                   inet_pton(AF_INET, text, &address) == 1));
}

static struct kn_str after_scheme(struct kn_str url)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < KN_ARRAY_LEN(schemes); i++) {
        struct kn_str scheme = kn_str_from(schemes[i]);
        if (kn_str_starts_with(url, scheme))
            return (struct kn_str){url.ptr + scheme.len, url.len - scheme.len};
    }
    return url;
}

static bool is_public_name(const struct server_settings *settings, struct kn_str name)
{
    const char *const urls[] = {settings->public_api_url, settings->public_ingest_url};
    for (size_t i = 0; i < KN_ARRAY_LEN(urls); i++)
        if (*urls[i] && kn_str_eq_nocase(host_name(after_scheme(kn_str_from(urls[i]))), name))
            return true;
    return false;
}

/* A foreign page, as far as Host and Origin tell. */
static bool is_foreign(const struct server_settings *settings, struct kn_http_req *req)
{
    struct kn_str origin = kn_http_header(req, "origin");
    struct kn_str name = host_name(kn_http_header(req, "host"));
    if (!is_this_machine(name) && !is_plain_address(name) && !is_public_name(settings, name))
        return true;
    if (!origin.ptr || kn_str_starts_with(kn_http_path(req), KN_STR("/hls/")))
        return false;
    struct kn_str from = host_name(after_scheme(origin));
    return !kn_str_eq_nocase(from, name) && !is_this_machine(from);
}

static int door_head(struct kn_http_req *req, void **ctx)
{
    const struct server_door *door = *ctx;
    *ctx = NULL;
    if (door->open && is_foreign(door->settings, req)) {
        kn_log_warn("foreign_page_refused",
                    "peer=" KN_STR_FMT " host=" KN_LOG_QUOTED " origin=" KN_LOG_QUOTED,
                    KN_STR_ARG(kn_http_peer(req)), kn_log_quote(kn_http_header(req, "host")),
                    kn_log_quote(kn_http_header(req, "origin")));
        kn_api_reply_error(req, 403, "AccessDeniedException",
                           "Without authentication only this machine's own pages are served.");
        return 0;
    }
    if (!kn_http_is_tls(req) && !kn_http_is_loopback(req) &&
        !door->settings->plain_ingest_anywhere &&
        kn_str_eq(kn_http_path(req), KN_STR("/putMedia"))) {
        kn_log_warn("plain_put_media_refused", "peer=" KN_STR_FMT, KN_STR_ARG(kn_http_peer(req)));
        kn_api_reply_error(req, 403, "AccessDeniedException",
                           "PutMedia from another machine needs TLS (setting "
                           "plain_ingest_anywhere).");
        return 0;
    }
    return kn_http_hand_over(req, &kn_http_router_ops, door->router);
}

const struct kn_http_ops server_door_ops = {.head = door_head};

/* --- certificate ------------------------------------------------------------------------------ */
static int certificate_paths(const struct server_settings *settings, char *cert, char *key,
                             size_t cap, struct kn_err *err)
{
    char dir[PATH_MAX], real[PATH_MAX];
    struct kn_fs *fs = kn_fs_system();
    if (*settings->tls_cert) {
        if (kn_str_copy(cert, cap, kn_str_from(settings->tls_cert)) < 0 ||
            kn_str_copy(key, cap, kn_str_from(settings->tls_key)) < 0)
            return kn_fail(err, -EINVAL, "tls_cert, tls_key: the path is too long");
        return 0;
    }
    if (!realpath(settings->data, real))
        return kn_fail(err, -errno, "data folder %s: %s", settings->data, kn_errname(errno));
    int len = snprintf(dir, sizeof dir, "%s/tls", real);
    if (len < 0 || (size_t) len >= sizeof dir - sizeof "/cert.pem")
        return kn_fail(err, -EINVAL, "the data folder's path is too long");
    int code = fs->ops->mkdir(fs, dir);
    if (code < 0 && code != -EEXIST)
        return kn_fail(err, code, "%s: %s", dir, kn_errname(code));
    if ((size_t) snprintf(cert, cap, "%s/cert.pem", dir) >= cap ||
        (size_t) snprintf(key, cap, "%s/key.pem", dir) >= cap)
        return kn_fail(err, -EINVAL, "the data folder's path is too long");
    return kn_tls_self_signed(cert, key, err);
}

static int certificate_open(struct server_listeners *listeners,
                            const struct server_settings *settings, struct kn_err *err)
{
    char key[sizeof listeners->cert_path];
    int code =
        certificate_paths(settings, listeners->cert_path, key, sizeof listeners->cert_path, err);
    if (code == 0)
        code = kn_tls_new(listeners->cert_path, key, true, &listeners->api_tls, err);
    /* libcurl offers HTTP/2 by ALPN and would take it, which AWS's producers cannot speak. */
    if (code == 0)
        code = kn_tls_new(listeners->cert_path, key, false, &listeners->ingest_tls, err);
    return code;
}

/* --- listeners -------------------------------------------------------------------------------- */
int server_listeners_open(struct server_listeners *listeners,
                          const struct server_settings *settings, struct kn_http_server *http,
                          struct server_ports *ports, struct kn_err *err)
{
    bool tls =
        !server_address_is_off(settings->api_tls) || !server_address_is_off(settings->ingest_tls);
    int code = tls ? certificate_open(listeners, settings, err) : 0;
    if (code < 0)
        return code;
    const struct {
        const char *name, *address;
        struct kn_tls *tls;
        bool h2;
        struct server_door *door;
        uint16_t *port;
    } rows[] = {
        {"api",        settings->api,        NULL,                  true,  &listeners->api_door,    &ports->api   },
        {"api-tls",    settings->api_tls,    listeners->api_tls,    true,  &listeners->api_door,
         &ports->api_tls                                                                                          },
        {"ingest",     settings->ingest,     NULL,                  false, &listeners->ingest_door, &ports->ingest},
        {"ingest-tls", settings->ingest_tls, listeners->ingest_tls, false, &listeners->ingest_door,
         &ports->ingest_tls                                                                                       },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        if (server_address_is_off(rows[i].address))
            continue;
        const struct kn_http_listen listen = {.name = rows[i].name,
                                              .address = rows[i].address,
                                              .tls = rows[i].tls,
                                              .h2 = rows[i].h2,
                                              .ops = &server_door_ops,
                                              .ctx = rows[i].door};
        code = kn_http_server_listen(http, &listen, rows[i].port, err);
        if (code < 0)
            return kn_fail_at(err, code, rows[i].name);
    }
    return 0;
}

void server_listeners_done(struct server_listeners *listeners)
{
    kn_tls_free(listeners->api_tls);
    kn_tls_free(listeners->ingest_tls);
    listeners->api_tls = listeners->ingest_tls = NULL;
}
