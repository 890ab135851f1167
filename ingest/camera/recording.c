/* SPDX-License-Identifier: Apache-2.0 */
#include "recording.h"

#include <errno.h>
#include <glib-unix.h>

enum {
    SAID_BYTES = 400,
    HEAD_BYTES_MAX = 5 << 20, /* a header with its codec data, or a block's few bytes */
    SILENT_MS = 5000,         /* of pictures or sound, beside others that go on */
    SILENT_MS_MOST = 14000,   /* of what comes seldom: a fragment is cut a second later */
    STEP_MS = 1000,           /* of that, from one frame to the next: a hole in all counts little */
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

bool camera_recording_is_silent(const struct camera_recording *r, uint64_t track)
{
    return r->silent >> track & 1;
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
        if (!camera_recording_is_silent(r, track.number))
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

/* --- tracks that are silent --------------------------------------------------------------------
 * A track that had no frames for SILENT_MS while those of the other kind went on; or, where the
 * last ones were further apart, for twice as long as these were. A camera without pictures has
 * none that are. */
static int64_t patience_ms(const struct camera_recording *r, uint64_t track)
{
    return kn_max_i64(SILENT_MS, kn_min_i64(2 * r->apart_ms[track], SILENT_MS_MOST));
}

static bool is_alike(const struct kn_mkv_header *a, const struct kn_mkv_header *b)
{
    bool alike = a->track_count == b->track_count;
    for (unsigned i = 0; alike && i < a->track_count; i++)
        alike = a->tracks[i].type == b->tracks[i].type;
    return alike;
}

/* What was about to be silent before another header still is, until it comes. */
static void keep_silent(struct camera_recording *r, const struct kn_mkv_header *header)
{
    bool alike = is_alike(&r->header, header);
    for (unsigned i = 0; i < KN_ARRAY_LEN(r->alone_ms); i++) {
        r->apart_ms[i] = alike ? r->apart_ms[i] : 0;
        bool was = alike && r->alone_ms[i] >= patience_ms(r, i) / 2;
        r->alone_ms[i] = was ? patience_ms(r, i) : 0;
    }
}

static void note(struct camera_recording *r, const struct camera_frame *frame)
{
    int64_t passed_ms = kn_max_i64(kn_min_i64(frame->time_ms - r->time_ms, STEP_MS), 0);
    r->time_ms = frame->time_ms;
    for (unsigned i = 0; i < r->header.track_count; i++) {
        const struct kn_mkv_track *track = &r->header.tracks[i];
        if (track->number == frame->track) {
            r->apart_ms[track->number] = r->alone_ms[track->number];
            r->alone_ms[track->number] = 0;
        } else if (track->type != KN_MKV_OTHER && (track->type == KN_MKV_VIDEO) != frame->video) {
            r->alone_ms[track->number] += passed_ms;
        }
    }
}

/* By their numbers' bits; those of one kind. */
static unsigned find_silent(const struct camera_recording *r, enum kn_mkv_track_type type)
{
    unsigned silent = 0;
    for (unsigned i = 0; i < r->header.track_count; i++) {
        const struct kn_mkv_track *track = &r->header.tracks[i];
        if (track->type == type && r->alone_ms[track->number] >= patience_ms(r, track->number))
            silent |= 1U << track->number;
    }
    return silent;
}

/* From this frame on. Tracks go and come at key pictures; pictures go where sound finds them gone.
 */
static unsigned silent_from(const struct camera_recording *r, const struct camera_frame *frame)
{
    unsigned pictures = find_silent(r, KN_MKV_VIDEO);
    bool changes = frame->video ? frame->key : (pictures & ~r->silent) != 0;
    return changes ? pictures | find_silent(r, KN_MKV_AUDIO) : r->silent;
}

void camera_recording_header(struct camera_recording *r, const struct kn_mkv_header *header)
{
    keep_silent(r, header);
    r->header = *header;
    r->silent = find_silent(r, KN_MKV_VIDEO) | find_silent(r, KN_MKV_AUDIO);
    kn_buf_clear(&r->privates);
    for (unsigned i = 0; i < header->track_count; i++) {
        (void) kn_buf_append(&r->privates, header->tracks[i].codec_private.ptr,
                             header->tracks[i].codec_private.len); /* the error sticks */
        r->header.tracks[i].codec_private.ptr = NULL;
    }
    if (r->privates.error == 0)
        begin(r);
    else
        r->failed(r->owner, "out of memory");
}

void camera_recording_frame(struct camera_recording *r, const struct camera_frame *frame)
{
    if (r->upload.fd < 0)
        return;
    bool metadata = camera_muxer_is_metadata(&r->muxer, frame->track);
    if (!metadata) {
        note(r, frame);
        unsigned silent = silent_from(r, frame);
        if (silent != r->silent && r->upload.taken) { /* one that waits its turn would be lost */
            r->silent = silent;
            begin(r);
        }
    }
    if (r->upload.fd < 0 || camera_recording_is_silent(r, frame->track))
        return;
    kn_buf_clear(&r->head);
    int code = camera_muxer_frame(&r->muxer, frame, &r->head);
    if (code == 0)
        code = camera_upload_send(&r->upload, kn_buf_bytes(&r->head), frame->bytes);
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
