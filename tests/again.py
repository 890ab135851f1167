#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the few tests that failed in a log of ctest or pytest once more, one after the other, when
nothing runs beside them. If all pass, prints their names and ends with 0: they are unsteady, which is
a defect, but not what a run of everything is stopped for. Ends with 1 if one fails again, if more than
a few failed, or if something crashed or a sanitizer spoke: that is true however it goes the second time.
A file whose fixture failed, and all its tests with it, counts as one that failed.

usage: tests/again.py LOG"""

import os
import pathlib
import re
import subprocess
import sys

FEW = 3
TIMEOUT_S = 900
NEVER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:|exit code -\d|"
                   r"ended with -\d|it has died:|the server died|"
                   r"\((SEGFAULT|ILLEGAL|BUS_ERROR|NUMERICAL|OTHER_FAULT|Subprocess aborted|Not Run)\)")
CTEST_FOLDER = re.compile(r"^Internal ctest changing into directory: (.+)$", re.M)
CTEST_FAILED = re.compile(r"^\t *\d+ - (\S+) \((?:Failed|Timeout)\)", re.M)
PYTEST_FAILED = re.compile(r"^FAILED (\S+?\.py::[^\s\[]+(?:\[.*?\])?)(?: - .*)?$", re.M)
PYTEST_ERROR = re.compile(r"^ERROR (\S+?\.py::[^\s\[]+(?:\[.*?\])?)(?: - .*)?$", re.M)
PYTEST_BROKEN = re.compile(r"^ERROR (?!\S+?\.py::)\S+\.py|^!{3,}|worker '?gw\d+'? crashed", re.M)


def failed_tests(log):
    """(names, the command that runs them alone); no names: they are not to be run again."""
    if NEVER.search(log) or PYTEST_BROKEN.search(log):
        return [], None
    names, command = named_tests(log)
    return (names, command) if count(log, names) <= FEW else ([], None)


def count(log, names):
    errors = set(PYTEST_ERROR.findall(log))
    return len(set(names) - errors) + len({name.split("::")[0] for name in errors})


def named_tests(log):
    folder = CTEST_FOLDER.search(log)
    if folder:
        names = CTEST_FAILED.findall(log)
        if any(name.startswith("fault/") for name in names):  # another run has other seeds
            return [], None
        pattern = "^(" + "|".join(re.escape(name) for name in names) + ")$"
        return names, ["ctest", "--test-dir", folder.group(1), "--output-on-failure",
                       "--no-tests=error", "-R", pattern]
    names = list(dict.fromkeys(PYTEST_FAILED.findall(log) + PYTEST_ERROR.findall(log)))
    return names, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names]


def main():
    path = pathlib.Path(sys.argv[1])
    names, command = failed_tests(path.read_text(errors="replace"))
    if not names:
        sys.exit(1)
    with open(path.with_suffix(".again.log"), "wb") as out:
        try:
            code = subprocess.run(command, stdout=out, stderr=out, env=os.environ, check=False,
                                  timeout=TIMEOUT_S).returncode
        except subprocess.TimeoutExpired:
            code = 1
    if code:
        sys.exit(1)
    print(*names, sep="\n")


if __name__ == "__main__":
    main()
