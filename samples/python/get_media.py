#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Follows a stream by GetMedia and writes what comes to standard output, for a player or a file.

    ./get_media.py --api http://127.0.0.1:4566 --stream cam | ffplay -
    ./get_media.py --api http://127.0.0.1:4566 --stream cam --from EARLIEST --once > all.mkv

An answer ends after 3 s without media, as AWS's does; then the next one goes on after the last whole
fragment, by its continuation token, until there is an interrupt (or, with --once, at once). So it does
when the server has gone away for a while; a fragment that was cut off then comes again from its beginning.
A Kinema server waits longer when it is asked to: --idle-ms, 0 for as long as it takes.
Each fragment is told on standard error. Credentials and region come from where boto3 looks for them.
"""

import argparse
import re
import sys
import time

import boto3
import botocore.exceptions
import urllib3.exceptions

# The service writes tags with sizes of 4 bytes: TagName, then TagString (45A3, 4487). A tag is well
# under 200 bytes, so a look at the last bytes before each read finds one that lies across two reads.
TOKEN = re.compile(rb"AWS_KINESISVIDEO_CONTINUATION_TOKEN\x44\x87\x10\x00\x00.(\d+)", re.DOTALL)
BEHIND = re.compile(rb"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW\x44\x87\x10\x00\x00.(\d+)", re.DOTALL)
OVERLAP_BYTES, NUMBER_DIGITS = 300, 47
READ_BYTES = 64 << 10
AWAY_S = 1
AWAY = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError, urllib3.exceptions.HTTPError)


def client(api, stream, cafile, idle_ms):
    session = boto3.session.Session()
    region = session.region_name or "us-east-1"
    kvs = session.client("kinesisvideo", endpoint_url=api, region_name=region, verify=cafile)
    endpoint = kvs.get_data_endpoint(StreamName=stream, APIName="GET_MEDIA")["DataEndpoint"]
    media = session.client("kinesis-video-media", endpoint_url=endpoint, region_name=region,
                           verify=cafile)
    if idle_ms is not None:
        media.meta.events.register(
            "before-sign.kinesis-video-media.GetMedia", lambda request, **_:
            request.headers.add_header("x-kinema-idle-timeout-ms", str(idle_ms)))
    return media


def read(body, out, say):
    """Copies a body; yields each continuation token in it."""
    token, tail = None, b""
    # by HTTP chunks, not by StreamingBody.read(), which waits until as much as asked for has come
    for data in body._raw_stream.stream(READ_BYTES, decode_content=False):
        out.write(data)
        out.flush()
        window = tail + data
        for found in TOKEN.finditer(window):
            new = found.group(1).decode()
            if len(new) == NUMBER_DIGITS and new != token:
                token = new
                behind = BEHIND.findall(window[:found.start()])
                say(f"fragment {token}, {int(behind[-1]) if behind else '?'} ms behind")
                yield token
        tail = window[-OVERLAP_BYTES:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--api", required=True, help="the control plane, such as http://127.0.0.1:4566")
    parser.add_argument("--stream", required=True)
    parser.add_argument("--from", dest="start", default="NOW", metavar="NOW|EARLIEST|<number>",
                        help="where to begin; a fragment number: after it")
    parser.add_argument("--idle-ms", type=int, help="Kinema only: wait so long for media, 0 for ever")
    parser.add_argument("--once", action="store_true", help="end with the first answer")
    parser.add_argument("--ca", help="certificate to trust, for https")
    args = parser.parse_args()

    media = client(args.api, args.stream, args.ca, args.idle_ms)
    if args.start in ("NOW", "EARLIEST"):
        selector = {"StartSelectorType": args.start}
    else:
        selector = {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": args.start}

    def say(text):
        print(text, file=sys.stderr, flush=True)

    while True:
        try:
            answer = media.get_media(StreamName=args.stream, StartSelector=selector)
            for token in read(answer["Payload"], sys.stdout.buffer, say):
                selector = {"StartSelectorType": "CONTINUATION_TOKEN", "ContinuationToken": token}
        except AWAY as e:
            if args.once:
                sys.exit(f"get_media.py: {e}")
            say(f"tried again in {AWAY_S} s: {e}")
            time.sleep(AWAY_S)
        if args.once:
            return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as e:
        sys.exit(f"get_media.py: {e}")
