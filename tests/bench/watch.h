/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live viewers of put_load's own streams: the last bytes of each watched frame say when it was
 * sent, and a thread with a GetMedia a stream notes how much later they came out.
 */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include "core/bytes.h"

enum {
    WATCH_STAMP_BYTES = 16
};

void watch_open(unsigned stream); /* a viewer, when the stream is one of those to be watched */
bool watch_stamp(unsigned stream, uint8_t dst[WATCH_STAMP_BYTES]); /* false: nobody watches */
void watch_report(void); /* ends the viewers; JSON members, each followed by a comma */

#endif
