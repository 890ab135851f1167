/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines and gates of requests on an event loop. For gates: all requests of a loop that wait for
 * one gate share one waiter, so a bump leaves one message a loop, however many requests wait.
 */
#include "http_loop.h"
#include "http_req.h"

static struct kn_http_loop_gate **bucket_of(struct kn_http_loop *loop, const struct kn_gate *gate)
{
    return &loop->gates[((uintptr_t) gate / 64) % KN_HTTP_GATE_BUCKETS];
}

static void gate_bumped(struct kn_gate_waiter *waiter) /* any thread, under the gate's lock */
{
    struct kn_http_loop_gate *lg = KN_CONTAINER_OF(waiter, struct kn_http_loop_gate, waiter);
    kn_http_mailbox_post(lg->loop->box, &lg->mail);
}

static void unlink_req(struct kn_http_req *req)
{
    *req->gate_at = req->gate_next;
    if (req->gate_next)
        req->gate_next->gate_at = req->gate_at;
    req->gate = NULL;
    req->loop_gate = NULL;
}

static void loop_gate_leave(struct kn_http_loop_gate *lg)
{
    struct kn_http_loop *loop = lg->loop;
    kn_gate_leave(lg->gate, &lg->waiter);
    kn_http_mailbox_unpost(loop->box, &lg->mail);
    struct kn_http_loop_gate **at = bucket_of(loop, lg->gate);
    while (*at != lg)
        at = &(*at)->next;
    *at = lg->next;
    lg->next = loop->gate_spares;
    loop->gate_spares = lg;
}

static void gate_deliver(struct kn_http_mail *mail)
{
    struct kn_http_loop_gate *lg = KN_CONTAINER_OF(mail, struct kn_http_loop_gate, mail);
    uint64_t value = kn_gate_value(lg->gate);
    for (struct kn_http_req *req = lg->waiting, *next; req; req = next) {
        next = req->gate_next;
        if (req->gate_seen == value)
            continue;
        unlink_req(req);
        kn_http_wake(req->ref, KN_HTTP_WAKE_GATE); /* wake() comes in the loop's own order */
    }
    if (!lg->waiting)
        loop_gate_leave(lg);
}

static struct kn_http_loop_gate *find_or_join(struct kn_http_loop *loop, struct kn_gate *gate,
                                              uint64_t seen)
{
    struct kn_http_loop_gate **bucket = bucket_of(loop, gate);
    for (struct kn_http_loop_gate *lg = *bucket; lg; lg = lg->next)
        if (lg->gate == gate)
            return kn_gate_value(gate) == seen ? lg : NULL;
    struct kn_http_loop_gate *lg = loop->gate_spares;
    if (lg)
        loop->gate_spares = lg->next;
    else if (!(lg = malloc(sizeof(*lg))))
        return NULL; /* woken at once: the handler looks, and waits again */
    *lg = (struct kn_http_loop_gate){
        .waiter.wake = gate_bumped, .mail.deliver = gate_deliver, .gate = gate, .loop = loop};
    if (!kn_gate_join(gate, &lg->waiter, seen)) {
        lg->next = loop->gate_spares;
        loop->gate_spares = lg;
        return NULL;
    }
    lg->next = *bucket;
    *bucket = lg;
    return lg;
}

void kn_http_loop_gate_wait(struct kn_http_loop *loop, struct kn_http_req *req,
                            struct kn_gate *gate, uint64_t seen)
{
    if (req->loop_gate) {
        struct kn_http_loop_gate *old = req->loop_gate;
        unlink_req(req);
        if (!old->waiting)
            loop_gate_leave(old);
    }
    if (!gate || req->gone)
        return;
    struct kn_http_loop_gate *lg = find_or_join(loop, gate, seen);
    if (!lg) {
        kn_http_wake(req->ref, KN_HTTP_WAKE_GATE);
        return;
    }
    req->gate = gate;
    req->gate_seen = seen;
    req->loop_gate = lg;
    req->gate_next = lg->waiting;
    req->gate_at = &lg->waiting;
    if (lg->waiting)
        lg->waiting->gate_at = &req->gate_next;
    lg->waiting = req;
}

void kn_http_loop_gates_done(struct kn_http_loop *loop)
{
    while (loop->gate_spares) {
        struct kn_http_loop_gate *lg = loop->gate_spares;
        loop->gate_spares = lg->next;
        free(lg);
    }
}

/* --- deadlines --------------------------------------------------------------------------- */
void kn_http_loop_deadline_fired(struct kn_http_timer *timer)
{
    struct kn_http_req *req = KN_CONTAINER_OF(timer, struct kn_http_req, timer);
    kn_http_wake(req->ref, KN_HTTP_WAKE_DEADLINE);
}

void kn_http_loop_deadline(struct kn_http_loop *loop, struct kn_http_req *req, int64_t in_ms)
{
    if (in_ms < 0 || req->gone)
        kn_http_timer_clear(&loop->timers, &req->timer);
    else
        kn_http_timer_set(&loop->timers, &req->timer,
                          kn_mono_ns(loop->clock) + kn_min_i64(in_ms, INT64_C(1) << 40) * 1000000);
}
