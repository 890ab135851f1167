/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window of a session (KVS developer guide, HLS; RFC 8216, 6.2). Media sequence numbers are the
 * fragments' ordinals, and discontinuity sequence numbers come from the index too or are counted
 * from the session's first fragment, so that neither steps back when the server restarts: players
 * freeze when they do.
 *
 * LIVE lists the newest fragments. What is already listed never changes: its EXTINF is the
 * fragment's own length, and one that came late stands as a gap. LIVE_REPLAY lists from the start
 * of the range, one more each time the next one's length has passed, whatever the pauses between
 * them. ON_DEMAND lists the oldest of the range; there EXTINF reaches to the next start.
 */
#include "session/list.h"

#include "range.h"

enum {
    PAGE = 128,
    RESERVED_MAX = 50000,  /* more than a day of fragments of 2 s */
    ON_LOOP_MAX = 64,      /* a longer list is made on a worker: a loop must not stand still */
    LOOK_FOR_WHOLE = 1024, /* fragments: half an hour of them */
    LOOK_BACK = 16,        /* a fragment is late when one of so many before it is newer */
    REPLAY_FIRST = 3,      /* listed at once: a player starts three from the end */
    REPLAY_END_MS = 30000, /* after the range, for the fragment still arriving */
};

struct maker {
    const struct playback_list_in *in;
    const struct playback_session *session;
    struct playback_list *list;
    bool nowait;
    bool any; /* these two are of the last entry */
    uint64_t header;
    uint16_t map;
    unsigned kinds; /* of the tracks of `header` that we can play */
    bool follows;   /* these two are of the fragment before, listed or passed */
    uint64_t discontinuity, ordinal;
    int64_t end_ms;
    bool alien;  /* the tracks of `header` are none we can play */
    bool counts; /* breaks, in in->pace */
};

bool playback_list_counts_breaks(const struct playback_session *session)
{
    return session->discontinuity == PLAYBACK_DISCONTINUITY_WHERE_BROKEN &&
           (session->mode == PLAYBACK_LIVE_REPLAY ||
            (session->mode == PLAYBACK_LIVE &&
             (session->clock == PLAYBACK_SERVER_CLOCK || session->container == PLAYBACK_DASH)));
}

uint32_t playback_duration_ms(const struct storage_fragment *fragment)
{
    uint32_t full = fragment->full_duration_ms, seen = fragment->duration_ms;
    return full > seen ? full : seen ? seen : 1;
}

void playback_list_unref(struct playback_list *list)
{
    if (!list || --list->refs)
        return;
    free(list->maps);
    free(list->entries);
    free(list);
}

static unsigned rank(unsigned kinds)
{
    return kinds & PLAYBACK_PICTURES ? kinds + PLAYBACK_SOUND : kinds;
}

unsigned playback_list_kinds(const struct playback_list *list)
{
    unsigned most = 0;
    for (size_t i = 0; i < list->map_count; i++)
        if (rank(list->maps[i].kinds) > rank(most))
            most = list->maps[i].kinds;
    return most;
}

size_t playback_list_find_kinds(const struct playback_list *list, unsigned kinds)
{
    size_t at = 0;
    while (at < list->count && !playback_entry_has(&list->entries[at], kinds))
        at++;
    return at < list->count ? at : 0;
}

/* The kinds of a fragment's tracks, and the hash of their codec parameters; 0: none we can play. */
static int read_tracks(const struct maker *m, const struct storage_fragment *fragment,
                       unsigned *ret_kinds, uint64_t *ret_hash)
{
    struct storage_header *header;
    int r = storage_header_get(m->in->storage, &m->session->stream, fragment, &header, m->nowait);
    if (r < 0)
        return r;
    struct playback_tracks tracks;
    r = m->session->some
            ? playback_tracks_choose_some(&header->parsed, m->session->container, &tracks, NULL)
            : playback_tracks_choose(&header->parsed, m->session->container, &tracks, NULL);
    *ret_hash = r < 0 ? 0 : playback_tracks_hash(&tracks);
    *ret_kinds = r < 0 ? 0 : playback_tracks_kinds(&tracks);
    storage_header_unref(header);
    return 0;
}

/* Finds or adds the codec parameters of a fragment whose header differs from the last one's. */
static int take_map(struct maker *m, const struct storage_fragment *fragment)
{
    uint64_t hash;
    int r = read_tracks(m, fragment, &m->kinds, &hash);
    if (r < 0)
        return r;
    struct playback_list *list = m->list;
    m->alien = hash == 0 && m->session->container == PLAYBACK_DASH;
    if (hash == 0 && list->map_count)
        return 0; /* tracks changed: its media request says so, the list goes on */
    size_t i = 0;
    while (i < list->map_count && list->maps[i].hash != hash)
        i++;
    if (i == list->map_count && list->map_count < PLAYBACK_MAPS_MAX) {
        struct playback_map *maps = reallocarray(list->maps, i + 1, sizeof *maps);
        if (!maps)
            return -ENOMEM;
        list->maps = maps;
        maps[list->map_count++] = (struct playback_map){hash, m->kinds, *fragment};
    }
    m->map = (uint16_t) (i < list->map_count ? i : list->map_count - 1);
    return 0;
}

static int grow(struct playback_list *list)
{
    if (list->count < list->cap)
        return 0;
    size_t cap = list->cap ? list->cap * 2 : 16;
    struct playback_entry *entries = reallocarray(list->entries, cap, sizeof *entries);
    if (!entries)
        return -ENOMEM;
    list->entries = entries;
    list->cap = cap;
    return 0;
}

/* Do two fragments meet in the session's clock? In the producer's the index has seen where each
 * track ended, which a length alone does not say. */
struct seam {
    uint64_t ordinal[2], discontinuity[2];
    int64_t hole_ms; /* as their lengths say */
};

static bool meets(const struct playback_session *session, const struct seam *seam)
{
    bool joined = seam->ordinal[1] == seam->ordinal[0] + 1 &&
                  seam->discontinuity[1] == seam->discontinuity[0] &&
                  playback_media_clock(session) == PLAYBACK_PRODUCER_CLOCK;
    return joined ||
           (seam->hole_ms <= PLAYBACK_CONTIGUOUS_MS && seam->hole_ms >= -PLAYBACK_CONTIGUOUS_MS);
}

void playback_line_pass(struct playback_line *line, const struct playback_session *session,
                        const struct playback_entry *entry)
{
    bool live = session->mode == PLAYBACK_LIVE;
    int64_t came_ms = live ? entry->number.server_ts_ms - session->base_ms : 0;
    if (!line->begun) {
        *line = (struct playback_line){true, came_ms, entry->start_ms, 0};
    } else if (entry->discontinuities) {
        line->start_ms = kn_max_i64(line->start_ms + line->end_ms - line->media_ms, came_ms);
        line->media_ms = entry->start_ms;
    }
    line->end_ms = entry->start_ms + entry->duration_ms;
}

static unsigned discontinuities(const struct maker *m, const struct storage_fragment *fragment,
                                int64_t start_ms, bool new_map)
{
    if (m->session->discontinuity == PLAYBACK_DISCONTINUITY_ALWAYS)
        return 1;
    if (m->session->discontinuity == PLAYBACK_DISCONTINUITY_NEVER || !m->follows)
        return 0;
    if (m->session->container == PLAYBACK_DASH && fragment->ordinal != m->ordinal + 1)
        return 1; /* a Period's segments are numbered without a gap */
    const struct seam seam = {
        {m->ordinal,       fragment->ordinal      },
        {m->discontinuity, fragment->discontinuity},
        start_ms - m->end_ms
    };
    if (m->session->mode == PLAYBACK_ON_DEMAND)
        return new_map || !meets(m->session, &seam);
    if (m->counts) /* a new session or header, or they do not meet in the session's clock */
        return fragment->discontinuity != m->discontinuity || !meets(m->session, &seam);
    uint64_t more = fragment->discontinuity - m->discontinuity; /* as many as the index counts */
    return more > PLAYBACK_DISCONTINUITIES_MAX ? PLAYBACK_DISCONTINUITIES_MAX : (unsigned) more;
}

static int add(struct maker *m, const struct storage_fragment *fragment, unsigned flags)
{
    struct playback_list *list = m->list;
    uint16_t last_map = m->map;
    bool last_alien = m->alien;
    if (m->nowait && list->count == ON_LOOP_MAX)
        return -EAGAIN;
    int r = grow(list);
    if (r == 0 && (!m->any || fragment->header != m->header))
        r = take_map(m, fragment);
    if (r < 0)
        return r;
    int64_t start_ms = playback_start_ms(fragment, playback_media_clock(m->session));
    bool new_map = m->any && (m->map != last_map || m->alien != last_alien);
    flags |= m->alien ? PLAYBACK_ENTRY_ALIEN : 0;
    flags |= m->kinds << PLAYBACK_ENTRY_KINDS;
    uint32_t duration_ms = flags & PLAYBACK_ENTRY_GAP ? 1 : playback_duration_ms(fragment);
    list->entries[list->count++] = (struct playback_entry){
        .number = fragment->number,
        .ordinal = fragment->ordinal,
        .start_ms = start_ms,
        .discontinuity = fragment->discontinuity,
        .duration_ms = duration_ms,
        .discontinuities = (uint8_t) discontinuities(m, fragment, start_ms, new_map),
        .flags = (uint8_t) flags,
        .map = m->map};
    list->gaps |= (flags & PLAYBACK_ENTRY_GAP) != 0;
    m->any = true;
    m->header = fragment->header;
    m->follows = true;
    m->discontinuity = fragment->discontinuity;
    m->ordinal = fragment->ordinal;
    m->end_ms = start_ms + duration_ms;
    return 0;
}

/* The first entry follows what the session has passed. */
static void follow(struct maker *m, const struct playback_pace *pace)
{
    m->follows = pace->passed > 0;
    m->discontinuity = pace->discontinuity;
    m->ordinal = pace->ordinal;
    m->end_ms = pace->end_ms;
}

/* A length reaches to the next start where the two meet. */
static void stretch(struct maker *m)
{
    for (size_t i = 0; i + 1 < m->list->count; i++) {
        struct playback_entry *entry = &m->list->entries[i], *next = entry + 1;
        int64_t distance = next->start_ms - entry->start_ms;
        const struct seam seam = {
            {entry->ordinal,       next->ordinal      },
            {entry->discontinuity, next->discontinuity},
            distance - entry->duration_ms
        };
        if (distance > 0 && meets(m->session, &seam))
            entry->duration_ms = (uint32_t) distance;
    }
}

static void finish(struct maker *m)
{
    struct playback_list *list = m->list;
    uint32_t longest_ms = 0;
    if (m->session->mode == PLAYBACK_ON_DEMAND || m->session->container == PLAYBACK_DASH)
        stretch(m);
    list->kinds = PLAYBACK_PICTURES | PLAYBACK_SOUND;
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i].duration_ms > longest_ms)
            longest_ms = list->entries[i].duration_ms;
        list->kinds &= (unsigned) list->entries[i].flags >> PLAYBACK_ENTRY_KINDS;
    }
    uint32_t target_s = (longest_ms + 500) / 1000; /* RFC 8216, 4.3.3.1: rounded to the nearest */
    list->target_s = target_s > m->session->target_s ? target_s : m->session->target_s;
    if (!list->target_s)
        list->target_s = 1;
    if (!list->count || m->session->mode == PLAYBACK_ON_DEMAND)
        return;
    if (m->session->discontinuity == PLAYBACK_DISCONTINUITY_ALWAYS)
        list->discontinuity_sequence = list->sequence;
    else if (m->counts)
        list->discontinuity_sequence = m->in->pace->breaks;
    else if (m->session->discontinuity == PLAYBACK_DISCONTINUITY_WHERE_BROKEN)
        list->discontinuity_sequence =
            list->entries[0].discontinuity - list->entries[0].discontinuities;
}

/* --- LIVE ---------------------------------------------------------------------------------- */

static bool is_late(const struct storage_fragment *fragments, size_t at, enum playback_clock clock)
{
    for (size_t i = at; i-- > 0 && at - i <= LOOK_BACK;)
        if (playback_start_ms(&fragments[i], clock) >= playback_start_ms(&fragments[at], clock))
            return true;
    return false;
}

/* Where the window begins: not before results_max from the end, and after a long pause. */
static size_t live_begin(const struct maker *m, const struct storage_fragment *found, size_t count)
{
    uint64_t max = m->session->results_max;
    size_t from = count > max ? count - (size_t) max : 0;
    for (size_t i = count; i-- > from + 1;) {
        int64_t end_ms = found[i - 1].number.server_ts_ms + playback_duration_ms(&found[i - 1]);
        if (found[i].number.server_ts_ms - end_ms > m->in->hole_ms)
            return i;
    }
    return from;
}

/* The pace goes on past an entry. */
static void pass(struct maker *m, const struct playback_entry *entry)
{
    struct playback_pace *pace = m->in->pace;
    pace->passed++;
    pace->after_seq = entry->number.seq;
    pace->breaks += entry->discontinuities;
    pace->discontinuity = entry->discontinuity;
    pace->ordinal = entry->ordinal;
    pace->end_ms = entry->start_ms + entry->duration_ms;
    playback_line_pass(&pace->line, m->session, entry);
}

/* Counts the breaks from the session's first fragment up to the window. */
static int pass_breaks(struct maker *m, uint64_t window_seq)
{
    enum {
        STEP = 64
    };
    struct playback_pace *pace = m->in->pace;
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    struct storage_fragment found[STEP];
    size_t count = 0;
    if (pace->after_seq >= window_seq || pace->after_seq + 1 < m->session->from_seq)
        *pace = (struct playback_pace){.after_seq = m->session->from_seq - 1};
    for (bool more = pace->after_seq + 1 < window_seq, again = false; more; again = true) {
        if (again && m->nowait)
            return -EAGAIN;
        query.after_seq = pace->after_seq;
        int r = storage_find(m->in->storage, &m->session->stream, &query, found, STEP, &count,
                             m->nowait);
        if (r < 0)
            return r;
        more = count == STEP;
        for (size_t i = 0; i < count; i++) {
            if (found[i].number.seq >= window_seq) {
                more = false;
                break;
            }
            follow(m, pace);
            int64_t start_ms = playback_start_ms(&found[i], playback_media_clock(m->session));
            const struct playback_entry entry = {
                .number = found[i].number,
                .ordinal = found[i].ordinal,
                .start_ms = start_ms,
                .discontinuity = found[i].discontinuity,
                .duration_ms = playback_duration_ms(&found[i]),
                .discontinuities = (uint8_t) discontinuities(m, &found[i], start_ms, false)};
            pass(m, &entry);
        }
    }
    follow(m, pace);
    return 0;
}

static int add_live(struct maker *m, const struct storage_fragment *found, size_t count)
{
    size_t from = live_begin(m, found, count);
    bool may_be_late = m->session->clock == PLAYBACK_PRODUCER_CLOCK &&
                       m->session->container != PLAYBACK_DASH; /* there it begins a Period */
    if (from < count)
        m->list->sequence = found[from].ordinal;
    int r = m->counts && from < count ? pass_breaks(m, found[from].number.seq) : 0;
    if (m->counts && r == 0)
        m->list->line = m->in->pace->line;
    for (size_t i = from; r == 0 && i < count; i++) {
        bool late = may_be_late && is_late(found, i, m->session->clock);
        r = add(m, &found[i], late ? PLAYBACK_ENTRY_GAP : 0);
    }
    return r;
}

static int make_live(struct maker *m)
{
    size_t look_back = m->session->clock == PLAYBACK_PRODUCER_CLOCK ? LOOK_BACK : 0;
    size_t want = (size_t) m->session->results_max + look_back, count = 0;
    if (m->nowait && m->session->results_max > ON_LOOP_MAX)
        return -EAGAIN;
    struct storage_fragment *found = reallocarray(NULL, want, sizeof *found);
    if (!found)
        return -ENOMEM;
    struct storage_query query = {.order = STORAGE_BY_NUMBER, .newest_first = true};
    int r =
        storage_find(m->in->storage, &m->session->stream, &query, found, want, &count, m->nowait);
    if (r == 0) {
        for (size_t i = 0; i < count / 2; i++) {
            struct storage_fragment swap = found[i];
            found[i] = found[count - 1 - i];
            found[count - 1 - i] = swap;
        }
        r = add_live(m, found, count);
    }
    free(found);
    return r;
}

/* --- paging over the range of LIVE_REPLAY and ON_DEMAND ------------------------------------- */

struct pages {
    struct storage_query query;
    size_t at, count;
    struct storage_fragment items[PAGE];
};

static void pages_init(struct pages *p, const struct playback_session *session, uint64_t after_seq)
{
    p->query = (struct storage_query){.order = session->clock == PLAYBACK_SERVER_CLOCK
                                                   ? STORAGE_BY_SERVER_TS
                                                   : STORAGE_BY_PRODUCER_TS,
                                      .after_seq = after_seq,
                                      .from_ms = session->from_ms,
                                      .to_ms = session->to_ms};
    p->at = p->count = 0;
}

/* 1 and *ret, which is valid until the next call; 0 at the end; or an error. */
static int pages_next(const struct maker *m, struct pages *p, const struct storage_fragment **ret)
{
    if (p->at == p->count) {
        int r = storage_find(m->in->storage, &m->session->stream, &p->query, p->items, PAGE,
                             &p->count, m->nowait);
        if (r < 0)
            return r;
        p->at = 0;
        if (!p->count)
            return 0;
        p->query.after_seq = p->items[p->count - 1].number.seq;
    }
    *ret = &p->items[p->at++];
    return 1;
}

/* --- LIVE_REPLAY ---------------------------------------------------------------------------- */

/* Drops the oldest entries until max are left; the pace moves past them. */
static void slide(struct maker *m, uint64_t max, uint64_t first_count)
{
    struct playback_list *list = m->list;
    struct playback_pace *pace = m->in->pace;
    size_t drop = list->count > max ? list->count - (size_t) max : 0;
    for (size_t i = 0; i < drop; i++) {
        const struct playback_entry *gone = &list->entries[i];
        if (pace->passed >= first_count)
            pace->passed_ms += gone->duration_ms;
        pace->newest_ms =
            m->session->clock == PLAYBACK_SERVER_CLOCK ? gone->number.server_ts_ms : gone->start_ms;
        pass(m, gone);
    }
    list->count -= drop;
    if (drop)
        memmove(list->entries, list->entries + drop, list->count * sizeof *list->entries);
}

static int replay_ended(const struct maker *m)
{
    const struct playback_session *s = m->session;
    if (s->to_ms == INT64_MAX || m->in->now_ms <= s->to_ms)
        return 0;
    if (m->in->now_ms > s->to_ms + REPLAY_END_MS)
        return 1;
    if (s->clock == PLAYBACK_PRODUCER_CLOCK)
        return 0;
    struct storage_query after = {
        .order = STORAGE_BY_SERVER_TS, .from_ms = s->to_ms + 1, .to_ms = INT64_MAX};
    struct storage_fragment fragment;
    size_t count = 0;
    int r = storage_find(m->in->storage, &s->stream, &after, &fragment, 1, &count, m->nowait);
    return r < 0 ? r : count > 0;
}

static int make_replay(struct maker *m)
{
    struct playback_pace *pace = m->in->pace;
    uint64_t max = m->session->results_max, first_count = max < REPLAY_FIRST ? max : REPLAY_FIRST;
    int64_t elapsed_ms = kn_max_i64(m->in->now_ms - m->session->opened_ms, 0);
    int64_t waited_ms = pace->passed_ms;
    int64_t newest_ms = pace->passed ? pace->newest_ms : INT64_MIN;
    struct pages pages;
    follow(m, pace);
    pages_init(&pages, m->session, pace->after_seq);
    for (uint64_t index = pace->passed;;) {
        const struct storage_fragment *fragment;
        int r = pages_next(m, &pages, &fragment);
        if (r < 0)
            return r;
        if (r == 0) {
            r = replay_ended(m);
            if (r < 0)
                return r;
            m->list->ended = r > 0;
            break;
        }
        int64_t start_ms = playback_start_ms(fragment, m->session->clock);
        if (start_ms <= newest_ms)
            continue; /* late, or the same period once more */
        if (index >= first_count)
            waited_ms += playback_duration_ms(fragment);
        if (index >= first_count && waited_ms > elapsed_ms)
            break;
        if (index++ == 0)
            pace->first_ordinal = fragment->ordinal;
        newest_ms = start_ms;
        r = add(m, fragment, 0);
        if (r < 0)
            return r;
        if (m->list->count > 2 * max + PAGE)
            slide(m, max, first_count);
    }
    slide(m, max, first_count);
    m->list->sequence = pace->first_ordinal + pace->passed;
    m->list->line = pace->line;
    m->list->at_start = pace->passed == 0;
    return 0;
}

/* --- ON_DEMAND ------------------------------------------------------------------------------ */

/* Room for all there can be, at once: growing a day's list costs more than filling it. */
static int reserve_entries(struct maker *m)
{
    struct storage_stream_stats stats;
    int r = storage_stream_stats(m->in->storage, &m->session->stream, &stats, m->nowait);
    if (r < 0 || m->nowait)
        return r;
    size_t cap =
        (size_t) kn_min_u64(kn_min_u64(stats.fragments, m->session->results_max) + 1, RESERVED_MAX);
    m->list->entries = reallocarray(NULL, cap, sizeof *m->list->entries);
    m->list->cap = m->list->entries ? cap : 0;
    return m->list->entries ? 0 : -ENOMEM;
}

static int add_by_server_time(struct maker *m)
{
    struct pages pages;
    int reserved = reserve_entries(m);
    if (reserved < 0)
        return reserved;
    pages_init(&pages, m->session, 0);
    if (!m->nowait)
        storage_find_ahead(m->in->storage, &m->session->stream, &pages.query,
                           m->session->results_max);
    int r = 1;
    while (r == 1 && m->list->count < m->session->results_max) {
        const struct storage_fragment *fragment;
        r = pages_next(m, &pages, &fragment);
        if (r == 1 && (r = add(m, fragment, 0)) == 0)
            r = 1;
    }
    return r < 0 ? r : 0;
}

static int add_by_producer_time(struct maker *m)
{
    struct playback_range range = {.order = STORAGE_BY_PRODUCER_TS,
                                   .from_ms = m->session->from_ms,
                                   .to_ms = m->session->to_ms,
                                   .count_max = (size_t) m->session->results_max};
    struct playback_fragments found;
    int r = playback_range_select(m->in->storage, &m->session->stream, &range, &found, m->nowait);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < found.count; i++)
        r = add(m, &found.items[i], 0);
    playback_fragments_done(&found);
    return r;
}

static int make_on_demand(struct maker *m)
{
    int r = m->session->clock == PLAYBACK_SERVER_CLOCK ? add_by_server_time(m)
                                                       : add_by_producer_time(m);
    m->list->ended = true;
    m->list->at_start = true;
    return r;
}

int playback_list_find_whole(const struct playback_list_in *in, const struct playback_list *list,
                             uint64_t *ret_seq)
{
    const unsigned both = PLAYBACK_PICTURES | PLAYBACK_SOUND;
    const struct maker m = {.in = in, .session = in->session};
    size_t first = playback_list_find_kinds(list, both);
    uint64_t header = 0, hash, seq = 0;
    unsigned kinds = 0;
    if (first < list->count && playback_entry_has(&list->entries[first], both))
        seq = list->entries[first].number.seq;
    bool held = in->session->container == PLAYBACK_FMP4; /* a picture, where there is none */
    if (seq || !(playback_list_kinds(list) & (held ? both : PLAYBACK_PICTURES)) ||
        in->session->mode == PLAYBACK_ON_DEMAND) {
        *ret_seq = seq;
        return 0;
    }
    struct pages pages;
    pages_init(&pages, in->session, 0);
    if (in->session->mode == PLAYBACK_LIVE) {
        pages.query.order = STORAGE_BY_SERVER_TS;
        pages.query.newest_first = true;
    }
    for (unsigned seen = 0; !seq && seen < LOOK_FOR_WHOLE; seen++) {
        const struct storage_fragment *fragment;
        int r = pages_next(&m, &pages, &fragment);
        if (r == 0)
            break;
        if (r > 0)
            r = seen && fragment->header == header ? 0 : read_tracks(&m, fragment, &kinds, &hash);
        if (r < 0)
            return r;
        header = fragment->header;
        seq = kinds == both ? fragment->number.seq : 0;
    }
    *ret_seq = seq;
    return 0;
}

int playback_list_make(const struct playback_list_in *in, struct playback_list **ret, bool nowait)
{
    KN_CLEANUP(playback_list_unrefp) struct playback_list *list = calloc(1, sizeof *list);
    if (!list)
        return -ENOMEM;
    list->refs = 1;
    struct maker m = {.in = in, .session = in->session, .list = list, .nowait = nowait};
    m.counts = in->pace && playback_list_counts_breaks(in->session);
    int r = in->session->mode == PLAYBACK_LIVE          ? make_live(&m)
            : in->session->mode == PLAYBACK_LIVE_REPLAY ? make_replay(&m)
                                                        : make_on_demand(&m);
    if (r < 0)
        return r;
    finish(&m);
    *ret = KN_MOVE(list);
    return 0;
}
