/* SPDX-License-Identifier: Apache-2.0 */
/* Seats in a small hash table under one lock: a few operations an upload, none a frame. */
#include "seat.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    BUCKETS = 1024
};

struct seat {
    struct storage_id stream;
    struct ingest_sitter *holder, *waiter;
    struct ingest_seam seam;
    struct seat *next;
};

struct ingest_seats {
    struct kn_lock lock;
    struct kn_cond idle; /* uploads == 0 */
    size_t uploads;
    struct seat *buckets[BUCKETS];
};

int ingest_seats_new(struct ingest_seats **ret)
{
    struct ingest_seats *seats = calloc(1, sizeof *seats);
    if (!seats)
        return -ENOMEM;
    kn_lock_init(&seats->lock);
    kn_cond_init(&seats->idle);
    *ret = seats;
    return 0;
}

void ingest_seats_free(struct ingest_seats *seats)
{
    if (!seats)
        return;
    kn_lock_take(&seats->lock);
    while (seats->uploads)
        kn_cond_wait(&seats->idle, &seats->lock);
    kn_lock_give(&seats->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        while (seats->buckets[i]) {
            struct seat *seat = seats->buckets[i];
            seats->buckets[i] = seat->next;
            free(seat);
        }
    kn_cond_done(&seats->idle);
    kn_lock_done(&seats->lock);
    free(seats);
}

void ingest_seats_ref(struct ingest_seats *seats)
{
    KN_LOCKED(&seats->lock);
    seats->uploads++;
}

void ingest_seats_unref(struct ingest_seats *seats)
{
    KN_LOCKED(&seats->lock);
    if (--seats->uploads == 0)
        kn_cond_broadcast(&seats->idle);
}

static struct seat **bucket_of(struct ingest_seats *seats, const struct storage_id *stream)
{
    size_t hash = 0; /* ids are random */
    memcpy(&hash, stream->bytes, sizeof hash);
    return &seats->buckets[hash % BUCKETS];
}

static struct seat *find_locked(struct ingest_seats *seats, const struct storage_id *stream)
{
    kn_lock_assert_held(&seats->lock);
    for (struct seat *s = *bucket_of(seats, stream); s; s = s->next)
        if (storage_id_cmp(&s->stream, stream) == 0)
            return s;
    return NULL;
}

/* What has come to the holder and is unread is not silence. */
static void ask_holder_locked(struct ingest_seats *seats, struct seat *seat)
{
    kn_lock_assert_held(&seats->lock);
    atomic_store(&seat->holder->asked, true);
    kn_http_wake(seat->holder->ref, INGEST_WAKE_ASKED);
}

int ingest_seat_enter(struct ingest_seats *seats, struct ingest_sitter *sitter, bool *ret_seated,
                      struct ingest_seam *ret_seam)
{
    KN_LOCKED(&seats->lock);
    struct seat *seat = find_locked(seats, &sitter->stream);
    if (!seat) {
        seat = calloc(1, sizeof *seat);
        if (!seat)
            return -ENOMEM;
        struct seat **bucket = bucket_of(seats, &sitter->stream);
        seat->stream = sitter->stream;
        seat->next = *bucket;
        *bucket = seat;
    }
    *ret_seated = !seat->holder;
    if (!seat->holder) {
        seat->holder = sitter;
        *ret_seam = seat->seam;
        return 0;
    }
    if (seat->waiter)
        kn_http_wake(seat->waiter->ref, INGEST_WAKE_REPLACED);
    seat->waiter = sitter;
    return 0;
}

bool ingest_seat_is_mine(struct ingest_seats *seats, const struct ingest_sitter *sitter,
                         struct ingest_seam *ret_seam)
{
    KN_LOCKED(&seats->lock);
    struct seat *seat = find_locked(seats, &sitter->stream);
    if (!seat || seat->holder != sitter)
        return false;
    *ret_seam = seat->seam;
    return true;
}

int ingest_seat_take_over(struct ingest_seats *seats, struct ingest_sitter *sitter, int64_t now_ns,
                          int64_t silence_ns, int64_t *ret_left_ns)
{
    KN_LOCKED(&seats->lock);
    struct seat *seat = find_locked(seats, &sitter->stream);
    if (!seat || seat->waiter != sitter)
        return -ENOENT;
    int64_t silent_ns =
        atomic_load(&seat->holder->stalled) ? 0 : now_ns - atomic_load(&seat->holder->last_byte_ns);
    *ret_left_ns = silence_ns - silent_ns;
    bool suspected = sitter->suspects;
    sitter->suspects = silent_ns >= silence_ns / 2;
    if (sitter->suspects && !suspected)
        ask_holder_locked(seats, seat);
    if (*ret_left_ns > 0 || atomic_load(&seat->holder->asked))
        return 0;
    kn_http_wake(seat->holder->ref, INGEST_WAKE_REPLACED);
    seat->holder = sitter;
    seat->waiter = NULL;
    return 1;
}

void ingest_seat_leave(struct ingest_seats *seats, struct ingest_sitter *sitter,
                       const struct ingest_seam *seam)
{
    KN_LOCKED(&seats->lock);
    struct seat *seat = find_locked(seats, &sitter->stream);
    if (!seat)
        return;
    if (seat->waiter == sitter)
        seat->waiter = NULL;
    if (seat->holder == sitter) {
        if (seam)
            seat->seam = *seam;
        seat->holder = seat->waiter;
        seat->waiter = NULL;
        if (seat->holder)
            kn_http_wake(seat->holder->ref, INGEST_WAKE_SEATED);
    }
    if (seat->holder || seat->seam.known)
        return;
    struct seat **at = bucket_of(seats, &sitter->stream);
    while (*at != seat)
        at = &(*at)->next;
    *at = seat->next;
    free(seat);
}
