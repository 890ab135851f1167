# SPDX-License-Identifier: Apache-2.0
"""What the wire costs a data stream, without sockets and disk: bodies of 500 × 1 KB in, answers of
1,000 × 1 KB out, as JSON and as CBOR."""

import harness

NAME = "wire"
GOAL = ("PutRecords 500 × 1 KB: JSON decoded, checked and its base64 read in ≤ 0.8 µs a record; "
        "GetRecords 1,000 × 1 KB: encoded at ≥ 1 GB/s")
UNIT = "µs a record"
PEER = None
LIMITS = [("ours", "<=", 0.8), ("get_json_mb_a_second", ">=", 1000)]


def measure(bench):
    found = harness.tool("bench_wire", 5 if bench.quick else 20)
    return {"ours": found.pop("put_json_us_a_record"), "peer": None, "detail": found}
