#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at a picture of every fragment: reads fragment events from a data stream, fetches each fragment
with GetMediaForFragmentList, decodes its first key frame with ffmpeg and prints what it sees, a line of
JSON a fragment.

    ./fragment_events.py --api http://127.0.0.1:4566 --data-stream detections
    {"stream": "yard", "fragment": "9134…", "time": 1795866853.256, "width": 640, "height": 480, "colour": "#5a6b3c", …}

In the place of the mean colour stands what a model says. Shards are read parents before children, so the
events of a stream come in order, also over splits. While the server is away it is tried again; then all goes
on after the last event that was told. Needs ffmpeg and boto3; speaks to nothing but the AWS operations.
Credentials and region come from where boto3 looks for them.
"""

import argparse
import email.utils
import json
import subprocess
import sys
import time

import boto3
import botocore.exceptions
import urllib3.exceptions

EVENT_TYPE, EVENT_VERSION = "kinema.fragment", 1
POLL_S = 0.25
AWAY_S = 1
AWAY = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError, urllib3.exceptions.HTTPError)


class Shards:
    """The records of a data stream: of each shard once its parents are read to their end."""

    def __init__(self, kinesis, stream, start):
        self.kinesis, self.stream, self.behind = kinesis, stream, False
        # where each shard that is read goes on, as GetShardIterator wants it; an iterator is good for 5 minutes
        self.positions, self.iterators, self.ended = {}, {}, set()
        self.shards = self.list()
        if start == "LATEST":  # shards that are closed by now have nothing new
            self.ended.update(name for name, shard in self.shards.items()
                              if "EndingSequenceNumber" in shard["SequenceNumberRange"])
            for shard in set(self.shards) - self.ended:
                self.positions[shard] = {"ShardIteratorType": "LATEST"}
                self.iterators[shard] = self.iterator(shard)
        self.open()

    def list(self):
        answer = self.kinesis.list_shards(StreamName=self.stream)
        found = answer["Shards"]
        while "NextToken" in answer:
            answer = self.kinesis.list_shards(NextToken=answer["NextToken"])
            found += answer["Shards"]
        return {shard["ShardId"]: shard for shard in found}

    def open(self):
        for shard in set(self.shards) - self.ended - set(self.positions):
            if all(p in self.ended or p not in self.shards for p in self.parents(shard)):
                self.positions[shard] = {"ShardIteratorType": "TRIM_HORIZON"}

    def parents(self, shard):
        names = ("ParentShardId", "AdjacentParentShardId")
        return [self.shards[shard][name] for name in names if name in self.shards[shard]]

    def iterator(self, shard):
        answer = self.kinesis.get_shard_iterator(StreamName=self.stream, ShardId=shard, **self.positions[shard])
        if self.positions[shard]["ShardIteratorType"] == "LATEST":  # later is another place: it is a time
            date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
            self.positions[shard] = {"ShardIteratorType": "AT_TIMESTAMP",
                                     "Timestamp": email.utils.parsedate_to_datetime(date)}
        return answer["ShardIterator"]

    def page(self, shard):
        iterator = self.iterators.pop(shard, None)  # what ends in an error goes on by position
        try:
            return self.kinesis.get_records(ShardIterator=iterator or self.iterator(shard), Limit=100)
        except self.kinesis.exceptions.ExpiredIteratorException:
            return self.kinesis.get_records(ShardIterator=self.iterator(shard), Limit=100)

    def read(self):
        """One round over the shards, record by record; then `behind` says whether there is more right now. A
        record counts as read when the next one is asked for: after an error in between it comes again."""
        self.behind = False
        for shard in list(self.positions):
            answer = self.page(shard)
            for record in answer["Records"]:
                yield record
                self.positions[shard] = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                                         "StartingSequenceNumber": record["SequenceNumber"]}
            self.behind |= answer.get("MillisBehindLatest", 0) > 0
            if answer.get("NextShardIterator"):
                self.iterators[shard] = answer["NextShardIterator"]
                continue
            self.shards.update(self.list())
            self.ended.add(shard)
            del self.positions[shard]
            self.open()
            self.behind = True


class Media:
    """Fragments by the links of their events."""

    def __init__(self, session, region, cafile):
        self.session, self.region, self.cafile, self.clients = session, region, cafile, {}

    def fetch(self, event):
        """The fragment as a Matroska document, or None: it is gone already."""
        endpoint = event["links"]["endpoint"]
        if endpoint not in self.clients:
            self.clients[endpoint] = self.session.client(
                "kinesis-video-archived-media", endpoint_url=endpoint, region_name=self.region,
                verify=self.cafile)
        client = self.clients[endpoint]
        try:
            return client.get_media_for_fragment_list(
                **event["links"]["getMediaForFragmentList"]["body"])["Payload"].read()
        except client.exceptions.ResourceNotFoundException:
            return None


def event_of(record):
    """What a record holds, or None: others write here too."""
    try:
        event = json.loads(record["Data"])
    except ValueError:
        return None
    known = isinstance(event, dict) and (event.get("type"), event.get("version")) == (EVENT_TYPE, EVENT_VERSION)
    return event if known else None


def decode(document):
    """(width, height, pixels as RGB) of the first picture; None: there is none."""
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", "pipe:0", "-frames:v", "1", "-f",
                           "image2pipe", "-c:v", "ppm", "pipe:1"], input=document, capture_output=True,
                          check=False)
    if not done.stdout.startswith(b"P6\n"):
        return None
    size, _, pixels = done.stdout[3:].split(b"\n", 2)
    width, height = map(int, size.split())
    return width, height, pixels


def look(event, media):
    """What there is to say of a fragment."""
    seen = {"stream": event["streamName"], "fragment": event["fragmentNumber"],
            "ordinal": event["ordinal"], "time": event["serverTimestampMs"] / 1000,
            "frames": event["frameCount"], "tags": {t["name"]: t["value"] for t in event["tags"]}}
    if event["keyFrames"]:
        seen["keyFrameMs"] = event["keyFrames"][0]["timeMs"]
    document = media.fetch(event)
    if document is None:
        return {**seen, "gone": True}
    picture = decode(document) if any(t["type"] == "video" for t in event["tracks"]) else None
    if picture is None:
        return {**seen, "picture": False}
    width, height, pixels = picture
    mean = [sum(pixels[channel::3]) // (width * height) for channel in range(3)]
    return {**seen, "width": width, "height": height, "colour": "#%02x%02x%02x" % tuple(mean)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--api", required=True, help="such as http://127.0.0.1:4566")
    parser.add_argument("--data-stream", required=True)
    parser.add_argument("--from", dest="start", default="LATEST", choices=["LATEST", "TRIM_HORIZON"])
    parser.add_argument("--once", action="store_true", help="end when all that is there has been read")
    parser.add_argument("--ca", help="certificate to trust, for https")
    args = parser.parse_args()

    session = boto3.session.Session()
    region = session.region_name or "us-east-1"
    kinesis = session.client("kinesis", endpoint_url=args.api, region_name=region, verify=args.ca)
    media = Media(session, region, args.ca)
    shards = Shards(kinesis, args.data_stream, args.start)
    while True:
        seen = 0
        try:
            for seen, record in enumerate(shards.read(), 1):
                event = event_of(record)
                if event:
                    print(json.dumps(look(event, media)), flush=True)
        except AWAY as e:
            if args.once:
                raise
            print(f"tried again in {AWAY_S} s: {e}", file=sys.stderr, flush=True)
            time.sleep(AWAY_S)
            continue
        if not seen and not shards.behind:
            if args.once:
                return 0
            time.sleep(POLL_S)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError,
            urllib3.exceptions.HTTPError) as e:
        sys.exit(f"fragment_events.py: {e}")
