# SPDX-License-Identifier: Apache-2.0
"""What the DASH tests share: sessions by boto3, manifests taken apart (ISO/IEC 23009-1)."""

import dataclasses
import re
import urllib.parse
import xml.etree.ElementTree

import hls

NS = {"d": "urn:mpeg:dash:schema:mpd:2011"}
KVS = "{urn:amazon:kinesisvideo}"


def open_session(server, stream, mode="ON_DEMAND", selector="SERVER_TIMESTAMP", times=None,
                 client=None, **options):
    """The session's URL."""
    client = client or server.archived(stream, "GET_DASH_STREAMING_SESSION_URL")
    if mode != "LIVE":
        options.setdefault("DASHFragmentSelector", {
            "FragmentSelectorType": selector, "TimestampRange": times or hls.around_now()})
    return client.get_dash_streaming_session_url(
        StreamName=stream, PlaybackMode=mode, **options)["DASHStreamingSessionURL"]


@dataclasses.dataclass
class Segment:
    url: str
    number: int
    time: int  # in the media, ms
    duration: int
    shown: int  # in the presentation, ms
    attributes: dict


@dataclasses.dataclass
class Set:
    kind: str
    init: str
    offset: int
    start_number: int
    segments: list
    representation: dict


@dataclasses.dataclass
class Period:
    id: str
    start: int
    duration: int
    sets: list

    def track(self, kind="video"):
        return next(s for s in self.sets if s.kind == kind)


@dataclasses.dataclass
class Manifest:
    text: str
    attributes: dict
    periods: list

    def segments(self, kind="video"):
        return [s for p in self.periods for t in p.sets if t.kind == kind for s in t.segments]


def milliseconds(duration):
    found = re.fullmatch(r"PT(\d+)\.(\d{3})S", duration)
    return int(found.group(1)) * 1000 + int(found.group(2))


def parse_set(url, element, start):
    template = element.find("d:SegmentTemplate", NS)
    assert template.get("timescale") == "1000"
    offset, number = (int(template.get(n)) for n in ("presentationTimeOffset", "startNumber"))
    segments = []
    for i, s in enumerate(template.findall("d:SegmentTimeline/d:S", NS)):
        assert s.get("r") is None
        address = template.get("media").replace("$Number$", str(number + i))
        segments.append(Segment(urllib.parse.urljoin(url, address), number + i, int(s.get("t")),
                                int(s.get("d")), start + int(s.get("t")) - offset, s.attrib))
    return Set(element.get("contentType"), urllib.parse.urljoin(url, template.get("initialization")),
               offset, number, segments, element.find("d:Representation", NS).attrib)


def parse(url, text):
    root = xml.etree.ElementTree.fromstring(text)
    children = [child.tag.partition("}")[2] for child in root]  # in the order of the schema
    timing = ["UTCTiming"] if root.get("type") == "dynamic" else []
    assert children == ["Period"] * len(root.findall("d:Period", NS)) + timing
    periods = []
    for element in root.findall("d:Period", NS):
        start = milliseconds(element.get("start"))
        periods.append(Period(element.get("id"), start,
                              milliseconds(element.get("duration", "PT0.000S")),
                              [parse_set(url, s, start)
                               for s in element.findall("d:AdaptationSet", NS)]))
    return Manifest(text, root.attrib, periods)


def manifest(url):
    answer = hls.get(url)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/dash+xml"
    return parse(url, answer.text)
