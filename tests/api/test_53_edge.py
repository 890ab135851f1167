# SPDX-License-Identifier: Apache-2.0
"""AWS's edge configurations set up the server's own cameras, and schedules say when they record."""

import calendar
import subprocess
import time

import control
import kinema
import media
import put_media
import pytest
import rtsp
from test_52_cameras import add, assert_stored_as_sent, make_camera, remove  # noqa: F401

HUB = "arn:aws:iot:us-east-1:000000000000:thing/hub"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
NOBODY = "rtsp://127.0.0.1:1/x"
FAR = {"ScheduleExpression": "0 0 0 1 1 ? 2099", "DurationInSeconds": 60}
ALWAYS = {"ScheduleExpression": "* * * * * ?", "DurationInSeconds": 60}


def config(secret, schedule=None, hub=HUB, **members):
    source = {"MediaUriSecretArn": secret if ":" in secret else SECRET + secret,
              "MediaUriType": "RTSP_URI"}
    recorder = {"MediaSourceConfig": source}
    if schedule:
        recorder["ScheduleConfig"] = schedule
    return {"HubDeviceArn": hub, "RecorderConfig": recorder, **members}


def start(server, stream, edge, **options):
    return control.post(server, "/startEdgeConfigurationUpdate",
                        {"StreamName": stream, "EdgeConfig": edge}, **options)


def describe(server, stream):
    status, _, answer = control.post(server, "/describeEdgeConfiguration", {"StreamName": stream})
    assert status == 200, answer
    return answer


def secret(server, name, url, *args):
    return kinema.run("camera", "secret", "put", name, url, "--data", server.data,
                      *args).stdout.strip()


def until_synced(server, stream):
    deadline = time.monotonic() + rtsp.PATIENCE_S
    while (answer := describe(server, stream))["SyncStatus"] != "IN_SYNC":
        assert answer["SyncStatus"] == "SYNCING", answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def cron_at(seconds):
    return time.strftime("%S %M %H %d %m ? %Y", time.gmtime(seconds))


# --- a configuration -------------------------------------------------------------------------------
def test_an_edge_configuration_records_a_camera_and_survives_a_restart(make_server, make_camera):
    server = make_server()
    camera, stream = make_camera(), server.create_stream()
    arn = secret(server, "door", camera.url)
    assert arn == SECRET + "door"
    edge = config(arn, ALWAYS, UploaderConfig={"ScheduleConfig": FAR}, DeletionConfig={
        "EdgeRetentionInHours": 48, "DeleteAfterUpload": False,
        "LocalSizeConfig": {"MaxLocalMediaSizeInMB": 64,
                            "StrategyOnFullSize": "DELETE_OLDEST_MEDIA"}})
    status, _, answer = start(server, stream, edge)
    assert (status, answer["SyncStatus"], answer["EdgeConfig"]) == (200, "SYNCING", edge)
    rtsp.recorded(server, stream)
    answer = until_synced(server, stream)
    assert answer["EdgeConfig"] == edge and answer["StreamName"] == stream
    assert answer["StreamARN"] == server.kvs().describe_stream(
        StreamName=stream)["StreamInfo"]["StreamARN"]
    assert answer["CreationTime"] <= answer["LastUpdatedTime"] <= time.time() + 60
    jobs = answer["EdgeAgentStatus"]
    assert jobs["LastRecorderStatus"]["RecorderStatus"] == "SUCCESS"
    assert jobs["LastUploaderStatus"]["UploaderStatus"] == "SUCCESS"
    assert jobs["LastRecorderStatus"]["LastCollectedTime"] >= answer["CreationTime"] - 60
    _, kept = rtsp.call(server, "DescribeRetention", StreamName=stream)
    assert (kept["DataRetentionInHours"], kept["MaxBytes"]) == (48, 64 << 20)
    shown = rtsp.camera(server, stream)
    assert (shown["SecretName"], shown["Schedule"], shown["Url"]) == ("door", ALWAYS, camera.url)
    server.restart()
    rtsp.recorded(server, stream)
    assert until_synced(server, stream)["EdgeConfig"] == edge
    assert rtsp.call(server, "DeleteCameraSecret", SecretName="door")[0] == 400, "it is in use"
    assert control.post(server, "/deleteEdgeConfiguration", {"StreamName": stream})[::2] == (200, {})
    assert rtsp.call(server, "DescribeCamera", StreamName=stream)[0] == 404
    assert rtsp.stored(server, stream)[1], "what was recorded stays"
    assert rtsp.call(server, "DeleteCameraSecret", SecretName="door")[0] == 200
    server.stop()
    assert camera.url not in server.log()


def test_a_camera_that_was_added_is_a_configuration_too_and_keeps_its_url(server):
    stream = server.create_stream()
    add(server, stream, NOBODY, "--tls", "verify", "--transport", "udp")
    edge = describe(server, stream)["EdgeConfig"]
    assert edge["HubDeviceArn"].endswith(":thing/kinema")
    own = edge["RecorderConfig"]["MediaSourceConfig"]["MediaUriSecretArn"]
    assert own == f"{SECRET}kinema-camera.{stream}"
    status, _, answer = start(server, stream, config(own, FAR))
    assert status == 200 and answer["EdgeConfig"] == config(own, FAR)
    shown = rtsp.camera(server, stream)
    assert (shown["Url"], shown["Transport"], shown["Tls"]) == (NOBODY, "UDP", "VERIFY")
    assert "SecretName" not in shown and shown["State"] == "RESTING"
    secret(server, "other", "rtsp://127.0.0.1:1/other")
    assert start(server, stream, config("other"))[0] == 200
    assert rtsp.camera(server, stream)["Url"] == "rtsp://127.0.0.1:1/other"
    add(server, stream, NOBODY)  # by our own door again: the hub stays, the secret goes
    assert describe(server, stream)["EdgeConfig"] == config(own)
    other = server.create_stream()
    assert start(server, other, config(own))[0] == 400, "the URL of another stream's camera"
    assert rtsp.call(server, "PutCameraSecret", SecretName=f"kinema-camera.{other}",
                     Url=NOBODY)[0] == 400
    remove(server, stream)


def test_a_secret_that_changes_connects_its_cameras_anew(server, make_camera):
    camera, stream, name = make_camera(), server.create_stream(), kinema.new_name("secret")
    secret(server, name, NOBODY)
    assert start(server, stream, config(name))[0] == 200
    rtsp.until(server, stream, lambda now: now.get("Fault") == "unreachable")
    assert describe(server, stream)["EdgeAgentStatus"]["LastRecorderStatus"][
        "RecorderStatus"] == "SYSTEM_ERROR"
    secret(server, name, camera.url)
    rtsp.recorded(server, stream)
    remove(server, stream)
    assert_stored_as_sent(server, stream, camera)


def test_a_full_stream_that_denies_new_media_rests_and_keeps_what_it_has(server, make_camera):
    camera, stream, name = make_camera(), server.create_stream(), kinema.new_name("secret")
    secret(server, name, camera.url)
    with media.open_upload(server, stream) as upload:  # 68 MB
        upload.send(put_media.header())
        for at in range(2):
            blocks = [put_media.block(time, b"x" * (4 << 20), key=time == 0) for time in range(0, 680, 80)]
            upload.send(put_media.cluster(1_700_000_000_000 + 1000 * at, b"".join(blocks)))
        upload.finish()

    def keep(megabytes):
        strategy = {"MaxLocalMediaSizeInMB": megabytes, "StrategyOnFullSize": "DENY_NEW_MEDIA"}
        assert start(server, stream, config(name, DeletionConfig={"LocalSizeConfig": strategy}))[0] == 200
        return strategy

    strategy = keep(64)
    now = rtsp.until(server, stream, lambda camera: camera.get("Fault") == "full")
    assert now["State"] == "RESTING"
    shown = describe(server, stream)
    assert shown["EdgeConfig"]["DeletionConfig"]["LocalSizeConfig"] == strategy
    assert shown["EdgeAgentStatus"]["LastRecorderStatus"]["RecorderStatus"] == "USER_ERROR"
    assert rtsp.call(server, "DescribeRetention", StreamName=stream)[1]["MaxBytes"] == 0, "nothing is deleted"
    keep(2000)
    rtsp.recorded(server, stream, 1)
    keep(64)
    rtsp.until(server, stream, lambda camera: camera["State"] == "RESTING" and camera.get("Fault") == "full")
    remove(server, stream)
    assert len(rtsp.stored(server, stream)[1]) >= 3


def test_faults_are_the_ones_aws_documents(server, stream):
    secret(server, "fine", NOBODY)
    unkept = server.create_stream(hours=0)

    def refused(edge, words, where=stream, code=400, fault="InvalidArgumentException"):
        status, got, answer = start(server, where, edge)
        assert (status, got) == (code, fault) and words in answer["Message"], answer

    refused(config("fine"), "not found", "nobody", 404, "ResourceNotFoundException")
    refused(config("fine"), "retention", unkept, 400, "NoDataRetentionException")
    refused(config("none"), "names no secret")
    refused(config("x" * 300), "names no secret")
    refused(config("fine", {"ScheduleExpression": "0 0 25 * * ?", "DurationInSeconds": 60}), "hours")
    refused(config("fine", {"ScheduleExpression": "0 0 8 * * ? 2001", "DurationInSeconds": 60}),
            "never begins")
    refused(config("fine", UploaderConfig={"ScheduleConfig": {
        "ScheduleExpression": "0 0 8 * * *", "DurationInSeconds": 60}}), "UploaderConfig")
    file = config("fine")
    file["RecorderConfig"]["MediaSourceConfig"]["MediaUriType"] = "FILE_URI"
    refused(file, "RTSP_URI")
    refused(config("fine", DeletionConfig={"LocalSizeConfig": {
        "StrategyOnFullSize": "DENY_NEW_MEDIA"}}), "MaxLocalMediaSizeInMB")
    _, kept = rtsp.call(server, "DescribeRetention", StreamName=stream)
    assert (kept["DataRetentionInHours"], kept["MaxBytes"]) == (24, 0), "nothing has changed"
    for path in ("/describeEdgeConfiguration", "/deleteEdgeConfiguration"):
        for where, fault in ((stream, "StreamEdgeConfigurationNotFoundException"),
                             ("nobody", "ResourceNotFoundException")):
            assert control.post(server, path, {"StreamName": where})[:2] == (404, fault)


def test_a_key_of_all_of_aws_uses_secrets_and_cannot_set_them(server, stream):
    key = server.create_key("--allow", "kinesisvideo:*")
    secret(server, "used", NOBODY)
    status, _, _ = control.post(server, "/kinema/v1/putCameraSecret",
                                {"SecretName": "used", "Url": "rtsp://127.0.0.1:1/y"}, key=key)
    assert status == 403
    assert start(server, stream, config("used", FAR), key=key)[0] == 200
    remove(server, stream)


def test_configurations_of_a_hub_and_secrets_are_listed_in_pages(make_server):
    server = make_server()
    names = sorted(kinema.new_name() for _ in range(7))
    for name in names:
        server.create_stream(name)
        secret(server, name, f"rtsp://viewer:geheim@127.0.0.1:1/{name}?pass=geheim")
        hub = HUB if name != names[3] else HUB + "-2"
        assert start(server, name, config(name, FAR, hub=hub))[0] == 200
    found, token = [], {}
    while True:
        status, _, answer = control.post(server, "/listEdgeAgentConfigurations",
                                         {"HubDeviceArn": HUB, **token})
        assert status == 200 and len(answer["EdgeConfigs"]) <= 5, answer
        found += answer["EdgeConfigs"]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert [one["StreamName"] for one in found] == names[:3] + names[4:]
    assert all(one["EdgeConfig"] == config(one["StreamName"], FAR) for one in found)
    assert control.post(server, "/listEdgeAgentConfigurations",
                        {"HubDeviceArn": HUB, "NextToken": "x"})[0] == 400
    listed, token = [], {}
    while True:
        _, answer = rtsp.call(server, "ListCameraSecrets", MaxResults=3, **token)
        listed += answer["Secrets"]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert [one["SecretName"] for one in listed] == names
    assert all(one["UserName"] == "viewer" and one["Url"] == f"rtsp://127.0.0.1:1/{name}"
               for one, name in zip(listed, names))
    said = kinema.run("camera", "secret", "list", "--data", server.data).stdout
    assert [line.split()[0] for line in said.splitlines()] == names and "geheim" not in said
    for name in names:
        remove(server, name)
        kinema.run("camera", "secret", "rm", name, "--data", server.data)
    assert rtsp.call(server, "ListCameraSecrets")[1] == {"Secrets": []}


# --- schedules -------------------------------------------------------------------------------------
def test_a_camera_outside_its_schedule_is_left_alone(make_server):
    server = make_server()
    add(server, "yard", NOBODY, "--schedule", FAR["ScheduleExpression"], "--duration", 60)
    shown = rtsp.camera(server, "yard")
    assert (shown["State"], shown["Schedule"]) == ("RESTING", FAR)
    assert shown["NextStartTime"] == calendar.timegm((2099, 1, 1, 0, 0, 0))
    assert rtsp.child_of(server) == [], "no process is started for it"
    said = kinema.run("camera", "list", "--data", server.data).stdout
    assert "RESTING" in said and "2099-01-01T00:00:00" in said
    assert add(server, "yard", NOBODY, "--schedule", "8 o'clock", check=False).returncode == 1
    assert rtsp.camera(server, "yard")["Schedule"] == FAR


def test_a_camera_is_recorded_from_when_its_window_opens(server, make_camera):
    camera, stream = make_camera(), kinema.new_name()
    opens = int(time.time()) + 3
    add(server, stream, camera.url, "--schedule", cron_at(opens), "--duration", 3600)
    rtsp.recorded(server, stream)
    remove(server, stream)
    assert_stored_as_sent(server, stream, camera)
    listed = server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "SERVER_TIMESTAMP",
        "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": time.time() + 60}})["Fragments"]
    assert min(one["ServerTimestamp"].timestamp() for one in listed) >= opens


def test_the_upload_ends_in_order_when_the_window_closes(server, make_camera):
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    closes = int(time.time()) + 3
    add(server, stream, camera.url, "--schedule", cron_at(closes - 60) + "/70", "--duration", 60)
    rtsp.until(server, stream, lambda now: now["State"] == "RESTING")
    assert time.time() >= closes - 1
    assert_stored_as_sent(server, stream, camera)
    add(server, stream, camera.url)  # always, again
    rtsp.until(server, stream, lambda now: now["State"] == "RECORDING")
    remove(server, stream)


# --- certificates ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Of 127.0.0.1, signed by itself: (certificate, with its key)."""
    folder = tmp_path_factory.mktemp("camera-tls")
    cert, key, both = folder / "cert.pem", folder / "key.pem", folder / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=camera", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    return cert, both


def test_a_certificate_is_verified_where_that_is_asked_for(server, make_server, make_camera,
                                                           certificate):
    cert, both = certificate
    camera, stream = make_camera("--tls", both), kinema.new_name()
    add(server, stream, camera.url, "--tls", "verify")
    now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
    assert (now["Fault"], now["State"], now["Tls"]) == ("untrusted", "WAITING", "VERIFY")
    assert describe(server, stream)["EdgeAgentStatus"]["LastRecorderStatus"][
        "RecorderStatus"] == "USER_ERROR"
    remove(server, stream)
    trusting = make_server(args=["--camera-ca-file", cert])
    add(trusting, stream, camera.url, "--tls", "verify")
    rtsp.recorded(trusting, stream)
    remove(trusting, stream)
    assert_stored_as_sent(trusting, stream, camera)


def test_a_file_of_signers_that_is_not_there_is_said_at_the_start(tmp_path):
    with pytest.raises(kinema.StartFailed) as failed:
        kinema.Server(data=tmp_path / "data", args=["--camera-ca-file", tmp_path / "none.pem"])
    assert "camera_ca_file" in failed.value.log
