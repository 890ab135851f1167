/* SPDX-License-Identifier: Apache-2.0 */
/* See sdk_service.h. Everything but OpenSSL's lies in one block. */
#include "sdk_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mkv.h"

enum {
    CONNS_MAX = 8,
    HEAD_BYTES = 32 << 10,
    MEDIA_BYTES = 1 << 20,
    POLL_MS = 5000
};

struct conn {
    int fd;   /* -1: free */
    SSL *ssl; /* NULL: plain */
    char in[HEAD_BYTES];
    size_t len;
    bool uploads;
    /* the body: chunks taken off, then elements */
    uint64_t chunk_left;
    bool chunk_end, body_over; /* chunk_end: the line break behind a chunk is due */
    uint8_t media[MEDIA_BYTES];
    size_t media_len, media_at;
    bool is_open;
    uint64_t time_ms;
    unsigned frames;
    bool is_whole; /* frame numbers rise by one from that of the first */
    uint32_t next, run;
};

struct sdk_service {
    int listener;
    SSL_CTX *tls; /* of the process; NULL: plain */
    pid_t process;
    atomic_uint_fast64_t kept[SDK_FRAGMENTS_MAX]; /* run << 32 | frames */
    char url[64];
    struct conn conns[CONNS_MAX];
};

/* A peer that is gone is seen by receive(). */
static void say(struct conn *conn, const char *text, size_t len)
{
    if (conn->ssl)
        (void) SSL_write(conn->ssl, text, (int) len);
    else
        (void) !send(conn->fd, text, len, MSG_NOSIGNAL);
}

/* Bytes; 0: none now; -1: the connection is over. */
static ssize_t receive(struct conn *conn, void *dst, size_t cap)
{
    if (!conn->ssl) {
        ssize_t got = recv(conn->fd, dst, cap, MSG_DONTWAIT);
        return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
    }
    ERR_clear_error();
    int got = SSL_read(conn->ssl, dst, (int) cap);
    return got > 0 ? got : SSL_get_error(conn->ssl, got) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* --- media ------------------------------------------------------------------------------------ */
static void ack(struct conn *conn, const char *type, uint64_t time_ms)
{
    char body[160], chunk[200];
    int len =
        snprintf(body, sizeof body,
                 "{\"EventType\":\"%s\",\"FragmentTimecode\":%llu,\"FragmentNumber\":\"%llu\"}",
                 type, (unsigned long long) time_ms, (unsigned long long) time_ms + 1);
    len = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned) len, body);
    say(conn, chunk, (size_t) len);
}

static void keep(struct sdk_service *service, struct conn *conn)
{
    size_t place = conn->time_ms / SDK_FRAGMENT_MS;
    if (!conn->is_open)
        return;
    conn->is_open = false;
    if (place >= SDK_FRAGMENTS_MAX || !conn->is_whole)
        return; /* never acknowledged: the test sees that it is missing */
    if (atomic_load(&service->kept[place]) >> 32 <= conn->run)
        atomic_store(&service->kept[place], (uint64_t) conn->run << 32 | conn->frames);
    ack(conn, "PERSISTED", conn->time_ms);
}

static void take_block(struct conn *conn, struct kn_bytes payload)
{
    uint32_t number = 0, again;
    struct kn_reader in = kn_reader_of(kn_bytes_skip(payload, 4)); /* track, time, flags */
    bool good = kn_read_u32be(&in, &number) == 0 && (conn->frames == 0 || number == conn->next);
    while (good && kn_read_u32be(&in, &again) == 0)
        good = again == number;
    conn->is_whole = conn->is_whole && good;
    conn->next = number + 1;
    conn->run = number / SDK_FRAMES_MAX;
    conn->frames++;
}

static uint64_t number_of(struct kn_bytes payload)
{
    uint64_t value = 0;
    for (size_t i = 0; i < payload.len; i++)
        value = value << 8 | payload.ptr[i];
    return value;
}

static void take_element(struct sdk_service *service, struct conn *conn, uint32_t id,
                         struct kn_bytes payload)
{
    static const char end[] = "AWS_KINESISVIDEO_END_OF_FRAGMENT";
    if (id == KN_MKV_CLUSTER) {
        keep(service, conn);
        conn->is_open = conn->is_whole = true;
        conn->frames = 0;
    } else if (id == KN_MKV_TIMESTAMP) {
        conn->time_ms = number_of(payload);
        ack(conn, "BUFFERING", conn->time_ms);
    } else if (id == KN_MKV_SIMPLE_BLOCK) {
        take_block(conn, payload);
    } else if (id == KN_MKV_TAGS && payload.len > sizeof end &&
               memmem(payload.ptr, payload.len, end, sizeof end - 1)) {
        keep(service, conn);
    }
}

static void take_media(struct sdk_service *service, struct conn *conn)
{
    for (;;) {
        struct kn_bytes left = {conn->media + conn->media_at, conn->media_len - conn->media_at};
        struct kn_mkv_element element;
        if (kn_mkv_element_read(left, &element) < 0)
            return;
        bool goes_in = element.id == KN_MKV_SEGMENT || element.id == KN_MKV_CLUSTER;
        size_t size = goes_in ? 0 : element.size;
        if (size > left.len - element.head_bytes)
            return;
        take_element(service, conn, element.id,
                     (struct kn_bytes){left.ptr + element.head_bytes, size});
        conn->media_at += element.head_bytes + size;
    }
}

/* --- HTTP ------------------------------------------------------------------------------------- */
static void consume(struct conn *conn, size_t len)
{
    memmove(conn->in, conn->in + len, conn->len - len);
    conn->len -= len;
}

/* One piece of a chunked body; false: more bytes are needed, or it is over. */
static bool take_chunk(struct conn *conn)
{
    if (conn->chunk_left > 0) {
        size_t len = conn->chunk_left < conn->len ? (size_t) conn->chunk_left : conn->len;
        if (len == 0)
            return false;
        kn_assert(len <= MEDIA_BYTES - conn->media_len);
        memcpy(conn->media + conn->media_len, conn->in, len);
        conn->media_len += len;
        conn->chunk_left -= len;
        conn->chunk_end = conn->chunk_left == 0;
        consume(conn, len);
        return true;
    }
    char *end = memmem(conn->in, conn->len, "\r\n", 2);
    if (!end)
        return false;
    size_t line = (size_t) (end - conn->in);
    if (conn->chunk_end) {
        conn->chunk_end = false;
    } else if (conn->body_over) { /* the empty line at the very end */
        conn->uploads = false;
    } else {
        conn->chunk_left = strtoull(conn->in, NULL, 16);
        conn->body_over = conn->chunk_left == 0;
    }
    consume(conn, line + 2);
    return conn->uploads;
}

static void begin_upload(struct conn *conn)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    conn->uploads = true;
    conn->chunk_left = 0;
    conn->chunk_end = conn->body_over = conn->is_open = false;
    conn->media_len = conn->media_at = 0;
    say(conn, head, sizeof head - 1);
}

static bool shows_certificate(const struct conn *conn)
{
    return conn->ssl && SSL_get0_peer_certificate(conn->ssl);
}

static void answer(struct sdk_service *service, struct conn *conn, const char *path)
{
    static const char key[] = "/role-aliases/" SDK_ROLE_ALIAS "/credentials ";
    char body[256], text[512];
    int len;
    if (strncmp(path, key, sizeof key - 1) == 0 && shows_certificate(conn))
        len = snprintf(body, sizeof body,
                       "{\"credentials\":{\"accessKeyId\":\"%s\",\"secretAccessKey\":\"secret\","
                       "\"sessionToken\":\"token\",\"expiration\":\"2040-01-01T00:00:00Z\"}}",
                       SDK_KEY_ID);
    else if (strncmp(path, "/describeStream ", 16) == 0)
        len = snprintf(body, sizeof body,
                       "{\"StreamInfo\":{\"Status\":\"ACTIVE\",\"DataRetentionInHours\":24}}");
    else
        len = snprintf(body, sizeof body, "{\"DataEndpoint\":\"%s\"}", service->url);
    len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len, body);
    say(conn, text, (size_t) len);
}

/* A whole request's head, and its body when that is short; false: more bytes are needed. */
static bool take_request(struct sdk_service *service, struct conn *conn)
{
    char *end = memmem(conn->in, conn->len, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head = (size_t) (end + 4 - conn->in), body = 0;
    *end = '\0';
    const char *length = strcasestr(conn->in, "content-length:"), *path = strchr(conn->in, '/');
    if (length)
        body = strtoull(length + strlen("content-length:"), NULL, 10);
    kn_assert(path);
    bool upload = strncmp(path, "/putMedia ", 10) == 0;
    if (!upload && conn->len < head + body) {
        *end = '\r';
        return false;
    }
    if (upload)
        begin_upload(conn);
    else
        answer(service, conn, path);
    consume(conn, head + body);
    return true;
}

static void take_bytes(struct sdk_service *service, struct conn *conn)
{
    bool more = true;
    while (more && conn->len > 0) {
        bool uploaded = conn->uploads;
        more = uploaded ? take_chunk(conn) : take_request(service, conn);
        if (uploaded)
            take_media(service, conn);
        if (uploaded && !conn->uploads) {
            keep(service, conn);
            say(conn, "0\r\n\r\n", 5);
            more = true;
        }
    }
}

/* --- the process ------------------------------------------------------------------------------ */
static void take_conn(struct sdk_service *service)
{
    int fd = accept(service->listener, NULL, NULL); /* it may be gone again: never waits */
    int on = 1;
    if (fd < 0)
        return;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (size_t i = 0; i < CONNS_MAX; i++) {
        struct conn *conn = &service->conns[i];
        if (conn->fd >= 0)
            continue;
        conn->fd = fd;
        conn->ssl = NULL;
        if (service->tls) { /* a handshake that stands still must not hold up the others */
            kn_assert(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
            conn->ssl = SSL_new(service->tls);
            kn_assert(conn->ssl && SSL_set_fd(conn->ssl, fd) == 1);
            SSL_set_accept_state(conn->ssl);
        }
        conn->len = 0;
        conn->uploads = false;
        return;
    }
    close(fd);
}

static void read_conn(struct sdk_service *service, struct conn *conn)
{
    ssize_t got;
    while ((got = receive(conn, conn->in + conn->len, HEAD_BYTES - conn->len)) > 0) {
        conn->len += (size_t) got;
        take_bytes(service, conn);
    }
    if (got < 0) { /* what is not whole is not kept */
        SSL_free(conn->ssl);
        close(conn->fd);
        conn->fd = -1;
    }
}

/* Whoever shows a certificate is believed. */
static int believe(int is_good, X509_STORE_CTX *store)
{
    (void) is_good;
    (void) store;
    return 1;
}

static SSL_CTX *tls_of(const char *certificate, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    kn_assert(tls);
    kn_assert(SSL_CTX_use_certificate_file(tls, certificate, SSL_FILETYPE_PEM) == 1);
    kn_assert(SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, believe);
    return tls;
}

_Noreturn static void serve(struct sdk_service *service)
{
    struct pollfd fds[1 + CONNS_MAX];
    for (;;) {
        fds[0] = (struct pollfd){.fd = service->listener, .events = POLLIN};
        for (size_t i = 0; i < CONNS_MAX; i++)
            fds[1 + i] = (struct pollfd){.fd = service->conns[i].fd, .events = POLLIN};
        kn_assert(poll(fds, 1 + CONNS_MAX, -1) >= 0 || errno == EINTR);
        for (size_t i = 0; i < CONNS_MAX; i++)
            if (fds[1 + i].fd >= 0 && fds[1 + i].revents)
                read_conn(service, &service->conns[i]);
        if (fds[0].revents)
            take_conn(service);
    }
}

struct sdk_service *sdk_service_start(const char *certificate, const char *key, char *ret_url,
                                      size_t cap)
{
    struct sdk_service *service =
        mmap(NULL, sizeof *service, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    kn_assert(service != MAP_FAILED);
    service->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    kn_assert(bind(service->listener, (struct sockaddr *) &address, len) == 0);
    kn_assert(listen(service->listener, 64) == 0);
    kn_assert(getsockname(service->listener, (struct sockaddr *) &address, &len) == 0);
    snprintf(service->url, sizeof service->url, "%s://127.0.0.1:%u", key ? "https" : "http",
             ntohs(address.sin_port));
    snprintf(ret_url, cap, "%s", service->url);
    for (size_t i = 0; i < CONNS_MAX; i++)
        service->conns[i].fd = -1;
    (void) fflush(NULL); /* what waits is printed once */
    pid_t process = fork();
    kn_assert(process >= 0);
    if (process == 0) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) signal(SIGPIPE, SIG_IGN); /* OpenSSL writes by write() */
        service->tls = key ? tls_of(certificate, key) : NULL;
        serve(service);
    }
    service->process = process;
    close(service->listener);
    return service;
}

void sdk_service_stop(struct sdk_service *service)
{
    kn_assert(kill(service->process, SIGKILL) == 0);
    kn_assert(waitpid(service->process, NULL, 0) == service->process);
    munmap(service, sizeof *service);
}

unsigned sdk_service_kept(struct sdk_service *service, uint32_t run, size_t fragment)
{
    uint64_t kept = atomic_load(&service->kept[fragment]);
    return kept >> 32 == run ? (unsigned) kept : 0;
}
