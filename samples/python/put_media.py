#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Uploads a Matroska file, or a stream on standard input, by PutMedia.

No AWS SDK for Python has PutMedia; this needs only the standard library, and botocore to sign.

    ffmpeg -re -i video.mp4 -c copy -f matroska -live 1 -cluster_time_limit 20000 -cluster_size_limit 50M - |
        ./put_media.py --api http://127.0.0.1:4566 --stream cam --timecodes RELATIVE

Credentials and region come from where botocore looks for them (AWS_ACCESS_KEY_ID, …). Each
acknowledgement is printed as one line of JSON. Exit code 0 when everything sent was persisted (or
received, by a stream that keeps nothing), 1 on an ERROR acknowledgement or a refused request.

Each Cluster becomes one fragment. With those limits ffmpeg begins one at each key frame; without them each
second, in the middle of a picture group too, and no player can start there.
"""

import argparse
import http.client
import json
import queue
import socket
import ssl
import sys
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.exceptions
import botocore.session

CHUNK_BYTES = 64 << 10
ACKS_TIMEOUT_S = 60


class Refused(Exception):
    """The request was answered by an error instead of acknowledgements."""

    def __init__(self, status, error, message):
        super().__init__(f"{status} {error}: {message}")
        self.status, self.error, self.message = status, error, message


class PutMedia:
    """One upload. Send pieces of a Matroska stream, split anywhere; acks arrive beside it."""

    def __init__(self, endpoint, stream, credentials, region="us-east-1", timecodes="ABSOLUTE",
                 start=None, headers=None, cafile=None, timeout=60):
        self.url = urllib.parse.urlsplit(endpoint)
        self.acks = queue.Queue()  # dicts, then None at the end or an exception
        self.socket = socket.create_connection((self.url.hostname, self._port()), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.url.scheme == "https":
            context = ssl.create_default_context(cafile=cafile)
            context.set_alpn_protocols(["http/1.1"])  # acks flow while the body is sent
            self.socket = context.wrap_socket(self.socket, server_hostname=self.url.hostname)
        self._send_head(stream, credentials, region, timecodes, start, headers or {})
        self.reader = threading.Thread(target=self._read_answer, daemon=True)
        self.reader.start()

    def _port(self):
        return self.url.port or (443 if self.url.scheme == "https" else 80)

    def _send_head(self, stream, credentials, region, timecodes, start, headers):
        fields = {
            "x-amzn-stream-name": stream,
            "x-amzn-fragment-timecode-type": timecodes,
            "x-amzn-producer-start-timestamp": f"{time.time() if start is None else start:.3f}",
            "Transfer-Encoding": "chunked",
            "Connection": "keep-alive",
            **headers,
        }
        request = botocore.awsrequest.AWSRequest(
            "POST", f"{self.url.scheme}://{self.url.netloc}/putMedia", headers=fields, data=b"")
        if credentials:  # the body is not signed: its hash is that of an empty one
            botocore.auth.SigV4Auth(credentials, "kinesisvideo", region).add_auth(request)
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        if "Host" not in request.headers:
            lines.insert(0, f"Host: {self.url.netloc}")
        head = "POST /putMedia HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
        self.socket.sendall(head.encode())

    def send(self, data):
        if data:
            self.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self):
        """No more media. The last acks still come."""
        self.socket.sendall(b"0\r\n\r\n")

    def close(self):
        """Breaks off, whatever is under way."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.reader.join(10)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def next_ack(self, timeout=ACKS_TIMEOUT_S):
        """The next ack; None when the answer has ended. Raises what broke it."""
        ack = self.acks.get(timeout=timeout)
        if isinstance(ack, Exception):
            raise ack
        return ack

    def wait_for(self, event, count=1, timeout=ACKS_TIMEOUT_S):
        """Reads acks until `count` of this type have come; returns those. An ERROR ack ends it."""
        found = []
        while len(found) < count:
            ack = self.next_ack(timeout)
            if ack is None or ack["EventType"] == "ERROR":
                raise AssertionError(f"{len(found)} {event} acks, then {ack}")
            if ack["EventType"] == event:
                found.append(ack)
        return found

    def all_acks(self, timeout=ACKS_TIMEOUT_S):
        return list(iter(lambda: self.next_ack(timeout), None))

    def _read_answer(self):
        try:
            answer = http.client.HTTPResponse(self.socket, method="POST")
            answer.begin()
            if answer.status != 200:
                body = answer.read()
                error = answer.getheader("x-amzn-ErrorType", "").split(":")[0]
                raise Refused(answer.status, error, body.decode(errors="replace"))
            decoder, text = json.JSONDecoder(), ""
            while data := answer.read1(CHUNK_BYTES):
                text += data.decode()
                while text := text.lstrip():
                    try:
                        ack, end = decoder.raw_decode(text)
                    except json.JSONDecodeError:
                        break  # the rest of it is still on its way
                    self.acks.put(ack)
                    text = text[end:]
            self.acks.put(None)
        except Exception as e:
            self.acks.put(e)


def data_endpoint(session, api, stream, cafile=None):
    client = session.create_client("kinesisvideo", endpoint_url=api, verify=cafile,
                                   region_name=session.get_config_variable("region") or "us-east-1")
    return client.get_data_endpoint(StreamName=stream, APIName="PUT_MEDIA")["DataEndpoint"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", default="-", help="a Matroska file; - is standard input")
    parser.add_argument("--api", required=True, help="the control plane, such as http://127.0.0.1:4566")
    parser.add_argument("--stream", required=True)
    parser.add_argument("--timecodes", choices=["ABSOLUTE", "RELATIVE"], default="RELATIVE",
                        help="RELATIVE: the file's times count from now (or --start)")
    parser.add_argument("--start", type=float, help="producer time of a RELATIVE upload, epoch seconds")
    parser.add_argument("--ca", help="certificate to trust, for https")
    args = parser.parse_args()

    session = botocore.session.get_session()
    region = session.get_config_variable("region") or "us-east-1"
    endpoint = data_endpoint(session, args.api, args.stream, args.ca)
    source = sys.stdin.buffer if args.file == "-" else open(args.file, "rb")
    failed = threading.Event()
    with PutMedia(endpoint, args.stream, session.get_credentials(), region, args.timecodes,
                  args.start, cafile=args.ca) as upload:

        def show():
            try:
                for ack in iter(lambda: upload.next_ack(None), None):
                    print(json.dumps(ack), flush=True)
                    if ack["EventType"] == "ERROR":
                        failed.set()
            except Exception as e:
                print(f"put_media.py: {e}", file=sys.stderr)
                failed.set()

        printer = threading.Thread(target=show)
        printer.start()
        try:
            # read1: what a pipe has by now, so that live frames are not held back
            while not failed.is_set() and (data := source.read1(CHUNK_BYTES)):
                upload.send(data)
            upload.finish()
        except OSError as e:
            if not failed.is_set():
                print(f"put_media.py: {e}", file=sys.stderr)
            failed.set()
        printer.join(ACKS_TIMEOUT_S)
    return 1 if failed.is_set() or printer.is_alive() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError) as e:
        sys.exit(f"put_media.py: {e}")
