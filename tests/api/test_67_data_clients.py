# SPDX-License-Identifier: Apache-2.0
"""Data streams by clients nobody changed for us: the AWS CLI, the AWS SDK for JavaScript v3 by its default
HTTP/2 handler with records of aws-kinesis-agg, and lifion-kinesis with its leases in dynalite."""

import base64
import json
import shutil
import subprocess

import js
import kinema

AWS = shutil.which("aws", path="/usr/bin") or shutil.which("aws")


class Cli:
    """`aws kinesis …` as a user types it; what it prints as JSON."""

    def __init__(self, server):
        self.server = server

    def run(self, command, *args):
        return subprocess.run(
            [AWS, "--endpoint-url", self.server.api, "--output", "json", "kinesis", command, *args],
            capture_output=True, text=True, timeout=60,
            env=kinema.clean_env({**self.server.key.env(), "AWS_CONFIG_FILE": "/dev/null",
                                  "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}))

    def __call__(self, command, *args):
        done = self.run(command, *args)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None


def test_the_aws_cli_puts_gets_and_splits(server):
    assert AWS, "the AWS CLI is not installed: cmake/install-packages"
    aws, name = Cli(server), kinema.new_name("cli")
    stream = ("--stream-name", name)
    assert aws("create-stream", *stream, "--shard-count", "1") is None
    aws("wait", "stream-exists", *stream)
    data = base64.b64encode(b"from a shell").decode()
    put = aws("put-record", *stream, "--partition-key", "door", "--data", data)
    assert set(put) == {"ShardId", "SequenceNumber"}
    many = aws("put-records", *stream, "--records",
               *(f"Data={data},PartitionKey=key-{i}" for i in range(3)))
    assert many["FailedRecordCount"] == 0 and len(many["Records"]) == 3
    at = aws("get-shard-iterator", *stream, "--shard-id", put["ShardId"], "--shard-iterator-type",
             "TRIM_HORIZON")["ShardIterator"]
    page = aws("get-records", "--shard-iterator", at)
    assert [base64.b64decode(r["Data"]) for r in page["Records"]] == [b"from a shell"] * 4
    assert page["Records"][0]["SequenceNumber"] == put["SequenceNumber"]
    assert page["Records"][0]["PartitionKey"] == "door" and page["MillisBehindLatest"] == 0
    aws("split-shard", *stream, "--shard-to-split", put["ShardId"], "--new-starting-hash-key", str(1 << 127))
    last = aws("get-records", "--shard-iterator", page["NextShardIterator"])
    assert last["Records"] == [] and "NextShardIterator" not in last
    assert sorted(c["ShardId"] for c in last["ChildShards"]) == [f"shardId-{i:012d}" for i in (1, 2)]
    aws("merge-shards", *stream, "--shard-to-merge", "shardId-000000000001", "--adjacent-shard-to-merge",
        "shardId-000000000002")
    shards = aws("list-shards", *stream)["Shards"]
    assert [s["ShardId"] for s in shards] == [f"shardId-{i:012d}" for i in range(4)]
    refused = aws.run("put-record", "--stream-name", "not-there", "--partition-key", "x", "--data", data)
    assert refused.returncode == 254 and "(ResourceNotFoundException)" in refused.stderr
    aws("delete-stream", *stream)
    aws("wait", "stream-not-exists", *stream)


def test_the_js_sdk_by_http2_with_a_connection_a_request(server):
    out = js.run(server, "data.mjs", STREAM_NAME=kinema.new_name("js"))
    assert out.endswith("6 stories\n"), out


def test_the_js_sdk_in_cbor(server):
    out = js.run(server, "cbor.mjs", STREAM_NAME=kinema.new_name("cbor"))
    assert out == "CBOR: ok\n"


def test_lifion_leases_shards_and_keeps_checkpoints(server):
    name = kinema.new_name("lifion")
    server.client("kinesis").create_stream(StreamName=name, ShardCount=2)
    out = js.run(server, "lifion.mjs", STREAM_NAME=name)
    assert "300 records" in out
