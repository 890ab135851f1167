/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setting and lifting legal holds. A hold is stored, then made known to its stream's log, both
 * under log.slow, which retention holds from its decision what goes to the moment the horizon is
 * stored: so a chunk either went before the hold was there, or stays. The record's bytes are in
 * docs/format-catalogue.md.
 */
#include "hold.h"

#include "catalogue_state.h"
#include "log.h"
#include "text.h"

#include "core/crypto.h"

enum {
    HOLD_FORMAT = 1,
    HOLD_KEY_BYTES = 2 + 32 + STORAGE_HOLD_NAME_BYTES_MAX,
    HOLD_RECORD_BYTES_MAX = 64 + STORAGE_HOLD_REASON_BYTES_MAX + STORAGE_HOLD_BY_BYTES_MAX,
};

/* --- records ---------------------------------------------------------------------------------- */
static struct kn_bytes hold_key(const struct storage_id *stream, struct kn_str name,
                                char dst[HOLD_KEY_BYTES + 1])
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    int n = snprintf(dst, HOLD_KEY_BYTES + 1, "h/%s" KN_STR_FMT, id, KN_STR_ARG(name));
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

static int encode(const struct storage_hold *hold, struct kn_buf *dst)
{
    kn_buf_append_byte(dst, HOLD_FORMAT);
    kn_buf_append_u64be(dst, (uint64_t) hold->from_ms);
    kn_buf_append_u64be(dst, (uint64_t) hold->to_ms);
    kn_buf_append_u64be(dst, (uint64_t) hold->created_ms);
    storage_text_append(dst, hold->reason);
    storage_text_append(dst, hold->by);
    return dst->error;
}

static int decode(struct kn_bytes value, struct storage_hold *ret)
{
    struct kn_reader in = kn_reader_of(value);
    uint8_t format;
    uint64_t from, to, created;
    if (kn_read_u8(&in, &format) < 0 || format != HOLD_FORMAT || kn_read_u64be(&in, &from) < 0 ||
        kn_read_u64be(&in, &to) < 0 || kn_read_u64be(&in, &created) < 0 ||
        storage_text_read(&in, STORAGE_HOLD_REASON_BYTES_MAX, &ret->reason) < 0 ||
        storage_text_read(&in, STORAGE_HOLD_BY_BYTES_MAX, &ret->by) < 0 || kn_reader_left(&in) > 0)
        return -EBADMSG;
    ret->from_ms = (int64_t) from;
    ret->to_ms = (int64_t) to;
    ret->created_ms = (int64_t) created;
    return 0;
}

static struct kn_str copy_text(char **at, struct kn_str text)
{
    struct kn_str copy = {*at, text.len};
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static struct storage_held *held_new(const struct storage_id *stream,
                                     const struct storage_hold *hold)
{
    struct storage_held *held =
        malloc(sizeof(*held) + hold->name.len + hold->reason.len + hold->by.len);
    if (!held)
        return NULL;
    char *at = (char *) (held + 1);
    held->stream = *stream;
    held->hold = *hold;
    held->hold.name = copy_text(&at, hold->name);
    held->hold.reason = copy_text(&at, hold->reason);
    held->hold.by = copy_text(&at, hold->by);
    return held;
}

/* --- in memory -------------------------------------------------------------------------------- */
void storage_holds_init(struct storage_holds *holds)
{
    *holds = (struct storage_holds){0};
    kn_lock_init(&holds->change);
    kn_lock_init(&holds->lock);
}

void storage_holds_done(struct storage_holds *holds)
{
    for (size_t i = 0; i < holds->count; i++)
        free(holds->items[i]);
    free(holds->items);
    kn_lock_done(&holds->lock);
    kn_lock_done(&holds->change);
}

static int compare(const struct storage_held *held, const struct storage_id *stream,
                   struct kn_str name)
{
    int order = storage_id_cmp(&held->stream, stream);
    return order ? order : kn_str_cmp(held->hold.name, name);
}

/* The first that is not before (stream, name). */
static size_t lower_bound_locked(const struct storage_holds *holds, const struct storage_id *stream,
                                 struct kn_str name)
{
    return KN_BISECT(i, 0, holds->count, compare(holds->items[i], stream, name) < 0);
}

static bool is_of(const struct storage_holds *holds, size_t at, const struct storage_id *stream)
{
    return at < holds->count && storage_id_cmp(&holds->items[at]->stream, stream) == 0;
}

static size_t count_locked(const struct storage_holds *holds, const struct storage_id *stream,
                           size_t *ret_first)
{
    size_t first = lower_bound_locked(holds, stream, KN_STR("")), end = first;
    while (is_of(holds, end, stream))
        end++;
    *ret_first = first;
    return end - first;
}

static int reserve_locked(struct storage_holds *holds)
{
    if (holds->count < holds->cap)
        return 0;
    size_t cap = holds->cap ? holds->cap * 2 : 16;
    struct storage_held **items = realloc(holds->items, cap * sizeof(struct storage_held *));
    if (!items)
        return -ENOMEM;
    holds->items = items;
    holds->cap = cap;
    return 0;
}

static void insert_locked(struct storage_holds *holds, struct storage_held *held)
{
    size_t at = lower_bound_locked(holds, &held->stream, held->hold.name);
    kn_assert(holds->count < holds->cap);
    memmove(&holds->items[at + 1], &holds->items[at],
            (holds->count - at) * sizeof(struct storage_held *));
    holds->items[at] = held;
    holds->count++;
}

size_t storage_holds_count(struct storage_holds *holds, const struct storage_id *stream)
{
    KN_LOCKED(&holds->lock);
    size_t first;
    return count_locked(holds, stream, &first);
}

size_t storage_holds_ranges(struct storage_holds *holds, const struct storage_id *stream,
                            struct storage_hold_range *out)
{
    KN_LOCKED(&holds->lock);
    size_t first, count = count_locked(holds, stream, &first);
    for (size_t i = 0; i < count && i < STORAGE_STREAM_HOLDS_MAX; i++) {
        const struct storage_hold *hold = &holds->items[first + i]->hold;
        out[i] = (struct storage_hold_range){hold->from_ms, hold->to_ms};
    }
    return kn_min_u64(count, STORAGE_STREAM_HOLDS_MAX);
}

struct loading {
    struct storage_holds *holds;
    struct kn_err *err;
};

static int load_one(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct loading *load = ctx;
    struct kn_str text = kn_str_of(key);
    struct storage_id stream;
    struct storage_hold hold;
    int r = -EBADMSG;
    if (text.len > 34 && text.len <= HOLD_KEY_BYTES &&
        kn_hex_decode((struct kn_str){text.ptr + 2, 32}, stream.bytes, sizeof(stream.bytes)) == 0)
        r = decode(value, &hold);
    if (r < 0)
        return kn_fail(load->err, r, "catalogue: the legal hold " KN_STR_FMT " is unreadable",
                       KN_STR_ARG(text));
    hold.name = (struct kn_str){text.ptr + 34, text.len - 34};
    KN_LOCKED(&load->holds->lock);
    r = reserve_locked(load->holds);
    struct storage_held *held = r == 0 ? held_new(&stream, &hold) : NULL;
    if (!held)
        return -ENOMEM;
    insert_locked(load->holds, held);
    return 0;
}

int storage_holds_load(struct storage_holds *holds, struct storage_meta *meta, struct kn_err *err)
{
    struct loading load = {holds, err};
    return storage_meta_list(meta, kn_bytes_of(KN_STR("h/")), (struct kn_bytes){NULL, 0}, SIZE_MAX,
                             load_one, &load);
}

/* --- in a log --------------------------------------------------------------------------------- */
struct storage_hold_range *storage_log_holds_room(void)
{
    return calloc(STORAGE_STREAM_HOLDS_MAX, sizeof(struct storage_hold_range));
}

void storage_log_install_holds(struct storage_log *log, struct storage_hold_range *room)
{
    size_t count = storage_holds_ranges(&log->storage->catalogue->holds, &log->id, room);
    kn_lock_take(&log->lock);
    struct storage_hold_range *before = log->holds;
    log->holds = room;
    log->hold_count = count;
    kn_lock_give(&log->lock);
    free(before);
}

bool storage_log_holds(const struct storage_log *log, const struct storage_chunk_row *row)
{
    for (size_t i = 0; row->count > 0 && i < log->hold_count; i++) {
        if (log->holds[i].from_ms <= row->last_end_ms &&
            log->holds[i].to_ms >= row->first_server_ts_ms)
            return true;
    }
    return false;
}

/* --- setting and lifting ---------------------------------------------------------------------- */
static bool is_sound(const struct storage_hold *hold)
{
    return hold->name.len > 0 && hold->name.len <= STORAGE_HOLD_NAME_BYTES_MAX &&
           hold->reason.len <= STORAGE_HOLD_REASON_BYTES_MAX &&
           hold->by.len <= STORAGE_HOLD_BY_BYTES_MAX && hold->from_ms <= hold->to_ms;
}

static int check_state(struct storage *storage, const struct storage_id *stream)
{
    struct storage_stream *settings = storage_stream_find_id(storage, stream);
    if (!settings)
        return -ENOENT;
    bool active = settings->status == STORAGE_STREAM_ACTIVE;
    storage_stream_unref(settings);
    return active ? 0 : -EBUSY;
}

static int make_room(struct storage_holds *holds, const struct storage_id *stream,
                     struct kn_str name)
{
    KN_LOCKED(&holds->lock);
    size_t first, count = count_locked(holds, stream, &first);
    size_t at = lower_bound_locked(holds, stream, name);
    if (is_of(holds, at, stream) && kn_str_eq(holds->items[at]->hold.name, name))
        return -EEXIST;
    if (count >= STORAGE_STREAM_HOLDS_MAX || holds->count >= STORAGE_HOLDS_MAX)
        return -EDQUOT;
    return reserve_locked(holds);
}

int storage_hold_put(struct storage *storage, const struct storage_id *stream,
                     struct storage_hold *hold)
{
    struct storage_holds *holds = &storage->catalogue->holds;
    if (!is_sound(hold))
        return -EINVAL;
    KN_LOCKED(&holds->change);
    int r = check_state(storage, stream);
    if (r == 0)
        r = make_room(holds, stream, hold->name);
    if (r < 0)
        return r;
    hold->created_ms = kn_wall_ms(storage->clock);
    struct storage_log *log = storage_log_of(storage, stream);
    struct storage_held *held = log ? held_new(stream, hold) : NULL;
    struct storage_hold_range *room = held ? storage_log_holds_room() : NULL;
    if (!room) { /* what could fail is done first: a hold that is stored is respected */
        free(held);
        return -ENOMEM;
    }
    char key[HOLD_KEY_BYTES + 1];
    struct kn_buf record;
    kn_buf_init(&record, HOLD_RECORD_BYTES_MAX);
    r = encode(hold, &record);
    kn_lock_take(&log->slow);
    if (r == 0)
        r = storage_meta_put(storage->meta, hold_key(stream, hold->name, key),
                             kn_buf_bytes(&record), 0, NULL);
    if (r == 0) {
        kn_lock_take(&holds->lock);
        insert_locked(holds, held);
        kn_lock_give(&holds->lock);
        storage_log_install_holds(log, room);
        held = NULL;
        room = NULL;
    }
    kn_lock_give(&log->slow);
    kn_buf_done(&record);
    free(held);
    free(room);
    return r;
}

int storage_hold_remove(struct storage *storage, const struct storage_id *stream,
                        struct kn_str name)
{
    struct storage_holds *holds = &storage->catalogue->holds;
    KN_LOCKED(&holds->change);
    kn_lock_take(&holds->lock);
    size_t at = lower_bound_locked(holds, stream, name);
    bool there = is_of(holds, at, stream) && kn_str_eq(holds->items[at]->hold.name, name);
    kn_lock_give(&holds->lock);
    if (!there)
        return -ENOENT;
    struct storage_log *log = storage_log_of(storage, stream);
    struct storage_hold_range *room = log ? storage_log_holds_room() : NULL;
    if (!room)
        return -ENOMEM;
    char key[HOLD_KEY_BYTES + 1];
    kn_lock_take(&log->slow);
    int r = storage_meta_remove(storage->meta, hold_key(stream, name, key), 0);
    if (r == 0 || r == -ENOENT) {
        kn_lock_take(&holds->lock); /* changes come one at a time: `at` still stands */
        free(holds->items[at]);
        memmove(&holds->items[at], &holds->items[at + 1],
                (--holds->count - at) * sizeof(struct storage_held *));
        kn_lock_give(&holds->lock);
        storage_log_install_holds(log, room);
        room = NULL;
        log->swept_seq = 0; /* what it kept is looked at again */
        log->front_known = false;
        r = 0;
    }
    kn_lock_give(&log->slow);
    free(room);
    storage_keeper_wake(storage);
    return r;
}

int storage_hold_list(struct storage *storage, const struct storage_id *stream, struct kn_str after,
                      storage_hold_fn *each, void *ctx)
{
    struct storage_holds *holds = &storage->catalogue->holds;
    KN_LOCKED(&holds->lock);
    size_t at = lower_bound_locked(holds, stream, after);
    int r = 0;
    for (; r == 0 && is_of(holds, at, stream); at++) {
        const struct storage_hold *hold = &holds->items[at]->hold;
        if (after.len == 0 || !kn_str_eq(hold->name, after))
            r = each(ctx, hold);
    }
    return r;
}

size_t storage_hold_count(struct storage *storage, const struct storage_id *stream)
{
    return storage_holds_count(&storage->catalogue->holds, stream);
}
