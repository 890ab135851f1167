# SPDX-License-Identifier: Apache-2.0
"""The ten rules that AWS's own producers hold a PutMedia server to, each by name, and the real bodies
they send, replayed whole, with pauses, and split at random."""

import random
import re
import time

import pytest

import kinema
import put_media as pm

HEADER = pm.header()


def upload(server, stream, **options):
    return pm.PutMedia(server.ingest, stream, server.key, **options)


def capture(name):
    return (kinema.CAPTURES / f"{name}.mkv").read_bytes()


def test_rule_1_one_ack_an_http_chunk(server, stream):
    with upload(server, stream) as put:
        base = pm.now_ms()
        put.finish(HEADER + b"".join(pm.cluster(base + i * 120) for i in range(40)))
    # the client itself refuses two objects in a chunk, and chunks above 1024 bytes
    assert len(put.chunks) == len(put.acks) == 40 * 3
    assert all(chunk.startswith(b'{"EventType":') and chunk.endswith(b"}\n")
               for chunk in put.chunks)


def test_rule_2_end_of_fragment_closes_the_fragment_while_the_request_stays_open(server, stream):
    with upload(server, stream) as put:
        base = pm.now_ms()
        put.send(HEADER + pm.cluster(base) + pm.END_OF_FRAGMENT)
        put.wait_ack("PERSISTED", base)
        assert not put.over
        put.send(pm.cluster(base + 500) + pm.END_OF_FRAGMENT)  # and it can go on
        put.wait_ack("PERSISTED", base + 500)
        put.end().wait_over()
    assert put.kinds() == ["BUFFERING", "RECEIVED", "PERSISTED"] * 2


@pytest.mark.parametrize("scale, timecode", [(1000000, 1795378995890), (10000000, 179537899589),
                                             (1000000000, 1795378996), (100000, 17953789958901)])
def test_rule_3_fragment_timecode_is_the_cluster_timecode_as_sent(server, stream, scale, timecode):
    with upload(server, stream) as put:
        put.finish(pm.header(scale=scale) + pm.cluster(timecode, pm.block(0, key=True)))
    assert [ack["FragmentTimecode"] for ack in put.acks] == [timecode] * 3
    listed = server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "PRODUCER_TIMESTAMP",
        "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": 2000000000}})["Fragments"]
    assert listed[0]["ProducerTimestamp"].timestamp() == pytest.approx(
        timecode * scale / 1e9, abs=0.0011)


def test_rule_4_buffering_promptly_persisted_always(server, stream):
    with upload(server, stream) as put:
        base = pm.now_ms()
        put.send(HEADER + pm.cluster(base, pm.block(0, key=True)))
        put.wait_ack("BUFFERING", base)  # nothing but the first frame has come
        assert put.kinds() == ["BUFFERING"]
        put.send(pm.cluster(base + 100))
        put.wait_ack("PERSISTED", base)
        put.finish()
    assert put.kinds(base + 100) == ["BUFFERING", "RECEIVED", "PERSISTED"]


def test_rule_4_without_retention_received_is_the_last(server):
    stream = server.create_stream(hours=0)
    with upload(server, stream) as put:
        put.finish(HEADER + pm.cluster(pm.now_ms()))
    assert put.kinds() == ["BUFFERING", "RECEIVED"]


def test_rule_5_the_host_header_has_no_port(server, stream):
    with upload(server, stream) as put:
        assert put.headers["Host"] == "127.0.0.1"
        assert put.wait_status() == 200
        put.finish()


def test_rule_6_hop_by_hop_headers_are_part_of_the_signature(server, stream):
    with upload(server, stream) as put:
        assert put.wait_status() == 200
        put.finish()
    put = upload(server, stream, open_now=False)
    good = pm.sign
    try:  # a proxy has rewritten a header that was signed
        pm.sign = lambda method, path, headers, *rest: good(
            method, path, dict(headers, **{"user-agent": "proxy"}), *rest)
        put.open()
    finally:
        pm.sign = good
    assert put.wait_status() == 403
    assert b"signature" in put.wait(lambda: put.body).lower()
    put.close()


def test_rule_7_h2_is_never_selected(tls_server):
    stream = tls_server.create_stream()
    put = pm.PutMedia(tls_server.endpoints["ingest-tls"], stream, tls_server.key,
                      cafile=tls_server.certificate, expect=True)
    with put:
        assert put.sock.selected_alpn_protocol() in (None, "http/1.1")
        base = pm.now_ms()
        put.finish(HEADER + pm.cluster(base))
    assert put.kinds() == ["BUFFERING", "RECEIVED", "PERSISTED"]


def test_rule_8_overload_is_answered_with_504(make_server):
    server = make_server(args=["--volume-free-bytes-min", "1TiB"])
    server.kvs().create_stream(StreamName="full", DataRetentionInHours=24)
    with upload(server, "full") as put:
        # the floor is watched, so that the first look may come a moment after the start
        for _ in range(600):
            if put.wait_status() == 504:
                break
            put.close()
            time.sleep(0.1)
            put = upload(server, "full")
        assert put.status == 504


def test_rule_9_two_connections_at_once(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as old:
        old.send(HEADER + pm.cluster(base))
        old.wait_ack("BUFFERING", base)
        with upload(server, stream) as new:  # new credentials; its body comes later
            assert new.wait_status() == 200
            old.send(pm.cluster(base + 120) + pm.END_OF_FRAGMENT)
            old.wait_ack("PERSISTED", base + 120)
            old.end().wait_over()
            new.finish(HEADER + pm.cluster(base + 240))
    assert old.kinds(base + 120) == new.kinds(base + 240) == ["BUFFERING", "RECEIVED", "PERSISTED"]
    numbers = [int(ack["FragmentNumber"]) for put in (old, new) for ack in put.acks
               if ack["EventType"] == "PERSISTED"]
    assert numbers == sorted(numbers) and len(set(numbers)) == 3


def test_rule_10_describe_stream_says_active_by_status(server, stream):
    """The producers read nothing but the HTTP status and StreamInfo.Status."""
    assert server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["Status"] == "ACTIVE"
    gone = kinema.new_name()
    with pytest.raises(Exception) as raised:
        server.kvs().describe_stream(StreamName=gone)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


# --- what the producers send, byte for byte --------------------------------------------------------
WHOLE = {
    "c164_h264_aac_abs_tc0": 5, "c164_h264_abs_eofr_meta": 5, "c164_h265_abs_eofr_meta": 5,
    "c164_persistmeta_1_cut": 3, "c164_persistmeta_2_tags_before_cluster": 3,
    "c164_err5000_session1_cut": 4, "c164_err5000_session2_resend": 6,
    "sink360_h264_aac_abs": 4, "sink360_h264_abs": 4, "sink360_h264_scale10ms": 3,
    "sink360_rollover_session1": 37, "sink360_rollover_session2": 13,
}


def assert_all_persisted(put, clusters):
    timecodes = [pm.cluster_timecode(one) for one in clusters]
    for timecode in timecodes:
        assert put.kinds(timecode) == ["BUFFERING", "RECEIVED", "PERSISTED"], timecode
    assert put.error() is None
    numbers = [ack["FragmentNumber"] for ack in put.acks if ack["EventType"] == "PERSISTED"]
    assert all(re.fullmatch(r"\d{47}", number) for number in numbers)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("name", WHOLE)
def test_every_capture_is_persisted_fragment_by_fragment(server, stream, name):
    body = capture(name)
    clusters = pm.split_clusters(body)[1:]
    assert len(clusters) == WHOLE[name]
    with upload(server, stream) as put:
        put.finish(body)
    assert_all_persisted(put, clusters)


def test_a_relative_capture_counts_from_the_start_header(server, stream):
    body = capture("sink360_h264_rel")
    with upload(server, stream, timecode_type="RELATIVE", start="1795378995.92") as put:
        put.finish(body)
    assert [ack["FragmentTimecode"] for ack in put.acks if ack["EventType"] == "PERSISTED"] == [
        pm.cluster_timecode(one) for one in pm.split_clusters(body)[1:]]
    listed = server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "PRODUCER_TIMESTAMP",
        "TimestampRange": {"StartTimestamp": 1795378990, "EndTimestamp": 1795379100}})["Fragments"]
    # ".92" of AWS's C producers is 92 ms
    assert min(f["ProducerTimestamp"] for f in listed).timestamp() == pytest.approx(
        1795378995.092, abs=0.0005)


@pytest.mark.parametrize("name", ["c164_persistmeta_2_tags_before_cluster", "sink360_h264_aac_abs"])
def test_http_chunks_may_cut_anywhere(server, stream, name):
    body, seed = capture(name), random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    with upload(server, stream) as put:
        at = 0
        while at < len(body):
            step = rng.choice([1, 2, 3, 7, 100, 1400, 65524])
            put.send(body[at:at + step], chunk=rng.choice([1, 5, 1000, 65524]) if step < 2000
                     else 65524)
            at += step
        put.finish()
    assert_all_persisted(put, pm.split_clusters(body)[1:])


def test_pauses_between_fragments_do_not_matter(server, stream):
    parts = pm.split_clusters(capture("c164_h265_abs_eofr_meta"))
    with upload(server, stream) as put:
        put.send(parts[0])
        for part in parts[1:]:
            put.send(part)  # ends with END_OF_FRAGMENT: persisted before the next one is sent
            put.wait_ack("PERSISTED", pm.cluster_timecode(part))
        put.finish()
    assert_all_persisted(put, parts[1:])


def test_a_body_byte_by_byte_in_tcp(server, stream):
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.sock.setblocking(True)
        body = HEADER + pm.cluster(base)
        wire = b"".join(b"1\r\n" + bytes([one]) + b"\r\n" for one in body) + b"0\r\n\r\n"
        for at in range(0, len(wire), 3):
            put.sock.send(wire[at:at + 3])
        put.wait_over()
    assert put.kinds(base) == ["BUFFERING", "RECEIVED", "PERSISTED"]


def test_acks_flow_while_the_body_arrives(server, stream):
    """Full duplex: each frame is sent only after the acknowledgement before it was read."""
    base = pm.now_ms()
    with upload(server, stream) as put:
        put.send(HEADER)
        for i in range(5):
            put.send(pm.cluster(base + i * 200))
            put.wait_ack("BUFFERING", base + i * 200)
            if i:
                put.wait_ack("PERSISTED", base + (i - 1) * 200)
        put.finish()


def test_100_continue_comes_before_the_200(server, stream):
    with upload(server, stream, expect=True) as put:
        assert put.wait_status() == 200
        assert put.interim == [100]
        put.finish(HEADER + pm.cluster(pm.now_ms()))
    assert put.error() is None


def test_an_empty_body_is_answered_with_no_acks(server, stream):
    with upload(server, stream) as put:
        put.finish()
    assert put.status == 200 and put.acks == []


def test_a_header_without_a_cluster_is_answered_with_no_acks(server, stream):
    with upload(server, stream) as put:
        put.finish(HEADER)
    assert put.status == 200 and put.acks == []


def test_acks_off_leaves_only_errors(server, stream):
    base = pm.now_ms()
    with upload(server, stream, acks="0") as put:
        put.send(HEADER + pm.cluster(base) + pm.cluster(base + 120))
        put.send(pm.cluster(base))  # does not rise
        put.wait_ack("ERROR")
    assert put.kinds() == ["ERROR"]


def test_a_client_that_reads_nothing_until_the_end_loses_nothing(server, stream):
    base, count = pm.now_ms() - 3600 * 1000, 1000
    body = HEADER + b"".join(pm.cluster(base + i * 120, pm.block(0, b"x" * 4000, key=True))
                             for i in range(count))
    put = upload(server, stream)
    put.sock.setblocking(True)
    put.sock.settimeout(pm.TIMEOUT_S)
    put.sock.sendall(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
    with put:
        put.wait_over()
    assert sum(ack["EventType"] == "PERSISTED" for ack in put.acks) == count
