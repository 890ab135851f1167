# SPDX-License-Identifier: Apache-2.0
"""GetHLSStreamingSessionURL refuses what AWS refuses, in AWS's order (kvs-api.md §4.3)."""

import datetime
import time

import botocore.exceptions
import pytest

import hls
import kinema
import media
import mkv

NOW = datetime.datetime.now(datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
RANGE = {"StartTimestamp": NOW - HOUR, "EndTimestamp": NOW + HOUR}


@pytest.fixture(scope="module")
def recorded(shared_server):
    stream = shared_server.create_stream()
    media.upload(shared_server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv"))
    return shared_server, stream


def refuse(server, code, status, operation="get_hls_streaming_session_url", **arguments):
    client = server.client("kinesis-video-archived-media", validate=False)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(client, operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    return caught.value.response["Error"]["Message"]


def selector(kind="SERVER_TIMESTAMP", **times):
    return {"FragmentSelectorType": kind, "TimestampRange": times or RANGE}


BAD = [
    {"PlaybackMode": "LIVE", "HLSFragmentSelector": selector()},
    {"PlaybackMode": "ON_DEMAND"},
    {"PlaybackMode": "LIVE_REPLAY"},
    {"PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": {"FragmentSelectorType":
                                                          "SERVER_TIMESTAMP"}},
    {"PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": selector(StartTimestamp=NOW - HOUR)},
    {"PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": selector(EndTimestamp=NOW)},
    {"PlaybackMode": "LIVE_REPLAY", "HLSFragmentSelector": selector(EndTimestamp=NOW)},
    {"PlaybackMode": "ON_DEMAND",
     "HLSFragmentSelector": selector(StartTimestamp=NOW, EndTimestamp=NOW)},
    {"PlaybackMode": "ON_DEMAND",
     "HLSFragmentSelector": selector(StartTimestamp=NOW, EndTimestamp=NOW - HOUR)},
    {"PlaybackMode": "ON_DEMAND",
     "HLSFragmentSelector": selector(StartTimestamp=NOW - 25 * HOUR, EndTimestamp=NOW)},
    {"PlaybackMode": "SOMETIMES"},
    {"ContainerFormat": "WEBM"},
    {"DiscontinuityMode": "OFTEN"},
    {"DisplayFragmentTimestamp": "MAYBE"},
    {"Expires": 299},
    {"Expires": 43201},
    {"MaxMediaPlaylistFragmentResults": 0},
    {"MaxMediaPlaylistFragmentResults": 5001},
    {"PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": selector("WALL_CLOCK")},
]


@pytest.mark.parametrize("arguments", BAD, ids=[str(i) for i in range(len(BAD))])
def test_arguments_are_checked(recorded, arguments):
    server, stream = recorded
    assert refuse(server, "InvalidArgumentException", 400, StreamName=stream, **arguments)


@pytest.mark.parametrize("arguments", [
    {}, {"Expires": 300}, {"Expires": 43200}, {"MaxMediaPlaylistFragmentResults": 1},
    {"MaxMediaPlaylistFragmentResults": 5000}, {"ContainerFormat": "MPEG_TS"},
    {"HLSFragmentSelector": {"FragmentSelectorType": "PRODUCER_TIMESTAMP"}},
    {"DiscontinuityMode": "NEVER", "DisplayFragmentTimestamp": "ALWAYS"}])
def test_live_takes_every_option(shared_server, arguments):
    server, stream = shared_server, shared_server.create_stream()
    media.upload(server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv"))
    url = hls.open_session(server, stream, "LIVE", **arguments)
    assert hls.playlist(url).segments


def test_a_stream_is_named_by_name_or_arn(recorded):
    server, stream = recorded
    arn = server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    client = server.archived(stream)
    assert client.get_hls_streaming_session_url(
        StreamARN=arn, PlaybackMode="ON_DEMAND", HLSFragmentSelector=selector())
    refuse(server, "InvalidArgumentException", 400, PlaybackMode="LIVE")


def test_no_stream_and_no_fragment_are_both_not_found_but_say_so(server, stream):
    missing = refuse(server, "ResourceNotFoundException", 404, StreamName=kinema.new_name())
    nothing = refuse(server, "ResourceNotFoundException", 404, StreamName=stream)
    empty = refuse(server, "ResourceNotFoundException", 404, StreamName=stream,
                   PlaybackMode="ON_DEMAND", HLSFragmentSelector=selector())
    assert "stream is not found" in missing
    assert nothing.startswith("No fragments found in the stream for the streaming request")
    assert empty.startswith("No fragments found in the stream for the streaming request")


def test_a_range_without_fragments_is_not_found(recorded):
    server, stream = recorded
    old = {"StartTimestamp": NOW - 20 * HOUR, "EndTimestamp": NOW - 19 * HOUR}
    refuse(server, "ResourceNotFoundException", 404, StreamName=stream,
           PlaybackMode="ON_DEMAND", HLSFragmentSelector=selector(**old))


def test_retention_comes_before_arguments(server):
    stream = server.create_stream(hours=0)
    refuse(server, "NoDataRetentionException", 400, StreamName=stream,
           PlaybackMode="ON_DEMAND")


def test_a_stale_stream_has_no_live(make_server):
    server = make_server(args=["--session-live-window-ms", "1000"])
    stream = server.create_stream()
    media.upload(server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_scale10ms.mkv"))
    # the upload came faster than real time: its last fragments reach into the future a little
    deadline = time.monotonic() + 60
    while True:
        try:
            hls.open_session(server, stream, "LIVE")
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceNotFoundException"
            assert "older than 1 seconds" in error.response["Error"]["Message"]
            return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def make_codec(tmp_path, *args):
    return hls.make(tmp_path / "c.mkv", *args)


def test_codecs_nobody_can_play_are_named(server, stream, tmp_path):
    media.upload(server, stream, make_codec(tmp_path, *hls.picture(2), "-c:v", "libvpx", "-g", "25",
                                            "-deadline", "realtime", "-cpu-used", "8"))
    message = refuse(server, "UnsupportedStreamMediaTypeException", 400, StreamName=stream)
    assert message == ("The type of the media is not supported or could not be determined from the "
                       "media codec ids: (track 1: V_VP8).")


def test_g711_and_h265_in_ts_are_not_supported(server, tmp_path):
    stream = server.create_stream()
    media.upload(server, stream, make_codec(tmp_path, *hls.picture(2), *hls.tone(2, 8000),
                                            *hls.X264, "-c:a", "pcm_alaw"))
    assert "A_MS/ACM" in refuse(server, "UnsupportedStreamMediaTypeException", 400,
                                StreamName=stream)
    stream = server.create_stream()
    media.upload(server, stream, mkv.capture(kinema.CAPTURES / "c164_h265_abs_eofr_meta.mkv"))
    refuse(server, "UnsupportedStreamMediaTypeException", 400, StreamName=stream,
           ContainerFormat="MPEG_TS")


def replace_private(capture, private):
    """The capture with other codec private data of the same length."""
    at = capture.data.index(b"\x63\xa2")
    head = mkv.element(capture.data, at)[2]
    size = mkv.element(capture.data, at)[1]
    assert len(private) == size or not private
    if private:
        return capture.data[:at + head] + private + capture.data[at + head + size:]
    void = b"\xec\x01" + (head + size - 9).to_bytes(7, "big")
    return capture.data[:at] + void + bytes(head + size - 9) + capture.data[at + head + size:]


def test_codec_private_data_is_looked_at(server, tmp_path):
    good = mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")
    at = good.data.index(b"\x63\xa2")
    size = mkv.element(good.data, at)[1]
    for private, code in ((b"", "MissingCodecPrivateDataException"),
                          (b"\x07" * size, "InvalidCodecPrivateDataException")):
        path = tmp_path / "p.mkv"
        path.write_bytes(replace_private(good, private))
        stream = server.create_stream()
        with media.open_upload(server, stream) as upload:
            upload.send(path.read_bytes())
            upload.finish()
            acks = upload.all_acks()
        if [a for a in acks if a["EventType"] == "ERROR"]:
            pytest.skip(f"ingest refuses it: {acks}")
        refuse(server, code, 400, StreamName=stream)


@pytest.mark.parametrize("query", [
    "getHLSMasterPlaylist.m3u8", "getHLSMasterPlaylist.m3u8?SessionToken=",
    "getHLSMasterPlaylist.m3u8?SessionToken=%zz", "getHLSMediaPlaylist.m3u8?TrackNumber=1",
    "s/%zz/getHLSMasterPlaylist.m3u8", "s/x/getHLSMasterPlaylist.m3u8"])
def test_a_missing_token_is_an_argument_error_or_forged(server, query):
    answer = hls.get(f"{server.api}/hls/v1/{query}")
    assert answer.status in (400, 403)
    assert answer.headers["x-amzn-errortype"].split(":")[0] in ("InvalidArgumentException",
                                                               "NotAuthorizedException")


def test_parameters_of_resources_are_checked(recorded):
    server, stream = recorded
    url = hls.open_session(server, stream)
    token = url.split("SessionToken=")[1]
    for path, status in (("getHLSMediaPlaylist.m3u8?", 400),
                         ("getHLSMediaPlaylist.m3u8?TrackNumber=x&", 400),
                         ("getHLSMediaPlaylist.m3u8?TrackNumber=9&", 404),
                         ("getMP4InitFragment.mp4?TrackNumber=1&", 400),
                         ("getMP4InitFragment.mp4?TrackNumber=1&SequenceNumber=7&", 404),
                         ("getMP4MediaFragment.mp4?TrackNumber=1&", 400),
                         ("getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber=1&", 404),
                         ("getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber=abc&", 404),
                         ("getTSFragment.ts?FragmentNumber=1&", 400),
                         ("getHLSMasterPlaylist.mp4?", 404), ("?", 404)):
        answer = hls.get(f"{server.api}/hls/v1/{path}SessionToken={token}")
        assert answer.status == status, (path, answer)
        answer = hls.get(f"{server.api}/hls/v1/s/{token}/{path}")
        assert answer.status == status, (path, answer)
    assert hls.get(url, method="POST").status == 405


def test_addresses_carry_the_token_where_no_folder_does(recorded):
    server, stream = recorded
    token = hls.open_session(server, stream).split("SessionToken=")[1]
    inside = hls.get(f"{server.api}/hls/v1/s/{token}/getHLSMediaPlaylist.m3u8?TrackNumber=1")
    beside = hls.get(f"{server.api}/hls/v1/getHLSMediaPlaylist.m3u8?SessionToken={token}&TrackNumber=1")
    assert inside.status == beside.status == 200 and token not in inside.text
    lines = [line for line in beside.text.splitlines() if line and not line.startswith("#")]
    assert lines and all(f"&SessionToken={token}&TrackNumber=1" in line for line in lines)
    assert beside.text.replace(f"SessionToken={token}&", "") == inside.text
    pair = [hls.parse(f"{server.api}/hls/v1/{folder}", answer.text).segments[0]
            for folder, answer in ((f"s/{token}/", inside), ("", beside))]
    assert hls.get(pair[0].url).body == hls.get(pair[1].url).body
    assert hls.get(pair[0].init).body == hls.get(pair[1].init).body


def test_the_page_host_is_kept_in_the_url(recorded):
    server, stream = recorded
    port = server.api.rsplit(":", 1)[1]
    client = server.client("kinesis-video-archived-media", endpoint=f"http://localhost:{port}")
    assert hls.open_session(server, stream, client=client).startswith(
        f"http://localhost:{port}/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=")
