# SPDX-License-Identifier: Apache-2.0
"""A recording sent after the fact, as the producer SDK's offline mode does."""

import os
import subprocess
import time

import harness

NAME = "offline"
GOAL = "one upload as fast as it goes: ≥ 0.5× `cat > file; fdatasync` of the same bytes"
UNIT = "MB/s"
PEER = "cat > file; fdatasync"
LIMITS = [("ratio", ">=", 0.5)]
KBPS = 8000


def measure(bench):
    seconds = 60 if bench.quick else 300
    sent = {}

    def upload():
        with bench.kinema() as server:
            bench.streams(server, 1)
            before = server.cpu_s()
            sent.update(harness.tool("put_load", "--port", server.ingest_port, "--streams", 1,
                                     "--kbps", KBPS, "--seconds", seconds, "--fast"))
            sent["cpu"] = server.cpu_s() - before
        return sent["bytes"] / 1e6 / sent["seconds"]

    def copy():
        size = seconds * KBPS * 125
        folder = bench.folder()
        source, target = folder / "source", folder / "target"
        source.write_bytes(os.urandom(1 << 20) * (size >> 20))
        harness.settle(folder)
        start = time.monotonic()
        with open(target, "wb") as out:
            subprocess.run(["cat", source], stdout=out, check=True)
            os.fdatasync(out.fileno())
        return source.stat().st_size / 1e6 / (time.monotonic() - start)

    ours, peer = bench.pair(upload, copy)
    return {"ours": ours, "peer": peer, "detail": {
        "mb": sent["bytes"] / 1e6, "persisted_p99_ms": sent["persisted_p99_ms"],
        "server_cpu_s": sent["cpu"], "mb_per_cpu_s": sent["bytes"] / 1e6 / sent["cpu"]}}
