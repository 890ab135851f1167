# SPDX-License-Identifier: Apache-2.0
"""The console's listener: who may come in, logins, and the JSON behind the page."""

import gzip
import re
import time

import pytest

import hls
import kinema
import media
import mkv
from console import Browser


@pytest.fixture
def browser(server):
    return Browser(server)


@pytest.fixture
def logged_in(server, browser):
    assert browser.login(server.key)[0] == 200
    return browser


def link_token(server, *args):
    out = kinema.run("console-link", "--data", server.data, "--url", server.console, *args).stdout
    assert out.startswith(server.console + "/#login=")
    return out.strip().split("=", 1)[1]


# --- the page -------------------------------------------------------------------------------------
@pytest.mark.parametrize("path, kind", [
    ("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css"),
    ("/hls.js", "text/javascript"), ("/dash.js", "text/javascript"), ("/icon.svg", "image/svg+xml"),
    ("/hls.js.license.txt", "text/plain"), ("/dash.js.license.txt", "text/plain"),
])
def test_the_page_is_in_the_binary(browser, path, kind):
    answer, data = browser.get(path, raw=True)
    assert answer.status == 200 and answer.getheader("Content-Type").startswith(kind)
    assert len(data) > 300
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    policy = answer.getheader("Content-Security-Policy")
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_an_asset_that_has_not_changed_costs_304(browser):
    answer, data = browser.get("/app.js", raw=True)
    tag = answer.getheader("ETag")
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    again, body = browser.get("/app.js", raw=True, headers={"If-None-Match": f'"x", {tag}'})
    assert again.status == 304 and body == b""
    other, _ = browser.get("/app.js", raw=True, headers={"If-None-Match": '"x"'})
    assert other.status == 200


def test_assets_are_compressed_for_who_takes_it(browser):
    plain = browser.get("/hls.js", raw=True)[1]
    answer, small = browser.get("/hls.js", raw=True, headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert answer.getheader("Content-Encoding") == "gzip"
    assert gzip.decompress(small) == plain
    answer, data = browser.get("/hls.js", raw=True, headers={"Accept-Encoding": "gzip;q=0"})
    assert answer.getheader("Content-Encoding") is None and data == plain


def test_nothing_else_is_served(browser):
    assert browser.get("/nothing", raw=True)[0].status == 404
    assert browser.get("/../app.js", raw=True)[0].status in (400, 404)
    assert browser.request("PUT", "/kinema/v1/streams", raw=True)[0].status == 405


# --- who may come in ------------------------------------------------------------------------------
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                                  "evil.example:8080", ""])
def test_a_foreign_host_is_refused(browser, host):
    for path in ("/", "/kinema/v1/session", "/metrics", "/healthz"):
        assert browser.get(path, raw=True, headers={"Host": host})[0].status in (400, 403), path


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]:8080", "192.168.7.9:8080"])
def test_plain_addresses_and_localhost_are_welcome(browser, host):
    assert browser.get("/healthz", raw=True, headers={"Host": host})[0].status == 200


def test_a_further_host_name_can_be_configured(make_server):
    server = make_server(args=["--host-names", "video.example.org, other.example"])
    browser = Browser(server)
    for host in ("video.example.org", "other.example:8080"):
        assert browser.get("/healthz", raw=True, headers={"Host": host})[0].status == 200
    assert browser.get("/healthz", raw=True, headers={"Host": "evil.example"})[0].status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null"])
def test_a_foreign_origin_is_refused(server, browser, origin):
    status = browser.request("POST", "/kinema/v1/login", {"token": "x"}, raw=True,
                             headers={"Origin": origin})[0].status
    assert status == 403


def test_the_pages_own_origin_is_welcome(server, browser):
    status, _ = browser.request(
        "POST", "/kinema/v1/login",
        {"accessKeyId": server.key.id, "secretAccessKey": server.key.secret},
        headers={"Origin": server.console})
    assert status == 200


def test_a_form_of_another_page_cannot_post(browser):
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = browser.request("POST", "/kinema/v1/login", b"{}", raw=True,
                                 headers={"Content-Type": kind})[0]
        assert answer.status == 415


def test_without_a_login_there_is_nothing_to_see(browser, stream):
    for path in ("/kinema/v1/streams", f"/kinema/v1/streams/{stream}",
                 f"/kinema/v1/streams/{stream}/coverage"):
        assert browser.get(path) == (401, {"error": "login_required", "message": "log in first"})
    assert browser.post(f"/kinema/v1/streams/{stream}/play", {"mode": "LIVE"})[0] == 401
    assert browser.get("/kinema/v1/session") == (200, {"authenticated": False, "noAuth": False})


# --- logging in -----------------------------------------------------------------------------------
def test_login_by_access_key(server, browser):
    status, body = browser.login(server.key)
    assert status == 200 and body["expiresMs"] > time.time() * 1000
    assert re.search(r"; HttpOnly(;|$)", browser.set_cookie)
    assert "SameSite=Strict" in browser.set_cookie
    session = browser.get("/kinema/v1/session")[1]
    assert session["authenticated"] and session["accessKeyId"] == server.key.id
    assert session["apiUrl"] == server.api and session["ingestUrl"] == server.ingest
    assert session["region"] == kinema.REGION and re.fullmatch(r"\d{12}", session["account"])


@pytest.mark.parametrize("change", ["id", "secret", "empty"])
def test_a_wrong_key_is_refused(make_server, change):
    server = make_server()
    browser = Browser(server)
    key = kinema.Key({"AccessKeyId": server.key.id, "SecretAccessKey": server.key.secret})
    if change == "id":
        key.id = "AKIDNOBODY"
    else:
        key.secret = "" if change == "empty" else key.secret[:-1] + ("y" if key.secret[-1] == "x" else "x")
    assert browser.login(key)[0] == 401
    assert browser.cookie is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"token": 1}', b'"x"', b'{"accessKeyId": null}'])
def test_a_malformed_login_is_refused(browser, body):
    status, _ = browser.request("POST", "/kinema/v1/login", body,
                                headers={"Content-Type": "application/json"})
    assert status in (400, 401)


def test_guessing_is_slowed_down_for_those_who_guess(make_server):
    server = make_server()
    browser = Browser(server)
    wrong = kinema.Key({"AccessKeyId": server.key.id, "SecretAccessKey": "wrong"})
    codes = [browser.login(wrong)[0] for _ in range(40)]
    assert codes[0] == 401 and codes[-1] == 429
    assert browser.login(server.key)[0] == 429
    assert Browser(server, "127.0.0.2").login(server.key)[0] == 200


def test_a_link_opens_the_console_exactly_once(server, browser):
    token = link_token(server)
    assert browser.post("/kinema/v1/login", {"token": token})[0] == 200
    assert browser.get("/kinema/v1/session")[1]["authenticated"]
    other = Browser(server)
    status, body = other.post("/kinema/v1/login", {"token": token})
    assert (status, body["error"]) == (401, "link_spent") and other.cookie is None


def test_a_link_without_a_url_is_where_the_running_server_listens(make_server):
    server = make_server(args=["--console", "127.0.0.1:0"])
    link = ["console-link", "--data", server.data]
    out = kinema.run(*link).stdout
    assert out.startswith(server.console + "/#login=")
    assert Browser(server).post("/kinema/v1/login", {"token": out.strip().split("=", 1)[1]})[0] == 200
    server.stop()
    assert kinema.run(*link).stdout.startswith("http://127.0.0.1:8080/#login=")
    assert kinema.run(*link, "--console", "127.0.0.1:9").stdout.startswith("http://127.0.0.1:9/#login=")


def test_there_is_no_link_where_there_is_no_console(make_server):
    server = make_server(args=["--console", "off"])
    link = ["console-link", "--data", server.data]
    running = kinema.run(*link, check=False)
    server.stop()
    for done in running, kinema.run(*link, "--console", "off", check=False):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "kinema: the server has no console (setting console)\n"
    assert kinema.run(*link, "--url", "http://a").stdout.startswith("http://a/#login=")


def test_a_link_lies_in_the_data_folder_as_a_digest_only(server):
    token = link_token(server)
    for path in (server.data / "catalogue").iterdir():
        assert token.encode() not in path.read_bytes()


def test_a_login_survives_a_restart_and_ends_with_its_key(make_server):
    server = make_server()
    key = server.create_key()
    browser = Browser(server)
    assert browser.login(key)[0] == 200
    server.restart()
    assert browser.get("/kinema/v1/streams")[0] == 200
    kinema.run("credentials", "revoke", key.id, "--data", server.data)
    assert browser.get("/kinema/v1/streams")[0] == 401


def test_logout_ends_the_session_on_the_server(logged_in):
    cookie = logged_in.cookie
    assert logged_in.post("/kinema/v1/logout", {})[0] == 200
    logged_in.cookie = cookie
    assert logged_in.get("/kinema/v1/streams")[0] == 401


def test_a_tampered_cookie_is_nothing(logged_in):
    name, value = logged_in.cookie.split("=", 1)
    for at in (3, len(value) // 2, len(value) - 4):
        logged_in.cookie = f"{name}={value[:at]}{'A' if value[at] != 'A' else 'B'}{value[at + 1:]}"
        assert logged_in.get("/kinema/v1/streams")[0] == 401


def test_no_auth_needs_no_login(make_server):
    server = make_server(auth=False)
    browser = Browser(server)
    assert browser.get("/kinema/v1/streams")[0] == 200
    assert browser.get("/kinema/v1/session")[1]["noAuth"]


# --- what it shows --------------------------------------------------------------------------------
def test_a_stream_without_video(server, logged_in, stream):
    status, info = logged_in.get(f"/kinema/v1/streams/{stream}")
    assert status == 200
    assert info["name"] == stream and info["status"] == "ACTIVE"
    assert info["retentionHours"] == 24 and info["canPlay"] and info["canClip"]
    assert (info["fragments"], info["bytes"], info["live"], info["recent"]) == (0, 0, False, [])
    assert "now" not in info
    assert logged_in.get(f"/kinema/v1/streams/{stream}/coverage")[1]["spans"] == []


def test_the_list_pages_in_order_of_names(make_server):
    server = make_server()
    names = sorted(kinema.new_name() for _ in range(5))
    for name in names:
        server.create_stream(name)
    browser = Browser(server)
    browser.login(server.key)
    seen, after = [], ""
    while after is not None:
        page = browser.get(f"/kinema/v1/streams?limit=2&after={after}")[1]
        seen += [s["name"] for s in page["streams"]]
        after = page.get("next")
    assert seen == names


def test_an_unknown_stream_is_404(logged_in):
    for path in ("/kinema/v1/streams/none", "/kinema/v1/streams/none/coverage"):
        assert logged_in.get(path)[0] == 404
    assert logged_in.post("/kinema/v1/streams/none/play", {"mode": "LIVE"})[0] == 404


def test_a_key_shows_only_the_streams_it_may_describe(server, browser):
    mine, other = kinema.new_name("gate"), kinema.new_name("yard")
    for name in (mine, other):
        server.create_stream(name)
    key = server.create_key("--allow", "kinesisvideo:DescribeStream", "--stream", "gate-*")
    browser.login(key)
    names = [s["name"] for s in browser.get("/kinema/v1/streams")[1]["streams"]]
    assert mine in names and other not in names
    assert browser.get(f"/kinema/v1/streams/{other}")[0] == 404
    info = browser.get(f"/kinema/v1/streams/{mine}")[1]
    assert info["canPlay"] is False and info["canClip"] is False
    assert browser.post(f"/kinema/v1/streams/{mine}/play", {"mode": "LIVE"})[0] == 404


@pytest.mark.parametrize("query", ["from=x", "from=5&to=1", "gap=-1", "from=-1", "to="])
def test_a_wrong_range_is_400(logged_in, stream, query):
    assert logged_in.get(f"/kinema/v1/streams/{stream}/coverage?{query}")[0] == 400


@pytest.mark.parametrize("body", [{}, {"mode": "FAST"}, {"mode": "ON_DEMAND"}, {"mode": "LIVE_REPLAY"},
                                  {"mode": 1}, {"mode": "LIVE", "from": "x"},
                                  {"mode": "LIVE", "protocol": "RTMP"}, {"mode": "LIVE", "protocol": 1}])
def test_a_wrong_play_request_is_400(logged_in, stream, body):
    assert logged_in.post(f"/kinema/v1/streams/{stream}/play", body)[0] == 400


def test_a_session_is_of_the_protocol_asked_for(server, logged_in, stream):
    media.upload(server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_aac_abs.mkv"))
    path = f"/kinema/v1/streams/{stream}/play"
    body = {"mode": "ON_DEMAND", "from": round(time.time() * 1000) - 3600 * 1000}
    for protocol, name, begin in (("HLS", "/hls/v1/getHLSMasterPlaylist.m3u8", b"#EXTM3U"),
                                  ("DASH", "/dash/v1/getDASHManifest.mpd", b"<?xml")):
        status, play = logged_in.post(path, {**body, "protocol": protocol})
        assert status == 200 and play["url"].startswith(server.api + name), play
        answer = hls.get(play["url"])
        assert answer.status == 200 and answer.body.startswith(begin)
    assert logged_in.get(f"/kinema/v1/streams/{stream}")[1]["canDash"] is True
    other = Browser(server)
    other.login(server.create_key("--allow", "kinesisvideo:DescribeStream", "--allow",
                                  "kinesisvideo:GetHLSStreamingSessionURL"))
    info = other.get(f"/kinema/v1/streams/{stream}")[1]
    assert info["canPlay"] is True and info["canDash"] is False
    assert other.post(path, {**body, "protocol": "DASH"})[0] == 404
    assert other.post(path, body)[0] == 200


def test_a_clip_is_saved_from_an_address(server, logged_in, stream, tmp_path):
    """Cut exactly; any part of it may be asked for; the browser is told a name for it."""
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_aac_abs.mkv")
    media.upload(server, stream, capture)
    listed = server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "SERVER_TIMESTAMP",
        "TimestampRange": hls.around_now()})["Fragments"]
    first = min(round(f["ServerTimestamp"].timestamp() * 1000) for f in listed)
    path = f"/kinema/v1/streams/{stream}/clip"
    while time.time() * 1000 < first + 1500:  # it came faster than it plays: a clip ends by now
        time.sleep(0.02)
    status, clip = logged_in.post(path, {"from": first + 500, "to": first + 1500})
    assert status == 200, clip
    answer = hls.get(clip["url"])
    assert answer.status == 200 and len(answer.body) == clip["bytes"]
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{stream}-')
    part = hls.get(clip["url"], Range="bytes=100-299")
    assert part.status == 206 and part.body == answer.body[100:300]
    head = hls.get(clip["url"], method="HEAD")
    assert int(head.headers["content-length"]) == clip["bytes"] and not head.body
    file = tmp_path / "clip.mp4"
    file.write_bytes(answer.body)
    done = hls.run("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0",
                   str(file))
    assert abs(float(done.stdout) - 1) < 0.05 or len(listed) > 1, done.stdout
    changed = clip["url"][:-4] + ("AAAA" if not clip["url"].endswith("AAAA") else "BBBB")
    assert hls.get(changed).status == 403
    assert hls.get(clip["url"].replace("/clip/v1/getClip.mp4", "/hls/v1/getHLSMasterPlaylist.m3u8")
                   ).status == 400
    assert logged_in.post(path, {"from": 1000, "to": 2000})[0] == 404
    for body in ({}, {"from": 5}, {"from": 5, "to": 5}, {"from": 0, "to": 5}, {"from": "x", "to": 5}):
        assert logged_in.post(path, body)[0] == 400
    assert logged_in.post("/kinema/v1/streams/none/clip", {"from": 1, "to": 2})[0] == 404


# --- legal holds -----------------------------------------------------------------------------------

def holds_path(stream):
    return f"/kinema/v1/streams/{stream}/holds"


def test_a_hold_is_set_seen_and_lifted(server, stream):
    browser = Browser(server)
    assert browser.login(server.key)[0] == 200
    path = holds_path(stream)
    assert browser.get(path) == (200, {"holds": [], "canPut": True, "canLift": True})
    wanted = {"name": "case-1", "fromMs": 1000, "toMs": 2000, "reason": "a \"reason\""}
    status, made = browser.post(path, wanted)
    assert status == 200 and made["by"] == server.key.id
    assert {key: made[key] for key in wanted} == wanted
    assert browser.get(path)[1]["holds"] == [made]
    assert browser.post(path, wanted)[0] == 409
    assert browser.post(path + "/lift", {"name": "case-1"}) == (200, {})
    assert browser.post(path + "/lift", {"name": "case-1"})[0] == 404
    status, made = browser.post(path, {"name": "open", "fromMs": 0})
    assert status == 200 and "toMs" not in made


@pytest.mark.parametrize("body", [
    b"[]", b"{", {"name": "a"}, {"fromMs": 1}, {"name": "", "fromMs": 1}, {"name": "a/b", "fromMs": 1},
    {"name": "n" * 129, "fromMs": 1}, {"name": "a", "fromMs": 2, "toMs": 1},
    {"name": "a", "fromMs": -1}, {"name": "a", "fromMs": "1"}, {"name": 1, "fromMs": 1},
    {"name": "a", "fromMs": 1, "reason": "r" * 1025}])
def test_a_hold_that_makes_no_sense_is_refused(server, stream, body):
    browser = Browser(server)
    browser.login(server.key)
    status, answer = browser.post(holds_path(stream), body,
                                  headers={"Content-Type": "application/json"})
    assert status == 400 and answer["message"]
    assert browser.get(holds_path(stream))[1]["holds"] == []


def test_holds_need_the_rights_of_the_api(server, stream):
    admin, seer = Browser(server), Browser(server)
    admin.login(server.key)
    assert admin.post(holds_path(stream), {"name": "case-1", "fromMs": 0})[0] == 200
    seer.login(server.create_key("--allow", "kinema:ListHolds", "--stream", stream))
    status, answer = seer.get(holds_path(stream))
    assert status == 200 and [h["name"] for h in answer["holds"]] == ["case-1"]
    assert not answer["canPut"] and not answer["canLift"]
    assert seer.post(holds_path(stream), {"name": "case-2", "fromMs": 0})[0] == 404
    assert seer.post(holds_path(stream) + "/lift", {"name": "case-1"})[0] == 404
    blind = Browser(server)
    blind.login(server.create_key("--allow", "kinesisvideo:*", "--stream", stream))
    assert blind.get(holds_path(stream))[0] == 404
    assert Browser(server).get(holds_path(stream))[0] == 401
