/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model that a storage is held against. A world is a data folder on the simulated disk and
 * notes in shared memory of all that was sent, acknowledged, trimmed and deleted. It lives several
 * lives: in each a child process opens the storage, works (workload.c), and ends: in order, killed
 * or by a power cut, perhaps with failing calls. Between lives a judge (judge.c) opens what is
 * left and compares: acknowledged ⊆ found ⊆ sent, bytes and frames identical, order kept, nothing
 * deleted or trimmed comes back, nothing under a legal hold goes, numbers never used twice, `kinema
 * check` content.
 */
#ifndef TESTS_FAULT_WORLD_H
#define TESTS_FAULT_WORLD_H

#include "capture.h"
#include "mutant.h"
#include "sim_disk.h"
#include "temp_dir.h"

#include "core/clock.h"
#include "storage/stream.h"
#include "storage/writer.h"

enum {
    WORLD_NAMES = 3, /* s0 … s2; a deleted one comes again as a new stream */
    WORLD_STREAMS_MAX = 32,
    WORLD_NOTES_MAX = 2000,
    WORLD_MEDIA_MAX = 400,
    WORLD_MEDIA_FRAGMENTS = 8,
    WORLD_HOLDS = 3, /* of a stream */
};

struct world_note { /* a fragment that was begun and sent */
    struct storage_number number;
    uint64_t ordinal; /* once acknowledged */
    uint16_t stream, media, fragment;
    bool acked;
    bool memory; /* retention 0: not promised */
    bool gone;   /* seen to be away: must stay so */
};

struct world_hold { /* a legal hold, named by its place */
    enum {
        WORLD_HOLD_NONE,  /* it was never set, or its lifting was acknowledged */
        WORLD_HOLD_MAYBE, /* a call about it did not end well, or not at all */
        WORLD_HOLD_SET,   /* acknowledged */
    } state;
    int64_t from_ms, to_ms;
    int64_t promised_ms; /* what is older may have been trimmed before it was set */
};

struct world_stream {
    struct storage_id id;
    uint8_t name;
    bool deleted;                  /* the deletion was acknowledged */
    bool delete_asked;             /* it may have happened */
    int64_t kept_ms_min;           /* the shortest retention it ever had */
    uint64_t seq_max, ordinal_max; /* shown so far; ordinal + 1 */
    int64_t server_ts_ms_max;
    struct world_hold holds[WORLD_HOLDS];
};

struct world_notes { /* shared between the processes */
    uint32_t stream_count, note_count, media_count;
    struct world_stream streams[WORLD_STREAMS_MAX];
    struct world_note notes[WORLD_NOTES_MAX];
    int64_t wall_ms;
    uint32_t found, acked, lives;
    bool may_leak; /* a call failed: a file may stay behind, said as unknown */
    char failure[400];
};

enum world_flush { /* how groups of chunks are flushed */
    WORLD_FLUSH_BY_SEED,
    WORLD_FLUSH_FILES,
    WORLD_FLUSH_VOLUME,
};

struct world {
    struct temp_dir dir;
    struct sim_disk *disk;
    struct world_notes *notes;
    enum mutant mutant;
    enum world_flush flush;
    unsigned fails; /* in each life of a round a call of these kinds does, once; 0: as it comes */
    uint64_t linger_ms; /* of this process */
    bool flush_volume;  /* likewise */
};

struct world world_new(void);
void world_done(struct world *w);
void world_fresh(struct world *w);

/* What a life does; from a seed by work_of. */
struct world_work {
    uint64_t seed;
    unsigned steps;
    bool resend; /* first all that is not acknowledged is sent again, by its producer */
    bool burst;  /* many fragments to one flush */
    bool small;  /* one stream, no retention, no deletion */
    bool close;  /* in order, at the end */
};

/* Each runs in a child of its own; returns its exit status, SIM_EXIT_…, or 128 + a signal. */
int world_live(struct world *w, const struct world_work *work);
int world_reopen(struct world *w, uint64_t seed); /* opens and closes: recovery */
int world_judge(struct world *w);                 /* 0: all is well; else notes.failure says why */

/* Within a child. */
struct storage_conf world_conf(void);
int world_open(struct world *w, struct kn_fake_clock *clock, struct storage **ret,
               struct storage_report *ret_report);
struct capture world_media(unsigned media); /* made from its number alone */
void world_begin_process(struct world *w, uint64_t seed);
KN_NORETURN void world_broken(struct world *w, const char *fmt, ...) KN_PRINTF(2, 3);
struct world_note *world_note_of(struct world *w, unsigned stream,
                                 const struct storage_number *number);
/* A hold that was acknowledged keeps it, whatever retention says. */
bool world_is_held(const struct world *w, const struct world_note *note);
bool world_has_hold(const struct world_stream *stream); /* one that was acknowledged */
struct kn_str world_hold_name(unsigned hold, char dst[8]);
int workload_run(struct world *w, const struct world_work *work);
int judge_run(struct world *w);

#endif
