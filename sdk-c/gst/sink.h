/* SPDX-License-Identifier: Apache-2.0 */
/* What the element's files share: sink.c (its states), collect.c (pads and their events: whose
 * buffer is next), frames.c, producer.c, metadata.c, settings.c (properties), track.c (caps),
 * tell.c (what the producer says goes to the bus). */
#ifndef SDK_GST_SINK_H
#define SDK_GST_SINK_H

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
    guint pad_wait_ms;
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
    GstPad *pad;
    GstSegment segment; /* of its streaming thread */
    struct sink_track track;
    unsigned number; /* of its track in the producer; 0: none */
    gboolean is_new; /* the producer does not know this track */
    gboolean holds;  /* a buffer that waits for its turn */
    gint64 order_ns; /* of that */
    gint64 gap_ns;   /* none comes that is older; G_MININT64: nobody said so */
    gint64 heard_us; /* monotonic, when it brought something */
    gboolean absent; /* that is so long ago that the others do not wait for it */
    gboolean ended, flushing, released;
};

#define KINEMA_TYPE_SINK (kinema_sink_get_type())
G_DECLARE_FINAL_TYPE(KinemaSink, kinema_sink, KINEMA, SINK, GstElement)

struct _KinemaSink {
    GstElement parent;
    struct sink_settings settings; /* under the object's lock */
    struct kinema_credential_provider *credentials;
    gboolean original_pts;
    gint64 pad_wait_us; /* -1: without an end */
    GMutex lock; /* of what follows, up to the blank line; never held in a call of the producer */
    GCond changed;
    guint64 news; /* counts what may have made room */
    gboolean playing, stopped, failed, connected;
    gboolean over; /* no pad is left that may bring something: EOS is due */
    gboolean anew; /* the next frame says when its time is */
    unsigned ends; /* of tracks, by their numbers: to be told to the producer */
    GQueue tags;   /* of metadata.c */
    guint32 eos_seqnum;
    GSList *pads; /* struct sink_pad, in the order they came */
    gint64 latency_us;
    gboolean busy; /* a streaming thread has what follows, and pads' tracks */

    /* of that thread */
    struct kinema_producer *producer;
    gboolean offline, late_told;
    struct sink_track tracks[KINEMA_TRACKS_MAX]; /* it knows, by their numbers from 1 */
    gboolean drained;                            /* it takes no frame any more */
    gint64 offset_ms;
    guint64 fragments;
};

/* sink.c: asks upstream how late its buffers may be. */
void sink_find_latency(KinemaSink *sink);

/* producer.c. GST_FLOW_ERROR: it was told, and nothing goes on. What waits does so for a pad, until
 * that is flushed or released; NULL: for the end of all, until a pad goes on. */
GstFlowReturn sink_open_producer(KinemaSink *sink); /* GST_FLOW_FLUSHING: all pads are gone */
void sink_close_producer(KinemaSink *sink);
/* Where the producer knows the pad's track, and no other pad has that. */
void sink_take_over(KinemaSink *sink, struct sink_pad *pad);
/* Waits until all is kept, for eos-timeout at most. */
GstFlowReturn sink_drain(KinemaSink *sink, const struct sink_pad *pad);
/* How things stand; under the lock. */
GstFlowReturn sink_flow(KinemaSink *sink, const struct sink_pad *pad);
/* The same, and what news were seen up to now. */
GstFlowReturn sink_look(KinemaSink *sink, const struct sink_pad *pad, guint64 *ret_news);
/* Returns when there is other news than those seen, or after a while. */
void sink_wait_for_news(KinemaSink *sink, const struct sink_pad *pad, guint64 seen);

/* metadata.c */
void sink_take_metadata(KinemaSink *sink, const GstStructure *shape);
void sink_put_metadata(KinemaSink *sink); /* after each frame */
void sink_free_metadata(KinemaSink *sink);

/* frames.c; called by the busy thread, of which there is one at a time */
GstFlowReturn sink_take_buffer(KinemaSink *sink, struct sink_pad *pad, GstBuffer *buffer,
                               gint64 time_ns);
void sink_finish(KinemaSink *sink); /* it is over */

/* collect.c */
void sink_add_pad(KinemaSink *sink, GstPad *pad);
void sink_remove_pad(KinemaSink *sink, GstPad *pad);
void sink_begin_pads(KinemaSink *sink);
void sink_stop(KinemaSink *sink); /* nobody is busy then */
void sink_set_playing(KinemaSink *sink, gboolean playing);
void sink_set_latency(KinemaSink *sink, gint64 latency_us);

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
