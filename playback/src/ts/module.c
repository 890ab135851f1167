/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinema_ts.so: the one place that links libavformat. It muxes packets whose framing the caller has
 * already made (Annex B, ADTS), so no parser or decoder of libav* sees foreign bytes.
 */
#include "ts/module.h"

#include <errno.h>
#include <libavformat/avformat.h>
#include <stdlib.h>

enum {
    OUTPUT_BYTES = 64 * 188
};

struct playback_ts_mux {
    struct playback_ts_mux_conf conf;
    AVFormatContext *format;
    AVPacket *packet;
    bool begun;
};

extern const struct playback_ts_module kinema_ts_module;

static int put(void *ctx, uint8_t *bytes, int len)
{
    struct playback_ts_mux *mux = ctx;
    mux->conf.sink(mux->conf.ctx, bytes, (size_t) len);
    return len;
}

static void mux_close(struct playback_ts_mux *mux)
{
    if (!mux)
        return;
    if (mux->format && mux->format->pb) {
        av_freep(&mux->format->pb->buffer);
        avio_context_free(&mux->format->pb);
    }
    avformat_free_context(mux->format);
    av_packet_free(&mux->packet);
    free(mux);
}

static int add_streams(struct playback_ts_mux *mux)
{
    for (unsigned i = 0; i < mux->conf.track_count; i++) {
        AVStream *stream = avformat_new_stream(mux->format, NULL);
        if (!stream)
            return -ENOMEM;
        bool h264 = mux->conf.codecs[i] == PLAYBACK_TS_H264;
        stream->codecpar->codec_type = h264 ? AVMEDIA_TYPE_VIDEO : AVMEDIA_TYPE_AUDIO;
        stream->codecpar->codec_id = h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_AAC;
        stream->codecpar->sample_rate = (int) mux->conf.sample_hz[i];
        stream->time_base = (AVRational){1, 90000};
    }
    return 0;
}

static int begin(struct playback_ts_mux *mux)
{
    if (avformat_alloc_output_context2(&mux->format, NULL, "mpegts", NULL) < 0)
        return -ENOMEM;
    uint8_t *buffer = av_malloc(OUTPUT_BYTES);
    if (!buffer)
        return -ENOMEM;
    mux->format->pb = avio_alloc_context(buffer, OUTPUT_BYTES, 1, mux, NULL, put, NULL);
    if (!mux->format->pb) {
        av_free(buffer);
        return -ENOMEM;
    }
    mux->format->flags |= AVFMT_FLAG_BITEXACT; /* the same fragment gives the same bytes */
    int r = add_streams(mux);
    if (r < 0)
        return r;
    AVDictionary *options = NULL;
    av_dict_set(&options, "mpegts_copyts", "1", 0); /* our times, without a preload */
    /* segments are made apart: each says that its counters begin anew */
    av_dict_set(&options, "mpegts_flags", "+initial_discontinuity+resend_headers", 0);
    r = avformat_write_header(mux->format, &options);
    av_dict_free(&options);
    mux->begun = r >= 0;
    return r < 0 ? -EIO : 0;
}

static int mux_open(const struct playback_ts_mux_conf *conf, struct playback_ts_mux **ret)
{
    struct playback_ts_mux *mux = calloc(1, sizeof *mux);
    if (!mux)
        return -ENOMEM;
    mux->conf = *conf;
    mux->packet = av_packet_alloc();
    int r = mux->packet && conf->track_count <= PLAYBACK_TS_TRACKS_MAX ? begin(mux) : -ENOMEM;
    if (r < 0) {
        mux_close(mux);
        return r;
    }
    *ret = mux;
    return 0;
}

static int mux_write(struct playback_ts_mux *mux, const struct playback_ts_packet *in)
{
    if (in->len > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE || in->track >= mux->conf.track_count)
        return -EMSGSIZE;
    AVPacket *packet = mux->packet;
    av_packet_unref(packet);
    packet->data = (uint8_t *) (uintptr_t) in->bytes; /* borrowed: the muxer copies */
    packet->size = (int) in->len;
    packet->pts = in->shown;
    packet->dts = in->decoded;
    packet->stream_index = (int) in->track;
    packet->flags = in->key ? AV_PKT_FLAG_KEY : 0;
    int r = av_write_frame(mux->format, packet);
    return r == AVERROR(ENOMEM) ? -ENOMEM : r < 0 ? -EIO : 0;
}

static int mux_finish(struct playback_ts_mux *mux)
{
    if (mux->begun && av_write_trailer(mux->format) < 0)
        return -EIO;
    mux->begun = false;
    avio_flush(mux->format->pb);
    return 0;
}

const struct playback_ts_module kinema_ts_module = {.version = PLAYBACK_TS_MODULE_VERSION,
                                                    .open = mux_open,
                                                    .write = mux_write,
                                                    .finish = mux_finish,
                                                    .close = mux_close};
