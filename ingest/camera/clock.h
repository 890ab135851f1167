/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the times in a camera's packets to the time of day. Frames keep the distances that the
 * camera gave them; what is chosen here is where on the wall clock they lie.
 *
 * A camera's sender reports say which of its packets' times is which time of its own clock (RFC
 * 3550, 6.4.1): that aligns picture and sound, and is when the picture was taken. The camera's
 * clock is believed while it is within CAMERA_CLOCK_TRUST_MS of ours and does not step; else frames
 * lie where they came, and its reports still hold its streams together. Whatever changes, the time
 * of frames glides there, by an eighth of the time that passes, and so does not go backwards; only
 * forward it jumps, over more than CAMERA_CLOCK_JUMP_MS.
 *
 * Pure. Times are milliseconds of wall time; media times are in units of a stream's hz.
 */
#ifndef INGEST_CAMERA_CLOCK_H
#define INGEST_CAMERA_CLOCK_H

#include "core/bytes.h"

enum {
    CAMERA_CLOCK_STREAMS_MAX = 4,
    CAMERA_CLOCK_TRUST_MS = 5000,   /* a clock that is further off is not believed … */
    CAMERA_CLOCK_STEP_MS = 250,     /* … nor one that moved by so much between two reports … */
    CAMERA_CLOCK_STEADY_MS = 60000, /* … until it has kept still for so long */
    CAMERA_CLOCK_DRIFT_MS = 1000,   /* frames may lie so far from where they came */
    CAMERA_CLOCK_LOOK_MS = 5000,    /* all frames of so long are late before that is believed */
    CAMERA_CLOCK_JUMP_MS = 10000,   /* media times that jump further begin anew */
    CAMERA_CLOCK_REORDER_MS = 1000, /* or go back further than pictures that are shown later */
    CAMERA_CLOCK_GLIDE = 8,
};

struct camera_clock {
    int64_t slack_ms; /* frames come so late by our own doing: a jitter buffer's latency */
    bool reported;    /* there are sender reports */
    bool believed;    /* frames have the camera's own time */
    int64_t ahead_ms; /* the camera's clock, of ours, by its last report */
    uint64_t steps;   /* of the camera's clock */
    uint64_t jumps;   /* of media times */
    int64_t stepped_ms;
    struct camera_clock_stream {
        unsigned hz;
        bool begun, reported;
        bool waits; /* a report of a media time that has not come yet */
        uint32_t waits_time;
        int64_t waits_own_ms;
        uint32_t last;                       /* media time */
        int64_t ticks, arrived_ms, given_ms; /* of the last frame; ticks do not wrap */
        int64_t came_ms;                     /* wall time of media time 0, by arrival */
        int64_t least_ms, look_ms; /* the least late frame since look_ms, beside came_ms */
        int64_t own_ms;            /* of media time 0 by the camera's clock */
        int64_t shift_ms;          /* what is added to that; 0 while believed */
        int64_t at_ms;             /* of media time 0, as frames get it */
    } streams[CAMERA_CLOCK_STREAMS_MAX];
};

void camera_clock_init(struct camera_clock *clock, int64_t slack_ms);
void camera_clock_stream(struct camera_clock *clock, unsigned stream, unsigned hz);
/* A sender report: this media time is that time of the camera's clock. */
void camera_clock_report(struct camera_clock *clock, unsigned stream, uint32_t time, int64_t own_ms,
                         int64_t now_ms);
/* A frame: its wall time. */
int64_t camera_clock_frame(struct camera_clock *clock, unsigned stream, uint32_t time,
                           int64_t now_ms);
const char *camera_clock_word(const struct camera_clock *clock); /* "camera" or "arrival" */

#endif
