# SPDX-License-Identifier: Apache-2.0
"""What the stories of data streams share: a server of a file's own, and its client."""

import pytest

import kinema


@pytest.fixture(scope="module")
def server():
    with kinema.Server() as one:
        yield one


@pytest.fixture(scope="module")
def kinesis(server):
    return server.client("kinesis")
