#!/usr/bin/env bash
# The server as a process: its flags, the line that names its port, the line that it logs, health, a
# port in use, SIGHUP, the time between SIGTERM and its end, SIGTERM during a call.
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
  if ((code == want)) && grep --quiet --extended-regexp --ignore-case --regexp="$wanted" "$folder/output"; then
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

# log_line EVENT
log_line() { grep --fixed-strings "\"event\":\"$1\"" "$folder/server.log"; }

# is_json TEXT: where there is no Python, the client tells: it finds no fault in the form.
is_json() {
  if [[ -x /usr/bin/python3 ]]; then
    /usr/bin/python3 -m json.tool <<<"$1" >/dev/null
  else
    "$build/attention_client" attend - <<<"{\"request\": {\"no_such_field\": $1}}" 2>&1 | grep --quiet 'no_such_field'
  fi
}

# all_json FILE: each of its lines.
all_json() {
  local line
  while IFS= read -r line; do is_json "$line" || return 1; done <"$1"
}

# says NAME PATTERN: the line that was logged at the start has this field with such a value.
says() { expect_true "the log says $1" grep --quiet --extended-regexp "[{,]\"$1\":$2[,}]" <<<"$(log_line started)"; }

# A call that computes for seconds: 32768 tokens of 64 numbers attend to each other.
write_long_request() {
  printf '{"request": {"tokens": {"tokens": {"data_type": "DATA_TYPE_FLOAT32", "shape": [32768, 64], "data": "'
  head --bytes=$((32768 * 64 * 4)) /dev/zero | base64 --wrap=0
  printf '"}}, "results": ["OUTPUT"]}}'
}

# How long the server has computed in all, in clock ticks (1/100 s).
ticks_of_server() { cut --delimiter=' ' --fields=14 "/proc/$server_pid/stat"; }

wait_until_it_computes() {
  local before deadline=$((SECONDS + 30))
  before=$(ticks_of_server)
  until (($(ticks_of_server) > before + 20)); do
    ((SECONDS < deadline)) && kill -0 "$caller" 2>/dev/null || return 1
    sleep 0.05
  done
  [[ ! -s $folder/answer ]]
}

expect "--help" 0 '^Exit codes: ' "$build/attention_server" --help
expect "--version" 0 '^attention_server [0-9]+\.[0-9]+\.[0-9]+$' "$build/attention_server" --version
expect "--version tells of oneDNN" 0 '^oneDNN [0-9.]+ with [a-z0-9_]+; products: .*(all panels at once|panel by panel)' \
  "$build/attention_server" --version
expect "a flag that there is not" 2 'no flag --prot=1; see --help' "$build/attention_server" --prot=1
expect "a value that is no number" 2 '--port cannot be .abc.; it is: port to listen on' "$build/attention_server" --port=abc
expect "a value out of range" 2 '--port is 70000; want -1 to 65535' "$build/attention_server" --port 70000
expect "a flag without its value" 2 '--port needs a value' "$build/attention_server" --port
expect "an argument left over" 2 'unexpected argument .50051.' "$build/attention_server" 50051

expect "beyond loopback without TLS" 2 'host is 0.0.0.0.*--insecure' "$build/attention_server" --host=0.0.0.0
expect "metrics beyond loopback" 2 'metrics_host is 0.0.0.0.*--insecure_metrics' "$build/attention_server" \
  --metrics_port=0 --metrics_host=0.0.0.0
expect "neither a port nor a Unix socket" 2 'nobody could call' "$build/attention_server" --port=-1
expect "a Unix socket with too long a path" 2 'has 108 bytes; want 1 to 107' "$build/attention_server" \
  --unix_socket="$(printf '%0108d' 0)"
expect "a mode that is none" 2 'unix_socket_mode is 8; want three octal digits' "$build/attention_server" \
  --unix_socket_mode=8
expect "TLS for a Unix socket alone" 2 'a Unix socket has no TLS' "$build/attention_server" --port=-1 \
  --unix_socket=a.sock --tls_cert=a.pem --tls_key=a.pem
echo '{"help": true}' >"$folder/config.json"
expect "a file of flags that asks for help" 2 '.help. is for the command line' "$build/attention_server" \
  --config="$folder/config.json"
echo '{"port": 0, "port": 1}' >"$folder/config.json"
expect "a flag twice in a file" 2 'the key "port" twice' "$build/attention_server" --config="$folder/config.json"
expect "a certificate without its key" 2 'tls_cert and --tls_key go together' "$build/attention_server" --tls_cert=a.pem
expect "a policy without TLS" 2 'policy needs --tls_cert' "$build/attention_server" --policy=a.json
expect "a certificate that is not there" 1 'cannot read .*/none.pem' "$build/attention_server" --port=0 \
  --tls_cert="$folder/none.pem" --tls_key="$folder/none.pem"

start_server "$build/attention_server" "$folder" --threads=1 # for the long call to be long everywhere
port=${server_target##*:}
expect_true "port 0 becomes a free port, printed" test "$port" -gt 0
expect_true "the address printed is the loopback" test "${server_target%:*}" = 127.0.0.1
expect_true "one line on standard output" test "$(wc -l <"$folder/server.out")" -eq 1
expect_true "the log is JSON" is_json "$(log_line started)"
says version '"[0-9]+\.[0-9]+\.[0-9]+"'
says address "\"$server_target\""
says isa '"[a-z0-9_]+"'
says onednn '"[0-9]+\.[0-9.]+"'
says products '"[a-z0-9, ]+"'
says threads 1
says max_message_mib 64
says max_working_mib 1024
says max_tokens 131072
says drain_s 30.0

expect "health of a serving server" 0 'SERVING' "$build/attention_client" health --target="$server_target"
expect "a port in use" 1 "$port.*in use|in use.*$port" "$build/attention_server" --port="$port"

write_long_request >"$folder/long.json"
"$build/attention_client" attend --json "$folder/long.json" --target="$server_target" >"$folder/answer" 2>&1 &
caller=$!
expect_true "a call is in flight" wait_until_it_computes
expect_true "SIGTERM with a call in flight: exit code 0" stop_server
expect_true "the call was answered" wait "$caller"
expect_true "with its output" grep --quiet '"output"' "$folder/answer"
expect_true "the log says that it stopped" is_json "$(log_line stopped)"

expect "health where no server is" 3 "127.0.0.1:$port" "$build/attention_client" health --target="127.0.0.1:$port"
expect "attend where no server is" 3 "127.0.0.1:$port" "$build/attention_client" attend \
  "$root/client/samples/001_jim_likes_football.json" --target="127.0.0.1:$port"

# logged EVENT [TIMES]: whether it comes to be logged, so many times.
logged() {
  local deadline=$((SECONDS + 10))
  until (($(log_line "$1" | wc -l) == ${2:-1})); do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}
# health_is CODE: the exit code of the client's question, at once.
health_is() {
  local code=0
  "$build/attention_client" health --target="$server_target" >/dev/null 2>&1 || code=$?
  ((code == $1))
}
attends() {
  "$build/attention_client" attend "$root/client/samples/001_jim_likes_football.json" \
    --target="$server_target" >/dev/null
}

echo '{"log_level": "info", "lame_duck_s": 20}' >"$folder/config.json"
start_server "$build/attention_server" "$folder" --config="$folder/config.json"
says lame_duck_s 20.0
expect_true "a call at level info" attends
echo '{"log_level": "debug"}' >"$folder/config.json"
kill -HUP "$server_pid"
expect_true "SIGHUP reads the file again" logged reloaded
expect_true "until then no call was logged" test -z "$(log_line call)"
expect_true "a call at level debug" attends
expect_true "is logged" logged call
expect_true "in one line" test "$(log_line call | wc -l)" -eq 1
expect_true "of JSON" is_json "$(log_line call)"
expect_true "every line of the log is JSON" \
  all_json "$folder/server.log"
echo '{}' >"$folder/config.json"
kill -HUP "$server_pid"
expect_true "a file without the flag that it had" logged reloaded 2
expect_true "a call" attends
echo '{"log_level": "loud"}' >"$folder/config.json"
kill -HUP "$server_pid"
expect_true "a file that cannot be used is logged" logged cannot_reload
expect_true "and the call before it was not logged any more" test "$(log_line call | wc -l)" -eq 1
kill -TERM "$server_pid"
expect_true "SIGTERM is logged" logged stopping
expect_true "a lame duck is not healthy" health_is 3
expect_true "and still serves" attends
stopping_since=$SECONDS
expect_true "a second SIGTERM: exit code 0" stop_server
expect_true "without waiting" test $((SECONDS - stopping_since)) -lt 10

# A Unix socket, beside a port of TCP and alone.
socket=$folder/attention.sock
over_socket() {
  "$build/attention_client" attend "$root/client/samples/001_jim_likes_football.json" --target="unix:$socket" >/dev/null
}
start_server "$build/attention_server" "$folder" --unix_socket="$socket" --metrics_host="[::]" --metrics_port=0 \
  --insecure_metrics
metrics=$(log_line started | grep --only-matching '"metrics_address":"[^"]*"' | cut --delimiter='"' --fields=4)
expect "readiness over IPv4" 0 'SERVING' "$build/attention_client" health --http="127.0.0.1:${metrics##*:}"
if [[ -e /proc/net/if_inet6 ]] && grep --quiet ' lo$' /proc/net/if_inet6; then
  expect "readiness over IPv6" 0 'SERVING' "$build/attention_client" health --http="[::1]:${metrics##*:}"
fi
expect_true "the second line that is printed is the Unix socket" test "$(tail -n1 "$folder/server.out")" = "listening on unix:$socket"
says unix_socket "\"$socket\""
expect_true "its mode lets in the server's user" test "$(stat --format=%a "$socket")" = 600
expect_true "a call over the port" attends
expect_true "a call over the socket" over_socket
expect "the socket in use" 1 'another server that runs listens there' "$build/attention_server" --port=0 \
  --unix_socket="$socket"
kill_server
expect_true "a killed server leaves its socket" test -S "$socket"
start_server "$build/attention_server" "$folder" --port=-1 --unix_socket="$socket" --unix_socket_mode=660
expect_true "the next one takes it" test "$server_target" = "unix:$socket"
expect_true "with another mode" test "$(stat --format=%a "$socket")" = 660
expect "health over the socket" 0 'SERVING' "$build/attention_client" health --target="$server_target"
expect_true "a call over the socket alone" over_socket
expect_true "it stops" stop_server
expect_true "and leaves neither socket nor lock" test ! -e "$socket" -a ! -e "$socket.lock"

if ((failures > 0)); then
  echo "the server's log:"
  cat "$folder/server.log"
  exit 1
fi
echo "passed: the server as a process"
