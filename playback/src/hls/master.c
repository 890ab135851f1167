/* SPDX-License-Identifier: Apache-2.0 */
/* The master playlist of a session: what a fragment with all of its tracks says of all. */
#include "hls/hls.h"
#include "hls/playlist.h"

static double frame_rate(const struct storage_frames *frames, const struct playback_track *track,
                         uint64_t scale_ns)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    size_t count = 0;
    for (size_t i = 0; i < frames->count; i++) {
        if (frames->items[i].track != track->mkv_number)
            continue;
        first = kn_min_i64(first, frames->items[i].time);
        last = kn_max_i64(last, frames->items[i].time);
        count++;
    }
    if (count < 2 || last <= first)
        return track->info.frames_per_s;
    return (double) (count - 1) / ((double) (last - first) * (double) scale_ns / 1e9);
}

/* The first one listed that has what the session has. */
static int first_listed(struct playback *playback, const struct playback_session *session,
                        struct storage_fragment *ret, struct playback_view *ret_view,
                        struct kn_err *err, bool nowait)
{
    struct playback_list *list;
    int r = playback_sessions_list(playback, session, &list, nowait);
    if (r < 0)
        return r;
    size_t at = playback_list_find_kinds(list, session->kinds);
    r = list->count ? storage_find_number(playback->storage, &session->stream,
                                          &list->entries[at].number, ret, nowait)
                    : -ENOENT;
    playback_list_unref(list);
    return r < 0 ? r : playback_view_get(playback, session, ret, ret_view, err, nowait);
}

int playback_hls_master(struct playback *playback, const struct playback_session *session,
                        struct kn_str token, struct kn_buf *out, struct kn_err *err, bool nowait)
{
    struct storage_fragment first;
    struct playback_view view;
    int r = playback_sessions_whole(playback, session, &first, &view, nowait);
    if (r == -ENOENT)
        r = first_listed(playback, session, &first, &view, err, nowait);
    if (r < 0)
        return r;
    struct storage_frames *frames;
    r = storage_frames_get(playback->storage, &session->stream, &first, &frames, nowait);
    if (r == 0) {
        const struct playback_track *track = &view.tracks.items[0];
        struct playback_master master = {
            .session = session,
            .token = token,
            .tracks = &view.tracks,
            .frames_per_s = frame_rate(frames, track, view.header->parsed.timestamp_scale_ns),
            .bits_per_s = first.bytes * 8000 / playback_duration_ms(&first)};
        r = playback_master_write(&master, out);
        storage_frames_free(frames);
    }
    playback_view_done(&view);
    return r;
}
