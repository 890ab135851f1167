# SPDX-License-Identifier: Apache-2.0
"""GetMedia as boto3 users see it: layout, selectors, what comes back, errors (kvs-api.md §3)."""

import subprocess
import time

import botocore.exceptions
import pytest

import kinema
import media
import mkv

CAPTURES = ["sink360_h264_abs", "sink360_h264_aac_abs", "c164_h264_abs_eofr_meta",
            "c164_h265_abs_eofr_meta", "sink360_h264_scale10ms", "c164_h264_aac_abs_tc0"]


def load(name):
    return mkv.capture(kinema.CAPTURES / f"{name}.mkv")


@pytest.fixture(scope="module")
def recorded(shared_server):
    """A stream with one upload in it: (server, stream, capture, acks). For reading only."""
    capture = load("sink360_h264_abs")
    stream = shared_server.create_stream()
    acks = media.upload(shared_server, stream, capture)
    return shared_server, stream, capture, acks


@pytest.mark.parametrize("name", CAPTURES)
def test_frames_out_are_frames_in(server, stream, name):
    capture = load(name)
    acks = media.upload(server, stream, capture)

    found = media.get_documents(server, stream)

    assert [d.number for d in found] == [a["FragmentNumber"] for a in acks]
    for document, fragment in zip(found, capture.fragments):
        media.assert_same_media(document, fragment, capture)


def test_tags_are_where_the_parser_library_expects_them(recorded):
    server, stream, capture, acks = recorded
    before = time.time()

    found = media.get_documents(server, stream)

    for document, ack, fragment in zip(found, acks, capture.fragments):
        assert list(document.head_tags) == ["AWS_KINESISVIDEO_FRAGMENT_NUMBER",
                                            "AWS_KINESISVIDEO_SERVER_TIMESTAMP",
                                            "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"]
        assert list(document.tail_tags) == ["AWS_KINESISVIDEO_MILLIS_BEHIND_NOW",
                                            "AWS_KINESISVIDEO_CONTINUATION_TOKEN"]
        assert document.token == document.number == ack["FragmentNumber"]
        assert len(document.number) == 47
        producer = document.head_tags["AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"]
        assert producer == f"{fragment.timecode // 1000}.{fragment.timecode % 1000:03d}"
        # the server's time is readable in the number: 2^156 + seq·2^92 + ms·2^28 + random
        assert (int(document.number) >> 28) & ((1 << 64) - 1) == media.server_ms(document)
        behind = int(document.tail_tags["AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"])
        sent = media.server_ms(document) + behind
        assert before * 1000 - 1000 <= sent <= time.time() * 1000 + 1000
        assert document.data.endswith(document.token.encode())


def test_tools_read_every_document_and_all_of_them(recorded, tmp_path):
    server, stream, capture, _ = recorded
    body = media.get_media(server, stream).read()

    for i, document in enumerate(mkv.documents(body)):
        path = tmp_path / f"{i}.mkv"
        path.write_bytes(document.data)
        packets = media.probe(path, "-show_packets")["packets"]
        assert len(packets) == len(capture.fragments[i].frames)
        assert [int(p["size"]) for p in packets] == [len(f.payload)
                                                     for f in capture.fragments[i].frames]
        info = subprocess.run(["mkvinfo", "-v", "-v", str(path)], capture_output=True,
                              text=True, timeout=60)
        assert info.returncode == 0 and "rror" not in info.stdout, info.stdout
        assert "AWS_KINESISVIDEO_CONTINUATION_TOKEN" in info.stdout


def test_after_a_fragment_number(recorded):
    server, stream, capture, acks = recorded
    for i, ack in enumerate(acks):
        found = media.get_documents(server, stream, "FRAGMENT_NUMBER",
                                    AfterFragmentNumber=ack["FragmentNumber"])
        assert [d.number for d in found] == [a["FragmentNumber"] for a in acks[i + 1:]]


def test_a_number_need_not_exist(recorded):
    server, stream, _, acks = recorded
    odd = str(int(acks[0]["FragmentNumber"]) + 1)
    found = media.get_documents(server, stream, "FRAGMENT_NUMBER", AfterFragmentNumber=odd)
    assert [d.number for d in found] == [a["FragmentNumber"] for a in acks[1:]]
    found = media.get_documents(server, stream, "FRAGMENT_NUMBER", AfterFragmentNumber="1")
    assert len(found) == len(acks)


def test_continuation_tokens_walk_the_whole_stream(recorded):
    """As a consumer does that stops after each fragment and comes back with its token."""
    server, stream, capture, acks = recorded
    seen, selector = [], {"start": "EARLIEST"}
    while len(seen) < len(acks):
        with media.Reader(media.get_media(server, stream, **selector)) as reader:
            first = reader.until_whole(1).documents()[0]
        media.assert_same_media(first, capture.fragments[len(seen)], capture)
        seen.append(first.number)
        selector = {"start": "CONTINUATION_TOKEN", "ContinuationToken": first.token}
    assert seen == [a["FragmentNumber"] for a in acks]
    assert media.get_documents(server, stream, **selector) == []


def test_producer_time_selects_the_fragment_that_contains_it(recorded):
    server, stream, capture, acks = recorded
    third = capture.fragments[2]
    inside = third.timecode // 1000 + 1  # boto3 sends whole seconds; fragments are 2 s long
    expected = max(i for i, f in enumerate(capture.fragments) if f.timecode <= inside * 1000)

    found = media.get_documents(server, stream, "PRODUCER_TIMESTAMP",
                                StartTimestamp=media.at(inside * 1000))

    assert found[0].number == acks[expected]["FragmentNumber"]
    assert len(found) == len(acks) - expected


def test_a_time_before_everything_begins_with_the_oldest(recorded):
    server, stream, _, acks = recorded
    for kind in ("PRODUCER_TIMESTAMP", "SERVER_TIMESTAMP"):
        found = media.get_documents(server, stream, kind, StartTimestamp=media.at(1000))
        assert len(found) == len(acks)


def test_a_time_after_everything_gives_nothing(recorded):
    server, stream, _, _ = recorded
    tomorrow = media.at((time.time() + 86400) * 1000)
    assert media.get_documents(server, stream, "SERVER_TIMESTAMP", StartTimestamp=tomorrow) == []


def test_now_on_an_idle_stream_ends_after_three_seconds(recorded):
    server, stream, _, _ = recorded
    assert media.get_media(server, stream, "NOW", idle_ms=None).read() == b""


def test_two_sessions_follow_each_other_with_their_own_headers(server, stream):
    first, second = load("sink360_h264_abs"), load("c164_h265_abs_eofr_meta")
    media.upload(server, stream, first)
    media.upload(server, stream, second)

    found = media.get_documents(server, stream)

    assert len(found) == len(first.fragments) + len(second.fragments)
    numbers = [int(d.number) for d in found]
    assert numbers == sorted(numbers)
    for i, document in enumerate(found):
        capture, k = (first, i) if i < len(first.fragments) else (second, i - len(first.fragments))
        media.assert_same_media(document, capture.fragments[k], capture)


def test_a_relative_upload_keeps_its_clusters_and_says_its_time(server, stream):
    capture = load("sink360_h264_rel")
    media.upload(server, stream, capture, "RELATIVE", start=1700000000.25)

    found = media.get_documents(server, stream)

    assert found[0].timecode == capture.fragments[0].timecode == 0
    assert found[0].head_tags["AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"] == "1700000000.250"
    second = 1700000000250 + capture.ms(capture.fragments[1])
    assert found[1].head_tags["AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"] == \
        f"{second // 1000}.{second % 1000:03d}"


def test_metadata_of_the_producer_stands_between_cluster_and_closing_tags(server, stream):
    capture = load("c164_h264_abs_eofr_meta")
    media.upload(server, stream, capture)

    document = media.get_documents(server, stream)[0]

    fragment = capture.fragments[0]
    assert len(fragment.tags) >= 9 and fragment.end_tag
    assert document.cluster == capture.data[fragment.cluster:fragment.end]


def test_tags_before_the_first_cluster_come_before_the_services_own(server, stream):
    capture = load("c164_persistmeta_2_tags_before_cluster")
    fragment = capture.fragments[0]
    lead = capture.data[fragment.start:fragment.cluster]
    assert lead
    media.upload(server, stream, capture)

    document = media.get_documents(server, stream)[0]

    assert document.frames == fragment.frames
    where = document.data.index(lead)
    ours = document.data.index(b"AWS_KINESISVIDEO_FRAGMENT_NUMBER")
    assert where + len(lead) < ours < document.data.index(document.cluster)


def test_a_stream_without_retention_is_read_from_memory(server):
    stream, capture = server.create_stream(hours=0), load("sink360_h264_abs")
    media.upload(server, stream, capture, persisted=False)

    found = media.get_documents(server, stream)

    assert len(found) == len(capture.fragments)
    for document, fragment in zip(found, capture.fragments):
        media.assert_same_media(document, fragment, capture)


def test_history_survives_a_kill(make_server):
    server = make_server()
    stream, capture = server.create_stream(), load("sink360_rollover_session1")
    acks = media.upload(server, stream, capture)
    server.restart(hard=True)

    found = media.get_documents(server, stream)

    assert [d.number for d in found] == [a["FragmentNumber"] for a in acks]
    for document, fragment in zip(found, capture.fragments):
        media.assert_same_media(document, fragment, capture)


def test_an_arn_names_the_stream_too(recorded):
    server, stream, _, acks = recorded
    arn = server.kvs().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    client = media.with_headers(server.media(stream), x_kinema_idle_timeout_ms=media.IDLE_MS)
    answer = client.get_media(StreamARN=arn, StartSelector={"StartSelectorType": "EARLIEST"})
    assert len(mkv.documents(answer["Payload"].read())) == len(acks)
    assert answer["ContentType"] == "video/webm"
    assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize("selector, code, status", [
    ({"StartSelectorType": "FRAGMENT_NUMBER"}, "InvalidArgumentException", 400),
    ({"StartSelectorType": "SERVER_TIMESTAMP"}, "InvalidArgumentException", 400),
    ({"StartSelectorType": "CONTINUATION_TOKEN"}, "InvalidArgumentException", 400),
    ({"StartSelectorType": "CONTINUATION_TOKEN", "ContinuationToken": "not.a-number"},
     "InvalidArgumentException", 400),
])
def test_an_incomplete_selector_is_refused(recorded, selector, code, status):
    server, stream, _, _ = recorded
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.media(stream).get_media(StreamName=stream, StartSelector=selector)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_an_unknown_stream_is_not_found(recorded):
    server, stream, _, _ = recorded
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.media(stream).get_media(StreamName="nobody",
                                       StartSelector={"StartSelectorType": "NOW"})
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_wrong_idle_header_is_refused(recorded):
    server, stream, _, _ = recorded
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        media.get_media(server, stream, "NOW", idle_ms="soon")
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"
