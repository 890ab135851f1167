/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of PutMedia's head that are worth testing alone. */
#ifndef INGEST_SRC_PUT_MEDIA_H
#define INGEST_SRC_PUT_MEDIA_H

#include "core/bytes.h"

/* x-amzn-producer-start-timestamp: decimal seconds. Of AWS's C and C++ producers fewer than three
 * digits after the point are ms without padding: ".92" is 92 ms (observed with 1.6.4 and 3.6.0;
 * harmless to anybody else, who pads). -EINVAL. */
int ingest_start_timestamp_parse(struct kn_str text, struct kn_str user_agent, int64_t *ret_ms)
    KN_MUSTUSE;

#endif
