# SPDX-License-Identifier: Apache-2.0
"""Real faults under a real server: what the files here share. Clients and the proof that nothing
was lost are those of tests/api (kinema.py, put_media.py, cameras.py).

make_server  a factory for servers, as in tests/api
long         KINEMA_LONG is set (`./check --long`): many rounds instead of a few
chance       a random.Random whose seed is printed; KINEMA_SEED replays it
loop         a factory for ext4 or XFS in a file
small        a factory for a small tmpfs
cgroup       a factory for control groups
"""

import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

from server_fixtures import (make_server, pytest_configure,  # noqa: E402, F401
                             pytest_runtest_makereport)
import cgroups  # noqa: E402
import volumes  # noqa: E402

LONG = bool(os.environ.get("KINEMA_LONG"))


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    for item in items:
        if set(item.fixturenames) & {"loop", "small", "cgroup", "root"}:
            item.add_marker(pytest.mark.skip(reason="not run: needs root"))


@pytest.fixture
def long():
    return LONG


@pytest.fixture
def root():
    """Asks for root without a volume."""


@pytest.fixture
def chance():
    seed = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KINEMA_SEED={seed}")
    return random.Random(seed)


def factory_of(made, kind):
    def make(*args, **options):
        try:
            one = kind(*args, **options)
        except OSError as problem:
            pytest.skip(f"not run: this machine has no such thing: {problem}")
        made.append(one)
        return one
    return make


@pytest.fixture
def loop(things_made):
    return factory_of(things_made, volumes.Loop)


@pytest.fixture
def small(things_made):
    return factory_of(things_made, volumes.Tmpfs)


@pytest.fixture
def cgroup(things_made):
    return factory_of(things_made, cgroups.Cgroup)


@pytest.fixture
def things_made():
    made = []
    yield made
    for one in reversed(made):
        one.close()
