#!/usr/bin/env bash
# Builds the fuzz targets with clang and runs each, from the files in tests/data as the first inputs.
#
#   tests/fuzz/run.sh [SECONDS]     of each target; default 30
#
# What a target finds is left in build/fuzz/. Exit codes: 0 nothing found, else that of the target.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly seconds=${1:-30}

bash deploy/install_packages.sh build fuzz
cmake --preset fuzz
cmake --build --preset fuzz --target safetensors_fuzzer layer_config_fuzzer

# run TARGET FILE_NAME: the seeds are tests/data's files of that name.
run() {
  local corpus=build/fuzz/corpus/$1 seed
  mkdir -p "$corpus"
  find tests/data -name "$2" | while read -r seed; do
    cp "$seed" "$corpus/$(sha1sum "$seed" | cut --delimiter=' ' --fields=1)"
  done
  echo "==> $1, $seconds s"
  "build/fuzz/$1" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix=build/fuzz/ -print_final_stats=1 -print_funcs=0 -verbosity=0 "$corpus" 2>&1 | grep --invert-match '^["#]'
}
run safetensors_fuzzer model.safetensors
run layer_config_fuzzer config.json
