# SPDX-License-Identifier: Apache-2.0
"""ONVIF's metadata of a camera: kept as it is, and in nobody's way (docs/cameras.md)."""

import json
import subprocess

import pytest

import dash
import hls
import kinema
import rtsp
import rtsp_script
from test_45_clip import get_clip, save

PICTURES, DOCUMENTS = 1, 2  # tracks


@pytest.fixture
def make_camera():
    cameras = []

    def make(**fields):
        cameras.append(rtsp_script.Camera(**fields))
        return cameras[-1]

    yield make
    for one in cameras:
        one.kill()


def add(server, stream, camera, how="tcp"):
    kinema.run("camera", "add", stream, camera.url, "--transport", how, "--data", server.data)


def remove(server, stream):
    kinema.run("camera", "rm", stream, "--data", server.data)


def is_part_of(found, sent):
    """Each is one that was sent, in their order; datagrams may be lost between them."""
    rest = iter(sent)
    return all(one in rest for one in found)


def read_until(payload, wanted):
    seen = b""
    while wanted not in seen:
        more = payload.read(256)
        assert more, "GetMedia has ended"
        seen += more


@pytest.mark.parametrize("how", ["tcp", "udp"])
def test_documents_come_back_byte_for_byte_and_no_player_minds_them(server, make_camera, tmp_path, how):
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera, how)
    now = rtsp.recorded(server, stream, 3)
    remove(server, stream)
    assert [track["CodecId"] for track in now["Tracks"]] == ["V_MPEG4/ISO/AVC", "D_ONVIF/METADATA"]
    assert "LeftOut" not in now
    data, parts = rtsp.stored(server, stream)
    frames, documents = rtsp.hashes(parts, PICTURES), rtsp.hashes(parts, DOCUMENTS)
    assert len(frames) >= 30 and is_part_of(frames, list(camera.frames))
    assert len(documents) >= 10 and is_part_of(documents, list(camera.documents))
    if how == "tcp":  # none is missing
        first = camera.documents.index(documents[0])
        assert documents == camera.documents[first:first + len(documents)]
    one = next(frame.payload for part in parts for frame in part.frames
               if frame.track == DOCUMENTS and len(frame.payload) > 1000)
    assert one.startswith(b"<?xml") and one in data
    body = server.media(stream).get_media(StreamName=stream, StartSelector={"StartSelectorType": "EARLIEST"})["Payload"]
    read_until(body, one)
    body.close()
    assert_players_pass_over_it(server, stream, tmp_path, len(frames))


def assert_players_pass_over_it(server, stream, tmp_path, pictures):
    session = hls.open_session(server, stream, **hls.produced(server, stream))
    assert b'CODECS="avc1.' in hls.get(session).body
    segments = hls.playlist(session).segments
    assert len(segments) >= 3 and all(hls.get(segment.url).status == 200 for segment in segments)
    (period,) = dash.manifest(dash.open_session(server, stream, **hls.produced(server, stream))).periods
    assert [one.kind for one in period.sets] == ["video"]
    found = hls.produced(server, stream)
    save(tmp_path / "clip.mp4", get_clip(server, stream, "PRODUCER_TIMESTAMP", found["times"]))
    shown = json.loads(subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", tmp_path / "clip.mp4"],
        capture_output=True, check=True).stdout)["streams"]
    assert [(one["codec_name"], int(one["nb_read_packets"])) for one in shown] == [("h264", pictures)]


@pytest.mark.parametrize("how", ["tcp", "udp"])
def test_a_stream_of_metadata_that_says_nothing_holds_no_picture_back(server, make_camera, how):
    camera, stream = make_camera(documents=False), kinema.new_name()
    add(server, stream, camera, how)
    now = rtsp.recorded(server, stream, 2)
    remove(server, stream)
    assert len(now["Tracks"]) == 2
    _, parts = rtsp.stored(server, stream)
    frames = rtsp.hashes(parts, PICTURES)
    assert is_part_of(frames, list(camera.frames))
    assert how == "udp" or frames[0] == camera.frames[0]
    assert not rtsp.hashes(parts, DOCUMENTS)


def test_a_camera_that_goes_on_to_send_metadata_alone_has_stalled(make_server, make_camera):
    server = make_server(args=["--camera-timeout-ms", 2000])
    camera, stream = make_camera(pictures_end_after=30), kinema.new_name()
    add(server, stream, camera)
    now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
    assert now["Fault"] == "stalled", now
