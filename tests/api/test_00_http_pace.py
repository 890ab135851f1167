# SPDX-License-Identifier: Apache-2.0
"""A body that comes in small pieces and may wait is read a few times a second, not at each piece."""

import re
import time

import pytest

import wire

PIECE = b"x" * 100
WATCHED_S = 0.6  # a body is paced once it has been slow for 0.2 s


@pytest.fixture(scope="module")
def server():
    one = wire.Wire(http_pace_ms=200, http_loops=1)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def rare():
    """It looks once a second: who is held back is so for long."""
    one = wire.Wire(http_pace_ms=1000, http_loops=1)
    yield one
    one.stop()


def begin(server, listener, length, query="?paced=1&every=100000000"):
    sock = server.connect(listener)
    sock.sendall(b"POST /duplex%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % (query.encode(), length))
    return sock


def drip(sock, pieces, step_s=0.005):
    """A piece each 5 ms, as a camera sends frames."""
    due = time.monotonic()
    for _ in range(pieces):
        sock.sendall(PIECE)
        due += step_s
        time.sleep(max(0, due - time.monotonic()))


def end(sock):
    """(bytes, calls of data()); these are told of a body that may be paced."""
    said = wire.Reader(sock).to_end()
    found = re.search(rb"end (\d+)(?: in (\d+) calls)?\n", said)
    assert found, said
    return int(found[1]), int(found[2] or 0)


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_small_pieces_are_taken_together(server, listener):
    pieces = 500
    with begin(server, listener, pieces * len(PIECE)) as sock:
        drip(sock, pieces)
        got, calls = end(sock)
    assert got == pieces * len(PIECE)
    assert calls < 0.8 * pieces, "each piece was read by itself to the end"


def test_a_body_that_turns_fast_is_not_held_back(rare):
    def take(slow, fast, query):
        """How long the fast part takes behind a slow one."""
        with begin(rare, "plain", slow * len(PIECE) + fast, query) as sock:
            drip(sock, slow)
            began = time.monotonic()
            sock.sendall(b"y" * fast)
            got, _ = end(sock)
        assert got == slow * len(PIECE) + fast
        return time.monotonic() - began

    fast = 64 << 20
    usual = take(0, fast, "?every=100000000")
    # at the pace alone, a kernel's buffer of at most 6 MB each second, it would need ten
    assert take(int(WATCHED_S / 0.005) + 100, fast, "?paced=1&every=100000000") < 3 * usual + 3


def test_a_paced_peer_that_leaves_is_noticed(server):
    def live():
        with server.connect() as state:
            state.sendall(b"GET /state HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            return int(re.search(rb"live=(\d+)", wire.Reader(state).to_end())[1])

    before = live()
    sock = begin(server, "plain", 1 << 20)
    drip(sock, int(WATCHED_S / 0.005) + 50)
    assert live() == before + 1
    sock.close()
    deadline = time.monotonic() + wire.PATIENCE_S
    while live() != before:
        assert time.monotonic() < deadline


def test_a_kept_alive_connection_is_prompt_for_its_next_request(rare):
    pieces = int(WATCHED_S / 0.005) + 100
    length = pieces * len(PIECE)
    with rare.connect() as sock:
        sock.sendall(b"POST /duplex?paced=1&every=100000000 HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Length: %d\r\n\r\n" % length)
        drip(sock, pieces)
        reader = wire.Reader(sock)
        assert b"calls" in reader.answer().body
        took = []
        for _ in range(5):
            began = time.monotonic()
            sock.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert reader.answer().status == 200
            took.append(time.monotonic() - began)
    assert sorted(took)[2] < 0.5, "it waited for the looks"


def test_a_body_of_which_nothing_is_wanted_yet_is_left_alone(server):
    """The handler says after each call that the next 1.5 s do not matter; looks come each 200 ms."""
    pieces = 230  # 5 KB/s for 4.6 s, of which each of the first ten is read as it comes
    with begin(server, "plain", pieces * len(PIECE), "?paced=1500&every=100000000") as sock:
        drip(sock, pieces, 0.02)
        got, calls = end(sock)
    assert got == pieces * len(PIECE)
    assert calls < 25, "it was looked at again and again"


def test_the_rest_of_many_bytes_is_not_left_alone(server):
    """It comes when the others have been read, and is too little for an event of its own."""
    pieces, many, rest = int(WATCHED_S / 0.005) + 20, 40 << 10, 8 << 10
    with begin(server, "plain", pieces * len(PIECE) + many + rest,
               "?paced=60000&every=100000000") as sock:
        drip(sock, pieces)
        sock.sendall(b"z" * many)
        time.sleep(0.5)  # an event, which is read at once or at the next look
        began = time.monotonic()
        sock.sendall(b"z" * rest)
        got, _ = end(sock)
        took = time.monotonic() - began
    assert got == pieces * len(PIECE) + many + rest
    assert took < 30, "it waited for the time that the handler had said"


def test_many_bytes_are_an_event_also_for_who_is_left_alone(server):
    drops = int(WATCHED_S / 0.005) + 20
    with begin(server, "plain", (drops << 9) + (48 << 10), "?paced=60000&every=100000000") as sock:
        due = time.monotonic()
        for _ in range(drops):
            sock.sendall(b"z" * 512)
            due += 0.005
            time.sleep(max(0, due - time.monotonic()))
        began = time.monotonic()
        sock.sendall(b"z" * (48 << 10))
        got, _ = end(sock)
        took = time.monotonic() - began
    assert got == (drops << 9) + (48 << 10)
    assert took < 30, "it waited for the time that the handler had said"
