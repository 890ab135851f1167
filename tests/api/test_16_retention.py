# SPDX-License-Identifier: Apache-2.0
"""Legal holds, the byte limit and what they do to what is stored, with signed requests."""

import re
import time
import urllib.request

import pytest

import kinema
import media
import mkv
from control import post, raises

SMALL = ["--chunk-bytes-max", "4096", "--retention-interval-ms", "100"]  # a chunk a fragment


def ask(server, operation, stream, key=None, expect=200, **fields):
    route = "/kinema/v1/" + operation[0].lower() + operation[1:]
    status, fault, answer = post(server, route, {"StreamName": stream, **fields}, key=key)
    assert status == expect, (status, fault, answer)
    return answer if expect == 200 else (fault, answer["Message"])


def numbers(server, stream):
    client = server.archived(stream)
    everything = {"FragmentSelectorType": "SERVER_TIMESTAMP",
                  "TimestampRange": {"StartTimestamp": media.at(1000),
                                     "EndTimestamp": media.at((time.time() + 3600) * 1000)}}
    found = client.list_fragments(StreamName=stream, FragmentSelector=everything)["Fragments"]
    return {f["FragmentNumber"]: f["ServerTimestamp"].timestamp() for f in found}


def deleted_bytes(server, rule):
    text = urllib.request.urlopen(server.console + "/metrics", timeout=30).read().decode()
    found = re.search(rf'kinema_retention_deleted_bytes_total{{rule="{rule}"}} (\S+)', text)
    return float(found.group(1)) if found else 0


@pytest.fixture
def recorded(make_server):
    """(server, stream, capture, {number: server time}) with a chunk a fragment, all sealed."""
    server = make_server(args=SMALL)
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_rel.mkv")
    stream = server.create_stream()
    media.upload(server, stream, capture, "RELATIVE", start=1700000000.0)
    return server, stream, capture, numbers(server, stream)


def test_a_hold_keeps_its_range_until_it_is_lifted(recorded):
    server, stream, capture, before = recorded
    first, first_at = next(iter(before.items()))
    hold = ask(server, "PutHold", stream, HoldName="case-7", StartTimestamp=first_at,
               EndTimestamp=first_at, Reason="Überfall, Akte 7")["Hold"]
    assert hold["CreatedBy"] == server.key.id and hold["Reason"] == "Überfall, Akte 7"
    assert ask(server, "ListHolds", stream) == {"Holds": [hold]}

    ask(server, "UpdateRetentionLimit", stream, MaxBytes=1)
    kinema.wait_for(lambda: len(numbers(server, stream)) <= 2)  # the held one, and that of the open chunk
    assert first in numbers(server, stream)
    kinema.wait_for(lambda: deleted_bytes(server, "bytes") > 0)
    with raises("ResourceInUseException", match="legal hold"):
        server.kvs().delete_stream(StreamARN=server.kvs().describe_stream(
            StreamName=stream)["StreamInfo"]["StreamARN"])

    server.restart(hard=True)
    assert ask(server, "ListHolds", stream) == {"Holds": [hold]}
    assert first in numbers(server, stream)
    body = server.archived(stream, "GET_MEDIA_FOR_FRAGMENT_LIST").get_media_for_fragment_list(
        StreamName=stream, Fragments=[first])["Payload"].read()
    document = mkv.documents(body)[0]
    media.assert_same_media(document, capture.fragments[0], capture)
    about = ask(server, "DescribeRetention", stream)
    assert about["HoldCount"] == 1 and about["MaxBytes"] == 1
    assert about["OldestFragmentTimestamp"] == pytest.approx(first_at)

    ask(server, "DeleteHold", stream, HoldName="case-7")
    kinema.wait_for(lambda: first not in numbers(server, stream))
    kinema.wait_for(lambda: deleted_bytes(server, "lifted") > 0)
    kinema.wait_for(lambda: ask(server, "DescribeRetention", stream)["KeptBytes"] == 0)
    server.kvs().delete_stream(StreamARN=server.kvs().describe_stream(
        StreamName=stream)["StreamInfo"]["StreamARN"])
    server.stop()
    assert "problems=0" in kinema.run("check", "--data", server.data).stdout


def test_what_a_hold_may_not_be(server, stream):
    now = time.time()
    fields = {"HoldName": "a", "StartTimestamp": now}
    ask(server, "PutHold", stream, **fields)
    assert "EndTimestamp" not in ask(server, "ListHolds", stream)["Holds"][0]
    assert ask(server, "PutHold", stream, expect=400, **fields)[0] == "ResourceInUseException"
    assert ask(server, "PutHold", stream, expect=400, HoldName="b", StartTimestamp=now,
               EndTimestamp=now - 1)[0] == "InvalidArgumentException"
    assert ask(server, "PutHold", "no-such-stream", expect=404,
               **fields)[0] == "ResourceNotFoundException"
    assert ask(server, "DeleteHold", stream, expect=404,
               HoldName="b")[0] == "ResourceNotFoundException"
    memory = server.create_stream(hours=0)
    assert ask(server, "PutHold", memory, expect=400, **fields)[0] == "InvalidArgumentException"
    ask(server, "DeleteHold", stream, HoldName="a")
    assert ask(server, "ListHolds", stream) == {"Holds": []}


def test_a_key_for_amazons_operations_may_not_touch_holds_or_limits(server, stream):
    key = server.create_key("--allow", "kinesisvideo:*")
    for operation, fields in (("PutHold", {"HoldName": "a", "StartTimestamp": 1}),
                              ("DeleteHold", {"HoldName": "a"}), ("ListHolds", {}),
                              ("UpdateRetentionLimit", {"MaxBytes": 1})):
        assert ask(server, operation, stream, key=key, expect=403,
                   **fields)[0] == "AccessDeniedException"
    kvs = server.kvs(key=key)
    tag = "kinema:retention-bytes"
    with raises("InvalidArgumentException", match="kinema:"):
        kvs.tag_stream(StreamName=stream, Tags={tag: "1"})
    with raises("InvalidArgumentException", match="kinema:"):
        kvs.create_stream(StreamName=kinema.new_name(), Tags={tag: "1"})
    ask(server, "UpdateRetentionLimit", stream, MaxBytes=10**12)
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"] == {tag: str(10**12)}
    with raises("InvalidArgumentException", match="kinema:"):
        kvs.untag_stream(StreamName=stream, TagKeyList=[tag])
    ask(server, "UpdateRetentionLimit", stream, MaxBytes=0)
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"] == {}
