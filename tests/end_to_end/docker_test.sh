#!/usr/bin/env bash
# Builds the image and looks at what it says of itself; runs it as it would be run in earnest (read-only,
# 1 CPU, 512 MiB, without rights, stored layers on a volume), calls it from outside, and stops it; runs it
# with TLS.
#
#   tests/end_to_end/docker_test.sh [BUILD_DIR [RELEASE]]
#
# BUILD_DIR: for its attention_client, default build/release; RELEASE: 12 or 13, the Debian that the image is built
# on, default 13.
#
# Starts a Docker daemon, and makes the base image, where these are missing and root may do so.
# Exit codes: 0 passed, or could not run: then the last line is "SKIPPED: why"; 1 failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly release=${2:-13}
readonly client=${1:-$root/build/release}/attention_client
readonly sample=$root/client/samples/001_jim_likes_football.json
readonly layer=$root/client/samples/layers/tutorial.json
readonly image=attention-server:docker-test
readonly server=/usr/local/bin/attention_server
readonly revision=0123456789abcdef0123456789abcdef01234567
readonly size_limit_mb=150
readonly health_limit_s=60
export DOCKER_BUILDKIT=0

folder=$(mktemp -d)
readonly container=attention-docker-test-${folder##*.} # a name that nobody else's has
readonly volume=$container
# shellcheck source=tests/end_to_end/docker_environment.sh
source "$root/tests/end_to_end/docker_environment.sh"

failures=0
target=  # HOST:PORT of the container that runs
metrics= # and of its metrics

cleanup() {
  docker rm --force "$container" >/dev/null 2>&1 || true
  docker volume rm --force "$volume" >/dev/null 2>&1 || true
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

# fails COMMAND...
fails() { ! "$@"; }

build_image() {
  local variable proxies=()
  for variable in http_proxy https_proxy no_proxy; do
    [[ -z ${!variable:-} ]] || proxies+=(--build-arg "$variable")
  done
  if ! docker build --network=host --build-arg BASE="$base" --build-arg REVISION="$revision" \
    "${proxies[@]}" --file "$root/deploy/Dockerfile" --tag "$image" "$root" >"$folder/build.log" 2>&1; then
    echo "FAILED: the image builds"
    tail -n 60 "$folder/build.log"
    exit 1
  fi
  made_images+=("$image")
  echo "ok: the image builds"
}

bytes_of() { docker image inspect --format '{{.Size}}' "$1"; }

# label NAME: one of the image's, of those that the Open Container Initiative has named.
label() { docker image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "$image"; }

# in_image PROGRAM [ARGUMENT...]: as root, who can read all of it.
in_image() { docker run --rm --network=none --user=0 --entrypoint "$1" "$image" "${@:2}"; }

# sbom_names PACKAGE: the bill of materials is an SPDX document that has it, once and with its address.
sbom_names() {
  in_image cat /usr/share/attention-server/sbom.spdx.json >"$folder/sbom.json"
  /usr/bin/python3 - "$folder/sbom.json" "$1" <<'END'
import json, sys
document = json.load(open(sys.argv[1]))
assert document["spdxVersion"] == "SPDX-2.3", document["spdxVersion"]
found = [package for package in document["packages"] if package["name"] == sys.argv[2]]
assert len(found) == 1, f"{sys.argv[2]} is there {len(found)} times"
assert found[0]["externalRefs"][0]["referenceLocator"].startswith("pkg:deb/debian/"), found
END
}

check_image() {
  local above_base=$((($(bytes_of "$image") - $(bytes_of "$slim")) / 1000000))
  echo "the image is $(($(bytes_of "$image") / 1000000)) MB, $above_base MB above its base"
  assert "the image is at most $size_limit_mb MB above its base" at_most "$above_base" "$size_limit_mb"
  assert "a label has the programs' version" \
    is "attention_server $(label version)" "$(in_image "$server" --version | head -n1)"
  assert "a label has the commit" is "$(label revision)" "$revision"
  assert "a label has the base" is "$(label base.name)" "$base"
  assert "the bill of materials names gRPC" \
    sbom_names "$([[ $release == 12 ]] && echo libgrpc++1.51 || echo libgrpc++1.51t64)"
  assert "it names what is compiled in" sbom_names nlohmann-json3-dev
  # With the server, so that it has something to find.
  assert "no program gives its user rights" \
    is "$(in_image find / -xdev -type f \( -perm /6000 -o -path "$server" \))" "$server"
}

# free_port: one of this machine's that nothing listens on.
free_port() {
  local port
  while true; do
    port=$((RANDOM % 16384 + 16384)) # below those that the system gives to clients
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# run_container VOLUME [FLAG...]: sets target and metrics. Publishes on free loopback ports; where this
# machine's Docker has no network of its own, on the machine's. The image's health check asks the port that
# the image chose, so another one comes with a check of its own.
run_container() {
  local limits=(--detach --name "$container" --read-only --cpus 1 --memory 512m
    --cap-drop ALL --security-opt no-new-privileges --volume "$1")
  shift
  if docker run "${limits[@]}" --publish 127.0.0.1::50051 --publish 127.0.0.1::9090 "$image" "$@" \
    >/dev/null 2>"$folder/run.log"; then
    target=$(docker port "$container" 50051/tcp | head -n1)
    metrics=$(docker port "$container" 9090/tcp | head -n1)
    return
  fi
  echo "ports cannot be published here, so the container shares the machine's network:"
  sed 's/^/    /' "$folder/run.log"
  docker rm --force "$container" >/dev/null
  target=127.0.0.1:$(free_port)
  metrics=127.0.0.1:$(free_port)
  docker run "${limits[@]}" --network=host --health-cmd "attention_client health --http=$metrics" \
    "$image" --port="${target##*:}" --metrics_port="${metrics##*:}" "$@" >/dev/null
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

# http_contains PATH TEXT: the answer of the metrics' port.
http_contains() {
  local answer
  exec 3<>"/dev/tcp/${metrics/:/\/}"
  printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
  answer=$(cat <&3)
  exec 3>&-
  grep --quiet --fixed-strings "$2" <<<"$answer" || { echo "$answer" && return 1; }
}

exit_code_after_stop() {
  docker stop "$container" >/dev/null
  docker inspect --format '{{.State.ExitCode}}' "$container"
}

check_container() {
  run_container "$volume:/var/lib/attention" --layer_dir=/var/lib/attention
  assert "the container becomes healthy within $health_limit_s s" wait_until_healthy
  assert "the server found its budget of one CPU" logs_match '"threads": ?1[,}]'
  assert "the server does not run as root" is_not_root
  assert "health answers from outside" "$client" health --target="$target"
  assert "attend answers the tutorials' numbers from outside" attend_contains 0.1400
  assert "a layer can be stored on the volume" "$client" layers create "$layer" --target="$target"
  assert "metrics can be read from outside" http_contains /metrics 'attention_calls_total{'
  assert "docker stop ends the server with exit code 0" is "$(exit_code_after_stop)" 0
}

make_certificate() {
  mkdir -m 755 "$folder/tls"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$folder/tls/tls.key" -out "$folder/tls/tls.crt" 2>/dev/null
  chmod 644 "$folder/tls/tls.key" # for the image's user; nobody else comes into the folder above
}

check_tls() {
  docker rm --force "$container" >/dev/null
  make_certificate
  run_container "$folder/tls:/tls:ro" --tls_cert=/tls/tls.crt --tls_key=/tls/tls.key
  assert "with TLS the container becomes healthy too" wait_until_healthy
  assert "calls are answered over TLS" \
    "$client" health --target="$target" --tls_ca="$folder/tls/tls.crt" --tls_server_name=localhost
  assert "and not without" fails "$client" health --target="$target"
  assert "readiness can be asked without TLS" http_contains /readyz 200
}

main() {
  if ! { provide_daemon && provide_base "$release"; }; then
    echo "SKIPPED: $why"
    exit 0
  fi
  build_image
  check_image
  check_container
  check_tls

  if ((failures > 0)); then
    echo "the container's log:"
    docker logs "$container" 2>&1 | tail -n 40
    exit 1
  fi
  echo "passed: docker"
}

main
