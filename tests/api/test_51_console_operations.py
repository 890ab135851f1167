# SPDX-License-Identifier: Apache-2.0
"""The API's operations that the page calls: as the login's access key would, and no others."""

import shutil

import pytest

from console import Browser

VIDEO, DATA = "/kinema/v1/streams", "/kinema/v1/data-streams"


@pytest.fixture
def browser(server):
    one = Browser(server)
    assert one.login(server.key)[0] == 200
    return one


def call(browser, operation, **members):
    return browser.post(f"/kinema/v1/operations/{operation}", members)


def test_a_video_stream_is_made_changed_and_deleted(server, kvs, browser, stream_name):
    status, made = call(browser, "kinesisvideo:CreateStream", StreamName=stream_name, DataRetentionInHours=24)
    assert status == 200, made
    assert made["StreamARN"] == kvs.describe_stream(StreamName=stream_name)["StreamInfo"]["StreamARN"]

    shown = browser.get(f"{VIDEO}/{stream_name}")[1]
    assert shown["volumeFull"] is False
    assert (shown["retentionHours"], shown["retentionBytes"]) == (24, 0)
    change = {"StreamName": stream_name, "CurrentVersion": shown["version"], "DataRetentionChangeInHours": 144,
              "Operation": "INCREASE_DATA_RETENTION"}
    assert call(browser, "kinesisvideo:UpdateDataRetention", **change) == (200, {})
    assert call(browser, "kinema:UpdateRetentionLimit", StreamName=stream_name, MaxBytes=10**9) == (200, {})
    assert call(browser, "kinesisvideo:TagStream", StreamName=stream_name, Tags={"door": "north"}) == (200, {})
    assert kvs.describe_stream(StreamName=stream_name)["StreamInfo"]["DataRetentionInHours"] == 168
    assert kvs.list_tags_for_stream(StreamName=stream_name)["Tags"] == {
        "door": "north", "kinema:retention-bytes": "1000000000"}
    assert browser.get(f"{VIDEO}/{stream_name}")[1]["retentionBytes"] == 10**9
    assert call(browser, "kinesisvideo:UntagStream", StreamName=stream_name, TagKeyList=["door"]) == (200, {})
    assert call(browser, "kinesisvideo:ListTagsForStream", StreamName=stream_name)[1]["Tags"] == {
        "kinema:retention-bytes": "1000000000"}

    status, refused = call(browser, "kinesisvideo:UpdateDataRetention", **change)  # of what it was before
    assert (status, refused["error"]) == (400, "VersionMismatchException")
    assert call(browser, "kinesisvideo:DeleteStream", StreamARN=made["StreamARN"])[0] == 200
    status, refused = call(browser, "kinesisvideo:DeleteStream", StreamARN=made["StreamARN"])
    assert (status, refused["error"]) in ((404, "ResourceNotFoundException"), (400, "ResourceInUseException"))
    server.wait_log("console_operation .*action=kinesisvideo:DeleteStream")


def test_a_data_stream_is_made_scaled_and_deleted(server, browser, stream_name):
    kinesis = server.client("kinesis")
    assert call(browser, "kinesis:CreateStream", StreamName=stream_name, ShardCount=2) == (200, {})
    assert call(browser, "kinesis:IncreaseStreamRetentionPeriod", StreamName=stream_name,
                RetentionPeriodHours=168) == (200, {})
    status, scaled = call(browser, "kinesis:UpdateShardCount", StreamName=stream_name, TargetShardCount=4,
                          ScalingType="UNIFORM_SCALING")
    assert (status, scaled["CurrentShardCount"], scaled["TargetShardCount"]) == (200, 2, 4)
    summary = kinesis.describe_stream_summary(StreamName=stream_name)["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["RetentionPeriodHours"]) == (4, 168)

    status, refused = call(browser, "kinesis:UpdateShardCount", StreamName=stream_name, TargetShardCount=9,
                           ScalingType="UNIFORM_SCALING")
    assert (status, refused["error"]) == (400, "LimitExceededException")
    assert "over double" in refused["message"]
    assert call(browser, "kinesis:UpdateStreamMode", StreamARN=summary["StreamARN"],
                StreamModeDetails={"StreamMode": "ON_DEMAND"}) == (200, {})
    assert browser.get(f"{DATA}/{stream_name}")[1]["mode"] == "ON_DEMAND"
    assert call(browser, "kinesis:AddTagsToStream", StreamName=stream_name, Tags={"door": "north"}) == (200, {})
    assert call(browser, "kinesis:ListTagsForStream", StreamName=stream_name)[1]["Tags"] == [
        {"Key": "door", "Value": "north"}]
    assert call(browser, "kinesis:DecreaseStreamRetentionPeriod", StreamName=stream_name,
                RetentionPeriodHours=24) == (200, {})
    assert call(browser, "kinesis:RemoveTagsFromStream", StreamName=stream_name, TagKeys=["door"]) == (200, {})
    assert call(browser, "kinesis:DeleteStream", StreamName=stream_name) == (200, {})
    assert browser.get(f"{DATA}/{stream_name}")[0] == 404


def test_what_is_wrong_is_said_as_the_api_says_it(kvs, browser, stream):
    status, refused = call(browser, "kinesisvideo:CreateStream", StreamName=stream)
    assert (status, refused["error"]) == (400, "ResourceInUseException")
    assert stream in refused["message"]
    status, refused = call(browser, "kinesisvideo:CreateStream", StreamName="not a name")
    assert (status, refused["error"]) == (400, "InvalidArgumentException")
    assert "at 'streamName'" in refused["message"]
    status, refused = call(browser, "kinesis:CreateStream", StreamName="")
    assert (status, refused["error"]) == (400, "ValidationException")
    for body in (b"", b"[]", b"{", b"{\"StreamName\": 7"):
        status, refused = browser.post("/kinema/v1/operations/kinesisvideo:CreateStream", body,
                                       headers={"content-type": "application/json"})
        assert status == 400, refused


def test_a_login_may_what_its_key_may(server, kvs, stream):
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    some = Browser(server)
    some.login(server.create_key("--allow", "*:Describe*", "--allow", "*:ListShards", "--allow", "*:UpdateShardCount",
                                 "--allow", "kinesisvideo:TagStream", "--stream", stream))
    assert some.get(f"{VIDEO}/{stream}")[1]["may"] == ["kinesisvideo:TagStream"]
    assert some.get(f"{DATA}/{stream}")[1]["may"] == ["kinesis:UpdateShardCount"]
    assert some.get(VIDEO)[1]["canCreate"] is False
    assert some.get(DATA)[1]["canCreate"] is False
    arn = kvs.describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    for operation, members in (("kinesisvideo:DeleteStream", {"StreamARN": arn}),
                               ("kinesisvideo:CreateStream", {"StreamName": stream + "-2"}),
                               ("kinesis:DeleteStream", {"StreamName": stream})):
        status, refused = call(some, operation, **members)
        assert status in (400, 401, 403), refused
        assert refused["error"] in ("NotAuthorizedException", "AccessDeniedException")
    assert call(some, "kinesisvideo:TagStream", StreamName=stream, Tags={"a": "b"})[0] == 200
    assert call(some, "kinesisvideo:TagStream", StreamName=stream + "-2", Tags={"a": "b"})[0] == 401
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"] == {"a": "b"}
    kinesis.describe_stream_summary(StreamName=stream)

    makes = Browser(server)
    makes.login(server.create_key("--allow", "*:CreateStream", "--stream", stream + "-*"))
    assert makes.get(VIDEO)[1]["canCreate"] is True
    assert makes.get(DATA)[1]["canCreate"] is True
    kinesis.delete_stream(StreamName=stream)


def test_without_a_login_and_beside_the_pages_operations_nothing_is_done(server, kvs, browser, stream):
    nobody = Browser(server)
    assert call(nobody, "kinesisvideo:TagStream", StreamName=stream, Tags={"a": "b"})[0] == 401
    for operation in ("kinesis:PutRecord", "kinesisvideo:GetDataEndpoint", "kinesisvideo:createstream", "x"):
        status, refused = call(browser, operation, StreamName=stream)
        assert (status, refused["error"]) == (404, "no_such_operation")
    path = "/kinema/v1/operations/kinesisvideo:TagStream"
    body = b'{"StreamName": "%s", "Tags": {"a": "b"}}' % stream.encode()
    for headers in ({"content-type": "text/plain"},
                    {"content-type": "application/json", "origin": "http://elsewhere.example"},
                    {"content-type": "application/json", "host": "elsewhere.example"}):
        answer, _ = browser.post(path, body, headers=headers, raw=True)
        assert answer.status in (403, 415, 421), headers
    assert browser.get(path, raw=True)[0].status == 405
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"] == {}


def test_a_stream_with_a_hold_or_with_consumers_is_not_deleted(server, kvs, browser, stream):
    kinesis = server.client("kinesis")
    assert browser.post(f"{VIDEO}/{stream}/holds", {"name": "case-7", "fromMs": 0})[0] == 200
    arn = kvs.describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    status, refused = call(browser, "kinesisvideo:DeleteStream", StreamARN=arn)
    assert (status, refused["error"]) == (400, "ResourceInUseException")
    assert "legal hold" in refused["message"]
    browser.post(f"{VIDEO}/{stream}/holds/lift", {"name": "case-7"})

    kinesis.create_stream(StreamName=stream, ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")
    status, refused = call(browser, "kinesis:DeleteStream", StreamName=stream)
    assert (status, refused["error"]) == (400, "ResourceInUseException")
    assert "has 1 registered consumers" in refused["message"]  # by which the page offers them too
    assert call(browser, "kinesis:DeleteStream", StreamName=stream, EnforceConsumerDeletion=True) == (200, {})


def test_a_full_volume_is_said(make_server):
    floor = 1 << 40
    full = make_server(args=["--volume-free-bytes-min", floor])
    if shutil.disk_usage(full.data).free > floor:
        pytest.skip("there is more room than the floor can be")
    full.wait_log("volume_full")
    one = Browser(full)
    one.login(full.key)
    stream = full.create_stream()
    assert one.get(VIDEO)[1]["volumeFull"] is True
    assert one.get(f"{VIDEO}/{stream}")[1]["volumeFull"] is True
