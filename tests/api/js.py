# SPDX-License-Identifier: Apache-2.0
"""Clients from npm, pinned by tests/js/package-lock.json, run as programs of tests/js."""

import fcntl
import subprocess

import kinema

FOLDER = kinema.ROOT / "tests" / "js"


def install():
    """Once for each state of the lock file; tests of several processes wait for each other."""
    installed = FOLDER / "node_modules" / ".package-lock.json"
    with open(FOLDER / "package-lock.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (FOLDER / "package-lock.json").stat().st_mtime
        if not installed.exists() or installed.stat().st_mtime < wanted:
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=FOLDER,
                           check=True, timeout=300)


def env(server, **more):
    return {**kinema.clean_env(server.key.env()), "KINEMA_API": server.api,
            "KINEMA_INGEST": server.ingest, "NODE_NO_WARNINGS": "1", **more}


def run(server, program, timeout=120, **more):
    """What it printed; its stories assert by themselves."""
    install()
    done = subprocess.run(["node", FOLDER / program], capture_output=True, text=True,
                          env=env(server, **more), timeout=timeout, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
