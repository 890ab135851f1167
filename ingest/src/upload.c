/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One upload's states:
 *
 *   WAITING → OPENING → RUNNING → FINISHING → CLOSING → CLOSED
 *                          └────→ FAILING ──────┘
 *
 * FINISHING and FAILING wait for the commits under way, so that what is stored is acknowledged as
 * PERSISTED before the response ends or an ERROR makes the client deaf (observed with Producer C
 * 1.6.4: acks after an ERROR are ignored). Everything runs on the request's loop; storage's threads
 * only put mail into a box and wake it. The upload lives until the request is gone and the writer
 * has been closed.
 */
#include "upload.h"

#include "rhythm.h"
#include "seat.h"
#include "upload_notes.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/log.h"

enum upload_state {
    WAITING,
    OPENING,
    RUNNING,
    FINISHING,
    FAILING,
    CLOSING,
    CLOSED
};

enum {
    WAKE_MAIL = 4,
    WAKE_PULL = 8,
    WAKE_VIEWER = 16
}; /* besides those of seat.h */

enum {
    GUARD_MS = 10000, /* most that is waited for commits before closing anyway */
    OPEN_RETRY_MS = 100,
    STREAM_CHECK_MS = 1000, /* is the stream still there? */
    WAIT_CHECK_MS = 250,
    FOLLOWED_MS = 2000, /* a viewer that is just taking frames does not wait; it will again */
};
#define NS_PER_MS INT64_C(1000000)

struct mail { /* a commit that has called back */
    struct storage_fragment fragment;
    bool duplicate;
    int result;
};

struct ingest_upload {
    _Atomic unsigned refs; /* the request's and the writer's */
    struct ingest *ingest;
    struct kn_api_call *call;
    struct kn_http_req *req;
    struct ingest_upload_open open;
    struct ingest_sitter sitter;
    struct ingest_seam seam;
    struct storage_writer *writer;
    struct ingest_assembler *assembler;
    struct ingest_upload_notes notes;
    struct ingest_rhythm rhythm;

    enum upload_state state;
    bool entered; /* head() was called: there is a seat to leave */
    bool fence;   /* taken over from a silent one */
    bool answered;
    bool has_bytes; /* while waiting */
    bool paused;    /* the engine waits for kn_http_resume_body */
    bool finish_due;
    bool aged;
    bool idle_due;
    bool unanswered; /* during this silence its machine did not answer: the link may be dead */
    bool active;     /* the stream, … */
    bool final_due;
    struct ingest_ack final; /* the ERROR */
    uint64_t active_changes; /* … by this count */
    int64_t started_ns, idle_ns, checked_ns, guard_ns, due_ns;
    _Atomic bool unhurried;    /* nobody waits for its frames */
    int64_t followed_until_ns; /* a viewer waited for what came next not long before */

    struct kn_lock lock; /* guards what follows */
    bool deaf;           /* the request is gone */
    bool writable;
    unsigned mail_count;
    struct mail mail[INGEST_PENDING_MAX];
};

static void unref(struct ingest_upload *u)
{
    if (atomic_fetch_sub(&u->refs, 1) != 1)
        return;
    struct ingest_seats *seats = u->ingest->seats;
    storage_stream_unref(u->open.stream);
    kn_lock_done(&u->lock);
    free(u);
    ingest_seats_unref(seats);
}

int ingest_upload_new(struct ingest *ingest, struct kn_api_call *call,
                      const struct ingest_upload_open *open, struct ingest_upload **ret)
{
    struct ingest_upload *u = calloc(1, sizeof *u);
    if (!u) {
        storage_stream_unref(open->stream);
        return -ENOMEM;
    }
    u->refs = 1;
    u->ingest = ingest;
    u->call = call;
    u->open = *open;
    u->sitter.stream = open->stream->id;
    u->notes = (struct ingest_upload_notes){
        .ingest = ingest, .stream = open->stream, .request_id = call->request_id};
    kn_lock_init(&u->lock);
    ingest_seats_ref(ingest->seats);
    *ret = u;
    return 0;
}

static int64_t now_ns(const struct ingest_upload *u)
{
    return kn_mono_ns(u->ingest->clock);
}

static int64_t ns_of_ms(uint64_t ms)
{
    return (int64_t) ms * NS_PER_MS;
}

static bool stream_is_active(struct ingest_upload *u)
{
    uint64_t changes = storage_stream_changes(u->ingest->storage);
    if (u->active && u->active_changes == changes)
        return true;
    struct storage_stream *now = storage_stream_find_id(u->ingest->storage, &u->open.stream->id);
    u->active = now && now->status == STORAGE_STREAM_ACTIVE;
    u->active_changes = changes;
    if (now)
        storage_stream_unref(now);
    return u->active;
}

/* After a callback other than wake() and pull(): there is something to pull. */
static void nudge(struct ingest_upload *u)
{
    kn_http_wake(u->sitter.ref, WAKE_PULL);
}

/* --- storage's threads ------------------------------------------------------------------------ */

static void on_committed(void *ctx, const struct storage_fragment *fragment, bool duplicate,
                         int result)
{
    struct ingest_upload *u = ctx;
    {
        KN_LOCKED(&u->lock);
        if (u->deaf)
            return;
        kn_assert(u->mail_count < INGEST_PENDING_MAX); /* the assembler has no more under way */
        u->mail[u->mail_count++] = (struct mail){*fragment, duplicate, result};
    }
    if (atomic_load(&u->unhurried))
        kn_http_wake_soon(u->sitter.ref, WAKE_MAIL);
    else
        kn_http_wake(u->sitter.ref, WAKE_MAIL);
}

static void on_writable(void *ctx)
{
    struct ingest_upload *u = ctx;
    {
        KN_LOCKED(&u->lock);
        u->writable = true;
    }
    kn_http_wake(u->sitter.ref, WAKE_MAIL);
}

static void on_followed(void *ctx)
{
    struct ingest_upload *u = ctx;
    kn_http_wake(u->sitter.ref, WAKE_VIEWER);
}

static void on_closed(void *ctx)
{
    unref(ctx);
}

static const struct storage_writer_events writer_events = {
    .committed = on_committed,
    .writable = on_writable,
    .followed = on_followed,
};

/* --- ends ------------------------------------------------------------------------------------- */

/* Gives writer and seat to whoever comes next. */
static void let_go(struct ingest_upload *u)
{
    bool wrote = u->writer != NULL;
    if (wrote && !stream_is_active(u))
        u->seam.known = false; /* the stream goes, and with it what its seat remembers */
    if (wrote)
        storage_writer_close(KN_MOVE(u->writer), on_closed);
    if (u->entered)
        ingest_seat_leave(u->ingest->seats, &u->sitter, wrote ? &u->seam : NULL);
    u->entered = false;
}

static void close_now(struct ingest_upload *u)
{
    u->state = CLOSING;
    if (u->final_due) /* the service closes after an ERROR, whatever the body */
        kn_http_close_after(u->req);
    let_go(u);
    nudge(u);
}

/* FINISHING and FAILING end once no commit is under way. */
static void close_if_quiet(struct ingest_upload *u)
{
    if (u->state != FINISHING && u->state != FAILING)
        return;
    if (ingest_assembler_pending(u->assembler) && now_ns(u) < u->guard_ns)
        return;
    const struct ingest_fault *fault = ingest_assembler_fault(u->assembler);
    if (u->state == FAILING && !fault->silent) {
        u->final = fault->ack;
        u->final_due = true;
    }
    close_now(u);
}

/* The assembler has raised a fault. */
static void enter_failing(struct ingest_upload *u)
{
    const struct ingest_fault *fault = ingest_assembler_fault(u->assembler);
    if (!fault->silent && !stream_is_active(u))
        ingest_assembler_blame(u->assembler, INGEST_STREAM_NOT_ACTIVE);
    if (!fault->silent)
        ingest_upload_notes_fault(&u->notes, &fault->ack, fault->text);
    u->state = FAILING;
    u->guard_ns = now_ns(u) + GUARD_MS * NS_PER_MS;
    close_if_quiet(u);
}

static void fail(struct ingest_upload *u, enum ingest_error error, const char *text)
{
    ingest_assembler_fail(u->assembler, error, text);
    enter_failing(u);
}

static void enter_finishing(struct ingest_upload *u)
{
    u->state = FINISHING;
    u->guard_ns = now_ns(u) + GUARD_MS * NS_PER_MS;
    close_if_quiet(u);
}

/* Before the 200 an HTTP error, after it an ERROR acknowledgement. */
static void refuse(struct ingest_upload *u, int status, const char *name, const char *message,
                   enum ingest_error error)
{
    let_go(u);
    if (!u->answered) {
        u->answered = true;
        u->state = CLOSED;
        kn_api_reply_error(u->req, status, name, message);
        return;
    }
    u->final = (struct ingest_ack){.type = INGEST_ACK_ERROR, .error = error};
    u->final_due = true;
    ingest_upload_notes_fault(&u->notes, &u->final, message);
    close_now(u);
}

/* --- beginnings ------------------------------------------------------------------------------- */

static void answer(struct ingest_upload *u)
{
    if (u->answered)
        return;
    struct kn_http_header headers[KN_API_STREAM_HEADERS];
    size_t count = kn_api_stream_headers(u->call, "application/json", headers);
    u->answered = true;
    kn_http_reply_stream(u->req, 200, headers, count, KN_HTTP_LENGTH_UNKNOWN);
}

static void refuse_open(struct ingest_upload *u, int r)
{
    if (r == -ENOENT)
        refuse(u, 404, "ResourceNotFoundException",
               "The requested stream is not found or not active.", INGEST_STREAM_NOT_ACTIVE);
    else if (r == -ENOSPC) /* 504: the only status after which AWS's C producer backs off */
        refuse(u, 504, "ServiceUnavailableException", "The server has no space left.",
               INGEST_ARCHIVAL_ERROR);
    else
        refuse(u, 504, "ServiceUnavailableException", "The server is overloaded.",
               INGEST_INTERNAL_ERROR);
}

static void resume(struct ingest_upload *u)
{
    atomic_store(&u->sitter.stalled, false);
    if (!u->paused)
        return;
    u->paused = false;
    atomic_store(&u->sitter.last_byte_ns, now_ns(u));
    kn_http_resume_body(u->req);
}

/* The seat is ours. */
static void open_writer(struct ingest_upload *u)
{
    struct ingest *ingest = u->ingest;
    u->state = OPENING;
    int r = storage_writer_open(ingest->storage, &u->open.stream->id, u->fence, &writer_events, u,
                                &u->writer);
    if (r == -EBUSY)
        return; /* somebody who takes no seat; tried again by tick() */
    if (r < 0) {
        refuse_open(u, r);
        return;
    }
    atomic_fetch_add(&u->refs, 1);
    struct ingest_assembler_conf conf = {
        .limits = &ingest->conf,
        .writer = u->writer,
        .seam = &u->seam,
        .relative = u->open.relative,
        .start_ms = u->open.start_ms,
        .errors_only = u->open.errors_only,
        .tracks_may_pause = u->open.tracks_may_pause,
    };
    r = ingest_assembler_new(&conf, &u->assembler);
    if (r < 0) {
        refuse_open(u, r);
        return;
    }
    u->state = RUNNING;
    answer(u);
    kn_http_watch_peer(u->req);
    atomic_store(&u->sitter.last_byte_ns, now_ns(u));
    resume(u);
}

/* --- time ------------------------------------------------------------------------------------- */

static void tick_waiting(struct ingest_upload *u, int64_t now)
{
    const struct ingest_conf *conf = &u->ingest->conf;
    int64_t waited = now - u->started_ns, left = 0;
    if (conf->second_writer == INGEST_SECOND_REJECTED) {
        if (waited >= ns_of_ms(conf->takeover_silence_ms))
            refuse(u, 400, "ConnectionLimitExceededException",
                   "The stream has a PutMedia connection already.", INGEST_STREAM_READ_ERROR);
        return;
    }
    if (!u->has_bytes) {
        if (waited >= ns_of_ms(conf->connection_idle_ms))
            close_now(u);
        return;
    }
    int r = ingest_seat_take_over(u->ingest->seats, &u->sitter, now,
                                  ns_of_ms(conf->takeover_silence_ms), &left);
    if (r == 1) {
        kn_log_info("upload_takeover", "stream=" KN_STR_FMT " request=%s",
                    KN_STR_ARG(u->open.stream->name), u->call->request_id);
        u->fence = true;
        u->seam = (struct ingest_seam){.known = false};
        open_writer(u);
    }
}

static void tick_running(struct ingest_upload *u, int64_t now)
{
    const struct ingest_conf *conf = &u->ingest->conf;
    int64_t age = now - u->started_ns;
    if (!stream_is_active(u)) { /* a silent camera is told too */
        fail(u, INGEST_STREAM_NOT_ACTIVE, "the stream was deleted");
        return;
    }
    if (conf->connection_ms_max && age >= ns_of_ms(conf->connection_ms_max)) {
        if (!u->aged)
            ingest_assembler_stop_at_next(u->assembler, INGEST_MAX_CONNECTION_DURATION_REACHED);
        u->aged = true;
        if (age >= ns_of_ms(conf->connection_ms_max + conf->fragment_ms_max)) {
            fail(u, INGEST_MAX_CONNECTION_DURATION_REACHED, "connection too old");
            return;
        }
    }
    if (u->paused) /* we are the slow ones */
        return;
    int64_t silent = now - atomic_load(&u->sitter.last_byte_ns);
    if (silent >= ns_of_ms(conf->fragment_idle_ms) / 2)
        u->unanswered |= !kn_http_peer_answers(u->req);
    /* What is on its way would be lost to a fragment that is PERSISTED without it. */
    if (silent >= ns_of_ms(conf->fragment_idle_ms) && !u->unanswered) {
        int r = ingest_assembler_close_fragment(u->assembler);
        if (r == -ECANCELED) {
            enter_failing(u);
            return;
        }
    }
    if (silent < ns_of_ms(conf->connection_idle_ms))
        return;
    if (ingest_assembler_is_open(u->assembler))
        fail(u, INGEST_STREAM_READ_ERROR,
             u->unanswered ? "the link does not answer" : "silence inside an element");
    else
        enter_finishing(u);
}

static void tick(struct ingest_upload *u)
{
    int64_t now = now_ns(u);
    if (u->state == WAITING)
        tick_waiting(u, now);
    else if (u->state == OPENING)
        open_writer(u);
    else if (u->state == RUNNING)
        tick_running(u, now);
    int64_t moved = kn_max_i64(atomic_load(&u->sitter.last_byte_ns), u->idle_ns);
    if (u->state < CLOSING && !u->open.errors_only &&
        now - moved >= ns_of_ms(u->ingest->conf.idle_ack_ms)) {
        u->idle_due = true;
        u->idle_ns = now;
    }
}

/* Asks to be woken when the next of the times above comes. Bytes move most of them on; that is seen
 * when the deadline fires, or shortly before it would, so that nothing is done a frame. */
static void rearm(struct ingest_upload *u)
{
    const struct ingest_conf *conf = &u->ingest->conf;
    int64_t now = now_ns(u), at = INT64_MAX;
    int64_t last = atomic_load(&u->sitter.last_byte_ns);
    if (u->state >= CLOSING)
        return;
    if (!u->open.errors_only)
        at = kn_max_i64(last, u->idle_ns) + ns_of_ms(conf->idle_ack_ms);
    if (u->state == WAITING) {
        at = kn_min_i64(at, now + WAIT_CHECK_MS * NS_PER_MS);
    } else if (u->state == OPENING) {
        at = kn_min_i64(at, now + OPEN_RETRY_MS * NS_PER_MS);
    } else if (u->state == RUNNING) {
        /* a fragment may open meanwhile: never longer than its silence */
        int64_t soon = now + ns_of_ms(conf->fragment_idle_ms);
        int64_t idle_at = last + ns_of_ms(conf->fragment_idle_ms);
        int64_t half_at = last + ns_of_ms(conf->fragment_idle_ms) / 2;
        int64_t look_at = half_at > now ? half_at : idle_at;
        at = kn_min_i64(at, u->paused || idle_at <= now ? soon : look_at);
        if (conf->connection_ms_max)
            at = kn_min_i64(at, u->started_ns + ns_of_ms(conf->connection_ms_max +
                                                         (u->aged ? conf->fragment_ms_max : 0)));
    } else {
        at = kn_min_i64(at, u->guard_ns);
    }
    u->due_ns = at;
    int64_t in_ms = (at - now + NS_PER_MS - 1) / NS_PER_MS;
    kn_http_deadline(u->req, kn_max_i64(in_ms, 10));
}

/* Of a sender that is not silent none of these times comes: moving the deadline costs less than
 * being woken by it. */
static void put_off(struct ingest_upload *u, int64_t now)
{
    if (u->due_ns - now < ns_of_ms(u->ingest->conf.fragment_idle_ms) / 4)
        rearm(u);
}

/* --- the body --------------------------------------------------------------------------------- */

static void finish(struct ingest_upload *u)
{
    int r = ingest_assembler_finish(u->assembler);
    u->finish_due = r == -EAGAIN;
    ingest_upload_notes_handed_in(&u->notes, u->assembler);
    if (r == 0)
        enter_finishing(u);
    else if (r != -EAGAIN)
        enter_failing(u);
}

/* There is room again: what was stuck goes on. */
static void go_on(struct ingest_upload *u)
{
    if (u->state != RUNNING)
        return;
    if (u->finish_due) {
        finish(u);
        return;
    }
    ssize_t n = ingest_assembler_feed(u->assembler, (struct kn_bytes){(const uint8_t *) "", 0});
    ingest_upload_notes_handed_in(&u->notes, u->assembler);
    if (n < 0)
        enter_failing(u);
    else
        resume(u);
}

static void read_mail(struct ingest_upload *u)
{
    struct mail mail[INGEST_PENDING_MAX];
    kn_lock_take(&u->lock);
    unsigned count = u->mail_count;
    bool writable = u->writable;
    memcpy(mail, u->mail, count * sizeof mail[0]);
    u->mail_count = 0;
    u->writable = false;
    kn_lock_give(&u->lock);
    if (!u->assembler || u->state >= CLOSING)
        return;
    for (unsigned i = 0; i < count; i++) {
        ingest_assembler_committed(u->assembler, &mail[i].fragment, mail[i].result);
        ingest_upload_notes_committed(&u->notes, mail[i].result, mail[i].duplicate);
    }
    if (ingest_assembler_fault(u->assembler)->set && u->state != FAILING)
        enter_failing(u);
    else if (count || writable)
        go_on(u);
    close_if_quiet(u);
}

/* Frames that nobody waits for may be taken a few times a second, together; or when the fragment
 * they belong to ends, if that can be foreseen. */
static void set_pace(struct ingest_upload *u, int64_t now)
{
    struct ingest_times times;
    if (ingest_assembler_times(u->assembler, &times))
        ingest_rhythm_saw(&u->rhythm, now, &times, u->notes.bytes);
    bool calm = now >= u->followed_until_ns;
    if (calm ? storage_writer_ask_followed(u->writer) : storage_writer_is_followed(u->writer)) {
        u->followed_until_ns = now + FOLLOWED_MS * NS_PER_MS;
        calm = false;
    }
    atomic_store(&u->unhurried, calm);
    kn_http_pace_body(u->req, calm ? ingest_rhythm_calm_ms(&u->rhythm, now) : 0);
}

/* A viewer has begun to wait for what comes. */
static void on_viewer(struct ingest_upload *u)
{
    u->followed_until_ns = now_ns(u) + FOLLOWED_MS * NS_PER_MS;
    atomic_store(&u->unhurried, false);
    if (u->state == RUNNING)
        kn_http_pace_body(u->req, 0);
}

/* The peer is told now, or together with the PERSISTED that is due next. */
static void say_acks(struct ingest_upload *u)
{
    bool later = atomic_load(&u->unhurried) && !u->paused && ingest_assembler_pending(u->assembler);
    if (ingest_assembler_acks(u->assembler) && !later)
        kn_http_resume_answer(u->req);
}

static ssize_t take_bytes(struct ingest_upload *u, struct kn_bytes in)
{
    int64_t now = now_ns(u);
    atomic_store(&u->sitter.last_byte_ns, now);
    u->unanswered = false;
    put_off(u, now);
    if (now - u->checked_ns >= STREAM_CHECK_MS * NS_PER_MS) {
        u->checked_ns = now;
        if (!stream_is_active(u)) {
            fail(u, INGEST_STREAM_NOT_ACTIVE, "the stream was deleted");
            return (ssize_t) in.len;
        }
    }
    ssize_t n = ingest_assembler_feed(u->assembler, in);
    ingest_upload_notes_handed_in(&u->notes, u->assembler);
    if (n < 0) {
        enter_failing(u);
        return (ssize_t) in.len;
    }
    ingest_upload_notes_bytes(&u->notes, (uint64_t) n);
    set_pace(u, now);
    u->paused = (size_t) n < in.len;
    atomic_store(&u->sitter.stalled, u->paused);
    say_acks(u);
    return n;
}

/* --- what the HTTP engine calls --------------------------------------------------------------- */

static int on_head(struct kn_http_req *req, void **ctx)
{
    struct ingest_upload *u = *ctx;
    bool seated = false;
    u->req = req;
    u->sitter.ref = kn_http_ref_of(req);
    u->started_ns = u->idle_ns = now_ns(u);
    atomic_store(&u->sitter.last_byte_ns, u->started_ns);
    ingest_upload_notes_begin(&u->notes, kn_http_peer(req), u->open.relative);
    int r = ingest_seat_enter(u->ingest->seats, &u->sitter, &seated, &u->seam);
    if (r < 0) {
        refuse_open(u, r);
        return 0;
    }
    u->entered = true;
    if (seated)
        open_writer(u);
    else if (u->ingest->conf.second_writer == INGEST_SECOND_WAITS)
        answer(u);
    rearm(u);
    return 0;
}

static ssize_t on_data(struct kn_http_req *req, void *ctx, const void *ptr, size_t len)
{
    struct ingest_upload *u = ctx;
    (void) req;
    if (u->state <= OPENING) {
        u->has_bytes = u->paused = true;
        return 0;
    }
    if (u->state == RUNNING)
        return take_bytes(u, (struct kn_bytes){ptr, len});
    return (ssize_t) len; /* it is over: of no interest */
}

static void on_end(struct kn_http_req *req, void *ctx)
{
    struct ingest_upload *u = ctx;
    (void) req;
    if (u->state == RUNNING)
        finish(u);
    else if (u->state <= OPENING) { /* an empty body: legal, and nothing to wait for */
        answer(u);
        close_now(u);
    }
    nudge(u);
}

static ssize_t on_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct ingest_upload *u = ctx;
    struct ingest_ack ack = {.type = INGEST_ACK_IDLE};
    (void) req;
    if (cap < INGEST_ACK_BYTES_MAX)
        return KN_HTTP_FAIL;
    if (u->assembler && ingest_assembler_pop(u->assembler, &ack)) {
        if (u->finish_due || u->paused)
            go_on(u);
        return (ssize_t) ingest_ack_format(&ack, dst);
    }
    if (u->final_due) {
        u->final_due = false;
        return (ssize_t) ingest_ack_format(&u->final, dst);
    }
    if (u->state >= CLOSING) {
        u->state = CLOSED;
        return KN_HTTP_EOF;
    }
    if (u->idle_due) {
        u->idle_due = false;
        return (ssize_t) ingest_ack_format(&ack, dst);
    }
    return KN_HTTP_WAIT;
}

static void on_replaced(struct ingest_upload *u)
{
    if (u->state <= OPENING)
        refuse(u, 400, "ConnectionLimitExceededException",
               "A newer PutMedia connection waits for the stream.", INGEST_STREAM_READ_ERROR);
    else if (u->state == RUNNING || u->state == FINISHING)
        fail(u, INGEST_STREAM_READ_ERROR, "silent, and a newer upload has bytes");
}

/* The server drains: what is open may end, nothing new begins. */
static void on_shutdown(struct ingest_upload *u)
{
    if (u->state <= OPENING) {
        answer(u);
        close_now(u);
    } else if (u->state == RUNNING) {
        ingest_assembler_stop_at_next(u->assembler, INGEST_ERROR_NONE);
        if (!ingest_assembler_is_open(u->assembler))
            enter_finishing(u);
    }
}

static void on_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct ingest_upload *u = ctx;
    (void) req;
    read_mail(u);
    if (bits & WAKE_VIEWER)
        on_viewer(u);
    if (bits & INGEST_WAKE_ASKED) {
        on_viewer(u); /* what came is read as soon as this returns */
        atomic_store(&u->sitter.asked, false);
    }
    if (bits & INGEST_WAKE_SEATED && u->state == WAITING &&
        ingest_seat_is_mine(u->ingest->seats, &u->sitter, &u->seam))
        open_writer(u);
    if (bits & INGEST_WAKE_REPLACED)
        on_replaced(u);
    if (bits & KN_HTTP_WAKE_SHUTDOWN)
        on_shutdown(u);
    if (bits & KN_HTTP_WAKE_DEADLINE)
        tick(u);
    close_if_quiet(u);
    if (bits & ~(uint32_t) (WAKE_MAIL | WAKE_PULL | WAKE_VIEWER))
        rearm(u);
}

static void on_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    struct ingest_upload *u = ctx;
    (void) req;
    {
        KN_LOCKED(&u->lock);
        u->deaf = true;
    }
    if (u->req) /* head() was called */
        ingest_upload_notes_end(&u->notes, why);
    let_go(u);
    ingest_assembler_free(KN_MOVE(u->assembler));
    unref(u);
}

const struct kn_http_ops ingest_upload_ops = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .pull = on_pull,
    .wake = on_wake,
    .gone = on_gone,
};

static_assert(sizeof(struct ingest_upload) <= 6 << 10, "upload.h states it");
