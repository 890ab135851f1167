# SPDX-License-Identifier: Apache-2.0
"""A segment of about 1 MB of a DASH session, the first request of its session, beside files."""

import playback

NAME = "dash-segment"
GOAL = "DASH segment of ~1 MB, cold: ≥ 0.75× nginx's requests per CPU second"
UNIT = "requests/cpu-s"
PEER = "nginx, static file"
PACKAGES = ["nginx-light"]
LIMITS = [("ratio", ">=", 0.75)]


def measure(bench):
    return playback.segments(bench, tls=False, dash=True)
