# SPDX-License-Identifier: Apache-2.0
"""A PutMedia client on a raw socket, which shows what the wire carries: it signs by itself (as AWS's
C producer does), sends its body in chunks of any size while it reads, and keeps each HTTP chunk of
the answer apart.
"""

import datetime
import hashlib
import hmac
import json
import select
import socket
import ssl
import struct
import time
import urllib.parse

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
TIMEOUT_S = 60


def sign(method, path, headers, key, region, service="kinesisvideo", payload=EMPTY_SHA256):
    """The Authorization value over all the headers given, by SigV4."""
    names = sorted(name.lower() for name in headers)
    lower = {name.lower(): str(value).strip() for name, value in headers.items()}
    canonical = "\n".join([method, path, ""] + [f"{name}:{lower[name]}" for name in names] +
                          ["", ";".join(names), payload])
    date = lower["x-amz-date"]
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    secret = ("AWS4" + key.secret).encode()
    for part in (date[:8], region, service, "aws4_request"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return (f"AWS4-HMAC-SHA256 Credential={key.id}/{scope}, SignedHeaders={';'.join(names)}, "
            f"Signature={signature}")


class Ended(Exception):
    """The answer is over and what was waited for has not come."""


class PutMedia:
    """One upload. acks: every acknowledgement so far; chunks: the HTTP chunks they came in."""

    def __init__(self, endpoint, stream, key, timecode_type="ABSOLUTE", start=None, acks="1",
                 user_agent="AWS-PRODUCER-SDK-KVS/1.6.4 GCC/12.2.0 Linux/6.1 x86_64",
                 expect=False, headers=None, region="us-east-1", cafile=None, open_now=True,
                 timeout_s=TIMEOUT_S):
        self.timeout_s = timeout_s  # without any byte taken
        url = urllib.parse.urlsplit(endpoint)
        self.host, self.port, self.tls = url.hostname, url.port, url.scheme == "https"
        self.cafile, self.key, self.region = cafile, key, region
        now = datetime.datetime.now(datetime.timezone.utc)
        self.headers = {
            "Host": self.host,  # without the port, as libcurl is told by these clients
            "connection": "keep-alive",
            "transfer-encoding": "chunked",
            "user-agent": user_agent,
            "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
            "x-amzn-fragment-acknowledgment-required": acks,
            "x-amzn-fragment-timecode-type": timecode_type,
            "x-amzn-producer-start-timestamp": start or f"{time.time():.3f}",
            "x-amzn-stream-name": stream,
        }
        self.headers.update(headers or {})
        self.headers = {k: v for k, v in self.headers.items() if v is not None}
        self.expect = expect
        self.acks, self.chunks, self.times = [], [], []
        self.status, self.answer_headers, self.body = None, {}, b""
        self.over = False     # the answer has ended
        self.closed = False   # and the connection too
        self.interim = []     # 100 Continue
        self._in = b""
        self._chunked = None
        if open_now:
            self.open()

    # --- the request -----------------------------------------------------------------------------
    def open(self):
        self.sock = socket.create_connection((self.host, self.port), timeout=self.timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            context = ssl.create_default_context(cafile=self.cafile)
            context.set_alpn_protocols(["h2", "http/1.1"])  # as libcurl offers
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        if self.key:
            lines.append("Authorization: " +
                         sign("POST", "/putMedia", self.headers, self.key, self.region))
        lines += ["Accept: */*", "content-type: application/json"]
        if self.expect:
            lines.append("Expect: 100-continue")
        self.sock.sendall(("POST /putMedia HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
        return self

    def send(self, data, chunk=65524):
        """Body bytes in HTTP chunks of at most `chunk`, reading what comes meanwhile."""
        out = b"".join(b"%x\r\n" % len(data[at:at + chunk]) + data[at:at + chunk] + b"\r\n"
                       for at in range(0, len(data), chunk))
        self._push(out)
        return self

    def end(self):
        """The final chunk: no more body."""
        self._push(b"0\r\n\r\n")
        return self

    def _push(self, out):
        view, deadline = memoryview(out), time.monotonic() + self.timeout_s
        self.sock.setblocking(False)
        while view and not self.closed:
            try:
                sent = self.sock.send(view)
                view = view[sent:]
                deadline = time.monotonic() + self.timeout_s
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                select.select([self.sock], [self.sock], [], 0.05)
            except (BrokenPipeError, ConnectionResetError):
                self._drain()
                self.closed = True
                return
            self._drain()
            assert time.monotonic() < deadline, "the server takes no more bytes"

    # --- the answer ------------------------------------------------------------------------------
    def _drain(self):
        """Takes what has come, without waiting."""
        while not self.closed:
            self.sock.setblocking(False)
            try:
                got = self.sock.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except ConnectionResetError:
                got = b""
            if not got:
                self.closed = self.over = True
                return
            self._in += got
            self._parse()

    def _parse(self):
        while self.status is None and b"\r\n\r\n" in self._in:
            head, self._in = self._in.split(b"\r\n\r\n", 1)
            lines = head.decode().split("\r\n")
            status = int(lines[0].split()[1])
            if status == 100:
                self.interim.append(status)
                continue
            self.status = status
            self.answer_headers = {name.lower(): value.strip() for name, value in
                                   (line.split(":", 1) for line in lines[1:])}
            self._chunked = self.answer_headers.get("transfer-encoding") == "chunked"
        while self.status is not None and not self.over:
            if not self._chunked:
                want = int(self.answer_headers.get("content-length", 0))
                self.body, self.over = self._in, len(self._in) >= want
                return
            head, found, rest = self._in.partition(b"\r\n")
            size = int(head, 16) if found else 0
            if not found or len(rest) < size + 2:
                return
            assert len(head) <= 8, "the embedded producer reads at most 8 digits of a chunk's length"
            assert rest[size:size + 2] == b"\r\n"
            self._in = rest[size + 2:]
            if size == 0:
                self.over = True
                return
            self._take_chunk(rest[:size])

    def _take_chunk(self, chunk):
        assert len(chunk) <= 1024, "AWS's C producer loses chunks above 1024 bytes"
        self.chunks.append(chunk)
        self.times.append(time.monotonic())
        # one object, and blanks at most: a second one would raise here
        self.acks.append(json.loads(chunk))

    def wait(self, done, timeout=TIMEOUT_S):
        """Reads until done() is true; what it gave."""
        deadline = time.monotonic() + timeout
        while True:
            self._drain()
            result = done()
            if result:
                return result
            if self.over:
                raise Ended(f"status {self.status}, acks {self.acks[-8:]}, body {self.body!r}")
            left = deadline - time.monotonic()
            assert left > 0, f"timed out; status {self.status}, acks {self.acks[-8:]}"
            select.select([self.sock], [], [], min(left, 0.5))

    def wait_status(self):
        return self.wait(lambda: self.status)

    def wait_ack(self, kind, timecode=None, timeout=TIMEOUT_S):
        return self.wait(lambda: next((ack for ack in self.acks if ack["EventType"] == kind and
                                       timecode in (None, ack.get("FragmentTimecode"))), None),
                         timeout)

    def wait_over(self, timeout=TIMEOUT_S):
        """Until the answer has ended in order."""
        self.wait(lambda: self.over, timeout)
        return self

    def wait_closed(self, timeout=TIMEOUT_S):
        deadline = time.monotonic() + timeout
        while not self.closed:
            assert time.monotonic() < deadline, "the connection stays open"
            self._drain()
            if not self.closed:
                select.select([self.sock], [], [], 0.2)
        return self

    def kinds(self, timecode=None):
        """BUFFERING, RECEIVED … in order of coming; IDLE left out."""
        return [ack["EventType"] for ack in self.acks if ack["EventType"] != "IDLE" and
                timecode in (None, ack.get("FragmentTimecode"))]

    def error(self):
        return next((ack for ack in self.acks if ack["EventType"] == "ERROR"), None)

    def finish(self, data=b"", chunk=65524):
        """Sends the rest, ends the body, waits for the end of the answer."""
        if data:
            self.send(data, chunk)
        return self.end().wait_over()

    def reset(self):
        """Closes without a word, as a lost link would."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.closed = True

    def close(self):
        self.sock.close()
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if not self.closed:
            self.close()


# --- Matroska for tests ---------------------------------------------------------------------------
def vint(size, width=8):
    return (size | 1 << 7 * width).to_bytes(width, "big")


def element(ident, payload, width=8):
    return bytes.fromhex(ident) + vint(len(payload), width) + payload


def uint(ident, value, width=None):
    raw = value.to_bytes(width or max(1, (value.bit_length() + 7) // 8), "big")
    return element(ident, raw, 1)


def track(number, kind=1, codec=b"V_MPEG4/ISO/AVC"):
    return element("AE", uint("D7", number) + uint("73C5", number) + uint("83", kind) +
                   element("86", codec, 1) + element("63A2", b"\x01\x4d\x40\x1e\xff\xe1", 1) +
                   (element("E0", uint("B0", 640) + uint("BA", 360), 1) if kind == 1 else
                    element("E1", element("B5", struct.pack(">d", 48000.0), 1) + uint("9F", 2), 1)))


def header(tracks=None, scale=1000000, unknown=True):
    """EBML, Segment of unknown size, Info, Tracks: as AWS's producers send them."""
    ebml = element("1A45DFA3", uint("4286", 1) + uint("42F7", 1) + uint("42F2", 4) +
                   uint("42F3", 8) + element("4282", b"matroska", 1) + uint("4287", 2) +
                   uint("4285", 2), 1)
    info = element("1549A966", element("73A4", b"\x11" * 16, 1) + uint("2AD7B1", scale, 8) +
                   element("4D80", b"test", 1), 4)
    return (ebml + bytes.fromhex("18538067") + b"\xff" + info +
            element("1654AE6B", b"".join(tracks or [track(1)]), 4))


def block(time_, data=b"\0" * 64, number=1, key=False):
    return element("A3", bytes([0x80 | number]) + struct.pack(">hB", time_, 0x80 if key else 0) +
                   data)


def cluster(timecode, blocks=None):
    """Of unknown size, with an 8-byte Timestamp and Position 0. Three frames unless told."""
    if blocks is None:
        blocks = block(0, b"k" * 200, key=True) + block(40, b"p" * 50) + block(80, b"p" * 50)
    return (bytes.fromhex("1F43B675") + b"\xff" + uint("E7", timecode, 8) + uint("A7", 0) + blocks)


def tags(name, value=""):
    return element("1254C367", element("7373", element("67C8", element("45A3", name.encode()) +
                                                       element("4487", value.encode()))))


END_OF_FRAGMENT = tags("AWS_KINESISVIDEO_END_OF_FRAGMENT")


def now_ms():
    return int(time.time() * 1000)


def split_clusters(capture):
    """A capture cut before each Cluster of unknown size: [header, cluster, cluster …]."""
    marks, at = [], 0
    while (at := capture.find(b"\x1f\x43\xb6\x75\xff\xe7\x88", at)) >= 0:
        marks.append(at)
        at += 7
    edges = [0] + marks + [len(capture)]
    return [capture[a:b] for a, b in zip(edges, edges[1:])]


def cluster_timecode(cluster_bytes):
    return int.from_bytes(cluster_bytes[7:15], "big")
