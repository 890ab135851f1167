/* SPDX-License-Identifier: Apache-2.0 */
/* What the consumer's files share: consumer.c (records), balance.c (whose shard is whose) and
 * lease_calls.c (leases and shards as the service knows them). */
#ifndef SDK_CONSUMER_PRIVATE_H
#define SDK_CONSUMER_PRIVATE_H

#include "post.h"

#include "kinema/consumer.h"

enum {
    CHECKPOINT_BYTES_MAX = KINEMA_SEQUENCE_BYTES_MAX + 24,
    ITERATOR_BYTES_MAX = 1024,
    LEASES_A_CALL_MAX = 500
};

/* "12", "12/3", "SHARD_END" or nothing. */
struct place {
    char sequence[KINEMA_SEQUENCE_BYTES_MAX + 1]; /* "": none */
    int64_t sub;                                  /* -1: all of that record */
};

struct shard {
    char key[KINEMA_NAME_BYTES_MAX + 1];
    /* as it was listed */
    char parents[2][KINEMA_NAME_BYTES_MAX + 1]; /* "": none */
    int known, listed; /* its parents are known; it was in the last whole list of shards */
    int found, seen;   /* in the list of shards, of leases under way */
    /* its lease; version 0: there is none */
    int64_t version;
    char owner[KINEMA_NAME_BYTES_MAX + 1];
    char checkpoint[CHECKPOINT_BYTES_MAX + 1];
    int64_t changed_at; /* when its version was first seen; monotonic */
    int ended;          /* the checkpoint says so */
    /* what of it is this worker's */
    int mine, finished; /* finished: its last record was taken */
    int64_t renewed_at;
    char iterator[ITERATOR_BYTES_MAX]; /* "": to be asked for */
    struct place taken, done;
    int64_t read_at, behind_ms; /* behind_ms -1: not read yet */
    unsigned backoff_ms;
    unsigned times_taken; /* so that a page of before is seen to be one */
};

struct kinema_consumer {
    struct kinema_consumer_config config; /* texts are the copies that follow */
    char stream[KINEMA_NAME_BYTES_MAX + 1], application[KINEMA_NAME_BYTES_MAX + 1],
        worker[KINEMA_NAME_BYTES_MAX + 1], region[64], endpoint[POST_URL_BYTES_MAX],
        lease_endpoint[POST_URL_BYTES_MAX];
    char *ca_file;
    struct post post;      /* of records */
    struct post lease;     /* beside it: leases are renewed while a page is being taken */
    struct shard **shards; /* by key */
    size_t shard_count, shard_cap, turn; /* turn: which is to be read next */
    int64_t origin_ms;                   /* LATEST: the application's beginning */
    char origin[32];                     /* "": not known; TRIM_HORIZON, LATEST, AT_TIMESTAMP */
    int64_t tend_at, list_at;
    unsigned backoff_ms;
    struct shard *reading; /* whose page is being taken; it stays in memory */
    struct kinema_consumer_stats stats;
};

void consumer_tell(struct kinema_consumer *c, enum kinema_consumer_event_type type,
                   const char *shard, const char *text, long status);
/* What post->answer and ->error say of a call that failed. */
void consumer_failed(struct kinema_consumer *c, const struct post *post, const char *call);

/* Operations of data streams, in CBOR. 0 with post->answer, or negative. */
int consumer_call(struct kinema_consumer *c, struct post *post, const char *operation,
                  const void *body, size_t len);

/* lease_calls.c. Each 0, or negative after it was told. */
int leases_read(struct kinema_consumer *c);
int shards_read(struct kinema_consumer *c);
/* Makes leases that are as they were seen as next says; which worked is in ->changed. */
struct lease_change {
    struct shard *shard;
    const char *owner, *checkpoint;
    int remove, changed;
};
int leases_change(struct kinema_consumer *c, struct lease_change *changes, size_t count);
struct shard *shard_find(const struct kinema_consumer *c, const char *key);
void shard_forget(struct kinema_consumer *c, size_t at);

/* balance.c: renews, takes, stores; at the time it sets in tend_at. */
void balance_tend(struct kinema_consumer *c, int64_t now);
/* Stores what is done of this worker's shards; release: and lets them go. */
int balance_store(struct kinema_consumer *c, int release);
int shard_is_readable(const struct kinema_consumer *c, const struct shard *shard);
void shard_lose(struct kinema_consumer *c, struct shard *shard);

/* Places. */
int place_parse(const char *text, struct place *ret);
void place_text(const struct place *place, char dst[CHECKPOINT_BYTES_MAX + 1]);
int place_compare(const struct place *a, const struct place *b);

#endif
