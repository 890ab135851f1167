# SPDX-License-Identifier: Apache-2.0
"""The AWS SDK for JavaScript v3 runs control.mjs."""

import js


def test_the_js_sdk_runs_the_control_plane(server, stream_name):
    out = js.run(server, "control.mjs", STREAM_NAME=stream_name)
    assert out.endswith("7 stories\n"), out
