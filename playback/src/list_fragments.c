/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListFragments: fragments whose start lies in a range of server or producer time, both ends
 * included, in ascending number order (kvs-api.md §4.1, §4.2: AWS promises no order). The range is
 * clamped, never refused for reaching outside of what is stored (rules.md 32). The token carries
 * selector and position, so NextToken alone is a request; it is opaque and bound to the stream.
 */
#include "playback_api.h"
#include "playback_internal.h"

#include "core/crypto.h"

enum {
    RESULTS_DEFAULT = 100,
    RESULTS_MAX = 1000,
    TOKEN_VERSION = 1,
    TOKEN_BYTES_MAX = 256
};
static_assert(RESULTS_MAX < 4096, "a page of fragments fits a call's arena");

struct position {
    enum storage_order order;
    int64_t from_ms, to_ms;
    uint64_t after_seq;
};

/* version, order, from, to, after, the first half of the stream's id: 42 bytes, 56 characters. */
static int token_write(struct kn_api_call *call, const struct position *at,
                       const struct storage_id *stream, struct kn_str *ret)
{
    struct kn_buf plain, text;
    int r;

    kn_buf_init(&plain, TOKEN_BYTES_MAX);
    kn_buf_init(&text, TOKEN_BYTES_MAX);
    (void) kn_buf_append_byte(&plain, TOKEN_VERSION); /* errors stick */
    (void) kn_buf_append_byte(&plain, (uint8_t) at->order);
    (void) kn_buf_append_u64be(&plain, (uint64_t) at->from_ms);
    (void) kn_buf_append_u64be(&plain, (uint64_t) at->to_ms);
    (void) kn_buf_append_u64be(&plain, at->after_seq);
    (void) kn_buf_append(&plain, stream->bytes, sizeof stream->bytes);
    r = plain.error ? plain.error : kn_base64_encode(kn_buf_bytes(&plain), false, &text);
    if (!r) {
        *ret = kn_arena_str(call->arena, kn_buf_str(&text));
        r = ret->ptr ? 0 : -ENOMEM;
    }
    kn_buf_done(&plain);
    kn_buf_done(&text);
    return r;
}

static int token_decode(struct kn_bytes token, const struct storage_id *stream,
                        struct position *ret)
{
    struct kn_reader reader = kn_reader_of(token);
    uint8_t version = 0, order = 0;
    uint64_t from = 0, to = 0, after = 0;
    struct kn_bytes id;

    if (kn_read_u8(&reader, &version) < 0 || version != TOKEN_VERSION ||
        kn_read_u8(&reader, &order) < 0 || kn_read_u64be(&reader, &from) < 0 ||
        kn_read_u64be(&reader, &to) < 0 || kn_read_u64be(&reader, &after) < 0 ||
        kn_read_bytes(&reader, sizeof stream->bytes, &id) < 0 || kn_reader_left(&reader))
        return -EINVAL;
    if (order != STORAGE_BY_SERVER_TS && order != STORAGE_BY_PRODUCER_TS)
        return -EINVAL;
    if (memcmp(id.ptr, stream->bytes, sizeof stream->bytes) != 0)
        return -EINVAL;
    *ret = (struct position){(enum storage_order) order, (int64_t) from, (int64_t) to, after};
    return 0;
}

static int token_read(struct kn_str token, const struct storage_id *stream, struct position *ret)
{
    struct kn_buf plain;
    int r;

    kn_buf_init(&plain, TOKEN_BYTES_MAX);
    r = kn_base64_decode(token, false, &plain);
    if (!r)
        r = token_decode(kn_buf_bytes(&plain), stream, ret);
    kn_buf_done(&plain);
    return r;
}

static int read_position(const struct playback_ListFragments_in *in, struct kn_api_call *call,
                         const struct storage_id *stream, struct position *ret)
{
    const struct playback_ListFragments_FragmentSelector *selector = in->FragmentSelector;

    if (in->NextToken.ptr) { /* a paginator sends the selector again beside it: the token wins */
        if (token_read(in->NextToken, stream, ret) < 0)
            return kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.");
        return 0;
    }
    if (!selector)
        return kn_api_fault(call, "InvalidArgumentException",
                            "FragmentSelector is needed when there is no NextToken.");
    *ret = (struct position){
        .order = selector->FragmentSelectorType == PLAYBACK_FragmentSelectorType_PRODUCER_TIMESTAMP
                     ? STORAGE_BY_PRODUCER_TS
                     : STORAGE_BY_SERVER_TS,
        .from_ms = selector->TimestampRange->StartTimestamp.v,
        .to_ms = selector->TimestampRange->EndTimestamp.v,
    };
    if (ret->to_ms < ret->from_ms)
        return kn_api_fault(call, "InvalidArgumentException",
                            "EndTimestamp must not be before StartTimestamp.");
    return 0;
}

static int describe(const struct storage_fragment *f, struct kn_api_call *call,
                    struct playback_Fragment *ret)
{
    char number[STORAGE_NUMBER_TEXT_BYTES];

    storage_number_format(&f->number, number);
    *ret = (struct playback_Fragment){
        .FragmentNumber = kn_arena_str(call->arena, kn_str_from(number)),
        .FragmentSizeInBytes = {true, (int64_t) f->bytes    },
        .ProducerTimestamp = {true, f->producer_ts_ms     },
        .ServerTimestamp = {true, f->number.server_ts_ms},
 /* last frame's time − first frame's time: as AWS lists it, without the last duration */
        .FragmentLengthInMilliseconds = {true, f->duration_ms        },
    };
    return ret->FragmentNumber.ptr ? 0 : -ENOMEM;
}

/* One page: up to max fragments, and whether more follow. */
static int list_page(struct playback *playback, const struct storage_stream *stream,
                     struct position *at, size_t max, struct playback_ListFragments_out *out,
                     struct kn_api_call *call)
{
    struct storage_query query = {
        .order = at->order,
        .after_seq = at->after_seq,
        .from_ms = at->from_ms,
        .to_ms = at->to_ms,
    };
    struct storage_fragment *found = kn_arena_alloc(call->arena, (max + 1) * sizeof *found);
    struct playback_Fragment *items = kn_arena_alloc(call->arena, (max + 1) * sizeof *items);
    size_t count = 0;
    int r;

    if (!found || !items)
        return -ENOMEM;
    r = storage_find(playback->storage, &stream->id, &query, found, max + 1, &count, false);
    if (r < 0)
        return r;
    out->Fragments.set = true;
    out->Fragments.items = items;
    out->Fragments.count = kn_min_u64(count, max);
    for (size_t i = 0; i < out->Fragments.count; i++)
        if ((r = describe(&found[i], call, &items[i])) < 0)
            return r;
    if (count <= max)
        return 0;
    at->after_seq = found[max - 1].number.seq;
    return token_write(call, at, &stream->id, &out->NextToken);
}

int playback_op_ListFragments(struct playback *playback, const struct playback_ListFragments_in *in,
                              struct playback_ListFragments_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    size_t max = in->MaxResults.set ? (size_t) in->MaxResults.v : RESULTS_DEFAULT;
    struct position at = {0};
    int r = playback_stream_find(playback, call, in->StreamName, in->StreamARN, &stream);

    if (r < 0)
        return r;
    r = read_position(in, call, &stream->id, &at);
    if (r < 0)
        return r;
    if (!stream->retention_hours) { /* nothing is stored; no fault is modelled for it here */
        out->Fragments.set = true;
        return 0;
    }
    r = list_page(playback, stream, &at, max, out, call);
    return r == -ENOENT ? playback_stream_not_found(call) : r; /* deleted meanwhile */
}
