# SPDX-License-Identifier: Apache-2.0
"""The same over TLS 1.3 with AES-128-GCM, connections kept alive."""

import playback

NAME = "segment-tls"
GOAL = "fMP4 segment of ~1 MB over TLS 1.3: ≥ 0.9× nginx's requests per CPU second"
UNIT = "requests/cpu-s"
PEER = "nginx, static file"
PACKAGES = ["nginx-light"]
LIMITS = [("ratio", ">=", 0.9)]


def measure(bench):
    return playback.segments(bench, tls=True)
