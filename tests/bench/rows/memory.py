# SPDX-License-Identifier: Apache-2.0
"""What an upload costs in memory that is the server's alone."""

import uploads

NAME = "memory"
GOAL = "≤ 1 MB a stream beyond the idle server, at 200 uploads; the idle server ≤ 40 MB"
UNIT = "MB a stream"
PEER = "nginx-rtmp recording FLV"
PACKAGES = ["libnginx-mod-rtmp"]
LIMITS = [("ours", "<=", 1), ("idle_mb", "<=", 40)]


def measure(bench):
    streams, seconds = (50, 5) if bench.quick else (200, 12)

    def per_stream(seen):
        return (seen["half_bytes"] - seen["idle_bytes"]) / 1e6 / streams

    ours, peer = bench.pair(lambda: uploads.kinema(bench, streams, seconds),
                            lambda: uploads.nginx_rtmp(bench, streams, seconds))
    return {"ours": per_stream(ours), "peer": per_stream(peer), "detail": {
        "idle_mb": ours["idle_bytes"] / 1e6, "loaded_mb": ours["half_bytes"] / 1e6,
        "peer_idle_mb": peer["idle_bytes"] / 1e6, "peer_loaded_mb": peer["half_bytes"] / 1e6}}
