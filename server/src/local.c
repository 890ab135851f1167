/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See local.h. HTTP/1.0, so that the answer is whole when the connection ends and comes without
 * chunks.
 */
#include "local.h"

#include "listeners.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/json.h"

enum {
    PATIENCE_S = 60,
    ARENA_BYTES_MAX = 1 << 20
};

/* By way of the folder's descriptor: a socket's name is short, a path may be long. */
static int connect_to(const char *dir)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/" SERVER_LOCAL_SOCKET, folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = fd < 0 || connect(fd, (struct sockaddr *) &at, sizeof at) < 0 ? -errno : 0;
    close(folder);
    if (r == 0) {
        const struct timeval patience = {.tv_sec = PATIENCE_S};
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return r;
}

static int exchange(int fd, const char *path, struct kn_str body, struct kn_buf *answer)
{
    struct kn_buf out;
    uint8_t bytes[16384];
    kn_buf_init(&out, 4096 + body.len);
    int r = kn_buf_printf(&out,
                          "POST %s HTTP/1.0\r\nHost: localhost\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                          path, body.len);
    kn_buf_append_str(&out, body);
    r = r == 0 ? out.error : r;
    for (size_t sent = 0; r == 0 && sent < out.len;) {
        ssize_t n = send(fd, out.ptr + sent, out.len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            r = -errno;
        sent += n > 0 ? (size_t) n : 0;
    }
    kn_buf_done(&out);
    while (r == 0) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        r = kn_buf_append(answer, bytes, (size_t) n);
    }
    return r;
}

int server_local_member(struct kn_bytes json, const char *name, struct kn_buf *dst)
{
    struct kn_json_reader r;
    struct kn_arena arena;
    enum kn_json_token token;
    struct kn_str text = {NULL, 0};
    int code = -ENOENT;
    kn_arena_init(&arena, ARENA_BYTES_MAX);
    kn_json_reader_init(&r, json);
    while (code == -ENOENT && kn_json_next(&r, &token) == 0 && token != KN_JSON_DONE) {
        if (token != KN_JSON_KEY || !kn_str_eq(r.raw, kn_str_from(name)))
            continue;
        if (kn_json_next(&r, &token) == 0 && token == KN_JSON_STRING &&
            kn_json_unescape(&r, &arena, &text) == 0)
            code = kn_buf_append_str(dst, text);
    }
    kn_arena_done(&arena);
    return code;
}

/* Leaves the body in answer. */
static int read_answer(struct kn_buf *answer, struct kn_err *err)
{
    struct kn_str text = kn_buf_str(answer), line;
    const char *end = text.len ? memmem(text.ptr, text.len, "\r\n\r\n", 4) : NULL;
    if (!end || !kn_str_starts_with(text, KN_STR("HTTP/1.")))
        return kn_fail(err, -EPROTO, "the server has answered nothing that can be read");
    (void) kn_str_cut(text, '\r', &line);
    bool good = line.len > 12 && memcmp(line.ptr + 9, "200", 3) == 0;
    char status[64];
    (void) !kn_str_copy(status, sizeof status, line);
    kn_buf_consume(answer, (size_t) (end - text.ptr) + 4);
    if (good)
        return 0;
    struct kn_buf message;
    kn_buf_init(&message, 4096);
    if (server_local_member(kn_buf_bytes(answer), "Message", &message) < 0)
        (void) !server_local_member(kn_buf_bytes(answer), "message", &message);
    bool missing = line.len > 12 && kn_str_starts_with(kn_str_from(status + 9), KN_STR("404"));
    int r = kn_fail(err, missing ? -ENXIO : -EREMOTEIO, "%.*s",
                    message.len ? (int) message.len : (int) strlen(status),
                    message.len ? (const char *) message.ptr : status);
    kn_buf_done(&message);
    return r;
}

int server_local_call(const char *dir, const char *path, struct kn_str body, struct kn_buf *answer,
                      struct kn_err *err)
{
    int fd = connect_to(dir);
    if (fd < 0)
        return fd == -EACCES
                   ? kn_fail(err, fd, "data folder %s: no permission to ask its server", dir)
                   : kn_fail(err, -ENOENT,
                             "no server runs on data folder %s (%s): start it, or name its folder "
                             "with --data",
                             dir, kn_errsay(fd));
    kn_buf_clear(answer);
    int r = exchange(fd, path, body, answer);
    close(fd);
    if (r < 0)
        return kn_fail(err, r, "the server does not answer: %s", kn_errsay(r));
    return read_answer(answer, err);
}
