/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer.h"

#include "seat.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/crypto.h"

enum {
    REMOVED_MAX = 256,
    SECOND_MS = 1000,
};

struct datastream_consumers {
    struct storage_meta *meta;
    struct datastream_streams *streams;
    struct kn_lock making;              /* held over a creation or a removal, which block */
    struct kn_lock lock;                /* a leaf: what follows */
    struct datastream_consumer **items; /* by stream, then name */
    size_t count, cap;
    struct removed {        /* the last ones, a ring: so that no ARN is given twice */
        uint32_t names_crc; /* two of one make an ARN a second younger, no more */
        int64_t created_ms;
    } removed[REMOVED_MAX];
    size_t removed_at;
};

KN_DEFINE_CLEANUP(struct datastream_stream *, datastream_stream_unref)
KN_DEFINE_CLEANUP(struct datastream_settings *, datastream_settings_unref)

/* --- counted values --------------------------------------------------------------------------- */
struct datastream_consumer *datastream_consumer_ref(struct datastream_consumer *consumer)
{
    unsigned before = atomic_fetch_add_explicit(&consumer->refs, 1, memory_order_relaxed);
    kn_assert(before > 0);
    return consumer;
}

void datastream_consumer_unref(struct datastream_consumer *consumer)
{
    if (!consumer || atomic_fetch_sub_explicit(&consumer->refs, 1, memory_order_acq_rel) > 1)
        return;
    datastream_seats_left_free(consumer->left);
    datastream_settings_unref(consumer->settings);
    datastream_measures_done(&consumer->measures);
    kn_lock_done(&consumer->change);
    kn_lock_done(&consumer->lock);
    free(consumer);
}

struct datastream_settings *datastream_consumer_settings(struct datastream_consumer *consumer)
{
    KN_LOCKED(&consumer->lock);
    return datastream_settings_ref(consumer->settings);
}

/* Takes the settings over. */
static struct datastream_consumer *consumer_new(const struct storage_id *stream,
                                                struct datastream_settings *settings)
{
    struct datastream_consumer *consumer = calloc(1, sizeof(*consumer));
    if (!consumer) {
        datastream_settings_unref(settings);
        return NULL;
    }
    atomic_init(&consumer->refs, 1);
    consumer->stream = *stream;
    consumer->created_ms = settings->created_ms;
    kn_lock_init(&consumer->change);
    kn_lock_init(&consumer->lock);
    datastream_measures_init(&consumer->measures, 0);
    consumer->settings = settings;
    kn_assert(kn_str_copy(consumer->name_text, sizeof(consumer->name_text), settings->name) == 0);
    consumer->name = kn_str_from(consumer->name_text);
    return consumer;
}

/* --- keys ------------------------------------------------------------------------------------- */
enum {
    PREFIX_BYTES = 3,
    ID_TEXT_BYTES = STORAGE_ID_TEXT_BYTES - 1,
    KEY_BYTES = PREFIX_BYTES + ID_TEXT_BYTES + DATASTREAM_NAME_BYTES_MAX,
};
static_assert((int) KEY_BYTES <= (int) STORAGE_META_KEY_BYTES_MAX, "keys fit");
static const struct kn_str prefix = KN_STR_INIT("dc/");

static struct kn_bytes key_of(char dst[KEY_BYTES], const struct storage_id *stream,
                              struct kn_str name)
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    kn_assert(prefix.len == PREFIX_BYTES && name.len <= DATASTREAM_NAME_BYTES_MAX);
    memcpy(dst, prefix.ptr, PREFIX_BYTES);
    memcpy(dst + PREFIX_BYTES, id, ID_TEXT_BYTES);
    memcpy(dst + PREFIX_BYTES + ID_TEXT_BYTES, name.ptr, name.len);
    return (struct kn_bytes){(const uint8_t *) dst, PREFIX_BYTES + ID_TEXT_BYTES + name.len};
}

static int put(struct datastream_consumers *consumers, const struct storage_id *stream,
               const struct datastream_settings *settings, uint64_t *version)
{
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SETTINGS_BYTES_MAX);
    datastream_settings_encode(settings, &record);
    char key[KEY_BYTES];
    int r = record.error ? record.error
                         : storage_meta_put(consumers->meta, key_of(key, stream, settings->name),
                                            kn_buf_bytes(&record), *version, version);
    kn_buf_done(&record);
    return r;
}

/* --- in memory -------------------------------------------------------------------------------- */
static int compare(const struct datastream_consumer *consumer, const struct storage_id *stream,
                   struct kn_str name)
{
    int order = storage_id_cmp(&consumer->stream, stream);
    return order ? order : kn_str_cmp(consumer->name, name);
}

static size_t place_locked(const struct datastream_consumers *consumers,
                           const struct storage_id *stream, struct kn_str name, bool *found)
{
    size_t at = KN_BISECT(i, 0, consumers->count, compare(consumers->items[i], stream, name) < 0);
    *found = at < consumers->count && compare(consumers->items[at], stream, name) == 0;
    return at;
}

static bool is_of(const struct datastream_consumers *consumers, size_t at,
                  const struct storage_id *stream)
{
    return at < consumers->count && storage_id_cmp(&consumers->items[at]->stream, stream) == 0;
}

static size_t count_locked(const struct datastream_consumers *consumers,
                           const struct storage_id *stream)
{
    bool found;
    size_t from = place_locked(consumers, stream, KN_STR(""), &found), count = 0;
    while (is_of(consumers, from + count, stream))
        count++;
    return count;
}

static int reserve_locked(struct datastream_consumers *consumers)
{
    if (consumers->count < consumers->cap)
        return 0;
    size_t cap = consumers->cap ? consumers->cap * 2 : 16;
    struct datastream_consumer **items = realloc(consumers->items, cap * sizeof(*items));
    if (!items)
        return -ENOMEM;
    consumers->items = items;
    consumers->cap = cap;
    return 0;
}

static void insert_locked(struct datastream_consumers *consumers,
                          struct datastream_consumer *consumer)
{
    bool found;
    size_t at = place_locked(consumers, &consumer->stream, consumer->name, &found);
    kn_assert(!found && consumers->count < consumers->cap);
    memmove(consumers->items + at + 1, consumers->items + at,
            (consumers->count - at) * sizeof(struct datastream_consumer *));
    consumers->items[at] = consumer;
    consumers->count++;
}

struct datastream_consumer *datastream_consumer_find(struct datastream_consumers *consumers,
                                                     const struct storage_id *stream,
                                                     struct kn_str name)
{
    KN_LOCKED(&consumers->lock);
    bool found;
    size_t at = place_locked(consumers, stream, name, &found);
    return found ? datastream_consumer_ref(consumers->items[at]) : NULL;
}

size_t datastream_consumer_list(struct datastream_consumers *consumers,
                                const struct storage_id *stream, struct kn_str after,
                                struct datastream_consumer **out, size_t cap)
{
    KN_LOCKED(&consumers->lock);
    bool found;
    size_t at = place_locked(consumers, stream, after, &found), count = 0;
    for (at += found; is_of(consumers, at, stream) && count < cap; at++)
        out[count++] = datastream_consumer_ref(consumers->items[at]);
    return count;
}

size_t datastream_consumer_count(struct datastream_consumers *consumers,
                                 const struct storage_id *stream)
{
    KN_LOCKED(&consumers->lock);
    return count_locked(consumers, stream);
}

/* --- one after another under one name --------------------------------------------------------- */
static void note_removed_locked(struct datastream_consumers *consumers,
                                const struct datastream_consumer *consumer)
{
    consumers->removed[consumers->removed_at] =
        (struct removed){consumer->names_crc, consumer->created_ms};
    consumers->removed_at = (consumers->removed_at + 1) % REMOVED_MAX;
}

static uint32_t crc_of(struct kn_str stream, struct kn_str name)
{
    return kn_crc32c(kn_crc32c(0, kn_bytes_of(stream)), kn_bytes_of(name));
}

/* ARNs tell consumers of one name apart by the second of their creation. */
static int64_t created_after(struct datastream_consumers *consumers, uint32_t names_crc,
                             int64_t now_ms)
{
    KN_LOCKED(&consumers->lock);
    for (size_t i = 0; i < REMOVED_MAX; i++) {
        const struct removed *removed = &consumers->removed[i];
        if (removed->created_ms > 0 && removed->names_crc == names_crc)
            now_ms = kn_max_i64(now_ms, removed->created_ms + SECOND_MS);
    }
    return now_ms;
}

/* --- changes ---------------------------------------------------------------------------------- */
static int admit(struct datastream_consumers *consumers, struct datastream_stream *stream,
                 struct kn_str name, size_t max)
{
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *now = datastream_stream_find(consumers->streams, stream->name);
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    if (now != stream || settings->deleting)
        return -ENOENT;
    KN_LOCKED(&consumers->lock);
    bool found;
    place_locked(consumers, &stream->id, name, &found);
    if (found)
        return -EEXIST;
    if (count_locked(consumers, &stream->id) >= max)
        return -EDQUOT;
    return reserve_locked(consumers);
}

int datastream_consumer_create(struct datastream_consumers *consumers,
                               struct datastream_stream *stream,
                               const struct datastream_settings *settings, size_t max,
                               struct datastream_consumer **ret)
{
    uint32_t names_crc = crc_of(stream->name, settings->name);
    struct datastream_settings draft = {
        .name = settings->name,
        .created_ms = created_after(consumers, names_crc, settings->created_ms),
        .retention_hours = DATASTREAM_RETENTION_HOURS_MIN, /* a record has them */
        .record_kib_max = DATASTREAM_RECORD_KIB_MIN,
        .creating = settings->creating,
        .busy_until_ms = settings->busy_until_ms,
        .tags = settings->tags,
        .tag_count = settings->tag_count,
    };
    struct datastream_settings *copy;
    int r = datastream_settings_copy(&draft, &copy);
    if (r < 0)
        return r;
    struct datastream_consumer *consumer = consumer_new(&stream->id, copy);
    if (!consumer)
        return -ENOMEM;
    consumer->names_crc = names_crc;

    KN_LOCKED(&consumers->making);
    r = admit(consumers, stream, consumer->name, max);
    if (r == 0)
        r = put(consumers, &stream->id, consumer->settings, &consumer->version);
    if (r < 0) {
        datastream_consumer_unref(consumer);
        return r;
    }
    kn_lock_take(&consumers->lock);
    insert_locked(consumers, consumer);
    *ret = datastream_consumer_ref(consumer);
    kn_lock_give(&consumers->lock);
    return 0;
}

int datastream_consumer_change(struct datastream_consumers *consumers,
                               struct datastream_consumer *consumer, datastream_edit_fn *edit,
                               void *ctx)
{
    KN_LOCKED(&consumer->change); /* nobody else replaces consumer->settings, or removes it */
    if (consumer->gone)
        return -ENOENT;
    struct datastream_settings draft = *consumer->settings;
    int r = edit(ctx, &draft);
    draft.name = consumer->settings->name;
    draft.created_ms = consumer->settings->created_ms;
    struct datastream_settings *next;
    if (r == 0)
        r = datastream_settings_copy(&draft, &next);
    if (r < 0)
        return r;
    r = put(consumers, &consumer->stream, next, &consumer->version);
    if (r < 0) {
        datastream_settings_unref(next);
        return r;
    }
    kn_lock_take(&consumer->lock);
    struct datastream_settings *former = consumer->settings;
    consumer->settings = next;
    kn_lock_give(&consumer->lock);
    datastream_settings_unref(former);
    return 0;
}

static int remove_stored(struct datastream_consumers *consumers,
                         struct datastream_consumer *consumer)
{
    KN_LOCKED(&consumer->change);
    char key[KEY_BYTES];
    int r = storage_meta_remove(consumers->meta, key_of(key, &consumer->stream, consumer->name), 0);
    if (r < 0 && r != -ENOENT)
        return r;
    kn_lock_take(&consumer->lock);
    consumer->gone = true;
    datastream_seats_end_locked(consumer);
    kn_lock_give(&consumer->lock);
    return 0;
}

int datastream_consumer_remove(struct datastream_consumers *consumers,
                               struct datastream_consumer *consumer)
{
    KN_LOCKED(&consumers->making);
    bool found;
    kn_lock_take(&consumers->lock);
    size_t at = place_locked(consumers, &consumer->stream, consumer->name, &found);
    found = found && consumers->items[at] == consumer;
    kn_lock_give(&consumers->lock);
    if (!found)
        return 0; /* the name may be another one's by now */
    int r = remove_stored(consumers, consumer);
    if (r < 0)
        return r;
    kn_lock_take(&consumers->lock); /* the place still holds: only making changes it */
    note_removed_locked(consumers, consumer);
    consumers->count--;
    memmove(consumers->items + at, consumers->items + at + 1,
            (consumers->count - at) * sizeof(struct datastream_consumer *));
    kn_lock_give(&consumers->lock);
    datastream_consumer_unref(consumer);
    return 0;
}

int datastream_consumer_remove_all(struct datastream_consumers *consumers,
                                   const struct storage_id *stream)
{
    struct datastream_consumer *one;
    int r = 0;
    while (r == 0 && datastream_consumer_list(consumers, stream, KN_STR(""), &one, 1) > 0) {
        r = datastream_consumer_remove(consumers, one);
        datastream_consumer_unref(one);
    }
    return r;
}

/* --- opening ---------------------------------------------------------------------------------- */
enum {
    PAGE = 64
};

struct loading {
    struct datastream_consumers *consumers;
    struct datastream_stream **streams; /* by id; references */
    size_t stream_count;
    size_t seen, orphan_count;                      /* of a page */
    char last[KEY_BYTES], orphans[PAGE][KEY_BYTES]; /* of streams that are no more */
    size_t last_len, orphan_len[PAGE];
};

static int by_id(const void *a, const void *b)
{
    const struct datastream_stream *const *left = a, *const *right = b;
    return storage_id_cmp(&(*left)->id, &(*right)->id);
}

static int list_streams(struct loading *l)
{
    size_t count = datastream_stream_count(l->consumers->streams);
    l->streams = calloc(count + 1, sizeof(struct datastream_stream *));
    if (!l->streams)
        return -ENOMEM;
    l->stream_count = datastream_stream_list(l->consumers->streams, KN_STR(""), l->streams, count);
    qsort(l->streams, l->stream_count, sizeof(struct datastream_stream *), by_id);
    return 0;
}

static bool has_stream(const struct loading *l, const struct storage_id *id)
{
    size_t at = KN_BISECT(i, 0, l->stream_count, storage_id_cmp(&l->streams[i]->id, id) < 0);
    return at < l->stream_count && storage_id_cmp(&l->streams[at]->id, id) == 0;
}

static int load(struct loading *l, const struct storage_id *stream, struct kn_str name,
                struct kn_bytes record, uint64_t version)
{
    struct datastream_settings *settings;
    int r = datastream_settings_decode(record, &settings);
    if (r < 0)
        return r;
    if (!kn_str_eq(settings->name, name)) { /* so it is no longer than a key's */
        datastream_settings_unref(settings);
        return -EBADMSG;
    }
    struct datastream_consumer *consumer = consumer_new(stream, settings);
    if (!consumer)
        return -ENOMEM;
    consumer->version = version;
    KN_LOCKED(&l->consumers->lock);
    r = reserve_locked(l->consumers);
    if (r == 0)
        insert_locked(l->consumers, consumer);
    else
        datastream_consumer_unref(consumer);
    return r;
}

static int load_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct loading *l = ctx;
    struct storage_id stream;
    size_t head = PREFIX_BYTES + ID_TEXT_BYTES;
    if (key.len <= head || key.len > KEY_BYTES ||
        kn_hex_decode((struct kn_str){(const char *) key.ptr + PREFIX_BYTES, ID_TEXT_BYTES},
                      stream.bytes, sizeof(stream.bytes)) < 0)
        return -EBADMSG;
    memcpy(l->last, key.ptr, key.len);
    l->last_len = key.len;
    l->seen++;
    if (!has_stream(l, &stream)) {
        memcpy(l->orphans[l->orphan_count], key.ptr, key.len);
        l->orphan_len[l->orphan_count++] = key.len;
        return 0;
    }
    return load(l, &stream, (struct kn_str){(const char *) key.ptr + head, key.len - head}, value,
                version);
}

static int load_page(struct loading *l)
{
    l->seen = l->orphan_count = 0;
    struct kn_bytes after = {(const uint8_t *) l->last, l->last_len};
    int r = storage_meta_list(l->consumers->meta, kn_bytes_of(prefix), after, PAGE, load_row, l);
    for (size_t i = 0; i < l->orphan_count && r == 0; i++) {
        r = storage_meta_remove(
            l->consumers->meta,
            (struct kn_bytes){(const uint8_t *) l->orphans[i], l->orphan_len[i]}, 0);
        r = r == -ENOENT ? 0 : r;
    }
    return r;
}

static int load_all(struct loading *l, struct kn_err *err)
{
    int r = list_streams(l);
    do {
        if (r == 0)
            r = load_page(l);
    } while (r == 0 && l->seen == PAGE);
    for (size_t i = 0; i < l->stream_count; i++)
        datastream_stream_unref(l->streams[i]);
    free(l->streams);
    if (r < 0)
        return kn_fail(err, r, "consumers of data streams, after %.*s", (int) l->last_len, l->last);
    return 0;
}

int datastream_consumers_open(struct storage_meta *meta, struct datastream_streams *streams,
                              struct datastream_consumers **ret, struct kn_err *err)
{
    struct datastream_consumers *consumers = calloc(1, sizeof(*consumers));
    struct loading *loading = calloc(1, sizeof(*loading));
    if (!consumers || !loading) {
        free(consumers);
        free(loading);
        return kn_fail(err, -ENOMEM, "consumers of data streams");
    }
    consumers->meta = meta;
    consumers->streams = streams;
    kn_lock_init(&consumers->making);
    kn_lock_init(&consumers->lock);
    loading->consumers = consumers;
    int r = load_all(loading, err);
    free(loading);
    if (r < 0)
        datastream_consumers_close(consumers);
    else
        *ret = consumers;
    return r;
}

void datastream_consumers_close(struct datastream_consumers *consumers)
{
    if (!consumers)
        return;
    for (size_t i = 0; i < consumers->count; i++)
        datastream_consumer_unref(consumers->items[i]);
    free(consumers->items);
    kn_lock_done(&consumers->making);
    kn_lock_done(&consumers->lock);
    free(consumers);
}
