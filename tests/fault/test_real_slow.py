# SPDX-License-Identifier: Apache-2.0
"""A disk that hardly moves: cameras are held back and told late but rightly, memory stays bounded, and
who watches what is resident does not notice. Latencies are printed, not asserted."""

import statistics
import threading
import time

import cameras
import faults
import hls
import media

MIB = 1 << 20
STALLED_BYTES_PER_S = 48 * 1024
CALM_S, STALL_S = 1, 4
CLERKS = 12  # more than the server has threads for either kind of request
WINDOW_BYTES = 512 * 1024  # window_bytes_max of each upload …
BLOCK_SLACK = 320 * 1024   # … and its last block and part


class Viewer(threading.Thread):
    """Asks for one thing again and again; .took: (start, end) of each."""

    def __init__(self, kind, ask):
        super().__init__(daemon=True)
        self.kind, self.ask, self.took, self.problem = kind, ask, [], None
        self.halt = threading.Event()

    def run(self):
        try:
            while not self.halt.wait(0.02):
                start = time.monotonic()
                self.ask()
                self.took.append((start, time.monotonic()))
        except Exception as problem:  # noqa: BLE001: whatever it is, the test shall say it
            self.problem = problem

    def within(self, since, until):
        return [b - a for a, b in self.took if since <= a and b <= until]

    def say(self, name, since, until):
        took = self.within(since, until)
        if took:
            print(f"{self.kind:>10} {name}: {len(took):4} served, median "
                  f"{statistics.median(took) * 1000:6.1f} ms, most {max(took) * 1000:6.1f} ms")


def viewers_of(server, tmp_path):
    """Three kinds of viewers of a stream that was recorded before."""
    capture = hls.make(tmp_path / "seen.mkv", *hls.picture(6), *hls.X264)
    stream = server.create_stream()
    acks = media.upload(server, stream, capture)
    session = hls.open_session(server, stream, **hls.produced(server, stream))
    url = hls.playlist_url(session)
    segment = hls.playlist(session).segments[0].url
    archived = server.archived(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")

    def ask(url):
        answer = hls.get(url)
        assert answer.status == 200 and answer.body

    def fragments():
        assert archived.get_media_for_fragment_list(
            StreamName=stream, Fragments=[acks[0]["FragmentNumber"]])["Payload"].read()

    return [Viewer("playlist", lambda: ask(url)), Viewer("segment", lambda: ask(segment)),
            Viewer("fragment", fragments)]


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
    viewers = viewers_of(server, tmp_path)
    crew = cameras.start(server, 4, seed=chance.random(), key_bytes=(150000, 250000), window=1000,
                         every_s=0.1, patience_s=60)
    for camera in crew:
        camera.wait_acked(2)
    for viewer in viewers:
        viewer.start()
    for _ in range(4 if long else 1):
        calm = time.monotonic()
        threading.Event().wait(CALM_S)
        memory = faults.status(server, "RssAnon")
        slow = time.monotonic()
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
        lifted = time.monotonic()
        group.throttle_writes(volume.device)
        done.set()
        for camera in crew:
            camera.wait_acked(3)
        since, until = longest_silence(crew, slow, lifted)
        print(f"no acknowledgement for {until - since:.2f} s; at most {window / 1024:.0f} KiB in "
              f"flight, memory grew by {grown / MIB:.1f} MiB")
        for viewer in viewers:
            viewer.say("before", calm, slow)
            viewer.say("in stall", slow, lifted)
        assert until - since > 1, "the disk was not slow: no proof"
        for viewer in viewers:
            assert viewer.problem is None, (viewer.kind, viewer.problem)
            assert len(viewer.within(since, until)) > 3, f"{viewer.kind} waited for the disk"
        assert window <= len(crew) * (WINDOW_BYTES + BLOCK_SLACK)
        assert grown <= 64 * MIB
        for one in clerks:
            one.join(60)
    for viewer in viewers:
        viewer.halt.set()
        viewer.join(60)
    cameras.stop(crew)
    assert not [c.errors for c in crew if c.errors]
    assert {c.connections for c in crew} == {1}, "an upload was given up"
    count = cameras.check_all(server, crew)
    server.stop()
    assert faults.check_folder(volume.data) >= count
