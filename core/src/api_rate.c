/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often an operation may be called, as its file says after AWS's documentation: by the account,
 * and on one stream. Only where the server was asked to keep AWS's limits. Streams share a table by
 * a hash: where two meet, the newer one has the place, and the older one's bucket is full again.
 * Any thread.
 */
#include "api_private.h"

#include <stdlib.h>

#include "core/bucket.h"
#include "core/thread.h"

enum {
    SLOTS = 4096
};

struct kn_api_rates {
    struct kn_lock lock; /* a leaf: what follows */
    struct kn_bucket of_account[KN_API_OPERATIONS_MAX];
    struct {
        uint64_t key;
        struct kn_bucket bucket;
    } of_stream[SLOTS];
};

int kn_api_rates_new(struct kn_api_rates **ret)
{
    struct kn_api_rates *rates = calloc(1, sizeof *rates);
    if (!rates)
        return -ENOMEM;
    kn_lock_init(&rates->lock);
    *ret = rates;
    return 0;
}

void kn_api_rates_free(struct kn_api_rates *rates)
{
    if (!rates)
        return;
    kn_lock_done(&rates->lock);
    free(rates);
}

/* FNV-1a. */
static uint64_t key_of(size_t operation, struct kn_str stream)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ operation;
    for (size_t i = 0; i < stream.len; i++)
        hash = (hash ^ (uint8_t) stream.ptr[i]) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

static bool take(struct kn_bucket *bucket, unsigned per_s, int64_t now_ns)
{
    const struct kn_rate rate = {per_s, per_s};
    return kn_bucket_take(bucket, &rate, 1, now_ns);
}

static bool take_of_stream(struct kn_api_rates *rates, size_t operation, struct kn_str stream,
                           unsigned per_s, int64_t now_ns)
{
    uint64_t key = key_of(operation, stream);
    size_t at = (size_t) (key ^ key >> 32) % SLOTS;
    if (rates->of_stream[at].key != key)
        rates->of_stream[at].bucket = (struct kn_bucket){0};
    rates->of_stream[at].key = key;
    return take(&rates->of_stream[at].bucket, per_s, now_ns);
}

static int exceeded(struct kn_api_call_state *state, struct kn_str stream)
{
    const struct kn_api_operation *op = state->entry->op;
    const char *account = state->api->conf.identity->account;
    if (kn_api_is_aws(state))
        return stream.len
                   ? kn_api_raise(state, 400, "LimitExceededException",
                                  "Rate exceeded for stream " KN_STR_FMT " under account %s.",
                                  KN_STR_ARG(stream), account)
                   : kn_api_raise(state, 400, "LimitExceededException",
                                  "Rate exceeded for account %s.", account);
    return stream.len ? kn_api_raise(state, 400, "ClientLimitExceededException",
                                     "Limit exceeded on number of requests for %s API for "
                                     "resource '" KN_STR_FMT "'",
                                     op->name, KN_STR_ARG(stream))
                      : kn_api_raise(state, 400, "ClientLimitExceededException",
                                     "Limit exceeded on number of requests for %s API", op->name);
}

int kn_api_rates_check(struct kn_api_call_state *state)
{
    struct kn_api_rates *rates = state->api->rates;
    const struct kn_api_operation *op = state->entry->op;
    if (!rates || (!op->calls_per_s && !op->stream_calls_per_s))
        return 0;
    size_t index = (size_t) (state->entry - state->api->entries);
    int64_t now_ns = kn_mono_ns(state->api->conf.clock);
    kn_assert(index < state->api->entry_count);
    kn_lock_take(&rates->lock);
    bool stream_may = !op->stream_calls_per_s || !state->resource.len ||
                      take_of_stream(rates, index, state->resource, op->stream_calls_per_s, now_ns);
    bool account_may =
        !stream_may || !op->calls_per_s || take(&rates->of_account[index], op->calls_per_s, now_ns);
    kn_lock_give(&rates->lock);
    if (stream_may && account_may)
        return 0;
    return exceeded(state, stream_may ? (struct kn_str){NULL, 0} : state->resource);
}
