/* SPDX-License-Identifier: Apache-2.0 */
/* One track of one fragment as MP4 counts time: decode times, composition offsets, durations. Pure
 * arithmetic over the frame table; any thread. */
#ifndef PLAYBACK_MP4_TIMELINE_H
#define PLAYBACK_MP4_TIMELINE_H

#include "codec/codec.h"
#include "storage/fragment.h"

enum playback_clock {
    PLAYBACK_SERVER_CLOCK,
    PLAYBACK_PRODUCER_CLOCK
};

/* Two fragments are contiguous when they meet within this. KVS developer guide, DiscontinuityMode.
 */
enum {
    PLAYBACK_CONTIGUOUS_MS = 50
};

static inline int64_t playback_start_ms(const struct storage_fragment *fragment,
                                        enum playback_clock clock)
{
    return clock == PLAYBACK_SERVER_CLOCK ? fragment->number.server_ts_ms
                                          : fragment->producer_ts_ms;
}

/* Ticks a second of a track: the sampling rate of audio; of video what states both milliseconds and
 * the header's TimestampScale exactly, else 90,000. */
uint32_t playback_timescale(const struct playback_codec_info *info, uint64_t scale_ns);
int64_t playback_ticks_of_ms(int64_t ms, uint32_t timescale); /* to the nearest */

static const uint32_t playback_silent = UINT32_MAX; /* in place of an offset: a silent frame */

struct playback_sample {
    uint32_t offset; /* of the payload, from the fragment's start; or playback_silent */
    uint32_t bytes;
    uint32_t duration;
    int32_t composition; /* presentation − decode time; may be negative */
    bool key;
};

struct playback_timeline {
    uint32_t timescale;
    int64_t decode_time;             /* of the first sample */
    bool reordered;                  /* some composition offset is not 0 */
    struct playback_silence silence; /* what each silent frame holds */
    size_t count;
    struct playback_sample samples[];
};

struct playback_timeline_in {
    const struct playback_track *track;
    const struct storage_frames *frames;
    uint64_t scale_ns;     /* the header's TimestampScale */
    int64_t start_ms;      /* of the fragment, in the clock asked for */
    int64_t next_start_ms; /* of the next fragment; INT64_MIN: there is none yet */
    uint32_t length_ms;    /* of the fragment: for playback_silence_fill */
};

/* Where the fragment ends, in the clock of its start: where the next one begins, if they meet. */
static inline int64_t playback_timeline_end_ms(const struct playback_timeline_in *in)
{
    int64_t end_ms = in->start_ms + in->length_ms, next_ms = in->next_start_ms;
    bool meets = next_ms != INT64_MIN && next_ms - end_ms <= PLAYBACK_CONTIGUOUS_MS &&
                 end_ms - next_ms <= PLAYBACK_CONTIGUOUS_MS;
    return meets ? next_ms : end_ms;
}

/* A fragment without a frame of the track gives count 0. -ENOMEM. Release with free(). */
int playback_timeline_make(const struct playback_timeline_in *in, struct playback_timeline **ret)
    KN_MUSTUSE;

#endif
