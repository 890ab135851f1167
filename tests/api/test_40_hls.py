# SPDX-License-Identifier: Apache-2.0
"""HLS as boto3 users and players see it: what is served plays, frame by frame (kvs-api.md §4)."""

import ssl
import threading
import time
import urllib.parse

import pytest

import hls
import kinema
import media
import mkv

CAPTURES = {"sink360_h264_aac_abs": "va", "c164_h264_abs_eofr_meta": "v",
            "c164_h265_abs_eofr_meta": "v", "sink360_h264_scale10ms": "v",
            "c164_h264_aac_abs_tc0": "va"}


def load(name):
    return mkv.capture(kinema.CAPTURES / f"{name}.mkv")


def frames_of(capture, track):
    return [f for fragment in capture.fragments for f in fragment.frames if f.track == track]


@pytest.fixture(scope="module")
def recorded(shared_server):
    """(server, stream, capture, acks) of one upload with video and audio. For reading only."""
    capture = load("sink360_h264_aac_abs")
    stream = shared_server.create_stream()
    return shared_server, stream, capture, media.upload(shared_server, stream, capture)


@pytest.mark.parametrize("name", CAPTURES)
def test_an_on_demand_session_plays_every_frame_of_a_real_upload(server, stream, name):
    capture = load(name)
    media.upload(server, stream, capture)

    url = hls.open_session(server, stream, **hls.produced(server, stream))

    for track, kind in enumerate(CAPTURES[name], 1):
        sent = frames_of(capture, track)
        found = hls.packets(url, kind)
        assert [size for _, size, _ in found] == [len(f.payload) for f in sent]
        if kind == "v":
            assert [key for _, _, key in found] == [f.key for f in sent]
    assert len(hls.frame_digests(url)) == len(frames_of(capture, 1))


def test_payload_is_byte_for_byte_what_was_sent(recorded):
    server, stream, capture, acks = recorded
    url = hls.open_session(server, stream)
    for track in (1, 2):
        found = hls.playlist(url, track)
        assert [s.number for s in found.segments] == [a["FragmentNumber"] for a in acks]
        for segment, fragment in zip(found.segments, capture.fragments):
            body = hls.get(segment.url).body
            payload = b"".join(f.payload for f in fragment.frames if f.track == track)
            assert body.endswith(b"mdat" + payload)


def test_segments_do_not_depend_on_the_session(recorded):
    server, stream, _, _ = recorded
    bodies = set()
    for _ in range(2):
        first = hls.playlist(hls.open_session(server, stream)).segments[0]
        bodies.add((hls.get(first.init).body, hls.get(first.url).body))
    assert len(bodies) == 1


def test_the_master_says_what_is_in_it(recorded):
    server, stream, _, _ = recorded
    text = hls.master(hls.open_session(server, stream))
    assert 'CODECS="avc1.64001e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=' in text
    assert 'TYPE=AUDIO' in text and 'AUDIO="audio"' in text
    assert text.count("#EXT-X-STREAM-INF") == 1


def test_on_demand_reads_as_the_guide_says(recorded):
    server, stream, _, _ = recorded
    url = hls.open_session(server, stream, DisplayFragmentTimestamp="ALWAYS")
    found = hls.playlist(url)
    assert found.vod and found.ended and found.sequence == 0
    assert all(s.discontinuity and s.time.endswith("Z") for s in found.segments)
    assert found.target >= round(max(s.seconds for s in found.segments))
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in found.text
    by_producer = hls.playlist(hls.open_session(server, stream, **hls.produced(server, stream)))
    assert not any(s.discontinuity or s.time for s in by_producer.segments)
    assert [s.number for s in by_producer.segments] == [s.number for s in found.segments]
    two = hls.playlist(hls.open_session(server, stream, MaxMediaPlaylistFragmentResults=2))
    assert [s.number for s in two.segments] == [s.number for s in found.segments[:2]]


def test_b_frames_are_shown_in_order(server, stream, tmp_path):
    source = tmp_path / "b.mkv"
    capture = hls.make(source, *hls.picture(4), *hls.X264, "-preset", "medium", "-bf", "3",
                       "-b_strategy", "0")
    times = [f.time for f in capture.fragments[0].frames]
    assert times != sorted(times), "no B-frames were made"
    media.upload(server, stream, capture)

    url = hls.open_session(server, stream, **hls.produced(server, stream))
    assert hls.frame_digests(url) == hls.frame_digests(source)
    shown = sorted(pts for pts, _, _ in hls.packets(url))
    assert all(abs(b - a - 0.04) < 0.002 for a, b in zip(shown, shown[1:]))
    ts = hls.open_session(server, stream, ContainerFormat="MPEG_TS", **hls.produced(server, stream))
    assert hls.frame_digests(ts) == hls.frame_digests(source)


@pytest.mark.parametrize("timecodes", ["ABSOLUTE", "RELATIVE"])
def test_decode_times_in_ts_never_step_back(server, stream, tmp_path, timecodes):
    """A fragment too short for B-frames leads its decode times by as much as its neighbours do, and
    the first one of a clock that begins at 0 is not shifted."""
    source = tmp_path / "short.mkv"
    capture = hls.make(source, *hls.picture(4), *hls.X264, "-preset", "medium", "-bf", "3",
                       "-b_strategy", "0", "-g", "250", "-force_key_frames", "0.96,1.04,2")
    reordered = [[f.time for f in x.frames] != sorted(f.time for f in x.frames)
                 for x in capture.fragments]
    assert reordered == [True, False, True, True]
    media.upload(server, stream, capture, timecodes)
    url = hls.open_session(server, stream, ContainerFormat="MPEG_TS", DiscontinuityMode="NEVER",
                           **hls.produced(server, stream))
    times = [pair for segment in hls.playlist(url).segments
             for pair in hls.ts_times(hls.get(segment.url).body)]
    assert len(times) == len(frames_of(capture, 1))

    def step(to, since):
        return (to - since + (1 << 32)) % (1 << 33) - (1 << 32)

    assert all(step(pts, dts) >= 0 for pts, dts in times)
    decoded = [dts for _, dts in times]
    assert all(step(b, a) == 3600 for a, b in zip(decoded, decoded[1:])), decoded
    shown = sorted(step(pts, times[0][0]) for pts, _ in times)
    assert all(b - a == 3600 for a, b in zip(shown, shown[1:])), shown
    assert hls.frame_digests(url) == hls.frame_digests(source)


def test_audio_alone_plays(server, stream, tmp_path):
    capture = hls.make(tmp_path / "a.mkv", *hls.tone(5), "-c:a", "aac", "-cluster_time_limit",
                       "1000")
    media.upload(server, stream, capture)
    url = hls.open_session(server, stream)
    text = hls.master(url)
    assert 'CODECS="mp4a.40.2"' in text and "RESOLUTION" not in text and "TYPE=AUDIO" not in text
    assert len(hls.packets(url, "a")) == len(frames_of(capture, 1))
    assert hls.get(hls.playlist(url).segments[0].url).headers["content-type"] == "audio/mp4"
    ts = hls.open_session(server, stream, ContainerFormat="MPEG_TS")
    assert len(hls.packets(ts, "a")) == len(frames_of(capture, 1))


def test_ts_carries_the_same_frames(recorded):
    server, stream, capture, _ = recorded
    url = hls.open_session(server, stream, ContainerFormat="MPEG_TS", **hls.produced(server, stream))
    mp4 = hls.open_session(server, stream, **hls.produced(server, stream))
    found = hls.playlist(url)
    assert "EXT-X-MAP" not in found.text and "#EXT-X-VERSION:3" in found.text
    assert hls.frame_digests(url) == hls.frame_digests(mp4)
    assert len(hls.packets(url, "a")) == len(frames_of(capture, 2))
    first = hls.get(found.segments[0].url)
    assert first.headers["content-type"] == "video/MP2T" and first.body[::188].strip(b"\x47") == b""
    bare = found.segments[0].url.replace("getTSFragment.ts", "getTSFragment")
    assert hls.get(bare).body == first.body


def test_changed_codec_parameters_get_a_new_map(server, stream, tmp_path):
    sizes = ["320x180", "640x360", "320x180"]
    total = 0
    for i, size in enumerate(sizes):
        capture = hls.make(tmp_path / f"{i}.mkv", *hls.picture(2, size), *hls.X264)
        media.upload(server, stream, capture, timecodes="RELATIVE")
        total += len(frames_of(capture, 1))
    found = hls.playlist(hls.open_session(server, stream, DiscontinuityMode="ON_DISCONTINUITY"))
    inits = [s.init for s in found.segments]
    changes = [i for i in range(1, len(inits)) if inits[i] != inits[i - 1]]
    assert len(changes) == 2 and inits[0] == inits[-1] and len(set(inits)) == 2
    assert all(found.segments[i].discontinuity for i in changes)
    assert found.text.count("#EXT-X-MAP") == 3
    shown = 0
    for i, segment in enumerate(found.segments):
        path = tmp_path / f"{i}.mp4"
        path.write_bytes(hls.get(segment.init).body + hls.get(segment.url).body)
        shown += len(hls.frame_digests(path))
    assert shown == total


def test_a_gap_is_a_discontinuity_where_asked_for(server, stream, tmp_path):
    capture = hls.make(tmp_path / "g.mkv", *hls.picture(6), *hls.X264)
    media.upload(server, stream, hls.mkv.capture(tmp_path / "g.mkv"))
    times = {"StartTimestamp": hls.at_s(0), "EndTimestamp": hls.at_s(600)}

    def marks(mode):
        found = hls.playlist(hls.open_session(server, stream, selector="PRODUCER_TIMESTAMP",
                                              times=times, DiscontinuityMode=mode))
        return [s.discontinuity for s in found.segments]

    count = len(capture.fragments)
    assert marks("ON_DISCONTINUITY") == [False] * count
    assert marks("ALWAYS") == [True] * count
    late = hls.make(tmp_path / "l.mkv", *hls.picture(2), *hls.X264, "-output_ts_offset", "60")
    media.upload(server, stream, late)
    assert marks("ON_DISCONTINUITY") == ([False] * count + [True] +
                                         [False] * (len(late.fragments) - 1))
    assert marks("NEVER") == [False] * (count + len(late.fragments))


def test_ranges_and_head(recorded):
    server, stream, _, _ = recorded
    segment = hls.playlist(hls.open_session(server, stream)).segments[0]
    whole = hls.get(segment.url)
    part = hls.get(segment.url, Range="bytes=1000-1999")
    assert part.status == 206 and part.body == whole.body[1000:2000]
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole.body)}"
    assert hls.get(segment.url, Range="bytes=-5").body == whole.body[-5:]
    assert hls.get(segment.url, Range=f"bytes={len(whole.body)}-").status == 416
    head = hls.get(segment.url, method="HEAD")
    assert head.status == 200 and int(head.headers["content-length"]) == len(whole.body)
    assert not head.body


def test_any_page_may_play(recorded):
    server, stream, _, _ = recorded
    url = hls.open_session(server, stream)
    found = hls.playlist(url)
    for each in (url, hls.playlist_url(url), found.segments[0].init, found.segments[0].url):
        answer = hls.get(each, Origin="https://elsewhere.example")
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "*"
        asked = hls.get(each, method="OPTIONS", Origin="https://elsewhere.example",
                        Access_Control_Request_Method="GET", Access_Control_Request_Headers="range")
        assert asked.status == 204 and asked.headers["access-control-allow-origin"] == "*"
        assert "range" in asked.headers["access-control-allow-headers"]
    refused = hls.get(url[:-4] + "AAAA")
    assert refused.status == 403 and refused.headers["access-control-allow-origin"] == "*"


def test_over_tls_the_url_is_https(tls_server):
    capture = load("sink360_h264_abs")
    stream = tls_server.create_stream()
    media.upload(tls_server, stream, capture)
    client = tls_server.client("kinesis-video-archived-media",
                               endpoint=tls_server.endpoints["api-tls"])
    url = hls.open_session(tls_server, stream, client=client)
    assert url.startswith(tls_server.endpoints["api-tls"] + "/hls/v1/")
    trust = ssl.create_default_context(cafile=tls_server.certificate)
    assert "#EXT-X-STREAM-INF" in hls.get(url, context=trust).text


class Paced(threading.Thread):
    """Uploads a capture in real time, one Cluster when its time has come."""

    def __init__(self, server, stream, capture, speed=1.0):
        super().__init__(daemon=True)
        self.server, self.stream, self.capture, self.speed = server, stream, capture, speed
        self.failure = None

    def run(self):
        try:
            with media.open_upload(self.server, self.stream, "RELATIVE") as one:
                one.send(self.capture.header)
                begun = time.monotonic()
                for fragment in self.capture.fragments:
                    due = begun + fragment.timecode / 1000 / self.speed
                    time.sleep(max(0, due - time.monotonic()))
                    one.send(self.capture.data[fragment.start:fragment.end])
                one.finish()
                one.all_acks()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error


def watch(url, until_s, each):
    """Reloads a playlist; each(playlist) may end it by returning True."""
    deadline = time.monotonic() + until_s
    while time.monotonic() < deadline:
        found = hls.parse(url, hls.get(url).text)
        if each(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {until_s} s:\n{found.text}")


def test_live_slides_holds_and_survives_a_restart(make_server, tmp_path):
    server = make_server()
    stream = server.create_stream()
    capture = hls.make(tmp_path / "live.mkv", *hls.picture(12), *hls.X264)
    camera = Paced(server, stream, capture)
    archived = server.archived(stream)
    with pytest.raises(archived.exceptions.ResourceNotFoundException):
        hls.open_session(server, stream, "LIVE", client=archived)
    camera.start()
    deadline = time.monotonic() + 60
    while True:
        try:
            url = hls.open_session(server, stream, "LIVE", client=archived,
                                   MaxMediaPlaylistFragmentResults=3,
                                   DisplayFragmentTimestamp="ALWAYS")
            break
        except archived.exceptions.ResourceNotFoundException:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    url = hls.playlist_url(url)
    numbers = {}

    def check(found):
        assert not found.ended and not found.vod and len(found.segments) <= 3
        assert found.discontinuity_sequence == found.sequence
        for i, segment in enumerate(found.segments):
            assert numbers.setdefault(segment.number, found.sequence + i) == found.sequence + i
        return found.sequence + len(found.segments) >= len(capture.fragments) - 1

    watch(url, 90, check)
    assert len(numbers) > 3
    camera.join(60)
    assert camera.failure is None
    held = hls.parse(url, hls.get(url).text)
    server.restart(hard=True)
    again = hls.parse(url, hls.get(url).text)
    assert again.text == held.text
    assert hls.get(again.segments[0].url).status == 200
    assert hls.get(again.segments[0].init).status == 200


def test_a_replay_starts_at_its_start_and_is_paced(server, stream, tmp_path):
    capture = hls.make(tmp_path / "r.mkv", *hls.picture(8), *hls.X264)
    acks = media.upload(server, stream, capture)
    times = {"StartTimestamp": hls.around_now()["StartTimestamp"]}
    begun = time.monotonic()
    url = hls.playlist_url(hls.open_session(server, stream, "LIVE_REPLAY", times=times,
                                            MaxMediaPlaylistFragmentResults=5000))

    def full(found):
        listed = len(found.segments)
        assert 3 <= listed <= 3 + time.monotonic() - begun + 0.3
        assert [s.number for s in found.segments] == [a["FragmentNumber"] for a in acks[:listed]]
        return listed == len(acks)

    first = hls.parse(url, hls.get(url).text)
    full(first)
    assert not first.ended
    last = watch(url, 60, full)
    assert last.sequence == first.sequence and not last.ended
    assert time.monotonic() - begun > (len(acks) - 4)


def test_a_token_dies_with_its_key(server, stream):
    media.upload(server, stream, load("sink360_h264_abs"))
    key = server.create_key()
    client = server.client("kinesis-video-archived-media", key=key)
    url = hls.open_session(server, stream, client=client)
    assert hls.get(url).status == 200
    kinema.run("credentials", "revoke", "--data", server.data, key.id)
    assert hls.get(url).status == 403


def test_tokens_are_not_logged(server, stream):
    media.upload(server, stream, load("sink360_h264_abs"))
    url = hls.open_session(server, stream)
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["SessionToken"][0]
    assert 100 <= len(token) <= 250
    hls.get(url)
    hls.get(hls.playlist(url).segments[0].url)
    hls.get(url.replace(token, token[:50] + ("A" if token[50] != "A" else "B") + token[51:]))
    assert token[:60] not in server.log()


def test_without_the_ts_module_fmp4_still_plays(make_server):
    server = make_server(env={"KINEMA_TS_MODULE": "/nonexistent.so"})
    stream = server.create_stream()
    media.upload(server, stream, load("sink360_h264_abs"))
    segment = hls.playlist(hls.open_session(server, stream,
                                            ContainerFormat="MPEG_TS")).segments[0]
    answer = hls.get(segment.url)
    assert answer.status == 500 and "kinema_ts.so" in answer.text
    assert hls.get(hls.playlist(hls.open_session(server, stream)).segments[0].url).status == 200
