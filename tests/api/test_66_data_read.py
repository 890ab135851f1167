# SPDX-License-Identifier: Apache-2.0
"""GetShardIterator and GetRecords by boto3, over HTTP/2 and in CBOR: every way to begin, limits, ends."""

import base64
import datetime
import json
import random
import socket
import time
import urllib.parse

import pytest

import aws_json
import kinema
from data_fixtures import kinesis, server  # noqa: F401
import wire
from test_64_data_streams import fault
from test_65_data_put import parts, shard_id

MIB = 1 << 20
TARGET = "Kinesis_20131202."


@pytest.fixture
def name(kinesis):
    one = kinema.new_name("data")
    kinesis.create_stream(StreamName=one, ShardCount=1)
    return one


def put(kinesis, name, *texts, key="k"):
    """Numbers of the records."""
    answer = kinesis.put_records(StreamName=name, Records=[{"PartitionKey": key, "Data": t} for t in texts])
    assert answer["FailedRecordCount"] == 0
    return [r["SequenceNumber"] for r in answer["Records"]]


def iterator(kinesis, name, kind="TRIM_HORIZON", shard=0, **fields):
    return kinesis.get_shard_iterator(StreamName=name, ShardId=shard_id(shard), ShardIteratorType=kind,
                                      **fields)["ShardIterator"]


def data(answer):
    return [r["Data"] for r in answer["Records"]]


def let_time_pass(seconds=0.01):
    """What is told in milliseconds has moved."""
    until = time.time() + seconds
    while time.time() < until:
        pass


def read(kinesis, at, **fields):
    return kinesis.get_records(ShardIterator=at, **fields)


def test_records_come_back_as_they_were_put(kinesis, name):
    before = time.time()
    numbers = put(kinesis, name, b"one", b"", b"\0\xff" * 500)
    answer = read(kinesis, iterator(kinesis, name))
    assert data(answer) == [b"one", b"", b"\0\xff" * 500]
    assert [r["SequenceNumber"] for r in answer["Records"]] == numbers
    for record in answer["Records"]:
        assert record["PartitionKey"] == "k"
        assert before - 1 < record["ApproximateArrivalTimestamp"].timestamp() < time.time() + 1
        assert "EncryptionType" not in record
    assert answer["MillisBehindLatest"] == 0 and "ChildShards" not in answer
    again = read(kinesis, answer["NextShardIterator"])
    assert data(again) == [] and again["MillisBehindLatest"] == 0 and again["NextShardIterator"]


def test_every_way_to_begin(kinesis, name):
    numbers = put(kinesis, name, *(str(i).encode() for i in range(5)))
    latest = iterator(kinesis, name, "LATEST")
    start = kinesis.describe_stream(StreamName=name)["StreamDescription"]["Shards"][0]
    start = start["SequenceNumberRange"]["StartingSequenceNumber"]

    def rest(kind, number):
        return b"".join(data(read(kinesis, iterator(kinesis, name, kind, StartingSequenceNumber=number))))

    assert rest("AT_SEQUENCE_NUMBER", numbers[0]) == b"01234"
    assert rest("AFTER_SEQUENCE_NUMBER", numbers[0]) == b"1234"
    assert rest("AT_SEQUENCE_NUMBER", numbers[4]) == b"4"
    assert rest("AFTER_SEQUENCE_NUMBER", numbers[4]) == b""
    assert rest("AT_SEQUENCE_NUMBER", start) == b"01234", "a shard's starting number is of no record"
    assert rest("AFTER_SEQUENCE_NUMBER", start) == b"01234"
    assert data(read(kinesis, latest)) == []
    put(kinesis, name, b"new")
    assert data(read(kinesis, latest)) == [b"new"]


def test_by_time_the_first_that_came_then_or_later(kinesis, server, name):
    caller = aws_json.caller_of(server)  # botocore sends whole seconds only
    put(kinesis, name, b"old")
    let_time_pass()
    put(kinesis, name, b"new")
    let_time_pass()
    both = read(kinesis, iterator(kinesis, name))["Records"]
    at = [round(r["ApproximateArrivalTimestamp"].timestamp() * 1000) for r in both]
    assert at[0] + 5 < at[1]

    def since(ms):
        status, _, answer = caller.call(TARGET + "GetShardIterator", {
            "StreamName": name, "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": ms / 1000})
        assert status == 200, answer
        return data(read(kinesis, answer["ShardIterator"]))

    assert since(at[0]) == [b"old", b"new"]
    assert since(at[0] + 1) == since(at[1]) == [b"new"]
    assert since(at[1] + 1) == []
    assert since(1000) == [b"old", b"new"]


def test_what_an_iterator_is_refused_for(kinesis, name):
    numbers = put(kinesis, name, b"x")

    def refused(**fields):
        fields = {"StreamName": name, "ShardId": "shardId-0", "ShardIteratorType": "AT_SEQUENCE_NUMBER", **fields}
        return fault(kinesis.get_shard_iterator, **fields)

    def pair(kind, end):
        return ("InvalidArgumentException", "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
                "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified "
                f"{kind} and {end} StartingSequenceNumber.")

    assert refused() == pair("AT_SEQUENCE_NUMBER", "no")
    assert refused(ShardIteratorType="LATEST", StartingSequenceNumber=numbers[0]) == pair("LATEST", "also a")
    assert refused(StartingSequenceNumber="5") == (
        "InvalidArgumentException", "Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used "
        "in a call to a shard with shardId-000000000000")
    where = f"used in GetShardIterator on shard shardId-000000000000 in stream {name} under account 000000000000"
    bad = str(int("20000000000800000000000000000000000000000000002", 16))
    assert refused(StartingSequenceNumber=bad) == (
        "InvalidArgumentException", f"StartingSequenceNumber {bad} {where} is invalid.")
    other = str(int("20000000000000000000000000000000000000000000002", 16))
    assert refused(StartingSequenceNumber=other) == (
        "InvalidArgumentException",
        f"StartingSequenceNumber {other} {where} is invalid because it did not come from this stream.")
    assert refused(ShardIteratorType="AT_TIMESTAMP") == (
        "InvalidArgumentException", "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "
        "Current request has no timestamp parameter.")
    code, message = refused(ShardIteratorType="AT_TIMESTAMP", Timestamp=time.time() + 3600)
    assert code == "InvalidArgumentException" and message.startswith(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: ")


def test_shards_that_are_not_there(kinesis, name):
    def refused(stream, shard):
        return fault(kinesis.get_shard_iterator, StreamName=stream, ShardId=shard, ShardIteratorType="LATEST")

    def missing(stream, shard):
        return ("ResourceNotFoundException", f"Shard {shard} in stream {stream} under account 000000000000 does not exist")

    assert refused("nobody", "2147483647") == missing("nobody", "shardId-002147483647")
    assert refused("nobody", "a-0") == missing("nobody", "shardId-000000000000")
    assert refused(name, "shardId-5") == missing(name, "shardId-000000000005")
    assert refused(name, "2147483648") == (
        "ResourceNotFoundException", f"Could not find shard 2147483648 in stream {name} under account 000000000000.")
    assert iterator(kinesis, name) and kinesis.get_shard_iterator(
        StreamName=name, ShardId="anything-0", ShardIteratorType="LATEST")["ShardIterator"]


def test_an_iterator_has_the_form_of_awss(kinesis):
    for length in (1, 13, 14, 30, 128):
        name = ("n" * length + kinema.new_name(""))[:length] if length > 13 else "abcdefghijklm"[:length]
        kinesis.create_stream(StreamName=name, ShardCount=1)
        for at in (iterator(kinesis, name), read(kinesis, iterator(kinesis, name))["NextShardIterator"]):
            raw = base64.b64decode(at)
            assert raw[:8] == b"\0" * 7 + b"\1" and len(raw) == 152 + (length + 2) // 16 * 16


def test_iterators_that_are_none(kinesis, name, server):
    good = iterator(kinesis, name)
    raw = base64.b64decode(good)
    flipped = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    for bad in ("nonsense", good[:-4], flipped, base64.b64encode(bytes(152)).decode()):
        assert fault(kinesis.get_records, ShardIterator=bad) == ("InvalidArgumentException", "Invalid ShardIterator.")
    kinesis.delete_stream(StreamName=name)
    message = f"Shard shardId-000000000000 in stream {name} under account 000000000000 does not exist"
    assert fault(kinesis.get_records, ShardIterator=good) == ("ResourceNotFoundException", message)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    put(kinesis, name, b"of the new one")
    assert data(read(kinesis, good)) == [b"of the new one"]


def test_a_key_reads_only_the_streams_it_may(kinesis, name, server):
    put(kinesis, name, b"secret")
    at = iterator(kinesis, name)
    other = server.create_key("--allow", "kinesis:*", "--stream", "other-*")
    code, _ = fault(server.client("kinesis", key=other).get_records, ShardIterator=at)
    assert code == "AccessDeniedException"


def test_iterators_outlive_a_restart(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    at = iterator(kinesis, "s")
    put(kinesis, "s", b"x")
    server.restart(hard=True)
    assert data(read(server.client("kinesis"), at)) == [b"x"]


def test_a_limit_counts_records_and_tells_how_far_behind(kinesis, name):
    put(kinesis, name, *(b"%d" % i for i in range(10)))
    let_time_pass()
    seen, at = [], iterator(kinesis, name)
    while len(seen) < 10:
        answer = read(kinesis, at, Limit=3)
        assert len(answer["Records"]) == min(3, 10 - len(seen))
        seen += data(answer)
        assert (answer["MillisBehindLatest"] == 0) == (len(seen) == 10)
        at = answer["NextShardIterator"]
    assert seen == [b"%d" % i for i in range(10)]


def test_encryption_is_told_of_the_records_it_was_on_for(kinesis, name):
    put(kinesis, name, b"plain")
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    put(kinesis, name, b"sealed")
    records = read(kinesis, iterator(kinesis, name))["Records"]
    assert [r.get("EncryptionType") for r in records] == [None, "KMS"]


class Plain:
    """The server's API listener, for wire.H2Client."""

    def __init__(self, server):
        self.address = urllib.parse.urlsplit(server.api)

    def connect(self, listener, alpn):
        return socket.create_connection((self.address.hostname, self.address.port), timeout=60)


def h2_call(server, target, body):
    """One call over HTTP/2 with prior knowledge, signed as the SDK for JavaScript signs."""
    client = wire.H2Client(Plain(server), "h2c")
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    fields = aws_json.h2_headers(target, body, "localhost", date, server.key.secret, server.key.id)
    stream = client.request("POST", "/", *fields, end=False)
    client.state.send_data(stream, body, end_stream=True)
    client.flush()
    status, text = client.answer(stream)
    client.sock.close()
    return status, text


# --- large answers ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def heavy(kinesis):
    """22 MiB in a shard."""
    name = kinema.new_name("heavy")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    chance = random.Random(7)
    blocks = [chance.randbytes(MIB - 10) for _ in range(22)]
    for i in range(0, 22, 2):
        put(kinesis, name, *blocks[i:i + 2])
    return name, blocks


def test_an_answer_holds_ten_mebibytes(kinesis, heavy):
    name, blocks = heavy
    at, seen, counts = iterator(kinesis, name), [], []
    while len(seen) < len(blocks):
        answer = read(kinesis, at)
        seen += data(answer)
        counts.append(len(answer["Records"]))
        at = answer["NextShardIterator"]
    assert seen == blocks and counts == [10, 10, 2]


def test_large_answers_come_over_http2_and_in_cbor(server, kinesis, heavy):
    name, blocks = heavy
    caller = aws_json.caller_of(server)
    status, _, answer = caller.call(TARGET + "GetRecords", {"ShardIterator": iterator(kinesis, name)}, aws_json.CBOR)
    assert status == 200 and [r["Data"] for r in answer["Records"]] == blocks[:10]
    assert set(answer) == {"Records", "NextShardIterator", "MillisBehindLatest"}
    assert all(isinstance(r["ApproximateArrivalTimestamp"], aws_json.Time) for r in answer["Records"])

    body = json.dumps({"ShardIterator": iterator(kinesis, name)}).encode()
    status, text = h2_call(server, TARGET + "GetRecords", body)
    assert status == 200, text[:500]
    assert [base64.b64decode(r["Data"]) for r in json.loads(text)["Records"]] == blocks[:10]


def test_what_left_memory_is_read_from_the_disk(make_server):
    server = make_server(args=("--shard-journal-bytes", 262144, "--shard-journal-count", 2))
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    sent = [b"%06d" % i + bytes(1000) for i in range(3000)]
    for i in range(0, 3000, 100):
        put(kinesis, "s", *sent[i:i + 100])
    for _ in range(2):
        at, seen = iterator(kinesis, "s"), []
        while len(seen) < len(sent):
            answer = read(kinesis, at, Limit=700)
            seen += data(answer)
            at = answer["NextShardIterator"]
        assert seen == sent
        numbers = [int(r["SequenceNumber"]) for r in answer["Records"]]
        assert numbers == sorted(numbers) and parts(str(numbers[-1]))[1] == 3000
        server.restart()
        kinesis = server.client("kinesis")
