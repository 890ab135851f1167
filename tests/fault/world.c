/* SPDX-License-Identifier: Apache-2.0 */
/* Worlds, their processes and their media; see world.h. */
#include "world.h"

#include "sim_memory.h"
#include "sim_thread.h"
#include "storage_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/log.h"

enum {
    FRAME_BYTES_MAX = 3000
};
static const char temp_root[] = "/dev/shm";

/* --- media ------------------------------------------------------------------------------------ */
/* Every third has other Tracks, so its fragments need a chunk of their own; all have another app,
 * so their headers differ. Timecodes rise from one medium to the next. */
struct capture world_media(unsigned media)
{
    struct kn_buf b;
    char app[32];
    kn_buf_init(&b, MIB(1));
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000, .track_count = 1};
    header.tracks[0] = (struct kn_mkv_track){.number = 1, .type = KN_MKV_VIDEO};
    snprintf(header.tracks[0].codec_id, sizeof(header.tracks[0].codec_id), "%s",
             media % 3 ? "V_MPEG4/ISO/AVC" : "V_MPEGH/ISO/HEVC");
    snprintf(app, sizeof(app), "made %u", media);
    (void) kn_mkv_write_header(&b, &header, kn_str_from(app));
    uint64_t state = media * 7919u + 13;
    for (unsigned i = 0; i < WORLD_MEDIA_FRAGMENTS; i++) {
        (void) kn_mkv_write_cluster(&b, media * 100000u + i * 2000 + 1);
        unsigned frames = 1 + (unsigned) (test_random(&state) % 4);
        for (unsigned n = 0; n < frames; n++) {
            size_t len = 1 + test_random(&state) % FRAME_BYTES_MAX;
            (void) kn_mkv_write_block_head(&b, 1, (int16_t) (n * 40), n == 0, len);
            for (size_t at = 0; at < len; at += 8) {
                uint64_t some = test_random(&state);
                (void) kn_buf_append(&b, &some, kn_min_u64(8, len - at));
            }
        }
    }
    struct capture capture = capture_parse(b.ptr, b.len);
    kn_buf_done(&b);
    return capture;
}

/* --- processes -------------------------------------------------------------------------------- */
void world_broken(struct world *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->notes->failure, sizeof(w->notes->failure), fmt, args);
    va_end(args);
    _exit(SIM_EXIT_BROKEN);
}

void world_begin_process(struct world *w, uint64_t seed)
{
    static const uint64_t lingers_ms[] = {0, 1, 50};
    w->linger_ms = lingers_ms[seed % KN_ARRAY_LEN(lingers_ms)];
    w->flush_volume = w->flush == WORLD_FLUSH_BY_SEED ? seed / KN_ARRAY_LEN(lingers_ms) % 2 != 0
                                                      : w->flush == WORLD_FLUSH_VOLUME;
    kn_log_setup(open("/dev/null", O_WRONLY | O_CLOEXEC), KN_LOG_ERROR, KN_LOG_TEXT);
    mutant_set(w->mutant, w->disk);
    sim_memory_begin(sim_disk_plan(w->disk));
    sim_lmdb_begin(sim_disk_lmdb(w->disk), sim_disk_plan(w->disk), w->dir.path);
    sim_thread_begin(seed);
}

struct storage_conf world_conf(void)
{
    struct storage_conf conf = rig_conf();
    conf.chunk_bytes_max = 40000;
    conf.part_bytes = KIB(4);
    conf.window_bytes_max = KIB(128);
    conf.window_total_bytes_max = KIB(512);
    conf.catalogue_bytes_max = MIB(1);
    conf.io_threads = 2;
    conf.flush_threads = 2;
    conf.retention_slice_chunks = 3;
    return conf;
}

int world_open(struct world *w, struct kn_fake_clock *clock, struct storage **ret,
               struct storage_report *ret_report)
{
    static struct storage_conf conf;
    struct kn_err err = {0};
    conf = world_conf();
    conf.linger_ms = w->linger_ms;
    conf.flush_volume = w->flush_volume ? STORAGE_FLUSH_VOLUME_YES : STORAGE_FLUSH_VOLUME_NO;
    conf.flush_volume_files_min = 1;
    kn_fake_clock_init(clock, w->notes->wall_ms);
    sim_thread_enter();
    int r = storage_open(w->dir.path, &conf, sim_disk_fs(w->disk), &clock->clock, ret, ret_report,
                         &err);
    sim_thread_leave();
    if (r < 0)
        snprintf(w->notes->failure, sizeof(w->notes->failure), "open: %s", err.text);
    return r;
}

bool world_has_hold(const struct world_stream *stream)
{
    for (unsigned i = 0; i < WORLD_HOLDS; i++) {
        if (stream->holds[i].state == WORLD_HOLD_SET)
            return true;
    }
    return false;
}

bool world_is_held(const struct world *w, const struct world_note *note)
{
    const struct world_hold *holds = w->notes->streams[note->stream].holds;
    int64_t at_ms = note->number.server_ts_ms;
    for (unsigned i = 0; i < WORLD_HOLDS; i++) {
        if (holds[i].state == WORLD_HOLD_SET && at_ms >= holds[i].from_ms &&
            at_ms <= holds[i].to_ms && at_ms >= holds[i].promised_ms)
            return true;
    }
    return false;
}

struct kn_str world_hold_name(unsigned hold, char dst[8])
{
    snprintf(dst, 8, "h%u", hold);
    return kn_str_from(dst);
}

struct world_note *world_note_of(struct world *w, unsigned stream,
                                 const struct storage_number *number)
{
    for (uint32_t i = w->notes->note_count; i > 0; i--) {
        struct world_note *note = &w->notes->notes[i - 1];
        if (note->stream == stream && note->number.seq == number->seq &&
            note->number.server_ts_ms == number->server_ts_ms &&
            note->number.random == number->random)
            return note;
    }
    return NULL;
}

enum task {
    LIVE,
    REOPEN,
    JUDGE
};

static int run(struct world *w, enum task task, const struct world_work *work, uint64_t seed)
{
    world_begin_process(w, seed);
    if (task == LIVE)
        return workload_run(w, work);
    if (task == JUDGE)
        return judge_run(w);
    struct kn_fake_clock clock;
    struct storage *storage;
    if (world_open(w, &clock, &storage, NULL) < 0)
        return SIM_EXIT_CLOSED;
    sim_thread_enter();
    storage_close(storage);
    sim_thread_leave();
    return 0;
}

/* The status of the task in a child of its own. */
static int in_child(struct world *w, enum task task, const struct world_work *work, uint64_t seed)
{
    fflush(stdout);
    fflush(stderr);
    w->notes->failure[0] = '\0';
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run(w, task, work, seed));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int world_live(struct world *w, const struct world_work *work)
{
    w->notes->lives++;
    return in_child(w, LIVE, work, work->seed);
}

int world_reopen(struct world *w, uint64_t seed)
{
    return in_child(w, REOPEN, NULL, seed);
}

int world_judge(struct world *w)
{
    return in_child(w, JUDGE, NULL, w->notes->lives);
}

/* --- worlds ----------------------------------------------------------------------------------- */
static struct temp_dir folder(void)
{
    struct temp_dir dir;
    if (access(temp_root, W_OK) < 0)
        return temp_dir_new();
    snprintf(dir.path, sizeof(dir.path), "%s/kinema-test-XXXXXX", temp_root);
    assert_non_null(mkdtemp(dir.path));
    return dir;
}

struct world world_new(void)
{
    struct world w = {.dir = folder(), .disk = sim_disk_new()};
    w.notes =
        mmap(NULL, sizeof(*w.notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w.notes != MAP_FAILED);
    world_fresh(&w);
    return w;
}

void world_done(struct world *w)
{
    munmap(w->notes, sizeof(*w->notes));
    sim_disk_free(w->disk);
    temp_dir_remove(&w->dir);
}

/* The folder keeps its name, which the trace of a round contains. */
void world_fresh(struct world *w)
{
    char path[sizeof(w->dir.path)];
    memcpy(path, w->dir.path, sizeof(path));
    temp_dir_remove(&w->dir);
    assert_ok(mkdir(path, 0700));
    sim_disk_wipe(w->disk);
    memset(w->notes, 0, sizeof(*w->notes));
    w->notes->wall_ms = 1763851000000;
}
