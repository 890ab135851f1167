/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage in memory behind storage/fragment.h and the finding half of storage/stream.h, for tests
 * of what reads fragments. A test links this file before the storage module, so these symbols win.
 *
 *   struct storage *storage = fake_storage_new(&clock.clock);
 *   struct storage_id id = fake_storage_stream(storage, "cam", 24);
 *   fake_storage_load(storage, &id, &capture, &(struct fake_load){.server_ts_ms = T});
 *
 * Live: begin, part (each ends at a whole element), commit or abort. Not thread safe.
 */
#ifndef TESTS_UNIT_FAKE_STORAGE_H
#define TESTS_UNIT_FAKE_STORAGE_H

#include "capture.h"

#include "storage/fragment.h"
#include "storage/stream.h"

struct storage *fake_storage_new(struct kn_clock *clock);
void fake_storage_free(struct storage *storage); /* fails the test if references are still held */
struct storage_id fake_storage_stream(struct storage *storage, const char *name,
                                      uint32_t retention_hours);

struct fake_load {
    int64_t server_ts_ms;      /* of the first fragment; 0: the clock's time */
    int64_t server_step_ms;    /* between fragments; 0: by their timecodes */
    int64_t producer_start_ms; /* added to the timecodes: RELATIVE */
    size_t first, count;       /* fragments to take; count 0: all whole ones */
};
/* Stores the whole fragments of a capture as one session. Returns how many. */
size_t fake_storage_load(struct storage *storage, const struct storage_id *stream,
                         const struct capture *capture, const struct fake_load *how);

/* A fragment in flight, with the header of a capture. */
struct storage_fragment fake_storage_begin(struct storage *storage, const struct storage_id *stream,
                                           const struct capture *capture, uint64_t timecode,
                                           int64_t producer_ts_ms);
void fake_storage_part(struct storage *storage, const struct storage_id *stream, const void *bytes,
                       size_t len);
/* All its bytes are here, the flush is due; another may begin. */
void fake_storage_complete(struct storage *storage, const struct storage_id *stream);
/* The flush is done, of the oldest that is in flight. */
void fake_storage_commit(struct storage *storage, const struct storage_id *stream,
                         const struct capture_fragment *shape);
void fake_storage_abort(struct storage *storage, const struct storage_id *stream);
/* All of one capture's fragment: begin, a part an element, commit. Returns its number. */
struct storage_number fake_storage_send(struct storage *storage, const struct storage_id *stream,
                                        const struct capture *capture, size_t index);

/* Everything up to this sequence is gone. */
void fake_storage_trim(struct storage *storage, const struct storage_id *stream, uint64_t upto_seq);
/* The next fragment's sequence: a new session jumps. */
void fake_storage_jump(struct storage *storage, const struct storage_id *stream, uint64_t next_seq);
void fake_storage_set_dir(struct storage *storage, const char *dir); /* borrowed */
void fake_storage_set_deleting(struct storage *storage, const struct storage_id *stream);

/* Cold: every call with nowait returns -EAGAIN. fail_read: what storage_read returns once offset
 * at_least is reached (0: off). */
void fake_storage_set_cold(struct storage *storage, bool cold);
void fake_storage_fail_read(struct storage *storage, int error, uint64_t at_least);
size_t fake_storage_blocking_calls(struct storage *storage); /* made with nowait false */

#endif
