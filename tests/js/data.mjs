// SPDX-License-Identifier: Apache-2.0
// Data streams as the AWS SDK for JavaScript v3 speaks them by default: HTTP/2 with prior knowledge and
// a connection a request. Run by test_67_data_clients.py.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import * as sdk from "@aws-sdk/client-kinesis";
import { connect } from "./client.mjs";

const agg = createRequire(import.meta.url)("aws-kinesis-agg");
const { client, send, raises } = connect(sdk, sdk.KinesisClient);
const StreamName = process.env.STREAM_NAME;
const text = (record) => Buffer.from(record.Data).toString();

// All records of a shard, to its tip or its end; [records, ChildShards].
async function read(ShardId, start = { ShardIteratorType: "TRIM_HORIZON" }) {
    let { ShardIterator } = await send("GetShardIterator", { StreamName, ShardId, ...start });
    const records = [];
    for (;;) {
        const page = await send("GetRecords", { ShardIterator, Limit: 100 });
        records.push(...page.Records);
        ShardIterator = page.NextShardIterator;
        if (!ShardIterator) return [records, page.ChildShards];
        if (!page.Records.length && page.MillisBehindLatest === 0) return [records, undefined];
    }
}

const shardIds = async () => (await send("ListShards", { StreamName })).Shards.map((s) => s.ShardId);

const stories = {
    async "create and describe"() {
        await raises("ResourceNotFoundException", send("DescribeStreamSummary", { StreamName }));
        await send("CreateStream", { StreamName, ShardCount: 2 });
        await sdk.waitUntilStreamExists({ client, maxWaitTime: 20 }, { StreamName });
        const of = (await send("DescribeStreamSummary", { StreamName })).StreamDescriptionSummary;
        assert.equal(of.StreamStatus, "ACTIVE");
        assert.equal(of.OpenShardCount, 2);
        assert.ok(of.StreamCreationTimestamp instanceof Date);
        assert.ok(Math.abs(of.StreamCreationTimestamp - Date.now()) < 600000);
        const names = [];
        for await (const page of sdk.paginateListStreams({ client }, {})) names.push(...page.StreamNames);
        assert.ok(names.includes(StreamName));
        assert.equal((await shardIds()).length, 2);
    },
    async "puts, each over a connection of its own, and gets"() {
        const before = new Date(Date.now() - 1000);
        const puts = [];
        for (let i = 0; i < 60; i++) puts.push(send("PutRecord", {
            StreamName, PartitionKey: `key-${i}`, Data: Buffer.from(`single ${i}`),
        }));
        const answers = await Promise.all(puts);
        for (const a of answers) assert.match(a.SequenceNumber, /^\d{56}$/);
        const batch = await send("PutRecords", {
            StreamName,
            Records: [...Array(100).keys()].map((i) => (
                { PartitionKey: `key-${i}`, Data: Buffer.from(`batch ${i}`) })),
        });
        assert.equal(batch.FailedRecordCount, 0);
        assert.equal(batch.Records.length, 100);
        assert.equal(batch.EncryptionType, undefined);
        const found = new Map();
        for (const id of await shardIds())
            for (const r of (await read(id))[0]) {
                assert.ok(r.ApproximateArrivalTimestamp instanceof Date);
                assert.ok(r.ApproximateArrivalTimestamp > before);
                assert.ok(!found.has(text(r)));
                found.set(text(r), `${id} ${r.SequenceNumber}`);
            }
        assert.equal(found.size, 160);
        answers.forEach((a, i) => assert.equal(found.get(`single ${i}`), `${a.ShardId} ${a.SequenceNumber}`));
        batch.Records.forEach((a, i) => assert.equal(
            found.get(`batch ${i}`), `${a.ShardId} ${a.SequenceNumber}`));
        const [one] = answers;
        const at = await read(one.ShardId, {
            ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: one.SequenceNumber });
        assert.equal(text(at[0][0]), "single 0");
        const all = (await Promise.all((await shardIds()).map((id) => read(id, {
            ShardIteratorType: "AT_TIMESTAMP", Timestamp: before })))).flatMap(([records]) => records);
        assert.equal(all.length, 160);
    },
    async "a big record over HTTP/2"() {
        const Data = Buffer.alloc(900 * 1024, "0123456789");
        const { ShardId, SequenceNumber } = await send("PutRecord", { StreamName, PartitionKey: "big", Data });
        const [[record]] = await read(ShardId, {
            ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: SequenceNumber });
        assert.deepEqual(Buffer.from(record.Data), Data);
        await raises("ValidationException", send("PutRecord", {
            StreamName, PartitionKey: "", Data: Buffer.from("x") }));
    },
    async "records of the Kinesis Producer Library pass untouched"() {
        const users = [...Array(50).keys()].map((i) => (
            { partitionKey: `user-${i}`, data: Buffer.from(`user record ${i}`) }));
        const encoded = [];
        await new Promise((done, failed) => agg.aggregate(users, (record, next) => {
            encoded.push(record);
            next();
        }, done, failed));
        assert.equal(encoded.length, 1);
        const { ShardId, SequenceNumber } = await send("PutRecord", {
            StreamName, PartitionKey: encoded[0].partitionKey, Data: encoded[0].data });
        const [[record]] = await read(ShardId, {
            ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: SequenceNumber });
        assert.deepEqual(Buffer.from(record.Data), Buffer.from(encoded[0].data));
        const out = await new Promise((done, failed) => agg.deaggregateSync({
            data: Buffer.from(record.Data).toString("base64"), partitionKey: record.PartitionKey,
            sequenceNumber: record.SequenceNumber,
        }, true, (error, records) => (error ? failed(error) : done(records))));
        assert.deepEqual(out.map((r) => [r.partitionKey, Buffer.from(r.data, "base64").toString()]),
            users.map((u) => [u.partitionKey, u.data.toString()]));
    },
    async "a shard's end and its children"() {
        const before = (await send("ListShards", { StreamName })).Shards;
        const { StartingHashKey, EndingHashKey } = before[0].HashKeyRange;
        const half = (BigInt(StartingHashKey) + BigInt(EndingHashKey)) / 2n + 1n;
        await send("SplitShard", {
            StreamName, ShardToSplit: before[0].ShardId, NewStartingHashKey: String(half) });
        const [, children] = await read(before[0].ShardId);
        assert.equal(children.length, 2);
        for (const c of children) assert.deepEqual(c.ParentShards, [before[0].ShardId]);
        const [low, high] = children.map((c) => c.HashKeyRange).sort(
            (a, b) => (BigInt(a.StartingHashKey) < BigInt(b.StartingHashKey) ? -1 : 1));
        assert.equal(low.StartingHashKey, StartingHashKey);
        assert.equal(high.StartingHashKey, String(half));
        assert.equal(high.EndingHashKey, EndingHashKey);
        const { ShardId } = await send("PutRecord", {
            StreamName, PartitionKey: "x", Data: Buffer.from("child"), ExplicitHashKey: String(half) });
        assert.ok(children.some((c) => c.ShardId === ShardId));
        await send("MergeShards", { StreamName, ShardToMerge: children[0].ShardId,
            AdjacentShardToMerge: children[1].ShardId });
        const [records, grandchildren] = await read(ShardId);
        assert.equal(text(records.at(-1)), "child");
        assert.equal(grandchildren.length, 1);
        assert.deepEqual(new Set(grandchildren[0].ParentShards), new Set(children.map((c) => c.ShardId)));
    },
    async "delete"() {
        await send("DeleteStream", { StreamName });
        await sdk.waitUntilStreamNotExists({ client, maxWaitTime: 20 }, { StreamName });
        await raises("ResourceNotFoundException", send("PutRecord", {
            StreamName, PartitionKey: "x", Data: Buffer.from("late") }));
    },
};

for (const [name, story] of Object.entries(stories)) {
    await story();
    console.log(`ok ${name}`);
}
console.log(`${Object.keys(stories).length} stories`);
process.exit(0); // without waiting for sockets that linger
