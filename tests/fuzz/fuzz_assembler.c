/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fragment assembler under hostile bytes, over the writer in memory, which asserts order and
 * whole marks. The first byte chooses the split and how often the writer has no room.
 */
#include "../unit/assemble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The writer's own copies of frames and fragments bound what one input can cost. */
static bool is_too_much(void)
{
    return fake.count + 8 > FAKE_FRAGMENTS_MAX;
}

static int feed(struct rig *rig, struct kn_bytes in, size_t step)
{
    while (in.len && !is_too_much()) {
        size_t piece = (size_t) kn_min_u64(in.len, step);
        ssize_t n = ingest_assembler_feed(rig->a, (struct kn_bytes){in.ptr, piece});
        rig_complete(rig, 0);
        kn_buf_clear(&rig->acks);
        if (n < 0)
            return (int) n;
        kn_assert((size_t) n <= piece);
        in.ptr += n;
        in.len -= (size_t) n;
        if ((size_t) n < piece && fake.room != UINT64_MAX)
            fake.room = 64;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig rig;
    if (size < 2)
        return 0;
    rig_start(&rig);
    rig.limits.fragment_bytes_max = 1 << 20;
    rig.limits.strict_frame_times = data[0] & 1;
    ingest_assembler_free(rig.a);
    rig_open(&rig, data[0] & 2, data[0] & 2 ? 1795378995092 : 0);
    if (data[0] & 4)
        fake.room = 32;
    int r = feed(&rig, (struct kn_bytes){data + 2, size - 2}, 1 + data[1]);
    if (r == 0 && data[0] & 8)
        r = ingest_assembler_close_fragment(rig.a) == -ECANCELED ? -ECANCELED : 0;
    if (r == 0 && !is_too_much())
        r = rig_finish(&rig);
    rig_complete(&rig, data[0] & 16 ? -EIO : 0);
    kn_assert(r == 0 || r == -ECANCELED);
    kn_assert(r == 0 || ingest_assembler_fault(rig.a)->set);
    kn_assert(r == 0 || fake_writer_count(FAKE_OPEN) == 0);
    for (size_t i = 0; i < fake.count; i++) {
        const struct storage_commit *c = &fake.fragments[i].commit;
        kn_assert(c->duration_ms <= c->full_duration_ms);
    }
    rig_stop(&rig);
    return 0;
}
