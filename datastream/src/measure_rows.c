/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of metrics. Names, units, dimensions and what is counted: AWS's developer guide of
 * Kinesis Data Streams, "Monitor the service with Amazon CloudWatch".
 */
#include "measure.h"

#define STREAM_(name_, unit_, series_, kind_, help_)                                               \
    {                                                                                              \
        .name = name_, .unit = unit_, .series = "kinema_data_stream_" series_, .help = help_,      \
        .level = DATASTREAM_OF_STREAM, .kind = kind_                                               \
    }
#define CONSUMER_(name_, unit_, series_, kind_, help_)                                             \
    {                                                                                              \
        .name = name_, .unit = unit_, .series = "kinema_data_consumer_" series_, .help = help_,    \
        .level = DATASTREAM_OF_CONSUMER, .kind = kind_                                             \
    }
#define SHARD_(name_, unit_, series_, kind_, help_)                                                \
    {                                                                                              \
        .name = name_, .unit = unit_, .series = "kinema_data_shard_" series_, .help = help_,       \
        .level = DATASTREAM_OF_SHARD, .kind = kind_                                                \
    }

static const char bytes[] = "Bytes", count[] = "Count", ms[] = "Milliseconds";

const struct datastream_metric_row datastream_metric_rows[] = {
    [DATASTREAM_INCOMING_BYTES] =
        STREAM_("IncomingBytes", bytes, "incoming_bytes_total", DATASTREAM_AS_TOTAL,
                "Bytes of keys and data that were put and are on disk."),
    [DATASTREAM_INCOMING_RECORDS] =
        STREAM_("IncomingRecords", count, "incoming_records_total", DATASTREAM_AS_TOTAL,
                "Records that were put and are on disk."),
    [DATASTREAM_PUT_RECORD_BYTES] =
        STREAM_("PutRecord.Bytes", bytes, "put_record_bytes_total", DATASTREAM_AS_TOTAL,
                "Bytes of keys and data put by PutRecord."),
    [DATASTREAM_PUT_RECORD_LATENCY] =
        STREAM_("PutRecord.Latency", ms, "put_record_seconds", DATASTREAM_AS_SECONDS,
                "How long PutRecord took; the count is of all calls, refused ones too."),
    [DATASTREAM_PUT_RECORD_SUCCESS] =
        STREAM_("PutRecord.Success", count, "put_record_success_total", DATASTREAM_AS_TOTAL,
                "PutRecord calls whose record is on disk."),
    [DATASTREAM_PUT_RECORDS_BYTES] =
        STREAM_("PutRecords.Bytes", bytes, "put_records_bytes_total", DATASTREAM_AS_TOTAL,
                "Bytes of keys and data put by PutRecords."),
    [DATASTREAM_PUT_RECORDS_LATENCY] =
        STREAM_("PutRecords.Latency", ms, "put_records_seconds", DATASTREAM_AS_SECONDS,
                "How long PutRecords took; the count is of all calls."),
    [DATASTREAM_PUT_RECORDS_SUCCESS] =
        STREAM_("PutRecords.Success", count, "put_records_success_total", DATASTREAM_AS_TOTAL,
                "PutRecords calls of which at least one record is on disk."),
    [DATASTREAM_PUT_RECORDS_TOTAL] =
        STREAM_("PutRecords.TotalRecords", count, "put_records_records_total", DATASTREAM_AS_TOTAL,
                "Records of PutRecords calls, whatever came of them."),
    [DATASTREAM_PUT_RECORDS_SUCCESSFUL] =
        STREAM_("PutRecords.SuccessfulRecords", count, "put_records_successful_records_total",
                DATASTREAM_AS_TOTAL, "Records of PutRecords calls that are on disk."),
    [DATASTREAM_PUT_RECORDS_FAILED] = STREAM_(
        "PutRecords.FailedRecords", count, "put_records_failed_records_total", DATASTREAM_AS_TOTAL,
        "Records of PutRecords calls that an error of the server kept out."),
    [DATASTREAM_PUT_RECORDS_THROTTLED] =
        STREAM_("PutRecords.ThrottledRecords", count, "put_records_throttled_records_total",
                DATASTREAM_AS_TOTAL, "Records of PutRecords calls that came too fast."),
    [DATASTREAM_WRITE_EXCEEDED] =
        STREAM_("WriteProvisionedThroughputExceeded", count, "write_exceeded_total",
                DATASTREAM_AS_TOTAL, "Records that came too fast, of PutRecord and PutRecords."),
    [DATASTREAM_GET_RECORDS_BYTES] =
        STREAM_("GetRecords.Bytes", bytes, "get_records_bytes_total", DATASTREAM_AS_TOTAL,
                "Bytes of keys and data read by GetRecords."),
    [DATASTREAM_GET_RECORDS_RECORDS] =
        STREAM_("GetRecords.Records", count, "get_records_records_total", DATASTREAM_AS_TOTAL,
                "Records read by GetRecords."),
    [DATASTREAM_GET_RECORDS_LATENCY] =
        STREAM_("GetRecords.Latency", ms, "get_records_seconds", DATASTREAM_AS_SECONDS,
                "How long GetRecords took; the count is of all calls, refused ones too."),
    [DATASTREAM_GET_RECORDS_SUCCESS] = STREAM_(
        "GetRecords.Success", count, "get_records_success_total", DATASTREAM_AS_TOTAL,
        "GetRecords calls that were answered with records, or with none since there were none."),
    [DATASTREAM_GET_RECORDS_AGE] =
        STREAM_("GetRecords.IteratorAgeMilliseconds", ms, "iterator_age_seconds", DATASTREAM_AS_AGE,
                "How old the last record of a GetRecords call was; 0: the reader had caught up."),
    [DATASTREAM_READ_EXCEEDED] =
        STREAM_("ReadProvisionedThroughputExceeded", count, "read_exceeded_total",
                DATASTREAM_AS_TOTAL, "GetRecords calls that came too fast."),
    [DATASTREAM_SUBSCRIBE_EXCEEDED] = CONSUMER_(
        "SubscribeToShard.RateExceeded", count, "subscribe_exceeded_total", DATASTREAM_AS_TOTAL,
        "SubscribeToShard calls refused since the consumer has had a subscription to the shard for "
        "too short a while."),
    [DATASTREAM_SUBSCRIBE_SUCCESS] =
        CONSUMER_("SubscribeToShard.Success", count, "subscribe_success_total", DATASTREAM_AS_TOTAL,
                  "SubscribeToShard calls that began a subscription."),
    [DATASTREAM_EVENT_BYTES] =
        CONSUMER_("SubscribeToShardEvent.Bytes", bytes, "event_bytes_total", DATASTREAM_AS_TOTAL,
                  "Bytes of keys and data handed to the network by SubscribeToShard."),
    [DATASTREAM_EVENT_RECORDS] =
        CONSUMER_("SubscribeToShardEvent.Records", count, "event_records_total",
                  DATASTREAM_AS_TOTAL, "Records handed to the network by SubscribeToShard."),
    [DATASTREAM_EVENT_BEHIND] =
        CONSUMER_("SubscribeToShardEvent.MillisBehindLatest", ms, "behind_seconds",
                  DATASTREAM_AS_AGE, "How far behind the newest record a consumer's events were."),
    [DATASTREAM_EVENT_SUCCESS] = CONSUMER_(
        "SubscribeToShardEvent.Success", count, "event_success_total", DATASTREAM_AS_TOTAL,
        "Events of SubscribeToShard handed to the network, empty ones too."),
    [DATASTREAM_SHARD_INCOMING_BYTES] =
        SHARD_("IncomingBytes", bytes, "incoming_bytes_total", DATASTREAM_AS_TOTAL,
               "Bytes of keys and data that were put into the shard and are on disk."),
    [DATASTREAM_SHARD_INCOMING_RECORDS] =
        SHARD_("IncomingRecords", count, "incoming_records_total", DATASTREAM_AS_TOTAL,
               "Records that were put into the shard and are on disk."),
    [DATASTREAM_SHARD_OUTGOING_BYTES] =
        SHARD_("OutgoingBytes", bytes, "outgoing_bytes_total", DATASTREAM_AS_TOTAL,
               "Bytes of keys and data read from the shard by GetRecords."),
    [DATASTREAM_SHARD_OUTGOING_RECORDS] =
        SHARD_("OutgoingRecords", count, "outgoing_records_total", DATASTREAM_AS_TOTAL,
               "Records read from the shard by GetRecords."),
    [DATASTREAM_SHARD_WRITE_EXCEEDED] =
        SHARD_("WriteProvisionedThroughputExceeded", count, "write_exceeded_total",
               DATASTREAM_AS_TOTAL, "Records for the shard that came too fast."),
    [DATASTREAM_SHARD_READ_EXCEEDED] =
        SHARD_("ReadProvisionedThroughputExceeded", count, "read_exceeded_total",
               DATASTREAM_AS_TOTAL, "GetRecords calls of the shard that came too fast."),
    [DATASTREAM_SHARD_AGE] =
        SHARD_("IteratorAgeMilliseconds", ms, "iterator_age_seconds", DATASTREAM_AS_AGE,
               "How old the last record of a GetRecords call of the shard was; 0: the reader had "
               "caught up."),
};
const size_t datastream_metric_row_count = KN_ARRAY_LEN(datastream_metric_rows);
static_assert(KN_ARRAY_LEN(datastream_metric_rows) == (size_t) DATASTREAM_MEASURES_END,
              "a row each");

const struct datastream_metric_row *datastream_metric_find(struct kn_str name,
                                                           enum datastream_metric_level level)
{
    for (size_t i = 0; i < datastream_metric_row_count; i++)
        if (datastream_metric_rows[i].level == level &&
            kn_str_eq(name, kn_str_from(datastream_metric_rows[i].name)))
            return &datastream_metric_rows[i];
    return NULL;
}
