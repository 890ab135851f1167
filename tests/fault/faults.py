# SPDX-License-Identifier: Apache-2.0
"""What the tests of real faults look at from outside: metrics, processes, the check command."""

import contextlib
import glob
import re
import subprocess
import time
import urllib.request

import kinema

CHUNKS_SHORT = ("--chunk-bytes-max", 1 << 20, "--chunk-ms-max", 1000)
NO_FLOOR = ("--volume-free-bytes-min", 0, "--ballast-bytes", 0)
LINE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)


def metrics(server):
    """{name: sum over its series}; a series with labels also under name{…}."""
    with urllib.request.urlopen(server.console + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    sums = {}
    for name, labels, value in LINE.findall(text):
        sums[name] = sums.get(name, 0.0) + float(value)
        if labels:
            sums[name + labels] = float(value)
    return sums


def health(server):
    """The lines of /healthz, which is 200 in any case."""
    with urllib.request.urlopen(server.console + "/healthz", timeout=30) as answer:
        return answer.read().decode().splitlines()


def wait_until(done, what, timeout=60, pause_s=0.02):
    deadline = time.monotonic() + timeout
    while True:
        result = done()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(pause_s)


def check_folder(data):
    """`kinema check` of a folder that nobody serves: no problem, and how many fragments."""
    done = kinema.run("check", "--data", data, check=False)
    assert done.returncode == 0 and "problems=0" in done.stdout, done.stdout + done.stderr
    return int(re.search(r"fragments=(\d+)", done.stdout).group(1))


def status(server, field):
    """A number of /proc/PID/status, in bytes where it is in kB."""
    with open(f"/proc/{server.process.pid}/status") as file:
        found = re.search(rf"^{field}:\s+(\d+)( kB)?", file.read(), re.MULTILINE)
    return int(found.group(1)) * (1024 if found.group(2) else 1)


def thread_states(server):
    """A letter for each of its threads, as in /proc/PID/task/TID/stat: T stopped, D in the kernel; none
    for a thread, or a server, that has ended."""
    states = []
    for stat in glob.glob(f"/proc/{server.process.pid}/task/*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(stat) as file:
            states.append(file.read().rpartition(") ")[2][0])
    return [state for state in states if state not in "ZX"]


class Injector:
    """strace attached to the running server, tampering with its system calls: what="fdatasync:error=EIO"
    (strace(1), --inject). Until the with block is left."""

    def __init__(self, server, what):
        self.server, self.what = server, what

    def __enter__(self):
        call = self.what.split(":")[0]
        self.strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
             f"inject={self.what}", "-p", str(self.server.process.pid)],
            stderr=subprocess.PIPE, text=True)
        wait_until(self.attached, "strace is attached")
        return self

    def attached(self):
        assert self.strace.poll() is None, self.strace.stderr.read()
        with open(f"/proc/{self.server.process.pid}/status") as file:
            return f"TracerPid:\t{self.strace.pid}\n" in file.read()

    def __exit__(self, *args):
        self.strace.terminate()
        self.strace.wait()
        self.strace.stderr.close()
