# SPDX-License-Identifier: Apache-2.0
"""Data streams beside what people would pick instead: kinesalite (npm), Redis Streams, NATS JetStream.
kds_load plays all clients, with the same loop and prepared requests."""

import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import time

import harness
import kinema

PACKAGES = ["nats-server", "redis-server"]
KINESALITE = "3.3.3"  # from the npm registry, into the build folder
SHARDS = 4
NOBODY = kinema.Key({"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret"})


# --- peers ---------------------------------------------------------------------------------------
def kinesalite_script():
    """Installs it once; rounds of several runs wait for each other."""
    folder = harness.BUILD / "bench-peers"
    folder.mkdir(exist_ok=True)
    script = folder / "node_modules" / "kinesalite" / "cli.js"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not script.exists():
            harness.run("npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--no-save",
                        "--ignore-scripts", f"kinesalite@{KINESALITE}")
    return script


@contextlib.contextmanager
def process(bench, command, port):
    """A peer that listens on the port until the block ends. started_s: until it did."""
    folder = bench.folder()
    begun = time.monotonic()
    with open(folder / "output", "wb") as log:
        child = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=folder)
    try:
        harness.wait_port(port, child)
        child.started_s = time.monotonic() - begun
        yield child
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def redis(bench):
    """Appends to its log and flushes it before it answers. Never rewrites that log, which would cost it."""
    port = harness.free_port()
    command = [shutil.which("redis-server"), "--port", port, "--bind", "127.0.0.1", "--dir", bench.folder(),
               "--appendonly", "yes", "--appendfsync", "always", "--save", "",
               "--auto-aof-rewrite-percentage", 0]
    with process(bench, command, port) as child:
        yield "redis", port, child.pid


@contextlib.contextmanager
def nats(bench):
    """JetStream with files, which it flushes every two minutes."""
    port = harness.free_port()
    with process(bench, ["/usr/sbin/nats-server", "-js", "-a", "127.0.0.1", "-p", port, "-sd",
                         bench.folder()], port) as child:
        yield "nats", port, child.pid


def kinesalite_command(port):
    return ["node", kinesalite_script(), "--port", port, "--createStreamMs", 0, "--deleteStreamMs", 0,
            "--updateStreamMs", 0, "--shardLimit", 1000]


@contextlib.contextmanager
def kinesalite(bench, shards=SHARDS):
    """In memory, which is its fastest; without a flush in any case."""
    port = harness.free_port()
    with process(bench, kinesalite_command(port), port) as child:
        make_stream(port, NOBODY, shards)
        yield "http", port, child.pid


# --- ours ----------------------------------------------------------------------------------------
@contextlib.contextmanager
def ours(bench, *args, shards=SHARDS, protocol="http"):
    """A server that verifies every signature; with the options of kds_load that sign."""
    with bench.kinema(*args, auth=True) as server:
        make_stream(server.api_port, server.key, shards)
        yield (protocol, server.api_port, server.pid, "--key", server.key.id, "--secret",
               server.key.secret)


def client(port, key):
    one = kinema.Server(start=False, auth=False)
    try:
        return one.client("kinesis", endpoint=f"http://127.0.0.1:{port}", key=key)
    finally:
        one.close()


def make_stream(port, key, shards, name="load"):
    kinesis = client(port, key)
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    for _ in range(1000):
        if kinesis.describe_stream_summary(StreamName=name)[
                "StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE":
            return
        time.sleep(0.01)
    raise RuntimeError("the stream is never ready")


# --- loads ---------------------------------------------------------------------------------------
def load(what, place, *args):
    protocol, port, pid, *more = place
    return harness.tool("kds_load", what, protocol, "--port", port, "--pid", pid, *more, *args)


def put(bench, who, connections, batch, *args):
    """What kds_load saw of one server, with "rate" in records a second and "cpu_us" of a record."""
    seconds, warm = (1, 0.3) if bench.quick else (4, 1)
    with who as place:
        seen = load("put", place, "--connections", connections, "--batch", batch, "--shards", SHARDS,
                    "--seconds", seconds, "--warm", warm, *args)
    return rates(seen)


def rates(seen):
    return {**seen, "rate": seen["records"] / seen["seconds"],
            "cpu_us": seen["server_cpu_s"] / max(1, seen["records"]) * 1e6}


def told(name, seen):
    """The figures of one who took part, for a row's detail."""
    return {f"{name}_a_second": seen["rate"], f"{name}_cpu_us": seen["cpu_us"],
            f"{name}_p50_ms": seen["p50_ms"], f"{name}_p99_ms": seen["p99_ms"]}


# --- first answers -------------------------------------------------------------------------------
def first_answer(port, began):
    """Asks again and again from the start of a server on; seconds until ListStreams is answered."""
    deadline = time.monotonic() + harness.START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", "/", body=b"{}", headers=LIST_STREAMS)
            answer = connection.getresponse()
            if answer.status == 200 and "StreamNames" in json.loads(answer.read()):
                return time.monotonic() - began
            raise RuntimeError(f"ListStreams is answered {answer.status}")
        except ConnectionRefusedError:
            time.sleep(0.001)
        finally:
            connection.close()
    raise RuntimeError("no answer")


LIST_STREAMS = {
    "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.ListStreams",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/kinesis/aws4_request,"
                     " SignedHeaders=host;x-amz-date, Signature=" + "0" * 64}


def flush_ms(folder, times=200, size=4096):
    """What the disk itself takes for an append of that size and fdatasync, in ms, each."""
    path, took = pathlib.Path(folder) / "flushed", []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    block = os.urandom(size)
    for _ in range(times):
        began = time.perf_counter()
        os.write(fd, block)
        os.fdatasync(fd)
        took.append((time.perf_counter() - began) * 1000)
    os.close(fd)
    path.unlink()
    return took
