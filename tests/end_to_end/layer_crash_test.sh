#!/usr/bin/env bash
# A server is killed (SIGKILL) at 50 random moments of an upload. The layer folder stays readable and
# complete: what the next server finds are whole versions, 1, 2, 3 ... without a gap, and nothing else.
#
#   tests/end_to_end/layer_crash_test.sh [BUILD_DIR]     default: build/release
#
# Exit codes: 0 passed, 1 failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly build=${1:-$root/build/release}
readonly rounds=50
folder=$(mktemp -d)
readonly folder layers=$folder/layers

# shellcheck source=deploy/server_process.sh
source "$root/deploy/server_process.sh"
trap 'kill_server; rm -rf "$folder"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# A file of 8 MiB, and a config that differs from upload to upload, so that each is a new version.
mkdir "$folder/layer"
start_server "$build/attention_server" "$folder" --layer_dir="$folder/source"
cat >"$folder/create.json" <<'JSON'
{"name": "source", "attention": {"d_model": 720, "num_heads": 1}, "seed": 1}
JSON
"$build/attention_client" layers create "$folder/create.json" --target="$server_target" >/dev/null
stop_server
mv "$folder/source/source/1/model.safetensors" "$folder/layer/"
sum=$(sha256sum "$folder/layer/model.safetensors" | cut --delimiter=' ' --fields=1)
readonly sum

# How long an undisturbed one takes.
start_server "$build/attention_server" "$folder" --layer_dir="$folder/source"
printf '{"format": "attention", "num_heads": 1}' >"$folder/layer/config.json"
begin=$(date +%s%3N)
"$build/attention_client" layers upload other "$folder/layer" --target="$server_target" >/dev/null
longest_ms=$(($(date +%s%3N) - begin + 10))
stop_server

killed=0 answered=0
for ((i = 0; i < rounds; ++i)); do
  start_server "$build/attention_server" "$folder" --layer_dir="$layers"
  printf '{"format": "attention", "num_heads": 1}%*s\n' "$i" '' >"$folder/layer/config.json"
  "$build/attention_client" layers upload model "$folder/layer" --target="$server_target" \
    >"$folder/answer" 2>/dev/null &
  upload=$!
  moment_ms=$((RANDOM % longest_ms))
  sleep "$(printf '%d.%03d' $((moment_ms / 1000)) $((moment_ms % 1000)))"
  kill_server
  if wait "$upload"; then answered=$((answered + 1)); else killed=$((killed + 1)); fi
done

start_server "$build/attention_server" "$folder" --layer_dir="$layers"
list=$("$build/attention_client" layers list --target="$server_target")
stop_server
versions=$(grep --count '^model@' <<<"$list" || true)
grep --quiet 'cannot be used' <<<"$list" && fail "a version is damaged: $list"
((versions >= answered)) || fail "$answered uploads were answered, and there are $versions versions"
for ((version = 1; version <= versions; ++version)); do
  found=$(sha256sum "$layers/model/$version/model.safetensors" | cut --delimiter=' ' --fields=1)
  [[ $found == "$sum" ]] || fail "version $version is not what was uploaded"
  grep --quiet '^{"format": "attention", "num_heads": 1} *$' "$layers/model/$version/config.json" ||
    fail "the config of version $version is not what was uploaded"
done
((killed > 0 && answered > 0)) || fail "$killed kills before the answer and $answered after it; want both"
# A server that was killed before it had locked its file leaves an empty one, for an hour.
left=$(find "$layers" -mindepth 1 -maxdepth 2 ! -path "$layers/model/[1-9]*" -type f ! -empty)
[[ -z $left ]] || fail "left behind: $left"
echo "passed: $rounds kills, $killed of them before the answer, $versions versions, all complete"
