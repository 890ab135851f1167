/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the wire costs a data stream, without sockets or disk: a PutRecords body of 500 records of
 * 1 KB decoded, validated and its data written to one buffer, as a handler does it; an answer of
 * GetRecords with 1,000 such records encoded. In JSON and in CBOR; the best of several rounds. Time
 * is the thread's own CPU time.
 *
 *   bench_wire [ROUNDS]      prints one JSON object: µs a record, MB of body a second
 */
#include "api_private.h"
#include "datastream_api.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/crypto.h"

enum {
    RECORD_BYTES = 1024,
    PUT_RECORDS = 500,
    GET_RECORDS = 1000,
    CALLS = 40 /* a round */
};

static uint8_t data[RECORD_BYTES];
static struct kn_json_writer results;

static void result(const char *of, const char *codec, const char *unit, double value)
{
    char name[64];
    (void) snprintf(name, sizeof name, "%s_%s_%s", of, codec, unit);
    kn_json_key(&results, name);
    kn_json_double(&results, value);
}

static uint8_t log_buffer[PUT_RECORDS * RECORD_BYTES];

static const struct kn_api_operation *operation(const char *name)
{
    for (size_t i = 0; i < datastream_api_service.operation_count; i++) {
        const struct kn_api_operation *op = datastream_api_service.operations[i];
        if (strcmp(op->name, name) == 0)
            return op;
    }
    tool_die(name);
}

/* --- bodies ----------------------------------------------------------------------------------- */
static void put_body_json(struct kn_buf *body)
{
    struct kn_json_writer w;
    char key[16];
    kn_json_writer_init(&w, body);
    kn_json_object_begin(&w);
    kn_json_key(&w, "StreamName");
    kn_json_text(&w, "orders");
    kn_json_key(&w, "Records");
    kn_json_array_begin(&w);
    for (int i = 0; i < PUT_RECORDS; i++) {
        (void) snprintf(key, sizeof key, "customer-%03d", i);
        kn_json_object_begin(&w);
        kn_json_key(&w, "Data");
        kn_json_base64(&w, (struct kn_bytes){data, sizeof data});
        kn_json_key(&w, "PartitionKey");
        kn_json_text(&w, key);
        kn_json_object_end(&w);
    }
    kn_json_array_end(&w);
    kn_json_object_end(&w);
}

static void put_body_cbor(struct kn_buf *body)
{
    char key[16];
    kn_cbor_map(body, 2);
    kn_cbor_text(body, KN_STR("StreamName"));
    kn_cbor_text(body, KN_STR("orders"));
    kn_cbor_text(body, KN_STR("Records"));
    kn_cbor_array(body, PUT_RECORDS);
    for (int i = 0; i < PUT_RECORDS; i++) {
        (void) snprintf(key, sizeof key, "customer-%03d", i);
        kn_cbor_map(body, 2);
        kn_cbor_text(body, KN_STR("Data"));
        kn_cbor_bytes(body, (struct kn_bytes){data, sizeof data});
        kn_cbor_text(body, KN_STR("PartitionKey"));
        kn_cbor_text(body, kn_str_from(key));
    }
}

/* --- work ------------------------------------------------------------------------------------- */
static void decode_put(const struct kn_api_codec *codec, struct kn_bytes body)
{
    static const struct kn_api_dialect dialect = {"", 10, "", ""};
    const struct kn_api_operation *op = operation("PutRecords");
    struct datastream_PutRecords_in in = {0};
    struct kn_arena arena;
    struct kn_buf violations;
    kn_arena_init(&arena, 32 << 20);
    kn_buf_init(&violations, 1 << 16);
    struct kn_api_decode ctx = {.arena = &arena, .coral = true};
    tool_must(codec->decode(&ctx, body, op->in, &in), "decode");
    kn_api_validate(op->in, &in, ctx.unknown, &dialect, &violations);
    kn_assert(!violations.len && in.Records.count == PUT_RECORDS);
    uint8_t *at = log_buffer;
    for (size_t i = 0; i < in.Records.count; i++) {
        const struct kn_api_blob *blob = &in.Records.items[i].Data;
        if (blob->is_base64)
            tool_must(kn_base64_read(kn_str_of(blob->wire), at), "base64");
        else
            memcpy(at, blob->wire.ptr, blob->wire.len);
        at += blob->len;
    }
    kn_assert(memcmp(at - RECORD_BYTES, data, RECORD_BYTES) == 0);
    kn_arena_done(&arena);
    kn_buf_done(&violations);
}

static size_t encode_get(const struct kn_api_codec *codec, struct kn_buf *answer)
{
    static struct datastream_Record records[GET_RECORDS];
    const struct kn_api_operation *op = operation("GetRecords");
    for (size_t i = 0; i < GET_RECORDS; i++)
        records[i] = (struct datastream_Record){
            .SequenceNumber = KN_STR("49600282682944895786267660693075522538255370376250179634"),
            .ApproximateArrivalTimestamp = {true, 1700000000123},
            .Data = {data, sizeof data  },
            .PartitionKey = KN_STR("customer-042"),
        };
    const struct datastream_GetRecords_out out = {
        .Records = {true, GET_RECORDS, records},
        .MillisBehindLatest = {true,    0           },
        .NextShardIterator = KN_STR("AAAAAAAAAAGx"),
    };
    kn_buf_clear(answer);
    tool_must(codec->encode(op->out, &out, answer), "encode");
    return answer->len;
}

/* --- rounds ----------------------------------------------------------------------------------- */
static void bench_put(const char *name, const struct kn_api_codec *codec, struct kn_bytes body,
                      uint64_t rounds)
{
    double best = 1e18;
    for (uint64_t round = 0; round < rounds; round++) {
        int64_t start_ns = tool_cpu_ns(0);
        for (int i = 0; i < CALLS; i++)
            decode_put(codec, body);
        double ns = (double) (tool_cpu_ns(0) - start_ns) / CALLS;
        best = ns < best ? ns : best;
    }
    result("put", name, "us_a_record", best / 1000 / PUT_RECORDS);
    result("put", name, "mb_a_second", (double) body.len * 1000 / best);
}

static void bench_get(const char *name, const struct kn_api_codec *codec, uint64_t rounds)
{
    struct kn_buf answer;
    double best = 1e18;
    size_t len = 0;
    kn_buf_init(&answer, 32 << 20);
    for (uint64_t round = 0; round < rounds; round++) {
        int64_t start_ns = tool_cpu_ns(0);
        for (int i = 0; i < CALLS; i++)
            len = encode_get(codec, &answer);
        double ns = (double) (tool_cpu_ns(0) - start_ns) / CALLS;
        best = ns < best ? ns : best;
    }
    kn_buf_done(&answer);
    result("get", name, "us_a_record", best / 1000 / GET_RECORDS);
    result("get", name, "mb_a_second", (double) len * 1000 / best);
}

static void bench_digest(struct kn_bytes body, uint64_t rounds)
{
    uint8_t digest[KN_SHA256_BYTES];
    double best = 1e18;
    for (uint64_t round = 0; round < rounds; round++) {
        int64_t start_ns = tool_cpu_ns(0);
        for (int i = 0; i < CALLS; i++)
            kn_sha256(body, digest);
        double ns = (double) (tool_cpu_ns(0) - start_ns) / CALLS;
        best = ns < best ? ns : best;
    }
    result("put", "json", "sha256_us_a_record", best / 1000 / PUT_RECORDS);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? tool_number(argv[1]) : 20;
    struct kn_buf json, cbor, out;
    kn_random(data, sizeof data);
    kn_buf_init(&json, 16 << 20);
    kn_buf_init(&cbor, 16 << 20);
    put_body_json(&json);
    put_body_cbor(&cbor);
    tool_must(json.error ? json.error : cbor.error, "bodies");
    kn_buf_init(&out, 1 << 16);
    kn_json_writer_init(&results, &out);
    kn_json_object_begin(&results);
    bench_put("json", &kn_api_aws_json, kn_buf_bytes(&json), rounds);
    bench_put("cbor", &kn_api_aws_cbor, kn_buf_bytes(&cbor), rounds);
    bench_get("json", &kn_api_aws_json, rounds);
    bench_get("cbor", &kn_api_aws_cbor, rounds);
    bench_digest(kn_buf_bytes(&json), rounds);
    kn_json_object_end(&results);
    printf(KN_STR_FMT "\n", KN_STR_ARG(kn_buf_str(&out)));
    kn_buf_done(&out);
    kn_buf_done(&json);
    kn_buf_done(&cbor);
    return 0;
}
