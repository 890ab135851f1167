// SPDX-License-Identifier: Apache-2.0
// Data streams in CBOR (application/x-amz-cbor-1.1), written and read by the codec of AWS's SDK for JavaScript:
// the SDK's own client for Kinesis, whose JSON has been exchanged for it. Run by test_67_data_clients.py.
import assert from "node:assert/strict";
import { AwsJson1_1Protocol } from "@aws-sdk/core/protocols";
import * as sdk from "@aws-sdk/client-kinesis";
import { CborCodec } from "@smithy/core/cbor";

const CBOR = "application/x-amz-cbor-1.1";
const seen = new Set(); // content types of the answers that have a body

class AwsCborCodec extends CborCodec {
    createDeserializer() { // under the name that the JSON codec has for it
        const deserializer = super.createDeserializer();
        deserializer.readObject = deserializer.readValue;
        return deserializer;
    }
}

class AwsCborProtocol extends AwsJson1_1Protocol {
    constructor(options) {
        super({ ...options, jsonCodec: new AwsCborCodec() });
    }
    async serializeRequest(operation, input, context) {
        const request = await super.serializeRequest(operation, input, context);
        request.headers["content-type"] = CBOR;
        if (request.body === "{}") request.body = Uint8Array.of(0xa0);
        return request;
    }
    async deserializeResponse(operation, context, response) {
        if (response.headers["content-length"] !== "0") seen.add(response.headers["content-type"]);
        return super.deserializeResponse(operation, context, response);
    }
}

const client = new sdk.KinesisClient({
    endpoint: process.env.KINEMA_API,
    region: "us-east-1",
    maxAttempts: 1,
    protocol: AwsCborProtocol,
    credentials: {
        accessKeyId: process.env.AWS_ACCESS_KEY_ID,
        secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
    },
});
const send = (name, input) => client.send(new sdk[`${name}Command`](input));
const StreamName = process.env.STREAM_NAME;

const began = Date.now();
await send("CreateStream", { StreamName, ShardCount: 2, Tags: { colour: "grün" } });
const { StreamDescriptionSummary: stream } = await send("DescribeStreamSummary", { StreamName });
assert.deepEqual([stream.StreamName, stream.OpenShardCount, stream.StreamStatus], [StreamName, 2, "ACTIVE"]);
// Kinesis' times are milliseconds under CBOR's tag 1; the codec takes them for the seconds they should be.
const created = stream.StreamCreationTimestamp.getTime() / 1000;
assert.ok(created > began - 60e3 && created < Date.now() + 60e3, `created at ${created}`);

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);
const one = await send("PutRecord", { StreamName, Data: bytes, PartitionKey: "k", ExplicitHashKey: "0" });
const many = await send("PutRecords", {
    StreamName,
    Records: Array.from({ length: 300 }, (_, i) => (
        { Data: bytes.subarray(0, i), PartitionKey: `schlüssel-${i}`, ExplicitHashKey: "0" })),
});
assert.equal(many.FailedRecordCount, 0);
assert.ok(many.Records.every((r) => r.ShardId === one.ShardId && r.SequenceNumber > one.SequenceNumber));

const { ShardIterator } = await send("GetShardIterator", {
    StreamName, ShardId: one.ShardId, ShardIteratorType: "TRIM_HORIZON" });
const page = await send("GetRecords", { ShardIterator });
assert.equal(page.Records.length, 301);
const same = (got, wanted) => assert.ok(Buffer.from(got).equals(Buffer.from(wanted)));
same(page.Records[0].Data, bytes);
page.Records.slice(1).forEach((record, i) => {
    same(record.Data, bytes.subarray(0, i));
    assert.equal(record.PartitionKey, `schlüssel-${i}`);
    assert.equal(record.SequenceNumber, many.Records[i].SequenceNumber);
    assert.ok(Math.abs(record.ApproximateArrivalTimestamp.getTime() / 1000 - Date.now()) < 60e3);
});
assert.equal(page.MillisBehindLatest, 0);
assert.deepEqual((await send("ListTagsForStream", { StreamName })).Tags, [{ Key: "colour", Value: "grün" }]);

const error = await send("DescribeStreamSummary", { StreamName: "no-such-stream" }).catch((e) => e);
assert.ok(error instanceof sdk.ResourceNotFoundException && error.message.includes("no-such-stream"), `${error}`);
await send("DeleteStream", { StreamName });
assert.deepEqual([...seen], [CBOR]);
client.destroy();
console.log("CBOR: ok");
