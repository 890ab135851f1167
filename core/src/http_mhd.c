/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd behind the handler interface, for the console and admin listener (why there and not
 * on the wire: design/http-layer.md 1-5). head() is called at its first call of a request, the body
 * is collected, and after the last call the request may park: the connection is suspended until a
 * wake-up. A connection belongs to one thread of its pool, so the threading law holds.
 */
#include "http_mhd.h"

#include "http_conn.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/log.h"

static void *begin(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    return kn_mhd_req_new(ctx, connection, uri);
}

static enum MHD_Result refuse(struct kn_mhd_req *req, int status)
{
    kn_metric_add(req->mhd->listener->parse_errors, 1);
    kn_metric_add(req->mhd->listener->requests[status / 100 % 6], 1);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    req->queued = true;
    (void) MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result r = MHD_queue_response(req->connection, (unsigned) status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result queue_answer(struct kn_mhd_req *req)
{
    struct MHD_Response *response = KN_MOVE(req->response);
    req->queued = true;
    enum MHD_Result r = MHD_queue_response(req->connection, (unsigned) req->status, response);
    MHD_destroy_response(response);
    return r;
}

static uint64_t body_length(struct kn_mhd_req *req)
{
    uint64_t length = 0;
    struct kn_str text = kn_http_header(&req->base, "content-length");
    int r = kn_str_to_u64(text, INT64_MAX, &length); /* its form was checked with the head */
    return r < 0 ? 0 : length;
}

static enum MHD_Result first_call(struct kn_mhd_req *req, const char *method, const char *version)
{
    req->begun = true;
    int status = kn_mhd_req_read_head(req, method, version);
    if (status) {
        req->base.owner_count = 0; /* no handler has seen it, none is told that it is gone */
        return refuse(req, status);
    }
    if (kn_http_req_head(&req->base) < 0)
        return MHD_NO;
    uint64_t length = body_length(req);
    if (!req->response && req->base.collecting && length > req->base.body.max)
        (void) kn_http_req_too_large(&req->base);
    /* An answer given now ends the connection, so it waits for a short body. */
    if (req->response && length > KN_HTTP_DRAIN_BYTES_MAX)
        return queue_answer(req);
    bool wanted = req->base.collecting || req->base.owners[req->base.owner_count - 1].ops->data;
    if (!req->response && ((req->base.collecting && length > req->base.body.max) ||
                           (length > 0 && !wanted && !req->base.job.running)))
        return refuse(req, 413);
    return MHD_YES;
}

static bool given_up(struct kn_mhd_req *req)
{
    return req->base.aborted || req->left || atomic_load(&req->mhd->closing);
}

static enum MHD_Result body_call(struct kn_mhd_req *req, const char *data, size_t *len)
{
    while (*len > 0 && !req->queued) {
        if (given_up(req))
            return MHD_NO;
        if (req->response) { /* answered: the rest is dropped */
            *len = 0;
            break;
        }
        if (req->base.paused) {
            if (!kn_mhd_wait(req))
                return MHD_YES; /* suspended; the same bytes are offered again */
            continue;
        }
        ssize_t n = kn_http_req_data(&req->base, data, *len);
        if (n < 0)
            return MHD_NO;
        data += n;
        *len -= (size_t) n;
    }
    if (req->queued)
        *len = 0;
    return MHD_YES;
}

static enum MHD_Result last_call(struct kn_mhd_req *req)
{
    if (req->queued)
        return MHD_YES;
    if (!req->base.body_complete && !given_up(req))
        kn_http_req_end(&req->base);
    for (;;) {
        if (given_up(req))
            return MHD_NO;
        if (req->response && !req->base.job.running)
            return queue_answer(req);
        if (!kn_mhd_wait(req))
            return MHD_YES;
    }
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **con_cls)
{
    struct kn_mhd_req *req = *con_cls;
    (void) ctx;
    (void) connection;
    (void) url; /* decoded; handlers get it as it was sent */
    if (!req)
        return MHD_NO; /* no memory for it */
    if (!req->begun)
        return first_call(req, method, version);
    if (*upload_data_size > 0)
        return body_call(req, upload_data, upload_data_size);
    return last_call(req);
}

static enum kn_http_why why_of(const struct kn_mhd_req *req, enum MHD_RequestTerminationCode code)
{
    if (atomic_load(&req->mhd->closing))
        return KN_HTTP_SHUTDOWN;
    if (req->left)
        return KN_HTTP_PEER_GONE;
    switch (code) {
    case MHD_REQUEST_TERMINATED_COMPLETED_OK:
        return KN_HTTP_DONE;
    case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED:
        return KN_HTTP_TIMEOUT;
    case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN:
        return KN_HTTP_SHUTDOWN;
    case MHD_REQUEST_TERMINATED_CLIENT_ABORT:
    case MHD_REQUEST_TERMINATED_READ_ERROR:
        return KN_HTTP_PEER_GONE;
    case MHD_REQUEST_TERMINATED_WITH_ERROR:
    default:
        return KN_HTTP_ERROR;
    }
}

static void completed(void *ctx, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode code)
{
    struct kn_mhd_req *req = *con_cls;
    (void) ctx;
    (void) connection;
    if (!req)
        return;
    *con_cls = NULL;
    kn_mhd_watch_socket(req, false);
    if (!req->begun)
        req->base.owner_count = 0;
    kn_mhd_wait_job(req);
    bool gone = kn_http_req_gone(&req->base, why_of(req, code));
    kn_assert(gone);
    kn_mhd_req_free(req);
}

static void connected(void *ctx, struct MHD_Connection *connection, void **socket_context,
                      enum MHD_ConnectionNotificationCode code)
{
    struct kn_http_mhd *mhd = ctx;
    (void) connection;
    (void) socket_context;
    kn_metric_add(mhd->listener->connections, code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

KN_PRINTF(2, 0) static void log_line(void *ctx, const char *fmt, va_list args)
{
    char text[256];
    (void) ctx;
    if (!kn_log_enabled(KN_LOG_DEBUG))
        return;
    int n = vsnprintf(text, sizeof(text), fmt, args);
    if (n > 0)
        kn_log_debug("console_http", "text=\"%s\"", kn_log_quote(kn_str_from(text)));
}

static int start_daemon(struct kn_http_mhd *mhd, const struct kn_http_mhd_conf *conf)
{
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem pool[] = {
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t) conf->threads, NULL},
        {MHD_OPTION_END,              0,                        NULL}
    };
    if (conf->threads < 2)
        pool[0].option = MHD_OPTION_END;
    mhd->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, mhd, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
        MHD_OPTION_LISTEN_SOCKET, mhd->listener->fds[0], MHD_OPTION_URI_LOG_CALLBACK, begin, mhd,
        MHD_OPTION_NOTIFY_COMPLETED, completed, mhd, MHD_OPTION_NOTIFY_CONNECTION, connected, mhd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned) conf->connections_max,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) conf->connections_per_peer_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) KN_MHD_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t) KN_MHD_CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!mhd->daemon)
        return -EIO;
    mhd->listener->fds[0] = -1; /* the daemon closes it */
    return 0;
}

int kn_http_mhd_start(const struct kn_http_listen *listen, const struct kn_http_mhd_conf *conf,
                      struct kn_http_mhd **ret, uint16_t *ret_port, struct kn_err *err)
{
    if (listen->tls)
        return kn_fail(err, -EINVAL, "%s: the console has no TLS of its own", listen->address);
    struct kn_http_mhd *mhd = calloc(1, sizeof(*mhd));
    if (!mhd)
        return kn_fail(err, -ENOMEM, "no memory for the console");
    uint16_t port = 0;
    mhd->workers = conf->workers;
    mhd->watch.epoll_fd = mhd->watch.event_fd = -1;
    int r = kn_http_listener_new(listen, 1, &mhd->listener, &port, err);
    if (r < 0) {
        free(mhd);
        return r;
    }
    kn_lock_init(&mhd->lock);
    kn_cond_init(&mhd->none_left);
    kn_cond_init(&mhd->told);
    r = kn_mhd_watch_start(&mhd->watch, conf->clock);
    if (r == 0)
        r = kn_http_mailbox_open(&mhd->box);
    if (r == 0)
        r = start_daemon(mhd, conf);
    if (r < 0) {
        kn_http_mhd_stop(mhd, 0);
        return kn_fail(err, r, "%s: cannot start the console", listen->address);
    }
    *ret = mhd;
    *ret_port = port;
    return 0;
}

static void wake_all(struct kn_http_mhd *mhd, uint32_t bits)
{
    KN_LOCKED(&mhd->lock);
    for (struct kn_mhd_req *req = mhd->requests; req; req = req->next)
        kn_http_wake(req->base.ref, bits);
}

static void wait_none_left(struct kn_http_mhd *mhd, int64_t timeout_ms)
{
    KN_LOCKED(&mhd->lock);
    int64_t end_ns = kn_mono_ns(mhd->watch.clock) + timeout_ms * 1000000;
    while (mhd->requests) {
        int64_t left_ns = end_ns - kn_mono_ns(mhd->watch.clock);
        if (left_ns <= 0 || !kn_cond_wait_for(&mhd->none_left, &mhd->lock, left_ns))
            return;
    }
}

void kn_http_mhd_stop(struct kn_http_mhd *mhd, int64_t drain_ms)
{
    if (!mhd)
        return;
    if (mhd->daemon) {
        MHD_socket fd = MHD_quiesce_daemon(mhd->daemon);
        if (fd >= 0)
            close(fd);
        wake_all(mhd, KN_HTTP_WAKE_SHUTDOWN);
        wait_none_left(mhd, drain_ms);
        /* No connection may be suspended when the daemon stops (design/http-layer.md 3, trap 5):
         * the wake-up resumes those that are, and from now on none is any more. */
        atomic_store(&mhd->closing, true);
        wake_all(mhd, KN_HTTP_WAKE_SHUTDOWN);
        MHD_stop_daemon(mhd->daemon);
    }
    kn_mhd_watch_stop(&mhd->watch);
    if (mhd->box)
        kn_http_mailbox_close(mhd->box);
    kn_http_listener_free(mhd->listener, 1);
    kn_cond_done(&mhd->none_left);
    kn_cond_done(&mhd->told);
    kn_lock_done(&mhd->lock);
    free(mhd);
}
