# SPDX-License-Identifier: Apache-2.0
"""Power cuts on real file systems while cameras upload: acknowledged ⊆ found ⊆ sent, byte for byte,
the catalogue (LMDB) included, and `kinema check` finds no problem."""

import signal
import threading

import cameras
import faults
import kinema
import pytest
import volumes

CAMERAS = 4
OPTIONS = (*faults.CHUNKS_SHORT, *faults.NO_FLOOR, "--retention-interval-ms", 100)
KINDS = pytest.mark.parametrize("kind", ["ext4", "xfs"])
BY_VOLUME = ("--flush-volume", "yes", "--flush-volume-files-min", 1)
FLUSHES = pytest.mark.parametrize("flush", [("--flush-volume", "no"), BY_VOLUME], ids=["files", "volume"])


def cut(server, volume, flush, linger_s=0.0):
    """The disk and the process go at the same moment: the process is stopped first and never runs again.
    A flush that is in the kernel then may still return, but not be answered for. That matters: both
    file systems let an fdatasync that meets their shutdown return 0 and lose its data.

    linger_s: the process outlives its disk for so long, and must not acknowledge anything meanwhile. What
    was in the kernel has returned before the disk goes."""
    server.signal(signal.SIGSTOP)
    stopped = "T" if linger_s else "TD"  # D: in the kernel, for the disk
    faults.wait_until(lambda: set(faults.thread_states(server)) <= set(stopped), "all threads stand",
                      pause_s=0.001)
    volume.cut_power(flush)
    if linger_s:
        server.signal(signal.SIGCONT)
        threading.Event().wait(linger_s)
    server.kill9()
    server.check_log()
    volume.power_up()


def volume_flushes(server):
    return faults.metrics(server).get("kinema_storage_volume_flushes_total", 0)


@KINDS
@FLUSHES
def test_a_power_cut_loses_nothing_acknowledged(loop, make_server, chance, long, kind, flush):
    volume = loop(kind)
    server = make_server(data=volume.data, args=OPTIONS + flush)
    crew = cameras.start(server, CAMERAS, seed=chance.random())
    for number in range(40 if long else 4):
        threading.Event().wait(chance.uniform(0.05, 1.5))
        if number % 4 == 3:  # and again while the start after the last cut still seals
            cut(server, volume, chance.random() < 0.5)
            server.start()
        cut(server, volume, flush=number % 2 == 1, linger_s=chance.choice([0, 0, 0.3]))
        server.start()
        server.wait_log("data_folder_recovered")
        cameras.check_kept(server, crew)
        assert faults.metrics(server)["kinema_storage_recovered_bad_records"] == 0
    for camera in crew:
        camera.wait_acked(11)
    if flush == BY_VOLUME:
        faults.wait_until(lambda: volume_flushes(server) > 0, "a flush of the volume")
    else:
        assert volume_flushes(server) == 0
    cameras.stop(crew)
    count = cameras.check_all(server, crew)
    assert count > 40, "hardly anything was acknowledged: no proof"
    server.stop()
    assert faults.check_folder(volume.data) >= count


@KINDS
def test_the_first_fragment_of_a_new_stream_survives_a_cut(loop, make_server, chance, long, kind):
    """Its folders, its file and its name in the catalogue are all younger than a second."""
    volume = loop(kind)
    server = make_server(data=volume.data, args=(*OPTIONS, *chance.choice([(), BY_VOLUME])))
    all_of_them = []
    for number in range(20 if long else 3):
        crew = cameras.start(server, 3, seed=chance.random(), window=1)
        first = chance.choice(crew)
        faults.wait_until(lambda one=first: one.acked, "an acknowledgement")
        cut(server, volume, flush=number % 2 == 1)
        assert first.acked
        all_of_them += crew
        for camera in crew:
            camera.halt.set()
        server.start()
        cameras.stop(crew)
        cameras.check_kept(server, all_of_them)
    cameras.check_all(server, all_of_them)
    server.stop()
    faults.check_folder(volume.data)


@KINDS
def test_a_cut_while_the_server_ends_loses_nothing(loop, make_server, chance, long, kind):
    """SIGTERM seals what is open; the power goes meanwhile."""
    volume = loop(kind)
    server = make_server(data=volume.data, args=(*OPTIONS, "--drain-ms", 500, *chance.choice([(), BY_VOLUME])))
    crew = cameras.start(server, CAMERAS, seed=chance.random())
    for number in range(20 if long else 2):
        for camera in crew:
            camera.wait_acked(2)
        server.signal(15)
        threading.Event().wait(chance.uniform(0, 0.6))
        cut(server, volume, flush=number % 2 == 1)
        server.start()
        cameras.check_kept(server, crew)
    cameras.stop(crew)
    cameras.check_all(server, crew)
    server.stop()
    faults.check_folder(volume.data)


@KINDS
def test_what_retention_deleted_stays_deleted_after_a_cut(loop, make_server, chance, long, kind):
    """Retention falls to nothing while chunks lie there; the power goes in mid-deletion."""
    volume = loop(kind)
    server = make_server(data=volume.data, args=(*OPTIONS, "--retention-slice-chunks", 1,
                                                 "--memory-stream-ms-max", 1000,
                                                 "--chunk-bytes-max", 100000))
    keeper = cameras.start(server, 1, seed=chance.random())[0]
    keeper.wait_acked(1)
    halfway = 0
    for number in range(10 if long else 2):
        known = set((volume.data / "chunks").iterdir())
        old = cameras.start(server, 1, seed=chance.random(), key_bytes=(30000, 60000),
                            every_s=0)[0]
        old.wait_acked(60)
        old.stop()
        folder = (set((volume.data / "chunks").iterdir()) - known).pop()
        before = cameras.found_in(server, old.stream)
        cameras.check_bytes(server, old, list(old.acked)[-5:])
        files = count_files(folder)
        assert files > 10
        forget(server, old.stream)
        rest = chance.randrange(1, files)
        faults.wait_until(lambda: count_files(folder) <= rest, "retention", pause_s=0.0005)
        seen = cameras.found_in(server, old.stream) if number % 2 else before
        cut(server, volume, flush=number % 2 == 1)
        halfway += 0 < count_files(folder) < files
        server.start()
        after = cameras.found_in(server, old.stream)
        assert set(after) <= set(seen), "what was deleted is back"
        assert sorted(before)[len(before) - len(after):] == sorted(after), "not the oldest went"
        cameras.check_kept(server, [keeper])
        faults.wait_until(lambda: count_files(folder) == 0, "retention after the cut")
    print(f"{halfway} cuts came in mid-deletion")
    cameras.stop([keeper])
    cameras.check_all(server, [keeper])
    server.stop()
    faults.check_folder(volume.data)


def forget(server, stream):
    """Retention of 0 hours for what lies on disk: as short as --memory-stream-ms-max."""
    kvs = server.kvs()
    version = kvs.describe_stream(StreamName=stream)["StreamInfo"]["Version"]
    kvs.update_data_retention(StreamName=stream, Operation="DECREASE_DATA_RETENTION",
                              DataRetentionChangeInHours=24, CurrentVersion=version)


def count_files(folder):
    return sum(1 for _ in folder.rglob("*.mkv")) if folder.exists() else 0


@KINDS
def test_deleting_a_stream_goes_on_after_a_cut(loop, make_server, chance, long, kind):
    volume = loop(kind)
    server = make_server(data=volume.data, args=(*OPTIONS, "--chunk-bytes-max", 100000))
    for number in range(6 if long else 1):
        one = cameras.start(server, 1, seed=chance.random(), key_bytes=(20000, 60000))[0]
        one.wait_acked(30)
        one.stop()
        folders = {p.name for p in (volume.data / "chunks").iterdir()}
        server.kvs().delete_stream(StreamARN=server.kvs().describe_stream(
            StreamName=one.stream)["StreamInfo"]["StreamARN"])
        threading.Event().wait(chance.uniform(0, 0.05))
        cut(server, volume, flush=number % 2 == 1)
        server.start()
        faults.wait_until(lambda: not any((volume.data / "chunks" / f).exists() for f in folders),
                          "the stream's folder is gone")
        names = [s["StreamName"] for s in server.kvs().list_streams()["StreamInfoList"]]
        assert one.stream not in names
    server.stop()
    assert "data_folder_unknown_files" not in server.log()
    assert kinema.run("check", "--data", volume.data).returncode == 0


@KINDS
def test_only_a_volume_of_our_own_is_flushed_whole(loop, make_server, kind):
    volume = loop(kind)
    bound = volume.home / "bound"
    for folder in (bound, volume.data):
        folder.mkdir()
    volumes.run("mount", "--bind", volume.data, bound)
    try:
        for data, says in ((bound, "on=no why=volume_may_be_shared"), (volume.data, "on=no why=volume_may"),
                           (volume.path, "on=yes files_min=1 why=own_volume")):
            server = make_server(data=data, args=(*OPTIONS, "--flush-volume-files-min", 1))
            server.wait_log("flush_volume " + says)
            crew = cameras.start(server, 2, seed=1)
            for camera in crew:
                camera.wait_acked(2)
            cameras.stop(crew)
            assert (volume_flushes(server) > 0) == (data == volume.path)
            cameras.check_all(server, crew)
            server.stop()
    finally:
        volumes.run("umount", "-l", bound)
        bound.rmdir()
