# SPDX-License-Identifier: Apache-2.0
"""Cameras (rtsp_script.py) whose sound stops while the pictures go on, and the other way round: what still comes
is recorded in fragments that close in time, and the camera's status says what is missing until it is back."""

import os

import kinema
import pytest
import rtsp
import rtsp_script
from rtsp_script import SOUND, VIDEO
from test_52_cameras import add, remove

TIMEOUT_MS = 3000
LONG = bool(os.environ.get("KINEMA_LONG"))


class Case:
    def __init__(self, server, transport, what, **options):
        self.server, self.what, self.transport = server, what, transport
        self.camera, self.stream = rtsp_script.Camera(sound=True, **options), kinema.new_name()
        add(server, self.stream, self.camera.url, "--transport", transport)

    def until(self, wanted):
        return rtsp.until(self.server, self.stream, wanted)

    def more(self, fragments):
        now = rtsp.camera(self.server, self.stream)["FragmentCount"]
        return self.until(lambda camera: camera["FragmentCount"] >= now + fragments)


@pytest.fixture
def make_case():
    cases = []

    def make(*args, **options):
        cases.append(Case(*args, **options))
        return cases[-1]

    yield make
    for case in cases:
        case.camera.kill()


def kinds(document):
    """Of the tracks that are announced, and of those that have frames."""
    return {kind for kind, codec in ((VIDEO, b"V_MPEG4"), (SOUND, b"A_MS/ACM")) if codec in document.data}, len(
        {frame.track for frame in document.frames})


def test_what_stops_is_named_and_the_rest_is_recorded(make_server, make_case):
    server = make_server(args=["--camera-timeout-ms", TIMEOUT_MS])
    cases = [make_case(server, transport, what) for what in (SOUND, VIDEO) for transport in ("tcp", "udp")]
    slow = make_case(server, "tcp", VIDEO, picture_s=5.4)
    for case in cases:
        case.more(1)
    for case in cases:
        case.camera.quiet = {case.what}
    for case in cases:
        name = "pictures" if case.what == VIDEO else "sound"
        now = case.until(lambda camera: camera.get("Silent") == name and camera["State"] == "RECORDING")
        # Another connection might have brought the pictures; that it is as good without them is seen once.
        assert now["ReconnectCount"] == case.camera.sessions - 1 == (case.what == VIDEO)
        if case.what == VIDEO:
            assert (now["Fault"], now["FaultMessage"]) == (
                "stalled", "the camera sends sound, and no pictures any more")
    for case in cases:
        case.more(15 if LONG else 2)
        assert case.camera.sessions == 1 + (case.what == VIDEO)
    for case in cases:
        case.camera.quiet = set()
    for case in cases:
        case.until(lambda camera: "Silent" not in camera)
        case.more(2)
        remove(server, case.stream)
        check(case)
    check_slow(slow)


def check_slow(case):
    """One picture is longer in coming than TIMEOUT_MS, and than a track may be silent until that is known."""
    case.until(lambda camera: len(case.camera.frames) >= 3 and "Silent" not in camera)
    now = case.until(lambda camera: len(case.camera.frames) >= 4)
    assert now["State"] == "RECORDING" and "Fault" not in now and case.camera.sessions == 1, now
    remove(case.server, case.stream)
    _, documents = rtsp.stored(case.server, case.stream)
    assert rtsp.hashes(documents) == case.camera.frames
    both = [kinds(document)[0] == {VIDEO, SOUND} for document in documents]
    first = both.index(False)
    assert both[:first] == [True] and both[-2:] == [True, True] and sum(
        one != before for one, before in zip(both[1:], both)) == 2, both


def check(case):
    _, documents = rtsp.stored(case.server, case.stream)
    seen = [kinds(document)[0] for document in documents]
    both = {VIDEO, SOUND}
    stretches = [one for one, before in zip(seen, [None, *seen]) if one != before]
    assert stretches == [both, both - {case.what}, both], seen
    alone = [document for document in documents if kinds(document)[0] != both]
    assert all(kinds(document)[1] == 1 for document in alone), "with frames, of one track"
    assert kinds(documents[-1])[1] == 2 or kinds(documents[-2])[1] == 2
    spans = [max(frame.time for frame in document.frames) for document in documents]
    assert max(spans) < TIMEOUT_MS + 3000, spans
    starts = [document.timecode for document in documents]
    gaps = [b - a - span for a, b, span in zip(starts, starts[1:], spans)]
    assert starts == sorted(set(starts))
    print(case.transport, case.what, f"longest fragment {max(spans)} ms, longest gap {max(gaps)} ms")
    if case.transport == "tcp" and case.what == SOUND:
        found = rtsp.hashes(documents)
        at = case.camera.frames.index(found[0])
        assert found == case.camera.frames[at:at + len(found)], "sound that stops costs no picture"
