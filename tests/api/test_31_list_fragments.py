# SPDX-License-Identifier: Apache-2.0
"""ListFragments as boto3 users see it (kvs-api.md §4.1, §4.2)."""

import time

import botocore.exceptions
import pytest

import kinema
import media
import mkv

PRODUCER_START = 1700000000.0


@pytest.fixture(scope="module")
def recorded(shared_server):
    """A relative upload, so that producer times are known: (server, stream, capture, acks)."""
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_rel.mkv")
    stream = shared_server.create_stream()
    acks = media.upload(shared_server, stream, capture, "RELATIVE", start=PRODUCER_START)
    return shared_server, stream, capture, acks


def selector(kind, start_ms, end_ms):
    return {"FragmentSelectorType": kind,
            "TimestampRange": {"StartTimestamp": media.at(start_ms),
                               "EndTimestamp": media.at(end_ms)}}


def everything(kind="SERVER_TIMESTAMP"):
    return selector(kind, 1000, (time.time() + 86400) * 1000)


def listed(server, stream, **fields):
    return server.archived(stream).list_fragments(StreamName=stream, **fields)


def test_every_fragment_is_listed_once_in_ascending_order(recorded):
    server, stream, capture, acks = recorded
    for kind in ("SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP"):
        answer = listed(server, stream, FragmentSelector=everything(kind))
        found = answer["Fragments"]
        assert [f["FragmentNumber"] for f in found] == [a["FragmentNumber"] for a in acks]
        assert "NextToken" not in answer


def test_what_is_said_of_a_fragment(recorded):
    server, stream, capture, _ = recorded
    found = listed(server, stream, FragmentSelector=everything())["Fragments"]
    for item, fragment in zip(found, capture.fragments):
        times = [f.time for f in fragment.frames]
        assert item["FragmentSizeInBytes"] == fragment.end - fragment.start
        assert item["FragmentLengthInMilliseconds"] == max(times) - min(times)
        assert round(item["ProducerTimestamp"].timestamp() * 1000) == \
            PRODUCER_START * 1000 + capture.ms(fragment)
        number = int(item["FragmentNumber"])
        assert round(item["ServerTimestamp"].timestamp() * 1000) == (number >> 28) & ((1 << 64) - 1)


def test_both_ends_of_the_range_are_included(recorded):
    server, stream, capture, acks = recorded
    starts = [PRODUCER_START * 1000 + capture.ms(f) for f in capture.fragments]
    whole_second = next(i for i, s in enumerate(starts) if s % 1000 == 0)  # boto3 keeps seconds
    found = listed(server, stream, FragmentSelector=selector(
        "PRODUCER_TIMESTAMP", starts[whole_second], starts[whole_second]))["Fragments"]
    assert [f["FragmentNumber"] for f in found] == [acks[whole_second]["FragmentNumber"]]


def test_a_fragment_that_began_before_the_range_is_left_out(recorded):
    server, stream, capture, _ = recorded
    first_ms = PRODUCER_START * 1000 + capture.ms(capture.fragments[0])
    found = listed(server, stream, FragmentSelector=selector(
        "PRODUCER_TIMESTAMP", first_ms + 1000, first_ms + 86400000))["Fragments"]
    assert len(found) == len(capture.fragments) - 1


def test_pages_join_and_a_token_is_enough(recorded):
    server, stream, _, acks = recorded
    client = server.archived(stream)
    for size in (1, 2, 3, 1000):
        seen, answer = [], client.list_fragments(StreamName=stream, MaxResults=size,
                                                 FragmentSelector=everything())
        while True:
            assert len(answer["Fragments"]) <= size
            seen += [f["FragmentNumber"] for f in answer["Fragments"]]
            if "NextToken" not in answer:
                break
            answer = client.list_fragments(StreamName=stream, MaxResults=size,
                                           NextToken=answer["NextToken"])
        assert seen == [a["FragmentNumber"] for a in acks]


def test_the_paginator_of_boto3(recorded):
    server, stream, _, acks = recorded
    pages = server.archived(stream).get_paginator("list_fragments").paginate(
        StreamName=stream, FragmentSelector=everything(), PaginationConfig={"PageSize": 2})
    assert [f["FragmentNumber"] for page in pages for f in page["Fragments"]] == \
        [a["FragmentNumber"] for a in acks]


def test_no_match_is_an_empty_list(recorded):
    server, stream, _, _ = recorded
    assert listed(server, stream, FragmentSelector=selector(
        "SERVER_TIMESTAMP", 1000, 2000))["Fragments"] == []
    tomorrow = (time.time() + 86400) * 1000
    assert listed(server, stream, FragmentSelector=selector(
        "SERVER_TIMESTAMP", tomorrow, tomorrow + 1000))["Fragments"] == []


def test_a_persisted_fragment_is_listed_at_once(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")
    with media.open_upload(server, stream) as upload:
        for i, fragment in enumerate(capture.fragments[:-1]):
            start = 0 if i == 0 else fragment.start
            # the next Cluster's head completes this fragment
            upload.send(capture.data[start:capture.fragments[i + 1].marks[0]]
                        if i == 0 else capture.data[fragment.marks[0]:
                                                    capture.fragments[i + 1].marks[0]])
            ack = upload.wait_for("PERSISTED")[0]
            found = listed(server, stream, FragmentSelector=everything())["Fragments"]
            assert found[-1]["FragmentNumber"] == ack["FragmentNumber"]
            assert len(found) == i + 1


def test_a_stream_without_retention_lists_nothing(server):
    stream = server.create_stream(hours=0)
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")
    media.upload(server, stream, capture, persisted=False)
    assert listed(server, stream, FragmentSelector=everything())["Fragments"] == []


@pytest.mark.parametrize("fields", [
    {},
    {"NextToken": "Zm9yZ2VkIQ=="},
    {"FragmentSelector": {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": {
        "StartTimestamp": media.at(2000), "EndTimestamp": media.at(1000)}}},
    {"FragmentSelector": everything(), "MaxResults": 1001},
])
def test_what_is_refused(recorded, fields):
    server, stream, _, _ = recorded
    client = server.archived(stream, validate=False)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.list_fragments(StreamName=stream, **fields)
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_a_token_of_another_stream_is_refused(recorded):
    server, stream, _, _ = recorded
    other = server.create_stream()
    token = listed(server, stream, FragmentSelector=everything(), MaxResults=1)["NextToken"]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        listed(server, other, NextToken=token)
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_an_unknown_stream_is_not_found(recorded):
    server, stream, _, _ = recorded
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.archived(stream).list_fragments(StreamName="nobody", FragmentSelector=everything())
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
