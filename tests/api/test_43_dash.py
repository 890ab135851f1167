# SPDX-License-Identifier: Apache-2.0
"""DASH as boto3 users and players see it: what is served plays, frame by frame (kvs-api.md §5.1)."""

import time
import urllib.parse

import pytest

import dash
import hls
import kinema
import media
import mkv
from test_40_hls import CAPTURES, Paced, frames_of, load


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

    url = dash.open_session(server, stream)

    for track, kind in enumerate(CAPTURES[name], 1):
        sent = frames_of(capture, track)
        found = hls.packets(url, kind)
        assert [size for _, size, _ in found] == [len(f.payload) for f in sent]
        if kind == "v":
            assert [key for _, _, key in found] == [f.key for f in sent]
        of_source = [pts for pts, _, _ in hls.packets(kinema.CAPTURES / f"{name}.mkv", kind)]
        shift = found[0][0] - of_source[0]
        assert all(abs(pts - shift - at) < 0.012 for (pts, _, _), at in zip(found, of_source))
    assert len(hls.frame_digests(url)) == len(frames_of(capture, 1))


def test_payload_is_byte_for_byte_what_was_sent(recorded):
    server, stream, capture, acks = recorded
    found = dash.manifest(dash.open_session(server, stream, DisplayFragmentNumber="ALWAYS"))
    assert len(found.periods) == 1
    for track, kind in ((1, "video"), (2, "audio")):
        segments = found.segments(kind)
        assert [s.attributes[dash.KVS + "fn"] for s in segments] == [a["FragmentNumber"]
                                                                     for a in acks]
        assert [s.number for s in segments] == list(range(1, len(acks) + 1))
        for segment, fragment in zip(segments, capture.fragments):
            answer = hls.get(segment.url)
            assert answer.headers["content-type"] == f"{kind}/mp4"
            payload = b"".join(f.payload for f in fragment.frames if f.track == track)
            assert answer.body.endswith(b"mdat" + payload)


def test_segments_are_those_of_hls_by_producer_time(recorded):
    """One machinery, one rendered head: nothing of the session is in the bytes."""
    server, stream, _, _ = recorded
    of_hls = hls.playlist(hls.open_session(server, stream, **hls.produced(server, stream)))
    of_dash = dash.manifest(dash.open_session(server, stream))
    assert hls.get(of_hls.segments[0].init).body == hls.get(
        of_dash.periods[0].track().init).body
    for a, b in zip(of_hls.segments, of_dash.segments(), strict=True):
        assert hls.get(a.url).body == hls.get(b.url).body


def test_the_manifest_says_what_is_in_it(recorded):
    server, stream, capture, _ = recorded
    url = dash.open_session(server, stream)
    assert "/dash/v1/getDASHManifest.mpd?SessionToken=" in url
    found = dash.manifest(url)
    assert found.attributes["type"] == "static" and "availabilityStartTime" in found.attributes
    assert "kvs:ts" not in found.text and "kvs:fn" not in found.text
    video, audio = found.periods[0].sets
    assert video.representation["codecs"] == "avc1.64001e"
    assert (video.representation["width"], video.representation["height"]) == ("640", "360")
    assert audio.representation["codecs"] == "mp4a.40.2"
    assert audio.representation["audioSamplingRate"] == "44100"
    assert int(video.representation["bandwidth"]) > int(audio.representation["bandwidth"]) > 0
    assert found.periods[0].start == 0 and video.segments[0].shown == 0
    last = video.segments[-1]
    assert found.periods[0].duration == last.shown + last.duration
    assert dash.milliseconds(found.attributes["mediaPresentationDuration"]) == (
        last.shown + last.duration)
    for one, two in zip(video.segments, video.segments[1:]):
        assert one.time + one.duration == two.time
    two = dash.manifest(dash.open_session(server, stream, MaxManifestFragmentResults=2))
    assert len(two.segments()) == 2 < len(capture.fragments)


@pytest.mark.parametrize("selector, member", [("SERVER_TIMESTAMP", "ServerTimestamp"),
                                              ("PRODUCER_TIMESTAMP", "ProducerTimestamp")])
def test_each_s_carries_the_true_time_and_number_if_asked(recorded, selector, member):
    server, stream, _, _ = recorded
    listed = sorted(server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "SERVER_TIMESTAMP",
        "TimestampRange": hls.around_now()})["Fragments"], key=lambda f: f["FragmentNumber"])
    times = hls.produced(server, stream)["times"] if selector[0] == "P" else None
    found = dash.manifest(dash.open_session(server, stream, selector=selector, times=times,
                                            DisplayFragmentTimestamp="ALWAYS",
                                            DisplayFragmentNumber="ALWAYS"))
    for kind in ("video", "audio"):
        assert [(round(float(s.attributes[dash.KVS + "ts"]), 3), s.attributes[dash.KVS + "fn"])
                for s in found.segments(kind)] == [
                    (round(f[member].timestamp(), 3), f["FragmentNumber"]) for f in listed]


def test_b_frames_are_shown_in_order(server, stream, tmp_path):
    source = tmp_path / "b.mkv"
    capture = hls.make(source, *hls.picture(4), *hls.X264, "-preset", "medium", "-bf", "3",
                       "-b_strategy", "0")
    media.upload(server, stream, capture)
    url = dash.open_session(server, stream)
    assert hls.frame_digests(url) == hls.frame_digests(source)


@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_mulaw"])
def test_g711_goes_with_h264(server, stream, tmp_path, codec):
    capture = hls.make(tmp_path / "g.mkv", *hls.picture(3), *hls.tone(3, 8000), *hls.X264, "-c:a",
                       codec)
    media.upload(server, stream, capture)
    url = dash.open_session(server, stream)
    found = dash.manifest(url)
    assert found.periods[0].track("audio").representation["codecs"] == {
        "pcm_alaw": "alaw", "pcm_mulaw": "ulaw"}[codec]
    sent = frames_of(capture, 2)
    assert [size for _, size, _ in hls.packets(url, "a")] == [len(f.payload) for f in sent]


def test_changed_codec_parameters_begin_a_period(server, stream, tmp_path):
    """AWS fails there. Each Period is whole with its init segments, and the presentation runs on."""
    sizes = ["320x180", "640x360", "320x180"]
    counts = []
    for i, size in enumerate(sizes):
        capture = hls.make(tmp_path / f"{i}.mkv", *hls.picture(2), *hls.X264) if i % 2 == 0 else \
            hls.make(tmp_path / f"{i}.mkv", *hls.picture(2, size), *hls.X264)
        media.upload(server, stream, capture, timecodes="RELATIVE")
        counts.append(len(frames_of(capture, 1)))
    found = dash.manifest(dash.open_session(server, stream))
    assert [p.track().representation["width"] for p in found.periods] == ["320", "640", "320"]
    inits = [p.track().init for p in found.periods]
    assert inits[0] == inits[2] != inits[1]
    assert [s.number for s in found.segments()] == list(range(1, len(found.segments()) + 1))
    at = 0
    for i, period in enumerate(found.periods):
        assert period.start == at
        at += period.duration
        path = tmp_path / f"{i}.mp4"
        path.write_bytes(b"".join(hls.get(u).body for u in [period.track().init] + [
            s.url for s in period.track().segments]))
        assert len(hls.frame_digests(path)) == counts[i]
    assert dash.milliseconds(found.attributes["mediaPresentationDuration"]) == at


def test_a_gap_begins_a_period_and_is_not_shown(server, stream, tmp_path):
    capture = hls.make(tmp_path / "g.mkv", *hls.picture(4), *hls.X264)
    media.upload(server, stream, capture)
    late = hls.make(tmp_path / "l.mkv", *hls.picture(2), *hls.X264, "-output_ts_offset", "60")
    media.upload(server, stream, late)
    times = {"StartTimestamp": hls.at_s(0), "EndTimestamp": hls.at_s(600)}
    found = dash.manifest(dash.open_session(server, stream, selector="PRODUCER_TIMESTAMP",
                                            times=times))
    first, second = found.periods
    assert len(first.track().segments) == len(capture.fragments)
    assert second.start == first.start + first.duration < 5000
    assert second.track().offset >= 60000


def watch(url, until_s, each):
    deadline = time.monotonic() + until_s
    while time.monotonic() < deadline:
        found = dash.manifest(url)
        if each(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {until_s} s:\n{found.text}")


def test_live_slides_holds_and_survives_a_restart(make_server, tmp_path):
    """A segment keeps number and place in the presentation, whatever has left the window."""
    server = make_server()
    stream = server.create_stream()
    capture = hls.make(tmp_path / "live.mkv", *hls.picture(10), *hls.X264)
    camera = Paced(server, stream, capture)
    archived = server.archived(stream)
    with pytest.raises(archived.exceptions.ResourceNotFoundException):
        dash.open_session(server, stream, "LIVE", client=archived)
    camera.start()
    deadline = time.monotonic() + 60
    while True:
        try:
            url = dash.open_session(server, stream, "LIVE", client=archived,
                                    MaxManifestFragmentResults=3)
            break
        except archived.exceptions.ResourceNotFoundException:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    places = {}

    def check(found):
        assert found.attributes["type"] == "dynamic"
        assert "minimumUpdatePeriod" in found.attributes and len(found.segments()) <= 3
        for s in found.segments():
            assert places.setdefault(s.number, (s.shown, s.time)) == (s.shown, s.time)
        return not camera.is_alive()

    watch(url, 90, check)
    assert len(places) > 3
    assert camera.failure is None
    held = dash.manifest(url)
    again_mpd = media.upload(server, stream, capture, timecodes="RELATIVE")
    assert again_mpd
    later = dash.manifest(url)
    assert later.periods[-1].id != held.periods[-1].id
    assert later.periods[-1].start >= held.segments()[-1].shown + held.segments()[-1].duration - 1
    server.restart(hard=True)
    after = dash.manifest(url)
    assert [(p.id, p.start, [s.url for s in p.track().segments]) for p in after.periods] == [
        (p.id, p.start, [s.url for s in p.track().segments]) for p in later.periods]
    assert hls.get(after.segments()[0].url).status == 200
    assert hls.get(after.periods[0].track().init).status == 200


def test_a_replay_starts_at_its_start_and_is_paced(server, stream, tmp_path):
    capture = hls.make(tmp_path / "r.mkv", *hls.picture(7), *hls.X264)
    acks = media.upload(server, stream, capture)
    times = {"StartTimestamp": hls.around_now()["StartTimestamp"]}
    begun = time.monotonic()
    url = dash.open_session(server, stream, "LIVE_REPLAY", times=times,
                            MaxManifestFragmentResults=5000)
    first = dash.manifest(url)
    listed = len(first.segments())
    assert listed >= 3 and first.segments()[0].number == 1 and first.segments()[0].shown == 0
    assert first.attributes["type"] == "dynamic"

    def full(found):
        assert len(found.segments()) - 3 <= time.monotonic() - begun + 0.3
        return len(found.segments()) == len(acks)

    last = watch(url, 60, full)
    assert last.segments()[0].number == 1 and "minimumUpdatePeriod" in last.attributes


@pytest.mark.parametrize("mode", ["LIVE", "LIVE_REPLAY"])
def test_ffprobe_reads_what_is_listed_of_a_dynamic_manifest(server, stream, mode):
    capture = load("sink360_h264_aac_abs")
    media.upload(server, stream, capture)
    times = {"StartTimestamp": hls.around_now()["StartTimestamp"]}
    url = dash.open_session(server, stream, mode, times=times if mode != "LIVE" else None,
                            MaxManifestFragmentResults=3)
    listed = dash.manifest(url).segments()
    done = hls.run("ffprobe", "-v", "error", "-read_intervals", "%+#20", "-select_streams", "v:0",
                   "-show_entries", "packet=size", "-of", "csv=p=0", url)
    sizes = [int(line.strip(",")) for line in done.stdout.split()]
    everything = [len(f.payload) for f in frames_of(capture, 1)]
    assert len(sizes) >= 10 and any(everything[i:i + len(sizes)] == sizes
                                    for i in range(len(everything))), (sizes, listed)


def test_ranges_and_any_page(recorded):
    server, stream, _, _ = recorded
    url = dash.open_session(server, stream)
    found = dash.manifest(url)
    segment = found.segments()[0].url
    whole = hls.get(segment)
    part = hls.get(segment, Range="bytes=1000-1999")
    assert part.status == 206 and part.body == whole.body[1000:2000]
    for each in (url, found.periods[0].track().init, segment):
        answer = hls.get(each, Origin="https://elsewhere.example")
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "*"
        asked = hls.get(each, method="OPTIONS", Origin="https://elsewhere.example",
                        Access_Control_Request_Method="GET")
        assert asked.status == 204 and asked.headers["access-control-allow-origin"] == "*"


def test_a_long_manifest_is_written_as_it_leaves(shared_server, tmp_path):
    stream = shared_server.create_stream()
    capture = hls.make(tmp_path / "l.mkv", *hls.picture(60, "64x64", 5), *hls.X264, "-g", "1")
    acks = media.upload(shared_server, stream, capture)
    found = dash.manifest(dash.open_session(shared_server, stream, DisplayFragmentNumber="ALWAYS"))
    assert [s.attributes[dash.KVS + "fn"] for s in found.segments()] == [
        a["FragmentNumber"] for a in acks]
    assert len(acks) > 64
    assert hls.get(found.segments()[-1].url).status == 200


def test_a_token_dies_with_its_key_and_opens_no_other_protocol(server, stream):
    media.upload(server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv"))
    key = server.create_key()
    client = server.client("kinesis-video-archived-media", key=key)
    url = dash.open_session(server, stream, client=client)
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["SessionToken"][0]
    assert hls.get(url).status == 200
    in_folder = url.split("getDASH")[0] + f"s/{token}/getDASHManifest.mpd"
    inside = dash.manifest(in_folder)
    assert "SessionToken" not in inside.text and hls.get(inside.segments()[0].url).status == 200
    other = url.replace("/dash/", "/hls/").replace("getDASHManifest.mpd",
                                                   "getHLSMasterPlaylist.m3u8")
    assert hls.get(other).status == 400
    of_hls = hls.open_session(server, stream)
    assert hls.get(of_hls.replace("/hls/", "/dash/").replace(
        "getHLSMasterPlaylist.m3u8", "getDASHManifest.mpd")).status == 400
    assert token[:60] not in server.log()
    kinema.run("credentials", "revoke", "--data", server.data, key.id)
    assert hls.get(url).status == 403


def test_what_is_not_in_the_session_is_not_found(recorded):
    server, stream, capture, _ = recorded
    found = dash.manifest(dash.open_session(server, stream, MaxManifestFragmentResults=2))
    url = found.segments()[0].url
    for number, status in ((0, 404), (len(capture.fragments) + 1, 404), (2 ** 62, 404),
                           ("x", 400), ("", 400)):
        assert hls.get(url.replace("SequenceNumber=1", f"SequenceNumber={number}")).status == status
    assert hls.get(url.replace("TrackNumber=1", "TrackNumber=3")).status == 404
    assert hls.get(url.replace("TrackNumber=1&", "")).status == 400
    assert hls.get(found.periods[0].track().init.replace("TrackNumber=1", "TrackNumber=7")
                   ).status == 404
    changed = url.replace("SessionToken=", "SessionToken=A")
    assert hls.get(changed).status == 403
