# SPDX-License-Identifier: Apache-2.0
"""Under what time a camera's video is kept; tests/unit/test_camera_clock.c has all a clock can do."""

import time

import kinema
import rtsp
from test_52_cameras import add, make_camera, remove  # noqa: F401


def test_the_time_is_the_cameras_own_by_its_sender_reports(server, make_camera):  # noqa: F811
    camera, stream = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    now = rtsp.until(server, stream, lambda now: now.get("ClockAheadMilliseconds") is not None)
    assert now["Clock"] == "camera" and abs(now["ClockAheadMilliseconds"]) < 5000
    remove(server, stream)


def test_a_clock_that_is_wrong_is_not_believed_and_said(server, make_camera):  # noqa: F811
    camera, stream = make_camera("--wrong-clock"), kinema.new_name()
    add(server, stream, camera.url)
    now = rtsp.until(server, stream, lambda now: now.get("ClockAheadMilliseconds") is not None)
    assert now["Clock"] == "arrival" and now["ClockAheadMilliseconds"] < -86400 * 1000
    later = rtsp.until(server, stream, lambda later: later["FragmentCount"] > now["FragmentCount"] + 1)
    assert abs(later["LastPersistedTime"] - time.time()) < 60
    server.wait_log(f"camera_clock stream={stream} time_of=arrival")
    remove(server, stream)


def test_it_is_also_by_udp_tunnel_and_srtp(server, make_camera):  # noqa: F811
    ways = {"udp": (), "http": (), "auto": ("--srtp",)}
    streams = {}
    for transport, options in ways.items():
        for wrong in ((), ("--wrong-clock",)):
            camera, stream = make_camera(*options, *wrong), kinema.new_name()
            add(server, stream, camera.url, "--transport", transport)
            streams[stream] = bool(wrong)
    for stream, wrong in streams.items():
        now = rtsp.until(server, stream, lambda now: now.get("ClockAheadMilliseconds") is not None)
        if wrong:
            assert now["Clock"] == "arrival" and now["ClockAheadMilliseconds"] < -86400 * 1000
        else:
            assert now["Clock"] == "camera" and abs(now["ClockAheadMilliseconds"]) < 5000
        later = rtsp.until(server, stream, lambda later: later["FragmentCount"] > now["FragmentCount"] + 1)
        assert abs(later["LastPersistedTime"] - time.time()) < 60
        remove(server, stream)
