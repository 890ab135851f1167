# SPDX-License-Identifier: Apache-2.0
"""The media playlist of a whole day, asked of a server that has just started, by a session of our
own (the console's), which has no cap. The session was opened before the server was restarted."""

import json
import os
import pathlib
import time
import urllib.request

import harness
import playback

NAME = "day-playlist"
GOAL = "playlist over 24 h of 2 s fragments in a fresh process: ≤ 20 ms, ≤ 100 ms with a cold page cache"
UNIT = "ms"
PEER = None
FRAGMENTS = 43200
LIMITS = [("ours", "<=", 20), ("cold_ms", "<=", 100), ("entries", ">=", FRAGMENTS)]
DROP = pathlib.Path("/proc/sys/vm/drop_caches")


def open_session(server):
    now = int(time.time() * 1000)
    body = json.dumps({"mode": "ON_DEMAND", "from": now - 25 * 3600 * 1000, "to": now}).encode()
    request = urllib.request.Request(server.console + "/kinema/v1/streams/bench-0/play", data=body,
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["url"]


def drop(folder):
    """Our files out of the page cache; as root everything, names and inodes too."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if os.access(DROP, os.W_OK):
        DROP.write_text("3\n")


def ask(server, paths):
    return playback.load("--port", server.api_port, "--pid", server.pid, "--paths", paths,
                         "--connections", 1, "--once", "--seconds", 20)


def measure(bench):
    folder = bench.folder()
    data, paths = folder / "data", folder / "paths"
    data.mkdir()
    harness.tool("archive", "make", data, 1, FRAGMENTS, 4, 400)
    with bench.kinema(data=data) as server:
        url = open_session(server)
        path = "/" + url.split("/", 3)[3]
        uri = playback.uris(playback.get(url))[0]
        text = playback.get(url.rsplit("/", 1)[0] + "/" + uri)
    paths.write_text(path.rsplit("/", 1)[0] + "/" + uri)
    with bench.kinema(data=data) as server:
        warm = ask(server, paths)
        again = ask(server, paths)
    with bench.kinema(data=data) as server:
        drop(data)
        cold = ask(server, paths)
    return {"ours": warm["p50_ms"], "peer": None, "detail": {
        "cold_ms": cold["p50_ms"], "again_ms": again["p50_ms"], "entries": len(playback.uris(text)),
        "mb": warm["bytes"] / 1e6, "cpu_ms": warm["server_cpu_s"] * 1000,
        "cold_cpu_ms": cold["server_cpu_s"] * 1000}}
