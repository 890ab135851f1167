# SPDX-License-Identifier: Apache-2.0
"""What a data stream must be, as a small model beside a running server: writers, a resharder and consumers
work at once while the server is killed, and everything they were told is compared with what is found.

    writers      put single records and batches, never again: a record is acknowledged (in its shard, under
                 its number), or its answer never came and it may be there once or not at all
    resharder    splits, merges and scales
    consumers    know nothing but their stream's first shards and follow ChildShards
    found()      reads everything through ListShards and checks the stream as a whole
"""

import base64
import hashlib
import http.client
import threading
import time

import aws_json
import botocore.credentials

HASH_MAX = (1 << 128) - 1
GONE = (http.client.HTTPException, ConnectionError, TimeoutError)
PATIENCE_S = 60
EMPTY_MAX = 200  # pages without a record, one after the other


def hash_of(key, explicit):
    return int(explicit) if explicit is not None else int.from_bytes(
        hashlib.md5(key.encode()).digest(), "big")


class Refused(Exception):
    def __init__(self, operation, answer):
        super().__init__(f"{operation}: {answer}")
        self.name = (answer or {}).get("__type", "")


class Link:
    """One client's connection, which outlives the server. JSON or CBOR, by chance."""

    def __init__(self, server, chance):
        self.server, self.chance = server, chance
        self.key = botocore.credentials.Credentials(server.key.id, server.key.secret)
        self.caller = None

    def call(self, operation, fields):
        """The answer; raises one of GONE when there may never be one, or Refused."""
        self.caller = self.caller or aws_json.Caller(self.server.api, self.key)
        cbor = self.chance.random() < 0.3
        try:
            status, _, answer = self.caller.call(
                f"Kinesis_20131202.{operation}", fields if cbor else as_json(fields),
                aws_json.CBOR if cbor else aws_json.JSON)
        except GONE:
            self.caller.connection.close()
            self.caller = None
            raise
        if status != 200:
            raise Refused(operation, answer)
        return answer or {}

    def ask(self, operation, fields, stopping=None):
        """What changes nothing is asked until it is answered."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.call(operation, fields)
            except GONE:
                if (stopping and stopping.is_set()) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def as_json(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: as_json(one) for name, one in value.items()}
    return [as_json(one) for one in value] if isinstance(value, list) else value


def data_of(record):
    """Of an answer in either form."""
    return record["Data"] if isinstance(record["Data"], bytes) else base64.b64decode(record["Data"])


class Sent:
    """A record as its writer knows it: number n of this writer; put p of its puts."""

    def __init__(self, writer, n, put, data, hash_key):
        self.writer, self.n, self.put, self.data, self.hash_key = writer, n, put, data, hash_key
        self.shard, self.sequence = None, None  # when it was acknowledged


class Client(threading.Thread):
    """Works until it is told to stop; what it raises is its error."""

    def __init__(self, server, stream, chance):
        super().__init__(daemon=True)
        self.link, self.stream, self.chance = Link(server, chance), stream, chance
        self.stopping, self.error = threading.Event(), None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.turn()
        except GONE as e:
            self.error = None if self.stopping.is_set() else e
        except Exception as e:  # told by the test
            self.error = e

    def stop(self):
        self.stopping.set()
        self.join(PATIENCE_S)
        assert not self.is_alive(), f"{type(self).__name__} hangs"
        if self.error:
            raise self.error


class Writer(Client):
    def __init__(self, server, stream, chance, name):
        super().__init__(server, stream, chance)
        self.writer_name, self.sent, self.puts = name, [], 0

    def record(self):
        n, chance = len(self.sent), self.chance
        size = chance.choice((0, 10, 200, 1000, 5000)) if chance.random() < 0.99 else 200000
        data = f"{self.writer_name}/{n}/".encode() + chance.randbytes(chance.randint(0, size))
        key = f"key-{chance.randrange(1000)}"
        explicit = str(chance.randint(0, HASH_MAX)) if chance.random() < 0.3 else None
        self.sent.append(Sent(self.writer_name, n, self.puts, data, hash_of(key, explicit)))
        fields = {"Data": data, "PartitionKey": key}
        if explicit is not None:
            fields["ExplicitHashKey"] = explicit
        return fields

    def turn(self):
        first = len(self.sent)
        self.puts += 1
        batch = self.chance.random() < 0.5
        records = [self.record() for _ in range(self.chance.randint(1, 30) if batch else 1)]
        try:
            if batch:
                answer = self.link.call("PutRecords", {"StreamName": self.stream, "Records": records})
                assert answer["FailedRecordCount"] == 0, answer
                results = answer["Records"]
            else:
                results = [self.link.call("PutRecord", {"StreamName": self.stream, **records[0]})]
        except GONE:
            return time.sleep(0.01)
        assert len(results) == len(records)
        for sent, result in zip(self.sent[first:], results):
            sent.sequence = int(result["SequenceNumber"])
            sent.shard = result["ShardId"]
        self.stopping.wait(self.chance.uniform(0, 0.02))


class Resharder(Client):
    """Keeps between two and eight shards open."""

    changes = 0

    def turn(self):
        self.stopping.wait(self.chance.uniform(0.02, 0.3))
        shards = list_shards(self.link, self.stream, self.stopping)
        some = sorted((s for s in shards if is_open(s)), key=lambda s: range_of(s)[0])
        i = self.chance.randrange(len(some))
        how = "split" if len(some) <= 2 else "merge" if len(some) >= 8 else self.chance.choice(
            ("split", "merge", "scale"))
        try:
            if how == "split":
                low, high = range_of(some[i])
                self.link.call("SplitShard", {
                    "StreamName": self.stream, "ShardToSplit": some[i]["ShardId"],
                    "NewStartingHashKey": str(self.chance.randint(low + 2, high - 1))})
            elif how == "merge":
                i = min(i, len(some) - 2)
                pair = [some[i]["ShardId"], some[i + 1]["ShardId"]]
                self.chance.shuffle(pair)
                self.link.call("MergeShards", {"StreamName": self.stream, "ShardToMerge": pair[0],
                                               "AdjacentShardToMerge": pair[1]})
            else:
                self.link.call("UpdateShardCount", {
                    "StreamName": self.stream, "ScalingType": "UNIFORM_SCALING",
                    "TargetShardCount": self.chance.randint((len(some) + 1) // 2, min(8, 2 * len(some)))})
            self.changes += 1
        except GONE:
            pass  # done or not: ListShards will tell


class Consumer(Client):
    """Reads shards to their ends and then their children, from where it was after each kill."""

    def __init__(self, server, stream, chance, first):
        super().__init__(server, stream, chance)
        self.known = {shard: None for shard in first}  # the iterator; None: needs one
        self.last, self.ended, self.records = {}, set(), {shard: [] for shard in first}
        self.at_tip = set()

    def iterator(self, shard):
        fields = {"StreamName": self.stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        if shard in self.last:
            fields.update(ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                          StartingSequenceNumber=str(self.last[shard]))
        return self.link.ask("GetShardIterator", fields, self.stopping)["ShardIterator"]

    def turn(self):
        for shard in [s for s in self.known if s not in self.ended]:
            self.known[shard] = self.known[shard] or self.iterator(shard)
            try:
                page = self.link.call("GetRecords", {"ShardIterator": self.known[shard],
                                                     "Limit": self.chance.choice((1, 7, 100, 10000))})
            except GONE:
                self.known[shard] = None
                return time.sleep(0.02)
            self.take(shard, page)
        if self.done():
            time.sleep(0.01)

    def take(self, shard, page):
        for record in page["Records"]:
            assert int(record["SequenceNumber"]) > self.last.get(shard, -1), f"out of order in {shard}"
            self.last[shard] = int(record["SequenceNumber"])
            self.records[shard].append(record)
        self.known[shard] = page.get("NextShardIterator")
        (self.at_tip.discard if page["Records"] or page["MillisBehindLatest"] else self.at_tip.add)(shard)
        if self.known[shard] is None:
            assert page["ChildShards"], f"{shard} ends without children"
            self.ended.add(shard)
            for child in page["ChildShards"]:
                assert shard in child["ParentShards"], child
                self.known.setdefault(child["ShardId"], None)
                self.records.setdefault(child["ShardId"], [])

    def done(self):
        """Has it, with the writers at rest, read all there is that it knows of?"""
        return all(s in self.ended or s in self.at_tip for s in self.known)


# --- the stream as a whole -------------------------------------------------------------------------
def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


def range_of(shard):
    return (int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]))


def list_shards(link, stream, stopping=None):
    found, fields = [], {"StreamName": stream, "MaxResults": link.chance.choice((2, 1000))}
    while True:
        page = link.ask("ListShards", fields, stopping)
        found += page["Shards"]
        if "NextToken" not in page:
            return found
        fields = {"NextToken": page["NextToken"]}


def check_shards(shards):
    """Open shards own each hash key once; so do children what their parents owned, with later numbers."""
    opened = sorted(range_of(s) for s in shards if is_open(s))
    assert opened[0][0] == 0 and opened[-1][1] == HASH_MAX, opened
    assert all(one[1] + 1 == other[0] for one, other in zip(opened, opened[1:])), opened
    known = {s["ShardId"]: s for s in shards}
    children = {}
    for shard in shards:
        for parent in parents_of(shard):
            children.setdefault(parent, []).append(shard)
            assert int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) > \
                int(known[parent]["SequenceNumberRange"]["EndingSequenceNumber"])
    for shard in shards:
        if is_open(shard):
            assert shard["ShardId"] not in children
            continue
        mine, (low, high) = children[shard["ShardId"]], range_of(shard)
        covered = sum(min(high, range_of(c)[1]) - max(low, range_of(c)[0]) + 1 for c in mine)
        assert covered == high - low + 1, (shard, mine)
    return known


def parents_of(shard):
    return [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]


def read_shard(link, stream, shard):
    """(records, children) of one shard from its oldest record; children: None while it is open."""
    found, name, empty = [], shard["ShardId"], 0
    at = link.ask("GetShardIterator", {"StreamName": stream, "ShardId": name,
                                       "ShardIteratorType": "TRIM_HORIZON"})["ShardIterator"]
    while True:
        page = link.ask("GetRecords", {"ShardIterator": at,
                                       "Limit": link.chance.choice((50, 1000, 10000))})
        found += page["Records"]
        at = page.get("NextShardIterator")
        if at is None:
            return found, page["ChildShards"]
        empty = 0 if page["Records"] else empty + 1
        if empty and page["MillisBehindLatest"] == 0 and is_open(shard):
            return found, None
        assert empty < EMPTY_MAX, f"{name} has no end: {shard}, {page}"


def check_numbers(shard, records):
    """Numbers of a shard grow, within what the shard says of itself."""
    numbers = [int(r["SequenceNumber"]) for r in records]
    assert all(a < b for a, b in zip(numbers, numbers[1:])), f"{shard['ShardId']} is out of order"
    bounds = shard["SequenceNumberRange"]
    assert not numbers or (numbers[0] >= int(bounds["StartingSequenceNumber"]) and (
        is_open(shard) or numbers[-1] <= int(bounds["EndingSequenceNumber"])))


def found(link, stream):
    """{data: (shard, number)} of all records, and how the shards are; the stream is checked."""
    known, out = check_shards(list_shards(link, stream)), {}
    for name, shard in known.items():
        records, children = read_shard(link, stream, shard)
        check_numbers(shard, records)
        assert (children is None) == is_open(shard)
        if children is not None:
            assert {c["ShardId"] for c in children} == {
                s["ShardId"] for s in known.values() if name in parents_of(s)}
        for record in records:
            data = data_of(record)
            assert data not in out, f"{data[:40]!r} is there twice"
            out[data] = (name, int(record["SequenceNumber"]))
    return known, out


def check_writers(writers, known, there):
    """Acknowledged ⊆ found ⊆ sent; where it belongs; a writer's records in its order. How many there
    are that were acknowledged."""
    sent = {one.data: one for writer in writers for one in list(writer.sent)}
    strange = [data[:40] for data in there if data not in sent]
    assert not strange, f"never sent: {strange[:5]}"
    acknowledged = 0
    for writer in writers:
        last = {}
        for one in list(writer.sent):
            place = there.get(one.data)
            if one.shard is not None:
                acknowledged += 1
                assert place == (one.shard, one.sequence), \
                    f"{one.writer}/{one.n} was acknowledged as {one.shard, one.sequence}: {place}"
            if place is None:
                continue
            low, high = range_of(known[place[0]])
            assert low <= one.hash_key <= high, f"{one.writer}/{one.n} is in the wrong shard"
            assert place[1] > last.get(place[0], -1), f"{one.writer}/{one.n} overtook one before it"
            last[place[0]] = place[1]
    return acknowledged


def check_places(link, stream, writers, times):
    """Iterators that begin at records find them, and what follows them."""
    some = [one for writer in writers for one in writer.sent if one.shard is not None]
    for one in link.chance.sample(some, min(times, len(some))):
        def first(kind, one=one, **more):
            at = link.ask("GetShardIterator", {"StreamName": stream, "ShardId": one.shard,
                                               "ShardIteratorType": kind, **more})["ShardIterator"]
            return link.ask("GetRecords", {"ShardIterator": at, "Limit": 3})["Records"]

        number = {"StartingSequenceNumber": str(one.sequence)}
        at, after = first("AT_SEQUENCE_NUMBER", **number), first("AFTER_SEQUENCE_NUMBER", **number)
        assert data_of(at[0]) == one.data
        for a, b in zip(at[1:], after):  # either page may be a short one
            assert a["SequenceNumber"] == b["SequenceNumber"]
