# SPDX-License-Identifier: Apache-2.0
"""GetMedia at the live tail: frames pass while their fragment is still being sent (kvs-api.md §3.2)."""

import concurrent.futures

import pytest

import kinema
import media
import mkv

LONG_MS = 30000  # no test here ends by idling


@pytest.fixture
def capture():
    return mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")


def follow(server, stream, start="NOW"):
    return media.Reader(media.get_media(server, stream, start, idle_ms=LONG_MS))


def assert_all(reader, capture, acks):
    """Each fragment of the capture once, whole, byte for byte."""
    found = reader.until_whole(len(acks)).documents()
    assert [d.number for d in found] == [d.token for d in found] == [
        a["FragmentNumber"] for a in acks]
    for document, fragment in zip(found, capture.fragments):
        media.assert_same_media(document, fragment, capture)


def persisted(acks):
    return [a for a in acks if a["EventType"] == "PERSISTED"]


def test_a_frame_appears_before_its_fragment_is_complete(server, stream, capture):
    first = capture.fragments[0]
    blocks = first.marks[2:]  # marks of Timestamp and Position come first
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:blocks[2]])  # header, Cluster and three frames, no more
        upload.wait_for("BUFFERING")
        with follow(server, stream) as reader:
            # frame by frame: each is read back before the next one is sent
            for i in range(3, 12):
                reader.until(lambda r: r.documents() and len(r.documents()[0].frames) == i)
                assert reader.documents()[0].frames == first.frames[:i]
                upload.send(capture.data[blocks[i - 1]:blocks[i]])


def test_a_live_reader_gets_whole_documents_until_the_end(server, stream, capture):
    cut = capture.fragments[0].marks[3]
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:cut])
        upload.wait_for("BUFFERING")
        with follow(server, stream) as reader:
            upload.send(capture.data[cut:])
            upload.finish()
            assert_all(reader, capture, persisted(upload.all_acks()))


def test_a_reader_that_waits_gets_the_next_upload(server, stream, capture):
    with follow(server, stream) as reader:
        acks = media.upload(server, stream, capture)
        assert_all(reader, capture, acks)


def test_history_joins_the_live_tail_without_gap_or_repeat(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "sink360_rollover_session1.mkv")
    half = len(capture.fragments) // 2
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[half].start])
        acks = upload.wait_for("PERSISTED", half - 1)
        with follow(server, stream, "EARLIEST") as reader:
            upload.send(capture.data[capture.fragments[half].start:])
            upload.finish()
            assert_all(reader, capture, acks + persisted(upload.all_acks()))


def test_several_readers_of_one_live_stream_get_the_same_bytes(server, stream, capture):
    cut = capture.fragments[0].marks[2]
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:cut])
        upload.wait_for("BUFFERING")
        readers = [follow(server, stream) for _ in range(6)]
        for fragment in capture.fragments:
            for mark in fragment.marks:
                if mark > cut:
                    upload.send(capture.data[cut:mark])
                    cut = mark
        upload.finish()
        acks = persisted(upload.all_acks())
    with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:
        list(pool.map(lambda reader: assert_all(reader, capture, acks), readers))
    for reader in readers:
        reader.close()


def test_an_upload_that_breaks_off_leaves_a_parsable_document(server, stream, capture):
    first = capture.fragments[0]
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:first.marks[9]])
        upload.wait_for("BUFFERING")
        reader = follow(server, stream).until(lambda r: r.documents() and
                                              len(r.documents()[0].frames) >= 8)
    # the connection is gone; the same fragments are sent again, whole
    acks = media.upload(server, stream, capture)

    found = reader.until_whole(len(acks)).documents()
    reader.close()

    whole = [d for d in found if d.token]
    assert [d.number for d in whole][-len(acks):] == [a["FragmentNumber"] for a in acks]
    for document, fragment in zip(whole[-len(acks):], capture.fragments):
        media.assert_same_media(document, fragment, capture)
    assert found[0].frames == first.frames[:len(found[0].frames)]


def test_a_slow_reader_loses_nothing(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "c164_h264_aac_abs_tc0.mkv")
    with follow(server, stream) as reader:
        acks = media.upload(server, stream, capture)  # done long before the first byte is read
        assert_all(reader, capture, acks)
