# SPDX-License-Identifier: Apache-2.0
"""./run as a new user types it: builds, starts server and demo camera, prints a link that opens the
console, and stops both on Ctrl-C."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))

import kinema  # noqa: E402

FREE = ["--api", "127.0.0.1:0", "--ingest", "127.0.0.1:0", "--console", "127.0.0.1:0"]


def start(data, *args):
    return subprocess.Popen([str(kinema.ROOT / "run"), *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True,
                            env={**kinema.clean_env(), "KINEMA_DATA": str(data)},
                            # a shell's background job ignores Ctrl-C, and so would all its children
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def post(url, body, cookie=None):
    headers = {"content-type": "application/json", **({"cookie": cookie} if cookie else {})}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer), answer.headers.get("set-cookie", "").split(";")[0]


def test_run_shows_the_demo_camera_and_ctrl_c_stops_everything(tmp_path):
    process = start(tmp_path / "data", *FREE)
    try:
        ready = process.stdout.readline()  # after the build
        endpoints = dict(pair.split("=", 1) for pair in ready.split()[1:])
        text = ""
        while "Ctrl-C" not in text:
            line = process.stderr.readline()
            assert line, text
            text += line
        assert re.search(r"AWS_ACCESS_KEY_ID=\S+\n\s+AWS_SECRET_ACCESS_KEY=\S{40}\n", text)
        link = re.search(r"http://\S+/#login=(\w+)", text)
        console = endpoints["console"]
        cookie = post(console + "/kinema/v1/login", {"token": link.group(1)})[1]

        deadline, live = time.monotonic() + 60, []
        while not live:
            assert time.monotonic() < deadline, "the demo camera does not come"
            time.sleep(0.3)
            streams = post(console + "/kinema/v1/streams", None, cookie)[0]["streams"]
            live = [s["name"] for s in streams if s["live"]]
        assert live == ["demo-camera"]

        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 130
        for name in ("api", "ingest", "console"):
            with socket.socket() as probe:
                address = urllib.parse.urlsplit(endpoints[name])
                assert probe.connect_ex((address.hostname, address.port)) != 0, f"{name} still runs"
        assert "stopped" in (tmp_path / "data" / "kinema.log").read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(40)


def test_a_busy_port_is_explained(tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        process = start(tmp_path / "data", *FREE[:4], "--console", address)
        out, text = process.communicate(timeout=600)
    assert process.returncode == 4 and out == ""
    assert address in text and "choose other ports" in text
