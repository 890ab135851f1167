# SPDX-License-Identifier: Apache-2.0
"""Cameras whose sessions are encrypted."""

import rtsp_cameras

NAME = "cameras-tls"
GOAL = "RTSPS cameras of 2 Mbit/s 1080p: CPU ≤ 1.5× of plain RTSP, both ours"
UNIT = "% CPU a camera"
PEER = "ours, plain RTSP"
PACKAGES = ["ffmpeg"]
LIMITS = [("ratio", "<=", 1.5), ("real_time_kept", ">=", 1)]


def measure(bench):
    count, seconds = (6, 3) if bench.quick else (60, 15)
    pem = rtsp_cameras.certificate(bench)
    ours, peer = bench.pair(lambda: rtsp_cameras.kinema(bench, count, seconds, pem=pem),
                            lambda: rtsp_cameras.kinema(bench, count, seconds))
    each = 100 / seconds / count
    return {"ours": each * ours["cpu_s"], "peer": each * peer["cpu_s"], "detail": {
        "real_time_kept": rtsp_cameras.kept_real_time(ours, count, seconds),
        "late_max_ms": ours["late_max_ms"]}}
