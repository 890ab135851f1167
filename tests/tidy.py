#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The repository's own rules, run as a test. Standard library only; prints one line a finding."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINES_MAX = 800
TEST_LINES_MAX = 1000
SPDX = "SPDX-License-Identifier: Apache-2.0"
CODE = (".c", ".h", ".py", ".js", ".css", ".sh", ".cmake")
findings = []


def say(path, line, text):
    findings.append(f"{path}:{line}: {text}")


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [p for p in out.stdout.decode().split("\0") if p and os.path.isfile(os.path.join(ROOT, p))]


def read(path):
    with open(os.path.join(ROOT, path), "rb") as f:
        data = f.read()
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def check_text(path, text):
    lines = text.split("\n")
    if path.endswith(CODE) and SPDX not in "\n".join(lines[:5]):
        say(path, 1, "no SPDX line")
    if text and not text.endswith("\n"):
        say(path, len(lines), "no final newline")
    for n, line in enumerate(lines, 1):
        if line != line.rstrip() and not path.endswith(".md"):
            say(path, n, "trailing blanks")
        if "\t" in line and path.endswith((".c", ".h", ".py", ".js", ".css")):
            say(path, n, "a tab")
        for word in re.findall(r"\b(TODO|FIXME|XXX)\b(?!\(#)", line):
            if path != "tests/tidy.py":
                say(path, n, f"{word} without an issue")
    if path.endswith((".c", ".h")):
        check_c(path, lines)
    if path.endswith(".md"):
        check_links(path, lines)


def check_c(path, lines):
    most = TEST_LINES_MAX if path.startswith("tests/") else LINES_MAX
    if len(lines) > most:
        say(path, most, f"{len(lines)} lines; at most {most}")
    start, name = None, ""
    for n, line in enumerate(lines, 1):
        if re.search(r'#include ".*/src/', line):
            say(path, n, "somebody's private header")
        if line == "{" and n > 1:
            start, name = n, lines[n - 2]
        if line == "}" and start:
            if n - start - 1 > 70 and not path.startswith("tests/"):
                say(path, start, f"function of {n - start - 1} lines; at most 70: {name.strip()}")
            start = None


def check_links(path, lines):
    folder = os.path.dirname(os.path.join(ROOT, path))
    for n, line in enumerate(lines, 1):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
            if "://" not in target and not target.startswith("mailto:"):
                if not os.path.exists(os.path.join(folder, target)):
                    say(path, n, f"link to {target}, which is not there")


def check_listed(paths):
    """A source that no CMakeLists.txt names is dead."""
    for path in paths:
        if not path.endswith(".c"):
            continue
        folder = os.path.dirname(path)
        names = {os.path.basename(path)}
        if path.startswith(("tests/", "samples/")):
            stem = os.path.basename(path)[:-2]
            for prefix in ("test_", "fuzz_"):
                names.add(stem.removeprefix(prefix))
        while True:
            lists = os.path.join(ROOT, folder, "CMakeLists.txt")
            if os.path.exists(lists):
                text = open(lists).read() + open(os.path.join(ROOT, "cmake/Module.cmake")).read()
                if not any(re.search(rf"(^|[\s/(]){re.escape(x)}\b", text) for x in names):
                    say(path, 1, "no CMakeLists.txt names it")
                break
            if not folder:
                break
            folder = os.path.dirname(folder)


UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def constants(paths):
    """name -> the expressions the C sources give it, in enums and defines."""
    found = {}
    for path in paths:
        if path.endswith((".c", ".h")) and not path.startswith("tests/"):
            for name, value in re.findall(r"^ *([A-Z][A-Z0-9_]+) = ([^,/\n]+)", read(path) or "", re.M):
                found.setdefault(name, set()).add(value.strip())
    return found


def check_limits(paths):
    """What docs/limits.md says of constants and settings is what the code says."""
    path = "docs/limits.md"
    known, settings = constants(paths), read("docs/config.md")
    for n, line in enumerate(read(path).split("\n"), 1):
        for name, value, unit in re.findall(r"`([A-Z][A-Z0-9_]+)` = (\d+) ?([KMG]iB)?", line):
            wanted = int(value) * UNITS[unit]
            given = {eval(v) for v in known.get(name, ()) if re.fullmatch(r"[\d x<>()|+*-]+", v)}
            if wanted not in given:
                say(path, n, f"{name} is {sorted(given) or 'not'} in the code")
        for name in re.findall(r"`([a-z][a-z0-9_]+)`", line):
            if f"| `{name}` |" not in settings:
                say(path, n, f"there is no setting {name}")


def main():
    paths = tracked()
    for path in paths:
        text = None if path.startswith("tests/data/") else read(path)
        if text is not None:
            check_text(path, text)
    check_listed(paths)
    check_limits(paths)
    for line in findings:
        print(line)
    print(f"{len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main())
