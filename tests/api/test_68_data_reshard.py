# SPDX-License-Identifier: Apache-2.0
"""Splits, merges and scaling with records in the shards: ends, lineage, order by key while writers go on;
deletion; kill -9 amid all of it."""

import collections
import os
import random
import threading
import time

import botocore.exceptions
import pytest

import kinema
from data_fixtures import kinesis, server  # noqa: F401
from test_64_data_streams import fault, is_open, shards
from test_65_data_put import parts, shard_id
from test_66_data_read import data, iterator, put, read

SEED = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("KINEMA_ROUNDS") or (30 if os.environ.get("KINEMA_LONG") else 4))


@pytest.fixture
def name(kinesis):
    one = kinema.new_name("data")
    kinesis.create_stream(StreamName=one, ShardCount=1)
    return one


def consume(kinesis, name):
    """All records as a consumer gets them: a shard to its end, then the shards it names; a shard of two parents
    after both. Returns [(shard, record)] and the shards that ended."""
    found, ended, begun, waiting = [], {}, set(), collections.deque()
    first = [int(s["ShardId"][-12:]) for s in kinesis.list_shards(
        StreamName=name, ShardFilter={"Type": "AT_TRIM_HORIZON"})["Shards"]]
    waiting.extend((i, []) for i in first)
    while waiting:
        shard, parents = waiting.popleft()
        if shard in begun or not all(p in ended for p in parents):
            continue  # the other parent names it too
        begun.add(shard)
        at = iterator(kinesis, name, shard=shard)
        while at:
            answer = read(kinesis, at, Limit=500)
            found += [(shard, r) for r in answer["Records"]]
            at = answer.get("NextShardIterator")
            if at and answer["MillisBehindLatest"] == 0 and not answer["Records"]:
                break  # open, and there is no more
        if not at:
            ended[shard] = [int(c["ShardId"][-12:]) for c in answer["ChildShards"]]
            waiting.extend((int(c["ShardId"][-12:]), [int(p[-12:]) for p in c["ParentShards"]])
                           for c in answer["ChildShards"])
    return found, ended


def test_a_shard_that_was_split_ends_and_names_its_children(kinesis, name):
    put(kinesis, name, b"a", b"b")
    latest = iterator(kinesis, name, "LATEST")
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-0", NewStartingHashKey=str(1 << 127))
    answer = read(kinesis, iterator(kinesis, name))
    assert data(answer) == [b"a", b"b"] and "NextShardIterator" not in answer and answer["MillisBehindLatest"] == 0
    assert answer["ChildShards"] == [
        {"ShardId": shard_id(1), "ParentShards": [shard_id(0)],
         "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str((1 << 127) - 1)}},
        {"ShardId": shard_id(2), "ParentShards": [shard_id(0)],
         "HashKeyRange": {"StartingHashKey": str(1 << 127), "EndingHashKey": str((1 << 128) - 1)}}]
    part = read(kinesis, iterator(kinesis, name), Limit=1)
    assert part["NextShardIterator"] and "ChildShards" not in part
    empty = read(kinesis, latest)
    assert data(empty) == [] and "NextShardIterator" not in empty and len(empty["ChildShards"]) == 2
    ending = shards(kinesis, name)[0]["SequenceNumberRange"]["EndingSequenceNumber"]
    assert parts(ending)[1] == (1 << 63) - 1
    after = read(kinesis, iterator(kinesis, name, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=ending))
    assert data(after) == [] and "NextShardIterator" not in after
    assert read(kinesis, iterator(kinesis, name, "LATEST"))["ChildShards"] == answer["ChildShards"]


def test_a_merged_shard_names_both_parents(kinesis, name):
    kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    a, b = (s["ShardId"] for s in shards(kinesis, name) if is_open(s))
    kinesis.merge_shards(StreamName=name, ShardToMerge=b, AdjacentShardToMerge=a)
    for one in (a, b):
        answer = read(kinesis, kinesis.get_shard_iterator(StreamName=name, ShardId=one,
                                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"])
        assert [c["ParentShards"] for c in answer["ChildShards"]] == [[b, a]]


def test_children_go_on_above_the_numbers_of_their_parent(kinesis, name):
    before = put(kinesis, name, b"1", b"2")
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-0", NewStartingHashKey=str(1 << 127))
    after = put(kinesis, name, b"3", b"4")
    ending = shards(kinesis, name)[0]["SequenceNumberRange"]["EndingSequenceNumber"]
    assert int(before[-1]) < int(ending) < int(after[0])
    found, ended = consume(kinesis, name)
    assert [r["Data"] for _, r in found] == [b"1", b"2", b"3", b"4"]
    assert ended == {0: [1, 2]}


class Writer(threading.Thread):
    """Puts numbered records under one key, each after the one before was acknowledged."""

    def __init__(self, server, name, key):
        super().__init__(daemon=True)
        self.client, self.name, self.key = server.client("kinesis"), name, key
        self.sent, self.acked, self.over, self.errors = 0, [], threading.Event(), []
        self.start()

    def run(self):
        while not self.over.is_set():
            first = self.sent
            batch = [{"PartitionKey": self.key, "Data": b"%s %d" % (self.key.encode(), n)}
                     for n in range(first, first + 3)]
            self.sent += 3
            try:
                answer = self.client.put_records(StreamName=self.name, Records=batch)
            except botocore.exceptions.ClientError as error:
                self.errors.append(error)
                continue
            except (botocore.exceptions.BotoCoreError, OSError):
                continue  # the server was killed: they may be there
            assert answer["FailedRecordCount"] == 0, answer
            self.acked += range(first, first + 3)

    def stop(self):
        self.over.set()
        self.join()


def check_order(found, writers):
    """Everything acknowledged is there once, and every key's records in the order they were put."""
    by_key = collections.defaultdict(list)
    for _, record in found:
        key, number = record["Data"].decode().rsplit(" ", 1)
        by_key[key].append(int(number))
    for w in writers:
        numbers = by_key[w.key]
        wrong = [pair for pair in zip(numbers, numbers[1:]) if pair[0] >= pair[1]]
        assert not wrong, f"{w.key}: {wrong}"
        assert set(w.acked) <= set(numbers) <= set(range(w.sent))


def reshard(kinesis, name, chance):
    opened = sorted((s for s in shards(kinesis, name) if is_open(s)), key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))
    at = chance.randrange(len(opened))
    low, high = (int(opened[at]["HashKeyRange"][k]) for k in ("StartingHashKey", "EndingHashKey"))
    what = chance.random()
    if what < 0.4 and len(opened) > 1:
        at = min(at, len(opened) - 2)
        kinesis.merge_shards(StreamName=name, ShardToMerge=opened[at]["ShardId"], AdjacentShardToMerge=opened[at + 1]["ShardId"])
    elif what < 0.8 and high - low > 1000:
        kinesis.split_shard(StreamName=name, ShardToSplit=opened[at]["ShardId"], NewStartingHashKey=str(chance.randrange(low + 10, high)))
    else:
        target = chance.randint((len(opened) + 1) // 2, min(2 * len(opened), 12))
        kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")


def test_order_by_key_is_kept_while_shards_are_split_and_merged(kinesis, server, name):
    print(f"KINEMA_SEED={SEED}")
    chance = random.Random(SEED)
    writers = [Writer(server, name, f"key{i}") for i in range(6)]
    for _ in range(20):
        reshard(kinesis, name, chance)
    kinema.wait_for(lambda: sum(len(w.acked) for w in writers) > 60, "hardly anything is acknowledged")
    for w in writers:
        w.stop()
    assert not [w.errors for w in writers if w.errors]
    found, ended = consume(kinesis, name)
    check_order(found, writers)
    assert len(ended) >= 10 and sum(len(w.acked) for w in writers) > 60


def test_kill_9_amid_puts_and_reshards_loses_nothing_acknowledged(make_server):
    print(f"KINEMA_SEED={SEED} KINEMA_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = make_server(args=("--shard-journal-bytes", 262144, "--shard-journal-count", 3))
    server.client("kinesis").create_stream(StreamName="s", ShardCount=2)
    writers = [Writer(server, "s", f"key{i}") for i in range(4)]
    for turn in range(1, ROUNDS + 1):
        kinema.wait_for(lambda: sum(len(w.acked) for w in writers) > 10 * turn, "hardly anything is acknowledged")
        killer = threading.Timer(chance.uniform(0.1, 0.6), server.kill9)
        killer.start()
        try:
            while killer.is_alive():
                reshard(server.client("kinesis"), "s", chance)
        except (botocore.exceptions.BotoCoreError, OSError):
            pass
        killer.join()
        server.start()
    for w in writers:
        w.stop()
    server.wait_log("ready ")
    kinesis = server.client("kinesis")
    closed = [int(s["ShardId"][-12:]) for s in shards(kinesis, "s") if not is_open(s)]
    found, ended = consume(kinesis, "s")
    deadline = time.monotonic() + 60
    while sorted(ended) != closed:  # closed by the thread that tends logs
        assert time.monotonic() < deadline, (ended, closed)
        time.sleep(0.05)
        found, ended = consume(kinesis, "s")
    check_order(found, writers)
    assert sum(len(w.acked) for w in writers) > 10 * ROUNDS, "hardly any acknowledged: no proof"


def test_a_deleted_stream_leaves_nothing(make_server):
    server = make_server(args=("--shard-journal-bytes", 65536, "--shard-journal-count", 2))
    kinesis = server.client("kinesis")
    for hard in (False, True):
        kinesis.create_stream(StreamName="s", ShardCount=3)
        for _ in range(20):
            kinesis.put_records(StreamName="s", Records=[{"PartitionKey": str(i), "Data": bytes(500)} for i in range(50)])
        kinesis.delete_stream(StreamName="s")
        if hard:
            server.restart(hard=True)
            kinesis = server.client("kinesis")
        assert fault(kinesis.put_record, StreamName="s", PartitionKey="a", Data=b"")[0] == "ResourceNotFoundException"
        kinesis.create_stream(StreamName="s", ShardCount=1)
        assert data(read(kinesis, iterator(kinesis, "s"))) == []
        assert parts(put(kinesis, "s", b"x")[0])[1] == 1
        kinesis.delete_stream(StreamName="s")
    folder = server.data / "shards"
    kinema.wait_for(lambda: not list(folder.glob("*/*.seg")), "segments are left")


def test_many_shards_are_split_in_one_call(kinesis):
    name = kinema.new_name("wide")
    kinesis.create_stream(StreamName=name, ShardCount=100)
    put(kinesis, name, b"before")
    kinesis.update_shard_count(StreamName=name, TargetShardCount=200, ScalingType="UNIFORM_SCALING")
    put(kinesis, name, b"after")
    found, ended = consume(kinesis, name)
    assert [r["Data"] for _, r in found] == [b"before", b"after"]
    assert len(ended) == 100 and sum(len(children) for children in ended.values()) == 200
