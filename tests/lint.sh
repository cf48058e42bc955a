#!/usr/bin/env bash
# Checks the form of the C++ sources.
#
#   tests/lint.sh format               clang-format, on every *.h and *.cc of the repository
#   tests/lint.sh tidy [COMMIT]        clang-tidy, on every *.cc that the preset dev compiles, each by itself;
#                                      with a commit, on those that differ from it, and those that
#                                      include what differs
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

# includers PATH...: these sources, and those that include one of these headers by its path.
includers() {
  local path patterns=()
  for path in "$@"; do
    [[ $path != *.h ]] || patterns+=(-e "#include \"$path\"")
  done
  printf '%s\n' "$@"
  ((${#patterns[@]} == 0)) || git grep --untracked --name-only --fixed-strings "${patterns[@]}" -- '*.cc' || true
}

# differing COMMIT: what differs from it, and the *.cc that include this; all of the sources where what
# says how they are compiled or checked differs.
differing() {
  local changed
  mapfile -t changed < <(git diff --name-only --diff-filter=d "$1" -- '*.h' '*.cc' && sources '*.h' '*.cc' |
    grep --line-regexp --fixed-strings --file=<(git ls-files --others --exclude-standard))
  if ! git diff --quiet "$1" -- .clang-tidy; then
    sources '*.cc'
  elif ((${#changed[@]} > 0)); then
    includers "${changed[@]}" | sort --unique
  fi
}

check_tidy() {
  local build=build/dev files
  cmake --preset dev --log-level=WARNING >/dev/null
  cmake --build "$build" --target attention_proto_code >/dev/null
  files=$(compiled_sources "$build/compile_commands.json")
  [[ -z ${1:-} ]] || files=$(grep --line-regexp --fixed-strings --file=<(differing "$1") <<<"$files" || true)
  echo "clang-tidy: $(grep --count . <<<"$files" || true) files"
  export -f tidy_one
  # shellcheck disable=SC2016  # the inner bash expands them
  xargs --no-run-if-empty --max-args=1 --max-procs="$(nproc)" bash -c 'tidy_one "$0" "$1"' "$build" <<<"$files" ||
    finish $?
}

case ${1:-} in
  format) check_format ;;
  tidy) check_tidy "${2:-}" ;;
  *)
    echo "usage: lint.sh format | tidy [COMMIT]" >&2
    exit 2
    ;;
esac
