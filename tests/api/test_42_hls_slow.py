# SPDX-License-Identifier: Apache-2.0
"""Viewers that take little at a time get every byte, plain and over TLS, and hold up nobody."""

import socket
import ssl
import urllib.parse

import pytest

import hls
import media

VIEWERS = 3
ANSWERS = 1  # of one connection
BYTES_MIN = 3 << 20  # a segment that no socket takes at once


@pytest.fixture(scope="module")
def heavy(tls_server, tmp_path_factory):
    """(server, URL of a session whose segments are megabytes) of one upload."""
    source = tmp_path_factory.mktemp("heavy") / "noise.mkv"
    capture = hls.make(source, *hls.picture(2, "640x360"), "-vf", "noise=alls=50:allf=t",
                       *hls.X264, "-qp", "8")
    stream = tls_server.create_stream()
    media.upload(tls_server, stream, capture)
    return tls_server, hls.open_session(tls_server, stream)


class Viewer:
    """A keep-alive connection with a small receive buffer, read a little at a time."""

    def __init__(self, port, context):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)  # several MTUs of loopback
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.left = b""

    def ask(self, url):
        parts = urllib.parse.urlsplit(url)
        self.socket.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def read_head(self):
        while b"\r\n\r\n" not in self.left:
            self.left += self.socket.recv(100)
        head, self.left = self.left.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200 "), head
        self.length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])

    def read_some(self, most):
        """True once the body is whole."""
        if len(self.left) < self.length:
            more = self.socket.recv(min(most, self.length - len(self.left)))
            assert more, "the server closed"
            self.left += more
        return len(self.left) == self.length


def test_a_segment_that_many_want_stays_the_same(heavy):
    server, url = heavy
    target = hls.playlist(url).segments[0].url
    first = hls.get(target).body
    for _ in range(6):  # by now it is sent from memory
        assert hls.get(target).body == first
    part = hls.get(target, Range="bytes=100000-200000")
    assert part.status == 206 and part.body == first[100000:200001]
    assert hls.get(target, Range="bytes=-5000").body == first[-5000:]
    assert hls.get(target, method="HEAD").headers["Content-Length"] == str(len(first))


@pytest.mark.parametrize("tls", [False, True])
def test_slow_viewers_get_every_byte(heavy, tls):
    server, url = heavy
    segment = max((hls.get(s.url).body for s in hls.playlist(url).segments), key=len)
    target = next(s.url for s in hls.playlist(url).segments if hls.get(s.url).body == segment)
    assert len(segment) > BYTES_MIN
    trust = ssl.create_default_context(cafile=server.certificate) if tls else None
    port = int(server.endpoints["api-tls" if tls else "api"].rsplit(":", 1)[1])

    viewers = [Viewer(port, trust) for _ in range(VIEWERS)]
    for _ in range(ANSWERS):
        for viewer in viewers:
            viewer.ask(target)
        for viewer in viewers:
            viewer.read_head()
        assert hls.get(target).body == segment, "another viewer waits for the slow ones"
        reading = list(viewers)
        while reading:
            reading = [v for i, v in enumerate(reading) if not v.read_some(100000 + 17000 * i)]
        assert all(v.left == segment for v in viewers)
        for viewer in viewers:
            viewer.left = b""
