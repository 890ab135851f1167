/* SPDX-License-Identifier: Apache-2.0 */
/* The first picture of a track's frames, and what can be seen in it without knowing anything. */
#ifndef EVENT_CONSUMER_PICTURE_H
#define EVENT_CONSUMER_PICTURE_H

#include <kinema/media.h>

struct picture {
    int width, height;
    char codec[32], format[32]; /* as libavcodec names them */
    double light;               /* mean of the luma plane, 0 black … 255 white */
    double contrast;            /* its standard deviation */
};

struct picture_decoder;

/* -ENOTSUP: no decoder knows the codec; -ENOMEM. */
int picture_open(const struct kinema_track *track, struct picture_decoder **ret);
void picture_close(struct picture_decoder *decoder); /* accepts NULL */
/* The next frame, or without data: there is no more. 1: ret is the picture; 0: more frames are
 * needed; negative: it cannot be decoded. */
int picture_take(struct picture_decoder *decoder, const void *data, size_t len,
                 struct picture *ret);

#endif
