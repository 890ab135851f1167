/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of this worker's shards, a page at a time, each shard in its turn. What was taken and
 * what is done are two places: a page that was left in the middle is read again behind what was
 * taken.
 */
#include "cbor.h"
#include "consumer_private.h"
#include "text.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kinema/aggregate.h"

enum {
    LEASE_MS = 10000,
    LEASE_MS_MIN = 300,
    PAUSE_MS = 250, /* AWS lets a shard be read five times a second */
    PAGE_RECORDS = 10000,
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MAX_MS = 5000,
    BODY_BYTES = ITERATOR_BYTES_MAX + 256,
    PAGE_LEFT = 1, /* its shard is another worker's by now */
    PAGE_BAD = 2,  /* it makes no sense */
    ERROR_TYPE_BYTES = 128
};

/* --- where a shard is read -------------------------------------------------------------------- */
static void back_off(struct shard *shard)
{
    shard->backoff_ms = shard->backoff_ms ? 2 * shard->backoff_ms : BACKOFF_FIRST_MS;
    if (shard->backoff_ms > BACKOFF_MAX_MS)
        shard->backoff_ms = BACKOFF_MAX_MS;
    shard->read_at = post_clock_ms() + shard->backoff_ms;
}

/* What a CBOR answer calls its error; "": it does not. */
static void find_type(const struct post *post, char dst[ERROR_TYPE_BYTES])
{
    const uint8_t *answer = (const uint8_t *) post->answer;
    struct cbor in = {answer, answer + post->answer_len};
    struct cbor_item item;
    struct cbor_group map;
    dst[0] = '\0';
    if (post->answer_len == 0 || cbor_next(&in, &item) < 0 || cbor_open(&item, CBOR_MAP, &map) < 0)
        return;
    while (cbor_member(&in, &map, &item) == 1) {
        int found = cbor_is(&item, "__type");
        if (found ? cbor_text(&in, dst, ERROR_TYPE_BYTES) < 0 || *dst : cbor_skip(&in) < 0)
            return;
    }
}

/* The error's name without a namespace: of the head, else of the body, which what stands before the
 * service writes in JSON. */
static int is_error(const struct post *post, const char *name)
{
    char type[ERROR_TYPE_BYTES];
    const char *plain;
    if (post->status == 0)
        return 0;
    if (post->fault[0])
        (void) snprintf(type, sizeof(type), "%s", post->fault);
    else if (post->answer_len == 0 ||
             json_find(post->answer, post->answer_len, "__type", type, sizeof(type)) < 0)
        find_type(post, type);
    plain = strchr(type, '#');
    return strcmp(plain ? plain + 1 : type, name) == 0;
}

static void read_failed(struct kinema_consumer *c, struct shard *shard, const char *call)
{
    if (!is_error(&c->post, "ProvisionedThroughputExceededException") &&
        !is_error(&c->post, "LimitExceededException"))
        consumer_failed(c, &c->post, call);
    back_off(shard);
}

static size_t write_start(const struct kinema_consumer *c, const struct shard *shard,
                          uint8_t dst[BODY_BYTES])
{
    struct cbor_out out = {dst, 0, BODY_BYTES};
    const char *type = "TRIM_HORIZON";
    int64_t at_ms = c->origin_ms;
    int by_time = 0, by_number = shard->taken.sequence[0] != '\0';
    if (by_number) {
        type = shard->taken.sub < 0 ? "AFTER_SEQUENCE_NUMBER" : "AT_SEQUENCE_NUMBER";
    } else if (strcmp(c->origin, "TRIM_HORIZON") != 0) {
        type = "AT_TIMESTAMP";
        by_time = 1;
        if (strncmp(c->origin, "AT_TIMESTAMP/", 13) == 0)
            at_ms = strtoll(c->origin + 13, NULL, 10);
    }
    cbor_put_head(&out, CBOR_MAP, 3 + (uint64_t) (by_time || by_number));
    cbor_put_text(&out, "StreamName");
    cbor_put_text(&out, c->stream);
    cbor_put_text(&out, "ShardId");
    cbor_put_text(&out, shard->key);
    cbor_put_text(&out, "ShardIteratorType");
    cbor_put_text(&out, type);
    if (by_number) {
        cbor_put_text(&out, "StartingSequenceNumber");
        cbor_put_text(&out, shard->taken.sequence);
    } else if (by_time) {
        cbor_put_text(&out, "Timestamp");
        cbor_put_head(&out, CBOR_TAG, 1);
        cbor_put_head(&out, CBOR_UINT, (uint64_t) at_ms);
    }
    return out.len;
}

/* The iterator in an answer's member; "" when it is null or not there. */
static int find_iterator(const struct post *post, const char *name, char *dst, int64_t *ret_behind)
{
    const uint8_t *answer = (const uint8_t *) post->answer;
    struct cbor in = {answer, answer + post->answer_len};
    struct cbor_item item;
    struct cbor_group map;
    int more = 0, code = 0;
    dst[0] = '\0';
    if (post->answer_len == 0 || cbor_next(&in, &item) < 0 || cbor_open(&item, CBOR_MAP, &map) < 0)
        return -EBADMSG;
    while (code == 0 && (more = cbor_member(&in, &map, &item)) == 1) {
        if (cbor_is(&item, name))
            code = cbor_text(&in, dst, ITERATOR_BYTES_MAX);
        else if (ret_behind && cbor_is(&item, "MillisBehindLatest"))
            code = cbor_int(&in, ret_behind);
        else
            code = cbor_skip(&in);
    }
    return more < 0 ? more : code;
}

static int start_shard(struct kinema_consumer *c, struct shard *shard)
{
    uint8_t body[BODY_BYTES];
    size_t len = write_start(c, shard, body);
    int code = consumer_call(c, &c->post, "GetShardIterator", body, len);
    if (code == 0)
        code = find_iterator(&c->post, "ShardIterator", shard->iterator, NULL);
    if (code == 0 && shard->iterator[0])
        return 0;
    if (is_error(&c->post, "ResourceNotFoundException")) { /* retention took it */
        shard->finished = 1;
        c->tend_at = 0;
        return -ENOENT;
    }
    read_failed(c, shard, "GetShardIterator");
    return -EIO;
}

/* --- records ---------------------------------------------------------------------------------- */
struct taking {
    struct kinema_consumer *c;
    struct shard *shard;
    struct kinema_record record;
    unsigned times_taken; /* of the shard, when the page was asked for */
    int aggregated;
};

static int take_user_record(void *ctx, const struct kinema_user_record *user)
{
    struct taking *taking = ctx;
    struct kinema_consumer *c = taking->c;
    struct shard *shard = taking->shard;
    struct place place = {.sub = taking->aggregated ? (int64_t) user->index : -1}, before;
    int code;
    memcpy(place.sequence, taking->record.sequence, strlen(taking->record.sequence) + 1);
    if (shard->taken.sequence[0] && place_compare(&place, &shard->taken) <= 0)
        return 0; /* of an aggregated record that was taken in part */
    balance_tend(c, post_clock_ms());
    if (!shard->mine || shard->times_taken != taking->times_taken ||
        post_clock_ms() - shard->renewed_at >= (int64_t) c->config.lease_ms)
        return PAGE_LEFT;
    taking->record.sub = place.sub;
    taking->record.partition_key = user->partition_key;
    taking->record.partition_key_len = user->partition_key_len;
    taking->record.explicit_hash_key = user->explicit_hash_key;
    taking->record.explicit_hash_key_len = user->explicit_hash_key_len;
    taking->record.data = user->data;
    taking->record.len = user->len;
    before = shard->taken;
    if (c->config.own_checkpoints)
        shard->taken = place; /* so that it may be said to be done at once */
    code = c->config.on_record(c->config.ctx, &taking->record);
    if (!shard->mine || shard->times_taken != taking->times_taken)
        return code < 0 ? code : PAGE_LEFT; /* its places are another's, or of another time */
    if (code < 0) {
        if (place_compare(&shard->done, &place) < 0)
            shard->taken = before; /* it comes again */
        return code;
    }
    shard->taken = place;
    if (!c->config.own_checkpoints)
        shard->done = place;
    c->stats.records++;
    return 0;
}

static int take_record(struct taking *taking, struct cbor *in)
{
    char sequence[KINEMA_SEQUENCE_BYTES_MAX + 1] = "", key[KINEMA_AGGREGATE_KEY_BYTES_MAX + 1] = "";
    struct cbor_item item, data = {.len = 0};
    struct cbor_group map;
    struct shard *shard = taking->shard;
    int more = 0, code = 0;
    taking->record = (struct kinema_record){
        .shard = shard->key, .sequence = sequence, .behind_ms = taking->record.behind_ms};
    if (cbor_next(in, &item) < 0 || cbor_open(&item, CBOR_MAP, &map) < 0)
        return PAGE_BAD;
    while (code == 0 && (more = cbor_member(in, &map, &item)) == 1) {
        if (cbor_is(&item, "SequenceNumber"))
            code = cbor_text(in, sequence, sizeof(sequence));
        else if (cbor_is(&item, "PartitionKey"))
            code = cbor_text(in, key, sizeof(key));
        else if (cbor_is(&item, "ApproximateArrivalTimestamp"))
            code = cbor_time(in, &taking->record.arrival_ms);
        else if (cbor_is(&item, "Data"))
            code = cbor_next(in, &data);
        else
            code = cbor_skip(in);
    }
    if (more < 0 || code < 0 || !sequence[0] || (data.ptr && data.type != CBOR_BYTES))
        return PAGE_BAD;
    taking->aggregated =
        !taking->c->config.no_deaggregation && kinema_is_aggregated(data.ptr, data.len);
    if (!taking->aggregated) {
        const struct kinema_user_record plain = {.partition_key = key,
                                                 .partition_key_len = strlen(key),
                                                 .data = data.ptr,
                                                 .len = data.len};
        return take_user_record(taking, &plain);
    }
    code = kinema_deaggregate(data.ptr, data.len, key, take_user_record, taking);
    if (code == 0 && !taking->c->config.own_checkpoints) /* all of it: the next one follows */
        shard->taken.sub = shard->done.sub = -1;
    return code;
}

static int take_records(struct kinema_consumer *c, struct shard *shard, int64_t behind_ms)
{
    const uint8_t *answer = (const uint8_t *) c->post.answer;
    struct cbor in = {answer, answer + c->post.answer_len};
    struct taking taking = {.c = c,
                            .shard = shard,
                            .times_taken = shard->times_taken,
                            .record = {.behind_ms = behind_ms}};
    struct cbor_item item;
    struct cbor_group map, list;
    int more = 0, code = 0;
    if (cbor_next(&in, &item) < 0 || cbor_open(&item, CBOR_MAP, &map) < 0)
        return PAGE_BAD;
    while (code == 0 && (more = cbor_member(&in, &map, &item)) == 1) {
        if (!cbor_is(&item, "Records")) {
            code = cbor_skip(&in) < 0 ? PAGE_BAD : 0;
            continue;
        }
        if (cbor_next(&in, &item) < 0 || cbor_open(&item, CBOR_ARRAY, &list) < 0)
            return PAGE_BAD;
        while (code == 0 && cbor_more(&in, &list))
            code = take_record(&taking, &in);
    }
    return more < 0 ? PAGE_BAD : code;
}

/* The page was taken whole. */
static void page_taken(struct kinema_consumer *c, struct shard *shard, const char *next,
                       int64_t behind_ms, int had_records)
{
    shard->backoff_ms = 0;
    shard->behind_ms = behind_ms;
    memcpy(shard->iterator, next, strlen(next) + 1);
    shard->read_at = post_clock_ms() + (behind_ms > 0 || had_records ? 0 : c->config.pause_ms);
    if (!next[0]) {
        shard->finished = 1;
        shard->behind_ms = 0;
        if (place_compare(&shard->taken, &shard->done) == 0)
            c->tend_at = 0; /* its children wait */
    }
}

/* 1: records were taken; 0: none; or what on_record said. */
static int read_page(struct kinema_consumer *c, struct shard *shard)
{
    uint8_t body[BODY_BYTES];
    struct cbor_out out = {body, 0, sizeof(body)};
    char next[ITERATOR_BYTES_MAX];
    uint64_t before = c->stats.records;
    int64_t behind_ms = 0;
    int code, fresh = !shard->iterator[0];
    if (fresh && start_shard(c, shard) < 0)
        return 0;
    cbor_put_head(&out, CBOR_MAP, 2);
    cbor_put_text(&out, "ShardIterator");
    cbor_put_text(&out, shard->iterator);
    cbor_put_text(&out, "Limit");
    cbor_put_head(&out, CBOR_UINT, c->config.page_records);
    code = consumer_call(c, &c->post, "GetRecords", body, out.len);
    if (code < 0) {
        int gone = is_error(&c->post, "ExpiredIteratorException") ||
                   is_error(&c->post, "ResourceNotFoundException");
        if (gone)
            shard->iterator[0] = '\0'; /* from where it was, or it is over */
        if (gone && fresh)             /* another one will hardly be better */
            back_off(shard);
        else if (!gone)
            read_failed(c, shard, "GetRecords");
        return 0;
    }
    c->stats.pages++;
    code = find_iterator(&c->post, "NextShardIterator", next, &behind_ms) < 0 ? PAGE_BAD : 0;
    c->reading = shard;
    if (code == 0)
        code = take_records(c, shard, behind_ms);
    c->reading = NULL;
    if (code == 0) {
        page_taken(c, shard, next, behind_ms, c->stats.records > before);
    } else {
        shard->iterator[0] = '\0';
        if (code == PAGE_BAD)
            consumer_tell(c, KINEMA_CONSUMER_CALL_FAILED, shard->key,
                          "GetRecords: it makes no sense", 200);
        if (code == PAGE_BAD)
            back_off(shard);
    }
    return code < 0 ? code : c->stats.records > before;
}

/* --- the caller's side ------------------------------------------------------------------------ */
/* The one that is due, the next of them behind the last one; *ret_wait_ms: until one will be. */
static struct shard *next_due(struct kinema_consumer *c, int64_t now, int64_t *ret_wait_ms)
{
    *ret_wait_ms = c->tend_at > now ? c->tend_at - now : 0;
    for (size_t i = 0; i < c->shard_count; i++) {
        struct shard *shard = c->shards[(c->turn + i) % c->shard_count];
        if (!shard->mine || shard->finished)
            continue;
        if (now - shard->renewed_at >= (int64_t) c->config.lease_ms)
            continue; /* another worker may have it by now */
        if (shard->read_at <= now) {
            c->turn = (c->turn + i + 1) % c->shard_count;
            return shard;
        }
        if (shard->read_at - now < *ret_wait_ms)
            *ret_wait_ms = shard->read_at - now;
    }
    return NULL;
}

int kinema_consumer_poll(struct kinema_consumer *c, unsigned timeout_ms)
{
    int64_t end = post_clock_ms() + timeout_ms, wait_ms;
    for (;;) {
        int64_t now = post_clock_ms();
        struct shard *shard;
        balance_tend(c, now);
        now = post_clock_ms();
        shard = next_due(c, now, &wait_ms);
        if (shard) {
            int code = read_page(c, shard);
            if (code != 0)
                return code;
        }
        now = post_clock_ms();
        if (now >= end)
            return 0;
        wait_ms = shard ? 0 : wait_ms < end - now ? wait_ms : end - now;
        if (wait_ms > 0)
            (void) nanosleep(
                &(struct timespec){.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000L},
                NULL);
    }
}

void kinema_consumer_keep(struct kinema_consumer *c)
{
    balance_tend(c, post_clock_ms());
}

int kinema_consumer_done(struct kinema_consumer *c, const char *key, const char *sequence,
                         int64_t sub)
{
    struct shard *shard = shard_find(c, key);
    struct place place;
    if (!shard || !shard->mine)
        return -ENOENT;
    if (place_parse(sequence, &place) < 0 || place.sub != -1 || !place.sequence[0] || sub < -1)
        return -EINVAL;
    place.sub = sub;
    if (place_compare(&place, &shard->taken) > 0 || place_compare(&place, &shard->done) < 0)
        return -EINVAL;
    shard->done = place;
    if (shard->finished && place_compare(&shard->taken, &shard->done) == 0)
        c->tend_at = 0;
    return 0;
}

int kinema_consumer_checkpoint(struct kinema_consumer *c)
{
    return balance_store(c, 0) < 0 ? -EIO : 0;
}

void kinema_consumer_stats(const struct kinema_consumer *c, struct kinema_consumer_stats *ret)
{
    int unread = post_clock_ms() >= c->list_at; /* there may be children */
    *ret = c->stats;
    ret->shards = ret->shards_left = 0;
    ret->behind_ms = 0;
    for (size_t i = 0; i < c->shard_count; i++) {
        const struct shard *shard = c->shards[i];
        ret->shards += shard->mine != 0;
        ret->shards_left += shard->version && !shard->ended;
        if (shard->mine && shard->behind_ms > ret->behind_ms)
            ret->behind_ms = shard->behind_ms;
        unread |= shard->mine && (shard->behind_ms < 0 || shard->finished);
    }
    if (unread || ret->shards == 0)
        ret->behind_ms = -1;
}

const char *kinema_consumer_worker(const struct kinema_consumer *c)
{
    return c->worker;
}

/* --- opening and closing ---------------------------------------------------------------------- */
static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static int take_name(char *dst, const char *text)
{
    if (!post_is_name(text, KINEMA_NAME_BYTES_MAX))
        return -EINVAL;
    memcpy(dst, text, strlen(text) + 1);
    return 0;
}

/* Host, process and chance: two workers never have the same. */
static void make_worker(struct kinema_consumer *c)
{
    char host[65] = "";
    uint32_t chance = 0;
    if (gethostname(host, sizeof(host) - 1) < 0 || !post_is_name(host, sizeof(host) - 1))
        (void) snprintf(host, sizeof(host), "worker");
    (void) RAND_bytes((unsigned char *) &chance, sizeof(chance));
    (void) snprintf(c->worker, sizeof(c->worker), "%s.%ld.%08x", host, (long) getpid(), chance);
}

static int take_url(char dst[POST_URL_BYTES_MAX], const char *url)
{
    if (strlen(url) >= POST_URL_BYTES_MAX)
        return -EINVAL;
    memcpy(dst, url, strlen(url) + 1);
    return 0;
}

static int take_config(struct kinema_consumer *c, const struct kinema_consumer_config *config)
{
    int code = take_name(c->stream, config->stream);
    if (code == 0)
        code = take_name(c->application, config->application);
    if (code == 0 && config->worker)
        code = take_name(c->worker, config->worker);
    if (code < 0 || !post_is_name(config->region, sizeof(c->region) - 1) || !config->credentials ||
        !config->on_record || config->page_records > PAGE_RECORDS || config->start_ms < 0 ||
        (config->lease_ms && config->lease_ms < LEASE_MS_MIN))
        return -EINVAL;
    memcpy(c->region, config->region, strlen(config->region) + 1);
    code = config->endpoint ? take_url(c->endpoint, config->endpoint)
                            : post_aws_url(c->endpoint, "kinesis", config->region);
    if (code == 0)
        code = take_url(c->lease_endpoint,
                        config->lease_endpoint ? config->lease_endpoint : c->endpoint);
    if (code < 0)
        return -EINVAL;
    if (!config->worker)
        make_worker(c);
    c->config = *config;
    c->config.lease_ms = or_default(config->lease_ms, LEASE_MS);
    c->config.pause_ms = or_default(config->pause_ms, PAUSE_MS);
    c->config.page_records = or_default(config->page_records, PAGE_RECORDS);
    if (!config->ca_file)
        return 0;
    c->ca_file = malloc(strlen(config->ca_file) + 1);
    if (!c->ca_file)
        return -ENOMEM;
    memcpy(c->ca_file, config->ca_file, strlen(config->ca_file) + 1);
    return 0;
}

static void free_consumer(struct kinema_consumer *c)
{
    while (c->shard_count > 0)
        shard_forget(c, c->shard_count - 1);
    free(c->shards);
    post_done(&c->post);
    post_done(&c->lease);
    free(c->ca_file);
    free(c);
}

int kinema_consumer_open(const struct kinema_consumer_config *config, struct kinema_consumer **ret)
{
    struct kinema_consumer *c = calloc(1, sizeof(*c));
    int code;
    if (!c)
        return -ENOMEM;
    code = take_config(c, config);
    if (code == 0)
        code =
            post_init(&c->post, c->region, c->ca_file, config->credentials, KINEMA_PAGE_BYTES_MAX);
    if (code == 0)
        code =
            post_init(&c->lease, c->region, c->ca_file, config->credentials, KINEMA_PAGE_BYTES_MAX);
    if (code < 0)
        free_consumer(c);
    else
        *ret = c;
    return code;
}

void kinema_consumer_close(struct kinema_consumer *c)
{
    if (!c)
        return;
    (void) balance_store(c, 1);
    free_consumer(c);
}
