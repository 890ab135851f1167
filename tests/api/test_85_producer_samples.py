# SPDX-License-Identifier: Apache-2.0
"""The producer's samples that are cameras: v4l2-camera (here with its test picture, since a machine of tests has
no /dev/video0), doorbell and roll-over. What they put is what the server has, frame by frame."""

import os
import pathlib
import re
import select
import signal
import subprocess
import time

import pytest

import kinema
import media

PROGRAMS = pathlib.Path(kinema.BINARY).resolve().parent
PATIENCE_S = 100 # less than the two minutes after which the server ends a fragment by itself


class Program:
    def __init__(self, server, name, *args, key=None):
        self.told = ""
        self.process = subprocess.Popen(
            [PROGRAMS / name, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**kinema.clean_env((key or server.key).env()), "CONTROL_PLANE_URI": server.api,
                 "ASAN_OPTIONS": "fast_unwind_on_malloc=0", # whole stacks: glib keeps no frame pointers
                 "LSAN_OPTIONS": f"suppressions={kinema.ROOT}/tests/lsan.supp:print_suppressions=0"})

    def until(self, *words):
        """Reads on until each was said after the one before it."""
        for word in words:
            deadline = time.monotonic() + PATIENCE_S
            while not (found := re.search(word, self.told)):
                left = deadline - time.monotonic()
                assert select.select([self.process.stderr], [], [], max(left, 0))[0], f"no {word}: {self.told}"
                said = os.read(self.process.stderr.fileno(), 65536)
                assert said, f"it ended: {self.told}"
                self.told += said.decode()
            self.told = self.told[found.end():]

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def finish(self, code=0):
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == code, out + err
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", out.decode())}

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.finish()


@pytest.fixture
def run_program(server):
    programs = []

    def make(*args, **options):
        programs.append(Program(server, *args, **options))
        return programs[-1]

    yield make
    for program in programs:
        program.process.kill()
        program.process.communicate()


def assert_all_kept(server, stream, stats):
    """Every frame that was put is there, once."""
    documents = media.get_documents(server, stream)
    timecodes = [one.timecode for one in documents]
    assert timecodes == sorted(set(timecodes))
    assert sum(len(one.frames) for one in documents) == stats["frames"] == stats["persisted"] > 0
    return documents


def test_a_camera_records_until_it_is_told_to_end(server, stream_name, run_program, tmp_path):
    camera = run_program("v4l2-camera", stream_name)
    if not os.path.exists("/dev/video0"):
        camera.until("no camera at /dev/video0: a test picture")
    camera.until(r"\bCONNECTED", "PERSISTED")
    documents = assert_all_kept(server, stream_name, camera.stop())
    path = tmp_path / "first.mkv"
    path.write_bytes(documents[0].data)
    picture = media.probe(path, "-show_streams", "-count_frames")["streams"][0]
    assert picture["codec_name"] == "h264" and int(picture["nb_read_frames"]) > 0


@pytest.mark.parametrize("name", ["doorbell", "v4l2-camera", "roll-over", "read-frames", "read-records"])
def test_each_program_says_how_it_is_called(name):
    for words, codes, at in ((["--help"], [0], "stdout"), (["--wrong", "x"], [2, 64], "stderr"), ([], [2, 64], "stderr")):
        done = subprocess.run([PROGRAMS / name, *words], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        assert done.returncode in codes and f"{name} " in getattr(done, at), done
        assert not (done.stderr if at == "stdout" else done.stdout)


def test_a_camera_that_is_not_there_is_said(server, stream_name, run_program):
    camera = run_program("v4l2-camera", stream_name, "/dev/no-camera")
    camera.until("the camera is gone: .*/dev/no-camera")
    camera.finish(1)


def test_what_happens_at_the_door_is_a_tagged_fragment_that_is_kept_at_once(server, stream_name, run_program):
    door = run_program("doorbell", stream_name)
    for visitor in ("postman", "neighbour"):
        door.say("begin")
        door.until(r"BEGUN")
        door.say(f"visitor={visitor}")
        door.say("end")
        door.until("PERSISTED") # although no frame follows
    door.process.stdin.close()
    door.process.stdin = None
    documents = assert_all_kept(server, stream_name, door.finish())
    assert [found.decode() for one in documents
            for found in re.findall(rb"visitor.{2,20}?(postman|neighbour)", one.data, re.S)] == ["postman", "neighbour"]


def write_key(path, key, expires_s):
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + expires_s))
    path.with_suffix(".new").write_text(f"CREDENTIALS {key.id} {when} {key.secret} token\n")
    path.with_suffix(".new").rename(path)


def test_a_key_that_is_replaced_in_mid_stream_costs_no_frame(server, stream_name, run_program, tmp_path):
    path = tmp_path / "key"
    first, second = server.create_key(), server.create_key()
    write_key(path, first, 33) # the connection ends 30 s before
    camera = run_program("roll-over", stream_name, path)
    camera.until(r"\bCONNECTED")
    write_key(path, second, 3600)
    kinema.run("credentials", "revoke", first.id, "--data", server.data)
    camera.until("DISCONNECTED", r"\bCONNECTED", "PERSISTED")
    stats = camera.stop()
    assert stats["connections"] > 1
    assert_all_kept(server, stream_name, stats)
