/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a session to bytes: every step asks storage for what it needs and nothing more, first
 * without waiting, and what is rendered is shared. Keys of the cache name fragment, track, clock
 * and codec parameters, never a session: a thousand viewers of one stream share one head a segment.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "session/held.h"

enum {
    LIST_CACHED_MIN = 64,
    WARM_USES = 3,       /* a segment that is wanted once more is kept in memory, */
    WARM_AGE_MS = 60000, /* if it is of the live edge: there many want few */
    WARM_BYTES_MIN = 64 << 10,
    WARM_BYTES_MAX = 4 << 20,
    WARM_SEGMENTS_MAX = 64, /* a descriptor each */
    WARM_PIECE_BYTES = 64 << 10,
};

int playback_sessions_new(struct playback *playback, struct playback_sessions **ret,
                          struct kn_err *err)
{
    struct playback_sessions *sessions = calloc(1, sizeof *sessions);
    if (!sessions)
        return kn_fail(err, -ENOMEM, "no memory for playback");
    int r = playback_session_key_load(storage_dir(playback->storage), &sessions->key, err);
    if (r == 0)
        r = playback_cache_new(playback->conf.cache_bytes_max, &sessions->cache);
    if (r < 0) {
        playback_sessions_free(sessions);
        return r;
    }
    sessions->metrics[PLAYBACK_OVER_HLS] = playback_media_metrics_of("HLS");
    sessions->metrics[PLAYBACK_OVER_DASH] = playback_media_metrics_of("DASH");
    *ret = sessions;
    return 0;
}

void playback_sessions_free(struct playback_sessions *sessions)
{
    if (!sessions)
        return;
    playback_cache_free(sessions->cache);
    free(sessions);
}

/* Tracks and header, as they are. */
static int get_view(struct playback *playback, const struct playback_session *session,
                    const struct storage_fragment *fragment, struct playback_view *ret,
                    struct kn_err *err, bool nowait)
{
    struct playback_view view = {.lender = NULL};
    int r = storage_header_get(playback->storage, &session->stream, fragment, &view.header, nowait);
    if (r < 0)
        return r;
    r = session->some
            ? playback_tracks_choose_some(&view.header->parsed, session->container, &view.tracks,
                                          err)
            : playback_tracks_choose(&view.header->parsed, session->container, &view.tracks, err);
    if (r < 0) {
        storage_header_unref(view.header);
        return r;
    }
    *ret = view;
    return 0;
}

int playback_sessions_whole(struct playback *playback, const struct playback_session *session,
                            struct storage_fragment *ret, struct playback_view *ret_view,
                            bool nowait)
{
    const unsigned both = PLAYBACK_PICTURES | PLAYBACK_SOUND;
    struct storage_query from = {.order = STORAGE_BY_NUMBER, .after_seq = session->whole_seq - 1};
    size_t count = 0;
    if (!session->whole_seq)
        return -ENOENT;
    int r = storage_find(playback->storage, &session->stream, &from, ret, 1, &count, nowait);
    if (r == 0)
        r = count ? get_view(playback, session, ret, ret_view, NULL, nowait) : -ENOENT;
    if (r == 0 && playback_tracks_kinds(&ret_view->tracks) != both) {
        playback_view_done(ret_view);
        return -ENOENT;
    }
    return r;
}

int playback_sessions_lends(struct playback *playback, const struct playback_session *session,
                            bool nowait)
{
    struct storage_fragment whole;
    struct playback_view lender;
    struct playback_silence silence;
    int r = playback_sessions_whole(playback, session, &whole, &lender, nowait);
    if (r < 0)
        return r == -EAGAIN ? r : 0;
    r = playback_aac_silence(&lender.tracks.items[1].info, &silence) == 0;
    playback_view_done(&lender);
    return r;
}

int playback_view_get(struct playback *playback, const struct playback_session *session,
                      const struct storage_fragment *fragment, struct playback_view *ret,
                      struct kn_err *err, bool nowait)
{
    struct storage_fragment whole;
    struct playback_view view, lender;
    int r = get_view(playback, session, fragment, &view, err, nowait);
    if (r < 0)
        return r;
    if (session->kinds)
        playback_tracks_keep(&view.tracks, session->kinds);
    unsigned kinds = playback_tracks_kinds(&view.tracks);
    if (session->whole_seq && (kinds == PLAYBACK_PICTURES ||
                               (kinds == PLAYBACK_SOUND && session->container == PLAYBACK_FMP4))) {
        r = playback_sessions_whole(playback, session, &whole, &lender, nowait);
        if (r == -EAGAIN) {
            playback_view_done(&view);
            return r;
        }
        if (r == 0 && playback_tracks_lend(&view.tracks, &lender.tracks))
            view.lender = lender.header;
        else if (r == 0)
            playback_view_done(&lender);
    }
    *ret = view;
    return 0;
}

void playback_view_done(struct playback_view *view)
{
    storage_header_unref(view->header);
    storage_header_unref(view->lender);
    view->header = view->lender = NULL;
}

static void set_key(struct playback_cache_key *key, enum playback_cached_kind kind,
                    const struct playback_session *session)
{
    memset(key, 0, sizeof *key);
    memcpy(key->stream, session->stream.bytes, sizeof key->stream);
    key->kind = kind;
}

/* What a number means depends on what the session has. */
static uint32_t track_key(const struct playback_session *session, uint64_t track)
{
    return (uint32_t) session->kinds << 8 | (uint32_t) kn_min_u64(track, UINT8_MAX);
}

/* --- lists ------------------------------------------------------------------------------------ */

struct cached_list {
    struct playback_cached base;
    struct storage_stream_stats stamp;
    struct playback_list *list;
};

struct cached_pace {
    struct playback_cached base;
    struct playback_pace pace;
};

static void free_list(struct playback_cached *base)
{
    struct cached_list *cached = KN_CONTAINER_OF(base, struct cached_list, base);
    playback_list_unref(cached->list);
    free(cached);
}

static void free_pace(struct playback_cached *base)
{
    free(KN_CONTAINER_OF(base, struct cached_pace, base));
}

static bool same_stamp(const struct storage_stream_stats *a, const struct storage_stream_stats *b)
{
    return a->fragments == b->fragments && a->newest_server_ts_ms == b->newest_server_ts_ms &&
           a->oldest_server_ts_ms == b->oldest_server_ts_ms;
}

static int list_on_demand(struct playback *playback, const struct playback_list_in *in,
                          struct playback_list **ret, bool nowait)
{
    const struct playback_session *s = in->session;
    struct playback_cache_key key;
    set_key(&key, PLAYBACK_CACHED_LIST, s);
    key.words[0] = (uint64_t) s->from_ms;
    key.words[1] = (uint64_t) s->to_ms;
    key.words[2] = s->results_max;
    key.words[3] = s->target_s;
    key.track = (uint32_t) s->some << 12 | (uint32_t) s->clock << 8 | (uint32_t) s->container << 4 |
                (uint32_t) s->discontinuity;
    struct storage_stream_stats stamp;
    int r = storage_stream_stats(playback->storage, &s->stream, &stamp, nowait);
    if (r < 0)
        return r;
    KN_CLEANUP(playback_cached_unrefp)
    struct playback_cached *found = playback_cache_get(playback->sessions->cache, &key);
    struct cached_list *cached = found ? KN_CONTAINER_OF(found, struct cached_list, base) : NULL;
    if (cached && same_stamp(&cached->stamp, &stamp)) {
        cached->list->refs++;
        *ret = cached->list;
        return 0;
    }
    r = playback_list_make(in, ret, nowait);
    if (r < 0 || (*ret)->count < LIST_CACHED_MIN)
        return r;
    cached = calloc(1, sizeof *cached);
    if (!cached)
        return 0; /* it only saves time */
    (*ret)->refs++;
    *cached = (struct cached_list){
        .base = {.refs = 1,
                 .free = free_list,
                 .bytes = sizeof *cached + (*ret)->cap * sizeof(struct playback_entry),
                 .key = key},
        .stamp = stamp,
        .list = *ret
    };
    playback_cache_put(playback->sessions->cache, &cached->base);
    playback_cached_unref(&cached->base);
    return 0;
}

/* What a session has passed is kept, so that its next request does not begin at its start. */
static int list_paced(struct playback *playback, struct playback_list_in *in,
                      struct playback_list **ret, bool nowait)
{
    const struct playback_session *s = in->session;
    struct playback_cache_key key;
    set_key(&key, PLAYBACK_CACHED_PACE, s);
    key.words[0] = (uint64_t) s->from_ms;
    key.words[1] = (uint64_t) s->to_ms;
    key.words[2] = s->mode == PLAYBACK_LIVE ? s->from_seq : (uint64_t) s->opened_ms;
    key.words[3] = s->results_max;
    key.track =
        (uint32_t) s->container << 8 | (uint32_t) s->clock << 4 | (uint32_t) s->discontinuity;
    struct playback_pace pace = {.after_seq = 0};
    struct playback_cached *found = playback_cache_get(playback->sessions->cache, &key);
    if (found)
        pace = KN_CONTAINER_OF(found, struct cached_pace, base)->pace;
    playback_cached_unref(found);
    uint64_t passed = pace.passed;
    in->pace = &pace;
    int r = playback_list_make(in, ret, nowait);
    in->pace = NULL;
    if (r < 0 || pace.passed == passed)
        return r;
    struct cached_pace *cached = calloc(1, sizeof *cached);
    if (!cached)
        return 0;
    *cached = (struct cached_pace){
        .base = {.refs = 1, .free = free_pace, .bytes = sizeof *cached, .key = key},
          .pace = pace
    };
    playback_cache_put(playback->sessions->cache, &cached->base);
    playback_cached_unref(&cached->base);
    return 0;
}

int playback_sessions_list(struct playback *playback, const struct playback_session *session,
                           struct playback_list **ret, bool nowait)
{
    struct playback_list_in in = {.storage = playback->storage,
                                  .session = session,
                                  .now_ms = kn_wall_ms(playback->clock),
                                  .hole_ms = (int64_t) playback->conf.session_live_window_ms};
    bool counts = session->from_seq && playback_list_counts_breaks(session);
    if (session->mode == PLAYBACK_LIVE && !counts)
        return playback_list_make(&in, ret, nowait);
    if (session->mode != PLAYBACK_ON_DEMAND)
        return list_paced(playback, &in, ret, nowait);
    return list_on_demand(playback, &in, ret, nowait);
}

/* --- fragments and segments ------------------------------------------------------------------- */

static bool may_see(const struct playback_session *session, const struct storage_fragment *fragment)
{
    int64_t start_ms = playback_start_ms(fragment, session->clock);
    return !(fragment->flags & STORAGE_FRAGMENT_IN_FLIGHT) &&
           fragment->number.seq >= session->from_seq && start_ms >= session->from_ms &&
           start_ms <= session->to_ms;
}

int playback_sessions_fragment(struct playback *playback, const struct playback_session *session,
                               struct kn_str number, struct storage_fragment *ret, bool nowait)
{
    struct storage_number parsed;
    struct storage_fragment fragment;
    bool exact;
    if (storage_number_parse(number, &parsed, &exact) < 0 || !exact)
        return -ENOENT;
    int r = storage_find_number(playback->storage, &session->stream, &parsed, &fragment, nowait);
    if (r < 0)
        return r;
    if (!may_see(session, &fragment))
        return -ENOENT;
    *ret = fragment;
    return 0;
}

/* Numbers of fragments rise at least as fast as their ordinals, so each step is one from below;
 * more than one only where numbers were skipped: uploads that ended within a fragment, restarts. */
int playback_sessions_sequence(struct playback *playback, const struct playback_session *session,
                               uint64_t sequence, struct storage_fragment *ret, bool nowait)
{
    enum {
        STEPS_ON_LOOP = 8,
        STEPS_MAX = 100000, /* each passes a fragment: an index that is not in order ends too */
    };
    if (!sequence || sequence > INT64_MAX - 1 - session->base_ordinal)
        return -ENOENT;
    uint64_t ordinal = session->base_ordinal + sequence - 1;
    uint64_t after_seq = session->base_seq + (sequence - 1) - 1;
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        struct storage_query query = {.order = STORAGE_BY_NUMBER, .after_seq = after_seq};
        struct storage_fragment fragment;
        size_t count = 0;
        if (nowait && step == STEPS_ON_LOOP)
            return -EAGAIN;
        int r =
            storage_find(playback->storage, &session->stream, &query, &fragment, 1, &count, nowait);
        if (r < 0)
            return r;
        if (!count || fragment.ordinal > ordinal)
            return -ENOENT;
        if (fragment.ordinal == ordinal) {
            *ret = fragment;
            return may_see(session, &fragment) ? 0 : -ENOENT;
        }
        after_seq = fragment.number.seq + (ordinal - fragment.ordinal) - 1;
    }
    return -ENOENT;
}

static void free_rendered(struct playback_cached *base)
{
    struct playback_rendered *rendered = KN_CONTAINER_OF(base, struct playback_rendered, base);
    playback_mp4_segment_unref(rendered->segment);
    if (rendered->memory_fd >= 0) {
        (void) close(rendered->memory_fd);
        (*rendered->in_memory)--;
    }
    free(rendered);
}

/* Where the next fragment starts; INT64_MIN when there is none yet. */
static int next_start(struct playback *playback, const struct playback_session *session,
                      const struct storage_fragment *fragment, int64_t *ret, bool nowait)
{
    struct storage_query after = {.order = STORAGE_BY_NUMBER, .after_seq = fragment->number.seq};
    struct storage_fragment next;
    size_t count = 0;
    int r = storage_find(playback->storage, &session->stream, &after, &next, 1, &count, nowait);
    if (r < 0)
        return r;
    *ret = count ? playback_start_ms(&next, playback_media_clock(session)) : INT64_MIN;
    return 0;
}

static int make_line(struct playback *playback, const struct playback_session *session,
                     const struct storage_fragment *fragment, struct playback_timeline_in *in,
                     struct playback_timeline **ret, bool nowait)
{
    struct storage_frames *frames;
    int r = storage_frames_get(playback->storage, &session->stream, fragment, &frames, nowait);
    if (r < 0)
        return r;
    in->frames = frames;
    r = playback_timeline_make(in, ret);
    if (r == 0)
        r = playback_silence_fill(in, ret);
    storage_frames_free(frames);
    return r;
}

static int render(struct playback *playback, const struct playback_session *session,
                  const struct storage_fragment *fragment, const struct playback_view *view,
                  const struct playback_track *track, struct playback_mp4_segment **ret,
                  struct storage_fragment *ret_source, bool nowait)
{
    bool held = !track->mkv_number && !playback_codec_is_audio(track->info.codec);
    struct playback_timeline_in in = {
        .track = track,
        .scale_ns = view->header->parsed.timestamp_scale_ns,
        .start_ms = playback_start_ms(fragment, playback_media_clock(session)),
        .length_ms = playback_duration_ms(fragment)};
    int r = next_start(playback, session, fragment, &in.next_start_ms, nowait);
    if (r < 0)
        return r;
    struct playback_timeline *line = NULL;
    *ret_source = *fragment;
    r = held ? playback_held_make(playback, session, fragment, &in, &line, ret_source, nowait)
             : make_line(playback, session, fragment, &in, &line, nowait);
    if (r == 0)
        r = playback_mp4_segment_make(line, track->number, (uint32_t) fragment->ordinal + 1, ret);
    free(line);
    return r;
}

int playback_sessions_segment(struct playback *playback, const struct playback_session *session,
                              const struct storage_fragment *fragment, uint64_t track_number,
                              struct playback_rendered **ret, struct kn_err *err, bool nowait)
{
    struct playback_cache_key key;
    set_key(&key, PLAYBACK_CACHED_SEGMENT, session);
    key.words[0] = fragment->number.seq;
    key.words[1] = (uint64_t) fragment->number.server_ts_ms;
    key.words[2] = playback_media_clock(session);
    key.track = track_key(session, track_number);
    struct playback_cached *found = playback_cache_get(playback->sessions->cache, &key);
    if (found) {
        *ret = KN_CONTAINER_OF(found, struct playback_rendered, base);
        return 0;
    }
    struct playback_view view;
    int r = playback_view_get(playback, session, fragment, &view, err, nowait);
    if (r < 0)
        return r;
    const struct playback_track *track = playback_tracks_find(&view.tracks, track_number);
    struct playback_mp4_segment *segment = NULL;
    struct storage_fragment source;
    r = track ? render(playback, session, fragment, &view, track, &segment, &source, nowait)
              : -ENOENT;
    bool audio = track && playback_codec_is_audio(track->info.codec);
    bool lent = track && !track->mkv_number;
    playback_view_done(&view);
    if (r < 0)
        return r;
    struct playback_rendered *rendered = calloc(1, sizeof *rendered);
    if (!rendered) {
        playback_mp4_segment_unref(segment);
        return -ENOMEM;
    }
    *rendered = (struct playback_rendered){
        .base = {.refs = 1,
                 .free = free_rendered,
                 .bytes = sizeof *rendered + segment->memory_bytes,
                 .key = key},
        .audio = audio,
        .source = source,
        .segment = segment,
        .in_memory = &playback->sessions->in_memory,
        .memory_fd = -1
    };
    if (!lent) /* what lends is the session's choice */
        playback_cache_put(playback->sessions->cache, &rendered->base);
    *ret = rendered;
    return 0;
}

/* The segment's bytes in a file that has no disk: a descriptor, or an error. */
static int copy_to_memory(const struct playback_mp4_segment *segment,
                          const struct playback_mp4_source *source)
{
    uint8_t *piece = malloc(WARM_PIECE_BYTES);
    int fd = memfd_create("segment", MFD_CLOEXEC), r = piece && fd >= 0 ? 0 : -ENOMEM;
    for (uint64_t pos = 0; r == 0 && pos < segment->bytes;) {
        ssize_t n = playback_mp4_segment_read(segment, source, pos, piece, WARM_PIECE_BYTES, true);
        if (n <= 0 || write(fd, piece, (size_t) n) != n)
            r = n < 0 ? (int) n : -EIO;
        pos += n > 0 ? (uint64_t) n : 0;
    }
    free(piece);
    if (r < 0 && fd >= 0)
        (void) close(fd);
    return r < 0 ? r : fd;
}

void playback_sessions_segment_warm(struct playback *playback,
                                    const struct playback_mp4_source *source,
                                    struct playback_rendered **rendered)
{
    struct playback_rendered *cold = *rendered;
    struct playback_sessions *sessions = playback->sessions;
    uint64_t bytes = cold->segment->bytes;
    int64_t age_ms = kn_wall_ms(playback->clock) - source->fragment.number.server_ts_ms;
    if (cold->memory_fd >= 0 || cold->uses++ < WARM_USES || age_ms > WARM_AGE_MS ||
        bytes < WARM_BYTES_MIN || bytes > WARM_BYTES_MAX ||
        bytes > playback->conf.cache_bytes_max / 4 || sessions->in_memory >= WARM_SEGMENTS_MAX)
        return;
    struct playback_rendered *warm = calloc(1, sizeof *warm);
    int fd = warm ? copy_to_memory(cold->segment, source) : -ENOMEM;
    if (fd < 0) {
        free(warm);
        return;
    }
    *warm = (struct playback_rendered){
        .base = {.refs = 1,
                 .free = free_rendered,
                 .bytes = cold->base.bytes + bytes,
                 .key = cold->base.key},
        .audio = cold->audio,
        .source = cold->source,
        .segment = playback_mp4_segment_ref(cold->segment),
        .in_memory = &sessions->in_memory,
        .memory_fd = fd
    };
    sessions->in_memory++;
    playback_cache_put(sessions->cache, &warm->base);
    playback_cached_unref(&cold->base);
    *rendered = warm;
}

/* --- init segments ---------------------------------------------------------------------------- */

static void free_init(struct playback_cached *base)
{
    free(KN_CONTAINER_OF(base, struct playback_init, base));
}

/* A fragment with these codec parameters, among those the session lists. */
static int find_map(struct playback *playback, const struct playback_session *session,
                    uint64_t hash, struct storage_fragment *ret, bool nowait)
{
    struct playback_list *list;
    int r = playback_sessions_list(playback, session, &list, nowait);
    if (r < 0)
        return r;
    r = -ENOENT;
    for (size_t i = 0; i < list->map_count; i++)
        if (list->maps[i].hash == hash) {
            *ret = list->maps[i].fragment;
            r = 0;
        }
    playback_list_unref(list);
    return r;
}

static int write_init(const struct playback_view *view, uint64_t track_number,
                      const struct playback_cache_key *key, struct playback_init **ret)
{
    const struct playback_track *track = playback_tracks_find(&view->tracks, track_number);
    if (!track)
        return -ENOENT;
    struct kn_buf out;
    kn_buf_init(&out, KN_MKV_CODEC_PRIVATE_BYTES_MAX + KIB(4));
    int r = playback_mp4_init_write(&out, track, view->header->parsed.timestamp_scale_ns);
    struct playback_init *init = r < 0 ? NULL : malloc(sizeof *init + out.len);
    if (init) {
        *init = (struct playback_init){
            .base = {.refs = 1, .free = free_init, .bytes = sizeof *init + out.len, .key = *key},
            .audio = playback_codec_is_audio(track->info.codec),
            .len = out.len
        };
        memcpy(init->bytes, out.ptr, out.len);
        *ret = init;
    }
    kn_buf_done(&out);
    return r < 0 ? r : init ? 0 : -ENOMEM;
}

int playback_sessions_init_segment(struct playback *playback,
                                   const struct playback_session *session, uint64_t hash,
                                   uint64_t track, struct playback_init **ret, struct kn_err *err,
                                   bool nowait)
{
    struct playback_cache_key key;
    set_key(&key, PLAYBACK_CACHED_INIT, session);
    key.words[0] = hash;
    key.track = track_key(session, track);
    struct playback_cached *found = playback_cache_get(playback->sessions->cache, &key);
    if (found) {
        *ret = KN_CONTAINER_OF(found, struct playback_init, base);
        return 0;
    }
    struct storage_fragment fragment;
    int r = find_map(playback, session, hash, &fragment, nowait);
    if (r < 0)
        return r;
    struct playback_view view;
    r = playback_view_get(playback, session, &fragment, &view, err, nowait);
    if (r < 0)
        return r;
    r = write_init(&view, track, &key, ret);
    bool lent = view.lender != NULL;
    playback_view_done(&view);
    if (r == 0 && !lent)
        playback_cache_put(playback->sessions->cache, &(*ret)->base);
    return r;
}
