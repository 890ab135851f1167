/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Silent frames lie on a grid of whole frames since 1970, so that those of one fragment go on where
 * those of the one before ended, without state and without drift; only where sound begins again the
 * last of them lasts until it does, and where sound ended they follow it at once.
 */
#include "mp4/silence.h"

enum {
    MISSING_MS = 500,        /* sound may be sent ahead of its pictures, or behind */
    SILENT_FRAMES_MAX = 8192 /* in a fragment: three minutes at 48 kHz */
};

struct hole { /* of the fragment, on the grid; in ticks */
    int64_t from, to;
    int64_t frame, least; /* a frame's length; what must be missing */
};

static int64_t on_grid(int64_t ticks, int64_t frame)
{
    ticks = kn_max_i64(ticks, 0) + frame - 1;
    return ticks - ticks % frame;
}

static struct hole hole_of(const struct playback_timeline_in *in)
{
    const struct playback_codec_info *info = &in->track->info;
    int64_t frame = info->frame_samples;
    return (struct hole){
        .from = on_grid(playback_ticks_of_ms(in->start_ms, info->sample_hz), frame),
        .to = on_grid(playback_ticks_of_ms(playback_timeline_end_ms(in), info->sample_hz), frame),
        .frame = frame,
        .least = in->track->mkv_number ? (int64_t) info->sample_hz * MISSING_MS / 1000 : frame};
}

/* The line's samples and the silence between them into out; NULL: they are only counted. */
static size_t weave(const struct playback_timeline *line, const struct hole *whole,
                    struct playback_timeline *out)
{
    size_t n = 0, left = SILENT_FRAMES_MAX;
    int64_t time = line->decode_time, from = whole->from;
    for (size_t i = 0; i <= line->count; i++) {
        int64_t to = i < line->count ? time : whole->to, hole = to - from;
        size_t silent =
            hole < whole->least ? 0 : (size_t) kn_min_i64(hole / whole->frame, (int64_t) left);
        left -= silent;
        if (out && silent && i == 0)
            out->decode_time = from;
        if (out && silent && i > 0)
            out->samples[n - 1].duration = (uint32_t) whole->frame;
        for (size_t k = 0; k < silent; k++, n++)
            if (out)
                out->samples[n] = (struct playback_sample){
                    .offset = playback_silent,
                    .bytes = out->silence.len,
                    .duration = (uint32_t) kn_min_i64(
                        k + 1 < silent ? whole->frame : hole - (int64_t) k * whole->frame,
                        UINT32_MAX),
                    .key = true};
        if (i == line->count)
            break;
        if (out)
            out->samples[n] = line->samples[i];
        n++;
        from = time + whole->frame;
        time += line->samples[i].duration;
    }
    return n;
}

int playback_silence_fill(const struct playback_timeline_in *in, struct playback_timeline **line)
{
    const struct playback_codec_info *info = &in->track->info;
    struct playback_timeline *old = *line;
    struct playback_silence silence;
    if (playback_aac_silence(info, &silence) < 0)
        return 0;
    const struct hole whole = hole_of(in);
    size_t count = weave(old, &whole, NULL);
    if (count == old->count)
        return 0;
    struct playback_timeline *filled = malloc(sizeof *filled + count * sizeof filled->samples[0]);
    if (!filled)
        return -ENOMEM;
    *filled = (struct playback_timeline){.timescale = old->timescale,
                                         .decode_time = old->decode_time,
                                         .reordered = old->reordered,
                                         .silence = silence,
                                         .count = count};
    (void) weave(old, &whole, filled);
    free(old);
    *line = filled;
    return 0;
}
