# SPDX-License-Identifier: Apache-2.0
"""Several connections, silence, and what is left after each: the seat of a stream, roll-over, resent
fragments, idle timers, shutdown and kill -9, and bodies made by ffmpeg and mkvmerge."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

import kinema
import put_media as pm

HEADER = pm.header()


def upload(server, stream, **options):
    return pm.PutMedia(server.ingest, stream, server.key, **options)


def seated(server, stream, **options):
    """One that has its answer before the next one is opened: it holds the stream."""
    put = upload(server, stream, **options)
    assert put.wait_status() == 200
    return put


def capture(name):
    return (kinema.CAPTURES / f"{name}.mkv").read_bytes()


def listed(server, stream):
    pages = server.archived(stream).get_paginator("list_fragments").paginate(
        StreamName=stream, FragmentSelector={
            "FragmentSelectorType": "SERVER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": 4000000000}})
    return sorted((f for page in pages for f in page["Fragments"]),
                  key=lambda f: f["FragmentNumber"])


def persisted(put):
    return [ack["FragmentNumber"] for ack in put.acks if ack["EventType"] == "PERSISTED"]


# --- the seat ---------------------------------------------------------------------------------------
def test_roll_over_as_kvssink_does_it(server, stream):
    """The second connection is open, and silent, while the first ends with its tag."""
    one, two = capture("sink360_rollover_session1"), capture("sink360_rollover_session2")
    with seated(server, stream) as first, upload(server, stream) as second:
        assert second.wait_status() == 200
        for at in range(0, len(one), 65524):
            first.send(one[at:at + 65524])
        last = pm.cluster_timecode(pm.split_clusters(one)[-1])
        first.wait_ack("PERSISTED", last)
        assert not second.kinds()
        first.end().wait_over()
        second.finish(two)
    assert first.error() is None and second.error() is None
    numbers = persisted(first) + persisted(second)
    assert len(numbers) == 37 + 13
    assert [f["FragmentNumber"] for f in listed(server, stream)] == numbers


def test_a_newcomers_body_is_not_read_before_the_first_ends(server, stream):
    base = pm.now_ms()
    with seated(server, stream) as old, upload(server, stream) as new:
        new.send(HEADER + pm.cluster(base + 10000) + pm.END_OF_FRAGMENT)
        for i in range(15):  # 3 s in which the holder is never silent for long
            old.send((HEADER if i == 0 else b"") + pm.cluster(base + i * 120))
            old.wait_ack("BUFFERING", base + i * 120)
            time.sleep(0.2)
            new._drain()
        assert not new.kinds()
        old.finish()
        new.wait_ack("PERSISTED", base + 10000)
        new.finish()
    assert old.error() is None and new.error() is None


def test_a_newcomer_takes_over_from_a_silent_one(make_server):
    server = make_server(args=["--takeover-silence-ms", "300"])
    stream, base = server.create_stream(), pm.now_ms()
    with seated(server, stream) as old, upload(server, stream) as new:
        old.send(HEADER + pm.cluster(base) + pm.cluster(base + 120))
        old.wait_ack("PERSISTED", base)
        new.send(HEADER + pm.cluster(base + 1000) + pm.END_OF_FRAGMENT)
        new.wait_ack("PERSISTED", base + 1000)
        error = old.wait_ack("ERROR")
        assert error["ErrorId"] == 4000  # a class that is sent again
        old.wait_closed()
        new.finish()
    # the open fragment of the silent one is gone
    assert [f["FragmentNumber"] for f in listed(server, stream)] == persisted(old) + persisted(new)
    assert len(persisted(old)) == 1


def test_a_silent_one_keeps_the_stream_while_the_newcomer_has_no_bytes(make_server):
    server = make_server(args=["--takeover-silence-ms", "200"])
    stream, base = server.create_stream(), pm.now_ms()
    with seated(server, stream) as old, upload(server, stream) as new:
        old.send(HEADER + pm.cluster(base))
        old.wait_ack("BUFFERING", base)
        assert new.wait_status() == 200
        time.sleep(1)
        old.finish(pm.cluster(base + 120))
        assert len(persisted(old)) == 2
        new.finish()


def test_a_third_one_replaces_the_one_that_waits(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as first:
        first.send(HEADER + pm.cluster(base))
        first.wait_ack("BUFFERING")
        with upload(server, stream) as second:
            assert second.wait_status() == 200
            with upload(server, stream) as third:
                assert third.wait_status() == 200
                assert second.wait_ack("ERROR")["ErrorId"] == 4000
                second.wait_closed()
                first.finish()
                third.finish(HEADER + pm.cluster(base + 120))
                assert persisted(third)


def test_reject_answers_as_aws_does_after_the_grace(make_server):
    server = make_server(args=["--second-upload", "reject", "--takeover-silence-ms", "500"])
    stream, base = server.create_stream(), pm.now_ms()
    with upload(server, stream) as old:
        old.send(HEADER + pm.cluster(base))
        old.wait_ack("BUFFERING")
        started = time.monotonic()
        with upload(server, stream) as new:
            assert new.wait_status() == 400
            assert time.monotonic() - started > 0.4
            assert new.answer_headers["x-amzn-errortype"].startswith(
                "ConnectionLimitExceededException")
        old.finish()
        with upload(server, stream) as third:
            third.finish(HEADER + pm.cluster(base + 200))
            assert persisted(third)


def test_reject_still_lets_a_roll_over_through(make_server):
    server = make_server(args=["--second-upload", "reject", "--takeover-silence-ms", "60000"])
    stream, base = server.create_stream(), pm.now_ms()
    with seated(server, stream) as old, upload(server, stream) as new:
        old.send(HEADER + pm.cluster(base))
        old.wait_ack("BUFFERING")
        old.finish()
        assert new.wait_status() == 200
        new.finish(HEADER + pm.cluster(base + 120))
        assert persisted(new)


# --- resent fragments -----------------------------------------------------------------------------------
def test_a_resent_fragment_is_acknowledged_under_its_stored_number(server, stream):
    base = pm.now_ms()
    body = HEADER + pm.cluster(base) + pm.cluster(base + 120)
    with upload(server, stream) as one:
        one.finish(body)
    with upload(server, stream) as two:
        two.finish(body + pm.cluster(base + 240))
    assert persisted(two)[:2] == persisted(one)
    assert len(listed(server, stream)) == 3


def test_the_captures_of_an_error_and_what_was_sent_again(server, stream):
    one = capture("c164_err5000_session1_cut")
    two = capture("c164_err5000_session2_resend")
    with upload(server, stream) as first:
        first.finish(one)
    with upload(server, stream) as second:
        second.finish(two)
    assert len(persisted(first)) == 4 and len(persisted(second)) == 6
    again = {pm.cluster_timecode(c) for c in pm.split_clusters(one)[1:]} & {
        pm.cluster_timecode(c) for c in pm.split_clusters(two)[1:]}
    assert again  # one was cut short the first time: other bytes, a fragment of its own
    fragments = listed(server, stream)
    assert {f["FragmentNumber"] for f in fragments} == set(persisted(first) + persisted(second))


def test_a_lost_connection_leaves_the_whole_fragments(server, stream):
    base = pm.now_ms()
    put = upload(server, stream)
    put.send(HEADER + pm.cluster(base) + pm.cluster(base + 120))
    put.wait_ack("PERSISTED", base)
    put.reset()
    with upload(server, stream) as again:  # at once: the seat is free
        again.finish(HEADER + pm.cluster(base + 120))
    assert len(listed(server, stream)) == 2


def test_tags_before_the_first_cluster_lead_fragment_one(server, stream):
    with upload(server, stream) as put:
        put.finish(capture("c164_persistmeta_2_tags_before_cluster"))
    media = server.media(stream).get_media(StreamName=stream, StartSelector={
        "StartSelectorType": "EARLIEST"})["Payload"]
    head = media.read(20000)
    cluster = head.find(b"\x1f\x43\xb6\x75")
    assert b"TEST_KEY_1" in head[:cluster]


# --- silence -----------------------------------------------------------------------------------------------
def test_idle_acks_are_padded_and_regular(make_server):
    server = make_server(args=["--idle-ack-ms", "1000", "--fragment-idle-ms", "400"])
    stream = server.create_stream()
    began = time.monotonic()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(pm.now_ms()))
        put.wait(lambda: sum(ack["EventType"] == "IDLE" for ack in put.acks) >= 3)
        idle = [(chunk, at) for chunk, at in zip(put.chunks, put.times) if b"IDLE" in chunk]
        assert all(320 <= len(chunk) <= 1024 for chunk, _ in idle)
        # they may be read late, never early
        assert all(at - began > 0.9 * number for number, (_, at) in enumerate(idle, 1))
        assert idle[-1][1] - began < 20
        put.finish()


def test_silence_closes_the_open_fragment_then_the_connection(make_server):
    server = make_server(args=["--fragment-idle-ms", "300", "--upload-idle-ms", "1200"])
    stream, base = server.create_stream(), pm.now_ms()
    started = time.monotonic()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base))
        put.wait_ack("PERSISTED", base)  # without a tag, a Cluster or an end
        put.wait_over()  # in order: no error
        put.wait_closed()
        assert 1.1 < time.monotonic() - started < 40
    assert put.error() is None


def test_silence_inside_an_element_never_stores_half_a_fragment(make_server):
    server = make_server(args=["--fragment-idle-ms", "300", "--upload-idle-ms", "1000"])
    stream, base = server.create_stream(), pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base)[:-10])
        assert put.wait_ack("ERROR")["ErrorId"] == 4000
        put.wait_closed()
    assert "RECEIVED" not in put.kinds()
    assert listed(server, stream) == []


def test_a_new_fragment_may_follow_after_the_silence(make_server):
    server = make_server(args=["--fragment-idle-ms", "300"])
    stream, base = server.create_stream(), pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base))
        put.wait_ack("PERSISTED", base)
        put.finish(pm.cluster(base + 1000))
    assert len(persisted(put)) == 2 and put.error() is None


def wait_refused(url, seconds=60):
    """Until nobody listens there."""
    where, deadline = urllib.parse.urlsplit(url), time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((where.hostname, where.port), timeout=60).close()
        except OSError:
            return
        assert time.monotonic() < deadline, f"{url} still answers"
        time.sleep(0.02)


# --- ends of the server ---------------------------------------------------------------------------------------
def test_shutdown_lets_the_open_fragment_end(make_server):
    server = make_server()
    stream, base = server.create_stream(), pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base))
        put.wait_ack("BUFFERING", base)
        server.signal(signal.SIGTERM)
        wait_refused(server.ingest)  # the loops have heard of it
        put.send(pm.cluster(base + 120))  # the next one is not begun any more
        put.wait_ack("PERSISTED", base)
        put.wait_closed()
    assert put.error() is None and put.kinds(base + 120) == []
    assert server.wait() == 0
    server.start()
    assert [f["FragmentNumber"] for f in listed(server, stream)] == persisted(put)


def test_what_was_persisted_survives_kill_9(make_server):
    server = make_server()
    stream, base = server.create_stream(), pm.now_ms()
    put = upload(server, stream)
    put.send(HEADER + b"".join(pm.cluster(base + i * 120) for i in range(20)))
    put.wait_ack("PERSISTED", base + 18 * 120)
    acked = persisted(put)
    put.close()
    server.restart(hard=True)
    found = [f["FragmentNumber"] for f in listed(server, stream)]
    assert set(acked) <= set(found)
    with upload(server, stream) as again:
        again.finish(HEADER + pm.cluster(base + 10000))
    assert int(persisted(again)[0]) > max(map(int, found))


# --- other muxers -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def test_video(tmp_path_factory):
    """H.264 with B-frames, and AAC: three seconds, by ffmpeg."""
    path = tmp_path_factory.mktemp("video") / "av.mkv"
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25",
         "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "3", "-c:v", "libx264",
         "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac", "-cluster_time_limit",
         "1000", str(path)], check=True)
    return path


def assert_body_taken(server, stream, body, **options):
    with upload(server, stream, **options) as put:
        put.finish(body)
    assert put.error() is None, put.error()
    assert persisted(put)
    return put


def test_a_file_of_ffmpeg(server, stream, test_video):
    body = test_video.read_bytes()
    assert_body_taken(server, stream, body, timecode_type="RELATIVE", start="1795378995.000")


def test_a_live_body_of_ffmpeg(server, stream, test_video):
    body = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", str(test_video), "-c", "copy",
                           "-f", "matroska", "-live", "1", "-"], check=True,
                          capture_output=True).stdout
    assert_body_taken(server, stream, body, timecode_type="RELATIVE", start="1795378995.000")


@pytest.mark.skipif(not shutil.which("mkvmerge"), reason="mkvtoolnix is not installed")
def test_a_file_of_mkvmerge_with_laced_audio(server, stream, test_video, tmp_path):
    out = tmp_path / "merged.mkv"
    subprocess.run(["mkvmerge", "-q", "--cluster-length", "1000", "-o", str(out), str(test_video)],
                   check=True)
    body = out.read_bytes()
    put = assert_body_taken(server, stream, body, timecode_type="RELATIVE",
                            start="1795378995.000")
    assert len(persisted(put)) >= 3


def test_curl_uploads_from_a_pipe(make_server, test_video):
    server = make_server(auth=False)
    server.kvs().create_stream(StreamName="piped", DataRetentionInHours=24)
    with open(test_video, "rb") as body:
        done = subprocess.run(
            ["curl", "-sS", "-X", "POST", "-T", "-", "-H", "x-amzn-stream-name: piped",
             "-H", "x-amzn-fragment-timecode-type: RELATIVE",
             "-H", "x-amzn-producer-start-timestamp: 1795378995.000",
             f"{server.ingest}/putMedia"], stdin=body, capture_output=True, text=True, timeout=60,
            env={**os.environ, "no_proxy": "*"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"PERSISTED"') >= 3 and "ERROR" not in done.stdout


def test_metrics_tell_of_uploads(server, stream):
    import urllib.request
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER + pm.cluster(base) + pm.cluster(base + 120))
        put.wait_ack("PERSISTED", base)
        series = (rf'kinema_ingest_uploads{{stream="{stream}"}} 1\b',
                  rf'kinema_ingest_fragments_total{{stream="{stream}"}} 1\b',
                  rf'kinema_ingest_bytes_total{{stream="{stream}"}} \d\d+',
                  r"kinema_ingest_persisted_seconds_count\S* [1-9]")

        def are_told():
            text = urllib.request.urlopen(server.console + "/metrics").read().decode()
            return all(re.search(one, text) for one in series)

        kinema.wait_for(are_told)
        put.finish()
