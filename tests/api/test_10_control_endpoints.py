# SPDX-License-Identifier: Apache-2.0
"""GetDataEndpoint: where clients are sent, by API, by the name they came with, by settings."""

import urllib.parse

import pytest

from control import raises

READERS = ["GET_MEDIA", "LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST",
           "GET_HLS_STREAMING_SESSION_URL", "GET_DASH_STREAMING_SESSION_URL", "GET_CLIP",
           "GET_IMAGES"]


def endpoint(kvs, stream, api):
    return kvs.get_data_endpoint(StreamName=stream, APIName=api)["DataEndpoint"]


def test_uploads_go_to_the_ingest_listener_and_readers_to_the_api(server, kvs, stream):
    assert endpoint(kvs, stream, "PUT_MEDIA") == server.ingest
    for api in READERS:
        assert endpoint(kvs, stream, api) == server.api


def test_the_name_the_client_used_is_kept(server, stream):
    port = urllib.parse.urlsplit(server.api).port
    kvs = server.kvs(endpoint=f"http://localhost:{port}")
    assert endpoint(kvs, stream, "GET_MEDIA") == f"http://localhost:{port}"
    assert endpoint(kvs, stream, "PUT_MEDIA") == server.ingest.replace("127.0.0.1", "localhost")


def test_who_comes_over_tls_is_sent_to_tls(tls_server):
    name = tls_server.create_stream()
    kvs = tls_server.kvs(endpoint=tls_server.endpoints["api-tls"])
    assert endpoint(kvs, name, "PUT_MEDIA") == tls_server.endpoints["ingest-tls"]
    assert endpoint(kvs, name, "GET_MEDIA") == tls_server.endpoints["api-tls"]


def test_public_addresses_override(make_server):
    server = make_server(env={"KINEMA_PUBLIC_API_URL": "https://video.example.org/",
                              "KINEMA_PUBLIC_INGEST_URL": "https://in.example.org:8443"})
    name = server.create_stream()
    kvs = server.kvs()
    assert endpoint(kvs, name, "PUT_MEDIA") == "https://in.example.org:8443"
    assert endpoint(kvs, name, "LIST_FRAGMENTS") == "https://video.example.org"


def test_there_is_no_endpoint_for_a_stream_that_is_not_there(kvs):
    with raises("ResourceNotFoundException", 404):
        endpoint(kvs, "no-such-stream", "PUT_MEDIA")


@pytest.mark.parametrize("api", ["PUT_MEDIA", "GET_MEDIA"])
def test_an_endpoint_is_a_bare_base_url(kvs, stream, api):
    parts = urllib.parse.urlsplit(endpoint(kvs, stream, api))
    assert (parts.path, parts.query, parts.fragment) == ("", "", "")
