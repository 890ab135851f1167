/* SPDX-License-Identifier: Apache-2.0 */
/* What a call leaves behind: three series on /metrics and one line of log. */
#include "api_private.h"

#include "core/log.h"

static const double bounds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5};

static struct kn_metric_family requests = {
    .kind = KN_COUNTER,
    .name = "kinema_api_requests_total",
    .help = "Calls of AWS operations, whatever the answer.",
    .labels = {"operation"},
};
static struct kn_metric_family errors = {
    .kind = KN_COUNTER,
    .name = "kinema_api_errors_total",
    .help = "Calls of AWS operations that were answered with an error.",
    .labels = {"operation", "error"},
};
static struct kn_metric_family seconds = {
    .kind = KN_HISTOGRAM,
    .name = "kinema_api_seconds",
    .help = "From the head of the request to its answer; for streams, to its first byte.",
    .labels = {"operation"},
    .bounds = bounds,
    .bound_count = KN_ARRAY_LEN(bounds),
};

void kn_api_metrics_bind(struct kn_api_entry *entry)
{
    struct kn_str name = kn_str_from(entry->op->name);
    entry->requests = kn_metric_series(&requests, &name);
    entry->seconds = kn_metric_series(&seconds, &name);
}

void kn_api_metrics_count(struct kn_api_call_state *state)
{
    const struct kn_api_entry *entry = state->entry;
    const char *error = state->raised.name;
    int64_t took_ns = kn_mono_ns(state->api->conf.clock) - state->started_ns;
    kn_metric_add(entry->requests, 1);
    kn_metric_observe(entry->seconds, (double) took_ns / 1e9);
    if (error) {
        const struct kn_str labels[] = {kn_str_from(entry->op->name), kn_str_from(error)};
        kn_metric_add(kn_metric_series(&errors, labels), 1);
    }
    bool denied = error && (state->raised.status == 401 || state->raised.status == 403);
    enum kn_log_level level = denied ? KN_LOG_INFO : KN_LOG_DEBUG;
    if (!kn_log_enabled(level))
        return;
    kn_log(level, denied ? "api_denied" : "api_call",
           "operation=%s status=%d error=%s key=%s resource=%s peer=%s request=%s us=%" PRId64
           " message=%s",
           entry->op->name, error ? state->raised.status : 200, error ? error : "-",
           kn_log_quote(state->key ? state->key->id : state->auth.key_id),
           kn_log_quote(state->resource), kn_log_quote(kn_http_peer(state->call.req)),
           state->call.request_id, took_ns / 1000, kn_log_quote(state->raised.message));
}
