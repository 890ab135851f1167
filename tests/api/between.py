# SPDX-License-Identifier: Apache-2.0
"""Stands between a client and the server: passes HTTP/1.1 through, but answers some calls itself, as a service does
that is too busy, has forgotten something, or is gone."""

import json
import socket
import threading
import time

import stand_in

CUT, DEAF = "cut", "deaf"  # instead of the call; of its answer alone


def fault(status, name, message="no"):
    return status, name, json.dumps({"__type": name, "message": message})


class Between:
    """faults: for each operation, what the next calls of it get instead of an answer, in turn: fault(…), CUT, DEAF,
    or None to let one through. Notes when calls came and faults went."""

    def __init__(self, target):
        self.target = target.split("//")[1].split(":")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        self.faults, self.calls = {}, []  # calls: [operation, when it came, when its fault was sent or None]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def expect(self, operation, *faults):
        with self.lock:
            self.faults.setdefault(operation, []).extend(faults)

    def left(self):
        """Faults that nobody has got yet."""
        with self.lock:
            return sum(len(faults) for faults in self.faults.values())

    def pauses(self, operation):
        """Seconds from each fault to the next call of the operation."""
        with self.lock:
            calls = [one for one in self.calls if one[0] == operation]
        return [then[1] - now[2] for now, then in zip(calls, calls[1:]) if now[2]]

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        far = None
        try:
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := self._read(near):
                if self._answered(near, *request):
                    continue
                if far is None:
                    far = socket.create_connection((self.target[0], int(self.target[1])))
                    threading.Thread(target=self._copy, args=(far, near), daemon=True).start()
                far.sendall(request[1])
        except (OSError, stand_in.Gone):
            pass
        for one in (near, far):
            self._shut(one)

    @staticmethod
    def _shut(sock):
        try:
            if sock:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    @staticmethod
    def _read(sock):
        """(operation, bytes) of one request."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = sock.recv(65536)
            if not more:
                return None
            raw += more
        head = raw.partition(b"\r\n\r\n")[0].decode()
        fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)}
        want = len(head) + 4 + int(fields.get("content-length", 0))
        while len(raw) < want:
            more = sock.recv(65536)
            if not more:
                return None
            raw += more
        return fields.get("x-amz-target", head.split()[1]).rsplit(".", 1)[-1].rsplit("/", 1)[-1], raw

    def _answered(self, sock, operation, request):
        came = time.monotonic()
        with self.lock:
            waiting = self.faults.get(operation)
            chosen = waiting.pop(0) if waiting else None
            call = [operation, came, time.monotonic() if chosen else None]
            self.calls.append(call)
        if chosen == DEAF:
            with socket.create_connection((self.target[0], int(self.target[1]))) as far:
                far.sendall(request)
                assert far.recv(1)
        if chosen in (CUT, DEAF):
            raise stand_in.Gone
        if chosen:
            status, name, text = chosen
            sock.sendall(f"HTTP/1.1 {status} No\r\nx-amzn-ErrorType: {name}\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {len(text)}\r\n\r\n{text}".encode())
        return bool(chosen)

    def _copy(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        self._shut(sink)
