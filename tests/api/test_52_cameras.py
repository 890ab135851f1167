# SPDX-License-Identifier: Apache-2.0
"""Cameras that the server fetches by RTSP: what they send is what is stored, whatever they speak."""

import os
import subprocess

import botocore.exceptions
import console
import control
import hls
import kinema
import pytest
import rtsp

TRIES = 5


@pytest.fixture
def make_camera():
    cameras = []

    def make(*options, **fields):
        cameras.append(rtsp.Camera(*options, **fields))
        return cameras[-1]

    yield make
    for one in cameras:
        one.kill()


def add(server, stream, url, *args, check=True, password=None):
    env = {"KINEMA_CAMERA_PASSWORD": password} if password else None
    return kinema.run("camera", "add", stream, url, "--data", server.data, *args, check=check, env=env)


def remove(server, stream):
    return kinema.run("camera", "rm", stream, "--data", server.data)


def record(server, make_camera, *options, args=(), tries=TRIES):
    """A camera of which some is recorded, and its stream. If this machine was too slow for datagrams, which
    the server says, another one is."""
    for _ in range(tries):
        camera, stream = make_camera(*options), kinema.new_name()
        add(server, stream, camera.url, *args)
        lost = rtsp.recorded(server, stream)["LostFrameCount"]
        remove(server, stream)
        if not lost:
            break
        camera.kill()
    return camera, stream


def assert_stored_as_sent(server, stream, camera, track=1, least=15):
    """What is stored is an unbroken part of what was sent."""
    _, documents = rtsp.stored(server, stream)
    found = rtsp.hashes(documents, track)
    assert len(found) >= least
    sent = list(camera.frames)  # the first frame comes twice where the camera begins anew with PLAY
    starts = [at for at, frame in enumerate(sent) if frame == found[0]]
    assert any(found == sent[at:at + len(found)] for at in starts)
    return documents


@pytest.mark.parametrize("url", ["", "notaurl", "http://10.0.0.20/stream1"])
@pytest.mark.parametrize("words", [("add", "yard"), ("secret", "put", "yard")], ids=["add", "secret"])
def test_what_is_no_url_is_told_with_an_example_of_one(server, words, url):
    done = kinema.run("camera", *words, url, "--data", server.data, check=False)
    assert done.returncode == 1
    assert done.stderr == ("kinema: Url: a camera's URL begins with rtsp://, rtsps:// or file://, "
                           "as in rtsp://10.0.0.20/stream1.\n")


@pytest.mark.parametrize("transport", ["tcp", "udp", "tunnel"])
def test_each_transport_brings_every_frame_as_it_was_sent(server, make_camera, transport):
    camera, stream = record(server, make_camera,
                            args=("--transport", {"tunnel": "http"}.get(transport, transport)),
                            tries=TRIES if transport == "udp" else 1)
    documents = assert_stored_as_sent(server, stream, camera)
    assert b"A_MS/ACM" in documents[0].data, "G.711 is kept"
    assert rtsp.hashes(documents, 2), "and its frames"


@pytest.mark.parametrize("video, audio, codecs", [
    ("h264", "pcmu", ["V_MPEG4/ISO/AVC", "A_MS/ACM"]),
    ("h264", "aac", ["V_MPEG4/ISO/AVC", "A_AAC"]),
    ("h265", "opus", ["V_MPEGH/ISO/HEVC", "A_OPUS"]),
])
def test_codecs_are_stored_as_matroska_names_them(server, make_camera, tmp_path, video, audio, codecs):
    camera, stream = make_camera("--video", video, "--audio", audio), kinema.new_name()
    add(server, stream, camera.url)
    now = rtsp.recorded(server, stream)
    assert [track["CodecId"] for track in now["Tracks"]] == codecs
    assert (now["Tracks"][0]["Width"], now["Tracks"][0]["Height"]) == (160, 120)
    remove(server, stream)
    documents = assert_stored_as_sent(server, stream, camera)
    one = max(documents, key=lambda document: len(document.frames))
    (tmp_path / "one.mkv").write_bytes(one.data)
    for kind, least in (("v", len(rtsp.hashes([one]))), ("a", 1)):
        done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", tmp_path / "one.mkv",
                               "-map", f"0:{kind}", "-fps_mode", "passthrough", "-f",
                               "framemd5", "-"],
                              capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert len([line for line in done.stdout.splitlines() if line[0] != "#"]) >= least


def test_the_console_shows_the_picture_whatever_the_sound(server, make_camera):
    """AWS refuses G.711 in HLS, and so does GetHLSStreamingSessionURL."""
    camera, stream = make_camera("--audio", "pcmu"), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    browser = console.Browser(server)
    assert browser.login(server.key)[0] == 200
    status, play = browser.post(f"/kinema/v1/streams/{stream}/play", {"mode": "LIVE"})
    assert status == 200, play
    master = hls.get(play["url"])
    assert master.status == 200 and b'CODECS="avc1.' in master.body and b"mp4a" not in master.body
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        server.archived(stream, "GET_HLS_STREAMING_SESSION_URL").get_hls_streaming_session_url(
            StreamName=stream)
    assert refused.value.response["Error"]["Code"] == "UnsupportedStreamMediaTypeException"
    remove(server, stream)


def test_pictures_that_are_shown_in_another_order_than_sent(server, make_camera):
    camera, stream = make_camera("--bframes", 2, "--gop", 10, "--audio", "none"), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    remove(server, stream)
    assert_stored_as_sent(server, stream, camera)


def test_a_stream_that_cannot_be_stored_is_named_and_the_others_are_kept(server, make_camera):
    camera, stream = make_camera("--audio", "g726"), kinema.new_name()
    add(server, stream, camera.url)
    now = rtsp.recorded(server, stream, 1)
    assert now["LeftOut"].startswith("audio G726")
    assert [track["CodecId"] for track in now["Tracks"]] == ["V_MPEG4/ISO/AVC"]
    remove(server, stream)


@pytest.mark.parametrize("how", ["basic", "digest"])
def test_a_password_opens_a_camera_and_is_never_shown(make_server, make_camera, how):
    password, wrong = "geheim-x7q", "falsch-k2w"
    server = make_server()
    camera, stream = make_camera(f"--{how}", f"viewer:{password}"), kinema.new_name()
    add(server, stream, camera.with_credentials("viewer", wrong))
    now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
    assert (now["Fault"], now["State"]) == ("unauthorized", "WAITING")
    add(server, stream, camera.url, "--user", "viewer", password=password)
    now = rtsp.recorded(server, stream)
    assert (now["Url"], now["UserName"]) == (camera.url, "viewer")
    remove(server, stream)
    add(server, stream, camera.with_credentials("viewer", password))
    server.stop()
    assert password not in server.log() and wrong not in server.log()
    for folder, _, files in os.walk(server.data):
        for name in set(files) - {"kinema.sock"}:
            with open(os.path.join(folder, name), "rb") as file:
                held = file.read()
            assert password.encode() not in held and wrong.encode() not in held, name


def test_media_in_srtp(server, make_camera):
    camera, stream = record(server, make_camera, "--srtp")
    assert_stored_as_sent(server, stream, camera)


def test_rtsps(tls_server, make_camera, tmp_path):
    folder = tls_server.data / "tls"
    both = tmp_path / "both.pem"
    both.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    camera, stream = make_camera("--tls", both), kinema.new_name()
    assert camera.url.startswith("rtsps://")
    add(tls_server, stream, camera.url)
    rtsp.recorded(tls_server, stream)
    remove(tls_server, stream)
    assert_stored_as_sent(tls_server, stream, camera)


# --- the control surface ---------------------------------------------------------------------------
def test_bad_input_is_named(server, stream):
    for url, words in (("http://camera/", "rtsp://"), ("rtsp:///path", "a host"),
                       ("rtsp://a b/", "blanks"), ("rtsp://h/" + "x" * 2100, "2048"),
                       ("rtsp://u:%zz@h/", "escaped")):
        status, answer = rtsp.call(server, "PutCamera", StreamName=stream, Url=url)
        assert status == 400 and words in answer["Message"], answer
    for operation, members in (("PutCamera", {"Url": "rtsp://h/"}), ("DescribeCamera", {}),
                               ("DeleteCamera", {})):
        assert rtsp.call(server, operation, StreamName="nobody", **members)[0] == 404
    assert rtsp.call(server, "DescribeCamera", StreamName=stream)[0] == 404
    assert rtsp.call(server, "DeleteCamera", StreamName=stream)[0] == 404
    assert add(server, "fresh", "ftp://x", check=False).returncode == 1
    assert control.post(server, "/describeStream", {"StreamName": "fresh"})[0] == 404, "not made"


def test_a_key_that_may_do_all_of_aws_may_not_set_cameras(server, stream):
    key = server.create_key("--allow", "kinesisvideo:*")
    status, _, answer = control.post(server, "/kinema/v1/putCamera",
                                     {"StreamName": stream, "Url": "rtsp://127.0.0.1:1/"}, key=key)
    assert status == 403, answer


def test_cameras_are_listed_by_name_in_pages(make_server):
    server = make_server()
    names = sorted(kinema.new_name() for _ in range(5))
    for name in names:
        add(server, name, "rtsp://127.0.0.1:1/x?password=word")
    found, token = [], {}
    while True:
        _, answer = rtsp.call(server, "ListCameras", MaxResults=2, **token)
        found += [camera["StreamName"] for camera in answer["Cameras"]]
        assert all(camera["Url"] == "rtsp://127.0.0.1:1/x" for camera in answer["Cameras"])
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert found == names
    assert rtsp.call(server, "ListCameras", NextToken="x")[0] == 400
    said = kinema.run("camera", "list", "--data", server.data).stdout
    assert [line.split()[0] for line in said.splitlines()] == names


def test_a_probe_says_what_a_camera_offers(make_camera):
    env = {"LSAN_OPTIONS": f"suppressions={kinema.ROOT}/tests/lsan.supp:print_suppressions=0",
           "ASAN_OPTIONS": "fast_unwind_on_malloc=0"}
    camera = make_camera()
    for seconds in (3, 10, 30):  # so long it looks, and a slow machine's camera may need longer to begin
        done = kinema.run("camera", "probe", camera.url, "--seconds", seconds, env=env, check=False)
        if done.returncode == 0:
            break
    assert '"ok":true' in done.stdout and '"V_MPEG4/ISO/AVC","width":160' in done.stdout
    assert '"A_MS/ACM"' in done.stdout
    done = kinema.run("camera", "probe", camera.url + "/none", env=env, check=False)
    assert done.returncode == 1 and '"not_found"' in done.stdout
    done = kinema.run("camera", "probe", "http://x", env=env, check=False)
    assert done.returncode == 2
