/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every socket, file, mutex and allocation call of the producer SDK and of libcurl under it fails,
 * one after the other: the n-th for every n until a run passes untouched, once and for good. Over
 * plain HTTP, where OpenSSL signs alone, over TLS, and with keys that a certificate gets. An upload
 * either cannot be opened, or each
 * frame that was taken arrives as it was, or is reported lost; what is reported PERSISTED is there;
 * nothing leaks, and all comes to its end. When everything fails for good the world is mended after
 * a while, and then the upload must come to its end.
 *
 * Under ./check only every few allocations are tried for good, and every few calls of all kinds
 * over TLS, a different few each time; --long tries all.
 */
#include "sdk_calls.h"
#include "sdk_service.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/http_server.h"
#include "kinema/producer.h"

enum {
    FRAGMENTS = 7,
    FRAMES = 4,                    /* of a fragment */
    FRAME_BYTES = 4000,            /* more than the smallest buffer holds in all */
    SPILL_BYTES = 32 << 10,        /* little, so that putting frames has to wait as well */
    LIVE_BUFFER_BYTES = 256 << 10, /* of all frames */
    FRAME_MS = 40,
    OUTAGE_MS = 300,   /* of the SDK's clock, as are the next two */
    PUT_TRIES = 20000, /* of 10 ms; over TLS libcurl tries until its time-out by the world's */
    DRAIN_MS = 600 * 1000,
    DRAIN_TRIES = 10,
    POLL_MS = 60 * 1000,
    KEY_TRIES = 10, /* of its shortened time-out */
    FDS = 256,
    RUN_S =
        60, /* a run takes milliseconds, or 5 s where libcurl gives up a connection: this hangs */
    RUNS_MAX = 20000
};

enum way {
    PLAIN,
    LIVE, /* plain, in real time */
    TLS,
    CERTIFICATE /* TLS, and the key from the service, for a certificate */
};

struct world {
    struct sdk_service *service;
    struct temp_dir dir;
    char url[64], spill[128], keys[128], certificate[128], key[128];
    enum way way;
    uint32_t run;
    /* of this run, by fragment */
    unsigned put[FRAGMENTS], persisted[FRAGMENTS], lost[FRAGMENTS];
    unsigned buffering; /* acknowledgements of that kind */
    bool disarm_late;   /* everything fails until the outage is over */
};

static void on_event(void *ctx, const struct kinema_event *event)
{
    struct world *w = ctx;
    size_t place = (size_t) (event->time_ms / SDK_FRAGMENT_MS);
    if (event->type == KINEMA_ACK_PERSISTED && place < FRAGMENTS)
        w->persisted[place]++;
    if (event->type == KINEMA_FRAGMENT_LOST && place < FRAGMENTS)
        w->lost[place]++;
    w->buffering += event->type == KINEMA_ACK_BUFFERING;
}

static void setup(struct world *w, enum way way)
{
    *w = (struct world){.dir = temp_dir_new(), .way = way};
    snprintf(w->spill, sizeof w->spill, "%s/spill", w->dir.path);
    snprintf(w->keys, sizeof w->keys, "%s/keys", w->dir.path);
    FILE *file = fopen(w->keys, "w");
    assert_non_null(file);
    fputs("CREDENTIALS AKIDEXAMPLE 2040-01-01T00:00:00Z secret token\n", file);
    fclose(file);
    snprintf(w->certificate, sizeof w->certificate, "%s/certificate", w->dir.path);
    snprintf(w->key, sizeof w->key, "%s/key", w->dir.path);
    if (way >= TLS)
        assert_ok(kn_tls_self_signed(w->certificate, w->key, NULL));
    w->service = way >= TLS ? sdk_service_start(w->certificate, w->key, w->url, sizeof w->url)
                            : sdk_service_start(NULL, NULL, w->url, sizeof w->url);
}

static void teardown(struct world *w)
{
    sdk_service_stop(w->service);
    temp_dir_remove(&w->dir);
}

static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < FDS; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void say_hang(int signal)
{
    static const char text[] = " has failed, and the upload hangs\n";
    const char *struck = sdk_calls_struck();
    (void) signal;
    (void) !write(STDERR_FILENO, struck ? struck : "nothing", strlen(struck ? struck : "nothing"));
    (void) !write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

/* --- one upload ------------------------------------------------------------------------------- */
static int put_frame_once(struct world *w, struct kinema_producer *p, unsigned fragment, unsigned i)
{
    uint8_t bytes[FRAME_BYTES];
    for (size_t at = 0; at < sizeof bytes; at += 4)
        kn_put_u32be(bytes + at, w->run * SDK_FRAMES_MAX + fragment * FRAMES + i);
    const struct kinema_frame frame = {.track = 1,
                                       .key = i == 0,
                                       .time_ms = fragment * SDK_FRAGMENT_MS + i * FRAME_MS,
                                       .data = bytes,
                                       .len = sizeof bytes};
    return kinema_producer_put_frame(p, &frame);
}

static void put_frame(struct world *w, struct kinema_producer *p, unsigned fragment, unsigned i)
{
    int code = -EAGAIN;
    if (w->way == LIVE) /* frames take their time */
        assert_ok(kinema_producer_poll(p, FRAME_MS));
    for (int tries = 0; code == -EAGAIN; tries++) {
        code = put_frame_once(w, p, fragment, i);
        if (code == -EAGAIN)
            assert_ok(kinema_producer_poll(p, 10));
        if (w->disarm_late && tries > OUTAGE_MS / 10)
            sdk_calls_disarm();
        assert_true(w->way >= TLS || tries < PUT_TRIES);
    }
    assert_ok(code);
    w->put[fragment]++;
}

static int open_keys(struct world *w, struct kinema_credential_provider **ret)
{
    const struct kinema_iot config = {.endpoint = w->url,
                                      .certificate_file = w->certificate,
                                      .key_file = w->key,
                                      .ca_file = w->certificate,
                                      .role_alias = SDK_ROLE_ALIAS,
                                      .thing = "yard"};
    return w->way == CERTIFICATE ? kinema_credentials_iot(&config, ret)
                                 : kinema_credentials_file(w->keys, ret);
}

static int open_upload(struct world *w, struct kinema_credential_provider **keys,
                       struct kinema_producer **ret)
{
    static const struct kinema_track track = {.type = KINEMA_VIDEO,
                                              .codec_id = "V_MPEG4/ISO/AVC",
                                              .codec_private = "\1\2\3\4",
                                              .codec_private_len = 4};
    int code = open_keys(w, keys);
    if (code < 0)
        return code;
    const struct kinema_config config = {.stream = "yard",
                                         .region = "us-east-1",
                                         .endpoint = w->url,
                                         .ca_file = w->certificate,
                                         .retention_hours = 24,
                                         .credentials = *keys,
                                         .tracks = &track,
                                         .track_count = 1,
                                         .mode = w->way == LIVE ? KINEMA_REALTIME : KINEMA_OFFLINE,
                                         .buffer_bytes = w->way == LIVE ? LIVE_BUFFER_BYTES
                                                                        : KINEMA_BUFFER_BYTES_MIN,
                                         .spill_path = w->way == LIVE ? NULL : w->spill,
                                         .spill_bytes = SPILL_BYTES,
                                         .ack_timeout_ms = 300 * 1000,
                                         .on_event = on_event,
                                         .ctx = w};
    return kinema_producer_open(&config, ret);
}

static void upload(struct world *w, struct kinema_producer *p)
{
    struct kinema_stats stats;
    for (unsigned fragment = 0; fragment < FRAGMENTS; fragment++) {
        for (unsigned i = 0; i < FRAMES; i++)
            put_frame(w, p, fragment, i);
        assert_ok(kinema_producer_put_tag(p, "door", "open"));
    }
    int code = kinema_producer_drain(p, w->disarm_late ? OUTAGE_MS : DRAIN_MS);
    if (w->disarm_late)
        sdk_calls_disarm();
    for (int tries = 0; code == -ETIMEDOUT && tries < DRAIN_TRIES; tries++)
        code = kinema_producer_drain(p, DRAIN_MS);
    assert_ok(code);
    kinema_producer_stats(p, &stats);
    assert_int_equal(stats.frames_put, FRAGMENTS * FRAMES);
    assert_int_equal(stats.frames_persisted + stats.frames_lost, FRAGMENTS * FRAMES);
    assert_int_equal(stats.fragments_waiting, 0);
}

static void judge(struct world *w, const char *struck, int64_t n)
{
    for (size_t i = 0; i < FRAGMENTS; i++) {
        unsigned kept = sdk_service_kept(w->service, w->run, i);
        bool good = (kept == 0 || kept == w->put[i]) &&
                    (w->persisted[i] == 0 || kept == w->put[i]) &&
                    (w->persisted[i] > 0 || w->lost[i] == 1 || w->put[i] == 0);
        if (!good)
            fail_msg("%s %lld: fragment %zu: %u frames were taken, %u are there; PERSISTED %u, "
                     "lost %u times",
                     struck ? struck : "nothing", (long long) n, i, w->put[i], kept,
                     w->persisted[i], w->lost[i]);
    }
}

/* Nothing failed: all is kept. */
static void judge_whole(struct world *w)
{
    for (size_t i = 0; i < FRAGMENTS; i++) {
        assert_int_equal(w->put[i], FRAMES);
        assert_int_equal(w->persisted[i], 1);
        assert_int_equal(w->lost[i], 0);
    }
}

/* true: the call was reached, so that there may be a next one. */
static bool run(struct world *w, enum sdk_kind kind, int64_t n, bool for_good)
{
    struct kinema_credential_provider *keys = NULL;
    struct kinema_producer *p = NULL;
    int64_t blocks = sdk_calls_blocks();
    int fds = descriptors();
    memset(w->put, 0, sizeof w->put);
    memset(w->persisted, 0, sizeof w->persisted);
    memset(w->lost, 0, sizeof w->lost);
    w->disarm_late = for_good;
    w->run++;

    alarm(RUN_S);
    sdk_calls_arm(kind, n, for_good);
    int code = open_upload(w, &keys, &p);
    if (code == 0)
        upload(w, p);
    kinema_producer_close(p);
    kinema_credentials_free(keys);
    sdk_calls_disarm();
    alarm(0);

    const char *struck = sdk_calls_struck();
    judge(w, struck, n);
    if (code < 0 && !struck)
        fail_msg("it cannot be opened: %d", code);
    if (sdk_calls_blocks() != blocks || descriptors() != fds)
        fail_msg("%s %lld %s: %lld blocks and %d descriptors are left", struck ? struck : "nothing",
                 (long long) n, for_good ? "for good" : "once",
                 (long long) (sdk_calls_blocks() - blocks), descriptors() - fds);
    return struck != NULL;
}

/* --- for every n ------------------------------------------------------------------------------ */
typedef bool run_fn(struct world *w, enum sdk_kind kind, int64_t n, bool for_good);

static void for_every(struct world *w, run_fn *once, enum sdk_kind kind, bool for_good,
                      int64_t stride)
{
    int64_t n, runs = 0;
    uint64_t seed = test_seed();
    for (n = stride > 1 ? (int64_t) (test_random(&seed) % (uint64_t) stride) : 0;
         once(w, kind, n, for_good); n += stride, runs++)
        assert_true(runs < RUNS_MAX);
    printf("%lld of %lld calls failed %s\n", (long long) runs, (long long) n,
           for_good ? "for good" : "once");
    assert_true(runs > 10);
}

static void sweep(enum sdk_kind kind, enum way way, bool for_good, int64_t stride)
{
    struct world w;
    setup(&w, way);
    assert_false(run(&w, kind, -1, for_good)); /* nothing fails; OpenSSL fills its own tables */
    judge_whole(&w);
    for_every(&w, run, kind, for_good, stride);
    teardown(&w);
}

/* A key that is asked for and waited for, without an upload: it is there, or an error says that it
 * is not. */
static bool get_key(struct world *w, enum sdk_kind kind, int64_t n, bool for_good)
{
    struct kinema_credential_provider *keys = NULL;
    struct kinema_credentials key;
    int64_t blocks = sdk_calls_blocks();
    int fds = descriptors(), code = -EACCES;
    alarm(RUN_S);
    for (int tries = 0; code == -EACCES && tries < KEY_TRIES; tries++) {
        sdk_calls_arm(kind, n, for_good);
        code = open_keys(w, &keys);
        if (code == 0)
            code = kinema_credentials_get(keys, &key);
        kinema_credentials_free(keys);
        keys = NULL;
        sdk_calls_disarm();
        if (sdk_calls_struck())
            break;
    }
    alarm(0);
    const char *struck = sdk_calls_struck();
    if (code == 0)
        assert_string_equal(key.key_id, SDK_KEY_ID);
    else if (!struck || (code != -ENOMEM && code != -EACCES && code != -EBADMSG))
        fail_msg("%s %lld: there is no key: %d", struck ? struck : "nothing", (long long) n, code);
    if (sdk_calls_blocks() != blocks || descriptors() != fds)
        fail_msg("%s %lld: blocks or descriptors are left", struck ? struck : "nothing",
                 (long long) n);
    return struck != NULL;
}

static void sweep_key(enum sdk_kind kind, bool for_good, int64_t stride)
{
    struct world w;
    setup(&w, CERTIFICATE);
    assert_false(get_key(&w, kind, -1, for_good));
    for_every(&w, get_key, kind, for_good, stride);
    teardown(&w);
}

static int64_t stride_of(int64_t usual)
{
    const char *is_long = getenv("KINEMA_LONG");
    return is_long && *is_long ? 1 : usual;
}

TEST(a_socket_or_file_call_that_fails_once_costs_no_frame_that_is_not_told)
{
    sweep(SDK_CALLS, PLAIN, false, 1);
}

TEST(an_allocation_that_fails_once_costs_no_frame_that_is_not_told)
{
    sweep(SDK_MEMORY, PLAIN, false, stride_of(1));
}

TEST(sockets_and_files_that_fail_for_good_hang_nothing)
{
    sweep(SDK_CALLS, PLAIN, true, 1);
}

TEST(memory_that_is_out_for_good_hangs_nothing)
{
    sweep(SDK_MEMORY, PLAIN, true, stride_of(23));
}

TEST(in_real_time_a_call_that_fails_costs_no_frame_that_is_not_told)
{
    sweep(SDK_CALLS, LIVE, false, 1);
    sweep(SDK_CALLS, LIVE, true, 1);
    sweep(SDK_MEMORY, LIVE, false, stride_of(3));
    sweep(SDK_MEMORY, LIVE, true, stride_of(23));
}

TEST(over_tls_a_socket_or_file_call_that_fails_once_costs_no_frame_that_is_not_told)
{
    sweep(SDK_CALLS, TLS, false, stride_of(3));
}

TEST(over_tls_an_allocation_that_fails_once_costs_no_frame_that_is_not_told)
{
    sweep(SDK_MEMORY, TLS, false, stride_of(101));
}

TEST(over_tls_sockets_and_files_that_fail_for_good_hang_nothing)
{
    sweep(SDK_CALLS, TLS, true, stride_of(7));
}

TEST(over_tls_memory_that_is_out_for_good_hangs_nothing)
{
    sweep(SDK_MEMORY, TLS, true, stride_of(811));
}

TEST(a_call_that_fails_while_a_certificate_gets_its_key_costs_no_frame_that_is_not_told)
{
    sweep(SDK_CALLS, CERTIFICATE, false, stride_of(5));
    sweep(SDK_CALLS, CERTIFICATE, true, stride_of(7));
}

TEST(an_allocation_that_fails_while_a_certificate_gets_its_key_costs_no_frame_that_is_not_told)
{
    sweep(SDK_MEMORY, CERTIFICATE, false, stride_of(401));
    sweep(SDK_MEMORY, CERTIFICATE, true, stride_of(1201));
}

TEST(a_key_that_is_waited_for_is_there_or_an_error_says_that_it_is_not)
{
    sweep_key(SDK_CALLS, false, 1);
    sweep_key(SDK_CALLS, true, 1);
    sweep_key(SDK_MEMORY, false, stride_of(101));
    sweep_key(SDK_MEMORY, true, stride_of(101));
}

TEST(without_a_thread_the_upload_goes_on_by_polling)
{
    struct world w;
    struct kinema_credential_provider *keys;
    struct kinema_producer *p;
    setup(&w, PLAIN);
    w.run = 1;
    assert_ok(open_upload(&w, &keys, &p));
    sdk_calls_arm(SDK_CALLS, 0, false);
    assert_int_equal(kinema_producer_start(p), -EAGAIN);
    assert_string_equal(sdk_calls_struck(), "pthread_create");
    sdk_calls_disarm();
    upload(&w, p);
    kinema_producer_close(p);
    kinema_credentials_free(keys);
    judge(&w, NULL, 0);
    judge_whole(&w);
    teardown(&w);
}

static uint64_t bytes_sent(struct kinema_producer *p)
{
    struct kinema_stats stats;
    kinema_producer_stats(p, &stats);
    return stats.bytes_sent;
}

TEST(in_real_time_who_puts_a_frame_sends_what_has_gathered)
{
    struct world w;
    struct kinema_credential_provider *keys;
    struct kinema_producer *p;
    unsigned i = 0;
    setup(&w, LIVE);
    w.run = 1;
    assert_ok(open_upload(&w, &keys, &p));
    assert_ok(put_frame_once(&w, p, 0, 0));
    alarm(RUN_S);
    while (w.buffering == 0) /* the connection stands then */
        assert_ok(kinema_producer_poll(p, POLL_MS));
    assert_ok(kinema_producer_poll(p, 0));
    uint64_t before = bytes_sent(p);
    while (bytes_sent(p) == before && ++i < LIVE_BUFFER_BYTES / FRAME_BYTES / 2) /* nobody polls */
        assert_ok(put_frame_once(&w, p, 0, i));
    assert_true(bytes_sent(p) >= before + i * FRAME_BYTES);
    assert_ok(kinema_producer_drain(p, DRAIN_MS));
    alarm(0);
    assert_int_equal(sdk_service_kept(w.service, w.run, 0), i + 1);
    kinema_producer_close(p);
    kinema_credentials_free(keys);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(a_socket_or_file_call_that_fails_once_costs_no_frame_that_is_not_told),
        TEST_OF(an_allocation_that_fails_once_costs_no_frame_that_is_not_told),
        TEST_OF(sockets_and_files_that_fail_for_good_hang_nothing),
        TEST_OF(memory_that_is_out_for_good_hangs_nothing),
        TEST_OF(in_real_time_a_call_that_fails_costs_no_frame_that_is_not_told),
        TEST_OF(in_real_time_who_puts_a_frame_sends_what_has_gathered),
        TEST_OF(over_tls_a_socket_or_file_call_that_fails_once_costs_no_frame_that_is_not_told),
        TEST_OF(over_tls_an_allocation_that_fails_once_costs_no_frame_that_is_not_told),
        TEST_OF(over_tls_sockets_and_files_that_fail_for_good_hang_nothing),
        TEST_OF(over_tls_memory_that_is_out_for_good_hangs_nothing),
        TEST_OF(a_call_that_fails_while_a_certificate_gets_its_key_costs_no_frame_that_is_not_told),
        TEST_OF(
            an_allocation_that_fails_while_a_certificate_gets_its_key_costs_no_frame_that_is_not_told),
        TEST_OF(a_key_that_is_waited_for_is_there_or_an_error_says_that_it_is_not),
        TEST_OF(without_a_thread_the_upload_goes_on_by_polling),
    };
    (void) signal(SIGALRM, say_hang);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
