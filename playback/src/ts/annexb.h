/* SPDX-License-Identifier: Apache-2.0 */
/* H.264 as TS wants it: NAL units after start codes, an access unit delimiter first, parameter sets
 * before each key frame (ITU-T H.264, annex B; ISO/IEC 13818-1, 2.14). */
#ifndef PLAYBACK_TS_ANNEXB_H
#define PLAYBACK_TS_ANNEXB_H

#include "codec/codec.h"
#include "core/buf.h"

/* Appends one access unit. -EBADMSG: the lengths do not add up; out holds what came before. */
int playback_annexb_append(struct kn_buf *out, struct kn_bytes frame, unsigned nal_length_bytes,
                           const struct playback_parameter_sets *sets, bool key) KN_MUSTUSE;

#endif
