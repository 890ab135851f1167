# SPDX-License-Identifier: Apache-2.0
"""SubscribeToShard by boto3, over HTTP/1.1: where it begins, what it tells, and how it ends."""

import datetime
import time

import botocore.exceptions
import pytest

import aws_json
import fan_out
import kinema
from fan_fixtures import consumer, kinesis, name  # noqa: F401
from fan_out import SHARD, Subscription, data

IDLE_MS = 200
TAKEOVER_MS = 400


@pytest.fixture(scope="module")
def server():
    with kinema.Server(args=["--subscription-idle-ms", IDLE_MS,
                             "--subscription-takeover-ms", TAKEOVER_MS]) as one:
        yield one


def put(kinesis, name, *texts):
    return [kinesis.put_record(StreamName=name, Data=text, PartitionKey="k")["SequenceNumber"]
            for text in texts]


def wait_free(server, open_now=0):
    deadline = time.monotonic() + fan_out.TIMEOUT_S
    while fan_out.metric(server, "kinema_subscriptions") > open_now:
        assert time.monotonic() < deadline, "a subscription does not end"
        time.sleep(0.01)


def refused(server, consumer, kind="LATEST", **fields):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        Subscription(server, consumer, kind, **fields)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


# --- where it begins ------------------------------------------------------------------------------
def test_it_begins_where_it_is_told_to(server, kinesis, name):
    numbers = put(kinesis, name, b"0", b"1", b"2", b"3")
    hour_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    starts = {"TRIM_HORIZON": ({}, 0), "LATEST": ({}, 4),
              "AT_SEQUENCE_NUMBER": ({"SequenceNumber": numbers[1]}, 1),
              "AFTER_SEQUENCE_NUMBER": ({"SequenceNumber": numbers[1]}, 2),
              "AT_TIMESTAMP": ({"Timestamp": hour_ago}, 0)}
    open_ones = [(Subscription(server, fan_out.register(kinesis, name, kind), kind, **fields), first)
                 for kind, (fields, first) in starts.items()]
    put(kinesis, name, b"4")
    for subscription, first in open_ones:
        records, event = subscription.records(5 - first)
        assert data(records) == [b"%d" % i for i in range(first, 5)]
        assert event["MillisBehindLatest"] == 0 and "ChildShards" not in event
        assert [r["SequenceNumber"] for r in records][:4 - first] == numbers[first:]
        assert all("EncryptionType" not in r and r["PartitionKey"] == "k" for r in records)
        subscription.close()


def test_an_idle_shard_says_so_and_where_to_go_on(server, kinesis, name, consumer):
    with Subscription(server, consumer) as subscription:
        began = time.monotonic()
        idle = [subscription.next() for _ in range(3)]
        assert time.monotonic() - began < 14, "the setting is not kept: three of 5 s are the default"
        assert all(event["Records"] == [] and event["MillisBehindLatest"] == 0 for event in idle)
    wait_free(server)
    put(kinesis, name, b"after")
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        with Subscription(server, consumer, kind,
                          SequenceNumber=idle[-1]["ContinuationSequenceNumber"]) as subscription:
            assert data(subscription.records(1)[0]) == [b"after"]
        wait_free(server)


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_who_goes_on_from_a_continuation_misses_nothing_and_gets_nothing_twice(
        server, kinesis, name, consumer, kind):
    wanted = [b"%d" % i for i in range(30)]
    put(kinesis, name, *wanted[:10])
    found, start = [], {"kind": "TRIM_HORIZON"}
    for step in range(3):
        with Subscription(server, consumer, **start) as subscription:
            records, event = subscription.records(10)
            found += data(records)
            last = records[-1]["SequenceNumber"]
            assert int(event["ContinuationSequenceNumber"]) > int(last)
        wait_free(server)
        put(kinesis, name, *wanted[10 * (step + 1):10 * (step + 2)])
        start = {"kind": kind, "SequenceNumber": event["ContinuationSequenceNumber"]}
    assert found == wanted


def test_who_is_behind_is_told_by_how_much(server, kinesis, name, consumer):
    for _ in range(4):
        kinesis.put_records(StreamName=name, Records=[
            {"Data": bytes(2000), "PartitionKey": "k"} for _ in range(250)])
    with Subscription(server, consumer, "TRIM_HORIZON") as subscription:
        events, count = [], 0
        while count < 1000:
            events.append(subscription.next())
            count += len(events[-1]["Records"])
    assert len(events) > 2 and events[0]["MillisBehindLatest"] > 0
    assert events[-1]["MillisBehindLatest"] == 0


@pytest.mark.parametrize("fields, text", [
    ({"kind": "AT_SEQUENCE_NUMBER"}, "Request specified AT_SEQUENCE_NUMBER and no Starting"),
    ({"kind": "LATEST", "SequenceNumber": "5"}, "Request specified LATEST and also a Starting"),
    ({"kind": "AT_SEQUENCE_NUMBER", "SequenceNumber": "5"}, "It encodes shardId-000000000005"),
    ({"kind": "AT_SEQUENCE_NUMBER", "SequenceNumber": "0"}, "did not come from this stream"),
    ({"kind": "AT_TIMESTAMP"}, "Must specify timestampInMillis"),
    ({"kind": "AT_TIMESTAMP", "Timestamp": 4e9}, "cannot be greater than the currentTimestamp"),
])
def test_a_start_that_cannot_be_is_refused(server, consumer, fields, text):
    code, message = refused(server, consumer, **fields)
    assert code == "InvalidArgumentException" and text in message


def test_what_is_not_there_is_not_found(server, kinesis, name, consumer):
    code, message = refused(server, consumer, shard="shardId-7")
    assert (code, message) == ("ResourceNotFoundException",
                               f"Shard shardId-000000000007 in stream {name} under account "
                               "000000000000 does not exist")
    assert refused(server, consumer.replace("/app:", "/other:"))[0] == "ResourceNotFoundException"
    key = server.create_key("--allow", "kinesis:Describe*", "--stream", name)
    assert refused(server, consumer, key=key)[0] == "AccessDeniedException"


def test_a_dry_run_tells_and_takes_no_seat(server, kinesis, consumer):
    caller = aws_json.caller_of(server)
    ask = {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}}
    status, _, answer = caller.call("Kinesis_20131202.SubscribeToShard", {**ask, "DryRun": True})
    assert (status, answer["__type"]) == (400, "DryRunOperationException")
    with Subscription(server, consumer) as subscription:
        assert subscription.next()["Records"] == []


# --- one at a time --------------------------------------------------------------------------------
def test_a_newcomer_is_refused_at_first_and_later_takes_over(server, kinesis, name, consumer):
    for _ in range(20):
        began = time.monotonic()
        first = Subscription(server, consumer)
        try:
            Subscription(server, consumer).close()
        except botocore.exceptions.ClientError:
            break
        assert time.monotonic() - began > TAKEOVER_MS / 1000, "it took over at once"
        first.close()  # this machine stood still meanwhile
        wait_free(server)
    assert refused(server, consumer) == (
        "ResourceInUseException", "Another active subscription exists for this consumer: "
        f"000000000000:{name}:{SHARD}:app")
    for _ in range(1 + TAKEOVER_MS // IDLE_MS):
        first.next()
    second = Subscription(server, consumer)
    with pytest.raises(botocore.exceptions.EventStreamError) as raised:
        first.rest()
    assert "ResourceInUseException" in str(raised.value) and name in str(raised.value)
    put(kinesis, name, b"one")
    assert data(second.records(1)[0]) == [b"one"]
    second.close()
    wait_free(server)


def test_a_subscriber_that_leaves_frees_its_place_at_once(server, kinesis, name, consumer):
    for _ in range(3):
        with Subscription(server, consumer) as subscription:
            subscription.next()
        wait_free(server)


def test_consumers_of_one_shard_do_not_disturb_one_another(server, kinesis, name):
    several = [Subscription(server, fan_out.register(kinesis, name, f"app{i}")) for i in range(8)]
    wanted = []
    for turn in range(20):
        texts = [b"%d.%d" % (turn, i) for i in range(turn + 1)]
        kinesis.put_records(StreamName=name, Records=[
            {"Data": text, "PartitionKey": "k"} for text in texts])
        wanted += texts
    for one in several:
        assert data(one.records(len(wanted))[0]) == wanted
        one.close()


# --- how it ends ----------------------------------------------------------------------------------
def test_it_ends_after_its_time_and_goes_on_with_the_next(make_server):
    server = make_server(args=["--subscription-ms-max", 700, "--subscription-idle-ms", 100])
    kinesis = server.client("kinesis")
    name = fan_out.make_stream(kinesis)
    consumer = fan_out.register(kinesis, name)
    began = time.monotonic()
    events = Subscription(server, consumer).rest()
    assert 0.6 < time.monotonic() - began < 60, "its time is five minutes by default"
    assert len(events) >= 2 and all(event["Records"] == [] for event in events)
    wait_free(server)
    put(kinesis, name, b"one")
    events = Subscription(server, consumer, "AFTER_SEQUENCE_NUMBER",
                          SequenceNumber=events[-1]["ContinuationSequenceNumber"]).rest()
    assert data(record for event in events for record in event["Records"]) == [b"one"]


def test_a_shard_that_is_split_ends_with_its_children(server, kinesis, name, consumer):
    subscription = Subscription(server, consumer)
    put(kinesis, name, b"last")
    kinesis.split_shard(StreamName=name, ShardToSplit=SHARD, NewStartingHashKey=str(1 << 127))
    events = subscription.rest()
    assert data(record for event in events for record in event["Records"]) == [b"last"]
    end = events[-1]
    assert "ContinuationSequenceNumber" not in end and end["MillisBehindLatest"] == 0
    assert [(c["ShardId"], c["ParentShards"], c["HashKeyRange"]["StartingHashKey"])
            for c in end["ChildShards"]] == [
                ("shardId-000000000001", [SHARD], "0"),
                ("shardId-000000000002", [SHARD], str(1 << 127))]
    assert all("ChildShards" not in event for event in events[:-1])
    wait_free(server)
    again = Subscription(server, consumer, "TRIM_HORIZON").rest()
    assert again[-1]["ChildShards"] == end["ChildShards"]
    wait_free(server)
    assert "ChildShards" in Subscription(server, consumer).rest()[-1]


def test_shards_that_are_merged_end_with_the_one_child(server, kinesis):
    name = fan_out.make_stream(kinesis, shards=2)
    consumer = fan_out.register(kinesis, name)
    both = [Subscription(server, consumer, shard=f"shardId-{i}") for i in range(2)]
    kinesis.merge_shards(StreamName=name, ShardToMerge="shardId-0", AdjacentShardToMerge="shardId-1")
    for one in both:
        end = one.rest()[-1]
        assert [(c["ShardId"], c["ParentShards"]) for c in end["ChildShards"]] == [
            ("shardId-000000000002", [SHARD, "shardId-000000000001"])]


def test_what_is_deregistered_or_deleted_ends_its_subscriptions(server, kinesis, name, consumer):
    subscription = Subscription(server, consumer)
    subscription.next()
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    with pytest.raises(botocore.exceptions.EventStreamError, match="ResourceNotFoundException"):
        subscription.rest()
    subscription = Subscription(server, fan_out.register(kinesis, name, "b"))
    subscription.next()
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
    with pytest.raises(botocore.exceptions.EventStreamError, match="ResourceNotFoundException"):
        subscription.rest()
    wait_free(server)


def test_a_server_that_stops_ends_subscriptions_in_order(make_server):
    server = make_server(args=["--subscription-idle-ms", IDLE_MS])
    kinesis = server.client("kinesis")
    name = fan_out.make_stream(kinesis)
    consumer = fan_out.register(kinesis, name)
    subscription = Subscription(server, consumer)
    put(kinesis, name, b"one")
    records, event = subscription.records(1)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 60, "it waited for a subscription's five minutes"
    server.start()
    assert subscription.rest() == []  # an end, not a broken connection
    put(kinesis, name, b"two")
    with Subscription(server, consumer, "AFTER_SEQUENCE_NUMBER",
                      SequenceNumber=event["ContinuationSequenceNumber"]) as subscription:
        assert data(subscription.records(1)[0]) == [b"two"] and data(records) == [b"one"]


# --- amounts --------------------------------------------------------------------------------------
def test_the_largest_record_is_an_event_of_its_own(server, kinesis):
    name = fan_out.make_stream(kinesis)
    aws_json.caller_of(server).call("Kinesis_20131202.UpdateMaxRecordSize", {
        "StreamARN": fan_out.arn_of(kinesis, name), "MaxRecordSizeInKiB": 10240})
    large = bytes(range(256)) * ((10 << 20) // 256 - 1)
    put(kinesis, name, b"small", large, b"small")
    with Subscription(server, fan_out.register(kinesis, name), "TRIM_HORIZON") as subscription:
        assert data(subscription.records(3)[0]) == [b"small", large, b"small"]


def test_a_subscription_has_a_rate_of_its_own_if_that_is_set(make_server):
    server = make_server(args=["--subscription-bytes-per-s", 1 << 20,
                               "--subscription-idle-ms", IDLE_MS])
    kinesis = server.client("kinesis")
    name = fan_out.make_stream(kinesis)
    for _ in range(3):
        put(kinesis, name, bytes(1 << 20 >> 1), bytes(1 << 20 >> 1))
    began = time.monotonic()
    with Subscription(server, fan_out.register(kinesis, name), "TRIM_HORIZON") as subscription:
        subscription.records(6)
    assert time.monotonic() - began > 1.0  # three seconds' worth, of which one in advance


def test_what_is_sent_is_counted(server, kinesis, name, consumer):
    wait_free(server)
    before = {m: fan_out.metric(server, f"kinema_subscription_{m}_total")
              for m in ("events", "records", "sent_bytes")}
    with Subscription(server, consumer) as subscription:
        subscription.next()
        assert fan_out.metric(server, "kinema_subscriptions") == 1
        put(kinesis, name, b"one", b"two")
        subscription.records(2)
    wait_free(server)
    after = {m: fan_out.metric(server, f"kinema_subscription_{m}_total") for m in before}
    assert after["records"] - before["records"] == 2
    assert after["events"] - before["events"] >= 2
    assert after["sent_bytes"] - before["sent_bytes"] > 400
