# SPDX-License-Identifier: Apache-2.0
"""What the playback rows share: a recording, its upload, sessions, and the loads on both servers.

Servers run on one core and the load on another, each server with one loop or worker, so that the
scheduler has no say in who wins.
"""

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

import botocore.exceptions

import harness

SEGMENTS = 20  # of one minute of 2 Mbit/s, four seconds and 1 MB each
SESSIONS = 200
CONNECTIONS = 16
PATHS = 3000
SECONDS, WARM_S = 3, 0.5
TLS = ("ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
       "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;")
NGINX = ("sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600;"
         "open_file_cache max=10000; open_file_cache_valid 600s;")
LIVE_NGINX = "sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600;"


def recording(bench, loops):
    """1080p30 H.264 at 2 Mbit/s and AAC, a key frame every 4 s: one minute, and loops more. Made
    once for all rounds."""
    folder = pathlib.Path(bench.parent or bench.folder())
    minute, whole = folder / "minute.mkv", folder / f"recording-{loops}.mkv"
    if whole.exists():
        return whole
    harness.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i",
                "testsrc2=size=1920x1080:rate=30", "-f", "lavfi", "-i", "anoisesrc=r=48000:a=0.3",
                "-t", "60", "-vf", "noise=alls=6:allf=t", "-c:v", "libx264", "-preset", "ultrafast",
                "-b:v", "2000k", "-maxrate", "2400k", "-bufsize", "2M", "-g", "120", "-keyint_min",
                "120", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "128k", "-ac", "2", minute)
    harness.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-stream_loop", loops, "-i", minute, "-c",
                "copy", "-f", "matroska", "-cluster_time_limit", "20000", "-cluster_size_limit",
                "50M", whole)
    return whole


def upload(bench, server, stream, source):
    server.kvs().create_stream(StreamName=stream, MediaType="video/h264", DataRetentionInHours=240)
    harness.run("curl", "-sSf", "--http1.1", "-X", "POST", "-T", source, "-H", "Expect:",
                "-H", f"x-amzn-stream-name: {stream}", "-H", "x-amzn-fragment-timecode-type: RELATIVE",
                "-H", f"x-amzn-producer-start-timestamp: {time.time() - 3600:.3f}",
                "-H", "x-amzn-fragment-acknowledgment-required: 0", server.ingest + "/putMedia")


def sessions(server, stream, count, **fields):
    """Tokens of as many HLS sessions."""
    client = server.archived(stream, "GET_HLS_STREAMING_SESSION_URL")
    found = [client.get_hls_streaming_session_url(StreamName=stream, Expires=43200, **fields)
             ["HLSStreamingSessionURL"] for _ in range(count)]
    return [url.rsplit("SessionToken=", 1)[1] for url in found]


def last_hours(hours):
    now = time.time()
    return {"PlaybackMode": "ON_DEMAND", "MaxMediaPlaylistFragmentResults": 5000,
            "HLSFragmentSelector": {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": {
                "StartTimestamp": now - hours * 3600, "EndTimestamp": now}}}


def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def uris(playlist):
    return [line for line in playlist.decode().splitlines() if line and not line.startswith("#")]


def media_playlist(token, track=1):
    return f"/hls/v1/getHLSMediaPlaylist.m3u8?SessionToken={token}&TrackNumber={track}"


def pin(pid, core):
    """Has an effect where there are two cores."""
    if len(os.sched_getaffinity(0)) > 1:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), {core})


def load(*args):
    """http_load on the last core; its JSON."""
    command = [str(harness.BUILD / "bench" / "http_load"), *map(str, args)]
    cores = sorted(os.sched_getaffinity(0))
    done = subprocess.run(["taskset", "-c", str(cores[-1]), *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"http_load: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def camera(server, seconds):
    """put_load as one live camera of 2 Mbit/s and a key frame every 2 s; returns its process."""
    return subprocess.Popen([harness.BUILD / "bench" / "put_load", "--port", str(server.ingest_port),
                             "--streams", "1", "--kbps", "2000", "--seconds", str(seconds)],
                            stdout=subprocess.DEVNULL)


def live_session(server, stream):
    """The token of a LIVE session, once there is something to see."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return sessions(server, stream, 1, PlaybackMode="LIVE")[0]
        except botocore.exceptions.ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def hls_segments(server, tokens):
    """The path of a segment, by its index and a session's."""
    found = uris(get(server.api + media_playlist(tokens[0])))[:SEGMENTS]
    return lambda i, session: "/hls/v1/" + re.sub(
        "SessionToken=[^&]*", "SessionToken=" + tokens[session], found[i])


def dash_segments(server, tokens):
    return lambda i, session: (f"/dash/v1/getMP4MediaFragment.mp4?SessionToken={tokens[session]}"
                               f"&TrackNumber=1&SequenceNumber={i + 1}")


def dash_sessions(server, stream, count):
    client = server.archived(stream, "GET_DASH_STREAMING_SESSION_URL")
    hls = last_hours(3)
    found = [client.get_dash_streaming_session_url(
        StreamName=stream, Expires=43200, PlaybackMode="ON_DEMAND",
        DASHFragmentSelector=hls["HLSFragmentSelector"])["DASHStreamingSessionURL"]
        for _ in range(count)]
    return [url.rsplit("SessionToken=", 1)[1] for url in found]


def segments(bench, tls, dash=False):
    folder = bench.folder()
    source = recording(bench, loops=SEGMENTS * 4 // 60)
    first_core = sorted(os.sched_getaffinity(0))[0]
    with bench.kinema("--http-loops", 1, data=folder / "data", tls=True) as server:
        upload(bench, server, "long", source)
        tokens = (dash_sessions(server, "long", SESSIONS) if dash else
                  sessions(server, "long", SESSIONS, **last_hours(3)))
        address = (dash_segments if dash else hls_segments)(server, tokens)
        key = server.certificate.replace("cert.pem", "key.pem")
        crypto = TLS.format(cert=server.certificate, key=key)
        secure_port = harness.free_port()
        with bench.nginx(http=NGINX + crypto + f"listen 127.0.0.1:{secure_port} ssl;") as nginx:
            for i in range(SEGMENTS):
                (nginx.dir / "www" / f"{i}.mp4").write_bytes(get(server.api + address(i, 0)))
            for pid in [server.pid, *harness.tree(nginx.pid)]:
                pin(pid, first_core)
            mine, theirs = folder / "ours", folder / "theirs"
            mine.write_text("\n".join(address(i % SEGMENTS, i % SESSIONS) for i in range(PATHS)))
            theirs.write_text("\n".join(f"/{i % SEGMENTS}.mp4" for i in range(PATHS)))
            worker = harness.children(nginx.pid)[0]
            ours_port = int(server.endpoints["api-tls" if tls else "api"].rsplit(":", 1)[1])
            common = ["--connections", CONNECTIONS, "--seconds", SECONDS, "--warm", WARM_S]
            common += ["--tls"] if tls else []
            ours, peer = bench.pair(
                lambda: load("--port", ours_port, "--pid", server.pid, "--paths", mine, *common),
                lambda: load("--port", secure_port if tls else nginx.port, "--pid", worker, "--paths",
                             theirs, *common))
    return {"ours": ours["requests"] / ours["server_cpu_s"],
            "peer": peer["requests"] / peer["server_cpu_s"],
            "detail": {"segment_bytes": ours["bytes"] // max(1, ours["requests"]),
                       "ours_per_s": ours["requests"] / ours["seconds"],
                       "peer_per_s": peer["requests"] / peer["seconds"],
                       "ours_p99_ms": ours["p99_ms"], "peer_p99_ms": peer["p99_ms"]}}
