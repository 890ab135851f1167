# SPDX-License-Identifier: Apache-2.0
"""The metrics are there when one needs them: while whatever reads stands still."""

import os
import queue
import threading
import time

import console
import kinema
import media
import mkv

WORKERS, QUEUE = 2, 16  # http_workers, and the least that http_worker_queue_max may be
PATIENCE_S = 60


def test_metrics_do_not_wait_for_reads_that_stand_still(make_server):
    server = make_server(args=["--http-workers", WORKERS, "--http-worker-queue-max", QUEUE])
    stream = server.create_stream()
    media.upload(server, stream, mkv.capture(kinema.CAPTURES / "sink360_h264_rel.mkv"), "RELATIVE")
    server.stop()
    [chunk] = (server.data / "chunks").glob("*/*/*.mkv")
    chunk.unlink()
    os.mkfifo(chunk)  # who opens it waits for a writer
    server.start()
    archived, ended = server.archived(stream), queue.Queue()
    always = {"FragmentSelectorType": "SERVER_TIMESTAMP",
              "TimestampRange": {"StartTimestamp": 1, "EndTimestamp": time.time() + 3600}}

    def read():
        try:
            archived.list_fragments(StreamName=stream, FragmentSelector=always)
            ended.put(None)
        except Exception as problem:  # noqa: BLE001: there is no chunk; however that ends is right
            ended.put(problem)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(WORKERS + QUEUE + 1)]
    for reader in readers:
        reader.start()
    # None of them can end, so one is too many. After that nobody who reads is served.
    refused = ended.get(timeout=PATIENCE_S)
    assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 503, refused
    for path, word in (("/metrics", b"kinema_build_info"), ("/healthz", b"ok")):
        answer, data = console.Browser(server).get(path, raw=True)
        assert answer.status == 200 and word in data
    assert sum(reader.is_alive() for reader in readers) >= WORKERS, "nothing stood still: no proof"
    with open(os.open(chunk, os.O_RDWR | os.O_NONBLOCK), "wb"):
        for reader in readers:
            reader.join(PATIENCE_S)
            assert not reader.is_alive()
