/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that talks to cameras (ingest/camera): started, told what to do and listened to over a
 * socket of whole packets, and started again when it has ended. Not thread safe: the cameras' lock.
 */
#ifndef INGEST_SRC_CAMERA_WORKER_H
#define INGEST_SRC_CAMERA_WORKER_H

#include <sys/types.h>

#include "core/clock.h"
#include "core/err.h"

enum {
    INGEST_CAMERA_PACKET_BYTES_MAX = 32 << 10
};

struct ingest_camera_worker {
    pid_t pid; /* 0: it does not run */
    int fd;
    int64_t started_ns, restart_ns; /* monotonic; restart_ns: not before */
    unsigned failures;              /* ends in a row that came soon */
    int error;                      /* of the last start; 0: it went well, or none was tried */
    bool owes;                      /* the owner's: it has cameras to speak of, each second */
    bool spoke, hung; /* this process: it has said something; it was ended for silence */
    int64_t judged_ns, silent_ns; /* monotonic, of the last judgement, and how long until then */
};

struct ingest_camera_program {
    const char *path; /* kinema-camera */
    const char *dir;  /* the data folder, its working directory: kinema.sock lies there */
    const char *mode; /* "listen"; NULL: it talks to cameras */
    int listen_fd, listen_tls_fd; /* of the former: its descriptors 3 and 4, none below; -1: none */
};

/* A process with its own group and the usual signals. in_fd -1: it reads nothing. -errno. */
int ingest_camera_spawn(const struct ingest_camera_program *program, char *const argv[],
                        char *const envp[], int in_fd, int out_fd, pid_t *ret) KN_MUSTUSE;

/* -errno: it cannot be started; tried again later. */
int ingest_camera_worker_start(struct ingest_camera_worker *worker,
                               const struct ingest_camera_program *program, int64_t now_ns)
    KN_MUSTUSE;
/* -EAGAIN: it does not keep up, say it again later. */
int ingest_camera_worker_say(struct ingest_camera_worker *worker, struct kn_bytes packet)
    KN_MUSTUSE;
/* The next packet; *ret_len 0: none for now. -EPIPE: it has ended, said is how; restart_ns is set.
 */
int ingest_camera_worker_hear(struct ingest_camera_worker *worker, int64_t now_ns, uint8_t *dst,
                              size_t cap, size_t *ret_len, char *said, size_t said_cap) KN_MUSTUSE;
/* To be called each second, after it was heard: one that says nothing for long of what it owes is
 * ended (SIGKILL), and hear tells so as of any other end. Time in which nobody called counts
 * little: this process was stopped then, or the machine slept, and the worker may have too. */
void ingest_camera_worker_judge(struct ingest_camera_worker *worker, int64_t now_ns);
/* Ends it, at most a moment later by force. Blocks. */
void ingest_camera_worker_stop(struct ingest_camera_worker *worker);

#endif
