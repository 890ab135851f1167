# SPDX-License-Identifier: Apache-2.0
"""Single puts by many clients: HTTP, JSON, a signature and a flush each, against peers without some."""

import streams

NAME = "put-record"
GOAL = "PutRecord 1 KB, 16 connections, signatures verified: ≥ 6× kinesalite, ≥ 2× Redis with fsync always"
UNIT = "records/s"
PEER = "kinesalite, in memory, signatures not verified"
PACKAGES = streams.PACKAGES
LIMITS = [("ratio", ">=", 6), ("over_redis", ">=", 2)]


def measure(bench):
    ours, peer, redis = bench.turns(
        lambda: streams.put(bench, streams.ours(bench), 16, 1),
        lambda: streams.put(bench, streams.kinesalite(bench), 16, 1),
        lambda: streams.put(bench, streams.redis(bench), 16, 1))
    return {"ours": ours["rate"], "peer": peer["rate"], "detail": {
        "over_redis": ours["rate"] / redis["rate"], **streams.told("ours", ours),
        **streams.told("kinesalite", peer), **streams.told("redis", redis),
        "client_cpu_us": ours["own_cpu_s"] / ours["records"] * 1e6}}
