# SPDX-License-Identifier: Apache-2.0
"""Streams in on-demand mode follow their load; here a minute is half a second, and an hour one."""

import time

import pytest

import kinema
from test_64_data_streams import check_cover, shards
from test_65_data_settings import caller_of

DEADLINE_S = 90
KEYS = 50


@pytest.fixture
def server(make_server):
    return make_server(args=("--on-demand-load-ms", "500", "--on-demand-idle-ms", "1000"))


@pytest.fixture
def kinesis(server):
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="waves", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    return kinesis


def open_shards(kinesis):
    return kinesis.describe_stream_summary(StreamName="waves")["StreamDescriptionSummary"]["OpenShardCount"]


def put_until(kinesis, done):
    """Numbered records of every key, as fast as it goes; how many of each."""
    deadline, count = time.monotonic() + DEADLINE_S, 0
    while not done():
        assert time.monotonic() < deadline
        answer = kinesis.put_records(StreamName="waves", Records=[
            {"PartitionKey": f"key {key}", "Data": b"%d" % number}
            for number in range(count, count + 10) for key in range(KEYS)])
        assert answer["FailedRecordCount"] == 0
        count += 10
    return count


def read_all(kinesis):
    """What each key has, parents before children; and who has been closed."""
    found, ends = {}, {}
    for shard in shards(kinesis, "waves"):
        iterator = kinesis.get_shard_iterator(StreamName="waves", ShardId=shard["ShardId"],
                                              ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            page = kinesis.get_records(ShardIterator=iterator)
            for one in page["Records"]:
                found.setdefault(one["PartitionKey"], []).append(int(one["Data"]))
            iterator = page.get("NextShardIterator")
            if iterator is None:
                ends[shard["ShardId"]] = page["ChildShards"]
                break
            if page["MillisBehindLatest"] == 0 and not page["Records"]:
                break
    return found, ends


def test_a_stream_under_load_doubles_and_an_idle_one_shrinks_and_no_record_is_lost(server, kinesis):
    assert open_shards(kinesis) == 4
    count = put_until(kinesis, lambda: open_shards(kinesis) >= 8)
    kinema.wait_for(lambda: check_cover(shards(kinesis, "waves")) == open_shards(kinesis) <= 200)
    deadline = time.monotonic() + DEADLINE_S
    while open_shards(kinesis) > 4:
        assert time.monotonic() < deadline
    assert check_cover(shards(kinesis, "waves")) == 4
    found, ends = read_all(kinesis)
    assert found == {f"key {key}": list(range(count)) for key in range(KEYS)}
    assert len(ends) >= 4 + 8 and all(1 <= len(children) <= 2 for children in ends.values())
    server.restart(hard=True)
    assert open_shards(kinesis) == 4
    assert read_all(kinesis) == (found, ends)


def test_a_provisioned_stream_does_not_follow_its_load(server, kinesis):
    call = caller_of(server)
    arn = call("DescribeStreamSummary", StreamName="waves")["StreamDescriptionSummary"]["StreamARN"]
    call("CreateStream", StreamName="other", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
    other = kinema.new_name("k")

    def other_has_grown():
        kinesis.put_records(StreamName="other", Records=[
            {"PartitionKey": f"{other} {i}", "Data": b"x"} for i in range(500)])
        return len(shards(kinesis, "other")) > 4

    put_until(kinesis, other_has_grown)
    assert len(shards(kinesis, "waves")) == 4


def test_warm_throughput_is_there_at_once(server, kinesis):
    call = caller_of(server)
    call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    warm = call("UpdateStreamWarmThroughput", StreamName="waves", WarmThroughputMiBps=10)
    assert warm["WarmThroughput"] == {"TargetMiBps": 10, "CurrentMiBps": 10}
    assert check_cover(shards(kinesis, "waves")) == 10
    call("CreateStream", StreamName="new", WarmThroughputMiBps=7,
         StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert len(shards(kinesis, "new")) == 7
