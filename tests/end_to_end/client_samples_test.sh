#!/usr/bin/env bash
# Every sample in client/samples/ goes through a real server by way of the command-line client.
#
#   tests/end_to_end/client_samples_test.sh [BUILD_DIR]     default: build/release
#
# Exit codes: 0 passed, 1 failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly build=${1:-$root/build/release}
folder=$(mktemp -d)
readonly folder

# shellcheck source=deploy/server_process.sh
source "$root/deploy/server_process.sh"
trap 'kill_server; rm -rf "$folder"' EXIT

failures=0
# expect NAME WANTED COMMAND...: exit code 0, and for each line of WANTED a line of output that holds
# it, with as many spaces as there may be for one.
expect() {
  local name=$1 wanted=$2 code=0 line pattern missing=
  shift 2
  "$@" >"$folder/output" 2>"$folder/errors" </dev/null || code=$?
  while IFS= read -r line; do
    pattern=${line//./\\.}
    grep --quiet --extended-regexp --regexp="${pattern// / +}" "$folder/output" || missing+=$'\n    '$line
  done <<<"$wanted"
  if ((code == 0)) && [[ -z $missing ]]; then
    echo "ok: $name"
  else
    echo "FAILED: $name: exit code $code; want 0 and in the output:$missing"
    cat "$folder/output" "$folder/errors"
    failures=$((failures + 1))
  fi
}

# digits_of SAMPLE: what its tables must hold: a row of scores, of attention weights and of the output,
# computed apart from the server in float64. Fails for a sample that is not known here.
digits_of() {
  case $1 in
    000_jim_alone)
      echo 'jim 0.1400 0.2000 0.2600 0.3200 0.3800 0.4400 0.5000 0.5600'
      echo 'jim 0.0500 0.0714 0.0929 0.1143 0.1357 0.1571 0.1786 0.2000'
      echo 'jim 0.5400 0.6400 0.7400'
      ;;
    001_jim_likes_football)
      echo 'jim 0.1400 0.2000 0.2600 0.3200 0.3800 0.4400 0.5000 0.5600'
      echo 'swimming 0.0404 0.0529 0.0693 0.0908 0.1190 0.1559 0.2042 0.2675'
      echo 'jim 0.4814 0.5814 0.6814'
      ;;
    002_projected_self_attention)
      echo 'input 1 1.2274 2.9818 2.7183'
      echo 'input 2 0.1919 0.0580 0.7501'
      echo 'input 3 1.9396 1.9093 1.4639'
      ;;
    002_user_on_items)
      echo 'hiker 2.6439 0.7403 1.7246 2.2705'
      echo 'reader 0.0838 0.7068 0.1434 0.0661'
      echo 'reader 0.1862 0.7211 0.1601'
      ;;
    003_query_key_value)
      echo 'input 2 4.0000 16.0000 12.0000'
      echo 'input 1 0.0634 0.4683 0.4683'
      echo 'input 1 1.9366 6.6831 1.5951'
      ;;
    003_weighted_values)
      echo 'input 1 2.0000 7.0000 1.5000'
      echo 'input 3 2.0000 7.8000 0.3000'
      ;;
    004_your_journey)
      echo 'journey 0.9544 1.4950 1.4754 0.8434 0.7070 1.0865'
      echo 'journey 0.1385 0.2379 0.2333 0.1240 0.1082 0.1581'
      echo 'journey 0.4419 0.6515 0.5683'
      ;;
    005_the_cat_sat)
      echo 'The 0.6782 1.2028 -0.4802'
      echo 'cat 1.3819 -0.1374 0.0047'
      ;;
    *) return 1 ;;
  esac
}

# top_of SAMPLE: what one of its words attends to most.
top_of() {
  case $1 in
    000_jim_alone) echo 'jim -> swimming 20.0 %, football 17.9 %, likes 15.7 %' ;;
    001_jim_likes_football) echo 'jim -> swimming 15.3 %, football 14.4 %, likes 13.5 %' ;;
    002_projected_self_attention) echo 'input 2 -> input 3 75.0 %, input 1 19.2 %, input 2 5.8 %' ;;
    002_user_on_items) echo 'hiker -> tent 44.7 %, boots 30.8 %, kettle 17.8 %' ;;
    003_query_key_value) echo 'input 2 -> input 2 98.2 %, input 3 1.8 %' ;;
    003_weighted_values) echo 'input 3 -> input 2 90.0 %, input 3 10.0 %' ;;
    005_the_cat_sat) echo 'The -> sat 33.9 %, it 21.2 %, was 11.3 %' ;;
    004_your_journey) echo 'journey -> journey 23.8 %, starts 23.3 %, step 15.8 %' ;;
    *) return 1 ;;
  esac
}

start_server "$build/attention_server" "$folder"
for layer in "$root"/client/samples/layers/*.json; do
  expect "$layer" "$(basename "$layer" .json)@1" "$build/attention_client" layers create "$layer" --target="$server_target"
done
samples=("$root"/client/samples/*.json)
for sample in "${samples[@]}"; do
  name=$(basename "$sample" .json)
  to=(--target="$server_target")
  if ! digits=$(digits_of "$name") || ! top=$(top_of "$name"); then
    echo "FAILED: $name: this test does not know its digits"
    failures=$((failures + 1))
    continue
  fi
  command=attend
  if grep --quiet '"encode"' "$sample"; then command=encode; fi
  expect "$name $command" "$digits" "$build/attention_client" "$command" "$sample" "${to[@]}"
  expect "$name $command --json" '"float_values": ?\[' "$build/attention_client" "$command" "$sample" --json "${to[@]}"
  expect "$name explain" "$top" "$build/attention_client" explain "$sample" --color=never "${to[@]}"
  expect "$name explain, in colour" $'\033\\[48;2;[0-9]+;' "$build/attention_client" explain "$sample" --color=always "${to[@]}"
done
expect "explain --words" 'A -> C 33.9 %, H 21.2 %, I 11.3 %' "$build/attention_client" explain \
  "$root/client/samples/005_the_cat_sat.json" --words="A B C D E F G H I J" --color=never --target="$server_target"
expect "layers list" 'tutorial@1 encoder 2 x 32' "$build/attention_client" layers list --target="$server_target"
expect "layers get" '"kind": "LAYER_KIND_ENCODER"' "$build/attention_client" layers get tutorial@1 --target="$server_target"
expect "layers delete" 'deleted tutorial@1' "$build/attention_client" layers delete tutorial@1 --target="$server_target"
expect "layers list, none left" 'no layers' "$build/attention_client" layers list --target="$server_target"
stop_server

((failures == 0)) || exit 1
echo "passed: ${#samples[@]} samples"
