# SPDX-License-Identifier: Apache-2.0
"""A consumer that lives by its continuation numbers, as KCL does: short subscriptions, a server that is
killed, a shard that is split. What was acknowledged comes once, in the order of its shard."""

import threading
import time

import botocore.exceptions

import fan_out
import kinema

LIFE_MS = 300
KILLS = 3
GONE = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError)


class Producer(threading.Thread):
    """Puts one record after the other; acked: number of the record → its shard."""

    def __init__(self, server, name):
        super().__init__(daemon=True)
        self.kinesis, self.name, self.stop = server.client("kinesis"), name, threading.Event()
        self.acked, self.count = {}, 0

    def run(self):
        while not self.stop.is_set():
            self.count += 1
            try:
                answer = self.kinesis.put_record(StreamName=self.name, Data=b"%d" % self.count,
                                                 PartitionKey=str(self.count))
                self.acked[self.count] = answer["ShardId"]
            except GONE:
                time.sleep(0.01)  # it may or may not be there: not asked for again


class Follower(threading.Thread):
    """Follows a shard to its end by subscriptions, each from where the last one was."""

    def __init__(self, server, consumer, shard, followers):
        super().__init__(daemon=True)
        self.kinesis, self.consumer, self.shard = server.client("kinesis"), consumer, shard
        self.followers, self.server = followers, server
        self.found, self.sequences, self.ended, self.stop = [], [], False, threading.Event()
        followers[shard] = self

    def take(self, event):
        for record in event["Records"]:
            self.found.append(int(record["Data"]))
            self.sequences.append(int(record["SequenceNumber"]))
        for child in event.get("ChildShards", []):
            if child["ShardId"] not in self.followers:
                Follower(self.server, self.consumer, child["ShardId"], self.followers).start()
        self.ended = "ContinuationSequenceNumber" not in event

    def run(self):
        position = {"Type": "TRIM_HORIZON"}
        while not self.ended and not self.stop.is_set():
            try:
                answer = self.kinesis.subscribe_to_shard(
                    ConsumerARN=self.consumer, ShardId=self.shard, StartingPosition=position)
                for event in answer["EventStream"]:
                    event = event["SubscribeToShardEvent"]
                    self.take(event)
                    if not self.ended:
                        position = {"Type": "AFTER_SEQUENCE_NUMBER",
                                    "SequenceNumber": event["ContinuationSequenceNumber"]}
            except Exception:  # pylint: disable=broad-except
                time.sleep(0.01)  # the server is away, or the last subscription is not gone yet


def wait_until(what, condition):
    deadline = time.monotonic() + fan_out.TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_what_was_acknowledged_comes_once_whatever_happens_to_the_server(make_server):
    server = make_server(args=["--subscription-ms-max", LIFE_MS, "--subscription-idle-ms", 100])
    kinesis, followers = server.client("kinesis"), {}
    name = fan_out.make_stream(kinesis)
    producer = Producer(server, name)
    producer.start()
    Follower(server, fan_out.register(kinesis, name), fan_out.SHARD, followers).start()
    for kill in range(KILLS):
        enough = len(producer.acked) + 100
        wait_until("records are put", lambda: len(producer.acked) > enough)
        server.restart(hard=True)
        if kill == 1:
            kinesis.split_shard(StreamName=name, ShardToSplit=fan_out.SHARD,
                                NewStartingHashKey=str(1 << 127))
    enough = len(producer.acked) + 100
    wait_until("records are put", lambda: len(producer.acked) > enough)
    producer.stop.set()
    producer.join()

    found = lambda: [one for follower in list(followers.values()) for one in follower.found]  # noqa: E731
    wait_until("all that was acknowledged has come", lambda: set(producer.acked) <= set(found()))
    for follower in followers.values():
        follower.stop.set()
        follower.join()
    assert len(followers) == 3 and followers[fan_out.SHARD].ended
    assert len(found()) == len(set(found())) and max(found()) <= producer.count
    for shard, follower in followers.items():
        assert follower.sequences == sorted(set(follower.sequences))
        assert follower.found == sorted(follower.found)  # one producer, one after the other
        assert {n for n, of in producer.acked.items() if of == shard} <= set(follower.found)
