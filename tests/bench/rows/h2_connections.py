# SPDX-License-Identifier: Apache-2.0
"""What the SDK for JavaScript does by default: connect, preface and SETTINGS twice, one PutRecord, GOAWAY
twice, close; again for the next."""

import streams

NAME = "h2-connections"
GOAL = "a connection a request over h2c, with the frames of the SDK for JavaScript: ≥ 2,500 per CPU second"
UNIT = "requests/CPU s"
PEER = None
PACKAGES = streams.PACKAGES
LIMITS = [("ours", ">=", 2500)]


def measure(bench):
    seen = streams.put(bench, streams.ours(bench, protocol="h2"), 8, 1)
    return {"ours": seen["records"] / seen["server_cpu_s"], "peer": None, "detail": {
        **streams.told("ours", seen), "client_cpu_us": seen["own_cpu_s"] / seen["records"] * 1e6}}
