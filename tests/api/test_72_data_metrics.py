# SPDX-License-Identifier: Apache-2.0
"""Metrics of data streams: what was put, read and refused is what /metrics and the JSON say."""

import re
import time
import urllib.request

import pytest

import kinema
from console import Browser
from fan_out import Subscription, register
from test_65_data_settings import caller_of

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
TRIES = 300


@pytest.fixture(scope="module")
def limited():
    with kinema.Server(args=("--limits", "aws")) as server:
        yield server


@pytest.fixture
def kinesis(limited):
    return limited.client("kinesis", retries={"total_max_attempts": 8, "mode": "standard"})


@pytest.fixture
def name(kinesis):
    one = kinema.new_name("metrics")
    kinesis.create_stream(StreamName=one, ShardCount=2)
    yield one
    kinesis.delete_stream(StreamName=one, EnforceConsumerDeletion=True)


class Metrics:
    def __init__(self, server, stream):
        self.browser, self.stream, self.server = Browser(server), stream, server
        assert self.browser.login(server.key)[0] == 200

    def ask(self, MetricName, **query):
        query = "&".join(f"{k}={v}" for k, v in {"MetricName": MetricName, **query}.items())
        return self.browser.get(f"/kinema/v1/data-streams/{self.stream}/metrics?{query}")

    def points(self, metric, **query):
        status, answer = self.ask(metric, **query)
        assert status == 200 and answer["Label"] == metric, answer
        return answer["Datapoints"]

    def __call__(self, metric, statistic="Sum", **query):
        """Over all there is, which may lie in two minutes; None: no sample."""
        points = self.points(metric, **query)
        fold = {"Sum": sum, "SampleCount": sum, "Maximum": max, "Minimum": min}[statistic]
        return fold(p[statistic] for p in points) if points else None

    def scraped(self, series, **labels):
        """One line of /metrics; None: it is not there."""
        labels = ",".join(f'{k}="{v}"' for k, v in {"stream": self.stream, **labels}.items())
        with urllib.request.urlopen(self.server.console + "/metrics", timeout=30) as answer:
            found = re.search(rf"^{series}\{{{re.escape(labels)}\}} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found.group(1)) if found else None


@pytest.fixture
def of(limited, name):
    return Metrics(limited, name)


def put(kinesis, name, data, shard=0, key="key"):
    return kinesis.put_record(StreamName=name, Data=data, PartitionKey=key, ExplicitHashKey=str(shard << 127))


def iterator(kinesis, name, shard=FIRST, kind="TRIM_HORIZON"):
    return kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind)["ShardIterator"]


def test_what_was_put_is_what_is_told(kinesis, name, of):
    put(kinesis, name, b"x" * 7)  # and 3 of the key
    put(kinesis, name, b"x" * 17, shard=1)
    kinesis.put_records(StreamName=name, Records=[{"Data": b"y" * 9, "PartitionKey": "k"}] * 5)

    assert (of("IncomingRecords"), of("IncomingBytes")) == (7, 80)
    assert (of("PutRecord.Success"), of("PutRecord.Bytes"), of("PutRecord.Bytes", "Maximum")) == (2, 30, 20)
    assert (of("PutRecords.Success"), of("PutRecords.Bytes"), of("PutRecords.TotalRecords")) == (1, 50, 5)
    assert (of("PutRecords.SuccessfulRecords"), of("PutRecords.FailedRecords")) == (5, 0)
    assert (of("PutRecords.ThrottledRecords"), of("WriteProvisionedThroughputExceeded")) == (0, 0)
    assert of("PutRecord.Latency", "SampleCount") == 2 and 0 < of("PutRecord.Latency", "Maximum") < 60000
    assert of.scraped("kinema_data_stream_incoming_records_total") == 7
    assert of.scraped("kinema_data_stream_incoming_bytes_total") == 80
    assert of.scraped("kinema_data_stream_put_record_seconds_count") == 2


def test_a_clients_mistake_is_no_sample(limited, kinesis, name, of):
    call = caller_of(limited)
    assert call("PutRecord", StreamName=name, Data="eA==", PartitionKey="k",
                ExplicitHashKey="9" * 39)[0] == "InvalidArgumentException"
    assert of.points("PutRecord.Success") == [] and of.points("IncomingRecords") == []


def test_what_was_read_and_how_old_it_was(kinesis, name, of):
    for i in range(3):
        put(kinesis, name, b"%d" % i)
    at = iterator(kinesis, name)
    assert len(kinesis.get_records(ShardIterator=at, Limit=1)["Records"]) == 1
    behind = of("GetRecords.IteratorAgeMilliseconds", "Maximum")
    assert len(kinesis.get_records(ShardIterator=at)["Records"]) == 3

    assert (of("GetRecords.Records"), of("GetRecords.Bytes"), of("GetRecords.Success")) == (4, 16, 2)
    assert behind >= 0 and of("GetRecords.IteratorAgeMilliseconds", "Minimum") == 0
    assert of("GetRecords.Latency", "SampleCount") == 2
    assert of.scraped("kinema_data_stream_get_records_records_total") == 4
    assert of.scraped("kinema_data_stream_iterator_age_seconds") * 1000 >= behind


def test_what_came_too_fast_is_told_record_by_record(limited, kinesis, name, of):
    records = [{"Data": b"d", "PartitionKey": "k", "ExplicitHashKey": "0"}] * 500
    failed = calls = 0
    while not failed and calls < TRIES:
        calls += 1
        failed = kinesis.put_records(StreamName=name, Records=records)["FailedRecordCount"]
    assert failed > 0
    assert (of("PutRecords.ThrottledRecords"), of("WriteProvisionedThroughputExceeded")) == (failed, failed)
    assert (of("PutRecords.SuccessfulRecords"), of("IncomingRecords")) == (calls * 500 - failed,) * 2
    assert of("PutRecords.FailedRecords") == 0
    assert of.scraped("kinema_data_stream_write_exceeded_total") == failed

    call, at, calls = caller_of(limited), iterator(kinesis, name, SECOND), 1
    while not isinstance(call("GetRecords", ShardIterator=at), tuple) and calls < TRIES:
        calls += 1
    assert of("ReadProvisionedThroughputExceeded") == 1 and of("GetRecords.Success") == calls - 1
    assert of("GetRecords.Success", "SampleCount") == calls


def test_shards_are_told_apart_while_enhanced_monitoring_is_on(kinesis, name, of):
    put(kinesis, name, b"before")
    assert of.points("IncomingRecords", ShardId=FIRST) == []
    assert of.scraped("kinema_data_shard_incoming_records_total", shard=FIRST) is None

    kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["ALL"])
    put(kinesis, name, b"x" * 7)
    kinesis.put_records(StreamName=name, Records=[
        {"Data": b"z" * 4, "PartitionKey": "k", "ExplicitHashKey": str(1 << 127)}] * 3)
    kinesis.get_records(ShardIterator=iterator(kinesis, name, SECOND))
    assert (of("IncomingRecords", ShardId=FIRST), of("IncomingBytes", ShardId=FIRST)) == (1, 10)
    assert (of("IncomingRecords", ShardId=SECOND), of("OutgoingRecords", ShardId=SECOND)) == (3, 3)
    assert (of("OutgoingBytes", ShardId=SECOND), of("IteratorAgeMilliseconds", ShardId=SECOND)) == (15, 0)
    assert of("WriteProvisionedThroughputExceeded", ShardId=FIRST) == 0
    assert of("ReadProvisionedThroughputExceeded", ShardId=SECOND) == 0
    assert of.scraped("kinema_data_shard_incoming_records_total", shard=SECOND) == 3

    kinesis.disable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["IncomingRecords"])
    assert of.points("IncomingRecords", ShardId=FIRST) == []
    assert of.scraped("kinema_data_shard_incoming_records_total", shard=SECOND) is None
    assert of("IncomingBytes", ShardId=FIRST) == 10 and of("IncomingRecords") == 5


def test_subscriptions_are_told_by_consumer(limited, kinesis, name, of):
    consumer = register(kinesis, name, "app")
    with Subscription(limited, consumer, "TRIM_HORIZON") as one:
        put(kinesis, name, b"x" * 7)
        one.records(1)
        kinema.wait_for(lambda: of("SubscribeToShard.Success", ConsumerName="app") == 1)
        kinema.wait_for(lambda: (of("SubscribeToShardEvent.Records"), of("SubscribeToShardEvent.Bytes")) == (1, 10))
        assert of("SubscribeToShardEvent.MillisBehindLatest", "Minimum", ConsumerName="app") == 0
        with pytest.raises(kinesis.exceptions.ResourceInUseException):
            kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=FIRST, StartingPosition={"Type": "LATEST"})
        assert (of("SubscribeToShard.RateExceeded"), of("SubscribeToShard.Success", "SampleCount")) == (1, 2)
        assert of.scraped("kinema_data_consumer_event_records_total", consumer="app") == 1
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    assert of.scraped("kinema_data_consumer_event_records_total", consumer="app") is None
    assert of.ask("SubscribeToShardEvent.Records", ConsumerName="app")[0] == 404


def test_datapoints_have_what_was_asked_for(kinesis, name, of):
    put(kinesis, name, b"x" * 7)
    put(kinesis, name, b"x" * 9)
    now = int(time.time() * 1000)
    hour = [p for p in of.points("IncomingBytes", Period=3600, Statistics="Sum,Average")]
    assert all(set(p) == {"Timestamp", "Sum", "Average", "Unit"} and p["Unit"] == "Bytes" for p in hour)
    assert all(p["Timestamp"] % 3600000 == 0 for p in hour) and sum(p["Sum"] for p in hour) == 22
    assert set(of.points("IncomingBytes")[0]) == {"Timestamp", "Unit", "SampleCount", "Average", "Sum", "Minimum",
                                                  "Maximum"}
    assert of("IncomingBytes", StartTime=now - 120000, EndTime=now + 60000) == 22
    assert of.points("IncomingBytes", StartTime=now - 7200000, EndTime=now - 3600000) == []
    assert of.points("IncomingBytes", StartTime=0, EndTime=1) == []
    assert of.points("IncomingBytes", EndTime=1) == of.points("IncomingBytes", StartTime=2 ** 63 - 2, EndTime=2 ** 63 - 1) == []
    assert of("IncomingBytes", StartTime=0, EndTime=2 ** 63 - 1, Period=10800) == 22


@pytest.mark.parametrize("query, says", [
    ({"MetricName": "IncomingBits"}, "MetricName"), ({"MetricName": "OutgoingBytes"}, "MetricName"),
    ({"MetricName": "PutRecord.Bytes", "ShardId": FIRST}, "MetricName"), ({"Period": "90"}, "Period"),
    ({"Period": "0"}, "Period"), ({"Period": "14400"}, "Period"), ({"Statistics": "Median"}, "Statistics"),
    ({"Statistics": ""}, "Statistics"), ({"StartTime": "10", "EndTime": "10"}, "StartTime"),
    ({"StartTime": "yesterday"}, "StartTime"), ({"EndTime": "now"}, "EndTime"), ({"EndTime": "-9223372036854775808"}, "EndTime"), ({"StartTime": "-1"}, "StartTime"),
    ({"ConsumerName": "app"}, "ConsumerName"), ({"ConsumerName": "app", "ShardId": FIRST}, "ShardId")])
def test_an_error_names_its_parameter(limited, query, says):
    status, answer = Metrics(limited, "any").ask(**{"MetricName": "IncomingBytes", **query})
    assert status == 400 and answer["error"] == "bad_request" and answer["message"].startswith(says), answer


def test_only_who_may_describe_the_stream_is_told(limited, kinesis, name, of):
    assert Browser(limited).get(f"/kinema/v1/data-streams/{name}/metrics?MetricName=IncomingBytes")[0] == 401
    assert Metrics(limited, "no-such-stream").ask("IncomingBytes")[0] == 404
    assert of.ask("IncomingBytes", ShardId="shardId-000000000077")[0] == 404
    assert of.ask("IncomingBytes", ShardId="nonsense")[0] == 404


def test_figures_go_with_their_stream(limited, kinesis):
    one = kinema.new_name("gone")
    kinesis.create_stream(StreamName=one, ShardCount=1)
    put(kinesis, one, b"1")
    told = Metrics(limited, one)
    assert told.scraped("kinema_data_stream_incoming_records_total") == 1
    kinesis.delete_stream(StreamName=one)
    assert told.scraped("kinema_data_stream_incoming_records_total") is None
    assert told.ask("IncomingBytes")[0] == 404
    kinesis.create_stream(StreamName=one, ShardCount=1)
    assert told.points("IncomingRecords") == []
    kinesis.delete_stream(StreamName=one)
