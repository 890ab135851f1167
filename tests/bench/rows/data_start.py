# SPDX-License-Identifier: Apache-2.0
"""From fork to the first answer of ListStreams, on an empty folder; and the memory of a server that has
nothing to do."""

import subprocess
import time

import harness
import streams

NAME = "data-start"
GOAL = "start to first answer ≤ 150 ms, idle ≤ 40 MB of private memory"
UNIT = "ms"
PEER = "kinesalite, in memory"
PACKAGES = streams.PACKAGES
LIMITS = [("ours", "<=", 150), ("ours_private_mb", "<=", 40)]


def start(bench, command, port):
    with open(bench.folder() / "output", "wb") as log:
        began = time.monotonic()
        child = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
    try:
        took = streams.first_answer(port, began)
        time.sleep(1)  # what is done after the start is done
        return took * 1000, harness.private_bytes(child.pid) / 1e6
    finally:
        child.kill()
        child.wait()


def measure(bench):
    def ours():
        port = harness.free_port()
        return start(bench, [harness.kinema.BINARY, "serve", "--data", bench.folder() / "data", "--no-auth",
                             "--api", f"127.0.0.1:{port}", "--ingest", "127.0.0.1:0", "--console",
                             "127.0.0.1:0"], port)

    def peer():
        port = harness.free_port()
        return start(bench, streams.kinesalite_command(port), port)

    streams.kinesalite_script()
    (mine, mine_mb), (theirs, theirs_mb) = bench.pair(ours, peer)
    return {"ours": mine, "peer": theirs,
            "detail": {"ours_private_mb": mine_mb, "peer_private_mb": theirs_mb}}
