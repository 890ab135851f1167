/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many cameras in one process, for the load generators: synthetic H.264 + AAC, each frame at its
 * own time (or all at once), through one epoll. What the frames look like on the wire is a
 * protocol's.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "tool.h"

#include "core/buf.h"

struct load_options {
    uint16_t port, api_port;
    unsigned streams, kbps, fps, seconds, gop_ms, watch;
    bool no_audio, fast;
    const char *prefix;
};

struct load_frame {
    uint64_t at_ms; /* from the recording's start */
    bool video, key;
    struct kn_bytes bytes;
};

struct load_camera {
    unsigned index;
    int fd; /* -1: over */
    struct kn_buf out;
    size_t sent;           /* of out */
    bool made, ended;      /* every frame is in out; and nothing is waited for any more */
    uint64_t video, audio; /* frames so far */
    int64_t start_ns;      /* when frame 0 is due */
    int64_t due_ns;        /* of the frame that is next */
    void *own;             /* the protocol's */
};

struct load_protocol {
    const char *name;
    size_t own_bytes;
    bool half_close; /* the server closes when it has seen our end of the connection */
    void (*open)(struct load_camera *c);
    void (*frame)(struct load_camera *c, const struct load_frame *frame); /* appends to c->out */
    void (*end)(struct load_camera *c);                                   /* after the last frame */
    /* What the server said. Ends the camera by c->ended. */
    void (*received)(struct load_camera *c, struct kn_bytes bytes);
    void (*report)(void); /* members of the JSON object, each followed by a comma */
};

extern struct load_options load_options;
int load_main(int argc, char **argv, const struct load_protocol *protocol);

int load_connect(uint16_t port);

#endif
