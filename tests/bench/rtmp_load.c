/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same cameras as put_load's, publishing over RTMP: what nginx-rtmp is measured with.
 * Source: Adobe's RTMP specification 1.0, and the FLV tag bodies of "Adobe Flash Video File Format
 * Specification" 10.1, annex E.
 *
 *   rtmp_load --port 1935 --streams 50 --kbps 2000 --seconds 30   to rtmp://127.0.0.1/live/load-N
 */
#include "load.h"

#include <stdio.h>

enum {
    HANDSHAKE_BYTES = 1536,
    CHUNK_BYTES = 4096, /* as OBS sends */
    TYPE_CHUNK_SIZE = 1,
    TYPE_AUDIO = 8,
    TYPE_VIDEO = 9,
    TYPE_COMMAND = 20,
    CHANNEL_CONTROL = 2,
    CHANNEL_COMMAND = 3,
    CHANNEL_AUDIO = 4,
    CHANNEL_VIDEO = 6,
    STREAM = 1, /* what createStream gives a new connection */
};

struct message {
    unsigned channel, type, stream;
    uint32_t at_ms;
};

/* Type 0 chunk head, then type 3 ones; timestamps stay below 2^24 ms (4.6 hours). */
static void message(struct kn_buf *out, const struct message *m, struct kn_bytes head,
                    struct kn_bytes body, size_t chunk_bytes)
{
    uint8_t h[12] = {(uint8_t) m->channel};
    size_t total = head.len + body.len, at = head.len;
    h[1] = (uint8_t) (m->at_ms >> 16);
    kn_put_u16be(h + 2, (uint16_t) m->at_ms);
    h[4] = (uint8_t) (total >> 16);
    kn_put_u16be(h + 5, (uint16_t) total);
    h[7] = (uint8_t) m->type;
    h[8] = (uint8_t) m->stream; /* little endian */
    (void) kn_buf_append(out, h, sizeof h);
    (void) kn_buf_append(out, head.ptr, head.len); /* shorter than a chunk */
    for (size_t room = chunk_bytes - head.len; at < total; room = chunk_bytes) {
        size_t n = kn_min_u64(room, total - at);
        (void) kn_buf_append(out, body.ptr + (at - head.len), n);
        at += n;
        if (at < total)
            (void) kn_buf_append_byte(out, (uint8_t) (0xC0 | m->channel));
    }
}

/* --- AMF0 ------------------------------------------------------------------------------------- */
static void amf_key(struct kn_buf *out, const char *text)
{
    size_t len = strlen(text);
    (void) kn_buf_append_byte(out, (uint8_t) (len >> 8));
    (void) kn_buf_append_byte(out, (uint8_t) len);
    (void) kn_buf_append(out, text, len);
}

static void amf_text(struct kn_buf *out, const char *text)
{
    (void) kn_buf_append_byte(out, 2);
    amf_key(out, text);
}

static void amf_number(struct kn_buf *out, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    (void) kn_buf_append_byte(out, 0);
    (void) kn_buf_append_u64be(out, bits);
}

static void command(struct kn_buf *out, unsigned stream, const struct kn_buf *body)
{
    struct message m = {CHANNEL_COMMAND, TYPE_COMMAND, stream, 0};
    message(out, &m, kn_buf_bytes(body), (struct kn_bytes){0}, CHUNK_BYTES);
}

static void send_commands(struct load_camera *c)
{
    struct message size = {CHANNEL_CONTROL, TYPE_CHUNK_SIZE, 0, 0};
    uint8_t bytes[4];
    char name[64];
    struct kn_buf amf;
    kn_put_u32be(bytes, CHUNK_BYTES);
    message(&c->out, &size, (struct kn_bytes){bytes, sizeof bytes}, (struct kn_bytes){0}, 128);
    kn_buf_init(&amf, 1024);
    amf_text(&amf, "connect");
    amf_number(&amf, 1);
    (void) kn_buf_append_byte(&amf, 3); /* an object */
    amf_key(&amf, "app");
    amf_text(&amf, "live");
    amf_key(&amf, "tcUrl");
    amf_text(&amf, "rtmp://127.0.0.1/live");
    (void) kn_buf_append(&amf, "\0\0\x09", 3);
    command(&c->out, 0, &amf);
    kn_buf_clear(&amf);
    amf_text(&amf, "createStream");
    amf_number(&amf, 2);
    (void) kn_buf_append_byte(&amf, 5); /* null */
    command(&c->out, 0, &amf);
    kn_buf_clear(&amf);
    (void) snprintf(name, sizeof name, "%s%u", load_options.prefix, c->index);
    amf_text(&amf, "publish");
    amf_number(&amf, 3);
    (void) kn_buf_append_byte(&amf, 5);
    amf_text(&amf, name);
    amf_text(&amf, "live");
    command(&c->out, STREAM, &amf);
    kn_buf_done(&amf);
}

static void send_codecs(struct load_camera *c)
{
    static const uint8_t avc[] = {0x17, 0,    0,    0,    0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4,
                                  0x67, 0x42, 0xc0, 0x1e, 1, 0, 4,    0x68, 0xce, 0x3c, 0x80};
    static const uint8_t aac[] = {0xaf, 0, 0x11, 0x90};
    struct message video = {CHANNEL_VIDEO, TYPE_VIDEO, STREAM, 0};
    struct message audio = {CHANNEL_AUDIO, TYPE_AUDIO, STREAM, 0};
    message(&c->out, &video, (struct kn_bytes){avc, sizeof avc}, (struct kn_bytes){0}, CHUNK_BYTES);
    if (!load_options.no_audio)
        message(&c->out, &audio, (struct kn_bytes){aac, sizeof aac}, (struct kn_bytes){0},
                CHUNK_BYTES);
}

/* --- the protocol ----------------------------------------------------------------------------- */
static void rtmp_open(struct load_camera *c)
{
    static const uint8_t zeros[HANDSHAKE_BYTES];
    (void) kn_buf_append_byte(&c->out, 3);
    (void) kn_buf_append(&c->out, zeros, sizeof zeros); /* C1: the simple handshake */
    (void) kn_buf_append(&c->out, zeros, sizeof zeros); /* C2: nobody looks at it */
    send_commands(c);
    send_codecs(c);
}

static void rtmp_frame(struct load_camera *c, const struct load_frame *frame)
{
    uint8_t head[5] = {frame->video ? (frame->key ? 0x17 : 0x27) : 0xaf, 1};
    struct message m = {frame->video ? CHANNEL_VIDEO : CHANNEL_AUDIO,
                        frame->video ? TYPE_VIDEO : TYPE_AUDIO, STREAM, (uint32_t) frame->at_ms};
    message(&c->out, &m, (struct kn_bytes){head, frame->video ? 5 : 2}, frame->bytes, CHUNK_BYTES);
}

static void rtmp_end(struct load_camera *c)
{
    struct kn_buf amf;
    kn_buf_init(&amf, 256);
    amf_text(&amf, "deleteStream");
    amf_number(&amf, 4);
    (void) kn_buf_append_byte(&amf, 5);
    amf_number(&amf, STREAM);
    command(&c->out, 0, &amf);
    kn_buf_done(&amf);
}

static void rtmp_received(struct load_camera *c, struct kn_bytes bytes)
{
    (void) c; /* answers to the commands, and how much was received */
    (void) bytes;
}

static void rtmp_report(void)
{
}

int main(int argc, char **argv)
{
    static const struct load_protocol protocol = {
        .name = "rtmp_load",
        .half_close = true,
        .open = rtmp_open,
        .frame = rtmp_frame,
        .end = rtmp_end,
        .received = rtmp_received,
        .report = rtmp_report,
    };
    return load_main(argc, argv, &protocol);
}
