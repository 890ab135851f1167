# SPDX-License-Identifier: Apache-2.0
"""A recording as fragmented MP4: through the calls that answer players, into files, beside ffmpeg."""

import resource

import harness
import playback

NAME = "transmux"
GOAL = "MKV → fMP4: ≥ 1.5× `ffmpeg -c copy` in MB per CPU second"
UNIT = "MB/cpu-s"
PEER = "ffmpeg -c copy"
PACKAGES = ["ffmpeg"]
LIMITS = [("ratio", ">=", 1.5)]


def measure(bench):
    folder = bench.folder()
    source = playback.recording(bench, loops=9 if bench.quick else 19)
    with bench.kinema(data=folder / "data") as server:
        playback.upload(bench, server, "long", source)
    source.read_bytes()  # both find their input in memory

    def ours():
        return harness.tool("bench_transmux", folder / "data", "long", folder / "video.mp4",
                            folder / "audio.mp4")

    def peer():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        harness.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", source, "-c", "copy", "-movflags",
                    "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", folder / "peer.mp4")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return source.stat().st_size / 1e6 / cpu

    mine, theirs = bench.pair(ours, peer)
    return {"ours": mine["mb_per_cpu_s"], "peer": theirs, "detail": {
        "mb": mine["read_bytes"] / 1e6, "segments": mine["segments"]}}
