#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hostile peer, in a process of its own: attack.py KIND PORT COUNT [BYTES]

It prints "ready N" once it holds what it could get, and goes on until its standard input ends."""

import errno
import os
import random
import resource
import select
import socket
import ssl
import struct
import sys
import time

HEAD = b"POST /listStreams HTTP/1.1\r\nHost: 127.0.0.1\r\n"
SOURCES = int(os.environ.get("ATTACK_SOURCES", 8))  # addresses of 127.0.0.0/8, so that ports do not run out


def raise_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
        except (ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect(port, i=0, timeout=10):
    sock = socket.socket()
    sock.settimeout(timeout)
    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    sock.bind((f"127.0.0.{2 + i % SOURCES}", 0))
    sock.connect(("127.0.0.1", port))
    return sock


def over():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def say_ready(count):
    print("ready", count, flush=True)


def wait_end():
    while not over():
        select.select([sys.stdin], [], [], 1)


def gather(port, count, begin):
    """As many connections as it gets, each begun by begin(sock, i)."""
    kept = []
    for i in range(count):
        try:
            sock = connect(port, i)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.EADDRNOTAVAIL):
                break
            continue
        try:
            begin(sock, i)
        except OSError:
            pass
        kept.append(sock)
    return kept


def drip(kept, piece, every_s=0.2):
    """A few bytes on each, over and over; who is closed is opened no more."""
    say_ready(len(kept))
    while not over():
        for sock in list(kept):
            try:
                sock.setblocking(False)
                sock.send(piece)
            except BlockingIOError:
                pass
            except OSError:
                kept.remove(sock)
        time.sleep(every_s)


def idle(port, count, size):
    kept = gather(port, count, lambda sock, i: None)
    say_ready(len(kept))
    wait_end()


def slow_head(port, count, size):
    drip(gather(port, count, lambda sock, i: sock.sendall(HEAD + b"X: " + b"y" * size)), b"z")


def slow_body(port, count, size):
    head = HEAD + b"Content-Length: 1000000\r\n\r\n"
    drip(gather(port, count, lambda sock, i: sock.sendall(head + b"{" + b" " * size)), b" ")


def half_open(port, count, size):
    """The head of a request, half a body, and the sending side is closed."""
    def begin(sock, i):
        sock.sendall([HEAD, HEAD + b"Content-Length: 9\r\n\r\n{", HEAD + b"\r\n", b"G"][i % 4])
        sock.shutdown(socket.SHUT_WR)
    kept = gather(port, count, begin)
    say_ready(len(kept))
    wait_end()


def resets(port, count, size):
    """Connections torn at any moment: `size` a second, or as fast as they go."""
    pieces = [b"", b"G", HEAD, HEAD + b"Content-Length: 5\r\n\r\n{}", HEAD + b"Content-Length: 2\r\n\r\n{}"]
    done = 0
    say_ready(count)
    while not over():
        try:
            sock = connect(port, done)
            sock.sendall(pieces[done % len(pieces)])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        except OSError:
            pass
        done += 1
        if size:
            time.sleep(1 / size)


def garbage(port, count, size):
    rng = random.Random(int(os.environ["KINEMA_SEED"]))
    say_ready(count)
    while not over():
        try:
            with connect(port, rng.randrange(SOURCES), timeout=2) as sock:
                sock.sendall(rng.randbytes(rng.randrange(1, 4000)))
                sock.recv(100)
        except OSError:
            pass


def tls_stall(port, count, size):
    """A ClientHello, and nothing after it; every other one half of it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(into, out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = out.read()
    kept = gather(port, count, lambda sock, i: sock.sendall(hello[:len(hello) // (1 + i % 2)]))
    say_ready(len(kept))
    wait_end()


# --- HTTP/2 by the frame -----------------------------------------------------------------------
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
POST = b"\x83\x86\x04\x0c/listStreams\x41\x09127.0.0.1"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def h2_rapid_reset(i):
    return frame(1, 0x4, 2 * i + 1, POST) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08")


def h2_made_reset(i):
    return frame(1, 0x4, 2 * i + 1, POST) + frame(8, 0, 2 * i + 1, b"\x7f\xff\xff\xff")


def h2_ping(i):
    return frame(6, 0, 0, b"12345678") * 10


def h2_settings(i):
    return frame(4, 0, 0) * 10


def h2_continuation(i):
    return frame(1, 0, 1, POST) if i == 0 else frame(9, 0, 1, b"\x40\x01x\x01y" * 1000)


def h2_window(i):
    return frame(8, 0, 0, b"\0\0\0\x01") * 10


def h2_flood(port, count, size):
    """`count` connections; each sends one kind of frame until it is closed, and then comes back."""
    kinds = [h2_rapid_reset, h2_made_reset, h2_ping, h2_settings, h2_continuation, h2_window]
    say_ready(count)
    kept = []
    while not over():
        while len(kept) < count:
            try:
                sock = connect(port, len(kept))
                sock.sendall(PREFACE)
                sock.setblocking(False)
                kept.append([sock, random.randrange(len(kinds)), 0])
            except OSError:
                break
        for one in list(kept):
            try:
                for _ in range(50):
                    one[0].send(kinds[one[1]](one[2]))
                    one[2] += 1
            except BlockingIOError:
                try:
                    if one[0].recv(65536) == b"":
                        kept.remove(one)
                except BlockingIOError:
                    pass
                except OSError:
                    kept.remove(one)
            except OSError:
                kept.remove(one)


def h2_bodies(port, count, size):
    """Every stream that may be open, each with a body that never ends."""
    def begin(sock, i):
        sock.sendall(PREFACE)
        for k in range(200):
            sock.sendall(frame(1, 0x4, 2 * k + 1, POST) + frame(0, 0, 2 * k + 1, b" " * 16000))
    kept = gather(port, count, begin)
    say_ready(len(kept))
    wait_end()


def refused(sock):
    """It is closed, or its answer is none of 200: a look, which takes no byte."""
    sock.setblocking(False)
    try:
        return sock.recv(12, socket.MSG_PEEK)[9:] != b"200"
    except BlockingIOError:
        return False
    except OSError:
        return True


def slow_reader(port, count, again):
    """Each asks one of what the environment says, and takes no byte of the answers. again: who is
    refused or closed comes back, once a second."""
    requests = os.environ["ATTACK_REQUEST"].encode().split(b"\x1e")

    def begin(sock, i):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(requests[i % len(requests)])
    kept = gather(port, count, begin)
    say_ready(len(kept))
    while again and not over():
        select.select([sys.stdin], [], [], 1)
        gone = [sock for sock in kept if refused(sock)]
        for sock in gone:
            kept.remove(sock)
            sock.close()
        kept += gather(port, len(gone), begin)
    wait_end()


if __name__ == "__main__":
    kind, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    raise_limit(count + 100)
    globals()[kind](port, count, int(sys.argv[4]) if len(sys.argv) > 4 else 0)
