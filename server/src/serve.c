/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinema serve: starts everything in order and stops it in the reverse order.
 *
 *   settings → data folder (locked, recovered) → addresses bound → keys → playback → ingest →
 *   operations and routes → event loops → console → the ready line
 *
 * Signals are blocked in every thread and taken here by sigwait, so none can come at a bad moment.
 * The first SIGTERM or SIGINT drains; a second one ends the process at once, which loses nothing
 * that was acknowledged: the next start recovers as after a power cut.
 */
#include "addresses.h"
#include "command.h"
#include "console.h"
#include "folder.h"
#include "listeners.h"
#include "notify.h"
#include "rtsp_access.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/metrics.h"
#include "datastream/datastream.h"
#include "datastream/events.h"
#include "storage/credential.h"
#include "storage/stream.h"

enum {
    OPEN_FILES_SPARE = 256,       /* catalogue, logs, listeners, and the like */
    OPEN_FILES_TABLE_MAX = 65536, /* entries of 8 bytes, the kernel's memory */
    CONNECTIONS_LEAST = 16,
    SERVER_URL_BYTES = 2048,
    RTSP_PEM_BYTES_MAX = 48 << 10, /* key and chain */
};

struct serve {
    struct server_config *config;
    struct kn_clock *clock;
    sigset_t signals;
    struct server_ports ports;
    struct storage *storage;
    struct storage_keyring *keyring;
    struct kn_api_identity identity;
    struct kn_http_router *api_router, *ingest_router, *local_router;
    struct kn_http_server *http;
    bool http_started;
    struct server_listeners listeners;
    struct server_rtsp_access rtsp_access;
    struct server_addresses addresses;
    struct ingest_endpoints ingest_endpoints;
    struct playback_endpoints playback_endpoints;
    struct ingest *ingest;
    struct playback *playback;
    struct datastream *datastream;
    struct storage_event_sender *events;
    struct kn_api *api, *local_api;
    struct server_console *console;
    struct kn_http_mhd *console_http;
};

/* --- before ----------------------------------------------------------------------------------- */
static void signals_block(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    (void) pthread_sigmask(SIG_BLOCK, set, NULL);
    (void) signal(SIGPIPE, SIG_IGN);
}

static uint64_t open_files_raise(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return wanted;
    struct rlimit most = {.rlim_cur = wanted, .rlim_max = kn_max_u64(wanted, limit.rlim_max)};
    if (setrlimit(RLIMIT_NOFILE, &most) == 0)
        return wanted;
    most = (struct rlimit){.rlim_cur = kn_min_u64(wanted, limit.rlim_max), limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &most) == 0 ? most.rlim_cur : limit.rlim_cur;
}

/* The kernel doubles its table of descriptors when it is full; in a process of several threads
 * whoever opens a file then waits until every processor has been elsewhere (synchronize_rcu), 7 to
 * 15 ms where the cores are busy, and event loops stand still at 64, 128, 256 … connections. While
 * there is one thread it costs nothing. */
static void open_files_make_room(uint64_t count)
{
    int fd =
        fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int) kn_min_u64(count, OPEN_FILES_TABLE_MAX) - 1);
    if (fd >= 0)
        (void) close(fd);
}

/* Each camera is a socket and a file; the usual soft limit of 1024 would end at 500 of them. Where
 * the system allows no more, there are fewer connections, so that a flood of them never takes the
 * descriptors that chunks are written with. */
static void open_files_share(struct server_config *config)
{
    const uint64_t others =
        config->server.console_connections_max + config->storage.open_chunks_max + OPEN_FILES_SPARE;
    uint64_t connections = config->http.connections_max;
    uint64_t wanted = kn_max_u64(config->server.open_files_min, 2 * connections + others);
    uint64_t got = open_files_raise(wanted);
    open_files_make_room(kn_min_u64(got, wanted));
    if (got >= wanted)
        return;
    uint64_t left = got > others ? (got - others) / 2 : 0;
    config->http.connections_max = kn_min_u64(connections, kn_max_u64(left, CONNECTIONS_LEAST));
    kn_log_warn("open_files_low",
                "limit=%" PRIu64 " wanted=%" PRIu64 " connections_max=%" PRIu64
                " said=\"fewer connections than http_connections_max are served\"",
                got, wanted, config->http.connections_max);
}

/* --- starting --------------------------------------------------------------------------------- */
static void report_log(const struct storage_report *report, const char *dir)
{
    if (report->clean || (report->streams == 0 && report->chunks == 0))
        kn_log_info("data_folder_opened",
                    "dir=" KN_LOG_QUOTED " streams=%" PRIu64 " chunks=%" PRIu64 " took_ms=%" PRId64,
                    kn_log_quote(kn_str_from(dir)), report->streams, report->chunks,
                    report->took_ms);
    else
        kn_log_info(
            "data_folder_recovered",
            "dir=" KN_LOG_QUOTED " streams=%" PRIu64 " chunks=%" PRIu64 " chunks_left_open=%" PRIu64
            " fragments_found_in_them=%" PRIu64 " unfinished_bytes_cut=%" PRIu64 " took_ms=%" PRId64
            " said=\"the last run did not end in order; every acknowledged fragment is kept\"",
            kn_log_quote(kn_str_from(dir)), report->streams, report->chunks,
            report->chunks_recovered, report->fragments_recovered, report->tail_bytes_cut,
            report->took_ms);
    if (report->bad_records > 0)
        kn_log_error("data_folder_damaged",
                     "bad_records=%" PRIu64 " said=\"damage in the middle of a chunk; kinema check "
                     "says where; nothing was deleted\"",
                     report->bad_records);
    if (report->unknown_files > 0)
        kn_log_warn("data_folder_unknown_files", "count=%" PRIu64 " said=\"left alone\"",
                    report->unknown_files);
}

static enum server_exit open_data(struct serve *s, struct kn_err *err)
{
    const struct server_settings *settings = &s->config->server;
    struct storage_report report = {0};
    if (server_folder_make(settings->data, err) < 0)
        return SERVER_EXIT_DATA;
    int code = storage_open(settings->data, &s->config->storage, kn_fs_system(), s->clock,
                            &s->storage, &report, err);
    if (code == -EBUSY) {
        (void) kn_fail(err, code, "data folder %s: another server has it, or a check reads it",
                       settings->data);
        return SERVER_EXIT_DATA;
    }
    if (code < 0)
        return SERVER_EXIT_DATA;
    report_log(&report, settings->data);
    if (settings->no_auth) {
        kn_log_warn("no_auth", "said=\"every request is accepted without a signature\"");
    } else if (storage_keyring_new(storage_meta_of(s->storage), &s->keyring) < 0) {
        (void) kn_fail(err, -ENOMEM, "the access keys cannot be read");
        return SERVER_EXIT_DATA;
    }
    return SERVER_EXIT_OK;
}

/* What the journals held is there again before anybody asks for it. */
static enum server_exit open_shards(struct serve *s, struct kn_err *err)
{
    struct storage_shards_report report = {0};
    int64_t began = kn_mono_ns(s->clock);
    if (storage_shards_start(s->storage, &s->config->shards, &report, err) < 0)
        return SERVER_EXIT_DATA;
    int64_t took_ms = (kn_mono_ns(s->clock) - began) / 1000000;
    if (report.batches > 0)
        kn_log_info("shard_logs_recovered",
                    "journals=%" PRIu64 " batches=%" PRIu64 " records=%" PRIu64 " took_ms=%" PRId64
                    " said=\"records that were in journals only are there; every acknowledged one "
                    "is kept\"",
                    report.journals, report.batches, report.records, took_ms);
    if (report.bad_frames > 0)
        kn_log_error(
            "shard_logs_damaged",
            "bad_frames=%" PRIu64 " bad_bytes=%" PRIu64
            " said=\"a journal is damaged in front of records that were acknowledged: what "
            "lay there is lost, what lies behind it was read; nothing was deleted\"",
            report.bad_frames, report.bad_bytes);
    return SERVER_EXIT_OK;
}

static enum server_exit open_listeners(struct serve *s, struct kn_err *err)
{
    const struct server_settings *settings = &s->config->server;
    if (kn_http_router_new(&s->api_router) < 0 || kn_http_router_new(&s->ingest_router) < 0 ||
        kn_http_router_new(&s->local_router) < 0 ||
        kn_http_server_new(&s->config->http, s->clock, &s->http, err) < 0)
        return SERVER_EXIT_FAILED;
    s->listeners.api_door = (struct server_door){settings, s->api_router};
    s->listeners.ingest_door = (struct server_door){settings, s->ingest_router};
    s->listeners.local_door = (struct server_door){settings, s->local_router};
    s->listeners.iot =
        (struct server_iot){s->keyring, s->clock, (int64_t) s->config->server.iot_key_ms};
    int code = server_listeners_open(&s->listeners, settings, s->http, &s->ports, err);
    return code == 0         ? SERVER_EXIT_OK
           : code == -EINVAL ? SERVER_EXIT_USAGE /* a certificate that is none */
                             : SERVER_EXIT_ADDRESS;
}

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static struct kn_keyring *keyring_of(struct serve *s)
{
    return s->keyring ? storage_keyring_base(s->keyring) : NULL;
}

/* How clients reach the api listener, for the links in events: as configured, else by the address
 * it is bound to, which must say more than "all of them" to be of use to others. */
static void api_url(const struct serve *s, char dst[SERVER_URL_BYTES])
{
    const struct server_settings *settings = &s->config->server;
    bool tls = s->ports.api == 0;
    struct kn_str host = server_address_host(tls ? settings->api_tls : settings->api);
    if (kn_str_eq(host, KN_STR("0.0.0.0")) || kn_str_eq(host, KN_STR("[::]")) || host.len == 0)
        host = KN_STR("127.0.0.1");
    if (*settings->public_api_url)
        snprintf(dst, SERVER_URL_BYTES, "%s", settings->public_api_url);
    else
        snprintf(dst, SERVER_URL_BYTES, "%s://" KN_STR_FMT ":%u", tls ? "https" : "http",
                 KN_STR_ARG(host), (unsigned) (tls ? s->ports.api_tls : s->ports.api));
}

static int start_events(struct serve *s, struct kn_err *err)
{
    char url[SERVER_URL_BYTES];
    api_url(s, url);
    const struct datastream_events_conf conf = {.storage = s->storage,
                                                .datastream = s->datastream,
                                                .identity = &s->identity,
                                                .clock = s->clock,
                                                .endpoint = url};
    return datastream_events_start(&conf, &s->events, err);
}

static int open_modules(struct serve *s, struct kn_err *err)
{
    const struct server_settings *settings = &s->config->server;
    s->identity = (struct kn_api_identity){"aws", settings->region, settings->account};
    s->playback_endpoints = (struct playback_endpoints){s->ports.api, s->ports.api_tls,
                                                        or_null(settings->public_api_url)};
    s->ingest_endpoints = (struct ingest_endpoints){
        .api_port = s->ports.api,
        .api_tls_port = s->ports.api_tls,
        .ingest_port = s->ports.ingest ? s->ports.ingest : s->ports.api,
        .ingest_tls_port = s->ports.ingest_tls ? s->ports.ingest_tls : s->ports.api_tls,
        .public_api_url = or_null(settings->public_api_url),
        .public_ingest_url = or_null(settings->public_ingest_url)};
    int code = playback_new(s->storage, &s->config->playback, &s->playback_endpoints, &s->identity,
                            keyring_of(s), s->clock, &s->playback, err);
    if (code < 0)
        return code;
    code = datastream_new(s->storage, &s->config->datastream, &s->identity, s->clock,
                          &s->datastream, err);
    if (code == 0)
        code = datastream_start(s->datastream, err);
    if (code == 0)
        code = start_events(s, err);
    if (code < 0)
        return code;
    code = ingest_new(s->storage, &s->config->ingest, &s->ingest_endpoints, &s->identity, s->events,
                      s->clock, &s->ingest);
    return code < 0 ? kn_fail(err, code, "ingest cannot start: %s", kn_errname(code)) : 0;
}

static int make_api(struct serve *s, const struct kn_api_conf *conf, struct kn_api **ret)
{
    int code = kn_api_new(conf, ret);
    if (code == 0)
        code = kn_api_add(*ret, &ingest_api_service, s->ingest);
    if (code == 0)
        code = kn_api_add(*ret, &playback_api_service, s->playback);
    if (code == 0)
        code = kn_api_add(*ret, &datastream_api_service, s->datastream);
    return code;
}

static int open_routes(struct serve *s, struct kn_err *err)
{
    const struct server_settings *settings = &s->config->server;
    const struct kn_api_conf conf = {.identity = &s->identity,
                                     .clock = s->clock,
                                     .keyring = keyring_of(s),
                                     .pinned_region = or_null(settings->pinned_region),
                                     .skew_ms = (int64_t) settings->skew_ms,
                                     .aws_limits = settings->limits == SERVER_LIMITS_AWS,
                                     .allowed_hosts = settings->host_names};
    /* Whoever may open the data folder could read every key in it: there is nothing to sign. */
    const struct kn_api_conf local = {
        .identity = &s->identity, .clock = s->clock, .allowed_hosts = ""};
    int code = make_api(s, &conf, &s->api);
    if (code == 0)
        code = make_api(s, &local, &s->local_api);
    if (code == 0)
        code = playback_add_routes(s->playback, s->api_router);
    s->rtsp_access = (struct server_rtsp_access){s->storage, keyring_of(s), s->clock};
    if (code == 0 && (s->ports.rtsp || s->ports.rtsps))
        code = kn_http_router_add(s->local_router, "POST", SERVER_RTSP_ACCESS_PATH,
                                  &server_rtsp_access_ops, &s->rtsp_access);
    if (code == 0)
        code = kn_http_router_add(s->local_router, "POST", SERVER_ADDRESSES_PATH,
                                  &server_addresses_ops, &s->addresses);
    if (code < 0)
        return kn_fail(err, code, "the operations cannot be set up: %s", kn_errname(code));
    kn_http_router_fallback(s->api_router, &kn_api_ops, s->api);
    kn_http_router_fallback(s->ingest_router, &kn_api_ops, s->api);
    kn_http_router_fallback(s->local_router, &kn_api_ops, s->local_api);
    return 0;
}

static enum server_exit open_console(struct serve *s, struct kn_err *err)
{
    const struct server_settings *settings = &s->config->server;
    const struct server_console_conf conf = {.config = s->config,
                                             .ports = &s->ports,
                                             .storage = s->storage,
                                             .ingest = s->ingest,
                                             .playback = s->playback,
                                             .datastream = s->datastream,
                                             .api = s->api,
                                             .events = s->events,
                                             .keyring = keyring_of(s),
                                             .clock = s->clock};
    if (server_address_is_off(settings->console))
        return SERVER_EXIT_OK;
    if (server_console_new(&conf, &s->console, err) < 0)
        return SERVER_EXIT_DATA;
    const struct kn_http_listen listen = {.name = "console",
                                          .address = settings->console,
                                          .ops = &server_console_ops,
                                          .ctx = s->console};
    const struct kn_http_mhd_conf http = {
        .threads = (unsigned) settings->console_threads,
        .connections_max = settings->console_connections_max,
        .connections_per_peer_max = settings->console_connections_per_peer_max,
        .workers = kn_http_server_workers(s->http),
        .clock = s->clock,
    };
    int code = kn_http_mhd_start(&listen, &http, &s->console_http, &s->ports.console, err);
    if (code < 0) {
        (void) kn_fail_at(err, code, "console");
        return SERVER_EXIT_ADDRESS;
    }
    return SERVER_EXIT_OK;
}

/* --- cameras ---------------------------------------------------------------------------------- */
/* Those processes have another working directory. Links stay: a renewal may turn them elsewhere. */
static int whole_path(const char *path, char dst[PATH_MAX])
{
    char cwd[PATH_MAX] = "";
    if (*path != '/' && !getcwd(cwd, sizeof cwd))
        return -errno;
    int len = snprintf(dst, PATH_MAX, "%s%s%s", cwd, *path == '/' ? "" : "/", path);
    if (len >= PATH_MAX)
        return -ENAMETOOLONG;
    return access(dst, R_OK) == 0 ? 0 : -errno;
}

static int whole_folder(const char *path, char dst[PATH_MAX])
{
    struct stat st;
    int code = whole_path(path, dst);
    if (code == 0 && stat(dst, &st) < 0)
        code = -errno;
    return code == 0 && !S_ISDIR(st.st_mode) ? -ENOTDIR : code;
}

static enum server_exit start_cameras(struct serve *s, struct kn_err *err)
{
    const struct server_settings *settings = &s->config->server;
    char program[PATH_MAX];
    char ca_file[PATH_MAX], files[PATH_MAX];
    struct ingest_cameras_conf conf = {.program = program, .dir = settings->data};
    int code = 0;
    if (*settings->camera_ca_file) {
        conf.ca_file = ca_file;
        code = whole_path(settings->camera_ca_file, ca_file);
    }
    if (code < 0) {
        (void) kn_fail(err, code, "camera_ca_file: %s: %s", settings->camera_ca_file,
                       kn_errname(code));
        return SERVER_EXIT_FAILED;
    }
    if (*settings->camera_files) {
        conf.files = files;
        code = whole_folder(settings->camera_files, files);
    }
    if (code < 0) {
        (void) kn_fail(err, code, "camera_files: %s: %s", settings->camera_files, kn_errsay(code));
        return SERVER_EXIT_FAILED;
    }
    code = server_folder_key(settings->data, "camera.key",
                             "restore it, or remove it and set each camera again", conf.key, err);
    if (code < 0)
        return SERVER_EXIT_DATA;
    code = server_camera_program(settings, program, err);
    if (code == 0)
        code = ingest_cameras_start(s->ingest, &conf, err);
    explicit_bzero(conf.key, sizeof conf.key);
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

/* What was read last, whatever lies in its files now. */
static int rtsp_certificate(const struct serve *s, struct kn_buf *ret)
{
    kn_buf_init(ret, RTSP_PEM_BYTES_MAX);
    bool wanted = !server_address_is_off(s->config->server.rtsp_tls);
    return wanted ? kn_tls_pem(s->listeners.api_tls, ret) : 0;
}

static enum server_exit start_rtsp(struct serve *s, struct kn_err *err)
{
    char program[PATH_MAX];
    const struct server_listeners *l = &s->listeners;
    if (l->rtsp_fd < 0 && l->rtsp_tls_fd < 0)
        return SERVER_EXIT_OK;
    KN_CLEANUP(kn_buf_done) struct kn_buf pem;
    int code = rtsp_certificate(s, &pem);
    if (code < 0) {
        (void) kn_fail(err, code, "rtsp_tls: the certificate: %s", kn_errname(code));
        return SERVER_EXIT_FAILED;
    }
    const struct ingest_rtsp_conf conf = {.program = program,
                                          .dir = s->config->server.data,
                                          .fd = l->rtsp_fd,
                                          .tls_fd = l->rtsp_tls_fd,
                                          .pem = kn_buf_str(&pem),
                                          .open = s->config->server.no_auth};
    code = server_camera_program(&s->config->server, program, err);
    if (code == 0)
        code = ingest_rtsp_start(s->ingest, &conf, err);
    if (code == 0)
        s->listeners.rtsp_fd = s->listeners.rtsp_tls_fd = -1;
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

static void renew_rtsp(struct serve *s)
{
    KN_CLEANUP(kn_buf_done) struct kn_buf pem;
    int code = rtsp_certificate(s, &pem);
    if (code == 0)
        code = ingest_rtsp_renew(s->ingest, kn_buf_str(&pem));
    if (code < 0)
        kn_log_error("rtsp_not_renewed", "err=%s said=\"RTSPS keeps the certificate of before\"",
                     kn_errname(code));
}

/* --- saying so -------------------------------------------------------------------------------- */
static void print_pair(void *ctx KN_UNUSED, const char *name, const char *url)
{
    (void) printf(" %s=%s", name, url);
}

/* Scripts wait for this one line; nothing else goes to standard output. */
static void print_ready(const struct serve *s)
{
    (void) printf("ready");
    server_addresses_each(&s->config->server, &s->ports, print_pair, NULL);
    if (*s->listeners.cert_path) {
        char path[PATH_MAX];
        (void) printf(" tls-cert=file://");
        for (const char *c = realpath(s->listeners.cert_path, path) ? path : ""; *c; c++) {
            bool plain = (unsigned char) *c > ' ' && *c != '%' && (unsigned char) *c < 127;
            (void) printf(plain ? "%c" : "%%%02X", plain ? *c : (unsigned char) *c);
        }
    }
    (void) printf("\n");
    (void) fflush(stdout);
}

static void collect_process(void *ctx, struct kn_buf *out)
{
    const struct serve *s = ctx;
    (void) kn_buf_printf(out,
                         "# HELP kinema_build_info The version that runs.\n"
                         "# TYPE kinema_build_info gauge\n"
                         "kinema_build_info{version=\"%s\"} 1\n"
                         "# HELP kinema_streams Streams in the catalogue.\n"
                         "# TYPE kinema_streams gauge\nkinema_streams %zu\n",
                         KINEMA_VERSION, storage_stream_count(s->storage));
    server_listeners_collect(&s->listeners, out);
}

/* --- stopping --------------------------------------------------------------------------------- */
static void *second_signal(void *arg)
{
    const sigset_t *set = arg;
    int number = 0;
    while (sigwait(set, &number) == 0)
        if (number != SIGHUP)
            break;
    static const char text[] = "kinema: second signal: ending at once; the next start recovers\n";
    (void) !write(STDERR_FILENO, text, sizeof text - 1);
    _exit(SERVER_EXIT_FAILED);
}

static void close_all(struct serve *s)
{
    int64_t drain_ms = (int64_t) s->config->server.drain_ms;
    if (s->console_http)
        kn_http_mhd_stop(s->console_http, 1000);
    if (s->ingest) {
        ingest_rtsp_stop(s->ingest);
        ingest_cameras_stop(s->ingest);
    }
    if (s->http_started)
        kn_http_server_stop(s->http, drain_ms);
    if (s->datastream)
        datastream_stop(s->datastream);
    if (s->ingest)
        ingest_free(s->ingest);
    if (s->http)
        kn_http_server_free(s->http);
    if (s->api)
        kn_api_free(s->api);
    if (s->local_api)
        kn_api_free(s->local_api);
    if (s->playback)
        playback_free(s->playback);
    datastream_events_stop(s->events);
    datastream_free(s->datastream);
    server_console_free(s->console);
    if (s->api_router)
        kn_http_router_free(s->api_router);
    if (s->ingest_router)
        kn_http_router_free(s->ingest_router);
    if (s->local_router)
        kn_http_router_free(s->local_router);
    server_listeners_done(&s->listeners);
    server_addresses_done(&s->addresses);
    if (s->keyring)
        storage_keyring_free(s->keyring);
    if (s->storage)
        storage_close(s->storage);
}

static void wait_for_end(struct serve *s)
{
    int number = 0;
    pthread_t thread;
    while (sigwait(&s->signals, &number) == 0 && number == SIGHUP) {
        server_notify("RELOADING=1");
        if (server_listeners_reload(&s->listeners))
            renew_rtsp(s);
        server_notify("READY=1");
    }
    server_notify("STOPPING=1");
    kn_log_info("stopping", "signal=%s drain_ms=%" PRIu64, number == SIGINT ? "SIGINT" : "SIGTERM",
                s->config->server.drain_ms);
    if (kn_thread_start(&thread, "second-signal", second_signal, &s->signals) == 0)
        (void) pthread_detach(thread);
}

static enum server_exit start(struct serve *s, struct kn_err *err)
{
    enum server_exit code = open_data(s, err);
    if (code == SERVER_EXIT_OK)
        code = open_shards(s, err);
    if (code == SERVER_EXIT_OK)
        code = open_listeners(s, err);
    if (code == SERVER_EXIT_OK && open_modules(s, err) < 0)
        code = SERVER_EXIT_FAILED;
    if (code == SERVER_EXIT_OK && open_routes(s, err) < 0)
        code = SERVER_EXIT_FAILED;
    if (code == SERVER_EXIT_OK && kn_http_server_start(s->http, err) < 0)
        code = SERVER_EXIT_FAILED;
    else if (code == SERVER_EXIT_OK)
        s->http_started = true;
    if (code == SERVER_EXIT_OK)
        code = open_console(s, err);
    if (code == SERVER_EXIT_OK)
        code = start_cameras(s, err);
    if (code == SERVER_EXIT_OK)
        code = start_rtsp(s, err);
    return code;
}

static enum server_exit run(struct server_config *config, const struct server_args *args)
{
    static struct serve serve; /* the collector of metrics holds on to it */
    struct serve *s = &serve;
    struct kn_err err = {0};
    if (server_args_has(args, "help-config"))
        return server_command_config.run(config, args);
    s->config = config;
    s->listeners.rtsp_fd = s->listeners.rtsp_tls_fd = -1;
    s->clock = kn_clock_system();
    (void) umask(077);
    signals_block(&s->signals);
    open_files_share(config);
    enum server_exit code = start(s, &err);
    if (code != SERVER_EXIT_OK) {
        server_complain("%s", *err.text ? err.text : "cannot start");
        close_all(s);
        return code;
    }
    kn_metrics_collector(collect_process, s);
    server_addresses_tell(&s->addresses, &config->server, &s->ports);
    print_ready(s);
    server_listeners_say_certificate(&s->listeners);
    server_notify("READY=1");
    kn_log_info("ready", "version=%s pid=%d", KINEMA_VERSION, (int) getpid());
    wait_for_end(s);
    close_all(s);
    kn_log_info("stopped", "said=\"everything is sealed\"");
    return SERVER_EXIT_OK;
}

static const struct server_option options[] = {
    {"help-config", NULL, "List every setting of every part."},
};

const struct server_command server_command_serve = {
    .name = "serve",
    .words = "",
    .summary = "take video in, keep it, play it back",
    .about = "When it can serve it prints one line to standard output:\n"
             "  ready api=http://127.0.0.1:4566 ingest=http://127.0.0.1:4567 "
             "console=http://127.0.0.1:8080\n"
             "SIGTERM or SIGINT: uploads are drained and files sealed; a second signal ends it at "
             "once.\n"
             "SIGHUP: certificates, keys and revocation lists are read again, for new connections: "
             "all, or\n"
             "none if one of them cannot be read, which the log says.",
    .options = options,
    .option_count = KN_ARRAY_LEN(options),
    .settings = true,
    .run = run,
};
