# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the API tests; what they hand out is described in kinema.py.

server       one server for the whole run: use streams of your own (fixture stream_name / stream)
make_server  a factory for servers of a test's own, stopped (in order) when the test ends
tls_server   like server, with the TLS listeners too
kvs          boto3 client of the control plane, with an administrator's key
stream       a new stream with 24 hours of retention; its name
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import kinema  # noqa: E402
from server_fixtures import (make_server, pytest_configure,  # noqa: E402, F401
                             pytest_runtest_makereport)


@pytest.fixture(scope="session")
def shared_server():
    # Uploads that a test sends in pieces pause as the machine makes them; 5 s would end a fragment.
    with kinema.Server(args=["--fragment-idle-ms", 120000]) as one:
        yield one


@pytest.fixture
def server(shared_server):
    """The server that all tests share. A test that kills or reconfigures takes make_server."""
    assert shared_server.process.poll() is None, f"it has died:\n{shared_server.log()[-8000:]}"
    before = shared_server.log_path.stat().st_size
    yield shared_server
    if shared_server.process.poll() is not None:
        pytest.fail(f"the server died in this test:\n{shared_server.log()[-8000:]}")
    with open(shared_server.log_path, errors="replace") as log:
        log.seek(before)
        found = kinema.DISASTER.search(log.read())
    assert not found, f"{found.group(0)} in the log:\n{shared_server.log()[-8000:]}"


@pytest.fixture(scope="session")
def tls_server():
    with kinema.Server(tls=True) as one:
        yield one


@pytest.fixture
def kvs(server):
    return server.kvs()


@pytest.fixture
def stream_name():
    return kinema.new_name()


@pytest.fixture
def stream(server):
    return server.create_stream()
