/* SPDX-License-Identifier: Apache-2.0 */
/* What kinema_ts.so offers: libavformat's MPEG-TS muxer and nothing else. The program looks the
 * table up by name; a table of another version is refused. */
#ifndef PLAYBACK_TS_MODULE_H
#define PLAYBACK_TS_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAYBACK_TS_MODULE_VERSION = 1,
    PLAYBACK_TS_TRACKS_MAX = 2
};
#define PLAYBACK_TS_MODULE_SYMBOL "kinema_ts_module"

enum playback_ts_codec {
    PLAYBACK_TS_H264, /* Annex B access units */
    PLAYBACK_TS_AAC,  /* ADTS frames */
};

struct playback_ts_mux_conf {
    unsigned track_count;
    enum playback_ts_codec codecs[PLAYBACK_TS_TRACKS_MAX];
    uint32_t sample_hz[PLAYBACK_TS_TRACKS_MAX];                /* of audio */
    void (*sink)(void *ctx, const uint8_t *bytes, size_t len); /* takes what comes out */
    void *ctx;
};

struct playback_ts_packet {
    unsigned track;         /* index into codecs */
    int64_t shown, decoded; /* 90 kHz */
    bool key;
    const uint8_t *bytes;
    size_t len;
};

struct playback_ts_mux;
struct playback_ts_module { /* results: 0 or a negative errno */
    uint32_t version;
    int (*open)(const struct playback_ts_mux_conf *conf, struct playback_ts_mux **ret);
    int (*write)(struct playback_ts_mux *mux, const struct playback_ts_packet *packet);
    int (*finish)(struct playback_ts_mux *mux); /* flushes; nothing may follow */
    void (*close)(struct playback_ts_mux *mux);
};

#endif
