/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole: what its operations share, from start to shutdown. */
#include "ingest_internal.h"
#include "seat.h"

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
    if (r < 0) {
        free(ingest);
        return r;
    }
    *ret = ingest;
    return 0;
}

void ingest_free(struct ingest *ingest)
{
    if (ingest)
        ingest_seats_free(ingest->seats);
    free(ingest);
}
