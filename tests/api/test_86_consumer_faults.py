# SPDX-License-Identifier: Apache-2.0
"""libkinema-consumer against a service that is too busy, forgets iterators, breaks off or starts anew: every
record and frame comes, those of a shard in order, and nobody is asked again at once."""

import types

import pytest

import consumers
import kinema
import media
import mkv
from between import CUT, DEAF, Between, fault
from consumers import Worker
from data_fixtures import kinesis, server  # noqa: F401
from test_82_consumer import Source, make_stream
from test_83_read_frames import assert_same, finish, frames_of, payload_of, start

BUSY = [fault(400, "ProvisionedThroughputExceededException"), fault(400, "LimitExceededException"),
        fault(429, "TooManyRequestsException")]
EXPIRED = fault(400, "ExpiredIteratorException")
FIRST_S, GROWS = 0.19, 1.9  # what a pause is at least: 200 ms, doubling


@pytest.fixture
def between(server):
    with Between(server.api) as one:
        yield one


@pytest.fixture
def worker(server, kinesis, between):
    """Starts one on a stream of one shard, behind what stands between; ends it."""
    started = []

    def begin(*args, **options):
        seen = types.SimpleNamespace(api=between.url, key=server.key)
        started.append(Worker(seen, begin.stream, *args, **options))
        return started[-1]

    begin.stream = make_stream(kinesis, 1)
    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()


def assert_backs_off(pauses, count):
    assert len(pauses) >= count
    for number, pause in enumerate(pauses[:count]):
        assert pause >= FIRST_S * GROWS ** number, pauses


@pytest.mark.parametrize("operation", ["GetRecords", "GetShardIterator", "ListShards", "listLeases",
                                       "updateLeases"])
def test_a_service_that_is_too_busy_is_asked_again_after_growing_pauses(kinesis, between, worker, operation):
    source = Source(kinesis, worker.stream)
    source.put(30)
    between.expect(operation, *BUSY)
    # A third of the lease time bounds what tending leases waits.
    one = worker("--once", lease=20_000)
    assert one.finish()["records"] == 30
    assert source.is_read_by([one]) and not between.left()
    one.assert_in_order()
    assert_backs_off(between.pauses(operation), len(BUSY))


def test_an_iterator_that_expires_is_asked_for_anew_from_where_it_was(kinesis, between, worker):
    source = Source(kinesis, worker.stream)
    source.put(20)
    one = worker()
    one.wait(lambda w: source.is_read_by([w]), "all read")
    between.expect("GetRecords", EXPIRED)
    kinema.wait_for(lambda: not between.left())
    source.put(20)
    one.wait(lambda w: source.is_read_by([w]), "all read behind it")
    between.expect("GetRecords", *[EXPIRED] * 4)  # a service that has gone astray
    kinema.wait_for(lambda: not between.left())
    source.put(20)
    one.wait(lambda w: source.is_read_by([w]), "all read behind those")
    one.stop()
    assert len(consumers.places_of([one])) == 60, "none comes twice"
    one.assert_in_order()
    assert_backs_off(between.pauses("GetRecords")[2:], 3)  # the first is met at once, the next are not


def test_calls_that_break_off_cost_no_record_and_no_lease(kinesis, between, worker):
    source = Source(kinesis, worker.stream)
    one = worker(lease=3000)
    one.wait(lambda w: w.shards, "its shard")
    # libcurl itself asks once more where a connection that was kept breaks.
    for operation in ("GetRecords", "updateLeases", "listLeases"):
        between.expect(operation, CUT, CUT, None, CUT, CUT)
    for _ in range(10):
        source.put(10)
    one.wait(lambda w: source.is_read_by([w]), "all read")
    consumers.wait_for(lambda: not between.left(), "all faults met")
    one.stop()
    one.assert_in_order()
    assert len(consumers.places_of([one])) == 100 and "lost" not in [what for what, *_ in one.told]


def test_a_renewal_whose_answer_is_lost_costs_no_record(kinesis, between, worker):
    source = Source(kinesis, worker.stream)
    one = worker()
    one.wait(lambda w: w.shards, "its shard")
    between.expect("updateLeases", DEAF, DEAF)
    source.put(10)
    one.wait(lambda w: "lost" in [what for what, *_ in w.told], "told that somebody renewed it")
    one.wait(lambda w: w.shards, "its shard, again")
    source.put(10)
    one.wait(lambda w: source.is_read_by([w]), "all read")
    one.stop()
    one.assert_in_order()


def test_a_lease_that_was_taken_over_is_not_written_to(server, kinesis, between, worker):
    source = Source(kinesis, worker.stream)
    first = worker()
    first.wait(lambda w: w.shards, "its shard")
    source.put(10)
    first.wait(lambda w: source.is_read_by([w]), "all read")
    between.expect("updateLeases", *[fault(503, "ServiceUnavailable")] * 1000)  # of this worker alone
    second = Worker(server, worker.stream)
    try:
        second.wait(lambda w: w.shards, "the shard, since its lease has run out")
        with between.lock:
            between.faults.clear()
        first.wait(lambda w: "lost" in [what for what, *_ in w.told], "told that it lost it")
        source.put(10)
        consumers.wait_for(lambda: source.is_read_by([first, second]), "all read")
        first.stop()
        second.stop()
    finally:
        second.process.kill()
    for one in (first, second):
        one.assert_in_order()


# --- frames ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def capture():
    return mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv")


@pytest.mark.parametrize("operation", ["getDataEndpoint", "getMedia"])
def test_get_media_is_asked_again_after_growing_pauses(tmp_path, make_server, capture, operation):
    server = make_server(args=["--get-media-idle-ms", 300])
    stream, path = server.create_stream(), tmp_path / "payload"
    media.upload(server, stream, capture)
    with Between(server.api) as between:
        server.args += ["--public-api-url", between.url]
        server.restart()
        between.expect(operation, fault(400, "ClientLimitExceededException"),
                       fault(400, "ConnectionLimitExceededException"), BUSY[2])
        told = finish(start(server, stream, path, "--from", "EARLIEST", "--once", endpoint=between.url), path)
        assert_same(told, capture.fragments)
        assert len(told.of("failed")) == 3
        assert_backs_off(between.pauses(operation), 3)
        asked = [one for one, *_ in between.calls].count("getDataEndpoint")
        assert asked == (4 if operation == "getDataEndpoint" else 1), "it was not in doubt"


def test_a_server_that_dies_in_the_middle_of_a_frame_costs_none(make_server, tmp_path, capture):
    server = make_server(args=["--get-media-idle-ms", 60_000])
    stream, path = server.create_stream(), tmp_path / "payload"
    part = capture.fragments[0].frames[:8]
    lines = []
    with media.open_upload(server, stream) as upload:
        upload.send(capture.data[:capture.fragments[0].marks[9]])  # eight frames, and no more
        upload.wait_for("BUFFERING")
        reader = start(server, stream, path, "--stop-after", len(part) + len(frames_of(capture.fragments)))
        for line in reader.stdout:
            lines.append(line)
            if sum(one.startswith("frame") for one in lines) == len(part):
                break
        server.restart(hard=True)
    media.upload(server, stream, capture)
    lines += reader.stdout
    assert reader.wait(60) == 0, lines
    assert path.read_bytes() == b"".join(f.payload for f in part) + payload_of(capture.fragments)
    assert sum(one.startswith("broken") for one in lines) == 1 and any(one.startswith("disconnected") for one in lines)
