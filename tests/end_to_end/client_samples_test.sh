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
# expect NAME WANTED COMMAND...: exit code 0, and a line that matches WANTED.
expect() {
  local name=$1 wanted=$2 code=0
  shift 2
  "$@" >"$folder/output" 2>"$folder/errors" </dev/null || code=$?
  if ((code == 0)) && grep --quiet --extended-regexp "$wanted" "$folder/output"; then
    echo "ok: $name"
  else
    echo "FAILED: $name: exit code $code; want 0 and a line that matches $wanted"
    cat "$folder/output" "$folder/errors"
    failures=$((failures + 1))
  fi
}

start_server "$build/attention_server" "$folder"
samples=("$root"/client/samples/*.json)
for sample in "${samples[@]}"; do
  name=$(basename "$sample" .json)
  to=(--target="$server_target")
  expect "$name attend" '[0-9]\.[0-9]' "$build/attention_client" attend "$sample" "${to[@]}"
  expect "$name attend --json" '"data(Type)?": ?"' "$build/attention_client" attend "$sample" --json "${to[@]}"
  expect "$name explain" ' -> ' "$build/attention_client" explain "$sample" --color=never "${to[@]}"
  expect "$name explain, in colour" $'\033\\[' "$build/attention_client" explain "$sample" --color=always "${to[@]}"
done
expect "jim's scores" '0\.1400 +0\.2000 +0\.2600' \
  "$build/attention_client" attend "$root/client/samples/001_jim_likes_football.json" "${to[@]}"
stop_server

((failures == 0)) || exit 1
echo "passed: ${#samples[@]} samples"
