# SPDX-License-Identifier: Apache-2.0
"""The server as a service: installed, told to systemd, and with certificates that are renewed under it."""

import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import hls
import kinema
import media
import mkv
from certificates import Authority, ask, issue, openssl, shown

BUILD = pathlib.Path(os.environ.get("KINEMA_BUILD", pathlib.Path(kinema.BINARY).parent)).resolve()


def speak(connection):
    """A request and its answer's first line, on a connection that stays open."""
    connection.sendall(b"POST /describeStream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}")
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(4096)
        assert got, head
        head += got
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    body = head.split(b"\r\n\r\n", 1)[1]
    while len(body) < length:
        body += connection.recv(4096)
    return head.split(b"\r\n")[0]


def test_a_renewed_certificate_is_shown_after_a_hangup(make_server, tmp_path):
    issue(tmp_path, "before")
    server = make_server(args=["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"], tls=True)
    before = (tmp_path / "cert.pem").read_text()
    assert shown(server) == shown(server, "ingest-tls") == before
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    host, port = server.endpoints["api-tls"].split("//")[1].split(":")
    with context.wrap_socket(socket.create_connection((host, int(port)), 30), server_hostname=host) as stands:
        assert speak(stands) == b"HTTP/1.1 403 Forbidden"
        issue(tmp_path, "after")
        assert shown(server) == before
        server.signal(signal.SIGHUP)
        server.wait_log(r"(?s)tls_certificate .*\btls_certificate ")
        assert shown(server) == shown(server, "ingest-tls") == (tmp_path / "cert.pem").read_text() != before
        assert speak(stands) == b"HTTP/1.1 403 Forbidden", "who was there before goes on"


def test_a_certificate_that_cannot_be_read_leaves_the_one_before(make_server, tmp_path):
    issue(tmp_path, "before")
    server = make_server(args=["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"], tls=True)
    before = shown(server)
    for number, damage in enumerate((lambda: (tmp_path / "cert.pem").write_text("nothing"),
                                     lambda: openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                                                     "ec_paramgen_curve:P-256", "-out", "key.pem", cwd=tmp_path),
                                     lambda: (tmp_path / "cert.pem").unlink()), 1):
        damage()
        server.signal(signal.SIGHUP)
        server.wait_log(rf"(?s)(reload_refused error=.*){{{number}}}")
        assert shown(server) == before
        if number == 1:
            (tmp_path / "cert.pem").write_text(before)
    assert "nothing is renewed" in server.log()
    issue(tmp_path, "after")
    server.signal(signal.SIGHUP)
    server.wait_log(r"(?s)tls_certificate .*\btls_certificate ")
    assert shown(server) == (tmp_path / "cert.pem").read_text() != before


def test_a_device_is_shut_out_by_a_list_that_is_read_anew(tmp_path):
    authority = Authority(tmp_path)
    with kinema.Server(args=["--iot-tls", "127.0.0.1:0", "--iot-ca", authority.path]) as server:
        role = server.create_key("--allow", "kinesisvideo:*", "--stream", "${credentials-iot:ThingName}").id
        devices = [authority.device(name) for name in ("kept", "stolen")]
        assert [ask(server, device, role)[0] for device in devices] == [200, 200]
        authority.revoke("stolen")
        server.signal(signal.SIGHUP)
        server.wait_log(r"(?s)tls_certificate .*\btls_certificate ")
        assert ask(server, devices[0], role)[0] == 200
        try:
            answer = ask(server, devices[1], role)
        except (ssl.SSLError, ConnectionError):
            return
        raise AssertionError(answer)


def metric(server, name):
    with urllib.request.urlopen(server.console + "/metrics", timeout=60) as answer:
        return int(re.search(rf"^{name} (\d+)$", answer.read().decode(), re.M)[1])


def test_a_hangup_renews_all_or_nothing(tmp_path):
    authority = Authority(tmp_path)
    issue(tmp_path, "before")
    listeners = ("api-tls", "ingest-tls", "iot", "rtsps")
    with kinema.Server(args=["--iot-tls", "127.0.0.1:0", "--iot-ca", authority.path, "--rtsp-tls", "127.0.0.1:0",
                             "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"],
                       tls=True) as server:
        before, good = (tmp_path / "cert.pem").read_text(), authority.path.read_text()
        assert {shown(server, name) for name in listeners} == {before}
        issue(tmp_path, "after")
        after = (tmp_path / "cert.pem").read_text()
        authority.path.write_text("no authority")
        server.signal(signal.SIGHUP)
        server.wait_log("reload_refused error=.*ca\\.pem.*nothing is renewed")
        assert {shown(server, name) for name in listeners} == {before}
        assert metric(server, "kinema_reload_refused") == 1
        authority.path.write_text(good)
        server.signal(signal.SIGHUP)
        server.wait_log(r"(?s)tls_certificate .*\btls_certificate ")
        assert {shown(server, name) for name in listeners[:3]} == {after}
        deadline = time.monotonic() + 60
        while shown(server, "rtsps") != after:  # another process reads it
            assert time.monotonic() < deadline, "RTSPS shows the old one"
        assert metric(server, "kinema_reload_refused") == 0


def test_metrics_and_log_say_when_the_certificate_ends(make_server, tmp_path):
    issue(tmp_path, "short", days=5)
    server = make_server(args=["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"], tls=True)
    server.wait_log("tls_certificate_expires")
    with urllib.request.urlopen(server.console + "/metrics", timeout=60) as answer:
        text = answer.read().decode()
    ends = int(re.search(r"^kinema_tls_certificate_expires_seconds (\d+)$", text, re.M)[1])
    assert abs(ends - time.time() - 5 * 86400) < 3600


def test_the_service_manager_is_told(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        with kinema.Server(env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            assert manager.recv(100) == b"READY=1"
            server.signal(signal.SIGHUP)
            assert [manager.recv(100) for _ in range(2)] == [b"RELOADING=1", b"READY=1"]
            server.stop()
            assert manager.recv(100) == b"STOPPING=1"


def test_what_is_installed_runs_and_makes_mpeg_ts(tmp_path, monkeypatch):
    root = tmp_path / "root"
    done = subprocess.run(["cmake", "--install", BUILD, "--component", "server", "--prefix", root],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    unit = (root / "lib/systemd/system/kinema.service").read_text()
    command = re.search(r"^ExecStart=(\S+) (.*)$", unit, re.M)
    assert command[1] == str(root / "bin" / "kinema") and command[2] == "serve --data /var/lib/kinema"
    assert "u kinema " in (root / "lib/sysusers.d/kinema.conf").read_text()
    assert shutil.which("kinema-camera", path=root / "bin")
    monkeypatch.setattr(kinema, "BINARY", str(root / "bin" / "kinema"))
    with kinema.Server() as server:
        stream = server.create_stream()
        media.upload(server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv"))
        url = hls.open_session(server, stream, ContainerFormat="MPEG_TS")
        segment = hls.get(hls.playlist(url).segments[0].url)
        assert segment.status == 200 and segment.body[:1] == b"G", "a transport stream's sync byte"
