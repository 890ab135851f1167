/* SPDX-License-Identifier: Apache-2.0 */
/* NATS JetStream with a file store: a batch is so many messages in flight, each acknowledged to the
 * inbox. Source: docs.nats.io, "Client Protocol" and "JetStream wire API". A shard is a subject. */
#include "kds.h"

#include <stdlib.h>
#include <unistd.h>

struct nats {
    uint8_t bytes[256 << 10];
    size_t len;
    unsigned acks;
};

static int nats_connect(int fd)
{
    kds_expect(fd, "INFO ");
    kds_send(fd, kn_bytes_of(KN_STR("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")));
    return fd;
}

static void nats_setup(void)
{
    char config[512], request[1024];
    int fd = nats_connect(kds_connect());
    int n = snprintf(config, sizeof config,
                     "{\"name\":\"%s\",\"subjects\":[\"%s.*\"],\"retention\":\"limits\","
                     "\"storage\":\"file\",\"discard\":\"old\",\"max_age\":86400000000000,"
                     "\"num_replicas\":1}",
                     kds_options.stream, kds_options.stream);
    n = snprintf(request, sizeof request,
                 "SUB made 1\r\nPUB $JS.API.STREAM.CREATE.%s made %d\r\n%s\r\n", kds_options.stream,
                 n, config);
    kds_send(fd, (struct kn_bytes){(const uint8_t *) request, (size_t) n});
    kds_expect(fd, "\"created\":");
    (void) close(fd);
}

static void nats_opened(struct kds_conn *c)
{
    char line[64];
    (void) nats_connect(c->fd);
    int n = snprintf(line, sizeof line, "SUB acks.%u 1\r\nPING\r\n", c->index);
    kds_send(c->fd, (struct kn_bytes){(const uint8_t *) line, (size_t) n});
    kds_expect(c->fd, "PONG\r\n");
}

static void nats_put(const struct kds_conn *c, unsigned n, struct kn_buf *dst)
{
    for (unsigned i = 0; i < kds_options.batch; i++) {
        struct kn_bytes noise = kds_noise();
        (void) kn_buf_printf(dst, "PUB %s.%u acks.%u %zu\r\n", kds_options.stream,
                             kds_shard(c, n, i), c->index, noise.len);
        (void) kn_buf_append(dst, noise.ptr, noise.len);
        (void) kn_buf_append_text(dst, "\r\n");
    }
    tool_must(dst->error, "a request");
}

static void nats_sending(struct kds_conn *c)
{
    struct nats *n = c->own;
    n->acks = 0;
}

/* One message of the server's; its length, or 0 when it is not whole. */
static size_t take_one(struct kds_conn *c, struct kn_bytes rest)
{
    struct nats *n = c->own;
    const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
    if (!end)
        return 0;
    size_t line = (size_t) (end - rest.ptr) + 1;
    if (line >= 4 && memcmp(rest.ptr, "PING", 4) == 0) {
        kds_send(c->fd, kn_bytes_of(KN_STR("PONG\r\n")));
        return line;
    }
    if (line < 4 || memcmp(rest.ptr, "MSG ", 4) != 0)
        kds_refused(rest);
    const uint8_t *size = end;
    while (size[-1] != ' ')
        size--;
    size_t whole = line + strtoul((const char *) size, NULL, 10) + 2;
    if (rest.len < whole)
        return 0;
    if (!memmem(end, whole - line, "\"seq\":", 6))
        kds_refused(rest);
    n->acks++;
    return whole;
}

static bool nats_received(struct kds_conn *c, struct kn_bytes bytes)
{
    struct nats *n = c->own;
    while (bytes.len) {
        size_t part = (size_t) kn_min_u64(bytes.len, sizeof n->bytes - n->len), used;
        memcpy(n->bytes + n->len, bytes.ptr, part);
        n->len += part;
        bytes = kn_bytes_skip(bytes, part);
        struct kn_bytes rest = {n->bytes, n->len};
        while (rest.len && (used = take_one(c, rest)))
            rest = kn_bytes_skip(rest, used);
        memmove(n->bytes, rest.ptr, rest.len);
        n->len = rest.len;
    }
    c->records = kds_options.batch;
    return n->acks >= kds_options.batch;
}

const struct kds_protocol kds_nats = {
    .name = "nats",
    .own_bytes = sizeof(struct nats),
    .setup = nats_setup,
    .opened = nats_opened,
    .put = nats_put,
    .sending = nats_sending,
    .received = nats_received,
};
