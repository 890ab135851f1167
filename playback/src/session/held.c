/* SPDX-License-Identifier: Apache-2.0 */
/* A key frame can be decoded alone, and stands for what was last seen; later frames of its fragment
 * would need those before them. */
#include "session/held.h"

enum {
    LOOK_BACK = 1024, /* fragments */
    PAGE = 128
};

/* The number that the track's pictures have in the fragment's frame table; 0: it has none. */
static int number_of(struct playback *playback, const struct playback_session *session,
                     const struct storage_fragment *fragment, const struct playback_track *track,
                     uint8_t *ret, bool nowait)
{
    struct playback_session plain = *session;
    struct playback_view view;
    plain.whole_seq = 0; /* its own tracks, nothing lent */
    *ret = 0;
    int r = playback_view_get(playback, &plain, fragment, &view, NULL, nowait);
    if (r < 0)
        return r == -EAGAIN || r == -ENOMEM ? r : 0;
    const struct playback_track *own = playback_tracks_find(&view.tracks, track->number);
    if (own && own->info.codec == track->info.codec &&
        own->info.config.len == track->info.config.len &&
        memcmp(own->info.config.ptr, track->info.config.ptr, track->info.config.len) == 0)
        *ret = own->mkv_number;
    playback_view_done(&view);
    return 0;
}

/* Its last key frame: 1, 0 where it has none, or an error. */
static int take_key(struct playback *playback, const struct playback_session *session,
                    const struct storage_fragment *fragment, uint8_t number,
                    struct storage_frame *ret, bool nowait)
{
    struct storage_frames *frames;
    int r = storage_frames_get(playback->storage, &session->stream, fragment, &frames, nowait);
    if (r < 0)
        return r;
    for (size_t i = 0; i < frames->count; i++)
        if (frames->items[i].track == number && frames->items[i].key) {
            *ret = frames->items[i];
            r = 1;
        }
    storage_frames_free(frames);
    return r;
}

/* Of the session's whole fragment, whose pictures the track is of. */
static int take_whole(struct playback *playback, const struct playback_session *session,
                      const struct storage_fragment *fragment, const struct playback_track *track,
                      struct storage_fragment *ret, struct storage_frame *ret_key, bool nowait)
{
    struct playback_view view;
    int r = playback_sessions_whole(playback, session, ret, &view, nowait);
    if (r < 0)
        return r;
    uint8_t number = playback_tracks_find(&view.tracks, track->number)->mkv_number;
    playback_view_done(&view);
    if (ret->number.seq < fragment->number.seq)
        r = take_key(playback, session, ret, number, ret_key, nowait);
    return r ? r : -ENOENT;
}

/* Negative: there is none, or it cannot be read. */
static int find_key(struct playback *playback, const struct playback_session *session,
                    const struct storage_fragment *fragment, const struct playback_track *track,
                    struct storage_fragment *ret, struct storage_frame *ret_key, bool nowait)
{
    struct storage_query back = {.order = STORAGE_BY_SERVER_TS,
                                 .from_ms = INT64_MIN,
                                 .to_ms = fragment->number.server_ts_ms - 1,
                                 .newest_first = true};
    struct storage_fragment found[PAGE];
    uint64_t header = fragment->header;
    uint8_t number = 0; /* of the pictures, in fragments with this header */
    size_t count = PAGE;
    for (unsigned seen = 0; count == PAGE && seen < LOOK_BACK; seen += PAGE) {
        if (nowait && seen)
            return -EAGAIN;
        int r =
            storage_find(playback->storage, &session->stream, &back, found, PAGE, &count, nowait);
        for (size_t i = 0; r == 0 && i < count; i++) {
            if (found[i].number.seq <= session->whole_seq)
                return take_whole(playback, session, fragment, track, ret, ret_key, nowait);
            if (found[i].header != header)
                r = number_of(playback, session, &found[i], track, &number, nowait);
            header = found[i].header;
            if (r == 0 && number)
                r = take_key(playback, session, &found[i], number, ret_key, nowait);
            *ret = found[i];
        }
        if (r != 0)
            return r < 0 ? r : 0;
        back.after_seq = count ? found[count - 1].number.seq : 0;
    }
    return take_whole(playback, session, fragment, track, ret, ret_key, nowait);
}

int playback_held_make(struct playback *playback, const struct playback_session *session,
                       const struct storage_fragment *fragment,
                       const struct playback_timeline_in *in, struct playback_timeline **ret,
                       struct storage_fragment *ret_source, bool nowait)
{
    struct storage_frame key;
    uint32_t timescale = playback_timescale(&in->track->info, in->scale_ns);
    int r = find_key(playback, session, fragment, in->track, ret_source, &key, nowait);
    struct playback_timeline *line = r < 0 ? NULL : malloc(sizeof *line + sizeof line->samples[0]);
    if (!line)
        return r < 0 ? r : -ENOMEM;
    *line = (struct playback_timeline){
        .timescale = timescale,
        .decode_time = kn_max_i64(playback_ticks_of_ms(in->start_ms, timescale), 0),
        .count = 1};
    int64_t ticks =
        playback_ticks_of_ms(playback_timeline_end_ms(in), timescale) - line->decode_time;
    line->samples[0] = (struct playback_sample){
        .offset = key.offset,
        .bytes = key.bytes,
        .duration = (uint32_t) kn_max_i64(kn_min_i64(ticks, UINT32_MAX), 1),
        .key = true};
    *ret = line;
    return 0;
}
