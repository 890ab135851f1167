/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the catalogue, the index of streams in memory, and finishing deletions.
 *
 * A stream is two keys: "n/<name>" → id, the intent, then "s/<id>" → settings, which makes it
 * exist. Removing goes the other way round. So a crash between leaves at most a name without a
 * stream, which opening removes. A stream found DELETING is dropped again until the log core says
 * it is done.
 */
#include "catalogue_state.h"
#include "storage_metrics.h"

#include "core/crypto.h"

enum {
    RETRY_AFTER_NS = 1000 * 1000 * 1000
};

struct kn_bytes storage_stream_key(const struct storage_id *id, char dst[STORAGE_STREAM_KEY_BYTES])
{
    memcpy(dst, "s/", 2);
    storage_id_text(id, dst + 2);
    return (struct kn_bytes){(const uint8_t *) dst, STORAGE_STREAM_KEY_BYTES - 1};
}

struct kn_bytes storage_name_key(struct kn_str name, char dst[STORAGE_NAME_KEY_BYTES])
{
    kn_assert(name.len > 0 && name.len <= STORAGE_STREAM_NAME_BYTES_MAX);
    memcpy(dst, "n/", 2);
    memcpy(dst + 2, name.ptr, name.len);
    return (struct kn_bytes){(const uint8_t *) dst, 2 + name.len};
}

/* --- the index -------------------------------------------------------------------------------- */
size_t storage_catalogue_at_name_locked(struct storage_catalogue *cat, struct kn_str name,
                                        bool *ret_found)
{
    size_t at = KN_BISECT(i, 0, cat->count, kn_str_cmp(cat->by_name[i]->name, name) < 0);
    *ret_found = at < cat->count && kn_str_cmp(cat->by_name[at]->name, name) == 0;
    return at;
}

size_t storage_catalogue_at_id_locked(struct storage_catalogue *cat, const struct storage_id *id,
                                      bool *ret_found)
{
    size_t at = KN_BISECT(i, 0, cat->count, storage_id_cmp(&cat->by_id[i]->id, id) < 0);
    *ret_found = at < cat->count && storage_id_cmp(&cat->by_id[at]->id, id) == 0;
    return at;
}

int storage_catalogue_reserve_locked(struct storage_catalogue *cat, size_t count)
{
    if (count <= cat->cap)
        return 0;
    size_t cap = cat->cap ? cat->cap * 2 : 64;
    kn_assert(count <= cap); /* grows by one stream at a time */
    struct storage_stream **by_name = realloc(cat->by_name, cap * sizeof *by_name);
    if (!by_name)
        return -ENOMEM;
    cat->by_name = by_name;
    struct storage_stream **by_id = realloc(cat->by_id, cap * sizeof *by_id);
    if (!by_id)
        return -ENOMEM;
    cat->by_id = by_id;
    cat->cap = cap;
    return 0;
}

static void insert(struct storage_stream **array, size_t count, size_t at,
                   struct storage_stream *stream)
{
    memmove(array + at + 1, array + at, (count - at) * sizeof *array);
    array[at] = stream;
}

static void remove_at(struct storage_stream **array, size_t count, size_t at)
{
    memmove(array + at, array + at + 1, (count - at - 1) * sizeof *array);
}

static int publish_locked(struct storage_catalogue *cat, struct storage_stream *stream, bool made,
                          struct storage_stream **ret_dropped)
{
    bool named, known;
    size_t at_name = storage_catalogue_at_name_locked(cat, stream->name, &named);
    size_t at_id = storage_catalogue_at_id_locked(cat, &stream->id, &known);
    kn_assert(named == known);
    if (known) {
        struct storage_stream *before = cat->by_id[at_id];
        kn_assert(before == cat->by_name[at_name]);
        if (storage_stream_meta_version(before) > storage_stream_meta_version(stream)) {
            *ret_dropped = stream;
            return 0;
        }
        cat->by_name[at_name] = cat->by_id[at_id] = stream;
        *ret_dropped = before;
        cat->changes++;
        return 0;
    }
    if (!made) {
        *ret_dropped = stream;
        return 0;
    }
    int r = storage_catalogue_reserve_locked(cat, cat->count + 1);
    if (r < 0)
        return r;
    insert(cat->by_name, cat->count, at_name, stream);
    insert(cat->by_id, cat->count, at_id, stream);
    cat->count++;
    return 0;
}

int storage_catalogue_publish(struct storage_catalogue *cat, struct storage_stream *stream,
                              bool made)
{
    struct storage_stream *dropped = NULL;
    kn_lock_take(&cat->lock);
    int r = publish_locked(cat, stream, made, &dropped);
    kn_lock_give(&cat->lock);
    storage_stream_unref(dropped);
    return r;
}

void storage_catalogue_forget(struct storage_catalogue *cat, const struct storage_id *id)
{
    kn_lock_take(&cat->lock);
    bool named = false, known;
    size_t at_id = storage_catalogue_at_id_locked(cat, id, &known);
    struct storage_stream *stream = known ? cat->by_id[at_id] : NULL;
    if (stream) {
        size_t at_name = storage_catalogue_at_name_locked(cat, stream->name, &named);
        kn_assert(named);
        remove_at(cat->by_name, cat->count, at_name);
        remove_at(cat->by_id, cat->count, at_id);
        cat->count--;
        cat->changes++;
    }
    kn_lock_give(&cat->lock);
    storage_stream_unref(stream);
}

/* --- opening ---------------------------------------------------------------------------------- */
struct loading {
    struct storage_catalogue *cat;
    struct kn_err *err;
    struct kn_buf orphans; /* names without a stream: u16 length and bytes each */
    bool *named;           /* by_name[i] has its "n/" key */
};

static int load_stream(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct loading *load = ctx;
    struct kn_str text = {(const char *) key.ptr + 2, key.len - 2};
    struct storage_id id;
    struct storage_stream *stream = NULL;
    int r = key.len == STORAGE_STREAM_KEY_BYTES - 1 ? kn_hex_decode(text, id.bytes, sizeof id.bytes)
                                                    : -EINVAL;
    if (r == 0)
        r = storage_stream_decode(&id, value, version, &stream);
    if (r < 0)
        return kn_fail(load->err, -EBADMSG, "catalogue: stream record " KN_STR_FMT " is unreadable",
                       KN_STR_ARG(text));

    struct storage_catalogue *cat = load->cat;
    bool named;
    kn_lock_take(&cat->lock);
    (void) storage_catalogue_at_name_locked(cat, stream->name, &named);
    cat->deletions |= stream->status == STORAGE_STREAM_DELETING;
    kn_lock_give(&cat->lock);
    if (named) { /* two records of one name: never made by us */
        r = kn_fail(load->err, -EBADMSG, "catalogue: two streams are named " KN_STR_FMT,
                    KN_STR_ARG(stream->name));
        storage_stream_unref(stream);
        return r;
    }
    r = storage_catalogue_publish(cat, stream, true);
    if (r < 0)
        storage_stream_unref(stream);
    return r;
}

static int load_name(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct loading *load = ctx;
    struct kn_str name = {(const char *) key.ptr + 2, key.len - 2};
    struct storage_catalogue *cat = load->cat;
    KN_LOCKED(&cat->lock);
    bool found;
    size_t at = storage_catalogue_at_name_locked(cat, name, &found);
    if (found && value.len == sizeof(struct storage_id) &&
        memcmp(cat->by_name[at]->id.bytes, value.ptr, value.len) == 0) {
        load->named[at] = true;
        return 0;
    }
    kn_buf_append_varint(&load->orphans, key.len);
    return kn_buf_append(&load->orphans, key.ptr, key.len);
}

static int remove_orphans(struct loading *load)
{
    struct kn_reader in = kn_reader_of(kn_buf_bytes(&load->orphans));
    while (kn_reader_left(&in) > 0) {
        uint64_t len = 0;
        struct kn_bytes key;
        if (kn_read_varint(&in, &len) < 0 || kn_read_bytes(&in, len, &key) < 0)
            return -EBADMSG;
        int r = storage_meta_remove(load->cat->meta, key, 0);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

static int name_streams(struct loading *load)
{
    struct storage_catalogue *cat = load->cat;
    for (size_t i = 0; i < cat->count; i++) {
        if (load->named[i])
            continue;
        struct storage_stream *stream = cat->by_name[i];
        char dst[STORAGE_NAME_KEY_BYTES];
        struct kn_bytes id = {stream->id.bytes, sizeof stream->id.bytes};
        int r = storage_meta_put(cat->meta, storage_name_key(stream->name, dst), id, 0, NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_all(struct loading *load)
{
    struct storage_catalogue *cat = load->cat;
    struct kn_bytes none = {NULL, 0};
    int r =
        storage_meta_list(cat->meta, kn_bytes_of(KN_STR("s/")), none, SIZE_MAX, load_stream, load);
    if (r < 0)
        return r;
    load->named = calloc(cat->count + 1, sizeof *load->named);
    if (!load->named)
        return -ENOMEM;
    r = storage_meta_list(cat->meta, kn_bytes_of(KN_STR("n/")), none, SIZE_MAX, load_name, load);
    if (r == 0)
        r = remove_orphans(load);
    return r == 0 ? name_streams(load) : r;
}

int storage_catalogue_open(const char *dir, const struct storage_conf *conf, struct kn_clock *clock,
                           struct storage_catalogue **ret, struct kn_err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/catalogue", dir);
    if (n < 0 || (size_t) n >= sizeof path)
        return kn_fail(err, -EMSGSIZE, "the path of the data folder is too long");
    struct storage_catalogue *cat = calloc(1, sizeof *cat);
    if (!cat)
        return kn_fail(err, -ENOMEM, "catalogue: out of memory");
    cat->clock = clock;
    kn_lock_init(&cat->lock);
    kn_cond_init(&cat->work);
    storage_holds_init(&cat->holds);

    int r = storage_meta_open(path, conf->catalogue_bytes_max, &cat->meta, err);
    if (r == 0) {
        struct kn_err said = {0};
        struct loading load = {.cat = cat, .err = &said};
        kn_buf_init(&load.orphans, MIB(256));
        r = load_all(&load);
        if (r == 0)
            r = storage_holds_load(&cat->holds, cat->meta, &said);
        kn_buf_done(&load.orphans);
        free(load.named);
        if (r < 0)
            (void) kn_fail(err, r, "%s", said.code ? said.text : kn_errname(r));
    }
    if (r < 0) {
        storage_catalogue_close(cat);
        return r;
    }
    *ret = cat;
    return 0;
}

void storage_catalogue_close(struct storage_catalogue *cat)
{
    if (!cat)
        return;
    kn_assert(!cat->started && !cat->creations);
    for (size_t i = 0; i < cat->count; i++)
        storage_stream_unref(cat->by_name[i]);
    free(cat->by_name);
    free(cat->by_id);
    storage_meta_close(cat->meta);
    storage_holds_done(&cat->holds);
    kn_cond_done(&cat->work);
    kn_lock_done(&cat->lock);
    free(cat);
}

struct storage_meta *storage_catalogue_meta(struct storage_catalogue *cat)
{
    return cat->meta;
}

/* --- finishing deletions ---------------------------------------------------------------------- */
static int finish_deletion(struct storage_catalogue *cat, struct storage_stream *stream)
{
    int r = cat->events.drop(cat->events.ctx, &stream->id);
    if (r < 0)
        return r;
    char key[STORAGE_STREAM_KEY_BYTES], name[STORAGE_NAME_KEY_BYTES];
    r = storage_meta_remove(cat->meta, storage_stream_key(&stream->id, key), 0);
    if (r < 0 && r != -ENOENT)
        return r;
    r = storage_meta_remove(cat->meta, storage_name_key(stream->name, name), 0);
    if (r < 0 && r != -ENOENT)
        return r;
    storage_metrics_oldest_drop(stream->name); /* before another may have the name */
    storage_catalogue_forget(cat, &stream->id);
    return 0;
}

/* The first DELETING stream at or after index *at of by_id, with a reference. */
static struct storage_stream *next_deletion(struct storage_catalogue *cat, size_t *at)
{
    KN_LOCKED(&cat->lock);
    for (; *at < cat->count && !cat->stopping; ++*at) {
        if (cat->by_id[*at]->status == STORAGE_STREAM_DELETING)
            return storage_stream_ref(cat->by_id[*at]);
    }
    return NULL;
}

static bool finish_deletions(struct storage_catalogue *cat)
{
    bool all = true;
    size_t at = 0;
    struct storage_stream *stream;
    while ((stream = next_deletion(cat, &at))) {
        if (finish_deletion(cat, stream) < 0) {
            all = false;
            at++;
        }
        storage_stream_unref(stream);
    }
    return all;
}

static void *deleter_main(void *arg)
{
    struct storage_catalogue *cat = arg;
    kn_lock_take(&cat->lock);
    while (!cat->stopping) {
        if (!cat->deletions) {
            kn_cond_wait(&cat->work, &cat->lock);
            continue;
        }
        cat->deletions = false;
        kn_lock_give(&cat->lock);
        bool all = finish_deletions(cat);
        kn_lock_take(&cat->lock);
        if (!all && !cat->stopping) { /* a file or the disk refuses: it may not for ever */
            cat->deletions = true;
            (void) kn_cond_wait_for(&cat->work, &cat->lock, RETRY_AFTER_NS);
        }
    }
    kn_lock_give(&cat->lock);
    return NULL;
}

int storage_catalogue_start(struct storage_catalogue *cat,
                            const struct storage_catalogue_events *events)
{
    kn_assert(!cat->started);
    cat->events = *events;
    int r = kn_thread_start(&cat->thread, "kn-delete", deleter_main, cat);
    if (r < 0)
        return r;
    cat->started = true;
    return 0;
}

void storage_catalogue_stop(struct storage_catalogue *cat)
{
    if (!cat->started)
        return;
    kn_lock_take(&cat->lock);
    cat->stopping = true;
    kn_cond_signal(&cat->work);
    kn_lock_give(&cat->lock);
    pthread_join(cat->thread, NULL);
    cat->started = false;
}

void storage_catalogue_wake(struct storage_catalogue *cat)
{
    kn_lock_take(&cat->lock);
    cat->deletions = true;
    kn_cond_signal(&cat->work);
    kn_lock_give(&cat->lock);
}

void storage_catalogue_say_changed(struct storage_catalogue *cat,
                                   const struct storage_stream *stream)
{
    if (cat->started && cat->events.changed)
        cat->events.changed(cat->events.ctx, stream);
}
