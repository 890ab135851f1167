/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shards and leases as the service knows them, in one table by shard id. Leases are listed before
 * shards: so whatever lease is there, its shard was, and is listed unless it is gone.
 */
#include "cbor.h"
#include "consumer_private.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_BYTES = 1024,
    CHANGE_BYTES = 512 + CHECKPOINT_BYTES_MAX,
    TOKEN_BYTES_MAX = 4096
};
static const char application_key[] = "application"; /* not a shard: where reading began */

void consumer_tell(struct kinema_consumer *c, enum kinema_consumer_event_type type,
                   const char *shard, const char *text, long status)
{
    if (c->config.on_event)
        c->config.on_event(c->config.ctx, &(struct kinema_consumer_event){
                                              .type = type,
                                              .shard = shard,
                                              .text = text,
                                              .http_status = status,
                                          });
}

static int copy(char *dst, size_t cap, const char *text)
{
    size_t len = strlen(text);
    if (len >= cap)
        return -EBADMSG;
    memcpy(dst, text, len + 1);
    return 0;
}

/* --- the table -------------------------------------------------------------------------------- */
static size_t place_of(const struct kinema_consumer *c, const char *key, int *ret_found)
{
    size_t low = 0, high = c->shard_count;
    *ret_found = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(c->shards[middle]->key, key);
        *ret_found |= order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct shard *shard_find(const struct kinema_consumer *c, const char *key)
{
    int found;
    size_t at = place_of(c, key, &found);
    return found ? c->shards[at] : NULL;
}

static struct shard *shard_there(struct kinema_consumer *c, const char *key)
{
    int found;
    size_t at = place_of(c, key, &found);
    struct shard *shard;
    if (found)
        return c->shards[at];
    if (!*key || strlen(key) > KINEMA_NAME_BYTES_MAX || c->shard_count == KINEMA_SHARDS_MAX)
        return NULL;
    if (c->shard_count == c->shard_cap) {
        size_t cap = c->shard_cap ? 2 * c->shard_cap : 16;
        struct shard **grown = realloc(c->shards, cap * sizeof(struct shard *));
        if (!grown)
            return NULL;
        c->shards = grown;
        c->shard_cap = cap;
    }
    shard = calloc(1, sizeof(*shard));
    if (!shard)
        return NULL;
    memcpy(shard->key, key, strlen(key) + 1);
    shard->behind_ms = -1;
    shard->taken.sub = shard->done.sub = -1;
    memmove(c->shards + at + 1, c->shards + at, (c->shard_count - at) * sizeof(struct shard *));
    c->shards[at] = shard;
    c->shard_count++;
    return shard;
}

void shard_forget(struct kinema_consumer *c, size_t at)
{
    free(c->shards[at]);
    c->shard_count--;
    memmove(c->shards + at, c->shards + at + 1, (c->shard_count - at) * sizeof(struct shard *));
}

/* --- calls ------------------------------------------------------------------------------------ */
/* The message of a refusal, in JSON or in CBOR; "": there is none. */
static void find_message(const struct post *post, char *dst, size_t cap)
{
    const uint8_t *answer = (const uint8_t *) post->answer;
    struct cbor in = {answer, answer + post->answer_len};
    struct cbor_item item;
    struct cbor_group map;
    dst[0] = '\0';
    if (post->status == 0 || post->answer_len == 0)
        return;
    if (*post->answer == '{') {
        if (json_find(post->answer, post->answer_len, "Message", dst, cap) < 0)
            (void) json_find(post->answer, post->answer_len, "message", dst, cap);
        return;
    }
    if (cbor_next(&in, &item) < 0 || cbor_open(&item, CBOR_MAP, &map) < 0)
        return;
    while (cbor_member(&in, &map, &item) == 1) {
        int found = cbor_is(&item, "message") || cbor_is(&item, "Message");
        if (found ? cbor_text(&in, dst, cap) < 0 || *dst : cbor_skip(&in) < 0)
            return;
    }
}

void consumer_failed(struct kinema_consumer *c, const struct post *post, const char *call)
{
    char text[POST_ERROR_BYTES_MAX], message[160];
    find_message(post, message, sizeof(message));
    (void) snprintf(text, sizeof(text), "%s: %s", call,
                    message[0]       ? message
                    : post->error[0] ? post->error
                                     : "refused");
    c->stats.errors++;
    consumer_tell(c, KINEMA_CONSUMER_CALL_FAILED, "", text, post->status);
}

static unsigned call_timeout(const struct kinema_consumer *c)
{
    return c->config.lease_ms < 4000 ? 2000 : c->config.lease_ms / 2;
}

int consumer_call(struct kinema_consumer *c, struct post *post, const char *operation,
                  const void *body, size_t len)
{
    char target[64];
    int code;
    (void) snprintf(target, sizeof(target), "Kinesis_20131202.%s", operation);
    code = post_run(post, &(struct post_request){.service = "kinesis",
                                                 .base = c->endpoint,
                                                 .path = "/",
                                                 .target = target,
                                                 .content_type = "application/x-amz-cbor-1.1",
                                                 .body = body,
                                                 .body_len = len,
                                                 .timeout_ms = call_timeout(c)});
    return code < 0 ? code : post->status == 200 ? 0 : -EIO;
}

/* An operation of leases, in JSON. */
static int lease_call(struct kinema_consumer *c, const char *name, const char *body, size_t len)
{
    char path[64];
    struct post *post = &c->lease;
    int code;
    (void) snprintf(path, sizeof(path), "/kinema/v1/%s", name);
    code = post_run(post, &(struct post_request){.service = "kinesisvideo",
                                                 .base = c->lease_endpoint,
                                                 .path = path,
                                                 .content_type = "application/json",
                                                 .body = body,
                                                 .body_len = len,
                                                 .timeout_ms = call_timeout(c)});
    if (code == 0 && post->status == 200)
        return 0;
    if (code < 0 && !post->error[0])
        (void) snprintf(post->error, sizeof(post->error), "%s",
                        code == -EACCES ? "there is no access key" : strerror(-code));
    consumer_failed(c, post, name);
    return -EIO;
}

/* --- leases ----------------------------------------------------------------------------------- */
struct lease_row {
    struct kinema_consumer *c;
    char key[KINEMA_NAME_BYTES_MAX + 1], owner[KINEMA_NAME_BYTES_MAX + 1];
    char checkpoint[CHECKPOINT_BYTES_MAX + 1];
    double created;
    int64_t version, now;
    int more;
    char last[KINEMA_NAME_BYTES_MAX + 1];
};

static int take_lease(struct lease_row *row)
{
    struct kinema_consumer *c = row->c;
    struct shard *shard;
    int ok = copy(row->last, sizeof(row->last), row->key) == 0;
    if (strcmp(row->key, application_key) == 0) {
        c->origin_ms = (int64_t) (row->created * 1000 + 0.5);
        return copy(c->origin, sizeof(c->origin), row->checkpoint);
    }
    shard = ok ? shard_there(c, row->key) : NULL;
    if (!shard)
        return -ENOMEM;
    shard->seen = 1;
    if (shard->mine && shard->version != row->version)
        shard_lose(c, shard);
    if (shard->version != row->version)
        shard->changed_at = row->now;
    shard->version = row->version;
    shard->ended = strcmp(row->checkpoint, "SHARD_END") == 0;
    memcpy(shard->owner, row->owner, sizeof(shard->owner));
    memcpy(shard->checkpoint, row->checkpoint, sizeof(shard->checkpoint));
    return 0;
}

static int lease_member(void *ctx, const char *name, const char *text)
{
    struct lease_row *row = ctx;
    int code = 0;
    if (!name) { /* the end of a lease, or of the answer */
        code = row->key[0] ? take_lease(row) : 0;
        row->key[0] = row->owner[0] = row->checkpoint[0] = '\0';
        row->version = 0;
        row->created = 0;
        return code;
    }
    if (strcmp(name, "LeaseKey") == 0)
        code = copy(row->key, sizeof(row->key), text);
    else if (strcmp(name, "Owner") == 0)
        code = copy(row->owner, sizeof(row->owner), text);
    else if (strcmp(name, "Checkpoint") == 0)
        code = copy(row->checkpoint, sizeof(row->checkpoint), text);
    else if (strcmp(name, "Version") == 0)
        row->version = strtoll(text, NULL, 10);
    else if (strcmp(name, "CreationTime") == 0)
        row->created = strtod(text, NULL);
    else if (strcmp(name, "HasMoreLeases") == 0)
        row->more = strcmp(text, "true") == 0;
    return code;
}

/* Where the application begins is written once, by whichever worker is first. */
static int make_origin(struct kinema_consumer *c)
{
    char body[BODY_BYTES], origin[32] = "TRIM_HORIZON";
    int len;
    if (c->config.start == KINEMA_LATEST)
        (void) snprintf(origin, sizeof(origin), "LATEST");
    if (c->config.start == KINEMA_AT_TIME)
        (void) snprintf(origin, sizeof(origin), "AT_TIMESTAMP/%lld",
                        (long long) c->config.start_ms);
    len = snprintf(body, sizeof(body),
                   "{\"StreamName\":\"%s\",\"ApplicationName\":\"%s\",\"Leases\":[{"
                   "\"LeaseKey\":\"%s\",\"Checkpoint\":\"%s\"}]}",
                   c->stream, c->application, application_key, origin);
    return lease_call(c, "updateLeases", body, (size_t) len);
}

static int list_leases(struct kinema_consumer *c)
{
    struct lease_row row = {.c = c};
    for (size_t i = 0; i < c->shard_count; i++)
        c->shards[i]->seen = 0;
    do {
        char body[BODY_BYTES];
        int len =
            snprintf(body, sizeof(body), "{\"StreamName\":\"%s\",\"ApplicationName\":\"%s\"%s%s%s}",
                     c->stream, c->application, row.last[0] ? ",\"AfterLeaseKey\":\"" : "",
                     row.last, row.last[0] ? "\"" : "");
        row.more = 0;
        if (lease_call(c, "listLeases", body, (size_t) len) < 0)
            return -EIO;
        row.now = post_clock_ms();
        if (json_each(c->lease.answer, c->lease.answer_len, lease_member, &row) != 0) {
            consumer_tell(c, KINEMA_CONSUMER_CALL_FAILED, "", "listLeases: it makes no sense", 200);
            return -EIO;
        }
    } while (row.more);
    return 0;
}

int leases_read(struct kinema_consumer *c)
{
    int code = list_leases(c);
    if (code == 0 && !c->origin[0]) {
        code = make_origin(c);
        if (code == 0)
            code = list_leases(c);
        if (code == 0 && !c->origin[0])
            code = -EIO; /* somebody removed it; once more later */
    }
    for (size_t i = 0; code == 0 && i < c->shard_count; i++) {
        struct shard *shard = c->shards[i];
        if (shard->seen)
            continue;
        if (shard->mine)
            shard_lose(c, shard);
        shard->version = 0;
        shard->ended = 0;
        shard->owner[0] = shard->checkpoint[0] = '\0';
    }
    return code;
}

/* --- changing them ---------------------------------------------------------------------------- */
struct results {
    struct lease_change *changes;
    size_t count, at; /* at: behind the one that is being told */
    int64_t version;
};

static int result_member(void *ctx, const char *name, const char *text)
{
    struct results *results = ctx;
    struct lease_change *change = results->at > 0 ? &results->changes[results->at - 1] : NULL;
    if (!name)
        return 0;
    if (strcmp(name, "LeaseKey") == 0) {
        if (results->at == results->count ||
            strcmp(results->changes[results->at].shard->key, text) != 0)
            return -EBADMSG;
        results->at++;
    } else if (change && strcmp(name, "Changed") == 0) {
        change->changed = strcmp(text, "true") == 0;
    } else if (change && strcmp(name, "Version") == 0) {
        change->shard->version = strtoll(text, NULL, 10);
        change->shard->changed_at = post_clock_ms();
    }
    return 0;
}

/* Names and checkpoints hold nothing that JSON escapes. */
static size_t write_change(char *dst, size_t cap, const struct lease_change *change, int first)
{
    char version[48] = "", owner[KINEMA_NAME_BYTES_MAX + 32] = "";
    char checkpoint[CHECKPOINT_BYTES_MAX + 32] = "";
    int len;
    if (change->shard->version)
        (void) snprintf(version, sizeof(version), ",\"Version\":%lld",
                        (long long) change->shard->version);
    if (change->owner && *change->owner)
        (void) snprintf(owner, sizeof(owner), ",\"Owner\":\"%s\"", change->owner);
    if (change->checkpoint && *change->checkpoint)
        (void) snprintf(checkpoint, sizeof(checkpoint), ",\"Checkpoint\":\"%s\"",
                        change->checkpoint);
    len =
        snprintf(dst, cap, "%s{\"LeaseKey\":\"%s\"%s%s%s%s}", first ? "" : ",", change->shard->key,
                 version, owner, checkpoint, change->remove ? ",\"Remove\":true" : "");
    return len > 0 ? (size_t) len : 0;
}

static void take_change(const struct lease_change *change)
{
    struct shard *shard = change->shard;
    if (!change->changed)
        return;
    (void) snprintf(shard->owner, sizeof(shard->owner), "%s", change->owner ? change->owner : "");
    (void) snprintf(shard->checkpoint, sizeof(shard->checkpoint), "%s",
                    change->checkpoint ? change->checkpoint : "");
    shard->ended = strcmp(shard->checkpoint, "SHARD_END") == 0;
}

static int change_some(struct kinema_consumer *c, struct lease_change *changes, size_t count)
{
    size_t cap = BODY_BYTES + count * CHANGE_BYTES, len;
    struct results results = {.changes = changes, .count = count};
    char *body = malloc(cap);
    int code;
    if (!body)
        return -ENOMEM;
    len = (size_t) snprintf(body, cap,
                            "{\"StreamName\":\"%s\",\"ApplicationName\":\"%s\",\"Leases\":[",
                            c->stream, c->application);
    for (size_t i = 0; i < count; i++)
        len += write_change(body + len, cap - len, &changes[i], i == 0);
    len += (size_t) snprintf(body + len, cap - len, "]}");
    code = lease_call(c, "updateLeases", body, len);
    free(body);
    if (code == 0)
        code = json_each(c->lease.answer, c->lease.answer_len, result_member, &results);
    if (code == 0 && results.at != count)
        code = -EBADMSG;
    for (size_t i = 0; code == 0 && i < count; i++)
        take_change(&changes[i]);
    return code;
}

int leases_change(struct kinema_consumer *c, struct lease_change *changes, size_t count)
{
    int code = 0;
    for (size_t i = 0; i < count; i++)
        changes[i].changed = 0;
    for (size_t at = 0; at < count && code == 0; at += LEASES_A_CALL_MAX)
        code = change_some(c, changes + at,
                           count - at < LEASES_A_CALL_MAX ? count - at : LEASES_A_CALL_MAX);
    return code;
}

/* --- shards ----------------------------------------------------------------------------------- */
static int take_shard(struct kinema_consumer *c, struct cbor *in)
{
    char id[KINEMA_NAME_BYTES_MAX + 1] = "", parents[2][KINEMA_NAME_BYTES_MAX + 1] = {"", ""};
    struct cbor_item item;
    struct cbor_group map;
    struct shard *shard;
    int more = 0, code = 0;
    if (cbor_next(in, &item) < 0 || cbor_open(&item, CBOR_MAP, &map) < 0)
        return -EBADMSG;
    while (code == 0 && (more = cbor_member(in, &map, &item)) == 1) {
        if (cbor_is(&item, "ShardId"))
            code = cbor_text(in, id, sizeof(id));
        else if (cbor_is(&item, "ParentShardId"))
            code = cbor_text(in, parents[0], sizeof(parents[0]));
        else if (cbor_is(&item, "AdjacentParentShardId"))
            code = cbor_text(in, parents[1], sizeof(parents[1]));
        else
            code = cbor_skip(in);
    }
    if (more < 0 || code < 0 || !post_is_name(id, KINEMA_NAME_BYTES_MAX))
        return -EBADMSG;
    shard = shard_there(c, id);
    if (!shard)
        return -ENOMEM;
    shard->found = shard->known = 1;
    memcpy(shard->parents, parents, sizeof(parents));
    return 0;
}

static int take_page(struct kinema_consumer *c, char token[TOKEN_BYTES_MAX])
{
    const uint8_t *answer = (const uint8_t *) c->lease.answer;
    struct cbor in = {answer, answer + c->lease.answer_len};
    struct cbor_item item;
    struct cbor_group map, list;
    int more = 0, code = 0;
    token[0] = '\0';
    if (cbor_next(&in, &item) < 0 || cbor_open(&item, CBOR_MAP, &map) < 0)
        return -EBADMSG;
    while (code == 0 && (more = cbor_member(&in, &map, &item)) == 1) {
        if (cbor_is(&item, "NextToken")) {
            code = cbor_text(&in, token, TOKEN_BYTES_MAX);
        } else if (cbor_is(&item, "Shards")) {
            code = cbor_next(&in, &item);
            if (code == 0)
                code = cbor_open(&item, CBOR_ARRAY, &list);
            while (code == 0 && cbor_more(&in, &list))
                code = take_shard(c, &in);
        } else {
            code = cbor_skip(&in);
        }
    }
    return more < 0 ? more : code;
}

int shards_read(struct kinema_consumer *c)
{
    char token[TOKEN_BYTES_MAX] = "";
    for (size_t i = 0; i < c->shard_count; i++)
        c->shards[i]->found = 0;
    do {
        uint8_t body[TOKEN_BYTES_MAX + 64];
        struct cbor_out out = {body, 0, sizeof(body)};
        int code;
        cbor_put_head(&out, CBOR_MAP, 1);
        cbor_put_text(&out, token[0] ? "NextToken" : "StreamName");
        cbor_put_text(&out, token[0] ? token : c->stream);
        code = consumer_call(c, &c->lease, "ListShards", body, out.len);
        if (code < 0) {
            consumer_failed(c, &c->lease, "ListShards");
            return code;
        }
        code = take_page(c, token);
        if (code < 0) {
            consumer_tell(c, KINEMA_CONSUMER_CALL_FAILED, "", "ListShards: it makes no sense", 200);
            return code;
        }
    } while (token[0]);
    for (size_t i = 0; i < c->shard_count; i++) /* half a list says nothing of what is gone */
        c->shards[i]->listed = c->shards[i]->found;
    return 0;
}
