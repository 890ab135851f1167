# SPDX-License-Identifier: Apache-2.0
"""The samples that upload and follow, run as their users run them."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

import pytest

import control
import kinema
import media
import mkv
import put_media

PYTHON = kinema.ROOT / "samples" / "python"
SHELL = kinema.ROOT / "samples" / "shell"
CONSUMER = os.environ.get("KINEMA_CONSUMER_BINARY",
                          pathlib.Path(kinema.BINARY).parent / "event-consumer")


def run(server, *command, **options):
    env = kinema.clean_env(server.key.env())
    return subprocess.run([str(c) for c in command], env=env, capture_output=True, timeout=120,
                          **options)


def acks_of(done):
    assert done.returncode == 0, (done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.decode().splitlines() if line.strip()]


def persisted(acks):
    assert not [a for a in acks if a["EventType"] == "ERROR"], acks
    return [a["FragmentNumber"] for a in acks if a["EventType"] == "PERSISTED"]


def test_put_media_py_uploads_a_file(server, stream):
    path = kinema.CAPTURES / "sink360_h264_abs.mkv"
    capture = mkv.capture(path)

    done = run(server, sys.executable, PYTHON / "put_media.py", "--api", server.api, "--stream",
               stream, "--timecodes", "ABSOLUTE", path)

    found = media.get_documents(server, stream)
    assert [d.number for d in found] == persisted(acks_of(done))
    assert [d.frames for d in found] == [f.frames for f in capture.fragments]


def test_put_media_py_uploads_what_ffmpeg_pipes_into_it(server, stream, tmp_path):
    ffmpeg = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
         "-f", "lavfi", "-i", "sine", "-t", "6", "-c:v", "libx264", "-preset", "ultrafast", "-g",
         "50", "-c:a", "aac", "-f", "matroska", "-live", "1", "-"],
        capture_output=True, timeout=60, check=True)

    done = run(server, sys.executable, PYTHON / "put_media.py", "--api", server.api, "--stream",
               stream, input=ffmpeg.stdout)

    numbers = persisted(acks_of(done))
    assert len(numbers) >= 3
    body = media.get_media(server, stream).read()
    path = tmp_path / "all.mkv"
    path.write_bytes(mkv.documents(body)[0].data)
    kinds = [s["codec_name"] for s in media.probe(path, "-show_streams")["streams"]]
    assert kinds == ["h264", "aac"]
    frames = sum(len([f for f in d.frames if f.track == 1]) for d in mkv.documents(body))
    assert frames == 150


@pytest.mark.parametrize("name, arguments", [
    ("put_media.py", ["--stream", "nobody", kinema.CAPTURES / "sink360_h264_abs.mkv"]),
    ("get_media.py", ["--stream", "nobody", "--once"]),
    ("fragment_events.py", ["--data-stream", "nobody", "--once"]),
])
def test_what_python_samples_cannot_do_is_said_in_a_line(server, name, arguments):
    for api, words in ((server.api, "ResourceNotFoundException"), ("http://127.0.0.1:1", "Could not connect")):
        done = run(server, sys.executable, PYTHON / name, "--api", api, *arguments)
        assert done.returncode == 1 and not done.stdout
        said = done.stderr.decode().splitlines()
        assert len(said) == 1 and said[0].startswith(f"{name}: ") and words in said[0], said


def test_get_media_py_writes_what_came(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_aac_abs.mkv")
    media.upload(server, stream, capture)

    done = run(server, sys.executable, PYTHON / "get_media.py", "--api", server.api, "--stream",
               stream, "--from", "EARLIEST", "--once", "--idle-ms", media.IDLE_MS)

    assert done.returncode == 0, done.stderr
    found = mkv.documents(done.stdout)
    assert [d.frames for d in found] == [f.frames for f in capture.fragments]
    told = [line for line in done.stderr.decode().splitlines() if line.startswith("fragment ")]
    assert [line.split()[1].rstrip(",") for line in told] == [d.number for d in found]


def test_get_media_py_goes_on_by_its_token(server, stream):
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")
    media.upload(server, stream, capture)
    follower = subprocess.Popen(
        [sys.executable, str(PYTHON / "get_media.py"), "--api", server.api, "--stream", stream,
         "--from", "EARLIEST", "--idle-ms", "300"], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env=kinema.clean_env(server.key.env()), text=True)
    try:
        told = [follower.stderr.readline() for _ in capture.fragments]
        acks = media.upload(server, stream, mkv.capture(
            kinema.CAPTURES / "c164_h264_abs_eofr_meta.mkv"))
        told += [follower.stderr.readline() for _ in acks]
    finally:
        follower.terminate()
        follower.wait(60)
    numbers = [line.split()[1].rstrip(",") for line in told]
    assert numbers == sorted(set(numbers))
    assert numbers[-len(acks):] == [a["FragmentNumber"] for a in acks]


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
def test_get_media_py_goes_on_when_the_server_is_back(make_server, hard):
    server = make_server()
    stream = server.create_stream()
    captures = [mkv.capture(kinema.CAPTURES / name)
                for name in ("sink360_h264_abs.mkv", "c164_h264_abs_eofr_meta.mkv")]
    numbers = [a["FragmentNumber"] for a in media.upload(server, stream, captures[0])]
    follower = subprocess.Popen(
        [sys.executable, str(PYTHON / "get_media.py"), "--api", server.api, "--stream", stream,
         "--from", "EARLIEST", "--idle-ms", "0"], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
        env=kinema.clean_env({**server.key.env(), "AWS_MAX_ATTEMPTS": "1"}))
    told, away = [], []

    def read(wanted, away_wanted=0):
        while len(told) < wanted or len(away) < away_wanted:
            line = follower.stderr.readline()
            assert line, f"it has ended, {follower.wait(60)}, after {told}"
            told.extend(re.findall(r"^fragment (\d+),", line))
            away.extend(re.findall("Could not connect", line))

    try:
        read(len(numbers))
        server.kill9() if hard else server.stop()
        read(0, away_wanted=1)
        server.start()
        numbers += [a["FragmentNumber"] for a in media.upload(server, stream, captures[1])]
        read(len(numbers))
    finally:
        follower.terminate()
        follower.wait(60)
    assert told == numbers


@pytest.mark.parametrize("payload_hash", ["UNSIGNED-PAYLOAD", hashlib.sha256(b"").hexdigest()],
                         ids=["unsigned", "empty"])
def test_put_media_curl_sh(server, stream, payload_hash):
    env = kinema.clean_env({**server.key.env(), "PAYLOAD_HASH": payload_hash})
    done = subprocess.run([SHELL / "put_media_curl.sh", stream, "test", server.ingest], env=env,
                          capture_output=True, timeout=120)
    numbers = persisted(acks_of(done))
    assert len(numbers) == 5
    assert not done.stderr
    found = media.get_documents(server, stream)
    assert [d.number for d in found] == numbers
    assert sum(len(d.frames) for d in found) == 250


# --- fragment events ------------------------------------------------------------------------------
@pytest.fixture
def events(server, stream):
    """A data stream that the fragments of `stream` have their events in."""
    kinesis, name = server.client("kinesis"), f"{stream}-events"
    kinesis.create_stream(StreamName=name, ShardCount=2)
    server.kvs().tag_stream(StreamName=stream, Tags={"kinema:event-stream": name})
    yield name
    kinesis.delete_stream(StreamName=name)


def consume(server, events, *options):
    done = run(server, CONSUMER, "--endpoint", server.api, "--stream", events, "--once", *options)
    return done, [json.loads(line) for line in done.stdout.decode().splitlines()]


def wait_events(server, stream):
    """Until each of its fragments has had its event; how many have."""
    for _ in range(1200):
        _, _, said = control.post(server, "/kinema/v1/describeFragmentEvents", {"StreamName": stream})
        if said["SentCount"] > 0 and said["MillisBehind"] == 0:
            return said["SentCount"]
        threading.Event().wait(0.05)
    raise AssertionError(said)


def test_event_consumer_looks_at_every_fragment(server, stream, events):
    path = kinema.CAPTURES / "sink360_h264_abs.mkv"
    done = run(server, sys.executable, PYTHON / "put_media.py", "--api", server.api, "--stream",
               stream, "--timecodes", "ABSOLUTE", path)
    numbers = persisted(acks_of(done))
    assert wait_events(server, stream) == len(numbers)

    done, seen = consume(server, events)

    assert done.returncode == 0, done.stderr
    assert [line["fragmentNumber"] for line in seen] == numbers
    assert {(line["stream"], line["codec"], line["width"], line["height"]) for line in seen} == {
        (stream, "h264", 640, 360)}
    assert all(0 < line["light"] < 255 and line["contrast"] > 1 for line in seen)


def test_event_consumer_follows_the_children_of_a_shard(server, stream, events):
    kinesis = server.client("kinesis")
    for half in range(2):
        with put_media.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as put:
            put.finish((kinema.CAPTURES / "sink360_h264_abs.mkv").read_bytes())
        wait_events(server, stream)
        if half == 0:
            kinesis.update_shard_count(StreamName=events, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    done, seen = consume(server, events)
    assert done.returncode == 0, done.stderr
    numbers = [line["fragmentNumber"] for line in seen]
    assert numbers == sorted(set(numbers)) and len(numbers) > 1


def test_event_consumer_says_what_it_cannot_show(server, stream, events):
    """What is no event is passed over; an event whose fragment is gone is a line with an error."""
    kinesis = server.client("kinesis")
    gone = {"type": "kinema.fragment", "version": 1, "streamName": stream, "fragmentNumber": "1", "links": {
        "endpoint": server.api, "getMediaForFragmentList": {
            "path": "/getMediaForFragmentList", "body": {"StreamName": stream, "Fragments": ["1" * 47]}}}}
    for data in (b"\x00\xff", b"{", b"[]", b'{"type": "another"}', json.dumps(gone).encode()):
        kinesis.put_record(StreamName=events, Data=data, PartitionKey="x")
    done, seen = consume(server, events)
    assert done.returncode == 2 and len(seen) == 1 and "error" in seen[0], (seen, done.stderr)
    done, _ = consume(server, events + "-none")
    assert done.returncode == 1 and b"not found" in done.stderr
    assert run(server, CONSUMER, "--from", "X", "--stream", "y").returncode == 64
