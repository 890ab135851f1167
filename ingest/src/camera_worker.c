/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    SOON_NS_FACTOR = 30, /* seconds: an end within them is one that came soon */
    RESTART_MS_FIRST = 250,
    RESTART_DOUBLINGS_MAX = 6, /* 16 s */
    STOP_MS = 2000,
    SILENT_S = 20,        /* It speaks each second: what is not heard by then is not late. */
    FIRST_SILENT_S = 120, /* GStreamer may have to look at all its plugins before. */
    JUDGED_S = 2,         /* from one judgement to the next; what is more was slept */
    LISTEN_FD = 3,
    LISTEN_TLS_FD = 4,
};

/* The server blocks signals in every thread, and ignores SIGPIPE: the child gets the usual. */
static int attributes(posix_spawnattr_t *attr)
{
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGTERM);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGHUP);
    int r = posix_spawnattr_setsigmask(attr, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attr, &usual);
    if (r == 0) /* of a group of its own: Ctrl-C is for the server, which ends it in order */
        r = posix_spawnattr_setpgroup(attr, 0);
    if (r == 0)
        r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETPGROUP);
    return r;
}

static int files_of(posix_spawn_file_actions_t *actions, const char *dir, int in_fd, int out_fd)
{
    int r = in_fd < 0
                ? posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
                : posix_spawn_file_actions_adddup2(actions, in_fd, STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, out_fd, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addchdir_np(actions, dir);
    return r;
}

int ingest_camera_spawn(const struct ingest_camera_program *program, char *const argv[],
                        char *const envp[], int in_fd, int out_fd, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int r = posix_spawn_file_actions_init(&actions);
    if (r)
        return -r;
    if ((r = posix_spawnattr_init(&attr)) == 0) {
        r = files_of(&actions, program->dir, in_fd, out_fd);
        if (r == 0 && program->mode && program->listen_fd >= 0)
            r = posix_spawn_file_actions_adddup2(&actions, program->listen_fd, LISTEN_FD);
        if (r == 0 && program->mode && program->listen_tls_fd >= 0)
            r = posix_spawn_file_actions_adddup2(&actions, program->listen_tls_fd, LISTEN_TLS_FD);
        if (r == 0)
            r = attributes(&attr);
        if (r == 0)
            r = posix_spawn(ret, program->path, &actions, &attr, argv, envp);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int spawn(const struct ingest_camera_program *program, int fd, pid_t *ret)
{
    char mode[16];
    char *const argv[] = {(char[]){"kinema-camera"}, mode, (char[]){"--socket"},
                          (char[]){"kinema.sock"}, NULL};
    snprintf(mode, sizeof mode, "%s", program->mode ? program->mode : "work");
    return ingest_camera_spawn(program, argv, environ, fd, STDERR_FILENO, ret);
}

static void postpone(struct ingest_camera_worker *worker, int64_t now_ns)
{
    bool soon = now_ns - worker->started_ns < (int64_t) SOON_NS_FACTOR * 1000000000;
    worker->failures = soon ? worker->failures + 1 : 1;
    unsigned doublings = (unsigned) kn_min_u64(worker->failures - 1, RESTART_DOUBLINGS_MAX);
    worker->restart_ns = now_ns + ((int64_t) RESTART_MS_FIRST << doublings) * 1000000;
}

int ingest_camera_worker_start(struct ingest_camera_worker *worker,
                               const struct ingest_camera_program *program, int64_t now_ns)
{
    int pair[2];
    worker->started_ns = now_ns;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        postpone(worker, now_ns);
        return -errno;
    }
    int r = spawn(program, pair[1], &worker->pid);
    close(pair[1]);
    if (r < 0) {
        close(pair[0]);
        worker->pid = 0;
        worker->error = r;
        postpone(worker, now_ns);
        return r;
    }
    worker->fd = pair[0];
    worker->error = 0;
    worker->spoke = worker->hung = false;
    worker->silent_ns = 0;
    return 0;
}

int ingest_camera_worker_say(struct ingest_camera_worker *worker, struct kn_bytes packet)
{
    if (send(worker->fd, packet.ptr, packet.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? -EAGAIN : -errno;
}

static void describe_end(int status, char *said, size_t cap)
{
    if (WIFSIGNALED(status))
        snprintf(said, cap, "its process was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(said, cap, "its process has ended with %d", WEXITSTATUS(status));
}

static int reap(struct ingest_camera_worker *worker)
{
    int status = 0;
    (void) kill(worker->pid, SIGKILL); /* whoever has closed the socket is of no use any more */
    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(worker->fd);
    worker->pid = 0;
    return status;
}

int ingest_camera_worker_hear(struct ingest_camera_worker *worker, int64_t now_ns, uint8_t *dst,
                              size_t cap, size_t *ret_len, char *said, size_t said_cap)
{
    *ret_len = 0;
    ssize_t n = recv(worker->fd, dst, cap, MSG_DONTWAIT);
    if (n > 0) {
        *ret_len = (size_t) n;
        worker->spoke = true;
        worker->silent_ns = 0;
    }
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return 0;
    int status = reap(worker);
    if (worker->hung)
        snprintf(said, said_cap, "its process did not answer any more");
    else
        describe_end(status, said, said_cap);
    postpone(worker, now_ns);
    return -EPIPE;
}

void ingest_camera_worker_judge(struct ingest_camera_worker *worker, int64_t now_ns)
{
    static const int64_t second_ns = 1000000000;
    int64_t passed_ns = kn_min_i64(now_ns - worker->judged_ns, JUDGED_S * second_ns);
    worker->judged_ns = now_ns;
    worker->silent_ns = worker->owes ? worker->silent_ns + passed_ns : 0;
    if (!worker->pid ||
        worker->silent_ns <= (worker->spoke ? SILENT_S : FIRST_SILENT_S) * second_ns)
        return;
    worker->hung = true;
    (void) kill(worker->pid, SIGKILL);
}

void ingest_camera_worker_stop(struct ingest_camera_worker *worker)
{
    if (!worker->pid)
        return;
    (void) shutdown(worker->fd, SHUT_WR); /* it ends by itself */
    struct pollfd end = {.fd = worker->fd, .events = POLLIN};
    uint8_t rest[256];
    while (poll(&end, 1, STOP_MS) > 0 && recv(worker->fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
    (void) reap(worker);
}
