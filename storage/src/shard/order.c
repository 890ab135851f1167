/* SPDX-License-Identifier: Apache-2.0 */
/* A table of shards, by open addressing; half of it is free. Ids are random, so they are hashes. */
#include "order.h"

#include "shards.h"

enum {
    PLACES_FIRST = 64
};

static struct storage_shard_place *place_of(struct storage_shard_place *places, size_t cap,
                                            const struct storage_id *shard)
{
    uint64_t hash;
    memcpy(&hash, shard->bytes, sizeof(hash));
    size_t at = hash & (cap - 1);
    while (places[at].used && storage_id_cmp(&places[at].shard, shard) != 0)
        at = (at + 1) & (cap - 1);
    return &places[at];
}

static int grow(struct storage_shard_order *order)
{
    if (order->count * 2 < order->cap)
        return 0;
    size_t cap = order->cap ? order->cap * 2 : PLACES_FIRST;
    struct storage_shard_place *places = calloc(cap, sizeof(*places));
    if (!places)
        return -ENOMEM;
    for (size_t i = 0; i < order->cap; i++)
        if (order->places[i].used)
            *place_of(places, cap, &order->places[i].shard) = order->places[i];
    free(order->places);
    order->places = places;
    order->cap = cap;
    return 0;
}

int storage_shard_order_take(struct storage_shard_order *order,
                             const struct storage_shard_frame *frame)
{
    int r = grow(order);
    if (r < 0)
        return r;
    struct storage_shard_place *place = place_of(order->places, order->cap, &frame->shard);
    if (!place->used) {
        *place = (struct storage_shard_place){
            .shard = frame->shard, .arrival_ms = INT64_MIN, .used = true};
        order->count++;
    }
    bool is_close = frame->kind == STORAGE_BATCH_CLOSE;
    bool fits = frame->first_index >= place->next;
    fits = fits && (is_close ? frame->count == 0
                             : frame->count > 0 && !place->closed &&
                                   frame->arrival_ms >= place->arrival_ms);
    place->next = kn_max_u64(place->next, frame->first_index + frame->count);
    place->closed |= is_close;
    if (!is_close)
        place->arrival_ms = kn_max_i64(place->arrival_ms, frame->arrival_ms);
    return fits ? 0 : -EBADMSG;
}

void storage_shard_order_done(struct storage_shard_order *order)
{
    free(order->places);
    *order = (struct storage_shard_order){0};
}
