/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logs of shards on the simulated disk. Lives append batches to a few shards through tiny
 * journals, so that checkpoints go on all the time; each life ends in order, by a kill or by a
 * power cut at any call, or has calls that fail; so may the start after it. Then a judge reads all:
 * what was acknowledged is there under its index, what was refused is not, nothing is there twice,
 * order and contents are those of the sender, and the source's sequence is that of its last record.
 * One shard has a short retention, in some lives an endless one: of it nothing young may be
 * missing, and nothing that has been trimmed may come back. Of one the oldest segments make room
 * now and then: no others may go, and none may come back. One is dropped some day: then nothing
 * of it may come back. In some lives the files of one shard cannot be written: that must be none of
 * the others' business.
 */
#include "round.h"
#include "sim_thread.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "shard/checkpoint.h"
#include "shard/pack.h"

enum {
    SHARDS = 3,
    SENT_MAX = 4000,
    DATA_BYTES_MAX = 3000,
    UNDER_WAY_MAX = 6,
    SHORT_LIVED = 1, /* the shard with a retention */
    RETENTION_MS = 150,
    DOOMED = 2, /* the shard that is dropped */
    DROP_ONE_IN = 50,
    RELIEVED = 0, /* the shard whose oldest segments go by the rule of space */
    RELIEVE_ONE_IN = 12,
};

enum fate {
    SENT, /* no answer, or one that knows nothing */
    ACKED,
    REFUSED,
};

struct sent {
    uint8_t shard, fate;
    bool closes; /* nothing comes after it */
    uint64_t index;
    int64_t arrival_ms;
};

struct shard_notes { /* shared between the processes */
    uint32_t count;
    struct sent sent[SENT_MAX];
    uint32_t found, acked, checkpointed, reliefs;
    bool uniform; /* batches of one record, all of one size: frames lie where others lay before */
    bool direct;  /* segments are written past the page cache */
    bool packs;   /* they lie in files together */
    bool rooms;   /* calls have batches of several shards, which lie side by side in memory */
    bool injected;
    bool drop_asked, dropped; /* it may have been, it has been */
    bool endless;             /* the retention has been raised */
    uint64_t trimmed;         /* nobody sees an index of the short-lived before it any more */
    uint64_t relief_limit;    /* of the relieved, what is before it may have gone (UINT64_MAX: */
    uint64_t relieved;        /* a relief was cut or failed), and this has, for ever */
    int sick;                 /* the shard whose segments cannot be written; -1: none */
    int sick_error;
};

static struct shard_notes *notes;

static struct storage_id id_of(unsigned shard)
{
    return (struct storage_id){
        {(uint8_t) (shard * 80 + 1), (uint8_t) shard, 7}
    };
}

static size_t data_of(uint32_t number, uint8_t *dst)
{
    uint64_t state = number * 2654435761u + 99;
    size_t len = notes->uniform ? DATA_BYTES_MAX : test_random(&state) % DATA_BYTES_MAX;
    memcpy(dst, &number, sizeof(number));
    for (size_t i = sizeof(number); i < len; i++)
        dst[i] = (uint8_t) test_random(&state);
    return len < sizeof(number) ? sizeof(number) : len;
}

/* --- engines with a fault built in ------------------------------------------------------------ */
static enum own_mutant {
    OWN_NONE,
    OWN_NO_SEED,            /* frames of an earlier use of the journal look like its own */
    OWN_SEGMENTS_UNFLUSHED, /* the journal is used again before they are on disk */
    OWN_NOTHING_HELD,       /* … while a shard's files cannot be written */
    OWN_STOPS_ALL,          /* one shard's trouble is everybody's */
    OWN_TRIM_FORGOTTEN,     /* the trim point is nowhere but in memory */
    OWN_PACK_GONE_EARLY,    /* with the first of its segments */
    OWN_ROOM_USED_AGAIN,    /* while batches of the call before are in it */
} own;

uint32_t __real_storage_shard_frame_seed(const uint8_t id[16], uint64_t number);
uint32_t __wrap_storage_shard_frame_seed(const uint8_t id[16], uint64_t number);
uint32_t __wrap_storage_shard_frame_seed(const uint8_t id[16], uint64_t number)
{
    return own == OWN_NO_SEED ? 0 : __real_storage_shard_frame_seed(id, number);
}

struct storage_flush_team;
void __real_storage_flush_team_sync(struct storage_flush_team *team, struct kn_file *const *files,
                                    int *results, size_t count);
void __wrap_storage_flush_team_sync(struct storage_flush_team *team, struct kn_file *const *files,
                                    int *results, size_t count);
void __wrap_storage_flush_team_sync(struct storage_flush_team *team, struct kn_file *const *files,
                                    int *results, size_t count)
{
    if (own == OWN_SEGMENTS_UNFLUSHED)
        memset(results, 0, count * sizeof(*results));
    else
        __real_storage_flush_team_sync(team, files, results, count);
}

struct storage_outgoing;
int __real_storage_outgoing_write(struct storage_outgoing *out);
int __wrap_storage_outgoing_write(struct storage_outgoing *out);
int __wrap_storage_outgoing_write(struct storage_outgoing *out)
{
    struct storage_id sick = id_of((unsigned) notes->sick);
    int r = __real_storage_outgoing_write(out);
    if (r < 0 || notes->sick < 0 || memcmp(&out->shard->id, &sick, sizeof(sick)) != 0)
        return r;
    return notes->sick_error; /* it has left what it has left */
}

int __real_storage_held_write(struct storage_shards *shards, struct storage_shard *const *stuck,
                              size_t count, uint64_t generation, unsigned slot);
int __wrap_storage_held_write(struct storage_shards *shards, struct storage_shard *const *stuck,
                              size_t count, uint64_t generation, unsigned slot);
int __wrap_storage_held_write(struct storage_shards *shards, struct storage_shard *const *stuck,
                              size_t count, uint64_t generation, unsigned slot)
{
    if (own == OWN_STOPS_ALL)
        return -EIO;
    return own == OWN_NOTHING_HELD
               ? 0
               : __real_storage_held_write(shards, stuck, count, generation, slot);
}

int __real_storage_trims_put(struct storage_meta *meta, struct storage_trim *trims, size_t count);
int __wrap_storage_trims_put(struct storage_meta *meta, struct storage_trim *trims, size_t count);
int __wrap_storage_trims_put(struct storage_meta *meta, struct storage_trim *trims, size_t count)
{
    if (own != OWN_TRIM_FORGOTTEN)
        return __real_storage_trims_put(meta, trims, count);
    for (size_t i = 0; i < count; i++)
        trims[i].result = 0;
    return 0;
}

int __real_storage_pack_lost(struct storage_shards *shards, uint64_t number);
int __wrap_storage_pack_lost(struct storage_shards *shards, uint64_t number);
int __wrap_storage_pack_lost(struct storage_shards *shards, uint64_t number)
{
    return own == OWN_PACK_GONE_EARLY ? storage_pack_remove(shards, number)
                                      : __real_storage_pack_lost(shards, number);
}

/* Records of a call over those of the one before, as if nobody held them. */
void *__real_storage_room_take(struct storage_shards *shards, struct storage_room **room,
                               size_t bytes);
void *__wrap_storage_room_take(struct storage_shards *shards, struct storage_room **room,
                               size_t bytes);
void *__wrap_storage_room_take(struct storage_shards *shards, struct storage_room **room,
                               size_t bytes)
{
    void *at = __real_storage_room_take(shards, room, bytes);
    if (at && own == OWN_ROOM_USED_AGAIN)
        storage_room_unref(shards, *room);
    return at;
}

/* --- a life ----------------------------------------------------------------------------------- */
struct life {
    struct world *w;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_shard *shards[SHARDS];
    struct kn_lock lock;
    struct kn_cond moved;
    unsigned under_way; /* guarded by lock */
};

struct going { /* a batch on its way */
    struct life *life;
    unsigned shard;
    uint32_t first, count;
};

static int begin(struct life *life, struct world *w)
{
    static struct storage_shard_conf conf;
    struct kn_conf_table table = {.title = "shards",
                                  .keys = storage_shard_conf_keys,
                                  .count = storage_shard_conf_key_count,
                                  .target = &conf};
    struct storage_shards_report report = {0};
    struct kn_err err = {0};
    *life = (struct life){.w = w};
    assert_ok(kn_conf_defaults(&table, 1));
    conf.journal_bytes = KIB(64);
    conf.journal_count = 3;
    conf.segment_bytes_max = KIB(48);
    conf.open_segments_max = 2;
    conf.shard_memory_bytes_max =
        notes->rooms ? MIB(16) : KIB(512); /* so much, or there are none */
    if (notes->direct)
        conf.direct_bytes_min = 1;
    if (notes->packs)
        conf.pack_shards_min = 1;
    kn_lock_init(&life->lock);
    kn_cond_init(&life->moved);
    int r = world_open(w, &life->clock, &life->storage, NULL);
    if (r < 0)
        return r;
    sim_thread_enter();
    r = storage_shards_start(life->storage, &conf, &report, &err);
    for (unsigned i = 0; r == 0 && i < SHARDS; i++) {
        struct storage_id id = id_of(i);
        r = storage_shard_open(life->storage, &id,
                               i == SHORT_LIVED && !notes->endless ? RETENTION_MS : INT64_MAX,
                               &life->shards[i]);
        if (r == -ENOENT && i == DOOMED && notes->drop_asked)
            r = 0;
    }
    sim_thread_leave();
    if (r == 0 && report.bad_frames > 0)
        world_broken(w, "%u frames are damaged", (unsigned) report.bad_frames);
    snprintf(w->notes->failure, sizeof(w->notes->failure), "start: %d %.200s", r, err.text);
    return r;
}

static void end_in_order(struct life *life)
{
    sim_thread_enter();
    for (unsigned i = 0; i < SHARDS; i++)
        storage_shard_unref(life->shards[i]);
    storage_close(life->storage);
    sim_thread_leave();
}

static void on_appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct going *going = ctx;
    struct life *life = going->life;
    for (uint32_t i = 0; i < going->count; i++) {
        struct sent *sent = &notes->sent[going->first + i];
        sent->index = first_index + i;
        sent->arrival_ms = arrival_ms;
        sent->fate = result == 0 ? ACKED : result == -ETIMEDOUT ? SENT : REFUSED;
    }
    if (result == 0)
        notes->acked += going->count;
    else if (!notes->injected && notes->sick != (int) going->shard)
        world_broken(life->w, "an append failed with %d, and nothing was wrong", result);
    else if (!notes->injected && result != notes->sick_error)
        world_broken(life->w, "an append to the sick shard failed with %d", result);
    free(going);
    KN_LOCKED(&life->lock);
    life->under_way--;
    kn_cond_signal(&life->moved);
}

/* Of others, checkpoints leave the row as it is. */
static bool has_sources(unsigned shard)
{
    return shard == SHORT_LIVED || shard == DOOMED;
}

static int fill(struct storage_batch *batch, unsigned shard, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[DATA_BYTES_MAX], *dst;
        struct storage_shard_source source = {id_of(shard + 100), first + i + 1};
        size_t len = data_of(first + i, bytes);
        int r = storage_batch_add(batch, KN_STR("key"), (uint8_t) first,
                                  has_sources(shard) ? &source : NULL, DATA_BYTES_MAX, &dst);
        if (r < 0)
            return r;
        memcpy(dst, bytes, len);
        storage_batch_trim(batch, len);
    }
    return 0;
}

/* What one thread sends at once: batches of a few shards, in a room of memory where there are
 * rooms, that share a flush. */
struct call {
    struct life *life;
    struct storage_room *room;
    struct storage_appends appends;
};

static int make_batch(struct call *call, uint32_t count, struct storage_batch **ret)
{
    struct storage *storage = call->life->storage;
    size_t bytes = count * (sizeof("key") + sizeof(struct storage_shard_source) + DATA_BYTES_MAX);
    return notes->rooms ? storage_batch_new_for(storage, &call->room, count, bytes, ret)
                        : storage_batch_new(storage, ret);
}

/* Another batch of the call. */
static void send(struct call *call, unsigned shard, uint32_t count)
{
    struct life *life = call->life;
    struct storage_batch *batch = NULL;
    if (notes->count + count > SENT_MAX || (shard == DOOMED && notes->drop_asked))
        return;
    sim_thread_enter();
    uint32_t first = notes->count;
    int r = make_batch(call, count, &batch);
    if (r == 0)
        r = fill(batch, shard, first, count);
    sim_thread_leave();
    struct going *going = malloc(sizeof(*going));
    if (r < 0 || !going) { /* it was not sent at all */
        free(going);
        storage_batch_free(batch);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        notes->sent[first + i] = (struct sent){.shard = (uint8_t) shard, .fate = SENT};
    notes->count += count;
    *going = (struct going){.life = life, .shard = shard, .first = first, .count = count};
    kn_lock_take(&life->lock);
    life->under_way++;
    kn_lock_give(&life->lock);
    sim_thread_enter();
    storage_shard_ref(life->shards[shard]);
    storage_shard_append_with(life->shards[shard], batch, on_appended, going, &call->appends);
    sim_thread_leave();
}

static uint32_t some(uint64_t *state)
{
    return notes->uniform ? 1 : 1 + (uint32_t) (test_random(state) % 5);
}

/* To a shard; with rooms also to those behind it, so that several batches lie in one. */
static void append(struct life *life, uint64_t *state)
{
    struct call call = {.life = life};
    unsigned shard = (unsigned) (test_random(state) % SHARDS);
    unsigned shards = notes->rooms ? 1 + (unsigned) (test_random(state) % SHARDS) : 1;
    for (unsigned i = 0; i < shards; i++)
        send(&call, (shard + i) % SHARDS, some(state));
    sim_thread_enter();
    storage_room_leave(life->storage, call.room);
    storage_shard_append_all(&call.appends);
    sim_thread_leave();
}

static void wait_until(struct life *life, unsigned under_way)
{
    KN_LOCKED(&life->lock);
    while (life->under_way > under_way)
        kn_cond_wait(&life->moved, &life->lock);
}

static void drop(struct life *life)
{
    struct storage_id id = id_of(DOOMED);
    wait_until(life, 0);
    notes->drop_asked = true;
    sim_thread_enter();
    int r = storage_shard_drop(life->storage, &id);
    sim_thread_leave();
    if (r == 0)
        notes->dropped = true;
    else if (!notes->injected)
        world_broken(life->w, "dropping failed with %d", r);
}

/* The index a reader begins at; what was in front of it never comes back. */
static bool look_at_oldest(struct life *life, unsigned shard, uint64_t *first)
{
    struct storage_shard_read read = {.from = 0, .count_max = 1, .bytes_max = 1};
    struct storage_page page;
    sim_thread_enter();
    int r = storage_shard_read(life->shards[shard], &read, &page);
    if (r == 0) {
        *first = kn_max_u64(*first, page.count > 0 ? page.records[0].index : page.next);
        storage_page_free(&page);
    } else if (!notes->injected) {
        world_broken(life->w, "reading failed with %d", r);
    }
    sim_thread_leave();
    return r == 0;
}

/* The volume is short of space: one segment of a byte at least, the oldest. */
static void relieve(struct life *life)
{
    struct storage_id id = id_of(RELIEVED);
    struct storage_segment_row row;
    uint64_t segments = 0, bytes = 0, limit = notes->relief_limit;
    sim_thread_enter();
    int r = storage_segment_row_oldest(life->storage->meta, &id, &row);
    if (r == 0) {
        /* the oldest segment may grow until it goes, so how far is known afterwards */
        notes->relief_limit = UINT64_MAX;
        r = storage_shard_relieve(life->storage, &id, INT64_MAX, 1, &segments, &bytes);
    }
    sim_thread_leave();
    if (r < 0 && r != -ENOENT && !notes->injected && notes->sick != RELIEVED)
        world_broken(life->w, "making room failed with %d", r);
    if (r == 0 && segments == 0) {
        notes->relief_limit = limit;
    } else if (r == 0) {
        notes->reliefs++;
        if (look_at_oldest(life, RELIEVED, &notes->relieved))
            notes->relief_limit = notes->relieved;
    }
}

static int live(struct world *w, uint64_t seed, unsigned steps, bool close)
{
    struct life life;
    notes->endless = seed % 5 == 4;
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 5;
    if (begin(&life, w) < 0)
        return SIM_EXIT_CLOSED;
    for (unsigned i = 0; i < steps; i++) {
        append(&life, &state);
        kn_fake_clock_advance(&life.clock, 10);
        w->notes->wall_ms = life.clock.wall_ms;
        wait_until(&life, (unsigned) (test_random(&state) % UNDER_WAY_MAX));
        if (test_random(&state) % DROP_ONE_IN == 0)
            drop(&life);
        if (i % 4 == 0)
            (void) look_at_oldest(&life, SHORT_LIVED, &notes->trimmed);
        if (test_random(&state) % RELIEVE_ONE_IN == 0)
            relieve(&life);
    }
    wait_until(&life, 0);
    if (close)
        end_in_order(&life);
    return 0;
}

/* --- the judge -------------------------------------------------------------------------------- */
struct judged {
    struct world *w;
    unsigned shard;
    int64_t last, last_ms; /* number and arrival of the record before */
    uint64_t first, next;
    bool *seen;
};

static void judge_record(struct judged *j, const struct storage_shard_record *record)
{
    uint8_t bytes[DATA_BYTES_MAX];
    uint32_t number = UINT32_MAX;
    if (record->data.len >= sizeof(number))
        memcpy(&number, record->data.ptr, sizeof(number));
    if (j->shard == DOOMED && notes->dropped)
        world_broken(j->w, "record %u of a dropped shard is back", number);
    if (number >= notes->count || notes->sent[number].shard != j->shard)
        world_broken(j->w, "shard %u, index %" PRIu64 ": was never sent", j->shard, record->index);
    if (j->shard == SHORT_LIVED && record->index < notes->trimmed)
        world_broken(j->w, "record %u was trimmed and is back", number);
    if (j->shard == RELIEVED && record->index < notes->relieved)
        world_broken(j->w, "record %u made room and is back", number);
    size_t len = data_of(number, bytes);
    if (len != record->data.len || memcmp(bytes, record->data.ptr, len) != 0)
        world_broken(j->w, "record %u has other bytes", number);
    struct sent *sent = &notes->sent[number];
    if (sent->fate == REFUSED)
        world_broken(j->w, "record %u was refused and is there", number);
    if (sent->fate == ACKED && sent->index != record->index)
        world_broken(j->w, "record %u has index %" PRIu64 ", not %" PRIu64, number, record->index,
                     sent->index);
    if ((int64_t) number <= j->last || record->index < j->next || record->arrival_ms < j->last_ms)
        world_broken(j->w, "record %u comes after %" PRId64, number, j->last);
    if (j->next == 0)
        j->first = record->index;
    j->seen[number] = true;
    j->last = number;
    j->last_ms = record->arrival_ms;
    j->next = record->index + 1;
    sent->fate = ACKED; /* whoever has read it counts on it */
    sent->index = record->index;
    sent->arrival_ms = record->arrival_ms;
}

static int judge_shard(struct judged *j, struct storage_shard *shard)
{
    struct storage_page page = {.next = 0};
    bool end = false;
    while (!end) {
        struct storage_shard_read read = {.from = page.next, .count_max = 7, .bytes_max = 9000};
        int r = storage_shard_read(shard, &read, &page);
        if (r < 0)
            return r;
        for (size_t i = 0; i < page.count; i++)
            judge_record(j, &page.records[i]);
        notes->found += (uint32_t) page.count;
        end = page.at_end;
        uint64_t next = page.next;
        storage_page_free(&page);
        page.next = next;
    }
    struct storage_id source = id_of(j->shard + 100);
    uint64_t seq = storage_shard_source_seq(shard, &source);
    /* A drop that failed has let go of records, and is to be asked for again. */
    bool may_miss = j->shard == SHORT_LIVED || j->shard == RELIEVED ||
                    (j->shard == DOOMED && notes->drop_asked);
    if (!has_sources(j->shard))
        return 0;
    if (may_miss ? seq < (uint64_t) (j->last + 1) : seq != (uint64_t) (j->last + 1))
        world_broken(j->w,
                     "shard %u: the source's sequence %" PRIu64 " is not that of record %" PRId64,
                     j->shard, seq, j->last);
    return 0;
}

/* A file that nobody knows may be left by what was cut, and no record of it is needed. */
static void keep_problem(void *ctx, const char *text)
{
    if (strncmp(text, "problem ", 8) == 0 && strncmp(text, "problem unknown ", 16) != 0)
        world_broken(ctx, "check: %.300s", text);
}

static void check_folder(struct world *w)
{
    struct storage_check_result result = {0};
    struct kn_err err = {0};
    const struct storage_look look = {sim_disk_fs(w->disk), kn_clock_system(), keep_problem, w};
    int r = storage_check(w->dir.path, &look, &result, &err);
    if (r < 0)
        world_broken(w, "check: %s", err.text);
}

static int judge(struct world *w, uint64_t seed)
{
    struct life life;
    notes->endless = seed / 8 % 2;
    bool *seen = calloc(SENT_MAX, 1);
    if (notes->count > 0 && own == OWN_NONE && w->mutant == MUTANT_NONE) /* those, readers catch */
        check_folder(w);
    if (!seen || begin(&life, w) < 0)
        return SIM_EXIT_CLOSED;
    notes->found = 0;
    uint64_t oldest = notes->relief_limit;
    for (unsigned i = 0; i < SHARDS; i++) {
        if (!life.shards[i])
            continue;
        struct judged j = {.w = w, .shard = i, .last = -1, .seen = seen};
        int r = judge_shard(&j, life.shards[i]);
        if (r < 0)
            world_broken(w, "reading shard %u: %d", i, r);
        struct storage_shard_ends ends;
        storage_shard_ends(life.shards[i], &ends);
        if (ends.next < j.next)
            world_broken(w, "shard %u ends before its last record", i);
        if (i == RELIEVED && j.next > 0)
            oldest = j.first;
    }
    for (uint32_t i = 0; i < notes->count; i++) {
        const struct sent *sent = &notes->sent[i];
        bool may_go =
            (sent->shard == DOOMED && notes->drop_asked) ||
            (sent->shard == RELIEVED && sent->index < notes->relief_limit) ||
            (sent->shard == SHORT_LIVED && sent->arrival_ms < life.clock.wall_ms - RETENTION_MS);
        if (sent->fate == ACKED && !seen[i] && !may_go)
            world_broken(w, "record %u was acknowledged and is gone", i);
        if (!seen[i])
            notes->sent[i].fate = REFUSED; /* gone is gone */
    }
    notes->relief_limit = oldest; /* what has been seen stays */
    free(seen);
    end_in_order(&life);
    check_folder(w);
    return 0;
}

/* --- processes -------------------------------------------------------------------------------- */
enum task {
    LIVE,
    REOPEN,
    JUDGE
};

static int run(struct world *w, enum task task, uint64_t seed, unsigned steps, bool close)
{
    struct life life;
    world_begin_process(w, seed);
    if (task == LIVE)
        return live(w, seed, steps, close);
    if (task == JUDGE)
        return judge(w, seed);
    if (begin(&life, w) < 0)
        return SIM_EXIT_CLOSED;
    end_in_order(&life);
    return 0;
}

static int in_child(struct world *w, enum task task, uint64_t seed, unsigned steps, bool close)
{
    fflush(stdout);
    fflush(stderr);
    w->notes->failure[0] = '\0';
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run(w, task, seed, steps, close));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct world shard_world(void)
{
    notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(notes != MAP_FAILED);
    return world_new();
}

static void shard_world_done(struct world *w)
{
    world_done(w);
    munmap(notes, sizeof(*notes));
}

static void fresh(struct world *w)
{
    world_fresh(w);
    memset(notes, 0, sizeof(*notes));
    notes->sick = -1;
}

/* --- rounds ----------------------------------------------------------------------------------- */
static const struct {
    unsigned kinds;
    int error;
    unsigned calls;
} failures[] = {
    {SIM_SYNC,             -EIO,    60  },
    {SIM_SYNC,             -EIO,    20  },
    {SIM_WRITE,            -EIO,    60  },
    {SIM_WRITE,            -ENOSPC, 60  },
    {SIM_SYNC_DIR,         -EIO,    20  },
    {SIM_OPEN | SIM_MKDIR, -EIO,    20  },
    {SIM_UNLINK,           -EIO,    10  },
    {SIM_READ | SIM_SIZE,  -EIO,    20  },
    {SIM_LMDB_WRITE,       -EIO,    40  },
    {SIM_LMDB_SYNC,        -EIO,    30  },
    {SIM_MEMORY,           -ENOMEM, 2000},
};

static void say(char *story, const char *fmt, ...) KN_PRINTF(2, 3);
static void say(char *story, const char *fmt, ...)
{
    size_t len = strlen(story);
    va_list args;
    va_start(args, fmt);
    vsnprintf(story + len, 400 - len, fmt, args);
    va_end(args);
}

/* True: a call fails. */
static bool arrange(struct world *w, uint64_t *state, uint64_t calls, char *story)
{
    uint64_t what = test_random(state) % 8, at = test_random(state);
    uint64_t kind = test_random(state) % KN_ARRAY_LEN(failures);
    struct sim_plan *plan = sim_disk_plan(w->disk);
    if (what < 4) {
        sim_plan_cut(plan, (int64_t) (at % calls));
        say(story, " cut at %" PRIu64, at % calls);
        return false;
    }
    if (what > 5)
        return false;
    at %= failures[kind].calls;
    bool for_good = test_random(state) % 3 == 0;
    sim_plan_fail(plan, (int64_t) at, failures[kind].kinds, failures[kind].error, for_good);
    say(story, " %s %" PRIu64 " fails with %s%s", sim_call_name(failures[kind].kinds), at,
        kn_errname(failures[kind].error), for_good ? " for good" : "");
    return true;
}

static void end(struct world *w, uint64_t *state, char *story)
{
    uint64_t seed = test_random(state);
    bool killed = test_random(state) % 4 == 0;
    say(story, killed ? ", kill;" : ", power;");
    if (killed)
        sim_disk_process_ended(w->disk);
    else
        sim_disk_power_cut(w->disk, w->dir.path, seed, SIM_FATE_RANDOM);
}

/* Another block of each journal, and of what is held, is bad: one of the two in which its header
 * lies. */
struct spoiling {
    struct world *w;
    uint64_t state;
};

static int spoil_header(void *ctx, const char *name, bool is_dir)
{
    struct spoiling *s = ctx;
    struct kn_fs *fs = sim_disk_fs(s->w->disk);
    uint8_t bad[STORAGE_JOURNAL_HEAD_BYTES];
    struct iovec iov = {bad, sizeof(bad)};
    struct kn_file *file;
    char path[300];
    uint64_t size;
    assert_false(is_dir);
    memset(bad, 0x5a, sizeof(bad));
    snprintf(path, sizeof(path), "%s/journal/%.100s", s->w->dir.path, name);
    assert_ok(fs->ops->open(fs, path, KN_FS_WRITE, &file));
    assert_ok(fs->ops->size(file, &size));
    bool first = test_random(&s->state) % 2;
    if (size >= 2 * STORAGE_JOURNAL_COPY_BYTES) { /* one that is made whole */
        assert_ok(kn_file_write_all(file, &iov, 1, first ? 0 : size - STORAGE_JOURNAL_COPY_BYTES));
        assert_ok(fs->ops->sync(file));
    }
    fs->ops->close(file);
    return 0;
}

static void spoil_headers(struct world *w, uint64_t seed, char *story)
{
    struct spoiling s = {w, seed * 0x9E3779B97F4A7C15u + 77};
    char path[300];
    if (test_random(&s.state) % 3 > 0)
        return;
    say(story, " headers spoilt;");
    snprintf(path, sizeof(path), "%s/journal", w->dir.path);
    int r = sim_disk_fs(w->disk)->ops->list(sim_disk_fs(w->disk), path, spoil_header, &s);
    assert_true(r == 0 || r == -ENOENT);
    sim_disk_process_ended(w->disk);
}

static bool is_fine(int status, bool fails)
{
    return status == 0 || status == SIM_EXIT_CUT || (status == SIM_EXIT_CLOSED && fails);
}

/* It lasts over the judge and the next start, until the next life. */
static void fall_ill(uint64_t *state, char *story)
{
    bool ill = test_random(state) % 3 == 0;
    notes->sick = ill ? (int) (test_random(state) % SHARDS) : -1;
    notes->sick_error = test_random(state) % 2 ? -EIO : -ENOSPC;
    if (ill)
        say(story, " shard %d cannot be written (%s)", notes->sick, kn_errname(notes->sick_error));
}

/* NULL: all is well; else who ended badly. */
static const char *one_round(struct world *w, uint64_t seed, char *story, int *ret_status)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    fresh(w);
    notes->uniform = seed % 3 == 0;
    notes->direct = seed % 2 == 0;
    notes->packs = seed % 4 < 2;
    notes->rooms = seed % 5 < 2;
    notes->sick = -1;
    for (unsigned life = 0, lives = 1 + (unsigned) (test_random(&state) % 3); life < lives;
         life++) {
        unsigned steps = 10 + (unsigned) (test_random(&state) % 60);
        bool close = test_random(&state) % 3 != 0;
        notes->injected = arrange(w, &state, 220, story);
        fall_ill(&state, story);
        *ret_status = in_child(w, LIVE, seed * 8 + life, steps, close);
        if (!is_fine(*ret_status, notes->injected))
            return "the workload";
        end(w, &state, story);
        spoil_headers(w, seed * 8 + life, story);
        if (test_random(&state) % 2) {
            bool fails = arrange(w, &state, 30, story);
            *ret_status = in_child(w, REOPEN, seed * 8 + life, 0, false);
            if (!is_fine(*ret_status, fails))
                return "the start";
            end(w, &state, story);
        }
        *ret_status = in_child(w, JUDGE, seed * 8 + life, 0, false);
        if (*ret_status != 0)
            return "the judge";
        end(w, &state, story);
    }
    return NULL;
}

TEST(no_acknowledged_record_is_lost_and_none_is_there_twice)
{
    struct world w = shard_world();
    uint64_t first = round_first_seed(1), rounds = round_count(60, 3000), found = 0, bad = 0;
    uint64_t reliefs = 0;
    for (uint64_t seed = first; seed < first + rounds && bad < 5; seed++) {
        char story[400] = "";
        int status = 0;
        const char *who = one_round(&w, seed, story, &status);
        if (who)
            print_error("seed %" PRIu64 ":%s %s ended with %d: %s\n", seed, story, who, status,
                        w.notes->failure);
        bad += who != NULL;
        found += notes->found;
        reliefs += notes->reliefs;
    }
    print_message("%" PRIu64 " rounds from seed %" PRIu64 ": %" PRIu64 " records found, %" PRIu64
                  " segments made room\n",
                  rounds, first, found, reliefs);
    shard_world_done(&w);
    assert_int_equal(bad, 0);
    assert_true(found > 0 && (rounds < 20 || reliefs > 0));
}

/* Each place of one life with a few checkpoints, whatever becomes of what was not flushed. */
static void cut_anywhere(bool together)
{
    struct world w = shard_world();
    int64_t at = 0;
    for (bool cut = true; cut; at += round_is_long() ? 1 : 11) {
        for (enum sim_fate fate = SIM_FATE_KEEP; fate <= SIM_FATE_RANDOM; fate++) {
            fresh(&w);
            notes->rooms = notes->packs = together;
            sim_plan_cut(sim_disk_plan(w.disk), at);
            int status = in_child(&w, LIVE, 3, 40, true);
            cut = status == SIM_EXIT_CUT;
            if (status == 0 || cut) {
                sim_disk_power_cut(w.disk, w.dir.path, (uint64_t) at, fate);
                status = in_child(&w, JUDGE, (uint64_t) at, 0, false);
            }
            if (status != 0)
                print_error("cut at %" PRId64 ", fate %d: %d: %s\n", at, (int) fate, status,
                            w.notes->failure);
            assert_int_equal(status, 0);
        }
    }
    print_message("%" PRId64 " places\n", at);
    shard_world_done(&w);
}

TEST(a_life_of_shards_may_be_cut_anywhere)
{
    cut_anywhere(false);
}

/* Batches in rooms, which share flushes; segments in packs. */
TEST(a_life_of_shards_that_share_may_be_cut_anywhere)
{
    cut_anywhere(true);
}

static void assert_killed(enum mutant mutant, enum own_mutant mine, const char *name)
{
    struct world w = shard_world();
    uint64_t seed = round_first_seed(1), last = seed + 400;
    char story[400] = "";
    const char *who = NULL;
    w.mutant = mutant;
    own = mine;
    for (; !who && seed < last; seed++) {
        int status = 0;
        story[0] = '\0';
        who = one_round(&w, seed, story, &status);
    }
    own = OWN_NONE;
    print_message("%s: %s by seed %" PRIu64 ":%s %s: %s\n", name, who ? "killed" : "NOT killed",
                  seed - 1, story, who ? who : "", w.notes->failure);
    shard_world_done(&w);
    assert_non_null(who);
}

TEST(an_engine_that_acknowledges_before_the_flush_is_caught)
{
    assert_killed(MUTANT_NO_DATA_FLUSH, OWN_NONE, "no flush");
}

TEST(an_engine_that_tries_a_failed_flush_again_is_caught)
{
    assert_killed(MUTANT_FLUSH_TRIED_AGAIN, OWN_NONE, "flush tried again");
}

TEST(an_engine_that_flushes_no_folders_is_caught)
{
    assert_killed(MUTANT_NO_FOLDER_FLUSH, OWN_NONE, "no folder flush");
}

TEST(an_engine_without_checksums_is_caught)
{
    assert_killed(MUTANT_NO_CHECKSUM, OWN_NONE, "no checksums");
}

TEST(an_engine_whose_checksums_know_no_journal_is_caught)
{
    assert_killed(MUTANT_NONE, OWN_NO_SEED, "no seed");
}

TEST(an_engine_that_uses_a_journal_before_segments_are_flushed_is_caught)
{
    assert_killed(MUTANT_NONE, OWN_SEGMENTS_UNFLUSHED, "segments not flushed");
}

TEST(an_engine_that_holds_nothing_of_a_shard_that_cannot_be_written_is_caught)
{
    assert_killed(MUTANT_NONE, OWN_NOTHING_HELD, "nothing held");
}

TEST(an_engine_that_one_shard_can_stop_is_caught)
{
    assert_killed(MUTANT_NONE, OWN_STOPS_ALL, "one shard stops all");
}

TEST(an_engine_that_forgets_what_it_has_trimmed_is_caught)
{
    assert_killed(MUTANT_NONE, OWN_TRIM_FORGOTTEN, "trim point not stored");
}

TEST(an_engine_that_removes_a_pack_with_its_first_segment_is_caught)
{
    assert_killed(MUTANT_NONE, OWN_PACK_GONE_EARLY, "pack gone early");
}

TEST(an_engine_that_uses_a_room_again_too_early_is_caught)
{
    assert_killed(MUTANT_NONE, OWN_ROOM_USED_AGAIN, "room used again");
}

TESTS_MAIN(TEST_OF(no_acknowledged_record_is_lost_and_none_is_there_twice),
           TEST_OF(a_life_of_shards_may_be_cut_anywhere),
           TEST_OF(a_life_of_shards_that_share_may_be_cut_anywhere),
           TEST_OF(an_engine_that_acknowledges_before_the_flush_is_caught),
           TEST_OF(an_engine_that_tries_a_failed_flush_again_is_caught),
           TEST_OF(an_engine_that_flushes_no_folders_is_caught),
           TEST_OF(an_engine_without_checksums_is_caught),
           TEST_OF(an_engine_whose_checksums_know_no_journal_is_caught),
           TEST_OF(an_engine_that_uses_a_journal_before_segments_are_flushed_is_caught),
           TEST_OF(an_engine_that_holds_nothing_of_a_shard_that_cannot_be_written_is_caught),
           TEST_OF(an_engine_that_one_shard_can_stop_is_caught),
           TEST_OF(an_engine_that_forgets_what_it_has_trimmed_is_caught),
           TEST_OF(an_engine_that_removes_a_pack_with_its_first_segment_is_caught),
           TEST_OF(an_engine_that_uses_a_room_again_too_early_is_caught))
