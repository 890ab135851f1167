/* SPDX-License-Identifier: Apache-2.0 */
/* The first picture of a piece of Matroska, and what can be seen in it without knowing anything. */
#ifndef EVENT_CONSUMER_PICTURE_H
#define EVENT_CONSUMER_PICTURE_H

#include <stddef.h>
#include <stdint.h>

struct picture {
    int width, height;
    char codec[32], format[32]; /* as libavcodec names them */
    double light;               /* mean of the luma plane, 0 black … 255 white */
    double contrast;            /* its standard deviation */
};

/* 0, or a negative AVERROR. */
int picture_first(const uint8_t *mkv, size_t len, struct picture *ret);

#endif
