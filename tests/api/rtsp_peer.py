# SPDX-License-Identifier: Apache-2.0
"""Peers of the RTSP listener: ffmpeg as a camera that pushes and as a viewer, and a client of
sockets that says what it likes."""

import hashlib
import re
import socket
import ssl
import subprocess
import time
import urllib.parse
import urllib.request

PATIENCE_S = 60


def film(path, video="libx264", audio="aac", seconds=1.6):
    """A little film whose every second begins with a key frame; H.264 has two slices a picture."""
    sound = {"pcm_alaw": ["-ar", "8000"], "aac": ["-ar", "16000"], "libopus": ["-ar", "48000"]}[audio]
    more = ["-x265-params", "log-level=none"] if video == "libx265" else ["-slices", "2"]
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=15", "-f", "lavfi",
                    "-i", "sine", "-t", str(seconds), "-c:v", video, "-preset", "ultrafast", "-g", "15",
                    "-bf", "0", *more, "-pix_fmt", "yuv420p", "-c:a", audio, *sound, "-ac", "1",
                    str(path)], check=True)
    return path


def silenced(path, film, first, last):
    """The film without the packets first to last of its sound."""
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(film), "-c", "copy", "-bsf:a",
                    f"noise=drop=between(n\\,{first}\\,{last})", str(path)], check=True)
    return path


def packets(path, track):
    """What the film holds of its stream 0 or 1: a hash a packet, and all bytes."""
    shown = subprocess.run(["ffprobe", "-v", "error", "-select_streams", str(track), "-show_entries",
                            "packet=data_hash", "-show_data_hash", "sha256", "-of", "csv=p=0", str(path)],
                           capture_output=True, text=True, check=True).stdout
    return [line.split(":")[1].split(",")[0] for line in shown.split()]


def base_of(server):
    """Of the plain listener, if there is one."""
    return server.endpoints.get("rtsp") or server.endpoints["rtsps"]


def url(server, stream, key=None, query=""):
    base = base_of(server)
    if key:
        base = base.replace("://", f"://{key.id}:{urllib.parse.quote(key.secret, safe='')}@")
    return f"{base}/{stream}{query}"


def push(server, stream, path, transport="tcp", loop=False, key=None, pace=("-re",)):
    """ffmpeg, as it goes on."""
    return subprocess.Popen(
        ["ffmpeg", "-v", "error", *pace, *(["-stream_loop", "-1"] if loop else []), "-i", str(path),
         "-c", "copy", "-f", "rtsp", "-rtsp_transport", transport, url(server, stream, key or server.key)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


class View:
    """GStreamer's rtspsrc, its pictures into a file of H.264 as they came."""

    def __init__(self, server, stream, path, transport="tcp", query=""):
        self.path = path
        self.process = subprocess.Popen(
            ["gst-launch-1.0", "-q", "rtspsrc", "name=s", f"location={url(server, stream, query=query)}",
             f"user-id={server.key.id}", f"user-pw={server.key.secret}", f"protocols={transport}",
             "tls-validation-flags=0",  # nobody has signed it
             "s.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!",
             "video/x-h264,stream-format=byte-stream", "!", "filesink", "buffer-mode=unbuffered",
             f"location={path}",  # sound has a place too: if it comes first, unlinked, rtspsrc ends
             "s.", "!", "application/x-rtp,media=audio", "!", "fakesink", "sync=false", "async=false"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def units(self, least):
        """Once there are so many whole ones; then it is ended."""
        def seen():  # what comes last may be half written
            return units_of_film(self.path.read_bytes())[:-1] if self.path.exists() else []

        try:
            wait_until(f"{self.path} has no {least} units",
                       lambda: len(seen()) >= least or self.process.poll() is not None)
            assert self.process.poll() is None, self.process.stderr.read()
            return seen()
        finally:
            self.process.kill()
            self.process.communicate()


def pictures(source, count, *more):
    """Of the film, or what a URL sends: ffmpeg's hashes of so many decoded ones."""
    done = subprocess.run(["ffmpeg", "-v", "error", *more, "-i", str(source), "-map", "0:v", "-frames:v", str(count),
                           "-fps_mode", "passthrough", "-f", "framemd5", "-"],
                          capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return [line.split()[-1] for line in done.stdout.splitlines() if line[0] != "#"]


def ended(process, server):
    """Its end, which must be a good one."""
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, f"{said}\n{server.log()[-4000:]}"


def _units(pieces):
    """Without parameter sets and delimiters, which come and go: ITU-T H.264, table 7-1."""
    return [hashlib.sha256(piece).hexdigest() for piece in pieces
            if piece and piece[0] & 31 not in (7, 8, 9)]


def units_of_film(data):
    return _units(piece.rstrip(b"\0") for piece in data.split(b"\0\0\1"))


def units_of_frame(payload):
    found, at = [], 0
    while at < len(payload):
        end = at + 4 + int.from_bytes(payload[at:at + 4], "big")
        found.append(payload[at + 4:end].rstrip(b"\0"))
        at = end
    return _units(found)


class Raw:
    """One connection, one request after the other."""

    def __init__(self, server, base=None):
        self.base, self.number = base or base_of(server), 0
        host, port = self.base.split("//")[1].split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        if self.base.startswith("rtsps:"):
            trusting = ssl.create_default_context(cafile=server.certificate)
            self.socket = trusting.wrap_socket(self.socket, server_hostname="localhost")
        self.rest = b""

    def ask(self, method, path, *headers, body=b""):
        """(status, headers as text)."""
        self.number += 1
        lines = [f"{method} {self.base}/{path} RTSP/1.0", f"CSeq: {self.number}", *headers]
        if body:
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        while b"\r\n\r\n" not in self.rest:
            data = self.socket.recv(65536)
            assert data, "the server has hung up"
            self.rest += data
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = re.search(rb"Content-Length: *(\d+)", head, re.I)
        while length and len(self.rest) < int(length.group(1)):
            self.rest += self.socket.recv(65536)
        self.body = self.rest[:int(length.group(1))] if length else b""
        self.rest = self.rest[len(self.body):]
        return int(head.split()[1]), head.decode()

    def digest(self, method, path, user, password):
        """The header that answers what the server asks for (RFC 2617, without qop)."""
        _, head = self.ask(method, path)
        realm, nonce = re.search(r'Digest realm="(.*?)", nonce="(.*?)"', head).groups()

        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()

        uri = f"{self.base}/{path}"
        response = md5(f"{md5(f'{user}:{realm}:{password}')}:{nonce}:{md5(f'{method}:{uri}')}")
        return (f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", '
                f'uri="{uri}", response="{response}"')

    def is_hung_up_on(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_turned_away(self):
        try:
            return self.ask("OPTIONS", "x")[0] != 200
        except (AssertionError, OSError):
            return True
        finally:
            self.close()

    def close(self):
        self.socket.close()


def wait_until(said, what):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def metric(server, name):
    """The sum of its series; 0: there are none."""
    with urllib.request.urlopen(server.console + "/metrics", timeout=PATIENCE_S) as answer:
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", answer.read().decode(), re.M)
    return sum(map(float, found))
