# SPDX-License-Identifier: Apache-2.0
"""GetClip as boto3 users see it: one MP4 whose frames are the stored ones (kvs-api.md §5.2)."""

import hashlib

import botocore.exceptions
import pytest

import hls
import kinema
import media
import mkv
from test_40_hls import CAPTURES, frames_of, load
from test_41_hls_errors import HOUR, NOW, replace_private, selector


def get_clip(server, stream, kind="SERVER_TIMESTAMP", times=None, **headers):
    client = server.archived(stream, "GET_CLIP")
    if headers:
        media.with_headers(client, **headers)
    return client.get_clip(StreamName=stream, ClipFragmentSelector={
        "FragmentSelectorType": kind, "TimestampRange": times or hls.around_now()})


def save(path, answer):
    body = answer["Payload"].read()
    length = answer["ResponseMetadata"]["HTTPHeaders"]["content-length"]
    assert len(body) == int(length)
    path.write_bytes(body)
    return body


def packet_digests(path, kind):
    """MD5 of each packet's bytes, as the demuxer hands them on."""
    done = hls.run("ffmpeg", "-v", "error", "-i", str(path), "-map", f"0:{kind}:0", "-c", "copy",
                   "-f", "framemd5", "-")
    assert not done.stderr, done.stderr
    return [line.split(",")[5].strip() for line in done.stdout.splitlines()
            if line and not line.startswith("#")]


def digests(frames):
    return [hashlib.md5(f.payload).hexdigest() for f in frames]


def times(path, kind):
    return [pts for pts, _, _ in hls.packets(path, kind)]


def refuse(server, code, status, **arguments):
    client = server.client("kinesis-video-archived-media", validate=False)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.get_clip(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    return caught.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def recorded(shared_server):
    """(server, stream, capture, acks) of one upload with video and audio. For reading only."""
    capture = load("sink360_h264_aac_abs")
    stream = shared_server.create_stream()
    return shared_server, stream, capture, media.upload(shared_server, stream, capture)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_clip_holds_every_frame_byte_for_byte(server, stream, name, tmp_path):
    capture, path = load(name), tmp_path / "clip.mp4"
    media.upload(server, stream, capture)
    answer = get_clip(server, stream)
    assert answer["ContentType"] == "video/mp4"
    body = save(path, answer)
    assert body.index(b"moov") < body.index(b"mdat")
    for track, kind in enumerate(CAPTURES[name], 1):
        assert packet_digests(path, kind) == digests(frames_of(capture, track))
        of_source = times(kinema.CAPTURES / f"{name}.mkv", kind)
        found = times(path, kind)
        assert all(abs((a - found[0]) - (b - of_source[0])) < 0.012
                   for a, b in zip(found, of_source, strict=True))
    assert len(hls.frame_digests(path)) == len(frames_of(capture, 1))


def test_sound_and_picture_stay_together(recorded, tmp_path):
    server, stream, _, _ = recorded
    path = tmp_path / "clip.mp4"
    save(path, get_clip(server, stream))
    source = kinema.CAPTURES / "sink360_h264_aac_abs.mkv"
    apart = [times(source, kind)[0] - times(path, kind)[0] for kind in "va"]
    assert abs(apart[0] - apart[1]) < 0.012
    probe = hls.run("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of",
                    "csv=p=0", str(path))
    shown = times(source, "v")
    assert abs(float(probe.stdout) - (shown[-1] - shown[0])) < 0.2


@pytest.mark.parametrize("kind", ["SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP"])
def test_a_range_takes_the_fragments_that_begin_in_it_whole(recorded, tmp_path, kind):
    server, stream, capture, acks = recorded
    member = "ServerTimestamp" if kind[0] == "S" else "ProducerTimestamp"
    listed = sorted(server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "SERVER_TIMESTAMP",
        "TimestampRange": hls.around_now()})["Fragments"], key=lambda f: f["FragmentNumber"])
    starts = [f[member].timestamp() for f in listed]
    begin = int(starts[1]) + (0 if kind[0] == "S" else 1)  # boto3 sends whole seconds
    stop = begin + 3
    wanted = [i for i, at in enumerate(starts) if begin <= at <= stop]
    assert wanted
    path = tmp_path / "clip.mp4"
    save(path, get_clip(server, stream, kind, {"StartTimestamp": hls.at_s(begin),
                                               "EndTimestamp": hls.at_s(stop)}))
    sent = [f for i in wanted for f in capture.fragments[i].frames if f.track == 1]
    assert packet_digests(path, "v") == digests(sent)
    assert len(acks) == len(listed)


def test_b_frames_are_shown_in_order(server, stream, tmp_path):
    source, path = tmp_path / "b.mkv", tmp_path / "clip.mp4"
    capture = hls.make(source, *hls.picture(4), *hls.X264, "-preset", "medium", "-bf", "3",
                       "-b_strategy", "0")
    media.upload(server, stream, capture)
    save(path, get_clip(server, stream))
    assert hls.frame_digests(path) == hls.frame_digests(source)
    shown = sorted(times(path, "v"))
    assert all(abs(b - a - 0.04) < 0.002 for a, b in zip(shown, shown[1:]))


def test_b_frames_with_sound_ahead_of_them_do_not_stretch_a_clip(server, stream, tmp_path):
    """By ffmpeg, a key frame stands behind the sound of the 80 ms before it is shown."""
    source, path = tmp_path / "b.mkv", tmp_path / "clip.mp4"
    capture = hls.make(source, *hls.picture(6), *hls.tone(6), *hls.X264, "-preset", "medium", "-bf",
                       "3", "-c:a", "aac")
    assert len(capture.fragments) == 6
    media.upload(server, stream, capture)
    save(path, get_clip(server, stream))
    for kind, own in (("v", 0.04), ("a", 1024 / 48000)):
        shown = sorted(times(path, kind))
        assert all(abs(b - a - own) < 0.005 for a, b in zip(shown, shown[1:])), kind


def test_g711_a_law_goes_with_h264_and_nothing_else_does(server, tmp_path):
    path = tmp_path / "clip.mp4"
    for i, (codec, good) in enumerate((("pcm_alaw", True), ("pcm_mulaw", False))):
        stream = server.create_stream()
        capture = hls.make(tmp_path / f"{i}.mkv", *hls.picture(2), *hls.tone(2, 8000), *hls.X264,
                           "-c:a", codec)
        media.upload(server, stream, capture)
        if good:
            save(path, get_clip(server, stream))
            assert packet_digests(path, "v") == digests(frames_of(capture, 1))
            sound = b"".join(f.payload for f in frames_of(capture, 2))
            raw = tmp_path / "sound"
            hls.run("ffmpeg", "-v", "error", "-y", "-i", str(path), "-map", "0:a:0", "-c", "copy",
                    "-f", "alaw", str(raw))
            assert raw.read_bytes() == sound
        else:
            refuse(server, "UnsupportedStreamMediaTypeException", 400, StreamName=stream,
                   ClipFragmentSelector=selector())
    stream = server.create_stream()
    media.upload(server, stream, hls.make(tmp_path / "a.mkv", *hls.tone(3), "-c:a", "aac",
                                          "-cluster_time_limit", "1000"))
    refuse(server, "UnsupportedStreamMediaTypeException", 400, StreamName=stream,
           ClipFragmentSelector=selector())


def test_at_most_200_fragments_unless_asked_otherwise(server, stream, tmp_path):
    capture = hls.make(tmp_path / "l.mkv", *hls.picture(40, "64x64", 25), *hls.X264, "-g", "3",
                       "-keyint_min", "1")
    if len(capture.fragments) < 210:
        capture = hls.make(tmp_path / "l.mkv", *hls.picture(150, "64x64", 25), *hls.X264, "-g", "5",
                           "-keyint_min", "1")
    assert len(capture.fragments) > 210
    media.upload(server, stream, capture)
    path = tmp_path / "clip.mp4"
    save(path, get_clip(server, stream))
    first = [f for fragment in capture.fragments[:200] for f in fragment.frames]
    assert packet_digests(path, "v") == digests(first)
    save(path, get_clip(server, stream, x_kinema_clip="unlimited"))
    assert packet_digests(path, "v") == digests(frames_of(capture, 1))


def test_at_most_100_mb_unless_asked_otherwise(server, stream, tmp_path):
    """A constant rate, filled up, makes fragments of ten megabytes out of nothing."""
    capture = hls.make(tmp_path / "n.mkv", *hls.picture(12, "320x180"), *hls.X264, "-b:v", "80M",
                       "-minrate", "80M", "-maxrate", "80M", "-bufsize", "8M", "-x264-params",
                       "nal-hrd=cbr")
    total = sum(len(f.payload) for f in frames_of(capture, 1))
    assert total > 101e6
    media.upload(server, stream, capture)
    path = tmp_path / "clip.mp4"
    save(path, get_clip(server, stream))
    sent, bytes_, i = [], 0, 0
    while bytes_ + sum(len(f.payload) for f in capture.fragments[i].frames) <= 100e6:
        sent += capture.fragments[i].frames
        bytes_ += sum(len(f.payload) for f in capture.fragments[i].frames)
        i += 1
    assert packet_digests(path, "v") == digests(sent)


def test_changed_codec_parameters_are_an_error_or_a_second_sample_entry(server, stream, tmp_path):
    sent = []
    for i, size in enumerate(("320x180", "640x360", "320x180")):
        capture = hls.make(tmp_path / f"{i}.mkv", *hls.picture(2, size), *hls.X264)
        media.upload(server, stream, capture, timecodes="RELATIVE")
        sent += frames_of(capture, 1)
    message = refuse(server, "InvalidCodecPrivateDataException", 400, StreamName=stream,
                     ClipFragmentSelector=selector())
    assert "changes within the range" in message
    path = tmp_path / "clip.mp4"
    body = save(path, get_clip(server, stream, x_kinema_clip="unlimited"))
    assert body.count(b"avcC") == 2
    assert packet_digests(path, "v") == digests(sent)
    assert len(hls.frame_digests(path)) == len(sent)
    shown = times(path, "v")
    assert max(b - a for a, b in zip(shown, shown[1:])) < 0.1  # gaps are not shown


def test_changed_tracks_are_an_error_or_sound_that_comes_later(server, stream, tmp_path):
    silent = hls.make(tmp_path / "s.mkv", *hls.picture(2), *hls.X264)
    loud = hls.make(tmp_path / "l.mkv", *hls.picture(2), *hls.tone(2), *hls.X264, "-c:a", "aac")
    media.upload(server, stream, silent, timecodes="RELATIVE")
    media.upload(server, stream, loud, timecodes="RELATIVE")
    refuse(server, "UnsupportedStreamMediaTypeException", 400, StreamName=stream,
           ClipFragmentSelector=selector())
    path = tmp_path / "clip.mp4"
    save(path, get_clip(server, stream, x_kinema_clip="unlimited"))
    assert packet_digests(path, "v") == digests(frames_of(silent, 1) + frames_of(loud, 1))
    assert packet_digests(path, "a") == digests(frames_of(loud, 2))
    assert abs(times(path, "a")[0] - 2.0) < 0.1


def test_an_exact_clip_begins_and_ends_where_it_is_asked_to(server, stream, tmp_path):
    """What a player shows is the range, to the frame; what it must decode before is there too."""
    source, path = tmp_path / "e.mkv", tmp_path / "clip.mp4"
    capture = hls.make(source, *hls.picture(12), *hls.tone(12), *hls.X264, "-g", "100", "-c:a",
                       "aac")
    media.upload(server, stream, capture)
    span = {"StartTimestamp": hls.at_s(2), "EndTimestamp": hls.at_s(9)}
    save(path, get_clip(server, stream, "PRODUCER_TIMESTAMP", span, x_kinema_clip="exact"))
    shown = hls.frame_digests(path)
    assert len(shown) == 7 * 25
    assert shown == hls.frame_digests(source)[2 * 25:9 * 25]
    probe = hls.run("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0",
                    str(path))
    assert abs(float(probe.stdout) - 7) < 0.002


def test_any_part_may_be_asked_for(recorded):
    server, stream, _, _ = recorded
    whole = get_clip(server, stream)["Payload"].read()
    size = len(whole)
    mdat = whole.index(b"mdat") + 4
    for first, last in ((0, 0), (0, size - 1), (10, 999), (mdat - 3, mdat + 70000),
                        (size // 2, size // 2 + 100000), (size - 1, size - 1),
                        (mdat, mdat), (100, mdat + 5)):
        part = get_clip(server, stream, range=f"bytes={first}-{last}")
        reply = part["ResponseMetadata"]
        assert part["Payload"].read() == whole[first:last + 1], (first, last)
        assert reply["HTTPStatusCode"] == 206
        assert reply["HTTPHeaders"]["content-range"] == f"bytes {first}-{last}/{size}"
    assert get_clip(server, stream, range="bytes=-7")["Payload"].read() == whole[-7:]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        get_clip(server, stream, range=f"bytes={size}-")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416


BAD = [
    {}, {"ClipFragmentSelector": {}},
    {"ClipFragmentSelector": {"FragmentSelectorType": "SERVER_TIMESTAMP"}},
    {"ClipFragmentSelector": {"TimestampRange": {"StartTimestamp": NOW - HOUR,
                                                 "EndTimestamp": NOW}}},
    {"ClipFragmentSelector": selector("WALL_CLOCK")},
    {"ClipFragmentSelector": selector(StartTimestamp=NOW)},
    {"ClipFragmentSelector": selector(EndTimestamp=NOW)},
    {"ClipFragmentSelector": selector(StartTimestamp=NOW, EndTimestamp=NOW)},
    {"ClipFragmentSelector": selector(StartTimestamp=NOW, EndTimestamp=NOW - HOUR)},
    {"ClipFragmentSelector": selector(StartTimestamp=NOW - 25 * HOUR, EndTimestamp=NOW)},
]


@pytest.mark.parametrize("arguments", BAD, ids=[str(i) for i in range(len(BAD))])
def test_arguments_are_checked(recorded, arguments):
    server, stream, _, _ = recorded
    assert refuse(server, "InvalidArgumentException", 400, StreamName=stream, **arguments)


def test_what_is_not_there_is_not_found(recorded):
    server, stream, _, _ = recorded
    missing = refuse(server, "ResourceNotFoundException", 404, StreamName=kinema.new_name(),
                     ClipFragmentSelector=selector())
    assert "stream is not found" in missing
    old = {"StartTimestamp": NOW - 20 * HOUR, "EndTimestamp": NOW - 19 * HOUR}
    nothing = refuse(server, "ResourceNotFoundException", 404, StreamName=stream,
                     ClipFragmentSelector=selector(**old))
    assert nothing.startswith("No fragments found")
    refuse(server, "InvalidArgumentException", 400, ClipFragmentSelector=selector())
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        get_clip(server, stream, x_kinema_clip="longer")
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_retention_and_codec_private_data_are_looked_at(server):
    stream = server.create_stream(hours=0)
    refuse(server, "NoDataRetentionException", 400, StreamName=stream,
           ClipFragmentSelector=selector())
    good = load("sink360_h264_abs")
    size = mkv.element(good.data, good.data.index(b"\x63\xa2"))[1]
    for private, code in ((b"", "MissingCodecPrivateDataException"),
                          (b"\x07" * size, "InvalidCodecPrivateDataException")):
        stream = server.create_stream()
        with media.open_upload(server, stream) as upload:
            upload.send(replace_private(good, private))
            upload.finish()
            upload.all_acks()
        refuse(server, code, 400, StreamName=stream, ClipFragmentSelector=selector())


def shorten_frame(capture, frame, left):
    """The upload's bytes with only `left` bytes of one frame; a Void stands for the rest."""
    at = capture.data.index(frame.payload)
    begin = capture.data.rindex(b"\xa3", at - 13, at - 4)
    block = b"\xa3" + bytes([0x80 | 4 + left]) + capture.data[at - 4:at + left]
    rest = at + len(frame.payload) - begin - len(block) - 9
    return (capture.data[:begin] + block + b"\xec\x01" + rest.to_bytes(7, "big") + bytes(rest) +
            capture.data[at + len(frame.payload):])


def test_a_frame_that_cannot_be_one_is_said_before_the_first_byte(server, stream, tmp_path):
    capture = hls.make(tmp_path / "f.mkv", *hls.picture(2), *hls.X264)
    with media.open_upload(server, stream) as upload:
        upload.send(shorten_frame(capture, capture.fragments[0].frames[3], 3))
        upload.finish()
        acks = upload.all_acks()
    assert [a["EventType"] for a in acks].count("PERSISTED") == len(capture.fragments), acks
    refuse(server, "InvalidMediaFrameException", 400, StreamName=stream,
           ClipFragmentSelector=selector())
