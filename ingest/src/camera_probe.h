/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at cameras, each by a process (kinema-camera probe) that ends by itself; its answer stays
 * for a while. No thread waits for one: it is looked after when somebody asks.
 */
#ifndef INGEST_SRC_CAMERA_PROBE_H
#define INGEST_SRC_CAMERA_PROBE_H

#include "camera_settings.h"
#include "camera_worker.h"

#include "core/buf.h"

struct ingest_probes;
int ingest_probes_new(struct kn_clock *clock, struct ingest_probes **ret) KN_MUSTUSE;
int ingest_probes_run(struct ingest_probes *probes, const struct ingest_camera_program *program)
    KN_MUSTUSE; /* they are copied */
/* No more are started, and those that run are ended. Blocks for a moment. */
void ingest_probes_end(struct ingest_probes *probes);
void ingest_probes_free(struct ingest_probes *probes);

/* As ingest_probe_start, ingest_probe_read and ingest_probe_cancel. files: below this folder files
 * may be looked at; NULL: none. */
int ingest_probes_start(struct ingest_probes *probes, const struct ingest_camera_source *source,
                        const char *files, struct kn_str owner, char *ret_id) KN_MUSTUSE;
int ingest_probes_read(struct ingest_probes *probes, struct kn_str id, struct kn_str owner,
                       struct kn_buf *dst) KN_MUSTUSE;
int ingest_probes_cancel(struct ingest_probes *probes, struct kn_str id, struct kn_str owner)
    KN_MUSTUSE;

#endif
