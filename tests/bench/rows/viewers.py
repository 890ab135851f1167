# SPDX-License-Identifier: Apache-2.0
"""One live stream and up to 1,000 viewers, each asking for the playlist once a target duration and for
each new segment once. nginx serves copies of the same playlist and segments, refreshed as they come."""

import os
import threading
import time

import harness
import playback

NAME = "viewers"
GOAL = "1,000 viewers of one live stream, connections kept alive: CPU ≤ 1.3× nginx's with the same files"
UNIT = "ms CPU/s"
PEER = "nginx, static files"
PACKAGES = ["nginx-light"]
LIMITS = [("ratio", "<=", 1.3), ("missed", "<=", 0)]
VIEWERS = (1, 100, 1000)
SECONDS, WARM_S = 8, 4


class Mirror(threading.Thread):
    """Copies the live playlist and its new segments into a folder, the playlist last."""

    def __init__(self, origin, path, folder):
        super().__init__(daemon=True)
        self.origin, self.path, self.folder = origin, path, folder
        self.known, self.stopping = {}, threading.Event()
        self.once()

    def once(self):
        lines = playback.get(self.origin + self.path).decode().splitlines()
        for i, line in enumerate(lines):
            if line and not line.startswith("#"):
                number = line.split("FragmentNumber=")[1].split("&")[0]
                if number not in self.known:
                    (self.folder / f"{number}.mp4").write_bytes(
                        playback.get(f"{self.origin}/hls/v1/{line}"))
                    self.known[number] = True
                lines[i] = f"{number}.mp4"
        (self.folder / "new").write_text("\n".join(lines) + "\n")
        os.replace(self.folder / "new", self.folder / "live.m3u8")

    def run(self):
        while not self.stopping.wait(0.2):
            self.once()


def measure(bench):
    folder = bench.folder()
    first_core = sorted(os.sched_getaffinity(0))[0]
    seconds = (SECONDS + WARM_S) * 2 * len(VIEWERS) + 60
    with bench.kinema("--http-loops", 1, data=folder / "data") as server, \
            bench.nginx(http=playback.LIVE_NGINX) as nginx:
        bench.streams(server, 1)
        camera = playback.camera(server, seconds)
        try:
            token = playback.live_session(server, "load-0")
            path = playback.media_playlist(token)
            mirror = Mirror(server.api, path, nginx.dir / "www")
            mirror.start()
            for pid in [server.pid, *harness.tree(nginx.pid)]:
                playback.pin(pid, first_core)
            (folder / "ours").write_text(path)
            (folder / "peer").write_text("/live.m3u8")
            worker = harness.children(nginx.pid)[0]
            before, at = server.cpu_s(), time.monotonic()
            time.sleep(SECONDS / 2)
            idle = (server.cpu_s() - before) / (time.monotonic() - at)

            def watch(port, pid, name, viewers):
                return playback.load("--port", port, "--pid", pid, "--playlists", folder / name,
                                     "--viewers", viewers, "--seconds", SECONDS, "--warm", WARM_S)

            ours, peer = {}, {}
            for n in VIEWERS:
                ours[n], peer[n] = bench.pair(
                    lambda: watch(server.api_port, server.pid, "ours", n),
                    lambda: watch(nginx.port, worker, "peer", n))
            mirror.stopping.set()
            mirror.join()
        finally:
            camera.kill()
            camera.wait()
    most = VIEWERS[-1]
    detail = {"missed": ours[most]["missed"], "upload_ms_per_s": idle * 1000,
              "ours_p99_ms": ours[most]["p99_ms"],
              "peer_p99_ms": peer[most]["p99_ms"], "segments": ours[most]["segments"],
              "peer_segments": peer[most]["segments"]}
    for n in VIEWERS:
        detail[f"ours_{n}"] = ours[n]["server_cpu_s"] / ours[n]["seconds"] * 1000
        detail[f"peer_{n}"] = peer[n]["server_cpu_s"] / peer[n]["seconds"] * 1000
    return {"ours": detail[f"ours_{most}"], "peer": detail[f"peer_{most}"], "detail": detail}
