# SPDX-License-Identifier: Apache-2.0
"""What the index costs: sealed chunk files without the media that was sent."""

NAME = "index"
GOAL = ("entry ≤ 64 bytes a fragment; with record, footer and cue ≤ 200 bytes, plus ≤ 4 bytes a frame")
UNIT = "bytes a fragment"
PEER = None
LIMITS = [("ours", "<=", 200), ("bytes_a_frame", "<=", 4)]
FRAMES = 61


def measure(bench):
    streams, fragments = 10, 600 if bench.quick else 3000

    def beside_media(frames):
        data, media = bench.archive(streams, fragments, frames, 500)
        files = sum(path.stat().st_size for path in data.glob("chunks/*/*/*.mkv"))
        return (files - media) / (streams * fragments)

    one, many = beside_media(1), beside_media(FRAMES)
    frame = (many - one) / (FRAMES - 1)
    return {"ours": one - frame, "peer": None, "detail": {"bytes_a_frame": frame, "one_frame": one,
                                                          "frames_61": many}}
