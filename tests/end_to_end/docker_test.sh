#!/usr/bin/env bash
# Builds the image, runs it as it would be run in earnest (read-only, 1 CPU, 512 MiB, not root), calls
# it from outside, and stops it.
#
#   tests/end_to_end/docker_test.sh [BUILD_DIR]     default: build/release, for its attention_client
#
# Starts a Docker daemon, and makes the base image, where these are missing and root may do so.
# Exit codes: 0 passed, or could not run: then the last line is "SKIPPED: why"; 1 failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly client=${1:-$root/build/release}/attention_client
readonly sample=$root/client/samples/001_jim_likes_football.json
readonly image=attention-server:docker-test
readonly size_limit_mb=150
readonly health_limit_s=60
export DOCKER_BUILDKIT=0

folder=$(mktemp -d)
readonly container=attention-docker-test-${folder##*.} # a name that nobody else's has
# shellcheck source=tests/end_to_end/docker_environment.sh
source "$root/tests/end_to_end/docker_environment.sh"

failures=0

cleanup() {
  docker rm --force "$container" >/dev/null 2>&1 || true
  remove_environment
  rm -rf --one-file-system "$folder"
}
trap cleanup EXIT

# assert NAME COMMAND...
assert() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "ok: $name"
  else
    echo "FAILED: $name"
    echo "    ${output//$'\n'/$'\n'    }"
    failures=$((failures + 1))
  fi
}

# is GOT WANT
is() { [[ $1 == "$2" ]] || { echo "got \"$1\"; want \"$2\"" && return 1; }; }

# at_most GOT LIMIT
at_most() { (($1 <= $2)) || { echo "got $1; want at most $2" && return 1; }; }

build_image() {
  local variable proxies=()
  for variable in http_proxy https_proxy no_proxy; do
    [[ -z ${!variable:-} ]] || proxies+=(--build-arg "$variable")
  done
  if ! docker build --network=host --build-arg BASE="$base" "${proxies[@]}" \
    --file "$root/deploy/Dockerfile" --tag "$image" "$root" >"$folder/build.log" 2>&1; then
    echo "FAILED: the image builds"
    tail -n 60 "$folder/build.log"
    exit 1
  fi
  made_images+=("$image")
  echo "ok: the image builds"
}

bytes_of() { docker image inspect --format '{{.Size}}' "$1"; }

# free_port: one of this machine's that nothing listens on.
free_port() {
  local port
  while true; do
    port=$((RANDOM % 16384 + 16384)) # below those that the system gives to clients
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# Publishes on a free loopback port; where this machine's Docker has no network of its own, on the
# machine's. The image's health check asks the port that the image chose, so another one comes with a
# check of its own.
run_container() {
  local limits=(--detach --name "$container" --read-only --cpus 1 --memory 512m)
  if docker run "${limits[@]}" --publish 127.0.0.1::50051 "$image" >/dev/null 2>"$folder/run.log"; then
    target=$(docker port "$container" 50051/tcp | head -n1)
    return
  fi
  echo "ports cannot be published here, so the container shares the machine's network:"
  sed 's/^/    /' "$folder/run.log"
  docker rm --force "$container" >/dev/null
  target=127.0.0.1:$(free_port)
  docker run "${limits[@]}" --network=host --health-cmd "attention_client health --target=$target" \
    "$image" --port="${target##*:}" >/dev/null
}

health() { docker inspect --format '{{.State.Health.Status}}' "$container"; }

wait_until_healthy() {
  local deadline=$((SECONDS + health_limit_s))
  until [[ $(health) == healthy ]]; do
    ((SECONDS < deadline)) || return 1
    [[ $(docker inspect --format '{{.State.Running}}' "$container") == true ]] || return 1
    sleep 0.5
  done
}

uid_of_server() { docker exec "$container" sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' /proc/1/status; }

is_not_root() { [[ $(uid_of_server) =~ ^[1-9][0-9]*$ ]] || { uid_of_server && return 1; }; }

logs_match() {
  docker logs "$container" >"$folder/container.log" 2>&1
  grep --extended-regexp --quiet "$1" "$folder/container.log" || { cat "$folder/container.log" && return 1; }
}

attend_contains() {
  local output
  output=$("$client" attend "$sample" --target="$target")
  grep --quiet --fixed-strings "$1" <<<"$output" || { echo "$output" && return 1; }
}

exit_code_after_stop() {
  docker stop "$container" >/dev/null
  docker inspect --format '{{.State.ExitCode}}' "$container"
}

main() {
  if ! { provide_daemon && provide_base; }; then
    echo "SKIPPED: $why"
    exit 0
  fi
  build_image
  local above_base=$((($(bytes_of "$image") - $(bytes_of "$slim")) / 1000000))
  echo "the image is $above_base MB above its base"
  assert "the image is at most $size_limit_mb MB above its base" at_most "$above_base" "$size_limit_mb"

  run_container
  assert "the container becomes healthy within $health_limit_s s" wait_until_healthy
  assert "the server found its budget of one CPU" logs_match '"threads": ?1[,}]'
  assert "the server does not run as root" is_not_root
  assert "health answers from outside" "$client" health --target="$target"
  assert "attend answers the tutorials' numbers from outside" attend_contains 0.1400
  assert "docker stop ends the server with exit code 0" is "$(exit_code_after_stop)" 0

  if ((failures > 0)); then
    echo "the container's log:"
    docker logs "$container" 2>&1 | tail -n 40
    exit 1
  fi
  echo "passed: docker"
}

main
