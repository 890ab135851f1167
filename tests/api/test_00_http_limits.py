# SPDX-License-Identifier: Apache-2.0
"""Deadlines and ceilings of connections, with times short enough to wait for."""

import contextlib
import select
import socket
import subprocess
import time

import h2.events
import pytest

import wire

GET = b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"


LATE_S = 20  # what is over by then was not ended by a time that these servers do not set


def serving(**times):
    """Each has one short time alone: how fast this test is does not matter for the others."""
    one = wire.Wire(http_loops=1, **{"http_head_timeout_ms": 60000, "http_tls_handshake_timeout_ms": 60000,
                                     **times})
    yield one
    one.stop()


@pytest.fixture(scope="module")
def heads():
    yield from serving(http_head_timeout_ms=400)


@pytest.fixture(scope="module")
def idlers():
    yield from serving(http_idle_timeout_ms=600)


@pytest.fixture(scope="module")
def bodies():
    yield from serving(http_body_timeout_ms=1000)


@pytest.fixture(scope="module")
def writers():
    yield from serving(http_write_timeout_ms=500)


@pytest.fixture(scope="module")
def handshakes():
    yield from serving(http_tls_handshake_timeout_ms=400)


@contextlib.contextmanager
def closed_after(seconds, said=b""):
    """The peer is closed within, behind such words, and no sooner than so."""
    began, found = time.monotonic(), []
    yield found
    took = time.monotonic() - began
    assert seconds < took < LATE_S and found[0].startswith(said) and bool(found[0]) == bool(said), (took, found)


def dripped(sock, piece, pause_s):
    """Sends it again and again until that is refused."""
    began = time.monotonic()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() < began + LATE_S:
            sock.sendall(piece)
            time.sleep(pause_s)


@pytest.mark.parametrize("listener", ["plain", "ingest"])
def test_a_silent_connection_is_closed(heads, listener):
    with closed_after(0.3) as said, heads.connect(listener) as sock:
        said.append(wire.Reader(sock).to_end())


def test_a_slow_head_is_408_however_steadily_it_drips(heads):
    with heads.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n")
        dripped(sock, b"X: y\r\n", 0.05)


def test_a_head_that_stops_is_408(heads):
    with closed_after(0.3, b"HTTP/1.1 408 ") as said, heads.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost")
        said.append(wire.Reader(sock).to_end())


def test_an_idle_connection_is_closed_without_a_word(idlers):
    with closed_after(0.5) as said, idlers.connect() as sock:
        reader = wire.Reader(sock)
        sock.sendall(GET)
        assert reader.answer().status == 200
        said.append(reader.to_end())


def test_a_body_that_stops_is_408_and_its_request_gone(bodies):
    server, before = bodies, bodies.state()
    with closed_after(0.9, b"HTTP/1.1 408 ") as said, server.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        said.append(wire.Reader(sock).to_end())
    assert server.wait_state(lambda state: state["live"] == 0)["timeout"] == before["timeout"] + 1


def test_a_body_that_trickles_goes_on(bodies):
    with bodies.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        for i in range(10):
            sock.sendall(b"%d" % i)
            time.sleep(0.15)
        assert wire.Reader(sock).answer().body == b"0123456789"


def test_a_body_that_the_handler_paused_is_not_timed(bodies):
    with bodies.connect() as sock:
        sock.sendall(b"POST /duplex?pause=1&hold=1600 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"
                     b"0123456789")
        assert wire.Reader(sock).answer().body == b"end 10\n"


def test_a_parked_request_outlives_every_connection_deadline(heads, idlers, bodies, writers):
    with contextlib.ExitStack() as stack:
        parked = [stack.enter_context(server.connect()) for server in (heads, idlers, bodies, writers)]
        for sock in parked:
            sock.sendall(b"GET /park?ms=1500 HTTP/1.1\r\nHost: h\r\n\r\n")
        for sock in parked:
            assert wire.Reader(sock).answer().body == b"bits=20000\n"


@pytest.mark.parametrize("path", ["/stream?count=100000&size=60000", "/hello?size=16000000"])
def test_a_peer_that_takes_nothing_is_disconnected(writers, path):
    before = writers.state()
    with writers.connect() as sock:
        sock.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        select.select([sock], [], [], LATE_S)  # its answer has begun
        writers.wait_state(lambda state: state["live"] == 0 and state != before, LATE_S)


def test_an_h2_peer_that_opens_no_window_is_disconnected(writers):
    client = wire.H2Client(writers, "h2c")
    client.request("GET", "/stream?count=1000&size=60000")
    client.sock.settimeout(LATE_S)
    wire.Reader(client.sock).to_end()  # never acknowledged
    writers.wait_state(lambda state: state["live"] == 0)


def test_pings_do_not_keep_an_h2_peer_that_opens_no_window(writers):
    server, client = writers, wire.H2Client(writers, "h2c")
    client.request("GET", "/stream?count=1000&size=60000")
    end = time.monotonic() + LATE_S
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() < end:
            client.state.ping(b"12345678")
            client.flush()
            time.sleep(0.05)
    server.wait_state(lambda state: state["live"] == 0)


def test_an_h2_head_that_drips_is_disconnected(heads):
    server, client = heads, wire.H2Client(heads, "h2c")
    client.sock.sendall(b"\x00\x3f\xff\x01\x00\x00\x00\x00\x01\x82\x40\x01x\x7f\xff\x7f")
    dripped(client.sock, b"y", 0.02)
    server.wait_state(lambda state: state["live"] == 0)


def test_a_handshake_that_stops_is_closed(handshakes):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", handshakes.ports["tls"]), timeout=LATE_S) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00")
        wire.Reader(sock).to_end()
    assert 0.3 < time.monotonic() - began < LATE_S


def test_an_idle_h2_connection_says_goaway(idlers):
    client = wire.H2Client(idlers, "h2c")
    stream = client.request("GET", "/hello")
    assert client.answer(stream) == (200, b"hello\n")
    assert client.next(h2.events.ConnectionTerminated).error_code == 0


def uploading(server):
    """A connection with a request in progress."""
    sock = server.connect()
    sock.sendall(b"POST /duplex?every=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    reader = wire.Reader(sock)
    assert reader.head()[0] == 200
    return sock, reader


def test_connections_beyond_the_limit_are_closed_while_all_others_are_busy():
    server = wire.Wire(http_connections_max=20, http_loops=1)
    kept = [uploading(server) for _ in range(20)]
    with server.connect() as sock:
        try:
            sock.sendall(GET)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert wire.Reader(sock).to_end() == b""
    for sock, reader in kept:
        sock.sendall(b"1\r\nx\r\n")
        assert reader.chunk() == b"ack 1\n"
    kept.pop()[0].close()
    deadline = time.monotonic() + wire.PATIENCE_S
    while True:
        with server.connect() as sock:
            try:
                sock.sendall(GET)
            except (BrokenPipeError, ConnectionResetError):
                pass
            if wire.Reader(sock).to_end_or_answer():
                break
        assert time.monotonic() < deadline
    for sock, _ in kept:
        sock.close()
    server.stop()


def test_a_new_connection_takes_the_place_of_the_one_idle_longest():
    server = wire.Wire(http_connections_max=20, http_loops=1)
    busy, busy_reader = uploading(server)
    idle = [server.connect() for _ in range(19)]
    for sock in idle[::-1]:  # so that the last one made has been idle longest
        sock.sendall(GET)
        assert wire.Reader(sock).answer().status == 200
    with server.connect() as sock:
        sock.sendall(GET)
        assert wire.Reader(sock).answer().status == 200
        assert wire.Reader(idle[-1]).to_end() == b""
    for sock in idle[:-1]:
        sock.sendall(GET)
        assert wire.Reader(sock).answer().status == 200
        sock.close()
    busy.sendall(b"1\r\nx\r\n")
    assert busy_reader.chunk() == b"ack 1\n"
    busy.close()
    server.stop()


def test_a_gathered_body_must_end_in_time_however_steadily_it_drips():
    server = wire.Wire(http_gather_timeout_ms=600)
    with server.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
        dripped(sock, b"x", 0.02)
    upload = wire.upload(server, "plain", "/duplex?every=1")  # media may take its time
    began = time.monotonic()
    while time.monotonic() < began + 1:
        upload.send(b"x")
        assert upload.receive().startswith(b"ack ")
        time.sleep(0.05)
    server.wait_state(lambda state: state["timeout"] == 1)
    upload.sock.close()
    server.stop()


def test_unfinished_bodies_have_a_common_ceiling_that_small_requests_do_not_feel():
    server = wire.Wire(http_held_bytes_max=1 << 20, http_loops=1)
    greedy = []
    for _ in range(10):
        sock = server.connect()
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n")
        try:
            sock.sendall(b"x" * 150000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        server.state()  # answered after these bytes were read
        greedy.append(sock)
    small = server.connect()
    small.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n" + b"y" * 9000)
    assert wire.Reader(small).answer().body == b"y" * 9000
    server.wait_state(lambda state: state["error"] > 0 and state["live"] <= 7)
    served = 0
    for sock in greedy:
        try:
            sock.sendall(b"x" * 50000)
            answer = wire.Reader(sock).to_end_or_answer()
            assert not answer or answer.status in (200, 503)
            served += bool(answer) and answer.status == 200
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer was lost to a reset
        sock.close()
    assert 1 <= served <= 6, "seven times 150,000 bytes pass a MiB"
    server.wait_state(lambda state: state["live"] == 0)
    with server.connect() as sock:  # what was held has been given back
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n" +
                     b"z" * 500000)
        assert wire.Reader(sock).answer().body == b"z" * 500000
    small.close()
    server.stop()


def test_connections_of_one_peer_are_limited():
    server = wire.Wire(http_connections_per_peer_max=3)
    kept = [server.connect() for _ in range(3)]
    for sock in kept:
        sock.sendall(GET)
        assert wire.Reader(sock).answer().status == 200
    with server.connect() as sock:
        assert wire.Reader(sock).to_end() == b""
    with socket.socket() as sock:
        sock.bind(("127.0.0.2", 0))
        sock.connect(("127.0.0.1", server.ports["plain"]))
        sock.sendall(GET)
        assert wire.Reader(sock).answer().status == 200
    for sock in kept:
        sock.close()
    server.stop()


@pytest.mark.parametrize("transport", ["plain", "tls", "h2c", "h2", "mhd"])
def test_stopping_wakes_parked_requests_and_lets_them_answer(transport):
    server = wire.Wire()
    client = subprocess.Popen(server.curl_command(transport, "/park"), stdout=subprocess.PIPE)
    server.wait_state(lambda state: state["live"] == 1)
    server.stop()
    assert client.stdout.read() == b"bits=80000\n" and client.wait() == 0


def test_stopping_closes_what_does_not_end_in_time():
    server = wire.Wire()
    with server.connect() as upload, server.connect("console") as console:
        upload.sendall(b"POST /duplex HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.Reader(upload).head()
        console.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        server.wait_state(lambda state: state["live"] == 2)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < LATE_S
