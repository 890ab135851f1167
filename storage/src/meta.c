/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue on LMDB: one unnamed database, keys as given, values behind an 8-byte version.
 *
 * A version is the number of the transaction that wrote the value, times 4096, plus its place in
 * that transaction: it never comes back, also not when a key is removed and made again, and the
 * generation is LMDB's own transaction counter, which every process reads from mapped memory.
 *
 * Writers form groups. Whoever finds nobody writing takes all that queue up and commits them in one
 * transaction, so a flush is paid once for all who came during the last one. Layout and figures:
 * docs/format-catalogue.md.
 */
#include "storage/meta.h"

#include "meta_file.h"
#include "storage_metrics.h"

#include <lmdb.h>
#include <pthread.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/thread.h"

enum {
    PATH_BYTES_MAX = 4096,
    READER_BYTES = 64,         /* LMDB's: a cache line each, */
    READERS_HEAD_BYTES = 4096, /* behind less than a page */
    VERSION_BYTES = 8,
    VERSION_BATCH_BITS = 12,
    BATCH_MAX = 1 << VERSION_BATCH_BITS,
    READERS_MAX = 1024,          /* over all processes; a read holds one for microseconds */
    LIST_PAGE_ENTRIES_MAX = 256, /* gathered in one read transaction */
    LIST_PAGE_BYTES_MAX = 4 << 20,
    LIST_PAGE_BYTES_AIM = 256 << 10,
};
static_assert(LIST_PAGE_BYTES_MAX > LIST_PAGE_BYTES_AIM + STORAGE_META_VALUE_BYTES_MAX +
                                        STORAGE_META_KEY_BYTES_MAX + 64,
              "one more entry of any size fits after the aim is not yet reached");

/* A change on its caller's stack, who waits until a leader has committed it. */
struct change {
    bool remove;
    struct kn_bytes key, value;
    uint64_t expect;
    uint64_t version; /* the new one */
    int result;
    bool done;
    struct kn_cond wake;
    struct change *next;
};

struct storage_meta {
    char dir[PATH_BYTES_MAX];
    /* Read-held around each transaction; write-held to open env again, and to change the map's
     * size, which LMDB allows only while this process has no transaction. */
    pthread_rwlock_t map_lock;
    MDB_env *env; /* NULL: could not be opened again */
    MDB_dbi dbi;
    uint64_t map_bytes;
    uint64_t failed_txn; /* the leader's last one whose commit failed; read with map_lock written */
    bool in_doubt;       /* guarded by map_lock: that one is found in the file all the same */
    bool settled;        /* the leader's: since env was opened, the disk has its root */
    struct kn_lock lock;
    struct change *first, **last; /* guarded by lock: waiting for a leader */
    bool leading;                 /* guarded by lock */
    _Atomic bool failing;         /* set by the leader: the last transaction was */
};

static int error_of(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_KEYEXIST:
        return -EEXIST;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return -ENOSPC;
    case ENOMEM:
        return -ENOMEM;
    case MDB_READERS_FULL:
    case EBUSY:
        return -EBUSY;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return -EBADMSG;
    case ENOENT:
        return -ENOENT;
    case EACCES:
        return -EACCES;
    default: /* EIO, MDB_PANIC after a failed write of the root, and what should not arise */
        return -EIO;
    }
}

static MDB_val val_of(struct kn_bytes bytes)
{
    return (MDB_val){bytes.len, (void *) (uintptr_t) bytes.ptr};
}

static int split(const MDB_val *stored, uint64_t *ret_version, struct kn_bytes *ret_value)
{
    struct kn_reader in = kn_reader_of((struct kn_bytes){stored->mv_data, stored->mv_size});
    if (kn_read_u64be(&in, ret_version) < 0)
        return -EBADMSG;
    *ret_value = (struct kn_bytes){in.at, kn_reader_left(&in)};
    return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */
/* LMDB maps its table of readers from a file with holes: a reader that came to a new page of it on
 * a full disk would be killed by SIGBUS. Before LMDB opens it, since closing any descriptor of that
 * file drops the locks this process has on it. */
static int reserve_readers(const char *dir)
{
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof path, "%s/lock.mdb", dir);
    if (n < 0 || (size_t) n >= sizeof path)
        return ENAMETOOLONG;
    struct kn_fs *fs = kn_fs_system();
    struct kn_file *file;
    int r = fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_CREATE, &file);
    if (r < 0)
        return -r;
    r = fs->ops->allocate(file, 0, READERS_MAX * READER_BYTES + READERS_HEAD_BYTES);
    fs->ops->close(file);
    return -r;
}

static int open_env(struct storage_meta *meta, uint64_t bytes_max)
{
    int rc = mdb_env_create(&meta->env);
    if (!rc)
        rc = reserve_readers(meta->dir);
    if (rc)
        return rc;
    uint64_t page = 4096;
    meta->map_bytes = bytes_max;
    rc = mdb_env_set_mapsize(meta->env, (bytes_max + page - 1) / page * page);
    if (!rc)
        rc = mdb_env_set_maxreaders(meta->env, READERS_MAX);
    /* NOTLS: a reader slot belongs to the transaction, so threads may come and go. */
    if (!rc)
        rc = mdb_env_open(meta->env, meta->dir, MDB_NOTLS | MDB_NORDAHEAD, S_IRUSR | S_IWUSR);
    int dead = 0;
    if (!rc)
        rc = mdb_reader_check(meta->env, &dead); /* slots of killed processes pin old pages */

    MDB_txn *txn = NULL;
    if (!rc)
        rc = mdb_txn_begin(meta->env, NULL, MDB_RDONLY, &txn);
    if (rc == MDB_MAP_RESIZED) { /* it holds more than bytes_max already: live with that */
        rc = mdb_env_set_mapsize(meta->env, 0);
        if (!rc)
            rc = mdb_txn_begin(meta->env, NULL, MDB_RDONLY, &txn);
    }
    if (rc)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &meta->dbi);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

int storage_meta_open(const char *dir, uint64_t bytes_max, struct storage_meta **ret,
                      struct kn_err *err)
{
    const char *what;
    int r = storage_meta_file_make(dir, &what);
    if (r < 0)
        return kn_fail(err, r, "catalogue %s %s: %s", what, dir, kn_errsay(r));

    struct storage_meta *meta = calloc(1, sizeof *meta);
    if (!meta)
        return kn_fail(err, -ENOMEM, "catalogue %s: out of memory", dir);
    meta->last = &meta->first;
    kn_lock_init(&meta->lock);
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&meta->map_lock, &attr);
    pthread_rwlockattr_destroy(&attr);

    int n = snprintf(meta->dir, sizeof meta->dir, "%s", dir);
    int rc = n > 0 && (size_t) n < sizeof meta->dir ? open_env(meta, bytes_max) : ENAMETOOLONG;
    if (rc) {
        storage_meta_close(meta);
        return kn_fail(err, error_of(rc), "catalogue %s: %s", dir, mdb_strerror(rc));
    }
    *ret = meta;
    return 0;
}

void storage_meta_close(struct storage_meta *meta)
{
    if (!meta)
        return;
    kn_assert(!meta->first && !meta->leading);
    if (meta->env)
        mdb_env_close(meta->env);
    pthread_rwlock_destroy(&meta->map_lock);
    kn_lock_done(&meta->lock);
    free(meta);
}

/* --- transactions ----------------------------------------------------------------------------- */
static void resize(struct storage_meta *meta, size_t more)
{
    pthread_rwlock_wrlock(&meta->map_lock);
    MDB_envinfo info;
    size_t size = 0; /* 0: as large as another process has made it */
    if (more && meta->env && mdb_env_info(meta->env, &info) == 0)
        size = meta->map_bytes = info.me_mapsize + more;
    if (meta->env)
        (void) mdb_env_set_mapsize(meta->env,
                                   size); /* failing: the next transaction says so again */
    pthread_rwlock_unlock(&meta->map_lock);
}

static int begin_once(struct storage_meta *meta, unsigned flags, MDB_txn **ret)
{
    return meta->env ? mdb_txn_begin(meta->env, NULL, flags, ret) : MDB_PANIC;
}

/* After a failed write of its root LMDB refuses everything for good, since nobody knows which root
 * the disk holds. Here that write is known to have failed: if the file, opened again, shows the
 * state before it, then reading goes on, and changing once `settle` has made that root the disk's.
 * If the file shows what failed, callers were told wrong: then only a new start, which reads all of
 * it anew, mends that. */
static int reopen_locked(struct storage_meta *meta)
{
    MDB_txn *txn;
    if (meta->in_doubt)
        return MDB_PANIC;
    int rc = begin_once(meta, MDB_RDONLY, &txn);
    if (!rc)
        mdb_txn_abort(txn); /* somebody else was first */
    if (rc != MDB_PANIC)
        return rc;
    if (meta->env)
        mdb_env_close(meta->env);
    meta->env = NULL;
    meta->settled = false;
    rc = open_env(meta, meta->map_bytes);
    MDB_envinfo info;
    if (!rc && mdb_env_info(meta->env, &info) == 0)
        meta->in_doubt = meta->failed_txn && info.me_last_txnid >= meta->failed_txn;
    if ((rc || meta->in_doubt) && meta->env) {
        mdb_env_close(meta->env);
        meta->env = NULL;
    }
    if (meta->in_doubt) {
        kn_log_error("catalogue_in_doubt",
                     "said=\"a change that failed is in the file all the same; "
                     "start the server again\"");
        return MDB_PANIC;
    }
    if (!rc)
        kn_log_info("catalogue_opened_again", "said=\"its root could not be written\"");
    return rc;
}

static int reopen(struct storage_meta *meta)
{
    pthread_rwlock_wrlock(&meta->map_lock);
    int rc = reopen_locked(meta);
    pthread_rwlock_unlock(&meta->map_lock);
    return rc;
}

/* On success map_lock is read-held until done with the transaction. */
static int begin(struct storage_meta *meta, unsigned flags, MDB_txn **ret)
{
    for (int attempt = 0;; attempt++) {
        pthread_rwlock_rdlock(&meta->map_lock);
        int rc = begin_once(meta, flags, ret);
        if (!rc)
            return 0;
        pthread_rwlock_unlock(&meta->map_lock);
        if ((rc != MDB_MAP_RESIZED && rc != MDB_PANIC) || attempt == 3)
            return rc;
        if (rc == MDB_MAP_RESIZED)
            resize(meta, 0);
        else if ((rc = reopen(meta)) != 0)
            return rc;
    }
}

static void end_read(struct storage_meta *meta, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&meta->map_lock);
}

int storage_meta_get(struct storage_meta *meta, struct kn_bytes key, struct kn_buf *value,
                     uint64_t *ret_version)
{
    kn_assert(key.len > 0 && key.len <= STORAGE_META_KEY_BYTES_MAX);
    MDB_txn *txn;
    int rc = begin(meta, MDB_RDONLY, &txn);
    if (rc)
        return error_of(rc);

    MDB_val k = val_of(key), stored;
    rc = mdb_get(txn, meta->dbi, &k, &stored);
    int r = error_of(rc);
    uint64_t version = 0;
    struct kn_bytes bytes;
    if (r == 0)
        r = split(&stored, &version, &bytes);
    if (r == 0)
        r = kn_buf_append(value, bytes.ptr, bytes.len);
    end_read(meta, txn);
    if (r == 0)
        *ret_version = version;
    return r;
}

/* --- changes ---------------------------------------------------------------------------------- */
static int check_expected(MDB_txn *txn, MDB_dbi dbi, const struct change *c)
{
    MDB_val k = val_of(c->key), stored;
    int rc = mdb_get(txn, dbi, &k, &stored);
    if (rc && rc != MDB_NOTFOUND)
        return error_of(rc);
    if (rc == MDB_NOTFOUND) {
        if (c->remove)
            return -ENOENT;
        return c->expect ? -ESTALE : 0;
    }
    if (!c->expect)
        return c->remove ? 0 : -EEXIST;
    uint64_t version;
    struct kn_bytes value;
    int r = split(&stored, &version, &value);
    if (r < 0)
        return r;
    return version == c->expect ? 0 : -ESTALE;
}

/* 0 and c->result set, or the LMDB error that has spoilt the transaction. */
static int apply(MDB_txn *txn, MDB_dbi dbi, struct change *c, uint64_t version)
{
    bool is_new = !c->remove && !c->expect; /* LMDB looks, without a walk of its own */
    c->result = is_new ? 0 : check_expected(txn, dbi, c);
    if (c->result < 0)
        return 0;
    MDB_val k = val_of(c->key);
    if (c->remove)
        return mdb_del(txn, dbi, &k, NULL);

    MDB_val stored = {VERSION_BYTES + c->value.len, NULL};
    int rc = mdb_put(txn, dbi, &k, &stored, MDB_RESERVE | (is_new ? MDB_NOOVERWRITE : 0));
    if (rc == MDB_KEYEXIST) {
        c->result = -EEXIST;
        return 0;
    }
    if (rc)
        return rc;
    kn_put_u64be(stored.mv_data, version);
    if (c->value.len)
        memcpy((uint8_t *) stored.mv_data + VERSION_BYTES, c->value.ptr, c->value.len);
    c->version = version;
    return 0;
}

/* In a transaction that writes, so that no other process does meanwhile. */
static int settle(struct storage_meta *meta)
{
    if (meta->settled)
        return 0;
    MDB_stat stat;
    int rc = mdb_env_stat(meta->env, &stat);
    if (!rc)
        rc = -storage_meta_file_settle(meta->dir, stat.ms_psize);
    meta->settled = rc == 0;
    return rc;
}

/* All changes from `first` on in one transaction. An LMDB error means none was made. */
static int commit_all(struct storage_meta *meta, struct change *first)
{
    MDB_txn *txn;
    int rc = begin(meta, 0, &txn);
    if (rc)
        return rc;
    uint64_t id = mdb_txn_id(txn), version = id << VERSION_BATCH_BITS;
    rc = settle(meta);
    for (struct change *c = first; c && !rc; c = c->next)
        rc = apply(txn, meta->dbi, c, version++);
    if (rc)
        mdb_txn_abort(txn);
    else if ((rc = mdb_txn_commit(txn)) != 0)
        meta->failed_txn = id;
    pthread_rwlock_unlock(&meta->map_lock);
    return rc;
}

/* A full map refuses new keys only: what removes or rewrites may pass the ceiling a little, or a
 * full catalogue could never be emptied. */
static int commit_one(struct storage_meta *meta, struct change *c)
{
    int rc = commit_all(meta, c);
    if (rc == MDB_MAP_FULL && (c->remove || c->expect)) {
        resize(meta, MIB(1));
        rc = commit_all(meta, c);
    }
    return rc;
}

/* Said once when it begins and once when it is over. By whoever leads. */
static void say_health(struct storage_meta *meta, int rc)
{
    bool failing = rc && rc != MDB_MAP_FULL;
    if (failing && !meta->failing)
        kn_log_error(
            "catalogue_failed",
            "err=%s what=" KN_LOG_QUOTED
            " said=\"the change was not made; what needs the catalogue is refused until it "
            "can be written\"",
            kn_errname(error_of(rc)), kn_log_quote(kn_str_from(mdb_strerror(rc))));
    if (!failing && meta->failing)
        kn_log_info("catalogue_works_again", "said=\"changes are written down again\"");
    meta->failing = failing;
    storage_metrics_catalogue(failing);
}

bool storage_meta_failing(const struct storage_meta *meta)
{
    return meta->failing;
}

static void commit_group(struct storage_meta *meta, struct change *first)
{
    int rc = commit_all(meta, first);
    say_health(meta, rc);
    if (rc == 0)
        return;
    for (struct change *c = first; c; c = c->next)
        c->result = error_of(rc);
    if (rc != MDB_MAP_FULL)
        return;
    for (struct change *c = first, *next; c; c = next) { /* one did not fit: judge each alone */
        next = c->next;
        c->next = NULL;
        rc = commit_one(meta, c);
        if (rc)
            c->result = error_of(rc);
        c->next = next;
    }
}

static struct change *take_group_locked(struct storage_meta *meta)
{
    kn_lock_assert_held(&meta->lock);
    struct change *first = meta->first, *at = first;
    for (size_t count = 1; at->next && count < BATCH_MAX; count++)
        at = at->next;
    meta->first = at->next;
    if (!meta->first)
        meta->last = &meta->first;
    at->next = NULL;
    return first;
}

static void lead_locked(struct storage_meta *meta)
{
    meta->leading = true;
    struct change *first = take_group_locked(meta);
    kn_lock_give(&meta->lock);
    commit_group(meta, first);
    kn_lock_take(&meta->lock);
    for (struct change *c = first, *next; c; c = next) {
        next = c->next; /* once done, c may leave with its stack frame */
        c->done = true;
        kn_cond_signal(&c->wake);
    }
    meta->leading = false;
    if (meta->first)
        kn_cond_signal(&meta->first->wake); /* leads next */
}

static void enqueue_locked(struct storage_meta *meta, struct change *c)
{
    kn_assert(c->key.len > 0 && c->key.len <= STORAGE_META_KEY_BYTES_MAX);
    kn_cond_init(&c->wake);
    *meta->last = c;
    meta->last = &c->next;
}

static void await_locked(struct storage_meta *meta, struct change *c)
{
    while (!c->done) {
        if (meta->leading)
            kn_cond_wait(&c->wake, &meta->lock);
        else
            lead_locked(meta);
    }
    kn_cond_done(&c->wake);
}

static int change(struct storage_meta *meta, struct change *c)
{
    if (c->value.len > STORAGE_META_VALUE_BYTES_MAX)
        return -EMSGSIZE;
    KN_LOCKED(&meta->lock);
    enqueue_locked(meta, c);
    await_locked(meta, c);
    return c->result;
}

int storage_meta_put(struct storage_meta *meta, struct kn_bytes key, struct kn_bytes value,
                     uint64_t expect, uint64_t *ret_version)
{
    struct change c = {.key = key, .value = value, .expect = expect};
    int r = change(meta, &c);
    if (r == 0 && ret_version)
        *ret_version = c.version;
    return r;
}

int storage_meta_remove(struct storage_meta *meta, struct kn_bytes key, uint64_t expect)
{
    struct change c = {.remove = true, .key = key, .expect = expect};
    return change(meta, &c);
}

void storage_meta_change_all(struct storage_meta *meta, struct storage_meta_change *changes,
                             size_t count)
{
    struct change *all = calloc(count, sizeof *all);
    for (size_t i = 0; i < count; i++) {
        struct storage_meta_change *at = &changes[i];
        struct change one = {
            .remove = at->remove, .key = at->key, .value = at->value, .expect = at->expect};
        kn_assert(at->value.len <= STORAGE_META_VALUE_BYTES_MAX);
        if (all)
            all[i] = one;
        else /* no memory: a flush each */
            at->result = change(meta, &one);
        at->version = one.version;
    }
    if (!all)
        return;
    kn_lock_take(&meta->lock);
    for (size_t i = 0; i < count; i++)
        enqueue_locked(meta, &all[i]);
    for (size_t i = 0; i < count; i++) {
        await_locked(meta, &all[i]);
        changes[i].result = all[i].result;
        changes[i].version = all[i].version;
    }
    kn_lock_give(&meta->lock);
    free(all);
}

/* --- listing ---------------------------------------------------------------------------------- */
static int page_append(struct kn_buf *page, const MDB_val *k, const MDB_val *stored)
{
    uint64_t version;
    struct kn_bytes value;
    int r = split(stored, &version, &value);
    if (r < 0)
        return r;
    kn_buf_append_u64be(page, version);
    kn_buf_append_varint(page, k->mv_size);
    kn_buf_append(page, k->mv_data, k->mv_size);
    kn_buf_append_varint(page, value.len);
    kn_buf_append(page, value.ptr, value.len);
    return page->error;
}

/* Copies entries after `after` into page: a read transaction must be short, since it keeps LMDB
 * from reusing pages, and `each` may call back into the catalogue. */
static int read_page(struct storage_meta *meta, struct kn_bytes prefix, struct kn_bytes after,
                     size_t limit, struct kn_buf *page, size_t *ret_count)
{
    MDB_txn *txn;
    int rc = begin(meta, MDB_RDONLY, &txn);
    if (rc)
        return error_of(rc);

    MDB_cursor *cursor = NULL;
    rc = mdb_cursor_open(txn, meta->dbi, &cursor);
    struct kn_bytes from = kn_str_cmp(kn_str_of(after), kn_str_of(prefix)) > 0 ? after : prefix;
    MDB_val k = val_of(from), stored;
    if (!rc)
        rc = from.len ? mdb_cursor_get(cursor, &k, &stored, MDB_SET_RANGE)
                      : mdb_cursor_get(cursor, &k, &stored, MDB_FIRST);
    int r = 0;
    size_t count = 0;
    for (; !rc && r == 0; rc = mdb_cursor_get(cursor, &k, &stored, MDB_NEXT)) {
        struct kn_str key = {k.mv_data, k.mv_size};
        if (!kn_str_starts_with(key, kn_str_of(prefix)))
            break;
        if (after.len && kn_str_cmp(key, kn_str_of(after)) <= 0)
            continue;
        if (count == limit || count == LIST_PAGE_ENTRIES_MAX || page->len > LIST_PAGE_BYTES_AIM)
            break;
        r = page_append(page, &k, &stored);
        count++;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    end_read(meta, txn);
    if (r == 0 && rc && rc != MDB_NOTFOUND)
        r = error_of(rc);
    if (r == 0)
        *ret_count = count;
    return r;
}

/* The last key below what follows the prefix. */
static int seek_last(MDB_cursor *cursor, struct kn_bytes prefix, MDB_val *k, MDB_val *stored)
{
    uint8_t beyond[STORAGE_META_KEY_BYTES_MAX + 1];
    memcpy(beyond, prefix.ptr, prefix.len);
    beyond[prefix.len] = 0xff; /* no key of ours goes on with it: they are text */
    *k = (MDB_val){prefix.len + 1, beyond};
    int rc = mdb_cursor_get(cursor, k, stored, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(cursor, k, stored, MDB_LAST);
    return rc ? rc : mdb_cursor_get(cursor, k, stored, MDB_PREV);
}

static int read_last(struct storage_meta *meta, struct kn_bytes prefix, size_t limit,
                     struct kn_buf *page, size_t *ret_count)
{
    MDB_txn *txn;
    int rc = begin(meta, MDB_RDONLY, &txn);
    if (rc)
        return error_of(rc);
    MDB_cursor *cursor = NULL;
    MDB_val k, stored;
    rc = mdb_cursor_open(txn, meta->dbi, &cursor);
    if (!rc)
        rc = seek_last(cursor, prefix, &k, &stored);
    int r = 0;
    size_t count = 0;
    for (; !rc && r == 0 && count < limit; rc = mdb_cursor_get(cursor, &k, &stored, MDB_PREV)) {
        if (!kn_str_starts_with((struct kn_str){k.mv_data, k.mv_size}, kn_str_of(prefix)))
            break;
        r = page_append(page, &k, &stored);
        count++;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    end_read(meta, txn);
    if (r == 0 && rc && rc != MDB_NOTFOUND)
        r = error_of(rc);
    *ret_count = count;
    return r;
}

static int page_next(struct kn_reader *in, uint64_t *version, struct kn_bytes *key,
                     struct kn_bytes *value)
{
    uint64_t len = 0;
    if (kn_read_u64be(in, version) < 0 || kn_read_varint(in, &len) < 0 ||
        kn_read_bytes(in, len, key) < 0 || kn_read_varint(in, &len) < 0 ||
        kn_read_bytes(in, len, value) < 0)
        return -EBADMSG;
    return 0;
}

static int list_pages(struct storage_meta *meta, struct kn_bytes prefix, struct kn_bytes after,
                      size_t limit, storage_meta_fn *each, void *ctx, struct kn_buf *page)
{
    uint8_t last[STORAGE_META_KEY_BYTES_MAX];
    while (limit > 0) {
        kn_buf_clear(page);
        size_t count = 0;
        int r = read_page(meta, prefix, after, limit, page, &count);
        if (r < 0 || count == 0)
            return r;
        struct kn_reader in = kn_reader_of(kn_buf_bytes(page));
        struct kn_bytes key = {NULL, 0}, value;
        uint64_t version;
        for (size_t i = 0; i < count; i++) {
            r = page_next(&in, &version, &key, &value);
            if (r == 0)
                r = each(ctx, key, value, version);
            if (r < 0)
                return r;
        }
        kn_assert(key.len <= sizeof last);
        memcpy(last, key.ptr, key.len);
        after = (struct kn_bytes){last, key.len};
        limit -= count;
    }
    return 0;
}

int storage_meta_list(struct storage_meta *meta, struct kn_bytes prefix, struct kn_bytes after,
                      size_t limit, storage_meta_fn *each, void *ctx)
{
    struct kn_buf page;
    kn_buf_init(&page, LIST_PAGE_BYTES_MAX);
    int r = list_pages(meta, prefix, after, limit, each, ctx, &page);
    kn_buf_done(&page);
    return r;
}

int storage_meta_list_last(struct storage_meta *meta, struct kn_bytes prefix, size_t limit,
                           storage_meta_fn *each, void *ctx)
{
    kn_assert(prefix.len > 0 && prefix.len < STORAGE_META_KEY_BYTES_MAX &&
              limit <= STORAGE_META_LAST_MAX);
    struct kn_buf page;
    kn_buf_init(&page, LIST_PAGE_BYTES_MAX);
    size_t count = 0;
    int r = read_last(meta, prefix, limit, &page, &count);
    struct kn_reader in = kn_reader_of(kn_buf_bytes(&page));
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct kn_bytes key, value;
        uint64_t version;
        r = page_next(&in, &version, &key, &value);
        if (r == 0)
            r = each(ctx, key, value, version);
    }
    kn_buf_done(&page);
    return r;
}

uint64_t storage_meta_generation(struct storage_meta *meta)
{
    MDB_envinfo info = {0};
    pthread_rwlock_rdlock(&meta->map_lock);
    if (meta->env)
        kn_assert(mdb_env_info(meta->env, &info) == 0); /* fails only on a NULL argument */
    pthread_rwlock_unlock(&meta->map_lock);
    return info.me_last_txnid;
}
