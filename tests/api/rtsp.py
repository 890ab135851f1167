# SPDX-License-Identifier: Apache-2.0
"""Cameras of gst-rtsp-server as processes (rtsp_camera.py), and how a server records them."""

import hashlib
import json
import pathlib
import subprocess
import threading
import time

import control
import kinema
import mkv

PROGRAM = pathlib.Path(__file__).with_name("rtsp_camera.py")
PATIENCE_S = 60


class Camera:
    """Its frames are remembered by their hashes, in order."""

    def __init__(self, *options, port=0, within=()):
        """within: a command that runs it, such as one that puts it into a network of its own."""
        self.options, self.port, self.frames, self.within = options, port, [], list(within)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [*self.within, "/usr/bin/python3", str(PROGRAM), "--port", str(self.port), *map(str, self.options)],
            stdout=subprocess.PIPE, text=True, env=kinema.clean_env())
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("rtsp"), "the camera does not start"
        self.port = int(self.url.split(":")[2].split("/")[0])
        threading.Thread(target=self.read, args=(self.process,), daemon=True).start()

    def read(self, process):
        for line in process.stdout:
            self.frames.append(line.strip())

    def with_credentials(self, user, password):
        return self.url.replace("://", f"://{user}:{password}@")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def call(server, operation, **members):
    """An operation of ours: (status, answer)."""
    route = "/kinema/v1/" + operation[0].lower() + operation[1:]
    status, _, answer = control.post(server, route, members)
    return status, answer


def camera(server, stream):
    status, answer = call(server, "DescribeCamera", StreamName=stream)
    assert status == 200, answer
    return answer["Camera"]


def until(server, stream, wanted, patience_s=PATIENCE_S):
    """Asks for the camera until wanted(camera) holds; the camera."""
    deadline = time.monotonic() + patience_s
    while True:
        now = camera(server, stream)
        if wanted(now):
            return now
        assert time.monotonic() < deadline, f"{json.dumps(now)}\n{server.log()[-4000:]}"
        time.sleep(0.1)


def recorded(server, stream, fragments=3):
    """Until the camera has so many fragments stored, by the process that talks to it now."""
    return until(server, stream, lambda now: now["FragmentCount"] >= fragments)


def stored(server, stream):
    """All fragments of the stream as Matroska, in order."""
    archived = server.archived(stream)
    listed = []
    for page in archived.get_paginator("list_fragments").paginate(
            StreamName=stream, FragmentSelector={
                "FragmentSelectorType": "SERVER_TIMESTAMP",
                "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": time.time() + 60}}):
        listed += page["Fragments"]
    numbers = sorted(fragment["FragmentNumber"] for fragment in listed)
    media = server.archived(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")
    data = media.get_media_for_fragment_list(StreamName=stream, Fragments=numbers)["Payload"].read()
    return data, mkv.documents(data)


def hashes(documents, track=1):
    return [hashlib.sha256(frame.payload).hexdigest() for document in documents
            for frame in document.frames if frame.track == track]


def child_of(server):
    """The processes that talk to the server's cameras."""
    done = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]
