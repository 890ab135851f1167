/* SPDX-License-Identifier: Apache-2.0 */
/* The camera: GStreamer's test picture with a clock burnt in, and a tone; H.264 and AAC frames out.
 */
#ifndef DEMO_CAMERA_SOURCE_H
#define DEMO_CAMERA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source_options {
    unsigned width, height, frames_per_second, kbit_per_second, fragment_seconds;
    bool audio;
    const char *title; /* burnt in beside the clock */
};

struct source_format {         /* known once the first frame of each track is there */
    uint8_t *codec_private[2]; /* 0: picture, 1: sound */
    size_t codec_private_bytes[2];
    unsigned width, height, channels;
    double sampling_hz;
};

struct source_frame {
    unsigned track;  /* 1: picture, 2: sound */
    bool key;        /* opens a fragment */
    int64_t time_ns; /* wall clock */
    uint8_t *bytes;
    size_t len;
};

struct source;
/* wake(ctx) is called from GStreamer's threads when frames are there. NULL: said on stderr. */
struct source *source_start(const struct source_options *options, void (*wake)(void *ctx),
                            void *ctx);
void source_stop(struct source *source);
bool source_failed(struct source *source);
/* NULL until both tracks have begun. */
const struct source_format *source_format(struct source *source);
/* The next frame in order of time, both tracks merged; false: none yet. free frame->bytes. */
bool source_take(struct source *source, struct source_frame *frame);

#endif
