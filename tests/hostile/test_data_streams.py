# SPDX-License-Identifier: Apache-2.0
"""Hostile peers beside an honest writer and an honest reader of a data stream: both get on, what was
acknowledged is read, and memory stays below bounds that follow from the settings."""

import json
import os
import random
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

import aws_json
import kinema
from conftest import MIB, SEED, Honest, Site, port_of, start_site

SLACK = 24 * MIB
HELD = 32 * MIB  # http_held_bytes_max of these servers
UNSENT = 64 * MIB  # http_unsent_bytes_max
PAGE = 10 * MIB  # of GetRecords
ANSWER = PAGE * 4 // 3
# What http_workers are at: a page, what it is read by, and its JSON; and one answer a loop that is copied.
MAKING = 4 * (2 * PAGE + ANSWER) + os.cpu_count() * ANSWER
RECORD = 512 * 1024


class DataSite(Site):
    """A writer that puts one record after the other, and a reader that follows the shard."""

    def __init__(self, server):
        self.server, self.put = server, None
        # A connection that was idle for long is closed here, perhaps while the next request leaves.
        self.kinesis = server.client("kinesis", retries={"total_max_attempts": 4})
        self.kinesis.create_stream(StreamName="honest", ShardCount=1)
        self.kinesis.create_stream(StreamName="big", ShardCount=1)
        self.acked, self.read, self.at = [], [], self.start_of("honest")
        self.peers = [Honest(self.put_one), Honest(self.follow)]
        self.wait_progress()

    def start_of(self, stream):
        return self.kinesis.get_shard_iterator(StreamName=stream, ShardId="shardId-0",
                                               ShardIteratorType="TRIM_HORIZON")["ShardIterator"]

    def put_one(self, peer):
        data = b"%d" % len(self.acked)
        answer = self.kinesis.put_record(StreamName="honest", PartitionKey="k", Data=data)
        self.acked.append((answer["SequenceNumber"], data))
        peer.stopped.wait(0.01)

    def follow(self, peer):
        page = self.kinesis.get_records(ShardIterator=self.at)
        self.read += [(r["SequenceNumber"], r["Data"]) for r in page["Records"]]
        self.at = page["NextShardIterator"]
        peer.stopped.wait(0.01)

    def close(self):
        for peer in self.peers:
            peer.stop()
        while self.read[-1] != self.acked[-1]:
            before = len(self.read)
            self.follow(self.peers[1])
            assert len(self.read) > before, "an acknowledged record is lost"
        known = set(self.acked)  # what a retry sent again is there twice
        assert [one for one in self.read if one in known] == self.acked

    def fill(self, records):
        """Big records of chance, so that a page is as large as pages get."""
        chance = random.Random(SEED)
        for i in range(records):
            self.kinesis.put_record(StreamName="big", PartitionKey="k", Data=chance.randbytes(RECORD))


@pytest.fixture
def site():
    with start_site() as server:
        one = DataSite(server)
        yield one
        one.close()


def request(server, operation, fields):
    """The bytes of a signed call."""
    body = json.dumps(fields)
    signed = botocore.awsrequest.AWSRequest("POST", server.api + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Kinesis_20131202.{operation}",
        "Host": server.api.split("//")[1]})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(server.key.id, server.key.secret), "kinesis",
                            kinema.REGION).add_auth(signed)
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())
    return f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"


class BigReader:
    """Reads pages as large as pages get, and asks again when it is told to."""

    def __init__(self, site):
        self.site, self.refused = site, 0
        self.kinesis = site.server.client("kinesis", retries={"total_max_attempts": 1})

    def __call__(self, peer):
        try:
            page = self.kinesis.get_records(ShardIterator=self.site.start_of("big"))
            assert sum(len(record["Data"]) for record in page["Records"]) > PAGE - 2 * RECORD
        except self.kinesis.exceptions.ProvisionedThroughputExceededException:
            self.refused += 1
            peer.stopped.wait(0.1)
            self(peer)


def unsent_stays_bounded(site, until):
    """Looks at the metric all the while, until what it waits for has come."""
    deadline = time.monotonic() + 180
    while not until():
        assert site.metric("kinema_http_unsent_bytes") <= UNSENT
        assert time.monotonic() < deadline, "memory is not made free"


def test_readers_of_pages_that_read_nothing(site, attack):
    """30 ask for pages of 10 MiB, again when they are refused, and take no byte of them. What waits for
    them stays within the setting, the stillest are closed, and an honest reader of such pages gets on."""
    site.fill(24)
    reader = BigReader(site)
    site.peers.append(Honest(reader))
    site.wait_progress(timeout=120)
    page = request(site.server, "GetRecords", {"ShardIterator": site.start_of("big")})
    with site.watched(UNSENT + MAKING + 2 * SLACK):
        with attack("slow_reader", port_of(site.server.api), 30, size=1,
                    env={"ATTACK_REQUEST": page}):
            unsent_stays_bounded(site, lambda: site.metric("kinema_http_unsent_closed_total") >= 3)
            site.wait_progress(5, timeout=120)
    assert site.metric("kinema_http_unsent_refused_total") >= 10
    print(f"the honest reader was told {reader.refused} times to ask again")


def test_subscribers_that_read_nothing(site, attack):
    """20 to events of 8 MiB, each a different one."""
    kinesis, name = site.kinesis, "events"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    stream = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    caller = aws_json.caller_of(site.server)
    assert caller.call("Kinesis_20131202.UpdateMaxRecordSize",
                       {"StreamARN": stream, "MaxRecordSizeInKiB": 10240})[0] == 200
    chance = random.Random(SEED)
    asked = []
    for i in range(20):
        number = kinesis.put_record(StreamName=name, PartitionKey="k", Data=chance.randbytes(8 * MIB))
        consumer = kinesis.register_stream_consumer(StreamARN=stream, ConsumerName=f"silent-{i}")
        asked.append(request(site.server, "SubscribeToShard", {
            "ConsumerARN": consumer["Consumer"]["ConsumerARN"], "ShardId": "shardId-000000000000",
            "StartingPosition": {"Type": "AT_SEQUENCE_NUMBER",
                                 "SequenceNumber": number["SequenceNumber"]}}))
    with site.watched(UNSENT + MAKING + 2 * SLACK):
        with attack("slow_reader", port_of(site.server.api), 20, env={"ATTACK_REQUEST": "\x1e".join(asked)}):
            unsent_stays_bounded(site, lambda: site.metric("kinema_http_unsent_closed_total") >= 3)
            site.wait_progress(20)


def test_slow_bodies_of_puts(site, attack):
    """600 bodies of PutRecords that come a byte at a time; unsigned, since nobody looks before the end."""
    with site.watched(HELD + 600 * 18 * 1024 + SLACK):
        with attack("slow_body", port_of(site.server.api), 600, 900000):
            site.wait_progress(10)
