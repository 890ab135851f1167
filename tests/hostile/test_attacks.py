# SPDX-License-Identifier: Apache-2.0
"""Hostile peers against a running server: it stays up, its memory stays below bounds that follow
from the settings, its descriptors come back, and honest uploads and viewers get on beside it."""

import resource

import pytest

from conftest import MIB, SANITIZED, port_of, signed_post

KIB = 1024
SLACK = 24 * MIB  # pools, allocator, and what honest peers need meanwhile
CONN = 2 * KIB    # a plain connection without a request
TLS_CONN = 64 * KIB
HELD = 32 * MIB   # http_held_bytes_max of these servers
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
