/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matroska says when a frame is shown and stores frames in decode order; MP4 wants decode times.
 * The i-th frame in decode order gets the i-th smallest presentation time: decode times then cover
 * the same span as presentation times, fragments join without a shift, and B-frames need only
 * signed composition offsets (ISO/IEC 14496-12, 8.8.8, trun version 1). Audio frames that keep step
 * with the sampling rate get their exact length, so that a clock of milliseconds does not chop
 * them.
 */
#include "mp4/timeline.h"

enum {
    AUDIO_SLACK_MS = 2,
    GUESSED_FRAMES_PER_S = 25,
    TICKS_PER_S_VIDEO = 90000
};

static const uint64_t second_ns = 1000000000;

uint32_t playback_timescale(const struct playback_codec_info *info, uint64_t scale_ns)
{
    if (playback_codec_is_audio(info->codec))
        return info->sample_hz;
    if (scale_ns && scale_ns % 1000000 == 0)
        return 1000;
    if (scale_ns && 1000000 % scale_ns == 0)
        return (uint32_t) (second_ns / scale_ns);
    return TICKS_PER_S_VIDEO;
}

static int64_t rounded_ticks(__int128 count, uint64_t unit_ns, uint32_t timescale)
{
    __int128 ns = count * (__int128) unit_ns * timescale;
    __int128 half = (__int128) second_ns / 2;
    __int128 ticks = (ns + (ns < 0 ? -half : half)) / (__int128) second_ns;
    const int64_t most = INT64_MAX / 8; /* sums and differences of a few stay in range */
    if (ticks > most)
        return most;
    return ticks < -most ? -most : (int64_t) ticks;
}

int64_t playback_ticks_of_ms(int64_t ms, uint32_t timescale)
{
    return rounded_ticks(ms, 1000000, timescale);
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return x < y ? -1 : x > y;
}

static uint32_t to_duration(int64_t ticks)
{
    return ticks < 1 ? 1 : ticks > UINT32_MAX ? UINT32_MAX : (uint32_t) ticks;
}

/* decode[i] from presentation[i], in place of a copy: sorted, and strictly increasing. */
static void decode_times(int64_t *decode, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (decode[i] < decode[i - 1]) {
            qsort(decode, count, sizeof *decode, compare_i64);
            break;
        }
    for (size_t i = 1; i < count; i++)
        decode[i] = kn_max_i64(decode[i], decode[i - 1] + 1);
}

/* Samples a channel in an audio frame: AAC's are all alike, of G.711 each byte is one. */
static int64_t frame_samples(const struct playback_codec_info *info, uint32_t bytes)
{
    return info->codec == PLAYBACK_AAC ? info->frame_samples : bytes / info->channels;
}

/* The sender's clock ticks in milliseconds, so an audio frame seems 21 or 22 ms long: as long as
 * the times stay near the count of samples, the count is believed. */
static void smooth_audio(int64_t *times, const struct playback_timeline_in *in)
{
    const struct playback_codec_info *info = &in->track->info;
    int64_t slack = (int64_t) info->sample_hz * AUDIO_SLACK_MS / 1000, nominal = 0;
    size_t n = 0;
    for (size_t i = 0; i < in->frames->count; i++) {
        if (in->frames->items[i].track != in->track->mkv_number)
            continue;
        if (n && times[n] - nominal <= slack && nominal - times[n] <= slack)
            times[n] = nominal;
        nominal = times[n++] + frame_samples(info, in->frames->items[i].bytes);
    }
}

/* Does the fragment begin with this track? Else the next one's start is likely another's too: that
 * of sound, which is sent a little ahead of the pictures. */
static bool leads(const struct playback_timeline_in *in)
{
    int32_t own = INT32_MAX, other = INT32_MAX;
    for (size_t i = 0; i < in->frames->count; i++) {
        const struct storage_frame *frame = &in->frames->items[i];
        int32_t *first = frame->track == in->track->mkv_number ? &own : &other;
        *first = frame->time < *first ? frame->time : *first;
    }
    return own <= other;
}

static int64_t last_duration(const struct playback_timeline_in *in, const int64_t *decode,
                             size_t count, uint32_t timescale, uint32_t bytes)
{
    const struct playback_codec_info *info = &in->track->info;
    if (playback_codec_is_audio(info->codec))
        return frame_samples(info, bytes);
    int64_t guess;
    if (count > 1)
        guess = (decode[count - 1] - decode[0] + (int64_t) (count - 1) / 2) / (int64_t) (count - 1);
    else if (in->track->default_duration_ns)
        guess = rounded_ticks((__int128) in->track->default_duration_ns, 1, timescale);
    else if (info->frames_per_s >= 1)
        guess = (int64_t) (timescale / info->frames_per_s + 0.5);
    else
        guess = timescale / GUESSED_FRAMES_PER_S;
    if (in->next_start_ms == INT64_MIN || !leads(in))
        return guess;
    int64_t until_next = playback_ticks_of_ms(in->next_start_ms, timescale) - decode[count - 1];
    int64_t slack = playback_ticks_of_ms(PLAYBACK_CONTIGUOUS_MS, timescale);
    bool meets = until_next > 0 && until_next - guess <= slack && guess - until_next <= slack;
    return meets ? until_next : guess;
}

static void fill(struct playback_timeline *line, const struct playback_timeline_in *in,
                 const int64_t *shown, const int64_t *decode)
{
    bool audio = playback_codec_is_audio(in->track->info.codec);
    size_t n = 0;
    for (size_t i = 0; i < in->frames->count; i++) {
        const struct storage_frame *frame = &in->frames->items[i];
        if (frame->track != in->track->mkv_number)
            continue;
        int64_t composition = shown[n] - decode[n];
        composition = kn_max_i64(kn_min_i64(composition, INT32_MAX), INT32_MIN);
        line->samples[n] = (struct playback_sample){
            .offset = frame->offset,
            .bytes = frame->bytes,
            .composition = (int32_t) composition,
            .key = frame->key || audio, /* whatever is said */
            .duration = to_duration(n + 1 < line->count ? decode[n + 1] - decode[n] : 0),
        };
        line->reordered |= composition != 0;
        n++;
    }
    line->samples[n - 1].duration = to_duration(
        last_duration(in, decode, line->count, line->timescale, line->samples[n - 1].bytes));
}

int playback_timeline_make(const struct playback_timeline_in *in, struct playback_timeline **ret)
{
    size_t count = 0;
    for (size_t i = 0; i < in->frames->count; i++)
        count += in->frames->items[i].track == in->track->mkv_number;
    struct playback_timeline *line = malloc(sizeof *line + count * sizeof line->samples[0]);
    int64_t *shown = malloc((count + 1) * 2 * sizeof *shown);
    if (!line || !shown) {
        free(line);
        free(shown);
        return -ENOMEM;
    }
    int64_t *decode = shown + count;
    *line = (struct playback_timeline){
        .timescale = playback_timescale(&in->track->info, in->scale_ns), .count = count};
    int64_t base = playback_ticks_of_ms(in->start_ms, line->timescale);
    size_t n = 0;
    for (size_t i = 0; i < in->frames->count; i++)
        if (in->frames->items[i].track == in->track->mkv_number)
            shown[n++] =
                base + rounded_ticks(in->frames->items[i].time, in->scale_ns, line->timescale);
    if (playback_codec_is_audio(in->track->info.codec))
        smooth_audio(shown, in);
    if (count)
        memcpy(decode, shown, count * sizeof *shown);
    decode_times(decode, count);
    line->decode_time = count ? kn_max_i64(decode[0], 0) : kn_max_i64(base, 0);
    if (count)
        fill(line, in, shown, decode);
    free(shown);
    *ret = line;
    return 0;
}
