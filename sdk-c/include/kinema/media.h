/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file media.h
 * Frames of a Kinesis video stream as they were put: by GetMedia, live or from anywhere in the
 * archive, or of a list of fragments by GetMediaForFragmentList. It speaks AWS's protocol and needs
 * nothing of a particular server.
 *
 * Nothing happens but inside kinema_media_poll(), and there is no thread: a caller that does not
 * poll makes the service wait. A connection that ends is made again and goes on with the frame
 * after the last one that was told: none is left out, none comes twice. A reader belongs to one
 * thread at a time. Results are 0 or a negative errno value. Call curl_global_init() once before
 * the first one.
 */
#ifndef KINEMA_MEDIA_H
#define KINEMA_MEDIA_H

#include "kinema/producer.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bounds. */
enum {
    KINEMA_FRAME_BYTES_DEFAULT = 16 << 20, /**< of one frame */
    KINEMA_MEDIA_TRACKS_MAX = 8,
    KINEMA_MEDIA_TAGS_MAX = 64,        /**< of one fragment that are told; the rest is left out */
    KINEMA_TOKEN_TEXT_BYTES_MAX = 128, /**< of a fragment number or a continuation token */
    KINEMA_FRAGMENT_LIST_MAX = 1000
};

/** Where GetMedia begins. */
enum kinema_media_start {
    KINEMA_MEDIA_NOW,            /**< with the fragment now arriving */
    KINEMA_MEDIA_EARLIEST,       /**< with the oldest one */
    KINEMA_MEDIA_AFTER_FRAGMENT, /**< with what follows the fragment number in start_text */
    KINEMA_MEDIA_AFTER_TOKEN,    /**< with what follows the continuation token in start_text */
    KINEMA_MEDIA_SERVER_TIME,    /**< with the fragment at start_ms, or the next one */
    KINEMA_MEDIA_PRODUCER_TIME   /**< the same by the producer's clock */
};

/** A track of the fragment that is being told. */
struct kinema_media_track {
    unsigned number;            /**< of Matroska */
    struct kinema_track format; /**< as its producer described it */
};
/** Metadata of a fragment. */
struct kinema_media_tag {
    const char *name;  /**< as it was put */
    const char *value; /**< "": it has none */
};
/** The fragment that is being told. */
struct kinema_media_fragment {
    const char *number;  /**< decimal digits */
    int64_t producer_ms; /**< of its start by the producer's clock, since 1970; -1: not said */
    int64_t server_ms;   /**< the same by the service's clock */
    int64_t behind_ms;   /**< of its end, from now; -1: not said yet */
    const char *token;   /**< to go on behind it; "" until its end */
    const struct kinema_media_track *tracks; /**< those of its upload */
    size_t track_count;                      /**< how many */
    const struct kinema_media_tag *tags;     /**< the producer's, so far */
    size_t tag_count;                        /**< how many */
    uint64_t frames;                         /**< so far */
};
/** The frame that is being told. */
struct kinema_media_frame {
    const struct kinema_media_track *track; /**< one of the fragment's */
    int64_t time_ms;  /**< of its presentation, since 1970 where the producer's time is known */
    int key;          /**< it can be decoded without others */
    const void *data; /**< as it was put */
    size_t len;       /**< bytes of it */
};

/** What is told. */
enum kinema_media_event_type {
    KINEMA_FRAGMENT_BEGINS,
    KINEMA_FRAME,
    KINEMA_FRAGMENT_ENDS,   /**< it was told whole, with all its tags */
    KINEMA_FRAGMENT_BROKEN, /**< it was not: its producer or its storage broke off */
    KINEMA_MEDIA_ERROR,     /**< the service says so within the answer: error_id, text */
    KINEMA_MEDIA_CONNECTED,
    KINEMA_MEDIA_DISCONNECTED, /**< text says why; it comes back by itself */
    KINEMA_MEDIA_CALL_FAILED   /**< text says which; tried again */
};
/** One event; pointers are good during the call only. */
struct kinema_media_event {
    enum kinema_media_event_type type;            /**< what happened */
    const struct kinema_media_fragment *fragment; /**< NULL: of none */
    const struct kinema_media_frame *frame;       /**< of KINEMA_FRAME */
    uint32_t error_id;                            /**< of KINEMA_MEDIA_ERROR */
    const char *text;                             /**< never NULL */
    long http_status;                             /**< 0: there was none */
};
/** A negative value ends kinema_media_poll(), which returns it; what was told counts as told. It
 * calls nothing of this reader but kinema_media_token(). */
typedef int kinema_media_fn(void *ctx, const struct kinema_media_event *event);

/** How a reader works; zero is a good value for everything not marked "needed". Copied. */
struct kinema_media_config {
    const char *stream;   /**< needed, or its ARN */
    const char *region;   /**< needed */
    const char *endpoint; /**< of the control plane; NULL: AWS's of the region */
    const char *ca_file;  /**< certificates to trust; NULL: the system's */
    struct kinema_credential_provider *credentials; /**< needed; outlives the reader */
    enum kinema_media_start start;                  /**< where GetMedia begins */
    const char *start_text;                         /**< of a fragment number or a token */
    int64_t start_ms;                               /**< of a time, since 1970 */
    const char *const *fragments; /**< numbers: these and no others, start has no say */
    size_t fragment_count;        /**< how many; 0: GetMedia */
    int once;                     /**< ends with the service's answer, instead of asking for more */
    size_t frame_bytes_max;       /**< 0: KINEMA_FRAME_BYTES_DEFAULT */
    unsigned silence_ms;          /**< after which a connection is given up; 0: 60,000 */
    kinema_media_fn *on_event;    /**< needed */
    void *ctx;                    /**< handed to on_event */
};

struct kinema_media;

/** Makes a reader; nothing is sent yet. -EINVAL: the configuration; -ENOMEM. */
KINEMA_API int kinema_media_open(const struct kinema_media_config *config,
                                 struct kinema_media **ret);
/** Receives and tells; waits at most timeout_ms for something to come. 0: it goes on; 1: it is
 * over: the list was told, or the one answer; -EMSGSIZE: a frame is larger than frame_bytes_max;
 * -EACCES, -ENOENT, -EINVAL: the service refuses the key, knows no such stream, does not like the
 * request (also told; polled again, it is asked again); or what on_event said. */
KINEMA_API int kinema_media_poll(struct kinema_media *media, unsigned timeout_ms);
/** The continuation token of the last fragment that was told whole, for another reader to go on
 * with; "": none was. */
KINEMA_API const char *kinema_media_token(const struct kinema_media *media);
/** Accepts NULL. */
KINEMA_API void kinema_media_close(struct kinema_media *media);

#ifdef __cplusplus
}
#endif
#endif
