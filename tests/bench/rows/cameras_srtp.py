# SPDX-License-Identifier: Apache-2.0
"""Cameras whose media are encrypted."""

import contextlib
import pathlib
import subprocess
import time

import harness
import rtsp_cameras

NAME = "cameras-srtp"
GOAL = "SRTP cameras of 2 Mbit/s 1080p: CPU ≤ 1.5× of plain RTSP, both ours"
UNIT = "% CPU a camera"
PEER = "ours, plain RTSP of the same cameras"
PACKAGES = ["ffmpeg"]
LIMITS = [("ratio", "<=", 1.5), ("real_time_kept", ">=", 1)]
PROGRAM = pathlib.Path(__file__).parent.with_name("gst_cameras.py")


def media(bench):
    """The film of the other rows again and again, for two minutes."""
    path = pathlib.Path(bench.kept) / "camera.mkv"
    if not path.exists():
        once = path.with_name("camera.mp4")  # which has times, and can be looped
        harness.run("ffmpeg", "-v", "error", "-r", "30", "-i", rtsp_cameras.media(bench), "-c", "copy", "-y", once)
        harness.run("ffmpeg", "-v", "error", "-stream_loop", "11", "-i", once, "-c", "copy", "-y", path)
    return path


@contextlib.contextmanager
def cameras(bench, count, *options):
    process = subprocess.Popen(["/usr/bin/python3", PROGRAM, "--media", media(bench), "--count", str(count),
                                *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()


def rate(before, after):
    """Frames a second that a camera gave: what it says is up to a second old, and both members alike."""
    return (after["FrameCount"] - before["FrameCount"]) / (after["LastFrameTime"] - before["LastFrameTime"])


def record(bench, count, seconds, *options, transport="AUTO"):
    with cameras(bench, count, *options) as port, bench.kinema() as server:
        bench.streams(server, count)
        for number in range(count):
            rtsp_cameras.call(server, "PutCamera", StreamName=f"load-{number}", Transport=transport,
                              Url=f"rtsp://127.0.0.1:{port}/camera-{number}")
        rtsp_cameras.wait_for("fragments of every camera", lambda: all(
            one["FragmentCount"] >= 2 for one in rtsp_cameras.listed(server)))
        before, spent = rtsp_cameras.listed(server), harness.tree_cpu_s(server.pid)
        time.sleep(seconds)
        spent = harness.tree_cpu_s(server.pid) - spent
        return spent, min(map(rate, before, rtsp_cameras.listed(server)))


def measure(bench):
    count, seconds = (3, 3) if bench.quick else (12, 15)
    (ours, slowest), (peer, _) = bench.pair(lambda: record(bench, count, seconds, "--srtp"),
                                          lambda: record(bench, count, seconds))
    udp, _ = record(bench, count, seconds, transport="UDP")
    each = 100 / seconds / count
    return {"ours": each * ours, "peer": each * peer, "detail": {
        "real_time_kept": int(slowest >= 0.97 * 30), "plain_udp_%": each * udp}}
