/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of a log of records, for kds_load: whom they speak to is a protocol's, so that Kinesis,
 * Redis and NATS are asked by the same loop. Puts are prepared before the clock starts.
 */
#ifndef BENCH_KDS_H
#define BENCH_KDS_H

#include "tool.h"

#include "core/buf.h"

enum {
    KDS_REQUEST_BYTES_MAX = 16 << 20,
};

struct kds_options {
    uint16_t port;
    unsigned connections, batch, bytes, shards, requests;
    bool get, even, multi;
    double seconds, warm;
    int pid;
    const char *stream, *key_id, *secret;
};
extern struct kds_options kds_options;

struct kds_conn {
    unsigned index;
    int fd;
    struct kn_buf *prepared; /* puts, sent in turn; of a reader: one that is made anew each time */
    unsigned prepared_count, next;
    struct kn_bytes out; /* of the request under way, what is left to send */
    int64_t sent_ns;
    uint64_t records; /* of the answer that came */
    void *own;
};

struct kds_protocol {
    const char *name;
    size_t own_bytes;
    bool connection_a_request;
    void (*setup)(void);                /* once, before there are connections; may be NULL */
    void (*opened)(struct kds_conn *c); /* connected, still blocking; may be NULL */
    void (*put)(const struct kds_conn *c, unsigned n, struct kn_buf *dst);
    void (*get)(struct kds_conn *c, struct kn_buf *dst); /* NULL: there is no reading */
    void (*sending)(struct kds_conn *c);
    /* Takes what came; true when the answer is whole. What is refused ends the program. */
    bool (*received)(struct kds_conn *c, struct kn_bytes bytes);
};
extern const struct kds_protocol kds_http, kds_h2, kds_redis, kds_nats;

/* --- for protocols --- */
int kds_connect(void); /* blocking */
void kds_send(int fd, struct kn_bytes bytes);
/* Reads from a blocking socket until the text has come. */
void kds_expect(int fd, const char *text);
_Noreturn void kds_refused(struct kn_bytes answer);
/* options.bytes that were not there before; valid until the next call. */
struct kn_bytes kds_noise(void);
/* Which shard, of options.shards, a record is for. */
unsigned kds_shard(const struct kds_conn *c, unsigned put, unsigned record);

/* --- Kinesis over HTTP/1.1 and HTTP/2 (kds_request.c) --- */
void kds_put_body(const struct kds_conn *c, unsigned n, struct kn_buf *dst);
/* Appends a whole signed request: over HTTP/1.1 as boto3 sends it; over HTTP/2 all frames that the
 * SDK for JavaScript sends on a fresh connection. */
void kds_request(const char *operation, struct kn_bytes body, bool h2, struct kn_buf *dst);

#endif
