# SPDX-License-Identifier: Apache-2.0
"""What the HLS tests share: sessions by boto3, their resources by urllib, playlists taken apart, and
media made by ffmpeg."""

import dataclasses
import datetime
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import mkv

DAY_S = 24 * 3600 - 60


def at_s(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def around_now():
    """A range that holds everything just uploaded, clamped by the server to now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"StartTimestamp": now - datetime.timedelta(hours=20),
            "EndTimestamp": now + datetime.timedelta(hours=2)}


def open_session(server, stream, mode="ON_DEMAND", selector="SERVER_TIMESTAMP", times=None,
                 client=None, **options):
    """The session's URL."""
    client = client or server.archived(stream, "GET_HLS_STREAMING_SESSION_URL")
    if mode != "LIVE":
        options.setdefault("HLSFragmentSelector", {
            "FragmentSelectorType": selector, "TimestampRange": times or around_now()})
    return client.get_hls_streaming_session_url(
        StreamName=stream, PlaybackMode=mode, **options)["HLSStreamingSessionURL"]


def produced(server, stream):
    """The selector of an upload by its own clock. An upload faster than real time has its fragments
    a millisecond apart on the server's: by that clock they overlap, as on AWS."""
    found = server.archived(stream).list_fragments(StreamName=stream, MaxResults=1000,
                                                   FragmentSelector={
        "FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": around_now()})["Fragments"]
    times = [f["ProducerTimestamp"] for f in found]
    return {"selector": "PRODUCER_TIMESTAMP",
            "times": {"StartTimestamp": min(times) - datetime.timedelta(seconds=1),
                      "EndTimestamp": max(times) + datetime.timedelta(seconds=1)}}


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode()


def get(url, method="GET", context=None, **headers):
    request = urllib.request.Request(
        url, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


@dataclasses.dataclass
class Segment:
    url: str
    seconds: float
    number: str
    discontinuity: bool
    time: str
    init: str
    gap: bool


@dataclasses.dataclass
class Playlist:
    text: str
    segments: list
    sequence: int
    discontinuity_sequence: int
    target: int
    ended: bool
    vod: bool


def tag(text, name, default=None):
    found = re.search(rf"^#{name}:(.*)$", text, re.M)
    return found.group(1) if found else default


def parse(url, text):
    assert text.startswith("#EXTM3U\n"), text
    segments, pending = [], {"discontinuity": False, "time": None, "gap": False}
    init, seconds = None, None
    for line in text.splitlines():
        if line == "#EXT-X-DISCONTINUITY":
            pending["discontinuity"] = True
        elif line == "#EXT-X-GAP":
            pending["gap"] = True
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            pending["time"] = line.split(":", 1)[1]
        elif line.startswith("#EXT-X-MAP:"):
            init = urllib.parse.urljoin(url, re.search('URI="([^"]+)"', line).group(1))
        elif line.startswith("#EXTINF:"):
            seconds = float(line[8:].rstrip(","))
        elif line and not line.startswith("#"):
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(line).query)
            segments.append(Segment(urllib.parse.urljoin(url, line), seconds,
                                    query["FragmentNumber"][0], init=init, **pending))
            pending = {"discontinuity": False, "time": None, "gap": False}
    return Playlist(text, segments, int(tag(text, "EXT-X-MEDIA-SEQUENCE", -1)),
                    int(tag(text, "EXT-X-DISCONTINUITY-SEQUENCE", 0)),
                    int(tag(text, "EXT-X-TARGETDURATION", 0)),
                    text.endswith("#EXT-X-ENDLIST\n"), "#EXT-X-PLAYLIST-TYPE:VOD\n" in text)


def master(url):
    answer = get(url)
    assert answer.status == 200, answer
    return answer.text


def playlist_url(url, track=1):
    text = master(url)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    lines += re.findall('TYPE=AUDIO,URI="([^"]+)"', text)
    assert len(lines) >= track, text
    return urllib.parse.urljoin(url, lines[track - 1])


def playlist(url, track=1):
    """The media playlist of a session's URL."""
    media = playlist_url(url, track)
    answer = get(media)
    assert answer.status == 200, answer
    return parse(media, answer.text)


# --- ffmpeg ----------------------------------------------------------------------------------------

def make(path, *args):
    """A Matroska file by ffmpeg, one Cluster a GOP, taken apart."""
    run("ffmpeg", "-v", "error", "-y", *args, "-f", "matroska", "-live", "1",
        "-cluster_time_limit", "60000", "-cluster_size_limit", "500000000", str(path))
    return mkv.capture(path)


def picture(seconds, size="320x180", rate=25):
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]


def tone(seconds, rate=48000):
    return ["-f", "lavfi", "-i", f"sine=f=440:r={rate}:d={seconds}"]


X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25",
        "-sc_threshold", "0"]


def run(*command):
    done = subprocess.run(list(command), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def frame_digests(source, kind="v"):
    """MD5 of each decoded frame in order of presentation; decoding must not complain."""
    done = run("ffmpeg", "-v", "error", "-i", str(source), "-map", f"0:{kind}:0", "-fps_mode",
               "passthrough", "-f", "framemd5", "-")
    assert not done.stderr, done.stderr
    return [line.split(",")[5].strip() for line in done.stdout.splitlines()
            if line and not line.startswith("#")]


def packets(source, kind="v"):
    """(pts in s, size, key) of each packet as ffprobe sees it."""
    done = run("ffprobe", "-v", "error", "-select_streams", f"{kind}:0", "-show_entries",
               "packet=pts_time,size,flags", "-of", "csv=p=0", str(source))
    assert not done.stderr, done.stderr
    rows = [line.split(",") for line in done.stdout.splitlines() if line]
    return [(float(row[0]), int(row[1]), row[2].startswith("K")) for row in rows]


def ts_times(body, pid=0x100):
    """(pts, dts) of each PES packet of a TS segment, in ticks of 90 kHz: what is in the bytes, since
    ffprobe makes up decode times of its own."""
    def ticks(field):
        return ((field[0] >> 1 & 7) << 30 | field[1] << 22 | field[2] >> 1 << 15 | field[3] << 7 |
                field[4] >> 1)

    found = []
    for at in range(0, len(body), 188):
        packet = body[at:at + 188]
        if not packet[1] & 0x40 or (packet[1] & 0x1f) << 8 | packet[2] != pid:
            continue
        pes = packet[4 + (packet[4] + 1 if packet[3] & 0x20 else 0):]
        assert pes[:3] == b"\0\0\1" and pes[7] & 0x80
        pts = ticks(pes[9:14])
        found.append((pts, ticks(pes[14:19]) if pes[7] & 0x40 else pts))
    return found
