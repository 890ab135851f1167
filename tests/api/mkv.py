# SPDX-License-Identifier: Apache-2.0
"""Matroska as the API tests need it: captures taken apart into fragments and frames, and what GetMedia
sends taken apart into documents. Written from RFC 8794 and RFC 9559, apart from the product's parser.
"""

import dataclasses

EBML, SEGMENT, INFO, TRACKS, TAGS, CLUSTER, VOID = (
    0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1254C367, 0x1F43B675, 0xEC)
TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
TAG, TARGETS, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x7373, 0x63C0, 0x67C8, 0x45A3, 0x4487
SCALE = 0x2AD7B1
UNKNOWN = None
END_OF_FRAGMENT = "AWS_KINESISVIDEO_END_OF_FRAGMENT"


def element(data, at):
    """(id, size or None when unknown, length of the head)"""
    first = data[at]
    id_len = 9 - first.bit_length()
    assert first and id_len <= 4, f"no element at {at}"
    ident = int.from_bytes(data[at:at + id_len], "big")
    first = data[at + id_len]
    size_len = 9 - first.bit_length()
    assert first, f"no size at {at}"
    raw = int.from_bytes(data[at + id_len:at + id_len + size_len], "big")
    size = raw & ((1 << 7 * size_len) - 1)
    assert at + id_len + size_len <= len(data), "the data ends inside a head"
    return ident, UNKNOWN if size == (1 << 7 * size_len) - 1 else size, id_len + size_len


@dataclasses.dataclass
class Frame:
    track: int
    time: int  # relative to the Cluster's timestamp, in units of TimestampScale
    key: bool
    payload: bytes


def frame(block):
    assert block[0] & 0x80, "track numbers of one byte"
    return Frame(block[0] & 0x7F, int.from_bytes(block[1:3], "big", signed=True),
                 bool(block[3] & 0x80), bytes(block[4:]))


def tags(data):
    """The SimpleTags of a Tags element's payload, as a list of (name, value)."""
    found, at = [], 0
    while at < len(data):
        ident, size, head = element(data, at)
        at += head
        if ident in (TAG, SIMPLE_TAG):
            continue
        if ident == TAG_NAME:
            found.append((data[at:at + size].rstrip(b"\0").decode(), ""))
        elif ident == TAG_STRING:
            found[-1] = (found[-1][0], data[at:at + size].decode())
        at += size
    return found


@dataclasses.dataclass
class Fragment:
    start: int = 0
    cluster: int = 0
    end: int = 0
    timecode: int = 0
    frames: list = dataclasses.field(default_factory=list)
    marks: list = dataclasses.field(default_factory=list)  # after each whole element
    tags: list = dataclasses.field(default_factory=list)
    end_tag: bool = False
    data: bytes = b""


class Capture:
    """A PutMedia body: .data, .header (bytes), .fragments, .scale_ns."""

    def __init__(self, data):
        self.data, self.fragments, self.scale_ns, self.rest = data, [], 1000000, b""
        at = self._header()
        while at < len(data):
            at = self._fragment(at)

    def _header(self):
        at = 0
        while True:
            ident, size, head = element(self.data, at)
            payload = self.data[at + head:at + head + (size or 0)]
            if ident == CLUSTER or (ident == TAGS and b"\x63\xC0" not in payload):
                self.header = self.data[:at]
                return at
            if ident == INFO and b"\x2A\xD7\xB1" in payload:
                where = payload.index(b"\x2A\xD7\xB1") + 3
                width = payload[where] & 0x7F
                self.scale_ns = int.from_bytes(payload[where + 1:where + 1 + width], "big")
            at += head if ident == SEGMENT else head + size

    def _fragment(self, at):
        """Leading Tags, Cluster, trailing Tags up to the END_OF_FRAGMENT tag or the next Cluster."""
        one, end, in_cluster = Fragment(start=at), len(self.data), False
        while at < end and not one.end_tag:
            try:
                ident, size, head = element(self.data, at)
            except (AssertionError, IndexError):
                self.rest = self.data[one.start:]
                return end
            if ident == CLUSTER and one.cluster:
                break
            if ident != CLUSTER and at + head + size > end:
                self.rest = self.data[one.start:]  # cut off
                return end
            body = self.data[at + head:at + head + (size or 0)]
            if ident == CLUSTER:
                one.cluster, in_cluster = at, True
                at += head
                continue
            if ident == TAGS:
                in_cluster = False
                one.tags += tags(body)
                one.end_tag = any(name == END_OF_FRAGMENT for name, _ in tags(body))
            elif not in_cluster:
                raise AssertionError(f"element {ident:x} between fragments")
            if ident == TIMESTAMP:
                one.timecode = int.from_bytes(body, "big")
            elif ident == SIMPLE_BLOCK:
                one.frames.append(frame(body))
            at += head + size
            one.marks.append(at)
        one.end = at
        one.data = self.data[one.start:at]
        self.fragments.append(one)
        return at

    def ms(self, one):
        return one.timecode * self.scale_ns // 1000000


def capture(path):
    with open(path, "rb") as f:
        return Capture(f.read())


@dataclasses.dataclass
class Document:
    """One of the Matroska documents in what GetMedia sends."""
    ebml: bytes = b""
    segment_head: bytes = b""
    header: bytes = b""   # between the Segment's head and the first Tags without Targets
    head_tags: dict = dataclasses.field(default_factory=dict)  # right before the Cluster
    tail_tags: dict = dataclasses.field(default_factory=dict)  # the very last, if ours
    cluster: bytes = b""
    timecode: int = None
    frames: list = dataclasses.field(default_factory=list)
    data: bytes = b""

    @property
    def number(self):
        return self.head_tags.get("AWS_KINESISVIDEO_FRAGMENT_NUMBER")

    @property
    def token(self):
        return self.tail_tags.get("AWS_KINESISVIDEO_CONTINUATION_TOKEN")

    @property
    def error(self):
        return self.head_tags.get("AWS_KINESISVIDEO_ERROR_CODE")


def documents(data, whole=True):
    """All documents of a body. whole=False: the last one may be cut off anywhere."""
    found, at, starts = [], 0, []
    last_tags, cluster_at, header_at = {}, None, 0
    while at < len(data):
        try:
            ident, size, head = element(data, at)
        except (AssertionError, IndexError):
            assert not whole, f"garbage at {at} of {len(data)}"
            break
        if size is not UNKNOWN and ident not in (SEGMENT, CLUSTER) and at + head + size > len(data):
            assert not whole, "the last document is cut off"
            break
        body = data[at + head:at + head + (size or 0)]
        if ident == EBML:
            found.append(Document(ebml=data[at:at + head + size]))
            starts.append(at)
            cluster_at, header_at = None, 0
        one = found[-1]
        if ident == SEGMENT:
            one.segment_head, header_at = data[at:at + head], at + head
        elif ident == CLUSTER:
            assert cluster_at is None, "two Clusters in one document"
            cluster_at = at
            one.head_tags = last_tags
        elif ident == TAGS:
            names = dict(tags(body))
            if b"\x63\xC0" not in body and not one.header:
                one.header = data[header_at:at]
            if cluster_at is None:
                one.head_tags = last_tags = names
            elif "AWS_KINESISVIDEO_CONTINUATION_TOKEN" in names:
                one.tail_tags = names
                one.cluster = data[cluster_at:at]
        elif ident == TIMESTAMP:
            one.timecode = int.from_bytes(body, "big")
        elif ident == SIMPLE_BLOCK:
            one.frames.append(frame(body))
        at += head + (0 if ident in (SEGMENT, CLUSTER) else size)
        one.data = data[starts[-1]:at]
        if cluster_at is not None and not one.tail_tags:
            one.cluster = data[cluster_at:at]
    return found
