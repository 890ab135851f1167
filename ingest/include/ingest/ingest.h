/* SPDX-License-Identifier: Apache-2.0 */
/* All a producer calls: control operations, PutMedia and its acknowledgements. */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "core/api.h"
#include "core/conf.h"
#include "storage/events.h"
#include "storage/storage.h"

struct ingest_conf {              /* every member is a row of ingest_conf_keys */
    uint64_t fragment_bytes_max;  /* 50 MB; error 4001 */
    uint64_t fragment_ms_max;     /* 20 s; error 4002 */
    uint64_t tracks_max;          /* 3; error 4012 */
    uint64_t tags_max;            /* 10; error 4009 */
    uint64_t connection_ms_max;   /* 45 min; error 4003; 0: none */
    uint64_t idle_ack_ms;         /* 8 s */
    uint64_t fragment_idle_ms;    /* an open fragment is closed after this silence: 5 s */
    uint64_t connection_idle_ms;  /* 60 s */
    uint64_t takeover_silence_ms; /* rules.md 1: 2 s */
    int second_writer;            /* enum ingest_second_writer */
    bool strict_frame_times;      /* the stricter form of 4004 */
    uint64_t frames_max;          /* frames of one fragment, for the frame table */
    uint64_t streams_max;         /* AccountStreamLimitExceededException */
    uint64_t cameras_max;         /* whose video is fetched */
    uint64_t camera_workers;      /* processes for them */
    uint64_t camera_latency_ms, camera_timeout_ms;
    uint64_t rtsp_connections_max, rtsp_connections_per_peer_max, rtsp_idle_ms;
};
enum ingest_second_writer {
    INGEST_SECOND_WAITS,
    INGEST_SECOND_REJECTED
};
extern const struct kn_conf_key ingest_conf_keys[];
extern const size_t ingest_conf_key_count;

/* Where clients find the data plane. Host and scheme of the request are kept and the port is set,
 * unless a public URL is configured. */
struct ingest_endpoints {
    uint16_t api_port, api_tls_port, ingest_port, ingest_tls_port; /* 0: no such listener */
    const char *public_api_url, *public_ingest_url;                /* NULL: derive */
};

struct ingest;
/* What it is given outlives it; events: who sends those of fragments. */
int ingest_new(struct storage *storage, const struct ingest_conf *conf,
               const struct ingest_endpoints *endpoints, const struct kn_api_identity *identity,
               struct storage_event_sender *events, struct kn_clock *clock, struct ingest **ret)
    KN_MUSTUSE;
/* Uploads must have ended (kn_http_server_stop). Blocks until their last commits are done. */
void ingest_free(struct ingest *ingest);

/* Cameras whose video the server fetches, by processes of their own: docs/cameras.md. */
struct ingest_cameras_conf {
    const char *program; /* of those processes */
    const char *dir; /* the data folder; a local listener serves PutMedia at kinema.sock in it */
    const char *ca_file; /* signs cameras' certificates; NULL: whom the machine trusts */
    const char *files;   /* below this folder files may be played as cameras; NULL: none */
    uint8_t key[32];     /* what is kept of cameras is sealed with it */
};
/* Once the listener serves. err says what is wrong. */
int ingest_cameras_start(struct ingest *ingest, const struct ingest_cameras_conf *conf,
                         struct kn_err *err) KN_MUSTUSE;
/* Before the listener stops; their uploads end in order. Blocks. */
void ingest_cameras_stop(struct ingest *ingest);

/* The RTSP listener, which cameras push to and viewers read from, by a process of its own:
 * docs/rtsp.md. */
struct ingest_rtsp_conf {
    const char *program; /* kinema-camera */
    const char *dir;     /* as above */
    /* Sockets that listen, of RTSP and RTSPS; above the standard ones, -1: none. Taken over by a
     * start that succeeds. */
    int fd, tls_fd;
    struct kn_str pem; /* key, certificate and chain of RTSPS; copied */
    bool open;         /* nobody is asked for an access key */
};
int ingest_rtsp_start(struct ingest *ingest, const struct ingest_rtsp_conf *conf,
                      struct kn_err *err) KN_MUSTUSE;
/* For new connections; copied. -ENOMEM: the former stays. Without RTSPS nothing. */
int ingest_rtsp_renew(struct ingest *ingest, struct kn_str pem) KN_MUSTUSE;
void ingest_rtsp_stop(struct ingest *ingest); /* before the listener stops; blocks */

/* Generated operations; ctx is the struct ingest. */
extern const struct kn_api_service ingest_api_service;

#endif
