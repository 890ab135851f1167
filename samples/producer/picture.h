/* SPDX-License-Identifier: Apache-2.0 */
/* What a camera sees, as H.264 frames: of a V4L2 device, or GStreamer's test picture. */
#ifndef SAMPLES_PRODUCER_PICTURE_H
#define SAMPLES_PRODUCER_PICTURE_H

#include <kinema/producer.h>

struct picture;

/* device: /dev/video0 …; NULL: the test picture. Waits for the first frame. 0 or -EIO, said on
 * stderr. */
int picture_open(const char *device, struct picture **ret);
const struct kinema_track *picture_track(const struct picture *picture);
/* Waits for the next frame; it is there until the next call. -EAGAIN: none came within 200 ms, look
 * after something else; -EIO: the camera is gone, said on stderr. */
int picture_next(struct picture *picture, struct kinema_frame *ret);
/* The next frame shall be a key frame, soon. */
void picture_want_key(struct picture *picture);
void picture_close(struct picture *picture); /* accepts NULL */

#endif
