# SPDX-License-Identifier: Apache-2.0
"""Bad links: each a network namespace for one peer, whose end of the link is slow, loses packets or is cut.

A token bucket makes a link slow (tc). Packets are lost and swallowed where they come out of the link, by
nft's ingress hook, so that neither side's system notices; netem, which could do both, is in few kernels.
make_link is the fixture; where the machine refuses, its tests say `not run` and why."""

import contextlib
import os
import random
import re
import shutil
import subprocess

import kinema
import pytest


def tool(*args, check=True):
    done = subprocess.run(list(map(str, args)), capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{args}: {done.stderr}"
    return done


class Link:
    """A namespace for a peer at .2 (there), and its link to us at .1 (here)."""

    def __init__(self):
        self.name, self.ours, self.lossy = kinema.new_name("kinema"), None, False
        try:
            self.make()
        except AssertionError as refused:
            self.close()
            pytest.skip(f"not run: no network namespaces here: {refused}")

    def make(self):
        self.within = ["ip", "netns", "exec", self.name]
        tool("ip", "netns", "add", self.name)
        for number in random.sample(range(1, 255), 254):  # the first that nobody else has
            self.ours, self.theirs = f"kno{number}", f"knt{number}"
            one = ["gso_max_segs", "1"]  # what is lost is a packet, not a row of them
            made = tool("ip", "link", "add", self.ours, *one, "type", "veth", "peer", "name", self.theirs,
                        "netns", self.name, *one, check=False)
            if made.returncode == 0 or "exists" not in made.stderr:
                break
        assert made.returncode == 0, made.stderr
        self.here, self.there = f"10.213.{number}.1", f"10.213.{number}.2"
        tool("ip", "addr", "add", f"{self.here}/24", "dev", self.ours)
        tool("ip", "link", "set", self.ours, "up")
        for command in (["addr", "add", f"{self.there}/24", "dev", self.theirs],
                        ["link", "set", self.theirs, "up"], ["link", "set", "lo", "up"]):
            tool("ip", "-n", self.name, *command)
        # Both ends: (what runs a command there, the device).
        self.ends = (([], self.ours), (self.within, self.theirs))

    def slow(self, rate):
        """What the peer sends comes at this rate (of tc: "600kbit") until it is told to be fast."""
        if tool("tc", "-n", self.name, "qdisc", "replace", "dev", self.theirs, "root", "tbf", "rate", rate,
                "burst", "4kb", "latency", "400ms", check=False).returncode:
            pytest.skip("not run: this kernel has no token bucket filter")

    def fast(self):
        tool("tc", "-n", self.name, "qdisc", "del", "dev", self.theirs, "root")

    def drop(self, what):
        """Packets that come out of either end, by a rule of nft; not ARP."""
        for within, device in self.ends:
            for rule in (f"add table netdev {self.name}",
                         f"add chain netdev {self.name} in "
                         f"{{ type filter hook ingress device {device} priority 0; }}",
                         f"flush chain netdev {self.name} in",
                         f"add rule netdev {self.name} in meta protocol ip {what} counter drop"):
                done = tool(*within, "nft", rule, check=False)
                if done.returncode:
                    pytest.skip(f"not run: nft refuses {rule}: {done.stderr}")
        self.lossy = True

    def lose(self, percent, what=""):
        """what: which packets, in nft's words; all."""
        self.drop(f"{what} numgen random mod 1000 < {round(percent * 10)}")

    def swallow(self):
        """Both ends are up, and nothing comes through."""
        self.drop("")

    def let_through(self):
        for within, _ in self.ends if self.lossy else ():
            tool(*within, "nft", f"delete table netdev {self.name}", check=False)
        self.lossy = False

    def lost(self):
        """Packets, since the last change."""
        listed = [tool(*within, "nft", "list", "table", "netdev", self.name).stdout for within, _ in self.ends]
        return sum(int(count) for text in listed for count in re.findall(r"counter packets (\d+)", text))

    def take_down(self):
        tool("ip", "link", "set", self.ours, "down")

    def bring_up(self):
        tool("ip", "link", "set", self.ours, "up")

    def close(self):
        self.let_through()
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
            link = Link()
            stack.callback(link.close)
            return link
        yield make

