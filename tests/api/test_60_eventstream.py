# SPDX-License-Identifier: Apache-2.0
"""Event-stream messages of ours, read by botocore's own parser."""

import pathlib
import subprocess

import botocore.eventstream
import pytest

import kinema

SAMPLE = pathlib.Path(kinema.BINARY).parent / "eventstream_sample"
PAYLOADS = ['{"Records":[]}', "{}", '{"ContinuationSequenceNumber":"ü"}', "x" * 10000]


@pytest.fixture(scope="module")
def written():
    return subprocess.run([SAMPLE, "SubscribeToShardEvent", *PAYLOADS], check=True, timeout=60,
                          capture_output=True).stdout


def read(pieces):
    buffer = botocore.eventstream.EventStreamBuffer()
    found = []
    for piece in pieces:
        buffer.add_data(piece)
        found += list(buffer)
    return found


def check(messages):
    assert [message.headers[":message-type"] for message in messages] == (
        ["event"] * (len(PAYLOADS) + 1) + ["exception"])
    assert messages[0].headers[":event-type"] == "initial-response"
    assert messages[0].payload == b"{}"
    assert [message.payload.decode() for message in messages[1:-1]] == PAYLOADS
    assert {message.headers[":event-type"] for message in messages[1:-1]} == {"SubscribeToShardEvent"}
    assert messages[-1].headers[":exception-type"] == "ResourceInUseException"
    assert {message.headers[":content-type"] for message in messages} == {"application/x-amz-json-1.1"}


def test_botocore_reads_every_message_with_its_checksums(written):
    check(read([written]))


def test_messages_may_arrive_in_any_pieces(written):
    check(read(written[at:at + 7] for at in range(0, len(written), 7)))


def test_botocore_notices_a_changed_byte(written):
    changed = bytearray(written)
    changed[40] ^= 1
    with pytest.raises(botocore.eventstream.ParserError):
        read([bytes(changed)])
