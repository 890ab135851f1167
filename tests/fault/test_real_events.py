# SPDX-License-Identifier: Apache-2.0
"""Fragment events under power cuts and a disk that refuses: whatever happens between a fragment and its
event, every fragment that is found has one, once, in order."""

import threading

import cameras
import faults
import pytest
from test_70_fragment_events import ask, assert_complete, data_stream
from test_real_power import cut

OPTIONS = (*faults.NO_FLOOR, "--shard-journal-bytes", 16 << 20)


def start(server, chance):
    """A data stream, and cameras whose fragments have their events there."""
    name = data_stream(server, shards=2)
    crew = [cameras.Camera(server, server.create_stream(), seed=chance.random(), every_s=0.03) for _ in range(2)]
    for camera in crew:
        ask(server, "PutFragmentEvents", camera.stream, DataStreamName=name)
        camera.start()
    return name, crew


def end(server, name, crew):
    cameras.stop(crew)
    count = sum(assert_complete(server, name, c.stream) for c in crew)
    assert count > 30, "hardly any fragments: no proof"
    server.stop()
    faults.check_folder(server.data)


def test_power_cuts_lose_no_event_and_repeat_none(loop, make_server, chance, long):
    volume = loop("ext4")
    server = make_server(data=volume.data, args=OPTIONS)
    name, crew = start(server, chance)
    for number in range(40 if long else 3):
        threading.Event().wait(chance.uniform(0.05, 1.2))
        cut(server, volume, flush=number % 2 == 1, linger_s=chance.choice([0, 0, 0.3]))
        server.start()
    for camera in crew:
        camera.wait_acked(16)
    end(server, name, crew)


@pytest.mark.parametrize("what", ["fdatasync:error=EIO", "pwritev:error=EIO"])
def test_a_disk_that_refuses_loses_no_event(make_server, chance, root, what):
    server = make_server(args=OPTIONS)
    name, crew = start(server, chance)
    for camera in crew:
        camera.wait_acked(10)
    with faults.Injector(server, what):
        threading.Event().wait(1.5)
    for camera in crew:
        camera.wait_acked(10)
    server.restart(hard=True)
    end(server, name, crew)
