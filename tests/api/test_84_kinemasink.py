# SPDX-License-Identifier: Apache-2.0
"""kinemasink under gst-launch-1.0: what a pipeline sends is what is stored; refusals and outages."""

import os
import pathlib
import re
import subprocess
import threading
import types

import pytest

import kinema
import media
import mkv

BUILD = pathlib.Path(os.environ.get("KINEMA_BUILD", pathlib.Path(kinema.BINARY).parent)).resolve()
PLUGIN = BUILD / "sdk-c" / "gst"
BOTH = kinema.CAPTURES / "sink360_h264_aac_abs.mkv"
H265 = kinema.CAPTURES / "c164_h265_abs_eofr_meta.mkv"
START_MS = 1_700_000_000_000
TIMEOUT_S = 120
# Only these are looked at: a scan of all that are installed takes seconds, and loads much of a desktop.
NEEDED = ("coreelements", "matroska", "videotestsrc", "x264", "audiotestsrc", "alaw", "mulaw", "opus", "videoparsersbad")


def told(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.fixture(scope="module")
def gst(tmp_path_factory):
    """The environment of a process that finds the element, whatever it was built with."""
    folder = tmp_path_factory.mktemp("gst")
    plugins = pathlib.Path(told("pkg-config", "--variable=pluginsdir", "gstreamer-1.0"))
    (folder / "plugins").mkdir()
    for name in NEEDED:
        (folder / "plugins" / f"libgst{name}.so").symlink_to(plugins / f"libgst{name}.so")
    env = {"GST_PLUGIN_PATH_1_0": str(PLUGIN), "GST_PLUGIN_SYSTEM_PATH_1_0": str(folder / "plugins"),
           "GST_REGISTRY_1_0": str(folder / "registry.bin"), "GST_REGISTRY_FORK": "no"}
    # A plugin with a sanitizer wants its runtime first; leaks of gst-launch are not ours.
    found = re.search(r"^KINEMA_SANITIZE:\w+=(\w+)", (BUILD / "CMakeCache.txt").read_text(), re.M)
    if found and found[1] == "address":
        env.update(LD_PRELOAD=told("gcc", "-print-file-name=libasan.so"), ASAN_OPTIONS="detect_leaks=0")
    return env


class Launch:
    """gst-launch-1.0 with a pipeline that ends in `kinemasink name=sink`."""

    def __init__(self, gst, server, stream, pipeline, *properties, env=None, **options):
        sink = ["kinemasink", "name=sink", f"stream-name={stream}", f"endpoint={server.api}",
                "aws-region=us-east-1", "storage-size=4", *properties]
        self.process = subprocess.Popen(
            ["gst-launch-1.0", *sink, *pipeline.split()], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=kinema.clean_env({**gst, **(server.key.env() if env is None else env)}),
            **options)

    def finish(self, code=0):
        out = self.process.communicate(timeout=TIMEOUT_S)[0].decode(errors="replace")
        assert not kinema.DISASTER.search(out) and self.process.returncode == code, out
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


OFFLINE = ("streaming-type=offline", f"file-start-time={START_MS // 1000}")
DEMUX = "matroskademux name=d d.video_0 ! queue ! sink.video_0"
DEMUX_BOTH = f"{DEMUX} d.audio_0 ! queue ! sink.audio_0"


def frames_of(fragments, track):
    return [f.payload for one in fragments for f in one.frames if f.track == track]


def assert_stored(server, stream, file, tracks):
    documents = media.get_documents(server, stream)
    timecodes = [one.timecode for one in documents]
    assert timecodes == sorted(set(timecodes)), "a fragment is there twice, or not in its place"
    for track in tracks:
        sent = frames_of(mkv.capture(file).fragments, track)
        assert sent and frames_of(documents, track) == sent
    return documents


@pytest.mark.parametrize("file, pipeline, tracks, kind", [
    (BOTH, DEMUX_BOTH, (1, 2), "video/h264,audio/aac"), (H265, DEMUX, (1,), "video/h265")],
    ids=["h264_aac", "h265"])
def test_a_file_arrives_byte_for_byte(gst, server, stream_name, file, pipeline, tracks, kind):
    Launch(gst, server, stream_name, f"filesrc location={file} ! {pipeline}", *OFFLINE,
           "retention-period=48").finish()
    documents = assert_stored(server, stream_name, file, tracks)
    assert documents[0].timecode == START_MS
    info = server.kvs().describe_stream(StreamName=stream_name)["StreamInfo"]
    assert info["MediaType"] == kind and info["DataRetentionInHours"] == 48


@pytest.mark.parametrize("encoder, kind", [("alawenc", "audio/alaw"), ("mulawenc", "audio/mulaw"),
                                           ("opusenc", "audio/opus")])
def test_audio_alone_arrives_byte_for_byte(gst, server, stream_name, tmp_path, encoder, kind):
    rate = 48000 if encoder == "opusenc" else 8000
    Launch(gst, server, stream_name,
           f"audiotestsrc num-buffers=100 samplesperbuffer={rate // 50} ! audio/x-raw,rate={rate},channels=1 ! "
           f"{encoder} ! tee name=t ! queue ! sink.audio_0 t. ! queue ! filesink location={tmp_path / 'sent'}",
           *OFFLINE, "fragment-duration=500").finish()
    documents = media.get_documents(server, stream_name)
    assert len(documents) >= 4
    assert b"".join(frames_of(documents, 1)) == (tmp_path / "sent").read_bytes() != b""
    assert server.kvs().describe_stream(StreamName=stream_name)["StreamInfo"]["MediaType"] == kind


def test_a_wrong_key_and_a_missing_one_are_said(gst, server, stream_name):
    file = f"filesrc location={H265} ! {DEMUX}"
    wrong = {**server.key.env(), "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "The server refused the access key (HTTP 403)." in Launch(
        gst, server, stream_name, file, env=wrong).finish(1)
    assert "There is no access key: set access-key and secret-key" in Launch(
        gst, server, stream_name, file, env={}).finish(255)


def test_what_is_not_confirmed_in_time_is_said(gst, server, stream_name):
    nobody = types.SimpleNamespace(api="http://127.0.0.1:1", key=server.key)
    with Launch(gst, nobody, stream_name, f"fdsrc ! {DEMUX}", *OFFLINE, "eos-timeout=1",
                stdin=subprocess.PIPE) as launch:
        launch.process.stdin.write(H265.read_bytes())
        launch.process.stdin.flush()
        watchdog = threading.Timer(TIMEOUT_S, launch.process.kill)
        watchdog.start()
        assert any(b"The server cannot be reached; it is tried again." in line
                   for line in launch.process.stdout)
        watchdog.cancel()
        assert re.search(r"\d+ fragments are not confirmed after 1 s\.", launch.finish(1))


def listed(server, stream):
    if stream not in [one["StreamName"] for one in server.kvs().list_streams()["StreamInfoList"]]:
        return []
    times = {"StartTimestamp": media.at(0), "EndTimestamp": media.at(START_MS * 2)}
    return server.archived(stream).list_fragments(StreamName=stream, FragmentSelector={
        "FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": times})["Fragments"]


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
def test_a_server_that_ends_costs_no_frame_and_no_fragment_twice(gst, make_server, stream_name, hard):
    # The pipe pauses in the middle of a fragment; one that stops keeps what it was sent of it.
    server = make_server()
    data = BOTH.read_bytes()
    with Launch(gst, server, stream_name, f"fdsrc ! {DEMUX_BOTH}", *OFFLINE, stdin=subprocess.PIPE) as launch:
        launch.process.stdin.write(data[:len(data) // 2])
        launch.process.stdin.flush()
        kinema.wait_for(lambda: listed(server, stream_name))
        server.restart(hard=hard)
        launch.process.stdin.write(data[len(data) // 2:])
        launch.finish()
    assert len(listed(server, stream_name)) == len(assert_stored(server, stream_name, BOTH, (1, 2)))


@pytest.mark.parametrize("offline", [False, True], ids=["realtime", "offline"])
@pytest.mark.parametrize("ends, goes_on", [(2, 1), (1, 2)], ids=["sound", "picture"])
def test_a_pad_at_its_end_lets_the_other_go_on(gst, server, stream_name, tmp_path, offline, ends, goes_on):
    name = {1: "video_0", 2: "audio_0"}
    sent = mkv.capture(BOTH)
    (tmp_path / "short").write_bytes(sent.data[:sent.fragments[2].start])
    told = Launch(gst, server, stream_name, f"filesrc location={BOTH} ! matroskademux name=a a.{name[goes_on]} ! "
                  f"queue ! sink.{name[goes_on]} filesrc location={tmp_path / 'short'} ! matroskademux name=b "
                  f"b.{name[ends]} ! queue ! sink.{name[ends]}", *(OFFLINE if offline else ())).finish()
    documents = media.get_documents(server, stream_name)
    assert frames_of(documents, goes_on) == frames_of(sent.fragments, goes_on), told
    assert frames_of(documents, ends) == frames_of(sent.fragments[:2], ends), told
    if goes_on == 1:
        assert len(documents) == len(sent.fragments), "a fragment went on in hope of what had ended"
