# SPDX-License-Identifier: Apache-2.0
"""Many uploads in real time, ours over PutMedia and nginx-rtmp's over RTMP: rows about ingest share it."""

import json
import pathlib
import subprocess

import harness

MODULE = "ngx_rtmp_module.so"
RECORDER = """rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096;
  application live {{ live on; record all; record_path {folder}; }} }} }}"""


def load(program, port, streams, seconds, *args, at_half=lambda: None):
    """Runs a load generator to its end; at_half is called when half of the frames are sent."""
    command = [harness.BUILD / "bench" / program, "--port", port, "--streams", streams,
               "--seconds", seconds, *args]
    with subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True) as process:
        last = ""
        for last in process.stdout:
            if last == "half\n":
                at_half()
    if process.returncode:
        raise RuntimeError(f"{program} ended with {process.returncode}: {last}")
    return json.loads(last)


def kinema(bench, streams, seconds, *args, prepare=None, finish=None):
    """CPU seconds and memory of our server under the load, beside what the generator saw. prepare(server)
    and finish(server) are called before and after it; finish gives further figures."""
    with bench.kinema() as server:
        bench.streams(server, streams)
        if prepare:
            prepare(server)
        idle, kernel, before = server.private_bytes(), harness.kernel_cpu_s(), server.cpu_s()
        half = {}
        seen = load("put_load", server.ingest_port, streams, seconds, "--api-port", server.api_port,
                    *args, at_half=lambda: half.update(bytes=server.private_bytes(),
                                                       cpu_s=server.cpu_s() - before))
        return {**seen, "cpu_s": server.cpu_s() - before, "idle_bytes": idle,
                **(finish(server) if finish else {}),
                "kernel_cpu_s": harness.kernel_cpu_since_s(kernel), "half_bytes": half["bytes"],
                "first_half_cpu_s": half["cpu_s"], "threads": harness.threads_cpu_s(server.pid)}


def nginx_rtmp(bench, streams, seconds, *args):
    port, folder = harness.free_port(), bench.folder()
    rtmp = RECORDER.format(port=port, folder=folder)
    with bench.nginx(http="", top=rtmp, modules=[MODULE]) as server:
        idle, kernel, before = server.private_bytes(), harness.kernel_cpu_s(), server.cpu_s()
        half = {}
        seen = load("rtmp_load", port, streams, seconds, *args,
                    at_half=lambda: half.update(bytes=server.private_bytes()))
        recorded = sum(p.stat().st_size for p in pathlib.Path(folder).iterdir())
        if recorded < 0.98 * seen["bytes"]:
            raise RuntimeError(f"nginx-rtmp recorded {recorded} of {seen['bytes']} bytes")
        return {**seen, "cpu_s": server.cpu_s() - before, "idle_bytes": idle,
                "kernel_cpu_s": harness.kernel_cpu_since_s(kernel), "half_bytes": half["bytes"]}


def kept_real_time(seen, seconds):
    """1 when the generator was never held up for longer than a second, and ended in time."""
    return int(seen["late_max_ms"] <= 1000 and seen["seconds"] <= seconds + 5)


LIMITS = [("ratio", "<=", 1.0), ("real_time_kept", ">=", 1), ("persisted_p99_ms", "<=", 300)]


def measure(bench, streams):
    """One round: CPU of one core in percent, of media time."""
    seconds = 5 if bench.quick else 20
    ours, peer = bench.pair(lambda: kinema(bench, streams, seconds),
                            lambda: nginx_rtmp(bench, streams, seconds))
    return {"ours": 100 * ours["cpu_s"] / seconds, "peer": 100 * peer["cpu_s"] / seconds, "detail": {
        "real_time_kept": kept_real_time(ours, seconds), "late_max_ms": ours["late_max_ms"],
        "persisted_p50_ms": ours["persisted_p50_ms"], "persisted_p99_ms": ours["persisted_p99_ms"],
        "persisted_max_ms": ours["persisted_max_ms"],
        "ours_mb_per_cpu_s": ours["bytes"] / 1e6 / ours["cpu_s"],
        "peer_mb_per_cpu_s": peer["bytes"] / 1e6 / peer["cpu_s"],
        "ours_kernel_threads_%": 100 * ours["kernel_cpu_s"] / seconds,
        "peer_kernel_threads_%": 100 * peer["kernel_cpu_s"] / seconds,
        "peer_real_time_kept": kept_real_time(peer, seconds),
        **{f"thread_{name}_%": 100 * s / seconds for name, s in ours["threads"].items() if s > 0.02}}}
