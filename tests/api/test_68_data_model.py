# SPDX-License-Identifier: Apache-2.0
"""Random puts, splits, merges and kill -9 against a model of what a data stream is (data_model.py).

KINEMA_SEED repeats what the clients do; the moments of the kernel's choice differ. KINEMA_ROUNDS says
how many kills (4; KINEMA_LONG: 60)."""

import os
import random
import time

import data_model
import kinema

SEED = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("KINEMA_ROUNDS") or (60 if os.environ.get("KINEMA_LONG") else 4))
WRITERS, CONSUMERS, SHARDS = 3, 2, 2


def chance_of(name):
    return random.Random(f"{SEED} {name}")


def wait_done(consumer):
    """Until it has read all there is."""
    deadline = time.monotonic() + data_model.PATIENCE_S
    while not consumer.done():
        assert consumer.error is None and time.monotonic() < deadline, consumer.error or "it never gets there"
        time.sleep(0.02)


def check_consumer(consumer, known, there):
    """It met every shard and every record by following ChildShards alone, each once."""
    read = {}
    for shard, records in consumer.records.items():
        for record in records:
            data = data_model.data_of(record)
            assert data not in read, f"{data[:40]!r} was read twice"
            read[data] = (shard, int(record["SequenceNumber"]))
    assert set(consumer.known) == set(known)
    assert read == there


class Life:
    """A server, and clients of each kind on a stream of its own."""

    def __init__(self, server):
        self.server, self.stream = server, kinema.new_name("model")
        self.link = data_model.Link(server, chance_of("link"))
        self.link.call("CreateStream", {"StreamName": self.stream, "ShardCount": SHARDS})
        first = [shard["ShardId"] for shard in data_model.list_shards(self.link, self.stream)]
        self.writers = [data_model.Writer(server, self.stream, chance_of(f"writer {i}"), f"w{i}")
                        for i in range(WRITERS)]
        self.resharder = data_model.Resharder(server, self.stream, chance_of("resharder"))
        self.consumers = [data_model.Consumer(server, self.stream, chance_of(f"consumer {i}"), first)
                          for i in range(CONSUMERS)]
        for client in (*self.writers, self.resharder, *self.consumers):
            client.start()

    def wait_worked(self, acknowledged, changes):
        """Until so much has been done: a slow machine shall prove as much as another."""
        kinema.wait_for(lambda: any(client.error for client in (*self.writers, self.resharder)) or (
            self.resharder.changes >= changes and
            sum(one.shard is not None for writer in self.writers for one in list(writer.sent)) >= acknowledged),
            "hardly anything is done", data_model.PATIENCE_S)

    def end(self):
        """Checks everything; how the shards are, what is there, and how many were acknowledged."""
        for client in (*self.writers, self.resharder):
            client.stop()
        known, there = data_model.found(self.link, self.stream)
        acknowledged = data_model.check_writers(self.writers, known, there)
        data_model.check_places(self.link, self.stream, self.writers, 20)
        for consumer in self.consumers:
            consumer.at_tip.clear()
            wait_done(consumer)
            consumer.stop()
            check_consumer(consumer, known, there)
        print(f"{acknowledged} acknowledged, {len(there)} there, {len(known)} shards after "
              f"{self.resharder.changes} changes")
        return known, there, acknowledged


def test_a_stream_is_what_its_clients_were_told(make_server):
    print(f"KINEMA_SEED={SEED} KINEMA_ROUNDS={ROUNDS}")
    server, chance = make_server(), chance_of("main")
    life = Life(server)
    for turn in range(1, ROUNDS + 1):
        time.sleep(chance.uniform(0.1, 1.2))
        life.wait_worked(10 * turn, turn // 2)
        server.kill9()
        server.start()
    known, there, acknowledged = life.end()
    assert acknowledged >= 10 * ROUNDS and life.resharder.changes >= ROUNDS // 2, "hardly any: no proof"
    server.restart()
    assert data_model.found(life.link, life.stream) == (known, there)
    server.stop()
    assert "problems=0" in kinema.run("check", "--data", server.data).stdout


def test_concurrent_clients_of_a_server_that_lives(make_server):
    """The same without a kill, which would end the server before a sanitizer can speak."""
    print(f"KINEMA_SEED={SEED}")
    server = make_server()
    life = Life(server)
    life.wait_worked(101, 8)
    assert life.end()[2] > 100
    server.stop()
