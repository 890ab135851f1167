/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TS segment step by step: the next frame by decode time is read from the chunk, put into TS's
 * framing and handed to the muxer, until a buffer is full. Times are those of the fMP4 writer, on
 * 90 kHz; video is decoded earlier by the depth of its reordering, since TS has no signed offsets,
 * and by the same in each fragment, or decode times would step back from one to the next. The muxer
 * lies in a module of its own, so that a server nobody asks for TS never maps libavformat.
 */
#include "ts/ts.h"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#include "core/log.h"
#include "ts/annexb.h"
#include "ts/module.h"

enum {
    TICKS_PER_S = 90000,
    OUTPUT_BYTES_MAX = 128 << 20, /* a frame and what it became; a fragment has 50 MB */
    KEPT_BYTES = 64 << 10,        /* of a buffer that is empty */
};
static const int64_t turn_ticks = INT64_C(1) << 33; /* TS counts time modulo this */

struct line {
    struct playback_timeline *samples;
    const struct playback_codec_info *info; /* NULL: no such track */
    struct playback_parameter_sets sets;
    size_t at;
    int64_t decode_time; /* of the sample at `at`, in the line's timescale */
    int64_t earlier;     /* what video is decoded before its decode_time, 90 kHz */
};

struct playback_ts {
    struct playback_mp4_source source;
    struct playback_view view;
    struct line lines[PLAYBACK_TRACKS_MAX];
    const struct playback_ts_module *module;
    struct playback_ts_mux *mux;
    struct kn_buf frame, unit, out;
    size_t out_at;
    struct playback *playback;
    int64_t held_bytes; /* what it has added to playback's sum */
    int64_t turn;       /* added to all times, since the muxer would shift what begins below 0 */
    bool finished;
};

/* --- the module ------------------------------------------------------------------------------- */

static pthread_once_t module_once = PTHREAD_ONCE_INIT;
static const struct playback_ts_module *module_table;

static const struct playback_ts_module *try_module(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct playback_ts_module *table =
        handle ? dlsym(handle, PLAYBACK_TS_MODULE_SYMBOL) : NULL;
    if (table && table->version == PLAYBACK_TS_MODULE_VERSION)
        return table;
    const char *why = handle ? "not a module of this version" : dlerror();
    kn_log_debug("ts_module_refused", "why=%s", kn_log_quote(kn_str_from(why)));
    if (handle)
        (void) dlclose(handle);
    return NULL;
}

/* Beside the program (a build folder), one above it (its tests), or where an installation puts it.
 */
static void load_module(void)
{
    static const char *const places[] = {"", "../", "../lib/kinema/"};
    const char *given = getenv("KINEMA_TS_MODULE");
    if (given) {
        module_table = try_module(given);
        return;
    }
    char program[PATH_MAX], path[PATH_MAX + 64];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len < 0)
        return;
    program[len] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        slash[1] = '\0';
    for (size_t i = 0; i < KN_ARRAY_LEN(places) && !module_table; i++) {
        (void) snprintf(path, sizeof path, "%s%skinema_ts.so", program, places[i]);
        module_table = try_module(path);
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

static int64_t in_90k(int64_t time, uint32_t timescale)
{
    return (int64_t) ((__int128) time * TICKS_PER_S / timescale);
}

/* What the SPS says, in frames of average length, so that a fragment without B-frames leads by as
 * much as its neighbours; and never less than this fragment needs. */
static int64_t lead_of(const struct line *line)
{
    const struct playback_timeline *samples = line->samples;
    int64_t earliest = 0, length = 0;
    for (size_t i = 0; i < samples->count; i++) {
        earliest = kn_min_i64(earliest, samples->samples[i].composition);
        length += samples->samples[i].duration;
    }
    int64_t depth =
        samples->count ? length * line->info->reorder_frames / (int64_t) samples->count : 0;
    return in_90k(kn_max_i64(-earliest, depth), samples->timescale);
}

static int64_t next_decoded(const struct line *line)
{
    return in_90k(line->decode_time, line->samples->timescale) - line->earlier;
}

static int open_line(struct playback_ts *ts, struct line *line, const struct playback_track *track,
                     enum playback_clock clock)
{
    struct storage_frames *frames;
    int r = storage_frames_get(ts->source.storage, &ts->source.stream, &ts->source.fragment,
                               &frames, false);
    if (r < 0)
        return r;
    struct playback_timeline_in in = {.track = track,
                                      .frames = frames,
                                      .scale_ns = ts->view.tracks.scale_ns,
                                      .start_ms = playback_start_ms(&ts->source.fragment, clock),
                                      .next_start_ms = INT64_MIN,
                                      .length_ms = playback_duration_ms(&ts->source.fragment)};
    r = playback_timeline_make(&in, &line->samples);
    if (r == 0)
        r = playback_silence_fill(&in, &line->samples);
    storage_frames_free(frames);
    if (r < 0)
        return r;
    line->info = &track->info;
    line->decode_time = line->samples->decode_time;
    line->earlier = lead_of(line);
    if (next_decoded(line) < 0)
        ts->turn = turn_ticks;
    if (track->info.codec == PLAYBACK_H264)
        return playback_h264_parameter_sets(track->info.config, &line->sets);
    uint8_t adts[PLAYBACK_ADTS_BYTES];
    return playback_aac_adts(&track->info, 0, adts); /* -EINVAL: ADTS cannot say this AAC */
}

static void sink(void *ctx, const uint8_t *bytes, size_t len)
{
    struct playback_ts *ts = ctx;
    kn_buf_append(&ts->out, bytes, len); /* the error sticks */
}

static int open_mux(struct playback_ts *ts)
{
    struct playback_ts_mux_conf conf = {
        .track_count = ts->view.tracks.count, .sink = sink, .ctx = ts};
    for (unsigned i = 0; i < conf.track_count; i++) {
        const struct playback_codec_info *info = ts->lines[i].info;
        conf.codecs[i] = info->codec == PLAYBACK_AAC ? PLAYBACK_TS_AAC : PLAYBACK_TS_H264;
        conf.sample_hz[i] = info->sample_hz;
    }
    return ts->module->open(&conf, &ts->mux);
}

int playback_ts_open(struct playback *playback, const struct playback_session *session,
                     const struct storage_fragment *fragment, struct playback_ts **ret,
                     struct kn_err *err)
{
    (void) pthread_once(&module_once, load_module);
    if (!module_table)
        return kn_fail(err, -EIO, "MPEG-TS is not available: kinema_ts.so cannot be loaded.");
    struct playback_ts *ts = calloc(1, sizeof *ts);
    if (!ts)
        return -ENOMEM;
    ts->module = module_table;
    ts->playback = playback;
    ts->source = (struct playback_mp4_source){
        .storage = playback->storage, .stream = session->stream, .fragment = *fragment};
    kn_buf_init(&ts->frame, OUTPUT_BYTES_MAX);
    kn_buf_init(&ts->unit, OUTPUT_BYTES_MAX);
    kn_buf_init(&ts->out, OUTPUT_BYTES_MAX);
    int r = playback_view_get(playback, session, fragment, &ts->view, err, false);
    for (unsigned i = 0; r == 0 && i < ts->view.tracks.count; i++)
        r = open_line(ts, &ts->lines[i], &ts->view.tracks.items[i], session->clock);
    if (r == 0)
        r = open_mux(ts);
    if (r < 0) {
        playback_ts_free(ts);
        return r;
    }
    *ret = ts;
    return 0;
}

/* A viewer that reads slowly holds as little as can be. */
static void let_go(struct kn_buf *buf)
{
    if (buf->cap > KEPT_BYTES)
        kn_buf_done(buf);
}

static void count_held(struct playback_ts *ts, int64_t held_bytes)
{
    ts->playback->sessions->ts_held_bytes += held_bytes - ts->held_bytes;
    ts->held_bytes = held_bytes;
}

void playback_ts_free(struct playback_ts *ts)
{
    if (!ts)
        return;
    count_held(ts, 0);
    if (ts->mux)
        ts->module->close(ts->mux);
    for (size_t i = 0; i < KN_ARRAY_LEN(ts->lines); i++)
        free(ts->lines[i].samples);
    if (ts->view.header)
        playback_view_done(&ts->view);
    kn_buf_done(&ts->frame);
    kn_buf_done(&ts->unit);
    kn_buf_done(&ts->out);
    free(ts);
}

/* --- muxing ----------------------------------------------------------------------------------- */

/* The line whose next frame is decoded first; NULL when all are done. */
static struct line *next_line(struct playback_ts *ts)
{
    struct line *next = NULL;
    int64_t first = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(ts->lines); i++) {
        struct line *line = &ts->lines[i];
        if (!line->samples || line->at == line->samples->count)
            continue;
        int64_t time = next_decoded(line);
        if (next && time >= first)
            continue;
        next = line;
        first = time;
    }
    return next;
}

static int read_frame(struct playback_ts *ts, const struct line *line)
{
    const struct playback_sample *sample = &line->samples->samples[line->at];
    kn_buf_clear(&ts->frame);
    if (sample->offset == playback_silent)
        return kn_buf_append(&ts->frame, line->samples->silence.bytes, sample->bytes);
    int r = kn_buf_reserve(&ts->frame, sample->bytes);
    if (r < 0)
        return r;
    while (ts->frame.len < sample->bytes) {
        struct iovec piece = {ts->frame.ptr + ts->frame.len, sample->bytes - ts->frame.len};
        ssize_t got = storage_read(ts->source.storage, &ts->source.stream, &ts->source.fragment,
                                   (uint64_t) sample->offset + ts->frame.len, &piece, 1, false);
        if (got <= 0)
            return got < 0 ? (int) got : -EIO;
        ts->frame.len += (size_t) got;
    }
    return 0;
}

static int make_unit(struct playback_ts *ts, const struct line *line, bool key)
{
    kn_buf_clear(&ts->unit);
    if (line->info->codec == PLAYBACK_H264)
        return playback_annexb_append(&ts->unit, kn_buf_bytes(&ts->frame),
                                      line->info->nal_length_bytes, &line->sets, key);
    uint8_t adts[PLAYBACK_ADTS_BYTES];
    int r = playback_aac_adts(line->info, ts->frame.len, adts);
    if (r < 0)
        return r;
    kn_buf_append(&ts->unit, adts, sizeof adts);
    return kn_buf_append(&ts->unit, ts->frame.ptr, ts->frame.len);
}

static int mux_one(struct playback_ts *ts, struct line *line)
{
    const struct playback_sample *sample = &line->samples->samples[line->at];
    int r = read_frame(ts, line);
    if (r == 0)
        r = make_unit(ts, line, sample->key);
    if (r < 0)
        return r;
    uint32_t timescale = line->samples->timescale;
    struct playback_ts_packet packet = {
        .track = (unsigned) (line - ts->lines),
        .shown = ts->turn + in_90k(line->decode_time + sample->composition, timescale),
        .decoded = ts->turn + in_90k(line->decode_time, timescale) - line->earlier,
        .key = sample->key,
        .bytes = ts->unit.ptr,
        .len = ts->unit.len};
    line->decode_time += sample->duration;
    line->at++;
    return ts->module->write(ts->mux, &packet);
}

ssize_t playback_ts_read(struct playback_ts *ts, uint8_t *dst, size_t cap)
{
    kn_buf_consume(&ts->out, ts->out_at);
    ts->out_at = 0;
    while (ts->out.len < cap && !ts->finished) {
        struct line *line = next_line(ts);
        int r = line ? mux_one(ts, line) : ts->module->finish(ts->mux);
        ts->finished = !line;
        if (r < 0 || ts->out.error)
            return r < 0 ? r : ts->out.error;
    }
    size_t len = ts->out.len < cap ? ts->out.len : cap;
    if (len)
        memcpy(dst, ts->out.ptr, len);
    ts->out_at = len;
    let_go(&ts->frame);
    let_go(&ts->unit);
    if (len == ts->out.len) {
        kn_buf_clear(&ts->out);
        ts->out_at = 0;
        let_go(&ts->out);
    }
    count_held(ts, (int64_t) (ts->frame.cap + ts->unit.cap + ts->out.cap));
    return (ssize_t) len;
}

bool playback_ts_may_read(const struct playback_ts *ts)
{
    return ts->out.len > ts->out_at ||
           (uint64_t) ts->playback->sessions->ts_held_bytes < ts->playback->conf.ts_held_bytes_max;
}
