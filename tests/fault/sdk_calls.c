/* SPDX-License-Identifier: Apache-2.0 */
/* See sdk_calls.h. */
#include "sdk_calls.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base.h"

/* Of the thread that runs the SDK; the stand-in's own calls are never touched. */
static _Thread_local struct {
    bool armed, for_good;
    enum sdk_kind kind;
    int64_t at, counted[SDK_KINDS];
    const char *struck;
} plan;
static atomic_int_fast64_t blocks;

void sdk_calls_arm(enum sdk_kind kind, int64_t at, bool for_good)
{
    memset(&plan, 0, sizeof plan);
    plan.armed = true;
    plan.kind = kind;
    plan.at = at;
    plan.for_good = for_good;
}

void sdk_calls_disarm(void)
{
    plan.armed = false;
}

int64_t sdk_calls_counted(enum sdk_kind kind)
{
    return plan.counted[kind];
}

const char *sdk_calls_struck(void)
{
    return plan.struck;
}

int64_t sdk_calls_blocks(void)
{
    return atomic_load(&blocks);
}

static bool strikes(enum sdk_kind kind, const char *name)
{
    if (!plan.armed)
        return false;
    int64_t n = plan.counted[kind]++;
    bool fails = kind == plan.kind && plan.at >= 0 && (plan.for_good ? n >= plan.at : n == plan.at);
    if (fails && !plan.struck)
        plan.struck = name;
    return fails;
}

/* --- memory ----------------------------------------------------------------------------------- */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __wrap_free(void *ptr);

static void *counted(void *ptr)
{
    if (ptr)
        atomic_fetch_add(&blocks, 1);
    return ptr;
}

void *__wrap_malloc(size_t size)
{
    return strikes(SDK_MEMORY, "malloc") ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return strikes(SDK_MEMORY, "calloc") ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
    if (strikes(SDK_MEMORY, "realloc"))
        return NULL;
    void *got = __real_realloc(ptr, size);
    return ptr ? got : counted(got);
}

void __wrap_free(void *ptr)
{
    if (ptr)
        atomic_fetch_sub(&blocks, 1);
    __real_free(ptr);
}

static char *copy_text(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = __wrap_malloc(len);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

/* OpenSSL keeps tables of its own for good: they fail, but are not counted. */
static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void) file;
    (void) line;
    return size == 0 || strikes(SDK_MEMORY, "CRYPTO_malloc") ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void) file;
    (void) line;
    if (size == 0) {
        __real_free(ptr);
        return NULL;
    }
    return strikes(SDK_MEMORY, "CRYPTO_realloc") ? NULL : __real_realloc(ptr, size);
}

static void crypto_free(void *ptr, const char *file, int line)
{
    (void) file;
    (void) line;
    __real_free(ptr);
}

/* Before anything else of OpenSSL, core's own constructor with it. */
__attribute__((constructor(101))) static void init(void)
{
    kn_assert(CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) == 1);
    kn_assert(curl_global_init_mem(CURL_GLOBAL_DEFAULT, __wrap_malloc, __wrap_free, __wrap_realloc,
                                   copy_text, __wrap_calloc) == CURLE_OK);
}

/* --- what the SDK itself calls ---------------------------------------------------------------- */
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
CURLMcode __real_curl_multi_poll(CURLM *multi, struct curl_waitfd *more, unsigned count,
                                 int timeout_ms, int *ret);
CURLMcode __wrap_curl_multi_poll(CURLM *multi, struct curl_waitfd *more, unsigned count,
                                 int timeout_ms, int *ret);
CURLcode __real_curl_easy_pause(CURL *easy, int bits);
CURLcode __wrap_curl_easy_pause(CURL *easy, int bits);
/* libcurl 7.88 forgets a table of its own when an allocation fails here, and divides by its size of
 * zero at the next pause: nothing that its caller could see. So here none fails. */
CURLcode __wrap_curl_easy_pause(CURL *easy, int bits)
{
    bool armed = plan.armed;
    plan.armed = false;
    CURLcode code = __real_curl_easy_pause(easy, bits);
    plan.armed = armed;
    return code;
}

/* libcurl's time-outs are by the world's clock. It tries on until then where OpenSSL has no memory
 * in a handshake, so while something is to fail they are shorter; not by the whole factor, since a
 * real handshake has to be done within. */
CURLcode __real_curl_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    va_list args;
    va_start(args, option);
    void *value = va_arg(args, void *); /* every option's fits */
    va_end(args);
    bool limits = option == CURLOPT_CONNECTTIMEOUT_MS || option == CURLOPT_TIMEOUT_MS;
    if (limits && plan.armed && plan.at >= 0)
        value = (void *) ((intptr_t) value / SDK_TIMEOUT_FACTOR);
    return __real_curl_easy_setopt(easy, option, value);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __real_timerfd_create(clockid_t clock, int flags);
int __wrap_timerfd_create(clockid_t clock, int flags);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *time,
                           struct itimerspec *before);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time,
                           struct itimerspec *before);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *dst, size_t len);
ssize_t __wrap_read(int fd, void *dst, size_t len);
ssize_t __real_pread(int fd, void *dst, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *dst, size_t len, off_t at);
ssize_t __real_pwrite(int fd, const void *ptr, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *ptr, size_t len, off_t at);
int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = __real_clock_gettime(clock, ret);
    if (clock == CLOCK_MONOTONIC) {
        long long ns = (ret->tv_sec * 1000000000ll + ret->tv_nsec) * SDK_CLOCK_FACTOR;
        ret->tv_sec = (time_t) (ns / 1000000000);
        ret->tv_nsec = (long) (ns % 1000000000);
    }
    return r;
}

CURLMcode __wrap_curl_multi_poll(CURLM *multi, struct curl_waitfd *more, unsigned count,
                                 int timeout_ms, int *ret)
{
    return __real_curl_multi_poll(multi, more, count, timeout_ms / SDK_CLOCK_FACTOR + 1, ret);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return poll(fds, count, timeout_ms / SDK_CLOCK_FACTOR + 1);
}

int __wrap_timerfd_create(clockid_t clock, int flags)
{
    errno = EMFILE;
    return strikes(SDK_CALLS, "timerfd_create") ? -1 : __real_timerfd_create(clock, flags);
}

static struct timespec slowed(const struct timespec *time)
{
    long long ns = (time->tv_sec * 1000000000ll + time->tv_nsec) / SDK_CLOCK_FACTOR;
    return (struct timespec){.tv_sec = (time_t) (ns / 1000000000),
                             .tv_nsec = (long) (ns % 1000000000)};
}

/* It cannot fail, as it is called. */
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time,
                           struct itimerspec *before)
{
    struct itimerspec slower = {.it_value = slowed(&time->it_value)};
    if (slower.it_value.tv_sec == 0 && slower.it_value.tv_nsec == 0)
        slower.it_value.tv_nsec = 1;
    return __real_timerfd_settime(fd, flags, &slower, before);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    struct timespec less = slowed(time);
    return __real_nanosleep(&less, left);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = (flags & O_CREAT) ? va_arg(args, int) : 0;
    va_end(args);
    errno = EMFILE;
    return strikes(SDK_CALLS, "open") ? -1 : __real_open(path, flags, mode);
}

ssize_t __wrap_read(int fd, void *dst, size_t len)
{
    errno = EIO;
    return strikes(SDK_CALLS, "read") ? -1 : __real_read(fd, dst, len);
}

ssize_t __wrap_pread(int fd, void *dst, size_t len, off_t at)
{
    errno = EIO;
    return strikes(SDK_CALLS, "pread") ? -1 : __real_pread(fd, dst, len, at);
}

ssize_t __wrap_pwrite(int fd, const void *ptr, size_t len, off_t at)
{
    errno = ENOSPC;
    return strikes(SDK_CALLS, "pwrite") ? -1 : __real_pwrite(fd, ptr, len, at);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    return strikes(SDK_CALLS, "pthread_mutex_init") ? ENOMEM
                                                    : __real_pthread_mutex_init(mutex, attr);
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return strikes(SDK_CALLS, "pthread_create") ? EAGAIN
                                                : __real_pthread_create(ret, attr, run, arg);
}

/* --- what libcurl calls: the program's own functions come before libc's ----------------------- */
#define REAL(name, ...) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))(__VA_ARGS__)
#define FAIL_OR(name, error, ...)                                                                  \
    do {                                                                                           \
        if (strikes(SDK_CALLS, #name)) {                                                           \
            errno = (error);                                                                       \
            return -1;                                                                             \
        }                                                                                          \
        return REAL(name, __VA_ARGS__);                                                            \
    } while (0)

int socket(int domain, int type, int protocol)
{
    FAIL_OR(socket, EMFILE, domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    FAIL_OR(socketpair, EMFILE, domain, type, protocol, fds);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    FAIL_OR(connect, ECONNREFUSED, fd, address, len);
}

ssize_t send(int fd, const void *ptr, size_t len, int flags)
{
    FAIL_OR(send, ECONNRESET, fd, ptr, len, flags);
}

ssize_t recv(int fd, void *dst, size_t len, int flags)
{
    FAIL_OR(recv, ECONNRESET, fd, dst, len, flags);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    FAIL_OR(poll, ENOMEM, fds, count, timeout_ms);
}

int getsockopt(int fd, int level, int name, void *dst, socklen_t *len)
{
    FAIL_OR(getsockopt, ENOBUFS, fd, level, name, dst, len);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    FAIL_OR(setsockopt, ENOBUFS, fd, level, name, value, len);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    FAIL_OR(getsockname, ENOBUFS, fd, address, len);
}

int getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    FAIL_OR(getpeername, ENOTCONN, fd, address, len);
}

/* OpenSSL's, of certificates and keys. */
FILE *fopen(const char *path, const char *mode)
{
    errno = EMFILE;
    return strikes(SDK_CALLS, "fopen") ? NULL : REAL(fopen, path, mode);
}

int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *arg = va_arg(args, void *); /* every command's argument fits */
    va_end(args);
    FAIL_OR(fcntl, EBADF, fd, command, arg);
}
