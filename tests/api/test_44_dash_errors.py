# SPDX-License-Identifier: Apache-2.0
"""GetDASHStreamingSessionURL refuses what AWS refuses, in AWS's order (kvs-api.md §4.3, §5.1)."""

import pytest

import dash
import hls
import kinema
import media
import mkv
from test_41_hls_errors import BAD, HOUR, NOW, recorded, replace_private, selector  # noqa: F401 - a fixture
from test_41_hls_errors import refuse as refuse_session

NAMES = {"HLSFragmentSelector": "DASHFragmentSelector",
         "MaxMediaPlaylistFragmentResults": "MaxManifestFragmentResults"}


def of_dash(arguments):
    return {NAMES.get(name, name): value for name, value in arguments.items()}


def refuse(*arguments, **fields):
    return refuse_session(*arguments, operation="get_dash_streaming_session_url", **fields)


WRONG = [of_dash(a) for a in BAD if not a.keys() & {"ContainerFormat", "DiscontinuityMode"}]
WRONG += [{"DisplayFragmentNumber": "MAYBE"}]


@pytest.mark.parametrize("arguments", WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_arguments_are_checked(recorded, arguments):
    server, stream = recorded
    message = refuse(server, "InvalidArgumentException", 400, StreamName=stream, **arguments)
    assert message and "HLS" not in message


@pytest.mark.parametrize("arguments", [
    {}, {"Expires": 300}, {"Expires": 43200}, {"MaxManifestFragmentResults": 1},
    {"MaxManifestFragmentResults": 5000}, {"DisplayFragmentNumber": "NEVER"},
    {"DASHFragmentSelector": {"FragmentSelectorType": "PRODUCER_TIMESTAMP"}},
    {"DisplayFragmentNumber": "ALWAYS", "DisplayFragmentTimestamp": "ALWAYS"}])
def test_live_takes_every_option(shared_server, arguments):
    server, stream = shared_server, shared_server.create_stream()
    media.upload(server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv"))
    assert dash.manifest(dash.open_session(server, stream, "LIVE", **arguments)).segments()


def test_a_stream_is_named_by_name_or_arn(recorded):
    server, stream = recorded
    arn = server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    assert server.archived(stream).get_dash_streaming_session_url(
        StreamARN=arn, PlaybackMode="ON_DEMAND", DASHFragmentSelector=selector())
    refuse(server, "InvalidArgumentException", 400, PlaybackMode="LIVE")


def test_no_stream_and_no_fragment_are_both_not_found_but_say_so(server, stream):
    missing = refuse(server, "ResourceNotFoundException", 404, StreamName=kinema.new_name())
    nothing = refuse(server, "ResourceNotFoundException", 404, StreamName=stream)
    old = {"StartTimestamp": NOW - 20 * HOUR, "EndTimestamp": NOW - 19 * HOUR}
    empty = refuse(server, "ResourceNotFoundException", 404, StreamName=stream,
                   PlaybackMode="ON_DEMAND", DASHFragmentSelector=selector(**old))
    assert "stream is not found" in missing
    assert nothing.startswith("No fragments found in the stream for the streaming request")
    assert empty.startswith("No fragments found in the stream for the streaming request")


def test_retention_comes_before_arguments(server):
    stream = server.create_stream(hours=0)
    refuse(server, "NoDataRetentionException", 400, StreamName=stream, PlaybackMode="ON_DEMAND")


def test_tracks_that_do_not_go_together_are_named(server, tmp_path):
    """H.265 with G.711; G.711 alone; codecs that nobody can play."""
    picture = hls.picture(2, "128x72")
    h265 = ["-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast"]
    vp8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"]
    for i, arguments in enumerate(([*picture, *hls.tone(2, 8000), *h265, "-c:a", "pcm_alaw"],
                                   [*hls.tone(2, 8000), "-c:a", "pcm_mulaw"], [*picture, *vp8])):
        stream = server.create_stream()
        media.upload(server, stream, hls.make(tmp_path / f"{i}.mkv", *arguments))
        message = refuse(server, "UnsupportedStreamMediaTypeException", 400, StreamName=stream)
        assert message.startswith("The type of the media is not supported or could not be "
                                  "determined from the media codec ids: (track 1: ")


def test_codec_private_data_is_looked_at(server, tmp_path):
    good = mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")
    size = mkv.element(good.data, good.data.index(b"\x63\xa2"))[1]
    for private, code in ((b"", "MissingCodecPrivateDataException"),
                          (b"\x07" * size, "InvalidCodecPrivateDataException")):
        stream = server.create_stream()
        with media.open_upload(server, stream) as upload:
            upload.send(replace_private(good, private))
            upload.finish()
            acks = upload.all_acks()
        if [a for a in acks if a["EventType"] == "ERROR"]:
            pytest.skip(f"ingest refuses it: {acks}")
        refuse(server, code, 400, StreamName=stream)
