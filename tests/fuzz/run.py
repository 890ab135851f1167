#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs libFuzzer targets, a few side by side, and says what each did and how to replay a finding.

    tests/fuzz/run.py [--seconds N] [--jobs N] [--build build/fuzz] [TARGET ...]

New inputs of worth are kept under build/corpus/TARGET, the project's own under tests/data/corpus;
tests/fuzz/TARGET.dict is the target's dictionary. KINEMA_SEED=N repeats a run's random choices.
"""
import argparse
import base64
import concurrent.futures
import os
import pathlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOWN_BYTES_MAX = 4096  # of a finding, in the log, so that it can be copied out of it


def command(target, args, seed):
    name = target.name.removeprefix("fuzz_")
    kept = ROOT / "build" / "corpus" / name
    found = ROOT / "build" / "corpus" / "found"
    for folder in (kept, found):
        folder.mkdir(parents=True, exist_ok=True)
    cmd = [target, f"-max_total_time={args.seconds}", f"-seed={seed}", "-timeout=20",
           "-rss_limit_mb=1024", "-print_final_stats=1", f"-artifact_prefix={found}/{name}-"]
    dictionary = ROOT / "tests" / "fuzz" / f"{name}.dict"
    if dictionary.exists():
        cmd.append(f"-dict={dictionary}")
    return [str(part) for part in cmd + [kept, ROOT / "tests" / "data" / "corpus" / name]]


def show_finding(name, cmd, output):
    lines = [f"--- {name}: a finding", *output.splitlines()[-80:]]
    match = re.search(r"Test unit written to (\S+)", output)
    if match and os.path.exists(match[1]):
        data = pathlib.Path(match[1]).read_bytes()
        lines.append(f"--- the input: {match[1]}, {len(data)} bytes; base64 -d gives it back:")
        lines.append(base64.b64encode(data[:SHOWN_BYTES_MAX]).decode())
        if len(data) > SHOWN_BYTES_MAX:
            lines.append(f"... and {len(data) - SHOWN_BYTES_MAX} bytes more")
        lines.append(f"--- to replay: {cmd[0]} {match[1]}")
        lines.append(f"--- once it is mended, keep it: cp {match[1]} tests/data/corpus/{name}/")
    lines.append("--- the whole run again: " + " ".join(cmd))
    return "\n".join(lines)


def run(target, args, seed):
    name = target.name.removeprefix("fuzz_")
    cmd = command(target, args, seed)
    start = time.monotonic()
    done = subprocess.run(cmd, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    count = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    cover = re.findall(r" cov: (\d+) ft: (\d+) corp: (\d+)", done.stdout)
    passed = done.returncode == 0
    print(f"{name:<14} {'ok' if passed else 'FAILED':<7} {time.monotonic() - start:5.0f} s "
          f"{count[1] if count else '?':>10} executions, edges {cover[-1][0] if cover else '?':>6}, "
          f"inputs {cover[-1][2] if cover else '?':>5}, seed {seed}", flush=True)
    if not passed:
        print(show_finding(name, cmd, done.stdout), flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--build", default="build/fuzz")
    parser.add_argument("targets", nargs="*")
    args = parser.parse_args()
    targets = sorted((ROOT / args.build / "fuzz").glob("fuzz_*"))
    if args.targets:
        targets = [t for t in targets if t.name.removeprefix("fuzz_") in args.targets]
    if not targets:
        print(f"there is no target under {args.build}/fuzz", file=sys.stderr)
        return 2
    seed = int(os.environ.get("KINEMA_SEED") or random.SystemRandom().randrange(1, 1 << 31))
    print(f"KINEMA_SEED={seed}")
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda item: run(item[1], args, (seed + item[0]) % (1 << 31) or 1),
                                enumerate(targets)))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
