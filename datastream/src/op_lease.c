/* SPDX-License-Identifier: Apache-2.0 */
/* Leases of an application's workers: operations of our own, under /kinema/v1/. */
#include "datastream_internal.h"
#include "lease.h"

#include <errno.h>

enum {
    LIST_DEFAULT = 1000
};

static int text_of(struct kn_api_call *call, struct kn_str text, struct kn_str *ret)
{
    if (text.len == 0)
        return 0;
    *ret = kn_arena_str(call->arena, text);
    return ret->ptr ? 0 : -ENOMEM;
}

static struct kn_api_i64 version_of(uint64_t version)
{
    return (struct kn_api_i64){true, (int64_t) version};
}

struct showing {
    struct kn_api_call *call;
    struct datastream_Lease *leases;
    size_t count, max;
    bool more;
};

static int show(void *ctx, const struct datastream_lease *lease)
{
    struct showing *showing = ctx;
    if (showing->count == showing->max) {
        showing->more = true;
        return 0;
    }
    struct datastream_Lease *shown = &showing->leases[showing->count++];
    *shown = (struct datastream_Lease){
        .Version = version_of(lease->version), .CreationTime = {true, lease->created_ms}
    };
    if (text_of(showing->call, lease->key, &shown->LeaseKey) < 0 ||
        text_of(showing->call, lease->owner, &shown->Owner) < 0 ||
        text_of(showing->call, lease->checkpoint, &shown->Checkpoint) < 0)
        return -ENOMEM;
    return 0;
}

int datastream_op_ListLeases(struct datastream *ds, const struct datastream_ListLeases_in *in,
                             struct datastream_ListLeases_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct showing showing = {
        .call = call, .max = (size_t) (in->MaxResults.set ? in->MaxResults.v : LIST_DEFAULT)};
    showing.leases = kn_arena_alloc(call->arena, showing.max * sizeof(*showing.leases));
    if (!showing.leases)
        return -ENOMEM;
    struct kn_str after = in->AfterLeaseKey.ptr ? in->AfterLeaseKey : KN_STR("");
    r = datastream_lease_list(storage_meta_of(ds->storage), &stream->id, in->ApplicationName, after,
                              showing.max + 1, show, &showing);
    out->Leases = (struct datastream_Lease_list){true, showing.count, showing.leases};
    out->HasMoreLeases = (struct kn_api_bool){true, showing.more};
    return r;
}

/* A key may be there once only: of two changes of one row the second has not seen the first. */
static int take(const struct datastream_UpdateLeases_in *in, struct kn_api_call *call,
                struct datastream_lease_change *changes)
{
    for (size_t i = 0; i < in->Leases.count; i++) {
        const struct datastream_LeaseUpdate *update = &in->Leases.items[i];
        for (size_t j = 0; j < i; j++) {
            if (kn_str_eq(update->LeaseKey, in->Leases.items[j].LeaseKey))
                return kn_api_fault(call, "InvalidArgumentException",
                                    "The lease " KN_STR_FMT " is there twice.",
                                    KN_STR_ARG(update->LeaseKey));
        }
        changes[i] = (struct datastream_lease_change){
            .lease = {.key = update->LeaseKey,
                      .owner = update->Owner.ptr ? update->Owner : KN_STR(""),
                      .checkpoint = update->Checkpoint.ptr ? update->Checkpoint : KN_STR(""),
                      .version = update->Version.set ? (uint64_t) update->Version.v : 0},
            .remove = update->Remove.v,
        };
    }
    return 0;
}

int datastream_op_UpdateLeases(struct datastream *ds, const struct datastream_UpdateLeases_in *in,
                               struct datastream_UpdateLeases_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    size_t count = in->Leases.count;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct datastream_lease_change *changes = kn_arena_alloc(call->arena, count * sizeof(*changes));
    struct datastream_LeaseResult *results = kn_arena_alloc(call->arena, count * sizeof(*results));
    if (!changes || !results)
        return -ENOMEM;
    r = take(in, call, changes);
    if (r == 0)
        r = datastream_lease_change_all(storage_meta_of(ds->storage), &stream->id,
                                        in->ApplicationName, kn_wall_ms(ds->clock), changes, count);
    if (r == -EDQUOT)
        return kn_api_fault(call, "ClientLimitExceededException",
                            "A stream has at most %d applications, each of at most %d leases.",
                            DATASTREAM_LEASE_APPLICATIONS_MAX, DATASTREAM_LEASES_MAX);
    for (size_t i = 0; i < count; i++) {
        results[i].LeaseKey = changes[i].lease.key;
        results[i].Changed = (struct kn_api_bool){true, changes[i].result == 0};
        if (changes[i].result == 0 && !changes[i].remove)
            results[i].Version = version_of(changes[i].lease.version);
    }
    out->Leases = (struct datastream_LeaseResult_list){true, count, results};
    return r;
}
