/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See upload.h. The answer is our own server's, so that as much of HTTP is read as it sends: a
 * status line, and acknowledgements, flat JSON objects, in chunks.
 */
#include "upload.h"

#include "door.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/json.h"

enum {
    ANSWER_BYTES_MAX = 64 << 10,
    HEAD_BYTES_MAX = 4096,
};

/* 0 also when some is left. */
static int flush(int fd, struct kn_buf *out)
{
    while (out->len > 0) {
        ssize_t n = send(fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        kn_buf_consume(out, (size_t) n);
    }
    return 0;
}

int camera_upload_open(struct camera_upload *u, const char *socket_path, const char *stream)
{
    *u = (struct camera_upload){.fd = camera_door_connect(socket_path)};
    if (u->fd < 0)
        return u->fd;
    kn_buf_init(&u->out, CAMERA_UPLOAD_WAITING_MAX + HEAD_BYTES_MAX);
    kn_buf_init(&u->in, ANSWER_BYTES_MAX);
    gint64 now_ms = g_get_real_time() / 1000;
    int r = kn_buf_printf(&u->out,
                          "POST /putMedia HTTP/1.1\r\n"
                          "Host: localhost\r\n"
                          "Connection: close\r\n"
                          "User-Agent: kinema-camera/" KINEMA_VERSION "\r\n"
                          "x-amzn-stream-name: %s\r\n"
                          "x-amzn-fragment-timecode-type: ABSOLUTE\r\n"
                          "x-amzn-fragment-acknowledgment-required: 1\r\n"
                          "x-kinema-tracks: may-pause\r\n"
                          "x-amzn-producer-start-timestamp: %" G_GINT64_FORMAT ".%03d\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n",
                          stream, now_ms / 1000, (int) (now_ms % 1000));
    if (r == 0)
        r = flush(u->fd, &u->out);
    if (r < 0)
        camera_upload_close(u);
    return r;
}

/* What the socket does not take at once is kept. */
int camera_upload_send(struct camera_upload *u, struct kn_bytes head, struct kn_bytes frame)
{
    char size[24];
    int size_len = snprintf(size, sizeof size, "%zx\r\n", head.len + frame.len);
    struct iovec parts[] = {
        {size,                           (size_t) size_len},
        {(void *) (uintptr_t) head.ptr,  head.len         },
        {(void *) (uintptr_t) frame.ptr, frame.len        },
        {(char[]){"\r\n"},               2                }
    };
    size_t total = 0, sent = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        total += parts[i].iov_len;
    int r = flush(u->fd, &u->out);
    if (r < 0)
        return r;
    if (u->out.len + total > CAMERA_UPLOAD_WAITING_MAX)
        return -ENOBUFS;
    if (u->out.len == 0) {
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = G_N_ELEMENTS(parts)};
        ssize_t n = sendmsg(u->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        sent = n > 0 ? (size_t) n : 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        size_t skip = kn_min_u64(sent, parts[i].iov_len);
        sent -= skip;
        if (parts[i].iov_len > skip)
            kn_buf_append(&u->out, (const uint8_t *) parts[i].iov_base + skip,
                          parts[i].iov_len - skip);
    }
    return u->out.error;
}

/* --- what the server says --------------------------------------------------------------------- */
struct ack {
    char event[32], code[64];
    uint64_t timecode;
};

static int ack_read(struct kn_bytes text, struct ack *ret)
{
    struct kn_arena arena;
    const struct kn_json_member members[] = {
        {"EventType",        KN_JSON_TEXT(ret->event)},
        {"ErrorCode",        KN_JSON_TEXT(ret->code) },
        {"FragmentTimecode", .u64 = &ret->timecode   },
    };
    *ret = (struct ack){0};
    kn_arena_init(&arena, ANSWER_BYTES_MAX);
    int r = kn_json_object_read(text, &arena, members, G_N_ELEMENTS(members));
    kn_arena_done(&arena);
    return r;
}

/* The next flat object of the input, which is taken out. */
static bool ack_take(struct camera_upload *u, struct ack *ret)
{
    const uint8_t *open = u->in.len ? memchr(u->in.ptr, '{', u->in.len) : NULL;
    size_t start = open ? (size_t) (open - u->in.ptr) : 0;
    const uint8_t *close = open ? memchr(open, '}', u->in.len - start) : NULL;
    if (!close)
        return false;
    struct kn_bytes text = {open, (size_t) (close - open) + 1};
    if (ack_read(text, ret) < 0)
        ret->event[0] = '\0';
    kn_buf_consume(&u->in, start + text.len);
    return true;
}

/* What an error answer says of itself: its JSON's message, else its status line. */
static void refusal(const struct camera_upload *u, char *said, size_t cap)
{
    struct kn_str text = kn_buf_str(&u->in), line;
    (void) kn_str_cut(text, '\r', &line);
    const char *json = memmem(text.ptr, text.len, "\r\n\r\n", 4);
    struct kn_str body = json ? kn_str_skip(text, (size_t) (json - text.ptr) + 4) : line;
    g_snprintf(said, cap, "the server refuses the upload: %.*s", (int) kn_min_u64(body.len, 300),
               body.ptr);
}

static int read_status(struct camera_upload *u, char *said, size_t cap)
{
    static const char good[] = "HTTP/1.1 200";
    if (u->in.len < sizeof good)
        return 0;
    if (memcmp(u->in.ptr, good, sizeof good - 1) != 0) {
        refusal(u, said, cap);
        return -EPROTO;
    }
    u->answered = true;
    return 0;
}

int camera_upload_read(struct camera_upload *u, char *said, size_t said_cap)
{
    uint8_t bytes[4096];
    struct ack ack;
    bool ended = false;
    for (;;) {
        ssize_t n = recv(u->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        ended = n == 0 || (n < 0 && errno != EAGAIN);
        if (n <= 0)
            break;
        kn_buf_append(&u->in, bytes, (size_t) n);
    }
    if (!u->answered && read_status(u, said, said_cap) < 0)
        return -EPROTO;
    while (u->answered && ack_take(u, &ack)) {
        u->taken |= !strcmp(ack.event, "BUFFERING");
        if (!strcmp(ack.event, "PERSISTED")) {
            u->persisted++;
            u->persisted_ms = (int64_t) ack.timecode;
        } else if (!strcmp(ack.event, "ERROR")) {
            g_snprintf(said, said_cap, "the server refuses a fragment: %s", ack.code);
            return -EPROTO;
        }
    }
    if (!ended && u->in.error == 0)
        return 0;
    g_snprintf(said, said_cap, "the server has ended the upload");
    return -EPROTO;
}

/* --- its end ------------------------------------------------------------------------------------
 * The server reads at its own pace, and answers until it has stored everything: a socket that is
 * closed before would cost what it has not read. */
struct ending {
    int fd;
    struct kn_buf out;
    guint timer;
    bool waits; /* for room in the socket */
};

static gint endings; /* atomic */

static void ending_free(struct ending *e)
{
    close(e->fd);
    kn_buf_done(&e->out);
    g_free(e);
    (void) g_atomic_int_add(&endings, -1);
}

static gboolean ending_is_late(gpointer arg)
{
    struct ending *e = arg;
    e->timer = 0;
    (void) shutdown(e->fd, SHUT_RDWR); /* its watch sees that */
    return G_SOURCE_REMOVE;
}

static gboolean ending_event(gint fd, GIOCondition condition, gpointer arg);

static void ending_watch(struct ending *e)
{
    e->waits = e->out.len > 0;
    (void) g_unix_fd_add(e->fd, G_IO_IN | G_IO_HUP | G_IO_ERR | (e->waits ? G_IO_OUT : 0),
                         ending_event, e);
}

static gboolean ending_event(gint fd, GIOCondition condition, gpointer arg)
{
    struct ending *e = arg;
    uint8_t heard[4096];
    ssize_t n;
    (void) condition;
    while ((n = recv(fd, heard, sizeof heard, 0)) > 0)
        continue;
    if (n == 0 || (errno != EAGAIN && errno != EINTR) || flush(fd, &e->out) < 0) {
        if (e->timer)
            g_source_remove(e->timer);
        ending_free(e);
        return G_SOURCE_REMOVE;
    }
    if (!e->waits || e->out.len > 0)
        return G_SOURCE_CONTINUE;
    ending_watch(e);
    return G_SOURCE_REMOVE;
}

static gboolean ending_begin(gpointer arg)
{
    struct ending *e = arg;
    e->timer = g_timeout_add_seconds(CAMERA_UPLOAD_LINGER_S, ending_is_late, e);
    ending_watch(e);
    return G_SOURCE_REMOVE;
}

void camera_upload_close(struct camera_upload *u)
{
    static const char end[] = "0\r\n\r\n";
    if (u->fd >= 0) {
        struct ending *e = g_new0(struct ending, 1);
        *e = (struct ending){.fd = u->fd, .out = u->out};
        kn_buf_init(&u->out, 0);
        e->out.max += sizeof end; /* there is room for the end always */
        (void) kn_buf_append(&e->out, end, sizeof end - 1);
        bool room = g_atomic_int_add(&endings, 1) < CAMERA_UPLOAD_LINGER_MAX;
        if (flush(e->fd, &e->out) == 0 && room)
            g_idle_add(ending_begin, e);
        else
            ending_free(e);
    }
    u->fd = -1;
    kn_buf_done(&u->out);
    kn_buf_done(&u->in);
}
