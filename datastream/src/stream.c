/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include "deleted.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/crypto.h"
#include "core/log.h"

struct datastream_streams {
    struct storage_meta *meta;
    struct kn_lock making; /* held over a creation or a removal, which block */
    struct kn_lock lock;   /* a leaf: what follows */
    struct datastream_stream **by_name;
    size_t count, cap;
};

/* --- counted values --------------------------------------------------------------------------- */
void datastream_shards_unref(struct datastream_shards *shards)
{
    if (!shards || atomic_fetch_sub_explicit(&shards->refs, 1, memory_order_acq_rel) > 1)
        return;
    datastream_shard_map_done(&shards->map);
    free(shards);
}

static int shards_new(struct datastream_shard_map *map, struct datastream_shards **ret)
{
    struct datastream_shards *shards = malloc(sizeof(*shards));
    if (!shards) {
        datastream_shard_map_done(map);
        return -ENOMEM;
    }
    atomic_init(&shards->refs, 1);
    shards->writers = 0;
    shards->map = *map;
    *map = (struct datastream_shard_map){0};
    *ret = shards;
    return 0;
}

struct datastream_stream *datastream_stream_ref(struct datastream_stream *stream)
{
    unsigned before = atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed);
    kn_assert(before > 0);
    return stream;
}

void datastream_stream_unref(struct datastream_stream *stream)
{
    if (!stream || atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel) > 1)
        return;
    datastream_logs_done(&stream->logs);
    datastream_rates_done(&stream->rates);
    datastream_demand_done(&stream->demand);
    datastream_measures_done(&stream->measures);
    datastream_settings_unref(stream->settings);
    datastream_shards_unref(stream->shards);
    kn_cond_done(&stream->quiet);
    kn_lock_done(&stream->change);
    kn_lock_done(&stream->lock);
    free(stream);
}

struct datastream_settings *datastream_stream_settings(struct datastream_stream *stream)
{
    KN_LOCKED(&stream->lock);
    return datastream_settings_ref(stream->settings);
}

struct datastream_shards *datastream_stream_shards(struct datastream_stream *stream)
{
    KN_LOCKED(&stream->lock);
    atomic_fetch_add_explicit(&stream->shards->refs, 1, memory_order_relaxed);
    return stream->shards;
}

struct datastream_shards *datastream_stream_settled_shards(struct datastream_stream *stream)
{
    KN_LOCKED(&stream->change); /* a change that has published its map holds it until then */
    return datastream_stream_shards(stream);
}

struct datastream_shards *datastream_stream_write_begin(struct datastream_stream *stream)
{
    KN_LOCKED(&stream->lock);
    atomic_fetch_add_explicit(&stream->shards->refs, 1, memory_order_relaxed);
    stream->shards->writers++;
    return stream->shards;
}

void datastream_stream_write_end(struct datastream_stream *stream, struct datastream_shards *shards)
{
    kn_lock_take(&stream->lock);
    if (--shards->writers == 0 && shards != stream->shards)
        kn_cond_broadcast(&stream->quiet);
    kn_lock_give(&stream->lock);
    datastream_shards_unref(shards);
}

/* Takes both over. */
static struct datastream_stream *stream_new(const struct storage_id *id,
                                            struct datastream_settings *settings,
                                            struct datastream_shards *shards)
{
    struct datastream_stream *stream = calloc(1, sizeof(*stream));
    if (!stream) {
        datastream_settings_unref(settings);
        datastream_shards_unref(shards);
        return NULL;
    }
    atomic_init(&stream->refs, 1);
    stream->id = *id;
    kn_lock_init(&stream->change);
    kn_lock_init(&stream->lock);
    kn_cond_init(&stream->quiet);
    datastream_logs_init(&stream->logs);
    datastream_rates_init(&stream->rates);
    datastream_measures_init(&stream->measures, settings->metrics);
    stream->settings = settings;
    stream->shards = shards;
    kn_assert(kn_str_copy(stream->name_text, sizeof(stream->name_text), settings->name) == 0);
    stream->name = kn_str_from(stream->name_text);
    return stream;
}

/* --- keys ------------------------------------------------------------------------------------- */
enum {
    PREFIX_BYTES = 3,
    KEY_BYTES = PREFIX_BYTES + DATASTREAM_NAME_BYTES_MAX + 1,
};
static const struct kn_str name_prefix = KN_STR_INIT("dn/"), map_prefix = KN_STR_INIT("dm/"),
                           settings_prefix = KN_STR_INIT("ds/");

static struct kn_bytes key_of(char dst[KEY_BYTES], struct kn_str prefix, struct kn_str rest)
{
    kn_assert(prefix.len == PREFIX_BYTES && rest.len < KEY_BYTES - PREFIX_BYTES);
    memcpy(dst, prefix.ptr, PREFIX_BYTES);
    memcpy(dst + PREFIX_BYTES, rest.ptr, rest.len);
    return (struct kn_bytes){(const uint8_t *) dst, PREFIX_BYTES + rest.len};
}

static struct kn_bytes id_key(char dst[KEY_BYTES], struct kn_str prefix,
                              const struct storage_id *id)
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(id, text);
    return key_of(dst, prefix, kn_str_from(text));
}

static int put_settings(struct datastream_streams *streams, const struct storage_id *id,
                        const struct datastream_settings *settings, uint64_t *version)
{
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SETTINGS_BYTES_MAX);
    datastream_settings_encode(settings, &record);
    char key[KEY_BYTES];
    int r = record.error ? record.error
                         : storage_meta_put(streams->meta, id_key(key, settings_prefix, id),
                                            kn_buf_bytes(&record), *version, version);
    kn_buf_done(&record);
    return r;
}

static int put_map(struct datastream_streams *streams, const struct storage_id *id,
                   const struct datastream_shard_map *map, uint64_t *version)
{
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SHARD_MAP_BYTES_MAX - STORAGE_META_KEY_BYTES_MAX);
    datastream_shard_map_encode(map, &record);
    char key[KEY_BYTES];
    int r = record.error ? -E2BIG
                         : storage_meta_put(streams->meta, id_key(key, map_prefix, id),
                                            kn_buf_bytes(&record), *version, version);
    kn_buf_done(&record);
    return r;
}

static int remove_key(struct datastream_streams *streams, struct kn_bytes key)
{
    int r = storage_meta_remove(streams->meta, key, 0);
    return r == -ENOENT ? 0 : r;
}

/* --- in memory -------------------------------------------------------------------------------- */
static size_t place_locked(const struct datastream_streams *streams, struct kn_str name,
                           bool *found)
{
    size_t at = KN_BISECT(i, 0, streams->count, kn_str_cmp(streams->by_name[i]->name, name) < 0);
    *found = at < streams->count && kn_str_cmp(streams->by_name[at]->name, name) == 0;
    return at;
}

static int reserve_locked(struct datastream_streams *streams)
{
    if (streams->count < streams->cap)
        return 0;
    if (streams->count >= DATASTREAM_STREAMS_MAX)
        return -EDQUOT;
    size_t cap = streams->cap ? streams->cap * 2 : 64;
    struct datastream_stream **by_name = realloc(streams->by_name, cap * sizeof(*by_name));
    if (!by_name)
        return -ENOMEM;
    streams->by_name = by_name;
    streams->cap = cap;
    return 0;
}

static void insert_locked(struct datastream_streams *streams, struct datastream_stream *stream)
{
    bool found;
    size_t at = place_locked(streams, stream->name, &found);
    kn_assert(!found && streams->count < streams->cap);
    memmove(streams->by_name + at + 1, streams->by_name + at,
            (streams->count - at) * sizeof(*streams->by_name));
    streams->by_name[at] = stream;
    streams->count++;
}

struct datastream_stream *datastream_stream_find(struct datastream_streams *streams,
                                                 struct kn_str name)
{
    KN_LOCKED(&streams->lock);
    bool found;
    size_t at = place_locked(streams, name, &found);
    return found ? datastream_stream_ref(streams->by_name[at]) : NULL;
}

size_t datastream_stream_list(struct datastream_streams *streams, struct kn_str after,
                              struct datastream_stream **out, size_t cap)
{
    KN_LOCKED(&streams->lock);
    bool found;
    size_t at = place_locked(streams, after, &found), count = 0;
    for (at += found; at < streams->count && count < cap; at++)
        out[count++] = datastream_stream_ref(streams->by_name[at]);
    return count;
}

enum {
    EACH_PAGE = 64
};

int datastream_stream_each(struct datastream_streams *streams,
                           int (*each)(void *ctx, struct datastream_stream *stream), void *ctx)
{
    struct datastream_stream *page[EACH_PAGE], *last = NULL;
    size_t count;
    int r = 0;
    do {
        count = datastream_stream_list(streams, last ? last->name : KN_STR(""), page, EACH_PAGE);
        datastream_stream_unref(last);
        last = NULL;
        for (size_t i = 0; i < count; i++) {
            if (r == 0)
                r = each(ctx, page[i]);
            if (i + 1 == count)
                last = page[i];
            else
                datastream_stream_unref(page[i]);
        }
    } while (r == 0 && count == EACH_PAGE);
    datastream_stream_unref(last);
    return r;
}

size_t datastream_stream_count(struct datastream_streams *streams)
{
    KN_LOCKED(&streams->lock);
    return streams->count;
}

/* --- changes ---------------------------------------------------------------------------------- */
/* The three keys, the one that makes it exist last. */
static int store_new(struct datastream_streams *streams, struct datastream_stream *stream)
{
    char key[KEY_BYTES];
    uint64_t version = 0;
    int r = storage_meta_put(streams->meta, key_of(key, name_prefix, stream->name),
                             (struct kn_bytes){stream->id.bytes, sizeof(stream->id.bytes)}, 0,
                             &version);
    if (r == 0)
        r = put_map(streams, &stream->id, &stream->shards->map, &stream->map_version);
    if (r == 0)
        r = put_settings(streams, &stream->id, stream->settings, &stream->settings_version);
    return r;
}

/* The one that makes it exist first. What a crash leaves is removed at the next start. */
static int remove_keys(struct datastream_streams *streams, const struct datastream_stream *stream)
{
    char key[KEY_BYTES];
    int r = remove_key(streams, id_key(key, settings_prefix, &stream->id));
    if (r == 0)
        r = remove_key(streams, id_key(key, map_prefix, &stream->id));
    if (r == 0)
        r = remove_key(streams, key_of(key, name_prefix, stream->name));
    return r;
}

static int admit(struct datastream_streams *streams, struct kn_str name)
{
    KN_LOCKED(&streams->lock);
    bool found;
    place_locked(streams, name, &found);
    return found ? -EEXIST : reserve_locked(streams);
}

int datastream_stream_create(struct datastream_streams *streams,
                             const struct datastream_settings *settings,
                             struct datastream_shard_map *map, struct datastream_stream **ret)
{
    struct datastream_shards *shards;
    int r = shards_new(map, &shards);
    if (r < 0)
        return r;
    struct datastream_settings *copy;
    r = datastream_settings_copy(settings, &copy);
    if (r < 0) {
        datastream_shards_unref(shards);
        return r;
    }
    struct storage_id id;
    kn_random(id.bytes, sizeof(id.bytes));
    struct datastream_stream *stream = stream_new(&id, copy, shards);
    if (!stream)
        return -ENOMEM;

    KN_LOCKED(&streams->making);
    r = admit(streams, stream->name);
    if (r == 0) {
        r = store_new(streams, stream);
        if (r < 0)
            (void) remove_keys(streams, stream);
    }
    if (r < 0) {
        datastream_stream_unref(stream);
        return r;
    }
    kn_lock_take(&streams->lock);
    insert_locked(streams, stream);
    *ret = datastream_stream_ref(stream);
    kn_lock_give(&streams->lock);
    return 0;
}

int datastream_stream_change(struct datastream_streams *streams, struct datastream_stream *stream,
                             datastream_edit_fn *edit, void *ctx)
{
    KN_LOCKED(&stream->change); /* nobody else replaces stream->settings */
    struct datastream_settings draft = *stream->settings;
    int r = edit(ctx, &draft);
    draft.name = stream->settings->name;
    draft.created_ms = stream->settings->created_ms;
    struct datastream_settings *next;
    if (r == 0)
        r = datastream_settings_copy(&draft, &next);
    if (r < 0)
        return r;
    int64_t hours = stream->settings->retention_hours, longer = draft.retention_hours;
    if (longer > hours) /* before anybody counts on it */
        r = datastream_logs_store_retention(stream, streams->meta, longer);
    if (r == 0)
        r = put_settings(streams, &stream->id, next, &stream->settings_version);
    if (r < 0) {
        datastream_settings_unref(next);
        return r;
    }
    kn_lock_take(&stream->lock);
    struct datastream_settings *former = stream->settings;
    stream->settings = next;
    kn_lock_give(&stream->lock);
    datastream_settings_unref(former);
    datastream_logs_retain(stream);
    datastream_measures_follow(&stream->measures, next->metrics);
    if (longer < hours) { /* what fails keeps longer than it must, until it is opened */
        r = datastream_logs_store_retention(stream, streams->meta, longer);
        if (r < 0)
            kn_log_warn("retention_not_stored", "stream=" KN_STR_FMT " error=%s",
                        KN_STR_ARG(stream->name), kn_errname(r));
    }
    return 0;
}

int datastream_stream_reshard(struct datastream_streams *streams, struct datastream_stream *stream,
                              datastream_reshard_fn *edit, void *ctx)
{
    KN_LOCKED(&stream->change);
    struct datastream_shard_map map;
    int r = edit(ctx, &stream->shards->map, &map);
    if (r < 0)
        return r;
    struct datastream_shards *next;
    r = shards_new(&map, &next);
    if (r == 0) {
        r = put_map(streams, &stream->id, &next->map, &stream->map_version);
        if (r < 0)
            datastream_shards_unref(next);
    }
    if (r < 0)
        return r;
    kn_lock_take(&stream->lock);
    struct datastream_shards *former = stream->shards;
    stream->shards = next;
    while (former->writers > 0)
        kn_cond_wait(&stream->quiet, &stream->lock);
    kn_lock_give(&stream->lock);
    datastream_shards_unref(former);
    return 0;
}

static bool is_there(struct datastream_streams *streams, const struct datastream_stream *stream,
                     size_t *ret_at)
{
    KN_LOCKED(&streams->lock);
    bool found;
    *ret_at = place_locked(streams, stream->name, &found);
    return found && streams->by_name[*ret_at] == stream;
}

int datastream_stream_remove(struct datastream_streams *streams, struct datastream_stream *stream)
{
    KN_LOCKED(&streams->making);
    size_t at;
    if (!is_there(streams, stream, &at))
        return 0;                  /* the name may be another one's by now */
    kn_lock_take(&stream->change); /* the map that is noted is the last there will be */
    int r = datastream_deleted_note(streams->meta, &stream->id, &stream->shards->map);
    if (r == 0)
        r = remove_keys(streams, stream);
    kn_lock_give(&stream->change);
    if (r < 0)
        return r;
    datastream_logs_leave(stream);
    kn_lock_take(&streams->lock); /* the place still holds: only making changes it */
    streams->count--;
    memmove(streams->by_name + at, streams->by_name + at + 1,
            (streams->count - at) * sizeof(*streams->by_name));
    kn_lock_give(&streams->lock);
    datastream_stream_unref(stream);
    return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */
enum {
    PAGE = 256
};

struct listed { /* a page of names and their ids */
    size_t count;
    struct {
        char name[KEY_BYTES - PREFIX_BYTES];
        size_t name_len;
        struct storage_id id;
    } rows[PAGE];
};

static int note_name(void *ctx, struct kn_bytes key, struct kn_bytes value,
                     uint64_t version KN_UNUSED)
{
    struct listed *page = ctx;
    size_t len = key.len - PREFIX_BYTES;
    if (len == 0 || len >= sizeof(page->rows->name) || value.len != sizeof(page->rows->id.bytes))
        return -EBADMSG;
    memcpy(page->rows[page->count].name, key.ptr + PREFIX_BYTES, len);
    page->rows[page->count].name_len = len;
    memcpy(page->rows[page->count].id.bytes, value.ptr, value.len);
    page->count++;
    return 0;
}

static int load_map(struct datastream_streams *streams, const struct storage_id *id,
                    uint64_t *version, struct datastream_shards **ret)
{
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SHARD_MAP_BYTES_MAX);
    char key[KEY_BYTES];
    struct datastream_shard_map map;
    int r = storage_meta_get(streams->meta, id_key(key, map_prefix, id), &record, version);
    if (r == 0)
        r = datastream_shard_map_decode(kn_buf_bytes(&record), &map);
    if (r == 0)
        r = shards_new(&map, ret);
    kn_buf_done(&record);
    return r == -ENOENT ? -EBADMSG : r; /* it comes before the settings and leaves after them */
}

/* -ENOENT: a creation or deletion did not come to its end. */
static int load(struct datastream_streams *streams, struct kn_str name, const struct storage_id *id)
{
    int deleted = datastream_deleted_is(streams->meta, id);
    if (deleted)
        return deleted < 0 ? deleted : -ENOENT;
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SETTINGS_BYTES_MAX);
    char key[KEY_BYTES];
    uint64_t settings_version = 0, map_version = 0;
    struct datastream_settings *settings = NULL;
    struct datastream_shards *shards = NULL;
    int r = storage_meta_get(streams->meta, id_key(key, settings_prefix, id), &record,
                             &settings_version);
    if (r == 0)
        r = datastream_settings_decode(kn_buf_bytes(&record), &settings);
    kn_buf_done(&record);
    if (r == 0 && !kn_str_eq(settings->name, name)) /* so it is no longer than a key's */
        r = -EBADMSG;
    if (r == 0)
        r = load_map(streams, id, &map_version, &shards);
    if (r < 0) {
        datastream_settings_unref(settings);
        return r;
    }
    struct datastream_stream *stream = stream_new(id, settings, shards);
    if (!stream)
        return -ENOMEM;
    stream->settings_version = settings_version;
    stream->map_version = map_version;
    KN_LOCKED(&streams->lock);
    r = reserve_locked(streams);
    if (r == 0)
        insert_locked(streams, stream);
    else
        datastream_stream_unref(stream);
    return r;
}

static int forget(struct datastream_streams *streams, struct kn_str name,
                  const struct storage_id *id)
{
    char key[KEY_BYTES];
    int r = remove_key(streams, id_key(key, settings_prefix, id));
    if (r == 0)
        r = remove_key(streams, id_key(key, map_prefix, id));
    return r < 0 ? r : remove_key(streams, key_of(key, name_prefix, name));
}

static int load_all(struct datastream_streams *streams, struct listed *page, struct kn_err *err)
{
    char last[KEY_BYTES];
    struct kn_bytes after = {NULL, 0};
    for (;;) {
        page->count = 0;
        int r = storage_meta_list(streams->meta, kn_bytes_of(name_prefix), after, PAGE, note_name,
                                  page);
        if (r < 0)
            return kn_fail(err, r, "data streams: names");
        for (size_t i = 0; i < page->count; i++) {
            struct kn_str name = {page->rows[i].name, page->rows[i].name_len};
            r = load(streams, name, &page->rows[i].id);
            if (r == -ENOENT)
                r = forget(streams, name, &page->rows[i].id);
            if (r < 0)
                return kn_fail(err, r, "data stream " KN_STR_FMT, KN_STR_ARG(name));
            after = key_of(last, name_prefix, name);
        }
        if (page->count < PAGE)
            return 0;
    }
}

int datastream_streams_open(struct storage_meta *meta, struct datastream_streams **ret,
                            struct kn_err *err)
{
    struct datastream_streams *streams = calloc(1, sizeof(*streams));
    struct listed *page = malloc(sizeof(*page));
    if (!streams || !page) {
        free(streams);
        free(page);
        return kn_fail(err, -ENOMEM, "data streams");
    }
    streams->meta = meta;
    kn_lock_init(&streams->making);
    kn_lock_init(&streams->lock);
    int r = load_all(streams, page, err);
    free(page);
    if (r < 0)
        datastream_streams_close(streams);
    else
        *ret = streams;
    return r;
}

void datastream_streams_close(struct datastream_streams *streams)
{
    if (!streams)
        return;
    for (size_t i = 0; i < streams->count; i++)
        datastream_stream_unref(streams->by_name[i]);
    free(streams->by_name);
    kn_lock_done(&streams->making);
    kn_lock_done(&streams->lock);
    free(streams);
}
