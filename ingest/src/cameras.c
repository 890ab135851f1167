/* SPDX-License-Identifier: Apache-2.0 */
#include "cameras.h"

#include "camera_list.h"
#include "camera_order.h"
#include "camera_report.h"
#include "camera_worker.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "core/thread.h"
#include "storage/fragment.h"

enum {
    CRASHES_MAX = 2, /* of its process, and a camera gets one of its own */
    LOOK_MS = 1000,  /* for streams that were deleted */
    UNSAID_MS = 100, /* orders that a worker did not take */
    ORDER_BYTES_MAX = 16 << 10,
};

struct ingest_cameras {
    struct storage *storage;
    struct kn_clock *clock;
    size_t workers_shared, cameras_max;
    struct ingest_camera_order_conf order; /* what it points to outlives it */
    uint8_t key[KN_AEAD_KEY_BYTES];
    char *program, *dir, *ca_file;
    pthread_t thread;
    bool started;
    int wake_fd;

    struct kn_lock change; /* one change at a time; before lock, held over the disk */
    struct kn_lock lock;   /* what follows */
    bool stopping;
    char *files; /* below it files may be played; NULL: none */
    struct ingest_camera_list list;
    struct ingest_camera_worker *workers; /* the shared ones, then those of one camera */
    size_t worker_count;
};

/* --- what workers are told -------------------------------------------------------------------- */
/* wanted: it is to be recorded. */
static void say_locked(struct ingest_cameras *cs, struct ingest_camera *camera, bool wanted)
{
    struct ingest_camera_worker *worker = &cs->workers[camera->worker];
    struct kn_buf out;
    struct kn_json_writer w;
    if (!worker->pid)
        return;
    kn_buf_init(&out, ORDER_BYTES_MAX);
    kn_json_writer_init(&w, &out);
    if (wanted)
        ingest_camera_order_write(&w, &cs->order, camera->view.name, &camera->view.settings.source);
    else
        ingest_camera_order_write_drop(&w, camera->view.name);
    camera->said = out.error == 0 && ingest_camera_worker_say(worker, kn_buf_bytes(&out)) == 0;
    if (out.ptr)
        explicit_bzero(out.ptr, out.len);
    kn_buf_done(&out);
}

static void erase_locked(struct ingest_cameras *cs, size_t at)
{
    ingest_camera_report_forget(&cs->list.all[at]->view);
    ingest_camera_list_erase(&cs->list, at);
}

static void wake(struct ingest_cameras *cs)
{
    (void) !write(cs->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

/* --- what workers say ------------------------------------------------------------------------- */
static void measure(struct ingest_cameras *cs, struct ingest_camera *camera)
{
    int64_t now_ms = kn_mono_ns(cs->clock) / 1000000, passed = now_ms - camera->heard_ms;
    uint64_t bytes = camera->view.status.bytes;
    if (camera->heard_ms > 0 && passed < 900)
        return;
    bool grows = camera->heard_ms > 0 && bytes >= camera->heard_bytes;
    double kbit = grows ? (double) (bytes - camera->heard_bytes) * 8 / (double) passed : 0;
    camera->view.kbit_per_s =
        camera->view.kbit_per_s > 0 && kbit > 0 ? camera->view.kbit_per_s * 0.7 + kbit * 0.3 : kbit;
    camera->heard_ms = now_ms;
    camera->heard_bytes = bytes;
}

static void heard_locked(struct ingest_cameras *cs, size_t worker, struct kn_bytes packet)
{
    struct ingest_camera_status status;
    char name[STORAGE_STREAM_NAME_BYTES_MAX + 1];
    if (ingest_camera_status_read(packet, name, &status) < 0)
        return;
    struct ingest_camera *camera = ingest_camera_list_find(&cs->list, kn_str_from(name));
    if (!camera || camera->worker != worker || !camera->open)
        return; /* or it has not heard yet that the window is over */
    camera->view.heard_ms = kn_wall_ms(cs->clock);
    struct ingest_camera_status before = camera->view.status;
    camera->view.status = status;
    measure(cs, camera);
    ingest_camera_report_change(&camera->view, &before);
}

/* Its process has ended: who has seen that twice gets one of its own. */
static void crashed_locked(struct ingest_cameras *cs, struct ingest_camera *camera,
                           const char *said)
{
    struct ingest_camera_status *status = &camera->view.status;
    camera->said = false;
    if (!camera->open)
        return;
    *status = (struct ingest_camera_status){.state = INGEST_CAMERA_WAITING,
                                            .fault_ms = kn_wall_ms(cs->clock)};
    snprintf(status->fault, sizeof status->fault, "broken");
    snprintf(status->said, sizeof status->said, "%s", said);
    ingest_camera_report(&camera->view);
    if (++camera->crashes < CRASHES_MAX || camera->worker >= cs->workers_shared)
        return;
    struct ingest_camera_worker *more =
        realloc(cs->workers, (cs->worker_count + 1) * sizeof(*cs->workers));
    if (!more)
        return;
    cs->workers = more;
    cs->workers[cs->worker_count] = (struct ingest_camera_worker){0};
    camera->worker = cs->worker_count++;
}

static void ended_locked(struct ingest_cameras *cs, size_t worker, const char *said)
{
    ingest_camera_report_worker_end(worker, said);
    for (size_t i = 0; i < cs->list.count; i++) {
        if (cs->list.all[i]->worker == worker)
            crashed_locked(cs, cs->list.all[i], said);
    }
}

static void listen_locked(struct ingest_cameras *cs, size_t worker)
{
    static uint8_t packet[INGEST_CAMERA_PACKET_BYTES_MAX]; /* the one thread's */
    char said[160];
    size_t len = 1;
    while (len > 0) {
        if (ingest_camera_worker_hear(&cs->workers[worker], kn_mono_ns(cs->clock), packet,
                                      sizeof packet, &len, said, sizeof said) < 0) {
            ended_locked(cs, worker, said);
            return;
        }
        if (len > 0)
            heard_locked(cs, worker, (struct kn_bytes){packet, len});
    }
}

/* --- schedules -------------------------------------------------------------------------------- */
static void schedule_locked(struct ingest_camera *camera)
{
    const struct ingest_camera_times *times = &camera->view.settings.times;
    camera->scheduled = *times->expression &&
                        ingest_schedule_parse(kn_str_from(times->expression), times->duration_s,
                                              &camera->schedule, NULL) == 0;
    camera->changes_s = 0; /* to be looked at */
}

static bool is_full_locked(struct ingest_cameras *cs, const struct ingest_camera *camera)
{
    const struct ingest_camera_edge *edge = &camera->view.settings.edge;
    struct storage_stream_stats stats;
    if (!(edge->flags & INGEST_CAMERA_EDGE_DENY_NEW) || edge->size_mb == 0)
        return false;
    int r = storage_stream_stats(cs->storage, &camera->view.stream, &stats, true);
    return r < 0 ? camera->full : stats.bytes >= (uint64_t) edge->size_mb << 20;
}

static void show_full_locked(struct ingest_cameras *cs, struct ingest_camera *camera)
{
    struct ingest_camera_status *status = &camera->view.status;
    status->fault_ms = camera->view.heard_ms = kn_wall_ms(cs->clock);
    snprintf(status->fault, sizeof status->fault, "full");
    snprintf(status->said, sizeof status->said, "the stream has reached its %u MB, and keeps them",
             camera->view.settings.edge.size_mb);
    ingest_camera_report_full(&camera->view);
}

/* Is a window open now, and is there room? Its worker is to be told when that changes. */
static void look_at_clock_locked(struct ingest_cameras *cs, struct ingest_camera *camera)
{
    struct ingest_camera_view *view = &camera->view;
    int64_t now_s = kn_wall_ms(cs->clock) / 1000;
    bool was_open = camera->open, first = camera->looked_s == 0, full = is_full_locked(cs, camera);
    if (full == camera->full && now_s >= camera->looked_s && now_s < camera->changes_s)
        return;
    camera->looked_s = now_s;
    camera->open = true;
    camera->full = full;
    camera->changes_s = INT64_MAX;
    if (camera->scheduled)
        camera->open = ingest_schedule_open(&camera->schedule, now_s, &camera->changes_s);
    view->next_ms = camera->open || camera->changes_s == INT64_MAX ? 0 : camera->changes_s * 1000;
    if (full && camera->open)
        show_full_locked(cs, camera);
    camera->open &= !full;
    ingest_camera_report_due(view, camera->open);
    if (camera->open == was_open && !first)
        return;
    camera->said = false;
    view->status.state = camera->open ? INGEST_CAMERA_CONNECTING : INGEST_CAMERA_RESTING;
    view->kbit_per_s = 0;
    camera->heard_ms = 0;
    ingest_camera_report(&camera->view);
    if (!camera->open)
        kn_log_info("camera_rests", "stream=%s next_ms=%" PRId64, view->name, view->next_ms);
}

/* --- the thread ------------------------------------------------------------------------------- */
/* Workers that are needed run and know their cameras; returns how long that may rest, in ms. */
static int tend_locked(struct ingest_cameras *cs)
{
    const struct ingest_camera_program program = {.path = cs->program, .dir = cs->dir};
    int64_t now_ns = kn_mono_ns(cs->clock), now_ms = kn_wall_ms(cs->clock), wait_ms = LOOK_MS;
    for (size_t i = 0; i < cs->worker_count; i++)
        cs->workers[i].owes = false;
    for (size_t i = 0; i < cs->list.count; i++) {
        struct ingest_camera *camera = cs->list.all[i];
        struct ingest_camera_worker *worker = &cs->workers[camera->worker];
        look_at_clock_locked(cs, camera);
        if (camera->changes_s < INT64_MAX)
            wait_ms = kn_min_i64(wait_ms, camera->changes_s * 1000 - now_ms);
        worker->owes |= camera->open;
        if (!worker->pid && !camera->open)
            continue; /* no process for one that rests */
        if (!worker->pid && worker->restart_ns <= now_ns) {
            int r = ingest_camera_worker_start(worker, &program, now_ns);
            if (r < 0)
                kn_log_error("camera_worker_missing", "program=" KN_LOG_QUOTED " err=%s",
                             kn_log_quote(kn_str_from(cs->program)), kn_errname(r));
        }
        if (!worker->pid)
            wait_ms = kn_min_i64(wait_ms, (worker->restart_ns - now_ns) / 1000000 + 1);
        else if (!camera->said)
            say_locked(cs, camera, camera->open);
        if (worker->pid && !camera->said)
            wait_ms = kn_min_i64(wait_ms, UNSAID_MS);
    }
    for (size_t i = 0; i < cs->worker_count; i++)
        ingest_camera_worker_judge(&cs->workers[i], now_ns);
    return (int) kn_max_i64(wait_ms, 1);
}

/* Streams that were deleted take their cameras with them. */
static void look_for_deleted(struct ingest_cameras *cs)
{
    KN_LOCKED(&cs->change);
    for (size_t i = 0;; i++) {
        kn_lock_take(&cs->lock);
        bool more = i < cs->list.count;
        struct storage_id id = more ? cs->list.all[i]->view.stream : (struct storage_id){{0}};
        kn_lock_give(&cs->lock);
        if (!more)
            return;
        KN_CLEANUP(storage_stream_unrefp)
        struct storage_stream *stream = storage_stream_find_id(cs->storage, &id);
        if (stream && stream->status == STORAGE_STREAM_ACTIVE)
            continue;
        int r = ingest_camera_remove(storage_meta_of(cs->storage), &id);
        if (r < 0 && r != -ENOENT) {
            kn_log_warn("camera_not_removed", "err=%s said=\"its stream was deleted; tried again\"",
                        kn_errname(r));
            continue;
        }
        kn_lock_take(&cs->lock);
        say_locked(cs, cs->list.all[i], false);
        erase_locked(cs, i--);
        kn_lock_give(&cs->lock);
    }
}

static void *main_of(void *arg)
{
    struct ingest_cameras *cs = arg;
    struct pollfd *fds = NULL;
    int64_t looked_ns = 0;
    for (;;) {
        kn_lock_take(&cs->lock);
        int wait_ms = tend_locked(cs);
        size_t count = cs->worker_count;
        struct pollfd *more = realloc(fds, (count + 1) * sizeof(*fds));
        fds = more ? more : fds;
        for (size_t i = 0; more && i < count; i++)
            fds[i] = (struct pollfd){.fd = cs->workers[i].pid ? cs->workers[i].fd : -1,
                                     .events = POLLIN};
        kn_lock_give(&cs->lock);
        if (!more)
            break; /* no memory for a few bytes: cameras end with the server */
        fds[count] = (struct pollfd){.fd = cs->wake_fd, .events = POLLIN};
        (void) poll(fds, count + 1, wait_ms);
        if (fds[count].revents)
            (void) !read(cs->wake_fd, &(uint64_t){0}, sizeof(uint64_t));
        kn_lock_take(&cs->lock);
        bool stopping = cs->stopping;
        for (size_t i = 0; i < count && !stopping; i++) {
            if (fds[i].fd >= 0 && fds[i].revents)
                listen_locked(cs, i);
        }
        kn_lock_give(&cs->lock);
        if (stopping)
            break;
        if (kn_mono_ns(cs->clock) - looked_ns > (int64_t) LOOK_MS * 1000000) {
            look_for_deleted(cs);
            looked_ns = kn_mono_ns(cs->clock);
        }
    }
    free(fds);
    return NULL;
}

/* --- operations ------------------------------------------------------------------------------- */
int ingest_cameras_resolve(struct ingest_cameras *cs, struct ingest_camera_settings *settings)
{
    struct ingest_camera_secret secret;
    struct kn_str name = ingest_camera_secret_name(kn_str_from(settings->edge.secret_arn));
    if (name.len == 0)
        return 0;
    int r = ingest_camera_secret_get(storage_meta_of(cs->storage), cs->key, name, &secret);
    if (r == 0)
        settings->source = secret.source;
    explicit_bzero(&secret, sizeof secret);
    return r;
}

/* A new one, of a name that is not there. */
static int insert_locked(struct ingest_cameras *cs, const struct storage_stream *stream,
                         struct ingest_camera **ret)
{
    int r = ingest_camera_list_insert(&cs->list, stream, ret);
    if (r == 0) /* spread over the workers that are shared */
        (*ret)->worker = kn_crc32c(0, kn_bytes_of(stream->name)) % cs->workers_shared;
    return r;
}

static int take_locked(struct ingest_cameras *cs, const struct storage_stream *stream,
                       const struct ingest_camera_settings *settings)
{
    int r = 0;
    struct ingest_camera *camera = ingest_camera_list_find(&cs->list, stream->name);
    if (!camera)
        r = insert_locked(cs, stream, &camera);
    if (r < 0)
        return r;
    camera->view.stream = stream->id;
    camera->view.settings = *settings;
    camera->said = false;
    schedule_locked(camera);
    look_at_clock_locked(cs, camera);
    return 0;
}

const char *ingest_cameras_files(struct ingest_cameras *cs)
{
    KN_LOCKED(&cs->lock);
    return cs->files;
}

int ingest_cameras_edit(struct ingest_cameras *cs, const struct storage_stream *stream,
                        ingest_camera_edit_fn *edit, void *ctx)
{
    struct ingest_camera_settings draft = {0};
    KN_LOCKED(&cs->change);
    if (!cs->started)
        return -ENOTSUP;
    kn_lock_take(&cs->lock);
    const struct ingest_camera *camera = ingest_camera_list_find(&cs->list, stream->name);
    if (camera)
        draft = camera->view.settings;
    int r = !camera && cs->list.count >= cs->cameras_max ? -EDQUOT : 0;
    kn_lock_give(&cs->lock);
    draft.updated_ms = kn_wall_ms(cs->clock);
    draft.created_ms = draft.created_ms > 0 ? draft.created_ms : draft.updated_ms;
    if (r == 0)
        r = edit(ctx, &draft);
    if (r == 0)
        r = ingest_camera_put(storage_meta_of(cs->storage), cs->key, &stream->id, &draft);
    if (r == 0) {
        kn_lock_take(&cs->lock);
        r = take_locked(cs, stream, &draft); /* when not, it is on disk for the next start */
        kn_lock_give(&cs->lock);
        wake(cs);
    }
    explicit_bzero(&draft, sizeof draft);
    return r;
}

int ingest_cameras_remove(struct ingest_cameras *cs, const struct storage_stream *stream)
{
    KN_LOCKED(&cs->change);
    kn_lock_take(&cs->lock);
    bool there = ingest_camera_list_find(&cs->list, stream->name) != NULL;
    kn_lock_give(&cs->lock);
    if (!there)
        return -ENOENT;
    int r = ingest_camera_remove(storage_meta_of(cs->storage), &stream->id);
    if (r < 0 && r != -ENOENT)
        return r;
    bool found;
    kn_lock_take(&cs->lock);
    size_t at = ingest_camera_list_at(&cs->list, stream->name, &found);
    say_locked(cs, cs->list.all[at], false);
    erase_locked(cs, at);
    kn_lock_give(&cs->lock);
    return 0;
}

static void copy_locked(const struct ingest_cameras *cs, const struct ingest_camera *camera,
                        struct ingest_camera_view *ret)
{
    *ret = camera->view;
    ret->in_sync = camera->said || !camera->open;
    ret->error = cs->workers[camera->worker].error;
}

int ingest_cameras_get(struct ingest_cameras *cs, const struct storage_stream *stream,
                       struct ingest_camera_view *ret)
{
    KN_LOCKED(&cs->lock);
    const struct ingest_camera *camera = ingest_camera_list_find(&cs->list, stream->name);
    if (!camera)
        return -ENOENT;
    copy_locked(cs, camera, ret);
    return 0;
}

int ingest_cameras_next(struct ingest_cameras *cs, struct kn_str after,
                        struct ingest_camera_view *ret)
{
    KN_LOCKED(&cs->lock);
    bool found = false;
    size_t at = after.len > 0 ? ingest_camera_list_at(&cs->list, after, &found) : 0;
    at += found ? 1 : 0;
    if (at >= cs->list.count)
        return -ENOENT;
    copy_locked(cs, cs->list.all[at], ret);
    return 0;
}

/* --- secrets ---------------------------------------------------------------------------------- */
static bool has_secret(const struct ingest_camera *camera, struct kn_str name)
{
    return kn_str_eq(ingest_camera_secret_name(kn_str_from(camera->view.settings.edge.secret_arn)),
                     name);
}

static int count_one(void *ctx, struct kn_str name, const struct ingest_camera_secret *secret,
                     int result)
{
    size_t *count = ctx;
    (void) name;
    (void) secret;
    (void) result;
    ++*count;
    return 0;
}

/* There may be as many as cameras. */
static int check_room(struct ingest_cameras *cs)
{
    size_t count = 0;
    int r = ingest_cameras_secret_list(cs, (struct kn_str){NULL, 0}, cs->cameras_max, count_one,
                                       &count);
    return r == 0 && count >= cs->cameras_max ? -EDQUOT : r;
}

int ingest_cameras_secret_put(struct ingest_cameras *cs, struct kn_str name,
                              const struct ingest_camera_source *source)
{
    struct storage_meta *meta = storage_meta_of(cs->storage);
    struct ingest_camera_secret secret;
    KN_LOCKED(&cs->change);
    if (!cs->started)
        return -ENOTSUP;
    int64_t now_ms = kn_wall_ms(cs->clock);
    int r = ingest_camera_secret_get(meta, cs->key, name, &secret);
    secret.created_ms = r == 0 ? secret.created_ms : now_ms;
    secret.updated_ms = now_ms;
    secret.source = *source;
    if (r == -ENOENT)
        r = check_room(cs);
    if (r == 0 || r == -EBADMSG)
        r = ingest_camera_secret_put(meta, cs->key, name, &secret);
    explicit_bzero(&secret, sizeof secret);
    if (r < 0)
        return r;
    kn_lock_take(&cs->lock);
    for (size_t i = 0; i < cs->list.count; i++) {
        struct ingest_camera *camera = cs->list.all[i];
        if (!has_secret(camera, name))
            continue;
        camera->view.settings.source = *source;
        camera->said = false;
    }
    kn_lock_give(&cs->lock);
    wake(cs);
    return 0;
}

int ingest_cameras_secret_remove(struct ingest_cameras *cs, struct kn_str name)
{
    bool used = false;
    KN_LOCKED(&cs->change);
    kn_lock_take(&cs->lock);
    for (size_t i = 0; i < cs->list.count && !used; i++)
        used = has_secret(cs->list.all[i], name);
    kn_lock_give(&cs->lock);
    return used ? -EBUSY : ingest_camera_secret_remove(storage_meta_of(cs->storage), name);
}

int ingest_cameras_secret_list(struct ingest_cameras *cs, struct kn_str after, size_t most,
                               ingest_camera_secret_fn *each, void *ctx)
{
    return ingest_camera_secret_list(storage_meta_of(cs->storage), cs->key, after, most, each, ctx);
}

/* --- life ------------------------------------------------------------------------------------- */
int ingest_cameras_new(struct storage *storage, const struct ingest_conf *conf,
                       struct kn_clock *clock, struct ingest_cameras **ret)
{
    struct ingest_cameras *cs = calloc(1, sizeof(*cs));
    if (!cs)
        return -ENOMEM;
    cs->storage = storage;
    cs->clock = clock;
    cs->workers_shared = conf->camera_workers;
    cs->cameras_max = conf->cameras_max;
    cs->order = (struct ingest_camera_order_conf){.latency_ms = (unsigned) conf->camera_latency_ms,
                                                  .timeout_ms = (unsigned) conf->camera_timeout_ms};
    cs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cs->workers = calloc(cs->workers_shared, sizeof(*cs->workers));
    if (cs->wake_fd < 0 || !cs->workers) {
        if (cs->wake_fd >= 0)
            close(cs->wake_fd);
        free(cs->workers);
        free(cs);
        return -ENOMEM;
    }
    cs->worker_count = cs->workers_shared;
    kn_lock_init(&cs->change);
    kn_lock_init(&cs->lock);
    *ret = cs;
    return 0;
}

static void log_unreadable(const struct storage_stream *stream, int error)
{
    kn_log_error("camera_unreadable",
                 "stream=" KN_STR_FMT " err=%s said=\"it was sealed with another camera.key, "
                 "or is damaged; set it again\"",
                 KN_STR_ARG(stream ? stream->name : KN_STR("?")), kn_errname(error));
}

static int load_one(void *ctx, const struct storage_id *id,
                    const struct ingest_camera_settings *settings, int result)
{
    struct ingest_cameras *cs = ctx;
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find_id(cs->storage, id);
    if (!stream) { /* deleted with its stream, but for a crash between the two */
        int r = ingest_camera_remove(storage_meta_of(cs->storage), id);
        if (r < 0)
            kn_log_warn("camera_not_removed", "err=%s said=\"its stream is gone\"", kn_errname(r));
        return 0;
    }
    struct ingest_camera_settings whole = settings ? *settings : (struct ingest_camera_settings){0};
    if (settings)
        result = ingest_cameras_resolve(cs, &whole);
    if (result < 0) {
        log_unreadable(stream, result);
        return 0;
    }
    KN_LOCKED(&cs->lock);
    int r = take_locked(cs, stream, &whole);
    explicit_bzero(&whole, sizeof whole);
    return r;
}

int ingest_cameras_run(struct ingest_cameras *cs, const struct ingest_cameras_conf *conf,
                       struct kn_err *err)
{
    memcpy(cs->key, conf->key, sizeof cs->key);
    cs->program = strdup(conf->program);
    cs->dir = strdup(conf->dir);
    cs->ca_file = conf->ca_file ? strdup(conf->ca_file) : NULL;
    cs->order.ca_file = cs->ca_file;
    kn_lock_take(&cs->lock);
    cs->files = conf->files ? strdup(conf->files) : NULL;
    cs->order.files = cs->files;
    kn_lock_give(&cs->lock);
    if (!cs->program || !cs->dir || (conf->ca_file && !cs->ca_file) || (conf->files && !cs->files))
        return kn_fail(err, -ENOMEM, "cameras");
    int r = ingest_camera_list(storage_meta_of(cs->storage), cs->key, load_one, cs);
    if (r == 0)
        r = kn_thread_start(&cs->thread, "cameras", main_of, cs);
    if (r < 0)
        return kn_fail(err, r, "cameras cannot be started: %s", kn_errname(r));
    KN_LOCKED(&cs->change);
    cs->started = true;
    return 0;
}

void ingest_cameras_end(struct ingest_cameras *cs)
{
    kn_lock_take(&cs->change);
    bool started = cs->started;
    cs->started = false;
    kn_lock_give(&cs->change);
    if (!started)
        return;
    kn_lock_take(&cs->lock);
    cs->stopping = true;
    kn_lock_give(&cs->lock);
    wake(cs);
    pthread_join(cs->thread, NULL);
    for (size_t i = 0; i < cs->worker_count; i++)
        ingest_camera_worker_stop(&cs->workers[i]);
}

void ingest_cameras_free(struct ingest_cameras *cs)
{
    if (!cs)
        return;
    ingest_cameras_end(cs);
    while (cs->list.count > 0)
        erase_locked(cs, cs->list.count - 1);
    ingest_camera_list_done(&cs->list);
    free(cs->workers);
    free(cs->program);
    free(cs->dir);
    free(cs->ca_file);
    free(cs->files);
    close(cs->wake_fd);
    kn_lock_done(&cs->lock);
    kn_lock_done(&cs->change);
    explicit_bzero(cs->key, sizeof cs->key);
    free(cs);
}
