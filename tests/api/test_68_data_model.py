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


def test_a_stream_is_what_its_clients_were_told(make_server):
    print(f"KINEMA_SEED={SEED} KINEMA_ROUNDS={ROUNDS}")
    server, chance = make_server(), chance_of("main")
    link, stream = data_model.Link(server, chance_of("link")), kinema.new_name("model")
    link.call("CreateStream", {"StreamName": stream, "ShardCount": SHARDS})
    first = [shard["ShardId"] for shard in data_model.list_shards(link, stream)]
    writers = [data_model.Writer(server, stream, chance_of(f"writer {i}"), f"w{i}") for i in range(WRITERS)]
    resharder = data_model.Resharder(server, stream, chance_of("resharder"))
    consumers = [data_model.Consumer(server, stream, chance_of(f"consumer {i}"), first)
                 for i in range(CONSUMERS)]
    for client in (*writers, resharder, *consumers):
        client.start()
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.1, 1.2))
        server.kill9()
        server.start()
    for client in (*writers, resharder):
        client.stop()
    known, there = data_model.found(link, stream)
    acknowledged = data_model.check_writers(writers, known, there)
    data_model.check_places(link, stream, writers, 20)
    for consumer in consumers:
        consumer.at_tip.clear()
        wait_done(consumer)
        consumer.stop()
        check_consumer(consumer, known, there)
    print(f"{acknowledged} acknowledged, {len(there)} there, {len(known)} shards after "
          f"{resharder.changes} changes")
    assert acknowledged > 10 * ROUNDS and resharder.changes >= ROUNDS // 2, "hardly any: no proof"
    server.restart()
    assert data_model.found(link, stream) == (known, there)
    server.stop()
    assert "problems=0" in kinema.run("check", "--data", server.data).stdout
