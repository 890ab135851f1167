# SPDX-License-Identifier: Apache-2.0
"""How well a stream comes in, as the console tells it: gaps, lag, errors, connections, and a word."""

import time

import pytest

import put_media as pm
from console import Browser

PATIENCE_S = 60
HEADER = pm.header()


@pytest.fixture
def browser(server):
    one = Browser(server)
    assert one.login(server.key)[0] == 200
    return one


def upload(server, stream):
    return pm.PutMedia(server.ingest, stream, server.key)


def fragment(at_ms, first=b""):
    """A second of ten frames, and then some."""
    return pm.cluster(at_ms, first + b"".join(pm.block(i * 100, key=i == 0) for i in range(10)))


def health(browser, stream, wanted=lambda now: True):
    """Once it is as wanted: an upload's end is noted a moment after its client has it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status, now = browser.get(f"/kinema/v1/streams/{stream}/health")
        assert status == 200, now
        if wanted(now):
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


def brief(browser, stream):
    return browser.get(f"/kinema/v1/streams/{stream}")[1]["health"]


def test_a_stream_without_an_upload_is_off(browser, stream):
    now = health(browser, stream)
    assert (now["level"], now["why"], now["fragments"]) == ("off", [], 0)
    assert "uploads" not in now and "lagMs" not in now
    assert len(now["slots"]) == 60 and not any(sum(slot) for slot in now["slots"])
    assert brief(browser, stream) == {"level": "off", "why": []}


def test_a_stream_that_comes_whole_is_well(server, browser, stream):
    with upload(server, stream) as put:
        base = pm.now_ms() - 3000
        put.send(HEADER + b"".join(fragment(base + i * 1000) for i in range(3)) + pm.END_OF_FRAGMENT)
        put.wait_ack("PERSISTED", base + 2000)
        now = health(browser, stream)
        assert (now["level"], now["why"]) == ("good", [])
        assert now["uploads"]["open"] == 1 and now["uploads"]["begun"] == 1
        assert abs(now["uploads"]["sinceMs"] - now["nowMs"]) < PATIENCE_S * 1000
        assert "errorMs" not in now["uploads"]
        put.end().wait_over()
    now = health(browser, stream, lambda now: now["uploads"]["open"] == 0)
    assert now["uploads"]["endedMs"] >= now["uploads"]["sinceMs"]
    assert now["fragments"] == 3 and now["gaps"] == 0 and 900 <= now["fragmentMs"] <= 1000
    assert now["slotMs"] == 10000 and now["fromMs"] % 10000 == 0
    totals = [sum(column) for column in zip(*now["slots"])]
    assert totals[2] == 3 and totals[1] == now["fragmentMs"] * 3 and totals[0] > 0
    assert now["bitsPerSecond"] == totals[0] * 8000 // totals[1]


def test_time_that_is_missing_is_a_gap(server, browser, stream):
    with upload(server, stream) as put:
        base = pm.now_ms() - 6000
        put.finish(HEADER + fragment(base) + fragment(base + 1000) + fragment(base + 4000))
    now = health(browser, stream, lambda now: now["why"])
    assert (now["level"], now["why"]) == ("warn", ["gaps"])
    assert now["gaps"] == 1 and 2000 <= now["gapMs"] <= 2200
    assert sum(slot[5] for slot in now["slots"]) == now["gapMs"]
    assert brief(browser, stream) == {"level": "warn", "why": ["gaps"]}
    listed = {s["name"]: s for s in browser.get("/kinema/v1/streams")[1]["streams"]}
    assert listed[stream]["health"] == {"level": "warn", "why": ["gaps"]}


def test_pictures_that_come_late_are_said_and_old_recordings_are_not(server, browser, stream):
    with upload(server, stream) as put:
        put.finish(HEADER + fragment(pm.now_ms() - 40000))
    now = health(browser, stream, lambda now: now["why"])
    assert (now["level"], now["why"]) == ("warn", ["lag"]) and 40000 <= now["lagMs"] < 100000
    assert now["lagMs"] == now["lagMsMax"] == max(slot[4] for slot in now["slots"])
    archive = server.create_stream()
    with upload(server, archive) as put:
        put.finish(HEADER + fragment(pm.now_ms() - 10 * 24 * 3600 * 1000))
    health(browser, archive, lambda now: now["fragments"] == 1)
    assert (brief(browser, archive)) == {"level": "good", "why": []}


def test_an_upload_that_was_refused_is_told_with_its_error(server, browser, stream):
    with upload(server, stream) as put:
        put.send(HEADER + fragment(pm.now_ms() - 1000) + b"\x00" * 64)
        put.end().wait_over()
        error = put.error()
    assert error, "it is refused"
    now = health(browser, stream, lambda now: now["uploads"]["open"] == 0)
    assert now["why"] == ["error"]
    told = now["uploads"]
    assert (told["errors"], told["errorId"], told["errorCode"]) == (
        1, error["ErrorId"], error["ErrorCode"])
    assert told["errorText"] and told["errorMs"] <= now["nowMs"]


def test_fragments_that_do_not_begin_with_key_frames_are_taken_and_told(server, browser, stream):
    def keyless():
        name = f'kinema_ingest_keyless_fragments_total{{stream="{stream}"}} '
        text = browser.get("/metrics", raw=True)[1].decode()
        return [int(line[len(name):]) for line in text.splitlines() if line.startswith(name)]

    base = pm.now_ms() - 3000
    sound = pm.track(2, kind=2, codec=b"A_AAC")
    with upload(server, stream) as put:
        put.finish(pm.header([pm.track(1), sound]) + fragment(base, pm.block(0, number=2)))
        assert put.kinds()[-1] == "PERSISTED"
    assert keyless() == [] and brief(browser, stream) == {"level": "good", "why": []}
    late = b"".join(pm.block(i * 100, key=i == 1) for i in range(10))
    with upload(server, stream) as put:
        put.finish(HEADER + pm.cluster(base + 1000, late) + pm.cluster(base + 2000, late))
        assert put.kinds().count("PERSISTED") == 2
    assert keyless() == [2]
    now = health(browser, stream, lambda now: now["uploads"]["open"] == 0)
    assert (now["level"], now["why"]) == ("warn", ["keyless"])
    assert server.log().count(f"upload_without_key_frames stream={stream} ") == 1


def test_connections_that_break_again_and_again_are_counted(server, browser, stream):
    base = pm.now_ms() - 6000
    for i in range(5):
        with upload(server, stream) as put:
            put.finish(HEADER + fragment(base + i * 1000))
    now = health(browser, stream, lambda now: now["uploads"]["open"] == 0)
    assert now["uploads"]["begun"] == 5 and now["why"] == ["reconnects"]


def test_who_may_not_see_the_stream_may_not_see_its_health(server, stream):
    other = Browser(server)
    assert other.login(server.create_key("--allow", "kinesis:*"))[0] == 200
    assert other.get(f"/kinema/v1/streams/{stream}/health")[0] == 404
    assert Browser(server).get(f"/kinema/v1/streams/{stream}/health")[0] == 401
