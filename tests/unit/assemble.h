/* SPDX-License-Identifier: Apache-2.0 */
/* One assembler over the fake writer, and the acknowledgements it gave as one readable text. */
#ifndef TESTS_UNIT_ASSEMBLE_H
#define TESTS_UNIT_ASSEMBLE_H

#include "assembler.h"
#include "fake_writer.h"
#include "mkv_make.h"

struct rig {
    struct ingest_conf limits;
    struct ingest_seam seam;
    struct ingest_assembler *a;
    struct kn_buf in; /* what the test will feed */
    struct kn_buf
        acks; /* "B100 R100 P100 …": letter and timecode, '#' number; errors "E4006@100" */
};

static inline struct ingest_conf KN_UNUSED rig_limits(void)
{
    return (struct ingest_conf){
        .fragment_bytes_max = 50 << 20,
        .fragment_ms_max = 20000,
        .tracks_max = 3,
        .tags_max = 10,
        .frames_max = 10000,
    };
}

static inline void KN_UNUSED rig_open(struct rig *rig, bool relative, int64_t start_ms)
{
    struct ingest_assembler_conf conf = {.limits = &rig->limits,
                                         .writer = fake_writer_get(),
                                         .seam = &rig->seam,
                                         .relative = relative,
                                         .start_ms = start_ms};
    kn_assert(ingest_assembler_new(&conf, &rig->a) == 0);
}

static inline void KN_UNUSED rig_start(struct rig *rig)
{
    *rig = (struct rig){.limits = rig_limits()};
    kn_buf_init(&rig->in, MIB(128));
    kn_buf_init(&rig->acks, MIB(1));
    fake_writer_start();
    rig_open(rig, false, 0);
}

static inline void KN_UNUSED rig_stop(struct rig *rig)
{
    ingest_assembler_free(rig->a);
    kn_buf_done(&rig->in);
    kn_buf_done(&rig->acks);
    fake_writer_stop();
}

static inline void KN_UNUSED rig_collect(struct rig *rig)
{
    struct ingest_ack ack;
    while (ingest_assembler_pop(rig->a, &ack)) {
        kn_buf_append_byte(&rig->acks, (uint8_t) "BRPEI"[ack.type]);
        kn_buf_printf(&rig->acks, "%" PRIu64 "#%" PRIu64 " ", ack.timecode, ack.number.seq);
    }
}

/* Brings every finished commit back with the result. */
static inline void KN_UNUSED rig_complete(struct rig *rig, int result)
{
    struct storage_fragment done;
    while (fake_writer_complete(&done))
        ingest_assembler_committed(rig->a, &done, result);
    rig_collect(rig);
}

/* Feeds rig->in from `from` on, in pieces of step bytes; commits come back at once. Returns 0 or
 * -ECANCELED. */
static inline int KN_UNUSED rig_feed(struct rig *rig, size_t step)
{
    struct kn_bytes left = kn_buf_bytes(&rig->in);
    while (left.len) {
        size_t piece = (size_t) kn_min_u64(step ? step : left.len, left.len);
        ssize_t n = ingest_assembler_feed(rig->a, (struct kn_bytes){left.ptr, piece});
        rig_complete(rig, 0);
        if (n < 0)
            return (int) n;
        left.ptr += n;
        left.len -= (size_t) n;
        if ((size_t) n < piece && fake.room != UINT64_MAX)
            fake.room = 1000; /* the disk has caught up */
    }
    kn_buf_clear(&rig->in);
    return 0;
}

static inline int KN_UNUSED rig_finish(struct rig *rig)
{
    int r;
    while ((r = ingest_assembler_finish(rig->a)) == -EAGAIN) {
        rig_complete(rig, 0);
        if (fake.room != UINT64_MAX)
            fake.room = 1000;
    }
    rig_complete(rig, 0);
    return r;
}

static inline const char *KN_UNUSED rig_acks(struct rig *rig)
{
    kn_buf_append_byte(&rig->acks, 0);
    rig->acks.len--;
    return (const char *) rig->acks.ptr;
}

/* "4004@100#7" : id, timecode or '-', number or '-'. */
static inline const char *KN_UNUSED rig_fault(struct rig *rig)
{
    static char text[96];
    const struct ingest_fault *f = ingest_assembler_fault(rig->a);
    if (!f->set)
        return "none";
    char timecode[32] = "-", number[32] = "-";
    if (f->ack.has_timecode)
        snprintf(timecode, sizeof timecode, "%llu", (unsigned long long) f->ack.timecode);
    if (f->ack.has_number)
        snprintf(number, sizeof number, "%llu", (unsigned long long) f->ack.number.seq);
    snprintf(text, sizeof text, "%d@%s#%s", (int) f->ack.error, timecode, number);
    return text;
}

/* A fragment of three frames 40 ms apart. */
static inline void KN_UNUSED make_fragment(struct kn_buf *b, uint64_t timecode)
{
    make_cluster(b, timecode);
    make_block(b, 1, 0, true, 100, 'k');
    make_block(b, 1, 40, false, 20, 'p');
    make_block(b, 1, 80, false, 30, 'p');
}

#endif
