/* SPDX-License-Identifier: Apache-2.0 */
#include "picture.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    IO_BYTES = 32 << 10
};

struct memory {
    const uint8_t *ptr;
    size_t len, at;
};

static int read_memory(void *ctx, uint8_t *dst, int cap)
{
    struct memory *memory = ctx;
    size_t left = memory->len - memory->at, n = left < (size_t) cap ? left : (size_t) cap;
    if (n == 0)
        return AVERROR_EOF;
    memcpy(dst, memory->ptr + memory->at, n);
    memory->at += n;
    return (int) n;
}

/* Of the first plane: for the formats of video that is the luma. */
static void look(const AVFrame *frame, struct picture *ret)
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
}

/* Packets into the decoder until a picture comes out; at the end it is asked for what it holds. */
static int decode_first(AVFormatContext *input, int track, AVCodecContext *decoder,
                        AVPacket *packet, AVFrame *frame)
{
    int code = avcodec_receive_frame(decoder, frame);
    while (code == AVERROR(EAGAIN)) {
        code = av_read_frame(input, packet);
        if (code == 0 && packet->stream_index == track)
            code = avcodec_send_packet(decoder, packet);
        else if (code < 0)
            code = avcodec_send_packet(decoder, NULL);
        av_packet_unref(packet);
        if (code < 0)
            return code;
        code = avcodec_receive_frame(decoder, frame);
    }
    return code;
}

static int decode(AVFormatContext *input, struct picture *ret)
{
    const AVCodec *codec = NULL;
    int track = av_find_best_stream(input, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (track < 0)
        return track;
    AVCodecContext *decoder = avcodec_alloc_context3(codec);
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int code = decoder && packet && frame ? 0 : AVERROR(ENOMEM);
    if (code == 0)
        code = avcodec_parameters_to_context(decoder, input->streams[track]->codecpar);
    if (code >= 0)
        code = avcodec_open2(decoder, codec, NULL);
    if (code >= 0)
        code = decode_first(input, track, decoder, packet, frame);
    if (code >= 0) {
        look(frame, ret);
        snprintf(ret->codec, sizeof ret->codec, "%s", codec->name);
    }
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&decoder);
    return code;
}

int picture_first(const uint8_t *mkv, size_t len, struct picture *ret)
{
    struct memory memory = {mkv, len, 0};
    uint8_t *buffer = av_malloc(IO_BYTES);
    AVIOContext *io =
        buffer ? avio_alloc_context(buffer, IO_BYTES, 0, &memory, read_memory, NULL, NULL) : NULL;
    AVFormatContext *input = avformat_alloc_context();
    int code = io && input ? 0 : AVERROR(ENOMEM);
    *ret = (struct picture){0};
    if (code == 0) {
        input->pb = io;
        code = avformat_open_input(&input, NULL, av_find_input_format("matroska"), NULL);
    }
    if (code == 0)
        code = decode(input, ret);
    avformat_close_input(&input);
    if (io)
        av_freep(&io->buffer);
    else
        av_free(buffer);
    avio_context_free(&io);
    return code < 0 ? code : 0;
}
