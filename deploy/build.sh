#!/usr/bin/env bash
# Configures and builds one CMake preset into build/PRESET, with as many jobs as CPUs and memory allow. A build folder
# that was copied from another system or another place is deleted first.
#
#   deploy/build.sh PRESET [TARGET...]        no target: everything
#
# CMAKE_ARGUMENTS in the environment are additional arguments for CMake, such as -DATTENTION_TESTS=ON.
# Exit codes: 0 built, 2 wrong arguments, otherwise that of CMake.
set -euo pipefail

# One compiler needs up to this much memory for generated or heavily templated code.
readonly kib_per_job=$((1024 * 1024))

jobs_that_fit() {
  local available_kib cpus jobs
  available_kib=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
  cpus=$(nproc)
  jobs=$((available_kib / kib_per_job))
  echo $((jobs < 1 ? 1 : jobs < cpus ? jobs : cpus))
}

# made_elsewhere FOLDER: succeeds if FOLDER was configured for sources in another folder, or for another release of the
# compiler, as after a change of the Debian release. Its contents cannot be used then.
made_elsewhere() {
  local file home program version
  [[ -e $1/CMakeCache.txt ]] || return 1
  home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$1/CMakeCache.txt")
  [[ $home -ef $PWD ]] || return 0
  # There is one such file for each version of CMake that was used.
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
  # It configures every time, so that packages installed since the last build are found.
  # shellcheck disable=SC2086  # several arguments
  cmake --preset "$preset" --log-level=WARNING ${CMAKE_ARGUMENTS:-} >/dev/null
  cmake --build "build/$preset" --parallel "$(jobs_that_fit)" ${1:+--target "$@"}
}

main "$@"
