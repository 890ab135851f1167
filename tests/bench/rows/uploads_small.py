# SPDX-License-Identifier: Apache-2.0
"""Many thin cameras: what is paid a stream and a frame, not a byte."""

import harness
import uploads

NAME = "uploads-1000-small"
GOAL = ("1,000 uploads at 100 kbit/s (5 fps, video only): CPU per byte ≤ 2× of 50 at 2 Mbit/s, both ours; "
        "no upload starves")
UNIT = "CPU ms/MB"
PEER = "ours, 50 at 2 Mbit/s"
LIMITS = [("ratio", "<=", 2.0), ("real_time_kept", ">=", 1), ("persisted_p99_ms", "<=", 300)]


def measure(bench):
    many, seconds = (200, 5) if bench.quick else (1000, 20)
    bench.keeps_folders = True  # ext4 without a journal passes over inodes freed in the last minute

    def per_byte(seen):
        return 1000 * seen["cpu_s"] / (seen["bytes"] / 1e6)

    def floor():
        """The disk's part of it by a program that does nothing else."""
        return harness.tool("disk_floor", bench.folder(), "--streams", many, "--fragments", seconds // 2,
                            "--bytes", 25200)

    ours, peer, least = bench.turns(
        lambda: uploads.kinema(bench, many, seconds, "--kbps", 100, "--fps", 5, "--no-audio"),
        lambda: uploads.kinema(bench, 50, seconds), floor)
    return {"ours": per_byte(ours), "peer": per_byte(peer), "detail": {
        "real_time_kept": uploads.kept_real_time(ours, seconds), "late_max_ms": ours["late_max_ms"],
        "persisted_p99_ms": ours["persisted_p99_ms"], "persisted_max_ms": ours["persisted_max_ms"],
        "ours_to_disk_floor": ours["cpu_s"] / least["cpu_s"], "floor_start_us": least["start_us"],
        "floor_fragment_us": least["fragment_us"], "server_cpu_%": 100 * ours["cpu_s"] / seconds,
        "second_half_cpu_%": 200 * (ours["cpu_s"] - ours["first_half_cpu_s"]) / seconds,
        "peer_cpu_%": 100 * peer["cpu_s"] / seconds,
        "peer_second_half_cpu_%": 200 * (peer["cpu_s"] - peer["first_half_cpu_s"]) / seconds, "mb_a_stream":
        (ours["half_bytes"] - ours["idle_bytes"]) / 1e6 / many}}
