# SPDX-License-Identifier: Apache-2.0
"""Deleting a stream, or its retention, under an upload and a reader."""

import threading
import time

import pytest

import kinema
import media
import mkv
from control import info_of, raises, wait_deleted


@pytest.fixture
def capture():
    return mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")


def chunk_folders(server):
    return set((server.data / "chunks").glob("*")) if (server.data / "chunks").is_dir() else set()


def list_fragments(server, stream):
    """By a client made while there is an endpoint to ask for."""
    return server.archived(stream).list_fragments(
        StreamName=stream, MaxResults=1000, FragmentSelector={
            "FragmentSelectorType": "SERVER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": time.time() + 3600}},
    )["Fragments"]


def test_deleting_ends_the_upload_with_4008_and_hides_the_data_at_once(server, capture):
    before = chunk_folders(server)
    stream = server.create_stream()  # has its folder from the start
    kvs, arn = server.kvs(), info_of(server.kvs(), stream)["StreamARN"]
    archived = server.archived(stream)
    cut = capture.fragments[2].marks[4]
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:cut])
        upload.wait_for("PERSISTED", 2)
        assert len(list_fragments(server, stream)) == 2
        assert len(chunk_folders(server) - before) == 1

        kvs.delete_stream(StreamARN=arn)

        with raises("ResourceNotFoundException", 404):
            archived.list_fragments(StreamName=stream, FragmentSelector={
                "FragmentSelectorType": "SERVER_TIMESTAMP",
                "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": time.time()}})
        deadline = time.monotonic() + 60
        sent = cut
        try:  # a camera goes on sending until it is told
            while time.monotonic() < deadline and sent < len(capture.data):
                upload.send(capture.data[sent:sent + 1000])
                sent += 1000
                time.sleep(0.02)
        except OSError:
            pass
        acks = upload.all_acks()
    errors = [ack for ack in acks if ack["EventType"] == "ERROR"]
    assert [(ack["ErrorId"], ack["ErrorCode"]) for ack in errors] == [(4008, "STREAM_NOT_ACTIVE")]

    wait_deleted(kvs, stream)
    assert chunk_folders(server) <= before
    kvs.create_stream(StreamName=stream, DataRetentionInHours=1)
    assert list_fragments(server, stream) == []


def test_a_silent_upload_is_told_too(make_server, capture):
    server = make_server(env={"KINEMA_FRAGMENT_IDLE_MS": "1000"})
    stream = server.create_stream()
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[1].start])
        upload.wait_for("PERSISTED")  # closed by silence; from here on nothing is sent
        server.kvs().delete_stream(StreamARN=info_of(server.kvs(), stream)["StreamARN"])
        acks = upload.all_acks()
    assert [ack.get("ErrorId") for ack in acks] == [4008]


def test_a_live_reader_is_let_go_when_its_stream_is_deleted(server, stream, capture):
    arn = info_of(server.kvs(), stream)["StreamARN"]
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[0].marks[4]])
        upload.wait_for("BUFFERING")
        body = media.get_media(server, stream, "NOW", idle_ms=60000)
        ended = threading.Event()

        def read():
            try:
                body.read()
            except Exception:  # however it is cut off
                pass
            ended.set()

        threading.Thread(target=read, daemon=True).start()
        server.kvs().delete_stream(StreamARN=arn)
        assert ended.wait(60), "the reader still waits for a stream that is gone"
    wait_deleted(server.kvs(), stream)


def test_an_upload_to_a_stream_being_deleted_or_unknown_is_refused(server, stream, capture):
    endpoint = server.data_endpoint(stream, "PUT_MEDIA")
    server.kvs().delete_stream(StreamARN=info_of(server.kvs(), stream)["StreamARN"])
    wait_deleted(server.kvs(), stream)
    import botocore.credentials
    credentials = botocore.credentials.Credentials(server.key.id, server.key.secret)
    with pytest.raises(media.put_media.Refused) as info:
        with media.put_media.PutMedia(endpoint, stream, credentials, kinema.REGION) as upload:
            upload.all_acks()
    assert (info.value.status, info.value.error) == (404, "ResourceNotFoundException")


def test_without_retention_nothing_is_listed_any_more(server, stream, capture):
    kvs = server.kvs()
    media.upload(server, stream, capture)
    assert len(list_fragments(server, stream)) == len(capture.fragments)
    info = info_of(kvs, stream)
    kvs.update_data_retention(StreamName=stream, CurrentVersion=info["Version"],
                              Operation="DECREASE_DATA_RETENTION",
                              DataRetentionChangeInHours=info["DataRetentionInHours"])
    assert list_fragments(server, stream) == []
