# SPDX-License-Identifier: Apache-2.0
"""Cameras by the console: looked at, set, changed, removed; and who may do that."""

import pathlib
import socket
import time

import pytest

import kinema
import rtsp
from console import Browser

PATIENCE_S = 60
PROBES_AT_ONCE = 4


@pytest.fixture
def browser(server):
    one = Browser(server)
    assert one.login(server.key)[0] == 200
    return one


@pytest.fixture
def make_camera():
    cameras = []

    def make(*options):
        cameras.append(rtsp.Camera(*options))
        return cameras[-1]

    yield make
    for one in cameras:
        one.kill()


@pytest.fixture
def mute():
    """A host that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"rtsp://127.0.0.1:{listener.getsockname()[1]}/x"


def path(stream, rest=""):
    return f"/kinema/v1/streams/{stream}/camera{rest}"


def look(browser, url, **members):
    """Begins to look at a camera; what is returned waits for what is found."""
    status, body = browser.post("/kinema/v1/probes", {"url": url, **members})
    assert status == 200, body

    def found():
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, answer = browser.get(f"/kinema/v1/probes/{body['probe']}")
            assert status == 200, answer
            if not answer.get("looking"):
                return answer
            assert time.monotonic() < deadline, "the probe does not end"
            time.sleep(0.1)

    return found


def found_again(first, again):
    """A look ends after its time, in which a slow machine's camera may have sent nothing."""
    found = first()
    for _ in range(4):
        if found["fault"] == "stalled":
            found = again()()
    return found


def test_a_look_finds_what_a_camera_offers_or_says_why_there_is_nothing(server, browser, make_camera,
                                                                         mute):
    camera = make_camera("--audio", "pcma", "--basic", "viewer:geheim-x7q")
    good = look(browser, camera.url, user="viewer", password="geheim-x7q")
    silent = look(browser, mute)
    refused = look(browser, camera.with_credentials("viewer", "falsch-k2w"))
    found = refused()
    assert not found["ok"] and found["fault"] == "unauthorized"
    found = look(browser, camera.url + "/none", user="viewer", password="geheim-x7q")()
    assert not found["ok"] and found["fault"] == "not_found"
    assert look(browser, "rtsp://127.0.0.1:1/")()["fault"] == "unreachable"
    assert silent()["fault"] in ("stalled", "unreachable")
    found = found_again(good, lambda: look(browser, camera.url, user="viewer", password="geheim-x7q"))
    assert found["ok"] and found["fault"] is None
    video, audio = found["tracks"]
    assert (video["codec"], video["width"], video["height"]) == ("V_MPEG4/ISO/AVC", 160, 120)
    assert video["frames"] > 0 and video["framesPerSecond"] > 0
    assert (audio["codec"], audio["hz"], audio["channels"]) == ("A_MS/ACM", 8000, 1)
    assert "geheim-x7q" not in server.log() and "falsch-k2w" not in server.log()


def test_what_cannot_be_looked_at_is_named(browser):
    for url, words in (("http://x/", "rtsp://"), ("rtsp:///x", "a host")):
        status, body = browser.post("/kinema/v1/probes", {"url": url})
        assert status == 400 and words in body["message"]
    assert browser.post("/kinema/v1/probes", {"url": 1})[0] == 400
    assert browser.get("/kinema/v1/probes/0123")[0] == 404


def test_a_camera_is_added_changed_and_removed(server, browser, make_camera):
    camera, stream = make_camera("--digest", "viewer:geheim-x7q"), kinema.new_name()
    status, body = browser.post(path(stream), {
        "url": camera.url, "user": "viewer", "password": "geheim-x7q", "transport": "tcp",
        "retentionHours": 24})
    assert status == 200, body
    assert (body["camera"]["url"], body["camera"]["user"]) == (camera.url, "viewer")
    assert body["camera"]["hasPassword"] and body["canPut"] and body["canRemove"]
    assert browser.get(f"/kinema/v1/streams/{stream}")[1]["retentionHours"] == 24
    rtsp.recorded(server, stream, 1)
    status, body = browser.get(path(stream))
    assert body["camera"]["state"] == "RECORDING" and body["camera"]["frames"] > 0
    assert "geheim" not in str(body)
    listed = {s["name"]: s for s in browser.get("/kinema/v1/streams")[1]["streams"]}
    assert listed[stream]["camera"] == "RECORDING"

    # the password stays with its address, and goes to no other
    status, body = browser.post(path(stream), {"url": camera.url, "user": "viewer",
                                               "transport": "udp"})
    assert status == 200 and body["camera"]["transport"] == "udp" and body["camera"]["hasPassword"]
    kept = look(browser, camera.url, stream=stream, user="viewer")
    for post in (lambda m: browser.post(path(stream), m),
                 lambda m: browser.post("/kinema/v1/probes", {"stream": stream, **m})):
        status, body = post({"url": camera.url.replace("127.0.0.1", "127.0.0.2"), "user": "viewer"})
        assert status == 400 and "password again" in body["message"]
    assert found_again(kept, lambda: look(browser, camera.url, stream=stream, user="viewer"))["ok"]
    status, body = browser.post(path(stream), {"url": camera.url, "user": "viewer", "password": ""})
    assert status == 200 and not body["camera"]["hasPassword"]

    status, body = browser.post(path(stream, "/remove"), {})
    assert status == 200 and "camera" not in body
    assert browser.post(path(stream, "/remove"), {})[0] == 404
    assert "camera" not in browser.get(path(stream))[1]
    assert rtsp.call(server, "DescribeCamera", StreamName=stream)[0] == 404


def test_what_is_not_shown_of_a_url_is_kept_when_it_is_saved_again(server, browser, stream):
    secret = "rtsp://127.0.0.1:1/x?password=word"
    assert browser.post(path(stream), {"url": secret})[0] == 200
    shown = browser.get(path(stream))[1]["camera"]["url"]
    assert shown == "rtsp://127.0.0.1:1/x"
    assert browser.post(path(stream), {"url": shown, "transport": "tcp"})[0] == 200
    assert browser.get(path(stream))[1]["camera"]["url"] == shown
    assert browser.post(path(stream, "/remove"), {})[0] == 200


def test_bad_wishes_are_named(browser, stream):
    for members, words in (({"url": "ftp://x"}, "rtsp://"), ({"url": "rtsp://h/", "transport": "x"},
                           "transport"), ({"url": "rtsp://h/", "user": "u" * 300}, "256"),
                           ({"url": "rtsp://h/", "retentionHours": 0}, "JSON")):
        status, body = browser.post(path(stream), members)
        assert status == 400 and words in body["message"], body
    assert browser.post(path("no%20name"), {"url": "rtsp://h/"})[0] == 400
    assert browser.get(path("nobody"))[0] == 404
    fresh = kinema.new_name()
    assert browser.post(path(fresh), {"url": "ftp://x"})[0] == 400
    assert browser.get(f"/kinema/v1/streams/{fresh}")[0] == 404, "no stream is made for it"


def test_who_may_not_set_cameras_may_not_look_at_them(server, browser, stream):
    for allowed in ("kinesisvideo:*", "kinema:DescribeCamera"):
        other = Browser(server)
        assert other.login(server.create_key("--allow", allowed))[0] == 200
        assert other.post("/kinema/v1/probes", {"url": "rtsp://127.0.0.1:1/"})[0] == 403
        assert other.post(path(stream), {"url": "rtsp://127.0.0.1:1/"})[0] == 403
        assert other.post(path(stream, "/remove"), {})[0] == 404
        assert other.get("/kinema/v1/streams")[1]["canAddCamera"] is False
    status, body = browser.post("/kinema/v1/probes", {"url": "rtsp://127.0.0.1:1/"})
    assert status == 200
    assert other.get(f"/kinema/v1/probes/{body['probe']}")[0] == 404, "it is another one's"
    nobody = Browser(server)
    assert nobody.post("/kinema/v1/probes", {"url": "rtsp://127.0.0.1:1/"})[0] == 401
    assert nobody.get(f"/kinema/v1/probes/{body['probe']}")[0] == 401
    assert nobody.post(path(stream), {"url": "rtsp://127.0.0.1:1/"})[0] == 401


def test_a_key_of_some_streams_may_add_cameras_to_those(server):
    some = Browser(server)
    assert some.login(server.create_key("--allow", "kinema:PutCamera", "--stream", "yard-*"))[0] == 200
    assert some.get("/kinema/v1/streams")[1]["canAddCamera"] is True
    assert some.post("/kinema/v1/probes", {"stream": "gate", "url": "rtsp://127.0.0.1:1/"})[0] == 403
    assert some.post("/kinema/v1/probes", {"stream": "yard-1", "url": "rtsp://127.0.0.1:1/"})[0] == 200


def test_few_cameras_are_looked_at_at_once_and_no_process_outlives_the_server(make_server, mute):
    server = make_server()
    browser = Browser(server)
    assert browser.login(server.key)[0] == 200
    for _ in range(PROBES_AT_ONCE):
        assert browser.post("/kinema/v1/probes", {"url": mute, "user": "u",
                                                  "password": "geheim-x7q"})[0] == 200
    assert browser.post("/kinema/v1/probes", {"url": mute})[0] == 429
    children = rtsp.child_of(server)
    assert len(children) == PROBES_AT_ONCE
    for pid in children:
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"geheim" not in command and b"rtsp:" not in command, "anybody may read it"
    server.stop()
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children)


def test_a_look_that_nobody_waits_for_gives_its_place_back(make_server, mute):
    server = make_server()
    browser, other = Browser(server), Browser(server)
    assert browser.login(server.key)[0] == 200
    assert other.login(server.create_key("--allow", "*"))[0] == 200
    looks = []
    for _ in range(PROBES_AT_ONCE):
        status, body = browser.post("/kinema/v1/probes", {"url": mute})
        assert status == 200
        looks.append(body["probe"])
    assert browser.post("/kinema/v1/probes", {"url": mute})[0] == 429
    assert other.post(f"/kinema/v1/probes/{looks[0]}/cancel", {})[0] == 404, "it is another one's"
    assert len(rtsp.child_of(server)) == PROBES_AT_ONCE
    assert browser.post(f"/kinema/v1/probes/{looks[0]}/cancel", {}) == (200, {})
    assert len(rtsp.child_of(server)) == PROBES_AT_ONCE - 1
    assert browser.get(f"/kinema/v1/probes/{looks[0]}")[0] == 404
    assert browser.post(f"/kinema/v1/probes/{looks[0]}/cancel", {})[0] == 404
    assert browser.post("/kinema/v1/probes", {"url": mute})[0] == 200
