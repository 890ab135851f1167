/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows that core/api/gen.py writes: what an operation's members look like on the wire and where
 * they lie in the generated structs. Only generated files and the engine include this.
 */
#ifndef CORE_API_ROW_H
#define CORE_API_ROW_H

#include "core/api.h"

enum kn_api_type {
    KN_API_STRING,
    KN_API_BLOB,
    KN_API_BLOB_VIEW, /* as it came: struct kn_api_blob; inputs only */
    KN_API_INTEGER,   /* 32 bits on the wire */
    KN_API_LONG,
    KN_API_TIMESTAMP,
    KN_API_DOUBLE,
    KN_API_BOOLEAN,
    KN_API_ENUM,
    KN_API_STRUCTURE,
    KN_API_LIST,
    KN_API_MAP,
};

typedef bool kn_api_pattern_fn(struct kn_str s);

struct kn_api_shape { /* a type with its constraints */
    enum kn_api_type type;
    bool has_min, has_max; /* length or range */
    int64_t min, max;
    kn_api_pattern_fn *pattern;
    const char *pattern_text;    /* as AWS's message shows it */
    const struct kn_str *values; /* enum: [0] is absent, then value_count spellings */
    size_t value_count;
    const struct kn_api_structure *structure;
    size_t item_bytes; /* list */
    const struct kn_api_shape *item, *key, *value;
};

struct kn_api_row { /* one member */
    struct kn_str name;
    const struct kn_api_shape *shape;
    size_t offset;
    bool required;
    const char *header; /* located in this request header, not in the body */
};

struct kn_api_structure {
    const char *name;
    const struct kn_api_row *rows;
    size_t row_count;
    size_t bytes;
};

struct kn_api_fault_row {
    const char *name;
    int status;
    const char *message_member; /* "Message" or "message" */
};

enum kn_api_protocol {
    KN_API_REST_JSON,
    KN_API_AWS_JSON, /* POST / with X-Amz-Target; awsJson 1.1 and CBOR by content type */
};

struct kn_api_operation {
    const char *name, *service, *method, *route, *action;
    enum kn_api_protocol protocol;
    const char *target; /* KN_API_AWS_JSON: "Kinesis_20131202.PutRecord" */
    const struct kn_api_structure *in, *out;
    const struct kn_api_row *resource_name, *resource_arns[2]; /* of in; NULL: not addressed so */
    const struct kn_api_row *resource_token; /* names the stream; only the handler can read it */
    const struct kn_api_fault_row *faults;
    size_t fault_count;
    unsigned calls_per_s, stream_calls_per_s;   /* of the account, of one stream; 0: any */
    size_t body_bytes_max;                      /* 0: KN_API_BODY_BYTES_MAX */
    bool blocking;                              /* runs on a worker … */
    bool changes;                               /* … of the lane KN_HTTP_CHANGES */
    bool input_stream;                          /* the body is not JSON and is not read */
    bool answer_stream;                         /* the handler calls kn_api_take */
    const char *refused_fault, *refused_reason; /* of all, invoke NULL, or of a part; else NULL */
    int (*invoke)(void *module, const void *in, void *out, struct kn_api_call *call);
};

/* The common beginning of every generated list. */
struct kn_api_list {
    bool set;
    size_t count;
    const void *items;
};

/* core/api/patterns.json says which expression each stands for. Whole-string matches. */
kn_api_pattern_fn kn_api_pattern_arn, kn_api_pattern_base64_token, kn_api_pattern_consumer_arn,
    kn_api_pattern_continuation_token, kn_api_pattern_destination_uri, kn_api_pattern_digits,
    kn_api_pattern_hash_key, kn_api_pattern_kinesis_arn, kn_api_pattern_media_type,
    kn_api_pattern_name, kn_api_pattern_one_line, kn_api_pattern_region, kn_api_pattern_schedule,
    kn_api_pattern_secret_arn, kn_api_pattern_sequence_number, kn_api_pattern_stream_arn,
    kn_api_pattern_stream_id, kn_api_pattern_tag, kn_api_pattern_thing_arn, kn_api_pattern_token,
    kn_api_pattern_version, kn_api_pattern_word;

#endif
