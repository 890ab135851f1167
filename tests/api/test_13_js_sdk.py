# SPDX-License-Identifier: Apache-2.0
"""The AWS SDK for JavaScript v3 runs control.mjs."""

import js
import rtsp


def test_the_js_sdk_runs_the_control_plane(server, stream_name):
    status, secret = rtsp.call(server, "PutCameraSecret", SecretName=stream_name,
                               Url="rtsp://127.0.0.1:1/x")
    assert status == 200, secret
    out = js.run(server, "control.mjs", STREAM_NAME=stream_name,
                 CAMERA_SECRET_ARN=secret["SecretArn"])
    assert out.endswith("8 stories\n"), out
