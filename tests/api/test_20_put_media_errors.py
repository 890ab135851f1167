# SPDX-License-Identifier: Apache-2.0
"""Each ERROR acknowledgement for its own cause, the log line that names element and byte offset, and
what happens to the connection; then what is refused before the body, as an ordinary HTTP error."""

import re
import threading

import pytest

import kinema
import put_media as pm

HEADER = pm.header()
CODES = {
    4000: "STREAM_READ_ERROR", 4001: "MAX_FRAGMENT_SIZE_REACHED",
    4002: "MAX_FRAGMENT_DURATION_REACHED", 4003: "MAX_CONNECTION_DURATION_REACHED",
    4004: "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS", 4006: "INVALID_MKV_DATA",
    4007: "INVALID_PRODUCER_TIMESTAMP", 4008: "STREAM_NOT_ACTIVE",
    4009: "FRAGMENT_METADATA_LIMIT_REACHED", 4010: "TRACK_NUMBER_MISMATCH",
    4011: "FRAMES_MISSING_FOR_TRACK", 4012: "MORE_THAN_ALLOWED_TRACKS_FOUND",
    5000: "INTERNAL_ERROR", 5001: "ARCHIVAL_ERROR",
}


def upload(server, stream, **options):
    return pm.PutMedia(server.ingest, stream, server.key, **options)


def assert_error(server, stream, put, ident, timecode=None, text=None, numbered=None):
    """The ERROR comes last, the answer ends, the connection is closed; one line in the log."""
    error = put.wait_ack("ERROR")
    assert error["ErrorId"] == ident and error["ErrorCode"] == CODES[ident]
    assert error.get("FragmentTimecode") == timecode
    if numbered is not None:
        assert ("FragmentNumber" in error) == numbered
    put.wait_closed()
    assert put.acks[-1] is error
    line = server.wait_log(rf"upload_error stream={stream} .*error={ident} .*").group(0)
    assert f"code={CODES[ident]}" in line
    if text:
        assert re.search(text, line), line
    return error


def listed(server, stream):
    return server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "SERVER_TIMESTAMP",
        "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": 4000000000}})["Fragments"]


def test_4000_the_body_ends_inside_an_element(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base) + pm.cluster(base + 120)[:-10]).end()
        assert_error(server, stream, put, 4000, base + 120, r"SimpleBlock \(0xA3\) at byte \d+",
                     numbered=True)
    assert put.kinds(base) == ["BUFFERING", "RECEIVED", "PERSISTED"]
    assert len(listed(server, stream)) == 1  # the cut-off tail is dropped


def test_4001_a_fragment_of_too_many_bytes(make_server):
    server = make_server(args=["--fragment-bytes-max", "64KiB"])
    stream, base = server.create_stream(), pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base, pm.block(0, b"k" * 40000, key=True)))
        put.wait_ack("BUFFERING", base)
        put.send(pm.block(40, b"p" * 40000))
        assert_error(server, stream, put, 4001, base, r"SimpleBlock \(0xA3\) at byte \d+", True)


def test_4001_of_fifty_megabytes_is_judged_by_the_head_of_the_block(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base, b"") + bytes.fromhex("A3") + pm.vint(60 << 20) +
                 b"\x81\0\0\x80")
        assert_error(server, stream, put, 4001, base, r"SimpleBlock \(0xA3\)", True)


def test_4002_a_fragment_that_lasts_too_long(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base, pm.block(0, key=True) + pm.block(20001)))
        assert_error(server, stream, put, 4002, base, r"SimpleBlock \(0xA3\) at byte \d+", True)


def test_4003_the_connection_is_too_old(make_server):
    server = make_server(args=["--upload-ms-max", "700"])
    stream, base = server.create_stream(), pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER)
        for i in range(5000):
            if put.error() or put.over:
                break
            put.send(pm.cluster(base + i * 120))
            put.wait(lambda: put.error() or put.kinds(base + i * 120))
        error = assert_error(server, stream, put, 4003, put.error()["FragmentTimecode"])
    # raised where a fragment would begin: all before it is stored
    whole = [ack["FragmentTimecode"] for ack in put.acks if ack["EventType"] == "PERSISTED"]
    assert whole == list(range(base, error["FragmentTimecode"], 120))


def test_4004_a_cluster_that_does_not_rise(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base) + pm.cluster(base - 1))
        assert_error(server, stream, put, 4004, base - 1, r"Timestamp \(0xE7\) at byte \d+")
    assert put.kinds(base) == ["BUFFERING", "RECEIVED", "PERSISTED"]


def test_4004_frame_by_frame_is_a_setting(make_server):
    server = make_server(args=["--strict-frame-times"])
    stream, base = server.create_stream(), pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base) + pm.cluster(base + 80))  # the last frame was at + 80
        assert_error(server, stream, put, 4004, base + 80, r"SimpleBlock")


@pytest.mark.parametrize("what, body, text", [
    ("garbage", b"this is not Matroska at all", r"byte 0"),
    ("two_headers", HEADER + HEADER, r"EBML \(0x1A45DFA3\) at byte \d+"),
    ("no_tracks", pm.header(tracks=[b""]) + pm.cluster(1), r"track"),
    ("block_outside", HEADER + pm.block(0), r"SimpleBlock \(0xA3\) at byte \d+"),
    ("nine_byte_size", HEADER + pm.cluster(1, b"") + b"\xa3\x00" + b"\0" * 8, r"byte \d+"),
    ("child_too_large", HEADER + bytes.fromhex("1F43B67586E78101A38781000080") + b"xyz",
     r"SimpleBlock \(0xA3\) at byte \d+"),
    ("tracks_again", HEADER + pm.cluster(1) + pm.element("1654AE6B", b""), r"Tracks"),
])
def test_4006_what_is_no_legal_matroska(server, stream, what, body, text):
    with upload(server, stream) as put:
        put.send(body)
        error = put.wait_ack("ERROR")
        assert_error(server, stream, put, 4006, error.get("FragmentTimecode"), text)


@pytest.mark.parametrize("rest", [pm.block(0) + pm.cluster(120), pm.cluster(120)])
def test_4000_the_rest_of_a_broken_upload_is_asked_for_again(server, stream, rest):
    """What kvssink sends first when a server comes back; told 4006, it would discard a fragment."""
    with upload(server, stream) as put:
        put.send(rest)
        assert_error(server, stream, put, 4000, None, r"at byte 0: the stream does not start")


def test_4006_a_block_after_the_end_tag_leaves_the_commit_standing(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base) + pm.END_OF_FRAGMENT + pm.block(120))
        assert_error(server, stream, put, 4006, None, r"SimpleBlock \(0xA3\) at byte \d+")
    assert put.kinds(base) == ["BUFFERING", "RECEIVED", "PERSISTED"]


def test_4007_a_timestamp_that_overflows(server, stream):
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(1 << 62))
        assert_error(server, stream, put, 4007, 1 << 62, r"Timestamp \(0xE7\) at byte \d+")


def test_4008_the_stream_is_deleted_under_an_upload(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base))
        put.wait_ack("BUFFERING")
        server.kvs().delete_stream(
            StreamARN=server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"])
        for i in range(1, 400):
            if put.over:
                break
            put.send(pm.cluster(base + i * 120))
            threading.Event().wait(0.01)
        error = put.wait_ack("ERROR")
        assert_error(server, stream, put, 4008, error.get("FragmentTimecode"))


@pytest.mark.parametrize("bad", [
    pm.tags("n" * 129, "v"), pm.tags("n", "v" * 257), pm.tags("AWS_OWN", "v"),
    b"".join(pm.tags(f"n{i}", "v") for i in range(11)),
], ids=["name", "value", "reserved", "count"])
def test_4009_metadata_beyond_its_limits(server, stream, bad):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base) + bad)
        assert_error(server, stream, put, 4009, base, r"Tags \(0x1254C367\) at byte \d+", True)


def test_4009_does_not_count_the_end_tag(server, stream):
    with upload(server, stream) as put:
        put.finish(HEADER + pm.cluster(pm.now_ms()) +
                   b"".join(pm.tags(f"n{i}", "v" * 256) for i in range(10)) + pm.END_OF_FRAGMENT)
    assert put.kinds() == ["BUFFERING", "RECEIVED", "PERSISTED"]


def test_4010_a_block_of_a_track_that_was_not_declared(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base, pm.block(0, number=2, key=True)))
        assert_error(server, stream, put, 4010, base, r"SimpleBlock \(0xA3\) at byte \d+", True)


def test_4011_a_declared_track_without_a_frame(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(pm.header([pm.track(1), pm.track(2, 2, b"A_AAC")]) + pm.cluster(base) +
                 pm.cluster(base + 120))
        assert_error(server, stream, put, 4011, base, r"track 2", True)


def test_4011_not_where_tracks_may_pause_but_of_a_fragment_without_a_frame(server, stream):
    base = pm.now_ms()
    with upload(server, stream, headers={"x-kinema-tracks": "may-pause"}) as put:
        put.send(pm.header([pm.track(1), pm.track(2, 2, b"A_AAC")]) + pm.cluster(base) +
                 pm.cluster(base + 120) + pm.cluster(base + 240, b"") + pm.cluster(base + 360))
        assert_error(server, stream, put, 4011, base + 240, r"track 1", True)
    assert [put.kinds(base + ms)[-1] for ms in (0, 120)] == ["PERSISTED"] * 2


def test_4012_more_tracks_than_allowed(server, stream):
    with upload(server, stream) as put:
        put.send(pm.header([pm.track(i) for i in range(1, 5)]) + pm.cluster(1))
        assert_error(server, stream, put, 4012, None, r"Tracks \(0x1654AE6B\) at byte \d+")


def test_errors_are_counted_by_id(server, stream):
    import urllib.request
    with upload(server, stream) as put:
        put.send(b"garbage garbage").wait_ack("ERROR")
    kinema.wait_for(lambda: re.search(
        rf'kinema_ingest_errors_total{{stream="{stream}",error="4006"}} 1\b',
        urllib.request.urlopen(server.console + "/metrics").read().decode()))


# --- before the body ---------------------------------------------------------------------------------
def refused(server, stream, status, name, **options):
    with upload(server, stream, **options) as put:
        assert put.wait_status() == status
        put.wait(lambda: put.over)
        assert put.answer_headers["x-amzn-errortype"].split(":")[0] == name
        assert b"essage" in put.body
    return put


def test_an_unknown_stream_is_404(server):
    refused(server, kinema.new_name(), 404, "ResourceNotFoundException")


def test_name_and_arn_together_are_refused(server, stream):
    arn = server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    refused(server, stream, 400, "InvalidArgumentException",
            headers={"x-amzn-stream-arn": arn})


def test_an_extension_that_is_not_known_is_refused(server, stream):
    refused(server, stream, 400, "InvalidArgumentException", headers={"x-kinema-tracks": "any"})


def test_an_arn_alone_will_do(server, stream):
    arn = server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    with upload(server, None, headers={"x-amzn-stream-arn": arn}) as put:
        put.finish(HEADER + pm.cluster(pm.now_ms()))
    assert put.kinds() == ["BUFFERING", "RECEIVED", "PERSISTED"]


def test_neither_name_nor_arn_is_refused(server):
    refused(server, None, 400, "InvalidArgumentException")


@pytest.mark.parametrize("kind", [None, "SIDEWAYS"])
def test_the_timecode_type_is_needed(server, stream, kind):
    refused(server, stream, 400, "InvalidArgumentException",
            headers={"x-amzn-fragment-timecode-type": kind})


@pytest.mark.parametrize("start", ["yesterday", "-1", "1.2.3", "1.", "99999999999999"])
def test_an_unreadable_start_is_refused(server, stream, start):
    refused(server, stream, 400, "InvalidArgumentException", start=start)


def test_relative_timecodes_need_a_start(server, stream):
    refused(server, stream, 400, "InvalidArgumentException", timecode_type="RELATIVE",
            headers={"x-amzn-producer-start-timestamp": None})


def test_a_wrong_secret_is_403(server, stream):
    key = kinema.Key({"AccessKeyId": server.key.id, "SecretAccessKey": "wrong"})
    with pm.PutMedia(server.ingest, stream, key) as put:
        assert put.wait_status() == 403


def test_a_key_may_be_held_to_some_streams(server, stream):
    key = server.create_key("--allow", "kinesisvideo:PutMedia", "--stream", "other-*")
    with pm.PutMedia(server.ingest, stream, key) as put:
        assert put.wait_status() in (401, 403)

