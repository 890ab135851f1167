/* SPDX-License-Identifier: Apache-2.0 */
/* What a track holds and whether we can play it: codec private data in words, RFC 6381 strings, and
 * the choice of tracks for a container. Pure functions; any thread. */
#ifndef PLAYBACK_CODEC_CODEC_H
#define PLAYBACK_CODEC_CODEC_H

#include "core/err.h"
#include "core/mkv.h"

enum playback_codec {
    PLAYBACK_CODEC_NONE,
    PLAYBACK_H264,
    PLAYBACK_H265,
    PLAYBACK_AAC,
    PLAYBACK_ALAW, /* G.711 */
    PLAYBACK_ULAW,
};
/* Not only what the bytes are like: each has rules of its own for tracks. */
enum playback_container {
    PLAYBACK_FMP4, /* of HLS */
    PLAYBACK_TS,
    PLAYBACK_DASH,
    PLAYBACK_CLIP,
};

enum {
    PLAYBACK_CODEC_TEXT_BYTES = 48,
    PLAYBACK_TRACKS_MAX = 2, /* one of video, one of audio */
    PLAYBACK_PICTURES = 1,   /* kinds of tracks, as bits */
    PLAYBACK_SOUND = 2,
    PLAYBACK_PARAMETER_SETS_MAX = 16,
};

struct playback_codec_info {
    enum playback_codec codec;
    char text[PLAYBACK_CODEC_TEXT_BYTES]; /* RFC 6381: "avc1.64001f" */
    struct kn_bytes config;               /* avcC, hvcC or AudioSpecificConfig: the CodecPrivate */
    /* video */
    uint32_t width, height; /* as shown: cropped */
    double frames_per_s;    /* from the VUI; 0: not said */
    uint8_t
        reorder_frames; /* H.264: pictures decoded before one that is shown earlier; 0: not said */
    uint8_t nal_length_bytes;
    uint8_t profile_level[12]; /* H.265: profile, tier and level, as the SPS has them */
    /* audio */
    uint32_t sample_hz; /* of the core coder */
    uint32_t channels;
    uint32_t frame_samples; /* 1024, or 960; 0: as many as the frame has bytes for (G.711) */
    uint8_t object_type;    /* 2 LC, 5 SBR, 29 PS … */
    uint8_t core_type;      /* of the core coder: 2 LC in the usual case */
};

/* -EINVAL: a codec that no container here carries; -ENODATA: no codec private data; -EBADMSG: it is
 * not what the codec id promises. The views of ret point into track. */
int playback_codec_parse(const struct kn_mkv_track *track, struct playback_codec_info *ret,
                         struct kn_err *err) KN_MUSTUSE;

/* A playable track. TrackNumber in URLs and track ids in MP4 are ours: 1 is the video track, or the
 * only one; 2 the audio beside it. */
struct playback_track {
    unsigned number;
    uint8_t mkv_number; /* as in the frame table */
    uint64_t default_duration_ns;
    struct playback_codec_info info;
};

struct playback_tracks {
    uint64_t scale_ns; /* the header's TimestampScale */
    unsigned count;
    struct playback_track items[PLAYBACK_TRACKS_MAX];
};

static inline bool playback_codec_is_audio(enum playback_codec codec)
{
    return codec == PLAYBACK_AAC || codec == PLAYBACK_ALAW || codec == PLAYBACK_ULAW;
}

/* KVS developer guide, "Track requirements". HLS: H.264 or H.265, alone or with AAC; AAC alone; in
 * TS no H.265. DASH: the same, and H.264 with G.711. Clips: H.264 alone, with AAC or with G.711
 * A-law; H.265 alone or with AAC; never audio alone. Errors as playback_codec_parse; the text of
 * err is AWS's. */
int playback_tracks_choose(const struct kn_mkv_header *header, enum playback_container container,
                           struct playback_tracks *ret, struct kn_err *err) KN_MUSTUSE;
/* Where it is us who look, in the console: sound and other tracks that the container does not take
 * beside a picture that it takes are left out; cameras often send G.711. */
int playback_tracks_choose_some(const struct kn_mkv_header *header,
                                enum playback_container container, struct playback_tracks *ret,
                                struct kn_err *err) KN_MUSTUSE;
unsigned playback_tracks_kinds(const struct playback_tracks *tracks);
/* Leaves those of the kinds, numbered as where there is one of each: the same in every fragment. */
void playback_tracks_keep(struct playback_tracks *tracks, unsigned kinds);
/* Adds of others the one that is missing here, which no frame belongs to: mkv_number 0. The views
 * of its config stay theirs. False: nothing is missing, or it is no AAC that silence could be made
 * for.
 */
bool playback_tracks_lend(struct playback_tracks *tracks, const struct playback_tracks *others);
const struct playback_track *playback_tracks_find(const struct playback_tracks *tracks,
                                                  uint64_t number); /* NULL: absent */

/* Equal = the same init segments serve: scale of time, codecs, private data. Never 0. */
uint64_t playback_tracks_hash(const struct playback_tracks *tracks);

/* --- one codec each ------------------------------------------------------------------------ */
/* The parameter sets of an avcC or hvcC, in its order; count at most PLAYBACK_PARAMETER_SETS_MAX.
 */
struct playback_parameter_sets {
    unsigned count;
    struct kn_bytes items[PLAYBACK_PARAMETER_SETS_MAX];
};
int playback_h264_parse(struct kn_bytes avcc, struct playback_codec_info *ret, struct kn_err *err)
    KN_MUSTUSE;
int playback_h264_parameter_sets(struct kn_bytes avcc, struct playback_parameter_sets *ret)
    KN_MUSTUSE;
int playback_h265_parse(struct kn_bytes hvcc, struct playback_codec_info *ret, struct kn_err *err)
    KN_MUSTUSE;
/* G.711 in a WAVEFORMATEX, as A_MS/ACM has it. */
int playback_g711_parse(struct kn_bytes format, struct playback_codec_info *ret, struct kn_err *err)
    KN_MUSTUSE;
int playback_aac_parse(struct kn_bytes config, struct playback_codec_info *ret, struct kn_err *err)
    KN_MUSTUSE;
/* The 7 bytes of ADTS before a frame of frame_bytes; -EINVAL when ADTS cannot say it. */
enum {
    PLAYBACK_ADTS_BYTES = 7
};
int playback_aac_adts(const struct playback_codec_info *info, size_t frame_bytes,
                      uint8_t dst[PLAYBACK_ADTS_BYTES]) KN_MUSTUSE;
/* An access unit in which every channel is silent; -EINVAL where the channels have no layout that a
 * number stands for. */
enum {
    PLAYBACK_SILENCE_BYTES_MAX = 32
};
struct playback_silence {
    uint8_t len;
    uint8_t bytes[PLAYBACK_SILENCE_BYTES_MAX];
};
int playback_aac_silence(const struct playback_codec_info *info, struct playback_silence *ret)
    KN_MUSTUSE;

#endif
