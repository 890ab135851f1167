# SPDX-License-Identifier: Apache-2.0
"""Bad links under a real server (links.py of tests/api): cameras that it fetches by RTSP over TCP and UDP, and
producers of the SDK, one of them kinemasink, each behind a link of its own. All links are slower than what goes through them for a
while, then they lose packets, then they are cut, and in the end the server is killed; beside them are a
camera and an upload on this machine, which must not notice. Afterwards: acknowledged ⊆ found ⊆ sent."""

import contextlib
import hashlib
import re
import socket
import threading
import time
import types

import cameras
import faults
import kinema
import media
import mkv
import pytest
import rtsp
import test_51_demo_camera as demo
import test_80_producer as producer
import test_87_kinemasink_program as kinemasink
from links import make_link  # noqa: F401
from test_84_kinemasink import gst  # noqa: F401

MIB = 1 << 20
START_MS = 1_700_000_000_000


def pause(seconds):
    threading.Event().wait(seconds)


def free_port():
    with socket.socket() as one:
        one.bind(("0.0.0.0", 0))
        return one.getsockname()[1]


def memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"^RssAnon:\s+(\d+) kB", status.read(), re.MULTILINE).group(1)) * 1024


# --- producers ---------------------------------------------------------------------------------------------
class Film:
    """upload-file, which plays a file over and over as a camera does, and what it is told."""

    def __init__(self, server, link):
        self.server, self.link, self.stream = server, link, kinema.new_name()
        self.events, self.acked = [], set()  # (kind, time); numbers
        self.process = producer.start(through(server.api, link), self.stream, "--realtime", "--speed", 2,
                                      "--times", 1000,
                                      "--start", START_MS, env=server.key.env(), within=link.within)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            kind, when, number = re.match(r"(\w+) time=(\d+) number=(\d*)", line).groups()
            self.events.append((kind, int(when)))
            if kind == "PERSISTED":
                self.acked.add(number)

    def more(self, count):
        goal = len(self.acked) + count
        return lambda: faults.wait_until(lambda: len(self.acked) >= goal,
                                         f"the film is acknowledged: {self.events[-9:]}")

    def count(self, kind):
        return sum(one == kind for one, _ in self.events)

    def end(self):
        """In the middle of a fragment, without a word."""
        self.kill()

    def check(self):
        """Each fragment once, in order, all of its frames; only of the last one some may be missing. After
        each reconnect it goes on with the oldest that was not PERSISTED."""
        found = media.get_documents(self.server, self.stream)
        assert self.acked <= {one.number for one in found}, "acknowledged, and not found"
        theirs = mkv.capture(producer.FILE).fragments
        times = [one.timecode for one in found]
        assert times == sorted(set(times)), "a fragment is there twice"
        for number, one in enumerate(found):
            whole = producer.frames_of([theirs[number % len(theirs)]])
            kept = producer.frames_of([one])
            assert kept == (whole if number < len(found) - 1 else whole[:len(kept)]), f"fragment {number}"
        assert not self.count("LOST"), self.events
        for at, (kind, _) in enumerate(self.events):
            if kind == "CONNECTED":
                done = [t for k, t in self.events[:at] if k == "PERSISTED"]
                first = next((t for k, t in self.events[at:] if k == "BUFFERING"), None)
                wanted = [t for t in times if not done or t > done[-1]][:1]
                assert first is None or [first] == wanted, f"{first} after {done[-1:]}"
        print(f"film: {self.count('CONNECTED')} connections")
        return len(self.acked)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(60)


class Demo:
    """The demo camera: what it made is there when it ends in order."""

    def __init__(self, server, link):
        self.link, self.stream = link, kinema.new_name()
        self.camera = demo.Camera(server, self.stream, "--endpoint", through(server.api, link), within=link.within)
        self.server = server

    def more(self, count):
        goal = self.found() + count
        return lambda: demo.wait_fragments(self.server, self.stream, goal)

    def found(self):
        names = [s["StreamName"] for s in self.server.kvs().list_streams()["StreamInfoList"]]
        return len(demo.fragments(self.server, self.stream)) if self.stream in names else 0

    def end(self):
        assert self.camera.stop() == 0, self.camera.errors

    def check(self):
        times = demo.fragments(self.server, self.stream)
        demo.assert_all_kept(self.camera, times)
        return len(times)

    def kill(self):
        if self.camera.process.poll() is None:
            self.camera.process.kill()
            self.camera.process.communicate()


class Sink:
    """kinemasink with a live picture, and sound that pauses now and then."""
    PIPELINE = "videotestsrc is-live=true pattern=snow ! video/x-raw,width=96,height=64,framerate=10/1 ! " \
        "x264enc tune=zerolatency speed-preset=ultrafast quantizer=40 pass=quant key-int-max=10 ! h264parse ! " \
        "video/x-h264,stream-format=avc,alignment=au ! queue ! sink.video_0 " \
        "audiotestsrc is-live=true samplesperbuffer=800 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! " \
        "valve name=valve ! queue ! sink.audio_0"

    def __init__(self, server, link, gst):  # noqa: F811
        self.server, self.link, self.stream = server, link, kinema.new_name()
        there = types.SimpleNamespace(api=through(server.api, link), key=server.key)
        self.program = kinemasink.Program(gst, there, self.stream, self.PIPELINE, metadata=["frames"],
                                          within=link.within)
        self.process = self.program.process

    def acked(self):
        return {number for kind, _, number, _ in self.program.of("ack") if kind == "persisted"}

    def more(self, count):
        goal = len(self.acked()) + count
        return lambda: self.program.wait(lambda _: len(self.acked()) >= goal)

    def end(self):
        self.program.tell("end")
        self.program.finish()

    def check(self):
        """Each picture once, in order, and no fragment twice; of the sound what it had."""
        found = media.get_documents(self.server, self.stream)
        assert self.acked() <= {one.number for one in found}, "acknowledged, and not found"
        times = [one.timecode for one in found]
        assert times == sorted(set(times)), "a fragment is there twice"
        pictures = [hashlib.sha256(frame).hexdigest() for frame in kinemasink.frames_of(found, 1)]
        sent = [digest for digest, in self.program.of("frame")]
        assert pictures == sent, f"{len(pictures)} pictures, {len(sent)} were sent"
        sound = [one.timecode + frame.time for one in found for frame in one.frames if frame.track == 2]
        last = max(found[-1].timecode + frame.time for frame in found[-1].frames)  # perhaps a key frame behind all sound
        assert sound[0] < times[1] and sound[-1] > last - 1000, "sound at both ends"
        assert max(b - a for a, b in zip(sound, sound[1:])) > 1500, "and none while it was muted"
        assert not [said for said in self.program.of("warning") if "dropped" in str(said)]
        print(f"kinemasink: {len(found)} fragments, {len(sound)} frames of sound, warnings {self.program.of('warning')}")
        return len(self.acked())

    def kill(self):
        self.program.__exit__()


def through(url, link):
    """The listener of the server as it is called from the other end."""
    return re.sub(r"//.*:", f"//{link.here}:", url)


# --- cameras -----------------------------------------------------------------------------------------------
def picture(data):
    """The one slice of an access unit; a delimiter may be lost alone, or be left of a picture that is."""
    at, slices = 0, []
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at:at + 4], "big")
        if data[at + 4] & 31 in (1, 5):
            slices.append(data[at:end])
        at = end
    assert len(slices) == 1
    return slices[0]


class Pulled:
    """A camera that the server fetches; link None: on this machine."""

    def __init__(self, server, link, transport):
        where = ("--address", link.there) if link else ()
        self.server, self.link, self.stream, self.transport = server, link, kinema.new_name(), transport
        self.camera = rtsp.Camera("--audio", "none", "--one-slice", *where, within=link.within if link else ())
        self.acked = self.connections = 0  # under servers that were killed
        kinema.run("camera", "add", self.stream, self.camera.url, "--transport", transport, "--data", server.data)

    def now(self):
        return rtsp.camera(self.server, self.stream)

    def more(self, count):
        goal = self.now()["FragmentCount"] + count
        return lambda: rtsp.recorded(self.server, self.stream, goal)

    def note(self):
        now = self.now()
        self.acked += now["FragmentCount"]
        self.connections += now["ReconnectCount"] + 1

    def end(self):
        self.note()
        kinema.run("camera", "rm", self.stream, "--data", self.server.data)
        self.camera.kill()

    def check(self):
        """What is found was sent, frame by frame, in that order, and over TCP without a gap in a connection."""
        _, documents = rtsp.stored(self.server, self.stream)
        assert len(documents) >= self.acked, f"{len(documents)} of {self.acked} that were acknowledged"
        times = [one.timecode for one in documents]
        assert times == sorted(set(times))
        sent = list(self.camera.frames)
        found = [hashlib.sha256(picture(frame.payload)).hexdigest() for one in documents for frame in one.frames]
        strange = [at for at, frame in enumerate(found) if frame not in set(sent)]
        assert not strange, f"{self.transport}: of {len(found)} frames these were never sent: {strange}"
        at, gaps = -1, 0
        for frame in found:
            left, at = at + 1, sent.index(frame, at + 1)  # ValueError: not in the order that they were sent in
            gaps += any(one != frame for one in sent[left:at])  # the first one comes twice, as PLAY begins
        print(f"{self.transport}: {len(found)} of {len(sent)} frames, {self.connections} connections, {gaps} gaps")
        assert self.transport == "udp" or gaps <= self.connections
        return self.acked

    def kill(self):
        self.camera.kill()


# --- the trials --------------------------------------------------------------------------------------------
class Trial:
    def __init__(self, server, make_link, gst):  # noqa: F811
        self.server = server
        self.pulled = [Pulled(server, make_link(), "tcp"), Pulled(server, make_link(), "udp")]
        self.film, self.demo = Film(server, make_link()), Demo(server, make_link())
        self.sink = Sink(server, make_link(), gst)
        self.beside = Pulled(server, None, "tcp")
        self.upload, = cameras.start(server, 1, every_s=0.1)
        self.behind = [*self.pulled, self.film, self.demo, self.sink]
        self.most = {}

    def wait_more(self, count=1):
        """Until each has so many more fragments stored than now."""
        waits = [one.more(count) for one in (*self.behind, self.beside)]
        for wait in waits:
            wait()
        self.upload.wait_acked(count)

    def for_a_while(self, seconds):
        """Looks at memory, and that who has a good link does not notice."""
        until, began = time.monotonic() + seconds, len(self.upload.acked)
        frames = self.beside.now()["FrameCount"]
        while (left := until - time.monotonic()) > 0:
            pids = {"server": self.server.process.pid, "film": self.film.process.pid,
                    "demo camera": self.demo.camera.process.pid, "kinemasink": self.sink.process.pid}
            for at, pid in enumerate(rtsp.child_of(self.server)):
                pids[f"worker {at}"] = pid
            for name, pid in pids.items():
                self.most[name] = max(self.most.get(name, 0), memory(pid))
            pause(min(0.2, max(left, 0)))
        assert len(self.upload.acked) - began > seconds, "an upload beside was held up"
        # of 10 a second, told once a second
        assert self.beside.now()["FrameCount"] - frames > 5 * (seconds - 1), "a camera beside was held up"

    def assert_nobody_beside_noticed(self):
        now = self.beside.now()
        assert (now["ReconnectCount"], now["LostFrameCount"], now["State"]) == (0, 0, "RECORDING"), now
        assert self.upload.connections == 1 and not self.upload.errors

    def close(self):
        for one in (*self.behind, self.beside):
            one.kill()


@pytest.fixture
def make_trial():
    with contextlib.ExitStack() as stack:
        def make(*args):
            trial = Trial(*args)
            stack.callback(trial.close)
            return trial
        yield make


def assert_recovers(trial, back, when):
    """Each camera is recorded again after two more tries that fail at most: the one under way, and one of the
    last second, of which its status did not tell yet."""
    for camera in trial.pulled:
        now = rtsp.until(trial.server, camera.stream, lambda now: now["State"] == "RECORDING")
        took = time.monotonic() - when
        print(f"{camera.transport}: recorded again {took:.1f} s after its link was back, {now['Fault']}: "
              f"{now['FaultMessage']}")
        assert now["ReconnectCount"] <= back[camera] + 2


def test_links_that_are_slow_lose_packets_and_are_cut(make_server, make_link, make_trial, gst, long):  # noqa: F811
    ports = {f"--{name}": f"0.0.0.0:{free_port()}" for name in ("api", "ingest")}
    server = make_server(args=[*sum(ports.items(), ()), "--plain-ingest-anywhere", "--camera-workers", 1])
    trial = make_trial(server, make_link, gst)
    trial.wait_more()
    began = time.monotonic()

    def said(what):
        print(f"{time.monotonic() - began:5.1f} s: {what}")

    for one in trial.behind:  # less than each of them sends
        one.link.slow("600kbit" if one is trial.film else "60kbit")
    said("slow")
    trial.for_a_while(30 if long else 2)
    for one in trial.behind:
        one.link.fast()
    said("fast")
    trial.wait_more()
    for percent in (1, 2, 5) if long else (5,):
        for one in trial.behind:
            one.link.lose(percent)
        trial.sink.program.tell("mute")
        trial.for_a_while(20 if long else 2)
        trial.sink.program.tell("sound")
        said(f"{percent} % were lost: {[one.link.lost() for one in trial.behind]} packets")
        assert sum(one.link.lost() for one in trial.behind) > 0
    for one in trial.behind:
        one.link.let_through()
    trial.wait_more()
    for cut, mend in [("swallow", "let_through"), ("take_down", "bring_up")][:2 if long else 1]:
        for one in trial.behind:
            getattr(one.link, cut)()
        trial.for_a_while(20 if long else 6)  # more than fragment_idle_ms
        for camera in trial.pulled:
            now = rtsp.until(server, camera.stream, lambda now: now["State"] != "RECORDING")
            assert now["Fault"] in ("stalled", "unreachable") and now["FaultMessage"], now
        back = {camera: camera.now()["ReconnectCount"] for camera in trial.pulled}
        for one in trial.behind:
            getattr(one.link, mend)()
        said(f"{cut} is over")
        assert_recovers(trial, back, time.monotonic())
        trial.wait_more()
        said("all have come back")
    trial.assert_nobody_beside_noticed()
    for _ in range(3 if long else 1):
        for camera in (*trial.pulled, trial.beside):
            camera.note()
        server.restart(hard=True)
        said("killed, and started again")
        trial.wait_more()
    said("all have come back")
    cameras.stop([trial.upload])
    for one in (*trial.behind, trial.beside):
        one.end()
    count = sum(one.check() for one in (*trial.behind, trial.beside)) + cameras.check_all(server, [trial.upload])
    print("at most " + ", ".join(f"{name} {most / MIB:.1f} MiB" for name, most in trial.most.items()))
    assert max(trial.most.values()) < 64 * MIB
    server.stop()
    assert faults.check_folder(server.data) >= count
    said(f"{count} acknowledged fragments are there")
