# SPDX-License-Identifier: Apache-2.0
"""Producers of records that do not give up, and the proof that nothing acknowledged was lost.

A putter sends batches to its data stream; what was not acknowledged it sends again. It remembers what
it sent how often, and under which number each record was acknowledged."""

import random
import threading

import botocore.exceptions

RECORDS = (1, 12)      # of a batch
BYTES = (10, 6000)     # of a record
LARGE = 120_000        # of one in twenty
FAILURES = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


def data_of(stream, name, size):
    """Bytes that can belong to this record only."""
    return f"{name:08d}".encode() + random.Random(f"{stream}/{name}").randbytes(size)


class Putter(threading.Thread):
    def __init__(self, server, stream, seed=0, every_s=0.01):
        super().__init__(daemon=True)
        self.server, self.stream, self.every_s = server, stream, every_s
        self.random = random.Random(f"{seed}/{stream}")
        self.sizes = {}      # name: bytes
        self.tries = {}      # name: how often it was sent
        self.acked = {}      # name: (shard, sequence number)
        self.refused = {}    # code of a refusal: how often
        self.problem = None
        self.halt = threading.Event()

    def new_record(self):
        name = len(self.sizes)
        self.sizes[name] = LARGE if self.random.random() < 0.05 else self.random.randrange(*BYTES)
        return name

    def send(self, client, names):
        """One PutRecords; the names that are to be sent again."""
        for name in names:
            self.tries[name] = self.tries.get(name, 0) + 1
        try:
            answer = client.put_records(StreamName=self.stream, Records=[
                {"PartitionKey": f"key-{name % 31}", "Data": data_of(self.stream, name, self.sizes[name])}
                for name in names])
        except FAILURES as problem:
            response = getattr(problem, "response", None)
            kind = response["Error"]["Code"] if response else "no answer"
            self.refused[kind] = self.refused.get(kind, 0) + 1
            self.halt.wait(0.02)
            return names
        again = []
        assert len(answer["Records"]) == len(names)
        for name, said in zip(names, answer["Records"]):
            if "SequenceNumber" in said:
                self.acked[name] = (said["ShardId"], int(said["SequenceNumber"]))
            else:
                self.refused[said["ErrorCode"]] = self.refused.get(said["ErrorCode"], 0) + 1
                again.append(name)
        return again

    def run(self):
        try:
            client, again = self.server.client("kinesis"), []
            while not self.halt.is_set() or again:
                names = again or [self.new_record() for _ in range(self.random.randrange(*RECORDS))]
                again = self.send(client, names)
                self.halt.wait(self.every_s)
        except BaseException as problem:  # told by who waits
            self.problem = problem

    def wait_acked(self, count, timeout=60):
        """Until so many more are acknowledged than now."""
        goal, waited = len(self.acked) + count, threading.Event()
        for _ in range(int(timeout / 0.01)):
            assert self.problem is None, self.problem
            if len(self.acked) >= goal:
                return
            waited.wait(0.01)
        raise AssertionError(f"{self.stream}: {len(self.acked)} of {goal} acknowledged; {self.refused}")


def start(server, count, shards=2, **options):
    """So many putters on new streams, running."""
    crew = []
    for i in range(count):
        stream = f"data-{random.SystemRandom().randrange(1 << 48):012x}"
        server.client("kinesis").create_stream(StreamName=stream, ShardCount=shards)
        crew.append(Putter(server, stream, **options))
    for one in crew:
        one.start()
    return crew


def stop(crew, timeout=60):
    """What is under way is still acknowledged."""
    for one in crew:
        one.halt.set()
    for one in crew:
        one.join(timeout)
        assert not one.is_alive(), f"the putter of {one.stream} hangs"
        assert one.problem is None, one.problem


# --- the proof ------------------------------------------------------------------------------------
def found_in(server, stream):
    """{shard: [(number, name, data)]} of all there is, as consumers get it."""
    client, found = server.client("kinesis"), {}
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        records = found.setdefault(shard["ShardId"], [])
        at = client.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"],
                                       ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while at:
            page = client.get_records(ShardIterator=at)
            records += [(int(r["SequenceNumber"]), int(r["Data"][:8]), r["Data"]) for r in page["Records"]]
            at = page.get("NextShardIterator")
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
    return found


def check(server, crew):
    """acknowledged ⊆ found ⊆ sent: under the numbers acknowledged, as sent, in order, and nothing more
    often than it was sent. Putters may be at work. Returns how much it rests on."""
    for one in crew:
        acked = dict(one.acked)
        found = found_in(server, one.stream)
        there, often = {}, {}
        for shard, records in found.items():
            numbers = [number for number, _, _ in records]
            assert numbers == sorted(set(numbers)), f"{one.stream} {shard}: numbers do not grow"
            for number, name, data in records:
                assert name in one.sizes, f"{one.stream}: record {name} was never sent"
                assert data == data_of(one.stream, name, one.sizes[name]), f"{one.stream}: {name} is not as sent"
                there[(shard, number)] = name
                often[name] = often.get(name, 0) + 1
        lost = [name for name, place in acked.items() if there.get(place) != name]
        assert not lost, f"{one.stream}: {len(lost)} of {len(acked)} lost, such as {lost[:5]}"
        twice = [name for name, times in often.items() if times > one.tries[name]]
        assert not twice, f"{one.stream}: there more often than sent: {twice[:5]}"
    return sum(len(one.acked) for one in crew)
