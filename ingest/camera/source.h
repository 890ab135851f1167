/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One RTSP session, by GStreamer: what the camera offers becomes tracks, and what it sends becomes
 * whole frames with a time of day. Nothing is decoded. The camera is connected to
 * (camera_source_start), or has come by itself (source_announced.h).
 *
 * Frames keep the bytes the camera sent; H.264 and H.265 are laid out as Matroska wants them, with
 * lengths before the NAL units and the parameter sets in CodecPrivate.
 */
#ifndef INGEST_CAMERA_SOURCE_H
#define INGEST_CAMERA_SOURCE_H

#include "clock.h"

#include "core/mkv.h"

enum camera_transport {
    CAMERA_AUTO, /* TCP, the one that loses nothing; rtsps:// is TCP in TLS */
    CAMERA_UDP,
    CAMERA_TCP,
    CAMERA_HTTP, /* RTSP and media in an HTTP tunnel */
};

enum camera_transport camera_transport_of(struct kn_str name); /* "udp"; CAMERA_AUTO otherwise */

enum camera_fault {
    CAMERA_UNREACHABLE,  /* nobody answers, or the connection broke */
    CAMERA_UNAUTHORIZED, /* the password is wrong */
    CAMERA_UNTRUSTED,    /* its certificate is to be verified, and does not pass */
    CAMERA_NOT_FOUND,    /* there is no such stream on the camera */
    CAMERA_UNSUPPORTED,  /* it offers nothing that can be stored */
    CAMERA_STALLED,      /* it has sent nothing for a while */
    CAMERA_ENDED,        /* it has ended the stream */
    CAMERA_BROKEN,       /* anything else */
};
const char *camera_fault_name(enum camera_fault fault); /* "unauthorized" */

struct camera_frame {
    unsigned track; /* from 1 */
    bool key;       /* a decoder can start here; of audio always */
    bool video;
    int64_t time_ms; /* when it is shown, wall time */
    struct kn_bytes bytes;
};

struct camera_source_conf {
    const char *url;             /* rtsp://, rtsps:// or file://, without credentials */
    const char *user, *password; /* NULL: none */
    enum camera_transport transport;
    bool tls_verify;     /* of rtsps://: the camera's certificate has to pass */
    const char *ca_file; /* who signs them; NULL: whom the machine trusts */
    const char *files;   /* files below this folder may be played; NULL: none */
    unsigned latency_ms; /* how long packets are waited for that come out of order */
    unsigned timeout_ms; /* of connecting, and of silence */
};

/* How a session does. */
struct camera_facts {
    const char *clock;      /* whose time frames have: "camera" or "arrival" */
    bool clock_known;       /* the camera has said its time */
    int64_t clock_ahead_ms; /* its clock, of this machine's */
    uint64_t clock_steps;
    uint64_t packets_lost, frames_damaged;
    bool offers_pictures, offers_sound; /* that can be stored */
};

void camera_facts_clock(struct camera_facts *facts, const struct camera_clock *clock);

struct camera_source;
/* Calls come from GStreamer's threads, one at a time; none comes any more when stop has returned.
 */
struct camera_source_ops {
    /* What the frames that follow belong to: at first, and again when a parameter set changed. */
    void (*header)(void *ctx, const struct kn_mkv_header *header);
    void (*frame)(void *ctx, const struct camera_frame *frame);
    /* A stream that the camera offers and that cannot be stored. */
    void (*left_out)(void *ctx, const char *media, const char *encoding);
    /* Once, and the last call. */
    void (*failed)(void *ctx, enum camera_fault fault, const char *said);
};

struct camera_source *camera_source_start(const struct camera_source_conf *conf,
                                          const struct camera_source_ops *ops, void *ctx);
/* "audio G726, application VND.ONVIF.METADATA": one more at the end of the list, as far as it fits.
 */
void camera_left_out_add(char *list, size_t cap, const char *media, const char *encoding);
/* To be called each second or so: a camera that is silent fails. */
void camera_source_check(struct camera_source *source);
void camera_source_facts(struct camera_source *source, struct camera_facts *ret);
/* Blocks until GStreamer has let go of everything, seconds when the camera does not answer: not on
 * a thread that others wait for. Frees it. */
void camera_source_stop(struct camera_source *source);

#endif
