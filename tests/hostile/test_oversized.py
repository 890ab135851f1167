# SPDX-License-Identifier: Apache-2.0
"""Oversized everything: refused by the right status or error, without memory growing for it."""

import concurrent.futures
import socket

import pytest

import put_media as wire
from conftest import MIB, port_of, signed_post

SLACK = 24 * MIB


@pytest.fixture(scope="module")
def site(make_site):
    return make_site()


def exchange(port, *pieces):
    """The status of the answer to these bytes; None when the connection was closed instead."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        got = b""
        try:
            for piece in pieces:
                sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while b"\r\n\r\n" not in got:
                data = sock.recv(65536)
                if not data:
                    break
                got += data
        except ConnectionResetError:
            pass
    return int(got.split()[1]) if got.startswith(b"HTTP/1.1 ") else None


HOST = b"Host: 127.0.0.1\r\n"
OVERSIZED = {
    "a head": (431, b"GET / HTTP/1.1\r\n" + HOST, b"X: " + b"y" * 200000),
    "a target": (431, b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a query": (431, b"GET /hls/v1/getTSFragment?" + b"a=b&" * 50000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a count of headers": (431, b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 5000 + b"\r\n"),
    "a declared body": (413, b"POST /listStreams HTTP/1.1\r\n" + HOST +
                        b"Content-Length: 99999999999\r\n\r\n"),
    "a chunked body": (413, b"POST /listStreams HTTP/1.1\r\n" + HOST +
                       b"Transfer-Encoding: chunked\r\n\r\n" + (b"fffff\r\n" + b" " * 0xfffff + b"\r\n") * 4),
    "a chunk extension": (400, b"POST /listStreams HTTP/1.1\r\n" + HOST +
                          b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 100000),
    "a chunk's size": (400, b"POST /listStreams HTTP/1.1\r\n" + HOST +
                       b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100000),
    "a trailer": (400, b"POST /listStreams HTTP/1.1\r\n" + HOST +
                  b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 50000),
}


@pytest.mark.parametrize("what", OVERSIZED)
def test_oversized(site, what):
    status, *pieces = OVERSIZED[what]
    with site.watched(SLACK):
        for _ in range(20):
            assert exchange(port_of(site.server.api), *pieces) in (status, None)  # or lost to a reset


def nested(depth):
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("body", [nested(10000), b"[" * 900000, b'{"MaxResults":' + b"9" * 500000 + b"}",
                                  b'{"NextToken":"' + b"A" * 1000000 + b'"}',
                                  b'{"StreamNameCondition":{"ComparisonValue":"' + b"\\u0041" * 150000 + b'"}}',
                                  b"{" + b",".join(b'"k%d":1' % i for i in range(60000)) + b"}"],
                         ids=["deep", "brackets", "number", "token", "escapes", "members"])
def test_oversized_json(site, body):
    """Signed, so that it reaches the decoder."""
    with site.watched(SLACK + 34 * MIB):  # one call's arena
        request = signed_post(site.server.key, "/listStreams", body)
        status = exchange(port_of(site.server.api), request)
        assert status in (200, 400, 413), status


BIG = bytes.fromhex("01fffffffffffffe")  # a size of 2^56 - 2
MEDIA = {
    "an EBML header": bytes.fromhex("1A45DFA3") + BIG,
    "a track's private data": wire.header([wire.element("AE", wire.uint("D7", 1) + wire.uint("83", 1) +
                                                        wire.element("86", b"V_MPEG4/ISO/AVC", 1) +
                                                        wire.element("63A2", b"\1" * (3 * MIB)))]),
    "a count of tracks": wire.header([wire.track(1 + i % 120) for i in range(400)]),
    "a header without end": wire.header() + wire.element("EC", b"\0" * (6 * MIB)),
    "a tag": wire.header() + wire.tags("x" * 200000, "y" * 200000),
    "a count of tags": wire.header() + wire.cluster(1000) + wire.tags("n", "v") * 2000,
    "a block": wire.header() + bytes.fromhex("1F43B675") + b"\xff" + wire.uint("E7", 1000, 8) +
    b"\xa3" + BIG + b"\x81\0\0\x80" + b"x" * MIB,
    "a lace": wire.header() + bytes.fromhex("1F43B675") + b"\xff" + wire.uint("E7", 1000, 8) +
    wire.element("A3", b"\x81\0\0\x82\xff" + b"\xff" * 5000),
    "an element to skip": wire.header() + b"\xec" + BIG + b"x" * MIB,
    "a count of frames": wire.header() + wire.cluster(1000, wire.block(0, b"", key=True) * 30000),
    "a nesting": wire.header() + bytes.fromhex("1F43B675") + b"\xff" + bytes.fromhex("A0") + b"\xff" * 5000,
}


def put_media(site, what, stream):
    with wire.PutMedia(site.endpoint, stream, site.server.key) as put:
        try:
            put.send(MEDIA[what]).end().wait_over()
        except wire.Ended:
            pass
        kinds = put.kinds()
    assert put.status in (200, 400), (what, put.status)
    assert set(kinds) <= {"BUFFERING", "RECEIVED", "PERSISTED", "ERROR"}, (what, kinds)
    return put.error()


def test_oversized_media(site):
    """All at once. What is too large is refused by AWS's error, or ends with the upload."""
    streams = {what: site.server.create_stream() for what in MEDIA}
    with site.watched(len(MEDIA) * 8 * MIB + SLACK):
        with concurrent.futures.ThreadPoolExecutor(len(MEDIA)) as pool:
            errors = dict(zip(MEDIA, pool.map(lambda what: put_media(site, what, streams[what]), MEDIA)))
    codes = {what: error and error["ErrorCode"] for what, error in errors.items()}
    print(codes)
    assert codes["a count of frames"] == "MAX_FRAGMENT_SIZE_REACHED"
    assert codes["a lace"] == codes["a nesting"] == "INVALID_MKV_DATA"
