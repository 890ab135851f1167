# SPDX-License-Identifier: Apache-2.0
"""What every folder of tests against a real server shares; each conftest.py imports it."""

import os

import pytest

import kinema


def pytest_configure(config):
    if not os.access(kinema.BINARY, os.X_OK):
        raise pytest.UsageError(f"no binary at {kinema.BINARY}: build it, or set KINEMA_BINARY")


@pytest.fixture
def make_server(request):
    servers = []

    def make(*args, **options):
        one = kinema.Server(*args, **options)
        servers.append(one)
        return one

    yield make
    failed = getattr(request.node, "failed", False)
    for one in servers:
        if failed:
            print(f"--- log of kinema ---\n{one.log()[-20000:]}")
        one.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
