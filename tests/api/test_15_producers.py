# SPDX-License-Identifier: Apache-2.0
"""The control calls of AWS's C and C++ producers, byte for byte as they were captured
(captures/wire), each on a connection of its own; kvs-producer.md §3 says what they read."""

import concurrent.futures
import hashlib
import http.client
import json
import re
import time
import urllib.parse

import pytest

import kinema
import put_media
from control import info_of, wait_deleted

REQUEST = re.compile(r"req \d+ POST (/\w+) HTTP")
HEADER = re.compile(r"^\s*\d+\.\d+     ([A-Za-z-]+): (.*)$")
UNSIGNED = {"authorization", "content-length", "content-type", "accept", "x-amz-date", "expect"}


def captured(name):
    """[(path, headers, body)] of the control calls in one capture, in order."""
    calls = []
    for line in (kinema.CAPTURES / "wire" / f"{name}.txt").read_text().splitlines():
        if found := REQUEST.search(line):
            calls.append([found.group(1), {}, None])
        elif calls and (found := HEADER.match(line)):
            calls[-1][1][found.group(1).lower()] = found.group(2)
        elif calls and "BODY " in line:
            calls[-1][2] = line.split("BODY ", 1)[1].encode().decode("unicode_escape").encode()
    return [call for call in calls if call[2] is not None]


def sign(server, path, headers, body):
    """As the producers do: host, user-agent and date alone; the digest of the body is not sent."""
    signed = {"host": headers["host"], "user-agent": headers["user-agent"],
              "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())}
    return {"X-Amz-Date": signed["X-Amz-Date"], "Authorization": put_media.sign(
        "POST", path, signed, server.key, "us-west-2", payload=hashlib.sha256(body).hexdigest())}


def send(server, path, headers, body):
    where = urllib.parse.urlsplit(server.api)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    try:
        connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
        sent = {**headers, **sign(server, path, headers, body), "content-length": str(len(body))}
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        assert answer.getheader("x-amzn-RequestId")
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


def tokens(value):
    """What the producers' JSON reader counts; it gives up at 100."""
    if isinstance(value, dict):
        return 1 + sum(1 + tokens(v) for v in value.values())
    if isinstance(value, list):
        return 1 + sum(map(tokens, value))
    return 1


@pytest.mark.parametrize("name", ["s_abs", "s_rel", "s_av", "h265", "av"])
def test_a_producers_captured_control_calls_lead_to_an_upload(server, name):
    calls, arn, seen = captured(name), None, []
    stream = json.loads(calls[0][2])["StreamName"]
    for path, headers, body in calls:
        if arn:
            body = re.sub(rb"arn:aws:kinesisvideo:[^\"]*", arn.encode(), body)
        status, answer = send(server, path, {k: v for k, v in headers.items()
                                             if k not in UNSIGNED - {"content-type", "accept"}},
                              body)
        seen.append((path, status))
        assert tokens(answer) <= 100
        if path == "/createStream":
            arn = answer["StreamARN"]
        elif path == "/getDataEndpoint":
            # the Host header carried no port: the listener's own is put there
            port = urllib.parse.urlsplit(server.ingest).port
            assert answer == {"DataEndpoint": f"http://{headers['host']}:{port}"}
        elif path == "/tagStream":
            assert answer == {}
            tags = server.kvs().list_tags_for_stream(StreamARN=arn)["Tags"]
            assert tags == json.loads(body)["Tags"]
    assert seen[:2] == [("/describeStream", 404), ("/createStream", 200)]
    assert {status for _, status in seen[1:]} == {200}
    assert "/getDataEndpoint" in dict(seen)

    path, headers, body = calls[0]
    status, answer = send(server, path, {k: v for k, v in headers.items() if k not in UNSIGNED},
                          body)
    info = answer["StreamInfo"]
    assert (status, info["Status"], info["DataRetentionInHours"]) == (200, "ACTIVE", 2)
    assert tokens(answer) <= 100
    assert len(info["Version"]) <= 64 and len(info["StreamARN"]) <= 1024

    created = next(json.loads(body) for path, _, body in calls if path == "/createStream")
    assert {key: info[key] for key in created if key in info} == {
        key: value for key, value in created.items() if key in info}
    server.kvs().delete_stream(StreamARN=info_of(server.kvs(), stream)["StreamARN"])
    wait_deleted(server.kvs(), stream)


def test_two_producers_that_race_for_one_stream_converge(server, stream_name):
    """The loser of createStream gets 400 and describes again (kvs-producer.md §3)."""
    body = json.dumps({"StreamName": stream_name, "DeviceName": "d"}).encode()
    headers = {"host": "127.0.0.1", "user-agent": "AWS-SDK-KVS-CPP-CLIENT/3.6.0"}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: send(server, "/createStream", headers, body)[0],
                                 range(8)))
    assert sorted(statuses) == [200] + [400] * 7
    assert info_of(server.kvs(), stream_name)["Status"] == "ACTIVE"
