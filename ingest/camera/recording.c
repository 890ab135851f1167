/* SPDX-License-Identifier: Apache-2.0 */
#include "recording.h"

#include <errno.h>
#include <glib-unix.h>

enum {
    SAID_BYTES = 400,
    HEAD_BYTES_MAX = 5 << 20, /* a header with its codec data, or a block's few bytes */
    SILENT_MS = 5000,         /* of sound, beside pictures that go on */
};

void camera_recording_init(struct camera_recording *r, const char *socket_path, const char *stream)
{
    *r = (struct camera_recording){.socket_path = socket_path, .stream = stream};
    r->upload.fd = -1;
    kn_buf_init(&r->head, HEAD_BYTES_MAX);
    kn_buf_init(&r->privates, HEAD_BYTES_MAX);
}

void camera_recording_done(struct camera_recording *r)
{
    kn_buf_done(&r->head);
    kn_buf_done(&r->privates);
}

void camera_recording_close(struct camera_recording *r)
{
    if (r->watch)
        g_source_remove(r->watch);
    r->watch = 0;
    if (r->upload.fd >= 0) {
        r->persisted += r->upload.persisted;
        camera_upload_close(&r->upload);
    }
}

uint64_t camera_recording_persisted(const struct camera_recording *r)
{
    return r->persisted + (r->upload.fd >= 0 ? r->upload.persisted : 0);
}

static gboolean upload_event(gint fd, GIOCondition condition, gpointer arg)
{
    struct camera_recording *r = arg;
    char said[SAID_BYTES];
    (void) condition;
    g_mutex_lock(r->lock);
    gboolean go_on = r->upload.fd == fd;
    if (go_on && camera_upload_read(&r->upload, said, sizeof said) < 0) {
        r->watch = 0;
        r->failed(r->owner, said);
        go_on = G_SOURCE_REMOVE;
    } else if (go_on) {
        r->persisted_ms = r->upload.persisted_ms;
    }
    g_mutex_unlock(r->lock);
    return go_on;
}

static int upload_open(struct camera_recording *r)
{
    char said[SAID_BYTES];
    int code = camera_upload_open(&r->upload, r->socket_path, r->stream);
    if (code < 0) {
        g_snprintf(said, sizeof said, "the server's socket: %s", g_strerror(-code));
        r->failed(r->owner, said);
        return code;
    }
    r->watch = g_unix_fd_add(r->upload.fd, G_IO_IN | G_IO_HUP | G_IO_ERR, upload_event, r);
    return 0;
}

static bool is_silent(const struct camera_recording *r, uint64_t number)
{
    return r->silent >> number & 1;
}

/* Another upload, of the tracks that are not silent. */
static void begin(struct camera_recording *r)
{
    struct kn_mkv_header header = r->header;
    size_t at = 0;
    header.track_count = 0;
    for (unsigned i = 0; i < r->header.track_count; i++) {
        struct kn_mkv_track track = r->header.tracks[i];
        if (track.codec_private.len > 0)
            track.codec_private.ptr = r->privates.ptr + at;
        at += track.codec_private.len;
        if (!is_silent(r, track.number))
            header.tracks[header.track_count++] = track;
    }
    camera_recording_close(r);
    int code = upload_open(r);
    kn_buf_clear(&r->head);
    if (camera_muxer_header(&r->muxer, &header, &r->head) < 0)
        r->failed(r->owner, "out of memory");
    else if (code == 0 &&
             camera_upload_send(&r->upload, kn_buf_bytes(&r->head), (struct kn_bytes){NULL, 0}) < 0)
        r->failed(r->owner, "the server does not take the upload");
}

void camera_recording_header(struct camera_recording *r, const struct kn_mkv_header *header)
{
    r->header = *header;
    r->silent = 0;
    kn_buf_clear(&r->privates);
    for (unsigned i = 0; i < header->track_count; i++) {
        (void) kn_buf_append(&r->privates, header->tracks[i].codec_private.ptr,
                             header->tracks[i].codec_private.len); /* the error sticks */
        r->header.tracks[i].codec_private.ptr = NULL;
        r->sound_ms[header->tracks[i].number] = INT64_MIN;
    }
    if (r->privates.error == 0)
        begin(r);
    else
        r->failed(r->owner, "out of memory");
}

/* At a key picture: which sound has not been heard for so long. */
static unsigned find_silent(struct camera_recording *r, int64_t now_ms)
{
    unsigned silent = 0;
    for (unsigned i = 0; i < r->header.track_count; i++) {
        const struct kn_mkv_track *track = &r->header.tracks[i];
        int64_t *heard_ms = &r->sound_ms[track->number];
        if (track->type != KN_MKV_AUDIO)
            continue;
        if (*heard_ms == INT64_MIN)
            *heard_ms = now_ms;
        if (now_ms - *heard_ms > SILENT_MS)
            silent |= 1U << track->number;
    }
    return silent;
}

void camera_recording_frame(struct camera_recording *r, const struct camera_frame *frame)
{
    if (r->upload.fd < 0)
        return;
    if (!frame->video) {
        r->sound_ms[frame->track] = frame->time_ms;
    } else if (frame->key) {
        unsigned silent = find_silent(r, frame->time_ms);
        if (silent != r->silent) {
            r->silent = silent;
            begin(r);
        }
    }
    if (r->upload.fd < 0 || is_silent(r, frame->track))
        return;
    kn_buf_clear(&r->head);
    int code = camera_muxer_frame(&r->muxer, frame, &r->head);
    if (code == 0)
        code = camera_upload_send(&r->upload, kn_buf_bytes(&r->head), frame->bytes);
    bool metadata = camera_muxer_is_metadata(&r->muxer, frame->track);
    if (code == -EMSGSIZE || (code == -ENOBUFS && metadata)) {
        r->lost++;                 /* and the pictures go on */
    } else if (code == -ENOBUFS) { /* the disk is behind: whole groups of pictures are left out */
        r->lost++;
        camera_muxer_lost(&r->muxer);
    } else if (code < 0 && code != -EAGAIN) {
        r->failed(r->owner, "the server has ended the upload");
    } else if (code == 0) {
        r->frames++;
        r->bytes += frame->bytes.len;
        if (!metadata)
            r->last_frame_ms = g_get_real_time() / 1000;
    }
}
