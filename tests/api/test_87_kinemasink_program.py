# SPDX-License-Identifier: Apache-2.0
"""kinemasink as programs use it: its signal, metadata, other caps in the middle, pauses and seeks, a full buffer
with and without a file, and every way to give it a key."""

import hashlib
import itertools
import os
import subprocess
import sys
import threading
import types

import pytest

import certificates
import kinema
import media
import mkv
import stand_in
from test_84_kinemasink import BOTH, DEMUX, DEMUX_BOTH, OFFLINE, START_MS, TIMEOUT_S, Launch, assert_stored, \
    frames_of, gst, listed  # noqa: F401

LONG = kinema.CAPTURES / "sink360_rollover_session1.mkv"  # more than the smallest storage-size holds
SMALL, SMALLER = kinema.CAPTURES / "sink360_h264_abs.mkv", kinema.CAPTURES / "sink360_h264_scale10ms.mkv"
ONE_MIB = "storage-size=1"


class Program:
    """gst_program.py; its lines are taken apart as they come."""

    def __init__(self, gst, server, stream, pipeline, *properties, metadata=(), within=(), **options):
        """within: a command that runs it, such as one that puts it into a network of its own."""
        sink = ["kinemasink", "name=sink", f"stream-name={stream}", f"endpoint={server.api}",
                "aws-region=us-east-1", *properties]
        if ONE_MIB not in properties:
            sink.append("storage-size=4")
        self.process = subprocess.Popen(
            [*within, sys.executable, str(kinema.ROOT / "tests" / "api" / "gst_program.py"),
             " ".join([*sink, pipeline]), *metadata], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=kinema.clean_env({**gst, **server.key.env()}), **options)
        self.lines, self.change = [], threading.Condition()
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        self.errors = ""
        for one in self.readers:
            one.start()

    def _read(self):
        for line in self.process.stdout:
            with self.change:
                self.lines.append(line.rstrip("\n").split("\t"))
                self.change.notify_all()

    def _read_errors(self):
        self.errors = self.process.stderr.read()

    def of(self, what):
        return [rest for first, *rest in self.lines if first == what]

    def wait(self, holds):
        with self.change:
            assert self.change.wait_for(lambda: holds(self), TIMEOUT_S), (self.lines[-20:], self.errors)

    def tell(self, word):
        count = len(self.of("done"))
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        if word != "quit":
            self.wait(lambda p: len(p.of("done")) > count)

    def finish(self, ends=1, code=0):
        if code == 0:
            self.wait(lambda p: len(p.of("end")) >= ends)
            self.tell("quit")
        assert self.process.wait(TIMEOUT_S) == code, (self.lines, self.errors)
        for one in self.readers:
            one.join(TIMEOUT_S)
        assert not kinema.DISASTER.search(self.errors), self.errors
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def source(file, demux=DEMUX):
    return f"filesrc location={file} ! {demux}"


# --- the signal --------------------------------------------------------------------------------
def test_the_signal_tells_each_fragments_way(gst, server, stream_name):
    with Program(gst, server, stream_name, source(BOTH, DEMUX_BOTH), *OFFLINE) as program:
        program.finish()
    documents = assert_stored(server, stream_name, BOTH, (1, 2))
    for kind in ("buffering", "received", "persisted"):
        assert [(int(timecode), number, error) for what, timecode, number, error in program.of("ack")
                if what == kind] == [(one.timecode, one.number, "0") for one in documents]
    with Program(gst, server, kinema.new_name(), source(SMALLER), *OFFLINE, "fragment-acks=false") as program:
        assert not program.finish().of("ack")


def test_a_fragment_that_is_refused_is_said_and_given_up_alone(gst, stream_name):
    with stand_in.StandIn([stand_in.error_at(1, 4006, ErrorCode="INVALID_MKV_DATA")]) as service:
        with Program(gst, types.SimpleNamespace(api=service.url, key=KEY), stream_name, source(BOTH, DEMUX_BOTH),
                     *OFFLINE) as program:
            program.finish()
        wrong, = [rest for rest in program.of("ack") if rest[0] == "error"]
        assert wrong[3] == "4006" and "error 4006 of a fragment: INVALID_MKV_DATA" in str(program.of("warning"))
        sent = mkv.capture(BOTH).fragments
        assert frames_of(service.persisted, 1) == frames_of([sent[0], *sent[2:]], 1)


KEY = kinema.Key({"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret"})


# --- metadata ----------------------------------------------------------------------------------
def metadata_of(document):
    data, at, found = document.cluster, 0, []
    while at < len(data):
        ident, size, head = mkv.element(data, at)
        if ident == mkv.TAGS:
            found += [one for one in mkv.tags(data[at + head:at + head + size]) if not one[0].startswith("AWS_")]
        at += head + (0 if ident == mkv.CLUSTER else size)
    return found


def test_metadata_goes_into_its_fragment_or_into_each_until_it_ends(gst, server, stream_name):
    counts = [len([f for f in one.frames if f.track == 1]) for one in mkv.capture(SMALL).fragments]
    assert len(counts) >= 4
    second, third, fourth = sum(counts[:1]), sum(counts[:2]), sum(counts[:3])
    metadata = [f"{second}:door=open:persist", f"{second + 3}:car=red:once", f"{third}:door=ajar:persist",
                f"{third}:AWS_mine=1:once", f"{fourth}:door=:persist", f"{fourth + 1}:last=1:once"]
    with Program(gst, server, stream_name, source(SMALL), *OFFLINE, metadata=metadata) as program:
        program.finish()
    documents = assert_stored(server, stream_name, SMALL, (1,))
    found = [metadata_of(one) for one in documents]
    assert found[:4] == [[], [("door", "open"), ("car", "red")], [("door", "ajar")], [("last", "1")]]
    assert not any(found[4:])
    assert "Metadata AWS_mine is left out: not allowed." in str(program.of("warning"))


# --- caps, pauses, seeks -----------------------------------------------------------------------
def test_another_size_in_mid_stream_begins_another_upload_and_costs_no_frame(gst, server, stream_name):
    Launch(gst, server, stream_name,
           f"filesrc location={SMALL} ! matroskademux name=a a.video_0 ! queue ! c.sink_0 "
           f"filesrc location={SMALLER} ! matroskademux name=b b.video_0 ! queue ! c.sink_1 "
           "concat name=c ! sink.video_0", *OFFLINE).finish()
    documents = media.get_documents(server, stream_name)
    first, second = (mkv.capture(file).fragments for file in (SMALL, SMALLER))
    assert frames_of(documents, 1) == frames_of([*first, *second], 1)
    widths = [int.from_bytes(one.header[at + 2:at + 4], "big") for one in documents
              for at in [one.header.index(b"\xb0\x82")]]
    assert widths == [640] * len(first) + [320] * len(second)
    timecodes = [one.timecode for one in documents]
    assert timecodes == sorted(set(timecodes)) and timecodes[0] == START_MS
    assert len(listed(server, stream_name)) == len(documents)


def test_sound_that_is_older_than_the_new_picture_goes_with_the_old_one(gst, server, stream_name):
    def demux(name, file):
        return f"filesrc location={file} ! matroskademux name={name} "

    pipeline = f"{demux('a', BOTH)} a.video_0 ! queue ! v.sink_0 a.audio_0 ! queue ! s.sink_0 " \
        f"{demux('b', SMALLER)} b.video_0 ! queue ! v.sink_1 {demux('c', BOTH)} c.audio_0 ! queue ! s.sink_1 " \
        "concat name=v ! sink.video_0 concat name=s ! sink.audio_0"
    with Program(gst, server, stream_name, pipeline, *OFFLINE, metadata=["gap:500"]) as program:
        program.finish()
    documents = media.get_documents(server, stream_name)
    both, smaller = (mkv.capture(file).fragments for file in (BOTH, SMALLER))
    assert frames_of(documents, 1) == frames_of([*both, *smaller], 1)
    assert frames_of(documents, 2) == 2 * frames_of(both, 2)


@pytest.fixture
def pipe():
    """(descriptor to read, what writes to it)"""
    ours, theirs = os.pipe()
    with open(theirs, "wb", buffering=0) as writer:
        yield ours, writer


def test_a_pause_costs_no_frame(gst, server, stream_name, pipe):
    ours, writer = pipe
    data = BOTH.read_bytes()
    with Program(gst, server, stream_name, f"fdsrc fd={ours} ! {DEMUX_BOTH}", *OFFLINE,
                 pass_fds=[ours]) as program:
        os.close(ours)
        writer.write(data[:len(data) // 2])
        program.wait(lambda p: "persisted" in str(p.of("ack")))
        program.tell("pause")
        rest = threading.Thread(target=lambda: (writer.write(data[len(data) // 2:]), writer.close()))
        rest.start()
        program.tell("play")
        rest.join(TIMEOUT_S)
        program.finish()
    assert_stored(server, stream_name, BOTH, (1, 2))


@pytest.mark.parametrize("offline", [False, True], ids=["realtime", "offline"])
def test_a_pad_that_is_silent_holds_nobody_up(gst, server, stream_name, pipe, offline):
    """In real time for pad-wait, and offline until it says by an event that nothing comes."""
    ours, writer = pipe
    sent = mkv.capture(BOTH)
    pipeline = f"{source(BOTH)} fdsrc fd={ours} ! matroskademux name=s s.audio_0 ! queue ! sink.audio_0"
    with Program(gst, server, stream_name, pipeline, *(OFFLINE if offline else ()), pass_fds=[ours]) as program:
        os.close(ours)
        writer.write(sent.data[:sent.fragments[2].start])
        if offline:
            program.wait(lambda p: "persisted" in str(p.of("ack")))
            program.tell("gap")
        # the second fragment ends with a key frame behind all sound; the third goes on, in hope of some
        program.wait(lambda p: len({time for what, time, *_ in p.of("ack") if what == "persisted"}) >= 2)
        writer.close()
        program.finish()
    documents = media.get_documents(server, stream_name)
    assert frames_of(documents, 1) == frames_of(sent.fragments, 1)
    assert frames_of(documents, 2) == frames_of(sent.fragments[:2], 2)


def test_a_picture_that_its_encoder_keeps_back_is_waited_for(gst, server, stream_name):
    """By the latency that the pipeline says it has: else sound went first, and key frames were put behind it."""
    pipeline = "videotestsrc is-live=true num-buffers=40 ! video/x-raw,width=96,height=64,framerate=25/1 ! " \
        "x264enc speed-preset=ultrafast rc-lookahead=0 sync-lookahead=25 threads=2 key-int-max=10 ! h264parse ! " \
        "video/x-h264,stream-format=avc,alignment=au ! queue ! sink.video_0 audiotestsrc is-live=true num-buffers=80 " \
        "samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! queue ! sink.audio_0"
    with Program(gst, server, stream_name, pipeline) as program:
        program.finish()
    times = sorted(one.timecode + f.time for one in media.get_documents(server, stream_name)
                   for f in one.frames if f.track == 1)
    assert len(times) == 40
    apart = [b - a for a, b in zip(times, times[1:])]
    assert max(apart) <= 45 and min(apart) >= 35, apart


def persisted(program):
    return {timecode for what, timecode, *_ in program.of("ack") if what == "persisted"}


@pytest.mark.parametrize("offline", [False, True], ids=["realtime", "offline"])
def test_a_pad_that_is_released_lets_the_others_go_on_at_once(gst, server, stream_name, pipe, offline):
    ours, writer = pipe
    sent = mkv.capture(BOTH)
    pipeline = f"{source(BOTH)} fdsrc fd={ours} ! matroskademux name=s s.audio_0 ! queue ! sink.audio_0"
    with Program(gst, server, stream_name, pipeline, "pad-wait=0", *(OFFLINE if offline else ()),
                 pass_fds=[ours]) as program:
        os.close(ours)
        writer.write(sent.data[:sent.fragments[2].start])
        program.wait(persisted)
        program.tell("release audio_0")
        program.finish()
    documents = media.get_documents(server, stream_name)
    assert frames_of(documents, 1) == frames_of(sent.fragments, 1)
    sound = frames_of(documents, 2)  # what was on its way is not waited for
    assert sound and sound == frames_of(sent.fragments[:2], 2)[:len(sound)]
    assert len(documents) == len(sent.fragments), "a fragment went on in hope of what was released"


def test_the_release_of_the_last_pad_is_the_end_and_waits_for_nobody(gst, stream_name):
    """Offline and with a full buffer, while the service takes nothing."""
    with Held(gst, stream_name, *OFFLINE) as one:
        one.program.wait(lambda p: len(one.said("The server cannot be reached")) >= 2)
        one.program.tell("release video_0")
        assert not one.program.of("end")
        one.go.set()
        one.program.finish()
        frames, kept = all_frames(), kept_frames(one.service)
        assert 0 < len(kept) < len(frames) and kept == frames[:len(kept)]


def test_the_end_is_told_once_whoever_is_released_then(gst, server, stream_name, pipe):
    ours, writer = pipe
    sent = mkv.capture(BOTH)
    pipeline = f"{source(BOTH, 'matroskademux name=d d.audio_0 ! queue ! sink.audio_0')} " \
        f"fdsrc fd={ours} ! matroskademux name=s s.video_0 ! queue ! sink.video_0"
    sound = frames_of(sent.fragments, 2)
    with Program(gst, server, stream_name, pipeline, metadata=["frames"], pass_fds=[ours]) as program:
        os.close(ours)
        writer.write(sent.data[:sent.fragments[2].start])
        program.wait(lambda p: len(p.of("frame")) == len(sound))
        program.tell("release video_0")
        program.wait(lambda p: p.of("end"))
        program.tell("release audio_0")
        program.finish()
        assert len(program.of("end")) == 1
    assert frames_of(media.get_documents(server, stream_name), 2) == sound


def test_a_pad_in_a_flush_stops_nobody_else(gst, server, stream_name):
    pipeline = "videotestsrc is-live=true ! video/x-raw,width=96,height=64,framerate=25/1 ! x264enc " \
        "speed-preset=ultrafast tune=zerolatency key-int-max=10 ! h264parse ! " \
        "video/x-h264,stream-format=avc,alignment=au ! queue ! sink.video_0 audiotestsrc is-live=true " \
        "samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! queue ! sink.audio_0"
    with Program(gst, server, stream_name, pipeline) as program:
        program.wait(persisted)
        program.tell("flush audio_0")
        count = len(persisted(program))
        program.wait(lambda p: len(persisted(p)) > count + 3)
        program.tell("release audio_0")
        count = len(persisted(program))
        program.wait(lambda p: len(persisted(p)) > count + 3)
        program.tell("end")
        program.finish()


def test_sound_that_is_unplugged_and_plugged_in_again_costs_no_picture(gst, server, stream_name):
    sound = "audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! queue"
    pipeline = "videotestsrc is-live=true ! video/x-raw,width=96,height=64,framerate=25/1 ! x264enc " \
        "speed-preset=ultrafast tune=zerolatency key-int-max=10 ! h264parse ! " \
        f"video/x-h264,stream-format=avc,alignment=au ! queue ! sink.video_0 {sound} ! sink.audio_0"
    with Program(gst, server, stream_name, pipeline, metadata=["frames"]) as program:
        for words in ("release audio_0", f"plug {sound}", "release video_0"):
            count = len(persisted(program))
            program.wait(lambda p: len(persisted(p)) > count + 2)
            program.tell(words)
        program.tell("release audio_0")
        program.finish()
        told = [one for one, in program.of("frame")]
    documents = media.get_documents(server, stream_name)
    kept = [hashlib.sha256(one).hexdigest() for one in frames_of(documents, 1)]
    assert kept == told[:len(kept)] and len(kept) >= len(told) - 2
    tracks = [len({f.track for f in one.frames}) for one in documents]
    assert [number for number, _ in itertools.groupby(tracks)][:3] == [2, 1, 2]


def test_a_pipeline_that_was_at_its_end_begins_again(gst, server, stream_name):
    pipeline = "videotestsrc num-buffers=30 ! video/x-raw,width=96,height=64,framerate=25/1 ! x264enc " \
        "speed-preset=ultrafast tune=zerolatency key-int-max=10 ! h264parse ! " \
        "video/x-h264,stream-format=avc,alignment=au ! queue ! sink.video_0 audiotestsrc num-buffers=60 " \
        "samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! queue ! sink.audio_0"
    with Program(gst, server, stream_name, pipeline, "streaming-type=offline") as program:
        program.wait(lambda p: p.of("end"))
        program.tell("ready")
        program.tell("play")
        program.finish(ends=2)
    documents = media.get_documents(server, stream_name)
    assert [len(frames_of(documents, track)) for track in (1, 2)] == [60, 120]


def test_a_seek_while_the_end_waits_to_be_confirmed_goes_on(gst, stream_name):
    go = threading.Event()
    sent = frames_of(mkv.capture(SMALLER).fragments, 1)
    with stand_in.StandIn([busy_until(go)] * 50) as service:
        with Program(gst, types.SimpleNamespace(api=service.url, key=KEY), stream_name, source(SMALLER),
                     "streaming-type=offline", metadata=["frames"]) as program:
            program.wait(lambda p: len(p.of("frame")) == len(sent) and p.of("warning"))
            program.tell("again")
            go.set()
            program.finish()
        assert kept_frames(service) == 2 * sent


def test_a_seek_back_records_it_again_from_now(gst, server, stream_name):
    with Program(gst, server, stream_name, source(SMALLER), "streaming-type=offline") as program:
        program.wait(lambda p: p.of("end"))
        program.tell("again")
        program.finish(ends=2)
    documents = media.get_documents(server, stream_name)
    assert frames_of(documents, 1) == 2 * frames_of(mkv.capture(SMALLER).fragments, 1)


# --- a full buffer -----------------------------------------------------------------------------
def busy_until(go):
    """Takes nothing before that, so that nothing dropped can have been sent."""
    def behave(service, upload):
        if not go.is_set():
            upload.refuse(503)
        stand_in.kept(service, upload)
    return behave


class Held:
    """A service that is busy until it is let go, and kinemasink with a MiB of memory before it."""

    def __init__(self, gst, stream, *properties):
        self.go = threading.Event()
        self.service = stand_in.StandIn([busy_until(self.go)] * 50)
        self.program = Program(gst, types.SimpleNamespace(api=self.service.url, key=KEY), stream, source(LONG),
                               ONE_MIB, *properties)

    def __enter__(self):
        self.program.__enter__()
        return self

    def __exit__(self, *args):
        self.go.set()
        self.program.__exit__(*args)
        self.service.__exit__(*args)

    def said(self, text, how="warning"):
        return [line for line, in self.program.of(how) if text in line]

    def lost(self, how="warning"):
        return [int(line.split()[-5 if how == "info" else 0]) for line in self.said("frames were dropped", how)]


def all_frames():
    return frames_of(mkv.capture(LONG).fragments, 1)


def kept_frames(service):
    """Of each fragment once: one may have been sent twice when its acks came too late."""
    return frames_of({one.timecode: one for one in service.persisted}.values(), 1)


def test_in_real_time_the_oldest_are_dropped_and_said(gst, stream_name):
    with Held(gst, stream_name) as one:
        one.program.wait(lambda p: one.said("frames were dropped"))
        one.go.set()
        one.program.finish()
        frames, kept = all_frames(), kept_frames(one.service)
        assert one.said("More than 4/5 of the buffer wait to be sent.")
        assert set(kept) <= set(frames) and kept[-1] == frames[-1]
        assert len(kept) + sum(one.lost()) >= len(frames) > len(kept)


@pytest.mark.parametrize("offline", [False, True], ids=["realtime", "offline"])
def test_what_memory_cannot_hold_goes_to_the_spill_file(gst, stream_name, tmp_path, offline):
    path = tmp_path / "spill"
    with Held(gst, stream_name, f"spill-file={path}", "spill-size=16", *(OFFLINE if offline else ())) as one:
        kinema.wait_for(lambda: path.exists() and path.stat().st_size)
        one.go.set()
        one.program.finish()
        assert kept_frames(one.service) == all_frames() and not one.said("dropped")


def test_a_spill_file_that_is_full_or_cannot_be_made_is_said(gst, stream_name):
    with Held(gst, stream_name, "spill-file=/dev/full") as one:
        one.program.wait(lambda p: one.said("frames were dropped"))
        one.go.set()
        one.program.finish()
        assert len(one.said("The spill file cannot be used.")) == len(one.lost("info")) == 1
        assert sum(one.lost("info")) == sum(one.lost()) and kept_frames(one.service)[-1] == all_frames()[-1]
    with Held(gst, stream_name, "spill-file=/dev/full", *OFFLINE) as one:
        one.program.wait(lambda p: one.said("The spill file cannot be used."))
        one.go.set()
        one.program.finish()
        assert len(one.said("The spill file cannot be used.")) == len(one.lost("info")) and not sum(one.lost("info"))
        assert kept_frames(one.service) == all_frames()
    with Held(gst, stream_name, "spill-file=/nowhere/at/all") as one:
        one.program.finish(code=1)
        assert "The producer cannot be opened: No such file or directory." in str(one.program.of("error"))


# --- keys --------------------------------------------------------------------------------------
def launch_file(gst, server, stream, *properties):
    return Launch(gst, server, stream, source(BOTH, DEMUX_BOTH), *OFFLINE, *properties, env={})


def test_a_key_by_properties_with_and_without_a_session(gst, server, stream_name):
    plain = server.create_key("--allow", "kinesisvideo:*")
    session = server.create_key("--allow", "kinesisvideo:*", "--session", "--expires-in", 1)
    for number, key in enumerate((plain, session)):
        launch_file(gst, server, f"{stream_name}{number}", f"access-key={key.id}", f"secret-key={key.secret}",
                    *([f"session-token={key.token}"] if key.token else [])).finish()
        assert_stored(server, f"{stream_name}{number}", BOTH, (1, 2))
    assert "access-key and secret-key are set together." in launch_file(
        gst, server, stream_name, f"access-key={plain.id}").finish(255)


def test_a_key_in_a_file_is_followed_when_it_is_replaced(gst, make_server, stream_name, tmp_path):
    server = make_server()
    keys = [server.create_key("--allow", "kinesisvideo:*") for _ in range(2)]
    path = tmp_path / "key"

    def write(key):
        (tmp_path / "new").write_text(f"CREDENTIALS {key.id} {key.secret}")
        os.rename(tmp_path / "new", path)

    write(keys[0])
    data = BOTH.read_bytes()
    with Launch(gst, server, stream_name, f"fdsrc ! {DEMUX_BOTH}", *OFFLINE, f"credential-path={path}", env={},
                stdin=subprocess.PIPE) as launch:
        launch.process.stdin.write(data[:len(data) // 2])
        launch.process.stdin.flush()
        kinema.wait_for(lambda: listed(server, stream_name))
        write(keys[1])
        kinema.run("credentials", "revoke", keys[0].id, "--data", server.data)
        server.restart()
        launch.process.stdin.write(data[len(data) // 2:])
        launch.finish()
    assert_stored(server, stream_name, BOTH, (1, 2))


def test_a_file_without_a_key_and_one_that_is_not_there_are_said(gst, server, stream_name, tmp_path):
    (tmp_path / "junk").write_text("nothing of that kind")
    for path in (tmp_path / "junk", tmp_path / "none"):
        assert "The access key or certificate cannot be used as it is given." in launch_file(
            gst, server, stream_name, f"credential-path={path}").finish(255)


def test_a_certificate_gets_its_key(gst, tmp_path):
    authority = certificates.Authority(tmp_path)
    certificate, key = authority.device("yard")
    with kinema.Server(args=["--iot-tls", "127.0.0.1:0", "--iot-ca", authority.path]) as server:
        role = server.create_key("--allow", "kinesisvideo:*", "--stream", "${credentials-iot:ThingName}").id
        host = server.endpoints["iot"].split("//")[1]
        shape = f"iot-certificate,endpoint={host},cert-path={certificate},key-path={key}," \
            f"ca-path={server.certificate},role-aliases={role}"
        launch_file(gst, server, "yard", f'iot-certificate="{shape},iot-thing-name=yard"').finish()
        assert_stored(server, "yard", BOTH, (1, 2))
        assert "The server refused the access key (HTTP 401)." in launch_file(
            gst, server, "gate", f'iot-certificate="{shape},iot-thing-name=yard"').finish(1)
