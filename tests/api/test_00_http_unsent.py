# SPDX-License-Identifier: Apache-2.0
"""Answers that nobody takes, over all connections: at the bound no large one is let through, and who stands
still longest is disconnected."""

import select
import time

import h2.events
import pytest

import wire

MIB = 1 << 20
SIZE = 16_000_000  # three of them fit into three quarters of 64 MiB, less what sockets take
STALL_S = 1


@pytest.fixture(scope="module")
def server():
    one = wire.Wire(http_unsent_bytes_max=64 * MIB, http_loops=2)
    yield one
    one.stop()


class Silent:
    """Asks for a large answer and takes none of it."""

    def __init__(self, server, listener):
        self.sock = server.connect(listener)
        self.sock.sendall(b"GET /hello?size=%d HTTP/1.1\r\nHost: h\r\n\r\n" % SIZE)
        select.select([self.sock], [], [], 10)  # its first bytes are here
        self.begun = time.monotonic()

    def is_closed(self):
        """Looks at what poll says of the connection; takes nothing."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        return bool(poll.poll(0))


class SilentH2(Silent):
    def __init__(self, server, listener):
        self.client = wire.H2Client(server, listener)
        self.sock = self.client.sock
        self.client.state.update_settings({4: 0})  # no window: the whole answer stays with the server
        self.client.flush()
        self.client.next(h2.events.SettingsAcknowledged)
        self.client.request("GET", f"/hello?size={SIZE}")
        self.client.next(h2.events.ResponseReceived)
        self.begun = time.monotonic()


def ask(server, size=SIZE):
    with server.connect("plain") as sock:
        sock.sendall(b"GET /hello?size=%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % size)
        return wire.Reader(sock).answer()


def until(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("kind, listener", [(Silent, "plain"), (Silent, "tls"), (SilentH2, "h2c")])
def test_the_stillest_make_room_for_others(server, kind, listener):
    silent = []
    while not silent or ask(server).status == 200:  # until no more are let through
        assert len(silent) < 8, "more is let through than may be held"
        silent.append(kind(server, listener))
    assert len(silent) >= 3
    refused = ask(server)
    if time.monotonic() - silent[0].begun < STALL_S / 2:
        assert refused.status == 503 and refused.headers["retry-after"] == "1" and refused.body == b""
        assert not any(one.is_closed() for one in silent), "one is closed that took bytes a moment ago"
    assert ask(server, 60000).status == 200, "a small answer is let through always"
    until(lambda: ask(server).status == 200)
    assert silent[0].is_closed(), "the one that stood still longest is there yet"
    assert not silent[-1].is_closed(), "more were closed than needed"
    for one in silent:
        one.sock.close()
    server.wait_state(lambda state: state["live"] == 0)


def test_all_that_was_held_is_given_back(server):
    """Or a few rounds of it would use the bound up."""
    for _ in range(12):
        one = Silent(server, "plain")
        one.sock.close()
    until(lambda: ask(server).status == 200)
    server.wait_state(lambda state: state["live"] == 0)
