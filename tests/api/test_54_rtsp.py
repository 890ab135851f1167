# SPDX-License-Identifier: Apache-2.0
"""The RTSP listener: what is pushed is stored as it was sent, and goes out again as it is stored."""

import base64
import datetime
import os
import signal
import time

import kinema
import pytest
import rtsp
import rtsp_peer
from rtsp_peer import Raw, wait_until

FILMS = {"h264": ("libx264", "aac"), "alaw": ("libx264", "pcm_alaw"), "h265": ("libx265", "libopus")}
FRAMES = 24  # of a film


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return {name: rtsp_peer.film(folder / f"{name}.mkv", *codecs) for name, codecs in FILMS.items()}


@pytest.fixture(scope="module")
def server():
    with kinema.Server(args=["--rtsp", "127.0.0.1:0"]) as one:
        yield one


def sound_of(documents):
    return [frame.payload for document in documents for frame in document.frames if frame.track == 2]


def stored(server, stream, least=FRAMES, least_sound=0):
    """Its documents, once so many frames of its first track are there, and bytes of its second."""
    found = []

    def enough():
        try:
            found[:] = rtsp.stored(server, stream)[1]
        except Exception:  # nothing is listed yet, which boto3 refuses to ask for
            return False
        return len(rtsp.hashes(found)) >= least and len(b"".join(sound_of(found))) >= least_sound

    wait_until(f"{stream} has no {least} frames, or no {least_sound} bytes of sound", enough)
    return found


def part_of(part, whole):
    """An unbroken one."""
    starts = [at for at, one in enumerate(whole) if one == part[0]]
    return any(whole[at:at + len(part)] == part for at in starts)


@pytest.fixture(scope="module")
def pushed(server, films):
    """Streams into which films were pushed, all at once: {(film, transport): (stream, begin)}."""
    done, began = {}, time.time() - 1
    for film, transport in (("h264", "tcp"), ("h264", "udp"), ("alaw", "udp"), ("h265", "tcp")):
        stream = server.create_stream()
        done[film, transport] = stream, rtsp_peer.push(server, stream, films[film], transport)
    for _, process in done.values():
        rtsp_peer.ended(process, server)
    return {key: (stream, began) for key, (stream, _) in done.items()}


@pytest.mark.parametrize("film, transport, codecs", [
    ("h264", "tcp", (b"V_MPEG4/ISO/AVC", b"A_AAC")), ("h264", "udp", (b"V_MPEG4/ISO/AVC", b"A_AAC")),
    ("alaw", "udp", (b"V_MPEG4/ISO/AVC", b"A_MS/ACM")), ("h265", "tcp", (b"V_MPEGH/ISO/HEVC", b"A_OPUS")),
])
def test_what_is_pushed_is_stored_as_it_was_sent(server, films, pushed, film, transport, codecs):
    documents = stored(server, pushed[film, transport][0], least_sound=2000)
    assert rtsp.hashes(documents) == rtsp_peer.packets(films[film], 0), "each picture, once"
    assert all(codec in documents[0].data for codec in codecs)
    times = [document.timecode + frame.time for document in documents for frame in document.frames
             if frame.track == 1]
    assert all(abs(b - a - 1000 / 15) < 3 for a, b in zip(times, times[1:])), "at the sender's distances"
    if film == "h264":  # G.711 and Opus are cut anew by ffmpeg's payloader, or have no packets of a size
        assert part_of(rtsp.hashes(documents, 2), rtsp_peer.packets(films[film], 1))


def test_sound_that_stops_and_comes_again_costs_no_picture(server, tmp_path):
    """Sound that is announced and does not come makes players wait; so it is not announced then."""
    stream, whole = server.create_stream(), rtsp_peer.film(tmp_path / "whole.mkv", seconds=14)
    film = rtsp_peer.silenced(tmp_path / "gap.mkv", whole, 16, 140)  # of 64 ms: 1 s to 9 s
    rtsp_peer.ended(rtsp_peer.push(server, stream, film, pace=("-readrate", "4")), server)
    documents = stored(server, stream, 14 * 15)
    assert rtsp.hashes(documents) == rtsp_peer.packets(film, 0), "each picture, once"
    announced = [b"A_AAC" in document.data for document in documents]
    heard = [any(frame.track == 2 for frame in document.frames) for document in documents]
    stretches = [one for one, before in zip(announced, [None, *announced]) if one != before]
    assert stretches == [True, False, True], announced
    silent = announced.index(False)
    assert any(heard[:silent]) and any(heard[silent:])


def units(documents):
    return [unit for document in documents for frame in document.frames if frame.track == 1
            for unit in rtsp_peer.units_of_frame(frame.payload)]


def test_the_archive_goes_out_as_it_is_stored_at_the_pace_of_its_time(server, films, pushed, tmp_path):
    stream, began = pushed["h264", "tcp"]
    wanted = units(stored(server, stream))[:-12]  # rtph264depay keeps the last ones back
    start = datetime.datetime.utcfromtimestamp(began).isoformat() + "Z"
    before = time.monotonic()
    views = {how: rtsp_peer.View(server, stream, tmp_path / how, how, f"?start={start}")
             for how in ("tcp", "udp")}
    for how, one in views.items():
        assert one.units(len(wanted))[:len(wanted)] == wanted, how
    assert time.monotonic() - before > 1, "a film of 1.6 s"
    address = rtsp_peer.url(server, stream, server.key, f"?start={start}")
    seen = rtsp_peer.pictures(address, 8, "-analyzeduration", "500000")
    assert seen == rtsp_peer.pictures(films["h264"], 8), "ffmpeg plays it"


def test_what_arrives_goes_out_while_it_does(server, films, tmp_path):
    stream = server.create_stream()
    camera = rtsp_peer.push(server, stream, films["h264"], loop=True)
    server.wait_log(f'rtsp_push_began stream="{stream}"', timeout=60)
    stored(server, stream, 1)
    seen = rtsp_peer.View(server, stream, tmp_path / "live").units(FRAMES)
    server.wait_log(f'rtsp_view_began stream="{stream}"', timeout=60)
    wait_until("the push is not counted", lambda: rtsp_peer.metric(server, "kinema_rtsp_pushes") == 1)
    camera.terminate()
    camera.communicate()
    for event in ("push", "view"):
        server.wait_log(f'rtsp_{event}_ended stream="{stream}"', timeout=60)
    assert rtsp_peer.metric(server, "kinema_rtsp_events_total") >= 4
    wait_until("what was seen is not stored", lambda: part_of(seen, units(stored(server, stream))))


def test_who_may_not_is_told_so(server, stream_of_server, pushed):
    stream, _ = pushed["h264", "tcp"]
    key = server.create_key("--allow", "kinesisvideo:GetMedia", "--stream", stream)

    def basic(user, secret):
        return "Authorization: Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()

    raw = Raw(server)
    assert raw.ask("OPTIONS", stream)[0] == 200
    status, head = raw.ask("DESCRIBE", stream)
    assert status == 401 and "Digest realm=" in head and "Basic realm=" in head
    assert raw.ask("SETUP", stream + "/stream=0")[0] == 401
    assert raw.ask("DESCRIBE", stream, basic(key.id, "wrong"))[0] == 401
    assert raw.ask("DESCRIBE", stream, basic("nobody", key.secret))[0] == 401
    assert raw.ask("DESCRIBE", stream, raw.digest("DESCRIBE", stream, key.id, "wrong"))[0] == 401
    assert raw.ask("DESCRIBE", stream, "Authorization: Digest nonsense")[0] == 401
    assert raw.ask("ANNOUNCE", stream, basic(key.id, key.secret), body=b"v=0\r\n")[0] == 403
    assert raw.ask("DESCRIBE", stream_of_server, basic(key.id, key.secret))[0] == 403
    admin = basic(server.key.id, server.key.secret)
    for path, status in (("nobody", 404), ("", 404), ("a%20b", 404), (stream + "?start=soon", 400),
                         (stream + "?start=2036-01-01T00:00:00Z", 457)):
        assert raw.ask("DESCRIBE", path, admin)[0] == status, path
    for body, status in ((b"v=0\r\n", 415), (b"nonsense", 415), (b"", 400),
                         (b"v=0\r\nm=audio 0 RTP/AVP 2\r\na=rtpmap:2 G726-32/8000\r\n", 415)):
        assert raw.ask("ANNOUNCE", stream, admin, body=body)[0] == status, body
    start = "?start=2020-01-01T00:00:00Z"
    answer = raw.digest("DESCRIBE", stream + start, key.id, key.secret)
    raw.close()
    assert Raw(server).ask("DESCRIBE", stream + start, answer)[0] == 401, "of another connection"
    server.wait_log(f'rtsp_refused stream="{stream}" .*said="no such key')
    assert key.secret not in server.log() and server.key.secret not in server.log()


@pytest.fixture
def stream_of_server(server):
    return server.create_stream()


@pytest.mark.parametrize("how", ["basic", "digest"])
def test_a_description_names_what_is_stored(server, pushed, how):
    stream, _ = pushed["h265", "tcp"]
    path = stream + "?start=2020-01-01T00:00:00Z"
    raw = Raw(server)
    text = base64.b64encode(f"{server.key.id}:{server.key.secret}".encode()).decode()
    answer = (f"Authorization: Basic {text}" if how == "basic"
              else raw.digest("DESCRIBE", path, server.key.id, server.key.secret))
    assert raw.ask("DESCRIBE", path, answer)[0] == 200
    assert b"H265/90000" in raw.body and b"sprop-sps=" in raw.body and b"opus/48000" in raw.body.lower()
    raw.close()


def test_a_process_that_dies_costs_a_reconnect_and_the_port_stays(make_server, films):
    server = make_server(args=["--rtsp", "127.0.0.1:0"])
    stream = server.create_stream()
    camera = rtsp_peer.push(server, stream, films["h264"], loop=True)
    server.wait_log("rtsp_push_began", timeout=60)
    (pid,) = rtsp.child_of(server)
    os.kill(pid, signal.SIGKILL)
    server.wait_log("rtsp_worker_ended said=.*signal 9", timeout=60)
    assert camera.wait(timeout=60) != 0
    rtsp_peer.ended(rtsp_peer.push(server, stream, films["h264"]), server)
    stored(server, stream)
    assert rtsp_peer.metric(server, "kinema_rtsp_worker_ends_total") == 1
    assert server.process.poll() is None


def test_connections_of_one_address_are_limited(make_server):
    server = make_server(args=["--rtsp", "127.0.0.1:0", "--rtsp-connections-per-peer-max", 2])
    kept = [Raw(server) for _ in range(2)]
    assert [one.ask("OPTIONS", "x")[0] for one in kept] == [200, 200]
    assert Raw(server).is_hung_up_on()
    server.wait_log('rtsp_turned_away .*said="too many connections"', timeout=60)
    kept[0].close()
    wait_until("it is not let in again", lambda: not Raw(server).is_turned_away())


def test_who_is_idle_is_hung_up_on_and_who_waits_is_not(make_server):
    server = make_server(args=["--rtsp", "127.0.0.1:0", "--rtsp-idle-ms", 1000], auth=False)
    stream = server.create_stream()
    assert Raw(server).is_hung_up_on()

    def described(path):  # who needs a second between connecting and asking is idle, too
        found = []

        def asked():
            try:
                found.append(Raw(server).ask("DESCRIBE", path)[0])
            except (AssertionError, OSError):
                pass
            return found

        wait_until("it is not answered", asked)
        return found[0]

    assert described(stream) == 503, "nobody is asked for a key, and nothing is there"
    assert described("nobody") == 404


def test_other_machines_are_served_only_when_that_is_said(tmp_path):
    with pytest.raises(kinema.StartFailed) as refused:
        kinema.Server(args=["--rtsp", "0.0.0.0:0"])
    assert "--plain-ingest-anywhere" in refused.value.log
