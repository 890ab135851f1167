# SPDX-License-Identifier: Apache-2.0
"""libkinema-producer in a camera of 2 Mbit/s: its size, heap and CPU, and what an outage of its line costs."""

import pathlib
import subprocess
import threading
import time

import harness
import test_80_producer

NAME = "producer"
GOAL = ("≤ 200 KB of code, ≤ 1 MB of heap beyond the buffer, ≤ 0.1 % of a core; 60 s of outage with a buffer of "
        "64 MB: no frame lost, no fragment listed twice")
UNIT = "% of a core"
PEER = None
LIMITS = [("ours", "<=", 0.1), ("code_kb", "<=", 200), ("heap_mb", "<=", 1), ("lost", "<=", 0),
          ("listed_twice", "<=", 0), ("missing", "<=", 0)]
BUFFER = 64 << 20
FRAGMENT_FRAMES = 50
ALL = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": 2**32}}


def code_kb(bench):
    """Of the installed library, stripped."""
    target = bench.folder() / "root"
    subprocess.run(["cmake", "--install", harness.BUILD, "--component", "sdk", "--prefix", target, "--strip"],
                   check=True, capture_output=True)
    return max(path.stat().st_size for path in pathlib.Path(target, "lib").glob("libkinema-producer.so*")) / 1e3


def fragments(server, stream):
    client, found, token = server.archived(stream), [], {"FragmentSelector": ALL}
    while True:
        page = client.list_fragments(StreamName=stream, MaxResults=1000, **token)
        found += [one["ProducerTimestamp"] for one in page["Fragments"]]
        if not page.get("NextToken"):
            return found
        token = {"NextToken": page["NextToken"]}


def interrupt(line, after_s, outage_s):
    time.sleep(after_s)
    line.down = True
    line.cut()
    time.sleep(outage_s)
    line.down = False


def measure(bench):
    seconds, outage_s = (6, 4) if bench.quick else (12, 60)
    with bench.kinema() as server:
        calm = harness.tool("producer_load", server.api, "calm", seconds, BUFFER)
    line = test_80_producer.Line("http://127.0.0.1:1")
    with bench.kinema("--public-ingest-url", line.url) as server:
        line.target = server.ingest.split("//")[1].split(":")
        cutter = threading.Thread(target=interrupt, args=(line, 4, outage_s))
        cutter.start()
        cut = harness.tool("producer_load", server.api, "cut", outage_s + 10, BUFFER)
        cutter.join()
        listed = fragments(server, "cut")
    expected = -(-cut["frames"] // FRAGMENT_FRAMES)
    return {"ours": calm["cpu_percent"], "peer": None, "detail": {
        "program_percent": calm["program_percent"], "code_kb": code_kb(bench),
        "heap_mb": max(calm["heap_bytes"], cut["heap_bytes"]) / 1e6,
        "frames": cut["frames"], "lost": cut["frames"] - cut["persisted"], "connections": cut["connections"],
        "listed_twice": len(listed) - len(set(listed)), "missing": expected - len(set(listed))}}
