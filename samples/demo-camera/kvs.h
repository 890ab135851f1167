/* SPDX-License-Identifier: Apache-2.0 */
/* The producer's side of Kinesis Video: make the stream, find its endpoint, PutMedia. On libcurl,
 * which signs requests itself (CURLOPT_AWS_SIGV4). */
#ifndef DEMO_CAMERA_KVS_H
#define DEMO_CAMERA_KVS_H

#include <curl/curl.h>

#include "core/buf.h"
#include "core/err.h"

struct kvs {
    const char *endpoint; /* of the control plane, http(s)://host:port */
    const char *region, *key_id, *secret, *token;
    const char *ca_file; /* NULL: the system's */
    const char *stream;
    unsigned retention_hours;
};

/* Sees to it that the stream is there; blocks. err says what the server answered. */
int kvs_ensure_stream(const struct kvs *kvs, struct kn_err *err) KN_MUSTUSE;
/* Where PutMedia goes; dst is a text with NUL. Blocks. */
int kvs_data_endpoint(const struct kvs *kvs, struct kn_buf *dst, struct kn_err *err) KN_MUSTUSE;

/* A PutMedia request ready for a multi handle; the caller adds read and write functions.
 * *ret_headers is freed after the request with curl_slist_free_all. */
CURL *kvs_put_media(const struct kvs *kvs, const char *endpoint, struct curl_slist **ret_headers);

/* One acknowledgement. */
struct kvs_ack {
    char event[16]; /* BUFFERING, RECEIVED, PERSISTED, ERROR, IDLE */
    uint64_t timecode;
    uint64_t error_id;
    char error_code[64];
};
/* Takes the first whole JSON object off the front of in; -ENODATA: there is none yet. */
int kvs_ack_take(struct kn_buf *in, struct kvs_ack *ret) KN_MUSTUSE;

#endif
