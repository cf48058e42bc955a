# shellcheck shell=bash
# Starts and stops one attention server, for scripts: source this file.
#
#   start_server PROGRAM FOLDER [FLAG...]   sets server_pid and server_target (HOST:PORT); what the
#                                           server prints goes to FOLDER/server.out and server.log
#   stop_server                             SIGTERM; fails unless it exits with 0 in time
#   kill_server                             for an EXIT trap: nothing is left behind, says nothing

readonly start_limit_s=60
readonly stop_limit_s=30

server_pid=
server_target=

start_server() {
  local program=$1 output_folder=$2 line deadline=$((SECONDS + start_limit_s))
  shift 2
  : >"$output_folder/server.out"
  "$program" --host=127.0.0.1 --port=0 "$@" >"$output_folder/server.out" 2>"$output_folder/server.log" &
  server_pid=$!
  while true; do
    # `read` fails on a line that is not complete yet.
    if IFS= read -r line <"$output_folder/server.out" && [[ $line == "listening on "* ]]; then
      # shellcheck disable=SC2034  # for the script that sources this file
      server_target=${line#listening on }
      return 0
    fi
    if ! kill -0 "$server_pid" 2>/dev/null; then
      echo "The server ended before it listened. Its log:" >&2
      break
    fi
    if ((SECONDS >= deadline)); then
      echo "The server does not listen after $start_limit_s s. Its log:" >&2
      break
    fi
    sleep 0.05
  done
  cat "$output_folder/server.log" >&2
  return 1
}

stop_server() {
  local code=0 deadline=$((SECONDS + stop_limit_s)) pid=$server_pid
  kill -TERM "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      echo "The server still runs $stop_limit_s s after SIGTERM." >&2
      return 1
    fi
    sleep 0.05
  done
  wait "$pid" || code=$?
  server_pid=
  if ((code != 0)); then
    echo "The server exited with code $code; want 0." >&2
    return 1
  fi
}

kill_server() {
  if [[ -n $server_pid ]]; then
    kill -KILL "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=
  fi
}
