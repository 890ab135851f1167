# SPDX-License-Identifier: Apache-2.0
"""The SDK's aggregated records and those of aws-kinesis-agg (npm): each takes apart what the other has
made, and what it has made itself."""

import os
import pathlib
import random
import subprocess

import pytest

import js
import kinema

TOOL = os.environ.get("KINEMA_AGGREGATE_TOOL",
                      pathlib.Path(kinema.BINARY).resolve().parent / "aggregate_tool")


def lines_of(records):
    return "".join(" ".join(part.hex() or "-" for part in record) + "\n" for record in records)


def records_of(text):
    return [tuple(b"" if word == "-" else bytes.fromhex(word) for word in line.split())
            for line in text.splitlines() if line]


def run(command, what, records):
    done = subprocess.run([*command, what], input=lines_of(records), capture_output=True, text=True,
                          timeout=60, cwd=js.FOLDER)
    assert done.returncode == 0, done.stderr
    return records_of(done.stdout)


def ours(what, records):
    return run([TOOL], what, records)


def theirs(what, records):
    js.install()
    return run(["node", "aggregate.mjs"], what, records)


@pytest.fixture(scope="module")
def users():
    """(partition key, explicit hash key, data): few keys and many, text and bytes, empty and large ones."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    out = []
    for i in range(3000):
        key = chance.choice(["door", f"sensor-{chance.randrange(50)}", f"ключ-{i}"])
        hash_key = str(chance.randrange(1 << 128)) if chance.random() < 0.2 else ""
        size = chance.choice([1, 10, 100, 2500, 40_000 if i % 50 == 0 else 5])
        out.append((key.encode(), hash_key.encode(), chance.randbytes(size)))
    return out


def test_what_we_make_others_take_apart(users):
    made = ours("make", users)
    assert len(made) > 1 and all(len(data) + len(key) <= 1 << 20 for key, _, data in made)
    assert made[0][0] == users[0][0]
    got = theirs("apart", made)
    # aws-kinesis-agg 4.2.8 gives a record without a hash key the first one of the table, in its own records too.
    assert [(k, h if u[1] else b"", d) for (k, h, d), u in zip(got, users)] == users
    assert len(got) == len(users)


def test_what_others_make_we_take_apart(users):
    made = theirs("make", users)
    assert 1 < len(made) < 10
    assert ours("apart", made) == users


def test_what_is_not_aggregated_both_leave_as_it_is():
    plain = [(b"key", b"", data) for data in (b"x", b"\xf3\x89\x9a\xc2" + bytes(20), b"{}" * 40)]
    assert ours("apart", plain) == plain
    assert theirs("apart", plain[:1] + plain[2:]) == plain[:1] + plain[2:]
