# SPDX-License-Identifier: Apache-2.0
"""libkinema-consumer under Valgrind: a whole run of each half, over a service that fails and lines that break,
reads nothing that it should not and leaves nothing behind."""

import os

import pytest

import kinema
import media
import mkv
from between import CUT, Between, fault
from consumers import Worker
from test_82_consumer import Source, aggregated, make_stream
from test_83_read_frames import assert_same, finish, start

pytestmark = pytest.mark.skipif(not os.environ.get("KINEMA_LONG"), reason="a minute under Valgrind: ./check --long")
MEMCHECK = ("valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--num-callers=30",
            "--show-leak-kinds=definite,indirect,possible", "--errors-for-leak-kinds=definite,indirect,possible")
FAULTS = [fault(503, "ServiceUnavailable"), None, CUT, CUT, None, fault(400, "LimitExceededException")]


def test_records(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    stream = make_stream(kinesis, 3)
    source = Source(kinesis, stream)
    source.put(200)
    key, data = aggregated(50)
    kinesis.put_record(StreamName=stream, PartitionKey=key, Data=data)
    with Between(server.api) as between:
        for operation in ("GetRecords", "GetShardIterator", "ListShards", "listLeases", "updateLeases"):
            between.expect(operation, *FAULTS)
        between.expect("GetRecords", fault(400, "ExpiredIteratorException"))
        seen = type("Seen", (), {"api": between.url, "key": server.key})
        one = Worker(seen, stream, "--once", lease=20_000, under=MEMCHECK)
        one.wait(lambda w: len(w.records) == 250, "all read")
        assert one.finish()["records"] == 250
        assert source.is_read_by([one])
        one.assert_in_order()


def test_frames(make_server, tmp_path):
    server = make_server(args=["--get-media-idle-ms", 300])
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_aac_abs.mkv")
    stream, path = server.create_stream(), tmp_path / "payload"
    numbers = [ack["FragmentNumber"] for ack in media.upload(server, stream, capture)]
    with Between(server.api) as between:
        server.args += ["--public-api-url", between.url]
        server.restart()
        between.expect("getMedia", *FAULTS)
        between.expect("getDataEndpoint", CUT, CUT)
        told = finish(start(server, stream, path, "--from", "EARLIEST", "--once", endpoint=between.url,
                            under=MEMCHECK), path)
        assert_same(told, capture.fragments)
        told = finish(start(server, stream, path, "--fragment", numbers[1], "--fragment", "123",
                            endpoint=between.url, under=MEMCHECK), path)
        assert told.numbers == [numbers[1]] and told.of("error") == [["3000", "FRAGMENT_NOT_FOUND"]]
