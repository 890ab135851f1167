# SPDX-License-Identifier: Apache-2.0
"""A camera of plain sockets, for what gst-rtsp-server does not send: pictures of a film, sound (G.711) that may
stop while they go on, and the other way round, and ONVIF's metadata, in RTP packets that are written here
(RFC 2326, 3550, 3551, 6184; ONVIF Streaming Specification, 5.1.2.1.1).
"""

import base64
import hashlib
import re
import socket
import struct
import subprocess
import threading
import time

FPS, HZ = 15, 90000
PACKET_BYTES = 1200
SOUND_HZ = 8000
VIDEO, METADATA, SOUND = 96, 107, 8  # payload types
SENDERS = {VIDEO: 0x11111111, METADATA: 0x22222222, SOUND: 0x33333333}


def film():
    """NAL units of two seconds, one a picture: (parameter sets, [unit])."""
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=160x120:r={FPS}", "-t", "2", "-c:v", "libx264",
         "-preset", "ultrafast", "-x264-params", "sliced-threads=0:slices=1:scenecut=0", "-g", str(FPS), "-bf", "0",
         "-pix_fmt", "yuv420p", "-f", "h264", "-"], capture_output=True, check=True).stdout
    units = [unit.rstrip(b"\0") for unit in made.split(b"\0\0\1") if unit.rstrip(b"\0")]
    sets = [next(unit for unit in units if unit[0] & 31 == kind) for kind in (7, 8)]
    return sets, [unit for unit in units if unit[0] & 31 in (1, 5)]


def document(number, bytes_least=0):
    """As a camera with analytics sends them; most need several packets."""
    seen, text = 0, ""
    while seen < number % 7 * 20 or len(text) < bytes_least:
        text += f'<tt:Object ObjectId="{number}.{seen}"><tt:Appearance/></tt:Object>'
        seen += 1
    return (f'<?xml version="1.0" encoding="UTF-8"?>\r\n<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema">'
            f'<tt:VideoAnalytics><tt:Frame UtcTime="2026-01-01T00:00:00Z" Note="Tür {number}">{text}</tt:Frame>'
            f'</tt:VideoAnalytics></tt:MetadataStream>').encode()


class Camera:
    """documents: one each second picture, and some of them large; without them the stream is announced
    and silent. .frames, .documents: the hashes of what was sent, as Matroska holds it. crypto, seal: the
    pictures' line of a=crypto, and what makes SRTP of a packet. sound: it has some, in place of documents.
    .quiet: VIDEO, SOUND: what does not come for now. picture_s: a key picture each so many seconds."""

    def __init__(self, documents=True, pictures_end_after=None, crypto=None, seal=lambda packet: packet,
                 sound=False, picture_s=0):
        self.says, self.pictures_end_after = documents and not sound, pictures_end_after
        self.sound, self.quiet, self.sessions = sound, set(), 0
        self.every = round(picture_s * FPS) or 1
        self.crypto, self.seal = crypto, seal
        self.frames, self.documents = [], []
        self.sets, self.units = film()
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self.listener.getsockname()[1]}/live"
        threading.Thread(target=self.accept, daemon=True).start()

    def kill(self):
        self.ended.set()
        self.listener.close()

    def accept(self):
        while not self.ended.is_set():
            try:
                threading.Thread(target=Session(self, self.listener.accept()[0]).serve, daemon=True).start()
            except OSError:
                return

    def description(self):
        sets = ",".join(base64.b64encode(one).decode() for one in self.sets)
        profile, crypto = ("SAVP", f"a=crypto:{self.crypto}\r\n") if self.crypto else ("AVP", "")
        return (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n"
                f"m=video 0 RTP/{profile} {VIDEO}\r\n{crypto}c=IN IP4 0.0.0.0\r\na=rtpmap:{VIDEO} H264/{HZ}\r\n"
                f"a=fmtp:{VIDEO} packetization-mode=1;sprop-parameter-sets={sets}\r\na=control:{VIDEO}\r\n"
                + self.second()).encode()

    def second(self):
        if self.sound:
            return f"m=audio 0 RTP/AVP {SOUND}\r\nc=IN IP4 0.0.0.0\r\na=control:{SOUND}\r\n"
        return (f"m=application 0 RTP/AVP {METADATA}\r\nc=IN IP4 0.0.0.0\r\n"
                f"a=rtpmap:{METADATA} vnd.onvif.metadata/{HZ}\r\na=control:{METADATA}\r\n")


class Session:
    def __init__(self, camera, connection):
        self.camera, self.socket, self.lock = camera, connection, threading.Lock()
        self.sends, self.sequence = {}, dict.fromkeys(SENDERS, 65500)  # which wraps soon

    def serve(self):
        rest = b""
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return
                rest = self.take(rest + data)
        except OSError:
            pass
        finally:
            self.sends = None
            self.socket.close()

    def take(self, data):
        """The requests of it; what is no whole one is left."""
        while data:
            if data[:1] == b"$":  # a report of the receiver's
                size = 4 + struct.unpack(">H", data[2:4])[0] if len(data) >= 4 else 4
                if len(data) < size:
                    break
                data = data[size:]
            elif b"\r\n\r\n" in data:
                head, data = data.split(b"\r\n\r\n", 1)
                self.answer(head.decode())
            else:
                break
        return data

    def answer(self, head):
        method, url = head.split()[:2]
        more, body = "", b""
        if method == "DESCRIBE":
            body = self.camera.description()
            more = f"Content-Base: {self.camera.url}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            more = f"Transport: {self.set_up(int(url.rsplit('/', 1)[1]), head)}\r\n"
        number = re.search(r"CSeq: *(\d+)", head, re.I).group(1)
        self.write(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 7\r\n{more}\r\n".encode() + body)
        if method == "PLAY":
            threading.Thread(target=self.play, daemon=True).start()

    def set_up(self, kind, head):
        asked = re.search(r"Transport: *(.*)", head, re.I).group(1).strip()
        channels = re.search(r"interleaved=(\d+)", asked)
        if channels:
            channel = int(channels.group(1))
            self.sends[kind] = lambda packet: self.write(struct.pack(">cBH", b"$", channel, len(packet)) + packet)
            return f"{asked.split(';')[0]};unicast;interleaved={channel}-{channel + 1}"
        port = int(re.search(r"client_port=(\d+)", asked).group(1))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        self.sends[kind] = lambda packet: udp.sendto(packet, ("127.0.0.1", port))
        ours = udp.getsockname()[1]
        return f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={ours}-{ours + 1}"

    def write(self, data):
        with self.lock:
            self.socket.sendall(data)

    def send(self, kind, ticks, payload, last):
        """One packet, with its head of RFC 3550, 5.1."""
        packet = struct.pack(">BBHII", 0x80, kind | (0x80 if last else 0), self.sequence[kind] & 0xffff,
                             ticks & 0xffffffff, SENDERS[kind]) + payload
        self.sends[kind](self.camera.seal(packet) if kind == VIDEO else packet)
        self.sequence[kind] += 1

    def picture(self, ticks, unit):
        self.camera.frames.append(hashlib.sha256(struct.pack(">I", len(unit)) + unit).hexdigest())
        if len(unit) <= PACKET_BYTES:
            self.send(VIDEO, ticks, unit, True)
            return
        head, body = unit[0], unit[1:]
        for at in range(0, len(body), PACKET_BYTES):  # FU-A: RFC 6184, 5.8
            last = at + PACKET_BYTES >= len(body)
            marks = (0x80 if at == 0 else 0) | (0x40 if last else 0) | (head & 31)
            self.send(VIDEO, ticks, bytes([head & 0xe0 | 28, marks]) + body[at:at + PACKET_BYTES], last)

    def document(self, ticks, number):
        data = document(number, 100000 if number % 10 == 3 else 0)
        self.camera.documents.append(hashlib.sha256(data).hexdigest())
        for at in range(0, len(data), PACKET_BYTES):
            self.send(METADATA, ticks, data[at:at + PACKET_BYTES], at + PACKET_BYTES >= len(data))

    def play(self):
        self.camera.sessions += 1
        begin, count = time.monotonic(), 0
        try:
            while not self.camera.ended.is_set():
                ticks = 0xffff0000 + count * HZ // FPS  # wraps after a second
                more = self.camera.pictures_end_after is None or count < self.camera.pictures_end_after
                if more and VIDEO not in self.camera.quiet and count % self.camera.every == 0:
                    self.picture(ticks, self.camera.units[count % len(self.camera.units) if self.camera.every == 1 else 0])
                if self.camera.says and count % 2:
                    self.document(ticks, count // 2)
                if self.camera.sound and SOUND not in self.camera.quiet:
                    at, end = (n * SOUND_HZ // FPS for n in (count, count + 1))
                    self.send(SOUND, at, bytes([0xd5 ^ count & 0x1f]) * (end - at), count == 0)
                count += 1
                self.camera.ended.wait(max(0, begin + count / FPS - time.monotonic()))
        except (OSError, TypeError):  # the receiver has gone, and with it what sends
            pass
