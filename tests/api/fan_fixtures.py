# SPDX-License-Identifier: Apache-2.0
"""What the stories of subscriptions share: a stream and a consumer of a test's own, on the server of its file."""

import pytest

import fan_out


@pytest.fixture(scope="module")
def kinesis(server):
    return server.client("kinesis")


@pytest.fixture
def name(kinesis):
    return fan_out.make_stream(kinesis)


@pytest.fixture
def consumer(kinesis, name):
    return fan_out.register(kinesis, name)
