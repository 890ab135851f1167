/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include "pull.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/json.h"

enum {
    SECONDS_DEFAULT = 5,
    SECONDS_MAX = 60,
    SECONDS_SPARE = 15, /* to begin and to end; then the process is ended, wherever it hangs */
    ANSWER_BYTES_MAX = 64 << 10,
    TIMEOUT_MS = 5000,
    LATENCY_MS = 200,
};

struct probe {
    GMainLoop *loop;
    GMutex lock; /* what follows */
    struct kn_mkv_header header;
    char left_out[200], said[300];
    enum camera_fault fault;
    bool failed;
    uint64_t frames[KN_MKV_TRACKS_MAX + 1], bytes[KN_MKV_TRACKS_MAX + 1],
        keys[KN_MKV_TRACKS_MAX + 1];
    int64_t first_ms[KN_MKV_TRACKS_MAX + 1], last_ms[KN_MKV_TRACKS_MAX + 1];
};

static void on_header(void *ctx, const struct kn_mkv_header *header)
{
    struct probe *p = ctx;
    g_mutex_lock(&p->lock);
    p->header = *header;
    g_mutex_unlock(&p->lock);
}

static void on_frame(void *ctx, const struct camera_frame *frame)
{
    struct probe *p = ctx;
    g_mutex_lock(&p->lock);
    unsigned at = frame->track;
    p->first_ms[at] = p->frames[at] ? p->first_ms[at] : frame->time_ms;
    p->last_ms[at] = frame->time_ms;
    p->frames[at]++;
    p->keys[at] += frame->key ? 1 : 0;
    p->bytes[at] += frame->bytes.len;
    g_mutex_unlock(&p->lock);
}

static void on_left_out(void *ctx, const char *media, const char *encoding)
{
    struct probe *p = ctx;
    g_mutex_lock(&p->lock);
    camera_left_out_add(p->left_out, sizeof p->left_out, media, encoding);
    g_mutex_unlock(&p->lock);
}

static void on_failed(void *ctx, enum camera_fault fault, const char *said)
{
    struct probe *p = ctx;
    g_mutex_lock(&p->lock);
    p->failed = true;
    p->fault = fault;
    g_strlcpy(p->said, said, sizeof p->said);
    g_mutex_unlock(&p->lock);
    g_main_loop_quit(p->loop);
}

/* --- the answer ------------------------------------------------------------------------------- */
static void write_track(struct probe *p, const struct kn_mkv_track *track, struct kn_json_writer *w)
{
    unsigned at = (unsigned) track->number;
    double seconds = (double) (p->last_ms[at] - p->first_ms[at]) / 1000;
    kn_json_object_begin(w);
    kn_json_key(w, "codec");
    kn_json_text(w, track->codec_id);
    if (track->type == KN_MKV_VIDEO) {
        kn_json_key(w, "width");
        kn_json_u64(w, track->pixel_width);
        kn_json_key(w, "height");
        kn_json_u64(w, track->pixel_height);
        kn_json_key(w, "keyFrames");
        kn_json_u64(w, p->keys[at]);
    } else {
        kn_json_key(w, "hz");
        kn_json_u64(w, (uint64_t) track->sampling_hz);
        kn_json_key(w, "channels");
        kn_json_u64(w, track->channels);
    }
    kn_json_key(w, "frames");
    kn_json_u64(w, p->frames[at]);
    kn_json_key(w, "framesPerSecond");
    kn_json_double(w, seconds > 0 ? (double) (p->frames[at] - 1) / seconds : 0);
    kn_json_key(w, "kilobitsPerSecond");
    kn_json_double(w, seconds > 0 ? (double) p->bytes[at] * 8 / 1000 / seconds : 0);
    kn_json_object_end(w);
}

static int answer(struct probe *p)
{
    struct kn_buf out;
    struct kn_json_writer w;
    kn_buf_init(&out, ANSWER_BYTES_MAX);
    kn_json_writer_init(&w, &out);
    kn_json_object_begin(&w);
    kn_json_key(&w, "ok");
    kn_json_bool(&w, !p->failed && p->header.track_count > 0);
    kn_json_key(&w, "fault");
    kn_json_text(&w, p->failed ? camera_fault_name(p->fault) : NULL);
    kn_json_key(&w, "said");
    kn_json_text(&w, p->failed ? p->said : NULL);
    kn_json_key(&w, "leftOut");
    kn_json_text(&w, *p->left_out ? p->left_out : NULL);
    kn_json_key(&w, "tracks");
    kn_json_array_begin(&w);
    for (unsigned i = 0; i < p->header.track_count; i++)
        write_track(p, &p->header.tracks[i], &w);
    kn_json_array_end(&w);
    kn_json_object_end(&w);
    printf("%.*s\n", (int) out.len, (const char *) out.ptr);
    bool ok = out.error == 0 && !p->failed && p->header.track_count > 0;
    kn_buf_done(&out);
    return ok ? 0 : 1;
}

/* --- options ---------------------------------------------------------------------------------- */
struct options {
    struct camera_source_conf conf;
    unsigned seconds;
    char *url, *user, *password;
};

static char *unescaped(const char *text, size_t len)
{
    char *plain = g_uri_unescape_segment(text, text + len, NULL);
    return plain ? plain : g_strndup(text, len);
}

/* rtsp://user:password@host/… comes apart; the last @ of the authority counts. */
static void take_credentials(struct options *o, const char *url)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    size_t authority = strcspn(start, "/");
    const char *at = memrchr(start, '@', authority);
    const char *user = getenv("KINEMA_CAMERA_USER"), *password = getenv("KINEMA_CAMERA_PASSWORD");
    if (user) {
        o->user = g_strdup(user);
        o->password = g_strdup("");
    } else if (at) {
        const char *colon = memchr(start, ':', (size_t) (at - start));
        o->user = unescaped(start, (size_t) ((colon ? colon : at) - start));
        o->password = colon ? unescaped(colon + 1, (size_t) (at - colon - 1)) : g_strdup("");
    }
    if (password && o->user) {
        g_free(o->password);
        o->password = g_strdup(password);
    }
    o->url = at ? g_strdup_printf("%.*s%s", (int) (start - url), url, at + 1) : g_strdup(url);
    o->conf.url = o->url;
    o->conf.user = o->user;
    o->conf.password = o->password;
}

static int read_options(int argc, char **argv, struct options *o)
{
    const char *url = strcmp(argv[0], "-") ? argv[0] : getenv("KINEMA_CAMERA_URL");
    url = url ? url : "";
    *o = (struct options){
        .conf = {.latency_ms = LATENCY_MS, .timeout_ms = TIMEOUT_MS},
          .seconds = SECONDS_DEFAULT
    };
    if (!g_str_has_prefix(url, "rtsp://") && !g_str_has_prefix(url, "rtsps://") &&
        !g_str_has_prefix(url, "file://")) {
        fputs("kinema-camera: a camera's URL begins with rtsp://, rtsps:// or file://\n", stderr);
        return 2;
    }
    for (int i = 1; i < argc; i += 2) {
        uint64_t seconds = 0;
        bool good = i + 1 < argc;
        if (good && !strcmp(argv[i], "--transport")) {
            o->conf.transport = camera_transport_of(kn_str_from(argv[i + 1]));
            good = o->conf.transport != CAMERA_AUTO || !strcmp(argv[i + 1], "auto");
        } else if (good && !strcmp(argv[i], "--files")) {
            o->conf.files = argv[i + 1];
        } else if (good && !strcmp(argv[i], "--seconds")) {
            good = kn_str_to_u64(kn_str_from(argv[i + 1]), SECONDS_MAX, &seconds) == 0 && seconds;
            o->seconds = (unsigned) seconds;
        } else {
            good = false;
        }
        if (!good) {
            fprintf(stderr, "kinema-camera: what is \"%s\"? (see kinema-camera --help)\n", argv[i]);
            return 2;
        }
    }
    take_credentials(o, url);
    return 0;
}

static gboolean time_is_up(gpointer arg)
{
    struct probe *p = arg;
    g_mutex_lock(&p->lock);
    if (!p->failed && p->header.track_count == 0) {
        p->failed = true;
        p->fault = CAMERA_STALLED;
        g_strlcpy(p->said, "it has answered nothing, or sent nothing, so far", sizeof p->said);
    }
    g_mutex_unlock(&p->lock);
    g_main_loop_quit(p->loop);
    return G_SOURCE_REMOVE;
}

static gboolean check(gpointer arg)
{
    camera_pull_check(arg);
    return G_SOURCE_CONTINUE;
}

int camera_probe(int argc, char **argv)
{
    static const struct camera_source_ops ops = {on_header, on_frame, on_left_out, on_failed};
    struct options options;
    int code = read_options(argc, argv, &options);
    if (code)
        return code;
    (void) alarm(options.seconds + SECONDS_SPARE);
    struct probe probe = {.loop = g_main_loop_new(NULL, FALSE)};
    g_mutex_init(&probe.lock);
    struct camera_pull *pull = camera_pull_start(&options.conf, &ops, &probe);
    g_timeout_add(1000, check, pull);
    g_timeout_add_seconds(options.seconds, time_is_up, &probe);
    g_main_loop_run(probe.loop);
    camera_pull_stop(pull);
    code = answer(&probe);
    fflush(stdout);
    g_main_loop_unref(probe.loop);
    g_mutex_clear(&probe.lock);
    g_free(options.url);
    g_free(options.user);
    g_free(options.password);
    return code;
}
