// SPDX-License-Identifier: Apache-2.0
// lifion-kinesis as a consumer that leases shards and keeps checkpoints in a table (dynalite's): two of a
// group share a stream, which is split under way. Run by test_67_data_clients.py.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const Kinesis = require("lifion-kinesis");
const AWS = require("aws-sdk");
const table = require("dynalite")({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
table.listen(0, "127.0.0.1");
await once(table, "listening");

const streamName = process.env.STREAM_NAME;
const aws = { endpoint: process.env.KINEMA_API, region: "us-east-1", maxRetries: 0 };
const kinesis = new AWS.Kinesis(aws);
const call = (name, input) => kinesis[name]({ StreamName: streamName, ...input }).promise();

const seen = new Map();
const problems = [];
function consumer() {
    const log = (...what) => problems.push(what.map(String).join(" "));
    const one = new Kinesis({
        ...aws, streamName, consumerGroup: "readers", createStreamIfNeeded: false,
        initialPositionInStream: "TRIM_HORIZON", leaseAcquisitionInterval: 200, pollDelay: 20,
        noRecordsPollDelay: 50, logger: { debug() {}, warn: log, error: log },
        dynamoDb: { endpoint: `http://127.0.0.1:${table.address().port}`, region: "us-east-1" },
    });
    one.on("data", ({ records, shardId }) => {
        for (const r of records) {
            const where = seen.get(r.data) ?? [];
            seen.set(r.data, [...where, `${shardId} ${r.sequenceNumber}`]);
        }
    });
    one.on("error", (e) => problems.push(String(e)));
    return one;
}

async function put(from, to) {
    const Records = [];
    for (let i = from; i < to; i++) Records.push({ PartitionKey: `key-${i}`, Data: `record ${i}` });
    assert.equal((await call("putRecords", { Records })).FailedRecordCount, 0);
}

async function wait(count) {
    const deadline = Date.now() + 45000;
    while (seen.size < count) {
        assert.ok(Date.now() < deadline, `${seen.size} of ${count} read\n${problems.slice(-20).join("\n")}`);
        await new Promise((done) => setTimeout(done, 20));
    }
}

await put(0, 100);
const two = [consumer(), consumer()];
for (const one of two) await one.startConsumer();
await wait(100);
const [shard] = (await call("listShards", {})).Shards;
const { StartingHashKey, EndingHashKey } = shard.HashKeyRange;
await call("splitShard", { ShardToSplit: shard.ShardId,
    NewStartingHashKey: String((BigInt(StartingHashKey) + BigInt(EndingHashKey)) / 2n + 1n) });
await put(100, 200);
await wait(200);
await put(200, 300);
await wait(300);
const dynamo = new AWS.DynamoDB.DocumentClient({
    endpoint: `http://127.0.0.1:${table.address().port}`, region: "us-east-1" });
const last = (id) => [...seen.values()].flat().filter((w) => w.startsWith(`${id} `)).at(-1)?.split(" ")[1];
for (const deadline = Date.now() + 20000; ;) { // checkpoints follow the records
    const [{ shards }] = (await dynamo.scan({ TableName: "lifion-kinesis-state" }).promise()).Items;
    if (shards[shard.ShardId].depleted && Object.entries(shards).every(
        ([id, state]) => last(id) === undefined || state.checkpoint === last(id))) break;
    assert.ok(Date.now() < deadline, JSON.stringify(shards, null, 1));
    await new Promise((done) => setTimeout(done, 50));
}
for (const [data, where] of seen) assert.equal(new Set(where).size, 1, `${data} is in ${where}`);
const again = [...seen.values()].filter((where) => where.length > 1).length;
console.log(`300 records, ${again} read again`);
process.exit(0); // the consumers' timers go on
