# SPDX-License-Identifier: Apache-2.0
"""Volumes that fail on demand: ext4 and XFS in a file, a small tmpfs.

A power cut is the file system's own shutdown (what `xfs_io -x -c shutdown` asks for): from that
moment nothing more reaches the file behind the loop device, and what was only in memory is gone.
The next mount replays the journal, as after a real cut."""

import contextlib
import fcntl
import os
import pathlib
import struct
import subprocess
import tempfile
import time

SHUTDOWN = 0x8004587D  # XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN: _IOR('X', 125, __u32)
LOG_FLUSH, NO_LOG_FLUSH = 1, 2
MIB = 1 << 20


def run(*args):
    done = subprocess.run(list(map(str, args)), capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout.strip()


class Volume:
    """A mounted folder: .path; .data is a folder for the server in it."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="kinema-volume-"))
        self.path = self.home / "mnt"
        self.path.mkdir()
        self.data = self.path / "data"
        self.mounted = False

    def free(self):
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize

    def unmount(self, patience_s=60):
        """What a killed process held may take a moment to go."""
        deadline = time.monotonic() + patience_s
        while self.mounted:
            try:
                run("umount", self.path)
                self.mounted = False
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def close(self):
        try:
            self.unmount()
        except OSError:
            run("umount", "-l", self.path)
        for path in (self.home / "image", self.path, self.home):
            with contextlib.suppress(OSError):
                path.unlink() if path.is_file() else path.rmdir()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


class Loop(Volume):
    """ext4 or xfs in a file of its own."""

    MAKE = {"ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"), "xfs": ("mkfs.xfs", "-q", "-f")}
    LEAST = {"ext4": 16 * MIB, "xfs": 320 * MIB}  # mkfs.xfs makes none smaller than 300 MiB

    def __init__(self, kind, size=512 * MIB):
        super().__init__()
        self.kind = kind
        image = self.home / "image"
        with open(image, "wb") as file:
            file.truncate(max(size, self.LEAST[kind]))
        run(*self.MAKE[kind], image)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", "-t", self.kind, self.home / "image", self.path)
        self.mounted = True

    @property
    def device(self):
        """Its block device as major:minor."""
        number = os.stat(self.path).st_dev
        return f"{os.major(number)}:{os.minor(number)}"

    def cut_power(self, flush=False):
        """flush: what is in the file system's log still goes out; data pages do not."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", LOG_FLUSH if flush else NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def power_up(self):
        """Once nobody holds a file of it any more: mounts it again, journal replayed."""
        self.unmount()
        self.mount()


class Tmpfs(Volume):
    def __init__(self, size, inodes=None):
        super().__init__()
        self.size, self.inodes = size, inodes
        run("mount", "-t", "tmpfs", "-o", self.options(), "tmpfs", self.path)
        self.mounted = True

    def options(self):
        return f"size={self.size}" + (f",nr_inodes={self.inodes}" if self.inodes else "")

    def resize(self, size=None, inodes=None):
        self.size, self.inodes = size or self.size, inodes or self.inodes
        run("mount", "-o", f"remount,{self.options()}", self.path)
