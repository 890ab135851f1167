# SPDX-License-Identifier: Apache-2.0
"""GetMediaForFragmentList as boto3 users see it (kvs-api.md §3.6)."""

import botocore.exceptions
import pytest

import kinema
import media
import mkv


@pytest.fixture(scope="module")
def recorded(shared_server):
    capture = mkv.capture(kinema.CAPTURES / "c164_h264_abs_eofr_meta.mkv")
    stream = shared_server.create_stream()
    acks = media.upload(shared_server, stream, capture)
    return shared_server, stream, capture, [a["FragmentNumber"] for a in acks]


def fetched(server, stream, numbers):
    client = server.archived(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")
    answer = client.get_media_for_fragment_list(StreamName=stream, Fragments=numbers)
    assert answer["ContentType"] == "video/webm"
    return mkv.documents(answer["Payload"].read())


def test_fragments_come_in_the_order_given(recorded):
    server, stream, capture, numbers = recorded
    order = [3, 0, 2, 2]

    found = fetched(server, stream, [numbers[i] for i in order])

    assert [d.number for d in found] == [numbers[i] for i in order]
    for document, i in zip(found, order):
        fragment = capture.fragments[i]
        assert document.frames == fragment.frames
        assert document.data.endswith(capture.data[fragment.cluster:fragment.end])
        assert document.tail_tags == {}
        assert b"CONTINUATION_TOKEN" not in document.data
        assert b"MILLIS_BEHIND" not in document.data


def test_a_missing_fragment_is_said_in_its_place(recorded):
    server, stream, capture, numbers = recorded
    gone = "91343852333181432392682062607743920146159169392"

    found = fetched(server, stream, [numbers[1], gone, "12", numbers[0]])

    assert [d.number for d in found] == [numbers[1], gone, "12", numbers[0]]
    assert found[0].frames == capture.fragments[1].frames
    assert found[3].frames == capture.fragments[0].frames
    for document in found[1:3]:
        assert list(document.head_tags.items())[:2] == [
            ("AWS_KINESISVIDEO_ERROR_CODE", "FRAGMENT_NOT_FOUND"),
            ("AWS_KINESISVIDEO_ERROR_ID", "3000")]
        assert b"matroska" in document.ebml and not document.frames


def test_a_thousand_may_be_asked_for_and_one_more_is_refused(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_scale10ms.mkv")
    numbers = [a["FragmentNumber"] for a in media.upload(server, stream, capture)]
    found = fetched(server, stream, [numbers[0]] * 1000)
    assert len(found) == 1000
    assert all(d.frames == capture.fragments[0].frames for d in found)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        fetched(server, stream, [numbers[0]] * 1001)
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_tools_read_a_document(recorded, tmp_path):
    server, stream, capture, numbers = recorded
    path = tmp_path / "one.mkv"
    path.write_bytes(fetched(server, stream, [numbers[2]])[0].data)
    packets = media.probe(path, "-show_packets")["packets"]
    assert len(packets) == len(capture.fragments[2].frames)


def test_a_stream_without_retention_is_refused(server):
    stream = server.create_stream(hours=0)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        fetched(server, stream, ["12"])
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_an_unknown_stream_is_not_found(recorded):
    server, stream, _, numbers = recorded
    client = server.archived(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.get_media_for_fragment_list(StreamName="nobody", Fragments=numbers)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
