#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the console's files into one C file: bytes, bytes compressed, type and ETag of each.

embed.py OUT.c NAME=PATH...   NAME is the path on the web, such as /app.js. Same input, same output.
"""

import gzip
import hashlib
import sys

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}


def array(name, data):
    lines = [f"static const unsigned char {name}[] = {{"]
    for at in range(0, len(data), 32):
        lines.append(",".join(str(b) for b in data[at:at + 32]) + ",")
    return "\n".join(lines) + "\n};\n"


def main():
    out, pairs = sys.argv[1], [arg.split("=", 1) for arg in sys.argv[2:]]
    text = ["/* Made by server/embed.py; do not edit. */\n#include \"console_assets.h\"\n"]
    rows = []
    for index, (name, path) in enumerate(sorted(pairs)):
        with open(path, "rb") as file:
            data = file.read()
        small = gzip.compress(data, 9, mtime=0)
        kind = TYPES[name.rsplit(".", 1)[1]]
        tag = hashlib.sha256(data).hexdigest()[:32]
        text.append(array(f"plain_{index}", data))
        use_small = len(small) < len(data)
        if use_small:
            text.append(array(f"small_{index}", small))
        rows.append(
            f'    {{KN_STR_INIT("{name}"), KN_STR_INIT("{kind}"), KN_STR_INIT("\\"{tag}\\""), '
            f"{{plain_{index}, sizeof plain_{index}}}, "
            + (f"{{small_{index}, sizeof small_{index}}}" if use_small else "{0}") + "},")
    text.append("const struct console_asset console_assets[] = {\n" + "\n".join(rows) + "\n};")
    text.append("const size_t console_asset_count = "
                "sizeof console_assets / sizeof console_assets[0];\n")
    with open(out, "w", encoding="ascii") as file:
        file.write("\n".join(text))


if __name__ == "__main__":
    main()
