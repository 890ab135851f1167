/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for what comes and for what is due. Frames move what is due all the time, so that is no
 * time-out of the wait but a timer of the system's, the alarm: to set it to a later time wakes
 * nobody.
 *
 * While an upload stands its socket is looked at without libcurl, so that others may send over it
 * meanwhile: libcurl suffers no second thread in its own wait.
 */
#include "producer_private.h"

#include <errno.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int alarm_init(struct kinema_producer *p)
{
    p->alarm = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    p->alarm_at = INT64_MAX; /* not set */
    return p->alarm < 0 ? -errno : 0;
}

void alarm_done(struct kinema_producer *p)
{
    if (p->alarm >= 0)
        (void) close(p->alarm);
}

/* To set it also forgets that it went off. */
void alarm_set(struct kinema_producer *p, int64_t at)
{
    struct itimerspec time = {
        .it_value = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000}
    };
    if (at == p->alarm_at)
        return;
    if (at <= 0)
        time.it_value.tv_nsec = 1; /* 0 would be never */
    p->alarm_at = at;
    (void) timerfd_settime(p->alarm, TFD_TIMER_ABSTIME, &time, NULL);
}

int wait_for(struct kinema_producer *p, int socket, int timeout_ms)
{
    static const struct timespec short_wait = {.tv_nsec = 1000000}; /* rather than to spin */
    struct curl_waitfd alarm = {.fd = p->alarm, .events = CURL_WAIT_POLLIN};
    struct pollfd fds[] = {
        {.fd = p->alarm, .events = POLLIN},
        {.fd = socket,   .events = POLLIN}
    };
    int ready = 0;
    if (socket >= 0 && poll(fds, 2, timeout_ms) >= 0)
        return fds[1].revents != 0;
    if (socket < 0 && curl_multi_poll(p->multi, &alarm, 1, timeout_ms, &ready) == CURLM_OK)
        return ready > (alarm.revents != 0);
    (void) nanosleep(&short_wait, NULL);
    return 1;
}
