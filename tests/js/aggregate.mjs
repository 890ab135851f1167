// SPDX-License-Identifier: Apache-2.0
// aws-kinesis-agg on lines of hexadecimal, as tests/conformance/aggregate.c: make or apart.
import agg from "aws-kinesis-agg";
import { readFileSync, writeSync } from "node:fs";

const hex = (bytes) => Buffer.from(bytes).toString("hex") || "-";
const bytes = (word) => Buffer.from(word === "-" ? "" : word, "hex");
const lines = readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => {
    const [key, hashKey, data] = line.split(" ").map(bytes);
    return { partitionKey: key.toString(), explicitHashKey: hashKey.toString() || undefined, data };
});
const out = [];
const line = (r, data) => out.push(
    [hex(r.partitionKey), hex(r.explicitPartitionKey || r.explicitHashKey || ""), hex(data)].join(" "));

if (process.argv[2] === "make") {
    await new Promise((done, failed) => agg.aggregate(lines, (record, next) => {
        line({ partitionKey: record.partitionKey, explicitHashKey: record.ExplicitHashKey }, record.data);
        next();
    }, done, failed));
} else {
    for (const record of lines)
        await new Promise((done, failed) => agg.deaggregateSync(
            { data: record.data.toString("base64"), partitionKey: record.partitionKey, sequenceNumber: "1" }, true,
            (error, users) => {
                if (error) return failed(error);
                for (const user of users) line(user, Buffer.from(user.data, "base64"));
                return done();
            }));
}
writeSync(1, out.join("\n") + "\n");
