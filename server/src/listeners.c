/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the listeners. The door: PutMedia signs no body, so it comes unencrypted from this machine
 * only, unless a setting says otherwise.
 */
#include "listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

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
static int door_head(struct kn_http_req *req, void **ctx)
{
    const struct server_door *door = *ctx;
    *ctx = NULL;
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
        return kn_fail(err, -errno, "data folder %s: %s", settings->data, kn_errsay(errno));
    int len = snprintf(dir, sizeof dir, "%s/tls", real);
    if (len < 0 || (size_t) len >= sizeof dir - sizeof "/cert.pem")
        return kn_fail(err, -EINVAL, "the data folder's path is too long");
    int code = fs->ops->mkdir(fs, dir);
    if (code < 0 && code != -EEXIST)
        return kn_fail(err, code, "%s: %s", dir, kn_errsay(code));
    if ((size_t) snprintf(cert, cap, "%s/cert.pem", dir) >= cap ||
        (size_t) snprintf(key, cap, "%s/key.pem", dir) >= cap)
        return kn_fail(err, -EINVAL, "the data folder's path is too long");
    return kn_tls_self_signed(cert, key, err);
}

static int certificate_open(struct server_listeners *listeners,
                            const struct server_settings *settings, struct kn_err *err)
{
    const char *key = listeners->key_path;
    int code = certificate_paths(settings, listeners->cert_path, listeners->key_path,
                                 sizeof listeners->cert_path, err);
    if (code == 0)
        code = kn_tls_new(listeners->cert_path, key, true, &listeners->api_tls, err);
    /* libcurl offers HTTP/2 by ALPN and would take it, which AWS's producers cannot speak. */
    if (code == 0)
        code = kn_tls_new(listeners->cert_path, key, false, &listeners->ingest_tls, err);
    if (code == 0 && !server_address_is_off(settings->iot_tls))
        code = kn_tls_new(listeners->cert_path, key, false, &listeners->iot_tls, err);
    if (code < 0)
        return *settings->tls_cert ? kn_fail_at(err, -EINVAL, "tls_cert, tls_key") : code;
    if (!listeners->iot_tls)
        return 0;
    code = kn_tls_demand_clients(listeners->iot_tls, settings->iot_ca, err);
    return code < 0 ? kn_fail_at(err, code, "iot_ca") : 0;
}

enum {
    SOON_MS =
        14 * 24 * 3600 * 1000 /* certificates of 90 days are renewed a month before they end */
};

void server_listeners_say_certificate(const struct server_listeners *listeners)
{
    if (!listeners->api_tls)
        return;
    int64_t expires_ms = kn_tls_expires_ms(listeners->api_tls);
    char until[KN_TIME_TEXT_BYTES];
    kn_time_iso8601(expires_ms, until);
    kn_log_info("tls_certificate",
                "path=" KN_LOG_QUOTED " until=%s said=\"clients must trust this\"",
                kn_log_quote(kn_str_from(listeners->cert_path)), until);
    if (expires_ms < kn_wall_ms(kn_clock_system()) + SOON_MS)
        kn_log_warn("tls_certificate_expires",
                    "path=" KN_LOG_QUOTED " until=%s said=\"renew it, then send SIGHUP\"",
                    kn_log_quote(kn_str_from(listeners->cert_path)), until);
}

bool server_listeners_reload(struct server_listeners *listeners)
{
    struct kn_tls *const wanted[] = {listeners->api_tls, listeners->ingest_tls, listeners->iot_tls};
    struct kn_tls *all[KN_ARRAY_LEN(wanted)];
    struct kn_err err = {0};
    size_t count = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(wanted); i++)
        if (wanted[i])
            all[count++] = wanted[i];
    bool refused = kn_tls_reload(all, count, &err) < 0;
    atomic_store(&listeners->reload_refused, refused);
    if (refused)
        kn_log_error("reload_refused",
                     "error=" KN_LOG_QUOTED
                     " said=\"nothing is renewed: certificate, authorities and revocation lists "
                     "of before stay in use\"",
                     kn_log_quote(kn_str_from(err.text)));
    else
        server_listeners_say_certificate(listeners);
    return !refused;
}

void server_listeners_collect(const struct server_listeners *listeners, struct kn_buf *out)
{
    if (listeners->api_tls)
        (void) kn_buf_printf(
            out,
            "# HELP kinema_tls_certificate_expires_seconds When the listeners' certificate ends, "
            "in seconds since 1970.\n"
            "# TYPE kinema_tls_certificate_expires_seconds gauge\n"
            "kinema_tls_certificate_expires_seconds %" PRId64 "\n"
            "# HELP kinema_reload_refused 1: the last SIGHUP renewed nothing; the log says why.\n"
            "# TYPE kinema_reload_refused gauge\nkinema_reload_refused %d\n",
            kn_tls_expires_ms(listeners->api_tls) / 1000,
            (int) atomic_load(&listeners->reload_refused));
}

/* --- listeners -------------------------------------------------------------------------------- */
static int local_open(struct server_listeners *listeners, const struct server_settings *settings,
                      struct kn_http_server *http, struct kn_err *err)
{
    char address[PATH_MAX];
    uint16_t none;
    int n = snprintf(address, sizeof address, "unix:%s/" SERVER_LOCAL_SOCKET, settings->data);
    if (n < 0 || (size_t) n >= sizeof address)
        return kn_fail(err, -ENAMETOOLONG, "the data folder's path is too long");
    const struct kn_http_listen listen = {.name = "local",
                                          .address = address,
                                          .ops = &server_door_ops,
                                          .ctx = &listeners->local_door};
    return kn_http_server_listen(http, &listen, &none, err);
}

/* Away from the numbers that the process knows them by, so that neither takes the other's place. */
static int rtsp_bind(const char *name, const char *address, uint16_t *ret_port, int *ret_fd,
                     struct kn_err *err)
{
    enum {
        FD_LEAST = 16
    };
    if (server_address_is_off(address))
        return 0;
    int low = kn_http_listen_bind(address, false, ret_port, err);
    if (low < 0)
        return kn_fail_at(err, low, name);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, FD_LEAST), code = fd < 0 ? -errno : 0;
    close(low);
    if (code < 0)
        return kn_fail(err, code, "%s: %s", name, kn_errsay(code));
    *ret_fd = fd;
    return 0;
}

static int rtsp_open(struct server_listeners *listeners, const struct server_settings *settings,
                     struct server_ports *ports, struct kn_err *err)
{
    int code = rtsp_bind("rtsp", settings->rtsp, &ports->rtsp, &listeners->rtsp_fd, err);
    if (code == 0)
        code =
            rtsp_bind("rtsp_tls", settings->rtsp_tls, &ports->rtsps, &listeners->rtsp_tls_fd, err);
    return code;
}

int server_listeners_open(struct server_listeners *listeners,
                          const struct server_settings *settings, struct kn_http_server *http,
                          struct server_ports *ports, struct kn_err *err)
{
    bool tls =
        !server_address_is_off(settings->api_tls) || !server_address_is_off(settings->ingest_tls) ||
        !server_address_is_off(settings->rtsp_tls) || !server_address_is_off(settings->iot_tls);
    int code = tls ? certificate_open(listeners, settings, err) : 0;
    if (code < 0)
        return code;
    const struct {
        const char *name, *address;
        struct kn_tls *tls;
        bool h2;
        const struct kn_http_ops *ops;
        void *ctx;
        uint16_t *port;
    } rows[] = {
        {"api",        settings->api,        NULL,                  true,  &server_door_ops, &listeners->api_door,    &ports->api       },
        {"api-tls",    settings->api_tls,    listeners->api_tls,    true,  &server_door_ops,
         &listeners->api_door,                                                                                        &ports->api_tls   },
        {"ingest",     settings->ingest,     NULL,                  false, &server_door_ops, &listeners->ingest_door,
         &ports->ingest                                                                                                                 },
        {"ingest-tls", settings->ingest_tls, listeners->ingest_tls, false, &server_door_ops,
         &listeners->ingest_door,                                                                                     &ports->ingest_tls},
        {"iot-tls",    settings->iot_tls,    listeners->iot_tls,    false, &server_iot_ops,  &listeners->iot,
         &ports->iot                                                                                                                    },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        if (server_address_is_off(rows[i].address))
            continue;
        const struct kn_http_listen listen = {.name = rows[i].name,
                                              .address = rows[i].address,
                                              .tls = rows[i].tls,
                                              .h2 = rows[i].h2,
                                              .ops = rows[i].ops,
                                              .ctx = rows[i].ctx};
        code = kn_http_server_listen(http, &listen, rows[i].port, err);
        if (code < 0)
            return kn_fail_at(err, code, rows[i].name);
    }
    code = rtsp_open(listeners, settings, ports, err);
    return code < 0 ? code : local_open(listeners, settings, http, err);
}

void server_listeners_done(struct server_listeners *listeners)
{
    kn_tls_free(listeners->api_tls);
    kn_tls_free(listeners->ingest_tls);
    kn_tls_free(listeners->iot_tls);
    listeners->api_tls = listeners->ingest_tls = listeners->iot_tls = NULL;
    if (listeners->rtsp_fd >= 0)
        close(listeners->rtsp_fd);
    if (listeners->rtsp_tls_fd >= 0)
        close(listeners->rtsp_tls_fd);
    listeners->rtsp_fd = listeners->rtsp_tls_fd = -1;
}
