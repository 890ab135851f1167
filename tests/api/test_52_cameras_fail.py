# SPDX-License-Identifier: Apache-2.0
"""Cameras, their link, the process that talks to them and the server itself end at any time."""

import os
import signal
import time

import kinema
import media
import mkv
import pytest
import rtsp
from rtsp_peer import Raw
from test_52_cameras import add, make_camera, remove  # noqa: F401


def until_gone(pid, patience_s=60):
    deadline = time.monotonic() + patience_s
    while os.path.exists(f"/proc/{pid}"):
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().split(")")[1].split()[0] == "Z":
                return
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)


def test_a_camera_that_comes_back_is_recorded_again(server, make_camera):
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    camera.kill()
    now = rtsp.until(server, stream, lambda camera: camera["State"] != "RECORDING")
    assert now["Fault"] in ("unreachable", "ended", "broken", "stalled")
    before = rtsp.camera(server, stream)["FragmentCount"]
    camera.start()
    now = rtsp.recorded(server, stream, before + 2)
    assert now["State"] == "RECORDING" and now["ReconnectCount"] > 0
    remove(server, stream)


def test_a_camera_that_falls_silent_is_connected_to_anew(make_server, make_camera):
    server = make_server(args=["--camera-timeout-ms", 1000])
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    camera.process.send_signal(signal.SIGSTOP)
    now = rtsp.until(server, stream, lambda camera: camera["State"] != "RECORDING")
    assert now["Fault"] in ("stalled", "unreachable")
    camera.process.send_signal(signal.SIGCONT)
    before = rtsp.camera(server, stream)["FragmentCount"]
    rtsp.recorded(server, stream, before + 2)


def test_a_process_that_dies_costs_a_reconnect_and_nobody_else_anything(make_server, make_camera,
                                                                        capture):
    server = make_server(args=["--camera-workers", 1])
    camera, stream, other = make_camera(), kinema.new_name(), server.create_stream()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    for _ in range(2):
        (pid,) = rtsp.child_of(server)
        os.kill(pid, signal.SIGKILL)
        rtsp.until(server, stream, lambda camera: camera["FragmentCount"] < 3)
        rtsp.recorded(server, stream)
    media.upload(server, other, capture)
    # From the second time on it has a process of its own, and costs no other camera anything.
    add(server, other, camera.url)
    rtsp.recorded(server, other)
    own, shared = sorted(rtsp.child_of(server))
    before = rtsp.camera(server, stream)["FragmentCount"]
    os.kill(shared, signal.SIGKILL)
    rtsp.until(server, other, lambda camera: camera["FragmentCount"] < 3)
    rtsp.recorded(server, other)
    now = rtsp.camera(server, stream)
    assert now["FragmentCount"] >= before and now["State"] == "RECORDING"
    assert own in rtsp.child_of(server)
    assert server.process.poll() is None


def test_a_process_that_hangs_is_begun_anew(make_server, make_camera):
    server = make_server(args=["--camera-workers", 1, "--rtsp", "127.0.0.1:0"])
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    children = rtsp.child_of(server)
    assert len(children) == 2  # one for cameras, and the RTSP listener
    assert Raw(server).ask("OPTIONS", "x")[0] == 200
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    server.wait_log("camera_worker_ended .*did not answer any more")
    server.wait_log("rtsp_worker_ended .*did not answer any more")
    for pid in children:
        until_gone(pid)
    rtsp.until(server, stream, lambda camera: camera["FragmentCount"] < 3)
    rtsp.recorded(server, stream)
    assert Raw(server).ask("OPTIONS", "x")[0] == 200


def test_cameras_are_there_again_after_a_restart_and_end_with_the_server(make_server, make_camera):
    server = make_server()
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream)
    for hard in (False, True):
        (pid,) = rtsp.child_of(server)
        server.restart(hard=hard)
        until_gone(pid)
        rtsp.recorded(server, stream)
    _, documents = rtsp.stored(server, stream)
    assert rtsp.hashes(documents)


def test_a_stream_that_is_deleted_takes_its_camera_with_it(make_server, make_camera):
    server = make_server()
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream, 1)
    arn = server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    server.kvs().delete_stream(StreamARN=arn)
    deadline = time.monotonic() + rtsp.PATIENCE_S
    while rtsp.call(server, "ListCameras")[1]["Cameras"]:
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.1)
    server.restart()
    assert rtsp.call(server, "ListCameras")[1]["Cameras"] == []


def test_another_camera_key_costs_the_cameras_and_not_the_start(make_server):
    server = make_server()
    stream = kinema.new_name()
    add(server, stream, "rtsp://127.0.0.1:1/x")
    server.stop()
    (server.data / "camera.key").unlink()
    server.start()
    server.wait_log("camera_unreadable")
    assert rtsp.call(server, "ListCameras")[1]["Cameras"] == []
    add(server, stream, "rtsp://127.0.0.1:1/y")
    assert rtsp.camera(server, stream)["Url"].endswith("/y")


@pytest.fixture
def capture():
    return mkv.capture(kinema.CAPTURES / "c164_h264_abs_eofr_meta.mkv")
