# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to shards for the tests: boto3's event stream on a thread of its own."""

import queue
import re
import threading
import urllib.request

import kinema

TIMEOUT_S = 60
SHARD = "shardId-000000000000"


def make_stream(kinesis, shards=1, **fields):
    name = kinema.new_name("fan")
    kinesis.create_stream(StreamName=name, ShardCount=shards, **fields)
    return name


def arn_of(kinesis, name):
    found = kinesis.describe_stream_summary(StreamName=name)
    return found["StreamDescriptionSummary"]["StreamARN"]


def register(kinesis, name, consumer="app"):
    return kinesis.register_stream_consumer(
        StreamARN=arn_of(kinesis, name), ConsumerName=consumer)["Consumer"]["ConsumerARN"]


def metric(server, name):
    with urllib.request.urlopen(server.console + "/metrics", timeout=30) as answer:
        found = re.search(rf"^{name}{{}} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found.group(1)) if found else 0


_clients = {}  # making one takes longer than most tests


def client_of(server, key=None):
    name = (server.api, key and key.id)
    if name not in _clients:
        _clients[name] = server.client("kinesis", key=key, max_pool_connections=100)
    return _clients[name]


class Subscription:
    """One SubscribeToShard answer; events are queued as they come."""

    def __init__(self, server, consumer, kind="LATEST", shard=SHARD, key=None, **position):
        answer = client_of(server, key).subscribe_to_shard(
            ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": kind, **position})
        self.stream, self.events = answer["EventStream"], queue.Queue()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for event in self.stream:
                self.events.put(event["SubscribeToShardEvent"])
            self.events.put(None)
        except Exception as error:  # pylint: disable=broad-except
            self.events.put(error)

    def next(self):
        """The next event; None at the end of the stream; raises what the stream raised."""
        event = self.events.get(timeout=TIMEOUT_S)
        if isinstance(event, Exception):
            raise event
        return event

    def records(self, count):
        """The next so many records, and the last event that had some."""
        found, event = [], None
        while len(found) < count:
            event = self.next()
            assert event is not None, f"ended after {len(found)} of {count} records"
            found += event["Records"]
        assert len(found) == count
        return found, event

    def rest(self):
        """All events to the end."""
        found = []
        while (event := self.next()) is not None:
            found.append(event)
        return found

    def close(self):
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def data(records):
    return [record["Data"] for record in records]
