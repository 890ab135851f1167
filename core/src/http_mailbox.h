/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where other threads leave word for an event loop: wake-ups of requests by reference, and small
 * intrusive messages. Mailboxes live as long as the process, so a stale reference finds either a
 * closed box or a slot of another generation, never freed memory.
 */
#ifndef CORE_SRC_HTTP_MAILBOX_H
#define CORE_SRC_HTTP_MAILBOX_H

#include "core/http.h"

#define KN_HTTP_WAKE_ANY (1u << 31) /* set at each wake-up, so that bits of 0 wake too */

enum {
    KN_HTTP_MAILBOXES_MAX = 256, /* 8 bits of a kn_http_ref */
    KN_HTTP_SLOTS_PER_CHUNK = 1024,
    KN_HTTP_SLOT_CHUNKS_MAX = 1 << 14, /* with the former: 24 bits of a kn_http_ref */
};

struct kn_http_slot {
    struct kn_http_req *req; /* NULL: free */
    uint32_t index;
    uint32_t generation;
    uint32_t bits; /* of wake(), not yet taken */
    bool queued;
    void (*told)(struct kn_http_req *req); /* called instead of queueing, under the lock */
    struct kn_http_slot *next_queued, *next_free;
    uint32_t taken_bits; /* owner's thread only */
    struct kn_http_slot *next_taken;
};

/* A message to the loop itself. Embedded in what it is about. */
struct kn_http_mail {
    void (*deliver)(struct kn_http_mail *mail); /* on the loop's thread */
    struct kn_http_mail *next;
    bool queued;
};

struct kn_http_mailbox {
    struct kn_lock lock; /* guards all below; level: below every gate's lock */
    unsigned id;
    bool open;
    bool rung;    /* nobody needs to ring: the loop will look, or is at it */
    bool written; /* the eventfd holds a count */
    bool ticks;   /* the loop looks every so often by itself */
    int event_fd;
    uint32_t generation; /* of the newest slot use; never starts again */
    struct kn_http_slot **chunks;
    size_t chunk_count;
    struct kn_http_slot *free;
    struct kn_http_slot *queued, **queued_end;
    struct kn_http_mail *mail, **mail_end;
    size_t used;
};

int kn_http_mailbox_open(struct kn_http_mailbox **ret) KN_MUSTUSE;
void kn_http_mailbox_close(struct kn_http_mailbox *box); /* no request may be left in it */

/* Gives req a reference. told: NULL, or what to call at a wake-up instead of queueing it, on the
 * waking thread and under the mailbox's lock. -ENOMEM. */
int kn_http_mailbox_add(struct kn_http_mailbox *box, struct kn_http_req *req,
                        void (*told)(struct kn_http_req *req), struct kn_http_ref *ret) KN_MUSTUSE;
void kn_http_mailbox_remove(struct kn_http_mailbox *box, struct kn_http_ref ref);
/* Takes the bits; when there are none, calls idle(req) under the lock, so that no wake-up falls
 * between looking and going to sleep. */
uint32_t kn_http_mailbox_take_bits(struct kn_http_mailbox *box, struct kn_http_ref ref,
                                   void (*idle)(struct kn_http_req *req));

void kn_http_mailbox_post(struct kn_http_mailbox *box, struct kn_http_mail *mail); /* ANY */
void kn_http_mailbox_unpost(struct kn_http_mailbox *box, struct kn_http_mail *mail);

/* Whether the loop looks every http_pace_ms by itself, which is soon enough for some. */
void kn_http_mailbox_ticks(struct kn_http_mailbox *box, bool ticks);
/* The loop's round: begin, every message, then the wake-ups. What comes after rings again. */
void kn_http_mailbox_begin(struct kn_http_mailbox *box);
/* Takes all wake-ups that have come: slots by next_taken, with taken_bits (0: skip it). */
struct kn_http_slot *kn_http_mailbox_take(struct kn_http_mailbox *box);
/* The oldest message, one at a time, since delivering one may unpost the next. NULL: none. */
struct kn_http_mail *kn_http_mailbox_next_mail(struct kn_http_mailbox *box);

#endif
