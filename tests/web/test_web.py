# SPDX-License-Identifier: Apache-2.0
"""Starts a server and the demo camera, then lets the browser tests (*.test.js) run against them.

Screenshots go to KINEMA_SHOTS, or to a folder that is printed."""

import concurrent.futures
import datetime
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import botocore.exceptions
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "api"))

import kinema  # noqa: E402
import put_media as wire  # noqa: E402
import rtsp  # noqa: E402
from console import Browser  # noqa: E402

CAMERA = os.environ.get("KINEMA_CAMERA_BINARY",
                        str(pathlib.Path(kinema.BINARY).parent / "demo-camera"))
STREAM = "demo-camera"
FRAGMENTS_WANTED = 8


@pytest.fixture(scope="session")
def modules():
    if not (HERE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                        "--loglevel=error"], cwd=HERE, check=True)


@pytest.fixture(scope="session")
def shots():
    folder = pathlib.Path(os.environ.get("KINEMA_SHOTS") or tempfile.mkdtemp(prefix="kinema-shots-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"screenshots: {folder}")
    return folder


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """A folder whose files may be played as cameras; there is none yet."""
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="session")
def server(films):
    with kinema.Server(args=["--camera-files", films]) as one:
        yield one


def persisted(server, stream):
    media = server.archived(stream)
    everything = {"StartTimestamp": 1, "EndTimestamp": time.time() + 60}
    return media.list_fragments(
        StreamName=stream, MaxResults=1000, FragmentSelector={
            "FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": everything})["Fragments"]


@pytest.fixture(scope="session")
def camera(server):
    """The demo camera, running, with some fragments already stored."""
    process = subprocess.Popen(
        [CAMERA, "--endpoint", server.api, "--stream", STREAM, "--size", "640x360", "--kbit", "600"],
        env=kinema.clean_env(server.key.env()), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 180
    while True:
        try:
            if len(persisted(server, STREAM)) >= FRAGMENTS_WANTED:
                break
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "the camera's fragments do not arrive"
        time.sleep(0.25)
    yield process
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors
    assert "demo-camera: error" not in errors, errors


def node_test(file, settings, timeout=600):
    done = subprocess.run(["node", "--test", "--test-reporter=spec", str(HERE / file)],
                          env={**os.environ, "KINEMA_WEB": json.dumps(settings)},
                          capture_output=True, text=True, timeout=timeout)
    print(done.stdout[-12000:], done.stderr[-4000:])
    assert done.returncode == 0, "the browser tests failed; see above"


def hls_url(server, stream=STREAM, **fields):
    media = server.archived(stream, "GET_HLS_STREAMING_SESSION_URL")
    return media.get_hls_streaming_session_url(StreamName=stream, **fields)["HLSStreamingSessionURL"]


def send_and_stop(server, stream):
    """A camera that has sent something, and sends no more; None without the shared captures."""
    path = kinema.CAPTURES / "sink360_h264_aac_abs.mkv"
    if not path.exists():
        return None
    server.create_stream(stream)
    with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
        upload.finish(path.read_bytes())
        assert upload.error() is None
    return stream


@pytest.fixture(scope="session")
def silent(server):
    return send_and_stop(server, "a-silent-yard")  # by its name it would come first


@pytest.fixture(scope="session")
def standing():
    """A server whose LIVE sessions still open long after the signal, and its silent camera."""
    with kinema.Server(args=["--session-live-window-ms", 24 * 3600 * 1000]) as one:
        yield one, send_and_stop(one, "yard")


def stretches(server, folder, stream, without):
    """Two seconds of picture and sound, two without one of them ("v", "a"), and both again."""
    server.create_stream(stream)
    for i in range(3):
        inputs = {"v": ("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=2"),
                  "a": ("-f", "lavfi", "-i", "sine=f=440:r=48000:d=2")}
        if i == 1:
            del inputs[without]
        subprocess.run(["ffmpeg", "-v", "error", *itertools.chain(*inputs.values()), "-c:v", "libx264",
                        "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-sc_threshold", "0", "-c:a", "aac",
                        "-output_ts_offset", str(2 * i), "-f", "matroska", "-live", "1", "-cluster_size_limit", "500000000",
                        "-cluster_time_limit", "1000" if "v" not in inputs else "60000", str(folder / f"{i}.mkv")],
                       check=True)
        with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
            upload.finish((folder / f"{i}.mkv").read_bytes())
            assert upload.error() is None
    return stream


@pytest.fixture(scope="session")
def blinded(server, tmp_path_factory):
    return stretches(server, tmp_path_factory.mktemp("blinded"), "blinded-yard", "v")


@pytest.fixture(scope="session")
def muted(server, tmp_path_factory):
    return stretches(server, tmp_path_factory.mktemp("muted"), "muted-yard", "a")


def test_chromium_plays_every_mode(modules, shots, server, camera, silent, standing, blinded, muted):
    fragments = sorted(persisted(server, STREAM), key=lambda f: f["FragmentNumber"])
    begin = fragments[0]["ServerTimestamp"]
    end = fragments[-1]["ServerTimestamp"] + datetime.timedelta(seconds=1)

    def selector(**end_field):
        return {"FragmentSelectorType": "SERVER_TIMESTAMP",
                "TimestampRange": {"StartTimestamp": begin, **end_field}}

    sessions = []
    for container in ("FRAGMENTED_MP4", "MPEG_TS"):
        for mode, fields in (
                ("LIVE", {}),
                ("LIVE_REPLAY", {"HLSFragmentSelector": selector()}),
                ("ON_DEMAND", {"HLSFragmentSelector": selector(EndTimestamp=end)})):
            sessions.append({"name": f"{mode}-{container}".lower(), "size": "640x360",
                             "fromStart": mode != "LIVE", "from": mode != "LIVE",
                             "url": hls_url(server, PlaybackMode=mode, ContainerFormat=container,
                                            **fields)})
    first = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    produced = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": {
        "StartTimestamp": first, "EndTimestamp": first + datetime.timedelta(minutes=1)}}
    for mode in ("NEVER", "ALWAYS"):
        sessions.append({"name": f"without-pictures-{mode}".lower(), "size": "640x360", "fromStart": True, "from": True,
                         "until": 5, "url": hls_url(server, blinded, PlaybackMode="ON_DEMAND", DiscontinuityMode=mode,
                                                    HLSFragmentSelector=produced)})
        for container in ("FRAGMENTED_MP4", "MPEG_TS"):  # each of the 150 pictures is shown
            sessions.append({"name": f"without-sound-{mode}-{container}".lower(), "size": "640x360", "fromStart": True,
                             "from": True, "until": 5, "frames": 110, "url": hls_url(
                                 server, muted, PlaybackMode="ON_DEMAND", DiscontinuityMode=mode,
                                 ContainerFormat=container, HLSFragmentSelector=produced)})
    node_test("play.test.js", {"sessions": sessions, "shots": str(shots)})


def send_pattern(server, stream, path, picture):
    """Four seconds of a test picture."""
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i",
                    f"{picture}:r=25:d=4", "-c:v", "libx264", "-preset", "ultrafast",
                    "-pix_fmt", "yuv420p", "-g", "25", "-sc_threshold", "0", "-f", "matroska",
                    "-live", "1", "-cluster_time_limit", "60000", str(path)], check=True)
    with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
        upload.finish(path.read_bytes())
        assert upload.error() is None


@pytest.fixture(scope="session")
def resized(server, tmp_path_factory):
    """A camera whose picture changed its size, and changed back."""
    stream = server.create_stream("resized-yard")
    for i, picture in enumerate(("testsrc2=s=320x180", "testsrc2=s=640x360", "testsrc=s=320x180")):
        send_pattern(server, stream, tmp_path_factory.mktemp("resized") / f"{i}.mkv", picture)
    return stream


def dash_url(server, stream, **fields):
    media = server.archived(stream, "GET_DASH_STREAMING_SESSION_URL")
    return media.get_dash_streaming_session_url(StreamName=stream,
                                                **fields)["DASHStreamingSessionURL"]


def test_chromium_plays_dash(modules, shots, server, camera, resized):
    fragments = sorted(persisted(server, STREAM), key=lambda f: f["FragmentNumber"])
    begin = fragments[0]["ServerTimestamp"]
    end = fragments[-1]["ServerTimestamp"] + datetime.timedelta(seconds=1)
    seconds = len(fragments) * 2

    def selector(**end_field):
        return {"FragmentSelectorType": "SERVER_TIMESTAMP",
                "TimestampRange": {"StartTimestamp": begin, **end_field}}

    plain = {"sizes": ["640x360"], "sound": True}
    everything = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": {
        "StartTimestamp": begin - datetime.timedelta(hours=1),
        "EndTimestamp": end + datetime.timedelta(hours=1)}}
    sessions = [
        {"name": "dash-live", "url": dash_url(server, STREAM, MaxManifestFragmentResults=10),
         "seekTo": -4, **plain},
        {"name": "dash-live-replay", "fromStart": True, "seekTo": 0.5, "url": dash_url(
            server, STREAM, PlaybackMode="LIVE_REPLAY", DASHFragmentSelector=selector(),
            MaxManifestFragmentResults=100), **plain},
        {"name": "dash-on-demand", "fromStart": True, "seekTo": seconds / 2, "url": dash_url(
            server, STREAM, PlaybackMode="ON_DEMAND",
            DASHFragmentSelector=selector(EndTimestamp=end)), **plain},
        {"name": "dash-periods", "fromStart": True, "seekTo": 3, "until": 9,
         "sizes": ["320x180", "640x360"], "url": dash_url(
             server, resized, PlaybackMode="ON_DEMAND", DASHFragmentSelector=everything)},
    ]
    node_test("dash.test.js", {"sessions": sessions, "shots": str(shots)})


@pytest.fixture(scope="session")
def hevc(server):
    """A camera that sent H.264 and then H.265, which Debian's Chromium cannot decode; None without
    the shared captures."""
    paths = [kinema.CAPTURES / f"c164_{codec}_abs_eofr_meta.mkv" for codec in ("h264", "h265")]
    if not all(path.exists() for path in paths):
        return None
    stream = server.create_stream("h265-yard")
    for path in paths:
        with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
            upload.finish(path.read_bytes())
            assert upload.error() is None
    return stream


def console_link(server, *options):
    return kinema.run("console-link", "--data", server.data, "--url", server.console, *options).stdout.strip()


def test_the_console(modules, shots, server, camera, hevc, silent, standing):
    other, other_stream = standing
    server.client("kinesis").create_stream(StreamName="camera-events", ShardCount=1)
    node_test("console.test.js", {
        "console": server.console, "links": [console_link(server)], "stream": STREAM, "hevc": hevc,
        "silent": silent,
        "standing": {"link": console_link(other), "console": other.console, "stream": other_stream},
        "key": {"id": server.key.id, "secret": server.key.secret}, "shots": str(shots)})



def test_cameras(modules, shots, server, films):
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-t", "3", "-c:v",
                    "libx264", "-g", "10", "-pix_fmt", "yuv420p", films / "film.mp4"], check=True)
    camera = rtsp.Camera("--basic", "viewer:geheim-x7q", "--fps", "10")
    try:
        node_test("cameras.test.js", {"console": server.console, "link": console_link(server), "url": camera.url,
                                      "stream": "front-door", "film": f"file://{films}/film.mp4", "shots": str(shots)})
    finally:
        camera.kill()


def test_streams_made_changed_and_deleted(modules, shots, tmp_path):
    """On a server of its own: what is deleted here is nobody else's."""
    with kinema.Server() as one:
        taken, recorded, held = (one.create_stream(name) for name in ("yard", "yard-2", "yard-3"))
        send_pattern(one, recorded, tmp_path / "yard.mkv", "testsrc2=s=640x360")
        browser = Browser(one)
        assert browser.login(one.key)[0] == 200
        assert browser.post(f"/kinema/v1/streams/{held}/holds", {"name": "case-7", "fromMs": 0})[0] == 200
        kinesis = one.client("kinesis")
        kinesis.create_stream(StreamName=taken, ShardCount=1)
        arn = kinesis.describe_stream_summary(StreamName=taken)["StreamDescriptionSummary"]["StreamARN"]
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")
        reader = one.create_key("--allow", "kinesisvideo:DescribeStream")
        node_test("streams.test.js", {"console": one.console, "link": console_link(one), "reader": console_link(one, "--key", reader.id),
                                      "taken": taken, "recorded": recorded, "held": held, "shots": str(shots)})


# --- data streams -----------------------------------------------------------------------------------
@pytest.fixture
def data_streams(server):
    """A stream that records come into and somebody reads, and an empty one. Puts go to hash key 0."""
    kinesis = server.client("kinesis")
    for name in ("door-events", "nothing-yet"):
        kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.split_shard(StreamName="door-events", ShardToSplit="shardId-000000000000",
                        NewStartingHashKey=str(2 ** 126))
    stop = threading.Event()

    def iterator(shard):
        return kinesis.get_shard_iterator(StreamName="door-events", ShardId=shard,
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]

    def read(at):
        page = kinesis.get_records(ShardIterator=at)
        return page.get("NextShardIterator") or iterator(page["ChildShards"][0]["ShardId"])

    def produce(at):
        for i in itertools.count():
            kinesis.put_records(StreamName="door-events", Records=[
                {"PartitionKey": key, "ExplicitHashKey": "0", "Data": data} for key, data in (
                    ("door-7", json.dumps({"door": "north", "open": i % 2 == 0, "seq": i}).encode()),
                    ("raw", b"\x00\x01\x02\xff"), ("kpl", b"\xf3\x89\x9a\xc2" + bytes(20)))])
            at = read(at)
            if stop.wait(0.2):
                return

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(produce, iterator("shardId-000000000002"))
        yield "door-events", "nothing-yet"
        stop.set()
        done.result()


def test_data_streams(modules, shots, server, data_streams):
    stream, empty = data_streams
    node_test("data.test.js", {"console": server.console, "link": console_link(server), "stream": stream,
                               "empty": empty, "shots": str(shots)})
