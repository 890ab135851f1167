# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by the frame: how it is chosen, what is refused, flow control, floods."""

import struct

import h2.errors
import h2.events
import hpack
import pytest

import wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture(scope="module")
def server():
    one = wire.Wire(http_h2_streams_max=10)
    yield one
    one.stop()


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def raw_request(server, fields):
    """Sends one head as it is; (status or None, error code of a reset or None)."""
    client = wire.H2Client(server, "h2c")
    block = hpack.Encoder().encode(fields)
    client.sock.sendall(frame(1, 0x5, 1, block))
    data = b""
    while True:
        more_data = client.sock.recv(65536)
        if not more_data:
            return None, None
        data += more_data
        at = 0
        while len(data) - at >= 9:
            length = int.from_bytes(data[at:at + 3], "big")
            if len(data) - at < 9 + length:
                break
            kind, payload = data[at + 3], data[at + 9:at + 9 + length]
            if kind == 1:
                return int(dict(hpack.Decoder().decode(payload))[":status"]), None
            if kind == 3:
                return None, int.from_bytes(payload, "big")
            if kind == 7:
                return None, int.from_bytes(payload[4:8], "big")
            at += 9 + length


HEAD = [(":method", "GET"), (":path", "/hello"), (":scheme", "http"), (":authority", "a")]


def test_a_plain_head(server):
    assert raw_request(server, HEAD) == (200, None)


@pytest.mark.parametrize("change,result", [
    ({":authority": None}, "reset"),
    ({":authority": "a b"}, "reset"),
    ({":authority": "a", "host": "b"}, 400),
    ({":authority": "a", "host": "a"}, 200),
    ({":authority": None, "host": "a"}, 200),
    ({":path": "/a b"}, "reset"),
    ({":path": "/\xe4"}, "reset"),
    ({":path": "/a\r\nX: y"}, "reset"),
    ({":path": ""}, "reset"),
    ({":path": "hello"}, "reset"),
    ({":method": "GE T"}, "reset"),
    ({":method": "GET\r\nX"}, "reset"),
    ({"x": "a\r\nb: c"}, "reset"),
    ({"x": "a\x00b"}, "reset"),
    ({"X-Upper": "a"}, "reset"),
    ({"connection": "close"}, "reset"),
    ({"transfer-encoding": "chunked"}, "reset"),
    ({"content-length": "1"}, "reset"),
    ({":scheme": None}, "reset"),
    ({"expect": "tea"}, 417),
])
def test_a_head_that_another_reader_could_see_differently_is_refused(server, change, result):
    fields = {**dict(HEAD), **change}
    status, error = raw_request(server, [(name, value) for name, value in fields.items() if value is not None])
    if result == "reset":
        assert status in (None, 400) and (status or error), (status, error)
    else:
        assert status == result


def test_too_many_or_too_large_headers_are_431(server):
    for headers in ([("x", "y")] * 200, [(f"x{i}", "z" * 4000) for i in range(17)]):
        client = wire.H2Client(server, "h2c")
        stream = client.request("GET", "/hello", *headers)
        event = client.next(h2.events.ResponseReceived, h2.events.StreamReset,
                            h2.events.ConnectionTerminated)
        if isinstance(event, h2.events.ResponseReceived):
            assert dict(event.headers)[":status"] == "431" and event.stream_id == stream


def test_tls_without_alpn_but_with_a_preface(server):
    """AWS SDK for Java with ASSUME_PROTOCOL puts its HTTP/2 codec right behind TLS."""
    client = wire.H2Client(server, "h2", alpn=())
    assert client.answer(client.request("GET", "/hello")) == (200, b"hello\n")


def test_a_preface_in_pieces(server):
    client = wire.H2Client(server, "h2c", send_preface=False)
    client.state.initiate_connection()
    for byte in client.state.data_to_send():
        client.sock.sendall(bytes([byte]))
    assert client.answer(client.request("GET", "/hello")) == (200, b"hello\n")


def test_a_broken_preface_is_refused(server):
    with server.connect() as sock:
        sock.sendall(PREFACE[:-2] + b"xx")
        assert wire.Reader(sock).answer().status in (400, 505)


def test_requests_are_answered_beside_one_another(server):
    client = wire.H2Client(server, "h2")
    parked = client.request("GET", "/park")
    assert client.answer(client.request("GET", "/hello"))[1] == b"hello\n"
    assert server.curl("plain", "/wake")[2] == b"woken\n"
    assert client.answer(parked)[1] == b"bits=5\n"


def test_100_continue(server):
    client = wire.H2Client(server, "h2c")
    stream = client.request("POST", "/duplex", ("expect", "100-continue"), end=False)
    assert client.next(h2.events.InformationalResponseReceived)
    assert client.next(h2.events.ResponseReceived)
    client.state.end_stream(stream)
    client.flush()
    assert client.next(h2.events.DataReceived).data == b"end 0\n"


def test_windows_open_as_the_handler_takes_bytes(server):
    client = wire.H2Client(server, "h2c")
    stream = client.request("POST", "/duplex?every=100000000&pause=1&hold=300", end=False)
    client.next(h2.events.ResponseReceived)
    sent, limit = 0, 8_000_000
    while sent < limit:
        room = min(client.state.local_flow_control_window(stream), 16384, limit - sent)
        if room == 0:
            assert client.next(h2.events.WindowUpdated)
            continue
        client.state.send_data(stream, b"x" * room)
        client.flush()
        sent += room
    client.state.end_stream(stream)
    client.flush()
    assert client.next(h2.events.DataReceived).data == b"end %d\n" % limit


def test_streams_beyond_the_limit_are_refused(server):
    client = wire.H2Client(server, "h2c")
    client.next(h2.events.RemoteSettingsChanged)
    assert client.state.remote_settings.max_concurrent_streams == 10
    client.state.remote_settings.update({3: 1000})
    client.state.remote_settings.acknowledge()
    streams = [client.request("GET", "/park?ms=600000") for _ in range(11)]
    reset = client.next(h2.events.StreamReset, h2.events.ConnectionTerminated)
    if isinstance(reset, h2.events.StreamReset):
        assert reset.stream_id == streams[-1] and reset.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
    client.sock.close()
    server.wait_state(lambda state: state["live"] == 0)


def flood(server, send):
    """Sends far more than any honest client, after which the server must have ended the connection
    (it may drop what was on its way for a moment), and serve others."""
    client = wire.H2Client(server, "h2c")
    try:
        for i in range(20000):
            client.sock.sendall(send(i))
    except (BrokenPipeError, ConnectionResetError):
        pass
    wire.Reader(client.sock).to_end()  # times out when the connection is kept
    assert server.curl("h2c", "/hello")[0] == 200


def test_a_rapid_reset_flood_ends_the_connection(server):
    """CVE-2023-44487: open a stream and reset it, over and over."""
    block = hpack.Encoder().encode(HEAD[:1] + [(":path", "/park")] + HEAD[2:])
    flood(server, lambda i: frame(1, 0x5, 2 * i + 1, block) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08"))
    server.wait_state(lambda state: state["live"] == 0)


def test_a_flood_of_resets_that_we_are_made_to_send_ends_the_connection(server):
    """CVE-2025-8671: each stream is opened and then broken, so that the server resets it."""
    block = hpack.Encoder().encode(HEAD[:1] + [(":path", "/park")] + HEAD[2:])
    flood(server, lambda i: frame(1, 0x5, 2 * i + 1, block) +
          frame(8, 0, 2 * i + 1, b"\x7f\xff\xff\xff"))
    server.wait_state(lambda state: state["live"] == 0)


def test_answers_a_peer_does_not_take_keep_it_from_asking_more(server):
    client = wire.H2Client(server, "h2c")
    client.state.update_settings({4: 0})  # no window: every answer stays with the server
    client.flush()
    client.next(h2.events.SettingsAcknowledged)
    streams = [client.request("GET", "/hello?size=20000000") for _ in range(4)]
    reset = client.next(h2.events.StreamReset)
    assert reset.stream_id == streams[2]
    assert reset.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
    assert client.next(h2.events.StreamReset).stream_id == streams[3]
    client.sock.close()
    server.wait_state(lambda state: state["live"] == 0)


def test_a_ping_flood_ends_the_connection(server):
    flood(server, lambda i: frame(6, 0, 0, b"12345678"))


def test_a_settings_flood_ends_the_connection(server):
    flood(server, lambda i: frame(4, 0, 0))


def test_an_empty_data_flood_ends_the_connection(server):
    block = hpack.Encoder().encode([(":method", "POST"), (":path", "/echo")] + HEAD[2:])
    flood(server, lambda i: (frame(1, 0x4, 1, block) if i == 0 else b"") + frame(0, 0, 1))


def test_an_endless_continuation_ends_the_connection(server):
    flood(server, lambda i: frame(1, 0, 1, b"\x82") if i == 0 else frame(9, 0, 1, b"\x40\x01x\x01y" * 100))


def test_one_connection_serves_thousands_of_requests_in_turn(server):
    client = wire.H2Client(server, "h2c")
    for _ in range(1000):
        assert client.answer(client.request("GET", "/hello")) == (200, b"hello\n")
