#!/usr/bin/env bash
# Configures and builds one CMake preset into build/PRESET, with as many jobs as CPUs and memory allow.
# A build folder that came from another system, or was made elsewhere, is deleted first.
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

# made_elsewhere FOLDER: it was configured where the sources lay in another folder, or for another
# release of this compiler, as on another release of Debian: nothing in it can be trusted here.
made_elsewhere() {
  local file home program version
  [[ -e $1/CMakeCache.txt ]] || return 1
  home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$1/CMakeCache.txt")
  [[ $home -ef $PWD ]] || return 0
  # One file for each version of CMake that was used.
  for file in "$1"/CMakeFiles/*/CMakeCXXCompiler.cmake; do
    program=$(sed -n 's/^set(CMAKE_CXX_COMPILER "\(.*\)")$/\1/p' "$file")
    version=$(sed -n 's/^set(CMAKE_CXX_COMPILER_VERSION "\(.*\)")$/\1/p' "$file")
    [[ $("$program" -dumpfullversion -dumpversion 2>/dev/null) == "$version" ]] || return 0
  done
  return 1
}

main() {
  (($# >= 1)) || {
    echo "usage: build.sh PRESET [TARGET...]" >&2
    exit 2
  }
  local preset=$1
  shift
  cd "$(dirname "${BASH_SOURCE[0]}")/.."

  if made_elsewhere "build/$preset"; then
    echo "build.sh: build/$preset was made on another system or for another folder; beginning anew"
    rm -rf "build/$preset"
  fi
  # Every time, so that packages which came since are found.
  # shellcheck disable=SC2086  # several arguments
  cmake --preset "$preset" --log-level=WARNING ${CMAKE_ARGUMENTS:-} >/dev/null
  cmake --build "build/$preset" --parallel "$(jobs_that_fit)" ${1:+--target "$@"}
}

main "$@"
