/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_probe.h"

#include "camera_wish.h"
#include "cameras.h"
#include "ingest_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/crypto.h"
#include "core/json.h"
#include "core/keyring.h"
#include "core/thread.h"

extern char **environ;

enum {
    SLOTS = 16, /* those that run, and answers that were not taken yet */
    ID_BYTES = (INGEST_PROBE_ID_BYTES - 1) / 2,
    ANSWER_BYTES_MAX = 64 << 10,
    TIMEOUT_S = 20, /* far longer than it takes: it is ended by force */
    KEPT_S = 60,
    VARIABLE_BYTES = 64 + INGEST_CAMERA_URL_BYTES_MAX,
};

struct probe {
    char id[INGEST_PROBE_ID_BYTES]; /* empty: the slot is free */
    char owner[KN_KEY_ID_BYTES_MAX + 1];
    pid_t pid; /* 0: it has ended */
    int fd;    /* what it says */
    int64_t started_ns, ended_ns;
    struct kn_buf said;
    char end[80]; /* why there is no answer */
};

struct ingest_probes {
    struct kn_clock *clock;
    struct kn_lock lock; /* what follows */
    char *path, *dir;    /* NULL: none is started */
    struct probe slots[SLOTS];
};

static int64_t seconds_ns(int64_t seconds)
{
    return seconds * 1000000000;
}

/* --- the process ------------------------------------------------------------------------------ */
/* Its command line is anybody's to read, its environment is not. */
struct environment {
    char url[VARIABLE_BYTES], user[VARIABLE_BYTES], password[VARIABLE_BYTES];
    char **all;
};

static void environment_done(struct environment *e)
{
    free(e->all);
    explicit_bzero(e, sizeof *e);
}

static int environment_of(const struct ingest_camera_source *source, struct environment *e)
{
    size_t count = 0, inherited = 0;
    snprintf(e->url, sizeof e->url, "KINEMA_CAMERA_URL=%s", source->url);
    snprintf(e->user, sizeof e->user, "KINEMA_CAMERA_USER=%s", source->user);
    snprintf(e->password, sizeof e->password, "KINEMA_CAMERA_PASSWORD=%s", source->password);
    while (environ[inherited])
        inherited++;
    e->all = calloc(inherited + 4, sizeof *e->all);
    if (!e->all)
        return -ENOMEM;
    for (size_t i = 0; i < inherited; i++)
        if (strncmp(environ[i], "KINEMA_CAMERA_", strlen("KINEMA_CAMERA_")) != 0)
            e->all[count++] = environ[i];
    e->all[count++] = e->url;
    if (*source->user) {
        e->all[count++] = e->user;
        e->all[count] = e->password;
    }
    return 0;
}

static int spawn(const struct ingest_camera_program *program,
                 const struct ingest_camera_source *source, const char *files, struct probe *probe)
{
    char seconds[8], transport[8];
    int pair[2];
    snprintf(seconds, sizeof seconds, "%d", INGEST_PROBE_SECONDS);
    snprintf(transport, sizeof transport, "%s", ingest_camera_transport_name(source->transport));
    char *const argv[] = {(char[]){"kinema-camera"},
                          (char[]){"probe"},
                          (char[]){"-"},
                          (char[]){"--transport"},
                          transport,
                          (char[]){"--seconds"},
                          seconds,
                          files ? (char[]){"--files"} : NULL,
                          (char *) (uintptr_t) files,
                          NULL};
    struct environment *e = calloc(1, sizeof *e);
    int r = e ? environment_of(source, e) : -ENOMEM;
    if (r == 0 && pipe2(pair, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0) {
        r = ingest_camera_spawn(program, argv, e->all, -1, pair[1], &probe->pid);
        close(pair[1]);
        probe->fd = pair[0];
        if (r < 0)
            close(pair[0]);
        else
            (void) fcntl(pair[0], F_SETFL, O_NONBLOCK);
    }
    if (e)
        environment_done(e);
    free(e);
    return r;
}

static void reap(struct probe *probe, int64_t now_ns, bool by_force)
{
    int status = 0;
    (void) kill(probe->pid, SIGKILL); /* it has said all, or takes too long */
    while (waitpid(probe->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(probe->fd);
    probe->pid = 0;
    probe->ended_ns = now_ns;
    if (by_force)
        snprintf(probe->end, sizeof probe->end, "it took longer than %d s", TIMEOUT_S);
    else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        snprintf(probe->end, sizeof probe->end, "its process was ended by signal %d",
                 WTERMSIG(status));
    else
        snprintf(probe->end, sizeof probe->end, "its process said nothing that can be read");
}

static void let_go(struct probe *probe)
{
    *probe->id = '\0';
    kn_buf_done(&probe->said);
}

/* Takes what it has said so far; lets go of what has long ended. */
static void look_after_locked(struct ingest_probes *probes, struct probe *probe)
{
    int64_t now_ns = kn_mono_ns(probes->clock);
    uint8_t some[4096];
    ssize_t n = 0;
    while (probe->pid && (n = read(probe->fd, some, sizeof some)) > 0)
        (void) kn_buf_append(&probe->said, some, (size_t) n);
    bool waits = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (probe->pid && (!waits || now_ns - probe->started_ns > seconds_ns(TIMEOUT_S)))
        reap(probe, now_ns, waits);
    if (*probe->id && !probe->pid && now_ns - probe->ended_ns > seconds_ns(KEPT_S))
        let_go(probe);
}

/* --- asked ------------------------------------------------------------------------------------ */
static struct probe *free_slot_locked(struct ingest_probes *probes)
{
    struct probe *found = NULL;
    size_t running = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        struct probe *probe = &probes->slots[i];
        look_after_locked(probes, probe);
        running += probe->pid ? 1 : 0;
        if (probe->pid)
            continue;
        if (!found || !*probe->id || (*found->id && probe->ended_ns < found->ended_ns))
            found = probe;
    }
    return running < INGEST_PROBES_AT_ONCE ? found : NULL;
}

int ingest_probes_start(struct ingest_probes *probes, const struct ingest_camera_source *source,
                        const char *files, struct kn_str owner, char *ret_id)
{
    KN_LOCKED(&probes->lock);
    if (!probes->path || !probes->dir)
        return -ENOTSUP;
    const struct ingest_camera_program program = {.path = probes->path, .dir = probes->dir};
    struct probe *probe = free_slot_locked(probes);
    if (!probe)
        return -EBUSY;
    kn_buf_done(&probe->said);
    *probe = (struct probe){.started_ns = kn_mono_ns(probes->clock)};
    kn_buf_init(&probe->said, ANSWER_BYTES_MAX);
    int r = kn_str_copy(probe->owner, sizeof probe->owner, owner);
    if (r == 0)
        r = spawn(&program, source, files, probe);
    if (r < 0)
        return r;
    uint8_t id[ID_BYTES];
    kn_random_name(id, sizeof id);
    kn_hex_encode((struct kn_bytes){id, sizeof id}, probe->id);
    memcpy(ret_id, probe->id, sizeof probe->id);
    return 0;
}

/* One JSON object and nothing else: a camera is a stranger, and so is who has read it. */
static bool is_object(struct kn_bytes said)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    kn_json_reader_init(&r, said);
    return kn_json_next(&r, &token) == 0 && token == KN_JSON_OBJECT &&
           kn_json_skip(&r, token) == 0 && kn_json_next(&r, &token) == 0 && token == KN_JSON_DONE;
}

static void answer(const struct probe *probe, struct kn_buf *dst)
{
    if (probe->said.error == 0 && is_object(kn_buf_bytes(&probe->said))) {
        (void) kn_buf_append(dst, probe->said.ptr, probe->said.len);
        return;
    }
    struct kn_json_writer w;
    kn_json_writer_init(&w, dst);
    kn_json_object_begin(&w);
    kn_json_key(&w, "ok");
    kn_json_bool(&w, false);
    kn_json_key(&w, "fault");
    kn_json_text(&w, "broken");
    kn_json_key(&w, "said");
    kn_json_text(&w, probe->end);
    kn_json_key(&w, "tracks");
    kn_json_array_begin(&w);
    kn_json_array_end(&w);
    kn_json_object_end(&w);
}

/* NULL: there is none, or it is another one's. */
static struct probe *find_locked(struct ingest_probes *probes, struct kn_str id,
                                 struct kn_str owner)
{
    for (size_t i = 0; i < SLOTS && id.len > 0; i++) {
        struct probe *probe = &probes->slots[i];
        if (!kn_str_eq(kn_str_from(probe->id), id) || !kn_str_eq(kn_str_from(probe->owner), owner))
            continue;
        look_after_locked(probes, probe);
        return *probe->id ? probe : NULL;
    }
    return NULL;
}

int ingest_probes_read(struct ingest_probes *probes, struct kn_str id, struct kn_str owner,
                       struct kn_buf *dst)
{
    KN_LOCKED(&probes->lock);
    const struct probe *probe = find_locked(probes, id, owner);
    if (!probe || probe->pid)
        return probe ? -EAGAIN : -ENOENT;
    answer(probe, dst);
    return dst->error;
}

int ingest_probes_cancel(struct ingest_probes *probes, struct kn_str id, struct kn_str owner)
{
    KN_LOCKED(&probes->lock);
    struct probe *probe = find_locked(probes, id, owner);
    if (!probe)
        return -ENOENT;
    if (probe->pid)
        reap(probe, kn_mono_ns(probes->clock), true);
    let_go(probe);
    return 0;
}

int ingest_probe_start(struct ingest *ingest, struct kn_str name,
                       const struct ingest_camera_wish *wish, struct kn_str owner,
                       char ret_id[INGEST_PROBE_ID_BYTES], struct kn_err *err)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream =
        name.len > 0 ? storage_stream_find(ingest->storage, name) : NULL;
    struct ingest_camera_source *source = malloc(sizeof *source);
    if (!source)
        return -ENOMEM;
    int r = ingest_camera_wished(ingest, stream, wish, source, err);
    if (r == 0)
        r = ingest_probes_start(ingest->probes, source, ingest_cameras_files(ingest->cameras),
                                owner, ret_id);
    explicit_bzero(source, sizeof *source);
    free(source);
    return r;
}

int ingest_probe_read(struct ingest *ingest, struct kn_str id, struct kn_str owner,
                      struct kn_buf *dst)
{
    return ingest_probes_read(ingest->probes, id, owner, dst);
}

int ingest_probe_cancel(struct ingest *ingest, struct kn_str id, struct kn_str owner)
{
    return ingest_probes_cancel(ingest->probes, id, owner);
}

/* --- life ------------------------------------------------------------------------------------- */
int ingest_probes_new(struct kn_clock *clock, struct ingest_probes **ret)
{
    struct ingest_probes *probes = calloc(1, sizeof *probes);
    if (!probes)
        return -ENOMEM;
    probes->clock = clock;
    kn_lock_init(&probes->lock);
    *ret = probes;
    return 0;
}

int ingest_probes_run(struct ingest_probes *probes, const struct ingest_camera_program *program)
{
    KN_LOCKED(&probes->lock);
    probes->path = strdup(program->path);
    probes->dir = strdup(program->dir);
    return probes->path && probes->dir ? 0 : -ENOMEM;
}

void ingest_probes_end(struct ingest_probes *probes)
{
    KN_LOCKED(&probes->lock);
    free(probes->path);
    free(probes->dir);
    probes->path = probes->dir = NULL;
    for (size_t i = 0; i < SLOTS; i++)
        if (probes->slots[i].pid)
            reap(&probes->slots[i], kn_mono_ns(probes->clock), true);
}

void ingest_probes_free(struct ingest_probes *probes)
{
    if (!probes)
        return;
    ingest_probes_end(probes);
    for (size_t i = 0; i < SLOTS; i++)
        kn_buf_done(&probes->slots[i].said);
    kn_lock_done(&probes->lock);
    free(probes);
}
