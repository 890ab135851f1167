# SPDX-License-Identifier: Apache-2.0
"""How long a frame takes from a camera's socket to a GetMedia viewer's."""

import uploads

NAME = "live"
GOAL = ("GetMedia live, frame in → frame out: p99 ≤ 10 ms, without waiting for the fragment's end; "
        "10 viewers beside 50 uploads")
UNIT = "ms (p99)"
PEER = None
LIMITS = [("ours", "<=", 10)]
STREAMS, VIEWERS = 50, 10


def measure(bench):
    seconds = 5 if bench.quick else 20
    seen = uploads.kinema(bench, STREAMS, seconds, "--watch", VIEWERS)
    sent = VIEWERS * seconds * (30 + 48000 / 1024)
    return {"ours": seen["through_p99_ms"], "peer": None, "detail": {
        "through_p50_ms": seen["through_p50_ms"], "through_max_ms": seen["through_max_ms"],
        "frames_seen_%": 100 * seen["watched_frames"] / sent,
        "least_frames_of_a_viewer": seen["watched_least"], "server_cpu_%": 100 * seen["cpu_s"] / seconds}}
