#!/usr/bin/env bash
# Checks the form of the C++ sources.
#
#   tests/lint.sh format               clang-format, on every *.h and *.cc of the repository
#   tests/lint.sh tidy [BUILD_DIR]     clang-tidy, on every *.cc that BUILD_DIR (default: build/asan)
#                                      compiles; the protobuf code must have been generated there
#
# Debian 12's own versions count (role "lint" of deploy/install_packages.sh).
# Exit codes: 0 nothing found, 1 something found, 2 wrong arguments, 127 the tool is not installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# sources PATTERN...: the repository's files of this kind, those not yet added included.
sources() {
  git ls-files --cached --others --exclude-standard --deduplicate -- "$@" | while read -r path; do
    [[ ! -e $path ]] || echo "$path"
  done
}

# finish CODE: ends with this exit code of xargs, which says 123 where what it ran found something.
finish() { exit $(($1 == 123 ? 1 : $1)); }

check_format() {
  sources '*.h' '*.cc' | xargs --no-run-if-empty clang-format-14 --dry-run --Werror || finish $?
}

# tidy_one BUILD_DIR FILE: silent unless something is found. What GCC instruments there is left out.
tidy_one() {
  local output
  output=$(clang-tidy-14 --quiet -p "$1" --extra-arg=-Wthread-safety \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-fno-sanitize=all "$2" 2>&1) || {
    grep -v ' warnings\? generated\.$' <<<"$output"
    return 1
  }
}

# compiled_sources DATABASE: the repository's *.cc files that it says how to compile.
compiled_sources() {
  sources '*.cc' | while read -r path; do
    ! grep --quiet --fixed-strings "\"$PWD/$path\"" "$1" || echo "$path"
  done
}

check_tidy() {
  local database=$1/compile_commands.json
  [[ -e $database ]] || {
    echo "lint.sh: there is no $database; configure first" >&2
    exit 2
  }
  export -f tidy_one
  # shellcheck disable=SC2016  # the inner bash expands them
  compiled_sources "$database" |
    xargs --no-run-if-empty --max-args=1 --max-procs="$(nproc)" bash -c 'tidy_one "$0" "$1"' "$1" ||
    finish $?
}

case ${1:-} in
  format) check_format ;;
  tidy) check_tidy "${2:-build/asan}" ;;
  *)
    echo "usage: lint.sh format | tidy [BUILD_DIR]" >&2
    exit 2
    ;;
esac
