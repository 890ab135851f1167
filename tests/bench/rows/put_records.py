# SPDX-License-Identifier: Apache-2.0
"""Batches of 500: two connections, one batch under way on each. Redis is asked in two ways: pipelined,
as its clients do with many commands, and in MULTI … EXEC, which it flushes once; NATS with 500 messages
in flight on each of as many connections as do it most good."""

import streams

NAME = "put-records"
GOAL = ("PutRecords 500 × 1 KB: ≥ 10× kinesalite, ≥ 5× Redis with fsync always, ≥ 1× NATS JetStream on "
        "files (not flushed), CPU ≤ 4 µs a record")
UNIT = "records/s"
PEER = "kinesalite, in memory, signatures not verified"
PACKAGES = streams.PACKAGES
LIMITS = [("ratio", ">=", 10), ("over_redis", ">=", 5), ("over_nats", ">=", 1), ("ours_cpu_us", "<=", 4)]


def measure(bench):
    def put(who, connections, *args):
        return lambda: streams.put(bench, who(bench), connections, 500, *args)

    ours, peer, redis, multi, nats, nats_four = bench.turns(
        put(streams.ours, 2), put(streams.kinesalite, 2), put(streams.redis, 2),
        put(streams.redis, 2, "--multi"), put(streams.nats, 2), put(streams.nats, 4))
    return {"ours": ours["rate"], "peer": peer["rate"], "detail": {
        "over_redis": ours["rate"] / redis["rate"], "over_redis_multi": ours["rate"] / multi["rate"],
        "over_nats": ours["rate"] / max(nats["rate"], nats_four["rate"]),
        **streams.told("ours", ours), **streams.told("kinesalite", peer),
        **streams.told("redis", redis), **streams.told("redis_multi", multi),
        **streams.told("nats", nats), "nats_four_a_second": nats_four["rate"],
        "client_cpu_us": ours["own_cpu_s"] / ours["records"] * 1e6}}
