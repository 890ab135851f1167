# SPDX-License-Identifier: Apache-2.0
"""A program of GStreamer as users of kinemasink write one:
gst_program.py PIPELINE [gap:MS | frames] [FRAME:NAME=VALUE:PERSIST …]

The pipeline has a `kinemasink name=sink`; metadata goes before that frame (from 0) of its first pad, and what
follows that pad's second caps is MS later. Prints the
signal's acks, what the bus says and `end`, separated by tabs, with `frames` the SHA-256 of each of that pad's frames;
takes `ready`, `pause`, `play`, `again` (a flushing seek to the beginning), `gap` (nothing comes on its last pad for an
hour, says an event), `mute` and `sound` (of a `valve name=valve`), `flush PAD` (a flush of that pad begins), `release
PAD`, `plug PIPELINE` (to a new pad), `end` and `quit` from standard input. Ends at the end of that, or at an error."""

import hashlib
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def say(*words):
    """In one piece: several threads say something, and print() writes a line's end by itself."""
    sys.stdout.write("\t".join(str(word).replace("\n", " ") for word in words) + "\n")
    sys.stdout.flush()


def on_ack(_, ack):
    say("ack", ack.get_string("type"), ack.get_int64("timecode").value, ack.get_string("fragment-number"),
        ack.get_uint("error-id").value)


def add_metadata(pad, wanted):
    """Pushed in the streaming thread, between two frames."""
    count = 0

    def before_frame(pad, _):
        nonlocal count
        for frame, name, value, persist in wanted:
            if frame == count:
                shape = Gst.Structure.new_empty("kvs-add-metadata")
                shape.set_value("name", name)
                shape.set_value("value", value)
                shape.set_value("persist", persist)
                pad.push_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_DOWNSTREAM, shape))
        count += 1
        return Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.BUFFER, before_frame)


def tell_frames(pad):
    def before_frame(_, info):
        buffer = info.get_buffer()
        say("frame", hashlib.sha256(buffer.extract_dup(0, buffer.get_size())).hexdigest())
        return Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.BUFFER, before_frame)


def add_gap(pad, ms):
    """Before what follows the pad's second caps."""
    count = 0

    def before_event(pad, info):
        nonlocal count
        if info.get_event().type == Gst.EventType.CAPS:
            count += 1
            if count == 2:
                pad.set_offset(ms * Gst.MSECOND)
        return Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, before_event)


def release(sink, name):
    """What is before it is held up, not told of an error."""
    pad = sink.get_static_pad(name)
    before = pad.get_peer()
    before.add_probe(Gst.PadProbeType.BLOCK_DOWNSTREAM, lambda *_: Gst.PadProbeReturn.OK)
    before.unlink(pad)
    sink.release_request_pad(pad)


def metadata_of(words):
    for word in words:
        frame, rest = word.split(":", 1)
        pair, persist = rest.rsplit(":", 1)
        yield int(frame), *pair.split("=", 1), persist == "persist"


STATES = {"ready": Gst.State.READY, "pause": Gst.State.PAUSED, "play": Gst.State.PLAYING}


class Program:
    def __init__(self, pipeline, words):
        self.pipeline = Gst.parse_launch(pipeline)
        self.loop, self.code = GLib.MainLoop(), 0
        sink = self.pipeline.get_by_name("sink")
        sink.connect("fragment-ack", on_ack)
        pad = sink.sinkpads[0].get_peer()
        for word in words[:1]:
            if word.startswith("gap:"):
                add_gap(pad, int(word[4:]))
                words = words[1:]
            elif word == "frames":
                tell_frames(pad)
                words = words[1:]
        add_metadata(pad, list(metadata_of(words)))
        self.pipeline.bus.add_signal_watch()
        self.pipeline.bus.connect("message", self.on_message)
        threading.Thread(target=self.listen, daemon=True).start()

    def on_message(self, _, message):
        if message.type == Gst.MessageType.EOS:
            say("end")
        elif message.type == Gst.MessageType.WARNING:
            say("warning", message.parse_warning()[0].message)
        elif message.type == Gst.MessageType.INFO:
            say("info", message.parse_info()[0].message)
        elif message.type == Gst.MessageType.ERROR:
            say("error", message.parse_error()[0].message)
            self.code = 1
            self.loop.quit()

    def listen(self):
        for line in sys.stdin:
            GLib.idle_add(self.obey, line.strip())
        GLib.idle_add(self.loop.quit)

    def obey(self, line):
        word, *rest = line.split()
        sink = self.pipeline.get_by_name("sink")
        if word in STATES:
            self.pipeline.set_state(STATES[word])
            self.pipeline.get_state(Gst.CLOCK_TIME_NONE)
        elif word == "again":
            assert self.pipeline.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH, 0)
        elif word == "gap":
            pad = sink.sinkpads[-1].get_peer()
            segment = pad.get_sticky_event(Gst.EventType.SEGMENT, 0).parse_segment()
            assert pad.push_event(Gst.Event.new_gap(segment.start, 3600 * Gst.SECOND))
        elif word in ("mute", "sound"):
            self.pipeline.get_by_name("valve").set_property("drop", word == "mute")
        elif word == "flush":
            assert sink.get_static_pad(*rest).send_event(Gst.Event.new_flush_start())
        elif word == "release":
            release(sink, *rest)
        elif word == "plug":
            source = Gst.parse_bin_from_description(" ".join(rest), True)
            self.pipeline.add(source)
            assert source.link(sink)
            source.sync_state_with_parent()
        elif word == "end":
            assert self.pipeline.send_event(Gst.Event.new_eos())
        elif word == "quit":
            self.loop.quit()
        say("done", line)
        return False

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        return self.code


Gst.init(None)
sys.exit(Program(sys.argv[1], sys.argv[2:]).run())
