#!/usr/bin/python3
"""Prints which bars attention_bench meets, from its JSON.

    attention_bench --benchmark_out=bench.json --benchmark_out_format=json
    bars.py bench.json

A line for each measurement that a bar stands for: name, what is counted, bar, measured, met or not.
Exit codes: 0 all met, 1 some not, 2 no such file or not such a file.
"""

import json
import re
import sys

# Pattern of names; counter; ">=" or "<="; bar (a number, or another counter).
BARS = [
    (r"attention/f32/full/b\d+/n128/.*", "ceiling_fraction", ">=", 0.75),
    (r"attention/bf16/full/b\d+/n128/.*", "ceiling_fraction", ">=", 0.65),
    (r"attention/f32/full/b1/n(?!128/).*", "ceiling_fraction", ">=", 0.85),
    (r"attention/bf16/full/b1/n(?!128/).*", "ceiling_fraction", ">=", 0.80),
    (r"attention/.*/causal/.*", "vs_full", ">=", 1.8),
    (r"attention/.*/full/b1/n(?!128/).*", "vs_composition", ">=", 1.5),
    (r"attention_with/(mask|window|softcap|alibi)/.*", "vs_plain", "<=", 1.15),
    (r"attention_with/narrow_window/.*", "vs_plain", "<=", 1.0),
    (r"attention_with/results/.*", "vs_plain", "<=", 2.0),
    (r"decode/.*", "bandwidth_fraction", ">=", 0.7),
    (r"memory/.*", "bytes_above", "<=", "bytes_allowed"),
]


def lines(benchmarks):
    """Yields (name, counter, sign, bar, measured) for each measurement that a bar stands for."""
    for pattern, counter, sign, bar in BARS:
        for run in benchmarks:
            if not re.fullmatch(pattern, run["name"]):
                continue
            if run.get("error_occurred"):
                yield run["name"], run["error_message"], sign, None, None
            elif run.get("run_type", "iteration") == "iteration":
                yield run["name"], counter, sign, run.get(bar, bar), run[counter]


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            benchmarks = json.load(file)["benchmarks"]
    except (OSError, ValueError, KeyError) as error:
        print(f"bars.py: {arguments[0]}: {error}", file=sys.stderr)
        return 2
    missed = 0
    for name, counter, sign, bar, measured in lines(benchmarks):
        met = bar is not None and (measured >= bar if sign == ">=" else measured <= bar)
        missed += not met
        numbers = "" if bar is None else f"{sign} {bar:<8.4g} {measured:<8.4g}"
        print(f"{name:58} {counter:18} {numbers} {'met' if met else 'NOT MET'}")
    print(f"{missed} not met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
