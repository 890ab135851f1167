# SPDX-License-Identifier: Apache-2.0
"""GetClip of ten minutes beside ffmpeg making the same file; what it takes of memory, there and for
ten hours of thin video."""

import pathlib
import resource
import threading
import time

import harness
import playback

NAME = "clip"
GOAL = ("GetClip of 10 min: first byte ≤ 50 ms; ≥ 1.3× `ffmpeg -c copy -movflags faststart` in MB per "
        "CPU second; ≤ 8 MB of memory, also for 10 h")
UNIT = "MB/cpu-s"
PEER = "ffmpeg -c copy -movflags faststart"
PACKAGES = ["ffmpeg"]
LIMITS = [("ratio", ">=", 1.3), ("first_byte_ms", "<=", 50), ("memory_mb", "<=", 8),
          ("memory_10_h_mb", "<=", 8)]
HOURS = 10


def thin(bench):
    """Hours of a small picture, a key frame every 2 s."""
    folder = pathlib.Path(bench.parent or bench.folder())
    minute, whole = folder / "thin-minute.mkv", folder / "thin.mkv"
    if not whole.exists():
        harness.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i",
                    "testsrc2=size=64x64:rate=10", "-f", "lavfi", "-i", "sine=f=440:r=16000", "-t",
                    "60", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "20k", "-g", "20",
                    "-keyint_min", "20", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac",
                    "-b:a", "16k", minute)
        harness.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-stream_loop", HOURS * 60 - 1, "-i",
                    minute, "-c", "copy", "-f", "matroska", "-live", "1", "-cluster_time_limit",
                    "20000", "-cluster_size_limit", "50M", whole)
    return whole


class Peak(threading.Thread):
    """The most private memory of a process while it is looked at."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.over = pid, threading.Event()
        self.begin = self.most = harness.private_bytes(pid)

    def run(self):
        while not self.over.wait(0.01):
            self.most = max(self.most, harness.private_bytes(self.pid))

    def mb(self):
        self.over.set()
        self.join()
        return (self.most - self.begin) / 1e6


def download(server, stream):
    """Bytes of a clip of everything, and ms until its first one."""
    client = server.archived(stream, "GET_CLIP")
    client.meta.events.register("before-sign", lambda request, **_: request.headers.add_header(
        "x-kinema-clip", "unlimited"))
    now = time.time()
    selector = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": {
        "StartTimestamp": now - 2 * 3600, "EndTimestamp": now + 20 * 3600}}
    begin = time.monotonic()
    body = client.get_clip(StreamName=stream, ClipFragmentSelector=selector)["Payload"]
    total = len(body.read(1))
    first_ms = (time.monotonic() - begin) * 1000
    while piece := body.read(1 << 20):
        total += len(piece)
    return total, first_ms


def measure(bench):
    folder = bench.folder()
    source = playback.recording(bench, loops=9)
    with bench.kinema(data=folder / "data") as server:
        playback.upload(bench, server, "long", source)
        playback.upload(bench, server, "thin", thin(bench))
        download(server, "long")  # what is opened once is open
        firsts, memory = [], []

        def ours():
            before, peak = harness.cpu_s(server.pid), Peak(server.pid)
            peak.start()
            total, first_ms = download(server, "long")
            used = harness.cpu_s(server.pid) - before
            memory.append(peak.mb())
            firsts.append(first_ms)
            return total / 1e6 / used

        def peer():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            harness.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", source, "-c", "copy",
                        "-movflags", "faststart", "-f", "mp4", folder / "peer.mp4")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return ((folder / "peer.mp4").stat().st_size / 1e6 /
                    (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))

        mine, theirs = bench.pair(ours, peer)
        peak = Peak(server.pid)
        peak.start()
        begin = time.monotonic()
        long_bytes, long_first_ms = download(server, "thin")
        seconds = time.monotonic() - begin
        return {"ours": mine, "peer": theirs, "detail": {
            "first_byte_ms": max(firsts), "memory_mb": max(memory), "memory_10_h_mb": peak.mb(),
            "first_byte_10_h_ms": long_first_ms, "seconds_10_h": seconds,
            "mb_10_h": long_bytes / 1e6}}
