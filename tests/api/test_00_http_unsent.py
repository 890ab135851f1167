# SPDX-License-Identifier: Apache-2.0
"""Answers that nobody takes, over all connections: at the bound no large one is let through, and who stands
still longest is disconnected."""

import contextlib
import re
import select
import time

import h2.events
import pytest

import wire

MIB = 1 << 20
UNSENT_MAX = 64 * MIB
SIZE = 16_000_000  # three of them fit into three quarters of 64 MiB, less what sockets take; four do not
COUNT = 3
HOUR_MS = 3_600_000


@pytest.fixture(scope="module", params=[HOUR_MS, 1000], ids=["patient", "strict"])
def server(request):
    one = wire.Wire(http_unsent_bytes_max=UNSENT_MAX, http_loops=2, http_unsent_stall_ms=request.param)
    one.is_patient = request.param == HOUR_MS
    yield one
    one.stop()


class Silent:
    """Asks for a large answer and takes none of it."""

    def __init__(self, server, listener):
        self.sock = server.connect(listener)
        self.sock.sendall(b"GET /hello?size=%d HTTP/1.1\r\nHost: h\r\n\r\n" % SIZE)

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


def ask(server, size=SIZE):
    with server.connect("plain") as sock:
        sock.sendall(b"GET /hello?size=%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % size)
        return wire.Reader(sock).answer()


def until(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def unsent_bytes(server):
    return int(re.search(rb"^kinema_http_unsent_bytes\{\} (\d+)$", server.curl("plain", "/metrics")[2], re.M).group(1))


@contextlib.contextmanager
def filled(server, kind, listener):
    """Readers after whom a further answer of SIZE is one too many: the server has said that it holds theirs."""
    silent = []
    try:
        for at in range(COUNT):
            silent.append(kind(server, listener))
            until(lambda at=at: unsent_bytes(server) > UNSENT_MAX // 4 * 3 - (COUNT - at) * SIZE)
        yield silent
    finally:
        for one in silent:
            one.sock.close()
        server.wait_state(lambda state: state["live"] == 0, 60)


@pytest.mark.parametrize("kind, listener", [(Silent, "plain"), (Silent, "tls"), (SilentH2, "h2c")])
def test_the_stillest_make_room_for_others(server, kind, listener):
    with filled(server, kind, listener) as silent:
        if server.is_patient:
            refused = ask(server)
            assert refused.status == 503 and refused.headers["retry-after"] == "1" and refused.body == b""
            assert not any(one.is_closed() for one in silent), "one is closed that took bytes lately"
        else:
            until(lambda: ask(server).status == 200 and server.wait_state(lambda s: s["live"] <= COUNT))
            until(silent[0].is_closed)  # the one that stood still longest
            assert not silent[-1].is_closed(), "more were closed than needed"
        assert ask(server, 60000).status == 200, "a small answer is let through always"


def test_all_that_was_held_is_given_back(server):
    """Or a few rounds of it would use the bound up."""
    for _ in range(12):
        one = Silent(server, "plain")
        select.select([one.sock], [], [], 60)  # the first bytes of its answer are here
        one.sock.close()
    server.wait_state(lambda state: state["live"] == 0, 60)
    until(lambda: ask(server).status == 200)
