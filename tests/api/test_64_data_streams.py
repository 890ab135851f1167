# SPDX-License-Identifier: Apache-2.0
"""Data streams by boto3: what there is of them so far, streams, shards, settings and tags."""

import botocore.exceptions
import pytest

import aws_json
import kinema
from data_fixtures import kinesis, server  # noqa: F401

MAX = (1 << 128) - 1


@pytest.fixture
def name(kinesis):
    one = kinema.new_name("data")
    kinesis.create_stream(StreamName=one, ShardCount=2)
    return one


def shards(kinesis, name):
    """All of them, a few at a time."""
    found, after = [], {}
    while True:
        page = kinesis.describe_stream(StreamName=name, Limit=3, **after)["StreamDescription"]
        found += page["Shards"]
        if not page["HasMoreShards"]:
            return found
        after = {"ExclusiveStartShardId": found[-1]["ShardId"]}


def ranges(some):
    return sorted((int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"]))
                  for s in some)


def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


def check_cover(some):
    """Open shards own every hash key once; a child's numbers are greater than its parents'."""
    found = ranges(s for s in some if is_open(s))
    assert found[0][0] == 0 and found[-1][1] == MAX
    assert all(one[1] + 1 == next_one[0] for one, next_one in zip(found, found[1:]))
    known = {s["ShardId"]: s["SequenceNumberRange"] for s in some}
    for shard in some:
        for parent in ("ParentShardId", "AdjacentParentShardId"):
            if parent in shard:
                assert int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) > \
                    int(known[shard[parent]]["EndingSequenceNumber"])
    return len(found)


def fault(call, **fields):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(**fields)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def test_a_stream_is_ready_at_once_and_outlives_a_kill(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="orders", ShardCount=2)
    kinesis.add_tags_to_stream(StreamName="orders", Tags={"team": "shop"})
    before = kinesis.describe_stream(StreamName="orders")["StreamDescription"]
    assert before["StreamStatus"] == "ACTIVE"
    assert before["StreamARN"] == f"arn:aws:kinesis:{kinema.REGION}:000000000000:stream/orders"
    assert ranges(before["Shards"]) == [(0, (1 << 127) - 1), (1 << 127, MAX)]
    assert all(len(s["SequenceNumberRange"]["StartingSequenceNumber"]) == 56 for s in before["Shards"])
    kinesis.split_shard(StreamName="orders", ShardToSplit="shardId-000000000000",
                        NewStartingHashKey="1000")
    after = kinesis.describe_stream(StreamName="orders")["StreamDescription"]
    server.restart(hard=True)
    assert kinesis.describe_stream(StreamName="orders")["StreamDescription"] == after
    assert kinesis.list_tags_for_stream(StreamName="orders")["Tags"] == [{"Key": "team", "Value": "shop"}]
    kinesis.delete_stream(StreamName="orders")
    assert kinesis.list_streams()["StreamNames"] == []
    server.restart(hard=True)
    assert kinesis.list_streams()["StreamNames"] == []


def test_names_are_taken_once(kinesis, name):
    assert fault(kinesis.create_stream, StreamName=name, ShardCount=1) == (
        "ResourceInUseException", f"Stream {name} under account 000000000000 already exists.")
    kinesis.delete_stream(StreamName=name)
    assert fault(kinesis.describe_stream, StreamName=name) == (
        "ResourceNotFoundException", f"Stream {name} under account 000000000000 not found.")
    kinesis.create_stream(StreamName=name, ShardCount=1)


@pytest.fixture(scope="module")
def call(server):
    """What newer clients say: call(operation, **members) gives status and answer."""
    caller = aws_json.caller_of(server)

    def call(operation, **fields):
        status, _, answer = caller.call(f"Kinesis_20131202.{operation}", fields)
        return status, answer

    return call


def test_a_stream_is_found_by_its_arn_and_made_with_what_newer_clients_say(call):
    name = kinema.new_name("data")
    assert call("CreateStream", StreamName=name, ShardCount=1, Tags={"a": "1"},
                MaxRecordSizeInKiB=10240) == (200, None)
    summary = call("DescribeStreamSummary", StreamName=name)[1]["StreamDescriptionSummary"]
    assert summary["MaxRecordSizeInKiB"] == 10240
    arn = summary["StreamARN"]
    assert call("ListTagsForStream", StreamARN=arn)[1]["Tags"] == [{"Key": "a", "Value": "1"}]
    assert call("DescribeStream", StreamARN=arn, StreamName="another")[0] == 400
    foreign = arn.replace(":000000000000:", ":111111111111:")
    assert call("DescribeStream", StreamARN=foreign)[1] == {
        "__type": "ResourceNotFoundException",
        "message": f"Stream {name} under account 111111111111 not found. The ARN is of region "
                   "us-east-1 and account 111111111111; this server's are us-east-1 and 000000000000."}
    assert call("DeleteStream", StreamARN=arn) == (200, None)


def test_streams_are_listed_page_by_page(kinesis, call):
    made = sorted(kinema.new_name("list") for _ in range(5))
    for one in made:
        kinesis.create_stream(StreamName=one, ShardCount=1)
    for by_token in False, True:
        found, more = [], {"ExclusiveStartStreamName": "list"}
        while True:
            page = call("ListStreams", Limit=2, **more)[1]
            found += page["StreamNames"]
            if not page["HasMoreStreams"]:
                assert "NextToken" not in page
                break
            more = {"NextToken": page["NextToken"]} if by_token else {"ExclusiveStartStreamName": found[-1]}
        assert [one for one in found if one in made] == made and found == sorted(found)


def test_a_next_token_of_streams_is_one_that_was_given_out(kinesis, call, name):
    for _ in range(2):
        kinesis.create_stream(StreamName=kinema.new_name("list"), ShardCount=2)
    token = call("ListStreams", Limit=1)[1]["NextToken"]
    edited = token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]
    of_shards = kinesis.list_shards(StreamName=name, MaxResults=1)["NextToken"]
    invalid = {"__type": "InvalidArgumentException", "message": "The NextToken is invalid."}
    for wrong in edited, of_shards, name, "!":
        assert call("ListStreams", NextToken=wrong) == (400, invalid)
    assert call("ListShards", NextToken=token) == (400, invalid)
    both = call("ListStreams", NextToken=token, ExclusiveStartStreamName="a")
    assert both[0] == 400 and both[1]["__type"] == "InvalidArgumentException"


def test_shards_split_merge_and_scale(kinesis, name):
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000001",
                        NewStartingHashKey=str((1 << 127) + 12345))
    assert check_cover(shards(kinesis, name)) == 3
    kinesis.merge_shards(StreamName=name, ShardToMerge="shardId-000000000002",
                         AdjacentShardToMerge="shardId-000000000000")
    merged = shards(kinesis, name)[-1]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (
        "shardId-000000000002", "shardId-000000000000")
    assert check_cover(shards(kinesis, name)) == 2
    for target in (4, 3, 5, 10, 7):
        answer = kinesis.update_shard_count(StreamName=name, TargetShardCount=target,
                                            ScalingType="UNIFORM_SCALING")
        assert answer["TargetShardCount"] == target
        assert check_cover(shards(kinesis, name)) == target
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        assert summary["OpenShardCount"] == target


@pytest.mark.parametrize("shard, key, code, text", [
    ("shardId-7", "5", "ResourceNotFoundException", "Could not find shard shardId-000000000007 in stream"),
    ("x", "5", "ResourceNotFoundException", "Could not find shard x in stream"),
    ("shardId-0", "0", "InvalidArgumentException", "is not both greater than one plus"),
    ("shardId-0", "1", "InvalidArgumentException", "is not both greater than one plus"),
    ("shardId-0", str(MAX), "InvalidArgumentException", "is not both greater than one plus"),
    ("shardId-0", str(MAX + 1), "InvalidArgumentException", "must be in the range: [0, 2^128-1]"),
])
def test_a_split_that_cannot_be_is_refused(kinesis, name, shard, key, code, text):
    got, message = fault(kinesis.split_shard, StreamName=name, ShardToSplit=shard,
                         NewStartingHashKey=key)
    assert got == code and text in message
    assert len(shards(kinesis, name)) == 2


def test_a_closed_shard_is_split_and_merged_no_more(kinesis, name):
    kinesis.merge_shards(StreamName=name, ShardToMerge="shardId-0", AdjacentShardToMerge="shardId-1")
    for call, fields in ((kinesis.split_shard, {"ShardToSplit": "shardId-0", "NewStartingHashKey": "9"}),
                         (kinesis.merge_shards, {"ShardToMerge": "shardId-2",
                                                 "AdjacentShardToMerge": "shardId-1"})):
        code, message = fault(call, StreamName=name, **fields)
        assert code == "InvalidArgumentException" and "has already been merged or split" in message


def test_shards_that_do_not_adjoin_are_not_merged(kinesis, name):
    kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    some = [s["ShardId"] for s in shards(kinesis, name) if is_open(s)]
    code, message = fault(kinesis.merge_shards, StreamName=name, ShardToMerge=some[0],
                          AdjacentShardToMerge=some[2])
    assert code == "InvalidArgumentException" and "are not an adjacent pair" in message


def test_a_stream_is_scaled_at_most_to_double_or_half(kinesis, name):
    kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    for target, how in ((9, "up over double"), (100, "up over double"), (1, "down below half")):
        assert fault(kinesis.update_shard_count, StreamName=name, TargetShardCount=target,
                     ScalingType="UNIFORM_SCALING") == (
            "LimitExceededException",
            f"UpdateShardCount cannot scale {how} your current open shard count. Current open shard "
            f"count: 4 Target shard count: {target}")


def test_on_demand_streams_begin_with_four_shards_and_are_not_split_by_hand(kinesis):
    name = kinema.new_name("data")
    kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    found = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert found["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"} and len(found["Shards"]) == 4
    assert fault(kinesis.split_shard, StreamName=name, ShardToSplit="shardId-0",
                 NewStartingHashKey="99") == (
        "ValidationException",
        f"Request is invalid. Stream {name} under account 000000000000 is in On-Demand mode.")
    assert fault(kinesis.update_shard_count, StreamName=name, TargetShardCount=5,
                 ScalingType="UNIFORM_SCALING")[0] == "ValidationException"


def test_retention_grows_by_one_operation_and_shrinks_by_the_other(kinesis, name):
    longer, shorter = (kinesis.increase_stream_retention_period,
                       kinesis.decrease_stream_retention_period)
    longer(StreamName=name, RetentionPeriodHours=168)
    code, message = fault(longer, StreamName=name, RetentionPeriodHours=48)
    assert code == "InvalidArgumentException" and "can not be shorter than existing" in message
    shorter(StreamName=name, RetentionPeriodHours=48)
    code, message = fault(shorter, StreamName=name, RetentionPeriodHours=49)
    assert code == "InvalidArgumentException" and "can not be longer than existing" in message
    assert "Minimum allowed retention period is 24 hours" in fault(
        shorter, StreamName=name, RetentionPeriodHours=23)[1]
    found = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert found["RetentionPeriodHours"] == 48


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-id", "aws:", "AWS:x"])
def test_tags_of_aws_s_own_cannot_be_added(kinesis, call, name, key):
    refused = (400, {"__type": "InvalidArgumentException",
                     "message": "aws: prefixed tag key names are not allowed for external use."})
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    tags = {"a": "1", key: "2"}
    assert call("AddTagsToStream", StreamName=name, Tags=tags) == refused
    assert call("TagResource", ResourceARN=arn, Tags=tags) == refused
    assert call("CreateStream", StreamName="tagged", ShardCount=1, Tags=tags) == refused
    assert call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="one", Tags=tags) == refused
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == []
    kinesis.remove_tags_from_stream(StreamName=name, TagKeys=[key])  # of before it was refused
    kinesis.add_tags_to_stream(StreamName=name, Tags={"aws": "x", "aws-x": "", "my-aws:x": "aws:"})


def test_tags_are_added_replaced_removed_and_limited(kinesis, name):
    kinesis.add_tags_to_stream(StreamName=name, Tags={"b": "2", "a": "1"})
    kinesis.add_tags_to_stream(StreamName=name, Tags={"a": "3", "c": ""})
    kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["b", "never there"])
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == [
        {"Key": "a", "Value": "3"}, {"Key": "c", "Value": ""}]
    page = kinesis.list_tags_for_stream(StreamName=name, Limit=1)
    assert page["HasMoreTags"] and page["Tags"] == [{"Key": "a", "Value": "3"}]
    page = kinesis.list_tags_for_stream(StreamName=name, ExclusiveStartTagKey="a")
    assert not page["HasMoreTags"] and page["Tags"] == [{"Key": "c", "Value": ""}]
    many = {f"k{i}": "v" for i in range(48)}
    kinesis.add_tags_to_stream(StreamName=name, Tags=many)
    assert fault(kinesis.add_tags_to_stream, StreamName=name,
                 Tags={"one": "more"})[0] == "InvalidArgumentException"


def test_enhanced_monitoring_is_told_before_and_after(kinesis, name):
    answer = kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["IncomingBytes"])
    assert answer["CurrentShardLevelMetrics"] == []
    assert answer["DesiredShardLevelMetrics"] == ["IncomingBytes"]
    answer = kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["ALL"])
    assert len(answer["DesiredShardLevelMetrics"]) == 7
    answer = kinesis.disable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["OutgoingBytes"])
    assert len(answer["DesiredShardLevelMetrics"]) == 6
    found = kinesis.describe_stream(StreamName=name)["StreamDescription"]["EnhancedMonitoring"]
    assert len(found) == 1 and "OutgoingBytes" not in found[0]["ShardLevelMetrics"]


def test_encryption_is_a_setting_that_is_told(kinesis, name):
    def described():
        found = kinesis.describe_stream(StreamName=name)["StreamDescription"]
        return found["EncryptionType"], found.get("KeyId")

    assert described() == ("NONE", None)
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert described() == ("KMS", "alias/aws/kinesis")
    for _ in range(2):  # on a stream that is not encrypted any more, too
        kinesis.stop_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
        assert described() == ("NONE", None)
    assert fault(kinesis.start_stream_encryption, StreamName=name, EncryptionType="NONE",
                 KeyId="k")[0] == "InvalidArgumentException"


def test_a_key_does_what_it_was_given_on_the_streams_it_was_given(server, kinesis, name):
    key = server.create_key("--allow", "kinesis:Describe*", "--stream", name)
    limited = server.client("kinesis", key=key)
    assert limited.describe_stream(StreamName=name)["StreamDescription"]["StreamName"] == name
    other = kinema.new_name("data")
    kinesis.create_stream(StreamName=other, ShardCount=1)
    for call, fields in ((limited.describe_stream, {"StreamName": other}),
                         (limited.delete_stream, {"StreamName": name}), (limited.list_streams, {})):
        assert fault(call, **fields)[0] == "AccessDeniedException"
