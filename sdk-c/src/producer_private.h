/* SPDX-License-Identifier: Apache-2.0 */
/* What the producer's files share: producer.c (frames into fragments), session.c (calls and the
 * upload), wait.c (for what comes and what is due), acks.c (what comes back). Everything is guarded
 * by lock. */
#ifndef SDK_PRODUCER_PRIVATE_H
#define SDK_PRODUCER_PRIVATE_H

#include "iot.h"
#include "mkv.h"
#include "ring.h"
#include "text.h"

#include <curl/curl.h>
#include <pthread.h>

#include "kinema/producer.h"

enum {
    URL_BYTES_MAX = 1024,
    ANSWER_BYTES_MAX = 16 << 10, /* of a control call; what is beyond is not read */
    BODY_BYTES_MAX = 1024,       /* of a control call's own */
    REASON_BYTES_MAX = 256,
    MEDIA_TYPE_BYTES_MAX = 128,
    SESSION_IDLE_MS = 20000, /* a connection with nothing to say and nothing to hear is ended */
    /* Room that is kept free, so that an open fragment can always be closed with its tags. */
    CLOSING_BYTES = (KINEMA_TAGS_MAX + 1) * MKV_TAG_BYTES_MAX
};

/* What the connection is busy with. */
enum call {
    CALL_NONE,
    CALL_DESCRIBE,
    CALL_CREATE,
    CALL_ENDPOINT,
    CALL_PUT,
    CALL_KEY /* the credentials' own */
};

struct kinema_producer {
    pthread_mutex_t lock; /* recursive: an event's callback may read the counters */
    pthread_t thread;
    int thread_runs, thread_ends;
    int polling;
    int64_t look_at;  /* monotonic ms: until then the last step has left nothing to do by itself */
    int alarm;        /* wait.c's */
    int64_t alarm_at; /* what it is set to */
    /* settings; texts are copies in one block */
    char stream[KINEMA_STREAM_NAME_BYTES_MAX + 1], region[64], base[URL_BYTES_MAX];
    char media_type[MEDIA_TYPE_BYTES_MAX + 1], device_name[128 + 1];
    char *ca_file;
    unsigned retention_hours, flush_ms, fragment_ms, ack_timeout_ms, session_ms;
    int no_create, offline, persists; /* persists: PERSISTED will come, else RECEIVED is the end */
    struct kinema_credential_provider *credentials;
    kinema_event_fn *on_event;
    void *ctx;
    /* frames */
    size_t track_count;
    unsigned main_track; /* the one whose key frames open fragments; 0: by time */
    struct mkv_header header;
    struct ring ring;
    int is_open, draining, pressed, spill_failed;
    uint64_t lost_before_spill; /* frames, when the file could not be written any more */
    unsigned seen;  /* which tracks the fragment before the next one had; all at first */
    unsigned ended; /* tracks whose end was told, until they begin again */
    int64_t heard_ms[KINEMA_TRACKS_MAX]; /* of each track's latest frame; INT64_MIN: none */
    int64_t first_ms, last_ms;           /* of the first and the latest frame, as written */
    int stepped;         /* a track's time has stepped back, and no fragment has begun since */
    int64_t last_put_at; /* monotonic */
    int64_t gap_ms;      /* the longest between two frames lately, up to flush_ms */
    int64_t gathered_at; /* when the oldest frame was put that is not sent; 0: none */
    struct {
        char name[KINEMA_TAG_NAME_BYTES_MAX + 1], value[KINEMA_TAG_VALUE_BYTES_MAX + 1];
    } tags[KINEMA_TAGS_MAX];
    size_t tag_count;
    /* the connection */
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    enum call call;
    int stream_known, must_create;
    char endpoint[URL_BYTES_MAX]; /* of PutMedia; "": to be asked for */
    int64_t retry_at, endpoint_at, key_margin_ms;
    unsigned backoff_ms;
    char body[BODY_BYTES_MAX];
    char answer[ANSWER_BYTES_MAX];
    size_t answer_len;
    /* the upload */
    uint8_t *head; /* the header with the tracks of this connection */
    size_t head_len, head_sent, send_index;
    unsigned declared; /* these tracks */
    uint64_t send_offset;
    int paused, body_over, connected;
    int sockets[2];             /* of the upload: both while it connects; -1: none */
    int first_fragment;         /* none was begun on this connection yet */
    int64_t renew_at, heard_at; /* monotonic ms */
    char cut[REASON_BYTES_MAX]; /* why the upload has to be given up; "": it goes on */
    struct ack_parser acks;
    struct chunks chunks;
    int chunked; /* the answer's transfer encoding */
    struct kinema_stats stats;
};

int64_t producer_clock_ms(void); /* monotonic */
void producer_tell(struct kinema_producer *p, struct kinema_event event);
/* There is something to do now, for who polls. */
void producer_wake(struct kinema_producer *p);
/* Gives up the running connection at the next chance. */
void producer_cut(struct kinema_producer *p, const char *reason);
/* Forgets the oldest fragment, wherever the upload is. */
void producer_pop(struct kinema_producer *p);
/* Counts and tells a fragment that will not arrive. */
void producer_lose(struct kinema_producer *p, const struct fragment *fragment, const char *reason);
/* The spill file is written, or nothing is there that it could be needed for. */
void producer_spill_over(struct kinema_producer *p);
/* How many fragments may be sent, from the oldest on. Offline the open one is not: its source may
 * be silent at any point, and a service that has waited for the rest keeps what it has; were the
 * connection then to break, the whole of it would come as another one. */
size_t producer_sendable(const struct kinema_producer *p);
/* Closes the open fragment with its tags. */
void producer_close_fragment(struct kinema_producer *p, int with_end_tag);

/* session.c: one step of whatever is due; ready: 0 if libcurl has nothing to read or to write;
 * *ret_wait_ms: how long nothing but session_flush_at() will be due by itself. */
void session_step(struct kinema_producer *p, int64_t now, int ready, int64_t *ret_wait_ms);
void session_end(struct kinema_producer *p);
/* Whether there is an upload that waits for more to send. Nobody is inside libcurl then without
 * the lock. */
int session_stands(const struct kinema_producer *p);
/* When what has gathered has to be sent; INT64_MAX: nothing has, or who polls will see to it. */
int64_t session_flush_at(const struct kinema_producer *p);
/* Sends what has to be sent before that time, if that is possible at once. Whether the rest has to
 * be seen to. */
int session_flush(struct kinema_producer *p, int64_t before);
/* wait.c. The alarm ends a wait from any thread, and may be set to another time without that. */
int alarm_init(struct kinema_producer *p); /* a negative errno value */
void alarm_done(struct kinema_producer *p);
void alarm_set(struct kinema_producer *p, int64_t at); /* monotonic ms; 0: now */
/* Without the lock; socket: of an upload that stands, or -1: libcurl's. Whether libcurl has
 * something to read or to write. */
int wait_for(struct kinema_producer *p, int socket, int timeout_ms);
/* request.c */
int request_start(struct kinema_producer *p, enum call call);
/* After libcurl has read what there is: whether the service has closed its side of the upload.
 * While there may be more to send libcurl itself only stops reading then. */
int request_is_cut_off(const struct kinema_producer *p);
/* The upload's, once that is connected. */
curl_socket_t request_socket(const struct kinema_producer *p);
/* Lets libcurl send of the upload what it can, and no more: asked for all that is due it would look
 * at the socket and read first. */
CURLMcode request_send(struct kinema_producer *p);
/* acks.c */
void acks_take(struct kinema_producer *p, const char *ptr, size_t len);

#endif
