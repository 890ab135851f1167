/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose shard is whose. A worker renews its leases every third of the lease time; one that was not
 * renewed for all of it, on the clock of whoever looks, is free. Free ones are taken up to one's
 * share; then one a round from whoever has at least two more. Every step is a compare-and-set, so
 * two workers that want the same do no harm.
 */
#include "consumer_private.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_MS = 30000, /* shards are listed anew; and whenever one ends */
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MAX_MS = 5000,
    ABANDONED_LEASES = 3 /* what is free for so many lease times is taken beyond one's share */
};

/* --- places ----------------------------------------------------------------------------------- */
int place_parse(const char *text, struct place *ret)
{
    size_t digits = strspn(text, "0123456789");
    char *end;
    *ret = (struct place){.sub = -1};
    if (digits == 0 || digits > KINEMA_SEQUENCE_BYTES_MAX)
        return *text ? -EINVAL : 0;
    memcpy(ret->sequence, text, digits);
    if (text[digits] == '\0')
        return 0;
    if (text[digits] != '/' || text[digits + 1] < '0' || text[digits + 1] > '9')
        return -EINVAL;
    errno = 0;
    ret->sub = strtoll(text + digits + 1, &end, 10);
    return errno || *end ? -EINVAL : 0;
}

void place_text(const struct place *place, char dst[CHECKPOINT_BYTES_MAX + 1])
{
    if (place->sub < 0)
        (void) snprintf(dst, CHECKPOINT_BYTES_MAX + 1, "%s", place->sequence);
    else
        (void) snprintf(dst, CHECKPOINT_BYTES_MAX + 1, "%s/%" PRId64, place->sequence, place->sub);
}

/* All of a record is behind each part of it; numbers have no leading zeros. */
int place_compare(const struct place *a, const struct place *b)
{
    size_t a_len = strlen(a->sequence), b_len = strlen(b->sequence);
    uint64_t a_sub = (uint64_t) a->sub, b_sub = (uint64_t) b->sub; /* -1 is the largest */
    int order = a_len != b_len ? (a_len < b_len ? -1 : 1) : strcmp(a->sequence, b->sequence);
    if (order != 0)
        return order;
    return a_sub < b_sub ? -1 : a_sub > b_sub;
}

/* --- one shard -------------------------------------------------------------------------------- */
static void let_go(struct shard *shard)
{
    shard->mine = shard->finished = 0;
    shard->iterator[0] = '\0';
    shard->behind_ms = -1;
}

void shard_lose(struct kinema_consumer *c, struct shard *shard)
{
    let_go(shard);
    c->stats.lost++;
    consumer_tell(c, KINEMA_SHARD_LOST, shard->key, "", 0);
}

/* A parent that is listed no more is gone with all it had. */
static int is_over(const struct kinema_consumer *c, const char *parent)
{
    const struct shard *shard = *parent ? shard_find(c, parent) : NULL;
    return !shard || !shard->listed || (shard->version && shard->ended);
}

int shard_is_readable(const struct kinema_consumer *c, const struct shard *shard)
{
    return shard->version && shard->known && !shard->ended && is_over(c, shard->parents[0]) &&
           is_over(c, shard->parents[1]);
}

/* --- storing ---------------------------------------------------------------------------------- */
static int is_done(const struct shard *shard)
{
    return shard->finished && place_compare(&shard->taken, &shard->done) == 0;
}

static void stored(struct kinema_consumer *c, struct shard *shard, int64_t at, int release)
{
    shard->renewed_at = at;
    if (shard->ended) {
        let_go(shard);
        c->stats.ended++;
        c->list_at = c->tend_at = at; /* for its children */
        consumer_tell(c, KINEMA_SHARD_ENDED, shard->key, "", 0);
    } else if (release) {
        let_go(shard);
    }
}

int balance_store(struct kinema_consumer *c, int release)
{
    struct lease_change *changes = calloc(c->shard_count + 1, sizeof(*changes));
    char(*texts)[CHECKPOINT_BYTES_MAX + 1] = calloc(c->shard_count + 1, sizeof(*texts));
    int64_t now = post_clock_ms();
    size_t count = 0;
    int code = changes && texts ? 0 : -ENOMEM;
    for (size_t i = 0; code == 0 && i < c->shard_count; i++) {
        struct shard *shard = c->shards[i];
        int over = is_done(shard);
        if (!shard->mine)
            continue;
        place_text(&shard->done, texts[count]);
        changes[count] = (struct lease_change){.shard = shard,
                                               .owner = release || over ? "" : c->worker,
                                               .checkpoint = over ? "SHARD_END" : texts[count]};
        count++;
    }
    if (code == 0 && count > 0)
        code = leases_change(c, changes, count);
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (changes[i].changed)
            stored(c, changes[i].shard, now, release);
        else
            shard_lose(c, changes[i].shard);
    }
    free(changes);
    free(texts);
    return code;
}

/* --- leases of shards that come and go -------------------------------------------------------- */
static int follow_shards(struct kinema_consumer *c)
{
    struct lease_change *changes = calloc(c->shard_count + 1, sizeof(*changes));
    size_t count = 0;
    int code = changes ? 0 : -ENOMEM;
    for (size_t i = 0; code == 0 && i < c->shard_count; i++) {
        struct shard *shard = c->shards[i];
        if (shard->listed && !shard->version)
            changes[count++] = (struct lease_change){.shard = shard};
        else if (!shard->listed && shard->version && !shard->mine)
            changes[count++] = (struct lease_change){.shard = shard, .remove = 1};
    }
    if (code == 0 && count > 0)
        code = leases_change(c, changes, count);
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (changes[i].remove && changes[i].changed)
            changes[i].shard->version = 0;
        else if (!changes[i].remove && !changes[i].changed)
            c->tend_at = post_clock_ms(); /* another worker made it: its version is to be seen */
    }
    free(changes);
    for (size_t i = c->shard_count; i-- > 0;)
        if (!c->shards[i]->listed && !c->shards[i]->version && !c->shards[i]->mine &&
            c->shards[i] != c->reading)
            shard_forget(c, i);
    return code;
}

static int must_list(const struct kinema_consumer *c, int64_t now)
{
    for (size_t i = 0; i < c->shard_count; i++)
        if (c->shards[i]->seen && !c->shards[i]->known)
            return 1;
    return now >= c->list_at;
}

/* --- taking ----------------------------------------------------------------------------------- */
static int is_free(const struct kinema_consumer *c, const struct shard *shard, int64_t now,
                   unsigned times)
{
    if (shard->mine)
        return 0;
    if (times == 1 && (!shard->owner[0] || strcmp(shard->owner, c->worker) == 0))
        return 1;
    return now - shard->changed_at > (int64_t) times * c->config.lease_ms;
}

/* Shards that can be read, by who has them. */
struct share {
    size_t readable, mine, free, workers; /* workers: this one among them */
    const char *richest;                  /* of the others */
    size_t richest_count;
};

static int by_owner(const void *a, const void *b)
{
    const struct shard *const *left = a, *const *right = b;
    return strcmp((*left)->owner, (*right)->owner);
}

static int count_share(const struct kinema_consumer *c, int64_t now, struct share *ret)
{
    struct shard **held = calloc(c->shard_count + 1, sizeof(struct shard *));
    size_t count = 0, run = 0;
    if (!held)
        return -ENOMEM;
    *ret = (struct share){.workers = 1};
    for (size_t i = 0; i < c->shard_count; i++) {
        struct shard *shard = c->shards[i];
        if (!shard_is_readable(c, shard))
            continue;
        ret->readable++;
        ret->mine += shard->mine != 0;
        if (is_free(c, shard, now, 1))
            ret->free++;
        else if (!shard->mine)
            held[count++] = shard;
    }
    qsort(held, count, sizeof(struct shard *), by_owner);
    for (size_t i = 0; i < count; i++) {
        int first = i == 0 || strcmp(held[i]->owner, held[i - 1]->owner) != 0;
        ret->workers += first != 0;
        run = first ? 1 : run + 1;
        if (run > ret->richest_count) {
            ret->richest_count = run;
            ret->richest = held[i]->owner;
        }
    }
    free(held);
    return 0;
}

static void took(struct kinema_consumer *c, struct shard *shard, int64_t now)
{
    char text[CHECKPOINT_BYTES_MAX + 1];
    if (place_parse(shard->checkpoint, &shard->done) < 0)
        shard->done = (struct place){.sub = -1}; /* not ours: from the beginning, rather than not */
    place_text(&shard->done, text);
    shard->taken = shard->done;
    shard->mine = 1;
    shard->times_taken++;
    shard->finished = 0;
    shard->iterator[0] = '\0';
    shard->renewed_at = now;
    shard->read_at = now;
    shard->backoff_ms = 0;
    shard->behind_ms = -1;
    c->stats.taken++;
    consumer_tell(c, KINEMA_SHARD_TAKEN, shard->key, text, 0);
}

/* At most so many of the free ones, or of one worker's, beginning anywhere, so that workers do not
 * all want the same. */
static int take(struct kinema_consumer *c, size_t most, int64_t now, unsigned times,
                const char *from)
{
    size_t count = most < c->shard_count ? most : c->shard_count, found = 0;
    struct lease_change *changes = calloc(count + 1, sizeof(*changes));
    char(*texts)[CHECKPOINT_BYTES_MAX + 1] = calloc(count + 1, sizeof(*texts));
    uint32_t chance = 0;
    int code = changes && texts ? 0 : -ENOMEM;
    (void) RAND_bytes((unsigned char *) &chance, sizeof(chance));
    for (size_t i = 0; code == 0 && i < c->shard_count && found < count; i++) {
        struct shard *shard = c->shards[(i + chance) % c->shard_count];
        int wanted =
            from ? !shard->mine && strcmp(shard->owner, from) == 0 : is_free(c, shard, now, times);
        if (!wanted || !shard_is_readable(c, shard))
            continue;
        memcpy(texts[found], shard->checkpoint, sizeof(texts[found]));
        changes[found] = (struct lease_change){shard, c->worker, texts[found], 0, 0};
        found++;
    }
    if (code == 0 && found > 0)
        code = leases_change(c, changes, found);
    for (size_t i = 0; code == 0 && i < found; i++)
        if (changes[i].changed)
            took(c, changes[i].shard, now);
    free(changes);
    free(texts);
    return code;
}

static int take_share(struct kinema_consumer *c, int64_t now)
{
    struct share share;
    size_t want, room;
    int code = count_share(c, now, &share);
    if (code < 0)
        return code;
    want = (share.readable + share.workers - 1) / share.workers;
    room = c->config.shards_max ? c->config.shards_max : SIZE_MAX;
    room = room > share.mine ? room - share.mine : 0;
    if (room == 0)
        return 0;
    if (share.free > 0 && share.mine < want)
        return take(c, want - share.mine < room ? want - share.mine : room, now, 1, NULL);
    if (share.free > 0) /* nobody else wants them, it seems */
        return take(c, room, now, ABANDONED_LEASES, NULL);
    if (share.richest && share.richest_count >= share.mine + 2) {
        size_t steal = (share.richest_count - share.mine) / 4;
        steal = steal > 0 ? steal : 1;
        return take(c, steal < room ? steal : room, now, 1, share.richest);
    }
    return 0;
}

/* --- the round -------------------------------------------------------------------------------- */
static int tend(struct kinema_consumer *c, int64_t now)
{
    int code = balance_store(c, 0), listed = 0;
    if (code == 0)
        code = leases_read(c);
    if (code == 0 && must_list(c, now)) {
        code = shards_read(c);
        listed = code == 0;
    }
    if (listed) {
        c->list_at = now + LIST_MS;
        code = follow_shards(c);
    }
    return code == 0 ? take_share(c, now) : code;
}

void balance_tend(struct kinema_consumer *c, int64_t now)
{
    if (now < c->tend_at)
        return;
    c->tend_at = now + c->config.lease_ms / 3;
    if (tend(c, now) == 0) {
        c->backoff_ms = 0;
        return;
    }
    c->backoff_ms = c->backoff_ms ? 2 * c->backoff_ms : BACKOFF_FIRST_MS;
    if (c->backoff_ms > BACKOFF_MAX_MS)
        c->backoff_ms = BACKOFF_MAX_MS;
    if (c->backoff_ms > c->config.lease_ms / 3)
        c->backoff_ms = c->config.lease_ms / 3;
    c->tend_at = post_clock_ms() + c->backoff_ms;
}
