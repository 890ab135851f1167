# SPDX-License-Identifier: Apache-2.0
"""Finding the fragment at a random time of a random stream, in archives that grow."""

import harness

NAME = "find"
GOAL = "find by either timestamp ≤ 100 µs at 10 M fragments"
UNIT = "µs, median by server time"
PEER = None
LIMITS = [("ours", "<=", 100), ("producer_p50_us", "<=", 100)]


def measure(bench):
    detail = {}
    sizes = {"10k": 100, "1m": 10000} if bench.quick else {"10k": 100, "1m": 10000, "10m": 100000}
    for name, fragments in sizes.items():
        data, _ = bench.archive(100, fragments)
        found = harness.tool("archive", "find", data, 20000)
        if name == list(sizes)[-1]:
            ours = found["server_p50_us"]
            detail.update(found)
        else:
            detail.update({f"{name}_{key}": found[key] for key in ("server_p50_us", "producer_p50_us")})
    return {"ours": ours, "peer": None, "detail": detail}
