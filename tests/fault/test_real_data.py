# SPDX-License-Identifier: Apache-2.0
"""Data streams under real faults: kill -9, power cuts, a full volume, a disk that refuses. Of records
that were acknowledged none is lost, none is there more often than it was sent, order per shard is kept,
and `kinema check` finds no problem."""

import contextlib
import threading

import faults
import pytest
import putters
from test_real_full import MIB, fill
from test_real_power import cut

# Checkpoints and new segments come often.
OPTIONS = (*faults.NO_FLOOR, "--retention-interval-ms", 100, "--shard-journal-bytes", 16 * MIB,
           "--shard-segment-bytes-max", MIB)


def wait_enough(crew):
    """A slow machine shall prove as much as another."""
    for one in crew:
        one.wait_acked(31)


def end(server, crew):
    putters.stop(crew)
    count = putters.check(server, crew)
    assert count > 60, "hardly anything was acknowledged: no proof"
    server.stop()
    faults.check_folder(server.data)


def test_kills_lose_no_record(make_server, chance, long):
    server = make_server(args=OPTIONS)
    crew = putters.start(server, 2, seed=chance.random(), every_s=0.03)
    for _ in range(60 if long else 4):
        threading.Event().wait(chance.uniform(0.05, 0.8))
        server.restart(hard=True)
        putters.check(server, crew)
    wait_enough(crew)
    end(server, crew)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_power_cuts_lose_no_record(loop, make_server, chance, long, kind):
    volume = loop(kind)
    server = make_server(data=volume.data, args=OPTIONS)
    crew = putters.start(server, 2, seed=chance.random(), every_s=0.03)
    for number in range(40 if long else 3):
        threading.Event().wait(chance.uniform(0.05, 1.2))
        cut(server, volume, flush=number % 2 == 1, linger_s=chance.choice([0, 0, 0.3]))
        server.start()
        putters.check(server, crew)
    wait_enough(crew)
    end(server, crew)


@pytest.mark.parametrize("mutant", [None, "fdatasync:retval=0"], ids=["none", "no-flush"])
def test_an_engine_that_does_not_flush_is_caught(loop, make_server, chance, root, mutant):
    """The proof itself: a flush that is answered and never done loses what was acknowledged, and the same
    course with flushes loses nothing."""
    volume = loop("ext4")
    server = make_server(data=volume.data, args=OPTIONS)
    crew = putters.start(server, 2, seed=chance.random(), every_s=0.03)
    with faults.Injector(server, mutant) if mutant else contextlib.nullcontext():
        for one in crew:
            one.wait_acked(60)
        putters.stop(crew)
    cut(server, volume, flush=False)
    server.start()
    if not mutant:
        end(server, crew)
        return
    with pytest.raises(AssertionError, match="lost|numbers|acknowledged") as caught:
        putters.check(server, crew)
    print(f"no flush: killed: {str(caught.value).splitlines()[0]}")


def test_a_full_volume_is_told_and_outlived(small, make_server, chance, long):
    volume = small(160 * MIB)
    server = make_server(data=volume.data, args=OPTIONS)
    crew = putters.start(server, 2, seed=chance.random(), every_s=0.03)
    for _ in range(12 if long else 1):
        for one in crew:
            one.wait_acked(30)
            one.refused = {}
        faults.wait_until(lambda: fill(volume.path) or all(one.refused for one in crew), "they are told",
                          timeout=120)
        putters.check(server, crew)  # readers are served
        (volume.path / "filler").unlink()
        for one in crew:
            one.wait_acked(30)
    end(server, crew)


@pytest.mark.parametrize("what", ["fdatasync:error=EIO:when=2", "fdatasync:error=EIO",
                                  "pwritev:error=EIO", "pwrite64:error=EIO:when=3", "openat:error=EMFILE"])
def test_a_disk_that_refuses_is_told_and_outlived(make_server, chance, root, what):
    server = make_server(args=OPTIONS)
    crew = putters.start(server, 2, seed=chance.random())
    for one in crew:
        one.wait_acked(20)
    with faults.Injector(server, what):
        threading.Event().wait(1.5)
        if what == "fdatasync:error=EIO":
            before = [len(one.acked) for one in crew]
            threading.Event().wait(0.5)
            assert [len(one.acked) for one in crew] == before, "acknowledged without a disk"
            faults.wait_until(lambda: all(one.refused for one in crew), "they are told")
    for one in crew:
        one.wait_acked(20)
    putters.check(server, crew)
    server.restart(hard=True)
    end(server, crew)
