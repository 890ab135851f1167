#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""unicode.py > core/src/api_unicode.h: ranges of letters, separators and numbers (\\p{L}\\p{Z}\\p{N}).

Run by hand when a newer Unicode is wanted; the table is in git because its version must not depend
on the builder's Python.
"""
import sys
import unicodedata


def ranges():
    start = None
    for code in range(0x80, sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code))[0] in "LZN"
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            yield start, code - 1
            start = None


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Letters, separators and numbers from U+0080 on, made by core/api/unicode.py.")
    print(f" * Source: Unicode {unicodedata.unidata_version}, general categories L*, Z*, N*. */")
    print("#ifndef CORE_SRC_API_UNICODE_H\n#define CORE_SRC_API_UNICODE_H\n")
    print("#include <stdint.h>\n\n/* clang-format off: made by a script */")
    print("static const struct {\n    uint32_t first, last;\n} kn_api_word_ranges[] = {")
    line = "   "
    for first, last in ranges():
        item = f" {{0x{first:X}, 0x{last:X}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n/* clang-format on */\n\n#endif")


main()
