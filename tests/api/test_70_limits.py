# SPDX-License-Identifier: Apache-2.0
"""AWS's limits, where the server is asked to keep them. How much passes until one is hit depends on
how fast this machine is: tests call until they are refused, and say what must hold then."""

import base64
import re
import time
import urllib.request

import botocore.exceptions
import pytest

import fan_out
import kinema
from test_64_data_streams import fault
from test_65_data_settings import caller_of

TRIES = 300
ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def limited():
    with kinema.Server(args=("--limits", "aws")) as server:
        yield server


@pytest.fixture(scope="module")
def kinesis(limited):
    return limited.client("kinesis", retries={"total_max_attempts": 8, "mode": "standard"})


@pytest.fixture
def name(kinesis):
    one = kinema.new_name("limit")
    kinesis.create_stream(StreamName=one, ShardCount=2)
    return one


def until_refused(call, **fields):
    """Calls as fast as it can: how many were answered, then the error and its text."""
    for count in range(TRIES):
        answer = call(**fields)
        if isinstance(answer, tuple):
            return count, *answer
    raise AssertionError(f"{TRIES} calls were answered")


def refused(server):
    """call(operation, **fields) of a client that never tries again."""
    call = caller_of(server)
    return lambda operation, **fields: until_refused(lambda **f: call(operation, **f), **fields)


def test_operations_are_called_so_often_by_an_account_and_so_often_on_a_stream(limited, name):
    call = refused(limited)
    assert call("DescribeLimits")[1:] == ("LimitExceededException", f"Rate exceeded for account {ACCOUNT}.")
    count, *what = call("DescribeStream", StreamName=name)
    assert count >= 10 and what == ["LimitExceededException", f"Rate exceeded for account {ACCOUNT}."]
    count, *what = call("ListTagsForStream", StreamName=name)
    assert count >= 5 and what == ["LimitExceededException",
                                   f"Rate exceeded for stream {name} under account {ACCOUNT}."]
    # another stream has not been asked, by whatever name it is called
    caller_of(limited)("CreateStream", StreamName=name + "-2", ShardCount=1)
    arn = f"arn:aws:kinesis:{kinema.REGION}:{ACCOUNT}:stream/{name}-2"
    assert call("ListTagsForStream", StreamARN=arn)[0] >= 5


def test_clients_wait_and_try_again(kinesis, name):
    """An unmodified client gets through."""
    for _ in range(8):
        kinesis.list_tags_for_stream(StreamName=name)


def test_a_shard_takes_a_thousand_records_a_second_and_refuses_the_rest_of_a_call(limited, kinesis, name):
    exceeded = f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {ACCOUNT}."
    hot = [{"Data": b"%d" % i, "PartitionKey": "k", "ExplicitHashKey": "0"} for i in range(480)]
    cold = [{"Data": b"cold", "PartitionKey": "k", "ExplicitHashKey": str(1 << 127)}] * 10
    accepted = 0
    for _ in range(TRIES):
        answer = kinesis.put_records(StreamName=name, Records=hot + cold)
        results = answer["Records"]
        assert all(one["ShardId"] == "shardId-000000000001" for one in results[480:])
        failed = [i for i, one in enumerate(results) if "ErrorCode" in one]
        assert answer["FailedRecordCount"] == len(failed)
        accepted += 480 - len(failed)
        if failed:
            break
    assert accepted >= 1000
    assert failed == list(range(failed[0], 480))  # the rest of that shard's records, and no others
    assert {(results[i]["ErrorCode"], results[i]["ErrorMessage"]) for i in failed} == {
        ("ProvisionedThroughputExceededException", exceeded)}
    numbers = [int(one["SequenceNumber"]) for one in results[:failed[0]]]
    assert numbers == sorted(numbers)
    assert exceeded_by(limited, "write") >= len(failed)
    # what was refused is in no log: as many are there as were accepted
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId="shardId-0",
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found = kinesis.get_records(ShardIterator=iterator, Limit=10000)["Records"]
    assert len(found) == accepted


def test_a_put_beyond_a_mebibyte_a_second_is_refused(limited, name):
    data = base64.b64encode(b"x" * (1 << 20)).decode()
    count, *what = refused(limited)("PutRecord", StreamName=name, Data=data, PartitionKey="k",
                                    ExplicitHashKey="0")
    assert count >= 9  # ten at once, but for the bytes of their keys
    assert what == ["ProvisionedThroughputExceededException",
                    f"Rate exceeded for shard shardId-000000000000 in stream {name} under account "
                    f"{ACCOUNT}."]


def test_a_shard_is_read_five_times_a_second(limited, kinesis, name):
    exceeded = ["ProvisionedThroughputExceededException",
                f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {ACCOUNT}."]
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId="shardId-0",
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    count, *what = refused(limited)("GetRecords", ShardIterator=iterator)
    assert count >= 5 and what == exceeded
    count, *what = refused(limited)("GetShardIterator", StreamName=name, ShardId="shardId-0",
                                    ShardIteratorType="LATEST")
    assert count >= 4 and what == exceeded
    assert exceeded_by(limited, "read") >= 2
    other = kinesis.get_shard_iterator(StreamName=name, ShardId="shardId-1",
                                       ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    kinesis.get_records(ShardIterator=other)


def test_a_shard_gives_two_mebibytes_a_second(kinesis, limited, name):
    for _ in range(5):
        kinesis.put_record(StreamName=name, Data=b"x" * (1 << 20), PartitionKey="k", ExplicitHashKey="0")
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId="shardId-0",
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    call = caller_of(limited)
    for _ in range(TRIES):  # one is refused unless it comes two and a half seconds behind the last
        answer = call("GetRecords", ShardIterator=iterator)
        if isinstance(answer, tuple):
            break
        assert len(answer["Records"]) == 5
    assert answer[0] == "ProvisionedThroughputExceededException"


def test_a_mode_is_changed_twice_a_day(limited, kinesis, name):
    call = caller_of(limited)
    arn = f"arn:aws:kinesis:{kinema.REGION}:{ACCOUNT}:stream/{name}"
    update = lambda mode: call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": mode})
    assert update("ON_DEMAND") is None and update("PROVISIONED") is None
    assert update("PROVISIONED") is None  # is no change
    code, text = update("ON_DEMAND")
    assert code == "LimitExceededException" and text.endswith("2 calls in 24 hours.")


def test_an_account_has_so_many_shards_and_streams_on_demand(make_server):
    server = make_server(args=("--limits", "aws", "--region", "eu-north-1"))
    call = caller_of(server)
    create = lambda **fields: until_accepted(call, "CreateStream", **fields)
    limits = call("DescribeLimits")
    assert (limits["ShardLimit"], limits["OnDemandStreamCountLimit"]) == (1000, 50)
    assert create(StreamName="most", ShardCount=997) is None
    code, text = create(StreamName="more", ShardCount=4)
    assert code == "LimitExceededException"
    assert text.startswith(f"This request would exceed the shard limit for the account {ACCOUNT} in "
                           "eu-north-1. Current shard count for the account: 997. Limit: 1000. Number of "
                           "additional shards that would have resulted from this request: 4. ")
    assert create(StreamName="more", ShardCount=3) is None
    code, text = call("SplitShard", StreamName="more", ShardToSplit="shardId-0", NewStartingHashKey="9")
    assert code == "LimitExceededException" and "request: 1. " in text
    code, text = call("UpdateShardCount", StreamName="more", TargetShardCount=5,
                      ScalingType="UNIFORM_SCALING")
    assert code == "LimitExceededException" and "request: 2. " in text


def exceeded_by(server, of):
    with urllib.request.urlopen(server.console + "/metrics") as answer:
        found = re.search(rf'kinema_throughput_exceeded_total{{of="{of}"}} (\d+)', answer.read().decode())
    return int(found[1])


def until_accepted(call, operation, **fields):
    for _ in range(10 * TRIES):
        answer = call(operation, **fields)
        if not isinstance(answer, tuple) or "Rate exceeded" not in answer[1]:
            return answer
    raise AssertionError("refused for ever")


def test_video_operations_have_their_own_limits(limited):
    kvs, stream = limited.kvs(), kinema.new_name("cam")
    kvs.create_stream(StreamName=stream, DataRetentionInHours=1)
    for count in range(TRIES):
        try:
            kvs.get_data_endpoint(StreamName=stream, APIName="PUT_MEDIA")
        except kvs.exceptions.ClientLimitExceededException as error:
            assert count >= 5
            assert error.response["Error"]["Message"] == (
                f"Limit exceeded on number of requests for GetDataEndpoint API for resource '{stream}'")
            break
    else:
        raise AssertionError("never refused")


def test_by_default_nobody_is_too_fast(server):
    kinesis, name = server.client("kinesis"), kinema.new_name("free")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    records = [{"Data": b"x", "PartitionKey": "k"}] * 500
    for _ in range(5):
        assert kinesis.put_records(StreamName=name, Records=records)["FailedRecordCount"] == 0
    for _ in range(20):
        kinesis.describe_limits()
        kinesis.get_shard_iterator(StreamName=name, ShardId="shardId-0", ShardIteratorType="LATEST")
    for mode in ("ON_DEMAND", "PROVISIONED") * 3:
        kinesis.update_stream_mode(
            StreamARN=kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"],
            StreamModeDetails={"StreamMode": mode})
    assert fault(kinesis.describe_stream, StreamName="nobody")[0] == "ResourceNotFoundException"


def subscribe(client, consumer, shard=fan_out.SHARD):
    """None, once it has been let in and has left; else the error."""
    try:
        answer = client.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "LATEST"})
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    next(iter(answer["EventStream"]))
    answer["EventStream"].close()
    return None


def until_in(client, *args):
    """How it was refused before it was let in, but for calls that came too fast."""
    began, refused = time.monotonic(), set()
    while error := subscribe(client, *args):
        assert time.monotonic() < began + 60, refused
        if error[0] != "LimitExceededException":
            refused.add(error)
    return refused


def test_a_subscription_that_has_left_keeps_its_seat_for_five_seconds(limited, kinesis, name):
    """As with AWS, who leaves and comes back within five seconds of a successful call is refused; later
    it is let in. Its consumer may have other shards, and other consumers that shard, at once."""
    once = limited.client("kinesis", retries={"total_max_attempts": 1})
    consumer, other = (fan_out.register(kinesis, name, one) for one in ("app", "other"))
    began = time.monotonic()
    until_in(once, consumer)
    refused = until_in(once, consumer)
    assert time.monotonic() - began >= 5 and refused == {("ResourceInUseException", "Another active subscription exists for this consumer: "
                        f"{ACCOUNT}:{name}:{fan_out.SHARD}:app")}
    for who, shard in ((consumer, "shardId-000000000001"), (other, fan_out.SHARD)):
        assert until_in(once, who, shard) == set()
