/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: one a loop on the same port (SO_REUSEPORT), so the kernel spreads connections
 * and no loop hands one to another. SO_REUSEPORT would also let a second server of the same user
 * join the port and take half of the cameras, so the port is first bound without it.
 */
#include "http_guard.h"
#include "http_server_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"

enum {
    ACCEPTS_PER_TURN = 128,
    BACKLOG = 4096,
    RETRY_MS = 100
};

struct endpoint {
    struct sockaddr_storage address;
    socklen_t len;
};

static int parse_endpoint(const char *text, struct endpoint *ret, struct kn_err *err)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (!colon || kn_str_to_u64(kn_str_from(colon + 1), 65535, &port) < 0)
        return kn_fail(err, -EINVAL, "%s: not of the form ADDRESS:PORT", text);
    struct kn_str name = {text, (size_t) (colon - text)};
    bool v6 = name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
    if (v6)
        name = (struct kn_str){name.ptr + 1, name.len - 2};
    if (kn_str_eq(name, KN_STR("localhost")))
        name = KN_STR("127.0.0.1");
    *ret = (struct endpoint){0};
    if (kn_str_copy(host, sizeof(host), name) < 0)
        return kn_fail(err, -EINVAL, "%s: not an address", text);
    struct sockaddr_in6 *in6 = (void *) &ret->address;
    struct sockaddr_in *in = (void *) &ret->address;
    if (v6 && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t) port);
        ret->len = sizeof(*in6);
    } else if (!v6 && inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t) port);
        ret->len = sizeof(*in);
    } else {
        return kn_fail(err, -EINVAL, "%s: not an IPv4 address or an [IPv6] one", text);
    }
    return 0;
}

int kn_http_address_check(const char *address, struct kn_err *err)
{
    struct endpoint at;
    return parse_endpoint(address, &at, err);
}

static void set_port(struct endpoint *at, uint16_t port)
{
    if (at->address.ss_family == AF_INET6)
        ((struct sockaddr_in6 *) (void *) &at->address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *) (void *) &at->address)->sin_port = htons(port);
}

static uint16_t get_port(const struct endpoint *at)
{
    return at->address.ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *) (const void *) &at->address)->sin6_port)
               : ntohs(((const struct sockaddr_in *) (const void *) &at->address)->sin_port);
}

int kn_http_listen_bind(const char *address, bool reuse, uint16_t *port, struct kn_err *err)
{
    struct endpoint at;
    int r = parse_endpoint(address, &at, err);
    if (r < 0)
        return r;
    if (*port)
        set_port(&at, *port);
    int fd = socket(at.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return kn_fail(err, -EIO, "%s: no socket: %s", address, kn_errname(errno));
    int on = 1;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0;
    if (at.address.ss_family == AF_INET6)
        ok = ok && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0;
    if (reuse)
        ok = ok && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
    socklen_t len = sizeof(at.address);
    ok = ok && bind(fd, (struct sockaddr *) &at.address, at.len) == 0 && listen(fd, BACKLOG) == 0 &&
         getsockname(fd, (struct sockaddr *) &at.address, &len) == 0;
    if (!ok) {
        int code = errno == EADDRINUSE ? -EBUSY : errno == EACCES ? -EACCES : -EIO;
        kn_fail(err, code, "%s: cannot listen: %s", address,
                errno == EADDRINUSE ? "the port is in use" : kn_errsay(errno));
        close(fd);
        return code;
    }
    *port = get_port(&at);
    return fd;
}

/* --- a socket in the file system ------------------------------------------------------------- */
static const char local_prefix[] = "unix:";

static bool is_local(const char *address)
{
    return kn_str_starts_with(kn_str_from(address), kn_str_from(local_prefix));
}

/* By way of the folder's descriptor, since a socket's name has 107 characters at most and a path
 * may have more. */
static int name_local(struct sockaddr_un *at, const char *path, int *ret_dir)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct kn_str folder = slash ? (struct kn_str){path, (size_t) (slash - path) + 1} : KN_STR(".");
    if (kn_str_copy(dir, sizeof(dir), folder) < 0)
        return -ENAMETOOLONG;
    *ret_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir < 0)
        return -errno;
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(at->sun_path, sizeof(at->sun_path), "/proc/self/fd/%d/%s", *ret_dir,
                     slash ? slash + 1 : path);
    return n > 0 && (size_t) n < sizeof(at->sun_path) ? 0 : -ENAMETOOLONG;
}

static int listen_local(const char *path, const struct sockaddr_un *at)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void) unlink(path); /* an earlier run's; the caller knows that no other server lives */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    mode_t mask = umask(0177); /* whoever may open it needs no signature */
    int r = bind(fd, (const struct sockaddr *) at, sizeof(*at)) < 0 || listen(fd, BACKLOG) < 0
                ? -errno
                : 0;
    (void) umask(mask);
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

static int bind_local(const char *address, struct kn_err *err)
{
    const char *path = address + sizeof(local_prefix) - 1;
    struct sockaddr_un at;
    int dir = -1;
    int r = name_local(&at, path, &dir);
    if (r == 0)
        r = listen_local(path, &at);
    if (dir >= 0)
        close(dir);
    return r < 0 ? kn_fail(err, r, "%s: cannot listen: %s", path, kn_errsay(r)) : r;
}

/* One socket for all loops. */
static int bind_local_all(struct kn_http_listener *listener, const char *address, unsigned fd_count,
                          struct kn_err *err)
{
    listener->fds[0] = bind_local(address, err);
    if (listener->fds[0] < 0)
        return listener->fds[0];
    for (unsigned i = 1; i < fd_count; i++) {
        listener->fds[i] = fcntl(listener->fds[0], F_DUPFD_CLOEXEC, 0);
        if (listener->fds[i] < 0)
            return kn_fail(err, -errno, "%s: %s", address, kn_errname(errno));
    }
    return 0;
}

/* --- metrics ----------------------------------------------------------------------------- */
static struct kn_metric_family connections = {.kind = KN_GAUGE,
                                              .name = "kinema_http_connections",
                                              .help = "Open connections",
                                              .labels = {"listener"}};
static struct kn_metric_family refused = {.kind = KN_COUNTER,
                                          .name = "kinema_http_connections_refused_total",
                                          .help = "Connections closed at once, at a limit",
                                          .labels = {"listener"}};
static struct kn_metric_family evicted = {.kind = KN_COUNTER,
                                          .name = "kinema_http_connections_evicted_total",
                                          .help = "Idle connections closed for new ones",
                                          .labels = {"listener"}};
static struct kn_metric_family requests = {
    .kind = KN_COUNTER,
    .name = "kinema_http_requests_total",
    .help = "Answers by class of status",
    .labels = {"listener", "status"}
};
static struct kn_metric_family bytes = {
    .kind = KN_COUNTER,
    .name = "kinema_http_bytes_total",
    .help = "Bytes read and written, inside TLS",
    .labels = {"listener", "direction"}
};
static struct kn_metric_family parse_errors = {.kind = KN_COUNTER,
                                               .name = "kinema_http_refusals_total",
                                               .help =
                                                   "Requests refused before or without a handler",
                                               .labels = {"listener"}};

static void metrics_of(struct kn_http_listener *listener)
{
    struct kn_str name = kn_str_from(listener->name);
    listener->connections = kn_metric_series(&connections, &name);
    listener->refused = kn_metric_series(&refused, &name);
    listener->evicted = kn_metric_series(&evicted, &name);
    listener->parse_errors = kn_metric_series(&parse_errors, &name);
    listener->bytes_in = kn_metric_series(&bytes, (struct kn_str[]){name, KN_STR("in")});
    listener->bytes_out = kn_metric_series(&bytes, (struct kn_str[]){name, KN_STR("out")});
    static const char *const classes[6] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (unsigned i = 0; i < 6; i++)
        listener->requests[i] =
            kn_metric_series(&requests, (struct kn_str[]){name, kn_str_from(classes[i])});
}

/* --- listeners --------------------------------------------------------------------------- */
static int bind_all(struct kn_http_listener *listener, unsigned fd_count, uint16_t *ret_port,
                    struct kn_err *err)
{
    uint16_t port = 0;
    int probe = kn_http_listen_bind(listener->address, false, &port, err);
    if (probe < 0)
        return probe;
    close(probe);
    for (unsigned i = 0; i < fd_count; i++) {
        listener->fds[i] = kn_http_listen_bind(listener->address, true, &port, err);
        if (listener->fds[i] < 0)
            return listener->fds[i];
    }
    *ret_port = port;
    return 0;
}

int kn_http_listener_new(const struct kn_http_listen *listen, unsigned fd_count,
                         struct kn_http_listener **ret, uint16_t *ret_port, struct kn_err *err)
{
    struct kn_http_listener *listener = calloc(1, sizeof(*listener));
    if (!listener || !(listener->fds = malloc(fd_count * sizeof(int)))) {
        free(listener);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < fd_count; i++)
        listener->fds[i] = -1;
    listener->tls = listen->tls;
    listener->h2 = listen->h2;
    listener->ops = listen->ops;
    listener->ctx = listen->ctx;
    bool local = is_local(listen->address);
    int r = kn_str_copy(listener->name, sizeof(listener->name), kn_str_from(listen->name));
    if (r == 0 && !local)
        r = kn_str_copy(listener->address, sizeof(listener->address), kn_str_from(listen->address));
    if (r < 0)
        r = kn_fail(err, -EINVAL, "%s: name or address too long", listen->address);
    *ret_port = 0;
    if (r == 0)
        r = local ? bind_local_all(listener, listen->address, fd_count, err)
                  : bind_all(listener, fd_count, ret_port, err);
    if (r < 0) {
        kn_http_listener_free(listener, fd_count);
        return r;
    }
    metrics_of(listener);
    *ret = listener;
    return 0;
}

void kn_http_listener_free(struct kn_http_listener *listener, unsigned fd_count)
{
    for (unsigned i = 0; i < fd_count; i++)
        if (listener->fds[i] >= 0)
            close(listener->fds[i]);
    free(listener->fds);
    free(listener);
}

/* --- accepting --------------------------------------------------------------------------- */
static void watch_fd(struct kn_http_acceptor *acceptor, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = &acceptor->watch};
    (void) epoll_ctl(acceptor->loop->epoll_fd, EPOLL_CTL_MOD, acceptor->fd, &event);
}

static void retry_fired(struct kn_http_timer *timer)
{
    watch_fd(KN_CONTAINER_OF(timer, struct kn_http_acceptor, retry), true);
}

/* Out of descriptors or memory: connections wait in the backlog instead of spinning the loop. */
static void pause_accepting(struct kn_http_acceptor *acceptor, int code)
{
    struct kn_http_loop *loop = acceptor->loop;
    kn_log_warn("http_accept_failed", "listener=%s err=%s", acceptor->listener->name,
                kn_errname(code));
    watch_fd(acceptor, false);
    kn_http_timer_set(&loop->timers, &acceptor->retry, loop->now_ns + RETRY_MS * INT64_C(1000000));
}

static void acceptor_event(struct kn_http_watch *watch, uint32_t events)
{
    struct kn_http_acceptor *acceptor = KN_CONTAINER_OF(watch, struct kn_http_acceptor, watch);
    (void) events;
    for (int i = 0; i < ACCEPTS_PER_TURN && acceptor->fd >= 0; i++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        int fd =
            accept4(acceptor->fd, (struct sockaddr *) &address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            bool full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
            if (full && kn_http_guard_make_room(acceptor->loop))
                continue;
            if (full)
                pause_accepting(acceptor, errno);
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            return;
        }
        (void) kn_http_conn_new(acceptor, fd, (struct sockaddr *) &address); /* counted there */
    }
}

void kn_http_acceptor_start(struct kn_http_acceptor *acceptor)
{
    acceptor->watch.event = acceptor_event;
    acceptor->retry.fire = retry_fired;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &acceptor->watch};
    (void) epoll_ctl(acceptor->loop->epoll_fd, EPOLL_CTL_ADD, acceptor->fd, &event);
}

void kn_http_acceptor_stop(struct kn_http_acceptor *acceptor)
{
    kn_http_timer_clear(&acceptor->loop->timers, &acceptor->retry);
    if (acceptor->fd >= 0) {
        (void) epoll_ctl(acceptor->loop->epoll_fd, EPOLL_CTL_DEL, acceptor->fd, NULL);
        close(acceptor->fd);
    }
    acceptor->listener->fds[acceptor->loop->index] = -1;
    acceptor->fd = -1;
}
