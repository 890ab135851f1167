# SPDX-License-Identifier: Apache-2.0
"""ListShards by boto3: pages, filters by place and time, and what cannot stand together."""

import datetime
import time

import botocore.exceptions
import pytest

import kinema
from data_fixtures import kinesis, server  # noqa: F401
from test_64_data_streams import fault, is_open, ranges
from test_65_data_put import shard_id
from test_66_data_read import let_time_pass

MAX = (1 << 128) - 1
BETWEEN = {}  # by stream: a time between split and merge in whole seconds, which is what botocore sends


@pytest.fixture(scope="module")
def family(kinesis):
    """0 and 1; 0 was split into 2 and 3, and 3 and 1 were merged into 4."""
    name = kinema.new_name("family")
    kinesis.create_stream(StreamName=name, ShardCount=2)
    let_time_pass()
    kinesis.split_shard(StreamName=name, ShardToSplit=shard_id(0), NewStartingHashKey=str(1 << 126))
    BETWEEN[name] = int(time.time()) + 1
    let_time_pass(BETWEEN[name] - time.time() + 0.01)
    kinesis.merge_shards(StreamName=name, ShardToMerge=shard_id(3), AdjacentShardToMerge=shard_id(1))
    return name


def listed(kinesis, **fields):
    found = kinesis.list_shards(**fields)["Shards"]
    return [int(s["ShardId"][-12:]) for s in found]


def test_all_of_them_are_listed_with_their_parents(kinesis, family):
    found = kinesis.list_shards(StreamName=family)
    assert "NextToken" not in found
    shards = found["Shards"]
    assert [s["ShardId"] for s in shards] == [shard_id(i) for i in range(5)]
    assert [is_open(s) for s in shards] == [False, False, True, False, True]
    assert shards[2]["ParentShardId"] == shards[3]["ParentShardId"] == shard_id(0)
    assert (shards[4]["ParentShardId"], shards[4]["AdjacentParentShardId"]) == (shard_id(3), shard_id(1))
    assert shards == kinesis.describe_stream(StreamName=family)["StreamDescription"]["Shards"]


def test_pages_follow_one_another(kinesis, family):
    page = kinesis.list_shards(StreamName=family, MaxResults=2)
    seen = page["Shards"]
    while "NextToken" in page:
        page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=2)
        assert 1 <= len(page["Shards"]) <= 2
        seen += page["Shards"]
    assert seen == kinesis.list_shards(StreamName=family)["Shards"]
    page = kinesis.list_shards(StreamName=family, MaxResults=1, ShardFilter={"Type": "AT_LATEST"})
    page_2 = kinesis.list_shards(NextToken=page["NextToken"])
    assert [s["ShardId"] for s in page["Shards"] + page_2["Shards"]] == [shard_id(2), shard_id(4)]
    assert listed(kinesis, StreamName=family, ExclusiveStartShardId=shard_id(2)) == [3, 4]


def test_filters(kinesis, family):
    def by(kind, **fields):
        return listed(kinesis, StreamName=family, ShardFilter={"Type": kind, **fields})

    now = datetime.datetime.now(datetime.timezone.utc)
    between = datetime.datetime.fromtimestamp(BETWEEN[family], datetime.timezone.utc)
    assert by("AT_LATEST") == [2, 4]
    assert by("AT_TRIM_HORIZON") == [0, 1]
    assert by("FROM_TRIM_HORIZON") == [0, 1, 2, 3, 4]
    assert by("AFTER_SHARD_ID", ShardId=shard_id(1)) == [2, 3, 4]
    assert by("AT_TIMESTAMP", Timestamp=between) == [1, 2, 3]
    assert by("FROM_TIMESTAMP", Timestamp=between) == [1, 2, 3, 4]
    assert by("AT_TIMESTAMP", Timestamp=datetime.datetime(2001, 1, 1)) == [0, 1]
    assert by("FROM_TIMESTAMP", Timestamp=datetime.datetime(2001, 1, 1)) == [0, 1, 2, 3, 4]
    assert by("AT_TIMESTAMP", Timestamp=now + datetime.timedelta(seconds=2)) == [2, 4]
    for kind, _ in (("AT_TRIM_HORIZON", None), ("AT_LATEST", None)):
        found = kinesis.list_shards(StreamName=family, ShardFilter={"Type": kind})["Shards"]
        covered = ranges(found)
        assert covered[0][0] == 0 and covered[-1][1] == MAX
        assert all(a[1] + 1 == b[0] for a, b in zip(covered, covered[1:]))


def test_what_cannot_stand_together(kinesis, family):
    token = kinesis.list_shards(StreamName=family, MaxResults=1)["NextToken"]
    expected = "InvalidArgumentException"
    assert fault(kinesis.list_shards) == (expected, "Either NextToken or StreamName should be provided.")
    assert fault(kinesis.list_shards, StreamName=family, NextToken=token) == (
        expected, "NextToken and StreamName cannot be provided together.")
    assert fault(kinesis.list_shards, NextToken=token, ExclusiveStartShardId="0")[0] == expected
    assert fault(kinesis.list_shards, NextToken=token, StreamCreationTimestamp=1)[0] == expected
    assert fault(kinesis.list_shards, NextToken="none")[0] == expected
    assert fault(kinesis.list_shards, StreamName=family, ShardFilter={"Type": "AT_TIMESTAMP"})[0] == expected
    assert fault(kinesis.list_shards, StreamName=family, ShardFilter={"Type": "AFTER_SHARD_ID"})[0] == expected
    assert fault(kinesis.list_shards, StreamName="nobody") == (
        "ResourceNotFoundException", "Stream nobody under account 000000000000 not found.")


def test_a_creation_time_tells_streams_of_one_name_apart(kinesis, family):
    created = kinesis.describe_stream_summary(StreamName=family)["StreamDescriptionSummary"]["StreamCreationTimestamp"]
    assert len(listed(kinesis, StreamName=family, StreamCreationTimestamp=created)) == 5
    with pytest.raises(botocore.exceptions.ClientError):
        kinesis.list_shards(StreamName=family, StreamCreationTimestamp=created - datetime.timedelta(seconds=5))


def test_a_token_is_of_use_to_who_may_see_the_stream_only(kinesis, family, server):
    token = kinesis.list_shards(StreamName=family, MaxResults=1)["NextToken"]
    other = server.client("kinesis", key=server.create_key("--allow", "kinesis:*", "--stream", "other-*"))
    assert fault(other.list_shards, NextToken=token)[0] == "AccessDeniedException"
    name = kinema.new_name("data")
    kinesis.create_stream(StreamName=name, ShardCount=3)
    token = kinesis.list_shards(StreamName=name, MaxResults=1)["NextToken"]
    kinesis.delete_stream(StreamName=name)
    kinesis.create_stream(StreamName=name, ShardCount=3)
    assert fault(kinesis.list_shards, NextToken=token)[0] == "ResourceNotFoundException"


def test_a_thousand_shards(kinesis):
    name = kinema.new_name("wide")
    kinesis.create_stream(StreamName=name, ShardCount=1500)
    page = kinesis.list_shards(StreamName=name)
    assert len(page["Shards"]) == 1000
    rest = kinesis.list_shards(NextToken=page["NextToken"])
    assert len(rest["Shards"]) == 500 and "NextToken" not in rest
    assert len(ranges(page["Shards"] + rest["Shards"])) == 1500
