# SPDX-License-Identifier: Apache-2.0
"""The same batches, keys spread by their digest over 10 shards and over 10,000; every shard is written to
before the clock starts. What one more shard keeps in memory once nothing is put any more."""

import time

import harness
import streams

NAME = "open-shards"
GOAL = "10,000 open shards in one process: ≤ 20 KB of memory each when idle; throughput within 10 % of 10 shards'"
UNIT = "records/s"
PEER = "ours with 10 shards"
PACKAGES = streams.PACKAGES
LIMITS = [("ratio", ">=", 0.9), ("bytes_a_shard", "<=", 20480)]
SETTLE_S = 3


def put(bench, shards):
    seconds = 1 if bench.quick else 5
    with streams.ours(bench, shards=shards) as place:
        streams.load("put", place, "--connections", 2, "--batch", 500, "--bytes", 64, "--shards", shards, "--even",
                     "--seconds", 60, "--requests", shards * 2 // 500 + 2)
        seen = streams.rates(streams.load("put", place, "--connections", 2, "--batch", 500, "--seconds",
                                          seconds, "--warm", 1))
        time.sleep(SETTLE_S)
        return seen, harness.private_bytes(place[2])


def measure(bench):
    many = 1000 if bench.quick else 10000
    (ours, ours_bytes), (few, few_bytes) = bench.pair(lambda: put(bench, many), lambda: put(bench, 10))
    return {"ours": ours["rate"], "peer": few["rate"], "detail": {
        "bytes_a_shard": (ours_bytes - few_bytes) / (many - 10), "private_mb": ours_bytes / 1e6,
        "private_mb_of_10": few_bytes / 1e6, **streams.told("many", ours), **streams.told("few", few)}}
