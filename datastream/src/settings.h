/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of a data stream: an immutable counted value. A change copies it, alters the copy,
 * stores that in the catalogue and then publishes it; who holds the former one keeps it.
 */
#ifndef DATASTREAM_SRC_SETTINGS_H
#define DATASTREAM_SRC_SETTINGS_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum {
    DATASTREAM_NAME_BYTES_MAX = 128,
    DATASTREAM_TAGS_MAX = 50, /* of a resource */
    DATASTREAM_RETENTION_HOURS_MIN = 24,
    DATASTREAM_RETENTION_HOURS_MAX = 8760,
    DATASTREAM_RECORD_KIB_MIN = 1024,
    DATASTREAM_RECORD_KIB_MAX = 10240,
    DATASTREAM_WARM_MIBPS_MAX = 10240,
    DATASTREAM_POLICY_BYTES_MAX = 20480,
    DATASTREAM_SETTINGS_BYTES_MAX = 128 << 10, /* of the record, and of the value in memory */
};

struct datastream_tag {
    struct kn_str key, value;
};

enum datastream_metric { /* of enhanced monitoring, per shard; a bit each */
    DATASTREAM_METRIC_INCOMING_BYTES = 1,
    DATASTREAM_METRIC_INCOMING_RECORDS = 2,
    DATASTREAM_METRIC_OUTGOING_BYTES = 4,
    DATASTREAM_METRIC_OUTGOING_RECORDS = 8,
    DATASTREAM_METRIC_WRITE_EXCEEDED = 16,
    DATASTREAM_METRIC_READ_EXCEEDED = 32,
    DATASTREAM_METRIC_ITERATOR_AGE = 64,
    DATASTREAM_METRICS_ALL = 127,
};

struct datastream_settings {
    struct kn_str name;
    int64_t created_ms;
    int64_t retention_hours;
    int64_t record_kib_max;
    int64_t warm_mibps; /* 0: none asked for */
    int64_t metrics;    /* of enum datastream_metric */
    bool on_demand;
    bool spread;                 /* RecordDistributionStrategy AUTO: keys do not choose the shard */
    bool deleting;               /* it goes; found again after a crash */
    bool creating;               /* until busy_until_ms; else it is being changed until then */
    int64_t busy_until_ms;       /* 0: by no means */
    struct kn_str kms_key;       /* ptr NULL: not encrypted */
    struct kn_str policy;        /* JSON text; ptr NULL: none */
    struct datastream_tag *tags; /* by rising key */
    size_t tag_count;
};

/* What a counted value points to lives as long as it does. */
struct datastream_settings *datastream_settings_ref(struct datastream_settings *settings);
void datastream_settings_unref(struct datastream_settings *settings); /* accepts NULL */
/* A counted copy of any settings. Tags are put in order. -EINVAL: a tag twice, or too many;
 * -EMSGSIZE; -ENOMEM. */
int datastream_settings_copy(const struct datastream_settings *settings,
                             struct datastream_settings **ret) KN_MUSTUSE;

/* The record: a JSON object, whose unknown members are passed over, so that an older program reads
 * what a newer one wrote. encode: errors stick to dst. decode: -EBADMSG, -ENOMEM. */
void datastream_settings_encode(const struct datastream_settings *settings, struct kn_buf *dst);
int datastream_settings_decode(struct kn_bytes record, struct datastream_settings **ret) KN_MUSTUSE;

#endif
