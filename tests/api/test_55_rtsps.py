# SPDX-License-Identifier: Apache-2.0
"""RTSPS on the listener: pushed and read as without TLS, with the server's certificate, and nothing beside it."""

import os
import signal
import socket

import kinema
import pytest
import rtsp
import rtsp_peer
from certificates import issue, shown
from rtsp_peer import Raw
from test_54_rtsp import stored, units


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return rtsp_peer.film(tmp_path_factory.mktemp("film") / "film.mkv")


@pytest.fixture(scope="module")
def server():
    with kinema.Server(args=["--rtsp-tls", "127.0.0.1:0"]) as one:
        yield one


@pytest.fixture(scope="module")
def pushed(server, film):
    stream = server.create_stream()
    rtsp_peer.ended(rtsp_peer.push(server, stream, film), server)
    return stream, stored(server, stream)


def test_what_ffmpeg_pushes_is_stored_and_goes_out_again(server, film, pushed, tmp_path):
    assert server.endpoints["rtsps"].startswith("rtsps://") and "rtsp" not in server.endpoints
    stream, documents = pushed
    assert rtsp.hashes(documents) == rtsp_peer.packets(film, 0), "each picture, once"
    wanted = units(documents)[:-12]  # rtph264depay keeps the last ones back
    start = "?start=2020-01-01T00:00:00Z"
    view = rtsp_peer.View(server, stream, tmp_path / "view", "tcp", start)
    assert view.units(len(wanted))[:len(wanted)] == wanted
    address = rtsp_peer.url(server, stream, server.key, start)
    assert rtsp_peer.pictures(address, 8, "-analyzeduration", "500000") == rtsp_peer.pictures(film, 8)
    assert server.key.secret not in server.log()


def test_media_are_sent_inside_and_never_beside(server, pushed):
    stream, _ = pushed
    path = stream + "?start=2020-01-01T00:00:00Z"
    raw = Raw(server)  # which verifies that the certificate is the server's
    assert raw.ask("DESCRIBE", path, raw.digest("DESCRIBE", path, server.key.id, server.key.secret))[0] == 200
    status, _ = raw.ask("SETUP", f"{stream}/stream=0", "Transport: RTP/AVP;unicast;client_port=4000-4001")
    assert status == 461, "unsupported transport"
    status, _ = raw.ask("SETUP", f"{stream}/stream=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    assert status == 200
    raw.close()


def test_who_speaks_no_tls_is_not_answered(server):
    host, port = server.endpoints["rtsps"].split("//")[1].split(":")
    with socket.create_connection((host, int(port)), timeout=rtsp_peer.PATIENCE_S) as plain:
        plain.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        said = b""
        try:
            while more := plain.recv(4096):
                said += more
        except ConnectionResetError:
            pass
    assert b"RTSP/1.0" not in said
    assert Raw(server).ask("OPTIONS", "x")[0] == 200


def test_a_renewed_certificate_is_shown_after_a_hangup(make_server, tmp_path):
    issue(tmp_path, "before")
    server = make_server(args=["--rtsp-tls", "127.0.0.1:0", "--tls-cert", tmp_path / "cert.pem",
                               "--tls-key", tmp_path / "key.pem"])
    before = (tmp_path / "cert.pem").read_text()
    assert shown(server, "rtsps") == before
    issue(tmp_path, "after")
    after = (tmp_path / "cert.pem").read_text()
    server.signal(signal.SIGHUP)
    rtsp_peer.wait_until("the old one is still shown", lambda: shown(server, "rtsps") == after)
    (tmp_path / "cert.pem").write_text("nothing")
    server.signal(signal.SIGHUP)
    server.wait_log("reload_refused")
    assert shown(server, "rtsps") == after != before, "the one in use stays"


def test_what_was_refused_is_not_read_by_the_next_process_either(make_server, tmp_path):
    issue(tmp_path, "before")
    before = (tmp_path / "cert.pem").read_text()
    server = make_server(args=["--rtsp-tls", "127.0.0.1:0", "--tls-cert", tmp_path / "cert.pem",
                               "--tls-key", tmp_path / "key.pem"])
    rtsp_peer.wait_until("it is served", lambda: shown(server, "rtsps") == before)
    (tmp_path / "cert.pem").write_text("nothing")
    server.signal(signal.SIGHUP)
    server.wait_log("reload_refused")
    (pid,) = rtsp.child_of(server)
    os.kill(pid, signal.SIGKILL)
    server.wait_log("rtsp_worker_ended")
    assert shown(server, "rtsps") == before
    assert "tls_unready" not in server.log()


def test_a_certificate_behind_a_link_is_followed_where_the_link_turns(make_server, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        issue(tmp_path / name, name)
    live = tmp_path / "live"
    live.symlink_to("first")
    server = make_server(args=["--rtsp-tls", "127.0.0.1:0", "--tls-cert", live / "cert.pem", "--tls-key", live / "key.pem"])
    assert shown(server, "rtsps") == (tmp_path / "first" / "cert.pem").read_text()
    live.unlink()
    live.symlink_to("second")
    server.signal(signal.SIGHUP)
    rtsp_peer.wait_until("the old one is still shown",
                         lambda: shown(server, "rtsps") == (tmp_path / "second" / "cert.pem").read_text())


def test_both_listeners_serve_beside_each_other(make_server, film):
    server = make_server(args=["--rtsp-tls", "127.0.0.1:0", "--rtsp", "127.0.0.1:0"])
    for name in ("rtsp", "rtsps"):
        assert Raw(server, server.endpoints[name]).ask("OPTIONS", "x")[0] == 200, name
