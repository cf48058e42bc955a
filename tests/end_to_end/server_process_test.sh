#!/usr/bin/env bash
# The server as a process: the line that names its port, health, a port in use, SIGTERM.
#
#   tests/end_to_end/server_process_test.sh [BUILD_DIR]     default: build/release
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

# expect NAME CODE WANTED COMMAND...: this exit code, and a line of output that matches WANTED.
expect() {
  local name=$1 want=$2 wanted=$3 code=0
  shift 3
  timeout 30 "$@" >"$folder/output" 2>&1 </dev/null || code=$?
  if ((code == want)) && grep --quiet --extended-regexp --ignore-case "$wanted" "$folder/output"; then
    echo "ok: $name"
  else
    echo "FAILED: $name: exit code $code; want $want and a line that matches $wanted"
    cat "$folder/output"
    failures=$((failures + 1))
  fi
}

# expect_true NAME COMMAND...
expect_true() {
  local name=$1
  shift
  if "$@"; then
    echo "ok: $name"
  else
    echo "FAILED: $name"
    failures=$((failures + 1))
  fi
}

# Sends what an HTTP/2 client sends for a call of grpc.health.v1.Health/Watch, and reads nothing.
open_health_watch() {
  local port=$1
  exec {watch}<>"/dev/tcp/127.0.0.1/$port"
  {
    printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
    printf '\x00\x00\x00\x04\x00\x00\x00\x00\x00'                 # SETTINGS, none
    printf '\x00\x00\x57\x01\x04\x00\x00\x00\x01'                 # HEADERS, 87 bytes, stream 1
    printf '\x83\x86'                                             # :method POST, :scheme http
    printf '\x04\x1c/grpc.health.v1.Health/Watch'                 # :path
    printf '\x01\x09localhost'                                    # :authority
    printf '\x00\x02te\x08trailers'
    printf '\x00\x0ccontent-type\x10application/grpc'
    printf '\x00\x00\x05\x00\x01\x00\x00\x00\x01'                 # DATA, the last of stream 1
    printf '\x00\x00\x00\x00\x00'                                 # an empty message
  } >&"$watch"
}

# How often the watch was told this status (1 SERVING, 2 NOT_SERVING): not compressed, a message
# of 2 bytes, field 1.
times_told() {
  od --address-radix=n --format=x1 --width=1 --output-duplicates "$folder/watched" | tr -d ' \n' |
    grep --only-matching "0000000002080$1" | wc -l
}

start_server "$build/attention_server" "$folder"
port=${server_target##*:}
expect_true "port 0 becomes a free port, printed" test "$port" -gt 0
expect_true "the address printed is the loopback" test "${server_target%:*}" = 127.0.0.1
expect_true "one line on standard output" test "$(wc -l <"$folder/server.out")" -eq 1
expect_true "the log is JSON lines" grep --quiet '^{.*"threads": \?[0-9].*}$' "$folder/server.log"

expect "health of a serving server" 0 'SERVING' "$build/attention_client" health --target="$server_target"
expect "a port in use" 1 "$port.*in use|in use.*$port" "$build/attention_server" --port="$port"

open_health_watch "$port"
cat <&"$watch" >"$folder/watched" &
reader=$!
sleep 0.5
expect_true "a watch of health is told SERVING" test "$(times_told 1)" -eq 1
started=$SECONDS
expect_true "SIGTERM with a watch open: exit code 0" stop_server
expect_true "within 10 s" test $((SECONDS - started)) -le 10
wait "$reader"
expect_true "the watch was told NOT_SERVING" test "$(times_told 2)" -eq 1
exec {watch}>&-

expect "health where no server is" 3 "127.0.0.1:$port" "$build/attention_client" health --target="127.0.0.1:$port"
expect "attend where no server is" 3 "127.0.0.1:$port" "$build/attention_client" attend \
  "$root/client/samples/001_jim_likes_football.json" --target="127.0.0.1:$port"

if ((failures > 0)); then
  echo "the server's log:"
  cat "$folder/server.log"
  exit 1
fi
echo "passed: the server as a process"
