# SPDX-License-Identifier: Apache-2.0
"""awsJson 1.1 and CBOR on sockets: boto3, HTTP/2 with :authority in the signature, large bodies."""

import base64
import concurrent.futures
import datetime
import json

import boto3
import botocore.config
import botocore.exceptions
import h2.events
import pytest

import aws_json
import kinema
import wire


@pytest.fixture(scope="module")
def server():
    one = aws_json.Server()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def caller(server):
    return aws_json.Caller(server.url())


EVERYTHING = {
    "StreamName": "orders", "Text": "Grüß", "Small": -7, "Long": 2 ** 53 + 1, "Ratio": 0.25,
    "Flag": False, "Colour": "GREEN", "Point": {"X": 3, "Colour": "RED"}, "Numbers": [1, -2, 3],
    "Names": ["a", "b"], "Tags": {"k": "v", "l": ""},
}


def test_json_and_cbor_carry_the_same_values(caller):
    data = bytes(range(8))
    text = base64.b64encode(data).decode()
    in_json = {**EVERYTHING, "Blob": text, "View": text, "When": 1600000000.123,
               "Records": [{"Data": text, "Key": "a"}]}
    in_cbor = {**EVERYTHING, "Blob": data, "View": data, "When": aws_json.Time(1600000000123),
               "Records": [{"Data": data, "Key": "a"}]}
    assert caller.call("Wire_20260101.Echo", in_json)[2] == in_json
    status, headers, answer = caller.call("Wire_20260101.Echo", in_cbor, aws_json.CBOR)
    assert (status, headers["content-type"]) == (200, aws_json.CBOR)
    assert answer == in_cbor and isinstance(answer["When"], aws_json.Time)


def test_errors_come_in_the_type_of_the_request(caller):
    for content_type in (aws_json.JSON, aws_json.CBOR):
        status, headers, answer = caller.call("Wire_20260101.Refuse", {}, content_type)
        assert status == 400 and headers["content-type"] == content_type
        assert answer == {"__type": "InvalidArgumentException", "message": "Not here."}
        assert len(base64.b64decode(headers["x-amz-id-2"])) == 72
        assert len(headers["x-amzn-requestid"]) == 36


def test_an_operation_without_members_answers_an_empty_body(caller):
    for content_type in (aws_json.JSON, aws_json.CBOR):
        status, headers, answer = caller.call("Wire_20260101.Fail", {"Errno": 0}, content_type)
        assert (status, answer, headers["content-length"]) == (200, None, "0")
        assert headers["content-type"] == content_type


def test_an_answer_may_come_later(caller):
    assert caller.call("Wire_20260101.Later", {"How": "AT_ONCE"})[2] == {"Text": "at once"}
    assert caller.call("Wire_20260101.LaterOnWorker", {})[2] == {"Text": "from a worker"}


def open_later(server, reads):
    """One unsigned call over a connection of its own; the peer may leave before the answer."""
    with server.connect("open") as sock:
        body = b'{"How":"LATER"}'
        sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: Wire_20260101.Later\r\n"
                     b"Content-Type: application/x-amz-json-1.1\r\n"
                     b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return wire.Reader(sock).answer() if reads else None


def test_answers_from_other_threads_survive_peers_that_leave(server):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: open_later(server, i % 2 == 0), range(400)))
    read = [answer for answer in answers if answer]
    assert len(read) == 200
    assert {(answer.status, answer.body) for answer in read} == {(200, b'{"Text":"from another thread"}')}


def test_a_body_beyond_the_operations_limit_is_413(server):
    for target, size, expected in (("Wire_20260101.Echo", 3 << 20, 400), ("Wire_20260101.Echo", 5 << 20, 413),
                                   ("Wire_20260101.Fail", 2 << 20, 413), ("Nobody.Here", 2 << 20, 413)):
        sock = server.connect()
        body = json.dumps({"Text": "x" * size, "Small": []}).encode()
        sock.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {aws_json.JSON}\r\n"
                     f"X-Amz-Target: {target}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        try:
            sock.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has been told already
        answer = wire.Reader(sock).answer()
        assert answer.status == expected
        if expected == 413:
            told = json.loads(answer.body)
            assert told["__type"] == "RequestEntityTooLargeException" and " bytes" in told["message"]


# --- HTTP/2 ----------------------------------------------------------------------------------------
def h2_call(server, transport, target, body, secret="secret"):
    """One connection for one call, as the SDK for JavaScript makes them."""
    client = wire.H2Client(server, transport)
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    fields = aws_json.h2_headers(target, body, "localhost", date, secret)
    stream = client.request("POST", "/", *fields, end=False)
    client.state.send_data(stream, body, end_stream=True)
    client.flush()
    response = client.next(h2.events.ResponseReceived)
    status, rest = int(dict(response.headers)[":status"]), b""
    while not isinstance(event := client.next(h2.events.DataReceived, h2.events.StreamEnded),
                         h2.events.StreamEnded):
        rest += event.data
    client.sock.close()
    return status, json.loads(rest)


@pytest.mark.parametrize("transport", ["h2c", "h2"])
def test_authority_may_be_signed_in_place_of_host(server, transport):
    body = b'{"Text":"over HTTP/2"}'
    assert h2_call(server, transport, "Wire_20260101.Echo", body) == (200, {"Text": "over HTTP/2"})
    status, answer = h2_call(server, transport, "Wire_20260101.Echo", body, "wrong")
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")


# --- clients ---------------------------------------------------------------------------------------
def client_of(server, listener):
    return boto3.client(
        "kinesis", region_name=kinema.REGION, endpoint_url=server.url(listener),
        aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret",
        verify=server.folder.name + "/cert.pem",
        config=botocore.config.Config(retries={"max_attempts": 1}, parameter_validation=False))


@pytest.mark.parametrize("listener", ["plain", "tls", "open"])
def test_boto3_reads_our_errors(server, listener):
    client = client_of(server, listener)
    with pytest.raises(botocore.exceptions.ClientError) as found:
        client.put_record(StreamName="", Data=b"x", PartitionKey="y" * 257)
    assert found.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "3 validation errors detected: "
                   f"Value '{'y' * 257}' at 'partitionKey' failed to satisfy constraint: "
                   "Member must have length less than or equal to 256; "
                   "Value '' at 'streamName' failed to satisfy constraint: "
                   "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; "
                   "Value '' at 'streamName' failed to satisfy constraint: "
                   "Member must have length greater than or equal to 1"}
    assert found.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert found.value.response["ResponseMetadata"]["RequestId"]
    with pytest.raises(client.exceptions.ClientError) as found:
        client.put_records(StreamName="orders", Records=[{"Data": b"x" * 1000, "PartitionKey": "k"}] * 501)
    error = found.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith(
        "1 validation error detected: Value '[com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@")
    assert error["Message"].endswith(
        "' at 'records' failed to satisfy constraint: Member must have length less than or equal to 500")
