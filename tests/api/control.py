# SPDX-License-Identifier: Apache-2.0
"""What the control-plane stories share: errors by name, and calls newer than Debian's botocore."""

import contextlib
import http.client
import json
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

import kinema


class Raised:
    """What `raises` caught: code, message, status."""

    code = message = status = None


@contextlib.contextmanager
def raises(code, status=None, match=None):
    caught = Raised()
    with pytest.raises(botocore.exceptions.ClientError) as info:
        yield caught
    error = info.value.response["Error"]
    meta = info.value.response["ResponseMetadata"]
    caught.code, caught.message = error["Code"], error.get("Message", "")
    caught.status = meta["HTTPStatusCode"]
    assert caught.code == code, f"{caught.code}: {caught.message}"
    assert meta.get("RequestId"), "an error without x-amzn-RequestId"
    if status is not None:
        assert caught.status == status
    if match is not None:
        assert match in caught.message, caught.message


def info_of(kvs, name):
    return kvs.describe_stream(StreamName=name)["StreamInfo"]


def wait_deleted(kvs, name, timeout=60):
    """Until the name is free again."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            status = info_of(kvs, name)["Status"]
        except kvs.exceptions.ResourceNotFoundException:
            return
        assert status == "DELETING"
        assert time.monotonic() < deadline, f"{name} is still DELETING"
        time.sleep(0.02)


def post(server, path, body, key=None, endpoint=None):
    """A signed request as SDKs newer than this botocore would send it: (status, fault, answer)."""
    endpoint = endpoint or server.api
    key = key or server.key
    data = json.dumps(body).encode() if not isinstance(body, bytes) else body
    request = botocore.awsrequest.AWSRequest(
        "POST", endpoint + path, data=data, headers={"Content-Type": "application/json"})
    if key:
        credentials = botocore.credentials.Credentials(key.id, key.secret, key.token)
        botocore.auth.SigV4Auth(credentials, "kinesisvideo", kinema.REGION).add_auth(request)
    where = urllib.parse.urlsplit(endpoint)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    try:
        connection.request("POST", path, body=data, headers=dict(request.headers))
        answer = connection.getresponse()
        text = answer.read()
        fault = (answer.getheader("x-amzn-ErrorType") or "").split(":")[0] or None
        return answer.status, fault, json.loads(text) if text else None
    finally:
        connection.close()
