# SPDX-License-Identifier: Apache-2.0
"""How GetMedia answers end, and what else carries them: TLS, HTTP/2, a stopping server."""

import re
import subprocess
import threading
import time
import urllib.request

import kinema
import media
import mkv

LONG_MS = 60000  # nothing here ends by idling


def capture():
    return mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")


def test_a_deleted_stream_ends_its_readers(server, stream):
    media.upload(server, stream, capture())
    body = media.get_media(server, stream, "NOW", idle_ms=LONG_MS)
    arn = server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    server.kvs().delete_stream(StreamARN=arn)
    assert body.read() == b""


def test_a_server_that_stops_ends_its_readers(make_server):
    server = make_server()
    stream, one = server.create_stream(), capture()
    acks = media.upload(server, stream, one)
    reader = media.Reader(media.get_media(server, stream, "EARLIEST", idle_ms=LONG_MS))
    reader.until_whole(len(acks))
    rest = []
    waiting = threading.Thread(target=lambda: rest.append(list(reader.chunks)))
    waiting.start()
    server.stop()
    waiting.join(60)
    assert rest == [[]]  # a clean end: the last chunk of the answer, and no error


def test_a_silent_upload_ends_a_reader_after_the_idle_time_in_the_middle(server, stream):
    one = capture()
    with media.open_upload(server, stream) as upload:
        upload.send(one.data[:one.fragments[0].marks[6]])
        upload.wait_for("BUFFERING")
        found = mkv.documents(media.get_media(server, stream, "NOW", idle_ms=300).read())
        assert len(found) == 1 and found[0].token is None
        assert found[0].frames == one.fragments[0].frames[:5]


def test_the_time_limit_ends_a_body_at_a_fragments_end(server, stream):
    one = capture()
    media.upload(server, stream, one)
    client = media.with_headers(server.media(stream), x_kinema_idle_timeout_ms=LONG_MS,
                                x_kinema_max_duration_ms=500)
    before = time.monotonic()
    body = client.get_media(StreamName=stream,
                            StartSelector={"StartSelectorType": "EARLIEST"})["Payload"]
    found = mkv.documents(body.read())
    assert all(d.token for d in found)
    assert time.monotonic() - before < LONG_MS / 1000


def test_over_tls(tls_server):
    stream, one = tls_server.create_stream(), capture()
    media.upload(tls_server, stream, one)
    client = media.with_headers(
        tls_server.client("kinesis-video-media", tls_server.endpoints["api-tls"]),
        x_kinema_idle_timeout_ms=media.IDLE_MS)
    body = client.get_media(StreamName=stream,
                            StartSelector={"StartSelectorType": "EARLIEST"})["Payload"]
    assert [d.frames for d in mkv.documents(body.read())] == [f.frames for f in one.fragments]


def test_over_http2(tls_server):
    stream, one = tls_server.create_stream(), capture()
    media.upload(tls_server, stream, one)
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "--http2", "--cacert", tls_server.certificate,
         "--aws-sigv4", f"aws:amz:{kinema.REGION}:kinesisvideo",
         "--user", f"{tls_server.key.id}:{tls_server.key.secret}",
         "--write-out", "%{stderr}%{http_version}",
         "--header", "content-type: application/json",
         "--header", f"x-kinema-idle-timeout-ms: {media.IDLE_MS}",
         "--data", f'{{"StreamName": "{stream}", "StartSelector": '
                   '{"StartSelectorType": "EARLIEST"}}',
         tls_server.endpoints["api-tls"] + "/getMedia"],
        capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout[:500], done.stderr)
    assert done.stderr.decode().strip() == "2"
    assert [d.frames for d in mkv.documents(done.stdout)] == [f.frames for f in one.fragments]


def test_readers_who_do_not_read_hold_up_nobody(server, stream):
    """Ten viewers that take nothing, beside one that does."""
    one = mkv.capture(kinema.CAPTURES / "c164_h264_aac_abs_tc0.mkv")
    idle = [media.get_media(server, stream, "NOW", idle_ms=LONG_MS) for _ in range(10)]
    with media.Reader(media.get_media(server, stream, "NOW", idle_ms=LONG_MS)) as reader:
        acks = media.upload(server, stream, one)
        found = reader.until_whole(len(acks)).documents()
    assert [d.frames for d in found] == [f.frames for f in one.fragments]
    with media.Reader(idle[0]) as late:  # and they still find everything, later
        assert len(late.until_whole(len(acks)).documents()) == len(acks)
    for body in idle[1:]:
        body.close()


def metric(server, name, operation="GetMedia"):
    with urllib.request.urlopen(server.console + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.search(rf'^{name}{{operation="{operation}"}} (\S+)$', text, re.MULTILINE)
    return float(found.group(1)) if found else 0


def test_metrics_count_readers_and_bytes(make_server):
    server = make_server()
    stream, one = server.create_stream(), capture()
    media.upload(server, stream, one)
    with media.Reader(media.get_media(server, stream, idle_ms=LONG_MS)) as reader:
        reader.until_whole(len(one.fragments))
        assert metric(server, "kinema_media_readers") == 1
    sent = len(media.get_media(server, stream).read())
    kinema.wait_for(lambda: metric(server, "kinema_media_sent_bytes_total") == sent + len(reader.data))
    assert metric(server, "kinema_media_readers", "GetMediaForFragmentList") == 0
