/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many RTSP cameras in one process: an H.264 file (Annex B) is made into RTP packets once, and each
 * session sends them in real time, again and again, interleaved in its RTSP connection (RFC 2326,
 * 10.12; RFC 6184; RFC 3550). Whoever connects gets the same camera, whatever the path.
 *
 *   rtsp_load --media FILE [--fps 30] [--tls PEM]
 *
 * Prints its port. Standard input orders it: "deaf" (nobody is answered and all are cut off),
 * "hear" (answers again), "reset" (counts from now on), "say" (what was counted), and its end.
 */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/crypto.h"

enum {
    SESSIONS_MAX = 1024,
    FRAMES_MAX = 4096,
    PAYLOAD_BYTES = 1400,
    FRAME_BYTES_MAX = 2 << 20,
    OUT_BYTES_MAX = 16 << 20,
    REQUEST_BYTES_MAX = 16 << 10,
    RTP_HZ = 90000,
    REPORT_MS = 5000, /* between two sender reports */
};
#define NS_PER_S        INT64_C(1000000000)
#define NTP_EPOCH_S     UINT64_C(2208988800) /* 1900 to 1970 */
#define PACKET_HEAD     16                   /* four of the interleaving, twelve of RTP */
#define SPROP_CHARS_MAX 512

struct frame {
    struct kn_bytes packets; /* each with its head, whose numbers are filled in when it is sent */
    unsigned count;
};

struct session {
    int fd; /* -1: free */
    SSL *ssl;
    bool playing, hushed; /* hushed: the handshake goes on */
    struct kn_buf in, out;
    int64_t start_ns, due_ns, oldest_ns; /* of what waits in out */
    int64_t report_ns;
    uint64_t frames, bytes;
    uint32_t packets;
    uint16_t sequence;
    uint32_t ssrc;
};

static struct {
    struct frame frames[FRAMES_MAX];
    unsigned count, fps;
    char sprop[SPROP_CHARS_MAX];
    struct kn_buf bytes;
} media = {.fps = 30};

static struct session sessions[SESSIONS_MAX];
static unsigned session_count;
static int epoll, listener = -1;
static uint16_t port;
static SSL_CTX *tls;
static uint64_t sent_frames, sent_bytes, behind;
static int64_t late_ns_max;

/* --- the file becomes packets ----------------------------------------------------------------- */
static void packet(const uint8_t *prefix, size_t prefix_len, struct kn_bytes payload, bool last)
{
    uint8_t head[PACKET_HEAD] = {'$', 0};
    kn_put_u16be(head + 2, (uint16_t) (12 + prefix_len + payload.len));
    head[4] = 0x80;
    head[5] = (uint8_t) (96 | (last ? 0x80 : 0));
    (void) kn_buf_append(&media.bytes, head, sizeof head);
    (void) kn_buf_append(&media.bytes, prefix, prefix_len);
    (void) kn_buf_append(&media.bytes, payload.ptr, payload.len);
    media.frames[media.count].count++;
}

/* A NAL unit: a packet, or fragments of type FU-A (RFC 6184, 5.8). */
static void unit(struct kn_bytes nal, bool last)
{
    if (nal.len <= PAYLOAD_BYTES) {
        packet(NULL, 0, nal, last);
        return;
    }
    uint8_t kind = nal.ptr[0], prefix[2] = {(uint8_t) ((kind & 0xe0) | 28), 0};
    struct kn_bytes rest = kn_bytes_skip(nal, 1);
    for (bool first = true; rest.len > 0; first = false) {
        struct kn_bytes part = {rest.ptr, kn_min_u64(rest.len, PAYLOAD_BYTES - 2)};
        rest = kn_bytes_skip(rest, part.len);
        prefix[1] = (uint8_t) ((kind & 31) | (first ? 0x80 : 0) | (rest.len == 0 ? 0x40 : 0));
        packet(prefix, sizeof prefix, part, last && rest.len == 0);
    }
}

static struct kn_bytes next_unit(struct kn_bytes *rest)
{
    static const uint8_t code[] = {0, 0, 1};
    const uint8_t *at = memmem(rest->ptr, rest->len, code, sizeof code);
    if (!at)
        return (struct kn_bytes){NULL, 0};
    *rest = kn_bytes_skip(*rest, (size_t) (at - rest->ptr) + sizeof code);
    const uint8_t *end = memmem(rest->ptr, rest->len, code, sizeof code);
    struct kn_bytes found = {rest->ptr, end ? (size_t) (end - rest->ptr) : rest->len};
    while (found.len > 0 && found.ptr[found.len - 1] == 0)
        found.len--;
    return found;
}

static void add_sprop(struct kn_bytes nal)
{
    size_t at = strlen(media.sprop), more = kn_base64_text_len(nal.len);
    if (at + 1 + more >= sizeof media.sprop)
        return;
    if (at > 0)
        media.sprop[at++] = ',';
    kn_base64_write(nal, media.sprop + at);
    media.sprop[at + more] = '\0';
}

/* One slice is one picture here, and what comes before it belongs to it. */
static void read_media(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat facts;
    if (!file || fstat(fileno(file), &facts) < 0)
        tool_die(path);
    size_t len = (size_t) facts.st_size, *offsets = calloc(FRAMES_MAX + 1, sizeof *offsets);
    uint8_t *all = malloc(len);
    if (!all || !offsets || fread(all, 1, len, file) != len)
        tool_die(path);
    fclose(file);
    kn_buf_init(&media.bytes, 2 * len + (1 << 20));
    struct kn_bytes rest = {all, len}, nal;
    while (media.count < FRAMES_MAX && (nal = next_unit(&rest)).len > 0) {
        unsigned kind = nal.ptr[0] & 31;
        bool picture = kind == 1 || kind == 5;
        if ((kind == 7 || kind == 8) && media.count == 0)
            add_sprop(nal);
        unit(nal, picture);
        if (picture)
            offsets[++media.count] = media.bytes.len;
    }
    tool_must(media.bytes.error, "the media");
    for (unsigned i = 0; i < media.count; i++)
        media.frames[i].packets =
            (struct kn_bytes){media.bytes.ptr + offsets[i], offsets[i + 1] - offsets[i]};
    free(offsets);
    free(all);
    if (media.count == 0)
        tool_must(-ENODATA, path);
}

/* --- sending ---------------------------------------------------------------------------------- */
static void over(struct session *s)
{
    if (s->ssl)
        SSL_free(s->ssl);
    close(s->fd);
    kn_buf_done(&s->in);
    kn_buf_done(&s->out);
    *s = (struct session){.fd = -1};
    session_count--;
}

static ssize_t write_some(struct session *s)
{
    if (!s->ssl)
        return send(s->fd, s->out.ptr, s->out.len, MSG_NOSIGNAL);
    int n = SSL_write(s->ssl, s->out.ptr, (int) s->out.len);
    if (n > 0)
        return n;
    int why = SSL_get_error(s->ssl, n);
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    return -1;
}

static void flush(struct session *s)
{
    while (s->fd >= 0 && s->out.len > 0) {
        ssize_t n = write_some(s);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            over(s);
            return;
        }
        sent_bytes += (uint64_t) n;
        kn_buf_consume(&s->out, (size_t) n);
    }
    if (s->fd >= 0 && s->out.len == 0 && s->oldest_ns) {
        late_ns_max = kn_max_i64(late_ns_max, tool_now_ns() - s->oldest_ns);
        s->oldest_ns = 0;
    }
}

static uint32_t rtp_time(const struct session *s, uint64_t frame)
{
    return s->ssrc * 2654435761u + (uint32_t) (frame * RTP_HZ / media.fps);
}

/* A sender report: wall time beside RTP time (RFC 3550, 6.4.1). */
static void report(struct session *s, uint32_t timestamp)
{
    uint8_t bytes[32] = {'$', 1, 0, 28, 0x80, 200, 0, 6};
    uint64_t ns = (uint64_t) kn_wall_ms(kn_clock_system()) * 1000000;
    kn_put_u32be(bytes + 8, s->ssrc);
    kn_put_u32be(bytes + 12, (uint32_t) (ns / NS_PER_S + NTP_EPOCH_S));
    kn_put_u32be(bytes + 16, (uint32_t) ((ns % NS_PER_S << 32) / NS_PER_S));
    kn_put_u32be(bytes + 20, timestamp);
    kn_put_u32be(bytes + 24, s->packets);
    kn_put_u32be(bytes + 28, (uint32_t) s->bytes);
    (void) kn_buf_append(&s->out, bytes, sizeof bytes);
}

static void send_frame(struct session *s)
{
    const struct frame *frame = &media.frames[s->frames % media.count];
    uint32_t timestamp = rtp_time(s, s->frames);
    if (s->out.len > OUT_BYTES_MAX - FRAME_BYTES_MAX) {
        behind++; /* it does not take what is sent */
    } else {
        if (!s->report_ns || s->due_ns - s->report_ns > REPORT_MS * INT64_C(1000000)) {
            report(s, timestamp);
            s->report_ns = s->due_ns;
        }
        size_t at = s->out.len;
        (void) kn_buf_append(&s->out, frame->packets.ptr, frame->packets.len);
        tool_must(s->out.error, "memory");
        while (at < s->out.len) {
            uint8_t *head = s->out.ptr + at;
            kn_put_u16be(head + 6, s->sequence++);
            kn_put_u32be(head + 8, timestamp);
            kn_put_u32be(head + 12, s->ssrc);
            at += 4 + ((size_t) head[2] << 8 | head[3]);
        }
        s->packets += frame->count;
        s->bytes += frame->packets.len - frame->count * PACKET_HEAD;
        if (!s->oldest_ns)
            s->oldest_ns = s->due_ns;
        sent_frames++;
    }
    s->frames++;
    s->due_ns = s->start_ns + (int64_t) s->frames * NS_PER_S / media.fps;
    flush(s);
}

/* --- RTSP ------------------------------------------------------------------------------------- */
static void describe(struct kn_buf *out, const char *cseq, const char *url)
{
    char sdp[2048];
    int len = snprintf(sdp, sizeof sdp,
                       "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\n"
                       "t=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                       "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=%s\r\n"
                       "a=control:video\r\n",
                       media.sprop);
    (void) kn_buf_printf(out,
                         "RTSP/1.0 200 OK\r\nCSeq: %s\r\nContent-Base: %s/\r\n"
                         "Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
                         cseq, url, len, sdp);
}

static void play(struct session *s, const char *cseq, const char *url)
{
    (void) kn_buf_printf(&s->out,
                         "RTSP/1.0 200 OK\r\nCSeq: %s\r\nSession: 1\r\nRange: npt=0-\r\n"
                         "RTP-Info: url=%s/video;seq=%u;rtptime=%u\r\n\r\n",
                         cseq, url, s->sequence, rtp_time(s, 0));
    s->playing = true;
    /* Spread over a group of pictures, so that key frames of all do not fall together. */
    s->frames = (uint64_t) (s - sessions) * 7;
    s->due_ns = tool_now_ns();
    s->start_ns = s->due_ns - (int64_t) s->frames * NS_PER_S / media.fps;
}

static void answer(struct session *s, const char *request)
{
    char method[32] = "", url[512] = "", cseq[32] = "0";
    const char *found = strcasestr(request, "\r\nCSeq:");
    (void) sscanf(request, "%31s %511s", method, url);
    if (found)
        (void) sscanf(found + 7, "%31s", cseq);
    if (strcmp(method, "DESCRIBE") == 0)
        describe(&s->out, cseq, url);
    else if (strcmp(method, "SETUP") == 0)
        (void) kn_buf_printf(&s->out,
                             "RTSP/1.0 200 OK\r\nCSeq: %s\r\nSession: 1;timeout=60\r\n"
                             "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
                             cseq);
    else if (strcmp(method, "PLAY") == 0)
        play(s, cseq, url);
    else
        (void) kn_buf_printf(&s->out,
                             "RTSP/1.0 200 OK\r\nCSeq: %s\r\nSession: 1\r\nPublic: OPTIONS, "
                             "DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n\r\n",
                             cseq);
}

/* Receiver reports pass by; requests of peers have no body that matters. */
static void understand(struct session *s)
{
    while (s->in.len > 0) {
        if (s->in.ptr[0] == '$') {
            size_t len = s->in.len < 4 ? 4 : 4 + ((size_t) s->in.ptr[2] << 8 | s->in.ptr[3]);
            if (s->in.len < len)
                return;
            kn_buf_consume(&s->in, len);
            continue;
        }
        const uint8_t *end = memmem(s->in.ptr, s->in.len, "\r\n\r\n", 4);
        if (!end)
            return;
        size_t len = (size_t) (end - s->in.ptr) + 4;
        char text[REQUEST_BYTES_MAX + 1];
        memcpy(text, s->in.ptr, len);
        text[len] = '\0';
        kn_buf_consume(&s->in, len);
        answer(s, text);
    }
}

static void take_in(struct session *s)
{
    uint8_t bytes[4096];
    for (;;) {
        ssize_t n;
        if (s->ssl) {
            int got = SSL_read(s->ssl, bytes, sizeof bytes);
            int why = got > 0 ? 0 : SSL_get_error(s->ssl, got);
            n = got;
            errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
        } else {
            n = recv(s->fd, bytes, sizeof bytes, 0);
        }
        if (n <= 0 && errno == EAGAIN && (n < 0 || s->ssl))
            break;
        if (n <= 0 || kn_buf_append(&s->in, bytes, (size_t) n) < 0) {
            over(s);
            return;
        }
    }
    understand(s);
    flush(s);
}

/* --- the loop --------------------------------------------------------------------------------- */
static void hear(void)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int yes = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void) setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener};
    if (listener < 0 || bind(listener, (struct sockaddr *) &at, sizeof at) < 0 ||
        listen(listener, SESSIONS_MAX) < 0 ||
        getsockname(listener, (struct sockaddr *) &at, &len) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        tool_die("listening");
    port = ntohs(at.sin_port);
    printf("%u\n", port);
    fflush(stdout);
}

static void take_session(void)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct session *s = sessions;
        while (s < sessions + SESSIONS_MAX && s->fd >= 0)
            s++;
        if (s == sessions + SESSIONS_MAX)
            tool_must(-EDQUOT, "sessions");
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        *s = (struct session){.fd = fd, .ssrc = 0x1000u + (unsigned) (s - sessions)};
        kn_buf_init(&s->in, REQUEST_BYTES_MAX);
        kn_buf_init(&s->out, OUT_BYTES_MAX);
        if (tls && (!(s->ssl = SSL_new(tls)) || SSL_set_fd(s->ssl, fd) != 1))
            tool_die("TLS");
        if (s->ssl)
            SSL_set_accept_state(s->ssl);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.ptr = s};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            tool_die("epoll");
        session_count++;
    }
}

static void say(void)
{
    for (struct session *s = sessions; s < sessions + SESSIONS_MAX; s++) {
        if (s->fd >= 0 && s->oldest_ns)
            late_ns_max = kn_max_i64(late_ns_max, tool_now_ns() - s->oldest_ns);
    }
    printf(
        "{\"sessions\":%u,\"frames\":%llu,\"bytes\":%llu,\"behind\":%llu,\"late_max_ms\":%.1f}\n",
        session_count, (unsigned long long) sent_frames, (unsigned long long) sent_bytes,
        (unsigned long long) behind, (double) late_ns_max / 1e6);
    fflush(stdout);
}

static void deaf(void)
{
    close(listener);
    listener = -1;
    for (struct session *s = sessions; s < sessions + SESSIONS_MAX; s++) {
        if (s->fd >= 0)
            over(s);
    }
}

static bool obey(void)
{
    char order[64] = "";
    ssize_t n = read(STDIN_FILENO, order, sizeof order - 1);
    if (n <= 0)
        return false;
    if (strcmp(order, "deaf\n") == 0) {
        deaf();
    } else if (strcmp(order, "hear\n") == 0) {
        hear();
    } else if (strcmp(order, "reset\n") == 0) {
        sent_frames = sent_bytes = behind = 0;
        late_ns_max = 0;
    } else {
        say();
    }
    return true;
}

static int64_t send_due(void)
{
    int64_t now = tool_now_ns(), next = now + NS_PER_S;
    for (struct session *s = sessions; s < sessions + SESSIONS_MAX; s++) {
        while (s->fd >= 0 && s->playing && s->due_ns <= now)
            send_frame(s);
        if (s->fd >= 0 && s->playing)
            next = kn_min_i64(next, s->due_ns);
    }
    return next;
}

static void run(void)
{
    for (;;) {
        struct epoll_event events[256];
        int64_t wait = kn_max_i64(send_due() - tool_now_ns(), 0);
        struct timespec timeout = {wait / NS_PER_S, wait % NS_PER_S};
        int n = epoll_pwait2(epoll, events, 256, &timeout, NULL);
        for (int i = 0; i < n; i++) {
            struct session *s = events[i].data.ptr;
            if (!s && !obey())
                return;
            if (s == (void *) &listener) {
                take_session();
            } else if (s && s->fd >= 0) {
                take_in(s);
                flush(s);
            }
        }
    }
}

static void use_tls(const char *pem)
{
    tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_use_certificate_chain_file(tls, pem) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, pem, SSL_FILETYPE_PEM) != 1)
        tool_die(pem);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

int main(int argc, char **argv)
{
    const char *path = NULL, *pem = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--media") == 0)
            path = argv[i + 1];
        else if (strcmp(argv[i], "--fps") == 0)
            media.fps = (unsigned) tool_number(argv[i + 1]);
        else if (strcmp(argv[i], "--tls") == 0)
            pem = argv[i + 1];
    }
    if (!path || media.fps == 0)
        tool_must(-EINVAL, "--media FILE");
    for (struct session *s = sessions; s < sessions + SESSIONS_MAX; s++)
        s->fd = -1;
    read_media(path);
    if (pem)
        use_tls(pem);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        tool_die("epoll");
    hear();
    run();
    return 0;
}
