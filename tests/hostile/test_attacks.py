# SPDX-License-Identifier: Apache-2.0
"""Hostile peers against a running server: it stays up, its memory stays below bounds that follow
from the settings, its descriptors come back, and honest uploads and viewers get on beside it."""

import random
import resource
import struct
import urllib.parse
import urllib.request

import pytest

import hls
import kinema
import mkv
import put_media as wire
from conftest import MIB, SANITIZED, SEED, port_of, signed_post

KIB = 1024
SLACK = 24 * MIB  # pools, allocator, and what honest peers need meanwhile
CONN = 2 * KIB    # a plain connection without a request
TLS_CONN = 64 * KIB
HELD = 32 * MIB   # http_held_bytes_max of these servers
TS_HELD = (32 + 4 * 24) * MIB  # ts_held_bytes_max here, and what http_workers make of 4 MiB
FREE = 16 * KIB   # a connection is never refused for these (docs/limits.md)


@pytest.fixture(params=["api", "ingest"])
def port(request, site):
    return port_of(site.server.endpoints[request.param])


def test_20000_idle_sockets(site, attack):
    wanted = 4000 if SANITIZED else 20000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with site.watched(wanted * CONN + SLACK):
        with attack("idle", port_of(site.server.api), wanted) as got:
            print(f"{got} of {wanted} idle sockets (limit on open files here: {soft}, {hard})")
            assert got > 500
            site.wait_progress(3)
            print(f"the server holds {site.metric('kinema_http_connections')}, has put out "
                  f"{site.metric('kinema_http_connections_evicted_total')} for others")


def test_slow_heads(site, attack, port):
    with site.watched(HELD + 600 * (FREE + CONN) + SLACK):
        with attack("slow_head", port, 600, 50000):
            site.wait_progress(3)


def test_slow_bodies_of_api_calls(site, attack):
    with site.watched(HELD + 600 * (FREE + CONN) + SLACK):
        with attack("slow_body", port_of(site.server.api), 600, 900000):
            site.wait_progress(3)


def test_half_open_connections(site, attack, port):
    with site.watched(600 * (FREE + CONN) + SLACK):
        with attack("half_open", port, 600):
            site.wait_progress(3)


def test_a_storm_of_resets(site, attack, port):
    with site.watched(SLACK):
        with attack("resets", port, 1):
            site.wait_progress(10)


@pytest.mark.parametrize("name", ["api", "ingest", "api-tls", "ingest-tls", "console"])
def test_garbage(site, attack, name):
    with site.watched(SLACK):
        with attack("garbage", port_of(site.server.endpoints[name]), 1):
            site.wait_progress(5)


def test_handshakes_that_stall(site, attack):
    with site.watched(1000 * TLS_CONN + SLACK):
        with attack("tls_stall", port_of(site.server.endpoints["api-tls"]), 1000):
            site.wait_progress(3)


def test_http2_floods(site, attack):
    with site.watched(20 * (4 * MIB) + SLACK):
        with attack("h2_flood", port_of(site.server.api), 20):
            site.wait_progress(20)


def test_http2_bodies_that_never_end(site, attack):
    with site.watched(HELD + 40 * 256 * KIB + SLACK):
        with attack("h2_bodies", port_of(site.server.api), 40):
            site.wait_progress(3)


def test_viewers_that_read_nothing(site, attack):
    """200 of GetMedia: each holds its output buffer, no more."""
    body = b'{"StreamName":"%s","StartSelector":{"StartSelectorType":"EARLIEST"}}' % site.long.encode()
    request = signed_post(site.server.key, "/getMedia", body).decode()
    with site.watched(200 * 256 * KIB + SLACK):
        with attack("slow_reader", port_of(site.server.api), 200, env={"ATTACK_REQUEST": request}):
            site.wait_progress(20)


@pytest.mark.parametrize("container", ["FRAGMENTED_MP4", "MPEG_TS"])
def test_viewers_of_hls_that_read_nothing(site, attack, container):
    """200 for a segment of 4 MiB, 200 for its playlist. MP4 is read from the file; what was made into
    MPEG-TS and is not sent yet lies in memory, which is bounded over all of them."""
    server, stream = site.server, site.server.create_stream()
    with wire.PutMedia(server.data_endpoint(stream, "PUT_MEDIA"), stream, server.key) as put:
        put.send(mkv.capture(kinema.CAPTURES / "c164_h264_abs_eofr_meta.mkv").header)
        nal = b"\x65" + random.Random(SEED).randbytes(4 * MIB)
        now = wire.now_ms()
        put.send(wire.cluster(now, wire.block(0, struct.pack(">I", len(nal)) + nal, key=True) +
                              wire.block(1000, struct.pack(">I", 2) + b"\x41\x01")) +
                 wire.END_OF_FRAGMENT)
        put.wait_ack("PERSISTED", now)
        put.finish()
    playlist = hls.playlist_url(hls.open_session(server, stream, ContainerFormat=container))
    segment = hls.parse(playlist, hls.get(playlist).text).segments[0].url
    assert len(hls.get(segment).body) > 4 * MIB
    for url in segment, playlist:
        parts = urllib.parse.urlsplit(url)
        request = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with site.watched(TS_HELD + 200 * 512 * KIB + SLACK):
            with attack("slow_reader", parts.port, 200, env={"ATTACK_REQUEST": request}):
                site.wait_progress(10)


def test_one_address_cannot_take_all_of_the_console(site, attack):
    """600 idle sockets from one address: others are served as before."""
    console = site.server.console
    with site.watched(600 * 64 * KIB + SLACK):
        with attack("idle", port_of(console), 600, env={"ATTACK_SOURCES": "1"}):
            for _ in range(20):
                with urllib.request.urlopen(console + "/", timeout=60) as answer:
                    assert answer.status == 200
            site.wait_progress(3)
