# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: acknowledged ⊆ found ⊆ sent, byte for byte.

Several cameras upload at once, each coming back by itself; the server is killed, started again on the same folder, and asked for
everything. KINEMA_SEED replays the moments; KINEMA_ROUNDS makes it longer (KINEMA_LONG: 60)."""

import os
import random
import time

import cameras
import kinema
import put_media as wire
import pytest

SEED = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("KINEMA_ROUNDS") or (60 if os.environ.get("KINEMA_LONG") else 6))
CAMERAS = 4


def test_kill_9_keeps_what_was_acknowledged(make_server):
    print(f"KINEMA_SEED={SEED} KINEMA_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = make_server()
    all_of_them = cameras.start(server, CAMERAS, seed=SEED, every_s=0.06)
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.02, 1.2))
        server.kill9()
        server.start()
        cameras.check_kept(server, all_of_them)
    cameras.stop(all_of_them)
    assert cameras.check_all(server, all_of_them) > ROUNDS, "hardly any acknowledged: no proof"
    assert not [c.errors for c in all_of_them if c.errors]
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
    found = cameras.found_in(server, stream)
    times = {wire.cluster_timecode(c) for c in clusters[:half + 1]}
    assert kept <= set(found) <= times

    # The producer comes back and sends again from the oldest unpersisted one.
    with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
        upload.finish(header + b"".join(clusters[half - 1:]))
        assert upload.error() is None
    assert set(cameras.found_in(server, stream)) == {wire.cluster_timecode(c) for c in clusters}
