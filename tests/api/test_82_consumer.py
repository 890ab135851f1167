# SPDX-License-Identifier: Apache-2.0
"""libkinema-consumer through its sample read-records: workers that share shards, are killed, stopped and
replaced while shards are split and merged; every record is read, those of a shard in order."""

import os
import pathlib
import random
import signal
import subprocess

import pytest

import consumers
import kinema
from consumers import Worker
from data_fixtures import kinesis, server  # noqa: F401

TOOL = os.environ.get("KINEMA_AGGREGATE_TOOL",
                      pathlib.Path(kinema.BINARY).resolve().parent / "aggregate_tool")


@pytest.fixture
def workers():
    """Those that a test has started, in order; what is left of them is killed."""
    started = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.process.kill()


def make_stream(kinesis, shards):
    name = kinema.new_name("read")
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    return name


class Source:
    """Puts records whose data say which they are."""

    def __init__(self, kinesis, stream):
        self.kinesis, self.stream, self.sent = kinesis, stream, []

    def put(self, count):
        names = [f"r{len(self.sent) + i}" for i in range(count)]
        answer = self.kinesis.put_records(StreamName=self.stream, Records=[
            {"Data": name.encode(), "PartitionKey": f"key-{int(name[1:]) % 53}"} for name in names])
        assert answer["FailedRecordCount"] == 0
        self.sent += names

    def is_read_by(self, workers):
        return set(self.sent) <= consumers.data_of(workers)


def aggregated(count, key="door"):
    """One record of the KPL's form: (partition key, record)."""
    lines = "".join(f"{key.encode().hex()} - {f'u{i}'.encode().hex()}\n" for i in range(count))
    done = subprocess.run([TOOL, "make"], input=lines, capture_output=True, text=True, check=True, timeout=60)
    made, = [[bytes.fromhex(word) if word != "-" else b"" for word in line.split()]
             for line in done.stdout.splitlines()]
    return made[0].decode(), made[2]


def test_one_worker_reads_all_shards_in_order_and_goes_on_where_it_was(server, kinesis, workers):
    stream = make_stream(kinesis, 3)
    source = Source(kinesis, stream)
    source.put(400)
    first = Worker(server, stream, "--once")
    assert first.finish()["records"] == 400
    first.assert_in_order()
    assert source.is_read_by([first]) and len({shard for shard, *_ in first.records}) == 3
    assert {key for *_, key, _ in first.records} == {f"key-{i}" for i in range(53)}
    source.put(7)
    second = Worker(server, stream, "--once")
    second.finish()
    assert sorted(data for *_, data in second.records) == sorted(source.sent[400:])
    other = Worker(server, stream, "--once", application="other")
    assert other.finish()["records"] == 407


def test_aggregated_records_come_apart_and_are_done_one_by_one(server, kinesis, workers):
    stream = make_stream(kinesis, 1)
    key, record = aggregated(40)
    kinesis.put_record(StreamName=stream, PartitionKey="a", Data=b"before")
    kinesis.put_record(StreamName=stream, PartitionKey=key, Data=record)
    kinesis.put_record(StreamName=stream, PartitionKey="b", Data=b"behind")
    expected = ["before", *(f"u{i}" for i in range(40)), "behind"]
    found, rounds = [], 0
    while len(found) < len(expected):  # each is stopped in the middle, and gives back what it has done
        one = Worker(server, stream, "--slow", 20, lease=60_000)
        workers.append(one)
        one.wait(lambda w: len(w.records) >= min(10, len(expected) - len(found)), "ten records")
        one.stop()
        found += [data for *_, data in one.records]
        assert found == expected[:len(found)], "one was left out, or came twice"
        rounds += 1
    assert rounds > 1
    subs = [sub for one in workers for _, _, sub, _, data in one.records if data[0] == "u"]
    assert subs == list(range(40))
    raw = Worker(server, stream, "--once", "--raw", application="raw")
    assert raw.finish()["records"] == 3


def test_latest_begins_where_the_application_did_and_a_time_where_it_says(server, kinesis, workers):
    stream = make_stream(kinesis, 2)
    source = Source(kinesis, stream)
    source.put(20)
    one = Worker(server, stream, "--from", "LATEST")
    workers.append(one)
    one.wait(lambda w: len(w.shards) == 2, "two shards")
    one.kill()  # what comes while nobody reads is not left out
    source.put(10)
    two = Worker(server, stream, "--from", "TRIM_HORIZON", "--once")
    two.finish()
    assert sorted(data for *_, data in two.records) == sorted(source.sent[20:])
    far = Worker(server, stream, "--from", 1000, "--once", application="old")
    assert far.finish()["records"] == 30


def test_shares_are_even_and_a_worker_that_dies_is_replaced(server, kinesis, workers):
    stream = make_stream(kinesis, 6)
    source = Source(kinesis, stream)
    source.put(50)
    workers.append(Worker(server, stream))
    workers[0].wait(lambda w: len(w.shards) == 6, "all shards its own")
    workers += [Worker(server, stream), Worker(server, stream)]

    def owners():
        held = [one.get("Owner") for one in consumers.leases(server, stream).values()]
        return sorted(held.count(name) for name in set(held))

    consumers.wait_for(lambda: owners() == [2, 2, 2], "two shards each")
    source.put(50)
    consumers.wait_for(lambda: source.is_read_by(workers), "all read")
    workers[1].kill()
    source.put(50)
    consumers.wait_for(lambda: source.is_read_by(workers), "all read by those that live")
    consumers.wait_for(lambda: owners() == [3, 3], "three shards each")
    workers[0].stop()  # gives its shards back at once
    source.put(50)
    consumers.wait_for(lambda: source.is_read_by(workers), "all read by the last")
    consumers.wait_for(lambda: owners() == [6], "all shards the last one's")
    workers[2].stop()
    assert {one.get("Owner") for one in consumers.leases(server, stream).values()} == {None}
    for one in workers:
        one.assert_in_order()


def test_a_worker_that_stood_still_learns_that_its_shards_are_another_ones(server, kinesis, workers):
    stream = make_stream(kinesis, 2)
    source = Source(kinesis, stream)
    workers.append(Worker(server, stream))
    workers[0].wait(lambda w: len(w.shards) == 2, "both shards")
    workers[0].process.send_signal(signal.SIGSTOP)
    workers.append(Worker(server, stream))
    workers[1].wait(lambda w: len(w.shards) == 2, "both shards")
    source.put(20)
    workers[1].wait(lambda w: source.is_read_by([w]), "all records")
    workers[0].process.send_signal(signal.SIGCONT)
    workers[0].wait(lambda w: [what for what, *_ in w.told].count("lost") >= 2, "told that it lost both")
    source.put(20)
    consumers.wait_for(lambda: source.is_read_by(workers), "all read")
    for one in workers:
        one.stop()
        one.assert_in_order()


def newest_open(kinesis, stream):
    """Open shards by their first hash key: (id, first, last)."""
    shards = kinesis.list_shards(StreamName=stream)["Shards"]
    return sorted(((s["ShardId"], int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"]))
                   for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"]), key=lambda s: s[1])


def reshard(kinesis, stream, chance):
    held = newest_open(kinesis, stream)
    if len(held) < 2 or (len(held) < 6 and chance.random() < 0.5):
        shard, first, last = chance.choice(held)
        kinesis.split_shard(StreamName=stream, ShardToSplit=shard,
                            NewStartingHashKey=str(first + (last - first) // 2))
    else:
        at = chance.randrange(len(held) - 1)
        kinesis.merge_shards(StreamName=stream, ShardToMerge=held[at][0], AdjacentShardToMerge=held[at + 1][0])


def assert_children_wait(server, kinesis, stream, parents):
    """No shard is read, or was, while one of its parents has something left."""
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        parents[shard["ShardId"]] = [shard[name] for name in ("ParentShardId", "AdjacentParentShardId")
                                     if name in shard]
    held = consumers.leases(server, stream)
    for shard, lease in held.items():
        if "Owner" in lease or "Checkpoint" in lease:
            for parent in parents.get(shard, []):
                assert held[parent].get("Checkpoint") == "SHARD_END", (shard, lease, held[parent])


def not_stored_perhaps(workers, killed):
    """Records of who was killed, or lost the shard, before it stored how far it was."""
    places = set()
    for one in workers:
        lost = {shard for what, shard, *_ in one.told if what == "lost"}
        places |= {(shard, sequence, sub) for shard, sequence, sub, *_ in one.records
                   if one in killed or shard in lost}
    return places


@pytest.mark.parametrize("own", [False, True], ids=["done_when_taken", "done_when_said"])
def test_no_record_is_missed_while_shards_change_and_workers_die(server, kinesis, workers, own):
    stream = make_stream(kinesis, 2)
    source = Source(kinesis, stream)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    options = ["--own"] if own else []
    alive = [Worker(server, stream, *options) for _ in range(3)]
    workers += alive
    parents, killed = {}, []
    for step in range(14):
        source.put(30)
        if step % 2 == 1:
            reshard(kinesis, stream, chance)
        if step in (3, 6, 10):
            dead = alive.pop(chance.randrange(3))
            if step == 6:
                dead.stop()
            else:
                dead.kill()
                killed.append(dead)
            alive.append(Worker(server, stream, *options))
            workers.append(alive[-1])
        source.put(10)
        assert_children_wait(server, kinesis, stream, parents)
    consumers.wait_for(lambda: source.is_read_by(workers), "all read")
    for one in alive:
        one.stop()
    assert_children_wait(server, kinesis, stream, parents)
    for one in workers:
        one.assert_in_order()
    seen = consumers.places_of(workers)
    assert len(set(seen)) == len(source.sent), "a record that nobody put"
    last = Worker(server, stream, "--once", *options)
    last.finish()  # who stopped in order has stored how far it was, to the last record
    assert set(consumers.places_of([last])) <= not_stored_perhaps(workers, killed)
    assert Worker(server, stream, "--once", *options).finish()["records"] == 0


def test_a_worker_outlives_the_server(make_server, workers):
    server = make_server()
    kinesis = server.client("kinesis")
    stream = make_stream(kinesis, 2)
    source = Source(kinesis, stream)
    source.put(20)
    workers += [Worker(server, stream), Worker(server, stream)]
    consumers.wait_for(lambda: source.is_read_by(workers), "all read")
    server.restart(hard=True)
    source.put(20)
    consumers.wait_for(lambda: source.is_read_by(workers), "all read behind the restart")
    for one in workers:
        one.stop()
        one.assert_in_order()
