# SPDX-License-Identifier: Apache-2.0
"""RTSP cameras, recorded by us and by an ffmpeg each: what rows about them share. rtsp_load plays all of
them in one process."""

import contextlib
import json
import pathlib
import subprocess
import time
import urllib.request

import harness

MEDIA_S = 10
PATIENCE_S = 60
STARTED_BYTES = 100 << 10


def media(bench):
    """1080p at 2 Mbit/s, 30 frames a second, a key frame each 2 s, as IP cameras send it; made once."""
    path = pathlib.Path(bench.kept) / "camera.h264"
    if not path.exists():
        harness.run("ffmpeg", "-v", "error", "-f", "lavfi", "-i",
                    f"testsrc2=size=1920x1080:rate=30:duration={MEDIA_S},noise=alls=12:allf=t",
                    "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline",
                    "-pix_fmt", "yuv420p", "-b:v", "2M", "-maxrate", "2M", "-bufsize", "2M", "-x264-params",
                    "keyint=60:min-keyint=60:scenecut=0:sliced-threads=0:slices=1:nal-hrd=none",
                    "-y", path)
    return path


class Cameras:
    """rtsp_load: every path of its port is a camera."""

    def __init__(self, bench, pem=None):
        self.scheme = "rtsps" if pem else "rtsp"
        command = [harness.BUILD / "bench" / "rtsp_load", "--media", media(bench)]
        command += ["--tls", pem] if pem else []
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def url(self, number):
        return f"{self.scheme}://127.0.0.1:{self.port}/camera-{number}"

    def order(self, text, answers=False):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() if answers else None

    def counted(self):
        return json.loads(self.order("say", answers=True))

    def close(self):
        self.process.stdin.close()
        if self.process.wait():
            raise RuntimeError(f"rtsp_load ended with {self.process.returncode}")

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


def wait_for(what, holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.02)


def call(server, operation, **members):
    """An operation of ours, on a server with --no-auth."""
    request = urllib.request.Request(f"{server.api}/kinema/v1/{operation[0].lower()}{operation[1:]}",
                                     json.dumps(members).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"{}")


def listed(server):
    """All cameras' descriptions."""
    found, token = [], {}
    while True:
        page = call(server, "ListCameras", MaxResults=100, **token)
        found += page["Cameras"]
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}


def total(server, member):
    return sum(one.get(member, 0) for one in listed(server))


def certificate(bench):
    """A self-signed one with its key, as cameras have."""
    pem = bench.folder() / "camera.pem"
    harness.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=camera", "-days", "2", "-keyout", pem, "-out", pem.with_suffix(".crt"))
    pem.write_text(pem.read_text() + pem.with_suffix(".crt").read_text())
    return pem


def tree_private_bytes(pid):
    return sum(harness.private_bytes(p) for p in harness.tree(pid))


def watch(cameras, cpu_s, seconds):
    """Counts for so many seconds while all is under way."""
    cameras.order("reset")
    before = cpu_s()
    time.sleep(seconds)
    spent = cpu_s() - before
    return {"cpu_s": spent, **cameras.counted()}


def workers_s(server):
    """{thread name: seconds} of the processes that talk to cameras."""
    out = {}
    for pid in harness.tree(server.pid)[1:]:
        for name, spent in harness.threads_cpu_s(pid).items():
            name = name.rstrip("0123456789")
            out[name] = out.get(name, 0) + spent
    return out


def kinema(bench, count, seconds, pem=None, again=False):
    """Our server and its processes. again: also how long cameras that answer again take to be recorded."""
    with Cameras(bench, pem) as cameras, bench.kinema() as server:
        bench.streams(server, count)
        idle = server.private_bytes()
        for number in range(count):
            call(server, "PutCamera", StreamName=f"load-{number}", Url=cameras.url(number))
        wait_for("fragments of every camera",
                 lambda: all(one["FragmentCount"] >= 2 for one in listed(server)))
        before = total(server, "FrameCount")
        workers, own = workers_s(server), harness.cpu_s(server.pid)
        seen = watch(cameras, lambda: harness.tree_cpu_s(server.pid), seconds)
        own = harness.cpu_s(server.pid) - own
        workers = {name: s - workers.get(name, 0) for name, s in workers_s(server).items()}
        memory = tree_private_bytes(server.pid) - idle
        frames, lost = total(server, "FrameCount") - before, total(server, "LostFrameCount")
        out = {**seen, "memory_bytes": memory, "server_cpu_s": own, "workers": workers,
               "taken": frames, "lost": lost, "processes": len(harness.tree(server.pid)) - 1}
        if again:
            out["again_s"] = again_s(cameras, server)
        return out


def again_s(cameras, server):
    """From when they answer again to the last camera's being recorded."""
    cameras.order("deaf")
    wait_for("cameras that are gone", lambda: all(
        one["State"] != "RECORDING" for one in listed(server)))
    cameras.order("hear", answers=True)
    begun = time.monotonic()
    wait_for("cameras that are back", lambda: all(
        one["State"] == "RECORDING" for one in listed(server)))
    return time.monotonic() - begun


def ffmpeg(bench, count, seconds):
    """A process a camera, as most recorders do it."""
    folder = bench.folder()
    with Cameras(bench) as cameras, contextlib.ExitStack() as stack:
        processes = []
        for number in range(count):
            processes.append(subprocess.Popen(
                ["ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i", cameras.url(number),
                 "-c", "copy", "-f", "matroska", folder / f"{number}.mkv"]))
            stack.callback(processes[-1].wait)
            stack.callback(processes[-1].terminate)
        files = [folder / f"{number}.mkv" for number in range(count)]
        wait_for("every ffmpeg's file", lambda: all(
            file.exists() and file.stat().st_size > STARTED_BYTES for file in files))
        seen = watch(cameras, lambda: sum(harness.cpu_s(p.pid) for p in processes), seconds)
        memory = sum(harness.private_bytes(p.pid) for p in processes)
        return {**seen, "memory_bytes": memory}


def kept_real_time(seen, count, seconds):
    """1 when no frame waited for a second to be taken, and all that were sent were taken."""
    most = 30 * count * seconds
    return int(seen["late_max_ms"] <= 1000 and not seen["behind"] and seen["frames"] >= 0.97 * most and
               not seen.get("lost") and seen.get("taken", most) >= 0.97 * most)
