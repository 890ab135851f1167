# SPDX-License-Identifier: Apache-2.0
"""SubscribeToShard on the wire: HTTP/2 frames, requests in CBOR, readers that stop reading; and the AWS
SDK for JavaScript, which uses HTTP/2 with prior knowledge."""

import base64
import json
import os
import socket
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.eventstream
import h2.events
import pytest

import aws_json
import fan_out
import js
import kinema
import wire
from fan_fixtures import consumer, kinesis, name  # noqa: F401
from fan_out import SHARD, Subscription, data

IDLE_MS = 200
TAKEOVER_MS = 1000  # the SDK for JavaScript does not let go of a stream that is left
TARGET = "Kinesis_20131202.SubscribeToShard"


@pytest.fixture(scope="module")
def server():
    with kinema.Server(args=["--subscription-idle-ms", IDLE_MS,
                             "--subscription-takeover-ms", TAKEOVER_MS]) as one:
        yield one


class Door:
    """For wire.H2Client: an address in place of a server."""

    def __init__(self, url):
        self.netloc = urllib.parse.urlsplit(url).netloc

    def connect(self, *_, **__):
        host, port = self.netloc.split(":")
        return socket.create_connection((host, int(port)), timeout=fan_out.TIMEOUT_S)


def ask(consumer, kind="LATEST"):
    return {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": kind}}


def signed(server, body, content_type=aws_json.JSON):
    """The fields of a request over HTTP/1.1 or HTTP/2, host signed."""
    key = botocore.credentials.Credentials(server.key.id, server.key.secret)
    request = botocore.awsrequest.AWSRequest("POST", server.api + "/", data=body, headers={
        "content-type": content_type, "x-amz-target": TARGET,
        "host": urllib.parse.urlsplit(server.api).netloc})
    botocore.auth.SigV4Auth(key, "kinesis", kinema.REGION).add_auth(request)
    return [(field.lower(), value) for field, value in request.headers.items()]


class H2Subscriptions:
    """Some over one HTTP/2 connection."""

    def __init__(self, server, *consumers, kind="LATEST"):
        self.client, self.heads, self.ended = wire.H2Client(Door(server.api), "h2c"), {}, set()
        self.streams = [self.subscribe(server, json.dumps(ask(one, kind)).encode())
                        for one in consumers]
        self.buffers = {stream: botocore.eventstream.EventStreamBuffer() for stream in self.streams}
        self.messages = {stream: [] for stream in self.streams}

    def subscribe(self, server, body):
        stream = self.client.state.get_next_available_stream_id()
        self.client.state.send_headers(stream, [
            (":method", "POST"), (":path", "/"), (":scheme", "http"),
            (":authority", urllib.parse.urlsplit(server.api).netloc),
            *(field for field in signed(server, body) if field[0] != "host")])
        self.client.state.send_data(stream, body, end_stream=True)
        self.client.flush()
        return stream

    def next(self, number=0):
        """The next message of one of them; None at its end."""
        stream = self.streams[number]
        while not self.messages[stream] and stream not in self.ended:
            event = self.client.next(h2.events.ResponseReceived, h2.events.DataReceived,
                                     h2.events.StreamEnded, h2.events.StreamReset)
            assert event is not None and not isinstance(event, h2.events.StreamReset), event
            if isinstance(event, h2.events.ResponseReceived):
                self.heads[event.stream_id] = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            else:
                self.buffers[event.stream_id].add_data(event.data)
                self.messages[event.stream_id] += list(self.buffers[event.stream_id])
        return self.messages[stream].pop(0) if self.messages[stream] else None


def test_over_http2_the_first_message_opens_the_stream_and_events_follow(server, kinesis, name, consumer):
    one = H2Subscriptions(server, consumer)
    first, head = one.next(), one.heads[one.streams[0]]
    assert head[":status"] == "200"
    assert head["content-type"] == "application/vnd.amazon.eventstream"
    assert first.headers == {":message-type": "event", ":event-type": "initial-response",
                             ":content-type": aws_json.JSON}
    assert first.payload == b"{}"
    kinesis.put_record(StreamName=name, Data=b"one", PartitionKey="k")
    while not (event := json.loads((message := one.next()).payload))["Records"]:
        assert event.keys() == {"Records", "ContinuationSequenceNumber", "MillisBehindLatest"}
    assert message.headers == {":message-type": "event", ":event-type": "SubscribeToShardEvent",
                               ":content-type": aws_json.JSON}
    assert event["Records"][0].keys() == {"SequenceNumber", "ApproximateArrivalTimestamp", "Data",
                                          "PartitionKey"}
    assert event["Records"][0]["Data"] == "b25l"
    kinesis.split_shard(StreamName=name, ShardToSplit=SHARD, NewStartingHashKey=str(1 << 127))
    while "ChildShards" not in (event := json.loads(one.next().payload)):
        pass
    assert "ContinuationSequenceNumber" not in event and len(event["ChildShards"]) == 2
    assert one.next() is None
    one.client.sock.close()


def test_several_subscriptions_share_a_connection(server, kinesis, name):
    """As clients for Java have them; more goes over it than its window holds."""
    consumers = [fan_out.register(kinesis, name, f"app{i}") for i in range(5)]
    some = H2Subscriptions(server, *consumers)
    for number in range(5):
        assert some.next(number).payload == b"{}"
    wanted = [bytes([i]) * 100_000 for i in range(10)]
    for one in wanted:
        kinesis.put_record(StreamName=name, Data=one, PartitionKey="k")
    for number in range(5):
        found = []
        while len(found) < len(wanted):
            found += json.loads(some.next(number).payload)["Records"]
        assert [base64.b64decode(record["Data"]) for record in found] == wanted
    some.client.sock.close()


def test_a_request_in_cbor_is_answered_with_json_events(server, kinesis, name, consumer):
    body = aws_json.encode(ask(consumer, "TRIM_HORIZON"))
    kinesis.put_record(StreamName=name, Data=b"one", PartitionKey="k")
    with Door(server.api).connect() as sock:
        fields = "".join(f"{f}: {v}\r\n" for f, v in signed(server, body, aws_json.CBOR))
        sock.sendall(f"POST / HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n".encode() + body)
        peer = wire.Reader(sock)
        status, head = peer.head()[:2]
        assert status == 200 and head["transfer-encoding"] == "chunked"
        buffer, messages = botocore.eventstream.EventStreamBuffer(), []
        while len(messages) < 2:
            buffer.add_data(peer.chunk())
            messages += list(buffer)
    assert messages[1].headers[":content-type"] == aws_json.JSON
    assert json.loads(messages[1].payload)["Records"][0]["Data"] == "b25l"


def test_readers_that_stop_hold_little_and_hold_up_nobody(server, kinesis):
    """Nothing is made for who does not read beyond what his connection takes."""
    sent = "kinema_subscription_sent_bytes_total"
    name = fan_out.make_stream(kinesis)
    stopped = []
    for i in range(15):
        body = json.dumps(ask(fan_out.register(kinesis, name, f"stopped{i}"))).encode()
        sock = Door(server.api).connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        fields = "".join(f"{f}: {v}\r\n" for f, v in signed(server, body))
        sock.sendall(f"POST / HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n".encode() + body)
        assert sock.recv(12) == b"HTTP/1.1 200"
        stopped.append(sock)
    reader = Subscription(server, fan_out.register(kinesis, name))
    before = fan_out.metric(server, sent)
    wanted = 0
    for _ in range(10):
        kinesis.put_records(StreamName=name, Records=[
            {"Data": os.urandom(20_000), "PartitionKey": "k"} for _ in range(100)])
        wanted += 100
        reader.records(100)
    reader.close()
    one_copy_mb = 20 * 4 / 3
    made_mb = (fan_out.metric(server, sent) - before) / 1e6
    assert one_copy_mb < made_mb < one_copy_mb + 15 * 6  # sixteen copies would be 430 MB
    for sock in stopped:
        sock.close()


def test_many_come_and_go_while_records_are_put(server, kinesis, name):
    """Disconnects at any place; who stays misses nothing. Seats are free again afterwards."""
    stop = threading.Event()

    def come_and_go(consumer):
        while not stop.is_set():
            body = json.dumps(ask(consumer, "TRIM_HORIZON")).encode()
            with Door(server.api).connect() as sock:
                fields = "".join(f"{f}: {v}\r\n" for f, v in signed(server, body))
                sock.sendall(f"POST / HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n".encode()
                             + body)
                sock.recv(100 + int.from_bytes(os.urandom(2), "big"))

    guests = [threading.Thread(target=come_and_go, args=(fan_out.register(kinesis, name, f"g{i}"),))
              for i in range(4)]
    with Subscription(server, fan_out.register(kinesis, name)) as stays:
        for one in guests:
            one.start()
        wanted = [b"%d" % i * 100 for i in range(200)]
        for one in wanted:
            kinesis.put_record(StreamName=name, Data=one, PartitionKey="k")
        found, _ = stays.records(len(wanted))
        stop.set()
        for one in guests:
            one.join()
        assert data(found) == wanted
    deadline = time.monotonic() + fan_out.TIMEOUT_S
    while fan_out.metric(server, "kinema_subscriptions") > 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_js_sdk_subscribes_over_http2(server, name, consumer):
    out = js.run(server, "subscribe.mjs", STREAM_NAME=name, CONSUMER_ARN=consumer)
    assert out.endswith("4 stories\n"), out
