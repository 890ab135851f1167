# SPDX-License-Identifier: Apache-2.0
"""Cameras behind bad links (links.py). What a link loses is missing, and nothing else."""

import kinema
import rtsp
from links import make_link  # noqa: F401
from test_52_cameras import add, assert_stored_as_sent, make_camera, remove  # noqa: F401


def camera_behind(make_camera, link, *options):  # noqa: F811
    return make_camera("--address", link.there, *options, within=link.within)


def test_a_slow_link_loses_nothing(server, make_link, make_camera):  # noqa: F811
    link = make_link()
    link.slow("600kbit")
    camera, stream = camera_behind(make_camera, link, "--audio", "none"), kinema.new_name()
    add(server, stream, camera.url)
    rtsp.recorded(server, stream, 3)
    remove(server, stream)
    assert_stored_as_sent(server, stream, camera)


def test_a_link_that_goes_down_costs_its_own_camera_only(make_server, make_link, make_camera):  # noqa: F811
    server = make_server(args=["--camera-timeout-ms", 1000, "--camera-workers", 1])
    link = make_link()
    camera, stream = camera_behind(make_camera, link), kinema.new_name()
    other, undisturbed = make_camera(), kinema.new_name()
    add(server, stream, camera.url)
    add(server, undisturbed, other.url)
    rtsp.recorded(server, stream, 2)
    rtsp.recorded(server, undisturbed, 2)
    link.take_down()
    rtsp.until(server, stream, lambda now: now["State"] != "RECORDING")
    before = rtsp.camera(server, stream)["FragmentCount"]
    link.bring_up()
    rtsp.recorded(server, stream, before + 2)
    now = rtsp.camera(server, undisturbed)
    assert now["ReconnectCount"] == 0 and now["State"] == "RECORDING"
    remove(server, undisturbed)
    assert_stored_as_sent(server, undisturbed, other)


def test_datagrams_that_are_lost_cost_their_frames_and_no_others(server, make_link, make_camera):  # noqa: F811
    link = make_link()
    link.lose(2, "udp sport > 1023 meta length > 200")
    camera, stream = camera_behind(make_camera, link, "--audio", "none"), kinema.new_name()
    add(server, stream, camera.url, "--transport", "udp")
    rtsp.recorded(server, stream, 5)
    remove(server, stream)
    _, documents = rtsp.stored(server, stream)
    found, sent = rtsp.hashes(documents), list(camera.frames)
    whole = [at for at, frame in enumerate(sent) if frame in set(found)]
    sent_of_them = whole[-1] - whole[0] + 1
    harmed = sent_of_them - len(whole)  # not there, or without one of its slices
    assert len(whole) > 20 and harmed <= link.lost(), f"{harmed} of {sent_of_them}, {link.lost()} lost"
