# SPDX-License-Identifier: Apache-2.0
"""What the tests of reading back share: uploads through the PutMedia sample, GetMedia by boto3."""

import datetime
import importlib.util
import json
import subprocess

import botocore.credentials

import kinema
import mkv


def load_sample(name):
    """A sample as a module; not by sys.path, since put_media.py here is another."""
    path = kinema.ROOT / "samples" / "python" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"sample_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


put_media = load_sample("put_media")

IDLE_MS = 400  # our own header: an answer need not wait for AWS's 3 s in every test


def open_upload(server, stream, timecodes="ABSOLUTE", **options):
    credentials = botocore.credentials.Credentials(server.key.id, server.key.secret,
                                                   server.key.token) if server.key else None
    return put_media.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, credentials,
                              kinema.REGION, timecodes, **options)


def upload(server, stream, capture, timecodes="ABSOLUTE", persisted=True, **options):
    """Sends a whole capture as fast as it goes; returns the acks of its fragments, in order."""
    with open_upload(server, stream, timecodes, **options) as one:
        for at in range(0, len(capture.data), 65524):
            one.send(capture.data[at:at + 65524])
        one.finish()
        acks = one.all_acks()
    assert not [a for a in acks if a["EventType"] == "ERROR"], acks
    kind = "PERSISTED" if persisted else "RECEIVED"
    found = [a for a in acks if a["EventType"] == kind]
    assert len(found) == len(capture.fragments), acks
    return found


def with_headers(client, **headers):
    """The client also sends these, signed; underscores stand for hyphens."""
    def add(request, **_):
        for name, value in headers.items():
            request.headers.add_header(name.replace("_", "-"), str(value))
    client.meta.events.register("before-sign", add)
    return client


def get_media(server, stream, start="EARLIEST", idle_ms=IDLE_MS, **selector):
    """The streaming body of a GetMedia call."""
    client = server.media(stream)
    if idle_ms is not None:
        with_headers(client, x_kinema_idle_timeout_ms=idle_ms)
    answer = client.get_media(StreamName=stream,
                              StartSelector={"StartSelectorType": start, **selector})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    return answer["Payload"]


def get_documents(server, stream, start="EARLIEST", **options):
    return mkv.documents(get_media(server, stream, start, **options).read())


def assert_same_media(document, fragment, capture):
    """The document carries exactly this fragment: header, Cluster, frames, byte for byte."""
    ebml = document.ebml
    assert capture.data.startswith(ebml)
    segment_head = mkv.element(capture.data, len(ebml))[2]
    assert document.segment_head == bytes.fromhex("1853806701ffffffffffffff")
    assert document.header == capture.header[len(ebml) + segment_head:]
    assert document.cluster == capture.data[fragment.cluster:fragment.end]
    assert document.timecode == fragment.timecode
    assert document.frames == fragment.frames


def at(ms):
    """A time for boto3, which keeps whole seconds only."""
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)


def server_ms(document):
    seconds, ms = document.head_tags["AWS_KINESISVIDEO_SERVER_TIMESTAMP"].split(".")
    return int(seconds) * 1000 + int(ms)


class Reader:
    """A streaming body read as its chunks come: .data is what has come so far."""

    def __init__(self, body):
        self.body, self.data = body, b""
        # StreamingBody.read() would wait until as much as asked for is there
        self.chunks = body._raw_stream.stream(64 << 10, decode_content=False)

    def until(self, enough):
        """Reads on until enough(self)."""
        while not enough(self):
            chunk = next(self.chunks, None)
            assert chunk is not None, f"the body ended after {len(self.data)} bytes"
            self.data += chunk
        return self

    def until_whole(self, count):
        """… until so many documents are whole: their closing tags have come."""
        marker = b"AWS_KINESISVIDEO_CONTINUATION_TOKEN"
        return self.until(lambda r: r.data.count(marker) >= count and
                          len([d for d in r.documents() if d.token]) >= count)

    def documents(self):
        return mkv.documents(self.data, whole=False)

    def close(self):
        self.body.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def probe(path, *args):
    done = subprocess.run(["ffprobe", "-v", "error", "-print_format", "json", *args, str(path)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return json.loads(done.stdout)
