/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed requests. PutMedia signs its head and the digest of an empty body, with the headers that
 * AWS's C producer signs; no chunk is signed (captured from Producer C 1.6.4 and kvssink 3.6.0).
 */
#include "open_socket.h"
#include "producer_private.h"
#include "sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    UPLOAD_BYTES = 64 << 10,
    HEADER_BYTES_MAX = KINEMA_TOKEN_BYTES_MAX + 64
};

static const char user_agent[] = "kinema-producer/0.1";

/* scheme://authority/prefix; the port stays unless it is the scheme's own. */
static int split_url(const char *url, char *host, size_t host_cap, const char **ret_path)
{
    const char *start = strstr(url, "://"), *end;
    const char *port = strncmp(url, "https", 5) == 0 ? ":443" : ":80";
    size_t len;
    if (!start)
        return -EINVAL;
    start += 3;
    end = start + strcspn(start, "/");
    len = (size_t) (end - start);
    if (len > strlen(port) && strncmp(end - strlen(port), port, strlen(port)) == 0)
        len -= strlen(port);
    if (len == 0 || len >= host_cap)
        return -EINVAL;
    memcpy(host, start, len);
    host[len] = '\0';
    *ret_path = end;
    return 0;
}

static int add_header(struct kinema_producer *p, const char *name, const char *value)
{
    char line[HEADER_BYTES_MAX];
    struct curl_slist *more;
    int len = snprintf(line, sizeof(line), "%s: %s", name, value);
    if (len < 0 || (size_t) len >= sizeof(line))
        return -EMSGSIZE;
    more = curl_slist_append(p->headers, line);
    OPENSSL_cleanse(line, sizeof(line));
    if (!more)
        return -ENOMEM;
    p->headers = more;
    return 0;
}

/* --- bodies ----------------------------------------------------------------------------------- */
/* Names were checked to hold nothing that JSON escapes. */
static int make_body(struct kinema_producer *p, enum call call)
{
    char *dst = p->body;
    int len;
    if (call == CALL_CREATE)
        len = snprintf(
            dst, BODY_BYTES_MAX,
            "{\"StreamName\":\"%s\",%s%s%s\"MediaType\":\"%s\",\"DataRetentionInHours\":%u}",
            p->stream, p->device_name[0] ? "\"DeviceName\":\"" : "", p->device_name,
            p->device_name[0] ? "\"," : "", p->media_type, p->retention_hours);
    else if (call == CALL_ENDPOINT)
        len = snprintf(dst, BODY_BYTES_MAX, "{\"StreamName\":\"%s\",\"APIName\":\"PUT_MEDIA\"}",
                       p->stream);
    else
        len = snprintf(dst, BODY_BYTES_MAX, "{\"StreamName\":\"%s\"}", p->stream);
    return len > 0 && len < BODY_BYTES_MAX ? 0 : -EMSGSIZE;
}

static void take_acks(void *ctx, const char *ptr, size_t len)
{
    acks_take(ctx, ptr, len);
}

static size_t take_answer(char *ptr, size_t size, size_t count, void *ctx)
{
    struct kinema_producer *p = ctx;
    size_t len = size * count, room = sizeof(p->answer) - p->answer_len;
    long status = 0;
    int code;
    (void) curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    if (p->call == CALL_PUT && status == 200) {
        p->heard_at = producer_clock_ms();
        if (!p->chunked) {
            acks_take(p, ptr, len);
            return len;
        }
        code = chunks_feed(&p->chunks, ptr, len, take_acks, p);
        if (code != 0 && !p->body_over) /* the service takes no more: so no more is sent */
            producer_cut(p, code > 0 ? "the service ended its answer" : "the chunks make no sense");
        return len;
    }
    if (room > 0)
        memcpy(p->answer + p->answer_len, ptr, len < room ? len : room);
    p->answer_len += len < room ? len : room;
    return len;
}

/* The 200 comes before any acknowledgement: the connection stands. */
static size_t take_header(char *ptr, size_t size, size_t count, void *ctx)
{
    struct kinema_producer *p = ctx;
    static const char chunked[] = "transfer-encoding: chunked";
    long status = 0;
    if (size * count >= sizeof(chunked) - 1 && curl_strnequal(ptr, chunked, sizeof(chunked) - 1))
        p->chunked = 1;
    (void) curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    if (p->call == CALL_PUT && status >= 300) /* nothing more is wanted of the body */
        p->body_over = 1;
    if (p->call == CALL_PUT && status == 200 && !p->connected && size * count == 2 &&
        *ptr == '\r') {
        p->connected = 1;
        p->heard_at = producer_clock_ms();
        producer_tell(p, (struct kinema_event){.type = KINEMA_CONNECTED, .http_status = status});
    }
    return size * count;
}

/* --- the media -------------------------------------------------------------------------------- */
/* Steps over what needs no sending; the fragment that is next, or NULL. */
static struct fragment *next_fragment(struct kinema_producer *p)
{
    while (p->send_index < producer_sendable(p)) {
        struct fragment *fragment = ring_at(&p->ring, p->send_index);
        if (!fragment->skipped && (!fragment->whole || p->send_offset < fragment->len))
            return fragment;
        p->send_index++;
        p->send_offset = 0;
    }
    return NULL;
}

/* Whether the body ends here: at the border of a fragment, when the next one has other tracks, when
 * this connection has lived long enough, when time steps back, or when all is kept and nothing will
 * follow. */
static int body_ends(const struct kinema_producer *p, const struct fragment *next)
{
    if (p->send_offset > 0)
        return 0;
    if (next && next->tracks != p->declared)
        return 1;
    if (next && p->first_fragment)
        return 0;
    if (next && next->restart && !p->first_fragment)
        return 1;
    if (producer_clock_ms() >= p->renew_at && !p->first_fragment)
        return 1;
    return producer_sendable(p) == 0 &&
           (p->draining || producer_clock_ms() >= p->heard_at + SESSION_IDLE_MS);
}

/* The next bytes of media: how many; 0: none yet; -ECANCELED: the body ends here; -EIO. */
static int64_t next_media(struct kinema_producer *p, char *dst, size_t cap)
{
    struct fragment *fragment = next_fragment(p);
    int64_t got = 0;
    if (body_ends(p, fragment))
        return -ECANCELED;
    if (fragment)
        got = ring_read(&p->ring, fragment, p->send_offset, dst, cap);
    if (got < 0) {
        producer_tell(p, (struct kinema_event){.type = KINEMA_SPILL_FAILED,
                                               .time_ms = fragment->time_ms,
                                               .text = "the spill file cannot be read"});
        producer_lose(p, fragment, "the spill file cannot be read");
        fragment->skipped = 1;
        producer_cut(p, "the spill file cannot be read");
    } else if (got > 0) {
        p->first_fragment = 0;
        p->send_offset += (uint64_t) got;
        p->stats.bytes_sent += (uint64_t) got;
    }
    return got;
}

static size_t send_media(char *dst, size_t size, size_t count, void *ctx)
{
    struct kinema_producer *p = ctx;
    size_t cap = size * count, len = 0;
    int64_t got = 1;
    if (p->cut[0] || p->body_over)
        return p->body_over ? 0 : CURL_READFUNC_ABORT;
    if (p->head_sent < p->head_len) {
        len = p->head_len - p->head_sent;
        len = len < cap ? len : cap;
        memcpy(dst, p->head + p->head_sent, len);
        p->head_sent += len;
        return len;
    }
    while (got > 0 && len < cap) { /* as much as there is: each time costs a system call */
        got = next_media(p, dst + len, cap - len);
        len += got > 0 ? (size_t) got : 0;
    }
    if (len > 0)
        return len;
    if (got == -ECANCELED) {
        p->body_over = 1;
        return 0;
    }
    if (got < 0)
        return CURL_READFUNC_ABORT;
    p->paused = 1;
    p->gathered_at = 0;
    return CURL_READFUNC_PAUSE;
}

/* --- starting --------------------------------------------------------------------------------- */
static int sign(struct kinema_producer *p, struct sigv4_request *request,
                const struct kinema_credentials *key, const char *host)
{
    char authorization[SIGV4_AUTHORIZATION_BYTES_MAX];
    int code = sigv4_sign(request, key, authorization);
    if (code == 0)
        code = add_header(p, "Host", host);
    for (size_t i = 0; code == 0 && i < request->header_count; i++)
        if (strcmp(request->headers[i].name, "host") != 0)
            code = add_header(p, request->headers[i].name, request->headers[i].value);
    if (code == 0)
        code = add_header(p, "Authorization", authorization);
    if (code == 0)
        code = add_header(p, "content-type", "application/json");
    return code == 0 ? add_header(p, "Expect", "") : code;
}

static void push_header(struct sigv4_request *request, const char *name, const char *value)
{
    request->headers[request->header_count++] = (struct sigv4_header){name, value};
}

static int sign_request(struct kinema_producer *p, enum call call, const char *host,
                        const char *path, const struct kinema_credentials *key)
{
    struct sigv4_request request = {.path = path, .region = p->region};
    struct timespec now;
    char start[48];
    (void) clock_gettime(CLOCK_REALTIME, &now);
    (void) snprintf(start, sizeof(start), "%lld.%03ld", (long long) now.tv_sec,
                    now.tv_nsec / 1000000);
    sigv4_date(now.tv_sec, request.date);
    if (call == CALL_PUT)
        push_header(&request, "connection", "keep-alive");
    push_header(&request, "host", host);
    if (call == CALL_PUT)
        push_header(&request, "transfer-encoding", "chunked");
    push_header(&request, "user-agent", user_agent);
    push_header(&request, "x-amz-date", request.date);
    if (key->token[0])
        push_header(&request, "x-amz-security-token", key->token);
    if (call == CALL_PUT) {
        push_header(&request, "x-amzn-fragment-acknowledgment-required", "1");
        push_header(&request, "x-amzn-fragment-timecode-type", "ABSOLUTE");
        push_header(&request, "x-amzn-producer-start-timestamp", start);
        push_header(&request, "x-amzn-stream-name", p->stream);
        request.body = "";
    } else {
        request.body = p->body;
        request.body_len = strlen(p->body);
    }
    return sign(p, &request, key, host);
}

/* libcurl opens the next address's socket before it closes the one that takes too long. */
static curl_socket_t open_upload_socket(void *ctx, curlsocktype purpose,
                                        struct curl_sockaddr *address)
{
    struct kinema_producer *p = ctx;
    curl_socket_t fd = open_socket(NULL, purpose, address);
    p->sockets[p->sockets[0] >= 0] = fd;
    return fd;
}

static int close_upload_socket(void *ctx, curl_socket_t fd)
{
    struct kinema_producer *p = ctx;
    for (int i = 0; i < 2; i++)
        if (p->sockets[i] == fd)
            p->sockets[i] = -1;
    return close(fd);
}

int request_is_cut_off(const struct kinema_producer *p)
{
    char byte;
    ssize_t got = 1;
    if (p->head_sent == 0 || p->body_over)
        return 0; /* libcurl is connecting, or waits for the end */
    for (int i = 0; i < 2; i++) {
        if (p->sockets[i] >= 0)
            got = recv(p->sockets[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return 1;
    }
    return 0;
}

curl_socket_t request_socket(const struct kinema_producer *p)
{
    return p->sockets[p->sockets[0] < 0];
}

CURLMcode request_send(struct kinema_producer *p)
{
    int running;
    return curl_multi_socket_action(p->multi, request_socket(p), CURL_CSELECT_OUT, &running);
}

static void set_up_put(struct kinema_producer *p, const struct kinema_credentials *key)
{
    struct timespec wall;
    int64_t now = producer_clock_ms(), left;
    (void) clock_gettime(CLOCK_REALTIME, &wall);
    left = key->expires_ms - (int64_t) wall.tv_sec * 1000 - p->key_margin_ms;
    p->renew_at = now + p->session_ms;
    if (key->expires_ms && left < (int64_t) p->session_ms)
        p->renew_at = now + (left > 0 ? left : 0);
    p->head_sent = p->send_index = 0;
    p->send_offset = 0;
    p->paused = p->body_over = p->connected = 0;
    p->first_fragment = 1;
    p->cut[0] = '\0';
    p->acks = (struct ack_parser){.len = 0};
    p->chunks = (struct chunks){.left = 0};
    p->chunked = 0;
    (void) curl_easy_setopt(p->easy, CURLOPT_HTTP_TRANSFER_DECODING, 0L);
    p->heard_at = now;
    p->stats.connections++;
    while (p->ring.count > 0 && ring_at(&p->ring, 0)->skipped)
        producer_pop(p);
    p->declared = p->ring.count > 0 ? ring_at(&p->ring, 0)->tracks : p->seen;
    p->head_len = mkv_header_of(&p->header, p->declared, p->head);
    (void) RAND_bytes(p->head + p->header.uid, MKV_UID_BYTES);
    (void) curl_easy_setopt(p->easy, CURLOPT_READFUNCTION, send_media);
    (void) curl_easy_setopt(p->easy, CURLOPT_READDATA, p);
    (void) curl_easy_setopt(p->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long) UPLOAD_BYTES);
    /* The service may be closing one that it was called over before, and a body that is made as it
     * is sent cannot be sent twice. */
    (void) curl_easy_setopt(p->easy, CURLOPT_FRESH_CONNECT, 1L);
    (void) curl_easy_setopt(p->easy, CURLOPT_FORBID_REUSE, 1L);
    p->sockets[0] = p->sockets[1] = -1;
    (void) curl_easy_setopt(p->easy, CURLOPT_OPENSOCKETFUNCTION, open_upload_socket);
    (void) curl_easy_setopt(p->easy, CURLOPT_OPENSOCKETDATA, p);
    (void) curl_easy_setopt(p->easy, CURLOPT_CLOSESOCKETFUNCTION, close_upload_socket);
    (void) curl_easy_setopt(p->easy, CURLOPT_CLOSESOCKETDATA, p);
}

static int set_up(struct kinema_producer *p, enum call call, const char *url,
                  const struct kinema_credentials *key)
{
    CURL *easy = p->easy;
    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
        (p->ca_file && curl_easy_setopt(easy, CURLOPT_CAINFO, p->ca_file) != CURLE_OK))
        return -ENOMEM;
    (void) curl_easy_setopt(easy, CURLOPT_POST, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    (void) curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void) curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_TIMEOUT_MS);
    (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    /* It would end with this handle; and libcurl 7.88 frees a session twice that it has no memory
     * to keep. */
    (void) curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    (void) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, p->headers);
    (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    (void) curl_easy_setopt(easy, CURLOPT_WRITEDATA, p);
    (void) curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void) curl_easy_setopt(easy, CURLOPT_HEADERDATA, p);
    if (call == CALL_PUT) {
        set_up_put(p, key);
    } else {
        (void) curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(p->body));
        (void) curl_easy_setopt(easy, CURLOPT_POSTFIELDS, p->body);
        (void) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) CALL_TIMEOUT_MS);
    }
    p->call = call;
    p->answer_len = 0;
    return curl_multi_add_handle(p->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

/* The provider has to ask somebody first. */
static int start_key(struct kinema_producer *p)
{
    int code;
    p->easy = curl_easy_init();
    code = p->easy ? credentials_call(p->credentials, p->easy, &p->headers) : -ENOMEM;
    if (code < 0)
        return code;
    (void) curl_easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, take_answer);
    (void) curl_easy_setopt(p->easy, CURLOPT_WRITEDATA, p);
    p->call = CALL_KEY;
    p->answer_len = 0;
    return curl_multi_add_handle(p->multi, p->easy) == CURLM_OK ? 0 : -ENOMEM;
}

int request_start(struct kinema_producer *p, enum call call)
{
    static const char *const paths[] = {"", "/describeStream", "/createStream", "/getDataEndpoint",
                                        "/putMedia"};
    const char *base = call == CALL_PUT ? p->endpoint : p->base, *prefix = "";
    char url[URL_BYTES_MAX + 32], host[256];
    struct kinema_credentials key;
    int len = snprintf(url, sizeof(url), "%s%s", base, paths[call]);
    int code = len < 0 || (size_t) len >= sizeof(url) ? -EMSGSIZE : 0;
    if (code == 0)
        code = split_url(url, host, sizeof(host), &prefix);
    if (code == 0)
        code = make_body(p, call);
    if (code < 0)
        return code;
    code = credentials_peek(p->credentials, &key, &p->key_margin_ms);
    if (code == -EAGAIN)
        return start_key(p);
    if (code < 0)
        return -EACCES;
    p->easy = curl_easy_init();
    code = p->easy ? sign_request(p, call, host, prefix, &key) : -ENOMEM;
    if (code == 0)
        code = set_up(p, call, url, &key);
    OPENSSL_cleanse(&key, sizeof(key));
    return code;
}
