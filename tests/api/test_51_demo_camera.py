# SPDX-License-Identifier: Apache-2.0
"""The demo camera in samples/: it makes its stream, is acknowledged, ends in order, and comes back by
itself after the server was stopped or killed, without a gap in what is kept."""

import os
import pathlib
import re
import select
import signal
import subprocess
import time

import kinema
import media
import pytest

CAMERA = os.environ.get("KINEMA_CAMERA_BINARY",
                        str(pathlib.Path(kinema.BINARY).parent / "demo-camera"))
GOP_MS = 1000
FPS = 10


class Camera:
    def __init__(self, server, stream, *args, env=None, within=()):
        """within: a command that runs it, such as one that puts it into a network of its own."""
        self.server, self.stream = server, stream
        self.process = subprocess.Popen(
            [*within, CAMERA, "--endpoint", server.api, "--stream", stream, "--size", "320x240", "--fps", str(FPS),
             "--kbit", "200", "--fragment", str(GOP_MS // 1000), *args],
            env={**kinema.clean_env(env or (server.key.env() if server.key else {})),
                 "ASAN_OPTIONS": "fast_unwind_on_malloc=0", # whole stacks: glib keeps no frame pointers
                 "LSAN_OPTIONS": f"suppressions={kinema.ROOT}/tests/lsan.supp:print_suppressions=0"},
            stderr=subprocess.PIPE)
        self.errors = ""

    def until(self, words, timeout=60):
        """Reads what the camera says until the words are in it."""
        deadline = time.monotonic() + timeout
        while words not in self.errors:
            left = deadline - time.monotonic()
            assert select.select([self.process.stderr], [], [], max(left, 0))[0], self.errors
            said = os.read(self.process.stderr.fileno(), 65536)
            assert said, f"it ended: {self.errors}"
            self.errors += said.decode()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.errors += self.process.communicate(timeout=60)[1].decode()
        return self.process.returncode


@pytest.fixture
def make_camera():
    cameras = []

    def make(*args, **options):
        cameras.append(Camera(*args, **options))
        return cameras[-1]

    yield make
    for camera in cameras:
        if camera.process.poll() is None:
            camera.process.kill()
            camera.process.communicate()


def fragments(server, stream):
    """Producer times in ms, in the order of the stream."""
    pages = server.archived(stream).get_paginator("list_fragments").paginate(
        StreamName=stream, FragmentSelector={
            "FragmentSelectorType": "SERVER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": time.time() + 3600}})
    found = [item for page in pages for item in page["Fragments"]]
    found.sort(key=lambda item: item["FragmentNumber"])
    return [round(item["ProducerTimestamp"].timestamp() * 1000) for item in found]


def assert_all_kept(camera, times):
    """Each fragment that the camera made is there, once, in order, with every picture of it. How far
    apart they are says nothing of a gap: short of processor time, a camera leaves pictures out before
    they are encoded, and its fragments then last longer."""
    assert times == sorted(set(times)), "a fragment is there twice"
    made = re.findall(r"made=(\d+) .*waiting=(\d+) .*dropped=(\d+)", camera.errors)[-1]
    assert made == (str(len(times)), "0", "0"), camera.errors
    documents = media.get_documents(camera.server, camera.stream)
    assert [d.timecode for d in documents] == times
    pictures = [[frame.key for frame in d.frames if frame.track == 1] for d in documents]
    whole = [True] + [False] * (FPS * GOP_MS // 1000 - 1)
    assert all(keys == whole for keys in pictures[:-1]), pictures
    assert pictures[-1] == whole[:len(pictures[-1])]


def wait_fragments(server, stream, count, timeout=60):
    deadline = time.monotonic() + timeout
    while True:
        names = [s["StreamName"] for s in server.kvs().list_streams()["StreamInfoList"]]
        times = fragments(server, stream) if stream in names else []
        if len(times) >= count:
            return times
        assert time.monotonic() < deadline, f"{len(times)} of {count} fragments came"
        time.sleep(0.2)


def test_it_makes_its_stream_and_ends_with_everything_kept(server, make_camera, stream_name):
    camera = make_camera(server, stream_name)
    wait_fragments(server, stream_name, 3)
    assert camera.stop() == 0, camera.errors
    info = server.kvs().describe_stream(StreamName=stream_name)["StreamInfo"]
    assert info["MediaType"] == "video/h264,audio/aac" and info["DataRetentionInHours"] == 24
    times = fragments(server, stream_name)
    assert abs(times[-1] - time.time() * 1000) < 60000, "the last fragment is missing"
    assert_all_kept(camera, times)


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
def test_it_comes_back_and_leaves_no_gap(make_server, make_camera, stream_name, hard):
    server = make_server()
    camera = make_camera(server, stream_name)
    before = wait_fragments(server, stream_name, 3)
    server.restart(hard=hard)
    wait_fragments(server, stream_name, len(before) + 4)
    assert camera.stop() == 0, camera.errors
    assert_all_kept(camera, fragments(server, stream_name))


def test_over_tls(tls_server, make_camera, stream_name):
    camera = make_camera(tls_server, stream_name, "--ca", tls_server.certificate, "--endpoint",
                         tls_server.endpoints["api-tls"])
    wait_fragments(tls_server, stream_name, 2)
    assert camera.stop() == 0, camera.errors
    assert "https://" in camera.errors


def test_a_wrong_key_is_said_and_tried_again(server, make_camera, stream_name):
    env = {**server.key.env(), "AWS_SECRET_ACCESS_KEY": "wrong"}
    camera = make_camera(server, stream_name, env=env)
    camera.until("DescribeStream: refused")
    camera.until("HTTP 403; again in")
    camera.stop()
