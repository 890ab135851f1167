# SPDX-License-Identifier: Apache-2.0
"""The HTTP conformance server (tests/conformance/http_server.c) and ways to talk to it: raw bytes on
a socket, plain or TLS, and curl over every protocol."""

import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time

import h2.config
import h2.connection
import h2.events

import kinema

BINARY = pathlib.Path(os.environ.get("KINEMA_HTTP_CONFORMANCE",
                                     pathlib.Path(kinema.BINARY).parent / "http_conformance"))

PATIENCE_S = 60

# transport -> (listener, scheme, curl's options)
TRANSPORTS = {
    "plain": ("plain", "http", ["--http1.1"]),
    "tls": ("tls", "https", ["--http1.1"]),
    "h2c": ("plain", "http", ["--http2-prior-knowledge"]),
    "h2": ("tls", "https", ["--http2"]),
    "mhd": ("console", "http", ["--http1.1"]),
}


class Wire:
    """One conformance server; settings are rows of kn_http_conf_keys."""

    def __init__(self, binary=BINARY, **settings):
        self.folder = tempfile.TemporaryDirectory(prefix="kinema-http-")
        arguments = [f"{name}={value}" for name, value in settings.items()]
        self.process = subprocess.Popen([binary, self.folder.name, *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        assert words and words[0] == "ready", words
        self.ports = {name: int(port) for name, port in (word.split("=") for word in words[1:])}
        file = pathlib.Path(self.folder.name, "file")
        self.file = file.read_bytes() if file.exists() else b""

    def stop(self):
        """Ends it in order; every request must be gone and every file released."""
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        said = self.process.stdout.read()
        code = self.process.wait(timeout=60)
        self.folder.cleanup()
        assert code == 0, f"exit code {code}: {said}"

    def connect(self, listener="plain", alpn=None, timeout=PATIENCE_S):
        sock = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listener in ("tls", "ingest_tls"):
            context = ssl.create_default_context(cafile=self.folder.name + "/cert.pem")
            if alpn:
                context.set_alpn_protocols(alpn)
            sock = context.wrap_socket(sock, server_hostname="localhost")
        return sock

    def url(self, transport, path):
        listener, scheme, _ = TRANSPORTS[transport]
        return f"{scheme}://localhost:{self.ports[listener]}{path}"

    def curl_command(self, transport, path, *options):
        return ["curl", "-sS", "-m", str(PATIENCE_S), "--cacert", self.folder.name + "/cert.pem",
                *TRANSPORTS[transport][2], *options, self.url(transport, path)]

    def curl(self, transport, path, *options, body=None):
        """(status, headers, body)"""
        run = subprocess.run(self.curl_command(transport, path, "-i", *options), input=body,
                             capture_output=True, check=False)
        assert run.returncode == 0, f"curl {run.returncode}: {run.stderr.decode()}"
        head, _, answer = run.stdout.partition(b"\r\n\r\n")
        while head.split()[1] == b"100":
            head, _, answer = answer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        return int(lines[0].split()[1]), headers, answer

    def state(self):
        words = self.curl("plain", "/state")[2].decode().split()
        return {name: int(value) for name, value in (word.split("=") for word in words)}

    def wait_state(self, condition, seconds=PATIENCE_S):
        """Polls until condition(state); an event that the server cannot send us."""
        end = time.monotonic() + seconds
        while True:
            state = self.state()
            if condition(state):
                return state
            assert time.monotonic() < end, state
            time.sleep(0.02)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Reader:
    """Reads HTTP/1.1 answers off a socket, strictly."""

    def __init__(self, sock):
        self.sock, self.rest = sock, b""

    def more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        self.rest += data
        return bool(data)

    def until(self, mark):
        while mark not in self.rest:
            assert self.more(), f"closed, wanted {mark!r} in {self.rest!r}"
        got, _, self.rest = self.rest.partition(mark)
        return got

    def take(self, count):
        while len(self.rest) < count:
            assert self.more(), f"closed, wanted {count} bytes, got {len(self.rest)}"
        got, self.rest = self.rest[:count], self.rest[count:]
        return got

    def head(self):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, line
            headers[name.lower()] = value
        return int(status), headers

    def chunk(self):
        """The next chunk's data; empty at the last one."""
        size = int(self.until(b"\r\n"), 16)
        data = self.take(size)
        assert self.take(2) == b"\r\n"
        return data

    def answer(self, head_only=False):
        status, headers = self.head()
        if head_only or status in (204, 304) or status < 200:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            pieces = []
            while data := self.chunk():
                pieces.append(data)
            body = b"".join(pieces)
        elif "content-length" in headers:
            body = self.take(int(headers["content-length"]))
        else:
            body = self.to_end()
        return Answer(status, headers, body)

    def to_end_or_answer(self):
        """The answer, or None when the connection was closed instead."""
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                return None
        return self.answer()

    def to_end(self):
        while self.more():
            pass
        got, self.rest = self.rest, b""
        return got


class H1Upload:
    """A chunked upload whose answer is read beside it."""

    def __init__(self, server, transport, path):
        self.sock = server.connect(TRANSPORTS[transport][0])
        self.sock.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n".encode())
        self.reader = Reader(self.sock)
        self.head = None

    def send(self, data):
        self.sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self):
        self.sock.sendall(b"0\r\n\r\n")

    def receive(self):
        """One chunk of the answer."""
        if not self.head:
            self.head = self.reader.head()
        return self.reader.chunk()


class H2Client:
    """One HTTP/2 connection, prior knowledge or ALPN."""

    def __init__(self, server, transport, alpn=("h2",), send_preface=True):
        self.sock = server.connect(TRANSPORTS[transport][0], alpn=list(alpn))
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.events = []
        if send_preface:
            self.state.initiate_connection()
            self.flush()

    def flush(self):
        self.sock.sendall(self.state.data_to_send())

    def request(self, method, path, *headers, end=True, stream=None):
        stream = stream or self.state.get_next_available_stream_id()
        self.state.send_headers(stream, [(":method", method), (":path", path), (":scheme", "http"),
                                         (":authority", "localhost"), *headers], end_stream=end)
        self.flush()
        return stream

    def next(self, *kinds):
        """The next event of one of these kinds; None when the server has closed."""
        while True:
            for i, event in enumerate(self.events):
                if isinstance(event, kinds):
                    return self.events.pop(i)
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            for event in self.state.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.events.append(event)
            try:
                self.flush()
            except (BrokenPipeError, ConnectionResetError):
                pass  # what it said before it closed is read to the end

    def answer(self, stream):
        status, body = None, b""
        while True:
            event = self.next(h2.events.ResponseReceived, h2.events.DataReceived,
                              h2.events.StreamEnded, h2.events.StreamReset)
            assert event and not isinstance(event, h2.events.StreamReset), event
            assert event.stream_id == stream
            if isinstance(event, h2.events.ResponseReceived):
                status = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            else:
                return status, body


class H2Upload:
    def __init__(self, server, transport, path):
        self.client = H2Client(server, transport)
        self.stream = self.client.request("POST", path, end=False)

    def send(self, data):
        self.client.state.send_data(self.stream, data)
        self.client.flush()

    def finish(self):
        self.client.state.end_stream(self.stream)
        self.client.flush()

    def receive(self):
        event = self.client.next(h2.events.DataReceived, h2.events.StreamEnded)
        return event.data if isinstance(event, h2.events.DataReceived) else b""


def upload(server, transport, path):
    return (H2Upload if transport in ("h2", "h2c") else H1Upload)(server, transport, path)
