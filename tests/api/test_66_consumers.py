# SPDX-License-Identifier: Apache-2.0
"""Consumers of enhanced fan-out by boto3: registered, described, listed, deregistered."""

import re
import time

import botocore.exceptions
import pytest

import aws_json
import kinema
from data_fixtures import kinesis, server  # noqa: F401

NAMES = [f"app.{i:02}-x_y" for i in range(20)]  # as many as a stream can have


def make_stream(kinesis, name=None):
    name = name or kinema.new_name("fan")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]


@pytest.fixture
def arn(kinesis):
    return make_stream(kinesis)


def name_of(arn):
    return arn.rsplit("/", 1)[1]


def fault(call, **fields):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(**fields)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def summary(kinesis, arn):
    found = kinesis.describe_stream_summary(StreamName=name_of(arn))
    return found["StreamDescriptionSummary"]


def pages(kinesis, arn, size):
    found, more = [], {}
    while True:
        page = kinesis.list_stream_consumers(StreamARN=arn, MaxResults=size, **more)
        found.append([one["ConsumerName"] for one in page["Consumers"]])
        if "NextToken" not in page:
            return found
        more = {"NextToken": page["NextToken"]}


def test_a_consumer_is_active_at_once_and_outlives_a_kill(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    arn = make_stream(kinesis, "orders")
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="app")["Consumer"]
    assert made["ConsumerStatus"] == "ACTIVE"
    match = re.fullmatch(re.escape(arn) + r"/consumer/app:(\d+)", made["ConsumerARN"])
    assert match and int(match[1]) == made["ConsumerCreationTimestamp"].timestamp()
    assert abs(int(match[1]) - time.time()) < 60
    server.restart(hard=True)
    assert kinesis.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])[
        "ConsumerDescription"] == {**made, "StreamARN": arn}
    assert summary(kinesis, arn)["ConsumerCount"] == 1
    kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="app")
    server.restart(hard=True)
    assert kinesis.list_stream_consumers(StreamARN=arn)["Consumers"] == []
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="app")


def test_a_consumer_is_found_by_its_arn_or_by_stream_and_name(kinesis, arn):
    one = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="one")["Consumer"]["ConsumerARN"]
    two = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="two")["Consumer"]["ConsumerARN"]
    for fields in ({"ConsumerARN": one}, {"StreamARN": arn, "ConsumerName": "one"},
                   {"StreamARN": arn, "ConsumerName": "one", "ConsumerARN": one}):
        found = kinesis.describe_stream_consumer(**fields)["ConsumerDescription"]
        assert (found["ConsumerARN"], found["StreamARN"]) == (one, arn)
    other = make_stream(kinesis)
    for fields in ({}, {"StreamARN": arn}, {"ConsumerName": "one"},
                   {"ConsumerName": "one", "ConsumerARN": two}, {"StreamARN": other, "ConsumerARN": one}):
        assert fault(kinesis.describe_stream_consumer, **fields)[0] == "InvalidArgumentException"
        assert fault(kinesis.deregister_stream_consumer, **fields)[0] == "InvalidArgumentException"
    earlier = re.sub(r":(\d+)$", lambda m: f":{int(m[1]) - 1}", one)
    for fields in ({"ConsumerARN": earlier}, {"StreamARN": arn, "ConsumerName": "three"},
                   {"ConsumerARN": one.replace("/one:", "/three:")},
                   {"StreamARN": other, "ConsumerName": "one"}):
        code, message = fault(kinesis.describe_stream_consumer, **fields)
        assert code == "ResourceNotFoundException" and message.endswith("not found.")
    code, message = fault(kinesis.describe_stream_consumer,
                          ConsumerARN=one.replace(":000000000000:", ":111111111111:"))
    assert code == "ResourceNotFoundException"
    assert message.endswith("under account 111111111111 not found. The ARN is of region us-east-1 and account "
                            "111111111111; this server's are us-east-1 and 000000000000.")
    kinesis.deregister_stream_consumer(ConsumerARN=one)
    assert fault(kinesis.deregister_stream_consumer, ConsumerARN=one)[0] == "ResourceNotFoundException"
    assert pages(kinesis, arn, 5) == [["two"]]


def test_a_stream_has_at_most_twenty_consumers_each_name_once(kinesis, arn):
    for name in reversed(NAMES):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)
    code, message = fault(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName=NAMES[3])
    assert code == "ResourceInUseException" and message == (
        f"Consumer {NAMES[3]} under stream {name_of(arn)} and account 000000000000 already exists.")
    assert fault(kinesis.register_stream_consumer, StreamARN=arn,
                 ConsumerName="more")[0] == "LimitExceededException"
    assert pages(kinesis, arn, 7) == [NAMES[:7], NAMES[7:14], NAMES[14:]]
    assert pages(kinesis, arn, 20) == pages(kinesis, arn, 10000) == [NAMES]
    assert summary(kinesis, arn)["ConsumerCount"] == 20
    other = make_stream(kinesis)
    assert pages(kinesis, other, 7) == [[]]


def test_more_consumers_when_the_owner_says_so(make_server):
    server = make_server(args=["--consumers-max", 21])
    kinesis = server.client("kinesis")
    arn = make_stream(kinesis, "orders")
    for i in range(21):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"app{i:02}")
    assert fault(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="more") == (
        "LimitExceededException", "Stream orders under account 000000000000 has 21 registered "
        "consumers, the most it can have.")
    assert [len(page) for page in pages(kinesis, arn, 10)] == [10, 10, 1]
    kinesis.delete_stream(StreamName="orders", EnforceConsumerDeletion=True)
    make_stream(kinesis, "orders")
    assert summary(kinesis, arn)["ConsumerCount"] == 0


def test_a_next_token_is_of_one_list_of_one_stream(server, kinesis, arn):
    for name in ("one", "two"):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)
    token = kinesis.list_stream_consumers(StreamARN=arn, MaxResults=1)["NextToken"]
    edited = token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]
    other = make_stream(kinesis)
    created = summary(kinesis, arn)["StreamCreationTimestamp"]
    for fields in ({"StreamARN": arn, "NextToken": edited}, {"StreamARN": arn, "NextToken": "one"},
                   {"StreamARN": other, "NextToken": token},
                   {"StreamARN": arn, "NextToken": token, "StreamCreationTimestamp": created}):
        assert fault(kinesis.list_stream_consumers, **fields)[0] == "InvalidArgumentException"
    assert len(kinesis.list_stream_consumers(StreamARN=arn, StreamCreationTimestamp=created)[
        "Consumers"]) == 2
    key = server.create_key("--allow", "kinesis:*", "--stream", name_of(other))
    limited = server.client("kinesis", key=key)
    for fields in ({"StreamARN": arn, "NextToken": token}, {"StreamARN": arn}):
        assert fault(limited.list_stream_consumers, **fields)[0] == "AccessDeniedException"


def test_a_stream_goes_with_its_consumers_only_when_that_is_asked_for(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    arn = make_stream(kinesis, "orders")
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="app")["Consumer"]
    code, message = fault(kinesis.delete_stream, StreamName="orders")
    assert code == "ResourceInUseException" and "1 registered consumers" in message
    kinesis.delete_stream(StreamName="orders", EnforceConsumerDeletion=True)
    make_stream(kinesis, "orders")
    for _ in range(2):
        assert summary(kinesis, arn)["ConsumerCount"] == 0
        assert fault(kinesis.describe_stream_consumer,
                     ConsumerARN=made["ConsumerARN"])[0] == "ResourceNotFoundException"
        server.restart(hard=True)


def test_who_describes_and_deregisters_may_do_so_with_that_stream(server, kinesis, arn):
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="app")["Consumer"]
    key = server.create_key("--allow", "kinesis:Describe*", "--stream", name_of(arn))
    limited = server.client("kinesis", key=key)
    assert limited.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])
    other = make_stream(kinesis)
    foreign = kinesis.register_stream_consumer(StreamARN=other, ConsumerName="app")["Consumer"]
    for call, fields in ((limited.describe_stream_consumer, {"ConsumerARN": foreign["ConsumerARN"]}),
                         (limited.deregister_stream_consumer, {"ConsumerARN": made["ConsumerARN"]}),
                         (limited.register_stream_consumer, {"StreamARN": arn, "ConsumerName": "b"})):
        assert fault(call, **fields)[0] == "AccessDeniedException"


def test_consumers_are_made_with_tags_in_cbor_too(server, kinesis, arn):
    caller = aws_json.caller_of(server)
    status, _, answer = caller.call("Kinesis_20131202.RegisterStreamConsumer",
                                    {"StreamARN": arn, "ConsumerName": "c", "Tags": {"team": "shop"}},
                                    aws_json.CBOR)
    assert status == 200 and answer["Consumer"]["ConsumerName"] == "c"
    assert isinstance(answer["Consumer"]["ConsumerCreationTimestamp"], aws_json.Time)
    status, _, answer = caller.call("Kinesis_20131202.RegisterStreamConsumer", {
        "StreamARN": arn, "ConsumerName": "d", "Tags": {f"k{i}": "" for i in range(51)}})
    assert (status, answer["__type"]) == (400, "InvalidArgumentException")
