/* SPDX-License-Identifier: Apache-2.0 */
/* NAL units of H.264 and H.265: what kind they are, and parameter sets as CodecPrivate has them
 * (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1). Pure. */
#ifndef INGEST_CAMERA_NAL_H
#define INGEST_CAMERA_NAL_H

#include "core/buf.h"
#include "core/mkv.h"

enum {
    NAL_SETS_MAX = 24,        /* a camera has two or three */
    NAL_SET_BYTES_MAX = 4096, /* one parameter set */
    NAL_PRIVATE_BYTES_MAX = (NAL_SETS_MAX + 1) * NAL_SET_BYTES_MAX,
};

struct nal_facts {
    bool set;      /* a parameter set, which has its place in CodecPrivate */
    bool picture;  /* of a picture … */
    bool first;    /* … its beginning */
    bool key;      /* a decoder can start at the picture */
    bool recovery; /* H.264: with an I slice, a decoder can start here too (D.2.8) */
    bool intra;    /* H.264: an I slice */
};
struct nal_facts nal_look(bool h265, struct kn_bytes nal);

struct nal_sets {
    bool h265;
    bool changed; /* since the last description */
    struct nal_set {
        uint8_t kind, id;
        struct kn_buf bytes;
    } items[NAL_SETS_MAX];
    unsigned count;
};

void nal_sets_init(struct nal_sets *sets, bool h265);
void nal_sets_done(struct nal_sets *sets);
/* Takes a copy of a unit whose look said it is a set. What cannot be read is left out. */
void nal_sets_put(struct nal_sets *sets, struct kn_bytes nal);
/* The track and its CodecPrivate, which goes to private. -EAGAIN: sets are missing. */
int nal_sets_describe(struct nal_sets *sets, struct kn_mkv_track *ret, struct kn_buf *private)
    KN_MUSTUSE;

#endif
