#!/usr/bin/python3
"""Prints which bars attention_bench meets, from its JSON.

    attention_bench --benchmark_out=bench.json --benchmark_out_format=json
    bars.py bench.json

A table with a line for each bar: what, the bar, the worst and the median of its cases, how many of
them meet it; a case is the median of its repetitions (--benchmark_repetitions), which a file of
aggregates alone (--benchmark_report_aggregates_only) has too. Then the cases that do not.
`cores lent`: cases of two or more threads that the machine lent less than 0.9 of their cores; repeat
the run if there are any.
Exit codes: 0 all that were measured are met, 1 some are not, 2 no such file, not such a file, or one in
which nothing was measured that has a bar.
"""

import json
import re
import statistics
import sys

LONG = r"b1/n(?!128/)\d+/.*"

# What; pattern of the names; counter; ">=" or "<="; bar.
BARS = [
    ("float32, n512 to n8192, of the ceiling", f"attention/f32/full/{LONG}",
     "ceiling_fraction", ">=", 0.85),
    ("bfloat16, n512 to n8192, of the ceiling", f"attention/bf16/full/{LONG}",
     "ceiling_fraction", ">=", 0.80),
    ("float32, n128, of the ceiling", r"attention/f32/full/b\d+/n128/.*",
     "ceiling_fraction", ">=", 0.75),
    ("bfloat16, n128, of the ceiling", r"attention/bf16/full/b\d+/n128/.*",
     "ceiling_fraction", ">=", 0.65),
    ("causal, n2048 and more, x as fast as full", r"attention/.*/causal/.*", "vs_full", ">=", 1.8),
    ("float32, x as fast as the composition", f"attention/f32/full/{LONG}",
     "vs_composition", ">=", 1.5),
    ("bfloat16, x as fast as the composition", f"attention/bf16/full/{LONG}",
     "vs_composition", ">=", 1.5),
    ("float mask, x the time without", r"attention_with/mask/.*", "vs_plain", "<=", 1.15),
    ("window, x the time without", r"attention_with/window/.*", "vs_plain", "<=", 1.15),
    ("softcap, x the time without", r"attention_with/softcap/.*", "vs_plain", "<=", 1.15),
    ("ALiBi, x the time without", r"attention_with/alibi/.*", "vs_plain", "<=", 1.15),
    ("scores and weights, x the time without", r"attention_with/scores_and_weights/.*",
     "vs_plain", "<=", 2.0),
    ("decode, float32, of a plain read", r"decode/f32/.*", "bandwidth_fraction", ">=", 0.7),
    ("decode, bfloat16, of a plain read", r"decode/bf16/.*", "bandwidth_fraction", ">=", 0.7),
    ("encoder, float32, 128 tokens and more", r"encoder/f32/.*/n(128|512)/.*",
     "ceiling_fraction", ">=", 0.80),
    ("encoder, bfloat16, 128 tokens and more", r"encoder/bf16/.*/n(128|512)/.*",
     "ceiling_fraction", ">=", 0.80),
    ("encoder, 16 tokens, of reading the weights", r"encoder/.*/n16/.*",
     "read_fraction", ">=", 0.6),
    ("first call of a length, x a warm one", r"first_call/.*", "vs_warm", "<=", 1.3),
    ("memory at n32768, MiB a thread", r"memory/.*", "mib_per_thread", "<=", 2.0),
]


def meets(measured, sign, bar):
    return measured >= bar if sign == ">=" else measured <= bar


def runs_of(rows):
    """The runs of a file, one a repetition; a case that has aggregates alone has one, its median."""
    runs = [row for row in rows if row.get("run_type", "iteration") == "iteration"]
    repeated = {run["name"] for run in runs}
    return runs + [{**row, "name": row["run_name"]} for row in rows
                   if row.get("aggregate_name") == "median" and row["run_name"] not in repeated]


def cases_of(runs, pattern, counter):
    """The median of the counter over the repetitions of each case, by the case's name."""
    repetitions = {}
    for run in runs:
        if re.fullmatch(pattern, run["name"]) and counter in run:
            repetitions.setdefault(run["name"], []).append(run[counter])
    return {name: statistics.median(values) for name, values in repetitions.items()}


def report(runs):
    """Prints the table; returns the lines about single cases that are not as they should be."""
    print(f"{'what':42} {'bar':>8} {'worst':>8} {'median':>8} {'cases met':>10}")
    single = []
    for what, pattern, counter, sign, bar in BARS:
        cases = cases_of(runs, pattern, counter)
        if not cases:
            print(f"{what:42} {sign} {bar:5.2f} {'not measured':>17}")
            continue
        worst = (min if sign == ">=" else max)(cases.values())
        missed = {name: x for name, x in cases.items() if not meets(x, sign, bar)}
        print(f"{what:42} {sign} {bar:5.2f} {worst:8.3f} {statistics.median(cases.values()):8.3f}"
              f" {len(cases) - len(missed):4} of {len(cases):2}  {'NOT MET' if missed else 'met'}")
        single += [f"not met: {name:52} {counter} {x:.3f}" for name, x in missed.items()]
    return single


def print_limit(runs):
    """What vs_composition would be for an operator that runs at the ceiling."""
    limits = [1 / run["composition_fraction"] for run in runs
              if re.fullmatch(f"attention/.*/full/{LONG}", run["name"])
              and "composition_fraction" in run]
    if limits:
        print("\nAn operator at the ceiling would be "
              f"{min(limits):.2f} to {max(limits):.2f} x as fast as the composition.")


def cores_short(run):
    """Whether the machine lent the run less than 0.9 of the cores that its name says."""
    threads = int(re.search(r"/t(\d+)$", run["name"])[1])
    return threads > 1 and run.get("cpus", threads) < 0.9 * threads


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            runs = runs_of(json.load(file)["benchmarks"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"bars.py: {arguments[0]}: {error}", file=sys.stderr)
        return 2
    wrong = [run for run in runs if run.get("error_occurred")]
    right = [run for run in runs if not run.get("error_occurred")]
    if not wrong and not any(cases_of(right, pattern, counter) for _, pattern, counter, _, _ in BARS):
        print(f"bars.py: {arguments[0]}: has no run and no median of a case that has a bar; want what "
              "attention_bench writes", file=sys.stderr)
        return 2
    single = report(right)
    print_limit(right)
    single += [f"wrong: {run['name']}: {run['error_message']}" for run in wrong]
    if single:
        print("", *single, sep="\n")
    short = [run for run in runs if cores_short(run)]
    if short:
        print("", *(f"cores lent: {run['name']:49} {run['cpus']:.2f}" for run in short), sep="\n")
    return 1 if single else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
