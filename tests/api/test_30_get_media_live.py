# SPDX-License-Identifier: Apache-2.0
"""GetMedia at the live tail: frames pass while their fragment is still being sent (kvs-api.md §3.2)."""

import threading

import pytest

import kinema
import media
import mkv

LONG_MS = 30000  # no test here ends by idling


@pytest.fixture
def capture():
    return mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")


def read_frames(body, count, skip=0):
    """Reads until `count` whole frames have come after `skip` documents; the bytes so far."""
    def enough(data):
        found = mkv.documents(data, whole=False)[skip:]
        return sum(len(d.frames) for d in found) >= count
    return media.read_until(body, enough)


def test_a_frame_appears_before_its_fragment_is_complete(server, stream, capture):
    first = capture.fragments[0]
    with media.open_upload(server, stream) as upload:
        upload.send(capture.header)
        upload.send(capture.data[first.start:first.marks[4]])  # Cluster and a few frames, no more
        upload.wait_for("BUFFERING")
        body = media.get_media(server, stream, "NOW", idle_ms=LONG_MS)
        sent = sum(1 for mark in first.marks[:5]) - 2  # without Timestamp and Position

        found = mkv.documents(read_frames(body, sent), whole=False)

        assert found[0].frames[:sent] == first.frames[:sent]
        # frame by frame: each is read back before the next one is sent
        seen = found[0].frames
        for i in range(5, 12):
            upload.send(capture.data[first.marks[i - 1]:first.marks[i]])
            data = media.read_until(body, lambda d: first.frames[i - 2].payload in d)
            assert first.frames[i - 2].payload in data
        assert seen == first.frames[:len(seen)]
        body.close()


def test_a_live_reader_gets_whole_documents_until_the_end(server, stream, capture):
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[0].marks[3]])
        upload.wait_for("BUFFERING")
        body = media.get_media(server, stream, "NOW", idle_ms=1500)
        upload.send(capture.data[capture.fragments[0].marks[3]:])
        upload.finish()
        acks = upload.all_acks()

        found = mkv.documents(body.read())

    persisted = [a["FragmentNumber"] for a in acks if a["EventType"] == "PERSISTED"]
    assert [d.number for d in found] == [d.token for d in found] == persisted
    for document, fragment in zip(found, capture.fragments):
        media.assert_same_media(document, fragment, capture)


def test_a_reader_that_waits_gets_the_next_upload(server, stream, capture):
    body = media.get_media(server, stream, "NOW", idle_ms=LONG_MS)
    acks = media.upload(server, stream, capture)

    def done(data):
        return len([d for d in mkv.documents(data, whole=False) if d.token]) == len(acks)

    found = mkv.documents(media.read_until(body, done), whole=False)
    body.close()
    assert [d.number for d in found] == [a["FragmentNumber"] for a in acks]


def test_history_joins_the_live_tail_without_gap_or_repeat(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "sink360_rollover_session1.mkv")
    half = len(capture.fragments) // 2
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[half].start])
        upload.wait_for("PERSISTED", half - 1)
        body = media.get_media(server, stream, "EARLIEST", idle_ms=2000)
        upload.send(capture.data[capture.fragments[half].start:])
        upload.finish()
        upload.all_acks()
        found = mkv.documents(body.read())
    assert len(found) == len(capture.fragments)
    for document, fragment in zip(found, capture.fragments):
        media.assert_same_media(document, fragment, capture)


def test_several_readers_of_one_live_stream_get_the_same_bytes(server, stream, capture):
    bodies, results = [], []
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[0].marks[2]])
        upload.wait_for("BUFFERING")
        for _ in range(8):
            bodies.append(media.get_media(server, stream, "NOW", idle_ms=1500))
        readers = [threading.Thread(target=lambda b=b: results.append(b.read())) for b in bodies]
        for reader in readers:
            reader.start()
        at = capture.fragments[0].marks[2]
        for fragment in capture.fragments:
            for mark in fragment.marks:
                if mark > at:
                    upload.send(capture.data[at:mark])
                    at = mark
        upload.finish()
        upload.all_acks()
        for reader in readers:
            reader.join(60)
    assert len(results) == 8
    for data in results:
        found = mkv.documents(data)
        assert [d.frames for d in found] == [f.frames for f in capture.fragments]
        assert all(d.token for d in found)


def test_an_upload_that_breaks_off_leaves_a_parsable_document(server, stream, capture):
    first = capture.fragments[0]
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:first.marks[9]])
        upload.wait_for("BUFFERING")
        body = media.get_media(server, stream, "NOW", idle_ms=LONG_MS)
        data = read_frames(body, 8)
    # the connection is gone; the same fragment is sent again, whole
    acks = media.upload(server, stream, capture)

    def done(rest):
        return len([d for d in mkv.documents(data + rest, whole=False) if d.token]) == len(acks)

    data += media.read_until(body, done)
    body.close()
    found = mkv.documents(data, whole=False)
    whole = [d for d in found if d.token]
    assert [d.number for d in whole] == [a["FragmentNumber"] for a in acks]
    assert found[0].token is None or found[0].frames == first.frames
    for document, fragment in zip(whole, capture.fragments):
        media.assert_same_media(document, fragment, capture)


def test_a_slow_reader_loses_nothing(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "c164_h264_aac_abs_tc0.mkv")
    body = media.get_media(server, stream, "NOW", idle_ms=2000)
    acks = media.upload(server, stream, capture)  # is done long before the first byte is read
    found = mkv.documents(body.read())
    assert [d.number for d in found] == [a["FragmentNumber"] for a in acks]
    assert [d.frames for d in found] == [f.frames for f in capture.fragments]
