#!/usr/bin/python3
"""Tries a real server under load, overload, quotas and attack, and prints what it measured.

    tests/end_to_end/trials/run.py [--long] [--strict] [--build=build/release] [TRIAL...]

Trials: transport small_calls overload soak quota hostile; all unless some are named. Each is a
module of this folder whose head says what it does. The short form takes a minute and a half or so, the
long one about twenty minutes. Real processes, over loopback.

Prints a table in Markdown. Bars that depend on how busy the machine is are told, and others must be
met: no call fails, no byte differs, memory stays within its bounds.
Exit codes: 0 these are met (with --strict: all are); 1 not; 2 wrong arguments. A trial that cannot
run here is named with the reason.
"""

import argparse
import importlib
import pathlib
import sys

from server import ROOT, Skipped

TRIALS = ["transport", "small_calls", "overload", "soak", "quota", "hostile"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="as long as the bars say")
    parser.add_argument("--strict", action="store_true", help="every bar must be met")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=" ".join(TRIALS))
    options = parser.parse_args()
    unknown = set(options.trials) - set(TRIALS)
    if unknown:
        parser.error(f"no trial {', '.join(sorted(unknown))}; there are {', '.join(TRIALS)}")

    failed = False
    print("| what | bar | measured | |\n| --- | --- | --- | --- |", flush=True)
    for name in options.trials or TRIALS:
        try:
            rows = importlib.import_module(name).run(options.build.resolve(), options.long)
        except Skipped as why:
            print(f"| {name} | | SKIPPED: {why} | |", flush=True)
            continue
        for row in rows:
            fails = not row.met and (row.must or options.strict)
            failed = failed or fails
            verdict = "met" if row.met else "FAILED" if fails else "not met"
            print(f"| {row.what} | {row.bar} | {row.measured} | {verdict} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
