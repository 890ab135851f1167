/* SPDX-License-Identifier: Apache-2.0 */
#include "read.h"

#include "sequence.h"

#include <errno.h>

int datastream_records_show(struct kn_arena *arena, const struct datastream_shard *shard,
                            const struct storage_page *page, struct datastream_Record_list *ret)
{
    size_t count = page->count ? page->count : 1;
    struct datastream_Record *records = kn_arena_alloc(arena, count * sizeof(*records));
    char *text = kn_arena_alloc(arena, count * DATASTREAM_SEQUENCE_DIGITS);
    if (!records || !text)
        return -ENOMEM;
    struct datastream_sequence at = {
        .layout = 2, .created_s = shard->created_s, .shard = (int32_t) shard->index};
    struct datastream_sequence_run run;
    for (size_t i = 0; i < page->count; i++, text += DATASTREAM_SEQUENCE_DIGITS) {
        const struct storage_shard_record *from = &page->records[i];
        uint64_t index = datastream_sequence_index(from->index);
        bool follows = i > 0 && index == at.index + 1 && from->arrival_ms / 1000 == at.arrival_s;
        at.index = index;
        at.arrival_s = from->arrival_ms / 1000;
        if (follows)
            datastream_sequence_run_next(&run);
        else
            datastream_sequence_run_init(&run, &at);
        datastream_sequence_run_text(&run, text);
        records[i] = (struct datastream_Record){
            .SequenceNumber = {text,                                                   DATASTREAM_SEQUENCE_DIGITS},
            .ApproximateArrivalTimestamp = {true,                                                   from->arrival_ms          },
            .Data = {from->data.ptr ? from->data.ptr : (const uint8_t *) "", from->data.len            },
            .PartitionKey = from->key,
            .EncryptionType = (enum datastream_EncryptionType) from->tag,
        };
    }
    *ret = (struct datastream_Record_list){true, page->count, records};
    return 0;
}

int64_t datastream_millis_behind(const struct storage_page *page,
                                 const struct storage_shard_ends *ends, int64_t now_ms)
{
    if (page->at_end)
        return 0;
    int64_t at_ms = page->count > 0 ? page->records[page->count - 1].arrival_ms : ends->oldest_ms;
    return kn_max_i64(now_ms - at_ms, 0);
}

static int show_child(struct kn_api_call *call, const struct datastream_shard *row,
                      struct datastream_ChildShard *ret)
{
    struct datastream_Shard shown;
    struct kn_str *parents = kn_arena_alloc(call->arena, 2 * sizeof(*parents));
    int r = parents ? datastream_shard_show(call, row, &shown) : -ENOMEM;
    if (r < 0)
        return r;
    parents[0] = shown.ParentShardId;
    parents[1] = shown.AdjacentParentShardId;
    *ret = (struct datastream_ChildShard){
        .ShardId = shown.ShardId,
        .ParentShards = {true, row->adjacent >= 0 ? 2 : 1, parents},
        .HashKeyRange = shown.HashKeyRange,
    };
    return 0;
}

int datastream_children_show(struct kn_api_call *call, const struct datastream_shard_map *map,
                             uint32_t shard, struct datastream_ChildShard_list *ret)
{
    enum {
        CHILDREN_MAX = 2 /* of a split */
    };
    struct datastream_ChildShard *children =
        kn_arena_alloc(call->arena, CHILDREN_MAX * sizeof(*children));
    size_t count = 0;
    int r = children ? 0 : -ENOMEM;
    for (size_t i = 0; i < map->count && count < CHILDREN_MAX && r == 0; i++) {
        const struct datastream_shard *row = &map->rows[i];
        if (row->parent == shard || row->adjacent == shard)
            r = show_child(call, row, &children[count++]);
    }
    *ret = (struct datastream_ChildShard_list){count > 0, count, children};
    return r;
}
