/* SPDX-License-Identifier: Apache-2.0 */
/* How long records are kept: longer by one operation, shorter by another, as with AWS. */
#include "state.h"

#include <errno.h>

struct edit {
    struct kn_api_call *call;
    struct kn_str name;
    int64_t hours;
    bool longer;
};

static int change(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    int64_t now = draft->retention_hours;
    if (edit->longer ? now > edit->hours : now < edit->hours)
        return kn_api_fault(edit->call, "InvalidArgumentException",
                            "Requested retention period (%lld hours) for stream " KN_STR_FMT
                            " can not be %s than existing retention period (%lld hours). Use "
                            "%sRetentionPeriod API.",
                            (long long) edit->hours, KN_STR_ARG(edit->name),
                            edit->longer ? "shorter" : "longer", (long long) now,
                            edit->longer ? "Decrease" : "Increase");
    draft->retention_hours = edit->hours;
    return 0;
}

static int run(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
               struct kn_str arn, int64_t hours, bool longer)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, name, arn, &stream);
    if (r < 0)
        return r;
    if (hours < DATASTREAM_RETENTION_HOURS_MIN)
        return kn_api_fault(call, "InvalidArgumentException",
                            "Minimum allowed retention period is %d hours. Requested retention "
                            "period (%lld hours) is too short.",
                            DATASTREAM_RETENTION_HOURS_MIN, (long long) hours);
    struct edit edit = {call, stream->name, hours, longer};
    return datastream_update(ds, call, stream, change, &edit);
}

int datastream_op_IncreaseStreamRetentionPeriod(
    struct datastream *ds, const struct datastream_IncreaseStreamRetentionPeriod_in *in,
    struct datastream_IncreaseStreamRetentionPeriod_out *out KN_UNUSED, struct kn_api_call *call)
{
    return run(ds, call, in->StreamName, in->StreamARN, in->RetentionPeriodHours.v, true);
}

int datastream_op_DecreaseStreamRetentionPeriod(
    struct datastream *ds, const struct datastream_DecreaseStreamRetentionPeriod_in *in,
    struct datastream_DecreaseStreamRetentionPeriod_out *out KN_UNUSED, struct kn_api_call *call)
{
    return run(ds, call, in->StreamName, in->StreamARN, in->RetentionPeriodHours.v, false);
}
