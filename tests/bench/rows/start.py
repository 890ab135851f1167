# SPDX-License-Identifier: Apache-2.0
"""Starting again after kill -9, with every stream's chunk open."""

import shutil
import time

import harness

NAME = "start"
GOAL = "start after kill -9: ≤ 1 s with 1 M fragments in 100 streams; independent of the archive's age"
UNIT = "s to ready"
PEER = None
LIMITS = [("ours", "<=", 1), ("older_over_younger", "<=", 1.5)]


def measure(bench):
    young, old = (290, 590) if bench.quick else (1190, 10190)  # 290 of them in the open chunk, or fewer

    def start(fragments):
        made, _ = bench.archive(100, fragments, kill=True)
        data, opened = bench.folder() / "data", bench.folder() / "data"
        shutil.copytree(made, data)
        shutil.copytree(made, opened)
        begun = time.monotonic()
        with bench.kinema(data=data) as server:
            took = time.monotonic() - begun
            memory = server.private_bytes()
        return took, harness.tool("archive", "open", opened), memory

    took, opened, memory = start(old)
    younger_took, younger, _ = start(young)
    return {"ours": took, "peer": None, "detail": {
        "open_s": opened["open_s"], "recovered_chunks": opened["chunks_recovered"],
        "recovered_fragments": opened["fragments_recovered"], "bad_records": opened["bad_records"],
        "private_mb": memory / 1e6, "younger_s": younger_took, "younger_open_s": younger["open_s"],
        "older_over_younger": took / younger_took,
        "open_older_over_younger": opened["open_s"] / younger["open_s"]}}
