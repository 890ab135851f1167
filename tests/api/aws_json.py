# SPDX-License-Identifier: Apache-2.0
"""Signed awsJson calls to the API conformance server (tests/conformance/api_server.c), and just
enough CBOR to read and write them."""

import hashlib
import hmac
import http.client
import json
import pathlib
import struct
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

import kinema
import wire

BINARY = pathlib.Path(kinema.BINARY).parent / "api_conformance"
JSON = "application/x-amz-json-1.1"
CBOR = "application/x-amz-cbor-1.1"
KEY = botocore.credentials.Credentials("AKIDEXAMPLE", "secret")


class Server(wire.Wire):
    def __init__(self):
        super().__init__(binary=BINARY)

    def url(self, listener="plain"):
        return f"{'https' if listener == 'tls' else 'http'}://localhost:{self.ports[listener]}"


def caller_of(server):
    """For a running kinema."""
    return Caller(server.api, botocore.credentials.Credentials(server.key.id, server.key.secret))


class Caller:
    """One signed request after the other over one HTTP/1.1 connection."""

    def __init__(self, url, key=KEY):
        self.url = url
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
        self.signer = botocore.auth.SigV4Auth(key, "kinesis", kinema.REGION)

    def call(self, target, body, content_type=JSON, **headers):
        """(status, headers, decoded body)"""
        data = body if isinstance(body, bytes) else (
            encode(body) if content_type == CBOR else json.dumps(body).encode())
        request = botocore.awsrequest.AWSRequest(
            "POST", self.url + "/", data=data,
            headers={"Content-Type": content_type, "X-Amz-Target": target, **headers})
        self.signer.add_auth(request)
        self.connection.request("POST", "/", body=data, headers=dict(request.headers))
        answer = self.connection.getresponse()
        text = answer.read()
        found = dict((name.lower(), value) for name, value in answer.getheaders())
        return answer.status, found, read_body(found.get("content-type"), text)


def read_body(content_type, text):
    if not text:
        return None
    return decode(text) if content_type == CBOR else json.loads(text) if content_type == JSON else text


# --- CBOR ------------------------------------------------------------------------------------------
class Time(int):
    """Milliseconds, tagged."""


def head(major, value):
    for limit, info, form in ((24, None, None), (1 << 8, 24, ">B"), (1 << 16, 25, ">H"),
                              (1 << 32, 26, ">I"), (1 << 64, 27, ">Q")):
        if value < limit:
            return bytes([major << 5 | (value if info is None else info)]) + (
                struct.pack(form, value) if form else b"")
    raise ValueError(value)


def encode(value):
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, Time):
        return b"\xc1" + encode(int(value))
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())


def decode(data):
    value, rest = decode_one(data)
    assert not rest, rest
    return value


def decode_one(data):
    major, info, rest = data[0] >> 5, data[0] & 31, data[1:]
    assert info != 31, "answers are of definite length"
    count = info
    if 24 <= info <= 27:
        size = 1 << (info - 24)
        raw, rest = rest[:size], rest[size:]
        count = int.from_bytes(raw, "big")
    if major in (0, 1):
        return (count if major == 0 else -1 - count), rest
    if major in (2, 3):
        text, rest = rest[:count], rest[count:]
        assert len(text) == count
        return (text if major == 2 else text.decode()), rest
    if major == 6:
        assert count == 1
        value, rest = decode_one(rest)
        return Time(value), rest
    if major == 7:
        return ({20: False, 21: True, 22: None}[info] if info < 24
                else struct.unpack(">d", raw)[0]), rest
    items = []
    for _ in range(count * (major - 3)):
        item, rest = decode_one(rest)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), rest


# --- HTTP/2 with :authority signed, as the SDK for JavaScript does ---------------------------------
def h2_headers(target, body, authority, date, secret=KEY.secret_key, key_id=KEY.access_key):
    """The fields of a signed request beside the pseudo-headers; botocore cannot sign :authority."""
    digest = hashlib.sha256(body).hexdigest()
    fields = {":authority": authority, "content-length": str(len(body)), "content-type": JSON,
              "x-amz-content-sha256": digest, "x-amz-date": date, "x-amz-target": target}
    names = ";".join(sorted(fields))
    canonical = "\n".join(["POST", "/", "", *(f"{name}:{fields[name]}" for name in sorted(fields)),
                           "", names, digest])
    scope = f"{date[:8]}/{kinema.REGION}/kinesis/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = sign(secret, date, text)
    fields["authorization"] = (f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, "
                               f"SignedHeaders={names}, Signature={signature}")
    del fields[":authority"]
    return list(fields.items())


def sign(secret, date, text):
    key = ("AWS4" + secret).encode()
    for step in (date[:8], kinema.REGION, "kinesis", "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
