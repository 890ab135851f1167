# SPDX-License-Identifier: Apache-2.0
"""Cameras that encrypt what they send: by keys in lines of their description, or in MIKEY's messages."""

import pathlib

import kinema
import pytest
import rtsp
import rtsp_script
import srtp_script
from test_52_cameras import add, assert_stored_as_sent, make_camera, remove  # noqa: F401


@pytest.fixture
def make_script():
    cameras = []

    def make(**fields):
        cameras.append(rtsp_script.Camera(documents=False, **fields))
        return cameras[-1]

    yield make
    for one in cameras:
        one.kill()


def by_gstreamer(server):
    """Whether its plugin for SRTP has been taken up by a process that talks to cameras."""
    return any("libgstsrtp" in pathlib.Path(f"/proc/{pid}/maps").read_text() for pid in rtsp.child_of(server))


@pytest.mark.parametrize("mki", [None, 7])
def test_keys_in_lines_of_the_description(server, make_script, mki):
    sealer = srtp_script.Sealer(mki)
    camera, stream = make_script(crypto=sealer.crypto(), seal=sealer), kinema.new_name()
    add(server, stream, camera.url)
    now = rtsp.recorded(server, stream)
    assert (now["LostFrameCount"], now["DamagedFrameCount"]) == (0, 0)
    remove(server, stream)
    assert_stored_as_sent(server, stream, camera)


def test_packets_that_are_not_by_the_key_are_a_fault(server, make_script):
    """Without a word of them in what is stored, and of keys in what is said."""
    told = srtp_script.Sealer().crypto()
    camera, stream = make_script(crypto=told, seal=srtp_script.Sealer()), kinema.new_name()
    add(server, stream, camera.url)
    now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
    assert now["Fault"] == "broken" and "not by the key" in now["FaultMessage"], now
    assert now["FragmentCount"] == 0 and now["FrameCount"] == 0
    assert told.split("inline:")[1] not in server.log()
    remove(server, stream)


def test_mikey_of_another_server_both_ways(make_server, make_camera):  # noqa: F811
    """In the connection by ourselves; in datagrams by GStreamer, in the same process afterwards."""
    server = make_server(args=["--camera-workers", 1])
    camera, stream = make_camera("--srtp"), kinema.new_name()
    add(server, stream, camera.url)
    now = rtsp.recorded(server, stream)
    assert (now["LostFrameCount"], now["DamagedFrameCount"]) == (0, 0) and not by_gstreamer(server)
    remove(server, stream)
    documents = assert_stored_as_sent(server, stream, camera)
    assert rtsp.hashes(documents, 2), "sound too"
    datagrams = kinema.new_name()
    add(server, datagrams, camera.url, "--transport", "udp")
    rtsp.recorded(server, datagrams)
    assert by_gstreamer(server)


def test_keys_in_an_encrypted_connection(tls_server, make_camera, tmp_path):  # noqa: F811
    folder = tls_server.data / "tls"
    both = tmp_path / "both.pem"
    both.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    camera, stream = make_camera("--srtp", "--tls", both), kinema.new_name()
    add(tls_server, stream, camera.url)
    rtsp.recorded(tls_server, stream)
    remove(tls_server, stream)
    assert_stored_as_sent(tls_server, stream, camera)
