# SPDX-License-Identifier: Apache-2.0
"""Fragment events: uploads by PutMedia, events by GetRecords, fragments by the links in them.

What holds: the events of a stream are those of its persisted fragments, each once, in order; whatever is
killed, split or exchanged meanwhile. KINEMA_SEED replays the moments of the kills; KINEMA_ROUNDS makes it
longer (KINEMA_LONG: 40)."""

import io
import json
import os
import random
import subprocess
import sys
import time
import urllib.request

import botocore.awsrequest
import jsonschema
import pytest

import cameras
import kinema
import media
import mkv
import put_media as wire
from console import Browser
from control import post, raises

SEED = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("KINEMA_ROUNDS") or (40 if os.environ.get("KINEMA_LONG") else 4))
SCHEMA = json.loads((kinema.ROOT / "docs" / "events" / "fragment-event.schema.json").read_text())
PATIENCE_S = 60
shards_of = media.load_sample("fragment_events").Shards


def ask(server, operation, stream, key=None, expect=200, **fields):
    route = "/kinema/v1/" + operation[0].lower() + operation[1:]
    status, fault, answer = post(server, route, {"StreamName": stream, **fields}, key=key)
    assert status == expect, (status, fault, answer)
    return answer if expect == 200 else (fault, answer["Message"])


def wait_for(what):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def data_stream(server, shards=1):
    name = kinema.new_name("events")
    server.client("kinesis").create_stream(StreamName=name, ShardCount=shards)
    return name


def events_of(server, name):
    """All events there are now, of all streams, parents before children."""
    shards = shards_of(server.client("kinesis"), name, "TRIM_HORIZON")
    events = []
    while True:
        before = len(events)
        for record in shards.read():
            event = json.loads(record["Data"])
            assert record["PartitionKey"] == event["streamName"]
            events.append(event)
        if len(events) == before and not shards.behind:
            return events


def numbers_of(events, stream):
    return [e["fragmentNumber"] for e in events if e["streamName"] == stream]


def persisted(server, stream):
    return sorted(cameras.found_in(server, stream).values(), key=int)


def wait_events(server, name, stream, count):
    """Until so many events of the stream are there; all of them."""
    deadline = time.monotonic() + PATIENCE_S
    while len(found := [e for e in events_of(server, name) if e["streamName"] == stream]) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} events"
        time.sleep(0.02)
    return found


def assert_complete(server, name, stream):
    """Every persisted fragment has its event, once, in order."""
    wanted = persisted(server, stream)
    found = [e["fragmentNumber"] for e in wait_events(server, name, stream, len(wanted))]
    assert len(set(found)) == len(found), f"{stream}: {len(found) - len(set(found))} events twice"
    assert found == wanted
    return len(found)


@pytest.fixture
def followed(server, stream):
    """(stream, data stream) with events."""
    name = data_stream(server)
    ask(server, "PutFragmentEvents", stream, DataStreamName=name)
    return stream, name


# --- the story ---------------------------------------------------------------------------------
@pytest.mark.parametrize("file", ["c164_h264_abs_eofr_meta.mkv", "c164_h265_abs_eofr_meta.mkv",
                                  "sink360_h264_aac_abs.mkv", "sink360_h264_scale10ms.mkv"])
def test_each_event_describes_its_fragment_and_leads_to_it(server, followed, file):
    stream, name = followed
    capture = mkv.capture(kinema.CAPTURES / file)
    numbers = [a["FragmentNumber"] for a in media.upload(server, stream, capture)]
    events = wait_events(server, name, stream, len(numbers))
    assert [e["fragmentNumber"] for e in events] == numbers
    assert [e["ordinal"] for e in events] == list(range(len(events)))
    listed = {f["FragmentNumber"]: f for f in server.archived(stream).list_fragments(
        StreamName=stream, FragmentSelector={"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": {
            "StartTimestamp": 1, "EndTimestamp": time.time() + 3600}})["Fragments"]}
    for event, fragment in zip(events, capture.fragments):
        jsonschema.validate(event, SCHEMA)
        fetch = event["links"]["getMediaForFragmentList"]
        assert fetch["path"] == "/getMediaForFragmentList"
        client = server.client("kinesis-video-archived-media", event["links"]["endpoint"])
        body = client.get_media_for_fragment_list(**fetch["body"])["Payload"].read()
        document = mkv.documents(body)[0]
        media.assert_same_media(document, fragment, capture)
        shown = listed[event["fragmentNumber"]]
        assert event["bytes"] == shown["FragmentSizeInBytes"] == fragment.end - fragment.start
        assert event["frameCount"] == len(fragment.frames) == sum(t["frameCount"] for t in event["tracks"])
        assert event["serverTimestampMs"] == round(shown["ServerTimestamp"].timestamp() * 1000)
        assert event["producerTimestampMs"] == round(shown["ProducerTimestamp"].timestamp() * 1000)
        assert event["durationMs"] >= shown["FragmentLengthInMilliseconds"]
        video = next(t for t in event["tracks"] if t["type"] == "video")
        assert video["codec"] == ("h265" if "h265" in file else "h264")
        assert video["width"] > 0 and video["height"] > 0
        assert event["keyFrames"][0]["timeMs"] < 100
        url = client.get_hls_streaming_session_url(
            **event["links"]["getHLSStreamingSessionURL"]["body"])["HLSStreamingSessionURL"]
        assert url.startswith(server.api)
    if "meta" in file:
        assert [t["name"] for t in events[0]["tags"]] == [f"TEST_KEY_{i}" for i in range(1, 10)]


def test_the_sample_sees_a_picture_of_every_fragment(server, followed):
    stream, name = followed
    capture = mkv.capture(kinema.CAPTURES / "sink360_h264_aac_abs.mkv")
    numbers = [a["FragmentNumber"] for a in media.upload(server, stream, capture)]
    wait_events(server, name, stream, len(numbers))
    done = subprocess.run(
        [sys.executable, kinema.ROOT / "samples" / "python" / "fragment_events.py", "--api", server.api,
         "--data-stream", name, "--from", "TRIM_HORIZON", "--once"], capture_output=True, text=True,
        timeout=120, env=kinema.clean_env(server.key.env()))
    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert [s["fragment"] for s in seen] == numbers
    assert all((s["width"], s["height"]) == (320, 240) or s["width"] > 0 for s in seen)
    assert all(len(s["colour"]) == 7 and s["colour"] != "#000000" for s in seen)


def test_the_sample_goes_on_when_the_server_is_back(make_server):
    server = make_server()
    stream, name = server.create_stream(), data_stream(server)
    ask(server, "PutFragmentEvents", stream, DataStreamName=name)
    follower = subprocess.Popen(
        [sys.executable, kinema.ROOT / "samples" / "python" / "fragment_events.py", "--api", server.api,
         "--data-stream", name, "--from", "TRIM_HORIZON"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=kinema.clean_env({**server.key.env(), "AWS_MAX_ATTEMPTS": "1"}))
    numbers, told = [], []
    try:
        for file in ("c164_h264_abs_eofr_meta.mkv", "sink360_h264_abs.mkv"):
            capture = mkv.capture(kinema.CAPTURES / file)
            numbers += [a["FragmentNumber"] for a in media.upload(server, stream, capture)]
            while len(told) < len(numbers):
                line = follower.stdout.readline()
                assert line, f"it has ended after {told}: {follower.communicate()}"
                told.append(json.loads(line)["fragment"])
            server.stop()
            assert "tried again" in follower.stderr.readline()
            server.start()
    finally:
        follower.terminate()
        follower.communicate(timeout=60)
    assert told == numbers


def expire(kinesis, stale):
    """GetRecords by one of these finds that it is too old."""
    def answer(request, **_):
        if json.loads(request.body)["ShardIterator"] not in stale:
            return None
        body = io.BytesIO(b'{"__type": "ExpiredIteratorException", "message": "Iterator expired."}')
        body.stream = lambda **_: [body.read()]
        return botocore.awsrequest.AWSResponse(request.url, 400, {}, body)
    kinesis.meta.events.register("before-send.kinesis.GetRecords", answer)


@pytest.mark.parametrize("start", ["TRIM_HORIZON", "LATEST"])
def test_the_sample_goes_on_where_an_expired_iterator_was(server, start):
    name, kinesis = data_stream(server, shards=2), server.client("kinesis")
    shards, stale, found = shards_of(kinesis, name, start), set(), []
    expire(kinesis, stale)
    for n in range(6):
        kinesis.put_record(StreamName=name, PartitionKey=str(n), Data=b"%d" % n)
        stale.update(shards.iterators.values())
        found += [record["Data"] for record in shards.read()]
        if n == 3:
            kinesis.put_record(StreamName=name, PartitionKey="x", Data=b"x")
            broken = next(shards.read())["Data"]  # whose reader fails: it comes again
    assert broken == b"x" and sorted(found) == [b"0", b"1", b"2", b"3", b"4", b"5", b"x"]


# --- crashes -----------------------------------------------------------------------------------
def test_kill_9_between_fragment_and_event_loses_none_and_repeats_none(make_server):
    print(f"KINEMA_SEED={SEED} KINEMA_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = make_server()
    name = data_stream(server, shards=2)
    all_of_them = [cameras.Camera(server, server.create_stream(), seed=SEED, every_s=0.02)
                   for _ in range(3)]
    for camera in all_of_them:
        ask(server, "PutFragmentEvents", camera.stream, DataStreamName=name)
        camera.start()
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.02, 0.8))
        server.kill9()
        server.start()
    for camera in all_of_them:
        camera.wait_acked(ROUNDS + 1)
    cameras.stop(all_of_them)
    found = sum(assert_complete(server, name, c.stream) for c in all_of_them)
    assert found > 3 * ROUNDS, "hardly any fragments: no proof"
    server.stop()
    assert "problems=0" in kinema.run("check", "--data", server.data).stdout


def test_events_stay_whole_over_splits_and_merges_under_load_and_kill_9(make_server):
    print(f"KINEMA_SEED={SEED}")
    chance = random.Random(SEED)
    server = make_server()
    name = data_stream(server)
    kinesis = server.client("kinesis")
    camera = cameras.Camera(server, server.create_stream(), seed=SEED, every_s=0.01)
    ask(server, "PutFragmentEvents", camera.stream, DataStreamName=name)
    camera.start()
    for count in (2, 4, 2, 3, 2):
        camera.wait_acked(10)
        kinesis.update_shard_count(StreamName=name, TargetShardCount=count, ScalingType="UNIFORM_SCALING")
        if chance.random() < 0.5:
            server.kill9()
            server.start()
    camera.wait_acked(10)
    cameras.stop([camera])
    assert assert_complete(server, name, camera.stream) >= 60


def test_exchanged_under_load_each_event_goes_to_one_of_the_two(server, stream):
    names = [data_stream(server), data_stream(server)]
    camera = cameras.Camera(server, stream, seed=SEED, every_s=0.005)
    ask(server, "PutFragmentEvents", stream, DataStreamName=names[0])
    camera.start()
    for turn in range(1, 8):
        camera.wait_acked(6)
        ask(server, "PutFragmentEvents", stream, DataStreamName=names[turn % 2])
    camera.wait_acked(6)
    cameras.stop([camera])
    wanted, deadline = persisted(server, stream), time.monotonic() + PATIENCE_S
    while True:
        found = [numbers_of(events_of(server, name), stream) for name in names]
        if sum(map(len, found)) >= len(wanted) or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    assert sorted(found[0] + found[1], key=int) == wanted
    for one in found:
        assert one == sorted(one, key=int)


# --- setting it --------------------------------------------------------------------------------
def upload_some(server, stream, count, start=None):
    start = start or wire.now_ms() - 3600000
    with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as upload:
        upload.finish(wire.header() + b"".join(wire.cluster(start + i * 1000) for i in range(count)))
        assert upload.error() is None
        return [a["FragmentNumber"] for a in upload.acks if a["EventType"] == "PERSISTED"]


def test_events_begin_when_they_are_asked_for_and_end_when_they_are_removed(server, stream):
    name = data_stream(server)
    assert ask(server, "DescribeFragmentEvents", stream) == {"Status": "OFF"}
    now = wire.now_ms()
    upload_some(server, stream, 3, now - 3000000)
    ask(server, "PutFragmentEvents", stream, DataStreamName=name)
    wanted = upload_some(server, stream, 3, now - 2000000)
    assert numbers_of(wait_events(server, name, stream, 3), stream) == wanted
    wait_for(lambda: ask(server, "DescribeFragmentEvents", stream) == {
        "Status": "ACTIVE", "DataStreamName": name, "SentCount": 3, "LostCount": 0, "MillisBehind": 0})
    ask(server, "DeleteFragmentEvents", stream)
    assert ask(server, "DescribeFragmentEvents", stream) == {"Status": "OFF"}
    upload_some(server, stream, 3, now - 1000000)
    ask(server, "PutFragmentEvents", stream, DataStreamName=name)
    wanted += upload_some(server, stream, 2, now - 500000)
    assert numbers_of(wait_events(server, name, stream, 5), stream) == wanted


def test_events_are_among_the_data_streams_incoming_records(server, followed):
    stream, name = followed
    series = f'kinema_data_stream_incoming_records_total{{stream="{name}"}} 3\n'

    def is_told():
        with urllib.request.urlopen(server.console + "/metrics", timeout=30) as answer:
            return series in answer.read().decode()

    upload_some(server, stream, 3)
    wait_for(is_told)


def test_the_tag_and_the_operation_are_one_setting(server):
    kvs, first, second = server.kvs(), data_stream(server), data_stream(server)
    tag = "kinema:event-stream"
    stream = server.create_stream(Tags={tag: first, "room": "yard"})
    told = ask(server, "DescribeFragmentEvents", stream)
    assert (told["Status"], told["DataStreamName"]) == ("ACTIVE", first)
    wanted = upload_some(server, stream, 2)
    assert numbers_of(wait_events(server, first, stream, 2), stream) == wanted
    kvs.tag_stream(StreamName=stream, Tags={tag: second, "floor": "1"})
    assert ask(server, "DescribeFragmentEvents", stream)["DataStreamName"] == second
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"] == {tag: second, "room": "yard", "floor": "1"}
    ask(server, "PutFragmentEvents", stream, DataStreamName=first)
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"][tag] == first
    kvs.untag_stream(StreamName=stream, TagKeyList=[tag])
    assert ask(server, "DescribeFragmentEvents", stream) == {"Status": "OFF"}
    assert kvs.list_tags_for_stream(StreamName=stream)["Tags"] == {"room": "yard", "floor": "1"}


def test_a_data_stream_that_does_not_exist_is_refused(server, stream):
    kvs = server.kvs()
    fault, message = ask(server, "PutFragmentEvents", stream, expect=404, DataStreamName="nowhere")
    assert (fault, message) == ("ResourceNotFoundException",
                                "The data stream nowhere is not found or not active.")
    for tag in ({"kinema:event-stream": "nowhere"}, {"kinema:event-stream": ""}):
        with raises("InvalidArgumentException", match="is not found or not active"):
            kvs.tag_stream(StreamName=stream, Tags=tag)
        with raises("InvalidArgumentException", match="is not found or not active"):
            server.create_stream(Tags=tag)
    assert ask(server, "PutFragmentEvents", "no-such-camera", expect=404, DataStreamName="x")[0] == \
        "ResourceNotFoundException"
    assert ask(server, "PutFragmentEvents", stream, expect=400)[0] == "InvalidArgumentException"


def test_who_may_tag_a_camera_sends_its_events_nowhere_else(server, stream):
    name = data_stream(server)
    camera = server.create_key("--allow", "kinesisvideo:*", "--stream", stream)
    with raises("InvalidArgumentException", match="not authorized to perform: kinema:PutFragmentEvents"):
        server.kvs(key=camera).tag_stream(StreamName=stream, Tags={"kinema:event-stream": name})
    half = server.create_key("--allow", "kinema:*", "--stream", stream)
    fault, message = ask(server, "PutFragmentEvents", stream, key=half, expect=401, DataStreamName=name)
    assert fault == "NotAuthorizedException" and "kinesis:PutRecord" in message


def test_a_deleted_data_stream_is_told_and_one_made_anew_goes_on(server, followed):
    stream, name = followed
    kinesis, now = server.client("kinesis"), wire.now_ms()
    upload_some(server, stream, 2, now - 3000000)
    wait_events(server, name, stream, 2)
    kinesis.delete_stream(StreamName=name)
    upload_some(server, stream, 2, now - 2000000)  # uploads go on
    wait_for(lambda: ask(server, "DescribeFragmentEvents", stream)["Status"] == "NO_DATA_STREAM")
    wait_for(lambda: ask(server, "DescribeFragmentEvents", stream)["MillisBehind"] > 0)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    wanted = upload_some(server, stream, 2, now - 1000000)
    assert numbers_of(wait_events(server, name, stream, 2), stream) == wanted
    wait_for(lambda: ask(server, "DescribeFragmentEvents", stream)["Status"] == "ACTIVE")


# --- in the console ----------------------------------------------------------------------------
def test_the_console_shows_and_sets_where_events_go(server, stream):
    name, path = data_stream(server), f"/kinema/v1/streams/{stream}/events"
    browser = Browser(server)
    assert browser.login(server.key)[0] == 200
    assert browser.get(path) == (200, {"status": "OFF", "canPut": True, "canRemove": True})
    status, now = browser.post(path, {"dataStream": name})
    assert status == 200 and (now["status"], now["dataStream"]) == ("ACTIVE", name)
    wanted = upload_some(server, stream, 2)
    assert numbers_of(wait_events(server, name, stream, 2), stream) == wanted
    wait_for(lambda: [browser.get(path)[1][key] for key in ("sent", "lost", "behindMs")] == [2, 0, 0])
    wait_for(lambda: f'kinema_fragment_events_behind_seconds{{stream="{stream}"}} 0\n' in
             urllib.request.urlopen(server.console + "/metrics", timeout=30).read().decode())
    assert browser.post(path, {"dataStream": "nowhere"})[:1] == (404,)
    assert browser.get(path)[1]["dataStream"] == name
    assert browser.post(path, {"dataStream": ""}) == (200, {"status": "OFF", "canPut": True, "canRemove": True})
    for body in (b"[]", b"{", {}, {"dataStream": 1}, {"other": "x"}):
        assert browser.post(path, body, headers={"Content-Type": "application/json"})[0] == 400


def test_the_consoles_switch_needs_the_rights_of_the_operations(server, stream):
    name, path = data_stream(server), f"/kinema/v1/streams/{stream}/events"
    viewer = Browser(server)
    viewer.login(server.create_key("--allow", "kinema:DescribeFragmentEvents", "--stream", stream))
    assert viewer.get(path)[1] == {"status": "OFF", "canPut": False, "canRemove": False}
    assert viewer.post(path, {"dataStream": name})[0] == 404
    half = Browser(server)
    half.login(server.create_key("--allow", "kinema:*", "--stream", stream))
    assert half.post(path, {"dataStream": name})[1]["error"] == "no_such_data_stream"
