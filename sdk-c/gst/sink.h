/* SPDX-License-Identifier: Apache-2.0 */
/* What the element's files share: sink.c (pads, events, states), producer.c, frames.c, metadata.c,
 * settings.c (properties), track.c (caps), tell.c (what the producer says goes to the bus). */
#ifndef SDK_GST_SINK_H
#define SDK_GST_SINK_H

#include <gst/base/gstcollectpads.h>
#include <gst/gst.h>

#include "kinema/producer.h"

enum sink_streaming {
    SINK_REALTIME = 0, /* kvssink's numbers */
    SINK_OFFLINE = 2
};

/* The properties, as they were set. */
struct sink_settings {
    char *stream_name, *endpoint, *region, *access_key, *secret_key, *session_token;
    char *credential_path, *ca_file, *content_type, *device_name, *spill_file;
    GstStructure *iot_certificate;
    guint storage_mb, spill_mb, retention_hours, fragment_ms, eos_timeout_s, stop_timeout_ms;
    int streaming;
    guint64 file_start_s;
    gboolean allow_create, original_pts, fragment_acks, absolute_times, key_frames;
};

/* Of one pad; the codec's private bytes are its own. */
struct sink_track {
    struct kinema_track track;
    GBytes *private;
    const char *media_type; /* static */
};

struct sink_pad {
    GstCollectData collect; /* first: GstCollectPads makes it */
    struct sink_track track;
    unsigned number;
    gboolean is_new; /* the producer does not know this track */
};

#define KINEMA_TYPE_SINK (kinema_sink_get_type())
G_DECLARE_FINAL_TYPE(KinemaSink, kinema_sink, KINEMA, SINK, GstElement)

struct _KinemaSink {
    GstElement parent;
    GstCollectPads *collect;
    struct sink_settings settings; /* under the object's lock */
    struct kinema_credential_provider *credentials;
    GMutex lock; /* of what follows, up to the blank line; never held in a call of the producer */
    GCond changed;
    guint64 news; /* counts what may have made room */
    gboolean playing, stopping, flushing, failed, connected;
    GQueue tags; /* of metadata.c */
    guint32 eos_seqnum;

    /* of the streaming thread that is inside the collected function */
    struct kinema_producer *producer;
    gboolean offline, late_told;
    gint64 offset_ms; /* G_MININT64: the next frame says */
    guint64 fragments;
};

/* producer.c. GST_FLOW_ERROR: it was told, and nothing goes on. */
GstFlowReturn sink_open_producer(KinemaSink *sink);
void sink_close_producer(KinemaSink *sink);
/* Waits until all is kept, for eos-timeout at most. */
GstFlowReturn sink_drain(KinemaSink *sink);
/* How things stand, and what news were seen up to now. */
GstFlowReturn sink_look(KinemaSink *sink, guint64 *ret_news);
/* Returns when there is other news than those seen, or after a while. */
void sink_wait_for_news(KinemaSink *sink, guint64 seen);
GstFlowReturn sink_wait_for_playing(KinemaSink *sink);

/* metadata.c */
void sink_take_metadata(KinemaSink *sink, const GstStructure *shape);
void sink_put_metadata(KinemaSink *sink); /* after each frame */
void sink_free_metadata(KinemaSink *sink);

/* frames.c: functions of GstCollectPads; ctx is the element */
GstFlowReturn sink_take_buffer(GstCollectPads *collect, GstCollectData *data, GstBuffer *buffer,
                               gpointer ctx);
GstFlowReturn sink_clip(GstCollectPads *collect, GstCollectData *data, GstBuffer *buffer,
                        GstBuffer **ret, gpointer ctx);

/* settings.c */
void sink_install_properties(GObjectClass *object_class);
void sink_free_settings(struct sink_settings *settings);
/* NULL, or what is wrong with them, in plain words. */
const char *sink_check_settings(const struct sink_settings *settings);
int sink_open_credentials(const struct sink_settings *settings,
                          struct kinema_credential_provider **ret);
const char *sink_region(const struct sink_settings *settings);

/* track.c; FALSE: this is nothing that can be sent */
gboolean sink_track_of(const GstCaps *caps, struct sink_track *ret);
gboolean sink_track_equal(const struct sink_track *a, const struct sink_track *b);
void sink_track_clear(struct sink_track *track);
extern GstStaticPadTemplate sink_video_template, sink_audio_template;

/* tell.c: kinema_event_fn of the producer; ctx is the element */
void sink_tell(void *ctx, const struct kinema_event *event);
void sink_install_signals(GObjectClass *object_class);
/* Nothing goes on after this. */
void sink_fail(KinemaSink *sink);

#endif
