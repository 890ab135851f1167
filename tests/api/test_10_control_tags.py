# SPDX-License-Identifier: Apache-2.0
"""Tags: both families of operations, limits, letters of all scripts."""

import pytest

from control import info_of, raises

UNICODE = {"größe": "übergroß 4", "カメラ": "玄関", "κλειδί": "a.b:c/d=e+f-g@h", "blank key": " "}


class ByStream:
    def __init__(self, kvs, name):
        self.kvs, self.name = kvs, name

    def tag(self, tags):
        self.kvs.tag_stream(StreamName=self.name, Tags=tags)

    def untag(self, *keys):
        self.kvs.untag_stream(StreamName=self.name, TagKeyList=list(keys))

    def tags(self):
        return self.kvs.list_tags_for_stream(StreamName=self.name)["Tags"]


class ByArn(ByStream):
    def __init__(self, kvs, name):
        super().__init__(kvs, name)
        self.arn = info_of(kvs, name)["StreamARN"]

    def tag(self, tags):
        self.kvs.tag_stream(StreamARN=self.arn, Tags=tags)

    def untag(self, *keys):
        self.kvs.untag_stream(StreamARN=self.arn, TagKeyList=list(keys))

    def tags(self):
        return self.kvs.list_tags_for_stream(StreamARN=self.arn)["Tags"]


class ByResource(ByArn):
    def tag(self, tags):
        self.kvs.tag_resource(ResourceARN=self.arn,
                              Tags=[{"Key": k, "Value": v} for k, v in tags.items()])

    def untag(self, *keys):
        self.kvs.untag_resource(ResourceARN=self.arn, TagKeyList=list(keys))

    def tags(self):
        return self.kvs.list_tags_for_resource(ResourceARN=self.arn)["Tags"]


@pytest.fixture(params=[ByStream, ByArn, ByResource])
def tagged(request, kvs, stream):
    return request.param(kvs, stream)


def test_tags_are_added_overwritten_removed_and_leave_the_version_alone(tagged):
    version = info_of(tagged.kvs, tagged.name)["Version"]
    tagged.tag({"a": "1", "b": "2"})
    tagged.tag({"b": "3", "c": ""})
    assert tagged.tags() == {"a": "1", "b": "3", "c": ""}
    tagged.untag("a", "not there")
    assert tagged.tags() == {"b": "3", "c": ""}
    tagged.untag("b", "c")
    assert tagged.tags() == {}
    assert info_of(tagged.kvs, tagged.name)["Version"] == version


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-id", "aws:", "AWS:x"])
def test_tags_of_aws_s_own_cannot_be_added(tagged, key):
    tags, message = {"a": "1", key: "2"}, "aws: prefixed tag key names are not allowed for external use."
    with raises("InvalidArgumentException", 400, message):
        tagged.tag(tags)
    with raises("InvalidArgumentException", 400, message):
        tagged.kvs.create_stream(StreamName=tagged.name + "-2", Tags=tags)
    assert tagged.tags() == {}
    tagged.untag(key)  # of before it was refused
    tagged.tag({"aws": "x", "aws-x": "", "my-aws:x": "aws:"})


def test_letters_of_all_scripts_are_letters(tagged):
    tagged.tag(UNICODE)
    assert tagged.tags() == UNICODE


def test_fifty_tags_fit_and_the_fifty_first_has_its_own_error(tagged):
    fifty = {f"key-{i}": str(i) for i in range(50)}
    tagged.tag(fifty)
    with raises("TagsPerResourceExceededLimitException", 400):
        tagged.tag({"one more": ""})
    tagged.tag({"key-7": "changed"})  # overwriting needs no room
    assert tagged.tags() == {**fifty, "key-7": "changed"}
    tagged.untag("key-0")
    tagged.tag({"one more": ""})
    with raises("TagsPerResourceExceededLimitException", 400):
        tagged.tag({"key-7": "not kept", "key-0": ""})
    assert tagged.tags()["key-7"] == "changed"


def test_the_longest_tags_fit(tagged):
    tags = {"ä" * 128: "ö" * 256, "k" * 128: "v" * 256}
    tagged.tag(tags)
    assert tagged.tags() == tags


def test_keys_come_back_though_they_look_like_json(kvs, stream):
    tags = {"a/b": "c:d", "x=y": "@", "-": "+"}
    kvs.tag_stream(StreamName=stream, Tags=tags)
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"] == tags


def test_a_malformed_arn_has_an_error_of_its_own_on_the_stream_operations(server):
    loose = server.kvs(validate=False)
    for arn in ("camera", "arn:aws:kinesisvideo:us-east-1:0:stream", "arn:aws:s3:::bucket/a/1",
                "arn:aws:kinesisvideo:us-east-1:000000000000:stream/camera/yesterday"):
        for call in (lambda a: loose.tag_stream(StreamARN=a, Tags={"a": "b"}),
                     lambda a: loose.untag_stream(StreamARN=a, TagKeyList=["a"]),
                     lambda a: loose.list_tags_for_stream(StreamARN=a)):
            with raises("InvalidResourceFormatException", 400):
                call(arn)
        with raises("InvalidArgumentException", 400):
            loose.list_tags_for_resource(ResourceARN=arn)


def test_channels_and_unknown_streams_are_not_found(kvs, stream):
    arn = info_of(kvs, stream)["StreamARN"]
    for stranger in (arn.replace(":stream/", ":channel/"), arn[:-1] + "x".replace("x", "0"),
                     arn.replace(stream, "no-such-stream")):
        if stranger == arn:
            continue
        with raises("ResourceNotFoundException", 404):
            kvs.tag_resource(ResourceARN=stranger, Tags=[{"Key": "a", "Value": "b"}])
        with raises("ResourceNotFoundException", 404):
            kvs.untag_resource(ResourceARN=stranger, TagKeyList=["a"])
        with raises("ResourceNotFoundException", 404):
            kvs.list_tags_for_resource(ResourceARN=stranger)
    with raises("ResourceNotFoundException", 404):
        kvs.tag_stream(StreamName="no-such-stream", Tags={"a": "b"})


def test_all_tags_fit_one_page_so_no_token_is_valid(kvs, stream):
    with raises("InvalidArgumentException", 400):
        kvs.list_tags_for_stream(StreamName=stream, NextToken="AAAA")
    assert kvs.list_tags_for_stream(StreamName=stream, NextToken="")["Tags"] == {}
