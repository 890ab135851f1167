/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O threads; see io.h. What a log does when its turn comes is log.c. */
#include "io.h"

#include "log.h"

#define NAP_NS        INT64_C(2000000)
#define WAITED_NS_MAX INT64_C(4000000) /* what is queued for longer gets another thread */

/* Real time also in tests that own the clock: it decides who runs, not what. */
static int64_t now_ns(void)
{
    return kn_mono_ns(kn_clock_system());
}

/* Wakes a thread unless one that is awake will soon take what is queued. */
static void call_locked(struct storage_io *io)
{
    kn_lock_assert_held(&io->lock);
    if (!io->first || io->idle == 0)
        return;
    if (io->quick > 0 && now_ns() - io->first->io_since_ns < WAITED_NS_MAX)
        return;
    io->idle--;
    io->called++;
    io->quick++;
    kn_cond_signal(&io->wake);
}

static void sleep_locked(struct storage_io *io)
{
    io->quick--;
    io->idle++;
    while (io->called == 0 && !io->stopping)
        kn_cond_wait(&io->wake, &io->lock);
    if (io->called > 0) {
        io->called--;
        return;
    }
    io->idle--;
    io->quick++;
}

static void nap_locked(struct storage_io *io)
{
    int64_t until_ns = now_ns() + NAP_NS, left_ns = NAP_NS;
    io->napping = true;
    while (left_ns > 0 && !io->hurried && !io->stopping) {
        (void) kn_cond_wait_for(&io->nap, &io->lock, left_ns);
        left_ns = until_ns - now_ns();
    }
    io->napping = false;
}

static void *io_main(void *arg)
{
    struct storage_io *io = arg;
    kn_lock_take(&io->lock);
    io->quick++;
    for (;;) {
        struct storage_log *log = io->first;
        if (log) {
            io->first = log->io_next;
            if (!io->first) {
                io->last = NULL;
                io->hurried = false;
            }
            call_locked(io);
            kn_lock_give(&io->lock);
            storage_log_run(log);
            kn_lock_take(&io->lock);
        } else if (io->stopping) {
            break;
        } else {
            sleep_locked(io);
            if (!io->hurried && !io->napping)
                nap_locked(io);
        }
    }
    kn_lock_give(&io->lock);
    return NULL;
}

void storage_io_slow_begin(struct storage_io *io)
{
    KN_LOCKED(&io->lock);
    io->quick--;
    call_locked(io);
}

void storage_io_slow_end(struct storage_io *io)
{
    KN_LOCKED(&io->lock);
    io->quick++;
}

int storage_io_start(struct storage_io *io, unsigned threads)
{
    kn_assert(threads > 0 && threads <= STORAGE_IO_THREADS_MAX);
    *io = (struct storage_io){0};
    kn_lock_init(&io->lock);
    kn_cond_init(&io->wake);
    kn_cond_init(&io->nap);
    while (io->count < threads) {
        int r = kn_thread_start(&io->threads[io->count], "storage-io", io_main, io);
        if (r < 0) {
            storage_io_stop(io);
            return r;
        }
        io->count++;
    }
    return 0;
}

void storage_io_stop(struct storage_io *io)
{
    kn_lock_take(&io->lock);
    io->stopping = true;
    kn_cond_broadcast(&io->wake);
    kn_lock_give(&io->lock);
    for (unsigned i = 0; i < io->count; i++)
        pthread_join(io->threads[i], NULL);
    io->count = 0;
    kn_cond_done(&io->nap);
    kn_cond_done(&io->wake);
    kn_lock_done(&io->lock);
}

void storage_io_add(struct storage_io *io, struct storage_log *log, bool hurry)
{
    KN_LOCKED(&io->lock);
    if (hurry && !io->hurried) {
        io->hurried = true;
        kn_cond_signal(&io->nap);
    }
    log->io_next = NULL;
    log->io_since_ns = now_ns();
    if (io->last)
        io->last->io_next = log;
    else
        io->first = log;
    io->last = log;
    call_locked(io);
}
