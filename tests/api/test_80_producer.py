# SPDX-License-Identifier: Apache-2.0
"""libkinema-producer through its sample upload-file: against this server, frames in = frames stored;
against a scripted stand-in that fails as a service may."""

import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

import certificates
import kinema
import media
import mkv
import stand_in

UPLOAD = os.environ.get("KINEMA_UPLOAD_FILE", pathlib.Path(kinema.BINARY).resolve().parent / "upload-file")
FILE = kinema.CAPTURES / "sink360_h264_aac_abs.mkv"
START_MS = 1_700_000_000_000
TIMEOUT_S = 120
CAMERA = ("--realtime", "--speed", 4)


def start(endpoint, stream, *args, env=None, file=FILE, within=()):
    return subprocess.Popen([*within, UPLOAD, "--endpoint", endpoint, "--stream", stream, "--start",
                             str(START_MS), *map(str, args), file], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env={
                                **kinema.clean_env({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                                                    "AWS_SECRET_ACCESS_KEY": "secret", **(env or {})}),
                                "LSAN_OPTIONS": "print_suppressions=0"})


def finish(process, code=0):
    """The counters of its last line, and what it told."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, out + err
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", out)}, err


def upload(endpoint, stream, *args, **options):
    return finish(start(endpoint, stream, *args, **options))


@pytest.fixture(scope="module")
def frames():
    """The file's frames: (track, payload), in order."""
    return [(f.track, f.payload) for one in mkv.capture(FILE).fragments for f in one.frames]


def frames_of(fragments):
    return [(f.track, f.payload) for one in fragments for f in one.frames]


def assert_whole(documents, frames, times=1):
    timecodes = [one.timecode for one in documents]
    assert timecodes == sorted(set(timecodes)), "a fragment is there twice, or not in its place"
    assert frames_of(documents) == frames * times


# --- this server -------------------------------------------------------------------------------
def test_a_file_arrives_byte_for_byte_and_its_stream_is_made(server, stream_name, frames):
    stats, told = upload(server.api, stream_name, "--hours", 48, "--tag", "door=open", "--end-fragments",
                         env=server.key.env())
    assert stats["frames"] == stats["persisted"] == len(frames) and stats["connections"] == 1, told
    documents = media.get_documents(server, stream_name)
    assert_whole(documents, frames)
    assert documents[0].timecode == START_MS
    info = server.kvs().describe_stream(StreamName=stream_name)["StreamInfo"]
    assert info["MediaType"] == "video/h264,audio/aac" and info["DataRetentionInHours"] == 48
    assert all(b"door" in one.cluster for one in documents)


def test_over_tls_with_a_certificate_of_ones_own(tls_server, stream_name, frames):
    upload(tls_server.endpoints["api-tls"], stream_name, "--ca", tls_server.certificate,
           env=tls_server.key.env())
    assert_whole(media.get_documents(tls_server, stream_name), frames)
    _, told = finish_failed(tls_server.endpoints["api-tls"], stream_name, env=tls_server.key.env())
    assert "FAILED" in told and "certificate" in told


def finish_failed(endpoint, stream, *args, **options):
    """Runs until it has told a failure, then ends it."""
    process = start(endpoint, stream, *args, **options)
    told = ""
    for line in process.stderr:
        told += line
        if line.startswith("FAILED"):
            break
    process.kill()
    process.communicate()
    return None, told


def test_a_wrong_key_is_said(server, stream_name):
    _, told = finish_failed(server.api, stream_name,
                            env={**server.key.env(), "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert "http=403" in told and "DescribeStream: refused" in told


def test_retention_0_is_done_with_received(server, stream_name, frames):
    stats, told = upload(server.api, stream_name, "--hours", 0, env=server.key.env())
    assert stats["persisted"] == len(frames) and "PERSISTED" not in told


def test_connections_are_renewed_between_fragments(server, stream_name, frames):
    stats, _ = upload(server.api, stream_name, "--session", 1, "--times", 3, env=server.key.env())
    assert stats["connections"] > 1 and stats["errors"] == 0
    assert_whole(media.get_documents(server, stream_name), frames, 3)


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
def test_a_camera_outlives_its_server_and_loses_nothing(make_server, stream_name, frames, hard):
    server = make_server()
    camera = start(server.api, stream_name, *CAMERA, "--times", 2, env=server.key.env())
    for line in camera.stderr:
        if line.startswith("PERSISTED"):
            break
    server.restart(hard=hard)
    stats, told = finish(camera)
    assert stats["connections"] > 1 and stats["lost"] == 0, told
    assert_whole(media.get_documents(server, stream_name), frames, 2)


# --- a line that breaks ------------------------------------------------------------------------
class Line:
    """A TCP line to a listener that can be cut, and swallow what is sent."""

    def __init__(self, target):
        self.target = target.split("//")[1].split(":")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.swallows, self.down, self.ends = False, False, []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            if self.down:
                near.close()
                continue
            far = socket.create_connection((self.target[0], int(self.target[1])))
            self.ends += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a, b):
        try:
            while data := a.recv(65536):
                if not self.swallows:
                    b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.ends = []


def through(line):
    """Makes a stand-in's or server's data endpoint the line."""
    return {"/getDataEndpoint": [(200, {"DataEndpoint": line.url})] * 100}


@pytest.mark.parametrize("swallows", [False, True], ids=["cut", "swallowing"])
def test_an_outage_costs_no_frame_and_no_fragment_twice(swallows, frames):
    with stand_in.StandIn() as service:
        line = Line(service.url)
        service.answers.update(through(line))
        camera = start(service.url, "yard", *CAMERA, "--times", 2, "--ack-timeout", 3000)
        for told in camera.stderr:
            if told.startswith("PERSISTED"):
                break
        line.down, line.swallows = True, swallows
        if not swallows:
            line.cut()
        for told in camera.stderr:
            if told.startswith("DISCONNECTED"):
                break
        line.down = line.swallows = False
        stats, told = finish(camera)
        assert stats["lost"] == 0 and stats["connections"] > 1, told
        assert_whole(service.persisted, frames, 2)


# --- a service that fails ----------------------------------------------------------------------
BEHAVIOURS = {
    "acks cut into bytes": [stand_in.split_acks],
    "503 four times": [stand_in.refused(503)] * 4,
    "403, 404 and 500": [stand_in.refused(s) for s in (403, 404, 500)],
    "closed at once, then after one": [stand_in.closed_after(0), stand_in.closed_after(1)],
    "the answer ends early": [stand_in.answer_ended],
    "INTERNAL_ERROR": [stand_in.error_at(1, 5000, ErrorCode="INTERNAL_ERROR")],
    "an error nobody knows": [stand_in.error_at(1, 9999)],
    "no JSON": [stand_in.says(b"<html>")],
    "an endless ack": [stand_in.says(b'{"EventType":"' + b"x" * 2000)],
    "no ack": [stand_in.silent],
}


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_whatever_happens_each_frame_is_kept_once(name, frames):
    with stand_in.StandIn(BEHAVIOURS[name]) as service:
        patience = 1500 if name == "no ack" else 60_000
        stats, told = upload(service.url, "yard", "--ack-timeout", patience)
        assert stats["frames"] == stats["persisted"] == len(frames) and stats["skipped"] == 0, told
        assert_whole(service.persisted, frames)
        wanted = len(BEHAVIOURS[name]) + (name != "acks cut into bytes")
        assert len(service.uploads) == wanted or (name == "no ack" and len(service.uploads) > wanted)


@pytest.mark.parametrize("count", [None, 0, 1])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_service_that_closes_its_side_is_noticed_at_once(tmp_path, frames, tls, count):
    context, args = None, ()
    if tls:
        certificates.issue(tmp_path, "stand-in")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        args = ("--ca", tmp_path / "cert.pem")
    with stand_in.StandIn([stand_in.half_closed_after(count)], tls=context) as service:
        stats, told = upload(service.url, "yard", *args, "--ack-timeout", 10_000_000)
        assert stats["frames"] == stats["persisted"] == len(frames) and stats["connections"] == 2, told
        assert_whole(service.persisted, frames)


def test_a_fragment_that_is_refused_for_good_is_given_up_alone(frames):
    with stand_in.StandIn([stand_in.error_at(1, 4006, ErrorCode="INVALID_MKV_DATA")]) as service:
        stats, told = finish(start(service.url, "yard"), code=1)
        assert stats["skipped"] == 1 and "error=4006 INVALID_MKV_DATA" in told
        theirs = mkv.capture(FILE).fragments
        assert frames_of(service.persisted) == frames_of([theirs[0], *theirs[2:]])


def test_control_calls_are_tried_again_and_then_remembered(frames):
    missing = (404, {"Message": "The requested stream is not found or not active."})
    creating = (200, {"StreamInfo": {"Status": "CREATING"}})
    answers = {"/describeStream": [(200, "junk"), missing, creating],
               "/createStream": [(400, {"Message": "The stream yard already exists."})],
               "/getDataEndpoint": [(200, {"DataEndpoint": 7})]}
    with stand_in.StandIn([stand_in.closed_after(1)], answers) as service:
        stats, told = upload(service.url, "yard")
        assert_whole(service.persisted, frames)
        paths = [path for path, _ in service.calls]
        assert paths[-1] == "/putMedia" and paths.count("/putMedia") == 2, "nothing is asked again"
        assert "CreateStream: refused: The stream yard already exists." in told


def test_an_upload_takes_no_connection_that_the_service_is_closing(frames):
    with stand_in.StandIn(hold=True) as service:
        stats, told = upload(service.url, "yard")
        assert stats["connections"] == 1 and stats["errors"] == 0, told
        assert len(service.uploads) == 1 and told.count("DISCONNECTED") == 1 and "all was sent" in told
        assert_whole(service.persisted, frames)


def test_a_replaced_key_serves_the_next_connection(tmp_path, frames):
    path = tmp_path / "key"
    path.write_text("CREDENTIALS FIRST secret")

    def replaced(service, one):
        (tmp_path / "new").write_text("CREDENTIALS SECOND 2035-01-01T00:00:00Z secret token")
        os.rename(tmp_path / "new", path)
        stand_in.closed_after(1)(service, one)

    with stand_in.StandIn([replaced]) as service:
        upload(service.url, "yard", "--credentials", path)
        assert_whole(service.persisted, frames)
        first, second = [one.head for one in service.uploads]
        assert "Credential=FIRST/" in first["authorization"] and "x-amz-security-token" not in first
        assert "Credential=SECOND/" in second["authorization"]
        assert second["x-amz-security-token"] == "token"


def test_a_camera_plays_at_the_files_own_pace():
    began = time.monotonic()
    with stand_in.StandIn() as service:
        stats, told = upload(service.url, "yard", "--realtime")
    assert stats["lost"] == 0 and time.monotonic() - began > 7, told


def test_a_key_that_expires_ends_its_connection_in_order(tmp_path, frames):
    path = tmp_path / "key"
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 31))
    path.write_text(f"CREDENTIALS FIRST {soon} secret token")
    with stand_in.StandIn() as service:
        stats, told = upload(service.url, "yard", "--credentials", path, *CAMERA)
        assert stats["connections"] > 1 and stats["errors"] == 0, told
        assert "DISCONNECTED" in told and "all was sent" in told
        assert_whole(service.persisted, frames)


def without(one, track):
    """A fragment's bytes without the frames of a track."""
    out, at = b"", 0
    while at < len(one.data):
        ident, size, head = mkv.element(one.data, at)
        end = at + head + (0 if ident == mkv.CLUSTER else size)
        if ident != mkv.SIMPLE_BLOCK or one.data[at + head] & 0x7F != track:
            out += one.data[at:end]
        at = end
    return out


def paused(tmp_path, count, silent):
    """A file of so many fragments of 2 s; those that are silent have no sound."""
    whole, path, data = mkv.capture(FILE), tmp_path / "pauses.mkv", b""
    start = whole.fragments[0].timecode
    for number in range(count):
        one = whole.fragments[number % 3]
        bare = without(one, 2) if number in silent else one.data
        data += bare.replace(b"\xe7\x88" + one.timecode.to_bytes(8, "big"),
                             b"\xe7\x88" + (start + 2000 * number).to_bytes(8, "big"), 1)
    path.write_bytes(whole.header + data)
    return path


@pytest.mark.parametrize("camera", [False, True], ids=["offline", "realtime"])
@pytest.mark.parametrize("seldom", [False, True], ids=["stops", "seldom"])
def test_sound_that_pauses_costs_no_picture_and_for_a_moment_no_connection(server, stream_name, tmp_path, seldom,
                                                                            camera):
    silent = range(1, 11, 2) if seldom else range(2, 7)
    path = paused(tmp_path, 12, silent)
    stats, told = upload(server.api, stream_name, *(("--realtime", "--speed", 8) if camera else ()), file=path,
                         env=server.key.env())
    assert stats["persisted"] == stats["frames"] and stats["lost"] == stats["skipped"] == 0, told
    documents = media.get_documents(server, stream_name)
    pictures, sound = ([f for f in frames_of(mkv.capture(path).fragments) if f[0] == track] for track in (1, 2))
    got = [f for f in frames_of(documents) if f[0] == 2]
    assert [f for f in frames_of(documents) if f[0] == 1] == pictures, told
    assert stats["connections"] == 1 if seldom else stats["connections"] in (2, 3), told
    if seldom or not camera:
        assert got == sound, told
    else:  # a fragment that is under way without sound stays so
        assert sound[0] in got and all(f in sound for f in got), told
    for one in documents:
        assert {f.track for f in one.frames} == ({1, 2} if b"A_AAC" in one.header else {1}), told


def test_a_small_buffer_waits_offline_and_spills_in_real_time(tmp_path, frames):
    with stand_in.StandIn([stand_in.refused(503)]) as service:
        stats, told = upload(service.url, "yard", "--buffer", 400_000)
        assert stats["lost"] == 0 and stats["persisted"] == len(frames), told
        assert_whole(service.persisted, frames)
    with stand_in.StandIn([stand_in.refused(503)] * 4) as service:
        stats, told = upload(service.url, "yard", "--buffer", 400_000, *CAMERA, "--spill",
                             tmp_path / "spill", "--spill-bytes", 4_000_000)
        assert stats["lost"] == 0 and "PRESSURE" in told, told
        assert_whole(service.persisted, frames)


def test_the_head_is_what_awss_own_producers_send():
    with stand_in.StandIn() as service:
        upload(service.url, "yard")
        head = service.uploads[0].head
    assert head["transfer-encoding"] == "chunked" and "expect" not in head
    assert head["x-amzn-fragment-timecode-type"] == "ABSOLUTE"
    assert head["x-amzn-fragment-acknowledgment-required"] == "1"
    assert re.fullmatch(r"\d+\.\d{3}", head["x-amzn-producer-start-timestamp"])
    assert ("SignedHeaders=connection;host;transfer-encoding;user-agent;x-amz-date;"
            "x-amzn-fragment-acknowledgment-required;x-amzn-fragment-timecode-type;"
            "x-amzn-producer-start-timestamp;x-amzn-stream-name,") in head["authorization"]
