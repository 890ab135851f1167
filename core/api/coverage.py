#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py [--check]: writes docs/api-coverage.md from the operation files, or compares.

--check exits with 1 and a diff when the page is not what the files say; CTest runs it.
"""
import difflib
import glob
import os
import sys

sys.dont_write_bytecode = True
import opfile  # noqa: E402

ROOT = os.path.abspath(os.path.join(opfile.HERE, "..", ".."))
PAGE = os.path.join(ROOT, "docs", "api-coverage.md")
MODULES = ("ingest", "playback", "datastream")

HEAD = """# API coverage

Every operation of Amazon Kinesis Video Streams and Kinesis Data Streams, and what this server does with it; those under *Kinema* are our own. Made by `core/api/coverage.py` from the operation files (`<module>/api/*.json`); do not edit.

*Done* operations check every constraint of AWS's model and raise only the errors listed. *Refused* ones check signature, form and constraints like all others, then answer one of their documented errors with the reason given here; a done operation that is listed among them refuses a part of what it may be asked. *Planned* ones are described but not written yet; the server does not have them.

*Calls a second* are how often AWS lets an account, or an account on one stream, call the operation; kept under `limits = aws`, else any number is answered.

Any operation may also answer the errors common to all of AWS's services: those of [signatures](protocols/sigv4.md) (for data streams with status 400 and names ending in `Exception`), `SerializationException` and `UnknownOperationException` (400 and 404, in coral's envelope), `AccessDeniedException` (403), `ThrottlingException` (400), `InternalFailure` (500) and `ServiceUnavailable` (503; 504 for uploads, on which AWS's producers back off).
"""


def operations():
    found = []
    for module in MODULES:
        paths = sorted(glob.glob(os.path.join(ROOT, module, "api", "*.json")))
        found += [(module, op) for op in opfile.read_module(paths)[0]]
    return found


def fault_text(op):
    return ", ".join(f"{name} {status}" for name, status, _ in op.faults) or "–"


def rate_text(op):
    """Of the account, of one stream."""
    of = {"account": "", "stream": " a stream"}
    return ", ".join(f"{rate}{of[whose]}" for whose, rate in sorted(op.calls_per_s.items())) or "–"


def group_table(rows):
    out = ["| operation | route or target | status | calls a second | errors |", "|---|---|---|---|---|"]
    for module, op in sorted(rows, key=lambda row: row[1].name):
        link = f"[{op.name}](../{module}/api/{op.name}.json)"
        where = op.target or f"{op.method} {op.route}"
        out.append(f"| {link} | `{where}` | {op.status} | {rate_text(op)} | {fault_text(op)} |")
    refused = [op for _, op in sorted(rows, key=lambda row: row[1].name) if op.reason]
    if refused:
        out += ["", "| refused | answers | because |", "|---|---|---|"]
        out += [f"| {op.name} | {op.fault} | {op.reason} |" for op in refused]
    return out


def page():
    rows = operations()
    done = sum(op.status == "done" for _, op in rows)
    refused = sum(op.status == "refused" for _, op in rows)
    out = [HEAD, f"{done} of {len(rows)} operations are done, {refused} are refused, "
           f"{len(rows) - done - refused} are planned.", ""]
    for group in sorted({op.group for _, op in rows}):
        out += [f"## {group}", ""]
        out += group_table([row for row in rows if row[1].group == group])
        out.append("")
    return "\n".join(out)


def main(argv):
    text = page()
    if argv[1:] == ["--check"]:
        try:
            with open(PAGE, encoding="utf-8") as f:
                there = f.read()
        except FileNotFoundError:
            there = ""
        diff = list(difflib.unified_diff(there.splitlines(), text.splitlines(), "docs/api-coverage.md",
                                         "what the operation files say", lineterm=""))
        print("\n".join(diff))
        return 1 if diff else 0
    if argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
