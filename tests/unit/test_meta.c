/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: compare-and-set, listing, groups, full maps, other processes, and kill -9. */
#include "temp_dir.h"
#include "test.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/thread.h"
#include "storage/meta.h"

static struct storage_meta *open_meta_of(const struct temp_dir *dir, uint64_t bytes_max)
{
    char path[128];
    snprintf(path, sizeof path, "%s/catalogue", dir->path);
    struct storage_meta *meta = NULL;
    struct kn_err err = {0};
    int r = storage_meta_open(path, bytes_max, &meta, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
    return meta;
}

static struct storage_meta *open_meta(const struct temp_dir *dir)
{
    return open_meta_of(dir, MIB(64));
}

static struct kn_bytes text(const char *s)
{
    return (struct kn_bytes){(const uint8_t *) s, strlen(s)};
}

static uint64_t must_put(struct storage_meta *meta, const char *key, const char *value,
                         uint64_t expect)
{
    uint64_t version = 0;
    assert_ok(storage_meta_put(meta, text(key), text(value), expect, &version));
    return version;
}

static void assert_value(struct storage_meta *meta, const char *key, const char *want)
{
    struct kn_buf value;
    kn_buf_init(&value, KIB(64));
    uint64_t version;
    assert_ok(storage_meta_get(meta, text(key), &value, &version));
    assert_str_is(kn_buf_str(&value), want);
    kn_buf_done(&value);
}

static int get_error(struct storage_meta *meta, const char *key)
{
    struct kn_buf value;
    kn_buf_init(&value, KIB(64));
    uint64_t version;
    int r = storage_meta_get(meta, text(key), &value, &version);
    kn_buf_done(&value);
    return r;
}

TEST(put_replaces_only_the_version_it_has_seen)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);

    uint64_t one = must_put(meta, "s/a", "first", 0);
    assert_int_equal(storage_meta_put(meta, text("s/a"), text("again"), 0, NULL), -EEXIST);
    uint64_t two = must_put(meta, "s/a", "second", one);
    assert_true(two > one);
    assert_int_equal(storage_meta_put(meta, text("s/a"), text("late"), one, NULL), -ESTALE);
    assert_int_equal(storage_meta_put(meta, text("s/b"), text("new"), one, NULL), -ESTALE);

    assert_value(meta, "s/a", "second");
    assert_int_equal(get_error(meta, "s/b"), -ENOENT);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(a_version_does_not_come_back_with_a_key_made_again)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);

    uint64_t before = must_put(meta, "s/a", "x", 0);
    assert_ok(storage_meta_remove(meta, text("s/a"), before));
    uint64_t after = must_put(meta, "s/a", "x", 0);

    assert_true(after > before);
    assert_int_equal(storage_meta_remove(meta, text("s/a"), before), -ESTALE);
    assert_ok(storage_meta_remove(meta, text("s/a"), 0));
    assert_int_equal(storage_meta_remove(meta, text("s/a"), 0), -ENOENT);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(what_was_put_is_there_after_reopening_and_nobody_else_may_read_it)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    must_put(meta, "k/AKIA", "secret", 0);
    must_put(meta, "s/empty", "", 0);
    uint64_t generation = storage_meta_generation(meta);
    storage_meta_close(meta);

    meta = open_meta(&dir);
    assert_value(meta, "k/AKIA", "secret");
    assert_value(meta, "s/empty", "");
    assert_int_equal(storage_meta_generation(meta), generation);
    storage_meta_close(meta);

    struct stat st;
    char path[128];
    snprintf(path, sizeof path, "%s/catalogue", dir.path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/catalogue/data.mdb", dir.path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    temp_dir_remove(&dir);
}

TEST(a_folder_others_could_read_is_closed_to_them)
{
    struct temp_dir dir = temp_dir_new();
    char path[128];
    snprintf(path, sizeof path, "%s/catalogue", dir.path);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, 0755), 0);

    storage_meta_close(open_meta(&dir));

    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    temp_dir_remove(&dir);
}

TEST(the_generation_grows_with_changes_and_stands_still_without)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);

    uint64_t start = storage_meta_generation(meta);
    must_put(meta, "s/a", "x", 0);
    uint64_t put = storage_meta_generation(meta);
    assert_true(put > start);
    assert_int_equal(storage_meta_put(meta, text("s/a"), text("y"), 0, NULL), -EEXIST);
    assert_value(meta, "s/a", "x");
    assert_int_equal(storage_meta_generation(meta), put);
    assert_ok(storage_meta_remove(meta, text("s/a"), 0));
    assert_true(storage_meta_generation(meta) > put);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

struct listed {
    struct storage_meta *meta;
    size_t count, stop_at;
    char first[32], last[32];
};

static int note(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) value;
    struct listed *listed = ctx;
    assert_true(version > 0);
    char name[32];
    assert_ok(kn_str_copy(name, sizeof name, kn_str_of(key)));
    assert_true(listed->count == 0 || strcmp(listed->last, name) < 0);
    if (listed->count++ == 0)
        memcpy(listed->first, name, sizeof name);
    memcpy(listed->last, name, sizeof name);
    assert_int_equal(get_error(listed->meta, name), 0); /* calling back is allowed */
    return listed->count == listed->stop_at ? -ECANCELED : 0;
}

static struct listed list(struct storage_meta *meta, const char *prefix, const char *after,
                          size_t limit)
{
    struct listed listed = {.meta = meta};
    assert_ok(storage_meta_list(meta, text(prefix), text(after), limit, note, &listed));
    return listed;
}

TEST(a_list_has_all_keys_of_a_prefix_in_order)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    must_put(meta, "k/z", "x", 0);
    must_put(meta, "t", "x", 0);
    for (int i = 0; i < 600; i++) {
        char key[16];
        snprintf(key, sizeof key, "s/%04d", i);
        must_put(meta, key, "x", 0);
    }

    struct listed all = list(meta, "s/", "", SIZE_MAX);
    assert_int_equal(all.count, 600);
    assert_string_equal(all.first, "s/0000");
    assert_string_equal(all.last, "s/0599");
    struct listed some = list(meta, "s/", "s/0010", 300);
    assert_int_equal(some.count, 300);
    assert_string_equal(some.first, "s/0011");
    assert_int_equal(list(meta, "s/", "s/0599", 10).count, 0);
    assert_int_equal(list(meta, "s/", "a", 10).count, 10);
    assert_int_equal(list(meta, "u", "", 10).count, 0);
    assert_int_equal(list(meta, "", "", SIZE_MAX).count, 602);

    struct listed stopped = {.meta = meta, .stop_at = 5};
    assert_int_equal(storage_meta_list(meta, text("s/"), text(""), 100, note, &stopped),
                     -ECANCELED);
    assert_int_equal(stopped.count, 5);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(the_largest_keys_and_values_come_back_and_larger_ones_are_refused)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    static uint8_t value[STORAGE_META_VALUE_BYTES_MAX + 1];
    memset(value, 7, sizeof value);
    char key[STORAGE_META_KEY_BYTES_MAX + 1];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = 0;

    struct kn_bytes largest = {value, STORAGE_META_VALUE_BYTES_MAX};
    assert_ok(storage_meta_put(meta, text(key), largest, 0, NULL));
    assert_int_equal(
        storage_meta_put(meta, text("s/b"), (struct kn_bytes){value, sizeof value}, 0, NULL),
        -EMSGSIZE);

    struct kn_buf got;
    uint64_t version;
    kn_buf_init(&got, sizeof value);
    assert_ok(storage_meta_get(meta, text(key), &got, &version));
    assert_int_equal(got.len, largest.len);
    assert_memory_equal(got.ptr, value, got.len);
    kn_buf_done(&got);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(a_full_catalogue_refuses_new_keys_but_lets_old_ones_change_and_go)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta_of(&dir, MIB(1));
    static char block[9000];
    memset(block, 'x', sizeof block - 1);

    int count = 0, r = 0;
    uint64_t version = 0;
    char key[16];
    for (; r == 0 && count < 1000; count++) {
        snprintf(key, sizeof key, "s/%04d", count);
        r = storage_meta_put(meta, text(key), text(block), 0, count == 0 ? &version : NULL);
    }
    assert_int_equal(r, -ENOSPC);
    assert_in_range(count, 20, 200);

    must_put(meta, "s/0000", block, version);
    for (int i = 0; i < count - 1; i++) {
        snprintf(key, sizeof key, "s/%04d", i);
        assert_ok(storage_meta_remove(meta, text(key), 0));
    }
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "t/%04d", i);
        must_put(meta, key, block, 0);
    }
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

/* --- threads ---------------------------------------------------------------------------------- */
enum {
    THREADS = 16,
    ROUNDS = 25
};

struct worker {
    struct storage_meta *meta;
    int index;
    pthread_t thread;
};

static void increment(struct storage_meta *meta)
{
    for (;;) {
        struct kn_buf value;
        kn_buf_init(&value, 64);
        uint64_t version, number;
        assert_ok(storage_meta_get(meta, text("q/counter"), &value, &version));
        assert_ok(kn_str_to_u64(kn_buf_str(&value), 1 << 20, &number));
        kn_buf_done(&value);
        char next[32];
        snprintf(next, sizeof next, "%d", (int) number + 1);
        int r = storage_meta_put(meta, text("q/counter"), text(next), version, NULL);
        if (r == 0)
            return;
        assert_int_equal(r, -ESTALE);
    }
}

static void *increment_main(void *arg)
{
    for (int i = 0; i < ROUNDS / 5; i++)
        increment(((struct worker *) arg)->meta);
    return NULL;
}

static void *put_main(void *arg)
{
    struct worker *worker = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char key[32];
        snprintf(key, sizeof key, "c/%02d%04d", worker->index, i);
        must_put(worker->meta, key, "chunk", 0);
    }
    return NULL;
}

static void run_workers(struct storage_meta *meta, void *(*main_fn)(void *) )
{
    struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.meta = meta, .index = i};
        assert_ok(kn_thread_start(&workers[i].thread, "worker", main_fn, &workers[i]));
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

TEST(compare_and_set_from_many_threads_loses_no_change)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    must_put(meta, "q/counter", "0", 0);

    run_workers(meta, increment_main);

    char want[16];
    snprintf(want, sizeof want, "%d", THREADS * (ROUNDS / 5));
    assert_value(meta, "q/counter", want);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(changes_of_many_threads_share_transactions)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    uint64_t before = storage_meta_generation(meta);

    run_workers(meta, put_main);

    uint64_t transactions = storage_meta_generation(meta) - before;
    assert_int_equal(list(meta, "c/", "", SIZE_MAX).count, THREADS * ROUNDS);
    assert_in_range(transactions, 1, THREADS * ROUNDS / 2);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

/* --- other processes: the child never shares the parent's environment ------------------------- */
static pid_t child_of(void (*run)(const struct temp_dir *dir, int fd), const struct temp_dir *dir,
                      int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        run(dir, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static void put_one_when_told(const struct temp_dir *dir, int fd)
{
    struct storage_meta *meta = open_meta(dir);
    must_put(meta, "k/CHILD", "secret", 0);
    storage_meta_close(meta);
    assert_int_equal(write(fd, "x", 1), 1);
}

TEST(another_process_sees_and_makes_changes)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    must_put(meta, "k/PARENT", "x", 0);
    uint64_t generation = storage_meta_generation(meta);
    storage_meta_close(meta); /* forked with no environment open, as LMDB demands */
    int fd;
    char byte;

    pid_t pid = child_of(put_one_when_told, &dir, &fd);
    meta = open_meta(&dir); /* while the child may be writing */
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_value(meta, "k/CHILD", "secret");
    assert_true(storage_meta_generation(meta) > generation);

    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(fd);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

static void put_for_ever(const struct temp_dir *dir, int fd)
{
    struct storage_meta *meta = open_meta(dir);
    for (uint32_t i = 0;; i++) {
        char key[32];
        snprintf(key, sizeof key, "c/%08u", i);
        must_put(meta, key, "chunk", 0);
        if (write(fd, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

TEST(what_was_acknowledged_before_kill_9_is_found)
{
    uint64_t seed = test_seed();
    for (int round = 0; round < 5; round++) {
        struct temp_dir dir = temp_dir_new();
        int fd;
        pid_t pid = child_of(put_for_ever, &dir, &fd);
        uint64_t kill_at = 1 + test_random(&seed) % 40;
        uint32_t acknowledged = 0, last = 0;
        while (acknowledged < kill_at && read(fd, &last, sizeof last) == sizeof last)
            acknowledged = last + 1;
        kill(pid, SIGKILL);
        while (read(fd, &last, sizeof last) == sizeof last)
            acknowledged = last + 1;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(fd);

        struct storage_meta *meta = open_meta(&dir);
        size_t found = list(meta, "c/", "", SIZE_MAX).count;
        assert_true(found == acknowledged || found == acknowledged + 1);
        must_put(meta, "c/after", "x", 0);
        storage_meta_close(meta);
        temp_dir_remove(&dir);
    }
}

TESTS_MAIN(TEST_OF(put_replaces_only_the_version_it_has_seen),
           TEST_OF(a_version_does_not_come_back_with_a_key_made_again),
           TEST_OF(what_was_put_is_there_after_reopening_and_nobody_else_may_read_it),
           TEST_OF(a_folder_others_could_read_is_closed_to_them),
           TEST_OF(the_generation_grows_with_changes_and_stands_still_without),
           TEST_OF(a_list_has_all_keys_of_a_prefix_in_order),
           TEST_OF(the_largest_keys_and_values_come_back_and_larger_ones_are_refused),
           TEST_OF(a_full_catalogue_refuses_new_keys_but_lets_old_ones_change_and_go),
           TEST_OF(compare_and_set_from_many_threads_loses_no_change),
           TEST_OF(changes_of_many_threads_share_transactions),
           TEST_OF(another_process_sees_and_makes_changes),
           TEST_OF(what_was_acknowledged_before_kill_9_is_found))
