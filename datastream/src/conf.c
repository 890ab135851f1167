/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of data streams: one row each, from which parser, help and reference page are made.
 * Figures are those of the AWS documentation where it has one. */
#include "shard_map.h"

#include "datastream/datastream.h"

#define AT(member) offsetof(struct datastream_conf, member)

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
};

const struct kn_conf_key datastream_conf_keys[] = {
    {.name = "consumers_max",
     .type = KN_CONF_U64,
     .offset = AT(consumers_max),
     .min = 1,
     .max = 1000,
     .def = 20,
     .unit = "count",
     .help = "Consumers that a stream can have registered."                                       },
    {.name = "stream_state_ms",
     .type = KN_CONF_U64,
     .offset = AT(stream_state_ms),
     .min = 0,
     .max = 10 * MINUTE_MS,
     .def = 0,
     .unit = "ms",
     .help = "Streams and consumers are CREATING, UPDATING or DELETING for this long after a "
             "change, as they are with AWS for some tens of seconds. 0: changes are done at once."},
    {.name = "on_demand_load_ms",
     .type = KN_CONF_U64,
     .offset = AT(on_demand_load_ms),
     .min = 100,
     .max = HOUR_MS,
     .def = MINUTE_MS,
     .unit = "ms",
     .help = "A shard of a stream in on-demand mode that was more than half full for this long is "
             "split. Full is what AWS's shards take: 1,000 records or 1 MiB a second."            },
    {.name = "on_demand_idle_ms",
     .type = KN_CONF_U64,
     .offset = AT(on_demand_idle_ms),
     .min = 100,
     .max = 30ull * 24 * HOUR_MS,
     .def = HOUR_MS,
     .unit = "ms",
     .help = "Two neighbours that were less than an eighth full for this long are merged, down to "
             "four shards, or to the stream's warm throughput."                                   },
    {.name = "on_demand_shards_max",
     .type = KN_CONF_U64,
     .offset = AT(on_demand_shards_max),
     .min = 4,
     .max = DATASTREAM_SHARDS_MAX,
     .def = 200,
     .unit = "count",
     .help = "Open shards that a stream in on-demand mode grows to by itself."                    },
    {.name = "subscription_ms_max",
     .type = KN_CONF_U64,
     .offset = AT(subscription_ms_max),
     .min = 100,
     .max = 24 * HOUR_MS,
     .def = 5 * MINUTE_MS,
     .unit = "ms",
     .help = "A SubscribeToShard answer ends after this long; clients subscribe again."           },
    {.name = "subscription_idle_ms",
     .type = KN_CONF_U64,
     .offset = AT(subscription_idle_ms),
     .min = 10,
     .max = MINUTE_MS,
     .def = 5 * SECOND_MS,
     .unit = "ms",
     .help = "A subscription without records gets an empty event this often. AWS's Java client "
             "gives up after 10 s of silence."                                                    },
    {.name = "subscription_takeover_ms",
     .type = KN_CONF_U64,
     .offset = AT(subscription_takeover_ms),
     .min = 0,
     .max = HOUR_MS,
     .def = 5 * SECOND_MS,
     .unit = "ms",
     .help = "A second subscription of a consumer to a shard is refused for this long; later it "
             "takes the first one's place."                                                       },
    {.name = "subscription_bytes_per_s",
     .type = KN_CONF_U64,
     .offset = AT(subscription_bytes_per_s),
     .min = 0,
     .max = GIB(64),
     .def = 0,
     .unit = "bytes",
     .help = "A subscription gets at most this many bytes of records a second. 0: no limit. AWS: 2 "
             "MiB."                                                                               },
    {.name = "metric_history_bytes",
     .type = KN_CONF_U64,
     .offset = AT(metric_history_bytes),
     .min = 0,
     .max = GIB(16),
     .def = MIB(64),
     .unit = "bytes",
     .help =
         "Memory for the past three hours of the metrics of data streams, minute by minute. When "
         "it is used up, each goes less far back."                                                },
};
const size_t datastream_conf_key_count = KN_ARRAY_LEN(datastream_conf_keys);
