#!/usr/bin/env bash
# Lets clang check the locks of the whole tree: that what a mutex guards (ABSL_GUARDED_BY) is touched by
# those alone who hold it, and that functions are called with the locks that they expect. GCC ignores these
# annotations, so nothing else checks them.
#
#   tests/thread_safety.sh
#
# It reads what the preset release compiles, its tests and benchmarks included, and makes no objects:
# several sources as one and headers precompiled, as that build does, but by a clang of Debian 12 (role
# "lint" of deploy/install_packages.sh).
# Exit codes: 0 nothing found, 1 something found, 127 clang is not installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly build=build/release
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# commands: how the build compiles each of our sources once, and the precompiled headers; a line for each,
# in the shell's words. What protoc wrote is left out.
commands() {
  sed -n 's/^  "command": "\(.*\)",$/\1/p' "$build/compile_commands.json" | sed 's/\\\(.\)/\1/g' |
    grep --invert-match -e '\.pb\.cc$' -e '/attention_proto\.dir/' -e '_headers\.cc$' |
    sort --key=1,1 | awk '!seen[$NF]++'
}

# check FOLDER COMMAND: silent unless something is found. Of the command's options clang gets those that
# say what the source means, and not those for GCC and for the machine. Headers that the build precompiles
# are precompiled into FOLDER, or taken from there.
check() {
  local folder=$1 clang options=() name
  eval "set -- $2"
  clang=(clang++-14 -Wno-everything -Wthread-safety -Werror=thread-safety)
  while (($# > 1)); do
    case $1 in
      -D* | -I* | -std=*) options+=("$1") ;;
      -isystem) options+=("$1" "$2") && shift ;;
      -include)
        name=$(basename "$(dirname "$2")" .dir)
        if [[ ${!#} == "$2.cxx" ]]; then
          exec "${clang[@]}" "${options[@]}" -fpch-instantiate-templates -x c++-header -o "$folder/$name.pch" "$2"
        fi
        options+=(-include-pch "$folder/$name.pch") && shift
        ;;
    esac
    shift
  done
  "${clang[@]}" -fsyntax-only "${options[@]}" "$1"
}

# check_all: each command of the standard input, as many at a time as there are CPUs.
check_all() {
  # shellcheck disable=SC2016  # the inner bash expands them
  xargs --no-run-if-empty --delimiter='\n' --max-args=1 --max-procs="$(nproc)" \
    bash -c 'check "$0" "$1"' "$folder" || exit $(($? == 123 ? 1 : $?))
}

command -v clang++-14 >/dev/null || {
  echo "thread_safety.sh: clang++-14 is not installed: bash deploy/install_packages.sh lint" >&2
  exit 127
}
cmake --preset release -DATTENTION_TESTS=ON -DATTENTION_BENCHMARKS=ON --log-level=WARNING >/dev/null
cmake --build "$build" --target attention_proto_code >/dev/null
export -f check
commands | grep 'cmake_pch\.hxx\.cxx$' | check_all
commands | grep --invert-match 'cmake_pch\.hxx\.cxx$' | check_all
echo "thread_safety.sh: $(commands | grep --count .) sources and precompiled headers"
