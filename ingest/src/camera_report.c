/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_report.h"

#include "core/log.h"
#include "core/metrics.h"

static struct kn_metric_family recording = {.kind = KN_GAUGE,
                                            .name = "kinema_camera_recording",
                                            .help = "1: the camera's video is being recorded.",
                                            .labels = {"stream"}};
static struct kn_metric_family reconnects = {.kind = KN_GAUGE,
                                             .name = "kinema_camera_reconnects",
                                             .help = "Connections to the camera that ended.",
                                             .labels = {"stream"}};
static struct kn_metric_family lost = {.kind = KN_GAUGE,
                                       .name = "kinema_camera_frames_lost",
                                       .help = "Frames left out because the disk was behind.",
                                       .labels = {"stream"}};
static struct kn_metric_family silent = {.kind = KN_GAUGE,
                                         .name = "kinema_camera_silent",
                                         .help = "1: its pictures or its sound do not come.",
                                         .labels = {"stream"}};
static struct kn_metric_family worker_ends = {.kind = KN_COUNTER,
                                              .name = "kinema_camera_worker_ends_total",
                                              .help = "Processes for cameras that ended."};
static struct kn_metric_family due = {.kind = KN_GAUGE,
                                      .name = "kinema_camera_due",
                                      .help = "1: its schedule wants the camera recorded now.",
                                      .labels = {"stream"}};

void ingest_camera_report(const struct ingest_camera_view *view)
{
    struct kn_str name = kn_str_from(view->name);
    const struct ingest_camera_status *status = &view->status;
    kn_metric_set(kn_metric_series(&recording, &name),
                  status->state == INGEST_CAMERA_RECORDING ? 1 : 0);
    kn_metric_set(kn_metric_series(&reconnects, &name), (double) status->reconnects);
    kn_metric_set(kn_metric_series(&lost, &name), (double) status->lost);
    kn_metric_set(kn_metric_series(&silent, &name), *status->silent ? 1 : 0);
}

void ingest_camera_report_change(const struct ingest_camera_view *view,
                                 const struct ingest_camera_status *before)
{
    const struct ingest_camera_status *now = &view->status;
    bool recorded = before->state == INGEST_CAMERA_RECORDING;
    bool fails_anew = now->fault_ms != before->fault_ms &&
                      (recorded || !kn_str_eq(kn_str_from(now->said), kn_str_from(before->said)));
    if (now->state == INGEST_CAMERA_RECORDING && !recorded)
        kn_log_info("camera_records", "stream=%s", view->name);
    if (!kn_str_eq(kn_str_from(now->silent), kn_str_from(before->silent)))
        kn_log_info("camera_silent", "stream=%s what=%s", view->name,
                    *now->silent ? now->silent : "nothing");
    bool other_clock =
        now->clock_known &&
        (!before->clock_known || !kn_str_eq(kn_str_from(now->clock), kn_str_from(before->clock)));
    if (other_clock || now->clock_steps > before->clock_steps)
        kn_log_info("camera_clock", "stream=%s time_of=%s ahead_ms=%lld steps=%llu", view->name,
                    now->clock, (long long) now->clock_ahead_ms,
                    (unsigned long long) now->clock_steps);
    if (fails_anew)
        kn_log_warn("camera_failed", "stream=%s fault=%s said=" KN_LOG_QUOTED, view->name,
                    now->fault, kn_log_quote(kn_str_from(now->said)));
    ingest_camera_report(view);
}

void ingest_camera_report_due(const struct ingest_camera_view *view, bool is_due)
{
    struct kn_str name = kn_str_from(view->name);
    kn_metric_set(kn_metric_series(&due, &name), is_due ? 1 : 0);
}

void ingest_camera_report_full(const struct ingest_camera_view *view)
{
    kn_log_warn("camera_full", "stream=%s", view->name);
}

void ingest_camera_report_forget(const struct ingest_camera_view *view)
{
    struct kn_str name = kn_str_from(view->name);
    kn_metric_drop(&recording, &name);
    kn_metric_drop(&reconnects, &name);
    kn_metric_drop(&lost, &name);
    kn_metric_drop(&silent, &name);
    kn_metric_drop(&due, &name);
}

void ingest_camera_report_worker_end(size_t worker, const char *said)
{
    kn_metric_add(kn_metric_series(&worker_ends, NULL), 1);
    kn_log_error("camera_worker_ended", "worker=%zu said=" KN_LOG_QUOTED, worker,
                 kn_log_quote(kn_str_from(said)));
}
