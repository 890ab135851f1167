/* SPDX-License-Identifier: Apache-2.0 */
#include "shard_map.h"

#include <errno.h>
#include <stdlib.h>

static const struct datastream_hash hash_max = {UINT64_MAX, UINT64_MAX};

void datastream_shard_map_done(struct datastream_shard_map *map)
{
    free(map->rows);
    free(map->open);
    *map = (struct datastream_shard_map){0};
}

/* Room for rows and for all of them to be open. */
static int make(size_t rows, struct datastream_shard_map *ret)
{
    *ret = (struct datastream_shard_map){0};
    ret->rows = calloc(rows ? rows : 1, sizeof(*ret->rows));
    ret->open = calloc(rows ? rows : 1, sizeof(*ret->open));
    if (ret->rows && ret->open)
        return 0;
    datastream_shard_map_done(ret);
    return -ENOMEM;
}

/* What a change made, unless it has grown beyond what can be stored. */
static int judge(struct datastream_shard_map *map)
{
    if (map->count <= DATASTREAM_SHARD_ROWS_MAX)
        return 0;
    datastream_shard_map_done(map);
    return -E2BIG;
}

static int copy(const struct datastream_shard_map *map, size_t more,
                struct datastream_shard_map *ret)
{
    int r = make(map->count + more, ret);
    if (r < 0)
        return r;
    if (map->count)
        memcpy(ret->rows, map->rows, map->count * sizeof(*map->rows));
    if (map->open_count)
        memcpy(ret->open, map->open, map->open_count * sizeof(*map->open));
    ret->count = map->count;
    ret->open_count = map->open_count;
    ret->next_index = map->next_index;
    return 0;
}

static bool begins_by(const struct datastream_shard_map *map, size_t at,
                      struct datastream_hash hash)
{
    return datastream_hash_cmp(map->rows[map->open[at]].range.start, hash) <= 0;
}

/* Ranges are mostly even, so that the place in `open` follows from the key. */
static size_t guess_for(const struct datastream_shard_map *map, struct datastream_hash hash)
{
    return (size_t) ((hash.high >> 32) * map->open_count >> 32);
}

/* Where in `open` the shard is that owns the hash key: the last one that starts at it or before.
 * With a good guess two looks in place of fourteen at ten thousand shards. */
static size_t route(const struct datastream_shard_map *map, struct datastream_hash hash)
{
    size_t low = 0, high = map->open_count;
    size_t guess = guess_for(map, hash);
    if (begins_by(map, guess, hash)) {
        low = guess;
        if (guess + 1 < high && !begins_by(map, guess + 1, hash))
            high = guess + 1;
    } else {
        high = guess;
        if (guess > 0 && begins_by(map, guess - 1, hash))
            low = guess - 1;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (begins_by(map, middle, hash))
            low = middle;
        else
            high = middle;
    }
    return low;
}

const struct datastream_shard *datastream_shard_map_route(const struct datastream_shard_map *map,
                                                          struct datastream_hash hash)
{
    kn_assert(map->open_count > 0);
    return &map->rows[map->open[route(map, hash)]];
}

void datastream_shard_map_fetch(const struct datastream_shard_map *map, struct datastream_hash hash)
{
    kn_assert(map->open_count > 0);
    size_t guess = guess_for(map, hash);
    size_t next = guess + 1 < map->open_count ? guess + 1 : guess; /* it is looked at too */
    bool same = map->count == map->open_count; /* as places go, and then nothing is waited for */
    __builtin_prefetch(&map->open[guess]);
    __builtin_prefetch(&map->rows[same ? guess : map->open[guess]].range.start);
    __builtin_prefetch(&map->rows[same ? next : map->open[next]].range.start);
}

/* -1: none */
static ssize_t place_of(const struct datastream_shard_map *map, uint32_t index)
{
    size_t at = KN_BISECT(i, 0, map->count, map->rows[i].index < index);
    return at < map->count && map->rows[at].index == index ? (ssize_t) at : -1;
}

const struct datastream_shard *datastream_shard_map_find(const struct datastream_shard_map *map,
                                                         uint32_t index)
{
    ssize_t place = place_of(map, index);
    return place < 0 ? NULL : &map->rows[place];
}

/* A new row at the end; not in `open` yet. */
static size_t add(struct datastream_shard_map *map, struct datastream_shard row)
{
    row.index = map->next_index++;
    map->rows[map->count] = row;
    return map->count++;
}

int datastream_shard_map_even(uint32_t count, int64_t now_ms, struct datastream_shard_map *ret)
{
    kn_assert(count > 0 && count <= DATASTREAM_SHARDS_MAX);
    int r = make(count, ret);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < count; i++) {
        ret->open[i] = (uint32_t) add(ret, (struct datastream_shard){
                                               .created_s = now_ms / 1000,
                                               .parent = -1,
                                               .adjacent = -1,
                                               .range = datastream_hash_share(i, count),
                                           });
    }
    ret->open_count = count;
    return 0;
}

/* --- changes, on a copy with room ------------------------------------------------------------- */
static void close_row(struct datastream_shard *row, int64_t now_ms)
{
    row->closed_ms = kn_max_i64(now_ms, row->created_s * 1000);
}

/* A child's numbers must be greater than its parent's, so it is created at least a second later. */
static int64_t later_than(const struct datastream_shard *parent, int64_t now_ms)
{
    return kn_max_i64(now_ms / 1000, parent->created_s + 1);
}

static void split_at(struct datastream_shard_map *map, size_t at, struct datastream_hash start,
                     int64_t now_ms)
{
    struct datastream_shard *parent = &map->rows[map->open[at]];
    struct datastream_shard child = {
        .created_s = later_than(parent, now_ms),
        .parent = parent->index,
        .adjacent = -1,
        .range = {parent->range.start, datastream_hash_less(start, 1)},
    };
    struct datastream_hash end = parent->range.end;
    close_row(parent, now_ms);
    size_t first = add(map, child);
    child.range = (struct datastream_hash_range){start, end};
    size_t second = add(map, child);
    memmove(map->open + at + 2, map->open + at + 1,
            (map->open_count - at - 1) * sizeof(*map->open));
    map->open[at] = (uint32_t) first;
    map->open[at + 1] = (uint32_t) second;
    map->open_count++;
}

/* The one at `at` with the one after it; `named` is the one called the parent, the other is
 * adjacent. */
static void merge_at(struct datastream_shard_map *map, size_t at, bool second_named, int64_t now_ms)
{
    struct datastream_shard *low = &map->rows[map->open[at]], *high = &map->rows[map->open[at + 1]];
    struct datastream_shard child = {
        .created_s = kn_max_i64(later_than(low, now_ms), later_than(high, now_ms)),
        .parent = second_named ? high->index : low->index,
        .adjacent = second_named ? low->index : high->index,
        .range = {low->range.start, high->range.end},
    };
    close_row(low, now_ms);
    close_row(high, now_ms);
    map->open[at] = (uint32_t) add(map, child);
    memmove(map->open + at + 1, map->open + at + 2,
            (map->open_count - at - 2) * sizeof(*map->open));
    map->open_count--;
}

/* The place in `open` of an open shard. */
static int open_place(const struct datastream_shard_map *map, uint32_t index, size_t *ret)
{
    const struct datastream_shard *row = datastream_shard_map_find(map, index);
    if (!row)
        return -ENOENT;
    if (row->closed_ms)
        return -ESTALE;
    *ret = route(map, row->range.start);
    return 0;
}

int datastream_shard_map_split(const struct datastream_shard_map *map, uint32_t index,
                               struct datastream_hash start, int64_t now_ms,
                               struct datastream_shard_map *ret)
{
    size_t at;
    int r = open_place(map, index, &at);
    if (r < 0)
        return r;
    const struct datastream_hash_range *range = &map->rows[map->open[at]].range;
    if (datastream_hash_cmp(start, range->start) <= 0 || datastream_hash_cmp(start, range->end) > 0)
        return -ERANGE;
    if (map->open_count >= DATASTREAM_SHARDS_MAX)
        return -E2BIG;
    r = copy(map, 2, ret);
    if (r < 0)
        return r;
    split_at(ret, at, start, now_ms);
    return judge(ret);
}

int datastream_shard_map_merge(const struct datastream_shard_map *map, uint32_t a, uint32_t b,
                               int64_t now_ms, struct datastream_shard_map *ret)
{
    size_t at_a, at_b;
    int r = open_place(map, a, &at_a);
    if (r == 0)
        r = open_place(map, b, &at_b);
    if (r < 0)
        return r;
    if (at_a + 1 != at_b && at_b + 1 != at_a)
        return -EDOM;
    r = copy(map, 1, ret);
    if (r < 0)
        return r;
    merge_at(ret, at_a < at_b ? at_a : at_b, at_b < at_a, now_ms);
    return judge(ret);
}

/* First every border of the target is made by a split, then what lies between two is merged. */
int datastream_shard_map_scale(const struct datastream_shard_map *map, uint32_t target,
                               int64_t now_ms, struct datastream_shard_map *ret)
{
    kn_assert(target > 0 && map->open_count > 0);
    if (target > DATASTREAM_SHARDS_MAX)
        return -E2BIG;
    /* at most target - 1 splits of two rows each, and a merge for each border that goes */
    int r = copy(map, 3 * (size_t) target + map->open_count, ret);
    if (r < 0)
        return r;
    for (uint32_t i = 1; i < target; i++) {
        struct datastream_hash start = datastream_hash_share(i, target).start;
        size_t at = route(ret, start);
        if (datastream_hash_cmp(ret->rows[ret->open[at]].range.start, start) != 0)
            split_at(ret, at, start, now_ms);
    }
    for (uint32_t i = 0; i < target; i++) {
        struct datastream_hash end = datastream_hash_share(i, target).end;
        while (datastream_hash_cmp(ret->rows[ret->open[i]].range.end, end) != 0)
            merge_at(ret, i, false, now_ms);
    }
    kn_assert(ret->open_count == target);
    return judge(ret);
}

int datastream_shard_map_forget(const struct datastream_shard_map *map, int64_t before_ms,
                                struct datastream_shard_map *ret)
{
    int r = make(map->count, ret);
    if (r < 0)
        return r;
    ret->next_index = map->next_index;
    for (size_t i = 0; i < map->count; i++) {
        const struct datastream_shard *row = &map->rows[i];
        if (row->closed_ms == 0 || row->closed_ms >= before_ms)
            ret->rows[ret->count++] = *row;
    }
    for (size_t i = 0; i < map->open_count; i++) {
        ssize_t place = place_of(ret, map->rows[map->open[i]].index);
        ret->open[ret->open_count++] = (uint32_t) place;
    }
    return 0;
}

/* --- its record ------------------------------------------------------------------------------- */
/*
 * version u8 = 1, next_index, count, then for each row: step of the index, created_s, closed_ms,
 * parent + 1, adjacent + 1 as varints, start and end as 16 bytes each.
 */
enum {
    VERSION = 1,
    ROW_BYTES_MIN = 5 + 32
};

static void put_hash(struct kn_buf *dst, struct datastream_hash hash)
{
    kn_buf_append_u64be(dst, hash.high);
    kn_buf_append_u64be(dst, hash.low);
}

void datastream_shard_map_encode(const struct datastream_shard_map *map, struct kn_buf *dst)
{
    kn_buf_append_byte(dst, VERSION);
    kn_buf_append_varint(dst, map->next_index);
    kn_buf_append_varint(dst, map->count);
    uint32_t next = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct datastream_shard *row = &map->rows[i];
        kn_buf_append_varint(dst, row->index - next);
        kn_buf_append_varint(dst, (uint64_t) row->created_s);
        kn_buf_append_varint(dst, (uint64_t) row->closed_ms);
        kn_buf_append_varint(dst, (uint64_t) (row->parent + 1));
        kn_buf_append_varint(dst, (uint64_t) (row->adjacent + 1));
        put_hash(dst, row->range.start);
        put_hash(dst, row->range.end);
        next = row->index + 1;
    }
}

static int read_hash(struct kn_reader *r, struct datastream_hash *ret)
{
    int result = kn_read_u64be(r, &ret->high);
    return result < 0 ? result : kn_read_u64be(r, &ret->low);
}

static int read_row(struct kn_reader *r, uint64_t next, struct datastream_shard *ret)
{
    uint64_t step, created, closed, parent, adjacent;
    if (kn_read_varint(r, &step) < 0 || kn_read_varint(r, &created) < 0 ||
        kn_read_varint(r, &closed) < 0 || kn_read_varint(r, &parent) < 0 ||
        kn_read_varint(r, &adjacent) < 0 || read_hash(r, &ret->range.start) < 0 ||
        read_hash(r, &ret->range.end) < 0)
        return -EBADMSG;
    if (step > INT32_MAX || next + step > INT32_MAX || created > UINT32_MAX * UINT64_C(15) ||
        closed > INT64_MAX || parent > next + step || adjacent > next + step ||
        datastream_hash_cmp(ret->range.start, ret->range.end) > 0)
        return -EBADMSG;
    ret->index = (uint32_t) (next + step);
    ret->created_s = (int64_t) created;
    ret->closed_ms = (int64_t) closed;
    ret->parent = (int64_t) parent - 1;
    ret->adjacent = (int64_t) adjacent - 1;
    return 0;
}

static int read_rows(struct kn_reader *r, size_t count, struct datastream_shard_map *map)
{
    uint64_t next = 0;
    for (; map->count < count; map->count++) {
        int result = read_row(r, next, &map->rows[map->count]);
        if (result < 0)
            return result;
        next = (uint64_t) map->rows[map->count].index + 1;
        if (map->rows[map->count].closed_ms == 0)
            map->open[map->open_count++] = (uint32_t) map->count;
    }
    return next <= map->next_index && kn_reader_left(r) == 0 ? 0 : -EBADMSG;
}

static int by_start(const void *a, const void *b, void *rows)
{
    const struct datastream_shard *all = rows;
    return datastream_hash_cmp(all[*(const uint32_t *) a].range.start,
                               all[*(const uint32_t *) b].range.start);
}

/* Without gap or overlap, from 0 to the end. */
static bool covers(const struct datastream_shard_map *map)
{
    struct datastream_hash next = {0};
    for (size_t i = 0; i < map->open_count; i++) {
        const struct datastream_hash_range *range = &map->rows[map->open[i]].range;
        if (datastream_hash_cmp(range->start, next) != 0)
            return false;
        next = datastream_hash_add(range->end, 1);
        if (datastream_hash_cmp(range->end, hash_max) == 0)
            return i == map->open_count - 1;
    }
    return false;
}

int datastream_shard_map_decode(struct kn_bytes bytes, struct datastream_shard_map *ret)
{
    struct kn_reader r = kn_reader_of(bytes);
    uint8_t version;
    uint64_t next_index, count;
    if (kn_read_u8(&r, &version) < 0 || version != VERSION || kn_read_varint(&r, &next_index) < 0 ||
        next_index > (uint64_t) INT32_MAX + 1 || kn_read_varint(&r, &count) < 0 ||
        count > DATASTREAM_SHARD_ROWS_MAX || kn_reader_left(&r) / ROW_BYTES_MIN < count)
        return -EBADMSG;
    struct datastream_shard_map map;
    int result = make((size_t) count, &map);
    if (result < 0)
        return result;
    map.next_index = (uint32_t) next_index;
    result = read_rows(&r, (size_t) count, &map);
    if (result == 0) {
        qsort_r(map.open, map.open_count, sizeof(*map.open), by_start, map.rows);
        result = covers(&map) ? 0 : -EBADMSG;
    }
    if (result < 0)
        datastream_shard_map_done(&map);
    else
        *ret = map;
    return result;
}
