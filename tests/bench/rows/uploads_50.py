# SPDX-License-Identifier: Apache-2.0
"""50 cameras in real time."""

import uploads

NAME = "uploads-50"
GOAL = ("50 PutMedia uploads of 2 Mbit/s 1080p (H.264+AAC), recorded, indexed, PERSISTED after fsync: "
        "CPU ≤ 1.0× nginx-rtmp's; real time kept; PERSISTED p99 ≤ 300 ms after the fragment's last byte")
UNIT = "% CPU"
PEER = "nginx-rtmp recording FLV, no fsync"
PACKAGES = ["libnginx-mod-rtmp"]
LIMITS = uploads.LIMITS


def measure(bench):
    return uploads.measure(bench, 50)
