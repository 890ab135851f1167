# SPDX-License-Identifier: Apache-2.0
"""System calls of the live server that fail: strace tampers with them while cameras upload. What
failed is never acknowledged, the log and the metrics say so, and once the disk is well again uploads go
on without a restart."""

import threading

import cameras
import faults
import pytest

OPTIONS = (*faults.CHUNKS_SHORT, "--retention-interval-ms", 100)
TOLD = {5001}  # ARCHIVAL_ERROR

# What fails, and what the log says then ("": nothing that a camera would notice must happen).
ONCE = [
    ("fdatasync:error=EIO:when=3", "chunk_(fenced|not_made) .*err=EIO|catalogue_failed .*"),
    ("pwritev:error=EIO:when=5", "chunk_(fenced|not_made) .*err=EIO"),
    ("fallocate:error=EIO:when=1", "chunk_(fenced|not_made) .*err=EIO"),
    ("fsync:error=EIO:when=2", "chunk_not_made .*err=EIO"),
]
FOR_A_WHILE = [
    ("fdatasync:error=EIO", "chunk_(fenced|not_made) .*err=EIO|catalogue_failed .*"),
    ("pwritev:error=EIO", "chunk_(fenced|not_made) .*err=EIO"),
    ("fallocate:error=ENOSPC", "volume_full"),
    ("openat:error=EMFILE", "chunk_not_made .*err=EMFILE"),
    ("openat:error=EIO", "chunk_not_made .*err=EIO"),
    ("ftruncate:error=EIO", "chunk_fenced .*err=EIO"),
    ("unlink:error=EIO", ""),
]


@pytest.fixture
def busy(make_server, chance, root):
    server = make_server(args=OPTIONS)
    crew = cameras.start(server, 4, seed=chance.random())
    for camera in crew:
        camera.wait_acked(2)
    return server, crew


def end(server, crew):
    for camera in crew:
        camera.wait_acked(3)
    cameras.check_kept(server, crew)
    cameras.stop(crew)
    assert {e["ErrorId"] for c in crew for e in c.errors} <= TOLD
    assert not [c.refused for c in crew if set(c.refused) - {504}]
    count = cameras.check_all(server, crew)
    server.restart(hard=True)
    cameras.check_kept(server, crew)
    server.stop()
    assert faults.check_folder(server.data) >= count


@pytest.mark.parametrize("what, said", ONCE)
def test_a_call_that_fails_once(busy, what, said):
    server, crew = busy
    with faults.Injector(server, what):
        server.wait_log(said)
        threading.Event().wait(0.3)
    end(server, crew)


@pytest.mark.parametrize("what, said", FOR_A_WHILE)
def test_a_call_that_fails_for_a_while(busy, what, said):
    server, crew = busy
    with faults.Injector(server, what):
        if said:
            server.wait_log(said)
        threading.Event().wait(1)
        before = [len(c.acked) for c in crew]
        if what.startswith(("fdatasync", "pwritev")):
            threading.Event().wait(0.5)
            assert [len(c.acked) for c in crew] == before, "acknowledged without a disk"
            assert any(c.errors for c in crew)
            assert faults.metrics(server)["kinema_storage_fenced_chunks_total"] > 0
    end(server, crew)
