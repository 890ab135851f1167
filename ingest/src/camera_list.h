/* SPDX-License-Identifier: Apache-2.0 */
/* The cameras in memory, by name. Not thread safe: the cameras' lock. */
#ifndef INGEST_SRC_CAMERA_LIST_H
#define INGEST_SRC_CAMERA_LIST_H

#include "cameras.h"
#include "schedule.h"

struct ingest_camera {
    struct ingest_camera_view view;
    size_t worker; /* the process that talks to it */
    unsigned crashes;
    bool said; /* its worker knows whether and how it is to be recorded */
    struct ingest_schedule schedule;
    bool scheduled, open;        /* open: a window is, or there is no schedule; and there is room */
    bool full;                   /* its stream has as much as it may have, and keeps it */
    int64_t looked_s, changes_s; /* wall time of that, and until when it holds */
    int64_t heard_ms;
    uint64_t heard_bytes;
};

struct ingest_camera_list {
    struct ingest_camera **all; /* in the order of their names */
    size_t count, cap;
};

/* Where it lies, or would lie. */
size_t ingest_camera_list_at(const struct ingest_camera_list *list, struct kn_str name,
                             bool *ret_found);
/* NULL: there is none of this name. It stays where it is until it is erased. */
struct ingest_camera *ingest_camera_list_find(const struct ingest_camera_list *list,
                                              struct kn_str name);
/* An empty one for this stream, whose name is not there. */
int ingest_camera_list_insert(struct ingest_camera_list *list, const struct storage_stream *stream,
                              struct ingest_camera **ret) KN_MUSTUSE; /* -ENOMEM */
void ingest_camera_list_erase(struct ingest_camera_list *list, size_t at);
void ingest_camera_list_done(struct ingest_camera_list *list);

#endif
