# SPDX-License-Identifier: Apache-2.0
"""An upload and a viewer, each as fast as it goes, beside hostile peers and without them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import harness

NAME = "hostile"
GOAL = "honest uploads and viewers keep ≥ 0.9 of their throughput beside hostile peers"
UNIT = "MB/s"
PEER = "the same upload without them"
LIMITS = [("ratio", ">=", 0.9), ("view_ratio", ">=", 0.9)]
KBPS = 8000
ATTACK = harness.ROOT / "tests" / "hostile" / "attack.py"
# kind, listener, how many, bytes each or connections a second
ATTACKS = [("idle", "api", 20000, 0), ("slow_head", "api", 300, 30000), ("slow_head", "ingest", 300, 30000),
           ("slow_body", "api", 300, 200000), ("half_open", "ingest", 300, 0),
           ("tls_stall", "api-tls", 300, 0), ("resets", "api", 1, 200), ("resets", "ingest", 1, 200)]


@contextlib.contextmanager
def attacked(server):
    """All of them at once; says how many connections they got."""
    processes = []
    try:
        for kind, listener, count, size in ATTACKS:
            port = server.endpoints[listener].rsplit(":", 1)[1]
            processes.append(subprocess.Popen(
                [sys.executable, ATTACK, kind, port, str(count), str(size)], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "KINEMA_SEED": "1"}))
        yield [int(p.stdout.readline().split()[1]) for p in processes]
    finally:
        for p in processes:
            p.stdin.close()
        for p in processes:
            p.wait()


def upload(server, seconds):
    seen = harness.tool("put_load", "--port", server.ingest_port, "--streams", 1, "--kbps", KBPS,
                        "--seconds", seconds, "--fast")
    return seen["bytes"] / 1e6 / seen["seconds"]


def view(server):
    """GetMedia from the oldest fragment on; MB a second until its last byte."""
    body = json.dumps({"StreamName": "load-0",
                       "StartSelector": {"StartSelectorType": "EARLIEST"}}).encode()
    head = (f"POST /getMedia HTTP/1.1\r\nHost: 127.0.0.1\r\nx-kinema-idle-timeout-ms: 300\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
    room, got = memoryview(bytearray(1 << 20)), 0
    with socket.create_connection(("127.0.0.1", server.api_port)) as sock:
        start = last = time.monotonic()
        sock.sendall(head + body)
        while n := sock.recv_into(room):
            got += n
            if n > 100:  # not the end of the chunks
                last = time.monotonic()
    return got / 1e6 / (last - start)


def measure(bench):
    seconds = 60 if bench.quick else 300
    seen = {}

    def run(name, context):
        with bench.kinema(tls=True) as server:
            bench.streams(server, 1)
            with context(server) as got:
                seen[name] = {"upload": upload(server, seconds), "view": view(server), "got": got}
        return seen[name]["upload"]

    ours, peer = bench.pair(lambda: run("attacked", attacked),
                            lambda: run("alone", lambda server: contextlib.nullcontext()))
    return {"ours": ours, "peer": peer, "detail": {
        "view_mb_s": seen["attacked"]["view"], "view_alone_mb_s": seen["alone"]["view"],
        "view_ratio": seen["attacked"]["view"] / seen["alone"]["view"],
        "connections": ", ".join(f"{kind} {listener} {got}" for (kind, listener, *_), got in
                                 zip(ATTACKS, seen["attacked"]["got"]))}}
