/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See source.h. rtspsrc does RTSP, authentication, transports, RTCP and reordering, and gives a pad
 * for each stream; behind each pad is a chain that makes whole frames, and a sink. The first
 * frames are kept back until every chain knows its codec, for a moment at most, since the tracks
 * have to be known before the first frame is sent.
 */
#include "document.h"
#include "source_announced.h"
#include "timing.h"
#include "track.h"

#include <gio/gio.h>
#include <gst/app/gstappsink.h>
#include <gst/rtsp/gstrtsp.h>
#include <stdio.h>

enum {
    STREAMS_MAX = 3, /* as PutMedia takes tracks */
    HELD_MAX = 512,  /* frames, until the tracks are known */
    HELD_MS = 1500,
    DRIFT_MS = 2000,      /* further from the wall clock for so long … */
    DRIFT_LOOK_MS = 5000, /* … and times are set anew … */
    STEP_MS = 30000,      /* … or at once, that far */
};

struct stream {
    struct camera_source *source;
    guint number; /* rtspsrc's */
    struct camera_track track;
    bool video; /* by its description */
    bool paced; /* of a file: its frames are given when their time has come */
    bool known; /* track holds what the sink's caps say */
    struct camera_documents *metadata; /* what its packets become; NULL: pictures, or sound */
};

struct held {
    struct stream *stream;
    GstSample *sample;
    int64_t time_ms;
};

struct camera_source {
    struct camera_source_ops ops;
    void *ctx;
    GstElement *pipeline;
    GMutex lock; /* what follows */
    struct stream streams[STREAMS_MAX];
    size_t count, media; /* media: those with pictures or sound */
    bool complete;       /* no stream comes any more */
    bool started;        /* a header was given out */
    bool stopped, failed;
    _Atomic bool untrusted; /* its certificate did not pass */
    GQueue held;            /* of struct held, until started */
    gint64 held_us;         /* monotonic, since when */
    gint64 heard_us;        /* monotonic, of the last frame, or of the start */
    gint64 timeout_us;
    int64_t latency_ms;
    struct camera_timing timing;    /* of packets that rtspsrc gets; others lie as follows */
    int64_t offset_ms;              /* wall time = running time + this */
    bool timed;                     /* offset_ms is known */
    int64_t least_late_ms, look_ms; /* of the frames since look_ms, the least late one */
};

enum camera_transport camera_transport_of(struct kn_str name)
{
    return kn_str_eq(name, KN_STR("udp"))    ? CAMERA_UDP
           : kn_str_eq(name, KN_STR("tcp"))  ? CAMERA_TCP
           : kn_str_eq(name, KN_STR("http")) ? CAMERA_HTTP
                                             : CAMERA_AUTO;
}

const char *camera_fault_name(enum camera_fault fault)
{
    static const char *const names[] = {[CAMERA_UNREACHABLE] = "unreachable",
                                        [CAMERA_UNAUTHORIZED] = "unauthorized",
                                        [CAMERA_UNTRUSTED] = "untrusted",
                                        [CAMERA_NOT_FOUND] = "not_found",
                                        [CAMERA_UNSUPPORTED] = "unsupported",
                                        [CAMERA_STALLED] = "stalled",
                                        [CAMERA_ENDED] = "ended",
                                        [CAMERA_BROKEN] = "broken"};
    return names[fault];
}

static void fail_locked(struct camera_source *s, enum camera_fault fault, const char *said)
{
    if (s->failed || s->stopped)
        return;
    s->failed = true;
    s->ops.failed(s->ctx, fault, said);
}

static void fail(struct camera_source *s, enum camera_fault fault, const char *said)
{
    g_mutex_lock(&s->lock);
    fail_locked(s, fault, said);
    g_mutex_unlock(&s->lock);
}

/* --- frames ----------------------------------------------------------------------------------- */
static void give_header_locked(struct camera_source *s)
{
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000};
    for (size_t i = 0; i < s->count; i++) {
        if (!s->streams[i].known)
            continue;
        s->streams[i].track.mkv.number = header.track_count + 1;
        header.tracks[header.track_count++] = s->streams[i].track.mkv;
    }
    s->started = true;
    s->ops.header(s->ctx, &header);
}

static void set_time_locked(struct camera_source *s, int64_t now_ms, int64_t running_ms)
{
    s->offset_ms = now_ms - running_ms;
    s->timed = true;
    s->look_ms = now_ms;
    s->least_late_ms = INT64_MAX;
}

/* Of a camera that pushes, and of files: this machine's clock is the one that counts. What keeps
 * frames at their distance is the sender's clock, by way of the running time. A frame that comes
 * late says nothing, since a busy machine delays it; that all of them do says something. */
static int64_t arrival_locked(struct camera_source *s, GstSample *sample, int64_t now_ms)
{
    guint64 running = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME,
                                                  GST_BUFFER_PTS(gst_sample_get_buffer(sample)));
    if (running == GST_CLOCK_TIME_NONE)
        return now_ms;
    int64_t running_ms = (int64_t) (running / GST_MSECOND);
    int64_t late_ms = now_ms - s->offset_ms - running_ms;
    if (!s->timed || late_ms > STEP_MS || late_ms < -STEP_MS) {
        set_time_locked(s, now_ms, running_ms);
    } else {
        s->least_late_ms = MIN(s->least_late_ms, late_ms);
        if (now_ms - s->look_ms > DRIFT_LOOK_MS) {
            if (s->least_late_ms > DRIFT_MS + s->latency_ms || s->least_late_ms < -DRIFT_MS)
                s->offset_ms += s->least_late_ms;
            s->look_ms = now_ms;
            s->least_late_ms = INT64_MAX;
        }
    }
    return s->offset_ms + running_ms;
}

static int64_t time_of_locked(struct camera_source *s, const struct stream *stream,
                              GstSample *sample)
{
    int64_t now_ms = g_get_real_time() / 1000, time_ms;
    GstClockTime pts = GST_BUFFER_PTS(gst_sample_get_buffer(sample));
    unsigned number = (unsigned) (stream - s->streams);
    if (GST_CLOCK_TIME_IS_VALID(pts) &&
        camera_timing_frame(&s->timing, number, pts, now_ms, &time_ms))
        return time_ms;
    return arrival_locked(s, sample, now_ms);
}

static void give_frame_locked(struct camera_source *s, struct stream *stream, GstSample *sample,
                              int64_t time_ms)
{
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstMapInfo map;
    if (!stream->known || !gst_buffer_map(buffer, &map, GST_MAP_READ))
        return;
    bool video = stream->track.mkv.type == KN_MKV_VIDEO;
    const struct camera_frame frame = {
        .track = (unsigned) stream->track.mkv.number,
        .video = video,
        .key = !video || !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT),
        .time_ms = time_ms,
        .bytes = {map.data, map.size}
    };
    if (map.size > 0)
        s->ops.frame(s->ctx, &frame);
    gst_buffer_unmap(buffer, &map);
}

static bool all_known_locked(const struct camera_source *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!s->streams[i].known)
            return false;
    }
    return s->complete && s->count > 0;
}

/* Streams have threads of their own, so that the first sound may have come before all pictures: the
 * earliest of the first ones of each stream. */
static struct held *pop_earliest_locked(struct camera_source *s)
{
    GList *earliest = NULL;
    unsigned seen = 0; /* streams, by their place's bit */
    for (GList *at = s->held.head; at; at = at->next) {
        const struct held *h = at->data, *first = earliest ? earliest->data : NULL;
        unsigned bit = 1U << (h->stream - s->streams);
        if (!(seen & bit) && (!first || h->time_ms < first->time_ms))
            earliest = at;
        seen |= bit;
    }
    if (!earliest)
        return NULL;
    struct held *h = earliest->data;
    g_queue_delete_link(&s->held, earliest);
    return h;
}

static void let_go_locked(struct camera_source *s, bool give)
{
    for (struct held *h; (h = pop_earliest_locked(s));) {
        if (give)
            give_frame_locked(s, h->stream, h->sample, h->time_ms);
        gst_sample_unref(h->sample);
        g_free(h);
    }
}

static void hold_locked(struct camera_source *s, struct stream *stream, GstSample *sample,
                        int64_t time_ms)
{
    struct held *h = g_new(struct held, 1);
    *h = (struct held){stream, gst_sample_ref(sample), time_ms};
    if (g_queue_is_empty(&s->held))
        s->held_us = g_get_monotonic_time();
    g_queue_push_tail(&s->held, h);
    bool late = g_queue_get_length(&s->held) >= HELD_MAX ||
                g_get_monotonic_time() - s->held_us > HELD_MS * 1000;
    if (!all_known_locked(s) && !late)
        return;
    give_header_locked(s);
    let_go_locked(s, true);
}

/* What the sink's caps say now; a change after the start asks for a new header. */
static void look_at_caps_locked(struct camera_source *s, struct stream *stream, GstSample *sample)
{
    struct camera_track now;
    camera_track_init(&now);
    now.mkv.number = stream->track.mkv.number;
    int r = camera_track_describe(&now, gst_sample_get_caps(sample));
    bool changed = r == 0 && (!stream->known || !camera_track_same(&now, &stream->track));
    if (!changed) {
        camera_track_done(&now);
        return;
    }
    camera_track_done(&stream->track);
    stream->track = now;
    stream->track.mkv.codec_private = kn_buf_bytes(&stream->track.private);
    stream->known = true;
    if (s->started)
        give_header_locked(s);
}

static GstFlowReturn on_sample(GstAppSink *sink, gpointer arg)
{
    struct stream *stream = arg;
    struct camera_source *s = stream->source;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    if (!sample)
        return GST_FLOW_EOS;
    if (stream->metadata)
        sample = camera_documents_take(stream->metadata, sample);
    if (!sample)
        return GST_FLOW_OK;
    g_mutex_lock(&s->lock);
    if (!s->failed && !s->stopped) {
        if (!stream->metadata)
            s->heard_us = g_get_monotonic_time();
        GstCaps *before = g_object_get_data(G_OBJECT(sink), "caps");
        if (!stream->metadata && before != gst_sample_get_caps(sample)) {
            look_at_caps_locked(s, stream, sample);
            g_object_set_data_full(G_OBJECT(sink), "caps",
                                   gst_caps_ref(gst_sample_get_caps(sample)),
                                   (GDestroyNotify) gst_caps_unref);
        }
        int64_t time_ms = time_of_locked(s, stream, sample);
        if (s->started)
            give_frame_locked(s, stream, sample, time_ms);
        else
            hold_locked(s, stream, sample, time_ms);
    }
    g_mutex_unlock(&s->lock);
    gst_sample_unref(sample);
    return GST_FLOW_OK;
}

/* --- the pipeline ----------------------------------------------------------------------------- */
void camera_left_out_add(char *list, size_t cap, const char *media, const char *encoding)
{
    size_t len = strlen(list);
    (void) g_snprintf(list + len, cap - len, "%s%s %s", len > 0 ? ", " : "", media, encoding);
}

static void leave_out(struct camera_source *s, const GstStructure *caps)
{
    const char *media, *encoding;
    camera_track_name(caps, &media, &encoding);
    g_mutex_lock(&s->lock);
    if (!s->failed && !s->stopped)
        s->ops.left_out(s->ctx, media, encoding);
    g_mutex_unlock(&s->lock);
}

/* A stream that can be stored, and for which there is room. */
static struct stream *choose(struct camera_source *s, const GstStructure *caps, guint number)
{
    struct stream *stream = NULL;
    g_mutex_lock(&s->lock);
    bool metadata = camera_documents_are_of(caps);
    struct camera_documents *documents = metadata ? camera_documents_new(caps) : NULL;
    if (camera_track_chain(caps) && s->count < STREAMS_MAX && !documents == !metadata) {
        stream = &s->streams[s->count++];
        stream->source = s;
        stream->number = number;
        stream->metadata = documents;
        stream->video = camera_track_is_video(caps);
        stream->paced = !camera_track_is_rtp(caps);
        camera_track_init(&stream->track);
        if (documents)
            stream->track.mkv = camera_documents_track(documents);
        stream->known = metadata; /* nothing waits for the first document */
        s->media += !metadata;
    } else {
        camera_documents_free(documents);
    }
    g_mutex_unlock(&s->lock);
    return stream;
}

/* Called for each stream of the SDP: those that cannot be stored are not asked for. */
static gboolean on_select(GstElement *rtsp, guint number, GstCaps *caps, gpointer arg)
{
    struct camera_source *s = arg;
    const GstStructure *rtp = gst_caps_get_structure(caps, 0);
    (void) rtsp;
    bool wanted = choose(s, rtp, number) != NULL;
    if (!wanted)
        leave_out(s, rtp);
    return wanted;
}

static GstElement *sink_new(struct stream *stream)
{
    GstElement *sink = gst_element_factory_make("appsink", NULL);
    GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
    g_object_set(sink, "sync", stream->paced, "async", !stream->paced, "enable-last-sample", FALSE,
                 "max-buffers", 0, NULL);
    gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, stream, NULL);
    return sink;
}

/* The chain and its sink, linked, in the bin. */
static GstElement *chain_new(struct stream *stream, const char *text, GstBin *bin, const char *name)
{
    GError *error = NULL; /* a missing plugin leaves half a chain, and this */
    GstElement *chain = gst_parse_bin_from_description(text, TRUE, &error);
    if (error) {
        g_clear_error(&error);
        g_clear_object(&chain);
        return NULL;
    }
    GstElement *sink = sink_new(stream);
    if (name)
        gst_object_set_name(GST_OBJECT(chain), name);
    gst_bin_add_many(bin, chain, sink, NULL);
    return gst_element_link(chain, sink) && gst_element_sync_state_with_parent(sink) ? chain : NULL;
}

static bool attach(struct camera_source *s, GstPad *pad, const char *text, struct stream *stream)
{
    GstElement *chain = chain_new(stream, text, GST_BIN(s->pipeline), NULL);
    GstPad *in = chain ? gst_element_get_static_pad(chain, "sink") : NULL;
    bool ok =
        in && gst_pad_link(pad, in) == GST_PAD_LINK_OK && gst_element_sync_state_with_parent(chain);
    if (in)
        gst_object_unref(in);
    return ok;
}

/* --- the camera's clock ----------------------------------------------------------------------- */
/* A packet, in order: its own time stands at its fifth byte (RFC 3550, 5.1). */
static GstPadProbeReturn on_packet(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
    struct stream *stream = arg;
    struct camera_source *s = stream->source;
    GstBuffer *packet = GST_PAD_PROBE_INFO_BUFFER(info);
    uint8_t bytes[4];
    uint32_t time;
    (void) pad;
    struct kn_reader r = kn_reader_of((struct kn_bytes){bytes, sizeof bytes});
    if (!GST_BUFFER_PTS_IS_VALID(packet) || gst_buffer_extract(packet, 4, bytes, 4) != 4 ||
        kn_read_u32be(&r, &time) < 0)
        return GST_PAD_PROBE_OK;
    g_mutex_lock(&s->lock);
    camera_timing_packet(&s->timing, (unsigned) (stream - s->streams), GST_BUFFER_PTS(packet),
                         time);
    g_mutex_unlock(&s->lock);
    return GST_PAD_PROBE_OK;
}

static struct stream *stream_of(struct camera_source *s, guint number)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->streams[i].number == number)
            return &s->streams[i];
    }
    return NULL;
}

/* A sender report has come, which says that packets of its times have come too. */
static void on_report(GstElement *jitter, GstStructure *said, gpointer arg)
{
    struct stream *stream = arg;
    struct camera_source *s = stream->source;
    const GValue *value = gst_structure_get_value(said, "sr-buffer");
    GstBuffer *packets = value ? gst_value_get_buffer(value) : NULL;
    GstMapInfo map;
    (void) jitter;
    /* Documents come late, and their reports are no proof against the clock of the pictures. */
    if (stream->metadata || !packets || !gst_buffer_map(packets, &map, GST_MAP_READ))
        return;
    g_mutex_lock(&s->lock);
    camera_timing_rtcp(&s->timing, (unsigned) (stream - s->streams),
                       (struct kn_bytes){map.data, map.size}, g_get_real_time() / 1000);
    g_mutex_unlock(&s->lock);
    gst_buffer_unmap(packets, &map);
}

static void on_jitter(GstElement *manager, GstElement *jitter, guint session, guint ssrc,
                      gpointer arg)
{
    struct camera_source *s = arg;
    (void) manager;
    (void) ssrc;
    g_mutex_lock(&s->lock);
    struct stream *stream = stream_of(s, session);
    g_mutex_unlock(&s->lock);
    if (stream)
        g_signal_connect(jitter, "handle-sync", G_CALLBACK(on_report), stream);
}

static void on_manager(GstElement *rtsp, GstElement *manager, gpointer arg)
{
    (void) rtsp;
    g_signal_connect(manager, "new-jitterbuffer", G_CALLBACK(on_jitter), arg);
}

static void on_pad(GstElement *rtsp, GstPad *pad, gpointer arg)
{
    struct camera_source *s = arg;
    (void) rtsp;
    GstCaps *caps = gst_pad_get_current_caps(pad);
    const GstStructure *rtp = caps ? gst_caps_get_structure(caps, 0) : NULL;
    const char *text = rtp ? camera_track_chain(rtp) : NULL;
    guint number = 0;
    gint hz = 0;
    const char *name = GST_PAD_NAME(pad); /* recv_rtp_src_STREAM_SSRC_TYPE, or stream_STREAM */
    bool named =
        sscanf(name, "recv_rtp_src_%u_", &number) == 1 || sscanf(name, "stream_%u", &number) == 1;
    g_mutex_lock(&s->lock);
    struct stream *stream = named ? stream_of(s, number) : NULL;
    if (stream && rtp && gst_structure_get_int(rtp, "clock-rate", &hz) && hz > 0)
        camera_timing_stream(&s->timing, (unsigned) (stream - s->streams), (unsigned) hz);
    g_mutex_unlock(&s->lock);
    if (stream)
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, on_packet, stream, NULL);
    if (!text || !stream || !attach(s, pad, text, stream))
        fail(s, CAMERA_BROKEN, "a stream that was chosen cannot be read");
    if (caps)
        gst_caps_unref(caps);
}

static void on_no_more_pads(GstElement *rtsp, gpointer arg)
{
    struct camera_source *s = arg;
    (void) rtsp;
    g_mutex_lock(&s->lock);
    s->complete = true;
    if (s->media == 0)
        fail_locked(s, CAMERA_UNSUPPORTED, "the camera offers no stream that can be stored");
    g_mutex_unlock(&s->lock);
}

static enum camera_fault fault_of(const GError *error)
{
    if (error->domain != GST_RESOURCE_ERROR)
        return CAMERA_BROKEN;
    switch (error->code) {
    case GST_RESOURCE_ERROR_NOT_AUTHORIZED:
        return CAMERA_UNAUTHORIZED;
    case GST_RESOURCE_ERROR_NOT_FOUND:
        return CAMERA_NOT_FOUND;
    case GST_RESOURCE_ERROR_OPEN_READ:
    case GST_RESOURCE_ERROR_OPEN_READ_WRITE:
    case GST_RESOURCE_ERROR_OPEN_WRITE:
    case GST_RESOURCE_ERROR_READ:
    case GST_RESOURCE_ERROR_WRITE:
    case GST_RESOURCE_ERROR_BUSY:
        return CAMERA_UNREACHABLE;
    default:
        return CAMERA_BROKEN;
    }
}

/* GStreamer speaks of resources and elements; this is for people with cameras. */
static const char *said_of(enum camera_fault fault, const GError *error)
{
    switch (fault) {
    case CAMERA_UNAUTHORIZED:
        return "the camera does not accept user and password";
    case CAMERA_NOT_FOUND:
        return "the camera has no stream at this path";
    case CAMERA_UNTRUSTED:
        return "the camera's certificate does not pass";
    case CAMERA_UNREACHABLE:
        return "the camera does not answer, or has closed the connection";
    case CAMERA_UNSUPPORTED:
    case CAMERA_STALLED:
    case CAMERA_ENDED:
    case CAMERA_BROKEN:
        break;
    }
    return error->message;
}

/* On the thread that says it; nothing waits in the bus. */
static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer arg)
{
    struct camera_source *s = arg;
    GError *error = NULL;
    (void) bus;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        gst_message_parse_error(message, &error, NULL);
        enum camera_fault fault = s->untrusted ? CAMERA_UNTRUSTED : fault_of(error);
        fail(s, fault, said_of(fault, error));
        g_clear_error(&error);
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) {
        fail(s, CAMERA_ENDED, "the camera has ended the stream");
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

void camera_source_check(struct camera_source *s)
{
    g_mutex_lock(&s->lock);
    if (g_get_monotonic_time() - s->heard_us > s->timeout_us)
        fail_locked(s, s->started ? CAMERA_STALLED : CAMERA_UNREACHABLE,
                    s->started ? "the camera has stopped sending" : "the camera does not send");
    g_mutex_unlock(&s->lock);
}

void camera_facts_clock(struct camera_facts *facts, const struct camera_clock *clock)
{
    facts->clock = camera_clock_word(clock);
    facts->clock_known = clock->reported;
    facts->clock_ahead_ms = clock->ahead_ms;
    facts->clock_steps = clock->steps;
}

void camera_source_facts(struct camera_source *s, struct camera_facts *ret)
{
    *ret = (struct camera_facts){0};
    g_mutex_lock(&s->lock);
    camera_facts_clock(ret, &s->timing.clock);
    for (size_t i = 0; i < s->count; i++) {
        const struct stream *stream = &s->streams[i];
        ret->frames_damaged += stream->metadata ? camera_documents_damaged(stream->metadata) : 0;
        ret->offers_pictures |= stream->video;
        ret->offers_sound |= !stream->video && !stream->metadata;
    }
    g_mutex_unlock(&s->lock);
}

static unsigned protocols_of(enum camera_transport transport, bool tls)
{
    unsigned lower = transport == CAMERA_UDP ? GST_RTSP_LOWER_TRANS_UDP
                     : transport == CAMERA_HTTP
                         ? GST_RTSP_LOWER_TRANS_HTTP | GST_RTSP_LOWER_TRANS_TCP
                         : GST_RTSP_LOWER_TRANS_TCP;
    return tls ? lower | GST_RTSP_LOWER_TRANS_TLS : lower;
}

/* What GStreamer calls a URL whose session goes through HTTP: rtsph://, rtspsh://. */
static char *location_of(const struct camera_source_conf *conf)
{
    const char *rest = strstr(conf->url, "://");
    return conf->transport == CAMERA_HTTP && rest
               ? g_strdup_printf("%.*sh%s", (int) (rest - conf->url), conf->url, rest)
               : g_strdup(conf->url);
}

/* Asked about a certificate that does not pass; without an answer that it does, it is refused. */
static gboolean on_bad_certificate(GstElement *rtsp, GTlsConnection *tls, GTlsCertificate *peer,
                                   GTlsCertificateFlags errors, gpointer arg)
{
    struct camera_source *s = arg;
    (void) rtsp;
    (void) tls;
    (void) peer;
    (void) errors;
    s->untrusted = true;
    return FALSE;
}

/* false: the file of those who sign cannot be read, so that nobody is to be trusted. */
static bool trust(GstElement *rtsp, const struct camera_source_conf *conf)
{
    if (!conf->tls_verify || !conf->ca_file)
        return true;
    GTlsDatabase *anchors = g_tls_file_database_new(conf->ca_file, NULL);
    if (!anchors)
        return false;
    g_object_set(rtsp, "tls-database", anchors, NULL);
    g_object_unref(anchors);
    return true;
}

static GstElement *rtsp_new(struct camera_source *s, const struct camera_source_conf *conf)
{
    GstElement *rtsp = gst_element_factory_make("rtspsrc", NULL);
    if (!rtsp)
        return NULL;
    bool tls = g_str_has_prefix(conf->url, "rtsps:");
    char *location = location_of(conf);
    g_object_set(rtsp, "location", location, "latency", conf->latency_ms, "protocols",
                 protocols_of(conf->transport, tls), "tcp-timeout",
                 (guint64) conf->timeout_ms * 1000, "timeout", (guint64) conf->timeout_ms * 1000,
                 "teardown-timeout", (guint64) 100 * GST_MSECOND, "user-agent",
                 "Kinema/" KINEMA_VERSION, "tls-validation-flags",
                 conf->tls_verify ? G_TLS_CERTIFICATE_VALIDATE_ALL : 0, NULL);
    g_free(location);
    if (conf->user)
        g_object_set(rtsp, "user-id", conf->user, "user-pw", conf->password, NULL);
    g_signal_connect(rtsp, "accept-certificate", G_CALLBACK(on_bad_certificate), s);
    g_signal_connect(rtsp, "new-manager", G_CALLBACK(on_manager), s);
    g_signal_connect(rtsp, "select-stream", G_CALLBACK(on_select), s);
    g_signal_connect(rtsp, "pad-added", G_CALLBACK(on_pad), s);
    g_signal_connect(rtsp, "no-more-pads", G_CALLBACK(on_no_more_pads), s);
    return rtsp;
}

struct camera_source *camera_source_new(const struct camera_source_ops *ops, void *ctx,
                                        unsigned latency_ms, unsigned timeout_ms)
{
    struct camera_source *s = g_new0(struct camera_source, 1);
    s->ops = *ops;
    s->ctx = ctx;
    s->latency_ms = latency_ms;
    camera_timing_init(&s->timing, latency_ms);
    s->timeout_us = (gint64) timeout_ms * 1000;
    s->heard_us = g_get_monotonic_time();
    g_mutex_init(&s->lock);
    g_queue_init(&s->held);
    return s;
}

GstElement *camera_source_add(struct camera_source *s, const GstCaps *caps, GstBin *bin,
                              const char *name)
{
    const GstStructure *one = gst_caps_get_structure(caps, 0);
    struct stream *stream = choose(s, one, 0);
    if (!stream) {
        leave_out(s, one);
        return NULL;
    }
    GstElement *chain = chain_new(stream, camera_track_chain(one), bin, name);
    if (!chain)
        fail(s, CAMERA_BROKEN, "a stream that was chosen cannot be read");
    return chain;
}

void camera_source_begins(struct camera_source *s, int64_t at_ms)
{
    g_mutex_lock(&s->lock);
    set_time_locked(s, at_ms, 0);
    g_mutex_unlock(&s->lock);
}

void camera_source_complete(struct camera_source *s)
{
    on_no_more_pads(NULL, s);
}

int64_t camera_source_silent_ms(struct camera_source *s)
{
    g_mutex_lock(&s->lock);
    int64_t us = g_get_monotonic_time() - s->heard_us;
    g_mutex_unlock(&s->lock);
    return us / 1000;
}

struct camera_source *camera_source_start(const struct camera_source_conf *conf,
                                          const struct camera_source_ops *ops, void *ctx)
{
    struct camera_source *s = camera_source_new(ops, ctx, conf->latency_ms, conf->timeout_ms);
    s->pipeline = gst_pipeline_new(NULL);
    GstBus *bus = gst_element_get_bus(s->pipeline);
    gst_bus_set_sync_handler(bus, on_message, s, NULL);
    gst_object_unref(bus);
    GstElement *rtsp = rtsp_new(s, conf);
    if (!rtsp) {
        fail(s, CAMERA_BROKEN, "GStreamer has no rtspsrc: install gstreamer1.0-plugins-good");
        return s;
    }
    gst_bin_add(GST_BIN(s->pipeline), rtsp);
    if (!trust(rtsp, conf)) {
        fail(s, CAMERA_UNTRUSTED, "the file of trusted signers cannot be read");
        return s;
    }
    if (gst_element_set_state(s->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        fail(s, CAMERA_BROKEN, "GStreamer does not start");
    return s;
}

void camera_source_stop(struct camera_source *s)
{
    if (!s)
        return;
    g_mutex_lock(&s->lock);
    s->stopped = true;
    g_mutex_unlock(&s->lock);
    if (s->pipeline) {
        gst_element_set_state(s->pipeline, GST_STATE_NULL);
        gst_object_unref(s->pipeline);
    }
    let_go_locked(s, false);
    for (size_t i = 0; i < s->count; i++) {
        camera_track_done(&s->streams[i].track);
        camera_documents_free(s->streams[i].metadata);
    }
    g_queue_clear(&s->held);
    g_mutex_clear(&s->lock);
    g_free(s);
}
