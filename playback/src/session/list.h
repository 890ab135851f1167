/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which fragments a session sees now, as a playlist or a manifest lists them: compact entries,
 * media and discontinuity sequence. Made from index queries alone; the text is made from it per
 * token.
 */
#ifndef PLAYBACK_SESSION_LIST_H
#define PLAYBACK_SESSION_LIST_H

#include "session/session.h"

enum {
    PLAYBACK_ENTRY_GAP = 1,            /* listed so that the count goes on, not to be loaded */
    PLAYBACK_ENTRY_ALIEN = 2,          /* DASH: tracks that we cannot play */
    PLAYBACK_ENTRY_KINDS = 2,          /* above this bit: the kinds of tracks that it has */
    PLAYBACK_DISCONTINUITIES_MAX = 16, /* tags before one entry */
    PLAYBACK_MAPS_MAX = 500,           /* "CPD changes": KVS quotas */
};

struct playback_entry {
    struct storage_number number;
    uint64_t ordinal;
    int64_t start_ms;       /* in the clock of media times */
    uint64_t discontinuity; /* as the index counts them */
    uint32_t duration_ms;
    uint8_t discontinuities; /* tags to stand before it */
    uint8_t flags;
    uint16_t map; /* index into maps */
};

/* A set of codec parameters, named by what it holds: the name outlives sessions and restarts. */
struct playback_map {
    uint64_t hash; /* 0: tracks we cannot play */
    unsigned kinds;
    struct storage_fragment fragment; /* one that uses it */
};

/* DASH: where a Period stands, and the fragment it has come to. A Period ends where an entry has
 * discontinuities. In LIVE the next one begins when its first fragment came, elsewhere at once. */
struct playback_line {
    bool begun;
    int64_t start_ms; /* of the Period, in the presentation */
    int64_t media_ms; /* of its first fragment, in the clock of media times */
    int64_t end_ms;   /* of the last fragment, in that clock */
};
void playback_line_pass(struct playback_line *line, const struct playback_session *session,
                        const struct playback_entry *entry);

struct playback_list { /* immutable once made; counted */
    _Atomic unsigned refs;
    bool ended;     /* nothing will follow: EXT-X-ENDLIST */
    bool at_start;  /* the first entry is the session's first */
    bool gaps;      /* there is an entry that is one */
    unsigned kinds; /* of tracks that all entries have */
    uint64_t sequence;
    uint64_t discontinuity_sequence;
    uint32_t target_s;
    struct playback_line line; /* before the first entry */
    size_t map_count;
    struct playback_map *maps;
    size_t count, cap;
    struct playback_entry *entries;
};

void playback_list_unref(struct playback_list *list);
KN_DEFINE_CLEANUP(struct playback_list *, playback_list_unref)

/* What a session has passed, so that a request goes on from the last one: the pacing of
 * LIVE_REPLAY, and the breaks that are counted from its start. All zero: at its start; it can be
 * made anew. */
struct playback_pace {
    uint64_t after_seq; /* the window begins after this fragment */
    uint64_t passed;    /* fragments before the window */
    uint64_t first_ordinal;
    int64_t passed_ms;      /* their time since the first had to wait */
    int64_t newest_ms;      /* the largest start among them */
    uint64_t breaks;        /* discontinuities among them */
    uint64_t discontinuity; /* of the last of them, as the index counts */
    uint64_t ordinal;       /* of the last of them */
    int64_t end_ms;         /* of the last of them */
    struct playback_line line;
};

/* Does a sliding playlist count its breaks itself? By PRODUCER_TIMESTAMP in LIVE the index has
 * counted them: its breaks are those of the producer's clock, in the order of numbers. */
bool playback_list_counts_breaks(const struct playback_session *session);

struct playback_list_in {
    struct storage *storage;
    const struct playback_session *session;
    int64_t now_ms;
    int64_t hole_ms;            /* LIVE: a longer hole ends the window */
    struct playback_pace *pace; /* LIVE_REPLAY, and where breaks are counted: updated; else NULL */
};

/* -EAGAIN with nowait; -ENOENT: the stream is gone. A list of none is no error. Any thread. */
int playback_list_make(const struct playback_list_in *in, struct playback_list **ret, bool nowait)
    KN_MUSTUSE;

/* The kinds of the fragment that has most, pictures before sound. */
unsigned playback_list_kinds(const struct playback_list *list);
/* The first entry that has all kinds; 0 where none has. */
size_t playback_list_find_kinds(const struct playback_list *list, unsigned kinds);
static inline bool playback_entry_has(const struct playback_entry *entry, unsigned kinds)
{
    return ((unsigned) entry->flags >> PLAYBACK_ENTRY_KINDS & kinds) == kinds;
}

/* Where a session has both kinds of tracks: the number of the first entry that has them, or else of
 * the nearest fragment that has, before a LIVE window or behind what a replay lists at first; 0
 * where none of a thousand has. Blocks. */
int playback_list_find_whole(const struct playback_list_in *in, const struct playback_list *list,
                             uint64_t *ret_seq) KN_MUSTUSE;

/* What EXTINF says of a fragment on its own. */
uint32_t playback_duration_ms(const struct storage_fragment *fragment);

#endif
