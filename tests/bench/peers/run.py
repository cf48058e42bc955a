#!/usr/bin/python3
"""Measures attention_server against a Python gRPC server that computes the same with numpy or PyTorch.

    tests/bench/peers/run.py [--python=PATH] [--short] [--json=FILE] [--peer="BACKEND FLAG..." ...]

--python is the interpreter whose numpy, torch, grpcio and protobuf the peers use; a peer whose packages
it lacks is skipped. This script itself needs Debian's python3-grpcio, python3-protobuf and python3-numpy,
or the same of PyPI. The strongest peers are a venv's:

    python3 -m venv peers && peers/bin/pip install numpy torch grpcio protobuf
    tests/bench/peers/run.py --python=peers/bin/python

(Debian's numpy has the reference BLAS unless libopenblas0-pthread is installed.)

All sides get the same weights, the same number of compute threads and the same CPUs, which they share
with attention_loadtest; `taskset -c 0,1 run.py` grants fewer. No call is timed before all sides have
given the same numbers. Then they are measured in turns, since machines drift: medians of the rounds, and
the median of each round's ratio. --peer measures others than `numpy` and `torch`, which compute as many
calls at a time as there are threads, each on one, so that a single caller has one thread of theirs:
--peer="torch --workers=1" gives it all, --peer="torch --share" all while no other call is computed;
peer_server.py --help has the other flags.

The environment variable ATTENTION_BUILD names another build than build/release. Prints Markdown. Takes
16 minutes, with --short 2; the machine should do nothing else meanwhile.
Exit codes: 0 measured; 1 the sides differ, or calls fail; 2 wrong arguments.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shlex
import statistics
import sys
import tempfile
from dataclasses import dataclass

import sides
from sides import BUILD, ROOT, NotInstalled, Peer, difference, versions_of

import numpy as np
from attention_client import AttentionClient
from server import Server, load

import mha_layer

LAYER = "mha"
D_MODEL, NUM_HEADS = 768, 12  # those of BERT-base
CALLERS = (1, 8)
OURS = "attention_server"


@dataclass(frozen=True)
class Call:
    """What is asked: tokens [lengths, width] alone, or with the stored layer."""

    what: str
    length: int
    width: int
    layer: bool = False
    scores: bool = False  # and weights, beside the output

    def flags(self):
        """Of attention_loadtest."""
        return ["--layer=" + LAYER] * self.layer + ["--scores"] * self.scores + [
            f"--lengths={self.length}", f"--width={self.width}"]


CALLS = [
    Call("8 x 3", 8, 3),
    Call("128 x 64, with scores and weights", 128, 64, scores=True),
    Call("16 x 768, layer", 16, D_MODEL, layer=True),
    Call("128 x 768, layer", 128, D_MODEL, layer=True),
    Call("512 x 768, layer", 512, D_MODEL, layer=True),
]


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: float  # of one measurement
    warm_up: float


LONG, SHORT = Plan(5, 5.0, 1.0), Plan(3, 0.7, 0.3)


def check(servers):
    """Whether all sides give our server's numbers; tells those that do not."""
    same = True
    random = np.random.default_rng(1)
    for call in CALLS:
        tokens = random.normal(size=(call.length, call.width)).astype(np.float32)
        options = {"layer": LAYER} if call.layer else {}
        options["results"] = ["output"] + ["attention_scores", "attention_weights"] * call.scores
        answers = {}
        for name, server in servers.items():
            with AttentionClient(server.target) as client:
                answers[name] = client.compute_attention(tokens, **options)
        for name, result in ((n, r) for n in answers for r in options["results"]):
            off = difference(getattr(answers[name], result), getattr(answers[OURS], result))
            if not off <= sides.TOLERANCE:
                print(f"{call.what}: {name} differs in {result} by {off:.1e} of its largest number",
                      file=sys.stderr)
                same = False
    return same


def measure(call, callers, server, plan):
    """What attention_loadtest says of one run, less what nobody needs here."""
    found = load(BUILD, server, *call.flags(), callers=callers, duration_s=plan.seconds,
                 warm_up_s=plan.warm_up)
    if set(found["by_code"]) != {"OK"}:
        raise RuntimeError(f"{call.what}, {callers} callers: {found['by_code'] or 'no answer'} "
                           f"{found['failures']}")
    return {"calls_per_s": found["answered_per_s"], "p50_ms": found["latency"]["p50_ms"],
            "p99_ms": found["latency"]["p99_ms"], "cpu_ms": found["server_cpu_ms_per_call"],
            "resident_mib": found["server_resident_mib"]}


def in_turns(call, callers, servers, plan):
    """A list of measurements, one a round, for each side."""
    rounds = {name: [] for name in servers}
    for _ in range(plan.rounds):
        for name, server in servers.items():
            rounds[name].append(measure(call, callers, server, plan))
    return rounds


def ratios(rounds):
    """Of each round: our calls/s over those of the faster peer."""
    of_side = {name: [m["calls_per_s"] for m in found] for name, found in rounds.items()}
    ours = of_side.pop(OURS)
    return [mine / max(theirs) for mine, *theirs in zip(ours, *of_side.values())]


def row(call, callers, rounds):
    def medians(key):
        numbers = [statistics.median(m[key] for m in found) for found in rounds.values()]
        return " / ".join(f"{x:.0f}" if x >= 100 else f"{x:.3g}" for x in numbers)

    times = sorted(ratios(rounds)) if len(rounds) > 1 else []
    ratio = f"**{statistics.median(times):.2f}** ({times[0]:.2f}-{times[-1]:.2f})" if times else ""
    return (f"| {call.what} | {callers} | {medians('calls_per_s')} | {ratio} | {medians('p50_ms')} "
            f"| {medians('p99_ms')} | {medians('cpu_ms')} |")


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{model}, {len(os.sched_getaffinity(0))} CPUs"


def start(stack, options, layer_dir):
    """The sides that can run here, by name, and what each runs on."""
    flags = [f"--threads={options.threads}", f"--layer_dir={layer_dir}"]
    servers = {OURS: stack.enter_context(Server(BUILD, "--log_level=error", *flags))}
    versions = {OURS: f"{options.threads} compute threads, as all"}
    for peer in options.peer or ("numpy", "torch"):
        backend, *more = peer.split()
        try:
            servers[peer] = stack.enter_context(Peer(options.python, backend, *flags, *more))
            versions[backend] = versions_of(options.python, backend, *flags)
        except NotInstalled as why:
            print(f"SKIPPED: {peer}: {why}", file=sys.stderr)
    return servers, versions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the peers' interpreter")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="compute threads of each side; default: the CPUs granted")
    parser.add_argument("--peer", action="append", help="a backend and flags of peer_server.py")
    parser.add_argument("--short", action="store_true", help="too short to quote")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="writes every round there")
    options = parser.parse_args()
    plan = SHORT if options.short else LONG

    with contextlib.ExitStack() as stack:
        layer_dir = stack.enter_context(tempfile.TemporaryDirectory())
        mha_layer.make(pathlib.Path(layer_dir) / LAYER, D_MODEL, NUM_HEADS)
        servers, versions = start(stack, options, layer_dir)
        if not check(servers):
            return 1
        about = {"machine": machine(), "load_before": os.getloadavg()[0],
                 "date": datetime.date.today().isoformat(), "command": shlex.join(sys.argv),
                 "versions": versions}
        names = " / ".join(servers)
        print(f"{names}:\n\n| tokens | callers | calls/s | ours, x the faster peer | p50, ms "
              "| p99, ms | server's CPU, ms a call |\n| --- | --- | --- | --- | --- | --- | --- |",
              flush=True)
        cases = []
        for call in CALLS:
            for callers in CALLERS:
                rounds = in_turns(call, callers, servers, plan)
                cases.append({"call": call.what, "callers": callers, "rounds": rounds})
                print(row(call, callers, rounds), flush=True)
    print()
    for name, text in versions.items():
        print(f"- {name}: {text}")
    print(f"- {about['machine']}; load average before {about['load_before']:.2f}; {about['date']}; "
          f"`{about['command']}`, {plan.rounds} rounds of {plan.seconds:g} s")
    if options.json is not None:
        options.json.write_text(json.dumps({**about, "cases": cases}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
