# SPDX-License-Identifier: Apache-2.0
"""A server without descriptors or without memory: it says so, stays alive where it can, and works
again once there is some. What the kernel kills loses nothing acknowledged."""

import os
import resource
import threading

import cameras
import faults

MIB = 1 << 20
OPTIONS = (*faults.CHUNKS_SHORT, "--retention-interval-ms", 100)


def open_files(server):
    return max(map(int, os.listdir(f"/proc/{server.process.pid}/fd"))) + 1


def limit(server, kind, soft):
    """The running server's soft limit; what it was."""
    _, hard = resource.prlimit(server.process.pid, kind)
    before, _ = resource.prlimit(server.process.pid, kind, (soft, hard))
    return before


def alive(server):
    assert server.process.poll() is None, server.log()[-4000:]


def test_a_server_out_of_descriptors_says_so_and_goes_on(make_server, chance, long, root):
    """Chunks of a second: each stream soon needs a new file, and gets none."""
    server = make_server(args=OPTIONS)
    crew = cameras.start(server, 6, seed=chance.random())
    for camera in crew:
        camera.wait_acked(2)
    for spare in range(12 if long else 3):
        before = limit(server, resource.RLIMIT_NOFILE, max(16, open_files(server) - 4 + spare))
        server.wait_log("chunk_not_made .*err=EMFILE|http_accept_failed .*err=EMFILE")
        threading.Event().wait(1.5)
        alive(server)
        limit(server, resource.RLIMIT_NOFILE, before)
        for camera in crew:
            camera.wait_acked(3)
        cameras.check_kept(server, crew)
    assert "EMFILE" in server.log()
    cameras.stop(crew)
    assert {e["ErrorId"] for c in crew for e in c.errors} <= {5000, 5001}
    count = cameras.check_all(server, crew)
    server.stop()
    assert faults.check_folder(server.data) >= count


def test_streams_with_an_open_chunk_go_on_without_descriptors(make_server, chance, root):
    """Who has its file and its connection needs no more; a newcomer gets none and comes back."""
    server = make_server()
    crew = cameras.start(server, 3, seed=chance.random(), window=2)
    stream = server.create_stream()
    newcomer = cameras.Camera(server, stream, seed=chance.random(), patience_s=1)
    for camera in crew:
        camera.wait_acked(2)
    before = limit(server, resource.RLIMIT_NOFILE, 16)
    connections = [c.connections for c in crew]
    newcomer.start()
    server.wait_log("http_accept_failed .*err=EMFILE")
    for camera in crew:
        camera.wait_acked(5)
    assert not newcomer.acked
    assert [c.connections for c in crew] == connections and not [c.errors for c in crew if c.errors]
    limit(server, resource.RLIMIT_NOFILE, before)
    newcomer.wait_acked(3)
    cameras.stop([*crew, newcomer])
    count = cameras.check_all(server, [*crew, newcomer])
    server.stop()
    assert faults.check_folder(server.data) >= count


def test_a_server_out_of_address_space_refuses_and_goes_on(make_server, chance, long, root):
    """Allocations fail while cameras come and go."""
    server = make_server(args=(*OPTIONS, "--catalogue-bytes-max", 64 * MIB))
    crew = cameras.start(server, 6, seed=chance.random(), key_bytes=(100000, 300000), patience_s=2)
    for camera in crew:
        camera.wait_acked(2)
    for _ in range(10 if long else 2):
        before = limit(server, resource.RLIMIT_AS, faults.status(server, "VmSize") + 65536)
        threading.Event().wait(2)
        alive(server)
        limit(server, resource.RLIMIT_AS, before)
        for camera in crew:
            camera.wait_acked(3)
    cameras.stop(crew)
    count = cameras.check_all(server, crew)
    server.stop()
    assert faults.check_folder(server.data) >= count
