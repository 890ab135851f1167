# SPDX-License-Identifier: Apache-2.0
"""Workers of libkinema-consumer: the sample read-records, and what it has told."""

import os
import pathlib
import signal
import subprocess
import threading
import time

import control
import kinema

BINARY = os.environ.get("KINEMA_READ_RECORDS",
                        pathlib.Path(kinema.BINARY).resolve().parent / "read-records")
TIMEOUT_S = 60
LEASE_MS = 1500


class Worker:
    """One process, under another if that is given; lines are taken apart as they come."""

    def __init__(self, server, stream, *args, application="app", lease=LEASE_MS, under=()):
        self.process = subprocess.Popen(
            [str(part) for part in (*under, BINARY, "--endpoint", server.api, "--stream", stream, "--application",
                                    application, "--lease", lease, *args)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            env={**kinema.clean_env(server.key.env()), "LSAN_OPTIONS": "print_suppressions=0"})
        self.change = threading.Condition()
        self.records = []  # (shard, sequence, sub, key, data)
        self.told = []     # (what, shard, text) and, between them, ("record", shard, place)
        self.shards = set()
        self.name, self.stats = None, {}
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break  # it was killed while it wrote
            what, *rest = line[:-1].split("\t")
            with self.change:
                self._take(what, rest)
                self.change.notify_all()

    def _take(self, what, rest):
        if what == "worker":
            self.name = rest[0]
        elif what == "stats":
            self.stats = {k: int(v) for k, v in (part.split("=") for part in rest[0].split())}
        elif what == "record":
            shard, sequence, sub, key, data = rest
            self.records.append((shard, int(sequence), int(sub), key, data))
            self.told.append(("record", shard, (int(sequence), int(sub))))
        else:
            self.told.append((what, rest[0], rest[1]))
            if what == "taken":
                self.shards.add(rest[0])
            elif what in ("lost", "ended"):
                self.shards.discard(rest[0])

    def wait(self, holds, why):
        with self.change:
            assert self.change.wait_for(lambda: holds(self), TIMEOUT_S), \
                f"never {why}: {self.shards} {len(self.records)} {self.told[-20:]}"

    def kill(self):
        self.process.kill()
        self._over()

    def stop(self):
        self.wait(lambda w: w.name, "ready to be stopped in order")
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self):
        assert self.process.wait(TIMEOUT_S) == 0, self.process.stderr.read()
        self._over()
        return self.stats

    def _over(self):
        self.process.wait(TIMEOUT_S)
        self.reader.join(TIMEOUT_S)
        self.process.stderr.close()

    def assert_in_order(self):
        """Since it took a shard, its records came one behind the other."""
        last = {}
        for what, shard, place in self.told:
            if what == "taken":
                last[shard] = None
            elif what == "record":
                assert last[shard] is None or place > last[shard], (shard, place, last[shard])
                last[shard] = place


def places_of(workers):
    return [(shard, sequence, sub) for one in workers for shard, sequence, sub, *_ in one.records]


def data_of(workers):
    return {data for one in workers for *_, data in one.records}


def leases(server, stream, application="app"):
    """By shard, without what is not one."""
    status, fault, answer = control.post(server, "/kinema/v1/listLeases", {
        "StreamName": stream, "ApplicationName": application})
    assert status == 200, (status, fault, answer)
    return {one["LeaseKey"]: one for one in answer["Leases"] if one["LeaseKey"] != "application"}


def wait_for(holds, why):
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, f"never {why}"
        time.sleep(0.02)
