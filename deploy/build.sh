#!/usr/bin/env bash
# Configures and builds one CMake preset into build/PRESET, with as many jobs as CPUs and memory allow.
#
#   deploy/build.sh PRESET [TARGET...]        no target: everything
#
# CMAKE_ARGUMENTS in the environment are more arguments of CMake's, such as -DATTENTION_TESTS=ON.
# Exit codes: 0 built, 2 wrong arguments, else CMake's.
set -euo pipefail

# One compiler at work on generated or heavily templated code needs up to this much.
readonly kib_per_job=$((1024 * 1024))

jobs_that_fit() {
  local available_kib cpus jobs
  available_kib=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
  cpus=$(nproc)
  jobs=$((available_kib / kib_per_job))
  echo $((jobs < 1 ? 1 : jobs < cpus ? jobs : cpus))
}

main() {
  (($# >= 1)) || {
    echo "usage: build.sh PRESET [TARGET...]" >&2
    exit 2
  }
  local preset=$1
  shift
  cd "$(dirname "${BASH_SOURCE[0]}")/.."

  # Every time, so that packages which came since are found.
  # shellcheck disable=SC2086  # several arguments
  cmake --preset "$preset" --log-level=WARNING ${CMAKE_ARGUMENTS:-} >/dev/null
  cmake --build "build/$preset" --parallel "$(jobs_that_fit)" ${1:+--target "$@"}
}

main "$@"
