/* SPDX-License-Identifier: Apache-2.0 */
#include "camera.h"

#include "pull.h"
#include "recording.h"

#include <glib.h>

enum {
    SAID_BYTES = 400,
    LEFT_OUT_BYTES = 200,
    WAIT_MS_FIRST = 500,
    WAIT_MS_MOST = 2000,     /* so that a camera that answers again records within 3 s */
    WAIT_MS_REFUSED = 30000, /* cameras lock a user out who is wrong too often */
    WAIT_MS_USELESS = 15000,
};

enum state {
    CONNECTING,
    RECORDING,
    WAITING,  /* for the next try */
    STOPPING, /* GStreamer lets go of the last one */
    GONE
};

struct camera {
    char *stream, *url, *user, *password, *ca_file, *files, *socket_path;
    bool tls_verify;
    enum camera_transport transport;
    unsigned latency_ms, timeout_ms;
    camera_status_fn *changed;
    void *ctx;

    struct camera_pull *pull; /* the main thread's */
    guint timer;
    unsigned wait_ms;
    uint64_t frames_before; /* this connection */

    GMutex lock; /* what follows; taken inside the source's lock */
    enum state state;
    struct camera_recording recording;
    bool failing; /* its failure is on the way to the main thread */
    enum camera_fault fault;
    bool has_fault;
    char said[SAID_BYTES], left_out[LEFT_OUT_BYTES];
    int64_t since_ms, fault_ms;
    uint64_t reconnects;
};

static int64_t now_ms(void)
{
    return g_get_real_time() / 1000;
}

static const char *state_name(enum state state)
{
    static const char *const names[] = {"connecting", "recording", "waiting", "waiting", "gone"};
    return names[state];
}

/* --- failing: from any thread to the main one ------------------------------------------------- */
static gboolean fail_on_main(gpointer arg);

static void fail_locked(struct camera *c, enum camera_fault fault, const char *said)
{
    if (c->failing || c->state == GONE)
        return;
    c->failing = true;
    c->fault = fault;
    c->has_fault = true;
    c->fault_ms = now_ms();
    g_strlcpy(c->said, said, sizeof c->said);
    g_idle_add(fail_on_main, c);
}

/* --- what the source says --------------------------------------------------------------------- */
static void recording_failed_locked(void *owner, const char *said)
{
    fail_locked(owner, CAMERA_BROKEN, said);
}

static void on_header(void *ctx, const struct kn_mkv_header *header)
{
    struct camera *c = ctx;
    g_mutex_lock(&c->lock);
    if (!c->failing && c->state != GONE) /* it would begin an upload that nobody ends */
        camera_recording_header(&c->recording, header);
    g_mutex_unlock(&c->lock);
}

static void on_frame(void *ctx, const struct camera_frame *frame)
{
    struct camera *c = ctx;
    g_mutex_lock(&c->lock);
    bool first = c->state == CONNECTING;
    if (first) {
        c->state = RECORDING;
        c->since_ms = now_ms();
    }
    if (!c->failing)
        camera_recording_frame(&c->recording, frame);
    g_mutex_unlock(&c->lock);
}

static void on_left_out(void *ctx, const char *media, const char *encoding)
{
    struct camera *c = ctx;
    g_mutex_lock(&c->lock);
    camera_left_out_add(c->left_out, sizeof c->left_out, media, encoding);
    g_mutex_unlock(&c->lock);
}

static void on_failed(void *ctx, enum camera_fault fault, const char *said)
{
    struct camera *c = ctx;
    g_mutex_lock(&c->lock);
    fail_locked(c, fault, said);
    g_mutex_unlock(&c->lock);
}

/* --- its life --------------------------------------------------------------------------------- */
static const char *none_if_empty(const char *text)
{
    return text && *text ? text : NULL;
}

static void connect_now(struct camera *c)
{
    static const struct camera_source_ops ops = {on_header, on_frame, on_left_out, on_failed};
    const struct camera_source_conf conf = {.url = c->url,
                                            .user = none_if_empty(c->user),
                                            .password = c->password,
                                            .transport = c->transport,
                                            .tls_verify = c->tls_verify,
                                            .ca_file = none_if_empty(c->ca_file),
                                            .files = none_if_empty(c->files),
                                            .latency_ms = c->latency_ms,
                                            .timeout_ms = c->timeout_ms};
    g_mutex_lock(&c->lock);
    c->state = CONNECTING;
    c->failing = false;
    c->left_out[0] = '\0';
    c->frames_before = c->recording.frames;
    g_mutex_unlock(&c->lock);
    c->pull = camera_pull_start(&conf, &ops, c);
    c->changed(c->ctx, c);
}

static gboolean connect_due(gpointer arg)
{
    struct camera *c = arg;
    c->timer = 0;
    connect_now(c);
    return G_SOURCE_REMOVE;
}

static void camera_free(struct camera *c)
{
    camera_recording_done(&c->recording);
    g_mutex_clear(&c->lock);
    g_free(c->stream);
    g_free(c->url);
    g_free(c->user);
    g_free(c->password);
    g_free(c->ca_file);
    g_free(c->files);
    g_free(c->socket_path);
    g_free(c);
}

static unsigned wait_of(struct camera *c)
{
    bool recorded = c->recording.frames > c->frames_before;
    if (c->fault == CAMERA_UNAUTHORIZED)
        return WAIT_MS_REFUSED;
    if (c->fault == CAMERA_UNSUPPORTED || c->fault == CAMERA_NOT_FOUND ||
        c->fault == CAMERA_UNTRUSTED)
        return WAIT_MS_USELESS;
    unsigned wait = c->wait_ms && !recorded ? c->wait_ms * 2 : WAIT_MS_FIRST;
    c->wait_ms = (unsigned) kn_min_u64(wait, WAIT_MS_MOST);
    /* Cameras that a switch has cut off together do not come back in step. */
    return c->wait_ms / 2 + (unsigned) g_random_int_range(0, (gint32) c->wait_ms / 2 + 1);
}

static gboolean pull_is_gone(gpointer arg)
{
    struct camera *c = arg;
    if (c->state == GONE) {
        while (g_idle_remove_by_data(c)) /* a failure that came meanwhile */
            ;
        camera_free(c);
        return G_SOURCE_REMOVE;
    }
    g_mutex_lock(&c->lock);
    c->state = WAITING;
    c->reconnects++;
    unsigned wait_ms = wait_of(c);
    g_mutex_unlock(&c->lock);
    c->timer = g_timeout_add(wait_ms, connect_due, c);
    return G_SOURCE_REMOVE;
}

static gpointer stop_pull(gpointer arg)
{
    void **pair = arg;
    camera_pull_stop(pair[0]);
    g_idle_add(pull_is_gone, pair[1]);
    g_free(pair);
    return NULL;
}

/* GStreamer may take seconds to let go of a camera that does not answer. */
static void let_go(struct camera *c)
{
    if (!camera_pull_stop_blocks(c->pull)) {
        camera_pull_stop(c->pull);
        c->pull = NULL;
        g_idle_add(pull_is_gone, c);
        return;
    }
    void **pair = g_new(void *, 2);
    pair[0] = c->pull;
    pair[1] = c;
    c->pull = NULL;
    g_thread_unref(g_thread_new("let-go", stop_pull, pair));
}

static gboolean fail_on_main(gpointer arg)
{
    struct camera *c = arg;
    if (c->state == GONE || !c->pull)
        return G_SOURCE_REMOVE;
    g_mutex_lock(&c->lock);
    c->state = STOPPING;
    camera_recording_close(&c->recording);
    g_mutex_unlock(&c->lock);
    let_go(c);
    c->changed(c->ctx, c);
    return G_SOURCE_REMOVE;
}

void camera_tick(struct camera *c)
{
    if (c->pull)
        camera_pull_check(c->pull);
    c->changed(c->ctx, c);
}

static char *text_of(struct kn_str s)
{
    return g_strndup(s.ptr ? s.ptr : "", s.len);
}

struct camera *camera_start(const struct camera_settings *settings, const char *socket_path,
                            camera_status_fn *changed, void *ctx)
{
    struct camera *c = g_new0(struct camera, 1);
    c->stream = text_of(settings->stream);
    c->url = text_of(settings->url);
    c->user = text_of(settings->user);
    c->password = text_of(settings->password);
    c->ca_file = text_of(settings->ca_file);
    c->files = text_of(settings->files);
    c->tls_verify = settings->tls_verify;
    c->socket_path = g_strdup(socket_path);
    c->transport = settings->transport;
    c->latency_ms = settings->latency_ms;
    c->timeout_ms = settings->timeout_ms;
    c->changed = changed;
    c->ctx = ctx;
    c->since_ms = now_ms();
    g_mutex_init(&c->lock);
    camera_recording_init(&c->recording, c->socket_path, c->stream);
    c->recording.lock = &c->lock;
    c->recording.failed = recording_failed_locked;
    c->recording.owner = c;
    connect_now(c);
    return c;
}

void camera_stop(struct camera *c)
{
    if (c->timer)
        g_source_remove(c->timer);
    c->timer = 0;
    g_mutex_lock(&c->lock);
    bool stopping = c->state == STOPPING; /* pull_is_gone will come */
    c->state = GONE;
    camera_recording_close(&c->recording);
    g_mutex_unlock(&c->lock);
    if (c->pull)
        let_go(c);
    else if (!stopping)
        pull_is_gone(c);
}

struct kn_str camera_name(const struct camera *c)
{
    return kn_str_from(c->stream);
}

bool camera_has(const struct camera *c, const struct camera_settings *settings)
{
    return kn_str_eq(kn_str_from(c->url), settings->url) &&
           kn_str_eq(kn_str_from(c->user), settings->user) &&
           kn_str_eq(kn_str_from(c->password), settings->password) &&
           kn_str_eq(kn_str_from(c->ca_file), settings->ca_file) &&
           kn_str_eq(kn_str_from(c->files), settings->files) &&
           c->tls_verify == settings->tls_verify && c->transport == settings->transport &&
           c->latency_ms == settings->latency_ms && c->timeout_ms == settings->timeout_ms;
}

/* --- status ----------------------------------------------------------------------------------- */
static void write_u64(struct kn_json_writer *w, const char *key, uint64_t value)
{
    kn_json_key(w, key);
    kn_json_u64(w, value);
}

static void write_tracks(struct camera *c, struct kn_json_writer *w)
{
    kn_json_key(w, "tracks");
    kn_json_array_begin(w);
    for (unsigned i = 0; i < c->recording.header.track_count; i++) {
        const struct kn_mkv_track *track = &c->recording.header.tracks[i];
        kn_json_object_begin(w);
        kn_json_key(w, "codec");
        kn_json_text(w, track->codec_id);
        if (track->type == KN_MKV_VIDEO) {
            write_u64(w, "width", track->pixel_width);
            write_u64(w, "height", track->pixel_height);
        } else if (track->type == KN_MKV_AUDIO) {
            write_u64(w, "hz", (uint64_t) track->sampling_hz);
            write_u64(w, "channels", track->channels);
        }
        kn_json_object_end(w);
    }
    kn_json_array_end(w);
}

/* What it offers and does not send, while the rest is recorded. */
static const char *silent_of(const struct camera *c, const struct camera_facts *facts)
{
    bool pictures = false, sound = false;
    for (unsigned i = 0; i < c->recording.header.track_count; i++) {
        const struct kn_mkv_track *track = &c->recording.header.tracks[i];
        bool comes = !camera_recording_is_silent(&c->recording, track->number);
        pictures |= comes && track->type == KN_MKV_VIDEO;
        sound |= comes && track->type == KN_MKV_AUDIO;
    }
    if (c->state != RECORDING || pictures == sound)
        return NULL;
    return facts->offers_pictures && !pictures ? "pictures"
           : facts->offers_sound && !sound     ? "sound"
                                               : NULL;
}

static void write_facts(const struct camera *c, struct kn_json_writer *w,
                        const struct camera_facts *facts)
{
    kn_json_key(w, "clock");
    kn_json_text(w, facts->clock);
    write_u64(w, "clockKnown", facts->clock_known ? 1 : 0);
    kn_json_key(w, "clockAheadMs");
    kn_json_i64(w, facts->clock_ahead_ms);
    write_u64(w, "clockSteps", facts->clock_steps);
    write_u64(w, "damaged", facts->frames_damaged);
    kn_json_key(w, "silent");
    kn_json_text(w, silent_of(c, facts));
}

void camera_status_write(struct camera *c, struct kn_json_writer *w)
{
    struct camera_facts facts = {0};
    if (c->pull)
        camera_pull_facts(c->pull, &facts); /* takes the source's lock: before ours */
    g_mutex_lock(&c->lock);
    kn_json_object_begin(w);
    kn_json_key(w, "camera");
    kn_json_text(w, c->stream);
    kn_json_key(w, "state");
    kn_json_text(w, state_name(c->state));
    kn_json_key(w, "fault");
    kn_json_text(w, c->has_fault ? camera_fault_name(c->fault) : NULL);
    kn_json_key(w, "said");
    kn_json_text(w, c->has_fault ? c->said : NULL);
    write_u64(w, "faultMs", (uint64_t) c->fault_ms);
    write_u64(w, "sinceMs", (uint64_t) c->since_ms);
    write_u64(w, "lastFrameMs", (uint64_t) c->recording.last_frame_ms);
    write_u64(w, "frames", c->recording.frames);
    write_u64(w, "bytes", c->recording.bytes);
    write_u64(w, "lost", c->recording.lost);
    write_u64(w, "cuts", c->recording.muxer.cuts);
    if (c->pull)
        write_facts(c, w, &facts);
    write_u64(w, "reconnects", c->reconnects);
    write_u64(w, "persisted", camera_recording_persisted(&c->recording));
    write_u64(w, "persistedMs", (uint64_t) c->recording.persisted_ms);
    kn_json_key(w, "leftOut");
    kn_json_text(w, *c->left_out ? c->left_out : NULL);
    write_tracks(c, w);
    kn_json_object_end(w);
    g_mutex_unlock(&c->lock);
}
