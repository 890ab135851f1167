/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole: what its operations share, from start to shutdown. */
#include "camera_probe.h"
#include "cameras.h"
#include "ingest_internal.h"
#include "rtsp.h"
#include "seat.h"
#include "upload_health.h"

int ingest_new(struct storage *storage, const struct ingest_conf *conf,
               const struct ingest_endpoints *endpoints, const struct kn_api_identity *identity,
               struct storage_event_sender *events, struct kn_clock *clock, struct ingest **ret)
{
    struct ingest *ingest = malloc(sizeof *ingest);
    if (!ingest)
        return -ENOMEM;
    *ingest = (struct ingest){
        .storage = storage,
        .conf = *conf,
        .endpoints = *endpoints,
        .identity = identity,
        .events = events,
        .clock = clock,
    };
    int r = ingest_seats_new(&ingest->seats);
    if (r == 0)
        r = ingest_healths_new(&ingest->healths);
    if (r == 0)
        r = ingest_cameras_new(storage, conf, clock, &ingest->cameras);
    if (r == 0)
        r = ingest_probes_new(clock, &ingest->probes);
    if (r < 0) {
        ingest_free(ingest);
        return r;
    }
    *ret = ingest;
    return 0;
}

void ingest_free(struct ingest *ingest)
{
    if (!ingest)
        return;
    ingest_probes_free(ingest->probes);
    ingest_rtsp_stop(ingest);
    ingest_cameras_free(ingest->cameras);
    if (ingest->seats)
        ingest_seats_free(ingest->seats);
    ingest_healths_free(ingest->healths);
    free(ingest);
}

int ingest_cameras_start(struct ingest *ingest, const struct ingest_cameras_conf *conf,
                         struct kn_err *err)
{
    const struct ingest_camera_program program = {.path = conf->program, .dir = conf->dir};
    if (ingest_probes_run(ingest->probes, &program) < 0)
        return kn_fail(err, -ENOMEM, "cameras");
    return ingest_cameras_run(ingest->cameras, conf, err);
}

void ingest_cameras_stop(struct ingest *ingest)
{
    ingest_probes_end(ingest->probes);
    ingest_cameras_end(ingest->cameras);
}

int ingest_rtsp_start(struct ingest *ingest, const struct ingest_rtsp_conf *conf,
                      struct kn_err *err)
{
    int r = ingest_rtsp_new(&ingest->conf, conf, ingest->clock, &ingest->rtsp);
    return r < 0 ? kn_fail(err, r, "the RTSP listener cannot be started: %s", kn_errname(r)) : 0;
}

int ingest_rtsp_renew(struct ingest *ingest, struct kn_str pem)
{
    return ingest_rtsp_take(ingest->rtsp, pem);
}

void ingest_rtsp_stop(struct ingest *ingest)
{
    ingest_rtsp_free(ingest->rtsp);
    ingest->rtsp = NULL;
}
