# SPDX-License-Identifier: Apache-2.0
"""A volume that is full, of bytes or of inodes, under cameras at work: they are told so with
ARCHIVAL_ERROR or a 504, readers go on, log and metrics say it in words, and once there is room again
the cameras' uploads go on. Nothing acknowledged is lost."""

import os
import tempfile

import cameras
import faults
import pytest

ARCHIVAL_ERROR = 5001
MIB = 1 << 20
OPTIONS = (*faults.CHUNKS_SHORT, "--retention-interval-ms", 100)


def fill(path, left=0):
    """Takes the volume's bytes but so many: all there are, whoever else writes meanwhile."""
    with open(path / "filler", "ab", buffering=0) as file:
        piece = MIB
        while piece >= 512:
            space = os.statvfs(path)
            room = space.f_bavail * space.f_frsize - left
            if left and room <= 0:
                return
            try:
                file.write(b"\0" * (min(piece, room) if left else piece))
            except OSError:
                piece //= 2


def fill_inodes(path):
    folder = path / "fillers"
    folder.mkdir(exist_ok=True)
    while True:
        try:
            os.close(tempfile.mkstemp(dir=folder)[0])
        except OSError:
            return


def told(camera):
    return any(e["ErrorId"] == ARCHIVAL_ERROR for e in camera.errors) or 504 in camera.refused


def check_readers(server, crew):
    """Lists and fragments are served although nothing can be written."""
    for camera in crew:
        found = cameras.found_in(server, camera.stream)
        cameras.check_bytes(server, camera, sorted(found)[-3:])


def is_full(server):
    return faults.metrics(server)["kinema_storage_volume_full"] == 1


def fill_until_told(crew, fill_up):
    """Again and again: what a chunk had reserved and did not use comes back when it is sealed."""
    for camera in crew:
        faults.wait_until(lambda one=camera: fill_up() or told(one), "the camera is told")


def starve(server, crew, fill_up, free):
    """From work over fullness back to work."""
    for camera in crew:
        camera.wait_acked(2)
    fill_until_told(crew, fill_up)
    server.wait_log("volume_full .*said=")
    faults.wait_until(lambda: fill_up() or is_full(server), "the metric says so too")
    first, *reasons = faults.health(server)
    assert first == "degraded" and [r.split(":")[0] for r in reasons] == ["volume_full"]
    assert faults.metrics(server)["kinema_ingest_errors_total"] > 0
    check_readers(server, crew)
    cameras.check_kept(server, crew)
    free()
    server.wait_log("volume_has_room")
    for camera in crew:
        camera.wait_acked(3)
    assert not is_full(server) and faults.health(server) == ["ok"]


def end(server, crew, data):
    cameras.stop(crew)
    assert set(e["ErrorId"] for c in crew for e in c.errors) <= {ARCHIVAL_ERROR}
    count = cameras.check_all(server, crew)
    server.stop()
    assert faults.check_folder(data) >= count


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_volume_is_told_and_outlived(loop, small, make_server, chance, long, kind):
    """Without a floor: the disk itself says ENOSPC, in the midst of anything."""
    volume = small(48 * MIB) if kind == "tmpfs" else loop(kind, 64 * MIB)
    server = make_server(data=volume.data, args=(*OPTIONS, *faults.NO_FLOOR))
    crew = cameras.start(server, 4, seed=chance.random())
    for _ in range(12 if long else 2):
        starve(server, crew, lambda: fill(volume.path), (volume.path / "filler").unlink)
        for camera in crew:
            camera.errors, camera.refused = [], []
    server.restart(hard=True)
    cameras.check_kept(server, crew)
    readers = (volume.data / "catalogue" / "lock.mdb").stat()
    assert readers.st_blocks * 512 >= readers.st_size, "a page of it may be missing when full"
    end(server, crew, volume.data)


def test_a_server_killed_on_a_full_volume_starts_on_it(small, make_server, chance):
    """Recovery itself finds no room to seal or to store; it serves what there is."""
    volume = small(48 * MIB)
    server = make_server(data=volume.data, args=(*OPTIONS, *faults.NO_FLOOR))
    crew = cameras.start(server, 3, seed=chance.random())
    for camera in crew:
        camera.wait_acked(2)
    fill_until_told(crew, lambda: fill(volume.path))
    server.kill9()
    server.start()
    check_readers(server, crew)
    cameras.check_kept(server, crew)
    (volume.path / "filler").unlink()
    for camera in crew:
        camera.wait_acked(3)
    end(server, crew, volume.data)


def test_a_volume_out_of_inodes_is_told_and_outlived(small, make_server, chance):
    volume = small(256 * MIB, inodes=200)
    server = make_server(data=volume.data, args=(*OPTIONS, *faults.NO_FLOOR))
    crew = cameras.start(server, 4, seed=chance.random())

    def free():
        for path in (volume.path / "fillers").iterdir():
            path.unlink()

    starve(server, crew, lambda: fill_inodes(volume.path), free)
    assert "free_inodes=0" in server.log()
    end(server, crew, volume.data)


def test_the_floor_stops_uploads_before_the_volume_is_full(loop, make_server, chance):
    volume = loop("ext4", 128 * MIB)
    floor = 32 * MIB
    server = make_server(data=volume.data, args=(
        *OPTIONS, "--volume-free-bytes-min", floor, "--volume-margin-bytes", 0,
        "--ballast-bytes", 8 * MIB))
    ballast = volume.data / "ballast"
    faults.wait_until(ballast.exists, "ballast")
    assert ballast.stat().st_blocks * 512 >= 8 * MIB
    crew = cameras.start(server, 4, seed=chance.random())
    starve(server, crew, lambda: fill(volume.path, left=floor - 4 * MIB),
           (volume.path / "filler").unlink)
    assert "ENOSPC" not in server.log().split("volume_full")[0]
    faults.wait_until(ballast.exists, "ballast again")
    end(server, crew, volume.data)


def test_ballast_of_an_earlier_run_is_released_too(loop, make_server):
    volume = loop("ext4", 128 * MIB)
    server = make_server(data=volume.data, args=(
        *OPTIONS, "--volume-free-bytes-min", 16 * MIB, "--volume-margin-bytes", 0,
        "--ballast-bytes", 8 * MIB))
    ballast = volume.data / "ballast"
    faults.wait_until(ballast.exists, "ballast")
    server.stop()
    fill(volume.path)
    server.start()
    faults.wait_until(lambda: not ballast.exists(), "the ballast is released")
    assert volume.free() > 0
    server.wait_log("ballast_released")
    server.stop()


def test_ballast_lets_deletion_commit_on_a_full_volume(loop, make_server, chance):
    """Somebody else eats the volume up to the last block; a stream can still be deleted."""
    volume = loop("ext4", 128 * MIB)
    server = make_server(data=volume.data, args=(
        *OPTIONS, "--volume-free-bytes-min", 16 * MIB, "--volume-margin-bytes", 0,
        "--ballast-bytes", 8 * MIB))
    ballast = volume.data / "ballast"
    crew = cameras.start(server, 3, seed=chance.random())
    for camera in crew:
        camera.wait_acked(5)
    faults.wait_until(ballast.exists, "ballast")
    fill(volume.path)
    faults.wait_until(lambda: not ballast.exists(), "the ballast is dropped")
    for camera in crew:
        faults.wait_until(lambda one=camera: told(one), "the camera is told")
    doomed = crew.pop()
    doomed.halt.set()
    kvs = server.kvs()
    kvs.delete_stream(StreamARN=kvs.describe_stream(
        StreamName=doomed.stream)["StreamInfo"]["StreamARN"])
    faults.wait_until(lambda: doomed.stream not in [
        s["StreamName"] for s in kvs.list_streams()["StreamInfoList"]], "the stream is gone")
    assert volume.free() > 0
    check_readers(server, crew)
    (volume.path / "filler").unlink()
    for camera in crew:
        camera.wait_acked(3)
    end(server, crew, volume.data)
