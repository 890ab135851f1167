/* SPDX-License-Identifier: Apache-2.0 */
/* See kinema/producer.h: frames become fragments in the ring; session.c sends them. */
#include "producer_private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    STEP_BACK_MS = 5000,   /* an earlier key frame than this begins a new connection */
    SILENCE_MS = 20000,    /* without frames the open fragment is ended, as AWS's SDK does */
    WAIT_MS = 6000,        /* a track that had no frame for so long may be over */
    WAIT_BYTES = 12 << 20, /* a fragment may have 50 MB */
    MAIN_PAUSE_MS = 5000,  /* the main one: others open fragments */
    PRESSURE_NUM = 4,      /* of the buffer, in fifths */
    PRESSURE_DEN = 5,
    DRAIN_SLICE_MS = 50,
    FLUSH_MS = 200,
    FRAGMENT_MS = 2000,
    ACK_TIMEOUT_MS = 30000,
    SESSION_MS = 40 * 60 * 1000 /* the service ends a connection after 45 minutes */
};

int64_t producer_clock_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void producer_tell(struct kinema_producer *p, struct kinema_event event)
{
    if (!p->on_event)
        return;
    if (!event.text)
        event.text = "";
    if (!event.fragment_number)
        event.fragment_number = "";
    event.used_bytes = ring_used(&p->ring);
    p->on_event(p->ctx, &event);
}

/* --- fragments -------------------------------------------------------------------------------- */
void producer_pop(struct kinema_producer *p)
{
    ring_pop(&p->ring);
    if (p->send_index > 0) {
        p->send_index--;
    } else if (p->send_offset > 0) {
        p->send_offset = 0;
        producer_cut(p, "the fragment being sent was dropped");
    }
}

void producer_lose(struct kinema_producer *p, const struct fragment *fragment, const char *reason)
{
    if (fragment->skipped)
        return;
    p->stats.fragments_lost++;
    p->stats.frames_lost += fragment->frames;
    producer_tell(p, (struct kinema_event){.type = KINEMA_FRAGMENT_LOST,
                                           .time_ms = fragment->time_ms,
                                           .frames = fragment->frames,
                                           .text = reason});
}

static void lose_oldest(struct kinema_producer *p)
{
    struct fragment fragment = *ring_at(&p->ring, 0);
    if (!fragment.whole) {
        p->is_open = 0;
        p->tag_count = 0;
    }
    producer_pop(p);
    producer_lose(p, &fragment, "the buffer is full");
}

/* The open fragment has outgrown the buffer: it alone goes. */
static void lose_open(struct kinema_producer *p)
{
    struct fragment fragment = *ring_at(&p->ring, p->ring.count - 1);
    ring_drop_newest(&p->ring);
    p->is_open = 0;
    p->tag_count = 0;
    if (p->send_index == p->ring.count && p->send_offset > 0) {
        p->send_offset = 0;
        producer_cut(p, "the fragment being sent was dropped");
    }
    producer_lose(p, &fragment, "it has outgrown the buffer");
}

/* 1: something moved out of the way. */
static int spill(struct kinema_producer *p)
{
    int code = ring_spill(&p->ring);
    if (code > 0) {
        producer_spill_over(p);
    } else if (code < 0 && !p->spill_failed) {
        p->spill_failed = 1;
        p->lost_before_spill = p->stats.frames_lost;
        producer_tell(p,
                      (struct kinema_event){.type = KINEMA_SPILL_FAILED, .text = strerror(-code)});
    }
    return code;
}

void producer_spill_over(struct kinema_producer *p)
{
    if (!p->spill_failed)
        return;
    p->spill_failed = 0;
    producer_tell(p, (struct kinema_event){.type = KINEMA_SPILL_OVER,
                                           .frames = p->stats.frames_lost - p->lost_before_spill});
}

/* Makes room for len bytes and what closes a fragment; -EAGAIN, -ENOBUFS. */
static int make_room(struct kinema_producer *p, size_t len, int opens)
{
    if (p->is_open && !opens &&
        ring_at(&p->ring, p->ring.count - 1)->len + len + CLOSING_BYTES > p->ring.cap) {
        lose_open(p);
        return -ENOBUFS;
    }
    while (ring_free(&p->ring) < len + CLOSING_BYTES) {
        if (spill(p) > 0)
            continue;
        if (p->offline)
            return -EAGAIN;
        if (p->ring.count == 0)
            return -ENOBUFS;
        lose_oldest(p);
    }
    return 0;
}

static void write_tag(struct kinema_producer *p, const char *name, const char *value)
{
    uint8_t tag[MKV_TAG_BYTES_MAX];
    ring_append(&p->ring, tag, mkv_tag(tag, name, value));
}

/* Whether the open fragment is on its way already, so that its header holds. */
static int is_begun(const struct kinema_producer *p)
{
    return p->call == CALL_PUT && p->send_index == p->ring.count - 1 && p->send_offset > 0;
}

void producer_close_fragment(struct kinema_producer *p, int with_end_tag)
{
    struct fragment *fragment = ring_at(&p->ring, p->ring.count - 1);
    p->seen = fragment->seen;
    if (!is_begun(p))
        fragment->tracks = fragment->seen;
    for (size_t i = 0; i < p->tag_count; i++)
        write_tag(p, p->tags[i].name, p->tags[i].value);
    p->tag_count = 0;
    if (with_end_tag)
        write_tag(p, MKV_END_OF_FRAGMENT, "");
    fragment->whole = 1;
    p->is_open = 0;
}

size_t producer_sendable(const struct kinema_producer *p)
{
    return p->ring.count - (p->offline && p->is_open);
}

/* --- frames ----------------------------------------------------------------------------------- */
static unsigned bit_of(unsigned track)
{
    return track > 0 ? 1U << (track - 1) : 0;
}

static int steps_back(const struct kinema_producer *p, int64_t time_ms)
{
    return time_ms < p->last_ms - STEP_BACK_MS;
}

/* Where a track's own time steps back (one may lag behind the others), how long ago each was heard
 * stays as it is: whoever pauses goes on to pause. */
static void follow_step(struct kinema_producer *p, unsigned track, int64_t time_ms)
{
    int64_t heard_ms = p->heard_ms[track - 1];
    if (heard_ms == INT64_MIN || time_ms >= heard_ms - STEP_BACK_MS)
        return;
    p->stepped = 1;
    p->first_ms -= heard_ms - time_ms;
    for (size_t i = 0; i < p->track_count; i++)
        if (p->heard_ms[i] != INT64_MIN)
            p->heard_ms[i] -= heard_ms - time_ms;
}

/* Whether the main track is still to begin, or goes on; while it pauses the others open fragments.
 */
static int main_goes_on(const struct kinema_producer *p, int64_t time_ms)
{
    int64_t heard_ms = p->heard_ms[p->main_track - 1];
    return !(p->ended & bit_of(p->main_track)) &&
           (heard_ms == INT64_MIN || time_ms - heard_ms < MAIN_PAUSE_MS);
}

static int is_awaited(const struct kinema_producer *p, size_t track, int64_t time_ms)
{
    int64_t heard_ms = p->heard_ms[track];
    return !(p->ended & 1U << track) &&
           time_ms - (heard_ms == INT64_MIN ? p->first_ms : heard_ms) < WAIT_MS;
}

/* Whether the open fragment waits for a frame of a track that it should have: a service refuses it
 * without one, and a header without the track is another connection. So a track with a frame every
 * few seconds costs no connections, but longer fragments. */
static int waits(const struct kinema_producer *p, int64_t time_ms)
{
    const struct fragment *fragment = ring_at(&p->ring, p->ring.count - 1);
    if (steps_back(p, time_ms) || p->tag_count == KINEMA_TAGS_MAX || fragment->len > WAIT_BYTES ||
        fragment->len > p->ring.cap / 4)
        return 0;
    for (size_t i = 0; i < p->track_count; i++)
        if ((fragment->tracks & ~fragment->seen & 1U << i) && is_awaited(p, i, time_ms))
            return 1;
    return 0;
}

static int opens_fragment(const struct kinema_producer *p, const struct kinema_frame *frame)
{
    if (p->is_open && waits(p, frame->time_ms))
        return 0;
    if (frame->track == p->main_track)
        return frame->key;
    if (p->main_track && main_goes_on(p, frame->time_ms))
        return 0;
    return !p->is_open || (p->stepped && steps_back(p, frame->time_ms)) ||
           frame->time_ms - ring_at(&p->ring, p->ring.count - 1)->time_ms >= p->fragment_ms;
}

/* Whether the open fragment can have it: a picture needs its key frame, and of a fragment that is
 * under way the header holds, which may be without this track. */
static int goes_in(const struct kinema_producer *p, const struct kinema_frame *frame)
{
    const struct fragment *fragment = ring_at(&p->ring, p->ring.count - 1);
    unsigned bit = bit_of(frame->track);
    if (frame->track == p->main_track && !(fragment->seen & bit))
        return 0;
    return (fragment->tracks & bit) || !is_begun(p);
}

/* Which tracks a fragment that begins then will have, for what is sent before it is whole: those of
 * the one before, and who was heard lately. */
static unsigned expected_tracks(const struct kinema_producer *p, unsigned opener, int64_t time_ms)
{
    unsigned tracks = p->seen & ~p->ended;
    for (unsigned i = 0; i < p->track_count; i++)
        if (is_awaited(p, i, time_ms))
            tracks |= 1U << i;
    if (opener != p->main_track)
        tracks &= ~bit_of(p->main_track);
    return tracks | bit_of(opener);
}

static int check_frame(const struct kinema_producer *p, const struct kinema_frame *frame)
{
    if (p->draining)
        return -ESHUTDOWN;
    if (frame->track < 1 || frame->track > p->track_count || frame->time_ms < 0 ||
        (!frame->data && frame->len > 0))
        return -EINVAL;
    if (frame->len > p->ring.cap - CLOSING_BYTES - MKV_CLUSTER_BYTES - MKV_BLOCK_BYTES)
        return -EMSGSIZE;
    return 0;
}

static int begin_fragment(struct kinema_producer *p, unsigned opener, int64_t *time_ms)
{
    uint8_t head[MKV_CLUSTER_BYTES];
    struct fragment *fragment;
    int restart = steps_back(p, *time_ms);
    if (p->last_ms < 0)
        p->first_ms = *time_ms;
    if (!restart && *time_ms <= p->last_ms)
        *time_ms = p->last_ms + 1;
    if (p->is_open)
        producer_close_fragment(p, 0);
    while (p->ring.count == KINEMA_FRAGMENTS_MAX) {
        if (p->offline)
            return -EAGAIN;
        lose_oldest(p);
    }
    if (ring_open(&p->ring, *time_ms, &fragment) < 0)
        return -ENOBUFS;
    fragment->restart = (uint8_t) restart;
    fragment->tracks = (uint8_t) expected_tracks(p, opener, *time_ms);
    mkv_cluster(head, (uint64_t) *time_ms);
    ring_append(&p->ring, head, sizeof(head));
    p->is_open = 1;
    p->stepped = 0;
    p->last_ms = *time_ms;
    p->stats.fragments_put++;
    return 0;
}

static void tell_pressure(struct kinema_producer *p)
{
    int pressed = ring_used(&p->ring) > p->ring.cap / PRESSURE_DEN * PRESSURE_NUM;
    if (pressed && !p->pressed)
        producer_tell(p, (struct kinema_event){.type = KINEMA_PRESSURE});
    p->pressed = pressed;
}

static int put_frame_locked(struct kinema_producer *p, const struct kinema_frame *frame)
{
    uint8_t head[MKV_BLOCK_BYTES];
    int64_t time_ms = frame->time_ms;
    struct fragment *fragment;
    int code = check_frame(p, frame), opens;
    if (code < 0)
        return code;
    follow_step(p, frame->track, time_ms);
    if (frame->key || frame->track != p->main_track)
        p->ended &= ~bit_of(frame->track);
    opens = opens_fragment(p, frame);
    p->heard_ms[frame->track - 1] = time_ms;
    if (!opens && (!p->is_open || !goes_in(p, frame)))
        return -ENODATA;
    /* Offline it is sent, and makes room, only when it is whole; the next Cluster, which would end
     * it too, may have to wait for that room. */
    if (opens && p->is_open && p->offline)
        producer_close_fragment(p, 1);
    code = make_room(p, MKV_CLUSTER_BYTES + MKV_BLOCK_BYTES + frame->len, opens);
    if (code == 0 && !opens && !p->is_open)
        code = -ENOBUFS; /* the open fragment itself had to go */
    if (code == 0 && opens)
        code = begin_fragment(p, frame->track, &time_ms);
    if (code < 0)
        return code;
    fragment = ring_at(&p->ring, p->ring.count - 1);
    if (time_ms < fragment->time_ms)
        time_ms = fragment->time_ms;
    if (time_ms - fragment->time_ms > MKV_BLOCK_MS_MAX)
        return -ERANGE;
    mkv_block(head, frame->track, (unsigned) (time_ms - fragment->time_ms), frame->key, frame->len);
    ring_append(&p->ring, head, sizeof(head));
    ring_append(&p->ring, frame->data, frame->len);
    fragment->tracks |= (uint8_t) bit_of(frame->track);
    fragment->seen |= (uint8_t) bit_of(frame->track);
    fragment->frames++;
    p->stats.frames_put++;
    p->last_ms = time_ms > p->last_ms || opens ? time_ms : p->last_ms;
    tell_pressure(p);
    return 0;
}

/* When there is something to do by itself. */
static int64_t due_at(const struct kinema_producer *p)
{
    int64_t flush_at = session_flush_at(p);
    return flush_at < p->look_at ? flush_at : p->look_at;
}

void producer_wake(struct kinema_producer *p)
{
    p->look_at = 0;
    alarm_set(p, 0);
}

/* Who waits is to look then; earlier does no harm. */
static void remind(struct kinema_producer *p, int64_t now)
{
    int64_t at = due_at(p);
    if (at < p->alarm_at || p->alarm_at <= now)
        alarm_set(p, at);
}

/* In real time who puts a frame also sends what has gathered, when the next one may come too late
 * for that: to wake who waits costs as much again. That one sees to it only when frames stop. */
static void flush(struct kinema_producer *p)
{
    int64_t now = producer_clock_ms(), gap_ms = now - p->last_put_at, next_at;
    gap_ms = gap_ms > p->gap_ms * 3 / 4 ? gap_ms : p->gap_ms * 3 / 4;
    p->gap_ms = gap_ms < (int64_t) p->flush_ms ? gap_ms : (int64_t) p->flush_ms;
    p->last_put_at = now;
    if (!p->gathered_at)
        p->gathered_at = now;
    next_at = now + (int64_t) p->flush_ms + p->gap_ms / 2;
    if (session_flush(p, now + p->gap_ms * 5 / 4))
        producer_wake(p);
    else if (p->gathered_at)
        remind(p, now);
    else
        alarm_set(p, next_at < p->look_at ? next_at : p->look_at);
}

int kinema_producer_put_frame(struct kinema_producer *p, const struct kinema_frame *frame)
{
    int code;
    size_t before;
    (void) pthread_mutex_lock(&p->lock);
    before = producer_sendable(p);
    code = put_frame_locked(p, frame);
    if (code == 0)
        flush(p);
    if (p->offline ? producer_sendable(p) > before : before == 0)
        producer_wake(p);
    (void) pthread_mutex_unlock(&p->lock);
    return code;
}

static int is_name(const char *text, size_t len_max)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = text ? strlen(text) : 0;
    return len > 0 && len <= len_max && strspn(text, legal) == len;
}

static int check_tag(const char *name, const char *value)
{
    static const char *const reserved[] = {"AWS_KINESISVIDEO_IMAGE_GENERATION",
                                           "AWS_KINESISVIDEO_IMAGE_PREFIX",
                                           "AWS_KINESISVIDEO_NOTIFICATION"};
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > KINEMA_TAG_NAME_BYTES_MAX ||
        (value && strlen(value) > KINEMA_TAG_VALUE_BYTES_MAX))
        return -EINVAL;
    if (strncmp(name, "AWS", 3) != 0)
        return 0;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            return 0;
    return -EINVAL;
}

int kinema_producer_put_tag(struct kinema_producer *p, const char *name, const char *value)
{
    int code = check_tag(name, value);
    (void) pthread_mutex_lock(&p->lock);
    if (code == 0 && p->tag_count == KINEMA_TAGS_MAX)
        code = -ENOSPC;
    if (code == 0) {
        memcpy(p->tags[p->tag_count].name, name, strlen(name) + 1);
        memcpy(p->tags[p->tag_count].value, value ? value : "", value ? strlen(value) + 1 : 1);
        p->tag_count++;
    }
    (void) pthread_mutex_unlock(&p->lock);
    return code;
}

int kinema_producer_end_fragment(struct kinema_producer *p)
{
    int code = -ENODATA;
    (void) pthread_mutex_lock(&p->lock);
    if (p->is_open) {
        producer_close_fragment(p, 1);
        producer_wake(p);
        code = 0;
    }
    (void) pthread_mutex_unlock(&p->lock);
    return code;
}

/* What is under way keeps its header; its refusal is answered by another. */
static void end_track(struct kinema_producer *p, unsigned track)
{
    struct fragment *fragment = p->is_open ? ring_at(&p->ring, p->ring.count - 1) : NULL;
    p->ended |= bit_of(track);
    p->heard_ms[track - 1] = INT64_MIN; /* its time begins anew too */
    if (fragment && !is_begun(p))
        fragment->tracks &= (uint8_t) (fragment->seen | ~bit_of(track));
    if (fragment && p->ended == (1U << p->track_count) - 1) {
        producer_close_fragment(p, 1);
        producer_wake(p);
    }
}

int kinema_producer_end_track(struct kinema_producer *p, unsigned track)
{
    int code = -EINVAL;
    (void) pthread_mutex_lock(&p->lock);
    if (track >= 1 && track <= p->track_count) {
        end_track(p, track);
        code = 0;
    }
    (void) pthread_mutex_unlock(&p->lock);
    return code;
}

/* --- running ---------------------------------------------------------------------------------- */
static void step(struct kinema_producer *p, int64_t now, int ready)
{
    int64_t wait_ms = 0;
    if (p->is_open && !p->offline && now - p->last_put_at > SILENCE_MS)
        producer_close_fragment(p, 1);
    session_step(p, now, ready, &wait_ms);
    p->look_at = now + wait_ms;
    remind(p, now);
}

int kinema_producer_poll(struct kinema_producer *p, unsigned timeout_ms)
{
    int64_t now;
    int ready, socket;
    (void) pthread_mutex_lock(&p->lock);
    if (p->polling) {
        (void) pthread_mutex_unlock(&p->lock);
        return -EBUSY;
    }
    p->polling = 1;
    now = producer_clock_ms();
    if (now >= due_at(p))
        step(p, now, 1);
    socket = session_stands(p) ? request_socket(p) : -1;
    (void) pthread_mutex_unlock(&p->lock);
    ready = wait_for(p, socket, timeout_ms < INT_MAX ? (int) timeout_ms : INT_MAX);
    (void) pthread_mutex_lock(&p->lock);
    step(p, producer_clock_ms(), ready);
    p->polling = 0;
    (void) pthread_mutex_unlock(&p->lock);
    return 0;
}

static void *run(void *ctx)
{
    struct kinema_producer *p = ctx;
    int ends = 0;
    while (!ends) {
        (void) kinema_producer_poll(p, UINT_MAX);
        (void) pthread_mutex_lock(&p->lock);
        ends = p->thread_ends;
        (void) pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

int kinema_producer_start(struct kinema_producer *p)
{
    int code = -EBUSY;
    (void) pthread_mutex_lock(&p->lock);
    if (!p->thread_runs) {
        p->thread_ends = 0;
        p->thread_runs = pthread_create(&p->thread, NULL, run, p) == 0;
        code = p->thread_runs ? 0 : -EAGAIN;
    }
    (void) pthread_mutex_unlock(&p->lock);
    return code;
}

/* Of several callers one waits for it. */
static void stop_thread(struct kinema_producer *p)
{
    int joins;
    (void) pthread_mutex_lock(&p->lock);
    joins = p->thread_runs && !p->thread_ends;
    p->thread_ends = 1;
    producer_wake(p);
    (void) pthread_mutex_unlock(&p->lock);
    if (!joins)
        return;
    (void) pthread_join(p->thread, NULL);
    (void) pthread_mutex_lock(&p->lock);
    p->thread_runs = 0;
    (void) pthread_mutex_unlock(&p->lock);
}

int kinema_producer_drain(struct kinema_producer *p, unsigned timeout_ms)
{
    int64_t until = producer_clock_ms() + timeout_ms;
    int code = 0;
    size_t waiting = 1;
    stop_thread(p);
    (void) pthread_mutex_lock(&p->lock);
    if (p->is_open)
        producer_close_fragment(p, 1);
    p->draining = 1;
    producer_wake(p);
    (void) pthread_mutex_unlock(&p->lock);
    while (code == 0 && waiting > 0 && producer_clock_ms() < until) {
        code = kinema_producer_poll(p, DRAIN_SLICE_MS);
        (void) pthread_mutex_lock(&p->lock);
        waiting = p->ring.count + (p->call == CALL_PUT);
        (void) pthread_mutex_unlock(&p->lock);
    }
    return code < 0 ? code : waiting > 0 ? -ETIMEDOUT : 0;
}

void kinema_producer_stats(struct kinema_producer *p, struct kinema_stats *ret)
{
    (void) pthread_mutex_lock(&p->lock);
    *ret = p->stats;
    ret->fragments_waiting = p->ring.count;
    ret->buffer_used_bytes = ring_used(&p->ring);
    ret->spill_used_bytes = p->ring.file_tail - p->ring.file_head;
    ret->is_connected = p->connected;
    (void) pthread_mutex_unlock(&p->lock);
}

/* --- opening and closing ---------------------------------------------------------------------- */
static int copy_text(char *dst, size_t cap, const char *text)
{
    if (!text || strlen(text) >= cap)
        return -EINVAL;
    memcpy(dst, text, strlen(text) + 1);
    return 0;
}

/* video/h264,audio/aac: what AWS's producers say of these codecs. */
static int derive_media_type(struct kinema_producer *p, const struct kinema_track *tracks)
{
    static const char *const types[][2] = {
        {"V_MPEG4/ISO/AVC",  "video/h264"},
        {"V_MPEGH/ISO/HEVC", "video/h265"},
        {"A_AAC",            "audio/aac" },
        {"A_MS/ACM",         "audio/alaw"},
        {"A_OPUS",           "audio/opus"}
    };
    size_t used = 0;
    for (size_t i = 0; i < p->track_count; i++) {
        const char *type = tracks[i].type == KINEMA_AUDIO ? "audio/unknown" : "video/unknown";
        int len;
        for (size_t k = 0; k < sizeof(types) / sizeof(*types); k++)
            if (strcmp(tracks[i].codec_id, types[k][0]) == 0)
                type = types[k][1];
        len = snprintf(p->media_type + used, sizeof(p->media_type) - used, "%s%s", i ? "," : "",
                       type);
        if (len < 0 || (size_t) len >= sizeof(p->media_type) - used)
            return -EINVAL;
        used += (size_t) len;
    }
    return 0;
}

static int take_tracks(struct kinema_producer *p, const struct kinema_config *config)
{
    if (!config->tracks || config->track_count < 1 || config->track_count > KINEMA_TRACKS_MAX)
        return -EINVAL;
    p->track_count = config->track_count;
    for (size_t i = 0; i < config->track_count; i++) {
        const struct kinema_track *track = &config->tracks[i];
        if (!track->codec_id || !*track->codec_id || strlen(track->codec_id) > 64 ||
            (track->name && strlen(track->name) > 64) ||
            track->codec_private_len > KINEMA_CODEC_PRIVATE_BYTES_MAX ||
            (track->codec_private_len > 0 && !track->codec_private) || track->width > 65535 ||
            track->height > 65535 || track->channels > 255 ||
            (track->type != KINEMA_VIDEO && track->type != KINEMA_AUDIO))
            return -EINVAL;
        if (track->type == KINEMA_VIDEO && !p->main_track)
            p->main_track = (unsigned) i + 1;
        p->heard_ms[i] = INT64_MIN;
        p->seen |= 1U << i;
    }
    if (mkv_header_init(&p->header, config->tracks, config->track_count) < 0)
        return -ENOMEM;
    p->head = malloc(p->header.len);
    return p->head ? 0 : -ENOMEM;
}

/* MediaType goes into JSON as it is, so nothing that JSON escapes may be in it. */
static int is_media_type(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-/,") ==
           strlen(text);
}

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static int take_config(struct kinema_producer *p, const struct kinema_config *config)
{
    int len;
    if (!is_name(config->stream, KINEMA_STREAM_NAME_BYTES_MAX) ||
        !is_name(config->region, sizeof(p->region) - 1) || !config->credentials ||
        config->buffer_bytes < KINEMA_BUFFER_BYTES_MIN ||
        (config->device_name && !is_name(config->device_name, sizeof(p->device_name) - 1)) ||
        (config->media_type &&
         (copy_text(p->media_type, sizeof(p->media_type), config->media_type) < 0 ||
          !is_media_type(config->media_type))))
        return -EINVAL;
    (void) copy_text(p->stream, sizeof(p->stream), config->stream);
    (void) copy_text(p->region, sizeof(p->region), config->region);
    if (config->device_name)
        (void) copy_text(p->device_name, sizeof(p->device_name), config->device_name);
    if (config->endpoint) {
        if (copy_text(p->base, sizeof(p->base), config->endpoint) < 0)
            return -EINVAL;
    } else { /* China's regions lie under a domain of their own */
        len = snprintf(p->base, sizeof(p->base), "https://kinesisvideo.%s.amazonaws.com%s",
                       config->region, strncmp(config->region, "cn-", 3) == 0 ? ".cn" : "");
        if (len < 0)
            return -EINVAL;
    }
    if (config->ca_file) {
        p->ca_file = malloc(strlen(config->ca_file) + 1);
        if (!p->ca_file)
            return -ENOMEM;
        memcpy(p->ca_file, config->ca_file, strlen(config->ca_file) + 1);
    }
    p->retention_hours = config->retention_hours;
    p->persists = config->retention_hours > 0;
    p->no_create = config->no_create;
    p->offline = config->mode == KINEMA_OFFLINE;
    p->credentials = config->credentials;
    p->on_event = config->on_event;
    p->ctx = config->ctx;
    p->flush_ms = or_default(config->flush_ms, FLUSH_MS);
    p->fragment_ms = or_default(config->fragment_ms, FRAGMENT_MS);
    p->ack_timeout_ms = or_default(config->ack_timeout_ms, ACK_TIMEOUT_MS);
    p->session_ms = or_default(config->session_ms, SESSION_MS);
    p->last_ms = -1;
    return 0;
}

static int init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    int failed = pthread_mutexattr_init(&attr);
    if (failed)
        return -ENOMEM;
    (void) pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    failed = pthread_mutex_init(lock, &attr);
    (void) pthread_mutexattr_destroy(&attr);
    return failed ? -ENOMEM : 0;
}

int kinema_producer_open(const struct kinema_config *config, struct kinema_producer **ret)
{
    struct kinema_producer *p = calloc(1, sizeof(*p));
    int code = !p ? -ENOMEM : init_lock(&p->lock);
    if (code < 0) {
        free(p);
        return code;
    }
    p->ring.fd = -1;
    code = alarm_init(p);
    if (code == 0)
        code = take_config(p, config);
    if (code == 0)
        code = take_tracks(p, config);
    if (code == 0 && !p->media_type[0])
        code = derive_media_type(p, config->tracks);
    if (code == 0)
        code = ring_init(&p->ring, config->buffer_bytes, config->spill_path, config->spill_bytes);
    if (code == 0) {
        p->multi = curl_multi_init();
        code = p->multi ? 0 : -ENOMEM;
    }
    if (code < 0) {
        kinema_producer_close(p);
        return code;
    }
    *ret = p;
    return 0;
}

void kinema_producer_close(struct kinema_producer *p)
{
    if (!p)
        return;
    if (p->thread_runs)
        stop_thread(p);
    session_end(p);
    if (p->multi)
        (void) curl_multi_cleanup(p->multi);
    alarm_done(p);
    ring_done(&p->ring);
    mkv_header_done(&p->header);
    free(p->head);
    free(p->ca_file);
    (void) pthread_mutex_destroy(&p->lock);
    free(p);
}
