# SPDX-License-Identifier: Apache-2.0
"""What an event for each fragment adds to 50 uploads."""

import pathlib
import re
import time
import urllib.request

import uploads

NAME = "fragment-events"
GOAL = ("50 PutMedia uploads of 2 Mbit/s with an event for each fragment, beside the same without: "
        "CPU ≤ 1.03×; every fragment has its event")
UNIT = "% CPU"
PEER = "ours, without events"
LIMITS = [("ratio", "<=", 1.03), ("real_time_kept", ">=", 1), ("missing_events", "<=", 0)]
STREAMS = 50


def metric(server, name):
    text = urllib.request.urlopen(server.console + "/metrics", timeout=30).read().decode()
    return [float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)]


def make_journals(server):
    """A data folder's first record has the shard log write two files full of zeros, once in its life:
    15 to 20 ms of CPU, as much as all the events of a round. That is done before the clock starts."""
    server.client("kinesis").put_record(StreamName="events", PartitionKey="first", Data=b"first")
    deadline = time.monotonic() + 30
    while len(sizes := {f.name: f.stat().st_size for f in (pathlib.Path(server.data) / "journal").iterdir()}) < 2 \
            or len(set(sizes.values())) > 1:
        if time.monotonic() > deadline:
            raise RuntimeError(f"journals: {sizes}")
        time.sleep(0.05)


def follow(server):
    server.client("kinesis").create_stream(StreamName="events", ShardCount=4)
    make_journals(server)
    for i in range(STREAMS):
        server.kvs().tag_stream(StreamName=f"load-{i}", Tags={"kinema:event-stream": "events"})


def count(server):
    """Events, once there come no more: for longer than a round of the sender."""
    before = -1
    while (events := sum(metric(server, "kinema_fragment_events_total"))) > before:
        before = events
        time.sleep(1.5)
    return {"events": events}


def measure(bench):
    seconds = 5 if bench.quick else 20
    ours, peer = bench.pair(lambda: uploads.kinema(bench, STREAMS, seconds, prepare=follow, finish=count),
                            lambda: uploads.kinema(bench, STREAMS, seconds))
    return {"ours": 100 * ours["cpu_s"] / seconds, "peer": 100 * peer["cpu_s"] / seconds, "detail": {
        "events": ours["events"], "missing_events": ours["persisted"] - ours["events"],
        "real_time_kept": uploads.kept_real_time(ours, seconds),
        "persisted_p99_ms": ours["persisted_p99_ms"], "peer_persisted_p99_ms": peer["persisted_p99_ms"],
        "thread_events_%": 100 * ours["threads"].get("events", 0) / seconds,
        "thread_shard-commit_%": 100 * ours["threads"].get("shard-commit", 0) / seconds,
        "kernel_threads_%": 100 * ours["kernel_cpu_s"] / seconds,
        "peer_kernel_threads_%": 100 * peer["kernel_cpu_s"] / seconds}}
