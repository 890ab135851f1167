/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a camera says and sends, as far as it is read by us. The first byte chooses: an RTSP message
 * with its challenges; or a session description with its keys up to the first NUL, and then
 * packets, a byte of length before each, for every stream of it; a length of 0 stands for 300
 * packets lost. Whatever comes: no overrun, and frames are made of units whose lengths add up.
 */
#include "message.h"
#include "mikey.h"
#include "rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum {
    STREAMS_MAX = 3
};

struct stream {
    struct camera_rtp rtp;
};

static void on_described(void *ctx)
{
    const struct stream *s = ctx;
    kn_assert(*s->rtp.track.codec_id);
    kn_assert(s->rtp.track.type != KN_MKV_VIDEO ||
              (s->rtp.track.pixel_width && s->rtp.track.codec_private.len));
}

static void on_frame(void *ctx, uint32_t time, bool key, struct kn_bytes bytes)
{
    const struct stream *s = ctx;
    struct kn_reader r = kn_reader_of(bytes);
    uint32_t unit;
    struct kn_bytes part;
    (void) time;
    (void) key;
    kn_assert(s->rtp.described);
    while (s->rtp.track.type == KN_MKV_VIDEO && kn_reader_left(&r) > 0) {
        int code = kn_read_u32be(&r, &unit);
        kn_assert(code == 0);
        code = kn_read_bytes(&r, unit, &part);
        kn_assert(code == 0 && unit > 0);
    }
}

static void try_message(struct kn_bytes in)
{
    struct rtsp_message message;
    struct rtsp_auth auth;
    struct kn_buf out;
    size_t taken = 0;
    if (rtsp_message_read(in, &taken, &message) < 0)
        return;
    kn_assert(taken > 0 && taken <= in.len);
    (void) rtsp_parameter(rtsp_header(&message, KN_STR("Transport")), ';', KN_STR("interleaved"));
    rtsp_auth_read(&message, &auth);
    kn_buf_init(&out, KIB(8));
    rtsp_auth_write(&auth, "user", "password", "SETUP", "rtsp://camera/", &out);
    kn_assert(out.error == 0);
    kn_buf_done(&out);
}

/* A key that is believed is as long as its suite wants. */
static void try_keys(const struct camera_media *media)
{
    struct camera_srtp_key key;
    int r = camera_mikey_read(media->key_mgmt, &key);
    for (unsigned i = 0; i <= media->crypto_count; i++) {
        kn_assert(r == 0
                      ? key.len == camera_srtp_key_len(key.suite) + camera_srtp_salt_len(key.suite)
                      : key.len == 0);
        kn_assert(key.mki_len <= CAMERA_SRTP_MKI_BYTES_MAX);
        if (i < media->crypto_count)
            r = camera_srtp_key_read(media->crypto[i], &key);
    }
}

static void send_all(struct stream *streams, unsigned count, struct kn_bytes in)
{
    uint8_t packet[12 + 255];
    uint16_t sequence = 0;
    while (in.len > 0 && count > 0) {
        size_t len = kn_min_u64(in.ptr[0], in.len - 1);
        struct stream *to = &streams[len % count];
        bool raw = len % 16 == 15; /* its header too */
        sequence = (uint16_t) (sequence + (in.ptr[0] ? 1 : 300));
        memset(packet, 0, 12);
        packet[0] = 0x80;
        packet[1] = (uint8_t) (to->rtp.payload_type | (len % 3 ? 0 : 0x80));
        kn_put_u16be(packet + 2, sequence);
        packet[6] = (uint8_t) (len % 5);
        memcpy(packet + 12, in.ptr + 1, len);
        camera_rtp_packet(&to->rtp, raw ? (struct kn_bytes){in.ptr + 1, len}
                                        : (struct kn_bytes){packet, 12 + len});
        in = kn_bytes_skip(in, 1 + len);
    }
}

static void try_session(struct kn_bytes in)
{
    static const struct camera_rtp_ops ops = {on_described, on_frame};
    const uint8_t *end = memchr(in.ptr, 0, in.len);
    size_t text = end ? (size_t) (end - in.ptr) : in.len;
    struct camera_sdp sdp;
    struct stream streams[STREAMS_MAX];
    unsigned count = 0;
    camera_sdp_read((struct kn_str){(const char *) in.ptr, text}, &sdp);
    for (unsigned i = 0; i < sdp.count && count < STREAMS_MAX; i++) {
        try_keys(&sdp.media[i]);
        if (camera_rtp_init(&streams[count].rtp, &sdp.media[i], &ops, &streams[count]) == 0)
            count++;
    }
    send_all(streams, count, kn_bytes_skip(in, end ? text + 1 : text));
    for (unsigned i = 0; i < count; i++)
        camera_rtp_done(&streams[i].rtp);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    struct kn_bytes in = {bytes + 1, len - 1};
    if (bytes[0] % 2)
        try_session(in);
    else
        try_message(in);
    return 0;
}
