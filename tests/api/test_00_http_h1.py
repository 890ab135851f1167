# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 by the byte: what is refused, what is kept alive, in which order answers come."""

import concurrent.futures
import socket
import ssl
import time

import pytest

import wire

ECHO = b"POST /echo HTTP/1.1\r\nHost: h\r\n"
HIDDEN = b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"

# Each would let a proxy in front and this server see different requests: 400, and the connection ends.
AMBIGUOUS = {
    "both lengths": ECHO + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, other order": ECHO + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": ECHO + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": ECHO + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length list": ECHO + b"Content-Length: 5, 5\r\n\r\nhello",
    "length +5": ECHO + b"Content-Length: +5\r\n\r\nhello",
    "length -1": ECHO + b"Content-Length: -1\r\n\r\n",
    "length hex": ECHO + b"Content-Length: 0x5\r\n\r\nhello",
    "length empty": ECHO + b"Content-Length:\r\n\r\n",
    "length with blank": ECHO + b"Content-Length: 1 1\r\n\r\nhello",
    "length too large": ECHO + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "blank before colon": ECHO + b"Content-Length : 5\r\n\r\nhello",
    "tab before colon": ECHO + b"Content-Length\t: 5\r\n\r\nhello",
    "coding twice": ECHO + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding identity": ECHO + b"Transfer-Encoding: identity\r\n\r\n",
    "coding xchunked": ECHO + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding list": ECHO + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding chunked, identity": ECHO + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding with vertical tab": ECHO + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "coding quoted": ECHO + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding empty": ECHO + b"Transfer-Encoding:\r\n\r\n",
    "folded header": ECHO + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "folded coding": ECHO + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "first header folded": b"POST /echo HTTP/1.1\r\n Host: h\r\n\r\n",
    "bare LF": b"POST /echo HTTP/1.1\nHost: h\nContent-Length: 0\n\n",
    "one bare LF": ECHO + b"X: y\nContent-Length: 0\r\n\r\n",
    "bare CR": ECHO + b"X: y\rContent-Length: 3\r\n\r\nabc",
    "NUL in value": ECHO + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "NUL in name": ECHO + b"X\x00: a\r\nContent-Length: 0\r\n\r\n",
    "control in value": ECHO + b"X: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "no colon": ECHO + b"Nonsense\r\nContent-Length: 0\r\n\r\n",
    "empty name": ECHO + b": x\r\nContent-Length: 0\r\n\r\n",
    "no Host": b"POST /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two Hosts": ECHO + b"Host: h\r\nContent-Length: 0\r\n\r\n",
    "empty Host": b"POST /echo HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n",
    "Host with path": b"POST /echo HTTP/1.1\r\nHost: a/b\r\nContent-Length: 0\r\n\r\n",
    "Host with user": b"POST /echo HTTP/1.1\r\nHost: a@b\r\nContent-Length: 0\r\n\r\n",
    "target against Host": b"POST http://evil/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "target without slash": b"POST echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "two blanks": b"POST  /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "blank in target": b"POST /echo x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "tab after method": b"POST\t/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "blank after version": b"POST /echo HTTP/1.1 \r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "lower case version": b"POST /echo http/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "no version": b"POST /echo\r\nHost: h\r\n\r\n",
    "CONNECT": b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
    "coding in 1.0": b"POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bytes past ASCII in target": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n",
}

CHUNKED = ECHO + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "bare LF after size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF after data": b"5\r\nhello\n0\r\n\r\n",
    "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "size empty": b"\r\nhello\r\n",
    "size with sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "size 0x5": b"0x5\r\nhello\r\n0\r\n\r\n",
    "blank before size": b" 5\r\nhello\r\n0\r\n\r\n",
    "blank after size": b"5 \r\nhello\r\n0\r\n\r\n",
    "size overflow": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size of many zeros": b"0000000000000000005\r\nhello\r\n0\r\n\r\n",
    "extension with bare CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension with LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension too long": b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer folded": b"0\r\n x\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \x00\r\n\r\n",
    "trailers too long": b"0\r\n" + b"X: yyyyyyyy\r\n" * 600 + b"\r\n",
    "last chunk with LF": b"0\n\n",
}


@pytest.fixture(scope="module")
def server():
    one = wire.Wire()
    yield one
    one.stop()


def expect_refused(server, listener, data, statuses):
    with server.connect(listener) as sock:
        sock.sendall(data + HIDDEN)
        reader = wire.Reader(sock)
        answer = reader.answer()
        assert answer.status in statuses
        assert answer.headers.get("connection") == "close"
        rest = reader.to_end()
        assert rest == b"" or (listener == "console" and b"HTTP/1.1" not in rest), rest


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_request_is_400_and_ends_the_connection(server, listener, name):
    expect_refused(server, listener, AMBIGUOUS[name], [400])


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_malformed_chunked_body_is_400_and_ends_the_connection(server, name):
    expect_refused(server, "plain", CHUNKED + BAD_CHUNKS[name], [400])


# libmicrohttpd reads bare LF and folded headers as its own parser likes; what matters behind a proxy
# is that no hidden request is answered.
MHD_REFUSED = [name for name in AMBIGUOUS if name.split()[0] in ("both", "two", "the", "length", "blank",
                                                                 "tab", "coding", "no")
               and name not in ("two blanks", "blank in target", "tab after method",
                                "blank after version", "no colon", "no version")]


@pytest.mark.parametrize("name", MHD_REFUSED)
def test_the_console_refuses_ambiguous_lengths_and_hosts(server, name):
    expect_refused(server, "console", AMBIGUOUS[name], [400, 411, 413, 505])


def test_other_refusals(server):
    expect_refused(server, "plain", b"GET /hello HTTP/2.0\r\nHost: h\r\n\r\n", [505])
    expect_refused(server, "plain", ECHO + b"Expect: tea\r\nContent-Length: 1\r\n\r\nx", [417])
    expect_refused(server, "plain", b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", [431])
    expect_refused(server, "plain", b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200 + b"\r\n", [431])


def test_one_empty_line_before_a_request_is_overlooked(server):
    with server.connect() as sock:
        sock.sendall(b"\r\n" + HIDDEN)
        assert wire.Reader(sock).answer().body == b"hello\n"
    expect_refused(server, "plain", b"\r\n\r\n" + HIDDEN, [400])


def test_absolute_form_that_agrees_with_host(server):
    with server.connect() as sock:
        reader = wire.Reader(sock)
        for target in b"http://H:1/headers?q", b"HTTPS://h:1/headers?q":
            sock.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: h:1\r\n\r\n")
            assert reader.answer().body.startswith(b"GET|/headers|q|host=h:1|")


@pytest.mark.parametrize("listener", ["plain", "tls", "console"])
def test_a_head_may_come_in_any_pieces(server, listener):
    request = ECHO + b"Content-Length: 3\r\nX: y\r\n\r\nabc"
    with server.connect(listener) as sock:
        reader = wire.Reader(sock)
        for i in range(len(request)):
            sock.sendall(request[i:i + 1])
        assert reader.answer().body == b"abc"
        sock.sendall(request)
        assert reader.answer().body == b"abc"


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_a_chunked_body_may_come_in_any_pieces_with_extensions_and_trailers(server, listener):
    request = CHUNKED + b"3;a=b\r\nabc\r\n00A;\"x\"\r\n0123456789\r\n0\r\nX-T: z\r\nY: w\r\n\r\n"
    with server.connect(listener) as sock:
        reader = wire.Reader(sock)
        for i in range(len(request)):
            sock.sendall(request[i:i + 1])
        assert reader.answer().body == b"abc0123456789"
        sock.sendall(request + request)
        assert reader.answer().body == reader.answer().body == b"abc0123456789"


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_pipelined_requests_are_answered_in_order(server, listener):
    one = ECHO + b"Content-Length: 3\r\n\r\n%03d" + b"GET /offload HTTP/1.1\r\nHost: h\r\n\r\n"
    count = 200
    with server.connect(listener) as sock:
        reader = wire.Reader(sock)
        sock.sendall(b"".join(one % i for i in range(count)))
        for i in range(count):
            assert reader.answer().body == b"%03d" % i
            assert reader.answer().status == 405


def test_a_half_closed_pipeline_is_answered_to_its_end(server):
    with server.connect() as sock:
        sock.sendall(HIDDEN * 50)
        sock.shutdown(socket.SHUT_WR)
        reader = wire.Reader(sock)
        for _ in range(50):
            assert reader.answer().body == b"hello\n"
        assert reader.to_end() == b""


@pytest.mark.parametrize("listener", ["plain", "tls", "console"])
@pytest.mark.parametrize("version,connection,kept", [(b"1.1", b"", True), (b"1.1", b"close", False),
                                                     (b"1.1", b"Keep-Alive, CLOSE", False),
                                                     (b"1.0", b"", False)])
def test_keep_alive_as_asked_for(server, listener, version, connection, kept):
    with server.connect(listener) as sock:
        header = b"Connection: " + connection + b"\r\n" if connection else b""
        sock.sendall(b"GET /hello HTTP/" + version + b"\r\nHost: h\r\n" + header + b"\r\n")
        reader = wire.Reader(sock)
        answer = reader.answer()
        if version == b"1.1":
            assert (answer.headers.get("connection", "").lower() == "close") == (not kept)
        if kept:
            sock.sendall(HIDDEN)
            assert reader.answer().body == b"hello\n"
        else:
            assert reader.to_end() == b""


def test_a_streamed_answer_to_http_1_0_ends_with_the_connection(server):
    with server.connect() as sock:
        sock.sendall(b"GET /stream?count=3&size=5 HTTP/1.0\r\n\r\n")
        answer = wire.Reader(sock).answer()
        assert "transfer-encoding" not in answer.headers and answer.body == b"aaaaabbbbbccccc"


def test_one_pull_is_one_chunk(server):
    """Rule 1 of kvs-producer.md: one ack JSON object per HTTP chunk, flushed at once."""
    with server.connect() as sock:
        sock.sendall(b"GET /stream?count=5&size=7 HTTP/1.1\r\nHost: h\r\n\r\n")
        reader = wire.Reader(sock)
        assert reader.head()[1]["transfer-encoding"] == "chunked"
        assert [reader.chunk() for _ in range(6)] == [b"abcde"[i:i + 1] * 7 for i in range(5)] + [b""]


# --- 100-continue: rules.md 37 -----------------------------------------------------------------
@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("path", ["/echo", "/duplex", "/over", "/offload"])
def test_100_comes_as_soon_as_the_head_is_accepted(server, listener, path):
    with server.connect(listener) as sock:
        reader = wire.Reader(sock)
        sock.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        assert reader.head() == (100, {})
        sock.sendall(b"3\r\nabc\r\n0\r\n\r\n")
        assert reader.answer().status == 200


def test_100_comes_before_the_first_byte_of_a_streamed_200(server):
    with server.connect() as sock:
        sock.sendall(b"POST /duplex HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        reader = wire.Reader(sock)
        assert reader.head()[0] == 100
        assert reader.head()[0] == 200


def test_a_complete_early_answer_suppresses_100(server):
    with server.connect() as sock:
        sock.sendall(b"POST /forbidden HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                     b"Content-Length: 3\r\n\r\n")
        reader = wire.Reader(sock)
        answer = reader.answer()
        assert answer.status == 403 and answer.headers["connection"] == "close"
        assert reader.to_end() == b""


def test_no_100_without_a_body(server):
    with server.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n")
        assert wire.Reader(sock).answer().status == 200


# --- uploads and answers, each ending first --------------------------------------------------------
def test_a_short_unwanted_body_does_not_cost_the_connection(server):
    with server.connect() as sock:
        reader = wire.Reader(sock)
        for _ in range(3):
            sock.sendall(b"POST /forbidden HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
            assert reader.answer().status == 403
            sock.sendall(b"x" * 1000)


def test_an_early_answer_survives_an_upload_of_a_megabyte_behind_it(server):
    with server.connect() as sock:
        sock.sendall(b"POST /forbidden HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(14):
            sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            time.sleep(0.001)
        reader = wire.Reader(sock)
        assert reader.answer().status == 403
        assert reader.to_end() == b""


def test_an_answer_that_ends_before_its_upload_ends_the_connection(server):
    """kvs-producer.md 4: after an early 0-chunk the client would go on sending: close instead."""
    with server.connect() as sock:
        sock.sendall(b"POST /duplex?every=10&stop=1 HTTP/1.1\r\nHost: h\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n")
        reader = wire.Reader(sock)
        assert reader.head()[0] == 200
        assert reader.chunk() == b"ack 10\n" and reader.chunk() == b""
        assert reader.to_end() == b""


def test_a_broken_upload_ends_its_stream(server):
    before = server.state()
    with server.connect() as sock:
        sock.sendall(b"POST /duplex?every=10 HTTP/1.1\r\nHost: h\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n")
        reader = wire.Reader(sock)
        assert reader.head()[0] == 200 and reader.chunk() == b"ack 10\n"
        sock.sendall(b"zz\r\n")
        assert reader.to_end() == b""
    assert server.wait_state(lambda state: state["live"] == 0)["error"] == before["error"] + 1


def test_an_upload_that_breaks_off_is_gone_at_once(server):
    before = server.state()
    with server.connect() as sock:
        sock.sendall(b"POST /duplex HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        wire.Reader(sock).head()
    after = server.wait_state(lambda state: state["live"] == 0)  # no byte for two minutes would end it, too
    assert after["peer_gone"] == before["peer_gone"] + 1


def test_the_last_acks_reach_a_peer_that_has_closed_its_sending_half(server):
    with server.connect() as sock:
        sock.sendall(CHUNKED.replace(b"/echo", b"/duplex?every=2") + b"4\r\nabcd\r\n0\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert wire.Reader(sock).answer().body == b"ack 2\nack 4\nend 4\n"


def test_a_slow_reader_holds_back_only_itself(server):
    with server.connect() as slow:
        slow.sendall(b"GET /stream?count=300&size=60000 HTTP/1.1\r\nHost: h\r\n\r\n")
        for _ in range(10):
            assert server.curl("plain", "/hello")[0] == 200
        total = len(wire.Reader(slow).answer().body)
    assert total == 18_000_000


# --- TLS ---------------------------------------------------------------------------------------------
def test_alpn_per_listener(server):
    with server.connect("tls", ["h2", "http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "h2"
    with server.connect("tls", ["http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    # Rule 7 of kvs-producer.md: never select h2 where PutMedia comes in.
    with server.connect("ingest_tls", ["h2", "http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        sock.sendall(HIDDEN)
        assert wire.Reader(sock).answer().body == b"hello\n"


def test_tls_ends_with_close_notify(server):
    with server.connect("tls") as sock:
        sock.sendall(b"GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        data = b""
        while more := sock.recv(65536):  # a missing close_notify raises SSLEOFError here
            data += more
        assert data.endswith(b"hello\n")


def test_a_request_that_comes_with_the_end_of_a_handshake_is_answered(server):
    """It may be read by the call that ends the handshake, before the loop has heard of its bytes; of
    eight clients at once one in five hundred such requests once waited for ever."""
    def ask(_):
        with server.connect("tls") as sock:  # makes its context between connect and handshake
            sock.sendall(HIDDEN)
            return wire.Reader(sock).answer().body

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(4000))) == {b"hello\n"}


def test_old_tls_is_refused(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", server.ports["tls"])) as plain:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(plain)


def test_an_h2_preface_where_h2_is_not_offered_is_refused(server):
    for listener in ("ingest", "ingest_tls"):
        with server.connect(listener) as sock:
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert wire.Reader(sock).answer().status in (400, 505)


def test_metrics_count_what_happened(server):
    assert server.curl("plain", "/nope")[0] == 404
    expect_refused(server, "plain", AMBIGUOUS["no Host"], [400])
    text = server.curl("plain", "/metrics")[2].decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    for name, least in [('requests_total{listener="plain",status="4xx"}', 2),
                        ('requests_total{listener="plain",status="2xx"}', 0),
                        ('refusals_total{listener="plain"}', 1),
                        ('bytes_total{listener="plain",direction="in"}', 100),
                        ('bytes_total{listener="plain",direction="out"}', 100),
                        ('connections{listener="plain"}', 1)]:
        assert float(values["kinema_http_" + name]) >= least, name
