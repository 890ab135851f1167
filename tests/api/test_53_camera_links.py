# SPDX-License-Identifier: Apache-2.0
"""Cameras behind bad links: each in a network namespace of its own, whose end of the link is slow, loses
packets or goes down. What a link loses is missing, and nothing else."""

import contextlib
import os
import random
import re
import shutil
import subprocess

import kinema
import pytest
import rtsp
from test_52_cameras import add, assert_stored_as_sent, make_camera, remove  # noqa: F401


def tool(*args, check=True):
    done = subprocess.run(list(args), capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{args}: {done.stderr}"
    return done


class Link:
    """A namespace for a camera at .2, and its link to us at .1."""

    def __init__(self):
        self.name, self.ours = kinema.new_name("kinema"), None
        try:
            self.make()
        except AssertionError:
            self.close()
            raise

    def make(self):
        self.within = ["ip", "netns", "exec", self.name]
        tool("ip", "netns", "add", self.name)
        for number in random.sample(range(1, 255), 254):  # the first that nobody else has
            self.ours, self.theirs = f"kno{number}", f"knt{number}"
            made = tool("ip", "link", "add", self.ours, "type", "veth", "peer", "name", self.theirs,
                        "netns", self.name, check=False)
            if made.returncode == 0 or "exists" not in made.stderr:
                break
        assert made.returncode == 0, made.stderr
        self.here, self.there = f"10.213.{number}.1", f"10.213.{number}.2"
        tool("ip", "addr", "add", f"{self.here}/24", "dev", self.ours)
        tool("ip", "link", "set", self.ours, "up")
        for command in (["addr", "add", f"{self.there}/24", "dev", self.theirs],
                        ["link", "set", self.theirs, "up"], ["link", "set", "lo", "up"]):
            tool("ip", "-n", self.name, *command)

    def slow(self, rate):
        if tool("tc", "-n", self.name, "qdisc", "add", "dev", self.theirs, "root", "tbf", "rate", rate,
                "burst", "4kb", "latency", "400ms", check=False).returncode:
            pytest.skip("not run: this kernel has no token bucket filter")

    def lose(self, percent):
        """Of the datagrams that go out."""
        for rule in ("add table inet kinema",
                     "add chain inet kinema out { type filter hook output priority 0; }",
                     f"add rule inet kinema out udp sport > 1023 meta length > 200 "
                     f"numgen random mod 100 < {percent} counter drop"):
            if tool(*self.within, "nft", rule, check=False).returncode:
                pytest.skip(f"not run: nft refuses {rule}")

    def lost(self):
        listed = tool(*self.within, "nft", "list", "table", "inet", "kinema").stdout
        return int(re.search(r"counter packets (\d+)", listed).group(1))

    def set(self, state):
        tool("ip", "link", "set", self.ours, state)

    def close(self):
        if self.ours:
            tool("ip", "link", "del", self.ours, check=False)
        tool("ip", "netns", "del", self.name, check=False)


@pytest.fixture
def make_link():
    missing = [name for name in ("ip", "tc", "nft") if not shutil.which(name)]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"not run: links need root and iproute2, nftables ({', '.join(missing) or 'not root'})")
    with contextlib.ExitStack() as stack:
        def make():
            try:
                link = Link()
            except AssertionError as refused:
                pytest.skip(f"not run: no network namespaces here: {refused}")
            stack.callback(link.close)
            return link
        yield make


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
    link.set("down")
    rtsp.until(server, stream, lambda now: now["State"] != "RECORDING")
    before = rtsp.camera(server, stream)["FragmentCount"]
    link.set("up")
    rtsp.recorded(server, stream, before + 2)
    now = rtsp.camera(server, undisturbed)
    assert now["ReconnectCount"] == 0 and now["State"] == "RECORDING"
    remove(server, undisturbed)
    assert_stored_as_sent(server, undisturbed, other)


def test_datagrams_that_are_lost_cost_their_frames_and_no_others(server, make_link, make_camera):  # noqa: F811
    link = make_link()
    link.lose(2)
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
