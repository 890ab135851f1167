# SPDX-License-Identifier: Apache-2.0
"""Cameras that the server fetches by RTSP."""

import rtsp_cameras

NAME = "cameras"
GOAL = ("60 RTSP cameras (TCP) of 2 Mbit/s 1080p, recorded, indexed, flushed: CPU ≤ 1.0× of an ffmpeg -c copy "
        "each (better 0.5×); ≤ 6 MB a camera; real time kept; recorded again ≤ 3 s after they answer again")
UNIT = "% CPU a camera"
PEER = "an ffmpeg -c copy to Matroska each, no fsync"
PACKAGES = ["ffmpeg"]
LIMITS = [("ratio", "<=", 1.0), ("mb_a_camera", "<=", 6), ("real_time_kept", ">=", 1), ("again_s", "<=", 3)]


def measure(bench):
    count, seconds = (6, 3) if bench.quick else (60, 20)
    ours, peer = bench.pair(lambda: rtsp_cameras.kinema(bench, count, seconds, again=True),
                            lambda: rtsp_cameras.ffmpeg(bench, count, seconds))
    each = 100 / seconds / count
    return {"ours": each * ours["cpu_s"], "peer": each * peer["cpu_s"], "detail": {
        "mb_a_camera": ours["memory_bytes"] / 1e6 / count,
        "peer_mb_a_camera": peer["memory_bytes"] / 1e6 / count,
        "real_time_kept": rtsp_cameras.kept_real_time(ours, count, seconds),
        "peer_real_time_kept": rtsp_cameras.kept_real_time(peer, count, seconds),
        "late_max_ms": ours["late_max_ms"], "again_s": ours["again_s"],
        "processes": ours["processes"], "server_%": each * ours["server_cpu_s"],
        **{f"thread_{name}_%": each * s for name, s in ours["workers"].items() if s > 0.05}}}
