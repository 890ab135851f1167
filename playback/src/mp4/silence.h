/* SPDX-License-Identifier: Apache-2.0 */
/* Silence where sound is missing: players pass over pictures, or stand still, where sound that was
 * announced has no frames. Only what HLS and DASH send is filled; clips hold what is stored. */
#ifndef PLAYBACK_MP4_SILENCE_H
#define PLAYBACK_MP4_SILENCE_H

#include "mp4/timeline.h"

/* Puts silent frames into the timeline of in->track where half a second or more of the fragment's
 * in->length_ms has no frame of it: before the first one, between two, behind the last; where the
 * track is lent (mkv_number 0), into all of it. Frames keep their times. Only of AAC, and of so
 * many frames that a length somebody made up costs little. *line is replaced. -ENOMEM. Any thread.
 */
int playback_silence_fill(const struct playback_timeline_in *in, struct playback_timeline **line)
    KN_MUSTUSE;

#endif
