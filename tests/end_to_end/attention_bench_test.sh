#!/usr/bin/env bash
# attention_bench runs, compares with the oracle, and writes the names and counters that bars.py and
# others read.
#
#   tests/end_to_end/attention_bench_test.sh BUILD_FOLDER
set -euo pipefail

bench=$1/attention_bench
if [[ ! -x $bench ]]; then
  echo "SKIPPED: attention_bench is not built (see ATTENTION_BENCHMARKS)"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

readonly filter='attention/f32/full/b1/n128/.*/t1/|attention/bf16/causal/b1/n2048/h8/.*/t1/|encoder/f32/l6/.*/n16/t1/'
"$bench" --benchmark_filter="$filter" \
  --benchmark_out="$folder/bench.json" --benchmark_out_format=json >/dev/null

/usr/bin/python3 - "$folder/bench.json" <<'END'
import json
import sys

report = json.load(open(sys.argv[1]))
results = {b["name"]: b for b in report["benchmarks"]}
wanted = {
    "attention/f32/full/b1/n128/h12/g12/d64/t1": ["gflops", "ceiling_fraction", "vs_composition"],
    "attention/bf16/causal/b1/n2048/h8/g8/d128/t1": ["gflops", "ceiling_fraction", "vs_full"],
    "encoder/f32/l6/d384/h12/f1536/b1/n16/t1": ["gflops", "ceiling_fraction", "read_fraction"],
}
if report["context"]["bfloat16_products"] == "no":
    print("bfloat16 is not measured: this CPU has no bfloat16 products")
    wanted = {name: counters for name, counters in wanted.items() if "/bf16/" not in name}
for name, counters in wanted.items():
    result = results.get(name)
    assert result is not None, f"no benchmark {name} among {sorted(results)}"
    assert not result.get("error_occurred"), f"{name}: {result.get('error_message')}"
    for counter in counters:
        assert result.get(counter, 0) > 0, f"{name} has no {counter}"
print("names and counters are there, and the results are right")
END
# Whether the bars are met is not a test's to say.
bars() { /usr/bin/python3 "$(dirname "${BASH_SOURCE[0]}")/../bench/bars.py" "$1" || (($? == 1)); }
bars "$folder/bench.json"

# The same of medians alone.
"$bench" --benchmark_filter='encoder/f32/l6/.*/n16/t1/' --benchmark_repetitions=2 \
  --benchmark_report_aggregates_only --benchmark_out="$folder/medians.json" \
  --benchmark_out_format=json >/dev/null
bars "$folder/medians.json" >"$folder/medians.txt"
grep --quiet --extended-regexp '^encoder, 16 tokens.* of  1  (met|NOT MET)$' "$folder/medians.txt"
echo "bars.py reads medians"
