# SPDX-License-Identifier: Apache-2.0
"""Frames by libkinema-consumer, through its sample read-frames: as they were put, from anywhere, and over
connections that break."""

import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest

import kinema
import media
import mkv

BINARY = os.environ.get("KINEMA_READ_FRAMES",
                        pathlib.Path(kinema.BINARY).resolve().parent / "read-frames")
FILE = kinema.CAPTURES / "sink360_h264_aac_abs.mkv"
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def server():
    """Its answers end soon after the last frame; AWS's do after three seconds."""
    with kinema.Server(args=["--get-media-idle-ms", 300]) as one:
        yield one


class Told:
    def __init__(self, out, payload):
        self.lines = [line.split("\t") for line in out.splitlines()]
        self.payload = payload

    def of(self, what):
        return [line[1:] for line in self.lines if line[0] == what]

    @property
    def numbers(self):
        return [line[0] for line in self.of("ends")]

    @property
    def frames(self):
        return [(int(track), int(re.search(r"len=(\d+)", rest)[1])) for track, rest in self.of("frame")]


def start(server, stream, path, *args, endpoint=None, under=()):
    return subprocess.Popen([str(part) for part in (*under, BINARY, "--endpoint", endpoint or server.api,
                                                    "--stream", stream, "--payload", path, *args)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**kinema.clean_env(server.key.env()), "LSAN_OPTIONS": "print_suppressions=0"})


def finish(process, path, code=0):
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, out[-2000:] + err
    return Told(out, path.read_bytes())


@pytest.fixture
def read(tmp_path):
    def read(server, stream, *args, code=0, **options):
        path = tmp_path / "payload"
        return finish(start(server, stream, path, *args, **options), path, code)
    return read


@pytest.fixture(scope="module")
def capture():
    return mkv.capture(FILE)


@pytest.fixture(scope="module")
def stored(server, capture):
    """A stream with the whole capture: its name and fragment numbers."""
    stream = server.create_stream()
    return stream, [ack["FragmentNumber"] for ack in media.upload(server, stream, capture)]


def frames_of(fragments):
    return [(f.track, len(f.payload)) for one in fragments for f in one.frames]


def payload_of(fragments):
    return b"".join(f.payload for one in fragments for f in one.frames)


def assert_same(told, fragments):
    assert told.frames == frames_of(fragments)
    assert told.payload == payload_of(fragments)


def test_frames_come_out_as_they_were_put(server, stored, capture, read):
    stream, numbers = stored
    told = read(server, stream, "--from", "EARLIEST", "--once")
    assert_same(told, capture.fragments)
    assert told.numbers == numbers and [line[0] for line in told.of("begins")] == numbers
    assert told.of("track")[:2] == [["1", "V_MPEG4/ISO/AVC", "private=45 640x360 0 Hz"],
                                    ["2", "A_AAC", "private=5 0x0 44100 Hz"]]
    keys = [rest for _, rest in told.of("frame") if "key=1" in rest]
    assert len(keys) == len(numbers)


def test_from_anywhere(server, stored, capture, read):
    stream, numbers = stored
    begins = read(server, stream, "--from", "EARLIEST", "--once").of("begins")
    producer = [int(re.search(r"producer=(\d+)", rest)[1]) for _, rest in begins]
    served = [int(re.search(r"server=(\d+)", rest)[1]) for _, rest in begins]
    for args, first in ((("--after", numbers[0]), 1), (("--token", numbers[1]), 2),
                        (("--producer", producer[2]), 2), (("--from", served[1]), 1)):
        told = read(server, stream, *args, "--once")
        assert told.numbers == numbers[first:], args
        assert_same(told, capture.fragments[first:])


def test_a_list_of_fragments_in_its_order(server, stored, capture, read):
    stream, numbers = stored
    told = read(server, stream, "--fragment", numbers[2], "--fragment", "123", "--fragment", numbers[0])
    assert told.numbers == [numbers[2], numbers[0]]
    assert told.of("error") == [["3000", "FRAGMENT_NOT_FOUND"]]
    assert_same(told, [capture.fragments[2], capture.fragments[0]])


def test_tags_of_the_producer_are_told(server, read):
    stream = server.create_stream()
    capture = mkv.capture(kinema.CAPTURES / "c164_h264_abs_eofr_meta.mkv")
    media.upload(server, stream, capture)
    told = read(server, stream, "--from", "EARLIEST", "--once")
    assert_same(told, capture.fragments)
    assert len([name for name, _ in told.of("tag") if not name.startswith("AWS_KINESISVIDEO")]) > 0


def test_a_frame_beyond_the_ceiling_is_an_error(server, stored, capture, read):
    stream, _ = stored
    largest = max(length for _, length in frames_of(capture.fragments))
    told = read(server, stream, "--from", "EARLIEST", "--once", "--frame-max", 1000, code=1)
    assert "Message too long" in str(told.of("disconnected"))
    assert read(server, stream, "--from", "EARLIEST", "--once", "--frame-max", largest).numbers


def test_a_wrong_key_and_a_stream_that_is_not_there(server, stored, read, monkeypatch):
    assert "404" in str(read(server, "nobody", "--once", code=1).of("failed"))
    monkeypatch.setattr(server.key, "secret", "wrong")
    assert "403" in str(read(server, stored[0], "--once", code=1).of("failed"))


def test_frames_come_live_and_a_fragment_that_breaks_off_is_said(make_server, tmp_path):
    server = make_server(args=["--get-media-idle-ms", 60_000])  # so that one answer has all of it
    stream, path = server.create_stream(), tmp_path / "payload"
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")
    part = capture.fragments[0].frames[:8]
    lines = []
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[0].marks[9]])  # eight frames, no more
        upload.wait_for("BUFFERING")
        reader = start(server, stream, path, "--stop-after", len(part) + len(frames_of(capture.fragments)))
        for line in reader.stdout:  # they come before their fragment is whole
            lines.append(line)
            if sum(one.startswith("frame") for one in lines) == len(part):
                break
    media.upload(server, stream, capture)
    lines += reader.stdout
    assert reader.wait(TIMEOUT_S) == 0, lines
    told = Told("".join(lines), path.read_bytes())
    assert told.payload == b"".join(f.payload for f in part) + payload_of(capture.fragments)
    (number, rest), = told.of("broken")
    assert number == told.of("begins")[0][0] and f"frames={len(part)} " in rest
    assert number not in told.numbers


# --- connections that break --------------------------------------------------------------------
class Cutter:
    """Passes HTTP through and cuts a connection after so many bytes of answers; the control plane names it
    as the data endpoint."""

    def __init__(self):
        self.target, self.own = None, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.own.getsockname()[1]}"
        self.cuts = []  # of the next connections
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.own.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            cut = self.cuts.pop(0) if self.cuts else None
            threading.Thread(target=self._copy, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, cut), daemon=True).start()

    @staticmethod
    def _copy(source, sink, left):
        try:
            while left is None or left > 0:
                data = source.recv(min(65536, left or 65536))
                if not data:
                    break
                sink.sendall(data)
                left = left and left - len(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.own.close()


@pytest.fixture(scope="module")
def proxied():
    """A server whose data endpoint is a cutter's."""
    with kinema.Server(args=["--get-media-idle-ms", 300], start=False) as server:
        cutter = Cutter()
        server.args += ["--public-api-url", cutter.url]
        server.start()
        cutter.target = ("127.0.0.1", int(server.api.rsplit(":", 1)[1]))
        yield server, cutter
        cutter.close()


@pytest.mark.parametrize("listed", [False, True], ids=["stream", "list"])
def test_no_frame_is_lost_or_comes_twice_over_connections_that_break(proxied, capture, read, listed):
    server, cutter = proxied
    stream = server.create_stream()
    numbers = [ack["FragmentNumber"] for ack in media.upload(server, stream, capture)]
    cutter.cuts = [40_000, 120_000, 260_000, 300]  # within fragments, and before the first byte of one
    args = [part for number in numbers for part in ("--fragment", number)] if listed else \
        ["--from", "EARLIEST", "--once"]
    told = read(server, stream, *args)
    assert_same(told, capture.fragments)
    assert told.numbers == numbers and [line[0] for line in told.of("begins")] == numbers
    assert not cutter.cuts and len(told.of("disconnected")) + len(told.of("failed")) >= 5
