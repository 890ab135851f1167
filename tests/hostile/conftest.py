# SPDX-License-Identifier: Apache-2.0
"""What the tests of hostile peers share: a server with honest uploads and viewers on it (site), and
a watch over its memory and descriptors while it is attacked."""

import contextlib
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "api"))

import kinema  # noqa: E402
import put_media as wire  # noqa: E402

MIB = 1 << 20
ALL = {"FragmentSelectorType": "SERVER_TIMESTAMP",
       "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": 4000000000}}
SEED = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1 << 31))
# A sanitizer keeps freed memory back on purpose, so that figures of memory mean nothing under it.
SANITIZED = b"__asan_init" in pathlib.Path(kinema.BINARY).read_bytes() or \
    b"__tsan_init" in pathlib.Path(kinema.BINARY).read_bytes()


def pytest_report_header():
    return f"KINEMA_SEED={SEED}"


class Honest(threading.Thread):
    """Repeats a step until it is told to stop; a failure is kept for the test."""

    def __init__(self, step):
        super().__init__(daemon=True)
        self.step, self.done, self.failure, self.stopped = step, 0, None, threading.Event()
        self.start()

    def run(self):
        try:
            while not self.stopped.is_set():
                self.step(self)
                self.done += 1
        except BaseException as failure:  # shown by check()
            self.failure = failure

    def check(self):
        if self.failure:
            raise AssertionError("an honest peer failed") from self.failure

    def stop(self):
        self.stopped.set()
        self.join(60)
        self.check()
        assert not self.is_alive()


class Site:
    """A server, one upload that lasts, uploads that come and go, and viewers of both kinds."""

    def __init__(self, server):
        self.server = server
        self.long, self.short = server.create_stream(), server.create_stream()
        self.acked = {self.long: [], self.short: []}
        self.put = None
        self.endpoint = server.data_endpoint(self.long, "PUT_MEDIA")
        self.lister = server.archived(self.long)
        self.peers = [Honest(self.upload_long), Honest(self.upload_short)]
        self.wait_progress()
        self.peers += [Honest(self.view)]

    def fragment(self, put, stream, timecode):
        put.send(wire.cluster(timecode, wire.block(0, os.urandom(3000), key=True) +
                              wire.block(40, os.urandom(500))) + wire.END_OF_FRAGMENT)
        ack = put.wait_ack("PERSISTED", timecode)
        self.acked[stream].append(ack["FragmentNumber"])

    def upload_long(self, peer):
        if not self.put:
            self.put = wire.PutMedia(self.endpoint, self.long, self.server.key)
            self.put.send(wire.header())
        self.fragment(self.put, self.long, wire.now_ms())
        peer.stopped.wait(0.05)

    def upload_short(self, peer):
        with wire.PutMedia(self.endpoint, self.short, self.server.key) as put:
            put.send(wire.header())
            self.fragment(put, self.short, wire.now_ms())
            put.finish()
        peer.stopped.wait(0.05)

    def view(self, peer):
        """The list by its API, on a connection kept alive; counts must never fall."""
        known = len(self.acked[self.long])
        answer = self.lister.list_fragments(StreamName=self.long, MaxResults=1000,
                                            FragmentSelector=ALL)
        assert len(answer["Fragments"]) >= min(known, 1000)
        peer.stopped.wait(0.05)

    def counts(self):
        return [peer.done for peer in self.peers]

    def wait_progress(self, steps=2, timeout=60):
        """Every honest peer gets on by some steps."""
        before, deadline = self.counts(), time.monotonic() + timeout
        while any(now < then + steps for now, then in zip(self.counts(), before)):
            for peer in self.peers:
                peer.check()
            assert time.monotonic() < deadline, f"honest peers stand still: {before}, {self.counts()}"
            time.sleep(0.02)

    def listed(self, stream):
        pages = self.lister.get_paginator("list_fragments").paginate(StreamName=stream,
                                                                     FragmentSelector=ALL)
        return {f["FragmentNumber"] for page in pages for f in page["Fragments"]}

    def close(self):
        for peer in self.peers:
            peer.stop()
        self.put.finish()
        self.put.close()
        for stream, acked in self.acked.items():
            assert acked and set(acked) <= self.listed(stream), "an acknowledged fragment is lost"

    # --- the server's process ----------------------------------------------------------------------
    def memory(self):
        for line in pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon")

    def metric(self, name):
        """The sum of a metric's series."""
        with urllib.request.urlopen(self.server.console + "/metrics", timeout=120) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.startswith((name + "{", name + " ")))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    @contextlib.contextmanager
    def watched(self, bound):
        """Memory grows by at most `bound` bytes inside; descriptors come back after it; honest peers
        get on all the time."""
        before, files, peak, ended = self.memory(), self.descriptors(), [0], threading.Event()

        def sample():
            while not ended.wait(0.02):
                peak[0] = max(peak[0], self.memory())

        watch = threading.Thread(target=sample, daemon=True)
        watch.start()
        try:
            yield
            self.wait_progress()
        finally:
            ended.set()
            watch.join()
        grown = max(peak[0], self.memory()) - before
        print(f"memory grew by {grown / MIB:.1f} MiB, bound {bound / MIB:.1f} MiB, "
              f"descriptors {files}")
        if not SANITIZED:
            assert grown <= bound
        self.wait_progress()
        deadline = time.monotonic() + 60
        while self.descriptors() > files + 20:  # honest peers come and go, chunks are sealed
            assert time.monotonic() < deadline, f"{self.descriptors()} descriptors, {files} before"
            time.sleep(0.05)
        assert self.server.process.poll() is None
        self.server.check_log()


@contextlib.contextmanager
def attacking(kind, port, count, size=0, env=None):
    """Runs attack.py beside what is done inside; how many connections it got."""
    process = subprocess.Popen([sys.executable, HERE / "attack.py", kind, str(port), str(count),
                                str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "KINEMA_SEED": str(SEED), **(env or {})})
    try:
        words = process.stdout.readline().split()
        assert words and words[0] == "ready", "the attacker could not begin"
        yield int(words[1])
    finally:
        process.stdin.close()
        process.wait(60)


@pytest.fixture
def attack():
    return attacking


def start_site(*args):
    # short deadlines, so that the end of an attack need not be waited for long
    return kinema.Server(tls=True, args=["--http-head-timeout-ms", "3s", "--http-idle-timeout-ms", "5s",
                                         "--http-body-timeout-ms", "5s", "--http-write-timeout-ms", "5s",
                                         "--http-tls-handshake-timeout-ms", "3s",
                                         "--http-gather-timeout-ms", "4s",
                                         "--http-held-bytes-max", "32MiB",
                                         "--http-unsent-bytes-max", "64MiB",
                                         "--ts-held-bytes-max", "32MiB", *args])


@pytest.fixture(scope="module")
def make_site():
    with contextlib.ExitStack() as stack:
        def make():
            one = Site(stack.enter_context(start_site()))
            stack.callback(one.close)
            return one
        yield make


@pytest.fixture
def site():
    """A server of the test's own: what an earlier attack left with the allocator hides nothing."""
    with start_site() as server:
        one = Site(server)
        yield one
        one.close()


def port_of(url):
    return urllib.parse.urlsplit(url).port


def signed_post(key, path, body):
    """The bytes of a signed request."""
    now = wire.datetime.datetime.now(wire.datetime.timezone.utc)
    headers = {"Host": "127.0.0.1", "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ")}
    auth = wire.sign("POST", path, headers, key, kinema.REGION,
                     payload=hashlib.sha256(body).hexdigest())
    fields = {**headers, "Authorization": auth, "Content-Length": len(body)}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body
