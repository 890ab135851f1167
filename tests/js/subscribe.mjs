// SPDX-License-Identifier: Apache-2.0
// Enhanced fan-out as the AWS SDK for JavaScript v3 speaks it, over HTTP/2 with prior knowledge; run by
// test_70_subscribe_wire.py.
import assert from "node:assert/strict";
import * as sdk from "@aws-sdk/client-kinesis";
import { connect } from "./client.mjs";

const { send } = connect(sdk, sdk.KinesisClient);
const StreamName = process.env.STREAM_NAME, ConsumerARN = process.env.CONSUMER_ARN;
const ShardId = "shardId-000000000000";
const text = (record) => Buffer.from(record.Data).toString();
const put = (data) => send("PutRecord", { StreamName, PartitionKey: "k", Data: Buffer.from(data) });
const subscribe = async (StartingPosition) =>
    (await send("SubscribeToShard", { ConsumerARN, ShardId, StartingPosition })).EventStream;

// The first so many records; `between` runs once the stream is open. Leaving the loop ends the stream.
async function records(stream, count, between = async () => {}) {
    const found = [];
    let last, opened = false;
    for await (const { SubscribeToShardEvent: event } of stream) {
        if (!opened) await between();
        opened = true;
        found.push(...event.Records);
        last = event;
        if (found.length >= count) break;
    }
    return { found, last };
}

let continuation;
const stories = {
    async "records come as they are put"() {
        const { found, last } = await records(await subscribe({ Type: "LATEST" }), 3, async () => {
            for (const one of ["a", "b", "c"]) await put(one);
        });
        assert.deepEqual(found.map(text), ["a", "b", "c"]);
        assert.ok(found[0].ApproximateArrivalTimestamp instanceof Date);
        assert.equal(last.MillisBehindLatest, 0);
        continuation = last.ContinuationSequenceNumber;
    },
    async "a subscription goes on where one has ended, and at a millisecond"() {
        const { SequenceNumber } = await put("d");
        for (const Type of ["AFTER_SEQUENCE_NUMBER", "AT_SEQUENCE_NUMBER"]) {
            const { found } = await records(
                await again({ Type, SequenceNumber: continuation }), 1);
            assert.deepEqual(found.map((r) => [text(r), r.SequenceNumber]), [["d", SequenceNumber]]);
        }
        const all = await records(await again({ Type: "TRIM_HORIZON" }), 4);
        const Timestamp = all.found[3].ApproximateArrivalTimestamp;
        const { found } = await records(await again({ Type: "AT_TIMESTAMP", Timestamp }), 1);
        assert.equal(found.at(-1).ApproximateArrivalTimestamp.getTime(), Timestamp.getTime());
    },
    async "a second one is refused"() {
        const stream = await again({ Type: "LATEST" });
        await assert.rejects(subscribe({ Type: "LATEST" }), sdk.ResourceInUseException);
        await records(stream, 1, () => put("e"));
    },
    async "a shard that is split ends with its children"() {
        const stream = await again({ Type: "LATEST" });
        let last;
        for await (const { SubscribeToShardEvent: event } of stream) {
            if (!last)
                await send("SplitShard", {
                    StreamName, ShardToSplit: ShardId, NewStartingHashKey: String(1n << 127n),
                });
            last = event;
        }
        assert.equal(last.ContinuationSequenceNumber, undefined);
        assert.deepEqual(last.ChildShards.map((child) => child.ParentShards), [[ShardId], [ShardId]]);
    },
};

// The server may not have noticed yet that the last stream was left.
async function again(StartingPosition) {
    for (let turn = 0; turn < 500; turn++) {
        try {
            return await subscribe(StartingPosition);
        } catch (error) {
            if (!(error instanceof sdk.ResourceInUseException)) throw error;
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
    }
    throw new Error("the seat is not free");
}

for (const [name, story] of Object.entries(stories)) {
    await story();
    console.log(`ok ${name}`);
}
console.log(`${Object.keys(stories).length} stories`);
process.exit(0);
