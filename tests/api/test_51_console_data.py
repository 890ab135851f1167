# SPDX-License-Identifier: Apache-2.0
"""Data streams in the console's JSON: the list, the shards of one, records as they come."""

import base64

import pytest

from console import Browser

DATA = "/kinema/v1/data-streams"


@pytest.fixture
def kinesis(server):
    return server.client("kinesis")


@pytest.fixture
def stream(kinesis, stream_name):
    kinesis.create_stream(StreamName=stream_name, ShardCount=2)
    yield stream_name
    kinesis.delete_stream(StreamName=stream_name)


@pytest.fixture
def browser(server):
    one = Browser(server)
    assert one.login(server.key)[0] == 200
    return one


def put(kinesis, stream, data, key="0"):
    """Hash key 0 is the first shard's."""
    return kinesis.put_record(StreamName=stream, Data=data, PartitionKey=key, ExplicitHashKey="0")


def records(browser, stream, **query):
    status, page = browser.get(f"{DATA}/{stream}/records?" + "&".join(f"{k}={v}" for k, v in query.items()))
    assert status == 200, page
    return page


def test_without_a_login_nothing_is_said(server, stream):
    for path in (DATA, f"{DATA}/{stream}", f"{DATA}/{stream}/records?shard=0"):
        assert Browser(server).get(path)[0] == 401


def test_the_list_says_what_each_stream_keeps(browser, kinesis, stream):
    for i in range(3):
        put(kinesis, stream, b"%d" % i)
    streams = {s["name"]: s for s in browser.get(DATA)[1]["streams"]}
    one = streams[stream]
    assert (one["status"], one["mode"], one["openShards"]) == ("ACTIVE", "PROVISIONED", 2)
    assert (one["records"], one["recordsIn"], one["bytesIn"]) == (3, 3, 6)  # keys count
    assert one["newestMs"] >= one["createdMs"]


def test_a_stream_shows_its_shards_and_their_lineage(browser, kinesis, stream):
    put(kinesis, stream, b"before")
    kinesis.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000",
                        NewStartingHashKey=str(2 ** 126))
    put(kinesis, stream, b"after")
    info = browser.get(f"{DATA}/{stream}")[1]
    shards = {s["id"]: s for s in info["list"]}
    assert len(shards) == 4 and info["openShards"] == 3 and info["canRead"] is True
    parent, child = shards["shardId-000000000000"], shards["shardId-000000000002"]
    assert parent["closedMs"] and parent["records"] == 1 and (parent["from"], round(parent["to"], 9)) == (0, 0.5)
    assert child["parents"] == [0] and child["records"] == 1 and child["lastKey"] == str(2 ** 126 - 1)
    assert "readMs" not in child


def test_a_reader_leaves_its_age(browser, kinesis, stream):
    put(kinesis, stream, b"one")
    at = kinesis.get_shard_iterator(StreamName=stream, ShardId="shardId-000000000000",
                                    ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert len(kinesis.get_records(ShardIterator=at)["Records"]) == 1
    shard = browser.get(f"{DATA}/{stream}")[1]["list"][0]
    assert shard["readMs"] >= shard["newestMs"] and shard["behindMs"] == 0


def test_the_tail_begins_with_the_newest_and_goes_on(browser, kinesis, stream):
    numbers = [put(kinesis, stream, b"record %d" % i, key=f"k{i}")["SequenceNumber"] for i in range(7)]
    page = records(browser, stream, shard=0, limit=3)
    assert [r["number"] for r in page["records"]] == numbers[4:] and page["atEnd"] is True
    assert [base64.b64decode(r["data"]) for r in page["records"]] == [b"record 4", b"record 5", b"record 6"]
    assert [r["key"] for r in page["records"]] == ["k4", "k5", "k6"]
    assert records(browser, stream, shard=0, **{"from": page["from"]})["records"] == []
    number = put(kinesis, stream, b"next")["SequenceNumber"]
    assert [r["number"] for r in records(browser, stream, shard=0, **{"from": page["from"]})["records"]] == [number]


def test_of_a_long_record_the_beginning_is_shown(browser, kinesis, stream):
    put(kinesis, stream, b"x" * 900_000)
    record = records(browser, stream, shard=0)["records"][0]
    assert record["bytes"] == 900_000 and base64.b64decode(record["data"]) == b"x" * (32 << 10)


@pytest.mark.parametrize("query", ["", "shard=", "shard=x", "shard=-1", "shard=0&from=x", "shard=4294967296"])
def test_a_bad_question_is_400(browser, stream, query):
    assert browser.get(f"{DATA}/{stream}/records?{query}")[0] == 400


def test_what_is_not_there_is_404(browser, stream):
    for path in (f"{DATA}/no-such", f"{DATA}/no-such/records?shard=0", f"{DATA}/{stream}/records?shard=7"):
        assert browser.get(path)[0] == 404


def test_a_key_sees_what_it_may(server, kinesis, stream, stream_name):
    other = stream_name + "-other"
    kinesis.create_stream(StreamName=other, ShardCount=1)
    key = server.create_key("--allow", "kinesis:DescribeStreamSummary", "--allow", "kinesis:ListShards",
                            "--stream", stream)
    one = Browser(server)
    assert one.login(key)[0] == 200
    assert [s["name"] for s in one.get(DATA)[1]["streams"]] == [stream]
    assert one.get(f"{DATA}/{stream}")[1]["canRead"] is False
    assert one.get(f"{DATA}/{other}")[0] == 404
    assert one.get(f"{DATA}/{stream}/records?shard=0")[0] == 404
    kinesis.delete_stream(StreamName=other)
