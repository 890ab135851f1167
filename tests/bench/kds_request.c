/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of Kinesis, signed. Source of what is sent: boto3 1.26 (HTTP/1.1),
 * @aws-sdk/client-kinesis 3.1142 (HTTP/2; frames and their order recorded), both against a socket
 * that wrote down what came.
 */
#include "kds.h"

#include <nghttp2/nghttp2.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/json.h"
#include "core/sigv4.h"

enum {
    FIELDS_MAX = 16,
    TEXT_BYTES = 512,
    H2_SETTINGS = 4,
    H2_HEADERS = 1,
    H2_DATA = 0,
    H2_FRAME_BYTES_MAX = 16384, /* RFC 9113, 6.5.2 */
};

/* --- bodies ----------------------------------------------------------------------------------- */
/* A hash key in the middle of the shard's range: the text of (2 × shard + 1) × 2^127 / shards, made
 * by long division of 2^127 into decimal digits. Exact enough: ranges are wide. */
static void hash_key(unsigned shard, char ret[48])
{
    unsigned __int128 step = ((unsigned __int128) 1 << 127) / kds_options.shards;
    unsigned __int128 key = step * (2 * (unsigned __int128) shard + 1);
    char digits[48], *at = digits + sizeof digits;
    *--at = 0;
    do {
        *--at = (char) ('0' + (int) (key % 10));
        key /= 10;
    } while (key);
    memcpy(ret, at, (size_t) (digits + sizeof digits - at));
}

static void put_record(struct kn_json_writer *w, const struct kds_conn *c, unsigned n, unsigned i)
{
    char text[48];
    kn_json_key(w, "Data");
    kn_json_base64(w, kds_noise());
    kn_json_key(w, "PartitionKey");
    (void) snprintf(text, sizeof text, "%016" PRIx64, kn_random_u64());
    kn_json_text(w, text);
    if (kds_options.even) {
        hash_key(kds_shard(c, n, i), text);
        kn_json_key(w, "ExplicitHashKey");
        kn_json_text(w, text);
    }
}

void kds_put_body(const struct kds_conn *c, unsigned n, struct kn_buf *dst)
{
    struct kn_json_writer w;
    kn_json_writer_init(&w, dst);
    kn_json_object_begin(&w);
    kn_json_key(&w, "StreamName");
    kn_json_text(&w, kds_options.stream);
    if (kds_options.batch == 1) {
        put_record(&w, c, n, 0);
    } else {
        kn_json_key(&w, "Records");
        kn_json_array_begin(&w);
        for (unsigned i = 0; i < kds_options.batch; i++) {
            kn_json_object_begin(&w);
            put_record(&w, c, n, i);
            kn_json_object_end(&w);
        }
        kn_json_array_end(&w);
    }
    kn_json_object_end(&w);
    tool_must(dst->error, "a body");
}

/* --- requests --------------------------------------------------------------------------------- */
struct fields {
    struct kn_sigv4_header items[FIELDS_MAX];
    size_t count, signed_count;
    char authority[64], target[64], length[24], date[KN_TIME_TEXT_BYTES],
        digest[KN_SHA256_HEX_BYTES];
    struct kn_buf authorization;
};

static void add(struct fields *f, const char *name, const char *value)
{
    kn_assert(f->count < FIELDS_MAX);
    f->items[f->count++] = (struct kn_sigv4_header){kn_str_from(name), kn_str_from(value)};
}

static void sign(struct fields *f, const struct kn_sigv4_header *items, size_t count,
                 struct kn_bytes body, int64_t now_ms)
{
    struct kn_sigv4_request req = {
        KN_STR("POST"), KN_STR("/"), {"", 0},
          items, count, body, false
    };
    struct kn_sigv4_signer signer = {kn_str_from(kds_options.key_id),
                                     kn_str_from(kds_options.secret), KN_STR("us-east-1"),
                                     KN_STR("kinesis"), now_ms};
    kn_buf_init(&f->authorization, 4096);
    tool_must(kn_sigv4_sign(&req, &signer, (struct kn_str){NULL, 0}, &f->authorization), "sign");
    tool_must(kn_buf_append_byte(&f->authorization, 0), "sign");
}

static void fields_init(struct fields *f, const char *operation, struct kn_bytes body,
                        int64_t now_ms)
{
    uint8_t digest[KN_SHA256_BYTES];
    f->count = 0;
    (void) snprintf(f->authority, sizeof f->authority, "127.0.0.1:%u", kds_options.port);
    (void) snprintf(f->target, sizeof f->target, "Kinesis_20131202.%s", operation);
    (void) snprintf(f->length, sizeof f->length, "%zu", body.len);
    kn_time_amz(now_ms, f->date);
    kn_sha256(body, digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, f->digest);
}

static void h1_request(const char *operation, struct kn_bytes body, struct kn_buf *dst)
{
    struct fields f;
    int64_t now_ms = kn_wall_ms(kn_clock_system());
    fields_init(&f, operation, body, now_ms);
    add(&f, "host", f.authority);
    add(&f, "x-amz-target", f.target);
    add(&f, "content-type", "application/x-amz-json-1.1");
    add(&f, "x-amz-date", f.date);
    sign(&f, f.items, f.count, body, now_ms);
    add(&f, "user-agent", "Boto3/1.26.27 Python/3.11.2 Linux/6.1.0 Botocore/1.29.27");
    add(&f, "authorization", (const char *) f.authorization.ptr);
    add(&f, "content-length", f.length);
    (void) kn_buf_append_text(dst, "POST / HTTP/1.1\r\n");
    for (size_t i = 0; i < f.count; i++)
        (void) kn_buf_printf(dst, KN_STR_FMT ": " KN_STR_FMT "\r\n", KN_STR_ARG(f.items[i].name),
                             KN_STR_ARG(f.items[i].value));
    (void) kn_buf_append_text(dst, "\r\n");
    (void) kn_buf_append(dst, body.ptr, body.len);
    kn_buf_done(&f.authorization);
}

static void frame(struct kn_buf *dst, unsigned type, unsigned flags, uint32_t stream,
                  struct kn_bytes payload)
{
    uint8_t head[9] = {(uint8_t) (payload.len >> 16), (uint8_t) (payload.len >> 8),
                       (uint8_t) payload.len, (uint8_t) type, (uint8_t) flags};
    kn_put_u32be(head + 5, stream);
    (void) kn_buf_append(dst, head, sizeof head);
    (void) kn_buf_append(dst, payload.ptr, payload.len);
}

/* The SDK's encoder is nghttp2's too, and fresh with each connection. */
static void header_block(struct fields *f, struct kn_buf *dst)
{
    nghttp2_hd_deflater *deflater;
    nghttp2_nv nv[FIELDS_MAX];
    uint8_t block[4096];
    for (size_t i = 0; i < f->count; i++) {
        const struct kn_sigv4_header *h = &f->items[i];
        nv[i] =
            (nghttp2_nv){(uint8_t *) (uintptr_t) h->name.ptr, (uint8_t *) (uintptr_t) h->value.ptr,
                         h->name.len, h->value.len, NGHTTP2_NV_FLAG_NONE};
    }
    if (nghttp2_hd_deflate_new(&deflater, 4096) != 0)
        tool_die("nghttp2");
    ssize_t n = nghttp2_hd_deflate_hd(deflater, block, sizeof block, nv, f->count);
    if (n < 0)
        tool_die("HPACK");
    nghttp2_hd_deflate_del(deflater);
    (void) kn_buf_append(dst, block, (size_t) n);
}

static void h2_fields(struct fields *f, const char *operation, struct kn_bytes body)
{
    struct kn_sigv4_header items[FIELDS_MAX];
    size_t count = 0;
    int64_t now_ms = kn_wall_ms(kn_clock_system());
    fields_init(f, operation, body, now_ms);
    add(f, ":authority", f->authority);
    add(f, ":path", "/");
    add(f, ":method", "POST");
    add(f, ":scheme", "http");
    add(f, "content-type", "application/x-amz-json-1.1");
    add(f, "x-amz-target", f->target);
    add(f, "content-length", f->length);
    add(f, "x-amz-user-agent", "aws-sdk-js/3.1142.0");
    add(f, "user-agent",
        "aws-sdk-js/3.1142.0 ua/2.1 os/linux#6.1.0 lang/js md/nodejs#20.20.2 "
        "api/kinesis#3.1142.0 m/N,E,P,e");
    add(f, "amz-sdk-invocation-id", "a42f3dd5-643c-41c5-8a8b-29f464128444");
    add(f, "amz-sdk-request", "attempt=1; max=3");
    add(f, "x-amz-date", f->date);
    add(f, "x-amz-content-sha256", f->digest);
    for (size_t i = 0; i < f->count; i++) {
        const struct kn_str name = f->items[i].name;
        if (i == 0 || (name.ptr[0] != ':' && !kn_str_eq(name, KN_STR("user-agent"))))
            items[count++] = f->items[i];
    }
    sign(f, items, count, body, now_ms);
    add(f, "authorization", (const char *) f->authorization.ptr);
}

static void h2_request(const char *operation, struct kn_bytes body, struct kn_buf *dst)
{
    static const uint8_t one_stream[] = {0, 3, 0, 0, 0, 1}; /* MAX_CONCURRENT_STREAMS */
    struct fields f;
    struct kn_buf block;
    kn_buf_init(&block, 8192);
    h2_fields(&f, operation, body);
    header_block(&f, &block);
    (void) kn_buf_append_text(dst, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    frame(dst, H2_SETTINGS, 0, 0, (struct kn_bytes){NULL, 0});
    frame(dst, H2_SETTINGS, 0, 0, (struct kn_bytes){one_stream, sizeof one_stream});
    frame(dst, H2_HEADERS, 4, 1, kn_buf_bytes(&block));
    if (body.len > H2_FRAME_BYTES_MAX)
        tool_die("a body over HTTP/2 has one frame here");
    frame(dst, H2_DATA, 1, 1, body);
    kn_buf_done(&block);
    kn_buf_done(&f.authorization);
}

void kds_request(const char *operation, struct kn_bytes body, bool h2, struct kn_buf *dst)
{
    (h2 ? h2_request : h1_request)(operation, body, dst);
    tool_must(dst->error, "a request");
}
