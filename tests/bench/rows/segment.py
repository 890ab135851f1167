# SPDX-License-Identifier: Apache-2.0
"""A segment of about 1 MB, the first request of its session, beside the same bytes as files."""

import playback

NAME = "segment"
GOAL = "fMP4 segment of ~1 MB over HTTP: ≥ 0.75× nginx's requests per CPU second"
UNIT = "requests/cpu-s"
PEER = "nginx, static file"
PACKAGES = ["nginx-light"]
LIMITS = [("ratio", ">=", 0.75)]


def measure(bench):
    return playback.segments(bench, tls=False)
