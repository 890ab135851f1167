/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    REQUEST_BYTES_MAX = 64 << 10,
    HEAD_BYTES_MAX = 16 << 10,
    CALL_MS = 10000,
};

int camera_door_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (kn_str_copy(address.sun_path, sizeof address.sun_path, kn_str_from(path)) < 0)
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int send_all(int fd, struct kn_bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return -errno;
        bytes.ptr += n > 0 ? n : 0;
        bytes.len -= n > 0 ? (size_t) n : 0;
    }
    return 0;
}

int camera_door_post(const char *socket_path, const char *path, struct kn_bytes body,
                     unsigned patience_ms)
{
    const struct timeval patience = {patience_ms / 1000, (long) (patience_ms % 1000) * 1000};
    struct kn_buf out;
    int fd = camera_door_connect(socket_path);
    if (fd < 0)
        return fd;
    kn_buf_init(&out, REQUEST_BYTES_MAX);
    kn_buf_printf(&out,
                  "POST %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: kinema-camera/" KINEMA_VERSION
                  "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                  path, body.len);
    kn_buf_append(&out, body.ptr, body.len);
    int r = out.error;
    if (r == 0 && (fcntl(fd, F_SETFL, 0) < 0 ||
                   setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0))
        r = -errno;
    if (r == 0)
        r = send_all(fd, kn_buf_bytes(&out));
    kn_buf_done(&out);
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

static int receive(int fd, struct kn_buf *in)
{
    uint8_t bytes[4096];
    ssize_t n;
    do
        n = recv(fd, bytes, sizeof bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    int r = n > 0 ? kn_buf_append(in, bytes, (size_t) n) : 0;
    return r < 0 ? r : (int) n;
}

int camera_door_head(int fd, struct kn_buf *in)
{
    static const char begin[] = "HTTP/1."; /* "HTTP/1.1 200 OK" */
    const uint8_t *end = NULL;
    uint64_t status = 0;
    while (!(end = in->len ? memmem(in->ptr, in->len, "\r\n\r\n", 4) : NULL)) {
        int n = in->len < HEAD_BYTES_MAX ? receive(fd, in) : -EPROTO;
        if (n <= 0)
            return n < 0 ? n : -EPROTO;
    }
    if (in->len < 12 || memcmp(in->ptr, begin, sizeof begin - 1) != 0 ||
        kn_str_to_u64((struct kn_str){(const char *) in->ptr + 9, 3}, 999, &status) < 0)
        return -EPROTO;
    kn_buf_consume(in, (size_t) (end - in->ptr) + 4);
    return (int) status;
}

int camera_door_call(const char *socket_path, const char *path, struct kn_bytes body,
                     struct kn_buf *answer)
{
    int fd = camera_door_post(socket_path, path, body, CALL_MS);
    if (fd < 0)
        return fd;
    int status = camera_door_head(fd, answer), n = 1;
    while (status > 0 && n > 0)
        n = receive(fd, answer);
    close(fd);
    return status > 0 && n < 0 ? n : status;
}
