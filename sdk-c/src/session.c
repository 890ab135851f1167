/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection after the other: describe the stream, make it if it is not there, ask for the
 * endpoint, PutMedia. What the calls said is kept, as AWS asks of producers; a connection that ends
 * comes back after a growing pause and begins with the oldest fragment that is not PERSISTED.
 */
#include "producer_private.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum {
    BACKOFF_FIRST_MS = 200, /* PutMedia may be called five times a second */
    BACKOFF_MAX_MS = 16000,
    ENDPOINT_MS = 40 * 60 * 1000, /* how long AWS's producers keep an endpoint */
    STATUS_POLL_MS = 500,         /* a stream that is being made is asked again */
    FLUSH_BYTES = 64 << 10,
    SEND_TURNS = 3,
    LONGEST_WAIT_MS = 500,
    STANDING_WAIT_MS = 2000 /* while an upload stands */
};

void producer_cut(struct kinema_producer *p, const char *reason)
{
    if (!p->cut[0])
        (void) snprintf(p->cut, sizeof(p->cut), "%s", reason);
    producer_wake(p);
}

/* The next attempt waits a little longer, by as much as a third more or less: a thousand cameras
 * must not come back at once. */
static void back_off(struct kinema_producer *p, int64_t now)
{
    uint8_t chance = 128;
    p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (p->backoff_ms > BACKOFF_MAX_MS)
        p->backoff_ms = BACKOFF_MAX_MS;
    (void) RAND_bytes(&chance, 1);
    p->retry_at = now + p->backoff_ms * 2 / 3 + p->backoff_ms * chance / 384;
}

void session_end(struct kinema_producer *p)
{
    if (p->easy) {
        (void) curl_multi_remove_handle(p->multi, p->easy);
        curl_easy_cleanup(p->easy);
    }
    curl_slist_free_all(p->headers);
    p->easy = NULL;
    p->headers = NULL;
    p->call = CALL_NONE;
    p->connected = 0;
    p->send_index = 0; /* what is not PERSISTED is to be sent again */
    p->send_offset = 0;
}

/* --- what an answer means --------------------------------------------------------------------- */
static void call_failed(struct kinema_producer *p, int64_t now, long status, const char *reason)
{
    static const char *const names[] = {"credentials",     "DescribeStream", "CreateStream",
                                        "GetDataEndpoint", "PutMedia",       "credentials"};
    char text[REASON_BYTES_MAX], message[128] = "";
    if (status != 0)
        (void) json_find(p->answer, p->answer_len, "message", message, sizeof(message));
    if (status != 0 && !message[0])
        (void) json_find(p->answer, p->answer_len, "Message", message, sizeof(message));
    (void) snprintf(text, sizeof(text), "%s: %.80s%s%s", names[p->call],
                    reason ? reason : "refused", message[0] ? ": " : "", message);
    p->stats.errors++;
    if (status == 401 || status == 403)
        credentials_refused(p->credentials);
    if (p->call == CALL_KEY) {
        OPENSSL_cleanse(p->answer, sizeof(p->answer));
    } else if (status == 403 || status == 404 ||
               status == 0) { /* what was kept may be wrong by now */
        p->endpoint[0] = '\0';
        p->stream_known = p->stream_known && status != 404;
    }
    session_end(p);
    back_off(p, now);
    producer_tell(
        p, (struct kinema_event){.type = KINEMA_CALL_FAILED, .http_status = status, .text = text});
}

static void described(struct kinema_producer *p, int64_t now, long status)
{
    char state[32] = "", hours[16] = "";
    if (status == 404 && !p->no_create) {
        p->must_create = 1;
        session_end(p);
        return;
    }
    if (status != 200 || json_find(p->answer, p->answer_len, "Status", state, sizeof(state)) < 0) {
        call_failed(p, now, status, status == 404 ? "there is no such stream" : NULL);
        return;
    }
    if (strcmp(state, "ACTIVE") == 0 || strcmp(state, "UPDATING") == 0) {
        p->stream_known = 1;
        if (json_find(p->answer, p->answer_len, "DataRetentionInHours", hours, sizeof(hours)) == 0)
            p->persists = strcmp(hours, "0") != 0;
        session_end(p);
    } else if (strcmp(state, "CREATING") == 0) {
        session_end(p);
        p->retry_at = now + STATUS_POLL_MS;
    } else {
        call_failed(p, now, status, state);
    }
}

static void got_key(struct kinema_producer *p, int64_t now, long status)
{
    int code = status == 200 ? credentials_called(p->credentials, p->answer, p->answer_len) : 0;
    if (status != 200 || code < 0) {
        call_failed(p, now, status,
                    code == -ETIMEDOUT ? "the key has expired already"
                    : code < 0         ? "the answer is no key"
                                       : NULL);
        return;
    }
    OPENSSL_cleanse(p->answer, sizeof(p->answer));
    session_end(p);
}

static void called(struct kinema_producer *p, int64_t now, long status)
{
    switch (p->call) {
    case CALL_DESCRIBE:
        described(p, now, status);
        return;
    case CALL_CREATE:
        p->must_create = 0; /* made, or made by somebody else meanwhile: describe says */
        if (status != 200)
            call_failed(p, now, status, NULL);
        else
            session_end(p);
        return;
    case CALL_ENDPOINT:
        if (status != 200 || json_find(p->answer, p->answer_len, "DataEndpoint", p->endpoint,
                                       sizeof(p->endpoint)) < 0) {
            call_failed(p, now, status, status == 200 ? "no DataEndpoint in the answer" : NULL);
            return;
        }
        p->endpoint_at = now;
        session_end(p);
        return;
    case CALL_KEY:
        got_key(p, now, status);
        return;
    case CALL_NONE:
    case CALL_PUT:
        return;
    }
}

/* The upload is over: as it should be, or for a reason. */
static void upload_ended(struct kinema_producer *p, int64_t now, CURLcode result, long status)
{
    int was_connected = p->connected, orderly = p->body_over && result == CURLE_OK && !p->cut[0];
    char text[REASON_BYTES_MAX];
    if (status != 0 && status != 200) {
        call_failed(p, now, status, NULL);
        return;
    }
    (void) snprintf(text, sizeof(text), "%s",
                    p->cut[0]     ? p->cut
                    : result != 0 ? curl_easy_strerror(result)
                    : orderly     ? "all was sent"
                                  : "the service ended the connection");
    if (!orderly && !was_connected)
        p->endpoint[0] = '\0'; /* the service may have moved */
    session_end(p);
    if (!orderly)
        back_off(p, now);
    p->cut[0] = '\0';
    producer_tell(
        p, (struct kinema_event){.type = KINEMA_DISCONNECTED, .http_status = status, .text = text});
}

static void take_results(struct kinema_producer *p, int64_t now)
{
    CURLMsg *message;
    CURLcode result;
    long status = 0;
    int left;
    while (p->easy && (message = curl_multi_info_read(p->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE || message->easy_handle != p->easy)
            continue;
        result = message->data.result;
        (void) curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
        if (p->call == CALL_PUT)
            upload_ended(p, now, result, status);
        else if (result != CURLE_OK)
            call_failed(p, now, 0, curl_easy_strerror(result));
        else
            called(p, now, status);
    }
}

/* --- what is due ------------------------------------------------------------------------------ */
static void start_next(struct kinema_producer *p, int64_t now)
{
    enum call call = CALL_PUT;
    int code;
    if (!p->stream_known)
        call = p->must_create ? CALL_CREATE : CALL_DESCRIBE;
    else if (!p->endpoint[0] || now - p->endpoint_at > ENDPOINT_MS)
        call = CALL_ENDPOINT;
    else if (producer_sendable(p) == 0)
        return;
    code = request_start(p, call);
    if (code < 0)
        call_failed(p, now, 0, code == -EACCES ? "there are none" : strerror(-code));
}

static uint64_t bytes_due(const struct kinema_producer *p)
{
    uint64_t due = 0;
    for (size_t i = p->send_index; i < producer_sendable(p) && due < FLUSH_BYTES; i++)
        due += ring_at(&p->ring, i)->len - (i == p->send_index ? p->send_offset : 0);
    return due;
}

/* A paused body goes on when enough has gathered: 1; in real time not for every frame, since each
 * time costs several system calls. */
static int go_on(struct kinema_producer *p, int64_t now)
{
    int ends = p->draining || p->body_over || now >= p->renew_at;
    uint64_t due;
    if (!p->paused)
        return 0;
    due = bytes_due(p);
    if (due == 0)
        p->gathered_at = 0; /* it was dropped */
    if (due == 0 && !ends && (producer_sendable(p) > 0 || now < p->heard_at + SESSION_IDLE_MS))
        return 0;
    if (due < FLUSH_BYTES && !ends && !p->offline && now < p->gathered_at + (int64_t) p->flush_ms)
        return 0;
    p->paused = 0;
    if (curl_easy_pause(p->easy, CURLPAUSE_CONT) != CURLE_OK)
        producer_cut(p, "the upload cannot go on");
    return 1;
}

/* Something was sent of which nothing was heard for too long. */
static void check_silence(struct kinema_producer *p, int64_t now)
{
    if (p->ring.count == 0 || (p->send_index == 0 && p->send_offset == 0 && p->connected))
        return;
    if (now - p->heard_at > p->ack_timeout_ms)
        producer_cut(p, "no acknowledgement came in time");
}

/* libcurl itself is at its end, usually of memory. */
static void perform_failed(struct kinema_producer *p, int64_t now)
{
    if (p->call == CALL_PUT)
        producer_cut(p, "libcurl cannot go on");
    else
        call_failed(p, now, 0, "libcurl cannot go on");
}

/* Whether libcurl has to look around: an upload that stands need not while it is paused and nothing
 * comes. */
static int looks(const struct kinema_producer *p, int ready)
{
    long timer_ms = 0;
    return p->call != CALL_PUT || !p->connected || ready ||
           (curl_multi_timeout(p->multi, &timer_ms) == CURLM_OK && timer_ms == 0);
}

/* When an upload goes on, the first turn sends what has gathered, where there is more than
 * libcurl's buffer takes the second too, and the last finds that there is no more. */
static CURLMcode send_gathered(struct kinema_producer *p)
{
    CURLMcode code = CURLM_OK;
    for (int turn = 0; turn < SEND_TURNS && code == CURLM_OK && p->connected && !p->paused; turn++)
        code = request_send(p);
    return code;
}

/* Whether what had come was read. */
static int perform(struct kinema_producer *p, int64_t now, int ready, int goes_on)
{
    CURLMcode code = goes_on ? send_gathered(p) : CURLM_OK;
    int running, reads = code == CURLM_OK && looks(p, ready);
    if (reads)
        code = curl_multi_perform(p->multi, &running);
    if (code != CURLM_OK)
        perform_failed(p, now);
    return reads;
}

/* Frames and acknowledgements come by themselves; the rest may be noticed a little late. */
static int64_t standing_wait_ms(const struct kinema_producer *p, int64_t now)
{
    const int64_t due[] = {p->heard_at + (int64_t) p->ack_timeout_ms + 1, p->renew_at};
    int64_t wait_ms = p->offline ? LONGEST_WAIT_MS : STANDING_WAIT_MS;
    long timer_ms = -1;
    for (size_t i = 0; i < sizeof(due) / sizeof(*due); i++)
        if (due[i] > now && due[i] - now < wait_ms)
            wait_ms = due[i] - now;
    if (curl_multi_timeout(p->multi, &timer_ms) == CURLM_OK && timer_ms >= 0 && timer_ms < wait_ms)
        wait_ms = timer_ms;
    return wait_ms;
}

void session_step(struct kinema_producer *p, int64_t now, int ready, int64_t *ret_wait_ms)
{
    int again, goes_on, reads;
    int64_t wait_ms;
    do {
        wait_ms = LONGEST_WAIT_MS;
        goes_on = reads = 0;
        if (!p->easy && now >= p->retry_at)
            start_next(p, now);
        else if (!p->easy)
            wait_ms = p->retry_at - now;
        again = p->easy != NULL;
        if (p->call == CALL_PUT)
            goes_on = go_on(p, now);
        if (p->easy)
            reads = perform(p, now, ready, goes_on);
        take_results(p, now);
        if (p->call == CALL_PUT && reads && request_is_cut_off(p))
            producer_cut(p, "the service closed its side");
        if (p->call == CALL_PUT)
            check_silence(p, now);
        if (p->call == CALL_PUT && p->cut[0])
            upload_ended(p, now, CURLE_OK, 0);
        again = again && !p->easy; /* one ended: the next may begin at once */
    } while (again);
    *ret_wait_ms = session_stands(p) ? standing_wait_ms(p, now) : wait_ms;
}

int session_stands(const struct kinema_producer *p)
{
    return p->call == CALL_PUT && p->connected && p->paused && !p->cut[0];
}

int64_t session_flush_at(const struct kinema_producer *p)
{
    int may = p->call == CALL_PUT && p->paused && !p->cut[0] && !p->offline;
    return may && p->gathered_at ? p->gathered_at + (int64_t) p->flush_ms : INT64_MAX;
}

int session_flush(struct kinema_producer *p, int64_t before)
{
    if (!session_stands(p) || p->offline || !go_on(p, before))
        return 0;
    if (send_gathered(p) != CURLM_OK)
        perform_failed(p, before);
    return !session_stands(p) || looks(p, 0);
}
