# SPDX-License-Identifier: Apache-2.0
"""A scripted stand-in for the service, as a producer sees it: control calls answered from a table,
PutMedia by one behaviour a connection. What it called PERSISTED is what it has kept."""

import itertools
import json
import socket
import ssl
import threading

import mkv

OK = {"StreamInfo": {"Status": "ACTIVE", "DataRetentionInHours": 24}}


class Gone(Exception):
    """The producer ended the connection, or the script does."""


class Upload:
    """One PutMedia connection: the head's fields, the body so far, what was kept of it."""

    def __init__(self, sock, head, rest):
        self.sock, self.head, self.raw = sock, head, rest
        self.body, self.over, self.seen = b"", False, 0

    def start(self):
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def refuse(self, status, text="{}"):
        self.sock.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: {len(text)}\r\n"
                          f"Connection: close\r\n\r\n{text}".encode())
        raise Gone

    def chunk(self, data):
        self.sock.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def ack(self, kind, timecode, split=False, **more):
        text = json.dumps({"EventType": kind, "FragmentTimecode": timecode,
                           "FragmentNumber": str(10**46 + timecode), **more},
                          separators=(",", ":")).encode() + b"\r\n"
        for piece in [text[i:i + 1] for i in range(len(text))] if split else [text]:
            self.chunk(piece)

    def end(self):
        self.sock.sendall(b"0\r\n\r\n")

    def say_no_more(self):
        """Ends this direction alone, that of TLS first; what comes then is read as it is."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.setblocking(False)
            try:
                self.sock.unwrap()  # sends its end, and would wait for the peer's
            except (ssl.SSLError, OSError):
                pass
            self.sock.settimeout(60)
        self.sock.shutdown(socket.SHUT_WR)

    def _take(self):
        """One chunk of the body; False at its end."""
        while True:
            line, found, rest = self.raw.partition(b"\r\n")
            if found and len(rest) >= int(line, 16) + 2:
                size = int(line, 16)
                self.body += rest[:size]
                self.raw = rest[size + 2:]
                self.over = size == 0
                return not self.over
            more = self.sock.recv(65536)
            if not more:
                raise Gone
            self.raw += more

    def fragments(self):
        """Whole fragments as they come: ended by their tag, the next Cluster, or the body's end."""
        while True:
            while not self.over:
                self._take()
                try:
                    found = mkv.Capture(self.body)
                except (AssertionError, IndexError):
                    continue
                whole = found.fragments
                # what is cut off is of the next one
                last_is_open = (whole and not whole[-1].end_tag and not self.over
                                and not found.rest)
                count = len(whole) - bool(last_is_open)
                if count > self.seen:
                    break
            else:
                whole = mkv.Capture(self.body).fragments if self.body else []
                count = len(whole)
            for one in whole[self.seen:count]:
                self.seen += 1
                yield one
            if self.over and self.seen >= count:
                return


class StandIn:
    """behaviours: one for each PutMedia connection in turn, then `kept` for ever. Each is called with
    this and the Upload, and raises Gone to cut the connection. hold: a connection stays open behind a
    control call for more of them, and is gone as soon as a PutMedia comes over it. tls: an SSLContext."""

    def __init__(self, behaviours=(), answers=None, hold=False, tls=None):
        self.behaviours, self.hold, self.tls = list(behaviours), hold, tls
        self.answers = {"/describeStream": [], "/createStream": [], "/getDataEndpoint": [],
                        **(answers or {})}
        self.calls, self.uploads, self.persisted, self.failures = [], [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        assert not self.failures, self.failures

    def _accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self._request(sock)
            while self.hold:
                self._request(sock, again=True)
        except (Gone, OSError):
            pass
        except Exception as error:  # a test must see it
            self.failures.append(repr(error))
        finally:
            sock.close()

    def _request(self, sock, again=False):
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = sock.recv(65536)
            if not more:
                raise Gone
            raw += more
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        path = lines[0].split()[1]
        fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if ": " in line)}
        self.calls.append((path, fields))
        if path == "/putMedia":
            if again:
                raise Gone
            upload = Upload(sock, fields, rest)
            self.uploads.append(upload)
            behaviour = self.behaviours.pop(0) if self.behaviours else kept
            behaviour(self, upload)
            return
        while len(rest) < int(fields["content-length"]):
            rest += sock.recv(65536)
        status, answer = self.answers[path].pop(0) if self.answers[path] else (200, {
            "/describeStream": OK, "/createStream": {"StreamARN": "arn"},
            "/getDataEndpoint": {"DataEndpoint": self.url}}[path])
        text = answer if isinstance(answer, str) else json.dumps(answer)
        sock.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())

    def keep(self, upload, one, split=False):
        for kind in ("BUFFERING", "RECEIVED", "PERSISTED"):
            if kind == "PERSISTED":
                self.persisted.append(one)
            upload.ack(kind, one.timecode, split)


# --- behaviours --------------------------------------------------------------------------------
def kept(stand_in, upload, split=False):
    upload.start()
    for one in upload.fragments():
        stand_in.keep(upload, one, split)
    upload.end()


def split_acks(stand_in, upload):
    kept(stand_in, upload, split=True)


def refused(status):
    return lambda _, upload: upload.refuse(status, '{"message":"no"}')


def closed_after(count):
    """Keeps so many fragments, then the connection is gone."""
    def behave(stand_in, upload):
        upload.start()
        for number, one in enumerate(upload.fragments()):
            if number == count:
                raise Gone
            stand_in.keep(upload, one)
        raise Gone
    return behave


def half_closed_after(count):
    """Keeps so many fragments (None: answers nothing), then says no more and reads on, for nothing."""
    def behave(stand_in, upload):
        if count is not None:
            upload.start()
            for one in itertools.islice(upload.fragments(), count):
                stand_in.keep(upload, one)
        upload.say_no_more()
        while upload.sock.recv(65536):
            pass
    return behave


def answer_ended(stand_in, upload):
    """The answer is over while the body goes on."""
    upload.start()
    upload.end()
    for _ in upload.fragments():
        pass


def error_at(index, error_id, **more):
    """Keeps what is before, then says an error of the fragment; the producer ends the connection. Closed from here,
    it would be reset, and the error be lost with it."""
    def behave(stand_in, upload):
        upload.start()
        for number, one in enumerate(upload.fragments()):
            if number == index:
                upload.ack("ERROR", one.timecode, ErrorId=error_id, **more)
            elif number < index:
                stand_in.keep(upload, one)
        raise Gone
    return behave


def says(data):
    def behave(_, upload):
        upload.start()
        next(upload.fragments(), None)
        upload.chunk(data)
        for _ in upload.fragments():
            pass
    return behave


def silent(_, upload):
    upload.start()
    for _ in upload.fragments():
        pass
