/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kn_http_wake and what stands behind it. A reference is mailbox:8 slot:24 generation:32; waking
 * allocates nothing and writes the eventfd only when the loop has not been rung yet, so a burst of
 * wake-ups costs one system call.
 */
#include "http_mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct kn_http_mailbox boxes[KN_HTTP_MAILBOXES_MAX];
static pthread_once_t boxes_once = PTHREAD_ONCE_INIT;

static void boxes_init(void)
{
    for (unsigned i = 0; i < KN_HTTP_MAILBOXES_MAX; i++) {
        kn_lock_init(&boxes[i].lock);
        boxes[i].id = i;
        boxes[i].event_fd = -1;
    }
}

static struct kn_http_ref ref_make(const struct kn_http_mailbox *box,
                                   const struct kn_http_slot *slot)
{
    return (struct kn_http_ref){(uint64_t) box->id << 56 | (uint64_t) slot->index << 32 |
                                slot->generation};
}

int kn_http_mailbox_open(struct kn_http_mailbox **ret)
{
    pthread_once(&boxes_once, boxes_init);
    for (unsigned i = 0; i < KN_HTTP_MAILBOXES_MAX; i++) {
        struct kn_http_mailbox *box = &boxes[i];
        KN_LOCKED(&box->lock);
        if (box->open)
            continue;
        box->chunks = calloc(KN_HTTP_SLOT_CHUNKS_MAX, sizeof(struct kn_http_slot *));
        if (!box->chunks)
            return -ENOMEM;
        box->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (box->event_fd < 0) {
            free(box->chunks);
            box->chunks = NULL;
            return -EIO;
        }
        box->open = true;
        box->rung = box->written = box->ticks = false;
        box->chunk_count = 0;
        box->free = NULL;
        box->queued = NULL;
        box->queued_end = &box->queued;
        box->mail = NULL;
        box->mail_end = &box->mail;
        *ret = box;
        return 0;
    }
    return -EDQUOT;
}

void kn_http_mailbox_close(struct kn_http_mailbox *box)
{
    KN_LOCKED(&box->lock);
    kn_assert(box->open && box->used == 0);
    box->open = false;
    close(box->event_fd);
    box->event_fd = -1;
    for (size_t i = 0; i < box->chunk_count; i++)
        free(box->chunks[i]);
    free(box->chunks);
    box->chunks = NULL;
    box->chunk_count = 0;
}

static int grow_locked(struct kn_http_mailbox *box)
{
    kn_lock_assert_held(&box->lock);
    if (box->chunk_count == KN_HTTP_SLOT_CHUNKS_MAX)
        return -EDQUOT;
    struct kn_http_slot *chunk = calloc(KN_HTTP_SLOTS_PER_CHUNK, sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    for (unsigned i = KN_HTTP_SLOTS_PER_CHUNK; i-- > 0;) {
        chunk[i].index = (uint32_t) (box->chunk_count * KN_HTTP_SLOTS_PER_CHUNK + i);
        chunk[i].next_free = box->free;
        box->free = &chunk[i];
    }
    box->chunks[box->chunk_count++] = chunk;
    return 0;
}

int kn_http_mailbox_add(struct kn_http_mailbox *box, struct kn_http_req *req,
                        void (*told)(struct kn_http_req *req), struct kn_http_ref *ret)
{
    KN_LOCKED(&box->lock);
    if (!box->free) {
        int r = grow_locked(box);
        if (r < 0)
            return r;
    }
    struct kn_http_slot *slot = box->free;
    box->free = slot->next_free;
    box->used++;
    slot->req = req;
    slot->bits = slot->taken_bits = 0;
    slot->told = told;
    if (++box->generation == 0) /* 0 is never a live reference */
        box->generation = 1;
    slot->generation = box->generation;
    *ret = ref_make(box, slot);
    return 0;
}

static struct kn_http_slot *find_locked(struct kn_http_mailbox *box, struct kn_http_ref ref)
{
    kn_lock_assert_held(&box->lock);
    size_t index = (ref.v >> 32) & 0xffffff;
    size_t chunk = index / KN_HTTP_SLOTS_PER_CHUNK;
    if (!box->open || chunk >= box->chunk_count)
        return NULL;
    struct kn_http_slot *slot = &box->chunks[chunk][index % KN_HTTP_SLOTS_PER_CHUNK];
    return slot->req && slot->generation == (uint32_t) ref.v ? slot : NULL;
}

void kn_http_mailbox_remove(struct kn_http_mailbox *box, struct kn_http_ref ref)
{
    KN_LOCKED(&box->lock);
    struct kn_http_slot *slot = find_locked(box, ref);
    kn_assert(slot);
    slot->req = NULL;
    slot->bits = slot->taken_bits = 0; /* it may stay queued: taken with no bits, nobody wakes */
    slot->next_free = box->free;
    box->free = slot;
    box->used--;
}

uint32_t kn_http_mailbox_take_bits(struct kn_http_mailbox *box, struct kn_http_ref ref,
                                   void (*idle)(struct kn_http_req *req))
{
    KN_LOCKED(&box->lock);
    struct kn_http_slot *slot = find_locked(box, ref);
    kn_assert(slot);
    uint32_t bits = slot->bits;
    slot->bits = 0;
    if (!bits && idle)
        idle(slot->req);
    return bits;
}

static void ring_locked(struct kn_http_mailbox *box)
{
    kn_lock_assert_held(&box->lock);
    if (box->rung)
        return;
    box->rung = box->written = true;
    (void) eventfd_write(box->event_fd, 1); /* fails only when it is already readable */
}

static void wake(struct kn_http_ref ref, uint32_t bits, bool soon)
{
    if (!(uint32_t) ref.v)
        return;
    struct kn_http_mailbox *box = &boxes[ref.v >> 56];
    KN_LOCKED(&box->lock);
    struct kn_http_slot *slot = find_locked(box, ref);
    if (!slot)
        return;
    slot->bits |= bits | KN_HTTP_WAKE_ANY;
    if (slot->told) {
        slot->told(slot->req);
        return;
    }
    if (!slot->queued) {
        slot->queued = true;
        slot->next_queued = NULL;
        *box->queued_end = slot;
        box->queued_end = &slot->next_queued;
    }
    if (!soon || !box->ticks)
        ring_locked(box);
}

void kn_http_wake(struct kn_http_ref ref, uint32_t bits)
{
    wake(ref, bits, false);
}

void kn_http_wake_soon(struct kn_http_ref ref, uint32_t bits)
{
    wake(ref, bits, true);
}

void kn_http_mailbox_ticks(struct kn_http_mailbox *box, bool ticks)
{
    KN_LOCKED(&box->lock);
    box->ticks = ticks;
    if (!ticks && box->queued)
        ring_locked(box);
}

void kn_http_mailbox_post(struct kn_http_mailbox *box, struct kn_http_mail *mail)
{
    KN_LOCKED(&box->lock);
    if (mail->queued || !box->open)
        return;
    mail->queued = true;
    mail->next = NULL;
    *box->mail_end = mail;
    box->mail_end = &mail->next;
    ring_locked(box);
}

void kn_http_mailbox_unpost(struct kn_http_mailbox *box, struct kn_http_mail *mail)
{
    KN_LOCKED(&box->lock);
    if (!mail->queued)
        return;
    struct kn_http_mail **at = &box->mail;
    while (*at && *at != mail)
        at = &(*at)->next;
    kn_assert(*at == mail);
    *at = mail->next;
    if (!*at)
        box->mail_end = at;
    mail->queued = false;
}

void kn_http_mailbox_begin(struct kn_http_mailbox *box)
{
    KN_LOCKED(&box->lock);
    eventfd_t count;
    if (box->written)
        (void) eventfd_read(box->event_fd, &count);
    box->written = false;
    box->rung = true;
}

struct kn_http_slot *kn_http_mailbox_take(struct kn_http_mailbox *box)
{
    KN_LOCKED(&box->lock);
    struct kn_http_slot *taken = NULL, **end = &taken;
    for (struct kn_http_slot *slot = box->queued; slot; slot = slot->next_queued) {
        slot->queued = false;
        slot->taken_bits = slot->bits;
        slot->bits = 0;
        slot->next_taken = NULL;
        *end = slot;
        end = &slot->next_taken;
    }
    box->queued = NULL;
    box->queued_end = &box->queued;
    box->rung = false;
    if (box->mail) /* posted since the last was delivered */
        ring_locked(box);
    return taken;
}

struct kn_http_mail *kn_http_mailbox_next_mail(struct kn_http_mailbox *box)
{
    KN_LOCKED(&box->lock);
    struct kn_http_mail *mail = box->mail;
    if (!mail)
        return NULL;
    box->mail = mail->next;
    if (!box->mail)
        box->mail_end = &box->mail;
    mail->queued = false;
    return mail;
}
