/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a camera: its metrics, and lines of the log when something changes. */
#ifndef INGEST_SRC_CAMERA_REPORT_H
#define INGEST_SRC_CAMERA_REPORT_H

#include "cameras.h"

void ingest_camera_report(const struct ingest_camera_view *view); /* metrics of its status */
/* Likewise, and the log: its process has said a new status. */
void ingest_camera_report_change(const struct ingest_camera_view *view,
                                 const struct ingest_camera_status *before);
void ingest_camera_report_due(const struct ingest_camera_view *view, bool due);
void ingest_camera_report_full(const struct ingest_camera_view *view);
void ingest_camera_report_forget(const struct ingest_camera_view *view); /* it is gone */
void ingest_camera_report_worker_end(size_t worker, const char *said);

#endif
