#!/usr/bin/python3
"""Whether two builds of this project give the same bits.

    tests/end_to_end/same_bits.py BEFORE AFTER [--only=TEXT] [--flag=SERVER_FLAG ...]

BEFORE and AFTER are build folders, such as build/release of two working trees. Each build's server runs with
each build's own client, so the contract between them may have changed; requests are files for
`attention_client`, and results are compared as `--save` writes them: names, shapes, types and bytes. What one
build refuses the other must refuse as well. Bits depend on the instruction set and on oneDNN's version, so both
builds run here and now, and nothing is kept: once with what the CPU has, once held to AVX2.

--only: calls whose name contains TEXT. Wants Debian's python3-numpy.
Exit codes: 0 all the same; 1 not; 2 wrong arguments.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "trials"))
from server import ROOT, Server  # noqa: E402

LAYERS = ROOT / "tests" / "data" / "torch_layers"
CREATED = [
    {"name": "wide_attention", "seed": 1, "attention": {"d_model": 256, "num_heads": 8, "num_kv_heads": 2}},
    {"name": "wide_encoder", "seed": 2,
     "encoder": {"d_model": 128, "num_heads": 4, "num_layers": 2, "vocabulary": 500, "max_len": 700}},
]
EVERY_RESULT = ["OUTPUT", "ATTENTION_SCORES", "ATTENTION_WEIGHTS", "QUERY", "KEY", "VALUE", "WEIGHTED_VALUES",
                "TOP_KEYS", "LOG_SUM_EXP", "PRESENT_KEY", "PRESENT_VALUE"]
LARGE_RESULTS = ["OUTPUT", "ATTENTION_SCORES", "ATTENTION_WEIGHTS", "LOG_SUM_EXP", "TOP_KEYS"]
SUM_RESULTS = [result for result in EVERY_RESULT if result != "LOG_SUM_EXP"]
COMPUTE_TYPES = ["FLOAT32", "BFLOAT16"]


class Corpus:
    """The calls: (name, command, request as a dict). Arrays are files of `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.random = np.random.default_rng(2026)
        self.calls = []
        self.arrays = 0

    def array(self, shape, dtype=np.float32, factor=1.0):
        return self.file((self.random.standard_normal(shape) * factor).astype(dtype))

    def file(self, array):
        self.arrays += 1
        path = self.folder / f"{self.arrays}.npy"
        np.save(path, array)
        return str(path)

    def attend(self, name, source, results, **rest):
        config = rest.pop("config", {})
        for compute_type in COMPUTE_TYPES:
            request = {**source, "results": results, "config": {**config, "compute_type": compute_type}, **rest}
            self.calls.append((f"{name} {compute_type}", "attend", {"request": request}))

    def encode(self, name, request):
        for compute_type in COMPUTE_TYPES:
            config = {**request.get("config", {}), "compute_type": compute_type}
            self.calls.append((f"{name} {compute_type}", "encode", {"encode": {**request, "config": config}}))

    def projected(self, lens, heads, dims, dtype=np.float32, batch=2, factor=1.0):
        """Rank-4 operands: lens (q_len, kv_len), heads (query, key), dims (head, value head)."""
        return {"projected": {
            "query": self.array((batch, heads[0], lens[0], dims[0]), dtype),
            "key": self.array((batch, heads[1], lens[1], dims[0]), dtype),
            "value": self.array((batch, heads[1], lens[1], dims[1]), dtype, factor)}}


def add_lengths(corpus):
    for lens in [(1, 1), (1, 300), (3, 33), (8, 64), (20, 65), (64, 64), (130, 257), (512, 1100)]:
        for dims in [(8, 8), (64, 64), (128, 96), (20, 12)]:
            results = EVERY_RESULT if lens[0] * lens[1] < 5000 else LARGE_RESULTS
            for causal in [False, True]:
                corpus.attend(f"lengths {lens} {dims} causal {causal}", corpus.projected(lens, (4, 2), dims),
                              results, config={"causal": causal})
            corpus.attend(f"output alone {lens} {dims}", corpus.projected(lens, (4, 2), dims), ["OUTPUT"])


def add_settings(corpus):
    for lens in [(2, 90), (40, 90), (150, 300)]:
        mask = corpus.random.random((lens[0], lens[1])) < 0.7
        settings = {
            "window": {"left_window": 20, "right_window": 3},
            "bottom right": {"causal": True, "causal_alignment": "BOTTOM_RIGHT"},
            "softcap": {"softcap": 0.5, "score_stage": "SOFTCAPPED"},
            "alibi": {"alibi_slopes": [0.5, 0.25, 0.125, 1], "score_stage": "BIASED"},
            "sinks": {"sinks": [0.5, -3, 40, 0]},
            "split half": {"rotary": {"rotary_dim": 12}},
            "interleaved": {"rotary": {"pairing": "PAIRING_INTERLEAVED", "base": 500}},
            "mask": {"mask": corpus.file(mask), "score_stage": "BIASED"},
            "added mask": {"mask": corpus.array((4, lens[0], lens[1])), "score_stage": "BIASED"},
            "mean": {"average_attention_weights": True},
            "scale": {"scale": -0.7},
            "all of it": {"causal": True, "left_window": 70, "softcap": 2, "alibi_slopes": [1, 2, 3, 4],
                          "sinks": [1, 2, 3, 4], "rotary": {}, "mask": corpus.array((lens[1],))},
        }
        for name, config in settings.items():
            corpus.attend(f"{name} {lens}", corpus.projected(lens, (4, 2), (16, 24)), EVERY_RESULT, config=config)
        positive = {"projected": {side: corpus.file(np.abs(np.load(path))) for side, path in
                                  corpus.projected(lens, (4, 2), (16, 24))["projected"].items()}}
        corpus.attend(f"sum {lens}", positive, SUM_RESULTS, config={"normalization": "SUM"})
        corpus.attend(f"sum that cancels {lens}", corpus.projected(lens, (4, 2), (16, 24)), SUM_RESULTS,
                      config={"normalization": "SUM"})
        past = corpus.projected(lens, (4, 2), (16, 24))
        past["projected"] |= {"past_key": corpus.array((2, 2, 37, 16)), "past_value": corpus.array((2, 2, 37, 24))}
        corpus.attend(f"past {lens}", past, EVERY_RESULT, config={"causal": True, "rotary": {}})
        cache = corpus.projected(lens, (4, 2), (16, 24))
        cache["projected"] |= {"kv_lens": [lens[1] - 5, 7]}
        corpus.attend(f"cache {lens}", cache, EVERY_RESULT, config={"causal": True})
        corpus.attend(f"rows {lens}", corpus.projected(lens, (4, 2), (16, 24)), EVERY_RESULT,
                      query_indices=[1, 0, lens[0] - 1], top_k=5)
        for dtype in [np.float16, np.float64]:
            corpus.attend(f"{np.dtype(dtype).name} {lens}", corpus.projected(lens, (4, 2), (16, 24), dtype),
                          EVERY_RESULT)


def add_magnitudes(corpus):
    for lens in [(2, 90), (70, 300)]:
        for power in [-120, -60, 60, 120]:
            source = corpus.projected(lens, (4, 2), (16, 24), factor=2.0 ** power)
            corpus.attend(f"values * 2^{power} {lens}", source, LARGE_RESULTS)
            corpus.attend(f"sum of values * 2^{power} {lens}", source, ["OUTPUT", "ATTENTION_WEIGHTS"],
                          config={"normalization": "SUM"})


def add_ragged_and_other_sources(corpus):
    q_lens, kv_lens = [3, 0, 70, 9], [5, 2, 200, 33]
    ragged = {"query": corpus.array((sum(q_lens), 4 * 16)), "key": corpus.array((sum(kv_lens), 2 * 16)),
              "value": corpus.array((sum(kv_lens), 2 * 24)), "q_lens": q_lens, "kv_lens": kv_lens}
    corpus.attend("ragged", {"projected": ragged}, EVERY_RESULT,
                  config={"num_heads": 4, "num_kv_heads": 2, "causal": True})
    corpus.attend("weighted", {"weighted": {"attention_weights": corpus.array((2, 4, 30, 50)),
                                            "value": corpus.array((2, 2, 50, 24))}},
                  ["OUTPUT", "WEIGHTED_VALUES", "TOP_KEYS"])
    parts = [{"output": corpus.array((2, 4, 30, 24)), "log_sum_exp": corpus.array((2, 4, 30))} for _ in range(3)]
    corpus.attend("partials", {"partials": {"parts": parts}}, ["OUTPUT", "LOG_SUM_EXP"])


def add_tokens(corpus):
    for q_len in [1, 6, 40, 300]:
        tokens = corpus.array((2, q_len, 48))
        results = EVERY_RESULT if q_len < 100 else LARGE_RESULTS
        corpus.attend(f"simplified {q_len}", {"tokens": {"tokens": tokens}}, results, config={"scale": 1})
        weights = {"q_proj": corpus.array((48, 64)), "k_proj": corpus.array((40, 32)), "v_proj": corpus.array((40, 24)),
                   "o_proj": corpus.array((48, 56)), "q_bias": corpus.array((64,)), "k_bias": corpus.array((32,)),
                   "v_bias": corpus.array((24,)), "o_bias": corpus.array((56,))}
        corpus.attend(f"projected by the call {q_len}",
                      {"tokens": {"tokens": tokens, "context": corpus.array((2, q_len + 9, 40)),
                                  "projection_weights": weights}},
                      results, config={"num_heads": 4, "num_kv_heads": 2})
        corpus.attend(f"stored {q_len}",
                      {"tokens": {"tokens": corpus.array((2, q_len, 256)), "layer": {"name": "wide_attention"}}},
                      results, config={"causal": True})


def add_encoders(corpus):
    probes = [{"layer": layer, "results": ["HIDDEN_STATES", "ATTENTION_SCORES", "ATTENTION_WEIGHTS"]}
              for layer in range(2)]
    for lens in [[1], [7], [128], [3, 600, 20, 1]]:
        ids = corpus.random.integers(0, 500, sum(lens)).tolist()
        request = {"layer": {"name": "wide_encoder"}, "token_ids": ids, "lens": lens}
        corpus.encode(f"encoder {lens}", {**request, "results": ["HIDDEN_STATES", "POOLED"], "normalize": True})
        corpus.encode(f"encoder, first token {lens}", {**request, "results": ["POOLED"], "pooling": "FIRST_TOKEN"})
        if sum(lens) < 200:
            corpus.encode(f"encoder, on the way {lens}", {**request, "probes": probes})
            corpus.encode(f"encoder, causal {lens}", {**request, "config": {"causal": True, "left_window": 5}})


def add_files(corpus):
    """The calls of the layers that PyTorch wrote, and the samples of ComputeAttention."""
    for folder in sorted(path.parent for path in LAYERS.glob("*/case.json")):
        layer = {"name": folder.name}
        for index, call in enumerate(json.loads((folder / "case.json").read_text())):
            name = f"PyTorch's {folder.name} {index}"
            if "encode" in call:
                corpus.encode(name, {**call["encode"], "layer": layer})
            else:
                request = dict(call["attention"])
                corpus.attend(name, {"tokens": {**request.pop("tokens"), "layer": layer}}, LARGE_RESULTS, **request)
    for sample in sorted((ROOT / "client" / "samples").glob("0*.json")):
        request = json.loads(sample.read_text())
        if "request" in request:
            corpus.calls.append((f"sample {sample.stem}", "attend", request))


def client(build, server, *arguments, request=None):
    return subprocess.run([build / "attention_client", *arguments, f"--target={server.target}", "--timeout=10m",
                           "--max_message_mib=512"],
                          input=None if request is None else json.dumps(request), text=True, capture_output=True)


def prepare(build, server):
    """The same layers in each server."""
    for layer in CREATED:
        client(build, server, "layers", "create", "-", request=layer).check_returncode()
    for config in LAYERS.glob("*/config.json"):
        client(build, server, "layers", "upload", config.parent.name, config.parent).check_returncode()


def results_of(build, server, command, request, folder):
    """By name (shape, type, bytes), or what the call was refused with: the exit code and the error."""
    saved = folder / "results.npz"
    saved.unlink(missing_ok=True)
    run = client(build, server, command, "-", f"--save={saved}", request=request)
    if run.returncode != 0:
        return run.returncode, run.stderr
    with np.load(saved) as arrays:
        return {name: (array.shape, array.dtype.str, array.tobytes()) for name, array in arrays.items()}


def difference(before, after):
    """What differs, in words; None: nothing."""
    if isinstance(before, tuple) or isinstance(after, tuple):
        told = [f"refused: {side[1].strip()}" if isinstance(side, tuple) else "served" for side in (before, after)]
        both = isinstance(before, tuple) and isinstance(after, tuple) and before[0] == after[0]
        return None if both else " / ".join(told)
    if before.keys() != after.keys():
        return f"results {sorted(before)} / {sorted(after)}"
    wrong = [name for name in before if before[name] != after[name]]
    return f"{', '.join(wrong)} differ" if wrong else None


def compare(builds, flags, calls, folder):
    """Runs all calls on both; the number of those that differ."""
    differing, refused = 0, 0
    with Server(builds[0], *flags) as before, Server(builds[1], *flags) as after:
        for build, server in zip(builds, (before, after)):
            prepare(build, server)
        for name, command, request in calls:
            results = [results_of(build, server, command, request, folder)
                       for build, server in zip(builds, (before, after))]
            what = difference(*results)
            if what is None and isinstance(results[0], tuple):
                refused += 1
                print(f"{name}: both refuse it: {results[0][1].strip()}", flush=True)
            if what is not None:
                differing += 1
                print(f"{name}: {what}", flush=True)
    print(f"{len(calls)} calls: {differing} differ, {refused} refused by both", flush=True)
    return differing


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs=2, type=pathlib.Path, metavar="BUILD")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    parser.add_argument("--flag", action="append", default=[], help="a flag for both servers")
    options = parser.parse_args()
    builds = [build.resolve() for build in options.builds]
    for build in builds:
        if not (build / "attention_server").exists():
            parser.error(f"{build} has no attention_server")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        corpus = Corpus(folder)
        for add in (add_lengths, add_settings, add_magnitudes, add_ragged_and_other_sources, add_tokens,
                    add_encoders, add_files):
            add(corpus)
        calls = [call for call in corpus.calls if options.only in call[0]]
        differing = 0
        for isa in ("DEFAULT", "AVX2"):
            os.environ["ONEDNN_MAX_CPU_ISA"] = isa
            print(f"ONEDNN_MAX_CPU_ISA={isa}", flush=True)
            differing += compare(builds, ("--max_message_mib=512", *options.flag), calls, folder)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
