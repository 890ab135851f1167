# SPDX-License-Identifier: Apache-2.0
"""System calls of the live server that fail: strace tampers with them while cameras upload. What
failed is never acknowledged, the log and the metrics say so, and once the disk is well again uploads go
on without a restart."""

import threading

import botocore.exceptions
import cameras
import faults
import pytest

OPTIONS = (*faults.CHUNKS_SHORT, "--retention-interval-ms", 100)
TOLD = {5001}  # ARCHIVAL_ERROR
TRIES = 10

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


def test_a_flush_of_the_volume_that_fails_is_the_last_of_it(loop, make_server, chance):
    server = make_server(data=loop("ext4").data, args=(*OPTIONS, *faults.NO_FLOOR, "--flush-volume", "yes",
                                                       "--flush-volume-files-min", 1))
    crew = cameras.start(server, 4, seed=chance.random())
    for camera in crew:
        camera.wait_acked(2)
    with faults.Injector(server, "syncfs:error=EIO:when=1"):
        server.wait_log("flush_volume_failed error=EIO")
    flushes = faults.metrics(server)["kinema_storage_volume_flushes_total"]
    acked = [len(camera.acked) for camera in crew]
    faults.wait_until(lambda: all(len(c.acked) > n for c, n in zip(crew, acked)), "all go on")
    assert faults.metrics(server)["kinema_storage_volume_flushes_total"] == flushes
    end(server, crew)


def change_until_it_fails(client, stream, name):
    """Tags a stream; the tags that were made. Others write meanwhile, so which try fails is open."""
    made = {}
    for i in range(TRIES):
        tag = {f"{name}.{i}": "made"}
        try:
            client.tag_stream(StreamName=stream, Tags=tag)
        except botocore.exceptions.ClientError as problem:
            assert problem.response["ResponseMetadata"]["HTTPStatusCode"] == 500  # SDKs repeat that
            return made
        made.update(tag)
    raise AssertionError("nothing failed: no proof")


def test_a_write_of_the_catalogue_that_fails(make_server, chance, long, root):
    """Each write of a change: its pages, and behind them its root. When that fails, LMDB refuses
    everything until it is opened again; the server does that by itself. +: from that write on."""
    server = make_server(args=(*OPTIONS, "--http-change-workers", 1))
    crew = cameras.start(server, 2, seed=chance.random())
    client, stream, kept = server.kvs(), crew[0].stream, {}

    def tags():
        return server.kvs().list_tags_for_stream(StreamName=stream)["Tags"]
    for nth in ("1", "2", "3", "1+", "2+", "3+") * (5 if long else 1):
        before = set(kept)
        with faults.Injector(server, f"pwrite64:error=EIO:when={nth}"):
            kept.update(change_until_it_fails(client, stream, nth))
            assert tags() == kept
            if nth == "1+":  # nobody's write succeeds
                assert faults.metrics(server)["kinema_storage_catalogue_failed"] == 1
                assert any("catalogue_failed" in line for line in faults.health(server))
            cameras.found_in(server, stream)  # who reads is served
        kept[nth] = "afterwards"
        client.tag_stream(StreamName=stream, Tags={nth: "afterwards"})
        assert tags() == kept
        client.untag_stream(StreamName=stream, TagKeyList=[*before, "none"])
        kept = {key: value for key, value in kept.items() if key not in before}
    server.wait_log("catalogue_failed err=EIO")
    server.wait_log("catalogue_opened_again")
    server.wait_log("catalogue_works_again")
    assert faults.metrics(server)["kinema_storage_catalogue_failed"] == 0
    assert faults.health(server) == ["ok"]
    end(server, crew)
    server.start()
    assert tags() == kept


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
            faults.wait_until(lambda: any(c.errors for c in crew), "they are told")
            assert faults.metrics(server)["kinema_storage_fenced_chunks_total"] > 0
    end(server, crew)
