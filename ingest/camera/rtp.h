/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RTP packets of one stream, in order, become whole frames (RFC 3550; RFC 6184, 7798, 3640, 3551,
 * 7587), and the track that they belong to. Nothing is decoded. A frame that misses a packet is
 * left out, and no other. Pure but for its memory; one thread at a time.
 */
#ifndef INGEST_CAMERA_RTP_H
#define INGEST_CAMERA_RTP_H

#include "nal.h"
#include "sdp.h"

enum {
    CAMERA_RTP_FRAME_BYTES_MAX = 8 << 20,    /* a larger one is left out … */
    CAMERA_RTP_DOCUMENT_BYTES_MAX = 1 << 20, /* … and so is a document of metadata */
};

enum camera_codec {
    CAMERA_H264,
    CAMERA_H265,
    CAMERA_AAC,
    CAMERA_PCMU,
    CAMERA_PCMA,
    CAMERA_OPUS,
    CAMERA_METADATA, /* of ONVIF: documents */
};
#define CAMERA_METADATA_ENCODING "VND.ONVIF.METADATA"
#define CAMERA_METADATA_CODEC_ID "D_ONVIF/METADATA"

struct camera_rtp_ops {
    /* The track is described, for the first time or otherwise than before; what follows is its. */
    void (*described)(void *ctx);
    /* time: in units of hz, as the packets have it. No frame comes before described. */
    void (*frame)(void *ctx, uint32_t time, bool key, struct kn_bytes bytes);
};

struct camera_rtp {
    const struct camera_rtp_ops *ops;
    void *ctx;
    enum camera_codec codec;
    unsigned payload_type, hz;
    struct kn_mkv_track track; /* its number is not ours */
    bool described;
    uint64_t packets, lost; /* lost: packets that did not come */
    uint64_t damaged;       /* frames that miss something */
    uint32_t ssrc;
    uint16_t highest, cycles; /* sequence numbers */

    struct kn_buf private, frame;
    struct nal_sets sets;
    uint16_t next, bad;
    uint32_t time, given_time; /* of the frame under way; of the last one given */
    bool begun, broken, picture, first, key, recovery, intra, in_fragment, given, marks_slices;
    size_t unit_at;                               /* of the fragmented unit, in frame */
    unsigned size_bits, index_bits, unit_samples; /* AAC */
};

/* -ENOTSUP: no stream of a kind we know. */
int camera_rtp_init(struct camera_rtp *rtp, const struct camera_media *media,
                    const struct camera_rtp_ops *ops, void *ctx) KN_MUSTUSE;
void camera_rtp_done(struct camera_rtp *rtp);
/* One packet, its header included. What is no RTP, or another stream's, passes by. */
void camera_rtp_packet(struct camera_rtp *rtp, struct kn_bytes packet);

#endif
