#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a failed step of ./check has to say: of each failing test in a log of ctest or pytest its
own output, and of any other log the errors and the end.

usage: tests/excerpt.py [--lines N] LOG

N bounds what is printed, shared among the failing tests; of a long output the lines that say what
is wrong come first, then its end."""

import argparse
import pathlib
import re

CTEST_FAILED = re.compile(r"^ *(?:\d+/\d+ )?Test +#(\d+): (\S+) \.*.*\*\*\*(.*)")
CTEST_NEXT = re.compile(r"^ *\d+/\d+ Test +#|^ +Start +\d+: |^test \d+$|^\d+% tests passed")
CTEST_VERBOSE = re.compile(r"^(\d+): ?(.*)")
PYTEST_BEGIN = re.compile(r"^=+ (?:FAILURES|ERRORS) =+$")
PYTEST_TITLE = re.compile(r"^_{3,} (.+) _{3,}$")
PYTEST_END = re.compile(r"^=+ (?!FAILURES|ERRORS).*=+$")
# cmocka, the sanitizers, pytest, node, compilers; a sanitizer's stack follows its first line.
STACKS = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:")
SAYS = re.compile(r"^\[  (?:ERROR|FAILED) |^\[   LINE |^>  |^E  |^\S+\.py:\d+: |error:|\bERROR\b|^FAILED|"
                  r"^ *(?:✖|not ok)|Error \[|AssertionError|Assertion .* failed|assertion .* failed|"
                  r"^Traceback|^KINEMA_SEED")
# Good news of cmocka, node and ninja, and what the address sanitizer says of its shadow memory.
NOISE = re.compile(r"^\[ +OK \]|^\[ RUN  |^ *✔ |^ℹ |^\[\d+/\d+\] (?!.*FAILED)"
                   r"|^Shadow byte|^=?>? *0x[0-9a-f]+: ?\[?[0-9a-f]{2}|^  [A-Z][\w ]+: +[0-9a-f]{2}( |$)"
                   r"|^Test command: |^Working Directory: |^Test timeout computed")
STACK_LINES = 16
BEFORE_LINES = 3
WIDTH_MAX = 300


def ctest_failures(lines):
    """[(title, output)] of every test that ctest calls failed."""
    verbose, found, open_one = {}, [], None
    for line in lines:
        failed = CTEST_FAILED.match(line)
        if failed:
            number, name, how = failed.groups()
            open_one = [f"{name}: {how.strip()}", []]
            found.append((number, open_one))
        elif CTEST_NEXT.match(line):
            open_one = None
        elif CTEST_VERBOSE.match(line):
            number, text = CTEST_VERBOSE.match(line).groups()
            verbose.setdefault(number, []).append(text)
        elif open_one:
            open_one[1].append(line)
    return [(title, verbose.get(number) or output) for number, (title, output) in found]


def pytest_failures(lines):
    """[(title, output)] of every test in pytest's sections of failures and errors."""
    found, inside = [], False
    for line in lines:
        if PYTEST_BEGIN.match(line):
            inside = True
        elif inside and PYTEST_END.match(line):
            inside = False
        elif inside and PYTEST_TITLE.match(line):
            found.append((PYTEST_TITLE.match(line).group(1), []))
        elif inside and found:
            found[-1][1].append(line)
    return found


def shorten(output, most):
    """At most that many lines: two thirds for those that say what is wrong, the rest for the end."""
    output = [line for line in output if line.strip() and not NOISE.match(line)]
    if len(output) <= most:
        return output
    chosen, after = [], 0
    for i, line in enumerate(output):
        if STACKS.search(line):
            after = STACK_LINES
        elif SAYS.search(line):
            after = max(after, 1)
        if after == STACK_LINES or (after == 1 and SAYS.search(line)):
            chosen += [n for n in range(max(0, i - BEFORE_LINES), i) if n not in chosen]
        if after > 0:
            chosen.append(i)
        after -= 1
    keep = set(chosen[:most * 2 // 3])
    for i in range(len(output) - 1, -1, -1):
        if len(keep) >= most:
            break
        keep.add(i)
    shown, last = [], -1
    for i in sorted(keep):
        shown.append(("… " if i > last + 1 else "") + output[i])
        last = i
    return shown


def excerpt(text, most):
    lines = text.splitlines()
    failures = ctest_failures(lines) + pytest_failures(lines)
    if not failures:
        return shorten(lines, most)
    shown = []
    share = max(4, most // len(failures) - 1)
    for title, output in failures:
        if len(shown) + 1 >= most:
            shown[most - 1:] = ["… and more"]
            break
        shown.append(f"* {title}")
        shown += shorten(output, share)[:most - len(shown)]
    return shown


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=45)
    parser.add_argument("log", type=pathlib.Path)
    args = parser.parse_args()
    for line in excerpt(args.log.read_text(errors="replace"), args.lines):
        print(line[:WIDTH_MAX])


if __name__ == "__main__":
    main()
