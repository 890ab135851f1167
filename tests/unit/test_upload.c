/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads on a clock that stands still, over the writer in memory: what no real disk or client does
 * on demand. The few functions of the HTTP engine that an upload calls are below; a wake-up is
 * delivered when the test pumps.
 */
#include "assemble.h"
#include "seat.h"
#include "test.h"
#include "upload.h"
#include "upload_health.h"

/* --- the world around an upload --------------------------------------------------------------- */
struct kn_http_req {
    uint64_t ref;
    uint32_t bits; /* wake-ups to deliver */
    bool streaming, close_after, resumed, paused;
    bool unreachable; /* its machine does not answer */
    uint32_t calm_ms;
    int status;
    int64_t deadline_ms; /* on the fake clock; INT64_MAX none */
    unsigned deadlines;  /* that have come */
    void *ctx;
    struct kn_api_call call;
    char said[4096]; /* "BUFFERING RECEIVED … " and "EOF" */
    bool over;
};

enum {
    REQS_MAX = 8
};
static struct kn_http_req *reqs[REQS_MAX];
static struct kn_fake_clock fake_clock;
static struct storage_stream *the_stream;
static struct ingest *the_ingest;
static int open_result;
static const struct storage_writer_events *writer_events;
static void *writer_ctx;
static void (*writer_closed)(void *ctx);
static unsigned opened, closed_now;
static bool fenced;

static int64_t clock_ms(void)
{
    return kn_mono_ns(&fake_clock.clock) / 1000000;
}

struct kn_http_ref kn_http_ref_of(struct kn_http_req *req)
{
    return (struct kn_http_ref){req->ref};
}

struct kn_str kn_http_peer(struct kn_http_req *req)
{
    (void) req;
    return KN_STR("127.0.0.1:4711");
}

void kn_http_wake(struct kn_http_ref ref, uint32_t bits)
{
    if (ref.v < REQS_MAX && reqs[ref.v])
        reqs[ref.v]->bits |= bits;
}

void kn_http_wake_soon(struct kn_http_ref ref, uint32_t bits)
{
    kn_http_wake(ref, bits);
}

void kn_http_resume_answer(struct kn_http_req *req)
{
    (void) req; /* pump() pulls in any case */
}

void kn_http_reply_stream(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                          size_t header_count, uint64_t length)
{
    (void) headers, (void) header_count, (void) length;
    req->status = status;
    req->streaming = true;
}

void kn_http_resume_body(struct kn_http_req *req)
{
    req->resumed = true;
    req->paused = false;
}

void kn_http_pace_body(struct kn_http_req *req, uint32_t calm_ms)
{
    req->calm_ms = calm_ms;
}

void kn_http_watch_peer(struct kn_http_req *req)
{
    (void) req;
}

bool kn_http_peer_answers(struct kn_http_req *req)
{
    return !req->unreachable;
}

void kn_http_deadline(struct kn_http_req *req, int64_t in_ms)
{
    req->deadline_ms = in_ms < 0 ? INT64_MAX : clock_ms() + in_ms;
}

void kn_http_close_after(struct kn_http_req *req)
{
    req->close_after = true;
}

void kn_api_reply_error(struct kn_http_req *req, int status, const char *name, const char *message)
{
    (void) name, (void) message;
    req->status = status;
    req->over = true;
}

size_t kn_api_stream_headers(struct kn_api_call *call, const char *content_type,
                             struct kn_http_header dst[KN_API_STREAM_HEADERS])
{
    (void) call, (void) content_type, (void) dst;
    return 0;
}

uint64_t storage_stream_changes(struct storage *storage)
{
    static uint64_t changes;
    (void) storage;
    return ++changes;
}

struct storage_stream *storage_stream_find_id(struct storage *storage, const struct storage_id *id)
{
    (void) storage, (void) id;
    return storage_stream_ref(the_stream);
}

struct storage_stream *storage_stream_ref(struct storage_stream *stream)
{
    stream->refs++;
    return stream;
}

void storage_stream_unref(struct storage_stream *stream)
{
    stream->refs--;
}

int storage_writer_open(struct storage *storage, const struct storage_id *stream, bool fence,
                        const struct storage_writer_events *events, void *ctx,
                        struct storage_writer **ret)
{
    (void) storage, (void) stream;
    if (open_result < 0)
        return open_result;
    opened++;
    fenced = fence;
    writer_events = events;
    writer_ctx = ctx;
    *ret = fake_writer_get();
    return 0;
}

void storage_writer_close(struct storage_writer *w, void (*closed)(void *ctx))
{
    storage_writer_abort(w);
    writer_closed = closed;
    closed_now++;
}

/* --- driving ---------------------------------------------------------------------------------- */
static void world_start(void)
{
    static struct storage_stream stream;
    stream = (struct storage_stream){.refs = 1, .name = KN_STR_INIT("cam")};
    the_stream = &stream;
    kn_fake_clock_init(&fake_clock, 1795378995890);
    fake_writer_start();
    open_result = 0;
    opened = closed_now = 0;
    fenced = false;
    static struct ingest ingest;
    ingest = (struct ingest){.conf = rig_limits(), .clock = &fake_clock.clock};
    ingest.conf.connection_ms_max = 45 * 60000;
    ingest.conf.idle_ack_ms = 8000;
    ingest.conf.fragment_idle_ms = 5000;
    ingest.conf.connection_idle_ms = 60000;
    ingest.conf.takeover_silence_ms = 2000;
    assert_ok(ingest_seats_new(&ingest.seats));
    assert_ok(ingest_healths_new(&ingest.healths));
    the_ingest = &ingest;
}

static void world_stop(void)
{
    ingest_seats_free(the_ingest->seats); /* would hang had an upload been lost */
    ingest_healths_free(the_ingest->healths);
    assert_int_equal(the_stream->refs, 1);
    fake_writer_stop();
}

static void closed_calls_back(void)
{
    if (!closed_now)
        return;
    closed_now--;
    writer_closed(writer_ctx);
}

static void pull_all(struct kn_http_req *req)
{
    char dst[4096];
    while (req->streaming && !req->over) {
        ssize_t n = ingest_upload_ops.pull(req, req->ctx, dst, sizeof dst);
        if (n == KN_HTTP_EOF) {
            req->over = true;
            strncat(req->said, "EOF", sizeof req->said - strlen(req->said) - 1);
        }
        if (n <= 0)
            return;
        dst[n] = 0;
        char kind[32] = "";
        assert_int_equal(sscanf(dst, "{\"EventType\":\"%31[A-Z]", kind), 1);
        const char *error = strstr(dst, "\"ErrorId\":");
        size_t len = strlen(req->said);
        snprintf(req->said + len, sizeof req->said - len, "%s%.4s ", kind, error ? error + 10 : "");
    }
}

/* Delivers wake-ups until there are none. */
static void pump(void)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < REQS_MAX; i++) {
            struct kn_http_req *req = reqs[i];
            if (!req || req->over)
                continue;
            if (req->deadline_ms <= clock_ms()) {
                req->deadline_ms = INT64_MAX;
                req->deadlines++;
                req->bits |= KN_HTTP_WAKE_DEADLINE;
            }
            uint32_t bits = req->bits;
            req->bits = 0;
            if (bits) {
                ingest_upload_ops.wake(req, req->ctx, bits);
                again = true;
            }
            pull_all(req);
        }
    }
}

/* Time passes in small steps, as on a loop that has nothing else to do. */
static void pass(int64_t ms)
{
    for (int64_t step = 0; step < ms; step += 50) {
        kn_fake_clock_advance(&fake_clock, 50);
        pump();
    }
}

static void upload_start(struct kn_http_req *req, uint64_t ref)
{
    *req = (struct kn_http_req){.ref = ref, .deadline_ms = INT64_MAX};
    reqs[ref] = req;
    struct ingest_upload_open open = {.stream = storage_stream_ref(the_stream)};
    struct ingest_upload *u;
    assert_ok(ingest_upload_new(the_ingest, &req->call, &open, &u));
    req->ctx = u;
    assert_ok(ingest_upload_ops.head(req, &req->ctx));
    pump();
}

static void upload_gone(struct kn_http_req *req)
{
    ingest_upload_ops.gone(req, req->ctx, KN_HTTP_DONE);
    reqs[req->ref] = NULL;
    closed_calls_back();
}

/* Offers bytes until all are taken or the upload pauses; what is left stays in b. */
static void upload_send(struct kn_http_req *req, struct kn_buf *b)
{
    req->resumed = true;
    while (b->len && req->resumed) {
        req->resumed = false;
        ssize_t n = ingest_upload_ops.data(req, req->ctx, b->ptr, b->len);
        assert_true(n >= 0);
        req->paused = (size_t) n < b->len;
        kn_buf_consume(b, (size_t) n);
        pump();
    }
}

static void commits_call_back(int result)
{
    struct storage_fragment done;
    while (fake_writer_complete(&done))
        writer_events->committed(writer_ctx, &done, false, result);
    pump();
}

static struct kn_buf body_of(unsigned fragments, bool header)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(4));
    if (header)
        make_header(&b, 1, 0, 1000000);
    for (unsigned i = 0; i < fragments; i++)
        make_fragment(&b, 1000 + i * 120);
    return b;
}

/* --- what holds ------------------------------------------------------------------------------- */
TEST(an_upload_goes_from_200_to_the_last_persisted)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(2, true);
    assert_int_equal(req.status, 200);

    upload_send(&req, &b);
    commits_call_back(0);
    ingest_upload_ops.end(&req, req.ctx);
    pump();
    assert_false(req.over); /* the last fragment is not on disk yet */
    commits_call_back(0);

    assert_string_equal(req.said, "BUFFERING RECEIVED BUFFERING PERSISTED RECEIVED PERSISTED EOF");
    assert_false(req.close_after);
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_full_disk_is_504_before_and_5001_after_the_200)
{
    world_start();
    struct kn_http_req req;
    open_result = -ENOSPC;
    upload_start(&req, 0);
    assert_int_equal(req.status, 504);
    upload_gone(&req);

    open_result = 0;
    upload_start(&req, 0);
    struct kn_buf b = body_of(2, true);
    fake.fail_part = -ENOSPC;
    upload_send(&req, &b);
    assert_string_equal(req.said, "BUFFERING ERROR5001 EOF");
    assert_true(req.close_after);
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_failed_commit_is_5001_and_what_came_before_is_persisted)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(3, true);
    upload_send(&req, &b);
    struct storage_fragment done;
    assert_true(fake_writer_complete(&done));
    writer_events->committed(writer_ctx, &done, false, 0);
    assert_true(fake_writer_complete(&done));
    writer_events->committed(writer_ctx, &done, false, -EIO);
    pump();

    assert_string_equal(req.said, "BUFFERING RECEIVED BUFFERING RECEIVED BUFFERING PERSISTED "
                                  "ERROR5001 EOF");
    assert_int_equal(fake_writer_count(FAKE_ABORTED), 1);
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(an_error_waits_for_the_commits_under_way_but_not_for_ever)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(2, true);
    MAKE_RAW(&b, "\xff\xff\xff\xff");
    upload_send(&req, &b);
    assert_string_equal(req.said, "BUFFERING RECEIVED BUFFERING ");
    pass(9000);
    assert_null(strstr(req.said, "ERROR"));
    pass(1500);
    assert_non_null(strstr(req.said, "ERROR4006 EOF"));
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_slow_disk_pauses_the_body_and_nothing_is_lost)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(1, true);
    fake.room = 40;
    upload_send(&req, &b);
    assert_true(b.len > 0);
    pass(7000); /* longer than a silent fragment is kept open: the client is not the silent one */
    assert_null(strstr(req.said, "RECEIVED"));
    pass(2000);
    assert_non_null(strstr(req.said, "IDLE")); /* and is kept alive meanwhile */
    fake.room = UINT64_MAX;
    req.resumed = false;
    writer_events->writable(writer_ctx);
    pump();
    assert_true(req.resumed);
    upload_send(&req, &b);
    ingest_upload_ops.end(&req, req.ctx);
    commits_call_back(0);

    struct kn_buf want = body_of(1, false);
    assert_int_equal(fake.fragments[0].bytes.len, want.len);
    assert_memory_equal(fake.fragments[0].bytes.ptr, want.ptr, want.len);
    assert_non_null(strstr(req.said, "PERSISTED EOF"));
    upload_gone(&req);
    kn_buf_done(&want);
    kn_buf_done(&b);
    world_stop();
}

TEST(silence_closes_the_fragment_at_5_s_and_the_connection_at_60)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(1, true);
    upload_send(&req, &b);
    pass(4500);
    assert_string_equal(req.said, "BUFFERING ");
    pass(1000);
    assert_string_equal(req.said, "BUFFERING RECEIVED ");
    commits_call_back(0);
    pass(50000);
    assert_false(req.over);
    assert_non_null(strstr(req.said, "PERSISTED IDLE IDLE IDLE IDLE IDLE IDLE "));
    pass(6000);
    assert_true(req.over); /* in order, without an error */
    assert_null(strstr(req.said, "ERROR"));
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_sender_that_is_not_silent_is_never_looked_at)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(12, true), some;
    kn_buf_init(&some, b.len);
    for (size_t at = 0, step = b.len / 10; at + step < b.len; at += step) {
        (void) kn_buf_append(&some, b.ptr + at, step);
        upload_send(&req, &some);
        commits_call_back(0);
        pass(2000); /* so far apart are looks at who is left alone */
    }
    assert_int_equal(req.deadlines, 0);
    assert_null(strstr(req.said, "IDLE"));
    upload_gone(&req);
    kn_buf_done(&some);
    kn_buf_done(&b);
    world_stop();
}

TEST(silence_of_a_link_that_does_not_answer_closes_no_fragment)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(2, true), rest;
    kn_buf_init(&rest, 100);
    (void) kn_buf_append(&rest, b.ptr + b.len - 100, 100); /* some of the second one's frames */
    b.len -= 100;
    upload_send(&req, &b);
    req.said[0] = '\0';
    req.unreachable = true;
    pass(4800);
    req.unreachable = false; /* what was sent meanwhile comes when its sender tries again */
    pass(8000);
    assert_null(strstr(req.said, "RECEIVED"));
    upload_send(&req, &rest);
    pass(4500);
    assert_null(strstr(req.said, "RECEIVED"));
    pass(1000); /* a silence anew, of a sender that is there */
    assert_non_null(strstr(req.said, "RECEIVED"));
    upload_gone(&req);
    kn_buf_done(&rest);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_link_that_is_dead_for_60_s_costs_the_open_fragment)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(1, true);
    upload_send(&req, &b);
    req.unreachable = true;
    pass(61000);
    assert_null(strstr(req.said, "RECEIVED"));
    assert_non_null(strstr(req.said, "ERROR"));
    assert_true(req.over);
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(an_old_connection_gets_4003_where_a_fragment_begins)
{
    world_start();
    the_ingest->conf.connection_ms_max = 3000;
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(1, true);
    upload_send(&req, &b);
    pass(3500);
    make_fragment(&b, 5000);
    upload_send(&req, &b);
    commits_call_back(0);
    assert_string_equal(req.said, "BUFFERING RECEIVED PERSISTED ERROR4003 EOF");
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_client_that_leaves_is_forgotten_while_its_commits_go_on)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(3, true);
    upload_send(&req, &b);
    ingest_upload_ops.gone(&req, req.ctx, KN_HTTP_RESET);
    reqs[0] = NULL;
    struct storage_fragment done;
    while (fake_writer_complete(&done)) /* on storage's threads, later */
        writer_events->committed(writer_ctx, &done, false, 0);
    writer_events->writable(writer_ctx);
    closed_calls_back();

    assert_int_equal(fake_writer_count(FAKE_COMMITTED), 2);
    assert_int_equal(fake_writer_count(FAKE_ABORTED), 1);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_request_that_ends_before_its_head_leaves_nothing)
{
    world_start();
    struct kn_http_req req = {.ref = 0};
    struct ingest_upload_open open = {.stream = storage_stream_ref(the_stream)};
    struct ingest_upload *u;
    assert_ok(ingest_upload_new(the_ingest, &req.call, &open, &u));
    ingest_upload_ops.gone(&req, u, KN_HTTP_PEER_GONE);
    world_stop();
}

TEST(a_waiting_one_is_seated_when_the_first_leaves)
{
    world_start();
    struct kn_http_req one, two;
    upload_start(&one, 0);
    upload_start(&two, 1);
    assert_int_equal(two.status, 200); /* at once, though its body waits */
    struct kn_buf b = body_of(1, true), c = body_of(1, true);
    upload_send(&two, &b);
    assert_true(two.paused);
    assert_int_equal(opened, 1);
    upload_gone(&one);
    pump();

    assert_int_equal(opened, 2);
    assert_false(fenced);
    assert_true(two.resumed);
    upload_gone(&two);
    kn_buf_done(&b);
    kn_buf_done(&c);
    world_stop();
}

TEST(a_silent_holder_is_fenced_after_2_s_a_talking_one_never)
{
    world_start();
    struct kn_http_req one, two;
    upload_start(&one, 0);
    struct kn_buf b = body_of(1, true), c = body_of(1, true);
    upload_send(&one, &b);
    upload_start(&two, 1);
    upload_send(&two, &c);
    for (int i = 0; i < 5; i++) {
        pass(1500);
        make_fragment(&b, 5000 + (uint64_t) i * 120);
        upload_send(&one, &b);
    }
    assert_int_equal(opened, 1);
    void *old_ctx = writer_ctx;
    pass(2500);

    assert_int_equal(opened, 2);
    assert_true(fenced);
    assert_ptr_not_equal(old_ctx, writer_ctx);
    assert_null(strstr(one.said, "ERROR")); /* it still waits for what it had committed */
    pass(10500);
    assert_non_null(strstr(one.said, "ERROR4000 EOF"));
    void *new_ctx = writer_ctx;
    writer_ctx = old_ctx;
    upload_gone(&one);
    writer_ctx = new_ctx;
    upload_gone(&two);
    kn_buf_done(&b);
    kn_buf_done(&c);
    world_stop();
}

TEST(a_writer_outside_the_seats_is_waited_for)
{
    world_start();
    struct kn_http_req req;
    open_result = -EBUSY;
    upload_start(&req, 0);
    assert_int_equal(req.status, 0);
    pass(500);
    open_result = 0;
    pass(200);
    assert_int_equal(req.status, 200);
    upload_gone(&req);
    world_stop();
}

TEST(a_deleted_stream_is_4008_whatever_storage_said)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(1, true);
    fake.fail_part = -ESTALE;
    the_stream->status = STORAGE_STREAM_DELETING;
    upload_send(&req, &b);
    assert_non_null(strstr(req.said, "ERROR4008 EOF"));
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(frames_may_wait_until_a_viewer_does_and_again_2_s_after_it_stopped)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(1, true);
    upload_send(&req, &b);
    assert_int_equal(req.calm_ms, 1);

    fake.followed = true;
    make_fragment(&b, 2000);
    upload_send(&req, &b);
    assert_int_equal(req.calm_ms, 0);

    fake.followed = false;
    pass(1000);
    make_fragment(&b, 3000);
    upload_send(&req, &b);
    assert_int_equal(req.calm_ms, 0); /* it may just be taking what came */
    pass(1500);
    make_fragment(&b, 4300);
    upload_send(&req, &b);
    assert_int_equal(req.calm_ms, 1);
    commits_call_back(0);
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(a_regular_upload_is_left_alone_until_its_next_fragment_or_a_viewer_comes)
{
    world_start();
    struct kn_http_req req;
    upload_start(&req, 0);
    struct kn_buf b = body_of(0, true);
    for (unsigned i = 0; i < 6; i++) {
        make_fragment(&b, 1000 + i * 800);
        upload_send(&req, &b);
        pass(800);
    }
    make_fragment(&b, 1000 + 6 * 800);
    upload_send(&req, &b);
    assert_in_range(req.calm_ms, 600, 800);
    assert_true(fake.asked);

    writer_events->followed(writer_ctx);
    pump();
    assert_int_equal(req.calm_ms, 0);
    commits_call_back(0);
    upload_gone(&req);
    kn_buf_done(&b);
    world_stop();
}

TEST(an_upload_that_is_left_alone_is_asked_to_look_before_its_silence_counts)
{
    world_start();
    struct kn_http_req one, two;
    upload_start(&one, 0);
    struct kn_buf b = body_of(0, true), c = body_of(1, true);
    for (unsigned i = 0; i < 6; i++) {
        make_fragment(&b, 1000 + i * 1900);
        upload_send(&one, &b);
        pass(1900);
    }
    make_fragment(&b, 1000 + 6 * 1900);
    upload_send(&one, &b);
    assert_in_range(one.calm_ms, 1700, 1900);

    void *old_ctx = writer_ctx;
    pass(900);
    upload_start(&two, 1);
    upload_send(&two, &c);
    pass(600);
    assert_int_equal(one.calm_ms, 0);
    make_fragment(&b, 1000 + 6 * 1900 + 1000); /* what had come meanwhile */
    upload_send(&one, &b);
    pass(1500);
    assert_int_equal(opened, 1);
    assert_false(fenced);
    pass(1500);
    assert_int_equal(opened, 2);
    assert_true(fenced);
    pass(10500); /* it waits for its commits no longer */
    void *new_ctx = writer_ctx;
    writer_ctx = old_ctx;
    upload_gone(&one);
    writer_ctx = new_ctx;
    upload_gone(&two);
    kn_buf_done(&b);
    kn_buf_done(&c);
    world_stop();
}

TESTS_MAIN(TEST_OF(an_upload_goes_from_200_to_the_last_persisted),
           TEST_OF(a_full_disk_is_504_before_and_5001_after_the_200),
           TEST_OF(a_failed_commit_is_5001_and_what_came_before_is_persisted),
           TEST_OF(an_error_waits_for_the_commits_under_way_but_not_for_ever),
           TEST_OF(a_slow_disk_pauses_the_body_and_nothing_is_lost),
           TEST_OF(silence_closes_the_fragment_at_5_s_and_the_connection_at_60),
           TEST_OF(a_sender_that_is_not_silent_is_never_looked_at),
           TEST_OF(silence_of_a_link_that_does_not_answer_closes_no_fragment),
           TEST_OF(a_link_that_is_dead_for_60_s_costs_the_open_fragment),
           TEST_OF(an_old_connection_gets_4003_where_a_fragment_begins),
           TEST_OF(a_client_that_leaves_is_forgotten_while_its_commits_go_on),
           TEST_OF(a_request_that_ends_before_its_head_leaves_nothing),
           TEST_OF(a_waiting_one_is_seated_when_the_first_leaves),
           TEST_OF(a_silent_holder_is_fenced_after_2_s_a_talking_one_never),
           TEST_OF(an_upload_that_is_left_alone_is_asked_to_look_before_its_silence_counts),
           TEST_OF(a_writer_outside_the_seats_is_waited_for),
           TEST_OF(a_deleted_stream_is_4008_whatever_storage_said),
           TEST_OF(a_regular_upload_is_left_alone_until_its_next_fragment_or_a_viewer_comes),
           TEST_OF(frames_may_wait_until_a_viewer_does_and_again_2_s_after_it_stopped))
