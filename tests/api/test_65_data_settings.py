# SPDX-License-Identifier: Apache-2.0
"""Tags and policies of any resource, the account, and how a stream is provided: operations that
Debian's boto3 does not know are called as newer clients do."""

import base64
import json

import pytest

import aws_json
import kinema

DAY_S = 24 * 60 * 60
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "kinesis:GetRecords",
     "Resource": "*"}]}, indent=1)


@pytest.fixture(scope="module")
def server():
    with kinema.Server() as one:
        yield one


@pytest.fixture(scope="module")
def call(server):
    return caller_of(server)


def caller_of(server):
    """call(operation, **fields) → what came back, or (error's name, its text)."""
    caller = aws_json.caller_of(server)

    def call(operation, **fields):
        status, _, answer = caller.call(f"Kinesis_20131202.{operation}", fields)
        return answer if status == 200 else (answer["__type"], answer["message"])
    return call


@pytest.fixture
def arn(call):
    return make(call, ShardCount=1)


@pytest.fixture
def on_demand(call):
    return make(call, StreamModeDetails={"StreamMode": "ON_DEMAND"})


def make(call, **fields):
    name = kinema.new_name("set")
    assert call("CreateStream", StreamName=name, **fields) is None
    return summary(call, StreamName=name)["StreamARN"]


def summary(call, **which):
    return call("DescribeStreamSummary", **which)["StreamDescriptionSummary"]


def test_tags_of_a_resource_are_those_of_the_stream(call, arn):
    assert call("TagResource", ResourceARN=arn, Tags={"b": "2", "a": "1"}) is None
    assert call("AddTagsToStream", StreamARN=arn, Tags={"c": ""}) is None
    assert call("UntagResource", ResourceARN=arn, TagKeys=["b"]) is None
    left = [{"Key": "a", "Value": "1"}, {"Key": "c", "Value": ""}]
    assert call("ListTagsForResource", ResourceARN=arn) == {"Tags": left}
    assert call("ListTagsForStream", StreamARN=arn) == {"Tags": left, "HasMoreTags": False}
    assert call("TagResource", ResourceARN=arn, Tags={f"k{i}": "" for i in range(49)})[0] == \
        "InvalidArgumentException"


@pytest.mark.parametrize("operation, fields", [
    ("TagResource", {"Tags": {"a": "b"}}), ("UntagResource", {"TagKeys": ["a"]}),
    ("ListTagsForResource", {}), ("PutResourcePolicy", {"Policy": POLICY}), ("GetResourcePolicy", {}),
    ("DeleteResourcePolicy", {})])
def test_a_resource_that_is_not_there_is_not_found(call, arn, operation, fields):
    for missing in (arn + "x", arn.replace(":000000000000:", ":111111111111:"),
                    arn + "/consumer/nobody:1600000000"):
        assert call(operation, ResourceARN=missing, **fields)[0] == "ResourceNotFoundException"


def test_a_policy_is_given_back_as_it_came_and_outlives_a_kill(make_server):
    server = make_server()
    call = caller_of(server)
    arn = make(call, ShardCount=1)
    assert call("GetResourcePolicy", ResourceARN=arn) == {"Policy": "{}"}
    assert call("PutResourcePolicy", ResourceARN=arn, Policy=POLICY) is None
    server.restart(hard=True)
    call = caller_of(server)
    assert call("GetResourcePolicy", ResourceARN=arn) == {"Policy": POLICY}
    assert call("DeleteResourcePolicy", ResourceARN=arn) is None
    assert call("GetResourcePolicy", ResourceARN=arn) == {"Policy": "{}"}
    assert call("DeleteResourcePolicy", ResourceARN=arn) == (
        "ResourceNotFoundException", f"No resource policy found for resource ARN {arn}")


def test_a_consumer_has_tags_and_a_policy_of_its_own(call, arn):
    reader = call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="reader",
                  Tags={"a": "1"})["Consumer"]["ConsumerARN"]
    call("TagResource", ResourceARN=arn, Tags={"of": "stream"})
    call("TagResource", ResourceARN=reader, Tags={"b": "2"})
    call("UntagResource", ResourceARN=reader, TagKeys=["a", "of"])
    assert call("ListTagsForResource", ResourceARN=reader) == {"Tags": [{"Key": "b", "Value": "2"}]}
    assert call("ListTagsForResource", ResourceARN=arn) == {"Tags": [{"Key": "of", "Value": "stream"}]}
    call("PutResourcePolicy", ResourceARN=reader, Policy=POLICY)
    assert call("GetResourcePolicy", ResourceARN=reader) == {"Policy": POLICY}
    assert call("GetResourcePolicy", ResourceARN=arn) == {"Policy": "{}"}
    assert summary(call, StreamARN=arn)["ConsumerCount"] == 1
    call("DeregisterStreamConsumer", ConsumerARN=reader)
    assert call("GetResourcePolicy", ResourceARN=reader)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("policy", ["", "{", "[]", "{}", '{"Statement":1}', '{"Statement":[]} x', "null"])
def test_what_is_no_policy_is_refused(call, arn, policy):
    assert call("PutResourcePolicy", ResourceARN=arn, Policy=policy)[0] == "InvalidArgumentException"
    assert call("GetResourcePolicy", ResourceARN=arn) == {"Policy": "{}"}


def test_a_policy_has_at_most_20_kib(call, arn):
    most = '{"Statement":[],"Id":"%s"}'
    room = 20480 - len(most) + 2
    assert call("PutResourcePolicy", ResourceARN=arn, Policy=most % ("x" * room)) is None
    assert call("PutResourcePolicy", ResourceARN=arn, Policy=most % ("x" * (room + 1)))[0] == \
        "LimitExceededException"


def test_limits_count_open_shards_and_streams_on_demand(make_server):
    call = caller_of(make_server())
    for i in range(70):  # more than a page of them
        call("CreateStream", StreamName=f"limits-{i}", ShardCount=2)
    call("CreateStream", StreamName="waves", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    call("MergeShards", StreamName="limits-0", ShardToMerge="shardId-0", AdjacentShardToMerge="shardId-1")
    limits = call("DescribeLimits")
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (2 * 70 - 1 + 4, 1)
    assert limits["ShardLimit"] >= 20000 and limits["OnDemandStreamCountLimit"] >= 50
    assert limits["ChannelCount"] == 0


def test_a_commitment_lasts_a_day_at_least_and_outlives_a_kill(make_server):
    server, name = make_server(), "MinimumThroughputBillingCommitment"
    described = lambda: caller_of(server)("DescribeAccountSettings")[name]
    update = lambda status: caller_of(server)("UpdateAccountSettings", **{name: {"Status": status}})[name]
    assert described() == {"Status": "DISABLED"}
    assert update("DISABLED") == {"Status": "DISABLED"}
    enabled = update("ENABLED")
    assert enabled["Status"] == "ENABLED" and "EndedAt" not in enabled
    assert round(enabled["EarliestAllowedEndAt"] - enabled["StartedAt"], 3) == DAY_S
    server.restart(hard=True)
    assert described() == enabled
    ending = dict(enabled, Status="ENABLED_UNTIL_EARLIEST_ALLOWED_END")
    assert update("DISABLED") == ending and described() == ending
    assert update("ENABLED") == enabled
    assert caller_of(server)("UpdateAccountSettings", **{name: {"Status": "ONCE"}})[0] == \
        "ValidationException"


def test_a_stream_changes_its_mode_and_keeps_its_shards(call, arn):
    update = lambda mode, **more: call("UpdateStreamMode", StreamARN=arn,
                                       StreamModeDetails={"StreamMode": mode}, **more)
    for _ in range(2):  # the second time it has it already
        assert update("ON_DEMAND") is None
    found = summary(call, StreamARN=arn)
    assert found["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"} and found["OpenShardCount"] == 1
    assert found["RecordDistributionStrategy"] == "USER_PARTITION_KEY"
    assert call("SplitShard", StreamARN=arn, ShardToSplit="shardId-0",
                NewStartingHashKey="9")[0] == "ValidationException"
    assert call("UpdateStreamRecordDistributionStrategy", StreamARN=arn,
                RecordDistributionStrategy="AUTO") is None
    assert summary(call, StreamARN=arn)["RecordDistributionStrategy"] == "AUTO"
    assert update("PROVISIONED") is None
    found = summary(call, StreamARN=arn)
    assert found["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert "RecordDistributionStrategy" not in found
    assert update("ON_DEMAND") is None  # what was of that mode alone has ended with it
    assert summary(call, StreamARN=arn)["RecordDistributionStrategy"] == "USER_PARTITION_KEY"


def test_a_provisioned_stream_chooses_shards_by_key(call, arn):
    for strategy in ("AUTO", "USER_PARTITION_KEY"):
        assert call("UpdateStreamRecordDistributionStrategy", StreamARN=arn,
                    RecordDistributionStrategy=strategy)[0] == "InvalidArgumentException"


def test_under_auto_records_need_no_key_and_are_read_without_one(call, on_demand):
    strategy = lambda which: call("UpdateStreamRecordDistributionStrategy", StreamARN=on_demand,
                                  RecordDistributionStrategy=which)
    put = lambda: call("PutRecord", StreamARN=on_demand, Data="eA==")
    assert put()[0] == "ValidationException"
    assert strategy("AUTO") is None
    where = [put()["ShardId"] for _ in range(40)]
    assert len(set(where)) == 4  # keys have no say, and nor has chance
    assert strategy("USER_PARTITION_KEY") is None
    assert put()[0] == "ValidationException"
    found = []
    for shard in set(where):
        iterator = call("GetShardIterator", StreamARN=on_demand, ShardId=shard,
                        ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found += call("GetRecords", ShardIterator=iterator)["Records"]
    assert len(found) == 40 and all("PartitionKey" not in one for one in found)


def test_warm_throughput_is_for_on_demand_streams_of_an_account_that_commits(make_server):
    call = caller_of(make_server())
    arn, waves = make(call, ShardCount=1), make(call, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    warm = lambda which, mibps: call("UpdateStreamWarmThroughput", StreamARN=which,
                                     WarmThroughputMiBps=mibps)
    assert warm(waves, 100)[0] == "ValidationException"
    assert "WarmThroughput" not in summary(call, StreamARN=waves)
    call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    assert warm(arn, 100)[0] == "ValidationException"
    assert warm(waves, 10241)[0] == "InvalidArgumentException"
    answer = warm(waves, 100)
    assert answer["StreamARN"] == waves and answer["WarmThroughput"]["TargetMiBps"] == 100
    assert summary(call, StreamARN=waves)["WarmThroughput"] == answer["WarmThroughput"]
    assert call("CreateStream", StreamName="no", ShardCount=1, WarmThroughputMiBps=9)[0] == \
        "ValidationException"
    assert call("UpdateStreamMode", StreamARN=arn, WarmThroughputMiBps=7,
                StreamModeDetails={"StreamMode": "ON_DEMAND"}) is None
    assert summary(call, StreamARN=arn)["WarmThroughput"]["TargetMiBps"] == 7


def test_the_largest_record_is_a_setting(call, arn):
    assert summary(call, StreamARN=arn)["MaxRecordSizeInKiB"] == 1024
    large = {"StreamARN": arn, "PartitionKey": "k", "Data": base64.b64encode(bytes(3 << 19)).decode()}
    assert call("PutRecord", **large)[0] == "ValidationException"
    assert call("UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=10240) is None
    assert call("PutRecord", **large)["ShardId"] == "shardId-000000000000"
    assert summary(call, StreamARN=arn)["MaxRecordSizeInKiB"] == 10240
    assert call("UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=10241)[0] == "ValidationException"
    assert call("UpdateMaxRecordSize", MaxRecordSizeInKiB=2048)[0] == "InvalidArgumentException"
