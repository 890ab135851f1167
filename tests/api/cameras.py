# SPDX-License-Identifier: Apache-2.0
"""Cameras that do not give up, and the proof that nothing acknowledged was lost.

A camera uploads to its stream as AWS's producers do: it keeps what is not PERSISTED, and when its
connection ends for whatever reason it comes back and sends again from the oldest of that on. It
remembers what it sent and under which number each fragment was acknowledged."""

import random
import threading
import time

import mkv
import put_media as wire

STEP_MS = 1000
LIST_PAGE = 1000
READ_AT_A_TIME = 100


def frame(stream, timecode, index, size):
    """Bytes that can belong to this frame of this fragment only."""
    return random.Random(f"{stream}/{timecode}/{index}").randbytes(size)


class Camera(threading.Thread):
    """window: fragments not yet acknowledged, at most. every_s: a pause after each fragment.
    key_bytes: least and most of a fragment's first frame. patience_s: silence that ends a
    connection. settled: the acknowledgement after which it forgets a fragment."""

    def __init__(self, server, stream, seed=0, window=6, every_s=0.03, key_bytes=(2000, 30000),
                 frames=(1, 12), patience_s=30, hours_ago=1,
                 settled="PERSISTED"):
        super().__init__(daemon=True)
        self.server, self.stream, self.random = server, stream, random.Random(f"{seed}/{stream}")
        self.window, self.every_s, self.patience_s = window, every_s, patience_s
        self.key_bytes, self.frames, self.settled = key_bytes, frames, settled
        self.next = wire.now_ms() - hours_ago * 3600 * 1000
        self.endpoint = server.data_endpoint(stream, "PUT_MEDIA")
        self.sent = {}       # timecode: (sizes of its frames, with an end tag?)
        self.acked = {}      # timecode: number, of what was PERSISTED (settled)
        self.acked_at = {}   # timecode: when
        self.sent_at = {}    # timecode: when its last byte had gone out, the last time
        self.errors = []     # ERROR acknowledgements
        self.refused = []    # HTTP statuses other than 200
        self.connections = 0
        self.problem = None
        self.upload = None
        self.halt = threading.Event()

    # --- what is sent ----------------------------------------------------------------------------
    def new_fragment(self):
        timecode, self.next = self.next, self.next + STEP_MS
        sizes = [self.random.randrange(*self.key_bytes)] + [
            self.random.randrange(40, 3000) for _ in range(self.random.randrange(*self.frames))]
        self.sent[timecode] = (sizes, self.random.random() < 0.5)
        return timecode

    def data(self, timecode):
        """The fragment's bytes: the same each time."""
        sizes, ended = self.sent[timecode]
        blocks = b"".join(wire.block(i * 40, frame(self.stream, timecode, i, size), key=i == 0)
                          for i, size in enumerate(sizes))
        return wire.cluster(timecode, blocks) + (wire.END_OF_FRAGMENT if ended else b"")

    # --- one connection --------------------------------------------------------------------------
    def note(self, upload):
        """Takes over what the acknowledgements so far say."""
        for at in range(upload.noted, len(upload.acks)):
            ack = upload.acks[at]
            if ack["EventType"] == self.settled:
                timecode, number = ack["FragmentTimecode"], ack["FragmentNumber"]
                assert self.acked.setdefault(timecode, number) == number, \
                    f"{self.stream}: {timecode} was acknowledged under two numbers"
                self.acked_at.setdefault(timecode, upload.times[at])
            elif ack["EventType"] == "ERROR":
                self.errors.append(ack)
        upload.noted = len(upload.acks)

    def session(self):
        self.upload = upload = wire.PutMedia(self.endpoint, self.stream, self.server.key,
                                             timeout_s=self.patience_s)
        upload.noted = 0
        self.connections += 1
        under_way = []

        def room():
            self.note(upload)
            under_way[:] = [t for t in under_way if t not in self.acked]
            return len(under_way) < self.window or self.halt.is_set()

        try:
            upload.send(wire.header())
            queue = [t for t in self.sent if t not in self.acked]
            while not self.halt.is_set() and not upload.over:
                timecode = queue.pop(0) if queue else self.new_fragment()
                under_way.append(timecode)
                upload.send(self.data(timecode), self.random.choice([1500, 16384, 65524]))
                self.sent_at[timecode] = time.monotonic()
                if self.every_s:
                    self.halt.wait(self.every_s)
                upload.wait(room, self.patience_s)
            if not upload.over:
                upload.end().wait_over(self.patience_s)
        finally:
            self.note(upload)
            if upload.status not in (None, 200):
                self.refused.append(upload.status)
            upload.close()

    def run(self):
        while not self.halt.is_set():
            try:
                self.session()
            except (OSError, wire.Ended):
                pass
            except AssertionError as problem:
                if "timed out" not in str(problem) and "takes no more" not in str(problem):
                    self.problem = problem
                    return
            if self.halt.wait(0.05):
                return

    def stop(self, timeout=90):
        """Ends the body; what is under way is still acknowledged."""
        self.halt.set()
        self.join(timeout)
        assert not self.is_alive(), f"the camera of {self.stream} hangs"
        assert self.problem is None, self.problem
        return self

    def wait_acked(self, count, timeout=60):
        """Until so many more fragments are acknowledged than now."""
        goal, deadline = len(self.acked) + count, time.monotonic() + timeout
        while len(self.acked) < goal:
            assert self.problem is None, self.problem
            assert time.monotonic() < deadline, \
                f"{self.stream}: {len(self.acked)} of {goal} acknowledged, errors {self.errors[-3:]}"
            time.sleep(0.005)


def start(server, count, **options):
    """So many cameras on new streams, running."""
    cameras = [Camera(server, server.create_stream(), **options) for _ in range(count)]
    for camera in cameras:
        camera.start()
    return cameras


def stop(cameras):
    for camera in cameras:
        camera.halt.set()
    for camera in cameras:
        camera.stop()


# --- the proof -----------------------------------------------------------------------------------
def found_in(server, stream):
    """{producer time in ms: fragment number} of all there is."""
    media = server.archived(stream)
    pages = media.get_paginator("list_fragments").paginate(
        StreamName=stream, PaginationConfig={"PageSize": LIST_PAGE}, FragmentSelector={
            "FragmentSelectorType": "SERVER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": time.time() + 3600}})
    found = {}
    for page in pages:
        for item in page["Fragments"]:
            timecode = round(item["ProducerTimestamp"].timestamp() * 1000)
            assert timecode not in found, f"{stream}: fragment {timecode} is there twice"
            found[timecode] = item["FragmentNumber"]
    return found


def check_kept(server, cameras):
    """acknowledged ⊆ found ⊆ sent, under the numbers acknowledged. Cameras may be at work."""
    for camera in cameras:
        acked = dict(camera.acked)
        found = found_in(server, camera.stream)
        sent = set(camera.sent)
        lost = sorted(set(acked) - set(found))
        assert not lost, f"{camera.stream}: {len(lost)} of {len(acked)} lost, such as {lost[:5]}"
        invented = sorted(set(found) - sent)
        assert not invented, f"{camera.stream}: never sent: {invented[:5]}"
        other = [t for t, number in acked.items() if found[t] != number]
        assert not other, f"{camera.stream}: under another number than acknowledged: {other[:5]}"


def check_bytes(server, camera, timecodes=None):
    """Each fragment found is, byte for byte, what was sent."""
    found = found_in(server, camera.stream)
    media = server.archived(camera.stream, "GET_MEDIA_FOR_FRAGMENT_LIST")
    wanted = sorted(found if timecodes is None else timecodes)
    for at in range(0, len(wanted), READ_AT_A_TIME):
        some = wanted[at:at + READ_AT_A_TIME]
        body = media.get_media_for_fragment_list(
            StreamName=camera.stream, Fragments=[found[t] for t in some])["Payload"].read()
        documents = {d.number: d for d in mkv.documents(body)}
        for timecode in some:
            one = documents.get(found[timecode])
            assert one, f"{camera.stream}: {timecode} is listed and not readable"
            assert one.cluster == camera.data(timecode), \
                f"{camera.stream}: fragment {timecode} is not as sent"


def check_all(server, cameras):
    """The whole proof, bytes included; how much it rests on."""
    check_kept(server, cameras)
    for camera in cameras:
        check_bytes(server, camera)
    return sum(len(c.acked) for c in cameras)
