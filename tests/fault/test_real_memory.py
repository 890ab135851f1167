# SPDX-License-Identifier: Apache-2.0
"""A control group with little memory: the server lives in it, page cache included, with cameras and
viewers at work; and when the kernel kills it for want of memory, the next start loses nothing."""

import cameras
import faults
import viewers

MIB = 1 << 20
GROUP_BYTES = 32 * MIB
TOO_LITTLE_BYTES = MIB // 4  # with a few MiB it lives on, reading its own code again and again
UPLOADED_BYTES = GROUP_BYTES * 5 // 4
OPTIONS = (*faults.CHUNKS_SHORT, *faults.NO_FLOOR, "--retention-interval-ms", 100)


def end(server, crew, data):
    cameras.stop(crew)
    count = cameras.check_all(server, crew)
    server.stop()
    assert faults.check_folder(data) >= count


def test_a_small_memory_group_is_enough(loop, make_server, cgroup, chance, long, tmp_path):
    """32 MiB for everything, from its first page on, with the page cache of what it writes."""
    volume, group = loop("ext4"), cgroup("memory")
    server = make_server(data=volume.data, args=OPTIONS, start=False)
    group.limit_memory(GROUP_BYTES)
    with group.inside():
        server.start()
    watching = viewers.of_a_recording(server, tmp_path)
    crew = cameras.start(server, 6, seed=chance.random(), key_bytes=(400000, 800000), every_s=0)
    for viewer in watching:
        viewer.start()

    def uploaded():
        assert server.process.poll() is None, server.log()[-4000:]
        return faults.metrics(server)["kinema_storage_written_bytes_total"] > (
            UPLOADED_BYTES * (4 if long else 1))
    faults.wait_until(uploaded, "more is uploaded than the group holds", timeout=120)
    cameras.stop(crew)
    for viewer in watching:
        viewer.halt.set()
        viewer.join(60)
        assert viewer.problem is None, (viewer.kind, viewer.problem)
        viewer.say("served", 0, float("inf"))
        assert len(viewer.took) > 3
    print(f"RssAnon {faults.status(server, 'RssAnon') / MIB:.1f} MiB, most in the group "
          f"{group.memory_most() / MIB:.1f} MiB of {GROUP_BYTES // MIB}")
    assert group.kills() == 0
    assert {c.connections for c in crew} == {1}
    assert not [c.errors for c in crew if c.errors]
    end(server, crew, volume.data)


def test_a_server_killed_for_want_of_memory_loses_nothing(loop, make_server, cgroup, chance, long):
    volume, group = loop("ext4"), cgroup("memory")
    server = make_server(data=volume.data, args=OPTIONS)
    crew = cameras.start(server, 4, seed=chance.random(), key_bytes=(50000, 100000))
    for _ in range(5 if long else 1):
        for camera in crew:
            camera.wait_acked(3)
        group.limit_memory(TOO_LITTLE_BYTES)
        killed = group.kills()
        group.take(server.process.pid)  # and every page from now on counts
        faults.wait_until(lambda: server.process.poll() is not None, "the kernel kills the server")
        assert server.process.returncode == -9 and group.kills() > killed
        server.start()
        server.wait_log("data_folder_recovered")
        cameras.check_kept(server, crew)
    for camera in crew:
        camera.wait_acked(3)
    end(server, crew, volume.data)
