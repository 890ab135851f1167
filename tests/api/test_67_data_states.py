# SPDX-License-Identifier: Apache-2.0
"""The states that AWS shows streams and consumers in, when stream_state_ms asks for them. Where a
state must be seen it lasts ten minutes, and ends as the server starts again with a shorter setting."""

import time

import botocore.exceptions
import pytest

import kinema
from test_64_data_streams import fault

LONG, SHORT = "600000", "1"


@pytest.fixture
def slow(make_server):
    return make_server(args=("--stream-state-ms", LONG))


@pytest.fixture
def orders(make_server):
    """A server with a stream that is ACTIVE, and a consumer; from now on states last."""
    server = make_server()
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="orders", ShardCount=2)
    kinesis.register_stream_consumer(StreamARN=described(kinesis)["StreamARN"], ConsumerName="old")
    again(server, LONG)
    return server


def again(server, state_ms):
    """Killed, and started with another setting."""
    server.kill9()
    server.args = ["--stream-state-ms", state_ms]
    server.start()
    return server.client("kinesis")


def described(kinesis, name="orders"):
    return kinesis.describe_stream(StreamName=name)["StreamDescription"]


def busy(state, name="orders"):
    return ("ResourceInUseException",
            f"Stream {name} under account 000000000000 not ACTIVE, instead in state {state}")


def test_a_new_stream_is_creating_has_no_shards_and_takes_no_records(slow):
    kinesis = slow.client("kinesis")
    kinesis.create_stream(StreamName="orders", ShardCount=2)
    for _ in range(2):
        found = described(kinesis)
        assert (found["StreamStatus"], found["Shards"]) == ("CREATING", [])
        summary = kinesis.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"]
        assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("CREATING", 0)
        assert fault(kinesis.put_record, StreamName="orders", Data=b"x", PartitionKey="k") == (
            "ResourceNotFoundException", "Stream orders under account 000000000000 not found.")
        assert fault(kinesis.merge_shards, StreamName="orders", ShardToMerge="shardId-0",
                     AdjacentShardToMerge="shardId-1") == busy("CREATING")
        assert fault(kinesis.delete_stream, StreamName="orders") == busy("CREATING")
        assert fault(kinesis.list_shards, StreamName="orders") == busy("CREATING")
        assert fault(kinesis.get_shard_iterator, StreamName="orders", ShardId="shardId-0",
                     ShardIteratorType="LATEST")[0] == "ResourceNotFoundException"
        assert fault(kinesis.register_stream_consumer, StreamARN=found["StreamARN"],
                     ConsumerName="early") == busy("CREATING")
        kinesis.add_tags_to_stream(StreamName="orders", Tags={"a": "b"})
        kinesis = again(slow, LONG)  # which a state survives
    kinesis = again(slow, SHORT)
    found = described(kinesis)
    assert (found["StreamStatus"], len(found["Shards"])) == ("ACTIVE", 2)
    kinesis.put_record(StreamName="orders", Data=b"x", PartitionKey="k")


CHANGES = {
    "split_shard": {"ShardToSplit": "shardId-0", "NewStartingHashKey": "99"},
    "merge_shards": {"ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-1"},
    "update_shard_count": {"TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"},
    "increase_stream_retention_period": {"RetentionPeriodHours": 48},
    "enable_enhanced_monitoring": {"ShardLevelMetrics": ["ALL"]},
    "start_stream_encryption": {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
}


def test_a_change_makes_a_stream_updating_which_takes_records_and_no_other_change(make_server):
    server = make_server()
    for operation in CHANGES:
        server.client("kinesis").create_stream(StreamName=operation, ShardCount=2)
    kinesis = again(server, LONG)
    for operation, fields in CHANGES.items():
        getattr(kinesis, operation)(StreamName=operation, **fields)
        assert described(kinesis, operation)["StreamStatus"] == "UPDATING"
        kinesis.put_record(StreamName=operation, Data=b"x", PartitionKey="k")
        for other in (operation, "increase_stream_retention_period"):
            assert fault(getattr(kinesis, other), StreamName=operation,
                         **CHANGES[other]) == busy("UPDATING", operation)
    kinesis = again(server, SHORT)
    for operation in CHANGES:
        assert described(kinesis, operation)["StreamStatus"] == "ACTIVE"


def test_a_change_that_is_refused_leaves_the_stream_active(orders):
    kinesis = orders.client("kinesis")
    assert fault(kinesis.split_shard, StreamName="orders", ShardToSplit="shardId-9",
                 NewStartingHashKey="99")[0] == "ResourceNotFoundException"
    assert fault(kinesis.decrease_stream_retention_period, StreamName="orders",
                 RetentionPeriodHours=48)[0] == "InvalidArgumentException"
    assert described(kinesis)["StreamStatus"] == "ACTIVE"


def test_a_stream_is_deleting_before_it_is_gone_and_its_name_free(orders):
    kinesis = orders.client("kinesis")
    kinesis.delete_stream(StreamName="orders", EnforceConsumerDeletion=True)
    for _ in range(2):
        assert described(kinesis)["StreamStatus"] == "DELETING"
        assert kinesis.list_streams()["StreamNames"] == ["orders"]
        assert fault(kinesis.create_stream, StreamName="orders",
                     ShardCount=1)[0] == "ResourceInUseException"
        for operation, fields in (("delete_stream", {}), ("add_tags_to_stream", {"Tags": {"a": "b"}})):
            assert fault(getattr(kinesis, operation), StreamName="orders", **fields) == busy("DELETING")
        assert fault(kinesis.put_record, StreamName="orders", Data=b"x",
                     PartitionKey="k")[0] == "ResourceNotFoundException"
        kinesis = again(orders, LONG)
    kinesis = again(orders, SHORT)
    assert kinesis.list_streams()["StreamNames"] == []
    assert fault(kinesis.describe_stream, StreamName="orders")[0] == "ResourceNotFoundException"
    kinesis.create_stream(StreamName="orders", ShardCount=3)


def test_consumers_are_creating_and_deleting_too(orders):
    kinesis = orders.client("kinesis")
    arn = described(kinesis)["StreamARN"]
    new, old = ({"StreamARN": arn, "ConsumerName": name} for name in ("new", "old"))
    status = lambda who: kinesis.describe_stream_consumer(**who)["ConsumerDescription"]["ConsumerStatus"]
    assert kinesis.register_stream_consumer(**new)["Consumer"]["ConsumerStatus"] == "CREATING"
    assert status(old) == "ACTIVE"
    for _ in range(2):
        kinesis.deregister_stream_consumer(**old)
        assert (status(new), status(old)) == ("CREATING", "DELETING")
        for who in (new, old):
            consumer = kinesis.describe_stream_consumer(**who)["ConsumerDescription"]["ConsumerARN"]
            assert fault(kinesis.subscribe_to_shard, ConsumerARN=consumer, ShardId="shardId-0",
                         StartingPosition={"Type": "LATEST"})[0] == "ResourceInUseException"
        assert fault(kinesis.register_stream_consumer, **old)[0] == "ResourceInUseException"
        assert fault(kinesis.delete_stream, StreamName="orders")[0] == "ResourceInUseException"
        kinesis = again(orders, LONG)
    kinesis = again(orders, SHORT)
    assert status(new) == "ACTIVE"
    assert fault(kinesis.describe_stream_consumer, **old)[0] == "ResourceNotFoundException"
    assert [one["ConsumerName"] for one in kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]] == [
        "new"]
    kinesis.register_stream_consumer(**old)


def test_states_pass_by_themselves_and_nothing_of_a_deleted_stream_stays(make_server):
    kinesis = make_server(args=("--stream-state-ms", "300")).client("kinesis")
    made = 0
    deadline = time.monotonic() + 60
    while made < 4:  # each time the name must have become free
        assert time.monotonic() < deadline
        try:
            kinesis.create_stream(StreamName="orders", ShardCount=1)
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceInUseException"
            continue
        made += 1
        while described(kinesis)["StreamStatus"] != "ACTIVE":
            assert time.monotonic() < deadline
        kinesis.delete_stream(StreamName="orders")
    while kinesis.list_streams()["StreamNames"]:
        assert time.monotonic() < deadline


def test_by_default_changes_are_done_when_they_are_answered(server):
    kinesis, name = server.client("kinesis"), kinema.new_name("now")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    arn = described(kinesis, name)["StreamARN"]
    assert kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"][
        "ConsumerStatus"] == "ACTIVE"
    kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    assert described(kinesis, name)["StreamStatus"] == "ACTIVE"
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.delete_stream(StreamName=name)
