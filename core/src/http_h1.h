/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 on a connection: one request at a time. The loop's thread. */
#ifndef CORE_SRC_HTTP_H1_H
#define CORE_SRC_HTTP_H1_H

#include "http_h1_parse.h"

struct kn_http_conn;
struct kn_http_loop;
struct kn_http_proto;
struct kn_h1_req;

enum kn_h1_phase {
    KN_H1_HEAD, /* waiting for a head or reading one */
    KN_H1_BODY, /* reading the body, whatever the answer does */
    KN_H1_WAIT, /* body read; the answer is not complete */
};

struct kn_h1 {
    enum kn_h1_phase phase;
    bool reused;      /* at least one request was answered before */
    bool head_begun;  /* bytes of a head are here */
    bool left;        /* the peer has closed its half; is it still there? */
    size_t scan;      /* how far the head's end was looked for */
    int64_t since_ns; /* waiting for a head, reading it, or reading the body, since */
    int64_t left_ns;  /* when it closed its half */
    bool chunked_body;
    struct kn_h1_chunked chunked;
    uint64_t length_left; /* of a body with a length */
    struct kn_h1_req *req;
};

extern const struct kn_http_proto kn_h1_proto;

void kn_http_h1_spares_done(struct kn_http_loop *loop);

#endif
