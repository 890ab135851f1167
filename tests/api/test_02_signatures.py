# SPDX-License-Identifier: Apache-2.0
"""Who may call: signatures as real clients make them, keys with limits, browsers.

What each case is answered is in docs/protocols/sigv4.md; unit tests have the finer cases.
"""
import datetime
import http.client
import json
import subprocess
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

import kinema


def host_of(url):
    return urllib.parse.urlsplit(url).netloc


def send(server, request):
    """A botocore request as it is: (status, headers, body)."""
    parts = urllib.parse.urlsplit(request.url)
    connection = http.client.HTTPConnection(host_of(server.api), timeout=60)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.putrequest(request.method, path, skip_host=True, skip_accept_encoding=True)
        body = request.data or b""
        headers = {"host": host_of(server.api), "content-length": str(len(body))}
        headers.update({k.lower(): v for k, v in request.headers.items()})
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def make(server, operation="listStreams", body=b"{}", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return botocore.awsrequest.AWSRequest("POST", f"{server.api}/{operation}", data=body, headers=names)


def credentials(server):
    return botocore.credentials.Credentials(server.key.id, server.key.secret)


def sign(server, request):
    botocore.auth.SigV4Auth(credentials(server), "kinesisvideo", kinema.REGION).add_auth(request)
    return request


def error_of(headers):
    name, _, rest = headers["x-amzn-errortype"].partition(":")
    assert rest.startswith("http")
    return name


def assert_refused(answer, status, name):
    got, headers, body = answer
    assert (got, error_of(headers)) == (status, name), body
    assert len(headers["x-amzn-requestid"]) == 36
    assert json.loads(body)["Message"]


# --- keys ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("change, name", [
    ("secret", "InvalidSignatureException"), ("id", "UnrecognizedClientException")])
def test_a_wrong_key_is_refused_as_boto3_reads_it(server, change, name):
    key = kinema.Key({"AccessKeyId": "AKIANOBODY" if change == "id" else server.key.id,
                      "SecretAccessKey": "wrong" if change == "secret" else server.key.secret})
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.kvs(key=key).list_streams()
    response = caught.value.response
    assert response["Error"]["Code"] == name
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert response["ResponseMetadata"]["RequestId"]


def test_an_unsigned_call_is_refused(server):
    assert_refused(send(server, make(server)), 403, "MissingAuthenticationToken")


def test_a_key_may_do_what_it_was_made_for(server):
    key = server.create_key("--allow", "kinesisvideo:Describe*", "--stream", "gate-*")
    mine = server.create_stream(kinema.new_name("gate"))
    other = server.create_stream(kinema.new_name("door"))
    client = server.kvs(key=key)
    arn = client.describe_stream(StreamName=mine)["StreamInfo"]["StreamARN"]
    assert client.describe_stream(StreamARN=arn)["StreamInfo"]["StreamName"] == mine
    for call in (lambda: client.describe_stream(StreamName=other),
                 lambda: client.delete_stream(StreamARN=arn)):
        with pytest.raises(client.exceptions.NotAuthorizedException):
            call()
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.list_streams()
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


# --- forms of a signature --------------------------------------------------------------------------
def test_any_region_is_accepted(server):
    request = make(server)
    botocore.auth.SigV4Auth(credentials(server), "kinesisvideo", "mars-north-1").add_auth(request)
    assert send(server, request)[0] == 200


def test_another_service_is_not(server):
    request = make(server)
    botocore.auth.SigV4Auth(credentials(server), "s3", kinema.REGION).add_auth(request)
    assert_refused(send(server, request), 403, "InvalidSignatureException")


def test_a_host_without_a_port_is_verified_as_it_was_sent(server):
    """kvs-producer rule 5."""
    assert send(server, sign(server, make(server, host="127.0.0.1")))[0] == 200


def test_a_token_that_nobody_signed_is_ignored_for_a_long_term_key(server):
    """The C producer adds it after signing."""
    request = sign(server, make(server))
    request.headers["x-amz-security-token"] = "whatever"
    assert send(server, request)[0] == 200


def test_the_body_is_covered(server):
    request = sign(server, make(server))
    request.data = b"{ }"
    assert_refused(send(server, request), 403, "InvalidSignatureException")


def test_an_unsigned_payload_is_accepted_on_the_loopback(server):
    request = make(server, x_amz_content_sha256="UNSIGNED-PAYLOAD")

    class Unsigned(botocore.auth.SigV4Auth):
        def payload(self, _):
            return "UNSIGNED-PAYLOAD"
    Unsigned(credentials(server), "kinesisvideo", kinema.REGION).add_auth(request)
    request.data = b"{ }"
    assert send(server, request)[0] == 200


def test_a_presigned_call_works_until_it_is_changed(server):
    request = make(server, body=b"")
    botocore.auth.SigV4QueryAuth(credentials(server), "kinesisvideo", kinema.REGION,
                                 expires=299).add_auth(request)
    assert send(server, request)[0] == 200
    url = request.url
    request.url = url.replace("X-Amz-Expires=299", "X-Amz-Expires=604800")
    assert_refused(send(server, request), 403, "InvalidSignatureException")
    request.url = url.replace("X-Amz-Expires=299", "X-Amz-Expires=604801")
    assert_refused(send(server, request), 400, "IncompleteSignature")
    request.url = url
    request.headers["authorization"] = "AWS4-HMAC-SHA256 Credential=x"
    assert_refused(send(server, request), 403, "InvalidSignatureException")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_wrong_by_more_than_15_minutes_is_told_so(server, minutes, monkeypatch):
    then = datetime.datetime.utcnow() + datetime.timedelta(minutes=minutes)

    class Skewed(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return then
    request = make(server)
    with monkeypatch.context() as patch:
        patch.setattr(botocore.auth.datetime, "datetime", Skewed)
        sign(server, request)
    answer = send(server, request)
    assert_refused(answer, 403, "InvalidSignatureException")
    assert (b"Signature expired" if minutes < 0 else b"not yet current") in answer[2]


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_signs_for_us(server, version):
    done = subprocess.run(
        ["curl", "-sS", version, "--aws-sigv4", f"aws:amz:{kinema.REGION}:kinesisvideo", "--user",
         f"{server.key.id}:{server.key.secret}", "-H", "content-type: application/json", "-d", "{}",
         "-w", "\n%{http_code} %{http_version}", f"{server.api}/listStreams"],
        capture_output=True, text=True, timeout=60)
    body, status = done.stdout.rsplit("\n", 1)
    assert status == ("200 1.1" if version == "--http1.1" else "200 2"), done
    assert "StreamInfoList" in json.loads(body)


def test_requests_in_absolute_form_are_signed_like_others(server):
    """As a client sends them that takes us for its proxy: for a name that only the target has."""
    client = server.client("kinesisvideo", endpoint="http://video.example", proxies={"http": server.api})
    name = kinema.new_name("proxied")
    client.create_stream(StreamName=name)
    assert client.describe_stream(StreamName=name)["StreamInfo"]["StreamName"] == name


# --- what never reaches an operation ----------------------------------------------------------------
def test_an_unknown_operation_has_corals_envelope(server):
    for path in ("noSuchThing", "ListStreams", "listStreams/"):
        status, headers, body = send(server, sign(server, make(server, path)))
        assert status == 404 and "x-amzn-errortype" not in headers
        assert json.loads(body) == {
            "Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"}


def test_a_body_that_is_no_json_has_it_too(server):
    status, headers, body = send(server, sign(server, make(server, body=b'{"MaxResults":')))
    assert status == 400 and "x-amzn-errortype" not in headers
    assert json.loads(body) == {
        "Output": {"__type": "com.amazon.coral.service#SerializationException", "Message": None},
        "Version": "1.0"}


# --- browsers ----------------------------------------------------------------------------------------
def test_a_page_may_call_with_a_signature(server):
    preflight = botocore.awsrequest.AWSRequest(
        "OPTIONS", f"{server.api}/listStreams",
        headers={"origin": "https://example.com", "access-control-request-method": "POST",
                 "access-control-request-headers": "authorization,content-type,x-amz-date"})
    status, headers, _ = send(server, preflight)
    assert status == 200
    assert headers["access-control-allow-origin"] == "*"
    assert "authorization" in headers["access-control-allow-headers"]
    assert "POST" in headers["access-control-allow-methods"]
    status, headers, _ = send(server, sign(server, make(server, origin="https://example.com")))
    assert (status, headers["access-control-allow-origin"]) == (200, "*")


def test_without_authentication_only_our_own_address_may(make_server):
    server = make_server(auth=False)
    assert server.client("kinesisvideo").list_streams()["StreamInfoList"] == []
    assert send(server, make(server))[0] == 200
    own = f"http://{host_of(server.api)}"
    assert send(server, make(server, origin=own))[0] == 200
    for bad in ({"origin": "https://example.com"}, {"origin": "null"}, {"host": "example.com"}):
        answer = send(server, make(server, **bad))
        assert_refused(answer, 403, "AccessDeniedException")
        assert "access-control-allow-origin" not in answer[1]
