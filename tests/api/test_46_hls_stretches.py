# SPDX-License-Identifier: Apache-2.0
"""HLS where sound or pictures are missing for a while (docs/protocols/hls.md): what players are given
there, and that clips and GetMedia's fragments stay as they were sent."""

import re

import pytest

import hls
import media
import mkv
import put_media as wire

FRAME_S = 1024 / 48000
SILENCE = bytes.fromhex("2000000000000e")  # of two channels


def stretches(server, stream, tmp_path, without, parts=range(3)):
    """Picture and sound, two seconds each: both, without one of them, and both again; the captures."""
    kinds = [["-map", "0:v", "-map", "1:a"], ["-map", "1:a" if without == "picture" else "0:v"]]
    made = []
    for i in parts:
        made.append(hls.make(tmp_path / f"{i}.mkv", *hls.picture(2), *hls.tone(2), *kinds[i % 2], *hls.X264, "-c:a",
                             "aac", "-ac", "2", "-output_ts_offset", str(2 * i),
                             *(("-cluster_time_limit", "1000") if i == 1 else ())))
        media.upload(server, stream, made[-1])
    return made


def frames_of(captures, track):
    return [f for one in captures for fragment in one.fragments for f in fragment.frames if f.track == track]


def bodies(playlist, path):
    """All segments of an fMP4 playlist behind its first init segment, as a file."""
    answers = [hls.get(one.url) for one in playlist.segments]
    assert {answer.status for answer in answers} == {200}
    path.write_bytes(hls.get(playlist.segments[0].init).body + b"".join(answer.body for answer in answers))
    return path


def loudest_db(source, begin, seconds):
    done = hls.run("ffmpeg", "-v", "info", "-i", str(source), "-map", "0:a", "-af",
                   f"atrim={begin}:{begin + seconds},volumedetect", "-f", "null", "-")
    assert not re.search("error|invalid", done.stderr, re.I), done.stderr
    return float(re.search(r"max_volume: (\S+) dB", done.stderr).group(1))


@pytest.mark.parametrize("mode", ["NEVER", "ALWAYS", "ON_DISCONTINUITY"])
def test_pictures_without_sound_have_silence_beside_them(server, stream, tmp_path, mode):
    made = stretches(server, stream, tmp_path, "sound")
    url = hls.open_session(server, stream, DiscontinuityMode=mode, **hls.produced(server, stream))
    sound, pictures = hls.playlist(url, 2), hls.playlist(url, 1)
    assert not any(one.gap for one in sound.segments + pictures.segments) and "#EXT-X-VERSION:7" in sound.text
    assert [one.seconds for one in sound.segments] == [one.seconds for one in pictures.segments]

    file = bodies(sound, tmp_path / "sound.mp4")
    found = hls.packets(file, "a")
    assert [size for _, size, _ in found if size > len(SILENCE)] == [
        len(f.payload) for f in frames_of(made, 2) if len(f.payload) > len(SILENCE)]
    steps = [b[0] - a[0] for a, b in zip(found, found[1:])]
    assert all(0 < step < 2 * FRAME_S for step in steps), steps
    silent = [i for i, (_, size, _) in enumerate(found) if size == len(SILENCE)]
    middle = [steps[i] for i in silent if i + 1 in silent]
    assert len(middle) > 90 and all(abs(step - FRAME_S) < 1e-4 for step in middle)  # no drift: on one grid
    assert found[0][0] == pytest.approx(0, abs=FRAME_S) and found[-1][0] == pytest.approx(6, abs=2 * FRAME_S)
    assert loudest_db(file, 2.2, 1.6) < -90 < -30 < loudest_db(file, 4.2, 1.6)
    assert len(hls.packets(bodies(pictures, tmp_path / "pictures.mp4"))) == len(frames_of(made, 1)) == 150


def test_in_ts_silence_is_muxed_beside_the_pictures(server, stream, tmp_path):
    made = stretches(server, stream, tmp_path, "sound")
    url = hls.open_session(server, stream, ContainerFormat="MPEG_TS", **hls.produced(server, stream))
    (tmp_path / "all.ts").write_bytes(b"".join(hls.get(one.url).body for one in hls.playlist(url).segments))
    assert len(hls.packets(tmp_path / "all.ts")) == len(frames_of(made, 1))
    times = [pts for pts, _, _ in hls.packets(tmp_path / "all.ts", "a")]
    assert all(abs(b - a) < 2 * FRAME_S for a, b in zip(times, times[1:]))  # sound begins ahead of its pictures
    assert times[-1] - times[0] == pytest.approx(6, abs=3 * FRAME_S)
    assert loudest_db(tmp_path / "all.ts", times[0] + 2.2, 1.6) < -90


@pytest.mark.parametrize("mode", ["NEVER", "ALWAYS"])
def test_sound_without_pictures_has_the_last_key_frame_beside_it(server, stream, tmp_path, mode):
    made = stretches(server, stream, tmp_path, "picture")
    url = hls.open_session(server, stream, DiscontinuityMode=mode, **hls.produced(server, stream))
    sound, pictures = hls.playlist(url, 2), hls.playlist(url, 1)
    assert not any(one.gap for one in sound.segments + pictures.segments)
    begin = len(made[0].fragments)
    last_key = [f for f in frames_of(made[:1], 1) if f.key][-1]
    for held, alone in zip(pictures.segments[begin:begin + len(made[1].fragments)], made[1].fragments):
        assert hls.get(held.url).body.split(b"mdat", 1)[1] == last_key.payload
    file = bodies(pictures, tmp_path / "pictures.mp4")
    found = hls.packets(file)
    assert len(found) == 100 + len(made[1].fragments) and len(hls.frame_digests(file)) >= 100
    steps = [b[0] - a[0] for a, b in zip(found, found[1:])]
    assert all(-2 * FRAME_S < step < 2.1 for step in steps), steps  # sound begins ahead of its pictures
    assert [size for _, size, _ in hls.packets(bodies(sound, tmp_path / "sound.mp4"), "a")] == [
        len(f.payload) for one, track in zip(made, (2, 1, 2)) for f in frames_of([one], track)]


def test_sound_before_the_first_picture_of_a_session_is_a_gap(server, stream, tmp_path):
    alone, both = stretches(server, stream, tmp_path, "picture", [1, 2])
    url = hls.open_session(server, stream, **hls.produced(server, stream))
    for track in (1, 2):
        found = hls.playlist(url, track)
        assert [one.gap for one in found.segments] == [True] * len(alone.fragments) + [False] * len(both.fragments)
        assert "#EXT-X-VERSION:8" in found.text
    assert [hls.get(one.url).status for one in hls.playlist(url).segments] == [
        404 if one.gap else 200 for one in found.segments]


def test_a_live_session_that_opens_while_there_is_sound_alone_has_a_picture(server, stream, tmp_path):
    made = stretches(server, stream, tmp_path, "picture", range(2))
    url = hls.open_session(server, stream, "LIVE", MaxMediaPlaylistFragmentResults=1)
    assert "avc1" in hls.master(url) and "TYPE=AUDIO" in hls.master(url)
    held = hls.playlist(url).segments[-1]
    assert hls.get(held.url).body.endswith(b"mdat" + [f for f in frames_of(made[:1], 1) if f.key][-1].payload)
    stretches(server, stream, tmp_path, "picture", [2])
    assert len(hls.packets(bodies(hls.playlist(url), tmp_path / "back.mp4"))) == 25


def pausing(tmp_path):
    """Pictures and sound of six seconds, whose sound is missing from 1.4 s to 4.6 s though it is declared; a
    fragment a second. (the body, its frames of sound by fragment)"""
    whole = hls.make(tmp_path / "whole.mkv", *hls.picture(6), *hls.tone(6), *hls.X264, "-c:a", "aac", "-ac", "2")
    body, kept = whole.header, []
    for fragment in whole.fragments:
        heard = [f for f in fragment.frames
                 if f.track == 1 or not 1400 <= fragment.timecode + f.time < 4600]
        body += wire.cluster(fragment.timecode, b"".join(
            wire.block(f.time, f.payload, f.track, f.key) for f in heard))
        kept.append([f for f in heard if f.track == 2])
    return mkv.Capture(body), kept


def test_a_declared_track_that_pauses_is_filled_too_and_clips_are_not(server, stream, tmp_path):
    capture, kept = pausing(tmp_path)
    media.upload(server, stream, capture, headers={"x-kinema-tracks": "may-pause"})
    assert [len(frames) for frames in kept].count(0) == 2
    url = hls.open_session(server, stream, **hls.produced(server, stream))

    found = hls.packets(bodies(hls.playlist(url, 2), tmp_path / "sound.mp4"), "a")
    steps = [b[0] - a[0] for a, b in zip(found, found[1:])]
    assert all(0 < step < 2 * FRAME_S for step in steps), steps
    heard = [f for frames in kept for f in frames]
    assert len(found) == pytest.approx(6 / FRAME_S, abs=6)
    assert [size for _, size, _ in found if size > len(SILENCE)] == [
        len(f.payload) for f in heard if len(f.payload) > len(SILENCE)]
    for one, frames in zip(hls.playlist(url, 2).segments, kept):
        payload = hls.get(one.url).body.split(b"mdat", 1)[1]
        assert payload.replace(SILENCE, b"") == b"".join(f.payload for f in frames)

    clip = server.archived(stream, "GET_CLIP").get_clip(StreamName=stream, ClipFragmentSelector={
        "FragmentSelectorType": "PRODUCER_TIMESTAMP",
        "TimestampRange": {"StartTimestamp": hls.at_s(0), "EndTimestamp": hls.at_s(60)}})["Payload"].read()
    (tmp_path / "clip.mp4").write_bytes(clip)
    assert [size for _, size, _ in hls.packets(tmp_path / "clip.mp4", "a")] == [len(f.payload) for f in heard]


def test_a_live_session_that_opens_while_sound_is_missing_has_it_when_it_is_back(server, stream, tmp_path):
    stretches(server, stream, tmp_path, "sound", range(2))
    sessions = {name: hls.open_session(server, stream, "LIVE", ContainerFormat=name, MaxMediaPlaylistFragmentResults=1)
                for name in ("FRAGMENTED_MP4", "MPEG_TS")}
    assert all("mp4a.40.2" in hls.master(url) for url in sessions.values())
    url = sessions["FRAGMENTED_MP4"]
    assert 'TYPE=AUDIO' in hls.master(url)
    lent = hls.playlist(url, 2).segments[-1]
    payload = hls.get(lent.url).body.split(b"mdat", 1)[1]
    assert payload and not payload.replace(SILENCE, b"")
    init = hls.get(lent.init).body

    stretches(server, stream, tmp_path, "sound", [2])
    real = hls.playlist(url, 2).segments[-1]
    assert SILENCE * 2 not in hls.get(real.url).body and hls.get(real.init).body == init
