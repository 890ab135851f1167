# SPDX-License-Identifier: Apache-2.0
"""Four readers, each follows a shard from its oldest record to the newest and begins again."""

import streams

NAME = "get-records"
GOAL = "GetRecords 1,000 × 1 KB, 4 readers: ≥ 10× kinesalite"
UNIT = "records/s"
PEER = "kinesalite, in memory, signatures not verified"
PACKAGES = streams.PACKAGES
LIMITS = [("ratio", ">=", 10)]
PAGES = 8  # of 1,000 records in each shard


def get(bench, who):
    """Fills four shards evenly, so that every page is full, then reads."""
    seconds, warm = (1, 0.3) if bench.quick else (4, 1)
    with who as place:
        streams.load("put", place, "--connections", 1, "--batch", 500, "--shards", streams.SHARDS, "--even",
                     "--seconds", 60, "--requests", PAGES * 1000 * streams.SHARDS // 500)
        return streams.rates(streams.load("get", place, "--connections", 4, "--batch", 1000, "--shards",
                                          streams.SHARDS, "--seconds", seconds, "--warm", warm))


def measure(bench):
    ours, peer = bench.pair(lambda: get(bench, streams.ours(bench)),
                            lambda: get(bench, streams.kinesalite(bench)))
    return {"ours": ours["rate"], "peer": peer["rate"], "detail": {
        **streams.told("ours", ours), **streams.told("kinesalite", peer),
        "client_cpu_us": ours["own_cpu_s"] / ours["records"] * 1e6}}
