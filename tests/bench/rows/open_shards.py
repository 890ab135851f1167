# SPDX-License-Identifier: Apache-2.0
"""The same puts, keys spread by their digest over 10 shards and over 10,000: single records by 16
connections, and batches of 500 by two, which fall apart into one record a shard. Every shard has a segment
before the clock starts; how long that takes is told. What one more shard keeps in memory once nothing is
put any more."""

import time

import harness
import streams

NAME = "open-shards"
GOAL = "10,000 open shards in one process: ≤ 20 KB of memory each when idle; throughput within 10 % of 10 shards'"
UNIT = "records/s"
PEER = "ours with 10 shards"
PACKAGES = streams.PACKAGES
LIMITS = [("ratio", ">=", 0.9), ("batches_ratio", ">=", 0.9), ("bytes_a_shard", "<=", 20480)]
FILL_BYTES = 160 << 20  # more than the journals hold
SETTLE_S = 3


def put(bench, shards):
    seconds = 1 if bench.quick else 5

    def load(*args):
        return streams.rates(streams.load("put", place, "--seconds", seconds, "--warm", 1, *args))

    with streams.ours(bench, shards=shards) as place:
        filled = streams.load("put", place, "--connections", 2, "--batch", 500, "--shards", shards, "--even",
                              "--seconds", 60, "--requests", FILL_BYTES // 500 // 1024)
        seen = {"single": load("--connections", 16), "batch": load("--connections", 2, "--batch", 500)}
        time.sleep(SETTLE_S)
        return {**seen, "bytes": harness.private_bytes(place[2]), "fill_s": filled["seconds"]}


def measure(bench):
    many = 1000 if bench.quick else 10000
    ours, few = bench.pair(lambda: put(bench, many), lambda: put(bench, 10))
    return {"ours": ours["single"]["rate"], "peer": few["single"]["rate"], "detail": {
        "batches_ratio": ours["batch"]["rate"] / few["batch"]["rate"],
        "bytes_a_shard": (ours["bytes"] - few["bytes"]) / (many - 10), "private_mb": ours["bytes"] / 1e6,
        "fill_s": ours["fill_s"], "fill_s_of_10": few["fill_s"],
        **streams.told("single", ours["single"]), **streams.told("single_of_10", few["single"]),
        **streams.told("batch", ours["batch"]), **streams.told("batch_of_10", few["batch"])}}
