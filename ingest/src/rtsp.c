/* SPDX-License-Identifier: Apache-2.0 */
#include "rtsp.h"

#include "camera_worker.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/thread.h"

enum {
    LOOK_MS = 1000,
    ORDER_BYTES_MAX = 64 << 10, /* with a chain of certificates */
};

static struct kn_metric_family connections = {.kind = KN_GAUGE,
                                              .name = "kinema_rtsp_connections",
                                              .help = "Connections to the RTSP listener."};
static struct kn_metric_family pushes = {
    .kind = KN_GAUGE, .name = "kinema_rtsp_pushes", .help = "Cameras that push by RTSP."};
static struct kn_metric_family viewers = {
    .kind = KN_GAUGE, .name = "kinema_rtsp_viewers", .help = "Streams that are sent by RTSP."};
static struct kn_metric_family events = {
    .kind = KN_COUNTER,
    .name = "kinema_rtsp_events_total",
    .help = "What happened at the RTSP listener: pushes and viewers that began and ended, requests "
            "and connections that were refused.",
    .labels = {"event"}};
static struct kn_metric_family worker_ends = {
    .kind = KN_COUNTER,
    .name = "kinema_rtsp_worker_ends_total",
    .help = "How often the process behind the RTSP listener ended."};

static const struct {
    const char *name, *log;
    bool warns;
} known_events[] = {
    {"push_began",  "rtsp_push_began",  false},
    {"push_ended",  "rtsp_push_ended",  false},
    {"view_began",  "rtsp_view_began",  false},
    {"view_ended",  "rtsp_view_ended",  false},
    {"left_out",    "rtsp_left_out",    true },
    {"refused",     "rtsp_refused",     true },
    {"turned_away", "rtsp_turned_away", true },
    {"tls_unready", "rtsp_tls_unready", true },
};

struct ingest_rtsp {
    struct ingest_conf conf;
    bool open;
    int fd, tls_fd;
    char *program, *dir;
    struct kn_clock *clock;
    struct ingest_camera_worker worker;
    bool told;         /* the settings */
    atomic_bool renew; /* they are to be told again */
    struct kn_lock lock;
    char *pem; /* guarded by lock */
    int wake_fd;
    atomic_bool stopping;
    pthread_t thread;
    bool started;
};

/* --- what it says ----------------------------------------------------------------------------- */
struct message {
    struct kn_str event, stream, peer, key, said;
    uint64_t connections, pushes, viewers;
};

static int read_message(struct kn_bytes packet, struct kn_arena *arena, struct message *ret)
{
    const struct kn_json_member members[] = {
        {"event",       .str = &ret->event      },
        {"stream",      .str = &ret->stream     },
        {"peer",        .str = &ret->peer       },
        {"key",         .str = &ret->key        },
        {"said",        .str = &ret->said       },
        {"connections", .u64 = &ret->connections},
        {"pushes",      .u64 = &ret->pushes     },
        {"viewers",     .u64 = &ret->viewers    },
    };
    *ret = (struct message){0};
    return kn_json_object_read(packet, arena, members, KN_ARRAY_LEN(members));
}

static void show(const struct message *m)
{
    kn_metric_set(kn_metric_series(&connections, NULL), (double) m->connections);
    kn_metric_set(kn_metric_series(&pushes, NULL), (double) m->pushes);
    kn_metric_set(kn_metric_series(&viewers, NULL), (double) m->viewers);
}

static void act_on(const struct message *m)
{
    if (m->event.len == 0)
        show(m);
    for (size_t i = 0; i < KN_ARRAY_LEN(known_events); i++) {
        if (!kn_str_eq(m->event, kn_str_from(known_events[i].name)))
            continue;
        kn_metric_add(kn_metric_series(&events, &m->event), 1);
        kn_log(known_events[i].warns ? KN_LOG_WARN : KN_LOG_INFO, known_events[i].log,
               "stream=" KN_LOG_QUOTED " peer=" KN_LOG_QUOTED " key=" KN_LOG_QUOTED
               " said=" KN_LOG_QUOTED,
               kn_log_quote(m->stream), kn_log_quote(m->peer), kn_log_quote(m->key),
               kn_log_quote(m->said));
    }
}

static void heard(struct kn_bytes packet)
{
    struct kn_arena arena;
    struct message m;
    kn_arena_init(&arena, INGEST_CAMERA_PACKET_BYTES_MAX);
    if (read_message(packet, &arena, &m) == 0)
        act_on(&m);
    kn_arena_done(&arena);
}

/* --- the thread ------------------------------------------------------------------------------- */
static void tell(struct ingest_rtsp *rtsp)
{
    struct kn_buf out;
    struct kn_json_writer w;
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"connectionsMax", rtsp->conf.rtsp_connections_max         },
        {"perPeerMax",     rtsp->conf.rtsp_connections_per_peer_max},
        {"idleMs",         rtsp->conf.rtsp_idle_ms                 },
        {"latencyMs",      rtsp->conf.camera_latency_ms            },
    };
    kn_buf_init(&out, ORDER_BYTES_MAX);
    kn_json_writer_init(&w, &out);
    kn_json_object_begin(&w);
    kn_json_key(&w, "open");
    kn_json_bool(&w, rtsp->open);
    kn_json_key(&w, "plain");
    kn_json_bool(&w, rtsp->fd >= 0);
    kn_json_key(&w, "tls");
    kn_json_bool(&w, rtsp->tls_fd >= 0);
    kn_json_key(&w, "pem");
    kn_lock_take(&rtsp->lock);
    kn_json_text(&w, rtsp->pem);
    kn_lock_give(&rtsp->lock);
    for (size_t i = 0; i < KN_ARRAY_LEN(numbers); i++) {
        kn_json_key(&w, numbers[i].name);
        kn_json_u64(&w, numbers[i].value);
    }
    kn_json_object_end(&w);
    rtsp->told = out.error == 0 && ingest_camera_worker_say(&rtsp->worker, kn_buf_bytes(&out)) == 0;
    kn_buf_done(&out);
}

/* It runs and has its settings; how long that may rest, in ms. */
static int tend(struct ingest_rtsp *rtsp)
{
    const struct ingest_camera_program program = {.path = rtsp->program,
                                                  .dir = rtsp->dir,
                                                  .mode = "listen",
                                                  .listen_fd = rtsp->fd,
                                                  .listen_tls_fd = rtsp->tls_fd};
    int64_t now_ns = kn_mono_ns(rtsp->clock);
    if (!rtsp->worker.pid && rtsp->worker.restart_ns <= now_ns) {
        rtsp->told = false;
        int r = ingest_camera_worker_start(&rtsp->worker, &program, now_ns);
        if (r < 0)
            kn_log_error("rtsp_worker_missing", "program=" KN_LOG_QUOTED " err=%s",
                         kn_log_quote(kn_str_from(rtsp->program)), kn_errname(r));
    }
    if (!rtsp->worker.pid)
        return (int) kn_max_i64(
            kn_min_i64((rtsp->worker.restart_ns - now_ns) / 1000000 + 1, LOOK_MS), 1);
    if (atomic_exchange(&rtsp->renew, false) || !rtsp->told)
        tell(rtsp);
    return LOOK_MS;
}

static void listen_to(struct ingest_rtsp *rtsp)
{
    static uint8_t packet[INGEST_CAMERA_PACKET_BYTES_MAX]; /* the one thread's */
    char said[160];
    size_t len = 1;
    while (len > 0) {
        if (ingest_camera_worker_hear(&rtsp->worker, kn_mono_ns(rtsp->clock), packet, sizeof packet,
                                      &len, said, sizeof said) < 0) {
            kn_metric_add(kn_metric_series(&worker_ends, NULL), 1);
            show(&(struct message){0});
            kn_log_error("rtsp_worker_ended", "said=" KN_LOG_QUOTED,
                         kn_log_quote(kn_str_from(said)));
            return;
        }
        if (len > 0)
            heard((struct kn_bytes){packet, len});
    }
}

static void *main_of(void *arg)
{
    struct ingest_rtsp *rtsp = arg;
    while (!atomic_load(&rtsp->stopping)) {
        int wait_ms = tend(rtsp);
        struct pollfd fds[] = {
            {.fd = rtsp->wake_fd,                           .events = POLLIN},
            {.fd = rtsp->worker.pid ? rtsp->worker.fd : -1, .events = POLLIN},
        };
        (void) poll(fds, KN_ARRAY_LEN(fds), wait_ms);
        if (fds[0].revents)
            (void) !read(rtsp->wake_fd, &(uint64_t){0}, sizeof(uint64_t));
        if (fds[1].fd >= 0 && fds[1].revents)
            listen_to(rtsp);
        rtsp->worker.owes = rtsp->told; /* from then on it counts what there is, each second */
        ingest_camera_worker_judge(&rtsp->worker, kn_mono_ns(rtsp->clock));
    }
    ingest_camera_worker_stop(&rtsp->worker);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */
int ingest_rtsp_new(const struct ingest_conf *conf, const struct ingest_rtsp_conf *given,
                    struct kn_clock *clock, struct ingest_rtsp **ret)
{
    struct ingest_rtsp *rtsp = calloc(1, sizeof(*rtsp));
    if (!rtsp)
        return -ENOMEM;
    rtsp->conf = *conf;
    rtsp->open = given->open;
    rtsp->fd = given->fd;
    rtsp->tls_fd = given->tls_fd;
    rtsp->clock = clock;
    rtsp->program = strdup(given->program);
    rtsp->dir = strdup(given->dir);
    rtsp->pem = strndup(given->pem.ptr ? given->pem.ptr : "", given->pem.len);
    rtsp->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    kn_lock_init(&rtsp->lock);
    bool texts = rtsp->program && rtsp->dir && rtsp->pem;
    int r = texts && rtsp->wake_fd >= 0 ? 0 : -ENOMEM;
    if (r == 0)
        r = kn_thread_start(&rtsp->thread, "rtsp", main_of, rtsp);
    rtsp->started = r == 0;
    if (r < 0) {
        rtsp->fd = rtsp->tls_fd = -1; /* the caller's still */
        ingest_rtsp_free(rtsp);
        return r;
    }
    *ret = rtsp;
    return 0;
}

int ingest_rtsp_take(struct ingest_rtsp *rtsp, struct kn_str pem)
{
    if (!rtsp || rtsp->tls_fd < 0)
        return 0;
    char *copy = strndup(pem.ptr, pem.len);
    if (!copy)
        return -ENOMEM;
    kn_lock_take(&rtsp->lock);
    char *former = rtsp->pem;
    rtsp->pem = copy;
    kn_lock_give(&rtsp->lock);
    free(former);
    atomic_store(&rtsp->renew, true);
    (void) !write(rtsp->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    return 0;
}

void ingest_rtsp_free(struct ingest_rtsp *rtsp)
{
    if (!rtsp)
        return;
    atomic_store(&rtsp->stopping, true);
    if (rtsp->started) {
        (void) !write(rtsp->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
        pthread_join(rtsp->thread, NULL);
    }
    if (rtsp->wake_fd >= 0)
        close(rtsp->wake_fd);
    if (rtsp->fd >= 0)
        close(rtsp->fd);
    if (rtsp->tls_fd >= 0)
        close(rtsp->tls_fd);
    free(rtsp->pem);
    kn_lock_done(&rtsp->lock);
    free(rtsp->program);
    free(rtsp->dir);
    free(rtsp);
}
