/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On-demand mode: shards follow the load. What came into each is looked at once in a while; a shard
 * that was more than half full over that time is split, so that a stream under load doubles, and
 * two neighbours that had next to nothing for long are merged, down to what a stream begins with or
 * what its warm throughput asks for. A change is one change of the map, as any reshard.
 */
#ifndef DATASTREAM_SRC_DEMAND_H
#define DATASTREAM_SRC_DEMAND_H

#include "shard_map.h"

struct datastream;
struct datastream_stream;
struct kn_api_call;

enum {
    DATASTREAM_DEMAND_SHARDS = 4,   /* what a stream begins with; AWS, "on-demand mode" */
    DATASTREAM_DEMAND_FULL = 1000,  /* a load: a shard that gets all it may take */
    DATASTREAM_DEMAND_SPLIT = 500,  /* above it, it is split */
    DATASTREAM_DEMAND_IDLE = 125,   /* below it, it has next to nothing */
    DATASTREAM_DEMAND_LEVELS = 4096 /* narrower than all keys / this, a shard is not split: it is
                                       one key that is hot, and halves of it would be no cooler */
};

struct datastream_demand { /* of a stream; zeroed. Of the thread that tends alone */
    size_t count;
    struct datastream_demand_shard { /* by rising index */
        uint32_t shard;
        uint32_t load;   /* over the last whole period */
        bool is_idle;    /* for long */
        int64_t at_ns;   /* when what follows was read */
        int64_t busy_ns; /* when it last had something to do */
        uint64_t bytes_in, records_in;
    } * shards;
};
void datastream_demand_done(struct datastream_demand *demand);

struct datastream_demand_bounds {
    size_t least, most; /* open shards */
    int64_t now_ms;
};
/* What the loads make of the map. -EALREADY: it stays. */
int datastream_demand_plan(const struct datastream_shard_map *map,
                           const struct datastream_demand *demand,
                           const struct datastream_demand_bounds *bounds,
                           struct datastream_shard_map *ret) KN_MUSTUSE;

/* Shards that a stream in on-demand mode has at least. */
uint32_t datastream_demand_least(int64_t warm_mibps);
/* As many shards as its warm throughput asks for, at once. Blocks. */
int datastream_demand_warm(struct datastream *ds, struct datastream_stream *stream) KN_MUSTUSE;
/* Looks at all streams. On the thread that tends. Blocks. */
int datastream_demand_round(struct datastream *ds) KN_MUSTUSE;

#endif
