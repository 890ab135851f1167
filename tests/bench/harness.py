# SPDX-License-Identifier: Apache-2.0
"""What the rows of the benchmark share: servers on temporary folders, exact CPU time, memory, peers.

A row is a file in rows/ with
    NAME    what `tests/bench/run NAME` calls it
    GOAL    the goal in words
    UNIT    of the figures "ours" and "peer"
    PEER    what stands beside it, or None
    LIMITS  [(figure, "<=" or ">=", number)] that say whether the goal is reached; a figure is "ours",
            "peer", "ratio" (ours / peer, median of the rounds' ratios) or a key of "detail"
    PACKAGES (optional) Debian packages the peer needs
    measure(bench) -> {"ours": float, "peer": float or None, "detail": {name: number or text}}
measure() runs one round, ours and the peer in turn; bench.pair() alternates who goes first.
"""

import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KINEMA_BUILD", ROOT / "build" / "release")).resolve()
os.environ.setdefault("KINEMA_BINARY", str(BUILD / "kinema"))
sys.path.insert(0, str(ROOT / "tests" / "api"))

import kinema  # noqa: E402  (reads KINEMA_BINARY)

START_TIMEOUT_S = 20
MODULES = "/usr/lib/nginx/modules"


# --- processes -----------------------------------------------------------------------------------
def cpu_s(pid):
    """User and system seconds of a process, in nanoseconds' resolution: the kernel's CPU-time clock
    of its whole thread group, ended threads included. (utime and stime of /proc/PID/stat count ticks
    of 10 ms, and what sleeps between ticks for nothing.)"""
    return time.clock_gettime(((~pid) << 3) | 2)  # clock_getcpuclockid(3), CPUCLOCK_SCHED


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(p) for p in (task / "children").read_text().split()]
    return found


def tree(pid):
    """The process and all that descend from it."""
    return [pid] + [p for child in children(pid) for p in tree(child)]


def tree_cpu_s(pid):
    return sum(cpu_s(p) for p in tree(pid))


def threads_cpu_s(pid):
    """{thread name: seconds} of the threads that run now; those of one name are summed."""
    out = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            ran = int((task / "schedstat").read_text().split()[0]) / 1e9
        except FileNotFoundError:
            continue
        out[name] = out.get(name, 0) + ran
    return out


def kernel_cpu_s():
    """{pid: seconds} of all kernel threads (write-back, journal): what a server makes others do."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "stat").read_text().rsplit(")", 1)[1].split()[1] == "2":
                    found[entry.name] = int((entry / "schedstat").read_text().split()[0]) / 1e9
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def kernel_cpu_since_s(before):
    """What kernel threads have run since; what those that ended meanwhile did is not known."""
    return sum(s - before.get(pid, 0) for pid, s in kernel_cpu_s().items())


def private_bytes(pid):
    """Memory that is this process's alone, clean or dirty."""
    total = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")):
            total += int(line.split()[1]) * 1024
    return total


def percentile(values, p):
    """The smallest value that at least p (0 … 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * p) - 1)]


def run(*command, **options):
    """A command to its end; its standard output. What fails says why."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def tool(name, *args, **options):
    """One of the programs of build/release/bench; returns the JSON object that it prints last."""
    return json.loads(run(BUILD / "bench" / name, *args, **options).splitlines()[-1])


def settle(path):
    """Writes what is dirty on the file system of path, and waits; others may be slow on purpose."""
    run("sync", "-f", path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process):
    """Until something answers there."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port}") from None
            time.sleep(0.005)


# --- peers ---------------------------------------------------------------------------------------
class Nginx:
    """nginx on a generated configuration in a temporary folder. The text may name {dir} and {port};
    http: what goes into a server block that listens there. top: more blocks, and load_module lines."""

    def __init__(self, folder, http=None, top="", modules=(), workers=1):
        self.dir, self.port = folder, free_port()
        (folder / "www").mkdir()
        lines = [f"load_module {MODULES}/{name};" for name in modules]
        lines += [f"worker_processes {workers};", f"pid {folder}/nginx.pid;", "daemon off;",
                  f"error_log {folder}/error.log warn;", "worker_rlimit_nofile 65536;"]
        if os.geteuid() == 0:
            lines.append("user root;")  # the folder is private
        lines.append("events { worker_connections 16384; }")
        if http is not None:
            temp = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                           ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            lines.append(f"http {{ access_log off; types {{ }} {temp} server {{ "
                         f"listen 127.0.0.1:{self.port}; root {folder}/www; {http} }} }}")
        lines.append(top)
        config = folder / "nginx.conf"
        config.write_text("\n".join(lines).replace("{dir}", str(folder))
                          .replace("{port}", str(self.port)) + "\n")
        self.log = open(folder / "output", "wb")
        self.process = subprocess.Popen(["nginx", "-c", config, "-p", folder, "-e",
                                         folder / "error.log"], stdout=self.log, stderr=self.log)
        try:
            wait_port(self.port, self.process)
        except RuntimeError as e:
            self.close()
            raise RuntimeError(f"nginx: {e}\n" + "".join(
                (folder / name).read_text() for name in ("output", "error.log")
                if (folder / name).exists())) from None

    pid = property(lambda self: self.process.pid)

    def cpu_s(self):
        return tree_cpu_s(self.pid)

    def private_bytes(self):
        return sum(private_bytes(p) for p in tree(self.pid))

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        self.log.close()


# --- one round -----------------------------------------------------------------------------------
class Bench:
    """Given to measure(): the round's number, and what ends with the round."""

    def __init__(self, number=0, quick=False, folder=None, kept=None):
        self.number, self.quick = number, quick
        self.stack = contextlib.ExitStack()
        self.parent = folder
        self.keeps_folders = False  # set: data folders stay until all rounds of the row have ended
        self.kept = kept or self.folder()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        return self.stack.__exit__(*what)

    def folder(self):
        """A temporary folder on the file system that is measured."""
        if self.keeps_folders:
            return pathlib.Path(tempfile.mkdtemp(dir=self.kept))
        path = pathlib.Path(tempfile.mkdtemp(prefix="kinema-bench-", dir=self.parent))
        self.stack.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    def archive(self, streams, fragments, frames=1, frame_bytes=64, kill=False):
        """A data folder with streams bench-0 … of so many fragments of 2 s each; made once for all
        rounds of a row, so copy what you change. (folder, bytes of media in it). Made in memory where
        there is room: a recording of years makes tens of thousands of files."""
        name = f"archive-{streams}-{fragments}-{frames}-{frame_bytes}{'-kill' * kill}"
        data = pathlib.Path(self.kept) / name
        facts = data.with_suffix(".json")
        if not facts.exists():
            roomy = shutil.disk_usage("/dev/shm").free > 2 * streams * fragments * (
                400 + frames * (frame_bytes + 12))
            with tempfile.TemporaryDirectory(dir="/dev/shm" if roomy else self.kept) as making:
                made = tool("archive", "make", making, streams, fragments, frames, frame_bytes,
                            *["--kill"] * kill)
                shutil.rmtree(data, ignore_errors=True)
                shutil.copytree(making, data)
            settle(data)
            facts.write_text(json.dumps(made))
        return data, json.loads(facts.read_text())["media_bytes"]

    @contextlib.contextmanager
    def kinema(self, *args, data=None, **options):
        """`kinema serve` on a temporary data folder; a kinema.Server with cpu_s() beside."""
        options.setdefault("auth", False)
        with kinema.Server(data=data or self.folder(), args=args, **options) as server:
            server.pid = server.process.pid
            server.cpu_s = lambda: cpu_s(server.pid)
            server.private_bytes = lambda: private_bytes(server.pid)
            server.ingest_port = int(server.ingest.rsplit(":", 1)[1])
            server.api_port = int(server.api.rsplit(":", 1)[1])
            yield server

    @contextlib.contextmanager
    def nginx(self, **options):
        server = Nginx(self.folder(), **options)
        try:
            yield server
        finally:
            server.close()

    def streams(self, server, count, prefix="load-", hours=24):
        """Streams load-0, load-1, …"""
        kvs = server.kvs()
        for i in range(count):
            kvs.create_stream(StreamName=f"{prefix}{i}", DataRetentionInHours=hours)

    def pair(self, ours, peer):
        """Calls both, who goes first alternating between rounds; (what ours gave, what peer gave)."""
        return self.turns(ours, peer)

    def turns(self, *measures):
        """Calls all, each round another first; what they gave, in the order of the arguments. What is
        dirty in the page cache is written before each, so that none pays for another."""
        gave = [None] * len(measures)
        for i in range(len(measures)):
            which = (i + self.number) % len(measures)
            settle(self.kept)
            gave[which] = measures[which]()
        return gave
