/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's own settings and the order in which sources of settings are read. The rows are the
 * only place where a setting is named; docs/config.md is `kinema config --markdown`.
 */
#include "config.h"

#include <arpa/inet.h>
#include <limits.h>
#include <unistd.h>

#include "core/log.h"

extern char **environ;

#define AT(member) offsetof(struct server_settings, member)
#define TEXT(name_, def_, unit_, help_)                                                            \
    {                                                                                              \
        .name = #name_, .type = KN_CONF_TEXT, .offset = AT(name_), .def_text = (def_),             \
        .unit = (unit_), .help = (help_)                                                           \
    }
#define NUMBER(name_, min_, max_, def_, unit_, help_)                                              \
    {                                                                                              \
        .name = #name_, .type = KN_CONF_U64, .offset = AT(name_), .min = (min_), .max = (max_),    \
        .def = (def_), .unit = (unit_), .help = (help_)                                            \
    }
#define SWITCH(name_, help_)                                                                       \
    {                                                                                              \
        .name = #name_, .type = KN_CONF_BOOL, .offset = AT(name_), .unit = "", .help = (help_)     \
    }

static const char *const limits[] = {"none", "aws", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

enum {
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS
};

static const struct kn_conf_key server_keys[] = {
    TEXT(data, "./data", "", "The data folder: catalogue, chunks, certificate, keys."),
    TEXT(api, "127.0.0.1:4566", "",
         "Address and port of the control plane, playback and HLS; port 0 picks a free one, off "
         "turns a listener off."),
    TEXT(ingest, "127.0.0.1:4567", "", "Address and port for PutMedia."),
    TEXT(console, "127.0.0.1:8080", "",
         "Address and port of the web console, /metrics and /healthz."),
    TEXT(api_tls, "off", "", "The api listener over TLS, HTTP/2 included."),
    TEXT(ingest_tls, "off", "", "The ingest listener over TLS, HTTP/1.1 only."),
    TEXT(rtsp, "off", "",
         "Address and port of the RTSP listener, for cameras that push and for players."),
    TEXT(rtsp_tls, "off", "", "The RTSP listener over TLS: rtsps://."),
    TEXT(tls_cert, "", "",
         "PEM file with the certificate chain. Empty: a self-signed one for localhost is made in "
         "the data folder (tls/cert.pem)."),
    TEXT(tls_key, "", "", "PEM file with the certificate's private key."),
    TEXT(iot_tls, "off", "",
         "Where devices fetch temporary keys with a certificate, over TLS, as from AWS IoT's "
         "credential provider; see docs/devices.md."),
    TEXT(iot_ca, "", "",
         "PEM file with the authorities that sign devices' certificates, and with their revocation "
         "lists, if there are any."),
    NUMBER(iot_key_ms, 1000, 12 * HOUR_MS, HOUR_MS, "ms",
           "How long a device's temporary key is good. AWS: 15 minutes to 12 hours."),
    TEXT(public_api_url, "", "",
         "Where clients reach the api listener, such as https://video.example.org. Empty: the "
         "host and scheme of each request with the listener's port."),
    TEXT(public_ingest_url, "", "", "Where producers reach the ingest listener; see above."),
    TEXT(region, "us-east-1", "", "The region in the ARNs."),
    TEXT(account, "000000000000", "", "The account number in the ARNs: twelve digits."),
    TEXT(pinned_region, "", "",
         "Refuse signatures of any other region than this. Empty: any region is accepted."),
    SWITCH(no_auth,
           "Accept every request without a signature. For tests on one machine only; requests of "
           "foreign web pages are still refused."),
    SWITCH(plain_ingest_anywhere,
           "Let PutMedia and RTSP come unencrypted from other machines. Neither is signed, so "
           "anybody on the way could alter the video."),
    NUMBER(skew_ms, 1000, DAY_MS, 15 * MINUTE_MS, "ms",
           "How far a request's signing time may be from the server's clock."),
    NUMBER(drain_ms, 0, HOUR_MS, 10 * 1000, "ms",
           "On SIGTERM or SIGINT: how long requests that still run may take to end."),
    {.name = "limits",
       .type = KN_CONF_CHOICE,
       .offset = AT(limits),
       .def = SERVER_LIMITS_NONE,
       .choices = limits,
       .unit = "",
       .help = "aws: refuse what comes faster than AWS lets it: calls a second, records and bytes of "
             "a data stream's shard, and its quotas of an account. Sizes are limited always."},
    {.name = "log_level",
       .type = KN_CONF_CHOICE,
       .offset = AT(log_level),
       .def = KN_LOG_INFO,
       .choices = log_levels,
       .unit = "",
       .help = "The least important events that are logged."                                 },
    {.name = "log_format",
       .type = KN_CONF_CHOICE,
       .offset = AT(log_format),
       .def = KN_LOG_TEXT,
       .choices = log_formats,
       .unit = "",
       .help = "One line an event to standard error: key=value text, or JSON."               },
    NUMBER(open_files_min, 64, 1048576, 16384, "count",
           "The limit on open files is raised to this, or to what all connections and their chunk "
           "files need, or as far as the system allows; then fewer connections are served."),
    NUMBER(console_threads, 1, 64, 4, "count", "Threads of the console listener."),
    NUMBER(console_connections_max, 8, 65536, 512, "count",
           "Connections the console listener serves at a time."),
    NUMBER(
        console_connections_per_peer_max, 0, 65536, 128, "count",
        "Of those, from one address, so that one peer cannot shut the others out; 0: no limit. A "
        "proxy in front of the console is one address."),
    NUMBER(console_session_ms, MINUTE_MS, 30ull * DAY_MS, 12 * HOUR_MS, "ms",
           "How long a login to the console lasts."),
    TEXT(host_names, "", "",
         "Further host names, separated by commas, under which browsers may open the console, and "
         "under --no-auth anybody the API. localhost and plain addresses always work; any other "
         "name is refused."),
    TEXT(camera_program, "", "",
         "The program that talks to cameras. Empty: kinema-camera, beside this one."),
    TEXT(camera_ca_file, "", "",
         "A PEM file of those who sign the certificates of cameras whose Tls is VERIFY. Empty: "
         "those "
         "whom this machine trusts."),
    TEXT(camera_files, "", "",
         "A folder: files below it may be played as cameras, by file:// URLs. Empty: none may."),
    SWITCH(metrics_anywhere,
           "Serve /metrics to other machines without a login. This machine may always read it."),
};

#undef AT
#undef TEXT
#undef NUMBER
#undef SWITCH

int server_config_init(struct server_config *config)
{
    *config = (struct server_config){0};
    const struct kn_conf_table tables[SERVER_CONFIG_TABLES] = {
        {"Server",         server_keys,             KN_ARRAY_LEN(server_keys),    &config->server    },
        {"HTTP",           kn_http_conf_keys,       kn_http_conf_key_count,       &config->http      },
        {"Storage",        storage_conf_keys,       storage_conf_key_count,       &config->storage   },
        {"Logs of shards", storage_shard_conf_keys, storage_shard_conf_key_count, &config->shards    },
        {"Ingest",         ingest_conf_keys,        ingest_conf_key_count,        &config->ingest    },
        {"Playback",       playback_conf_keys,      playback_conf_key_count,      &config->playback  },
        {"Data streams",   datastream_conf_keys,    datastream_conf_key_count,    &config->datastream},
    };
    memcpy(config->tables, tables, sizeof tables);
    return kn_conf_defaults(config->tables, SERVER_CONFIG_TABLES);
}

void server_config_done(struct server_config *config)
{
    kn_conf_done(config->tables, SERVER_CONFIG_TABLES);
}

static int load_file(struct server_config *config, const struct server_args *args,
                     struct kn_err *err)
{
    const char *path = server_args_get(args, "config");
    if (!path)
        path = getenv("KINEMA_CONFIG");
    if (!path && access("kinema.conf", R_OK) == 0)
        path = "kinema.conf";
    if (!path)
        return 0;
    return kn_conf_read_file(config->tables, SERVER_CONFIG_TABLES, path, err);
}

static int load_flags(struct server_config *config, const struct server_args *args,
                      struct kn_err *err)
{
    const struct server_args_spec spec = {.tables = config->tables,
                                          .table_count = SERVER_CONFIG_TABLES};
    for (size_t i = 0; i < args->given_count; i++) {
        char name[128];
        const struct server_arg *arg = &args->given[i];
        if (!arg->setting || !server_args_setting(&spec, arg->name, name, sizeof name))
            continue;
        int code = kn_conf_set(config->tables, SERVER_CONFIG_TABLES, kn_str_from(name),
                               kn_str_from(arg->value), err);
        if (code < 0)
            return kn_fail_at(err, code, "flag");
    }
    return 0;
}

static int check_addresses(const struct server_settings *s, struct kn_err *err)
{
    const struct {
        const char *name, *address;
    } rows[] = {
        {"api",        s->api       },
        {"ingest",     s->ingest    },
        {"console",    s->console   },
        {"api_tls",    s->api_tls   },
        {"ingest_tls", s->ingest_tls},
        {"iot_tls",    s->iot_tls   },
        {"rtsp",       s->rtsp      },
        {"rtsp_tls",   s->rtsp_tls  },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        if (server_address_is_off(rows[i].address))
            continue;
        int code = kn_http_address_check(rows[i].address, err);
        if (code < 0)
            return kn_fail_at(err, code, rows[i].name);
    }
    return 0;
}

/* What one row cannot say. */
static int check(const struct server_settings *s, struct kn_err *err)
{
    if (!*s->data)
        return kn_fail(err, -EINVAL, "data: the folder must be named");
    if (!*s->tls_cert != !*s->tls_key)
        return kn_fail(err, -EINVAL, "tls_cert and tls_key must be given together");
    if (strlen(s->account) != 12 || strspn(s->account, "0123456789") != 12)
        return kn_fail(err, -EINVAL, "account: must be twelve digits, is \"%s\"", s->account);
    if (!*s->region || s->region[strspn(s->region, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return kn_fail(err, -EINVAL,
                       "region: must be of lower-case letters, digits and hyphens, is \"%s\"",
                       s->region);
    if (server_address_is_off(s->api))
        return kn_fail(err, -EINVAL, "api: the server needs this listener");
    if (!server_address_is_off(s->ingest) && !server_address_is_loopback(s->ingest) &&
        !s->plain_ingest_anywhere)
        return kn_fail(err, -EINVAL,
                       "ingest: PutMedia without TLS on %s needs --plain-ingest-anywhere, since "
                       "its body is not signed; --ingest-tls is the safe way",
                       s->ingest);
    if (!server_address_is_off(s->iot_tls) && !*s->iot_ca)
        return kn_fail(err, -EINVAL, "iot_tls: iot_ca must name who signs devices' certificates");
    if (!server_address_is_off(s->iot_tls) && s->no_auth)
        return kn_fail(err, -EINVAL, "iot_tls: under no_auth there are no keys to be had");
    if (!server_address_is_off(s->rtsp) && !server_address_is_loopback(s->rtsp) &&
        !s->plain_ingest_anywhere)
        return kn_fail(err, -EINVAL,
                       "rtsp: %s needs --plain-ingest-anywhere, since RTSP is not encrypted; "
                       "--rtsp-tls is the safe way",
                       s->rtsp);
    return check_addresses(s, err);
}

int server_config_load(struct server_config *config, const struct server_args *args,
                       struct kn_err *err)
{
    int code = load_file(config, args, err);
    if (code == 0)
        code = kn_conf_read_env(config->tables, SERVER_CONFIG_TABLES, environ, err);
    if (code == 0)
        code = load_flags(config, args, err);
    config->datastream.aws_limits = config->server.limits == SERVER_LIMITS_AWS;
    return code < 0 ? code : check(&config->server, err);
}

static void on_slip(void *ctx, struct kn_str variable, const char *nearest)
{
    (void) ctx;
    kn_log_warn("variable_unknown",
                "name=" KN_LOG_QUOTED " nearest=%s said=\"it is no setting, and ignored\"",
                kn_log_quote(variable), nearest);
}

void server_config_warn(const struct server_config *config)
{
    kn_conf_slips(config->tables, SERVER_CONFIG_TABLES, environ, on_slip, NULL);
}

bool server_address_is_off(const char *address)
{
    return !*address || kn_str_eq_nocase(kn_str_from(address), KN_STR("off"));
}

bool server_address_is_loopback(const char *address)
{
    struct kn_str host = kn_str_from(address);
    while (host.len > 0 && host.ptr[host.len - 1] != ':')
        host.len--;
    if (host.len > 0)
        host.len--; /* the colon before the port */
    return kn_str_eq_nocase(host, KN_STR("localhost")) || kn_str_eq(host, KN_STR("[::1]")) ||
           kn_str_starts_with(host, KN_STR("127."));
}

int server_camera_program(const struct server_settings *settings, char *ret, struct kn_err *err)
{
    static const char name[] = "kinema-camera";
    if (*settings->camera_program)
        return kn_str_copy(ret, PATH_MAX, kn_str_from(settings->camera_program));
    ssize_t len = readlink("/proc/self/exe", ret, PATH_MAX - sizeof name);
    while (len > 0 && ret[len - 1] != '/')
        len--;
    if (len <= 0)
        return kn_fail(err, -ENOENT, "where this program lies cannot be told");
    memcpy(ret + len, name, sizeof name);
    return 0;
}
