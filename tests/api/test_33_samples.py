# SPDX-License-Identifier: Apache-2.0
"""The samples that upload and follow, run as their users run them."""

import hashlib
import json
import subprocess
import sys

import pytest

import kinema
import media
import mkv

PYTHON = kinema.ROOT / "samples" / "python"
SHELL = kinema.ROOT / "samples" / "shell"


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


def test_put_media_py_says_why_it_failed(server):
    done = run(server, sys.executable, PYTHON / "put_media.py", "--api", server.api, "--stream",
               "nobody", kinema.CAPTURES / "sink360_h264_abs.mkv")
    assert done.returncode != 0
    assert b"ResourceNotFoundException" in done.stderr


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
        follower.wait(10)
    numbers = [line.split()[1].rstrip(",") for line in told]
    assert numbers == sorted(set(numbers))
    assert numbers[-len(acks):] == [a["FragmentNumber"] for a in acks]


@pytest.mark.parametrize("payload_hash", ["UNSIGNED-PAYLOAD", hashlib.sha256(b"").hexdigest()],
                         ids=["unsigned", "empty"])
def test_put_media_curl_sh(server, stream, payload_hash):
    env = kinema.clean_env({**server.key.env(), "PAYLOAD_HASH": payload_hash})
    done = subprocess.run([SHELL / "put_media_curl.sh", stream, "test", server.ingest], env=env,
                          capture_output=True, timeout=120)
    numbers = persisted(acks_of(done))
    assert len(numbers) == 5
    found = media.get_documents(server, stream)
    assert [d.number for d in found] == numbers
    assert sum(len(d.frames) for d in found) == 250
