# SPDX-License-Identifier: Apache-2.0
"""The storage tier, what is described as absent, and what is refused with a documented error."""

import datetime

import pytest

from control import info_of, post, raises

CHANNEL = "arn:aws:kinesisvideo:us-east-1:000000000000:channel/front/1700000000000"
IMAGES = {"Status": "ENABLED", "ImageSelectorType": "SERVER_TIMESTAMP",
          "DestinationConfig": {"Uri": "s3://bucket/prefix", "DestinationRegion": "us-east-1"},
          "SamplingInterval": 3000, "Format": "JPEG"}


def tier(server, name):
    status, fault, body = post(server, "/describeStreamStorageConfiguration", {"StreamName": name})
    assert (status, fault) == (200, None)
    assert body["StreamName"] == name
    return body["StreamStorageConfiguration"]["DefaultStorageTier"]


def test_a_stream_is_hot_until_it_is_made_warm(server, kvs, stream):
    assert tier(server, stream) == "HOT"
    version = info_of(kvs, stream)["Version"]
    warm = {"StreamName": stream, "CurrentVersion": version,
            "StreamStorageConfiguration": {"DefaultStorageTier": "WARM"}}
    assert post(server, "/updateStreamStorageConfiguration", warm)[0] == 200
    assert tier(server, stream) == "WARM"
    assert info_of(kvs, stream)["Version"] != version
    status, fault, _ = post(server, "/updateStreamStorageConfiguration", warm)
    assert (status, fault) == (400, "VersionMismatchException")
    status, fault, _ = post(server, "/describeStreamStorageConfiguration", {"StreamName": "none"})
    assert (status, fault) == (404, "ResourceNotFoundException")


def test_a_stream_may_be_born_warm(server, stream_name):
    body = {"StreamName": stream_name, "DataRetentionInHours": 1,
            "StreamStorageConfiguration": {"DefaultStorageTier": "WARM"}}
    assert post(server, "/createStream", body)[0] == 200
    assert tier(server, stream_name) == "WARM"


def test_images_notifications_and_channels_are_described_as_absent(server, kvs, stream):
    got = kvs.describe_image_generation_configuration(StreamName=stream)
    assert "ImageGenerationConfiguration" not in got
    got = kvs.describe_notification_configuration(StreamName=stream)
    assert "NotificationConfiguration" not in got
    status, _, body = post(server, "/describeMappedResourceConfiguration", {"StreamName": stream})
    assert (status, body) == (200, {"MappedResourceConfigurationList": []})
    with raises("ResourceNotFoundException", 404):
        kvs.describe_notification_configuration(StreamName="no-such-stream")
    kvs.update_image_generation_configuration(StreamName=stream)  # without one: it is removed
    kvs.update_notification_configuration(StreamName=stream)
    body = {"StreamName": stream, "NotificationConfiguration": None}
    assert post(server, "/updateNotificationConfiguration", body)[0] == 200
    with raises("ResourceNotFoundException", 404):
        kvs.update_image_generation_configuration(StreamName="no-such-stream")
    pages = list(kvs.get_paginator("list_signaling_channels").paginate())
    assert [page["ChannelInfoList"] for page in pages] == [[]]
    with raises("InvalidArgumentException", 400):
        kvs.list_signaling_channels(NextToken="abcd")


NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)
RANGE = {"StartTimestamp": NOW, "EndTimestamp": NOW + datetime.timedelta(seconds=10)}
REFUSED = [
    ("kinesisvideo", "update_image_generation_configuration",
     {"StreamName": "STREAM", "ImageGenerationConfiguration": IMAGES},
     "InvalidArgumentException", 400),
    ("kinesisvideo", "update_notification_configuration",
     {"StreamName": "STREAM", "NotificationConfiguration": {
         "Status": "ENABLED", "DestinationConfig": {"Uri": "sns://topic"}}},
     "InvalidArgumentException", 400),
    ("kinesisvideo", "create_signaling_channel", {"ChannelName": "front"},
     "AccountChannelLimitExceededException", 400),
    ("kinesisvideo", "describe_signaling_channel", {"ChannelName": "front"},
     "ResourceNotFoundException", 404),
    ("kinesisvideo", "update_signaling_channel", {"ChannelARN": CHANNEL, "CurrentVersion": "V1"},
     "ResourceNotFoundException", 404),
    ("kinesisvideo", "delete_signaling_channel", {"ChannelARN": CHANNEL},
     "ResourceNotFoundException", 404),
    ("kinesisvideo", "get_signaling_channel_endpoint", {"ChannelARN": CHANNEL},
     "ResourceNotFoundException", 404),
    ("kinesis-video-signaling", "get_ice_server_config", {"ChannelARN": CHANNEL},
     "ResourceNotFoundException", 404),
    ("kinesis-video-signaling", "send_alexa_offer_to_master",
     {"ChannelARN": CHANNEL, "SenderClientId": "a", "MessagePayload": "YQ=="},
     "ResourceNotFoundException", 404),
    ("kinesis-video-archived-media", "get_images",
     {"StreamName": "STREAM", "ImageSelectorType": "SERVER_TIMESTAMP", "SamplingInterval": 3000,
      "Format": "JPEG", **RANGE}, "InvalidArgumentException", 400),
]


@pytest.mark.parametrize("service,operation,arguments,fault,status", REFUSED,
                         ids=[row[1] for row in REFUSED])
def test_a_refused_operation_answers_a_modelled_fault_and_says_why(
        server, stream, service, operation, arguments, fault, status):
    arguments = {k: stream if v == "STREAM" else v for k, v in arguments.items()}
    client = server.client(service)
    with raises(fault, status, "This server ") as caught:
        getattr(client, operation)(**arguments)
    declared = client.meta.service_model.operation_model(
        client.meta.method_to_api_mapping[operation]).error_shapes
    assert caught.code in [shape.name for shape in declared]


NEWER = [
    ("/updateMediaStorageConfiguration",
     {"ChannelARN": CHANNEL, "MediaStorageConfiguration": {"Status": "DISABLED"}},
     404, "ResourceNotFoundException"),
    ("/describeMediaStorageConfiguration", {"ChannelARN": CHANNEL},
     404, "ResourceNotFoundException"),
    ("/joinStorageSession", {"channelArn": CHANNEL}, 404, "ResourceNotFoundException"),
    ("/joinStorageSessionAsViewer", {"channelArn": CHANNEL, "clientId": "me"},
     404, "ResourceNotFoundException"),
]


@pytest.mark.parametrize("path,body,status,fault", NEWER, ids=[row[0][1:] for row in NEWER])
def test_so_do_the_operations_newer_than_this_botocore(server, path, body, status, fault):
    got_status, got_fault, answer = post(server, path, body)
    assert (got_status, got_fault) == (status, fault)
    member = "message" if path.startswith("/joinStorage") else "Message"
    assert answer[member].startswith("This server ")


def test_a_refused_operation_still_checks_its_arguments(server):
    loose = server.kvs(validate=False)
    with raises("InvalidArgumentException", 400) as caught:
        loose.create_signaling_channel(ChannelName="no blanks")
    assert "This server " not in caught.message
