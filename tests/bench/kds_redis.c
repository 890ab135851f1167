/* SPDX-License-Identifier: Apache-2.0 */
/* Redis Streams: XADD a record, so many of them pipelined, or within MULTI … EXEC. A shard is a
 * key. */
#include "kds.h"

#include <stdlib.h>

#include "core/crypto.h"

struct redis {
    unsigned lines; /* of the answer, so far */
    bool at_start;
};

static void bulk(struct kn_buf *dst, struct kn_bytes bytes)
{
    (void) kn_buf_printf(dst, "$%zu\r\n", bytes.len);
    (void) kn_buf_append(dst, bytes.ptr, bytes.len);
    (void) kn_buf_append_text(dst, "\r\n");
}

static void redis_put(const struct kds_conn *c, unsigned n, struct kn_buf *dst)
{
    char key[128];
    if (kds_options.multi)
        (void) kn_buf_append_text(dst, "*1\r\n$5\r\nMULTI\r\n");
    for (unsigned i = 0; i < kds_options.batch; i++) {
        (void) snprintf(key, sizeof key, "%s-%u", kds_options.stream, kds_shard(c, n, i));
        (void) kn_buf_append_text(dst, "*7\r\n$4\r\nXADD\r\n");
        bulk(dst, kn_bytes_of(kn_str_from(key)));
        (void) kn_buf_append_text(dst, "$1\r\n*\r\n$1\r\nk\r\n");
        (void) snprintf(key, sizeof key, "%016" PRIx64, kn_random_u64());
        bulk(dst, kn_bytes_of(kn_str_from(key)));
        (void) kn_buf_append_text(dst, "$1\r\nd\r\n");
        bulk(dst, kds_noise());
    }
    if (kds_options.multi)
        (void) kn_buf_append_text(dst, "*1\r\n$4\r\nEXEC\r\n");
    tool_must(dst->error, "a request");
}

static void redis_sending(struct kds_conn *c)
{
    struct redis *r = c->own;
    r->lines = 0;
    r->at_start = true;
}

/* An id is two lines. In a transaction: OK, QUEUED for each, the count, then the ids. */
static bool redis_received(struct kds_conn *c, struct kn_bytes bytes)
{
    struct redis *r = c->own;
    unsigned wanted = 2 * kds_options.batch + (kds_options.multi ? kds_options.batch + 2 : 0);
    struct kn_bytes rest = bytes;
    while (rest.len) {
        if (r->at_start && rest.ptr[0] == '-')
            kds_refused(rest);
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        r->at_start = end;
        if (!end)
            break;
        r->lines++;
        rest = kn_bytes_skip(rest, (size_t) (end - rest.ptr) + 1);
    }
    c->records = kds_options.batch;
    return r->lines >= wanted;
}

const struct kds_protocol kds_redis = {
    .name = "redis",
    .own_bytes = sizeof(struct redis),
    .put = redis_put,
    .sending = redis_sending,
    .received = redis_received,
};
