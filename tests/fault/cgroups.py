# SPDX-License-Identifier: Apache-2.0
"""A control group of a test's own, under cgroup v1 or v2, whichever the machine mounts with the
controller that is asked for. What was done is printed."""

import contextlib
import os
import pathlib
import re
import uuid

V1 = {"io": "blkio", "memory": "memory"}


def mounted(controller):
    """Where the controller is, and whether that is v2. Some machines mount both, each with a part."""
    found = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for _, point, kind, *_ in found:
        names = pathlib.Path(point) / "cgroup.controllers"
        if kind == "cgroup2" and controller in names.read_text().split():
            return pathlib.Path(point), True
    for _, point, kind, options, *_ in found:
        if kind == "cgroup" and V1[controller] in options.split(","):
            return pathlib.Path(point), False
    raise OSError(f"no cgroup controller {controller} ({V1[controller]} in v1)")


class Cgroup:
    """controller: io or memory. OSError: this machine has none."""

    def __init__(self, controller):
        self.parent, self.v2 = mounted(controller)
        if self.v2:
            # Pages are written in the name of the group that their memory is counted in, so io.max
            # holds back writes through the page cache only where memory is controlled as well.
            wanted = {controller, "memory"}
            (self.parent / "cgroup.subtree_control").write_text(
                " ".join(f"+{name}" for name in sorted(wanted)))
        self.controller, self.device = controller, None
        self.path = self.parent / f"kinema-test-{uuid.uuid4().hex[:8]}"
        self.path.mkdir()
        print(f"cgroup v{2 if self.v2 else 1}: {self.path}")

    def take(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    @contextlib.contextmanager
    def inside(self):
        """What this process starts meanwhile is in it from its first page on."""
        line = "" if self.v2 else V1[self.controller]
        home = re.search(rf"^\d+:{line}:(.*)$", pathlib.Path("/proc/self/cgroup").read_text(),
                         re.MULTILINE).group(1)
        self.take(os.getpid())
        try:
            yield
        finally:
            (self.parent / home.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))

    def write(self, name, text):
        (self.path / name).write_text(text)
        print(f"{name}: {text}")

    def throttle_writes(self, device, bytes_per_s=None):
        """device: major:minor. None: no longer."""
        self.device = device
        if self.v2:
            self.write("io.max", f"{device} wbps={bytes_per_s or 'max'}")
        else:
            self.write("blkio.throttle.write_bps_device", f"{device} {bytes_per_s or 0}")

    def limit_memory(self, bytes_max):
        self.write("memory.max" if self.v2 else "memory.limit_in_bytes", str(bytes_max))
        if self.v2:
            with contextlib.suppress(OSError):
                (self.path / "memory.swap.max").write_text("0")

    def memory_most(self):
        name = "memory.peak" if self.v2 else "memory.max_usage_in_bytes"
        try:
            return int((self.path / name).read_text())
        except FileNotFoundError:  # no memory.peak before Linux 5.19
            return int((self.path / "memory.current").read_text())

    def kills(self):
        """How many processes the kernel has killed in it for want of memory."""
        text = (self.path / ("memory.events" if self.v2 else "memory.oom_control")).read_text()
        found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
        return int(found.group(1)) if found else 0

    def release(self):
        """Lets go of what it holds back: a process that waits for a disk cannot even be killed."""
        if self.device:
            self.throttle_writes(self.device)

    def close(self):
        self.release()
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (self.parent / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
