/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See file.h. One thread plays: it opens a file, has GStreamer take it apart as far as frames,
 * waits until that is over, and takes the next. Each file is a source of its own
 * (source_announced.h), whose sinks wait until a frame's time has come. Nothing guesses what a file
 * is: what can, also knows playlists, which name other files and machines (media_file.h).
 */
#include "file.h"

#include "media_file.h"
#include "source_announced.h"

#include <errno.h>
#include <unistd.h>

enum {
    SAID_BYTES = 400,
    HEADER_BYTES_MAX = 5 << 20,
    READ_BYTES_MAX = 128 << 20, /* at once: the index of an MP4 of two days, with sound */
    PASS_MS_LEAST = 1000,       /* a shorter file is begun again after so long */
    REST_MS_MOST = 2000,        /* after a file's last frame */
    HOLE_TIMES_TIMEOUT = 6      /* a hole between frames, of the timeout */
};

/* How far the frames of a kind have come, in a pass. */
struct reach {
    int64_t first_ms, newest_ms;
    int64_t count;
};

struct camera_file {
    struct camera_source_ops ops;
    void *ctx;
    char *root, *path; /* path NULL: it cannot be read; root NULL: no file may be played */
    gint64 timeout_us;
    GThread *thread;
    bool first_round; /* the thread's, as what follows */
    char name[NAME_MAX + 1];
    bool round_played; /* of the folder's files, any has been */

    GMutex source_lock;           /* what follows; before a source's own lock */
    struct camera_source *source; /* that plays */

    GMutex lock; /* what follows; inside a source's lock */
    GCond changed;
    bool stopped;
    bool over; /* what plays has ended … */
    bool has_fault;
    enum camera_fault fault; /* … by this */
    char said[SAID_BYTES];

    /* What frames come to: inside a source's lock, or with none. */
    struct kn_buf header;   /* as it was given out last, written */
    bool pictures, begun;   /* begun: a key frame has come, of this pass */
    _Atomic uint64_t count; /* of this pass */
    struct reach reaches[2];
};

struct pass {
    struct camera_file *file;
    GstElement *pipeline;
};

/* --- what a pass says ------------------------------------------------------------------------- */
static void end_pass(struct camera_file *f)
{
    g_mutex_lock(&f->lock);
    f->over = true;
    g_cond_signal(&f->changed);
    g_mutex_unlock(&f->lock);
}

/* The first fault counts. */
static void fail_pass(struct camera_file *f, enum camera_fault fault, const char *said)
{
    g_mutex_lock(&f->lock);
    if (!f->has_fault) {
        f->has_fault = true;
        f->fault = fault;
        g_strlcpy(f->said, said, sizeof f->said);
    }
    g_mutex_unlock(&f->lock);
    end_pass(f);
}

static void on_header(void *ctx, const struct kn_mkv_header *header)
{
    struct camera_file *f = ctx;
    struct kn_buf written;
    kn_buf_init(&written, HEADER_BYTES_MAX);
    f->pictures = false;
    for (unsigned i = 0; i < header->track_count; i++)
        f->pictures |= header->tracks[i].type == KN_MKV_VIDEO;
    bool same = kn_mkv_write_header(&written, header, KN_STR("")) == 0 &&
                written.len == f->header.len && !memcmp(written.ptr, f->header.ptr, written.len);
    kn_buf_done(&f->header);
    f->header = written;
    if (!same)
        f->ops.header(f->ctx, header);
}

static void on_frame(void *ctx, const struct camera_frame *frame)
{
    struct camera_file *f = ctx;
    struct reach *reach = &f->reaches[frame->video];
    f->begun |= frame->key && frame->video == f->pictures;
    if (frame->video && !f->begun)
        return; /* what it refers to is not there */
    if (reach->count++ == 0)
        reach->first_ms = reach->newest_ms = frame->time_ms;
    reach->newest_ms = kn_max_i64(reach->newest_ms, frame->time_ms);
    f->count++;
    f->ops.frame(f->ctx, frame);
}

static void on_left_out(void *ctx, const char *media, const char *encoding)
{
    struct camera_file *f = ctx;
    if (f->first_round)
        f->ops.left_out(f->ctx, media, encoding);
}

static void on_failed(void *ctx, enum camera_fault fault, const char *said)
{
    fail_pass(ctx, fault,
              fault == CAMERA_UNSUPPORTED ? "the file has no track that can be stored" : said);
}

static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer arg)
{
    struct camera_file *f = arg;
    GError *error = NULL;
    (void) bus;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        gst_message_parse_error(message, &error, NULL);
        fail_pass(f, CAMERA_BROKEN, error->message);
        g_clear_error(&error);
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) {
        end_pass(f);
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

/* --- a pass ----------------------------------------------------------------------------------- */
static void on_pad(GstElement *demuxer, GstPad *pad, gpointer arg)
{
    struct pass *pass = arg;
    (void) demuxer;
    GstCaps *caps = gst_pad_get_current_caps(pad);
    if (!caps)
        caps = gst_pad_query_caps(pad, NULL);
    bool fixed = caps && gst_caps_is_fixed(caps);
    GstElement *chain =
        fixed ? camera_source_add(pass->file->source, caps, GST_BIN(pass->pipeline), NULL) : NULL;
    GstPad *in = chain ? gst_element_get_static_pad(chain, "sink") : NULL;
    if (in &&
        (gst_pad_link(pad, in) != GST_PAD_LINK_OK || !gst_element_sync_state_with_parent(chain)))
        fail_pass(pass->file, CAMERA_BROKEN, "a stream that was chosen cannot be read");
    if (in)
        gst_object_unref(in);
    if (caps)
        gst_caps_unref(caps);
}

static void on_no_more_pads(GstElement *demuxer, gpointer arg)
{
    struct pass *pass = arg;
    (void) demuxer;
    camera_source_complete(pass->file->source);
}

/* Demuxers read some parts whole, as long as these say that they are; memory is for all cameras. */
static GstPadProbeReturn on_read(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
    struct camera_file *f = arg;
    (void) pad;
    if (info->size <= READ_BYTES_MAX)
        return GST_PAD_PROBE_PASS;
    fail_pass(f, CAMERA_BROKEN, "a part of the file is said to be longer than 128 MiB");
    return GST_PAD_PROBE_DROP; /* as at the end of the file */
}

static GstElement *reader_new(struct camera_file *f, int fd)
{
    GstElement *reader = gst_element_factory_make("filesrc", NULL);
    GstPad *out = reader ? gst_element_get_static_pad(reader, "src") : NULL;
    if (!out)
        return reader;
    char *location = g_strdup_printf("/proc/self/fd/%d", fd);
    g_object_set(reader, "location", location, NULL);
    g_free(location);
    gst_pad_add_probe(out, GST_PAD_PROBE_TYPE_PULL | GST_PAD_PROBE_TYPE_BLOCK, on_read, f, NULL);
    gst_object_unref(out);
    return reader;
}

/* Running time begins now, not when the pipeline plays: a machine that is slow to come so far, or
 * with its first frame, moves no frame's time, and a sink that is added meanwhile waits by the
 * same. */
static void pass_begins(struct pass *pass)
{
    GstClock *clock = gst_system_clock_obtain();
    gst_pipeline_use_clock(GST_PIPELINE(pass->pipeline), clock);
    gst_element_set_start_time(pass->pipeline, GST_CLOCK_TIME_NONE);
    gst_element_set_base_time(pass->pipeline, gst_clock_get_time(clock));
    gst_object_unref(clock);
    camera_source_begins(pass->file->source, g_get_real_time() / 1000);
}

/* By its descriptor: what was opened is what is read, whatever the path means by now. */
static void pass_start(struct pass *pass, const struct camera_media_file *media)
{
    struct camera_file *f = pass->file;
    GstElement *reader = reader_new(f, media->fd);
    GstElement *demuxer = gst_element_factory_make(media->demuxer, NULL);
    pass->pipeline = gst_pipeline_new(NULL);
    GstBus *bus = gst_element_get_bus(pass->pipeline);
    gst_bus_set_sync_handler(bus, on_message, f, NULL);
    gst_object_unref(bus);
    pass_begins(pass);
    if (reader)
        gst_bin_add(GST_BIN(pass->pipeline), reader);
    if (demuxer)
        gst_bin_add(GST_BIN(pass->pipeline), demuxer);
    if (!reader || !demuxer) {
        fail_pass(f, CAMERA_BROKEN,
                  "GStreamer has no demuxer for it: install gstreamer1.0-plugins-good and -bad");
        return;
    }
    g_signal_connect(demuxer, "pad-added", G_CALLBACK(on_pad), pass);
    g_signal_connect(demuxer, "no-more-pads", G_CALLBACK(on_no_more_pads), pass);
    if (!gst_element_link(reader, demuxer) ||
        gst_element_set_state(pass->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        fail_pass(f, CAMERA_BROKEN, "GStreamer does not start");
}

static void set_source(struct camera_file *f, struct camera_source *source)
{
    g_mutex_lock(&f->source_lock);
    f->source = source;
    g_mutex_unlock(&f->source_lock);
}

/* Until the pass is over, or until_us of monotonic time has come (0: whenever); false: no more. */
static bool rest(struct camera_file *f, gint64 until_us)
{
    g_mutex_lock(&f->lock);
    bool late = false;
    while (!f->stopped && (until_us || !f->over) && !late) {
        if (until_us)
            late = !g_cond_wait_until(&f->changed, &f->lock, until_us);
        else
            g_cond_wait(&f->changed, &f->lock);
    }
    bool go_on = !f->stopped;
    g_mutex_unlock(&f->lock);
    return go_on;
}

static void play_one(struct camera_file *f, const struct camera_media_file *media)
{
    static const struct camera_source_ops ops = {on_header, on_frame, on_left_out, on_failed};
    struct pass pass = {.file = f};
    struct camera_source *source = camera_source_new(&ops, f, 0, (unsigned) (f->timeout_us / 1000));
    g_mutex_lock(&f->lock);
    f->over = f->has_fault = false;
    g_mutex_unlock(&f->lock);
    f->begun = false;
    f->count = 0;
    memset(f->reaches, 0, sizeof f->reaches);
    set_source(f, source);
    pass_start(&pass, media);
    (void) rest(f, 0);
    gst_element_set_state(pass.pipeline, GST_STATE_NULL);
    set_source(f, NULL);
    gst_object_unref(pass.pipeline);
    camera_source_stop(source);
    if (f->count == 0) /* and it has not said why */
        fail_pass(f, CAMERA_BROKEN, "the file has no frame that can be played");
}

/* --- one after the other ---------------------------------------------------------------------- */
static enum camera_fault fault_of(int error)
{
    return error == -ENOENT                                           ? CAMERA_NOT_FOUND
           : error == -EXDEV || error == -EACCES                      ? CAMERA_UNAUTHORIZED
           : error == -EINVAL || error == -ENODATA || error == -E2BIG ? CAMERA_UNSUPPORTED
                                                                      : CAMERA_BROKEN;
}

static_assert(CAMERA_FOLDER_NAMES_MAX == 20000, "as it is said");

static const char *said_of(int error)
{
    switch (error) {
    case -ENOENT:
        return "there is no such file";
    case -EXDEV:
        return "it is not in the folder that camera_files names, or a link leads out of that";
    case -EACCES:
        return "the server may not read it";
    case -EINVAL:
        return "it is neither a file nor a folder";
    case -ENODATA:
        return "it is no MP4, Matroska or MPEG-TS file, nor a folder that holds one";
    case -E2BIG:
        return "the folder holds more than 20000 names";
    default:
        return "it cannot be read";
    }
}

static bool is_stopped(struct camera_file *f)
{
    g_mutex_lock(&f->lock);
    bool stopped = f->stopped;
    g_mutex_unlock(&f->lock);
    return stopped;
}

/* The last call to whoever plays it. */
static void give_up(struct camera_file *f, enum camera_fault fault, const char *said)
{
    if (!is_stopped(f))
        f->ops.failed(f->ctx, fault, said);
}

/* The next file; false: there is none to go on with, which has been said. */
static bool choose(struct camera_file *f, struct camera_media_file *ret)
{
    if (!f->root || !f->path) {
        give_up(f, CAMERA_UNAUTHORIZED,
                f->root ? "its path is wrongly escaped"
                        : "no files are played: the setting camera_files names no folder");
        return false;
    }
    int r = camera_media_file_open(f->root, f->path, f->name, ret);
    if (r == -ENODATA && *f->name) {
        if (!f->round_played) {
            give_up(f, f->fault, f->said);
            return false;
        }
        f->first_round = f->round_played = false;
        r = camera_media_file_open(f->root, f->path, "", ret);
    }
    if (r < 0)
        give_up(f, fault_of(r), said_of(r));
    return r == 0;
}

/* When its last frame is over, if it lasts as long as the others did. */
static int64_t end_ms(const struct reach *reach)
{
    int64_t apart_ms =
        reach->count > 1 ? (reach->newest_ms - reach->first_ms) / (reach->count - 1) : 0;
    return reach->newest_ms + apart_ms;
}

/* The next pass begins where this one's frames end. */
static gint64 end_us(const struct camera_file *f, gint64 began_us)
{
    int64_t last_ms = kn_max_i64(end_ms(&f->reaches[0]), end_ms(&f->reaches[1]));
    int64_t left_ms = kn_min_i64(last_ms - g_get_real_time() / 1000, REST_MS_MOST);
    return kn_max_i64(g_get_monotonic_time() + left_ms * 1000,
                      began_us + (gint64) PASS_MS_LEAST * 1000);
}

static gpointer play(gpointer arg)
{
    struct camera_file *f = arg;
    struct camera_media_file media;
    while (choose(f, &media)) {
        gint64 began_us = g_get_monotonic_time();
        play_one(f, &media);
        close(media.fd);
        (void) !kn_str_copy(f->name, sizeof f->name, kn_str_from(media.name));
        f->round_played |= f->count > 0;
        f->first_round &= *media.name != '\0'; /* a folder's lasts longer */
        if (f->has_fault && !*media.name) {
            give_up(f, f->fault, f->said);
            break;
        }
        if (f->has_fault)
            on_left_out(f, "file", media.name);
        if (f->count > 0 && !rest(f, end_us(f, began_us)))
            break;
        if (is_stopped(f))
            break;
    }
    return NULL;
}

/* --- its life --------------------------------------------------------------------------------- */
bool camera_file_is(const char *url)
{
    return g_str_has_prefix(url, "file://");
}

struct camera_file *camera_file_start(const struct camera_source_conf *conf,
                                      const struct camera_source_ops *ops, void *ctx)
{
    struct camera_file *f = g_new0(struct camera_file, 1);
    f->ops = *ops;
    f->ctx = ctx;
    f->root = g_strdup(conf->files);
    f->path = g_uri_unescape_string(conf->url + strlen("file://"), NULL);
    f->timeout_us = (gint64) conf->timeout_ms * 1000;
    f->first_round = true;
    g_mutex_init(&f->source_lock);
    g_mutex_init(&f->lock);
    g_cond_init(&f->changed);
    kn_buf_init(&f->header, HEADER_BYTES_MAX);
    f->thread = g_thread_new("file", play, f);
    return f;
}

void camera_file_check(struct camera_file *f)
{
    g_mutex_lock(&f->source_lock);
    gint64 patience_us = f->count > 0 ? HOLE_TIMES_TIMEOUT * f->timeout_us : f->timeout_us;
    if (f->source && camera_source_silent_ms(f->source) * 1000 > patience_us)
        fail_pass(f, CAMERA_STALLED, "the file gives no frame for long, and does not end");
    g_mutex_unlock(&f->source_lock);
}

void camera_file_facts(struct camera_file *f, struct camera_facts *ret)
{
    *ret = (struct camera_facts){.clock = "arrival"};
    g_mutex_lock(&f->source_lock);
    if (f->source)
        camera_source_facts(f->source, ret);
    g_mutex_unlock(&f->source_lock);
}

void camera_file_stop(struct camera_file *f)
{
    g_mutex_lock(&f->lock);
    f->stopped = true;
    g_cond_signal(&f->changed);
    g_mutex_unlock(&f->lock);
    g_thread_join(f->thread);
    kn_buf_done(&f->header);
    g_mutex_clear(&f->source_lock);
    g_mutex_clear(&f->lock);
    g_cond_clear(&f->changed);
    g_free(f->root);
    g_free(f->path);
    g_free(f);
}
