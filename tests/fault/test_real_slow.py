# SPDX-License-Identifier: Apache-2.0
"""A disk that hardly moves: cameras are held back and told late but rightly, memory stays bounded, and
who watches what is resident does not notice. Latencies are printed, not asserted."""

import threading
import time

import cameras
import faults
import viewers

MIB = 1 << 20
STALLED_BYTES_PER_S = 48 * 1024
CALM_S, STALL_S = 1, 4
CLERKS = 12  # more than the server has threads for either kind of request
WINDOW_BYTES = 512 * 1024  # window_bytes_max of each upload …
BLOCK_SLACK = 320 * 1024   # … and its last block and part


def longest_silence(crew, since, until):
    """Between two acknowledgements of anybody."""
    times = sorted(t for c in crew for t in c.acked_at.values() if since <= t <= until)
    edges = [since, *times, until]
    return max(zip(edges, edges[1:]), key=lambda pair: pair[1] - pair[0])


def clerk(server, stream, done):
    """Somebody whose requests wait for the catalogue's own flush. Held up, they are answered late."""
    client = server.kvs()
    while not done.is_set():
        client.tag_stream(StreamName=stream, Tags={"at": str(time.monotonic())})


def test_viewers_do_not_notice_a_stalled_disk(loop, make_server, cgroup, chance, long, tmp_path):
    volume, group = loop("ext4", 512 * MIB), cgroup("io")
    server = make_server(data=volume.data, args=(*faults.NO_FLOOR, "--retention-interval-ms", 100))
    group.take(server.process.pid)
    watching = viewers.of_a_recording(server, tmp_path)
    crew = cameras.start(server, 4, seed=chance.random(), key_bytes=(150000, 250000), window=1000,
                         every_s=0.1, patience_s=60)
    beside = cameras.Camera(server, server.create_stream(hours=0), every_s=0.1,
                            settled="RECEIVED")  # nothing of it is stored
    beside.start()
    for camera in [*crew, beside]:
        camera.wait_acked(2)
    for viewer in watching:
        viewer.start()
    for _ in range(4 if long else 1):
        calm = time.monotonic()
        threading.Event().wait(CALM_S)
        memory = faults.status(server, "RssAnon")
        slow, went_on = time.monotonic(), len(beside.acked)
        group.throttle_writes(volume.device, STALLED_BYTES_PER_S)
        done = threading.Event()
        clerks = [threading.Thread(target=clerk, args=(server, crew[0].stream, done), daemon=True)
                  for _ in range(CLERKS)]
        for one in clerks:
            one.start()
        window, grown = 0, 0
        while time.monotonic() < slow + STALL_S:
            threading.Event().wait(0.2)
            window = max(window, faults.metrics(server)["kinema_storage_window_bytes"])
            grown = max(grown, faults.status(server, "RssAnon") - memory)
        lifted, went_on = time.monotonic(), len(beside.acked) - went_on
        group.throttle_writes(volume.device)
        done.set()
        for camera in crew:
            camera.wait_acked(3)
        since, until = longest_silence(crew, slow, lifted)
        print(f"no acknowledgement for {until - since:.2f} s; at most {window / 1024:.0f} KiB in "
              f"flight, memory grew by {grown / MIB:.1f} MiB")
        print(f"a stream that is not stored: {went_on} fragments meanwhile")
        assert went_on > STALL_S, "a stream that needs no disk waited for it"
        for viewer in watching:
            viewer.say("before", calm, slow)
            viewer.say("in stall", slow, lifted)
        assert until - since > 1, "the disk was not slow: no proof"
        for viewer in watching:
            assert viewer.problem is None, (viewer.kind, viewer.problem)
            assert len(viewer.within(since, until)) > 3, f"{viewer.kind} waited for the disk"
        assert window <= len(crew) * (WINDOW_BYTES + BLOCK_SLACK)
        assert grown <= 64 * MIB
        for one in clerks:
            one.join(60)
    for viewer in watching:
        viewer.halt.set()
        viewer.join(60)
    cameras.stop([*crew, beside])
    assert not [c.errors for c in crew if c.errors]
    assert {c.connections for c in crew} == {1}, "an upload was given up"
    count = cameras.check_all(server, crew)
    server.stop()
    assert faults.check_folder(volume.data) >= count
