#!/usr/bin/env bash
# Two servers behind HAProxy, with Prometheus and its alerts, as deploy/compose.yaml has them, under load:
# one is killed and started again, the other one is stopped and started. No call fails.
#
#   tests/end_to_end/fleet_test.sh [BUILD_DIR [containers|processes]]
#
# BUILD_DIR (default: build/release) has the programs, for the image too. In containers where there can be a
# Docker daemon, by docker-compose: images that no registry can be reached for are made of Debian's
# packages, and Grafana, which Debian has not, is left out. Else as processes of this machine.
# Exit codes: 0 passed, or could not run: then the last line is "SKIPPED: why"; 1 failed; 2 wrong arguments.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
build=$(realpath "${1:-$root/build/release}")
readonly build
readonly how=${2:-any}
export ATTENTION_IMAGE=attention-server:fleet-test # for compose.yaml; nobody else's
export DOCKER_BUILDKIT=0

folder=$(mktemp -d)
# shellcheck source=tests/end_to_end/docker_environment.sh
source "$root/tests/end_to_end/docker_environment.sh"

cleanup() {
  remove_environment
  rm -rf --one-file-system "$folder"
}
trap cleanup EXIT

# image_of SERVICE: what compose.yaml names.
image_of() {
  local program='import sys, yaml; print(yaml.safe_load(sys.stdin)["services"][sys.argv[1]]["image"])'
  /usr/bin/python3 -c "$program" "$1" <"$root/deploy/compose.yaml"
}

# make_image NAME CONTEXT: of the Dockerfile there.
make_image() {
  local variable proxies=()
  for variable in http_proxy https_proxy no_proxy; do
    [[ -z ${!variable:-} ]] || proxies+=(--build-arg "$variable")
  done
  if ! docker build --network=host --build-arg BASE="$base" "${proxies[@]}" --tag "$1" "$2" \
    >"$folder/image.log" 2>&1; then
    tail -n 20 "$folder/image.log"
    why="the image $1 cannot be made"
    return 1
  fi
  made_images+=("$1")
}

# The last stage of deploy/Dockerfile, with the programs of BUILD_DIR: compiling them again takes minutes.
make_server_image() {
  local context=$folder/server
  mkdir -p "$context/out/bin"
  install --strip --target-directory="$context/out/bin" "$build"/attention_{server,client}
  cp -r "$root/deploy" "$context/"
  bash "$root/deploy/sbom.sh" packages '*-dev' 'fonts-*' >"$context/out/built_with.tsv"
  {
    echo "ARG BASE"
    sed -n 's#--from=build /##; / AS runtime$/,$ p' "$root/deploy/Dockerfile"
  } >"$context/Dockerfile"
  make_image "$ATTENTION_IMAGE" "$context"
}

# pull SERVICE: its image is there, or comes from its registry.
pull() {
  local image
  image=$(image_of "$1")
  docker image inspect "$image" >/dev/null 2>&1 || timeout 120 docker pull --quiet "$image" >/dev/null 2>&1
}

# pull_or_make SERVICE: or it is made of Debian's package of the same name, with the user and the entry point
# that the registry's has.
pull_or_make() {
  local service=$1 context=$folder/$1
  if pull "$service"; then
    return 0
  fi
  mkdir -p "$context"
  cat >"$context/Dockerfile" <<END_OF_FILE
ARG BASE
FROM \${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $service busybox \
    && ln -s /bin/busybox /usr/local/bin/wget \
    && install --directory --owner=nobody /prometheus
END_OF_FILE
  case $service in
    haproxy) echo 'USER haproxy' ;;
    prometheus) printf 'USER nobody\nENTRYPOINT ["/usr/bin/prometheus"]\n' ;;
  esac >>"$context/Dockerfile"
  make_image "$(image_of "$service")" "$context"
}

# A daemon may run where it can make no network of its own.
check_network() {
  local name=attention-fleet-test-${folder##*.}
  if ! docker network create "$name" >/dev/null 2>&1; then
    why="Docker can make no network here"
    return 1
  fi
  docker network rm "$name" >/dev/null
}

# Sets services to those whose images are there.
provide_images() {
  local release
  release=$(bash "$root/deploy/install_packages.sh" --release) || return 1
  provide_daemon && check_network && provide_base "$release" && make_server_image && pull_or_make haproxy &&
    pull_or_make prometheus || return 1
  services=attention-1,attention-2,haproxy,prometheus
  if pull grafana; then
    services+=,grafana
  fi
}

main() {
  [[ $how == any || $how == containers || $how == processes ]] || {
    echo "usage: fleet_test.sh [BUILD_DIR [containers|processes]]" >&2
    exit 2
  }
  if ! bash "$root/deploy/install_packages.sh" fleet; then
    echo "SKIPPED: HAProxy, Prometheus and docker-compose are not installed"
    exit 0
  fi
  local services=
  if [[ $how != processes ]] && ! provide_images; then
    [[ $how == any ]] || {
      echo "SKIPPED: $why"
      exit 0
    }
    echo "no containers: $why"
    services=
  fi
  echo "running in ${services:+containers: }${services:-processes of this machine}"
  /usr/bin/python3 "$root/tests/end_to_end/fleet/run.py" --build="$build" ${services:+--services="$services"}
  echo "passed: fleet"
}

main
