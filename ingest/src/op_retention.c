/* SPDX-License-Identifier: Apache-2.0 */
/* UpdateDataRetention: a change by so many hours, not to so many. What is past the new age is
 * unreadable when the answer goes out; the log core removes it in its own time. */
#include "resource.h"

struct retention_edit {
    const struct ingest_UpdateDataRetention_in *in;
    struct kn_api_call *call;
};

static int edit_retention(void *ctx, const struct storage_stream *now,
                          struct storage_stream_draft *draft)
{
    const struct retention_edit *edit = ctx;
    int64_t by = edit->in->DataRetentionChangeInHours.v; /* 32 bits, at least 1 */
    if (edit->in->Operation == INGEST_UpdateDataRetention_Operation_DECREASE_DATA_RETENTION)
        by = -by;
    int64_t hours = (int64_t) now->retention_hours + by;
    if (hours < 0 || hours > STORAGE_RETENTION_HOURS_MAX)
        return kn_api_fault(edit->call, "InvalidArgumentException",
                            "The data retention would become %" PRId64
                            " hours; it must be between 0 and %d.",
                            hours, STORAGE_RETENTION_HOURS_MAX);
    draft->retention_hours = (uint32_t) hours;
    return 0;
}

int ingest_op_UpdateDataRetention(struct ingest *ingest,
                                  const struct ingest_UpdateDataRetention_in *in,
                                  struct ingest_UpdateDataRetention_out *out,
                                  struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct retention_edit edit = {in, call};
    r = storage_stream_update(ingest->storage, stream->name, in->CurrentVersion, edit_retention,
                              &edit);
    return r < 0 ? ingest_stream_change_fault(call, r) : 0;
}
