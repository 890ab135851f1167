# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a server with many cameras: at any moment, while it recovers, while it ends, and a
process stopped for longer than anybody's patience. Nothing acknowledged is lost."""

import signal
import subprocess
import threading

import cameras
import faults
import kinema
import put_media as wire

OPTIONS = (*faults.CHUNKS_SHORT, "--retention-interval-ms", 100)


def pause(seconds):
    threading.Event().wait(seconds)


def kill_while_starting(server, after_s):
    """A start that does not live to be ready, or just so."""
    log = open(server.log_path, "ab")
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=log,
                               stdin=subprocess.DEVNULL, env=kinema.clean_env())
    log.close()
    pause(after_s)
    process.kill()
    process.wait()


def test_kills_at_any_moment_lose_nothing(make_server, chance, long):
    server = make_server(args=(*OPTIONS, "--drain-ms", 500))
    crew = cameras.start(server, 16 if long else 8, seed=chance.random(), every_s=0.1)
    for number in range(60 if long else 6):
        pause(chance.uniform(0.05, 0.8))
        if number % 3 == 2:
            server.signal(signal.SIGTERM)
            pause(chance.uniform(0, 0.7))
        server.kill9()
        if number % 2:  # killed again, and again, while it puts in order what the last one left
            for _ in range(3):
                kill_while_starting(server, chance.uniform(0, 0.15))
        server.start()
        cameras.check_kept(server, crew)
    assert faults.metrics(server)["kinema_storage_recovered_bad_records"] == 0
    for camera in crew:
        camera.wait_acked(6)
    cameras.stop(crew)
    assert not [c.errors for c in crew if c.errors]
    count = cameras.check_all(server, crew)
    assert count > 40, "hardly anything was acknowledged: no proof"
    server.stop()
    assert faults.check_folder(server.data) >= count


def test_a_stopped_server_goes_on_where_it_was(make_server, chance, long):
    """SIGSTOP for longer than the cameras' patience and the server's own times: some wait, others come
    back over a new connection, whose old one the server still finds open."""
    server = make_server(args=(*OPTIONS, "--fragment-idle-ms", 500, "--upload-idle-ms", 1500,
                               "--http-body-timeout-ms", 2000, "--takeover-silence-ms", 500))
    patient = cameras.start(server, 3, seed=chance.random(), patience_s=30)
    hasty = cameras.start(server, 3, seed=chance.random(), patience_s=1)
    crew = patient + hasty
    for _ in range(8 if long else 1):
        for camera in crew:
            camera.wait_acked(2)
        before = {c: c.connections for c in crew}
        server.signal(signal.SIGSTOP)
        pause(3.5)
        server.signal(signal.SIGCONT)
        for camera in crew:
            camera.wait_acked(3)
        assert all(c.connections > before[c] for c in hasty), "nobody lost patience: no proof"
        cameras.check_kept(server, crew)
    cameras.stop(crew)
    count = cameras.check_all(server, crew)
    server.stop()
    assert faults.check_folder(server.data) >= count


def test_a_camera_stopped_in_mid_fragment_gives_its_seat_to_the_next(make_server, chance):
    """It neither sends nor closes, as a process in SIGSTOP or behind a dead link does. Another one on
    the same stream takes over; when the first one wakes, it is told and nothing is mixed."""
    server = make_server(args=(*OPTIONS, "--takeover-silence-ms", 500))
    others = cameras.start(server, 2, seed=chance.random())
    stream = server.create_stream()
    stopped = cameras.Camera(server, stream, seed=1)
    timecode = stopped.new_fragment()
    upload = wire.PutMedia(stopped.endpoint, stream, server.key)
    upload.send(wire.header() + stopped.data(timecode))
    second = stopped.new_fragment()
    half = stopped.data(second)
    upload.send(half[:len(half) // 2])
    upload.wait_ack("PERSISTED", timecode)
    next_one = cameras.Camera(server, stream, seed=2)
    next_one.next = stopped.next + 60000
    next_one.start()
    next_one.wait_acked(5)
    server.wait_log("upload_takeover")
    upload.send(half[len(half) // 2:])  # it wakes up
    upload.wait_over()
    kinds = [a["EventType"] for a in upload.acks if a.get("FragmentTimecode") == second]
    assert "PERSISTED" not in kinds
    assert upload.error()["ErrorCode"] == "STREAM_READ_ERROR"
    upload.close()
    for camera in others:
        camera.wait_acked(3)
    cameras.stop([*others, next_one])
    found = cameras.found_in(server, stream)
    assert timecode in found and second not in found
    next_one.sent[timecode] = stopped.sent[timecode]
    cameras.check_all(server, [*others, next_one])
    server.stop()
    faults.check_folder(server.data)
