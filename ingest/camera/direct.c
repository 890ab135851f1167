/* SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"

#include "clock.h"
#include "link.h"
#include "message.h"
#include "mikey.h"
#include "rtcp.h"
#include "rtp.h"
#include "srtp.h"
#include "url.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>

static const uint32_t own_ssrc = 0x4b494e45; /* of our receiver reports */

enum {
    STREAMS_MAX = 3, /* as PutMedia takes tracks */
    HELD_BYTES_MAX = 16 << 20,
    HELD_MS = 1500, /* frames are kept back until all tracks are known, so long at most */
    PORT = 554,
    PORT_TLS = 322,
    KEEP_ALIVE_S = 25, /* sessions end after 60 s and more */
    REPORT_S = 5,      /* between receiver reports, by which some cameras know that we live */
};

enum step {
    CONNECTING,
    OPTIONS,
    DESCRIBE,
    SETUP,
    PLAY,
    PLAYING,
    OVER /* it has failed, and waits to be stopped */
};

struct stream {
    struct camera_direct *direct;
    unsigned number, channel;
    char *control;
    char *transport, *key_mgmt; /* of its SETUP; key_mgmt: our key, where a camera wants it */
    struct camera_rtp rtp;
    struct camera_srtp *srtp; /* NULL: it is not encrypted */
    unsigned mkv_number;      /* 0: not in the header */
    uint32_t report_ntp;      /* middle of the last sender report's time */
    gint64 report_us;
};

struct held {
    struct stream *stream;
    int64_t time_ms;
    bool key;
    GBytes *bytes;
};

struct camera_direct {
    struct camera_direct_ops ops;
    void *ctx;
    char *url, *user, *password;
    gint64 timeout_us, heard_us, asked_us, reported_us;
    enum step step;
    struct camera_link *link;

    unsigned cseq;
    char session[128];
    bool get_parameter, authorized; /* authorized: a challenge was answered */
    struct rtsp_auth auth;
    struct camera_clock clock;
    struct stream streams[STREAMS_MAX];
    unsigned count, set_up;
    char *base, *play_url;

    bool started; /* a header was given */
    GQueue held;  /* of struct held, until then */
    size_t held_bytes;
    int64_t now_ms, held_ms;
};

/* --- ends ------------------------------------------------------------------------------------- */
static void fail(struct camera_direct *d, enum camera_fault fault, const char *said)
{
    if (d->step == OVER)
        return;
    d->step = OVER;
    camera_link_close(d->link);
    d->ops.to.failed(d->ctx, fault, said);
}

static void unable(struct camera_direct *d)
{
    d->step = OVER;
    camera_link_close(d->link);
    d->ops.unable(d->ctx);
}

/* --- frames ----------------------------------------------------------------------------------- */
static void give(struct camera_direct *d, struct stream *s, int64_t time_ms, bool key,
                 struct kn_bytes bytes)
{
    const struct camera_frame frame = {.track = s->mkv_number,
                                       .video = s->rtp.track.type == KN_MKV_VIDEO,
                                       .key = key,
                                       .time_ms = time_ms,
                                       .bytes = bytes};
    if (s->mkv_number && bytes.len > 0 && d->step != OVER)
        d->ops.to.frame(d->ctx, &frame);
}

static void give_header(struct camera_direct *d)
{
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000};
    for (unsigned i = 0; i < d->count; i++) {
        struct stream *s = &d->streams[i];
        if (!s->rtp.described)
            continue;
        header.tracks[header.track_count] = s->rtp.track;
        s->mkv_number = ++header.track_count;
        header.tracks[header.track_count - 1].number = s->mkv_number;
    }
    d->started = true;
    d->ops.to.header(d->ctx, &header);
}

static void let_held_go(struct camera_direct *d, bool give_them)
{
    for (struct held *h; (h = g_queue_pop_head(&d->held));) {
        gsize len;
        const uint8_t *ptr = g_bytes_get_data(h->bytes, &len);
        if (give_them)
            give(d, h->stream, h->time_ms, h->key, (struct kn_bytes){ptr, len});
        g_bytes_unref(h->bytes);
        g_free(h);
    }
    d->held_bytes = 0;
}

static bool all_described(const struct camera_direct *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        if (!d->streams[i].rtp.described)
            return false;
    }
    return true;
}

static void hold(struct camera_direct *d, struct stream *s, int64_t time_ms, bool key,
                 struct kn_bytes bytes)
{
    struct held *h = g_new(struct held, 1);
    *h = (struct held){s, time_ms, key, g_bytes_new(bytes.ptr, bytes.len)};
    if (g_queue_is_empty(&d->held))
        d->held_ms = d->now_ms;
    g_queue_push_tail(&d->held, h);
    d->held_bytes += bytes.len;
    bool late = d->held_bytes > HELD_BYTES_MAX || d->now_ms < d->held_ms ||
                d->now_ms - d->held_ms > HELD_MS;
    if (!all_described(d) && !late)
        return;
    give_header(d);
    let_held_go(d, true);
}

static void on_described(void *ctx)
{
    struct stream *s = ctx;
    if (s->direct->started)
        give_header(s->direct);
}

static void on_frame(void *ctx, uint32_t time, bool key, struct kn_bytes bytes)
{
    struct stream *s = ctx;
    struct camera_direct *d = s->direct;
    int64_t time_ms = camera_clock_frame(&d->clock, s->number, time, d->now_ms);
    if (s->rtp.codec != CAMERA_METADATA)
        d->heard_us = g_get_monotonic_time();
    if (d->started)
        give(d, s, time_ms, key, bytes);
    else
        hold(d, s, time_ms, key, bytes);
}

/* --- requests --------------------------------------------------------------------------------- */
static void ask(struct camera_direct *d, const char *method, const char *url, const char *headers)
{
    struct kn_buf *out = camera_link_out(d->link);
    (void) kn_buf_printf(out, "%s %s RTSP/1.0\r\nCSeq: %u\r\nUser-Agent: Kinema/%s\r\n", method,
                         url, ++d->cseq, KINEMA_VERSION);
    if (*d->session)
        (void) kn_buf_printf(out, "Session: %s\r\n", d->session);
    if (d->user)
        rtsp_auth_write(&d->auth, d->user, d->password ? d->password : "", method, url, out);
    (void) kn_buf_printf(out, "%s\r\n", headers);
    d->asked_us = g_get_monotonic_time();
    camera_link_flush(d->link);
}

static void ask_step(struct camera_direct *d)
{
    const struct stream *s = &d->streams[d->set_up];
    char *headers;
    switch (d->step) {
    case OPTIONS:
        ask(d, "OPTIONS", d->url, "");
        break;
    case DESCRIBE:
        ask(d, "DESCRIBE", d->url, "Accept: application/sdp\r\n");
        break;
    case SETUP:
        headers = g_strdup_printf("Transport: %s;unicast;interleaved=%u-%u\r\n%s", s->transport,
                                  2 * d->set_up, 2 * d->set_up + 1, s->key_mgmt);
        ask(d, "SETUP", s->control, headers);
        g_free(headers);
        break;
    case PLAY:
        ask(d, "PLAY", d->play_url, "Range: npt=0.000-\r\n");
        break;
    case PLAYING:
        ask(d, d->get_parameter ? "GET_PARAMETER" : "OPTIONS", d->play_url, "");
        break;
    case CONNECTING:
    case OVER:
        break;
    }
}

static void go_to(struct camera_direct *d, enum step step)
{
    d->step = step;
    d->authorized = false;
    ask_step(d);
}

/* --- what the camera offers ------------------------------------------------------------------- */
static char *text_of(struct kn_str s)
{
    return g_strndup(s.ptr ? s.ptr : "", s.len);
}

/* An encoding that GStreamer's way knows (track.c), in a form that this one does not. */
static bool is_for_gstreamer(const struct camera_media *media)
{
    static const char *const names[] = {"H264", "H265", "MPEG4-GENERIC", "MP4A-LATM", "OPUS"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (kn_str_eq_nocase(media->encoding, kn_str_from(names[i])))
            return true;
    }
    return false;
}

/* The first key that we know. */
static int key_of(const struct camera_media *media, struct camera_srtp_key *ret)
{
    int r = -ENOTSUP;
    if (media->key_mgmt.len > 0)
        return camera_mikey_read(media->key_mgmt, ret);
    for (unsigned i = 0; r < 0 && i < media->crypto_count; i++)
        r = camera_srtp_key_read(media->crypto[i], ret);
    return r;
}

static bool can_open(const struct camera_media *media)
{
    struct camera_srtp_key key;
    if (!media->secure)
        return true;
    struct camera_srtp *trial = key_of(media, &key) < 0 ? NULL : camera_srtp_new(&key, &key, 1);
    camera_srtp_free(trial);
    camera_srtp_key_wipe(&key);
    return trial != NULL;
}

/* MIKEY lets each side tell its key (RFC 4567, 4.3). Without it RTSP has no word for ours, and the
 * camera's is used both ways, as its stream and ours have numbers (SSRC) of their own. */
static bool encrypt(struct stream *s, const struct camera_media *media)
{
    struct camera_srtp_key theirs, ours;
    struct kn_buf header;
    if (key_of(media, &theirs) < 0)
        return false;
    kn_buf_init(&header, CAMERA_MIKEY_BYTES_MAX);
    ours = theirs;
    if (media->key_mgmt.len > 0) {
        camera_srtp_key_make(theirs.suite, &ours);
        (void) kn_buf_printf(&header, "KeyMgmt: ");
        camera_mikey_write(&ours, own_ssrc, s->control, g_get_real_time() / 1000, &header);
        (void) kn_buf_printf(&header, "\r\n");
    }
    s->srtp = header.error ? NULL : camera_srtp_new(&theirs, &ours, own_ssrc);
    if (s->srtp) {
        g_free(s->key_mgmt);
        s->key_mgmt = text_of(kn_buf_str(&header));
    }
    camera_srtp_wipe(&header);
    camera_srtp_key_wipe(&theirs);
    camera_srtp_key_wipe(&ours);
    return s->srtp != NULL;
}

/* False: it is encrypted, and we cannot open it. */
static bool choose(struct camera_direct *d, const struct camera_media *media)
{
    static const struct camera_rtp_ops ops = {on_described, on_frame};
    struct stream *s = &d->streams[d->count];
    if (d->count == STREAMS_MAX) {
        s = NULL;
    } else {
        *s = (struct stream){.direct = d, .number = d->count};
        s = camera_rtp_init(&s->rtp, media, &ops, s) < 0 ? NULL : s;
    }
    if (!s) {
        char *kind = text_of(media->media), *encoding = text_of(media->encoding);
        d->ops.to.left_out(d->ctx, kind, *encoding ? encoding : "?");
        g_free(kind);
        g_free(encoding);
        return true;
    }
    s->control = camera_url_control(d->base, media->control);
    char *profile = media->secure ? text_of(media->profile) : g_strdup("RTP/AVP");
    s->transport = g_strconcat(profile, "/TCP", NULL);
    g_free(profile);
    s->key_mgmt = g_strdup("");
    camera_clock_stream(&d->clock, s->number, s->rtp.hz);
    d->count++;
    return !media->secure || encrypt(s, media);
}

static bool direct_can(const struct camera_sdp *sdp)
{
    static const struct camera_rtp_ops ops = {on_described, on_frame};
    for (unsigned i = 0; i < sdp->count; i++) {
        struct camera_direct nobody = {.step = OVER};
        struct stream trial = {.direct = &nobody};
        bool good = camera_rtp_init(&trial.rtp, &sdp->media[i], &ops, &trial) == 0;
        if (good)
            camera_rtp_done(&trial.rtp);
        if (good ? !can_open(&sdp->media[i]) : is_for_gstreamer(&sdp->media[i]))
            return false;
    }
    return true;
}

static void on_description(struct camera_direct *d, const struct rtsp_message *answer)
{
    struct camera_sdp sdp;
    struct kn_str base = rtsp_header(answer, KN_STR("Content-Base"));
    if (base.len == 0)
        base = rtsp_header(answer, KN_STR("Content-Location"));
    camera_sdp_read(kn_str_of(answer->body), &sdp);
    if (!direct_can(&sdp)) {
        unable(d);
        return;
    }
    d->base = base.len > 0 ? text_of(base) : g_strdup(d->url);
    d->play_url = camera_url_control(d->base, sdp.control);
    for (unsigned i = 0; i < sdp.count; i++) {
        if (!choose(d, &sdp.media[i])) { /* libsrtp had it before */
            unable(d);
            return;
        }
    }
    bool some = false;
    for (unsigned i = 0; i < d->count; i++)
        some |= d->streams[i].rtp.codec != CAMERA_METADATA;
    if (!some)
        fail(d, CAMERA_UNSUPPORTED, "the camera offers no stream that can be stored");
    else
        go_to(d, SETUP);
}

static void on_set_up(struct camera_direct *d, const struct rtsp_message *answer)
{
    struct kn_str id, channel, transport = rtsp_header(answer, KN_STR("Transport")),
                               channels = rtsp_parameter(transport, ';', KN_STR("interleaved"));
    uint64_t number = 2 * d->set_up;
    (void) kn_str_cut(rtsp_header(answer, KN_STR("Session")), ';', &id);
    (void) kn_str_cut(channels, '-', &channel);
    if (id.len > 0 && kn_str_copy(d->session, sizeof d->session, id) < 0) {
        fail(d, CAMERA_BROKEN, "the camera's session id is too long");
        return;
    }
    if (channel.len > 0 && kn_str_to_u64(channel, 254, &number) < 0)
        number = 2 * d->set_up;
    d->streams[d->set_up++].channel = (unsigned) number;
    go_to(d, d->set_up < d->count ? SETUP : PLAY);
}

/* --- answers ---------------------------------------------------------------------------------- */
static void on_refusal(struct camera_direct *d, const struct rtsp_message *answer)
{
    static const char *const names[] = {[OPTIONS] = "OPTIONS",
                                        [DESCRIBE] = "DESCRIBE",
                                        [SETUP] = "SETUP",
                                        [PLAY] = "PLAY",
                                        [PLAYING] = "a request"};
    char said[160];
    if (answer->status == 401 && d->user && !d->authorized) {
        rtsp_auth_read(answer, &d->auth);
        d->authorized = true;
        if (d->auth.scheme != RTSP_AUTH_NONE) {
            ask_step(d);
            return;
        }
    }
    if (answer->status == 401 || answer->status == 403) {
        fail(d, CAMERA_UNAUTHORIZED, "the camera does not accept user and password");
    } else if (answer->status == 404) {
        fail(d, CAMERA_NOT_FOUND, "the camera has no stream at this path");
    } else if (answer->status >= 300 && answer->status < 400) {
        unable(d);
    } else {
        g_snprintf(said, sizeof said, "the camera refuses %s: %u", names[d->step], answer->status);
        fail(d, CAMERA_BROKEN, said);
    }
}

static void on_answer(struct camera_direct *d, const struct rtsp_message *answer)
{
    uint64_t cseq;
    if (kn_str_to_u64(rtsp_header(answer, KN_STR("CSeq")), UINT32_MAX, &cseq) == 0 &&
        cseq != d->cseq)
        return; /* of a request that nobody waits for */
    bool optional = d->step == OPTIONS || d->step == PLAYING;
    if (answer->status != 200 && !(optional && answer->status != 401)) {
        on_refusal(d, answer);
        return;
    }
    switch (d->step) {
    case OPTIONS: {
        struct kn_str able = rtsp_header(answer, KN_STR("Public"));
        d->get_parameter = able.len > 0 && memmem(able.ptr, able.len, "GET_PARAMETER", 13);
        go_to(d, DESCRIBE);
        break;
    }
    case DESCRIBE:
        on_description(d, answer);
        break;
    case SETUP:
        on_set_up(d, answer);
        break;
    case PLAY:
        d->step = PLAYING;
        d->reported_us = g_get_monotonic_time();
        break;
    case CONNECTING:
    case PLAYING:
    case OVER:
        break;
    }
}

/* A request of the camera's: that we are there is all it wants to know. */
static void on_request(struct camera_direct *d, const struct rtsp_message *request)
{
    struct kn_str cseq = rtsp_header(request, KN_STR("CSeq"));
    (void) kn_buf_printf(camera_link_out(d->link), "RTSP/1.0 200 OK\r\nCSeq: %.*s\r\n\r\n",
                         (int) cseq.len, cseq.len ? cseq.ptr : "");
    camera_link_flush(d->link);
}

/* --- media ------------------------------------------------------------------------------------ */
static void on_rtcp(struct stream *s, struct kn_bytes packets)
{
    struct camera_direct *d = s->direct;
    struct kn_bytes one;
    struct camera_sender_report report;
    bool metadata = s->rtp.codec == CAMERA_METADATA; /* comes late; says nothing of the pictures */
    while (d->step != OVER && camera_rtcp_next(&packets, &one)) {
        if (camera_rtcp_sender_report(one, &report)) {
            s->report_ntp = report.ntp;
            s->report_us = g_get_monotonic_time();
            if (!metadata)
                camera_clock_report(&d->clock, s->number, report.time, report.own_ms, d->now_ms);
        } else if (one.ptr[1] == CAMERA_RTCP_BYE && !metadata) {
            fail(d, CAMERA_ENDED, "the camera has ended the stream");
        }
    }
}

static void on_interleaved(struct camera_direct *d, unsigned channel, struct kn_bytes packet)
{
    for (unsigned i = 0; i < d->set_up; i++) {
        struct stream *s = &d->streams[i];
        bool rtcp = s->channel + 1 == channel;
        if ((s->channel != channel && !rtcp) ||
            (s->srtp && camera_srtp_open(s->srtp, rtcp, packet, &packet) < 0))
            continue;
        if (rtcp)
            on_rtcp(s, packet);
        else
            camera_rtp_packet(&s->rtp, packet);
    }
}

/* A receiver report and its sender's name (RFC 3550, 6.4.2, 6.5). */
static void report(struct camera_direct *d, const struct stream *s)
{
    enum {
        REPORT_BYTES = 32,
        NAME_BYTES = 12,
    };
    uint8_t bytes[REPORT_BYTES + NAME_BYTES] = {0x81, 201, 0, 7};
    uint8_t *name = bytes + REPORT_BYTES, head[4] = {'$', (uint8_t) (s->channel + 1)};
    struct kn_bytes packet = {bytes, sizeof bytes};
    kn_put_u32be(bytes + 4, own_ssrc);
    kn_put_u32be(bytes + 8, s->rtp.ssrc);
    kn_put_u32be(bytes + 16, (uint32_t) s->rtp.cycles << 16 | s->rtp.highest);
    kn_put_u32be(bytes + 24, s->report_ntp);
    if (s->report_us)
        kn_put_u32be(bytes + 28,
                     (uint32_t) ((g_get_monotonic_time() - s->report_us) * 65536 / 1000000));
    memcpy(name, (const uint8_t[]){0x81, 202, 0, 2, 0, 0, 0, 0, 1, 1, 'k', 0}, NAME_BYTES);
    kn_put_u32be(name + 4, own_ssrc);
    if (s->srtp && camera_srtp_seal(s->srtp, packet, &packet) < 0)
        return;
    kn_put_u16be(head + 2, (uint16_t) packet.len);
    (void) kn_buf_append(camera_link_out(d->link), head, sizeof head);
    (void) kn_buf_append(camera_link_out(d->link), packet.ptr, packet.len);
}

/* --- the connection --------------------------------------------------------------------------- */
/* All that is whole. */
static size_t on_bytes(void *ctx, struct kn_bytes in)
{
    struct camera_direct *d = ctx;
    size_t at = 0, taken;
    d->now_ms = g_get_real_time() / 1000;
    while (at < in.len && d->step != OVER) {
        struct kn_bytes left = kn_bytes_skip(in, at);
        struct rtsp_message message;
        if (left.ptr[0] == '$') {
            size_t len = left.len < 4 ? 4 : 4 + ((size_t) left.ptr[2] << 8 | left.ptr[3]);
            if (left.len < len)
                break;
            on_interleaved(d, left.ptr[1], (struct kn_bytes){left.ptr + 4, len - 4});
            at += len;
            continue;
        }
        if (left.ptr[0] == '\r' || left.ptr[0] == '\n') {
            at++;
            continue;
        }
        int r = rtsp_message_read(left, &taken, &message);
        if (r == -ENODATA)
            break;
        if (r < 0) {
            fail(d, CAMERA_BROKEN, "what the camera sends is no RTSP");
            break;
        }
        at += taken;
        if (message.status)
            on_answer(d, &message);
        else
            on_request(d, &message);
    }
    return at;
}

static void on_open(void *ctx)
{
    go_to(ctx, OPTIONS);
}

static void on_lost(void *ctx, enum camera_fault fault, const char *said)
{
    fail(ctx, fault, said);
}

/* --- life ------------------------------------------------------------------------------------- */
struct camera_direct *camera_direct_start(const struct camera_source_conf *conf,
                                          const struct camera_direct_ops *ops, void *ctx)
{
    static const struct camera_link_ops link_ops = {on_open, on_bytes, on_lost};
    struct camera_direct *d = g_new0(struct camera_direct, 1);
    char *authority = camera_url_authority(conf->url);
    d->ops = *ops;
    d->ctx = ctx;
    d->url = g_strdup(conf->url);
    d->user = g_strdup(conf->user);
    d->password = g_strdup(conf->password);
    d->timeout_us = (gint64) conf->timeout_ms * 1000;
    d->heard_us = g_get_monotonic_time();
    g_queue_init(&d->held);
    camera_clock_init(&d->clock, 0);
    bool tls = g_str_has_prefix(conf->url, "rtsps:");
    d->link = camera_link_open(authority, tls ? PORT_TLS : PORT, tls, &link_ops, d);
    g_free(authority);
    return d;
}

void camera_direct_check(struct camera_direct *d)
{
    gint64 now_us = g_get_monotonic_time();
    if (d->step == OVER)
        return;
    for (unsigned i = 0; i < d->count; i++) {
        if (d->streams[i].srtp && camera_srtp_is_strange(d->streams[i].srtp)) {
            fail(d, CAMERA_BROKEN, "the camera's packets are not by the key that it has told");
            return;
        }
    }
    if (now_us - d->heard_us > d->timeout_us) {
        fail(d, d->started ? CAMERA_STALLED : CAMERA_UNREACHABLE,
             d->started ? "the camera has stopped sending" : "the camera does not send");
        return;
    }
    if (d->step != PLAYING)
        return;
    if (now_us - d->reported_us > REPORT_S * G_USEC_PER_SEC) {
        d->reported_us = now_us;
        for (unsigned i = 0; i < d->count; i++)
            report(d, &d->streams[i]);
    }
    if (now_us - d->asked_us > KEEP_ALIVE_S * G_USEC_PER_SEC)
        go_to(d, PLAYING);
    else
        camera_link_flush(d->link);
}

void camera_direct_facts(const struct camera_direct *d, struct camera_facts *ret)
{
    *ret = (struct camera_facts){0};
    camera_facts_clock(ret, &d->clock);
    for (unsigned i = 0; i < d->count; i++) {
        ret->packets_lost += d->streams[i].rtp.lost;
        ret->frames_damaged += d->streams[i].rtp.damaged;
        enum camera_codec codec = d->streams[i].rtp.codec;
        bool pictures = codec == CAMERA_H264 || codec == CAMERA_H265;
        ret->offers_pictures |= pictures;
        ret->offers_sound |= !pictures && codec != CAMERA_METADATA;
    }
}

void camera_direct_stop(struct camera_direct *d)
{
    if (d->step == PLAYING)
        ask(d, "TEARDOWN", d->play_url, "");
    d->step = OVER;
    camera_link_free(d->link);
    let_held_go(d, false);
    for (unsigned i = 0; i < d->count; i++) {
        camera_rtp_done(&d->streams[i].rtp);
        camera_srtp_free(d->streams[i].srtp);
        g_free(d->streams[i].control);
        g_free(d->streams[i].transport);
        g_free(d->streams[i].key_mgmt);
    }
    g_free(d->url);
    g_free(d->user);
    g_free(d->password);
    g_free(d->base);
    g_free(d->play_url);
    g_free(d);
}
