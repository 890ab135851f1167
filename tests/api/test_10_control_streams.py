# SPDX-License-Identifier: Apache-2.0
"""Creating, describing, updating and deleting streams, as boto3 does it."""

import re
import time

import pytest

from control import info_of, raises, wait_deleted

ARN = re.compile(r"arn:aws:kinesisvideo:us-east-1:\d+:stream/([a-zA-Z0-9_.-]+)/(\d{13})$")
NOT_FOUND = "The requested stream is not found or not active."


def test_a_new_stream_is_active_at_once_and_says_all_it_was_given(kvs, stream_name):
    before = time.time()
    arn = kvs.create_stream(
        StreamName=stream_name, DeviceName="front-door", MediaType="video/h264,audio/aac",
        KmsKeyId="alias/aws/kinesisvideo", DataRetentionInHours=48, Tags={"site": "north"},
    )["StreamARN"]

    info = info_of(kvs, stream_name)

    name, created = ARN.match(arn).groups()
    assert name == stream_name
    assert info["StreamARN"] == arn
    assert info["StreamName"] == stream_name
    assert info["DeviceName"] == "front-door"
    assert info["MediaType"] == "video/h264,audio/aac"
    assert info["KmsKeyId"] == "alias/aws/kinesisvideo"
    assert info["DataRetentionInHours"] == 48
    assert info["Status"] == "ACTIVE"
    assert re.fullmatch("[a-zA-Z0-9]{1,64}", info["Version"])
    assert before - 1 < info["CreationTime"].timestamp() < time.time() + 1
    assert int(created) == round(info["CreationTime"].timestamp() * 1000)
    assert kvs.list_tags_for_stream(StreamName=stream_name)["Tags"] == {"site": "north"}


def test_what_was_not_given_is_absent_and_retention_is_zero(kvs, stream_name):
    kvs.create_stream(StreamName=stream_name)
    info = info_of(kvs, stream_name)
    assert info["DataRetentionInHours"] == 0
    for absent in ("DeviceName", "MediaType", "KmsKeyId"):
        assert absent not in info
    assert kvs.list_tags_for_stream(StreamName=stream_name)["Tags"] == {}


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "..", "x" * 256])
def test_every_name_the_pattern_allows_is_a_name(kvs, name):
    arn = kvs.create_stream(StreamName=name)["StreamARN"]
    assert info_of(kvs, name)["StreamName"] == name
    assert kvs.describe_stream(StreamARN=arn)["StreamInfo"]["StreamName"] == name
    kvs.delete_stream(StreamARN=arn)
    wait_deleted(kvs, name)


def test_a_taken_name_is_refused_in_awss_words(kvs, stream):
    with raises("ResourceInUseException", 400, f"The stream {stream} already exists."):
        kvs.create_stream(StreamName=stream)


def test_retention_beyond_ten_years_is_refused(kvs, stream_name):
    with raises("InvalidArgumentException", 400):
        kvs.create_stream(StreamName=stream_name, DataRetentionInHours=87601)
    kvs.create_stream(StreamName=stream_name, DataRetentionInHours=87600)


def test_a_stream_is_found_by_name_by_arn_and_by_both_if_they_agree(kvs, stream):
    info = info_of(kvs, stream)
    arn = info["StreamARN"]
    assert kvs.describe_stream(StreamARN=arn)["StreamInfo"] == info
    assert kvs.describe_stream(StreamName=stream, StreamARN=arn)["StreamInfo"] == info
    with raises("InvalidArgumentException", 400):
        kvs.describe_stream(StreamName=stream + "x", StreamARN=arn)
    with raises("InvalidArgumentException", 400):
        kvs.describe_stream()


def test_unknown_streams_are_not_found_in_awss_words(kvs, stream):
    arn = info_of(kvs, stream)["StreamARN"]
    with raises("ResourceNotFoundException", 404, NOT_FOUND):
        kvs.describe_stream(StreamName="no-such-stream")
    strangers = [
        arn[:-13] + "1500000000000",                     # another creation time
        arn.replace("us-east-1", "eu-west-1"),           # another region
        re.sub(r":\d+:stream", ":999999999999:stream", arn),  # another account
        arn.replace(":stream/", ":channel/"),            # not a stream
    ]
    for stranger in strangers:
        with raises("ResourceNotFoundException", 404, NOT_FOUND):
            kvs.describe_stream(StreamARN=stranger)


@pytest.mark.parametrize("change", [("us-east-1", "eu-west-1"), (":000000000000:", ":999999999999:")])
def test_an_arn_of_elsewhere_is_not_found_and_told_from_where(server, kvs, stream, change):
    arn = info_of(kvs, stream)["StreamARN"].replace(*change)
    region, account = arn.split(":")[3:5]
    said = f"{NOT_FOUND} The ARN is of region {region} and account {account}; " \
        "this server's are us-east-1 and 000000000000."
    archive = server.client("kinesis-video-archived-media")
    for call in (kvs.describe_stream, archive.get_hls_streaming_session_url):
        with raises("ResourceNotFoundException", 404, said):
            call(StreamARN=arn)


def test_an_update_needs_the_current_version_and_makes_a_new_one(kvs, stream):
    before = info_of(kvs, stream)

    kvs.update_stream(StreamName=stream, CurrentVersion=before["Version"],
                      DeviceName="attic", MediaType="video/h265")

    after = info_of(kvs, stream)
    assert (after["DeviceName"], after["MediaType"]) == ("attic", "video/h265")
    assert after["Version"] != before["Version"]
    for same in ("StreamARN", "CreationTime", "DataRetentionInHours", "Status"):
        assert after[same] == before[same]
    with raises("VersionMismatchException", 400):
        kvs.update_stream(StreamName=stream, CurrentVersion=before["Version"], DeviceName="cellar")
    assert info_of(kvs, stream) == after
    kvs.update_stream(StreamARN=after["StreamARN"], CurrentVersion=after["Version"],
                      MediaType="video/h264")
    assert info_of(kvs, stream)["DeviceName"] == "attic"
    with raises("ResourceNotFoundException", 404):
        kvs.update_stream(StreamName="no-such-stream", CurrentVersion="V1")


def test_retention_changes_by_a_delta_within_ten_years(kvs, server):
    name = server.create_stream(hours=10)

    def change(operation, hours):
        kvs.update_data_retention(
            StreamName=name, CurrentVersion=info_of(kvs, name)["Version"],
            Operation=f"{operation}_DATA_RETENTION", DataRetentionChangeInHours=hours)
        return info_of(kvs, name)["DataRetentionInHours"]

    assert change("INCREASE", 14) == 24
    assert change("DECREASE", 23) == 1
    with raises("InvalidArgumentException", 400):
        change("DECREASE", 2)
    with raises("InvalidArgumentException", 400):
        change("INCREASE", 87600)
    with raises("InvalidArgumentException", 400):
        change("INCREASE", 2**31 - 1)
    assert info_of(kvs, name)["DataRetentionInHours"] == 1
    assert change("INCREASE", 87599) == 87600
    assert change("DECREASE", 87600) == 0
    assert change("INCREASE", 1) == 1


def test_a_retention_change_is_locked_by_version(kvs, stream):
    before = info_of(kvs, stream)
    change = dict(Operation="INCREASE_DATA_RETENTION", DataRetentionChangeInHours=1)
    kvs.update_data_retention(StreamName=stream, CurrentVersion=before["Version"], **change)
    assert info_of(kvs, stream)["Version"] != before["Version"]
    with raises("VersionMismatchException", 400):
        kvs.update_data_retention(StreamName=stream, CurrentVersion=before["Version"], **change)
    with raises("ResourceNotFoundException", 404):
        kvs.update_data_retention(StreamName="no-such-stream", CurrentVersion="V1", **change)


def test_a_deleted_stream_is_gone_and_its_arn_does_not_reach_its_successor(kvs, stream):
    first = info_of(kvs, stream)

    kvs.delete_stream(StreamARN=first["StreamARN"])

    with raises("ResourceNotFoundException", 404, NOT_FOUND):
        kvs.get_data_endpoint(StreamName=stream, APIName="PUT_MEDIA")
    wait_deleted(kvs, stream)
    with raises("ResourceNotFoundException", 404):
        kvs.delete_stream(StreamARN=first["StreamARN"])
    second = kvs.create_stream(StreamName=stream)["StreamARN"]
    assert second != first["StreamARN"]
    with raises("ResourceNotFoundException", 404):
        kvs.delete_stream(StreamARN=first["StreamARN"])
    with raises("ResourceNotFoundException", 404):
        kvs.describe_stream(StreamARN=first["StreamARN"])
    assert info_of(kvs, stream)["Status"] == "ACTIVE"


def test_a_deletion_may_be_guarded_by_version(kvs, stream):
    info = info_of(kvs, stream)
    with raises("VersionMismatchException", 400):
        kvs.delete_stream(StreamARN=info["StreamARN"], CurrentVersion="V1")
    assert info_of(kvs, stream) == info
    kvs.delete_stream(StreamARN=info["StreamARN"], CurrentVersion=info["Version"])
    wait_deleted(kvs, stream)


def test_all_settings_survive_kill_9(make_server):
    server = make_server()
    kvs = server.kvs()
    kept = server.create_stream("kept", DeviceName="door", Tags={"größe": "4", "empty": ""})
    kvs.tag_stream(StreamName=kept, Tags={"later": "yes"})
    gone = server.create_stream("gone")
    before = info_of(kvs, kept)
    kvs.delete_stream(StreamARN=info_of(kvs, gone)["StreamARN"])

    server.restart(hard=True)

    kvs = server.kvs()
    assert info_of(kvs, kept) == before
    assert kvs.list_tags_for_stream(StreamName=kept)["Tags"] == {
        "größe": "4", "empty": "", "later": "yes"}
    wait_deleted(kvs, gone)
    assert [s["StreamName"] for s in kvs.list_streams()["StreamInfoList"]] == [kept]


def test_the_limit_of_streams_is_a_setting_and_has_its_own_error(make_server):
    server = make_server(env={"KINEMA_STREAMS_MAX": "2"})
    kvs = server.kvs()
    server.create_stream("one")
    server.create_stream("two")
    with raises("AccountStreamLimitExceededException", 400):
        server.create_stream("three")
    kvs.delete_stream(StreamARN=info_of(kvs, "one")["StreamARN"])
    wait_deleted(kvs, "one")
    server.create_stream("three")


def test_a_key_reaches_only_the_streams_and_actions_it_was_granted(server):
    admin = server.kvs()
    key = server.create_key("--allow", "kinesisvideo:Describe*", "--allow",
                            "kinesisvideo:CreateStream", "--stream", "grant-*")
    limited = server.kvs(key=key)
    server.create_stream("other-1")

    arn = limited.create_stream(StreamName="grant-1")["StreamARN"]
    assert info_of(limited, "grant-1")["StreamARN"] == arn
    for refused in (
        lambda: limited.describe_stream(StreamName="other-1"),
        lambda: limited.describe_stream(StreamARN=info_of(admin, "other-1")["StreamARN"]),
        lambda: limited.create_stream(StreamName="other-2"),
        lambda: limited.delete_stream(StreamARN=arn),
        lambda: limited.tag_stream(StreamName="grant-1", Tags={"a": "b"}),
        lambda: limited.list_streams(),
    ):
        with pytest.raises(limited.exceptions.ClientError) as info:
            refused()
        assert info.value.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403)
    assert info_of(admin, "grant-1")["Status"] == "ACTIVE"
