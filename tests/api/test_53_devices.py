# SPDX-License-Identifier: Apache-2.0
"""Temporary keys for devices that show a certificate, in the manner of AWS IoT's credential provider:
docs/devices.md."""

import datetime
import json
import re
import ssl
import time

import botocore.exceptions
import pytest

import certificates
import hls
import kinema
import media
import mkv
import test_80_producer as producer

OWN = "${credentials-iot:ThingName}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def yard(authority):
    return authority.device("yard")


@pytest.fixture(scope="module")
def iot_server(authority):
    with kinema.Server(args=["--iot-tls", "127.0.0.1:0", "--iot-ca", authority.path]) as server:
        server.create_stream("yard")
        server.create_stream("gate")
        yield server


@pytest.fixture(scope="module")
def role(iot_server):
    return iot_server.create_key("--allow", "kinesisvideo:*", "--stream", OWN).id


def error_of(call, *args, **kwargs):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*args, **kwargs)
    return caught.value.response["Error"]["Code"]


def test_a_device_gets_a_key_that_opens_its_own_stream_alone(iot_server, yard, role):
    status, answer = certificates.ask(iot_server, yard, role, thing="yard")
    assert status == 200
    fields = answer["credentials"]
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", fields["accessKeyId"])
    assert len(fields["secretAccessKey"]) == 40 and len(fields["sessionToken"]) < 1024
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fields["expiration"])
    ends = datetime.datetime.fromisoformat(fields["expiration"].replace("Z", "+00:00")).timestamp()
    assert 3500 < ends - time.time() < 3700

    client = iot_server.kvs(key=certificates.key_of(iot_server, yard, role))
    assert client.describe_stream(StreamName="yard")["StreamInfo"]["StreamName"] == "yard"
    assert error_of(client.describe_stream, StreamName="gate") == "NotAuthorizedException"
    assert error_of(client.list_streams) in ("NotAuthorizedException", "AccessDeniedException")


def test_each_answer_is_a_new_key_and_nothing_is_kept(iot_server, yard, role):
    before = kinema.run("credentials", "list", "--data", iot_server.data).stdout
    one, two = (certificates.key_of(iot_server, yard, role) for _ in range(2))
    assert one.id != two.id and one.secret != two.secret and one.token != two.token
    assert kinema.run("credentials", "list", "--data", iot_server.data).stdout == before


def test_a_token_is_good_with_its_own_key_only(iot_server, yard, role):
    key, other = (certificates.key_of(iot_server, yard, role) for _ in range(2))

    def described(**changed):
        fields = {"AccessKeyId": key.id, "SecretAccessKey": key.secret, "SessionToken": key.token}
        client = iot_server.kvs(key=kinema.Key({**fields, **changed}))
        return error_of(client.describe_stream, StreamName="yard")

    assert described(SessionToken=None) == "UnrecognizedClientException"
    assert described(SessionToken=other.token) == "UnrecognizedClientException"
    assert described(AccessKeyId=other.id) == "UnrecognizedClientException"
    assert described(SessionToken=key.token[:-8] + "AAAAAAAA") == "UnrecognizedClientException"
    assert described(SessionToken="kt1.") == "UnrecognizedClientException"
    assert described(SecretAccessKey=other.secret) == "InvalidSignatureException"


def test_a_long_term_key_ignores_a_devices_token(iot_server, yard, role):
    key = certificates.key_of(iot_server, yard, role)
    mixed = kinema.Key({"AccessKeyId": iot_server.key.id, "SecretAccessKey": iot_server.key.secret,
                        "SessionToken": key.token})
    assert iot_server.kvs(key=mixed).describe_stream(StreamName="gate")


@pytest.mark.parametrize("who", ["nobody", "a stranger", "an expired one"])
def test_without_a_certificate_of_the_authority_there_is_no_connection(iot_server, authority, role,
                                                                       tmp_path, who):
    device = None
    if who == "a stranger":
        device = certificates.Authority(tmp_path).device("yard")
    elif who == "an expired one":
        device = authority.device("old", days=-1)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        certificates.ask(iot_server, device, role)


def test_what_is_asked_for_must_be_there(iot_server, authority, yard, role):
    assert certificates.ask(iot_server, yard, role, thing="gate")[0] == 403
    assert certificates.ask(iot_server, yard, "AKIANOBODY")[0] == 404
    assert certificates.ask(iot_server, yard, iot_server.key.id)[0] == 404, "an administrator is no role"
    shared = iot_server.create_key("--allow", "kinesisvideo:*", "--stream", "yard").id
    assert certificates.ask(iot_server, yard, shared)[0] == 404, "its streams do not name the thing"
    assert certificates.ask(iot_server, yard, role, path="/")[0] == 404
    assert certificates.ask(iot_server, yard, role, path="/role-aliases//credentials")[0] == 404
    assert certificates.ask(iot_server, yard, role, path="/role-aliases/%/credentials")[0] == 400
    assert certificates.ask(iot_server, authority.device("a*b"), role)[0] == 403, "a pattern is no name"


def test_a_revoked_role_ends_its_keys_at_once(iot_server, yard):
    role = iot_server.create_key("--allow", "kinesisvideo:*", "--stream", OWN).id
    client = iot_server.kvs(key=certificates.key_of(iot_server, yard, role))
    client.describe_stream(StreamName="yard")
    kinema.run("credentials", "revoke", role, "--data", iot_server.data)
    assert error_of(client.describe_stream, StreamName="yard") == "UnrecognizedClientException"
    assert certificates.ask(iot_server, yard, role)[0] == 404


def iot_args(authority, *more):
    return ["--iot-tls", "127.0.0.1:0", "--iot-ca", authority.path, *more]


def test_a_key_outlives_the_server_that_issued_it(make_server, authority, yard):
    server = make_server(args=iot_args(authority))
    server.create_stream("yard")
    role = server.create_key("--allow", "kinesisvideo:*", "--stream", OWN).id
    client = server.kvs(key=certificates.key_of(server, yard, role))
    server.restart(hard=True)
    client.describe_stream(StreamName="yard")


def test_a_key_that_has_expired_is_refused_as_such(make_server, authority, yard):
    server = make_server(args=iot_args(authority, "--iot-key-ms", 1000))
    server.create_stream("yard")
    role = server.create_key("--allow", "kinesisvideo:*", "--stream", OWN).id
    client = server.kvs(key=certificates.key_of(server, yard, role))
    deadline = time.monotonic() + 60
    while True:
        try:
            client.describe_stream(StreamName="yard")
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "ExpiredTokenException"
            break
        assert time.monotonic() < deadline


def test_a_key_lasts_no_longer_than_its_role(iot_server, yard):
    role = iot_server.create_key("--allow", "*", "--stream", OWN, "--expires-in", 1).id
    _, answer = certificates.ask(iot_server, yard, role)
    listed = json.loads(kinema.run("credentials", "list", "--json", "--data", iot_server.data).stdout)
    expires = next(one["Expires"] for one in listed if one["AccessKeyId"] == role)
    assert answer["credentials"]["expiration"][:19] == expires[:19]


def test_a_revoked_certificate_is_shown_the_door(make_server, tmp_path):
    authority = certificates.Authority(tmp_path)
    good, bad = authority.device("yard"), authority.device("stolen")
    authority.revoke("stolen")
    server = make_server(args=iot_args(authority))
    role = server.create_key("--allow", "kinesisvideo:*", "--stream", OWN).id
    certificates.key_of(server, good, role)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        certificates.ask(server, bad, role)


@pytest.mark.parametrize("args,said", [
    (["--iot-tls", "127.0.0.1:0"], "iot_ca must name who signs"),
    (["--iot-tls", "127.0.0.1:0", "--iot-ca", "/nowhere.pem"], "iot_ca: /nowhere.pem"),
    (["--iot-tls", "127.0.0.1:0", "--iot-ca", "/dev/null", "--no-auth"], "no keys to be had"),
], ids=["no authority", "no file", "no keys"])
def test_settings_that_cannot_be_are_told(make_server, args, said):
    with pytest.raises(kinema.StartFailed) as caught:
        make_server(args=args)
    assert caught.value.code == 2 and said in caught.value.log


# --- libkinema-producer ------------------------------------------------------------------------
def device_args(server, device, role):
    return ["--iot", server.endpoints["iot"].split("//")[1], "--role", role, "--thing", "yard",
            "--certificate", device[0], "--key", device[1], "--ca", server.certificate]


def test_a_camera_with_a_certificate_goes_on_when_its_keys_expire(make_server, authority, yard):
    server = make_server(args=iot_args(authority, "--iot-key-ms", 3000), tls=True)
    role = server.create_key("--allow", "kinesisvideo:*", "--stream", OWN).id
    stats, told = producer.upload(server.endpoints["api-tls"], "yard", "--realtime", "--speed", 2,
                                  "--times", 2, *device_args(server, yard, role))
    frames = [(f.track, f.payload) for one in mkv.capture(producer.FILE).fragments for f in one.frames]
    assert stats["lost"] == stats["errors"] == 0 and stats["connections"] > 1, told
    producer.assert_whole(media.get_documents(server, "yard"), frames, 2)
    assert len(re.findall("device_key_issued", server.log())) > 1


def test_a_device_whose_role_is_gone_says_so_and_comes_back_with_it(iot_server, yard):
    gone = "AKIAGONE"
    camera = producer.start(iot_server.api, "yard", *device_args(iot_server, yard, gone))
    told = next(line for line in camera.stderr if line.startswith("FAILED"))
    assert "http=404" in told and "credentials: refused: The role alias must be" in told
    iot_server.create_key("--allow", "kinesisvideo:*", "--stream", OWN, "--access-key-id", gone,
                          "--secret-access-key", "unused")
    stats, told = producer.finish(camera)
    assert stats["frames"] == stats["persisted"] > 0, told


def test_a_session_lasts_as_long_as_the_role_behind_its_key(make_server, authority, yard):
    server = make_server(args=iot_args(authority))
    server.create_stream("yard")
    media.upload(server, "yard", mkv.capture(producer.FILE))
    role = server.create_key("--allow", "kinesisvideo:*", "--stream", OWN).id
    key = certificates.key_of(server, yard, role)
    url = hls.open_session(server, "yard", client=server.client("kinesis-video-archived-media", key=key))
    assert hls.get(url).status == 200
    kinema.run("credentials", "revoke", role, "--data", server.data)
    assert hls.get(url).status == 403
