# SPDX-License-Identifier: Apache-2.0
"""The AWS SDK for JavaScript v3 (npm, pinned by tests/js/package-lock.json) runs control.mjs."""

import fcntl
import os
import subprocess

import pytest

import kinema

JS = kinema.ROOT / "tests" / "js"


@pytest.fixture(scope="module")
def sdk():
    """Installs the SDK once; tests of several processes wait for each other."""
    with open(JS / "package-lock.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (JS / "node_modules" / "@aws-sdk" / "client-kinesis-video").is_dir():
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=JS, check=True,
                           timeout=300)
    return JS


def test_the_js_sdk_runs_the_control_plane(server, sdk, stream_name):
    env = {**kinema.clean_env(server.key.env()), "KINEMA_API": server.api,
           "KINEMA_INGEST": server.ingest, "STREAM_NAME": stream_name}
    done = subprocess.run(["node", sdk / "control.mjs"], capture_output=True, text=True, env=env,
                          timeout=120, cwd=os.fspath(sdk))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("7 stories\n"), done.stdout
