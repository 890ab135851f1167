# SPDX-License-Identifier: Apache-2.0
"""ListStreams: order, prefixes, pages, tokens, and a thousand streams."""

import base64
import concurrent.futures

import pytest

from control import raises


@pytest.fixture(scope="module")
def many(request):
    """A server with 1,000 streams, made by 16 clients at once; their names in order."""
    import kinema
    with kinema.Server() as server:
        names = [f"{kind}-{i:03d}" for kind in ("cam", "door", "gate", "yard") for i in range(250)]
        kvs = server.kvs(max_pool_connections=16)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: kvs.create_stream(StreamName=name), names))
        yield server, sorted(names)


def names_of(page):
    return [info["StreamName"] for info in page["StreamInfoList"]]


def test_a_thousand_streams_are_listed_in_order_and_whole(many):
    server, names = many
    page = server.kvs().list_streams()
    assert names_of(page) == names
    assert "NextToken" not in page


@pytest.mark.parametrize("size", [1, 7, 250, 999, 1000, 10000])
def test_pages_of_any_size_join_to_the_whole(many, size):
    server, names = many
    wanted = [name for name in names if name.startswith("door-")] if size == 1 else names
    condition = {"StreamNameCondition": {"ComparisonOperator": "BEGINS_WITH",
                                         "ComparisonValue": "door-"}} if size == 1 else {}
    pages = list(server.kvs().get_paginator("list_streams").paginate(
        PaginationConfig={"PageSize": size}, **condition))
    assert [name for page in pages for name in names_of(page)] == wanted
    assert all(len(names_of(page)) <= size for page in pages)
    assert len(pages) == -(-len(wanted) // size)


@pytest.mark.parametrize("prefix,count", [("cam-", 250), ("cam-00", 10), ("cam-001", 1),
                                          ("cam-0010", 0), ("zoo", 0), ("d", 250)])
def test_a_prefix_selects(many, prefix, count):
    server, names = many
    got = names_of(server.kvs().list_streams(
        StreamNameCondition={"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": prefix}))
    assert got == [name for name in names if name.startswith(prefix)]
    assert len(got) == count


def test_a_page_goes_on_after_its_last_name_whatever_came_or_went(many):
    server, names = many
    kvs = server.kvs()
    page = kvs.list_streams(MaxResults=3)
    kvs.delete_stream(StreamARN=page["StreamInfoList"][2]["StreamARN"])
    made = kvs.create_stream(StreamName="cam-002a")["StreamARN"]
    after = kvs.list_streams(MaxResults=2, NextToken=page["NextToken"])
    assert names_of(after) == ["cam-002a", "cam-003"]
    kvs.delete_stream(StreamARN=made)
    from control import wait_deleted
    wait_deleted(kvs, "cam-002")
    wait_deleted(kvs, "cam-002a")
    kvs.create_stream(StreamName="cam-002")


def test_tokens_fit_the_oldest_model_and_made_up_ones_are_refused(many):
    server, _ = many
    kvs = server.kvs()
    token = kvs.list_streams(MaxResults=1)["NextToken"]
    assert 0 < len(token) <= 512
    flipped = bytearray(base64.b64decode(token))
    flipped[1] ^= 1
    bad = ["AAAA", "a", token[:-4], token + "AAAA", base64.b64encode(bytes(flipped)).decode(),
           base64.b64encode(b"S").decode(), "=" * 8, "A" * 512]
    for text in bad:
        with raises("InvalidArgumentException", 400):
            kvs.list_streams(NextToken=text)


def test_the_longest_name_makes_a_token_that_fits(make_server):
    server = make_server()
    kvs = server.kvs()
    for name in ("x" * 256, "x" * 255 + "y"):
        kvs.create_stream(StreamName=name)
    page = kvs.list_streams(MaxResults=1)
    assert len(page["NextToken"]) <= 512
    rest = kvs.list_streams(MaxResults=1, NextToken=page["NextToken"])
    assert names_of(rest) == ["x" * 255 + "y"]
    assert "NextToken" not in rest


def test_an_empty_account_lists_nothing(make_server):
    assert make_server().kvs().list_streams()["StreamInfoList"] == []
