# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: acknowledged ⊆ found ⊆ sent, byte for byte.

Several producers upload at once; the server is killed, started again on the same folder, and asked for
everything. KINEMA_SEED replays the moments; KINEMA_ROUNDS makes it longer (KINEMA_LONG: 60)."""

import os
import random
import threading
import time

import kinema
import put_media as wire
import pytest

SEED = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("KINEMA_ROUNDS") or (60 if os.environ.get("KINEMA_LONG") else 6))
PRODUCERS = 4
FRAGMENT_MS = 1000


def frame(stream, timecode, index, size):
    """Bytes that can belong to this frame of this fragment only."""
    return random.Random(f"{stream}/{timecode}/{index}").randbytes(size)


class Producer(threading.Thread):
    """Sends fragment after fragment, as fast as it may, until its connection dies."""

    def __init__(self, server, stream, first, seed):
        super().__init__(daemon=True)
        self.server, self.stream, self.next = server, stream, first
        self.random = random.Random(seed)
        self.sent, self.persisted, self.problem = {}, set(), None
        self.endpoint = server.data_endpoint(stream, "PUT_MEDIA")

    def fragment(self, timecode):
        sizes = [self.random.randrange(2000, 30000)] + [self.random.randrange(40, 3000)
                                                        for _ in range(self.random.randrange(1, 12))]
        frames = [frame(self.stream, timecode, i, size) for i, size in enumerate(sizes)]
        self.sent[timecode] = frames
        blocks = b"".join(wire.block(i * 40, data, key=i == 0) for i, data in enumerate(frames))
        ended = wire.END_OF_FRAGMENT if self.random.random() < 0.5 else b""
        return wire.cluster(timecode, blocks) + ended

    def run(self):
        try:
            upload = wire.PutMedia(self.endpoint, self.stream, self.server.key)
        except OSError:
            return
        try:
            upload.send(wire.header())
            while not upload.over and not upload.closed:
                data = self.fragment(self.next)
                self.next += FRAGMENT_MS
                upload.send(data, self.random.choice([97, 1500, 16384, 65524]))
        except (OSError, wire.Ended):
            pass
        except AssertionError as problem:
            self.problem = problem
        finally:
            self.persisted = {ack["FragmentTimecode"] for ack in upload.acks
                              if ack["EventType"] == "PERSISTED"}
            errors = [ack for ack in upload.acks if ack["EventType"] == "ERROR"]
            if errors:
                self.problem = errors[0]
            upload.close()


def found_in(server, stream):
    """{producer time in ms: fragment number} of all there is."""
    media = server.archived(stream)
    pages = media.get_paginator("list_fragments").paginate(
        StreamName=stream, PaginationConfig={"PageSize": 1000}, FragmentSelector={
            "FragmentSelectorType": "SERVER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": time.time() + 3600}})
    found = {}
    for page in pages:
        for item in page["Fragments"]:
            timecode = round(item["ProducerTimestamp"].timestamp() * 1000)
            assert timecode not in found, f"{stream}: fragment {timecode} is there twice"
            found[timecode] = item["FragmentNumber"]
    return found


def check_bytes(server, stream, found, sent):
    """Each fragment found holds exactly the frames that were sent in it."""
    media = server.archived(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")
    timecodes = sorted(found)
    for at in range(0, len(timecodes), 200):
        some = timecodes[at:at + 200]
        body = media.get_media_for_fragment_list(
            StreamName=stream, Fragments=[found[t] for t in some])["Payload"].read()
        place = 0
        for timecode in some:
            for index, data in enumerate(sent[timecode]):
                place = body.find(data, place)
                assert place >= 0, f"{stream}: frame {index} of fragment {timecode} is not as sent"
                place += len(data)


def test_kill_9_keeps_what_was_acknowledged(make_server):
    print(f"KINEMA_SEED={SEED} KINEMA_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = make_server()
    streams = [server.create_stream() for _ in range(PRODUCERS)]
    sent = {stream: {} for stream in streams}
    acked = {stream: set() for stream in streams}
    base = wire.now_ms() - 3600 * 1000
    upper = {stream: base for stream in streams}
    for number in range(ROUNDS):
        producers = [Producer(server, stream, upper[stream], chance.random()) for stream in streams]
        for producer in producers:
            producer.start()
        time.sleep(chance.uniform(0.02, 1.2))
        server.kill9()
        for producer in producers:
            producer.join(60)
            assert not producer.is_alive() and producer.problem is None, producer.problem
            sent[producer.stream].update(producer.sent)
            acked[producer.stream] |= producer.persisted
            upper[producer.stream] = producer.next + FRAGMENT_MS
        server.start()
        for stream in streams:
            found = found_in(server, stream)
            assert acked[stream] <= set(found), \
                f"round {number}: {stream} lost {sorted(acked[stream] - set(found))[:5]}"
            assert set(found) <= set(sent[stream]), \
                f"round {number}: {stream} invented {sorted(set(found) - set(sent[stream]))[:5]}"
    assert sum(map(len, acked.values())) > ROUNDS, "hardly anything was acknowledged: no proof"
    for stream in streams:
        check_bytes(server, stream, found_in(server, stream), sent[stream])
    server.stop()
    assert "problems=0" in kinema.run("check", "--data", server.data).stdout


@pytest.mark.parametrize("capture", ["c164_h264_abs_eofr_meta.mkv", "sink360_h264_aac_abs.mkv"])
def test_a_real_producers_upload_survives_kill_9(make_server, capture):
    path = kinema.CAPTURES / capture
    if not path.exists():
        pytest.skip("the shared captures are not here")
    header, *clusters = wire.split_clusters(path.read_bytes())
    server = make_server()
    stream = server.create_stream()
    with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
        half = len(clusters) // 2
        upload.send(header + b"".join(clusters[:half + 1]))
        upload.wait_ack("PERSISTED", wire.cluster_timecode(clusters[half - 1]))
        server.kill9()
        kept = {ack["FragmentTimecode"] for ack in upload.acks if ack["EventType"] == "PERSISTED"}
    server.start()
    server.wait_log("data_folder_recovered")
    found = found_in(server, stream)
    times = {wire.cluster_timecode(c) for c in clusters[:half + 1]}
    assert kept <= set(found) <= times

    # The producer comes back and sends again from the oldest unpersisted one.
    with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
        upload.finish(header + b"".join(clusters[half - 1:]))
        assert upload.error() is None
    assert set(found_in(server, stream)) == {wire.cluster_timecode(c) for c in clusters}
