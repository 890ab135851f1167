/* SPDX-License-Identifier: Apache-2.0 */
#include "picture.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct picture_decoder {
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
};

static enum AVCodecID codec_of(const char *matroska)
{
    static const struct {
        const char *matroska;
        enum AVCodecID id;
    } known[] = {
        {"V_MPEG4/ISO/AVC",  AV_CODEC_ID_H264 },
        {"V_MPEGH/ISO/HEVC", AV_CODEC_ID_HEVC },
        {"V_MJPEG",          AV_CODEC_ID_MJPEG},
        {"V_VP8",            AV_CODEC_ID_VP8  },
        {"V_VP9",            AV_CODEC_ID_VP9  },
        {"V_AV1",            AV_CODEC_ID_AV1  }
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].matroska, matroska) == 0)
            return known[i].id;
    return AV_CODEC_ID_NONE;
}

int picture_open(const struct kinema_track *track, struct picture_decoder **ret)
{
    const AVCodec *codec = avcodec_find_decoder(codec_of(track->codec_id));
    struct picture_decoder *decoder = calloc(1, sizeof *decoder);
    int code = decoder ? 0 : -ENOMEM;
    if (code == 0) {
        decoder->codec = avcodec_alloc_context3(codec);
        decoder->packet = av_packet_alloc();
        decoder->frame = av_frame_alloc();
        code = decoder->codec && decoder->packet && decoder->frame ? 0 : -ENOMEM;
    }
    if (code == 0 && track->codec_private_len > 0) { /* padded, as decoders want it */
        decoder->codec->extradata =
            av_mallocz(track->codec_private_len + AV_INPUT_BUFFER_PADDING_SIZE);
        code = decoder->codec->extradata ? 0 : -ENOMEM;
    }
    if (code == 0 && track->codec_private_len > 0) {
        memcpy(decoder->codec->extradata, track->codec_private, track->codec_private_len);
        decoder->codec->extradata_size = (int) track->codec_private_len;
    }
    if (code == 0)
        code = codec && avcodec_open2(decoder->codec, codec, NULL) == 0 ? 0 : -ENOTSUP;
    if (code < 0)
        picture_close(decoder);
    else
        *ret = decoder;
    return code;
}

void picture_close(struct picture_decoder *decoder)
{
    if (!decoder)
        return;
    av_frame_free(&decoder->frame);
    av_packet_free(&decoder->packet);
    avcodec_free_context(&decoder->codec);
    free(decoder);
}

/* Of the first plane: for the formats of video that is the luma. */
static void look(const AVCodecContext *codec, const AVFrame *frame, struct picture *ret)
{
    double sum = 0, squares = 0, count = (double) frame->width * frame->height;
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[0] + (ptrdiff_t) y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++) {
            sum += row[x];
            squares += (double) row[x] * row[x];
        }
    }
    const char *format = av_get_pix_fmt_name(frame->format);
    ret->width = frame->width;
    ret->height = frame->height;
    ret->light = sum / count;
    ret->contrast = sqrt(fmax(0, squares / count - ret->light * ret->light));
    snprintf(ret->format, sizeof ret->format, "%s", format ? format : "?");
    snprintf(ret->codec, sizeof ret->codec, "%s", codec->codec->name);
}

int picture_take(struct picture_decoder *decoder, const void *data, size_t len, struct picture *ret)
{
    int code = data ? av_new_packet(decoder->packet, (int) len) : 0;
    if (code == 0 && data)
        memcpy(decoder->packet->data, data, len);
    if (code == 0)
        code = avcodec_send_packet(decoder->codec, data ? decoder->packet : NULL);
    av_packet_unref(decoder->packet);
    if (code == 0)
        code = avcodec_receive_frame(decoder->codec, decoder->frame);
    if (code == 0)
        look(decoder->codec, decoder->frame, ret);
    return code == 0 ? 1 : code == AVERROR(EAGAIN) && data ? 0 : -EBADMSG;
}
