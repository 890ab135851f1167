/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fragment assembler of every ingest path: Matroska bytes in, a storage writer's fragments and
 * acknowledgements out. Fragment = leading Tags, Cluster, trailing Tags (rules of the log, 5).
 *
 * Belongs to one thread. Memory: the parser's header (≤ 4 MiB, freed at the first Cluster), one
 * Tags element (≤ 64 KiB), what must wait for a Cluster's Timestamp (≤ 128 KiB), itself and the
 * parser (18 KiB).
 */
#ifndef INGEST_SRC_ASSEMBLER_H
#define INGEST_SRC_ASSEMBLER_H

#include "ack.h"
#include "rhythm.h"

#include "ingest/ingest.h"
#include "storage/writer.h"

enum {
    INGEST_LEAD_BYTES_MAX = 128 << 10,
    INGEST_PENDING_MAX = 32, /* commits under way; then the upload waits */
    INGEST_SEAM_MS_MIN = 50, /* gap or overlap that counts (KVS, DiscontinuityMode) */
};

/* Where the stream's last fragment ended, so that the next session may join without a seam. Its
 * tracks do not end together: a picture that waits for B-frames comes after the sound that is heard
 * with it, and the next fragment begins with either. */
struct ingest_seam {
    bool known;
    int64_t from_ms, to_ms; /* ends of the track that ended first, and last; producer time */
    int64_t tolerance_ms;
    uint32_t header; /* checksum of what decoding depends on */
};

struct ingest_assembler_conf {
    const struct ingest_conf *limits; /* outlives the assembler */
    struct storage_writer *writer;    /* borrowed */
    struct ingest_seam *seam;         /* of the stream; outlives the assembler */
    bool relative;                    /* timecodes count from start_ms */
    int64_t start_ms;
    bool errors_only;      /* x-amzn-fragment-acknowledgment-required: 0 */
    bool tracks_may_pause; /* a fragment may have no frame of a declared track */
};

/* Why it ended. ack: what the client is told; text: what the log is told. */
struct ingest_fault {
    bool set;
    bool silent; /* stopped on purpose: no ERROR is due */
    struct ingest_ack ack;
    char text[KN_ERR_TEXT_BYTES_MAX];
};

struct ingest_assembler;
int ingest_assembler_new(const struct ingest_assembler_conf *conf, struct ingest_assembler **ret)
    KN_MUSTUSE;
void ingest_assembler_free(struct ingest_assembler *a); /* does not touch the writer */

/* Takes body bytes: a count; fewer than given means: feed again once the writer is writable, a
 * commit has called back, or acknowledgements were popped. -ECANCELED: see the fault. */
ssize_t ingest_assembler_feed(struct ingest_assembler *a, struct kn_bytes in) KN_MUSTUSE;
/* The body is complete. -EAGAIN: call again, as above. */
int ingest_assembler_finish(struct ingest_assembler *a) KN_MUSTUSE;
/* Silence: commits the open fragment. -EAGAIN: it is cut inside an element, -ENOENT: none is open.
 */
int ingest_assembler_close_fragment(struct ingest_assembler *a) KN_MUSTUSE;
/* The writer's callback, brought to this thread; in order. */
void ingest_assembler_committed(struct ingest_assembler *a, const struct storage_fragment *fragment,
                                int result);
/* Raises the error where the next fragment would begin; INGEST_ERROR_NONE stops without one. */
void ingest_assembler_stop_at_next(struct ingest_assembler *a, enum ingest_error error);
/* Raises it now; an open fragment is aborted. */
void ingest_assembler_fail(struct ingest_assembler *a, enum ingest_error error, const char *text);

/* The fault's true cause was found out. */
void ingest_assembler_blame(struct ingest_assembler *a, enum ingest_error error);

const struct ingest_fault *ingest_assembler_fault(const struct ingest_assembler *a);
unsigned ingest_assembler_pending(const struct ingest_assembler *a); /* commits under way */
bool ingest_assembler_is_open(const struct ingest_assembler *a);     /* a fragment is */
/* false: no fragment has come. */
bool ingest_assembler_times(const struct ingest_assembler *a, struct ingest_times *ret);
unsigned ingest_assembler_acks(const struct ingest_assembler *a); /* waiting to be popped */
bool ingest_assembler_pop(struct ingest_assembler *a, struct ingest_ack *ret);
/* Committed so far; of these, those whose pictures do not begin with a key frame. */
uint64_t ingest_assembler_fragments(const struct ingest_assembler *a);
uint64_t ingest_assembler_keyless(const struct ingest_assembler *a);

#endif
