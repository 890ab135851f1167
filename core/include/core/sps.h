/* SPDX-License-Identifier: Apache-2.0 */
/* What the sequence parameter set of H.264 or H.265 says of the pictures, as far as a container or
 * a playlist wants to know. Pure functions; any thread. */
#ifndef CORE_SPS_H
#define CORE_SPS_H

#include "core/bytes.h"
#include "core/err.h"

struct kn_sps {
    uint32_t width, height; /* as shown: cropped */
    uint8_t chroma_format, luma_bits, chroma_bits;
    /* H.264 */
    double frames_per_s;    /* from the VUI; 0: not said */
    uint8_t reorder_frames; /* pictures decoded before one that is shown earlier; 0: not said */
    /* H.265 */
    uint8_t profile_level[12]; /* profile, tier and level */
    uint8_t sub_layers;
    bool nested; /* temporal ids */
};

/* A whole NAL unit, its header included. -EBADMSG. */
int kn_sps_h264(struct kn_bytes sps, struct kn_sps *ret, struct kn_err *err) KN_MUSTUSE;
int kn_sps_h265(struct kn_bytes sps, struct kn_sps *ret, struct kn_err *err) KN_MUSTUSE;

#endif
