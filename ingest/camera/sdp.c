/* SPDX-License-Identifier: Apache-2.0 */
#include "sdp.h"

#include "core/crypto.h"

/* Payload types that need no a=rtpmap (RFC 3551, 6). */
static void set_static(struct camera_media *m)
{
    if (m->payload_type != 0 && m->payload_type != 8)
        return;
    m->encoding = m->payload_type == 0 ? KN_STR("PCMU") : KN_STR("PCMA");
    m->hz = 8000;
    m->channels = 1;
}

/* "video 0 RTP/AVP 96 97": the first payload type counts. */
static bool read_media(struct kn_str value, struct camera_media *ret)
{
    struct kn_str port, type;
    uint64_t number;
    value = kn_str_cut(value, ' ', &ret->media);
    value = kn_str_cut(value, ' ', &port);
    value = kn_str_cut(value, ' ', &ret->profile);
    (void) kn_str_cut(value, ' ', &type);
    if (!kn_str_starts_with(ret->profile, KN_STR("RTP/")) || kn_str_to_u64(type, 127, &number) < 0)
        return false;
    ret->payload_type = (unsigned) number;
    ret->secure = kn_str_starts_with(ret->profile, KN_STR("RTP/SAVP"));
    set_static(ret);
    return true;
}

/* What follows the number of the payload type, if it is this one's. */
static bool is_of(struct kn_str value, const struct camera_media *m, struct kn_str *ret)
{
    struct kn_str type;
    uint64_t number;
    *ret = kn_str_trim(kn_str_cut(value, ' ', &type));
    return kn_str_to_u64(type, 127, &number) == 0 && number == m->payload_type;
}

/* "H264/90000", "OPUS/48000/2" */
static void read_rtpmap(struct kn_str value, struct camera_media *m)
{
    struct kn_str hz, channels;
    uint64_t number;
    value = kn_str_cut(value, '/', &m->encoding);
    channels = kn_str_cut(value, '/', &hz);
    m->hz = kn_str_to_u64(kn_str_trim(hz), 1000000, &number) == 0 ? (unsigned) number : 0;
    m->channels = kn_str_to_u64(kn_str_trim(channels), 64, &number) == 0 ? (unsigned) number : 0;
}

static void read_attribute(struct kn_str value, struct camera_sdp *sdp, struct camera_media *m)
{
    struct kn_str name, rest = kn_str_cut(value, ':', &name), of;
    if (kn_str_eq(name, KN_STR("control"))) {
        *(m ? &m->control : &sdp->control) = kn_str_trim(rest);
    } else if (m && kn_str_eq(name, KN_STR("rtpmap")) && is_of(rest, m, &of)) {
        read_rtpmap(of, m);
    } else if (m && kn_str_eq(name, KN_STR("fmtp")) && is_of(rest, m, &of)) {
        m->fmtp = of;
    } else if (m && kn_str_eq(name, KN_STR("key-mgmt"))) {
        m->key_mgmt = kn_str_trim(rest);
    } else if (m && kn_str_eq(name, KN_STR("crypto")) && m->crypto_count < CAMERA_CRYPTO_MAX) {
        m->crypto[m->crypto_count++] = kn_str_trim(rest);
    }
}

void camera_sdp_read(struct kn_str text, struct camera_sdp *ret)
{
    struct camera_media *media = NULL, passed_over = {0};
    *ret = (struct camera_sdp){0};
    while (text.len > 0) {
        struct kn_str line;
        text = kn_str_cut(text, '\n', &line);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (kn_str_starts_with(line, KN_STR("m="))) {
            media = ret->count < CAMERA_MEDIA_MAX ? &ret->media[ret->count] : &passed_over;
            *media = (struct camera_media){0};
            if (!read_media(kn_str_skip(line, 2), media))
                media = &passed_over;
            else if (media != &passed_over)
                ret->count++;
        } else if (kn_str_starts_with(line, KN_STR("a="))) {
            read_attribute(kn_str_skip(line, 2), ret, media);
        }
    }
}

int camera_base64(struct kn_str text, struct kn_buf *dst)
{
    char tail[4] = {'=', '=', '=', '='};
    while (text.len > 0 && text.ptr[text.len - 1] == '=')
        text.len--;
    size_t whole = text.len - text.len % 4, rest = text.len % 4;
    int r = kn_base64_decode((struct kn_str){text.ptr, whole}, false, dst);
    if (r < 0 || rest == 0)
        return r;
    memcpy(tail, text.ptr + whole, rest);
    return kn_base64_decode((struct kn_str){tail, sizeof tail}, false, dst);
}

struct kn_str camera_fmtp(struct kn_str fmtp, struct kn_str name)
{
    while (fmtp.len > 0) {
        struct kn_str one, key;
        fmtp = kn_str_cut(fmtp, ';', &one);
        struct kn_str value = kn_str_cut(kn_str_trim(one), '=', &key);
        if (kn_str_eq_nocase(kn_str_trim(key), name))
            return kn_str_trim(value);
    }
    return (struct kn_str){NULL, 0};
}
