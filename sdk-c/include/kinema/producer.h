/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file producer.h
 * A producer of a Kinesis video stream: frames in, fragments sent by PutMedia and kept until they
 * are PERSISTED. It speaks AWS's protocol and needs nothing of a particular server.
 *
 * Strict C11 on libcurl and OpenSSL, no globals. Nothing happens but inside the caller's calls,
 * unless kinema_producer_start() is asked to run a thread. All functions of one producer may be
 * called from several threads. Only kinema_producer_poll() and kinema_producer_drain() wait.
 * Results are 0 or a negative errno value.
 *
 * Call curl_global_init() once before the first producer, as libcurl demands of programs.
 */
#ifndef KINEMA_PRODUCER_H
#define KINEMA_PRODUCER_H

#include <stddef.h>
#include <stdint.h>

#include "kinema/credentials.h"

#ifdef __cplusplus
extern "C" {
#endif

#if !defined(KINEMA_API) && defined(__GNUC__)
#define KINEMA_API __attribute__((visibility("default")))
#elif !defined(KINEMA_API)
#define KINEMA_API
#endif

/** Bounds; those of the service are from AWS's page of quotas. */
enum {
    KINEMA_TRACKS_MAX = 3,
    KINEMA_TAGS_MAX = 10,               /**< of one fragment */
    KINEMA_TAG_NAME_BYTES_MAX = 128,    /**< of a tag's name */
    KINEMA_TAG_VALUE_BYTES_MAX = 256,   /**< of a tag's value */
    KINEMA_STREAM_NAME_BYTES_MAX = 256, /**< of a stream's name */
    KINEMA_CODEC_PRIVATE_BYTES_MAX = 1 << 20,
    KINEMA_BUFFER_BYTES_MIN = 64 << 10, /**< the smallest ring */
    KINEMA_FRAGMENTS_MAX = 4096         /**< kept at a time, in memory and spilled */
};

/** What a track carries. */
enum kinema_track_type {
    KINEMA_VIDEO = 1,
    KINEMA_AUDIO = 2
};

/** One track; the first is number 1. Everything is copied. */
struct kinema_track {
    enum kinema_track_type type; /**< video or audio */
    const char *codec_id;        /**< of Matroska: V_MPEG4/ISO/AVC, V_MPEGH/ISO/HEVC, A_AAC … */
    const char *name;            /**< NULL: "video" or "audio" */
    const void *codec_private;   /**< avcC, hvcC, AudioSpecificConfig …; NULL: none */
    size_t codec_private_len;    /**< bytes of it */
    unsigned width;              /**< of a picture; 0: not said */
    unsigned height;             /**< of a picture; 0: not said */
    double sampling_hz;          /**< audio */
    unsigned channels;           /**< audio */
};

/** What to do when the buffer is full. */
enum kinema_mode {
    KINEMA_REALTIME, /**< the oldest whole fragments are dropped, and told */
    KINEMA_OFFLINE /**< kinema_producer_put_frame() says -EAGAIN until there is room; a fragment is
                      sent when it is whole, so that its source may pause at any point */
};

/** What is told to the caller. */
enum kinema_event_type {
    KINEMA_ACK_BUFFERING, /**< of the fragment at time_ms, as are the next three */
    KINEMA_ACK_RECEIVED,
    KINEMA_ACK_PERSISTED,
    KINEMA_ACK_ERROR,     /**< error_id and text name it; skipped: the fragment is given up */
    KINEMA_ACK_IDLE,      /**< the service has nothing to say */
    KINEMA_CONNECTED,     /**< PutMedia was answered with 200 */
    KINEMA_DISCONNECTED,  /**< text says why; it comes back by itself */
    KINEMA_CALL_FAILED,   /**< a call before PutMedia; text says which; tried again */
    KINEMA_PRESSURE,      /**< more than 4/5 of the buffer is taken, once for each rise */
    KINEMA_FRAGMENT_LOST, /**< it will not arrive: time_ms, frames; text says why */
    KINEMA_SPILL_FAILED,  /**< the spill file cannot be written, once until it can, or be read: text
                           */
    KINEMA_SPILL_OVER     /**< it can be written again, or need not: frames lost meanwhile */
};

/** One event; pointers are good during the call only. */
struct kinema_event {
    enum kinema_event_type type; /**< what happened */
    int64_t time_ms;             /**< of the fragment's start */
    const char *fragment_number; /**< decimal digits; "": none */
    uint32_t error_id;           /**< of KINEMA_ACK_ERROR */
    int skipped;                 /**< of KINEMA_ACK_ERROR: the fragment is given up */
    long http_status;            /**< 0: there was none */
    const char *text;            /**< ErrorCode, or a reason; never NULL */
    uint64_t frames;             /**< of the fragment */
    size_t used_bytes;           /**< of the buffer */
};
/** Called inside kinema_producer_poll(), _drain() and _put_frame(), or on the helper's thread. It
 * may read the counters, and call nothing else of this producer. */
typedef void kinema_event_fn(void *ctx, const struct kinema_event *event);

/** How a producer works; zero is a good value for everything not marked "needed". Copied. */
struct kinema_config {
    const char *stream;      /**< needed; [a-zA-Z0-9_.-]+ */
    const char *region;      /**< needed: us-east-1 …; of the signature and of the endpoint */
    const char *endpoint;    /**< of the control plane; NULL: AWS's of the region */
    const char *ca_file;     /**< certificates to trust; NULL: the system's */
    const char *media_type;  /**< of a new stream; NULL: from the tracks, as video/h264,audio/aac */
    const char *device_name; /**< of a new stream; NULL: none */
    unsigned retention_hours; /**< of a new stream; 0: nothing is persisted, RECEIVED is enough */
    int no_create;            /**< a stream that is not there is waited for, not made */
    struct kinema_credential_provider *credentials; /**< needed; outlives the producer */
    const struct kinema_track *tracks;              /**< needed */
    size_t track_count;                             /**< needed: 1 to KINEMA_TRACKS_MAX */
    enum kinema_mode mode;                          /**< what to do when the buffer is full */
    size_t buffer_bytes;                            /**< needed; allocated once, and never more */
    const char *spill_path;    /**< a file for what the buffer cannot hold; NULL: none */
    uint64_t spill_bytes;      /**< its size at most */
    unsigned flush_ms;         /**< real time: frames are sent together, so that who looks on live
                                  sees one at most as much later; 0: 200 */
    unsigned fragment_ms;      /**< without a picture, a fragment is as long; 0: 2000 */
    unsigned ack_timeout_ms;   /**< silence after which a connection is given up; 0: 30,000 */
    unsigned session_ms;       /**< a connection is renewed at this age; 0: 40 minutes */
    kinema_event_fn *on_event; /**< NULL: nothing is told */
    void *ctx;                 /**< handed to on_event */
};

struct kinema_producer;

/** Makes a producer; nothing is sent yet. -EINVAL: the configuration; -ENOMEM; the error of opening
 * the spill file. */
KINEMA_API int kinema_producer_open(const struct kinema_config *config,
                                    struct kinema_producer **ret);

/** One frame. */
struct kinema_frame {
    unsigned track;   /**< from 1 */
    int key;          /**< of video: opens a fragment */
    int64_t time_ms;  /**< of its presentation, since 1970 */
    const void *data; /**< H.264 and H.265: NAL units behind their lengths, as avcC says */
    size_t len;       /**< bytes of it */
};
/** Copies a frame into the buffer; in real time it also sends what has gathered, each flush_ms or
 * 64 KiB, as far as the socket takes it at once. A fragment starts at each key frame of the first
 * video track, strictly after the last frame before it: a key frame that does not is moved there (a
 * frame before its fragment's start is moved as well), unless it is more than 5 s too early: then
 * the clock has stepped back, and a new connection begins with it. While that track pauses for 5 s
 * and more, the others open fragments, one each fragment_ms, and where the clock has stepped back.
 * Any track may pause, end and come back: a fragment that has no frame of a track which was heard
 * in the last 6 s goes on for it, over key frames, unless it is larger than 12 MiB or a quarter of
 * the buffer. -EAGAIN: offline, and no room: poll, then put it again; -ENODATA: no fragment is
 * open, or the one under way does without this track: frames are left out until the next one;
 * -ENOBUFS: the open fragment has outgrown the buffer and is lost; -ERANGE: more than 32 s after
 * its fragment's start; -EINVAL; -EMSGSIZE: larger than the buffer; -ESHUTDOWN: it is being
 * drained. */
KINEMA_API int kinema_producer_put_frame(struct kinema_producer *producer,
                                         const struct kinema_frame *frame);
/** Adds metadata to the open fragment, or to the next one. value: NULL or "" for the reserved names
 * that carry none. -ENOSPC: KINEMA_TAGS_MAX are there; -EINVAL: a length, or a name that starts
 * with AWS and is not AWS_KINESISVIDEO_IMAGE_GENERATION, _IMAGE_PREFIX or _NOTIFICATION. */
KINEMA_API int kinema_producer_put_tag(struct kinema_producer *producer, const char *name,
                                       const char *value);
/** Says that a track brings nothing more: a microphone was unplugged, sound is over. Fragments wait
 * for it no longer and do not declare it, the other tracks go on, and while the first video track
 * is ended they open the fragments. Its next frame begins it again, of the first video track its
 * next key frame. In real time a fragment that is under way, and has no frame of it yet, may be
 * refused (4011); it is sent again without the track. The end of the last track also ends the open
 * fragment. Without this call a track that brings nothing for 6 s is left out, the first video
 * track after 5 s. -EINVAL: there is no such track. */
KINEMA_API int kinema_producer_end_track(struct kinema_producer *producer, unsigned track);
/** Ends the open fragment: it is acknowledged without waiting for the next one. The next frame must
 * be a key frame. -ENODATA: none is open. */
KINEMA_API int kinema_producer_end_fragment(struct kinema_producer *producer);

/** Sends, receives and reconnects; waits at most timeout_ms for something to do. -EBUSY: another
 * thread is inside it already. */
KINEMA_API int kinema_producer_poll(struct kinema_producer *producer, unsigned timeout_ms);
/** Ends the open fragment and polls until all is PERSISTED and the connection is over; no frame is
 * taken any more. -ETIMEDOUT: something is left; it may be called again. -EBUSY: another thread is
 * inside it, or inside kinema_producer_poll(). */
KINEMA_API int kinema_producer_drain(struct kinema_producer *producer, unsigned timeout_ms);
/** Runs kinema_producer_poll() on a thread of its own until the producer is closed or drained.
 * -EBUSY: it runs; -EAGAIN: the system has no thread. */
KINEMA_API int kinema_producer_start(struct kinema_producer *producer);
/** Ends everything at once; what is not PERSISTED is lost. Accepts NULL. */
KINEMA_API void kinema_producer_close(struct kinema_producer *producer);

/** Counters since the start, and the state of now. */
struct kinema_stats {
    uint64_t frames_put;          /**< taken */
    uint64_t frames_lost;         /**< told by KINEMA_FRAGMENT_LOST */
    uint64_t frames_persisted;    /**< of fragments that are kept */
    uint64_t fragments_put;       /**< begun */
    uint64_t fragments_lost;      /**< told by KINEMA_FRAGMENT_LOST */
    uint64_t fragments_skipped;   /**< given up after an error of the service */
    uint64_t fragments_persisted; /**< kept, or at retention 0 received */
    uint64_t bytes_sent;          /**< of media, what was sent again included */
    uint64_t connections;         /**< PutMedia calls begun */
    uint64_t errors;              /**< failed calls and acknowledged errors */
    size_t fragments_waiting;     /**< not PERSISTED yet, the open one included */
    size_t buffer_used_bytes;     /**< of the memory ring */
    uint64_t spill_used_bytes;    /**< of the file */
    int is_connected;             /**< PutMedia was answered, and goes on */
};
/** Fills ret; never waits long. */
KINEMA_API void kinema_producer_stats(struct kinema_producer *producer, struct kinema_stats *ret);

/** AWS's name of an acknowledged error, or "UNKNOWN". */
KINEMA_API const char *kinema_ack_error_name(uint32_t error_id);

#ifdef __cplusplus
}
#endif
#endif
