/* SPDX-License-Identifier: Apache-2.0 */
#include "pull.h"

#include "direct.h"
#include "file.h"

#include <glib.h>

enum {
    LATE_PICTURES = 3 /* so many times as long as pictures were apart is too long */
};

struct camera_pull {
    struct camera_source_conf conf; /* its texts are ours */
    struct camera_source_ops ops;
    void *ctx;
    struct camera_file *file; /* one of these, or … */
    struct camera_direct *direct;
    struct camera_source *source;
    guint change; /* … on the way from the second to the third */
    gint64 timeout_us;
    /* When the last of each came; 0: none has, in this connection. */
    _Atomic gint64 picture_us, sound_us;
    _Atomic gint64 apart_us; /* pictures, at most; 0: there are no two yet */
    _Atomic unsigned sound;  /* its tracks, by their numbers' bits */
};

static void on_header(void *ctx, const struct kn_mkv_header *header)
{
    struct camera_pull *pull = ctx;
    unsigned sound = 0;
    for (unsigned i = 0; i < header->track_count; i++) {
        if (header->tracks[i].type == KN_MKV_AUDIO)
            sound |= 1U << header->tracks[i].number;
    }
    pull->sound = sound;
    pull->ops.header(pull->ctx, header);
}

static void on_frame(void *ctx, const struct camera_frame *frame)
{
    struct camera_pull *pull = ctx;
    gint64 now_us = g_get_monotonic_time(), last_us = pull->picture_us;
    if (frame->video) {
        if (last_us)
            pull->apart_us = MAX(pull->apart_us, now_us - last_us);
        pull->picture_us = now_us;
    } else if (pull->sound >> frame->track & 1) {
        pull->sound_us = now_us;
    }
    pull->ops.frame(pull->ctx, frame);
}

static void on_left_out(void *ctx, const char *media, const char *encoding)
{
    struct camera_pull *pull = ctx;
    pull->ops.left_out(pull->ctx, media, encoding);
}

static void on_failed(void *ctx, enum camera_fault fault, const char *said)
{
    struct camera_pull *pull = ctx;
    pull->ops.failed(pull->ctx, fault, said);
}

static const struct camera_source_ops to_pull = {on_header, on_frame, on_left_out, on_failed};

static gboolean change(gpointer arg)
{
    struct camera_pull *pull = arg;
    pull->change = 0;
    camera_direct_stop(pull->direct);
    pull->direct = NULL;
    pull->source = camera_source_start(&pull->conf, &to_pull, pull);
    return G_SOURCE_REMOVE;
}

static void on_unable(void *ctx)
{
    struct camera_pull *pull = ctx;
    pull->change = g_idle_add(change, pull);
}

struct camera_pull *camera_pull_start(const struct camera_source_conf *conf,
                                      const struct camera_source_ops *ops, void *ctx)
{
    const struct camera_direct_ops direct_ops = {to_pull, on_unable};
    struct camera_pull *pull = g_new0(struct camera_pull, 1);
    pull->conf = *conf;
    pull->conf.url = g_strdup(conf->url);
    pull->conf.user = g_strdup(conf->user);
    pull->conf.password = g_strdup(conf->password);
    pull->conf.ca_file = g_strdup(conf->ca_file);
    pull->conf.files = NULL; /* a file's to copy */
    /* A certificate that has to pass is left to GStreamer. */
    bool verified = conf->tls_verify && g_str_has_prefix(conf->url, "rtsps:");
    pull->ops = *ops;
    pull->ctx = ctx;
    pull->timeout_us = (gint64) conf->timeout_ms * 1000;
    if (camera_file_is(conf->url))
        pull->file = camera_file_start(conf, &to_pull, pull);
    else if (!verified && (conf->transport == CAMERA_AUTO || conf->transport == CAMERA_TCP))
        pull->direct = camera_direct_start(&pull->conf, &direct_ops, pull);
    else
        pull->source = camera_source_start(&pull->conf, &to_pull, pull);
    return pull;
}

/* What has stopped may come again in another connection; where no two have come, this one is as
 * good. A camera may send a picture in ten seconds: one that is late has stopped. */
static bool is_without_pictures(const struct camera_pull *pull)
{
    gint64 apart_us = pull->apart_us, picture_us = pull->picture_us;
    gint64 patience_us = MAX(pull->timeout_us, LATE_PICTURES * apart_us);
    return apart_us && pull->sound_us - picture_us > patience_us;
}

void camera_pull_check(struct camera_pull *pull)
{
    if (pull->file) {
        camera_file_check(pull->file); /* which may have no pictures any more, and ends */
        return;
    }
    if (pull->direct)
        camera_direct_check(pull->direct);
    else
        camera_source_check(pull->source);
    if (is_without_pictures(pull))
        pull->ops.failed(pull->ctx, CAMERA_STALLED,
                         "the camera sends sound, and no pictures any more");
}

void camera_pull_facts(struct camera_pull *pull, struct camera_facts *ret)
{
    if (pull->file)
        camera_file_facts(pull->file, ret);
    else if (pull->direct)
        camera_direct_facts(pull->direct, ret);
    else
        camera_source_facts(pull->source, ret);
}

bool camera_pull_stop_blocks(const struct camera_pull *pull)
{
    return pull->source != NULL || pull->file != NULL;
}

void camera_pull_stop(struct camera_pull *pull)
{
    if (pull->change)
        g_source_remove(pull->change);
    if (pull->direct)
        camera_direct_stop(pull->direct);
    camera_source_stop(pull->source);
    if (pull->file)
        camera_file_stop(pull->file);
    g_free((char *) (uintptr_t) pull->conf.url);
    g_free((char *) (uintptr_t) pull->conf.user);
    g_free((char *) (uintptr_t) pull->conf.password);
    g_free((char *) (uintptr_t) pull->conf.ca_file);
    g_free(pull);
}
