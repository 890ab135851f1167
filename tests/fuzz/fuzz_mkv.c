/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Matroska parser under hostile bytes. The first byte chooses how the rest is split. Whatever
 * comes: no overrun, every byte given out once, and the same events as in one piece.
 */
#include "core/mkv.h"

struct run {
    uint64_t raw_bytes, hash;
    int result;
};

static void hash_add(struct run *run, uint64_t v)
{
    run->hash = (run->hash ^ v) * 0x100000001b3u;
}

static void take_event(struct run *run, const struct kn_mkv_event *ev)
{
    run->raw_bytes += ev->raw.len;
    if (ev->kind == KN_MKV_EVENT_MORE || ev->kind == KN_MKV_EVENT_DATA)
        return;
    hash_add(run, (uint64_t) ev->kind);
    hash_add(run, ev->id);
    hash_add(run, ev->offset);
    hash_add(run, ev->value);
    hash_add(run, run->raw_bytes);
    if (ev->kind == KN_MKV_EVENT_HEADER) {
        struct kn_mkv_header header;
        struct kn_err err;
        if (kn_mkv_header_parse(ev->raw, &header, &err) == 0)
            kn_assert(header.track_count > 0 && header.track_count <= KN_MKV_TRACKS_MAX);
    }
    if (ev->kind == KN_MKV_EVENT_BLOCK) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < ev->block.lace_count; i++)
            sum += ev->block.lace_bytes[i];
        kn_assert(sum == ev->block.frame_bytes);
        kn_assert(ev->block.lace_count <= KN_MKV_LACES_MAX);
    }
}

static struct run parse(struct kn_bytes in, unsigned step)
{
    struct run run = {.hash = 0xcbf29ce484222325u};
    struct kn_mkv_parser *p;
    struct kn_mkv_event ev;
    struct kn_err err;
    uint64_t taken_all = 0;
    if (kn_mkv_parser_new(&p) < 0)
        return run;
    while (in.len && run.result == 0) {
        struct kn_bytes piece = {in.ptr, kn_min_u64(in.len, step ? step : in.len)};
        do {
            size_t taken = 0;
            run.result = kn_mkv_parser_next(p, piece, &taken, &ev, &err);
            if (run.result < 0)
                break;
            kn_assert(taken <= piece.len);
            taken_all += taken;
            take_event(&run, &ev);
            kn_assert(run.raw_bytes <= taken_all);
            piece.ptr += taken;
            piece.len -= taken;
            in.ptr += taken;
            in.len -= taken;
        } while (ev.kind != KN_MKV_EVENT_MORE);
    }
    while (run.result == 0) {
        run.result = kn_mkv_parser_finish(p, &ev, &err);
        if (run.result == 0)
            take_event(&run, &ev);
        if (run.result == 0 && ev.kind == KN_MKV_EVENT_END)
            break;
    }
    kn_mkv_parser_free(p);
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct kn_bytes in = {data + 1, size - 1};
    struct run whole = parse(in, 0), split = parse(in, 1 + data[0] % 17);
    kn_assert(whole.result == split.result);
    kn_assert(whole.hash == split.hash);
    return 0;
}
