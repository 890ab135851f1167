# SPDX-License-Identifier: Apache-2.0
"""From PutRecord to a subscriber, the put's own flush included, 200 times a second; beside it kinesalite,
which has no subscriptions and no flush, polled without a pause. Then a hundred subscribers of one shard
that takes 1 MB a second."""

import harness
import streams

NAME = "fan-out"
GOAL = "put → delivered by SubscribeToShard: p50 ≤ 1.5 ms, p99 ≤ 8 ms above the disk's own flush; 100 subscribers at 1 MB/s"
UNIT = "ms"
PEER = "kinesalite, in memory, by GetRecords"
PACKAGES = streams.PACKAGES
LIMITS = [("ours", "<=", 1.5), ("p99_above_flush_ms", "<=", 8), ("hundred_mb_a_second", ">=", 0.95)]
SUBSCRIBERS = 100
BATCH = 10  # of 1 KB each, a hundred times a second


def consumers(server, count, name="load"):
    kinesis = streams.client(server.api_port, server.key)
    found = kinesis.describe_stream_summary(StreamName=name)
    arn = found["StreamDescriptionSummary"]["StreamARN"]
    return [kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"app{i}")["Consumer"]["ConsumerARN"]
            for i in range(count)]


def ours(bench, count, *args):
    seconds, warm = (1, 1) if bench.quick else (5, 1)
    with bench.kinema("--consumers-max", SUBSCRIBERS, auth=True) as server:
        streams.make_stream(server.api_port, server.key, 1)
        return harness.tool("fan_load", "--port", server.api_port, "--pid", server.pid, "--key", server.key.id,
                            "--secret", server.key.secret, "--seconds", seconds, "--warm", warm, *args,
                            *consumers(server, count))


def polled(bench):
    seconds, warm = (1, 1) if bench.quick else (5, 1)
    with streams.kinesalite(bench, shards=1) as (_, port, pid):
        return harness.tool("fan_load", "--port", port, "--pid", pid, "--seconds", seconds, "--warm", warm,
                            "--poll", 1)


def measure(bench):
    one, peer = bench.pair(lambda: ours(bench, 1), lambda: polled(bench))
    flush_ms = streams.flush_ms(bench.folder())
    hundred = ours(bench, SUBSCRIBERS, "--batch", BATCH, "--interval-us", BATCH * 1000)
    seconds = hundred["seconds"]
    return {"ours": one["p50_ms"], "peer": peer["p50_ms"], "detail": {
        "p99_ms": one["p99_ms"], "put_p50_ms": one["put_p50_ms"], "put_p99_ms": one["put_p99_ms"],
        "flush_p99_ms": harness.percentile(flush_ms, 0.99),
        "p99_above_flush_ms": one["p99_ms"] - harness.percentile(flush_ms, 0.99),
        "peer_p99_ms": peer["p99_ms"],
        "hundred_mb_a_second": hundred["records"] / SUBSCRIBERS / seconds * 1024 / 1e6,
        "hundred_p50_ms": hundred["p50_ms"], "hundred_p99_ms": hundred["p99_ms"],
        "hundred_cpu": hundred["server_cpu_s"] / seconds,
        "hundred_sent_mb_a_second": hundred["bytes"] / seconds / 1e6}}
